//! The Philox4x32-10 block function, written so that compilers vectorise it.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011, and the constants of their library Random123.

#![expect(
    clippy::inline_always,
    reason = "the loops must be compiled with the target features of their caller"
)]

/// Multipliers of the two halves (`PHILOX_M4x32_0`, `PHILOX_M4x32_1`).
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Increments of the key a round (`PHILOX_W32_0`, `PHILOX_W32_1`).
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// The low half of a 64-bit lane.
const LOW: u64 = 0xFFFF_FFFF;

/// Four pseudo-random 32-bit words from a 128-bit counter and a 64-bit key.
///
/// For one key it is a permutation of the counters. The state is held in
/// 64-bit lanes whose upper halves are zero, because 32 x 32 -> 64 bit products
/// are what vector units offer (`vpmuludq`, `umull`).
#[inline(always)]
pub(crate) fn philox4x32_10(counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = counter.map(u64::from);
    for _ in 0..10 {
        let product0 = x0 * MULTIPLIERS[0];
        let product1 = x2 * MULTIPLIERS[1];
        x0 = (product1 >> 32) ^ x1 ^ u64::from(key[0]);
        x1 = product1 & LOW;
        x2 = (product0 >> 32) ^ x3 ^ u64::from(key[1]);
        x3 = product0 & LOW;
        key[0] = key[0].wrapping_add(WEYL[0]);
        key[1] = key[1].wrapping_add(WEYL[1]);
    }
    [x0 as u32, x1 as u32, x2 as u32, x3 as u32]
}

#[cfg(test)]
mod tests {
    use super::philox4x32_10;

    /// The three published vectors: Random123, `tests/kat_vectors`, lines
    /// `philox4x32 10` (counter, key, words).
    #[test]
    fn random123_known_answers() {
        let table = [
            (
                [0, 0, 0, 0],
                [0, 0],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in table {
            assert_eq!(
                philox4x32_10(counter, key),
                words,
                "{counter:08x?} {key:08x?}"
            );
        }
    }
}
