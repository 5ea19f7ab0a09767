//! How many samples a radius, or an error, takes; and what so many give.

use recert_num::directed::div_up;
use recert_num::samples::{bound_from_samples, samples_for_radius, samples_for_width};
use recert_num::{self as num, Alpha, ErrorKind as K, LowerBound, MAX_TRIALS, Radius, Sigma};
use recert_report::samples::{
    Attained, ByRadius, BySamples, ByWidth, Need, RadiusRow, SamplesRow, WidthRow,
};

use crate::job::Fraction;
use crate::job::config;
use crate::{Error, Field, Result};

/// The shares of samples shown for a target error where none are asked for; the
/// other half of Figure 2 of Ugare et al. (ICLR 2024) mirrors this one.
const SHARES_OF_WIDTH: [f64; 13] = [
    0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 0.995, 0.999,
];

/// The same for a radius, for which a share must be above 1/2.
const SHARES_OF_RADIUS: [f64; 9] = [0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// The target error of Figure 2.
const ERROR: f64 = 0.5 / 100.0;

/// Alpha on either side of the interval, as in Figure 2.
const ALPHA_OF_WIDTH: f64 = 0.01;

/// Alpha of a radius, as certifying has it.
const ALPHA_OF_RADIUS: f64 = 0.001;

/// Radii of this many sigmas and more are all alike: no double below 1 is a
/// probability so large.
const FAR: f64 = 40.0;

/// What both questions about radii are asked for; p is the share of the samples
/// that answer the class.
#[derive(Debug, Clone, PartialEq)]
pub struct RadiusConfig {
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// Failure probability of the radius; 0.001 where none is given.
    pub alpha: Option<f64>,
    /// The shares to look at; several where none are given.
    pub p: Vec<f64>,
}

/// Samples with which the Clopper-Pearson interval for p is no wider than a
/// target error, with `alpha` (0.01 where none is given) on either side of it.
#[derive(Debug)]
pub struct Widths {
    /// The answer.
    pub answer: ByWidth,
    alpha: Alpha,
}

/// The samples for target errors, 0.5 % where none are given, at the shares `p`.
///
/// # Errors
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field.
///
/// ```
/// let widths = recert::samples::by_width(&[0.99], &["1%".parse()?], None)?;
/// assert_eq!(widths.answer.rows.len(), 1);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn by_width(p: &[f64], errors: &[Fraction], alpha: Option<f64>) -> Result<Widths> {
    if p.contains(&1.0) {
        let message = "p must be below 1 for a target error, such as 0.9999";
        return Err(Error::parameter(Field::P, message));
    }
    let errors = if errors.is_empty() {
        vec![ERROR]
    } else {
        errors.iter().map(|error| error.get()).collect()
    };
    let alpha = config::alpha(alpha.unwrap_or(ALPHA_OF_WIDTH), &[1.0])?;
    let shares = shares(p, &SHARES_OF_WIDTH)?;
    let rows = shares.iter().map(|&p| width_row(p, &errors, alpha));
    let answer = ByWidth {
        alpha: alpha.get(),
        rows: rows.collect::<Result<_>>()?,
        errors: errors.clone(),
    };
    Ok(Widths { answer, alpha })
}

impl Widths {
    /// A plot of the samples against p, as SVG.
    ///
    /// # Errors
    /// If the target error takes more samples than the bounds are proved for at
    /// some p.
    pub fn svg(&self) -> Result<String> {
        // Every half per cent, and closer to 0 and 1, where the line is steep.
        let inner = (1..200).map(|k| f64::from(k) / 200.0);
        let ends = [0.000_1, 0.001, 0.002_5];
        let curve: Result<Vec<WidthRow>> = (ends.iter().copied())
            .chain(inner)
            .chain(ends.iter().rev().map(|end| 1.0 - end))
            .map(|p| width_row(p, &self.answer.errors, self.alpha))
            .collect();
        Ok(self.answer.svg(&curve?)?)
    }
}

fn width_row(p: f64, errors: &[f64], alpha: Alpha) -> Result<WidthRow> {
    let samples = errors.iter().map(|&error| {
        samples_for_width(p, error, alpha).map_err(|e| match e.kind() {
            K::NotFound => Error::parameter(
                Field::Error,
                format!(
                    "an error of {error} takes more than {MAX_TRIALS} samples at p = {p}, which is \
                     more than the bounds are proved for: give a larger error"
                ),
            ),
            _ => e.into(),
        })
    });
    Ok(WidthRow {
        p,
        samples: samples.collect::<Result<_>>()?,
    })
}

/// The samples that certify `radii`, by p.
///
/// # Errors
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field.
///
/// ```
/// use recert::samples::{RadiusConfig, by_radius};
///
/// let config = RadiusConfig { sigma: 0.25, alpha: None, p: vec![0.99] };
/// assert_eq!(by_radius(&config, &[0.5])?.rows.len(), 1);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn by_radius(config: &RadiusConfig, radii: &[f64]) -> Result<ByRadius> {
    let (sigma, alpha) = config.check()?;
    if let Some(radius) = radii.iter().find(|r| !(r.is_finite() && **r > 0.0)) {
        let message = format!("a radius must be a number above 0, but is {radius}");
        return Err(Error::parameter(Field::Radius, message));
    }
    let row = |p: f64| -> Result<RadiusRow> {
        let needs = radii.iter().map(|r| need(p, *r, sigma, alpha));
        Ok(RadiusRow {
            p,
            limit: limit(p, sigma)?,
            needs: needs.collect::<Result<_>>()?,
        })
    };
    let rows = shares(&config.p, &SHARES_OF_RADIUS)?.into_iter().map(row);
    Ok(ByRadius {
        sigma: sigma.get(),
        alpha: alpha.get(),
        radii: radii.to_vec(),
        rows: rows.collect::<Result<_>>()?,
    })
}

fn need(p: f64, radius: f64, sigma: Sigma, alpha: Alpha) -> Result<Need> {
    // Rounded up, so that the samples are enough for no less than the radius.
    let in_sigmas = div_up(radius, sigma.get()).min(FAR);
    match samples_for_radius(p, in_sigmas, alpha) {
        Err(e) if e.kind() == K::NotFound => {
            let reachable = p == 1.0 || p > num::normal_cdf_upper(in_sigmas)?.get();
            Ok(if reachable {
                Need::TooMany
            } else {
                Need::NotReachable
            })
        }
        result => Ok(Need::Samples(result?)),
    }
}

/// The radius that samples of which a share `p` are of the class come ever closer to
/// as they become more, rounded down.
fn limit(p: f64, sigma: Sigma) -> Result<Option<f64>> {
    if p == 1.0 {
        return Ok(None);
    }
    let radius = Radius::one_sided(sigma, LowerBound::new(p)?)?;
    Ok(Some(radius.map_or(0.0, Radius::get)))
}

/// The largest radii that so many `samples` certify: if all of them answer the
/// class, and at the shares p.
///
/// # Errors
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field.
///
/// ```
/// use recert::samples::{RadiusConfig, by_samples};
///
/// let config = RadiusConfig { sigma: 0.5, alpha: None, p: Vec::new() };
/// let answer = by_samples(&config, &[10_000])?;
/// assert!(answer.rows[0].results[0].radius > Some(1.5));
/// # Ok::<(), recert::Error>(())
/// ```
pub fn by_samples(config: &RadiusConfig, samples: &[u64]) -> Result<BySamples> {
    let (sigma, alpha) = config.check()?;
    // Every sample of the class gives the largest radius, which is always shown.
    let mut fractions = shares(&config.p, &[])?;
    fractions.retain(|p| *p != 1.0);
    fractions.insert(0, 1.0);
    let row = |&samples: &u64| -> Result<SamplesRow> {
        let samples = config::samples(Field::N, samples)?;
        let results = fractions.iter().map(|&p| -> Result<Attained> {
            let bound = bound_from_samples(p, samples, alpha)?;
            Ok(Attained {
                p_lower: bound.get(),
                radius: Radius::one_sided(sigma, bound)?.map(Radius::get),
            })
        });
        Ok(SamplesRow {
            samples,
            results: results.collect::<Result<_>>()?,
        })
    };
    Ok(BySamples {
        sigma: sigma.get(),
        alpha: alpha.get(),
        rows: samples.iter().map(row).collect::<Result<_>>()?,
        fractions: fractions.clone(),
    })
}

impl RadiusConfig {
    fn check(&self) -> Result<(Sigma, Alpha)> {
        let alpha = config::alpha(self.alpha.unwrap_or(ALPHA_OF_RADIUS), &[1.0])?;
        Ok((config::sigma(self.sigma)?, alpha))
    }
}

/// The shares asked for, else `default`.
fn shares(asked: &[f64], default: &[f64]) -> Result<Vec<f64>> {
    if let Some(p) = asked.iter().find(|p| !(**p > 0.0 && **p <= 1.0)) {
        let message = format!("p is a share of the samples, above 0 and at most 1, but is {p}");
        return Err(Error::parameter(Field::P, message));
    }
    Ok(if asked.is_empty() { default } else { asked }.to_vec())
}
