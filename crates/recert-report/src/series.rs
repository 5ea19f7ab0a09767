//! Groups runs that differ in their number of samples alone, or in how much of one kind of
//! goal they were to spend or to reach.

use crate::model::{Method, Report, Run};

/// Runs that differ in the number of samples alone.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Positions in the report, fewest samples first.
    pub(crate) runs: Vec<usize>,
    /// Whether these are recertifications.
    pub(crate) recertified: bool,
    /// Whether recertifications may be compared with these: runs from scratch that
    /// were not stopped at a radius.
    pub(crate) baseline: bool,
    /// Equal for series of the same network on the same inputs at the same sigma and
    /// alpha, whose cost and quality may be compared.
    pub(crate) comparable: usize,
}

impl Series {
    /// The series of a report, in the order of their first runs.
    pub(crate) fn all(report: &Report) -> Vec<Self> {
        let inputs: Vec<_> = report.runs.iter().map(inputs).collect();
        let groups: Vec<usize> = (0..report.runs.len())
            .map(|run| {
                let alike = |other: &usize| {
                    comparable(&report.runs[*other], &report.runs[run])
                        && inputs[*other] == inputs[run]
                };
                (0..run).find(alike).unwrap_or(run)
            })
            .collect();
        let mut all: Vec<Self> = Vec::new();
        for (run, group) in groups.into_iter().enumerate() {
            let method = &report.runs[run].method;
            let kind = |run: usize| report.runs[run].goal.map(crate::Goal::kind);
            let found = all.iter_mut().find(|one| {
                let first = one.runs[0];
                one.comparable == group
                    && report.runs[first].method == *method
                    && kind(first) == kind(run)
            });
            match found {
                Some(one) => one.runs.push(run),
                None => all.push(Self {
                    runs: vec![run],
                    recertified: !method.is_from_scratch(),
                    baseline: matches!(method, Method::Certify { until: None, .. }),
                    comparable: group,
                }),
            }
        }
        for one in &mut all {
            one.runs.sort_by_key(|run| report.runs[*run].n);
        }
        all
    }

    /// The run with the most samples.
    pub(crate) fn best(&self) -> usize {
        self.runs[self.runs.len() - 1]
    }
}

fn comparable(a: &Run, b: &Run) -> bool {
    a.network == b.network
        && a.network_sha256 == b.network_sha256
        && a.arithmetic == b.arithmetic
        && a.inputs_sha256 == b.inputs_sha256
        && (a.inputs_sha256.is_some() || a.data == b.data)
        && a.sigma == b.sigma
        && a.alpha == b.alpha
}

fn inputs(run: &Run) -> Vec<(u32, Option<u32>)> {
    let mut inputs: Vec<_> = run.rows.iter().map(|row| (row.idx, row.label)).collect();
    inputs.sort_unstable();
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Goal, Row};

    fn run(n: u64, method: Method, change: impl FnOnce(&mut Run)) -> Run {
        let row = |idx| Row {
            idx,
            ..Row::default()
        };
        let mut run = Run {
            n,
            method,
            rows: vec![row(0), row(1)],
            ..Run::default()
        };
        change(&mut run);
        run
    }

    #[test]
    fn only_the_number_of_samples_and_the_order_may_differ() {
        let certify = |sides| Method::Certify { sides, until: None };
        let irs = |original| Method::Recertify {
            name: "irs".to_owned(),
            original: Some(original),
            gamma: None,
        };
        let report = Report {
            runs: vec![
                run(200, certify(None), |_| {}),
                run(100, certify(None), |r| r.rows.reverse()),
                run(10, irs(0), |_| {}),
                run(20, irs(0), |_| {}),
                run(20, irs(1), |_| {}),
                run(300, certify(None), |r| r.sigma = 1.0),
                run(300, certify(None), |r| r.rows[0].idx = 7),
                run(300, certify(None), |r| {
                    r.network_sha256 = "other".to_owned();
                }),
                run(400, certify(Some(2)), |_| {}),
                run(200, certify(Some(2)), |_| {}),
                // Other kinds of goals, and another budget.
                run(10, irs(0), |r| r.goal = Some(Goal::Budget(20))),
                run(20, irs(0), |r| r.goal = Some(Goal::Budget(40))),
                run(20, irs(0), |r| r.goal = Some(Goal::UntilRadius(0.5))),
                run(20, irs(0), |r| r.goal = Some(Goal::UntilRadius(0.25))),
                // A shard has other inputs under the same positions; a copy of the data has not.
                run(300, certify(None), |r| r.inputs_sha256 = Some("s".into())),
                run(400, certify(None), |r| r.inputs_sha256 = Some("t".into())),
                run(500, certify(None), |r| {
                    r.inputs_sha256 = Some("s".into());
                    r.data = "copied".into();
                }),
            ],
            ..Report::default()
        };
        let series = Series::all(&report);
        let runs: Vec<&[usize]> = series.iter().map(|one| one.runs.as_slice()).collect();
        assert_eq!(
            runs,
            [
                &[1, 0][..],
                &[2, 3],
                &[4],
                &[5],
                &[6],
                &[7],
                &[9, 8],
                &[10, 11],
                &[12],
                &[13],
                &[14, 16],
                &[15]
            ]
        );
        let comparable: Vec<usize> = series.iter().map(|one| one.comparable).collect();
        assert_eq!(comparable, [0, 0, 0, 5, 6, 7, 0, 0, 0, 0, 14, 15]);
        assert_eq!(series[0].best(), 0);
        assert!(series[1].recertified && !series[0].recertified);
    }
}
