//! Means of floating-point numbers with directed rounding.
//!
//! An average certified radius is a mean of lower bounds and must not come out
//! above their true mean. The sum is kept exactly, as a list of numbers that do
//! not overlap [Shewchuk, "Adaptive precision floating-point arithmetic", 1997],
//! and the quotient is the nearest double in the direction asked for.

/// The largest double that is not above the mean of `values`; `None` if there
/// are none.
///
/// Domain: finite values of one sign whose sum does not overflow. Nothing is lost
/// to underflow, since a multiple of the smallest double times a count is another.
pub(crate) fn down(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = sum(values);
    let mut mean = nearest(&sum, count)?;
    while sum.compare(mean, count) < 0.0 {
        mean = mean.next_down();
    }
    while sum.compare(mean.next_up(), count) >= 0.0 {
        mean = mean.next_up();
    }
    Some(mean)
}

/// The smallest double that is not below the mean of `values`; `None` if there
/// are none. Domain as for [`down`].
pub(crate) fn up(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    down(values.into_iter().map(|value| -value)).map(|mean| 0.0 - mean)
}

/// The mean of `values` to within rounding; `None` if there are none.
pub(crate) fn plain(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = sum(values);
    nearest(&sum, count)
}

fn sum(values: impl IntoIterator<Item = f64>) -> (ExactSum, u64) {
    let mut sum = ExactSum::default();
    let mut count = 0;
    for value in values {
        sum.add(value);
        count += 1;
    }
    (sum, count)
}

fn nearest(sum: &ExactSum, count: u64) -> Option<f64> {
    (count > 0).then(|| sum.parts.iter().sum::<f64>() / count as f64)
}

/// A sum without rounding error: parts that do not overlap, smallest first.
#[derive(Debug, Clone, Default)]
struct ExactSum {
    parts: Vec<f64>,
}

impl ExactSum {
    fn add(&mut self, mut value: f64) {
        let mut kept = 0;
        for index in 0..self.parts.len() {
            let mut part = self.parts[index];
            if value.abs() < part.abs() {
                std::mem::swap(&mut value, &mut part);
            }
            let high = value + part;
            let low = part - (high - value);
            if low != 0.0 {
                self.parts[kept] = low;
                kept += 1;
            }
            value = high;
        }
        self.parts.truncate(kept);
        self.parts.push(value);
    }

    /// A number of the sign of `self - mean * count`.
    fn compare(&self, mean: f64, count: u64) -> f64 {
        let mut rest = self.clone();
        let product = mean * count as f64;
        rest.add(-product);
        rest.add(-mean.mul_add(count as f64, -product));
        rest.parts
            .iter()
            .rev()
            .copied()
            .find(|part| *part != 0.0)
            .unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_means_stay_exact() {
        assert_eq!(down([]), None);
        assert_eq!(up([]), None);
        assert_eq!(plain([]), None);
        assert_eq!(down([0.5, 0.0, 1.0, 0.5]), Some(0.5));
        assert_eq!(up([0.5, 0.0, 1.0, 0.5]), Some(0.5));
        // Ten times the double nearest to 0.1 has that double as its mean,
        // whatever adding them one by one gives.
        assert_eq!(down([0.1; 10]), Some(0.1));
        assert_eq!(up([0.1; 10]), Some(0.1));
        assert_eq!(down([0.0, 0.0]), Some(0.0));
    }

    proptest! {
        /// The oracle is integer arithmetic: values k / 2^40, so their sum is an
        /// integer over 2^40, and a double m is compared with sum / n exactly.
        #[test]
        fn encloses_the_true_mean_tightly(values in prop::collection::vec(0_u64..1 << 45, 1..60)) {
            let scale = (1_u64 << 40) as f64;
            let doubles = || values.iter().map(|k| *k as f64 / scale);
            let total: u128 = values.iter().map(|k| u128::from(*k)).sum();
            let n = values.len() as u128;
            // A double below 2^5 with 52 bits is an integer over 2^80 here, as
            // long as it is not below 2^-28, or it is zero.
            let scaled = |m: f64| (m * 2f64.powi(80)) as u128;
            let at_most = |m: f64| scaled(m) * n <= total << 40;
            let at_least = |m: f64| scaled(m) * n >= total << 40;
            let low = down(doubles()).unwrap();
            let high = up(doubles()).unwrap();
            prop_assume!(low == 0.0 || low > 2f64.powi(-27));
            prop_assert!(at_most(low) && at_least(high));
            prop_assert!(!at_most(low.next_up()) && (low == 0.0 || at_least(low.next_up())));
            prop_assert!(high == 0.0 || !at_least(high.next_down()));
        }
    }
}
