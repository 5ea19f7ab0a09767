//! Curves: the expected radius of an input as a function of the evaluations spent on it.

use recert_num::clopper_pearson_lower;

use super::cells::Prospect;
use super::radius::{both, fresh, fresh_both, loss, quantile};
use super::{Design, Family, Levels, Rates, Subject};
use crate::Error;

/// A number of evaluations and the radius expected of them, in units of sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Evaluations in addition to the pilot's, at least 1.
    pub cost: u64,
    /// Radius over sigma.
    pub radius: f64,
    /// The design with this cost and radius.
    pub design: Design,
    /// The tilt of f's codes for [`Design::Cells`], else 0.
    pub tilt: f64,
}

impl Point {
    /// Whether the two are of one kind of design, with the same tilt.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let kind = |point: &Self| std::mem::discriminant(&point.design);
        kind(self) == kind(other) && self.tilt.to_bits() == other.tilt.to_bits()
    }

    /// The point on the way from this one to `next`, a dearer one, that costs `extra` more;
    /// this one where the two are designs of different kinds.
    pub(super) fn toward(self, next: &Self, extra: u64) -> Self {
        let way = next.cost.saturating_sub(self.cost).max(1);
        let share = extra as f64 / way as f64;
        let more = |from: u64, to: u64| {
            let part = u128::from(to.saturating_sub(from)) * u128::from(extra) / u128::from(way);
            from + part as u64
        };
        let design = match (self.design, next.design) {
            (Design::Fresh { samples: from }, Design::Fresh { samples: to }) => Design::Fresh {
                samples: more(from, to),
            },
            (Design::FreshBoth { samples: from }, Design::FreshBoth { samples: to }) => {
                Design::FreshBoth {
                    samples: more(from, to),
                }
            }
            (Design::Loss { pairs: from }, Design::Loss { pairs: to }) => Design::Loss {
                pairs: more(from, to),
            },
            (Design::Cells { pairs: from }, Design::Cells { pairs: to })
                if self.tilt == next.tilt =>
            {
                Design::Cells {
                    pairs: std::array::from_fn(|cell| more(from[cell], to[cell])),
                }
            }
            _ => return self,
        };
        Self {
            cost: self.cost + extra,
            radius: self.radius + share * (next.radius - self.radius),
            design,
            tilt: self.tilt,
        }
    }
}

/// The points that designs of an input can reach, by ascending cost.
///
/// ```
/// use recert_smooth::budget::{Curve, Design, Point};
///
/// let point = |cost, radius| Point {
///     cost,
///     radius,
///     design: Design::Fresh { samples: cost },
///     tilt: 0.0,
/// };
/// let curve = Curve::new([point(100, 0.6), point(10, 0.5)]);
/// assert_eq!(curve.within(50), Some(point(10, 0.5)));
/// assert_eq!(curve.reaching(0.55), Some(point(100, 0.6)));
/// assert_eq!(curve.at_price(0.01), Some(point(10, 0.5)));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    points: Vec<Point>,
}

impl Curve {
    /// A curve of these points, without those of cost 0 or radius 0.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        let mut points: Vec<Point> = points
            .into_iter()
            .filter(|p| p.cost > 0 && p.radius > 0.0)
            .collect();
        points.sort_by(|a, b| (a.cost.cmp(&b.cost)).then(b.radius.total_cmp(&a.radius)));
        Self { points }
    }

    /// The curve of an input with designs of one family. Designs of cells have the tilt of f's
    /// codes that is given, or each the best one for its cost.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn expected(
        subject: Subject,
        family: Family,
        rates: &Rates,
        levels: Levels,
        tilt: Option<f64>,
    ) -> Result<Self, Error> {
        let is_fresh = matches!(family, Family::Fresh | Family::FreshBoth);
        if subject.stopped && !is_fresh {
            // f's samples prove nothing where their number was up to the answers.
            return Ok(Self::default());
        }
        let mut points = Vec::new();
        let mut put = |cost: u64, radius: f64, design: Design, tilt: f64| {
            let cost = cost.max(1);
            points.push(Point {
                cost,
                radius,
                design,
                tilt,
            });
        };
        match family {
            Family::Both => {
                for pairs in costs(subject.n) {
                    let radius = both(subject, rates, pairs, levels)?;
                    put(pairs, radius, Design::Both { pairs }, 0.0);
                }
            }
            Family::Fresh => {
                for samples in costs(subject.n) {
                    let radius = fresh(1.0 - subject.q(), samples, levels.whole)?;
                    put(samples, radius, Design::Fresh { samples }, 0.0);
                }
            }
            Family::FreshBoth => {
                for samples in costs(subject.n) {
                    let radius = fresh_both(subject, samples, levels.whole)?;
                    put(samples, radius, Design::FreshBoth { samples }, 0.0);
                }
            }
            Family::Loss => {
                let p_f = clopper_pearson_lower(subject.k, subject.n, levels.f)?;
                let lost = rates.lost(subject.q());
                for pairs in costs(subject.k) {
                    let radius = loss(p_f, lost, pairs, levels)?;
                    let cost = pairs.saturating_sub(subject.pilot);
                    put(cost, radius, Design::Loss { pairs }, 0.0);
                }
            }
            Family::Tail | Family::Cells => {
                let outlook = subject.outlook(rates);
                for pairs in costs(subject.cells.iter().sum()) {
                    let found =
                        outlook.prospect(pairs, tilt, levels.whole.get(), family == Family::Tail);
                    if let Some(Prospect {
                        pairs,
                        p_lower,
                        tilt,
                    }) = found
                    {
                        let extra = |cell: usize| pairs[cell].saturating_sub(subject.piloted[cell]);
                        let cost = (0..pairs.len()).map(extra).sum();
                        put(cost, quantile(p_lower), Design::Cells { pairs }, tilt);
                    }
                }
            }
        }
        Ok(Self::new(points))
    }

    /// The curve of all points of several curves.
    #[must_use]
    pub fn union(curves: &[Self]) -> Self {
        Self::new(curves.iter().flat_map(|curve| &curve.points).copied())
    }

    /// The point with the largest value of its radius less its cost times `price` (in units of
    /// sigma an evaluation), if that value is above 0.
    pub fn at_price(&self, price: f64) -> Option<Point> {
        let worth = |point: &Point| point.radius - price * point.cost as f64;
        let best = self
            .points
            .iter()
            .max_by(|a, b| worth(a).total_cmp(&worth(b)));
        best.copied().filter(|point| worth(point) > 0.0)
    }

    /// All points, by ascending cost.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The point with the largest radius among those of at most this cost.
    pub fn within(&self, cost: u64) -> Option<Point> {
        let fits = self.points.iter().take_while(|p| p.cost <= cost);
        fits.copied().max_by(|a, b| a.radius.total_cmp(&b.radius))
    }

    /// The cheapest point of at least this radius.
    pub fn reaching(&self, radius: f64) -> Option<Point> {
        self.points.iter().find(|p| p.radius >= radius).copied()
    }

    /// The cheapest point that costs more than `point` and promises more.
    pub(super) fn after(&self, point: &Point) -> Option<Point> {
        let next = |p: &&Point| p.cost > point.cost && p.radius > point.radius;
        self.points.iter().find(next).copied()
    }

    /// The corners of the least concave majorant of the points and the origin.
    pub fn hull(&self) -> Vec<Point> {
        let mut hull: Vec<Point> = Vec::new();
        let slope = |from: Option<&Point>, to: &Point| {
            let (cost, radius) = from.map_or((0, 0.0), |p| (p.cost, p.radius));
            (to.radius - radius) / (to.cost.saturating_sub(cost)) as f64
        };
        for point in &self.points {
            let best = hull.last().map_or(0.0, |last| last.radius);
            if point.radius <= best {
                continue;
            }
            while let Some(last) = hull.last() {
                let before = hull.len().checked_sub(2).map(|i| &hull[i]);
                if slope(before, last) > slope(Some(last), point) {
                    break;
                }
                hull.pop();
            }
            hull.push(*point);
        }
        hull
    }
}

/// The numbers of evaluations to consider, up to `largest`: 1, 2, 3, 4, then each about a
/// quarter larger than the one before.
fn costs(largest: u64) -> impl Iterator<Item = u64> {
    let steps = (0..).map(|i| (4.0 * 1.25_f64.powi(i)).round() as u64);
    (1..4)
        .chain(steps)
        .take_while(move |&cost| cost < largest)
        .chain((largest > 0).then_some(largest))
}

#[cfg(test)]
mod tests {
    use recert_num::Alpha;

    use super::*;

    fn levels() -> Levels {
        Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap()
    }

    fn subject() -> Subject {
        Subject {
            votes: 100,
            favour: 81,
            rival: 9,
            n: 100_000,
            k: 80_000,
            stopped: false,
            held: 100_000,
            cells: [
                3_000, 3_000, 6_000, 10_000, 58_000, 2_300, 2_000, 3_500, 3_900, 8_300,
            ],
            pilot: 0,
            piloted: [0; 10],
        }
    }

    fn curve(subject: Subject, family: Family) -> Curve {
        Curve::expected(subject, family, &Rates::default(), levels(), None).unwrap()
    }

    #[test]
    fn cells_pay_with_many_pairs_and_fresh_samples_near_one() {
        let radius = |family, cost| curve(subject(), family).within(cost).unwrap().radius;
        assert!(radius(Family::Cells, 5_000) > radius(Family::Loss, 5_000));
        assert!(radius(Family::Cells, 5_000) > radius(Family::Fresh, 5_000));
        let sure = Subject {
            favour: 100,
            k: 100_000,
            ..subject()
        };
        let radius = |family| curve(sure, family).within(20_000).unwrap().radius;
        assert!(radius(Family::Fresh) > radius(Family::Loss));
    }

    #[test]
    fn pilots_are_paid_already() {
        let piloted = Subject {
            pilot: 40,
            piloted: [2, 2, 4, 5, 27, 0, 0, 0, 0, 0],
            ..subject()
        };
        for family in [Family::Loss, Family::Cells] {
            let (with, without) = (curve(piloted, family), curve(subject(), family));
            let at = |curve: &Curve| *curve.points().last().unwrap();
            assert_eq!(at(&with).cost + 40, at(&without).cost, "{family:?}");
        }
    }

    #[test]
    fn a_given_tilt_is_kept() {
        let free = curve(subject(), Family::Cells).within(4_000).unwrap();
        let given = Curve::expected(
            subject(),
            Family::Cells,
            &Rates::default(),
            levels(),
            Some(free.tilt),
        );
        let given = given.unwrap();
        assert!(given.points().iter().all(|p| p.tilt == free.tilt));
        assert!((given.within(4_000).unwrap().radius - free.radius).abs() < 1e-3);
    }

    #[test]
    fn votes_promise_a_contested_class_a_radius() {
        let contested = Subject {
            favour: 45,
            rival: 20,
            ..subject()
        };
        assert!(curve(contested, Family::Both).within(2_000).unwrap().radius > 0.2);
        let hopeless = Subject {
            rival: 45,
            ..contested
        };
        assert_eq!(curve(hopeless, Family::Both).points().len(), 0);
    }

    #[test]
    fn hulls_are_concave_and_cover_the_points() {
        let curve = curve(subject(), Family::Loss);
        let hull = curve.hull();
        let (mut cost, mut radius, mut slope) = (0, 0.0, f64::INFINITY);
        for point in &hull {
            let next = (point.radius - radius) / (point.cost - cost) as f64;
            assert!(next > 0.0 && next < slope);
            (cost, radius, slope) = (point.cost, point.radius, next);
        }
        let best = curve.points().iter().map(|p| p.radius).fold(0.0, f64::max);
        assert_eq!(radius, best);
    }

    #[test]
    fn candidates_divide_alpha() {
        let alpha = Alpha::new(0.002).unwrap();
        let (one, four) = (
            Levels::new(alpha, 1).unwrap(),
            Levels::new(alpha, 4).unwrap(),
        );
        assert!((one.f.get() - 0.0002).abs() < 1e-12 && (one.h.get() - 0.0018).abs() < 1e-12);
        assert!(4.0 * (four.f.get() + four.h.get()) <= 0.002);
        assert!((four.h.get() - 0.00045).abs() < 1e-12);
        assert!(four.whole.get() <= 0.0005 && four.whole.get() > 0.000_499);
        assert!(Levels::new(alpha, 0).is_err());
    }
}
