//! The right answers: the reference interpreter's, one image after the other.

use anyhow::{Context, Result, bail};
use recert_graph::testing::perturbed;
use recert_graph::{
    Builder, Data, Extent, Graph, InputLayout, Interpreter, Limits, Model, Op, Signature, Tensor,
    Unary,
};

/// Larger networks are none that are compared.
const LIMITS: Limits = Limits { elements: 1 << 24 };

/// An answer to one image: scores, or the class as a number.
pub type Answer = Vec<f64>;

/// A network as its file states it.
pub struct Reference {
    graph: Graph,
    signature: Signature,
    batch: usize,
    /// Values of an image.
    pub image_len: usize,
    /// Whether it answers with classes.
    pub classes: bool,
    /// Whether some operator jumps: rounding may move an answer by far.
    pub jumps: bool,
}

impl Reference {
    /// Reads a network.
    pub fn new(model: &Model) -> Result<Self> {
        let signature = model.signature()?;
        let image_len = image_extents(&signature)?.iter().product();
        let graph = Builder::new(model)
            .outputs(&[&signature.output.name])
            .build()?;
        Interpreter::new(&graph, LIMITS)?;
        let input = *graph.inputs().first().context("no input")?;
        let batch = match graph.value(input).shape.first() {
            Some(Extent::Fixed(size)) => *size,
            _ => 1,
        };
        let made = graph.value(graph.outputs()[0]).element;
        let stated = signature.output.element;
        if made != stated {
            bail!("the output is of {made}, where the file states {stated}");
        }
        Ok(Self {
            classes: made.is_integer(),
            jumps: graph.nodes().iter().any(|node| jumps(&node.op)),
            graph,
            signature,
            batch,
            image_len,
        })
    }

    /// The operators that are computed, constants left out.
    pub fn operators(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.graph.nodes().iter().map(|node| node.op.name())
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn input(&self, image: &[f32]) -> Result<Tensor> {
        let one = in_layout(&self.signature, image);
        let id = self.graph.inputs()[0];
        let shape = self.graph.value(id).shape.at(1);
        let values = one.repeat(self.batch);
        Ok(Tensor::new(shape, Data::Float32(values))?)
    }

    fn read(&self, outputs: &[Tensor]) -> Result<Answer> {
        let output = outputs.first().context("no output")?;
        let values: Vec<f64> = match output.to_i64() {
            Some(values) => values.iter().map(|&value| value as f64).collect(),
            None => output
                .to_f32()
                .context("an output of another type")?
                .iter()
                .map(|&value| value.into())
                .collect(),
        };
        Ok(values[..values.len() / self.batch].to_vec())
    }

    /// The answer to an image (channels, rows, columns).
    pub fn answer(&self, image: &[f32]) -> Result<Answer> {
        let interpreter = Interpreter::new(&self.graph, LIMITS)?;
        self.read(&interpreter.run(&[self.input(image)?])?)
    }

    /// The answer with every rounding moved at random.
    pub fn perturbed(&self, image: &[f32], roundings: f64, seed: u64) -> Result<Answer> {
        let input = [self.input(image)?];
        self.read(&perturbed(
            &self.graph,
            &input,
            self.batch.max(1),
            roundings,
            seed,
        )?)
    }
}

/// Whether a small change of its input may change an operator's output by far.
fn jumps(op: &Op) -> bool {
    match op {
        Op::Unary(unary) => matches!(
            unary,
            Unary::Floor
                | Unary::Ceil
                | Unary::Round
                | Unary::Sign
                | Unary::ThresholdedRelu { .. }
                | Unary::Shrink { .. }
        ),
        Op::Cast(element) => !element.is_float() || *element != recert_graph::ElementType::Float32,
        Op::Compare(_)
        | Op::ArgExtreme { .. }
        | Op::Hardmax(_)
        | Op::QuantizeLinear(_)
        | Op::DynamicQuantizeLinear
        | Op::QLinearConv { .. }
        | Op::QLinearMatMul => true,
        _ => false,
    }
}

/// Channels, height and width of a network's images, where its file states them.
pub fn image_extents(signature: &Signature) -> Result<[usize; 3]> {
    let (channels, height, width) = match signature.input.layout {
        InputLayout::Nchw { c, h, w } | InputLayout::Nhwc { h, w, c } => (Some(c), h, w),
        InputLayout::Flat { d } => (Some(1), Some(1), d),
        _ => bail!("another layout of the input"),
    };
    Ok([
        channels.context("no number of channels")?,
        height.context("no height")?,
        width.context("no width")?,
    ])
}

/// An image (channels, rows, columns) in the layout of the network's input.
pub fn in_layout(signature: &Signature, image: &[f32]) -> Vec<f32> {
    let InputLayout::Nhwc { c, .. } = signature.input.layout else {
        return image.to_vec();
    };
    let plane = image.len() / c;
    (0..image.len())
        .map(|i| image[(i % c) * plane + i / c])
        .collect()
}
