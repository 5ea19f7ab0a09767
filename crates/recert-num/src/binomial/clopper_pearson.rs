//! One-sided Clopper-Pearson bounds, proved at run time to lie on their side.
//!
//! The lower bound solves `P(X >= k) = alpha` in `p`, the upper one `P(X <= k) = alpha`, which is
//! `P(n - X >= n - k) = alpha`: in both cases an upper tail `T` of a binomial reaches
//! `alpha`, with the success probability `P` equal to the bound or to 1 minus it (exact
//! in double-double).
//!
//! ## Why the result is on its side
//! Newton's method, unproved, leads to a `v` at which `T` is enclosed in `[T-, T+]` and its
//! slope `f = dT/dP` in `[f-, f+]` (see [`tail`]). A last step `h` is then taken so that
//! `T <= alpha` is proved at the end, which puts the end on the sound side of the root, as
//! `T` is monotone. Along the step, `ln f` has at `v` the slope `g = (k-1)/P - (n-k)/Q`, or
//! its negative where the step lets `P` fall, and a second derivative in `[-H, 0]`, where
//! `H = 1.04 ((k-1)/P^2 + (n-k)/Q^2)` covers the step, as that is below a hundredth of `P`
//! and of `Q`. So `f- exp(g t - H t^2/2) <= f(t) <= f+ exp(g t)` at distance `t`, and
//!
//! * if `T+ <= alpha`, stepping towards the root by `h` leaves
//!   `T <= T+ + f+ (exp(g h) - 1)/g`, which is at most `alpha` for `h <= ln(1 + y)/g` with
//!   `y = g (alpha - T+)/f+`;
//! * if `T+ > alpha`, stepping away by `h` gives
//!   `T <= T+ - f- (1 - H h^2/2) (exp(g h) - 1)/g`, which is at most `alpha` for
//!   `h >= ln(1 + y)/g` with `y = g s (1 + b)`, `s = (T+ - alpha)/f-` and `b` at least
//!   `(H h^2/2)/(1 - H h^2/2)`. As `|y| <= 0.021` and `b <= 0.01` are demanded,
//!   `h <= 1.03 s`, and `b = 1.05 H s^2` is more than enough.
//!
//! The step is `s (1 + b) ln(1 + y)/y` (without `1 + b` in the first case), in which
//! `ln(1 + y)/y` is a short series. Its roundings (a dozen, below `2e-15`), and those of `g`
//! (`4u` of `(k-1)/P + (n-k)/Q`, times half the step), are covered by a relative margin of
//! `4e-15 + 1e-15 s ((k-1)/P + (n-k)/Q)`, and the final sum is rounded outward.
//!
//! Near 1 the `f64` grid can be too coarse for that last step: `P = 1 - v` may be less
//! than the spacing. There the proof is a bracket: `T <= alpha` at the result (at `v = 1`,
//! where `T = 0`, if need be) and `T >= alpha` within a relative `1e-13` of it.
//!
//! ## Why it is close
//! By the same inequalities the root lies within `(T+ - T-)/f-` (and one twentieth more) of
//! the result, but for `2b`, the relative width of `f` and twice the margin, each times the
//! step, and one rounding. That width is computed, and where it is above
//! [`CLOPPER_PEARSON_SLACK`] times the bound an error is returned. It never is in
//! practice: a relative error `e` of the tail moves the root by a relative `e T/(v f)`,
//! where `T/(v f) <= 1.5` and falls like `1/sqrt(k)`.

use super::check_counts;
use super::tail::{Beyond, SMALLEST_P, Tail, tail};
use crate::dd::Dd;
use crate::directed::{add_down, add_up};
use crate::error::Error;
use crate::normal::quantile_guess;
use crate::types::{Alpha, LowerBound, UpperBound};

/// Relative slack of both bounds: `1e-12`, relative to the bound itself.
pub const CLOPPER_PEARSON_SLACK: f64 = 1e-12;

/// The smallest failure probability that is accepted.
pub const MIN_ALPHA: f64 = 1e-40;

/// The largest failure probability that is accepted.
pub const MAX_ALPHA: f64 = 0.5;

/// A last step may add this much to the slack, relative to the bound.
const STEP_SLACK: f64 = 2e-14;

/// A bracket of the root this narrow, relative to the bound, ends the search too.
const BRACKET_SLACK: f64 = 1e-13;

/// Evaluations of the tail before the search is given up; three are usual.
const MAX_EVALUATIONS: usize = 100;

/// Lower Clopper-Pearson bound `BetaInv(alpha; k, n - k + 1)`, 0 at `k = 0`: with probability
/// at least `1 - alpha` over the `k` of `n` independent trials, the success probability
/// is not below it.
///
/// Domain: `0 <= k <= n`, `1 <= n <= 2^40`, `alpha` in [`MIN_ALPHA`]`..=`[`MAX_ALPHA`]. The result is
/// never above the exact bound and at least it times `1 -` [`CLOPPER_PEARSON_SLACK`]. Fails
/// outside the domain, and where that accuracy cannot be proved.
///
/// Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the
/// case of the binomial", Biometrika 26 (1934).
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{Alpha, clopper_pearson_lower};
/// let bound = clopper_pearson_lower(99_000, 100_000, Alpha::new(0.001)?)?;
/// assert_eq!(format!("{bound:.9}"), "0.988989340");
/// # Ok(())
/// # }
/// ```
pub fn clopper_pearson_lower(k: u64, n: u64, alpha: Alpha) -> Result<LowerBound, Error> {
    check(k, n, alpha)?;
    if k == 0 {
        return Ok(LowerBound::ZERO);
    }
    let problem = Problem {
        k: k as f64,
        n: n as f64,
        alpha: alpha.get(),
        rising: true,
    };
    problem.solve().map(LowerBound::clamped)
}

/// Upper Clopper-Pearson bound `BetaInv(1 - alpha; k + 1, n - k)`, 1 at `k = n`: with
/// probability at least `1 - alpha` over the `k` of `n` independent trials, the success
/// probability is not above it.
///
/// Domain and errors as for [`clopper_pearson_lower`]. The result is never below the
/// exact bound and at most it times `1 +` [`CLOPPER_PEARSON_SLACK`].
///
/// ```
/// # fn main() -> Result<(), recert_num::Error> {
/// use recert_num::{Alpha, clopper_pearson_upper};
/// // No success in 1,000 trials: 1 - alpha^(1/n).
/// let bound = clopper_pearson_upper(0, 1_000, Alpha::new(0.001)?)?;
/// assert_eq!(format!("{bound:.9}"), "0.006883952");
/// # Ok(())
/// # }
/// ```
pub fn clopper_pearson_upper(k: u64, n: u64, alpha: Alpha) -> Result<UpperBound, Error> {
    check(k, n, alpha)?;
    if k == n {
        return Ok(UpperBound::ONE);
    }
    let problem = Problem {
        k: (n - k) as f64,
        n: n as f64,
        alpha: alpha.get(),
        rising: false,
    };
    problem.solve().map(UpperBound::clamped)
}

fn check(k: u64, n: u64, alpha: Alpha) -> Result<(), Error> {
    check_counts(k, n)?;
    if n == 0 {
        return Err(Error::domain("a Clopper-Pearson bound of no trials"));
    }
    if !(MIN_ALPHA..=MAX_ALPHA).contains(&alpha.get()) {
        return Err(Error::domain(format!(
            "failure probability {alpha} of a Clopper-Pearson bound is not in \
             [{MIN_ALPHA:e}, {MAX_ALPHA}]"
        )));
    }
    Ok(())
}

/// Find `v` such that the upper tail at `k` of `Bin(n, P)` is at most `alpha`, close to
/// equality; `P = v` where `rising`, else `P = 1 - v`.
#[derive(Clone, Copy, Debug)]
struct Problem {
    k: f64,
    n: f64,
    alpha: f64,
    rising: bool,
}

/// What the end of a step proves.
struct Proved {
    value: f64,
    /// Bound on the distance to the root.
    slack: f64,
}

impl Problem {
    fn solve(&self) -> Result<f64, Error> {
        // Newton runs in the logarithm of the smaller of P and Q, called w.
        let (p, q) = self.guess();
        let of_success = p <= 0.5;
        let w_is_v = of_success == self.rising;
        let swap = |x: f64| if w_is_v { x } else { 1.0 - x };
        let mut v = swap(if of_success { p } else { q });
        // The tail is at most alpha at `sound` and at least alpha at `unsound`.
        let (mut sound, mut unsound) = if self.rising { (0.0, 1.0) } else { (1.0, 0.0) };
        for _ in 0..MAX_EVALUATIONS {
            // Where the guess is rounded to 1, the bracket can be had at once.
            v = if v >= 1.0 {
                1.0 - 0.4 * BRACKET_SLACK
            } else {
                v.max(SMALLEST_P)
            };
            if !is_between(v, sound, unsound) {
                v = swap(middle(swap(sound), swap(unsound)));
                if !is_between(v, sound, unsound) {
                    break;
                }
            }
            let (given, rest) = (Dd::from_f64(v), Dd::one_minus(v));
            let (p, q) = if self.rising {
                (given, rest)
            } else {
                (rest, given)
            };
            let mut next = f64::NAN;
            let is_sound = match tail(self.k, self.n, p, q) {
                Ok(tail) => {
                    if let Some(proved) = self.last_step(v, p.to_f64(), q.to_f64(), &tail) {
                        if proved.slack > CLOPPER_PEARSON_SLACK * proved.value {
                            break;
                        }
                        return Ok(proved.value);
                    }
                    let w = if of_success { p.to_f64() } else { q.to_f64() };
                    next = swap(self.newton(w, of_success, p.to_f64(), q.to_f64(), &tail));
                    if tail.high > self.alpha && tail.low < self.alpha {
                        break;
                    }
                    tail.high <= self.alpha
                }
                // Above the mean the tail is at most TAIL_FLOOR, below MIN_ALPHA; and at
                // least 1/2, for k is at most the median, where nP is k + 1 or more.
                Err(Beyond::Tiny) if self.k >= self.n * p.to_f64() => true,
                Err(_) if self.k + 1.0 <= self.n * p.to_f64() * (1.0 - 1e-15) => false,
                Err(_) => break,
            };
            if is_sound {
                sound = v;
            } else {
                unsound = v;
            }
            if (sound - unsound).abs() <= BRACKET_SLACK * sound.min(unsound) {
                return Ok(sound);
            }
            if next == v {
                // The grid of f64 is coarser than the step: look at the other side.
                let away = 0.4 * BRACKET_SLACK * v;
                next = if (unsound > sound) == is_sound {
                    v + away
                } else {
                    v - away
                };
            }
            v = next;
        }
        Err(Error::unproved(format!(
            "the Clopper-Pearson bound for tail count {} of {} at failure probability {} could \
             not be proved within a relative {CLOPPER_PEARSON_SLACK:e}",
            self.k, self.n, self.alpha
        )))
    }

    /// The end of a step from `v` at which the tail is proved to be at most `alpha`, if
    /// `v` is so close to the root that the proof costs next to nothing.
    fn last_step(&self, v: f64, p: f64, q: f64, tail: &Tail) -> Option<Proved> {
        let gap = self.alpha - tail.high;
        let (below, rest) = ((self.k - 1.0) / p, (self.n - self.k) / q);
        // Towards the root P grows, away from it P falls.
        let (slope, tilt) = if gap >= 0.0 {
            (tail.slope_high, below - rest)
        } else {
            (tail.slope_low, rest - below)
        };
        let size = gap.abs() / slope;
        let curvature = 1.04 * (below / p + rest / q);
        let bend = 1.05 * curvature * size * size;
        let y = tilt * size;
        if !(y.abs() <= 0.02
            && bend <= 0.01
            && size * bend <= STEP_SLACK * v
            && size <= 0.009 * p.min(q))
        {
            return None;
        }
        let rounding = 4e-15 + 1e-15 * size * (below + rest);
        let step = if gap >= 0.0 {
            size * ln_1p_ratio(y) * (1.0 - rounding)
        } else {
            let needed = size * (1.0 + bend);
            needed * ln_1p_ratio(tilt * needed) * (1.0 + rounding)
        };
        // A positive gap leaves room towards the root: up for a rising tail.
        let towards = if gap >= 0.0 { step } else { -step };
        let value = if self.rising {
            add_down(v, towards)
        } else {
            add_up(v, -towards)
        };
        let slope_width = (tail.slope_high - tail.slope_low) / tail.slope_low;
        let slack = 1.05 * (tail.high - tail.low) / tail.slope_low
            + 1.1 * size * (2.0 * bend + slope_width + 2.0 * rounding)
            + f64::EPSILON * v;
        Some(Proved { value, slack })
    }

    /// The next `w` by Halley's method for `ln T = ln alpha` in `ln w`, unproved.
    fn newton(&self, w: f64, of_success: bool, p: f64, q: f64, tail: &Tail) -> f64 {
        let sign = if of_success { 1.0 } else { -1.0 };
        let value = 0.5 * (tail.low + tail.high);
        let gap = (value / self.alpha).ln();
        let slope = sign * w * tail.slope_low / value;
        let bend = sign * ((self.k - 1.0) / p - (self.n - self.k) / q);
        let damping = (1.0 - 0.5 * gap * (1.0 + w * bend - slope) / slope).clamp(0.5, 2.0);
        let step = (-gap / slope / damping).clamp(-2.0, 2.0);
        w * step.exp()
    }

    /// An unproved first guess of `P` and `Q` at the root, the quantile of order `alpha`
    /// of the beta distribution with parameters `k` and `n - k + 1`.
    fn guess(&self) -> (f64, f64) {
        let (a, b) = (self.k, self.n - self.k + 1.0);
        if b == 1.0 {
            let log = self.alpha.ln() / a;
            return (log.exp(), -log.exp_m1());
        }
        if a == 1.0 {
            let log = (-self.alpha).ln_1p() / b;
            return (-log.exp_m1(), log.exp());
        }
        let z = quantile_guess(self.alpha);
        let logit = if a.min(b) < 20.0 {
            // Abramowitz and Stegun 26.5.22.
            let lambda = (z * z - 3.0) / 6.0;
            let (r, s) = (1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0));
            let h = 2.0 / (r + s);
            2.0 * (z * (h + lambda).max(0.0).sqrt() / h
                + (s - r) * (lambda + 5.0 / 6.0 - 2.0 / (3.0 * h)))
                + (a / b).ln()
        } else {
            cornish_fisher(a, b, z)
        };
        let odds = (-logit).clamp(-120.0, 120.0).exp();
        (1.0 / (1.0 + odds), odds / (1.0 + odds))
    }
}

/// The logit of a beta variate at the normal quantile `z`, by the Cornish-Fisher expansion
/// to third order, unproved. The cumulants of the logit are differences and sums of
/// polygamma functions, here their asymptotic series.
fn cornish_fisher(a: f64, b: f64, z: f64) -> f64 {
    let (r, s) = (1.0 / a, 1.0 / b);
    let second = |r: f64| r * (1.0 + r * (0.5 + r * (1.0 / 6.0 - r * r / 30.0)));
    let third = |r: f64| r * r * (1.0 + r * (1.0 + 0.5 * r));
    let fourth = |r: f64| r * r * r * (2.0 + r * (3.0 + 2.0 * r));
    let fifth = |r: f64| r * r * r * r * (6.0 + 12.0 * r);
    let mean = (a / b).ln() - 0.5 * (r - s) - (r * r - s * s) / 12.0
        + (r * r * r * r - s * s * s * s) / 120.0;
    let variance = second(r) + second(s);
    let deviation = variance.sqrt();
    let skew = (third(s) - third(r)) / (variance * deviation);
    let kurtosis = (fourth(r) + fourth(s)) / (variance * variance);
    let next = (fifth(s) - fifth(r)) / (variance * variance * deviation);
    let y = z * z;
    let standard = z + (y - 1.0) * skew / 6.0 + z * (y - 3.0) * kurtosis / 24.0
        - z * (2.0 * y - 5.0) * skew * skew / 36.0
        + (y * (y - 6.0) + 3.0) * next / 120.0
        - (y * (y - 5.0) + 2.0) * skew * kurtosis / 24.0
        + (y * (12.0 * y - 53.0) + 17.0) * skew * skew * skew / 324.0;
    mean + deviation * standard
}

/// `ln(1 + y)/y` for `|y| <= 0.021`, with relative error below `1e-15`: the series is cut
/// after the term `y^8/9`, and what is left is below `0.021^9/10 * 1.03 < 1e-16`.
fn ln_1p_ratio(y: f64) -> f64 {
    let mut sum = 0.0;
    for j in (1..=9_u32).rev() {
        sum = 1.0 / f64::from(j) - y * sum;
    }
    sum
}

/// Whether `x` lies strictly between `a` and `b`, in whichever order they are.
fn is_between(x: f64, a: f64, b: f64) -> bool {
    x > a.min(b) && x < a.max(b)
}

/// A point between two numbers in `[0, 1]`, on the logarithmic scale if possible.
fn middle(a: f64, b: f64) -> f64 {
    let (least, most) = (a.min(b), a.max(b));
    if least > 0.0 {
        (least * most).sqrt()
    } else {
        most / 16.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::{binomial_tail_lower, binomial_tail_upper};
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    fn both(k: u64, n: u64, alpha: f64) -> (f64, f64) {
        let alpha = Alpha::new(alpha).unwrap();
        (
            clopper_pearson_lower(k, n, alpha).unwrap().get(),
            clopper_pearson_upper(k, n, alpha).unwrap().get(),
        )
    }

    #[test]
    fn edges() {
        assert_eq!(both(0, 10, 0.1).0, 0.0);
        assert_eq!(both(10, 10, 0.1).1, 1.0);
        // One trial: the bounds are alpha and 1 - alpha.
        let (low, high) = (both(1, 1, 0.25).0, both(0, 1, 0.25).1);
        assert!(low <= 0.25 && low > 0.25 * (1.0 - CLOPPER_PEARSON_SLACK));
        assert!((0.75..0.75 * (1.0 + CLOPPER_PEARSON_SLACK)).contains(&high));
        // Two of two at alpha 1/4: one half.
        let low = both(2, 2, 0.25).0;
        assert!(low <= 0.5 && low > 0.5 * (1.0 - CLOPPER_PEARSON_SLACK));
    }

    #[test]
    fn what_is_outside_the_domain_is_refused() {
        let alpha = |x| Alpha::new(x).unwrap();
        for (k, n, a) in [
            (0, 0, 0.1),
            (2, 1, 0.1),
            (1, super::super::MAX_TRIALS + 1, 0.1),
            (1, 2, 0.6),
            (1, 2, 1e-41),
        ] {
            for error in [
                clopper_pearson_lower(k, n, alpha(a)).unwrap_err(),
                clopper_pearson_upper(k, n, alpha(a)).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Domain, "{error}");
            }
        }
    }

    #[test]
    fn extreme_corners_have_bounds() {
        let top = super::super::MAX_TRIALS;
        for n in [
            1,
            2,
            3,
            1999,
            2000,
            3999,
            4000,
            4001,
            100_000_000,
            top - 1,
            top,
        ] {
            for k in [0, 1, 2, n / 3, n / 2, n.saturating_sub(2), n - 1, n] {
                for alpha in [MIN_ALPHA, 1e-12, 0.001, 0.3, MAX_ALPHA] {
                    let (low, high) = both(k.min(n), n, alpha);
                    assert!(low <= high, "k={k} n={n} alpha={alpha}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bounds_match_the_tails(
            log_n in 0.0_f64..20.0,
            place in 0.0_f64..=1.0,
            log_alpha in -27.6_f64..-0.7,
        ) {
            let n = log_n.exp() as u64;
            let k = (n as f64 * place).round() as u64;
            let alpha = log_alpha.exp().min(0.5);
            let (low, high) = both(k, n, alpha);
            if k > 0 {
                prop_assert!(binomial_tail_lower(k, n, low).unwrap().get() <= alpha);
                prop_assert!(binomial_tail_upper(k, n, low * (1.0 + 1e-12)).unwrap().get() >= alpha);
            }
            if k < n {
                // P(X <= k) <= alpha means P(X >= k + 1) >= 1 - alpha.
                prop_assert!(binomial_tail_upper(k + 1, n, high).unwrap().get() >= 1.0 - alpha);
            }
        }

        #[test]
        fn bounds_are_monotone(n in 2_u64..5000, place in 0.0_f64..1.0, alpha in 1e-6_f64..0.4) {
            let k = (n as f64 * place) as u64;
            let (low, high) = both(k, n, alpha);
            let (next_low, next_high) = both(k + 1, n, alpha);
            prop_assert!(low < next_low && high < next_high);
            let (looser_low, looser_high) = both(k, n, alpha * 1.1);
            prop_assert!(low <= looser_low && looser_high <= high);
        }
    }
}
