//! Double-double arithmetic: unevaluated sums of two `f64`, with proven error bounds.
//!
//! Write `u = 2^-53`. Every operation here is an algorithm of Joldes, Muller and
//! Popescu, "Tight and rigorous error bounds for basic building blocks of
//! double-word arithmetic" (ACM TOMS 44(2), 2017), whose relative errors are:
//!
//! | operation | algorithm there | relative error at most |
//! |---|---|---|
//! | [`Dd::add_f64`] | 4 | 2 u^2 |
//! | [`Dd::add`] | 6 | 3 u^2 + 13 u^3 |
//! | [`Dd::mul_f64`] | 7 | 1.5 u^2 + 4 u^3 |
//! | [`Dd::mul`] | 10 | 7 u^2 |
//! | [`Dd::div`] | 17 | 15 u^2 + 56 u^3 |
//!
//! so that each is below `2^-102`, the one figure ([`OP_ERROR`]) that the proofs in
//! the rest of this crate use. The bounds hold where nothing overflows and no
//! error term underflows; operands in `[2^-300, 2^300]` or zero guarantee that,
//! and every caller in this crate stays inside that range. The exact product is
//! Dekker's (with Veltkamp's splitting), which needs no fused multiply-add.

/// Half the distance from 1 to the next `f64`: the relative error of one rounding.
pub(crate) const U: f64 = f64::EPSILON / 2.0;

/// Bound on the relative error of every operation on [`Dd`]: `2^-102`.
pub(crate) const OP_ERROR: f64 = 1.0 / (1_u128 << 102) as f64;

/// The unevaluated sum `hi + lo`, with `hi` the `f64` nearest to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dd {
    /// The leading part.
    pub(crate) hi: f64,
    /// The remainder, at most half an ulp of `hi`.
    pub(crate) lo: f64,
}

/// Knuth's `TwoSum`: the rounded sum and its exact rounding error.
#[inline]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    (sum, (a - (sum - b_seen)) + (b - b_seen))
}

/// Dekker's `Fast2Sum`: as [`two_sum`], for `a == 0` or `|a| >= |b|`.
#[inline]
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// Veltkamp's splitting into two halves of at most 26 bits each.
#[inline]
fn split(a: f64) -> (f64, f64) {
    let scaled = 134_217_729.0 * a;
    let high = scaled - (scaled - a);
    (high, a - high)
}

/// Dekker's product: the rounded product and its exact rounding error.
#[inline]
pub(crate) fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    let error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, error)
}

impl Dd {
    /// The exact value of `x`.
    #[inline]
    pub(crate) const fn from_f64(x: f64) -> Self {
        Self { hi: x, lo: 0.0 }
    }

    /// `1 - x`, exactly: for `0 <= x <= 1` the difference of two `f64` and its
    /// rounding error are both `f64`.
    #[inline]
    pub(crate) fn one_minus(x: f64) -> Self {
        let (hi, lo) = two_sum(1.0, -x);
        Self { hi, lo }
    }

    /// Negation, exact.
    #[inline]
    pub(crate) fn neg(self) -> Self {
        Self {
            hi: -self.hi,
            lo: -self.lo,
        }
    }

    /// `self + y`.
    #[inline]
    pub(crate) fn add_f64(self, y: f64) -> Self {
        let (high, low) = two_sum(self.hi, y);
        let (hi, lo) = fast_two_sum(high, self.lo + low);
        Self { hi, lo }
    }

    /// `self + other`.
    #[inline]
    pub(crate) fn add(self, other: Self) -> Self {
        let (sum_high, sum_low) = two_sum(self.hi, other.hi);
        let (tail_high, tail_low) = two_sum(self.lo, other.lo);
        let (high, low) = fast_two_sum(sum_high, sum_low + tail_high);
        let (hi, lo) = fast_two_sum(high, tail_low + low);
        Self { hi, lo }
    }

    /// `self * y`.
    #[inline]
    pub(crate) fn mul_f64(self, y: f64) -> Self {
        let (high, low) = two_prod(self.hi, y);
        let (sum, error) = fast_two_sum(high, self.lo * y);
        let (hi, lo) = fast_two_sum(sum, error + low);
        Self { hi, lo }
    }

    /// `self * other`.
    #[inline]
    pub(crate) fn mul(self, other: Self) -> Self {
        let (high, low) = two_prod(self.hi, other.hi);
        let cross = self.hi * other.lo + self.lo * other.hi;
        let (hi, lo) = fast_two_sum(high, low + cross);
        Self { hi, lo }
    }

    /// `self / other`.
    #[inline]
    pub(crate) fn div(self, other: Self) -> Self {
        let quotient = self.hi / other.hi;
        let back = other.mul_f64(quotient);
        let rest = (self.hi - back.hi) + (self.lo - back.lo);
        let (hi, lo) = fast_two_sum(quotient, rest / other.hi);
        Self { hi, lo }
    }

    /// The nearest `f64`.
    #[inline]
    pub(crate) fn to_f64(self) -> f64 {
        self.hi
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An `f64` with few bits as an integer numerator over `2^60`, so that sums
    /// and products can be checked exactly in `i128`.
    fn small() -> impl Strategy<Value = (i128, f64)> {
        (-(1_i64 << 53)..(1_i64 << 53)).prop_map(|m| (i128::from(m), m as f64))
    }

    proptest! {
        #[test]
        fn two_sum_and_two_prod_are_exact((a, x) in small(), (b, y) in small()) {
            let (sum, error) = two_sum(x, y);
            prop_assert_eq!(sum as i128 + error as i128, a + b);
            let (product, error) = two_prod(x, y);
            prop_assert_eq!(product as i128 + error as i128, a * b);
        }

        #[test]
        fn one_minus_is_exact(m in 0_u64..=(1 << 62)) {
            // Every m/2^62 that is an f64 has at most 53 significant bits.
            let x = m as f64 / (1_u64 << 62) as f64;
            let exact = (1_i128 << 62) - (x * (1_u64 << 62) as f64) as i128;
            let rest = Dd::one_minus(x);
            let scale = (1_u64 << 62) as f64;
            prop_assert_eq!((rest.hi * scale) as i128 + (rest.lo * scale) as i128, exact);
        }

        #[test]
        fn operations_keep_their_bound((a, x) in small(), (b, y) in small(), (c, z) in small()) {
            prop_assume!(a != 0 && b != 0 && c != 0 && a + b != 0);
            // (x y) exactly, then times z through mul_f64 and divided by z again.
            let (hi, lo) = two_prod(x, y);
            let product = Dd { hi, lo };
            let back = product.mul_f64(z).div(Dd::from_f64(z)).add(product.neg());
            prop_assert!(back.hi.abs() <= 2.1 * OP_ERROR * product.hi.abs());
            let square = product.mul(product).div(product).add(product.neg());
            prop_assert!(square.hi.abs() <= 2.1 * OP_ERROR * product.hi.abs());
            let sum = product.add_f64(z).add_f64(-z).add(product.neg());
            prop_assert!(sum.hi.abs() <= 2.1 * OP_ERROR * (product.hi.abs() + 2.0 * z.abs()));
        }
    }
}
