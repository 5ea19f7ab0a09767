//! The binary `recert`: arguments are parsed into raw values (`args.rs`),
//! validated into a configuration (`config.rs`), run (`commands/`), and
//! reported. stdout is data, stderr is progress and remarks.

mod args;
mod commands;
mod config;
mod exit;
mod output;
mod progress;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let args = args::Args::parse();
    match commands::run(&args) {
        Ok(()) => exit::Code::Done.into(),
        Err(error) => {
            eprintln!("recert: {}", exit::message(&error));
            exit::Code::of(&error).into()
        }
    }
}
