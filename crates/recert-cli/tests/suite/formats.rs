//! Every format of data, end to end: real images through real networks with
//! hardly any noise must give about the accuracy the networks are known for,
//! which they do only where layout, scale, normalisation, sizes and labels are
//! right. What needs the folder of real data says so where that is absent.

use crate::common::{
    Line, Place, accuracy, asset, held, ok, rows, shared, with, words, write_images, write_labels,
};

/// `certify` with hardly any noise and a few samples: the rows.
fn quick(model: &str, data: &str, more: &str) -> Vec<Line> {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let how = words("certify --sigma 0.002 --n 8 --n0 3 --alpha 0.05");
    let what = ["--model", model, "--data", data, "--ledger", &ledger];
    rows(
        &ok(&with(
            &with(&how, &what),
            &words(more).iter().map(String::as_str).collect::<Vec<_>>(),
        ))
        .stdout,
    )
}

/// A network on real data: the accuracy must lie within `range`.
struct Case {
    model: &'static str,
    data: &'static str,
    prefix: &'static str,
    flags: &'static str,
    images: usize,
    range: std::ops::RangeInclusive<f64>,
}

impl Case {
    fn check(&self) {
        let Some((model, data)) = shared(self.model).zip(shared(self.data)) else {
            return;
        };
        let rows = quick(&model, &format!("{}{data}", self.prefix), self.flags);
        let accuracy = accuracy(&rows);
        eprintln!("{} {}: {:.1} %", self.model, self.flags, 100.0 * accuracy);
        assert_eq!(rows.len(), self.images, "{} {}", self.model, self.data);
        assert!(
            self.range.contains(&accuracy),
            "{} {}: {accuracy}",
            self.model,
            self.data
        );
    }
}

const NORMALISED: &str = "--mean 0.4914,0.4822,0.4465 --std 0.2470,0.2435,0.2616";

/// The ranges are the accuracies known of the networks (97.8 %, 98.4 %, 97 %,
/// 96 %) less and plus about three standard errors of 100 images.
#[test]
fn mnist_as_idx() {
    let case = |model, data, prefix, flags, images, range| Case {
        model,
        data,
        prefix,
        flags,
        images,
        range,
    };
    let (folder, file) = ("data/mnist", "data/mnist/t10k-images-idx3-ubyte.gz");
    for case in [
        // A flat input of a fixed batch of one.
        case(
            "models/mnist/fcnn7.onnx",
            folder,
            "",
            "--every 100",
            100,
            0.93..=1.0,
        ),
        // Inputs of 0 to 255, again in a fixed batch of one.
        case(
            "models/mnist/mnist-8.onnx",
            file,
            "",
            "--every 100 --scale 255",
            100,
            0.94..=1.0,
        ),
        case(
            "models/mnist/cnn_crown_ibp.onnx",
            folder,
            "idx:",
            "--every 100",
            100,
            0.91..=1.0,
        ),
        case(
            "models/mnist/fc_6x100.onnx",
            file,
            "idx:",
            "--every 100 --limit 50",
            50,
            0.85..=1.0,
        ),
    ] {
        case.check();
    }
}

/// Known accuracies: 87.2 % and 86.7 %, 54.4 %, and at least 57.2 %, which is
/// what has been verified.
#[test]
fn cifar_10_as_python_batches_and_as_binary_records() {
    let case = |model, data, flags, range| Case {
        model,
        data,
        prefix: "",
        flags,
        images: 100,
        range,
    };
    let (python, binary) = (
        "data/cifar10/cifar-10-batches-py",
        "data/cifar10/test_every20.bin",
    );
    for case in [
        case(
            "models/cifar10/resnet8_f32.onnx",
            python,
            "--every 2",
            0.77..=0.97,
        ),
        case(
            "models/cifar10/resnet8_f32.onnx",
            binary,
            "--every 5",
            0.77..=0.97,
        ),
        case(
            "models/cifar10/resnet8_qdq.onnx",
            binary,
            "--every 5",
            0.76..=0.97,
        ),
        case(
            "models/cifar10/cnn_wong_kolter_l2.onnx",
            binary,
            "--every 5",
            0.39..=0.69,
        ),
    ] {
        case.check();
    }
    // Normalisation outside the graph, and a fixed batch of one.
    let model = "models/cifar10/resnet_2b.onnx";
    let flags: &'static str = Box::leak(format!("--every 5 {NORMALISED}").into_boxed_str());
    case(model, binary, flags, 0.5..=0.8).check();
    case(model, binary, "--every 5", 0.0..=0.45).check();
}

/// 18 images of 18 of the 1000 classes; networks of 1001 classes, the first of
/// which is "background", with 59 % and 55 % on a thousand such images.
#[test]
fn image_net_as_folders() {
    let Some(names) = shared("data/imagenet/wnids.txt") else {
        return;
    };
    let flags = |more: &str| -> &'static str {
        Box::leak(format!("--resize 256 --crop 224 --classes {names} {more}").into_boxed_str())
    };
    let case = |model, flags, range| Case {
        model,
        data: "data/imagenet",
        prefix: "",
        flags,
        images: 18,
        range,
    };
    let (float, int8) = (
        "models/imagenet/mobilenet_v1_0.25_224_f32.onnx",
        "models/imagenet/mobilenet_v1_0.25_224_quant_qdq.onnx",
    );
    case(float, flags("--label-offset 1"), 0.4..=1.0).check();
    case(int8, flags("--label-offset 1"), 0.4..=1.0).check();
    // Without the offset every label is that of the class before.
    case(float, flags(""), 0.0..=0.1).check();
}

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
