//! A running job on the terminal: the progress bar, the rows, the log.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{Event, Events, Job, Outcome, Pass, PassKind};
use recert::report::cohen::{self, CohenLog, LogRow};

use crate::args::RunArgs;
use crate::exit::{Failure, Result, with_flag};
use crate::terminal::{self, print};

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

/// Prints a row as each input is done, on stdout and to the log, and shows
/// progress on stderr.
pub(crate) struct Progress<'a> {
    bar: ProgressBar,
    quiet: bool,
    log: Option<CohenLog>,
    subject: Subject<'a>,
    pass: Option<Pass>,
    /// The rows so far of every network but the first, whose rows are printed
    /// as they come.
    waiting: Vec<Vec<LogRow>>,
    /// Work done before this run, which does not count for its speed.
    before: u64,
    started: Instant,
    done: u64,
    /// Rows so far of all networks, and those of them that are no abstentions.
    rows: usize,
    certified: usize,
    /// Samples of the rows that got no valid answer.
    invalid: u64,
    /// The first failure to write a row; the run is stopped for it.
    failure: Option<Failure>,
}

/// Runs a job to its end, with progress and rows.
pub(crate) fn run(job: Job<'_>, args: &RunArgs, subject: Subject<'_>) -> Result<()> {
    let mut progress = Progress::new(args, subject)?;
    terminal::watch_for_stop()?;
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
            quiet: args.quiet || !std::io::stderr().is_terminal(),
            log: args.log.as_deref().map(open_log).transpose()?,
            subject,
            pass: None,
            waiting: Vec::new(),
            before: 0,
            started: Instant::now(),
            done: 0,
            rows: 0,
            certified: 0,
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
        self.waiting = vec![Vec::new(); pass.networks - 1];
        (self.done, self.invalid, self.started) = (0, 0, Instant::now());
        (self.rows, self.certified) = (0, 0);
        if pass.rows.is_some() {
            self.name_rows(0);
            let written = print_header();
            self.failure = self.failure.take().or(written.err());
        }
    }

    fn started(&mut self, evaluations: u64, done: u64) {
        self.before = done;
        self.started = Instant::now();
        if self.quiet {
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
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let all = self.bar.length().unwrap_or(0);
        let left = all.saturating_sub(self.before + self.done);
        let left = Duration::from_secs_f64((left as f64 / rate.max(1e-9)).min(1e9));
        let left = indicatif::HumanDuration(left);
        self.bar.set_message(format!("{rate:.0}/s  {left} left"));
    }

    fn concluded(&mut self, networks: &[usize], row: LogRow) {
        self.rows += networks.len();
        if row.predict.is_some() {
            self.certified += networks.len();
        }
        for &network in networks {
            if network > 0 {
                self.waiting[network - 1].push(row);
            } else if self.failure.is_none() {
                let written = self.row(&row);
                self.keep(written);
            }
        }
    }

    /// Ends the bar, prints the tables that waited, and reports how it ended.
    fn pass_ended(&mut self, finished: bool) {
        self.bar.finish_and_clear();
        if self.failure.is_none() {
            let written = self.print_waiting();
            self.keep(written);
        }
        let summary = self.summary(finished);
        let seconds = self.started.elapsed().as_secs_f64();
        if self.done > 0 {
            eprintln!(
                "{summary}: {} evaluations in {seconds:.1} s, {:.0} a second",
                self.done,
                self.done as f64 / seconds.max(1e-9),
            );
        } else {
            eprintln!("{summary}: 0 evaluations");
        }
        if self.invalid > 0 {
            terminal::remark(&format!(
                "{} samples had NaN or infinite logits; each counts against the class",
                self.invalid,
            ));
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
        let inputs = format!("{} of {source}", terminal::count(pass.inputs, "input"));
        let networks = pass.networks;
        if !finished {
            return match networks {
                1 => format!("stopped before all {inputs} were {verb}"),
                _ => format!("stopped before all {inputs} were {verb} for {networks} networks"),
            };
        }
        let (certified, all) = (self.certified, pass.inputs * networks);
        let abstained = match self.rows - certified {
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

    /// Names on stderr what the rows of a network, which follow, are of, where that
    /// is not plain from the command line.
    fn name_rows(&self, network: usize) {
        let Some((pass, rows)) = self.pass.and_then(|pass| Some((pass, pass.rows?))) else {
            return;
        };
        let name = self.subject.networks.get(network);
        let name = name.filter(|_| pass.networks > 1);
        let name = name.map_or_else(String::new, |name| format!(" of {}", name.display()));
        let method = rows.method;
        let by = match (rows.samples, rows.budget) {
            _ if rows.among < 2 => String::new(),
            (Some(samples), _) => format!(" by {method} from {samples} samples per input"),
            (_, Some(budget)) => format!(" by {method} with budget {budget}"),
            _ => format!(" by {method}"),
        };
        if !(name.is_empty() && by.is_empty()) {
            self.bar
                .suspend(|| terminal::remark(&format!("rows{name}{by}")));
        }
    }

    fn print_waiting(&mut self) -> Result<()> {
        for (i, rows) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if !rows.is_empty() {
                self.name_rows(i + 1);
                print_header()?;
            }
            for row in &rows {
                self.row(row)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &LogRow) -> Result<()> {
        let line = format!("{}\n", row.to_line(CohenLog::DIGITS));
        self.bar.suspend(|| print(&line))?;
        if let Some(log) = &mut self.log {
            log.append(row)?;
        }
        Ok(())
    }
}

/// Prints the names of the columns.
fn print_header() -> Result<()> {
    print(&format!("{}\n", cohen::HEADER))
}

impl Events for Progress<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) => terminal::remark(&with_flag(&remark, remark.field())),
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
