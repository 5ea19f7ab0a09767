//! The loop: epochs of steps, from a network and examples to the network to keep.

mod checkpoint;
mod record;
mod step;
mod tested;

use std::ops::ControlFlow;
use std::time::Instant;

use crate::cells::evaluated_on_cells;
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::{Measures, Scores, evaluated};
use crate::examples::Examples;
use crate::method::{Cut, Method};
use crate::network::Network;
use crate::optimizer::{Adam, Average};
use crate::pool;
use crate::random::{Purpose, generator, shuffled};
use crate::self_test::DeviceReport;
use crate::settings::Settings;
use crate::tensor::on;

pub use record::StepRecord;

/// What a step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Steps done in it.
    pub step: usize,
    /// Steps in it.
    pub steps: usize,
    /// The mean loss of the epoch so far.
    pub loss: f64,
    /// The share of adversarial or noisy images answered with their labels in the epoch so far,
    /// where the method has any.
    pub points: Option<f64>,
    /// The share of images with all margins bounded above 0 in the epoch so far, where the
    /// method bounds.
    pub certified: Option<f64>,
}

/// What an epoch reports.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Epoch {
    /// Its number, from 0.
    pub number: usize,
    /// The eps of its last step.
    pub eps: f64,
    /// How much of eps, or of the widths of cells, there was at its last step, from 0 to 1.
    pub ramp: f64,
    /// The learning rate.
    pub rate: f64,
    /// The mean loss.
    pub loss: f64,
    /// As [`Progress::points`].
    pub points: Option<f64>,
    /// As [`Progress::certified`].
    pub certified: Option<f64>,
    /// The largest norm of a step's gradient before it was cut.
    pub gradient: f64,
    /// The scores on the images kept for validation, of the averaged weights where there are
    /// any.
    pub validation: Option<Scores>,
    /// How long it took.
    pub seconds: f64,
}

/// The network to keep so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The network.
    pub network: Network,
    /// The epoch after which it was that, from 0.
    pub epoch: usize,
    /// Its scores in validation, where there is one.
    pub scores: Option<Scores>,
}

/// A training under way.
///
/// Everything random is a function of the seed, the epoch and the step, so that a training
/// resumed from [`Training::checkpoint`] goes on to the same bits.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use recert_train::{
///     Architecture, Examples, Initialization, Method, Network, Normalization, Schedule, Settings,
///     Training,
/// };
///
/// // Dark and bright images.
/// let pixels = (0..64).map(|i| if i / 4 % 2 == 0 { 0.1 } else { 0.9 }).collect();
/// let labels = (0..16).map(|i| i % 2).collect();
/// let examples = Examples::new([1, 2, 2], pixels, labels, 2)?;
/// let normalization = Normalization { mean: vec![0.5], std: vec![0.5] };
/// let layers = Architecture::FullyConnected(vec![8]).layers([1, 2, 2], 2)?;
/// let network = Network::new([1, 2, 2], layers, normalization, Initialization::Interval, 1)?;
/// let schedule = Schedule { epochs: 20, ramp_end: 5, learning_rate: 0.05, ..Schedule::default() };
/// let settings = Settings { eps: 0.1, batch: 8, schedule, ..Settings::new(Method::Ibp) };
/// let mut training = Training::new(network, &examples, settings)?;
/// while !training.is_done() {
///     let epoch = training.epoch(|_| ControlFlow::Continue(()))?.expect("nothing stops it");
///     println!("{}: {:.3}", epoch.number, epoch.loss);
/// }
/// assert_eq!(training.epochs().last().unwrap().certified, Some(1.0));
/// let model = training.best().network.to_model("bright.onnx", &[])?;
/// # let _ = model;
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug)]
pub struct Training<'d> {
    examples: &'d Examples,
    settings: Settings,
    /// Which examples are trained on, and which are for validation.
    chosen: [Vec<usize>; 2],
    network: Network,
    adam: Adam,
    average: Average,
    best: Best,
    epochs: Vec<Epoch>,
    /// Whether an epoch was begun and not finished.
    torn: bool,
    /// The device, as [`Device::description`], and what it showed, once it was tested.
    device: String,
    tested: Option<DeviceReport>,
}

impl<'d> Training<'d> {
    /// A training of `network`, whose weights it begins with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] as [`Settings::check`] and [`Device::description`], [`ErrorKind::Data`]
    /// where examples are not of the network's images and classes.
    pub fn new(network: Network, examples: &'d Examples, settings: Settings) -> Result<Self> {
        settings.check()?;
        check_fits(&network, examples)?;
        check_cut(&network, &settings)?;
        check_shift(&network, &settings)?;
        if let Some(cells) = &settings.cells {
            // Cells grow over the ramp: one that is too wide is refused now.
            let mut random = generator(settings.seed, Purpose::Cells, 0, 0);
            cells.drawn(1.0, network.image, examples.pixels(0), &mut random)?;
        }
        Ok(Self {
            device: settings.device.description()?,
            tested: None,
            examples,
            chosen: settings.split(examples.len())?,
            adam: Adam::new(&network.parameters),
            average: Average::default(),
            best: Best {
                network: network.clone(),
                epoch: 0,
                scores: None,
            },
            epochs: Vec::new(),
            torn: false,
            settings,
            network,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The very device that it is computed on, as [`Device::description`].
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The network as it is after the last epoch.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network to keep: with validation, that of the best epoch once eps had its full value;
    /// without, that of the last epoch, its weights averaged where that was asked for.
    pub fn best(&self) -> &Best {
        &self.best
    }

    /// The epochs that are done.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Whether all epochs are done.
    pub fn is_done(&self) -> bool {
        self.epochs.len() >= self.settings.schedule.epochs
    }

    /// The examples that are trained on, and those kept for validation, by their numbers.
    pub fn split(&self) -> [&[usize]; 2] {
        [&self.chosen[0], &self.chosen[1]]
    }

    /// What the method is compared by in validation: noise where it adds noise, attacks and bounds
    /// where it is for boxes.
    pub fn measures(&self) -> Measures {
        let settings = &self.settings;
        let attack = settings.method == Method::Pgd || settings.method.bounds();
        Measures {
            eps: settings.validation_eps,
            sigma: settings.method.sigma(),
            attack: attack.then_some(settings.attack),
            bounds: settings.method.bounds(),
            seed: settings.seed,
        }
    }

    /// Measures a network by what the method is for, on the images at these positions:
    /// [`evaluated`] with [`Training::measures`], or [`evaluated_on_cells`].
    ///
    /// # Errors
    ///
    /// As these.
    pub fn scores(
        &self,
        network: &Network,
        examples: &Examples,
        positions: &[usize],
    ) -> Result<Scores> {
        placed(self.settings.device, || match &self.settings.cells {
            Some(cells) => {
                evaluated_on_cells(network, examples, positions, cells, self.settings.seed)
            }
            None => evaluated(network, examples, positions, &self.measures()),
        })
    }

    /// Trains one epoch. `observe` is called after every step and may end the training there: then
    /// there is no epoch, and the checkpoint from before is the place to go on from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Diverged`] where the loss or a gradient is not finite. [`ErrorKind::Setting`]
    /// where all epochs are done, [`ErrorKind::Checkpoint`] where an epoch was not finished.
    /// [`ErrorKind::Device`] as [`Training::test_device`], which the first epoch begins with, and
    /// where the device fails.
    pub fn epoch(
        &mut self,
        observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Option<Epoch>> {
        self.recorded_epoch(observe, None)
    }

    /// As [`Training::epoch`], with a record of every step where one is asked for.
    #[doc(hidden)]
    pub fn recorded_epoch(
        &mut self,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
        mut record: Option<&mut dyn FnMut(&StepRecord)>,
    ) -> Result<Option<Epoch>> {
        if self.is_done() {
            return Err(Error::setting("epochs", "all epochs are done"));
        }
        self.check_whole()?;
        self.test_device()?;
        self.torn = true;
        let begun = Instant::now();
        let _buffers = pool::Uses::begin();
        let number = self.epochs.len();
        let order = shuffled(
            self.chosen[0].len(),
            generator(self.settings.seed, Purpose::Order, number as u64, 0),
        );
        let order: Vec<usize> = order.into_iter().map(|at| self.chosen[0][at]).collect();
        let batches: Vec<&[usize]> = order.chunks(self.settings.batch).collect();
        let mut tally = step::Tally::default();
        for (step, batch) in batches.iter().enumerate() {
            let share = step as f64 / batches.len() as f64;
            let record = record.as_mut().map(|record| &mut **record as _);
            placed(self.settings.device, || {
                self.step([number, step], share, batch, &mut tally, record)
            })?;
            if observe(&tally.progress(number, step + 1, batches.len())).is_break() {
                return Ok(None);
            }
        }
        let last = tally.progress(number, batches.len(), batches.len());
        let Settings {
            method, schedule, ..
        } = &self.settings;
        let ramped = !method.ramps() || number >= schedule.ramp_end;
        let candidate = placed(self.settings.device, || self.candidate(number, &batches))?;
        let mut epoch = Epoch {
            number,
            eps: tally.eps,
            ramp: tally.ramp,
            rate: self.settings.schedule.rate(number),
            loss: last.loss,
            points: last.points,
            certified: last.certified,
            gradient: tally.gradient,
            validation: None,
            seconds: 0.0,
        };
        if !self.chosen[1].is_empty() {
            let scores = self.scores(&candidate, self.examples, &self.chosen[1]);
            epoch.validation = Some(scores?);
        }
        if !ramped || self.best.scores.is_none() || better(epoch.validation, self.best.scores) {
            self.best = Best {
                network: candidate,
                epoch: number,
                // Scores of networks of a smaller eps are not compared with.
                scores: epoch.validation.filter(|_| ramped),
            };
        }
        epoch.seconds = begun.elapsed().as_secs_f64();
        self.epochs.push(epoch);
        self.torn = false;
        Ok(Some(epoch))
    }

    /// Checks that no epoch was begun and not finished.
    fn check_whole(&self) -> Result<()> {
        if self.torn {
            let text = "the training was stopped within an epoch: resume it from a checkpoint";
            return Err(Error::new(ErrorKind::Checkpoint, text));
        }
        Ok(())
    }

    /// The network that would be kept if this epoch, of these batches, were the last; averaged weights
    /// are updated. Statistics belong to weights and are not averaged with them, but met again.
    fn candidate(&mut self, number: usize, batches: &[&[usize]]) -> Result<Network> {
        let mut candidate = self.network.clone();
        let from = self.settings.average_from;
        if from.is_some_and(|from| number >= from) {
            self.average.add(self.network.parameters.iter());
            candidate.parameters.clone_from(&self.average.values);
            if candidate.has_batch_norm() {
                candidate.statistics = self.met(&candidate, number, batches)?;
            }
        }
        Ok(candidate)
    }
}

/// Computes something on a device.
fn placed<R>(device: Device, work: impl FnOnce() -> Result<R>) -> Result<R> {
    on(device, work).map_err(|why| {
        let text = format!(
            "the device failed: {why}; go on from the last checkpoint, with a smaller batch where \
             it has too little memory"
        );
        Error::new(ErrorKind::Device, text)
    })?
}

/// Whether scores are better than others: by certified, then adversarial, noisy and clean
/// accuracy, as far as they were measured.
fn better(new: Option<Scores>, old: Option<Scores>) -> bool {
    let key = |scores: Scores| {
        let Scores {
            clean,
            noisy,
            adversarial,
            certified,
        } = scores;
        let measured = |share: Option<f64>| share.unwrap_or(0.0);
        [
            measured(certified),
            measured(adversarial),
            measured(noisy),
            clean,
        ]
    };
    match (new, old) {
        (Some(new), Some(old)) => key(new) > key(old),
        _ => true,
    }
}

/// Checks that the last layers can be attacked, where the method does that.
fn check_cut(network: &Network, settings: &Settings) -> Result<()> {
    let Some(latent) = settings.method.latent() else {
        return Ok(());
    };
    if Cut::before(network, latent.relus).is_some() {
        return Ok(());
    }
    let possible: Vec<String> = (Cut::all(network).iter())
        .map(|cut| cut.relus.to_string())
        .collect();
    let (name, relus) = (settings.method.name(), latent.relus);
    let text = if possible.is_empty() {
        format!(
            "{name} bounds the first layers of ReLUs and attacks the others, and this network has no \
             ReLUs outside of residual blocks that others come after: take another method or network"
        )
    } else {
        format!(
            "{name} cannot attack the last {relus} layers of ReLUs of this network: it can attack {}",
            possible.join(" or ")
        )
    };
    Err(Error::setting("attacked-relus", text))
}

/// Checks that images are not moved out of sight.
fn check_shift(network: &Network, settings: &Settings) -> Result<()> {
    let [_, height, width] = network.image;
    let (side, shift) = (height.min(width), settings.augmentation.shift);
    if shift == 0 || shift < side.div_ceil(2) {
        return Ok(());
    }
    let text = format!(
        "{shift} pixels are half or more of images of {height} x {width}: move them by fewer"
    );
    Err(Error::setting("shift", text))
}

/// Checks that examples are of a network's images and classes.
pub(crate) fn check_fits(network: &Network, examples: &Examples) -> Result<()> {
    if network.image != examples.image() {
        let text = format!(
            "the network takes images of {:?} (channels, height, width), and these are {:?}",
            network.image,
            examples.image()
        );
        return Err(Error::new(ErrorKind::Data, text));
    }
    if network.classes() != examples.classes() {
        let text = format!(
            "the network has {} classes, and the data {}",
            network.classes(),
            examples.classes()
        );
        return Err(Error::new(ErrorKind::Data, text));
    }
    Ok(())
}
