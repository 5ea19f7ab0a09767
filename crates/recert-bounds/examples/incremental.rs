//! Verifies images for a network and for changed versions of it, from scratch and from what is known
//! of the first, and prints a row for each way, tab-separated, as `bench/incremental` reads.
//!
//! ```sh
//! cargo run --release -p recert-bounds --example incremental -- \
//!     NETWORK DATA EPS CHANGED[,CHANGED..] \
//!     [images=N] [start=N] [mean=.,.,.] [std=.,.,.] [search=NODES]
//! ```
//!
//! EPS is the radius of an L-inf ball in units of pixels in [0, 1], a number or a fraction. CHANGED is
//! a file, or `int8`, `bf16` or `fp16` for NETWORK's weights rounded to nearest; `within:int8`
//! and the like for the family of all roundings. The columns are image, label, the changed
//! network, the way, the verdict, the smallest margin proved, seconds of processor time, and rows
//! carried backwards. The ways are
//!
//! - `known`: CROWN of NETWORK, once an image;
//! - `scratch`: CROWN of the changed network or family;
//! - `margins`, `values`, `layers`: a transfer up to that step, time and rows of the steps
//!   before included.
//!
//! With `search=NODES`, images that CROWN does not verify for NETWORK are searched by branch and bound
//! of at most that many parts, and where that verifies them, the changed networks are too: from the
//! whole region (`search`), and from the parts of NETWORK's proof (`parts`). The last column then
//! counts parts, and the seconds are of one run without the bounds of values.

use std::error::Error;
use std::time::Instant;

use recert_bounds::{
    Bounds, Known, Leaf, Network, Options, Outcome, Property, Region, Reuse, Search, Slopes,
    Within, branch_and_bound_from, crown_counted, lower, transfer,
};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};

/// A network made of another.
struct Changed {
    name: String,
    network: Network,
    /// A family's members differ from each other, so that nothing is to be transferred.
    family: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = |name: &str| given.next().ok_or(format!("{name} is missing"));
    let original = next("NETWORK")?;
    let data: DataSpec = next("DATA")?.parse()?;
    let data = Dataset::open(&data, &recert_data::Options::default())?;
    let epsilon = number(&next("EPS")?)?;
    let changed = next("CHANGED")?;
    let [mut images, mut start] = [data.len() as u32, 0];
    let [mut mean, mut std] = [Vec::new(), Vec::new()];
    let mut nodes = 0;
    for argument in given {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            "images" => images = value.parse()?,
            "start" => start = value.parse()?,
            "mean" => mean = numbers(value)?,
            "std" => std = numbers(value)?,
            "search" => nodes = value.parse()?,
            _ => return Err(format!("there is no argument {argument}").into()),
        }
    }
    let read = |path: &str| -> Result<Network, Box<dyn Error>> {
        let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
        let plain = mean.is_empty() && std.is_empty();
        Ok(if plain {
            network
        } else {
            network.normalized(&mean, &std, None)?
        })
    };
    let network = read(&original)?;
    let mut others = Vec::new();
    for name in changed.split(',') {
        let (family, step) = match name.strip_prefix("within:") {
            Some(step) => (true, step.parse::<Within>().map(Some)?),
            None => (false, name.parse::<Within>().ok()),
        };
        others.push(Changed {
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            network: match step {
                Some(step) if family => network.within(step)?,
                Some(step) => network.rounded(step)?,
                None => read(name)?,
            },
            family,
        });
    }
    println!("image\tlabel\tchanged\tway\tverdict\tmargin\tseconds\trows");
    for i in start..start.saturating_add(images).min(data.len() as u32) {
        let image = data.image(i)?;
        let pixels: Vec<f64> = image.pixels.iter().map(|&pixel| pixel.into()).collect();
        let label = data.label(i).ok_or("an image without a label")? as usize;
        let property = Property::label(network.outputs(), label)?;
        let region = Region::linf(&pixels, epsilon)?;
        let problem = Problem {
            region,
            property,
            pixels,
            nodes,
            start: format!("{i}\t{label}"),
        };
        image_rows(&network, &others, &problem)?;
    }
    Ok(())
}

/// What is to be verified, and how far.
struct Problem {
    region: Region,
    property: Property,
    pixels: Vec<f64>,
    /// The most parts of a search; 0 for none.
    nodes: usize,
    /// The first columns of its rows.
    start: String,
}

/// Prints the rows of an image that the network classifies rightly.
fn image_rows(
    network: &Network,
    others: &[Changed],
    problem: &Problem,
) -> Result<(), Box<dyn Error>> {
    let Problem {
        region,
        property,
        start,
        ..
    } = problem;
    let right = |network: &Network| !property.violated(&network.evaluate(&problem.pixels));
    if !right(network) {
        println!("{start}\t-\tknown\twrong\t\t0\t0");
        return Ok(());
    }
    let (slopes, options) = (Slopes::default(), Options::default());
    let (known, bounds) = from_scratch(network, region, property)?;
    print_row(&format!("{start}\t-\tknown"), property, &known);
    let mut leaves = None;
    if problem.nodes > 0 && !property.verified(&known.lower) {
        leaves = searched(network, &bounds, problem, &[], "-\tsearch")?;
    }
    for other in others {
        let start = format!("{start}\t{}", other.name);
        if !right(&other.network) {
            println!("{start}\tscratch\twrong\t\t0\t0");
            continue;
        }
        let (found, of_other) = from_scratch(&other.network, region, property)?;
        print_row(&format!("{start}\tscratch"), property, &found);
        if let Some(leaves) = &leaves {
            for (way, leaves) in [("search", &[][..]), ("parts", &leaves[..])] {
                let columns = format!("{}\t{way}", other.name);
                searched(&other.network, &of_other, problem, leaves, &columns)?;
            }
        }
        if other.family {
            continue;
        }
        let known = Known {
            network,
            bounds: &bounds,
            lower: &known.lower,
            slopes: &slopes,
        };
        for (way, most) in [
            ("margins", Reuse::Margins),
            ("values", Reuse::Values),
            ("layers", Reuse::Layers),
        ] {
            let changed = &other.network;
            let (result, seconds) =
                timed(|| Ok(transfer(known, changed, region, property, most, options)?))?;
            let found = Found {
                seconds,
                lower: result.lower,
                rows: result.rows,
            };
            print_row(&format!("{start}\t{way}"), property, &found);
        }
    }
    Ok(())
}

/// Prints the row of a search, and returns the parts of its proof.
fn searched(
    network: &Network,
    bounds: &Bounds,
    problem: &Problem,
    leaves: &[Vec<Leaf>],
    columns: &str,
) -> Result<Option<Vec<Vec<Leaf>>>, Box<dyn Error>> {
    let search = Search {
        nodes: problem.nodes,
        ..Search::default()
    };
    let begun = Clock::start();
    let outcome = branch_and_bound_from(
        network,
        &problem.region,
        bounds,
        &problem.property,
        &Slopes::default(),
        leaves,
        search,
        Options::default(),
    )?;
    let seconds = begun.seconds();
    let (verdict, nodes, found) = match outcome {
        Outcome::Verified { leaves, nodes } => ("verified", nodes, Some(leaves)),
        Outcome::Candidate { nodes, .. } => ("falsified", nodes, None),
        Outcome::Unknown { nodes, .. } => ("unknown", nodes, None),
        _ => ("unknown", 0, None),
    };
    println!(
        "{}\t{columns}\t{verdict}\t\t{seconds:.6}\t{nodes}",
        problem.start
    );
    Ok(found)
}

/// What a way found, and what it took.
struct Found {
    lower: Vec<f64>,
    seconds: f64,
    rows: usize,
}

fn from_scratch(
    network: &Network,
    region: &Region,
    property: &Property,
) -> Result<(Found, Bounds), Box<dyn Error>> {
    let (slopes, options) = (Slopes::default(), Options::default());
    let rows = property.rows();
    let ((bounds, carried, lower), seconds) = timed(|| {
        let (bounds, carried) = crown_counted(network, region, options)?;
        let lower = lower(network, region, &bounds, &rows, &slopes, options)?;
        Ok((bounds, carried, lower))
    })?;
    let found = Found {
        seconds,
        rows: carried + rows.len(),
        lower,
    };
    Ok((found, bounds))
}

fn print_row(start: &str, property: &Property, found: &Found) {
    let verified = property.verified(&found.lower);
    let verdict = if verified { "verified" } else { "unknown" };
    let margin = found.lower.iter().copied().fold(f64::INFINITY, f64::min);
    let (seconds, rows) = (found.seconds, found.rows);
    println!("{start}\t{verdict}\t{margin:.9}\t{seconds:.6}\t{rows}");
}

/// What a function returns, and the seconds that it takes: of processor time where the system counts
/// that, as other work on the machine stretches the time that passes. It is repeated until the
/// system's clock, which ticks every few milliseconds, has seen enough of it.
fn timed<T>(
    mut function: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<(T, f64), Box<dyn Error>> {
    const ENOUGH: f64 = 0.02;
    let begun = Clock::start();
    let mut result = function()?;
    let mut repeats = 1;
    while begun.seconds() < ENOUGH {
        result = function()?;
        repeats += 1;
    }
    Ok((result, begun.seconds() / f64::from(repeats)))
}

struct Clock {
    begun: Instant,
    processor: Option<f64>,
}

impl Clock {
    fn start() -> Self {
        Self {
            begun: Instant::now(),
            processor: Self::processor(),
        }
    }

    fn seconds(&self) -> f64 {
        match (self.processor, Self::processor()) {
            (Some(before), Some(after)) => after - before,
            _ => self.begun.elapsed().as_secs_f64(),
        }
    }

    /// Linux counts the nanoseconds that the thread has run.
    fn processor() -> Option<f64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
        Some(nanoseconds * 1e-9)
    }
}

/// A number, or a quotient of two.
fn number(text: &str) -> Result<f64, Box<dyn Error>> {
    Ok(match text.split_once('/') {
        Some((a, b)) => a.parse::<f64>()? / b.parse::<f64>()?,
        None => text.parse()?,
    })
}

fn numbers(text: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    Ok(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
}
