//! What to evaluate next, and what to do with the answers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use recert_engine::Classifier;
use recert_ledger::{Certificate, Input, Ledger, NetworkId, Series};
use recert_noise::{NoiseKey, Stream};
use recert_num::Sigma;

use super::pool::{Done, Job, Noise, Output, Pool, Work};
use super::{Observer, Outcome, noise_sigma};
use crate::{Error, ErrorKind, Source};

/// Work aimed at in one chunk: what a killed process loses a worker.
const CHUNK_TIME: Duration = Duration::from_millis(800);

/// Chunks stay within these many copies whatever the speed.
const CHUNK_COPIES: Range<u64> = 64..8192;

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

/// What to conclude about an input, by its position, once the ledger has all
/// its answers.
pub type Conclude<'a> = dyn FnMut(&Ledger, u32) -> Result<Vec<Certificate>, Error> + 'a;

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
    if classifiers.is_empty() || collect.batch == 0 {
        return Err(Error::parameter(
            "at least one worker and a batch of at least 1 are needed",
        ));
    }
    same_data(ledger, source)?;
    let (needed, done) = demand(ledger, inputs, collect)?;
    observer.start(needed, done);
    let noise = Noise {
        key: NoiseKey::new(ledger.header().seed),
        sigma: noise_sigma(Sigma::new(ledger.header().sigma)?)?,
        stream: collect.stream,
        // No job has more copies, and the counter of copies no more bits.
        batch: collect.batch.min(u32::MAX as usize),
    };
    let workers = classifiers.len();
    std::thread::scope(|scope| {
        let pool = Pool::start(scope, classifiers, noise);
        Scheduler {
            ledger,
            source,
            collect,
            observer,
            conclude,
            waiting: inputs.iter(),
            active: VecDeque::new(),
            in_flight: 0,
            limit: 2 * workers,
            chunk: CHUNK_COPIES.start,
        }
        .run(&pool)
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
fn demand(ledger: &Ledger, inputs: &[u32], collect: &Collect) -> Result<(u64, u64), Error> {
    let mut done = 0;
    for &idx in inputs {
        if collect.selection > 0 && ledger.selection(collect.network, idx)?.is_some() {
            done += collect.selection;
        }
        for range in ledger.answered(series(collect, idx))? {
            done += range.end.min(collect.copies).saturating_sub(range.start);
        }
    }
    Ok((
        (collect.selection + collect.copies) * inputs.len() as u64,
        done,
    ))
}

fn series(collect: &Collect, idx: u32) -> Series {
    Series {
        network: collect.network,
        idx,
        stream: recert_ledger::Stream(collect.stream.tag()),
    }
}

/// An input being worked on.
struct Active {
    input: Input,
    image: Arc<[f32]>,
    selection: Selected,
    /// Ranges of copies not yet handed out.
    missing: VecDeque<Range<u64>>,
    in_flight: usize,
}

enum Selected {
    /// To be drawn.
    No,
    /// Being drawn.
    Soon,
    /// Drawn, or not needed: the class and edges for coding margins, if any.
    Yes(u16, Option<Arc<[f32]>>),
}

struct Scheduler<'a> {
    ledger: &'a mut Ledger,
    source: &'a dyn Source,
    collect: &'a Collect,
    observer: &'a mut dyn Observer,
    conclude: &'a mut Conclude<'a>,
    waiting: std::slice::Iter<'a, u32>,
    active: VecDeque<Active>,
    in_flight: usize,
    limit: usize,
    chunk: u64,
}

impl Scheduler<'_> {
    fn run(mut self, pool: &Pool) -> Result<Outcome, Error> {
        let mut failure = None;
        loop {
            let halted = failure.is_some() || self.observer.stop();
            let step = if halted { Ok(()) } else { self.submit(pool) };
            if let Err(error) = step {
                failure = Some(error);
            }
            if self.in_flight == 0 {
                break;
            }
            // Whatever happened, what is in flight is finished and kept.
            let done = pool.next();
            self.in_flight -= 1;
            if let Err(error) = self.receive(done) {
                failure.get_or_insert(error);
            }
        }
        match failure {
            Some(error) => Err(error),
            None if self.active.is_empty() && self.waiting.len() == 0 => Ok(Outcome::Finished),
            None => Ok(Outcome::Stopped),
        }
    }

    /// Hands out jobs until enough are in flight or none is left.
    fn submit(&mut self, pool: &Pool) -> Result<(), Error> {
        self.conclude_front()?;
        while self.in_flight < self.limit {
            if let Some(job) = self.next_job() {
                self.in_flight += 1;
                pool.submit(job);
            } else if self.active.len() <= self.limit {
                let Some(&idx) = self.waiting.next() else {
                    break;
                };
                self.activate(idx)?;
                self.conclude_front()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// The first job that some active input is ready for.
    fn next_job(&mut self) -> Option<Job> {
        for active in &mut self.active {
            let work = match &active.selection {
                Selected::Soon => continue,
                Selected::No => {
                    active.selection = Selected::Soon;
                    Work::Select {
                        copies: self.collect.selection as u32,
                        margins: self.collect.margins,
                    }
                }
                Selected::Yes(class, edges) => {
                    let Some(range) = active.missing.front_mut() else {
                        continue;
                    };
                    let first = range.start;
                    let end = range.end.min(first + self.chunk);
                    range.start = end;
                    if range.is_empty() {
                        active.missing.pop_front();
                    }
                    Work::Answer {
                        copies: first as u32..end as u32,
                        margins: edges.clone().map(|edges| (*class, edges)),
                    }
                }
            };
            active.in_flight += 1;
            return Some(Job {
                idx: active.input.idx,
                image: Arc::clone(&active.image),
                work,
            });
        }
        None
    }

    /// Starts on an input: reads it, checks it against the ledger, and finds
    /// what is missing.
    fn activate(&mut self, idx: u32) -> Result<(), Error> {
        let (input, pixels) = self.source.input(idx)?;
        self.ledger.add_input(&input)?;
        let selection = if self.collect.selection == 0 {
            Selected::Yes(0, None)
        } else {
            match self.ledger.selection(self.collect.network, idx)? {
                Some(s) => Selected::Yes(s.class, s.edges.map(Into::into)),
                None => Selected::No,
            }
        };
        let mut missing = VecDeque::new();
        let mut next = 0;
        for range in self.ledger.answered(series(self.collect, idx))? {
            if next < range.start.min(self.collect.copies) {
                missing.push_back(next..range.start.min(self.collect.copies));
            }
            next = next.max(range.end);
        }
        if next < self.collect.copies {
            missing.push_back(next..self.collect.copies);
        }
        self.active.push_back(Active {
            input,
            image: pixels.into(),
            selection,
            missing,
            in_flight: 0,
        });
        Ok(())
    }

    /// Writes what a worker computed.
    fn receive(&mut self, done: Done) -> Result<(), Error> {
        let network = self.collect.network;
        let active = self
            .active
            .iter_mut()
            .find(|active| active.input.idx == done.idx)
            .expect("a job's input stays active until its jobs are done");
        active.in_flight -= 1;
        match done.result? {
            Output::Selection(selection) => {
                self.ledger.put_selection(network, done.idx, &selection)?;
                self.observer.evaluated(selection.copies);
                active.selection = Selected::Yes(selection.class, selection.edges.map(Into::into));
            }
            Output::Answers {
                first,
                codes,
                micros,
            } => {
                let class = match active.selection {
                    Selected::Yes(class, _) => class,
                    Selected::No | Selected::Soon => 0,
                };
                let series = series(self.collect, done.idx);
                self.ledger
                    .put_answers(series, first, &codes, class, micros)?;
                let copies = codes.classes.len() as u64;
                self.observer.evaluated(copies);
                // Aim at the chunk time; one chunk at most doubles the next.
                let aimed = copies * CHUNK_TIME.as_micros() as u64 / micros.max(1);
                self.chunk = aimed
                    .min(2 * copies.max(1))
                    .clamp(CHUNK_COPIES.start, CHUNK_COPIES.end);
            }
        }
        Ok(())
    }

    /// Concludes the inputs at the front that are complete.
    fn conclude_front(&mut self) -> Result<(), Error> {
        while let Some(front) = self.active.front() {
            let complete = matches!(front.selection, Selected::Yes(..))
                && front.missing.is_empty()
                && front.in_flight == 0;
            if !complete {
                break;
            }
            let idx = front.input.idx;
            let certificates = (self.conclude)(self.ledger, idx)?;
            self.ledger
                .conclude(series(self.collect, idx), &certificates)?;
            self.observer.concluded(&front.input, &certificates);
            self.active.pop_front();
        }
        Ok(())
    }
}
