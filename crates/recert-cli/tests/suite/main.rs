//! The command, run as its users run it. One program, so that it is linked once.

mod accounting;
mod advice;
mod approximate;
mod auto;
mod bad_input;
mod bad_ledger;
mod check;
mod common;
mod determinism;
mod engines;
mod explain;
mod formats;
mod integer_noise;
mod kill;
mod kinds;
mod ledgers;
mod merge;
mod mutations;
mod outputs;
mod samples;
mod together;
mod until;
mod upkeep;
mod verify;
mod words;
