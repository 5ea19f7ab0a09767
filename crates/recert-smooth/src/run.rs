//! Collecting: evaluating noisy samples and recording the answers in the ledger.
//!
//! A run needs samples of a noise stream of each input: the first m ([`collect`]), or chosen
//! ones ([`collect_chosen`]). The coordinator (`coordinator.rs`) divides the samples that the
//! ledger lacks into [`Request`]s, hands these to [`Workers`], and records the replies; it
//! alone writes to the ledger. A request is some samples of one input. Where several networks
//! share a pass, a sample that any of them lacks is made once and classified by those that
//! lack it. The size of a request follows the speed measured, so that each worker has about
//! a second of work in flight. It has no influence on any answer, since each sample's noise is
//! a pure function of (seed, stream, input, sample).
//!
//! [`Threads`] are workers in this process. Requests and [`Reply`]s are plain data, so that
//! other processes and machines can be workers too; each runs a [`Worker`] with its own
//! classifiers. A network that makes its noise itself, where it is, is an [`Answerer`]: it is given
//! requests, and not images.

mod batch;
mod collect;
mod coordinator;
mod instance;
mod noise;
mod request;
mod samples;
mod selection;
mod threads;
mod work;
mod worker;

pub use batch::{BATCH, measured_batch, seconds_an_image};
pub(crate) use collect::collect_but;
pub use collect::{Collect, Wanted, collect, collect_chosen};
pub use instance::{Answerer, Instance};
pub use noise::{Noise, NoiseParameters};
pub use request::{
    Action, Assignment, EngineFailure, Failure, MarginEdges, Output, Reply, Request,
};
pub use samples::Samples;
pub use selection::select;
pub use threads::Threads;
pub use work::{ChooseSamples, Conclude};
pub use worker::Worker;

use std::sync::Arc;

use recert_ledger::{Certificate, Header, Input, Ledger, NetworkId, Series};
use recert_noise::{Law, Stream};
use recert_num::{Alpha, Sigma};

use crate::{Error, Inputs};

/// The parts that every run needs.
pub struct Run<'a> {
    /// The ledger that answers and certificates are written to.
    pub ledger: &'a mut Ledger,
    /// The inputs of the ledger.
    pub inputs: &'a dyn Inputs,
    /// The workers that evaluate samples; their networks are the ones that the run is about.
    pub workers: &'a mut dyn Workers,
    /// The observer that follows the run.
    pub observer: &'a mut dyn Observer,
}

/// Evaluates requests, in any order: threads of this process ([`Threads`]), or anything else
/// that returns a [`Reply`] for a [`Request`].
///
/// A run submits requests until [`Workers::in_flight`] of them are unanswered, then
/// waits for a reply, writes it to the ledger and goes on. Before it ends, stopped or
/// not, it waits for all replies, unless the workers themselves fail.
///
/// Workers may outlive the process that sent a request, and reply when another asks them. So a
/// reply repeats the request's number, which no other request has, and the SHA-256 of the whole
/// request ([`Request::digest`]). A reply that belongs to no request in flight ends the run as
/// an error. It is never recorded.
pub trait Workers {
    /// The networks that the workers have, by their numbers in the ledger; no network twice.
    /// Requests refer to a network by its position in this list.
    fn networks(&self) -> &[NetworkId];

    /// How many requests should be in flight so that no worker is idle. The number may change
    /// from one call to the next; 0 counts as 1.
    fn in_flight(&self) -> usize;

    /// Hands out a request without waiting for its reply. `pixels` is the input, for workers
    /// that share this process's memory. Others load the input by its position and compare
    /// its hash with the request's.
    ///
    /// # Errors
    /// If no worker can take the request. The run then ends; recorded answers are kept.
    fn submit(&mut self, request: Request, pixels: &Arc<[f32]>) -> Result<(), Error>;

    /// Waits for the reply to any of the requests in flight.
    ///
    /// # Errors
    /// If a request was lost with its worker, since its reply would never come. The run then
    /// ends; recorded answers are kept.
    fn next(&mut self) -> Result<Reply, Error>;
}

/// Follows a run, and may stop it.
pub trait Observer {
    /// Called once at the start, with the number of evaluations that the run needs and how
    /// many of them the ledger holds already.
    fn start(&mut self, _evaluations: u64, _done: u64) {}
    /// Called when this many evaluations have been written to the ledger.
    fn evaluated(&mut self, _evaluations: u64) {}
    /// Called when a network's certificates of an input have been recorded; for each
    /// network in the order of the inputs.
    fn concluded(&mut self, _network: NetworkId, _input: &Input, _certificates: &[Certificate]) {}
    /// Whether to stop the run. Requests in flight are finished and recorded first.
    fn stop(&self) -> bool {
        false
    }
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a stopped run has not concluded every input"]
pub enum Outcome {
    /// Every input is concluded.
    Finished,
    /// The observer stopped the run; the same call again continues it.
    Stopped,
}

impl Run<'_> {
    /// The ledger's own network, f; an error unless the workers have it and no other.
    pub(crate) fn base_alone(&self) -> Result<NetworkId, Error> {
        let base = self.ledger.base();
        if self.workers.networks() == [base] {
            return Ok(base);
        }
        Err(Error::parameter(
            "the workers must have the ledger's own network, f, and no other",
        ))
    }
}

/// The series of a network's answers on one stream of an input.
pub(crate) fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: recert_ledger::Stream(stream.tag()),
    }
}

/// Fails if a network is named twice.
fn distinct(networks: &[NetworkId]) -> Result<(), Error> {
    let repeated = |i: usize| networks[..i].contains(&networks[i]);
    if (0..networks.len()).any(repeated) {
        return Err(Error::parameter("the workers have the same network twice"));
    }
    Ok(())
}

/// The failure probability that is left of `alpha` for bounds from up to `samples` samples of
/// an input, after the distance of the sampled noise from its stated law is charged. For
/// Gaussian noise, whose law is stated up to rounding, that is all of alpha; for integer noise
/// it is less by the total variation distance of `samples` samples.
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
/// ```
/// use recert_num::Sigma;
///
/// assert_eq!(recert_smooth::noise_sigma(Sigma::new(0.25)?)?, 0.25);
/// let noise = recert_smooth::noise_sigma(Sigma::new(0.1)?)?;
/// assert!(f64::from(noise) > 0.1, "0.1 is no float32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
