//! Bounds on what f64 rounds, and the sums that they are stated for.
//!
//! `u = 2^-53` is the unit roundoff. A sum of `n` products, in whatever order and with or
//! without fused multiply-add, errs by at most `gamma(n)` times the sum of the products'
//! magnitudes, as long as nothing overflows or underflows (Higham, *Accuracy and Stability of
//! Numerical Algorithms*, 2nd edition, 2002, section 3.1). Overflow shows as an infinity or NaN
//! in the result; what underflow takes away is at most [`TINY`] a product.

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
    lanes(a, b, |a, b| a * b)
}

/// The sum of `|a[i]| b[i]`, in eight partial sums.
pub(crate) fn abs_dot(a: &[f64], b: &[f64]) -> f64 {
    lanes(a, b, |a, b| a.abs() * b)
}

/// The positive and the negative part of a number, one of which is 0; both NaN of NaN. Exact, and no
/// branch.
#[inline]
fn parts(a: f64) -> (f64, f64) {
    let size = a.abs();
    (0.5 * (a + size), 0.5 * (a - size))
}

/// The sum of `a[i]` times the first vector's element where it is not negative, else the second's,
/// in eight partial sums. A factor that is not finite makes it NaN.
pub(crate) fn signed_dot(a: &[f64], positive: &[f64], negative: &[f64]) -> f64 {
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

/// Multiplies each `a[i]` by the first vector's element where it is not negative, else the
/// second's. A factor that is not finite makes it NaN.
pub(crate) fn signed_scale(a: &mut [f64], positive: &[f64], negative: &[f64]) {
    for (a, (p, n)) in a.iter_mut().zip(positive.iter().zip(negative)) {
        let (above, below) = parts(*a);
        // One of the products is 0.
        *a = above * p + below * n;
    }
}

#[inline]
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
        let mut scaled = a;
        signed_scale(&mut scaled, &p, &n);
        assert_eq!(scaled, want);
        assert!((signed_dot(&a, &p, &n) - want.iter().sum::<f64>()).abs() < 1e-14);
        for bad in [f64::NAN, f64::INFINITY] {
            let mut scaled = [bad, 1.0];
            signed_scale(&mut scaled, &[1.0, bad], &[1.0; 2]);
            assert!(scaled.iter().all(|a| !a.is_finite()));
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
