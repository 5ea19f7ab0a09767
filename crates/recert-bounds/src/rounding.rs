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

/// Above what a product, or its error, loses to underflow: 2^-960. It could be 2^-1022; but it is charged wherever a
/// value is exactly 0, its product with a weight would then be subnormal, and a processor may take a hundred times
/// as long for such a product.
pub(crate) const TINY: f64 = f64::MIN_POSITIVE * (1_u64 << 62) as f64;

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
    ARCH.dispatch(Dot::<false> { a, b })
}

/// The sum of `|a[i]| b[i]`, in eight partial sums.
pub(crate) fn abs_dot(a: &[f64], b: &[f64]) -> f64 {
    ARCH.dispatch(Dot::<true> { a, b })
}

/// What [`dot`] does, or with magnitudes [`abs_dot`], to be compiled for each set of instructions.
struct Dot<'a, const MAGNITUDES: bool> {
    a: &'a [f64],
    b: &'a [f64],
}

impl<const MAGNITUDES: bool> WithSimd for Dot<'_, MAGNITUDES> {
    type Output = f64;

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (a, a_rest) = self.a.as_chunks::<8>();
        let (b, b_rest) = self.b.as_chunks::<8>();
        let mut sums = Lanes::new(simd);
        for (a, b) in a.iter().zip(b) {
            let [a, b] = [a, b].map(|x| S::as_simd_f64s(x).0);
            for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
                let a = if MAGNITUDES { simd.abs_f64s(a) } else { a };
                sums.add(simd, i, simd.mul_f64s(a, b));
            }
        }
        let rest = a_rest.iter().zip(b_rest);
        let rest: f64 = rest
            .map(|(&a, &b)| if MAGNITUDES { a.abs() } else { a } * b)
            .sum();
        sums.total() + rest
    }
}

/// The sum of `a[i]` times the first vector's element where it is not negative, else the second's,
/// in eight partial sums. A factor that is not finite makes it NaN.
pub(crate) fn signed_dot(a: &[f64], positive: &[f64], negative: &[f64]) -> f64 {
    ARCH.dispatch(SignedDot {
        a,
        positive,
        negative,
    })
}

/// What [`signed_dot`] does, to be compiled for each set of instructions.
struct SignedDot<'a> {
    a: &'a [f64],
    positive: &'a [f64],
    negative: &'a [f64],
}

impl WithSimd for SignedDot<'_> {
    type Output = f64;

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (a, a_rest) = self.a.as_chunks::<8>();
        let (p, p_rest) = self.positive.as_chunks::<8>();
        let (n, n_rest) = self.negative.as_chunks::<8>();
        let mut sums = Lanes::new(simd);
        for (a, (p, n)) in a.iter().zip(p.iter().zip(n)) {
            let [a, p, n] = [a, p, n].map(|x| S::as_simd_f64s(x).0);
            for (i, ((&a, &p), &n)) in a.iter().zip(p).zip(n).enumerate() {
                let factor = signed(simd, a, p, n);
                sums.add(simd, i, simd.mul_f64s(a, factor));
            }
        }
        let rest = a_rest.iter().zip(p_rest.iter().zip(n_rest));
        let rest: f64 = rest
            .map(|(&a, (&p, &n))| a * if a >= 0.0 { p } else { n })
            .sum();
        sums.total() + rest
    }
}

/// Eight partial sums, in as many vectors as they take.
struct Lanes<S: Simd>([S::f64s; 8]);

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn new(simd: S) -> Self {
        Self([simd.splat_f64s(0.0); 8])
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn add(&mut self, simd: S, i: usize, value: S::f64s) {
        self.0[i] = simd.add_f64s(self.0[i], value);
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn total(&self) -> f64 {
        let mut lanes = [0.0; 8];
        let (vectors, _) = S::as_mut_simd_f64s(&mut lanes);
        vectors.copy_from_slice(&self.0[..vectors.len()]);
        lanes.iter().sum()
    }
}

/// For each lane, the first factor where the coefficient is not negative, else the second, also where it
/// is NaN.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "to be compiled for each set of instructions"
)]
fn signed<S: Simd>(simd: S, a: S::f64s, positive: S::f64s, negative: S::f64s) -> S::f64s {
    let mask = simd.greater_than_or_equal_f64s(a, simd.splat_f64s(0.0));
    simd.select_f64s(mask, positive, negative)
}

/// [`dot`] with the first vector and [`abs_dot`] with the second, reading `a` once.
pub(crate) fn dots(a: &[f64], factors: &[f64], sizes: &[f64]) -> [f64; 2] {
    ARCH.dispatch(Dots { a, factors, sizes })
}

/// What [`dots`] does, to be compiled for each set of instructions.
struct Dots<'a> {
    a: &'a [f64],
    factors: &'a [f64],
    sizes: &'a [f64],
}

impl WithSimd for Dots<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "to be compiled for each set of instructions"
    )]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        let (a, a_rest) = self.a.as_chunks::<8>();
        let (f, f_rest) = self.factors.as_chunks::<8>();
        let (s, s_rest) = self.sizes.as_chunks::<8>();
        let [mut sums, mut charges] = [Lanes::new(simd), Lanes::new(simd)];
        for (a, (f, s)) in a.iter().zip(f.iter().zip(s)) {
            let [a, f, s] = [a, f, s].map(|x| S::as_simd_f64s(x).0);
            for (i, ((&a, &f), &s)) in a.iter().zip(f).zip(s).enumerate() {
                sums.add(simd, i, simd.mul_f64s(a, f));
                charges.add(simd, i, simd.mul_f64s(simd.abs_f64s(a), s));
            }
        }
        let mut totals = [sums.total(), charges.total()];
        for (a, (f, s)) in a_rest.iter().zip(f_rest.iter().zip(s_rest)) {
            totals[0] += a * f;
            totals[1] += a.abs() * s;
        }
        totals
    }
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
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let (a, a_rest) = self.a.as_chunks_mut::<8>();
        let lines = self.lines;
        let [p, n] = lines.slopes.map(<[f64]>::as_chunks::<8>);
        let [p_offset, n_offset] = lines.offsets.map(<[f64]>::as_chunks::<8>);
        let slack = lines.slack.as_chunks::<8>();
        let [mut sums, mut charges] = [Lanes::new(simd), Lanes::new(simd)];
        let slopes = p.0.iter().zip(n.0);
        let offsets = p_offset.0.iter().zip(n_offset.0).zip(slack.0);
        for ((a, (p, n)), ((p_offset, n_offset), slack)) in a.iter_mut().zip(slopes).zip(offsets) {
            let of_lines = [p, n, p_offset, n_offset, slack];
            let [p, n, p_offset, n_offset, slack] = of_lines.map(|x| S::as_simd_f64s(x).0);
            for (i, a) in S::as_mut_simd_f64s(a).0.iter_mut().enumerate() {
                let positive = simd.greater_than_or_equal_f64s(*a, simd.splat_f64s(0.0));
                let slope = simd.select_f64s(positive, p[i], n[i]);
                let offset = simd.select_f64s(positive, p_offset[i], n_offset[i]);
                charges.add(simd, i, simd.mul_f64s(simd.abs_f64s(*a), slack[i]));
                sums.add(simd, i, simd.mul_f64s(*a, offset));
                *a = simd.mul_f64s(*a, slope);
            }
        }
        let mut totals = [sums.total(), charges.total()];
        for (i, a) in a_rest.iter_mut().enumerate() {
            let side = usize::from(a.is_nan() || *a < 0.0);
            totals[0] += *a * [p_offset, n_offset][side].1[i];
            totals[1] += a.abs() * slack.1[i];
            *a *= [p, n][side].1[i];
        }
        totals
    }
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
