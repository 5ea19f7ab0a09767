//! The command on what a machine may lack: real networks and data, engines that are not
//! built in, the right to mount a file system.

mod cases;
#[expect(dead_code, reason = "these tests use a part of what the suite does")]
#[path = "../suite/common/mod.rs"]
mod common;
mod disk;
mod engines;
mod formats;
mod places;
mod transform;

fn main() -> std::process::ExitCode {
    recert_testing::main()
}
