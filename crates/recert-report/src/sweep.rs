//! Networks of a family of trainings: natural and certified accuracy of each, and the Pareto front.
//!
//! A [`Sweep`] is a plain struct that the caller fills. From it come a table for a terminal, a page in
//! Markdown, an SVG plot, and JSON of schema `recert-sweep/1`: an object with `schema` and the
//! fields of [`Sweep`], in which every point has its own fields and `front`, whether it is on the
//! Pareto front. Fields may be added under the same version; nothing is renamed, removed or
//! given another meaning.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::Serialize;

use crate::error::Error;
use crate::metrics::Share;
use crate::plot;
use crate::table::{Options, lines};
use crate::text::{self, printable};

/// The schema of the JSON documents.
pub const SCHEMA: &str = "recert-sweep/1";

/// A family of trainings, with at least one point.
///
/// ```
/// use recert_report::sweep::{Accuracy, Point, Sweep};
///
/// let point = |alpha: &str, natural, certified| Point {
///     name: format!("alpha-{alpha}"),
///     values: vec![alpha.to_owned()],
///     network: format!("alpha-{alpha}.onnx"),
///     sha256: "00".repeat(32),
///     validation: Accuracy { images: 100, natural, certified, undecided: 0 },
///     test: None,
/// };
/// let sweep = Sweep {
///     title: "MNIST".to_owned(),
///     certificate: "verified within 0.1 in L-inf".to_owned(),
///     validation: "validation images".to_owned(),
///     test: None,
///     fields: vec!["alpha".to_owned()],
///     points: vec![point("0.1", 98, 90), point("0.5", 97, 93), point("0.9", 96, 92)],
///     failed: Vec::new(),
/// };
/// assert_eq!(sweep.front(), [true, true, false]);
/// assert!(sweep.table()?.contains("alpha-0.9.onnx"));
/// assert!(sweep.svg()?.starts_with("<svg"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// What it is of.
    pub title: String,
    /// What makes an image a certified one, in words.
    pub certificate: String,
    /// The images that points are compared on, in words.
    pub validation: String,
    /// The images of [`Point::test`], in words, where there are any.
    pub test: Option<String>,
    /// The settings that differ, by name.
    pub fields: Vec<String>,
    /// The networks.
    pub points: Vec<Point>,
    /// Those that could not be trained.
    pub failed: Vec<Failed>,
}

/// A network of the family that could not be trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The settings that it would have, in a word.
    pub name: String,
    /// What went wrong.
    pub error: String,
}

/// A network of the family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The settings that it has, in a word.
    pub name: String,
    /// The value of each of [`Sweep::fields`]; empty where it has the default.
    pub values: Vec<String>,
    /// Its file.
    pub network: String,
    /// The file's SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// What it reaches on images that it was not trained on, by which points are compared.
    pub validation: Accuracy,
    /// What it reaches on the test images, which nothing is chosen by: of points on the front, where
    /// it was asked for.
    pub test: Option<Accuracy>,
}

/// Numbers of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accuracy {
    /// All of them, at least 1.
    pub images: u64,
    /// Answered with their labels.
    pub natural: u64,
    /// Certified with their labels, which are among those answered with them.
    pub certified: u64,
    /// Neither certified nor known to be impossible to certify: a longer search may certify
    /// more.
    pub undecided: u64,
}

impl Accuracy {
    fn share(self, count: u64) -> Share {
        Share {
            count,
            total: self.images,
        }
    }

    /// Natural and certified accuracy, in [0, 1].
    fn shares(self) -> [f64; 2] {
        [self.natural, self.certified].map(|count| count as f64 / self.images as f64)
    }

    /// Whether another one is at least as good in both, and better in one; by exact comparison,
    /// also of different numbers of images.
    fn is_below(self, other: Self) -> bool {
        let order = |own: u64, others: u64| {
            let (own, others) = (u128::from(own), u128::from(others));
            (others * u128::from(self.images)).cmp(&(own * u128::from(other.images)))
        };
        let orders = [
            order(self.natural, other.natural),
            order(self.certified, other.certified),
        ];
        orders.iter().all(|order| order.is_ge()) && orders.iter().any(|order| order.is_gt())
    }

    /// A share in per cent, rounded down, with the standard error of a mean of so many draws.
    fn text(self, count: u64) -> String {
        let share = count as f64 / self.images as f64;
        let error = (share * (1.0 - share) / self.images as f64).sqrt() * 100.0;
        format!("{} \u{b1} {error:.1}", self.share(count).percent_down())
    }
}

/// The fields of the JSON document.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    title: &'a str,
    certificate: &'a str,
    validation: &'a str,
    test: Option<&'a str>,
    fields: &'a [String],
    points: Vec<PointOut<'a>>,
    failed: &'a [Failed],
}

#[derive(Serialize)]
struct PointOut<'a> {
    front: bool,
    #[serde(flatten)]
    point: &'a Point,
}

impl Sweep {
    /// Which points are on the Pareto front: no other has at least as high natural and certified
    /// accuracy on the validation images, and one of them higher.
    pub fn front(&self) -> Vec<bool> {
        let points = &self.points;
        let beaten = |point: &Point| {
            let mut others = points.iter();
            others.any(|other| point.validation.is_below(other.validation))
        };
        points.iter().map(|point| !beaten(point)).collect()
    }

    /// What has to be known to read the figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!("Certified: {}.", self.certificate),
            format!(
                "Accuracies in per cent of {}, rounded down, with the standard error of so many images: \
                 differences within it are none. Points are compared by these alone; * marks the Pareto \
                 front.",
                self.validation
            ),
        ];
        if let Some(test) = &self.test {
            notes.push(format!(
                "Test: {test}, of the front alone. Nothing is chosen by them."
            ));
        }
        let failed = self.failed.iter();
        notes.extend(failed.map(|Failed { name, error }| {
            format!("Could not be trained, and is not in the table: {name}: {error}.")
        }));
        notes
    }

    /// The heads and rows of tables: of the file, the settings, validation and test.
    fn rows(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut heads = vec!["front".to_owned()];
        heads.extend(
            self.fields
                .iter()
                .map(|field| printable(field).into_owned()),
        );
        heads.extend(["natural", "certified", "undecided"].map(str::to_owned));
        if self.test.is_some() {
            heads.extend(["test natural", "test certified"].map(str::to_owned));
        }
        heads.push("network".to_owned());
        let row = |(point, front): (&Point, bool)| {
            let mark = if front { "*" } else { "" };
            let mut row = vec![mark.to_owned()];
            row.extend(point.values.iter().map(|value| match value.as_str() {
                "" => text::NONE.to_owned(),
                value => printable(value).into_owned(),
            }));
            let found = point.validation;
            row.extend([found.natural, found.certified].map(|count| found.text(count)));
            row.push(text::grouped(found.undecided));
            if self.test.is_some() {
                row.extend(match point.test {
                    Some(test) => [test.natural, test.certified].map(|count| test.text(count)),
                    None => [text::NONE, text::NONE].map(str::to_owned),
                });
            }
            row.push(printable(&point.network).into_owned());
            row
        };
        let rows = self.points.iter().zip(self.front()).map(row).collect();
        (heads, rows)
    }

    /// Writes a table, a row a network.
    pub fn table(&self) -> Result<String, Error> {
        self.check()?;
        let (heads, rows) = self.rows();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let last = heads.len() - 1;
        // A narrower table would break names in two.
        let natural = Options {
            width: u16::MAX,
            ..Options::default()
        };
        let mut out = vec![printable(&self.title).into_owned()];
        out.extend(lines(&heads, rows.into_iter(), &[0, last], &natural));
        for note in self.notes() {
            out.extend(text::wrapped(&printable(&note), 80));
        }
        out.push(String::new());
        Ok(out.join("\n"))
    }

    /// Writes a page in Markdown; `plot` is the file of [`Sweep::svg`] beside it.
    pub fn markdown(&self, plot: &str) -> Result<String, Error> {
        self.check()?;
        let (heads, rows) = self.rows();
        let cells = |cells: &[String]| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut page = format!("# {}\n\n", printable(&self.title));
        page.push_str(&cells(&heads));
        // Writing to a string cannot fail.
        writeln!(page, "|{}", "---|".repeat(heads.len())).ok();
        page.extend(rows.iter().map(|row| cells(row)));
        for note in self.notes() {
            write!(page, "\n{}\n", printable(&note)).ok();
        }
        write!(page, "\n![certified against natural accuracy]({plot})\n").ok();
        Ok(page)
    }

    /// Writes the JSON document.
    pub fn json(&self) -> Result<String, Error> {
        self.check()?;
        let points = self.points.iter().zip(self.front());
        let document = Document {
            schema: SCHEMA,
            title: &self.title,
            certificate: &self.certificate,
            validation: &self.validation,
            test: self.test.as_deref(),
            fields: &self.fields,
            points: points
                .map(|(point, front)| PointOut { front, point })
                .collect(),
            failed: &self.failed,
        };
        serde_json::to_string_pretty(&document)
            .map(|text| text + "\n")
            .map_err(|e| Error::format("cannot write the sweep as JSON").with_source(e))
    }

    /// Draws certified against natural accuracy as an SVG file that refers to no other: a dot a
    /// network, and a line through the front.
    pub fn svg(&self) -> Result<String, Error> {
        self.check()?;
        let points = self.points.iter().zip(self.front());
        let networks = points.map(|(point, front)| plot::Trained {
            name: printable(&point.name).into_owned(),
            accuracy: point.validation.shares(),
            front,
        });
        let networks: Vec<_> = networks.collect();
        let title = printable(&self.title);
        Ok(plot::front(
            &networks,
            &title,
            &printable(&self.certificate),
        ))
    }

    fn check(&self) -> Result<(), Error> {
        if self.points.is_empty() {
            return Err(Error::value("a sweep without points"));
        }
        for point in &self.points {
            let found = [Some(point.validation), point.test];
            for found in found.into_iter().flatten() {
                let whole = found.images > 0
                    && found.natural <= found.images
                    && found.certified <= found.natural
                    && found.undecided <= found.images;
                if !whole {
                    let text = format!("{}: {found:?} are no numbers of images", point.name);
                    return Err(Error::value(text));
                }
            }
            if point.values.len() != self.fields.len() {
                let text = format!(
                    "{} has {} values of {} fields",
                    point.name,
                    point.values.len(),
                    self.fields.len()
                );
                return Err(Error::value(text));
            }
        }
        Ok(())
    }
}
