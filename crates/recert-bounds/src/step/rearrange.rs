//! Elements that are moved, left out, repeated, or put beside constants.

mod axes;

use std::collections::HashMap;

use self::axes::Axes;
use crate::block::Block;
use crate::buffers::Buffers;
use crate::layout::Layout;

/// Each element of the output is an element of an input, or a constant.
#[derive(Debug, Clone)]
pub(crate) struct Rearrange {
    pub(crate) inputs: Vec<Layout>,
    pub(crate) output: Layout,
    /// For each element of the output its place among those of the inputs, laid end to end;
    /// [`Rearrange::CONSTANT`] for a constant.
    pub(crate) sources: Vec<u32>,
    /// The constants; 0 at the other elements.
    pub(crate) constants: Vec<f64>,
    /// How often at most an element of the inputs is taken.
    pub(crate) repeats: usize,
    /// For each input how the output's rows, columns and channels lie in it, where that is all that
    /// there is to say; else empty.
    axes: Vec<Axes>,
}

impl Rearrange {
    /// No source: a constant.
    pub(crate) const CONSTANT: u32 = u32::MAX;

    /// Elements of inputs, by their places when the inputs are laid end to end.
    pub(crate) fn new(
        inputs: Vec<Layout>,
        output: Layout,
        sources: Vec<u32>,
        constants: Vec<f64>,
    ) -> Self {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for &source in sources.iter().filter(|&&s| s != Self::CONSTANT) {
            *counts.entry(source).or_default() += 1;
        }
        let axes = Axes::of_all(&inputs, output, &sources).unwrap_or_default();
        Self {
            inputs,
            output,
            sources,
            constants,
            repeats: counts.into_values().max().unwrap_or(0),
            axes,
        }
    }

    /// The size of the windows of an input that windows of the output depend on.
    pub(crate) fn reached(&self, input: usize, size: [usize; 2]) -> [usize; 2] {
        let layout = self.inputs[input];
        match self.axes.get(input) {
            Some(axes) => axes.reached(size),
            None => [layout.height, layout.width],
        }
    }

    /// Where each input begins among all.
    fn starts(&self) -> Vec<usize> {
        let lengths = self.inputs.iter().scan(0, |end, layout| {
            let start = *end;
            *end += layout.len();
            Some(start)
        });
        lengths.collect()
    }

    /// The output of rows of each input. Constants are left out (0) unless asked for.
    pub(crate) fn forward(&self, inputs: &[&[f64]], constants: bool) -> Vec<f64> {
        let rows = match inputs.first() {
            Some(first) => first.len().checked_div(self.inputs[0].len()).unwrap_or(1),
            None => 1,
        };
        let starts = self.starts();
        let mut made = Vec::with_capacity(rows * self.output.len());
        for row in 0..rows {
            if let [input] = inputs {
                let x = &input[row * self.inputs[0].len()..];
                let elements = self.sources.iter().zip(&self.constants);
                made.extend(elements.map(|(&source, &constant)| match source {
                    Self::CONSTANT if constants => constant,
                    Self::CONSTANT => 0.0,
                    source => x[source as usize],
                }));
                continue;
            }
            for (&source, constant) in self.sources.iter().zip(&self.constants) {
                if source == Self::CONSTANT {
                    made.push(if constants { *constant } else { 0.0 });
                    continue;
                }
                let source = source as usize;
                let input = starts.partition_point(|&start| start <= source) - 1;
                let length = self.inputs[input].len();
                made.push(inputs[input][row * length + source - starts[input]]);
            }
        }
        made
    }

    /// Coefficients over each input, of coefficients over the output.
    pub(crate) fn backward(&self, block: Block, buffers: &mut Buffers) -> Vec<Block> {
        if self.is_identity() {
            let block = block.into_dense(self.output, buffers);
            return vec![Block::dense(self.inputs[0], block.data)];
        }
        if self.axes.is_empty() {
            let block = block.into_dense(self.output, buffers);
            let blocks = self.scattered(&block, buffers);
            buffers.give(block.data);
            blocks
        } else {
            let parts = self.axes.iter().zip(&self.inputs);
            let parts = parts.map(|(axes, &input)| {
                let mut part = axes.windows(&block, input, buffers);
                axes.add(&block, self.output, input, &mut part);
                part
            });
            let blocks = parts.collect();
            buffers.give(block.data);
            blocks
        }
    }

    /// Coefficients over each input, of dense ones, element by element.
    fn scattered(&self, block: &Block, buffers: &mut Buffers) -> Vec<Block> {
        let starts = self.starts();
        let total: usize = self.inputs.iter().map(|layout| layout.len()).sum();
        let rows = block.rows();
        let mut blocks: Vec<Block> = (self.inputs.iter())
            .map(|&layout| Block::dense(layout, buffers.zeros(rows * layout.len())))
            .collect();
        let mut whole = buffers.zeros(total);
        let length = self.output.len().max(1);
        for (row, coefficients) in block.data.chunks_exact(length).enumerate() {
            whole.fill(0.0);
            for (&source, a) in self.sources.iter().zip(coefficients) {
                if source != Self::CONSTANT {
                    whole[source as usize] += a;
                }
            }
            for (block, &start) in blocks.iter_mut().zip(&starts) {
                let length = block.row_len();
                block.data[row * length..(row + 1) * length]
                    .copy_from_slice(&whole[start..start + length]);
            }
        }
        buffers.give(whole);
        blocks
    }

    /// Whether every element stays at its place.
    pub(crate) fn is_identity(&self) -> bool {
        self.inputs.len() == 1
            && self.sources.len() == self.inputs[0].len()
            && (self.sources.iter().enumerate()).all(|(i, &source)| i == source as usize)
    }
}
