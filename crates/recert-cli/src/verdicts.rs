//! A running verification on the terminal: the progress bar, the rows, the log, the files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{
    Event, Events, Input, Outcome, Saved, Verdict, Verification, VerificationResult, VerifyPass,
};
use recert::ledger::Specification;
use recert::num::format_down;
use recert::{Result as JobResult, output};
use serde_json::{Value, json};

use crate::args::Verify;
use crate::exit::{Failure, Result, usage, with_flag};
use crate::terminal::{self, print};

/// The schema of `--json`.
const SCHEMA: &str = "recert-verify/1";

/// The first line of rows and logs.
const HEADER: &str = "input\tlabel\tanswer\tverdict\tmargin\tby\ttime";

/// Decimals of a margin, which is rounded down.
const DIGITS: usize = 6;

/// Shows what a verification finds.
pub(crate) struct Verdicts<'a> {
    args: &'a Verify,
    bar: ProgressBar,
    log: Option<Log>,
    counts: BTreeMap<Verdict, usize>,
    /// Images that the network answers wrongly, which are among the falsified.
    wrong: usize,
    /// Inputs or files that there are to be results on.
    tasks: usize,
    words: String,
    begun: Instant,
    headed: bool,
    /// Channels, height and width of counterexamples.
    shape: [usize; 3],
    failure: Option<Failure>,
    /// What the new results cost beside the original's.
    saved: Option<Saved>,
}

impl<'a> Verdicts<'a> {
    pub(crate) fn new(args: &'a Verify) -> Result<Self> {
        if let Some(folder) = &args.counterexamples {
            let made = fs::create_dir_all(folder);
            made.map_err(|why| Failure::output(folder.display(), why))?;
        }
        Ok(Self {
            args,
            bar: ProgressBar::hidden(),
            log: args.log.as_deref().map(Log::open).transpose()?,
            counts: BTreeMap::new(),
            wrong: 0,
            tasks: 0,
            words: String::new(),
            begun: Instant::now(),
            headed: false,
            shape: [0; 3],
            failure: None,
            saved: None,
        })
    }

    /// Ends the run: what went wrong, or the summary.
    pub(crate) fn end(mut self, outcome: JobResult<Outcome>) -> Result<()> {
        self.bar.finish_and_clear();
        let outcome = match (outcome, self.failure.take()) {
            // That a row could not be written is why the run was stopped.
            (Ok(_), Some(failure)) => return Err(failure),
            (outcome, _) => outcome?,
        };
        if self.args.json {
            let count = |verdict| self.count(verdict);
            let sums = json!({"summary": {
                "finished": outcome == Outcome::Finished,
                "inputs": self.tasks,
                "verified": count(Verdict::Verified),
                "falsified": count(Verdict::Falsified),
                "unknown": count(Verdict::Unknown),
                "answered_wrongly": self.wrong,
                "seconds": self.begun.elapsed().as_secs_f64(),
            }});
            let mut sums = sums;
            if let Some(saved) = &self.saved {
                sums["summary"]["from"] = json!({
                    "inputs": saved.inputs,
                    "transferred": saved.transferred,
                    "rows": saved.rows,
                    "seconds": saved.time.as_secs_f64(),
                    "original_seconds": saved.original_time.as_secs_f64(),
                });
            }
            print(&format!("{sums}\n"))?;
        }
        if !self.args.quiet {
            terminal::say!("{}", self.summary(outcome));
            if let Some(saved) = self.saved.filter(|saved| saved.inputs > 0) {
                terminal::say!("{}", cost(&saved));
            }
        }
        match outcome {
            Outcome::Finished => Ok(()),
            Outcome::Stopped if self.args.ledger.is_some() || self.args.from.is_some() => {
                Err(Failure::interrupted())
            }
            Outcome::Stopped => Err(Failure::interrupted_without_ledger()),
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    fn summary(&self, outcome: Outcome) -> String {
        let known: usize = self.counts.values().sum();
        let stopped = match outcome {
            Outcome::Finished => String::new(),
            Outcome::Stopped => format!("stopped after {known} of {}: ", self.tasks),
        };
        let wrong = match self.wrong {
            0 => String::new(),
            wrong => format!(" ({wrong} of them answered wrongly as they are)"),
        };
        let (of, seconds) = (&self.words, self.begun.elapsed().as_secs_f64());
        format!(
            "{stopped}{of}: {} verified, {} falsified{wrong}, {} unknown, in {seconds:.1} s",
            self.count(Verdict::Verified),
            self.count(Verdict::Falsified),
            self.count(Verdict::Unknown),
        )
    }

    fn started(&mut self, pass: &VerifyPass<'_>) {
        self.tasks += pass.tasks;
        self.shape = pass.shape;
        let Verification {
            specification,
            method,
            ..
        } = pass.verification;
        let things = if self.args.vnnlib.is_some() {
            "file"
        } else {
            "input"
        };
        self.words = match (&self.args.data, self.args.vnnlib.as_ref()) {
            (Some(data), None) => format!(
                "{} of {data} at {specification} by {method}",
                terminal::count(self.tasks, things)
            ),
            (None, None) => format!(
                "{} of the ledger at {specification} by {method}",
                terminal::count(self.tasks, things)
            ),
            _ => format!("{} by {method}", terminal::count(self.tasks, things)),
        };
        if !self.args.quiet && std::io::stderr().is_terminal() {
            let style = "{bar:32} {percent:>3}%  {human_pos} of {human_len}  {msg}";
            let length = Some(pass.tasks as u64);
            self.bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
                .with_style(ProgressStyle::with_template(style).expect("the template is constant"));
            self.bar.enable_steady_tick(Duration::from_millis(500));
        }
        let written = if self.args.json {
            let head = json!({
                "schema": SCHEMA,
                "network": pass.network.file,
                "network_sha256": recert::ledger::hex(&pass.network.sha256),
                "engine": pass.network.engine.to_string(),
                "preprocessing": pass.network.preprocess,
                "method": method,
                "specification": specification.to_string(),
                "statement": pass.verification.statement,
                "inputs": pass.tasks,
            });
            print(&format!("{head}\n"))
        } else if self.headed {
            Ok(())
        } else {
            self.headed = true;
            print(&format!("{HEADER}\n"))
        };
        self.keep(written);
    }

    fn verified(
        &mut self,
        verification: &Verification,
        input: Option<&Input>,
        result: &VerificationResult,
    ) {
        *self.counts.entry(result.verdict).or_default() += 1;
        let wrong = result.verdict == Verdict::Falsified && result.decided_by == "answer";
        self.wrong += usize::from(wrong);
        self.bar.inc(1);
        let verified = self.count(Verdict::Verified);
        self.bar.set_message(format!("{verified} verified"));
        if self.failure.is_none() {
            let written = self.write(verification, input, result);
            self.keep(written);
        }
    }

    fn write(
        &mut self,
        verification: &Verification,
        input: Option<&Input>,
        result: &VerificationResult,
    ) -> Result<()> {
        let name = match input {
            Some(input) => input.idx.to_string(),
            None => file_of(verification),
        };
        let label = input.and_then(|input| input.label);
        let line = row(&name, label, result);
        let shown = if self.args.json {
            object(&name, label, verification, result).to_string()
        } else {
            line.clone()
        };
        self.bar.suspend(|| print(&format!("{shown}\n")))?;
        if let Some(log) = &mut self.log {
            log.append(&name, &line)?;
        }
        if let (Some(folder), Some(pixels)) = (&self.args.counterexamples, &result.counterexample) {
            let file = folder.join(format!("{}.npy", name.trim_end_matches(".gz")));
            let [channels, height, width] = self.shape;
            let bytes = output::npy(&[1, channels, height, width], pixels);
            output::write(&file, &bytes)?;
        }
        Ok(())
    }

    /// Keeps the first failure to write.
    fn keep(&mut self, written: Result<()>) {
        if let (Err(mut failure), None) = (written, &self.failure) {
            let row = "writing a row failed";
            failure.message = format!("{row}: {}", failure.message);
            self.failure = Some(failure);
        }
    }
}

impl Events for Verdicts<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) if !self.args.quiet => {
                terminal::remark(&with_flag(&remark, remark.field()));
            }
            Event::VerifyStarted(pass) => self.started(&pass),
            Event::Verified {
                verification,
                input,
                result,
            } => self.verified(verification, input, result),
            Event::Saved(saved) => self.saved = Some(saved),
            Event::VerifyEnded { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        self.failure.is_some() || terminal::stopped()
    }
}

/// The file that a verification is of.
fn file_of(verification: &Verification) -> String {
    let words = verification.specification.to_string();
    words.trim_start_matches("vnnlib ").to_owned()
}

/// What results cost beside those that they were begun from.
fn cost(saved: &Saved) -> String {
    format!(
        "of {}, {} decided by a transfer of bounds, with {} carried backward through the network; \
         {:.3} s of work, where the original's results took {:.3} s",
        terminal::count(saved.inputs, "new result"),
        saved.transferred,
        terminal::count(saved.rows, "row"),
        saved.time.as_secs_f64(),
        saved.original_time.as_secs_f64(),
    )
}

/// A class, or a dash.
fn class(class: Option<u32>) -> String {
    class.map_or_else(|| "-".to_owned(), |class| class.to_string())
}

fn row(name: &str, label: Option<u32>, result: &VerificationResult) -> String {
    let margin = match result.margin {
        Some(margin) if margin.is_finite() => format_down(margin, DIGITS),
        _ => "-".to_owned(),
    };
    format!(
        "{name}\t{}\t{}\t{}\t{margin}\t{}\t{:.3}",
        class(label),
        class(result.answer.map(u32::from)),
        result.verdict,
        result.decided_by,
        result.micros as f64 / 1e6,
    )
}

fn object(
    name: &str,
    label: Option<u32>,
    verification: &Verification,
    result: &VerificationResult,
) -> Value {
    let mut object = json!({
        "label": label,
        "class": result.class,
        "answer": result.answer,
        "verdict": result.verdict.name(),
        "margin": result.margin.filter(|margin| margin.is_finite()),
        "by": result.decided_by,
        "branches": result.branches,
        "proof_bytes": result.proof.as_ref().map(Vec::len),
        "seconds": result.micros as f64 / 1e6,
    });
    if matches!(verification.specification, Specification::Transform { .. })
        && let Ok(Some(proof)) = result.decoded_transform_proof()
    {
        object["parameters"] = json!(proof.parameters);
        object["cells"] = json!(proof.parameters.is_none().then_some(proof.cells.len()));
    }
    if result.idx.is_some() {
        object["input"] = json!(result.idx);
    } else {
        object["file"] = json!(name);
        object["specification"] = json!(verification.specification.to_string());
    }
    object
}

/// A file of rows, continued where it ends.
struct Log {
    path: PathBuf,
    file: File,
    /// The verdict of each input in it.
    known: BTreeMap<String, String>,
}

impl Log {
    fn open(path: &Path) -> Result<Self> {
        terminal::check_place("--log", path, &[])?;
        let failed = |why: std::io::Error| Failure::output(path.display(), why);
        if path.exists() && !path.is_file() {
            return usage(format!("--log: {} is no file", path.display()));
        }
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(why) => return Err(failed(why)),
        };
        // A last line that was cut short is written again.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut lines = whole.lines();
        if !text.is_empty() && lines.next() != Some(HEADER) && !HEADER.starts_with(&text) {
            return usage(format!(
                "--log: {} is there and is no log of `recert verify`: choose another name",
                path.display()
            ));
        }
        let known = lines.filter_map(|line| {
            let mut fields = line.split('\t');
            Some((fields.next()?.to_owned(), fields.nth(2)?.to_owned()))
        });
        let known = known.collect();
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let mut file = options.open(path).map_err(failed)?;
        file.set_len(whole.len() as u64).map_err(failed)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
        if whole.is_empty() {
            writeln!(file, "{HEADER}").map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            known,
        })
    }

    fn append(&mut self, name: &str, line: &str) -> Result<()> {
        let verdict = line.split('\t').nth(3).unwrap_or_default();
        match self.known.get(name) {
            Some(known) if known == verdict => return Ok(()),
            Some(known) => {
                return usage(format!(
                    "--log: {} has input {name} as {known}, which is {verdict} now: it is of another \
                     run, so choose another name",
                    self.path.display()
                ));
            }
            None => {}
        }
        writeln!(self.file, "{line}").map_err(|why| Failure::output(self.path.display(), why))?;
        self.known.insert(name.to_owned(), verdict.to_owned());
        Ok(())
    }
}
