//! Our own engine, `recert-kernels`: the convolutional networks and transformers
//! that classify images, fast, and with the same bits on every processor.

use std::sync::Arc;

use recert_graph::Model;
use recert_kernels::{Executor, Program, SharedExecutor};

use super::{Device, EngineEntry, Found};
use crate::options::CPU;
use crate::{
    Arithmetic, EngineIdentity, EngineOptions, Error, ErrorKind, Output, Precision, Runtime,
    Session, Setting, Shared, Subgraph,
};

pub(super) const ENTRY: EngineEntry = EngineEntry {
    name: "direct",
    title: "direct",
    install: None,
    // It is at least as fast as OpenVINO (`bench/engines`: in float32 1.0 to 1.2 times, in
    // 8 bits 1.4 to 2.6) and promises more of its answers; but for 8 bits on
    // processors with AMX, which it does not use.
    rank: |quantized| if quantized && has_amx_int8() { 2 } else { 0 },
    needs_comparison: false,
    open: |options| Ok(Box::new(Direct::new(options)?)),
    find: || Ok(Direct::found()),
};

/// Whether the processor has instructions for products of 8-bit matrices, AMX-INT8 (Intel,
/// *Software Developer's Manual*, CPUID leaf 7: bit 25 of EDX).
#[allow(
    unsafe_code,
    unused_unsafe,
    reason = "whether asking the processor is unsafe depends on the compiler's version"
)]
fn has_amx_int8() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        // SAFETY: every processor of this architecture has the instruction.
        unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx >> 25 & 1 == 1 }
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The crate `recert-kernels`, in float32, and in 8 bits what the network
/// quantizes.
///
/// An image gets bit for bit the same answer in every batch, on every
/// processor, by construction. Operators that it lacks are refused by name;
/// which those are depends on the network alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Direct {
    /// The engine, which computes in float32, and in 8 bits what the network
    /// quantizes, on the processor.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another precision,
    /// [`ErrorKind::EngineMissing`] for another device.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        if !options.on_cpu() {
            let message = format!(
                "device {}: direct computes on the processor alone: choose the \
                 engine openvino or onnxruntime, or no device",
                options.device()
            );
            return Err(Error::new(ErrorKind::EngineMissing, message).about(Setting::Device));
        }
        match options.precision {
            None | Some(Precision::F32 | Precision::Int8) => Ok(Self),
            Some(precision) => {
                let message = format!(
                    "precision {precision}: direct computes in f32 and int8 alone: choose the engine \
                     openvino"
                );
                Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Precision))
            }
        }
    }

    /// What is built in.
    fn found() -> Found {
        Found {
            version: recert_kernels::ARITHMETIC.into(),
            path: None,
            devices: vec![Device {
                name: CPU.into(),
                description: None,
                precisions: vec![Precision::F32, Precision::Int8],
            }],
        }
    }
}

/// Whether every operator that the class output needs is computed here: a function
/// of the network alone.
pub(super) fn computes(model: &Model, output: Option<&str>) -> bool {
    model.signature_with_output(output).is_ok_and(|signature| {
        let outputs = [signature.output.name.as_str()];
        Program::check(model, &signature.input.name, &outputs).is_ok()
    })
}

impl Runtime for Direct {
    fn identity(&self, _: &Model) -> EngineIdentity {
        EngineIdentity {
            name: ENTRY.name.into(),
            version: recert_kernels::ARITHMETIC.into(),
            arithmetic: Arithmetic::float32(),
            batch_invariant: true,
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        let program = Program::compile(model, input, outputs).map_err(refused)?;
        Ok(Box::new(DirectSession {
            name: model.name().to_owned(),
            executor: Arc::new(program).executor(),
        }))
    }
}

/// The error for a network that is not computed here.
fn refused(source: recert_kernels::Error) -> Error {
    let (kind, advice) = match source.kind() {
        recert_kernels::ErrorKind::Unsupported => (
            ErrorKind::Unsupported,
            " (the engine 'direct' computes convolutional networks and transformers as exporters write \
             them: try the engine rten)",
        ),
        _ => (ErrorKind::Model, ""),
    };
    Error::new(kind, format!("{source}{advice}")).because(source)
}

/// What a run of the network `name` returned, in this crate's terms.
fn outputs(
    name: &str,
    outputs: Result<Vec<recert_kernels::Output>, recert_kernels::Error>,
) -> Result<Vec<Output>, Error> {
    let outputs = outputs.map_err(|source| {
        Error::new(ErrorKind::Run, format!("{name}: {source}")).because(source)
    })?;
    let convert = |output| match output {
        recert_kernels::Output::Floats { shape, values } => Output::Float { shape, values },
        recert_kernels::Output::Integers { shape, values } => Output::Integer { shape, values },
    };
    Ok(outputs.into_iter().map(convert).collect())
}

struct DirectSession {
    name: String,
    executor: Executor,
}

impl Session for DirectSession {
    fn run(&mut self, input: &[f32], _shape: &[usize]) -> Result<Vec<Output>, Error> {
        outputs(&self.name, self.executor.run(input))
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            name: self.name.clone(),
            executor: self.executor.program().executor(),
        }))
    }

    fn share(&self, networks: &[Subgraph<'_>]) -> Result<Option<Box<dyn Shared>>, Error> {
        let names = networks
            .iter()
            .map(|network| network.model.name().to_owned());
        let members: Vec<_> = (networks.iter())
            .map(|network| recert_kernels::Member {
                model: network.model,
                input: network.input,
                outputs: network.outputs,
            })
            .collect();
        let shared = recert_kernels::Shared::compile(&members).map_err(refused)?;
        Ok(shared.map(|networks| -> Box<dyn Shared> {
            Box::new(DirectShared {
                names: names.collect(),
                networks,
            })
        }))
    }
}

/// Networks that begin with the same layers.
struct DirectShared {
    names: Vec<String>,
    networks: recert_kernels::Shared,
}

impl Shared for DirectShared {
    fn layers(&self) -> usize {
        self.networks.layers()
    }

    fn shared_fraction(&self) -> f64 {
        self.networks.part()
    }

    fn sessions(&self) -> Result<Vec<Box<dyn Session>>, Error> {
        let sessions = self.names.iter().zip(self.networks.executors());
        let session = |(name, executor): (&String, _)| -> Box<dyn Session> {
            Box::new(SharedSession {
                name: name.clone(),
                executor,
            })
        };
        Ok(sessions.map(session).collect())
    }
}

struct SharedSession {
    name: String,
    executor: SharedExecutor,
}

impl Session for SharedSession {
    fn run(&mut self, input: &[f32], _shape: &[usize]) -> Result<Vec<Output>, Error> {
        outputs(&self.name, self.executor.run(input))
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            name: self.name.clone(),
            executor: self.executor.detached(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::embedded;
    use super::*;

    #[test]
    fn the_embedded_engine_is_chosen_by_the_network() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/made");
        for (name, wanted) in [
            ("plain", "direct"),
            ("arg_max", "direct"),
            ("sign", "rten"),
            ("unknown_operator", "rten"),
        ] {
            let model = Model::read(format!("{folder}/{name}.onnx")).unwrap();
            assert_eq!(
                embedded(&model, None).identity(&model).name,
                wanted,
                "{name}"
            );
        }
    }
}
