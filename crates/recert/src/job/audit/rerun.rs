//! The auditor's rerun: are the answers in a ledger those that its networks give?
//!
//! From the files that are given to what the samples show, in the order in which it happens: each step needs what the
//! one before found, and so the file is long.

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use recert_check::Unchecked;
use recert_data::Image;
use recert_engine::{Answers, Arithmetic, ImageShape, rounding};
use recert_ledger::{self as ledger, INVALID, Ledger, NetworkId, Selection, hex};
use recert_net::Model;
use recert_noise::Stream;
use recert_smooth::run::{
    Action, Assignment, BATCH, MarginEdges, NoiseParameters, Output, Request, Samples, Worker,
    select,
};
use serde_json::{Value, json};

use super::compare::{Code, Kept, Watched, apart, gap, scores, selections_apart};
use super::draw::{Drawn, draw, found_share};
use super::found::{Difference, Rerun, RerunNetwork};
use super::results::{ResultsAgain, Verifier};
use super::specifications::Specifications;
use crate::job::classifier::is_file;
use crate::job::config;
use crate::job::data::{Data, DataOptions};
use crate::job::network::Network;
use crate::{Error, ErrorKind, Field, Result};

/// What to run again of ledgers that are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RerunConfig {
    /// Answers of each network of each ledger to run again, each drawn with the same
    /// probability from all that the ledger has of the network; all of them where there are
    /// fewer.
    pub samples: u64,
    /// Chooses the samples; by default at random.
    pub seed: Option<u64>,
    /// Networks of the ledgers, ONNX files.
    pub models: Vec<PathBuf>,
    /// ONNX files that networks of the ledgers which are no files were exported to, with the names
    /// that the ledgers have for these. That a file is the export of the network is not known
    /// here; what is checked is whether it answers as the ledger has it.
    pub exports: Vec<(String, PathBuf)>,
    /// VNN-LIB files whose results are verified again, and folders of such files.
    pub vnnlib: Vec<PathBuf>,
    /// The engine that computes the files, by name; by default each network's own, as the
    /// ledger records it.
    pub engine: Option<String>,
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
/// // Had 9 % of the answers been others, one of them would have been found.
/// assert!(rerun.networks[0].found_share < 0.09);
/// # Ok(())
/// # }
/// ```
pub struct Auditor {
    config: RerunConfig,
    seed: u64,
    files: Vec<GivenFile>,
    networks: Vec<Network>,
    specifications: Specifications,
    data: Option<Data>,
}

/// A file that was given.
struct GivenFile {
    path: PathBuf,
    model: Model,
    /// The network that was exported to it, by its name.
    exported: Option<String>,
    /// Whether a ledger had it.
    used: Cell<bool>,
}

impl GivenFile {
    fn read(path: &Path, exported: Option<&str>) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            model: Model::read(path)?,
            exported: exported.map(str::to_owned),
            used: Cell::new(false),
        })
    }

    /// Whether it is, or was made of, a network of a ledger.
    fn is_of(&self, recorded: &ledger::Network) -> bool {
        match &self.exported {
            Some(name) => !is_file(recorded) && *name == recorded.file,
            None => self.model.sha256() == recorded.sha256,
        }
    }
}

/// A network of a ledger that was given.
struct Given {
    id: NetworkId,
    recorded: ledger::Network,
    /// As it is computed now.
    engine: ledger::Engine,
    batch_invariant: bool,
    worker: Worker,
    kept: Kept,
    /// By how much a score may differ by rounding, as a part of the largest; `None` where
    /// answers have to be the same.
    rounding: Option<f32>,
    /// Whether rounding in the arithmetic that the ledger records would move scores by more.
    coarser: bool,
}

impl Auditor {
    /// Reads the networks' files.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for no samples, and for an engine that is not named;
    /// [`ErrorKind::Input`] for a file that is no network.
    pub fn new(config: RerunConfig) -> Result<Self> {
        if config.samples == 0 {
            let message = "at least 1 sample must be run again";
            return Err(Error::parameter(Field::Rerun, message));
        }
        if config.engine.as_deref() == Some("auto") {
            let message = "samples are run again by an engine that is named, such as reference, or \
                           by the one that the ledger records";
            return Err(Error::parameter(Field::Engine, message));
        }
        let models = config.models.iter().map(|path| GivenFile::read(path, None));
        let exports = config.exports.iter();
        let exports = exports.map(|(name, path)| GivenFile::read(path, Some(name)));
        Ok(Self {
            seed: config.seed.unwrap_or_else(|| fastrand::u64(..)),
            files: models.chain(exports).collect::<Result<_>>()?,
            networks: Vec::new(),
            specifications: Specifications::read(&config.vnnlib)?,
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

    /// What is wrong with a file that no ledger had, if there is one.
    pub(super) fn unused(&self) -> Option<(Field, String)> {
        let unused = self.files.iter().find(|file| !file.used.get())?;
        let file = unused.path.display();
        Some(match &unused.exported {
            None => (
                Field::Model,
                format!("{file} is no network of the ledgers (its SHA-256 is none of theirs)"),
            ),
            Some(name) => (
                Field::Export,
                format!(
                    "{file} is given as the export of {name}, but the ledgers have no network of \
                     that name that is no file"
                ),
            ),
        })
    }

    /// A network of a ledger, if it was given; `opened` keeps it where it is opened for that.
    fn network<'n>(
        &'n self,
        recorded: &ledger::Network,
        image: ImageShape,
        opened: &'n mut Option<Network>,
    ) -> Result<Option<&'n Network>> {
        // Of a network that is no file, another version or device may be what there is here.
        let same = |n: &&Network| n.identity() == recorded;
        let alike = |n: &&Network| {
            let identity = n.identity();
            !is_file(recorded)
                && (identity.sha256, &identity.file) == (recorded.sha256, &recorded.file)
        };
        let mut given = self.networks.iter();
        let loaded = given.clone().find(same).or_else(|| given.find(alike));
        if let Some(loaded) = loaded {
            loaded.check_image(image)?;
            loaded.check_classes(recorded)?;
            return Ok(Some(loaded));
        }
        let Some(file) = self.files.iter().find(|file| file.is_of(recorded)) else {
            return Ok(None);
        };
        file.used.set(true);
        let (model, engine) = (file.model.clone(), self.config.engine.as_deref());
        let network = match engine {
            _ if file.exported.is_some() => Network::exported(model, recorded, image, engine)?,
            Some(engine) => Network::recorded_in(model, recorded, image, engine)?,
            None => Network::recorded(model, recorded, image)?,
        };
        Ok(Some(opened.insert(network)))
    }

    /// Fails where a file is given as the export of one of several networks of a name.
    fn check_exports(&self, networks: &[(NetworkId, ledger::Network)]) -> Result<()> {
        for file in &self.files {
            let Some(name) = &file.exported else { continue };
            let named = networks.iter().filter(|(_, recorded)| file.is_of(recorded));
            if named.count() > 1 {
                let message = format!(
                    "a ledger has several networks named {name}, so that {} could be the export \
                     of any: networks need an id to be told apart",
                    file.path.display()
                );
                return Err(Error::parameter(Field::Export, message));
            }
        }
        Ok(())
    }

    /// The network of a ledger, ready to run.
    fn given(id: NetworkId, recorded: ledger::Network, network: &Network) -> Result<Given> {
        let engine = network.identity().engine.clone();
        let batch_invariant = network.identity().batch_invariant;
        let exact = is_exact(network, &recorded);
        let of = |engine: &ledger::Engine| {
            let arithmetic = Arithmetic::from(engine.arithmetic.as_str());
            match network.loaded() {
                Some((_, model)) => Some(rounding(model, &[&arithmetic])),
                // A function of which nobody said what it computes in has to answer the same.
                None => arithmetic.rounding(),
            }
        };
        // Neither is the tolerance: whoever writes bf16 into a ledger must not gain by it.
        let rounding = of(&engine).filter(|_| !exact);
        let recorded_rounding = of(&recorded.engine).filter(|_| !exact);
        let coarser = recorded_rounding > rounding;
        let kept = Kept::default();
        let watched = Watched {
            classifier: network.worker()?,
            kept: kept.clone(),
        };
        Ok(Given {
            id,
            recorded,
            engine,
            batch_invariant,
            worker: Worker::new(vec![Box::new(watched)], BATCH)?,
            kept,
            rounding,
            coarser,
        })
    }

    /// Runs samples of a ledger again, and verifies results by bounds again: as many of each
    /// network that was given, drawn from all that the ledger has of it.
    pub(super) fn rerun(&self, ledger: &Ledger) -> Result<Rerun> {
        let header = ledger.header();
        let sampled = !ledger.is_without_noise();
        if sampled {
            config::law(ledger)?;
        }
        let reopened;
        let data = if let Some(data) = &self.data {
            Some(data)
        } else if sampled || !ledger.inputs()?.is_empty() {
            let given = self.config.data.as_deref();
            reopened = Data::reopen(&header.data, given, &self.config.options)?;
            Some(&reopened)
        } else {
            None
        };
        let shape = header.shape.map(|size| size as usize);
        let [channels, height, width] = shape;
        let image = data.map_or(
            ImageShape {
                channels,
                height,
                width,
            },
            Data::shape,
        );
        let mut rerun = Rerun {
            samples: 0,
            selections: 0,
            seed: self.seed,
            networks: Vec::new(),
            differences: Vec::new(),
            near_ties: Vec::new(),
            results: (!ledger.verifications()?.is_empty()).then(ResultsAgain::default),
            batch_dependent: false,
            unchecked: Vec::new(),
        };
        let networks = ledger.networks()?;
        self.check_exports(&networks)?;
        for (position, (id, recorded)) in networks.into_iter().enumerate() {
            let file = recorded.file.clone();
            let mut opened = None;
            let Some(network) = self.network(&recorded, image, &mut opened)? else {
                if let Some(results) = &mut rerun.results {
                    results.without_model(ledger, id)?;
                }
                rerun.unchecked.push(Unchecked::NoModel { file });
                continue;
            };
            // The choice for a network does not depend on which others are given.
            let seed = self.seed ^ (position as u64).wrapping_mul(MIX);
            if let Some(results) = &mut rerun.results {
                let verifier = Verifier {
                    ledger,
                    data,
                    network,
                    file,
                    exact: is_exact(network, &recorded),
                    specifications: &self.specifications,
                    of_classes: OnceCell::new(),
                    of_outputs: OnceCell::new(),
                };
                let mut random = Rng::with_seed(seed);
                verifier.again(id, self.config.samples, &mut random, results)?;
            }
            if let Some(data) = data.filter(|_| sampled) {
                let again = Again {
                    ledger,
                    data,
                    given: Self::given(id, recorded, network)?,
                    seen: Seen::default(),
                };
                self.rerun_network(again, Rng::with_seed(seed), &mut rerun)?;
            }
        }
        Ok(rerun)
    }

    /// Runs samples of one network again.
    fn rerun_network(
        &self,
        mut again: Again<'_>,
        mut random: Rng,
        rerun: &mut Rerun,
    ) -> Result<()> {
        let (ledger, id) = (again.ledger, again.given.id);
        let (answers, drawn) = draw(ledger, id, self.config.samples, &mut random)?;
        let samples: u64 = drawn.iter().map(|drawn| drawn.samples.len() as u64).sum();
        for drawn in &drawn {
            for part in drawn.samples.chunks(PART) {
                again.answers(drawn, part)?;
            }
        }
        // Selection samples cost a tenth of the samples, and one input's at least.
        let most = (samples / 10 / ledger.header().n0.max(1)).max(1);
        let mut held = Vec::new();
        for input in ledger.inputs()? {
            if let Some(selection) = ledger.selection(id, input.idx)? {
                held.push((input.idx, selection));
            }
        }
        let selections_held = held.len() as u64;
        let chosen = random.choose_multiple(held, usize::try_from(most).unwrap_or(usize::MAX));
        let selections = chosen.len() as u64;
        for (idx, selection) in chosen {
            again.selection(idx, &selection)?;
        }
        let Again { given, seen, .. } = again;
        let tolerance = (given.rounding.filter(|_| seen.scored))
            // Each of two scores may move by as much.
            .map(|rounding| 2.0 * rounding * seen.largest);
        let near = |apart: Option<f32>| {
            tolerance
                .zip(apart)
                .is_some_and(|(most, apart)| apart <= most)
        };
        let (tied, wrong): (Vec<_>, Vec<_>) =
            (seen.differences.into_iter()).partition(|difference| near(difference.apart));
        // Edges are never the same by two engines; that they are near is all that is asked.
        let tied: Vec<_> = (tied.into_iter())
            .filter(|tie| tie.sample.is_some() || tie.stored["counts"] != tie.found["counts"])
            .collect();
        let too_many = too_many(tied.len() as u64, samples);
        rerun.batch_dependent |= !wrong.is_empty() && !given.batch_invariant;
        if given.coarser {
            rerun.unchecked.push(Unchecked::OtherArithmetic {
                file: given.recorded.file.clone(),
                recorded: given.recorded.engine.to_string(),
                now: given.engine.to_string(),
            });
        }
        rerun.differences.extend(wrong);
        if too_many {
            rerun.differences.extend(tied);
        } else {
            rerun.near_ties.extend(tied);
        }
        let nearly_tied = seen.gaps.iter().filter(|&&gap| near(Some(gap))).count();
        rerun.samples += samples;
        rerun.selections += selections;
        rerun.networks.push(RerunNetwork {
            file: given.recorded.file,
            engine: given.engine.to_string(),
            answers,
            samples,
            selections,
            found_share: found_share(samples, answers),
            selections_held,
            selections_found_share: found_share(selections, selections_held),
            tolerance,
            nearly_tied: nearly_tied as u64,
            too_many,
        });
        Ok(())
    }
}

/// Whether a network has to answer as the ledger has it, to the bit: by the same engine, whose
/// answers do not depend on the batch. That is asked of the engine, not of the ledger, which may
/// have been edited.
fn is_exact(network: &Network, recorded: &ledger::Network) -> bool {
    network.identity().engine == recorded.engine && network.identity().batch_invariant
}

/// Whether so many near ties that are answered otherwise are more than rounding explains: it
/// moves scores by the whole tolerance hardly ever, so that of all samples one in twenty is
/// far more than engines that are right have shown (4 of 1,000 in 8 bits). Who answers every
/// near tie in favour of a class is found by that.
fn too_many(tied: u64, samples: u64) -> bool {
    tied > samples.div_ceil(20)
}

/// An odd number without a pattern, that spreads networks' numbers.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many samples are run and compared at a time, so that the scores kept are few.
const PART: usize = 1024;

/// A network of a ledger that is run again.
struct Again<'a> {
    ledger: &'a Ledger,
    data: &'a Data,
    given: Given,
    seen: Seen,
}

/// What running a network again has shown so far.
#[derive(Default)]
struct Seen {
    /// Whether it gives scores.
    scored: bool,
    /// The largest absolute score.
    largest: f32,
    /// Of each sample run again, by how much the largest score exceeds the next.
    gaps: Vec<f32>,
    differences: Vec<Difference>,
}

impl Again<'_> {
    /// The output, and the answers that it was made of.
    fn run(
        &mut self,
        idx: u32,
        stream: Stream,
        samples: Samples,
        action: Action,
    ) -> Result<(Output, Answers)> {
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
        let mut reply = self.given.worker.evaluate(&request, &image.pixels);
        let result = reply.results.pop().expect("an assignment has a result");
        let output = result.map_err(recert_smooth::Error::from)?;
        let answers = self.given.kept.take();
        let answers = answers.unwrap_or_else(|| Answers::Classes(Vec::new()));
        self.seen.scored |= answers.has_logits();
        if let Answers::Logits { values, .. } = &answers {
            let finite = values.iter().filter(|value| value.is_finite());
            let largest = finite.fold(self.seen.largest, |most, value| most.max(value.abs()));
            self.seen.largest = largest;
        }
        Ok((output, answers))
    }

    /// Runs samples of a series again and compares the answers with those in the ledger.
    fn answers(&mut self, drawn: &Drawn, samples: &[u32]) -> Result<()> {
        let Drawn { series, stream, .. } = drawn;
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
        let action = Action::Answer {
            margins: edges.clone(),
        };
        let chosen = Samples::from_ascending(samples);
        let (output, answers) = self.run(series.idx, *stream, chosen, action)?;
        let Output::Answered {
            classes, margins, ..
        } = output
        else {
            unreachable!("answers were asked for");
        };
        for (i, &sample) in samples.iter().enumerate() {
            let stored = Code {
                class: stored[i],
                bucket: stored_margins[i],
            };
            let found = Code {
                class: classes[i],
                bucket: margins.as_ref().map(|margins| margins[i]),
            };
            let scores = scores(&answers, i);
            self.seen.gaps.extend(scores.map(gap));
            if stored != found {
                self.seen.differences.push(Difference {
                    network: self.given.recorded.file.clone(),
                    idx: series.idx,
                    stream: *stream,
                    sample: Some(sample),
                    stored: answer(stored),
                    found: answer(found),
                    apart: scores.and_then(|scores| apart(scores, stored, edges.as_ref())),
                });
            }
        }
        Ok(())
    }

    /// Runs all selection samples of an input again and compares what they select. The class
    /// follows from the counts, as the check has found.
    fn selection(&mut self, idx: u32, stored: &Selection) -> Result<()> {
        let samples = Samples::first(stored.samples as u32);
        let action = Action::Select {
            margins: stored.edges.is_some(),
        };
        let answers = self.run(idx, Stream::Selection, samples, action)?.1;
        let answers = [answers];
        let found = select(&answers, stored.edges.is_some());
        let [answers] = answers;
        let selects = |selection: &Selection| {
            let Selection {
                counts,
                invalid,
                edges,
                ..
            } = selection;
            json!({"counts": counts, "invalid": invalid, "edges": edges})
        };
        let (stored_json, found_json) = (selects(stored), selects(&found));
        if stored_json != found_json {
            let gaps = (0..answers.len()).filter_map(|i| scores(&answers, i).map(gap));
            self.seen.differences.push(Difference {
                network: self.given.recorded.file.clone(),
                idx,
                stream: Stream::Selection,
                sample: None,
                stored: stored_json,
                found: found_json,
                apart: selections_apart(stored, &found, gaps.collect()),
            });
        }
        Ok(())
    }
}

/// An answer as JSON: the class, null for an invalid answer, and the bucket of
/// the margin where the ledger keeps it.
fn answer(Code { class, bucket }: Code) -> Value {
    let class = Some(class).filter(|&class| class != INVALID);
    match bucket {
        Some(bucket) => json!({"class": class, "margin_bucket": bucket}),
        None => json!({"class": class}),
    }
}

/// An input, which has to be the ledger's.
pub(super) fn image(data: &Data, ledger: &Ledger, idx: u32) -> Result<Image> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_near_ties_are_explained_and_many_are_not() {
        for (tied, samples, wanted) in [
            (0, 0, false),
            (0, 60, false),
            (1, 5, false),
            (2, 5, true),
            (3, 60, false),
            (4, 60, true),
            (50, 1000, false),
            (51, 1000, true),
        ] {
            assert_eq!(too_many(tied, samples), wanted, "{tied} of {samples}");
        }
    }
}
