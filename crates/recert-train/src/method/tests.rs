use super::*;
use crate::network::Network;
use crate::pass::loaded;
use crate::random::{Purpose, generator};
use crate::testing::{batch, networks};

const METHODS: [Method; 10] = [
    Method::Standard,
    Method::Gaussian { sigma: 0.25 },
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
];

fn moment() -> Moment {
    Moment {
        eps: 0.05,
        beta: 0.6,
        clean: 0.25,
        regularizer: 0.5,
    }
}

/// The parameters in float64, each with its columns.
fn doubles(network: &Network) -> Vec<(usize, Vec<f64>)> {
    let shapes = network.shapes();
    (network.parameters.iter().zip(shapes))
        .map(|(values, [_, columns])| (columns, values.iter().map(|&x| x.into()).collect()))
        .collect()
}

/// The matrices of what was prepared, in float64.
fn widened(prepared: &Prepared) -> Prepared {
    let wide = |matrix: &Matrix| Matrix::double(matrix.columns(), &matrix.doubles());
    Prepared {
        points: prepared.points.as_ref().map(wide),
        region: prepared.region.as_ref().map(|region| Interval {
            centre: wide(&region.centre),
            radius: wide(&region.radius),
        }),
    }
}

fn found(method: &Method, network: &Network, pixels: &[f32], labels: &[usize]) -> Prepared {
    let columns = network.image.iter().product();
    let images = Matrix::new(columns, pixels, Precision::Single);
    let trained = Pass::training(network, loaded(network, Precision::Single), &images);
    let noise = |sample: usize| recert_graph::testing::noise(sample as u32, pixels.len());
    let batch = Batch {
        pixels,
        labels,
        columns,
    };
    let attack = Attack::default();
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
        for method in METHODS {
            let prepared = widened(&found(&method, &network, &pixels, &labels));
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
            for (position, leaf) in leaves.iter().enumerate() {
                let gradient = derivatives.by(leaf).expect("all weights count").doubles();
                let largest = gradient.iter().fold(1e-3, |a: f64, b| a.max(b.abs()));
                for element in (0..gradient.len()).step_by(1 + gradient.len() / 7) {
                    let at = |by: f64| {
                        let mut moved = base.clone();
                        moved[position].1[element] += by;
                        value(read(&moved)).0.doubles()[0]
                    };
                    let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                    assert!(
                        (difference - gradient[element]).abs() <= 1e-6 * largest.max(1.0),
                        "{name}, {method}, parameter {position}, element {element}: \
                         {difference} and {}",
                        gradient[element]
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_in_float32_are_those_in_float64() {
    for (name, network) in networks() {
        let (pixels, labels) = batch(&network, 6);
        for method in METHODS {
            let prepared = found(&method, &network, &pixels, &labels);
            let gradients = |precision, prepared: &Prepared| -> Vec<Vec<f64>> {
                let parameters = loaded(&network, precision);
                let parameters = parameters.iter().map(Matrix::tracked).collect();
                let images = Matrix::new(60, &pixels, precision);
                let trained = Pass::training(&network, parameters, &images);
                let (pass, logits) = (trained.pass, trained.logits);
                let loss = loss(&method, &moment(), &labels, &pass, Some(&logits), prepared);
                let derivatives = loss.total.derivatives();
                let leaves = pass.parameters.iter();
                leaves
                    .map(|leaf| derivatives.by(leaf).unwrap().doubles())
                    .collect()
            };
            let single = gradients(Precision::Single, &prepared);
            let double = gradients(Precision::Double, &widened(&prepared));
            let largest = double
                .iter()
                .flatten()
                .fold(0.0, |a: f64, b| a.max(b.abs()));
            for (single, double) in single.iter().flatten().zip(double.iter().flatten()) {
                let apart = (single - double).abs();
                assert!(
                    apart <= 2e-5 * largest,
                    "{name}, {method}: {single} {double}"
                );
            }
        }
    }
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
            let intervals = bounds::intervals(&pass, region);
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
            (Method::MtlIbp { alpha }, Some(logits), Some([ibp, _])) => {
                alpha * of_margins(ibp) + (1.0 - alpha) * of_logits(logits)
            }
            (Method::CcIbp { alpha }, _, Some([ibp, _])) => {
                of_margins(&mixed(alpha, ibp, reached.as_ref().unwrap()))
            }
            (Method::ExpIbp { alpha }, Some(logits), Some([ibp, _])) => {
                of_margins(ibp).powf(alpha) * of_logits(logits).powf(1.0 - alpha)
            }
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
    let [low, high] = ends(region(&pixels, &pixels, 0.1, 0.1, 4));
    close(&low, [0.0, 0.4, 0.9, 0.2]);
    close(&high, [0.1, 0.6, 1.0, 0.4]);
    // SABR: the centre is within 0.08 of the pixel, the radius 0.02.
    let [low, high] = ends(region(&pixels, &points, 0.1, 0.02, 4));
    close(&low, [0.06, 0.4, 0.9, 0.33]);
    close(&high, [0.1, 0.44, 0.94, 0.37]);
}
