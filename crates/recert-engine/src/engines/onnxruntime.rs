//! ONNX Runtime, loaded at run time where it is installed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider, cuda::ConvAlgorithmSearch};
use ort::session::Session as OrtSession;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;
use recert_graph::Model;
use recert_graph::proto::onnx::tensor_proto::DataType;

use super::search::{self, Wanted};
use super::{Device, EngineEntry, Found, refuse_many};
use crate::options::CPU;
use crate::{
    Arithmetic, EngineIdentity, EngineOptions, Error, ErrorKind, Floats, Output, Precision,
    Runtime, Session, Setting,
};

/// The library, and where it is installed.
const LIBRARY: Wanted = Wanted {
    variable: "ORT_DYLIB_PATH",
    roots: &[],
    package: "onnxruntime/capi",
    stem: "onnxruntime",
};

/// How to get it.
const INSTALL: &str = "pip install onnxruntime";

pub(super) const ENTRY: EngineEntry = EngineEntry {
    name: "onnxruntime",
    title: "ONNX Runtime",
    install: Some(INSTALL),
    rank: |_| 3,
    needs_comparison: false,
    open: |options| Ok(Box::new(OnnxRuntime::new(options)?)),
    find: OnnxRuntime::found,
};

/// An optimisation that changes the function: where the activations of a layer
/// are quantized and its weights are float32, it quantizes the weights, too,
/// by one scale for the whole tensor. On the shared `resnet8_qdq` that changes
/// 23 of 500 predictions; without it ONNX Runtime stays within one quantum of
/// what the file specifies.
///
/// Likewise `with_precise_qmm`: on x86 processors without VNNI the faster
/// 8-bit products of unsigned activations would saturate at 16 bits. Products of
/// signed ones do not, and that setting makes operators of them that ONNX Runtime
/// has not ([`has_signed_products`]).
const UNFAITHFUL: &str = "WeightBiasQuantization";

/// Where weights alone are stored in 8 bits or fewer (`DequantizeLinear` before `MatMul` or
/// `Gemm`), an operator of its own takes both, and rounds the activations to 8 bits as well,
/// which the file does not state: at accuracy level 4, its default. At level 1 it computes in
/// float32.
const WEIGHTS_IN_BITS: (&str, &str) = ("session.qdq_matmulnbits_accuracy_level", "1");

/// A network that doubles two numbers, in ONNX (opset 13), to see whether a
/// device computes at all.
const DOUBLE: &[u8] = b"\x08\x07:8\x0a\x11\x0a\x01x\x0a\x01x\x12\x01y\x1a\x01p\x22\x03Add\x12\x01g\
Z\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x02b\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x02B\x04\x0a\x00\x10\x0d";

/// ONNX Runtime in the precision of the model, on the processor or, by its
/// CUDA provider, on an NVIDIA GPU.
///
/// With version 1.32 on a processor with AVX-512, every shared network answers
/// bit for bit alike in all batches. The identity does not claim it: the
/// library is the one that happens to be installed, and chooses its code by
/// the processor and the shapes. On a GPU neither that nor determinism is
/// claimed, as neither has been measured.
pub struct OnnxRuntime {
    environment: Environment,
    version: String,
    target: Target,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(i32),
}

impl Target {
    fn parse(device: &str) -> Result<Self, Error> {
        let upper = device.to_ascii_uppercase();
        match upper.split_once(':').unwrap_or((&upper, "0")) {
            (CPU, "0") => return Ok(Self::Cpu),
            ("CUDA", number) => {
                if let Ok(number @ 0..) = number.parse() {
                    return Ok(Self::Cuda(number));
                }
            }
            _ => {}
        }
        let message = format!(
            "device {device}: ONNX Runtime is used on CPU, CUDA or CUDA:1, CUDA:2, ..: for an \
             NVIDIA GPU choose CUDA, for an Intel GPU the engine openvino, or no device to compute on \
             the processor"
        );
        Err(Error::new(ErrorKind::EngineMissing, message).about(Setting::Device))
    }
}

impl OnnxRuntime {
    /// Loads the shared library from the first of: `ORT_DYLIB_PATH`; the
    /// active Python environment, the one on the `PATH`, and the user's
    /// packages; the system's library folders.
    ///
    /// # Errors
    /// [`ErrorKind::EngineMissing`] where there is no library, or no GPU that
    /// it can use; [`ErrorKind::Unsupported`] for a precision that is not the
    /// model's own business.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        let target = Target::parse(options.device())?;
        let precision = options.float();
        if precision != Precision::F32 {
            let made = match precision {
                Precision::F16 => "make a float16 version of it, or",
                _ => "",
            };
            let message = format!(
                "precision {precision}: ONNX Runtime computes in the precision that the file \
                 states: {made} choose the engine openvino"
            );
            return Err(
                Error::new(ErrorKind::Unsupported, message.replace("  ", " "))
                    .about(Setting::Precision),
            );
        }
        let (environment, version, path) = library()?;
        let engine = Self {
            environment,
            version,
            target,
        };
        if let Target::Cuda(number) = target {
            engine.try_cuda(number, &path)?;
        }
        Ok(engine)
    }

    /// What is installed.
    fn found() -> Result<Found, Error> {
        let (environment, version, path) = library()?;
        let precisions = vec![Precision::F32, Precision::Int8];
        let device = |name: &str| Device {
            name: name.into(),
            description: None,
            precisions: precisions.clone(),
        };
        let mut devices = vec![device(CPU)];
        let engine = Self {
            environment,
            version: version.clone(),
            target: Target::Cuda(0),
        };
        if engine.try_cuda(0, &path).is_ok() {
            devices.push(device("CUDA"));
        }
        Ok(Found {
            version,
            path: Some(path),
            devices,
        })
    }

    /// Fails unless the GPU of this number computes.
    fn try_cuda(&self, number: i32, path: &Path) -> Result<(), Error> {
        let refuse = |why: String| {
            let message =
                format!("device CUDA: {why}, or choose no device to compute on the processor");
            Error::new(ErrorKind::EngineMissing, message).about(Setting::Device)
        };
        if !matches!(CUDA::is_available(), Ok(true)) {
            return Err(refuse(format!(
                "the ONNX Runtime at {} is built without CUDA: install one with it (`pip uninstall \
                 onnxruntime`, then `pip install onnxruntime-gpu[cuda,cudnn]`)",
                path.display()
            )));
        }
        let run = || -> ort::Result<()> {
            let mut session =
                session(&self.environment, self.target, true)?.commit_from_memory(DOUBLE)?;
            let numbers = TensorRef::from_array_view(([2], [1.0_f32, 2.0].as_slice()))?;
            session.run(ort::inputs!["x" => numbers])?;
            Ok(())
        };
        run().map_err(|source| {
            refuse(format!(
                "ONNX Runtime {} cannot compute on GPU {number}: {source}: see that `nvidia-smi` \
                 shows it, and that the CUDA libraries and cuDNN are installed (`pip install \
                 onnxruntime-gpu[cuda,cudnn]`) and on LD_LIBRARY_PATH",
                self.version
            ))
            .because(source)
        })
    }
}

/// The library's environment, one a process and for the whole process, its
/// version and file.
fn library() -> Result<(Environment, String, PathBuf), Error> {
    type Loaded = Result<(Environment, String, PathBuf), String>;
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    let load = || {
        let path = search::locate(&LIBRARY)?;
        let builder = ort::init_from(&path).map_err(|e| e.to_string())?;
        let environment = builder
            .with_name("recert")
            .with_telemetry(false)
            .build()
            .map_err(|e| e.to_string())?;
        Ok((environment, version(&path), path))
    };
    LOADED.get_or_init(load).clone().map_err(|why| {
        let message = format!(
            "ONNX Runtime cannot be used: {why}: install it with `{INSTALL}` in the active Python \
             environment, or set {} to the shared library",
            LIBRARY.variable
        );
        Error::new(ErrorKind::EngineMissing, message)
    })
}

/// The version of the library loaded: from its file name
/// (`libonnxruntime.so.1.31.1`), else from the build information it prints.
fn version(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split_once(".so.")
        .map(|(_, version)| version.to_owned())
        .filter(|version| version.contains('.'))
        .unwrap_or_else(|| ort::info().to_owned())
}

impl Runtime for OnnxRuntime {
    fn identity(&self, model: &Model) -> EngineIdentity {
        // What is switched off changes answers, so it is part of who answers:
        // a ledger made with other settings is not resumed with these.
        let (device, settings) = match self.target {
            Target::Cpu => (None, Vec::new()),
            Target::Cuda(number) => (
                Some(format!("CUDA:{number}")),
                vec!["no TensorFloat-32".into()],
            ),
        };
        let precise = (!has_signed_products(model)).then_some("precise 8-bit products");
        let mut exceptions: Vec<String> = precise.map(str::to_owned).into_iter().collect();
        exceptions.push(format!("no {UNFAITHFUL}"));
        if (model.operators()).any(|operator| operator.op_type == "DequantizeLinear") {
            exceptions.extend(["no pair left out", "no activations rounded"].map(str::to_owned));
        }
        EngineIdentity {
            name: ENTRY.name.into(),
            version: self.version.clone(),
            arithmetic: Arithmetic {
                floats: Floats::AsInModel,
                exceptions,
                device,
                settings,
                deterministic: self.target == Target::Cpu,
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
        refuse_many(&ENTRY, model)?;
        // It has no operators of sets before 7, and those of all others.
        let bytes = if model.opset().is_some_and(|opset| opset < 7) {
            let modern = model.modern().map_err(|source| {
                let message = format!("{}: {source}", model.name());
                Error::new(ErrorKind::Unsupported, message)
            });
            modern?.to_bytes()
        } else {
            model.to_bytes()
        };
        let loader = Arc::new(Loader {
            name: model.name().to_owned(),
            bytes,
            environment: self.environment.clone(),
            target: self.target,
            precise: !has_signed_products(model),
            input: input.to_owned(),
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        });
        Ok(Box::new(OnnxSession {
            session: loader.load()?,
            loader,
        }))
    }
}

/// All it takes to make another session of the same network.
struct Loader {
    name: String,
    bytes: Vec<u8>,
    environment: Environment,
    target: Target,
    precise: bool,
    input: String,
    outputs: Vec<String>,
}

impl Loader {
    fn load(&self) -> Result<OrtSession, Error> {
        let build = || -> ort::Result<OrtSession> {
            session(&self.environment, self.target, self.precise)?.commit_from_memory(&self.bytes)
        };
        build().map_err(|source| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: ONNX Runtime cannot load the network: {source} (export it without what is \
                     named)",
                    self.name
                ),
            )
            .because(source)
        })
    }
}

/// A session to be, with everything set that decides what is computed.
fn session(
    environment: &Environment,
    target: Target,
    precise: bool,
) -> ort::Result<SessionBuilder> {
    let mut builder = OrtSession::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_disabled_optimizers(UNFAITHFUL)?
        // It leaves out one of two pairs in a row, whose bounds and steps are not the other's.
        .with_double_qdq_remover(false)?
        .with_config_entry(WEIGHTS_IN_BITS.0, WEIGHTS_IN_BITS.1)?
        .with_log_level(ort::logging::LogLevel::Fatal)?;
    if precise {
        builder = builder.with_precise_qmm()?;
    }
    let Target::Cuda(number) = target else {
        return Ok(builder);
    };
    let cuda = CUDA::default()
        .with_device_id(number)
        // On by default in ONNX Runtime, and no float32: 10 bits of mantissa.
        .with_tf32(false)
        // The default times all algorithms and takes another one each time.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic);
    let builder = builder
        .with_execution_providers([cuda.build().error_on_failure()])?
        // What the GPU cannot compute is an error, and not done elsewhere.
        .with_disable_cpu_fallback()?
        .with_deterministic_compute(true)?;
    Ok(builder)
}

/// Whether the network multiplies integers in operators of its own, and takes signed
/// activations in all of these.
fn has_signed_products(model: &Model) -> bool {
    let graph = model.graph_proto();
    let products = graph
        .node
        .iter()
        .filter(|node| matches!(node.op_type(), "QLinearConv" | "QLinearMatMul" | "QGemm"));
    // The activations' zero point has their type.
    let mut signed = products.map(|node| {
        let mut stored = graph.initializer.iter();
        let zero =
            stored.find(|tensor| Some(tensor.name()) == node.input.get(2).map(String::as_str));
        zero.is_some_and(|zero| zero.data_type() == i32::from(DataType::Int8))
    });
    signed
        .next()
        .is_some_and(|first| first && signed.all(|signed| signed))
}

struct OnnxSession {
    loader: Arc<Loader>,
    session: OrtSession,
}

impl Session for OnnxSession {
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
        let name = &self.loader.name;
        let failed = |source: ort::Error| {
            Error::new(
                ErrorKind::Run,
                format!("{name}: ONNX Runtime failed to run: {source}"),
            )
            .because(source)
        };
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        let outputs = self
            .session
            .run(ort::inputs![self.loader.input.as_str() => tensor])
            .map_err(failed)?;
        let read = |name: &String| output(&outputs[name.as_str()]).map_err(failed);
        self.loader.outputs.iter().map(read).collect()
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            session: self.loader.load()?,
            loader: Arc::clone(&self.loader),
        }))
    }
}

/// Samples an output out of ONNX Runtime's memory.
fn output(value: &ort::value::DynValue) -> ort::Result<Output> {
    let sizes = |shape: &ort::value::Shape| shape.iter().map(|&d| d as usize).collect();
    if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
        return Ok(Output::Float {
            shape: sizes(shape),
            values: values.to_vec(),
        });
    }
    if let Ok((shape, values)) = value.try_extract_tensor::<i32>() {
        return Ok(Output::Integer {
            shape: sizes(shape),
            values: values.iter().map(|&v| v.into()).collect(),
        });
    }
    let (shape, values) = value.try_extract_tensor::<i64>()?;
    Ok(Output::Integer {
        shape: sizes(shape),
        values: values.to_vec(),
    })
}
