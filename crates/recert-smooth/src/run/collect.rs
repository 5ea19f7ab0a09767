//! The two kinds of collection: the first samples of every input ([`collect`]), or samples
//! chosen one by one ([`collect_chosen`]). Several networks can share one pass of either.

use std::collections::{BTreeSet, HashMap, HashSet};

use recert_ledger::{Ledger, NetworkId};
use recert_noise::Stream;

use super::coordinator::Coordinator;
use super::noise::{Noise, NoiseParameters};
use super::work::{Choice, ChooseSamples, Common, Conclude, NetworkWork, StreamWork};
use super::{Outcome, Run};
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

/// Samples of one input that one network must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<C = Vec<u32>> {
    /// The network.
    pub network: NetworkId,
    /// The input's position.
    pub idx: u32,
    /// The noise stream of the samples.
    pub stream: Stream,
    /// The samples' numbers, or a rule that chooses them.
    pub samples: C,
}

/// Evaluates every sample that `collect` asks for and the ledger lacks, on the inputs at
/// positions `inputs`. When the answers of all networks on an input are complete, it calls
/// `conclude` for each of the workers' networks and records the certificates returned, in one
/// transaction a network. Inputs are concluded in order.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_noise::Stream;
/// use recert_smooth::run::{Collect, collect};
/// use recert_smooth::{Outcome, Run, Silent, Threads};
///
/// let mut ledger = Ledger::create(&path, &header())?;
/// let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut f,
///     observer: &mut Silent,
/// };
/// let first = Collect {
///     stream: Stream::Certify,
///     samples: 50,
///     selection: 0,
///     margins: false,
/// };
/// let mut concluded = Vec::new();
/// let outcome = collect(&mut run, &[0, 9], &first, &mut |_, _, idx| {
///     concluded.push(idx);
///     Ok(Vec::new()) // no certificates: the answers are only recorded
/// })?;
/// assert_eq!((outcome, concluded), (Outcome::Finished, vec![0, 9]));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A parameter error if a network is named twice. The failure of a classifier or of the
/// workers; all answers received until then are kept.
pub fn collect(
    run: &mut Run<'_>,
    inputs: &[u32],
    collect: &Collect,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    collect_but(run, inputs, collect, &BTreeSet::new(), conclude)
}

/// As [`collect`], without any sample of the inputs in `without`, which are concluded in their
/// turn.
pub(crate) fn collect_but(
    run: &mut Run<'_>,
    inputs: &[u32],
    collect: &Collect,
    without: &BTreeSet<u32>,
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let samples = number(collect.samples)?;
    let common = Common::new(run, number(collect.selection)?, collect.margins)?;
    let part = |idx: u32, network| NetworkWork {
        network,
        last: true,
        samples: Choice::First(if without.contains(&idx) { 0 } else { samples }),
    };
    let work = |&idx: &u32| StreamWork {
        idx,
        stream: collect.stream,
        parts: (0..common.networks.len())
            .map(|network| part(idx, network))
            .collect(),
    };
    let work = inputs.iter().map(work).collect();
    coordinate(run, &common, work, conclude)
}

/// Evaluates the chosen samples that the ledger lacks. When all samples wanted of a network
/// on an input are answered, it calls `conclude` once for that network and input and records
/// the certificates returned in one transaction; `conclude` may return none. An input on
/// which no samples are wanted is complete at once.
///
/// Networks that want samples of the same stream of the same input share a pass, at the place
/// in the list where the first of them stands.
///
/// Answers are recorded as they arrive. After a stop or a kill the same call continues from
/// there; samples that the ledger holds already, from whatever run, are not evaluated again.
/// No selection samples are drawn, and no margins are kept.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_ledger::Series;
/// use recert_noise::Stream;
/// use recert_smooth::run::{Wanted, collect_chosen};
/// use recert_smooth::{Outcome, Run, Silent, Threads};
///
/// let mut ledger = Ledger::create(&path, &header())?;
/// let network = ledger.base();
/// let mut f = Threads::new([(network, brighter_than(0.5))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut f,
///     observer: &mut Silent,
/// };
/// let wanted = Wanted {
///     network,
///     idx: 9,
///     stream: Stream::Certify,
///     samples: vec![3, 4, 70],
/// };
/// let outcome = collect_chosen(&mut run, &[wanted], &mut |_, _, _| Ok(Vec::new()))?;
/// assert_eq!(outcome, Outcome::Finished);
/// let series = Series {
///     network,
///     idx: 9,
///     stream: recert_ledger::Stream(Stream::Certify.tag()),
/// };
/// assert_eq!(ledger.answered(series)?, [3..5, 70..71]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`collect`]; and a parameter error if the samples are not strictly ascending or reach
/// `u32::MAX`, if the workers do not have the network, or if samples of one stream of one
/// input are wanted twice of one network.
pub fn collect_chosen<C: ChooseSamples>(
    run: &mut Run<'_>,
    wanted: &[Wanted<C>],
    conclude: &mut Conclude<'_>,
) -> Result<Outcome, Error> {
    let common = Common::new(run, 0, false)?;
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
                "samples of input {idx} are wanted of a network that the workers do not have"
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
    let (mut inputs, mut streams) = (HashSet::new(), HashSet::new());
    for StreamWork { idx, stream, parts } in work.iter_mut().rev() {
        for part in parts {
            part.last = inputs.insert((*idx, part.network));
            if !streams.insert((*idx, part.network, stream.tag())) {
                let message =
                    format!("input {idx} is asked for twice in one stream of one network");
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

/// A number of samples as 32 bits, which sample numbers have.
fn number(samples: u64) -> Result<u32, Error> {
    u32::try_from(samples).map_err(|_| {
        Error::parameter(format!(
            "{samples} samples are more than {}, the most that noise can number",
            u32::MAX
        ))
    })
}

/// Fails if the inputs are other data than the ledger's. Every input is compared when its
/// turn comes; this comparison of the ledger's first input also notices other data where the
/// run is about inputs that the ledger does not have yet.
fn same_data(ledger: &Ledger, inputs: &dyn Inputs) -> Result<(), Error> {
    let Some(first) = ledger.inputs()?.into_iter().next() else {
        return Ok(());
    };
    let (given, _) = inputs.input(first.idx).map_err(|error| {
        Error::new(ErrorKind::Ledger, format!(
            "ledger {}: belongs to other data: it has input {}, which the data given does not: {error}",
            ledger.path().display(),
            first.idx,
        ))
    })?;
    Ok(ledger.add_input(&given)?)
}

/// How many evaluations the whole run needs, and how many of them the ledger holds.
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
