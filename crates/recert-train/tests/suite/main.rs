//! Networks to and from ONNX, and whole trainings.

mod device;
mod networks;
mod training;

fn main() -> std::process::ExitCode {
    recert_testing::main()
}
