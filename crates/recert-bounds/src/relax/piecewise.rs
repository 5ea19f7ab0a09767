//! Functions that are linear between a few vertices: `LeakyRelu`, `Clip`, `Abs`.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use super::{Line, Pair};

/// A continuous function that is linear between its vertices and beyond them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piecewise {
    pub(crate) name: &'static str,
    /// Points `(x, y)`, ascending; at least one. Between two of them, `y` rises by exactly the
    /// slope times the difference of `x`.
    vertices: Vec<[f64; 2]>,
    /// The slopes before, between and after.
    slopes: Vec<f64>,
}

impl Piecewise {
    /// `x` where `x >= 0`, else `alpha x`.
    pub(crate) fn leaky(alpha: f64) -> Self {
        Self {
            name: "LeakyRelu",
            vertices: vec![[0.0, 0.0]],
            slopes: vec![alpha, 1.0],
        }
    }

    /// `|x|`.
    pub(crate) fn abs() -> Self {
        Self {
            name: "Abs",
            vertices: vec![[0.0, 0.0]],
            slopes: vec![-1.0, 1.0],
        }
    }

    /// `min(max(x, low), high)`. One of the bounds must be finite.
    pub(crate) fn clip(low: f64, high: f64) -> Self {
        let (vertices, slopes) = if low >= high {
            (vec![[high, high]], vec![0.0, 0.0])
        } else if low == f64::NEG_INFINITY {
            (vec![[high, high]], vec![1.0, 0.0])
        } else if high == f64::INFINITY {
            (vec![[low, low]], vec![0.0, 1.0])
        } else {
            (vec![[low, low], [high, high]], vec![0.0, 1.0, 0.0])
        };
        Self {
            name: "Clip",
            vertices,
            slopes,
        }
    }

    /// The least and the largest slope.
    pub(crate) fn slope_range(&self) -> [f64; 2] {
        let slopes = || self.slopes.iter().copied();
        [
            slopes().fold(f64::INFINITY, f64::min),
            slopes().fold(f64::NEG_INFINITY, f64::max),
        ]
    }

    /// Which piece `x` lies in.
    fn piece(&self, x: f64) -> usize {
        self.vertices.partition_point(|[vertex, _]| *vertex <= x)
    }

    /// The vertex that a piece is computed from.
    fn anchor(&self, piece: usize) -> [f64; 2] {
        self.vertices[piece.saturating_sub(1)]
    }

    pub(crate) fn value(&self, x: f64) -> f64 {
        let piece = self.piece(x);
        let [from, y] = self.anchor(piece);
        y + self.slopes[piece] * (x - from)
    }

    pub(crate) fn derivative(&self, x: f64) -> f64 {
        self.slopes[self.piece(x)]
    }

    /// Bounds of the value at `x`.
    fn enclosed(&self, x: f64) -> [f64; 2] {
        if x.is_nan() {
            return [f64::NAN; 2];
        }
        let piece = self.piece(x);
        let [from, y] = self.anchor(piece);
        let slope = self.slopes[piece];
        if slope == 0.0 {
            return [y, y];
        }
        let differences = [sub_down(x, from), sub_up(x, from)];
        let [low, high] = if slope > 0.0 {
            differences
        } else {
            [differences[1], differences[0]]
        };
        [
            add_down(y, mul_down(slope, low)),
            add_up(y, mul_up(slope, high)),
        ]
    }

    /// The ends of an interval and the vertices within, with bounds of their values.
    fn points(&self, l: f64, u: f64) -> Vec<[f64; 3]> {
        let ends = [l, u].map(|x| {
            let [low, high] = self.enclosed(x);
            [x, low, high]
        });
        let within = self.vertices.iter().filter(|[x, _]| l < *x && *x < u);
        let mut points = vec![ends[0]];
        points.extend(within.map(|&[x, y]| [x, y, y]));
        points.push(ends[1]);
        points
    }

    pub(crate) fn range(&self, l: f64, u: f64) -> (f64, f64) {
        if l.is_nan() || u.is_nan() {
            return (f64::NAN, f64::NAN);
        }
        let points = self.points(l, u);
        let low = points.iter().map(|p| p[1]).fold(f64::INFINITY, f64::min);
        let high = points
            .iter()
            .map(|p| p[2])
            .fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    }

    pub(crate) fn is_stable(&self, l: f64, u: f64) -> bool {
        l <= u && !self.vertices.iter().any(|[x, _]| l < *x && *x < u)
    }

    /// The lines: of the slopes of the pieces and of the chords between any two points, those
    /// that are closest to the function in the middle of the interval. A piecewise linear function
    /// lies above a line where it does so at both ends and at the vertices within.
    pub(crate) fn pair(&self, l: f64, u: f64) -> Pair {
        let mut best = Pair {
            lower: Line {
                slope: f64::NAN,
                offset: f64::NAN,
            },
            upper: Line {
                slope: f64::NAN,
                offset: f64::NAN,
            },
        };
        if l.is_nan() || u.is_nan() {
            return best;
        }
        let points = self.points(l, u);
        let [least, most] = self.slope_range();
        let mut slopes = Vec::new();
        for (i, a) in points.iter().enumerate() {
            for b in &points[i + 1..] {
                // On an interval as short as what rounds, a quotient may be anything.
                let chord = (b[1] - a[1]) / (b[0] - a[0]);
                slopes.push(chord.clamp(least, most));
            }
        }
        slopes.extend(self.slopes[self.piece(l)..=self.piece(u)].iter().rev());
        let middle = l / 2.0 + u / 2.0;
        let at_middle = |line: Line| line.slope * middle + line.offset;
        for slope in slopes.into_iter().filter(|slope| slope.is_finite()) {
            let below = |p: &[f64; 3]| sub_down(p[1], mul_up(slope, p[0]));
            let above = |p: &[f64; 3]| sub_up(p[2], mul_down(slope, p[0]));
            let lower = Line {
                slope,
                offset: points.iter().map(below).fold(f64::INFINITY, f64::min),
            };
            let upper = Line {
                slope,
                offset: points.iter().map(above).fold(f64::NEG_INFINITY, f64::max),
            };
            if best.lower.slope.is_nan() || at_middle(lower) > at_middle(best.lower) {
                best.lower = lower;
            }
            if best.upper.slope.is_nan() || at_middle(upper) < at_middle(best.upper) {
                best.upper = upper;
            }
        }
        best
    }

    pub(crate) fn free_slopes(&self) -> Option<[f64; 2]> {
        match (&self.vertices[..], &self.slopes[..]) {
            ([[x, y]], &[before, after]) if *x == 0.0 && *y == 0.0 && before < after => {
                Some([before, after])
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nonlinearity;
    use super::super::tests::{INTERVALS, check};
    use super::*;

    #[test]
    fn lines_enclose() {
        for piecewise in [
            Piecewise::leaky(0.125),
            Piecewise::leaky(1.5),
            Piecewise::leaky(f64::from(0.01_f32)),
            Piecewise::abs(),
            Piecewise::clip(0.0, 6.0),
            Piecewise::clip(-1.0, 1.0),
            Piecewise::clip(f64::NEG_INFINITY, 0.5),
            Piecewise::clip(0.5, f64::INFINITY),
            Piecewise::clip(2.0, 1.0),
        ] {
            for (l, u) in INTERVALS {
                let function = Nonlinearity::Piecewise(piecewise.clone());
                check(&function, l, u, |x| {
                    let [low, high] = piecewise.enclosed(x);
                    (low, high)
                });
            }
        }
    }

    #[test]
    fn on_the_shortest_intervals_slopes_are_the_functions() {
        // Between the values at both ends lies what rounds, and between the ends next to nothing.
        let clip = Piecewise::clip(f64::from(0.2_f32), 1.0);
        for (l, u) in [(0.2, 0.2_f64.next_up()), (-1e-300, 1e-300), (0.9, 1.1)] {
            let Pair { lower, upper } = Piecewise::leaky(0.1).pair(l, u);
            for slope in [lower.slope, upper.slope] {
                assert!((0.1..=1.0).contains(&slope), "{slope} on [{l}, {u}]");
            }
            let Pair { lower, upper } = clip.pair(l, u);
            for slope in [lower.slope, upper.slope] {
                assert!((0.0..=1.0).contains(&slope), "{slope} on [{l}, {u}]");
            }
        }
        let abs = Piecewise::abs().pair(-1e-320, 2e-308);
        assert!(abs.upper.slope.abs() <= 1.0 && abs.upper.offset < 1e-307);
    }

    #[test]
    fn values_are_the_definitions() {
        let clip = Piecewise::clip(-1.0, 2.0);
        let values = [-2.0, -1.0, 0.5, 2.0, 3.0].map(|x| clip.value(x));
        assert_eq!(values, [-1.0, -1.0, 0.5, 2.0, 2.0]);
        assert_eq!(Piecewise::clip(2.0, 1.0).value(5.0), 1.0);
        assert_eq!(Piecewise::leaky(0.5).value(-4.0), -2.0);
        assert_eq!(Piecewise::abs().value(-4.0), 4.0);
        assert_eq!(
            clip.pair(0.0, 1.0).lower,
            Line {
                slope: 1.0,
                offset: 0.0
            }
        );
        assert_eq!(Piecewise::leaky(0.1).free_slopes(), Some([0.1, 1.0]));
        assert_eq!(Piecewise::leaky(2.0).free_slopes(), None);
    }
}
