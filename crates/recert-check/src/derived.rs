//! What a certificate is derived from, and what comes of it.

use std::collections::BTreeMap;

use recert_num::{Alpha, LowerBound, Radius, Sigma, UpperBound};
use serde_json::Value as Json;

use crate::answers::Answers;
use crate::arithmetic::Proved;
use crate::free::Free;
use crate::tables::{Run, Selection, Tables};

/// What a certificate is derived from.
pub(crate) struct Context<'a> {
    pub(crate) run: &'a Run,
    pub(crate) tables: &'a Tables,
    pub(crate) answers: &'a Answers,
    /// The network the certificate is of.
    pub(crate) network: i64,
    /// The samples that the claim states.
    pub(crate) samples: u64,
    /// What the stored counts record that was free to be chosen.
    pub(crate) free: Free,
    /// The stored name of the bound, as SQL would show it, for the same.
    pub(crate) bound: String,
    /// The stored bound, where the prover rounds on the way.
    pub(crate) p_lower: Option<f64>,
    /// Whether no class is stored, for a test whose two forms differ by rounding.
    pub(crate) abstains: bool,
}

/// A certificate as it should be.
#[derive(Debug)]
pub(crate) struct Derived {
    pub(crate) counts: Json,
    /// `None` for an abstention.
    pub(crate) class: Option<u16>,
    pub(crate) radius: f64,
    pub(crate) p_lower: Bound,
    pub(crate) bound: &'static str,
    pub(crate) evaluations: u64,
    /// The time, where it is the sum of what the ledger holds whole.
    pub(crate) micros: Option<u64>,
    /// Answers counted.
    pub(crate) samples: u64,
}

/// What `p_lower` should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// NULL.
    Nothing,
    /// This number: prover and checker round alike.
    Exactly(f64),
    /// One that this covers.
    Below(Proved),
}

/// The field that keeps a certificate from being derived, and why.
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

    /// The time that the answers of a network on a stream took, if they are so
    /// many and no more.
    pub(crate) fn micros(&self, network: i64, stream: u32, samples: u64) -> Option<u64> {
        let series = self.answers.series(network, stream)?;
        (series.samples.len() as u64 == samples).then_some(series.micros)
    }

    pub(crate) fn sigma(&self) -> Result<Sigma, Wrong> {
        Sigma::new(self.run.sigma).map_err(numbers)
    }

    /// Class and radius where the prover's bound is one that `most` covers: from
    /// the stored one if it is, so that its rounding is allowed for once.
    pub(crate) fn certified_below(
        &self,
        class: u16,
        most: Proved,
    ) -> Result<(Option<u16>, f64), Wrong> {
        let p = self.p_lower.filter(|&p| most.covers(p));
        one_sided(class, p.unwrap_or(most.bound), self.sigma()?)
    }
}

/// What was free to be chosen; `form` is what it has to be.
pub(crate) fn given<T>(value: Option<T>, form: &str) -> Result<T, Wrong> {
    value.ok_or_else(|| ("counts", form.to_owned()))
}

/// A number of samples that was free to be chosen, at most `most`.
pub(crate) fn at_most(count: Option<u64>, name: &str, most: u64) -> Result<u64, Wrong> {
    let count = count.filter(|count| *count <= most);
    count.ok_or_else(|| ("counts", format!("{name}, a count of at most {most}")))
}

pub(crate) fn missing(what: impl std::fmt::Display) -> Wrong {
    ("", format!("none: the ledger lacks {what}"))
}

/// A bound that cannot be computed.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn numbers(why: recert_num::Error) -> Wrong {
    ("", format!("none: {why}"))
}

pub(crate) fn alpha(value: f64) -> Result<Alpha, Wrong> {
    Alpha::new(value).map_err(numbers)
}

/// How often a class was answered.
pub(crate) fn count(answers: &[u16], class: u16) -> u64 {
    answers.iter().filter(|&&answer| answer == class).count() as u64
}

/// Class and radius from bounds of the class and of every other.
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
