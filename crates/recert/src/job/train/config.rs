//! What to train and how, as plain values: a file's, a preset's and flags', one over the other.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use recert_train::{
    Architecture, Attack, Augmentation, Cells, Initialization, Latent, Method, Normalization,
    Schedule, Settings,
};
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::{presets, unused, values};
use crate::{Error, ErrorKind, Field, Result};

macro_rules! config {
    ($($(#[$about:meta])* $field:ident: $type:ty,)*) => {
        /// What to train and how; what is `None` has its default. As TOML, names have dashes for
        /// underscores.
        ///
        /// ```
        /// use recert::job::TrainConfig;
        ///
        /// let file = TrainConfig::from_toml("preset = 'mnist-0.1-ibp'\nepochs = 3\nramp-end = 2")?;
        /// let flags = TrainConfig { epochs: Some(2), ..TrainConfig::default() };
        /// let both = file.under(flags);
        /// assert_eq!((both.epochs, both.ramp_end), (Some(2), Some(2)));
        /// # Ok::<(), recert::Error>(())
        /// ```
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct TrainConfig {
            $(
                $(#[$about])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }

        impl TrainConfig {
            /// These values, but where another configuration has one.
            #[must_use]
            pub fn under(self, over: Self) -> Self {
                Self { $($field: over.$field.or(self.$field),)* }
            }
        }
    };
}

config! {
    /// The name of published settings to begin with; see [`train_presets`](super::train_presets).
    preset: String,
    /// The images to train on: a path, or `FORMAT:PATH`; the training set where there are two.
    data: String,
    /// The images to report accuracy on at the end, which nothing is chosen by; the test set where
    /// there are two.
    test: String,
    /// The architecture, by its name.
    architecture: String,
    /// An ONNX file whose layers and weights to begin with, in place of an architecture.
    model: PathBuf,
    /// What is subtracted from each channel, in units of pixels in [0, 1].
    #[serde(deserialize_with = "values::list")]
    mean: Vec<f32>,
    /// What each channel is divided by.
    #[serde(deserialize_with = "values::list")]
    std: Vec<f32>,
    /// How weights begin: `he`, or `interval` (Shi et al.).
    initialization: String,
    /// The method, by its name.
    method: String,
    /// The radius to train for, in units of pixels in [0, 1].
    #[serde(deserialize_with = "values::distance")]
    eps: f64,
    /// The radius to validate and report at.
    #[serde(deserialize_with = "values::distance")]
    validation_eps: f64,
    /// What is done to images, with each parameter's interval (geometric); the syntax is that of
    /// [`recert_bounds::geometric::Transformation`].
    transform: String,
    /// The width of a cell along each parameter (geometric).
    #[serde(deserialize_with = "values::list")]
    cell_width: Vec<f64>,
    /// How pixels are bounded over a cell: `interval` or `knapsack` (geometric).
    pixels: String,
    /// How many cells a batch is divided among (geometric).
    batch_cells: usize,
    /// The standard deviation of noise, in units of pixels in [0, 1].
    sigma: f64,
    /// Samples of noise an image (smoothadv).
    samples: usize,
    /// The share of the box's width that is bounded (sabr, staps).
    tau: f64,
    /// The weight of the bounds (mtl-ibp, cc-ibp, exp-ibp, gaussian-ibp).
    alpha: f64,
    /// How many of the last layers of ReLUs are attacked (taps, staps).
    attacked_relus: usize,
    /// By how much the gradient of the loss on attacked margins is multiplied (taps, staps).
    taps_weight: f64,
    /// The share of a box's width within which a point moves with an end (taps, staps).
    connector: f64,
    /// What upper ends of unstable ReLUs are multiplied by (sabr, taps, staps).
    relu_shrink: f64,
    /// From which margin on a class adds nothing to the hinge, in units of logits
    /// (gaussian-hinge).
    margin: f64,
    /// The weight of the hinge (gaussian-hinge).
    margin_weight: f64,
    /// Steps of an attack.
    attack_steps: usize,
    /// The length of such a step, in units of the radius that is searched.
    attack_step: f64,
    /// Searches of an attack.
    attack_restarts: usize,
    /// The radius that is searched, in units of eps.
    attack_radius: f64,
    /// The number of epochs.
    epochs: usize,
    /// The epoch at which eps begins to grow.
    ramp_start: usize,
    /// The epoch from which on eps has its full value.
    ramp_end: usize,
    /// Adam's learning rate.
    learning_rate: f64,
    /// The epochs at which the learning rate falls.
    #[serde(deserialize_with = "values::list")]
    milestones: Vec<usize>,
    /// What it is multiplied by there.
    decay: f64,
    /// The weights of the loss on clean images, at the ramp's start and from its end on.
    #[serde(deserialize_with = "values::pair")]
    clean_weight: [f64; 2],
    /// Images a step.
    batch: usize,
    /// The norm that gradients are cut to.
    clip: f64,
    /// The weight of the sum of the weights' magnitudes.
    l1: f64,
    /// The weight of Shi et al.'s regularisers.
    regularizer: f64,
    /// The epoch from which on weights are averaged.
    average_from: usize,
    /// Whether images are mirrored at random.
    flip: bool,
    /// By how many pixels images are moved at random.
    shift: usize,
    /// Images kept from training to choose the best epoch by.
    validation: usize,
    /// What decides which images these are.
    split_seed: u64,
    /// The most images to train on, from the first.
    limit: usize,
    /// The most test images, from the first.
    test_limit: usize,
    /// What all other random numbers are a function of.
    seed: u64,
    /// What to train on: `cpu` or `gpu`.
    device: String,
}

/// A setting that is wrong, by its name in files.
pub(super) fn refused(name: &str, why: impl Display) -> Error {
    Error::new(ErrorKind::Parameter, format!("{name}: {why}"))
}

/// What is wrong with a file's text, with the line.
pub(in crate::job) fn at_line(text: &str, span: Range<usize>, why: impl Display) -> Error {
    let before = text.get(..span.start).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let why = why.to_string().replace('\n', " ");
    Error::new(ErrorKind::Parameter, format!("line {line}: {why}"))
}

/// What could not be read of a file's text, with the line and the setting.
pub(in crate::job) fn unreadable(text: &str, error: &toml::de::Error) -> Error {
    let span = error.span().unwrap_or(0..0);
    let document = DeTable::parse(text).ok();
    let name = document.and_then(|document| setting_at(document.get_ref(), span.start));
    match name {
        Some(name) => at_line(text, span, format!("{name}: {}", error.message())),
        None => at_line(text, span, error.message()),
    }
}

/// The name of the setting whose value is at a position of a file's text, in whatever table.
fn setting_at(table: &DeTable<'_>, position: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| match value.get_ref() {
        DeValue::Table(table) => setting_at(table, position),
        DeValue::Array(tables) if matches!(tables.first(), Some(first) if first.get_ref().is_table()) => {
            let mut tables = tables.iter().filter_map(|table| table.get_ref().as_table());
            tables.find_map(|table| setting_at(table, position))
        }
        _ => (value.span().contains(&position)).then(|| name.get_ref().to_string()),
    })
}

/// What a training begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Begin {
    /// The layers and weights of a file.
    File(PathBuf),
    /// New weights.
    Architecture(Architecture),
}

/// What a training is a function of, beside its images.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::job) struct Effective {
    settings: Settings,
    begin: Begin,
    initialization: Initialization,
    normalization: [Option<Vec<f32>>; 2],
    limit: Option<usize>,
}

/// What is wrong with a text that states a family of trainings, and not one.
fn family(text: &str) -> Option<Error> {
    let document = DeTable::parse(text).ok()?;
    let mut names = document.get_ref().keys();
    let name = names.find(|name| ["sweep", "score"].contains(&name.get_ref().as_ref()))?;
    let why = format!(
        "[{}] is of a family of trainings: this is a file for `recert sweep`",
        name.get_ref()
    );
    Some(at_line(text, name.span(), why))
}

/// A choice among names.
fn chosen<T: Clone>(name: &str, given: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(choice, _)| *choice == given);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        refused(name, format!("'{given}' is none of {}", names.join(", ")))
    })
}

impl TrainConfig {
    /// The configuration of a TOML text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parameter`] for what is no TOML, or names no setting.
    pub fn from_toml(text: &str) -> Result<Self> {
        let read = toml::from_str(text);
        read.map_err(|error| family(text).unwrap_or_else(|| unreadable(text, &error)))
    }

    /// The configuration of a JSON text, with the names of files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parameter`] for what is no JSON, or names no setting.
    ///
    /// ```
    /// use recert::job::TrainConfig;
    ///
    /// let config = TrainConfig::from_json(r#"{"eps": "8/255", "clean-weight": 0.5}"#)?;
    /// assert_eq!((config.eps, config.clean_weight), (Some(8.0 / 255.0), Some([0.5; 2])));
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            // One line is no place.
            let words = error.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            Error::new(ErrorKind::Parameter, words)
        })
    }

    /// The configuration of a TOML file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] where it cannot be read; as [`TrainConfig::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("{}: cannot be read: {error}", path.display());
            Error::new(ErrorKind::Input, message)
        })?;
        Self::from_toml(&text).map_err(|error| refused(&path.display().to_string(), error))
    }

    /// With what the preset says under it. Its architecture gives way to a network to begin with.
    pub(in crate::job) fn complete(self) -> Result<Self> {
        let Some(name) = &self.preset else {
            return Ok(self);
        };
        let mut preset = presets::preset(name).ok_or_else(|| {
            let names: Vec<&str> = presets::train_presets().map(|(name, _)| name).collect();
            refused(
                "preset",
                format!("'{name}' is none of {}", names.join(", ")),
            )
        })?;
        if self.model.is_some() {
            preset.architecture = None;
        }
        Ok(preset.under(self))
    }

    /// The method.
    fn method(&self) -> Result<Method> {
        let name = self.method.as_deref().ok_or_else(|| {
            let message = "name a method of training, or a preset";
            Error::parameter(Field::Method, message)
        })?;
        let name = name.to_ascii_lowercase();
        let needed = |field: &str, value: Option<f64>, example: &str| {
            let why = || format!("{name} needs it, as in {field} = {example}");
            value.ok_or_else(|| refused(field, why()))
        };
        let sigma = || {
            let example = "0.25 (above 0, in units of pixels in [0, 1])";
            needed("sigma", self.sigma, example)
        };
        let alpha = || needed("alpha", self.alpha, "0.5 (from 0 to 1)");
        let tau = || needed("tau", self.tau, "0.4 (above 0, at most 1)");
        let standard = Latent::default();
        let latent = Latent {
            relus: self.attacked_relus.unwrap_or(standard.relus),
            weight: self.taps_weight.unwrap_or(standard.weight),
            connector: self.connector.unwrap_or(standard.connector),
        };
        Ok(match &*name {
            "standard" => Method::Standard,
            "gaussian" => Method::Gaussian { sigma: sigma()? },
            "gaussian-hinge" => Method::GaussianHinge {
                sigma: sigma()?,
                margin: needed("margin", self.margin, "2 (above 0, in units of logits)")?,
                weight: needed("margin-weight", self.margin_weight, "0.5 (from 0 on)")?,
            },
            "gaussian-ibp" => Method::GaussianIbp {
                sigma: sigma()?,
                alpha: alpha()?,
            },
            "pgd" => Method::Pgd,
            "smoothadv" => Method::SmoothAdv {
                sigma: sigma()?,
                samples: self.samples.unwrap_or(1),
            },
            "ibp" => Method::Ibp,
            "crown-ibp" => Method::CrownIbp,
            "sabr" => Method::Sabr { tau: tau()? },
            "mtl-ibp" => Method::MtlIbp { alpha: alpha()? },
            "cc-ibp" => Method::CcIbp { alpha: alpha()? },
            "exp-ibp" => Method::ExpIbp { alpha: alpha()? },
            "taps" => Method::Taps { latent },
            "staps" => Method::Staps {
                tau: tau()?,
                latent,
            },
            "geometric" => Method::Geometric,
            _ => {
                let given = self.method.as_deref().unwrap_or_default();
                let message = format!(
                    "'{given}' is none of standard, gaussian, gaussian-hinge, gaussian-ibp, pgd, \
                     smoothadv, ibp, crown-ibp, sabr, mtl-ibp, cc-ibp, exp-ibp, taps, staps, \
                     geometric"
                );
                return Err(Error::parameter(Field::Method, message));
            }
        })
    }

    /// The transformation and its cells, where one is given.
    fn cells(&self) -> Result<Option<Cells>> {
        let Some(transform) = &self.transform else {
            return Ok(None);
        };
        let transformation = transform.parse();
        let widths = self.cell_width.clone();
        Ok(Some(Cells {
            transformation: transformation.map_err(|error| refused("transform", error))?,
            widths: widths.ok_or_else(|| {
                let why = "a transformation needs it, as in cell-width = 0.5 (a width for each parameter)";
                refused("cell-width", why)
            })?,
            pixels: self.pixels.as_deref().unwrap_or("interval").parse()?,
            per_batch: self.batch_cells.unwrap_or(1),
        }))
    }

    /// The settings of the training.
    pub(super) fn settings(&self) -> Result<Settings> {
        let method = self.method()?;
        let base = Settings::new(method);
        let Schedule {
            epochs,
            ramp_start,
            ramp_end,
            learning_rate,
            milestones,
            decay,
            clean,
        } = base.schedule.clone();
        let eps = self.eps.unwrap_or(base.eps);
        for (name, limit) in [("limit", self.limit), ("test-limit", self.test_limit)] {
            if limit == Some(0) {
                return Err(refused(name, "at least 1 is needed"));
            }
        }
        let settings = Settings {
            eps,
            validation_eps: self.validation_eps.unwrap_or(eps),
            cells: self.cells()?,
            attack: Attack {
                steps: self.attack_steps.unwrap_or(base.attack.steps),
                step: self.attack_step.unwrap_or(base.attack.step),
                restarts: self.attack_restarts.unwrap_or(base.attack.restarts),
                radius: self.attack_radius.unwrap_or(base.attack.radius),
            },
            schedule: Schedule {
                epochs: self.epochs.unwrap_or(epochs),
                ramp_start: self.ramp_start.unwrap_or(ramp_start),
                ramp_end: self.ramp_end.unwrap_or(ramp_end),
                learning_rate: self.learning_rate.unwrap_or(learning_rate),
                milestones: self.milestones.clone().unwrap_or(milestones),
                decay: self.decay.unwrap_or(decay),
                clean: self.clean_weight.unwrap_or(clean),
            },
            batch: self.batch.unwrap_or(base.batch),
            clip: self.clip.unwrap_or(base.clip),
            l1: self.l1.unwrap_or(base.l1),
            regularizer: self.regularizer.unwrap_or(base.regularizer),
            relu_shrink: self.relu_shrink.unwrap_or(base.relu_shrink),
            average_from: self.average_from.or(base.average_from),
            augmentation: Augmentation {
                flip: self.flip.unwrap_or(base.augmentation.flip),
                shift: self.shift.unwrap_or(base.augmentation.shift),
            },
            validation: self.validation.unwrap_or(base.validation),
            split_seed: self.split_seed.unwrap_or(base.split_seed),
            seed: self.seed.unwrap_or(base.seed),
            device: match &self.device {
                Some(device) => device.parse()?,
                None => base.device,
            },
            ..base
        };
        settings.check()?;
        let numbers = |given: &Option<Vec<f32>>| given.clone().unwrap_or_default();
        let normalization = Normalization {
            mean: numbers(&self.mean),
            std: numbers(&self.std),
        };
        normalization.check()?;
        Ok(settings)
    }

    /// The names of the settings that are given here, and not by the preset, and change nothing.
    ///
    /// # Errors
    ///
    /// As those of [`train`](super::train()), for settings.
    ///
    /// ```
    /// use recert::job::TrainConfig;
    ///
    /// let text = "preset = 'mnist-0.1-sabr'\nmethod = 'ibp'\nsigma = 0.1\nclip = 5";
    /// assert_eq!(TrainConfig::from_toml(text)?.unused()?, ["sigma"]);
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn unused(&self) -> Result<Vec<&'static str>> {
        let whole = self.clone().complete()?;
        Ok(unused::unused(self, &whole, &whole.settings()?))
    }

    /// What the training is a function of, beside its images, checked.
    pub(in crate::job) fn effective(&self) -> Result<Effective> {
        let config = self.clone().complete()?;
        let settings = config.settings()?;
        Ok(Effective {
            begin: config.begin()?,
            initialization: config.initialization(&settings.method)?,
            normalization: [config.mean, config.std],
            limit: config.limit,
            settings,
        })
    }

    /// What the training begins with.
    pub(super) fn begin(&self) -> Result<Begin> {
        match (&self.model, &self.architecture) {
            (Some(_), Some(_)) => {
                let message = "give either a network to begin with or an architecture";
                Err(Error::parameter(Field::Model, message))
            }
            (Some(file), None) => Ok(Begin::File(file.clone())),
            (None, Some(name)) => Ok(Begin::Architecture(name.parse()?)),
            (None, None) => Err(refused(
                "architecture",
                "name one, or a network to begin with",
            )),
        }
    }

    /// How weights begin: as Shi et al. for methods that bound.
    pub(super) fn initialization(&self, method: &Method) -> Result<Initialization> {
        let choices = [
            ("he", Initialization::He),
            ("interval", Initialization::Interval),
        ];
        match &self.initialization {
            Some(given) => chosen("initialization", given, &choices),
            None if method.bounds() => Ok(Initialization::Interval),
            None => Ok(Initialization::He),
        }
    }

    /// The normalization: one number for all channels, or one of each.
    pub(super) fn normalization(&self, channels: usize) -> Normalization {
        let spread = |given: &Option<Vec<f32>>, default: f32| match given.as_deref() {
            None => vec![default; channels],
            Some(&[one]) => vec![one; channels],
            Some(all) => all.to_vec(),
        };
        Normalization {
            mean: spread(&self.mean, 0.0),
            std: spread(&self.std, 1.0),
        }
    }
}
