//! What a certificate is derived from, and the derived certificate.

use std::collections::BTreeMap;

use recert_num::{Alpha, LowerBound, Radius, Sigma, UpperBound};
use serde_json::Value as Json;

use crate::answers::Answers;
use crate::arithmetic::Proved;
use crate::free::FreeParameters;
use crate::tables::{Run, Selection, Tables};

/// What a certificate is derived from.
pub(crate) struct Context<'a> {
    pub(crate) run: &'a Run,
    pub(crate) tables: &'a Tables,
    pub(crate) answers: &'a Answers,
    /// The network that the certificate is about.
    pub(crate) network: i64,
    /// The number of samples that the claim states.
    pub(crate) samples: u64,
    /// The free parameters in the stored counts.
    pub(crate) free: FreeParameters,
    /// The stored name of the bound, quoted as SQL shows it; which bound was used is free too.
    pub(crate) bound: String,
    /// The stored bound, for bounds in which the prover's rounding is allowed for.
    pub(crate) p_lower: Option<f64>,
    /// Whether the ledger's network has certificates by `until`: where it stopped, its answers
    /// decided how many there are.
    pub(crate) stops: bool,
    /// Whether an abstention is stored, for a test whose two forms differ by rounding.
    pub(crate) abstains: bool,
}

/// A certificate as the checker derives it.
#[derive(Debug)]
pub(crate) struct Derived {
    pub(crate) counts: Json,
    /// `None` for an abstention.
    pub(crate) class: Option<u16>,
    pub(crate) radius: f64,
    pub(crate) p_lower: Bound,
    pub(crate) bound: &'static str,
    pub(crate) evaluations: u64,
    /// The time, where the certificate uses everything that was timed.
    pub(crate) micros: Option<u64>,
    /// Answers counted.
    pub(crate) samples: u64,
}

/// The derived `p_lower`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// NULL.
    Nothing,
    /// Exactly this number, since prover and checker round alike.
    Exactly(f64),
    /// Any number that this proved bound covers.
    Below(Proved),
}

/// A field that keeps a claim or a certificate from being derived, and what it should hold.
pub(crate) type Wrong = (&'static str, String);

impl Context<'_> {
    pub(crate) fn selection(&self, network: i64) -> Result<&Selection, Wrong> {
        let found = (self.tables.selections).get(&(network, self.answers.idx));
        found.ok_or_else(|| missing(format!("the selection samples of network {network}")))
    }

    /// The classes of a network on the first samples of a stream.
    pub(crate) fn first(&self, network: i64, stream: u32, samples: u64) -> Result<&[u16], Wrong> {
        let series = self.answers.series(network, stream);
        let found = series.and_then(|series| series.first(samples));
        found.ok_or_else(|| {
            missing(format!(
                "answers of network {network} on the first {samples} samples of stream {stream}"
            ))
        })
    }

    /// The time that the answers of a network on a stream took, if there are exactly this many.
    pub(crate) fn micros(&self, network: i64, stream: u32, samples: u64) -> Option<u64> {
        let series = self.answers.series(network, stream)?;
        (series.samples.len() as u64 == samples).then_some(series.micros)
    }

    pub(crate) fn sigma(&self) -> Result<Sigma, Wrong> {
        Sigma::new(self.run.sigma).map_err(numbers)
    }

    /// Class and radius for a bound in which the prover's rounding is allowed for. They follow
    /// from the stored bound if `proved` covers it, so that the allowance is made once.
    pub(crate) fn certified_below(
        &self,
        class: u16,
        proved: Proved,
    ) -> Result<(Option<u16>, f64), Wrong> {
        let p = self.p_lower.filter(|&p| proved.covers(p));
        one_sided(class, p.unwrap_or(proved.bound), self.sigma()?)
    }
}

/// A free parameter that must be recorded; `form` describes it for the violation.
pub(crate) fn recorded<T>(value: Option<T>, form: &str) -> Result<T, Wrong> {
    value.ok_or_else(|| ("counts", form.to_owned()))
}

/// A free number of samples that must be recorded and be at most `most`.
pub(crate) fn at_most(count: Option<u64>, name: &str, most: u64) -> Result<u64, Wrong> {
    let count = count.filter(|count| *count <= most);
    count.ok_or_else(|| ("counts", format!("{name}, a count of at most {most}")))
}

/// The certificate cannot be derived, since the ledger lacks something.
pub(crate) fn missing(lacking: impl std::fmt::Display) -> Wrong {
    (
        "",
        format!("no certificate, since the ledger lacks {lacking}"),
    )
}

/// The certificate cannot be derived, since a bound cannot be computed.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn numbers(why: recert_num::Error) -> Wrong {
    (
        "",
        format!("no certificate, since its bound cannot be computed: {why}"),
    )
}

pub(crate) fn alpha(value: f64) -> Result<Alpha, Wrong> {
    Alpha::new(value).map_err(numbers)
}

/// How often a class was answered.
pub(crate) fn count(answers: &[u16], class: u16) -> u64 {
    answers.iter().filter(|&&answer| answer == class).count() as u64
}

/// Class and radius from bounds of the class's probability and of every other class's.
pub(crate) fn two_sided(
    class: u16,
    (p, q): (LowerBound, UpperBound),
    sigma: Sigma,
) -> Result<(Option<u16>, f64), Wrong> {
    let radius = Radius::two_sided(sigma, p, q).map_err(numbers)?;
    Ok(radius.map_or((None, 0.0), |radius| (Some(class), radius.get())))
}

/// How often each answer was given.
pub(crate) fn tally<'a>(answers: impl Iterator<Item = &'a u16>) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for &answer in answers {
        *counts.entry(answer).or_default() += 1;
    }
    counts
}

/// Class and radius from a lower bound of the class's probability alone.
pub(crate) fn one_sided(class: u16, p: f64, sigma: Sigma) -> Result<(Option<u16>, f64), Wrong> {
    let p = LowerBound::new(p).map_err(numbers)?;
    let radius = Radius::one_sided(sigma, p).map_err(numbers)?;
    Ok(radius.map_or((None, 0.0), |radius| (Some(class), radius.get())))
}
