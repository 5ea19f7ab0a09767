//! Bounds of whole networks: against exact arithmetic, enumeration, the reference interpreter,
//! and published counts.

mod bits;
mod exact;
mod features;
mod geometric;
mod layers;
mod made;
mod published;
mod refused;
mod resumed;
mod search;

fn main() -> std::process::ExitCode {
    recert_testing::main()
}
