//! One self-contained HTML page: tables, plots, every input, and how it was made.
//!
//! The page refers to nothing outside itself, and its content security policy
//! forbids it to: it can be mailed, archived and opened offline. It follows the
//! reader's light or dark mode, prints, and needs its few lines of script only
//! for sorting the tables.

mod figures;
mod inputs;
mod tables;

use std::fmt::Write;

use crate::error::Error;
use crate::model::Report;
use crate::plot::Look;
use crate::series::Series;
use crate::summary::Summary;
use crate::text;

/// How [`render`] writes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Radii at which certified accuracy is shown; `None` for
    /// [`default_radii`](crate::default_radii) of the largest radius.
    pub radii: Option<Vec<f64>>,
    /// The most inputs a run that the page lists one by one; the page says how
    /// many it leaves out. All figures and plots are of all inputs.
    pub listed_inputs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            radii: None,
            listed_inputs: 10_000,
        }
    }
}

/// The most lines in a plot of one line a run; beyond that, a series of runs
/// that differ in their number of samples shows the one with most.
const LINES: usize = 8;

/// What the parts of the page draw on.
struct Page<'a> {
    summary: Summary<'a>,
    series: Vec<Series>,
    /// The look of each run.
    looks: Vec<Look>,
    /// The runs that plots of one line a run show.
    drawn: Vec<usize>,
    options: &'a Options,
    out: String,
}

/// Writes a report as one HTML page, which refers to no other file.
///
/// All texts of the report are escaped. Certified accuracies, radii and lower
/// bounds are rounded down, disagreement bounds up. Fails if the report does
/// not pass [`Report::check`].
pub fn render(report: &Report, options: &Options) -> Result<String, Error> {
    report.check()?;
    let series = Series::all(report);
    let all_drawn = report.runs.len() <= LINES;
    let mut looks = vec![Look::new(0, 0, false); report.runs.len()];
    for (number, one) in series.iter().enumerate() {
        for (rank, run) in one.runs.iter().enumerate() {
            // The runs of a series share a colour; dashes tell them apart where
            // they meet in one plot.
            looks[*run] = Look::new(number, if all_drawn { rank } else { 0 }, one.recertified);
        }
    }
    let drawn = if all_drawn {
        (0..report.runs.len()).collect()
    } else {
        series.iter().map(Series::best).collect()
    };
    let mut page = Page {
        summary: Summary::new(report, options.radii.as_deref()),
        series,
        looks,
        drawn,
        options,
        out: String::new(),
    };
    page.head();
    page.tables();
    page.figures();
    page.inputs();
    page.foot();
    Ok(page.out)
}

impl Page<'_> {
    fn push(&mut self, html: &str) {
        self.out.push_str(html);
    }

    fn head(&mut self) {
        let report = self.summary.report;
        let title = escape(&report.title);
        let _ = write!(
            self.out,
            concat!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
                "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                "<meta name=\"color-scheme\" content=\"light dark\">\n",
                "<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n",
                "<header>\n<p class=\"eyebrow\">Robustness certificates by randomized smoothing</p>\n",
                "<h1>{title}</h1>\n<p class=\"muted\">{generated}</p>\n"
            ),
            title = title,
            style = include_str!("html/style.css"),
            generated = escape(&report.generated),
        );
        self.overview();
        self.push("</header>\n");
        if report.runs.is_empty() {
            self.push("<p>There is no run to report.</p>\n");
        }
    }

    /// What was certified, and what the certificates mean.
    fn overview(&mut self) {
        let summary = &self.summary;
        let runs = &summary.report.runs;
        let groups = [
            ("Inputs", summary.grouped_by(|run| summary.data(run))),
            ("Networks", summary.grouped_by(|run| summary.network(run))),
            (
                "Noise",
                summary.grouped_by(|run| {
                    format!("Gaussian, \u{3c3} = {}", text::short(runs[run].sigma))
                }),
            ),
        ];
        let mut html = String::from("<dl class=\"facts\">\n");
        for (name, words) in groups.iter().filter(|(_, words)| !words.is_empty()) {
            let _ = write!(html, "<div><dt>{name}</dt>");
            for (runs, words) in words {
                let _ = write!(html, "<dd>{}", breakable(words));
                self.which(runs, &mut html);
                html.push_str("</dd>");
            }
            html.push_str("</div>\n");
        }
        html.push_str("</dl>\n");
        let statements = summary.grouped_by(|run| runs[run].statement.clone());
        if !statements.is_empty() {
            html.push_str("<section class=\"statement\">\n<h2>What the certificates say</h2>\n");
            for (runs, words) in &statements {
                let _ = write!(html, "<p>{}", escape(words));
                self.which(runs, &mut html);
                html.push_str("</p>\n");
            }
            html.push_str("</section>\n");
        }
        self.out.push_str(&html);
    }

    /// Names the runs that something is true of, unless these are all.
    fn which(&self, runs: &[usize], html: &mut String) {
        if runs.len() < self.summary.report.runs.len() {
            let _ = write!(html, " <span class=\"which\">{}</span>", text::runs(runs));
        }
    }

    /// The run's number in its colour, as the plots show it.
    fn badge(&self, run: usize) -> String {
        format!(
            "<span class=\"badge {} {}\">{}</span>",
            self.looks[run].classes(),
            if self.is_recertified(run) {
                "square"
            } else {
                "round"
            },
            run + 1
        )
    }

    fn is_recertified(&self, run: usize) -> bool {
        !self.summary.report.runs[run].method.is_from_scratch()
    }

    fn foot(&mut self) {
        let notes: Vec<String> = self
            .summary
            .warnings()
            .into_iter()
            .chain(self.summary.report.notes.iter().cloned())
            .collect();
        if !notes.is_empty() {
            self.push("<section>\n<h2>Notes</h2>\n<ul class=\"notes\">\n");
            for note in notes {
                let _ = writeln!(self.out, "<li>{}</li>", escape(&note));
            }
            self.push("</ul>\n</section>\n");
        }
        self.push("<footer>\n");
        self.provenance();
        self.push(include_str!("html/reading.html"));
        self.push("</footer>\n</main>\n<script>\n");
        self.push(include_str!("html/sort.js"));
        self.push("</script>\n</body>\n</html>\n");
    }
}

/// Makes a text safe within HTML and within quoted attributes: the characters
/// that have a meaning there become entities, and those that control a terminal
/// or reorder text are replaced.
pub(crate) fn escape(text: &str) -> String {
    let text = text::printable(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// [`escape`], with leave to break lines within long names: after `/` and `_`.
fn breakable(text: &str) -> String {
    escape(text).replace('/', "/<wbr>").replace('_', "_<wbr>")
}
