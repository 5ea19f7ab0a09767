//! The images of `golden/generate.py`, made again bit for bit.

use std::fs;
use std::io::Read;
use std::path::Path;

use recert_engine::ImageShape;

/// The records of a data set that are taken.
const RECORDS: [usize; 4] = [0, 3, 11, 42];
const SYNTHETIC_IMAGES: u64 = 3;

/// Knuth's 64-bit linear congruential generator; 24 high bits a draw.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    /// A multiple of 2^-24 in [0, 1).
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 16_777_216.0
    }

    /// So many draws.
    pub(crate) fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.uniform()).collect()
    }
}

/// Images of one shape.
pub(crate) struct Images {
    pub(crate) shape: ImageShape,
    pub(crate) values: Vec<f32>,
}

impl Images {
    /// The images that a row of `networks.csv` names.
    pub(crate) fn named(name: &str, shared: &Path) -> Self {
        let (channels, size) = match name {
            "cifar10" => (3, 32),
            "mnist" => (1, 28),
            _ => (3, 224),
        };
        let shape = ImageShape {
            channels,
            height: size,
            width: size,
        };
        let values = match name {
            "cifar10" => noisy(&cifar10(shared), shape.len()),
            "mnist" => noisy(&mnist(shared), shape.len()),
            _ => synthetic(),
        };
        Self { shape, values }
    }

    /// The eight images of the hand-made networks.
    pub(crate) fn small() -> Self {
        Self {
            shape: super::MADE,
            values: (1..=8)
                .flat_map(|seed| Lcg(seed).take(super::MADE.len()))
                .collect(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len() / self.shape.len()
    }

    /// So many images, these in turn, under noise that differs each time.
    pub(crate) fn many(&self, count: usize) -> Vec<f32> {
        let mut lcg = Lcg(99);
        let cycle = self.values.iter().cycle().take(count * self.shape.len());
        cycle
            .map(|value| value + (lcg.uniform() - 0.5) / 4.0)
            .collect()
    }
}

fn bytes_to_unit(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.iter().map(|&byte| f32::from(byte) / 255.0)
}

fn cifar10(shared: &Path) -> Vec<f32> {
    let data = fs::read(shared.join("data/cifar10/test_every20.bin")).unwrap();
    let record = |i| &data[i * 3073 + 1..(i + 1) * 3073];
    RECORDS
        .iter()
        .flat_map(|&i| bytes_to_unit(record(i)))
        .collect()
}

fn mnist(shared: &Path) -> Vec<f32> {
    let file = fs::File::open(shared.join("data/mnist/t10k-images-idx3-ubyte.gz")).unwrap();
    let mut data = Vec::new();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut data)
        .unwrap();
    let image = |i| &data[16 + i * 784..16 + (i + 1) * 784];
    RECORDS
        .iter()
        .flat_map(|&i| bytes_to_unit(image(i)))
        .collect()
}

/// Four images, three of them under uniform noise of width 1, noise alone.
fn noisy(clean: &[f32], length: usize) -> Vec<f32> {
    let mut all = clean.to_vec();
    for (image, seed) in clean.chunks_exact(length).take(3).zip(1..) {
        let mut lcg = Lcg(seed);
        all.extend(image.iter().map(|value| value + (lcg.uniform() - 0.5)));
    }
    all.extend(Lcg(4).take(length));
    all
}

/// Images of 3 x 224 x 224: blocks of 32 x 32 pixels, with finer noise.
fn synthetic() -> Vec<f32> {
    let mut all = Vec::new();
    for seed in 1..=SYNTHETIC_IMAGES {
        let mut lcg = Lcg(seed);
        let blocks = lcg.take(3 * 7 * 7);
        for (channel, row, column) in pixels() {
            let block = blocks[(channel * 7 + row / 32) * 7 + column / 32];
            all.push(0.75 * block + 0.25 * lcg.uniform());
        }
    }
    all
}

fn pixels() -> impl Iterator<Item = (usize, usize, usize)> {
    (0..3).flat_map(|c| (0..224).flat_map(move |y| (0..224).map(move |x| (c, y, x))))
}
