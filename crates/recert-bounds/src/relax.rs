//! Relaxations: lines below and above a non-linear function on an interval.
//!
//! Every slope is an arbitrary number; the offset that goes with it is then rounded so that the
//! line is proved to lie on its side of the function on the whole interval.

mod maxpool;
mod piecewise;
mod relu;
mod sigmoid;

pub(crate) use maxpool::{MaxPool, PoolLines};
pub(crate) use piecewise::Piecewise;
pub(crate) use sigmoid::SShaped;

use crate::rounding::{INFLATE, TINY, U, gamma};

/// A function of one number that needs a relaxation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Nonlinearity {
    Relu,
    Piecewise(Piecewise),
    SShaped(SShaped),
}

/// `slope x + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) slope: f64,
    pub(crate) offset: f64,
}

/// A line below and a line above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    pub(crate) lower: Line,
    pub(crate) upper: Line,
}

impl Nonlinearity {
    /// Its name for users.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::Piecewise(piecewise) => piecewise.name,
            Self::SShaped(SShaped::Sigmoid) => "Sigmoid",
            Self::SShaped(SShaped::Tanh) => "Tanh",
        }
    }

    /// The function in f64, without any claim.
    pub(crate) fn value(&self, x: f64) -> f64 {
        match self {
            Self::Relu => relu::value(x),
            Self::Piecewise(piecewise) => piecewise.value(x),
            Self::SShaped(shape) => shape.value(x),
        }
    }

    /// A derivative, at a kink that from the right.
    pub(crate) fn derivative(&self, x: f64) -> f64 {
        match self {
            Self::Relu => f64::from(u8::from(x >= 0.0)),
            Self::Piecewise(piecewise) => piecewise.derivative(x),
            Self::SShaped(shape) => shape.derivative(x),
        }
    }

    /// The least and the largest slope between any two points of the function.
    pub(crate) fn slopes(&self) -> [f64; 2] {
        match self {
            Self::Relu | Self::SShaped(SShaped::Tanh) => [0.0, 1.0],
            Self::Piecewise(piecewise) => piecewise.slope_range(),
            Self::SShaped(SShaped::Sigmoid) => [0.0, 0.25],
        }
    }

    /// Bounds of the function on `[l, u]`.
    pub(crate) fn range(&self, l: f64, u: f64) -> (f64, f64) {
        match self {
            Self::Relu => (relu::value(l), relu::value(u)),
            Self::Piecewise(piecewise) => piecewise.range(l, u),
            Self::SShaped(shape) => (shape.enclosed(l).0, shape.enclosed(u).1),
        }
    }

    /// Whether the function is known to be linear on `[l, u]`, so that tighter bounds of the
    /// argument would change nothing about the lines.
    pub(crate) fn is_stable(&self, l: f64, u: f64) -> bool {
        match self {
            Self::Relu => l >= 0.0 || u <= 0.0,
            Self::Piecewise(piecewise) => piecewise.is_stable(l, u),
            Self::SShaped(_) => l == u,
        }
    }

    /// Lines below and above the function on `[l, u]`.
    pub(crate) fn pair(&self, l: f64, u: f64) -> Pair {
        match self {
            Self::Relu => relu::pair(l, u),
            Self::Piecewise(piecewise) => piecewise.pair(l, u),
            Self::SShaped(shape) => shape.pair(l, u),
        }
    }

    /// The slopes with which a line through the origin lies below the function everywhere, if
    /// there are several: what alpha-CROWN chooses from where the function is not stable.
    pub(crate) fn free_slopes(&self) -> Option<[f64; 2]> {
        match self {
            Self::Relu => Some([0.0, 1.0]),
            Self::Piecewise(piecewise) => piecewise.free_slopes(),
            Self::SShaped(_) => None,
        }
    }
}

/// The lines of all elements of a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    pub(crate) lower_slope: Vec<f64>,
    pub(crate) lower_offset: Vec<f64>,
    pub(crate) upper_slope: Vec<f64>,
    pub(crate) upper_offset: Vec<f64>,
    /// What has to be charged for rounding, a unit of coefficient.
    pub(crate) slack: Vec<f64>,
}

impl Lines {
    /// The lines of a function whose arguments lie in these intervals.
    pub(crate) fn new(function: &Nonlinearity, lower: &[f64], upper: &[f64]) -> Self {
        let count = lower.len();
        let mut lines = Self::default();
        for (&l, &u) in lower.iter().zip(upper) {
            let pair = function.pair(l, u);
            lines.lower_slope.push(pair.lower.slope);
            lines.lower_offset.push(pair.lower.offset);
            lines.upper_slope.push(pair.upper.slope);
            lines.upper_offset.push(pair.upper.offset);
            lines.slack.push(slack(function, pair, [l, u], count));
        }
        lines
    }
}

/// What is charged a unit of coefficient on an element: the coefficient times a slope is
/// rounded once, unless the slope is 0 or 1, and the products with the offsets of `count`
/// elements are summed.
fn slack(function: &Nonlinearity, pair: Pair, [l, u]: [f64; 2], count: usize) -> f64 {
    let size = l.abs().max(u.abs());
    let mut steepest = pair.lower.slope.abs().max(pair.upper.slope.abs());
    if let Some([least, most]) = function.free_slopes()
        && !function.is_stable(l, u)
    {
        steepest = steepest.max(least.abs()).max(most.abs());
    }
    let exact = |line: Line| line.slope == 0.0 || line.slope == 1.0;
    let products = if exact(pair.lower) && exact(pair.upper) && function.is_stable(l, u) {
        0.0
    } else {
        2.0 * U * steepest * size
    };
    let offset = pair.lower.offset.abs().max(pair.upper.offset.abs());
    let slack = (products + gamma(count + 8) * offset) * INFLATE;
    // A NaN in a line must not be lost to `max`.
    let lines = pair.lower.slope + pair.lower.offset + pair.upper.slope + pair.upper.offset;
    if lines.is_finite() {
        slack + TINY
    } else {
        f64::NAN
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use recert_num::directed::{add_down, add_up, mul_down, mul_up};

    #[test]
    fn every_slope_that_may_be_chosen_is_charged() {
        let function = Nonlinearity::Piecewise(Piecewise::leaky(-1000.0));
        let (l, u) = (-1.0, 1e4);
        let lines = Lines::new(&function, &[l], &[u]);
        let [least, most] = function.free_slopes().unwrap();
        for slope in [least, most] {
            // What a product with a slope rounds, times the largest argument.
            assert!(lines.slack[0] >= U * slope.abs() * u, "{slope}");
        }
        // Neither line is as steep.
        assert!(lines.lower_slope[0].abs().max(lines.upper_slope[0].abs()) < least.abs() / 4.0);
    }

    /// Checks that lines enclose a function, given bounds of its values, at points of an interval.
    pub(crate) fn check(
        function: &Nonlinearity,
        l: f64,
        u: f64,
        enclosed: impl Fn(f64) -> (f64, f64),
    ) {
        let pair = function.pair(l, u);
        let (low, high) = function.range(l, u);
        for i in 0..=64 {
            let x = (l + (u - l) * f64::from(i) / 64.0).clamp(l, u);
            let (least, largest) = enclosed(x);
            let below = add_down(mul_down(pair.lower.slope, x), pair.lower.offset);
            let above = add_up(mul_up(pair.upper.slope, x), pair.upper.offset);
            assert!(
                below <= largest,
                "{function:?} on [{l}, {u}] at {x}: {below} > {largest}"
            );
            assert!(
                above >= least,
                "{function:?} on [{l}, {u}] at {x}: {above} < {least}"
            );
            assert!(
                low <= largest && least <= high,
                "{function:?} on [{l}, {u}] at {x}"
            );
        }
    }

    /// Intervals of all kinds.
    pub(crate) const INTERVALS: [(f64, f64); 12] = [
        (-1.0, 2.0),
        (-2.0, 1.0),
        (-0.1, 0.3),
        (-1e-9, 1e-12),
        (0.25, 3.0),
        (-3.0, -0.25),
        (0.0, 1.0),
        (-1.0, 0.0),
        (0.7, 0.7),
        (-50.0, 90.0),
        (-7.3, 0.01),
        (2.9, 8.5),
    ];

    #[test]
    fn lines_of_what_is_not_a_number_are_none() {
        for function in [
            Nonlinearity::Relu,
            Nonlinearity::Piecewise(Piecewise::leaky(0.1)),
            Nonlinearity::Piecewise(Piecewise::clip(0.0, 6.0)),
            Nonlinearity::SShaped(SShaped::Tanh),
        ] {
            for (l, u) in [(f64::NAN, 1.0), (-1.0, f64::NAN), (f64::NAN, f64::NAN)] {
                let lines = Lines::new(&function, &[l], &[u]);
                assert!(lines.slack[0].is_nan(), "{function:?}");
                let (low, high) = function.range(l, u);
                assert!(low.is_nan() || high.is_nan());
            }
        }
    }
}
