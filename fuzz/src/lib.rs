//! Random networks in every engine against the reference interpreter, and damaged files in
//! every parser.
//!
//! Everything is a function of bytes: those of a seed (`cargo run -- compare`), or those
//! of libFuzzer (`fuzz_targets/`). `README.md` has the findings.

#[cfg(feature = "engines")]
pub mod compare;
pub mod draw;
#[cfg(feature = "engines")]
pub mod engines;
pub mod families;
pub mod images;
pub mod mutate;
pub mod network;
pub mod quantize;
pub mod reference;
pub mod shrink;
pub mod sketch;
pub mod sound;
#[cfg(feature = "engines")]
pub mod table;
#[cfg(feature = "engines")]
pub mod worker;
