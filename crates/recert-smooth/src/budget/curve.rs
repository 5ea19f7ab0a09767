//! The radius expected of an input against the evaluations spent on it.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};
use serde::{Deserialize, Serialize};

use super::cells::Prospect;
use super::{ByCell, Design, Family, Outlook, Rates};
use crate::Error;
use crate::bound::{self, Beta};

/// The shares of alpha of a recertification that decides by codes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Failure probability of the statement about f's codes, where there is one
    /// by itself.
    #[serde(with = "crate::serial::alpha")]
    pub f: Alpha,
    /// Failure probability of the statement about h then, given the codes.
    #[serde(with = "crate::serial::alpha")]
    pub h: Alpha,
    /// Failure probability of one statement, about both or about h alone.
    #[serde(with = "crate::serial::alpha")]
    pub whole: Alpha,
}

impl Levels {
    /// A tenth for f, which has n samples to rest on, and the rest for h. If h is
    /// one of `among` candidates that may be chosen from by their results,
    /// alpha is divided between them first: which statement about f's codes a
    /// candidate rests on depends on its own rates, so they have none in common.
    ///
    /// # Errors
    /// If a share is below what the bounds are proved for, or `among` is 0.
    pub fn new(alpha: Alpha, among: u32) -> Result<Self, Error> {
        if among == 0 {
            return Err(Error::parameter(
                "the number of candidates must be at least 1",
            ));
        }
        let weights = [1.0, 9.0].repeat(among as usize);
        let shares = alpha.split(&weights)?;
        Ok(Self {
            f: shares[0],
            h: shares[1],
            whole: alpha.split(&vec![1.0; among as usize])?[0],
        })
    }
}

/// What decisions about an input look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Votes: f's answers on the selection samples and on the early ones, the
    /// first [`early`] of the cached samples, on which h never runs.
    pub votes: u64,
    /// Those for c.
    pub favour: u64,
    /// Those for the next best class.
    pub rival: u64,
    /// The cached samples of f that are not early: late ones.
    pub n: u64,
    /// Those that it answered with c.
    pub k: u64,
    /// Those in each cell; all 0 where the ledger has no margins.
    pub cells: ByCell<u64>,
    /// Pilot samples: the first late ones that f answered with c.
    pub pilot: u64,
    /// Those in each cell.
    pub piloted: ByCell<u64>,
}

/// A number of evaluations and the radius expected of them, in units of sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Evaluations beside the pilot's, at least 1.
    pub cost: u64,
    /// Radius over sigma.
    pub radius: f64,
    /// How to get it.
    pub design: Design,
    /// The tilt of f's codes, where the design is one of cells; else 0.
    pub tilt: f64,
}

/// Points by ascending cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    points: Vec<Point>,
}

/// How many of `n` cached samples are early: what f answered on them is looked at
/// before anything is decided, and h does not run on them.
#[must_use]
pub fn early(n: u64) -> u64 {
    n / EARLY
}

/// One sample in so many is early.
const EARLY: u64 = 32;

impl Subject {
    /// The subject as the votes alone suggest it, which decisions may look at
    /// without looking at a code of a late sample.
    #[must_use]
    pub fn by_votes(self) -> Self {
        let cells = Rates::samples(self.q0(), self.n);
        let pilot = |samples: u64| (samples as f64 / self.n as f64 * self.pilot as f64) as u64;
        Self {
            k: ((1.0 - self.q0()) * self.n as f64) as u64,
            cells,
            piloted: cells.map(pilot),
            ..self
        }
    }

    /// `P(f != c)` by the votes.
    pub(crate) fn q0(self) -> f64 {
        ((self.votes - self.favour) as f64 + 0.5) / (self.votes as f64 + 1.0)
    }

    /// `P(f != c)` by the cached samples.
    pub(crate) fn q(self) -> f64 {
        ((self.n - self.k) as f64 + 0.5) / (self.n as f64 + 1.0)
    }

    /// What its codes and the rates promise of pairs.
    pub(crate) fn outlook(self, rates: &Rates) -> Outlook {
        Outlook::new(self.n, self.cells, rates, self.q())
    }

    /// The law of another answer that an anytime bound of one cell starts from: on
    /// fresh samples, as f's votes suggest; on samples that f answered with
    /// c, as the rates do.
    ///
    /// # Errors
    /// None for rates in their range.
    pub fn prior(self, design: Design, rates: &Rates) -> Result<Beta, Error> {
        match design {
            Design::Fresh { .. } => Beta::new(
                (self.votes - self.favour) as f64 + 0.5,
                self.favour as f64 + 0.5,
            ),
            _ => Beta::new(0.5, 0.5 / rates.lost(self.q()).max(1e-7)),
        }
    }
}

impl Curve {
    /// A curve of points; those of no cost or no radius are left out.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        let mut points: Vec<Point> = points
            .into_iter()
            .filter(|p| p.cost > 0 && p.radius > 0.0)
            .collect();
        points.sort_by(|a, b| (a.cost.cmp(&b.cost)).then(b.radius.total_cmp(&a.radius)));
        Self { points }
    }

    /// What to expect of an input with designs of one family; of cells at a
    /// given tilt of f's codes, or each with its best one.
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
            Family::Loss => {
                let p_f = clopper_pearson_lower(subject.k, subject.n, levels.f)?;
                let lost = rates.lost(subject.q());
                for pairs in costs(subject.k) {
                    let radius = loss(p_f, lost, pairs, levels)?;
                    let cost = pairs.saturating_sub(subject.pilot);
                    put(cost, radius, Design::Loss { pairs }, 0.0);
                }
            }
            Family::Cells => {
                let outlook = subject.outlook(rates);
                for pairs in costs(subject.cells.iter().sum()) {
                    let found = outlook.prospect(pairs, tilt, levels.whole.get());
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

    /// What certifying from scratch may be expected to give for `cost`
    /// evaluations, `n0` of them for the selection.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn from_scratch(subject: Subject, cost: u64, n0: u64, alpha: Alpha) -> Result<f64, Error> {
        if cost <= n0 {
            return Ok(0.0);
        }
        fresh(1.0 - subject.q(), cost - n0, alpha)
    }

    /// All the points of several curves.
    #[must_use]
    pub fn union(curves: &[Self]) -> Self {
        Self::new(curves.iter().flat_map(|curve| &curve.points).copied())
    }

    /// The point of the largest radius less what it costs at a price in units
    /// of sigma an evaluation, if that is above 0.
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

    /// The best point of at most this cost.
    pub fn within(&self, cost: u64) -> Option<Point> {
        let fits = self.points.iter().take_while(|p| p.cost <= cost);
        fits.copied().max_by(|a, b| a.radius.total_cmp(&b.radius))
    }

    /// The cheapest point of at least this radius.
    pub fn reaching(&self, radius: f64) -> Option<Point> {
        self.points.iter().find(|p| p.radius >= radius).copied()
    }

    /// The corners of the least concave majorant from the origin on.
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

/// Numbers of evaluations to consider, up to a largest one: every one up to 4,
/// then a quarter apart.
fn costs(largest: u64) -> impl Iterator<Item = u64> {
    let steps = (0..).map(|i| (4.0 * 1.25_f64.powi(i)).round() as u64);
    (1..4)
        .chain(steps)
        .take_while(move |&cost| cost < largest)
        .chain((largest > 0).then_some(largest))
}

/// `Phi^-1(p)` where it is positive, else 0; to about eight digits, for plans.
///
/// Abramowitz and Stegun 26.2.23, and two steps of Newton's method.
fn quantile(p: f64) -> f64 {
    let tail = (1.0 - p).max(1e-12);
    if tail >= 0.5 {
        return 0.0;
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = t - above / below;
    for _ in 0..2 {
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        x += (0.5 * libm::erfc(x / std::f64::consts::SQRT_2) - tail) / density;
    }
    x.max(0.0)
}

/// The mean of `radius` at the two whole numbers around `count`.
fn between(count: f64, radius: impl Fn(u64) -> Result<f64, Error>) -> Result<f64, Error> {
    let (below, part) = (count.floor(), count.fract());
    let low = radius(below as u64)?;
    if part < 1e-9 {
        return Ok(low);
    }
    Ok(low * (1.0 - part) + radius(below as u64 + 1)? * part)
}

fn fresh(p: f64, m: u64, alpha: Alpha) -> Result<f64, Error> {
    between((1.0 - p) * m as f64, |other| {
        let bound = clopper_pearson_lower(m - other.min(m), m, alpha)?;
        Ok(quantile(bound.get()))
    })
}

fn loss(p_f: LowerBound, lost: f64, m: u64, levels: Levels) -> Result<f64, Error> {
    between(lost * m as f64, |other| {
        let upper = clopper_pearson_upper(other.min(m), m, levels.h)?;
        Ok(quantile(p_f.times(upper.complement()).get()))
    })
}

/// The radius of both sides where probabilities are as the votes suggest.
fn both(subject: Subject, rates: &Rates, m: u64, levels: Levels) -> Result<f64, Error> {
    let n = subject.n;
    let votes = subject.votes as f64 + 1.0;
    let count = |votes_of: u64| ((votes_of as f64 + 0.5) / votes * n as f64) as u64;
    let f = bound::Answered {
        n,
        k: (n as f64 * (1.0 - subject.q0())) as u64,
        runner_up: count(subject.rival).min(n),
    };
    // What leaves the class is taken to be as much as what comes to another.
    let moved = (1.0 - subject.q0()) * rates.lost(subject.q0());
    between(moved * m as f64, |count| {
        let h = bound::Moved {
            pairs: m,
            lost: count.min(m),
            arrived: count.min(m),
        };
        let found = bound::both(f, levels.f, h, levels.h)?;
        let normal = |p: f64| recert_num::normal_quantile_lower(p.clamp(1e-12, 1.0 - 1e-12));
        if found.p_lower.get() <= found.p_upper.get() {
            return Ok(0.0);
        }
        Ok((normal(found.p_lower.get())? - normal(found.p_upper.get())?) / 2.0)
    })
}

#[cfg(test)]
mod tests {
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
    fn quantiles_are_those_of_the_normal_law() {
        for p in [0.501, 0.6, 0.9, 0.999, 0.999_999] {
            let exact = recert_num::normal_quantile_lower(p).unwrap();
            assert!((quantile(p) - exact).abs() < 1e-7, "{p}");
        }
        assert_eq!((quantile(0.5), quantile(0.2)), (0.0, 0.0));
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
