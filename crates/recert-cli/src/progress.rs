//! A running job on the terminal: the progress bar, the rows, the log.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{Event, Events, Job, Pass, PassKind};
use recert::report::cohen::{self, CohenLog, LogRow};
use recert::smooth::Outcome;

use crate::args::RunArgs;
use crate::exit::{Failure, Result, with_flag};
use crate::terminal::{self, print};

/// Prints a row as each input is done, on stdout and to the log, and shows
/// progress on stderr.
pub(crate) struct Progress<'a> {
    bar: ProgressBar,
    quiet: bool,
    log: Option<CohenLog>,
    /// Where inputs come from: of certifying, and of recertifying.
    sources: (&'a str, &'a Path),
    pass: Option<Pass>,
    /// The rows so far of every network but the first, whose rows are printed
    /// as they come.
    waiting: Vec<Vec<LogRow>>,
    /// Work done before this run, which does not count for its speed.
    before: u64,
    started: Instant,
    done: u64,
    /// Samples of the rows that got no valid answer.
    invalid: u64,
    /// The first failure to write a row; the run is stopped for it.
    failure: Option<Failure>,
}

/// Runs a job to its end, with progress and rows. `data` and `ledger` name where
/// the inputs come from that are certified, and recertified.
pub(crate) fn run(job: Job<'_>, args: &RunArgs, data: &str, ledger: &Path) -> Result<()> {
    let mut progress = Progress::new(args, (data, ledger))?;
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
    fn new(args: &RunArgs, sources: (&'a str, &'a Path)) -> Result<Self> {
        Ok(Self {
            bar: ProgressBar::hidden(),
            quiet: args.quiet || !std::io::stderr().is_terminal(),
            log: args.log.as_deref().map(open_log).transpose()?,
            sources,
            pass: None,
            waiting: Vec::new(),
            before: 0,
            started: Instant::now(),
            done: 0,
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
        if pass.rows {
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
        let (data, ledger) = self.sources;
        let (verb, source) = match pass.kind {
            PassKind::Predict => ("predicted", data.to_owned()),
            PassKind::Recertify => ("recertified", ledger.display().to_string()),
            _ => ("certified", data.to_owned()),
        };
        let mut inputs = format!("{} inputs of {source}", pass.inputs);
        if pass.networks > 1 {
            inputs = format!("{inputs} for {} networks", pass.networks);
        }
        if finished {
            format!("{verb} {inputs}")
        } else {
            format!("stopped before all {inputs} were {verb}")
        }
    }

    fn print_waiting(&mut self) -> Result<()> {
        for rows in std::mem::take(&mut self.waiting) {
            if !rows.is_empty() {
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
