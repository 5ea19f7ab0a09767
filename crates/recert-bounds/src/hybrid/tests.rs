//! Forms against samples, a case worked out by hand, and overflow.

use super::*;
use crate::region::Linear as Line;
use proptest::prelude::*;
use recert_graph::Builder;
use recert_graph::testing::{Net, ints};

/// A convolution, an activation, a pool or a sum with a shortcut, and two fully connected
/// layers.
fn network(activation: &str, pooled: bool) -> Network {
    let net = Net::new(13)
        .input("x", &[1, 2, 4, 4])
        .noise("w", &[3, 2, 3, 3])
        .noise("b", &[3])
        .node_with(
            "Conv",
            &["x", "w", "b"],
            "c",
            vec![ints("pads", &[1, 1, 1, 1])],
        )
        .node(activation, &["c"], "a")
        .noise("v", &[if pooled { 12 } else { 48 }, 4])
        .noise("d", &[4])
        .noise("u", &[4, 3]);
    let net = if pooled {
        let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        net.node_with("MaxPool", &["a"], "m", attributes)
    } else {
        net.node("Add", &["a", "c"], "m")
    };
    let net = net
        .node("Flatten", &["m"], "f")
        .node("Gemm", &["f", "v", "d"], "g")
        .node("Relu", &["g"], "r")
        .node("Gemm", &["r", "u"], "y")
        .output("y", &[1, 3]);
    Network::new(&Builder::new(&net.model()).build().unwrap()).unwrap()
}

fn rows() -> Rows {
    crate::Property::label(3, 1).unwrap().rows()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Inputs between the lines at sampled parameters: every value is inside its bounds, and
    /// every margin above its lower bound.
    #[test]
    fn forms_enclose_samples(
        activation in prop::sample::select(vec!["Relu", "Tanh", "Sigmoid", "LeakyRelu"]),
        pooled in any::<bool>(),
        offset in prop::collection::vec(-0.5..0.5_f64, 32),
        slope in prop::collection::vec(-0.4..0.4_f64, 128),
        gap in 0.0..0.1_f64,
        least in -1.0..0.5_f64,
        samples in prop::collection::vec(
            (0.0..=1.0_f64, 0.0..=1.0_f64, prop::collection::vec(0.0..=1.0_f64, 32)), 16),
    ) {
        let network = network(activation, pooled);
        let largest = least + 0.75;
        // The lines cross nowhere: the upper one is above at both ends of each parameter.
        let upper: Vec<f64> = (0..64).map(|i| slope[i] + 0.1 * slope[64 + i]).collect();
        let reach = 0.1 * 0.4 * 2.0 * largest.abs().max(least.abs());
        let line = |offset: Vec<f64>, slope: &[f64]| Line { offset, slope: slope.to_vec() };
        let region = Region::Parametric {
            parameters: [vec![least; 2], vec![largest; 2]],
            lower: line(offset.clone(), &slope[..64]),
            upper: line(offset.iter().map(|o| o + gap + reach).collect(), &upper),
            pixels: [vec![-2.0; 32], vec![2.0; 32]],
        };
        let Region::Parametric { lower, upper, .. } = &region else { panic!() };
        let forms = propagate(&network, &region).unwrap();
        let bounds = forms.bounds(&network);
        let margins = forms.margins(&network, &rows());
        for (s, t, mix) in samples {
            let p = [least + 0.75 * s, least + 0.75 * t];
            let x: Vec<f64> = (0..32)
                .map(|i| {
                    let along = |l: &Line| {
                        l.offset[i] + l.slope[2 * i] * p[0] + l.slope[2 * i + 1] * p[1]
                    };
                    along(lower) + mix[i] * (along(upper) - along(lower))
                })
                .collect();
            let values = network.evaluate_all(&x);
            for (number, value) in values.iter().enumerate() {
                for (i, y) in value.iter().enumerate() {
                    prop_assert!(bounds.lower[number][i] <= y + 1e-12, "value {number}");
                    prop_assert!(bounds.upper[number][i] >= y - 1e-12, "value {number}");
                }
            }
            let y = network.evaluate(&x);
            for (margin, other) in margins.iter().zip([0, 2]) {
                prop_assert!(*margin <= y[1] - y[other] + 1e-12);
            }
        }
    }
}

/// Without parameters it is interval bound propagation; with them, what all pixels share
/// cancels: `x0 - x1` of two pixels that both move by `t` does not depend on `t`.
#[test]
fn what_is_shared_cancels() {
    let net = Net::new(13)
        .input("x", &[1, 2])
        .floats("w", &[2, 2], &[1.0, 1.0, -1.0, 1.0])
        .floats("u", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .node("MatMul", &["x", "w"], "d")
        .node("Relu", &["d"], "r")
        .node("MatMul", &["r", "u"], "y")
        .output("y", &[1, 2]);
    let network = Network::new(&Builder::new(&net.model()).build().unwrap()).unwrap();
    let line = |offset: [f64; 2]| Line {
        offset: offset.to_vec(),
        slope: vec![0.25, 0.25],
    };
    let region = Region::Parametric {
        parameters: [vec![-1.0], vec![1.0]],
        lower: line([0.75, 0.25]),
        upper: line([0.75, 0.25]),
        pixels: [vec![0.5, 0.0], vec![1.0, 0.5]],
    };
    let rows = Rows {
        outputs: 2,
        coefficients: vec![1.0, 0.0, -1.0, 0.0],
        constants: vec![0.0; 2],
    };
    // y0 = relu(x0 - x1) is 0.5 at every t; as intervals, between 0 and 1.
    for (region, exact) in [
        (region.clone(), [0.5, -0.5]),
        (
            Region::Box {
                lower: vec![0.5, 0.0],
                upper: vec![1.0, 0.5],
            },
            [0.0, -1.0],
        ),
    ] {
        let margins = propagate(&network, &region)
            .unwrap()
            .margins(&network, &rows);
        // Radii are inflated by a millionth a step.
        for (margin, exact) in margins.into_iter().zip(exact) {
            assert!(
                margin <= exact && exact - margin < 1e-5,
                "{margin} for {exact}"
            );
        }
    }
}

#[test]
fn overflow_proves_nothing() {
    let net = Net::new(13)
        .input("x", &[1, 1])
        .floats("w", &[1, 1], &[3e38])
        .node("MatMul", &["x", "w"], "a")
        .node("Mul", &["a", "w"], "b")
        .node("Relu", &["b"], "r")
        .node("MatMul", &["r", "w"], "y")
        .output("y", &[1, 1]);
    let network = Network::new(&Builder::new(&net.model()).build().unwrap()).unwrap();
    let rows = Rows {
        outputs: 1,
        coefficients: vec![1.0],
        constants: vec![0.0],
    };
    let region = Region::Box {
        lower: vec![1e220],
        upper: vec![1e250],
    };
    let margins = propagate(&network, &region)
        .unwrap()
        .margins(&network, &rows);
    assert_eq!(margins, [f64::NEG_INFINITY]);
}
