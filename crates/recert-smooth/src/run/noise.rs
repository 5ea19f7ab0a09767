//! The noise of a run: which law the ledger names, and the images it can be added to.

use std::ops::Range;
use std::sync::Arc;

use recert_ledger::Ledger;
use recert_noise::{IntegerNoise, Law, NoiseKey, Stream, integer};
use recert_num::Sigma;

use super::noise_sigma;
use crate::{Error, ErrorKind};

/// The noise that a ledger's header fixes, ready to be added to images.
#[derive(Debug, Clone)]
pub(super) enum Noise {
    /// Float32 noise, with its deviation as a float32.
    Gaussian { key: NoiseKey, sigma: f32 },
    /// Whole grey levels, on 8-bit images.
    Integer(IntegerNoise),
}

/// An image in the form that its noise is added to.
#[derive(Debug, Clone)]
pub(super) enum Pixels {
    /// Values in [0, 1].
    Float(Arc<[f32]>),
    /// Grey levels.
    Levels(Arc<[u8]>),
}

impl Pixels {
    /// Values of one image.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(pixels) => pixels.len(),
            Self::Levels(levels) => levels.len(),
        }
    }
}

impl Noise {
    /// The noise of the generator, seed and sigma in the ledger's header; an error
    /// if this version does not know the generator or cannot make its noise at sigma.
    pub(super) fn new(ledger: &Ledger) -> Result<Self, Error> {
        let header = ledger.header();
        let law = Law::of_generator(&header.generator).map_err(|error| {
            Error::new(
                ErrorKind::Ledger,
                format!("ledger {}: {error}", ledger.path().display()),
            )
        })?;
        match law {
            Law::Gaussian => Ok(Self::Gaussian {
                key: NoiseKey::new(header.seed),
                sigma: noise_sigma(Sigma::new(header.sigma)?)?,
            }),
            Law::Integer => Ok(Self::Integer(IntegerNoise::new(header.seed, header.sigma)?)),
        }
    }

    /// Input `idx` in the form that this noise is added to; an error if it has none.
    pub(super) fn prepare(&self, idx: u32, pixels: Vec<f32>) -> Result<Pixels, Error> {
        match self {
            Self::Gaussian { .. } => Ok(Pixels::Float(pixels.into())),
            Self::Integer(_) => match integer::levels(&pixels) {
                Some(levels) => Ok(Pixels::Levels(levels.into())),
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
        image: &Pixels,
        out: &mut [f32],
    ) {
        match (self, image) {
            (Self::Gaussian { key, sigma }, Pixels::Float(image)) => {
                key.add_batch(stream, idx, samples, *sigma, image, out);
            }
            (Self::Integer(noise), Pixels::Levels(image)) => {
                noise.add_batch(stream, idx, samples, image, out);
            }
            _ => unreachable!("an image is prepared by the noise that is added to it"),
        }
    }
}
