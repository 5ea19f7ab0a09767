//! Rearrangements that treat rows, columns and channels each by itself: slices, padding of every kind,
//! repeated pixels, channels in another order, and images side by side, as shortcuts of residual
//! networks are exported. Windows of coefficients stay windows over them.

use std::ops::Range;

use super::Rearrange;
use crate::block::Block;
use crate::buffers::Buffers;
use crate::layout::Layout;

/// Where the output's elements lie in an input: that at `(y, x)` of channel `c` is the input's at the
/// row of `y`, the column of `x` and the channel of `c`, if it has all three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes {
    /// The row of each row, and the column of each column.
    spatial: [Vec<Option<usize>>; 2],
    /// The channel of each channel.
    channels: Vec<Option<usize>>,
    /// The same as runs of channels that lie side by side in both: the first of the output, the
    /// first of the input, and how many.
    runs: Vec<[usize; 3]>,
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

impl Axes {
    fn new(spatial: [Vec<Option<usize>>; 2], channels: Vec<Option<usize>>) -> Self {
        let mut runs: Vec<[usize; 3]> = Vec::new();
        for (to, from) in channels.iter().enumerate() {
            let Some(from) = *from else {
                continue;
            };
            match runs.last_mut() {
                Some([first, begin, count]) if [*first + *count, *begin + *count] == [to, from] => {
                    *count += 1;
                }
                _ => runs.push([to, from, 1]),
            }
        }
        Self {
            spatial,
            channels,
            runs,
        }
    }

    /// The axes of each input, if all elements of the output are as they say: the one input's that
    /// has them, or constants where none has.
    pub(super) fn of_all(inputs: &[Layout], output: Layout, sources: &[u32]) -> Option<Vec<Self>> {
        let mut all = Vec::with_capacity(inputs.len());
        let mut start = 0;
        for &input in inputs {
            let range = start..start + input.len();
            all.push(Self::guessed(input, output, sources, &range)?);
            start = range.end;
        }
        let holds = sources.iter().enumerate().all(|(i, &source)| {
            let to = place(output, i);
            let mut start = 0;
            let mut found = None;
            for (axes, &input) in all.iter().zip(inputs) {
                if let Some(index) = axes.source(to, input) {
                    if found.is_some() {
                        return false;
                    }
                    found = Some(start + index);
                }
                start += input.len();
            }
            found.map_or(Rearrange::CONSTANT, |index| index as u32) == source
        });
        holds.then_some(all)
    }

    /// What the first element that comes from the input, and those in line with it, say.
    fn guessed(
        input: Layout,
        output: Layout,
        sources: &[u32],
        range: &Range<usize>,
    ) -> Option<Self> {
        let from = |index: usize| {
            let source = sources[index] as usize;
            range
                .contains(&source)
                .then(|| place(input, source - range.start))
        };
        let first = (0..sources.len()).find(|&i| from(i).is_some())?;
        let [y, x, channel] = place(output, first);
        let steps = [output.width * output.channels, output.channels, 1];
        let along = |axis: usize, count: usize, here: usize| -> Vec<Option<usize>> {
            let begin = first - here * steps[axis];
            let line = (0..count).map(|i| begin + i * steps[axis]);
            line.map(|index| from(index).map(|from| from[axis]))
                .collect()
        };
        Some(Self::new(
            [along(0, output.height, y), along(1, output.width, x)],
            along(2, output.channels, channel),
        ))
    }

    /// The input's element that one of the output is.
    fn source(&self, [y, x, channel]: [usize; 3], input: Layout) -> Option<usize> {
        let [row, column] = self.position([y, x])?;
        let channel = self.channels[channel]?;
        Some((row * input.width + column) * input.channels + channel)
    }

    /// The position of the input that one of the output is.
    fn position(&self, [y, x]: [usize; 2]) -> Option<[usize; 2]> {
        Some([self.spatial[0][y]?, self.spatial[1][x]?])
    }

    /// The first and the last place of the input, along an axis, that a window is of.
    fn ends(&self, axis: usize, start: isize, size: usize) -> Option<[usize; 2]> {
        let map = &self.spatial[axis];
        let inside = |place: isize| place.clamp(0, map.len() as isize) as usize;
        let window = map[inside(start)..inside(start + size as isize)].iter();
        window.flatten().fold(None, |ends, &place| match ends {
            None => Some([place, place]),
            Some([first, last]) => Some([first.min(place), last.max(place)]),
        })
    }

    /// The size of the windows of the input that windows of the output lie in; no larger than it.
    pub(super) fn reached(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let last = self.spatial[axis].len().saturating_sub(size[axis]);
            let spans = (0..=last).filter_map(|start| {
                let [first, last] = self.ends(axis, start as isize, size[axis])?;
                Some(last - first + 1)
            });
            spans.max().unwrap_or(1)
        })
    }

    /// Zeros over the windows of the input that those of a block are.
    pub(super) fn windows(&self, block: &Block, input: Layout, buffers: &mut Buffers) -> Block {
        let size = self.reached(block.size);
        let extents = [input.height, input.width];
        let origins = block.origins.iter().map(|origin| {
            [0, 1].map(|axis| {
                if size[axis] == extents[axis] {
                    return 0;
                }
                let ends = self.ends(axis, origin[axis], block.size[axis]);
                ends.map_or(0, |[first, _]| first as isize)
            })
        });
        Block::zeros(size, input.channels, origins.collect(), buffers)
    }

    /// Adds the coefficients on the input's elements.
    pub(super) fn add(&self, block: &Block, output: Layout, input: Layout, part: &mut Block) {
        let length = part.row_len();
        block.runs(output, |row, run, place| {
            let [top, left] = part.origins[row];
            let start = place.start / output.channels;
            let rows = block.data[run].chunks_exact(output.channels).enumerate();
            for (i, coefficients) in rows {
                let position = start + i;
                let position = [position / output.width, position % output.width];
                let Some([y, x]) = self.position(position) else {
                    continue;
                };
                let [y, x] = [y as isize - top, x as isize - left];
                let position = y as usize * part.size[1] + x as usize;
                let begin = row * length + position * input.channels;
                for &[from, to, count] in &self.runs {
                    let made = &mut part.data[begin + to..begin + to + count];
                    for (made, a) in made.iter_mut().zip(&coefficients[from..from + count]) {
                        *made += a;
                    }
                }
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

    /// Places `i stride + offset` of an axis as far as they lie in the input.
    fn steps(count: usize, extent: usize, stride: isize, offset: isize) -> Vec<Option<usize>> {
        let place = |i: usize| usize::try_from(i as isize * stride + offset).ok();
        (0..count)
            .map(|i| place(i).filter(|&place| place < extent))
            .collect()
    }

    /// All places of the output, of these strides and offsets.
    fn shift(input: Layout, strides: [isize; 2], offsets: [isize; 2], channels: isize) -> Axes {
        Axes::new(
            [
                steps(OUTPUT.height, input.height, strides[0], offsets[0]),
                steps(OUTPUT.width, input.width, strides[1], offsets[1]),
            ],
            steps(OUTPUT.channels, input.channels, 1, channels),
        )
    }

    /// The rearrangement that axes say.
    fn rearranged(inputs: &[Layout], axes: &[Axes]) -> Rearrange {
        let sources = (0..OUTPUT.len()).map(|i| {
            let to = place(OUTPUT, i);
            let mut start = 0;
            for (axes, &input) in axes.iter().zip(inputs) {
                if let Some(index) = axes.source(to, input) {
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
        let known = |places: &[usize]| places.iter().map(|&i| Some(i)).collect::<Vec<_>>();
        let two = |first: Layout, second: Layout, [down, channels]: [isize; 2]| {
            let axes = vec![
                shift(first, [1, 1], [0, 0], 0),
                shift(second, [1, 1], [down, 0], channels),
            ];
            (vec![first, second], axes)
        };
        let one = |input: Layout, axes: Axes| (vec![input], vec![axes]);
        let shifted = |input: Layout, strides, offsets, channels| {
            one(input, shift(input, strides, offsets, channels))
        };
        let cases = [
            // A strided slice whose channels are padded; padding around; a crop.
            shifted(layout(6, 8, 2), [2, 2], [0, 0], -2),
            shifted(layout(6, 8, 5), [2, 2], [1, 1], 0),
            shifted(layout(2, 2, 5), [1, 1], [-1, -1], 0),
            shifted(layout(5, 5, 7), [1, 1], [2, 1], 1),
            // Upside down, and columns from right to left, every second.
            shifted(layout(3, 7, 5), [-1, -2], [2, 6], 0),
            // Channels side by side; rows below others.
            two(layout(3, 4, 2), layout(3, 4, 3), [0, -2]),
            two(layout(1, 4, 5), layout(2, 4, 5), [-1, 0]),
            // Columns repeated, rows padded with those at the edges, channels in another order.
            one(
                layout(1, 2, 5),
                Axes::new(
                    [known(&[0, 0, 0]), known(&[0, 0, 1, 1])],
                    known(&[3, 4, 0, 2, 1]),
                ),
            ),
            // Rows and columns that wrap around, and a channel for two.
            one(
                layout(3, 4, 4),
                Axes::new(
                    [known(&[2, 0, 1]), known(&[1, 2, 3, 0])],
                    known(&[0, 1, 1, 2, 3]),
                ),
            ),
        ];
        let buffers = &mut Buffers::default();
        for (inputs, axes) in cases {
            let rearrange = rearranged(&inputs, &axes);
            assert_eq!(rearrange.axes, axes);
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
    fn what_moves_otherwise_has_no_axes() {
        let input = Layout {
            height: 2,
            width: 2,
            channels: 1,
        };
        for sources in [[0, 2, 1, 3], [1, 2, 3, 0], [0, 0, 1, 2], [0, 1, 2, 2]] {
            assert_eq!(Axes::of_all(&[input], input, &sources), None);
        }
    }
}
