//! The law of one coordinate at one sigma, as thresholds for 127 random bits.
//!
//! With s = 255 sigma, a coordinate E = round(s Z) has
//! P(|E| > j) = 2 Phi(-(j + 1/2)/s). The table holds
//! q(j) = floor(2^128 Phi(-(j + 1/2)/s)), j = 0, 1, .., as long as
//! (j + 1/2)/s <= 11.6; for V uniform on the whole numbers below 2^127,
//! |E| is the number of j with V < q(j).
//!
//! ## What is proved of the thresholds
//!
//! x = (2j + 1)/(510 sigma) is a quotient of whole numbers (sigma is an `f64`:
//! a whole number times a power of 2), and with y = x^2/2
//!
//!   Phi(-x) = 1/2 - x/sqrt(2 pi) S,   S = sum over k of (-y)^k / (k! (2k + 1)).
//!
//! In units u = 2^-256, all roundings being downwards: x is short by at most u
//! and y by at most (x + 2) u <= 14 u. The terms t(k) = t(k-1) y / k are each rounded
//! twice, so the k-th is short of y^k/k! by at most
//!
//!   14 u y^(k-1)/(k-1)! + 2 u (sum over i of y^(k-i) i!/k!) <= 16 u e^y,
//!
//! since i! (k-i)! <= k!; divided by 2k + 1, and rounded once more, by at most
//! 7 u e^y. The series ends where t(k) is 0 in this arithmetic, which is after
//! k = y (before, the terms grow from 1), so that the rest alternates and
//! decreases and is below its first term, 16 u e^y. For x <= 11.6 (y <= 67.3,
//! e^y < 2^97.1) that happens at some k < 400, since y^k/k! is below u there.
//! Together S is known to 400 * 7 u e^y + 16 u e^y < 2^-147, Phi(-x) to
//! 4.63 * 2^-147 and the rounding of the prefactor, below 2^-144, and
//!
//!   |q(j)/2^128 - Phi(-(j + 1/2)/s)| < 2^-128 + 2^-144 < 2^-127.

use super::fixed::Fixed;

/// Bits of a cell's number: the leading bits of V.
const CELL_BITS: u32 = 12;
/// Bits of V's first word, a sign bit having been taken off.
pub(super) const WORD_BITS: u32 = 31;
/// Bits of V that further words hold.
pub(super) const FURTHER_BITS: u32 = 96;
/// Bits of the first word behind the cell's number.
const LOW_BITS: u32 = WORD_BITS - CELL_BITS;
/// A mask of these.
const LOW: u32 = (1 << LOW_BITS) - 1;
/// In place of a cell's count: the cell's thresholds must be searched.
const SEARCH: u32 = (1 << (32 - LOW_BITS)) - 1;

/// The largest x in the table, as 5 x.
const FIVE_TIMES_CUT: u128 = 58;

/// Thresholds of the law, and a guide to them by the leading bits of V.
#[derive(Debug)]
pub(super) struct Table {
    sigma: f64,
    /// q(j), decreasing.
    thresholds: Vec<u128>,
    /// For every cell, the count of thresholds above it, times 2^19, plus the
    /// low bits of the one threshold inside, or 0.
    guide: Box<[u32; 1 << CELL_BITS]>,
}

impl Table {
    /// The table for noise of standard deviation `sigma`, in units of pixels in
    /// [0, 1]; sigma lies in the range that [`super::check_sigma`] allows.
    pub(super) fn new(sigma: f64) -> Self {
        let thresholds = thresholds(sigma);
        let guide = guide(&thresholds);
        Self {
            sigma,
            thresholds,
            guide,
        }
    }

    pub(super) fn sigma(&self) -> f64 {
        self.sigma
    }

    pub(super) fn thresholds(&self) -> &[u128] {
        &self.thresholds
    }

    /// |E| by V's first word (31 bits), where that word and the guide decide it.
    #[expect(
        clippy::inline_always,
        reason = "it must be compiled with the target features of its caller"
    )]
    #[inline(always)]
    pub(super) fn look_up(&self, word: u32) -> (u32, bool) {
        // The mask changes nothing, but the compiler sees the range by it.
        let cell = (word >> LOW_BITS) & ((1 << CELL_BITS) - 1);
        let entry = self.guide[cell as usize];
        let (low, threshold) = (word & LOW, entry & LOW);
        let count = entry >> LOW_BITS;
        // Equal words leave the comparison open, and a threshold of 0 means that
        // there is perhaps none.
        let open = count == SEARCH || low == threshold;
        (count + u32::from(low < threshold), open)
    }

    /// |E| by V's first word and, if these matter, its 96 further bits.
    pub(super) fn search(&self, word: u32, further: impl FnOnce() -> u128) -> u32 {
        let first = |q: u128| (q >> FURTHER_BITS) as u32;
        let above = self.thresholds.partition_point(|&q| first(q) > word);
        let open = self.thresholds[above..].partition_point(|&q| first(q) == word);
        if open == 0 {
            return above as u32;
        }
        let v = (u128::from(word) << FURTHER_BITS) | further();
        self.thresholds.partition_point(|&q| v < q) as u32
    }
}

/// q(j) for all j of the table.
fn thresholds(sigma: f64) -> Vec<u128> {
    // sigma = mantissa 2^exponent exactly, since it is a normal number, and
    // x = (2j + 1) 2^(-exponent - 1) / (255 mantissa).
    let bits = sigma.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let shift = 1074 - (bits >> 52);
    let divisor = 255 * mantissa;
    let limit = FIVE_TIMES_CUT * u128::from(divisor) / 5;
    (1_u128 << shift..=limit)
        .step_by(2 << shift)
        .map(|numerator| tail(Fixed::integer(numerator).over(divisor)).leading_128_bits())
        .collect()
}

/// Phi(-x) for 0 <= x <= 11.6; the module's text has the proof of its error.
fn tail(x: Fixed) -> Fixed {
    let y = x.times(x).over(2);
    let (mut even, mut odd) = (Fixed::ONE, Fixed::ZERO);
    let mut term = Fixed::ONE;
    for k in 1.. {
        term = term.times(y).over(k);
        if term == Fixed::ZERO {
            break;
        }
        let part = term.over(2 * k + 1);
        if k % 2 == 0 {
            even = even.plus(part);
        } else {
            odd = odd.plus(part);
        }
    }
    let centre = x.times(Fixed::INV_SQRT_TWO_PI).times(even.minus(odd));
    Fixed::HALF.minus(centre)
}

/// The guide to these thresholds.
fn guide(thresholds: &[u128]) -> Box<[u32; 1 << CELL_BITS]> {
    let width = 1_u128 << (FURTHER_BITS + LOW_BITS);
    let mut guide = Box::new([0; 1 << CELL_BITS]);
    for (cell, entry) in guide.iter_mut().enumerate() {
        let start = cell as u128 * width;
        // V < q for every V of the cell; for some V of it.
        let all = thresholds.partition_point(|&q| q >= start + width);
        let some = thresholds.partition_point(|&q| q > start);
        let low = if some > all {
            (thresholds[all] >> FURTHER_BITS) as u32 & LOW
        } else {
            0
        };
        let count = u32::try_from(all).unwrap_or(u32::MAX).min(SEARCH);
        *entry = if some - all > 1 {
            SEARCH << LOW_BITS
        } else {
            (count << LOW_BITS) | low
        };
    }
    guide
}
