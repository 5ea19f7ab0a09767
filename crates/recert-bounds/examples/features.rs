//! Extracts the proof features of the images of a data set, as JSON that
//! `bench/features/compare.py` holds against published runs.
//!
//! ```sh
//! cargo run --release -p recert-bounds --example features -- \
//!     NETWORK DATA EPS [method=crown] [images=N] [seed=0] > features.json
//! ```
//!
//! EPS is the radius of an L-inf ball in units of pixels in [0, 1], cut to [0, 1]; the method is
//! `ibp`, `crown`, `crown-alone` (as the published runs have it) or `alpha-crown`; the seed is that
//! of the random order.

use std::error::Error;
use std::path::Path;

use recert_bounds::features::{Method, Order, Penultimate, Proof};
use recert_bounds::{Network, Options, Property, Region};
use recert_data::{DataSpec, Dataset};
use recert_graph::{Builder, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut next = |name: &str| given.next().ok_or(format!("{name} is missing"));
    let path = next("NETWORK")?;
    let spec: DataSpec = next("DATA")?.parse()?;
    let eps: f64 = next("EPS")?.parse()?;
    let data = Dataset::open(&spec, &recert_data::Options::default())?;
    let [mut method, mut seed, mut images] =
        ["crown".to_owned(), "0".to_owned(), data.len().to_string()];
    for argument in given {
        match argument.split_once('=') {
            Some(("method", value)) => value.clone_into(&mut method),
            Some(("seed", value)) => value.clone_into(&mut seed),
            Some(("images", value)) => value.clone_into(&mut images),
            _ => return Err(format!("there is no argument {argument}").into()),
        }
    }
    let bounded_by = match method.as_str() {
        "ibp" => Method::Interval,
        "crown" => Method::Crown,
        "crown-alone" => Method::CrownAlone,
        "alpha-crown" => Method::AlphaCrown { steps: 20 },
        other => return Err(format!("there is no method {other}").into()),
    };
    let seed: u32 = seed.parse()?;
    let images = images.parse::<u32>()?.min(data.len() as u32);

    let network = Network::new(&Builder::new(&Model::read(&path)?).build()?)?;
    let cut = Penultimate::of(&network)?;
    let name = Path::new(&path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    println!(
        r#"{{"network": "{name}", "eps": {eps}, "method": "{method}", "seed": {seed}, "images": ["#
    );
    for index in 0..images {
        let pixels: Vec<f64> = data
            .image(index)?
            .pixels
            .iter()
            .map(|&x| x.into())
            .collect();
        let label = data.label(index).ok_or("an image without a label")? as usize;
        let outputs = network.evaluate(&pixels);
        let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let answer = outputs.iter().position(|&y| y == largest).unwrap_or(0);
        print!(r#"{{"index": {index}, "label": {label}, "answer": {answer}, "#);
        let mut found = None;
        // Of a misclassified image there is nothing to prove.
        if answer == label {
            let property = Property::label(network.outputs(), label)?;
            let region = Region::linf(&pixels, eps)?;
            let proof = Proof::new(&cut, &region, &property, bounded_by, Options::default())?;
            if let Some(kept) = proof.extract(Order::Priority)? {
                // Every image has a random order of its own.
                let random = Order::Random(u64::from(seed) << 32 | u64::from(index));
                let [random, weight] = [random, Order::Weight].map(|order| proof.extract(order));
                found = Some((
                    proof.order(Order::Priority).len(),
                    kept,
                    random?.map_or(0, |kept| kept.len()),
                    weight?.map_or(0, |kept| kept.len()),
                ));
            }
        }
        if let Some((features, kept, random, weight)) = &found {
            print!(
                r#""features": {features}, "kept": {kept:?}, "random": {random}, "weight": {weight}, "#
            );
        }
        let comma = if index + 1 < images { "," } else { "" };
        println!(r#""verified": {}}}{comma}"#, found.is_some());
    }
    println!("]}}");
    Ok(())
}
