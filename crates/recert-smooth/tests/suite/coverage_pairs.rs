//! Bounds from the first m pairs, and joint bounds of two cells at any time, by
//! simulation: how often are they above, or below, what they bound?
//!
//! Counts are drawn exactly, at true probabilities at which one of a bound's
//! events fails as often as it may. The cells of a joint bound are looked at again
//! and again, and which one is tried next depends on what was seen. A setting
//! passes if its failures are at most `alpha N + 4 sqrt(N alpha)`: false alarms below
//! 1e-4 a setting, and seeds are fixed.
//!
//! Two-sided bounds, certificates from scratch, IRS and the published algorithm's
//! branches are simulated in `coverage.rs`, bounds by codes in `coverage_auto.rs`.
//! In full: `cargo test --release -p recert-smooth --test suite coverage_pairs -- --ignored
//! --nocapture`.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution};
use recert_num::{Alpha, clopper_pearson_lower, clopper_pearson_upper};
use recert_smooth::bound::{Beta, JointCell, PAIR_BOUNDS, PairBound, Pairs, joint_upper};

fn alpha(value: f64) -> Alpha {
    Alpha::new(value).unwrap()
}

#[track_caller]
fn assert_covered(name: &str, trials: u64, failures: u64, alpha: f64) {
    let mean = trials as f64 * alpha;
    println!(
        "{:.3} of alpha = {alpha}: {failures} of {trials}, {name}",
        failures as f64 / mean
    );
    assert!(
        failures as f64 <= mean + 4.0 * mean.sqrt(),
        "{name}: {failures} of {trials}"
    );
}

// The first m pairs -------------------------------------------------------

/// Probabilities that both answer c, f alone, h alone; and that neither does and
/// they disagree.
type Joint = [f64; 4];

fn draw([both, lost, gained, others]: Joint, (m, n): (u64, u64), rng: &mut StdRng) -> (u64, Pairs) {
    let (mut left, mut mass) = (m, 1.0_f64);
    let mut next = |p: f64| {
        let part = if mass > 0.0 {
            (p / mass).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let count = Binomial::new(left, part)
            .expect("a probability")
            .sample(rng);
        (left, mass) = (left - count, mass - p);
        count
    };
    let [both_c, f_alone, h_alone, other] = [both, lost, gained, others].map(&mut next);
    let pairs = Pairs {
        m,
        disagreements: f_alone + h_alone + other,
        own: both_c + h_alone,
        lost: f_alone,
        gained: h_alone,
        invalid: 0,
    };
    let rest = Binomial::new(n - m, (both + lost).clamp(0.0, 1.0)).expect("a probability");
    (both_c + f_alone + rest.sample(rng), pairs)
}

/// Laws that are hard for a bound with the shares of f, of what is lost and, if
/// it has it, of what is gained.
fn hard(shares: &[Alpha], m: u64) -> Vec<Joint> {
    let lost =
        |x: u64| (clopper_pearson_upper(x, m, shares[1]).unwrap().get() * (1.0 + 1e-9)).min(0.6);
    let mut laws = Vec::new();
    for x in [0, 1, 4] {
        if x <= m {
            let l = lost(x);
            laws.extend([
                [1.0 - l, l, 0.0, 0.0],
                [0.8 - l.min(0.3), l.min(0.3), 0.0, 0.0],
                [0.8 - l.min(0.3), l.min(0.3), 0.05, 0.1],
            ]);
            // h gains what its bound just misses.
            if let Some(&share) = shares.get(2) {
                let gained = clopper_pearson_lower((m / 10).max(1), m, share)
                    .unwrap()
                    .get();
                let gained = (gained * (1.0 - 1e-9)).min(0.4);
                laws.push([0.55 - l.min(0.3), l.min(0.3), gained, 0.0]);
                laws.push([0.55, 1e-9, gained, 0.0]);
            }
        }
    }
    laws.extend([
        [0.5, 0.1, 0.0, 0.3],
        [0.45, 0.1, 0.05, 0.0],
        [0.0, 0.9, 0.0, 0.1],
        [0.9, 0.0, 0.1, 0.0],
    ]);
    laws
}

fn pairs(bound: &dyn PairBound, levels: &[f64], trials: u64) {
    for &level in levels {
        let weights: Vec<f64> = bound.weights().to_vec();
        let shares = alpha(level).split(&weights).unwrap();
        let mut worst = (0, String::new());
        for (m, n) in [
            (1, 50),
            (2, 100),
            (5, 50),
            (50, 50),
            (100, 100_000),
            (1_000, 100_000),
        ] {
            for (i, joint) in hard(&shares, m).into_iter().enumerate() {
                let mut rng = StdRng::seed_from_u64(m << 8 | i as u64);
                let truth = joint[0] + joint[2];
                let mut known = HashMap::new();
                let failures = (0..trials)
                    .filter(|_| {
                        let (k, pairs) = draw(joint, (m, n), &mut rng);
                        let key = (k, pairs.disagreements, pairs.lost, pairs.gained);
                        *known.entry(key).or_insert_with(|| {
                            bound.lower(k, n, &pairs, &shares).unwrap().get() > truth
                        })
                    })
                    .count() as u64;
                let mean = trials as f64 * level;
                let name = format!("{}, m = {m} of {n}, {joint:?}", bound.name());
                assert!(
                    failures as f64 <= mean + 4.0 * mean.sqrt(),
                    "{name}: {failures} of {trials}"
                );
                worst = worst.max((failures, name));
            }
        }
        assert_covered(&worst.1, trials, worst.0, level);
    }
}

#[test]
fn bounds_of_pairs_are_wrong_no_more_often_than_stated() {
    for bound in PAIR_BOUNDS {
        pairs(bound, &[0.05], 2_000);
    }
}

#[test]
#[ignore = "a million certificates a setting take minutes"]
fn bounds_of_pairs_are_wrong_no_more_often_than_stated_in_a_million() {
    for bound in PAIR_BOUNDS {
        pairs(bound, &[0.05, 0.002], 100_000);
    }
}

// Two cells at any time ---------------------------------------------------

/// Which cell is tried next, from trials and events so far.
type Next = fn([u64; 2], [u64; 2]) -> usize;

const RULES: [(&str, Next); 4] = [
    ("in turn", |m, _| usize::from(m[1] < m[0])),
    ("where fewer events were seen", |_, x| {
        usize::from(x[1] < x[0])
    }),
    // Leaves a cell as soon as it looks bad, and comes back when the other does.
    ("where the share is less", |m, x| {
        let share = |i: usize| (x[i] as f64 + 0.5) / (m[i] as f64 + 1.0);
        usize::from(share(1) < share(0))
    }),
    ("the first until something is seen there", |_, x| {
        usize::from(x[0] > 0)
    }),
];

struct Cells {
    theta: [f64; 2],
    weight: [f64; 2],
    prior: [Beta; 2],
}

impl Cells {
    fn all() -> Vec<Self> {
        let beta = |a: f64, b: f64| Beta::new(a, b).unwrap();
        let mut all = Vec::new();
        for theta in [[0.02, 0.4], [0.1, 0.1], [0.002, 0.9], [0.5, 0.5]] {
            for prior in [
                [beta(0.5, 0.5), beta(0.5, 0.5)],
                // As thought, and as wrong as may be.
                [beta(0.5, 25.0), beta(12.0, 13.0)],
                [beta(50.0, 0.5), beta(0.5, 5_000.0)],
            ] {
                all.push(Self {
                    theta,
                    weight: [0.7, 0.2],
                    prior,
                });
            }
        }
        all
    }

    /// Runs in which the bound is, at some look, below what it bounds: no rule of
    /// stopping fails more often than that.
    fn failures(
        &self,
        next: Next,
        (most, every): (u64, u64),
        level: f64,
        runs: u64,
        seed: u64,
    ) -> u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let truth = self.weight[0] * self.theta[0] + self.weight[1] * self.theta[1];
        let mut known = HashMap::new();
        let mut ever_wrong = || {
            let (mut m, mut x) = ([0_u64; 2], [0_u64; 2]);
            for step in 1..=most {
                let i = next(m, x);
                m[i] += 1;
                x[i] += u64::from(rng.random::<f64>() < self.theta[i]);
                if step % every == 0 || step < 6 {
                    let wrong = *known.entry((m, x)).or_insert_with(|| {
                        let cell = |i: usize| JointCell {
                            weight: self.weight[i],
                            trials: m[i],
                            events: x[i],
                            prior: self.prior[i],
                        };
                        let cells = [cell(0), cell(1)];
                        joint_upper(&cells, alpha(level)).unwrap().bound < truth
                    });
                    if wrong {
                        return true;
                    }
                }
            }
            false
        };
        (0..runs).filter(|_| ever_wrong()).count() as u64
    }
}

fn two_cells(level: f64, (most, every): (u64, u64), runs: u64) {
    for (name, next) in RULES {
        let mut all = 0;
        let mut worst = (0, String::new());
        for (i, cells) in Cells::all().into_iter().enumerate() {
            let failures = cells.failures(next, (most, every), level, runs, i as u64);
            let about = format!("two cells {:?}, {:?}, {name}", cells.theta, cells.prior);
            let mean = runs as f64 * level;
            assert!(
                failures as f64 <= mean + 4.0 * mean.sqrt(),
                "{about}: {failures} of {runs}"
            );
            worst = worst.max((failures, about));
            all += runs;
        }
        println!("{all} runs, worst:");
        assert_covered(&worst.1, runs, worst.0, level);
    }
}

#[test]
fn joint_bounds_of_two_cells_hold_at_any_time() {
    two_cells(0.05, (90, 10), 300);
}

#[test]
#[ignore = "a million runs take minutes"]
fn joint_bounds_of_two_cells_hold_at_any_time_in_a_million() {
    two_cells(0.05, (240, 4), 25_000);
}
