//! Deriving certificates from scratch, from a network's own counts.

use std::collections::BTreeMap;

use recert_ledger::INVALID;
use recert_num::directed::{div_up, mul_up, sub_up};
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, fair_coin_p_value_upper};
use serde_json::json;

use crate::answers::{CERTIFY, PREDICT};
use crate::arithmetic::{Cell, lower_bound};
use crate::derived::{
    Bound, Context, Derived, Wrong, alpha, count, missing, numbers, one_sided, recorded, tally,
    two_sided as two_sided_radius,
};
use crate::tables::Selection;

/// `certify` and `direct`. With `class_of_base`, the selection samples are those of the ledger's
/// own network, and not among what the certificate cost.
pub(super) fn derive(
    context: &Context<'_>,
    level: f64,
    two_sided: bool,
    class_of_base: bool,
) -> Result<Derived, Wrong> {
    let (network, n) = (context.network, context.samples);
    let selection = context.selection(if class_of_base {
        context.run.base
    } else {
        network
    })?;
    let (selected, selection_micros) = if class_of_base {
        (0, 0)
    } else {
        (selection.samples, selection.micros)
    };
    let answers = context.first(network, CERTIFY, n)?;
    let (class, sigma) = (selection.class, context.sigma()?);
    let (k, invalid) = (count(answers, class), count(answers, INVALID));
    let evaluations = selected + n;
    let time = context.micros(network, CERTIFY, n);
    let micros = time.and_then(|time| time.checked_add(selection_micros));
    if !two_sided {
        let p = clopper_pearson_lower(k, n, alpha(level)?)
            .map_err(numbers)?
            .get();
        let (certified, radius) = one_sided(class, p, sigma)?;
        return Ok(Derived {
            counts: json!({"class": class, "k": k, "n": n, "invalid": invalid}),
            class: certified,
            radius,
            p_lower: Bound::Exactly(p),
            bound: "direct",
            evaluations,
            micros,
            samples: n,
        });
    }
    let (bounds, counts) = from_answers(selection, answers, level)?;
    let (certified, radius) = two_sided_radius(class, bounds, sigma)?;
    Ok(Derived {
        counts,
        class: certified,
        radius,
        p_lower: Bound::Exactly(bounds.0.get()),
        bound: "two-sided",
        evaluations,
        micros,
        samples: n,
    })
}

/// The bounds of the class selected and of every other answer from a network's answers, with the counts that are
/// recorded of them.
pub(super) fn from_answers(
    selection: &Selection,
    answers: &[u16],
    level: f64,
) -> Result<((LowerBound, UpperBound), serde_json::Value), Wrong> {
    let (class, n) = (selection.class, answers.len() as u64);
    // The selection samples decide how alpha is split.
    let votes = selection.counts.get(&class).copied().unwrap_or(0);
    let against = runner_up(&selection.counts, class).1;
    let weights = if against == 0 {
        [15.0, 1.0]
    } else if u128::from(votes) >= 3 * u128::from(against) {
        [1.0, 1.0]
    } else {
        [1.0, 7.0]
    };
    let shares = alpha(level)?.split(&weights).map_err(numbers)?;
    // Invalid answers count against the class as answers of another class would.
    let (other, k_other) = runner_up(&tally(answers.iter()), class);
    let k = count(answers, class);
    let bounds = two(k, k_other, n, [shares[0], shares[1]])?;
    let counts = json!({
        "class": class, "k": k, "n": n, "invalid": count(answers, INVALID),
        "runner_up": other, "k_runner_up": k_other,
        "alpha_class": shares[0].get(), "alpha_ratio": shares[1].get(),
        "ratio_lower": bounds.t.get(), "p_upper": bounds.q.get(),
    });
    Ok(((bounds.p, bounds.q), counts))
}

/// The most frequent answer other than `class`, ties to the lower index, and its count.
fn runner_up(counts: &BTreeMap<u16, u64>, class: u16) -> (Option<u16>, u64) {
    let mut best = (None, 0);
    for (&other, &count) in counts {
        if other != class && count > best.1 {
            best = (Some(other), count);
        }
    }
    best
}

/// The bounds of a two-sided certificate.
struct Two {
    /// The lower confidence bound of the class's probability.
    p: LowerBound,
    /// The lower confidence bound of the class's share of the answers that are the class or
    /// the runner-up.
    t: LowerBound,
    /// `min(1 - p, p (1 - t)/t)` rounded up; `1 - p` where `t <= 1/2`.
    q: UpperBound,
}

/// `SOUNDNESS.md`, section 1. The order of operations is the one that
/// `docs/ledger.md` states, so that the numbers agree to the last bit.
fn two(k: u64, k_other: u64, n: u64, [a1, a2]: [Alpha; 2]) -> Result<Two, Wrong> {
    let p = clopper_pearson_lower(k, n, a1).map_err(numbers)?;
    let mut t = LowerBound::ZERO;
    let mut q = sub_up(1.0, p.get());
    if k > 0 {
        t = clopper_pearson_lower(k, k + k_other, a2).map_err(numbers)?;
    }
    if t.get() > 0.5 {
        let ratio = div_up(mul_up(p.get(), sub_up(1.0, t.get())), t.get());
        q = q.min(ratio);
    }
    let q = UpperBound::new(q).map_err(numbers)?;
    Ok(Two { p, t, q })
}

/// `predict`: whether the binomial test decides between the top class and the runner-up.
pub(super) fn predict(context: &Context<'_>, level: f64) -> Result<Derived, Wrong> {
    let (network, n) = (context.network, context.samples);
    let answers = context.first(network, PREDICT, n)?;
    let counts = tally(answers.iter().filter(|&&answer| answer != INVALID));
    let (top, k1) = runner_up(&counts, INVALID);
    let top = top.unwrap_or(0);
    let k2 = runner_up(&counts, top).1;
    let p_value = fair_coin_p_value_upper(k1, k2).map_err(numbers)?.get();
    // The prover compares a Clopper-Pearson bound with 1/2. The two forms of the test are
    // equivalent up to that bound's slack of 1e-12; within it an abstention is valid too.
    let abstains = context.abstains && p_value > level * (1.0 - 1e-11);
    let decided = k1 > 0 && p_value <= level && !abstains;
    Ok(Derived {
        counts: json!({
            "class": top, "k1": k1, "k2": k2, "n": n, "invalid": count(answers, INVALID),
        }),
        class: decided.then_some(top),
        radius: 0.0,
        p_lower: Bound::Nothing,
        bound: "binomial test",
        evaluations: n,
        micros: context.micros(network, PREDICT, n),
        samples: n,
    })
}

/// `until`: an anytime-valid bound after a number of samples that is free.
pub(super) fn until(context: &Context<'_>, level: f64) -> Result<Derived, Wrong> {
    let network = context.network;
    let selection = context.selection(network)?;
    let stopped = (context.free.n).filter(|n| (1..=context.run.n).contains(n));
    let n = stopped.ok_or_else(|| missing("the number of samples after which the run stopped"))?;
    let answers = context.first(network, CERTIFY, n)?;
    let class = selection.class;
    let k = count(answers, class);
    // The prior for the probability of another answer, from the selection samples.
    let votes = selection.counts.get(&class).copied().unwrap_or(0);
    let prior = [(selection.samples - votes) as f64 + 0.5, votes as f64 + 0.5];
    let witness = recorded(context.free.witness, "witness, a number above 0")?;
    let cell = Cell {
        weight: 1.0,
        trials: n,
        events: n - k,
        prior,
    };
    let proved = lower_bound(&[cell], level, witness).map_err(|form| ("counts", form))?;
    let (certified, radius) = context.certified_below(class, proved)?;
    Ok(Derived {
        counts: json!({
            "class": class, "k": k, "n": n, "invalid": count(answers, INVALID),
            "prior": prior, "witness": witness,
        }),
        class: certified,
        radius,
        p_lower: Bound::Below(proved),
        bound: "mixture",
        evaluations: selection.samples + n,
        micros: None,
        samples: n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_up_break_ties_to_the_lower_index() {
        let of = |counts: &[(u16, u64)], class| runner_up(&counts.iter().copied().collect(), class);
        assert_eq!(of(&[(1, 5), (2, 9), (3, 5)], 2), (Some(1), 5));
        assert_eq!(of(&[(1, 5), (2, 9)], INVALID), (Some(2), 9));
        assert_eq!(of(&[(1, 5)], 1), (None, 0));
    }

    #[test]
    fn two_sided_bounds_by_hand() {
        let shares = [0.04, 0.01].map(|a| Alpha::new(a).unwrap());
        // All three samples: cube roots.
        let found = two(3, 0, 3, shares).unwrap();
        assert!((found.p.get() - 0.04_f64.cbrt()).abs() < 1e-12);
        assert!((found.t.get() - 0.01_f64.cbrt()).abs() < 1e-12);
        assert!((found.q.get() - (1.0 - found.p.get())).abs() < 1e-15);
        // A third of the samples against few of any other class.
        let found = two(3000, 100, 10_000, shares).unwrap();
        let (p, t) = (found.p.get(), found.t.get());
        assert!(t > 0.95 && (found.q.get() - p * (1.0 - t) / t).abs() < 1e-15);
        let found = two(0, 5, 9, shares).unwrap();
        assert_eq!(
            (found.p.get(), found.t.get(), found.q.get()),
            (0.0, 0.0, 1.0)
        );
    }
}
