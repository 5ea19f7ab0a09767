//! Verifying a modified network from what a ledger holds of the original's verification.
//!
//! Slopes and splits of the original's proofs are begun from: whatever they are, what they prove
//! of the modified network is proved. Its bounds are used only where its file is given, since a
//! transfer compares both networks' weights; they are taken to hold, and the statement says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use recert_bounds::{self as bounds, Bounds, Property, Region, Slopes};
use recert_graph::Model;
use recert_ledger::{
    self as ledger_format, Effort, FileHash, Header, KnownUse, Ledger, NetworkId, Origin, Proof,
    Specification, Verdict, Verification, VerificationResult,
};

use super::proof;
use super::{Epsilon, Norm, Subject, VerifyConfig, VerifyJob, VerifyMethod};
use crate::job::config::SubsetConfig;
use crate::job::data::{Data, DataOptions};
use crate::job::held::Sampled;
use crate::job::network::{Network, NetworkConfig};
use crate::{Error, ErrorKind, Field, Result};

/// The method of such verifications, by its name in the ledger.
pub(super) const METHOD: &str = "transfer";

/// A verification in a ledger that one of a modified network begins from: the same inputs, the
/// same neighbourhoods and, where nothing else is given, the same preprocessing.
///
/// ```
/// use recert::job::{
///     Data, DataConfig, Event, Network, NetworkConfig, Norm, Reverification, VerifyConfig, verify,
/// };
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// # let folder = tempfile::tempdir()?;
/// # let ledger = folder.path().join("bounds.recert");
/// # let original = format!("{demo}/shapes.onnx");
/// let data = format!("npz:{demo}/shapes-test.npz");
/// let data = Data::open(&DataConfig { data, options: Default::default() })?;
/// let config = NetworkConfig { engine: Some("direct".into()), ..Default::default() };
/// let network = Network::open(original.as_ref(), &config, data.shape())?;
/// let mut config = VerifyConfig::default();
/// config.subset.limit = Some(1);
/// let specification = (Norm::Linf, &"1/25500".parse()?);
/// verify(Some(&ledger), &config, specification, &data, &network)?.run(&mut |_: Event<'_>| {})?;
///
/// // Another network's file, and with it its difference from the original, would be given here.
/// let from = Reverification::open(&ledger, None, None)?;
/// let modified = from.network(original.as_ref(), &NetworkConfig::default(), &data)?;
/// let mut config = VerifyConfig::default();
/// config.subset.limit = Some(1);
/// let mut seen = 0;
/// from.job(&config, &data, &modified, None)?.run(&mut |event: Event<'_>| {
///     seen += usize::from(matches!(event, Event::Verified { .. }));
/// })?;
/// assert_eq!(seen, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reverification {
    ledger: PathBuf,
    header: Header,
    original: ledger_format::Network,
    norm: Norm,
    epsilon: Epsilon,
    /// The original's results, by input.
    results: BTreeMap<u32, VerificationResult>,
}

/// A verification that may be begun from.
struct Found {
    network: NetworkId,
    norm: Norm,
    epsilon: Epsilon,
    /// The number of verified inputs.
    verified: usize,
    results: Vec<VerificationResult>,
}

/// What a job begins from.
pub(super) struct Start {
    /// The original as a function of pixels, where its bounds are transferred.
    original: Option<bounds::Network>,
    pub(super) results: BTreeMap<u32, VerificationResult>,
    /// Rows that transfers carried backwards.
    pub(super) rows: AtomicU64,
}

/// What is known of one input.
pub(super) struct Hints<'a> {
    /// The original, bounds of its values, and lower bounds of its rows.
    pub(super) known: Option<(&'a bounds::Network, Bounds, Vec<f64>)>,
    /// Slopes, a row each.
    pub(super) slopes: Slopes,
    /// The parts of a proof by branch and bound, a list for each class.
    pub(super) leaves: Vec<Vec<bounds::Leaf>>,
    /// Where rows are counted.
    pub(super) rows: &'a AtomicU64,
}

impl Reverification {
    /// Finds the verification in a ledger: the one of this norm and distance, as far as they are
    /// given. Of several that differ only in their method, it is the one with most verified
    /// inputs. Nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] where the ledger has no such verification, or several that norm
    /// and distance do not tell apart; whatever reading the ledger fails with.
    pub fn open(ledger: &Path, norm: Option<Norm>, epsilon: Option<&Epsilon>) -> Result<Self> {
        let opened = Ledger::open_read_only(ledger)?;
        let networks: BTreeMap<NetworkId, _> = opened.networks()?.into_iter().collect();
        let mut found: Vec<Found> = Vec::new();
        for (id, network, verification) in opened.verifications()? {
            // What rests on another network's bounds, or begins from them, is nobody's original.
            let begun = verification.effort.from.is_some();
            let Some((its_norm, its_epsilon)) = neighbourhood(&verification)? else {
                continue;
            };
            let same = |wanted: &Epsilon| wanted.up() == its_epsilon.up();
            if begun || norm.is_some_and(|norm| norm != its_norm) || !epsilon.is_none_or(same) {
                continue;
            }
            let results = opened.results(id)?;
            let verified = results.iter().filter(|r| r.verdict == Verdict::Verified);
            found.push(Found {
                network,
                norm: its_norm,
                epsilon: its_epsilon,
                verified: verified.count(),
                results,
            });
        }
        let refuse = |message: String| Err(Error::new(ErrorKind::Parameter, message));
        // The last one of those with most.
        let Some(best) = found.iter().max_by_key(|one| one.verified) else {
            if norm.is_none() && epsilon.is_none() {
                return refuse(format!(
                    "{} holds no verification of an original network by bounds to begin from: \
                     verify the original into it first",
                    ledger.display()
                ));
            }
            return refuse(format!(
                "{} holds no such verification of an original network: name the norm and distance \
                 of one that `recert report` shows",
                ledger.display()
            ));
        };
        let differs = |one: &&Found| {
            (one.network, one.norm, one.epsilon.up())
                != (best.network, best.norm, best.epsilon.up())
        };
        if let Some(other) = found.iter().find(differs) {
            let name = |one: &Found| {
                let specification = one.norm.specification(&one.epsilon, None);
                let network = networks.get(&one.network);
                let network = network.map_or("", |network| &network.file);
                format!("{specification} of {network}")
            };
            return refuse(format!(
                "{} holds several verifications, such as {} and {}: name a norm and a distance that \
                 one network alone was verified for",
                ledger.display(),
                name(best),
                name(other),
            ));
        }
        let results = best.results.iter();
        let results = results.filter_map(|result| Some((result.idx?, result.clone())));
        let results: BTreeMap<u32, VerificationResult> = results.collect();
        let original = networks.get(&best.network);
        let Some(original) = original.filter(|_| !results.is_empty()) else {
            return refuse(format!(
                "{} has no result yet to begin from: verify the original first",
                ledger.display()
            ));
        };
        Ok(Self {
            ledger: ledger.to_owned(),
            header: opened.header().clone(),
            original: original.clone(),
            norm: best.norm,
            epsilon: best.epsilon.clone(),
            results,
        })
    }

    /// The number of inputs with a result.
    pub fn inputs(&self) -> usize {
        self.results.len()
    }

    /// The data of the ledger: at the path that it records, or at `data`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if it is not there or cannot be read.
    pub fn data(&self, data: Option<&str>, options: &DataOptions) -> Result<Data> {
        Data::reopen(&self.header.data, data, options)
    }

    /// The modified network at `path`, loaded as the original was as far as `config` leaves it
    /// open, preprocessing included.
    ///
    /// # Errors
    /// As for [`Network::open_like`].
    pub fn network(&self, path: &Path, config: &NetworkConfig, data: &Data) -> Result<Network> {
        let mut samples = Sampled::new(data, self.epsilon.up().min(1.0));
        if let Ok(ledger) = Ledger::open_read_only(&self.ledger) {
            samples = samples.remembering(&ledger);
        }
        Network::open_like(path, config, &self.original, samples)
    }

    /// The original network at `path`, so that its bounds can be transferred.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`] if it is not the file that was verified.
    pub fn original(&self, path: &Path, data: &Data) -> Result<Network> {
        let model = Model::read(path)?;
        if model.sha256() != self.original.sha256 {
            let message = format!(
                "{} is not the network that was verified: ledger {} has results of {}, with SHA-256 \
                 {}",
                path.display(),
                self.ledger.display(),
                self.original.file,
                ledger_format::hex(&self.original.sha256),
            );
            return Err(Error::new(ErrorKind::Ledger, message).about(Field::Original));
        }
        let samples = Sampled::from(data.shape()).trusted();
        Network::open_like(path, &NetworkConfig::default(), &self.original, samples)
    }

    /// The job that verifies `network` on the ledger's inputs, into the same ledger. With the
    /// original, its bounds are transferred first, and what is stated holds where the ledger's
    /// bounds of it do. Of `config` the method has to be the cascade.
    ///
    /// # Errors
    /// As for [`super::verify`]; [`ErrorKind::Parameter`] where network and original do not have
    /// the same layers, and for a family of networks with the original.
    pub fn job<'a>(
        &self,
        config: &VerifyConfig,
        data: &'a Data,
        network: &'a Network,
        original: Option<&Network>,
    ) -> Result<VerifyJob<'a>> {
        if config.method != VerifyMethod::Cascade {
            let message = "what begins from another network's results is the cascade";
            return Err(Error::parameter(Field::Method, message));
        }
        let inputs: Vec<u32> = self.results.keys().copied().collect();
        if let Some(missing) = inputs.iter().find(|&&idx| idx as usize >= data.len()) {
            let message = format!(
                "ledger {} is of other data: it has input {missing}, but the data given has only {} \
                 inputs",
                self.ledger.display(),
                data.len(),
            );
            return Err(Error::new(ErrorKind::Ledger, message).about(Field::Data));
        }
        network.check_classes(&self.original)?;
        let specification = (self.norm, &self.epsilon);
        let mut job = super::verify(Some(&self.ledger), config, specification, data, network)?;
        let original = match original {
            Some(original) => Some(self.compared(original, config, data, &job.bounds)?),
            None => None,
        };
        let use_of_bounds = match original {
            Some(_) => KnownUse::Assumed,
            None => KnownUse::Unused,
        };
        if let Subject::Images {
            inputs: chosen,
            verification,
            ..
        } = &mut job.subject
        {
            *chosen = taken(&inputs, config.subset)?;
            data.check_labels(chosen, network.classes())?;
            let effort = Effort {
                from: Some(Origin {
                    bounds: use_of_bounds,
                    network: FileHash(self.original.sha256),
                }),
                ..verification.effort.clone()
            };
            **verification = Verification::new(verification.specification.clone(), METHOD, effort);
        }
        job.start = Some(Start {
            original,
            results: self.results.clone(),
            rows: AtomicU64::new(0),
        });
        Ok(job)
    }

    /// The original for bounds, if it can be compared with the modified network.
    fn compared(
        &self,
        original: &Network,
        config: &VerifyConfig,
        data: &Data,
        modified: &bounds::Network,
    ) -> Result<bounds::Network> {
        if config.weights_within.is_some() {
            let message = "members of a family differ from one another, so that no bounds of the \
                           original are transferred to them: leave out one of the two";
            return Err(Error::parameter(Field::Original, message));
        }
        if original.identity().sha256 != self.original.sha256 {
            let message = "the original is another network than the ledger's";
            return Err(Error::parameter(Field::Original, message));
        }
        let (bounded, _) = super::bounded(original, data.shape(), bounds::Network::for_labels)?;
        let same = bounded.check_same_layers(modified);
        same.map_err(|why| {
            Error::parameter(
                Field::Original,
                format!(
                    "{why}: leave out the original, whose slopes and splits are used without it"
                ),
            )
        })?;
        Ok(bounded)
    }
}

impl Start {
    /// Whether the original was proved to keep this class around an input.
    pub(super) fn proved(&self, idx: u32, class: u16) -> bool {
        let result = self.results.get(&idx);
        result.is_some_and(|result| {
            result.verdict == Verdict::Verified && result.class == Some(class)
        })
    }

    /// What is known of an input whose class is to be `class`, on the region around the image,
    /// as far as it fits the modified network.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`] for a proof that does not decode, is of another network, or has
    /// bounds that the original itself is beyond.
    pub(super) fn hints(
        &self,
        idx: u32,
        (class, property): (u16, &Property),
        (region, image): (&Region, &[f64]),
        network: &bounds::Network,
    ) -> Result<Option<Hints<'_>>> {
        let Some(result) = self.results.get(&idx) else {
            return Ok(None);
        };
        let bad = |why: String| {
            let message = format!("the original's proof of input {idx} in the ledger {why}");
            Error::new(ErrorKind::Ledger, message)
        };
        let Some(proof) = result.decoded_proof().map_err(bad)? else {
            return Ok(None);
        };
        if result.class != Some(class) {
            return Ok(None);
        }
        let known = match &self.original {
            Some(original) => known(original, &proof, (property, region, image))
                .map_err(bad)?
                .map(|(bounds, margins)| (original, bounds, margins)),
            None => None,
        };
        let rows = property.rows().len();
        let slopes = proof::slopes(&proof, rows);
        // Slopes of other layers are no start.
        let fits = slopes.check(network).is_ok();
        Ok(Some(Hints {
            known,
            slopes: if fits { slopes } else { Slopes::default() },
            leaves: proof::leaves(&proof, rows),
            rows: &self.rows,
        }))
    }
}

/// The bounds that a proof records, or what is wrong with them.
fn known(
    original: &bounds::Network,
    proof: &Proof,
    (property, region, image): (&Property, &Region, &[f64]),
) -> std::result::Result<Option<(Bounds, Vec<f64>)>, String> {
    let Some(recorded) = &proof.known else {
        return Ok(None);
    };
    let rows = property.rows();
    if recorded.margins.len() != rows.len() {
        return Err(format!(
            "has {} margins, not {}",
            recorded.margins.len(),
            rows.len()
        ));
    }
    let mut layers = Vec::new();
    for (position, layer) in proof.layers.iter().enumerate() {
        let whole = proof
            .whole_layer(position)
            .ok_or("lacks bounds of a layer")?;
        let lower: Vec<f64> = whole.iter().map(|bounds| bounds.lower).collect();
        let upper: Vec<f64> = whole.iter().map(|bounds| bounds.upper).collect();
        layers.push((layer.activation as usize, lower, upper));
    }
    let given: Vec<_> = layers
        .iter()
        .map(|(a, l, u)| (*a, &l[..], &u[..]))
        .collect();
    let bounds = bounds::recorded(original, region, &given)
        .map_err(|why| format!("is not of the original's file: {why}"))?;
    // A bound of the whole region is one of the image, up to the rounding of its evaluation.
    let outputs = original.evaluate(image);
    let coefficients = rows.coefficients.chunks(outputs.len());
    for ((row, constant), bound) in coefficients.zip(&rows.constants).zip(&recorded.margins) {
        let terms = row.iter().zip(&outputs).map(|(a, y)| a * y);
        let (value, size) = terms.fold((*constant, 1.0), |(v, s), t| (v + t, s + t.abs()));
        if *bound > value + 1e-6 * size {
            return Err(format!(
                "has a lower bound {bound} of a margin that is {value} at the image itself: it is \
                 damaged or forged"
            ));
        }
    }
    Ok(Some((bounds, recorded.margins.clone())))
}

/// Norm and distance of a verification of images by one network; `None` for another.
fn neighbourhood(verification: &Verification) -> Result<Option<(Norm, Epsilon)>> {
    let (norm, distance) = match &verification.specification {
        Specification::Linf(distance) => (Norm::Linf, distance),
        Specification::L2(distance) => (Norm::L2, distance),
        _ => return Ok(None),
    };
    if distance.weights.is_some() {
        return Ok(None);
    }
    Ok(Some((norm, distance.eps.parse()?)))
}

/// Of the ledger's inputs those of a subset.
fn taken(inputs: &[u32], subset: SubsetConfig) -> Result<Vec<u32>> {
    let every = subset.every.max(1);
    let first = |idx: u32| idx.checked_sub(subset.offset);
    let chosen = inputs.iter().copied();
    let chosen = chosen.filter(|&idx| first(idx).is_some_and(|after| after % every == 0));
    let most = subset.limit.unwrap_or(u32::MAX) as usize;
    let chosen: Vec<u32> = chosen.take(most).collect();
    if chosen.is_empty() {
        let message = "none of the ledger's inputs is in the subset";
        return Err(Error::parameter(Field::Every, message));
    }
    Ok(chosen)
}
