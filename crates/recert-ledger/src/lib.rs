//! The durable record of a certification run: one `SQLite` file.
//!
//! The only crate that knows SQL and the format on disk, which
//! `docs/ledger.md` describes table by table. A ledger binds to the network
//! (SHA-256 of its file, engine, arithmetic, preprocessing), to the bytes of
//! every input, to sigma, n0, n and alpha, and to the noise generator and its
//! seed; it keeps a network's class on every noisy sample that it was shown and a
//! coarse code of the margin, entropy-coded, and the certificates drawn from
//! them. The samples may be the first m of a noise stream or any chosen ones.
//!
//! Every write is one transaction in write-ahead mode: a process killed at any
//! moment loses what it had not yet written and nothing else. Closing a ledger
//! [seals](Seal) it; [`raw`] reads rows whatever they hold, for checking them.
//!
//! This crate knows no network, no noise and no statistics; probabilities are
//! numbers to it.

mod claims;
mod codes;
mod error;
mod evidence;
mod json;
mod ledger;
mod lock;
mod numbers;
mod records;
mod schema;

pub use claims::{
    Claim, Goal, Images, InputsHash, Parameters, Rule, ScratchParameters, Sides, Statement,
};
pub use codes::{Codes, INVALID, MARGIN_BUCKETS};
pub use error::{Error, ErrorKind};
pub use evidence::{CellEvidence, EVIDENCE_CELLS, Evidence};
pub use json::Foreign;
pub use ledger::{Block, Blocks, Given, Ledger, Seal, Series, StoredBytes, raw};
pub use records::{
    Certificate, Header, Input, Network, NetworkId, Selection, Stream, Task, hex, parse_hex,
};
pub use schema::SCHEMA_VERSION;
