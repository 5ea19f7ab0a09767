//! A running job on the terminal: the progress bar, the rows, the log.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{Event, Events, Job, Outcome, Pass, PassKind, Shard};
use recert::num::format_down;
use recert::report::cohen::{self, CohenLog, LogRow};

use crate::args::RunArgs;
use crate::exit::{Failure, Result, with_flag};
use crate::terminal::{self, count, print};

/// What a job is run on, as the command line names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Where inputs come from: of certifying, and of recertifying.
    pub(crate) data: &'a str,
    pub(crate) ledger: &'a Path,
    /// The networks that rows are of.
    pub(crate) networks: &'a [PathBuf],
    /// The faster network that is certified through.
    pub(crate) via: Option<&'a Path>,
}

/// What there is to see of a job, beside what goes to its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Show {
    /// Remarks and summaries, on stderr.
    words: bool,
    /// The progress bar.
    bar: bool,
    /// Rows, on stdout, and what to do next.
    rows: bool,
}

/// What the rows of a network add up to.
#[derive(Debug, Clone, Default)]
struct Tally {
    rows: usize,
    certified: usize,
    labelled: usize,
    /// The radii of the rows that count: of certificates, and of the right class where
    /// there is a label.
    radii: Vec<f64>,
    /// The sum of all radii, of right and of wrong classes.
    of_any_class: f64,
}

impl Tally {
    fn add(&mut self, row: &LogRow) {
        self.rows += 1;
        self.certified += usize::from(row.predict.is_some());
        self.labelled += usize::from(row.label.is_some());
        self.of_any_class += row.predict.map_or(0.0, |_| row.radius);
        if row.predict.is_some() && (row.label.is_none() || row.label == row.predict) {
            self.radii.push(row.radius);
        }
    }

    /// The average radius, and the share of rows with at least three radii. Where the run had a
    /// target, in units of sigma, the average that it is one of comes first.
    fn line(&self, sigma: f64, target: Option<f64>) -> String {
        let all = self.rows.max(1);
        let share = |radius: f64| {
            let reach = self.radii.iter().filter(|r| **r >= radius).count();
            // Thousandths, rounded down exactly.
            let share = 1000 * reach / all;
            format!("{}.{:03} at radius {radius}", share / 1000, share % 1000)
        };
        let shares = [0.0, sigma, 2.0 * sigma].map(share).join(", ");
        let mean = format_down(self.radii.iter().sum::<f64>() / all as f64, 3);
        // With a few labels missing, no figure would be what it is called.
        if self.labelled == self.rows {
            let aimed_at = target.map(|target| {
                let reached = format_down(self.of_any_class / all as f64, 3);
                // From a product with sigma: digits beyond these are rounding.
                let target = (target * sigma * 1e6).round() / 1e6;
                format!("average radius of any class {reached}, of which {target} was the target; ")
            });
            format!(
                "{}average certified radius {mean}; certified accuracy {shares}",
                aimed_at.unwrap_or_default()
            )
        } else {
            format!("average radius, whatever the labels, {mean}; share certified {shares}")
        }
    }
}

/// Prints a row as each input is done, on stdout and to the log, and shows
/// progress on stderr.
pub(crate) struct Progress<'a> {
    bar: ProgressBar,
    show: Show,
    log: Option<CohenLog>,
    subject: Subject<'a>,
    pass: Option<Pass>,
    /// The part of the inputs that is run, where it is not all.
    shard: Option<Shard>,
    /// What the rows so far add up to, for each network.
    tallies: Vec<Tally>,
    /// When the pass began.
    begun: Instant,
    done: u64,
    /// Whether the ledger had evaluations that the pass would otherwise have made.
    reused: bool,
    /// Samples of the rows that got no valid answer.
    invalid: u64,
    /// The first failure to write a row; the run is stopped for it.
    failure: Option<Failure>,
}

/// Runs a job to its end, with progress and rows.
pub(crate) fn run(mut job: Job<'_>, args: &RunArgs, subject: Subject<'_>) -> Result<()> {
    let mut progress = Progress::new(args, subject)?;
    terminal::watch_for_stop()?;
    if progress.show.words {
        for look in job.first_look()? {
            terminal::remark(&look.to_string());
            if let Some(remark) = look.remark() {
                progress.event(Event::Remark(remark));
            }
        }
    }
    let outcome = job.run(&mut progress);
    let outcome = match (outcome, progress.failure) {
        // That a row could not be written is why the run was stopped.
        (Ok(_), Some(failure)) => return Err(failure),
        (outcome, _) => outcome?,
    };
    match outcome {
        Outcome::Finished => Ok(()),
        Outcome::Stopped => Err(Failure::interrupted()),
    }
}

/// Opens a log, which a ledger is not.
fn open_log(path: &Path) -> Result<CohenLog> {
    terminal::check_place("--log", path, &[])?;
    Ok(CohenLog::open(path)?)
}

impl<'a> Progress<'a> {
    fn new(args: &RunArgs, subject: Subject<'a>) -> Result<Self> {
        Ok(Self {
            bar: ProgressBar::hidden(),
            show: Show {
                words: !args.quiet,
                bar: !args.quiet && std::io::stderr().is_terminal(),
                rows: !args.summary_only,
            },
            log: args.log.as_deref().map(open_log).transpose()?,
            subject,
            pass: None,
            shard: args.workers.config().shard.filter(|shard| shard.of() > 1),
            tallies: Vec::new(),
            begun: Instant::now(),
            done: 0,
            reused: false,
            invalid: 0,
            failure: None,
        })
    }

    /// Keeps the first failure to write.
    fn keep(&mut self, written: Result<()>) {
        if let (Err(mut failure), None) = (written, &self.failure) {
            let row = "writing a row failed; the ledger is complete up to it";
            failure.message = format!("{row}: {}", failure.message);
            self.failure = Some(failure);
        }
    }

    fn pass_started(&mut self, pass: Pass) {
        self.pass = Some(pass);
        self.tallies = vec![Tally::default(); pass.networks];
        (self.done, self.invalid, self.begun) = (0, 0, Instant::now());
        self.reused = false;
        if pass.rows.is_some() && self.show.rows {
            self.name_rows();
            let network = if pass.networks > 1 { "\tnetwork" } else { "" };
            let written = print(&format!("{}{network}\n", cohen::HEADER));
            self.failure = self.failure.take().or(written.err());
        }
    }

    fn started(&mut self, evaluations: u64, done: u64) {
        self.reused |= done > self.done;
        if !self.show.bar {
            return;
        }
        let style = "{bar:32} {percent:>3}%  {human_pos} of {human_len} evaluations  {msg}";
        self.bar = ProgressBar::with_draw_target(Some(evaluations), ProgressDrawTarget::stderr())
            .with_style(ProgressStyle::with_template(style).expect("the template is constant"))
            .with_position(done);
        self.bar.enable_steady_tick(Duration::from_millis(500));
    }

    fn evaluated(&mut self, evaluations: u64) {
        self.done += evaluations;
        self.bar.inc(evaluations);
        // The bar's own estimate counts what the ledger held as work done just
        // now; the speed of this run is what the rest will take.
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let all = self.bar.length().unwrap_or(0);
        let left = all.saturating_sub(self.bar.position());
        let left = Duration::from_secs_f64((left as f64 / rate.max(1e-9)).min(1e9));
        let left = indicatif::HumanDuration(left);
        self.bar.set_message(format!("{rate:.0}/s  {left} left"));
    }

    fn concluded(&mut self, networks: &[usize], row: LogRow) {
        for &network in networks {
            self.tallies[network].add(&row);
            if self.failure.is_none() {
                let written = self.row(network, &row);
                self.keep(written);
            }
        }
    }

    /// Ends the bar, and reports how it ended and what comes next.
    fn pass_ended(&mut self, finished: bool) {
        self.bar.finish_and_clear();
        if !self.show.words {
            return;
        }
        let summary = self.summary(finished);
        let seconds = self.begun.elapsed().as_secs_f64();
        // What a run took is not what its certificates rest on, where these share samples.
        let kind = if self.reused {
            "new evaluation"
        } else {
            "evaluation"
        };
        let evaluations = count(self.done, kind);
        if self.done > 0 {
            let rate = self.done as f64 / seconds.max(1e-9);
            terminal::say!("{summary}: {evaluations} in {seconds:.1} s, {rate:.0} a second");
        } else {
            terminal::say!("{summary}: {evaluations}");
        }
        if self.invalid > 0 {
            terminal::remark(&format!(
                "{} had NaN or infinite logits; each counts against the class",
                count(self.invalid, "sample"),
            ));
        }
        let Some(pass) = self.pass.filter(|pass| finished && pass.rows.is_some()) else {
            return;
        };
        if pass.kind != PassKind::Predict {
            for (tally, network) in self.tallies.iter().zip(self.subject.networks) {
                let name = if pass.networks > 1 {
                    format!("{}: ", network.display())
                } else {
                    String::new()
                };
                let target = pass.rows.and_then(|rows| rows.target);
                terminal::say!("{name}{}", tally.line(pass.sigma, target));
            }
        }
        if let Some(next) = self.next(pass).filter(|_| self.show.rows) {
            terminal::say!("next: {next}");
        }
    }

    /// The command to go on with.
    fn next(&self, pass: Pass) -> Option<String> {
        let ledger = self.subject.ledger.display();
        if let Some(shard) = self.shard {
            let others = count(shard.of() - 1, "other shard");
            return Some(format!(
                "when the {others} are done: recert merge RUN.recert {ledger} .."
            ));
        }
        match (pass.kind, self.subject.via) {
            (PassKind::Certify, None) => Some(format!(
                "recert recertify {ledger} --model MODIFIED.onnx --budget 5%"
            )),
            (PassKind::Certify | PassKind::Recertify, _) => Some(format!(
                "recert report {ledger} --html {}",
                self.subject.ledger.with_extension("html").display()
            )),
            _ => None,
        }
    }

    fn summary(&self, finished: bool) -> String {
        let Some(pass) = self.pass else {
            return String::new();
        };
        let Subject {
            data, ledger, via, ..
        } = self.subject;
        let (verb, source) = match (pass.kind, via) {
            (PassKind::Predict, _) => ("predicted".to_owned(), data.to_owned()),
            (PassKind::Recertify, None) => ("recertified".to_owned(), ledger.display().to_string()),
            (_, Some(via)) if pass.rows.is_some() => {
                let verb = format!("certified through {}", via.display());
                (verb, data.to_owned())
            }
            (_, Some(via)) => (format!("answered by {}", via.display()), data.to_owned()),
            (_, None) => ("certified".to_owned(), data.to_owned()),
        };
        let inputs = format!("{} of {source}", count(pass.inputs, "input"));
        let networks = pass.networks;
        if !finished {
            return match networks {
                1 => format!("stopped before all {inputs} were {verb}"),
                _ => format!("stopped before all {inputs} were {verb} for {networks} networks"),
            };
        }
        let certified: usize = self.tallies.iter().map(|tally| tally.certified).sum();
        let rows: usize = self.tallies.iter().map(|tally| tally.rows).sum();
        let all = pass.inputs * networks;
        let abstained = match rows - certified {
            0 => String::new(),
            abstained => format!(", {abstained} abstained"),
        };
        match networks {
            _ if pass.rows.is_none() => format!("{inputs} {verb}"),
            1 => format!("{certified} of {inputs} {verb}{abstained}"),
            _ => {
                format!("{certified} of {all} {verb} ({inputs} for {networks} networks){abstained}")
            }
        }
    }

    /// States on stderr what the rows, which follow, are of, where that is not plain
    /// from the command line.
    fn name_rows(&self) {
        let Some(rows) = self.pass.and_then(|pass| pass.rows) else {
            return;
        };
        let method = rows.method;
        let by = match (rows.samples, rows.budget) {
            _ if rows.among < 2 => return,
            (Some(samples), _) => format!("by {method} from {samples} samples per input"),
            (_, Some(budget)) => format!("by {method} with budget {budget}"),
            _ => format!("by {method}"),
        };
        if self.show.words {
            self.bar.suspend(|| terminal::remark(&format!("rows {by}")));
        }
    }

    fn row(&mut self, network: usize, row: &LogRow) -> Result<()> {
        if self.show.rows {
            let mut line = row.to_line(CohenLog::DIGITS);
            if let (2.., Some(name)) = (self.tallies.len(), self.subject.networks.get(network)) {
                line = format!("{line}\t{}", name.display());
            }
            self.bar.suspend(|| print(&format!("{line}\n")))?;
        }
        if let Some(log) = &mut self.log {
            log.append(row)?;
        }
        Ok(())
    }
}

impl Events for Progress<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) if self.show.words => {
                terminal::remark(&with_flag(&remark, remark.field()));
            }
            Event::PassStarted(pass) => self.pass_started(pass),
            Event::Started { evaluations, done } => self.started(evaluations, done),
            Event::Evaluated { evaluations } => self.evaluated(evaluations),
            Event::Concluded {
                networks,
                input,
                row: Some(certificate),
                invalid,
                ..
            } => {
                self.invalid += invalid;
                let row = LogRow {
                    idx: input.idx,
                    label: input.label,
                    predict: certificate.class.map(u32::from),
                    radius: certificate.radius,
                    seconds: certificate.micros as f64 / 1e6,
                };
                self.concluded(networks, row);
            }
            Event::PassEnded { finished } => self.pass_ended(finished),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.failure.is_some() || terminal::stopped()
    }
}
