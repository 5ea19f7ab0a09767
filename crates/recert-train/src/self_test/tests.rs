use super::*;
use crate::network::{Initialization, Normalization};
use crate::tensor::composed;
use crate::testing::networks;
use crate::window::Window;

fn sizes(count: usize) -> Sizes {
    Sizes {
        values: vec![count, 3],
        intervals: vec![count],
        rows: vec![count],
        attacked: Some((2, vec![2 * count])),
    }
}

/// The operations of other devices, on the processor.
#[expect(
    clippy::unnecessary_wraps,
    reason = "as a device is asked, which may fail"
)]
fn other(probe: &Probe, mut numbers: Numbers) -> Result<Computed> {
    Ok(composed(|| probe.computed(&mut numbers)))
}

#[test]
fn burns_operations_compute_what_ours_do() {
    for (name, network) in networks() {
        let probes = Probe::all(&network, &sizes(7));
        let worst = compared(&probes, "burn", &other);
        let worst = worst.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

#[test]
fn every_layer_is_probed_in_every_way_and_most_of_them_exactly() {
    for (name, network) in networks() {
        let probes = Probe::all(&network, &sizes(7));
        for layer in network.layers() {
            let framing = matches!(
                layer,
                Layer::Fork { .. } | Layer::Add { .. } | Layer::Shortcut { .. }
            );
            let found = probes.iter().filter(|probe| probe.layer == *layer);
            let found = found.count();
            assert!(
                found >= 4 || framing,
                "{name}: {layer:?} has {found} probes"
            );
        }
        let exact = probes.iter().filter(|probe| probe.is_exact()).count();
        assert!(2 * exact > probes.len(), "{name}: {exact}");
    }
}

/// A convolution of as many pixels as some devices lose terms of, and what comes after it.
pub(crate) fn long() -> Network {
    let image = [1, 12, 12];
    let window = Window::new(image, 2, [3, 3], [1, 1], [1, 1, 1, 1]).unwrap();
    let neurons = window.outputs();
    let layers = vec![
        Layer::Convolution(window),
        Layer::Relu { neurons },
        Layer::Linear {
            inputs: neurons,
            outputs: 3,
        },
    ];
    let normalization = Normalization {
        mean: vec![0.5],
        std: vec![0.5],
    };
    Network::new(image, layers, normalization, Initialization::He, 1).unwrap()
}

/// The terms of a sum over images and positions that the broken device has.
const TERMS: usize = 262_144;

/// A device that loses the terms after these of the derivatives by a convolution's weights, as one was
/// found to.
pub(crate) fn losing_terms(probe: &Probe, numbers: Numbers) -> Result<Computed> {
    let mut computed = computed_on(Device::Cpu)(probe, numbers.clone())?;
    if let (Step::Values, Layer::Convolution(window)) = (probe.step, probe.layer) {
        let examples = probe.examples.min(TERMS / window.positions());
        let kept = Probe { examples, ..*probe };
        // Result, then derivatives by inputs, weights and biases.
        computed[2] = computed_on(Device::Cpu)(&kept, numbers)?.swap_remove(2);
    }
    Ok(computed)
}

#[test]
fn a_device_that_loses_terms_of_long_sums_is_refused() {
    let network = long();
    // As many terms as there are kept, and one image more.
    let images = TERMS / 144;
    let tested = |count| {
        let sizes = Sizes {
            values: vec![count],
            ..Sizes::default()
        };
        compared(
            &Probe::all(&network, &sizes),
            "a broken device",
            &losing_terms,
        )
    };
    tested(images).unwrap();
    let error = tested(images + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    let text = error.to_string();
    for part in [
        "a broken device computes wrongly",
        "the derivatives by the weights in values of layer 0, Convolution",
        "for 1821 examples",
        "train on the cpu",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn every_other_damage_is_refused_too() {
    type Damage = fn(&Probe, &mut Computed);
    let damages: [(&str, Damage, &str); 6] = [
        (
            "products of fewer bits",
            |_, made| {
                // 10 bits of mantissa, as TF32 has.
                let rounded = |x: f32| f32::from_bits((x.to_bits() + 0x1000) & !0x1fff);
                made.iter_mut().flatten().for_each(|x| *x = rounded(*x));
            },
            "result 0 in ",
        ),
        (
            "no number",
            |probe, made| {
                if probe.step == Step::Lowest {
                    made[1][0] = f32::NAN;
                }
            },
            "the derivatives by the rows in lower bounds",
        ),
        (
            "a missing derivative",
            |probe, made| {
                if probe.step == Step::Sums {
                    made.last_mut().unwrap().clear();
                }
            },
            "the derivatives by the radii in the regularisers' sums",
        ),
        (
            "another derivative at the kink",
            |probe, made| {
                let relu = matches!(probe.layer, Layer::Relu { .. });
                if relu && probe.step == Step::Values {
                    let zero = made[0]
                        .iter()
                        .zip(&made[1])
                        .position(|(y, g)| *y == 0.0 && *g == 0.0);
                    made[1][zero.unwrap()] = 1.0;
                }
            },
            "the derivatives by the inputs in values",
        ),
        (
            "one element of one bias",
            |probe, made| {
                if probe.step == Step::Margins {
                    made.last_mut().unwrap()[1] += 1.0;
                }
            },
            "the derivatives by the biases in rows of margins",
        ),
        (
            "an interval that is not around its centre",
            |probe, made| {
                if probe.step == Step::Intervals {
                    made[1][0] *= 0.999;
                }
            },
            "result 1 in intervals",
        ),
    ];
    let sizes = Sizes {
        values: vec![40],
        intervals: vec![40],
        rows: vec![40],
        attacked: None,
    };
    let probes = Probe::all(&long(), &sizes);
    for (name, damage, expected) in damages {
        let damaged = |probe: &Probe, numbers: Numbers| {
            let mut computed = computed_on(Device::Cpu)(probe, numbers)?;
            damage(probe, &mut computed);
            Ok(computed)
        };
        let error = compared(&probes, "a broken device", &damaged).expect_err(name);
        let text = error.to_string();
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn differences_are_measured_by_the_largest() {
    let measured =
        |expected: &[f32], found: &[f32], allowed| difference("d", "w", expected, found, allowed);
    let difference = measured(&[4.0, 0.5], &[4.0, 0.25], [0.1, 0.0]).unwrap();
    assert_eq!(difference, 0.0625);
    assert!(measured(&[4.0, 0.5], &[4.0, 0.0], [0.1, 0.0]).is_err());
    assert_eq!(measured(&[0.0], &[0.0], [0.0, 0.0]).unwrap(), 0.0);
    assert!(measured(&[0.0], &[1e-9], [0.5, 0.0]).is_err());
    assert!(measured(&[0.0], &[1e-9], [0.5, 1.0]).is_ok());
    assert!(measured(&[f32::NAN], &[f32::NAN], [0.5, 1.0]).is_err());
    assert!(measured(&[1.0, 1.0], &[1.0], [0.5, 1.0]).is_err());
}
