//! Geometric certificates of real networks: CGT's, whose images are rotated.

use std::path::Path;

use recert_bounds::Network;
use recert_bounds::geometric::{
    Cell, Extents, Layout, Options, Outcome, Transformation, Verdict, apply, verify,
};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};
use recert_testing::{note, shared, test};

const MNIST: Extents = Extents {
    channels: 1,
    height: 28,
    width: 28,
    layout: Layout::ChannelsFirst,
};

struct Case {
    network: Network,
    image: Vec<f64>,
    label: usize,
    transformation: Transformation,
}

impl Case {
    fn new(shared: &Path, network: &str, index: u32, transformation: &str) -> Self {
        let model = Model::read(shared.join("models/mnist").join(network)).unwrap();
        let data = shared.join("data/mnist");
        let spec: DataSpec = data.to_str().unwrap().parse().unwrap();
        let data = Dataset::open(&spec, &recert_data::Options::default()).unwrap();
        let image = data.image(index).unwrap();
        Self {
            network: Network::new(&Builder::new(&model).build().unwrap()).unwrap(),
            image: image.pixels.iter().map(|&pixel| f64::from(pixel)).collect(),
            label: data.label(index).unwrap() as usize,
            transformation: transformation.parse().unwrap(),
        }
    }

    fn verify(&self, options: &Options) -> Outcome {
        let Self {
            network,
            image,
            label,
            transformation,
        } = self;
        verify(network, &MNIST, image, *label, transformation, options).unwrap()
    }

    fn answer(&self, parameters: &[f64]) -> usize {
        let image = apply(&self.transformation, &MNIST, &self.image, parameters).unwrap();
        let outputs = self.network.evaluate(&image);
        (0..outputs.len())
            .max_by(|&a, &b| outputs[a].total_cmp(&outputs[b]))
            .unwrap()
    }
}

test!(rotated_digits_are_verified_in_few_cells, needs shared);
/// CGT cuts 60 degrees into 240 cells. Every proved margin is below what the network has at the
/// corners and the centre of its cell, and the cells are the whole interval.
fn rotated_digits_are_verified_in_few_cells(shared: &Path) {
    for index in [0, 1000] {
        let case = Case::new(shared, "cgt_rotate30.onnx", index, "rotate=-30..30");
        let outcome = case.verify(&Options::default());
        assert_eq!(outcome.verdict, Verdict::Verified, "image {index}");
        note!("image {index}: {:?}", outcome.work);
        assert!(outcome.work.passes() <= 60, "{:?}", outcome.work);
        let mut ends: Vec<_> = (outcome.proved.iter())
            .map(|proved| (proved.cell.lower[0], proved.cell.upper[0]))
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!((ends[0].0, ends[ends.len() - 1].1), (-30.0, 30.0));
        assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0));
        for proved in &outcome.proved {
            let Cell { lower, upper } = &proved.cell;
            for parameters in [lower, upper, &proved.cell.centre()] {
                let image = apply(&case.transformation, &MNIST, &case.image, parameters).unwrap();
                let outputs = case.network.evaluate(&image);
                let others = (0..10).filter(|&class| class != case.label);
                let margin = others
                    .map(|class| outputs[case.label] - outputs[class])
                    .fold(f64::INFINITY, f64::min);
                assert!(
                    proved.margin <= margin + 1e-9,
                    "{} of {margin}",
                    proved.margin
                );
            }
        }
    }
}

test!(four_parameters_are_verified, needs shared);
fn four_parameters_are_verified(shared: &Path) {
    let transformation = "scale=0.95..1.05,rotate=-5..5,contrast=0.95..1.05,brightness=-0.01..0.01";
    let network = "cgt_scale5_rotate5_contrast5_brightness1.onnx";
    let case = Case::new(shared, network, 500, transformation);
    let outcome = case.verify(&Options::default());
    assert_eq!(outcome.verdict, Verdict::Verified);
    note!("{:?}", outcome.work);
    // A cell is a box: their volumes sum to that of the whole.
    let volume = |cell: &Cell| cell.widths().iter().product::<f64>();
    let sum: f64 = outcome
        .proved
        .iter()
        .map(|proved| volume(&proved.cell))
        .sum();
    let whole = volume(&Cell::whole(&case.transformation));
    assert!((sum - whole).abs() <= 1e-9 * whole);
}

test!(a_turned_six_is_no_six, needs shared);
/// Half a turn makes a nine of a six: a wrong answer is found, and the network gives it.
fn a_turned_six_is_no_six(shared: &Path) {
    let case = Case::new(shared, "cgt_rotate30.onnx", 50, "rotate=0..180");
    assert_eq!(case.label, 6);
    let Verdict::Falsified { parameters, answer } = case.verify(&Options::default()).verdict else {
        panic!("a six stays one");
    };
    assert_eq!(case.answer(&parameters), answer);
    assert_ne!(answer, case.label);
}
