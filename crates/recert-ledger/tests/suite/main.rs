//! Ledgers as files. One program, so that it is linked once.

mod chosen;
mod common;
mod copies;
mod journal;
mod ledger;
mod seal;
mod truncated;
mod verifications;
mod versions;
