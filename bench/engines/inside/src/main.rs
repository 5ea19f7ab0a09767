//! Where the time of a certification goes: the engine, the noise, the rest.
//!
//! `recert-bench-inside run MODEL DATA SIGMA INPUTS N ENGINE PRECISION THREADS BATCH LEDGER`
//! certifies through the library, as `recert certify` does, with a clock around
//! every call of the engine; before and after it runs the engine alone, on noisy
//! batches made beforehand. `recert-bench-inside noise` measures the noise alone.
//! Both print one line of JSON.

mod clock;
mod noise;

use std::path::Path;
use std::time::{Duration, Instant};

use recert::data::{Dataset, Options};
use recert::engine::{Classifier, EngineOptions, ImageShape, Network, NetworkOptions, engines};
use recert::ledger::{Header, Ledger, Task};
use recert::net::Model;
use recert::noise::{Law, NoiseKey, Stream};
use recert::num::Sigma;
use recert::smooth::{Run, Sides, Silent, Threads, noise_sigma};
use serde_json::json;

use clock::Clocked;

/// How long the engine alone is measured, before and after the run.
const SPAN: Duration = Duration::from_millis(700);
/// Selection samples an input, as `recert certify` draws by default.
const N0: u64 = 100;
const USAGE: &str = "usage: recert-bench-inside noise | run MODEL DATA SIGMA INPUTS N ENGINE PRECISION THREADS BATCH LEDGER";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["noise"] => println!("{}", noise::rates()),
        [
            "run",
            model,
            data,
            sigma,
            inputs,
            n,
            engine,
            precision,
            threads,
            batch,
            ledger,
        ] => {
            let setting = Setting {
                sigma: sigma.parse()?,
                inputs: inputs.parse()?,
                n: n.parse()?,
                threads: threads.parse()?,
                batch: batch.parse()?,
            };
            let data = Dataset::open(&data.parse()?, &Options::default())?;
            let options = EngineOptions {
                precision: Some(precision.parse()?),
                ..EngineOptions::default()
            };
            let runtime = engines::open(engine, &options)?;
            let shape = data.shape();
            let image = ImageShape {
                channels: shape.channels,
                height: shape.height,
                width: shape.width,
            };
            let model = Model::read(model)?;
            let options = NetworkOptions::default();
            let network = Network::load(&model, runtime.as_ref(), image, &options)?;
            let header = setting.header(&model, &network);
            println!(
                "{}",
                setting.run(&network, &data, &header, ledger.as_ref())?
            );
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// What is measured.
struct Setting {
    sigma: f64,
    inputs: u32,
    n: u64,
    threads: usize,
    batch: usize,
}

impl Setting {
    fn header(&self, model: &Model, network: &Network) -> Header {
        let image = network.image();
        Header {
            task: Task::Certify,
            sigma: self.sigma,
            n0: N0,
            n: self.n,
            alpha: 0.001,
            generator: Law::Gaussian.generator().to_owned(),
            seed: 0,
            network: recert::identity(model, network),
            data: "{}".to_owned(),
            shape: [image.channels, image.height, image.width].map(|size| size as u32),
        }
    }

    /// The engine alone, the certification, the engine alone again.
    fn run(
        &self,
        network: &Network,
        data: &Dataset,
        header: &Header,
        path: &Path,
    ) -> Result<serde_json::Value, Failure> {
        let first = data.image(0)?;
        let before = self.alone(network, &first.pixels)?;
        let (workers, clocks): (Vec<_>, Vec<_>) = (0..self.threads)
            .map(|_| network.worker().map(Clocked::new))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        let workers: Vec<Box<dyn Classifier>> = workers
            .into_iter()
            .map(|worker| Box::new(worker) as Box<dyn Classifier>)
            .collect();
        let mut ledger = Ledger::resume(path, header)?;
        let inputs: Vec<u32> = (0..self.inputs).collect();
        let start = Instant::now();
        let mut workers = Threads::new([(ledger.base(), workers)], self.batch)?;
        let mut run = Run {
            ledger: &mut ledger,
            inputs: data,
            workers: &mut workers,
            observer: &mut Silent,
        };
        let _ = recert::smooth::certify(&mut run, &inputs, Sides::Two)?;
        let wall = start.elapsed().as_secs_f64();
        ledger.close()?;
        let after = self.alone(network, &first.pixels)?;
        let evaluations = u64::from(self.inputs) * (self.n + N0);
        let noise = noise::seconds_a_copy(first.pixels.len());
        let in_engine: f64 = clocks.iter().map(|clock| clock.seconds()).sum();
        let all = wall * self.threads as f64;
        Ok(json!({
            "evaluations": evaluations,
            "wall": wall,
            "rate": evaluations as f64 / wall,
            "in_engine": in_engine,
            "outside": 1.0 - in_engine / all,
            "noise": noise * evaluations as f64 / all,
            "alone_before": before,
            "alone_after": after,
            "precision": header.network.engine.arithmetic,
            "engine_version": header.network.engine.version,
        }))
    }

    /// Images a second of the engine alone, all workers together.
    fn alone(&self, network: &Network, image: &[f32]) -> Result<f64, Failure> {
        let sigma = noise_sigma(Sigma::new(self.sigma)?)?;
        let mut images = vec![0.0; self.batch * image.len()];
        let key = NoiseKey::new(0);
        key.add_batch(
            Stream::Fresh,
            0,
            0..self.batch as u32,
            sigma,
            image,
            &mut images,
        );
        let mut workers: Vec<_> = (0..self.threads)
            .map(|_| network.worker())
            .collect::<Result<_, _>>()?;
        for worker in &mut workers {
            worker.classify(&images)?;
        }
        // Every worker divides by its own time, so that none waits for another's last batch.
        let work = |worker: &mut Box<dyn Classifier>| -> Result<f64, recert::engine::Error> {
            let (start, mut done) = (Instant::now(), 0);
            while start.elapsed() < SPAN {
                done += worker.classify(&images)?.len();
            }
            Ok(done as f64 / start.elapsed().as_secs_f64())
        };
        Ok(std::thread::scope(|scope| {
            let threads: Vec<_> = workers
                .iter_mut()
                .map(|worker| scope.spawn(|| work(worker)))
                .collect();
            let all =
                (threads.into_iter()).map(|thread| thread.join().expect("a worker does not panic"));
            all.sum::<Result<f64, _>>()
        })?)
    }
}
