//! The runs and verifications of a report as comma-separated values, for a spreadsheet or a data
//! frame: one line each, in the report's order.

use crate::error::Error;
use crate::metrics::{Share, share_at};
use crate::model::Report;
use crate::speed_up::Ratio;
use crate::summary::Summary;
use crate::verified::{Verified, VerifiedMetrics};

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

/// The columns of verifications, after all others, where the report has any.
const VERIFIED_HEADS: [&str; 6] = [
    "specification",
    "verified",
    "falsified",
    "unknown",
    "misclassified",
    "certified_accuracy",
];

/// Writes the runs, and then the verifications, as lines of comma-separated values (RFC 4180, lines end with a line
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
/// Where there are verifications by bounds, columns `specification`, `verified`, `falsified`,
/// `unknown`, `misclassified` (counts of inputs) and `certified_accuracy` (share of all inputs that
/// are proved for their label) come last. They are empty for runs, as those of smoothing are for
/// verifications. Without any run there are no columns of radii.
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
    let verified = !report.verifications.is_empty();
    let radii = if report.runs.is_empty() && verified {
        &[]
    } else {
        summary.radii.as_slice()
    };
    let mut heads: Vec<String> = HEADS.map(str::to_owned).to_vec();
    heads.extend(radii.iter().map(|r| format!("certified_at_{r}")));
    if verified {
        heads.extend(VERIFIED_HEADS.map(str::to_owned));
    }
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
        let shares = radii.iter().map(|radius| {
            let share = share_at(run, *radius);
            (share.count as f64 / share.total.max(1) as f64).to_string()
        });
        cells.extend(shares);
        cells.resize(heads.len(), String::new());
        out.push_str(&line(&cells));
    }
    for one in &report.verifications {
        out.push_str(&line(&verified_cells(one, radii.len())));
    }
    Ok(out)
}

/// The cells of a verification, in a table with so many columns of radii.
fn verified_cells(one: &Verified, radii: usize) -> Vec<String> {
    let metrics = VerifiedMetrics::new(one);
    let accuracy = metrics.certified_accuracy.and_then(Share::fraction);
    let named = |head: &str| match head {
        "network" => one.network.clone(),
        "network_sha256" => one.network_sha256.clone(),
        "engine" => one.engine.clone(),
        "data" => one.data.clone(),
        "method" => one.method.clone(),
        "inputs" => metrics.inputs.to_string(),
        "worker_seconds" => metrics.seconds.to_string(),
        _ => String::new(),
    };
    let mut cells: Vec<String> = HEADS.iter().map(|head| named(head)).collect();
    cells.extend(std::iter::repeat_n(String::new(), radii));
    cells.extend([
        one.specification.clone(),
        metrics.verified.to_string(),
        metrics.falsified.to_string(),
        metrics.unknown.to_string(),
        metrics.misclassified.to_string(),
        accuracy.map_or_else(String::new, |share| share.to_string()),
    ]);
    cells
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
