//! What a sample of integer noise may depend on, and what not: properties over random requests.

use proptest::prelude::*;
use recert_noise::{CodePath, IntegerNoise, Stream};

/// Any stream.
fn streams() -> impl Strategy<Value = Stream> {
    prop::sample::select(Stream::ALL.to_vec())
}

/// Any seed, with one of some sigmas.
fn noises() -> impl Strategy<Value = IntegerNoise> {
    let sigmas = prop::sample::select(vec![0.0015, 0.12, 0.25]);
    (any::<u64>(), sigmas).prop_map(|(seed, sigma)| IntegerNoise::new(seed, sigma).unwrap())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn image(len: usize) -> Vec<u8> {
    (0..len).map(|j| (37 * j % 256) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_shorter_request_is_a_prefix(
        noise in noises(), stream in streams(), input: u32, sample: u32,
        long in 0_usize..5_000, cut in 0.0..=1.0_f64,
    ) {
        let mut whole = vec![0; long];
        noise.fill(stream, input, sample, &mut whole);
        let mut start = vec![i32::MAX; (long as f64 * cut) as usize];
        noise.fill(stream, input, sample, &mut start);
        prop_assert_eq!(&start[..], &whole[..start.len()]);
    }

    #[test]
    fn all_code_paths_give_the_same_bits(
        noise in noises(), stream in streams(), input: u32, sample: u32, len in 0_usize..3_200,
    ) {
        let make = |path| {
            let noise = noise.clone().on(path)?;
            let (mut e, mut y) = (vec![0; len], vec![0.0; len]);
            noise.fill(stream, input, sample, &mut e);
            noise.add(stream, input, sample, &image(len), &mut y);
            Some((e, bits(&y)))
        };
        let portable = make(CodePath::Portable);
        for path in [CodePath::Avx2, CodePath::Avx512] {
            if path.is_available() {
                prop_assert_eq!(&make(path), &portable);
            }
        }
    }

    #[test]
    fn a_noisy_pixel_is_one_quotient_of_whole_numbers(
        noise in noises(), stream in streams(), input: u32, sample: u32, len in 0_usize..1_000,
    ) {
        let image = image(len);
        let (mut e, mut noisy) = (vec![0; len], vec![f32::NAN; len]);
        noise.fill(stream, input, sample, &mut e);
        noise.add(stream, input, sample, &image, &mut noisy);
        for ((y, k), e) in noisy.iter().zip(&image).zip(&e) {
            prop_assert_eq!(*y, (i32::from(*k) + e) as f32 / 255.0);
            // And the whole number comes back out of it.
            prop_assert_eq!((y * 255.0).round() as i32, i32::from(*k) + e);
        }
    }

    #[test]
    fn a_batch_is_its_single_samples(
        noise in noises(), stream in streams(), input: u32, first in 0..u32::MAX - 10,
        count in 0_u32..10, len in 0_usize..500, split in 0_u32..10,
    ) {
        let image = image(len);
        let mut singles = vec![f32::NAN; count as usize * len];
        for (i, row) in singles.chunks_exact_mut(len.max(1)).enumerate() {
            noise.add(stream, input, first + i as u32, &image, row);
        }
        let mut batch = vec![f32::NAN; singles.len()];
        noise.add_batch(stream, input, first..first + count, &image, &mut batch);
        prop_assert_eq!(bits(&batch), bits(&singles));

        // Two shards, made by two threads.
        let middle = first + split.min(count);
        let mut shards = vec![f32::NAN; singles.len()];
        let (left, right) = shards.split_at_mut((middle - first) as usize * len);
        std::thread::scope(|scope| {
            scope.spawn(|| noise.add_batch(stream, input, middle..first + count, &image, right));
            scope.spawn(|| noise.add_batch(stream, input, first..middle, &image, left));
        });
        prop_assert_eq!(bits(&shards), bits(&singles));
    }

    /// Each coordinate of the address matters (equality of 64 values by chance
    /// has probability below 2^-100).
    #[test]
    fn another_address_is_another_noise(seed: u64, input: u32, sample: u32, bit in 0_u32..32) {
        let at = |seed: u64, stream, input, sample| {
            let mut e = [0; 64];
            IntegerNoise::new(seed, 0.01).unwrap().fill(stream, input, sample, &mut e);
            e
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
