//! Recertifying a modified network h from the ledger of f.

use std::collections::BTreeSet;

use recert_ledger::{Certificate, ClassOf, Evidence, Ledger, NetworkId, Parameters, Series, Sides};
use recert_noise::Stream;
use recert_num::{Alpha, LowerBound, Sigma};

use crate::bound::{self, Conclusion, PairBound, Pairs, Shares};
use crate::certify::{self, FromScratch};
use crate::run::{Collect, Run, collect_but, level, series};
use crate::{Error, ErrorKind, Outcome};

/// Incremental randomized smoothing certification [Ugare et al. 2024,
/// Algorithm 2], with its error accounted for over both branches.
///
/// The proof rests on three events that are fixed before any answer of h is seen, with
/// shares of alpha that sum to at most alpha: f's probability is at least its Clopper-Pearson
/// bound from all n samples; the probability of disagreement is at most zeta; h's probability
/// is at least its Clopper-Pearson bound from its m samples. Where all three hold, both
/// branches are right, and so is any choice between them (`SOUNDNESS.md`, section 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Irs {
    /// Where f's bound is at least gamma, the bound from h's own counts is tried first; below
    /// gamma, the bound by zeta. If the first does not certify, the other is tried.
    pub gamma: f64,
}

/// A method that certifies h from the first m samples.
#[derive(Debug, Clone, Copy)]
pub enum Method {
    /// Incremental randomized smoothing certification.
    Irs(Irs),
    /// A bound from the pairs.
    Pairs(&'static dyn PairBound),
    /// Certifying h from scratch on the same samples, without pairs. The class, and the split of
    /// alpha, are from f's selection samples, so that h needs none.
    Direct(Sides),
}

/// The settings of [`recertify`].
#[derive(Debug, Clone)]
pub struct Recertify {
    /// Numbers of h's samples, ascending; there is one certificate for each.
    pub samples: Vec<u64>,
    /// Total failure probability of each certificate.
    pub alpha: Alpha,
    /// The methods; there is one certificate for each.
    pub methods: Vec<Method>,
}

impl Method {
    /// The method's name in ledgers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Irs(_) => "irs",
            Self::Pairs(bound) => bound.name(),
            Self::Direct(_) => "direct",
        }
    }

    /// The parameters of the claim of a method from pairs, whose shares of alpha these are.
    fn parameters(self, shares: &[Alpha]) -> Parameters {
        match self {
            Self::Irs(irs) => irs.parameters(shares),
            Self::Pairs(bound) => bound.parameters(shares),
            Self::Direct(_) => unreachable!("this method uses h's own samples, not pairs"),
        }
    }

    /// The weights by which alpha is split between the method's events.
    pub fn weights(self) -> Vec<f64> {
        match self {
            Self::Irs(_) => Irs::SHARES.to_vec(),
            Self::Pairs(bound) => bound.weights().to_vec(),
            Self::Direct(sides) => Shares::most_uneven(sides).to_vec(),
        }
    }
}

/// The positions of the inputs on which f has answered all n samples, ascending. Those on
/// which their number was up to the answers ([`stopped_inputs`]) are not among them.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_smooth::{Run, Sides, Silent, Threads, finished_inputs};
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
/// // Inputs 0, 4 and 9 have been certified.
/// assert_eq!(finished_inputs(&ledger)?, [0, 4, 9]);
/// # Ok(())
/// # }
/// ```
pub fn finished_inputs(ledger: &Ledger) -> Result<Vec<u32>, Error> {
    let stopped = stopped_inputs(ledger)?;
    let mut finished = Vec::new();
    for input in ledger.inputs()? {
        if stopped.contains(&input.idx) {
            continue;
        }
        let series = series(ledger.base(), input.idx, Stream::Certify);
        let complete = ledger
            .answered(series)?
            .first()
            .is_some_and(|range| range.start == 0 && range.end >= ledger.header().n);
        if complete {
            // The selection samples come first.
            if ledger.selection(ledger.base(), input.idx)?.is_none() {
                let message = format!(
                    "ledger {}: is damaged: input {} has answers on its estimation samples, and \
                     none on its selection samples (`recert check` lists what is wrong)",
                    ledger.path().display(),
                    input.idx
                );
                return Err(Error::new(ErrorKind::Data, message));
            }
            finished.push(input.idx);
        }
    }
    Ok(finished)
}

/// The positions of the inputs on which f's answers decided how many samples there are: those
/// of a ledger of [`certify_until`](crate::certify_until) that are not certified from n samples
/// besides, whether they stopped early, ran to n, or are not done.
///
/// Among such inputs, those that ran to n are selected by f's answers. A table of them alone
/// would be one of inputs on which f's samples came out badly or, just within the radius, well.
/// So all of them are recertified or abstained on, from samples of h that f has no part in.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::Radius;
/// use recert_smooth::{Run, Silent, Threads, certify_until, finished_inputs, stopped_inputs};
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// let _ = certify_until(&mut run, &[0, 9], Radius::new(0.1)?)?;
/// assert_eq!(stopped_inputs(&ledger)?.into_iter().collect::<Vec<_>>(), [0, 9]);
/// assert!(finished_inputs(&ledger)?.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Of reading the ledger.
pub fn stopped_inputs(ledger: &Ledger) -> Result<BTreeSet<u32>, Error> {
    let (mut until, mut fixed) = (false, BTreeSet::new());
    for certificate in ledger.certificates(ledger.base())? {
        match certificate.claim.method() {
            "until" => until = true,
            "certify" => {
                fixed.insert(certificate.idx);
            }
            _ => {}
        }
    }
    if !until {
        return Ok(BTreeSet::new());
    }
    let mut stopped = BTreeSet::new();
    for input in ledger.inputs()? {
        if !fixed.contains(&input.idx) && ledger.selection(ledger.base(), input.idx)?.is_some() {
            stopped.insert(input.idx);
        }
    }
    Ok(stopped)
}

/// Recertifies each of the workers' networks on the inputs at positions `inputs`, which must
/// be [finished](finished_inputs) or [stopped](stopped_inputs) in the ledger. On inputs that
/// stopped, [`Method::Direct`] takes h's own samples as on any other; every other method has no
/// bound of f there, evaluates nothing, and abstains. The networks share one pass over the samples;
/// the certificates of one network do not depend on the others. Samples that a network has
/// answered already are not evaluated again.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::Alpha;
/// use recert_smooth::bound::Paired;
/// use recert_smooth::{Method, Outcome, Recertify, Run, Sides, Silent, Threads, recertify};
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
/// // The ledger has inputs 0, 4 and 9, certified.
/// let network = ledger.add_network(&network("dimmer"))?;
/// let mut h = Threads::new([(network, brighter_than(0.48))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut h,
///     observer: &mut Silent,
/// };
/// let settings = Recertify {
///     samples: vec![100],
///     alpha: Alpha::new(0.002)?,
///     methods: vec![Method::Pairs(&Paired)],
/// };
/// assert_eq!(recertify(&mut run, &[0, 9], &settings)?, Outcome::Finished);
/// assert_eq!(ledger.certificates(network)?[1].evaluations, 100);
/// # Ok(())
/// # }
/// ```
pub fn recertify(
    run: &mut Run<'_>,
    inputs: &[u32],
    settings: &Recertify,
) -> Result<Outcome, Error> {
    let header = run.ledger.header();
    let n = header.n;
    let largest = settings.samples.iter().copied().max().unwrap_or(0);
    if largest == 0 || largest > n || settings.samples.contains(&0) {
        return Err(Error::parameter(format!(
            "n_p must be between 1 and n = {n}, the number of f's samples, but is {largest}"
        )));
    }
    let direct = (settings.methods.iter()).any(|method| matches!(method, Method::Direct(_)));
    let stopped = stopped_inputs(run.ledger)?;
    let without = if direct { &BTreeSet::new() } else { &stopped };
    let needed = Collect {
        stream: Stream::Certify,
        samples: largest,
        selection: 0,
        margins: false,
    };
    collect_but(
        run,
        inputs,
        &needed,
        without,
        &mut |ledger, network, idx| {
            let mut certificates = Vec::new();
            for &method in &settings.methods {
                certificates.extend(match method {
                    Method::Direct(sides) => {
                        let direct = FromScratch {
                            network,
                            samples: &settings.samples,
                            alpha: settings.alpha,
                            sides,
                            class_of: Some(ClassOf::Original),
                            method: Parameters::Direct,
                        };
                        certify::conclude(ledger, idx, &direct)?
                    }
                    _ if stopped.contains(&idx) => abstain(ledger, idx, settings, method)?,
                    _ => conclude_pairs(ledger, (network, idx), settings, method)?,
                });
            }
            Ok(certificates)
        },
    )
}

/// The abstentions of a method from pairs on an input on which f stopped, one for each number
/// of samples.
fn abstain(
    ledger: &Ledger,
    idx: u32,
    settings: &Recertify,
    method: Method,
) -> Result<Vec<Certificate>, Error> {
    let sigma = Sigma::new(ledger.header().sigma)?;
    let shares = level(ledger.header(), settings.alpha, ledger.header().n)?;
    let shares = shares.split(&method.weights())?;
    let class = selected(ledger, idx)?;
    let f_series = series(ledger.base(), idx, Stream::Certify);
    let n = first_answered(ledger, f_series)?;
    let k = certify::count(&ledger.answer_counts(f_series, n)?.0, class);
    let abstention = |&m: &u64| {
        let claim = certify::claim(
            ledger.header(),
            method.parameters(&shares),
            m,
            settings.alpha,
        );
        let conclusion = Conclusion::one_sided(class, LowerBound::ZERO, sigma, "none")?;
        let evidence = Evidence::Stopped { class, k, n };
        Ok(certify::certificate(
            idx,
            claim,
            &conclusion,
            evidence,
            0,
            0,
        ))
    };
    settings.samples.iter().map(abstention).collect()
}

/// How many of the first samples of a series are answered.
pub(crate) fn first_answered(ledger: &Ledger, series: Series) -> Result<u64, Error> {
    let answered = ledger.answered(series)?;
    let first = answered.first().filter(|range| range.start == 0);
    Ok(first.map_or(0, |range| range.end))
}

/// The class that f's selection samples selected on an input.
fn selected(ledger: &Ledger, idx: u32) -> Result<u16, Error> {
    let selection = ledger.selection(ledger.base(), idx)?;
    let selection = selection
        .ok_or_else(|| Error::parameter(format!("input {idx} is not certified in the ledger")))?;
    Ok(selection.class)
}

/// The certificates of h on input `idx` from pairs, one for each number of samples.
fn conclude_pairs(
    ledger: &Ledger,
    (network, idx): (NetworkId, u32),
    settings: &Recertify,
    method: Method,
) -> Result<Vec<Certificate>, Error> {
    let n = ledger.header().n;
    let sigma = Sigma::new(ledger.header().sigma)?;
    let alpha = level(ledger.header(), settings.alpha, n)?;
    let class = selected(ledger, idx)?;
    let f_series = series(ledger.base(), idx, Stream::Certify);
    let k = certify::count(&ledger.answer_counts(f_series, n)?.0, class);
    settings
        .samples
        .iter()
        .map(|&m| {
            let (mut pairs, mut micros) = (Pairs::default(), 0);
            for h in ledger.blocks(series(network, idx, Stream::Certify), 0..m)? {
                let h = h?;
                let samples = h.first..h.first + h.codes.classes.len() as u64;
                let (f, _) = ledger.answers_in(f_series, samples)?;
                pairs.add(&f.classes, &h.codes.classes, class);
                micros += h.micros;
            }
            let shares = alpha.split(&method.weights())?;
            let parameters = method.parameters(&shares);
            let (conclusion, zeta) = match method {
                Method::Irs(irs) => {
                    let (conclusion, zeta) = irs.conclude(class, k, n, &pairs, alpha, sigma)?;
                    (conclusion, Some(zeta))
                }
                Method::Pairs(bound) => {
                    let p_lower = bound.lower(k, n, &pairs, &shares)?;
                    let conclusion = Conclusion::one_sided(class, p_lower, sigma, bound.name())?;
                    (conclusion, None)
                }
                Method::Direct(_) => unreachable!("this method uses h's own samples, not pairs"),
            };
            let evidence = Evidence::Pairs {
                class,
                k,
                n,
                m,
                disagreements: pairs.disagreements,
                own: pairs.own,
                lost: pairs.lost,
                gained: pairs.gained,
                invalid: pairs.invalid,
                zeta,
            };
            let claim = certify::claim(ledger.header(), parameters, m, settings.alpha);
            Ok(certify::certificate(
                idx,
                claim,
                &conclusion,
                evidence,
                m,
                micros,
            ))
        })
        .collect()
}

impl Irs {
    /// The weights by which alpha is split between f's probability, zeta, and the bound from
    /// h's own counts. The first is bounded from all n samples and needs little.
    pub const SHARES: [f64; 3] = [2.0, 9.0, 9.0];

    /// The claim's parameters, with alpha split by [`Irs::SHARES`].
    fn parameters(self, shares: &[Alpha]) -> Parameters {
        Parameters::Irs {
            alpha_f: shares[0].get(),
            alpha_zeta: shares[1].get(),
            alpha_direct: shares[2].get(),
            gamma: self.gamma,
        }
    }

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
