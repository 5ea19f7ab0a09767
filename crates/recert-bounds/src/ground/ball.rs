//! The least value of a linear function on an L2 ball cut to a box.
//!
//! For every multiplier m > 0, `a x` on the cut ball is at least the least value on the box of
//! `a x + m/2 (|x - c|^2 - r^2)`, which is found element by element: where the parabola's vertex `c -
//! a/m` lies beyond an end of `[l, u]` at that end, else at the vertex, which is a lower bound
//! wherever it lies. The best m is the one for which the minimizer has distance r; any gives a
//! bound.

use recert_num::directed::{mul_up, sub_up};

use crate::rounding::{INFLATE, TINY, gamma};

/// How often the multiplier is improved.
const ROUNDS: usize = 12;

/// A ball and a box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    pub(super) centre: &'a [f64],
    pub(super) radius: f64,
    pub(super) lower: &'a [f64],
    pub(super) upper: &'a [f64],
}

impl Cut<'_> {
    /// The elements: coefficient, centre, and the box.
    fn elements<'e>(&'e self, a: &'e [f64]) -> impl Iterator<Item = [f64; 4]> + 'e {
        let ends = self.lower.iter().zip(self.upper);
        let elements = a.iter().zip(self.centre).zip(ends);
        elements.map(|((&a, &c), (&l, &u))| [a, c, l, u])
    }

    /// A multiplier with which the minimizer's distance is about the radius; `None` where the
    /// box is within the ball, or nothing can be told.
    pub(super) fn multiplier(&self, a: &[f64]) -> Option<f64> {
        let distance = |m: f64| {
            let moved = self.elements(a).map(|[a, c, l, u]| {
                let moved = (c - a / m).clamp(l, u) - c;
                moved * moved
            });
            moved.sum::<f64>().sqrt()
        };
        let norm = a.iter().map(|a| a * a).sum::<f64>().sqrt();
        // Without the box, the distance is the norm over the multiplier; the box shortens it.
        let mut most = norm / self.radius;
        if !(most > 0.0 && most.is_finite()) {
            return None;
        }
        let mut least = most * 1e-9;
        if distance(least) <= self.radius {
            return None;
        }
        for _ in 0..ROUNDS {
            let reached = distance(most);
            if reached <= 0.0 {
                break;
            }
            // A step of the fixed point, kept within what is known.
            let next = most * reached / self.radius;
            if next > least && distance(next) < self.radius {
                most = next;
            } else {
                let middle = (least * most).sqrt();
                if distance(middle) < self.radius {
                    most = middle;
                } else {
                    least = middle;
                }
            }
        }
        Some(most)
    }

    /// A lower bound of `a x` with this multiplier, rounded down; NaN where that is.
    pub(super) fn least(&self, a: &[f64], m: f64) -> f64 {
        let mut sum = -0.5 * m * self.radius * self.radius;
        let mut magnitude = sum.abs();
        for [a, c, l, u] in self.elements(a) {
            let [linear, square] = if a >= mul_up(m, sub_up(c, l)) {
                [a * l, 0.5 * m * (l - c) * (l - c)]
            } else if -a >= mul_up(m, sub_up(u, c)) {
                [a * u, 0.5 * m * (u - c) * (u - c)]
            } else {
                [a * c, -0.5 * a * a / m]
            };
            sum += linear + square;
            magnitude += linear.abs() + square.abs();
        }
        // Each term is rounded a few times, and all are summed; l - c is exact up to one rounding.
        let terms = gamma(2 * a.len() + 32) * INFLATE * INFLATE;
        sum - (magnitude * terms + TINY * 16.0 * (a.len() + 1) as f64)
    }

    /// About where the least value lies.
    pub(super) fn minimizer(&self, a: &[f64], m: f64) -> Vec<f64> {
        let moved = self.elements(a).map(|[a, c, l, u]| (c - a / m).clamp(l, u));
        moved.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recert_graph::testing::noise;

    fn numbers(seed: u32, count: usize) -> Vec<f64> {
        noise(seed, count).into_iter().map(f64::from).collect()
    }

    #[test]
    fn bounds_are_below_every_point_and_reached() {
        for seed in 0..30 {
            let count = 40;
            let centre: Vec<f64> = numbers(seed, count).iter().map(|x| x.abs()).collect();
            let a = numbers(seed + 100, count);
            let cut = Cut {
                centre: &centre,
                radius: 0.3,
                lower: &vec![0.0; count],
                upper: &vec![1.0; count],
            };
            let m = cut.multiplier(&a).expect("the box is larger than the ball");
            let value = |x: &[f64]| x.iter().zip(&a).map(|(x, a)| x * a).sum::<f64>();
            let best = cut.minimizer(&a, m);
            let far = |x: &[f64]| -> f64 {
                let squares = x.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c));
                squares.sum::<f64>().sqrt()
            };
            let least = cut.least(&a, m);
            assert!(far(&best) <= 0.3 + 1e-9);
            assert!(least <= value(&best) && value(&best) < least + 1e-3 * (1.0 + least.abs()));
            // Whatever the multiplier, no point is below.
            for i in 0..40 {
                let step = numbers(seed + 1000 + i, count);
                let norm = step.iter().map(|s| s * s).sum::<f64>().sqrt();
                let moved = centre.iter().zip(&step).map(|(c, s)| c + s * 0.2999 / norm);
                let x: Vec<f64> = moved.map(|x| x.clamp(0.0, 1.0)).collect();
                for factor in [0.01, 0.5, 1.0, 3.0] {
                    assert!(cut.least(&a, m * factor) <= value(&x));
                }
                let better = best.iter().zip(&x).map(|(b, x)| b + 0.1 * (x - b));
                assert!(least <= value(&better.collect::<Vec<_>>()));
            }
        }
    }

    #[test]
    fn a_box_within_the_ball_needs_no_multiplier() {
        let cut = Cut {
            centre: &[0.5; 2],
            radius: 10.0,
            lower: &[0.0; 2],
            upper: &[1.0; 2],
        };
        assert_eq!(cut.multiplier(&[1.0, -1.0]), None);
        assert_eq!(cut.multiplier(&[0.0, 0.0]), None);
        assert_eq!(cut.multiplier(&[f64::NAN, 0.0]), None);
    }
}
