//! The steps on quantized tensors that are held as bytes.

use super::{Scheduler, StorageId, Work};
use crate::conv::Window;
use crate::integer::{
    ByteDepthwise, ByteFilter, ByteGemm, ByteMax, ByteMeans, Bytes, Dense, Epilogue, FromBytes,
    Grid, Map, Source, Sum, Target, Tensors, ToBytes,
};
use crate::ir::{Op, ValueId};
use crate::memory::{Blocked, Layout};
use crate::rearrange::Crop;
use crate::simd::LANES;

impl Scheduler<'_> {
    /// Notes what a convolution wants of its input's layout.
    pub(super) fn survey_bytes(&mut self, input: ValueId, filter: &ByteFilter, window: &Window) {
        let size = [self.dims(input)[1], self.dims(input)[2]];
        let rim = self.rims.entry(input).or_default();
        for (axis, size) in size.into_iter().enumerate() {
            let (before, behind) = window.border(axis, size);
            rim[axis] = rim[axis].max(before);
            rim[axis + 2] = rim[axis + 2].max(behind);
        }
        self.dense[input] &= filter.groups == 1;
    }

    fn bytes_of(&self, value: ValueId, lanes: usize) -> Bytes {
        let [channels, height, width] = match *self.dims(value) {
            [channels, height, width] => [channels, height, width],
            [channels] => [channels, 1, 1],
            _ => unreachable!("only images and their features are held as bytes"),
        };
        Bytes {
            channels,
            height,
            width,
            borders: self.rims.get(&value).copied().unwrap_or_default(),
            lanes,
            zero: self.graph.values[value].bytes.unwrap_or_default(),
        }
    }

    fn held(&self, value: ValueId) -> (StorageId, Bytes) {
        let storage = self.bytes[&value];
        match self.storages[storage].layout {
            Layout::Bytes(bytes) => (storage, bytes),
            Layout::Plain { .. } | Layout::Blocked(_) => unreachable!("bytes are bytes"),
        }
    }

    fn push_bytes(&mut self, work: Work, inputs: Vec<StorageId>, value: ValueId, layout: Bytes) {
        let storage = self.push(work, inputs, Layout::Bytes(layout));
        self.bytes.insert(value, storage);
    }

    /// An operation that takes or makes bytes.
    pub(super) fn byte_node(&mut self, op: &Op, inputs: &[ValueId], output: ValueId) {
        let isa = self.isa;
        if let Op::ToBytes(grid) = op {
            self.quantize(*grid, inputs[0], output);
            return;
        }
        let (from, input) = self.held(inputs[0]);
        match op {
            Op::FromBytes(grid) => self.dequantize(*grid, inputs[0], output),
            Op::ByteGemm { filter, epilogue } => {
                assert_eq!(input.borders, [0; 4], "features have no borders");
                let work = Work::ByteGemm(ByteGemm::new(filter, epilogue, isa));
                if self.graph.values[output].bytes.is_some() {
                    let to = self.bytes_of(output, LANES);
                    self.push_bytes(work, vec![from], output, to);
                } else {
                    self.push_plain(work, vec![from], output);
                }
            }
            Op::ByteConv {
                filter,
                window,
                epilogue,
            } => {
                self.byte_conv(filter, *window, epilogue, inputs, output);
            }
            Op::ByteMeans(grid) => {
                let grid = *grid;
                let work = Work::ByteMeans(ByteMeans { grid, input, isa });
                self.push_plain(work, vec![from], output);
            }
            Op::ByteSum(joint, zero) => {
                let (second, b) = self.held(inputs[1]);
                let to = self.bytes_of(output, LANES);
                let work = Sum {
                    joint: *joint,
                    zero: *zero,
                    a: input,
                    b,
                    output: to,
                    isa,
                };
                self.push_bytes(Work::ByteSum(work), vec![from, second], output, to);
            }
            Op::ByteMax(window) => {
                let to = self.bytes_of(output, LANES);
                let work = ByteMax {
                    window: *window,
                    input,
                    output: to,
                    isa,
                };
                self.push_bytes(Work::ByteMax(work), vec![from], output, to);
            }
            Op::ByteCut(cuts) => {
                let &[channels, rows, columns] = &cuts[..] else {
                    unreachable!("only images are held as bytes");
                };
                let to = self.bytes_of(output, LANES);
                let crop = Crop::new([channels, rows, columns], to.zero, input, to);
                self.push_bytes(Work::ByteCut(crop), vec![from], output, to);
            }
            Op::ByteMap(table) => {
                let to = self.bytes_of(output, LANES);
                let work = Map {
                    table: **table,
                    input,
                    output: to,
                };
                self.push_bytes(Work::ByteMap(work), vec![from], output, to);
            }
            _ => unreachable!("not of bytes"),
        }
    }

    fn quantize(&mut self, grid: Grid, value: ValueId, output: ValueId) {
        let few = self.dense[output] && self.dims(output)[0] <= 4;
        let to = self.bytes_of(output, if few { 4 } else { LANES });
        // Blocks of floats are of as many channels as those of bytes.
        let blocked = self.blocked.get(&value).copied().filter(|_| !few);
        let (from, input) = match blocked {
            Some(storage) => (storage, Source::Blocked(self.layout_of(storage))),
            None => (self.plain(value), Source::Plain),
        };
        let work = ToBytes {
            grid,
            input,
            output: to,
            isa: self.isa,
        };
        self.push_bytes(Work::ToBytes(work), vec![from], output, to);
    }

    fn dequantize(&mut self, grid: Grid, value: ValueId, output: ValueId) {
        let (from, input) = self.held(value);
        let features = self.dims(output).len() == 1;
        let to = if features {
            // Plain is what blocks of one pixel are.
            Blocked {
                channels: input.channels,
                height: 1,
                width: 1,
                left: 0,
                right: 0,
                lanes: LANES,
            }
        } else {
            self.blocked_of(output, LANES)
        };
        let work = Work::FromBytes(FromBytes {
            grid,
            input,
            output: to,
            isa: self.isa,
        });
        if features {
            self.push_plain(work, vec![from], output);
        } else {
            self.push_blocked(work, vec![from], output);
        }
    }

    fn byte_conv(
        &mut self,
        filter: &ByteFilter,
        window: Window,
        epilogue: &Epilogue,
        inputs: &[ValueId],
        output: ValueId,
    ) {
        let (from, input) = self.held(inputs[0]);
        let mut storages = vec![from];
        let residual = inputs.get(1).map(|&value| {
            let (from, layout) = self.held(value);
            storages.push(from);
            layout
        });
        let target = match self.graph.values[output].bytes {
            Some(_) => Target::Bytes(self.bytes_of(output, LANES)),
            None => Target::Floats(self.blocked_of(output, LANES)),
        };
        let tensors = Tensors {
            window,
            input,
            output: target,
            residual,
        };
        let work = if filter.is_depthwise() && input.lanes == LANES {
            Work::ByteDepthwise(ByteDepthwise::new(filter, epilogue, &tensors, self.isa))
        } else {
            Work::ByteConv(Dense::new(filter, epilogue, &tensors, self.isa))
        };
        match target {
            Target::Bytes(layout) => self.push_bytes(work, storages, output, layout),
            Target::Floats(_) => self.push_blocked(work, storages, output),
        }
    }
}
