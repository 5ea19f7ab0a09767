//! Running some samples again: is what the ledger says the networks answered
//! what they answer?

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};

use anyhow::{Context, Result};
use recert::check::Unchecked;
use recert::data::Dataset;
use recert::engine::{
    Answers, Arithmetic, Classifier, ImageShape, Network as Loaded, NetworkOptions, engines,
};
use recert::ledger::{self, Header, INVALID, Ledger, NetworkId, Selection, Series, hex};
use recert::net::Model;
use recert::noise::{IntegerNoise, Law, NoiseKey, Stream, integer};
use recert::num::Sigma;
use recert::smooth::margin_code;
use recert::smooth::run::select;
use serde_json::{Value, json};

use crate::args::Check;
use crate::config::Data;
use crate::exit::{Code, Failure};

/// Images in one call of the engine.
const BATCH: usize = 16;

/// The networks given, and how many samples to run.
pub(super) struct Models<'a> {
    args: &'a Check,
    samples: u64,
    seed: u64,
    /// Each with its name and whether a ledger had it.
    given: Vec<(Model, String, Cell<bool>)>,
}

/// What came of it.
pub(super) struct Rerun {
    pub(super) samples: u64,
    /// Inputs of which all selection samples of a network were run again.
    pub(super) selections: u64,
    pub(super) seed: u64,
    pub(super) differences: Vec<Difference>,
    /// Networks that were not given.
    pub(super) skipped: Vec<Unchecked>,
    /// Whether every engine promises answers that do not depend on the batch.
    pub(super) batch_invariant: bool,
}

/// Something that was answered otherwise.
pub(super) struct Difference {
    network: String,
    idx: u32,
    stream: Stream,
    /// None for what all selection samples select.
    sample: Option<u32>,
    stored: Value,
    found: Value,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    pub(super) fn json(&self) -> Value {
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

/// A sample to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    network: NetworkId,
    idx: u32,
    stream: u32,
    sample: u32,
}

impl<'a> Models<'a> {
    pub(super) fn read(args: &'a Check, samples: u64) -> Result<Self> {
        let models = args.model.iter().map(|path| {
            let name = path.display().to_string();
            Ok((Model::read(path)?, name, Cell::new(false)))
        });
        Ok(Self {
            args,
            samples,
            // The standard library's hashers have keys from the system's entropy.
            seed: args
                .seed
                .unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish()),
            given: models.collect::<Result<_>>()?,
        })
    }

    /// A network that no ledger had.
    pub(super) fn unused(&self) -> Option<&str> {
        let mut unused = self.given.iter().filter(|(_, _, used)| !used.get());
        unused.next().map(|(_, name, _)| name.as_str())
    }

    /// Runs samples of a ledger again, spread over its networks and inputs.
    pub(super) fn rerun(&self, ledger: &Ledger) -> Result<Rerun> {
        let header = ledger.header();
        let data = Data::reopen(
            &header.data,
            self.args.data.as_deref(),
            &self.args.data_args,
        )?;
        let mut given = BTreeMap::new();
        let mut rerun = Rerun {
            samples: 0,
            selections: 0,
            seed: self.seed,
            differences: Vec::new(),
            skipped: Vec::new(),
            batch_invariant: true,
        };
        for (id, network) in ledger.networks()? {
            let model = self
                .given
                .iter()
                .find(|(model, ..)| model.sha256() == network.sha256);
            if let Some((model, _, used)) = model {
                used.set(true);
                given.insert(id, (model, network));
            } else {
                rerun
                    .skipped
                    .push(Unchecked::NoModel { file: network.file });
            }
        }
        let picked = self.pick(ledger, &given.keys().copied().collect::<Vec<_>>())?;
        for (id, (model, network)) in &given {
            let samples: Vec<Place> = picked
                .iter()
                .copied()
                .filter(|c| c.network == *id)
                .collect();
            rerun.batch_invariant &= network.batch_invariant;
            let mut classifier = load(model, network, data.shape())?;
            let file = &network.file;
            let mut again = Again {
                ledger,
                data: &data.set,
                noise: Noise::new(header)?,
                classifier: classifier.as_mut(),
            };
            for (sample, found) in samples.iter().zip(again.answers(&samples)?) {
                rerun.samples += 1;
                let stored = stored(ledger, *sample)?;
                if stored != found {
                    rerun.differences.push(Difference {
                        network: file.clone(),
                        idx: sample.idx,
                        stream: Stream::from_tag(sample.stream).unwrap_or(Stream::Certify),
                        sample: Some(sample.sample),
                        stored: stored.json(),
                        found: found.json(),
                    });
                }
            }
            // One input in ten of the samples that this costs, and one at least.
            let most = (samples.len() as u64 / 10 / header.n0.max(1)).max(1);
            for idx in self.pick_selected(ledger, *id, most)? {
                let (stored, found) = again.selection(*id, idx)?;
                rerun.selections += 1;
                if stored != found {
                    rerun.differences.push(Difference {
                        network: file.clone(),
                        idx,
                        stream: Stream::Selection,
                        sample: None,
                        stored,
                        found,
                    });
                }
            }
        }
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
    fn pick(&self, ledger: &Ledger, networks: &[NetworkId]) -> Result<BTreeSet<Place>> {
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
        let wanted = self.samples.min(all);
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
                        let place = Place {
                            network: series.network,
                            idx: series.idx,
                            stream: series.stream.0,
                            sample: (run.start + at) as u32,
                        };
                        taken[i] += u64::from(picked.insert(place));
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
        .with_context(|| format!("loading {}", network.file))?;
    let engine = loaded.engine();
    let differ = |what: &str, there: &str, here: &dyn std::fmt::Display| {
        let message = format!(
            "{} was answered by {} with the {what} {there}, which here is {here}: another engine \
             may answer otherwise, so its answers cannot be run again here",
            network.file, network.engine,
        );
        Err(Failure::new(Code::Ledger, message).into())
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
    data: &'a Dataset,
    noise: Noise,
    classifier: &'a mut dyn Classifier,
}

impl Again<'_> {
    /// What it answers on a batch of samples.
    fn batch(&mut self, samples: &[Place]) -> Result<Answers> {
        let length = self.classifier.image_len();
        let mut noisy = vec![0.0; samples.len() * length];
        for (sample, out) in samples.iter().zip(noisy.chunks_exact_mut(length)) {
            let image = image(self.data, self.ledger, sample.idx)?;
            self.noise.add(*sample, &image, out)?;
        }
        Ok(self.classifier.classify(&noisy)?)
    }

    fn answers(&mut self, samples: &[Place]) -> Result<Vec<Answer>> {
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
        let stored = stored.context("a selection that was there")?;
        let samples: Vec<Place> = (0..stored.samples as u32)
            .map(|sample| Place {
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
fn kept_margin(ledger: &Ledger, sample: Place) -> Result<Option<(u16, Vec<f32>)>> {
    if sample.network != ledger.base() || sample.stream != Stream::Certify.tag() {
        return Ok(None);
    }
    let selection = ledger.selection(sample.network, sample.idx)?;
    Ok(selection.and_then(|selection| Some((selection.class, selection.edges?))))
}

/// The pixels of an input that has to be the ledger's.
fn image(data: &Dataset, ledger: &Ledger, idx: u32) -> Result<Vec<f32>> {
    let image = data.image(idx).with_context(|| {
        format!(
            "the data of {} (another place is given with --data)",
            ledger.path().display()
        )
    })?;
    let known = ledger.input(idx)?.map(|input| input.sha256);
    if known != Some(image.sha256()) {
        let message = format!(
            "ledger {}: is of other data: input {idx} has SHA-256 {} in the ledger, {} given (see \
             --data)",
            ledger.path().display(),
            known.map_or_else(String::new, |hash| hex(&hash)),
            hex(&image.sha256()),
        );
        return Err(Failure::new(Code::Ledger, message).into());
    }
    Ok(image.pixels)
}

fn stored(ledger: &Ledger, sample: Place) -> Result<Answer> {
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
            .map_err(|error| Failure::new(Code::Ledger, error.to_string()))?;
        Ok(match law {
            Law::Gaussian => {
                let sigma = recert::smooth::noise_sigma(Sigma::new(header.sigma)?)?;
                Self::Gaussian(NoiseKey::new(header.seed), sigma)
            }
            Law::Integer => {
                let noise = IntegerNoise::new(header.seed, header.sigma);
                Self::Integer(noise.map_err(|e| Failure::new(Code::Ledger, e.to_string()))?)
            }
        })
    }

    fn add(&self, sample: Place, image: &[f32], out: &mut [f32]) -> Result<()> {
        let Place {
            idx,
            sample,
            stream,
            ..
        } = sample;
        let stream = Stream::from_tag(stream)
            .with_context(|| format!("stream {stream} is unknown to this version"))?;
        match self {
            Self::Gaussian(key, sigma) => key.add(stream, idx, sample, *sigma, image, out),
            Self::Integer(noise) => {
                let levels = integer::levels(image).with_context(|| {
                    format!("input {idx} is not 8-bit, which integer noise needs")
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
