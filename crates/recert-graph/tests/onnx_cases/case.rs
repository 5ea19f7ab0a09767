//! One case: a network, inputs, and the outputs that ONNX says it has.

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost::Message;
use recert_graph::proto::onnx::TensorProto;
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
        let names: Vec<&str> = model.graph_proto().input.iter().map(|i| i.name()).collect();
        // Sizes and axes have to be known beforehand, and are inputs in many
        // cases: where the graph is not taken as it is, all but the first input
        // are made constants.
        let (graph, inputs) = match build(&model, &names, &inputs, inputs.len()) {
            Ok(graph) => (graph, &inputs[..]),
            Err(_) if inputs.len() > 1 => {
                let graph = build(&model, &names, &inputs, 1);
                (graph.map_err(|error| refused(&model, error))?, &inputs[..1])
            }
            Err(error) => return Err(refused(&model, error)),
        };
        let wrong = |error: Error| Outcome::Wrong(error.to_string());
        let interpreter = Interpreter::new(&graph, Limits::default()).map_err(wrong)?;
        let outputs = interpreter.run(inputs).map_err(wrong)?;
        if outputs.len() != expected.len() {
            let (made, stored) = (outputs.len(), expected.len());
            return Err(Outcome::Wrong(format!("{made} outputs, not {stored}")));
        }
        for (position, (output, expected)) in outputs.iter().zip(&expected).enumerate() {
            compare(output, expected)
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
fn refused(model: &Model, error: Error) -> Outcome {
    if error.kind() != ErrorKind::Unsupported {
        return Outcome::Wrong(error.to_string());
    }
    let operators: BTreeSet<String> = model.operators().map(|op| op.op_type).collect();
    let operators: Vec<String> = operators.into_iter().collect();
    let class = match operators.len() {
        0..=3 => format!("not taken: {}", operators.join(", ")),
        _ => "not taken: networks of four operators or more".to_owned(),
    };
    skipped(&class, error)
}

fn skipped(class: &str, why: impl std::fmt::Display) -> Outcome {
    Outcome::Skipped {
        class: class.to_owned(),
        why: why.to_string(),
    }
}
