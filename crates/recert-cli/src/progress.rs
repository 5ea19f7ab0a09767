//! The progress bar, the rows, and Ctrl-C.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::ledger::{Certificate, Input, NetworkId};
use recert::report::cohen::{self, CohenLog, LogRow};
use recert::smooth::Observer;

use crate::exit::Failure;
use crate::output;

/// Set by the first Ctrl-C; the second one ends the process.
static STOP: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C and termination signals from here on.
pub(crate) fn watch_for_stop() -> Result<()> {
    static WATCHING: OnceLock<Result<(), String>> = OnceLock::new();
    WATCHING
        .get_or_init(|| {
            ctrlc::set_handler(|| {
                if STOP.swap(true, Ordering::SeqCst) {
                    std::process::exit(super::exit::Code::Interrupted as i32);
                }
                eprintln!("\nrecert: stopping; finishing what is in flight (again: at once)");
            })
            .map_err(|error| error.to_string())
        })
        .clone()
        .map_err(anyhow::Error::msg)
        .context("watching for Ctrl-C failed")
}

/// Writes to stdout. Unlike `println!` it fails, and does not panic, where
/// stdout is a full disk or a pipe that nobody reads any more.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|why| Failure::output("to standard output", why).into())
}

/// What is said where a row could not be written.
const ROW_FAILED: &str = "writing a row failed; the ledger is complete up to it";

/// Prints a row as each input is done, on stdout and to the log, and shows
/// progress on stderr.
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    log: Option<CohenLog>,
    /// The network whose rows are printed as they come; `None` for all.
    first: Option<NetworkId>,
    /// The others, and their rows so far.
    waiting: Vec<(NetworkId, Vec<LogRow>)>,
    /// The method whose certificate makes an input's row.
    method: &'static str,
    /// Work done before this run, which says nothing about its speed.
    before: u64,
    started: Instant,
    done: u64,
    /// Samples of the rows that got no valid answer.
    invalid: u64,
    /// The first failure to write a row; the run is stopped for it.
    failure: Option<anyhow::Error>,
}

/// Opens a log, which a ledger is not.
fn open_log(path: &Path) -> Result<CohenLog> {
    output::check_place("--log", path, &[])?;
    Ok(CohenLog::open(path)?)
}

impl Progress {
    /// The name of no method: for a run that is a means to another.
    pub(crate) const NO_ROWS: &'static str = "";

    /// `method` is the one whose certificates make the rows.
    pub(crate) fn new(log: Option<&Path>, method: &'static str, quiet: bool) -> Result<Self> {
        Ok(Self {
            bar: ProgressBar::hidden(),
            quiet: quiet || !std::io::stderr().is_terminal(),
            log: log.map(open_log).transpose()?,
            first: None,
            waiting: Vec::new(),
            method,
            before: 0,
            started: Instant::now(),
            done: 0,
            invalid: 0,
            failure: None,
        })
    }

    /// Makes a table of each of `networks`, in this order, if there are several:
    /// rows of the first are printed as they come, those of the others once
    /// that table is whole.
    pub(crate) fn tables(&mut self, networks: &[NetworkId]) {
        self.first = networks.first().copied();
        let others = networks.iter().skip(1);
        self.waiting = others.map(|&network| (network, Vec::new())).collect();
    }

    /// Prints the names of the columns, if there will be rows.
    pub(crate) fn header(&self) -> Result<()> {
        if self.method == Self::NO_ROWS {
            return Ok(());
        }
        print(&format!("{}\n", cohen::HEADER))
    }

    /// Ends the bar, prints the tables that waited, and says how `what` ended;
    /// fails if a row could not be written.
    pub(crate) fn finish(mut self, what: &str) -> Result<()> {
        self.bar.finish_and_clear();
        if self.failure.is_none()
            && let Err(error) = self.print_waiting()
        {
            self.failure = Some(error.context(ROW_FAILED));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        if self.done > 0 {
            eprintln!(
                "{what}: {} evaluations in {seconds:.1} s, {:.0} a second",
                self.done,
                self.done as f64 / seconds.max(1e-9),
            );
        } else {
            eprintln!("{what}: 0 evaluations");
        }
        if self.invalid > 0 {
            eprintln!(
                "recert: {} samples had NaN or infinite logits; each counts against the class",
                self.invalid,
            );
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn print_waiting(&mut self) -> Result<()> {
        for (_, rows) in std::mem::take(&mut self.waiting) {
            if !rows.is_empty() {
                self.header()?;
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

impl Observer for Progress {
    fn start(&mut self, evaluations: u64, done: u64) {
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
        let left = self
            .bar
            .length()
            .unwrap_or(0)
            .saturating_sub(self.before + self.done);
        let left = Duration::from_secs_f64((left as f64 / rate.max(1e-9)).min(1e9));
        self.bar.set_message(format!(
            "{rate:.0}/s  {} left",
            indicatif::HumanDuration(left)
        ));
    }

    fn concluded(&mut self, network: NetworkId, input: &Input, certificates: &[Certificate]) {
        let of_method = certificates
            .iter()
            .filter(|c| c.claim.method() == self.method);
        // With several counts of samples, the row is that of the largest.
        let Some(certificate) = of_method.max_by_key(|c| c.claim.samples) else {
            return;
        };
        self.invalid += certificate.evidence.invalid();
        let row = LogRow {
            idx: input.idx,
            label: input.label,
            predict: certificate.class.map(u32::from),
            radius: certificate.radius,
            seconds: certificate.micros as f64 / 1e6,
        };
        let waiting = self.waiting.iter_mut().filter(|(of, _)| *of == network);
        waiting.for_each(|(_, rows)| rows.push(row));
        if self.failure.is_none()
            && self.first.is_none_or(|first| first == network)
            && let Err(error) = self.row(&row)
        {
            self.failure = Some(error.context(ROW_FAILED));
        }
    }

    fn stop(&self) -> bool {
        self.failure.is_some() || STOP.load(Ordering::SeqCst)
    }
}
