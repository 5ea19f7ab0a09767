//! Whether shares of alpha sum to at most alpha, exactly.

use super::dd::Dd;

/// Whether `sum times_i share_i <= whole`, without any rounding.
///
/// All terms are kept as a sum of `f64` that do not overlap (Shewchuk, "Adaptive
/// precision floating-point arithmetic", 1997, Grow-Expansion), the largest of
/// which has the sign of the whole sum. Products are exact for numbers whose
/// product is above `1e-290`; anything that is not finite is not at most.
pub(crate) fn at_most(shares: &[(u32, f64)], whole: f64) -> bool {
    let mut parts: Vec<f64> = Vec::new();
    let mut add = |mut term: f64| {
        for part in &mut parts {
            let sum = Dd::sum(term, *part);
            (*part, term) = (sum.lo, sum.hi);
        }
        parts.push(term);
    };
    for &(times, share) in shares {
        let product = Dd::product(f64::from(times), share);
        add(product.lo);
        add(product.hi);
    }
    add(-whole);
    let largest = parts.iter().rev().find(|part| **part != 0.0);
    largest.is_none_or(|sign| *sign < 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_unit_in_the_last_place_decides() {
        let alpha = 0.002_f64;
        let (f, zeta) = (0.000_2_f64, 0.000_9_f64);
        // 0.0002 + 2 * 0.0009 as f64 differs from 0.002 in the last place.
        assert!(at_most(&[(1, alpha)], alpha));
        assert!(!at_most(&[(1, alpha.next_up())], alpha));
        assert!(!at_most(&[(1, alpha), (1, 1e-300)], alpha));
        assert!(!at_most(&[(1, f64::NAN)], alpha));
        let exact = |f: f64, zeta: f64| {
            // In units of 2^-70, where all three are whole.
            let unit = |x: f64| (x * 2_f64.powi(70)) as i128;
            unit(f) + 2 * unit(zeta) <= unit(alpha)
        };
        for f in [f.next_down(), f, f.next_up()] {
            for zeta in [zeta.next_down(), zeta, zeta.next_up()] {
                assert_eq!(at_most(&[(1, f), (2, zeta)], alpha), exact(f, zeta));
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_whole_numbers(
            shares in prop::collection::vec((1_u32..50, 0_u64..1 << 53), 1..8),
            off in -2_i64..3,
        ) {
            // Powers of two apart, so that the f64 sum rounds.
            let scaled = |i: usize, value: u64| u128::from(value) << (3 * i);
            let sum: u128 = shares.iter().enumerate()
                .map(|(i, &(times, share))| u128::from(times) * scaled(i, share))
                .sum();
            let terms: Vec<(u32, f64)> = shares.iter().enumerate()
                .map(|(i, &(times, share))| (times, scaled(i, share) as f64))
                .collect();
            let near = sum as f64;
            let whole = match off.signum() {
                -1 => near.next_down(),
                1 => near.next_up(),
                _ => near,
            };
            prop_assert_eq!(at_most(&terms, whole), sum <= whole as u128);
        }
    }
}
