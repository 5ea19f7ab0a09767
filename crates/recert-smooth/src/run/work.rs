//! The work of a run: the samples of inputs that networks must answer, and what is done once
//! they are answered.

use std::borrow::Cow;

use recert_ledger::{Certificate, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::samples::Samples;
use super::{Run, distinct};
use crate::Error;

/// Chooses samples of an input: a list of numbers, or a rule that finds them when the input's
/// turn comes, so that the lists of all inputs need not be in memory at once.
pub trait ChooseSamples {
    /// The samples' numbers, strictly ascending and below `u32::MAX`. The answer must not
    /// change with what this run writes to the ledger.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    fn samples(&self, ledger: &Ledger, idx: u32) -> Result<Cow<'_, [u32]>, Error>;
}

impl ChooseSamples for Vec<u32> {
    fn samples(&self, _: &Ledger, _: u32) -> Result<Cow<'_, [u32]>, Error> {
        Ok(Cow::Borrowed(self))
    }
}

/// Computes the certificates of a network on an input (given by its position), once the
/// ledger has all of the network's answers on it.
pub type Conclude<'a> = dyn FnMut(&Ledger, NetworkId, u32) -> Result<Vec<Certificate>, Error> + 'a;

/// Settings that all work of a run shares.
#[derive(Debug)]
pub(super) struct Common {
    /// The networks, in the workers' order.
    pub(super) networks: Vec<NetworkId>,
    /// Each network's number of classes, as the ledger records it.
    pub(super) classes: Vec<u32>,
    pub(super) selection: u32,
    pub(super) margins: bool,
}

/// Samples of one stream of one input; both kinds of collection consist of such work.
pub(super) struct StreamWork<'a> {
    pub(super) idx: u32,
    pub(super) stream: Stream,
    /// Each network's part of the work.
    pub(super) parts: Vec<NetworkWork<'a>>,
}

/// The samples of one stream of one input that one network must answer.
pub(super) struct NetworkWork<'a> {
    /// The network's position among the workers' networks.
    pub(super) network: usize,
    /// Whether this is the network's last work on the input.
    pub(super) last: bool,
    pub(super) samples: Choice<'a>,
}

/// Which samples: the first ones, or those that a rule chooses.
pub(super) enum Choice<'a> {
    First(u32),
    Chosen(&'a dyn ChooseSamples),
}

impl Common {
    /// The settings of a run with all of its workers' networks; an error if a network is named
    /// twice or is not in the ledger.
    pub(super) fn new(run: &Run<'_>, selection: u32, margins: bool) -> Result<Self, Error> {
        let networks = run.workers.networks().to_vec();
        distinct(&networks)?;
        let recorded = run.ledger.networks()?;
        let classes = |network: &NetworkId| {
            let found = recorded.iter().find(|(id, _)| id == network);
            let (_, found) = found.ok_or_else(|| {
                Error::parameter("the workers have a network that is not in the ledger")
            })?;
            Ok(found.classes)
        };
        Ok(Self {
            classes: networks.iter().map(classes).collect::<Result<_, Error>>()?,
            networks,
            selection,
            margins,
        })
    }
}

impl StreamWork<'_> {
    /// The series that `network`'s answers belong to.
    pub(super) fn series(&self, network: NetworkId) -> Series {
        super::series(network, self.idx, self.stream)
    }
}

impl NetworkWork<'_> {
    /// The samples wanted of input `idx`.
    pub(super) fn samples(&self, ledger: &Ledger, idx: u32) -> Result<Samples, Error> {
        let rule = match self.samples {
            Choice::First(samples) => return Ok(Samples::first(samples)),
            Choice::Chosen(rule) => rule,
        };
        let list = rule.samples(ledger, idx)?;
        if !list.is_sorted_by(|a, b| a < b) || list.last() == Some(&u32::MAX) {
            return Err(Error::parameter(format!(
                "the samples wanted of input {idx} must be strictly ascending and below {}",
                u32::MAX
            )));
        }
        Ok(Samples::from_ascending(&list))
    }
}
