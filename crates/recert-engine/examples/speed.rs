//! Images per second of every engine and precision that is installed.
//!
//!     cargo run --release -p recert-engine --example speed -- MODEL.onnx[,OTHER.onnx] 3 32 32 [WORKERS]
//!
//! Several models, such as a network and its 8-bit version, take turns too.
//! Every worker computes on one thread, batch after batch of its own. Each
//! figure is the median of five runs of a second; the engines take turns, so
//! that whatever else the machine does falls on all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use recert_engine::{
    Classifier, EngineOptions, ImageShape, Network, NetworkOptions, Precision, engines,
};
use recert_graph::Model;

const BATCHES: [usize; 3] = [8, 32, 128];
const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(1);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, sizes @ ..] = args.as_slice() else {
        return Err("usage: speed MODEL.onnx CHANNELS HEIGHT WIDTH [WORKERS]".into());
    };
    let sizes: Vec<usize> = sizes.iter().map(|s| s.parse()).collect::<Result<_, _>>()?;
    let [channels, height, width, rest @ ..] = sizes.as_slice() else {
        return Err("usage: speed MODEL.onnx CHANNELS HEIGHT WIDTH [WORKERS]".into());
    };
    let image = ImageShape {
        channels: *channels,
        height: *height,
        width: *width,
    };
    let count = rest.first().copied().unwrap_or(1);
    let mut networks = Vec::new();
    let models: Vec<Model> = model
        .split(',')
        .map(Model::read)
        .collect::<Result<_, _>>()?;
    let several = models.len() > 1;
    for engine in engines::ENGINES.iter().filter(|e| e.is_automatic()) {
        let Ok(found) = engine.find() else {
            eprintln!("skipped: {} is not installed", engine.name);
            continue;
        };
        for &precision in &found.devices[0].precisions {
            if precision == Precision::Int8 {
                continue;
            }
            let options = EngineOptions {
                precision: Some(precision),
                ..EngineOptions::default()
            };
            let runtime = engine.open(&options)?;
            for model in &models {
                let mut name = format!("{} {precision}", engine.name);
                if several {
                    let file = Path::new(model.name()).file_name().unwrap_or_default();
                    name = format!("{name} {}", file.display());
                }
                match Network::load(model, runtime.as_ref(), image, &NetworkOptions::default()) {
                    Ok(network) => networks.push((name, network)),
                    Err(why) => eprintln!("skipped: {name}: {why}"),
                }
            }
        }
    }
    let mut figures = vec![vec![Vec::new(); BATCHES.len()]; networks.len()];
    for _ in 0..RUNS {
        for ((_, network), figures) in networks.iter().zip(&mut figures) {
            for (batch, figures) in BATCHES.into_iter().zip(figures) {
                figures.push(images_a_second(network, batch, count)?);
            }
        }
    }
    println!("{model}, {count} worker(s), images per second");
    let width = networks.iter().map(|(name, _)| name.len()).max();
    let width = width.unwrap_or(0);
    println!("{:width$}{:>10}{:>10}{:>10}", "batch", 8, 32, 128);
    for ((name, _), figures) in networks.iter().zip(&mut figures) {
        print!("{name:width$}");
        for figures in figures {
            figures.sort_by(f64::total_cmp);
            print!("{:10.0}", figures[RUNS / 2]);
        }
        println!();
    }
    Ok(())
}

/// All workers together, for about a second, after one batch each to warm up.
fn images_a_second(network: &Network, batch: usize, count: usize) -> Result<f64, Failure> {
    let length = network.image().len();
    let images: Vec<f32> = (0..batch * length)
        .map(|i| (i % 251) as f32 / 250.0)
        .collect();
    let mut workers: Vec<_> = (0..count)
        .map(|_| network.worker())
        .collect::<Result<_, _>>()?;
    for worker in &mut workers {
        worker.classify(&images)?;
    }
    let start = Instant::now();
    let work = |worker: &mut Box<dyn Classifier>| -> Result<usize, recert_engine::Error> {
        let mut done = 0;
        while start.elapsed() < RUN {
            done += worker.classify(&images)?.len();
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| work(worker)))
            .collect();
        let all =
            (threads.into_iter()).map(|thread| thread.join().expect("a worker does not panic"));
        all.sum::<Result<usize, _>>()
    })?;
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
