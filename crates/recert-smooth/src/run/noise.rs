//! The noise of a run: the generator that a ledger names, and adding its noise to images.

use std::ops::Range;

use recert_ledger::Header;
use recert_noise::{IntegerNoise, Law, NoiseKey, Stream, integer};
use recert_num::Sigma;
use serde::{Deserialize, Serialize};

use super::noise_sigma;
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

/// Noise that is ready to be added to images.
#[derive(Debug, Clone)]
pub(super) enum Noise {
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
    /// The noise with these parameters; an error if this version does not know the generator,
    /// or if the generator cannot make noise of this sigma.
    pub(super) fn new(parameters: &NoiseParameters) -> Result<Self, Error> {
        let &NoiseParameters { seed, sigma, .. } = parameters;
        match Law::of_generator(&parameters.generator)? {
            Law::Gaussian => Ok(Self::Gaussian {
                key: NoiseKey::new(seed),
                sigma: noise_sigma(Sigma::new(sigma)?)?,
            }),
            Law::Integer => Ok(Self::Integer(IntegerNoise::new(seed, sigma)?)),
        }
    }

    /// Converts input `idx` to the form that this noise is added to; an error if that is not
    /// possible.
    pub(super) fn prepare<'a>(&self, idx: u32, pixels: &'a [f32]) -> Result<Image<'a>, Error> {
        match self {
            Self::Gaussian { .. } => Ok(Image::Float(pixels)),
            Self::Integer(_) => match integer::levels(pixels) {
                Some(levels) => Ok(Image::Levels(levels)),
                None => Err(Error::new(
                    ErrorKind::Data,
                    format!("input {idx} is not 8-bit: integer noise needs pixels k/255"),
                )),
            },
        }
    }

    /// Writes the noisy samples `samples` of input `idx`, one after the other.
    pub(super) fn add_batch(
        &self,
        stream: Stream,
        idx: u32,
        samples: Range<u32>,
        image: &Image<'_>,
        out: &mut [f32],
    ) {
        match (self, image) {
            (Self::Gaussian { key, sigma }, Image::Float(image)) => {
                key.add_batch(stream, idx, samples, *sigma, image, out);
            }
            (Self::Integer(noise), Image::Levels(image)) => {
                noise.add_batch(stream, idx, samples, image, out);
            }
            _ => unreachable!("an image is prepared by the noise that is added to it"),
        }
    }
}
