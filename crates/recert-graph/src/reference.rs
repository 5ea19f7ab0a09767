//! The reference interpreter: a graph computed one operator after the other, in
//! plain loops that follow ONNX's definitions. Engines are held to it.
//!
//! # Arithmetic
//!
//! Every operator takes tensors of their own element types and makes tensors
//! of theirs, so that float16 inside a file is float16 after every operator.
//! Within an operator, floats are float64: they are widened without loss,
//! everything is computed in float64 in the order of the loops, and each
//! element of the result is rounded once to its type, to nearest and half to
//! even. Transcendental functions are those of `libm`, so that results are the
//! same bits on every platform. From this follow, for float32 (unit roundoff
//! u = 2^-24; for float16 put 2^-11, for bfloat16 2^-8), as long as nothing
//! overflows or underflows:
//!
//! - Elementwise operators are correctly rounded: `+`, `-`, `*`, `/` and the
//!   square root always, since rounding to 53 bits first does no harm to 24;
//!   others but for cases within 2^-28 of a tie.
//! - A sum of n products (`Conv`, `Gemm`, `MatMul`; with a bias, n + 1) is
//!   within `u |s| + 2 n 2^-53 S` of the exact sum s, where S is the sum of the
//!   products' magnitudes: products of two float32 are exact in float64. The
//!   second term is below the first unless the sum cancels to less than
//!   n 2^-28 of S.
//! - An engine that sums in float32 in any order is within `n u S` of s to first
//!   order, and so within `(n + 1) u S` of the reference.
//! - Normalizations and reductions likewise round once, at their end.
//!
//! Files that compute in float64 get float64 arithmetic with its own rounding.
//!
//! Integers are exact: sums and products are taken modulo 2 to the width of
//! their type, as two's complement does; divisions cut off towards zero, and
//! division by zero is an error. Quantization divides in the type of the scale,
//! rounds half to even, adds the zero point and clamps; dequantization rounds
//! the difference to float32 before it is scaled. Where integers are requantized
//! (`QLinearConv`, `QLinearMatMul`), the sum is exact and the factor `a b / y` of
//! the three scales is rounded to their type after each operation; their product
//! is rounded to an integer directly, not to a float first.
//!
//! NaN propagates through arithmetic, `Relu`, `Clip`, `Max`, `Min` and pooling;
//! `ArgMax` and `ArgMin` take the first NaN for the greatest and the least.
//!
//! # Sizes
//!
//! Before anything is computed, the sizes of all values for the batch at hand
//! are added up and held against [`Limits`]. While a node is computed, its
//! inputs and outputs exist in a wide form too, of 8 bytes a float and 16 an
//! integer.

mod array;
mod conv;
mod disturb;
mod elementwise;
mod evaluate;
mod integer;
mod maths;
mod matmul;
mod normalize;
mod numbers;
mod pool;
mod quantize;
mod rearrange;
mod reduce;
mod resize;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use crate::{
    Error, ErrorKind, Extent, Graph, Keep, Node, Result, States, Tensor, ValueId, forwards,
};

use disturb::Random;
pub use disturb::{Direction, Disturbance};
pub(crate) use evaluate::{Output, compute};

/// What a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of elements of all values together, constants included.
    pub elements: usize,
}

impl Default for Limits {
    /// 2^28 elements, a gigabyte of float32.
    fn default() -> Self {
        Self { elements: 1 << 28 }
    }
}

/// Computes a graph by the definitions of its operators.
///
/// ```
/// use recert_graph::{Builder, Data, Interpreter, Limits, Model, Tensor};
///
/// # fn main() -> recert_graph::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let model = Model::read(path)?;
/// let graph = Builder::new(&model).build()?;
/// let interpreter = Interpreter::new(&graph, Limits::default())?;
///
/// let shape = graph.value(graph.inputs()[0]).shape.at(2);
/// let pixels = vec![0.5; shape.iter().product()];
/// let images = Tensor::new(shape, Data::Float32(pixels))?;
/// let logits = &interpreter.run(&[images])?[0];
/// // Two images that are the same have the same outputs.
/// let (first, second) = logits.as_f32().unwrap().split_at(logits.len() / 2);
/// assert_eq!(first, second);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Interpreter<'g> {
    graph: &'g Graph,
    limits: Limits,
}

impl<'g> Interpreter<'g> {
    /// An interpreter of `graph`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where the values of even a single image
    /// exceed the limits.
    pub fn new(graph: &'g Graph, limits: Limits) -> Result<Self> {
        let interpreter = Self { graph, limits };
        interpreter.check_sizes(1)?;
        Ok(interpreter)
    }

    /// The outputs for these inputs, both in the graph's order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Argument`] where the inputs are not those that the graph
    /// asks for; [`ErrorKind::Unsupported`] where the limits are exceeded;
    /// [`ErrorKind::Graph`] where an operator is not defined on its inputs.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.outputs(inputs, None)
    }

    /// As [`Interpreter::run`], with its rounding disturbed.
    ///
    /// # Errors
    ///
    /// As [`Interpreter::run`].
    pub fn run_disturbed(
        &self,
        inputs: &[Tensor],
        disturbance: &Disturbance,
    ) -> Result<Vec<Tensor>> {
        self.outputs(inputs, Some(disturbance))
    }

    fn outputs(&self, inputs: &[Tensor], disturbance: Option<&Disturbance>) -> Result<Vec<Tensor>> {
        let outputs = self.graph.outputs();
        let states = self.compute(inputs, Keep::Only(outputs), disturbance)?;
        outputs
            .iter()
            .map(|&id| match states.get(id) {
                Some(tensor) => Ok(Tensor::clone(tensor)),
                None => Err(wrong("no node makes it").at(self.name(id))),
            })
            .collect()
    }

    /// Every value of the graph for these inputs: what [`Interpreter::run`]
    /// returns, and all that it comes from.
    ///
    /// # Errors
    ///
    /// As [`Interpreter::run`].
    pub fn run_all(&self, inputs: &[Tensor]) -> Result<States<Arc<Tensor>>> {
        self.compute(inputs, Keep::All, None)
    }

    fn compute(
        &self,
        inputs: &[Tensor],
        keep: Keep<'_>,
        disturbance: Option<&Disturbance>,
    ) -> Result<States<Arc<Tensor>>> {
        let batch = self.batch(inputs)?;
        self.check_sizes(batch)?;
        let mut states = States::new(self.graph);
        for (position, value) in self.graph.values().iter().enumerate() {
            if let Some(constant) = &value.constant {
                states.insert(ValueId(position), Arc::clone(constant));
            }
        }
        for (&id, tensor) in self.graph.inputs().iter().zip(inputs) {
            let tensor = match disturbance {
                Some(disturbance) => {
                    let mut random = Random::new(disturbance.seed, id.index());
                    disturbance.after(None, tensor.clone(), &mut random)?
                }
                None => tensor.clone(),
            };
            states.insert(id, Arc::new(tensor));
        }
        forwards(self.graph, states, keep, |node, states| {
            self.step(node, states, batch, disturbance)
                .map_err(|error| error.at(format!("node `{}` ({})", node.name, node.op.name())))
        })
    }

    /// Computes one node.
    fn step(
        &self,
        node: &Node,
        states: &States<Arc<Tensor>>,
        batch: usize,
        disturbance: Option<&Disturbance>,
    ) -> Result<Vec<Arc<Tensor>>> {
        let inputs = states.inputs(node);
        let mut inputs: Vec<Option<&Tensor>> =
            inputs.into_iter().map(|x| x.map(Arc::as_ref)).collect();
        let outputs = node.outputs.iter();
        let outputs: Vec<Option<Output>> = outputs
            .map(|id| id.map(|id| self.output(id, batch)))
            .collect();
        let Some(disturbance) = disturbance else {
            let made = compute(&node.op, &inputs, &outputs)?;
            return Ok(made.into_iter().map(Arc::new).collect());
        };
        let place = node.outputs.iter().flatten().next().map(|id| id.index());
        let mut random = Random::new(disturbance.seed, place.unwrap_or(0));
        let moved = disturbance.before(&node.op, &inputs, &mut random)?;
        if let Some(moved) = &moved {
            inputs[0] = Some(moved);
        }
        let made = compute(&node.op, &inputs, &outputs)?.into_iter();
        made.map(|made| {
            let made = disturbance.after(Some(&node.op), made, &mut random)?;
            Ok(Arc::new(made))
        })
        .collect()
    }

    fn output(&self, id: ValueId, batch: usize) -> Output {
        let value = self.graph.value(id);
        Output {
            shape: value.shape.at(batch),
            element: value.element,
        }
    }

    fn name(&self, id: ValueId) -> String {
        format!("`{}`", self.graph.value(id).name)
    }

    /// The size of the batch in these inputs, which must be those of the graph.
    fn batch(&self, inputs: &[Tensor]) -> Result<usize> {
        let ids = self.graph.inputs();
        if inputs.len() != ids.len() {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("the network has {} inputs, not {}", ids.len(), inputs.len()),
            ));
        }
        let mut batch = None;
        for (&id, tensor) in ids.iter().zip(inputs) {
            let value = self.graph.value(id);
            let mut fits =
                value.element == tensor.element() && value.shape.len() == tensor.shape().len();
            for (extent, &size) in value.shape.iter().zip(tensor.shape()) {
                fits &= match *extent {
                    Extent::Fixed(fixed) => fixed == size,
                    Extent::Batch(factor) => {
                        size % factor == 0 && *batch.get_or_insert(size / factor) == size / factor
                    }
                };
            }
            if !fits {
                let why = format!(
                    "{} of shape {:?} is given, where {} of shape {} is asked for",
                    tensor.element(),
                    tensor.shape(),
                    value.element,
                    value.shape
                );
                return Err(Error::new(ErrorKind::Argument, why).at(self.name(id)));
            }
        }
        Ok(batch.unwrap_or(1))
    }

    /// Adds up the sizes of all values.
    fn check_sizes(&self, batch: usize) -> Result<()> {
        let mut left = self.limits.elements;
        for value in self.graph.values() {
            let size = match value.shape.count() {
                Some(Extent::Fixed(size)) => Some(size),
                Some(Extent::Batch(factor)) => factor.checked_mul(batch),
                None => None,
            };
            left = size
                .and_then(|size| left.checked_sub(size))
                .ok_or_else(|| {
                    let limit = self.limits.elements;
                    let why = format!(
                        "with this value, of shape {}, the network exceeds the limit of {limit} \
                     elements for a batch of {batch}",
                        value.shape
                    );
                    Error::new(ErrorKind::Unsupported, why).at(format!("`{}`", value.name))
                })?;
        }
        Ok(())
    }
}

/// An operator is not defined on what it is given.
fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Graph, why)
}
