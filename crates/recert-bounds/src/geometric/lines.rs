//! Lines below and above a pixel, from its values and derivatives on the pieces of a cell (the
//! proof is in [`super::pixels`]).

use recert_num::directed::{add_up, div_down, div_up, mul_up, sub_up};

use super::pixels::{Jet, Piece};
use super::transformation::MAX_STEPS;
use crate::interval::Interval;

/// One number a parameter, those beyond the parameters of the transformation zero.
pub(crate) type Slopes = [f64; MAX_STEPS];

/// What the lines of all pixels over a cell have in common. Slopes are by `t_i = (p_i - m_i)/h_i`
/// in `[-1, 1]`, with the centre `m` and the half-widths `h` of the cell.
pub(crate) struct Lines {
    half: Vec<f64>,
    pieces: Vec<Placed>,
    /// For each parameter, the sum over pieces of `t_i^2`.
    squares: Vec<f64>,
}

/// A piece's place in the cell.
struct Placed {
    /// `c_i - m_i`.
    shift: Vec<Interval>,
    /// `r_i`.
    radius: Vec<f64>,
    /// `(c_i - m_i)/h_i`, to nearest; 0 where the cell has no width.
    t: Vec<f64>,
}

impl Lines {
    pub(crate) fn new(pieces: &[Piece], middle: &[f64], half: &[f64]) -> Self {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| {
                let shift: Vec<_> = piece
                    .centre
                    .iter()
                    .zip(middle)
                    .map(|(&c, &m)| Interval::point(c) - Interval::point(m))
                    .collect();
                let t = shift.iter().zip(half).map(|(shift, &half)| {
                    if half > 0.0 {
                        shift.middle() / half
                    } else {
                        0.0
                    }
                });
                Placed {
                    t: t.collect(),
                    radius: piece.radius.clone(),
                    shift,
                }
            })
            .collect();
        let squares = (0..half.len())
            .map(|index| pieces.iter().map(|piece| piece.t[index].powi(2)).sum())
            .collect();
        Self {
            half: half.to_vec(),
            pieces,
            squares,
        }
    }

    /// Slopes for the lower and for the upper line, whose offsets are [`Lines::rest`] of them.
    pub(crate) fn choose(&self, jets: &[Jet]) -> [(Slopes, f64); 2] {
        let last = jets.len() - 1;
        let mut candidates = [[0.0; MAX_STEPS]; 5];
        candidates[0] = self.least_squares(jets);
        for (candidate, jet) in candidates[1..4].iter_mut().zip([0, last / 2, last]) {
            for (slope, (range, half)) in candidate
                .iter_mut()
                .zip(jets[jet].derivative.iter().zip(&self.half))
            {
                *slope = range.middle() * half;
            }
        }
        let mut best = [
            (candidates[4], f64::NEG_INFINITY),
            (candidates[4], f64::INFINITY),
        ];
        for slopes in candidates {
            let rest = self.rest(&slopes, jets);
            if rest.low > best[0].1 {
                best[0] = (slopes, rest.low);
            }
            if rest.high < best[1].1 {
                best[1] = (slopes, rest.high);
            }
        }
        best
    }

    /// The range over the cell of the pixel less `sum slopes_i t_i`.
    pub(crate) fn rest(&self, slopes: &Slopes, jets: &[Jet]) -> Interval {
        // The slopes by the parameters themselves.
        let mut by_parameter = [Interval::ZERO; MAX_STEPS];
        for ((slope, &half), by) in slopes.iter().zip(&self.half).zip(&mut by_parameter) {
            if half > 0.0 {
                *by = Interval::new(div_down(*slope, half), div_up(*slope, half));
            }
        }
        let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        self.pieces
            .iter()
            .zip(jets)
            .fold(empty, |hull, (piece, jet)| {
                let mut centre = jet.centre;
                let mut around = 0.0;
                let mut line = Interval::ZERO;
                for (index, shift) in piece.shift.iter().enumerate() {
                    let (g, radius) = (by_parameter[index], piece.radius[index]);
                    let from_centre = *shift * g;
                    centre = centre - from_centre;
                    let steepest = (jet.derivative[index] - g).magnitude();
                    around = add_up(around, mul_up(steepest, radius));
                    line = line + from_centre.widened(mul_up(g.magnitude(), radius));
                }
                // By the mean value, and by the pixel's range alone: both enclose.
                let enclosed = centre.widened(around).intersection(jet.range - line);
                hull.hull(enclosed)
            })
    }

    /// Least squares through the values at the centres of the pieces, which lie on a grid
    /// around the centre of the cell; along a parameter that is not cut, the mean derivative.
    fn least_squares(&self, jets: &[Jet]) -> Slopes {
        let mut slopes = [0.0; MAX_STEPS];
        for (index, &half) in self.half.iter().enumerate() {
            let terms = self.pieces.iter().zip(jets);
            slopes[index] = if self.squares[index] > 1e-6 {
                terms
                    .map(|(piece, jet)| piece.t[index] * jet.centre.middle())
                    .sum::<f64>()
                    / self.squares[index]
            } else {
                terms
                    .map(|(_, jet)| jet.derivative[index].middle())
                    .sum::<f64>()
                    * half
                    / jets.len() as f64
            };
        }
        slopes
    }
}

/// Half-widths around a centre, rounded up.
pub(crate) fn half_widths(middle: &[f64], lower: &[f64], upper: &[f64]) -> Vec<f64> {
    middle
        .iter()
        .zip(lower.iter().zip(upper))
        .map(|(&m, (&low, &high))| sub_up(m, low).max(sub_up(high, m)))
        .collect()
}
