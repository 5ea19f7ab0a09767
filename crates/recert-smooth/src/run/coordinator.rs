//! The coordinator: it decides what is evaluated next, and it alone writes to the ledger.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter::Enumerate;
use std::ops::Range;
use std::slice::Iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use recert_ledger::{Input, NetworkId, NewAnswers, Selection, Series};
use recert_noise::Stream;

use super::noise::{Noise, NoiseParameters};
use super::request::{Action, Assignment, Checked, MarginEdges, Reply, Request};
use super::samples::Samples;
use super::work::{Common, Conclude, NetworkWork, StreamWork};
use super::{Outcome, Run};
use crate::{Error, ErrorKind};

/// How much work one request should be: the most that a worker loses when its process is
/// killed.
const REQUEST_TIME: Duration = Duration::from_millis(800);

/// The least and the largest number of samples in a request, whatever the speed.
const REQUEST_SAMPLES: Range<u64> = 64..8192;

/// The next request's number. Numbers ascend from a random one, which the standard library's
/// randomly keyed hash supplies. So no number is used twice, in this process or in others, and
/// a late reply to a request of an earlier run is not mistaken for the reply to a new one.
static NEXT_ID: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));

/// Samples of one stream of one input that are being worked on.
struct Active<'a> {
    /// Its position in the list of all work.
    position: usize,
    work: &'a StreamWork<'a>,
    input: Input,
    pixels: Arc<[f32]>,
    /// The state of each network, in the order of the work's parts.
    networks: Vec<NetworkState>,
    /// Samples that any network lacks and that are not handed out yet.
    missing: Samples,
    /// Whether selection samples are being drawn.
    selecting: bool,
    in_flight: usize,
}

/// The progress of one network on an active input.
struct NetworkState {
    /// The network's position among the workers' networks.
    network: usize,
    series: Series,
    /// The outcome of the selection samples; `None` until they are drawn, unless none are
    /// needed.
    selected: Option<Selected>,
    /// Samples that the network lacks and that are not handed out yet.
    missing: Samples,
}

/// The selected class, and how its margins are coded, if they are.
#[derive(Default)]
struct Selected {
    class: u16,
    margins: Option<MarginEdges>,
}

impl From<Selection> for Selected {
    fn from(Selection { class, edges, .. }: Selection) -> Self {
        Self {
            class,
            margins: edges.map(|edges| MarginEdges { class, edges }),
        }
    }
}

pub(super) struct Coordinator<'a, 'r> {
    run: &'a mut Run<'r>,
    common: &'a Common,
    parameters: &'a NoiseParameters,
    noise: &'a Noise,
    conclude: &'a mut Conclude<'a>,
    waiting: Enumerate<Iter<'a, StreamWork<'a>>>,
    active: VecDeque<Active<'a>>,
    /// The requests in flight, by their numbers, and the positions of their work.
    in_flight: HashMap<u64, (usize, Request)>,
    /// Samples to put into a request.
    size: u64,
}

impl<'a, 'r> Coordinator<'a, 'r> {
    /// A coordinator of all this work.
    pub(super) fn new(
        run: &'a mut Run<'r>,
        (common, work): (&'a Common, &'a [StreamWork<'a>]),
        (parameters, noise): (&'a NoiseParameters, &'a Noise),
        conclude: &'a mut Conclude<'a>,
    ) -> Self {
        Self {
            run,
            common,
            parameters,
            noise,
            conclude,
            waiting: work.iter().enumerate(),
            active: VecDeque::new(),
            in_flight: HashMap::new(),
            size: REQUEST_SAMPLES.start,
        }
    }

    /// Works until everything is concluded, the observer stops the run, or something fails.
    pub(super) fn run(mut self) -> Result<Outcome, Error> {
        let mut failure = None;
        loop {
            let halted = failure.is_some() || self.run.observer.stop();
            let step = if halted { Ok(()) } else { self.submit() };
            if let Err(error) = step {
                failure = Some(error);
            }
            if self.in_flight.is_empty() {
                break;
            }
            // Even after a failure the replies to requests in flight are awaited and
            // recorded, as long as there are workers to send them.
            let reply = match self.run.workers.next() {
                Ok(reply) => reply,
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            if let Err(error) = self.receive(reply) {
                failure.get_or_insert(error);
            }
        }
        match failure {
            Some(error) => Err(error),
            None if self.active.is_empty() && self.waiting.len() == 0 => Ok(Outcome::Finished),
            None => Ok(Outcome::Stopped),
        }
    }

    /// How many requests the workers want in flight.
    fn limit(&self) -> usize {
        self.run.workers.in_flight().max(1)
    }

    /// Hands out requests until enough are in flight or none is left.
    fn submit(&mut self) -> Result<(), Error> {
        self.conclude_front()?;
        while self.in_flight.len() < self.limit() {
            if let Some((position, request, pixels)) = self.next_request() {
                self.run.workers.submit(request.clone(), &pixels)?;
                self.in_flight.insert(request.id, (position, request));
            } else if self.active.len() <= self.limit() {
                let Some((position, work)) = self.waiting.next() else {
                    break;
                };
                self.activate(position, work)?;
                self.conclude_front()?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// How many samples the next request gets: as many as take the intended time, and fewer
    /// towards the end of the run, so that no worker waits long for the others.
    fn next_size(&self) -> u64 {
        if self.waiting.len() > 0 {
            return self.size;
        }
        let left: u64 = (self.active.iter())
            .map(|active| active.missing.len())
            .sum();
        let even = left / self.limit() as u64;
        self.size.min(even.max(REQUEST_SAMPLES.start))
    }

    /// The first request that some active work is ready for, with the work's position
    /// and the input's pixels.
    fn next_request(&mut self) -> Option<(usize, Request, Arc<[f32]>)> {
        let size = self.next_size();
        for active in &mut self.active {
            let Active { work, networks, .. } = active;
            let lacking = |state: &&NetworkState| state.selected.is_none();
            let (stream, assignments) = if active.selecting {
                continue;
            } else if networks.iter().any(|state| lacking(&state)) {
                active.selecting = true;
                let select = |state: &NetworkState| Assignment {
                    network: state.network,
                    samples: Samples::first(self.common.selection),
                    action: Action::Select {
                        margins: self.common.margins,
                    },
                };
                let all = networks.iter().filter(lacking).map(select);
                (Stream::Selection, all.collect())
            } else {
                let samples = active.missing.take(size);
                if samples.is_empty() {
                    continue;
                }
                let all = (networks.iter_mut()).filter_map(|state| state.assign(&samples));
                (work.stream, all.collect())
            };
            active.in_flight += 1;
            let request = Request {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                noise: self.parameters.clone(),
                stream,
                input: active.input.idx,
                sha256: active.input.sha256,
                assignments,
            };
            return Some((active.position, request, Arc::clone(&active.pixels)));
        }
        None
    }

    /// Activates work: reads its input, compares it with the ledger, and finds the missing
    /// samples.
    fn activate(&mut self, position: usize, work: &'a StreamWork<'a>) -> Result<(), Error> {
        let (input, pixels) = self.run.inputs.input(work.idx)?;
        self.noise.prepare(work.idx, &pixels)?;
        let ledger = &*self.run.ledger;
        ledger.add_input(&input)?;
        let state = |part: &NetworkWork<'_>| {
            let series = work.series(self.common.networks[part.network]);
            let selected = if self.common.selection == 0 {
                Some(Selected::default())
            } else {
                let drawn = ledger.selection(series.network, work.idx)?;
                drawn.map(Selected::from)
            };
            Ok(NetworkState {
                network: part.network,
                series,
                selected,
                missing: (part.samples(ledger, work.idx)?).without(&ledger.answered(series)?),
            })
        };
        let networks = (work.parts.iter().map(state)).collect::<Result<Vec<_>, Error>>()?;
        self.active.push_back(Active {
            position,
            work,
            input,
            pixels: pixels.into(),
            missing: Samples::union(networks.iter().map(|state| &state.missing)),
            networks,
            selecting: false,
            in_flight: 0,
        });
        Ok(())
    }

    /// Records a worker's reply. Where one network failed, the results of the others are
    /// recorded all the same.
    fn receive(&mut self, reply: Reply) -> Result<(), Error> {
        let id = reply.id;
        let misfit = |problem: &str| {
            let message = format!("a worker's reply to request {id} cannot be used: {problem}");
            Error::new(ErrorKind::Workers, message)
        };
        let request = self.in_flight.remove(&id);
        let (position, request) = request.ok_or_else(|| misfit("no such request is in flight"))?;
        if reply.request != request.digest() {
            return Err(misfit("it is the reply to another request of that number"));
        }
        if reply.results.len() != request.assignments.len() {
            return Err(misfit("it does not have one result for each network"));
        }
        let active = (self.active.iter_mut())
            .find(|active| active.position == position)
            .expect("work stays active until its requests are done");
        active.in_flight -= 1;
        active.selecting = false;
        let ledger = &*self.run.ledger;
        let (mut evaluations, mut failure) = (0, None);
        let mut answers = Vec::new();
        for (assignment, result) in request.assignments.iter().zip(reply.results) {
            let state = (active.networks.iter_mut())
                .find(|state| state.network == assignment.network)
                .expect("only networks that are asked answer");
            let classes = self.common.classes[assignment.network];
            match result.map(|output| assignment.check(output, classes)) {
                Ok(Ok(Checked::Selection(selection))) => {
                    let Series { network, idx, .. } = state.series;
                    ledger.put_selection(network, idx, &selection)?;
                    evaluations += selection.samples;
                    state.selected = Some(selection.into());
                }
                Ok(Ok(Checked::Answers(codes, micros))) => {
                    evaluations += assignment.samples.len();
                    let class = state.selected.as_ref().map_or(0, |s| s.class);
                    let samples = assignment.samples.numbers();
                    answers.push((state.series, class, samples, codes, micros));
                }
                Ok(Err(problem)) => {
                    failure.get_or_insert((state.series.network, misfit(problem)));
                }
                Err(error) => {
                    failure.get_or_insert((state.series.network, error.into()));
                }
            }
        }
        let new: Vec<NewAnswers<'_>> = (answers.iter())
            .map(|(series, class, samples, answers, micros)| NewAnswers {
                series: *series,
                samples,
                answers,
                class: *class,
                micros: *micros,
            })
            .collect();
        ledger.put_series(&new)?;
        if evaluations > 0 {
            self.run.observer.evaluated(evaluations);
        }
        if !answers.is_empty() {
            // The next size follows from the speed of this request. It at most doubles, so
            // that one odd measurement has little influence.
            let samples = request.samples().len();
            let intended = samples * REQUEST_TIME.as_micros() as u64 / reply.micros.max(1);
            self.size = intended
                .min(2 * samples.max(self.size))
                .clamp(REQUEST_SAMPLES.start, REQUEST_SAMPLES.end);
        }
        match failure {
            Some((network, error)) => Err(self.named(network, error)),
            None => Ok(()),
        }
    }

    /// Adds the name of the network that failed to the error, where there are several.
    fn named(&self, network: NetworkId, error: Error) -> Error {
        if self.common.networks.len() == 1 {
            return error;
        }
        let all = self.run.ledger.networks().unwrap_or_default();
        match all.into_iter().find(|(id, _)| *id == network) {
            Some((_, failed)) => error.of_network(&failed.file),
            None => error,
        }
    }

    /// Concludes work from the front of the queue for as long as it is complete.
    fn conclude_front(&mut self) -> Result<(), Error> {
        while let Some(front) = self.active.front() {
            let complete = front.networks.iter().all(|state| state.selected.is_some())
                && front.missing.is_empty()
                && front.in_flight == 0;
            if !complete {
                break;
            }
            let Run {
                ledger, observer, ..
            } = &mut *self.run;
            for (part, state) in front.work.parts.iter().zip(&front.networks) {
                let Series { network, idx, .. } = state.series;
                if !part.last {
                    ledger.conclude(state.series, &[])?;
                    continue;
                }
                let certificates = (self.conclude)(ledger, network, idx)?;
                ledger.conclude(state.series, &certificates)?;
                observer.concluded(network, &front.input, &certificates);
            }
            self.active.pop_front();
        }
        Ok(())
    }
}

impl NetworkState {
    /// The network's assignment in a request with these samples, if it lacks any of them.
    fn assign(&mut self, samples: &Samples) -> Option<Assignment> {
        let lacking = self.missing.take_below(samples.end());
        let Selected { margins, .. } = self.selected.as_ref()?;
        (!lacking.is_empty()).then(|| Assignment {
            network: self.network,
            samples: lacking,
            action: Action::Answer {
                margins: margins.clone(),
            },
        })
    }
}
