//! Double-double numbers: unevaluated sums of two `f64`.
//!
//! Sums, products and quotients are the algorithms `AccurateDWPlusDW`, `DWTimesDW3`
//! and `DWDivDW2` of Joldes, Muller and Popescu, "Tight and rigorous error bounds
//! for basic building blocks of double-word arithmetic" (ACM TOMS 44, 2017). With
//! `u = 2^-53` their relative errors are below `3u^2 + 13u^3`, `4u^2` and `15u^2 +
//! 56u^3`, where nothing overflows or underflows; [`ERROR`] is above all of them.

/// Bound on the relative error of one operation.
pub(super) const ERROR: f64 = f64::from_bits((1023 - 101) << 52);

/// `hi + lo`, with `hi` the sum rounded to nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dd {
    pub(super) hi: f64,
    pub(super) lo: f64,
}

impl Dd {
    pub(super) const ZERO: Self = Self::new(0.0);

    /// An `f64`, exactly.
    pub(super) const fn new(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }

    /// The sum of two `f64`, exactly.
    pub(super) fn sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        let shadow = hi - a;
        let lo = (a - (hi - shadow)) + (b - shadow);
        Self { hi, lo }
    }

    /// The product of two `f64`, exactly.
    pub(super) fn product(a: f64, b: f64) -> Self {
        let hi = a * b;
        let lo = a.mul_add(b, -hi);
        Self { hi, lo }
    }

    /// Exact for `|b| <= |a|`.
    fn quick(a: f64, b: f64) -> Self {
        let hi = a + b;
        let lo = b - (hi - a);
        Self { hi, lo }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let high = Self::sum(self.hi, other.hi);
        let low = Self::sum(self.lo, other.lo);
        let first = Self::quick(high.hi, high.lo + low.hi);
        Self::quick(first.hi, first.lo + low.lo)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    pub(super) fn times(self, other: Self) -> Self {
        let high = Self::product(self.hi, other.hi);
        let cross = self.lo * other.lo;
        let cross = self.hi.mul_add(other.lo, cross);
        let cross = self.lo.mul_add(other.hi, cross);
        Self::quick(high.hi, high.lo + cross)
    }

    pub(super) fn over(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let back = other.times(Self::new(first));
        let rest = (self.hi - back.hi) + (self.lo - back.lo);
        Self::quick(first, rest / other.hi)
    }

    pub(super) fn negated(self) -> Self {
        Self {
            hi: -self.hi,
            lo: -self.lo,
        }
    }

    /// Times a power of two, exactly where nothing underflows.
    pub(super) fn scaled(self, power: f64) -> Self {
        Self {
            hi: self.hi * power,
            lo: self.lo * power,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_add_up_to_one() {
        let third = Dd::new(1.0).over(Dd::new(3.0));
        // 1/3 - hi is 2^-54/3: exactly what lo has to be, rounded.
        assert_eq!(third.lo, (1.0 / 3.0) * f64::EPSILON / 4.0);
        let one = third.plus(third).plus(third).minus(Dd::new(1.0));
        assert!(one.hi.abs() < 4.0 * ERROR, "{one:?}");
        let ninth = third.times(third);
        let back = ninth.times(Dd::new(9.0)).minus(Dd::new(1.0));
        assert!(back.hi.abs() < 4.0 * ERROR, "{back:?}");
    }

    #[test]
    fn cancellation_keeps_what_is_left() {
        let a = Dd::sum(1.0, 1e-25);
        assert_eq!(a.minus(Dd::new(1.0)).hi, 1e-25);
        assert_eq!(Dd::product(1.0 + f64::EPSILON, 1.0 - f64::EPSILON).hi, 1.0);
    }
}
