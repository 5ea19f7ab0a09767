//! What a sample's noise may depend on, and what not: properties over random requests.

use proptest::prelude::*;
use recert_noise::{CodePath, NoiseKey, Stream};

/// Any stream.
fn streams() -> impl Strategy<Value = Stream> {
    prop::sample::select(Stream::ALL.to_vec())
}

/// The bits of a slice: equality that also tells -0 from 0.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// An image of `len` pixels in [0, 1].
fn image(len: usize) -> Vec<f32> {
    (0..len).map(|j| (j * 37 % 256) as f32 / 255.0).collect()
}

proptest! {
    #[test]
    fn a_shorter_request_is_a_prefix(
        seed: u64, stream in streams(), input: u32, sample: u32,
        long in 0_usize..5_000, cut in 0.0..=1.0_f64,
    ) {
        let key = NoiseKey::new(seed);
        let mut whole = vec![f32::NAN; long];
        key.fill(stream, input, sample, &mut whole);
        let mut start = vec![f32::NAN; (long as f64 * cut) as usize];
        key.fill(stream, input, sample, &mut start);
        prop_assert_eq!(bits(&start), bits(&whole[..start.len()]));
    }

    #[test]
    fn all_code_paths_give_the_same_bits(
        seed: u64, stream in streams(), input: u32, sample: u32,
        len in 0_usize..3_200, sigma in 0.01_f32..2.0,
    ) {
        let image = image(len);
        let make = |path| {
            let key = NoiseKey::new(seed).on(path)?;
            let (mut z, mut y) = (vec![0.0; len], vec![0.0; len]);
            key.fill(stream, input, sample, &mut z);
            key.add(stream, input, sample, sigma, &image, &mut y);
            Some((bits(&z), bits(&y)))
        };
        let portable = make(CodePath::Portable);
        for path in [CodePath::Avx2, CodePath::Avx512] {
            if path.is_available() {
                prop_assert_eq!(&make(path), &portable);
            }
        }
    }

    #[test]
    fn adding_is_one_fused_operation(
        seed: u64, stream in streams(), input: u32, sample: u32,
        len in 0_usize..1_000, sigma in 0.0_f32..2.0,
    ) {
        let (key, image) = (NoiseKey::new(seed), image(len));
        let (mut z, mut noisy) = (vec![0.0; len], vec![f32::NAN; len]);
        key.fill(stream, input, sample, &mut z);
        key.add(stream, input, sample, sigma, &image, &mut noisy);
        let expected: Vec<f32> =
            z.iter().zip(&image).map(|(z, x)| sigma.mul_add(*z, *x)).collect();
        prop_assert_eq!(bits(&noisy), bits(&expected));
    }

    #[test]
    fn a_batch_is_its_single_samples(
        seed: u64, stream in streams(), input: u32, first in 0..u32::MAX - 10,
        count in 0_u32..10, len in 0_usize..500, split in 0_u32..10,
    ) {
        let (key, image) = (NoiseKey::new(seed), image(len));
        let mut singles = vec![f32::NAN; count as usize * len];
        for (i, row) in singles.chunks_exact_mut(len.max(1)).enumerate() {
            key.add(stream, input, first + i as u32, 0.5, &image, row);
        }
        let mut batch = vec![f32::NAN; singles.len()];
        key.add_batch(stream, input, first..first + count, 0.5, &image, &mut batch);
        prop_assert_eq!(bits(&batch), bits(&singles));

        // Two shards, made in the other order.
        let middle = first + split.min(count);
        let mut shards = vec![f32::NAN; singles.len()];
        let (left, right) = shards.split_at_mut((middle - first) as usize * len);
        key.add_batch(stream, input, middle..first + count, 0.5, &image, right);
        key.add_batch(stream, input, first..middle, 0.5, &image, left);
        prop_assert_eq!(bits(&shards), bits(&singles));
    }

    /// Each coordinate of the address matters (equality of 64 normals by
    /// chance has probability far below 2^-1000).
    #[test]
    fn another_address_is_another_noise(seed: u64, input: u32, sample: u32, bit in 0_u32..32) {
        let at = |seed: u64, stream, input, sample| {
            let mut z = [0.0; 64];
            NoiseKey::new(seed).fill(stream, input, sample, &mut z);
            z
        };
        let flip = 1_u32 << bit;
        let here = at(seed, Stream::Certify, input, sample);
        prop_assert_ne!(here, at(seed ^ u64::from(flip), Stream::Certify, input, sample));
        prop_assert_ne!(here, at(seed ^ (u64::from(flip) << 32), Stream::Certify, input, sample));
        prop_assert_ne!(here, at(seed, Stream::Fresh, input, sample));
        prop_assert_ne!(here, at(seed, Stream::Certify, input ^ flip, sample));
        prop_assert_ne!(here, at(seed, Stream::Certify, input, sample ^ flip));
    }
}

#[test]
fn a_range_that_ends_before_it_starts_is_empty() {
    #[expect(clippy::reversed_empty_ranges, reason = "this is what is tested")]
    NoiseKey::new(0).add_batch(Stream::Certify, 0, 9..3, 1.0, &[0.5; 7], &mut []);
}

#[test]
fn the_fastest_path_is_chosen() {
    let fastest = CodePath::ALL
        .into_iter()
        .rfind(|path| path.is_available())
        .expect("the portable path is always there");
    assert_eq!(NoiseKey::new(0).path(), fastest);
}
