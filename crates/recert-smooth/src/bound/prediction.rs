//! Predicting the smoothed classifier's class by a binomial test: PREDICT.

use std::collections::BTreeMap;

use recert_num::{Alpha, clopper_pearson_lower};

use crate::Error;

/// The outcome of PREDICT's test on the counts of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// The class with most answers, ties to the lower index; 0 if there are no answers.
    pub class: u16,
    /// The count of the class.
    pub first: u64,
    /// The runner-up's count.
    pub second: u64,
    /// Whether the p-value is at most alpha, so that `class` may be returned.
    pub decided: bool,
}

/// Tests the top count against the runner-up's: the class is decided if the
/// two-sided binomial test at probability 1/2 has a p-value of at most alpha.
/// A class that is decided differs from the smoothed classifier's with probability at most
/// alpha (Cohen, Rosenfeld, Kolter 2019, PREDICT and Proposition 2).
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::prediction;
///
/// let alpha = Alpha::new(0.001)?;
/// assert!(prediction(&[(3, 90), (5, 10)].into(), alpha)?.decided);
/// assert!(!prediction(&[(3, 51), (5, 49)].into(), alpha)?.decided);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prediction(counts: &BTreeMap<u16, u64>, alpha: Alpha) -> Result<Prediction, Error> {
    let (mut class, mut first, mut second) = (0, 0, 0);
    for (&c, &count) in counts {
        if count > first {
            (class, second, first) = (c, first, count);
        } else {
            second = second.max(count);
        }
    }
    Ok(Prediction {
        class,
        first,
        second,
        decided: decide(first, second, alpha)?,
    })
}

/// Whether the p-value, `2 P(Bin(k1 + k2, 1/2) >= k1)`, is at most alpha. That
/// tail is at most alpha/2 exactly where the Clopper-Pearson lower bound at
/// alpha/2 is at least 1/2; the bound is rounded down, so a doubt abstains.
fn decide(k1: u64, k2: u64, alpha: Alpha) -> Result<bool, Error> {
    let half = Alpha::new(alpha.get() / 2.0)?;
    Ok(k1 > 0 && clopper_pearson_lower(k1, k1 + k2, half)?.get() >= 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_class_breaks_ties_to_the_lower_index() {
        let top = |counts: &[(u16, u64)]| {
            let counts = counts.iter().copied().collect();
            let found = prediction(&counts, Alpha::new(0.01).unwrap()).unwrap();
            (found.class, found.first, found.second)
        };
        assert_eq!(top(&[(3, 5), (1, 5), (2, 4)]), (1, 5, 5));
        assert_eq!(top(&[(3, 5), (1, 2), (2, 4)]), (3, 5, 4));
        assert_eq!(top(&[]), (0, 0, 0));
    }

    /// The exact p-value `2 * sum_{j >= k} C(n, j) / 2^n`, capped at 1, in
    /// integers: n below 60 keeps every term within 64 bits.
    fn exact(k1: u64, n: u64) -> f64 {
        let mut binomial = vec![1_u128];
        for row in 1..=n as usize {
            let mut next = vec![1_u128; row + 1];
            for j in 1..row {
                next[j] = binomial[j - 1] + binomial[j];
            }
            binomial = next;
        }
        let tail: u128 = binomial[k1 as usize..].iter().sum();
        (2.0 * tail as f64 / 2_f64.powi(n as i32)).min(1.0)
    }

    #[test]
    fn the_decision_is_that_of_the_exact_test() {
        for alpha in [0.001, 0.01, 0.05] {
            for n in 1..=50_u64 {
                for k1 in n.div_ceil(2)..=n {
                    let decided = decide(k1, n - k1, Alpha::new(alpha).unwrap()).unwrap();
                    assert_eq!(decided, exact(k1, n) <= alpha, "{k1} of {n} at {alpha}");
                }
            }
        }
    }
}
