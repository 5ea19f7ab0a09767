//! Comparing in a process of its own, whose death is an outcome.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use recert_graph::Model;

use crate::compare::{Case, Outcome};
use crate::draw::bytes_of;
use crate::engines::PLAIN;
use crate::network::{model_of, network};

/// What begins every line that a worker writes; engines print what they like.
const MARK: &str = "@@ ";
/// How long one network may take in one engine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A network to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The one that a seed stands for.
    Seed(u64),
    /// A file.
    File(PathBuf),
}

impl Subject {
    fn read(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("seed", seed) => Some(Self::Seed(seed.parse().ok()?)),
            ("file", path) => Some(Self::File(path.into())),
            _ => None,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Seed(seed) => format!("seed {seed}"),
            Self::File(path) => format!("file {}", path.display()),
        }
    }

    /// The network.
    ///
    /// # Errors
    /// Where there is no such file, or it is no network.
    pub fn model(&self) -> Result<Model> {
        Ok(match self {
            Self::Seed(seed) => model_of(&format!("seed {seed}"), &network(&bytes_of(*seed)))?,
            Self::File(path) => Model::read(path)?,
        })
    }
}

/// Compares what the lines of the standard input name, in these engines, until it ends.
///
/// # Errors
/// Where it cannot be read or written.
pub fn work(engines: &[String]) -> Result<()> {
    // Panics are outcomes, whose texts are read.
    std::panic::set_hook(Box::new(|_| {}));
    let mut output = std::io::stdout();
    let mut say = |text: String| -> Result<()> {
        writeln!(output, "\n{MARK}{text}")?;
        Ok(output.flush()?)
    };
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let subject = Subject::read(&line).with_context(|| format!("what is '{line}'?"))?;
        let case = subject.model().and_then(Case::new);
        match case {
            Ok(case) => {
                let mut operators: Vec<&str> = case.reference.operators().collect();
                operators.sort_unstable();
                operators.dedup();
                say(format!("operators\t{}", operators.join(" ")))?;
                for engine in engines {
                    say(format!("begin\t{engine}"))?;
                    let outcome = case.outcome(engine);
                    say(format!("outcome\t{engine}\t{outcome}"))?;
                }
            }
            Err(error) => {
                let why = format!("{error:#}").replace(['\n', '\t'], " ");
                say(format!("unknown\t{why}"))?;
            }
        }
        say("done".to_owned())?;
    }
    Ok(())
}

/// What is known of a network.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Its operators.
    pub operators: Vec<String>,
    /// Why the reference does not take it.
    pub unknown: Option<String>,
    /// What became of it in each engine.
    pub outcomes: Vec<(String, Outcome)>,
}

/// A process that compares.
pub struct Worker {
    engines: Vec<String>,
    running: Option<(Child, ChildStdin, Receiver<String>)>,
}

impl Worker {
    /// For these engines; [`PLAIN`] has to be alone.
    pub fn new(engines: &[&str]) -> Self {
        Self {
            engines: engines.iter().map(|&name| name.to_owned()).collect(),
            running: None,
        }
    }

    fn start(&self) -> Result<(Child, ChildStdin, Receiver<String>)> {
        let mut command = Command::new(program()?);
        command.arg("worker").args(&self.engines);
        if self.engines.iter().any(|name| name == PLAIN)
            && let Some(entry) = recert_engine::engines::entry("onnxruntime")
            && let Ok(found) = entry.find()
            && let Some(path) = found.path
        {
            command.env("RECERT_FUZZ_ORT", path);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix(MARK)
                    && sender.send(line.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Ok((child, input, receiver))
    }

    /// Compares one network.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn findings(&mut self, subject: &Subject) -> Result<Findings> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let mut findings = Findings::default();
        let mut begun: Option<String> = None;
        let _ = writeln!(running.1, "{}", subject.line());
        let _ = running.1.flush();
        loop {
            let why = match running.2.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if line == "done" {
                        self.running = Some(running);
                        return Ok(findings);
                    }
                    let (word, rest) = line.split_once('\t').unwrap_or((&line, ""));
                    match word {
                        "operators" => {
                            findings.operators = rest.split(' ').map(str::to_owned).collect();
                        }
                        "unknown" => findings.unknown = Some(rest.to_owned()),
                        "begin" => begun = Some(rest.to_owned()),
                        "outcome" => {
                            if let Some((engine, text)) = rest.split_once('\t')
                                && let Some(outcome) = Outcome::parse(text)
                            {
                                findings.outcomes.push((engine.to_owned(), outcome));
                                begun = None;
                            }
                        }
                        _ => {}
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = running.0.kill();
                    let _ = running.0.wait();
                    format!("no answer within {} s", PATIENCE.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => format!("{}", running.0.wait()?),
            };
            let engine = begun.unwrap_or_else(|| "reference".to_owned());
            findings.outcomes.push((engine.clone(), Outcome::Died(why)));
            // The engines after it have not been asked.
            let place = self.engines.iter().position(|name| *name == engine);
            let rest: Vec<&str> = match place {
                Some(place) => self.engines[place + 1..]
                    .iter()
                    .map(String::as_str)
                    .collect(),
                None => Vec::new(),
            };
            if !rest.is_empty() {
                let more = Self::new(&rest).findings(subject)?;
                findings.outcomes.extend(more.outcomes);
            }
            return Ok(findings);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((mut child, input, _)) = self.running.take() {
            drop(input);
            let _ = child.wait();
        }
    }
}

/// This program; in a test, the one that was built beside it.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without a folder")?;
    if folder.ends_with("deps") {
        let beside = folder.parent().unwrap_or(Path::new(".")).join("fuzz");
        return Ok(beside);
    }
    Ok(own)
}
