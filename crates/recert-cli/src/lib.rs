//! The command line of recert, for the binary and for other programs that are to be it: arguments
//! are parsed into raw values (`args/`), made a job's configuration, run by `recert::job`, and
//! printed (`commands/`). stdout is data, stderr is progress and remarks.

mod args;
mod commands;
mod exit;
mod progress;
mod terminal;
mod verdicts;

use std::ffi::OsString;
use std::io::Write;

use recert::engine::Apart;

pub use args::FIRST_RUNS;

/// Runs a command line, of which the first word is the program's name, to its end, and returns the
/// exit code of the process.
///
/// It is the whole of a program: it prints, replaces the hook for panics, and takes over Ctrl-C
/// and termination signals of the process. `again` is how this very program is started again with
/// the word [`FIRST_RUNS`], so that engines that are libraries of others run a network first in a
/// process of their own; they run it in this one where there is none.
///
/// ```
/// assert_eq!(recert_cli::run(["recert", "samples", "--n", "1000", "--sigma", "0.5"], None), 0);
/// assert_eq!(recert_cli::run(["recert", "certify", "--sigma", "0.5"], None), 2);
/// ```
pub fn run<W: Into<OsString>>(words: impl IntoIterator<Item = W>, again: Option<Apart>) -> u8 {
    // A panic of an engine that first meets a network becomes an error, which is printed.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !recert::engine::returns_panics(std::thread::current().name()) {
            usual(panic);
        }
    }));
    args::start_again_by(again);
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let done = if words.get(1).is_some_and(|word| word == FIRST_RUNS) {
        commands::first_runs()
    } else {
        match args::Args::read(words) {
            Ok(args) => commands::run(&args),
            Err(error) => {
                // Where nobody reads any more, there is nobody to tell.
                let _ = error.print();
                return u8::try_from(error.exit_code()).unwrap_or(exit::Code::Usage as u8);
            }
        }
    };
    // Whoever called this may end the process without doing so.
    let _ = std::io::stdout().flush();
    match done {
        Ok(()) => exit::Code::Done as u8,
        Err(failure) => {
            terminal::remark(&failure.message);
            failure.code as u8
        }
    }
}
