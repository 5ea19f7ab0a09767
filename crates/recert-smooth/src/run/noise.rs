//! The noise of a run: the generator that a ledger names, and adding its noise to images.

use recert_ledger::Header;
use recert_noise::{IntegerNoise, Law, NoiseKey, Stream, integer};
use recert_num::Sigma;
use serde::{Deserialize, Serialize};

use super::noise_sigma;
use super::samples::Samples;
use crate::{Error, ErrorKind};

/// The parameters that, with a sample's stream, input and number, determine its noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseParameters {
    /// The generator, by name and version.
    pub generator: String,
    /// The generator's seed.
    pub seed: u64,
    /// The standard deviation, in the units of the images.
    pub sigma: f64,
}

impl From<&Header> for NoiseParameters {
    fn from(header: &Header) -> Self {
        Self {
            generator: header.generator.clone(),
            seed: header.seed,
            sigma: header.sigma,
        }
    }
}

/// Noise that is ready to be added to images. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Noise(OfLaw);

#[derive(Debug, Clone)]
enum OfLaw {
    /// Float32 noise, with its deviation as a float32.
    Gaussian { key: NoiseKey, sigma: f32 },
    /// Whole grey levels, on 8-bit images.
    Integer(IntegerNoise),
}

/// An image in the form to which noise of a law is added.
#[derive(Debug)]
pub(super) enum Image<'a> {
    /// Values in [0, 1].
    Float(&'a [f32]),
    /// Grey levels.
    Levels(Vec<u8>),
}

impl Noise {
    /// The noise with these parameters.
    ///
    /// # Errors
    /// If this version does not know the generator, or if that cannot make noise of this sigma.
    pub fn new(parameters: &NoiseParameters) -> Result<Self, Error> {
        let &NoiseParameters { seed, sigma, .. } = parameters;
        Ok(Self(match Law::of_generator(&parameters.generator)? {
            Law::Gaussian => OfLaw::Gaussian {
                key: NoiseKey::new(seed),
                sigma: noise_sigma(Sigma::new(sigma)?)?,
            },
            Law::Integer => OfLaw::Integer(IntegerNoise::new(seed, sigma)?),
        }))
    }

    /// Writes noisy samples of input `idx`, one after the other: what a
    /// [`Worker`](super::Worker) gives its classifiers, for whoever answers by other means and
    /// needs the same samples.
    ///
    /// ```
    /// use recert_noise::{NoiseKey, Stream};
    /// use recert_smooth::run::{Noise, NoiseParameters, Samples};
    ///
    /// let noise = Noise::new(&NoiseParameters {
    ///     generator: recert_noise::GENERATOR.into(),
    ///     seed: 7,
    ///     sigma: 0.25,
    /// })?;
    /// let (image, mut noisy) = ([0.5, 0.25], [0.0; 4]);
    /// let samples = Samples::from_ascending(&[3, 8]);
    /// noise.samples(Stream::Certify, 0, &samples, &image, &mut noisy)?;
    /// let mut last = [0.0; 2];
    /// NoiseKey::new(7).add(Stream::Certify, 0, 8, 0.25, &image, &mut last);
    /// assert_eq!(noisy[2..], last);
    /// # Ok::<(), recert_smooth::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the image is not of the kind that the noise is for.
    ///
    /// # Panics
    /// If `out` does not have one image a sample.
    pub fn samples(
        &self,
        stream: Stream,
        idx: u32,
        samples: &Samples,
        pixels: &[f32],
        out: &mut [f32],
    ) -> Result<(), Error> {
        let image = self.prepare(idx, pixels)?;
        self.add(stream, idx, samples, &image, out);
        Ok(())
    }

    /// Converts input `idx` to the form that this noise is added to; an error if that is not
    /// possible.
    pub(super) fn prepare<'a>(&self, idx: u32, pixels: &'a [f32]) -> Result<Image<'a>, Error> {
        match &self.0 {
            OfLaw::Gaussian { .. } => Ok(Image::Float(pixels)),
            OfLaw::Integer(_) => match integer::levels(pixels) {
                Some(levels) => Ok(Image::Levels(levels)),
                None => Err(Error::new(
                    ErrorKind::Data,
                    format!("input {idx} is not 8-bit: integer noise needs pixels k/255"),
                )),
            },
        }
    }

    /// Writes noisy samples of input `idx`, one after the other.
    pub(super) fn add(
        &self,
        stream: Stream,
        idx: u32,
        samples: &Samples,
        image: &Image<'_>,
        out: &mut [f32],
    ) {
        let len = match image {
            Image::Float(image) => image.len(),
            Image::Levels(image) => image.len(),
        };
        let mut rest = out;
        for range in samples.ranges() {
            let (rows, others) = rest.split_at_mut(range.len() * len);
            rest = others;
            match (&self.0, image) {
                (OfLaw::Gaussian { key, sigma }, Image::Float(image)) => {
                    key.add_batch(stream, idx, range, *sigma, image, rows);
                }
                (OfLaw::Integer(noise), Image::Levels(image)) => {
                    noise.add_batch(stream, idx, range, image, rows);
                }
                _ => unreachable!("an image is prepared by the noise that is added to it"),
            }
        }
        assert!(
            rest.is_empty(),
            "there is room for more samples than there are"
        );
    }
}
