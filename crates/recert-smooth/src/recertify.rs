//! Recertifying a modified network h from the ledger of f.

use recert_engine::Classifier;
use recert_ledger::{Certificate, Ledger, NetworkId, Series};
use recert_noise::Stream;
use recert_num::{Alpha, Sigma};
use serde_json::json;

use crate::bound::{self, Conclusion, Pairs};
use crate::certify;
use crate::run::{Collect, collect};
use crate::{Error, Observer, Outcome, Source};

/// Incremental randomized smoothing certification [Ugare et al. 2024,
/// Algorithm 2], with its error accounted for over both branches.
///
/// Three events, each named before any answer of h is seen, with shares of
/// alpha that sum to at most alpha: f's probability is at least its
/// Clopper-Pearson bound from all n copies; h's disagreement with f is at most
/// zeta; h's own probability is at least its Clopper-Pearson bound from its m
/// copies. Where all three hold, both branches are right, so any choice between
/// them is (`SOUNDNESS.md`, IRS).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Irs {
    /// Where f's bound is at least gamma, h's own counts come first; below it,
    /// zeta does. Where the first does not certify, the other is tried.
    pub gamma: f64,
}

/// What to conclude about h, and from how much.
#[derive(Debug, Clone)]
pub struct Recertify {
    /// h's number in the ledger.
    pub network: NetworkId,
    /// Copies of h to rest on, ascending; one certificate for each.
    pub copies: Vec<u64>,
    /// Total failure probability of each certificate.
    pub alpha: Alpha,
    /// Recertify with IRS.
    pub irs: Option<Irs>,
    /// Certify h from scratch on the same copies, to stand beside it.
    pub direct: bool,
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// The inputs whose certification in the ledger is complete, in order.
pub fn finished_inputs(ledger: &Ledger) -> Result<Vec<u32>, Error> {
    let mut finished = Vec::new();
    for input in ledger.inputs()? {
        let series = certify_series(ledger.base(), input.idx);
        let complete = ledger
            .answered(series)?
            .first()
            .is_some_and(|range| range.start == 0 && range.end >= ledger.header().n);
        if complete {
            finished.push(input.idx);
        }
    }
    Ok(finished)
}

/// Recertifies h on the inputs at positions `inputs`, all of them finished in
/// the ledger, resuming where h's own answers there end.
pub fn recertify(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    what: &Recertify,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let n = ledger.header().n;
    let largest = what.copies.iter().copied().max().unwrap_or(0);
    if largest == 0 || largest > n || what.copies.contains(&0) {
        return Err(Error::parameter(format!(
            "n_p must be from 1 to n = {n}, the copies in the ledger, but is {largest}"
        )));
    }
    let plan = Collect {
        network: what.network,
        stream: Stream::Certify,
        copies: largest,
        selection: if what.direct { ledger.header().n0 } else { 0 },
        margins: false,
        batch: what.batch,
    };
    collect(
        ledger,
        source,
        inputs,
        &plan,
        classifiers,
        observer,
        &mut |ledger, idx| {
            let mut certificates = Vec::new();
            if let Some(irs) = what.irs {
                certificates.extend(conclude_irs(ledger, idx, what, irs)?);
            }
            if what.direct {
                let alpha = what.alpha.get();
                certificates.extend(certify::conclude(
                    ledger,
                    what.network,
                    idx,
                    &what.copies,
                    alpha,
                    "direct",
                )?);
            }
            Ok(certificates)
        },
    )
}

fn certify_series(network: NetworkId, idx: u32) -> Series {
    Series {
        network,
        idx,
        stream: recert_ledger::Stream(Stream::Certify.tag()),
    }
}

/// The IRS certificates of h on input `idx`, one for each count of copies.
fn conclude_irs(
    ledger: &Ledger,
    idx: u32,
    what: &Recertify,
    irs: Irs,
) -> Result<Vec<Certificate>, Error> {
    let n = ledger.header().n;
    let sigma = Sigma::new(ledger.header().sigma)?;
    let class = ledger
        .selection(ledger.base(), idx)?
        .ok_or_else(|| Error::parameter(format!("input {idx} is not certified in the ledger")))?
        .class;
    let (f, _) = ledger.answers(certify_series(ledger.base(), idx), n)?;
    let k = f.count(class);
    what.copies
        .iter()
        .map(|&m| {
            let (h, micros) = ledger.answers(certify_series(what.network, idx), m)?;
            let pairs = Pairs::count(&f, &h, class);
            let (conclusion, zeta) = irs.conclude(class, k, n, &pairs, what.alpha, sigma)?;
            let counts = json!({
                "class": class, "k": k, "n": n, "m": m, "disagreements": pairs.disagreements,
                "own": pairs.own, "lost": pairs.lost, "gained": pairs.gained,
                "invalid": pairs.invalid, "zeta": zeta,
            });
            let shares: Vec<f64> = what
                .alpha
                .split(&Irs::SHARES)?
                .iter()
                .map(|a| a.get())
                .collect();
            let parameters = json!({
                "gamma": irs.gamma,
                "alpha_f": shares[0], "alpha_zeta": shares[1], "alpha_direct": shares[2],
            });
            let claim = certify::claim("irs", m, what.alpha.get(), &parameters);
            Ok(certify::certificate(
                idx,
                claim,
                &conclusion,
                &counts,
                m,
                micros,
            ))
        })
        .collect()
}

impl Irs {
    /// The weights by which alpha is split: f's probability, zeta, h's own
    /// counts. The first has n copies to rest on and needs little.
    pub const SHARES: [f64; 3] = [2.0, 9.0, 9.0];

    /// The conclusion about h, and zeta, from f's `k` of `n` and the pairs.
    pub fn conclude(
        self,
        class: u16,
        k: u64,
        n: u64,
        pairs: &Pairs,
        alpha: Alpha,
        sigma: Sigma,
    ) -> Result<(Conclusion, f64), Error> {
        let shares = alpha.split(&Self::SHARES)?;
        let p_f = bound::direct(k, n, shares[0])?;
        let (by_zeta, zeta) = bound::zeta(k, n, shares[0], pairs, shares[1])?;
        let by_own = bound::direct(pairs.own, pairs.m, shares[2])?;
        let by_zeta = Conclusion::one_sided(class, by_zeta, sigma, "zeta")?;
        let by_own = Conclusion::one_sided(class, by_own, sigma, "direct")?;
        let (first, second) = if p_f.get() < self.gamma {
            (by_zeta, by_own)
        } else {
            (by_own, by_zeta)
        };
        let conclusion = if first.is_certified() || !second.is_certified() {
            first
        } else {
            second
        };
        Ok((conclusion, zeta.get()))
    }
}
