//! Verdicts that are known: a white pixel on a row, whose margin is linear in how far it moves.

use super::*;
use crate::geometric::{Layout, PixelBox, apply};
use recert_graph::Builder;
use recert_graph::testing::Net;

const ROW: Extents = Extents {
    channels: 1,
    height: 1,
    width: 8,
    layout: Layout::ChannelsFirst,
};

/// Two outputs, 3.5 times the sum of a row of pixels, and their sum weighted by column: the
/// margin of class 0 for one white pixel at column c is 3.5 - c. A ReLU between, which is
/// never inactive.
fn row_network() -> Network {
    let weights: Vec<f32> = (0..8_u8)
        .flat_map(|column| [3.5, f32::from(column)])
        .collect();
    let net = Net::new(13)
        .input("x", &[1, 8])
        .floats("w", &[8, 2], &weights)
        .floats("i", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .node("MatMul", &["x", "w"], "s")
        .node("Relu", &["s"], "r")
        .node("MatMul", &["r", "i"], "y")
        .output("y", &[1, 2]);
    Network::new(&Builder::new(&net.model()).build().unwrap()).unwrap()
}

/// One white pixel in column 2, moved to the right by up to `reach`.
fn moved(reach: f64, options: &Options) -> Outcome {
    let transformation: Transformation = format!("translate-x=0..{reach}").parse().unwrap();
    let mut image = [0.0; 8];
    image[2] = 1.0;
    verify(&row_network(), &ROW, &image, 0, &transformation, options).unwrap()
}

/// The margin is exactly 1.5 - t, so the verdicts are known.
#[test]
fn verdicts_are_the_known_ones() {
    for methods in [
        vec![Method::Forward],
        vec![Method::Crown],
        vec![Method::Merged(PixelBox::Vertices)],
        vec![Method::Merged(PixelBox::Knapsack)],
        vec![Method::Intervals(PixelBox::Sum)],
    ] {
        let options = Options {
            methods,
            ..Options::default()
        };
        for reach in [0.0, 0.5, 1.0, 1.49] {
            let outcome = moved(reach, &options);
            assert_eq!(
                outcome.verdict,
                Verdict::Verified,
                "{reach} by {:?}",
                options.methods
            );
            covers(&outcome.proved, reach);
        }
        for reach in [1.51, 1.6, 3.0] {
            let Verdict::Falsified { parameters, answer } = moved(reach, &options).verdict else {
                panic!("{reach} by {:?}", options.methods);
            };
            assert_eq!(answer, 1);
            assert!(1.5 < parameters[0] && parameters[0] <= reach);
        }
        // At 1.5 both outputs are the same: nothing is wrong, and nothing is proved.
        assert_eq!(moved(1.5, &options).verdict, Verdict::Unknown);
    }
}

/// The cells, put in order, are one interval without gaps, and every margin is one that
/// holds: 1.5 less the end of the cell.
fn covers(proved: &[Proved], reach: f64) {
    let mut ends: Vec<_> = (proved.iter())
        .map(|proved| (proved.cell.lower[0], proved.cell.upper[0], proved.margin))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(ends[0].0, 0.0);
    assert_eq!(ends[ends.len() - 1].1, reach);
    for pair in ends.windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
    }
    for (_, end, margin) in ends {
        assert!(
            margin > 0.0 && margin <= 1.5 - end + 1e-12,
            "{margin} up to {end}"
        );
    }
}

#[test]
fn a_fixed_grid_is_not_cut() {
    let fixed = |cells| Options {
        methods: vec![Method::Intervals(PixelBox::Sum)],
        grid: Some(vec![cells]),
        adaptive: false,
        samples: 0,
        ..Options::default()
    };
    assert_eq!(moved(1.0, &fixed(1)).verdict, Verdict::Unknown);
    let outcome = moved(1.0, &fixed(64));
    assert_eq!(outcome.verdict, Verdict::Verified);
    assert_eq!((outcome.proved.len(), outcome.work.passes()), (64, 64));
}

#[test]
fn budgets_end_the_search() {
    let few = Options {
        methods: vec![Method::Intervals(PixelBox::Sum)],
        cells: 3,
        ..Options::default()
    };
    let outcome = moved(1.49, &few);
    assert_eq!(
        (outcome.verdict, outcome.work.interval),
        (Verdict::Unknown, 3)
    );
    let none = Options {
        timeout: Some(Duration::ZERO),
        ..Options::default()
    };
    assert_eq!(moved(1.0, &none).verdict, Verdict::Unknown);
}

/// Of two parameters, of which one changes nothing, the other one is cut.
#[test]
fn cells_are_cut_along_the_parameter_that_matters() {
    let transformation: Transformation = "translate-x=0..1.4,brightness=0..1e-9".parse().unwrap();
    let mut image = [0.0; 8];
    image[2] = 1.0;
    let options = Options {
        methods: vec![Method::Intervals(PixelBox::Sum)],
        grid: Some(vec![1, 1]),
        ..Options::default()
    };
    let outcome = verify(&row_network(), &ROW, &image, 0, &transformation, &options).unwrap();
    assert_eq!(outcome.verdict, Verdict::Verified);
    for proved in &outcome.proved {
        assert_eq!((proved.cell.lower[1], proved.cell.upper[1]), (0.0, 1e-9));
    }
    let worst = apply(&transformation, &ROW, &image, &[1.4, 1e-9]).unwrap();
    let outputs = row_network().evaluate(&worst);
    assert!(outputs[0] > outputs[1]);
}

#[test]
fn refuses_what_does_not_fit() {
    let network = row_network();
    let transformation: Transformation = "translate-x=0..1".parse().unwrap();
    let options = Options::default();
    let narrow = Extents { width: 7, ..ROW };
    let grid = |grid| Options {
        grid: Some(grid),
        ..Options::default()
    };
    for (extents, label, options, want) in [
        (&narrow, 0, &options, "the network takes 8"),
        (&ROW, 2, &options, "label 2"),
        (&ROW, 0, &grid(vec![0]), "the grid [0]"),
        (&ROW, 0, &grid(vec![1, 1]), "the grid [1, 1]"),
        (&ROW, 0, &grid(vec![usize::MAX]), "at most 10000 cells"),
        (
            &ROW,
            0,
            &Options {
                methods: vec![],
                ..Options::default()
            },
            "no method",
        ),
    ] {
        let error = verify(
            &network,
            extents,
            &[0.5; 8],
            label,
            &transformation,
            options,
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
