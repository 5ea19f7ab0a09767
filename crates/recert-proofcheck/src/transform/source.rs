//! Where a pixel comes from, with the derivative by every parameter, over intervals of these.

use recert_num::degrees::{RADIANS, cos, sin};

use super::interval::Interval;
use super::{Kind, MOST_STEPS, Transformation};

/// A number with its derivatives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dual {
    pub(super) value: Interval,
    pub(super) by: [Interval; MOST_STEPS],
}

/// Steps that move pixels, with sine and cosine where it takes them; the last one first.
pub(super) struct Trigonometry {
    steps: Vec<(usize, Kind, [Interval; 2])>,
}

impl Trigonometry {
    pub(super) fn over(transformation: &Transformation, ends: &[Interval]) -> Self {
        let steps = transformation.steps.iter().enumerate().rev();
        let moving = steps.filter(|(_, kind)| kind.moves());
        let with = moving.map(|(index, &kind)| {
            let both = match kind {
                Kind::Rotate => [
                    turned(ends[index], sin, 90.0),
                    turned(ends[index], cos, 0.0),
                ],
                _ => [Interval::ZERO; 2],
            };
            (index, kind, both)
        });
        Self {
            steps: with.collect(),
        }
    }
}

/// A sine or cosine over an interval within 720 degrees, with its largest value at `peak` and at
/// every 360 degrees from there: at an end, or 1 or -1 where it turns between.
fn turned(t: Interval, function: fn(f64) -> (f64, f64), peak: f64) -> Interval {
    let [low, high] = [t.low, t.high].map(function);
    let mut range = Interval::new(low.0.min(high.0), low.1.max(high.1));
    for half in -9..=9 {
        let at = peak + 180.0 * f64::from(half);
        if t.low <= at && at <= t.high {
            let value = if half % 2 == 0 { 1.0 } else { -1.0 };
            range = range.hull(Interval::point(value));
        }
    }
    range
}

impl Dual {
    fn constant(value: f64) -> Self {
        Self {
            value: Interval::point(value),
            by: [Interval::ZERO; MOST_STEPS],
        }
    }

    /// `a x + b y`, of constants a and b.
    fn combined(x: &Self, y: &Self, a: Interval, b: Interval) -> Self {
        let mut by = [Interval::ZERO; MOST_STEPS];
        for (index, by) in by.iter_mut().enumerate() {
            *by = x.by[index] * a + y.by[index] * b;
        }
        Self {
            value: x.value * a + y.value * b,
            by,
        }
    }

    /// The source of a pixel: its column and its row.
    pub(super) fn source(
        map: &Trigonometry,
        ends: &[Interval],
        [column, row]: [usize; 2],
        [width, height]: [usize; 2],
    ) -> [Self; 2] {
        let half = |extent: usize| (extent as f64 - 1.0) / 2.0;
        // Half-integers, which are exact.
        let mut x = Self::constant(column as f64 - half(width));
        let mut y = Self::constant(half(height) - row as f64);
        let (zero, one) = (Interval::ZERO, Interval::point(1.0));
        for &(index, kind, [sine, cosine]) in &map.steps {
            let t = ends[index];
            match kind {
                Kind::Rotate => {
                    let radian = Interval::new(RADIANS.0, RADIANS.1);
                    let turned = [
                        Self::combined(&x, &y, cosine, sine),
                        Self::combined(&x, &y, -sine, cosine),
                    ];
                    [x, y] = turned;
                    // Turning on, x follows y and y the negative of x.
                    x.by[index] = turned[1].value * radian;
                    y.by[index] = -(turned[0].value * radian);
                }
                Kind::TranslateX => {
                    x.value = x.value - t;
                    x.by[index] = -one;
                }
                Kind::TranslateY => {
                    y.value = y.value - t;
                    y.by[index] = -one;
                }
                Kind::Scale => {
                    for dual in [&mut x, &mut y] {
                        dual.value = dual.value.over(t);
                        for by in &mut dual.by {
                            *by = by.over(t);
                        }
                        dual.by[index] = -(dual.value.over(t));
                    }
                }
                Kind::Shear => {
                    let before = y.value;
                    x = Self::combined(&x, &y, one, -t);
                    x.by[index] = -before;
                }
                Kind::Contrast | Kind::Brightness => {}
            }
        }
        // Rows count downwards.
        y = Self::combined(&y, &y, -one, zero);
        x.value = x.value + Interval::point(half(width));
        y.value = y.value + Interval::point(half(height));
        [x, y]
    }

    /// The source over a piece: no farther from that at the centre than the derivatives allow.
    pub(super) fn within(over: &[Self; 2], centre: &[Self; 2], radius: &[f64]) -> [Self; 2] {
        let mut near = *over;
        for (dual, centre) in near.iter_mut().zip(centre) {
            let mut around = centre.value;
            for (by, &radius) in dual.by.iter().zip(radius) {
                let moved = Interval::point(by.magnitude()) * Interval::point(radius);
                around = around.widened(moved.high);
            }
            dual.value = dual.value.meet(around);
        }
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_over_intervals_hold_those_at_points() {
        for (low, high) in [
            (-30.0, 30.0),
            (80.0, 100.0),
            (-360.0, 360.0),
            (170.0, 180.0),
        ] {
            let t = Interval::new(low, high);
            for (function, exact, peak) in [
                (
                    sin as fn(f64) -> (f64, f64),
                    f64::sin as fn(f64) -> f64,
                    90.0,
                ),
                (cos, f64::cos, 0.0),
            ] {
                let range = turned(t, function, peak);
                let mut seen = [f64::INFINITY, f64::NEG_INFINITY];
                for step in 0..=1000 {
                    let at: f64 = low + (high - low) * f64::from(step) / 1000.0;
                    let value = exact(at.to_radians());
                    seen = [seen[0].min(value), seen[1].max(value)];
                    assert!(range.low <= value + 1e-14 && value - 1e-14 <= range.high);
                }
                assert!(range.low > seen[0] - 1e-3 && range.high < seen[1] + 1e-3);
            }
        }
    }
}
