//! What can be asked for: the first copies of every input, or chosen ones.

use std::collections::HashSet;

use recert_engine::Classifier;
use recert_ledger::{Certificate, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::copies::Copies;
use super::noise::Noise;
use super::pool::{Pool, Setting};
use super::scheduler::Scheduler;
use super::{Observer, Outcome};
use crate::{Error, ErrorKind, Source};

/// Which answers a run needs from which network.
#[derive(Debug, Clone, Copy)]
pub struct Collect {
    /// The network that answers.
    pub network: NetworkId,
    /// The noise stream of its copies.
    pub stream: Stream,
    /// Copies to answer, `0..copies` of every input.
    pub copies: u64,
    /// Selection copies of its own to draw before; 0 for none.
    pub selection: u64,
    /// Whether to code margins (needs selection copies and logits).
    pub margins: bool,
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// Copies of one input to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the copies.
    pub stream: Stream,
    /// The copies' numbers, strictly ascending and below `u32::MAX`.
    pub copies: Vec<u32>,
}

/// Which copies a run needs from which network.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The network that answers.
    pub network: NetworkId,
    /// The copies; at most one request for each stream of an input.
    pub requests: &'a [Request],
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// What to conclude about an input, by its position, once the ledger has all
/// its answers.
pub type Conclude<'a> = dyn FnMut(&Ledger, u32) -> Result<Vec<Certificate>, Error> + 'a;

/// What all requests of a run have in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) network: NetworkId,
    pub(super) selection: u32,
    pub(super) margins: bool,
    batch: usize,
}

/// Copies of one stream of one input: what either kind of run comes down to.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) idx: u32,
    pub(super) stream: Stream,
    /// Whether the input has all that is asked of it once this is answered.
    pub(super) last: bool,
    copies: Numbers<'a>,
}

#[derive(Debug)]
enum Numbers<'a> {
    First(u32),
    Chosen(&'a [u32]),
}

/// Draws everything that `collect` asks for and the ledger lacks, for the
/// inputs at positions `inputs`, with one worker a classifier; and calls
/// `conclude` on each input, in order, once its answers are complete. The
/// certificates it returns are recorded in one transaction.
pub fn collect(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    collect: &Collect,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let copies = number(collect.copies)?;
    let plan = Plan {
        network: collect.network,
        selection: number(collect.selection)?,
        margins: collect.margins,
        batch: collect.batch,
    };
    let wanted = |&idx: &u32| Wanted {
        idx,
        stream: collect.stream,
        last: true,
        copies: Numbers::First(copies),
    };
    let wanted: Vec<_> = inputs.iter().map(wanted).collect();
    run(
        ledger,
        source,
        &plan,
        wanted,
        classifiers,
        observer,
        conclude,
    )
}

/// Draws the answers on chosen copies that the ledger lacks, with one worker a
/// classifier; and calls `conclude` on each input once, when all its requests
/// are complete, in the order of their last ones. A request without copies is
/// complete at once. The certificates that `conclude` returns are recorded in
/// one transaction; there may be none, where the answers are to be looked at
/// first.
///
/// What is drawn is written as it comes, as in [`collect`]: stopped or killed,
/// the same call goes on from there; and copies that the ledger holds, from
/// whatever run, are not drawn again. No selection copies are drawn and no
/// margins kept.
///
/// # Errors
/// A parameter error if a request's copies are not strictly ascending or reach
/// `u32::MAX`, or if two requests are for one stream of one input.
pub fn collect_chosen(
    ledger: &mut Ledger,
    source: &dyn Source,
    chosen: &Chosen<'_>,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let plan = Plan {
        network: chosen.network,
        selection: 0,
        margins: false,
        batch: chosen.batch,
    };
    for Request { idx, copies, .. } in chosen.requests {
        if !copies.is_sorted_by(|a, b| a < b) || copies.last() == Some(&u32::MAX) {
            return Err(Error::parameter(format!(
                "the copies asked for of input {idx} must be strictly ascending and below {}",
                u32::MAX
            )));
        }
    }
    let wanted = chosen.requests.iter().map(|request| Wanted {
        idx: request.idx,
        stream: request.stream,
        last: true,
        copies: Numbers::Chosen(&request.copies),
    });
    let wanted: Vec<_> = wanted.collect();
    run(
        ledger,
        source,
        &plan,
        wanted,
        classifiers,
        observer,
        conclude,
    )
}

fn run(
    ledger: &mut Ledger,
    source: &dyn Source,
    plan: &Plan,
    mut wanted: Vec<Wanted<'_>>,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    if classifiers.is_empty() || plan.batch == 0 {
        return Err(Error::parameter(
            "at least one worker and a batch of at least 1 are needed",
        ));
    }
    let (mut inputs, mut streams) = (HashSet::new(), HashSet::new());
    for wanted in wanted.iter_mut().rev() {
        wanted.last = inputs.insert(wanted.idx);
        if !streams.insert((wanted.idx, wanted.stream.tag())) {
            let message = format!("input {} is asked for twice", wanted.idx);
            return Err(Error::parameter(message));
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
    let workers = classifiers.len();
    std::thread::scope(|scope| {
        let pool = Pool::start(scope, classifiers, &setting);
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

/// A number of copies, which copy numbers of 32 bits must do for.
fn number(copies: u64) -> Result<u32, Error> {
    u32::try_from(copies).map_err(|_| {
        Error::parameter(format!(
            "{copies} copies are more than the {} that noise has numbers for",
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
        let copies = wanted.copies();
        needed += selection + copies.len();
        if selection > 0 && ledger.selection(plan.network, wanted.idx)?.is_some() {
            done += selection;
        }
        let answered = ledger.answered(wanted.series(plan.network))?;
        done += copies.len() - copies.without(&answered).len();
    }
    Ok((needed, done))
}

impl Wanted<'_> {
    /// The copies asked for.
    pub(super) fn copies(&self) -> Copies {
        match self.copies {
            Numbers::First(copies) => Copies::first(copies),
            Numbers::Chosen(list) => Copies::chosen(list),
        }
    }

    /// Where `network`'s answers to them are.
    pub(super) fn series(&self, network: NetworkId) -> Series {
        Series {
            network,
            idx: self.idx,
            stream: recert_ledger::Stream(self.stream.tag()),
        }
    }
}
