//! Integer noise is frozen: golden thresholds, noise and pixels from independent arithmetic.

use recert_noise::{CodePath, GENERATOR_INTEGER, IntegerNoise, Stream};

const TABLE: &str = include_str!("../golden/integer_table.tsv");
const VALUES: &str = include_str!("../golden/integer_values.tsv");
const HASHES: &str = include_str!("../golden/integer_hashes.tsv");

/// The noise on every code path of this machine.
fn paths(noise: &IntegerNoise) -> impl Iterator<Item = IntegerNoise> {
    CodePath::ALL
        .into_iter()
        .filter_map(|path| noise.clone().on(path))
}

/// The fields of a row, without the header's row.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|row| row.split('\t').collect())
}

/// The leading columns: seed, stream, input, sample, sigma.
fn address(row: &[&str]) -> (IntegerNoise, Stream, u32, u32) {
    let number = |column: usize| row[column].parse::<u64>().expect("a number");
    let stream = Stream::from_tag(number(1) as u32).expect("a stream");
    let sigma = row[4].parse().expect("a decimal");
    let noise = IntegerNoise::new(number(0), sigma).expect("a sigma in range");
    (noise, stream, number(2) as u32, number(3) as u32)
}

/// The levels of the golden image.
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|j| (37 * j % 256) as u8).collect()
}

fn fnv(bytes: impl Iterator<Item = u8>) -> String {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[test]
fn the_name_of_the_stream_is_frozen() {
    assert_eq!(
        GENERATOR_INTEGER,
        "philox4x32-10/rounded-normal-128/tile64/v1"
    );
}

/// Every threshold is floor(2^128 Phi(..)) to the last bit.
#[test]
fn thresholds_are_those_of_the_exact_law() {
    let mut sigmas = 0;
    for group in rows(TABLE)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a[0] == b[0])
    {
        let sigma = group[0][0].parse().expect("a decimal");
        let noise = IntegerNoise::new(0, sigma).expect("a sigma in range");
        let q = noise.thresholds();
        for row in group {
            assert_eq!(row[1], q.len().to_string(), "{sigma}");
            let index: usize = row[3].parse().expect("a number");
            assert_eq!(row[4], format!("{:032x}", q[index]), "{sigma} {index}");
        }
        let hash = fnv(q.iter().flat_map(|q| q.to_le_bytes()));
        assert_eq!(group[0][2], hash, "{sigma}");
        sigmas += 1;
    }
    assert_eq!(sigmas, 6);
}

#[test]
fn values_are_frozen() {
    let rows: Vec<_> = rows(VALUES).collect();
    let mut decided_late = 0;
    for group in rows.chunk_by(|a, b| a[..5] == b[..5]) {
        let (noise, stream, input, sample) = address(&group[0]);
        let element = |row: &[&str]| row[5].parse::<usize>().expect("a number");
        let longest = group.iter().map(|row| element(row)).max();
        let len = longest.expect("a group has rows") + 1;
        for noise in paths(&noise) {
            let (mut e, mut pixels) = (vec![0; len], vec![0.0; len]);
            noise.fill(stream, input, sample, &mut e);
            noise.add(stream, input, sample, &image(len), &mut pixels);
            for row in group {
                let j = element(row);
                assert_eq!(row[6], e[j].to_string(), "{} {row:?}", noise.path());
                let bits = format!("{:08x}", pixels[j].to_bits());
                assert_eq!(row[7], bits, "{} {row:?}", noise.path());
                decided_late += u32::from(row[8] == "open");
            }
        }
    }
    assert!(decided_late >= 10, "further bits decided {decided_late}");
}

#[test]
fn whole_samples_are_frozen() {
    for row in rows(HASHES) {
        let (noise, stream, input, sample) = address(&row);
        let len = row[5].parse().expect("a number");
        for noise in paths(&noise) {
            let mut pixels = vec![0.0_f32; len];
            noise.add(stream, input, sample, &image(len), &mut pixels);
            let hash = fnv(pixels.iter().flat_map(|y| y.to_le_bytes()));
            assert_eq!(hash, row[6], "{} {row:?}", noise.path());
        }
    }
}
