//! Intervals, rounded outward.

use std::ops::{Add, Mul, Neg, Sub};

use recert_num::directed::{
    add_down, add_up, div_down, div_up, mul_down, mul_up, sub_down, sub_up,
};

/// All numbers from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) const ZERO: Self = Self::new(0.0, 0.0);

    pub(crate) const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    pub(crate) const fn point(value: f64) -> Self {
        Self::new(value, value)
    }

    pub(crate) fn middle(self) -> f64 {
        self.low.midpoint(self.high)
    }

    /// The largest size of a number in it.
    pub(crate) fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Both intervals, and what is between them.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// What is in both, of two that enclose the same number.
    pub(crate) fn meet(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.min(other.high))
    }

    pub(crate) fn widened(self, by: f64) -> Self {
        Self::new(sub_down(self.low, by), add_up(self.high, by))
    }

    /// Its numbers with those outside of [0, 1] moved to the ends.
    pub(crate) fn cut(self) -> Self {
        Self::new(self.low.clamp(0.0, 1.0), self.high.clamp(0.0, 1.0))
    }

    /// Divided by an interval of numbers above 0.
    pub(crate) fn over(self, by: Self) -> Self {
        let [least, most] = [by.low, by.high];
        Self::new(
            div_down(self.low, if self.low >= 0.0 { most } else { least }),
            div_up(self.high, if self.high >= 0.0 { least } else { most }),
        )
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
        let pairs = [
            (self.low, other.low),
            (self.low, other.high),
            (self.high, other.low),
            (self.high, other.high),
        ];
        let low = pairs.map(|(a, b)| mul_down(a, b));
        let high = pairs.map(|(a, b)| mul_up(a, b));
        Self::new(
            low.into_iter().fold(f64::INFINITY, f64::min),
            high.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }
}
