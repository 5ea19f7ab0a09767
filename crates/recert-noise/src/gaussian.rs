//! Two random words to two standard normals, by operations that are exact everywhere.
//!
//! The transform of Box and Muller, "A note on the generation of random normal
//! deviates", Ann. Math. Statist. 29 (1958): with independent uniforms U and T,
//! sqrt(-2 ln U) (cos 2 pi T, sin 2 pi T) is a pair of independent standard
//! normals. The 64 bits of the two words split into
//!
//! - 40 bits for the radius: U = (256 w0 + w1 mod 256 + 1/2) / 2^40,
//! - 24 bits for the angle: T = (floor(w1 / 256) + 1/2) / 2^24.
//!
//! Forty bits put the largest radius at sqrt(-2 ln 2^-41) = 7.54 and keep the
//! radii dense up to 5.8 (24 bits would end at 5.9, 32 at 6.8). Both uniforms
//! are midpoints of their cells: neither is ever 0 or 1, and the law is exactly
//! symmetric about 0.
//!
//! Logarithm, sine and cosine are minimax polynomials with float32
//! coefficients, evaluated by fused multiply-adds in one fixed order; selection
//! is by integer masks. No table, no branch, no library function.

#![expect(
    clippy::inline_always,
    reason = "the loops must be compiled with the target features of their caller"
)]

use std::f32::consts::{LN_2, SQRT_2};

/// Bound of the relative error of every normal: |z - z*| <= 2^-21 |z*|.
///
/// Here z* is the exact transform of the same two words. In units of 2^-24 the
/// largest errors found are 3.03 for the radius (all 2^32 leading words) and
/// 2.06 for the sine and cosine (all 2^24 angles); their product rounds by at
/// most 1, and the bound is 8. It has no absolute part: normals close to 0 are
/// as accurate as others.
pub const MAX_RELATIVE_ERROR: f64 = 1.0 / 2_097_152.0;

/// Bound of the absolute value of every normal: sqrt(82 ln 2) = 7.53910.. and its rounding error.
pub const MAX_ABS: f32 = 7.5392;

/// `(-2 ln(1 + f) + 2 f - f^2) / f^3` for f in [1/sqrt 2 - 1, sqrt 2 - 1], lowest
/// power first; relative error of -2 ln(1 + f) at most 3.5e-8.
const LOG: [f32; 7] = [
    -0.666_678_2,
    0.500_026_76,
    -0.399_261_27,
    0.331_551_7,
    -0.298_295_35,
    0.285_349_73,
    -0.174_008_73,
];

/// `sin(pi v / 2) / v` in powers of v^2 for |v| <= 1/2; relative error at most 2.8e-8.
const SIN: [f32; 4] = [1.570_796_4, -0.645_966_6, 0.079_711_68, -0.004_683_339_5];

/// `cos(pi v / 2)` in powers of v^2 for |v| <= 1/2; absolute error at most 5e-10.
const COS: [f32; 5] = [
    1.0,
    -1.233_700_5,
    0.253_668_52,
    -0.020_855_254,
    0.000_893_573_3,
];

/// The value at `x` of the polynomial with these coefficients, by Horner's rule.
#[inline(always)]
fn horner<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut value = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        value = value.mul_add(x, coefficients[k]);
    }
    value
}

/// sqrt(-2 ln U), with U from all of `w0` and the low 8 bits of `w1`.
#[inline(always)]
pub(crate) fn radius(w0: u32, w1: u32) -> f32 {
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    const LOW_SCALE: f32 = SCALE / 256.0;
    const HALF: f32 = LOW_SCALE / 2.0;

    // Read as a signed number the word is U for U < 1/2 and U - 1 otherwise,
    // both with full relative precision: small radii keep theirs.
    let low = (w1 & 0xFF) as i32 as f32;
    let signed = (w0 as i32 as f32).mul_add(SCALE, low.mul_add(LOW_SCALE, HALF));
    let uniform = if signed < 0.0 { 1.0 + signed } else { signed };

    // uniform = 2^exponent * mantissa, mantissa in [1/sqrt 2, sqrt 2).
    let root_half = (SQRT_2 / 2.0).to_bits();
    let offset = uniform.to_bits().wrapping_sub(root_half);
    let exponent = (offset as i32) >> 23;
    let mantissa = f32::from_bits((offset & 0x7F_FFFF).wrapping_add(root_half));
    // Exponent 0 occurs for U > 1/sqrt 2 only, where U - 1 is at hand exactly.
    let f = if exponent == 0 {
        signed
    } else {
        mantissa - 1.0
    };

    let tail = horner(&LOG, f);
    let mantissa_part = tail.mul_add(f, 1.0).mul_add(f, -2.0) * f;
    (exponent as f32).mul_add(-2.0 * LN_2, mantissa_part).sqrt()
}

/// (cos 2 pi T, sin 2 pi T), with T from the upper 24 bits of `w1`.
#[inline(always)]
pub(crate) fn direction(w1: u32) -> (f32, f32) {
    const SCALE: f32 = 1.0 / 4_294_967_296.0;
    const SIGN: u32 = 0x8000_0000;

    // 2 pi T = (quarter + v) pi / 2 with v in [-1/2, 1/2): shifting the two
    // leading bits out leaves the signed distance to the nearest axis, and the
    // set bit below is the midpoint. It has 23 significant bits: v is exact.
    let v = (((w1 << 2) & 0xFFFF_FC00) | 0x200) as i32 as f32 * SCALE;
    let square = v * v;
    let sine = horner(&SIN, square) * v;
    let cosine = horner(&COS, square);

    // The two leading bits of the shifted word number the nearest axis.
    let axis = w1.wrapping_add(0x2000_0000);
    let odd = axis & 0x4000_0000 != 0;
    let (x, y) = if odd { (sine, cosine) } else { (cosine, sine) };
    let flip_x = axis.wrapping_add(0x4000_0000) & SIGN;
    let flip_y = axis & SIGN;
    (
        f32::from_bits(x.to_bits() ^ flip_x),
        f32::from_bits(y.to_bits() ^ flip_y),
    )
}

/// The two normals of a word pair: cosine side, sine side.
#[inline(always)]
pub(crate) fn pair(w0: u32, w1: u32) -> (f32, f32) {
    let radius = radius(w0, w1);
    let (x, y) = direction(w1);
    (radius * x, radius * y)
}

#[cfg(test)]
mod tests;
