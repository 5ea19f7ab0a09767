//! `recert samples`.

use recert::samples::{RadiusConfig, by_radius, by_samples, by_width};

use crate::args::Samples;
use crate::exit::{Result, usage};
use crate::terminal::{self, print};

pub(crate) fn run(args: &Samples) -> Result<()> {
    match (args.radius.is_empty(), args.n.is_empty()) {
        (true, true) => width(args),
        (false, true) => {
            let answer = by_radius(&config(args, "--radius")?, &args.radius)?;
            show(args, &answer.table()?, &answer.json()?)
        }
        (true, false) => {
            let answer = by_samples(&config(args, "--n")?, &args.n)?;
            show(args, &answer.table()?, &answer.json()?)
        }
        (false, false) => usage("--radius asks for samples and --n for a radius: give one of them"),
    }
}

/// Samples for a target error.
fn width(args: &Samples) -> Result<()> {
    if args.sigma.is_some() {
        return usage("--sigma is for a radius: give --radius or --n with it, or leave it out");
    }
    let widths = by_width(&args.p, &args.error, args.alpha)?;
    if let Some(plot) = &args.svg {
        terminal::check_place("--svg", plot, &[])?;
    }
    // The plot is made before anything is printed, as it may fail where the table
    // does not: it covers every p.
    let svg = args.svg.as_ref().map(|_| widths.svg()).transpose()?;
    show(args, &widths.answer.table()?, &widths.answer.json()?)?;
    match (&args.svg, svg) {
        (Some(path), Some(svg)) => terminal::write(path, &svg),
        _ => Ok(()),
    }
}

/// What is asked where a radius is asked for, or asked about, by `flag`.
fn config(args: &Samples, flag: &str) -> Result<RadiusConfig> {
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
    Ok(RadiusConfig {
        sigma,
        alpha: args.alpha,
        p: args.p.clone(),
    })
}

fn show(args: &Samples, table: &str, json: &str) -> Result<()> {
    if args.json {
        print(&format!("{json}\n"))
    } else {
        print(table)
    }
}
