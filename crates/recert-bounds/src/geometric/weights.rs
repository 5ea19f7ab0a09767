//! The range of a pixel from intervals of interpolation weights: CGT's sum, and the knapsack
//! that uses that the weights sum to 1.

use super::coordinates::Source;
use super::image::Plane;
use crate::interval::Interval;

/// A pixel of the source and the interval of its weight.
struct Weighted {
    value: f64,
    weight: Interval,
}

/// The pixels that a rectangle of sources can give weight to; all zeros outside the image are
/// one entry. The exact weights, those outside included, sum to 1 at every source.
pub(crate) struct Weights {
    entries: Vec<Weighted>,
}

/// Encloses `max(0, 1 - |u - p|) max(0, 1 - |v - q|)` for every pixel `(p, q)` of an image and
/// all sources `(u, v)` in the rectangle: calls `visit` with column, row and weight, and returns
/// the weight of everything outside.
pub(crate) fn each_weight(
    [width, height]: [usize; 2],
    [columns, rows]: Source,
    mut visit: impl FnMut(usize, usize, Interval),
) -> Interval {
    let across = along(columns, width as i64);
    let down = along(rows, height as i64);
    let inside = |pixel: i64, extent: usize| usize::try_from(pixel).ok().filter(|&p| p < extent);
    let mut outside = Interval::ZERO;
    for (row, of_row) in &down {
        for (column, of_column) in &across {
            let weight = *of_row * *of_column;
            match inside(*column, width).zip(inside(*row, height)) {
                Some((column, row)) => visit(column, row, weight),
                None => outside = outside + weight,
            }
        }
    }
    outside
}

impl Weights {
    /// As [`each_weight`], of an image.
    pub(crate) fn new(plane: &Plane, source: Source) -> Self {
        let mut entries = Vec::new();
        let size = [plane.width(), plane.height()];
        let outside = each_weight(size, source, |column, row, weight| {
            let value = plane.at(column as i64, row as i64);
            entries.push(Weighted { value, weight });
        });
        entries.push(Weighted {
            value: 0.0,
            weight: outside,
        });
        Self { entries }
    }

    /// `[sum of lower weights times values, sum of upper weights times values]`, cut to
    /// `[0, 1]`: the interval method of CGT.
    pub(crate) fn sum(&self) -> Interval {
        self.entries
            .iter()
            .fold(Interval::ZERO, |sum, entry| {
                sum + entry.weight.times(entry.value)
            })
            .cut(0.0, 1.0)
    }

    /// The range of `sum w v` over all weights in their intervals that sum to 1.
    ///
    /// It is a fractional knapsack: the lower weights are given, and the rest of the mass goes
    /// to the smallest (largest) values first. The bound is the dual's: for every number `z`,
    /// `sum w v = z + sum w (v - z)` because the weights sum to 1, and each term is at least
    /// that with the weight at the end that makes it smallest. So no rounding in the choice of
    /// `z`, the value at which the mass is used up, can make the bound wrong.
    pub(crate) fn knapsack(&mut self) -> Interval {
        self.entries
            .sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
        let rest = 1.0
            - self
                .entries
                .iter()
                .map(|entry| entry.weight.low)
                .sum::<f64>();
        let low = self.dual(critical(self.entries.iter(), rest));
        let high = self.dual(critical(self.entries.iter().rev(), rest));
        Interval::new(low.low, high.high).intersection(self.sum())
    }

    /// `z + sum w (v - z)`, enclosed for all weights.
    fn dual(&self, z: f64) -> Interval {
        let z = Interval::point(z);
        self.entries.iter().fold(z, |sum, entry| {
            sum + entry.weight * (Interval::point(entry.value) - z)
        })
    }
}

/// The value at which `rest` is used up, when entries are filled in order.
fn critical<'a>(entries: impl Iterator<Item = &'a Weighted>, mut rest: f64) -> f64 {
    let mut value = 0.0;
    for entry in entries {
        value = entry.value;
        rest -= entry.weight.high - entry.weight.low;
        if rest <= 0.0 {
            break;
        }
    }
    value
}

/// The pixels along one axis, from one before the image to one after, that a range of sources
/// can give weight to. Everything further out is counted with these two.
fn along(sources: Interval, extent: i64) -> Vec<(i64, Interval)> {
    let limit = extent as f64;
    let first = sources.low.floor().clamp(-1.0, limit) as i64;
    let last = sources.high.ceil().clamp(-1.0, limit) as i64;
    let mut weights: Vec<_> = (first..=last)
        .map(|pixel| (pixel, fall(sources, pixel as f64)))
        .collect();
    // All weight beyond the ends is outside: one minus what is inside.
    if sources.low < -1.0 || sources.high > limit {
        weights.retain(|(pixel, _)| (0..extent).contains(pixel));
        let inside = weights
            .iter()
            .fold(Interval::ZERO, |sum, (_, weight)| sum + *weight);
        weights.push((-1, (Interval::ONE - inside).cut(0.0, 1.0)));
    }
    weights
}

/// `max(0, 1 - |u - p|)` over a range of sources.
fn fall(sources: Interval, pixel: f64) -> Interval {
    let distance = sources - Interval::point(pixel);
    let nearest = if distance.low > 0.0 {
        distance.low
    } else if distance.high < 0.0 {
        -distance.high
    } else {
        0.0
    };
    let weight = Interval::ONE - Interval::new(nearest, distance.magnitude());
    Interval::new(weight.low.max(0.0), weight.high.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometric::image::{Extents, Layout, Scratch};
    use proptest::prelude::*;

    proptest! {
        /// Values at points lie in the knapsack's range, which lies in the sum's; the range over
        /// the rectangle itself lies in the knapsack's.
        #[test]
        fn ranges_are_nested(
            values in prop::collection::vec(0.0..=1.0_f64, 12),
            columns in (-2.5..4.5_f64, 0.0..1.5_f64),
            rows in (-2.5..3.5_f64, 0.0..1.5_f64),
            points in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 10),
        ) {
            let extents = Extents { channels: 1, height: 3, width: 4, layout: Layout::ChannelsFirst };
            let plane = Plane::new(&extents, &values, 0);
            let rectangle = [
                Interval::new(columns.0, columns.0 + columns.1),
                Interval::new(rows.0, rows.0 + rows.1),
            ];
            let mut weights = Weights::new(&plane, rectangle);
            let knapsack = weights.knapsack();
            let sum = weights.sum();
            let exact = plane.range(rectangle, &mut Scratch::default());
            prop_assert!(sum.low <= knapsack.low && knapsack.high <= sum.high);
            prop_assert!(knapsack.low <= exact.low + 1e-14 && exact.high <= knapsack.high + 1e-14);
            for (s, t) in points {
                let column = rectangle[0].low + s * columns.1;
                let row = rectangle[1].low + t * rows.1;
                let value = plane.interpolate(column, row);
                prop_assert!(knapsack.low <= value + 1e-14 && value <= knapsack.high + 1e-14);
            }
        }

        /// The dual equals the primal, which is filled greedily.
        #[test]
        fn the_knapsack_is_exact(
            values in prop::collection::vec(0.0..=1.0_f64, 12),
            column in 0.0..2.0_f64, row in 0.0..1.0_f64, width in 0.0..1.0_f64,
        ) {
            let extents = Extents { channels: 1, height: 3, width: 4, layout: Layout::ChannelsFirst };
            let plane = Plane::new(&extents, &values, 0);
            let rectangle = [
                Interval::new(column, column + width),
                Interval::new(row, row + width / 2.0),
            ];
            let mut weights = Weights::new(&plane, rectangle);
            let range = weights.knapsack();
            let mut rest = 1.0;
            let mut low = 0.0;
            for entry in &weights.entries {
                rest -= entry.weight.low;
                low += entry.weight.low * entry.value;
            }
            for entry in &weights.entries {
                let more = (entry.weight.high - entry.weight.low).min(rest);
                low += more * entry.value;
                rest -= more;
            }
            prop_assert!((range.low - low).abs() < 1e-12, "{} and {low}", range.low);
        }
    }
}
