//! Trains for some steps, and either prints how long each took or writes what it was computed from, as
//! `bench/train` compares with PyTorch.
//!
//! ```sh
//! cargo run --release -p recert-train --example steps -- \
//!     data=idx:FOLDER architecture=cnn3 method=ibp eps=0.1 batch=256 steps=50 threads=1 [crop=8] \
//!     [ramp=2] [device=gpu] [record=FOLDER]
//! ```
//!
//! Without `record` it prints a row a step, tab-separated: seconds by the clock and of processor time (user
//! and system, all threads); then the process's peak of memory in MiB. With it, it writes the arrays of every
//! step's record as `STEP.NAME.npy`, and prints step, method, eps, beta, the weights of the loss on clean
//! images and of the regularisers, and the loss in float32 and in float64. `crop` takes the middle of the images.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use recert_data::{DataSpec, Dataset};
use recert_train::{
    Architecture, Attack, Cells, Examples, Initialization, Latent, Method, Network, Normalization,
    PixelBounds, Schedule, Settings, StepRecord, Training, with_threads,
};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Arguments `name=value`.
struct Arguments(BTreeMap<String, String>);

impl Arguments {
    fn text(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or_else(|| format!("{name}=.. is missing").into())
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        match self.0.get(name) {
            Some(text) => text.parse().map_err(|_| format!("{name}={text}").into()),
            None => Ok(default),
        }
    }

    fn count(&self, name: &str, default: usize) -> Result<usize> {
        Ok(self.number(name, default as f64)? as usize)
    }
}

fn main() -> Result<()> {
    let given = std::env::args().skip(1).map(|argument| {
        let (name, value) = argument.split_once('=').ok_or("name=value")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let arguments = Arguments(given.collect::<Result<_>>()?);
    let threads = arguments.count("threads", 1)?;
    with_threads(threads, || steps(&arguments))?
}

fn steps(arguments: &Arguments) -> Result<()> {
    let examples = examples(arguments)?;
    let settings = settings(arguments)?;
    let architecture: Architecture = arguments.text("architecture")?.parse()?;
    let image = examples.image();
    let layers = architecture.layers(image, examples.classes())?;
    let (mean, std) = (vec![0.1307; image[0]], vec![0.3081; image[0]]);
    let initialization = if settings.method.bounds() {
        Initialization::Interval
    } else {
        Initialization::He
    };
    let normalization = Normalization { mean, std };
    let network = Network::new(image, layers, normalization, initialization, settings.seed)?;
    let mut training = Training::new(network, &examples, settings)?;
    match arguments.0.get("record") {
        Some(folder) => recorded(&mut training, Path::new(folder)),
        None => timed(&mut training),
    }
}

fn timed(training: &mut Training<'_>) -> Result<()> {
    let mut last = (Instant::now(), processor());
    println!("step\tseconds\tcpu\tloss");
    training.epoch(|progress| {
        let now = (Instant::now(), processor());
        let (seconds, cpu) = ((now.0 - last.0).as_secs_f64(), now.1 - last.1);
        println!(
            "{}\t{seconds:.6}\t{cpu:.6}\t{}",
            progress.step, progress.loss
        );
        last = (Instant::now(), processor());
        ControlFlow::Continue(())
    })?;
    // The peak that Linux keeps of this program alone; nothing where there is none.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    println!("peak\t{:.1}", peak.unwrap_or(f64::NAN) / 1024.0);
    Ok(())
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn recorded(training: &mut Training<'_>, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    println!("step\tmethod\teps\tbeta\tclean\tregularizer\tloss\tdouble");
    let (mut step, mut failed) = (0, None);
    let mut record = |record: &StepRecord| {
        let [eps, beta, clean, regularizer] = record.moment;
        println!(
            "{step}\t{}\t{eps:e}\t{beta:e}\t{clean:e}\t{regularizer:e}\t{:e}\t{:e}",
            record.method, record.loss, record.doubles.0
        );
        if let Err(error) = written(record, folder, step) {
            failed.get_or_insert(error);
        }
        step += 1;
    };
    training.recorded_epoch(|_| ControlFlow::Continue(()), Some(&mut record))?;
    failed.map_or(Ok(()), Err)
}

fn written(record: &StepRecord, folder: &Path, step: usize) -> Result<()> {
    let path = |name: &str| folder.join(format!("{step:03}.{name}.npy"));
    let single = |name: &str, values: &[f32]| {
        npy(&path(name), "<f4", values.iter().map(|x| x.to_le_bytes()))
    };
    single("pixels", &record.pixels)?;
    single("starts", &record.starts)?;
    single("noise", &record.noise)?;
    single("points", &record.points)?;
    single("centre", &record.region[0])?;
    single("radius", &record.region[1])?;
    let latent = &record.latent;
    single("latent-starts", &latent.starts)?;
    single("latent-points", &latent.points)?;
    for (end, name) in ["lower", "upper"].into_iter().enumerate() {
        single(&format!("latent-{name}"), &latent.ends[end])?;
        single(&format!("latent-{name}-slopes"), &latent.slopes[end])?;
    }
    let labels = record
        .labels
        .iter()
        .map(|&label| (label as u64).to_le_bytes());
    npy(&path("labels"), "<i8", labels)?;
    single("weights", &record.weights.concat())?;
    single("gradients", &record.gradients.concat())?;
    let doubles = record.doubles.1.iter().flatten().map(|x| x.to_le_bytes());
    npy(&path("doubles"), "<f8", doubles)
}

/// Writes a vector in `NumPy`'s format, version 1.0.
fn npy<const N: usize>(
    path: &Path,
    kind: &str,
    elements: impl Iterator<Item = [u8; N]>,
) -> Result<()> {
    let body: Vec<u8> = elements.flatten().collect();
    let count = body.len() / N;
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count},), }}");
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((padded as u16).to_le_bytes());
    file.extend(format!("{text:<width$}\n", width = padded - 1).into_bytes());
    file.extend(body);
    Ok(fs::write(path, file)?)
}

/// The first images of the data set, as many as the steps take.
fn examples(arguments: &Arguments) -> Result<Examples> {
    let spec: DataSpec = arguments.text("data")?.parse()?;
    let options = recert_data::Options {
        split: recert_data::Split::Train,
        ..recert_data::Options::default()
    };
    let data = Dataset::open(&spec, &options)?;
    let count = arguments.count("batch", 256)? * arguments.count("steps", 50)?;
    let shape = data.shape();
    let (height, width) = (shape.height, shape.width);
    let crop = arguments.count("crop", height)?.min(height).min(width);
    let [top, left] = [height, width].map(|extent| (extent - crop) / 2);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for number in 0..count.min(data.len()) as u32 {
        let image = data.image(number)?.pixels;
        for row in image
            .chunks(width)
            .enumerate()
            .filter(|(row, _)| (top..top + crop).contains(&(row % height)))
        {
            pixels.extend_from_slice(&row.1[left..left + crop]);
        }
        labels.push(data.label(number).ok_or("an image without a label")? as usize);
    }
    Ok(Examples::new(
        [shape.channels, crop, crop],
        pixels,
        labels,
        10,
    )?)
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let number = |name, default| arguments.number(name, default);
    let (alpha, tau) = (number("alpha", 0.5)?, number("tau", 0.4)?);
    let (sigma, samples) = (number("sigma", 0.25)?, arguments.count("samples", 2)?);
    let latent = Latent {
        weight: number("taps-weight", 5.0)?,
        ..Latent::default()
    };
    let method = match arguments.text("method")? {
        "standard" => Method::Standard,
        "gaussian" => Method::Gaussian { sigma },
        "gaussian-hinge" => Method::GaussianHinge {
            sigma,
            margin: number("margin", 1.0)?,
            weight: number("margin-weight", 1.0)?,
        },
        "gaussian-ibp" => Method::GaussianIbp { sigma, alpha },
        "pgd" => Method::Pgd,
        "smoothadv" => Method::SmoothAdv { sigma, samples },
        "ibp" => Method::Ibp,
        "crown-ibp" => Method::CrownIbp,
        "sabr" => Method::Sabr { tau },
        "mtl-ibp" => Method::MtlIbp { alpha },
        "cc-ibp" => Method::CcIbp { alpha },
        "exp-ibp" => Method::ExpIbp { alpha },
        "taps" => Method::Taps { latent },
        "staps" => Method::Staps { tau, latent },
        "geometric" => Method::Geometric,
        other => return Err(format!("no method {other}").into()),
    };
    let cells = match method {
        Method::Geometric => Some(Cells {
            transformation: arguments.text("transform")?.parse()?,
            widths: vec![number("cell-width", 0.5)?],
            pixels: PixelBounds::Interval,
            per_batch: 1,
        }),
        _ => None,
    };
    let base = Settings::new(method);
    let [first, last] = base.schedule.clean;
    Ok(Settings {
        cells,
        relu_shrink: number("relu-shrink", 1.0)?,
        eps: if method.has_eps() {
            number("eps", 0.1)?
        } else {
            0.0
        },
        batch: arguments.count("batch", 256)?,
        device: arguments.text("device").unwrap_or("cpu").parse()?,
        attack: Attack {
            steps: arguments.count("attack-steps", 8)?,
            restarts: arguments.count("attack-restarts", 1)?,
            ..Attack::default()
        },
        schedule: Schedule {
            epochs: 1,
            ramp_end: arguments.count("ramp", 1)?,
            milestones: Vec::new(),
            clean: [number("clean", first)?, number("clean", last)?],
            ..Schedule::default()
        },
        seed: 1,
        ..base
    })
}
