//! Certifying each input until a given radius is reached.
//!
//! The answers are evaluated after fixed numbers of samples, by a bound that holds at all of
//! them at once ([`bound::anytime`]). An input is done when it is certified at the radius,
//! when the bound of all other answers shows that it never will be, or when all n samples are
//! used up.

use std::collections::BTreeSet;

use recert_ledger::{
    Certificate, Evidence, INVALID, Input, Ledger, NetworkId, Parameters, Selection,
};
use recert_noise::Stream;
use recert_num::{Alpha, Radius, Sigma, normal_cdf_lower};

use crate::bound::{self, Beta, Conclusion};
use crate::certify::{self, samples_needed};
use crate::run::{Collect, Run, collect, level, series};
use crate::{Error, Observer, Outcome};

/// The numbers of samples after which the answers on an input are evaluated: 32, then 15 %
/// more each time, and n at the end.
pub(crate) fn looks(n: u64) -> Vec<u64> {
    let mut looks = Vec::new();
    let mut next = 32;
    while next < n {
        looks.push(next);
        next = next * 23 / 20;
    }
    looks.push(n);
    looks
}

/// Certifies each of the inputs at positions `inputs` until its radius is at least `radius`,
/// or it is clear that it will not be, with at most the ledger's n samples. The certificate
/// states whatever radius was proved at that point.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::Radius;
/// use recert_smooth::{Outcome, Run, Silent, Threads, certify_until};
///
/// let mut ledger = Ledger::create(&path, &header())?;
/// let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut f,
///     observer: &mut Silent,
/// };
/// let outcome = certify_until(&mut run, &[9], Radius::new(0.1)?)?;
/// assert_eq!(outcome, Outcome::Finished);
/// let certificates = ledger.certificates(ledger.base())?;
/// assert!(certificates[0].radius >= 0.1);
/// assert!(certificates[0].evaluations < 520, "fewer than all samples are enough");
/// # Ok(())
/// # }
/// ```
pub fn certify_until(run: &mut Run<'_>, inputs: &[u32], radius: Radius) -> Result<Outcome, Error> {
    run.base_alone()?;
    let mut left: BTreeSet<u32> = inputs.iter().copied().collect();
    let needed = samples_needed(run.ledger);
    let mut observer = AcrossRounds {
        most: inputs.len() as u64 * (needed.samples + needed.selection),
        observer: run.observer,
        started: false,
    };
    let mut run = Run {
        ledger: run.ledger,
        inputs: run.inputs,
        workers: run.workers,
        observer: &mut observer,
    };
    for samples in looks(needed.samples) {
        let now: Vec<u32> = inputs
            .iter()
            .copied()
            .filter(|i| left.contains(i))
            .collect();
        if now.is_empty() {
            break;
        }
        let first = Collect { samples, ..needed };
        let outcome = collect(&mut run, &now, &first, &mut |ledger, _, idx| {
            let certificate = look(ledger, idx, samples, radius)?;
            if certificate.is_some() {
                left.remove(&idx);
            }
            Ok(certificate.into_iter().collect())
        })?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Finished)
}

/// Presents several rounds of collecting to an observer as one run.
pub(crate) struct AcrossRounds<'a> {
    pub(crate) observer: &'a mut dyn Observer,
    /// The largest number of evaluations that all rounds together can take.
    pub(crate) most: u64,
    pub(crate) started: bool,
}

impl Observer for AcrossRounds<'_> {
    fn start(&mut self, _evaluations: u64, done: u64) {
        if !self.started {
            self.observer.start(self.most, done);
            self.started = true;
        }
    }

    fn evaluated(&mut self, evaluations: u64) {
        self.observer.evaluated(evaluations);
    }

    fn concluded(&mut self, network: NetworkId, input: &Input, certificates: &[Certificate]) {
        if !certificates.is_empty() {
            self.observer.concluded(network, input, certificates);
        }
    }

    fn stop(&self) -> bool {
        self.observer.stop()
    }
}

/// The Beta prior for the probability of an answer other than the class, from the selection
/// samples.
fn prior(selection: &Selection) -> Result<Beta, Error> {
    let votes = selection.counts.get(&selection.class).copied().unwrap_or(0);
    Beta::new((selection.samples - votes) as f64 + 0.5, votes as f64 + 0.5)
}

/// The certificate of an input after its first `samples` samples, if the run stops there.
fn look(
    ledger: &Ledger,
    idx: u32,
    samples: u64,
    radius: Radius,
) -> Result<Option<Certificate>, Error> {
    let header = ledger.header();
    let sigma = Sigma::new(header.sigma)?;
    let alpha = Alpha::new(header.alpha)?;
    let share = level(header, alpha, header.n)?;
    let series = series(ledger.base(), idx, Stream::Certify);
    let selection = ledger.selection(ledger.base(), idx)?.ok_or_else(|| {
        Error::parameter(format!(
            "input {idx} has no selection samples in the ledger"
        ))
    })?;
    let (answered, micros) = ledger.answer_counts(series, samples)?;
    let (class, prior) = (selection.class, prior(&selection)?);
    let k = certify::count(&answered, class);
    let found = bound::anytime(k, samples, prior, share)?;
    let conclusion = Conclusion::one_sided(class, found.p_lower, sigma, "mixture")?;
    let certified = match conclusion.verdict {
        bound::Verdict::Certified { radius: found, .. } => found.get() >= radius.get(),
        bound::Verdict::Abstained => false,
    };
    // Whether the class is too rare to be certified at the radius, by an upper bound of its
    // probability. A wrong decision here can cost a certificate but not make one false.
    let others = bound::anytime(
        samples - k,
        samples,
        Beta::new(prior.b(), prior.a())?,
        share,
    )?;
    let needed = normal_cdf_lower((radius.get() / sigma.get()).min(37.0))?;
    let hopeless = 1.0 - others.p_lower.get() < needed.get();
    if !(certified || hopeless || samples == header.n) {
        return Ok(None);
    }
    let evidence = Evidence::Until {
        class,
        k,
        n: samples,
        invalid: certify::count(&answered, INVALID),
        prior: [prior.a(), prior.b()],
        witness: found.witness,
    };
    let parameters = Parameters::Until {
        alpha_any: share.get(),
        until: radius.get(),
    };
    Ok(Some(certify::certificate(
        idx,
        certify::claim(header, parameters, header.n, alpha),
        &conclusion,
        evidence,
        selection.samples + samples,
        selection.micros + micros,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_end_with_n() {
        assert_eq!(looks(20), [20]);
        assert_eq!(looks(50), [32, 36, 41, 47, 50]);
        assert!(looks(100_000).len() < 62);
    }
}
