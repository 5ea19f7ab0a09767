//! Elements that are moved, left out, repeated, or put beside constants.

use crate::block::Block;
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
}

impl Rearrange {
    /// No source: a constant.
    pub(crate) const CONSTANT: u32 = u32::MAX;

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
    pub(crate) fn backward(&self, block: Block) -> Vec<Block> {
        let block = block.into_dense(self.output);
        if let [input] = self.inputs[..]
            && self.is_identity()
        {
            return vec![Block::dense(input, block.data)];
        }
        let starts = self.starts();
        let total: usize = self.inputs.iter().map(|layout| layout.len()).sum();
        let rows = block.rows();
        let mut blocks: Vec<Block> = (self.inputs.iter())
            .map(|&layout| Block::dense(layout, vec![0.0; rows * layout.len()]))
            .collect();
        let mut whole = vec![0.0; total];
        for (row, coefficients) in block
            .data
            .chunks_exact(self.output.len().max(1))
            .enumerate()
        {
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
        blocks
    }

    /// Whether every element stays at its place.
    pub(crate) fn is_identity(&self) -> bool {
        self.inputs.len() == 1
            && self.sources.len() == self.inputs[0].len()
            && (self.sources.iter().enumerate()).all(|(i, &source)| i == source as usize)
    }
}
