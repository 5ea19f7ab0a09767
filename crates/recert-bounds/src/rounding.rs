//! Bounds on what f64 rounds, and the sums that they are stated for.
//!
//! `u = 2^-53` is the unit roundoff. A sum of `n` products, in whatever order and with or
//! without fused multiply-add, errs by at most `gamma(n)` times the sum of the products'
//! magnitudes, as long as nothing overflows or underflows (Higham, *Accuracy and Stability of
//! Numerical Algorithms*, 2nd edition, 2002, section 3.1). Overflow shows as an infinity or NaN
//! in the result; what underflow takes away is at most [`TINY`] a product.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

/// The vector instructions that loops are run with. They change no bit: the order of every sum is
/// written down, and nothing is fused.
pub(crate) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// The unit roundoff of f64.
pub(crate) const U: f64 = f64::EPSILON / 2.0;

/// Above what a product, or its error, loses to underflow.
pub(crate) const TINY: f64 = f64::MIN_POSITIVE;

/// Sums of more terms than this are not made here.
pub(crate) const MOST_TERMS: usize = 1 << 30;

/// A computed sum of at most [`MOST_TERMS`] terms that are not negative, times this, is not
/// below the exact sum: `gamma(2^30 + 2) < 2^-22`.
pub(crate) const INFLATE: f64 = 1.0 + 1.0 / 1_048_576.0;

/// `n u / (1 - n u)`, rounded up.
pub(crate) fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu) * (1.0 + 4.0 * f64::EPSILON)
}

/// The sum of `a[i] b[i]`, in eight partial sums.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    ARCH.dispatch(|| lanes(a, b, |a, b| a * b))
}

/// The sum of `|a[i]| b[i]`, in eight partial sums.
pub(crate) fn abs_dot(a: &[f64], b: &[f64]) -> f64 {
    ARCH.dispatch(|| lanes(a, b, |a, b| a.abs() * b))
}

/// The positive and the negative part of a number, one of which is 0; both NaN of NaN. Exact, and no
/// branch.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn parts(a: f64) -> (f64, f64) {
    let size = a.abs();
    (0.5 * (a + size), 0.5 * (a - size))
}

/// The sum of `a[i]` times the first vector's element where it is not negative, else the second's,
/// in eight partial sums. A factor that is not finite makes it NaN.
pub(crate) fn signed_dot(a: &[f64], positive: &[f64], negative: &[f64]) -> f64 {
    ARCH.dispatch(|| signed_dot_here(a, positive, negative))
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn signed_dot_here(a: &[f64], positive: &[f64], negative: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (p, p_rest) = positive.as_chunks::<8>();
    let (n, n_rest) = negative.as_chunks::<8>();
    let term = |a: f64, p: f64, n: f64| {
        let (above, below) = parts(a);
        above * p + below * n
    };
    for (a, (p, n)) in a.iter().zip(p.iter().zip(n)) {
        for lane in 0..8 {
            sums[lane] += term(a[lane], p[lane], n[lane]);
        }
    }
    let rest = a_rest.iter().zip(p_rest.iter().zip(n_rest));
    let rest: f64 = rest.map(|(&a, (&p, &n))| term(a, p, n)).sum();
    sums.iter().sum::<f64>() + rest
}

/// [`dot`] with the first vector and [`abs_dot`] with the second, reading `a` once.
pub(crate) fn dots(a: &[f64], factors: &[f64], sizes: &[f64]) -> [f64; 2] {
    ARCH.dispatch(|| dots_here(a, factors, sizes))
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn dots_here(a: &[f64], factors: &[f64], sizes: &[f64]) -> [f64; 2] {
    let (a, a_rest) = a.as_chunks::<8>();
    let (f, f_rest) = factors.as_chunks::<8>();
    let (s, s_rest) = sizes.as_chunks::<8>();
    let mut lanes = [[0.0; 8]; 2];
    for (a, (f, s)) in a.iter().zip(f.iter().zip(s)) {
        for lane in 0..8 {
            lanes[0][lane] += a[lane] * f[lane];
            lanes[1][lane] += a[lane].abs() * s[lane];
        }
    }
    let mut sums = lanes.map(|lanes| lanes.iter().sum::<f64>());
    for (a, (f, s)) in a_rest.iter().zip(f_rest.iter().zip(s_rest)) {
        sums[0] += a * f;
        sums[1] += a.abs() * s;
    }
    sums
}

/// The lines of some elements, `slope x + offset`, and what is charged for a unit of coefficient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedLines<'a> {
    /// The slopes where a coefficient is not negative, and where it is.
    pub(crate) slopes: [&'a [f64]; 2],
    pub(crate) offsets: [&'a [f64]; 2],
    pub(crate) slack: &'a [f64],
}

/// Multiplies each `a[i]` by the slope that its sign chooses. Returns the sum of the products of
/// `a[i]` with the offsets, and that of `|a[i]|` with the slack, each in eight partial sums. A slope
/// or an offset that is not finite makes NaN.
pub(crate) fn take_lines(a: &mut [f64], lines: SignedLines<'_>) -> [f64; 2] {
    ARCH.dispatch(TakeLines { a, lines })
}

/// What [`take_lines`] does, to be compiled for each set of instructions.
struct TakeLines<'a> {
    a: &'a mut [f64],
    lines: SignedLines<'a>,
}

impl WithSimd for TakeLines<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        take_lines_here(self.a, self.lines)
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn take_lines_here(a: &mut [f64], lines: SignedLines<'_>) -> [f64; 2] {
    let [p, n] = lines.slopes.map(<[f64]>::as_chunks::<8>);
    let [p_offset, n_offset] = lines.offsets.map(<[f64]>::as_chunks::<8>);
    let slack = lines.slack.as_chunks::<8>();
    let (a, a_rest) = a.as_chunks_mut::<8>();
    let mut lanes = [[0.0; 8]; 2];
    let slopes = p.0.iter().zip(n.0);
    let offsets = p_offset.0.iter().zip(n_offset.0).zip(slack.0);
    for ((a, (p, n)), ((p_offset, n_offset), slack)) in a.iter_mut().zip(slopes).zip(offsets) {
        let [mut above, mut below] = [[0.0; 8]; 2];
        for lane in 0..8 {
            (above[lane], below[lane]) = parts(a[lane]);
        }
        for lane in 0..8 {
            lanes[1][lane] += a[lane].abs() * slack[lane];
        }
        // Of two products, one is 0.
        for lane in 0..8 {
            lanes[0][lane] += above[lane] * p_offset[lane] + below[lane] * n_offset[lane];
        }
        for lane in 0..8 {
            a[lane] = above[lane] * p[lane] + below[lane] * n[lane];
        }
    }
    let mut sums = lanes.map(|lanes| lanes.iter().sum::<f64>());
    for (i, a) in a_rest.iter_mut().enumerate() {
        let (above, below) = parts(*a);
        sums[0] += above * p_offset.1[i] + below * n_offset.1[i];
        sums[1] += a.abs() * slack.1[i];
        *a = above * p.1[i] + below * n.1[i];
    }
    sums
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn lanes(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    let rest: f64 = rest.map(|(&a, &b)| term(a, b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_choose_factors() {
        let a = [1.5, -2.0, 0.0, -0.0, 3.0, -1.0, 0.1, -0.7, 5.0];
        let (p, n) = ([2.0; 9], [3.0; 9]);
        let want = a.map(|a| a * if a >= 0.0 { 2.0 } else { 3.0 });
        let slack = [0.5; 9];
        let lines = SignedLines {
            slopes: [&p, &n],
            offsets: [&n, &p],
            slack: &slack,
        };
        let mut scaled = a;
        let [sum, charge] = take_lines(&mut scaled, lines);
        assert_eq!(scaled, want);
        assert_eq!(sum, signed_dot(&a, &n, &p));
        assert_eq!(charge, abs_dot(&a, &slack));
        assert_eq!(dots(&a, &p, &slack), [dot(&a, &p), charge]);
        assert!((signed_dot(&a, &p, &n) - want.iter().sum::<f64>()).abs() < 1e-14);
        for bad in [f64::NAN, f64::INFINITY] {
            let mut scaled = [bad, 1.0];
            let lines = SignedLines {
                slopes: [&[1.0, bad], &[1.0; 2]],
                offsets: [&[bad, 1.0], &[1.0; 2]],
                slack: &[0.0; 2],
            };
            let sums = take_lines(&mut scaled, lines);
            assert!(scaled.iter().all(|a| !a.is_finite()));
            assert!(!sums[0].is_finite());
            assert!(!signed_dot(&[bad], &[1.0], &[1.0]).is_finite());
            assert!(!signed_dot(&[1.0], &[bad], &[1.0]).is_finite());
        }
    }

    #[test]
    fn sums_keep_their_bounds() {
        // Integers of 30 bits: products are exact in i128, and the f64 sums round.
        let number = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 34) as i64 - (1 << 29);
        for n in [1_usize, 7, 8, 9, 100, 5000] {
            let a: Vec<i64> = (0..n as u64).map(number).collect();
            let b: Vec<i64> = (0..n as u64).map(|i| number(i + 77_777)).collect();
            let exact: i128 = a.iter().zip(&b).map(|(&a, &b)| i128::from(a * b)).sum();
            let size: i128 = (a.iter().zip(&b))
                .map(|(&a, &b)| i128::from((a * b).abs()))
                .sum();
            let [a, b] = [a, b].map(|v| v.into_iter().map(|v| v as f64).collect::<Vec<_>>());
            let error = (dot(&a, &b) as i128 - exact).unsigned_abs() as f64;
            assert!(error <= gamma(n) * size as f64 * INFLATE);
            let magnitudes: Vec<f64> = b.iter().map(|b| b.abs()).collect();
            assert!(abs_dot(&a, &magnitudes) * INFLATE >= size as f64);
        }
        assert!(gamma(MOST_TERMS + 2) < 1.0 / f64::from(1 << 22));
    }
}
