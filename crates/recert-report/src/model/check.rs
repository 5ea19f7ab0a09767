//! The check of a report: every number in its domain, no input twice.

use std::collections::HashSet;

use super::{Goal, Method, Report, Row, Run};
use crate::error::Error;
use crate::verified::Verified;

impl Report {
    /// Checks that every number is in its domain, that no input occurs twice in a
    /// run, and that the original's run exists.
    ///
    /// All writers of this crate call it first. The error
    /// ([`ErrorKind::Value`](crate::ErrorKind::Value)) names the run and the
    /// input.
    ///
    /// ```
    /// use recert_report::{Report, Run};
    ///
    /// let run = Run { network: "net.onnx".to_owned(), sigma: -0.5, ..Run::default() };
    /// let error = Report { runs: vec![run], ..Report::default() }.check().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "run 1 (net.onnx): sigma must be a positive number, not -0.5"
    /// );
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        for (number, run) in (1..).zip(&self.runs) {
            let in_run = |problem: String| {
                Error::value(format!(
                    "run {number} ({}): {problem}",
                    run.network.escape_debug()
                ))
            };
            check_run(run, number - 1, self.runs.len()).map_err(in_run)?;
            let mut seen = HashSet::with_capacity(run.rows.len());
            let mut evaluations = 0_u64;
            for row in &run.rows {
                let in_row = |problem: String| in_run(format!("input {}: {problem}", row.idx));
                check_row(row).map_err(in_row)?;
                if !seen.insert(row.idx) {
                    return Err(in_row("is in more than one row; keep one".to_owned()));
                }
                evaluations = evaluations
                    .checked_add(row.evaluations)
                    .ok_or_else(|| in_row("the evaluations add up to more than 2^64".to_owned()))?;
            }
        }
        self.verifications.iter().try_for_each(Verified::check)
    }
}

/// Radii and times above this are refused: they are no results, and sums of
/// smaller ones cannot overflow.
const LARGEST: f64 = 1e30;

fn check_run(run: &Run, index: usize, runs: usize) -> Result<(), String> {
    if !(run.sigma.is_finite() && run.sigma > 0.0) {
        return Err(format!(
            "sigma must be a positive number, not {}",
            run.sigma
        ));
    }
    if !(run.alpha > 0.0 && run.alpha < 1.0) {
        return Err(format!(
            "alpha must lie between 0 and 1, not be {}",
            run.alpha
        ));
    }
    if let Method::Certify {
        until: Some(radius),
        ..
    } = run.method
        && !(radius > 0.0 && radius <= LARGEST)
    {
        return Err(format!(
            "the radius to stop at must be above 0, not {radius}"
        ));
    }
    if let Method::Recertify {
        original, gamma, ..
    } = &run.method
    {
        match original {
            Some(original) if *original >= runs => {
                return Err(format!(
                    "the run that it is recertified from is number {}, but there are {runs}",
                    original.saturating_add(1)
                ));
            }
            Some(original) if *original == index => {
                return Err("it cannot be recertified from itself".to_owned());
            }
            _ => {}
        }
        probability("gamma", *gamma)?;
    }
    if let Some(Goal::AverageRadius(radius) | Goal::UntilRadius(radius)) = run.goal
        && !(0.0..=LARGEST).contains(&radius)
    {
        return Err(format!(
            "the radius to reach must be a number from 0 on, not {radius}"
        ));
    }
    for (name, seconds) in [
        ("wall time", run.wall_seconds),
        ("time of the faster network", run.through_seconds),
    ] {
        if let Some(seconds) = seconds.filter(|seconds| !(0.0..=LARGEST).contains(seconds)) {
            return Err(format!(
                "the {name} must be a number of seconds from 0 on, not {seconds}"
            ));
        }
    }
    let curves = run.baselines.iter();
    for point in curves
        .flat_map(|b| [&b.from_scratch, &b.planned, &b.paper])
        .flatten()
    {
        if !(0.0..=LARGEST).contains(&point.cost) || !(0.0..=LARGEST).contains(&point.quality) {
            return Err(format!(
                "a point of a baseline must have a cost and a quality from 0 on, not {} and {}",
                point.cost, point.quality
            ));
        }
    }
    Ok(())
}

fn check_row(row: &Row) -> Result<(), String> {
    if !(0.0..=LARGEST).contains(&row.radius) {
        return Err(format!(
            "the radius must be a number from 0 on, not {}",
            row.radius
        ));
    }
    if row.class.is_none() && row.radius != 0.0 {
        return Err(format!("an abstention has radius 0, not {}", row.radius));
    }
    if !(0.0..=LARGEST).contains(&row.seconds) {
        return Err(format!(
            "the time must be a number from 0 on, not {}",
            row.seconds
        ));
    }
    probability("p_lower", row.p_lower)?;
    probability("zeta", row.zeta)?;
    probability("the disagreement rate", row.disagreement_rate)
}

fn probability(name: &str, value: Option<f64>) -> Result<(), String> {
    match value {
        Some(p) if !(0.0..=1.0).contains(&p) => {
            Err(format!("{name} must lie in [0, 1], not be {p}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speed_up::{ByBaseline, Point};

    fn report(change: impl FnOnce(&mut Run)) -> Report {
        let mut run = Run {
            network: "net".to_owned(),
            sigma: 0.5,
            alpha: 0.001,
            rows: vec![
                Row::default(),
                Row {
                    idx: 1,
                    ..Row::default()
                },
            ],
            ..Run::default()
        };
        change(&mut run);
        Report {
            runs: vec![run],
            ..Report::default()
        }
    }

    fn recertify(original: Option<usize>, gamma: Option<f64>) -> Method {
        Method::Recertify {
            name: "irs".to_owned(),
            original,
            gamma,
        }
    }

    fn unbounded() -> ByBaseline<Vec<Point>> {
        let point = Point {
            cost: f64::INFINITY,
            quality: 0.5,
        };
        ByBaseline {
            paper: vec![point],
            ..ByBaseline::default()
        }
    }

    fn until(radius: f64) -> Method {
        Method::Certify {
            sides: None,
            until: Some(radius),
        }
    }

    #[test]
    fn every_domain_is_checked_and_the_place_named() {
        type Change = fn(&mut Run);
        assert!(report(|_| {}).check().is_ok());
        let cases: [(Change, &str); 17] = [
            (|r| r.sigma = f64::NAN, "sigma"),
            (|r| r.sigma = 0.0, "sigma"),
            (|r| r.alpha = 1.0, "alpha"),
            (|r| r.alpha = f64::NAN, "alpha"),
            (
                |r| r.method = recertify(Some(1), None),
                "number 2, but there are 1",
            ),
            (
                |r| r.method = recertify(Some(usize::MAX), None),
                "there are 1",
            ),
            (|r| r.method = recertify(Some(0), None), "itself"),
            (|r| r.method = until(f64::NAN), "radius to stop at"),
            (|r| r.method = until(0.0), "radius to stop at"),
            (|r| r.method = recertify(None, Some(1.5)), "gamma"),
            (|r| r.rows[1].radius = f64::INFINITY, "input 1: the radius"),
            (|r| r.rows[1].radius = 0.5, "input 1: an abstention"),
            (|r| r.rows[1].seconds = -1.0, "input 1: the time"),
            (|r| r.rows[1].zeta = Some(f64::NAN), "input 1: zeta"),
            (|r| r.rows[1].idx = 0, "input 0: is in more than one row"),
            (|r| r.baselines = Some(unbounded()), "a point of a baseline"),
            (
                |r| r.rows.iter_mut().for_each(|row| row.evaluations = u64::MAX),
                "add up to more",
            ),
        ];
        for (change, expected) in cases {
            let message = report(change).check().unwrap_err().to_string();
            assert!(message.starts_with("run 1 (net): "), "{message}");
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }

    #[test]
    fn a_goal_is_checked_and_reads_well() {
        let reach = |goal| report(|run| run.goal = Some(goal)).check();
        assert!(reach(Goal::Budget(0)).is_ok() && reach(Goal::UntilRadius(0.25)).is_ok());
        for goal in [Goal::AverageRadius(f64::NAN), Goal::UntilRadius(-0.5)] {
            let message = reach(goal).unwrap_err().to_string();
            assert!(message.contains("the radius to reach"), "{message}");
        }
        for (goal, words, json) in [
            (
                Goal::Budget(12_500),
                "budget 12,500 evaluations",
                r#"{"budget":12500}"#,
            ),
            (
                Goal::PerInput(500),
                "500 evaluations per input",
                r#"{"per_input":500}"#,
            ),
            (
                Goal::AverageRadius(0.6 * 0.25),
                "average radius 0.15",
                r#"{"average_radius":0.15}"#,
            ),
        ] {
            assert_eq!(goal.to_string(), words);
            assert_eq!(serde_json::to_string(&goal).unwrap(), json);
        }
    }
}
