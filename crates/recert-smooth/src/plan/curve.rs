//! The radius expected of an input against the evaluations spent on it.

use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};

use super::{Coding, Design, Rates};
use crate::Error;
use crate::bound::{self, Beta, StrataCodes, peak};

/// The shares of alpha of a recertification that decides by codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Failure probability of the statement about f's codes.
    pub f: Alpha,
    /// Failure probability of the statement about h, given the codes.
    pub h: Alpha,
}

impl Levels {
    /// A tenth for f, which has n copies to rest on, and the rest for h. If h is
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
        })
    }
}

/// What decisions about an input look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Subject {
    /// Selection copies.
    pub n0: u64,
    /// Those on which f answered c.
    pub k0: u64,
    /// Those on which it answered with the next best class.
    pub rival: u64,
    /// Cached copies of f that it answered with c.
    pub k: u64,
    /// Its strata; `decided + undecided` is 0 where the ledger has no margins.
    pub codes: StrataCodes,
}

/// A number of evaluations and the radius expected of them, in units of sigma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Evaluations.
    pub cost: u64,
    /// Radius over sigma.
    pub radius: f64,
    /// How to get it.
    pub design: Design,
}

/// Points by ascending cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    points: Vec<Point>,
}

/// Shares of the pairs that go to the undecided copies.
const UNDECIDED: [f64; 4] = [0.04, 0.1, 0.22, 0.4];

/// How firmly the chance of another answer on undecided copies is believed.
const FIRMNESS: f64 = 25.0;

impl Subject {
    /// The subject as its selection copies alone suggest it, which decisions
    /// may look at without looking at a code.
    #[must_use]
    pub fn by_selection(self) -> Self {
        let n = self.codes.n as f64;
        let undecided = 0.1 * n;
        let k = (1.0 - self.q0()) * n;
        let decided = (k - undecided * (1.0 - Rates::other_undecided(self.q0()))).max(0.0);
        Self {
            k: k as u64,
            codes: StrataCodes {
                n: self.codes.n,
                decided: decided as u64,
                undecided: undecided as u64,
            },
            ..self
        }
    }

    /// `P(f != c)` by the selection copies.
    pub(crate) fn q0(self) -> f64 {
        ((self.n0 - self.k0) as f64 + 0.5) / (self.n0 as f64 + 1.0)
    }

    /// `P(f != c)` by the cached copies.
    pub(crate) fn q(self) -> f64 {
        ((self.codes.n - self.k) as f64 + 0.5) / (self.codes.n as f64 + 1.0)
    }

    /// The laws of another answer on decided and undecided copies that a bound
    /// over strata starts from.
    ///
    /// # Errors
    /// None for rates in their range.
    pub fn priors(self, rates: Rates) -> Result<[Beta; 2], Error> {
        let other = Rates::other_undecided(self.q0());
        Ok([
            Beta::new(0.5, 0.5 / rates.lost_decided(self.q0()))?,
            Beta::new(FIRMNESS * other, FIRMNESS * (1.0 - other))?,
        ])
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

    /// What to expect of an input whose decisions look at `coding`.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn expected(
        subject: Subject,
        coding: Coding,
        rates: Rates,
        levels: Levels,
    ) -> Result<Self, Error> {
        let StrataCodes {
            n,
            decided,
            undecided,
        } = subject.codes;
        let mut points = Vec::new();
        let own = match coding {
            Coding::Votes => 0.0,
            Coding::Answered => 1.0 - subject.q(),
            Coding::Decided => {
                let other = Rates::other_undecided(subject.q0());
                (decided as f64 + undecided as f64 * (1.0 - other)) / n as f64
            }
        };
        for cost in costs(if coding == Coding::Votes { 0 } else { n }) {
            points.push(Point {
                cost,
                radius: fresh(own, cost, levels)?,
                design: Design::Fresh { copies: cost },
            });
        }
        match coding {
            Coding::Votes => {
                for cost in costs(n) {
                    points.push(Point {
                        cost,
                        radius: both(subject, rates, cost, levels)?,
                        design: Design::Both { pairs: cost },
                    });
                }
            }
            Coding::Answered => {
                let p_f = clopper_pearson_lower(subject.k, n, levels.f)?;
                let lost = rates.lost(subject.q());
                for cost in costs(subject.k) {
                    points.push(Point {
                        cost,
                        radius: loss(p_f, lost, cost, levels)?,
                        design: Design::Loss { pairs: cost },
                    });
                }
            }
            Coding::Decided => {
                let half = levels.f.split(&[1.0, 1.0])?[0];
                let inner = clopper_pearson_lower(decided, n, half)?.get();
                let outer = clopper_pearson_lower(decided + undecided, n, half)?.get();
                let priors = subject.priors(rates)?;
                let expected = [
                    rates.lost_decided(subject.q0()),
                    Rates::other_undecided(subject.q0()),
                ];
                for cost in costs(decided + undecided) {
                    for share in UNDECIDED {
                        let second = ((cost as f64 * share) as u64).clamp(1, undecided.max(1));
                        let first = cost.saturating_sub(second).max(1);
                        if first > decided || second > undecided {
                            continue;
                        }
                        let pairs = [first as f64, second as f64];
                        points.push(Point {
                            cost: first + second,
                            radius: strata([inner, outer], pairs, expected, priors, levels.h.get()),
                            design: Design::Strata {
                                decided: first,
                                undecided: second,
                            },
                        });
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
        let levels = Levels { f: alpha, h: alpha };
        if cost <= n0 {
            return Ok(0.0);
        }
        fresh(1.0 - subject.q(), cost - n0, levels)
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

/// Numbers of evaluations to consider, a quarter apart, up to a largest one.
fn costs(largest: u64) -> impl Iterator<Item = u64> {
    let steps = (0..).map(|i| (8.0 * 1.25_f64.powi(i)).round() as u64);
    steps
        .take_while(move |&cost| cost < largest)
        .chain((largest > 0).then_some(largest))
}

/// `Phi^-1(p)` where it is positive, else 0.
fn quantile(p: f64) -> f64 {
    if p <= 0.5 {
        return 0.0;
    }
    recert_num::normal_quantile_lower(p.min(1.0 - 1e-12)).unwrap_or(0.0)
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

fn fresh(p: f64, m: u64, levels: Levels) -> Result<f64, Error> {
    between((1.0 - p) * m as f64, |other| {
        let bound = clopper_pearson_lower(m - other.min(m), m, levels.h)?;
        Ok(quantile(bound.get()))
    })
}

fn loss(p_f: LowerBound, lost: f64, m: u64, levels: Levels) -> Result<f64, Error> {
    between(lost * m as f64, |other| {
        let upper = clopper_pearson_upper(other.min(m), m, levels.h)?;
        Ok(quantile(p_f.times(upper.complement()).get()))
    })
}

/// The radius of both sides where probabilities are what the votes say.
fn both(subject: Subject, rates: Rates, m: u64, levels: Levels) -> Result<f64, Error> {
    let n = subject.codes.n;
    let votes = subject.n0 as f64 + 1.0;
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

/// The bound over strata at the expected counts, in plain arithmetic.
fn strata(
    bounds: [f64; 2],
    pairs: [f64; 2],
    rates: [f64; 2],
    priors: [Beta; 2],
    alpha: f64,
) -> f64 {
    let seen = [pairs[0] * rates[0], pairs[1] * rates[1]];
    let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let threshold = (0..2).fold(alpha.ln(), |sum, i| {
        let (a, b) = (priors[i].a(), priors[i].b());
        sum + ln_beta(a + seen[i], b + pairs[i] - seen[i]) - ln_beta(a, b)
    });
    // Of the two choices of weights that the bound is the lesser of, this is the
    // lesser where decided copies are safer than undecided ones, as expected.
    let [inner, outer] = bounds;
    let weights = [inner, (outer - inner).max(0.0)];
    let at = |eta: f64| [0, 1].map(|i| peak(seen[i], pairs[i], eta * weights[i]));
    let likelihood = |eta: f64| -> f64 {
        let each = at(eta)
            .into_iter()
            .enumerate()
            .map(|(i, t)| seen[i] * t.max(1e-300).ln() + (pairs[i] - seen[i]) * (-t).ln_1p());
        each.sum()
    };
    let (mut low, mut high) = (0.0_f64, 25.0_f64);
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if likelihood(middle.exp()) >= threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    let [first, second] = at(high.exp());
    quantile(weights[0] * (1.0 - first) + weights[1] * (1.0 - second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Tally;

    fn subject() -> Subject {
        Subject {
            n0: 100,
            k0: 81,
            rival: 9,
            k: 80_000,
            codes: StrataCodes {
                n: 100_000,
                decided: 75_000,
                undecided: 10_000,
            },
        }
    }

    #[test]
    fn expectations_are_the_bounds_at_the_expected_counts() {
        let levels = Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap();
        let rates = Rates::default();
        let subject = subject();
        let curve = Curve::expected(subject, Coding::Decided, rates, levels).unwrap();
        let design = |point: &&Point| matches!(point.design, Design::Strata { .. });
        for point in curve.points().iter().filter(design).step_by(17) {
            let Design::Strata { decided, undecided } = point.design else {
                continue;
            };
            let tally = |pairs: u64, rate: f64| Tally {
                pairs,
                other: (pairs as f64 * rate).round() as u64,
            };
            let tallies = [
                tally(decided, rates.lost_decided(subject.q0())),
                tally(undecided, Rates::other_undecided(subject.q0())),
            ];
            let priors = subject.priors(rates).unwrap();
            let found = bound::strata(subject.codes, levels.f, tallies, priors, levels.h).unwrap();
            let found = quantile(found.p_lower.get());
            // Counts are whole numbers there: half a copy either way.
            assert!(
                (found - point.radius).abs() < 0.12 + 2.0 / point.cost as f64,
                "{point:?} {found}"
            );
        }
    }

    #[test]
    fn strata_pay_with_many_pairs_and_fresh_copies_near_one() {
        let levels = Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap();
        let rates = Rates::default();
        let answered = Curve::expected(subject(), Coding::Answered, rates, levels).unwrap();
        let decided = Curve::expected(subject(), Coding::Decided, rates, levels).unwrap();
        let radius = |curve: &Curve, cost| curve.within(cost).unwrap().radius;
        assert!(radius(&decided, 5_000) > radius(&answered, 5_000));
        let sure = Subject {
            k0: 100,
            k: 100_000,
            ..subject()
        };
        let curve = Curve::expected(sure, Coding::Answered, rates, levels).unwrap();
        let best = curve.within(20_000).unwrap();
        assert!(matches!(best.design, Design::Fresh { .. }), "{best:?}");
    }

    #[test]
    fn votes_promise_a_contested_class_a_radius() {
        let levels = Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap();
        let contested = Subject {
            k0: 45,
            rival: 20,
            ..subject()
        };
        let curve = Curve::expected(contested, Coding::Votes, Rates::default(), levels).unwrap();
        assert!(curve.within(2_000).unwrap().radius > 0.2);
        let hopeless = Subject {
            rival: 45,
            ..contested
        };
        let curve = Curve::expected(hopeless, Coding::Votes, Rates::default(), levels).unwrap();
        assert_eq!(curve.points().len(), 0);
    }

    #[test]
    fn hulls_are_concave_and_cover_the_points() {
        let levels = Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap();
        let curve = Curve::expected(subject(), Coding::Answered, Rates::default(), levels).unwrap();
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
        assert!(Levels::new(alpha, 0).is_err());
    }
}
