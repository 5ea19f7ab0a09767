//! Replays certificates of approximated networks from recorded rates: how many
//! evaluations each method needs for its average certified radius.

mod counts;
mod draw;
mod law;
mod logs;
mod methods;
mod replay;
mod samples;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use counts::{Counts, Error};

const USAGE: &str = "usage:
  recert-replay extract LEDGER TABLE.tsv    counts of a ledger, by code
  recert-replay run OUT.tsv [REPLICATES [all|ledger|log[/H] [THREADS]]]
                                            replays data/*.tsv, ../shared/logs
  recert-replay rounds OUT.tsv [..]         the same, auto in one round and in two alone
  recert-replay gains ROUNDS.tsv            what the second round gains
  recert-replay summary RESULTS.tsv         the tables of README.md";

/// Replicates of recorded inputs.
const REPLICATES: u64 = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to replay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Error> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["extract", ledger, table] => {
            let counts = Counts::extract(Path::new(ledger), 1000)?;
            std::fs::write(table, counts.to_text())?;
        }
        [what @ ("run" | "rounds"), out, ref settings @ ..] if settings.len() <= 3 => {
            let replicates = settings
                .first()
                .map_or(Ok(REPLICATES), |text| text.parse())?;
            let only = settings.get(1).copied().filter(|&only| only != "all");
            let threads = settings.get(2).map_or(Ok(2), |text| text.parse())?;
            let replicates = (replicates, only.unwrap_or(""));
            replay::run(
                &root(),
                Path::new(out),
                replicates,
                threads,
                what == "rounds",
            )?;
        }
        ["summary", results] => print!("{}", summary::tables(&std::fs::read_to_string(results)?)?),
        ["gains", results] => print!("{}", summary::gains(&std::fs::read_to_string(results)?)?),
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// The folder of this program's sources, which its data lie beside.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
