//! The stream is frozen: golden values from independent arithmetic, on every code path.

use recert_noise::{CodePath, GENERATOR, MAX_RELATIVE_ERROR, NoiseKey, Stream};

const VALUES: &str = include_str!("../golden/values.tsv");
const HASHES: &str = include_str!("../golden/hashes.tsv");

/// The key on every code path of this machine.
fn paths(seed: u64) -> impl Iterator<Item = NoiseKey> {
    CodePath::ALL
        .into_iter()
        .filter_map(move |path| NoiseKey::new(seed).on(path))
}

/// The fields of a row, without the header's row.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|row| row.split('\t').collect())
}

/// The leading columns: seed, stream, input, sample.
fn address(row: &[&str]) -> (u64, Stream, u32, u32) {
    let number = |column: usize| row[column].parse::<u64>().expect("a number");
    let stream = Stream::from_tag(number(1) as u32).expect("a stream");
    (number(0), stream, number(2) as u32, number(3) as u32)
}

#[test]
fn the_name_of_the_stream_is_frozen() {
    assert_eq!(GENERATOR, "philox4x32-10/box-muller-40-24/tile64/v1");
}

#[test]
fn values_are_frozen_and_near_the_exact_transform() {
    let mut noise = Vec::new();
    for row in rows(VALUES) {
        let (seed, stream, input, sample) = address(&row);
        let element: usize = row[4].parse().expect("a number");
        let bits = u32::from_str_radix(row[5], 16).expect("hexadecimal");
        let exact: f64 = row[6].parse().expect("a decimal");
        for key in paths(seed) {
            noise.resize(element + 1, 0.0);
            key.fill(stream, input, sample, &mut noise);
            let z = noise[element];
            assert_eq!(z.to_bits(), bits, "{} {row:?}", key.path());
            let error = (f64::from(z) - exact).abs();
            assert!(error <= MAX_RELATIVE_ERROR * exact.abs(), "{row:?}");
        }
    }
}

#[test]
fn whole_samples_are_frozen() {
    for row in rows(HASHES) {
        let (seed, stream, input, sample) = address(&row);
        for key in paths(seed) {
            let mut noise = vec![0.0_f32; row[4].parse().expect("a number")];
            key.fill(stream, input, sample, &mut noise);
            let hash = noise
                .iter()
                .flat_map(|z| z.to_le_bytes())
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
            assert_eq!(format!("{hash:016x}"), row[5], "{} {row:?}", key.path());
        }
    }
}
