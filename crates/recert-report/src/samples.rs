//! How many samples a certificate needs: tables, JSON and a plot.
//!
//! There are three questions, each a plain struct that the caller fills with the answers:
//!
//! - [`ByWidth`]: samples for a confidence interval of a given width, against the fraction
//!   of successes (Figure 2 of Ugare et al., "Incremental randomized smoothing
//!   certification", ICLR 2024), which has a plot too;
//! - [`ByRadius`]: samples for a certified radius, against the fraction of samples of the
//!   class;
//! - [`BySamples`]: the certified radius that a number of samples gives.
//!
//! Each becomes a table for a terminal, as wide as its numbers need, or JSON of schema
//! `recert-samples/2`: an object with
//!
//! | field | content |
//! |---|---|
//! | `schema` | the text `recert-samples/2` |
//! | `question` | `width`, `radius` or `samples` |
//! | `meaning` | what the numbers are, in words |
//! | others | the fields of the struct |
//!
//! where a [`Need`] is `{"samples": .., "outcome": ..}` with a count and `found`,
//! or null and `not_reachable` or `too_many`. Numbers are written with as many digits
//! as bring back the same double. Fields may be added under the same version; nothing
//! is renamed, removed or given another meaning.
//!
//! Every function fails with [`ErrorKind::Value`](crate::ErrorKind::Value) if a row lacks
//! an entry for a column, or if a number is outside its domain.

use serde::Serialize;

use crate::error::Error;
use crate::plot;
use crate::table::{Options, lines};
use crate::text;
use recert_num::format_down;

/// The schema of the JSON documents.
pub const SCHEMA: &str = "recert-samples/2";

/// Digits after the point of a printed radius.
const DIGITS: usize = 4;

/// Samples with which a two-sided Clopper-Pearson interval is no wider than a target error.
///
/// ```
/// use recert_report::samples::{ByWidth, WidthRow};
///
/// let answer = ByWidth {
///     alpha: 0.01,
///     errors: vec![0.005, 0.07],
///     rows: vec![WidthRow { p: 0.5, samples: vec![216_873, 1_130] }],
/// };
/// assert!(answer.table()?.contains("216,873"));
/// assert!(answer.json()?.contains("\"question\": \"width\""));
/// let curve = [0.25, 0.75].map(|p| WidthRow { p, samples: vec![160_000, 900] });
/// assert!(answer.svg(&curve)?.starts_with("<svg"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByWidth {
    /// Failure probability on either side, in (0, 1).
    pub alpha: f64,
    /// The target errors: the largest widths of the interval, in (0, 1).
    pub errors: Vec<f64>,
    /// One row per fraction of successes.
    pub rows: Vec<WidthRow>,
}

/// The samples needed at one fraction of successes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WidthRow {
    /// The fraction, in (0, 1).
    pub p: f64,
    /// The samples for each of [`ByWidth::errors`].
    pub samples: Vec<u64>,
}

/// Samples that certify a radius if a fraction of them is of the class.
///
/// ```
/// use recert_report::samples::{ByRadius, Need, RadiusRow};
///
/// let row = RadiusRow {
///     p: 0.99,
///     limit: Some(0.5815),
///     needs: vec![Need::Samples(1181), Need::NotReachable],
/// };
/// let answer = ByRadius { sigma: 0.25, alpha: 0.001, radii: vec![0.5, 2.0], rows: vec![row] };
/// assert!(answer.table()?.contains("1,181   not reachable"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByRadius {
    /// Standard deviation of the noise, in the units of an input in [0, 1]. Positive.
    pub sigma: f64,
    /// Failure probability of the certificate, in (0, 1).
    pub alpha: f64,
    /// The L2 radii asked for, positive, in the units of sigma.
    pub radii: Vec<f64>,
    /// One row per fraction.
    pub rows: Vec<RadiusRow>,
}

/// The samples needed at one fraction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RadiusRow {
    /// The fraction, in (0, 1].
    pub p: f64,
    /// The supremum of the radii that can be reached, `sigma Phi^-1(p)`, rounded down; 0
    /// for a fraction of at most 1/2. `None` (null) where there is no limit.
    pub limit: Option<f64>,
    /// The answer for each of [`ByRadius::radii`].
    pub needs: Vec<Need>,
}

/// How many samples a radius needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "NeedOut")]
pub enum Need {
    /// This many are enough.
    Samples(u64),
    /// No number is enough: the fraction itself gives no such radius.
    NotReachable,
    /// More are needed than the search covers.
    TooMany,
}

#[derive(Serialize)]
struct NeedOut {
    samples: Option<u64>,
    outcome: &'static str,
}

impl From<Need> for NeedOut {
    fn from(need: Need) -> Self {
        let (samples, outcome) = match need {
            Need::Samples(samples) => (Some(samples), "found"),
            Need::NotReachable => (None, "not_reachable"),
            Need::TooMany => (None, "too_many"),
        };
        Self { samples, outcome }
    }
}

/// The radius that a number of samples certifies if a fraction of them is of the class.
///
/// ```
/// use recert_report::samples::{Attained, BySamples, SamplesRow};
///
/// let result = |p_lower, radius| Attained { p_lower, radius };
/// let answer = BySamples {
///     sigma: 0.5,
///     alpha: 0.001,
///     fractions: vec![1.0, 0.5],
///     rows: vec![SamplesRow {
///         samples: 10_000,
///         results: vec![result(0.999_309, Some(1.599_299)), result(0.484, None)],
///     }],
/// };
/// assert!(answer.table()?.contains("1.5992   abstains"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BySamples {
    /// Standard deviation of the noise, in the units of an input in [0, 1]. Positive.
    pub sigma: f64,
    /// Failure probability of the certificate, in (0, 1).
    pub alpha: f64,
    /// The fractions, in (0, 1]; 1 gives the largest radius that can be attained.
    pub fractions: Vec<f64>,
    /// One row per number of samples.
    pub rows: Vec<SamplesRow>,
}

/// The radii that one number of samples certifies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplesRow {
    /// The number of samples.
    pub samples: u64,
    /// The result for each of [`BySamples::fractions`].
    pub results: Vec<Attained>,
}

/// The bound and the radius that a number of samples gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Attained {
    /// Lower confidence bound of the probability of the class, rounded down, in [0, 1].
    pub p_lower: f64,
    /// Certified L2 radius in the units of sigma, rounded down; `None` (null) is an abstention.
    pub radius: Option<f64>,
}

/// The fields of every document, before those of the answer.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    question: &'static str,
    meaning: &'static str,
    #[serde(flatten)]
    answer: &'a T,
}

const WIDTH: &str = "samples with which a two-sided Clopper-Pearson interval, its failure \
     probability alpha on either side, is no wider than the error, when a fraction p of the samples \
     (rounded to the nearest count, halves up) are successes: the number given has this property \
     and one sample less does not";

const RADIUS: &str = "smallest number n of samples that certifies the radius if floor(p n) of \
     them are of the class: sigma times the normal quantile of the one-sided Clopper-Pearson bound \
     at alpha is no less. Leave some room: the count of a run scatters around p n, and where it is \
     smaller so is the radius; because counts are whole, a slightly larger n may fall short again";

const SAMPLES: &str = "radius certified when floor(p n) of n samples are of the class: sigma times \
     the normal quantile of the one-sided Clopper-Pearson bound at alpha, rounded down; p = 1 gives \
     the largest radius that n samples can certify";

impl ByWidth {
    /// Writes a table, a row per fraction and a column per error.
    pub fn table(&self) -> Result<String, Error> {
        self.check()?;
        let mut heads = vec!["p".to_owned()];
        heads.extend(self.errors.iter().map(|e| format!("error {}", percent(*e))));
        let rows = self.rows.iter().map(|row| {
            let counts = row.samples.iter().map(|n| text::grouped(*n));
            std::iter::once(text::short(row.p)).chain(counts).collect()
        });
        let title = format!(
            "Samples for a Clopper-Pearson interval no wider than the error, alpha {} on either side",
            text::short(self.alpha)
        );
        let notes = [
            sentence(WIDTH),
            "p and 1 - p need the same number, but for that rounding. Figure 2 of Ugare et al., \
             Incremental randomized smoothing certification, ICLR 2024."
                .to_owned(),
        ];
        Ok(page(&title, &heads, rows, &[0], &notes))
    }

    /// Writes the JSON document.
    pub fn json(&self) -> Result<String, Error> {
        self.check()?;
        json("width", WIDTH, self)
    }

    /// Draws samples against the fraction as an SVG file that refers to no other: a line
    /// an error through the rows of `curve`, which are in increasing order of their
    /// fractions, and a dot for each row of the table. Its colours follow the reader's
    /// light or dark mode.
    pub fn svg(&self, curve: &[WidthRow]) -> Result<String, Error> {
        self.check()?;
        check_rows(self.errors.len(), curve)?;
        if !curve.is_sorted_by(|a, b| a.p < b.p) {
            return Err(Error::value(
                "the fractions of the curve are not in increasing order",
            ));
        }
        let points = |rows: &[WidthRow], column: usize| {
            let point = |row: &WidthRow| (row.p, row.samples[column]);
            rows.iter().map(point).collect()
        };
        let curves: Vec<_> = self
            .errors
            .iter()
            .enumerate()
            .map(|(column, error)| plot::Curve {
                name: percent(*error),
                line: points(curve, column),
                dots: points(&self.rows, column),
            })
            .collect();
        let subtitle = format!(
            "a two-sided Clopper-Pearson interval is no wider than the error, alpha {} on either side",
            text::short(self.alpha)
        );
        Ok(plot::samples(
            &curves,
            "Samples for a target error",
            &subtitle,
        ))
    }

    fn check(&self) -> Result<(), Error> {
        check_open("alpha", self.alpha)?;
        for error in &self.errors {
            check_open("error", *error)?;
        }
        check_rows(self.errors.len(), &self.rows)
    }
}

impl ByRadius {
    /// Writes a table, a row per fraction and a column per radius, and last the limit of the
    /// radii, rounded down.
    pub fn table(&self) -> Result<String, Error> {
        self.check()?;
        let mut heads = vec!["p".to_owned()];
        heads.extend(
            self.radii
                .iter()
                .map(|r| format!("r = {}", text::short(*r))),
        );
        heads.push("limit".to_owned());
        let cell = |need: &Need| match need {
            Need::Samples(samples) => text::grouped(*samples),
            Need::NotReachable => "not reachable".to_owned(),
            Need::TooMany => "too many".to_owned(),
        };
        let rows = self.rows.iter().map(|row| {
            let limit = match row.limit {
                None => "no limit".to_owned(),
                Some(0.0) => text::NONE.to_owned(),
                Some(limit) => format_down(limit, DIGITS),
            };
            std::iter::once(text::short(row.p))
                .chain(row.needs.iter().map(cell))
                .chain(std::iter::once(limit))
                .collect()
        });
        let title = format!(
            "Samples that certify a radius r at sigma {}, alpha {}",
            text::short(self.sigma),
            text::short(self.alpha)
        );
        let mut notes = vec![
            sentence(RADIUS),
            "Last column: the limit of what p can reach with any number of samples, sigma \
             \u{3a6}\u{207b}\u{b9}(p), rounded down."
                .to_owned(),
        ];
        if self.needs().any(|need| need == Need::TooMany) {
            notes.push(
                "Too many: the radius is so close to the limit, or so large, that more samples \
                 are needed than the search covers."
                    .to_owned(),
            );
        }
        Ok(page(&title, &heads, rows, &[0], &notes))
    }

    /// Writes the JSON document.
    pub fn json(&self) -> Result<String, Error> {
        self.check()?;
        json("radius", RADIUS, self)
    }

    fn needs(&self) -> impl Iterator<Item = Need> {
        self.rows.iter().flat_map(|row| row.needs.iter().copied())
    }

    fn check(&self) -> Result<(), Error> {
        check_open("alpha", self.alpha)?;
        check_positive("sigma", self.sigma)?;
        for radius in &self.radii {
            check_positive("radius", *radius)?;
        }
        for row in &self.rows {
            check_fraction(row.p)?;
            check_columns(row.p, self.radii.len(), row.needs.len())?;
            check_length("limit", row.limit.unwrap_or(0.0))?;
        }
        Ok(())
    }
}

impl BySamples {
    /// Writes a table, a row per number of samples and a column per fraction.
    pub fn table(&self) -> Result<String, Error> {
        self.check()?;
        let mut heads = vec!["samples".to_owned()];
        heads.extend(self.fractions.iter().map(|p| match *p {
            1.0 => "largest (p = 1)".to_owned(),
            p => format!("p = {}", text::short(p)),
        }));
        let radius = |attained: &Attained| {
            let radius = attained.radius.map(|radius| format_down(radius, DIGITS));
            radius.unwrap_or_else(|| "abstains".to_owned())
        };
        let rows = self.rows.iter().map(|row| {
            std::iter::once(text::grouped(row.samples))
                .chain(row.results.iter().map(radius))
                .collect()
        });
        let title = format!(
            "Radius that a number of samples certifies at sigma {}, alpha {}",
            text::short(self.sigma),
            text::short(self.alpha)
        );
        Ok(page(&title, &heads, rows, &[], &[sentence(SAMPLES)]))
    }

    /// Writes the JSON document.
    pub fn json(&self) -> Result<String, Error> {
        self.check()?;
        json("samples", SAMPLES, self)
    }

    fn check(&self) -> Result<(), Error> {
        check_open("alpha", self.alpha)?;
        check_positive("sigma", self.sigma)?;
        for p in &self.fractions {
            check_fraction(*p)?;
        }
        for row in &self.rows {
            check_columns(row.samples, self.fractions.len(), row.results.len())?;
            for result in &row.results {
                check_length("bound", result.p_lower)?;
                check_length("radius", result.radius.unwrap_or(0.0))?;
            }
        }
        Ok(())
    }
}

/// A title, a table, and what its numbers are. The columns in `words` are aligned on the left.
fn page(
    title: &str,
    heads: &[String],
    rows: impl Iterator<Item = Vec<String>>,
    words: &[usize],
    notes: &[String],
) -> String {
    let options = Options::default();
    // A narrower table would break numbers in two.
    let natural = Options {
        width: u16::MAX,
        ..Options::default()
    };
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut out = vec![title.to_owned()];
    out.extend(lines(&heads, rows, words, &natural));
    for note in notes {
        out.extend(text::wrapped(note, options.width.into()));
    }
    out.push(String::new());
    out.join("\n")
}

fn json<T: Serialize>(
    question: &'static str,
    meaning: &'static str,
    answer: &T,
) -> Result<String, Error> {
    let document = Document {
        schema: SCHEMA,
        question,
        meaning,
        answer,
    };
    serde_json::to_string_pretty(&document)
        .map_err(|e| Error::format("cannot write the numbers of samples as JSON").with_source(e))
}

/// A meaning, as a sentence under a table.
fn sentence(meaning: &str) -> String {
    let mut sentence = format!("{meaning}.");
    sentence[..1].make_ascii_uppercase();
    sentence
}

/// A fraction as per cent, without the rounding errors of the conversion.
fn percent(fraction: f64) -> String {
    let percent = text::short((fraction * 1e14).round() / 1e12);
    format!("{percent}\u{a0}%")
}

fn check_rows(columns: usize, rows: &[WidthRow]) -> Result<(), Error> {
    for row in rows {
        check_open("fraction", row.p)?;
        check_columns(row.p, columns, row.samples.len())?;
    }
    Ok(())
}

fn check_columns(row: impl std::fmt::Display, wanted: usize, found: usize) -> Result<(), Error> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::value(format!(
        "the row of {row} has {found} entries, but there are {wanted} columns"
    )))
}

fn check(name: &str, value: f64, good: bool, domain: &str) -> Result<(), Error> {
    if good {
        return Ok(());
    }
    Err(Error::value(format!("{name} {value} is not {domain}")))
}

fn check_open(name: &str, value: f64) -> Result<(), Error> {
    let good = value > 0.0 && value < 1.0;
    check(name, value, good, "strictly between 0 and 1")
}

fn check_fraction(value: f64) -> Result<(), Error> {
    let good = value > 0.0 && value <= 1.0;
    check("fraction", value, good, "above 0 and at most 1")
}

fn check_positive(name: &str, value: f64) -> Result<(), Error> {
    let good = value.is_finite() && value > 0.0;
    check(name, value, good, "a finite number above 0")
}

fn check_length(name: &str, value: f64) -> Result<(), Error> {
    let good = value.is_finite() && value >= 0.0;
    check(name, value, good, "a finite number from 0 on")
}
