//! Deriving certificates by `auto`, on samples that are chosen by f's codes.
//!
//! The numbers of samples of each code that h ran on, and of pilot samples, are free
//! parameters and are recorded in the counts. Which samples these are, what h answered on
//! them, and what follows from that is derived. Samples that are not fresh are *late*: f's
//! answers on the first samples, the early ones, are votes and nothing else.

mod cells;
mod late;
mod rounds;

use std::collections::BTreeMap;

use recert_ledger::INVALID;
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};
use serde_json::json;

use self::late::{Base, Found, h_on};
use super::scratch::from_answers;
use crate::answers::{CERTIFY, FRESH, Series};
use crate::arithmetic::{Cell, lower_bound};
use crate::claim::{Shares, early};
use crate::derived::{
    Bound, Context, Derived, Wrong, alpha, at_most, count, numbers, one_sided, recorded, tally,
    two_sided,
};
use crate::tables::Selection;

/// The largest number of pilot samples of an input.
const PILOT: u64 = 50;

/// The description of a valid witness, for violations.
const WITNESS: &str = "witness, a number above 0";

/// Derives a certificate of `auto`; `two` allows two-sided bounds from pairs, and from fresh samples.
pub(super) fn derive(
    context: &Context<'_>,
    shares: Shares,
    anytime: bool,
    two: [bool; 2],
) -> Result<Derived, Wrong> {
    let (base, n) = (context.run.base, context.run.n);
    let selection = context.selection(base)?;
    let series = context.answers.series(base, CERTIFY);
    if is_stopped(context, selection) {
        let f = Base {
            class: selection.class,
            n,
            early: 0,
            answers: &[],
            margins: None,
        };
        return derive_from(context, &f, selection, shares, (anytime, two));
    }
    let f = Base {
        class: selection.class,
        n,
        early: early(n),
        answers: context.first(base, CERTIFY, n)?,
        margins: series.and_then(|series| series.margins.as_deref()),
    };
    derive_from(context, &f, selection, shares, (anytime, two))
}

/// Whether the certificate is one on an input on which f stopped: its answers decided how many
/// there are, so that they are no evidence, and not even votes. Only the selection samples
/// are. Such a certificate is from fresh samples, or an abstention.
///
/// An input on which the ledger has all n samples may have been concluded before it had them.
/// What tells then is what the certificate counted.
fn is_stopped(context: &Context<'_>, selection: &Selection) -> bool {
    let bounds = [
        "\"none\"",
        "\"fresh\"",
        "\"fresh-two-sided\"",
        "\"mixture\"",
    ];
    if !context.stops || !bounds.contains(&context.bound.as_str()) {
        return false;
    }
    let complete = context.first(context.run.base, CERTIFY, context.run.n);
    complete.is_err()
        || context.bound == "\"none\"" && context.free.n == Some(0)
        || context.free.prior == Some(fresh_prior(selection.samples, votes_for(selection)))
}

/// The selection samples that answered the class selected.
fn votes_for(selection: &Selection) -> u64 {
    let votes = selection.counts.get(&selection.class);
    votes.copied().unwrap_or(0)
}

/// The prior for the probability of an answer other than the class, from the votes.
fn fresh_prior(votes: u64, favour: u64) -> [f64; 2] {
    [(votes - favour) as f64 + 0.5, favour as f64 + 0.5]
}

/// Derives a certificate from f's answers, as far as they are evidence.
fn derive_from(
    context: &Context<'_>,
    f: &Base<'_>,
    selection: &Selection,
    shares: Shares,
    (anytime, [of_pairs, of_fresh]): (bool, [bool; 2]),
) -> Result<Derived, Wrong> {
    let n = f.answers.len() as u64;
    let mut found = match (context.bound.as_str(), anytime) {
        ("\"none\"", _) => nothing(f),
        ("\"fresh\"", false) | ("\"mixture\"", true) => {
            fresh(context, f, selection, shares.whole, anytime)?
        }
        ("\"loss\"", false) | ("\"loss-mixture\"", true) => loss(context, f, shares, anytime)?,
        ("\"cells\"", _) => cells::cells(context, f, shares.whole, false)?,
        ("\"tail\"", false) => cells::cells(context, f, shares.whole, true)?,
        ("\"fresh-two-sided\"", false) if of_fresh => {
            fresh_both(context, f, selection, shares.whole)?
        }
        ("\"both\"", false) if of_pairs => both(context, f, shares)?,
        _ => {
            let known = match (anytime, of_pairs, of_fresh) {
                (true, ..) => "none, mixture, loss-mixture or cells",
                (_, _, true) => "none, fresh, fresh-two-sided, loss, cells, tail or both",
                (_, true, _) => "none, fresh, loss, cells, tail or both",
                _ => "none, fresh, loss, cells or tail",
            };
            return Err(("bound", known.to_owned()));
        }
    };
    let pilot = pilot(context, f, selection)?;
    found.counts["pilot"] = json!(pilot.len());
    let extra =
        |sample: &&u32| found.stream != CERTIFY || found.samples.binary_search(sample).is_err();
    let evaluations = (found.samples.len() + pilot.iter().filter(extra).count()) as u64;
    let sigma = context.sigma()?;
    let (class, radius) = match (found.p, found.q) {
        (Bound::Below(proved), _) => context.certified_below(f.class, proved)?,
        (Bound::Exactly(p), None) => one_sided(f.class, p, sigma)?,
        (Bound::Exactly(p), Some(q)) => {
            let p = LowerBound::new(p).map_err(numbers)?;
            two_sided(f.class, (p, q), sigma)?
        }
        (Bound::Nothing, _) => (None, 0.0),
    };
    Ok(Derived {
        class,
        radius,
        p_lower: found.p,
        bound: found.bound,
        evaluations,
        micros: None,
        samples: n + found.samples.len() as u64,
        counts: found.counts,
    })
}

/// The bound if only the pilot was evaluated: 0.
fn nothing(f: &Base<'_>) -> Found {
    let (k, n) = f.class_count();
    Found {
        stream: CERTIFY,
        samples: Vec::new(),
        bound: "none",
        p: Bound::Exactly(0.0),
        q: None,
        counts: json!({"class": f.class, "k": k, "n": n}),
    }
}

/// The bound from h's answers on samples that f has not answered.
fn fresh(
    context: &Context<'_>,
    f: &Base<'_>,
    selection: &Selection,
    share: f64,
    anytime: bool,
) -> Result<Found, Wrong> {
    let m = at_most(context.free.n, "n", f.n)?;
    let samples: Vec<u32> = (0..m as u32).collect();
    let answers = h_on(context, FRESH, &samples)?;
    let k = count(&answers, f.class);
    let mut counts = json!({
        "class": f.class, "k": k, "n": m, "invalid": count(&answers, INVALID),
    });
    let p = if anytime {
        let (votes, favour) = f.votes(selection);
        let prior = fresh_prior(votes, favour);
        let witness = recorded(context.free.witness, WITNESS)?;
        counts["prior"] = json!(prior);
        counts["witness"] = json!(witness);
        one_cell((1.0, m, m - k, prior), share, witness)?
    } else {
        let p = clopper_pearson_lower(k, m, alpha(share)?).map_err(numbers)?;
        Bound::Exactly(p.get())
    };
    Ok(Found {
        stream: FRESH,
        samples,
        bound: if anytime { "mixture" } else { "fresh" },
        p,
        q: None,
        counts,
    })
}

/// The two-sided bound from h's answers on samples that f has not answered; f's selection samples decide how alpha is
/// split.
fn fresh_both(
    context: &Context<'_>,
    f: &Base<'_>,
    selection: &Selection,
    share: f64,
) -> Result<Found, Wrong> {
    let m = at_most(context.free.n, "n", f.n)?;
    let samples: Vec<u32> = (0..m as u32).collect();
    let answers = h_on(context, FRESH, &samples)?;
    let ((p, q), counts) = from_answers(selection, &answers, share)?;
    Ok(Found {
        stream: FRESH,
        samples,
        bound: "fresh-two-sided",
        p: Bound::Exactly(p.get()),
        q: Some(q),
        counts,
    })
}

/// The bound from the first late samples that f answered with the class: `P(h=c) >= P(f=c)
/// P(h=c | f=c)`.
fn loss(
    context: &Context<'_>,
    f: &Base<'_>,
    shares: Shares,
    anytime: bool,
) -> Result<Found, Wrong> {
    let pairs = at_most(context.free.pairs, "pairs", f.n)?;
    let samples = f.take_class(pairs);
    let answers = h_on(context, CERTIFY, &samples)?;
    let pairs = samples.len() as u64;
    let ((k, n), other) = (f.class_count(), pairs - count(&answers, f.class));
    let p_f = clopper_pearson_lower(k, n, alpha(shares.f)?).map_err(numbers)?;
    let mut counts = json!({
        "class": f.class, "k": k, "n": n, "pairs": pairs, "other": other,
        "invalid": count(&answers, INVALID),
    });
    let p = if anytime {
        let prior = recorded(context.free.prior, "prior, 2 numbers above 0")?;
        let witness = recorded(context.free.witness, WITNESS)?;
        counts["prior"] = json!(prior);
        counts["witness"] = json!(witness);
        one_cell((p_f.get(), pairs, other, prior), shares.h, witness)?
    } else if pairs == 0 {
        Bound::Exactly(0.0)
    } else {
        let left = clopper_pearson_upper(other, pairs, alpha(shares.h)?).map_err(numbers)?;
        Bound::Exactly(p_f.times(left.complement()).get())
    };
    Ok(Found {
        stream: CERTIFY,
        samples,
        bound: if anytime { "loss-mixture" } else { "loss" },
        p,
        q: None,
        counts,
    })
}

/// The two-sided bound from the first late samples, whatever f answered: the loss of the
/// class, and the largest gain of any other answer, an invalid one included. Each share is
/// halved, for two events about f and two about h. No union over the classes is needed
/// (`SOUNDNESS.md`, section 4).
fn both(context: &Context<'_>, f: &Base<'_>, shares: Shares) -> Result<Found, Wrong> {
    let pairs = at_most(context.free.pairs, "pairs", f.n)?;
    let samples = f.take(pairs, |_| true);
    let answers = h_on(context, CERTIFY, &samples)?;
    let (class, m) = (f.class, samples.len() as u64);
    let largest = |counts: BTreeMap<u16, u64>| counts.into_values().max().unwrap_or(0);
    let runner_up = largest(tally(f.late().iter().filter(|&&answer| answer != class)));
    let pairs = || f.late().iter().zip(&answers);
    let lost = pairs().filter(|&(&f, &h)| f == class && h != class).count() as u64;
    let arrived = pairs().filter(|&(f, h)| f != h && *h != class);
    let arrived = largest(tally(arrived.map(|(_, h)| h)));
    let (k, n) = f.class_count();
    let halves = |share: f64| Ok(alpha(share)?.split(&[1.0, 1.0]).map_err(numbers)?[0]);
    let (half_f, half_h) = (halves(shares.f)?, halves(shares.h)?);
    let (mut p, mut q) = (LowerBound::ZERO, UpperBound::ONE);
    if m > 0 {
        let upper = |k: u64, n: u64, share: Alpha| clopper_pearson_upper(k, n, share);
        let f_lower = clopper_pearson_lower(k, n, half_f).map_err(numbers)?;
        p = f_lower.minus(upper(lost, m, half_h).map_err(numbers)?);
        let f_upper = upper(runner_up, n, half_f).map_err(numbers)?;
        let h_upper = f_upper.plus(upper(arrived, m, half_h).map_err(numbers)?);
        q = p.complement().min(h_upper);
    }
    Ok(Found {
        stream: CERTIFY,
        counts: json!({
            "class": class, "k": k, "n": n, "runner_up": runner_up, "pairs": m, "lost": lost,
            "arrived": arrived, "invalid": count(&answers, INVALID), "p_upper": q.get(),
        }),
        samples,
        bound: "both",
        p: Bound::Exactly(p.get()),
        q: Some(q),
    })
}

/// The joint bound of one cell at a recorded witness.
fn one_cell(
    (weight, trials, events, prior): (f64, u64, u64, [f64; 2]),
    share: f64,
    witness: f64,
) -> Result<Bound, Wrong> {
    let cell = Cell {
        weight,
        trials,
        events,
        prior,
    };
    let proved = lower_bound(&[cell], share, witness).map_err(|form| ("counts", form))?;
    Ok(Bound::Below(proved))
}

/// The pilot samples: the first late samples that f answered with the class, as many as are
/// recorded and h has answered. There are none unless more than half of the votes are for the
/// class.
fn pilot(context: &Context<'_>, f: &Base<'_>, selection: &Selection) -> Result<Vec<u32>, Wrong> {
    let pilot = at_most(context.free.pilot, "pilot", PILOT)?;
    let (votes, favour) = f.votes(selection);
    let mut samples = f.take_class(if 2 * favour > votes { pilot } else { 0 });
    let empty = Series::default();
    let answered = context.answers.series(context.network, CERTIFY);
    let answered = &answered.unwrap_or(&empty).samples;
    let unanswered = |sample: &u32| answered.binary_search(sample).is_err();
    samples.truncate(samples.iter().position(unanswered).unwrap_or(samples.len()));
    Ok(samples)
}

#[cfg(test)]
mod tests;
