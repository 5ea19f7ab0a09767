//! Activation ranges for int8, observed by running the network.

use recert_data::Dataset;
use recert_engine::{ImageShape, NetworkOptions, Runtime, Tap};
use recert_net::{Calibration, Model, RangeMethod, calibration_points, instrument};
use recert_noise::{NoiseKey, Stream};

use crate::{Error, Result};

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
