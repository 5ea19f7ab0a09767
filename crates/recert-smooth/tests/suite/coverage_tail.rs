//! The bound by the tail, exactly: how often is it above the truth?
//!
//! Every outcome is listed: how many of n samples fall in one cell (binomial), how many pairs a
//! rule takes when it sees this number, and how many of them h answers with c (binomial). The
//! probabilities of the outcomes whose bound exceeds `pi theta` add up to the failure rate, without
//! error but rounding; it must be at most alpha for every law, rule and tilt. There are enough
//! pairs for the overshoot to count.

use recert_num::Alpha;
use recert_smooth::bound::{Cell, Lattice, tail};

const N: u64 = 90;

/// How many pairs to take, by how many samples there are in the cell.
type Rule = fn(u64) -> u64;

const RULES: [(&str, Rule); 4] = [
    ("all", |n| n),
    ("half", |n| n / 2),
    ("where lucky", |n| if n >= 60 { n } else { 0 }),
    ("more where unlucky", |n| if n < 50 { n } else { n / 3 }),
];

/// The probabilities of 0 to n events.
fn binomial(n: u64, p: f64) -> Vec<f64> {
    let mut chances = vec![1.0];
    for _ in 0..n {
        let mut next = vec![0.0; chances.len() + 1];
        for (k, chance) in chances.iter().enumerate() {
            next[k] += chance * (1.0 - p);
            next[k + 1] += chance * p;
        }
        chances = next;
    }
    chances
}

#[test]
fn no_law_makes_the_bound_fail_more_often_than_stated() {
    let (mut worst, mut sharper) = (0.0_f64, 0.0_f64);
    for (name, rule) in RULES {
        for alpha in [0.3, 0.05] {
            let level = Alpha::new(alpha).unwrap();
            for (codes, step) in [(0.1, 0.3), (0.3, 0.6), (0.6, 1.5), (0.3, 2.0)] {
                let bounds: Vec<Vec<f64>> = (0..=N)
                    .map(|samples| {
                        let pairs = rule(samples);
                        (0..=pairs)
                            .map(|own| {
                                let cell = Cell {
                                    samples,
                                    pairs,
                                    own,
                                    tilt: step,
                                };
                                let lattice = Lattice {
                                    step,
                                    multiples: &[1],
                                };
                                let found = tail(N, codes, &[cell], Some(lattice), level).unwrap();
                                let markov = tail(N, codes, &[cell], None, level).unwrap();
                                let p = found.p_lower.get();
                                sharper = sharper.max(p - markov.p_lower.get());
                                p
                            })
                            .collect()
                    })
                    .collect();
                for share in [0.3, 0.5, 0.7, 0.9, 1.0] {
                    let samples = binomial(N, share);
                    for own in [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98] {
                        let mut rate = 0.0;
                        for (count, &chance) in samples.iter().enumerate() {
                            let bounds = &bounds[count];
                            let answers = binomial(bounds.len() as u64 - 1, own);
                            let wrong = bounds.iter().zip(&answers);
                            let wrong = wrong.filter(|(bound, _)| **bound > share * own);
                            rate += chance * wrong.map(|(_, chance)| chance).sum::<f64>();
                        }
                        assert!(
                            rate <= alpha * (1.0 + 1e-9),
                            "{name} {alpha} {codes} {step} {share} {own}: {rate}"
                        );
                        worst = worst.max(rate / alpha);
                    }
                }
            }
        }
    }
    println!("worst failure rate {worst:.3} of alpha, sharper by up to {sharper:.3}");
    // The bound is not so loose that nothing is tested, and the overshoot is counted.
    assert!(worst > 0.2 && sharper > 0.005, "{worst} {sharper}");
}

/// Without the share of alpha for the spread, or with a smaller probability of one value than the
/// integral's, nothing would be proved. So a lattice that is not one is refused.
#[test]
fn lattices_that_do_not_fit_are_refused() {
    let level = Alpha::new(0.01).unwrap();
    let cell = Cell {
        samples: 50,
        pairs: 20,
        own: 10,
        tilt: 0.5,
    };
    let bound = |codes, step, multiples: &[u8]| {
        tail(
            100,
            codes,
            &[cell],
            Some(Lattice { step, multiples }),
            level,
        )
    };
    assert!(bound(0.1, 0.5, &[1]).is_ok() && bound(0.1, 0.5, &[0]).is_ok());
    for (codes, step, multiples) in [
        (0.6, 0.5, &[1][..]),
        (0.6, 0.7, &[0]),
        (0.1, 0.5, &[65]),
        (0.1, 0.5, &[1, 1]),
        (0.1, f64::NAN, &[1]),
        (0.1, -0.5, &[1]),
        (0.1, 1e11, &[2]),
    ] {
        assert!(
            bound(codes, step, multiples).is_err(),
            "{codes} {step} {multiples:?}"
        );
    }
}
