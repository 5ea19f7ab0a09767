//! The auditor's rerun: is what a ledger says the networks answered what they
//! answer?

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;

use recert_check::Unchecked;
use recert_engine::{
    Answers, Arithmetic, Classifier, ImageShape, Network as Loaded, NetworkOptions, engines,
};
use recert_ledger::{self as ledger, Header, INVALID, Ledger, NetworkId, Selection, Series, hex};
use recert_net::Model;
use recert_noise::{IntegerNoise, Law, NoiseKey, Stream, integer};
use recert_num::Sigma;
use recert_smooth::margin_code;
use recert_smooth::run::select;
use serde_json::{Value, json};

use crate::job::data::{Data, DataOptions};
use crate::job::network::Network;
use crate::{Error, ErrorKind, Field, Result};

/// Images in one call of the engine.
const BATCH: usize = 16;

/// What to run again of ledgers that are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RerunConfig {
    /// How many samples of each ledger, chosen at random.
    pub samples: u64,
    /// Chooses the samples; by default at random.
    pub seed: Option<u64>,
    /// Networks of the ledgers, ONNX files.
    pub models: Vec<PathBuf>,
    /// The inputs, where they are no longer where a ledger says.
    pub data: Option<String>,
    /// How to read them, as far as it is not as a ledger says.
    pub options: DataOptions,
}

/// Who runs samples of ledgers again: networks and data, found by the ledgers'
/// records or given by hand.
pub struct Auditor {
    config: RerunConfig,
    seed: u64,
    /// The files, each with its name and whether a ledger had it.
    models: Vec<(Model, String, Cell<bool>)>,
    networks: Vec<Network>,
    data: Option<Data>,
}

/// What came of running samples again.
#[derive(Debug)]
pub struct Rerun {
    /// Samples run again.
    pub samples: u64,
    /// Inputs of which all selection samples of a network were run again.
    pub selections: u64,
    /// What chose the samples.
    pub seed: u64,
    /// What was answered otherwise.
    pub differences: Vec<Difference>,
    /// Whether answers differ that may depend on the batch.
    pub(super) batch_dependent: bool,
    /// Networks that were not given.
    pub(super) missing: Vec<Unchecked>,
}

/// Something that was answered otherwise.
#[derive(Debug)]
pub struct Difference {
    /// The network's file.
    pub network: String,
    /// The input.
    pub idx: u32,
    /// The stream of its samples.
    pub stream: Stream,
    /// The sample; `None` for what all selection samples select.
    pub sample: Option<u32>,
    /// The answer in the ledger, as JSON.
    pub stored: Value,
    /// The answer now, as JSON.
    pub found: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network,
            idx,
            stream,
            stored,
            found,
            ..
        } = self;
        match self.sample {
            Some(sample) => write!(
                f,
                "{network} on sample {sample} of input {idx} (stream {stream})"
            ),
            None => write!(f, "{network} on the selection samples of input {idx}"),
        }?;
        write!(f, ": stored {stored}, run again {found}")
    }
}

impl Rerun {
    /// As JSON, in the schema of the check.
    pub fn json(&self) -> Value {
        let differences = self.differences.iter().map(|d| {
            json!({
                "network": d.network, "idx": d.idx, "stream": d.stream.tag(), "sample": d.sample,
                "stored": d.stored, "found": d.found,
            })
        });
        json!({
            "samples": self.samples, "selections": self.selections, "seed": self.seed,
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}

/// What was answered on a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    class: u16,
    /// Of the margin, where the ledger keeps it.
    bucket: Option<u8>,
}

impl Answer {
    fn json(self) -> Value {
        let mut answer = match self.class {
            INVALID => json!({"class": null}),
            class => json!({"class": class}),
        };
        if let Some(bucket) = self.bucket {
            answer["margin_bucket"] = json!(bucket);
        }
        answer
    }
}

/// What selection samples select, but for the time it took.
fn selected(selection: &Selection) -> Value {
    json!({
        "class": selection.class, "samples": selection.samples, "invalid": selection.invalid,
        "counts": selection.counts, "edges": selection.edges,
    })
}

/// A sample that is chosen to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Chosen {
    network: NetworkId,
    idx: u32,
    stream: u32,
    sample: u32,
}

impl Auditor {
    /// Reads the networks' files.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for no samples, [`ErrorKind::Input`] for a file that is no network.
    pub fn new(config: RerunConfig) -> Result<Self> {
        if config.samples == 0 {
            let message = "at least 1 sample must be run again";
            return Err(Error::parameter(Field::Rerun, message));
        }
        let models = config.models.iter().map(|path| {
            let name = path.display().to_string();
            Ok((Model::read(path)?, name, Cell::new(false)))
        });
        Ok(Self {
            // The standard library's hashers have keys from the system's entropy.
            seed: (config.seed)
                .unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish()),
            models: models.collect::<Result<_>>()?,
            networks: Vec::new(),
            data: None,
            config,
        })
    }

    /// The same with a network that is no file, or is loaded already.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// The same with data that the ledgers do not find, or that is open already.
    #[must_use]
    pub fn with_data(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// A file that no ledger had.
    pub(super) fn unused(&self) -> Option<&str> {
        let mut unused = self.models.iter().filter(|(_, _, used)| !used.get());
        unused.next().map(|(_, name, _)| name.as_str())
    }

    /// A worker's instance of a network of a ledger, if it was given.
    fn classifier(
        &self,
        network: &ledger::Network,
        image: ImageShape,
    ) -> Result<Option<Box<dyn Classifier>>> {
        let loaded = self.networks.iter().find(|n| n.identity() == network);
        if let Some(loaded) = loaded {
            loaded.check_image(image)?;
            return loaded.worker().map(Some);
        }
        let mut models = self.models.iter();
        let model = models.find(|(model, ..)| model.sha256() == network.sha256);
        let Some((model, _, used)) = model else {
            return Ok(None);
        };
        used.set(true);
        load(model, network, image).map(Some)
    }

    /// Runs samples of a ledger again, spread over its networks and inputs.
    pub(super) fn rerun(&self, ledger: &Ledger) -> Result<Rerun> {
        let header = ledger.header();
        let reopened;
        let data = if let Some(data) = &self.data {
            data
        } else {
            let given = self.config.data.as_deref();
            reopened = Data::reopen(&header.data, given, &self.config.options)?;
            &reopened
        };
        let mut rerun = Rerun {
            samples: 0,
            selections: 0,
            seed: self.seed,
            differences: Vec::new(),
            batch_dependent: false,
            missing: Vec::new(),
        };
        let mut given = BTreeMap::new();
        for (id, network) in ledger.networks()? {
            match self.classifier(&network, data.shape())? {
                Some(classifier) => {
                    given.insert(id, (network, classifier));
                }
                None => rerun
                    .missing
                    .push(Unchecked::NoModel { file: network.file }),
            }
        }
        let mut batch_invariant = true;
        let picked = self.pick(ledger, &given.keys().copied().collect::<Vec<_>>())?;
        for (id, (network, classifier)) in &mut given {
            let samples = picked.iter().copied().filter(|c| c.network == *id);
            let samples: Vec<Chosen> = samples.collect();
            batch_invariant &= network.batch_invariant;
            let mut again = Again {
                ledger,
                data,
                noise: Noise::new(header)?,
                classifier: classifier.as_mut(),
            };
            let difference = |idx, stream, sample, stored, found| Difference {
                network: network.file.clone(),
                idx,
                stream,
                sample,
                stored,
                found,
            };
            for (sample, found) in samples.iter().zip(again.answers(&samples)?) {
                rerun.samples += 1;
                let stored = stored(ledger, *sample)?;
                if stored != found {
                    rerun.differences.push(difference(
                        sample.idx,
                        Stream::from_tag(sample.stream).unwrap_or(Stream::Certify),
                        Some(sample.sample),
                        stored.json(),
                        found.json(),
                    ));
                }
            }
            // One input in ten of the samples that this costs, and one at least.
            let most = (samples.len() as u64 / 10 / header.n0.max(1)).max(1);
            for idx in self.pick_selected(ledger, *id, most)? {
                let (stored, found) = again.selection(*id, idx)?;
                rerun.selections += 1;
                if stored != found {
                    let selection = difference(idx, Stream::Selection, None, stored, found);
                    rerun.differences.push(selection);
                }
            }
        }
        rerun.batch_dependent = !rerun.differences.is_empty() && !batch_invariant;
        Ok(rerun)
    }

    /// Chooses inputs of which a network's selection samples are run again.
    fn pick_selected(&self, ledger: &Ledger, network: NetworkId, most: u64) -> Result<Vec<u32>> {
        let mut random = Random(self.seed);
        let mut held = Vec::new();
        for input in ledger.inputs()? {
            if ledger.selection(network, input.idx)?.is_some() {
                held.push(input.idx);
            }
        }
        let mut picked = Vec::new();
        while (picked.len() as u64) < most && !held.is_empty() {
            picked.push(held.swap_remove(random.below(held.len() as u64) as usize));
        }
        Ok(picked)
    }

    /// Chooses samples: one of every network and input (in a random order), then
    /// a second, and so on.
    fn pick(&self, ledger: &Ledger, networks: &[NetworkId]) -> Result<BTreeSet<Chosen>> {
        let mut random = Random(self.seed);
        let mut held = Vec::new();
        for &network in networks {
            for input in ledger.inputs()? {
                for stream in Stream::ALL {
                    let series = series(network, input.idx, stream.tag());
                    let runs = ledger.answered(series)?;
                    let count: u64 = runs.iter().map(|run| run.end - run.start).sum();
                    if count > 0 {
                        held.push((series, runs, count));
                    }
                }
            }
        }
        for i in (1..held.len()).rev() {
            held.swap(i, random.below(i as u64 + 1) as usize);
        }
        let all: u64 = held.iter().map(|(_, _, count)| count).sum();
        let wanted = self.config.samples.min(all);
        let mut picked = BTreeSet::new();
        let mut taken = vec![0_u64; held.len()];
        while (picked.len() as u64) < wanted {
            for (i, (series, runs, count)) in held.iter().enumerate() {
                if (picked.len() as u64) == wanted {
                    break;
                }
                if taken[i] == *count {
                    continue;
                }
                // Where it is taken already, another round will find one.
                let mut at = random.below(*count);
                for run in runs {
                    let length = run.end - run.start;
                    if at < length {
                        let sample = Chosen {
                            network: series.network,
                            idx: series.idx,
                            stream: series.stream.0,
                            sample: (run.start + at) as u32,
                        };
                        taken[i] += u64::from(picked.insert(sample));
                        break;
                    }
                    at -= length;
                }
            }
        }
        Ok(picked)
    }
}

/// Loads a network as the ledger says it was, or says what is different here.
fn load(
    model: &Model,
    network: &ledger::Network,
    image: ImageShape,
) -> Result<Box<dyn Classifier>> {
    let recorded = Arithmetic::from(network.precision.as_str());
    let runtime = engines::open(&network.engine, &recorded.options())?;
    let options = NetworkOptions {
        output: Some(network.output.clone()),
        preprocess: network.preprocess.parse()?,
    };
    let loaded = Loaded::load(model, runtime.as_ref(), image, &options)
        .map_err(|error| Error::from(error).during(format!("loading {}", network.file)))?;
    let engine = loaded.engine();
    let differ = |what: &str, there: &str, here: &dyn fmt::Display| {
        let message = format!(
            "{} was answered by {} with the {what} {there}, which here is {here}: another engine \
             may answer otherwise, so its answers cannot be run again here",
            network.file, network.engine,
        );
        Err(Error::new(ErrorKind::Ledger, message))
    };
    if engine.version != network.engine_version {
        return differ("version", &network.engine_version, &engine.version);
    }
    if engine.arithmetic != recorded {
        return differ("arithmetic", &network.precision, &engine.arithmetic);
    }
    Ok(loaded.worker()?)
}

/// A network that is run again.
struct Again<'a> {
    ledger: &'a Ledger,
    data: &'a Data,
    noise: Noise,
    classifier: &'a mut dyn Classifier,
}

impl Again<'_> {
    /// What it answers on a batch of samples.
    fn batch(&mut self, samples: &[Chosen]) -> Result<Answers> {
        let length = self.classifier.image_len();
        let mut noisy = vec![0.0; samples.len() * length];
        for (sample, out) in samples.iter().zip(noisy.chunks_exact_mut(length)) {
            let image = image(self.data, self.ledger, sample.idx)?;
            self.noise.add(*sample, &image, out)?;
        }
        Ok(self.classifier.classify(&noisy)?)
    }

    fn answers(&mut self, samples: &[Chosen]) -> Result<Vec<Answer>> {
        let mut found = Vec::with_capacity(samples.len());
        for batch in samples.chunks(BATCH) {
            let answers = self.batch(batch)?;
            for (i, sample) in batch.iter().enumerate() {
                let bucket = kept_margin(self.ledger, *sample)?.map(|(class, edges)| {
                    let margin = answers.margin(i, class);
                    margin.map_or(0, |margin| margin_code(&edges, margin))
                });
                found.push(Answer {
                    class: answers.class(i).unwrap_or(INVALID),
                    bucket,
                });
            }
        }
        Ok(found)
    }

    /// What the ledger says that all selection samples select, and what they do.
    fn selection(&mut self, network: NetworkId, idx: u32) -> Result<(Value, Value)> {
        let stored = self.ledger.selection(network, idx)?;
        let stored = stored.expect("only inputs with a selection are picked");
        let samples: Vec<Chosen> = (0..stored.samples as u32)
            .map(|sample| Chosen {
                network,
                idx,
                stream: Stream::Selection.tag(),
                sample,
            })
            .collect();
        let answers = samples.chunks(BATCH).map(|batch| self.batch(batch));
        let answers = answers.collect::<Result<Vec<_>>>()?;
        let found = select(&answers, stored.edges.is_some());
        Ok((selected(&stored), selected(&found)))
    }
}

/// The class whose margin the ledger keeps of a sample, and the edges of its
/// buckets; None where it keeps none.
fn kept_margin(ledger: &Ledger, sample: Chosen) -> Result<Option<(u16, Vec<f32>)>> {
    if sample.network != ledger.base() || sample.stream != Stream::Certify.tag() {
        return Ok(None);
    }
    let selection = ledger.selection(sample.network, sample.idx)?;
    Ok(selection.and_then(|selection| Some((selection.class, selection.edges?))))
}

/// The pixels of an input that has to be the ledger's.
fn image(data: &Data, ledger: &Ledger, idx: u32) -> Result<Vec<f32>> {
    let image = data.image(idx).map_err(|error| {
        let error = error.during(format!("the data of {}", ledger.path().display()));
        error.about(Field::Data)
    })?;
    let known = ledger.input(idx)?.map(|input| input.sha256);
    if known != Some(image.sha256()) {
        let message = format!(
            "ledger {}: is of other data: input {idx} has SHA-256 {} in the ledger, {} given",
            ledger.path().display(),
            known.map_or_else(String::new, |hash| hex(&hash)),
            hex(&image.sha256()),
        );
        return Err(Error::new(ErrorKind::Ledger, message).about(Field::Data));
    }
    Ok(image.pixels)
}

fn stored(ledger: &Ledger, sample: Chosen) -> Result<Answer> {
    let series = series(sample.network, sample.idx, sample.stream);
    let at = u64::from(sample.sample);
    let bucket = match kept_margin(ledger, sample)? {
        Some(_) => (ledger.answers_in(series, at..at + 1)?.0.margins).map(|margins| margins[0]),
        None => None,
    };
    let (classes, _) = ledger.answers_at(series, &[sample.sample])?;
    Ok(Answer {
        class: classes[0],
        bucket,
    })
}

fn series(network: NetworkId, idx: u32, stream: u32) -> Series {
    Series {
        network,
        idx,
        stream: ledger::Stream(stream),
    }
}

/// The noise of a ledger.
enum Noise {
    Gaussian(NoiseKey, f32),
    Integer(IntegerNoise),
}

impl Noise {
    fn new(header: &Header) -> Result<Self> {
        let law = Law::of_generator(&header.generator)
            .map_err(|error| Error::new(ErrorKind::Ledger, error.to_string()))?;
        Ok(match law {
            Law::Gaussian => {
                let sigma = recert_smooth::noise_sigma(Sigma::new(header.sigma)?)?;
                Self::Gaussian(NoiseKey::new(header.seed), sigma)
            }
            Law::Integer => {
                let noise = IntegerNoise::new(header.seed, header.sigma);
                Self::Integer(noise.map_err(|e| Error::new(ErrorKind::Ledger, e.to_string()))?)
            }
        })
    }

    fn add(&self, sample: Chosen, image: &[f32], out: &mut [f32]) -> Result<()> {
        let Chosen {
            idx,
            sample,
            stream,
            ..
        } = sample;
        let stream = Stream::from_tag(stream).ok_or_else(|| {
            let message = format!("stream {stream} is unknown to this version");
            Error::new(ErrorKind::Other, message)
        })?;
        match self {
            Self::Gaussian(key, sigma) => key.add(stream, idx, sample, *sigma, image, out),
            Self::Integer(noise) => {
                let levels = integer::levels(image).ok_or_else(|| {
                    let message = format!("input {idx} is not 8-bit, which integer noise needs");
                    Error::new(ErrorKind::Other, message)
                })?;
                noise.add(stream, idx, sample, &levels, out);
            }
        }
        Ok(())
    }
}

/// Steele, Lea and Flood's `SplitMix64`: which samples are looked at, no noise.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, nearly evenly.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}
