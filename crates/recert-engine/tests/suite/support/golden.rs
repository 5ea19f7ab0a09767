//! The golden logits, and how closely they are to be met.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use recert_engine::{Answers, Class, NetworkOptions, Preprocess};

use super::golden_folder;

/// Largest deviation of a logit in a network computed in float32, as a part
/// of the network's largest logit: a matter of the order of summation.
pub(crate) const FLOAT_TOLERANCE: f32 = 2e-5;
/// The same where activations are rounded to 8 bits on the way: a value near
/// the middle of two quanta may go to the other one, and so may the logits
/// themselves, whose quantum is 0.020 of the largest logit in `resnet8_qdq` and
/// 0.010 in the quantized `MobileNet`.
pub(crate) const INT8_TOLERANCE: f32 = 0.025;
/// In low precision, how much more the logits of a network may move than they
/// do by rounding its weights alone (`bfloat16.csv`, by ONNX Runtime): the
/// activations between the layers are rounded, too, and not all alike.
pub(crate) const LOW_PRECISION: f32 = 4.0;
/// The same for the hand-made networks, none of which moves by more.
pub(crate) const MADE_MOVED: f32 = 0.0125;

/// A row of `networks.csv`.
pub(crate) struct Row {
    pub(crate) network: String,
    pub(crate) images: String,
    pub(crate) tolerance: f32,
    /// By how much the logits move if the weights are rounded to bfloat16, as
    /// a part of the largest logit.
    pub(crate) moved: f32,
    pub(crate) options: NetworkOptions,
}

/// The rows of `networks.csv`.
pub(crate) fn rows() -> Vec<Row> {
    let text = fs::read_to_string(golden_folder().join("networks.csv")).unwrap();
    let numbers = |text: &str| -> Vec<f32> {
        text.split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let moved = fs::read_to_string(golden_folder().join("bfloat16.csv")).unwrap();
    let moved: HashMap<_, f32> = moved
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(network, moved)| (network.to_owned(), moved.parse().unwrap()))
        .collect();
    let row = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        let [network, images, arithmetic, mean, std, scale] = fields[..] else {
            panic!("networks.csv: {line}");
        };
        let scale = numbers(scale).first().copied();
        Row {
            network: network.into(),
            moved: moved[network],
            images: images.into(),
            tolerance: match arithmetic {
                "float" => FLOAT_TOLERANCE,
                "int8" => INT8_TOLERANCE,
                other => panic!("networks.csv: {other}"),
            },
            options: NetworkOptions {
                preprocess: Preprocess::new(&numbers(mean), &numbers(std), scale).unwrap(),
                ..NetworkOptions::default()
            },
        }
    };
    text.lines().skip(1).map(row).collect()
}

/// A matrix of logits, one row per image.
pub(crate) struct Logits {
    pub(crate) classes: usize,
    pub(crate) values: Vec<f32>,
}

impl Logits {
    /// Reads `file` in the golden folder, `NumPy`'s format 1.0 of little-endian
    /// float32 in two dimensions, as generate.py writes it.
    pub(crate) fn read(file: impl AsRef<Path>) -> Self {
        let file = golden_folder().join(file);
        let bytes = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let (head, rest) = bytes.split_at(10);
        assert_eq!(&head[..8], b"\x93NUMPY\x01\x00", "{}", file.display());
        let (header, data) = rest.split_at(u16::from_le_bytes([head[8], head[9]]).into());
        let header = std::str::from_utf8(header).unwrap();
        assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"));
        let shape = header.split(['(', ')']).nth(1).unwrap();
        let shape: Vec<usize> = shape.split(", ").map(|n| n.parse().unwrap()).collect();
        let values = data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let logits = Self {
            classes: shape[1],
            values: values.collect(),
        };
        assert_eq!(
            logits.values.len(),
            shape[0] * shape[1],
            "{}",
            file.display()
        );
        logits
    }

    /// The logits of answers, which must have some.
    pub(crate) fn of(answers: &Answers) -> Self {
        let Answers::Logits { classes, values } = answers else {
            panic!("no logits, but {answers:?}");
        };
        Self {
            classes: *classes,
            values: values.clone(),
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }

    /// The largest value, by which deviations are measured.
    pub(crate) fn scale(&self) -> f32 {
        self.values
            .iter()
            .fold(0.0, |scale, value| scale.max(value.abs()))
    }

    /// The classes: of equal values the first.
    pub(crate) fn classes(&self) -> Vec<Option<Class>> {
        let best = |row: &[f32]| {
            let better = |best: usize, j: usize| if row[j] > row[best] { j } else { best };
            Some((1..row.len()).fold(0, better) as Class)
        };
        self.rows().map(best).collect()
    }

    /// Asserts that `found` are the classes, except where the two best logits
    /// are closer than twice `tolerance` of the largest one.
    pub(crate) fn assert_classes(&self, found: &[Option<Class>], tolerance: f32, place: &str) {
        assert_eq!(
            found.len(),
            self.classes().len(),
            "{place}: number of classes"
        );
        let limit = tolerance * self.scale();
        for (i, (wanted, gap)) in self.classes().into_iter().zip(self.gaps()).enumerate() {
            assert!(
                found[i] == wanted || gap <= 2.0 * limit,
                "{place}: image {i} is of class {:?}, not {wanted:?}",
                found[i]
            );
        }
    }

    /// Row by row, by how much the largest value exceeds the next one.
    pub(crate) fn gaps(&self) -> Vec<f32> {
        let gap = |row: &[f32]| {
            let mut row = row.to_vec();
            row.sort_by(|a, b| b.total_cmp(a));
            row[0] - row[1]
        };
        self.rows().map(gap).collect()
    }

    /// Asserts that `answers` deviate by at most `tolerance` of the largest
    /// value, and in class only where the two best are closer than twice that.
    /// Returns the largest deviation as a part of the largest value.
    pub(crate) fn assert_met(&self, answers: &Answers, tolerance: f32, place: &str) -> f32 {
        let found = Self::of(answers);
        assert_eq!(
            found.values.len(),
            self.values.len(),
            "{place}: number of logits"
        );
        let deviations = found
            .values
            .iter()
            .zip(&self.values)
            .map(|(a, b)| (a - b).abs());
        // A NaN would pass through `f32::max` unseen.
        let deviation = deviations.fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        let limit = tolerance * self.scale();
        assert!(
            deviation <= limit,
            "{place}: logits deviate by {deviation:e}, allowed is {limit:e} \
             ({tolerance:e} of the largest, {:e})",
            self.scale()
        );
        let classes: Vec<_> = (0..answers.len()).map(|i| answers.class(i)).collect();
        self.assert_classes(&classes, tolerance, place);
        deviation / self.scale()
    }
}
