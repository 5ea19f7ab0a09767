//! Networks that share their first layers answer as they do alone, bit for bit,
//! whatever the others are asked.

use std::path::Path;

use crate::support::{MADE, made};
use recert_engine::engines::{Direct, Rten};
use recert_engine::{
    Answers, Classifier, EngineOptions, Error, ErrorKind, Network, NetworkOptions, Preprocess,
    Runtime, Sharing,
};
use recert_graph::Model;
use recert_testing::{shared, test};

/// `model` with the tensor `name` changed, which no other one's bytes contain.
fn edited(model: &Model, name: &str, change: impl Fn(usize, f32) -> f32) -> Model {
    let stored = model.initializer(name).unwrap().unwrap();
    let values = stored.to_f32().unwrap();
    let stored = |values: &[f32]| -> Vec<u8> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect()
    };
    let (old, mut bytes) = (stored(&values), model.to_bytes());
    let mut places = (0..=bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(&old));
    let at = places.next().unwrap();
    assert_eq!(places.next(), None);
    drop(places);
    let new: Vec<f32> = (values.iter().enumerate())
        .map(|(i, &value)| change(i, value))
        .collect();
    bytes[at..at + old.len()].copy_from_slice(&stored(&new));
    Model::from_bytes(model.name(), bytes).unwrap()
}

fn direct() -> Direct {
    Direct::new(&EngineOptions::default()).unwrap()
}

fn load(model: &Model, options: &NetworkOptions) -> Network {
    Network::load(model, &direct(), MADE, options).unwrap()
}

fn sharing(networks: &[Network], models: &[Model]) -> Result<Option<Sharing>, Error> {
    let pairs: Vec<_> = networks.iter().zip(models).collect();
    Network::sharing(&pairs)
}

fn bits(answers: &Answers) -> Vec<u32> {
    match answers {
        // The bits of a NaN are not promised, but answers that are none are all
        // the same.
        Answers::Logits { values, .. } => values.iter().map(|value| value.to_bits()).collect(),
        Answers::Classes(classes) => classes
            .iter()
            .map(|class| class.map_or(u32::MAX, u32::from))
            .collect(),
    }
}

/// Images that look random, some of them with values that are no numbers.
fn images(count: usize, length: usize) -> Vec<Vec<f32>> {
    let image = |i: usize| {
        let pixel = |p: usize| ((i * 7919 + p * 104_729 + p * p * 31) % 1009) as f32 / 1008.0;
        let mut image: Vec<f32> = (0..length).map(pixel).collect();
        match i % 9 {
            3 => image[i % length] = f32::NAN,
            5 => image[i % length] = f32::INFINITY,
            7 => image[0] = -0.0,
            _ => {}
        }
        image
    };
    (0..count).map(image).collect()
}

/// Asks the networks in turns about batches that differ and overlap, sharing
/// and each for itself.
fn assert_same(networks: &[Network], sharing: &Sharing) {
    let all = images(40, networks[0].image().len());
    let mut together = sharing.worker().unwrap();
    let mut apart: Vec<Box<dyn Classifier>> =
        networks.iter().map(|n| n.worker().unwrap()).collect();
    let mut first = 0;
    for turn in 0..60 {
        // The same batch for all at times, else each its own.
        first = (first + turn) % 30;
        for (place, (shared, own)) in together.iter_mut().zip(&mut apart).enumerate() {
            let from = (first + [0, place, 3 * place][turn % 3]) % 33;
            let count = 1 + (turn + place * (turn % 2)) % 7;
            let batch = all[from..from + count].concat();
            let found = shared.classify(&batch).unwrap();
            assert_eq!(bits(&found), bits(&own.classify(&batch).unwrap()));
        }
    }
    for (shared, own) in together.iter().zip(&apart) {
        assert_eq!(shared.classes(), own.classes());
        assert_eq!(shared.image_len(), own.image_len());
    }
}

test!(networks_with_another_head_answer_as_they_do_alone);
fn networks_with_another_head_answer_as_they_do_alone() {
    for (name, options) in [
        ("plain", NetworkOptions::default()),
        ("nhwc", NetworkOptions::default()),
        // Its batches are filled up with black images.
        ("fixed_batch", NetworkOptions::default()),
        (
            "plain",
            NetworkOptions {
                preprocess: Preprocess::new(&[0.4, 0.5, 0.6], &[0.2], None).unwrap(),
                ..NetworkOptions::default()
            },
        ),
    ] {
        let model = made(name);
        let models = [
            edited(&model, "v", |_, weight| 2.0 * weight),
            edited(&model, "v", |i, weight| weight + i as f32),
            edited(&model, "c", |_, weight| weight - 0.5),
        ];
        let networks = models.each_ref().map(|model| load(model, &options));
        let sharing = sharing(&networks, &models).unwrap().unwrap();
        assert_eq!(sharing.layers(), 1, "{name}");
        assert!(
            sharing.shared_fraction() > 0.99,
            "{name}: {}",
            sharing.shared_fraction()
        );
        assert_same(&networks, &sharing);
    }
}

test!(one_file_several_times_is_computed_once);
fn one_file_several_times_is_computed_once() {
    let models = [made("arg_max"), made("arg_max")];
    let networks = models
        .each_ref()
        .map(|m| load(m, &NetworkOptions::default()));
    let sharing = sharing(&networks, &models).unwrap().unwrap();
    assert_eq!(sharing.shared_fraction(), 1.0);
    assert_same(&networks, &sharing);
}

test!(real_networks_that_differ_in_a_late_layer_answer_as_they_do_alone, needs shared);
fn real_networks_that_differ_in_a_late_layer_answer_as_they_do_alone(folder: &Path) {
    let model = Model::read(folder.join("models/cifar10/resnet20_sigma0.50.onnx")).unwrap();
    let models = [
        edited(
            &model,
            "onnx::Conv_316",
            |i, w| if i % 3 == 0 { 0.0 } else { w },
        ),
        edited(&model, "onnx::Conv_319", |_, w| 1.125 * w),
        edited(&model, "linear.weight", |_, w| -w),
    ];
    let image = recert_engine::ImageShape {
        channels: 3,
        height: 32,
        width: 32,
    };
    let networks = models
        .each_ref()
        .map(|model| Network::load(model, &direct(), image, &NetworkOptions::default()).unwrap());
    let sharing = sharing(&networks, &models).unwrap().unwrap();
    // The stem and two stages of three blocks.
    assert_eq!(sharing.layers(), 13);
    assert!(
        (0.6..0.7).contains(&sharing.shared_fraction()),
        "{}",
        sharing.shared_fraction()
    );
    assert_same(&networks, &sharing);
}

test!(what_cannot_share_does_not);
fn what_cannot_share_does_not() {
    let model = made("plain");
    let head = edited(&model, "v", |_, weight| 2.0 * weight);
    let stem = edited(&model, "w", |_, weight| 2.0 * weight);
    let plain = NetworkOptions::default();
    let none = |networks: &[Network], models: &[Model]| {
        assert!(sharing(networks, models).unwrap().is_none());
    };
    let models = [model.clone(), head.clone()];
    // A network alone, or none.
    none(&[], &[]);
    none(&[load(&model, &plain)], &models);
    // Other weights from the start.
    let other = [load(&model, &plain), load(&stem, &plain)];
    none(&other, &[model.clone(), stem]);
    // Other normalisations.
    let scaled = NetworkOptions {
        preprocess: Preprocess::new(&[], &[], Some(2.0)).unwrap(),
        ..NetworkOptions::default()
    };
    none(&[load(&model, &plain), load(&head, &scaled)], &models);
    // Another engine, or two.
    let rten = Rten::new(&EngineOptions::default()).unwrap();
    let load_in = |engine: &dyn Runtime, model: &Model| {
        Network::load(model, engine, MADE, &NetworkOptions::default()).unwrap()
    };
    let both = [load_in(&rten, &model), load_in(&rten, &head)];
    none(&both, &models);
    let [first, second] = [load(&model, &plain), load_in(&rten, &head)];
    none(&[first, second], &models);
    // A network that takes a scale from its whole batch.
    let dynamic = [made("dynamic_quantization"), made("dynamic_quantization")];
    let networks = dynamic.each_ref().map(|model| load(model, &plain));
    none(&networks, &dynamic);
    // Another file than the one loaded.
    let networks = [load(&model, &plain), load(&model, &plain)];
    let error = sharing(&networks, &models).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Model);
}
