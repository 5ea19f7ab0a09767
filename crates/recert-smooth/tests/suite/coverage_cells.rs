//! The bound over cells, exactly: how often is it above the truth?
//!
//! With few samples every outcome can be listed: how many of the n samples fall in
//! each cell (multinomial), how many pairs a rule takes of each when it sees these
//! numbers, and how many of them h answers with c (binomial). The probabilities of
//! the outcomes whose bound exceeds `sum pi_s theta_s` add up to the failure rate,
//! without error but rounding; it must be at most alpha for every law, rule and
//! tilt.

use recert_num::Alpha;
use recert_smooth::bound::{self, Cell};

/// Samples, of which the last cell's are in no cell of the bound.
const N: u64 = 10;

/// How many pairs to take of each cell, by how many samples there are.
type Rule = fn([u64; 2]) -> [u64; 2];

/// Everything, a part, and rules that play on the codes: many pairs only where the
/// codes are lucky, or unlucky.
const RULES: [(&str, Rule); 6] = [
    ("all", |n| n),
    ("half", |n| n.map(|n| n / 2)),
    ("few", |n| n.map(|n| n.min(2))),
    (
        "of the larger",
        |[a, b]| if a > b { [a, 0] } else { [0, b] },
    ),
    ("where lucky", |[a, b]| if a >= 8 { [a, b] } else { [0, 0] }),
    (
        "where unlucky",
        |[a, b]| if a <= 7 { [a, b] } else { [1, b.min(1)] },
    ),
];

fn ln_factorials() -> Vec<f64> {
    let mut sums = vec![0.0];
    for i in 1..=N {
        sums.push(sums[sums.len() - 1] + (i as f64).ln());
    }
    sums
}

fn power(p: f64, k: u64) -> f64 {
    if k == 0 { 1.0 } else { p.powi(k as i32) }
}

/// `P(bound > truth)` for one law; `bounds` by samples, and own answers.
fn failure(
    shares: [f64; 3],
    own: [f64; 2],
    rule: Rule,
    bound_of: &dyn Fn([u64; 2], [u64; 2], [u64; 2]) -> f64,
) -> f64 {
    let ln = ln_factorials();
    let choose = |n: u64, k: u64| (ln[n as usize] - ln[k as usize] - ln[(n - k) as usize]).exp();
    let truth = shares[0] * own[0] + shares[1] * own[1];
    let mut sum = 0.0;
    for a in 0..=N {
        for b in 0..=N - a {
            let codes = choose(N, a)
                * choose(N - a, b)
                * power(shares[0], a)
                * power(shares[1], b)
                * power(shares[2], N - a - b);
            if codes == 0.0 {
                continue;
            }
            let pairs = rule([a, b]);
            for x in 0..=pairs[0] {
                for y in 0..=pairs[1] {
                    let answers = choose(pairs[0], x)
                        * power(own[0], x)
                        * power(1.0 - own[0], pairs[0] - x)
                        * choose(pairs[1], y)
                        * power(own[1], y)
                        * power(1.0 - own[1], pairs[1] - y);
                    if answers > 0.0 && bound_of([a, b], pairs, [x, y]) > truth {
                        sum += codes * answers;
                    }
                }
            }
        }
    }
    sum
}

#[test]
fn no_law_makes_the_bound_fail_more_often_than_stated() {
    let mut worst = 0.0_f64;
    for (name, rule) in RULES {
        for alpha in [0.3, 0.05] {
            let level = Alpha::new(alpha).unwrap();
            for (tilt, tilts) in [
                (0.3, [1.0, 0.5]),
                (1.5, [20.0, 1.0]),
                (0.5, [1e9, 1e9]),
                (4.0, [0.2, 5.0]),
            ] {
                let mut known = std::collections::HashMap::new();
                for samples in 0..=N {
                    for others in 0..=N - samples {
                        let pairs = rule([samples, others]);
                        for x in 0..=pairs[0] {
                            for y in 0..=pairs[1] {
                                let cell = |i: usize, samples, own| Cell {
                                    samples,
                                    pairs: pairs[i],
                                    own,
                                    tilt: tilts[i],
                                };
                                let cells = [cell(0, samples, x), cell(1, others, y)];
                                let p = bound::cells(N, tilt, &cells, level).unwrap().get();
                                known.insert(([samples, others], [x, y]), p);
                            }
                        }
                    }
                }
                let bound_of = |samples, _, own| known[&(samples, own)];
                for shares in [
                    [1.0, 0.0, 0.0],
                    [0.8, 0.2, 0.0],
                    [0.5, 0.5, 0.0],
                    [0.6, 0.2, 0.2],
                    [0.3, 0.1, 0.6],
                    [0.95, 0.0, 0.05],
                ] {
                    for first in [0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 1.0] {
                        for second in [0.0, 0.5, 0.95, 1.0] {
                            let rate = failure(shares, [first, second], rule, &bound_of);
                            assert!(
                                rate <= alpha * (1.0 + 1e-9),
                                "{name} {alpha} {tilt} {tilts:?} {shares:?} {first} {second}: {rate}"
                            );
                            worst = worst.max(rate / alpha);
                        }
                    }
                }
            }
        }
    }
    println!("worst failure rate {worst:.3} of alpha");
    // The bound is not so loose that nothing is tested.
    assert!(worst > 0.3, "{worst}");
}

/// What must not be: the bound over cells where the codes are lucky, and fresh
/// samples elsewhere. Each holds for itself, and their failures add up; this is why
/// the family of a design is fixed before the codes are looked at.
#[test]
fn a_family_chosen_by_the_codes_fails() {
    let level = Alpha::new(0.3).unwrap();
    // h is f, and five fresh samples of c just show too much.
    let truth: f64 = 0.785;
    let fresh = bound::direct(5, 5, level).unwrap().get();
    assert!(fresh > truth);
    let lucky = |_, pairs: [u64; 2], own: [u64; 2]| {
        let cell = Cell {
            samples: N,
            pairs: pairs[0],
            own: own[0],
            tilt: 1e9,
        };
        if pairs[0] == N {
            bound::cells(N, 1.8, &[cell], level).unwrap().get()
        } else {
            0.0
        }
    };
    let all_of_c: Rule = |[a, _]| if a == N { [N, 0] } else { [0, 0] };
    let shares = [truth, 0.0, 1.0 - truth];
    let of_cells = failure(shares, [1.0, 0.0], all_of_c, &lucky);
    let of_fresh = truth.powi(5);
    assert!(of_cells <= 0.3 && of_fresh <= 0.3);
    let of_either = of_cells + (1.0 - truth.powi(N as i32)) * of_fresh;
    assert!(of_either > 1.1 * 0.3, "{of_cells} {of_fresh} {of_either}");
}
