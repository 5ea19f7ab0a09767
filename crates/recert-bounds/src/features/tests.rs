//! Proof features of networks small enough to do by hand, and of the loop as published.

use recert_graph::Builder;
use recert_graph::testing::Net;

use super::*;
use crate::{ErrorKind, Network};

const METHODS: [Method; 4] = [
    Method::Interval,
    Method::Crown,
    Method::CrownAlone,
    Method::AlphaCrown { steps: 5 },
];

/// `V relu(W x + b) + v` with two outputs.
fn network(weights: &[f32], bias: &[f32], last: &[f32], last_bias: &[f32]) -> Network {
    let hidden = bias.len();
    let inputs = weights.len() / hidden;
    let outputs = last_bias.len();
    let model = Net::new(17)
        .input("x", &[-1, inputs as i64])
        .floats("w", &[inputs, hidden], &transposed(weights, inputs))
        .floats("b", &[hidden], bias)
        .floats("v", &[hidden, outputs], &transposed(last, hidden))
        .floats("c", &[outputs], last_bias)
        .node("Gemm", &["x", "w", "b"], "z")
        .node("Relu", &["z"], "h")
        .node("Gemm", &["h", "v", "c"], "y")
        .output("y", &[-1, outputs as i64])
        .model();
    Network::new(&Builder::new(&model).build().unwrap()).unwrap()
}

fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let column = |i: usize| matrix.iter().skip(i).step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}

fn region(lower: &[f64], upper: &[f64]) -> Region {
    Region::Box {
        lower: lower.to_vec(),
        upper: upper.to_vec(),
    }
}

/// Three neurons that are their inputs, and a margin of 4 h0 + h1 + 1/2 h2 - 1.
fn three() -> Network {
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    network(
        &identity,
        &[0.0; 3],
        &[4.0, 1.0, 0.5, 0.0, 0.0, 0.0],
        &[0.0, 1.0],
    )
}

#[test]
fn a_proof_by_hand() {
    let cut = Penultimate::of(&three()).unwrap();
    assert_eq!((cut.neurons(), cut.hidden().outputs()), (3, 3));
    let region = region(&[0.5, 0.5, -1.0], &[1.0, 1.0, -0.5]);
    let property = Property::label(2, 0).unwrap();
    for method in METHODS {
        let proof = Proof::new(&cut, &region, &property, method, Options::default()).unwrap();
        // 4/2 + 1/2 - 1.
        assert!(proof.verified() && proof.lower()[0] <= 1.5 && proof.lower()[0] > 1.5 - 1e-9);
        let features = proof.features();
        assert_eq!(
            features.iter().map(|f| f.weight).collect::<Vec<_>>(),
            [4.0, 1.0, 0.5]
        );
        for (feature, want) in features.iter().zip([4.0, 1.0, 0.0]) {
            assert!(
                feature.priority >= want && feature.priority < want + 1e-9,
                "{feature:?}"
            );
        }
        // The third neuron is always 0.
        assert_eq!(features[2].interval, [0.0, 0.0]);
        assert_eq!(proof.order(Order::Priority), [1, 0]);
        let mut random = proof.order(Order::Random(7));
        assert_eq!(random, proof.order(Order::Random(7)));
        random.sort_unstable();
        assert_eq!(random, [0, 1]);
        // 4/2 - 1 is at least 0, 1/2 - 1 is not.
        assert!(proof.sufficient(&[0]).unwrap() && !proof.sufficient(&[1]).unwrap());
        assert_eq!(proof.extract(Order::Priority).unwrap().unwrap(), [0]);
        let error = proof.sufficient(&[3]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
    // The other class is never proved.
    let property = Property::label(2, 1).unwrap();
    let proof = Proof::new(&cut, &region, &property, Method::Crown, Options::default()).unwrap();
    assert!(!proof.verified());
    assert_eq!(proof.extract(Order::Priority).unwrap(), None);
}

#[test]
fn a_picture_by_hand() {
    // z0 = x0 + 2 x1 in [-1, 3]: the line below has the slope 1, that above 3/4. z1 = -x0 in
    // [-1, 1], with slopes 0 and 1/2.
    let net = network(
        &[1.0, 2.0, -1.0, 0.0],
        &[0.0; 2],
        &[1.0, 0.0, 0.0, 1.0],
        &[0.0; 2],
    );
    let cut = Penultimate::of(&net).unwrap();
    let region = region(&[-1.0, 0.0], &[1.0, 1.0]);
    let property = Property::label(2, 0).unwrap();
    let proof = Proof::new(&cut, &region, &property, Method::Crown, Options::default()).unwrap();
    let pictures = proof.pictures(&[1, 0]).unwrap();
    for (found, want) in pictures.iter().flatten().zip([-0.25, 0.0, 0.875, 1.75]) {
        assert!((found - want).abs() < 1e-12, "{pictures:?}");
    }
    assert_eq!(
        proof.pictures(&[2]).unwrap_err().kind(),
        ErrorKind::Argument
    );
}

#[test]
fn networks_are_compared_neuron_by_neuron() {
    let property = Property::label(2, 0).unwrap();
    let region = region(&[0.5, 0.5, 0.5], &[1.0, 1.0, 1.0]);
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    // The second neuron looks at another pixel too, and the third at twice as much.
    let changed = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 2.0];
    let last = [4.0, 1.0, 0.5, 0.0, 0.0, 0.0];
    let cuts = [identity, changed]
        .map(|weights| Penultimate::of(&network(&weights, &[0.0; 3], &last, &[0.0, 1.0])).unwrap());
    let proofs = cuts
        .each_ref()
        .map(|cut| Proof::new(cut, &region, &property, Method::Crown, Options::default()).unwrap());
    let [first, second] = &proofs;
    let comparison = compare(first, second, [&[1, 0], &[1, 2]]).unwrap();
    assert_eq!(comparison.shared, [1]);
    assert_eq!(comparison.overlap, 1.0 / 3.0);
    assert!((comparison.rank_correlation.unwrap() - 1.0).abs() < 1e-12);
    let cosine = comparison.pictures[0].unwrap();
    assert!((cosine - 0.5_f64.sqrt()).abs() < 1e-12);
    // Both intervals are twice as wide; the second neuron weighs twice as much.
    let grown = growth(first.features(), second.features()).unwrap();
    assert_eq!(grown.iter().map(|g| g.neuron).collect::<Vec<_>>(), [1, 2]);
    assert!((grown[0].loss - 0.5).abs() < 1e-9 && (grown[1].loss - 0.25).abs() < 1e-9);
}

#[test]
fn no_pruned_network_falls_below_its_bounds() {
    let model = Net::new(17)
        .input("x", &[-1, 6])
        .noise("w", &[6, 8])
        .noise("b", &[8])
        .noise("w1", &[8, 7])
        .noise("b1", &[7])
        .noise("v", &[7, 3])
        .noise("c", &[3])
        .node("Gemm", &["x", "w", "b"], "z")
        .node("Relu", &["z"], "h")
        .node("Gemm", &["h", "w1", "b1"], "z1")
        // Neurons below 0 as well: a bound of V alone would not do.
        .node("Tanh", &["z1"], "h1")
        .node("Gemm", &["h1", "v", "c"], "y")
        .output("y", &[-1, 3])
        .model();
    let network = Network::new(&Builder::new(&model).build().unwrap()).unwrap();
    let cut = Penultimate::of(&network).unwrap();
    let (_, last) = penultimate::last_dense(&network).unwrap();
    let property = Property::label(3, 1).unwrap();
    let rows = property.rows();
    let mut random = fastrand::Rng::with_seed(3);
    let region = region(&[0.2; 6], &[0.6; 6]);
    for method in METHODS {
        let proof = Proof::new(&cut, &region, &property, method, Options::default()).unwrap();
        for _ in 0..40 {
            let kept: Vec<usize> = (0..7).filter(|_| random.bool()).collect();
            let lower = proof.bounded(&kept).unwrap();
            for _ in 0..50 {
                let x: Vec<f64> = (0..6).map(|_| 0.2 + 0.4 * random.f64()).collect();
                let h = cut.hidden().evaluate(&x);
                for (feature, h) in proof.features().iter().zip(&h) {
                    assert!(feature.interval[0] <= *h && *h <= feature.interval[1]);
                }
                let outputs: Vec<f64> = (0..3)
                    .map(|i| {
                        let column = |&j: &usize| last.weights[i * 7 + j] * h[j];
                        last.bias[i] + kept.iter().map(column).sum::<f64>()
                    })
                    .collect();
                for (row, lower) in rows.coefficients.chunks_exact(3).zip(&lower) {
                    let margin: f64 = row.iter().zip(&outputs).map(|(a, y)| a * y).sum();
                    assert!(*lower <= margin, "{lower} {margin}");
                }
            }
        }
    }
}

/// The loop of the published code, which ends as soon as nothing is to be pruned.
fn published(count: usize, proves: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count as isize - 1);
    let mut largest = 0;
    while low <= high {
        let middle = (low + high).div_euclid(2);
        if middle <= 0 {
            break;
        }
        if proves(middle as usize) {
            largest = largest.max(middle as usize);
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    largest
}

#[test]
fn bisection_finds_what_the_published_loop_finds() {
    for count in 0..=10_usize {
        for truth in 0..1_u32 << count {
            // The whole proof always holds.
            let proves = |pruned: usize| pruned == 0 || truth >> pruned & 1 == 1;
            let mut tries = 0;
            let found = bisect(count, |pruned| {
                tries += 1;
                Ok(proves(pruned))
            });
            let found = found.unwrap();
            // Where nothing but whether to prune one is left, the published loop does not try.
            if found != published(count, proves) {
                assert_eq!((published(count, proves), found), (0, 1));
            }
            assert!(proves(found) && tries <= count.checked_ilog2().map_or(0, |n| n + 1));
        }
    }
}
