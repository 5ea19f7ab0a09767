//! The page's tables a run: certified accuracy, cost, and how it was made.

use std::fmt::Write;

use super::{Page, breakable, escape};
use crate::model::{Method, Run};
use crate::summary::NONE;
use crate::text;

impl Page<'_> {
    /// Certified accuracy at the radii, and what it cost.
    pub(super) fn tables(&mut self) {
        if self.summary.report.runs.is_empty() {
            return;
        }
        let (labelled, unlabelled) = self.summary.by_labels();
        if !labelled.is_empty() {
            self.accuracy_table(
                "Certified accuracy",
                "Share of all inputs, in per cent, that are certified for their label with at \
                 least this L2 radius. An abstention counts as wrong. Rounded down.",
                "ACR",
                &labelled,
            );
        }
        if !unlabelled.is_empty() {
            self.accuracy_table(
                "Certified share",
                "These inputs have no labels: share of all inputs, in per cent, that are \
                 certified for any class with at least this L2 radius. Rounded down.",
                "mean radius",
                &unlabelled,
            );
        }
        self.cost_table();
    }

    fn accuracy_table(&mut self, title: &str, words: &str, mean: &str, runs: &[usize]) {
        let mut heads = vec![
            Head::words("run"),
            Head::words("method"),
            Head::number("samples"),
            Head::number("\u{3c3}"),
        ];
        heads.extend(self.summary.radius_heads().iter().map(|r| Head::number(r)));
        heads.push(Head::number(mean));
        let mut body = String::new();
        let mut network = None;
        for &run in runs {
            // The network stands once above the runs that share it.
            let own = self.summary.network(run);
            if network.as_ref() != Some(&own) {
                let _ = writeln!(
                    body,
                    "<tr class=\"group\"><th colspan=\"{}\" scope=\"rowgroup\">{}</th></tr>",
                    heads.len(),
                    escape(&own)
                );
                network = Some(own);
            }
            let _ = write!(body, "<tr><td>{}</td>", self.badge(run));
            word(&mut body, &self.summary.method(run));
            number(&mut body, "", &self.summary.samples(run));
            number(
                &mut body,
                "",
                &text::short(self.summary.report.runs[run].sigma),
            );
            for share in self.summary.shares(run) {
                let class = if share == "0.0" { "nothing" } else { "" };
                number(&mut body, class, &share);
            }
            number(&mut body, "main", &self.summary.metrics[run].quality_text());
            body.push_str("</tr>\n");
        }
        self.section(title, words, &heads, &body);
    }

    fn cost_table(&mut self) {
        let summary = &self.summary;
        let all = || 0..summary.report.runs.len();
        let disagreements = all().any(|run| {
            summary.disagreement(run).is_some() || summary.disagreement_rate(run).is_some()
        });
        let speed_ups = summary.speed_ups.iter().any(Option::is_some);
        let bounds = all().any(|run| summary.bounds(run).is_some());
        let mut heads = vec![
            Head::words("run"),
            Head::number("abstained"),
            Head::number("evaluations"),
            Head::number("time"),
        ];
        if disagreements {
            heads.push(Head::number("disagreement"));
            heads.push(Head::number("\u{3b6}, mean bound"));
        }
        if speed_ups {
            heads.push(Head::number("speed-up"));
            heads.push(Head::number("in time"));
            heads.push(Head::number("of the curve"));
        }
        if bounds {
            heads.push(Head::words("certified by"));
        }
        let mut body = String::new();
        for run in all() {
            let metrics = &summary.metrics[run];
            let _ = write!(body, "<tr><td>{}</td>", self.badge(run));
            number(&mut body, "", &summary.abstained(run));
            number(&mut body, "", &text::grouped(metrics.evaluations));
            number(&mut body, "", &text::duration(metrics.seconds));
            let or_none = |cell: Option<String>| cell.unwrap_or_else(|| NONE.to_owned());
            if disagreements {
                number(&mut body, "", &or_none(summary.disagreement_rate(run)));
                number(&mut body, "", &or_none(summary.disagreement(run)));
            }
            if speed_ups {
                let [point, time, curve] = summary
                    .speed_up(run)
                    .unwrap_or_else(|| [NONE; 3].map(str::to_owned));
                number(&mut body, "main", &point);
                number(&mut body, "", &time);
                number(&mut body, "", &curve);
            }
            if bounds {
                word(&mut body, &or_none(summary.bounds(run)));
            }
            body.push_str("</tr>\n");
        }
        let words = if speed_ups {
            "Speed-up: what certifying from scratch costs, in evaluations, for the same average \
             radius, over what the run cost."
        } else {
            "Network evaluations and time of all inputs together."
        };
        self.section("Cost", words, &heads, &body);
    }

    /// Networks, engines and parameters, for repeating the runs.
    pub(super) fn provenance(&mut self) {
        let heads = [
            Head::words("run"),
            Head::words("method"),
            Head::words("parameters"),
        ];
        let mut body = String::new();
        let mut group = String::new();
        for (index, run) in self.summary.report.runs.iter().enumerate() {
            let own = group_row(run, heads.len());
            if own != group {
                body.push_str(&own);
                group = own;
            }
            let _ = write!(body, "<tr><td>{}</td>", self.badge(index));
            word(&mut body, &self.summary.method(index));
            let mut parameters = vec![
                ("n".to_owned(), text::grouped(run.n)),
                ("n0".to_owned(), text::grouped(run.n0)),
                ("\u{3c3}".to_owned(), text::short(run.sigma)),
                ("\u{3b1}".to_owned(), text::short(run.alpha)),
            ];
            if let Method::Recertify {
                gamma: Some(gamma), ..
            } = run.method
            {
                parameters.push(("\u{3b3}".to_owned(), text::short(gamma)));
            }
            parameters.extend(run.parameters.iter().map(|(k, v)| (k.clone(), v.clone())));
            body.push_str("<td class=\"parameters\">");
            for (name, value) in parameters {
                let _ = write!(
                    body,
                    "<span><i>{}</i> {}</span> ",
                    escape(&name),
                    escape(&value)
                );
            }
            body.push_str("</td></tr>\n");
        }
        if !body.is_empty() {
            self.section("How it was made", "", &heads, &body);
        }
    }

    fn section(&mut self, title: &str, words: &str, heads: &[Head], body: &str) {
        let _ = writeln!(self.out, "<section>\n<h2>{title}</h2>");
        if !words.is_empty() {
            let _ = writeln!(self.out, "<p class=\"muted\">{words}</p>");
        }
        self.push("<div class=\"scroll\"><table>\n<thead><tr>");
        for head in heads {
            let _ = write!(
                self.out,
                "<th scope=\"col\"{}>{}</th>",
                if head.number { " class=\"n\"" } else { "" },
                escape(&head.text)
            );
        }
        let _ = writeln!(
            self.out,
            "</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n</section>"
        );
    }
}

/// The row above the runs of one network in one engine: names and hash.
fn group_row(run: &Run, columns: usize) -> String {
    let mut row = format!(
        "<tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\">{}",
        breakable(&run.network)
    );
    let arithmetic = run.arithmetic.as_deref();
    let engine: Vec<&str> = [run.engine.as_str()]
        .into_iter()
        .chain(arithmetic)
        .filter(|words| !words.is_empty())
        .collect();
    if !engine.is_empty() {
        let _ = write!(
            row,
            "<span class=\"engine\">{}</span>",
            escape(&engine.join("; "))
        );
    }
    if !run.network_sha256.is_empty() {
        let _ = write!(row, "<code>sha256 {}</code>", escape(&run.network_sha256));
    }
    row.push_str("</th></tr>\n");
    row
}

/// A column's head.
struct Head {
    text: String,
    number: bool,
}

impl Head {
    fn words(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: false,
        }
    }

    fn number(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: true,
        }
    }
}

fn word(body: &mut String, text: &str) {
    let _ = write!(body, "<td class=\"word\">{}</td>", escape(text));
}

fn number(body: &mut String, class: &str, text: &str) {
    let class = if text == NONE { "nothing" } else { class };
    let space = if class.is_empty() { "" } else { " " };
    let _ = write!(body, "<td class=\"n{space}{class}\">{}</td>", escape(text));
}
