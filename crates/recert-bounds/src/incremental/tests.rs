//! Tests of transfers: differences hold at points, and what is proved is what is true.

use recert_graph::testing::noise;

use super::*;
use crate::family::Within;
use crate::family::tests::networks;
use crate::{ErrorKind, Rows, crown, interval};

const OPTIONS: Options = Options {
    memory: 64 << 20,
    threads: 1,
};

fn image(network: &Network, seed: u32) -> Vec<f64> {
    let draws = noise(seed, network.inputs()).into_iter();
    draws.map(|x| f64::from(x).abs().min(1.0)).collect()
}

/// Points of a region: corners, and points between.
fn points(region: &Region, count: u32) -> impl Iterator<Item = Vec<f64>> + '_ {
    let (lower, upper) = region.bounding_box();
    (0..count).map(move |seed| {
        let draws = noise(50 + seed, lower.len()).into_iter();
        let ends = lower.iter().zip(upper).zip(draws);
        ends.map(|((l, u), draw)| {
            let share = if seed % 2 == 0 {
                f64::from(u8::from(draw > 0.0))
            } else {
                f64::from(draw).abs().min(1.0)
            };
            (l + share * (u - l)).clamp(*l, *u)
        })
        .collect()
    })
}

#[test]
fn differences_hold_at_points() {
    for f in networks() {
        let region = Region::linf(&image(&f, 5), 0.02).unwrap();
        for bounds in [interval(&f, &region), crown(&f, &region, OPTIONS)] {
            let bounds = bounds.unwrap();
            for within in [Within::Int8, Within::Bf16, Within::Absolute(0.05)] {
                let h = f.rounded(within).unwrap();
                let found = difference(&f, &h, &bounds).unwrap().unwrap();
                let rows = Property::label(f.outputs(), 1).unwrap().rows();
                let lost = of_rows(&f, &h, &bounds, &found, &rows);
                for x in points(&region, 16) {
                    let (of_f, of_h) = (f.evaluate_all(&x), h.evaluate_all(&x));
                    for value in 0..f.values() {
                        for i in 0..of_f[value].len() {
                            let e = of_h[value][i] - of_f[value][i];
                            let (l, u) = (found.lower[value][i], found.upper[value][i]);
                            // The evaluation in f64 is not exact.
                            let slack = 1e-13 * (1.0 + of_f[value][i].abs());
                            assert!(l - slack <= e && e <= u + slack, "{value} {i}: {l} {e} {u}");
                        }
                    }
                    let (y, z) = (&of_f[f.output], &of_h[f.output]);
                    for (row, lost) in rows.coefficients.chunks(rows.outputs).zip(&lost) {
                        let terms = row.iter().zip(z.iter().zip(y));
                        let e: f64 = terms.map(|(a, (z, y))| a * (z - y)).sum();
                        assert!(*lost <= e + 1e-12);
                    }
                }
            }
        }
    }
}

#[test]
fn an_unchanged_network_loses_next_to_nothing() {
    for f in networks() {
        let region = Region::linf(&image(&f, 6), 0.01).unwrap();
        let bounds = crown(&f, &region, OPTIONS).unwrap();
        let found = difference(&f, &f, &bounds).unwrap().unwrap();
        let largest = found.upper.iter().flatten().fold(0.0_f64, |m, e| m.max(*e));
        assert!(largest < 1e-9, "{largest}");
        let rows = Property::label(f.outputs(), 0).unwrap().rows();
        let lost = of_rows(&f, &f, &bounds, &found, &rows);
        assert!(lost.iter().all(|lost| *lost <= 0.0 && *lost > -1e-9));
    }
}

#[test]
fn each_step_of_a_transfer_is_sound_and_the_last_is_as_tight_as_from_scratch() {
    let slopes = Slopes::default();
    for f in networks() {
        let x = image(&f, 8);
        let region = Region::linf(&x, 0.005).unwrap();
        let y = f.evaluate(&x);
        let class = (0..y.len()).max_by(|&i, &j| y[i].total_cmp(&y[j])).unwrap();
        let property = Property::label(f.outputs(), class).unwrap();
        let rows = property.rows();
        let bounds = crown(&f, &region, OPTIONS).unwrap();
        let known = lower(&f, &region, &bounds, &rows, &slopes, OPTIONS).unwrap();
        let known = Known {
            network: &f,
            bounds: &bounds,
            lower: &known,
            slopes: &slopes,
        };
        for within in [Within::Bf16, Within::Int8, Within::Absolute(0.2)] {
            let h = f.rounded(within).unwrap();
            let fresh_bounds = crown(&h, &region, OPTIONS).unwrap();
            let fresh = lower(&h, &region, &fresh_bounds, &rows, &slopes, OPTIONS).unwrap();
            let mut before = usize::MAX;
            for most in [Reuse::Layers, Reuse::Values, Reuse::Margins] {
                let result = transfer(known, &h, &region, &property, most, OPTIONS).unwrap();
                assert!(result.by <= most && result.rows <= before);
                before = result.rows;
                assert_eq!(result.rows == 0, result.by == Reuse::Margins);
                let mut least = vec![f64::INFINITY; rows.len()];
                for x in points(&region, 32) {
                    let y = h.evaluate(&x);
                    for (least, row) in least.iter_mut().zip(rows.coefficients.chunks(y.len())) {
                        let margin: f64 = row.iter().zip(&y).map(|(a, y)| a * y).sum();
                        *least = least.min(margin);
                    }
                }
                let sound = result.lower.iter().zip(&least).all(|(l, m)| l <= m);
                assert!(sound, "{:?}: {:?} {least:?}", result.by, result.lower);
                if result.by == Reuse::Layers {
                    let close = |(a, b): (&f64, &f64)| *a >= b - 1e-9 * (1.0 + b.abs());
                    assert!(result.lower.iter().zip(&fresh).all(close));
                }
            }
        }
    }
}

#[test]
fn only_the_last_layer_is_looked_at_where_only_it_changed() {
    let f = networks().pop().unwrap();
    let x = image(&f, 9);
    let region = Region::linf(&x, 0.01).unwrap();
    let bounds = crown(&f, &region, OPTIONS).unwrap();
    let mut h = f.clone();
    let last = h.steps.len() - 1;
    let crate::step::Kind::Linear(crate::step::Linear::Dense(dense)) = &mut h.steps[last].kind
    else {
        panic!("the last layer is fully connected");
    };
    dense.weights[0] += 0.125;
    dense.bias[0] += 0.5;
    let found = difference(&f, &h, &bounds).unwrap().unwrap();
    let input = f.steps[last].inputs[0];
    assert!(found.upper[input].iter().all(|e| *e < 1e-12));
    // The loss is that of the changed weight times the bounds of its neuron, and the bias.
    let rows = Rows {
        outputs: 4,
        coefficients: vec![1.0, -1.0, 0.0, 0.0],
        constants: vec![0.0],
    };
    let lost = of_rows(&f, &h, &bounds, &found, &rows)[0];
    let want = 0.5 + 0.125 * bounds.lower[input][0];
    assert!(lost <= want && lost > want - 1e-6, "{lost} {want}");
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let [f, h]: [Network; 2] = networks().try_into().unwrap();
    let region = Region::linf(&image(&f, 1), 0.01).unwrap();
    let bounds = interval(&f, &region).unwrap();
    let error = difference(&f, &h, &bounds).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.to_string().contains("the same layers"), "{error}");
    let property = Property::label(f.outputs(), 0).unwrap();
    let slopes = Slopes::default();
    let known = Known {
        network: &f,
        bounds: &bounds,
        lower: &[],
        slopes: &slopes,
    };
    let error = transfer(known, &f, &region, &property, Reuse::Layers, OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);

    let region = Region::linf(&image(&h, 1), 0.01).unwrap();
    let bounds = interval(&h, &region).unwrap();
    let mut other = h.clone();
    for step in &mut other.steps {
        if let crate::step::Kind::Elementwise(function) = &mut step.kind {
            *function = crate::relax::Nonlinearity::Relu;
        }
    }
    let error = difference(&h, &other, &bounds).unwrap_err().to_string();
    assert!(error.contains("node `make_t`"), "{error}");
}

#[test]
fn unknown_bounds_transfer_nothing() {
    let f = networks().pop().unwrap();
    let region = Region::linf(&image(&f, 2), 0.01).unwrap();
    let mut bounds = interval(&f, &region).unwrap();
    bounds.upper[2][0] = f64::NAN;
    let rows = Property::label(f.outputs(), 0).unwrap();
    let lower = vec![1.0; rows.rows().len()];
    let slopes = Slopes::default();
    let known = Known {
        network: &f,
        bounds: &bounds,
        lower: &lower,
        slopes: &slopes,
    };
    let result = transfer(known, &f, &region, &rows, Reuse::Margins, OPTIONS).unwrap();
    assert!(result.lower.iter().all(|l| *l == f64::NEG_INFINITY));
    let result = transfer(known, &f, &region, &rows, Reuse::Layers, OPTIONS).unwrap();
    assert_eq!(result.by, Reuse::Layers);
    let fresh = crown(&f, &region, OPTIONS).unwrap();
    assert_eq!(result.bounds, fresh);
}
