//! An image as transformations see it, and its bilinear interpolation: at a point, and the range
//! of values and of slopes over a rectangle of points.

use super::coordinates::Map;
use super::transformation::{Kind, Transformation};
use crate::error::{Error, Result};
use crate::interval::Interval;

/// The most pixels of an image, over all channels.
pub const MAX_PIXELS: usize = 1 << 26;

/// The largest rounding error of an interpolated value, and of a slope, in plain `f64`
/// arithmetic for pixels in `[0, 1]`: below `16 u`, with twice that to spare (`u = 2^-53`).
///
/// A fraction of a pixel has error `u`, a difference of pixels `u`, their product `3 u`, and the
/// first interpolation `4 u`; the second adds two such values with weights, with error at most
/// `4 u + 8 u + 4 u`. A slope is the one interpolation of two differences of pixels.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// How the values of an image lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[channels, height, width]`.
    ChannelsFirst,
    /// `[height, width, channels]`.
    ChannelsLast,
}

/// The extents of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// The number of channels, at least 1.
    pub channels: usize,
    /// The number of rows, at least 1.
    pub height: usize,
    /// The number of columns, at least 1.
    pub width: usize,
    /// The order of the values.
    pub layout: Layout,
}

impl Extents {
    /// The number of values, or an error where an extent is 0 or the product is above
    /// [`MAX_PIXELS`].
    pub fn values(&self) -> Result<usize> {
        let product = self
            .channels
            .checked_mul(self.height)
            .and_then(|n| n.checked_mul(self.width))
            .filter(|&n| n > 0 && n <= MAX_PIXELS);
        product.ok_or_else(|| {
            Error::argument(format!(
                "an image of {} channels, {} rows and {} columns: a transformation takes 1 to {MAX_PIXELS} values",
                self.channels, self.height, self.width
            ))
        })
    }

    /// Where the value of a pixel lies.
    pub(crate) fn index(&self, channel: usize, row: usize, column: usize) -> usize {
        match self.layout {
            Layout::ChannelsFirst => (channel * self.height + row) * self.width + column,
            Layout::ChannelsLast => (row * self.width + column) * self.channels + channel,
        }
    }

    /// Refuses values that are not as many as the extents say, each in `[0, 1]`.
    pub(crate) fn check(&self, values: &[f64]) -> Result<()> {
        let expected = self.values()?;
        if values.len() != expected {
            return Err(Error::argument(format!(
                "the image has {} values, its extents need {expected}",
                values.len()
            )));
        }
        match values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            None => Ok(()),
            Some(index) => Err(Error::argument(format!(
                "value {} of the image is {}: transformations are defined for values in [0, 1], \
                 before any normalisation",
                index, values[index]
            ))),
        }
    }
}

/// The transformed image at one value of the parameters, in `f64` rounded to nearest: every
/// pixel is the bilinear interpolation at its source, with zeros around the image, then changed
/// in value. This is the definition that the bounds are about, up to rounding.
///
/// `values` has the layout that `extents` states, and so has the result.
///
/// ```
/// use recert_bounds::geometric::{Extents, Layout, Transformation, apply};
/// let extents = Extents { channels: 1, height: 1, width: 3, layout: Layout::ChannelsFirst };
/// let shift: Transformation = "translate-x=-1..1".parse()?;
/// assert_eq!(apply(&shift, &extents, &[0.0, 0.5, 1.0], &[0.5])?, [0.0, 0.25, 0.75]);
/// # Ok::<(), recert_bounds::Error>(())
/// ```
pub fn apply(
    transformation: &Transformation,
    extents: &Extents,
    values: &[f64],
    parameters: &[f64],
) -> Result<Vec<f64>> {
    extents.check(values)?;
    transformation.check(parameters)?;
    let point: Vec<_> = parameters
        .iter()
        .map(|&value| Interval::point(value))
        .collect();
    let map = Map::over(transformation, &point, extents.width, extents.height);
    let mut result = vec![0.0; values.len()];
    for channel in 0..extents.channels {
        let plane = Plane::new(extents, values, channel);
        for row in 0..extents.height {
            for column in 0..extents.width {
                let source = map.source(column, row).map(Interval::middle);
                let mut value = plane.interpolate(source[0], source[1]);
                for (step, t) in transformation.steps().iter().zip(parameters) {
                    match step.kind {
                        Kind::Contrast => value = (value * t).clamp(0.0, 1.0),
                        Kind::Brightness => value = (value + t).clamp(0.0, 1.0),
                        _ => {}
                    }
                }
                result[extents.index(channel, row, column)] = value;
            }
        }
    }
    Ok(result)
}

/// One channel of an image, surrounded by zeros.
pub(crate) struct Plane {
    /// The pixels by rows, with a border of zeros.
    values: Vec<f64>,
    height: usize,
    width: usize,
}

/// The zeros on every side: interpolation reaches zero one pixel beyond the image.
const BORDER: usize = 1;

impl Plane {
    pub(crate) fn new(extents: &Extents, values: &[f64], channel: usize) -> Self {
        let (height, width) = (extents.height, extents.width);
        let stride = width + 2 * BORDER;
        let mut padded = vec![0.0; (height + 2 * BORDER) * stride];
        for row in 0..height {
            for column in 0..width {
                padded[(row + BORDER) * stride + column + BORDER] =
                    values[extents.index(channel, row, column)];
            }
        }
        Self {
            values: padded,
            height,
            width,
        }
    }

    /// The number of rows.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// The number of columns.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The pixel in `column` and `row`, which are at least -1 and at most one beyond the image.
    pub(crate) fn at(&self, column: i64, row: i64) -> f64 {
        let stride = self.width + 2 * BORDER;
        self.values[(row + BORDER as i64) as usize * stride + (column + BORDER as i64) as usize]
    }

    /// Whether the interpolation is zero on a whole rectangle of points, by the sum of all pixels
    /// that could have weight there.
    pub(crate) fn is_zero(&self, [columns, rows]: [Interval; 2]) -> bool {
        let Some((columns, rows)) = self.inside(columns, rows) else {
            return true;
        };
        let (left, right) = (columns.low.floor() as i64, columns.high.ceil() as i64);
        (rows.low.floor() as i64..=rows.high.ceil() as i64)
            .all(|row| (left..=right).all(|column| self.at(column, row) == 0.0))
    }

    /// The value at a point, to within `ROUNDING`.
    pub(crate) fn interpolate(&self, column: f64, row: f64) -> f64 {
        let column = column.clamp(-1.0, self.width as f64);
        let row = row.clamp(-1.0, self.height as f64);
        let (left, top) = (column.floor(), row.floor());
        let (across, down) = (column - left, row - top);
        let (left, top) = (left as i64, top as i64);
        let line = |row| {
            let first = self.at(left, row);
            first + across * (self.at((left + 1).min(self.width as i64), row) - first)
        };
        let first = line(top);
        first + down * (line((top + 1).min(self.height as i64)) - first)
    }

    /// The range of values over a rectangle of points.
    ///
    /// On each square between four pixels the interpolation is linear along rows and along
    /// columns, so its extremes over a rectangle are at corners; those of the parts of the
    /// rectangle that the grid of pixels cuts it into are all looked at.
    pub(crate) fn range(&self, [columns, rows]: [Interval; 2], scratch: &mut Scratch) -> Interval {
        let Some((columns, rows)) = self.inside(columns, rows) else {
            return Interval::ZERO;
        };
        vertices(columns, &mut scratch.columns);
        vertices(rows, &mut scratch.rows);
        let mut range = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        for &row in &scratch.rows {
            for &column in &scratch.columns {
                let value = self.interpolate(column, row);
                range = Interval::new(range.low.min(value), range.high.max(value));
            }
        }
        range.widened(ROUNDING).cut(0.0, 1.0)
    }

    /// The range of the derivative of the interpolation along columns and along rows, over all
    /// squares that a rectangle of points meets.
    pub(crate) fn slopes(
        &self,
        [columns, rows]: [Interval; 2],
        scratch: &mut Scratch,
    ) -> [Interval; 2] {
        let (outside_columns, outside_rows) = (
            columns.low < -1.0 || columns.high > self.width as f64,
            rows.low < -1.0 || rows.high > self.height as f64,
        );
        let Some((columns, rows)) = self.inside(columns, rows) else {
            return [Interval::ZERO; 2];
        };
        vertices(columns, &mut scratch.columns);
        vertices(rows, &mut scratch.rows);
        let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
        let mut slopes = [empty; 2];
        let include = |slope: &mut Interval, value: f64| {
            *slope = Interval::new(slope.low.min(value), slope.high.max(value));
        };
        for left in squares(columns, self.width) {
            for &row in &scratch.rows {
                let top = row.floor().min(self.height as f64 - 1.0);
                let down = row - top;
                let top = top as i64;
                let first = self.at(left + 1, top) - self.at(left, top);
                let second = self.at(left + 1, top + 1) - self.at(left, top + 1);
                include(&mut slopes[0], first + down * (second - first));
            }
        }
        for top in squares(rows, self.height) {
            for &column in &scratch.columns {
                let left = column.floor().min(self.width as f64 - 1.0);
                let across = column - left;
                let left = left as i64;
                let first = self.at(left, top + 1) - self.at(left, top);
                let second = self.at(left + 1, top + 1) - self.at(left + 1, top);
                include(&mut slopes[1], first + across * (second - first));
            }
        }
        // Beyond the border of zeros nothing changes.
        if outside_columns || outside_rows {
            slopes = slopes.map(|slope| slope.hull(Interval::ZERO));
        }
        slopes.map(|slope| slope.widened(ROUNDING))
    }

    /// The part of a rectangle where the interpolation may differ from zero; `None` if there is
    /// none.
    fn inside(&self, columns: Interval, rows: Interval) -> Option<(Interval, Interval)> {
        let (width, height) = (self.width as f64, self.height as f64);
        let meets = |range: Interval, extent: f64| range.low < extent && range.high > -1.0;
        (meets(columns, width) && meets(rows, height))
            .then(|| (columns.cut(-1.0, width), rows.cut(-1.0, height)))
    }
}

/// Buffers of [`Plane::range`] and [`Plane::slopes`], kept from pixel to pixel.
#[derive(Default)]
pub(crate) struct Scratch {
    columns: Vec<f64>,
    rows: Vec<f64>,
}

/// The ends of a range and the whole numbers between them.
fn vertices(range: Interval, into: &mut Vec<f64>) {
    into.clear();
    into.push(range.low);
    let mut whole = range.low.floor() + 1.0;
    while whole < range.high {
        into.push(whole);
        whole += 1.0;
    }
    if range.high > range.low {
        into.push(range.high);
    }
}

/// The first columns (or rows) of the squares that a range within `[-1, extent]` meets.
fn squares(range: Interval, extent: usize) -> std::ops::RangeInclusive<i64> {
    let last = extent as i64 - 1;
    let first = (range.low.floor() as i64).min(last);
    first..=(range.high.ceil() as i64 - 1).clamp(first, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extents(height: usize, width: usize) -> Extents {
        Extents {
            channels: 1,
            height,
            width,
            layout: Layout::ChannelsFirst,
        }
    }

    /// The definition: a sum over all pixels of weights that fall to 0 at distance 1.
    fn by_definition(values: &[f64], width: usize, column: f64, row: f64) -> f64 {
        let weight = |distance: f64| (1.0 - distance.abs()).max(0.0);
        (0..values.len())
            .map(|index| {
                let (q, p) = ((index / width) as f64, (index % width) as f64);
                values[index] * weight(column - p) * weight(row - q)
            })
            .sum()
    }

    proptest! {
        #[test]
        fn a_rectangle_encloses_its_points(
            values in prop::collection::vec(0.0..=1.0_f64, 12),
            columns in (-2.5..4.5_f64, 0.0..2.5_f64),
            rows in (-2.5..3.5_f64, 0.0..2.5_f64),
            points in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 20),
        ) {
            let plane = Plane::new(&extents(3, 4), &values, 0);
            let columns = Interval::new(columns.0, columns.0 + columns.1);
            let rows = Interval::new(rows.0, rows.0 + rows.1);
            let mut scratch = Scratch::default();
            let range = plane.range([columns, rows], &mut scratch);
            let [across, down] = plane.slopes([columns, rows], &mut scratch);
            let mut last: Option<(f64, f64, f64)> = None;
            for (s, t) in points {
                let column = (columns.low + s * (columns.high - columns.low)).min(columns.high);
                let row = (rows.low + t * (rows.high - rows.low)).min(rows.high);
                let value = by_definition(&values, 4, column, row);
                prop_assert!((plane.interpolate(column, row) - value).abs() <= ROUNDING);
                prop_assert!(range.low <= value + ROUNDING && value - ROUNDING <= range.high);
                if let Some((c, r, v)) = last {
                    let change = across.times(column - c) + down.times(row - r);
                    let change = change.widened(1e-14);
                    prop_assert!(change.low <= value - v && value - v <= change.high);
                }
                last = Some((column, row, value));
            }
        }

        /// The extremes of a rectangle are values at its points: the range is the exact one.
        #[test]
        fn a_range_is_attained(
            values in prop::collection::vec(0.0..=1.0_f64, 12),
            column in -1.0..3.0_f64, row in -1.0..2.0_f64,
        ) {
            let plane = Plane::new(&extents(3, 4), &values, 0);
            let rectangle = [Interval::new(column, column + 1.0), Interval::new(row, row + 1.0)];
            let range = plane.range(rectangle, &mut Scratch::default());
            let (mut low, mut high) = (1.0_f64, 0.0_f64);
            for i in 0..=100 {
                for j in 0..=100 {
                    let (s, t) = (f64::from(i) / 100.0, f64::from(j) / 100.0);
                    let value = by_definition(&values, 4, column + s, row + t);
                    (low, high) = (low.min(value), high.max(value));
                }
            }
            prop_assert!(range.low >= low - 0.03 && range.high <= high + 0.03);
        }
    }

    #[test]
    fn refuses_what_is_no_image() {
        let one = extents(1, 2);
        for (values, want) in [
            (vec![0.0], "has 1 values, its extents need 2"),
            (vec![0.0, 1.5], "value 1 of the image is 1.5"),
            (vec![f64::NAN, 0.0], "value 0 of the image is NaN"),
        ] {
            let error = one.check(&values).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        assert!(extents(usize::MAX, 2).values().is_err());
        assert!(extents(0, 2).values().is_err());
    }
}
