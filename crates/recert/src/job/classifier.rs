//! What a ledger knows a classifier by that is no file.

use recert_engine::{Arithmetic, EngineIdentity, Floats, Preprocess};
use recert_ledger::{self as ledger};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result};

/// The engine of a classifier that says no more than its name.
const EMBEDDER: &str = "embedder";

/// What a ledger knows a classifier by that is no file: everything that decides its answers.
///
/// It promises that under this identity the classifier has always given, and will always give, the
/// same answer to the same pixels, as far as the arithmetic stated does: a run that resumes, and a
/// recertification, count answers that are stored under it together with new ones, and nothing but
/// [`Auditor`](super::Auditor) can tell a broken promise. Whatever changes an answer (weights, a
/// threshold, a version) needs another identity.
///
/// ```
/// use recert::engine::{Arithmetic, EngineIdentity};
/// use recert::job::ClassifierIdentity;
///
/// // All that there is to know of it is in a name,
/// let named = ClassifierIdentity::named("bright at 2, version 1");
/// // or its weights are hashed, by whoever knows them.
/// let hashed = ClassifierIdentity {
///     sha256: [7; 32],
///     computed: EngineIdentity {
///         name: "mylib".into(),
///         version: "1.2".into(),
///         arithmetic: Arithmetic::from("float32, on cuda:0"),
///         batch_invariant: false,
///     },
///     note: Some("SHA-256 of the weights".into()),
///     ..named
/// };
/// # assert_eq!(hashed.computed.to_string(), "mylib 1.2, float32, on cuda:0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifierIdentity {
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of what decides its answers, beside how it is computed.
    pub sha256: [u8; 32],
    /// How many bytes that is of.
    pub bytes: u64,
    /// What computes it, and how. A name that none of the engines has, so that a file is never
    /// thought to be computed by it.
    pub computed: EngineIdentity,
    /// What was hashed, and whatever else a reader of the ledger should know.
    pub note: Option<String>,
}

impl ClassifierIdentity {
    /// A classifier that is identified by its name alone, and gives an image the same answer, bit
    /// for bit, whatever else is in the batch.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sha256: Sha256::digest(name).into(),
            bytes: name.len() as u64,
            computed: EngineIdentity {
                name: EMBEDDER.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                arithmetic: Arithmetic::from(Floats::AsInModel.to_string().as_str()),
                batch_invariant: true,
            },
            note: None,
        }
    }

    /// The record of a classifier with so many classes.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] if it claims to be computed by an engine of recert.
    pub(super) fn record(self, classes: u32) -> Result<ledger::Network> {
        let engine = self.computed;
        if recert_engine::engines::entry(&engine.name).is_some() {
            let message = format!(
                "{}: {} is an engine that computes files: name otherwise what computes a \
                 classifier that is none",
                self.name, engine.name
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        Ok(ledger::Network {
            sha256: self.sha256,
            file: self.name,
            bytes: self.bytes,
            engine: ledger::Engine {
                name: engine.name,
                version: engine.version,
                arithmetic: engine.arithmetic.to_string(),
            },
            batch_invariant: engine.batch_invariant,
            preprocess: Preprocess::default().to_string(),
            output: "answer".to_owned(),
            classes,
            note: self.note,
        })
    }
}

/// Whether what a ledger records as computed was a file, in one of the engines.
pub(super) fn is_file(network: &ledger::Network) -> bool {
    recert_engine::engines::entry(&network.engine.name).is_some()
}
