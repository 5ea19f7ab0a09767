//! What a bound of its own for the runner-up is worth on the answers in a
//! ledger: average certified radius and certified accuracy of certificates from
//! scratch, one-sided, two-sided with alpha split over the classes (half for the
//! class, the rest in equal parts for all others), and as `recert certify` does.
//!
//! `cargo run --release -p recert-smooth --example two_sided -- LEDGER [SAMPLES ..]`
//!
//! The ledger is only read. Samples are counts of certification samples, up to
//! the ledger's n [default: n]. Figures are of all inputs in the ledger that are
//! certified with their label, rounded to nearest; `certified` is with any
//! class.

use std::error::Error;
use std::path::Path;

use recert_ledger::{Ledger, Series, Stream};
use recert_num::{
    Alpha, LowerBound, Sigma, UpperBound, clopper_pearson_lower, clopper_pearson_upper,
};
use recert_smooth::bound::{Conclusion, Shares, Verdict, direct, runner_up, two_sided};

type Failure = Box<dyn Error>;

/// Radii at which certified accuracy is stated, in units of sigma.
const RADII: [f64; 4] = [0.5, 1.0, 2.0, 3.0];

/// What is counted of one input.
struct Counts {
    class: u16,
    label: Option<u32>,
    /// Votes of the selection samples for the class and the next best.
    votes: (u64, u64),
    k: u64,
    runner_up: u64,
    n: u64,
    classes: u32,
}

type Method = fn(&Counts, Alpha, Sigma) -> Result<Conclusion, Failure>;

const METHODS: [(&str, Method); 3] = [
    ("one-sided", one_sided),
    ("split over classes", split_over_classes),
    ("two-sided", as_recert_does),
];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: two_sided LEDGER [SAMPLES ..]")?;
    let ledger = Ledger::open_read_only(Path::new(&path))?;
    let header = ledger.header();
    let mut samples: Vec<u64> = arguments.map(|n| n.parse()).collect::<Result<_, _>>()?;
    if samples.is_empty() {
        samples.push(header.n);
    }
    let (sigma, alpha) = (Sigma::new(header.sigma)?, Alpha::new(header.alpha)?);
    println!("{path}: sigma {sigma}, alpha {alpha}, n0 {}", header.n0);
    let radii: String = RADII.map(|r| format!("{:>8}", r * sigma.get())).concat();
    println!("     n method                 ACR  ratio certified correct{radii}");
    for n in samples {
        let inputs = counted(&ledger, n)?;
        let mut first = None;
        for (name, method) in METHODS {
            let found = inputs
                .iter()
                .map(|counts| Ok((counts, method(counts, alpha, sigma)?)))
                .collect::<Result<Vec<_>, Failure>>()?;
            let row = Row::of(&found);
            let ratio = row.mean / *first.get_or_insert(row.mean);
            let share = |r| format!("{:>8.1}", row.at(r * sigma.get()));
            let shares = RADII.map(share).concat();
            println!(
                "{n:>6} {name:<20} {:.4} x{ratio:.3} {:>9.1} {:>7.1}{shares}",
                row.mean,
                row.certified,
                row.at(0.0),
            );
        }
    }
    Ok(())
}

/// The counts of all inputs that have `n` certification samples.
fn counted(ledger: &Ledger, n: u64) -> Result<Vec<Counts>, Failure> {
    let mut all = Vec::new();
    for input in ledger.inputs()? {
        let series = Series {
            network: ledger.base(),
            idx: input.idx,
            stream: Stream(recert_noise::Stream::Certify.tag()),
        };
        let Some(selection) = ledger.selection(series.network, input.idx)? else {
            continue;
        };
        let (answered, _) = ledger.answer_counts(series, n)?;
        let class = selection.class;
        let count = |of: Option<(u16, u64)>| of.map_or(0, |(_, count)| count);
        all.push(Counts {
            class,
            label: input.label,
            votes: (
                selection.counts.get(&class).copied().unwrap_or(0),
                count(runner_up(&selection.counts, class)),
            ),
            k: answered.get(&class).copied().unwrap_or(0),
            runner_up: count(runner_up(&answered, class)),
            n,
            classes: ledger.header().network.classes,
        });
    }
    Ok(all)
}

fn one_sided(counts: &Counts, alpha: Alpha, sigma: Sigma) -> Result<Conclusion, Failure> {
    let p = direct(counts.k, counts.n, alpha)?;
    Ok(Conclusion::one_sided(counts.class, p, sigma, "direct")?)
}

/// Half of alpha for the class, the rest in equal parts for every other class.
fn split_over_classes(counts: &Counts, alpha: Alpha, sigma: Sigma) -> Result<Conclusion, Failure> {
    let others = f64::from(counts.classes.max(2) - 1);
    let whole = Alpha::new(alpha.get() / 2.0)?;
    let each = Alpha::new(alpha.get() / (2.0 * others))?;
    let p: LowerBound = clopper_pearson_lower(counts.k, counts.n, whole)?;
    let q: UpperBound = clopper_pearson_upper(counts.runner_up, counts.n, each)?;
    let bounds = (p, q.min(p.complement()));
    Ok(Conclusion::two_sided(counts.class, bounds, sigma, "split")?)
}

fn as_recert_does(counts: &Counts, alpha: Alpha, sigma: Sigma) -> Result<Conclusion, Failure> {
    let shares = Shares::from_votes(counts.votes.0, counts.votes.1, alpha)?;
    let found = two_sided(counts.k, counts.runner_up, counts.n, shares)?;
    let bounds = (found.p_lower, found.p_upper);
    Ok(Conclusion::two_sided(
        counts.class,
        bounds,
        sigma,
        "two-sided",
    )?)
}

/// What one method makes of all inputs.
struct Row {
    /// The radius of each input, `None` where it is not certified with its label.
    radii: Vec<Option<f64>>,
    /// The average certified radius.
    mean: f64,
    /// Inputs certified with any class, in per cent.
    certified: f64,
}

impl Row {
    fn of(found: &[(&Counts, Conclusion)]) -> Self {
        let radius = |(counts, conclusion): &(&Counts, Conclusion)| match conclusion.verdict {
            Verdict::Certified { class, radius } => {
                (counts.label == Some(class.into())).then_some(radius.get())
            }
            Verdict::Abstained => None,
        };
        let radii: Vec<_> = found.iter().map(radius).collect();
        let certified = found.iter().filter(|(_, c)| c.is_certified()).count();
        Self {
            mean: radii.iter().flatten().sum::<f64>() / found.len() as f64,
            certified: 100.0 * certified as f64 / found.len() as f64,
            radii,
        }
    }

    /// Certified accuracy at a radius, in per cent.
    fn at(&self, radius: f64) -> f64 {
        let reached = self.radii.iter().flatten().filter(|&&r| r >= radius);
        100.0 * reached.count() as f64 / self.radii.len() as f64
    }
}
