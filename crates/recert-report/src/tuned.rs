//! Networks that were looked at for one that is cheaper than a certified one, and the certificates of those that
//! were chosen.
//!
//! A [`Tuned`] is a plain struct that the caller fills. From it come a table for a terminal, a page in Markdown, an
//! SVG plot, and JSON of schema `recert-tune/1`: an object with `schema` and the fields of [`Tuned`].
//! Fields may be added under the same version; nothing is renamed, removed or given another meaning.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::error::Error;
use crate::layers::Interval;
use crate::plot;
use crate::table::{Options, lines};
use crate::text::{self, printable};

/// The schema of the JSON documents.
pub const SCHEMA: &str = "recert-tune/1";

/// What a search found.
///
/// ```
/// use recert_report::layers::Interval;
/// use recert_report::tuned::{Certified, Seen, Tuned};
///
/// let seen = |name: &str, cost, lost| Seen {
///     name: name.to_owned(),
///     layers: Default::default(),
///     cost,
///     samples: 200,
///     lost: Interval { estimate: lost, lower: 0.9 * lost, upper: 1.1 * lost },
///     stopped: false,
///     certified: None,
/// };
/// let mut small = seen("int4 in 20 layers", 140_000.0, 0.02);
/// small.certified = Some(Certified { file: "1.onnx".to_owned(), value: 0.4, evaluations: 9_000, meets: true });
/// let tuned = Tuned {
///     network: "net.onnx".to_owned(),
///     cost: "bytes of weights".to_owned(),
///     measure: "average radius of any class".to_owned(),
///     constraint: Some(0.395),
///     original: (0.41, 1_100_000.0),
///     inputs: 100,
///     sigma: 0.25,
///     certified_inputs: 100,
///     n: 10_000,
///     original_alpha: 0.001,
///     alpha: 0.002,
///     budget: 500_000,
///     networks: vec![small, seen("bf16 in 20 layers", 550_000.0, 0.0)],
///     searched: 120_000,
///     certified: 9_000,
///     from_scratch: 2_020_000,
///     unchanged: Vec::new(),
/// };
/// assert!(tuned.table().contains("int4"));
/// assert!(tuned.svg()?.starts_with("<svg"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// The certified network's file.
    pub network: String,
    /// What a network costs, in words with the unit.
    pub cost: String,
    /// What its certificates are measured by, in words.
    pub measure: String,
    /// The least value that was asked for.
    pub constraint: Option<f64>,
    /// The certified network's own value over all inputs of the ledger, and its cost.
    pub original: (f64, f64),
    /// The inputs that were looked at.
    pub inputs: u64,
    /// Standard deviation of the noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// The inputs that are certified.
    pub certified_inputs: u64,
    /// Samples of an input, and the failure probability, of each of the original's certificates.
    pub n: u64,
    /// See [`n`](Self::n).
    pub original_alpha: f64,
    /// The failure probability of each certificate of a chosen network, divided among those that were chosen.
    pub alpha: f64,
    /// Evaluations of each chosen network, over all inputs.
    pub budget: u64,
    /// The networks, at least one, cheapest first.
    pub networks: Vec<Seen>,
    /// Evaluations on samples of the search, of all networks.
    pub searched: u64,
    /// Evaluations that the certificates rest on.
    pub certified: u64,
    /// Evaluations that certifying every network from scratch would take.
    pub from_scratch: u64,
    /// Networks that were asked for and are the certified one.
    pub unchanged: Vec<String>,
}

/// A network that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// What it is.
    pub name: String,
    /// What each layer of it became, by its name, as far as that is known; others are the original's.
    pub layers: BTreeMap<String, String>,
    /// What it costs.
    pub cost: f64,
    /// Samples of each input that it was compared on.
    pub samples: u64,
    /// What it was expected to lose.
    pub lost: Interval,
    /// Whether the search stopped looking at it before all samples, as another one is cheaper and loses less.
    pub stopped: bool,
    /// Its certificates, if it was one of those that were chosen.
    pub certified: Option<Certified>,
}

/// Certificates of a network that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certified {
    /// Its file.
    pub file: String,
    /// The value over all inputs of the ledger, rounded down where it is printed.
    pub value: f64,
    /// Evaluations of it.
    pub evaluations: u64,
    /// Whether the value is at least what was asked for.
    pub meets: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    tuned: &'a Tuned,
}

impl Tuned {
    /// The chosen network that costs least among those that have what was asked for.
    pub fn best(&self) -> Option<&Seen> {
        self.networks
            .iter()
            .filter(|seen| seen.certified.as_ref().is_some_and(|found| found.meets))
            .min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// What has to be known to read the figures.
    fn notes(&self) -> Vec<String> {
        let chosen = self
            .networks
            .iter()
            .filter(|seen| seen.certified.is_some())
            .count();
        let mut notes = Vec::new();
        match (self.constraint, self.best()) {
            (Some(least), Some(best)) => notes.push(format!(
                "{} has {} at least {}, at {} of the original's cost.",
                best.name,
                self.measure,
                four(least),
                percent(best.cost / self.original.1),
            )),
            (Some(least), None) => notes.push(format!(
                "No network that was chosen has {} of {} or more: certificates from more evaluations, or milder changes, may.",
                self.measure,
                four(least)
            )),
            (None, _) => {}
        }
        notes.push(format!(
            "Looked at: {}, on samples of {} that no certificate rests on. \"Expected to lose\" is an estimate, with \
             the range of 95 % of draws of as many inputs.",
            text::counted(self.networks.len() as u64, "network"),
            text::counted(self.inputs, "input"),
        ));
        if chosen > 0 {
            notes.push(format!(
                "Certified: the {chosen} that were chosen, named together to the ledger before any of them ran there, on {} \
                 at sigma {}, from {} evaluations each. Each certificate fails with probability {} at most, whichever of \
                 these {chosen} is taken by them; the original's, from {} samples of each input, with {}. Values are averages \
                 of certificates, and no bounds themselves. That holds for one search of a ledger: for another one, \
                 certify the original again with a fresh seed.",
                text::counted(self.certified_inputs, "input"),
                self.sigma,
                text::grouped(self.budget),
                self.alpha,
                text::grouped(self.n),
                self.original_alpha,
            ));
        }
        let spent = self.searched + self.certified;
        notes.push(format!(
            "Evaluations: {} of the search and {} of certificates; certifying each of these networks from scratch would \
             take {}, {:.1} times as many.",
            text::grouped(self.searched),
            text::grouped(self.certified),
            text::grouped(self.from_scratch),
            self.from_scratch as f64 / spent.max(1) as f64
        ));
        if !self.unchanged.is_empty() {
            notes.push(format!(
                "Not one weight would change: {}.",
                self.unchanged.join(", ")
            ));
        }
        notes
    }

    /// The heads and rows of tables.
    fn rows(&self) -> ([&'static str; 7], Vec<Vec<String>>) {
        let heads = [
            "network",
            "cost",
            "of the original",
            "samples",
            "expected to lose",
            "certified",
            "file",
        ];
        let row = |seen: &Seen| {
            let Interval {
                estimate,
                lower,
                upper,
            } = seen.lost;
            let stopped = if seen.stopped { ", stopped" } else { "" };
            let (value, file) = match &seen.certified {
                Some(found) => {
                    let mark = if found.meets && self.constraint.is_some() {
                        " *"
                    } else {
                        ""
                    };
                    (
                        format!("{}{mark}", four(found.value)),
                        printable(&found.file).into_owned(),
                    )
                }
                None => (text::NONE.to_owned(), text::NONE.to_owned()),
            };
            vec![
                printable(&seen.name).into_owned(),
                cost(seen.cost),
                percent(seen.cost / self.original.1),
                format!("{}{stopped}", text::grouped(seen.samples)),
                format!("{estimate:.4} ({lower:.4} to {upper:.4})"),
                value,
                file,
            ]
        };
        (heads, self.networks.iter().map(row).collect())
    }

    /// A line on the certified network, which all others are compared with.
    fn head(&self) -> String {
        format!(
            "{}: {} {}, cost {} ({})",
            printable(&self.network),
            self.measure,
            four(self.original.0),
            cost(self.original.1),
            self.cost
        )
    }

    /// Writes a table, a row a network, cheapest first.
    pub fn table(&self) -> String {
        let (heads, rows) = self.rows();
        let natural = Options {
            width: u16::MAX,
            ..Options::default()
        };
        let mut out = vec![self.head()];
        out.extend(lines(&heads, rows.into_iter(), &[0, 3, 4, 6], &natural));
        for note in self.notes() {
            out.extend(text::wrapped(&printable(&note), 80));
        }
        out.push(String::new());
        out.join("\n")
    }

    /// Writes a page in Markdown; `plot` is the file of [`Tuned::svg`] beside it.
    pub fn markdown(&self, plot: &str) -> String {
        let (heads, rows) = self.rows();
        let cells = |cells: Vec<String>| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut page = format!(
            "# Versions of {}\n\n{}\n\n",
            printable(&self.network),
            self.head()
        );
        page.push_str(&cells(heads.map(str::to_owned).into()));
        // Writing to a string cannot fail.
        writeln!(page, "|{}", "---|".repeat(heads.len())).ok();
        page.extend(rows.into_iter().map(cells));
        for note in self.notes() {
            write!(page, "\n{}\n", printable(&note)).ok();
        }
        for seen in &self.networks {
            let Some(found) = seen.certified.as_ref().filter(|_| !seen.layers.is_empty()) else {
                continue;
            };
            write!(
                page,
                "\n## {}\n\n| layer | becomes |\n|---|---|\n",
                printable(&found.file)
            )
            .ok();
            for (layer, change) in &seen.layers {
                page.push_str(&cells(vec![printable(layer).into_owned(), change.clone()]));
            }
        }
        write!(page, "\n![value against cost]({plot})\n").ok();
        page
    }

    /// Writes the JSON document.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::ErrorKind::Format) if it cannot be written.
    pub fn json(&self) -> Result<String, Error> {
        let document = Document {
            schema: SCHEMA,
            tuned: self,
        };
        serde_json::to_string_pretty(&document)
            .map(|text| text + "\n")
            .map_err(|e| Error::format("cannot write the search as JSON").with_source(e))
    }

    /// Draws value against cost as an SVG file that refers to no other: a dot a network, by what it was
    /// expected to have, and for those that were chosen by what is certified.
    ///
    /// # Errors
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) where there is no network.
    pub fn svg(&self) -> Result<String, Error> {
        if self.networks.is_empty() {
            return Err(Error::value("a search that looked at no network"));
        }
        let dots = self.networks.iter().map(|seen| plot::Version {
            name: printable(&seen.name).into_owned(),
            cost: seen.cost / self.original.1,
            value: match &seen.certified {
                Some(found) => found.value,
                None => (self.original.0 - seen.lost.estimate).max(0.0),
            },
            certified: seen.certified.is_some(),
        });
        let subtitle = format!(
            "{} against cost ({}, 100 % is the original); filled: certified, hollow: expected, by samples that no \
             certificate rests on",
            self.measure, self.cost
        );
        let title = format!("Versions of {}", printable(&self.network));
        let dots: Vec<_> = dots.collect();
        Ok(plot::versions(
            &dots,
            self.constraint,
            &self.measure,
            &title,
            &subtitle,
        ))
    }
}

/// A value, rounded down.
fn four(value: f64) -> String {
    format!("{:.4}", (value * 1e4).floor() / 1e4)
}

/// A cost: whole where it is large.
fn cost(cost: f64) -> String {
    if cost >= 100.0 {
        text::grouped(cost.round() as u64)
    } else {
        format!("{cost:.3e}")
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, cost: f64, certified: Option<(f64, bool)>) -> Seen {
        Seen {
            name: name.to_owned(),
            layers: [("conv".to_owned(), "int4".to_owned())].into(),
            cost,
            samples: 100,
            lost: Interval {
                estimate: 0.01,
                lower: 0.0,
                upper: 0.02,
            },
            stopped: certified.is_none(),
            certified: certified.map(|(value, meets)| Certified {
                file: format!("{name}.onnx"),
                value,
                evaluations: 10,
                meets,
            }),
        }
    }

    fn tuned(networks: Vec<Seen>) -> Tuned {
        Tuned {
            network: "a|b.onnx".to_owned(),
            cost: "bytes of weights".to_owned(),
            measure: "average radius".to_owned(),
            constraint: Some(0.39),
            original: (0.4, 1000.0),
            inputs: 10,
            sigma: 0.5,
            certified_inputs: 10,
            n: 1000,
            original_alpha: 0.001,
            alpha: 0.002,
            budget: 5000,
            networks,
            searched: 900,
            certified: 100,
            from_scratch: 20_000,
            unchanged: vec!["bf16".to_owned()],
        }
    }

    #[test]
    fn the_best_is_the_cheapest_that_has_what_was_asked_for() {
        let made = tuned(vec![
            seen("one", 100.0, Some((0.38, false))),
            seen("two", 200.0, Some((0.395, true))),
            seen("three", 300.0, Some((0.4, true))),
            seen("four", 250.0, None),
        ]);
        assert_eq!(made.best().unwrap().name, "two");
        let table = made.table();
        assert!(table.contains("20.0 times as many"), "{table}");
        assert!(
            table.contains("two has average radius at least 0.3900, at 20.0 %"),
            "{table}"
        );
        assert!(
            table.contains("0.3950 *") && table.contains("100, stopped"),
            "{table}"
        );
        let none = tuned(vec![seen("one", 100.0, Some((0.38, false)))]);
        assert!(
            none.best().is_none() && none.table().contains("No network"),
            "{}",
            none.table()
        );
    }

    #[test]
    fn values_are_rounded_down_and_pages_escaped() {
        let made = tuned(vec![seen("x<y>", 100.0, Some((0.39999, true)))]);
        assert!(made.table().contains("0.3999 *"));
        let page = made.markdown("tune.svg");
        assert!(
            page.contains("](tune.svg)") && page.contains("| conv | int4 |"),
            "{page}"
        );
        let svg = made.svg().unwrap();
        assert!(
            !svg.contains("<y>") && svg.matches("class=\"dot\"").count() == 1,
            "{svg}"
        );
        let json: serde_json::Value = serde_json::from_str(&made.json().unwrap()).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["networks"][0]["certified"]["value"], 0.39999);
        assert!(tuned(Vec::new()).svg().is_err());
    }
}
