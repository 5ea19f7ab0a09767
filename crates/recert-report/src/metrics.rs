//! The figures of a run: certified accuracy, average certified radius, cost.
//!
//! An abstention counts as wrong everywhere, at radius 0 too. Inputs without
//! labels cannot be right or wrong; what is reported for them are the certified
//! share and the average radius, under these names.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::mean;
use crate::model::Run;
use crate::text;
use recert_num::format_down;

/// An exact share of a set of inputs: `count` of `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Inputs that have the property.
    pub count: u64,
    /// All inputs.
    pub total: u64,
}

impl Share {
    /// The share as a fraction in [0, 1]; `None` for an empty set.
    ///
    /// ```
    /// let share = recert_report::Share { count: 1, total: 4 };
    /// assert_eq!(share.fraction(), Some(0.25));
    /// ```
    pub fn fraction(self) -> Option<f64> {
        (self.total > 0).then(|| self.count as f64 / self.total as f64)
    }

    /// The share in per cent with one decimal, rounded down (in integers, so
    /// exactly), without the sign; `–` for an empty set.
    ///
    /// ```
    /// let share = recert_report::Share { count: 2, total: 3 };
    /// assert_eq!(share.percent_down(), "66.6");
    /// ```
    pub fn percent_down(self) -> String {
        if self.total == 0 {
            return text::NONE.to_owned();
        }
        let tenths = u128::from(self.count) * 1000 / u128::from(self.total);
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// The figures of one run.
///
/// ```
/// use recert_report::{Metrics, Row, Run};
///
/// let row = |idx, class, radius| Row { idx, label: Some(1), class, radius, ..Row::default() };
/// let run = Run {
///     // Right, wrong, abstained.
///     rows: vec![row(0, Some(1), 0.75), row(1, Some(2), 0.5), row(2, None, 0.0)],
///     ..Run::default()
/// };
/// let metrics = Metrics::new(&run);
/// assert_eq!((metrics.inputs, metrics.certified, metrics.abstained), (3, 2, 1));
/// assert_eq!(metrics.correct, Some(1));
/// assert_eq!(metrics.acr, Some(0.25));
/// assert_eq!(metrics.quality_text(), "0.250");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Inputs, abstentions included.
    pub inputs: u64,
    /// Whether every input has a label; if not, [`Metrics::acr`] and
    /// [`Metrics::correct`] are `None`.
    pub labelled: bool,
    /// Inputs with a certificate, right or wrong.
    pub certified: u64,
    /// Inputs without one.
    pub abstained: u64,
    /// Inputs certified for their label.
    pub correct: Option<u64>,
    /// Average certified radius: the mean over ALL inputs of the certified radius
    /// where the class is the label, 0 elsewhere. Rounded down.
    pub acr: Option<f64>,
    /// The mean over all inputs of the radius, right or wrong, 0 for an
    /// abstention. Rounded down. `None` without inputs.
    pub average_radius: Option<f64>,
    /// Network evaluations of all inputs together.
    pub evaluations: u64,
    /// Seconds of worker time of all inputs together, summed over threads.
    pub seconds: f64,
    /// Mean of zeta over the inputs that have one. Rounded up.
    pub mean_zeta: Option<f64>,
    /// Mean of the observed disagreement rates over the inputs that have one.
    pub mean_disagreement_rate: Option<f64>,
    /// Samples with an invalid answer: NaN or infinite logits.
    pub invalid: u64,
    /// Certificates by the name of the bound that gave them.
    pub bounds: BTreeMap<String, u64>,
}

impl Metrics {
    /// Computes the figures of a run.
    ///
    /// The rows must pass [`Report::check`](crate::Report::check).
    pub fn new(run: &Run) -> Self {
        let rows = &run.rows;
        let labelled = run.is_labelled();
        let certified = rows.iter().filter(|row| row.class.is_some()).count() as u64;
        let mut bounds = BTreeMap::new();
        for row in rows.iter().filter(|row| row.class.is_some()) {
            if let Some(bound) = &row.bound {
                *bounds.entry(bound.clone()).or_insert(0) += 1;
            }
        }
        let correct_radius = rows
            .iter()
            .map(|row| if row.is_correct() { row.radius } else { 0.0 });
        Self {
            inputs: rows.len() as u64,
            labelled,
            certified,
            abstained: rows.len() as u64 - certified,
            correct: labelled.then(|| rows.iter().filter(|row| row.is_correct()).count() as u64),
            acr: mean::down(correct_radius).filter(|_| labelled),
            average_radius: mean::down(rows.iter().map(|row| row.radius)),
            evaluations: rows
                .iter()
                .fold(0, |sum: u64, row| sum.saturating_add(row.evaluations)),
            seconds: rows.iter().map(|row| row.seconds).sum(),
            mean_zeta: mean::up(rows.iter().filter_map(|row| row.zeta)),
            mean_disagreement_rate: mean::plain(
                rows.iter().filter_map(|row| row.disagreement_rate),
            ),
            invalid: rows
                .iter()
                .fold(0, |sum: u64, row| sum.saturating_add(row.invalid)),
            bounds,
        }
    }

    /// The figure that runs are compared by: the average certified radius, or,
    /// without labels, the average radius.
    pub fn quality(&self) -> Option<f64> {
        if self.labelled {
            self.acr
        } else {
            self.average_radius
        }
    }

    /// [`Metrics::quality`] with three decimals, rounded down; `–` if there is none.
    pub fn quality_text(&self) -> String {
        self.quality()
            .map_or_else(|| text::NONE.to_owned(), |acr| format_down(acr, 3))
    }
}

/// Certified accuracy at `radius`: the share of ALL inputs that are certified
/// for their label with at least this radius. `None` without labels.
///
/// ```
/// use recert_report::{Row, Run, Share, certified_accuracy};
/// let row = |idx, class, radius| Row { idx, label: Some(1), class, radius, ..Row::default() };
/// let run = Run {
///     rows: vec![row(0, Some(1), 0.5), row(1, Some(2), 0.7), row(2, None, 0.0)],
///     ..Run::default()
/// };
/// assert_eq!(certified_accuracy(&run, 0.5), Some(Share { count: 1, total: 3 }));
/// ```
pub fn certified_accuracy(run: &Run, radius: f64) -> Option<Share> {
    let reached = |row: &&crate::Row| row.is_correct() && row.radius >= radius;
    run.is_labelled().then(|| Share {
        count: run.rows.iter().filter(reached).count() as u64,
        total: run.rows.len() as u64,
    })
}

/// Certified share at `radius`: the share of all inputs that are certified for
/// any class with at least this radius. Needs no labels.
///
/// ```
/// use recert_report::{Row, Run, Share, certified_share};
/// let row = |idx, class, radius| Row { idx, class, radius, ..Row::default() };
/// let run = Run { rows: vec![row(0, Some(1), 0.5), row(1, None, 0.0)], ..Run::default() };
/// assert_eq!(certified_share(&run, 0.25), Share { count: 1, total: 2 });
/// ```
pub fn certified_share(run: &Run, radius: f64) -> Share {
    let reached = |row: &&crate::Row| row.class.is_some() && row.radius >= radius;
    Share {
        count: run.rows.iter().filter(reached).count() as u64,
        total: run.rows.len() as u64,
    }
}

/// Certified accuracy at `radius` where the run has labels, else the certified share.
pub(crate) fn share_at(run: &Run, radius: f64) -> Share {
    certified_accuracy(run, radius).unwrap_or_else(|| certified_share(run, radius))
}

/// The radii at which certified accuracy is shown where the caller names none.
///
/// Seven radii from 0 to about 3 sigma, of which few samples reach more: multiples of sigma / 2
/// rounded to a number of few digits. For sigma 0.5 and 1 these are the field's grids, 0 to
/// 1.5 in steps of 0.25 and 0 to 3 in steps of 0.5. With several sigmas, name the largest. A
/// sigma that is not a positive number gives the grid of 0.5.
///
/// ```
/// let radii = recert_report::default_radii(0.5);
/// assert_eq!(radii, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]);
/// assert_eq!(recert_report::default_radii(0.12)[1], 0.06);
/// ```
pub fn default_radii(sigma: f64) -> Vec<f64> {
    let half = if sigma.is_normal() && sigma > 0.0 {
        sigma / 2.0
    } else {
        0.25
    };
    let exponent = half.log10().floor();
    let digits = half / 10_f64.powf(exponent);
    let distance = |nice: &f64| (nice / digits).ln().abs();
    let nearest = NICE.iter().copied();
    let nearest = nearest.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    // By decimal text, so that 0.06 is not 0.06000000000000001.
    let decimal = |k: u32| {
        let number = f64::from(k) * nearest.unwrap_or(2.5);
        let text = format!("{number}e{exponent}");
        text.parse().unwrap_or(number)
    };
    (0..=6).map(decimal).collect()
}

/// Steps between radii, up to a power of ten.
const NICE: [f64; 11] = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 10.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Row;

    fn row(idx: u32, label: u32, class: Option<u32>, radius: f64) -> Row {
        Row {
            idx,
            label: Some(label),
            class,
            radius,
            evaluations: 110,
            seconds: 0.25,
            ..Row::default()
        }
    }

    /// Four inputs by hand: right at 0.5, right at 1.0, wrong at 2.0, abstained.
    fn run() -> Run {
        let mut rows = vec![
            row(0, 3, Some(3), 0.5),
            row(1, 4, Some(4), 1.0),
            row(2, 5, Some(6), 2.0),
            row(3, 0, None, 0.0),
        ];
        rows[0].zeta = Some(0.25);
        rows[1].zeta = Some(0.125);
        rows[0].disagreement_rate = Some(0.1);
        rows[0].bound = Some("zeta".to_owned());
        rows[1].bound = Some("direct".to_owned());
        rows[2].bound = Some("direct".to_owned());
        rows[3].bound = Some("direct".to_owned());
        rows[2].invalid = 7;
        Run {
            rows,
            ..Run::default()
        }
    }

    #[test]
    fn figures_by_hand() {
        let metrics = Metrics::new(&run());
        assert_eq!(metrics.inputs, 4);
        assert!(metrics.labelled);
        assert_eq!((metrics.certified, metrics.abstained), (3, 1));
        assert_eq!(metrics.correct, Some(2));
        assert_eq!(metrics.acr, Some(0.375));
        assert_eq!(metrics.average_radius, Some(0.875));
        assert_eq!(metrics.quality(), Some(0.375));
        assert_eq!(metrics.evaluations, 440);
        assert_eq!(metrics.seconds, 1.0);
        assert_eq!(metrics.mean_zeta, Some(0.1875));
        assert_eq!(metrics.mean_disagreement_rate, Some(0.1));
        assert_eq!(metrics.invalid, 7);
        // The abstention's bound certified nothing.
        let expected = [("direct".to_owned(), 2), ("zeta".to_owned(), 1)];
        assert_eq!(metrics.bounds, BTreeMap::from(expected));
    }

    #[test]
    fn certified_accuracy_by_hand() {
        for (radius, count) in [
            (0.0, 2),
            (0.5, 2),
            (0.5_f64.next_up(), 1),
            (1.0, 1),
            (1.5, 0),
        ] {
            let expected = Share { count, total: 4 };
            assert_eq!(
                certified_accuracy(&run(), radius),
                Some(expected),
                "{radius}"
            );
        }
        for (radius, count) in [(0.0, 3), (1.0, 2), (2.0, 1), (2.5, 0)] {
            assert_eq!(
                certified_share(&run(), radius),
                Share { count, total: 4 },
                "{radius}"
            );
        }
    }

    #[test]
    fn an_abstention_is_wrong_at_radius_zero() {
        let run = Run {
            rows: vec![row(0, 0, None, 0.0)],
            ..Run::default()
        };
        assert_eq!(
            certified_accuracy(&run, 0.0),
            Some(Share { count: 0, total: 1 })
        );
        assert_eq!(certified_share(&run, 0.0), Share { count: 0, total: 1 });
    }

    #[test]
    fn one_missing_label_takes_the_accuracy_away() {
        let mut run = run();
        run.rows[0].label = None;
        let metrics = Metrics::new(&run);
        assert!(!metrics.labelled);
        assert_eq!((metrics.correct, metrics.acr), (None, None));
        assert_eq!(metrics.quality(), Some(0.875));
        assert_eq!(certified_accuracy(&run, 0.0), None);
    }

    #[test]
    fn no_input_gives_no_mean() {
        let metrics = Metrics::new(&Run::default());
        assert_eq!((metrics.acr, metrics.average_radius), (None, None));
        assert_eq!(metrics.quality(), None);
        assert_eq!(certified_accuracy(&Run::default(), 0.0), None);
        assert_eq!(certified_share(&Run::default(), 0.0).fraction(), None);
        assert_eq!(certified_share(&Run::default(), 0.0).percent_down(), "–");
    }

    #[test]
    fn shares_print_rounded_down() {
        let text = |count, total| Share { count, total }.percent_down();
        assert_eq!(text(1, 1), "100.0");
        assert_eq!(text(9_999, 10_000), "99.9");
        assert_eq!(text(7_665, 10_000), "76.6");
        assert_eq!(text(u64::MAX, u64::MAX), "100.0");
    }

    #[test]
    fn grids_follow_the_field() {
        let quarters = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5];
        assert_eq!(default_radii(0.5), quarters);
        assert_eq!(default_radii(f64::NAN), quarters);
        assert_eq!(default_radii(0.0), quarters);
        assert_eq!(default_radii(1.0), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        let eighths = [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75];
        assert_eq!(default_radii(0.25), eighths);
        let small = [0.0, 0.06, 0.12, 0.18, 0.24, 0.3, 0.36];
        assert_eq!(default_radii(0.12), small);
        assert_eq!(default_radii(0.195)[6], 0.6);
        assert_eq!(default_radii(20.0)[6], 60.0);
    }
}
