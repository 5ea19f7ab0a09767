//! Collecting: noisy copies through a classifier, answers into the ledger.
//!
//! The scheduler (this file) decides what to evaluate next and is the only one
//! that writes; workers (`pool.rs`) evaluate chunks of copies of one input. A
//! chunk's size follows the speed seen, so that about a second of work is in
//! flight a worker, and has no influence on any count: each copy's noise is a
//! pure function of (seed, stream, input, copy).

mod pool;
mod scheduler;

pub use scheduler::{Collect, Conclude, collect};

use recert_ledger::{Certificate, Input};
use recert_num::Sigma;

use crate::Error;

/// Watches a run, and may stop it.
pub trait Observer {
    /// Called once: evaluations that the run needs, and how many of them the
    /// ledger holds already.
    fn start(&mut self, _evaluations: u64, _done: u64) {}
    /// Evaluations have been written to the ledger.
    fn evaluated(&mut self, _evaluations: u64) {}
    /// An input is done; called in the order of the inputs.
    fn concluded(&mut self, _input: &Input, _certificates: &[Certificate]) {}
    /// Whether to stop: what is in flight is finished and written first.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a stopped run has not concluded every input"]
pub enum Outcome {
    /// Every input is concluded.
    Finished,
    /// The observer stopped it; the same call again goes on from there.
    Stopped,
}

/// The standard deviation that float32 noise is scaled by: the least float32
/// not below `sigma`. A certificate for noise of deviation s holds for every
/// smaller stated sigma, since radii are proportional to it.
///
/// # Errors
/// If `sigma` is too large or too small for float32.
pub fn noise_sigma(sigma: Sigma) -> Result<f32, Error> {
    let wanted = sigma.get();
    let nearest = wanted as f32;
    let noise = if f64::from(nearest) < wanted {
        nearest.next_up()
    } else {
        nearest
    };
    if noise.is_normal() {
        return Ok(noise);
    }
    let message = format!("sigma {wanted} is out of the range of 32-bit floats");
    Err(Error::parameter(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_never_narrower_than_stated() {
        for sigma in [0.1, 0.12, 0.25, 0.3, 0.5, 1.0, 1e-30, 1e30] {
            let noise = f64::from(noise_sigma(Sigma::new(sigma).unwrap()).unwrap());
            assert!(
                noise >= sigma && noise <= sigma * (1.0 + 1.2e-7),
                "{sigma} {noise}"
            );
        }
        for sigma in [1e-60, 1e60] {
            assert!(noise_sigma(Sigma::new(sigma).unwrap()).is_err());
        }
    }
}
