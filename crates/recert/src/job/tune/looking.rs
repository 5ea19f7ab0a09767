//! A search that goes on: the networks, what they cost, what is seen of them, and the certificates of the chosen.

use std::collections::BTreeMap;
use std::fs;

use recert_ledger::{Goal as LedgerGoal, Ledger, NetworkName, Parameters};
use recert_net::Model;
use recert_num::MAX_ALPHA;
use recert_report::tuned::Certified;
use recert_smooth::Outcome;
use recert_smooth::run::seconds_an_image;

use super::config::{Constraint, Cost, Proposals, TuneConfig};
use super::{
    Candidate, KEPT, LATENCIES, Layer, Passes, Source, TUNED, TuneEvent, TuneEvents, propose, race,
};
use crate::job::Amount;
use crate::job::data::Data;
use crate::job::network::Network;
use crate::job::recertify::{Goal, Recertification, RecertifyConfig};
use crate::job::search::{Estimator, InputPairs, Maker, Measure, Original, Recipe, Samples};
use crate::job::sensitivity::TOGETHER;
use crate::{Error, ErrorKind, Field, Result, output};

/// A search that goes on.
pub(super) struct Search<'a> {
    pub(super) config: &'a TuneConfig,
    pub(super) data: &'a Data,
    pub(super) original: &'a Original,
    pub(super) samples: Samples<'a>,
    pub(super) measure: Measure,
    pub(super) estimator: Estimator,
    pub(super) maker: Maker,
    pub(super) layers: Vec<Layer>,
}

impl Search<'_> {
    /// The layers that may change.
    pub(super) fn layers(&self) -> Result<Vec<Layer>> {
        let places = self.original.places(&self.maker, self.data)?;
        let all = self.maker.layers()?;
        if let Some(missing) =
            (self.config.space.keep.iter()).find(|kept| all.iter().all(|(name, _)| name != *kept))
        {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!(
                "keep: the network has no layer `{missing}`; those with weights are {}",
                names.join(", ")
            );
            return Err(Error::parameter(Field::Space, message));
        }
        let layers = all.into_iter().map(|(name, weights)| Layer {
            operations: weights * places.get(&name).copied().unwrap_or(1),
            name,
            weights,
        });
        Ok(layers.collect())
    }

    /// What a network by a recipe costs, where that is not measured.
    pub(super) fn recipe_cost(&self, recipe: &Recipe) -> f64 {
        let bits = |layer: &Layer| recipe.0.get(&layer.name).map_or(32, |change| change.bits());
        match self.config.space.cost {
            Cost::Operations => {
                let all = self.layers.iter();
                all.map(|layer| layer.operations as f64 * f64::from(bits(layer)))
                    .sum()
            }
            Cost::Size | Cost::Latency => {
                let weights: u64 = self.layers.iter().map(|layer| layer.weights).sum();
                let rest = (self.original.model.size() as f64 - 4.0 * weights as f64).max(0.0);
                let all = self.layers.iter();
                rest + all
                    .map(|l| l.weights as f64 * f64::from(bits(l)) / 8.0)
                    .sum::<f64>()
            }
        }
    }

    /// What the certified network costs.
    pub(super) fn original_cost(&self) -> Result<f64> {
        match self.config.space.cost {
            Cost::Size => Ok(self.original.model.size() as f64),
            Cost::Operations => Ok(self.recipe_cost(&Recipe::default())),
            Cost::Latency => self.latency(&self.original.network),
        }
    }

    /// Seconds an image, as they were measured first.
    pub(super) fn latency(&self, network: &Network) -> Result<f64> {
        let file = self.config.folder.join(LATENCIES);
        let mut known: BTreeMap<String, f64> = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).map_err(|why| {
                let message = format!(
                    "{}: {why}: remove it, and all are measured again",
                    file.display()
                );
                Error::new(ErrorKind::Input, message)
            })?,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(why) => {
                let message = format!("{}: {why}", file.display());
                return Err(Error::new(ErrorKind::Input, message));
            }
        };
        let identity = network.identity();
        let key = format!(
            "{} {}",
            recert_ledger::hex(&identity.sha256),
            identity.engine
        );
        if let Some(&seconds) = known.get(&key) {
            return Ok(seconds);
        }
        let mut worker = network.worker()?;
        let seconds = seconds_an_image(worker.as_mut())?;
        known.insert(key, seconds);
        let text = serde_json::to_string_pretty(&known).expect("numbers and texts are JSON");
        output::write(&file, text.as_bytes())?;
        Ok(seconds)
    }

    /// The network of a candidate, and what each layer of it became.
    pub(super) fn model(&self, source: &Source, name: &str) -> Result<Option<(Model, Recipe)>> {
        match source {
            Source::Recipe(recipe) => self.maker.make(recipe, &format!("{name}.onnx")),
            Source::File(file) => Ok(Some((Model::read(file)?, Recipe::default()))),
        }
    }

    /// The same again.
    pub(super) fn again(&self, candidate: &Candidate) -> Result<Model> {
        let made = self.model(&candidate.source, &candidate.name)?;
        match made {
            Some((model, _)) if model.sha256() == candidate.sha256 => Ok(model),
            _ => {
                let message = format!(
                    "{} is another network than it was when the search began",
                    candidate.name
                );
                Err(Error::new(ErrorKind::Input, message).about(Field::Space))
            }
        }
    }

    /// The networks to look at, and what was asked for and is the certified one.
    pub(super) fn candidates(
        &self,
        events: &mut impl TuneEvents,
    ) -> Result<Option<(Vec<Candidate>, Vec<String>)>> {
        let space = &self.config.space;
        let free = |layer: &&Layer| !space.keep.contains(&layer.name);
        let free: Vec<&Layer> = self.layers.iter().filter(free).collect();
        let mut sources: Vec<(String, Source)> = Vec::new();
        for file in &space.networks {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            sources.push((name.into_owned(), Source::File(file.clone())));
        }
        if !space.changes.is_empty() && !free.is_empty() {
            let room = space.candidates.saturating_sub(sources.len());
            let recipes = match space.proposals {
                Proposals::Random => propose::random(&free, &space.changes, room),
                Proposals::Layers => {
                    let Some(bearing) = self.bearing(&free, events)? else {
                        return Ok(None);
                    };
                    let cost = |recipe: &Recipe| self.recipe_cost(recipe);
                    propose::recipes(&free, &space.changes, &bearing, &cost, room)
                }
            };
            for recipe in recipes {
                sources.push((recipe.to_string(), Source::Recipe(recipe)));
            }
        }
        let (mut candidates, mut unchanged) = (Vec::<Candidate>::new(), Vec::new());
        for (name, source) in sources {
            let Some((model, done)) = self.model(&source, &name)? else {
                unchanged.push(name);
                continue;
            };
            let (sha256, bytes) = (model.sha256(), model.size());
            if sha256 == self.original.header.network.sha256 {
                unchanged.push(name);
                continue;
            }
            // Two recipes may come to the same, where a layer cannot become what another one does.
            if candidates.iter().any(|known| known.sha256 == sha256) {
                continue;
            }
            let (cost, network) = match (&source, space.cost) {
                (Source::Recipe(_), Cost::Size | Cost::Operations) => {
                    (self.recipe_cost(&done), None)
                }
                (Source::File(_), Cost::Size) => (bytes as f64, None),
                (Source::File(file), Cost::Operations) => {
                    let message = format!(
                        "{}: the bits of its weights are not known, so that it cannot be compared by operations: take \
                         size or latency as the cost",
                        file.display()
                    );
                    return Err(Error::parameter(Field::Space, message));
                }
                (_, Cost::Latency) => {
                    let network = self.original.version(model, self.data, &self.samples)?;
                    (self.latency(&network)?, Some(network))
                }
            };
            candidates.push(Candidate {
                layers: done
                    .0
                    .iter()
                    .map(|(layer, change)| (layer.clone(), change.to_string()))
                    .collect(),
                name,
                source,
                sha256,
                bytes,
                cost,
                network,
                samples: 0,
                loss: None,
                stopped: false,
            });
        }
        if candidates.is_empty() {
            let message = "not one network of the search is another than the certified one";
            return Err(Error::parameter(Field::Space, message));
        }
        Ok(Some((candidates, unchanged)))
    }

    /// What each layer is expected to lose by each change, looked at alone on few samples.
    pub(super) fn bearing(
        &self,
        layers: &[&Layer],
        events: &mut impl TuneEvents,
    ) -> Result<Option<propose::Bearing>> {
        let mut bearing = propose::Bearing::new();
        let mut versions = Vec::new();
        for layer in layers {
            for &change in &self.config.space.changes {
                let name = format!("{change} in {}.onnx", layer.name);
                match self.maker.make(&Recipe::one(&layer.name, change), &name)? {
                    Some((model, done)) if done.0.values().any(|done| *done == change) => {
                        versions.push((layer.name.clone(), change, model));
                    }
                    // It cannot become that, or only a part of it.
                    _ => {}
                }
            }
        }
        events.event(TuneEvent::Layers {
            networks: versions.len(),
        });
        let samples = race::rounds(self.config.search.samples)[0];
        let mut versions = versions.into_iter().peekable();
        while versions.peek().is_some() {
            let together: Vec<_> = versions.by_ref().take(TOGETHER).collect();
            let mut networks = Vec::new();
            for (_, _, model) in &together {
                networks.push(
                    self.original
                        .version(model.clone(), self.data, &self.samples)?,
                );
            }
            let networks: Vec<&Network> = networks.iter().collect();
            let Some(seen) = self.samples.run(&networks, samples, &mut Passes(events))? else {
                return Ok(None);
            };
            for ((layer, change, _), pairs) in together.into_iter().zip(seen) {
                bearing.insert((layer, change), self.estimator.loss(&pairs)?.estimate);
            }
        }
        Ok(Some(bearing))
    }

    /// Looks at the candidates on more and more samples, and stops with those that another one beats; what was
    /// seen of the original on them.
    pub(super) fn race(
        &self,
        candidates: &mut [Candidate],
        events: &mut impl TuneEvents,
    ) -> Result<Option<Vec<InputPairs>>> {
        let mut original = Vec::new();
        let rounds = race::rounds(self.config.search.samples);
        let deviations = race::deviations(candidates.len(), rounds.len());
        for samples in rounds {
            let left: Vec<usize> = (0..candidates.len())
                .filter(|&i| !candidates[i].stopped)
                .collect();
            events.event(TuneEvent::Round {
                samples,
                networks: left.len(),
            });
            for together in left.chunks(TOGETHER) {
                for &i in together {
                    self.load(&mut candidates[i])?;
                }
                let networks = together.iter().map(|&i| candidates[i].network.as_ref());
                let networks: Vec<&Network> = networks.map(|n| n.expect("it is loaded")).collect();
                let Some(seen) = self.samples.run(&networks, samples, &mut Passes(events))? else {
                    return Ok(None);
                };
                for (&i, pairs) in together.iter().zip(seen) {
                    candidates[i].samples = samples;
                    candidates[i].loss = Some(self.estimator.loss(&pairs)?);
                    original = pairs;
                }
                if candidates.iter().map(|c| c.bytes).sum::<usize>() > KEPT {
                    for &i in together {
                        candidates[i].network = None;
                    }
                }
            }
            let standings: Vec<_> = candidates.iter().map(Candidate::standing).collect();
            let beaten = race::beaten(&standings, deviations);
            for (candidate, beaten) in candidates.iter_mut().zip(beaten) {
                candidate.stopped |= beaten;
                if candidate.stopped {
                    candidate.network = None;
                }
            }
        }
        // Those that went all the way were not stopped, whatever the last round said.
        for candidate in candidates {
            candidate.stopped &= candidate.samples < self.config.search.samples;
        }
        Ok(Some(original))
    }

    pub(super) fn load(&self, candidate: &mut Candidate) -> Result<()> {
        if candidate.network.is_none() {
            let model = self.again(candidate)?;
            candidate.network = Some(self.original.version(model, self.data, &self.samples)?);
        }
        Ok(())
    }

    /// What certificates with these radii have.
    pub(super) fn value(&self, radii: &[f64]) -> f64 {
        let all = radii.len().max(1) as f64;
        match self.measure {
            Measure::Radius => radii.iter().sum::<f64>() / all,
            Measure::ShareAt(least) => radii.iter().filter(|r| **r >= least).count() as f64 / all,
        }
    }

    /// What is measured, in words.
    pub(super) fn words(&self) -> String {
        match self.measure {
            Measure::Radius => "average certified radius of any class".to_owned(),
            Measure::ShareAt(radius) => format!("share certified at radius {radius}, of any class"),
        }
    }

    /// The least value that was asked for.
    pub(super) fn least(&self) -> Option<f64> {
        Some(match self.config.space.constraint? {
            Constraint::Radius(radius) => radius,
            Constraint::RadiusShare(share) => share * self.value(&self.original.radii()),
            Constraint::ShareAt { least, .. } => least,
        })
    }

    /// How much may be lost, if something was asked for, of the value that the original itself would be certified to
    /// have by the budget, from scratch, at a share of alpha. That is estimated from the samples of the search, as no
    /// answer on the ledger's samples may have a part in what is chosen.
    pub(super) fn allowed(&self, pairs: &[InputPairs], budget: u64) -> Result<Option<f64>> {
        let Some(constraint) = self.config.space.constraint else {
            return Ok(None);
        };
        let header = &self.original.header;
        let share = (2.0 * header.alpha).min(MAX_ALPHA) / self.config.space.chosen as f64;
        let each = (budget / self.original.certified.len() as u64).clamp(1, header.n);
        let by_budget = Estimator::new(header.sigma, share, each, self.measure)?.original(pairs)?;
        let least = match constraint {
            Constraint::Radius(radius) => radius,
            Constraint::RadiusShare(share) => share * self.estimator.original(pairs)?,
            Constraint::ShareAt { least, .. } => least,
        };
        Ok(Some(by_budget - least))
    }

    /// Fails where the folder has certificates, or files, of other networks than these: they are of another choice.
    pub(super) fn check_chosen(&self, models: &[Model]) -> Result<()> {
        const REMEDY: &str = "one search is stated of one ledger: search into another folder, from a ledger that was \
                              certified with a fresh seed";
        let tuned = self.config.folder.join(TUNED);
        if tuned.exists() {
            let ledger = Ledger::open_read_only(&tuned)?;
            let known = ledger
                .networks()?
                .into_iter()
                .filter(|(id, _)| *id != ledger.base());
            let is_other = |sha256: &[u8; 32]| models.iter().all(|model| model.sha256() != *sha256);
            let mut known = known.map(|(_, network)| network);
            if let Some(other) = known.find(|network| is_other(&network.sha256)) {
                let message = format!(
                    "{} has certificates of {}, which was chosen before by another search: {REMEDY}",
                    tuned.display(),
                    other.file
                );
                return Err(Error::new(ErrorKind::Ledger, message).about(Field::Out));
            }
        }
        for model in models {
            let file = self.config.folder.join(model.name());
            if file.exists() && Model::read(&file)?.sha256() != model.sha256() {
                let message = format!(
                    "{} is there and is another network: {REMEDY}",
                    file.display()
                );
                return Err(Error::new(ErrorKind::Input, message).about(Field::Out));
            }
        }
        Ok(())
    }

    /// Writes the networks that were chosen, recertifies them and returns what each has, by its position.
    pub(super) fn certify(
        &self,
        candidates: &mut [Candidate],
        chosen: &[usize],
        budget: u64,
        events: &mut impl TuneEvents,
    ) -> Result<Option<BTreeMap<usize, Certified>>> {
        let mut models = Vec::new();
        for (rank, &i) in chosen.iter().enumerate() {
            let name = format!("{}.onnx", rank + 1);
            models.push(Model::from_bytes(
                name,
                self.again(&candidates[i])?.to_bytes(),
            )?);
            candidates[i].network = None;
        }
        self.check_chosen(&models)?;
        let mut files = Vec::new();
        for model in &models {
            let file = self.config.folder.join(model.name());
            model
                .write(&file)
                .map_err(|why| Error::output("a network", Error::from(why)))?;
            files.push(file);
        }
        events.event(TuneEvent::Chosen { files: &files });
        let recertify = RecertifyConfig {
            goal: Goal::Budget(vec![Amount::Count(budget)]),
            run: self.config.search.run,
            ..RecertifyConfig::default()
        };
        let recertification = Recertification::open(&self.config.ledger, &recertify, files.len())?;
        let networks = (files.iter())
            .map(|file| recertification.network(file, &self.config.network, self.data))
            .collect::<Result<Vec<_>>>()?;
        let tuned = self.config.folder.join(TUNED);
        let recertification = recertification.into_copy(&tuned, self.data, &networks)?;
        let outcome = recertification
            .job(self.data, &networks)?
            .run(&mut Passes(events))?;
        if outcome != Outcome::Finished {
            return Ok(None);
        }
        let ledger = Ledger::open_read_only(&tuned)?;
        let mut certified = BTreeMap::new();
        for ((&i, file), network) in chosen.iter().zip(&files).zip(&networks) {
            let (radii, evaluations) = certificates(&ledger, network, (budget, chosen.len()))?;
            let value = self.value(&radii);
            certified.insert(
                i,
                Certified {
                    file: file.display().to_string(),
                    value,
                    evaluations,
                    meets: self.least().is_none_or(|least| value >= least),
                },
            );
        }
        Ok(Some(certified))
    }
}

/// The radii of a network's certificates by a budget, among so many, 0 for abstentions, and what they rest on.
fn certificates(
    ledger: &Ledger,
    network: &Network,
    (budget, among): (u64, usize),
) -> Result<(Vec<f64>, u64)> {
    let name = NetworkName::new(network.identity());
    let known = ledger.networks()?;
    let (id, _) = (known.iter())
        .find(|(_, known)| NetworkName::new(known) == name)
        .expect("a network that ran is in the ledger");
    let alpha = (2.0 * ledger.header().alpha).min(MAX_ALPHA);
    let (mut radii, mut evaluations) = (Vec::new(), 0);
    for certificate in ledger.certificates(*id)? {
        let (claim, parameters) = (&certificate.claim, &certificate.claim.parameters);
        // By the rule of today: an earlier version may have begun the same.
        let is_it = matches!(parameters, Parameters::Auto { rule: Some(_), .. })
            && claim.alpha == alpha
            && parameters.among() as usize == among
            && parameters.goal() == Some(LedgerGoal::Budget(budget));
        if is_it {
            radii.push(certificate.class.map_or(0.0, |_| certificate.radius));
            evaluations += certificate.evaluations;
        }
    }
    Ok((radii, evaluations))
}
