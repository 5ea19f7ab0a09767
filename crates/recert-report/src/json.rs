//! The report as a JSON document with a versioned schema.
//!
//! Schema `recert-report/5`, an object with
//!
//! | field | content |
//! |---|---|
//! | `schema` | the text `recert-report/5` |
//! | `title`, `generated`, `notes` | as in [`Report`] |
//! | `runs` | the runs, in order; each has the fields of [`Run`] and `metrics` |
//! | `verifications` | verdicts by bounds: [`Verified`] and `metrics`; absent where there are none |
//!
//! where a run's fields are named as in [`Run`] and [`Row`](crate::Row), with these rules:
//!
//! - a field that is `None` may be absent, except a row's `label` and `class`,
//!   which are `null` for an unknown class and an abstention;
//! - `method` is `{"kind": "certify", "sides": .., "until": ..}` or `{"kind": "recertify",
//!   "name": .., "original": .., "gamma": ..}`, where `original` counts runs from 0;
//! - `metrics` is derived from the rows: the fields of [`Metrics`], `radii` with
//!   `certified_at` (exact counts of inputs certified with at least that radius,
//!   for their label where there are labels), and `speed_up` (a [`SpeedUp`], or
//!   null for runs from scratch and where there is nothing to compare with). It is
//!   for readers; [`from_str`] ignores it and derives it afresh;
//! - a verification's `metrics` are [`VerifiedMetrics`], derived likewise;
//! - `baselines` is an object with `from_scratch`, `planned` and `paper`, each a list of points
//!   of a curve, `{"cost": evaluations, "quality": average radius}`
//!   ([`ByBaseline`](crate::speed_up::ByBaseline)).
//!
//! Numbers are written with as many digits as bring back the same double, so
//! no bound changes on the way. Fields may be added under the same version;
//! nothing is renamed, removed or given another meaning.
//!
//! In version 4, numbers in `parameters` are text. In version 3, `speed_up` charges the selection samples of the runs that it compares with, is
//! given for runs without any radius too, and has no `expected`; there are no `baselines`.
//! Version 2 has other names for `original` (`base`), `zeta` (`disagreement`) and
//! `mean_zeta` (`mean_disagreement`); version 1 has also `certified_at` under the
//! name `certified`, which a field of [`Metrics`] has too. [`from_str`] reads all of them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::metrics::{Metrics, default_radii, share_at};
use crate::model::{Report, Run};
use crate::speed_up::{SpeedUp, speed_ups};
use crate::verified::{Verified, VerifiedMetrics};

/// The schema that [`to_string`] writes.
pub const SCHEMA: &str = "recert-report/5";

/// Earlier schemas, which [`from_str`] reads too.
const EARLIER: [&str; 4] = [
    "recert-report/1",
    "recert-report/2",
    "recert-report/3",
    "recert-report/4",
];

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    title: &'a str,
    generated: &'a str,
    notes: &'a [String],
    runs: Vec<RunOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verifications: Vec<VerifiedOut<'a>>,
}

#[derive(Serialize)]
struct VerifiedOut<'a> {
    metrics: VerifiedMetrics,
    #[serde(flatten)]
    verified: &'a Verified,
}

#[derive(Serialize)]
struct RunOut<'a> {
    metrics: Derived,
    #[serde(flatten)]
    run: &'a Run,
}

#[derive(Serialize)]
struct Derived {
    #[serde(flatten)]
    metrics: Metrics,
    radii: Vec<f64>,
    certified_at: Vec<u64>,
    speed_up: Option<SpeedUp>,
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// Writes the report as indented JSON, with certified counts at `radii`
/// ([`default_radii`] for none). Fails if the report does not pass [`Report::check`].
///
/// ```
/// use recert_report::{Report, json};
///
/// let report = Report { title: "Empty".to_owned(), ..Report::default() };
/// let text = json::to_string(&report, Some(&[0.5]))?;
/// assert!(text.contains(r#""schema": "recert-report/5""#));
/// assert_eq!(json::from_str(&text)?, report);
/// # Ok::<(), recert_report::Error>(())
/// ```
pub fn to_string(report: &Report, radii: Option<&[f64]>) -> Result<String, Error> {
    report.check()?;
    let metrics: Vec<Metrics> = report.runs.iter().map(Metrics::new).collect();
    let speed_ups = speed_ups(report, &metrics);
    let radii = radii.map_or_else(|| default_radii(report.largest_sigma()), <[f64]>::to_vec);
    let runs = report.runs.iter().zip(metrics).zip(speed_ups);
    let document = Document {
        schema: SCHEMA,
        title: &report.title,
        generated: &report.generated,
        notes: &report.notes,
        runs: runs
            .map(|((run, metrics), speed_up)| RunOut {
                metrics: Derived {
                    metrics,
                    certified_at: radii.iter().map(|r| share_at(run, *r).count).collect(),
                    radii: radii.clone(),
                    speed_up,
                },
                run,
            })
            .collect(),
        verifications: (report.verifications.iter())
            .map(|verified| VerifiedOut {
                metrics: VerifiedMetrics::new(verified),
                verified,
            })
            .collect(),
    };
    serde_json::to_string_pretty(&document)
        .map_err(|e| Error::format("cannot write the report as JSON").with_source(e))
}

/// Reads a report that [`to_string`] wrote, of this schema or an earlier one.
///
/// Text that is not such JSON is [`ErrorKind::Format`], another schema or
/// version [`ErrorKind::Schema`], and a report that does not pass
/// [`Report::check`] [`ErrorKind::Value`].
pub fn from_str(text: &str) -> Result<Report, Error> {
    let malformed = |e: serde_json::Error| Error::format("this is no JSON report").with_source(e);
    let head: Head = serde_json::from_str(text).map_err(malformed)?;
    if head.schema != SCHEMA && !EARLIER.contains(&head.schema.as_str()) {
        return Err(Error::new(
            ErrorKind::Schema,
            format!(
                "the report has schema {:?}, but this reads {SCHEMA:?}",
                head.schema
            ),
        ));
    }
    let report: Report = serde_json::from_str(text).map_err(malformed)?;
    report.check()?;
    Ok(report)
}
