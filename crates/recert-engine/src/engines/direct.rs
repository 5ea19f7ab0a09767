//! Our own engine, `recert-kernels`: the convolutional networks that classify
//! images, fast, and with the same bits on every processor.

use std::sync::Arc;

use recert_kernels::{Executor, Program, SharedExecutor};
use recert_net::Model;

use super::{Device, Found};
use crate::options::CPU;
use crate::{
    EngineIdentity, EngineOptions, Error, ErrorKind, Output, Precision, Runtime, Session, Shared,
    Source,
};

/// The crate `recert-kernels`, in float32, and in 8 bits what the network
/// quantizes.
///
/// An image gets bit for bit the same answer in every batch, on every
/// processor, by construction. Operators that it lacks are refused by name;
/// which those are depends on the network alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Direct {
    /// The engine's name.
    pub const NAME: &'static str = "direct";

    /// The engine, which computes in float32, and in 8 bits what the network
    /// quantizes, on the processor.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another precision,
    /// [`ErrorKind::EngineMissing`] for another device.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        if !options.on_cpu() {
            let message = format!(
                "--device {}: direct computes on the processor alone: choose --engine openvino or \
                 --engine onnxruntime, or leave --device out",
                options.device()
            );
            return Err(Error::new(ErrorKind::EngineMissing, message));
        }
        match options.precision {
            None | Some(Precision::F32 | Precision::Int8) => Ok(Self),
            Some(precision) => {
                let message = format!(
                    "--precision {precision}: direct computes in f32 and int8 alone: choose --engine \
                     openvino"
                );
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    /// What is built in.
    pub(super) fn survey() -> Found {
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
            name: Self::NAME.into(),
            version: recert_kernels::ARITHMETIC.into(),
            precision: "float32".into(),
            batch_invariant: true,
            deterministic: true,
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

/// What is said of a network that is not computed here.
fn refused(source: recert_kernels::Error) -> Error {
    let (kind, advice) = match source.kind() {
        recert_kernels::ErrorKind::Unsupported => (
            ErrorKind::Unsupported,
            " (the engine 'direct' computes plain convolutional networks: try --engine rten)",
        ),
        _ => (ErrorKind::Model, ""),
    };
    Error::new(kind, format!("{source}{advice}")).because(source)
}

/// What is returned of a run of the network `name`.
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

    fn share(&self, sources: &[Source<'_>]) -> Result<Option<Box<dyn Shared>>, Error> {
        let names = sources.iter().map(|source| source.model.name().to_owned());
        let sources: Vec<_> = (sources.iter())
            .map(|source| recert_kernels::Member {
                model: source.model,
                input: source.input,
                outputs: source.outputs,
            })
            .collect();
        let shared = recert_kernels::Shared::compile(&sources).map_err(refused)?;
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

    fn part(&self) -> f64 {
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
            ("plain", Direct::NAME),
            ("arg_max", Direct::NAME),
            ("sign", super::super::Rten::NAME),
            ("unknown_operator", super::super::Rten::NAME),
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
