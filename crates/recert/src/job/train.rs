//! Training networks through the bounds that verify them, from data and a configuration to an
//! ONNX file.
//!
//! | file | concern |
//! |---|---|
//! | `config` | what to train and how, as plain values |
//! | `presets` | published settings |
//! | `values` | values of settings as a person writes them |
//! | `unused` | settings that change nothing |
//! | `remarks` | what else a person should know before |
//! | `images` | the images, their labels and classes |
//! | `files` | network, checkpoint and lock |
//! | `page` | what was trained and how it went |

mod config;
mod files;
mod images;
mod page;
mod presets;
mod remarks;
mod unused;
mod values;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use recert_graph::{Model, write_whole};
use recert_train::{
    Best, DeviceReport, Epoch, Examples, Method, Network, Normalization, Progress, Scores,
    Settings, Training, with_threads,
};

use super::config::check_threads;
use crate::{Error, ErrorKind, Field, Result};

use config::Begin;
pub use config::TrainConfig;
pub(super) use config::{Effective, at_line, unreadable};
pub use files::train_checkpoint;
use images::Images;
pub(super) use images::{kept, open_images, remark_on_test};
pub use presets::train_presets;
pub(super) use unused::remark as remark_on_unused;

/// The key of the file's metadata that holds the training's record, as JSON.
pub const TRAINING: &str = "recert.training";

/// What happens in a training.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum TrainEvent<'a> {
    /// The training begins, or goes on from a checkpoint.
    Started {
        /// The method, with its parameters.
        method: &'a Method,
        /// Images that are trained on, and kept for validation.
        images: [usize; 2],
        /// Classes that are told apart.
        classes: usize,
        /// Weights of the network.
        weights: usize,
        /// Epochs in all.
        epochs: usize,
        /// Epochs that a checkpoint has.
        done: usize,
    },
    /// The device other than the processor computes what the processor does.
    Tested(&'a DeviceReport),
    /// Something that a person should know.
    Warning(&'a str),
    /// Settings were given that change nothing: their names in a sentence.
    Unused(&'a str),
    /// A step is done.
    Step {
        /// What it reports.
        progress: &'a Progress,
        /// The time left, by the steps so far.
        left: Duration,
    },
    /// An epoch is done, and its checkpoint is written.
    Epoch(&'a Epoch),
}

/// Watches a training, and may stop it. Any `FnMut(TrainEvent<'_>)` is one that never does.
pub trait TrainEvents {
    /// Something happened.
    fn event(&mut self, event: TrainEvent<'_>);

    /// Whether to stop; the same training again goes on from the last epoch's end. It is asked
    /// after every step.
    fn stop(&self) -> bool {
        false
    }
}

impl<F: FnMut(TrainEvent<'_>)> TrainEvents for F {
    fn event(&mut self, event: TrainEvent<'_>) {
        self(event);
    }
}

/// A training that is checked and may be run.
#[derive(Debug)]
pub struct TrainJob {
    config: TrainConfig,
    settings: Settings,
    examples: Examples,
    test: Option<Examples>,
    network: Network,
    out: PathBuf,
    /// What `out` leads to.
    place: PathBuf,
    threads: usize,
    /// A remark on settings that change nothing, and other remarks.
    unused: Option<String>,
    remarks: Vec<String>,
}

/// A network that was trained and written.
#[derive(Debug)]
pub struct Trained {
    /// The file.
    pub file: PathBuf,
    /// What it holds.
    pub model: Model,
    /// The epochs.
    pub epochs: Vec<Epoch>,
    /// The network, and by what it was chosen.
    pub best: Best,
    /// Its scores on the test images, where there were any: nothing was chosen by them.
    pub test: Option<Scores>,
    /// What the scores are about: a radius in units of pixels in [0, 1], or a transformation.
    pub scored: String,
    /// What was trained and how it went, as a page in Markdown.
    pub page: String,
}

/// A training by `config` into the file `out`, on `threads` threads, which no result depends on.
///
/// While it runs, [`train_checkpoint`] holds what is done, and the same training again goes on
/// from there, to the same bits; it is removed when `out` is written.
///
/// # Errors
/// [`ErrorKind::Parameter`] for a setting that is missing, out of range or does not fit;
/// [`ErrorKind::Input`] for a network or data that cannot be read or trained on.
///
/// ```
/// use recert::job::{TrainConfig, TrainEvent, train};
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// # let folder = tempfile::tempdir().unwrap();
/// # let out = folder.path().join("trained.onnx");
/// let config = TrainConfig::from_toml(&format!(
///     "method = 'ibp'\neps = 0.01\narchitecture = 'fc-20'\nepochs = 2\nramp-end = 1\n\
///      batch = 50\ndata = 'npz:{demo}/shapes-test.npz'\nlimit = 100"
/// ))?;
/// let job = train(config, &out, 1)?;
/// let trained = job.run(&mut |event: TrainEvent<'_>| {
///     if let TrainEvent::Epoch(epoch) = event {
///         println!("{}: loss {:.3}", epoch.number, epoch.loss);
///     }
/// })?;
/// assert_eq!(trained.expect("nothing stopped it").epochs.len(), 2);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn train(config: TrainConfig, out: &Path, threads: usize) -> Result<TrainJob> {
    check_threads(threads)?;
    let unused = config.unused()?;
    let config = config.complete()?;
    let settings = config.settings()?;
    let (data, test) = (images::named(&config)?.to_owned(), config.test.clone());
    let place = files::resolved(out);
    files::check(&place, &config, &data).map_err(|error| error.about(Field::Out))?;
    let set = Images::open(&data, true)?;
    let image = set.extents();
    let begun = Begun::of(&config, image)?;
    let labels = set.labels(config.limit)?;
    let classes = match &begun {
        Begun::Network(network) => network.classes(),
        Begun::Architecture(..) => set.classes(&labels)?,
    };
    let examples = set.examples(labels, classes)?;
    let mut remarks = remarks::of_schedule(&config, &settings, &unused);
    let network = match begun {
        Begun::Network(network) => {
            remarks.extend(remarks::of_normalization(&config, &network));
            *network
        }
        Begun::Architecture(architecture, normalization) => Network::new(
            image,
            architecture.layers(image, classes)?,
            normalization,
            config.initialization(&settings.method)?,
            settings.seed,
        )?,
    };
    let mut tested = None;
    if let Some(test) = &test {
        let images = Images::open(test, false)?;
        remarks.extend(images.remark_beside(&set)?);
        let labels = images.labels(config.test_limit)?;
        tested = Some(images.examples(labels, classes)?);
    }
    // What a run would refuse only when it starts.
    Training::new(network.clone(), &examples, settings.clone())?;
    if let Some(test) = &tested
        && test.image() != examples.image()
    {
        let message = "test: its images are of another size than those of the training data";
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    remarks.extend(remarks::of_classes(&examples));
    remarks.extend(remarks::of_ending(out));
    Ok(TrainJob {
        unused: unused::remark(&unused, settings.method.name()),
        config,
        settings,
        examples,
        test: tested,
        network,
        out: out.to_owned(),
        place,
        threads,
        remarks,
    })
}

/// The network that a training by these settings goes on from.
fn begun_with(file: &Path, image: [usize; 3], normalization: Normalization) -> Result<Network> {
    let made = Network::from_model(&Model::read(file)?, image, normalization);
    made.map_err(|error| match error.kind() {
        recert_train::ErrorKind::Network => {
            let message = format!("{}: {error}", file.display());
            Error::new(ErrorKind::Input, message).about(Field::Model)
        }
        _ => error.into(),
    })
}

/// What a training begins with.
enum Begun {
    Network(Box<Network>),
    Architecture(recert_train::Architecture, Normalization),
}

impl Begun {
    fn of(config: &TrainConfig, image: [usize; 3]) -> Result<Self> {
        let normalization = config.normalization(image[0]);
        Ok(match config.begin()? {
            Begin::File(file) => Self::Network(Box::new(begun_with(&file, image, normalization)?)),
            Begin::Architecture(architecture) => Self::Architecture(architecture, normalization),
        })
    }
}

impl TrainJob {
    /// Trains, and writes the network; `None` where it was stopped.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`] where the checkpoint is of another training, or another process trains into
    /// the same file;
    /// [`ErrorKind::Output`] where a file cannot be written; [`ErrorKind::Other`] where the
    /// loss or a gradient is not finite.
    pub fn run(self, events: &mut (impl TrainEvents + Send)) -> Result<Option<Trained>> {
        with_threads(self.threads, || self.trained(events))?
    }

    fn trained(&self, events: &mut impl TrainEvents) -> Result<Option<Trained>> {
        let _lock = files::lock(&self.place)?;
        let checkpoint = files::checkpoint_of(&self.place);
        let (network, settings) = (self.network.clone(), self.settings.clone());
        let mut training = match std::fs::read(&checkpoint) {
            Ok(bytes) => Training::resumed(network, &self.examples, settings, &bytes)
                .map_err(|error| self.at_checkpoint(&checkpoint, error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Training::new(network, &self.examples, settings)?
            }
            Err(error) => {
                let message = format!("{}: cannot be read: {error}", checkpoint.display());
                return Err(Error::new(ErrorKind::Input, message));
            }
        };
        self.announce(&training, events);
        if let Some(report) = training.test_device()? {
            events.event(TrainEvent::Tested(report));
        }
        let begun = Instant::now();
        let epochs = self.settings.schedule.epochs;
        let before = training.epochs().len();
        while !training.is_done() {
            let epoch = training.epoch(|progress| {
                let Progress {
                    epoch, step, steps, ..
                } = *progress;
                let share = (epoch - before) as f64 + step as f64 / steps as f64;
                let ahead = (epochs - before) as f64 - share;
                let left = begun.elapsed().mul_f64((ahead / share).max(0.0));
                events.event(TrainEvent::Step { progress, left });
                if events.stop() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            let Some(epoch) = epoch else {
                return Ok(None);
            };
            let bytes = training.checkpoint()?;
            write_whole(&checkpoint, &bytes)
                .map_err(|error| Error::output(checkpoint.display(), error))?;
            events.event(TrainEvent::Epoch(&epoch));
        }
        self.finished(&training, &checkpoint).map(Some)
    }

    fn at_checkpoint(&self, checkpoint: &Path, error: recert_train::Error) -> Error {
        if error.kind() != recert_train::ErrorKind::Checkpoint {
            return error.into();
        }
        let message = format!(
            "{}: {error}; remove it to begin anew, or write to another file than {}",
            checkpoint.display(),
            self.out.display()
        );
        Error::new(ErrorKind::Ledger, message)
    }

    fn announce(&self, training: &Training<'_>, events: &mut impl TrainEvents) {
        let [trained, kept] = training.split();
        events.event(TrainEvent::Started {
            method: &self.settings.method,
            images: [trained.len(), kept.len()],
            classes: self.network.classes(),
            weights: self.network.size(),
            epochs: self.settings.schedule.epochs,
            done: training.epochs().len(),
        });
        if let Some(text) = &self.unused {
            events.event(TrainEvent::Unused(text));
        }
        for text in &self.remarks {
            events.event(TrainEvent::Warning(text));
        }
        if self.place.exists() {
            let text = format!(
                "the network replaces {}, which is there",
                self.out.display()
            );
            events.event(TrainEvent::Warning(&text));
        }
    }

    /// Scores the network to keep, writes it, and removes the checkpoint.
    fn finished(&self, training: &Training<'_>, checkpoint: &Path) -> Result<Trained> {
        let best = training.best().clone();
        let test = self.test.as_ref().map(|test| {
            let all: Vec<usize> = (0..test.len()).collect();
            training.scores(&best.network, test, &all)
        });
        let test = test.transpose()?;
        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        let record = page::record(&self.config, training, test);
        let model = best.network.to_model(&name, &[(TRAINING, &record)])?;
        let written = model.write(&self.place);
        written.map_err(|why| Error::output("the network", Error::from(why)))?;
        // What is left of the training is in the file; that the checkpoint stays harms nothing.
        std::fs::remove_file(checkpoint).ok();
        let page = page::page(&self.config, training, test, &model);
        Ok(Trained {
            file: self.out.clone(),
            epochs: training.epochs().to_vec(),
            page,
            best,
            test,
            scored: page::scored(&self.settings),
            model,
        })
    }
}

impl From<recert_train::Error> for Error {
    fn from(error: recert_train::Error) -> Self {
        use recert_train::ErrorKind as K;
        let kind = match error.kind() {
            K::Setting => ErrorKind::Parameter,
            K::Network | K::Data => ErrorKind::Input,
            K::Checkpoint => ErrorKind::Ledger,
            _ => ErrorKind::Other,
        };
        let message = match error.field() {
            Some(field) => format!("{field}: {error}"),
            None => error.to_string(),
        };
        Self::new(kind, message)
    }
}
