//! The settings of a training, apart from network and data.

use crate::attack::Attack;
use crate::cells::Cells;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::examples::Augmentation;
use crate::method::Method;
use crate::random::{Purpose, generator, shuffled};
use crate::schedule::Schedule;

/// How a network is trained.
///
/// ```
/// use recert_train::{Method, Settings};
///
/// let settings = Settings { eps: 0.2, ..Settings::new(Method::MtlIbp { alpha: 0.02 }) };
/// settings.check()?;
/// let wrong = Settings { eps: -0.1, ..settings };
/// assert_eq!(wrong.check().unwrap_err().field(), Some("eps"));
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The loss.
    pub method: Method,
    /// The radius trained for, in units of pixels in [0, 1].
    pub eps: f64,
    /// The radius at which validation images are attacked and bounded.
    pub validation_eps: f64,
    /// What [`Method::Geometric`] is for, and no other method.
    pub cells: Option<Cells>,
    /// How adversarial images are searched for.
    pub attack: Attack,
    /// Epochs, ramp, learning rate.
    pub schedule: Schedule,
    /// Images a step.
    pub batch: usize,
    /// To what Euclidean norm gradients are cut; infinity for none.
    pub clip: f64,
    /// The weight of the sum of the weights' magnitudes.
    pub l1: f64,
    /// The weight of Shi et al.'s regularisers at the ramp's start.
    pub regularizer: f64,
    /// What the upper ends of unstable ReLUs' intervals are multiplied by in the losses of SABR, TAPS
    /// and STAPS (Mueller et al., ICLR 2023), in (0, 1]; below 1 these are no bounds.
    pub relu_shrink: f64,
    /// The epoch from which on weights are averaged over epochs; one after the last averages nothing.
    pub average_from: Option<usize>,
    /// How images are varied.
    pub augmentation: Augmentation,
    /// Images kept from training, on which the best epoch is chosen; 0 for the last epoch.
    pub validation: usize,
    /// What decides which images these are, and nothing else, so that trainings of different seeds
    /// compare on the same ones.
    pub split_seed: u64,
    /// What all other random numbers are a function of.
    pub seed: u64,
    /// What the training is computed on.
    pub device: Device,
}

impl Settings {
    /// A method with eps 0 and the defaults of [`Schedule`] and [`Attack`]: batches of 256,
    /// gradients cut to 10, regularisers of .5 for methods by intervals; for
    /// [`Method::Geometric`] a weight of clean images from 1 to 1/2.
    pub fn new(method: Method) -> Self {
        let mut schedule = Schedule::default();
        if method == Method::Geometric {
            schedule.clean = [1.0, 0.5];
        }
        Self {
            method,
            eps: 0.0,
            validation_eps: 0.0,
            cells: None,
            attack: Attack::default(),
            schedule,
            batch: 256,
            clip: 10.0,
            l1: 0.0,
            regularizer: if method.bounds() { 0.5 } else { 0.0 },
            relu_shrink: 1.0,
            average_from: None,
            augmentation: Augmentation::default(),
            validation: 0,
            split_seed: 0,
            seed: 0,
            device: Device::Cpu,
        }
    }

    /// The positions, of `images` examples, that are trained on, and those kept for validation.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Setting`] where none are left to train on.
    ///
    /// ```
    /// use recert_train::{Method, Settings};
    ///
    /// let settings = Settings { validation: 3, ..Settings::new(Method::Standard) };
    /// let [trained, kept] = settings.split(10)?;
    /// assert_eq!((trained.len(), kept.len()), (7, 3));
    /// // Another seed trains otherwise, on the same images.
    /// assert_eq!(Settings { seed: 5, ..settings }.split(10)?, [trained, kept]);
    /// # Ok::<(), recert_train::Error>(())
    /// ```
    pub fn split(&self, images: usize) -> Result<[Vec<usize>; 2]> {
        if self.validation >= images {
            let text = format!(
                "{} images for validation leave none of {images} to train on",
                self.validation
            );
            return Err(Error::setting("validation", text));
        }
        let order = generator(self.split_seed, Purpose::Validation, 0, 0);
        let mut kept = shuffled(images, order);
        let mut trained = kept.split_off(self.validation);
        trained.sort_unstable();
        kept.sort_unstable();
        Ok([trained, kept])
    }

    /// Checks that settings are in their ranges and go together.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Setting`] with the field.
    pub fn check(&self) -> Result<()> {
        self.schedule.check()?;
        let within = |field, number: f64, low: f64, high: f64| {
            if (low..=high).contains(&number) {
                return Ok(());
            }
            let text = format!("{number} is not from {low} to {high}");
            Err(Error::setting(field, text))
        };
        if let Some(sigma) = self.method.sigma() {
            within("sigma", sigma, 1e-6, 100.0)?;
        }
        match self.method {
            Method::GaussianHinge { margin, weight, .. } => {
                within("margin", margin, 1e-6, 1e6)?;
                within("margin-weight", weight, 0.0, 1e6)?;
            }
            Method::Sabr { tau } | Method::Staps { tau, .. } => within("tau", tau, 1e-6, 1.0)?,
            Method::MtlIbp { alpha }
            | Method::CcIbp { alpha }
            | Method::ExpIbp { alpha }
            | Method::GaussianIbp { alpha, .. } => {
                within("alpha", alpha, 0.0, 1.0)?;
            }
            _ => {}
        }
        if let Some(latent) = self.method.latent() {
            within("taps-weight", latent.weight, 1e-6, 1000.0)?;
            within("connector", latent.connector, 1e-3, 0.5)?;
        }
        if let Method::SmoothAdv { samples, .. } = self.method {
            within("samples", samples as f64, 1.0, 1000.0)?;
        }
        let most = if matches!(self.method, Method::SmoothAdv { .. }) {
            1000.0
        } else {
            1.0
        };
        within("eps", self.eps, 0.0, most)?;
        if self.method.has_eps() && self.eps == 0.0 {
            let text = format!(
                "{} needs a radius, as in eps = 0.1 (above 0, at most {most})",
                self.method.name()
            );
            return Err(Error::setting("eps", text));
        }
        match (&self.cells, self.method == Method::Geometric) {
            (Some(cells), true) => cells.check()?,
            (None, false) => {}
            (None, true) => {
                let text = "geometric needs a transformation, such as rotate=-30..30";
                return Err(Error::setting("transform", text));
            }
            (Some(_), false) => {
                let text = format!("{} is for no transformation", self.method.name());
                return Err(Error::setting("transform", text));
            }
        }
        if self.method == Method::Geometric {
            for (field, eps) in [("eps", self.eps), ("validation-eps", self.validation_eps)] {
                if eps != 0.0 {
                    let text = "geometric is for a transformation, not for a radius: leave it out";
                    return Err(Error::setting(field, text));
                }
            }
        }
        within("validation-eps", self.validation_eps, 0.0, most)?;
        within("attack-steps", self.attack.steps as f64, 1.0, 10_000.0)?;
        within("attack-step", self.attack.step, 1e-6, 10.0)?;
        within("attack-restarts", self.attack.restarts as f64, 1.0, 1000.0)?;
        within("attack-radius", self.attack.radius, 1e-6, 100.0)?;
        within("batch", self.batch as f64, 1.0, 65_536.0)?;
        if self.clip.is_nan() || self.clip <= 0.0 {
            let text = format!("{} is not above 0", self.clip);
            return Err(Error::setting("clip", text));
        }
        within("l1", self.l1, 0.0, 1.0)?;
        within("regularizer", self.regularizer, 0.0, 1000.0)?;
        within("relu-shrink", self.relu_shrink, 1e-6, 1.0)?;
        let shrinks = matches!(
            self.method,
            Method::Sabr { .. } | Method::Taps { .. } | Method::Staps { .. }
        );
        if self.relu_shrink != 1.0 && !shrinks {
            let text = format!("{} does not shrink intervals", self.method.name());
            return Err(Error::setting("relu-shrink", text));
        }
        Ok(())
    }
}
