//! Verifies images of a data set and prints a row each, tab-separated, as `bench/bounds` compares.
//!
//! ```sh
//! cargo run --release -p recert-bounds --example counts -- \
//!     NETWORK DATA EPS METHOD [images=N] [start=N] [relu] [mean=.,.,.] [std=.,.,.] [threads=N] [steps=N] [rate=R] [decay=R]
//! ```
//!
//! METHOD is `ibp` (with elision), `crown`, `crown-plain` (not intersected with
//! intervals), `alpha-crown` (slopes of the margins alone), `alpha-crown-all`
//! (intermediate bounds too) or `complete` (branch and bound, 60 seconds an image); EPS a number or a fraction, the radius
//! of an L-inf ball in units of pixels in [0, 1]; `relu` appends a ReLU to the network. The columns
//! are image, label, answer, method, verdict, seconds by the clock and of processor time (user and
//! system, all threads), and the lower bound of each margin.

use std::error::Error;
use std::time::{Duration, Instant};

use recert_bounds::{
    Ascent, Network, Options, Outcome, Property, Region, Search, Slopes, branch_and_bound, crown,
    crown_without_intersection, interval, lower, lower_interval, optimized, tightened,
};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};
use rustix::time::{ClockId, clock_gettime};

struct Arguments {
    network: Network,
    data: Dataset,
    epsilon: f64,
    method: String,
    images: u32,
    start: u32,
    options: Options,
    ascent: Ascent,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let network = &arguments.network;
    let classes = network.outputs();
    let margins: Vec<String> = (0..classes).map(|class| format!("m{class}")).collect();
    println!(
        "image\tlabel\tanswer\tmethod\tverdict\tseconds\tcpu\t{}",
        margins.join("\t")
    );
    let mut counts = [0; 3];
    for i in arguments.start..arguments.start + arguments.images {
        let image = arguments.data.image(i)?;
        let pixels: Vec<f64> = image.pixels.iter().map(|&pixel| pixel.into()).collect();
        let label = arguments.data.label(i).ok_or("an image without a label")? as usize;
        let outputs = network.evaluate(&pixels);
        let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let answer = outputs.iter().position(|&y| y == largest).unwrap_or(0);
        print!("{i}\t{label}\t{answer}\t{}", arguments.method);
        if answer != label {
            println!("\twrong\t0\t0{}", "\t".repeat(classes));
            continue;
        }
        counts[0] += 1;
        let property = Property::label(classes, label)?;
        let (begun, before) = (Instant::now(), processor_seconds());
        let bounds = bounded(&arguments, &pixels, &property)?;
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), processor_seconds() - before);
        let verified = property.verified(&bounds);
        counts[if verified { 1 } else { 2 }] += 1;
        let verdict = if verified { "verified" } else { "unknown" };
        print!("\t{verdict}\t{seconds:.6}\t{cpu:.6}");
        let mut bounds = bounds.iter();
        for class in 0..classes {
            // There is no margin of the label over itself.
            match (class != label).then(|| bounds.next()).flatten() {
                Some(bound) => print!("\t{bound:.9}"),
                None => print!("\t"),
            }
        }
        println!();
    }
    let [right, verified, unknown] = counts;
    eprintln!("{right} classified rightly, {verified} verified, {unknown} unknown");
    Ok(())
}

/// The processor time that this process has taken.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Lower bounds of the margins.
fn bounded(
    arguments: &Arguments,
    pixels: &[f64],
    property: &Property,
) -> Result<Vec<f64>, recert_bounds::Error> {
    let network = &arguments.network;
    let options = arguments.options;
    let region = Region::linf(pixels, arguments.epsilon)?;
    let rows = property.rows();
    if arguments.method == "ibp" {
        let bounds = interval(network, &region)?;
        return lower_interval(network, &region, &bounds, &rows, options);
    }
    let mut bounds = if arguments.method == "crown-plain" {
        crown_without_intersection(network, &region, options)?
    } else {
        crown(network, &region, options)?
    };
    let slopes = Slopes::default();
    if !arguments.method.starts_with("crown") {
        let margins = lower(network, &region, &bounds, &rows, &slopes, options)?;
        if property.verified(&margins) {
            return Ok(margins);
        }
        let ascent = arguments.ascent;
        let mut best = optimized(network, &region, &bounds, &rows, &slopes, ascent, options)?;
        if arguments.method != "alpha-crown" && !property.verified(&best.bounds) {
            let tight = tightened(network, &region, &bounds, ascent, options)?.bounds;
            let start = &best.slopes;
            let other = optimized(network, &region, &tight, &rows, start, ascent, options)?;
            let least = |bounds: &[f64]| bounds.iter().copied().fold(f64::INFINITY, f64::min);
            if least(&other.bounds) > least(&best.bounds) {
                (best, bounds) = (other, tight);
            }
        }
        if arguments.method != "complete" || property.verified(&best.bounds) {
            return Ok(best.bounds);
        }
        let search = Search {
            deadline: Some(Instant::now() + Duration::from_mins(1)),
            nodes: usize::MAX,
            ..Search::default()
        };
        let slopes = &best.slopes;
        let outcome =
            branch_and_bound(network, &region, &bounds, property, slopes, search, options)?;
        let one = |value: f64| vec![value; rows.len()];
        return Ok(match outcome {
            Outcome::Verified { nodes, leaves } => {
                eprintln!(
                    "verified in {nodes} nodes, {} leaves",
                    leaves.iter().map(Vec::len).sum::<usize>()
                );
                leaves
                    .iter()
                    .map(|leaves| {
                        leaves
                            .iter()
                            .fold(f64::INFINITY, |least, leaf| least.min(leaf.bound))
                    })
                    .collect()
            }
            Outcome::Candidate { nodes, .. } => {
                eprintln!("candidate after {nodes} nodes");
                one(f64::NEG_INFINITY)
            }
            Outcome::Unknown { nodes, bound } => {
                eprintln!("unknown after {nodes} nodes: {bound}");
                one(bound)
            }
            _ => one(f64::NEG_INFINITY),
        });
    }
    lower(network, &region, &bounds, &rows, &slopes, options)
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = |name: &str| given.next().ok_or(format!("{name} is missing"));
    let model = Model::read(next("NETWORK")?)?;
    let spec: DataSpec = next("DATA")?.parse()?;
    let epsilon = number(&next("EPS")?)?;
    let method = next("METHOD")?;
    if ![
        "ibp",
        "crown",
        "crown-plain",
        "alpha-crown",
        "alpha-crown-all",
        "complete",
    ]
    .contains(&method.as_str())
    {
        return Err(format!("there is no method {method}").into());
    }
    let data = Dataset::open(&spec, &recert_data::Options::default())?;
    let mut network = Network::new(&Builder::new(&model).build()?)?;
    let mut options = Options::default();
    let total = data.len() as u32;
    let [mut images, mut start] = [total, 0_u32];
    let mut ascent = Ascent::default();
    let [mut mean, mut std] = [Vec::new(), Vec::new()];
    for argument in given {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            "images" => images = value.parse()?,
            "start" => start = value.parse()?,
            "threads" => options.threads = value.parse()?,
            "memory" => options.memory = value.parse()?,
            "steps" => ascent.steps = value.parse()?,
            "rate" => ascent.rate = value.parse()?,
            "decay" => ascent.decay = value.parse()?,
            "relu" => network = network.then_relu(),
            "mean" => mean = numbers(value)?,
            "std" => std = numbers(value)?,
            _ => return Err(format!("there is no argument {argument}").into()),
        }
    }
    if !mean.is_empty() || !std.is_empty() {
        network = network.normalized(&mean, &std, None)?;
    }
    Ok(Arguments {
        network,
        images: images.min(total.saturating_sub(start)),
        start,
        data,
        epsilon,
        method,
        options,
        ascent,
    })
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
