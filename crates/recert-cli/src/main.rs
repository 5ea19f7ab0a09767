//! The binary `recert`: arguments are parsed into raw values (`args/`), made a
//! job's configuration, run by `recert::job`, and printed (`commands/`). stdout
//! is data, stderr is progress and remarks.

mod args;
mod commands;
mod exit;
mod progress;
mod terminal;
mod verdicts;

fn main() -> std::process::ExitCode {
    // A panic of an engine that first meets a network becomes an error, which is printed.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !recert::engine::returns_panics(std::thread::current().name()) {
            usual(panic);
        }
    }));
    let is_first_runs = std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == args::FIRST_RUNS);
    let done = if is_first_runs {
        commands::first_runs()
    } else {
        let args = args::Args::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
        commands::run(&args)
    };
    match done {
        Ok(()) => exit::Code::Done.into(),
        Err(failure) => {
            terminal::remark(&failure.message);
            failure.code.into()
        }
    }
}
