//! One channel of an image with zeros around it, interpolated between four pixels at a time.

use super::interval::Interval;

/// What an interpolated value, or a slope, may be off by in f64, for pixels in [0, 1]: twice what
/// its roundings come to, 16 of 2^-53 each at most.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// A channel.
pub(super) struct Plane {
    pixels: Vec<f64>,
    height: usize,
    width: usize,
}

impl Plane {
    pub(super) fn new(pixels: &[f32], height: usize, width: usize) -> Self {
        Self {
            pixels: pixels.iter().map(|&pixel| pixel.into()).collect(),
            height,
            width,
        }
    }

    fn pixel(&self, column: i64, row: i64) -> f64 {
        let (Ok(column), Ok(row)) = (usize::try_from(column), usize::try_from(row)) else {
            return 0.0;
        };
        if column < self.width && row < self.height {
            self.pixels[row * self.width + column]
        } else {
            0.0
        }
    }

    /// The range of the interpolation over a rectangle of columns and rows, and of its slopes
    /// along both. On each square between four pixels the interpolation is linear along each side,
    /// so that it is largest at a corner of what the rectangle takes of the square, and so are
    /// slopes.
    pub(super) fn bounds(&self, [columns, rows]: [Interval; 2]) -> (Interval, [Interval; 2]) {
        let known = [columns.low, columns.high, rows.low, rows.high];
        if known.iter().any(|end| !end.is_finite()) {
            let all = Interval::new(f64::NEG_INFINITY, f64::INFINITY);
            return (Interval::new(0.0, 1.0), [all; 2]);
        }
        let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        let (mut range, mut slopes) = (empty, [empty; 2]);
        let ends = [self.width, self.height].map(|extent| extent as f64);
        let is_inside = |t: Interval, end: f64| t.low >= -1.0 && t.high <= end;
        // Beyond the zeros around the image nothing is, and nothing changes.
        if !(is_inside(columns, ends[0]) && is_inside(rows, ends[1])) {
            range = Interval::ZERO;
            slopes = [Interval::ZERO; 2];
        }
        let put = |into: &mut Interval, value: f64| *into = into.hull(Interval::point(value));
        for (row, [top, bottom]) in squares(rows, self.height) {
            for (column, [left, right]) in squares(columns, self.width) {
                let a = self.pixel(column, row);
                let b = self.pixel(column + 1, row);
                let c = self.pixel(column, row + 1);
                let d = self.pixel(column + 1, row + 1);
                for across in [left, right] {
                    let (above, below) = (a + across * (b - a), c + across * (d - c));
                    for down in [top, bottom] {
                        put(&mut range, above + down * (below - above));
                    }
                    put(&mut slopes[1], (c - a) + across * ((d - b) - (c - a)));
                }
                for down in [top, bottom] {
                    put(&mut slopes[0], (b - a) + down * ((d - c) - (b - a)));
                }
            }
        }
        let slopes = slopes.map(|slope| slope.widened(ROUNDING));
        (range.widened(ROUNDING).cut(), slopes)
    }
}

/// The squares that a range meets from the zeros on one side of the image to those on the other:
/// the first pixel of each, and the part of it that the range takes.
fn squares(range: Interval, extent: usize) -> impl Iterator<Item = (i64, [f64; 2])> {
    let (low, high) = (range.low.max(-1.0), range.high.min(extent as f64));
    let last = extent as i64 - 1;
    let first = if low <= high {
        (low.floor() as i64).min(last)
    } else {
        0
    };
    let end = if low <= high {
        (high.ceil() as i64 - 1).clamp(first, last)
    } else {
        -1
    };
    (first..=end).map(move |square| {
        let part = |at: f64| (at - square as f64).clamp(0.0, 1.0);
        (square, [part(low), part(high)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: weights that fall to 0 at a distance of 1.
    fn at(pixels: &[f32], width: usize, column: f64, row: f64) -> f64 {
        let weight = |distance: f64| (1.0 - distance.abs()).max(0.0);
        let terms = pixels.iter().enumerate().map(|(i, &pixel)| {
            let (q, p) = ((i / width) as f64, (i % width) as f64);
            f64::from(pixel) * weight(column - p) * weight(row - q)
        });
        terms.sum()
    }

    #[test]
    fn rectangles_hold_their_points_and_changes() {
        let pixels: Vec<f32> = (0..12).map(|i| (i * 7 % 12) as f32 / 11.0).collect();
        let plane = Plane::new(&pixels, 3, 4);
        let starts = [-2.5, -1.0, -0.25, 0.0, 1.0, 1.75, 3.0, 3.5];
        for (column, row) in starts
            .iter()
            .flat_map(|&c| starts.iter().map(move |&r| (c, r)))
        {
            for size in [0.0, 0.5, 1.25, 4.0] {
                let columns = Interval::new(column, column + size);
                let rows = Interval::new(row, row + size);
                let (range, [across, down]) = plane.bounds([columns, rows]);
                for i in 0..=8 {
                    let step = |i: i32| size * f64::from(i) / 8.0;
                    let mut last: Option<[f64; 2]> = None;
                    for j in 0..=8 {
                        let (c, r) = (column + step(i), row + step(j));
                        let value = at(&pixels, 4, c, r);
                        assert!(range.low <= value + 1e-12 && value - 1e-12 <= range.high);
                        let other = at(&pixels, 4, column + step(j), row + step(i));
                        if let Some([before, beside]) = last {
                            let width = size / 8.0;
                            for (slope, change) in
                                [(down, value - before), (across, other - beside)]
                            {
                                assert!(slope.low * width <= change + 1e-12);
                                assert!(change - 1e-12 <= slope.high * width);
                            }
                        }
                        last = Some([value, other]);
                    }
                }
            }
        }
    }
}
