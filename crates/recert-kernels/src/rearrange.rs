//! What moves values without computing: slices, padding, transposition.

use crate::integer::Bytes;
use crate::memory::Blocked;

/// Along one axis: `output[i] = input[start + (i - before) * step]` for
/// `before <= i < before + count`, and elsewhere a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) before: usize,
    pub(crate) count: usize,
    pub(crate) start: usize,
    pub(crate) step: isize,
}

impl Cut {
    fn from(&self, i: usize) -> usize {
        self.start.wrapping_add_signed(i as isize * self.step)
    }

    /// Everything, as it is.
    pub(crate) fn whole(size: usize) -> Self {
        Self {
            before: 0,
            count: size,
            start: 0,
            step: 1,
        }
    }

    /// This, after a cut that adds nothing.
    pub(crate) fn after(self, first: Self) -> Self {
        Self {
            start: first.from(self.start),
            step: self.step * first.step,
            ..self
        }
    }
}

/// How a tensor in blocks lies in memory, whatever its values are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockLayout {
    /// Channels, rows and columns.
    sizes: [usize; 3],
    lanes: usize,
    /// From a row to the next one, and from a block.
    row: usize,
    block: usize,
    /// The first pixel of the first block.
    first: usize,
}

impl BlockLayout {
    fn channel_offset(&self, channel: usize, y: usize, x: usize) -> usize {
        let block = self.first + channel / self.lanes * self.block;
        block + y * self.row + x * self.lanes + channel % self.lanes
    }
}

impl From<Blocked> for BlockLayout {
    fn from(layout: Blocked) -> Self {
        Self {
            sizes: [layout.channels, layout.height, layout.width],
            lanes: layout.lanes,
            row: layout.row(),
            block: layout.block(),
            first: layout.offset(0, 0, 0),
        }
    }
}

impl From<Bytes> for BlockLayout {
    fn from(layout: Bytes) -> Self {
        Self {
            sizes: [layout.channels, layout.height, layout.width],
            lanes: layout.lanes,
            row: layout.row(),
            block: layout.block(),
            first: layout.offset(0, 0, 0),
        }
    }
}

/// A [`Cut`] along each axis of a tensor in blocks, of float32 or of bytes.
pub(crate) struct Crop<T> {
    cuts: [Cut; 3],
    fill: T,
    input: BlockLayout,
    output: BlockLayout,
    /// Whether some value is the constant.
    filled: bool,
    /// Runs of channels that are neighbours in both tensors: where they begin
    /// at pixel (0, 0), and how many they are.
    runs: Vec<[usize; 3]>,
}

impl<T: Copy> Crop<T> {
    pub(crate) fn new(
        cuts: [Cut; 3],
        fill: T,
        input: impl Into<BlockLayout>,
        output: impl Into<BlockLayout>,
    ) -> Self {
        let (input, output) = (input.into(), output.into());
        let mut runs: Vec<[usize; 3]> = Vec::new();
        let [channels, rows, columns] = &cuts;
        for i in 0..channels.count {
            let from = input.channel_offset(channels.from(i), rows.start, columns.start);
            let to = output.channel_offset(channels.before + i, rows.before, columns.before);
            match runs.last_mut() {
                Some([f, t, count]) if *f + *count == from && *t + *count == to => *count += 1,
                _ => runs.push([from, to, 1]),
            }
        }
        let filled = (cuts.iter().zip(output.sizes)).any(|(cut, size)| cut.count < size);
        Self {
            cuts,
            fill,
            input,
            output,
            filled,
            runs,
        }
    }

    /// The same, leaving what is not taken from the input as it is.
    pub(crate) fn unfilled(self) -> Self {
        Self {
            filled: false,
            ..self
        }
    }

    /// Computes one image.
    pub(crate) fn run(&self, input: &[T], output: &mut [T]) {
        let [channels, height, width] = self.output.sizes;
        if self.filled {
            for first in (0..channels).step_by(self.output.lanes) {
                for y in 0..height {
                    let start = self.output.channel_offset(first, y, 0);
                    output[start..start + width * self.output.lanes].fill(self.fill);
                }
            }
        }
        let [_, rows, columns] = self.cuts;
        let row_step = self.input.row as isize * rows.step;
        let column_step = self.input.lanes as isize * columns.step;
        for &[from, to, count] in &self.runs {
            for y in 0..rows.count {
                let from = from.wrapping_add_signed(y as isize * row_step);
                let to = to + y * self.output.row;
                for x in 0..columns.count {
                    let from = from.wrapping_add_signed(x as isize * column_step);
                    let to = to + x * self.output.lanes;
                    match count {
                        // Lengths known beforehand make it a single move.
                        16 => output[to..to + 16].copy_from_slice(&input[from..from + 16]),
                        8 => output[to..to + 8].copy_from_slice(&input[from..from + 8]),
                        _ => output[to..to + count].copy_from_slice(&input[from..from + count]),
                    }
                }
            }
        }
    }
}

/// How many elements lie between neighbours along each axis of a row-major
/// tensor.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// For every element of a row-major tensor of shape `dims`, in order, the offset
/// in another tensor whose axes have these strides.
pub(crate) fn offsets(dims: &[usize], strides: &[isize], start: usize) -> Vec<usize> {
    let count = dims.iter().product();
    let mut position = vec![0_usize; dims.len()];
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        let offset: isize = position
            .iter()
            .zip(strides)
            .map(|(&p, s)| p as isize * s)
            .sum();
        offsets.push(start.wrapping_add_signed(offset));
        for axis in (0..dims.len()).rev() {
            position[axis] += 1;
            if position[axis] < dims[axis] {
                break;
            }
            position[axis] = 0;
        }
    }
    offsets
}

/// A plain tensor made of another one's elements and a constant.
pub(crate) struct Gather {
    /// For each element of the output the offset of its source in the input;
    /// `usize::MAX` for the constant.
    pub(crate) sources: Vec<usize>,
    pub(crate) fill: f32,
}

impl Gather {
    /// Transposition: axis `i` of the output is axis `order[i]` of the input.
    pub(crate) fn transpose(dims: &[usize], order: &[usize]) -> Self {
        let axes = strides(dims);
        let shape: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let strides: Vec<isize> = order.iter().map(|&axis| axes[axis] as isize).collect();
        Self {
            sources: offsets(&shape, &strides, 0),
            fill: 0.0,
        }
    }

    /// Slices of a tensor of shape `dims` at these positions along an axis.
    pub(crate) fn take(dims: &[usize], axis: usize, positions: &[usize]) -> Self {
        let inner: usize = dims[axis + 1..].iter().product();
        let outer = 0..dims[..axis].iter().product();
        let starts = outer.flat_map(|outer| {
            let first = outer * dims[axis];
            positions
                .iter()
                .map(move |position| (first + position) * inner)
        });
        Self {
            sources: starts.flat_map(|start| start..start + inner).collect(),
            fill: 0.0,
        }
    }

    /// Cuts of a tensor of shape `dims`, to one of shape `output`.
    pub(crate) fn cut(dims: &[usize], output: &[usize], cuts: &[Cut], fill: f32) -> Self {
        let to = strides(output);
        let from = strides(dims);
        let counts: Vec<usize> = cuts.iter().map(|cut| cut.count).collect();
        let signed =
            |strides: &[usize]| -> Vec<isize> { strides.iter().map(|&s| s as isize).collect() };
        let steps: Vec<isize> = from
            .iter()
            .zip(cuts)
            .map(|(&s, cut)| s as isize * cut.step)
            .collect();
        let start = from.iter().zip(cuts).map(|(s, cut)| s * cut.start).sum();
        let first = to.iter().zip(cuts).map(|(s, cut)| s * cut.before).sum();
        let mut sources = vec![usize::MAX; output.iter().product()];
        let pairs = offsets(&counts, &signed(&to), first).into_iter();
        for (to, from) in pairs.zip(offsets(&counts, &steps, start)) {
            sources[to] = from;
        }
        Self { sources, fill }
    }

    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        for (to, &from) in output.iter_mut().zip(&self.sources) {
            *to = input.get(from).copied().unwrap_or(self.fill);
        }
    }
}

/// Several plain tensors, one after the other along an axis.
pub(crate) struct Join {
    /// How many values of each input there are for every step along the axes
    /// before the one joined along.
    pub(crate) lengths: Vec<usize>,
}

impl Join {
    /// Copies the input at `position` to where it belongs.
    pub(crate) fn run(&self, position: usize, input: &[f32], output: &mut [f32]) {
        let whole: usize = self.lengths.iter().sum();
        let before: usize = self.lengths[..position].iter().sum();
        let length = self.lengths[position];
        let rows = output.chunks_exact_mut(whole);
        for (to, from) in rows.zip(input.chunks_exact(length)) {
            to[before..before + length].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Buffer, Layout, to_blocks, to_plain};

    #[test]
    fn crops_of_blocks_are_cuts_of_rows() {
        let cut = |before, count, start, step| Cut {
            before,
            count,
            start,
            step,
        };
        let cases = [
            (
                [cut(8, 16, 0, 1), cut(0, 3, 0, 2), cut(0, 2, 1, 2)],
                [32, 3, 2],
            ),
            (
                [cut(1, 5, 10, -2), cut(1, 6, 0, 1), cut(2, 5, 0, 1)],
                [7, 8, 9],
            ),
            ([Cut::whole(16), Cut::whole(6), Cut::whole(5)], [16, 6, 5]),
        ];
        for (cuts, shape) in cases {
            let blocked = |[channels, height, width]: [usize; 3], left| Blocked {
                channels,
                height,
                width,
                left,
                right: 1,
                lanes: 16,
            };
            let (input, output) = (blocked([16, 6, 5], 1), blocked(shape, 0));
            let values: Vec<f32> = (0..16 * 30).map(|v| v as f32).collect();
            let mut from = Buffer::zeros(Layout::Blocked(input).size());
            to_blocks(&values, &input, from.values_mut());
            let mut to = Buffer::zeros(Layout::Blocked(output).size());
            Crop::new(cuts, 0.5, input, output).run(from.values(), to.values_mut());
            let mut found = vec![0.0; shape.iter().product()];
            to_plain(to.values(), &output, &mut found);
            let mut gathered = found.clone();
            Gather::cut(&[16, 6, 5], &shape, &cuts, 0.5).run(&values, &mut gathered);
            assert_eq!(found, gathered);
            // By the definition, place by place.
            for (i, value) in found.iter().enumerate() {
                let place = [
                    i / (shape[1] * shape[2]),
                    i / shape[2] % shape[1],
                    i % shape[2],
                ];
                let from: Option<Vec<usize>> = cuts
                    .iter()
                    .zip(place)
                    .map(|(cut, p)| {
                        let i = p.checked_sub(cut.before).filter(|&i| i < cut.count)?;
                        Some((cut.start as isize + i as isize * cut.step) as usize)
                    })
                    .collect();
                let wanted = from.map_or(0.5, |f| values[f[0] * 30 + f[1] * 5 + f[2]]);
                assert_eq!(*value, wanted);
            }
        }
    }
}
