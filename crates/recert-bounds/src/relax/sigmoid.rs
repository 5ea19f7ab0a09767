//! The logistic sigmoid and the hyperbolic tangent: convex below 0, concave above.
//!
//! Both satisfy `f(-x) = c - f(x)` (with c = 1 and c = 0), so that a line above is a line below,
//! reflected. A line of slope s lies below f on `[l, u]` where its offset is at most the least
//! value of `f(x) - s x` there, which is found in two parts:
//!
//! - for `x >= 0` that difference is concave, so that its least value is at an end;
//! - for `x <= 0` the function is convex and lies above its tangent at any q. The tangent less the
//!   line is linear in x, so that its least value is at an end, too. The closer f'(q) is to s, the
//!   closer this is to the truth; it holds for every q, with an enclosure of f(q) and f'(q).

use recert_num::directed::{
    add_down, add_up, div_down, div_up, exp_down, exp_up, mul_down, mul_up, sub_down, sub_up,
};

use super::{Line, Pair};

/// How often an interval is halved in search of a point of contact. The result is a guess that
/// tightness alone depends on.
const HALVINGS: usize = 40;

/// A function of that shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SShaped {
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl SShaped {
    /// `f(x) + f(-x)`.
    fn sum(self) -> f64 {
        match self {
            Self::Sigmoid => 1.0,
            Self::Tanh => 0.0,
        }
    }

    /// Bounds of the value at `x`.
    pub(crate) fn enclosed(self, x: f64) -> (f64, f64) {
        if x.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        let size = x.abs();
        // e = exp(-|x|), or of twice that: at most 1.
        let exponent = match self {
            Self::Sigmoid => -size,
            Self::Tanh => -2.0 * size,
        };
        let [low, high] = [exp_down(exponent), exp_up(exponent).min(1.0)];
        match self {
            Self::Sigmoid if x >= 0.0 => (
                div_down(1.0, add_up(1.0, high)),
                div_up(1.0, add_down(1.0, low)).min(1.0),
            ),
            // e / (1 + e) rises with e.
            Self::Sigmoid => (
                div_down(low, add_up(1.0, low)),
                div_up(high, add_down(1.0, high)),
            ),
            Self::Tanh => {
                // (1 - e) / (1 + e) falls with e.
                let least = div_down(sub_down(1.0, high), add_up(1.0, high)).max(0.0);
                let most = div_up(sub_up(1.0, low), add_down(1.0, low)).min(1.0);
                if x >= 0.0 {
                    (least, most)
                } else {
                    (-most, -least)
                }
            }
        }
    }

    pub(crate) fn value(self, x: f64) -> f64 {
        let (low, high) = self.enclosed(x);
        low / 2.0 + high / 2.0
    }

    pub(crate) fn derivative(self, x: f64) -> f64 {
        let value = self.value(x);
        match self {
            Self::Sigmoid => value * (1.0 - value),
            Self::Tanh => 1.0 - value * value,
        }
    }

    /// Bounds of the derivative at `q <= 0`.
    fn derivative_enclosed(self, q: f64) -> (f64, f64) {
        let (low, high) = self.enclosed(q);
        match self {
            // f (1 - f) rises up to f = 1/2.
            Self::Sigmoid => {
                let most = if high < 0.5 {
                    mul_up(high, sub_up(1.0, high))
                } else {
                    0.25
                };
                (mul_down(low, sub_down(1.0, low.min(0.5))), most)
            }
            Self::Tanh => (
                sub_down(1.0, mul_up(low, low)),
                sub_up(1.0, mul_down(high, high)),
            ),
        }
    }

    /// Lines below and above on `[l, u]`.
    pub(crate) fn pair(self, l: f64, u: f64) -> Pair {
        if !(l.is_finite() && u.is_finite()) {
            let line = Line {
                slope: f64::NAN,
                offset: f64::NAN,
            };
            return Pair {
                lower: line,
                upper: line,
            };
        }
        let reflected = self.below(-u, -l);
        Pair {
            lower: self.below(l, u),
            upper: Line {
                slope: reflected.slope,
                offset: sub_up(self.sum(), reflected.offset),
            },
        }
    }

    /// A line below on `[l, u]`.
    fn below(self, l: f64, u: f64) -> Line {
        let slope = self.slope_below(l, u);
        Line {
            slope,
            offset: self.offset_below(l, u, slope),
        }
    }

    /// The slope of the chord where that lies below, else of a tangent: in the middle of a convex
    /// part, or through the upper end.
    fn slope_below(self, l: f64, u: f64) -> f64 {
        let middle = l / 2.0 + u / 2.0;
        let width = u - l;
        if width < 1e-6 || u <= 0.0 {
            return self.derivative(middle);
        }
        let chord = (self.value(u) - self.value(l)) / width;
        if l >= 0.0 || self.derivative(l) >= chord {
            return chord;
        }
        let [mut low, mut high] = [l, 0.0];
        for _ in 0..HALVINGS {
            let d = low / 2.0 + high / 2.0;
            if self.derivative(d) * (u - d) < self.value(u) - self.value(d) {
                low = d;
            } else {
                high = d;
            }
        }
        self.derivative(low)
    }

    /// The offset with which the line of that slope is proved to lie below.
    fn offset_below(self, l: f64, u: f64, slope: f64) -> f64 {
        let end = |x: f64| sub_down(self.enclosed(x).0, mul_up(slope, x));
        let mut offset = f64::INFINITY;
        if u > 0.0 {
            offset = offset.min(end(u)).min(end(l.max(0.0)));
        }
        if l < 0.0 || u <= 0.0 {
            let right = u.min(0.0);
            let q = self.contact(l, right, slope);
            let value = self.enclosed(q).0;
            let (flattest, steepest) = self.derivative_enclosed(q);
            // At l, left of q, the tangent is lowest where it is steepest.
            let at_left = sub_down(
                sub_down(value, mul_up(steepest, sub_up(q, l))),
                mul_up(slope, l),
            );
            let at_right = sub_down(
                add_down(value, mul_down(flattest, sub_down(right, q))),
                mul_up(slope, right),
            );
            offset = offset.min(at_left).min(at_right);
        }
        offset
    }

    /// About where in `[l, right]`, below 0, the derivative is `slope`.
    fn contact(self, l: f64, right: f64, slope: f64) -> f64 {
        let [mut low, mut high] = [l, right];
        if self.derivative(low) >= slope {
            return low;
        }
        if self.derivative(high) <= slope {
            return high;
        }
        for _ in 0..HALVINGS {
            let middle = low / 2.0 + high / 2.0;
            if self.derivative(middle) < slope {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nonlinearity;
    use super::super::tests::{INTERVALS, check};
    use super::*;

    #[test]
    fn lines_enclose() {
        for shape in [SShaped::Sigmoid, SShaped::Tanh] {
            for (l, u) in INTERVALS {
                check(&Nonlinearity::SShaped(shape), l, u, |x| shape.enclosed(x));
            }
        }
    }

    #[test]
    fn values_are_the_platforms() {
        for i in -400..=400 {
            let x = f64::from(i) / 10.0;
            for (shape, want) in [
                (SShaped::Sigmoid, 1.0 / (1.0 + (-x).exp())),
                (SShaped::Tanh, x.tanh()),
            ] {
                let (low, high) = shape.enclosed(x);
                let slack = 4.0 * f64::EPSILON * want.abs().max(1e-16);
                assert!(
                    low <= want + slack && want - slack <= high,
                    "{shape:?} at {x}"
                );
                assert!(high - low <= 1e-15, "{shape:?} at {x}");
            }
        }
        assert_eq!(SShaped::Tanh.enclosed(0.0).0, 0.0);
        assert_eq!(SShaped::Sigmoid.enclosed(1e9).1, 1.0);
    }

    #[test]
    fn lines_are_close() {
        // The tangent at 0 and the chord: between the two there is little left on a short interval.
        let pair = SShaped::Tanh.pair(-0.1, 0.1);
        assert!(pair.upper.offset < 2e-4 && pair.lower.offset > -2e-4);
    }
}
