//! Branch and bound of a changed network from another's parts, against enumeration.

use recert_bounds::{
    Constraint, ErrorKind, Leaf, Network, Options, Outcome, Property, Region, Search, Slopes,
    branch_and_bound_from, crown,
};
use recert_testing::test;

use crate::exact::least_on_line;
use crate::made::{Random, layers, network};

fn at_most(bound: f64) -> Property {
    let constraint = Constraint {
        coefficients: vec![(0, 1.0)],
        bound,
    };
    Property::avoiding(1, vec![vec![constraint]]).unwrap()
}

fn search(
    network: &Network,
    region: &Region,
    property: &Property,
    leaves: &[Vec<Leaf>],
) -> recert_bounds::Result<Outcome> {
    let options = Options::default();
    let bounds = crown(network, region, options)?;
    let (slopes, search) = (Slopes::default(), Search::default());
    branch_and_bound_from(
        network, region, &bounds, property, &slopes, leaves, search, options,
    )
}

test!(a_search_from_known_parts_decides_as_enumeration_does);
fn a_search_from_known_parts_decides_as_enumeration_does() {
    let mut random = Random::new(31);
    let [mut from_parts, mut from_scratch] = [0; 2];
    let mut undecided = [0; 2];
    for round in 0..60 {
        let of_f = layers(&mut random, &[1, 5, 5, 1], 4);
        let mut of_h = of_f.clone();
        for layer in &mut of_h {
            let place = random.next() as usize % layer.bias.len();
            layer.bias[place] += random.integer(1);
            layer.weights[place][0] += random.integer(1);
        }
        let (f, h) = (network(&of_f, 0), network(&of_h, 0));
        let (start, width) = (random.integer(4), 1 + round % 4);
        let region = Region::Box {
            lower: vec![start as f64],
            upper: vec![(start + width) as f64],
        };
        let [least_f, least_h] = [&of_f, &of_h].map(|layers| {
            let (n, d) = least_on_line(layers, &[start], &[width])[0];
            n as f64 / d as f64
        });
        let gap = |least: f64| 0.02 * (1.0 + least.abs());
        // Whatever was proved of f, for the bound that f keeps by a little.
        let property = at_most(least_f - gap(least_f));
        let Outcome::Verified { leaves, .. } = search(&f, &region, &property, &[]).unwrap() else {
            panic!("round {round}: f keeps the bound");
        };
        for (bound, holds) in [
            (least_h - gap(least_h), true),
            (least_h + gap(least_h), false),
        ] {
            let property = at_most(bound);
            match search(&h, &region, &property, &leaves).unwrap() {
                Outcome::Verified {
                    leaves: found,
                    nodes,
                } => {
                    assert!(holds, "round {round}: {least_h} {bound}");
                    let share = found[0]
                        .iter()
                        .map(|leaf| 0.5_f64.powi(leaf.splits.len() as i32));
                    assert_eq!(share.sum::<f64>(), 1.0);
                    if leaves[0].len() > 1 {
                        from_parts += nodes;
                        match search(&h, &region, &property, &[]).unwrap() {
                            Outcome::Verified { nodes, .. } | Outcome::Unknown { nodes, .. } => {
                                from_scratch += nodes;
                            }
                            outcome => panic!("round {round}: {outcome:?}"),
                        }
                    }
                }
                Outcome::Candidate { point, .. } => {
                    assert!(!holds, "round {round}: {least_h} {bound}");
                    assert!(region.contains(&point));
                    assert!(property.violated(&h.evaluate(&point)));
                }
                // The least points of parts need not violate a property that hardly is, and an
                // ascent from another network's multipliers may end before the best ones.
                Outcome::Unknown { .. } => undecided[usize::from(holds)] += 1,
                outcome => panic!("round {round}: {outcome:?}"),
            }
        }
    }
    assert!(
        from_parts > 0 && from_parts < from_scratch,
        "{from_parts} {from_scratch}"
    );
    assert!(undecided[0] < 10 && undecided[1] < 3, "{undecided:?}");
}

test!(parts_that_do_not_cover_the_region_are_refused);
fn parts_that_do_not_cover_the_region_are_refused() {
    let mut random = Random::new(32);
    let mut seen = 0;
    for _ in 0..40 {
        let layers = layers(&mut random, &[1, 5, 5, 1], 4);
        let network = network(&layers, 0);
        let region = Region::Box {
            lower: vec![-2.0],
            upper: vec![2.0],
        };
        let (n, d) = least_on_line(&layers, &[-2], &[4])[0];
        let property = at_most(n as f64 / d as f64 - 0.05);
        let outcome = search(&network, &region, &property, &[]).unwrap();
        let Outcome::Verified { mut leaves, .. } = outcome else {
            continue;
        };
        if leaves[0].len() < 2 {
            continue;
        }
        seen += 1;
        let mut other = leaves.clone();
        other[0][0].row = 1;
        let error = search(&network, &region, &property, &other).unwrap_err();
        assert!(error.to_string().contains("not of this network"), "{error}");
        let mut other = leaves.clone();
        other[0][0].splits[0].split.neuron = 99;
        let error = search(&network, &region, &property, &other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        leaves[0].pop();
        let error = search(&network, &region, &property, &leaves).unwrap_err();
        assert!(
            error.to_string().contains("do not cover the region"),
            "{error}"
        );
    }
    assert!(seen > 5, "{seen}");
}
