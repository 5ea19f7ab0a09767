//! Networks cut anywhere against the same networks whole, bit for bit; and
//! where they may be cut.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::across::Softmax;
use crate::conv::{Filter, Window};
use crate::ir::{ArgMax, Node, Op, OutputValue, Value, ValueId};
use crate::pointwise::{Arith, Step, Unary};
use crate::pool::PoolKind;
use crate::tile::Clamp;

/// Numbers between -1 and 1 that look random (an LCG's high bits).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        let one = |_| self.below(1 << 24) as f32 / 8_388_608.0 - 1.0;
        (0..count).map(one).collect()
    }
}

/// A graph that is built node by node.
struct Net(Graph);

impl Net {
    fn new(dims: [usize; 3]) -> Self {
        let mut net = Self(Graph {
            values: Vec::new(),
            nodes: Vec::new(),
            input: 0,
            outputs: Vec::new(),
            single: false,
        });
        net.value(dims.to_vec());
        net
    }

    fn value(&mut self, dims: Vec<usize>) -> ValueId {
        self.0.values.push(Value {
            dims,
            integers: false,
            bytes: None,
        });
        self.0.values.len() - 1
    }

    fn dims(&self, value: ValueId) -> Vec<usize> {
        self.0.values[value].dims.clone()
    }

    fn op(&mut self, op: Op, inputs: &[ValueId], dims: Vec<usize>) -> ValueId {
        let output = self.value(dims);
        let inputs = inputs.to_vec();
        self.0.nodes.push(Node { op, inputs, output });
        output
    }

    /// A convolution of 3 x 3 that keeps the size, perhaps with a residual.
    fn conv(&mut self, inputs: &[ValueId], outputs: usize, numbers: &mut Numbers) -> ValueId {
        let dims = self.dims(inputs[0]);
        let window = Window {
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            before: [1, 1],
            output: [dims[1], dims[2]],
        };
        let filter = Filter {
            outputs,
            inputs: dims[0],
            groups: 1,
            weights: numbers.take(outputs * dims[0] * 9),
            bias: numbers.take(outputs),
        };
        let clamp = [Clamp::NONE, Clamp::RELU][numbers.below(2)];
        let op = Op::Conv {
            filter,
            window,
            clamp,
        };
        self.op(op, inputs, vec![outputs, dims[1], dims[2]])
    }

    fn linear(&mut self, input: ValueId, outputs: usize, numbers: &mut Numbers) -> ValueId {
        let count = self.0.values[input].len();
        let op = Op::Gemm {
            weights: numbers.take(count * outputs),
            bias: numbers.take(outputs),
            clamp: Clamp::NONE,
        };
        self.op(op, &[input], vec![outputs])
    }

    /// Means of planes and a linear layer.
    fn end(mut self, input: ValueId, numbers: &mut Numbers) -> Graph {
        let channels = self.dims(input)[0];
        let means = self.op(Op::Means, &[input], vec![channels]);
        let value = self.linear(means, 5, numbers);
        self.with_head(value)
    }

    fn with_head(mut self, value: ValueId) -> Graph {
        self.0.outputs = vec![OutputValue {
            value,
            arg_max: None,
        }];
        self.0
    }
}

/// The weights of the layers, in order.
fn weights(graph: &mut Graph) -> Vec<&mut Vec<f32>> {
    (graph.nodes.iter_mut())
        .filter_map(|node| match &mut node.op {
            Op::Conv { filter, .. } => Some(&mut filter.weights),
            Op::Gemm { weights, .. } => Some(weights),
            _ => None,
        })
        .collect()
}

fn bits(outputs: &[Output]) -> Vec<Vec<u64>> {
    let of = |output: &Output| match output {
        Output::Floats { shape, values } => (shape.iter().map(|&size| size as u64))
            .chain(values.iter().map(|value| u64::from(value.to_bits())))
            .collect(),
        Output::Integers { shape, values } => (shape.iter().map(|&size| size as u64))
            .chain(values.iter().map(|&value| value as u64))
            .collect(),
    };
    outputs.iter().map(of).collect()
}

/// Asserts that graphs cut at `seam` give the bits of the whole ones, for all
/// instruction sets, in batches that differ from graph to graph.
fn assert_same(graphs: &[Graph], seam: &split::Seam, images: &[f32]) {
    for isa in Isa::available() {
        let whole = graphs.iter().map(|graph| Arc::new(Program::of(graph, isa)));
        let mut whole: Vec<Executor> = whole.map(|program| program.executor()).collect();
        let mut shared = Shared::of(graphs.to_vec(), seam, isa).executors();
        let length = whole[0].program().image_len();
        let count = images.len() / length;
        for round in 0..2 {
            for (i, (shared, whole)) in shared.iter_mut().zip(&mut whole).enumerate() {
                for images in images.chunks(length * (1 + (i + round) % count)) {
                    let wanted = bits(&whole.run(images).unwrap());
                    let found = bits(&shared.run(images).unwrap());
                    assert!(found == wanted, "other bits on {isa:?}");
                }
            }
        }
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The graph of a network file, and its images' length.
fn read(path: &Path) -> Graph {
    let model = Model::read(path).unwrap();
    let signature = model.signature().unwrap();
    let outputs = [signature.output.name.as_str()];
    lower(&model, &signature.input.name, &outputs).unwrap()
}

#[test]
fn made_networks_can_be_cut_anywhere() {
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "onnx") {
            continue;
        }
        let graph = read(&path);
        let graphs = [graph.clone(), graph.clone()];
        let seams = split::seams(&graphs);
        // At the output at least.
        assert!(!seams.is_empty(), "{}", path.display());
        let images = Numbers(7).take(3 * graph.values[graph.input].len());
        for seam in &seams {
            assert_same(&graphs, seam, &images);
        }
    }
}

#[test]
#[ignore = "needs ../shared: cargo test -p recert-kernels --lib -- --ignored real_networks"]
fn real_networks_can_be_cut_anywhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
    for (name, least) in [
        ("cifar10/resnet20_sigma0.50", 11),
        ("cifar10/resnet8_qdq", 1),
        ("mnist/fcnn7", 3),
    ] {
        let graph = read(&folder.join(format!("{name}.onnx")));
        let graphs = [graph.clone(), graph];
        let seams = split::seams(&graphs);
        assert!(seams.len() >= least, "{name}: {} seams", seams.len());
        let length = graphs[0].values[graphs[0].input].len();
        let images = Numbers(3).take(2 * length);
        for seam in seams.iter().step_by(6) {
            assert_same(&graphs, seam, &images);
        }
    }
}

/// A block of two convolutions with a residual, between convolutions.
fn residual() -> Graph {
    let mut numbers = Numbers(11);
    let mut net = Net::new([3, 6, 7]);
    let a = net.conv(&[0], 17, &mut numbers);
    let b = net.conv(&[a], 17, &mut numbers);
    let c = net.conv(&[b, a], 17, &mut numbers);
    let d = net.conv(&[c], 5, &mut numbers);
    net.end(d, &mut numbers)
}

/// The value at which graphs are cut, in the first of them.
fn last(graphs: &[Graph]) -> Option<ValueId> {
    split::seams(graphs).pop().map(|seam| seam[0])
}

#[test]
fn graphs_part_where_their_weights_do() {
    let graph = residual();
    // The values: the image, a, b, c, d, means, the output.
    for (layer, wanted) in [
        (0, None),
        // All there is before is a.
        (1, Some(1)),
        // b is the same as well, but the residual goes past it.
        (2, Some(1)),
        (3, Some(3)),
        (4, Some(5)),
    ] {
        let mut other = graph.clone();
        let own = weights(&mut other).swap_remove(layer);
        own[0] = f32::from_bits(own[0].to_bits() ^ 1);
        let graphs = [graph.clone(), other, graph.clone()];
        assert_eq!(last(&graphs), wanted, "layer {layer}");
        let images = Numbers(5).take(4 * 3 * 6 * 7);
        for seam in split::seams(&graphs) {
            assert_same(&graphs, &seam, &images);
        }
    }
    // Of one network twice, everything is the same.
    assert_eq!(last(&[graph.clone(), graph.clone()]), Some(6));
    assert_eq!(split::work(&graph).1, 5);
}

#[test]
fn weights_of_zero_and_minus_zero_differ() {
    let mut graph = residual();
    weights(&mut graph)[3][0] = 0.0;
    let mut other = graph.clone();
    weights(&mut other)[3][0] = -0.0;
    assert_eq!(last(&[graph.clone(), graph.clone()]), Some(6));
    assert_eq!(last(&[graph, other]), Some(3));
}

#[test]
fn what_is_no_layer_counts_too() {
    let graph = |clamp: Clamp, add: f32| {
        let mut numbers = Numbers(2);
        let mut net = Net::new([2, 4, 4]);
        let a = net.conv(&[0], 4, &mut numbers);
        let dims = net.dims(a);
        let b = net.op(Op::Pointwise(vec![Step::Clamp(clamp)]), &[a], dims.clone());
        let leaky = Step::Unary(Unary::LeakyRelu(add));
        let c = net.op(Op::Pointwise(vec![leaky]), &[b], dims);
        net.end(c, &mut numbers)
    };
    let plain = graph(Clamp::NONE, 0.5);
    assert_eq!(last(&[plain.clone(), graph(Clamp::RELU, 0.5)]), Some(1));
    assert_eq!(last(&[plain.clone(), graph(Clamp::NONE, 0.25)]), Some(2));
    // Other images.
    let mut wide = plain.clone();
    wide.values[0].dims = vec![2, 2, 8];
    assert_eq!(last(&[plain.clone(), wide]), None);
    // A network that takes a scale from a whole batch.
    let mut single = plain.clone();
    single.single = true;
    assert_eq!(last(&[plain.clone(), single]), None);
    // An output before the cut.
    let mut early = plain.clone();
    early.outputs.push(OutputValue {
        value: 1,
        arg_max: None,
    });
    assert_eq!(last(&[plain, early]), Some(1));
}

#[test]
fn classes_come_from_what_is_shared() {
    let mut graph = residual();
    graph.outputs[0].arg_max = Some(ArgMax {
        along: Softmax {
            outer: 1,
            length: 5,
            inner: 1,
        },
        last: false,
        dims: Vec::new(),
    });
    let graphs = [residual(), graph];
    let seams = split::seams(&graphs);
    assert_eq!(seams.last(), Some(&vec![6, 6]));
    for seam in &seams {
        assert_same(&graphs, seam, &Numbers(1).take(3 * 3 * 6 * 7));
    }
}

/// What one network of several makes of images, whole.
fn expected(graph: &Graph, images: &[f32]) -> Vec<Vec<u64>> {
    let mut whole = Arc::new(Program::of(graph, Isa::best())).executor();
    bits(&whole.run(images).unwrap())
}

#[test]
fn what_is_kept_is_of_the_very_same_image() {
    let graph = residual();
    let mut other = graph.clone();
    weights(&mut other)[3][5] += 0.5;
    let graphs = [graph, other];
    let seam = split::seams(&graphs).pop().unwrap();
    let mut pair = Shared::of(graphs.to_vec(), &seam, Isa::best()).executors();
    let length = 3 * 6 * 7;
    let image = Numbers(8).take(length);
    // Images that are equal as numbers, or but for one value where no mark is.
    let mut images: Vec<Vec<f32>> = Vec::new();
    for value in [0.0, -0.0, 1.0, f32::NAN, f32::INFINITY] {
        for place in [0, 1, length / 2, length - 1] {
            let mut image = image.clone();
            image[place] = value;
            images.push(image);
        }
    }
    let most = images.len();
    let mut numbers = Numbers(4);
    for _ in 0..60 {
        let chosen: Vec<usize> = (0..=numbers.below(6))
            .map(|_| numbers.below(most))
            .collect();
        let batch: Vec<f32> = chosen.iter().flat_map(|&i| images[i].clone()).collect();
        let which = numbers.below(2);
        let found = bits(&pair[which].run(&batch).unwrap());
        let wanted = expected(&graphs[which], &batch);
        let nan = |&bits: &u64| f32::from_bits(bits as u32).is_nan();
        for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
            // The bits of a NaN are not promised.
            assert!(found == wanted || (nan(found) && nan(wanted)));
        }
    }
    assert!(pair[0].run(&image[1..]).is_err());
    assert!(bits(&pair[0].run(&[]).unwrap())[0].starts_with(&[0, 5]));
}

#[test]
fn images_that_were_forgotten_are_computed_again() {
    let graph = residual();
    let mut other = graph.clone();
    weights(&mut other)[4][5] += 0.5;
    let graphs = [graph, other];
    let seam = split::seams(&graphs).pop().unwrap();
    let mut pair = Shared::of(graphs.to_vec(), &seam, Isa::best()).executors();
    let length = 3 * 6 * 7;
    let count = kept::KEPT * 5 / 2;
    let images = Numbers(9).take(count * length);
    let mut numbers = Numbers(6);
    for which in [0, 1, 0, 1] {
        let size = 1 + numbers.below(30);
        for (wanted, images) in images.chunks(size * length).enumerate() {
            let found = bits(&pair[which].run(images).unwrap());
            if wanted % 8 == 0 {
                assert_eq!(found, expected(&graphs[which], images));
            }
        }
        assert_eq!(SharedExecutor::lock(&pair[0].kept).len(), kept::KEPT);
    }
    // A batch is kept as a whole, however large.
    pair[0].run(&images).unwrap();
    assert_eq!(SharedExecutor::lock(&pair[1].kept).len(), count);
    let found = bits(&pair[1].run(&images).unwrap());
    assert_eq!(found, expected(&graphs[1], &images));
    // Another worker has nothing of it.
    let mut detached = pair[1].detached();
    assert_eq!(SharedExecutor::lock(&detached.kept).len(), 0);
    assert_eq!(bits(&detached.run(&images).unwrap()), found);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let graphs = [residual(), residual()];
    let seam = split::seams(&graphs).swap_remove(1);
    let mut pair = Shared::of(graphs.to_vec(), &seam, Isa::best()).executors();
    let images = Numbers(1).take(4 * 3 * 6 * 7);
    pair[0].run(&images).unwrap();
    let kept = Arc::clone(&pair[0].kept);
    let thread = std::thread::spawn(move || {
        let _kept = kept.lock().unwrap();
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
    assert!(pair[0].kept.is_poisoned());
    let found = bits(&pair[1].run(&images).unwrap());
    assert_eq!(found, expected(&graphs[1], &images));
    assert!(!pair[0].kept.is_poisoned());
}

/// A network of layers that a seed chooses.
fn random(seed: u64) -> Graph {
    let mut numbers = Numbers(seed);
    let (channels, size) = (1 + numbers.below(5), 4 + numbers.below(6));
    let mut net = Net::new([channels, size, size + 1]);
    let mut now = 0;
    let mut before: Vec<ValueId> = Vec::new();
    for _ in 0..2 + numbers.below(6) {
        let dims = net.dims(now);
        let alike: Vec<ValueId> = (before.iter().copied())
            .filter(|&value| value != now && net.dims(value) == dims)
            .collect();
        now = match numbers.below(7) {
            0 => {
                let step = [
                    Step::Clamp(Clamp::RELU),
                    Step::Unary(Unary::Sigmoid),
                    Step::Unary(Unary::LeakyRelu(0.1)),
                ];
                let step = step[numbers.below(3)].clone();
                net.op(Op::Pointwise(vec![step]), &[now], dims)
            }
            1 if !alike.is_empty() => {
                let other = alike[numbers.below(alike.len())];
                let arith = [Arith::Add, Arith::Mul, Arith::Sub][numbers.below(3)];
                net.op(Op::Pair(arith), &[now, other], dims)
            }
            2 if !alike.is_empty() => {
                let other = alike[numbers.below(alike.len())];
                net.conv(&[now, other], dims[0], &mut numbers)
            }
            3 if !alike.is_empty() => {
                let other = alike[numbers.below(alike.len())];
                let joined = vec![2 * dims[0], dims[1], dims[2]];
                net.op(Op::Concat(0), &[now, other], joined)
            }
            4 if dims[1] > 2 => {
                let window = Window {
                    kernel: [2, 2],
                    stride: [1, 1],
                    dilation: [1, 1],
                    before: [0, 0],
                    output: [dims[1] - 1, dims[2] - 1],
                };
                let kind = [PoolKind::Max, PoolKind::Average][numbers.below(2)];
                let smaller = vec![dims[0], dims[1] - 1, dims[2] - 1];
                net.op(Op::Pool { kind, window }, &[now], smaller)
            }
            _ => {
                // As many as before, so that residuals fit, or others.
                let outputs = [dims[0], 1, 3, 16, 20][numbers.below(5)];
                net.conv(&[now], outputs, &mut numbers)
            }
        };
        before.push(now);
    }
    net.end(now, &mut numbers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn networks_of_any_shape_give_the_same_bits(
        seed: u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
    ) {
        let graph = random(seed);
        let mut graphs = vec![graph.clone()];
        for (layer, place) in &changes {
            let mut other = graph.clone();
            let mut all = weights(&mut other);
            let layer = layer.index(all.len());
            let own = all.swap_remove(layer);
            let place = place.index(own.len());
            own[place] += 0.25;
            graphs.push(other);
        }
        graphs.push(graph);
        let length = graphs[0].values[graphs[0].input].len();
        let images = Numbers(!seed).take(3 * length);
        for seam in split::seams(&graphs) {
            assert_same(&graphs, &seam, &images);
        }
    }
}
