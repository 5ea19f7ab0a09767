//! Real numbers known up to an error: a double-double and a radius around it.

use super::dd::{Dd, ERROR};

/// A real number within `radius` of `middle`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ball {
    middle: Dd,
    radius: f64,
}

/// `ln 2` in two parts; what they leave out is below `2^-108`, relatively.
const LN_2: Dd = Dd {
    hi: std::f64::consts::LN_2,
    lo: 2.319_046_813_846_299_6e-17,
};

/// Makes a radius larger than its own rounding errors: a handful of operations,
/// each with a relative error of `2^-53`.
fn more(radius: f64) -> f64 {
    radius * (1.0 + 1e-14) + f64::MIN_POSITIVE
}

impl Ball {
    pub(super) const ZERO: Self = Self::exact(Dd::ZERO);

    pub(super) const fn exact(middle: Dd) -> Self {
        Self {
            middle,
            radius: 0.0,
        }
    }

    pub(super) const fn new(value: f64) -> Self {
        Self::exact(Dd::new(value))
    }

    /// A number within `radius` of 0.
    pub(super) const fn around_zero(radius: f64) -> Self {
        Self {
            middle: Dd::ZERO,
            radius,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let middle = self.middle.plus(other.middle);
        let radius = self.radius + other.radius + middle.hi.abs() * ERROR;
        Self {
            middle,
            radius: more(radius),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self {
            middle: other.middle.negated(),
            ..other
        })
    }

    pub(super) fn times(self, other: Self) -> Self {
        let middle = self.middle.times(other.middle);
        let (a, b) = (self.middle.hi.abs(), other.middle.hi.abs());
        // The lower parts of the middles are within the slack of `more`.
        let radius = a * other.radius
            + b * self.radius
            + self.radius * other.radius
            + middle.hi.abs() * ERROR;
        Self {
            middle,
            radius: more(radius),
        }
    }

    /// The quotient by an exact number.
    pub(super) fn over(self, divisor: Dd) -> Self {
        let middle = self.middle.over(divisor);
        let radius = self.radius / divisor.hi.abs() + middle.hi.abs() * ERROR;
        Self {
            middle,
            radius: more(radius),
        }
    }

    /// The reciprocal; the number must be above twice its error.
    pub(super) fn inverse(self) -> Self {
        let exact = Self::new(1.0).over(self.middle);
        let moved = exact.middle.hi * self.radius / (self.middle.hi - self.radius);
        exact.plus(Self::around_zero(more(2.0 * moved.abs())))
    }

    /// The natural logarithm; the number must be above twice its error.
    pub(super) fn ln(self) -> Self {
        let moved = self.radius / (self.middle.hi - self.radius);
        Self::ln_exact(self.middle).plus(Self::around_zero(more(2.0 * moved)))
    }

    /// The natural logarithm of an exact number above 0.
    ///
    /// With `x = 2^e m`, `m` in `[0.7, 1.42]`, it is `e ln 2 + 2 atanh(s)` where
    /// `s = (m - 1)/(m + 1)`. As `s^2 < 0.0301`, cutting the series
    /// `atanh(s)/s = 1 + s^2/3 + ..` after `s^44/45` leaves less than
    /// `0.0301^23/47 < 2^-117`. Horner's rule for positive terms that sum to less
    /// than 1.02 errs by less than 4 operations in all (each further one is scaled
    /// by 0.03), `s` by 3, the product by 1, `e ln 2` and the sum by 1 each. Where
    /// `e` is not 0, `|e| ln 2` is at most `|ln x|` and 0.36 more, and `|ln x|` at
    /// least 0.33; so 64 operations of `|ln x|` cover everything.
    fn ln_exact(x: Dd) -> Self {
        let mut exponent = ((x.hi.to_bits() >> 52) & 0x7ff) as i64 - 1023;
        let power = |e: i64| f64::from_bits(((1023 - e) as u64) << 52);
        if x.hi * power(exponent) > std::f64::consts::SQRT_2 {
            exponent += 1;
        }
        let m = x.scaled(power(exponent));
        let s = m.minus(Dd::new(1.0)).over(m.plus(Dd::new(1.0)));
        let square = s.times(s);
        let mut series = Dd::ZERO;
        for j in (0..=22).rev() {
            let term = Dd::new(1.0).over(Dd::new(f64::from(2 * j + 1)));
            series = term.plus(square.times(series));
        }
        let middle = LN_2
            .times(Dd::new(exponent as f64))
            .plus(s.times(series).scaled(2.0));
        Self {
            middle,
            radius: more(middle.hi.abs() * 64.0 * ERROR),
        }
    }

    /// The square root; the number must be above twice its error.
    ///
    /// For any `s > 0`, `|sqrt(v) - s| = |v - s^2|/(sqrt(v) + s) <= |v - s^2|/s`.
    pub(super) fn sqrt(self) -> Self {
        let first = Dd::new(self.middle.hi.sqrt());
        let rest = self.middle.minus(first.times(first));
        let root = first.plus(rest.over(first.scaled(2.0)));
        let ball = Self::exact(root);
        let off = self.minus(ball.times(ball));
        let most = off.lower().abs().max(off.upper().abs());
        ball.plus(Self::around_zero(more(
            more(most) / (root.hi * (1.0 - 1e-15)),
        )))
    }

    /// An `f64` not above the number.
    pub(super) fn lower(self) -> f64 {
        use recert_num::directed::{add_down, sub_down};
        add_down(self.middle.hi, sub_down(self.middle.lo, self.radius))
    }

    /// An `f64` not below the number.
    pub(super) fn upper(self) -> f64 {
        use recert_num::directed::add_up;
        add_up(self.middle.hi, add_up(self.middle.lo, self.radius))
    }

    /// Its size, about.
    pub(super) fn size(self) -> f64 {
        self.middle.hi.abs()
    }

    /// The larger of two numbers.
    pub(super) fn max(self, other: Self) -> Self {
        // Whichever is larger, it is within the larger error of the larger middle.
        let (a, b) = (self.middle, other.middle);
        let first = a.hi > b.hi || a.hi == b.hi && a.lo >= b.lo;
        Self {
            middle: if first { a } else { b },
            radius: self.radius.max(other.radius),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_to_thirty_digits() {
        // Digits from mpmath at 60 digits, in two parts.
        for (x, hi, lo) in [
            (2.0, std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17),
            (10.0, std::f64::consts::LN_10, -2.170_756_223_382_249_3e-16),
            // Of the f64 nearest to these.
            (1e-40, -92.103_403_719_761_83, 1.506_890_415_327_876e-15),
            (
                0.999,
                -0.001_000_500_333_583_534_4,
                -2.564_477_700_367_779_8e-20,
            ),
        ] {
            let ball = Ball::ln_exact(Dd::new(x));
            let off = ball.middle.minus(Dd::sum(hi, lo)).hi.abs();
            assert!(off <= ball.radius + hi.abs() * 3e-32, "{x}: {off:e}");
            assert!(ball.radius < 1e-28 * hi.abs());
        }
        assert_eq!(Ball::ln_exact(Dd::new(1.0)).upper(), f64::MIN_POSITIVE);
    }

    #[test]
    fn logarithms_of_products_are_sums() {
        let mut x = 0.37_f64;
        for _ in 0..200 {
            x = (x * 997.0).fract() + 1e-3;
            let y = 1.0 / x * 3.7e5;
            let sum = Ball::ln_exact(Dd::new(x)).plus(Ball::ln_exact(Dd::new(y)));
            let off = sum.minus(Ball::ln_exact(Dd::product(x, y)));
            assert!(off.lower() <= 0.0 && off.upper() >= 0.0, "{x} {y}");
            assert!(off.upper() - off.lower() < 1e-26, "{x} {y}");
        }
    }

    #[test]
    fn directions() {
        let third = Ball::new(1.0).over(Dd::new(3.0));
        assert_eq!(third.lower(), 1.0 / 3.0);
        assert_eq!(third.upper(), (1.0_f64 / 3.0).next_up());
        let root = Ball::new(2.0).sqrt();
        let back = root.times(root).minus(Ball::new(2.0));
        assert!(back.lower() <= 0.0 && back.upper() >= 0.0 && back.upper() < 1e-28);
        let two = Ball::new(2.0);
        assert_eq!((two.lower(), two.upper()), (2.0, 2.0));
        assert_eq!(two.max(Ball::new(3.0)).lower(), 3.0);
    }
}
