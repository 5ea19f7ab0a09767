//! Lines below and above every pixel, linear in the parameters of a cell.
//!
//! On a piece with centre c and half-widths r, a pixel v is a Lipschitz function of the parameters,
//! differentiable almost everywhere with derivatives in D. For any slopes g, v(p) - g (p - m) is
//! hence within the sum of |D - g| r of v(c) - g (c - m). The least of these numbers over the pieces,
//! which cover the cell, is the offset of a line below.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use super::interval::Interval;
use super::{MOST_STEPS, Value};

/// A box of parameters.
pub(super) struct Piece {
    pub(super) ends: Vec<Interval>,
    pub(super) centre: Vec<Interval>,
    /// Half-widths, rounded up.
    pub(super) radius: Vec<f64>,
}

impl Piece {
    pub(super) fn new(ends: &[[f64; 2]]) -> Self {
        let centres = ends.iter().map(|[low, high]| low.midpoint(*high));
        let radius = |(&[low, high], centre): (&[f64; 2], f64)| {
            sub_up(centre, low).max(sub_up(high, centre)).max(0.0)
        };
        Self {
            ends: ends
                .iter()
                .map(|[low, high]| Interval::new(*low, *high))
                .collect(),
            radius: ends.iter().zip(centres.clone()).map(radius).collect(),
            centre: centres.map(Interval::point).collect(),
        }
    }
}

/// A line for each pixel below it, and one above: offset and slopes by each parameter less its
/// middle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lines {
    middle: Vec<f64>,
    /// Half-widths of the cell, rounded up.
    pub(crate) half: Vec<f64>,
    pub(crate) offsets: [Vec<f64>; 2],
    /// Row-major, a pixel a row.
    pub(crate) slopes: [Vec<f64>; 2],
}

/// A line that is tried: offsets below and above, and slopes.
type Tried = ([f64; 2], [f64; MOST_STEPS]);

impl Lines {
    pub(super) fn new(ends: &[[f64; 2]], pixels: usize) -> Self {
        let whole = Piece::new(ends);
        let zeros = || [vec![0.0; pixels], vec![0.0; pixels]];
        Self {
            middle: whole.centre.iter().map(|centre| centre.low).collect(),
            offsets: zeros(),
            slopes: zeros().map(|zeros| zeros.repeat(ends.len())),
            half: whole.radius,
        }
    }

    pub(super) fn middle(&self) -> Vec<f64> {
        self.middle.clone()
    }

    /// The number of parameters.
    pub(crate) fn parameters(&self) -> usize {
        self.half.len()
    }

    /// Finds the lines of a pixel from its values over the pieces, and returns its range.
    pub(super) fn set(&mut self, pixel: usize, pieces: &[Piece], values: &[Value]) -> [f64; 2] {
        let ranges = pieces.iter().zip(values).map(|(piece, value)| {
            let by = value.by.iter().zip(&piece.radius);
            let moved = by.fold(0.0, |sum, (by, &r)| add_up(sum, mul_up(by.magnitude(), r)));
            value.centre.widened(moved).meet(value.range)
        });
        let range = ranges
            .reduce(Interval::hull)
            .map_or(Interval::new(0.0, 1.0), Interval::cut);
        let flat = [0.0; MOST_STEPS];
        let mut below: Tried = ([range.low, range.high], flat);
        let mut above = below;
        if range.low < range.high {
            let last = values.len() - 1;
            let of = |value: &Value| value.by.map(Interval::middle);
            let mean = self.fitted(pieces, values);
            for slopes in [
                mean,
                of(&values[0]),
                of(&values[last / 2]),
                of(&values[last]),
            ] {
                let offsets = self.rest(slopes, pieces, values);
                if offsets[0] > below.0[0] {
                    below = (offsets, slopes);
                }
                if offsets[1] < above.0[1] {
                    above = (offsets, slopes);
                }
            }
        }
        let count = self.parameters();
        for (side, (offsets, slopes)) in [below, above].into_iter().enumerate() {
            self.offsets[side][pixel] = offsets[side];
            let row = pixel * count..(pixel + 1) * count;
            self.slopes[side][row].copy_from_slice(&slopes[..count]);
        }
        [range.low, range.high]
    }

    /// Slopes through the values at the centres of pieces, by least squares parameter by parameter;
    /// of a parameter that is not cut, the mean derivative. Whatever they are, lines hold.
    fn fitted(&self, pieces: &[Piece], values: &[Value]) -> [f64; MOST_STEPS] {
        let mut slopes = [0.0; MOST_STEPS];
        for (index, &middle) in self.middle.iter().enumerate() {
            let (mut products, mut squares, mut derivatives) = (0.0, 0.0, 0.0);
            for (piece, value) in pieces.iter().zip(values) {
                let shift = piece.centre[index].low - middle;
                products += shift * value.centre.middle();
                squares += shift * shift;
                derivatives += value.by[index].middle();
            }
            let cut = squares > 1e-6 * self.half[index] * self.half[index];
            slopes[index] = if cut {
                products / squares
            } else {
                derivatives / pieces.len() as f64
            };
        }
        slopes
    }

    /// The range over the cell of the pixel less what the slopes make of the parameters.
    fn rest(&self, slopes: [f64; MOST_STEPS], pieces: &[Piece], values: &[Value]) -> [f64; 2] {
        let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        let hull = pieces
            .iter()
            .zip(values)
            .fold(empty, |hull, (piece, value)| {
                let (mut at_centre, mut over) = (value.centre, value.range);
                let mut around = 0.0;
                for (index, &middle) in self.middle.iter().enumerate() {
                    let slope = Interval::point(slopes[index]);
                    let middle = Interval::point(middle);
                    at_centre = at_centre - slope * (piece.centre[index] - middle);
                    over = over - slope * (piece.ends[index] - middle);
                    let steepest = (value.by[index] - slope).magnitude();
                    around = add_up(around, mul_up(steepest, piece.radius[index]));
                }
                hull.hull(at_centre.widened(around).meet(over))
            });
        [hull.low, hull.high]
    }

    /// A lower bound of `coefficients . x` for pixels between the lines, rounded down; with it, the
    /// slope of the bound by each parameter, rounded to nearest.
    pub(crate) fn least(&self, coefficients: &[f64]) -> (f64, Vec<f64>) {
        let count = self.parameters();
        let mut constant = 0.0;
        let (mut low, mut high) = (vec![0.0; count], vec![0.0; count]);
        let nonzero = coefficients.iter().enumerate().filter(|(_, a)| **a != 0.0);
        for (pixel, &a) in nonzero {
            let side = usize::from(a < 0.0);
            constant = add_down(constant, mul_down(a, self.offsets[side][pixel]));
            let slopes = &self.slopes[side][pixel * count..(pixel + 1) * count];
            for (index, &slope) in slopes.iter().enumerate() {
                low[index] = add_down(low[index], mul_down(a, slope));
                high[index] = add_up(high[index], mul_up(a, slope));
            }
        }
        // Linear in the parameters, so least at an end of each.
        let ends = low.iter().zip(&high).zip(&self.half);
        let bound = ends.fold(constant, |sum, ((l, h), &half)| {
            sub_down(sum, mul_up(l.abs().max(h.abs()), half))
        });
        // A NaN may have been dropped on the way.
        let finite = coefficients.iter().all(|a| a.is_finite());
        let slopes = low.iter().zip(&high).map(|(l, h)| l.midpoint(*h)).collect();
        (if finite { bound } else { f64::NAN }, slopes)
    }
}
