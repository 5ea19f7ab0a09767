//! Where inputs are: pixels in [0, 1] near an image, or a box; and whether a point is among them.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use crate::Distance;
use crate::transform::Lines;

/// All images with pixels in [0, 1] within a distance of one, in the order of channels, rows,
/// columns; or a box of inputs. The numbers enclose them: nothing of the region is outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    pub(crate) lower: Vec<f64>,
    pub(crate) upper: Vec<f64>,
    /// The centre, and the radius rounded up, of a Euclidean ball.
    pub(crate) ball: Option<(Vec<f64>, f64)>,
    /// Lines in a few parameters, between which the elements are.
    pub(crate) lines: Option<Lines>,
    /// A point of it: the image, or the middle of a box.
    centre: Vec<f64>,
    limits: Limits,
}

/// What a point is held against.
#[derive(Debug, Clone, PartialEq)]
enum Limits {
    /// How far it may be from the centre.
    Distance(Distance),
    /// The least and the largest value of each element, to nearest.
    Ends(Vec<[f64; 2]>),
}

/// Whether a point is in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is.
    Inside,
    /// It is not.
    Outside,
    /// It is so near the border that rounding hides which.
    Undecided,
}

impl Region {
    /// Images that differ from this one by at most the distance in every pixel.
    ///
    /// ```
    /// use recert_proofcheck::{Distance, Membership, Region};
    ///
    /// let distance = Distance::parse("1/4").expect("a distance");
    /// let region = Region::linf(&[0.5, 1.0], distance).expect("pixels in [0, 1]");
    /// assert_eq!(region.holds(&[0.25, 0.75]), Membership::Inside);
    /// assert_eq!(region.holds(&[0.24, 0.75]), Membership::Outside);
    /// ```
    pub fn linf(image: &[f32], distance: Distance) -> Option<Self> {
        Self::near(image, distance)
    }

    /// Images at a Euclidean distance of at most this.
    pub fn l2(image: &[f32], distance: Distance) -> Option<Self> {
        let mut region = Self::near(image, distance)?;
        region.ball = Some((region.centre.clone(), distance.up()));
        Some(region)
    }

    /// The box; `None` where a pixel of the image is not in [0, 1].
    fn near(image: &[f32], distance: Distance) -> Option<Self> {
        let inside = image.iter().all(|pixel| (0.0..=1.0).contains(pixel));
        let image: Vec<f64> = image.iter().map(|&pixel| pixel.into()).collect();
        let radius = distance.up();
        let lower = image.iter().map(|&x| sub_down(x, radius).max(0.0));
        let upper = image.iter().map(|&x| add_up(x, radius).min(1.0));
        inside.then(|| Self {
            lower: lower.collect(),
            upper: upper.collect(),
            ball: None,
            lines: None,
            centre: image.clone(),
            limits: Limits::Distance(distance),
        })
    }

    /// A box, with ends that are rounded outward, and to nearest. Elements may have any size.
    pub(crate) fn cuboid(outward: &[[f64; 2]], nearest: Vec<[f64; 2]>) -> Self {
        Self {
            lower: outward.iter().map(|ends| ends[0]).collect(),
            upper: outward.iter().map(|ends| ends[1]).collect(),
            ball: None,
            lines: None,
            centre: nearest
                .iter()
                .map(|[low, high]| low.midpoint(*high))
                .collect(),
            limits: Limits::Ends(nearest),
        }
    }

    /// Transformed images over a cell of parameters: the range of each pixel, lines below and above
    /// it, and the image in the middle.
    pub(crate) fn transformed(pixels: Vec<[f64; 2]>, lines: Lines, middle: Vec<f64>) -> Self {
        let mut region = Self::cuboid(&pixels.clone(), pixels);
        region.lines = Some(lines);
        region.centre = middle;
        region
    }

    /// The same with element i the one that was at `order[i]`.
    #[must_use]
    pub(crate) fn reordered(&self, order: &[usize]) -> Self {
        let pick = |values: &[f64]| order.iter().map(|&from| values[from]).collect::<Vec<f64>>();
        Self {
            lower: pick(&self.lower),
            upper: pick(&self.upper),
            ball: (self.ball.as_ref()).map(|(centre, radius)| (pick(centre), *radius)),
            // Only boxes of a file have another order.
            lines: None,
            centre: pick(&self.centre),
            limits: match &self.limits {
                Limits::Distance(distance) => Limits::Distance(*distance),
                Limits::Ends(ends) => Limits::Ends(order.iter().map(|&from| ends[from]).collect()),
            },
        }
    }

    /// The least and the largest value of each element, rounded outward.
    pub fn ends(&self) -> (&[f64], &[f64]) {
        (&self.lower, &self.upper)
    }

    /// The number of pixels.
    pub fn len(&self) -> usize {
        self.centre.len()
    }

    /// Whether images have no pixels.
    pub fn is_empty(&self) -> bool {
        self.centre.is_empty()
    }

    /// Whether a point is one of these images: by differences that are rounded outward, against
    /// the distance as it is written. An end of a box is taken as the double nearest to it, as
    /// which a point on it is written.
    pub fn holds(&self, point: &[f32]) -> Membership {
        let distance = match &self.limits {
            Limits::Distance(distance) => distance,
            Limits::Ends(ends) => {
                let mut pairs = point.iter().zip(ends);
                let inside = point.len() == ends.len()
                    && pairs.all(|(&x, [low, high])| (*low..=*high).contains(&x.into()));
                return if inside {
                    Membership::Inside
                } else {
                    Membership::Outside
                };
            }
        };
        let pixels = point.len() == self.len() && point.iter().all(|p| (0.0..=1.0).contains(p));
        if !pixels {
            return Membership::Outside;
        }
        let point = || point.iter().map(|&pixel| f64::from(pixel));
        let pairs = || {
            point()
                .zip(&self.centre)
                .map(|(p, &x)| (p.max(x), p.min(x)))
        };
        let (down, up) = (distance.down(), distance.up());
        let (most, least) = if self.ball.is_some() {
            // Squares, so that no root is rounded.
            let most = pairs().fold(0.0, |sum, (high, low)| {
                let far = sub_up(high, low);
                add_up(sum, mul_up(far, far))
            });
            let least = pairs().fold(0.0, |sum, (high, low)| {
                let far = sub_down(high, low).max(0.0);
                add_down(sum, mul_down(far, far))
            });
            (most <= mul_down(down, down), least > mul_up(up, up))
        } else {
            // A difference of at most a double is at most that when it is rounded up, and one
            // that is larger is at least the next double.
            let inside = pairs().all(|(high, low)| sub_up(high, low) <= down);
            (
                inside,
                pairs().any(|(high, low)| sub_down(high, low) > down),
            )
        };
        match (most, least) {
            (true, _) => Membership::Inside,
            (_, true) => Membership::Outside,
            _ => Membership::Undecided,
        }
    }

    /// The image that the others are near, or the middle.
    pub(crate) fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// A lower bound of `coefficients . x` on the region, rounded down. In a ball cut to a box,
    /// for every way of writing the coefficients as a sum of two, the least value of one on the box
    /// and of the other on the ball together are one; the best of three ways is taken.
    pub(crate) fn least(&self, coefficients: &[f64]) -> f64 {
        let on_box = self.least_on_box(coefficients);
        if let Some(lines) = &self.lines {
            let (on_lines, _) = lines.least(coefficients);
            // Of a NaN the other would be taken.
            return if on_box.is_nan() || on_lines.is_nan() {
                f64::NAN
            } else {
                on_box.max(on_lines)
            };
        }
        let Some(on_ball) = self.least_on_ball(coefficients) else {
            return on_box;
        };
        // Of a NaN the other would be taken, so that NaN must not get this far.
        if on_box.is_nan() || on_ball.is_nan() {
            return f64::NAN;
        }
        let best = on_box.max(on_ball);
        match self.divided(coefficients) {
            Some(divided) if divided > best => divided,
            _ => best,
        }
    }

    fn least_on_box(&self, coefficients: &[f64]) -> f64 {
        let corner = coefficients.iter().zip(self.lower.iter().zip(&self.upper));
        corner.fold(0.0, |sum, (&a, (&l, &u))| {
            add_down(sum, mul_down(a, if a >= 0.0 { l } else { u }))
        })
    }

    fn least_on_ball(&self, coefficients: &[f64]) -> Option<f64> {
        let (centre, radius) = self.ball.as_ref()?;
        let middle = coefficients.iter().zip(centre);
        let middle = middle.fold(0.0, |sum, (&a, &x)| add_down(sum, mul_down(a, x)));
        let square = (coefficients.iter()).fold(0.0, |sum, &a| add_up(sum, mul_up(a, a)));
        let norm = square.sqrt().next_up();
        Some(sub_down(middle, mul_up(*radius, norm)))
    }

    /// The bound by what is left of the coefficients on the box when the ball has its share: as much
    /// as leads, from the centre, to a point on the sphere that lies in the box.
    fn divided(&self, coefficients: &[f64]) -> Option<f64> {
        let (centre, radius) = self.ball.as_ref()?;
        let moved = |step: f64| {
            let ends = self.lower.iter().zip(&self.upper);
            let pixels = coefficients.iter().zip(centre).zip(ends);
            pixels.map(move |((&a, &x), (&l, &u))| {
                let to = x - step * a;
                (if to >= l { to.min(u) } else { l }) - x
            })
        };
        let far = |step: f64| moved(step).map(|by| by * by).sum::<f64>().sqrt();
        let norm = coefficients.iter().map(|a| a * a).sum::<f64>().sqrt();
        let mut step = [radius / norm, radius / norm];
        // Longer steps lead farther, until all pixels are at an end: then the box is all there is.
        for _ in 0..64 {
            if far(step[1]) < *radius {
                step[1] *= 2.0;
            }
        }
        let reached = far(step[1]) >= *radius;
        if !reached || !step[1].is_finite() {
            return None;
        }
        for _ in 0..50 {
            let middle = step[0].midpoint(step[1]);
            step[usize::from(far(middle) >= *radius)] = middle;
        }
        let share: Vec<f64> = moved(step[1]).map(|by| -by / step[1]).collect();
        let rest: Vec<f64> = coefficients
            .iter()
            .zip(&share)
            .map(|(a, b)| a - b)
            .collect();
        // Each difference rounds once.
        let sizes = self
            .lower
            .iter()
            .zip(&self.upper)
            .map(|(l, u)| l.abs().max(u.abs()));
        let charge = rest.iter().zip(sizes).fold(0.0, |sum, (a, size)| {
            add_up(sum, mul_up(mul_up(a.abs(), f64::EPSILON), size))
        });
        let both = add_down(self.least_on_box(&rest), self.least_on_ball(&share)?);
        Some(sub_down(both, charge))
    }

    /// A point of the region near where `coefficients . x` is least: for trying, not for
    /// proving. In a ball it may be a little off. `None` where points of the box need not be of the
    /// region.
    pub(crate) fn try_out(&self, coefficients: &[f64]) -> Option<Vec<f64>> {
        if self.lines.is_some() {
            return None;
        }
        let ends = self.lower.iter().zip(&self.upper);
        let mut point: Vec<f64> = match &self.ball {
            None => {
                let ends = coefficients.iter().zip(ends.clone());
                ends.map(|(&a, (&l, &u))| if a >= 0.0 { l } else { u })
                    .collect()
            }
            Some((centre, radius)) => {
                let norm = coefficients.iter().map(|a| a * a).sum::<f64>().sqrt();
                let step = if norm > 0.0 {
                    radius * (1.0 - 1e-9) / norm
                } else {
                    0.0
                };
                let moved = centre.iter().zip(coefficients);
                moved.map(|(x, a)| x - step * a).collect()
            }
        };
        for (x, (&l, &u)) in point.iter_mut().zip(ends) {
            *x = if *x >= l { x.min(u) } else { l };
        }
        Some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(text: &str) -> Distance {
        Distance::parse(text).unwrap()
    }

    #[test]
    fn membership_is_exact() {
        // 0.1 as a float32 is above 1/10, and its predecessor below.
        let region = Region::linf(&[0.0], distance("0.1")).unwrap();
        assert_eq!(region.holds(&[0.1]), Membership::Outside);
        assert_eq!(region.holds(&[0.1_f32.next_down()]), Membership::Inside);
        assert_eq!(region.holds(&[f32::NAN]), Membership::Outside);
        assert_eq!(region.holds(&[0.0, 0.0]), Membership::Outside);
        let ball = Region::l2(&[0.5, 0.5], distance("5/16")).unwrap();
        assert_eq!(ball.holds(&[0.5 + 3.0 / 16.0, 0.25]), Membership::Inside);
        assert_eq!(ball.holds(&[0.5 + 3.0 / 16.0, 0.2499]), Membership::Outside);
        // Inside the distance, but no pixel.
        let edge = Region::linf(&[1.0], distance("0.5")).unwrap();
        assert_eq!(edge.holds(&[1.25]), Membership::Outside);
        assert!(Region::linf(&[1.5], distance("0.5")).is_none());
    }

    #[test]
    fn the_least_value_is_at_a_corner_or_on_the_sphere() {
        let cube = Region::linf(&[0.5, 0.5], distance("0.25")).unwrap();
        assert_eq!(cube.least(&[1.0, -2.0]), 0.25 - 1.5);
        let ball = Region::l2(&[0.5, 0.5], distance("0.25")).unwrap();
        let exact = 0.5 * 7.0 - 0.25 * 5.0;
        let least = ball.least(&[3.0, 4.0]);
        assert!(least <= exact && least > exact - 1e-12, "{least}");
        assert!(cube.least(&[f64::NAN, 1.0]).is_nan());
        assert!(ball.least(&[f64::NAN, 1.0]).is_nan());
        // Cut at 0, the ball goes on along the other axis: to (0, y) with 1/16 - 1/64 = (y - 1/2)^2.
        let cut = Region::l2(&[0.125, 0.5], distance("0.25")).unwrap();
        let exact = 0.5 - (1.0_f64 / 16.0 - 1.0 / 64.0).sqrt();
        let least = cut.least(&[4.0, 1.0]);
        assert!(least <= exact && least > exact - 1e-9, "{least} {exact}");
        assert_eq!(cut.least(&[0.0, 0.0]), 0.0);
    }
}
