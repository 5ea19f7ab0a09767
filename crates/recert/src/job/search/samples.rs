//! The ledger of a search: the original on fresh samples of some inputs, and its versions on the same, in
//! pairs. A search looks at answers to choose networks, so none of its samples may be among those that
//! certificates rest on: its noise has a seed of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recert_engine::pixel_graph;
use recert_graph::{Op, ValueId};
use recert_ledger::{Certificate, Claim, Evidence, Header, Ledger, NetworkName, Task};
use recert_net::Model;
use recert_num::MAX_ALPHA;
use recert_smooth::bound::Paired;
use recert_smooth::{Method as Rule, Outcome, Sides, finished_inputs};

use super::super::collect::{Asked, Work};
use super::super::config::{self, RunConfig};
use super::super::data::{Data, DataOptions};
use super::super::event::Events;
use super::super::held::Sampled;
use super::super::network::{Network, NetworkConfig};
use super::super::scratch::fresh_seed;
use super::super::session::Session;
use super::estimate::InputPairs;
use super::recipe::Maker;
use crate::{Error, ErrorKind, Field, Result};

/// Which samples a search looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchConfig {
    /// Samples of an input that versions are compared with the original on.
    pub samples: u64,
    /// The most inputs of the ledger, spread over all of them.
    pub inputs: usize,
    /// How to go about it; a search is not divided into shards.
    pub run: RunConfig,
}

impl Default for SearchConfig {
    /// 200 samples of each of 100 inputs.
    fn default() -> Self {
        Self {
            samples: 200,
            inputs: 100,
            run: RunConfig::default(),
        }
    }
}

/// The certified network: its ledger, its file and how it is computed.
pub(in super::super) struct Original {
    pub(in super::super) header: Header,
    pub(in super::super) model: Model,
    pub(in super::super) network: Network,
    pub(in super::super) config: NetworkConfig,
    /// The inputs that were certified with all samples.
    pub(in super::super) certified: Vec<CertifiedInput>,
}

/// An input that the original was certified on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct CertifiedInput {
    idx: u32,
    /// 0 for an abstention.
    radius: f64,
}

impl Original {
    /// # Errors
    /// [`ErrorKind::Input`] for another network than the ledger's; [`ErrorKind::Parameter`] for a ledger
    /// without certificates by smoothing; whatever loading the network fails with.
    pub(in super::super) fn open(
        ledger: &Path,
        file: &Path,
        network: &NetworkConfig,
        data: &Data,
    ) -> Result<Self> {
        let opened = Ledger::open_read_only(ledger)?;
        let header = opened.header().clone();
        config::law(&opened)?;
        if header.task != Task::Certify {
            let message = format!("{} holds no certificates by smoothing", ledger.display());
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        let model = Model::read(file)?;
        if model.sha256() != header.network.sha256 {
            let message = format!(
                "{} is not the network that {} was made with, {}: its SHA-256 begins with {}, not {}",
                file.display(),
                ledger.display(),
                header.network.file,
                &model.sha256_hex()[..12],
                &recert_ledger::hex(&header.network.sha256)[..12],
            );
            return Err(Error::new(ErrorKind::Input, message).about(Field::Model));
        }
        let samples = Sampled::new(data, header.sigma).remembering(&opened);
        let loaded = Network::of_model(model.clone(), network, &header.network, &samples)?;
        let finished = finished_inputs(&opened)?;
        let certificates = opened.certificates(opened.base())?;
        let whole = |certificate: &&Certificate| {
            let all = samples_of(&certificate.evidence) == Some(header.n);
            all && finished.contains(&certificate.idx)
        };
        // Where there are several kinds of certificates, those of one claim: the largest of several radii is no statement.
        let claims = certificates
            .iter()
            .filter(whole)
            .map(|certificate| &certificate.claim);
        let of = |claim: &Arc<Claim>| {
            let same = certificates
                .iter()
                .filter(whole)
                .filter(move |c| c.claim == *claim);
            same.map(|certificate| CertifiedInput {
                idx: certificate.idx,
                radius: certificate.class.map_or(0.0, |_| certificate.radius),
            })
            .collect::<Vec<_>>()
        };
        let mut certified = claims.map(of).max_by_key(Vec::len).unwrap_or_default();
        certified.sort_by_key(|input| input.idx);
        if certified.is_empty() {
            let message = format!(
                "{} has no input that was certified with all n = {} samples: finish certifying one",
                ledger.display(),
                header.n,
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        Ok(Self {
            header,
            model,
            network: loaded,
            config: network.clone(),
            certified,
        })
    }

    /// The data that its ledger was made with.
    pub(in super::super) fn data(
        ledger: &Path,
        data: Option<&str>,
        options: &DataOptions,
    ) -> Result<Data> {
        let opened = Ledger::open_read_only(ledger)?;
        Data::reopen(&opened.header().data, data, options)
    }

    /// A version of it, computed as it is. What `search` has compared with the reference interpreter is not compared
    /// again.
    pub(in super::super) fn version(
        &self,
        model: Model,
        data: &Data,
        search: &Samples<'_>,
    ) -> Result<Network> {
        let mut samples = Sampled::new(data, self.header.sigma);
        if let Ok(ledger) = Ledger::open_read_only(&search.ledger) {
            samples = samples.remembering(&ledger);
        }
        Network::of_model(model, &self.config, &self.header.network, &samples)
    }

    /// A version that is a file, computed as `config` says, and what that leaves open as the original.
    pub(in super::super) fn file(
        &self,
        file: &Path,
        config: &NetworkConfig,
        data: &Data,
    ) -> Result<Network> {
        let samples = Sampled::new(data, self.header.sigma);
        Network::open_like(file, config, &self.header.network, samples)
    }

    /// The radii of its certificates, 0 for abstentions.
    pub(in super::super) fn radii(&self) -> Vec<f64> {
        self.certified.iter().map(|input| input.radius).collect()
    }

    /// For each layer by its name, in how many places of an image its weights are used.
    pub(in super::super) fn places(
        &self,
        maker: &Maker,
        data: &Data,
    ) -> Result<HashMap<String, u64>> {
        let graph = pixel_graph(maker.original(), data.shape(), &self.config.options()?)?.graph;
        let mut places = HashMap::new();
        for node in graph.nodes() {
            let image = |id: Option<ValueId>| -> Option<u64> {
                let shape = graph.value(id?).shape.at(1);
                Some(shape.get(2..)?.iter().product::<usize>() as u64)
            };
            // A transposed convolution uses its weights in each place of what it takes.
            let at = match node.op {
                Op::Conv { .. } => node.outputs.first().copied().flatten(),
                Op::ConvTranspose { .. } => node.inputs.first().copied().flatten(),
                _ => continue,
            };
            if let Some(count) = image(at) {
                places.insert(node.name.clone(), count);
            }
        }
        Ok(places)
    }
}

/// The samples that a certificate of the original rests on.
fn samples_of(evidence: &Evidence) -> Option<u64> {
    match evidence {
        Evidence::OneSided { n, .. } | Evidence::TwoSided { n, .. } => Some(*n),
        _ => None,
    }
}

/// A search's ledger.
pub(in super::super) struct Samples<'a> {
    original: &'a Original,
    data: &'a Data,
    config: SearchConfig,
    ledger: PathBuf,
    header: Header,
    /// The inputs that are looked at.
    inputs: Vec<CertifiedInput>,
}

impl<'a> Samples<'a> {
    /// A search in `ledger`, which is made or gone on with. Nothing is written yet.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for numbers out of range.
    pub(in super::super) fn new(
        original: &'a Original,
        data: &'a Data,
        config: &SearchConfig,
        ledger: &Path,
    ) -> Result<Self> {
        let refuse = |field, message: &str| Err(Error::parameter(field, message));
        if config.samples == 0 {
            return refuse(Field::Samples, "at least 1 sample of an input is needed");
        }
        if config.inputs == 0 {
            return refuse(Field::Inputs, "at least 1 input is needed");
        }
        if config.run.shard.is_some() {
            return refuse(
                Field::Shard,
                "a search looks at all of its inputs: it has no shards",
            );
        }
        let all = original.certified.len();
        let few = config.inputs.min(all);
        let inputs = (0..few).map(|i| original.certified[i * all / few]);
        let header = Header {
            n: config.samples,
            seed: fresh_seed(ledger)?,
            network: original.network.identity().clone(),
            data: data.record().to_owned(),
            ..original.header.clone()
        };
        if header.seed == original.header.seed {
            let message = format!(
                "{} has the seed of the certified network's ledger: a search may look at none of its samples, so \
                 name another file",
                ledger.display()
            );
            return Err(Error::parameter(Field::Search, message));
        }
        Ok(Self {
            original,
            data,
            config: config.clone(),
            ledger: ledger.to_owned(),
            header,
            inputs: inputs.collect(),
        })
    }

    /// The number of inputs that are looked at.
    pub(in super::super) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Evaluations of all networks so far, selection samples included.
    pub(in super::super) fn evaluations(&self) -> Result<u64> {
        let ledger = Ledger::open_read_only(&self.ledger)?;
        let mut evaluations = self.header.n0 * self.inputs.len() as u64;
        for (id, _) in ledger.networks()? {
            evaluations += ledger.stored_bytes(id)?.samples;
        }
        Ok(evaluations)
    }

    fn positions(&self) -> Vec<u32> {
        self.inputs.iter().map(|input| input.idx).collect()
    }

    fn session<'b>(
        &'b self,
        networks: Vec<&'b Network>,
        work: (Work, Option<&'static str>),
    ) -> Result<Session<'b>> {
        let subject = (networks, self.positions());
        let noise = (self.header.sigma, self.header.seed);
        let run = self.config.run;
        Session::new(
            &self.ledger,
            self.data,
            subject,
            work,
            noise,
            run,
            Vec::new(),
        )
    }

    /// Runs the original on all samples; whether it was finished.
    pub(in super::super) fn run_original(&self, events: &mut dyn Events) -> Result<bool> {
        let work = (Work::Certify(Sides::Two), None);
        let mut session = self.session(vec![&self.original.network], work)?;
        session.header = Some(self.header.clone());
        Ok(session.run(events)? == Outcome::Finished)
    }

    /// Runs versions on the first `samples` of each input, in one pass, and returns what was seen of each; `None` where
    /// it was stopped. The original must have been run.
    pub(in super::super) fn run(
        &self,
        networks: &[&Network],
        samples: u64,
        events: &mut dyn Events,
    ) -> Result<Option<Vec<Vec<InputPairs>>>> {
        let whole = (2.0 * self.header.alpha).min(MAX_ALPHA);
        let asked = Asked {
            alpha: config::alpha(whole, &[1.0])?,
            among: 1,
            sides: Sides::Two,
            methods: vec![Rule::Pairs(&Paired)],
            samples: vec![samples],
            goals: Vec::new(),
            until: None,
        };
        let session = self.session(networks.to_vec(), (Work::Recertify(asked), None))?;
        if session.run(events)? != Outcome::Finished {
            return Ok(None);
        }
        let ledger = Ledger::open_read_only(&self.ledger)?;
        let known = ledger.networks()?;
        let mut all = Vec::new();
        for network in networks {
            let name = NetworkName::new(network.identity());
            let is_it = |(_, known): &&(_, _)| NetworkName::new(known) == name;
            let (id, _) = known
                .iter()
                .find(is_it)
                .expect("a network that ran is there");
            let seen = self.seen(&ledger.certificates(*id)?, samples);
            if seen.len() != self.inputs.len() {
                let message = format!(
                    "{} holds pairs of {} of the {} inputs that are looked at: it is of another search, so name \
                     another file",
                    self.ledger.display(),
                    seen.len(),
                    self.inputs.len(),
                );
                return Err(Error::new(ErrorKind::Ledger, message).about(Field::Search));
            }
            all.push(seen);
        }
        Ok(Some(all))
    }

    /// What certificates by pairs on so many samples hold.
    fn seen(&self, certificates: &[Certificate], samples: u64) -> Vec<InputPairs> {
        let pairs = certificates.iter().filter_map(|certificate| {
            let Evidence::Pairs {
                k,
                n,
                m,
                disagreements,
                own,
                lost,
                gained,
                ..
            } = certificate.evidence
            else {
                return None;
            };
            let mut inputs = self.inputs.iter();
            let wanted = m == samples && inputs.any(|input| input.idx == certificate.idx);
            wanted.then_some(InputPairs {
                original: (k, n),
                pairs: m,
                disagreements,
                class: own + lost - gained,
                lost,
                gained,
            })
        });
        pairs.collect()
    }
}
