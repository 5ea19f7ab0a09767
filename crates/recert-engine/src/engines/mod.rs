//! The engines: one file each, and the table of them that everything else reads.

mod direct;
mod faults;
mod onnxruntime;
mod openvino;
pub(crate) mod reference;
mod rten;
mod search;

use std::path::PathBuf;

use recert_graph::Model;

pub use self::openvino::OpenVino;
pub use direct::Direct;
pub use onnxruntime::OnnxRuntime;
pub use reference::Reference;
pub use rten::Rten;

use crate::apart::FirstApart;
use crate::options::{Quantized, quantizes};
use crate::{
    Comparison, EngineOptions, Error, ErrorKind, ImageShape, Network, NetworkOptions, Precision,
    Runtime, Setting, Trial,
};

/// An engine of this build: all that the rest of recert knows of it.
#[derive(Debug)]
pub struct EngineEntry {
    /// The name by which it is chosen, and by which ledgers record it.
    pub name: &'static str,
    /// The name that its makers give it, for messages.
    pub title: &'static str,
    /// The one command that installs it; none for what is built in, and cannot crash.
    pub install: Option<&'static str>,
    /// Its place in the order in which [`load_any`] tries the engines, the least first:
    /// for networks in floating point, and for those that compute in 8 bits; [`NEVER`].
    rank: fn(quantized: bool) -> u8,
    /// Whether networks are known that it computes wrongly without a word, so that others come
    /// first where it cannot be compared with the reference interpreter.
    needs_comparison: bool,
    open: fn(&EngineOptions) -> Result<Box<dyn Runtime>, Error>,
    find: fn() -> Result<Found, Error>,
}

/// The rank of an engine that is never chosen for a network: it has to be named.
const NEVER: u8 = u8::MAX;

/// All engines of this build, those that are built in first.
pub static ENGINES: [EngineEntry; 5] = [
    direct::ENTRY,
    rten::ENTRY,
    reference::ENTRY,
    openvino::ENTRY,
    onnxruntime::ENTRY,
];

impl EngineEntry {
    /// The engine, computing as `options` say.
    ///
    /// # Errors
    /// [`ErrorKind::EngineMissing`] where its library or the device is not found,
    /// [`ErrorKind::Unsupported`] for a precision that it does not have there. The
    /// message says what to do. No other device or precision is ever taken instead.
    pub fn open(&self, options: &EngineOptions) -> Result<Box<dyn Runtime>, Error> {
        let mut engine = (self.open)(options)?;
        if let Some(apart) = options.apart.clone().filter(|_| self.install.is_some()) {
            engine = Box::new(FirstApart {
                engine,
                name: self.name,
                options: options.clone(),
                apart,
            });
        }
        Ok(match options.precision {
            Some(Precision::Int8) => Box::new(Quantized(engine)),
            _ => engine,
        })
    }

    /// Whether it may be chosen for a network without being named.
    pub fn is_automatic(&self) -> bool {
        (self.rank)(false) != NEVER
    }

    /// What of it is installed. Loads its library where there is one.
    ///
    /// # Errors
    /// [`ErrorKind::EngineMissing`], with how to install it.
    pub fn find(&self) -> Result<Found, Error> {
        (self.find)()
    }
}

/// The engine of this name, if this build has it.
pub fn entry(name: &str) -> Option<&'static EngineEntry> {
    ENGINES.iter().find(|engine| engine.name == name)
}

/// The engines in the order in which [`load_any`] tries them: the fastest first, as measured
/// on whole networks (`docs/adding-an-engine.md`), the one that supports most networks last. Those that have to
/// be named ([`EngineEntry::is_automatic`]) are not among them.
pub fn fastest_first(quantized: bool) -> Vec<&'static EngineEntry> {
    let automatic = ENGINES.iter().filter(|engine| engine.is_automatic());
    let mut all: Vec<_> = automatic.collect();
    all.sort_by_key(|engine| (engine.rank)(quantized));
    all
}

/// The engine of the name given, computing as `options` say.
///
/// # Errors
/// [`ErrorKind::EngineMissing`] for an unknown name, with those that there are; and the
/// errors of [`EngineEntry::open`].
///
/// # Examples
/// ```
/// use recert_engine::{EngineOptions, ErrorKind, Precision, engines};
///
/// let mut options = EngineOptions {
///     precision: Some(Precision::F32),
///     ..EngineOptions::default()
/// };
/// let engine = engines::open("direct", &options)?;
///
/// // What an engine does not have is refused, and nothing else taken instead.
/// options.precision = Some(Precision::Bf16);
/// let error = engines::open("direct", &options).err().expect("it has no bfloat16");
/// assert_eq!(error.kind(), ErrorKind::Unsupported);
/// # Ok::<(), recert_engine::Error>(())
/// ```
pub fn open(name: &str, options: &EngineOptions) -> Result<Box<dyn Runtime>, Error> {
    let Some(engine) = entry(name) else {
        let names: Vec<_> = ENGINES.iter().map(|engine| engine.name).collect();
        let message = format!(
            "unknown engine '{name}': choose one of {}",
            names.join(", ")
        );
        return Err(Error::new(ErrorKind::EngineMissing, message).about(Setting::Engine));
    };
    engine.open(options)
}

/// The engine of the name given, in float32 on the processor: [`open`] without
/// options.
pub fn by_name(name: &str) -> Result<Box<dyn Runtime>, Error> {
    open(name, &EngineOptions::default())
}

/// Loads `model` into the first engine of [`fastest_first`] that is installed and supports
/// the network, the precision and the device.
///
/// # Errors
/// What is wrong with the network or the data whatever the engine; or, if no
/// engine supports them, the reason of each, one line per engine.
///
/// # Examples
/// ```
/// use recert_engine::{EngineOptions, ImageShape, NetworkOptions, engines};
/// use recert_graph::Model;
///
/// let model = Model::read("tests/golden/made/plain.onnx")?;
/// let image = ImageShape { channels: 3, height: 8, width: 8 };
/// let network = engines::load_any(
///     &model,
///     &EngineOptions::default(),
///     image,
///     &NetworkOptions::default(),
/// )?;
/// assert!(engines::entry(&network.engine().name).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_any(
    model: &Model,
    options: &EngineOptions,
    image: ImageShape,
    network: &NetworkOptions,
) -> Result<Network, Error> {
    let engines = fastest_first(quantizes(model));
    first(engines, model, options, image, network, |_| Ok(())).map(|chosen| chosen.network)
}

/// A network in the first engine that may compute it.
pub struct Chosen<T = Comparison> {
    /// The network.
    pub network: Network,
    /// What comparing the engine with the reference interpreter found.
    pub comparison: T,
    /// The engines that come before it and compute the network wrongly or crash on it, with what
    /// they do.
    pub refused: Vec<(&'static str, Error)>,
}

/// As [`load_any`], but for engines that do not pass `trial`, which are
/// passed over.
///
/// # Errors
/// As for [`load_any`].
///
/// # Examples
/// ```
/// use recert_engine::{EngineOptions, ImageShape, NetworkOptions, Trial, engines};
/// use recert_graph::Model;
///
/// let model = Model::read("tests/golden/made/plain.onnx")?;
/// let image = ImageShape { channels: 3, height: 8, width: 8 };
/// let network = NetworkOptions::default();
/// let mut trial = Trial::new(&model, image, &network, &mut |_| Ok(Vec::new()))?;
/// let options = EngineOptions::default();
/// let chosen = engines::load_held(&model, &options, image, &network, &mut trial)?;
/// println!("{}: {}", chosen.network.engine(), chosen.comparison);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_held(
    model: &Model,
    options: &EngineOptions,
    image: ImageShape,
    network: &NetworkOptions,
    trial: &mut Trial,
) -> Result<Chosen, Error> {
    let mut engines = fastest_first(quantizes(model));
    if !trial.compares() {
        engines.sort_by_key(|engine| engine.needs_comparison);
    }
    first(engines, model, options, image, network, |network| {
        trial.hold(network)
    })
}

/// The first engine that takes a network and passes `hold`.
fn first<T>(
    engines: Vec<&'static EngineEntry>,
    model: &Model,
    options: &EngineOptions,
    image: ImageShape,
    network: &NetworkOptions,
    mut hold: impl FnMut(&Network) -> Result<T, Error>,
) -> Result<Chosen<T>, Error> {
    let mut wrong: Vec<(&'static str, Error)> = Vec::new();
    let mut refusals: Vec<(&'static str, Error)> = Vec::new();
    let mut missing: Vec<(&'static str, Error)> = Vec::new();
    let passes = |kind| {
        let passed = [ErrorKind::Unsupported, ErrorKind::Run, ErrorKind::Crash];
        passed.contains(&kind)
    };
    for entry in engines {
        let engine = match entry.open(options) {
            Ok(engine) => engine,
            Err(error) => {
                missing.push((entry.name, error));
                continue;
            }
        };
        let network = match Network::load(model, engine.as_ref(), image, network) {
            Err(error) if error.kind() == ErrorKind::Crash => {
                wrong.push((entry.name, error));
                continue;
            }
            Err(error) if passes(error.kind()) => {
                refusals.push((entry.name, error));
                continue;
            }
            loaded => loaded?,
        };
        match hold(&network) {
            Err(error) if passes(error.kind()) => wrong.push((entry.name, error)),
            held => {
                return Ok(Chosen {
                    network,
                    comparison: held?,
                    refused: wrong,
                });
            }
        }
    }
    refusals.extend(wrong);
    // Some things are refused whatever the engine, in the same words.
    let same = |(_, other): &(&'static str, Error)| other.to_string() == refusals[0].1.to_string();
    if !refusals.is_empty() && refusals.iter().all(same) {
        return Err(refusals.swap_remove(0).1);
    }
    let reasons = if refusals.is_empty() {
        missing
    } else {
        refusals
    };
    let line = |(engine, why): &(&'static str, Error)| format!("\n  {engine}: {why}");
    let lines: String = reasons.iter().map(line).collect();
    let message = format!("no engine here supports {} as asked:{lines}", model.name());
    let error = Error::new(ErrorKind::Unsupported, message);
    let settings = reasons.iter().filter_map(|(_, why)| why.setting());
    let mut settings: Vec<_> = settings.collect();
    settings.dedup();
    Err(match settings.pop().filter(|_| settings.is_empty()) {
        Some(setting) => error.about(setting),
        None => error,
    })
}

/// More operators than in any network of images; engines that analyse a network before they
/// run it take minutes for more.
const MOST_OPERATORS: usize = 20_000;

/// The same of their inputs, all together.
const MOST_INPUTS: usize = 100_000;

/// Refuses a network of too many operators for an engine that analyses them at length.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
fn refuse_many(engine: &EngineEntry, model: &Model) -> Result<(), Error> {
    let operators = model.operators().count();
    let nodes = model.graph_proto().node.iter();
    let inputs: usize = nodes.map(|node| node.input.len()).sum();
    if operators <= MOST_OPERATORS && inputs <= MOST_INPUTS {
        return Ok(());
    }
    let message = format!(
        "{}: it has {operators} operators with {inputs} inputs, and {} is given at most \
         {MOST_OPERATORS} with {MOST_INPUTS}, as it takes very long for more: choose the engine \
         direct or rten",
        model.name(),
        engine.title,
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// The embedded engine for a network in float32: [`Direct`] where it computes
/// every operator that the class output needs, else [`Rten`]. A function of the
/// network alone.
pub fn embedded(model: &Model, output: Option<&str>) -> Box<dyn Runtime> {
    if direct::computes(model, output) {
        Box::new(Direct)
    } else {
        Box::new(Rten)
    }
}

/// An installed engine.
#[derive(Debug)]
pub struct Found {
    /// Its version, as ledgers record it.
    pub version: String,
    /// The shared library; none for what is built in.
    pub path: Option<PathBuf>,
    /// The devices that can compute here, the processor first.
    pub devices: Vec<Device>,
}

/// A device that can compute here.
#[derive(Debug, Clone)]
pub struct Device {
    /// The name by which it is chosen.
    pub name: String,
    /// What it is, where the engine reports that.
    pub description: Option<String>,
    /// The precisions that it computes in.
    pub precisions: Vec<Precision>,
}
