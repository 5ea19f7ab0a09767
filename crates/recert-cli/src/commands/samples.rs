//! `recert samples`.

use anyhow::Result;
use recert::num::directed::div_up;
use recert::num::samples::{bound_from_samples, samples_for_radius, samples_for_width};
use recert::num::{self, Alpha, ErrorKind, LowerBound, MAX_TRIALS, Radius, Sigma};
use recert::report::samples::{
    Attained, ByRadius, BySamples, ByWidth, Need, RadiusRow, SamplesRow, WidthRow,
};

use crate::args::Samples;
use crate::config::{self, usage};
use crate::output;
use crate::progress::print;

/// The shares of samples shown for a target error where none are asked for; the
/// other half of Figure 2 mirrors this one.
const SHARES_OF_WIDTH: [f64; 13] = [
    0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 0.995, 0.999,
];

/// The same for a radius, for which a share must be above 1/2.
const SHARES_OF_RADIUS: [f64; 9] = [0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// The target error of Figure 2.
const ERROR: &str = "0.5%";

/// Alpha on either side of the interval, as in Figure 2.
const ALPHA_OF_WIDTH: f64 = 0.01;

/// Alpha of a radius, as `recert certify` has it.
const ALPHA_OF_RADIUS: f64 = 0.001;

/// Radii of this many sigmas and more are all alike: no double below 1 is a
/// probability so large.
const FAR: f64 = 40.0;

pub(crate) fn run(args: &Samples) -> Result<()> {
    match (args.radius.is_empty(), args.samples.is_empty()) {
        (true, true) => by_width(args),
        (false, true) => by_radius(args),
        (true, false) => by_samples(args),
        (false, false) => usage("--radius asks for samples and --n for a radius: give one of them"),
    }
}

/// Samples for a target error.
fn by_width(args: &Samples) -> Result<()> {
    if args.sigma.is_some() {
        return usage("--sigma is for a radius: give --radius or --n with it, or leave it out");
    }
    if args.p.contains(&1.0) {
        return usage("--p must be below 1 for a target error, such as 0.9999");
    }
    let shares = shares(&args.p, &SHARES_OF_WIDTH)?;
    let errors = if args.error.is_empty() {
        vec![config::fraction("--error", ERROR)?]
    } else {
        let each = args.error.iter();
        each.map(|text| config::fraction("--error", text))
            .collect::<Result<_>>()?
    };
    let alpha = config::alpha(args.alpha.unwrap_or(ALPHA_OF_WIDTH), &[1.0])?;
    let row = |p: f64| -> Result<WidthRow> {
        let samples = errors
            .iter()
            .map(|error| samples_of_width(p, *error, alpha));
        Ok(WidthRow {
            p,
            samples: samples.collect::<Result<_>>()?,
        })
    };
    let answer = ByWidth {
        alpha: alpha.get(),
        rows: shares.iter().map(|p| row(*p)).collect::<Result<_>>()?,
        errors: errors.clone(),
    };
    if let Some(plot) = &args.svg {
        output::check_place("--svg", plot, &[])?;
    }
    // The plot is made before anything is printed, as it may fail where the table
    // does not: it covers every p.
    let svg = match &args.svg {
        Some(path) => {
            // Every half per cent, and closer to 0 and 1, where the line is steep.
            let inner = (1..200).map(|k| f64::from(k) / 200.0);
            let ends = [0.000_1, 0.001, 0.002_5];
            let curve: Result<Vec<WidthRow>> = (ends.iter().copied())
                .chain(inner)
                .chain(ends.iter().rev().map(|end| 1.0 - end))
                .map(row)
                .collect();
            Some((path, answer.svg(&curve?)?))
        }
        None => None,
    };
    show(args, &answer.table()?, &answer.json()?)?;
    if let Some((path, svg)) = svg {
        output::write(path, svg.as_bytes())?;
    }
    Ok(())
}

fn samples_of_width(p: f64, error: f64, alpha: Alpha) -> Result<u64> {
    match samples_for_width(p, error, alpha) {
        Err(e) if e.kind() == ErrorKind::NotFound => usage(format!(
            "--error: {error} takes more than {MAX_TRIALS} samples at p = {p}, which is more than \
             the bounds are proved for: give a larger error"
        )),
        result => Ok(result?),
    }
}

/// Samples for a radius.
fn by_radius(args: &Samples) -> Result<()> {
    let (sigma, alpha) = of_a_radius(args, "--radius")?;
    if let Some(radius) = args.radius.iter().find(|r| !(r.is_finite() && **r > 0.0)) {
        return usage(format!(
            "--radius must be a number above 0, but is {radius}"
        ));
    }
    let row = |p: f64| -> Result<RadiusRow> {
        let needs = args.radius.iter().map(|r| need(p, *r, sigma, alpha));
        Ok(RadiusRow {
            p,
            limit: limit(p, sigma)?,
            needs: needs.collect::<Result<_>>()?,
        })
    };
    let rows = shares(&args.p, &SHARES_OF_RADIUS)?.into_iter().map(row);
    let answer = ByRadius {
        sigma: sigma.get(),
        alpha: alpha.get(),
        radii: args.radius.clone(),
        rows: rows.collect::<Result<_>>()?,
    };
    show(args, &answer.table()?, &answer.json()?)
}

fn need(p: f64, radius: f64, sigma: Sigma, alpha: Alpha) -> Result<Need> {
    // Rounded up, so that the samples are enough for no less than the radius.
    let in_sigmas = div_up(radius, sigma.get()).min(FAR);
    match samples_for_radius(p, in_sigmas, alpha) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
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

/// The radius of a number of samples.
fn by_samples(args: &Samples) -> Result<()> {
    let (sigma, alpha) = of_a_radius(args, "--n")?;
    // Every sample of the class gives the largest radius, which is always shown.
    let mut fractions = shares(&args.p, &[])?;
    fractions.retain(|p| *p != 1.0);
    fractions.insert(0, 1.0);
    let row = |samples: &u64| -> Result<SamplesRow> {
        let samples = config::samples("--n", *samples)?;
        let results = fractions
            .iter()
            .map(|p| attained(*p, samples, sigma, alpha));
        Ok(SamplesRow {
            samples,
            results: results.collect::<Result<_>>()?,
        })
    };
    let answer = BySamples {
        sigma: sigma.get(),
        alpha: alpha.get(),
        rows: args.samples.iter().map(row).collect::<Result<_>>()?,
        fractions: fractions.clone(),
    };
    show(args, &answer.table()?, &answer.json()?)
}

fn attained(p: f64, samples: u64, sigma: Sigma, alpha: Alpha) -> Result<Attained> {
    let bound = bound_from_samples(p, samples, alpha)?;
    Ok(Attained {
        p_lower: bound.get(),
        radius: Radius::one_sided(sigma, bound)?.map(Radius::get),
    })
}

/// Sigma and alpha where a radius is asked for or asked about by `flag`.
fn of_a_radius(args: &Samples, flag: &str) -> Result<(Sigma, Alpha)> {
    if !args.error.is_empty() {
        return usage(format!(
            "--error is the width of an interval, which {flag} does not ask about: leave out one \
             of them"
        ));
    }
    if args.svg.is_some() {
        return usage(format!(
            "--svg draws the samples for a target error: leave out {flag}"
        ));
    }
    let Some(sigma) = args.sigma else {
        return usage(format!(
            "--sigma is missing: {flag} needs the standard deviation of the noise"
        ));
    };
    let alpha = config::alpha(args.alpha.unwrap_or(ALPHA_OF_RADIUS), &[1.0])?;
    Ok((config::sigma(sigma)?, alpha))
}

/// The shares asked for, else `default`.
fn shares(asked: &[f64], default: &[f64]) -> Result<Vec<f64>> {
    if let Some(p) = asked.iter().find(|p| !(**p > 0.0 && **p <= 1.0)) {
        return usage(format!(
            "--p is a share of the samples, above 0 and at most 1, but is {p}"
        ));
    }
    Ok(if asked.is_empty() { default } else { asked }.to_vec())
}

fn show(args: &Samples, table: &str, json: &str) -> Result<()> {
    if args.json {
        print(&format!("{json}\n"))
    } else {
        print(table)
    }
}
