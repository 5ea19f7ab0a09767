//! Formats of data, end to end: real images through real networks with hardly any noise must
//! give about the accuracy the networks are known for, which they do only where layout, scale,
//! normalisation, sizes and labels are right.

use std::path::Path;

use recert_testing::{note, shared, test};

use crate::common::{accuracy, quick, text};

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
    fn check(&self, shared: &Path) {
        let path = |name: &str| text(&shared.join(name));
        let (model, data) = (path(self.model), path(self.data));
        let rows = quick(&model, &format!("{}{data}", self.prefix), self.flags);
        let accuracy = accuracy(&rows);
        note!("{} {}: {:.1} %", self.model, self.flags, 100.0 * accuracy);
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

test!(mnist_as_idx, needs shared);
/// The ranges are the accuracies known of the networks (97.8 %, 98.4 %, 97 %,
/// 96 %) less and plus about three standard errors of 100 images.
fn mnist_as_idx(shared: &Path) {
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
        case.check(shared);
    }
}

test!(cifar_10_as_python_batches_and_as_binary_records, needs shared);
/// Known accuracies: 87.2 % and 86.7 %, 54.4 %, and at least 57.2 %, which is
/// what has been verified.
fn cifar_10_as_python_batches_and_as_binary_records(shared: &Path) {
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
        case.check(shared);
    }
    // Normalisation outside the graph, and a fixed batch of one.
    let model = "models/cifar10/resnet_2b.onnx";
    let flags: &'static str = Box::leak(format!("--every 5 {NORMALISED}").into_boxed_str());
    case(model, binary, flags, 0.5..=0.8).check(shared);
    case(model, binary, "--every 5", 0.0..=0.45).check(shared);
}

test!(image_net_as_folders, needs shared);
/// 18 images of 18 of the 1000 classes; networks of 1001 classes, the first of
/// which is "background", with 59 % and 55 % on a thousand such images.
fn image_net_as_folders(shared: &Path) {
    let names = text(&shared.join("data/imagenet/wnids.txt"));
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
    case(float, flags("--label-offset 1"), 0.4..=1.0).check(shared);
    case(int8, flags("--label-offset 1"), 0.4..=1.0).check(shared);
    // Without the offset every label is that of the class before.
    case(float, flags(""), 0.0..=0.1).check(shared);
}
