//! On samples that f's codes choose: `auto`.
//!
//! How many samples of which code h ran on is free to be chosen, and recorded in
//! the counts, as is how many the pilot had; which samples these are, what h
//! answered on them, and what follows, is derived. But for fresh ones they are
//! *late*: f's first samples, the early ones, are looked at before anything is
//! decided, and count as votes and as nothing else.

mod cells;
mod late;

use std::collections::BTreeMap;

use recert_ledger::INVALID;
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};
use serde_json::json;

use self::late::{Base, Found, h_on};
use crate::answers::{CERTIFY, FRESH, Series};
use crate::arithmetic::{Cell, lower_bound};
use crate::claim::{Shares, early};
use crate::derived::{
    Bound, Context, Derived, Wrong, alpha, at_most, count, given, numbers, one_sided, tally,
    two_sided,
};
use crate::tables::Selection;

/// The most samples of an input that a pilot takes.
const PILOT: u64 = 50;

/// What a witness has to be.
const WITNESS: &str = "witness, a number above 0";

/// Derives the certificate of `auto`; `two` allows bounds of both sides.
pub(super) fn derive(
    context: &Context<'_>,
    shares: Shares,
    anytime: bool,
    two: bool,
) -> Result<Derived, Wrong> {
    let (base, n) = (context.run.base, context.run.n);
    let selection = context.selection(base)?;
    let series = context.answers.series(base, CERTIFY);
    let f = Base {
        class: selection.class,
        n,
        early: early(n),
        answers: context.first(base, CERTIFY, n)?,
        margins: series.and_then(|series| series.margins.as_deref()),
    };
    let mut found = match (context.bound.as_str(), anytime) {
        ("\"none\"", _) => nothing(&f),
        ("\"fresh\"", false) | ("\"mixture\"", true) => {
            fresh(context, &f, selection, shares.whole, anytime)?
        }
        ("\"loss\"", false) | ("\"loss-mixture\"", true) => loss(context, &f, shares, anytime)?,
        ("\"cells\"", _) => cells::cells(context, &f, shares.whole)?,
        ("\"both\"", false) if two => both(context, &f, shares)?,
        _ => {
            let known = match (anytime, two) {
                (true, _) => "none, mixture, loss-mixture or cells",
                (false, true) => "none, fresh, loss, cells or both",
                (false, false) => "none, fresh, loss or cells",
            };
            return Err(("bound", known.to_owned()));
        }
    };
    let pilot = pilot(context, &f, selection)?;
    found.counts["pilot"] = json!(pilot.len());
    let extra =
        |sample: &&u32| found.stream != CERTIFY || found.samples.binary_search(sample).is_err();
    let evaluations = (found.samples.len() + pilot.iter().filter(extra).count()) as u64;
    let sigma = context.sigma()?;
    let (class, radius) = match (found.p, found.q) {
        (Bound::Below(most), _) => context.certified_below(f.class, most)?,
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

/// Nothing was spent.
fn nothing(f: &Base<'_>) -> Found {
    let (k, n) = f.own();
    Found {
        stream: CERTIFY,
        samples: Vec::new(),
        bound: "none",
        p: Bound::Exactly(0.0),
        q: None,
        counts: json!({"class": f.class, "k": k, "n": n}),
    }
}

/// h by itself, on samples that f never saw.
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
        let prior = [(votes - favour) as f64 + 0.5, favour as f64 + 0.5];
        let witness = given(context.free.witness, WITNESS)?;
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

/// On the first late samples that f answered with the class: `P(h=c) >= P(f=c) P(h=c |
/// f=c)`.
fn loss(
    context: &Context<'_>,
    f: &Base<'_>,
    shares: Shares,
    anytime: bool,
) -> Result<Found, Wrong> {
    let pairs = at_most(context.free.pairs, "pairs", f.n)?;
    let samples = f.take_own(pairs);
    let answers = h_on(context, CERTIFY, &samples)?;
    let pairs = samples.len() as u64;
    let ((k, n), other) = (f.own(), pairs - count(&answers, f.class));
    let p_f = clopper_pearson_lower(k, n, alpha(shares.f)?).map_err(numbers)?;
    let mut counts = json!({
        "class": f.class, "k": k, "n": n, "pairs": pairs, "other": other,
        "invalid": count(&answers, INVALID),
    });
    let p = if anytime {
        let prior = given(context.free.prior, "prior, 2 numbers above 0")?;
        let witness = given(context.free.witness, WITNESS)?;
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

/// On the first late samples, whatever f answered: what h loses of the class, and
/// the most that it wins for any other answer, an invalid one included. Each share is halved, for two events about f
/// and two about h; no union over the classes is needed (`SOUNDNESS.md`, section
/// 4).
fn both(context: &Context<'_>, f: &Base<'_>, shares: Shares) -> Result<Found, Wrong> {
    let asked = at_most(context.free.pairs, "pairs", f.n)?;
    let samples = f.take(asked, |_| true);
    let answers = h_on(context, CERTIFY, &samples)?;
    let (class, m) = (f.class, samples.len() as u64);
    let most = |counts: BTreeMap<u16, u64>| counts.into_values().max().unwrap_or(0);
    let runner_up = most(tally(f.late().iter().filter(|&&answer| answer != class)));
    let pairs = || f.late().iter().zip(&answers);
    let lost = pairs().filter(|&(&f, &h)| f == class && h != class).count() as u64;
    let arrived = pairs().filter(|&(f, h)| f != h && *h != class);
    let arrived = most(tally(arrived.map(|(_, h)| h)));
    let (k, n) = f.own();
    let halves = |share: f64| Ok(alpha(share)?.split(&[1.0, 1.0]).map_err(numbers)?[0]);
    let (half_f, half_h) = (halves(shares.f)?, halves(shares.h)?);
    let (mut p, mut q) = (LowerBound::ZERO, UpperBound::ONE);
    if m > 0 {
        let upper = |k: u64, n: u64, share: Alpha| clopper_pearson_upper(k, n, share);
        let stays = clopper_pearson_lower(k, n, half_f).map_err(numbers)?;
        p = stays.minus(upper(lost, m, half_h).map_err(numbers)?);
        let there = upper(runner_up, n, half_f).map_err(numbers)?;
        let there = there.plus(upper(arrived, m, half_h).map_err(numbers)?);
        q = p.complement().min(there);
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

/// The bound of one cell at a recorded witness.
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
    let most = lower_bound(&[cell], share, witness).map_err(|what| ("counts", what))?;
    Ok(Bound::Below(most))
}

/// The samples of the pilot: the first that f answered with the class, as many as
/// are recorded and h has answered; none where no more than half of the votes
/// are for it.
fn pilot(context: &Context<'_>, f: &Base<'_>, selection: &Selection) -> Result<Vec<u32>, Wrong> {
    let recorded = at_most(context.free.pilot, "pilot", PILOT)?;
    let (votes, favour) = f.votes(selection);
    let mut samples = f.take_own(if 2 * favour > votes { recorded } else { 0 });
    let empty = Series::default();
    let answered = context.answers.series(context.network, CERTIFY);
    let answered = &answered.unwrap_or(&empty).samples;
    let unanswered = |sample: &u32| answered.binary_search(sample).is_err();
    samples.truncate(samples.iter().position(unanswered).unwrap_or(samples.len()));
    Ok(samples)
}

#[cfg(test)]
mod tests;
