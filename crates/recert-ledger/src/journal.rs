//! The journal: what happened to a ledger beside answers and certificates, and when.
//!
//! Some statements depend on an order of events that no answer shows: which networks were
//! known to the ledger before any of them ran, what was removed, what an engine was compared
//! with. Each such event is one entry, and entries are only ever added. The file has every kind of entry with
//! its form in JSON, which are read side by side; that is why it is long.

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};
use crate::positions::Positions;
use crate::records::{Header, Network, NetworkId, Task, hex, parse_hex};
use crate::shard::Shard;

/// An entry of the journal as a ledger keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// Its number: 1 for the first, each one more than the one before.
    pub id: u64,
    /// When it was made, in seconds since 1970-01-01 00:00 UTC by the machine's clock.
    pub seconds: u64,
    /// The network that it concerns, if it concerns one that the ledger still has.
    pub network: Option<NetworkId>,
    /// What happened.
    pub event: JournalEvent,
}

/// What happened to a ledger.
///
/// ```
/// use recert_ledger::JournalEvent;
///
/// let event = JournalEvent::Held {
///     engine: "rten 0.27.0, float32".into(),
///     reference: "reference interpreter".into(),
///     images: 4,
///     largest_difference: 2.5e-6,
///     tolerance: 0.001,
///     details: "noisy images of the data".into(),
/// };
/// assert_eq!(event.kind(), "held");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum JournalEvent {
    /// The header was recorded: when the ledger was created, or when a version of the program
    /// that records it first opened the ledger for writing.
    Header(HeaderRecord),
    /// Networks were named to this ledger for the first time, all together: from here on
    /// their bytes are fixed.
    Named {
        /// The networks.
        networks: Vec<NetworkName>,
        /// The networks that had answers in this ledger at that time, with how many.
        answered: Vec<Answered>,
        /// No network had answered a fresh sample with this number or a higher one, on any
        /// input, at that time.
        fresh: u64,
    },
    /// An engine's outputs were compared with others on some images, and the differences
    /// were within the tolerance.
    Held {
        /// The engine, with version and precision.
        engine: String,
        /// What it was compared with.
        reference: String,
        /// The number of images compared.
        images: u64,
        /// The largest difference found, in units of the outputs' scale as `details` says.
        largest_difference: f64,
        /// The largest difference that would have been accepted.
        tolerance: f64,
        /// What was compared, in words.
        details: String,
    },
    /// Something was removed from this ledger.
    Forgotten {
        /// The network whose claims, answers or selections were removed.
        name: NetworkName,
        /// Whether the network itself was removed too.
        whole: bool,
        /// The claims removed.
        claims: Vec<ForgottenClaim>,
        /// The number of answers removed.
        answers: u64,
        /// The number of inputs whose selection samples were removed.
        selections: u64,
    },
    /// A run by one claim ended; these are the inputs that have its certificates.
    Concluded {
        /// The claim's method.
        method: String,
        /// The number of samples that the claim states.
        samples: u64,
        /// The claim's failure probability.
        alpha: f64,
        /// The claim's parameters, as the ledger has them.
        parameters: String,
        /// The number of inputs with a certificate.
        inputs: u64,
        /// SHA-256 over their positions, ascending, as 32-bit little-endian numbers.
        inputs_sha256: crate::InputsHash,
        /// Their positions; the first journals did not record them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<Positions>,
        /// Which images these are: the hash over the `sha256` of their rows
        /// ([`FileHash::of_images`]); the first journals did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        images_sha256: Option<FileHash>,
        /// The network that they are of; the first journals recorded its number alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkName>,
    },
    /// A run of this network began. It says how much was to come, which the certificates of a
    /// run that was stopped do not.
    Begun {
        /// What the run concludes by: the methods' names, with commas between.
        methods: String,
        /// The number of inputs that it is over.
        planned: u64,
        /// Whether the network is certified through the ledger's own, a faster version of it.
        through: bool,
        /// Which shard of the run this ledger is to have, where it is not all of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<Shard>,
        /// The positions of all inputs that the run is over, of which the shard is a part; `None`
        /// without a shard.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<Positions>,
    },
    /// A run of this network ended, whether it was complete or was stopped; there is no such
    /// entry of one that was killed.
    Ended {
        /// What the run concludes by, as in [`Self::Begun`].
        methods: String,
        /// How long it took by the clock, in milliseconds, all networks of its passes together.
        milliseconds: u64,
        /// Which shard of the run it was, as in [`Self::Begun`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<Shard>,
    },
    /// A run of a verification by bounds began, before it had any result of these inputs.
    Verifying {
        /// What is verified of which network, and how.
        verification: VerificationName,
        /// The number of results that it is to have: of inputs, or of one VNN-LIB file.
        planned: u64,
        /// The inputs' positions; `None` for a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<Positions>,
        /// Which shard of these inputs this ledger is to have, where it is not all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<Shard>,
    },
    /// A run of a verification by bounds ended; these are its results.
    Results {
        /// What was verified of which network, and how.
        verification: VerificationName,
        /// The number of results.
        results: u64,
        /// The positions of the inputs that they are of; `None` for a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<Positions>,
        /// Which images these are, as in [`Self::Concluded`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        images_sha256: Option<FileHash>,
        /// What the results are: [`FileHash::of_hashes`] of their
        /// [hashes](crate::ResultHash), in the order of the inputs.
        results_sha256: FileHash,
    },
    /// Ledgers of one run were united in this one. The entries of their journals are among those
    /// before this one, but for lists of what they had concluded: this ledger makes its own.
    Merged {
        /// The ledgers.
        parts: Vec<MergedPart>,
        /// The networks that have answers in this ledger from now on, with how many.
        answered: Vec<Answered>,
        /// No network has answered a fresh sample with this number or a higher one, on any input.
        fresh: u64,
    },
    /// The ledger was brought to the version that has a journal; what happened before is
    /// not known.
    Upgraded {
        /// The version before.
        from: i64,
        /// The networks that had answers at that time, with how many.
        answered: Vec<Answered>,
        /// As for `Named`.
        fresh: u64,
    },
    /// An event in a form that this version does not record.
    #[serde(skip)]
    Foreign {
        /// The kind's name.
        kind: String,
        /// The stored text.
        body: Foreign,
    },
}

/// What identifies a network in the journal, also after it was removed from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkName {
    /// SHA-256 of the model file's bytes.
    pub sha256: FileHash,
    /// The engine, with version and precision.
    pub engine: String,
    /// Normalisation outside the graph.
    pub preprocess: String,
    /// The graph output that is read.
    pub output: String,
}

impl NetworkName {
    /// The name of a network.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() {
    /// use recert_ledger::NetworkName;
    ///
    /// let name = NetworkName::new(&network("pruned.onnx"));
    /// assert_eq!(name.engine, "rten 0.27.0, float32");
    /// # }
    /// ```
    pub fn new(network: &Network) -> Self {
        Self {
            sha256: FileHash(network.sha256),
            engine: network.engine.to_string(),
            preprocess: network.preprocess.clone(),
            output: network.output.clone(),
        }
    }
}

/// What identifies a verification by bounds in the journal: all of its row, each as the ledger
/// has it, but for the statement, which follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationName {
    /// The network.
    pub network: NetworkName,
    /// The kind of specification.
    pub kind: String,
    /// What the kind leaves open, as JSON.
    pub specification: String,
    /// The method.
    pub method: String,
    /// What may have been tried, as JSON.
    pub effort: String,
}

/// The header of a ledger as its journal records it: all that decides which samples of which
/// network are drawn, and how sure certificates are. Where data was read from binds nothing and
/// is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRecord {
    /// What the run computes.
    pub task: Task,
    /// Standard deviation of the noise, in the units of the images.
    pub sigma: f64,
    /// Samples that select the class.
    pub n0: u64,
    /// Samples that estimate its probability.
    pub n: u64,
    /// Failure probability of one certificate.
    pub alpha: f64,
    /// The noise generator, by name and version.
    pub generator: String,
    /// The generator's seed, in decimal.
    pub seed: String,
    /// The network certified, with its preprocessing.
    pub network: NetworkName,
    /// Channels of an input.
    pub channels: u32,
    /// Height of an input.
    pub height: u32,
    /// Width of an input.
    pub width: u32,
}

impl HeaderRecord {
    /// What a journal records of a header.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() {
    /// use recert_ledger::HeaderRecord;
    ///
    /// let record = HeaderRecord::new(&header());
    /// assert_eq!((record.sigma, record.seed.as_str()), (0.25, "1"));
    /// # }
    /// ```
    pub fn new(header: &Header) -> Self {
        let [channels, height, width] = header.shape;
        Self {
            task: header.task,
            sigma: header.sigma,
            n0: header.n0,
            n: header.n,
            alpha: header.alpha,
            generator: header.generator.clone(),
            seed: header.seed.to_string(),
            network: NetworkName::new(&header.network),
            channels,
            height,
            width,
        }
    }
}

/// A network with the number of its answers on estimation and fresh samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The network.
    pub network: NetworkName,
    /// Its answers, over all inputs.
    pub answers: u64,
}

/// A ledger that was united with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergedPart {
    /// Its file's name, without the folder; for people only.
    pub file: String,
    /// Its seal; `None` where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<FileHash>,
    /// The number of its inputs.
    pub inputs: u64,
    /// The number of its certificates.
    pub certificates: u64,
    /// The number of its results by bounds.
    pub results: u64,
}

/// A claim that was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgottenClaim {
    /// The method.
    pub method: String,
    /// The number of samples that it stated.
    pub samples: u64,
    /// Its failure probability.
    pub alpha: f64,
    /// Its parameters, as the ledger had them.
    pub parameters: String,
    /// What it stated, in words.
    pub statement: String,
    /// The number of its certificates, all removed.
    pub certificates: u64,
}

/// A SHA-256, as of a file's bytes; lower-case hexadecimal text in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileHash(pub [u8; 32]);

impl FileHash {
    /// The hash over the hashes of several images, each as the text that the ledger keeps, one
    /// after the other.
    ///
    /// ```
    /// use recert_ledger::{FileHash, hex};
    ///
    /// let [first, second] = [[0; 32], [1; 32]].map(|hash| hex(&hash));
    /// let both = FileHash::of_images([first.as_str(), second.as_str()]);
    /// assert_ne!(both, FileHash::of_images([second.as_str(), first.as_str()]));
    /// ```
    pub fn of_images<'a>(images: impl IntoIterator<Item = &'a str>) -> Self {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        for image in images {
            hasher.update(image);
        }
        Self(hasher.finalize().into())
    }

    /// The hash over several hashes, each as its 32 bytes.
    ///
    /// ```
    /// use recert_ledger::FileHash;
    ///
    /// assert_ne!(FileHash::of_hashes([&[0; 32]]), FileHash::of_hashes([&[0; 32], &[0; 32]]));
    /// ```
    pub fn of_hashes<'a>(hashes: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        for hash in hashes {
            hasher.update(hash);
        }
        Self(hasher.finalize().into())
    }
}

impl From<FileHash> for String {
    fn from(hash: FileHash) -> Self {
        hex(&hash.0)
    }
}

impl TryFrom<String> for FileHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hash = parse_hex(&text).filter(|hash| hex(hash) == text);
        hash.map(Self)
            .ok_or_else(|| format!("'{text}' is not a SHA-256"))
    }
}

impl JournalEvent {
    /// The kind's name, as in a ledger.
    pub fn kind(&self) -> &str {
        match self {
            Self::Header(_) => "header",
            Self::Named { .. } => "named",
            Self::Held { .. } => "held",
            Self::Forgotten { .. } => "forgotten",
            Self::Concluded { .. } => "concluded",
            Self::Begun { .. } => "begun",
            Self::Ended { .. } => "ended",
            Self::Verifying { .. } => "verifying",
            Self::Results { .. } => "results",
            Self::Merged { .. } => "merged",
            Self::Upgraded { .. } => "upgraded",
            Self::Foreign { kind, .. } => kind,
        }
    }

    /// The canonical JSON that ledgers keep: everything but the kind.
    pub fn to_json(&self) -> String {
        match self {
            Self::Foreign { body, .. } => body.text().to_owned(),
            known => json::write(known),
        }
    }

    /// The claim that a run ended by, as text that no other claim of its network has; `None`
    /// for other events.
    pub(crate) fn claim(&self) -> Option<String> {
        match self {
            Self::Concluded {
                method,
                samples,
                alpha,
                parameters,
                ..
            } => Some(format!("{method} {samples} {alpha} {parameters}")),
            _ => None,
        }
    }

    /// Reads an event of a kind from the text in a ledger; what is in no known form is
    /// `Foreign`.
    ///
    /// ```
    /// use recert_ledger::JournalEvent;
    ///
    /// let text = r#"{"answered":[],"fresh":0,"from":2}"#;
    /// let event = JournalEvent::read("upgraded", text);
    /// assert!(matches!(event, JournalEvent::Upgraded { from: 2, .. }));
    /// assert!(matches!(JournalEvent::read("upgraded", "{}"), JournalEvent::Foreign { .. }));
    /// ```
    pub fn read(kind: &str, text: &str) -> Self {
        json::read(Some(kind), text).unwrap_or_else(|body| Self::Foreign {
            kind: kind.to_owned(),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash, the name of a network, and that of a verification, as texts hold them.
    fn parts() -> [String; 3] {
        let hash = "0a".repeat(32);
        let name = format!(
            r#"{{"engine":"rten 0.27.0, float32","output":"y","preprocess":"none","sha256":"{hash}"}}"#
        );
        let verification = format!(
            r#"{{"effort":"{{}}","kind":"linf","method":"crown","network":{name},"specification":"{{}}"}}"#
        );
        [hash, name, verification]
    }

    /// Texts written by hand from `docs/ledger.md`.
    #[test]
    fn what_ledgers_hold_is_read_and_written_byte_for_byte() {
        let [hash, name, verification] = parts();
        for (kind, text) in [
            (
                "named",
                format!(
                    r#"{{"answered":[{{"answers":12,"network":{name}}}],"fresh":0,"networks":[{name},{name}]}}"#
                ),
            ),
            (
                "held",
                r#"{"details":"logits","engine":"e","images":4,"largest_difference":2.5e-6,"reference":"r","tolerance":0.001}"#
                    .to_owned(),
            ),
            (
                "forgotten",
                format!(
                    r#"{{"answers":7,"claims":[{{"alpha":0.002,"certificates":5,"method":"direct","parameters":"{{}}","samples":9,"statement":"s"}}],"name":{name},"selections":5,"whole":true}}"#
                ),
            ),
            (
                "concluded",
                format!(
                    r#"{{"alpha":0.001,"inputs":3,"inputs_sha256":"{hash}","method":"certify","parameters":"{{}}","samples":100}}"#
                ),
            ),
            (
                "concluded",
                format!(
                    r#"{{"alpha":0.001,"images_sha256":"{hash}","inputs":3,"inputs_sha256":"{hash}","method":"certify","parameters":"{{}}","positions":[[0,2,20],[25,1,0]],"samples":100}}"#
                ),
            ),
            (
                "concluded",
                format!(
                    r#"{{"alpha":0.001,"images_sha256":"{hash}","inputs":3,"inputs_sha256":"{hash}","method":"certify","network":{name},"parameters":"{{}}","positions":[[0,3,1]],"samples":100}}"#
                ),
            ),
            (
                "header",
                format!(
                    r#"{{"alpha":0.001,"channels":3,"generator":"g","height":32,"n":100,"n0":4,"network":{name},"seed":"18446744073709551615","sigma":0.25,"task":"certify","width":32}}"#
                ),
            ),
            (
                "begun",
                r#"{"methods":"irs,auto","planned":12,"through":false}"#.to_owned(),
            ),
            (
                "ended",
                r#"{"methods":"certify","milliseconds":1500}"#.to_owned(),
            ),
            (
                "verifying",
                format!(r#"{{"planned":2,"positions":[[0,2,1]],"verification":{verification}}}"#),
            ),
            (
                "verifying",
                format!(r#"{{"planned":1,"verification":{verification}}}"#),
            ),
            (
                "results",
                format!(
                    r#"{{"images_sha256":"{hash}","positions":[[0,2,1]],"results":2,"results_sha256":"{hash}","verification":{verification}}}"#
                ),
            ),
            (
                "results",
                format!(
                    r#"{{"results":1,"results_sha256":"{hash}","verification":{verification}}}"#
                ),
            ),
            (
                "upgraded",
                r#"{"answered":[],"fresh":0,"from":2}"#.to_owned(),
            ),
        ] {
            is_read_and_written(kind, &text);
        }
    }

    fn is_read_and_written(kind: &str, text: &str) {
        let event = JournalEvent::read(kind, text);
        assert!(!matches!(event, JournalEvent::Foreign { .. }), "{event:?}");
        assert_eq!((event.kind(), event.to_json().as_str()), (kind, text));
    }

    #[test]
    fn what_ledgers_of_shards_hold_is_read_and_written_byte_for_byte() {
        let [hash, name, verification] = parts();
        for (kind, text) in [
            (
                "begun",
                r#"{"methods":"certify","planned":12,"positions":[[0,12,20]],"shard":"3/4","through":false}"#
                    .to_owned(),
            ),
            (
                "ended",
                r#"{"methods":"certify","milliseconds":1500,"shard":"3/4"}"#.to_owned(),
            ),
            (
                "merged",
                format!(
                    r#"{{"answered":[{{"answers":12,"network":{name}}}],"fresh":4,"parts":[{{"certificates":3,"file":"1.recert","inputs":3,"results":0,"seal":"{hash}"}},{{"certificates":0,"file":"2.recert","inputs":3,"results":2}}]}}"#
                ),
            ),
            (
                "verifying",
                format!(
                    r#"{{"planned":2,"positions":[[0,2,1]],"shard":"1/2","verification":{verification}}}"#
                ),
            ),
        ] {
            is_read_and_written(kind, &text);
        }
    }

    #[test]
    fn events_in_an_unknown_form_are_kept_as_they_are() {
        for (kind, text) in [
            ("named", r#"{"networks":[]}"#),
            ("header", r#"{"sigma":0.25}"#),
            ("celebrated", r#"{"b":1}"#),
            ("foreign", "{}"),
            ("upgraded", "no JSON"),
            (
                "ended",
                r#"{"methods":"certify","milliseconds":1,"shard":"5/4"}"#,
            ),
        ] {
            let event = JournalEvent::read(kind, text);
            assert!(matches!(event, JournalEvent::Foreign { .. }), "{event:?}");
            assert_eq!((event.kind(), event.to_json()), (kind, text.to_owned()));
        }
    }
}
