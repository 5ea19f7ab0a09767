//! Our own engine, `recert-kernels`: the convolutional networks that classify
//! images, fast, and with the same bits on every processor.

use std::sync::Arc;

use recert_kernels::{Executor, Program};
use recert_net::Model;

use crate::{EngineIdentity, Error, ErrorKind, Output, Runtime, Session};

/// The crate `recert-kernels`, in float32 (integer operators computed as the
/// numbers that they stand for).
///
/// An image gets bit for bit the same answer in every batch, on every
/// processor, by construction. Operators that it lacks are refused by name;
/// which those are depends on the network alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Direct {
    /// The engine's name.
    pub const NAME: &'static str = "direct";
}

/// The embedded engine for a network: [`Direct`] where it computes every
/// operator that the class output needs, else [`Rten`](super::Rten).
///
/// The choice is a function of the network alone, the same on every machine;
/// [`Runtime::identity`] says what was chosen.
pub fn embedded(model: &Model, output: Option<&str>) -> Box<dyn Runtime> {
    let computes = model.signature_with_output(output).is_ok_and(|signature| {
        let outputs = [signature.output.name.as_str()];
        Program::check(model, &signature.input.name, &outputs).is_ok()
    });
    if computes {
        Box::new(Direct)
    } else {
        Box::new(super::Rten)
    }
}

impl Runtime for Direct {
    fn identity(&self) -> EngineIdentity {
        EngineIdentity {
            name: Self::NAME.into(),
            version: recert_kernels::ARITHMETIC.into(),
            precision: "float32".into(),
            batch_invariant: true,
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        let program = Program::compile(model, input, outputs).map_err(|source| {
            let (kind, advice) = match source.kind() {
                recert_kernels::ErrorKind::Unsupported => (
                    ErrorKind::Unsupported,
                    " (the engine 'direct' computes plain convolutional networks: try --engine rten)",
                ),
                _ => (ErrorKind::Model, ""),
            };
            Error::new(kind, format!("{source}{advice}")).because(source)
        })?;
        Ok(Box::new(DirectSession {
            name: model.name().to_owned(),
            executor: Arc::new(program).executor(),
        }))
    }
}

struct DirectSession {
    name: String,
    executor: Executor,
}

impl Session for DirectSession {
    fn run(&mut self, input: &[f32], _shape: &[usize]) -> Result<Vec<Output>, Error> {
        let outputs = self.executor.run(input).map_err(|source| {
            Error::new(ErrorKind::Run, format!("{}: {source}", self.name)).because(source)
        })?;
        let convert = |output| match output {
            recert_kernels::Output::Floats { shape, values } => Output::Float { shape, values },
            recert_kernels::Output::Integers { shape, values } => Output::Integer { shape, values },
        };
        Ok(outputs.into_iter().map(convert).collect())
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            name: self.name.clone(),
            executor: self.executor.program().executor(),
        }))
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(embedded(&model, None).identity().name, wanted, "{name}");
        }
    }
}
