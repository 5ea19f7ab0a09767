//! Collecting: noisy samples through a classifier, answers into the ledger.
//!
//! A run asks for samples of a noise stream of each input: the first m
//! ([`collect`]) or any chosen ones ([`collect_chosen`]). What the ledger lacks of
//! them, the scheduler (`scheduler.rs`) hands out, and it is the only one that
//! writes; workers (`pool.rs`) evaluate chunks of samples of one input. Where
//! several networks answer in one pass, a sample that any of them lacks is made
//! once, and goes to those that lack it. A chunk's
//! size follows the speed seen, so that about a second of work is in flight a
//! worker, and has no influence on any answer: each sample's noise is a pure
//! function of (seed, stream, input, sample).

mod batch;
mod collect;
mod noise;
mod pool;
mod samples;
mod scheduler;

pub use batch::{BATCH, measured_batch, seconds_an_image};
pub use collect::{Chosen, Collect, Conclude, Numbers, Request, Voter, collect, collect_chosen};
pub use pool::select;

use recert_ledger::{Certificate, Header, Input, NetworkId};
use recert_noise::Law;
use recert_num::{Alpha, Sigma};

use crate::Error;

/// Watches a run, and may stop it.
pub trait Observer {
    /// Called once: evaluations that the run needs, and how many of them the
    /// ledger holds already.
    fn start(&mut self, _evaluations: u64, _done: u64) {}
    /// Evaluations have been written to the ledger.
    fn evaluated(&mut self, _evaluations: u64) {}
    /// A network is done with an input; called for each network in the order
    /// of the inputs.
    fn concluded(&mut self, _network: NetworkId, _input: &Input, _certificates: &[Certificate]) {}
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

/// What is left of `alpha` for bounds on up to `samples` samples of an input, once
/// the distance of the noise's law from the stated one is charged to it: all of
/// it for Gaussian noise, whose law is stated up to rounding, and less by the
/// total variation of `samples` samples for integer noise.
///
/// # Errors
/// If the charge is half of alpha or more.
pub(crate) fn level(header: &Header, alpha: Alpha, samples: u64) -> Result<Alpha, Error> {
    let dims = header.shape.iter().map(|&size| u64::from(size)).product();
    let law = Law::of_generator(&header.generator)?;
    Ok(Alpha::new(law.charged_alpha(
        alpha.get(),
        samples,
        dims,
    )?)?)
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
