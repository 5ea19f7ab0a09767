//! Curves: functions of one number, their ranges on an interval, and lines below and above.

use recert_num::directed::{
    add_down, add_up, div_down, div_up, exp_down, exp_up, mul_down, mul_up, sub_down, sub_up,
};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Curve {
    /// `x` above 0, `alpha x` below, with alpha in [0, 1]: convex, with its kink at 0.
    Leaky { alpha: f64 },
    /// `min(max(x, low), high)`, with `low <= high`.
    Clip { low: f64, high: f64 },
    /// `|x|`.
    Abs,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

/// `slope x + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) slope: f64,
    pub(crate) offset: f64,
}

fn line(slope: f64, offset: f64) -> Line {
    Line { slope, offset }
}

impl Curve {
    /// Whether it is linear on both sides of 0, so that a proof has bounds of its argument.
    pub(crate) fn has_kink(self) -> bool {
        matches!(self, Self::Leaky { .. })
    }

    /// The slope below that is so far, of 255 steps, from the least to the largest of a curve with
    /// a kink.
    pub(crate) fn slope(self, part: u8) -> f64 {
        match (self, part) {
            (Self::Leaky { alpha }, 0) => alpha,
            (Self::Leaky { alpha }, 1..=254) => alpha + (1.0 - alpha) * (f64::from(part) / 255.0),
            _ => 1.0,
        }
    }

    /// The value, rounded to nearest.
    pub(crate) fn value(self, x: f64) -> f64 {
        match self {
            Self::Leaky { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Self::Clip { low, high } => x.max(low).min(high),
            Self::Abs => x.abs(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
        }
    }

    /// Bounds of the value at `x`.
    fn enclosed(self, x: f64) -> [f64; 2] {
        match self {
            // 0 times minus infinity would be no number.
            Self::Leaky { alpha: 0.0 } if x < 0.0 => [0.0; 2],
            Self::Leaky { alpha } if x < 0.0 => [mul_down(alpha, x), mul_up(alpha, x)],
            Self::Leaky { .. } => [x; 2],
            Self::Clip { low, high } => [x.max(low).min(high); 2],
            Self::Abs => [x.abs(); 2],
            // 1 / (1 + e^-x), each operation rounded to the value's side.
            Self::Sigmoid => [
                div_down(1.0, add_up(1.0, exp_up(-x))),
                div_up(1.0, add_down(1.0, exp_down(-x))),
            ],
            // 2 sigmoid(2 x) - 1; doubling is exact.
            Self::Tanh => {
                let [low, high] = Self::Sigmoid.enclosed(2.0 * x);
                [sub_down(2.0 * low, 1.0), sub_up(2.0 * high, 1.0)]
            }
        }
    }

    /// Bounds of the values on `[l, u]`, and never NaN. All curves but one are monotone.
    pub(crate) fn range(self, l: f64, u: f64) -> [f64; 2] {
        let (at_l, at_u) = (self.enclosed(l), self.enclosed(u));
        let [low, high] = if self != Self::Abs {
            [at_l[0], at_u[1]]
        } else if l <= 0.0 && u >= 0.0 {
            [0.0, at_l[1].max(at_u[1])]
        } else {
            [at_l[0].min(at_u[0]), at_l[1].max(at_u[1])]
        };
        if low.is_nan() || high.is_nan() || l.is_nan() || u.is_nan() {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        [low, high]
    }

    /// Whether the curve is one line on `[l, u]`, and which.
    pub(crate) fn exact(self, l: f64, u: f64) -> Option<Line> {
        match self {
            Self::Leaky { .. } | Self::Abs if l >= 0.0 => Some(line(1.0, 0.0)),
            Self::Leaky { alpha } if u <= 0.0 => Some(line(alpha, 0.0)),
            Self::Abs if u <= 0.0 => Some(line(-1.0, 0.0)),
            Self::Clip { low, high } if l >= low && u <= high => Some(line(1.0, 0.0)),
            _ => None,
        }
    }

    /// A line that is nowhere above the curve on `[l, u]`. `slope` is free for a curve with a kink.
    pub(crate) fn below(self, l: f64, u: f64, slope: Option<f64>) -> Line {
        if let Some(exact) = self.exact(l, u) {
            return exact;
        }
        match self {
            // Convex: a line through the kink with a slope between those of both sides.
            Self::Leaky { alpha } => {
                let usual = if u > -l { 1.0 } else { 0.0 };
                let slope = slope.unwrap_or(usual);
                line(
                    if slope >= alpha {
                        slope.min(1.0)
                    } else {
                        alpha
                    },
                    0.0,
                )
            }
            Self::Sigmoid | Self::Tanh => {
                // f(x) - f(l) is the integral of the derivative, which is at least k.
                let k = self.least_slope(l, u);
                line(k, sub_down(self.enclosed(l)[0], mul_up(k, l)))
            }
            Self::Clip { .. } | Self::Abs => line(0.0, self.range(l, u)[0]),
        }
    }

    /// A line that is nowhere below the curve on `[l, u]`.
    pub(crate) fn above(self, l: f64, u: f64) -> Line {
        if let Some(exact) = self.exact(l, u) {
            return exact;
        }
        match self {
            // Convex: below a line on the interval if it is at both ends.
            Self::Leaky { .. } | Self::Abs => {
                let (at_l, at_u) = (self.enclosed(l)[1], self.enclosed(u)[1]);
                let slope = (at_u - at_l) / (u - l);
                let by_l = sub_up(at_l, mul_down(slope, l));
                let by_u = sub_up(at_u, mul_down(slope, u));
                if by_l.is_nan() || by_u.is_nan() {
                    return line(f64::NAN, f64::NAN);
                }
                line(slope, by_l.max(by_u))
            }
            Self::Sigmoid | Self::Tanh => {
                let k = self.least_slope(l, u);
                line(k, sub_up(self.enclosed(u)[1], mul_down(k, u)))
            }
            Self::Clip { .. } => line(0.0, self.range(l, u)[1]),
        }
    }

    /// A number that is at least 0 and at most the derivative of a sigmoid or tangent on
    /// `[l, u]`: that rises to 0 and falls from there, so that it is least at an end.
    fn least_slope(self, l: f64, u: f64) -> f64 {
        let at = |x: f64| {
            let [low, high] = self.enclosed(x);
            let slope = match self {
                // s (1 - s), and 1 - t^2.
                Self::Sigmoid => mul_down(low, sub_down(1.0, high)),
                _ => sub_down(1.0, mul_up(low, low).max(mul_up(high, high))),
            };
            if slope > 0.0 { slope } else { 0.0 }
        };
        at(l).min(at(u))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No tolerance but for evaluating the curve itself in f64.
    #[test]
    fn lines_and_ranges_enclose() {
        let curves = [
            Curve::Leaky { alpha: 0.0 },
            Curve::Leaky {
                alpha: f64::from(0.01_f32),
            },
            Curve::Clip {
                low: 0.0,
                high: 6.0,
            },
            Curve::Abs,
            Curve::Sigmoid,
            Curve::Tanh,
        ];
        let ends = [-40.0, -7.5, -1.0, -0.125, 0.0, 1e-9, 0.3, 1.0, 6.5, 50.0];
        for curve in curves {
            for (l, u) in ends.iter().flat_map(|&l| ends.iter().map(move |&u| (l, u))) {
                if l > u {
                    continue;
                }
                let [low, high] = curve.range(l, u);
                let slopes = [None, Some(0.0), Some(0.5), Some(1.0)];
                let below = slopes.map(|slope| curve.below(l, u, slope));
                let above = curve.above(l, u);
                for step in 0..=64 {
                    let x = (l + (u - l) * f64::from(step) / 64.0).clamp(l, u);
                    let y = curve.value(x);
                    let slack = if curve.has_kink() {
                        4e-16 * x.abs()
                    } else {
                        1e-14
                    };
                    assert!(
                        low <= y + slack && y - slack <= high,
                        "{curve:?} {l} {u} {x}"
                    );
                    for line in below {
                        let at = line.slope * x + line.offset;
                        assert!(
                            at <= y + slack,
                            "{curve:?} below on [{l}, {u}] at {x}: {line:?}"
                        );
                    }
                    let at = above.slope * x + above.offset;
                    let slack = slack + 4e-16 * (above.slope * x).abs();
                    assert!(
                        at >= y - slack,
                        "{curve:?} above on [{l}, {u}] at {x}: {above:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_interval_bounds_nothing() {
        let relu = Curve::Leaky { alpha: 0.0 };
        assert_eq!(
            relu.range(f64::NAN, 1.0),
            [f64::NEG_INFINITY, f64::INFINITY]
        );
        assert_eq!(
            relu.range(f64::NEG_INFINITY, f64::INFINITY),
            [0.0, f64::INFINITY]
        );
        let above = relu.above(f64::NEG_INFINITY, f64::INFINITY);
        assert!(above.slope.is_nan() || above.offset.is_nan());
    }
}
