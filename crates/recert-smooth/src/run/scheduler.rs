//! What to evaluate next, and what to do with the answers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use recert_ledger::{Given, Input, Ledger, NetworkId, Selection, Series};
use recert_noise::Stream;

use super::collect::{Conclude, Part, Plan, Wanted};
use super::noise::{Noise, Pixels};
use super::pool::{Done, Job, Output, Pool, Share, Task};
use super::samples::Samples;
use super::{Observer, Outcome};
use crate::{Error, Source};

/// Work aimed at in one chunk: what a killed process loses a worker.
const CHUNK_TIME: Duration = Duration::from_millis(800);

/// Chunks stay within these many samples whatever the speed.
const CHUNK_COPIES: Range<u64> = 64..8192;

/// A request being worked on.
struct Active<'a> {
    /// Its place among all.
    request: usize,
    wanted: &'a Wanted<'a>,
    input: Input,
    image: Pixels,
    /// What is asked of each network, in the order of the request's parts.
    voters: Vec<Asked>,
    /// Samples not yet handed out that any network lacks.
    missing: Samples,
    /// Whether selection samples are being drawn.
    selecting: bool,
    in_flight: usize,
}

/// What is asked of one network.
struct Asked {
    /// The network, by its place.
    voter: usize,
    series: Series,
    /// What the selection says, if it is drawn or not needed.
    selected: Option<Selected>,
    /// Samples not yet handed out that it lacks.
    missing: Samples,
}

/// The class that the selection chose, and the edges to code its margins by,
/// where it was drawn.
#[derive(Default)]
struct Selected {
    class: u16,
    edges: Option<Arc<[f32]>>,
}

impl From<Selection> for Selected {
    fn from(selection: Selection) -> Self {
        Self {
            class: selection.class,
            edges: selection.edges.map(Into::into),
        }
    }
}

pub(super) struct Scheduler<'a> {
    ledger: &'a mut Ledger,
    source: &'a dyn Source,
    plan: &'a Plan,
    noise: &'a Noise,
    observer: &'a mut dyn Observer,
    conclude: &'a mut Conclude<'a>,
    waiting: std::iter::Enumerate<std::slice::Iter<'a, Wanted<'a>>>,
    active: VecDeque<Active<'a>>,
    in_flight: usize,
    limit: usize,
    chunk: u64,
}

impl<'a> Scheduler<'a> {
    /// A scheduler of everything wanted, for this many workers.
    pub(super) fn new(
        ledger: &'a mut Ledger,
        source: &'a dyn Source,
        (plan, wanted): (&'a Plan, &'a [Wanted<'a>]),
        noise: &'a Noise,
        observer: &'a mut dyn Observer,
        conclude: &'a mut Conclude<'a>,
        workers: usize,
    ) -> Self {
        Self {
            ledger,
            source,
            plan,
            noise,
            observer,
            conclude,
            waiting: wanted.iter().enumerate(),
            active: VecDeque::new(),
            in_flight: 0,
            limit: 2 * workers,
            chunk: CHUNK_COPIES.start,
        }
    }

    /// Works until all is done, the observer stops it or something fails.
    pub(super) fn run(mut self, pool: &Pool) -> Result<Outcome, Error> {
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
                let Some((request, wanted)) = self.waiting.next() else {
                    break;
                };
                self.activate(request, wanted)?;
                self.conclude_front()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Samples for one job: as many as take the time aimed at, and fewer towards the
    /// end, so that no worker has long to wait for the others there.
    fn next_chunk(&self) -> u64 {
        if self.waiting.len() > 0 {
            return self.chunk;
        }
        let left: u64 = (self.active.iter())
            .map(|active| active.missing.len())
            .sum();
        let even = left / self.limit as u64;
        self.chunk.min(even.max(CHUNK_COPIES.start))
    }

    /// The first job that some active request is ready for.
    fn next_job(&mut self) -> Option<Job> {
        let chunk = self.next_chunk();
        for active in &mut self.active {
            let Active { wanted, voters, .. } = active;
            let (stream, samples, shares) = if active.selecting {
                continue;
            } else if voters.iter().any(|asked| asked.selected.is_none()) {
                active.selecting = true;
                let samples = Samples::first(self.plan.selection);
                let lacking = voters.iter().filter(|asked| asked.selected.is_none());
                let margins = self.plan.margins;
                let share = |asked: &Asked| Share {
                    voter: asked.voter,
                    samples: samples.clone(),
                    task: Task::Select { margins },
                };
                let shares = lacking.map(share).collect();
                (Stream::Selection, samples, shares)
            } else {
                let samples = active.missing.take(chunk);
                if samples.is_empty() {
                    continue;
                }
                let shares = voters.iter_mut().filter_map(|asked| asked.share(&samples));
                (wanted.stream, samples.clone(), shares.collect())
            };
            active.in_flight += 1;
            return Some(Job {
                request: active.request,
                idx: active.input.idx,
                stream,
                image: active.image.clone(),
                samples,
                shares,
            });
        }
        None
    }

    /// Starts on a request: reads its input, checks it against the ledger, and
    /// finds what is missing.
    fn activate(&mut self, request: usize, wanted: &'a Wanted<'a>) -> Result<(), Error> {
        let (input, pixels) = self.source.input(wanted.idx)?;
        let image = self.noise.prepare(wanted.idx, pixels)?;
        self.ledger.add_input(&input)?;
        let asked = |part: &Part<'_>| {
            let series = wanted.series(self.plan.networks[part.voter]);
            let selected = if self.plan.selection == 0 {
                Some(Selected::default())
            } else {
                let drawn = self.ledger.selection(series.network, wanted.idx)?;
                drawn.map(Selected::from)
            };
            Ok(Asked {
                voter: part.voter,
                series,
                selected,
                missing: (part.samples(self.ledger, wanted.idx)?)
                    .without(&self.ledger.answered(series)?),
            })
        };
        let voters = (wanted.parts.iter().map(asked)).collect::<Result<Vec<_>, Error>>()?;
        self.active.push_back(Active {
            request,
            wanted,
            input,
            image,
            missing: Samples::union(voters.iter().map(|asked| &asked.missing)),
            voters,
            selecting: false,
            in_flight: 0,
        });
        Ok(())
    }

    /// Writes what a worker computed. Where a network failed, what the others
    /// did is written all the same.
    fn receive(&mut self, done: Done) -> Result<(), Error> {
        let active = (self.active.iter_mut())
            .find(|active| active.request == done.request)
            .expect("a request stays active until its jobs are done");
        active.in_flight -= 1;
        let (mut evaluations, mut failure) = (0, None);
        let (mut answers, mut answering) = (Vec::new(), false);
        for (voter, result) in done.results {
            let asked = (active.voters.iter_mut())
                .find(|asked| asked.voter == voter)
                .expect("only networks that are asked answer");
            match result {
                Ok(Output::Selection(selection)) => {
                    let Series { network, idx, .. } = asked.series;
                    self.ledger.put_selection(network, idx, &selection)?;
                    evaluations += selection.samples;
                    asked.selected = Some(selection.into());
                }
                Ok(Output::Answers {
                    samples,
                    codes,
                    micros,
                }) => {
                    answering = true;
                    evaluations += samples.len() as u64;
                    let class = asked.selected.as_ref().map_or(0, |s| s.class);
                    answers.push((asked.series, class, samples, codes, micros));
                }
                Err(error) => {
                    let network = self.plan.networks[voter];
                    failure.get_or_insert((network, error));
                }
            }
        }
        active.selecting = false;
        let given: Vec<Given<'_>> = (answers.iter())
            .map(|(series, class, samples, answers, micros)| Given {
                series: *series,
                samples,
                answers,
                class: *class,
                micros: *micros,
            })
            .collect();
        self.ledger.put_together(&given)?;
        if evaluations > 0 {
            self.observer.evaluated(evaluations);
        }
        if answering {
            // Aim at the chunk time; one chunk at most doubles the next,
            // and a small one says how fast it went, not how large to be.
            let aimed = done.samples * CHUNK_TIME.as_micros() as u64 / done.micros.max(1);
            self.chunk = aimed
                .min(2 * done.samples.max(self.chunk))
                .clamp(CHUNK_COPIES.start, CHUNK_COPIES.end);
        }
        match failure {
            Some((network, error)) => Err(self.named(network, error)),
            None => Ok(()),
        }
    }

    /// Says whose failure it is, where that is not plain.
    fn named(&self, network: NetworkId, error: Error) -> Error {
        if self.plan.networks.len() == 1 {
            return error;
        }
        let all = self.ledger.networks().unwrap_or_default();
        let named = all.into_iter().find(|(id, _)| *id == network);
        match named {
            Some((_, named)) => error.of(&named.file),
            None => error,
        }
    }

    /// Concludes the requests at the front that are complete.
    fn conclude_front(&mut self) -> Result<(), Error> {
        while let Some(front) = self.active.front() {
            let complete = front.voters.iter().all(|asked| asked.selected.is_some())
                && front.missing.is_empty()
                && front.in_flight == 0;
            if !complete {
                break;
            }
            for (part, asked) in front.wanted.parts.iter().zip(&front.voters) {
                let Series { network, idx, .. } = asked.series;
                if !part.last {
                    self.ledger.conclude(asked.series, &[])?;
                    continue;
                }
                let certificates = (self.conclude)(self.ledger, network, idx)?;
                self.ledger.conclude(asked.series, &certificates)?;
                self.observer
                    .concluded(network, &front.input, &certificates);
            }
            self.active.pop_front();
        }
        Ok(())
    }
}

impl Asked {
    /// Its share of a job of these samples, if it lacks any of them.
    fn share(&mut self, samples: &Samples) -> Option<Share> {
        let own = self.missing.take_below(samples.end());
        let Selected { class, edges } = self.selected.as_ref()?;
        let margins = edges.clone().map(|edges| (*class, edges));
        (!own.is_empty()).then_some(Share {
            voter: self.voter,
            samples: own,
            task: Task::Answer { margins },
        })
    }
}
