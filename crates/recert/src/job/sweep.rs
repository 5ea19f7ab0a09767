//! A family of trainings: every network trained and scored alike, and the Pareto front of natural
//! against certified accuracy.
//!
//! | file | concern |
//! |---|---|
//! | `config` | the family as a file states it |
//! | `score` | how a network is scored |

mod config;
mod score;

use std::fs;
use std::path::{Path, PathBuf};

use recert_graph::Model;
use recert_report::sweep::{Accuracy, Failed, Point, Sweep};
use serde::Deserialize;

use super::config::check_threads;
use super::train::{
    self, TRAINING, TrainConfig, TrainEvent, TrainEvents, open_images, remark_on_test, train,
};
use super::{Data, DataConfig, DataOptions, Event, SubsetConfig};
use crate::{Error, ErrorKind, Field, Result, output};

pub use config::{SweepConfig, SweepPoint, SweepScore};

/// The seeds of noise on validation and on test images. The front is chosen by answers on the one, so
/// that certificates on test images, whose numbers are the same, need noise of another.
const VALIDATION_SEED: u64 = 0;
const TEST_SEED: u64 = 1;

/// What happens in a sweep.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SweepEvent<'a> {
    /// A network's turn has come.
    Point {
        /// Its name.
        name: &'a str,
        /// Its number, from 0.
        number: usize,
        /// How many there are.
        points: usize,
        /// Whether it was trained before.
        trained: bool,
    },
    /// Something that a person should know of the sweep as a whole.
    Warning(&'a str),
    /// Its training goes on.
    Train(TrainEvent<'a>),
    /// Its training failed: the sweep goes on with the others.
    Failed {
        /// Its name.
        name: &'a str,
        /// What went wrong.
        error: &'a Error,
    },
    /// It is being verified or certified.
    Score(Event<'a>),
    /// It is scored.
    Scored {
        /// Its name.
        name: &'a str,
        /// What was found.
        accuracy: Accuracy,
        /// Whether on the test images.
        test: bool,
    },
}

/// Watches a sweep, and may stop it. Any `FnMut(SweepEvent<'_>)` is one that never does.
pub trait SweepEvents {
    /// Something happened.
    fn event(&mut self, event: SweepEvent<'_>);

    /// Whether to stop; the same sweep again goes on from there.
    fn stop(&self) -> bool {
        false
    }
}

impl<F: FnMut(SweepEvent<'_>)> SweepEvents for F {
    fn event(&mut self, event: SweepEvent<'_>) {
        self(event);
    }
}

/// A sweep that is checked and may be run.
#[derive(Debug)]
pub struct SweepJob {
    config: SweepConfig,
    folder: PathBuf,
    /// The test images, for the front.
    test: Option<String>,
    threads: usize,
}

/// A sweep into `folder`, by `threads` threads, which no network and no score depends on but
/// where a time limit ends a search.
///
/// Each point is trained as by [`train`](super::train()), into `NAME.onnx`, unless it is there; and scored on
/// images that the training kept for validation, which are written to the folder, in a ledger
/// `NAME.recert`. So the same sweep again, stopped or killed at any time, goes on where it was.
/// With `test_front` the networks of the front are scored on the configuration's test images
/// too, in ledgers `NAME.test.recert`; nothing is chosen by these.
///
/// # Errors
/// [`ErrorKind::Parameter`] for a setting of any point that is missing, out of range or does not
/// fit, before anything is trained.
///
/// ```
/// use recert::job::{SweepConfig, SweepEvent, sweep};
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let config = SweepConfig::from_toml(&format!(
///     "data = 'npz:{demo}/shapes-test.npz'\nlimit = 120\nvalidation = 20\nmethod = 'ibp'\n\
///      eps = 0.01\narchitecture = 'fc-20'\nepochs = 2\nramp-end = 1\nbatch = 50\n\
///      [sweep]\nclean-weight = [[0.0, 0.0], [1.0, 0.5]]\n[score]\neps = 0.002"
/// ))?;
/// let job = sweep(config, folder, false, 1)?;
/// let swept = job.run(&mut |_: SweepEvent<'_>| ())?.expect("nothing stopped it");
/// assert_eq!(swept.points.len(), 2);
/// assert!(swept.front().contains(&true));
/// # Ok::<(), recert::Error>(())
/// ```
pub fn sweep(
    config: SweepConfig,
    folder: &Path,
    test_front: bool,
    threads: usize,
) -> Result<SweepJob> {
    check_threads(threads)?;
    if folder.exists() && !folder.is_dir() {
        return Err(Error::output(folder.display(), "it is no folder").about(Field::Out));
    }
    let test = config.test.clone().filter(|_| test_front);
    if test_front && test.is_none() {
        let message = "test: name the images that the front is to be reported on";
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    Ok(SweepJob {
        config,
        folder: folder.to_owned(),
        test,
        threads,
    })
}

impl SweepJob {
    /// Trains and scores whatever is not yet; `None` where it was stopped. Points whose training fails are left out,
    /// and are among [`Sweep::failed`]; the same sweep again tries them again.
    ///
    /// # Errors
    /// As those of [`train`](super::train()), of the first point where all fail, and of verifying or certifying.
    /// [`ErrorKind::Input`] where a network in the folder is of another training, or cannot be read;
    /// [`ErrorKind::Output`] and [`ErrorKind::Ledger`] of any point.
    pub fn run<E: SweepEvents + Send>(self, events: &mut E) -> Result<Option<Sweep>> {
        fs::create_dir_all(&self.folder)
            .map_err(|why| Error::output(self.folder.display(), why))?;
        if let Some(text) = &self.config.unused {
            events.event(SweepEvent::Warning(text));
        }
        if let Some(text) = self.same_test()? {
            events.event(SweepEvent::Warning(&text));
        }
        let (mut points, mut failed, mut first) = (Vec::new(), Vec::new(), None);
        let mut validation: Option<(String, Data)> = None;
        for (number, point) in self.config.points.iter().enumerate() {
            let model = match self.trained(number, point, events)? {
                None => return Ok(None),
                Some(Ok(model)) => model,
                Some(Err(error)) => {
                    events.event(SweepEvent::Failed {
                        name: &point.name,
                        error: &error,
                    });
                    failed.push(Failed {
                        name: point.name.clone(),
                        error: error.to_string(),
                    });
                    first.get_or_insert(error.during(format!("training {}", point.name)));
                    continue;
                }
            };
            let images = validation_name(&point.config);
            let data = match validation.take() {
                Some((name, data)) if name == images => data,
                _ => self.validation(&point.config, &images)?,
            };
            let (_, data) = validation.insert((images, data));
            let network = self.file(&point.name, "onnx");
            let score = score::Scored {
                score: &self.config.score,
                network: &network,
                ledger: &self.file(&point.name, "recert"),
                data,
                subset: SubsetConfig::default(),
                seed: VALIDATION_SEED,
                threads: self.threads,
            };
            let Some(accuracy) = score.run(events)? else {
                return Ok(None);
            };
            events.event(SweepEvent::Scored {
                name: &point.name,
                accuracy,
                test: false,
            });
            points.push(Point {
                name: point.name.clone(),
                values: point.values.clone(),
                network: file_name(&network),
                sha256: model.sha256_hex(),
                validation: accuracy,
                test: None,
            });
        }
        if let Some(error) = first.filter(|_| points.is_empty()) {
            return Err(error);
        }
        let mut swept = Sweep {
            title: "Natural against certified accuracy".to_owned(),
            certificate: self.config.score.words(),
            validation: self.validation_words(),
            test: None,
            fields: self.config.fields.clone(),
            points,
            failed,
        };
        if let Some(test) = &self.test
            && !self.test_front(test, &mut swept, events)?
        {
            return Ok(None);
        }
        Ok(Some(swept))
    }

    /// The network of a point, trained unless it is there, or why its training failed; `None` where it was stopped.
    fn trained(
        &self,
        number: usize,
        point: &SweepPoint,
        events: &mut (impl SweepEvents + Send),
    ) -> Result<Option<Result<Model>>> {
        let file = self.file(&point.name, "onnx");
        let known = file.exists();
        events.event(SweepEvent::Point {
            name: &point.name,
            number,
            points: self.config.points.len(),
            trained: known,
        });
        if known {
            let model = trained_before(&file, &point.config)?;
            return Ok(Some(Ok(model)));
        }
        let trained = train(point.config.clone(), &file, self.threads)
            .and_then(|job| job.run(&mut Training(events)));
        match trained {
            // A full disk, or another process in the folder: of no point alone.
            Err(error) if matches!(error.kind(), ErrorKind::Output | ErrorKind::Ledger) => {
                Err(error.during(format!("training {}", point.name)))
            }
            Err(error) => Ok(Some(Err(error))),
            Ok(trained) => Ok(trained.map(|trained| Ok(trained.model))),
        }
    }

    /// A warning where the front is reported on the images that it is trained on.
    fn same_test(&self) -> Result<Option<String>> {
        let data = (self.config.points.first()).and_then(|point| point.config.data.as_deref());
        match (data, &self.test) {
            (Some(data), Some(test)) => remark_on_test(data, test),
            _ => Ok(None),
        }
    }

    /// Scores the front on the test images; whether all of it.
    fn test_front(
        &self,
        test: &str,
        swept: &mut Sweep,
        events: &mut impl SweepEvents,
    ) -> Result<bool> {
        let data = open_images(test, false)?;
        let most = self.config.score.images;
        let every = data.len().div_ceil(most).max(1);
        let subset = SubsetConfig {
            every: every as u32,
            offset: 0,
            limit: None,
        };
        let mut images = 0;
        let front = swept.front();
        let points = swept.points.iter_mut().zip(front);
        for (point, _) in points.filter(|(_, front)| *front) {
            let score = score::Scored {
                score: &self.config.score,
                network: &self.file(&point.name, "onnx"),
                ledger: &self.file(&point.name, "test.recert"),
                data: &data,
                subset,
                seed: TEST_SEED,
                threads: self.threads,
            };
            let Some(accuracy) = score.run(events)? else {
                return Ok(false);
            };
            images = accuracy.images;
            point.test = Some(accuracy);
            events.event(SweepEvent::Scored {
                name: &point.name,
                accuracy,
                test: true,
            });
        }
        swept.test = Some(match every {
            1 => format!("all {images} images of {test}"),
            _ => format!("one in {every} of the images of {test}, {images} in all"),
        });
        Ok(true)
    }

    fn file(&self, point: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{point}.{kind}"))
    }

    /// The images that a point is scored on, from the files of this name, which are written.
    fn validation(&self, config: &TrainConfig, name: &str) -> Result<Data> {
        let kept = train::kept(config, self.config.score.images)?;
        let images = self.folder.join(format!("{name}.npy"));
        let labels = self.folder.join(format!("{name}.txt"));
        let [channels, height, width] = kept.image;
        let count = kept.labels.len();
        let bytes = output::npy(&[count, channels, height, width], &kept.pixels);
        output::write(&images, &bytes)?;
        let mut lines: Vec<String> = kept.labels.iter().map(usize::to_string).collect();
        lines.push(String::new());
        output::write(&labels, lines.join("\n").as_bytes())?;
        Data::open(&DataConfig {
            data: format!("npy:{}", images.display()),
            options: DataOptions {
                labels: Some(labels),
                ..DataOptions::default()
            },
        })
    }

    fn validation_words(&self) -> String {
        let kept = self.config.points.iter().map(|point| {
            let kept = point.config.validation.unwrap_or(0);
            kept.min(self.config.score.images)
        });
        let most = kept.max().unwrap_or(0);
        let limits = self.config.fields.iter().any(|field| field == "limit");
        let differ = if limits {
            ", other ones for every limit"
        } else {
            ""
        };
        format!("{most} images that were kept from training for validation{differ}")
    }
}

/// A name for the images kept for validation, by all that decides which they are.
fn validation_name(config: &TrainConfig) -> String {
    let part = |name, number: Option<u64>| number.map(|number| format!("-{name}-{number}"));
    let limit = part("limit", config.limit.map(|limit| limit as u64));
    let parts = [part("split", config.split_seed), limit];
    format!(
        "validation{}",
        parts.map(Option::unwrap_or_default).concat()
    )
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A network that an earlier run trained, which its record has to be of this configuration.
fn trained_before(file: &Path, config: &TrainConfig) -> Result<Model> {
    let model = Model::read(file).map_err(|error| {
        let error = Error::from(error);
        let message = format!("{error}; remove it to train it again");
        Error::new(error.kind(), message)
    })?;
    let record = model.metadata(TRAINING).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_str(record).unwrap_or_default();
    let known = TrainConfig::deserialize(&record["config"]).ok();
    // Earlier versions chose other validation images, some of which this one would train on.
    let split = record["split_seed"].as_u64() == Some(config.split_seed.unwrap_or(0));
    if known != Some(config.clone().complete()?) || !split {
        let message = format!(
            "{}: is no network of this point's settings: remove it to train it again, or name another \
             folder",
            file.display()
        );
        return Err(Error::new(ErrorKind::Input, message));
    }
    Ok(model)
}

/// Passes a training's events on.
struct Training<'e, E>(&'e mut E);

impl<E: SweepEvents> TrainEvents for Training<'_, E> {
    fn event(&mut self, event: TrainEvent<'_>) {
        // A setting that one method has no use for may be for the other points.
        if !matches!(event, TrainEvent::Unused(_)) {
            self.0.event(SweepEvent::Train(event));
        }
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}
