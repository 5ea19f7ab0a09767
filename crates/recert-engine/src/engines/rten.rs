//! The embedded engine for all networks that [`Direct`](super::Direct) does not take: [`rten`](https://github.com/robertknight/rten), pure Rust.

mod arg_max;
mod defaults;
mod wrong;

use std::sync::Arc;

use recert_graph::Model;
use recert_graph::proto::onnx::tensor_shape_proto::dimension::Value as Extent;
use recert_graph::proto::onnx::{GraphProto, type_proto};
use rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueView};
use rten_tensor::prelude::*;

use self::arg_max::ArgMax;
use super::{Device, EngineEntry, Found, faults};
use crate::options::CPU;
use crate::{
    Arithmetic, EngineIdentity, EngineOptions, Error, ErrorKind, Output, Precision, Runtime,
    Session, Setting,
};

/// The version of rten in the workspace's `Cargo.toml`; a test compares it
/// with `Cargo.lock`.
const VERSION: &str = "0.27.0";

pub(super) const ENTRY: EngineEntry = EngineEntry {
    name: "rten",
    title: "rten",
    install: None,
    rank: |_| 4,
    needs_comparison: false,
    open: |options| Ok(Box::new(Rten::new(options)?)),
    find: || Ok(Rten::found()),
};

/// The pure-Rust runtime `rten`, in float32 (integer operators as in the model,
/// float16 and float64 tensors converted to float32).
///
/// An image gets bit for bit the same answer in every batch: measured for the
/// shared networks in batches of 1 to 256, on a processor with AVX-512. rten
/// alone does not keep that for a lone image, so a lone image is computed twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rten;

impl Rten {
    /// The engine, which computes in float32 on the processor.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another precision,
    /// [`ErrorKind::EngineMissing`] for another device.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        if !options.on_cpu() {
            let message = format!(
                "device {}: rten computes on the processor alone: choose the \
                 engine openvino or onnxruntime, or no device",
                options.device()
            );
            return Err(Error::new(ErrorKind::EngineMissing, message).about(Setting::Device));
        }
        let precision = options.float();
        if precision != Precision::F32 {
            let message = format!(
                "precision {precision}: rten computes in f32 alone: choose the engine openvino"
            );
            return Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Precision));
        }
        Ok(Self)
    }

    /// What is built in.
    fn found() -> Found {
        Found {
            version: VERSION.into(),
            path: None,
            devices: vec![Device {
                name: CPU.into(),
                description: None,
                precisions: vec![Precision::F32, Precision::Int8],
            }],
        }
    }
}

impl Runtime for Rten {
    fn identity(&self, _: &Model) -> EngineIdentity {
        EngineIdentity {
            name: ENTRY.name.into(),
            version: VERSION.into(),
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
        let cannot_load = |source: &dyn std::error::Error| {
            let message = format!(
                "{}: rten {VERSION} cannot load the network: {source} (try the engine onnxruntime, or \
                 export the network without what is named)",
                model.name()
            );
            Error::new(ErrorKind::Unsupported, message)
        };
        let modern = model.modern().map_err(|e| cannot_load(&e))?;
        let model = modern.as_ref();
        let graph = model.graph_proto();
        let reads: Vec<_> = outputs.iter().map(|name| Read::new(graph, name)).collect();
        // What recert computes itself, rten cannot compute wrongly.
        let taken_over = reads.iter().filter_map(|read| read.arg_max.as_ref());
        let taken_over: Vec<_> = taken_over.map(|arg_max| arg_max.classes.as_str()).collect();
        faults::refuse(&ENTRY, VERSION, &wrong::FAULTS, model, &taken_over)?;
        let double_lone = batch_is_free(graph, input);
        let bytes = defaults::stated(model).map_err(|e| cannot_load(&e).because(e))?;
        let loaded = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load(bytes)
            .map_err(|e| cannot_load(&e).because(e))?;
        let node = |name: &str| {
            loaded.node_id(name).map_err(|source| {
                Error::new(
                    ErrorKind::Model,
                    format!("{}: the graph has no tensor '{name}'", model.name()),
                )
                .because(source)
            })
        };
        let input = node(input)?;
        let outputs = reads
            .iter()
            .map(|read| node(&read.tensor))
            .collect::<Result<_, _>>()?;
        Ok(Box::new(RtenSession {
            name: model.name().to_owned(),
            model: Arc::new(loaded),
            input,
            outputs,
            reads,
            double_lone,
            pool: Arc::new(ThreadPool::with_num_threads(1)),
        }))
    }
}

/// How to read an output of the network.
#[derive(Debug, Clone)]
struct Read {
    /// The tensor to read.
    tensor: String,
    /// What makes the output of it, if it is not the output itself.
    arg_max: Option<ArgMax>,
}

impl Read {
    fn new(graph: &GraphProto, output: &str) -> Self {
        let arg_max = ArgMax::find(graph, output);
        let scores = arg_max.as_ref().map(|arg_max| arg_max.scores.clone());
        Self {
            tensor: scores.unwrap_or_else(|| output.to_owned()),
            arg_max,
        }
    }
}

/// Whether the graph leaves the batch size open.
fn batch_is_free(graph: &GraphProto, input: &str) -> bool {
    let mut inputs = graph.input.iter();
    let info = inputs.find(|info| info.name.as_deref() == Some(input));
    let kind = info.and_then(|info| info.r#type.as_ref()?.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return true;
    };
    let batch = (tensor.shape.as_ref()).and_then(|shape| shape.dim.first()?.value.as_ref());
    !matches!(batch, Some(Extent::DimValue(batch)) if *batch > 0)
}

struct RtenSession {
    name: String,
    model: Arc<rten::Model>,
    input: NodeId,
    outputs: Vec<NodeId>,
    reads: Vec<Read>,
    /// Whether a lone image is to be computed twice. rten multiplies a vector
    /// and a matrix by other code than two matrices, which sums in another
    /// order: alone, an image would not get bit for bit the answer that it
    /// gets in every larger batch.
    double_lone: bool,
    pool: Arc<ThreadPool>,
}

impl Session for RtenSession {
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
        let failed = |why: String| Error::new(ErrorKind::Run, format!("{}: {why}", self.name));
        let doubled = self.double_lone && shape.first() == Some(&1);
        let (twice, two);
        let (input, shape) = if doubled {
            twice = input.repeat(2);
            two = [&[2], &shape[1..]].concat();
            (twice.as_slice(), two.as_slice())
        } else {
            (input, shape)
        };
        let view = ValueView::from_shape(shape, input)
            .map_err(|e| failed(format!("the batch does not have shape {shape:?}: {e}")))?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let values = self
            .model
            .run(
                vec![(self.input, view.into())],
                &self.outputs,
                Some(options),
            )
            .map_err(|e| failed(format!("rten {VERSION} failed to run: {e}")).because(e))?;
        let output = |(value, read): (Value, &Read)| match (value, &read.arg_max) {
            (Value::FloatTensor(tensor), None) => Ok(Output::Float {
                shape: tensor.shape().to_vec(),
                values: tensor.into_data(),
            }),
            (Value::FloatTensor(tensor), Some(arg_max)) => {
                let shape = tensor.shape().to_vec();
                let classes = arg_max.classes(&shape, &tensor.into_data());
                let values = classes.ok_or_else(|| {
                    failed(format!(
                        "ArgMax of a tensor of shape {shape:?} gives no classes"
                    ))
                })?;
                Ok(Output::Integer {
                    shape: vec![values.len()],
                    values,
                })
            }
            (Value::Int32Tensor(tensor), None) => Ok(Output::Integer {
                shape: tensor.shape().to_vec(),
                values: tensor.into_data().into_iter().map(i64::from).collect(),
            }),
            _ => Err(failed(
                "an output is neither a float32 nor an integer tensor".into(),
            )),
        };
        let outputs = values.into_iter().zip(&self.reads).map(output);
        outputs
            .map(|output| {
                if doubled {
                    output.map(first_half)
                } else {
                    output
                }
            })
            .collect()
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            name: self.name.clone(),
            model: Arc::clone(&self.model),
            input: self.input,
            outputs: self.outputs.clone(),
            reads: self.reads.clone(),
            double_lone: self.double_lone,
            pool: Arc::new(ThreadPool::with_num_threads(1)),
        }))
    }
}

/// The first half of an output along the batch; an output of odd or no batch,
/// which the images have no part in, as it is.
fn first_half(output: Output) -> Output {
    fn cut<T>(shape: &mut [usize], values: &mut Vec<T>) {
        if let Some(batch) = shape.first_mut().filter(|batch| **batch % 2 == 0) {
            *batch /= 2;
            values.truncate(values.len() / 2);
        }
    }
    let mut output = output;
    match &mut output {
        Output::Float { shape, values } => cut(shape, values),
        Output::Integer { shape, values } => cut(shape, values),
    }
    output
}

#[cfg(test)]
mod tests {
    use super::VERSION;

    #[test]
    fn the_version_stated_is_the_one_locked() {
        let lock = include_str!("../../../../Cargo.lock");
        let wanted = format!("name = \"rten\"\nversion = \"{VERSION}\"");
        assert!(
            lock.contains(&wanted),
            "Cargo.lock holds another rten than {VERSION}"
        );
    }
}
