//! Improved slopes, and branch and bound, against the enumeration of all pieces.

use recert_bounds::{
    Ascent, Constraint, Network, Options, Outcome, Property, Region, Search, Slopes,
    branch_and_bound, crown, interval, lower, optimized, tightened,
};
use recert_testing::test;

use crate::bits::{ball, residual};
use crate::exact::least_on_line;
use crate::made::{Layer, Random, both, layers, network, point, scaled};

fn segment(start: i64, width: i64) -> Region {
    Region::Box {
        lower: vec![start as f64],
        upper: vec![(start + width) as f64],
    }
}

test!(slopes_of_an_activation_at_the_end_are_improved);
/// Of `relu(2 x + 1)` on [-1, 1] the line `2 x + 1` gives -1, the slope 0 the least value, 0.
fn slopes_of_an_activation_at_the_end_are_improved() {
    let layer = Layer {
        weights: vec![vec![2]],
        bias: vec![1],
    };
    let network = network(&[layer], 0).then_relu();
    let region = segment(-1, 2);
    let (options, slopes) = (Options::default(), Slopes::default());
    let rows = both(1);
    let bounds = crown(&network, &region, options).unwrap();
    let plain = lower(&network, &region, &bounds, &rows, &slopes, options).unwrap();
    assert!((plain[0] + 1.0).abs() < 1e-9);
    let ascent = Ascent {
        target: f64::INFINITY,
        ..Ascent::default()
    };
    let found = optimized(&network, &region, &bounds, &rows, &slopes, ascent, options).unwrap();
    assert!((-1e-9..=0.0).contains(&found.bounds[0]));
    assert!((found.bounds[1] + 3.0).abs() < 1e-9);
}

test!(improved_bounds_are_tighter_and_never_beat_enumeration);
fn improved_bounds_are_tighter_and_never_beat_enumeration() {
    let mut random = Random::new(21);
    let mut gained = 0;
    for round in 0..60 {
        let layers = layers(&mut random, &[1, 5, 5, 2], 4);
        let network = network(&layers, 0);
        let (start, width) = (random.integer(4), 1 + round % 4);
        let region = segment(start, width);
        let (options, slopes) = (Options::default(), Slopes::default());
        let rows = both(2);
        let bounds = crown(&network, &region, options).unwrap();
        let plain = lower(&network, &region, &bounds, &rows, &slopes, options).unwrap();
        let ascent = Ascent {
            target: f64::INFINITY,
            ..Ascent::default()
        };
        let tight = tightened(&network, &region, &bounds, ascent, options)
            .unwrap()
            .bounds;
        for value in 0..network.values() {
            let pairs = tight.lower[value].iter().zip(&bounds.lower[value]);
            assert!(pairs.into_iter().all(|(tight, loose)| tight >= loose));
        }
        let best = optimized(&network, &region, &bounds, &rows, &slopes, ascent, options).unwrap();
        // The slopes give the bounds again.
        let again = lower(&network, &region, &bounds, &rows, &best.slopes, options).unwrap();
        assert_eq!(again, best.bounds);
        let both = optimized(&network, &region, &tight, &rows, &slopes, ascent, options).unwrap();
        let least = least_on_line(&layers, &[start], &[width]);
        for (output, (n, d)) in least.into_iter().enumerate() {
            let (plain, best) = (plain[2 * output], best.bounds[2 * output]);
            assert!(best >= plain);
            for bound in [best, both.bounds[2 * output]] {
                assert!((bound * d as f64).floor() as i128 <= n);
            }
            gained += usize::from(best > plain + 0.01);
        }
    }
    assert!(gained > 20, "{gained}");
}

test!(branch_and_bound_decides_as_enumeration_does);
/// Unsafe is an output at or below a number; the truth is its least value.
fn branch_and_bound_decides_as_enumeration_does() {
    let mut random = Random::new(22);
    let mut split = 0;
    for round in 0..60 {
        let layers = layers(&mut random, &[1, 5, 5, 1], 4);
        let network = network(&layers, 0);
        let (start, width) = (random.integer(4), 1 + round % 4);
        let region = segment(start, width);
        let (n, d) = least_on_line(&layers, &[start], &[width])[0];
        let least = n as f64 / d as f64;
        let gap = 0.02 * (1.0 + least.abs());
        for (bound, holds) in [(least - gap, true), (least + gap, false)] {
            let constraint = Constraint {
                coefficients: vec![(0, 1.0)],
                bound,
            };
            let property = Property::avoiding(1, vec![vec![constraint]]).unwrap();
            match search(&network, &region, &property) {
                Outcome::Verified { leaves, .. } => {
                    assert!(holds, "round {round}: {least} {bound}");
                    // The leaves are those of a binary tree.
                    let share = leaves[0]
                        .iter()
                        .map(|leaf| 0.5_f64.powi(leaf.splits.len() as i32));
                    assert_eq!(share.sum::<f64>(), 1.0);
                    split += usize::from(leaves[0].len() > 1);
                }
                Outcome::Candidate { point, .. } => {
                    assert!(!holds, "round {round}: {least} {bound}");
                    assert!(region.contains(&point));
                    assert!(property.violated(&network.evaluate(&point)));
                }
                outcome => panic!("round {round}: {outcome:?}"),
            }
        }
    }
    assert!(split > 10, "{split}");
}

test!(no_decision_depends_on_the_scale_of_the_weights);
/// Weights times a power of two, each layer's biases times that of all layers so far: the same
/// network but for the unit of its output, with no number rounded otherwise.
fn no_decision_depends_on_the_scale_of_the_weights() {
    let mut random = Random::new(25);
    let (mut split, mut proved) = (0, 0);
    for round in 0..20 {
        let sizes = [2, 6, 6, 1];
        let layers = layers(&mut random, &sizes, 4);
        let region = Region::Box {
            lower: vec![random.integer(2) as f64; 2],
            upper: vec![3.0; 2],
        };
        let steps = sizes.len() as i32 - 1;
        let least = (0..200).map(|_| {
            let (lower, upper) = region.bounding_box();
            let between = |(l, u): (&f64, &f64), share: f64| l + (u - l) * share;
            let ends = lower.iter().zip(upper);
            let point: Vec<f64> = ends.map(|pair| between(pair, random.unit())).collect();
            network(&layers, 0).evaluate(&point)[0]
        });
        let least = least.fold(f64::INFINITY, f64::min);
        // Unsafe is an output a little below all that were seen.
        let bound = (least - 0.3 * (1.0 + least.abs())).floor();
        let decided = [-38, -13, 0, 13].map(|power: i32| {
            let constraint = Constraint {
                coefficients: vec![(0, 1.0)],
                bound: bound * 2_f64.powi(power * steps),
            };
            let property = Property::avoiding(1, vec![vec![constraint]]).unwrap();
            match search(&scaled(&layers, power), &region, &property) {
                Outcome::Verified { leaves, nodes } => ("verified", leaves[0].len(), nodes),
                Outcome::Candidate { nodes, .. } => ("candidate", 0, nodes),
                Outcome::Unknown { nodes, .. } => ("unknown", 0, nodes),
                outcome => panic!("round {round} at 2^{power}: {outcome:?}"),
            }
        });
        let same = decided.iter().all(|one| one.0 == decided[0].0);
        assert!(same, "round {round}: {decided:?}");
        // Ties between neurons to split may be decided otherwise, but a search is as long.
        let nodes = decided.map(|one| one.2);
        let [least, most] = [nodes.iter().min().unwrap(), nodes.iter().max().unwrap()];
        assert!(most - least <= 2 + least / 10, "round {round}: {decided:?}");
        proved += usize::from(decided[0].0 == "verified");
        split += usize::from(decided[0].1 > 1);
    }
    assert!(proved > 10 && split > 5, "{proved} {split}");
}

fn search(network: &Network, region: &Region, property: &Property) -> Outcome {
    let options = Options::default();
    let bounds = crown(network, region, options).unwrap();
    let slopes = Slopes::default();
    let search = Search::default();
    branch_and_bound(network, region, &bounds, property, &slopes, search, options).unwrap()
}

test!(conjunctions_are_avoided_by_one_constraint);
fn conjunctions_are_avoided_by_one_constraint() {
    // y = (|x|, -|x|) with |x| = relu(x) + relu(-x).
    let layers = [
        Layer {
            weights: vec![vec![1], vec![-1]],
            bias: vec![0, 0],
        },
        Layer {
            weights: vec![vec![1, 1], vec![-1, -1]],
            bias: vec![0, 0],
        },
    ];
    let network = network(&layers, 0);
    let region = segment(-1, 2);
    let at_most = |output: usize, bound: f64| Constraint {
        coefficients: vec![(output, 1.0)],
        bound,
    };
    // Never y0 <= -0.5 at all, so not with y1 <= 1 either.
    let holds = vec![
        vec![at_most(0, -0.5), at_most(1, 1.0)],
        vec![at_most(1, -1.5)],
    ];
    let property = Property::avoiding(2, holds).unwrap();
    assert!(matches!(
        search(&network, &region, &property),
        Outcome::Verified { .. }
    ));
    // y0 <= 0.25 and y1 <= 1 occurs at 0.
    let violated = vec![vec![at_most(0, 0.25), at_most(1, 1.0)]];
    let property = Property::avoiding(2, violated).unwrap();
    assert!(matches!(
        search(&network, &region, &property),
        Outcome::Candidate { .. }
    ));
}

test!(improved_bounds_hold_on_a_convolutional_network);
fn improved_bounds_hold_on_a_convolutional_network() {
    let network = residual();
    let region = ball(&network, 8, 0.05);
    let options = Options::default();
    let rows = both(5);
    let bounds = crown(&network, &region, options).unwrap();
    let plain = lower(
        &network,
        &region,
        &bounds,
        &rows,
        &Slopes::default(),
        options,
    )
    .unwrap();
    let ascent = Ascent {
        target: f64::INFINITY,
        ..Ascent::default()
    };
    let alone = optimized(
        &network,
        &region,
        &bounds,
        &rows,
        &Slopes::default(),
        ascent,
        options,
    );
    let alone = alone.unwrap();
    // Rows do not depend on each other, nor on how many fit.
    let fewer = Options {
        memory: options.memory / 200,
        ..options
    };
    let again = optimized(
        &network,
        &region,
        &bounds,
        &rows,
        &Slopes::default(),
        ascent,
        fewer,
    );
    assert_eq!(again.unwrap(), alone);
    let tight = tightened(&network, &region, &bounds, ascent, options)
        .unwrap()
        .bounds;
    let both = optimized(
        &network,
        &region,
        &tight,
        &rows,
        &Slopes::default(),
        ascent,
        options,
    );
    let both = both.unwrap();
    let gained = |better: &[f64], worse: &[f64]| {
        assert!(
            better
                .iter()
                .zip(worse)
                .all(|(better, worse)| better >= worse)
        );
        better.iter().zip(worse).map(|(b, w)| b - w).sum::<f64>()
    };
    assert!(gained(&alone.bounds, &plain) > 0.1);
    assert!(both.bounds.iter().sum::<f64>() > alone.bounds.iter().sum::<f64>());
    let (low, high) = region.bounding_box();
    let mut random = Random::new(23);
    for _ in 0..100 {
        let x = point(&mut random, low, high);
        for (i, y) in network.evaluate(&x).into_iter().enumerate() {
            assert!(both.bounds[2 * i] <= y && both.bounds[2 * i + 1] <= -y);
        }
    }
}

test!(a_property_is_decided_on_a_convolutional_network);
fn a_property_is_decided_on_a_convolutional_network() {
    let network = residual();
    let region = ball(&network, 9, 0.04);
    let (low, high) = region.bounding_box();
    let middle: Vec<f64> = low.iter().zip(high).map(|(l, h)| (l + h) / 2.0).collect();
    let outputs = network.evaluate(&middle);
    let best = (0..5)
        .max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]))
        .unwrap();
    let bounds = interval(&network, &region).unwrap();
    assert!(bounds.outputs(&network).0.len() == 5);
    let property = Property::label(5, best).unwrap();
    match search(&network, &region, &property) {
        Outcome::Verified { leaves, .. } => {
            assert_eq!(leaves.len(), 4);
            let mut random = Random::new(24);
            for _ in 0..200 {
                let x = point(&mut random, low, high);
                assert!(!property.violated(&network.evaluate(&x)));
            }
        }
        Outcome::Candidate { point, .. } => {
            assert!(region.contains(&point) && property.violated(&network.evaluate(&point)));
        }
        outcome => panic!("{outcome:?}"),
    }
}
