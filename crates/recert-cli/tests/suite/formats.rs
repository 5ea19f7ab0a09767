//! Every format of data, end to end: layouts, scales, normalisations and labels. Real images
//! are in `tests/needs/formats.rs`.

use crate::common::{
    Line, Place, accuracy, asset, held, ok, quick, with, words, write_images, write_labels,
};

#[test]
fn the_demo_as_npz_with_and_without_labels() {
    let place = Place::new();
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    // Known: 70.4 % of the 500 images without noise.
    let labelled = quick(&model, &data, "--every 5");
    assert_eq!(labelled.len(), 100);
    assert!(
        (0.56..=0.84).contains(&accuracy(&labelled)),
        "{}",
        accuracy(&labelled)
    );
    assert_eq!(labelled[3].idx, 15);

    // The same images as float32 npy, without labels, and with labels beside.
    let spec: recert::data::DataSpec = data.parse().unwrap();
    let set = recert::data::Dataset::open(&spec, &recert::data::Options::default()).unwrap();
    let pixels: Vec<f32> = (0..100)
        .flat_map(|i| set.image(i).unwrap().pixels)
        .collect();
    let labels: Vec<u8> = (0..100).map(|i| set.label(i).unwrap() as u8).collect();
    write_images(&place.path("images.npy"), &pixels, [100, 3, 32, 32]);
    write_labels(&place.path("labels.npy"), &labels);
    let images = place.text("images.npy");
    let plain = quick(&model, &images, "--every 5");
    let with_labels = format!("--every 5 --labels {}", place.text("labels.npy"));
    let beside = quick(&model, &format!("npy:{images}"), &with_labels);
    assert_eq!(beside, labelled[..20]);
    for (plain, labelled) in plain.iter().zip(&labelled) {
        let expected = Line {
            label: -1,
            correct: false,
            ..labelled.clone()
        };
        assert_eq!(*plain, expected);
    }
}

/// The same function with its input in another layout, in a fixed batch, or
/// with its output in another shape answers every sample alike.
#[test]
fn layouts_and_fixed_batches_change_no_answer() {
    let place = Place::new();
    // One colour an image, so that confused channels cannot go unnoticed.
    let colours = [
        [0, 1, 0],
        [0, 1, 1],
        [1, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [1, 1, 1],
    ];
    let channels = colours.iter().flatten().map(|&value| value as f32);
    let pixels: Vec<f32> = channels.flat_map(|value| [value; 64]).collect();
    write_images(&place.path("colours.npy"), &pixels, [6, 3, 8, 8]);
    let data = place.text("colours.npy");
    let certify = |network: &str, name: &str, more: &str| {
        let (model, ledger) = (asset(&format!("made/{network}.onnx")), place.text(name));
        let how = [
            "certify", "--model", &model, "--data", &data, "--ledger", &ledger,
        ];
        let words = [
            with(&[], &how),
            words(more),
            words("--sigma 0.3 --n 100 --n0 10"),
        ]
        .concat();
        ok(&words);
        let held = held(&place.path(name));
        assert_eq!(held.networks[0].certificates.len(), 6);
        held.networks[0].classes.clone()
    };
    let normalised = "--mean 0.5 --scale 16";
    let plain = certify("plain", "plain.recert", normalised);
    let of_each = |class| plain.values().flatten().filter(|&&c| c == class).count();
    let often = (0..4).filter(|&class| of_each(class) > 20).count();
    assert!(often >= 3, "the answers vary: {often} classes");
    for network in ["nhwc", "fixed_batch", "trailing_ones", "arg_max"] {
        let more = format!("{normalised} --batch 7");
        let classes = certify(network, &format!("{network}.recert"), &more);
        assert!(classes == plain, "{network}");
    }
    // Powers of two, so that what comes to the same does so exactly.
    for (i, same) in [
        "--mean 0.5,0.5,0.5 --std 0.0625",
        "--mean 0.5 --std 0.125 --scale 2",
    ]
    .iter()
    .enumerate()
    {
        assert!(
            certify("plain", &format!("same{i}.recert"), same) == plain,
            "{same}"
        );
    }
    for (i, other) in ["", "--scale 16", "--mean 0.5,0.5,1 --scale 16"]
        .iter()
        .enumerate()
    {
        assert!(
            certify("plain", &format!("other{i}.recert"), other) != plain,
            "{other}"
        );
    }
}
