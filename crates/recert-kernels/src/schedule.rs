//! From operations to steps on buffers: which layout each tensor has, and which
//! kernel computes it.

mod buffers;
mod bytes;
mod tokens;

use std::collections::HashMap;

use crate::across::{Broadcast, Reduce, Softmax};
use crate::conv::{Direct, Filter};
use crate::depthwise::Depthwise;
use crate::gemm::Gemm;
use crate::grouped::Grouped;
use crate::integer::{
    ByteDepthwise, ByteGemm, ByteMax, ByteMeans, Dense, FromBytes, Map, Sum, ToBytes,
};
use crate::ir::{Graph, Node, Op, ValueId};
use crate::linear::Linear;
use crate::memory::{Blocked, Buffer, Layout};
use crate::normalize::LayerNorm;
use crate::pointwise::{Pairwise, Pointwise, Step as Function};
use crate::pool::Pool;
use crate::product::{Attend, Products};
use crate::rearrange::{Crop, Cut, Gather, Join};
use crate::simd::{Isa, LANES};
use crate::tile::Clamp;

use buffers::{Draft, Storage, StorageId, assign};
pub(crate) use buffers::{Location, Schedule, Step};
use tokens::wants_blocks;

/// What is done with one image's tensors.
pub(crate) enum Work {
    Direct(Direct),
    Depthwise(Depthwise),
    Grouped(Grouped),
    Gemm(Gemm),
    Linear(Linear),
    /// Of so many rows.
    LayerNorm(LayerNorm, usize),
    Products(Products),
    Attend(Attend),
    Constant(Buffer),
    Pool(Pool),
    Means {
        layout: Blocked,
        isa: Isa,
    },
    Pointwise(Pointwise),
    Pairwise(Pairwise),
    ToBlocks(Blocked),
    ToPlain(Blocked),
    /// To `[row][column][channel]`, and back.
    ToPixels(Blocked),
    FromPixels(Blocked),
    Crop(Crop<f32>),
    /// One input after the other.
    Crops(Vec<Crop<f32>>),
    Join(Join),
    Gather(Gather),
    Reduce(Reduce),
    Softmax(Softmax),
    Broadcast(Broadcast),
    /// Of so many values.
    FakeQuantize(usize),
    ToBytes(ToBytes),
    FromBytes(FromBytes),
    ByteConv(Dense),
    ByteDepthwise(ByteDepthwise),
    ByteGemm(ByteGemm),
    ByteSum(Sum),
    ByteMax(ByteMax),
    ByteMeans(ByteMeans),
    ByteCut(Crop<u8>),
    ByteMap(Map),
}

impl Work {
    /// Values needed beside the tensors.
    fn scratch(&self) -> usize {
        match self {
            Self::Products(op) => op.scratch(),
            Self::Attend(op) => op.scratch(),
            _ => 0,
        }
    }
}

/// The storage of the image as it is handed over.
const IMAGE: StorageId = 0;

struct Scheduler<'a> {
    graph: &'a Graph,
    isa: Isa,
    storages: Vec<Storage>,
    drafts: Vec<Draft>,
    plain: HashMap<ValueId, StorageId>,
    blocked: HashMap<ValueId, StorageId>,
    bytes: HashMap<ValueId, StorageId>,
    /// The columns of zeros that each value's users need.
    borders: HashMap<ValueId, (usize, usize)>,
    /// The rows and columns around bytes that their users need: above, to the
    /// left, below, to the right.
    rims: HashMap<ValueId, [usize; 4]>,
    /// Values that none but dense convolutions use.
    dense: Vec<bool>,
    /// Values that some convolution or pooling uses, or a sum with such a one.
    wants_blocks: Vec<bool>,
}

/// The schedule of `graph` for an instruction set.
pub(crate) fn schedule(graph: &Graph, isa: Isa) -> Schedule {
    let mut scheduler = Scheduler {
        graph,
        isa,
        storages: Vec::new(),
        drafts: Vec::new(),
        plain: HashMap::new(),
        blocked: HashMap::new(),
        bytes: HashMap::new(),
        rims: HashMap::new(),
        borders: HashMap::new(),
        dense: vec![true; graph.values.len()],
        wants_blocks: wants_blocks(graph),
    };
    for node in &graph.nodes {
        scheduler.survey(node);
    }
    let image = scheduler.storage(scheduler.plain_of(graph.input));
    debug_assert_eq!(image, IMAGE);
    scheduler.plain.insert(graph.input, image);
    for node in &graph.nodes {
        scheduler.node(node);
    }
    let outputs = graph.outputs.iter();
    let outputs: Vec<StorageId> = outputs
        .map(|output| scheduler.plain(output.value))
        .collect();
    assign(scheduler.storages, scheduler.drafts, &outputs)
}

impl Scheduler<'_> {
    /// Notes what a node wants of its inputs' layouts.
    fn survey(&mut self, node: &Node) {
        for (position, &input) in node.inputs.iter().enumerate() {
            match &node.op {
                Op::Conv { filter, window, .. } if position == 0 => {
                    let wanted = window.borders(self.graph.values[input].dims[2]);
                    let borders = self.borders.entry(input).or_default();
                    *borders = (borders.0.max(wanted.0), borders.1.max(wanted.1));
                    self.dense[input] &= filter.groups == 1;
                }
                Op::ByteConv { filter, window, .. } if position == 0 => {
                    self.survey_bytes(input, filter, window);
                }
                _ => self.dense[input] = false,
            }
        }
    }

    fn dims(&self, value: ValueId) -> &[usize] {
        &self.graph.values[value].dims
    }

    fn plain_of(&self, value: ValueId) -> Layout {
        Layout::Plain {
            len: self.graph.values[value].len(),
        }
    }

    fn blocked_of(&self, value: ValueId, lanes: usize) -> Blocked {
        let &[channels, height, width] = self.dims(value) else {
            unreachable!("only images are laid out in blocks");
        };
        let (left, right) = self.borders.get(&value).copied().unwrap_or_default();
        Blocked {
            channels,
            height,
            width,
            left,
            right,
            lanes,
        }
    }

    fn storage(&mut self, layout: Layout) -> StorageId {
        self.storages.push(Storage {
            layout,
            last_use: 0,
        });
        self.storages.len() - 1
    }

    fn push(&mut self, work: Work, inputs: Vec<StorageId>, layout: Layout) -> StorageId {
        let output = self.storage(layout);
        self.drafts.push(Draft {
            work,
            inputs,
            output,
        });
        output
    }

    /// The value's plain form, made of the other one where there is none.
    fn plain(&mut self, value: ValueId) -> StorageId {
        if let Some(&storage) = self.plain.get(&value) {
            return storage;
        }
        let from = self.blocked[&value];
        let work = Work::ToPlain(self.layout_of(from));
        let storage = self.push(work, vec![from], self.plain_of(value));
        self.plain.insert(value, storage);
        storage
    }

    /// The value's blocked form, likewise.
    fn blocked(&mut self, value: ValueId) -> (StorageId, Blocked) {
        if let Some(&storage) = self.blocked.get(&value) {
            return (storage, self.layout_of(storage));
        }
        let from = self.plain[&value];
        let few = self.dense[value] && self.dims(value)[0] <= 4;
        let layout = self.blocked_of(value, if few { 4 } else { LANES });
        let storage = self.push(Work::ToBlocks(layout), vec![from], Layout::Blocked(layout));
        self.blocked.insert(value, storage);
        (storage, layout)
    }

    fn layout_of(&self, storage: StorageId) -> Blocked {
        match self.storages[storage].layout {
            Layout::Blocked(blocked) => blocked,
            Layout::Plain { .. } | Layout::Bytes(_) => unreachable!("a blocked form is blocked"),
        }
    }

    /// Adds a step that makes a value's plain form.
    fn push_plain(&mut self, work: Work, inputs: Vec<StorageId>, value: ValueId) {
        let storage = self.push(work, inputs, self.plain_of(value));
        self.plain.insert(value, storage);
    }

    /// Adds a step that makes a value's blocked form.
    fn push_blocked(&mut self, work: Work, inputs: Vec<StorageId>, value: ValueId) {
        let layout = Layout::Blocked(self.blocked_of(value, LANES));
        let storage = self.push(work, inputs, layout);
        self.blocked.insert(value, storage);
    }

    fn node(&mut self, node: &Node) {
        let output = node.output;
        let Some(&first) = node.inputs.first() else {
            let Op::Constant(values) = &node.op else {
                unreachable!("all others take something");
            };
            let work = Work::Constant(Buffer::of(values));
            return self.push_plain(work, Vec::new(), output);
        };
        match &node.op {
            Op::Conv {
                filter,
                window,
                clamp,
            } => {
                let (from, input) = self.blocked(first);
                let mut inputs = vec![from];
                let residual = node.inputs.get(1).map(|&value| {
                    let (from, layout) = self.blocked(value);
                    inputs.push(from);
                    layout
                });
                let to = self.blocked_of(output, LANES);
                let work = conv(filter, *window, [input, to], residual, *clamp, self.isa);
                self.push_blocked(work, inputs, output);
            }
            Op::Gemm {
                weights,
                bias,
                clamp,
            } => {
                let from = self.plain(first);
                let count = self.graph.values[first].len();
                let gemm = Gemm::new(count, weights, bias, *clamp, self.isa);
                self.push_plain(Work::Gemm(gemm), vec![from], output);
            }
            Op::Pool { kind, window } => {
                let (from, input) = self.blocked(first);
                let pool = Pool {
                    kind: *kind,
                    window: *window,
                    input,
                    output: self.blocked_of(output, LANES),
                    isa: self.isa,
                };
                self.push_blocked(Work::Pool(pool), vec![from], output);
            }
            Op::Means => {
                let (from, input) = self.blocked(first);
                let work = Work::Means {
                    layout: input,
                    isa: self.isa,
                };
                self.push_plain(work, vec![from], output);
            }
            Op::Pointwise(functions) => self.pointwise(functions, first, output),
            Op::Pair(arith) => self.pair(*arith, first, node.inputs[1], output),
            Op::View => {
                let storage = self.plain(first);
                self.plain.insert(output, storage);
            }
            Op::Transpose(order) => self.transpose(order, first, output),
            Op::Cut { cuts, fill } => self.cut(cuts, *fill, first, output),
            Op::Concat(axis) => self.concat(*axis, &node.inputs, output),
            Op::Reduce(kind, axes) => {
                let from = self.plain(first);
                let work = Work::Reduce(Reduce::new(*kind, self.dims(first), axes));
                self.push_plain(work, vec![from], output);
            }
            Op::Softmax(softmax) => {
                let from = self.plain(first);
                self.push_plain(Work::Softmax(*softmax), vec![from], output);
            }
            Op::FakeQuantize => {
                let from = self.plain(first);
                let count = self.graph.values[first].len();
                self.push_plain(Work::FakeQuantize(count), vec![from], output);
            }
            Op::Quantize(_) | Op::Dequantize(_) => unreachable!("lowered to something else"),
            Op::Linear { .. }
            | Op::LayerNorm { .. }
            | Op::Product(_)
            | Op::Attention(_)
            | Op::Take(..) => self.token_node(node),
            op => self.byte_node(op, &node.inputs, output),
        }
    }

    fn pointwise(&mut self, functions: &[Function], first: ValueId, output: ValueId) {
        let dims = self.dims(first).to_vec();
        if self.blocked.contains_key(&first) && !functions.iter().any(Function::is_plain) {
            // In and out are of one layout; the borders are the output's.
            let (from, input) = self.blocked(first);
            let to = self.blocked_of(output, input.lanes);
            let work = Pointwise::blocked(functions, input, to, self.isa);
            self.push_blocked(Work::Pointwise(work), vec![from], output);
        } else {
            let from = self.plain(first);
            let work = Pointwise::plain(functions, &dims, self.isa);
            self.push_plain(Work::Pointwise(work), vec![from], output);
        }
    }

    fn pair(&mut self, arith: crate::pointwise::Arith, a: ValueId, b: ValueId, output: ValueId) {
        let (isa, same) = (self.isa, self.dims(a) == self.dims(b));
        if same && [a, b].iter().any(|value| self.blocked.contains_key(value)) {
            let ((from_a, a), (from_b, b)) = (self.blocked(a), self.blocked(b));
            let work = Pairwise {
                arith,
                a: Layout::Blocked(a),
                b: Layout::Blocked(b),
                output: Layout::Blocked(self.blocked_of(output, LANES)),
                isa,
            };
            self.push_blocked(Work::Pairwise(work), vec![from_a, from_b], output);
            return;
        }
        let inputs = vec![self.plain(a), self.plain(b)];
        let work = if same {
            Work::Pairwise(Pairwise {
                arith,
                a: self.plain_of(a),
                b: self.plain_of(b),
                output: self.plain_of(output),
                isa,
            })
        } else {
            let shapes = [self.dims(a), self.dims(b), self.dims(output)];
            Work::Broadcast(Broadcast::new(arith, shapes[0], shapes[1], shapes[2]))
        };
        self.push_plain(work, inputs, output);
    }

    fn cut(&mut self, cuts: &[Cut], fill: f32, first: ValueId, output: ValueId) {
        if let (&[channels, rows, columns], true) = (cuts, self.blocked.contains_key(&first)) {
            let (from, input) = self.blocked(first);
            let to = self.blocked_of(output, LANES);
            let crop = Crop::new([channels, rows, columns], fill, input, to);
            self.push_blocked(Work::Crop(crop), vec![from], output);
        } else {
            let from = self.plain(first);
            let gather = Gather::cut(self.dims(first), self.dims(output), cuts, fill);
            self.push_plain(Work::Gather(gather), vec![from], output);
        }
    }

    fn concat(&mut self, axis: usize, values: &[ValueId], output: ValueId) {
        if let (&[_, height, width], 0) = (self.dims(output), axis) {
            let to = self.blocked_of(output, LANES);
            let mut before = 0;
            let mut crops = Vec::new();
            let mut inputs = Vec::new();
            for &value in values {
                let (from, layout) = self.blocked(value);
                let channels = Cut {
                    before,
                    ..Cut::whole(layout.channels)
                };
                before += layout.channels;
                let cuts = [channels, Cut::whole(height), Cut::whole(width)];
                crops.push(Crop::new(cuts, 0.0, layout, to).unfilled());
                inputs.push(from);
            }
            self.push_blocked(Work::Crops(crops), inputs, output);
            return;
        }
        let inputs = values.iter().map(|&value| self.plain(value)).collect();
        let lengths = values
            .iter()
            .map(|&value| self.dims(value)[axis..].iter().product());
        let join = Join {
            lengths: lengths.collect(),
        };
        self.push_plain(Work::Join(join), inputs, output);
    }
}

/// The kernel for a convolution.
fn conv(
    filter: &Filter,
    window: crate::conv::Window,
    [input, output]: [Blocked; 2],
    residual: Option<Blocked>,
    clamp: Clamp,
    isa: Isa,
) -> Work {
    if Depthwise::takes(filter) && input.lanes == LANES {
        let op = Depthwise::new(filter, window, input, output, residual, clamp, isa);
        Work::Depthwise(op)
    } else if Direct::takes(filter) {
        Work::Direct(Direct::new(
            filter, window, input, output, residual, clamp, isa,
        ))
    } else {
        Work::Grouped(Grouped {
            filter: filter.clone(),
            window,
            input,
            output,
            residual,
            clamp,
            isa,
        })
    }
}
