//! Networks made for tests, and numbers to fill them with.

use recert_bounds::{Network, Rows};
use recert_graph::proto::onnx::AttributeProto;
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::testing::Net;
use recert_graph::{Builder, Graph};

/// A generator of numbers without a pattern, the same every time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// An integer in `[-most, most]`.
    pub(crate) fn integer(&mut self, most: i64) -> i64 {
        (self.next() % (2 * most as u64 + 1)) as i64 - most
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }
}

/// A fully connected layer: `[outputs][inputs]` and a bias.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) weights: Vec<Vec<i64>>,
    pub(crate) bias: Vec<i64>,
}

/// Layers of these sizes, with weights in `[-most, most]`.
pub(crate) fn layers(random: &mut Random, sizes: &[usize], most: i64) -> Vec<Layer> {
    let pairs = sizes.windows(2);
    let layer = pairs.map(|pair| Layer {
        weights: (0..pair[1])
            .map(|_| (0..pair[0]).map(|_| random.integer(most)).collect())
            .collect(),
        bias: (0..pair[1]).map(|_| random.integer(most)).collect(),
    });
    layer.collect()
}

/// The network of layers with ReLU between them. Weights are integers times `2^-scale`, the
/// bias of each layer likewise times that of the layers before.
pub(crate) fn network(layers: &[Layer], scale: u32) -> Network {
    let unit = (0.5_f32).powi(scale as i32);
    in_units(layers, unit, |_| unit)
}

/// The same with weights that are integers times `2^power`, and each layer's biases times that of
/// it and all layers before: the network itself, in another unit.
pub(crate) fn scaled(layers: &[Layer], power: i32) -> Network {
    in_units(layers, 2_f32.powi(power), |i| {
        2_f32.powi(power * (i as i32 + 1))
    })
}

fn in_units(layers: &[Layer], unit: f32, of_bias: impl Fn(usize) -> f32) -> Network {
    let inputs = layers[0].weights[0].len();
    let mut net = Net::new(13).input("x", &[1, inputs as i64]);
    let mut last = "x".to_owned();
    for (i, layer) in layers.iter().enumerate() {
        let (rows, columns) = (layer.bias.len(), layer.weights[0].len());
        let weights: Vec<f32> = layer
            .weights
            .iter()
            .flatten()
            .map(|&w| w as f32 * unit)
            .collect();
        let bias: Vec<f32> = layer.bias.iter().map(|&b| b as f32 * of_bias(i)).collect();
        let [w, b, y, r] = ["w", "b", "y", "r"].map(|name| format!("{name}{i}"));
        net = net
            .floats(&w, &[columns, rows], &transposed(&weights, rows, columns))
            .floats(&b, &[rows], &bias)
            .node("Gemm", &[&last, &w, &b], &y);
        last = y;
        if i + 1 < layers.len() {
            net = net.node("Relu", &[&last], &r);
            last = r;
        }
    }
    let outputs = layers[layers.len() - 1].bias.len();
    let net = net.output(&last, &[1, outputs as i64]);
    Network::new(&graph(&net)).expect("layers have bounds")
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let element = |i: usize| matrix[i % rows * columns + i / rows];
    (0..matrix.len()).map(element).collect()
}

pub(crate) fn graph(net: &Net) -> Graph {
    Builder::new(&net.model())
        .build()
        .expect("the net is a graph")
}

/// Every output and its negative: lower bounds of both are both bounds.
pub(crate) fn both(outputs: usize) -> Rows {
    let row = |i: usize| {
        let mut row = vec![0.0; outputs];
        row[i / 2] = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        row
    };
    Rows {
        outputs,
        coefficients: (0..2 * outputs).flat_map(row).collect(),
        constants: vec![0.0; 2 * outputs],
    }
}

/// A point of a box.
pub(crate) fn point(random: &mut Random, lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let ends = lower.iter().zip(upper);
    let element = ends.map(|(&l, &u)| match random.next() % 4 {
        0 => l,
        1 => u,
        _ => (l + (u - l) * random.unit()).clamp(l, u),
    });
    element.collect()
}

/// An attribute that is an integer.
pub(crate) fn attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// An attribute of text.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String.into()),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}
