//! Whole trainings on small data.

use std::ops::ControlFlow;

use recert_graph::testing::noise;
use recert_testing::test;
use recert_train::{
    Architecture, Attack, Augmentation, Cells, ErrorKind, Examples, Initialization, Latent, Layer,
    Method, Network, Normalization, PixelBounds, Progress, Schedule, Settings, Training,
    with_threads,
};

const IMAGE: [usize; 3] = [1, 6, 6];

/// Images of which the half with the label is bright.
pub(crate) fn examples(count: usize) -> Examples {
    let labels: Vec<usize> = (0..count).map(|i| i % 3).collect();
    let pixels = (0..count).flat_map(pixels).collect();
    Examples::new(IMAGE, pixels, labels, 3).unwrap()
}

fn pixels(image: usize) -> Vec<f32> {
    let dots = noise(image as u32, 36);
    let pixels = dots.iter().enumerate().map(|(at, dot)| {
        let bright = at / 12 == image % 3;
        (if bright { 0.75 } else { 0.25 }) + 0.15 * dot
    });
    pixels.collect()
}

pub(crate) fn network(name: &str, initialization: Initialization) -> Network {
    let layers = name.parse::<Architecture>().unwrap().layers(IMAGE, 3);
    let normalization = Normalization {
        mean: vec![0.5],
        std: vec![0.5],
    };
    Network::new(IMAGE, layers.unwrap(), normalization, initialization, 11).unwrap()
}

/// Small rotations and shifts.
fn cells(pixels: PixelBounds) -> Cells {
    Cells {
        transformation: "rotate=-8..8,translate-x=-0.5..0.5".parse().unwrap(),
        widths: vec![2.0, 0.1],
        pixels,
        per_batch: 3,
    }
}

pub(crate) fn settings(method: Method) -> Settings {
    let geometric = method == Method::Geometric;
    let base = Settings::new(method);
    let eps = if geometric { 0.0 } else { 0.05 };
    Settings {
        eps,
        validation_eps: eps,
        cells: geometric.then(|| cells(PixelBounds::Interval)),
        batch: 16,
        attack: Attack {
            steps: 3,
            ..Attack::default()
        },
        schedule: Schedule {
            epochs: 8,
            ramp_end: 4,
            learning_rate: 0.01,
            milestones: vec![6],
            ..base.schedule.clone()
        },
        validation: 12,
        seed: 5,
        ..base
    }
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn finished(training: &mut Training<'_>) {
    while !training.is_done() {
        training.epoch(on).unwrap().unwrap();
    }
}

pub(crate) const METHODS: [Method; 15] = [
    Method::Standard,
    Method::Gaussian { sigma: 0.1 },
    Method::GaussianHinge {
        sigma: 0.1,
        margin: 2.0,
        weight: 0.3,
    },
    Method::GaussianIbp {
        sigma: 0.1,
        alpha: 0.3,
    },
    Method::Pgd,
    Method::SmoothAdv {
        sigma: 0.1,
        samples: 2,
    },
    Method::Ibp,
    Method::CrownIbp,
    Method::Sabr { tau: 0.5 },
    Method::MtlIbp { alpha: 0.5 },
    Method::CcIbp { alpha: 0.5 },
    Method::ExpIbp { alpha: 0.5 },
    Method::Taps { latent: LATENT },
    Method::Staps {
        tau: 0.5,
        latent: LATENT,
    },
    Method::Geometric,
];

const LATENT: Latent = Latent {
    relus: 1,
    weight: 2.0,
    connector: 0.5,
};

test!(every_method_learns_what_it_trains_for);
fn every_method_learns_what_it_trains_for() {
    let examples = examples(120);
    for method in METHODS {
        let settings = settings(method);
        let mut training = Training::new(
            network("fc-16-12", Initialization::Interval),
            &examples,
            settings,
        )
        .unwrap();
        let [trained, kept] = training.split();
        assert_eq!((trained.len(), kept.len()), (108, 12));
        finished(&mut training);
        let losses: Vec<f64> = training.epochs().iter().map(|epoch| epoch.loss).collect();
        assert!(
            losses.iter().all(|loss| loss.is_finite()),
            "{method}: {losses:?}"
        );
        let scores = training.best().scores.unwrap();
        assert_eq!(scores.clean, 1.0, "{method}: {losses:?}");
        if method.bounds() {
            assert!(scores.certified.unwrap() >= 0.75, "{method}: {scores:?}");
            assert!(
                scores.certified <= scores.adversarial,
                "{method}: {scores:?}"
            );
        }
        let last = training.epochs().last().unwrap();
        assert_eq!(last.certified.is_some(), method.bounds());
    }
}

test!(a_resumed_training_ends_in_the_same_bits);
fn a_resumed_training_ends_in_the_same_bits() {
    let examples = examples(60);
    for (name, method) in [
        ("cnn7-bn", Method::MtlIbp { alpha: 0.5 }),
        ("fc-8", Method::Gaussian { sigma: 0.2 }),
        (
            "resnet8",
            Method::Taps {
                latent: Latent { relus: 2, ..LATENT },
            },
        ),
        ("cnn7-bn", Method::Geometric),
    ] {
        let settings = Settings {
            average_from: Some(2),
            l1: 1e-4,
            augmentation: Augmentation {
                flip: true,
                shift: 1,
            },
            schedule: Schedule {
                epochs: 4,
                ramp_end: 2,
                learning_rate: 0.01,
                milestones: vec![3],
                ..Schedule::default()
            },
            ..settings(method)
        };
        let begun = || network(name, Initialization::He);
        let mut whole = Training::new(begun(), &examples, settings.clone()).unwrap();
        finished(&mut whole);
        let mut parts = Training::new(begun(), &examples, settings.clone()).unwrap();
        for _ in 0..3 {
            parts.epoch(on).unwrap().unwrap();
            // Stopped in the middle of the next epoch.
            let checkpoint = parts.checkpoint().unwrap();
            let stopped = parts.epoch(|_| ControlFlow::Break(())).unwrap();
            assert!(stopped.is_none());
            let error = parts.epoch(on).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
            assert!(parts.checkpoint().is_err());
            let settings = settings.clone();
            parts = Training::resumed(begun(), &examples, settings, &checkpoint).unwrap();
        }
        finished(&mut parts);
        assert_eq!(parts.network(), whole.network(), "{name}");
        assert_eq!(parts.best(), whole.best(), "{name}");
        assert_eq!(parts.epochs().len(), 4);
    }
}

test!(no_bit_depends_on_the_number_of_threads);
fn no_bit_depends_on_the_number_of_threads() {
    let examples = examples(60);
    let trained = |threads| {
        with_threads(threads, || {
            let settings = Settings {
                schedule: Schedule {
                    epochs: 1,
                    ramp_end: 0,
                    ..Schedule::default()
                },
                ..settings(Method::CrownIbp)
            };
            let begun = network("cnn5", Initialization::Interval);
            let mut training = Training::new(begun, &examples, settings).unwrap();
            finished(&mut training);
            training.network().clone()
        })
        .unwrap()
    };
    assert_eq!(trained(1), trained(3));
}

test!(checkpoints_of_other_trainings_and_damaged_ones_are_refused);
fn checkpoints_of_other_trainings_and_damaged_ones_are_refused() {
    let examples = examples(60);
    let begun = || network("fc-8", Initialization::He);
    let settings = settings(Method::Ibp);
    let mut training = Training::new(begun(), &examples, settings.clone()).unwrap();
    training.epoch(on).unwrap();
    let checkpoint = training.checkpoint().unwrap();
    let refused = |settings: Settings, network: Network, bytes: &[u8]| {
        let resumed = Training::resumed(network, &examples, settings, bytes);
        let error = resumed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        error.to_string()
    };
    for at in [0, 20, 60, 200, checkpoint.len() - 1] {
        let mut bytes = checkpoint.clone();
        bytes[at] ^= 1;
        refused(settings.clone(), begun(), &bytes);
        refused(settings.clone(), begun(), &checkpoint[..at]);
    }
    let other = Settings {
        eps: 0.06,
        ..settings.clone()
    };
    assert!(refused(other, begun(), &checkpoint).contains("other settings"));
    let wider = network("fc-9", Initialization::He);
    assert!(refused(settings.clone(), wider, &checkpoint).contains("layers"));
    // The number of epochs may change.
    let longer = Settings {
        schedule: Schedule {
            epochs: 9,
            ..settings.schedule.clone()
        },
        ..settings
    };
    Training::resumed(begun(), &examples, longer, &checkpoint).unwrap();
}

test!(layers_of_one_neuron_and_images_of_one_pixel_are_trained);
fn layers_of_one_neuron_and_images_of_one_pixel_are_trained() {
    let short = |method| Settings {
        schedule: Schedule {
            epochs: 2,
            ramp_end: 1,
            ..Schedule::default()
        },
        ..settings(method)
    };
    let examples = examples(60);
    for method in METHODS {
        let begun = network("fc-6-1-6", Initialization::Interval);
        finished(&mut Training::new(begun, &examples, short(method)).unwrap());
    }
    let pixels = (0..60).map(|i| if i % 2 == 0 { 0.2 } else { 0.8 });
    let labels = (0..60).map(|i| i % 2);
    let dots = Examples::new([1; 3], pixels.collect(), labels.collect(), 2).unwrap();
    for method in [Method::Standard, Method::Pgd, Method::CrownIbp] {
        let layers = Architecture::FullyConnected(vec![1]).layers([1; 3], 2);
        let normalization = Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        };
        let how = Initialization::Interval;
        let begun = Network::new([1; 3], layers.unwrap(), normalization, how, 1).unwrap();
        finished(&mut Training::new(begun, &dots, short(method)).unwrap());
    }
}

test!(an_average_that_never_begins_changes_nothing);
fn an_average_that_never_begins_changes_nothing() {
    let examples = examples(60);
    let trained = |average_from| {
        let settings = Settings {
            average_from,
            ..settings(Method::Standard)
        };
        let begun = network("fc-8", Initialization::He);
        let mut training = Training::new(begun, &examples, settings).unwrap();
        finished(&mut training);
        training.best().clone()
    };
    assert_eq!(trained(Some(8)), trained(None));
}

test!(averaged_weights_are_what_is_kept);
fn averaged_weights_are_what_is_kept() {
    let examples = examples(60);
    let settings = Settings {
        average_from: Some(1),
        validation: 0,
        schedule: Schedule {
            epochs: 3,
            ramp_end: 0,
            ..Schedule::default()
        },
        ..settings(Method::Pgd)
    };
    let begun = network("fc-8", Initialization::He);
    let mut training = Training::new(begun, &examples, settings).unwrap();
    let mut seen = Vec::new();
    while !training.is_done() {
        training.epoch(on).unwrap();
        seen.push(training.network().clone());
    }
    assert_eq!(training.best().epoch, 2);
    let kept = &training.best().network;
    for (position, kept) in kept.parameters().iter().enumerate() {
        for (element, kept) in kept.iter().enumerate() {
            let [a, b] = [1, 2].map(|epoch: usize| seen[epoch].parameters()[position][element]);
            assert!((kept - f32::midpoint(a, b)).abs() < 1e-6);
        }
    }
}

test!(statistics_are_met_again_by_averaged_weights);
fn statistics_are_met_again_by_averaged_weights() {
    let examples = examples(60);
    let (channels, plane) = (5, 1);
    let layers = vec![
        Layer::Linear {
            inputs: 36,
            outputs: channels,
        },
        Layer::BatchNorm { channels, plane },
        Layer::Relu { neurons: channels },
        Layer::Linear {
            inputs: channels,
            outputs: 3,
        },
    ];
    let normalization = Normalization {
        mean: vec![0.25],
        std: vec![0.5],
    };
    let begun = Network::new(IMAGE, layers, normalization, Initialization::He, 2).unwrap();
    let settings = Settings {
        average_from: Some(0),
        validation: 0,
        // One batch an epoch, so that statistics are those of all images.
        batch: 64,
        schedule: Schedule {
            epochs: 3,
            ..Schedule::default()
        },
        ..settings(Method::Standard)
    };
    let mut training = Training::new(begun, &examples, settings).unwrap();
    finished(&mut training);
    let kept = &training.best().network;
    let [weights, bias] = [0, 1].map(|position| &kept.parameters()[position]);
    for channel in 0..channels {
        let row = &weights[channel * 36..(channel + 1) * 36];
        let values: Vec<f64> = (0..60)
            .map(|image| {
                let pixels = pixels(image);
                let products = row.iter().zip(pixels).map(|(w, x)| w * (x - 0.25) / 0.5);
                f64::from(bias[channel] + products.sum::<f32>())
            })
            .collect();
        let mean = values.iter().sum::<f64>() / 60.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 59.0;
        let [means, variances] = [0, 1].map(|which| f64::from(kept.statistics()[which][channel]));
        assert!((means - mean).abs() < 1e-5, "{means} {mean}");
        assert!(
            (variances - variance).abs() < 1e-4 * variance,
            "{variances} {variance}"
        );
    }
}

test!(settings_and_data_that_do_not_fit_are_refused);
fn settings_and_data_that_do_not_fit_are_refused() {
    let examples = examples(60);
    let begun = || network("fc-8", Initialization::He);
    let field = |settings: Settings| {
        let made = Training::new(begun(), &examples, settings);
        let error = made.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Setting);
        error.field().unwrap()
    };
    let base = || settings(Method::Ibp);
    assert_eq!(field(Settings { eps: 0.0, ..base() }), "eps");
    assert_eq!(
        field(Settings {
            eps: f64::NAN,
            ..base()
        }),
        "eps"
    );
    assert_eq!(field(Settings { batch: 0, ..base() }), "batch");
    let idle = Attack {
        steps: 0,
        ..Attack::default()
    };
    assert_eq!(
        field(Settings {
            attack: idle,
            ..base()
        }),
        "attack-steps"
    );
    // Of images of 6 x 6.
    let moved = |shift| Settings {
        augmentation: Augmentation { flip: false, shift },
        ..base()
    };
    assert_eq!(field(moved(3)), "shift");
    assert!(Training::new(begun(), &examples, moved(2)).is_ok());
    let mut fast = base();
    fast.schedule.learning_rate = 1e30;
    assert_eq!(field(fast), "learning-rate");
    assert_eq!(
        field(Settings {
            validation: 60,
            ..base()
        }),
        "validation"
    );
    assert_eq!(
        field(Settings {
            clip: 0.0,
            ..base()
        }),
        "clip"
    );
    assert_eq!(field(settings(Method::Sabr { tau: 0.0 })), "tau");
    let attacked = |relus| Method::Taps {
        latent: Latent { relus, ..LATENT },
    };
    // Of one layer of ReLUs none would be left to bound.
    assert_eq!(field(settings(attacked(1))), "attacked-relus");
    assert_eq!(field(settings(attacked(0))), "attacked-relus");
    let shrunk = Settings {
        relu_shrink: 0.8,
        ..base()
    };
    assert_eq!(field(shrunk), "relu-shrink");
    assert_eq!(field(settings(Method::MtlIbp { alpha: 1.5 })), "alpha");
    assert_eq!(field(settings(Method::Gaussian { sigma: 0.0 })), "sigma");
    let mut ramp = base();
    ramp.schedule.ramp_start = 5;
    assert_eq!(field(ramp), "ramp-end");
    // A transformation is for one method, which takes no radius.
    let cells = Some(cells(PixelBounds::Knapsack));
    let both = Settings {
        cells: cells.clone(),
        ..base()
    };
    assert_eq!(field(both), "transform");
    let geometric = || settings(Method::Geometric);
    let radius = Settings {
        eps: 0.1,
        ..geometric()
    };
    assert_eq!(field(radius), "eps");
    let neither = Settings {
        cells: None,
        ..geometric()
    };
    assert_eq!(field(neither), "transform");
    let mut narrow = geometric();
    narrow.cells.as_mut().unwrap().widths.pop();
    assert_eq!(field(narrow), "cell-width");
    let four = Examples::new(IMAGE, vec![0.5; 36], vec![3], 4).unwrap();
    let made = Training::new(begun(), &four, settings(Method::Standard));
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Data);
}
