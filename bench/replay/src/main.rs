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
  recert-replay run OUT.tsv [REPLICATES [ledger|log[/H]]]
                                            replays data/*.tsv, ../shared/logs
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
        ["run", out] => replay::run(&root(), Path::new(out), (REPLICATES, ""))?,
        ["run", out, replicates] => {
            replay::run(&root(), Path::new(out), (replicates.parse()?, ""))?;
        }
        ["run", out, replicates, only] => {
            replay::run(&root(), Path::new(out), (replicates.parse()?, only))?;
        }
        ["summary", results] => print!("{}", summary::tables(&std::fs::read_to_string(results)?)?),
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// The folder of this program's sources, which its data lie beside.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
