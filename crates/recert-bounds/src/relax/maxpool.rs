//! The largest of several elements: exact where one of them wins everywhere, elsewhere the
//! most promising of them below, and a line in one of them above.

use recert_num::directed::{mul_down, sub_up};

use crate::layout::Layout;
use crate::rounding::{INFLATE, TINY, U, gamma};
use crate::step::Window;

/// Each element of the output is the largest of some elements of the input.
#[derive(Debug, Clone)]
pub(crate) struct MaxPool {
    /// Where the elements lie, if they are windows of an image, channel by channel.
    pub(crate) window: Option<Window>,
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    /// Where the elements of each output begin in `elements`; one more at the end.
    pub(crate) starts: Vec<usize>,
    pub(crate) elements: Vec<u32>,
}

/// Lines for every element of the output: `x[lower] <= y <= slope x[upper] + offset`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolLines {
    pub(crate) lower: Vec<u32>,
    pub(crate) upper: Vec<u32>,
    pub(crate) slope: Vec<f64>,
    pub(crate) offset: Vec<f64>,
    /// What has to be charged for rounding, a unit of coefficient.
    pub(crate) slack: Vec<f64>,
}

impl MaxPool {
    /// The elements of each output.
    pub(crate) fn windows(&self) -> impl Iterator<Item = &[u32]> {
        self.starts
            .windows(2)
            .map(|ends| &self.elements[ends[0]..ends[1]])
    }

    /// The element with the largest value, the first of several; NaN wins.
    fn largest(window: &[u32], values: &[f64]) -> u32 {
        let mut best = window[0];
        for &i in &window[1..] {
            let (x, y) = (values[i as usize], values[best as usize]);
            if x > y || x.is_nan() {
                best = i;
            }
        }
        best
    }

    /// The output of rows of the input.
    pub(crate) fn forward(&self, x: &[f64]) -> Vec<f64> {
        let rows = x.chunks_exact(self.input.len());
        let pooled = rows.flat_map(|x| {
            self.windows()
                .map(|window| x[Self::largest(window, x) as usize])
        });
        pooled.collect()
    }

    /// Which element of the input each element of the output is.
    pub(crate) fn winners(&self, x: &[f64]) -> Vec<u32> {
        self.windows()
            .map(|window| Self::largest(window, x))
            .collect()
    }

    /// The elements of windows in which more than one element may win, ascending.
    pub(crate) fn undecided(&self, lower: &[f64], upper: &[f64]) -> Vec<usize> {
        let mut found = vec![false; self.input.len()];
        for window in self.windows() {
            let best = Self::largest(window, lower);
            let others = window.iter().filter(|&&i| i != best);
            let rivals = others.filter(|&&i| upper[i as usize] > lower[best as usize]);
            for &i in rivals.chain([&best]) {
                found[i as usize] = true;
            }
            if !window.iter().any(|&i| i != best && found[i as usize]) {
                found[best as usize] = false;
            }
        }
        (0..found.len()).filter(|&i| found[i]).collect()
    }

    /// Lines on these intervals. Where the lower bound of one element is above all others'
    /// upper bounds, it is the output. Elsewhere the output is at least any element, and at
    /// most `max(x, m)` of the element with the largest upper bound and the largest upper bound m
    /// of the others: a convex function of x, which lies below its chord.
    pub(crate) fn lines(&self, lower: &[f64], upper: &[f64]) -> PoolLines {
        let mut lines = PoolLines::default();
        let count = self.output.len();
        for window in self.windows() {
            let below = Self::largest(window, lower);
            let above = Self::largest(window, upper);
            let (l, u) = (lower[above as usize], upper[above as usize]);
            let others = window.iter().filter(|&&i| i != above);
            let m = others.fold(f64::NEG_INFINITY, |m, &i| {
                let x = upper[i as usize];
                if x > m || x.is_nan() { x } else { m }
            });
            let (slope, offset) = if m <= l {
                (1.0, 0.0)
            } else {
                // The chord from (l, m) to (u, u).
                let slope = if u > l { (u - m) / (u - l) } else { 0.0 };
                let at_left = sub_up(m, mul_down(slope, l));
                let at_right = sub_up(u, mul_down(slope, u));
                let known = m.is_finite() && l.is_finite() && u.is_finite();
                let offset = if known {
                    at_left.max(at_right)
                } else {
                    f64::NAN
                };
                (slope, offset)
            };
            lines.lower.push(below);
            lines.upper.push(above);
            lines.slope.push(slope);
            lines.offset.push(offset);
            // Coefficients of several windows may meet on an element, at most all of them.
            let size = window.iter().fold(0.0_f64, |size, &i| {
                let i = i as usize;
                size.max(lower[i].abs()).max(upper[i].abs())
            });
            let product = (2.0 * U * slope.abs() + gamma(count + 8)) * size;
            lines
                .slack
                .push((product + gamma(count + 8) * offset.abs()) * INFLATE + TINY);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_enclose() {
        let pool = MaxPool {
            window: None,
            input: Layout::flat(3),
            output: Layout::flat(1),
            starts: vec![0, 3],
            elements: vec![0, 1, 2],
        };
        let cases = [
            ([0.0, -1.0, -2.0], [1.0, 2.0, 0.5]),
            ([3.0, -1.0, -2.0], [4.0, 2.0, 0.5]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            ([-1.0, -1.0, -1.0], [-0.5, 1.0, 1.0]),
        ];
        for (l, u) in cases {
            let lines = pool.lines(&l, &u);
            for i in 0..125 {
                let part = [i % 5, i / 5 % 5, i / 25].map(|i| f64::from(i) / 4.0);
                let x = [0, 1, 2].map(|i| l[i] + (u[i] - l[i]) * part[i]);
                let y = pool.forward(&x)[0];
                assert!(x[lines.lower[0] as usize] <= y);
                let above = lines.slope[0] * x[lines.upper[0] as usize] + lines.offset[0];
                assert!(above >= y - 1e-15);
            }
        }
        assert_eq!(pool.undecided(&cases[1].0, &cases[1].1), []);
        assert_eq!(pool.undecided(&cases[0].0, &cases[0].1), [0, 1, 2]);
        assert_eq!(pool.lines(&cases[1].0, &cases[1].1).slope, [1.0]);
    }
}
