//! Clopper-Pearson bounds at random counts, checked by a second, independent route.
//!
//! The crate computes a tail as a probability from Stirling's series, logarithms and an
//! exponential, times a sum or an integral. Here no such function occurs: with weights
//! `w_k = 1` and `w_(j+1)/w_j = (n-j)/(j+1) P/Q`, summed upward and downward from `k` until they no
//! longer matter, `P(X >= k) = A/(A + B)`, where `A` sums `w_k, w_(k+1), ...` and `B` the rest. The
//! sums run in a double-double arithmetic of this file's own; with at most `10^8` steps of
//! relative error `2^-98` their error is below `10^-21`, and what is cut off is below `10^-24`.
//!
//! A bound is on the sound side where the tail at it is at most `alpha`. Its slack is `(alpha -
//! tail)/(slope * bound)` to first order, with the slope `k w_k/((A + B) P)`.

use recert_num::{Alpha, CLOPPER_PEARSON_SLACK, clopper_pearson_lower, clopper_pearson_upper};

/// The error of the route above, rounded up generously, relative to the tail.
const ROUTE_ERROR: f64 = 1e-20;

#[derive(Clone, Copy)]
struct Wide(f64, f64);

impl Wide {
    fn sum(a: f64, b: f64) -> Self {
        let s = a + b;
        let t = s - a;
        Self(s, (a - (s - t)) + (b - t))
    }

    fn product(a: f64, b: f64) -> Self {
        let halves = |x: f64| {
            let t = 134_217_729.0 * x;
            let high = t - (t - x);
            (high, x - high)
        };
        let (p, (ah, al), (bh, bl)) = (a * b, halves(a), halves(b));
        Self(p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)
    }

    fn plus(self, other: Self) -> Self {
        let s = Self::sum(self.0, other.0);
        Self::sum(s.0, s.1 + (self.1 + other.1))
    }

    fn times(self, other: Self) -> Self {
        let p = Self::product(self.0, other.0);
        Self::sum(p.0, p.1 + (self.0 * other.1 + self.1 * other.0))
    }

    fn over(self, other: Self) -> Self {
        let q = self.0 / other.0;
        let back = other.times(Self(q, 0.0));
        Self::sum(q, ((self.0 - back.0) + (self.1 - back.1)) / other.0)
    }

    fn one_minus(x: f64) -> Self {
        Self::sum(1.0, -x)
    }
}

/// `P(X >= k)` and its slope in `P` for `X ~ Bin(n, P)`.
fn tail_and_slope(k: u64, n: u64, p: Wide, q: Wide) -> (Wide, f64) {
    let side = |mut top: f64, mut bottom: f64, odds: Wide| {
        let (mut term, mut sum) = (Wide(1.0, 0.0), Wide(0.0, 0.0));
        while top > 0.0 {
            let falling = odds.0 * top < 0.999_999 * bottom;
            let step = odds.times(Wide(top, 0.0)).over(Wide(bottom, 0.0));
            term = term.times(step);
            sum = sum.plus(term);
            // Beyond here the rest is below a geometric series.
            let ratio = step.0.min(1.0);
            if falling && term.0 * ratio < 1e-25 * (1.0 - ratio) * (1.0 + sum.0) {
                break;
            }
            top -= 1.0;
            bottom += 1.0;
        }
        sum
    };
    let above = side((n - k) as f64, (k + 1) as f64, p.over(q)).plus(Wide(1.0, 0.0));
    let below = side(k as f64, (n - k + 1) as f64, q.over(p));
    let all = above.plus(below);
    (above.over(all), k as f64 / (all.0 * p.0))
}

/// What a run has found.
#[derive(Default)]
struct Findings {
    bounds: u64,
    unsound: u64,
    undecided: u64,
    largest_slack: f64,
}

impl Findings {
    fn record(&mut self, tail: Wide, slope: f64, alpha: f64, bound: f64, case: &str) {
        self.bounds += 1;
        let room = (alpha - tail.0) - tail.1;
        if room < -ROUTE_ERROR * alpha {
            self.unsound += 1;
            println!("unsound: {case}, bound {bound:e}, room {room:e}");
        } else if room < ROUTE_ERROR * alpha {
            self.undecided += 1;
            println!("exact within the error of the check: {case}, bound {bound:e}");
        }
        self.largest_slack = self.largest_slack.max(room / (slope * bound));
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014), as uniform numbers in `[0, 1)`.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `n` log-uniform up to `largest`; `k` uniform, or near an end, or near the middle.
    fn counts(&mut self, largest: f64) -> (u64, u64) {
        let n = (largest.ln() * self.next()).exp() as u64;
        let small = (((n + 1) as f64).ln() * self.next()).exp() as u64 - 1;
        let near = (n as f64 / 2.0 + (self.next() - 0.5) * 6.0 * (n as f64).sqrt()).round();
        let k = match (self.next() * 8.0) as u32 {
            0 | 1 => small,
            2 | 3 => n - small.min(n),
            4 => near.clamp(0.0, n as f64) as u64,
            _ => (self.next() * (n + 1) as f64) as u64,
        };
        (k.min(n), n)
    }
}

fn run(points: u64, largest: f64, seed: u64) -> Findings {
    let mut uniform = Uniform(seed);
    let mut findings = Findings::default();
    for _ in 0..points {
        let (k, n) = uniform.counts(largest);
        let alpha = (1e-12_f64.ln() + uniform.next() * (0.5_f64 / 1e-12).ln())
            .exp()
            .min(0.5);
        let case = format!("k={k} n={n} alpha={alpha:e}");
        let checked = Alpha::new(alpha).unwrap();
        let low = clopper_pearson_lower(k, n, checked).unwrap().get();
        let high = clopper_pearson_upper(k, n, checked).unwrap().get();
        if k == 0 {
            assert_eq!(low, 0.0);
        } else {
            let (tail, slope) = tail_and_slope(k, n, Wide(low, 0.0), Wide::one_minus(low));
            findings.record(tail, slope, alpha, low, &format!("lower {case}"));
        }
        if k == n || high == 1.0 {
            // 1 is sound anywhere; it must be close where it is not exact.
            if k < n {
                let nearly = 1.0 - 1e-13;
                let (tail, _) =
                    tail_and_slope(n - k, n, Wide::one_minus(nearly), Wide(nearly, 0.0));
                assert!(tail.0 >= alpha, "{case}: 1 is too far from the upper bound");
                findings.bounds += 1;
            }
        } else {
            let (tail, slope) = tail_and_slope(n - k, n, Wide::one_minus(high), Wide(high, 0.0));
            findings.record(tail, slope, alpha, high, &format!("upper {case}"));
        }
    }
    println!(
        "{points} points, {} bounds: {} on the unsound side, {} undecided, largest relative slack {:e}",
        findings.bounds, findings.unsound, findings.undecided, findings.largest_slack
    );
    findings
}

#[test]
fn the_check_knows_small_cases() {
    // P(at least 2 of 3 fair coins) = 1/2, slope 3/2.
    let half = Wide(0.5, 0.0);
    let (tail, slope) = tail_and_slope(2, 3, half, half);
    assert!((tail.0 - 0.5 + tail.1).abs() < 1e-30 && (slope - 1.5).abs() < 1e-15);
    // P(at least 1 of 2 at 1/4) = 7/16, slope 3/2.
    let (tail, slope) = tail_and_slope(1, 2, Wide(0.25, 0.0), Wide(0.75, 0.0));
    assert!((tail.0 - 0.4375 + tail.1).abs() < 1e-30 && (slope - 1.5).abs() < 1e-15);
}

#[test]
fn thousands_of_points() {
    let findings = run(4_000, 1e6, 20_240_603);
    assert_eq!((findings.unsound, findings.undecided), (0, 0));
    assert!(findings.largest_slack <= CLOPPER_PEARSON_SLACK);
}

#[test]
#[ignore = "one million points, run with --ignored --release"]
fn one_million_points() {
    let findings = run(1_000_000, 1e8, 20_240_604);
    assert_eq!((findings.unsound, findings.undecided), (0, 0));
    assert!(findings.largest_slack <= CLOPPER_PEARSON_SLACK);
}

#[test]
#[ignore = "sums of millions of terms, run with --ignored --release"]
fn counts_up_to_the_largest() {
    let findings = run(500, recert_num::MAX_TRIALS as f64, 20_240_605);
    assert_eq!((findings.unsound, findings.undecided), (0, 0));
    assert!(findings.largest_slack <= CLOPPER_PEARSON_SLACK);
}
