//! The networks of a job: ONNX files in an engine, or any classifier.
//!
//! Every way to open one is here, side by side, as they share what is refused; so the file is long.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use recert_engine::{
    self as engine, Apart, Arithmetic, Class, Classifier, Comparison, EngineOptions, FnClassifier,
    ImageShape, NetworkOptions, Precision, Preprocess, Runtime, engines,
};
use recert_graph::proto::onnx::NodeProto;
use recert_ledger::{self as ledger, Ledger};
use recert_net::Model;
use recert_smooth::run::{Answerer, Instance};

use super::classifier::{ClassifierIdentity, is_file};
use super::held::{HeldEngine, Sampled};
use super::place::check_ledger_place;
use super::remark::Remark;
use crate::calibration::CalibrationImages;
use crate::identity::is_quantized;
use crate::{Error, ErrorKind, Field, Result};

/// The engine that chooses among the others.
const AUTO: &str = "auto";

/// How to run a network that is read from a file. What is left open is the
/// ledger's where there is one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkConfig {
    /// The engine, by name; `auto` is the fastest installed one that supports the network.
    pub engine: Option<String>,
    /// The arithmetic.
    pub precision: Option<Precision>,
    /// The device, by the engine's name for it.
    pub device: Option<String>,
    /// Where engines that are other projects' libraries run a network first, so that a crash
    /// there refuses the engine; in this process where none is given, which a crash ends.
    pub apart: Option<Apart>,
    /// The graph output to read, if the network has several.
    pub output: Option<String>,
    /// Normalisation outside the graph, subtracted: one value or one per channel.
    pub mean: Vec<f32>,
    /// Normalisation outside the graph, divided by: one value or one per channel.
    pub std: Vec<f32>,
    /// Factor after normalisation.
    pub scale: Option<f32>,
    /// The most bytes that the tensors of one image may take together, weights not counted;
    /// 4 GiB where it is left open. A network whose tensors are larger is refused before any of
    /// them is made.
    pub max_memory: Option<u64>,
}

impl NetworkConfig {
    /// The engine, if one is chosen by its name.
    fn named(&self) -> Option<&str> {
        self.engine.as_deref().filter(|&name| name != AUTO)
    }

    /// The same with what is left open taken from a ledger's network: the
    /// engine, where that is a file in one, and of the same engine precision and device.
    fn like(&self, base: &ledger::Network) -> Self {
        let mut config = self.clone();
        if config.named().is_none() && is_file(base) {
            config.engine = Some(base.engine.name.clone());
        }
        if config.named() == Some(&base.engine.name) {
            let recorded = Arithmetic::from(base.engine.arithmetic.as_str()).options();
            config.precision = config.precision.or(recorded.precision);
            config.device = config.device.or(recorded.device);
        }
        config
    }

    /// Takes the output that a ledger's network was read at, where none is chosen and the
    /// network has one of that name.
    fn read_like(&mut self, model: &Model, base: &ledger::Network) {
        if self.output.is_none() {
            let has_it = model.signature_with_output(Some(&base.output)).is_ok();
            self.output = has_it.then(|| base.output.clone());
        }
    }

    fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            precision: self.precision,
            device: self.device.clone(),
            apart: self.apart.clone(),
        }
    }

    pub(super) fn options(&self) -> Result<NetworkOptions> {
        Ok(NetworkOptions {
            output: self.output.clone(),
            preprocess: Preprocess::new(&self.mean, &self.std, self.scale)?,
            max_memory: self.max_memory,
        })
    }

    /// The engine chosen, or the one that is built in.
    pub(super) fn runtime(&self, model: &Model) -> Result<Box<dyn Runtime>> {
        Ok(match self.named() {
            Some(name) => engines::open(name, &self.engine_options())?,
            None => engines::embedded(model, self.output.as_deref()),
        })
    }
}

/// An engine with its arithmetic, in words: `openvino`, `openvino/bf16`, `onnxruntime/f32@CUDA`.
///
/// ```
/// use recert::job::{Computation, NetworkConfig};
///
/// let computation: Computation = "openvino/bf16@GPU".parse()?;
/// let config = computation.of(&NetworkConfig::default());
/// assert_eq!((config.engine.as_deref(), config.device.as_deref()), (Some("openvino"), Some("GPU")));
/// assert_eq!(computation.to_string(), "openvino/bf16@GPU");
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computation {
    engine: String,
    precision: Option<Precision>,
    device: Option<String>,
}

impl Computation {
    /// The same way to run a network, computed so.
    #[must_use]
    pub fn of(&self, config: &NetworkConfig) -> NetworkConfig {
        NetworkConfig {
            engine: Some(self.engine.clone()),
            precision: self.precision,
            device: self.device.clone(),
            ..config.clone()
        }
    }
}

impl fmt::Display for Computation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.engine)?;
        if let Some(precision) = self.precision {
            write!(f, "/{}", precision.name())?;
        }
        match &self.device {
            Some(device) => write!(f, "@{device}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Computation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (computed, device) = match text.trim().split_once('@') {
            Some((computed, device)) => (computed, Some(device)),
            None => (text.trim(), None),
        };
        let (engine, precision) = match computed.split_once('/') {
            Some((engine, precision)) => (engine, Some(precision.parse::<Precision>()?)),
            None => (computed, None),
        };
        if engine.is_empty() || device.is_some_and(str::is_empty) {
            let message = format!(
                "'{text}' is no engine with its arithmetic: write as in openvino/bf16, or onnxruntime/f32@CUDA"
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        Ok(Self {
            engine: engine.to_owned(),
            precision,
            device: device.map(str::to_owned),
        })
    }
}

/// Makes a worker's instance of a classifier.
type Make = Box<dyn Fn() -> Box<dyn Classifier> + Send + Sync>;

/// The same of one that makes its noise itself.
type Answering = Box<dyn Fn() -> Box<dyn Answerer> + Send + Sync>;

/// A network, ready to answer, and its identity. It may be shared by threads
/// and by jobs.
pub struct Network {
    identity: ledger::Network,
    image: ImageShape,
    computed: Computed,
    /// What makes a worker's instance that makes its noise itself, if there is such.
    answering: Option<Answering>,
}

enum Computed {
    Engine(Box<Loaded>),
    Classifier(Make),
}

struct Loaded {
    model: Model,
    network: engine::Network,
    /// Whether the engine was chosen for it.
    chosen: bool,
    /// What comparing it with the reference interpreter found; nothing where the ledger
    /// records it.
    comparison: Option<Comparison>,
    /// The engines that were passed over because they compute it wrongly or crash on it, and
    /// what they do.
    refused: Vec<(&'static str, String)>,
    /// Whether the output was chosen among several.
    chosen_output: bool,
}

impl Network {
    /// Reads the network at `path` and loads it into the engine chosen, or into
    /// the fastest installed one that supports it, for images of a shape or, better, for
    /// [samples of data](Sampled): the engine has to answer some of these as the
    /// reference interpreter does. One that does not is refused, if it was chosen by its
    /// name, and passed over, if it was not.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for what is no network or does not fit the images,
    /// [`ErrorKind::Engine`] for what the engine cannot compute.
    ///
    /// ```
    /// use recert::engine::ImageShape;
    /// use recert::job::{Network, NetworkConfig};
    ///
    /// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
    /// let image = ImageShape { channels: 3, height: 32, width: 32 };
    /// let config = NetworkConfig { engine: Some("direct".into()), ..Default::default() };
    /// let network = Network::open(format!("{demo}/shapes.onnx").as_ref(), &config, image)?;
    /// assert_eq!(network.classes(), 10);
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn open<'a>(
        path: &Path,
        config: &NetworkConfig,
        samples: impl Into<Sampled<'a>>,
    ) -> Result<Self> {
        Self::load(Model::read(path)?, config, &samples.into())
    }

    fn load(model: Model, config: &NetworkConfig, samples: &Sampled<'_>) -> Result<Self> {
        let (options, image) = (config.options()?, samples.shape());
        let chosen = config.named().is_none();
        let (network, comparison, refused) = if chosen {
            let mut trial = samples.trial(&model, &options)?;
            let engine = config.engine_options();
            let chosen = engines::load_held(&model, &engine, image, &options, &mut trial)?;
            let refused = chosen.refused.into_iter();
            let refused = refused.map(|(engine, why)| (engine, why.to_string()));
            (chosen.network, Some(chosen.comparison), refused.collect())
        } else {
            let runtime = config.runtime(&model)?;
            let network = engine::Network::load(&model, runtime.as_ref(), image, &options)?;
            let comparison = if samples.remembers(&crate::identity(&model, &network)) {
                None
            } else {
                Some(samples.trial(&model, &options)?.hold(&network)?)
            };
            (network, comparison, Vec::new())
        };
        let outputs = model.graph_proto().output.len();
        Ok(Self {
            identity: crate::identity(&model, &network),
            image,
            computed: Computed::Engine(Box::new(Loaded {
                model,
                network,
                chosen,
                comparison,
                refused,
                chosen_output: config.output.is_none() && outputs > 1,
            })),
            answering: None,
        })
    }

    /// The same for a job that certifies or predicts into `ledger`: where that
    /// is there already, what is left open is as in it.
    ///
    /// # Errors
    /// As for [`Self::open`], and before anything is run if no ledger can be written there.
    pub fn open_for<'a>(
        ledger: &Path,
        path: &Path,
        config: &NetworkConfig,
        samples: impl Into<Sampled<'a>>,
    ) -> Result<Self> {
        check_ledger_place(ledger)?;
        let mut samples = samples.into();
        // What is wrong with the rows of a ledger is found when it is opened for writing.
        let existing = ledger
            .is_file()
            .then(|| Ledger::open_read_only(ledger).ok());
        let Some(existing) = existing.flatten() else {
            return Self::open(path, config, samples);
        };
        let base = &existing.header().network;
        samples = samples.remembering(&existing);
        let model = Model::read(path)?;
        let mut like = config.like(base);
        like.read_like(&model, base);
        Self::load(model, &like, &samples).map_err(|error| {
            if error.kind() != ErrorKind::Engine || config.named().is_some() {
                return error;
            }
            error.during(format!(
                "{} was made with {} (another engine makes another ledger)",
                ledger.display(),
                base.engine,
            ))
        })
    }

    /// The same for a modified version of the network `base` of a ledger: what
    /// is left open is as for that network, and so is the output where it has
    /// one of that name.
    ///
    /// # Errors
    /// As for [`Self::open`], and if it is not of the same classes.
    pub fn open_like<'a>(
        path: &Path,
        config: &NetworkConfig,
        base: &ledger::Network,
        samples: impl Into<Sampled<'a>>,
    ) -> Result<Self> {
        let model =
            Model::read(path).map_err(|error| loading_like(path.display(), base, error.into()))?;
        Self::like(model, config, base, &samples.into())
    }

    /// The same for a model that was read or made.
    pub(super) fn of_model(
        model: Model,
        config: &NetworkConfig,
        base: &ledger::Network,
        samples: &Sampled<'_>,
    ) -> Result<Self> {
        Self::like(model, config, base, samples)
    }

    /// A network of a ledger, loaded and computed as the ledger records it.
    pub(super) fn recorded(
        model: Model,
        recorded: &ledger::Network,
        image: ImageShape,
    ) -> Result<Self> {
        // It is the record that its answers are compared with here.
        let samples = Sampled::from(image).trusted();
        let network = Self::like(model, &NetworkConfig::default(), recorded, &samples)?;
        if network.identity.engine == recorded.engine {
            return Ok(network);
        }
        let message = format!(
            "{} was answered by {}, which here is {}: another engine may answer otherwise, so its \
             answers cannot be run again here",
            recorded.file, recorded.engine, network.identity.engine,
        );
        Err(Error::new(ErrorKind::Ledger, message))
    }

    /// A network of a ledger in another engine than the ledger records, by its name.
    pub(super) fn recorded_in(
        model: Model,
        recorded: &ledger::Network,
        image: ImageShape,
        engine: &str,
    ) -> Result<Self> {
        let config = NetworkConfig {
            engine: Some(engine.to_owned()),
            ..NetworkConfig::default()
        };
        // What it computes is compared with the record.
        Self::like(model, &config, recorded, &Sampled::from(image).trusted())
    }

    /// The file that a network of a ledger that is no file was exported to, in an engine by its
    /// name, or in one that is chosen.
    pub(super) fn exported(
        model: Model,
        recorded: &ledger::Network,
        image: ImageShape,
        engine: Option<&str>,
    ) -> Result<Self> {
        let config = NetworkConfig {
            engine: engine.map(str::to_owned),
            ..NetworkConfig::default()
        };
        // What it computes is compared with the record.
        Self::like(model, &config, recorded, &Sampled::from(image).trusted())
    }

    fn like(
        model: Model,
        config: &NetworkConfig,
        base: &ledger::Network,
        samples: &Sampled<'_>,
    ) -> Result<Self> {
        let mut config = config.like(base);
        if config.mean.is_empty() && config.std.is_empty() && config.scale.is_none() {
            let Preprocess { mean, std, scale } = base.preprocess.parse()?;
            (config.mean, config.std, config.scale) = (mean, std, scale);
        }
        config.read_like(&model, base);
        let name = model.name().to_owned();
        let network = Self::load(model, &config, samples).map_err(|error| {
            let unnamed = error.kind() == ErrorKind::Engine && error.field().is_none();
            let error = loading_like(name, base, error);
            if unnamed {
                return error.about(Field::Engine);
            }
            error
        })?;
        network.check_classes(base)?;
        Ok(network)
    }

    /// A network that is a function of an image: the class, or `None` for no
    /// valid answer.
    ///
    /// `name` is its [identity](ClassifierIdentity::named) in the ledger, where a file has its
    /// SHA-256. A job refuses two networks of one identity.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] if there are not 2 to 65,535 classes.
    ///
    /// ```
    /// use recert::engine::ImageShape;
    /// use recert::job::Network;
    ///
    /// let image = ImageShape { channels: 1, height: 2, width: 2 };
    /// let bright = |pixels: &[f32]| Some(u16::from(pixels.iter().sum::<f32>() > 2.0));
    /// let network = Network::from_fn("bright at 2, version 1", 2, image, bright)?;
    /// assert_eq!(network.classes(), 2);
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn from_fn<F>(name: &str, classes: usize, image: ImageShape, function: F) -> Result<Self>
    where
        F: Fn(&[f32]) -> Option<Class> + Clone + Send + Sync + 'static,
    {
        let make = move || {
            let classifier = FnClassifier::new(classes, image.len(), function.clone());
            Box::new(classifier) as Box<dyn Classifier>
        };
        Self::from_classifier(ClassifierIdentity::named(name), image, make)
    }

    /// A network that is any classifier: `make` makes a worker's instance.
    ///
    /// `identity` is what the ledger knows it by, and promises [what it says](ClassifierIdentity)
    /// of every instance.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] if it does not take images of this shape, if there are not 2 to
    /// 65,535 classes, or if it claims to be computed by an engine of recert.
    pub fn from_classifier(
        identity: ClassifierIdentity,
        image: ImageShape,
        make: impl Fn() -> Box<dyn Classifier> + Send + Sync + 'static,
    ) -> Result<Self> {
        let first = make();
        let classes = first.classes();
        let name = &identity.name;
        let refuse = |message| {
            Err(Error::new(
                ErrorKind::Parameter,
                format!("{name}: {message}"),
            ))
        };
        check_instance(name, first.as_ref(), image, classes)?;
        if !(2..=usize::from(Class::MAX)).contains(&classes) {
            return refuse(format!("it has {classes} classes, not 2 to 65535"));
        }
        Ok(Self {
            identity: identity.record(classes as u32)?,
            image,
            computed: Computed::Classifier(Box::new(make)),
            answering: None,
        })
    }

    /// The same, with what answers the samples of a run where the network is: `make` makes a
    /// worker's instance, which is given requests instead of noisy images.
    ///
    /// It has to answer as the classifier does, on the same samples. That one is still asked
    /// where it matters little: for a first look, and by an [`Auditor`](super::Auditor), whose
    /// noise is then made here, by other code.
    #[must_use]
    pub fn answering(
        mut self,
        make: impl Fn() -> Box<dyn Answerer> + Send + Sync + 'static,
    ) -> Self {
        self.answering = Some(Box::new(make));
        self
    }

    /// What a ledger knows it by.
    pub fn identity(&self) -> &ledger::Network {
        &self.identity
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.identity.classes as usize
    }

    /// Fails if it is not of the same classes as a ledger's network.
    pub(super) fn check_classes(&self, base: &ledger::Network) -> Result<()> {
        if self.identity.classes == base.classes {
            return Ok(());
        }
        let message = format!(
            "{} has {} classes, but {} has {}: only networks of the same classes can be recertified",
            self.identity.file, self.identity.classes, base.file, base.classes,
        );
        Err(Error::new(ErrorKind::Input, message))
    }

    /// Fails if it takes other images than those of shape `image`.
    pub(super) fn check_image(&self, image: ImageShape) -> Result<()> {
        if self.image == image {
            return Ok(());
        }
        let message = format!(
            "{} was loaded for images of {}, but the data's are {image}",
            self.identity.file, self.image
        );
        Err(Error::new(ErrorKind::Parameter, message))
    }

    /// The file and the loaded network, where there is one.
    pub(super) fn loaded(&self) -> Option<(&engine::Network, &Model)> {
        match &self.computed {
            Computed::Engine(loaded) => Some((&loaded.network, &loaded.model)),
            Computed::Classifier(_) => None,
        }
    }

    /// The images that it was calibrated on, as far as its file lists them.
    pub(super) fn calibrated_on(&self) -> CalibrationImages {
        let file = self.loaded().map(|(_, model)| model);
        file.map_or_else(CalibrationImages::default, CalibrationImages::of)
    }

    /// One worker's instance.
    pub(super) fn worker(&self) -> Result<Box<dyn Classifier>> {
        match &self.computed {
            Computed::Engine(loaded) => Ok(loaded.network.worker()?),
            Computed::Classifier(make) => {
                let instance = make();
                let name = &self.identity.file;
                check_instance(name, instance.as_ref(), self.image, self.classes())?;
                Ok(instance)
            }
        }
    }

    /// A worker's instance for the samples of a run, given the one for images.
    pub(super) fn instance(&self, classifier: Box<dyn Classifier>) -> Instance {
        match &self.answering {
            Some(make) => make().into(),
            None => classifier.into(),
        }
    }

    /// Whether `other` is a second classifier under this one's name, of which
    /// nobody can know whether it answers the same. The same object, given
    /// twice, and a file that was read twice are not.
    pub(super) fn is_namesake(&self, other: &Self) -> bool {
        let is_classifier = matches!(self.computed, Computed::Classifier(_));
        is_classifier && !std::ptr::eq(self, other) && self.identity == other.identity
    }

    /// The number of workers by default. A device computes by
    /// itself: one worker makes noise meanwhile.
    pub(super) fn usual_threads(&self) -> usize {
        if Arithmetic::from(self.identity.engine.arithmetic.as_str()).on_cpu() {
            return std::thread::available_parallelism().map_or(1, Into::into);
        }
        2
    }

    /// The same as if it were computed on another device than the processor.
    #[cfg(test)]
    pub(super) fn on_device(mut self, device: &str) -> Self {
        self.identity.engine.arithmetic = format!("float32, on {device}");
        self
    }

    /// What a person should know of how it is computed: before a run, and first.
    pub(super) fn engine_remarks(&self) -> Vec<Remark> {
        let Computed::Engine(loaded) = &self.computed else {
            return Vec::new();
        };
        let network = || self.identity.file.clone();
        let mut remarks: Vec<_> = (loaded.refused.iter())
            .map(|(engine, why)| Remark::EngineRefused {
                engine: (*engine).to_owned(),
                why: why.clone(),
            })
            .collect();
        if loaded.chosen {
            remarks.push(Remark::EngineChosen {
                network: network(),
                engine: self.identity.engine.clone(),
                quantized: is_quantized(&self.identity),
            });
        }
        let said = match &loaded.comparison {
            Some(comparison @ Comparison::NotCompared { .. }) => Some(comparison),
            Some(comparison @ Comparison::Held(held)) if held.wider => Some(comparison),
            _ => None,
        };
        remarks.extend(said.map(|comparison| Remark::EngineCompared {
            network: network(),
            engine: self.identity.engine.clone(),
            found: comparison.to_string(),
        }));
        if self.identity.preprocess != "none"
            && let Some(first) = first_arithmetic(&loaded.model)
        {
            remarks.push(Remark::NormalizedTwice {
                network: network(),
                given: self.identity.preprocess.clone(),
                first,
            });
        }
        if loaded.chosen_output {
            remarks.push(Remark::OutputChosen {
                network: network(),
                output: self.identity.output.clone(),
                classes: self.identity.classes,
            });
        }
        remarks
    }

    /// What comparing its engine with the reference interpreter found, if it was compared
    /// when it was loaded: for the ledger.
    pub(super) fn held(&self) -> Option<HeldEngine> {
        let (Computed::Engine(loaded), engine) = (&self.computed, &self.identity.engine) else {
            return None;
        };
        let comparison = loaded.comparison.as_ref()?;
        Some(HeldEngine::new(engine, comparison))
    }

    /// The most images that may be computed at a time.
    pub(super) fn most_batch(&self) -> usize {
        self.loaded()
            .map_or(usize::MAX, |(network, _)| network.most_batch())
    }

    /// Whether the same batch, run again, gets the same answers.
    pub(super) fn is_deterministic(&self) -> bool {
        (self.loaded()).is_none_or(|(network, _)| network.engine().arithmetic.deterministic)
    }
}

/// Fails if an instance of the classifier `name` does not take images of shape
/// `image`, or has other than `classes` classes.
fn check_instance(
    name: &str,
    instance: &dyn Classifier,
    image: ImageShape,
    classes: usize,
) -> Result<()> {
    let refuse = |message| Err(Error::new(ErrorKind::Parameter, message));
    let image_len = instance.image_len();
    if image_len != image.len() {
        return refuse(format!(
            "{name}: it takes {image_len} values, not images of {image}"
        ));
    }
    if instance.classes() != classes {
        return refuse(format!(
            "{name}: one instance has {classes} classes, another {}: every instance must be of \
             the same network",
            instance.classes()
        ));
    }
    Ok(())
}

/// An error in loading a network that is to be computed like the network `base`.
fn loading_like(network: impl fmt::Display, base: &ledger::Network, error: Error) -> Error {
    error.during(format!(
        "loading {network} like {}, which was answered by {}",
        base.file, base.engine,
    ))
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// The operator that a file first computes its image with, where that is arithmetic with a constant, as
/// normalisation is.
fn first_arithmetic(model: &Model) -> Option<String> {
    let graph = model.graph_proto();
    let stored = |name: &str| {
        let constant = |node: &NodeProto| {
            node.op_type() == "Constant" && node.output.iter().any(|output| output == name)
        };
        graph.initializer.iter().any(|tensor| tensor.name() == name)
            || graph.node.iter().any(constant)
    };
    let image = graph
        .input
        .iter()
        .find(|input| !stored(input.name()))?
        .name();
    let takes = |node: &&NodeProto| node.input.iter().any(|input| input == image);
    let first = graph.node.iter().find(takes)?;
    let with_constant = first.input.iter().any(|input| stored(input));
    let arithmetic = matches!(
        first.op_type(),
        "Sub" | "Div" | "Mul" | "Add" | "BatchNormalization"
    );
    (arithmetic && with_constant).then(|| first.op_type().to_owned())
}
