//! Engines, on the same networks and images. One program, so that it is linked once.

mod choices;
mod engines;
mod held;
mod kinds;
mod rten;
mod sharing;
mod support;

fn main() -> std::process::ExitCode {
    recert_testing::main()
}
