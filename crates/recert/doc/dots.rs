// Two images of two pixels, and networks that tell whether they are bright, for the
// examples in this crate's documentation.

use std::path::{Path, PathBuf};

use recert::engine::ImageShape;
use recert::job::{CertifyConfig, Data, Event, Network, certify};

const SHAPE: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 2,
};

fn dots() -> recert::Result<Data> {
    Data::from_pixels("two dots", SHAPE, &[0.0, 0.2, 0.9, 1.0], Some(vec![0, 1]))
}

fn brighter_than(limit: f32) -> recert::Result<Network> {
    Network::from_fn(&format!("brighter than {limit}"), 2, SHAPE, move |pixels| {
        Some(u16::from(pixels[0] + pixels[1] > limit))
    })
}

/// Certifies both images under `brighter_than(1.0)`, from 2,000 samples each.
fn certified(folder: &Path) -> recert::Result<PathBuf> {
    let ledger = folder.join("dots.recert");
    let config = CertifyConfig { n: 2000, ..CertifyConfig::new(0.25) };
    certify(&ledger, &config, &dots()?, &brighter_than(1.0)?)?.run(&mut |_: Event<'_>| ())?;
    Ok(ledger)
}
