//! What can be asked for: the first samples of every input, or chosen ones; of
//! one network, or of several in one pass.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use recert_ledger::{Certificate, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::coordinator::Coordinator;
use super::noise::{Noise, NoiseParameters};
use super::samples::Samples;
use super::{Outcome, Run, distinct};
use crate::{Error, ErrorKind, Inputs};

/// Which answers a run needs from every network that the workers have.
#[derive(Debug, Clone, Copy)]
pub struct Collect {
    /// The noise stream of its samples.
    pub stream: Stream,
    /// Samples to answer, `0..samples` of every input.
    pub samples: u64,
    /// Selection samples of the network to draw before; 0 for none.
    pub selection: u64,
    /// Whether to code margins (needs selection samples and logits).
    pub margins: bool,
}

/// Samples of one input that one network is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<C = Vec<u32>> {
    /// The network.
    pub network: NetworkId,
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the samples.
    pub stream: Stream,
    /// The samples' numbers, or what chooses them.
    pub samples: C,
}

/// Chooses samples of an input: a list, or a rule that finds them when their turn
/// comes, so that those of all inputs need not be in memory at once.
pub trait ChooseSamples {
    /// The samples' numbers, strictly ascending and below `u32::MAX`; the same
    /// whatever has been written to the ledger meanwhile.
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

/// What to conclude about a network on an input, by its position, once the
/// ledger has all the network's answers on it.
pub type Conclude<'a> = dyn FnMut(&Ledger, NetworkId, u32) -> Result<Vec<Certificate>, Error> + 'a;

/// What holds for all samples of a run.
#[derive(Debug)]
pub(super) struct Common {
    /// The networks, in the workers' order.
    pub(super) networks: Vec<NetworkId>,
    pub(super) selection: u32,
    pub(super) margins: bool,
}

/// Samples of one stream of one input: what either kind of run comes down to.
pub(super) struct StreamWork<'a> {
    pub(super) idx: u32,
    pub(super) stream: Stream,
    /// What each network is to answer of it.
    pub(super) parts: Vec<NetworkWork<'a>>,
}

/// What one network is to answer of one stream of one input.
pub(super) struct NetworkWork<'a> {
    /// The network, by its place.
    pub(super) network: usize,
    /// Whether the network has answered all that is asked of it on the input
    /// once it has answered this.
    pub(super) last: bool,
    samples: Choice<'a>,
}

enum Choice<'a> {
    First(u32),
    Chosen(&'a dyn ChooseSamples),
}

/// Draws everything that `collect` asks for and the ledger lacks, for the
/// inputs at positions `inputs`; and calls `conclude` on each input, in order, for
/// each of the workers' networks, in order, once the answers of all of them are
/// complete. The certificates it returns are recorded in one transaction.
///
/// # Errors
/// A parameter error if a network is named twice. The failure of a classifier or
/// of the workers; what the others answered until then is kept.
pub fn collect(
    run: &mut Run<'_>,
    inputs: &[u32],
    collect: &Collect,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let samples = number(collect.samples)?;
    let common = Common {
        networks: run.workers.networks().to_vec(),
        selection: number(collect.selection)?,
        margins: collect.margins,
    };
    let part = |network| NetworkWork {
        network,
        last: true,
        samples: Choice::First(samples),
    };
    let work = |&idx: &u32| StreamWork {
        idx,
        stream: collect.stream,
        parts: (0..common.networks.len()).map(part).collect(),
    };
    let work = inputs.iter().map(work).collect();
    coordinate(run, &common, work, conclude)
}

/// Draws the answers on chosen samples that the ledger lacks; and calls `conclude`
/// on each input once for each network asked about it, when all that is wanted of
/// the network on it is complete, in the order of what comes last. Samples of a
/// stream of an input of which another network is asked before are answered with
/// that one's. Where no samples are wanted, all is complete at once. The
/// certificates that `conclude` returns are recorded in one transaction; there may
/// be none, where the answers are to be looked at first.
///
/// What is drawn is written as it comes, as in [`collect`]: stopped or killed,
/// the same call goes on from there; and samples that the ledger holds, from
/// whatever run, are not drawn again. No selection samples are drawn and no
/// margins kept.
///
/// # Errors
/// As [`collect`]; and a parameter error if the samples wanted are not strictly
/// ascending or reach `u32::MAX`, if the workers do not have the network, or if
/// one network is asked for one stream of one input twice.
pub fn collect_chosen<C: ChooseSamples>(
    run: &mut Run<'_>,
    wanted: &[Wanted<C>],
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let common = Common {
        networks: run.workers.networks().to_vec(),
        selection: 0,
        margins: false,
    };
    let mut work: Vec<StreamWork<'_>> = Vec::new();
    let mut position = HashMap::new();
    for Wanted {
        network,
        idx,
        stream,
        samples,
    } in wanted
    {
        let Some(network) = common.networks.iter().position(|n| n == network) else {
            return Err(Error::parameter(format!(
                "input {idx} is asked for of a network that has no classifiers"
            )));
        };
        let i = *position.entry((*idx, stream.tag())).or_insert_with(|| {
            work.push(StreamWork {
                idx: *idx,
                stream: *stream,
                parts: Vec::new(),
            });
            work.len() - 1
        });
        work[i].parts.push(NetworkWork {
            network,
            last: true,
            samples: Choice::Chosen(samples),
        });
    }
    coordinate(run, &common, work, conclude)
}

fn coordinate(
    run: &mut Run<'_>,
    common: &Common,
    mut work: Vec<StreamWork<'_>>,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    distinct(&common.networks)?;
    let (mut inputs, mut streams) = (HashSet::new(), HashSet::new());
    for StreamWork { idx, stream, parts } in work.iter_mut().rev() {
        for part in parts {
            part.last = inputs.insert((*idx, part.network));
            if !streams.insert((*idx, part.network, stream.tag())) {
                let message = format!("input {idx} is asked for twice");
                return Err(Error::parameter(message));
            }
        }
    }
    let parameters = NoiseParameters::from(run.ledger.header());
    let noise = Noise::new(&parameters).map_err(|error| {
        let message = format!("ledger {}: {error}", run.ledger.path().display());
        Error::new(ErrorKind::Ledger, message)
    })?;
    same_data(run.ledger, run.inputs)?;
    let (needed, done) = demand(run.ledger, common, &work)?;
    run.observer.start(needed, done);
    Coordinator::new(run, (common, &work), (&parameters, &noise), conclude).run()
}

/// A number of samples, which sample numbers of 32 bits must do for.
fn number(samples: u64) -> Result<u32, Error> {
    u32::try_from(samples).map_err(|_| {
        Error::parameter(format!(
            "{samples} samples are more than the {} that noise has numbers for",
            u32::MAX
        ))
    })
}

/// Fails if the inputs are not those that the ledger is of. Every input
/// is checked when its turn comes; this notices other data also where
/// inputs are asked for that the ledger does not have yet.
fn same_data(ledger: &Ledger, inputs: &dyn Inputs) -> Result<(), Error> {
    let Some(first) = ledger.inputs()?.into_iter().next() else {
        return Ok(());
    };
    let (given, _) = inputs.input(first.idx).map_err(|error| {
        Error::new(ErrorKind::Ledger, format!(
            "ledger {}: is of other data: it has input {}, which the data given does not: {error}",
            ledger.path().display(),
            first.idx,
        ))
    })?;
    Ok(ledger.add_input(&given)?)
}

/// Evaluations that the whole run needs, and how many the ledger holds.
fn demand(ledger: &Ledger, common: &Common, work: &[StreamWork<'_>]) -> Result<(u64, u64), Error> {
    let selection = u64::from(common.selection);
    let (mut needed, mut done) = (0, 0);
    for work in work {
        for part in &work.parts {
            let series = work.series(common.networks[part.network]);
            let samples = part.samples(ledger, work.idx)?;
            needed += selection + samples.len();
            if selection > 0 && ledger.selection(series.network, work.idx)?.is_some() {
                done += selection;
            }
            let answered = ledger.answered(series)?;
            done += samples.len() - samples.without(&answered).len();
        }
    }
    Ok((needed, done))
}

impl StreamWork<'_> {
    /// Where `network`'s answers to them are.
    pub(super) fn series(&self, network: NetworkId) -> Series {
        super::series(network, self.idx, self.stream)
    }
}

impl NetworkWork<'_> {
    /// The samples asked for of input `idx`.
    pub(super) fn samples(&self, ledger: &Ledger, idx: u32) -> Result<Samples, Error> {
        let rule = match self.samples {
            Choice::First(samples) => return Ok(Samples::first(samples)),
            Choice::Chosen(rule) => rule,
        };
        let list = rule.samples(ledger, idx)?;
        if !list.is_sorted_by(|a, b| a < b) || list.last() == Some(&u32::MAX) {
            return Err(Error::parameter(format!(
                "the samples asked for of input {idx} must be strictly ascending and below {}",
                u32::MAX
            )));
        }
        Ok(Samples::from_ascending(&list))
    }
}
