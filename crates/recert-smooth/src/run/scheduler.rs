//! What to evaluate next, and what to do with the answers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use recert_ledger::{Input, Ledger, Series};

use super::collect::{Conclude, Plan, Wanted};
use super::copies::Copies;
use super::noise::{Noise, Pixels};
use super::pool::{Done, Job, Output, Pool, Work};
use super::{Observer, Outcome};
use crate::{Error, Source};

/// Work aimed at in one chunk: what a killed process loses a worker.
const CHUNK_TIME: Duration = Duration::from_millis(800);

/// Chunks stay within these many copies whatever the speed.
const CHUNK_COPIES: Range<u64> = 64..8192;

/// A request being worked on.
struct Active<'a> {
    /// Its place among all.
    request: usize,
    wanted: &'a Wanted<'a>,
    series: Series,
    input: Input,
    image: Pixels,
    selection: Selected,
    /// Copies not yet handed out.
    missing: Copies,
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

    /// The first job that some active request is ready for.
    fn next_job(&mut self) -> Option<Job> {
        for active in &mut self.active {
            let work = match &active.selection {
                Selected::Soon => continue,
                Selected::No => {
                    active.selection = Selected::Soon;
                    Work::Select {
                        copies: self.plan.selection,
                        margins: self.plan.margins,
                    }
                }
                Selected::Yes(class, edges) => {
                    let copies = active.missing.take(self.chunk);
                    if copies.is_empty() {
                        continue;
                    }
                    Work::Answer {
                        copies,
                        margins: edges.clone().map(|edges| (*class, edges)),
                    }
                }
            };
            active.in_flight += 1;
            return Some(Job {
                request: active.request,
                idx: active.input.idx,
                stream: active.wanted.stream,
                image: active.image.clone(),
                work,
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
        let network = self.plan.network;
        let selection = if self.plan.selection == 0 {
            Selected::Yes(0, None)
        } else {
            match self.ledger.selection(network, wanted.idx)? {
                Some(s) => Selected::Yes(s.class, s.edges.map(Into::into)),
                None => Selected::No,
            }
        };
        let series = wanted.series(network);
        self.active.push_back(Active {
            request,
            wanted,
            series,
            input,
            image,
            selection,
            missing: wanted.copies().without(&self.ledger.answered(series)?),
            in_flight: 0,
        });
        Ok(())
    }

    /// Writes what a worker computed.
    fn receive(&mut self, done: Done) -> Result<(), Error> {
        let active = self
            .active
            .iter_mut()
            .find(|active| active.request == done.request)
            .expect("a request stays active until its jobs are done");
        active.in_flight -= 1;
        match done.result? {
            Output::Selection(selection) => {
                let Series { network, idx, .. } = active.series;
                self.ledger.put_selection(network, idx, &selection)?;
                self.observer.evaluated(selection.copies);
                active.selection = Selected::Yes(selection.class, selection.edges.map(Into::into));
            }
            Output::Answers {
                copies,
                codes,
                micros,
            } => {
                let class = match active.selection {
                    Selected::Yes(class, _) => class,
                    Selected::No | Selected::Soon => 0,
                };
                self.ledger
                    .put_chosen(active.series, &copies, &codes, class, micros)?;
                let copies = copies.len() as u64;
                self.observer.evaluated(copies);
                // Aim at the chunk time; one chunk at most doubles the next,
                // and a small one says how fast it went, not how large to be.
                let aimed = copies * CHUNK_TIME.as_micros() as u64 / micros.max(1);
                self.chunk = aimed
                    .min(2 * copies.max(self.chunk))
                    .clamp(CHUNK_COPIES.start, CHUNK_COPIES.end);
            }
        }
        Ok(())
    }

    /// Concludes the requests at the front that are complete.
    fn conclude_front(&mut self) -> Result<(), Error> {
        while let Some(front) = self.active.front() {
            let complete = matches!(front.selection, Selected::Yes(..))
                && front.missing.is_empty()
                && front.in_flight == 0;
            if !complete {
                break;
            }
            let certificates = if front.wanted.last {
                (self.conclude)(self.ledger, front.input.idx)?
            } else {
                Vec::new()
            };
            self.ledger.conclude(front.series, &certificates)?;
            if front.wanted.last {
                self.observer.concluded(&front.input, &certificates);
            }
            self.active.pop_front();
        }
        Ok(())
    }
}
