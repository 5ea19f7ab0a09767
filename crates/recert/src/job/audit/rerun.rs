//! The auditor's rerun: are the answers in a ledger those that its networks give?

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use fastrand::Rng;
use recert_check::Unchecked;
use recert_data::Image;
use recert_engine::{Classifier, ImageShape};
use recert_ledger::{self as ledger, INVALID, Ledger, NetworkId, Series, hex};
use recert_net::Model;
use recert_noise::Stream;
use recert_smooth::run::{
    Action, Assignment, BATCH, MarginEdges, NoiseParameters, Output, Request, Samples, Worker,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::job::config;
use crate::job::data::{Data, DataOptions};
use crate::job::network::Network;
use crate::{Error, ErrorKind, Field, Result};

/// What to run again of ledgers that are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RerunConfig {
    /// Samples of each ledger to run again, chosen at random over networks and inputs.
    pub samples: u64,
    /// Chooses the samples; by default at random.
    pub seed: Option<u64>,
    /// Networks of the ledgers, ONNX files.
    pub models: Vec<PathBuf>,
    /// The inputs, where they are no longer at the path that a ledger records.
    pub data: Option<String>,
    /// How to read them; what is left open is as a ledger records it.
    pub options: DataOptions,
}

/// Runs samples of ledgers again: with networks and data that the ledgers'
/// records lead to, or that are given here.
///
/// ```
/// use recert::job::{Auditor, RerunConfig, check};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = certified(folder.path())?;
/// // Of a ledger of images and a network that are in memory, and given again:
/// let (data, network) = (dots()?, brighter_than(1.0)?);
/// let rerun = RerunConfig { samples: 50, ..RerunConfig::default() };
/// let auditor = Auditor::new(rerun)?.with_network(network).with_data(data);
/// let checked = check(&[ledger], Some(&auditor))?;
/// assert_eq!(checked[0].wrong(), 0);
/// let rerun = checked[0].result.as_ref().unwrap().rerun.as_ref().unwrap();
/// assert_eq!((rerun.samples, rerun.differences.len()), (50, 0));
/// # Ok(())
/// # }
/// ```
pub struct Auditor {
    config: RerunConfig,
    seed: u64,
    models: Vec<Model>,
    /// SHA-256 of the models that a ledger had.
    used: RefCell<BTreeSet<[u8; 32]>>,
    networks: Vec<Network>,
    data: Option<Data>,
}

/// What came of running samples again; its JSON is a part of the check's.
#[derive(Debug, Serialize)]
pub struct Rerun {
    /// Samples run again.
    pub samples: u64,
    /// Inputs of which all selection samples of a network were run again.
    pub selections: u64,
    /// What chose the samples.
    pub seed: u64,
    /// Answers that are not those in the ledger.
    pub differences: Vec<Difference>,
    /// Whether answers differ that may depend on the batch.
    #[serde(skip)]
    pub(super) batch_dependent: bool,
    /// Networks that were not given.
    #[serde(skip)]
    pub(super) missing: Vec<Unchecked>,
}

/// An answer, or a selection, that is not the one in the ledger.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The network's file.
    pub network: String,
    /// The input's position in the data.
    pub idx: u32,
    /// The stream that the sample's noise is of.
    #[serde(serialize_with = "tag")]
    pub stream: Stream,
    /// The sample's number in the stream; `None` for what all selection samples select.
    pub sample: Option<u32>,
    /// The answer in the ledger, as JSON.
    pub stored: Value,
    /// The answer now, as JSON.
    pub found: Value,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn tag<S: Serializer>(stream: &Stream, serializer: S) -> Result<S::Ok, S::Error> {
    stream.tag().serialize(serializer)
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

/// Samples of one series that are chosen to be run again.
struct Chosen {
    series: Series,
    stream: Stream,
    samples: Vec<u32>,
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
        let models = config.models.iter().map(Model::read);
        Ok(Self {
            seed: config.seed.unwrap_or_else(|| fastrand::u64(..)),
            models: models.collect::<Result<_, _>>()?,
            used: RefCell::default(),
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
    pub(super) fn unused(&self) -> Option<&PathBuf> {
        let used = self.used.borrow();
        let unused = self.models.iter().position(|m| !used.contains(&m.sha256()));
        unused.map(|position| &self.config.models[position])
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
        let model = self.models.iter().find(|m| m.sha256() == network.sha256);
        let Some(model) = model else {
            return Ok(None);
        };
        self.used.borrow_mut().insert(network.sha256);
        let network = Network::recorded(model.clone(), network, image)?;
        network.worker().map(Some)
    }

    /// Runs samples of a ledger again, spread over its networks and inputs.
    pub(super) fn rerun(&self, ledger: &Ledger) -> Result<Rerun> {
        let header = ledger.header();
        config::law(ledger)?;
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
        let mut given = Vec::new();
        for (id, network) in ledger.networks()? {
            match self.classifier(&network, data.shape())? {
                Some(classifier) => given.push((id, network, classifier)),
                None => rerun
                    .missing
                    .push(Unchecked::NoModel { file: network.file }),
            }
        }
        let ids: Vec<_> = given.iter().map(|(id, ..)| *id).collect();
        let all_chosen = self.choose(ledger, &ids)?;
        for (id, network, classifier) in given {
            let mut again = Again {
                ledger,
                data,
                worker: Worker::new(vec![classifier], BATCH)?,
            };
            let mut samples = 0;
            let mut compared = Vec::new();
            for chosen in all_chosen.iter().filter(|c| c.series.network == id) {
                samples += chosen.samples.len() as u64;
                let answers = again.answers(chosen)?;
                for (&sample, (stored, found)) in chosen.samples.iter().zip(answers) {
                    let idx = chosen.series.idx;
                    compared.push((idx, chosen.stream, Some(sample), stored, found));
                }
            }
            // Selection samples cost a tenth of the samples, and one input's at least.
            let most = (samples / 10 / header.n0.max(1)).max(1);
            for idx in self.choose_selections(ledger, id, most)? {
                let (stored, found) = again.selection(id, idx)?;
                compared.push((idx, Stream::Selection, None, stored, found));
                rerun.selections += 1;
            }
            rerun.samples += samples;
            for (idx, stream, sample, stored, found) in compared {
                if stored != found {
                    rerun.batch_dependent |= !network.batch_invariant;
                    rerun.differences.push(Difference {
                        network: network.file.clone(),
                        idx,
                        stream,
                        sample,
                        stored,
                        found,
                    });
                }
            }
        }
        Ok(rerun)
    }

    /// Chooses inputs of which a network's selection samples are run again.
    fn choose_selections(
        &self,
        ledger: &Ledger,
        network: NetworkId,
        most: u64,
    ) -> Result<Vec<u32>> {
        let mut held = Vec::new();
        for input in ledger.inputs()? {
            if ledger.selection(network, input.idx)?.is_some() {
                held.push(input.idx);
            }
        }
        Ok(Rng::with_seed(self.seed).choose_multiple(held, most as usize))
    }

    /// Chooses samples: one of each series of the networks (in a random order),
    /// then a second, and so on.
    fn choose(&self, ledger: &Ledger, networks: &[NetworkId]) -> Result<Vec<Chosen>> {
        struct Held {
            series: Series,
            stream: Stream,
            answered: Vec<Range<u64>>,
            count: u64,
            share: u64,
        }
        let mut random = Rng::with_seed(self.seed);
        let mut all = Vec::new();
        for &network in networks {
            for input in ledger.inputs()? {
                for stream in Stream::ALL {
                    let series = series(network, input.idx, stream);
                    let answered = ledger.answered(series)?;
                    all.push(Held {
                        series,
                        stream,
                        count: answered.iter().map(|range| range.end - range.start).sum(),
                        answered,
                        share: 0,
                    });
                }
            }
        }
        random.shuffle(&mut all);
        let held: u64 = all.iter().map(|held| held.count).sum();
        let mut left = self.config.samples.min(held);
        while left > 0 {
            let unspent = all.iter_mut().filter(|held| held.share < held.count);
            for held in unspent.take(left as usize) {
                held.share += 1;
                left -= 1;
            }
        }
        all.sort_by_key(|held| (held.series.network, held.series.idx, held.stream.tag()));
        let chosen = all.into_iter().filter(|held| held.share > 0).map(|held| {
            let answered = held.answered.into_iter().flatten();
            let mut samples = random.choose_multiple(answered, held.share as usize);
            samples.sort_unstable();
            Chosen {
                series: held.series,
                stream: held.stream,
                samples: samples.into_iter().map(|sample| sample as u32).collect(),
            }
        });
        Ok(chosen.collect())
    }
}

/// A network of a ledger that is run again.
struct Again<'a> {
    ledger: &'a Ledger,
    data: &'a Data,
    worker: Worker,
}

impl Again<'_> {
    fn run(
        &mut self,
        idx: u32,
        stream: Stream,
        samples: Samples,
        action: Action,
    ) -> Result<Output> {
        let image = image(self.data, self.ledger, idx)?;
        let header = self.ledger.header();
        let request = Request {
            id: 0,
            noise: NoiseParameters {
                generator: header.generator.clone(),
                seed: header.seed,
                sigma: header.sigma,
            },
            stream,
            input: idx,
            sha256: image.sha256(),
            assignments: vec![Assignment {
                network: 0,
                samples,
                action,
            }],
        };
        let mut reply = self.worker.evaluate(&request, &image.pixels);
        let result = reply.results.pop().expect("an assignment has a result");
        result.map_err(|failure| recert_smooth::Error::from(failure).into())
    }

    /// The answers in the ledger and those now, each as JSON.
    fn answers(&mut self, chosen: &Chosen) -> Result<Vec<(Value, Value)>> {
        let Chosen {
            series,
            stream,
            samples,
        } = chosen;
        // Margins are kept of the original network's estimation samples.
        let of_original = series.network == self.ledger.base() && *stream == Stream::Certify;
        let selection = self.ledger.selection(series.network, series.idx)?;
        let edges = selection.filter(|_| of_original).and_then(|selection| {
            Some(MarginEdges {
                class: selection.class,
                edges: selection.edges?,
            })
        });
        let (stored, _) = self.ledger.answers_at(*series, samples)?;
        let mut stored_margins = vec![None; samples.len()];
        if edges.is_some() {
            for (margin, &sample) in stored_margins.iter_mut().zip(samples) {
                let sample = u64::from(sample);
                let codes = self.ledger.answers_in(*series, sample..sample + 1)?.0;
                *margin = codes.margins.and_then(|margins| margins.first().copied());
            }
        }
        let action = Action::Answer { margins: edges };
        let samples = Samples::from_ascending(samples);
        let Output::Answered {
            classes, margins, ..
        } = self.run(series.idx, *stream, samples, action)?
        else {
            unreachable!("answers were asked for");
        };
        let margins = margins.map_or(vec![None; classes.len()], |margins| {
            margins.into_iter().map(Some).collect()
        });
        let stored = stored.into_iter().zip(stored_margins);
        let found = classes.into_iter().zip(margins);
        let both = stored.zip(found);
        Ok(both.map(|(a, b)| (answer(a), answer(b))).collect())
    }

    /// What all selection samples of an input select by the ledger, and now, each
    /// as JSON. The class follows from the counts, as the check has found.
    fn selection(&mut self, network: NetworkId, idx: u32) -> Result<(Value, Value)> {
        let stored = self.ledger.selection(network, idx)?;
        let stored = stored.expect("only inputs with a selection are chosen");
        let samples = Samples::first(stored.samples as u32);
        let action = Action::Select {
            margins: stored.edges.is_some(),
        };
        let Output::Selected {
            counts,
            invalid,
            edges,
            ..
        } = self.run(idx, Stream::Selection, samples, action)?
        else {
            unreachable!("a selection was asked for");
        };
        Ok((
            json!({"counts": stored.counts, "invalid": stored.invalid, "edges": stored.edges}),
            json!({"counts": counts, "invalid": invalid, "edges": edges}),
        ))
    }
}

/// An answer as JSON: the class, null for an invalid answer, and the bucket of
/// the margin where the ledger keeps it.
fn answer((class, margin): (u16, Option<u8>)) -> Value {
    let class = Some(class).filter(|&class| class != INVALID);
    match margin {
        Some(bucket) => json!({"class": class, "margin_bucket": bucket}),
        None => json!({"class": class}),
    }
}

/// An input, which has to be the ledger's.
fn image(data: &Data, ledger: &Ledger, idx: u32) -> Result<Image> {
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
    Ok(image)
}

fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: ledger::Stream(stream.tag()),
    }
}
