//! PREDICT [Cohen, Rosenfeld, Kolter 2019]: the smoothed classifier's class.

use std::collections::BTreeMap;

use recert_engine::Classifier;
use recert_ledger::{Certificate, INVALID, Ledger, Series};
use recert_noise::Stream;
use recert_num::{Alpha, clopper_pearson_lower};
use serde_json::json;

use crate::run::{Collect, collect};
use crate::{Error, Observer, Outcome, Source};

/// What predicting needs: n copies, from a stream of their own.
pub fn predict_plan(ledger: &Ledger, batch: usize) -> Collect {
    Collect {
        network: ledger.base(),
        stream: Stream::Predict,
        copies: ledger.header().n,
        selection: 0,
        margins: false,
        batch,
    }
}

/// Predicts the inputs at positions `inputs`, resuming where the ledger ends.
///
/// The class is the top one of n copies if the two-sided binomial test of its
/// count against the runner-up's, at probability 1/2, has a p-value of at most
/// alpha; else it abstains. With probability at least 1 - alpha the class
/// returned is the smoothed classifier's.
pub fn predict(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    batch: usize,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let plan = predict_plan(ledger, batch);
    collect(ledger, source, inputs, &plan, classifiers, observer, &mut |ledger, idx| {
        let series = Series {
            network: ledger.base(),
            idx,
            stream: recert_ledger::Stream(Stream::Predict.tag()),
        };
        let (n, alpha) = (ledger.header().n, ledger.header().alpha);
        let (codes, micros) = ledger.answers(series, n)?;
        let mut counts = BTreeMap::new();
        for &class in codes.classes.iter().filter(|&&class| class != INVALID) {
            *counts.entry(class).or_insert(0_u64) += 1;
        }
        let (class, k1, k2) = top_two(&counts);
        let decided = decide(k1, k2, Alpha::new(alpha)?)?;
        Ok(vec![Certificate {
            idx,
            method: "predict".into(),
            copies: n,
            alpha,
            parameters: "{}".into(),
            class: decided.then_some(class),
            radius: 0.0,
            p_lower: None,
            bound: Some("binomial test".into()),
            counts: json!({"class": class, "k1": k1, "k2": k2, "n": n, "invalid": codes.invalid()})
                .to_string(),
            evaluations: n,
            micros,
            statement: format!(
                "for this network and this input, named in advance: the class is not the smoothed \
                 classifier's with probability at most {alpha}"
            ),
        }])
    })
}

/// The class with most answers (ties to the lower index), its count, and the
/// runner-up's.
fn top_two(counts: &BTreeMap<u16, u64>) -> (u16, u64, u64) {
    let (mut class, mut first, mut second) = (0, 0, 0);
    for (&c, &count) in counts {
        if count > first {
            (class, second, first) = (c, first, count);
        } else {
            second = second.max(count);
        }
    }
    (class, first, second)
}

/// Whether the two-sided binomial test of `k1` in `k1 + k2` at 1/2 has a
/// p-value of at most alpha. The p-value is `2 P(Bin(k1 + k2, 1/2) >= k1)`, and
/// that tail is at most alpha/2 exactly where the Clopper-Pearson lower bound
/// at alpha/2 is at least 1/2; the bound is rounded down, so a doubt abstains.
fn decide(k1: u64, k2: u64, alpha: Alpha) -> Result<bool, Error> {
    let half = Alpha::new(alpha.get() / 2.0)?;
    Ok(k1 > 0 && clopper_pearson_lower(k1, k1 + k2, half)?.get() >= 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_two_breaks_ties_to_the_lower_index() {
        assert_eq!(top_two(&[(3, 5), (1, 5), (2, 4)].into()), (1, 5, 5));
        assert_eq!(top_two(&[(3, 5), (1, 2), (2, 4)].into()), (3, 5, 4));
        assert_eq!(top_two(&BTreeMap::new()), (0, 0, 0));
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
