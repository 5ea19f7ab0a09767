//! The numbers of chosen samples, ascending, and their coded form.
//!
//! A sample's gap is how many numbers lie between it and the sample before it; the
//! first sample's number is stored beside the blob. Chosen samples are mostly
//! neighbours (gap 0) or scattered evenly (gaps nearly geometric), so a gap is
//! split as in Elias' gamma code (1975): its length in bits, entropy-coded, and
//! the bits below its leading one, as they are.
//!
//! A blob is: a version byte; the number of bytes of what follows, LEB128; the
//! lengths as a blob of `codes.rs` with one context; the low bits of all gaps
//! longer than one bit, each gap's least significant first, packed from the low
//! end of each byte; then a CRC-32 of all that.

use crate::codes;

/// The format's version, the first byte of every blob.
const VERSION: u8 = 1;

/// Encodes ascending numbers, all but the first.
pub(crate) fn encode(numbers: &[u32]) -> Vec<u8> {
    let gaps = || numbers.windows(2).map(|pair| pair[1] - pair[0] - 1);
    let lengths: Vec<u16> = gaps().map(|gap| length(gap) as u16).collect();
    let lengths = codes::encode(&lengths, 1, |_| 0);
    let mut blob = vec![VERSION];
    codes::put(&mut blob, lengths.len() as u64);
    blob.extend(lengths);
    let (mut waiting, mut bits) = (0_u64, 0);
    for gap in gaps() {
        let low = low_bits(length(gap));
        waiting |= u64::from(gap & !(1 << low)) << bits;
        bits += low;
        while bits >= 8 {
            blob.push(waiting as u8);
            waiting >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        blob.push(waiting as u8);
    }
    blob.extend(crc32fast::hash(&blob).to_le_bytes());
    blob
}

/// The inverse of [`encode`] for `count` numbers from `first` on, or what is
/// wrong with the blob.
pub(crate) fn decode(blob: &[u8], first: u64, count: u64) -> Result<Vec<u32>, String> {
    let (mut rest, checksum) = blob.split_last_chunk().ok_or("is cut off")?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
        return Err("is damaged (its checksum does not match)".into());
    }
    let version = rest.split_off_first().ok_or("is empty")?;
    if *version != VERSION {
        return Err(format!("has version {version}, not {VERSION}"));
    }
    let head = usize::try_from(codes::take(&mut rest)?).map_err(|_| "is cut off")?;
    let (head, mut rest) = rest.split_at_checked(head).ok_or("is cut off")?;
    let gaps = count.checked_sub(1).ok_or("is of no samples")?;
    let lengths = codes::decode(head, gaps, 1, |_| 0)?;
    let mut number = u32::try_from(first).map_err(|_| "starts at a number too large")?;
    let mut numbers = Vec::with_capacity(lengths.len() + 1);
    numbers.push(number);
    let (mut waiting, mut bits) = (0_u64, 0);
    for length in lengths {
        let length = u32::from(length);
        if length > u32::BITS {
            return Err("has a gap too large".into());
        }
        let low = low_bits(length);
        while bits < low {
            waiting |= u64::from(*rest.split_off_first().ok_or("is cut off")?) << bits;
            bits += 8;
        }
        let mut gap = (waiting & ((1 << low) - 1)) as u32;
        if length > 0 {
            gap |= 1 << low;
        }
        waiting >>= low;
        bits -= low;
        number = number
            .checked_add(gap)
            .and_then(|number| number.checked_add(1))
            .ok_or("ends at a number too large")?;
        numbers.push(number);
    }
    if !rest.is_empty() || waiting != 0 {
        return Err("has bits left over".into());
    }
    Ok(numbers)
}

/// Bits of a gap, without leading zeros; 0 for no gap.
fn length(gap: u32) -> u32 {
    u32::BITS - gap.leading_zeros()
}

/// Bits below the leading one of a gap of this length.
fn low_bits(length: u32) -> u32 {
    length.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(numbers: &[u32]) -> usize {
        let blob = encode(numbers);
        let back = decode(&blob, numbers[0].into(), numbers.len() as u64);
        assert_eq!(back.as_deref(), Ok(numbers));
        blob.len()
    }

    #[test]
    fn edge_cases_round_trip() {
        for numbers in [
            &[0][..],
            &[u32::MAX],
            &[0, u32::MAX],
            &[0, 1, u32::MAX - 1, u32::MAX],
            &[7, 9, 10, 13, 1 << 16, 1 << 31],
        ] {
            round_trip(numbers);
        }
        round_trip(&(5..3000).collect::<Vec<_>>());
        round_trip(&(0..32).map(|i| 1_u32 << i).collect::<Vec<_>>());
    }

    /// Numbers below `end`, each chosen with probability `p`, by a congruential
    /// generator [Knuth, TAOCP 2, 3.3.4: MMIX].
    fn scattered(end: u32, p: f64) -> Vec<u32> {
        let mut state = 1_u64;
        let mut chosen = |_: &u32| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64) < p * (1_u64 << 53) as f64
        };
        (0..end).filter(&mut chosen).collect()
    }

    #[test]
    fn scattered_numbers_come_close_to_their_entropy() {
        for p in [0.01, 0.03, 0.1, 0.5, 0.9, 0.99, 0.999] {
            let numbers = scattered(200_000, p);
            let bits = round_trip(&numbers) as f64 * 8.0 / numbers.len() as f64;
            let q = 1.0 - p;
            let entropy = -(p * f64::log2(p) + q * f64::log2(q)) / p;
            assert!(bits < 1.06 * entropy + 0.02, "{p}: {bits} bits, {entropy}");
            assert!(bits < 1.2 * 8.0, "{p}: {bits} bits");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let numbers = scattered(5000, 0.1);
        let (blob, count) = (encode(&numbers), numbers.len() as u64);
        let first = u64::from(numbers[0]);
        for place in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[place] ^= 1;
            assert!(decode(&damaged, first, count).is_err(), "flip at {place}");
            assert!(decode(&blob[..place], first, count).is_err());
        }
        for (first, count) in [
            (first, count + 1),
            (first, count - 1),
            (first, 0),
            (first, u64::MAX),
            (u64::from(u32::MAX) - 100, count),
            (1 << 40, count),
        ] {
            assert!(decode(&blob, first, count).is_err(), "{first} {count}");
        }
    }

    #[test]
    fn forged_blobs_are_refused() {
        // Well-formed checksums around what encoding never makes.
        let forge = |lengths: &[u16], low: &[u8]| {
            let head = codes::encode(lengths, 1, |_| 0);
            let mut blob = vec![VERSION];
            codes::put(&mut blob, head.len() as u64);
            blob.extend(head);
            blob.extend(low);
            blob.extend(crc32fast::hash(&blob).to_le_bytes());
            decode(&blob, 3, lengths.len() as u64 + 1)
        };
        assert_eq!(forge(&[0, 2, 0], &[1]), Ok(vec![3, 4, 8, 9]));
        for (lengths, low, word) in [
            (&[33][..], &[0; 5][..], "gap too large"),
            (&[u16::MAX], &[0; 5], "gap too large"),
            (&[0, 2, 0], &[], "cut off"),
            (&[0, 2, 0], &[2], "left over"),
            (&[0, 2, 0], &[1, 0], "left over"),
            (&[32, 32], &[0; 8], "number too large"),
        ] {
            let error = forge(lengths, low).unwrap_err();
            assert!(error.contains(word), "{lengths:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_ascending_numbers_round_trip(
            numbers in prop::collection::btree_set(any::<u32>(), 1..400),
        ) {
            round_trip(&numbers.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn near_numbers_round_trip(numbers in prop::collection::btree_set(0_u32..2000, 1..1500)) {
            round_trip(&numbers.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn random_bytes_never_panic(
            mut blob in prop::collection::vec(any::<u8>(), 0..60), n in 0_u64..50, sealed: bool,
        ) {
            if sealed {
                blob.extend(crc32fast::hash(&blob).to_le_bytes());
            }
            let _ = decode(&blob, 0, n);
        }
    }
}
