use recert_bounds::{
    Network as Proved, Options, Property, Region, Slopes, interval, lower, lower_interval,
};
use recert_graph::Builder;

use super::*;
use crate::network::{Architecture, Initialization, Network, Normalization};
use crate::pass::loaded;
use crate::testing::{batch, networks};

/// By how much bounds in float64 may differ from those of `recert-bounds`, of which the charges
/// for rounding are a part: relative to the largest.
const DOUBLE: f64 = 1e-10;
/// The same of bounds in float32.
const SINGLE: f64 = 2e-5;

/// Margins of a batch by intervals and by CROWN-IBP, for a box in float64.
fn margins(pass: &Pass<'_>, ends: [&[f64]; 2], labels: &[usize]) -> [Vec<f64>; 2] {
    let precision = pass.parameters[0].precision();
    let columns = ends[0].len() / labels.len();
    let [low, high] = ends.map(|ends| match precision {
        Precision::Double => Matrix::double(columns, ends),
        Precision::Single => {
            let narrow: Vec<f32> = ends.iter().map(|&x| x as f32).collect();
            Matrix::new(columns, &narrow, precision)
        }
    });
    let rows = rows(labels, pass.network.classes(), precision);
    let intervals = intervals(pass, &Interval::between(&low, &high), 1.0);
    let made = [ibp_margins, crown_margins].map(|bound| bound(pass, &intervals, &rows));
    made.map(|margins| margins.doubles())
}

/// Residual networks of the literature, small, with both kinds of shortcuts.
fn published() -> Vec<(&'static str, Network)> {
    let made = ["resnet8", "resnet8-b"].into_iter().map(|name| {
        let architecture: Architecture = name.parse().unwrap();
        let layers = architecture.layers([2, 5, 6], 3).unwrap();
        let normalization = Normalization {
            mean: vec![0.4, 0.5],
            std: vec![0.25, 0.5],
        };
        let (image, he) = ([2, 5, 6], Initialization::He);
        (
            name,
            Network::new(image, layers, normalization, he, 9).unwrap(),
        )
    });
    made.collect()
}

#[test]
fn bounds_are_those_that_are_proved() {
    for (name, network) in networks().into_iter().chain(published()) {
        let model = network.to_model("test.onnx", &[]).unwrap();
        let proved = Proved::new(&Builder::new(&model).build().unwrap()).unwrap();
        let (pixels, labels) = batch(&network, 5);
        let pixels: Vec<f64> = pixels.into_iter().map(f64::from).collect();
        for eps in [0.003, 0.05, 0.3] {
            let end = |sign: f64| -> Vec<f64> {
                let ends = pixels.iter().map(|pixel| pixel + sign * eps);
                ends.map(|x| x.clamp(0.0, 1.0)).collect()
            };
            let (low, high) = (end(-1.0), end(1.0));
            let mut expected = [Vec::new(), Vec::new()];
            for (image, &label) in pixels.chunks(60).zip(&labels) {
                let options = Options::default();
                let region = Region::linf(image, eps).unwrap();
                let property = Property::label(proved.outputs(), label).unwrap();
                let bounds = interval(&proved, &region).unwrap();
                let rows = property.rows();
                let slopes = Slopes::default();
                let ibp = lower_interval(&proved, &region, &bounds, &rows, options);
                let crown = lower(&proved, &region, &bounds, &rows, &slopes, options);
                expected[0].extend(ibp.unwrap());
                expected[1].extend(crown.unwrap());
            }
            for (precision, most) in [(Precision::Double, DOUBLE), (Precision::Single, SINGLE)] {
                let pass = Pass::evaluating(&network, loaded(&network, precision));
                let made = margins(&pass, [&low, &high], &labels);
                for (made, expected) in made.iter().zip(&expected) {
                    assert_eq!(made.len(), expected.len());
                    let scale = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
                    for (made, expected) in made.iter().zip(expected) {
                        assert!(
                            (made - expected).abs() <= most * scale,
                            "{name}, eps {eps}, {precision:?}: {made} and {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn bounds_of_a_point_are_its_margins_and_contain_those_of_all_points() {
    for (name, network) in networks() {
        let (pixels, labels) = batch(&network, 4);
        let classes = network.classes();
        let pass = Pass::evaluating(&network, loaded(&network, Precision::Double));
        let wide: Vec<f64> = pixels.iter().map(|&x| x.into()).collect();
        let exact = |points: &[f64]| {
            let logits = pass.logits(&Matrix::double(60, points)).doubles();
            let rows = logits.chunks(classes).zip(&labels);
            rows.flat_map(|(row, &label)| {
                let others = (0..classes).filter(move |&other| other != label);
                others.map(move |other| row[label] - row[other])
            })
            .collect::<Vec<f64>>()
        };
        let answers = exact(&wide);
        for made in margins(&pass, [&wide, &wide], &labels) {
            for (made, exact) in made.iter().zip(&answers) {
                assert!((made - exact).abs() < 1e-9, "{name}: {made} {exact}");
            }
        }
        let moved = |sign: f64| wide.iter().map(|x| x + sign * 0.05).collect::<Vec<_>>();
        let bounds = margins(&pass, [&moved(-1.0), &moved(1.0)], &labels);
        for seed in 0..20 {
            let by = recert_graph::testing::noise(seed, wide.len());
            let points = wide.iter().zip(by).map(|(x, by)| x + 0.05 * f64::from(by));
            let answers = exact(&points.collect::<Vec<_>>());
            for made in &bounds {
                let mut pairs = made.iter().zip(&answers);
                assert!(pairs.all(|(bound, exact)| bound <= exact), "{name}");
            }
        }
    }
}
