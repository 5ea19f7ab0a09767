//! What bounds do not depend on, and how they change with the region.

use recert_bounds::{
    Linear, Network, Options, Region, Slopes, crown, crown_counted, interval, lower,
};
use recert_graph::stored::from_i64;
use recert_graph::testing::{Net, ints};
use recert_testing::test;

use crate::made::{Layer, Random, both, graph, layers, network};

/// A small residual network with strides, padding and a normalization.
pub(crate) fn residual() -> Network {
    let net = Net::new(13)
        .input("x", &[1, 2, 7, 7])
        .noise("w1", &[6, 2, 3, 3])
        .noise("w2", &[6, 6, 3, 3])
        .noise("w3", &[6, 6, 1, 1])
        .noise("w4", &[96, 5])
        .noise("b1", &[6])
        .noise("b4", &[5])
        .noise("scale", &[6])
        .floats("variance", &[6], &[0.5, 1.0, 2.0, 0.25, 3.0, 1.5])
        .node_with(
            "Conv",
            &["x", "w1", "b1"],
            "c1",
            vec![ints("pads", &[1, 1, 1, 1])],
        )
        .node(
            "BatchNormalization",
            &["c1", "scale", "b1", "scale", "variance"],
            "n1",
        )
        .node("Relu", &["n1"], "r1")
        .node_with(
            "Conv",
            &["r1", "w2"],
            "c2",
            vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])],
        )
        .node_with("Conv", &["r1", "w3"], "c3", vec![ints("strides", &[2, 2])])
        .node("Add", &["c2", "c3"], "s")
        .node("Relu", &["s"], "r2")
        .node("Flatten", &["r2"], "f")
        .node("Gemm", &["f", "w4", "b4"], "y")
        .output("y", &[1, 5]);
    Network::new(&graph(&net)).unwrap()
}

/// A residual network whose shortcut is a slice with padded channels, before a pooling.
fn shortcut() -> Network {
    let net = Net::new(13)
        .input("x", &[1, 2, 8, 8])
        .noise("w1", &[4, 2, 3, 3])
        .noise("w2", &[6, 4, 3, 3])
        .noise("w4", &[24, 5])
        .tensor(from_i64("starts", &[2], &[0, 0]))
        .tensor(from_i64("ends", &[2], &[8, 8]))
        .tensor(from_i64("axes", &[2], &[2, 3]))
        .tensor(from_i64("steps", &[2], &[2, 2]))
        .tensor(from_i64("pads", &[8], &[0, 1, 0, 0, 0, 1, 0, 0]))
        .node_with("Conv", &["x", "w1"], "c1", vec![ints("pads", &[1; 4])])
        .node("Relu", &["c1"], "r1")
        .node("Slice", &["r1", "starts", "ends", "axes", "steps"], "s")
        .node("Pad", &["s", "pads"], "p")
        .node_with(
            "Conv",
            &["r1", "w2"],
            "c2",
            vec![ints("pads", &[1; 4]), ints("strides", &[2, 2])],
        )
        .node("Add", &["c2", "p"], "a")
        .node("Relu", &["a"], "r2")
        .node_with(
            "MaxPool",
            &["r2"],
            "m",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node("Flatten", &["m"], "f")
        .node("Gemm", &["f", "w4"], "y")
        .output("y", &[1, 5]);
    Network::new(&graph(&net)).unwrap()
}

pub(crate) fn ball(network: &Network, seed: u64, radius: f64) -> Region {
    let mut random = Random::new(seed);
    let image: Vec<f64> = (0..network.inputs()).map(|_| random.unit()).collect();
    Region::linf(&image, radius).unwrap()
}

test!(blocks_and_threads_change_no_bit);
fn blocks_and_threads_change_no_bit() {
    // The widest values have 6 * 49 and 4 * 64 elements, and a row takes four times as many.
    for (network, widest) in [(residual(), 6 * 49), (shortcut(), 4 * 64)] {
        let region = ball(&network, 4, 0.05);
        let rows = both(network.outputs());
        let whole = Options::default();
        let bounds = crown(&network, &region, whole).unwrap();
        let slopes = Slopes::default();
        let margins = lower(&network, &region, &bounds, &rows, &slopes, whole).unwrap();
        assert!(margins.iter().all(|margin| margin.is_finite()));
        for (rows_at_once, threads) in [(1, 1), (2, 1), (3, 2), (7, 3), (50, 2)] {
            let options = Options {
                memory: widest * 4 * 8 * rows_at_once * threads,
                threads,
            };
            assert_eq!(crown(&network, &region, options).unwrap(), bounds);
            let again = lower(&network, &region, &bounds, &rows, &slopes, options).unwrap();
            assert_eq!(again, margins);
        }
    }
}

test!(crown_is_tighter_than_intervals_here);
fn crown_is_tighter_than_intervals_here() {
    let network = residual();
    let region = ball(&network, 5, 0.01);
    let rows = both(network.outputs());
    let by_interval = interval(&network, &region).unwrap();
    let by_crown = crown(&network, &region, Options::default()).unwrap();
    for value in 0..network.values() {
        let pairs = by_crown.lower[value].iter().zip(&by_interval.lower[value]);
        assert!(pairs.into_iter().all(|(crown, interval)| crown >= interval));
    }
    let slopes = Slopes::default();
    let options = Options::default();
    let margins = lower(&network, &region, &by_crown, &rows, &slopes, options).unwrap();
    let (low, high) = by_interval.outputs(&network);
    for (i, pair) in margins.chunks(2).enumerate() {
        assert!(-pair[1] - pair[0] < 0.5 * (high[i] - low[i]));
    }
}

test!(a_neuron_that_is_off_takes_one_row);
/// Behind two neurons of the same value, their difference and a bias: on intervals of either sign,
/// and by CROWN the bias alone.
fn a_neuron_that_is_off_takes_one_row() {
    for (bias, rows, bounds) in [(-1, 1, [-5.0, -1.0]), (1, 2, [1.0, 1.0])] {
        let layer = |weights: &[&[i64]], bias: &[i64]| Layer {
            weights: weights.iter().map(|row| row.to_vec()).collect(),
            bias: bias.to_vec(),
        };
        let layers = [
            layer(&[&[2], &[2]], &[6, 6]),
            layer(&[&[1, -1]], &[bias]),
            layer(&[&[1]], &[0]),
        ];
        let network = network(&layers, 0);
        let region = Region::Box {
            lower: vec![-1.0],
            upper: vec![1.0],
        };
        let (made, counted) = crown_counted(&network, &region, Options::default()).unwrap();
        assert_eq!(counted, rows);
        let (low, high) = made.neurons(&network, 1);
        // The neuron's bounds hold and, off or on, tell which.
        assert!((low[0] - bounds[0]).abs() < 1e-9 && (high[0] - bounds[1]).abs() < 1e-9);
        assert!(low[0] <= f64::from(bias as i32) && f64::from(bias as i32) <= high[0]);
        let (low, high) = made.outputs(&network);
        let output = f64::from(bias as i32).max(0.0);
        assert!(low[0] <= output && output - low[0] < 1e-9);
        assert!(high[0] >= output && high[0] - output < 1e-9);
    }
}

test!(a_larger_box_contains_the_bounds_of_a_smaller);
fn a_larger_box_contains_the_bounds_of_a_smaller() {
    let network = residual();
    let radii = [0.001, 0.004, 0.02, 0.1];
    let bounds = radii.map(|radius| interval(&network, &ball(&network, 6, radius)).unwrap());
    for pair in bounds.windows(2) {
        for value in 0..network.values() {
            let lower = pair[0].lower[value].iter().zip(&pair[1].lower[value]);
            assert!(lower.into_iter().all(|(small, large)| large <= small));
            let upper = pair[0].upper[value].iter().zip(&pair[1].upper[value]);
            assert!(upper.into_iter().all(|(small, large)| large >= small));
        }
    }
}

test!(a_ball_within_a_box_has_tighter_bounds);
fn a_ball_within_a_box_has_tighter_bounds() {
    let mut random = Random::new(7);
    let layers = layers(&mut random, &[6, 10, 10, 3], 1 << 23);
    let network = network(&layers, 23);
    let centre = vec![0.5; 6];
    let rows = both(3);
    let margins = |region: &Region| {
        let options = Options::default();
        let bounds = crown(&network, region, options).unwrap();
        lower(
            &network,
            region,
            &bounds,
            &rows,
            &Slopes::default(),
            options,
        )
        .unwrap()
    };
    let in_box = margins(&Region::linf(&centre, 0.1).unwrap());
    let in_ball = margins(&Region::l2(&centre, 0.1).unwrap());
    assert!(in_box.iter().zip(&in_ball).all(|(a, b)| b > a));
    // Points of the ball.
    for _ in 0..200 {
        let mut step: Vec<f64> = (0..6).map(|_| random.unit() - 0.5).collect();
        let norm = step.iter().map(|s| s * s).sum::<f64>().sqrt();
        for s in &mut step {
            *s *= 0.0999 / norm;
        }
        let x: Vec<f64> = centre.iter().zip(&step).map(|(c, s)| c + s).collect();
        for (i, y) in network.evaluate(&x).into_iter().enumerate() {
            assert!(in_ball[2 * i] <= y && in_ball[2 * i + 1] <= -y);
        }
    }
}

/// Lower bounds of all outputs and their negatives by CROWN.
fn ends(network: &Network, region: &Region) -> Vec<f64> {
    let options = Options::default();
    let bounds = crown(network, region, options).unwrap();
    let rows = both(network.outputs());
    lower(network, region, &bounds, &rows, &Slopes::default(), options).unwrap()
}

test!(inputs_linear_in_a_parameter_have_tighter_bounds);
/// All pixels move along one direction, each with a little slack.
fn inputs_linear_in_a_parameter_have_tighter_bounds() {
    let network = residual();
    let count = network.inputs();
    let mut random = Random::new(31);
    let start: Vec<f64> = (0..count).map(|_| random.unit()).collect();
    let slope: Vec<f64> = (0..count).map(|_| 0.2 * random.unit() - 0.1).collect();
    let slack = 1e-3;
    let function = |by: f64| Linear {
        offset: start.iter().map(|x| x + by).collect(),
        slope: slope.clone(),
    };
    let at = |t: f64, by: f64| -> Vec<f64> {
        start
            .iter()
            .zip(&slope)
            .map(|(x, s)| x + s * t + by)
            .collect()
    };
    let [first, last] = [at(-1.0, 0.0), at(1.0, 0.0)];
    let pixel = |end: fn(f64, f64) -> f64, by: f64| {
        first
            .iter()
            .zip(&last)
            .map(|(&a, &b)| end(a, b) + by)
            .collect::<Vec<f64>>()
    };
    let pixels = [pixel(f64::min, -slack), pixel(f64::max, slack)];
    let in_box = ends(
        &network,
        &Region::Box {
            lower: pixels[0].clone(),
            upper: pixels[1].clone(),
        },
    );
    let region = Region::Parametric {
        parameters: [vec![-1.0], vec![1.0]],
        lower: function(-slack),
        upper: function(slack),
        pixels,
    };
    let linear = ends(&network, &region);
    assert!(in_box.iter().zip(&linear).all(|(a, b)| b > a));
    for i in 0..=200 {
        let t = f64::from(i) / 100.0 - 1.0;
        let moved = at(t, 0.0)
            .into_iter()
            .map(|x| x + slack * (1.98 * random.unit() - 0.99));
        let outputs = network.evaluate(&moved.collect::<Vec<_>>());
        for (i, y) in outputs.into_iter().enumerate() {
            assert!(linear[2 * i] <= y && linear[2 * i + 1] <= -y);
        }
    }
}

test!(normalization_before_the_network_is_part_of_it);
fn normalization_before_the_network_is_part_of_it() {
    let plain = residual();
    let (mean, std) = ([0.25_f32, 0.5], [0.3_f32, 0.5]);
    let network = plain.clone().normalized(&mean, &std, Some(2.0)).unwrap();
    let mut random = Random::new(32);
    let image: Vec<f64> = (0..network.inputs()).map(|_| random.unit()).collect();
    let normalized = image.iter().enumerate().map(|(i, x)| {
        let channel = i / 49;
        2.0 * (x - f64::from(mean[channel])) / f64::from(std[channel])
    });
    let normalized: Vec<f64> = normalized.collect();
    let want = plain.evaluate(&normalized);
    let made = network.evaluate(&image);
    let point = |x: &[f64]| Region::Box {
        lower: x.to_vec(),
        upper: x.to_vec(),
    };
    let bounds = ends(&network, &point(&image));
    for (i, (want, made)) in want.into_iter().zip(made).enumerate() {
        assert!((want - made).abs() < 1e-12);
        assert!(bounds[2 * i] <= want && bounds[2 * i + 1] <= -want);
        assert!(want - bounds[2 * i] < 1e-9);
    }
    assert!(plain.clone().normalized(&[0.5; 3], &[], None).is_err());
    assert!(plain.normalized(&[], &[0.0], None).is_err());
}
