//! Certifies images of a data set under a geometric transformation, one line an image.
//!
//! ```text
//! cargo run --release -p recert-bounds --example geometric -- \
//!     NETWORK DATA TRANSFORMATION EVERY LIMIT METHODS GRID > results.tsv
//! ```
//!
//! `METHODS` are tried on each cell in this order: `sum` (CGT's bound), `sum+merged`, `knapsack`,
//! `vertices`, `forward`, `crown`, joined by commas. `GRID` is `adaptive`, `adaptive:PIXELS` (how
//! far a pixel moves over one of the first cells) or a number of cells for each parameter, joined by `x`:
//! cells that fail are cut in the first two cases only. The columns are the image's number, its
//! label, the verdict, the wrong answer and its parameters if there is one, passes of interval
//! bounds, forward bounds and CROWN, evaluations, how many cells each method proved, and seconds: by
//! the clock, and of the processor (on Linux, which counts it for each thread).

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

use recert_bounds::Network;
use recert_bounds::geometric::{
    Extents, Layout, Method, Options, PixelBox, Transformation, Verdict, verify,
};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, data, transformation, every, limit, methods, grid] = &arguments[..] else {
        return Err("arguments: NETWORK DATA TRANSFORMATION EVERY LIMIT METHODS GRID".into());
    };
    let graph = Builder::new(&Model::read(network)?).build()?;
    let network = Network::for_labels(&graph)?;
    let data = Dataset::open(&data.parse::<DataSpec>()?, &recert_data::Options::default())?;
    let transformation: Transformation = transformation.parse()?;
    let shape = data.shape();
    let extents = Extents {
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        layout: Layout::ChannelsFirst,
    };
    let options = options(methods, grid)?;
    let (every, limit): (usize, usize) = (every.parse()?, limit.parse()?);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "image\tlabel\tverdict\tanswer\tparameters\tinterval\tforward\tcrown\tevaluations\tcells\tseconds\tprocessor"
    )?;
    for index in (0..data.len() as u32).step_by(every).take(limit) {
        let label = data.label(index).ok_or("the data has no labels")?;
        let image = data.image(index)?;
        let pixels: Vec<f64> = image.pixels.iter().map(|&pixel| f64::from(pixel)).collect();
        let (started, busy) = (Instant::now(), processor_seconds());
        let outcome = verify(
            &network,
            &extents,
            &pixels,
            label as usize,
            &transformation,
            &options,
        )?;
        let seconds = started.elapsed().as_secs_f64();
        let busy = processor_seconds() - busy;
        let (verdict, answer, parameters) = match &outcome.verdict {
            Verdict::Verified => ("verified", String::new(), String::new()),
            Verdict::Unknown => ("unknown", String::new(), String::new()),
            Verdict::Falsified { parameters, answer } => {
                let parameters: Vec<_> = parameters.iter().map(f64::to_string).collect();
                ("falsified", answer.to_string(), parameters.join(","))
            }
        };
        let work = outcome.work;
        let mut cells = BTreeMap::new();
        for proved in &outcome.proved {
            *cells.entry(name(proved.method)).or_insert(0) += 1;
        }
        let cells: Vec<_> = cells
            .iter()
            .map(|(name, count)| format!("{name}:{count}"))
            .collect();
        writeln!(
            out,
            "{index}\t{label}\t{verdict}\t{answer}\t{parameters}\t{}\t{}\t{}\t{}\t{}\t{seconds:.4}\t{busy:.4}",
            work.interval,
            work.forward,
            work.crown,
            work.evaluations,
            cells.join(",")
        )?;
        out.flush()?;
    }
    Ok(())
}

/// The time that this thread has spent on a processor; NaN where the system does not say.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |n| n / 1e9)
}

const METHODS: [(&str, Method); 6] = [
    ("sum", Method::Intervals(PixelBox::Sum)),
    ("sum+merged", Method::Merged(PixelBox::Sum)),
    ("knapsack", Method::Merged(PixelBox::Knapsack)),
    ("vertices", Method::Merged(PixelBox::Vertices)),
    ("forward", Method::Forward),
    ("crown", Method::Crown),
];

fn name(method: Method) -> &'static str {
    METHODS
        .iter()
        .find(|entry| entry.1 == method)
        .map_or("other", |entry| entry.0)
}

fn options(methods: &str, grid: &str) -> Result<Options, Box<dyn Error>> {
    let methods = methods.split(',').map(|name| {
        let found = METHODS.iter().find(|entry| entry.0 == name);
        found
            .map(|entry| entry.1)
            .ok_or_else(|| format!("there is no method '{name}'"))
    });
    let mut options = Options {
        methods: methods.collect::<Result<_, _>>()?,
        ..Options::default()
    };
    match grid.strip_prefix("adaptive") {
        Some("") => {}
        Some(movement) => {
            options.movement = movement.trim_start_matches(':').parse()?;
        }
        None => {
            options.adaptive = false;
            options.grid = Some(grid.split('x').map(str::parse).collect::<Result<_, _>>()?);
        }
    }
    Ok(options)
}
