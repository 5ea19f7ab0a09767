//! The likelihood of one cell: its average under a Beta law, and its maximum.
//!
//! A cell is a group of samples with one unknown probability `theta` of an
//! event, which occurred `events` times in `trials`. The probability of the observed sequence
//! is `L(theta) = theta^x (1 - theta)^(m - x)`. Its average under
//! a Beta law fixed beforehand is what [`joint`](super::joint_upper) compares
//! with; both are computed here with their rounding counted.

use recert_num::directed::{
    add_down, add_up, div_down, div_up, ln_down, ln_up, mul_up, sub_down, sub_up,
};

use crate::Error;

/// A Beta prior of a probability, fixed before any pair of the input in question was
/// evaluated. It influences how tight a bound is, not whether it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// Weight of the event.
    a: f64,
    /// Weight of its contrary.
    b: f64,
}

impl Beta {
    /// The largest and, inverted, the least parameter.
    const LARGEST: f64 = 1e9;

    /// The law with density proportional to `t^(a-1) (1-t)^(b-1)`.
    ///
    /// # Errors
    /// If a parameter is not between 1e-9 and 1e9.
    pub fn new(a: f64, b: f64) -> Result<Self, Error> {
        let fits = |x: f64| (1.0 / Self::LARGEST..=Self::LARGEST).contains(&x);
        if fits(a) && fits(b) {
            return Ok(Self { a, b });
        }
        Err(Error::parameter(format!(
            "the parameters of a Beta law must be between 1e-9 and 1e9, but are {a} and {b}"
        )))
    }

    /// The weight of the event.
    pub fn a(self) -> f64 {
        self.a
    }

    /// The weight of its contrary.
    pub fn b(self) -> f64 {
        self.b
    }

    /// `ln` of the average of `L` under this law, rounded down: `B(x+a,
    /// m-x+b)/B(a,b)`, the product of `(a+i)/(a+b+l)` over the events and
    /// `(b+j)/(a+b+l)` over the others, `l` running over all trials.
    ///
    /// Each factor is computed with a relative error of at most `4u` (`u =
    /// 2^-53`: one sum above, two below, one division) and multiplied with
    /// another `u`; `6u` a factor also covers the second-order terms for fewer
    /// than `2^40` trials. Powers of two taken out on the way are exact.
    pub(super) fn ln_average_down(self, events: u64, trials: u64) -> f64 {
        const SMALL: f64 = f64::from_bits((1023 - 100) << 52);
        let (mut product, mut halvings) = (1.0, 0_u64);
        let sum = self.a + self.b;
        for i in 0..trials {
            let above = if i < events {
                self.a + i as f64
            } else {
                self.b + (i - events) as f64
            };
            product *= above / (sum + i as f64);
            while product < SMALL {
                product *= 1.0 / SMALL;
                halvings += 100;
            }
        }
        let rounding = mul_up(trials as f64, 6.0 * f64::EPSILON / 2.0);
        let twos = mul_up(halvings as f64, ln_up(2.0));
        sub_down(sub_down(ln_down(product), twos), rounding)
    }
}

/// Approximately the `theta` at which `ln L(theta) + slope theta` is largest.
pub(crate) fn peak(events: f64, trials: f64, slope: f64) -> f64 {
    // The root in [0, 1] of -slope t^2 + (slope - m) t + x, in the form that
    // does not cancel.
    let lead = slope - trials;
    let root = (lead * lead + 4.0 * slope * events).sqrt();
    let theta = if lead < 0.0 {
        2.0 * events / (root - lead)
    } else if slope > 0.0 {
        (lead + root) / (2.0 * slope)
    } else {
        1.0
    };
    theta.clamp(0.0, 1.0)
}

/// The largest value of `ln L(theta) + slope theta` over `[0, 1]`, rounded up.
///
/// The function is concave, so it lies below its tangent at any `t`: with
/// value `v` and slope `d` there, it is at most `v + max(d (1 - t), -d t)`. At
/// a `t` next to the peak the second term is a rounding error.
pub(super) fn largest_up(events: u64, trials: u64, slope: f64) -> f64 {
    let (x, y) = (events as f64, (trials - events) as f64);
    let mut t = peak(x, trials as f64, slope);
    if events > 0 {
        t = t.max(1e-80);
    }
    if trials > events {
        t = t.min(1.0 - f64::EPSILON);
    }
    // What remains to 1, enclosed; at t near 1 the subtraction is exact.
    let (rest_down, rest_up) = (sub_down(1.0, t), sub_up(1.0, t));
    let mut value = mul_up(slope, t);
    let (mut steepest, mut flattest) = (slope, slope);
    if events > 0 {
        value = add_up(value, mul_up(x, ln_up(t)));
        steepest = add_up(steepest, div_up(x, t));
        flattest = add_down(flattest, div_down(x, t));
    }
    if trials > events {
        value = add_up(value, mul_up(y, ln_up(rest_up)));
        steepest = sub_up(steepest, div_down(y, rest_up));
        flattest = sub_down(flattest, div_up(y, rest_down));
    }
    let rising = mul_up(steepest.max(0.0), rest_up);
    let falling = mul_up((-flattest).max(0.0), t);
    add_up(value, rising.max(falling))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_ratios_of_beta_functions() {
        // Exact: B(x+1, m-x+1)/B(1,1) = 1 / ((m+1) C(m, x)).
        let uniform = Beta::new(1.0, 1.0).unwrap();
        for (x, m, exact) in [
            (0, 9, (0.1_f64).ln()),
            (2, 5, (1.0_f64 / 60.0).ln()),
            (3, 3, (0.25_f64).ln()),
            (0, 0, 0.0),
            // 1/(1001 C(1000, 500)): log of the central binomial by 60 digits.
            (500, 1000, -(689.467_261_567_851_2 + 6.908_754_779_315_22)),
        ] {
            let got = uniform.ln_average_down(x, m);
            assert!(
                got <= exact + 1e-12 && got > exact - 1e-9,
                "{x} {m} {got} {exact}"
            );
        }
        // mpmath: log(beta(2.5, 1020.5) / beta(0.5, 22.5)).
        let prior = Beta::new(0.5, 22.5).unwrap();
        let got = prior.ln_average_down(2, 1000);
        assert!((got - MPMATH).abs() < 1e-10 && got <= MPMATH, "{got}");
    }

    const MPMATH: f64 = -16.058_435_607_507_51;

    #[test]
    fn the_largest_value_is_enclosed_from_above() {
        // mpmath maxima of x ln t + (m-x) ln(1-t) + s t.
        for (x, m, s) in [
            (0, 100, 50.0),
            (0, 100, 150.0),
            (3, 100, 40.0),
            (7, 7, 3.0),
            (50, 90, 1e-3),
        ] {
            let got = largest_up(x, m, s);
            let f = |t: f64| {
                let mut v = s * t;
                if x > 0 {
                    v += x as f64 * t.ln();
                }
                if m > x {
                    v += (m - x) as f64 * (-t).ln_1p();
                }
                v
            };
            let best = (0..=1_000_000)
                .map(|i| f(f64::from(i) / 1e6))
                .fold(f64::NEG_INFINITY, f64::max);
            assert!(
                got >= best && got - best < 1e-6 * (1.0 + best.abs()),
                "{x} {m} {s}: {got} {best}"
            );
        }
    }
}
