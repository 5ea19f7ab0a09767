use super::*;
use crate::cells::{Cells, PixelBounds};
use crate::network::{Layer, Network};
use crate::pass::loaded;
use crate::random::{Purpose, generator};
use crate::tensor::composed;
use crate::testing::{batch, networks};

/// A weight of 1 leaves the gradient that of the loss.
const LATENT: Latent = Latent {
    relus: 1,
    weight: 1.0,
    connector: 0.4,
};

const METHODS: [Method; 15] = [
    Method::Standard,
    Method::Gaussian { sigma: 0.25 },
    Method::GaussianHinge {
        sigma: 0.25,
        margin: 2.0,
        weight: 0.3,
    },
    Method::GaussianIbp {
        sigma: 0.25,
        alpha: 0.3,
    },
    Method::Pgd,
    Method::SmoothAdv {
        sigma: 0.25,
        samples: 2,
    },
    Method::Ibp,
    Method::CrownIbp,
    Method::Sabr { tau: 0.4 },
    Method::MtlIbp { alpha: 0.3 },
    Method::CcIbp { alpha: 0.3 },
    Method::ExpIbp { alpha: 0.3 },
    Method::Taps { latent: LATENT },
    Method::Staps {
        tau: 0.4,
        latent: LATENT,
    },
    Method::Geometric,
];

/// The methods that a network can be trained by, with as few layers attacked as it can have.
fn methods(network: &Network) -> impl Iterator<Item = Method> {
    let least = Cut::all(network).first().map(|cut| cut.relus);
    METHODS.into_iter().filter_map(move |method| {
        let latent = |latent: Latent| least.map(|relus| Latent { relus, ..latent });
        Some(match method {
            Method::Taps { latent: given } => Method::Taps {
                latent: latent(given)?,
            },
            Method::Staps { tau, latent: given } => Method::Staps {
                tau,
                latent: latent(given)?,
            },
            other => other,
        })
    })
}

/// Cells of a few degrees, and of a change of value.
fn cells() -> Cells {
    Cells {
        transformation: "rotate=-20..20,brightness=-0.1..0.1".parse().unwrap(),
        widths: vec![3.0, 0.02],
        pixels: PixelBounds::Knapsack,
        per_batch: 2,
    }
}

fn moment() -> Moment {
    Moment {
        eps: 0.05,
        beta: 0.6,
        clean: 0.25,
        regularizer: 0.5,
        shrink: 1.0,
    }
}

/// The parameters in float64, each with its columns.
fn doubles(network: &Network) -> Vec<(usize, Vec<f64>)> {
    let shapes = network.shapes();
    (network.parameters.iter().zip(shapes))
        .map(|(values, [_, columns])| (columns, values.iter().map(|&x| x.into()).collect()))
        .collect()
}

fn found(method: &Method, network: &Network, pixels: &[f32], labels: &[usize]) -> Prepared {
    let columns = network.image.iter().product();
    let images = Matrix::new(columns, pixels, Precision::Single);
    let trained = Pass::training(network, loaded(network, Precision::Single), &images);
    let noise = |sample: usize| recert_graph::testing::noise(sample as u32, pixels.len());
    let mut drawn = generator(1, Purpose::Cells, 0, 0);
    let transformed = cells().drawn(1.0, network.image, pixels, &mut drawn);
    let transformed = transformed.unwrap();
    let batch = Batch {
        pixels,
        labels,
        columns,
        ends: Some(&transformed.ends),
    };
    let attack = Attack {
        restarts: 3,
        ..Attack::default()
    };
    let mut random = generator(1, Purpose::Attack, 0, 0);
    let pass = &trained.pass;
    prepared(method, &moment(), &attack, batch, pass, &noise, &mut random)
}

#[test]
fn gradients_are_finite_differences_for_every_layer_and_method() {
    /// Half the distance of the two values whose difference is taken.
    const STEP: f64 = 1e-6;
    for (name, network) in networks() {
        let (pixels, labels) = batch(&network, 6);
        let wide: Vec<f64> = pixels.iter().map(|&x| x.into()).collect();
        let images = Matrix::double(60, &wide);
        for method in methods(&network) {
            let prepared = found(&method, &network, &pixels, &labels).doubled();
            let value = |parameters: Vec<Matrix>| {
                let trained = Pass::training(&network, parameters, &images);
                let (pass, logits) = (trained.pass, trained.logits);
                let loss = loss(&method, &moment(), &labels, &pass, Some(&logits), &prepared);
                (loss.total, pass.parameters)
            };
            let base = doubles(&network);
            let read = |values: &[(usize, Vec<f64>)]| -> Vec<Matrix> {
                let matrices = values.iter();
                matrices
                    .map(|(columns, values)| Matrix::double(*columns, values))
                    .collect()
            };
            let tracked = read(&base).iter().map(Matrix::tracked).collect();
            let (total, leaves) = value(tracked);
            let derivatives = total.derivatives();
            let gradients = leaves.iter().map(|leaf| {
                let gradient = derivatives.by(leaf).expect("all weights count");
                gradient.doubles()
            });
            let gradients: Vec<Vec<f64>> = gradients.collect();
            let largest = gradients
                .iter()
                .flatten()
                .fold(1.0, |a: f64, b| a.max(b.abs()));
            for (position, gradient) in gradients.iter().enumerate() {
                for element in (0..gradient.len()).step_by(1 + gradient.len() / 7) {
                    let at = |by: f64| {
                        let mut moved = base.clone();
                        moved[position].1[element] += by;
                        value(read(&moved)).0.doubles()[0]
                    };
                    let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                    assert!(
                        (difference - gradient[element]).abs() <= 1e-6 * largest,
                        "{name}, {method}, parameter {position}, element {element}: \
                         {difference} and {}, of up to {largest}",
                        gradient[element]
                    );
                }
            }
        }
    }
}

/// The gradients of the loss on [`batch`] of 6, one after the other.
fn gradients(
    method: &Method,
    network: &Network,
    precision: Precision,
    prepared: &Prepared,
) -> Vec<f64> {
    let (pixels, labels) = batch(network, 6);
    let parameters = loaded(network, precision);
    let parameters = parameters.iter().map(Matrix::tracked).collect();
    let images = Matrix::new(60, &pixels, precision);
    let trained = Pass::training(network, parameters, &images);
    let (pass, logits) = (trained.pass, trained.logits);
    let loss = loss(method, &moment(), &labels, &pass, Some(&logits), prepared);
    let derivatives = loss.total.derivatives();
    let leaves = pass.parameters.iter();
    leaves
        .flat_map(|leaf| derivatives.by(leaf).unwrap().doubles())
        .collect()
}

#[test]
fn gradients_in_float32_and_by_burns_operations_are_those_in_float64() {
    for (name, network) in networks() {
        let (pixels, labels) = batch(&network, 6);
        for method in methods(&network) {
            let prepared = found(&method, &network, &pixels, &labels);
            let single = gradients(&method, &network, Precision::Single, &prepared);
            let prepared = prepared.doubled();
            let double = gradients(&method, &network, Precision::Double, &prepared);
            let other = composed(|| gradients(&method, &network, Precision::Double, &prepared));
            let largest = double.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            for (found, most) in [(single, 2e-5), (other, 1e-12)] {
                for (found, double) in found.iter().zip(&double) {
                    let apart = (found - double).abs();
                    assert!(
                        apart <= most * largest,
                        "{name}, {method}: {found} {double}"
                    );
                }
            }
        }
    }
}

/// The label's lower logit less the others' upper ones, from the ends of what the last layer takes.
fn worst(pass: &Pass<'_>, prepared: &Prepared, labels: &[usize]) -> Vec<f64> {
    let classes = pass.network.classes();
    let intervals = bounds::intervals(pass, prepared.region.as_ref().unwrap(), 1.0);
    let [lower, upper] = intervals.penultimate.ends().map(|end| end.doubles());
    let [weights, bias] = [2, 1].map(|back| {
        let count = pass.parameters.len();
        pass.parameters[count - back].doubles()
    });
    let inputs = weights.len() / classes;
    let rows = lower.chunks(inputs).zip(upper.chunks(inputs)).zip(labels);
    let end = |class: usize, [below, above]: [&[f64]; 2]| -> f64 {
        let row = weights[class * inputs..(class + 1) * inputs].iter();
        let terms = row.zip(below.iter().zip(above));
        let sum: f64 = terms
            .map(|(w, (l, u))| if *w > 0.0 { w * l } else { w * u })
            .sum();
        sum + bias[class]
    };
    rows.flat_map(|((lower, upper), &label)| {
        let others = (0..classes).filter(move |&other| other != label);
        let low = end(label, [lower, upper]);
        others
            .map(move |other| low - end(other, [upper, lower]))
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Each attacked point's own margin, of all that its logits have.
fn attacked_margins(pass: &Pass<'_>, prepared: &Prepared, labels: &[usize]) -> Vec<f64> {
    let classes = pass.network.classes();
    let points = prepared.latent.as_ref().unwrap();
    let logits = points.cut.logits(pass, &points.values).doubles();
    let margins = logits.chunks(classes).enumerate().map(|(row, logits)| {
        let label = labels[row / (classes - 1)];
        let mut others = (0..classes).filter(|&class| class != label);
        logits[label] - logits[others.nth(row % (classes - 1)).unwrap()]
    });
    margins.collect()
}

#[test]
fn losses_are_their_definitions() {
    let (_, network) = networks().swap_remove(1);
    let (pixels, labels) = batch(&network, 6);
    let classes = network.classes();
    let pass = || Pass::evaluating(&network, loaded(&network, Precision::Single));
    let pass = pass();
    let images = Matrix::new(60, &pixels, Precision::Single);
    let clean = pass.logits(&images);
    // By the definitions, in float64.
    let entropy = |logits: &[f64], label: usize| {
        let sum: f64 = logits.iter().map(|x| (x - logits[label]).exp()).sum();
        sum.ln()
    };
    let of_logits = |logits: &Matrix| {
        let values = logits.doubles();
        let rows = values.chunks(classes).zip(&labels);
        rows.map(|(row, &label)| entropy(row, label)).sum::<f64>() / labels.len() as f64
    };
    let of_margins = |margins: &[f64]| {
        let rows = margins.chunks(classes - 1);
        let each = rows.map(|row| {
            let logits: Vec<f64> = std::iter::once(0.0).chain(row.iter().map(|m| -m)).collect();
            entropy(&logits, 0)
        });
        each.sum::<f64>() / labels.len() as f64
    };
    let moment = Moment {
        regularizer: 0.0,
        ..moment()
    };
    let (weight, beta) = (moment.clean, moment.beta);
    for method in METHODS {
        let prepared = found(&method, &network, &pixels, &labels);
        let made = loss(&method, &moment, &labels, &pass, Some(&clean), &prepared);
        let adversarial = prepared.points.as_ref().map(|points| pass.logits(points));
        let bounds = prepared.region.as_ref().map(|region| {
            let rows = bounds::rows(&labels, classes, Precision::Single);
            let intervals = bounds::intervals(&pass, region, 1.0);
            [bounds::ibp_margins, bounds::crown_margins]
                .map(|bound| bound(&pass, &intervals, &rows).doubles())
        });
        let mixed = |share: f64, a: &[f64], b: &[f64]| -> Vec<f64> {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| share * a + (1.0 - share) * b).collect()
        };
        let reached = adversarial
            .as_ref()
            .filter(|a| a.rows() == labels.len())
            .map(|logits| {
                let values = logits.doubles();
                let rows = values.chunks(classes).zip(&labels);
                let margins = rows.flat_map(|(row, &label)| {
                    let others = (0..classes).filter(move |&other| other != label);
                    others
                        .map(move |other| row[label] - row[other])
                        .collect::<Vec<_>>()
                });
                margins.collect::<Vec<f64>>()
            });
        let robust = match (method, &adversarial, &bounds) {
            (Method::SmoothAdv { samples, .. }, Some(logits), _) => {
                let values = logits.doubles();
                let labels = labels.iter().flat_map(|&y| std::iter::repeat_n(y, samples));
                let rows = values.chunks(classes).zip(labels);
                let sum: f64 = rows.map(|(row, label)| entropy(row, label)).sum();
                sum / logits.rows() as f64
            }
            (Method::Ibp | Method::Sabr { .. }, _, Some([ibp, _])) => of_margins(ibp),
            (Method::CrownIbp, _, Some([ibp, crown])) => of_margins(&mixed(beta, crown, ibp)),
            (Method::GaussianHinge { margin, weight, .. }, Some(logits), None) => {
                let margins = reached.as_ref().unwrap();
                let hinges: f64 = margins.iter().map(|m| (margin - m).max(0.0)).sum();
                of_logits(logits) + weight * hinges / labels.len() as f64
            }
            (
                Method::MtlIbp { alpha } | Method::GaussianIbp { alpha, .. },
                Some(logits),
                Some([ibp, _]),
            ) => alpha * of_margins(ibp) + (1.0 - alpha) * of_logits(logits),
            (Method::CcIbp { alpha }, _, Some([ibp, _])) => {
                of_margins(&mixed(alpha, ibp, reached.as_ref().unwrap()))
            }
            (Method::ExpIbp { alpha }, Some(logits), Some([ibp, _])) => {
                of_margins(ibp).powf(alpha) * of_logits(logits).powf(1.0 - alpha)
            }
            (Method::Taps { .. } | Method::Staps { .. }, _, Some([ibp, _])) => {
                of_margins(ibp) * of_margins(&attacked_margins(&pass, &prepared, &labels))
            }
            (Method::Geometric, _, Some(_)) => of_margins(&worst(&pass, &prepared, &labels)),
            (_, Some(logits), None) => of_logits(logits),
            _ => of_logits(&clean),
        };
        let expected = match method {
            Method::Standard => robust,
            _ => weight * of_logits(&clean) + (1.0 - weight) * robust,
        };
        let made = made.total.doubles()[0];
        assert!(
            (made - expected).abs() < 1e-5 * expected.max(1.0),
            "{method}: {made} {expected}"
        );
    }
}

#[test]
fn attacked_margins_lie_between_bounds_and_those_of_other_points() {
    for (name, network) in networks() {
        let (pixels, labels) = batch(&network, 5);
        let classes = network.classes();
        let Some(method) = methods(&network).find(|method| method.name() == "taps") else {
            continue;
        };
        let prepared = found(&method, &network, &pixels, &labels);
        let (points, region) = (prepared.latent.unwrap(), prepared.region.unwrap());
        let cut = points.cut;
        // The statistics that points were found with.
        let images = Matrix::new(60, &pixels, Precision::Single);
        let pass = Pass::training(&network, loaded(&network, Precision::Single), &images).pass;
        let rows = bounds::rows(&labels, classes, Precision::Single);
        let intervals = bounds::intervals(&pass, &region, 1.0);
        let bound = bounds::ibp_margins(&pass, &intervals, &rows).doubles();
        let attacked = points.margins(&pass, &intervals, 1.0, &rows).doubles();
        let margins = classes - 1;
        let at = |share: f64| {
            let [low, high] = &points.ends;
            let between = low.add(&high.sub(low).scale(share)).repeated(margins);
            cut.logits(&pass, &between).mul(&rows).sum_rows().doubles()
        };
        let middle = at(0.5);
        for (position, attacked) in attacked.iter().enumerate() {
            let (bound, middle) = (bound[position], middle[position]);
            assert!(bound <= attacked + 1e-5, "{name}: {bound} {attacked}");
            assert!(*attacked <= middle + 1e-5, "{name}: {attacked} {middle}");
        }
        let sum = |margins: &[f64]| margins.iter().sum::<f64>();
        for share in [0.0, 0.3, 0.7, 1.0] {
            assert!(sum(&attacked) < sum(&at(share)), "{name}, {share}");
        }
        let [low, high] = points
            .ends
            .each_ref()
            .map(|end| end.repeated(margins).values());
        let inside = |(x, (low, high)): (f32, (&f32, &f32))| *low <= x && x <= *high;
        let ends = low.iter().zip(&high);
        assert!(
            points.values.values().into_iter().zip(ends).all(inside),
            "{name}"
        );
    }
}

#[test]
fn the_gradient_of_attacked_margins_is_weighted() {
    const STEP: f64 = 1e-6;
    let (_, network) = networks().swap_remove(3);
    let (pixels, labels) = batch(&network, 6);
    let wide: Vec<f64> = pixels.iter().map(|&x| x.into()).collect();
    let images = Matrix::double(60, &wide);
    let latent = Latent {
        weight: 4.0,
        ..LATENT
    };
    let method = Method::Taps { latent };
    let prepared = found(&method, &network, &pixels, &labels).doubled();
    let moment = Moment {
        clean: 0.0,
        regularizer: 0.0,
        ..moment()
    };
    let value = |method: &Method, parameters: Vec<Matrix>| {
        let pass = Pass::training(&network, parameters, &images).pass;
        let loss = loss(method, &moment, &labels, &pass, None, &prepared);
        (loss.total, pass.parameters)
    };
    let base = doubles(&network);
    let read = |values: &[(usize, Vec<f64>)]| -> Vec<Matrix> {
        let matrices = values.iter();
        matrices
            .map(|(columns, values)| Matrix::double(*columns, values))
            .collect()
    };
    let tracked = read(&base).iter().map(Matrix::tracked).collect();
    let (total, leaves) = value(&method, tracked);
    let derivatives = total.derivatives();
    let gradients = leaves
        .iter()
        .map(|leaf| derivatives.by(leaf).unwrap().doubles());
    let gradients: Vec<Vec<f64>> = gradients.collect();
    let largest = gradients
        .iter()
        .flatten()
        .fold(1.0, |a: f64, b| a.max(b.abs()));
    for (position, gradient) in gradients.iter().enumerate() {
        for element in (0..gradient.len()).step_by(1 + gradient.len() / 5) {
            // The losses on bounds and on attacked margins, of which the product is the loss.
            let parts = |by: f64| {
                let mut moved = base.clone();
                moved[position].1[element] += by;
                let [product, bounded] =
                    [method, Method::Ibp].map(|method| value(&method, read(&moved)).0.doubles()[0]);
                [bounded, product / bounded]
            };
            let [low, middle, high] = [-STEP, 0.0, STEP].map(parts);
            let slope = |part: usize| (high[part] - low[part]) / (2.0 * STEP);
            let expected = slope(0) * middle[1] + 4.0 * middle[0] * slope(1);
            assert!(
                (expected - gradient[element]).abs() <= 1e-6 * largest,
                "parameter {position}: {expected} and {}, of up to {largest}",
                gradient[element]
            );
        }
    }
}

#[test]
fn networks_are_cut_behind_relus_outside_of_blocks() {
    for (name, network) in networks() {
        for cut in Cut::all(&network) {
            let is_relu = |layer: &&Layer| matches!(layer, Layer::Relu { .. });
            let (before, after) = network.layers.split_at(cut.layer);
            assert!(before.last().as_ref().is_some_and(is_relu), "{name}");
            let count = after.iter().filter(is_relu).count();
            assert_eq!((count, count > 0), (cut.relus, true), "{name}");
            let blocks = |layers: &[Layer]| {
                let count = |kind: fn(&Layer) -> bool| layers.iter().filter(|l| kind(l)).count();
                let forks = count(|layer| matches!(layer, Layer::Fork { .. }));
                (forks, count(|layer| matches!(layer, Layer::Add { .. })))
            };
            let (forks, sums) = blocks(after);
            assert_eq!(forks, sums, "{name}");
        }
    }
    let residual = Cut::all(&networks().pop().unwrap().1);
    let relus: Vec<usize> = residual.iter().map(|cut| cut.relus).collect();
    assert_eq!(relus, [2, 3, 5]);
}

#[test]
fn boxes_lie_within_eps_and_the_image() {
    let pixels = [0.0, 0.5, 1.0, 0.3];
    let points = [0.1, 0.4, 0.9, 0.35];
    let ends = |region: Interval| region.ends().map(|end| end.doubles());
    let close = |a: &[f64], b: [f64; 4]| {
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6),
            "{a:?} {b:?}"
        );
    };
    let [low, high] = ends(region(&pixels, &pixels, 0.1, 1.0, 4));
    close(&low, [0.0, 0.4, 0.9, 0.2]);
    close(&high, [0.1, 0.6, 1.0, 0.4]);
    // SABR: a fifth of each box, which is half as wide at 0 and at 1, around the point within it.
    let [low, high] = ends(region(&pixels, &points, 0.1, 0.2, 4));
    close(&low, [0.08, 0.4, 0.9, 0.33]);
    close(&high, [0.1, 0.44, 0.92, 0.37]);
}
