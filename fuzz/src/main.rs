//! The targets without a fuzzer: random networks and damaged files by seeds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use recert_fuzz::compare::Outcome;
use recert_fuzz::draw::{Draw, bytes_of};
use recert_fuzz::engines::{PLAIN, installed};
use recert_fuzz::mutate::{self, Kind};
use recert_fuzz::network::model_of;
use recert_fuzz::shrink::shrink;
use recert_fuzz::sound::sound;
use recert_fuzz::table::{Row, markdown};
use recert_fuzz::worker::{Findings, Subject, Worker, work};
use recert_graph::proto::onnx::NodeProto;

const USAGE: &str =
    "fuzz compare FIRST COUNT RESULTS   networks of seeds in every engine; those that
                                   differ are written beside the results
fuzz check SUBJECT..               the outcome of files and seeds in every engine
fuzz shrink SUBJECT ENGINE FILE    a small network with the same outcome
fuzz unsteady SUBJECT ENGINE FILE  a small network whose answers are not the same in every process
fuzz write SEED FILE               the network of a seed
fuzz table RESULTS..               results counted, in Markdown
fuzz mutate FIRST COUNT            damaged files in every parser
fuzz smoke                         50 networks and 400 damaged files, for CI";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["worker", ..] => work(&arguments[1..]).map(|()| true),
        ["compare", first, count, results] => {
            compare(first.parse()?, count.parse()?, Path::new(results))
        }
        ["check", ref subjects @ ..] if !subjects.is_empty() => check(subjects),
        ["shrink", what, engine, to] => smaller(&subject(what), engine, Path::new(to)),
        ["unsteady", what, engine, to] => unsteady(&subject(what), engine, Path::new(to)),
        ["write", seed, to] => {
            let model = Subject::Seed(seed.parse()?).model()?;
            fs::write(to, model.bytes())?;
            Ok(true)
        }
        ["table", ref files @ ..] if !files.is_empty() => table(files),
        ["mutate", first, count] => damaged(first.parse()?, count.parse()?),
        ["mutate-one", seed] => mutated(seed.parse()?).map(|()| true),
        ["smoke"] => smoke(),
        _ => bail!("{USAGE}"),
    }
}

fn subject(text: &str) -> Subject {
    text.parse()
        .map_or_else(|_| Subject::File(PathBuf::from(text)), Subject::Seed)
}

/// Workers for all engines, and for the second opinion.
fn workers() -> (Worker, Option<Worker>) {
    let engines = installed();
    let plain = engines.contains(&"onnxruntime");
    (Worker::new(&engines), plain.then(|| Worker::new(&[PLAIN])))
}

/// What both find, at the same time.
fn findings(workers: &mut (Worker, Option<Worker>), subject: &Subject) -> Result<Findings> {
    let (all, plain) = workers;
    std::thread::scope(|scope| {
        let second = scope.spawn(|| plain.as_mut().map(|worker| worker.findings(subject)));
        let mut made = all.findings(subject)?;
        if let Ok(Some(second)) = second.join() {
            made.outcomes.extend(second?.outcomes);
        }
        Ok(made)
    })
}

fn compare(first: u64, count: u64, results: &Path) -> Result<bool> {
    let mut out = BufWriter::new(File::create(results).context("the results cannot be written")?);
    let folder = results.with_extension("networks");
    fs::create_dir_all(&folder)?;
    let mut workers = workers();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let begun = Instant::now();
    for seed in first..first + count {
        let subject = Subject::Seed(seed);
        let made = findings(&mut workers, &subject)?;
        if let Some(why) = &made.unknown {
            writeln!(out, "seed {seed}\treference\t\trefused\t{why}")?;
            *counts.entry("reference refuses".to_owned()).or_default() += 1;
        }
        for (engine, outcome) in &made.outcomes {
            let row = Row {
                subject: format!("seed {seed}"),
                engine: engine.clone(),
                operators: made.operators.clone(),
                outcome: outcome.clone(),
            };
            writeln!(out, "{}", row.line())?;
            let key = format!("{engine} {}", outcome.word());
            *counts.entry(key).or_default() += 1;
            if !outcome.is_fine() {
                let name = format!("{seed}_{engine}_{}.onnx", outcome.word());
                fs::write(folder.join(name), subject.model()?.bytes())?;
            }
        }
        out.flush()?;
    }
    let seconds = begun.elapsed().as_secs();
    println!("{count} networks in {seconds} s, from seed {first}:");
    for (what, count) in &counts {
        println!("  {what}: {count}");
    }
    let fine = ["agrees", "refused", "refuses"];
    let is_fine = |what: &String| fine.iter().any(|word| what.ends_with(word));
    Ok(counts.keys().all(is_fine))
}

fn check(subjects: &[&str]) -> Result<bool> {
    let mut workers = workers();
    let mut fine = true;
    for text in subjects {
        let made = findings(&mut workers, &subject(text))?;
        if let Some(why) = made.unknown {
            println!("{text}\treference\trefused\t{why}");
        }
        for (engine, outcome) in made.outcomes {
            fine &= outcome.is_fine();
            println!("{text}\t{engine}\t{outcome}");
        }
    }
    Ok(fine)
}

/// What becomes of a network in one engine.
fn outcome(worker: &mut Worker, subject: &Subject) -> Option<Outcome> {
    let made = worker.findings(subject).ok()?;
    made.outcomes.into_iter().next().map(|(_, outcome)| outcome)
}

fn smaller(subject: &Subject, engine: &str, to: &Path) -> Result<bool> {
    let mut worker = Worker::new(&[engine]);
    let first = outcome(&mut worker, subject).context("the reference does not take it")?;
    if first.is_fine() {
        bail!("there is nothing to be found: {first}");
    }
    let shows = |file: &Subject| {
        outcome(&mut worker, file).is_some_and(|found| found.word() == first.word())
    };
    write_smallest(subject, to, shows)?;
    println!("{first}");
    Ok(true)
}

/// How many processes are asked whether they answer alike.
const PROCESSES: usize = 10;

fn unsteady(subject: &Subject, engine: &str, to: &Path) -> Result<bool> {
    let shows = |file: &Subject| {
        let Some(first) = outcome(&mut Worker::new(&[engine]), file) else {
            return false;
        };
        (1..PROCESSES)
            .any(|_| outcome(&mut Worker::new(&[engine]), file).is_some_and(|other| other != first))
    };
    write_smallest(subject, to, shows)?;
    Ok(true)
}

/// Writes the smallest network that still shows it, and prints its operators.
fn write_smallest(
    subject: &Subject,
    to: &Path,
    mut shows: impl FnMut(&Subject) -> bool,
) -> Result<()> {
    let proto = subject.model()?.proto_to_rewrite()?;
    let trial = tempfile::NamedTempFile::with_suffix(".onnx")?;
    let path = Subject::File(trial.path().to_owned());
    let small = shrink(proto, |proto| {
        let written = model_of("smaller", proto)
            .is_ok_and(|model| fs::write(trial.path(), model.bytes()).is_ok());
        written && shows(&path)
    });
    fs::write(to, model_of("smaller", &small)?.bytes())?;
    let nodes = small.graph.map_or(Vec::new(), |graph| graph.node);
    let names: Vec<&str> = nodes.iter().map(NodeProto::op_type).collect();
    println!("{}: {}", to.display(), names.join(" "));
    Ok(())
}

fn table(files: &[&str]) -> Result<bool> {
    let mut rows = Vec::new();
    for file in files {
        rows.extend(fs::read_to_string(file)?.lines().filter_map(Row::parse));
    }
    print!("{}", markdown(&rows));
    Ok(true)
}

/// Reads one damaged file, drawn from a seed.
fn mutated(seed: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    read_damaged(seed, folder.path())
}

fn read_damaged(seed: u64, folder: &Path) -> Result<()> {
    let bytes = bytes_of(seed);
    let mut draw = Draw::new(&bytes);
    // Networks are of many forms: a quarter of the files.
    let which = draw.below(Kind::ALL.len() + 4);
    let kind = Kind::ALL.get(which).copied().unwrap_or(Kind::Network);
    let mut file = sound(kind, seed / 7, folder)?;
    mutate::damage(&mut file, &mut draw);
    mutate::read(kind, &file, folder).map(|_| ())
}

fn damaged(first: u64, count: u64) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut found = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for seed in first..first + count {
        let read = || read_damaged(seed, folder.path());
        match std::panic::catch_unwind(read) {
            Ok(result) => result?,
            Err(panic) => {
                found += 1;
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                println!("seed {seed} panicked: {}", text.unwrap_or_default());
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} damaged files in {seconds:.1} s, from seed {first}: {found} panics");
    Ok(found == 0)
}

/// A few of everything. Networks that an engine is known to compute wrongly are findings
/// that stand in the README; what fails here is a panic, a death, or a built-in engine or
/// the reference that differs.
fn smoke() -> Result<bool> {
    let mut workers = workers();
    let mut fine = true;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..50 {
        let made = findings(&mut workers, &Subject::Seed(seed))?;
        for (engine, outcome) in made.outcomes {
            *counts
                .entry(format!("{engine} {}", outcome.word()))
                .or_default() += 1;
            let ours = ["direct", "rten", PLAIN, "reference"].contains(&engine.as_str());
            if !outcome.is_fine() && (ours || !matches!(outcome, Outcome::Differs(_))) {
                // Libraries of others may end their process, one time and not another.
                println!("seed {seed}: {engine}: {outcome}");
                fine &= !ours;
            }
        }
    }
    for (what, count) in &counts {
        println!("  {what}: {count}");
    }
    Ok(damaged(0, 400)? && fine)
}
