//! The guide against the table, the ends of the ranges, the charge.

use super::kernel::further_bits;
use super::table::{FURTHER_BITS, Table, WORD_BITS};
use super::{COORDINATE_ERROR, IntegerNoise, MAX_SIGMA, MIN_SIGMA, charge, charged_alpha, levels};
use crate::{ErrorKind, Stream};

/// |E| by its definition.
fn count(table: &Table, v: u128) -> u32 {
    table.thresholds().iter().filter(|&&q| v < q).count() as u32
}

/// Words at and beside the thresholds, the cells' edges, and the ends.
fn words(table: &Table) -> Vec<u32> {
    let last = (1 << WORD_BITS) - 1;
    let near = |word: u32| [word.saturating_sub(1), word, (word + 1).min(last)];
    let cells = (0..1_u32 << 12).flat_map(|cell| near(cell << 19));
    let thresholds = table.thresholds().iter();
    let mut words: Vec<u32> = thresholds
        .flat_map(|q| near((q >> FURTHER_BITS) as u32))
        .chain(cells)
        .chain(near(last))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[test]
fn guide_and_search_are_the_definition() {
    for sigma in [MIN_SIGMA, 0.004, 0.12, 0.25, 1.0] {
        let table = Table::new(sigma);
        for word in words(&table) {
            let least = u128::from(word) << FURTHER_BITS;
            let most = least | ((1 << FURTHER_BITS) - 1);
            let ends = [least, most].map(|v| count(&table, v));
            let (magnitude, open) = table.look_up(word);
            if !open {
                assert_eq!([magnitude; 2], ends, "{sigma} {word:x}");
            }
            let search = |bits| table.search(word, || bits);
            assert_eq!(search(0), ends[0], "{sigma} {word:x}");
            assert_eq!(search(most - least), ends[1], "{sigma} {word:x}");
        }
        // At a threshold itself: V = q - 1 is below it, V = q is not.
        for &q in table.thresholds() {
            for v in [q - 1, q, q + 1] {
                let further = v & ((1 << FURTHER_BITS) - 1);
                let magnitude = table.search((v >> FURTHER_BITS) as u32, || further);
                assert_eq!(magnitude, count(&table, v), "{sigma} {v:x}");
            }
        }
    }
}

/// The guide decides nearly always: speed depends on it, and nothing else.
#[test]
fn the_guide_leaves_little_open() {
    for (sigma, limit) in [(0.12, 0.004), (0.25, 0.009), (0.5, 0.018), (1.0, 0.04)] {
        let table = Table::new(sigma);
        let words = (0..1_u32 << WORD_BITS).step_by(4_001);
        let (mut all, mut open) = (0.0, 0.0);
        for word in words {
            all += 1.0;
            open += f64::from(u8::from(table.look_up(word).1));
        }
        eprintln!("sigma {sigma}: {:.2} % open", 100.0 * open / all);
        assert!(open <= limit * all, "{sigma}: {}", open / all);
    }
}

/// The table ends at 11.6 standard deviations, and where its largest value
/// could lead out of the whole numbers of float32, sigma does too.
#[test]
fn the_table_ends_as_stated() {
    for sigma in [MIN_SIGMA, 0.25, MAX_SIGMA] {
        let table = Table::new(sigma);
        let q = table.thresholds();
        assert!(q.is_sorted_by(|a, b| a > b) && q[0] < 1 << 127);
        let last = (q.len() as f64 - 0.5) / (255.0 * sigma);
        assert!(
            last <= 11.6 && last + 1.0 / (255.0 * sigma) > 11.6,
            "{last}"
        );
        assert!(q.len() <= 47_329, "{}", q.len());
        assert_eq!(table.search(0, || 0) as usize, q.len());
        assert_eq!(table.search(u32::MAX >> 1, || u128::MAX >> 32), 0);
    }
    // 2 Phi(-11.6) = 4.1208e-31 (mpmath).
    assert!(47_329.0 * 2.0_f64.powi(-126) + 4.13e-31 < COORDINATE_ERROR);
}

#[test]
fn sigma_out_of_range_is_refused() {
    let outside = [MIN_SIGMA.next_down(), MAX_SIGMA.next_up(), 0.0, -0.25];
    for sigma in outside.into_iter().chain([f64::NAN, f64::INFINITY]) {
        let error = IntegerNoise::new(0, sigma).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sigma, "{sigma}");
        assert!(error.to_string().contains("0.0009765625 to 16"), "{error}");
    }
}

/// The further bits of all words of all blocks are words of other counters.
#[test]
fn further_bits_are_words_of_their_own() {
    let noise = IntegerNoise::new(3, 0.25).unwrap();
    let mut seen = Vec::new();
    for stream in Stream::ALL {
        assert!(stream.tag() < 1 << 24);
        let id = noise.id(stream, 1, 2);
        for number in 0..50 {
            seen.extend((0..4).map(|part| further_bits(&id, number, part)));
        }
    }
    let many = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), many);
}

#[test]
fn the_charge_is_an_upper_bound_and_leaves_alpha_as_it_was() {
    assert_eq!(charge(0, 3072), 0.0);
    assert_eq!(
        charge(1 << 20, 1 << 20),
        (2.0_f64.powi(40)).next_up() * COORDINATE_ERROR
    );
    let most = charge(u64::MAX, u64::MAX);
    assert!(most >= 2.0_f64.powi(28) && most.is_finite());
    for (samples, dims, about) in [
        (100_000, 3_072, 2.424e-22),
        (100_000, 150_528, 1.188e-20),
        (1_000_000_000, 150_528, 1.188e-16),
    ] {
        let charge = charge(samples, dims);
        assert!((charge / about - 1.0).abs() < 1e-3, "{charge:e}");
        for alpha in [0.5, 0.001, 1e-6] {
            let charged = charged_alpha(alpha, samples, dims).unwrap();
            assert!(charged < alpha && alpha - charged <= charge + 2.0 * f64::EPSILON * alpha);
        }
    }
    // An exact case: alpha = 2^-30, charge = 2^-60 (1 + 2^-52) and rounding down.
    let charged = charged_alpha(2.0_f64.powi(-30), 1 << 20, 1 << 20).unwrap();
    assert!(charged < 2.0_f64.powi(-30) - 2.0_f64.powi(-60));
    for alpha in [0.0, 1e-23, f64::NAN] {
        let error = charged_alpha(alpha, 100_000, 3_072).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Charge);
    }
}

#[test]
fn levels_are_those_of_bytes_alone() {
    let all: Vec<u8> = (0..=255).collect();
    let pixels: Vec<f32> = all.iter().map(|&k| f32::from(k) / 255.0).collect();
    assert_eq!(levels(&pixels), Some(all));
    for pixel in pixels {
        for beside in [pixel.next_up(), pixel.next_down()] {
            assert_eq!(levels(&[beside]), None, "{beside}");
        }
    }
    for odd in [-0.0, 2.0, -1.0, 256.0 / 255.0, f32::NAN, f32::INFINITY] {
        assert_eq!(levels(&[0.0, odd]), None, "{odd}");
    }
}

#[test]
#[should_panic(expected = "equally long")]
fn unequal_lengths_panic() {
    let noise = IntegerNoise::new(0, 0.25).unwrap();
    noise.add(Stream::Certify, 0, 0, &[0; 3], &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "one row")]
fn a_batch_of_another_shape_panics() {
    let noise = IntegerNoise::new(0, 0.25).unwrap();
    noise.add_batch(Stream::Certify, 0, 0..2, &[0; 3], &mut [0.0; 5]);
}
