//! CERTIFY [Cohen, Rosenfeld, Kolter 2019]: certified radii from scratch.

use recert_engine::Classifier;
use recert_ledger::{Certificate, Claim, Header, Ledger, NetworkId, Series};
use recert_noise::Stream;
use recert_num::{Alpha, Sigma};
use serde_json::json;

use crate::bound::{self, Conclusion, Verdict};
use crate::run::{Collect, collect};
use crate::{Error, Observer, Outcome, Source};

/// What certifying the ledger's network needs: n0 selection copies, then n
/// more, with margins where the classifier gives logits.
pub fn certify_plan(ledger: &Ledger, batch: usize) -> Collect {
    let header = ledger.header();
    Collect {
        network: ledger.base(),
        stream: Stream::Certify,
        copies: header.n,
        selection: header.n0,
        margins: true,
        batch,
    }
}

/// Certifies the inputs at positions `inputs`, resuming where the ledger ends.
pub fn certify(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    batch: usize,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let plan = certify_plan(ledger, batch);
    collect(
        ledger,
        source,
        inputs,
        &plan,
        classifiers,
        observer,
        &mut |ledger, idx| {
            conclude(
                ledger,
                ledger.base(),
                idx,
                &[ledger.header().n],
                ledger.header().alpha,
                "certify",
            )
        },
    )
}

/// The certificates of `network` on input `idx` from its own first copies,
/// for each count in `copies`.
pub(crate) fn conclude(
    ledger: &Ledger,
    network: NetworkId,
    idx: u32,
    copies: &[u64],
    alpha: f64,
    method: &str,
) -> Result<Vec<Certificate>, Error> {
    let Header { sigma, .. } = *ledger.header();
    let (sigma, level) = (Sigma::new(sigma)?, Alpha::new(alpha)?);
    let series = Series {
        network,
        idx,
        stream: recert_ledger::Stream(Stream::Certify.tag()),
    };
    let selection = ledger.selection(network, idx)?.ok_or_else(|| {
        Error::parameter(format!("input {idx} has no selection copies in the ledger"))
    })?;
    let class = selection.class;
    copies
        .iter()
        .map(|&n| {
            let (codes, micros) = ledger.answers(series, n)?;
            let k = codes.count(class);
            let p = bound::direct(k, n, level)?;
            let conclusion = Conclusion::one_sided(class, p, sigma, "direct")?;
            let counts = json!({"class": class, "k": k, "n": n, "invalid": codes.invalid()});
            let claim = claim(method, n, alpha, &json!({}));
            let evaluations = selection.copies + n;
            let micros = selection.micros + micros;
            Ok(certificate(
                idx,
                claim,
                &conclusion,
                &counts,
                evaluations,
                micros,
            ))
        })
        .collect()
}

/// The claim of a radius by `method`.
pub(crate) fn claim(
    method: &str,
    copies: u64,
    alpha: f64,
    parameters: &serde_json::Value,
) -> Claim {
    Claim {
        method: method.into(),
        copies,
        alpha,
        parameters: parameters.to_string(),
        statement: format!(
            "for this network and this input, named in advance: the radius is wrong with \
             probability at most {alpha}"
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
