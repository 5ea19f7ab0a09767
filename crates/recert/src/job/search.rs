//! Looking for an approximate version of a network: what a layer may become, the networks that are made so, and
//! what is seen of them on samples that no certificate rests on.
//!
//! | file | concern |
//! |---|---|
//! | `change` | what the weights of a layer become, in words |
//! | `recipe` | a network of which each layer becomes something |
//! | `samples` | the ledger of a search: the original and its versions on fresh samples, in pairs |
//! | `estimate` | what these pairs say of disagreement and radius |

mod change;
mod estimate;
mod recipe;
mod samples;

pub use change::{Change, Format};
#[cfg(test)]
pub(super) use estimate::loss_of;
pub(super) use estimate::{Estimator, InputPairs, Loss, Measure};
pub(super) use recipe::{Maker, Recipe};
pub(super) use samples::{Original, Samples};

pub use samples::SearchConfig;

/// Estimates for versions of `original`, certified from as many samples as it.
pub(super) fn estimator(original: &Original, measure: Measure) -> crate::Result<Estimator> {
    let header = &original.header;
    Estimator::new(header.sigma, header.alpha, header.n, measure)
}
