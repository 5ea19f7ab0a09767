//! Certifying from scratch: CERTIFY [Cohen, Rosenfeld, Kolter 2019], and its two-sided form
//! with a separate bound for the runner-up.

use std::collections::BTreeMap;

use recert_ledger::{
    Certificate, Claim, ClassOf, Evidence, Header, INVALID, Images, Ledger, NetworkId, Parameters,
    ScratchParameters, Selection, Sides,
};
use recert_noise::{Law, Stream};
use recert_num::{Alpha, Sigma};

use crate::bound::{self, Conclusion, Shares, Verdict};
use crate::run::{Collect, Run, collect, level, series};
use crate::{Error, Outcome};

/// The samples that certifying the ledger's network needs: n0 selection samples, then n
/// estimation samples, with margins where the classifier gives logits.
pub(crate) fn samples_needed(ledger: &Ledger) -> Collect {
    let header = ledger.header();
    Collect {
        stream: Stream::Certify,
        samples: header.n,
        selection: header.n0,
        margins: true,
    }
}

/// Certifies the inputs at positions `inputs` with the ledger's own network. Samples that
/// the ledger holds already are not evaluated again.
///
/// One-sided and two-sided certificates use the same samples, and a ledger can hold both, as
/// different claims. Each holds at alpha by itself; choosing the better of the two afterwards
/// is not covered.
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
    let task = FromScratch {
        network,
        samples: &samples,
        alpha: Alpha::new(run.ledger.header().alpha)?,
        sides,
        class_of: None,
        method: Parameters::Certify,
    };
    let needed = samples_needed(run.ledger);
    collect(run, inputs, &needed, &mut |ledger, _, idx| {
        conclude(ledger, idx, &task)
    })
}

/// Which certificates to compute from a network's own samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromScratch<'a> {
    pub(crate) network: NetworkId,
    /// Numbers of samples; there is one certificate for each.
    pub(crate) samples: &'a [u64],
    pub(crate) alpha: Alpha,
    pub(crate) sides: Sides,
    /// Whose selection samples are used, if not the network's own.
    pub(crate) class_of: Option<ClassOf>,
    /// The method that the claim names.
    pub(crate) method: fn(ScratchParameters) -> Parameters,
}

/// The certificates of a network on input `idx` from its own first samples.
pub(crate) fn conclude(
    ledger: &Ledger,
    idx: u32,
    task: &FromScratch<'_>,
) -> Result<Vec<Certificate>, Error> {
    let sigma = Sigma::new(ledger.header().sigma)?;
    let series = series(task.network, idx, Stream::Certify);
    let selected_by = match task.class_of {
        Some(ClassOf::Original) => ledger.base(),
        None => task.network,
    };
    let selection = ledger.selection(selected_by, idx)?.ok_or_else(|| {
        Error::parameter(format!(
            "input {idx} has no selection samples in the ledger"
        ))
    })?;
    // Another network's selection samples were paid for when it was certified.
    let (selected, selection_micros) = match task.class_of {
        Some(ClassOf::Original) => (0, 0),
        None => (selection.samples, selection.micros),
    };
    task.samples
        .iter()
        .map(|&n| {
            let (answered, micros) = ledger.answer_counts(series, n)?;
            let alpha = level(ledger.header(), task.alpha, n)?;
            let (conclusion, evidence) = match task.sides {
                Sides::One => one_sided(&selection, &answered, alpha, sigma)?,
                Sides::Two => two_sided(&selection, &answered, alpha, sigma)?,
            };
            let parameters = (task.method)(ScratchParameters {
                class_of: task.class_of,
                sides: Some(task.sides),
                rule: (task.sides == Sides::Two).then_some(Shares::RULE),
            });
            Ok(certificate(
                idx,
                claim(ledger.header(), parameters, n, task.alpha),
                &conclusion,
                evidence,
                selected + n,
                selection_micros + micros,
            ))
        })
        .collect()
}

/// How often an answer was given.
pub(crate) fn count(answered: &BTreeMap<u16, u64>, answer: u16) -> u64 {
    answered.get(&answer).copied().unwrap_or(0)
}

/// CERTIFY's conclusion with its evidence.
fn one_sided(
    selection: &Selection,
    answered: &BTreeMap<u16, u64>,
    alpha: Alpha,
    sigma: Sigma,
) -> Result<(Conclusion, Evidence), Error> {
    let class = selection.class;
    let (k, n) = (count(answered, class), answered.values().sum());
    let p = bound::direct(k, n, alpha)?;
    let evidence = Evidence::OneSided {
        class,
        k,
        n,
        invalid: count(answered, INVALID),
    };
    Ok((Conclusion::one_sided(class, p, sigma, "direct")?, evidence))
}

/// The conclusion from the counts of the class and of the runner-up, with its evidence.
fn two_sided(
    selection: &Selection,
    answered: &BTreeMap<u16, u64>,
    alpha: Alpha,
    sigma: Sigma,
) -> Result<(Conclusion, Evidence), Error> {
    let (class, n) = (selection.class, answered.values().sum());
    let against = bound::runner_up(&selection.counts, class).map_or(0, |(_, votes)| votes);
    let shares = Shares::from_votes(count(&selection.counts, class), against, alpha)?;
    let k = count(answered, class);
    let other = bound::runner_up(answered, class);
    let k_other = other.map_or(0, |(_, count)| count);
    let found = bound::two_sided(k, k_other, n, shares)?;
    let evidence = Evidence::TwoSided {
        class,
        k,
        n,
        invalid: count(answered, INVALID),
        runner_up: other.map(|(class, _)| class),
        k_runner_up: k_other,
        alpha_class: shares.class.get(),
        alpha_ratio: shares.ratio.get(),
        ratio_lower: found.ratio_lower.get(),
        p_upper: found.p_upper.get(),
    };
    let bounds = (found.p_lower, found.p_upper);
    Ok((
        Conclusion::two_sided(class, bounds, sigma, "two-sided")?,
        evidence,
    ))
}

/// The claim of a method that uses `samples` samples, with total failure probability
/// `alpha`.
pub(crate) fn claim(header: &Header, parameters: Parameters, samples: u64, alpha: Alpha) -> Claim {
    let images = match Law::of_generator(&header.generator) {
        Ok(Law::Integer) => Images::EightBit,
        _ => Images::Real,
    };
    Claim::new(parameters, samples, alpha.get(), images)
}

/// A conclusion in the form that the ledger records.
pub(crate) fn certificate(
    idx: u32,
    claim: Claim,
    conclusion: &Conclusion,
    evidence: Evidence,
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
        evidence,
        evaluations,
        micros,
    }
}
