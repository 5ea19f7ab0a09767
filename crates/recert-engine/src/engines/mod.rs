//! The engines: one file each, and the list of them.

mod direct;
mod faults;
mod onnxruntime;
mod openvino;
mod rten;
mod search;

use std::path::PathBuf;

use recert_net::Model;

pub use self::openvino::OpenVino;
pub use direct::Direct;
pub use onnxruntime::OnnxRuntime;
pub use rten::Rten;

use crate::options::{Quantized, quantizes};
use crate::{
    EngineOptions, Error, ErrorKind, ImageShape, Network, NetworkOptions, Precision, Runtime,
    Setting,
};

/// The names of all engines this build knows, the embedded default first.
pub const NAMES: [&str; 4] = [Direct::NAME, Rten::NAME, OpenVino::NAME, OnnxRuntime::NAME];

/// The order in which [`load_any`] tries them: the fastest first, as measured
/// on whole networks (`docs/adding-an-engine.md`), the one that takes most last.
///
/// In 8 bits [`Direct`] is about as fast as `OpenVino` (from 0.8 to 2.7 times on
/// the four networks of `bench/engines/results`), and promises more of its answers,
/// but for processors with instructions for products of 8-bit matrices (AMX), which
/// it does not use.
pub fn fastest_first(quantized: bool) -> [&'static str; 4] {
    let first = if quantized && !multiplies_matrices() {
        [Direct::NAME, OpenVino::NAME]
    } else {
        [OpenVino::NAME, Direct::NAME]
    };
    [first[0], first[1], OnnxRuntime::NAME, Rten::NAME]
}

/// Whether the processor has AMX-INT8 (Intel, *Software Developer's Manual*,
/// CPUID leaf 7: bit 25 of EDX).
#[allow(
    unsafe_code,
    unused_unsafe,
    reason = "whether asking the processor is unsafe depends on the compiler's version"
)]
fn multiplies_matrices() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        // SAFETY: every processor of this architecture has the instruction.
        unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx >> 25 & 1 == 1 }
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The engine of the name given, computing as `options` say.
///
/// # Errors
/// [`ErrorKind::EngineMissing`] for an unknown name, and for an engine whose
/// library or device is not found; [`ErrorKind::Unsupported`] for a precision
/// that it does not have there. The message says what to do. Nothing is made
/// up for by another device or precision than those asked for.
pub fn open(name: &str, options: &EngineOptions) -> Result<Box<dyn Runtime>, Error> {
    let engine: Box<dyn Runtime> = match name {
        Direct::NAME => Box::new(Direct::new(options)?),
        Rten::NAME => Box::new(Rten::new(options)?),
        OpenVino::NAME => Box::new(OpenVino::find(options)?),
        OnnxRuntime::NAME => Box::new(OnnxRuntime::find(options)?),
        _ => {
            let names = NAMES.join(", ");
            return Err(Error::new(
                ErrorKind::EngineMissing,
                format!("unknown engine '{name}': choose one of {names}"),
            )
            .about(Setting::Engine));
        }
    };
    Ok(match options.precision {
        Some(Precision::Int8) => Box::new(Quantized(engine)),
        _ => engine,
    })
}

/// The engine of the name given, in float32 on the processor: [`open`] without
/// options.
pub fn by_name(name: &str) -> Result<Box<dyn Runtime>, Error> {
    open(name, &EngineOptions::default())
}

/// Loads `model` into the first engine of [`fastest_first`] that is installed and takes the network, the precision and the device.
///
/// # Errors
/// What is wrong with the network or the data whatever the engine; or, if no
/// engine takes it, what each of them said.
pub fn load_any(
    model: &Model,
    options: &EngineOptions,
    image: ImageShape,
    network: &NetworkOptions,
) -> Result<Network, Error> {
    let mut refusals: Vec<Error> = Vec::new();
    let mut missing: Vec<Error> = Vec::new();
    for name in fastest_first(quantizes(model)) {
        let engine = match open(name, options) {
            Ok(engine) => engine,
            Err(error) => {
                missing.push(error);
                continue;
            }
        };
        match Network::load(model, engine.as_ref(), image, network) {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Run) => {
                refusals.push(error);
            }
            other => return other,
        }
    }
    // Some things are refused whatever the engine, in the same words.
    let same = |other: &Error| other.to_string() == refusals[0].to_string();
    if !refusals.is_empty() && refusals.iter().all(same) {
        return Err(refusals.swap_remove(0));
    }
    let reasons = if refusals.is_empty() {
        missing
    } else {
        refusals
    };
    let texts: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    let message = format!("no engine here takes it: {}", texts.join("; "));
    let error = Error::new(ErrorKind::Unsupported, message);
    let mut settings: Vec<_> = reasons.iter().filter_map(Error::setting).collect();
    settings.dedup();
    Err(match settings.pop().filter(|_| settings.is_empty()) {
        Some(setting) => error.about(setting),
        None => error,
    })
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

/// An engine, and what of it is installed.
#[derive(Debug)]
pub struct Survey {
    /// The engine's name.
    pub name: &'static str,
    /// What was found, or why it cannot be used.
    pub found: Result<Found, Error>,
    /// The one command that installs it; none for what is built in.
    pub install: Option<&'static str>,
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
    /// What it is, if the engine says.
    pub description: Option<String>,
    /// The precisions that it computes in.
    pub precisions: Vec<Precision>,
}

/// What is installed of all engines, in the order of [`NAMES`]. Loads the
/// libraries that are found.
pub fn survey() -> Vec<Survey> {
    let survey = |name, found, install| Survey {
        name,
        found,
        install,
    };
    vec![
        survey(Direct::NAME, Ok(Direct::survey()), None),
        survey(Rten::NAME, Ok(Rten::survey()), None),
        survey(OpenVino::NAME, OpenVino::survey(), Some(openvino::INSTALL)),
        survey(
            OnnxRuntime::NAME,
            OnnxRuntime::survey(),
            Some(onnxruntime::INSTALL),
        ),
    ]
}
