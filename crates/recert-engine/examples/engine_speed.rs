//! Images a second of the engines found here, one worker a thread, engines in
//! turn, medians of several rounds.
//!
//! A second is one of the wall clock; beside it stand images a second of
//! processor time and worker, which say more on a machine that others use, too
//! (Linux alone tells them).
//!
//! ```text
//! cargo run --release -p recert-engine --example engine_speed -- \
//!     NETWORK.onnx CHANNELSxHEIGHTxWIDTH [THREADS] [BATCH] [ENGINE,ENGINE,..]
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use recert_engine::{Classifier, ImageShape, Network, NetworkOptions, engines};
use recert_net::Model;

/// How often each engine's turn comes.
const ROUNDS: usize = 7;

/// How long a turn takes.
const TURN: Duration = Duration::from_millis(700);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, shape, rest @ ..] = &arguments[..] else {
        return Err("arguments: NETWORK.onnx CxHxW [THREADS] [BATCH] [ENGINES]".into());
    };
    let sizes: Vec<usize> = shape.split('x').map(str::parse).collect::<Result<_, _>>()?;
    let &[channels, height, width] = &sizes[..] else {
        return Err("the shape is CHANNELSxHEIGHTxWIDTH".into());
    };
    let image = ImageShape {
        channels,
        height,
        width,
    };
    let number = |i: usize, default| rest.get(i).map_or(Ok(default), |text| text.parse());
    let (threads, batch) = (number(0, 1)?, number(1, 32)?);
    let names: Vec<&str> = match rest.get(2) {
        Some(list) => list.split(',').collect(),
        None => engines::NAMES.to_vec(),
    };
    let model = Model::read(file)?;
    let mut found: Vec<(&str, Vec<Box<dyn Classifier>>)> = Vec::new();
    for name in names {
        let workers = || -> Result<_, recert_engine::Error> {
            let engine = engines::by_name(name)?;
            let network =
                Network::load(&model, engine.as_ref(), image, &NetworkOptions::default())?;
            (0..threads).map(|_| network.worker()).collect()
        };
        match workers() {
            Ok(workers) => found.push((name, workers)),
            Err(why) => eprintln!("skipped: {name}: {why}"),
        }
    }
    let images: Vec<f32> = (0..batch * image.len())
        .map(|i| (i * 7919 % 1000) as f32 / 999.0)
        .collect();
    let mut rates: Vec<Vec<Rate>> = found.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((_, workers), rates) in found.iter_mut().zip(&mut rates) {
            rates.push(rate(workers, &images, batch)?);
        }
    }
    println!("{}, batch {batch}, {threads} threads", model.name());
    for ((name, _), rates) in found.iter().zip(&rates) {
        let median = |pick: fn(&Rate) -> f64| {
            let mut all: Vec<f64> = rates.iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        println!(
            "{name:>12} {:8.0} images/s {:8.0} images/CPU-second",
            median(|rate| rate.wall),
            median(|rate| rate.processor),
        );
    }
    Ok(())
}

/// Images a second.
struct Rate {
    /// Of all workers together.
    wall: f64,
    /// Of one worker, while it has a processor; NaN where that is not known.
    processor: f64,
}

/// Seconds for which threads of this process have had a processor.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // Linux counts hundredths of a second for whoever asks.
    Some((ticks()? + ticks()?) / 100.0)
}

fn rate(
    workers: &mut [Box<dyn Classifier>],
    images: &[f32],
    batch: usize,
) -> Result<Rate, recert_engine::Error> {
    let before = processor_seconds();
    let start = Instant::now();
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(move || {
                    let mut done = 0;
                    while start.elapsed() < TURN {
                        worker.classify(images)?;
                        done += batch;
                    }
                    Ok(done)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a worker"))
            .collect()
    });
    let total: usize = done.into_iter().sum::<Result<usize, _>>()?;
    let wall = total as f64 / start.elapsed().as_secs_f64();
    let spent = processor_seconds()
        .zip(before)
        .map(|(now, then)| now - then);
    let processor = spent.map_or(f64::NAN, |spent| total as f64 / spent);
    Ok(Rate { wall, processor })
}
