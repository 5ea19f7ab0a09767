//! Bounds against what networks do at points, and against the prover's.

use proptest::prelude::*;
use recert_bounds as bounds;
use recert_graph::proto::onnx::AttributeProto;
use recert_graph::proto::onnx::attribute_proto::AttributeType;
use recert_graph::testing::{Net, ints, noise};
use recert_graph::{Builder, Graph};
use recert_ledger::{NeuronBounds, Proof, ProofLayer, ProofLeaf, ProofRow, ProofSplit};
use recert_proofcheck::{
    Distance, MOST_TERMS, Network, NotComputed, Recomputed, Region, recompute, slack,
};

const PIXELS: usize = 2 * 5 * 4;

fn graph(net: &Net) -> Graph {
    Builder::new(&net.model()).build().unwrap()
}

/// Convolutions with a stride and groups, a normalization, a sum of two paths, a mean, a product.
fn residual() -> Net {
    let window = |pads: &[i64], strides: &[i64]| vec![ints("pads", pads), ints("strides", strides)];
    let mut grouped = window(&[1, 1, 1, 1], &[1, 1]);
    grouped.push(group(4));
    let variance: Vec<f32> = noise(9, 4).iter().map(|v| v.abs() + 0.5).collect();
    Net::new(13)
        .input("x", &[1, 2, 5, 4])
        .noise("w1", &[4, 2, 3, 3])
        .noise("b1", &[4])
        .node_with(
            "Conv",
            &["x", "w1", "b1"],
            "c1",
            window(&[1, 1, 1, 1], &[2, 1]),
        )
        .noise("scale", &[4])
        .noise("shift", &[4])
        .noise("mean", &[4])
        .floats("variance", &[4], &variance)
        .node(
            "BatchNormalization",
            &["c1", "scale", "shift", "mean", "variance"],
            "n1",
        )
        .node("Relu", &["n1"], "r1")
        .noise("w2", &[4, 1, 3, 3])
        .node_with("Conv", &["r1", "w2"], "c2", grouped)
        .node("Add", &["c2", "r1"], "s")
        .node("Relu", &["s"], "r2")
        .node_with(
            "AveragePool",
            &["r2"],
            "p",
            vec![ints("kernel_shape", &[2, 2])],
        )
        .node("Flatten", &["p"], "f")
        .noise("w3", &[24, 3])
        .noise("b3", &[3])
        .node("Gemm", &["f", "w3", "b3"], "y")
        .output("y", &[1, 3])
}

fn group(groups: i64) -> AttributeProto {
    AttributeProto {
        name: Some("group".to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(groups),
        ..Default::default()
    }
}

/// Curves without a kink at 0, largest elements and moved ones.
fn curved() -> Net {
    Net::new(13)
        .input("x", &[1, 2, 5, 4])
        .noise("w1", &[3, 2, 2, 2])
        .node("Conv", &["x", "w1"], "c1")
        .node("Sigmoid", &["c1"], "a1")
        .node_with("MaxPool", &["a1"], "m", vec![ints("kernel_shape", &[2, 2])])
        .node_with("Transpose", &["m"], "t", vec![ints("perm", &[0, 2, 3, 1])])
        .node("Flatten", &["t"], "f")
        .noise("w2", &[18, 4])
        .node("MatMul", &["f", "w2"], "z")
        .node("Tanh", &["z"], "h")
        .node("Abs", &["h"], "v")
        .noise("w3", &[4, 3])
        .node("MatMul", &["v", "w3"], "y")
        .node("Softmax", &["y"], "p")
        .output("p", &[1, 3])
}

fn image(seed: u32) -> Vec<f32> {
    noise(seed, PIXELS)
        .iter()
        .map(|x| x.midpoint(1.0))
        .collect()
}

/// The proof that CROWN's bounds make, and the least of its margins.
fn crown(graph: &Graph, region: &bounds::Region, class: usize) -> (Proof, f64) {
    let network = bounds::Network::for_labels(graph).unwrap();
    let options = bounds::Options::default();
    let found = bounds::crown(&network, region, options).unwrap();
    let property = bounds::Property::label(network.outputs(), class).unwrap();
    let slopes = bounds::Slopes::default();
    let margins =
        bounds::lower(&network, region, &found, &property.rows(), &slopes, options).unwrap();
    let kinked = network.activations().iter().enumerate();
    let kinked = kinked.filter(|(_, activation)| activation.function == "Relu");
    let layers = kinked.map(|(activation, _)| {
        let (lower, upper) = found.neurons(&network, activation);
        let ends = lower.iter().zip(upper);
        let bounds = ends.map(|(&lower, &upper)| NeuronBounds { lower, upper });
        ProofLayer {
            activation: activation as u32,
            bounds: bounds.collect(),
        }
    });
    let proof = Proof {
        layers: layers.collect(),
        leaves: vec![ProofLeaf::default()],
        ..Proof::default()
    };
    // As it is read from a ledger.
    let proof = Proof::decode(&proof.encode()).unwrap();
    (proof, margins.into_iter().fold(f64::INFINITY, f64::min))
}

fn regions(image: &[f32], eps: &str, l2: bool) -> (Region, bounds::Region) {
    let distance = Distance::parse(eps).unwrap();
    let pixels: Vec<f64> = image.iter().map(|&pixel| pixel.into()).collect();
    if l2 {
        let other = bounds::Region::l2(&pixels, distance.up()).unwrap();
        return (Region::l2(image, distance).unwrap(), other);
    }
    let other = bounds::Region::linf(&pixels, distance.up()).unwrap();
    (Region::linf(image, distance).unwrap(), other)
}

/// The smallest margin at random points of a region.
fn sampled(graph: &Graph, region: &bounds::Region, class: usize, seed: u32) -> f64 {
    let network = bounds::Network::for_labels(graph).unwrap();
    let property = bounds::Property::label(network.outputs(), class).unwrap();
    let (lower, upper) = region.bounding_box();
    let margins = (0..200).map(|number| {
        let at = noise(seed.wrapping_mul(977).wrapping_add(number), lower.len());
        let ends = lower.iter().zip(upper);
        let point = at.iter().zip(ends).map(|(at, (l, u))| {
            // Half of them corners.
            let part = if number % 2 == 0 {
                f64::from(at.signum())
            } else {
                f64::from(*at)
            };
            l.midpoint(*u) + part * (u - l) / 2.0
        });
        let point: Vec<f64> = point
            .zip(ends_of(region))
            .map(|(x, (l, u))| x.clamp(l, u))
            .collect();
        if !region.contains(&point) {
            return f64::INFINITY;
        }
        property.worst(&network.evaluate(&point))
    });
    margins.fold(f64::INFINITY, f64::min)
}

fn ends_of(region: &bounds::Region) -> Vec<(f64, f64)> {
    let (lower, upper) = region.bounding_box();
    lower.iter().copied().zip(upper.iter().copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn margins_are_below_the_networks_and_not_below_crowns(
        seed in 1..10_000_u32,
        eps in prop::sample::select(vec!["0", "1/255", "0.02", "0.1", "0.5"]),
        class in 0..3_usize,
        l2 in any::<bool>(),
    ) {
        for (net, piecewise) in [(residual(), true), (curved(), false)] {
            let graph = graph(&net);
            let network = Network::new(&graph).unwrap();
            prop_assert_eq!(network.is_piecewise(), piecewise);
            let (region, other) = regions(&image(seed), eps, l2);
            let (proof, margin) = crown(&graph, &other, class);
            let found = recompute(&network, &region, class, Some(&proof), MOST_TERMS).unwrap();
            let Recomputed { margin: derived, seen, tighter, refuted } = found;
            let least = sampled(&graph, &other, class, seed).min(seen);
            // Points are computed in f64, whose rounding is all that is allowed for.
            prop_assert!(derived <= least + 1e-12, "{} {}", derived, least);
            if piecewise {
                prop_assert!(derived >= margin - slack(margin), "{} {}", derived, margin);
                prop_assert_eq!(tighter, None);
            }
            prop_assert_eq!(refuted, None);
        }
    }
}

/// `2 relu(z) - z + 1/10` against 0 with `z = x - 1/2`, on `[0.15, 0.95]`: `|z| + 1/10`.
fn kinked() -> (Network, Region) {
    let net = Net::new(13)
        .input("x", &[1, 1])
        .floats("half", &[1], &[0.5])
        .floats("v", &[1, 2], &[2.0, 0.0])
        .floats("w", &[1, 2], &[1.0, 0.0])
        .floats("c", &[2], &[0.1, 0.0])
        .node("Sub", &["x", "half"], "z")
        .node("Relu", &["z"], "a")
        .node("Gemm", &["a", "v", "c"], "twice")
        .node("MatMul", &["z", "w"], "once")
        .node("Sub", &["twice", "once"], "y")
        .output("y", &[1, 2]);
    let region = Region::linf(&[0.55], Distance::parse("0.4").unwrap()).unwrap();
    (Network::new(&graph(&net)).unwrap(), region)
}

/// The proof of it by a split: on each side, a multiplier takes what is left of z.
fn split() -> Proof {
    let part = |above| ProofLeaf {
        splits: vec![ProofSplit {
            layer: 0,
            neuron: 0,
            above,
        }],
        rows: vec![ProofRow {
            row: 0,
            slopes: vec![1.0],
            multipliers: vec![1.0],
        }],
    };
    Proof {
        layers: vec![ProofLayer {
            activation: 0,
            bounds: vec![NeuronBounds {
                lower: -0.35,
                upper: 0.45,
            }],
        }],
        leaves: vec![part(true), part(false)],
        ..Proof::default()
    }
}

#[test]
fn splits_prove_what_lines_do_not() {
    let (network, region) = kinked();
    let margin = |proof: &Proof| recompute(&network, &region, 0, Some(proof), MOST_TERMS);
    let whole = recompute(&network, &region, 0, None, MOST_TERMS).unwrap();
    assert!((whole.margin + 0.25).abs() < 1e-6, "{whole:?}");
    let found = margin(&split()).unwrap();
    // The margin is 1/10 at 1/2, as the float32 that it is.
    assert!(
        found.margin <= f64::from(0.1_f32) && found.margin > 0.1 - 1e-6,
        "{found:?}"
    );
    assert!(found.seen >= found.margin);
    // One of the halves left out.
    let mut one_sided = split();
    one_sided.leaves.pop();
    assert!(matches!(margin(&one_sided), Err(NotComputed::Wrong(_))));
    // A multiplier that is not needed costs.
    let mut heavy = split();
    heavy.leaves[0].rows[0].multipliers[0] = 4.0;
    assert!(margin(&heavy).unwrap().margin < found.margin);
    let mut negative = split();
    negative.leaves[0].rows[0].multipliers[0] = -4.0;
    assert!(matches!(margin(&negative), Err(NotComputed::Wrong(_))));
}

#[test]
fn claims_about_neurons_are_compared_and_not_believed() {
    let (network, region) = kinked();
    let found = |proof: &Proof| recompute(&network, &region, 0, Some(proof), MOST_TERMS).unwrap();
    assert_eq!(found(&split()).tighter, None);
    let mut tightened = split();
    tightened.layers[0].bounds[0].lower = -0.25;
    let claimed = found(&tightened);
    assert_eq!(claimed.margin, found(&split()).margin);
    let tighter = claimed.tighter.unwrap();
    assert_eq!((tighter.layer, tighter.neuron, tighter.count), (0, 0, 1));
    assert!(tighter.derived[0] <= -0.3499 && tighter.derived[1] >= 0.4499);
    // A point of the region refutes it too.
    assert!(
        claimed
            .refuted
            .is_some_and(|refuted| refuted.derived[0] < -0.25)
    );
}

#[test]
fn what_does_not_fit_or_takes_too_long_is_no_bound() {
    let (network, region) = kinked();
    let mut other = split();
    other.layers[0].bounds.push(NeuronBounds::ACTIVE);
    let found = |class, proof: &Proof, most| recompute(&network, &region, class, Some(proof), most);
    assert!(matches!(
        found(0, &other, MOST_TERMS),
        Err(NotComputed::Wrong(_))
    ));
    assert!(matches!(
        found(2, &split(), MOST_TERMS),
        Err(NotComputed::Wrong(_))
    ));
    assert_eq!(found(0, &split(), 5), Err(NotComputed::TooLarge));
    let small = Region::linf(&[], Distance::parse("1").unwrap()).unwrap();
    let found = recompute(&network, &small, 0, Some(&split()), MOST_TERMS);
    assert!(matches!(found, Err(NotComputed::Wrong(_))));
}

#[test]
fn an_operator_that_is_not_known_is_named() {
    let net = Net::new(13)
        .input("x", &[1, 2])
        .node("Sin", &["x"], "y")
        .output("y", &[1, 2]);
    let error = Network::new(&graph(&net)).unwrap_err().to_string();
    assert!(error.contains("make_y") && error.contains("Sin"), "{error}");
}

#[test]
fn overflow_proves_nothing() {
    let net = Net::new(13)
        .input("x", &[1, 1])
        .floats("w", &[1, 2], &[f32::MAX, -f32::MAX])
        .floats("huge", &[2, 2], &[f32::MAX; 4])
        .node("MatMul", &["x", "w"], "z0")
        .node("MatMul", &["z0", "huge"], "z1")
        .node("MatMul", &["z1", "huge"], "z2")
        .node("MatMul", &["z2", "huge"], "z3")
        .node("MatMul", &["z3", "huge"], "z4")
        .node("MatMul", &["z4", "huge"], "z5")
        .node("MatMul", &["z5", "huge"], "z6")
        .node("MatMul", &["z6", "huge"], "z7")
        .node("MatMul", &["z7", "huge"], "z8")
        .node("Relu", &["z8"], "y")
        .output("y", &[1, 2]);
    let network = Network::new(&graph(&net)).unwrap();
    let region = Region::linf(&[0.5], Distance::parse("0.5").unwrap()).unwrap();
    let found = recompute(&network, &region, 0, None, MOST_TERMS).unwrap();
    assert_eq!(found.margin, f64::NEG_INFINITY);
}

/// Positions of the largest elements are another function than these.
#[test]
fn indices_of_a_pooling_are_not_its_elements() {
    let mut net = Net::new(13).input("x", &[1, 1, 2, 2]);
    net = net.node_with(
        "MaxPool",
        &["x"],
        "first",
        vec![ints("kernel_shape", &[2, 2])],
    );
    let node = net.graph().node.last_mut().unwrap();
    node.output.push("indices".to_owned());
    let to_float = AttributeProto {
        name: Some("to".to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(1),
        ..Default::default()
    };
    let net = net.node_with("Cast", &["indices"], "y", vec![to_float]);
    let error = Network::new(&graph(&net.output("y", &[]))).unwrap_err();
    assert!(error.to_string().contains("its first output"), "{error}");
}
