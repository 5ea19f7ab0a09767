//! The subject of decisions: the counts of an input that they depend on, and the shares of alpha.

use recert_num::Alpha;
use serde::{Deserialize, Serialize};

use super::{ByCell, Design, Outlook, Rates};
use crate::Error;
use crate::bound::Beta;

/// The shares of alpha in a recertification by `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Failure probability of the event about f, in bounds that have one event about f and one
    /// about h.
    #[serde(with = "crate::serial::alpha")]
    pub f: Alpha,
    /// Failure probability of the event about h in such bounds.
    #[serde(with = "crate::serial::alpha")]
    pub h: Alpha,
    /// Failure probability of a bound that consists of a single event, and of those from fresh
    /// samples alone.
    #[serde(with = "crate::serial::alpha")]
    pub whole: Alpha,
}

/// More candidates are a mistake: alpha would be divided by their number, and so is the
/// memory that dividing it takes.
const MOST_CANDIDATES: u32 = 1 << 16;

impl Levels {
    /// Splits alpha: a tenth for f, whose probability is bounded from all n samples, and the
    /// rest for h. If h is one of `among` candidates of which one will be chosen by the
    /// results, alpha is first divided by their number. The event about f is not shared by
    /// the candidates: which one a candidate needs depends on its own rates.
    ///
    /// ```
    /// use recert_num::Alpha;
    /// use recert_smooth::budget::Levels;
    ///
    /// let levels = Levels::new(Alpha::new(0.002)?, 2)?;
    /// assert!(levels.whole.get() <= 0.001);
    /// assert!(levels.f.get() + levels.h.get() <= 0.001);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a share is below what the bounds are proved for, or `among` is 0 or above 65,536.
    pub fn new(alpha: Alpha, among: u32) -> Result<Self, Error> {
        if among == 0 {
            return Err(Error::parameter(
                "the number of candidates must be at least 1",
            ));
        }
        if among > MOST_CANDIDATES {
            return Err(Error::parameter(format!(
                "the number of candidates is {among}, of at most {MOST_CANDIDATES}"
            )));
        }
        let weights = [1.0, 9.0].repeat(among as usize);
        let shares = alpha.split(&weights)?;
        Ok(Self {
            f: shares[0],
            h: shares[1],
            whole: alpha.split(&vec![1.0; among as usize])?[0],
        })
    }
}

/// The counts of an input that decisions about it depend on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The number of votes: f's answers on the selection samples and on the early samples (the
    /// first [`early`] estimation samples, on which h never runs).
    pub votes: u64,
    /// Votes for c.
    pub favour: u64,
    /// Votes for the runner-up.
    pub rival: u64,
    /// f's late samples, those that are not early.
    pub n: u64,
    /// Late samples that f answered with c.
    pub k: u64,
    /// Whether f's answers decided how many samples there are
    /// ([`stopped_inputs`](crate::stopped_inputs)). Then `votes` are the selection samples alone,
    /// only fresh samples prove anything, and no sample is in a cell.
    pub stopped: bool,
    /// The samples that `k` is a count of: the late ones, or all that f answered where it
    /// stopped.
    pub held: u64,
    /// Late samples in each cell; all 0 where the ledger has no margins.
    pub cells: ByCell<u64>,
    /// Pilot samples: the first late samples that f answered with c.
    pub pilot: u64,
    /// Pilot samples in each cell.
    pub piloted: ByCell<u64>,
}

/// How many of f's `n` estimation samples are early. f's answers on them are votes, which
/// decisions look at first, and h never runs on them.
///
/// ```
/// assert_eq!(recert_smooth::budget::early(10_000), 312);
/// ```
#[must_use]
pub fn early(n: u64) -> u64 {
    n / EARLY
}

/// One in this many samples is early.
const EARLY: u64 = 32;

impl Subject {
    /// The subject with the counts that the votes alone predict in place of those of the late
    /// samples, for decisions that must not look at a late code.
    #[must_use]
    pub fn by_votes(self) -> Self {
        let cells = Rates::samples(self.q0(), self.n);
        let pilot = |samples: u64| (samples as f64 / self.n as f64 * self.pilot as f64) as u64;
        Self {
            k: ((1.0 - self.q0()) * self.n as f64) as u64,
            held: self.n,
            cells,
            piloted: cells.map(pilot),
            ..self
        }
    }

    /// `P(f != c)`, estimated from the votes.
    pub(crate) fn q0(self) -> f64 {
        ((self.votes - self.favour) as f64 + 0.5) / (self.votes as f64 + 1.0)
    }

    /// `P(f != c)`, estimated from the late samples, or from all where f stopped.
    pub(crate) fn q(self) -> f64 {
        ((self.held - self.k) as f64 + 0.5) / (self.held as f64 + 1.0)
    }

    /// The votes for the class, and all votes, by which the pilot is sized: there is none where
    /// f stopped, as no design there takes what it evaluates.
    pub(crate) fn ballot(self) -> (u64, u64) {
        (if self.stopped { 0 } else { self.favour }, self.votes)
    }

    /// What to expect of pairs by f's codes and the rates.
    pub(crate) fn outlook(self, rates: &Rates) -> Outlook {
        Outlook::new(self.n, self.cells, rates, self.q())
    }

    /// The Beta prior of an anytime-valid bound for the probability that h does not answer c:
    /// from f's votes on fresh samples, from the rates on samples that f answered with c.
    ///
    /// # Errors
    /// None for rates in their range.
    pub fn prior(self, design: Design, rates: &Rates) -> Result<Beta, Error> {
        match design {
            Design::Fresh { .. } => Beta::new(
                (self.votes - self.favour) as f64 + 0.5,
                self.favour as f64 + 0.5,
            ),
            _ => Beta::new(0.5, 0.5 / rates.lost(self.q()).max(1e-7)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_number_of_candidates_is_refused() {
        let alpha = Alpha::new(0.01).unwrap();
        assert!(Levels::new(alpha, MOST_CANDIDATES).is_ok());
        for among in [0, MOST_CANDIDATES + 1, u32::MAX] {
            let error = Levels::new(alpha, among).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Parameter, "{among}");
        }
    }
}
