//! The durable record of a certification run: one `SQLite` file.
//!
//! The only crate that knows SQL and the format on disk, which
//! `docs/ledger.md` describes table by table. A ledger binds to the network
//! (SHA-256 of its file, engine, arithmetic, preprocessing), to the bytes of
//! every input, to sigma, n0, n and alpha, and to the noise generator and its
//! seed; it keeps a network's class on every noisy sample that it was shown and a
//! coarse code of the margin, entropy-coded, and the certificates computed
//! from them. The samples may be the first m of a noise stream or any chosen ones. It also keeps
//! [verifications](Verification) by bounds, which rest on no samples.
//!
//! Every write is one transaction in write-ahead mode: a process killed at any
//! moment loses only what it had not written yet. Closing a ledger [seals](Seal) it.
//! A [journal](JournalEvent) records the header, when networks were named, which inputs claims
//! have certificates of, what results verifications have, what was removed, and the like.
//! [`raw`] reads rows without assuming that they are valid, for the checker.
//!
//! This crate knows no network, no noise and no statistics; probabilities are
//! numbers to it.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run.recert");
//! let mut ledger = Ledger::create(&path, &header())?;
//! let f = ledger.base();
//! ledger.add_input(&input(0))?;
//! ledger.put_selection(f, 0, &selection())?;
//! // The answers on the estimation samples, as they come.
//! let series = Series { network: f, idx: 0, stream: Stream(1) };
//! ledger.put_answers(series, 0, &answers(60), 3, 1200)?;
//! ledger.put_answers(series, 60, &answers(40), 3, 800)?;
//! let (counts, _) = ledger.answer_counts(series, 100)?;
//! ledger.conclude(series, &[abstention(counts[&3])])?;
//! ledger.close()?;
//!
//! let ledger = Ledger::open_read_only(&path)?;
//! assert_eq!(ledger.certificates(ledger.base())?.len(), 1);
//! # Ok(())
//! # }
//! ```
//! The examples of this crate use the run of `header()` with one input, `input(0)`, whose
//! selection samples selected class 3 (`selection()`). `answers(count)` are answers of class
//! 3, with class 5 on every tenth sample.

mod claims;
mod codes;
mod error;
mod evidence;
mod journal;
mod json;
mod ledger;
mod lock;
mod numbers;
mod positions;
mod proof;
mod records;
mod schema;
mod shard;
mod verification;

pub use claims::{
    Claim, ClassOf, Goal, Images, InputsHash, Parameters, Rule, ScratchParameters, Sides, Statement,
};
pub use codes::{Codes, INVALID, MARGIN_BUCKETS};
pub use error::{Error, ErrorKind};
pub use evidence::{CellEvidence, EVIDENCE_CELLS, Evidence, FirstRoundEvidence, LatticeEvidence};
pub use journal::{
    Answered, FileHash, ForgottenClaim, HeaderRecord, JournalEntry, JournalEvent, MergedPart,
    NetworkName, VerificationName,
};
pub use json::Foreign;
pub use ledger::{
    Block, Blocks, Forgotten, Glance, Lacking, Ledger, Merge, NewAnswers, ResultHash, Seal, Series,
    Snapshot, StoredBytes, Totals, raw,
};
pub use lock::Lock;
pub use positions::Positions;
pub use proof::{
    CellMethod, KnownBounds, NeuronBounds, NeuronSlopes, Proof, ProofLayer, ProofLeaf, ProofRow,
    ProofSplit, ProvedCell, SlopeRun, TransformProof,
};
pub use records::{
    Certificate, Engine, Header, Input, Network, NetworkId, Selection, Stream, Task, hex, parse_hex,
};
pub use schema::SCHEMA_VERSION;
pub use shard::Shard;
pub use verification::{
    Distance, Effort, KnownUse, Origin, Specification, Verdict, Verification, VerificationId,
    VerificationResult,
};
