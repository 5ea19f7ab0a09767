//! How much cheaper a recertification is than certifying the same network from scratch.
//!
//! The speed-up of a recertified run of a network h is a ratio. Its *numerator* is what
//! certifying h from scratch costs at the same quality; its *denominator* is what the
//! recertified run cost. Quality is the average certified radius (or, without labels, the
//! average radius), and cost is
//!
//! - evaluations: of h alone, over all inputs, pilots included; or
//! - seconds: of worker time, summed over all inputs and threads.
//!
//! So a speed-up compares the cost of the *next* certification, given that the original network
//! f is certified. Neither side contains what certifying f cost. Since f's ledger is there, its
//! class is known, and certifying h from scratch needs no selection samples.
//!
//! There are two kinds of numerators:
//!
//! - *Expected* ([`Run::baselines`]): for each [baseline](ByBaseline),
//!   curves that the caller computed from f's counts, for a network that answers as often with
//!   each class as f.
//! - *Measured*: the runs of h in the same report whose method is
//!   [`Method::Certify`](crate::Method::Certify), without the cost of their selection samples.
//!   All of them are one baseline, whether one-sided or two-sided and by whatever engine.
//!
//! Where there is neither, there is no speed-up. There is none either where a ratio would say
//! nothing: for a run without any certified radius, which from scratch costs nothing; for a
//! run that stops each input at a radius, on either side: it says nothing of what larger radii
//! cost; and for a run that is unfinished, on either side.
//!
//! A network that is certified *through* a faster one ([`Run::through_seconds`]) pays for the
//! faster one too. Evaluations of different networks cannot be added, so that the costs of such
//! a run are worker time: the denominator has the faster network's, and the numerator is the
//! expected evaluations at the time that one of the run took.
//!
//! A [`Point`] is one run: its cost and its quality. A [`Curve`] is made of
//! several runs with different numbers of samples: between two neighbouring
//! points the cost is interpolated linearly in the quality, and a point that
//! costs more than another without being better is left out, so that the cost
//! rises with the quality. Nothing is extrapolated: where the baseline does not
//! reach a quality, the ratio is only bounded ([`Ratio`]).
//!
//! - [`SpeedUp::expected`]: for one run, the expected cost of its quality over its own cost.
//! - [`SpeedUp::evaluations`]: the same by the measured runs.
//! - [`SpeedUp::average_evaluations`]: for the curve of the runs that differ from
//!   it in the number of samples alone, the ratio of the areas under cost against
//!   quality, both over the qualities that both curves reach. This is the ratio
//!   of the mean costs of a quality drawn from that range, and the average that
//!   Ugare et al. 2024 give.
//!
//! Quality rises ever more slowly with cost, so a chord of the baseline lies at
//! or to the right of the true curve: points that are far from each other
//! overstate what certifying from scratch costs, and with it the speed-up. Expected curves have
//! a point for every sixth more samples; measure with many numbers of samples (Ugare et al. use
//! ten).

#[cfg(test)]
mod tests;

use recert_num::{format_down, format_up};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::model::{Goal, Report, Run};
use crate::series::Series;

/// The cost of one run and the quality of its certificates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Evaluations or seconds; finite, from 0 on.
    pub cost: f64,
    /// Average certified radius; finite, from 0 on.
    pub quality: f64,
}

/// Something for each way to certify h from scratch that recertifying it is compared with.
///
/// All three are fixed before h is evaluated. The differences between a speed-up over the
/// second and over the first is what planning contributes, the rest what the bound does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ByBaseline<T> {
    /// f's class without selection samples, and as many samples of every input; one-sided or
    /// two-sided, as f's counts promise more.
    pub from_scratch: T,
    /// The same, with the samples planned over the inputs by f's counts.
    pub planned: T,
    /// The baseline of Ugare et al.: 100 selection samples and as many estimation samples of
    /// every input, one-sided.
    pub paper: T,
}

impl<T> ByBaseline<T> {
    /// The same with each member mapped.
    pub fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> ByBaseline<U> {
        ByBaseline {
            from_scratch: make(&self.from_scratch),
            planned: make(&self.planned),
            paper: make(&self.paper),
        }
    }
}

impl ByBaseline<Vec<Point>> {
    /// The speed-up at a recertified point over each baseline, whose curve these points make.
    ///
    /// ```
    /// use recert_report::speed_up::{ByBaseline, Point, Ratio};
    ///
    /// let points = |costs: [f64; 2]| -> Vec<Point> {
    ///     let each = costs.iter().zip([0.25, 0.5]);
    ///     each.map(|(&cost, quality)| Point { cost, quality }).collect()
    /// };
    /// let baselines = ByBaseline {
    ///     from_scratch: points([100.0, 300.0]),
    ///     planned: points([50.0, 250.0]),
    ///     paper: points([200.0, 400.0]),
    /// };
    /// let found = baselines.ratios(Point { cost: 50.0, quality: 0.375 });
    /// assert_eq!(found.from_scratch, Some(Ratio::Exactly(4.0)));
    /// assert_eq!(found.planned, Some(Ratio::Exactly(3.0)));
    /// assert_eq!(found.paper, Some(Ratio::Exactly(6.0)));
    /// ```
    pub fn ratios(&self, point: Point) -> ByBaseline<Option<Ratio>> {
        self.map(|points| ratio_at(&Curve::new(points.iter().copied()), point))
    }
}

/// Cost against quality, increasing in both.
///
/// ```
/// use recert_report::speed_up::{CostAt, Curve, Point};
///
/// let point = |cost, quality| Point { cost, quality };
/// let scratch = Curve::new([point(100.0, 0.25), point(300.0, 0.5)]);
/// assert_eq!(scratch.cost_at(0.375), Some(CostAt::Reached(200.0)));
/// assert_eq!(scratch.cost_at(0.75), Some(CostAt::Beyond(300.0)));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    points: Vec<Point>,
}

/// The cost of a quality on a curve, or the end of the curve next to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CostAt {
    /// The curve reaches the quality at this cost.
    Reached(f64),
    /// The curve ends below the quality; this is the cost of its last point.
    Beyond(f64),
    /// The curve starts above the quality; this is the cost of its first point.
    Below(f64),
}

/// A speed-up at one point: a number, or a bound of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", content = "ratio", rename_all = "snake_case")]
pub enum Ratio {
    /// From scratch costs this many times more.
    Exactly(f64),
    /// No run from scratch reached the quality. The costliest of them cost this
    /// many times more, so the speed-up is at least this.
    AtLeast(f64),
    /// Even the cheapest run from scratch did better. It cost this many times
    /// more, so the speed-up is at most this.
    AtMost(f64),
}

impl Ratio {
    /// The ratio with two decimals and its relation: `2.41`, `≥ 3.20`, `≤ 0.83`.
    /// An interpolated ratio is an estimate and rounded to nearest; the others
    /// are bounds and rounded outwards.
    ///
    /// ```
    /// use recert_report::speed_up::Ratio;
    ///
    /// assert_eq!(Ratio::Exactly(2.414).text(), "2.41");
    /// assert_eq!(Ratio::AtLeast(3.209).text(), "≥ 3.20");
    /// ```
    pub fn text(self) -> String {
        match self {
            Self::Exactly(ratio) => format!("{ratio:.2}"),
            Self::AtLeast(ratio) => format!("\u{2265} {}", format_down(ratio, 2)),
            Self::AtMost(ratio) => format!("\u{2264} {}", format_up(ratio, 2)),
        }
    }
}

impl Curve {
    /// Makes a curve of points in any order; points that are not finite,
    /// negative, or no better than a cheaper one are left out.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        let mut points: Vec<Point> = points
            .into_iter()
            .filter(|p| p.cost.is_finite() && p.quality.is_finite())
            .filter(|p| p.cost >= 0.0 && p.quality >= 0.0)
            .collect();
        points.sort_by(|a, b| {
            (a.cost.total_cmp(&b.cost)).then_with(|| b.quality.total_cmp(&a.quality))
        });
        let mut best = f64::NEG_INFINITY;
        points.retain(|point| {
            let better = point.quality > best;
            best = best.max(point.quality);
            better
        });
        Self { points }
    }

    /// The points that make the curve, cheapest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// What `quality` costs on this curve; `None` if it has no point.
    pub fn cost_at(&self, quality: f64) -> Option<CostAt> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        if quality > last.quality {
            return Some(CostAt::Beyond(last.cost));
        }
        if quality < first.quality {
            return Some(CostAt::Below(first.cost));
        }
        let after = self.points.partition_point(|p| p.quality < quality);
        let to = self.points[after];
        let cost = match after.checked_sub(1).map(|before| self.points[before]) {
            Some(from) => interpolate(from, to, quality),
            None => to.cost,
        };
        Some(CostAt::Reached(cost))
    }

    /// The integral of the cost over qualities from `low` to `high`, both of
    /// which the curve reaches.
    fn area(&self, low: f64, high: f64) -> f64 {
        let segment = |pair: &[Point]| {
            let (from, to) = (pair[0], pair[1]);
            let left = low.max(from.quality);
            let right = high.min(to.quality);
            if left >= right {
                return 0.0;
            }
            let ends = interpolate(from, to, left) + interpolate(from, to, right);
            (right - left) * ends / 2.0
        };
        self.points.windows(2).map(segment).sum()
    }
}

fn interpolate(from: Point, to: Point, quality: f64) -> f64 {
    let share = (quality - from.quality) / (to.quality - from.quality);
    from.cost + share * (to.cost - from.cost)
}

/// The speed-up at one recertified point: the cost of its quality on the curve
/// `scratch` over its own cost. `None` if that curve has no point, the point cost nothing, or
/// its quality is 0: nothing has that quality too.
///
/// ```
/// use recert_report::speed_up::{Curve, Point, Ratio, ratio_at};
///
/// let point = |cost, quality| Point { cost, quality };
/// let scratch = Curve::new([point(100.0, 0.25), point(300.0, 0.5)]);
/// assert_eq!(ratio_at(&scratch, point(50.0, 0.375)), Some(Ratio::Exactly(4.0)));
/// ```
pub fn ratio_at(scratch: &Curve, point: Point) -> Option<Ratio> {
    if !(point.cost > 0.0 && point.quality > 0.0 && point.quality.is_finite()) {
        return None;
    }
    Some(match scratch.cost_at(point.quality)? {
        CostAt::Reached(cost) => Ratio::Exactly(cost / point.cost),
        CostAt::Beyond(cost) => Ratio::AtLeast(cost / point.cost),
        CostAt::Below(cost) => Ratio::AtMost(cost / point.cost),
    })
}

/// The average speed-up of one curve over another: the ratio of the areas under
/// cost against quality over the qualities that both reach.
///
/// `None` where they share no more than one quality (a single point is no
/// curve), or where the second cost nothing there.
///
/// ```
/// use recert_report::speed_up::{Curve, Point, average_ratio};
///
/// let point = |cost, quality| Point { cost, quality };
/// let scratch = Curve::new([point(300.0, 0.5), point(900.0, 1.0)]);
/// let recertified = Curve::new([point(100.0, 0.5), point(200.0, 1.0)]);
/// assert_eq!(average_ratio(&scratch, &recertified), Some(600.0 / 150.0));
/// ```
pub fn average_ratio(scratch: &Curve, recertified: &Curve) -> Option<f64> {
    let ends = |curve: &Curve| {
        let (first, last) = (curve.points.first()?, curve.points.last()?);
        Some((first.quality, last.quality))
    };
    let (scratch_ends, recertified_ends) = (ends(scratch)?, ends(recertified)?);
    let low = scratch_ends.0.max(recertified_ends.0);
    let high = scratch_ends.1.min(recertified_ends.1);
    if low >= high {
        return None;
    }
    let area = recertified.area(low, high);
    (area > 0.0).then(|| scratch.area(low, high) / area)
}

/// The speed-ups of one recertified run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpeedUp {
    /// In evaluations, over what each baseline is expected to cost.
    pub expected: ByBaseline<Option<Ratio>>,
    /// In evaluations, over the measured runs of the network from scratch, at this run.
    pub evaluations: Option<Ratio>,
    /// The same in time.
    pub time: Option<Ratio>,
    /// In evaluations, over the measured runs, on average over the curve of runs that differ in
    /// the number of samples alone.
    pub average_evaluations: Option<f64>,
    /// The same in time.
    pub average_time: Option<f64>,
}

impl SpeedUp {
    /// No figure.
    const NONE: Self = Self {
        expected: ByBaseline {
            from_scratch: None,
            planned: None,
            paper: None,
        },
        evaluations: None,
        time: None,
        average_evaluations: None,
        average_time: None,
    };

    /// Whether there is any figure.
    fn is_some(&self) -> bool {
        let expected = &self.expected;
        let ratios = [
            expected.from_scratch,
            expected.planned,
            expected.paper,
            self.evaluations,
            self.time,
        ];
        ratios.iter().any(Option::is_some)
            || self.average_evaluations.is_some()
            || self.average_time.is_some()
    }
}

/// The speed-ups of every run of a report, in its order; `None` for runs from
/// scratch, and where there is nothing to compare with or nothing to compare (see the
/// [module](self)).
///
/// `metrics` are those of the runs, in order. Runs are comparable if they are of
/// the same network file in the same arithmetic, on the same inputs with the same
/// labels, at the same sigma and alpha; they may differ in the number of samples,
/// the engine and the method. Runs that also share the method and the original
/// make one curve.
///
/// ```
/// use recert_report::speed_up::{Ratio, speed_ups};
/// use recert_report::{Method, Metrics, Report, Row, Run};
///
/// let run = |method, evaluations| Run {
///     network: "net.int8.onnx".to_owned(),
///     method,
///     rows: vec![Row {
///         label: Some(1),
///         class: Some(1),
///         radius: 0.5,
///         evaluations,
///         ..Row::default()
///     }],
///     ..Run::default()
/// };
/// let irs = Method::Recertify { name: "irs".to_owned(), original: None, gamma: None };
/// let runs = vec![run(Method::default(), 10_000), run(irs, 1_000)];
/// let metrics: Vec<_> = runs.iter().map(Metrics::new).collect();
/// let report = Report { runs, ..Report::default() };
///
/// let speed_ups = speed_ups(&report, &metrics);
/// assert_eq!(speed_ups[0], None);
/// assert_eq!(speed_ups[1].unwrap().evaluations, Some(Ratio::Exactly(10.0)));
/// ```
pub fn speed_ups(report: &Report, metrics: &[Metrics]) -> Vec<Option<SpeedUp>> {
    let mut all = vec![None; report.runs.len()];
    let series = Series::all(report);
    let point = |cost: Cost, run: usize| {
        let metrics = metrics.get(run)?;
        Some(Point {
            cost: cost(metrics),
            quality: metrics.quality()?,
        })
    };
    let curve =
        |cost: Cost, runs: &[usize]| Curve::new(runs.iter().filter_map(|run| point(cost, *run)));
    for one in series.iter().filter(|one| one.recertified) {
        let whole = |run: &usize| report.runs[*run].unfinished().is_none();
        let scratch: Vec<usize> = series
            .iter()
            .filter(|other| other.baseline && other.comparable == one.comparable)
            .flat_map(|other| other.runs.iter().copied())
            .filter(whole)
            .collect();
        // Since f's class is known, no baseline pays for selecting it.
        let measured = |cost: Cost| {
            Curve::new(scratch.iter().filter_map(|&run| {
                let all = point(cost, run)?;
                Some(Point {
                    cost: all.cost * estimation_share(report, metrics, run),
                    ..all
                })
            }))
        };
        let stops = |run: &usize| matches!(report.runs[*run].goal, Some(Goal::UntilRadius(_)));
        let all_whole: Vec<usize> = one.runs.iter().copied().filter(whole).collect();
        for &run in all_whole.iter().filter(|run| !stops(run)) {
            let through = report.runs[run].through_seconds;
            if let Some(seconds) = through {
                let expected = metrics
                    .get(run)
                    .and_then(|metrics| ratios_through(&report.runs[run], metrics, seconds));
                let found = SpeedUp {
                    expected: expected.unwrap_or_default(),
                    ..SpeedUp::NONE
                };
                all[run] = found.is_some().then_some(found);
                continue;
            }
            let ratio = |cost| ratio_at(&measured(cost), point(cost, run)?);
            let average = |cost| average_ratio(&measured(cost), &curve(cost, &all_whole));
            let baselines = report.runs[run].baselines.as_ref();
            let expected = baselines
                .zip(point(EVALUATIONS, run))
                .map(|(baselines, point)| baselines.ratios(point));
            let found = SpeedUp {
                expected: expected.unwrap_or_default(),
                evaluations: ratio(EVALUATIONS),
                time: ratio(SECONDS),
                average_evaluations: average(EVALUATIONS),
                average_time: average(SECONDS),
            };
            all[run] = found.is_some().then_some(found);
        }
    }
    all
}

/// The expected speed-ups, in worker time, of a run through a faster network that took
/// `seconds` itself; `None` where the time of an evaluation is not known.
fn ratios_through(run: &Run, metrics: &Metrics, seconds: f64) -> Option<ByBaseline<Option<Ratio>>> {
    let each = metrics.seconds / metrics.evaluations as f64;
    if !(each > 0.0 && each.is_finite()) {
        return None;
    }
    let in_time = |points: &Vec<Point>| -> Vec<Point> {
        let points = points.iter();
        points
            .map(|point| Point {
                cost: point.cost * each,
                ..*point
            })
            .collect()
    };
    let point = Point {
        cost: metrics.seconds + seconds,
        quality: metrics.quality()?,
    };
    Some(run.baselines.as_ref()?.map(in_time).ratios(point))
}

/// What a run cost.
type Cost = fn(&Metrics) -> f64;
const EVALUATIONS: Cost = |metrics| metrics.evaluations as f64;
const SECONDS: Cost = |metrics| metrics.seconds;

/// The part of a run's evaluations that are no selection samples.
fn estimation_share(report: &Report, metrics: &[Metrics], run: usize) -> f64 {
    let (run, evaluations) = (&report.runs[run], metrics[run].evaluations);
    let selection = run.n0.saturating_mul(run.rows.len() as u64);
    evaluations.saturating_sub(selection) as f64 / evaluations.max(1) as f64
}
