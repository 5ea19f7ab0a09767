//! OpenVINO, loaded at run time where it is installed.

mod wrong;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, InferenceError, PropertyKey,
    RwPropertyKey, Shape, Tensor,
};
use recert_graph::Model;

use super::search::{self, Wanted};
use super::{Device, EngineEntry, Found, faults, refuse_many};
use crate::options::{CPU, quantizes};
use crate::{
    Arithmetic, EngineIdentity, EngineOptions, Error, ErrorKind, Floats, Output, Precision,
    Runtime, Session, Setting,
};

/// The library, and where it is installed.
const LIBRARY: Wanted = Wanted {
    variable: "OPENVINO_DYLIB_PATH",
    roots: &[
        ("INTEL_OPENVINO_DIR", &ARCHIVE),
        ("OPENVINO_INSTALL_DIR", &ARCHIVE),
    ],
    package: "openvino/libs",
    stem: "openvino_c",
};

/// Where the archives of OpenVINO have their libraries.
const ARCHIVE: [&str; 3] = [
    "runtime/lib/intel64",
    "runtime/lib/aarch64",
    "runtime/lib/arm64/Release",
];

/// How to get it.
const INSTALL: &str = "pip install openvino";

pub(super) const ENTRY: EngineEntry = EngineEntry {
    name: "openvino",
    title: "OpenVINO",
    install: Some(INSTALL),
    rank: |_| 1,
    needs_comparison: true,
    open: |options| Ok(Box::new(OpenVino::new(options)?)),
    find: OpenVino::found,
};

/// A function of the C library, by which a file is known to be it before it is
/// loaded: the binding panics where one is missing.
const A_FUNCTION: &[u8] = b"ov_core_read_model_from_memory_buffer";

/// Devices that choose among others by themselves, and fall back without a word.
const CHOOSERS: [&str; 4] = ["AUTO", "MULTI", "HETERO", "BATCH"];

/// OpenVINO on one device, in one precision that is always set: left alone, it
/// chooses bfloat16 wherever the processor has it.
///
/// With version 2026.4.1 on a processor with AVX-512, VNNI and bfloat16, every
/// shared network answers bit for bit alike in all batches, in f32 and bf16,
/// and in 12,000 runs of 8 images, with fresh compilations and two at a time,
/// none of four networks (two of them int8) answered any image otherwise than
/// before. On a processor with AMX one int8 answer of one image in eight was
/// once seen to differ between two runs, so determinism is not claimed for
/// quantized networks; nor is independence of the batch for any, as the
/// library is the one that happens to be installed, and chooses its code by
/// the processor and the shapes.
pub struct OpenVino {
    core: Arc<Mutex<Core>>,
    version: String,
    device: String,
    precision: Precision,
}

impl OpenVino {
    /// Loads the shared library from the first of: `OPENVINO_DYLIB_PATH`; the
    /// active Python environment, the one on the `PATH`, and the user's
    /// packages; `INTEL_OPENVINO_DIR`; the system's library folders.
    ///
    /// # Errors
    /// [`ErrorKind::EngineMissing`] where there is no library or no such
    /// device, [`ErrorKind::Unsupported`] where the device lacks the precision.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        let (_, version) = library()?;
        let device = options.device().to_ascii_uppercase();
        let precision = options.float();
        let mut core = core()?;
        check_device(&core, &device, &version)?;
        let able = precisions(&core, &device)?;
        if !able.contains(&precision) {
            let able: Vec<_> = able.iter().map(|precision| precision.name()).collect();
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "precision {precision}: OpenVINO {version} does not compute in it on this {}: \
                     it would take another precision without a word; choose one of {}",
                    if device == CPU { "processor" } else { "device" },
                    able.join(", "),
                ),
            )
            .about(Setting::Precision));
        }
        configure(&mut core, &device, precision).map_err(|source| {
            let message = format!("OpenVINO {version} cannot be set up for {device}: {source}");
            Error::new(ErrorKind::EngineMissing, message).because(source)
        })?;
        Ok(Self {
            core: Arc::new(Mutex::new(core)),
            version,
            device,
            precision,
        })
    }

    /// What is installed.
    fn found() -> Result<Found, Error> {
        let (path, version) = library()?;
        let core = core()?;
        let devices = devices(&core)?.into_iter().map(|name| {
            let full = core.get_property(&device_type(&name), &PropertyKey::DeviceFullName);
            Ok(Device {
                precisions: precisions(&core, &name)?,
                description: full.ok().filter(|text| !text.is_empty()),
                name,
            })
        });
        Ok(Found {
            devices: devices.collect::<Result<_, Error>>()?,
            path: Some(path),
            version,
        })
    }
}

fn missing(why: &str) -> Error {
    let message = format!(
        "OpenVINO cannot be used: {why}: install it with `{INSTALL}` in the active Python \
         environment, or set {} to its libopenvino_c",
        LIBRARY.variable
    );
    Error::new(ErrorKind::EngineMissing, message)
}

/// The library, loaded once for the whole process, and its version.
fn library() -> Result<(PathBuf, String), Error> {
    static LOADED: OnceLock<Result<(PathBuf, String), String>> = OnceLock::new();
    let load = || {
        let path = search::locate(&LIBRARY)?;
        if !holds(&path, A_FUNCTION) {
            return Err(format!("{} is not its C library", path.display()));
        }
        openvino_sys::library::load_from(&path)?;
        let build = openvino::version().build_number;
        // 2026.4.1-22982-e213a147257-releases/2026/4: the branch adds nothing.
        let version = build.split("-releases").next().unwrap_or(&build);
        Ok((path, version.to_owned()))
    };
    LOADED
        .get_or_init(load)
        .clone()
        .map_err(|why| missing(&why))
}

/// Whether a file contains `text`.
fn holds(path: &Path, text: &[u8]) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window == text)
}

fn core() -> Result<Core, Error> {
    Core::new().map_err(|source| missing(&source.to_string()).because(source))
}

fn device_type(name: &str) -> DeviceType<'static> {
    DeviceType::from(name).to_owned()
}

fn devices(core: &Core) -> Result<Vec<String>, Error> {
    let devices = core.available_devices().map_err(|source| {
        let message = format!("OpenVINO does not list its devices: {source}");
        Error::new(ErrorKind::EngineMissing, message).because(source)
    })?;
    Ok(devices.iter().map(ToString::to_string).collect())
}

/// Fails unless `device` is one that is here, and is the one that computes.
fn check_device(core: &Core, device: &str, version: &str) -> Result<(), Error> {
    let kind = device.split([':', '.', '(']).next().unwrap_or(device);
    let here = devices(core)?;
    let refuse =
        |why: String| Err(Error::new(ErrorKind::EngineMissing, why).about(Setting::Device));
    if CHOOSERS.contains(&kind) {
        return refuse(format!(
            "device {device}: {kind} chooses a device by itself, so that a ledger could not record \
             which one answered: name one of {}",
            here.join(", ")
        ));
    }
    // `GPU` stands for the first of `GPU.0`, `GPU.1`, ...
    let is_it = |name: &String| name == device || name.strip_suffix(".0") == Some(device);
    if here.iter().any(is_it) {
        return Ok(());
    }
    let advice = match kind {
        "CUDA" => "for an NVIDIA GPU choose the engine onnxruntime",
        "GPU" => "install the driver of an Intel GPU (its OpenCL runtime)",
        _ => "install the driver of the device",
    };
    refuse(format!(
        "device {device}: OpenVINO {version} finds no such device here, only {}: {advice}, or \
         choose no device to compute on the processor",
        here.join(", ")
    ))
}

/// The precisions that a device computes in, rather than converts from.
fn precisions(core: &Core, device: &str) -> Result<Vec<Precision>, Error> {
    let key = PropertyKey::DeviceCapabilities;
    let text = (core.get_property(&device_type(device), &key)).map_err(|source| {
        let message = format!("OpenVINO does not report what {device} can do: {source}");
        Error::new(ErrorKind::EngineMissing, message).because(source)
    })?;
    let able: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let named = [
        (Precision::F32, "FP32"),
        (Precision::Bf16, "BF16"),
        (Precision::F16, "FP16"),
        (Precision::Int8, "INT8"),
    ];
    let named = named.into_iter().filter(|(_, name)| able.contains(name));
    Ok(named.map(|(precision, _)| precision).collect())
}

/// Sets everything that decides what is computed, and leaves no choice to the
/// library.
fn configure(core: &mut Core, device: &str, precision: Precision) -> Result<(), InferenceError> {
    let other = |name: &'static str| RwPropertyKey::Other(name.into());
    let mut all = vec![
        (RwPropertyKey::HintInferencePrecision, precision.name()),
        (RwPropertyKey::NumStreams, "1"),
    ];
    if device == CPU {
        all.extend([
            (RwPropertyKey::InferenceNumThreads, "1"),
            // Workers pinned by themselves would all be pinned to the same core.
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
            // Otherwise float activations are quantized where weights are
            // stored in 8 bits, which the file does not state.
            (other("DYNAMIC_QUANTIZATION_GROUP_SIZE"), "0"),
        ]);
    }
    core.set_properties(&device_type(device), all)
}

impl Runtime for OpenVino {
    fn identity(&self, model: &Model) -> EngineIdentity {
        let quantizes = quantizes(model);
        let on_cpu = self.device == CPU;
        let streams = if on_cpu {
            "1 stream of 1 thread"
        } else {
            "1 stream"
        };
        let exceptions = quantizes.then(|| "8 bits as in the model".into());
        EngineIdentity {
            name: ENTRY.name.into(),
            version: self.version.clone(),
            arithmetic: Arithmetic {
                floats: Floats::In(self.precision),
                exceptions: exceptions.into_iter().collect(),
                device: Some(self.device.clone()),
                settings: vec![streams.into()],
                deterministic: on_cpu && !quantizes,
            },
            batch_invariant: false,
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        let name = model.name();
        refuse_many(&ENTRY, model)?;
        let modern = model.modern().map_err(|source| {
            let message = format!("{name}: OpenVINO cannot be given the network: {source}");
            Error::new(ErrorKind::Unsupported, message)
        })?;
        let model = modern.as_ref();
        faults::refuse(&ENTRY, &self.version, &wrong::FAULTS, model, &[])?;
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let read = core.read_model_from_buffer(model.bytes(), None);
        let read = read.map_err(|source| cannot_load(model, &self.version, &source))?;
        drop(core);
        let loader = Arc::new(Loader {
            name: name.to_owned(),
            model: read,
            core: Arc::clone(&self.core),
            device: self.device.clone(),
            input: input.to_owned(),
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        });
        let (compiled, request) = loader
            .compile()
            .map_err(|source| cannot_load(model, &self.version, &source))?;
        for tensor in std::iter::once(input).chain(outputs.iter().copied()) {
            let found = if tensor == input {
                compiled.get_input_by_name(tensor)
            } else {
                compiled.get_output_by_name(tensor)
            };
            found.map_err(|source| {
                let message = format!("{name}: OpenVINO knows no tensor '{tensor}' of the graph");
                Error::new(ErrorKind::Model, message).because(source)
            })?;
        }
        let key = RwPropertyKey::HintInferencePrecision.into();
        let used = compiled.get_property(&key).map_or_else(
            |_| "a precision that it does not report".to_owned(),
            std::borrow::Cow::into_owned,
        );
        if used != self.precision.name() {
            let message = format!(
                "{name}: OpenVINO {} would compute it in {used} instead of {}: choose that \
                 precision, or another engine",
                self.version, self.precision
            );
            return Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Precision));
        }
        Ok(Box::new(OpenVinoSession {
            loader,
            request,
            input: None,
            _compiled: compiled,
        }))
    }
}

/// That OpenVINO refuses a network, with the operators that it lacks by name:
/// it names the operators itself, but not always their nodes.
fn cannot_load(model: &Model, version: &str, source: &InferenceError) -> Error {
    let text = source.message.as_deref().unwrap_or_default();
    let lacking = (model.operators())
        .filter(|operator| words(text).any(|word| word == operator.op_type))
        .map(|operator| format!("node '{}' ({})", operator.name, operator.op_type));
    let mut lacking: Vec<_> = lacking.take(3).collect();
    lacking.dedup();
    let lacking = if lacking.is_empty() {
        String::new()
    } else {
        format!("{}: ", lacking.join(", "))
    };
    let message = format!(
        "{}: {lacking}OpenVINO {version} cannot load the network: {} (try the engine onnxruntime, or \
         export it without what is named)",
        model.name(),
        one_line(text),
    );
    Error::new(ErrorKind::Unsupported, message).because(source.clone())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The lines that say what is wrong, without those that say where in
/// OpenVINO's own source.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| {
        !line.is_empty()
            && !line.starts_with("Exception from ")
            && !line.starts_with("Check '")
            && !line.contains(".cpp:")
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    lines.join("; ")
}

/// All it takes to make another session of the same network.
struct Loader {
    name: String,
    model: openvino::Model,
    core: Arc<Mutex<Core>>,
    device: String,
    input: String,
    outputs: Vec<String>,
}

impl Loader {
    fn compile(&self) -> Result<(CompiledModel, InferRequest), InferenceError> {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let mut compiled = core.compile_model(&self.model, device_type(&self.device))?;
        let request = compiled.create_infer_request()?;
        Ok((compiled, request))
    }
}

struct OpenVinoSession {
    loader: Arc<Loader>,
    request: InferRequest,
    /// The tensor that batches of one shape are handed over in.
    input: Option<(Vec<usize>, Tensor)>,
    _compiled: CompiledModel,
}

impl OpenVinoSession {
    fn infer(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, InferenceError> {
        if (self.input.as_ref()).is_none_or(|(current, _)| current != shape) {
            let dims: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let tensor = Tensor::new(ElementType::F32, &Shape::new(&dims)?)?;
            self.request.set_tensor(&self.loader.input, &tensor)?;
            self.input = Some((shape.to_vec(), tensor));
        }
        if let Some((_, tensor)) = &mut self.input {
            tensor.get_data_mut::<f32>()?.copy_from_slice(input);
        }
        self.request.infer()?;
        let names = self.loader.outputs.iter();
        names
            .map(|name| output(&self.request.get_tensor(name)?))
            .collect()
    }
}

impl Session for OpenVinoSession {
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
        let failed = |why: String| {
            let message = format!("{}: OpenVINO failed to run: {why}", self.loader.name);
            Error::new(ErrorKind::Run, message)
        };
        if shape.iter().product::<usize>() != input.len() {
            return Err(failed(format!("the batch does not have shape {shape:?}")));
        }
        let failed = failed(String::new());
        self.infer(input, shape).map_err(|source| {
            let why = one_line(source.message.as_deref().unwrap_or_default());
            Error::new(failed.kind(), format!("{failed}{why}")).because(source)
        })
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        let (compiled, request) = self.loader.compile().map_err(|source| {
            let message = format!("{}: OpenVINO cannot load it again", self.loader.name);
            Error::new(ErrorKind::Run, message).because(source)
        })?;
        Ok(Box::new(Self {
            loader: Arc::clone(&self.loader),
            request,
            input: None,
            _compiled: compiled,
        }))
    }
}

/// Samples an output out of OpenVINO's memory.
fn output(tensor: &Tensor) -> Result<Output, InferenceError> {
    let shape = tensor.get_shape()?;
    let shape = shape.get_dimensions().iter().map(|&d| d as usize).collect();
    Ok(match tensor.get_element_type()? {
        ElementType::F32 => Output::Float {
            shape,
            values: tensor.get_data::<f32>()?.to_vec(),
        },
        ElementType::I32 => Output::Integer {
            shape,
            values: tensor
                .get_data::<i32>()?
                .iter()
                .map(|&v| v.into())
                .collect(),
        },
        ElementType::I64 => Output::Integer {
            shape,
            values: tensor.get_data::<i64>()?.to_vec(),
        },
        other => {
            return Err(InferenceError {
                kind: openvino::InferenceErrorKind::ParameterMismatch,
                message: Some(format!(
                    "an output is neither a float32 nor an integer tensor, but {other}"
                )),
            });
        }
    })
}
