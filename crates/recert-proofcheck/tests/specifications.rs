//! VNN-LIB files and transformations against the prover's reading and bounds of them.

use recert_bounds as bounds;
use recert_bounds::geometric;
use recert_graph::testing::{Net, noise};
use recert_graph::{Builder, Graph};
use recert_ledger::{CellMethod, ProvedCell};
use recert_proofcheck::{
    MOST_TERMS, Network, NotComputed, Original, Property, Transformation, read_vnnlib,
    recompute_cells, recompute_property,
};

fn graph(net: &Net) -> Graph {
    Builder::new(&net.model()).build().unwrap()
}

const DECLARED: &str = "(declare-const X_0 Real)(declare-const X_1 Real)
    (declare-const Y_0 Real) (declare-fun Y_1 () Real) ; two of each
    (declare-const Y_2 Real)\n";

const BOX: &str = "(assert (and (>= X_0 -0.1) (<= X_0 0.3)))
    (assert (<= X_1 (+ 0.5 0.25))) (assert (>= X_1 (- 0.5)))\n";

/// Assertions, after declarations and a box.
const ASSERTED: [&str; 9] = [
    "(assert (<= Y_0 Y_1))",
    "(assert (or (<= Y_0 Y_1) (>= Y_2 0.1)))",
    "(assert (or (and (<= Y_0 0.5) (>= Y_1 Y_2)) (and (<= (* 3 Y_1) 2.5))))",
    "(assert (<= (+ (* 0.1 Y_0) (* -0.25 Y_1)) 1e-3))",
    "(assert (= Y_0 0.75)) (assert (or (<= Y_1 0) (<= Y_2 0)))",
    "(assert (or (and (<= X_0 0) (<= Y_0 1)) (and (>= X_0 0) (<= Y_1 1)) (<= Y_2 1)))",
    "(assert (>= (- Y_0 Y_1 (* 2 Y_2)) (* 0.5 Y_0)))",
    "(assert (<= (* 2 X_0) 0.5)) (assert (<= Y_0 0.1234567890123))",
    "(assert (and (or (<= Y_0 0) (<= Y_1 0)) (or (<= Y_1 1) (<= Y_2 1))))",
];

#[test]
fn both_readings_of_a_file_are_the_same() {
    for asserted in ASSERTED {
        let text = [DECLARED, BOX, asserted].concat();
        let ours = read_vnnlib(&text).unwrap();
        let theirs = bounds::vnnlib::parse(&text).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{asserted}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.sizes(), [2, 3]);
            let (lower, upper) = theirs.region.bounding_box();
            let (low, high) = ours.region.ends();
            for i in 0..2 {
                // No smaller, and larger by no more than rounding.
                assert!(low[i] <= lower[i] && lower[i] <= low[i].next_up().next_up());
                assert!(high[i] >= upper[i] && upper[i] >= high[i].next_down().next_down());
            }
            for seed in 0..50 {
                let outputs: Vec<f64> = noise(seed, 3).iter().map(|&y| y.into()).collect();
                let expected = theirs.property.worst(&outputs);
                let found = ours.property.excess(&outputs);
                assert!(
                    (found - expected).abs() <= 1e-12,
                    "{asserted}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    for (asserted, word) in [
        ("(assert (< Y_0 1))", "formula"),
        ("(assert (<= Y_3 1))", "declared"),
        ("(assert (<= (* Y_0 Y_1) 1))", "linear"),
        ("(assert (<= X_0 X_1)) (assert (<= Y_0 1))", "relates"),
        (
            "(assert (or (<= X_0 0) (<= Y_0 1)))",
            "nothing about the outputs",
        ),
        (
            "(assert (<= X_0 -1)) (assert (<= Y_0 1))",
            "no input satisfies",
        ),
        ("(assert (<= Y_0 1)", "not closed"),
        ("(declare-const Y_7 Real) (assert (<= Y_0 1))", "numbered"),
        ("(vnnlib-version 2)", "command"),
        ("(assert (<= (/ Y_0 2) 1))", "operator"),
    ] {
        let error = read_vnnlib(&[DECLARED, BOX, asserted].concat()).unwrap_err();
        assert!(error.contains(word), "{asserted}: {error}");
    }
    let error = read_vnnlib(&[DECLARED, "(assert (<= Y_0 1))"].concat()).unwrap_err();
    assert!(error.contains("bound"), "{error}");
}

/// One row of a conjunction is enough, and all conjunctions are needed.
#[test]
fn one_constraint_of_each_conjunction_is_proved() {
    // y = (x0 + x1, x0 - x1, 1) on [-0.1, 0.3] x [-0.5, 0.75].
    let net = Net::new(13)
        .input("x", &[1, 2])
        .floats("w", &[2, 3], &[1.0, 1.0, 0.0, 1.0, -1.0, 0.0])
        .floats("b", &[3], &[0.0, 0.0, 1.0])
        .node("Gemm", &["x", "w", "b"], "y")
        .output("y", &[1, 3]);
    let network = Network::of_outputs(&graph(&net)).unwrap();
    let margin = |asserted: &str| {
        let query = read_vnnlib(&[DECLARED, BOX, asserted].concat())
            .unwrap()
            .remove(0);
        let found =
            recompute_property(&network, &query.region, &query.property, None, MOST_TERMS).unwrap();
        assert!(found.margin <= found.seen + 1e-12, "{asserted}: {found:?}");
        found.margin
    };
    // The least of y0 is -0.6.
    assert!((margin("(assert (<= Y_0 -0.7))") - 0.1).abs() < 1e-9);
    assert!(margin("(assert (<= Y_0 -0.5))") < 0.0);
    // Not with y2 <= 0 as well, which is never so.
    assert!((margin("(assert (and (<= Y_0 -0.5) (<= Y_2 0)))") - 1.0).abs() < 1e-9);
    assert!(margin("(assert (or (<= Y_0 -0.5) (<= Y_2 0)))") < 0.0);
    assert!((margin("(assert (or (<= Y_0 -0.7) (<= Y_2 0)))") - 0.1).abs() < 1e-9);
}

#[test]
fn a_softmax_is_left_out_for_classes_alone() {
    let net = Net::new(13)
        .input("x", &[1, 2])
        .node("Softmax", &["x"], "y")
        .output("y", &[1, 2]);
    let graph = graph(&net);
    assert!(Network::new(&graph).is_ok());
    assert!(Network::of_outputs(&graph).is_err());
}

const SHAPE: [usize; 3] = [1, 6, 6];

/// Convolution and two layers, of an image of 6 by 6.
fn layers() -> Net {
    Net::new(13)
        .input("x", &[1, 1, 6, 6])
        .noise("k", &[3, 1, 3, 3])
        .noise("c", &[3])
        .node("Conv", &["x", "k", "c"], "z0")
        .node("Relu", &["z0"], "a0")
        .node("Flatten", &["a0"], "f")
        .noise("w1", &[48, 10])
        .noise("b1", &[10])
        .node("Gemm", &["f", "w1", "b1"], "z1")
        .node("Relu", &["z1"], "a1")
        .noise("w2", &[10, 3])
        .node("MatMul", &["a1", "w2"], "y")
        .output("y", &[1, 3])
}

#[test]
fn cells_that_were_proved_are_proved_again() {
    let graph = graph(&layers());
    let theirs = bounds::Network::for_labels(&graph).unwrap();
    let ours = Network::new(&graph).unwrap();
    let extents = geometric::Extents {
        channels: 1,
        height: 6,
        width: 6,
        layout: geometric::Layout::ChannelsFirst,
    };
    let (mut verified, mut total, mut proved) = (0, 0, 0);
    for (seed, text) in (1..13).flat_map(|seed| {
        let texts = [
            "rotate=-8..8",
            "rotate=-3..3,translate-x=-0.2..0.2",
            "scale=0.95..1.05,contrast=0.9..1.1",
        ];
        texts.map(|text| (seed, text))
    }) {
        let pixels: Vec<f32> = noise(seed, 36).iter().map(|x| x.midpoint(1.0)).collect();
        let values: Vec<f64> = pixels.iter().map(|&pixel| pixel.into()).collect();
        let outputs = theirs.evaluate(&values);
        let class = (0..3)
            .max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]))
            .unwrap();
        let definition: geometric::Transformation = text.parse().unwrap();
        let options = geometric::Options {
            cells: 400,
            ..geometric::Options::default()
        };
        let found =
            geometric::verify(&theirs, &extents, &values, class, &definition, &options).unwrap();
        if found.verdict != geometric::Verdict::Verified {
            continue;
        }
        let cells = found.proved.iter().map(|one| ProvedCell {
            ends: one
                .cell
                .lower
                .iter()
                .zip(&one.cell.upper)
                .map(|(&l, &u)| [l, u])
                .collect(),
            method: CellMethod::Crown,
            margin: one.margin,
        });
        let mut cells: Vec<ProvedCell> = cells.collect();
        let transformation = Transformation::parse(text).unwrap();
        let original = Original::new(&transformation, &pixels, SHAPE).unwrap();
        let property = Property::class(3, class).unwrap();
        let again = |cells: &[ProvedCell]| {
            recompute_cells(&ours, &original, &property, cells, MOST_TERMS).unwrap()
        };
        let found = again(&cells);
        assert_eq!(found.refuted, None);
        assert_eq!(found.proved + found.open, cells.len() as u64);
        verified += 1;
        total += cells.len() as u64;
        proved += found.proved;
        // A margin that no cell has.
        cells[0].margin += 10.0;
        assert!(
            again(&cells[..1])
                .refuted
                .is_some_and(|(cell, ..)| cell == 0)
        );
        // Of another class nothing is proved.
        let other = Property::class(3, (class + 1) % 3).unwrap();
        let found = recompute_cells(&ours, &original, &other, &cells, MOST_TERMS).unwrap();
        assert!(found.open > 0);
        let wrong = [ProvedCell {
            ends: vec![[0.0, 1.0]; 5],
            ..cells[0].clone()
        }];
        let found = recompute_cells(&ours, &original, &property, &wrong, MOST_TERMS);
        assert!(matches!(found, Err(NotComputed::Wrong(_))));
    }
    assert!(
        verified > 8 && proved * 20 >= total * 19,
        "{verified}: {proved} of {total}"
    );
}
