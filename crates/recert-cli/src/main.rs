//! The binary `recert`.

use recert::engine::Apart;

fn main() -> std::process::ExitCode {
    // Not where the system does not report this program's file.
    let program = std::env::current_exe().ok();
    let again = program.map(|program| Apart::new(program, [recert_cli::FIRST_RUNS]));
    recert_cli::run(std::env::args_os(), again).into()
}
