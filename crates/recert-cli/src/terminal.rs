//! What goes to the terminal and to files, and Ctrl-C.

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use recert::job::{Epsilon, Norm};
use recert::output;

use crate::exit::{Code, Failure, Result, usage};

/// Writes a line to stderr. Unlike `eprintln!` it does not panic where nobody reads any
/// more: what is said there is not what the command is for.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(crate) use say;

/// Set by the first Ctrl-C; the second one ends the process.
static STOP: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C was pressed, or a termination signal came.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Watches for Ctrl-C and termination signals from here on.
pub(crate) fn watch_for_stop() -> Result<()> {
    static WATCHING: OnceLock<Result<(), String>> = OnceLock::new();
    let watching = WATCHING.get_or_init(|| {
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(Code::Interrupted as i32);
            }
            say!("\nrecert: stopping; finishing what is in flight (again: at once)");
        })
        .map_err(|error| error.to_string())
    });
    watching.clone().map_err(|error| {
        let message = format!("watching for Ctrl-C failed: {error}");
        Failure::new(Code::Other, message)
    })
}

/// Writes to stdout. Unlike `println!` it fails, and does not panic, where
/// stdout is a full disk or a pipe that nobody reads any more.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|why| Failure::output("to standard output", why))
}

/// A number of things, such as `1 input` and `2 inputs`.
pub(crate) fn count<N>(number: N, name: &str) -> String
where
    N: Copy + PartialEq + From<u8> + std::fmt::Display,
{
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {name}{plural}")
}

/// Prints a line to stderr, after the program's name.
pub(crate) fn remark(text: &str) {
    say!("recert: {text}");
}

/// Warns of a distance in L-inf that holds every image there is: one in the wrong unit.
pub(crate) fn warn_of_distance(norm: Norm, epsilon: &Epsilon) {
    if norm == Norm::Linf && epsilon.down() > 1.0 {
        remark(&format!(
            "eps is {epsilon} in units of pixels in [0, 1], which holds every image: one given for \
             pixels up to 255 has to be divided by 255, as in 8/255 (see --eps)"
        ));
    }
}

/// Fails if the file of text that `flag` names is one of `inputs`, a ledger, or there and no text.
pub(crate) fn check_place(flag: &str, file: &Path, inputs: &[(&Path, &str)]) -> Result<()> {
    output::check_text_place(file, inputs).or_else(|error| usage(format!("{flag}: {error}")))
}

/// Writes a file, whole or not at all.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    output::write(file, text.as_bytes())?;
    say!("wrote {}", file.display());
    Ok(())
}
