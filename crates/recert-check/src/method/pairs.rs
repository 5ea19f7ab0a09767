//! Deriving certificates from pairs: the answers of f and h on the same first samples.

use recert_ledger::INVALID;
use recert_num::{clopper_pearson_lower, clopper_pearson_upper};
use serde_json::json;

use crate::answers::CERTIFY;
use crate::claim::Pairs;
use crate::derived::{Bound, Context, Derived, Wrong, alpha, at_most, count, numbers, one_sided};

/// `irs`, `zeta`, `loss` and `paired`.
pub(super) fn derive(context: &Context<'_>, kind: Pairs, shares: &[f64]) -> Result<Derived, Wrong> {
    if context.stops && context.bound == "\"none\"" {
        return stopped(context);
    }
    let (base, n, m) = (context.run.base, context.run.n, context.samples);
    let class = context.selection(base)?.class;
    let f = context.first(base, CERTIFY, n)?;
    let h = context.first(context.network, CERTIFY, m)?;
    let k = count(f, class);
    let pairs = || f.iter().zip(h);
    let count_pairs =
        |which: &dyn Fn(u16, u16) -> bool| pairs().filter(|&(&f, &h)| which(f, h)).count() as u64;
    // An invalid answer is no class, so it disagrees with every answer.
    let disagreements = count_pairs(&|f, h| f != h || h == INVALID);
    let own = count_pairs(&|_, h| h == class);
    let lost = count_pairs(&|f, h| f == class && h != class);
    let gained = count_pairs(&|f, h| f != class && h == class);
    let invalid = count_pairs(&|_, h| h == INVALID);
    let mut counts = json!({
        "class": class, "k": k, "n": n, "m": m, "disagreements": disagreements, "own": own,
        "lost": lost, "gained": gained, "invalid": invalid,
    });
    let lower =
        |k: u64, n: u64, share: f64| clopper_pearson_lower(k, n, alpha(share)?).map_err(numbers);
    let upper = |k: u64, share: f64| clopper_pearson_upper(k, m, alpha(share)?).map_err(numbers);
    let p_f = lower(k, n, shares[0])?;
    let sigma = context.sigma()?;
    let (p, bound) = match kind {
        Pairs::Irs { gamma } => {
            let zeta = upper(disagreements, shares[1])?;
            counts["zeta"] = json!(zeta.get());
            let by_zeta = (p_f.minus(zeta), "zeta");
            let by_own = (lower(own, m, shares[2])?, "direct");
            // Both bounds hold together. Gamma decides which is tried first; the second is
            // used if it certifies and the first does not.
            let (first, second) = if p_f.get() < gamma {
                (by_zeta, by_own)
            } else {
                (by_own, by_zeta)
            };
            if first.0.get() <= 0.5 && second.0.get() > 0.5 {
                second
            } else {
                first
            }
        }
        Pairs::Zeta => (p_f.minus(upper(disagreements, shares[1])?), "zeta"),
        Pairs::Loss => (p_f.minus(upper(lost, shares[1])?), "loss"),
        Pairs::Paired => {
            // P(f=c) + P(f!=c, h=c) is the probability that f or h answers c.
            let either = p_f.plus(lower(gained, m, shares[2])?);
            (either.minus(upper(lost, shares[1])?), "paired")
        }
    };
    let (certified, radius) = one_sided(class, p.get(), sigma)?;
    Ok(Derived {
        counts,
        class: certified,
        radius,
        p_lower: Bound::Exactly(p.get()),
        bound,
        evaluations: m,
        micros: context.micros(context.network, CERTIFY, m),
        samples: n + m,
    })
}

/// The abstention on an input on which f stopped, after a number of samples that is free: the
/// ledger may have more by now.
fn stopped(context: &Context<'_>) -> Result<Derived, Wrong> {
    let (base, most) = (context.run.base, context.run.n);
    let class = context.selection(base)?.class;
    let n = at_most(context.free.n, "n", most)?;
    let answers = if n == 0 {
        &[]
    } else {
        context.first(base, CERTIFY, n)?
    };
    Ok(Derived {
        counts: json!({"class": class, "k": count(answers, class), "n": n}),
        class: None,
        radius: 0.0,
        p_lower: Bound::Exactly(0.0),
        bound: "none",
        evaluations: 0,
        micros: Some(0),
        samples: n,
    })
}
