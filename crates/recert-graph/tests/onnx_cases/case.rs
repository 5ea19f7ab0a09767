//! One case: a network, inputs, and the outputs that ONNX says it has.

use std::path::PathBuf;

use prost::Message;
use recert_graph::proto::onnx::{TensorProto, ValueInfoProto};
use recert_graph::{
    Builder, Error, ErrorKind, Graph, Interpreter, Limits, Model, Shape, Tensor, stored,
};

use crate::compare::compare;

/// A case on disk.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

/// How a case ends that does not pass.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is not for the interpreter.
    Skipped {
        /// The reason, shared with other cases.
        class: String,
        /// The reason in this case.
        why: String,
    },
    /// The interpreter does otherwise than ONNX says.
    Wrong(String),
}

impl Case {
    /// Runs the first data set of the case.
    pub(crate) fn run(&self) -> Result<(), Outcome> {
        let model = Model::read(self.folder.join("model.onnx"))
            .map_err(|error| skipped("the file is not taken", error))?;
        let (inputs, expected) = (self.tensors("input")?, self.tensors("output")?);
        let names: Vec<&str> = model
            .graph_proto()
            .input
            .iter()
            .map(ValueInfoProto::name)
            .collect();
        // Sizes and axes have to be known beforehand, and are inputs in many
        // cases: where the graph is not taken as it is, all but the first input,
        // or all, are made constants.
        let all = inputs.len();
        let tries = [all, all.min(1), 0].into_iter();
        let mut tries = tries.map(|open| {
            let graph = build(&model, &names, &inputs, open)?;
            Ok((graph, &inputs[..open]))
        });
        let first = tries.next().expect("there are three tries");
        let (graph, inputs) = tries
            .fold(first, Result::or)
            .map_err(|error| refused(&error))?;
        let wrong = |error: Error| Outcome::Wrong(error.to_string());
        let interpreter = Interpreter::new(&graph, Limits::default()).map_err(wrong)?;
        let outputs = interpreter.run(inputs).map_err(wrong)?;
        if outputs.len() != expected.len() {
            let (made, stored) = (outputs.len(), expected.len());
            return Err(Outcome::Wrong(format!("{made} outputs, not {stored}")));
        }
        for (position, (output, expected)) in outputs.iter().zip(&expected).enumerate() {
            compare(&self.name, output, expected)
                .map_err(|why| Outcome::Wrong(format!("output {position}: {why}")))?;
        }
        Ok(())
    }

    /// The stored inputs or outputs.
    fn tensors(&self, kind: &str) -> Result<Vec<Tensor>, Outcome> {
        let folder = self.folder.join("test_data_set_0");
        let files = (0..).map(|i| folder.join(format!("{kind}_{i}.pb")));
        files
            .take_while(|path| path.is_file())
            .map(|path| {
                let bytes = std::fs::read(&path)
                    .map_err(|error| skipped("its data cannot be read", error))?;
                let read = || stored::typed(&TensorProto::decode(&bytes[..]).ok()?).ok();
                let class = "sequences, optional values, maps, strings, or types below 8 bits";
                read().ok_or_else(|| skipped(class, format!("its {kind}s are of such a type")))
            })
            .collect()
    }
}

/// The graph with the shapes of the case's inputs, of which the first `open`
/// stay inputs and the others are constants.
fn build(model: &Model, names: &[&str], inputs: &[Tensor], open: usize) -> Result<Graph, Error> {
    let mut builder = Builder::new(model);
    for (position, (name, tensor)) in names.iter().zip(inputs).enumerate() {
        builder = if position < open {
            builder.input_shape(name, Shape::of(tensor.shape()))
        } else {
            builder.bind(name, tensor.clone())
        };
    }
    builder.build()
}

/// The graph's refusal: of something that it does not know, or an error.
fn refused(error: &Error) -> Outcome {
    let why = error.to_string();
    if error.kind() != ErrorKind::Unsupported {
        return Outcome::Wrong(why);
    }
    // The operator and the reason, without the node's name.
    let class = why.find(" (").map_or(&why[..], |start| &why[start + 1..]);
    skipped(class, &why)
}

fn skipped(class: &str, why: impl std::fmt::Display) -> Outcome {
    Outcome::Skipped {
        class: class.to_owned(),
        why: why.to_string(),
    }
}
