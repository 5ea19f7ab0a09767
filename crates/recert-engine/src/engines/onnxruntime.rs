//! ONNX Runtime, loaded at run time where it is installed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::session::Session as OrtSession;
use ort::value::TensorRef;
use recert_net::Model;

use crate::{EngineIdentity, Error, ErrorKind, Output, Runtime, Session};

/// How to get it, for error messages.
const ADVICE: &str = "install it with `pip install onnxruntime` in the active Python environment, \
                      or set ORT_DYLIB_PATH to the shared library";

/// An optimisation that changes the function: where the activations of a layer
/// are quantized and its weights are float32, it quantizes the weights, too,
/// by one scale for the whole tensor. On the shared `resnet8_qdq` that changes
/// 23 of 500 predictions; without it ONNX Runtime stays within one quantum of
/// what the file says.
///
/// Likewise `with_precise_qmm`: on x86 processors without VNNI the faster
/// 8-bit products would saturate at 16 bits.
const UNFAITHFUL: &str = "WeightBiasQuantization";

/// ONNX Runtime's CPU provider, in the precision of the model.
///
/// With version 1.32 on a processor with AVX-512, every shared network answers
/// bit for bit alike in all batches. The identity does not claim it: the
/// library is the one that happens to be installed, and chooses its code by
/// the processor and the shapes.
pub struct OnnxRuntime {
    environment: Environment,
    version: String,
}

impl OnnxRuntime {
    /// The engine's name.
    pub const NAME: &'static str = "onnxruntime";

    /// Loads the shared library from the first of: `ORT_DYLIB_PATH`; the
    /// Python environment named by `VIRTUAL_ENV` or `CONDA_PREFIX`; the
    /// system's library folders.
    pub fn find() -> Result<Self, Error> {
        // One ONNX Runtime environment a process, for the whole process.
        static ENVIRONMENT: OnceLock<Result<(Environment, String), String>> = OnceLock::new();
        let (environment, version) = ENVIRONMENT
            .get_or_init(|| {
                let path = locate().ok_or("ONNX Runtime was not found")?;
                let builder = ort::init_from(&path).map_err(|e| e.to_string())?;
                let environment = builder
                    .with_name("recert")
                    .with_telemetry(false)
                    .build()
                    .map_err(|e| e.to_string())?;
                Ok((environment, version(&path)))
            })
            .clone()
            .map_err(|why| Error::new(ErrorKind::EngineMissing, format!("{why}: {ADVICE}")))?;
        Ok(Self {
            environment,
            version,
        })
    }
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

/// The shared library, by the rules of [`OnnxRuntime::find`].
fn locate() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH") {
        return Some(path.into());
    }
    let mut folders = Vec::new();
    for prefix in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        let Some(prefix) = std::env::var_os(prefix) else {
            continue;
        };
        let prefix = PathBuf::from(prefix);
        if let Ok(pythons) = std::fs::read_dir(prefix.join("lib")) {
            for python in pythons.flatten() {
                folders.push(python.path().join("site-packages/onnxruntime/capi"));
            }
        }
        folders.push(prefix.join("lib"));
        folders.push(prefix.join("Lib/site-packages/onnxruntime/capi"));
    }
    for folder in [
        "/usr/local/lib",
        "/usr/lib",
        "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/opt/homebrew/lib",
    ] {
        folders.push(folder.into());
    }
    folders.iter().find_map(|folder| library_in(folder))
}

/// The ONNX Runtime library in `folder`, whatever its version suffix.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libonnxruntime.so")
                || name == "onnxruntime.dll"
                || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
        })
        .collect();
    found.sort();
    found.pop()
}

impl Runtime for OnnxRuntime {
    fn identity(&self) -> EngineIdentity {
        EngineIdentity {
            name: Self::NAME.into(),
            version: self.version.clone(),
            // What is switched off changes answers, so it is part of who answers:
            // a ledger made with other settings is not resumed with these.
            precision: format!("as in the model, precise 8-bit products, no {UNFAITHFUL}"),
            batch_invariant: false,
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        let loader = Arc::new(Loader {
            name: model.name().to_owned(),
            bytes: model.to_bytes(),
            environment: self.environment.clone(),
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
    input: String,
    outputs: Vec<String>,
}

impl Loader {
    fn load(&self) -> Result<OrtSession, Error> {
        let build = || -> ort::Result<OrtSession> {
            let mut builder = OrtSession::builder(&self.environment)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_disabled_optimizers(UNFAITHFUL)?
                .with_precise_qmm()?
                .with_log_level(ort::logging::LogLevel::Fatal)?;
            builder.commit_from_memory(&self.bytes)
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

/// Copies an output out of ONNX Runtime's memory.
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
