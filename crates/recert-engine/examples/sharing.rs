//! What it brings that networks compute the layers once that they have in
//! common.
//!
//!     cargo run --release -p recert-engine --example sharing -- A.onnx,B.onnx[,..] 3 32 32 [ROUNDS] [IMAGES]
//!
//! Asks all networks about the same images, in batches of 32 and on one thread,
//! sharing and each for itself in turns; then the first network alone, which is
//! what sharing costs where no image is asked about twice. Prints one line a
//! run: the wall-clock seconds and, on Linux, those that the thread computed.
//! Fails if one answer has other bits.

use std::time::Instant;

use recert_engine::engines::Direct;
use recert_engine::{
    Answers, Classifier, EngineOptions, ImageShape, Network, NetworkOptions, Sharing,
};
use recert_graph::Model;

const BATCH: usize = 32;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "usage: sharing A.onnx,B.onnx[,..] CHANNELS HEIGHT WIDTH [ROUNDS] [IMAGES]";

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, sizes @ ..] = args.as_slice() else {
        return Err(USAGE.into());
    };
    let sizes: Vec<usize> = sizes.iter().map(|s| s.parse()).collect::<Result<_, _>>()?;
    let [channels, height, width, rest @ ..] = sizes.as_slice() else {
        return Err(USAGE.into());
    };
    let image = ImageShape {
        channels: *channels,
        height: *height,
        width: *width,
    };
    let rounds = rest.first().copied().unwrap_or(7);
    let count = rest.get(1).copied().unwrap_or(20 * BATCH);
    let engine = Direct::new(&EngineOptions::default())?;
    let models: Vec<Model> = (files.split(','))
        .map(Model::read)
        .collect::<Result<_, _>>()?;
    let networks = models
        .iter()
        .map(|model| Network::load(model, &engine, image, &NetworkOptions::default()));
    let networks: Vec<Network> = networks.collect::<Result<_, _>>()?;
    let pairs: Vec<_> = networks.iter().zip(&models).collect();
    let sharing = Network::sharing(&pairs)?.ok_or("these networks share nothing")?;
    eprintln!(
        "{} networks share {} layers, {:.2} % of the multiply-adds",
        networks.len(),
        sharing.layers(),
        100.0 * sharing.shared_fraction(),
    );
    println!("networks\tround\thow\tevaluations\tseconds\tprocessor_seconds");
    for round in 1..=rounds {
        // Other images every time: what is kept of the last ones is of no use.
        let images = numbers(round as u64, count * image.len());
        let hows = if round % 2 == 1 {
            ["shared", "apart"]
        } else {
            ["apart", "shared"]
        };
        for asked in [networks.len(), 1] {
            let mut wanted = None;
            for how in hows {
                let mut workers = workers(&networks, &sharing, how)?;
                let (start, used) = (Instant::now(), processor());
                let answers = ask(&mut workers[..asked], &images, image.len())?;
                let wall = start.elapsed().as_secs_f64();
                let used = processor().zip(used).map(|(after, before)| after - before);
                let used = used.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3}"));
                let evaluations = count * asked;
                println!("{asked}\t{round}\t{how}\t{evaluations}\t{wall:.3}\t{used}");
                if *wanted.get_or_insert_with(|| answers.clone()) != answers {
                    return Err("some answers have other bits".into());
                }
            }
        }
    }
    Ok(())
}

/// One worker's classifiers.
fn workers(
    networks: &[Network],
    sharing: &Sharing,
    how: &str,
) -> Result<Vec<Box<dyn Classifier>>, recert_engine::Error> {
    match how {
        "shared" => sharing.worker(),
        _ => networks.iter().map(Network::worker).collect(),
    }
}

/// The bits of all answers.
fn ask(
    workers: &mut [Box<dyn Classifier>],
    images: &[f32],
    length: usize,
) -> Result<Vec<u32>, Failure> {
    let mut bits = Vec::new();
    for batch in images.chunks(BATCH * length) {
        for worker in &mut *workers {
            match worker.classify(batch)? {
                Answers::Logits { values, .. } => bits.extend(values.iter().map(|v| v.to_bits())),
                Answers::Classes(_) => return Err("a network of classes alone".into()),
            }
        }
    }
    Ok(bits)
}

/// Numbers from 0 to 1 that look random (an LCG's high bits).
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    (0..count).map(|_| next()).collect()
}

/// The seconds that this thread has computed, where Linux says so.
fn processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
