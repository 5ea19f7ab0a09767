//! The runs of a report as comma-separated values, for a spreadsheet or a data frame: one
//! line per run, in the report's order.

use crate::error::Error;
use crate::metrics::share_at;
use crate::model::Report;
use crate::speed_up::Ratio;
use crate::summary::Summary;

/// The columns before those of the radii.
const HEADS: [&str; 19] = [
    "network",
    "network_sha256",
    "engine",
    "data",
    "method",
    "goal",
    "sigma",
    "alpha",
    "n0",
    "n",
    "inputs",
    "certified",
    "evaluations",
    "worker_seconds",
    "average_certified_radius",
    "average_radius",
    "expected_speed_up",
    "planned_inputs",
    "wall_seconds",
];

/// Writes the runs as lines of comma-separated values (RFC 4180, lines end with a line
/// feed), after a line that names the columns.
///
/// `average_certified_radius` counts certificates of the right class and is empty where
/// inputs have no labels; `average_radius` counts all. Radii are in units of pixels in
/// [0, 1], averages are rounded down. A column `certified_at_R` for each of `radii` ([`default_radii`](crate::default_radii)
/// for none) has the share of the inputs certified with at least that radius, with the
/// right class where there are labels. `expected_speed_up` is that over certifying from
/// scratch with as many samples of every input; empty where there is none, and where it is
/// only known to be above or below a number. `planned_inputs` is more than `inputs` where a run
/// is unfinished; `wall_seconds` is the time of the passes that the run was part of.
///
/// ```
/// use recert_report::{Report, csv};
///
/// let report = Report::default();
/// assert!(csv::render(&report, Some(&[0.5]))?.starts_with("network,network_sha256,"));
/// # Ok::<(), recert_report::Error>(())
/// ```
///
/// # Errors
/// If the report does not pass [`Report::check`].
pub fn render(report: &Report, radii: Option<&[f64]>) -> Result<String, Error> {
    report.check()?;
    let summary = Summary::new(report, radii);
    let mut heads: Vec<String> = HEADS.map(str::to_owned).to_vec();
    heads.extend(summary.radii.iter().map(|r| format!("certified_at_{r}")));
    let mut out = line(&heads);
    for (i, run) in report.runs.iter().enumerate() {
        let metrics = &summary.metrics[i];
        let speed_up = summary.speed_ups[i].as_ref();
        let speed_up = match speed_up.and_then(|s| s.expected.from_scratch) {
            Some(Ratio::Exactly(ratio)) => Some(ratio),
            _ => None,
        };
        let number = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        let mut cells = vec![
            summary.network(i),
            run.network_sha256.clone(),
            run.engine.clone(),
            run.data.clone(),
            run.method_name(),
            run.goal.map_or_else(String::new, |goal| goal.to_string()),
            run.sigma.to_string(),
            run.alpha.to_string(),
            run.n0.to_string(),
            run.n.to_string(),
            metrics.inputs.to_string(),
            metrics.certified.to_string(),
            metrics.evaluations.to_string(),
            metrics.seconds.to_string(),
            number(metrics.acr),
            number(metrics.average_radius),
            number(speed_up),
            run.planned_inputs
                .map_or_else(String::new, |planned| planned.to_string()),
            number(run.wall_seconds),
        ];
        let shares = summary.radii.iter().map(|radius| {
            let share = share_at(run, *radius);
            (share.count as f64 / share.total.max(1) as f64).to_string()
        });
        cells.extend(shares);
        out.push_str(&line(&cells));
    }
    Ok(out)
}

/// A line of cells, each in quotes where it has to be.
pub fn line(cells: &[impl AsRef<str>]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let cells = cells.iter().map(AsRef::as_ref);
    let written = writer.write_record(cells).ok();
    let bytes = written.and_then(|()| writer.into_inner().ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.expect("texts are written to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let cells = ["a", "b,c", "d \"e\"", "f\ng", ""];
        assert_eq!(line(&cells), "a,\"b,c\",\"d \"\"e\"\"\",\"f\ng\",\n");
    }
}
