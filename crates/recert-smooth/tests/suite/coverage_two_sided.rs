//! The confidence statement of two-sided certificates: how often is a radius
//! larger than the true one, or the class not the smoothed classifier's?
//!
//! By enumeration for few samples: the probability of a wrong certificate is
//! summed over all outcomes. By simulation for many: counts are drawn exactly
//! (multinomial by successive binomials) from laws chosen to be hard, at true
//! probabilities at which one of the two bounds fails as often as it may, near
//! a tie and beyond it, with many equal runners-up, near 1, with a selection
//! that takes a wrong class. A setting passes if its failures are at most
//! `alpha N + 3 sqrt(N alpha (1 - alpha))`.
//!
//! False alarms: were a true failure rate exactly alpha, a setting would fail
//! with probability at most 0.4 % (Poisson's tail where alpha N is 10). Seeds are
//! fixed, so whether there is one is settled once. Power:
//! `the_harness_notices_shares_that_sum_to_more_than_stated`.
//!
//! The ignored test draws a million certificates a setting:
//! `cargo test --release -p recert-smooth --test suite coverage_two_sided -- --ignored --nocapture`.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};
use recert_num::{Alpha, LowerBound, Radius, Sigma, UpperBound, clopper_pearson_lower};
use recert_smooth::bound::{Conclusion, Shares, Verdict, two_sided};

const SIGMA: f64 = 0.5;

/// Votes of the selection samples for which each of the three splits is taken.
const VOTES: [(u64, u64); 3] = [(100, 0), (90, 5), (50, 40)];

fn alpha(value: f64) -> Alpha {
    Alpha::new(value).unwrap()
}

fn sigma() -> Sigma {
    Sigma::new(SIGMA).unwrap()
}

/// The probabilities of the classes; what is left to 1 is no valid answer.
type Law = Vec<f64>;

/// The largest radius that is true of `class`, `None` where another class is at
/// least as likely. Rounded down, so that what is larger is counted as wrong
/// rather too often.
fn true_radius(law: &Law, class: usize) -> Option<f64> {
    let others = law.iter().enumerate().filter(|&(c, _)| c != class);
    let next = others.map(|(_, &p)| p).fold(0.0, f64::max);
    let (p, q) = (LowerBound::new(law[class]), UpperBound::new(next));
    let radius = Radius::two_sided(sigma(), p.unwrap(), q.unwrap()).unwrap();
    radius.map(Radius::get)
}

/// Whether the certificate drawn from these counts is wrong.
fn is_wrong(counts: [u64; 3], n: u64, shares: Shares, truth: Option<f64>) -> bool {
    let [class, k, other] = counts;
    let found = two_sided(k, other, n, shares).unwrap();
    let bounds = (found.p_lower, found.p_upper);
    let conclusion = Conclusion::two_sided(class as u16, bounds, sigma(), "two-sided").unwrap();
    match conclusion.verdict {
        Verdict::Certified { radius, .. } => truth.is_none_or(|truth| radius.get() > truth),
        Verdict::Abstained => false,
    }
}

// By enumeration -----------------------------------------------------------

/// Probability of a wrong certificate of class 0 with `n` samples of a law over
/// three classes, or over two and no valid answer.
fn exact_failure(law: [f64; 3], third_is_a_class: bool, n: u64, shares: Shares) -> f64 {
    let known = if third_is_a_class { 3 } else { 2 };
    let truth = true_radius(&law[..known].to_vec(), 0);
    let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    let power = |p: f64, k: u64| p.powi(k as i32);
    let mut failure = 0.0;
    for k in 0..=n {
        for second in 0..=n - k {
            let third = n - k - second;
            let other = if third_is_a_class {
                second.max(third)
            } else {
                second
            };
            if is_wrong([0, k, other], n, shares, truth) {
                let ways = choose(n, k) * choose(n - k, second);
                failure += ways * power(law[0], k) * power(law[1], second) * power(law[2], third);
            }
        }
    }
    failure
}

#[test]
fn few_samples_fail_no_more_often_than_stated_by_enumeration() {
    let mut worst: f64 = 0.0;
    for level in [0.3, 0.05] {
        for (votes, against) in VOTES {
            let shares = Shares::from_votes(votes, against, alpha(level)).unwrap();
            for n in [1, 2, 3, 5, 8, 12] {
                // Where a bound fails as often as it may: just below its values.
                let just_below = |k: u64, m: u64, share: Alpha| {
                    clopper_pearson_lower(k, m, share).unwrap().get() * (1.0 - 1e-12)
                };
                let mut laws = Vec::new();
                for k in 1..=n {
                    let p = just_below(k, n, shares.class);
                    for part in [0.0, 0.3, 0.5, 0.9, 1.0] {
                        laws.push([p, (1.0 - p) * part]);
                    }
                    let ratio = just_below(k, n, shares.ratio);
                    for either in [0.4, 0.8, 0.99, 1.0] {
                        laws.push([ratio * either, (1.0 - ratio) * either]);
                    }
                }
                for either in [0.2, 0.6, 1.0] {
                    laws.push([0.5 * either - 1e-12, 0.5 * either]);
                    laws.push([0.5 * either + 1e-9, 0.5 * either - 1e-9]);
                }
                for [p, q] in laws {
                    let law = [p, q, (1.0 - p - q).max(0.0)];
                    for third_is_a_class in [true, false] {
                        let failure = exact_failure(law, third_is_a_class, n, shares);
                        assert!(
                            failure <= level * (1.0 + 1e-9),
                            "{law:?} {third_is_a_class} n {n} {shares:?}: {failure}"
                        );
                        worst = worst.max(failure / level);
                    }
                }
            }
        }
    }
    // A share of 15/16 that fails as often as it may shows nearly all of alpha.
    eprintln!("by enumeration: at worst {worst:.4} of the alpha stated");
    assert!(worst > 0.8, "{worst}");
}

// By simulation ------------------------------------------------------------

/// Draws `n` samples of a law into `counts`, one of each class.
fn multinomial(rng: &mut StdRng, n: u64, law: &Law, counts: &mut [u64]) {
    let (mut left, mut mass) = (n, 1.0_f64);
    for (count, &p) in counts.iter_mut().zip(law) {
        let part = if mass > 0.0 { p / mass } else { 0.0 };
        *count = if left > 0 && part > 0.0 {
            let drawn = Binomial::new(left, part.min(1.0)).expect("a probability");
            drawn.sample(rng)
        } else {
            0
        };
        left -= *count;
        mass -= p;
    }
}

/// The largest count of a class other than `class`.
fn largest_beside(counts: &[u64], class: usize) -> u64 {
    let others = counts.iter().enumerate().filter(|&(c, _)| c != class);
    others.map(|(_, &count)| count).max().unwrap_or(0)
}

/// Which class is certified, and how alpha is split.
#[derive(Debug, Clone, Copy)]
enum Selection {
    /// By so many samples of the law itself, as `recert certify` does.
    Drawn(u64),
    /// This class, with these votes for it and the next best: the statement
    /// holds given any outcome of the selection, the unluckiest too.
    Given(usize, (u64, u64)),
}

struct Setting {
    name: String,
    law: Law,
    n: u64,
    selection: Selection,
}

/// The class with most votes, ties to the lower index, and what it and the next
/// best have.
fn select(rng: &mut StdRng, samples: u64, law: &Law, votes: &mut [u64]) -> (usize, (u64, u64)) {
    multinomial(rng, samples, law, votes);
    let best = (0..votes.len()).rev().max_by_key(|&class| votes[class]);
    let class = best.expect("there is a class");
    (class, (votes[class], largest_beside(votes, class)))
}

fn failures(seed: u64, trials: u64, setting: &Setting, level: f64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let law = &setting.law;
    let truths: Vec<_> = (0..law.len()).map(|c| true_radius(law, c)).collect();
    let (mut known, mut counts) = (HashMap::new(), vec![0; law.len()]);
    (0..trials)
        .filter(|_| {
            let (class, (votes, against)) = match setting.selection {
                Selection::Drawn(samples) => select(&mut rng, samples, law, &mut counts),
                Selection::Given(class, votes) => (class, votes),
            };
            let shares = Shares::from_votes(votes, against, alpha(level)).unwrap();
            multinomial(&mut rng, setting.n, law, &mut counts);
            let (k, other) = (counts[class], largest_beside(&counts, class));
            *known
                .entry((class, shares.class.get().to_bits(), k, other))
                .or_insert_with(|| {
                    let drawn = [class as u64, k, other];
                    is_wrong(drawn, setting.n, shares, truths[class])
                })
        })
        .count() as u64
}

/// `parts` equal classes of probability `each` beside the first.
fn beside(first: f64, parts: usize, each: f64) -> Law {
    std::iter::once(first)
        .chain(std::iter::repeat_n(each, parts))
        .collect()
}

fn settings(level: f64) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |name: &str, law: &Law, n: u64, selection: Selection| {
        all.push(Setting {
            name: format!("{name}, n = {n}, {selection:?}"),
            law: law.clone(),
            n,
            selection,
        });
    };
    for n in [10, 1000, 100_000] {
        // As a run does it.
        for n0 in [1, 10, 100] {
            let drawn = Selection::Drawn(n0);
            add("clear", &vec![0.7, 0.2, 0.05, 0.05], n, drawn);
            add("below one half", &vec![0.4, 0.2, 0.2, 0.1], n, drawn);
            add("nearly tied", &vec![0.45, 0.45 - 1e-9, 0.1], n, drawn);
            add("all alike", &beside(0.1 + 1e-9, 9, 0.1 - 1e-9), n, drawn);
            let certain = 1.0 - 1.0 / n as f64;
            add("near 1", &vec![certain, 1.0 / n as f64], n, drawn);
        }
        for votes in VOTES {
            let shares = Shares::from_votes(votes.0, votes.1, alpha(level)).unwrap();
            let first = Selection::Given(0, votes);
            let hardest = |k: u64, m: u64, share: Alpha| {
                clopper_pearson_lower(k, m, share).unwrap().get() * (1.0 - 1e-12)
            };
            // The class's bound fails as often as it may, the rest being one
            // class, many, or no answers at all.
            for part in [0.5, 0.9, 1.0] {
                let k = ((n as f64 * part) as u64).max(1);
                let p = hardest(k, n, shares.class);
                add("class at its hardest", &vec![p, 1.0 - p], n, first);
                add(
                    "and the rest many",
                    &beside(p, 20, (1.0 - p) / 20.0),
                    n,
                    first,
                );
                add("and the rest invalid", &vec![p, 0.0], n, first);
            }
            // The ratio does, the class being known much better or not.
            for (part, either) in [(0.55, 0.9), (0.6, 0.5), (0.9, 1.0), (1.0, 0.9)] {
                let m = ((n as f64 * either) as u64).max(1);
                let k = ((m as f64 * part) as u64).max(1);
                let ratio = hardest(k, m, shares.ratio);
                let law = vec![ratio * either, (1.0 - ratio) * either, 1.0 - either];
                add("ratio at its hardest", &law, n, first);
            }
            // A wrong class selected, so that every certificate is wrong.
            for (name, law) in [
                ("second of two", vec![0.5 - 1e-9, 0.5 + 1e-9]),
                (
                    "second with many beside",
                    vec![0.2 - 1e-9, 0.2, 0.2, 0.2, 0.2],
                ),
                (
                    "second, others small",
                    [vec![0.3 - 1e-9, 0.3], vec![0.04; 10]].concat(),
                ),
                ("tied below a third", beside(0.3, 1, 0.3)),
                ("one of forty", beside(0.025 - 1e-9, 39, 0.025)),
                ("far behind", vec![0.45, 0.55]),
            ] {
                add(name, &law, n, first);
            }
        }
    }
    all
}

/// How many of `trials` a failure probability of `alpha` allows.
fn allowed(trials: u64, alpha: f64) -> f64 {
    let mean = trials as f64 * alpha;
    mean + 3.0 * (mean * (1.0 - alpha)).sqrt()
}

fn check(trials: u64) {
    for level in [0.05, 0.002] {
        let mut worst = (0, String::new());
        for (i, setting) in settings(level).iter().enumerate() {
            let wrong = failures(100 + i as u64, trials, setting, level);
            let name = &setting.name;
            eprintln!("{name}: {wrong} of {trials} wrong, {level} stated");
            assert!(
                wrong as f64 <= allowed(trials, level),
                "{name}: {wrong} of {trials} at {level}"
            );
            worst = worst.max((wrong, name.clone()));
        }
        eprintln!(
            "two-sided at {level}: at worst {} of {trials} wrong ({:.5}): {}",
            worst.0,
            worst.0 as f64 / trials as f64,
            worst.1
        );
    }
}

#[test]
fn two_sided_is_wrong_no_more_often_than_stated() {
    check(4_000);
}

#[test]
#[ignore = "a million certificates a setting take minutes"]
fn two_sided_is_wrong_no_more_often_than_stated_in_a_million() {
    check(1_000_000);
}

/// The same harness on shares that sum to more than the level stated.
#[test]
fn the_harness_notices_shares_that_sum_to_more_than_stated() {
    let (trials, level) = (10_000, 0.05);
    for votes in VOTES {
        // The second of two classes: whichever bound has the larger share is
        // above 1/2 nearly as often as it may be.
        let setting = Setting {
            name: String::new(),
            law: vec![0.5 - 1e-9, 0.5 + 1e-9],
            n: 10_000,
            selection: Selection::Given(0, votes),
        };
        let wrong = failures(7, trials, &setting, 2.6 * level);
        assert!(wrong as f64 > allowed(trials, level), "{votes:?}: {wrong}");
    }
}
