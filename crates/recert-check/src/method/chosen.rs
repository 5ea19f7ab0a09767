//! On copies that f's codes choose: `auto`.
//!
//! How many copies of which code h ran on is free to be chosen, and recorded in
//! the counts; which copies these are, what h answered on them, and what follows,
//! is derived.

use std::collections::BTreeMap;

use recert_ledger::INVALID;
use recert_num::directed::sub_down;
use recert_num::{Alpha, LowerBound, UpperBound, clopper_pearson_lower, clopper_pearson_upper};
use serde_json::{Value as Json, json};

use super::{
    Bound, Context, Derived, Evaluations, Wrong, alpha, count, missing, numbers, one_sided, tally,
    two_sided,
};
use crate::answers::{CERTIFY, FRESH, Series};
use crate::arithmetic::{Cell, Proved, lower_bound};
use crate::claim::CUT;

/// The most copies of an input that a pilot takes.
const PILOT: usize = 50;

/// f on an input.
struct Base<'a> {
    class: u16,
    n: u64,
    answers: &'a [u16],
    /// Whether f was undecided on each copy.
    undecided: Vec<bool>,
}

impl Base<'_> {
    /// The first copies of which `which` holds, ascending.
    fn take(&self, count: u64, which: impl Fn(usize) -> bool) -> Vec<u32> {
        let copies = (0..self.answers.len()).filter(|&copy| which(copy));
        let copies = copies.take(usize::try_from(count).unwrap_or(usize::MAX));
        copies.map(|copy| copy as u32).collect()
    }

    fn decided(&self, copy: usize) -> bool {
        !self.undecided[copy] && self.answers[copy] == self.class
    }
}

/// What a bound makes of the copies chosen.
struct Found {
    stream: u32,
    copies: Vec<u32>,
    bound: &'static str,
    p: Bound,
    /// Of every other class, where the radius is from both sides.
    q: Option<UpperBound>,
    counts: Json,
}

/// `shares` are those of f's codes and of h.
pub(super) fn derive(
    context: &Context<'_>,
    shares: [f64; 2],
    anytime: bool,
    two: bool,
) -> Result<Derived, Wrong> {
    let (base, n) = (context.run.base, context.run.n);
    let selection = context.selection(base)?;
    let answers = context.first(base, CERTIFY, n)?;
    let series = context.answers.of(base, CERTIFY);
    let margins = series.and_then(|series| series.margins.as_deref());
    let undecided = |copy: usize| margins.is_some_and(|margins| margins[copy] < CUT);
    let f = Base {
        class: selection.class,
        n,
        answers,
        undecided: (0..answers.len()).map(undecided).collect(),
    };
    let found = match (context.bound.as_str(), anytime) {
        ("\"none\"", _) => nothing(&f),
        ("\"fresh\"", false) | ("\"mixture\"", true) => fresh(context, &f, shares, anytime)?,
        ("\"loss\"", false) | ("\"loss-mixture\"", true) => loss(context, &f, shares, anytime)?,
        ("\"strata\"", _) => strata(context, &f, shares)?,
        ("\"both\"", false) if two => both(context, &f, shares)?,
        _ => {
            let known = match (anytime, two) {
                (true, _) => "none, mixture, loss-mixture or strata",
                (false, true) => "none, fresh, loss, strata or both",
                (false, false) => "none, fresh, loss or strata",
            };
            return Err(("bound", known.to_owned()));
        }
    };
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
        evaluations: evaluations(context, &f, &found, selection),
        micros: None,
        copies: n + found.copies.len() as u64,
        counts: found.counts,
    })
}

/// Nothing was spent.
fn nothing(f: &Base<'_>) -> Found {
    let k = count(f.answers, f.class);
    Found {
        stream: CERTIFY,
        copies: Vec::new(),
        bound: "none",
        p: Bound::Exactly(0.0),
        q: None,
        counts: json!({"class": f.class, "k": k, "n": f.n}),
    }
}

/// h by itself, on copies that f never saw.
fn fresh(
    context: &Context<'_>,
    f: &Base<'_>,
    [_, share]: [f64; 2],
    anytime: bool,
) -> Result<Found, Wrong> {
    let m = context.stored_count("n", f.n)?;
    let copies: Vec<u32> = (0..m as u32).collect();
    let answers = h_at(context, FRESH, &copies)?;
    let k = count(&answers, f.class);
    let mut counts = json!({
        "class": f.class, "k": k, "n": m, "invalid": count(&answers, INVALID),
    });
    let p = if anytime {
        let selection = context.selection(context.run.base)?;
        let votes = selection.counts.get(&f.class).copied().unwrap_or(0);
        let prior = [(selection.copies - votes) as f64 + 0.5, votes as f64 + 0.5];
        let witness = context.witness("witness")?;
        counts["prior"] = json!(prior);
        counts["witness"] = json!(witness);
        one_cell((1.0, m, m - k, prior), share, witness)?
    } else {
        let p = clopper_pearson_lower(k, m, alpha(share)?).map_err(numbers)?;
        Bound::Exactly(p.get())
    };
    Ok(Found {
        stream: FRESH,
        copies,
        bound: if anytime { "mixture" } else { "fresh" },
        p,
        q: None,
        counts,
    })
}

/// On the first copies that f answered with the class: `P(h=c) >= P(f=c) P(h=c |
/// f=c)`.
fn loss(
    context: &Context<'_>,
    f: &Base<'_>,
    [share_f, share_h]: [f64; 2],
    anytime: bool,
) -> Result<Found, Wrong> {
    let pairs = context.stored_count("pairs", f.n)?;
    let copies = f.take(pairs, |copy| f.answers[copy] == f.class);
    let answers = h_at(context, CERTIFY, &copies)?;
    let pairs = copies.len() as u64;
    let (k, other) = (count(f.answers, f.class), pairs - count(&answers, f.class));
    let p_f = clopper_pearson_lower(k, f.n, alpha(share_f)?).map_err(numbers)?;
    let mut counts = json!({
        "class": f.class, "k": k, "n": f.n, "pairs": pairs, "other": other,
        "invalid": count(&answers, INVALID),
    });
    let p = if anytime {
        let (prior, witness) = (context.prior("prior", None)?, context.witness("witness")?);
        counts["prior"] = json!(prior);
        counts["witness"] = json!(witness);
        one_cell((p_f.get(), pairs, other, prior), share_h, witness)?
    } else if pairs == 0 {
        Bound::Exactly(0.0)
    } else {
        let left = clopper_pearson_upper(other, pairs, alpha(share_h)?).map_err(numbers)?;
        Bound::Exactly(p_f.times(left.complement()).get())
    };
    Ok(Found {
        stream: CERTIFY,
        copies,
        bound: if anytime { "loss-mixture" } else { "loss" },
        p,
        q: None,
        counts,
    })
}

/// On the first decided and the first undecided copies, bounded jointly. Where
/// `P(decided) >= g1` and `P(decided or undecided) >= g2`, the lesser of two
/// weighted sums bounds `P(h=c)`: of `(g1, g2 - g1)` and of `(g2, 0)`
/// (`SOUNDNESS.md`, section 4). One event proves both.
fn strata(
    context: &Context<'_>,
    f: &Base<'_>,
    [share_f, share_h]: [f64; 2],
) -> Result<Found, Wrong> {
    let list = |name: &str, i: usize| {
        let value = context
            .stored
            .get(name)
            .and_then(|list| list.get(i)?.as_u64());
        value.ok_or_else(|| ("counts", format!("{name}, two counts")))
    };
    let asked = [list("pairs", 0)?, list("pairs", 1)?];
    let groups = [
        f.take(asked[0], |copy| f.decided(copy)),
        f.take(asked[1], |copy| f.undecided[copy]),
    ];
    let all = f.answers.len() as u64;
    let decided = f.take(all, |copy| f.decided(copy)).len() as u64;
    let undecided = f.take(all, |copy| f.undecided[copy]).len() as u64;
    let half = alpha(share_f)?.split(&[1.0, 1.0]).map_err(numbers)?[0];
    let g1 = clopper_pearson_lower(decided, f.n, half)
        .map_err(numbers)?
        .get();
    let g2 = clopper_pearson_lower(decided + undecided, f.n, half)
        .map_err(numbers)?
        .get();
    let priors = [
        context.prior("priors", Some(0))?,
        context.prior("priors", Some(1))?,
    ];
    let witnesses = [context.witness_at(0)?, context.witness_at(1)?];
    let (mut pairs, mut other, mut invalid) = ([0; 2], [0; 2], 0);
    for (i, copies) in groups.iter().enumerate() {
        let answers = h_at(context, CERTIFY, copies)?;
        pairs[i] = copies.len() as u64;
        other[i] = pairs[i] - count(&answers, f.class);
        invalid += count(&answers, INVALID);
    }
    let mut most: Option<Proved> = None;
    for (weights, witness) in [[g1, sub_down(g2, g1).max(0.0)], [g2, 0.0]]
        .into_iter()
        .zip(witnesses)
    {
        let cells = [0, 1].map(|i| Cell {
            weight: weights[i],
            trials: pairs[i],
            events: other[i],
            prior: priors[i],
        });
        let bound = lower_bound(&cells, share_h, witness).map_err(|what| ("counts", what))?;
        most = Some(most.map_or(bound, |most| most.min(bound)));
    }
    let most = most.ok_or_else(|| missing("strata"))?;
    let mut copies = groups.concat();
    copies.sort_unstable();
    Ok(Found {
        stream: CERTIFY,
        copies,
        bound: "strata",
        p: Bound::Below(most),
        q: None,
        counts: json!({
            "class": f.class, "n": f.n, "decided": decided, "undecided": undecided,
            "pairs": pairs, "other": other, "invalid": invalid, "priors": priors,
            "witness": witnesses,
        }),
    })
}

/// On the first copies, whatever f answered: what h loses of the class, and the
/// most that it wins for any other. Each share is halved, for two events about f
/// and two about h; no union over the classes is needed (`SOUNDNESS.md`, section
/// 4).
fn both(context: &Context<'_>, f: &Base<'_>, [share_f, share_h]: [f64; 2]) -> Result<Found, Wrong> {
    let asked = context.stored_count("pairs", f.n)?;
    let copies = f.take(asked, |_| true);
    let answers = h_at(context, CERTIFY, &copies)?;
    let (class, m) = (f.class, copies.len() as u64);
    let most = |counts: BTreeMap<u16, u64>| counts.into_values().max().unwrap_or(0);
    let other = |answer: u16| answer != class && answer != INVALID;
    let runner_up = most(tally(f.answers.iter().filter(|&&answer| other(answer))));
    let pairs = || f.answers.iter().zip(&answers);
    let lost = pairs().filter(|&(&f, &h)| f == class && h != class).count() as u64;
    let arrived = pairs().filter(|&(f, h)| f != h && other(*h));
    let arrived = most(tally(arrived.map(|(_, h)| h)));
    let k = count(f.answers, class);
    let halves = |share: f64| Ok(alpha(share)?.split(&[1.0, 1.0]).map_err(numbers)?[0]);
    let (half_f, half_h) = (halves(share_f)?, halves(share_h)?);
    let (mut p, mut q) = (LowerBound::ZERO, UpperBound::ONE);
    if m > 0 {
        let upper = |k: u64, n: u64, share: Alpha| clopper_pearson_upper(k, n, share);
        let stays = clopper_pearson_lower(k, f.n, half_f).map_err(numbers)?;
        p = stays.minus(upper(lost, m, half_h).map_err(numbers)?);
        let there = upper(runner_up, f.n, half_f).map_err(numbers)?;
        let there = there.plus(upper(arrived, m, half_h).map_err(numbers)?);
        q = p.complement().min(there);
    }
    Ok(Found {
        stream: CERTIFY,
        counts: json!({
            "class": class, "k": k, "n": f.n, "runner_up": runner_up, "pairs": m, "lost": lost,
            "arrived": arrived, "invalid": count(&answers, INVALID), "p_upper": q.get(),
        }),
        copies,
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

/// h's answers on some copies.
fn h_at(context: &Context<'_>, stream: u32, copies: &[u32]) -> Result<Vec<u16>, Wrong> {
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    let series = context.answers.of(context.network, stream);
    let found = series.and_then(|series| series.at(copies));
    found.ok_or_else(|| {
        missing(format!(
            "answers of network {} on the {} copies chosen of stream {stream}",
            context.network,
            copies.len()
        ))
    })
}

/// The copies chosen, and those of the pilot that are not among them. How many
/// copies an input's pilot had is not recorded: any number that h has answered
/// will do; none where the selection copies promise no certificate.
fn evaluations(
    context: &Context<'_>,
    f: &Base<'_>,
    found: &Found,
    selection: &crate::tables::Selection,
) -> Evaluations {
    let chosen = found.copies.len() as u64;
    let votes = selection.counts.get(&f.class).copied().unwrap_or(0);
    let empty = Series::default();
    let answered = context.answers.of(context.network, CERTIFY);
    let answered = answered.unwrap_or(&empty);
    let mut possible = vec![chosen];
    if 2 * votes > selection.copies {
        let pilot = f.take(PILOT as u64, |copy| f.answers[copy] == f.class);
        let mut extra = 0;
        for copy in pilot {
            if answered.copies.binary_search(&copy).is_err() {
                break;
            }
            let among = found.stream == CERTIFY && found.copies.binary_search(&copy).is_ok();
            extra += u64::from(!among);
            possible.push(chosen + extra);
        }
        possible.dedup();
    }
    Evaluations::OneOf(possible)
}
