//! Fixed-point numbers of 128 + 256 bits, every operation rounded down.
//!
//! Unsigned, in units of u = 2^-256: enough for the alternating series of the
//! normal distribution function, whose terms grow to 2^98 before they cancel.

/// Words of 64 bits, the least significant first; four are behind the point.
const WORDS: usize = 6;
/// Words behind the point.
const FRACTION: usize = 4;

/// A number in [0, 2^128), a multiple of 2^-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed([u64; WORDS]);

impl Fixed {
    pub(super) const ZERO: Self = Self([0; WORDS]);
    pub(super) const ONE: Self = Self::integer(1);
    pub(super) const HALF: Self = Self([0, 0, 0, 1 << 63, 0, 0]);
    /// 1/sqrt(2 pi), rounded down (from 120 digits).
    pub(super) const INV_SQRT_TWO_PI: Self = Self([
        0xc047_1b48_0263_9d2e,
        0xd382_9f30_5127_06d8,
        0x3f2c_f140_2eae_38bf,
        0x6621_14cf_50d9_4234,
        0,
        0,
    ]);

    /// The whole number `n`, exactly.
    pub(super) const fn integer(n: u128) -> Self {
        Self([0, 0, 0, 0, n as u64, (n >> 64) as u64])
    }

    /// `self + other`, exactly; the sum must be below 2^128.
    pub(super) fn plus(self, other: Self) -> Self {
        let mut carry = false;
        let sum = std::array::from_fn(|i| {
            let (partial, first) = self.0[i].overflowing_add(other.0[i]);
            let (word, second) = partial.overflowing_add(u64::from(carry));
            carry = first | second;
            word
        });
        debug_assert!(!carry, "a sum out of range");
        Self(sum)
    }

    /// `self - other`, exactly; `other` must not be the larger.
    pub(super) fn minus(self, other: Self) -> Self {
        let mut borrow = false;
        let difference = std::array::from_fn(|i| {
            let (partial, first) = self.0[i].overflowing_sub(other.0[i]);
            let (word, second) = partial.overflowing_sub(u64::from(borrow));
            borrow = first | second;
            word
        });
        debug_assert!(!borrow, "a difference below zero");
        Self(difference)
    }

    /// `self * other`, rounded down to a multiple of u; the product must be below 2^128.
    pub(super) fn times(self, other: Self) -> Self {
        let mut product = [0_u64; 2 * WORDS];
        for (i, &a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, &b) in other.0.iter().enumerate() {
                // (2^64 - 1)^2 + 2 (2^64 - 1) is 2^128 - 1: this never overflows.
                let sum =
                    u128::from(a) * u128::from(b) + u128::from(product[i + j]) + u128::from(carry);
                product[i + j] = sum as u64;
                carry = (sum >> 64) as u64;
            }
            product[i + WORDS] = carry;
        }
        debug_assert!(
            product[FRACTION + WORDS..].iter().all(|&word| word == 0),
            "a product out of range"
        );
        Self(std::array::from_fn(|i| product[FRACTION + i]))
    }

    /// `self / divisor`, rounded down to a multiple of u.
    pub(super) fn over(self, divisor: u64) -> Self {
        let mut quotient = Self::ZERO;
        let mut rest = 0_u64;
        for i in (0..WORDS).rev() {
            let dividend = (u128::from(rest) << 64) | u128::from(self.0[i]);
            // The rest is below the divisor, so the quotient fits its word.
            quotient.0[i] = (dividend / u128::from(divisor)) as u64;
            rest = (dividend % u128::from(divisor)) as u64;
        }
        quotient
    }

    /// floor(2^128 self), for numbers below 1.
    pub(super) fn leading_128_bits(self) -> u128 {
        debug_assert!(self.0[4] == 0 && self.0[5] == 0, "a number of 1 or more");
        (u128::from(self.0[3]) << 64) | u128::from(self.0[2])
    }
}

#[cfg(test)]
mod tests {
    use super::Fixed;
    use proptest::prelude::*;

    /// Whole numbers and thirds, whose exact values are known.
    #[test]
    fn simple_values() {
        let third = Fixed::ONE.over(3);
        assert_eq!(third.leading_128_bits(), u128::MAX / 3);
        // Three thirds are one unit short of 1, for each was rounded down.
        let short = Fixed::ONE.minus(third.plus(third).plus(third));
        assert_eq!(short.0, [1, 0, 0, 0, 0, 0]);
        assert_eq!(Fixed::HALF.plus(Fixed::HALF), Fixed::ONE);
        assert_eq!(Fixed::HALF.times(Fixed::HALF), Fixed::ONE.over(4));
        let large = Fixed::integer(u128::MAX);
        assert_eq!(large.times(Fixed::ONE), large);
        assert_eq!(large.times(Fixed::HALF), large.over(2));
    }

    proptest! {
        /// Products and quotients of whole numbers are those of integers.
        #[test]
        fn whole_numbers(a: u64, b: u64, d in 1_u64..) {
            let product = u128::from(a) * u128::from(b);
            prop_assert_eq!(
                Fixed::integer(a.into()).times(Fixed::integer(b.into())),
                Fixed::integer(product)
            );
            let quotient = Fixed::integer(product).over(d);
            let back = quotient.times(Fixed::integer(d.into()));
            let rest = Fixed::integer(product).minus(back);
            prop_assert!(rest.0[1..].iter().all(|&word| word == 0) && rest.0[0] < d);
        }

        /// Below 2^-64 words stand behind the point: the carry between halves.
        #[test]
        fn fractions(a: u64, b: u64) {
            let (x, y) = (Fixed([0, 0, 0, a, 0, 0]), Fixed([0, 0, 0, b, 0, 0]));
            let product = u128::from(a) * u128::from(b);
            prop_assert_eq!(x.times(y).leading_128_bits(), product);
            prop_assert_eq!(x.plus(y).minus(y), x);
        }
    }
}
