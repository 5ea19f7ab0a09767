//! Bounds against exact arithmetic: never above the true minimum, with no tolerance.

use recert_bounds::{Network, Options, Region, Slopes, crown, interval, lower, lower_interval};
use recert_testing::test;

use crate::made::{Layer, Random, both, layers, network};

/// The outputs of layers with ReLU between them, in integers. Weights are in units of
/// `2^-scale`, inputs of `2^-inputs`; the result is in units of `2^-(inputs + layers scale)`.
fn outputs(layers: &[Layer], x: &[i64], scale: u32, inputs: u32) -> Vec<i128> {
    let mut x: Vec<i128> = x.iter().map(|&x| x.into()).collect();
    let mut unit = inputs;
    for (i, layer) in layers.iter().enumerate() {
        let rows = layer.weights.iter().zip(&layer.bias);
        let y = rows.map(|(weights, &b)| {
            let products = weights.iter().zip(&x).map(|(&w, &x)| i128::from(w) * x);
            products.sum::<i128>() + (i128::from(b) << unit)
        });
        x = y.collect();
        unit += scale;
        if i + 1 < layers.len() {
            for x in &mut x {
                *x = (*x).max(0);
            }
        }
    }
    x
}

/// Whether `bound <= exact 2^-unit`.
fn is_below(bound: f64, exact: i128, unit: u32) -> bool {
    // Scaling by a power of two is exact, and the bound's size is moderate.
    let scaled = bound * 2.0_f64.powi(unit as i32);
    assert!(scaled.abs() < 1e38 || scaled == f64::NEG_INFINITY);
    scaled.floor() as i128 <= exact
}

/// Lower bounds of all outputs and their negatives by every method.
fn all_bounds(network: &Network, region: &Region) -> Vec<(&'static str, Vec<f64>)> {
    let rows = both(network.outputs());
    let options = Options::default();
    let slopes = Slopes::default();
    let by_interval = interval(network, region).unwrap();
    let by_crown = crown(network, region, options).unwrap();
    let ends = |(lower, upper): (&[f64], &[f64])| -> Vec<f64> {
        lower
            .iter()
            .zip(upper)
            .flat_map(|(&l, &u)| [l, -u])
            .collect()
    };
    vec![
        ("interval", ends(by_interval.outputs(network))),
        ("crown's intervals", ends(by_crown.outputs(network))),
        (
            "elision",
            lower_interval(network, region, &by_interval, &rows, options).unwrap(),
        ),
        (
            "crown",
            lower(network, region, &by_crown, &rows, &slopes, options).unwrap(),
        ),
        (
            "crown on intervals",
            lower(network, region, &by_interval, &rows, &slopes, options).unwrap(),
        ),
    ]
}

test!(a_point_is_enclosed_exactly);
/// A box without width, weights of 24 bits: the enclosure holds the exact value.
fn a_point_is_enclosed_exactly() {
    let mut random = Random::new(1);
    for _ in 0..40 {
        let layers = layers(&mut random, &[5, 8, 6, 3], 1 << 23);
        let network = network(&layers, 23);
        let x: Vec<i64> = (0..5).map(|_| random.integer(1 << 10)).collect();
        let exact = outputs(&layers, &x, 23, 10);
        let image: Vec<f64> = x.iter().map(|&x| x as f64 / 1024.0).collect();
        let region = Region::Box {
            lower: image.clone(),
            upper: image,
        };
        for (method, bounds) in all_bounds(&network, &region) {
            for (pair, &exact) in bounds.chunks(2).zip(&exact) {
                assert!(is_below(pair[0], exact, 79), "{method}");
                assert!(is_below(pair[1], -exact, 79), "{method}");
                assert!(-pair[1] - pair[0] < 1e-9, "{method} is wide");
            }
        }
    }
}

test!(sampled_points_are_enclosed_exactly);
fn sampled_points_are_enclosed_exactly() {
    let mut random = Random::new(2);
    for round in 0..20 {
        let layers = layers(&mut random, &[4, 7, 7, 2], 1 << 23);
        let network = network(&layers, 23);
        let centre: Vec<i64> = (0..4).map(|_| random.integer(1 << 10)).collect();
        let radius = 1 << (round % 10);
        let end = |by: i64| centre.iter().map(|&x| (x + by) as f64 / 1024.0).collect();
        let region = Region::Box {
            lower: end(-radius),
            upper: end(radius),
        };
        let bounds = all_bounds(&network, &region);
        for _ in 0..50 {
            let x: Vec<i64> = centre.iter().map(|c| c + random.integer(radius)).collect();
            let exact = outputs(&layers, &x, 23, 10);
            for (method, bounds) in &bounds {
                for (pair, &exact) in bounds.chunks(2).zip(&exact) {
                    assert!(is_below(pair[0], exact, 79), "{method}");
                    assert!(is_below(pair[1], -exact, 79), "{method}");
                }
            }
        }
    }
}

/// A point of a line, `numerator / denominator`, with a positive denominator.
type Fraction = (i128, i128);

/// The least value on `t` in `[0, 1]` of each output of integer layers at `start + t direction`,
/// by enumeration of all pieces on which the network is linear.
pub(crate) fn least_on_line(layers: &[Layer], start: &[i64], direction: &[i64]) -> Vec<Fraction> {
    let mut pieces: Vec<[Fraction; 2]> = vec![[(0, 1), (1, 1)]];
    let mut least: Vec<Fraction> = Vec::new();
    while let Some([from, to]) = pieces.pop() {
        // Every value is a + b t in integers on the piece, until a ReLU's argument changes sign.
        let mut values: Vec<[i128; 2]> = (start.iter().zip(direction))
            .map(|(&a, &b)| [a.into(), b.into()])
            .collect();
        let mut crossing = None;
        for (i, layer) in layers.iter().enumerate() {
            let rows = layer.weights.iter().zip(&layer.bias);
            let made = rows.map(|(weights, &bias)| {
                let products = weights.iter().zip(&values);
                products.fold([i128::from(bias), 0], |sum, (&w, v)| {
                    [0, 1].map(|part| sum[part] + i128::from(w) * v[part])
                })
            });
            values = made.collect();
            if i + 1 == layers.len() {
                break;
            }
            for value in &mut values {
                let at = |(n, d): Fraction| value[0] * d + value[1] * n;
                let ends = [at(from), at(to)];
                if ends[0] * ends[1].signum() < 0 {
                    let sign = value[1].signum();
                    crossing = Some((-value[0] * sign, value[1] * sign));
                    break;
                }
                if ends[0] < 0 || ends[1] < 0 {
                    *value = [0, 0];
                }
            }
            if crossing.is_some() {
                break;
            }
        }
        if let Some(middle) = crossing {
            pieces.extend([[from, middle], [middle, to]]);
            continue;
        }
        for (output, value) in values.iter().enumerate() {
            for (n, d) in [from, to] {
                let found = (value[0] * d + value[1] * n, d);
                match least.get_mut(output) {
                    None => least.push(found),
                    Some(known) if found.0 * known.1 < known.0 * d => *known = found,
                    Some(_) => {}
                }
            }
        }
    }
    least
}

test!(enumeration_is_never_beaten);
/// All pieces along lines through the box; where the box is a line, this is the true minimum.
fn enumeration_is_never_beaten() {
    let mut random = Random::new(3);
    let mut slack = Vec::new();
    for round in 0..200 {
        let inputs = 1 + round % 3;
        let layers = layers(&mut random, &[inputs, 4, 4, 2], 4);
        let network = network(&layers, 0);
        let start: Vec<i64> = (0..inputs).map(|_| random.integer(4)).collect();
        let width = 1 + round as i64 % 4;
        let end = |by: i64| start.iter().map(|&x| (x + by) as f64).collect();
        let region = Region::Box {
            lower: end(0),
            upper: end(width),
        };
        for (method, bounds) in all_bounds(&network, &region) {
            for line in 0..4 {
                let direction: Vec<i64> = (0..inputs)
                    .map(|_| {
                        if line == 0 {
                            width
                        } else {
                            random.integer(width).abs()
                        }
                    })
                    .collect();
                let least = least_on_line(&layers, &start, &direction);
                for (pair, (n, d)) in bounds.chunks(2).zip(least) {
                    // bound <= n / d, exactly: both sides are far below 2^53 d.
                    let truth = n as f64 / d as f64;
                    let below = pair[0] <= truth.next_up();
                    assert!(
                        below && (pair[0] * d as f64).floor() as i128 <= n,
                        "{method}"
                    );
                    if inputs == 1 && line == 0 && method == "crown" {
                        slack.push((truth - pair[0]) / (1.0 + truth.abs()));
                    }
                }
            }
        }
    }
    // Where nothing is unstable, CROWN is exact but for rounding.
    let tight = slack.iter().filter(|slack| **slack < 1e-9).count();
    assert!(tight * 10 > slack.len(), "{tight} of {}", slack.len());
}

test!(merging_rows_equals_the_hand_computation);
fn merging_rows_equals_the_hand_computation() {
    // y = (h, h + g), with h = relu(x0) in [0, 2] and g = relu(x1) in [0, 1].
    let layers = [
        Layer {
            weights: vec![vec![1, 0], vec![0, 1]],
            bias: vec![0, 0],
        },
        Layer {
            weights: vec![vec![1, 0], vec![1, 1]],
            bias: vec![0, 1],
        },
    ];
    let network = network(&layers, 0);
    let region = Region::Box {
        lower: vec![-1.0, -1.0],
        upper: vec![2.0, 1.0],
    };
    let bounds = interval(&network, &region).unwrap();
    let rows = recert_bounds::Property::label(2, 1).unwrap().rows();
    let options = Options::default();
    // y1 - y0 = g + 1, at least 1. The outputs' intervals alone give 1 - 2 = -1.
    let merged = lower_interval(&network, &region, &bounds, &rows, options).unwrap();
    assert!(merged[0] <= 1.0 && merged[0] > 1.0 - 1e-12);
    let (low, high) = bounds.outputs(&network);
    assert!((low[1] - high[0] + 1.0).abs() < 1e-12);
}
