//! A worker's instance of a network: a classifier of noisy samples, or what makes these itself.

use std::fmt;

use recert_engine::Classifier;

use super::request::{Failure, Output, Request};

/// A network that makes its samples itself, where it is: on a GPU, in another process, or on another
/// machine. All that it is given is plain data, an input and the samples' numbers; all that it
/// returns is codes.
///
/// Its samples have to be those of [`Noise::samples`](super::Noise::samples), bit for bit, so that
/// certificates do not depend on where noise is made, and `check --rerun` can make it again.
pub trait Answerer: Send {
    /// Values per image, `channels * height * width`.
    fn image_len(&self) -> usize;

    /// The network's result for a request that has one assignment, on its input's pixels, flat
    /// `[channels, height, width]` values in `[0, 1]`, with `batch` images in one call of the
    /// network. The coordinator checks that it fits the assignment.
    ///
    /// # Errors
    /// Whatever the network, or the way to it, fails with.
    fn answer(
        &mut self,
        request: &Request,
        pixels: &[f32],
        batch: usize,
    ) -> Result<Output, Failure>;
}

/// A worker's instance of a network.
pub enum Instance {
    /// A classifier, to which the worker gives noisy samples.
    Classifier(Box<dyn Classifier>),
    /// What makes its samples itself.
    Answerer(Box<dyn Answerer>),
}

impl From<Box<dyn Classifier>> for Instance {
    fn from(classifier: Box<dyn Classifier>) -> Self {
        Self::Classifier(classifier)
    }
}

impl From<Box<dyn Answerer>> for Instance {
    fn from(answerer: Box<dyn Answerer>) -> Self {
        Self::Answerer(answerer)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classifier(_) => "Classifier",
            Self::Answerer(_) => "Answerer",
        })
    }
}
