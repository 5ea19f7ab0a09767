//! Certified radii from scratch: CERTIFY [Cohen, Rosenfeld, Kolter 2019], and with
//! a bound of its own for the runner-up.

use std::collections::BTreeMap;

use recert_ledger::{Certificate, Claim, Header, INVALID, Ledger, NetworkId, Selection};
use recert_noise::{Law, Stream};
use recert_num::{Alpha, Sigma};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bound::{self, Conclusion, Shares, Verdict};
use crate::run::{Collect, Run, collect, level, series};
use crate::{Error, Outcome};

/// What certifying the ledger's network needs: n0 selection samples, then n
/// more, with margins where the classifier gives logits.
pub(crate) fn samples_needed(ledger: &Ledger) -> Collect {
    let header = ledger.header();
    Collect {
        stream: Stream::Certify,
        samples: header.n,
        selection: header.n0,
        margins: true,
    }
}

/// Which probabilities a certificate from scratch bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sides {
    /// That of the class alone; the next best may have all the rest (Cohen,
    /// Rosenfeld, Kolter 2019, CERTIFY).
    One,
    /// That of the class, and through their ratio that of the next best
    /// ([`bound::two_sided`]).
    #[default]
    Two,
}

impl Sides {
    /// The weights of the most uneven split of alpha that a certificate may ask
    /// for: every share that is ever taken lies between the ends of this one.
    pub fn shares(self) -> &'static [f64] {
        match self {
            Self::One => &[1.0],
            Self::Two => &Shares::WEIGHTS[0],
        }
    }

    /// What decides the conclusion beside counts and alpha, for the claim.
    fn parameters(self) -> serde_json::Value {
        match self {
            Self::One => json!({"sides": 1}),
            Self::Two => json!({"sides": 2, "rule": Shares::RULE}),
        }
    }
}

/// Certifies the inputs at positions `inputs`, resuming where the ledger ends.
///
/// Certificates of one and of two sides rest on the same samples and stand side
/// by side in a ledger, as different claims. Neither of them is for choosing the
/// better one afterwards: each holds at alpha by itself.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_smooth::{Outcome, Run, Sides, Silent, Threads, certify};
///
/// let mut ledger = Ledger::create(&path, &header())?;
/// let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut f,
///     observer: &mut Silent,
/// };
/// assert_eq!(certify(&mut run, &[0, 9], Sides::Two)?, Outcome::Finished);
/// let certificates = ledger.certificates(ledger.base())?;
/// assert_eq!(certificates[1].class, Some(1), "input 9 is bright");
/// assert!(certificates[1].radius > 0.2 && certificates[1].radius < 0.4);
/// # Ok(())
/// # }
/// ```
pub fn certify(run: &mut Run<'_>, inputs: &[u32], sides: Sides) -> Result<Outcome, Error> {
    let network = run.base_alone()?;
    let samples = [run.ledger.header().n];
    let what = FromScratch {
        network,
        samples: &samples,
        alpha: Alpha::new(run.ledger.header().alpha)?,
        sides,
        method: "certify",
    };
    let needed = samples_needed(run.ledger);
    collect(run, inputs, &needed, &mut |ledger, _, idx| {
        conclude(ledger, idx, &what)
    })
}

/// Certificates to draw from a network's own samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromScratch<'a> {
    pub(crate) network: NetworkId,
    /// Samples to rest on; one certificate for each count of them.
    pub(crate) samples: &'a [u64],
    pub(crate) alpha: Alpha,
    pub(crate) sides: Sides,
    /// The name the claim goes by.
    pub(crate) method: &'a str,
}

/// The certificates of a network on input `idx` from its own first samples.
pub(crate) fn conclude(
    ledger: &Ledger,
    idx: u32,
    what: &FromScratch<'_>,
) -> Result<Vec<Certificate>, Error> {
    let sigma = Sigma::new(ledger.header().sigma)?;
    let series = series(what.network, idx, Stream::Certify);
    let selection = ledger.selection(what.network, idx)?.ok_or_else(|| {
        Error::parameter(format!(
            "input {idx} has no selection samples in the ledger"
        ))
    })?;
    what.samples
        .iter()
        .map(|&n| {
            let (answered, micros) = ledger.answer_counts(series, n)?;
            let alpha = level(ledger.header(), what.alpha, n)?;
            let (conclusion, counts) = match what.sides {
                Sides::One => one_sided(&selection, &answered, alpha, sigma)?,
                Sides::Two => two_sided(&selection, &answered, alpha, sigma)?,
            };
            Ok(certificate(
                idx,
                claim(
                    ledger.header(),
                    (what.method, n, what.alpha),
                    &what.sides.parameters(),
                    1,
                ),
                &conclusion,
                &counts,
                selection.samples + n,
                selection.micros + micros,
            ))
        })
        .collect()
}

/// How often an answer was given.
pub(crate) fn count(answered: &BTreeMap<u16, u64>, answer: u16) -> u64 {
    answered.get(&answer).copied().unwrap_or(0)
}

/// CERTIFY's conclusion, and the counts that it is from.
fn one_sided(
    selection: &Selection,
    answered: &BTreeMap<u16, u64>,
    alpha: Alpha,
    sigma: Sigma,
) -> Result<(Conclusion, serde_json::Value), Error> {
    let class = selection.class;
    let (k, n) = (count(answered, class), answered.values().sum());
    let p = bound::direct(k, n, alpha)?;
    let counts = json!({"class": class, "k": k, "n": n, "invalid": count(answered, INVALID)});
    Ok((Conclusion::one_sided(class, p, sigma, "direct")?, counts))
}

/// The conclusion from the class and the runner-up, and the counts, shares of
/// alpha and bounds that it is from.
fn two_sided(
    selection: &Selection,
    answered: &BTreeMap<u16, u64>,
    alpha: Alpha,
    sigma: Sigma,
) -> Result<(Conclusion, serde_json::Value), Error> {
    let (class, n) = (selection.class, answered.values().sum());
    let against = bound::runner_up(&selection.counts, class).map_or(0, |(_, votes)| votes);
    let shares = Shares::from_votes(count(&selection.counts, class), against, alpha)?;
    let k = count(answered, class);
    let other = bound::runner_up(answered, class);
    let k_other = other.map_or(0, |(_, count)| count);
    let found = bound::two_sided(k, k_other, n, shares)?;
    let counts = json!({
        "class": class, "k": k, "n": n, "invalid": count(answered, INVALID),
        "runner_up": other.map(|(class, _)| class), "k_runner_up": k_other,
        "alpha_class": shares.class.get(), "alpha_ratio": shares.ratio.get(),
        "ratio_lower": found.ratio_lower.get(), "p_upper": found.p_upper.get(),
    });
    let bounds = (found.p_lower, found.p_upper);
    Ok((
        Conclusion::two_sided(class, bounds, sigma, "two-sided")?,
        counts,
    ))
}

/// The claim of a radius by `method`, resting on `samples`, at `alpha` in total;
/// of a network named in advance, or of one chosen among several.
pub(crate) fn claim(
    header: &Header,
    (method, samples, alpha): (&str, u64, Alpha),
    parameters: &serde_json::Value,
    among: u32,
) -> Claim {
    let network = if among == 1 {
        "for this network and this input, named in advance".to_owned()
    } else {
        format!(
            "for this input, named in advance, and a network chosen among {among} by their results"
        )
    };
    let images = match Law::of_generator(&header.generator) {
        Ok(Law::Integer) => " for images of 8-bit pixels",
        _ => "",
    };
    let alpha = alpha.get();
    Claim {
        method: method.into(),
        samples,
        alpha,
        parameters: parameters.to_string(),
        statement: format!(
            "{network}: the radius is wrong{images} with probability at most {alpha}"
        ),
    }
}

/// Puts a conclusion into the ledger's form.
pub(crate) fn certificate(
    idx: u32,
    claim: Claim,
    conclusion: &Conclusion,
    counts: &serde_json::Value,
    evaluations: u64,
    micros: u64,
) -> Certificate {
    let (class, radius) = match conclusion.verdict {
        Verdict::Certified { class, radius } => (Some(class), radius.get()),
        Verdict::Abstained => (None, 0.0),
    };
    Certificate {
        idx,
        claim: claim.into(),
        class,
        radius,
        p_lower: Some(conclusion.p_lower.get()),
        bound: Some(conclusion.bound.into()),
        counts: counts.to_string(),
        evaluations,
        micros,
    }
}
