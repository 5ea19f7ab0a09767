//! Rearrangements that keep an image one: slices, padding, and images side by side, as shortcuts of
//! residual networks are exported. Windows of coefficients stay windows over them.

use super::Rearrange;
use crate::block::Block;
use crate::buffers::Buffers;
use crate::layout::Layout;

/// Where the output's elements lie in an input: that at `(y, x)` of channel `c` is the input's at
/// `(y stride + offset, x stride + offset)` of channel `c + offset`, if there is such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    strides: [usize; 2],
    offsets: [isize; 2],
    channels: isize,
}

/// Row, column and channel of an element.
fn place(layout: Layout, index: usize) -> [usize; 3] {
    let position = index / layout.channels;
    [
        position / layout.width,
        position % layout.width,
        index % layout.channels,
    ]
}

impl Shift {
    /// The shift of each input, if all elements of the output are as they say: the one input's that
    /// has them, or constants where none has.
    pub(super) fn of_all(inputs: &[Layout], output: Layout, sources: &[u32]) -> Option<Vec<Self>> {
        let mut shifts = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for &input in inputs {
            let range = start..start + input.len();
            shifts.push(Self::guessed(input, output, sources, &range)?);
            start = range.end;
        }
        let holds = sources.iter().enumerate().all(|(i, &source)| {
            let [y, x, channel] = place(output, i);
            let mut start = 0;
            let mut found = None;
            for (shift, &input) in shifts.iter().zip(inputs) {
                if let Some(index) = shift.source([y, x], channel, input) {
                    if found.is_some() {
                        return false;
                    }
                    found = Some(start + index);
                }
                start += input.len();
            }
            found.map_or(Rearrange::CONSTANT, |index| index as u32) == source
        });
        holds.then_some(shifts)
    }

    /// What the first element that comes from the input, and its neighbours, suggest.
    fn guessed(
        input: Layout,
        output: Layout,
        sources: &[u32],
        range: &std::ops::Range<usize>,
    ) -> Option<Self> {
        let from = |index: usize| {
            let source = sources[index] as usize;
            range
                .contains(&source)
                .then(|| place(input, source - range.start))
        };
        let first = (0..sources.len()).find(|&i| from(i).is_some())?;
        let (to, source) = (place(output, first), from(first)?);
        let extents = [output.height, output.width];
        let steps = [output.width * output.channels, output.channels];
        let mut strides = [1, 1];
        let mut offsets = [0, 0];
        for axis in 0..2 {
            if to[axis] + 1 < extents[axis]
                && let Some(next) = from(first + steps[axis])
            {
                strides[axis] = next[axis].checked_sub(source[axis]).filter(|&s| s > 0)?;
            }
            offsets[axis] = source[axis] as isize - (to[axis] * strides[axis]) as isize;
        }
        Some(Self {
            strides,
            offsets,
            channels: source[2] as isize - to[2] as isize,
        })
    }

    /// The position of the input that one of the output is at, along an axis.
    fn along(self, axis: usize, position: isize) -> isize {
        position * self.strides[axis] as isize + self.offsets[axis]
    }

    /// The input's element that the output's at a position is.
    fn source(self, position: [usize; 2], channel: usize, input: Layout) -> Option<usize> {
        let [y, x] = self.position(position, input)?;
        let channel = usize::try_from(channel as isize + self.channels).ok()?;
        (channel < input.channels).then(|| (y * input.width + x) * input.channels + channel)
    }

    /// The position of the input that one of the output is, if it has that.
    fn position(self, position: [usize; 2], input: Layout) -> Option<[usize; 2]> {
        let [y, x] = [0, 1].map(|axis| self.along(axis, position[axis] as isize));
        let inside =
            (0..input.height as isize).contains(&y) && (0..input.width as isize).contains(&x);
        inside.then_some([y as usize, x as usize])
    }

    /// The size of the windows of the input that windows of the output lie in; no larger than it.
    pub(super) fn reached(self, size: [usize; 2], input: Layout) -> [usize; 2] {
        let extents = [input.height, input.width];
        [0, 1].map(|axis| {
            let span = (size[axis].max(1) - 1) * self.strides[axis] + 1;
            span.min(extents[axis])
        })
    }

    /// Zeros over the windows of the input that those of a block are.
    pub(super) fn windows(self, block: &Block, input: Layout, buffers: &mut Buffers) -> Block {
        let size = self.reached(block.size, input);
        let extents = [input.height, input.width];
        let origins = block.origins.iter().map(|origin| {
            [0, 1].map(|axis| {
                if size[axis] == extents[axis] {
                    0
                } else {
                    self.along(axis, origin[axis])
                }
            })
        });
        Block::zeros(size, input.channels, origins.collect(), buffers)
    }

    /// Copies the coefficients on the input's elements.
    pub(super) fn copy(self, block: &Block, output: Layout, input: Layout, part: &mut Block) {
        let (from, to) = (output.channels as isize, input.channels as isize);
        let first = (-self.channels).clamp(0, from);
        let last = (to - self.channels).clamp(first, from);
        let [skipped, count] = [first as usize, (last - first) as usize];
        let begin = (first + self.channels) as usize;
        let length = part.row_len();
        block.runs(output, |row, run, place| {
            let [top, left] = part.origins[row];
            let start = place.start / output.channels;
            let rows = block.data[run].chunks_exact(output.channels).enumerate();
            for (i, coefficients) in rows {
                let position = start + i;
                let position = [position / output.width, position % output.width];
                let Some([y, x]) = self.position(position, input) else {
                    continue;
                };
                let [y, x] = [y as isize - top, x as isize - left];
                let position = y as usize * part.size[1] + x as usize;
                let first = row * length + position * input.channels + begin;
                part.data[first..first + count]
                    .copy_from_slice(&coefficients[skipped..skipped + count]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: Layout = Layout {
        height: 3,
        width: 4,
        channels: 5,
    };

    /// The rearrangement that shifts say.
    fn shifted(inputs: &[Layout], shifts: &[Shift]) -> Rearrange {
        let sources = (0..OUTPUT.len()).map(|i| {
            let [y, x, channel] = place(OUTPUT, i);
            let mut start = 0;
            for (shift, &input) in shifts.iter().zip(inputs) {
                if let Some(index) = shift.source([y, x], channel, input) {
                    return (start + index) as u32;
                }
                start += input.len();
            }
            Rearrange::CONSTANT
        });
        let sources = sources.collect();
        Rearrange::new(inputs.to_vec(), OUTPUT, sources, vec![0.0; OUTPUT.len()])
    }

    #[test]
    fn windows_give_what_single_elements_do() {
        let layout = |height, width, channels| Layout {
            height,
            width,
            channels,
        };
        let shift = |strides, offsets, channels| Shift {
            strides,
            offsets,
            channels,
        };
        // A strided slice whose channels are padded; padding around; a crop; channels side by side.
        let cases = [
            (vec![layout(6, 8, 2)], vec![shift([2, 2], [0, 0], -2)]),
            (vec![layout(6, 8, 5)], vec![shift([2, 2], [1, 1], 0)]),
            (vec![layout(2, 2, 5)], vec![shift([1, 1], [-1, -1], 0)]),
            (vec![layout(5, 5, 7)], vec![shift([1, 1], [2, 1], 1)]),
            (
                vec![layout(3, 4, 2), layout(3, 4, 3)],
                vec![shift([1, 1], [0, 0], 0), shift([1, 1], [0, 0], -2)],
            ),
            (
                vec![layout(1, 4, 5), layout(2, 4, 5)],
                vec![shift([1, 1], [0, 0], 0), shift([1, 1], [-1, 0], 0)],
            ),
        ];
        let buffers = &mut Buffers::default();
        for (inputs, shifts) in cases {
            let rearrange = shifted(&inputs, &shifts);
            assert_eq!(rearrange.shifts, shifts);
            for (size, origins) in [
                ([1, 1], vec![[0, 0], [2, 3], [1, 2]]),
                ([2, 3], vec![[-1, -1], [0, 1], [2, 2]]),
                ([3, 4], vec![[0, 0]; 3]),
            ] {
                let mut block = Block::zeros(size, 5, origins, buffers);
                let mut next = 0.0;
                let mut runs = Vec::new();
                block.runs(OUTPUT, |_, from, _| runs.push(from));
                for i in runs.into_iter().flatten() {
                    next += 1.0;
                    block.data[i] = next;
                }
                let dense = block.clone().into_dense(OUTPUT, buffers);
                let want = rearrange.scattered(&dense, buffers);
                let made = rearrange.backward(block, buffers);
                for ((made, want), &input) in made.into_iter().zip(want).zip(&inputs) {
                    assert_eq!(made.into_dense(input, buffers).data, want.data);
                }
            }
        }
    }

    #[test]
    fn what_moves_otherwise_has_no_shift() {
        let input = Layout {
            height: 2,
            width: 2,
            channels: 1,
        };
        for sources in [[0, 2, 1, 3], [1, 0, 3, 2], [0, 0, 1, 1], [0, 1, 2, 2]] {
            assert_eq!(Shift::of_all(&[input], input, &sources), None);
        }
    }
}
