//! Closed intervals of `f64` whose operations round outward.

use std::ops::{Add, Mul, Neg, Sub};

use recert_num::directed::{
    add_down, add_up, div_down, div_up, mul_down, mul_up, sub_down, sub_up,
};

/// The real numbers from `low` to `high`. An operation's result contains the exact result for
/// every choice of numbers from its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// The lower end.
    pub(crate) low: f64,
    /// The upper end, at least the lower.
    pub(crate) high: f64,
}

impl Interval {
    /// Zero alone.
    pub(crate) const ZERO: Self = Self::point(0.0);
    /// One alone.
    pub(crate) const ONE: Self = Self::point(1.0);

    /// From `low` to `high`.
    pub(crate) const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// One number.
    pub(crate) const fn point(value: f64) -> Self {
        Self::new(value, value)
    }

    /// The product with a number, which costs half of what one of intervals does.
    pub(crate) fn times(self, factor: f64) -> Self {
        let (low, high) = if factor < 0.0 {
            (self.high, self.low)
        } else {
            (self.low, self.high)
        };
        Self::new(mul_down(low, factor), mul_up(high, factor))
    }

    /// The quotient by an interval of positive numbers.
    pub(crate) fn over_positive(self, divisor: Self) -> Self {
        let low = if self.low < 0.0 {
            div_down(self.low, divisor.low)
        } else {
            div_down(self.low, divisor.high)
        };
        let high = if self.high < 0.0 {
            div_up(self.high, divisor.high)
        } else {
            div_up(self.high, divisor.low)
        };
        Self::new(low, high)
    }

    /// The smallest interval that contains both.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// What both contain. Both must enclose the same number, so that something remains.
    pub(crate) fn intersection(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.min(other.high))
    }

    /// The numbers of this interval, each cut to `[low, high]`.
    pub(crate) fn cut(self, low: f64, high: f64) -> Self {
        Self::new(self.low.clamp(low, high), self.high.clamp(low, high))
    }

    /// The interval widened by `by` at both ends.
    pub(crate) fn widened(self, by: f64) -> Self {
        Self::new(sub_down(self.low, by), add_up(self.high, by))
    }

    /// The largest size of a number in it.
    pub(crate) fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// A number in the middle of it, to nearest.
    pub(crate) fn middle(self) -> f64 {
        self.low + 0.5 * (self.high - self.low)
    }
}

impl Add for Interval {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(add_down(self.low, other.low), add_up(self.high, other.high))
    }
}

impl Sub for Interval {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(sub_down(self.low, other.high), sub_up(self.high, other.low))
    }
}

impl Neg for Interval {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.high, -self.low)
    }
}

impl Mul for Interval {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        if other.low == other.high {
            return self.times(other.low);
        }
        if self.low == self.high {
            return other.times(self.low);
        }
        let pairs = [
            (self.low, other.low),
            (self.low, other.high),
            (self.high, other.low),
            (self.high, other.high),
        ];
        let low = pairs.map(|(a, b)| mul_down(a, b));
        let high = pairs.map(|(a, b)| mul_up(a, b));
        Self::new(
            low[0].min(low[1]).min(low[2].min(low[3])),
            high[0].max(high[1]).max(high[2].max(high[3])),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small integers, so that products and sums are exact in `f64`.
    fn integers() -> impl Strategy<Value = Interval> {
        (-50_i32..50, 0_i32..20)
            .prop_map(|(low, width)| Interval::new(f64::from(low), f64::from(low + width)))
    }

    proptest! {
        #[test]
        fn operations_contain_the_results_of_members(
            a in integers(), b in integers(), s in 0.0..=1.0_f64, t in 0.0..=1.0_f64,
        ) {
            let member = |i: Interval, s: f64| i.low + ((i.high - i.low) * s).floor();
            let (x, y) = (member(a, s), member(b, t));
            let holds = |i: Interval, value: f64| i.low <= value && value <= i.high;
            prop_assert!(holds(a + b, x + y) && holds(a - b, x - y) && holds(a * b, x * y));
            prop_assert!(holds(a.times(y), x * y) && holds(-a, -x));
            if b.low > 0.0 {
                let quotient = a.over_positive(b);
                prop_assert!(quotient.low * y <= x + 1e-12 && quotient.high * y >= x - 1e-12);
                prop_assert!(quotient.low <= x / y && x / y <= quotient.high);
            }
            prop_assert!(holds(a.hull(b), x) && holds(a.hull(b), y));
            prop_assert!(holds(a.cut(-3.0, 5.0), x.clamp(-3.0, 5.0)));
        }
    }
}
