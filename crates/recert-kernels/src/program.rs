//! A network made ready, and what runs it.

use std::sync::Arc;

use recert_graph::Model;

use crate::across;
use crate::error::{Error, ErrorKind, Result};
use crate::integer::{bytes, bytes_mut};
use crate::ir::{ArgMax, Graph};
use crate::lower::lower;
use crate::memory::{Buffer, from_pixels, to_blocks, to_pixels, to_plain};
use crate::pool;
use crate::schedule::{Location, Schedule, Step, Work, schedule};
use crate::simd::Isa;

/// A step should find its tensors, for all images of a group, in the
/// second-level cache: this many values.
const GROUP_VALUES: usize = 1 << 16;

/// Weights that do not fit there are fetched once a group: groups are this
/// much larger then, and of so many images at least.
const HEAVY_WEIGHTS: usize = 1 << 18;
const HEAVY_GROUP: usize = 4;
const HEAVY_LEAST: usize = 2;

/// The most images of a group. None of these numbers decides a result.
const GROUP_MOST: usize = 24;

/// A network made ready for a processor: folded, fused, its weights packed.
/// It can be shared by any number of [`Executor`]s.
pub struct Program {
    schedule: Schedule,
    /// Values an image.
    image: usize,
    outputs: Vec<OutputKind>,
    single: bool,
    group: usize,
}

/// What an output is.
struct OutputKind {
    /// Its shape for one image.
    dims: Vec<usize>,
    /// Its values, or those from which the class is taken.
    count: usize,
    arg_max: Option<ArgMax>,
}

/// One output of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Floats, row-major.
    Floats {
        /// The shape, the batch first.
        shape: Vec<usize>,
        /// The values.
        values: Vec<f32>,
    },
    /// Class numbers, from 0; -1 where a score is NaN.
    Integers {
        /// The shape, the batch first.
        shape: Vec<usize>,
        /// The values.
        values: Vec<i64>,
    },
}

impl Program {
    /// Makes the network ready for this processor. `input` is the name of the
    /// image input, `outputs` those of the tensors to compute.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for what is not computed here, with the node
    /// and the operator; [`ErrorKind::Graph`] for a damaged network.
    pub fn compile(model: &Model, input: &str, outputs: &[&str]) -> Result<Self> {
        Self::compile_for(model, input, outputs, Isa::best())
    }

    /// As [`Program::compile`], for an instruction set. The results are the
    /// same.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn compile_for(model: &Model, input: &str, outputs: &[&str], isa: Isa) -> Result<Self> {
        let graph = lower(model, input, outputs)?;
        Ok(Self::of(&graph, isa))
    }

    /// Says whether the network can be computed, without packing its weights.
    /// The answer is a function of the network and the names alone.
    ///
    /// # Errors
    ///
    /// As [`Program::compile`].
    pub fn check(model: &Model, input: &str, outputs: &[&str]) -> Result<()> {
        lower(model, input, outputs).map(drop)
    }

    /// The program of a graph, for an instruction set that the processor has.
    pub(crate) fn of(graph: &Graph, isa: Isa) -> Self {
        let schedule = schedule(graph, isa);
        let outputs = graph.outputs.iter().map(|output| {
            let value = &graph.values[output.value];
            let dims = output
                .arg_max
                .as_ref()
                .map_or(&value.dims, |arg_max| &arg_max.dims);
            OutputKind {
                dims: dims.clone(),
                count: value.len(),
                arg_max: output.arg_max.clone(),
            }
        });
        let (larger, least) = if graph.weights() > HEAVY_WEIGHTS {
            (HEAVY_GROUP, HEAVY_LEAST)
        } else {
            (1, 1)
        };
        let group = GROUP_VALUES * larger / schedule.widest.max(1);
        Self {
            image: graph.values[graph.input].len(),
            outputs: outputs.collect(),
            single: graph.single,
            group: if graph.single {
                1
            } else {
                group.clamp(least, GROUP_MOST)
            },
            schedule,
        }
    }

    /// Values an image.
    pub fn image_len(&self) -> usize {
        self.image
    }

    /// How many images these are.
    pub(crate) fn count(&self, images: &[f32]) -> Result<usize> {
        let length = self.image.max(1);
        let count = images.len() / length;
        if count * length != images.len() {
            let message = format!("{} values are no images of {length}", images.len());
            return Err(Error::new(ErrorKind::Shape, message));
        }
        Ok(count)
    }

    /// What runs it, on the thread that calls.
    pub fn executor(self: &Arc<Self>) -> Executor {
        let slots = self.schedule.slots.iter();
        Executor {
            slots: slots
                .map(|&(size, byte)| Buffer::filled(size * self.group, byte))
                .collect(),
            scratch: Buffer::zeros(self.schedule.scratch),
            program: Arc::clone(self),
        }
    }
}

/// Runs a [`Program`] with buffers of its own.
pub struct Executor {
    program: Arc<Program>,
    slots: Vec<Buffer>,
    /// What steps need beside their tensors.
    scratch: Buffer,
}

impl Executor {
    /// The program that it runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Computes the outputs for `images`, row-major one after the other. What
    /// an image's outputs are does not depend on the others, bit for bit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Shape`] where `images` is no whole number of images, or
    /// more than one for a network that takes a scale from a whole batch.
    pub fn run(&mut self, images: &[f32]) -> Result<Vec<Output>> {
        let program = Arc::clone(&self.program);
        let length = program.image.max(1);
        let count = program.count(images)?;
        if program.single && count > 1 {
            let message =
                "this network takes a scale from all images of a batch: give it one at a time";
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let mut outputs: Vec<Output> = program
            .outputs
            .iter()
            .map(|kind| kind.empty(count))
            .collect();
        for group in images.chunks(program.group * length) {
            for step in &program.schedule.steps {
                self.step(step, group, length);
            }
            for (image, pixels) in group.chunks_exact(length).enumerate() {
                let kinds = program.schedule.outputs.iter().zip(&program.outputs);
                for (output, (&location, kind)) in outputs.iter_mut().zip(kinds) {
                    let values = self.tensor(location, image, pixels);
                    kind.read(&values[..kind.count], output);
                }
            }
        }
        Ok(outputs)
    }

    /// One image's tensor.
    fn tensor<'a>(&'a self, location: Location, image: usize, pixels: &'a [f32]) -> &'a [f32] {
        match location {
            Location::Image => pixels,
            Location::Slot(slot) => {
                let (size, _) = self.program.schedule.slots[slot];
                &self.slots[slot].values()[image * size..(image + 1) * size]
            }
        }
    }

    /// One step, for all images of a group.
    fn step(&mut self, step: &Step, group: &[f32], length: usize) {
        let (size, _) = self.program.schedule.slots[step.output];
        // Out of the way of what is read, and back afterwards.
        let mut output = std::mem::take(&mut self.slots[step.output]);
        if let Work::ByteGemm(gemm) = &step.work {
            let Location::Slot(slot) = step.inputs[0] else {
                unreachable!("the image is no bytes");
            };
            let (row, _) = self.program.schedule.slots[slot];
            let images = group.len() / length;
            let input = (bytes(self.slots[slot].values()), row * size_of::<f32>());
            gemm.run(
                images,
                input,
                (bytes_mut(output.values_mut()), size * size_of::<f32>()),
            );
        } else if let Work::Gemm(gemm) = &step.work {
            let input = match step.inputs[0] {
                Location::Image => (group, length),
                Location::Slot(slot) => {
                    let (size, _) = self.program.schedule.slots[slot];
                    (self.slots[slot].values(), size)
                }
            };
            gemm.run(group.len() / length, input, (output.values_mut(), size));
        } else {
            let mut scratch = std::mem::take(&mut self.scratch);
            let outputs = output.values_mut().chunks_exact_mut(size.max(1));
            for (image, (pixels, to)) in group.chunks_exact(length).zip(outputs).enumerate() {
                let input = |position: usize| self.tensor(step.inputs[position], image, pixels);
                compute(
                    &step.work,
                    step.inputs.len(),
                    input,
                    scratch.values_mut(),
                    to,
                );
            }
            self.scratch = scratch;
        }
        self.slots[step.output] = output;
    }
}

/// One step, for one image.
fn compute<'a>(
    work: &Work,
    inputs: usize,
    input: impl Fn(usize) -> &'a [f32],
    scratch: &mut [f32],
    to: &mut [f32],
) {
    let second = || (inputs > 1).then(|| input(1));
    match work {
        Work::Direct(op) => op.run(input(0), second(), to),
        Work::Depthwise(op) => op.run(input(0), second(), to),
        Work::Grouped(op) => op.run(input(0), second(), to),
        Work::Gemm(_) | Work::ByteGemm(_) => unreachable!("computed for all images at once"),
        Work::Linear(op) => op.run(input(0), second(), to),
        Work::LayerNorm(op, rows) => op.run(*rows, input(0), to),
        Work::Products(op) => op.run([input(0), input(1)], scratch, to),
        Work::Attend(op) => op.run([input(0), input(1), input(2)], scratch, to),
        Work::Constant(values) => to.copy_from_slice(&values.values()[..to.len()]),
        Work::ToPixels(layout) => to_pixels(input(0), layout, to),
        Work::FromPixels(layout) => from_pixels(input(0), layout, to),
        Work::Pool(op) => op.run(input(0), to),
        Work::Means { layout, isa } => pool::means(*isa, layout, input(0), to),
        Work::Pointwise(op) => op.run(input(0), to),
        Work::Pairwise(op) => op.run(input(0), input(1), to),
        Work::ToBlocks(layout) => to_blocks(input(0), layout, to),
        Work::ToPlain(layout) => to_plain(input(0), layout, to),
        Work::Crop(op) => op.run(input(0), to),
        Work::Crops(ops) => {
            for (position, op) in ops.iter().enumerate() {
                op.run(input(position), to);
            }
        }
        Work::Join(op) => {
            for position in 0..inputs {
                op.run(position, input(position), to);
            }
        }
        Work::Gather(op) => op.run(input(0), to),
        Work::Reduce(op) => op.run(input(0), to),
        Work::Softmax(op) => op.run(input(0), to),
        Work::Broadcast(op) => op.run(input(0), input(1), to),
        Work::FakeQuantize(count) => across::fake_quantize(&input(0)[..*count], &mut to[..*count]),
        Work::ToBytes(op) => op.run(input(0), bytes_mut(to)),
        Work::FromBytes(op) => op.run(bytes(input(0)), to),
        Work::ByteConv(op) => op.run(bytes(input(0)), second().map(bytes), bytes_mut(to)),
        Work::ByteDepthwise(op) => op.run(bytes(input(0)), second().map(bytes), bytes_mut(to)),
        Work::ByteSum(op) => op.run(bytes(input(0)), bytes(input(1)), bytes_mut(to)),
        Work::ByteMax(op) => op.run(bytes(input(0)), bytes_mut(to)),
        Work::ByteMeans(op) => op.run(bytes(input(0)), to),
        Work::ByteCut(op) => op.run(bytes(input(0)), bytes_mut(to)),
        Work::ByteMap(op) => op.run(bytes(input(0)), bytes_mut(to)),
    }
}

impl OutputKind {
    /// The output of no images yet, of `count` to come.
    fn empty(&self, count: usize) -> Output {
        let shape = [&[count], &self.dims[..]].concat();
        match self.arg_max {
            None => Output::Floats {
                values: Vec::with_capacity(count * self.count),
                shape,
            },
            Some(_) => Output::Integers {
                values: Vec::with_capacity(shape.iter().product()),
                shape,
            },
        }
    }

    /// Appends one image's.
    fn read(&self, from: &[f32], output: &mut Output) {
        match (output, &self.arg_max) {
            (Output::Integers { values, .. }, Some(arg_max)) => {
                across::arg_max(from, arg_max.along, arg_max.last, values);
            }
            (Output::Floats { values, .. }, _) => values.extend_from_slice(from),
            (Output::Integers { .. }, None) => unreachable!("made so by `empty`"),
        }
    }
}
