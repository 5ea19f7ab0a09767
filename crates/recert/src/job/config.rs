//! What to run, as plain values; each is checked before anything is written.

use std::str::FromStr;

use recert_ledger::{Ledger, Shard};
use recert_noise::Law;
use recert_num::{Alpha, MAX_ALPHA, MIN_ALPHA, Radius, Sigma};
use recert_smooth::Sides;
use recert_smooth::bound::Shares;

use super::whole::whole;
use crate::{Error, ErrorKind, Field, Result};

/// The largest number of workers: each takes memory, and some time to start.
const MOST_THREADS: usize = 1024;

/// How to go about a run; no answer depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// Workers, each computing on one thread; by default one per core, or two on
    /// another device than the processor.
    pub threads: Option<usize>,
    /// Images in one call of the engine; by default the fastest by a short
    /// measurement, or 32 where answers may depend on it.
    pub batch: Option<usize>,
    /// Run a part of the inputs, which other processes complete into ledgers of their own;
    /// [`merge`](super::merge()) unites these.
    pub shard: Option<Shard>,
}

/// Which inputs of a data set: every k-th from an offset on, up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubsetConfig {
    /// The distance between the positions of two inputs; 1 takes all.
    pub every: u32,
    /// The position of the first input, from 0.
    pub offset: u32,
    /// The most inputs; all if there is none.
    pub limit: Option<u32>,
}

impl Default for SubsetConfig {
    /// All inputs.
    fn default() -> Self {
        Self {
            every: 1,
            offset: 0,
            limit: None,
        }
    }
}

/// How to certify a network from scratch.
#[derive(Debug, Clone, PartialEq)]
pub struct CertifyConfig {
    /// Standard deviation of the noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// Probability that a radius is wrong.
    pub alpha: f64,
    /// Estimation samples per input: they bound the class's probability.
    pub n: u64,
    /// Selection samples per input: they choose the class.
    pub n0: u64,
    /// Whether to bound the runner-up's probability too.
    pub sides: Sides,
    /// Stop an input as soon as it is certified at this radius, in units of pixels in
    /// [0, 1], or cannot be.
    pub until_radius: Option<f64>,
    /// Seed of the noise.
    pub seed: u64,
    /// The law of the noise.
    pub noise: Law,
    /// Which inputs.
    pub subset: SubsetConfig,
    /// How to go about it.
    pub run: RunConfig,
}

impl CertifyConfig {
    /// n = 100,000, n0 = 100, alpha = 0.001, two-sided, on all inputs.
    pub fn new(sigma: f64) -> Self {
        Self {
            sigma,
            alpha: 0.001,
            n: 100_000,
            n0: 100,
            sides: Sides::Two,
            until_radius: None,
            seed: 0,
            noise: Law::Gaussian,
            subset: SubsetConfig::default(),
            run: RunConfig::default(),
        }
    }

    /// Checks all that can be checked without network and data.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`], naming the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.radius()?;
        alpha(self.alpha, Shares::most_uneven(self.sides))?;
        samples(Field::N, self.n)?;
        samples(Field::N0, self.n0)?;
        noise(self.noise, self.sigma)?;
        self.run.validate()
    }

    pub(super) fn radius(&self) -> Result<Option<Radius>> {
        let until = self.until_radius;
        until.map(|r| radius(Field::UntilRadius, r)).transpose()
    }
}

/// How to predict with the smoothed network.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictConfig {
    /// Standard deviation of the noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// Probability that a predicted class is wrong.
    pub alpha: f64,
    /// Samples per input.
    pub n: u64,
    /// Seed of the noise.
    pub seed: u64,
    /// The law of the noise.
    pub noise: Law,
    /// Which inputs.
    pub subset: SubsetConfig,
    /// How to go about it.
    pub run: RunConfig,
}

impl PredictConfig {
    /// n = 1,000, alpha = 0.001, on all inputs.
    pub fn new(sigma: f64) -> Self {
        Self {
            sigma,
            alpha: 0.001,
            n: 1000,
            seed: 0,
            noise: Law::Gaussian,
            subset: SubsetConfig::default(),
            run: RunConfig::default(),
        }
    }

    /// Checks all that can be checked without network and data.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`], naming the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        // The test is two-sided: half of alpha for each side.
        alpha(self.alpha, &[1.0, 1.0])?;
        samples(Field::N, self.n)?;
        noise(self.noise, self.sigma)?;
        self.run.validate()
    }
}

/// Fails for a number of threads that there cannot be.
pub(super) fn check_threads(threads: usize) -> Result<()> {
    match threads {
        0 => Err(Error::parameter(
            Field::Threads,
            "there must be at least 1 worker",
        )),
        1..=MOST_THREADS => Ok(()),
        _ => Err(Error::parameter(
            Field::Threads,
            format!("there may be at most {MOST_THREADS} workers, but {threads} are asked for"),
        )),
    }
}

impl RunConfig {
    pub(super) fn validate(self) -> Result<()> {
        if self.batch == Some(0) {
            let message = "a batch must hold at least 1 image";
            return Err(Error::parameter(Field::Batch, message));
        }
        self.threads.map_or(Ok(()), check_threads)
    }

    /// Those of a run's inputs that this process is to do: its shard, or all.
    pub(super) fn part(self, inputs: &[u32]) -> Result<Vec<u32>> {
        let Some(shard) = self.shard else {
            return Ok(inputs.to_vec());
        };
        let part = shard.part(inputs);
        if part.is_empty() {
            let message = format!(
                "shard {shard} has no input: the run is over {}, so take at most so many shards",
                inputs.len()
            );
            return Err(Error::parameter(Field::Shard, message));
        }
        Ok(part)
    }
}

/// A number of samples: a count, or a percentage of all there could be.
///
/// ```
/// use recert::job::Amount;
///
/// assert_eq!("2.5%".parse::<Amount>()?, Amount::Percent(2.5));
/// assert_eq!("500".parse::<Amount>()?, Amount::Count(500));
/// assert_eq!("1e4".parse::<Amount>()?, Amount::Count(10_000));
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A count of samples or evaluations, at least 1.
    Count(u64),
    /// A percentage of n, or of n over all inputs: above 0, at most 100.
    Percent(f64),
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let amount = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => whole(text).ok().map(Self::Count),
        };
        amount.ok_or_else(|| {
            let message = format!("'{text}' is neither a count nor a percentage");
            Error::new(ErrorKind::Parameter, message)
        })
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Amount {
    /// How many of `n` samples these are, from 1 to all.
    pub(super) fn of(self, field: Field, n: u64) -> Result<u64> {
        let value = match self {
            Self::Count(count) => count as f64,
            Self::Percent(percent) => (percent / 100.0 * n as f64).round(),
        };
        if value >= 1.0 && value <= n as f64 {
            return Ok(value as u64);
        }
        let message = match self {
            Self::Count(count) => format!("{count} is out of the range from 1 to {n}"),
            Self::Percent(_) => {
                format!("{self} of {n} is {value}, but must be from 1 to {n}")
            }
        };
        Err(Error::parameter(field, message))
    }
}

/// A share between 0 and 1, both excluded: `0.1` or `10%`.
///
/// ```
/// use recert::job::Fraction;
///
/// assert_eq!("10%".parse::<Fraction>()?.get(), 0.1);
/// assert!("100%".parse::<Fraction>().is_err());
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction(f64);

impl Fraction {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Fraction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, unit) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent, 100.0),
            None => (text.trim(), 1.0),
        };
        match number.parse::<f64>() {
            Ok(value) if value / unit > 0.0 && value / unit < 1.0 => Ok(Self(value / unit)),
            _ => Err(Error::new(
                ErrorKind::Parameter,
                format!("'{text}' is not a share between 0 and 1, such as 10% or 0.1"),
            )),
        }
    }
}

/// A standard deviation that there is noise of.
pub(crate) fn sigma(value: f64) -> Result<Sigma> {
    let at_fault = |e: &dyn std::fmt::Display| Error::parameter(Field::Sigma, e.to_string());
    let sigma = Sigma::new(value).map_err(|e| at_fault(&e))?;
    recert_smooth::noise_sigma(sigma).map_err(|e| at_fault(&e))?;
    Ok(sigma)
}

fn noise(law: Law, value: f64) -> Result<()> {
    let sigma = sigma(value)?.get();
    law.check_sigma(sigma)
        .map_err(|e| Error::parameter(Field::Sigma, e.to_string()))
}

/// The law of a ledger's noise, which could not be made again if it were unknown.
pub(super) fn law(ledger: &Ledger) -> Result<Law> {
    if ledger.is_without_noise() {
        let message = format!(
            "ledger {}: holds verifications by bounds alone, and no samples",
            ledger.path().display()
        );
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    Law::of_generator(&ledger.header().generator).map_err(|error| {
        let message = format!("ledger {}: {error}", ledger.path().display());
        Error::new(ErrorKind::Ledger, message)
    })
}

/// A failure probability of which the bounds need `parts`, in proportion to
/// the whole: each must be one that they are proved for.
pub(crate) fn alpha(value: f64, parts: &[f64]) -> Result<Alpha> {
    let alpha = Alpha::new(value).map_err(|e| Error::parameter(Field::Alpha, e.to_string()))?;
    let bounded = |share: &Alpha| (MIN_ALPHA..=MAX_ALPHA).contains(&share.get());
    if alpha
        .split(parts)
        .is_ok_and(|shares| shares.iter().all(bounded))
    {
        return Ok(alpha);
    }
    let message = format!(
        "failure probability {value:?} is out of the range that the bounds are proved for: from \
         {MIN_ALPHA:e} to {MAX_ALPHA} for every share of it"
    );
    Err(Error::parameter(Field::Alpha, message))
}

/// A count of samples: at least 1, and within the generator's 32-bit counter.
pub(crate) fn samples(field: Field, value: u64) -> Result<u64> {
    if (1..=u64::from(u32::MAX)).contains(&value) {
        return Ok(value);
    }
    let message = format!("{field} must be from 1 to {}, but is {value}", u32::MAX);
    Err(Error::parameter(field, message))
}

/// A radius to reach, above 0.
pub(super) fn radius(field: Field, value: f64) -> Result<Radius> {
    match Radius::new(value) {
        Ok(radius) if value > 0.0 => Ok(radius),
        _ => Err(Error::parameter(
            field,
            format!("the radius must be above 0, but is {value}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_counts_or_percentages() {
        let amount = |text: &str| text.parse::<Amount>()?.of(Field::NP, 10_000);
        for (text, expected) in [("10%", 1000), ("0.5%", 50), ("250", 250), ("100%", 10_000)] {
            assert_eq!(amount(text).unwrap(), expected, "{text}");
        }
        for text in ["0", "0%", "101%", "10001", "-1", "x", "1.5", "NaN%", ""] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fractions_lie_between_0_and_1() {
        assert_eq!("10%".parse::<Fraction>().unwrap().get(), 0.1);
        assert_eq!("0.25".parse::<Fraction>().unwrap().get(), 0.25);
        for text in ["0", "1", "100%", "x", "-5%", "NaN"] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }
}
