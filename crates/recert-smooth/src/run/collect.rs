//! What can be asked for: the first samples of every input, or chosen ones; of
//! one network, or of several in one pass.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use recert_engine::Classifier;
use recert_ledger::{Certificate, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::noise::Noise;
use super::pool::{Pool, Setting};
use super::samples::Samples;
use super::scheduler::Scheduler;
use super::{Observer, Outcome};
use crate::{Error, ErrorKind, Source};

/// A network that answers, by its number in the ledger, and its classifiers:
/// one for each worker.
pub struct Voter<'a> {
    /// The network.
    pub network: NetworkId,
    /// Each worker's instance of it; as many as every other network has that
    /// answers in the same pass.
    pub classifiers: &'a mut [Box<dyn Classifier>],
}

/// Which answers a run needs from every network.
#[derive(Debug, Clone, Copy)]
pub struct Collect {
    /// The noise stream of its samples.
    pub stream: Stream,
    /// Samples to answer, `0..samples` of every input.
    pub samples: u64,
    /// Selection samples of its own to draw before; 0 for none.
    pub selection: u64,
    /// Whether to code margins (needs selection samples and logits).
    pub margins: bool,
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// Samples of one input to be answered by one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<C = Vec<u32>> {
    /// The network.
    pub network: NetworkId,
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the samples.
    pub stream: Stream,
    /// The samples' numbers, or what tells them.
    pub samples: C,
}

/// Tells which samples of an input are asked for: a list, or a rule that finds
/// them when their turn comes, so that those of all inputs need not be in
/// memory at once.
pub trait Numbers {
    /// The samples' numbers, strictly ascending and below `u32::MAX`; the same
    /// whatever the ledger has been given meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    fn numbers(&self, ledger: &Ledger, idx: u32) -> Result<Cow<'_, [u32]>, Error>;
}

impl Numbers for Vec<u32> {
    fn numbers(&self, _: &Ledger, _: u32) -> Result<Cow<'_, [u32]>, Error> {
        Ok(Cow::Borrowed(self))
    }
}

/// Which samples a run needs from which network.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a, C = Vec<u32>> {
    /// The samples; at most one request to a network for each stream of an input.
    pub requests: &'a [Request<C>],
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// What to conclude about a network on an input, by its position, once the
/// ledger has all the network's answers on it.
pub type Conclude<'a> = dyn FnMut(&Ledger, NetworkId, u32) -> Result<Vec<Certificate>, Error> + 'a;

/// What all requests of a run have in common.
#[derive(Debug)]
pub(super) struct Plan {
    /// The networks, by their places.
    pub(super) networks: Vec<NetworkId>,
    pub(super) selection: u32,
    pub(super) margins: bool,
    batch: usize,
}

/// Samples of one stream of one input: what either kind of run comes down to.
pub(super) struct Wanted<'a> {
    pub(super) idx: u32,
    pub(super) stream: Stream,
    /// What each network is to answer of it.
    pub(super) parts: Vec<Part<'a>>,
}

/// What one network is to answer of one stream of one input.
pub(super) struct Part<'a> {
    /// The network, by its place.
    pub(super) voter: usize,
    /// Whether the network has answered all that is asked of it on the input
    /// once it has answered this.
    pub(super) last: bool,
    samples: Which<'a>,
}

enum Which<'a> {
    First(u32),
    Chosen(&'a dyn Numbers),
}

/// Draws everything that `collect` asks for and the ledger lacks, for the
/// inputs at positions `inputs`, with one worker for each classifier of a
/// voter; and calls `conclude` on each input, in order, for each of the voters,
/// in order, once the answers of all of them are complete. The certificates
/// it returns are recorded in one transaction.
///
/// # Errors
/// A parameter error if the voters are none, the same network twice, or not
/// of as many classifiers each. The failure of a classifier; what the others
/// answered until then is kept.
pub fn collect(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    collect: &Collect,
    voters: &mut [Voter<'_>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let samples = number(collect.samples)?;
    let plan = Plan {
        networks: voters.iter().map(|voter| voter.network).collect(),
        selection: number(collect.selection)?,
        margins: collect.margins,
        batch: collect.batch,
    };
    let part = |voter| Part {
        voter,
        last: true,
        samples: Which::First(samples),
    };
    let wanted = |&idx: &u32| Wanted {
        idx,
        stream: collect.stream,
        parts: (0..plan.networks.len()).map(part).collect(),
    };
    let wanted: Vec<_> = inputs.iter().map(wanted).collect();
    run(ledger, source, &plan, wanted, voters, observer, conclude)
}

/// Draws the answers on chosen samples that the ledger lacks, with one worker
/// for each classifier of a voter; and calls `conclude` on each input once for
/// each network asked about it, when all the network's requests on it are
/// complete, in the order of their last ones. A request for a stream of an
/// input of which another network is asked before is answered with that one.
/// A request without samples is complete at once. The certificates that
/// `conclude` returns are recorded in one transaction; there may be none,
/// where the answers are to be looked at first.
///
/// What is drawn is written as it comes, as in [`collect`]: stopped or killed,
/// the same call goes on from there; and samples that the ledger holds, from
/// whatever run, are not drawn again. No selection samples are drawn and no
/// margins kept.
///
/// # Errors
/// As [`collect`]; and a parameter error if a request's samples are not strictly
/// ascending or reach `u32::MAX`, if its network is none of the voters', or if
/// two requests are for one network's answers to one stream of one input.
pub fn collect_chosen<C: Numbers>(
    ledger: &mut Ledger,
    source: &dyn Source,
    chosen: &Chosen<'_, C>,
    voters: &mut [Voter<'_>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let plan = Plan {
        networks: voters.iter().map(|voter| voter.network).collect(),
        selection: 0,
        margins: false,
        batch: chosen.batch,
    };
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let mut places = HashMap::new();
    for request in chosen.requests {
        let Request { idx, samples, .. } = request;
        let voter = plan.networks.iter().position(|&n| n == request.network);
        let Some(voter) = voter else {
            return Err(Error::parameter(format!(
                "input {idx} is asked for of a network that has no classifiers"
            )));
        };
        let place = *places
            .entry((*idx, request.stream.tag()))
            .or_insert_with(|| {
                wanted.push(Wanted {
                    idx: *idx,
                    stream: request.stream,
                    parts: Vec::new(),
                });
                wanted.len() - 1
            });
        wanted[place].parts.push(Part {
            voter,
            last: true,
            samples: Which::Chosen(samples),
        });
    }
    run(ledger, source, &plan, wanted, voters, observer, conclude)
}

fn run(
    ledger: &mut Ledger,
    source: &dyn Source,
    plan: &Plan,
    mut wanted: Vec<Wanted<'_>>,
    voters: &mut [Voter<'_>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let workers = workers(voters)?;
    if workers == 0 || plan.batch == 0 {
        return Err(Error::parameter(
            "at least one worker and a batch of at least 1 are needed",
        ));
    }
    let (mut inputs, mut streams) = (HashSet::new(), HashSet::new());
    for Wanted { idx, stream, parts } in wanted.iter_mut().rev() {
        for part in parts {
            part.last = inputs.insert((*idx, part.voter));
            if !streams.insert((*idx, part.voter, stream.tag())) {
                let message = format!("input {idx} is asked for twice");
                return Err(Error::parameter(message));
            }
        }
    }
    let noise = Noise::new(ledger)?;
    same_data(ledger, source)?;
    let (needed, done) = demand(ledger, plan, &wanted)?;
    observer.start(needed, done);
    let setting = Setting {
        noise,
        batch: plan.batch,
    };
    std::thread::scope(|scope| {
        let pool = Pool::start(scope, voters, &setting);
        Scheduler::new(
            ledger,
            source,
            (plan, &wanted),
            &setting.noise,
            observer,
            conclude,
            workers,
        )
        .run(&pool)
    })
}

/// How many workers the voters make; an error if they cannot vote together.
fn workers(voters: &[Voter<'_>]) -> Result<usize, Error> {
    let workers = voters.first().map_or(0, |voter| voter.classifiers.len());
    if voters.iter().any(|v| v.classifiers.len() != workers) {
        return Err(Error::parameter(
            "every network needs as many classifiers as there are workers",
        ));
    }
    let twice = |i: usize| (voters[..i].iter()).any(|v| v.network == voters[i].network);
    if (0..voters.len()).any(twice) {
        return Err(Error::parameter("a network is to answer twice in one pass"));
    }
    Ok(workers)
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

/// Fails if the source is not the data set that the ledger is of. Every input
/// is checked when its turn comes; this notices another data set also where it
/// is asked for inputs that the ledger does not have yet.
fn same_data(ledger: &Ledger, source: &dyn Source) -> Result<(), Error> {
    let Some(first) = ledger.inputs()?.into_iter().next() else {
        return Ok(());
    };
    let (given, _) = source.input(first.idx).map_err(|error| {
        Error::new(ErrorKind::Ledger, format!(
            "ledger {}: is of other data: it has input {}, which the data given does not: {error}",
            ledger.path().display(),
            first.idx,
        ))
    })?;
    Ok(ledger.add_input(&given)?)
}

/// Evaluations that the whole run needs, and how many the ledger holds.
fn demand(ledger: &Ledger, plan: &Plan, wanted: &[Wanted<'_>]) -> Result<(u64, u64), Error> {
    let selection = u64::from(plan.selection);
    let (mut needed, mut done) = (0, 0);
    for wanted in wanted {
        for part in &wanted.parts {
            let series = wanted.series(plan.networks[part.voter]);
            let samples = part.samples(ledger, wanted.idx)?;
            needed += selection + samples.len();
            if selection > 0 && ledger.selection(series.network, wanted.idx)?.is_some() {
                done += selection;
            }
            let answered = ledger.answered(series)?;
            done += samples.len() - samples.without(&answered).len();
        }
    }
    Ok((needed, done))
}

impl Wanted<'_> {
    /// Where `network`'s answers to them are.
    pub(super) fn series(&self, network: NetworkId) -> Series {
        Series {
            network,
            idx: self.idx,
            stream: recert_ledger::Stream(self.stream.tag()),
        }
    }
}

impl Part<'_> {
    /// The samples asked for of input `idx`.
    pub(super) fn samples(&self, ledger: &Ledger, idx: u32) -> Result<Samples, Error> {
        let rule = match self.samples {
            Which::First(samples) => return Ok(Samples::first(samples)),
            Which::Chosen(rule) => rule,
        };
        let list = rule.numbers(ledger, idx)?;
        if !list.is_sorted_by(|a, b| a < b) || list.last() == Some(&u32::MAX) {
            return Err(Error::parameter(format!(
                "the samples asked for of input {idx} must be strictly ascending and below {}",
                u32::MAX
            )));
        }
        Ok(Samples::chosen(&list))
    }
}
