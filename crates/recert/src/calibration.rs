//! Activation ranges for int8, observed by running the network, and on which images.

use std::collections::HashSet;

use recert_data::Dataset;
use recert_engine::{ImageShape, NetworkOptions, Runtime, Tap};
use recert_net::{Calibration, Model, RangeMethod, calibration_points, instrument};
use recert_noise::{NoiseKey, Stream};

use crate::{Error, Result};

/// The key of the metadata of a network file under which the images that it was calibrated on
/// are listed: for each the first 8 bytes of its SHA-256, in hexadecimal, with spaces between.
const CALIBRATED_ON: &str = "recert.calibrated_on";

/// How many bytes of an image's SHA-256 are listed.
const LISTED: usize = 8;

/// The network with a list of the images of `data` at positions `images` that it was calibrated
/// on in its metadata.
pub(crate) fn record_images(
    model: &Model,
    data: &Dataset,
    images: impl IntoIterator<Item = u32>,
) -> Result<Model> {
    let hash = |idx| Ok(recert_ledger::hex(&data.image(idx)?.sha256()[..LISTED]));
    let hashes = images.into_iter().map(hash).collect::<Result<Vec<_>>>()?;
    Ok(recert_net::with_metadata(
        model,
        CALIBRATED_ON,
        &hashes.join(" "),
    )?)
}

/// Images that a network was calibrated on.
#[derive(Debug, Clone, Default)]
pub(crate) struct CalibrationImages(HashSet<String>);

impl CalibrationImages {
    /// Those that the network's file lists; none where it lists none.
    pub(crate) fn of(model: &Model) -> Self {
        let listed = model.metadata(CALIBRATED_ON).unwrap_or_default();
        Self(listed.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether none is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an image of this SHA-256 is one of them.
    pub(crate) fn contains(&self, sha256: &[u8; 32]) -> bool {
        self.0.contains(&recert_ledger::hex(&sha256[..LISTED]))
    }
}

/// Gaussian noise on calibration images: a network that will be certified by
/// smoothing sees noisy images, and its ranges should be those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationNoise {
    /// Standard deviation, in the units of the images.
    pub sigma: f32,
    /// The generator's seed.
    pub seed: u64,
}

/// Runs `model` on the images of `data` at positions `images` (one noisy sample
/// each, where `noise` is given) and observes every tensor that quantizing to
/// int8 needs the range of.
///
/// # Errors
/// Whatever reading an image, loading or running the network fails with, and
/// NaN activations.
///
/// ```
/// use recert::engine::NetworkOptions;
/// use recert::net::{Model, RangeMethod, quantize_int8};
///
/// # fn main() -> Result<(), recert::Error> {
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// let model = Model::read(format!("{demo}/shapes.onnx"))?;
/// let data = format!("{demo}/shapes-calibration.npz").parse()?;
/// let data = recert::data::Dataset::open(&data, &Default::default())?;
/// let engine = recert::engine::engines::embedded(&model, None);
/// let options = NetworkOptions::default();
/// let ranges = recert::calibrate(
///     &model, engine.as_ref(), &options, &data, 0..20, None, RangeMethod::MinMax,
/// )?;
/// let (int8, _) = quantize_int8(&model, &ranges)?;
/// assert!(int8.size() < model.size());
/// # Ok(())
/// # }
/// ```
pub fn calibrate(
    model: &Model,
    runtime: &dyn Runtime,
    options: &NetworkOptions,
    data: &Dataset,
    images: impl IntoIterator<Item = u32>,
    noise: Option<CalibrationNoise>,
    method: RangeMethod,
) -> Result<Calibration> {
    let points = calibration_points(model)?;
    let instrumented = instrument(model, &points)?;
    let shape = data.shape();
    let image = ImageShape {
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
    };
    let mut tap = Tap::load(&instrumented, runtime, image, options, &points)?;
    let mut calibration = Calibration::new(method)?;
    for idx in images {
        let mut pixels = data.image(idx)?.pixels;
        if let Some(CalibrationNoise { sigma, seed }) = noise {
            let clean = pixels.clone();
            NoiseKey::new(seed).add(Stream::Calibration, idx, 0, sigma, &clean, &mut pixels);
        }
        tap.visit::<Error>(&pixels, |name, values| {
            Ok(calibration.observe(name, values)?)
        })?;
    }
    Ok(calibration)
}
