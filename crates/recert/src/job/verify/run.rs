//! Running a verification: workers that decide, and one writer.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use recert_bounds::Options;
use recert_engine::Classifier;
use recert_ledger::{Input, Ledger, Verification, VerificationId, VerificationResult};
use recert_smooth::Outcome;

use super::cascade::Prover;
use super::{Subject, VerifyJob};
use crate::job::event::{Event, Events, Saved, VerifyPass};
use crate::{Error, ErrorKind, Field, Result};

/// How often a run looks whether it is to stop.
const WATCH: Duration = Duration::from_millis(200);

/// A part of the work, which has one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// The input at this position of the data.
    Image(u32),
    /// The file at this position.
    File(usize),
}

/// A result, with the input that it is of, if it is of one.
type Found = (Task, Result<(Option<Input>, VerificationResult)>);

impl VerifyJob<'_> {
    /// Runs the job and reports to `events`: results that a ledger has already come first, then
    /// new ones as they are done. The ledger is closed and sealed afterwards, also where the job
    /// fails or is stopped: the same job again goes on from there.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`] if the ledger is of other images or in use; whatever reading
    /// inputs, running the network, computing bounds and writing the ledger fails with.
    pub fn run(self, events: &mut dyn Events) -> Result<Outcome> {
        self.check_shard()?;
        for remark in &self.remarks {
            events.event(Event::Remark(remark.clone()));
        }
        let record = match &self.ledger {
            Some(path) => Some(Record::open(path, &self)?),
            None => None,
        };
        let outcome = self.decide(record.as_ref(), events);
        let finished = matches!(outcome, Ok(Outcome::Finished));
        events.event(Event::VerifyEnded { finished });
        // A failure to close comes last: what went wrong before explains it.
        let closed = record.map_or(Ok(()), |record| record.ledger.close());
        let outcome = outcome?;
        closed?;
        Ok(outcome)
    }

    /// Fails where the shard has nothing to do.
    fn check_shard(&self) -> Result<()> {
        match &self.subject {
            Subject::Images { inputs, .. } => self.config.run.part(inputs).map(drop),
            Subject::Files(_) if self.config.run.shard.is_some() => {
                let message = "only inputs are divided into shards: list the files of each process";
                Err(Error::parameter(Field::Shard, message))
            }
            Subject::Files(_) => Ok(()),
        }
    }

    fn tasks(&self) -> Vec<Task> {
        match &self.subject {
            Subject::Images { inputs, .. } => {
                let part = self.config.run.part(inputs).unwrap_or_default();
                part.into_iter().map(Task::Image).collect()
            }
            Subject::Files(files) => (0..files.len()).map(Task::File).collect(),
        }
    }

    fn decide(&self, record: Option<&Record>, events: &mut dyn Events) -> Result<Outcome> {
        let mut tasks = self.tasks();
        let known = match record {
            Some(record) => record.known(&tasks)?,
            None => Vec::new(),
        };
        events.event(Event::VerifyStarted(VerifyPass {
            verification: self.verification(tasks[0]),
            network: self.network.identity(),
            shape: self.header.shape.map(|size| size as usize),
            tasks: tasks.len(),
            done: known.len(),
        }));
        let mut shown = InOrder::new(&tasks);
        let is_known: BTreeSet<Task> = known.iter().map(|(task, _)| *task).collect();
        for (task, result) in known {
            let input = self.input(task)?;
            // The input has to be the one that the result is of.
            if let (Some(record), Some(input)) = (record, &input) {
                record.ledger.add_input(input)?;
            }
            shown.add(task, (input, result));
        }
        self.show(&mut shown, events);
        tasks.retain(|task| !is_known.contains(task));
        if tasks.is_empty() {
            return Ok(Outcome::Finished);
        }
        let threads = self.config.run.threads.unwrap_or_else(|| {
            let cores = thread::available_parallelism();
            cores.map_or(1, NonZero::get)
        });
        let workers = threads.min(tasks.len());
        let options = Options {
            memory: usize::try_from(self.config.memory).unwrap_or(usize::MAX) / workers,
            threads: threads / workers,
        };
        let classifiers = (0..workers).map(|_| self.network.worker());
        let classifiers = classifiers.collect::<Result<Vec<_>>>()?;
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for classifier in classifiers {
                let (sender, tasks, next, stop) = (sender.clone(), &tasks, &next, &stop);
                let work = move || self.work(classifier, options, (tasks, next, stop), &sender);
                let worker = thread::Builder::new().name("verify".to_owned());
                if let Err(why) = worker.spawn_scoped(scope, work) {
                    stop.store(true, Ordering::Relaxed);
                    let message = format!("a worker could not be started: {why}");
                    return Err(Error::new(ErrorKind::Workers, message));
                }
            }
            drop(sender);
            let mut done = 0;
            let mut failure = None;
            let mut saved = Saved::default();
            loop {
                if events.stop() {
                    stop.store(true, Ordering::Relaxed);
                }
                let (task, result) = match results.recv_timeout(WATCH) {
                    Ok(found) => found,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let kept = result.and_then(|(input, result)| {
                    if let Some(record) = record {
                        record.keep(task, input.as_ref(), &result)?;
                    }
                    self.count(task, &result, &mut saved);
                    shown.add(task, (input, result));
                    self.show(&mut shown, events);
                    Ok(())
                });
                match kept {
                    Ok(()) => done += 1,
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        failure.get_or_insert(error);
                    }
                }
            }
            // Of a run that ends early, an input before these has no result.
            for (task, (input, result)) in shown.rest() {
                events.event(self.verified(task, input.as_ref(), &result));
            }
            if let Some(start) = &self.start {
                saved.rows = start.rows.load(Ordering::Relaxed);
                events.event(Event::Saved(saved));
            }
            match failure {
                Some(error) => Err(error),
                None if done == tasks.len() => Ok(Outcome::Finished),
                None if stop.load(Ordering::Relaxed) => Ok(Outcome::Stopped),
                // A panic ends a worker without a result; the scope passes it on.
                None => {
                    let message = "a worker was lost";
                    Err(Error::new(ErrorKind::Workers, message))
                }
            }
        })
    }

    /// Reports the results whose turn it is.
    fn show(
        &self,
        shown: &mut InOrder<(Option<Input>, VerificationResult)>,
        events: &mut dyn Events,
    ) {
        while let Some((task, (input, result))) = shown.next() {
            events.event(self.verified(task, input.as_ref(), &result));
        }
    }

    /// Counts what a result cost, beside the original's.
    fn count(&self, task: Task, result: &VerificationResult, saved: &mut Saved) {
        let original = match (&self.start, task) {
            (Some(start), Task::Image(idx)) => start.results.get(&idx),
            _ => None,
        };
        let Some(original) = original else { return };
        saved.inputs += 1;
        saved.transferred += usize::from(result.decided_by.starts_with("transfer-"));
        saved.time += Duration::from_micros(result.micros);
        saved.original_time += Duration::from_micros(original.micros);
    }

    /// One worker: takes tasks until there are none, or the run stops.
    fn work(
        &self,
        mut classifier: Box<dyn Classifier>,
        options: Options,
        (tasks, next, stop): (&[Task], &AtomicUsize, &AtomicBool),
        results: &Sender<Found>,
    ) {
        while !stop.load(Ordering::Relaxed) {
            let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let found = self.result(task, classifier.as_mut(), options);
            if results.send((task, found)).is_err() {
                return;
            }
        }
    }

    fn result(
        &self,
        task: Task,
        classifier: &mut dyn Classifier,
        options: Options,
    ) -> Result<(Option<Input>, VerificationResult)> {
        match (&self.subject, task) {
            (
                Subject::Images {
                    data, perturbation, ..
                },
                Task::Image(idx),
            ) => {
                let image = data.image(idx)?;
                let input = data.input(idx, &image);
                let mut prover = Prover {
                    config: &self.config,
                    network: &self.bounds,
                    classifier,
                    options,
                    start: self.start.as_ref(),
                };
                let perturbation = (perturbation, data.shape());
                let result = prover.image((idx, input.label), &image.pixels, perturbation)?;
                Ok((Some(input), result))
            }
            (Subject::Files(files), Task::File(position)) => {
                let (file, _) = &files[position];
                let config = file.config(&self.config);
                let mut prover = Prover {
                    config: &config,
                    network: &self.bounds,
                    classifier,
                    options,
                    start: None,
                };
                let order = self.order();
                Ok((None, prover.file(&file.queries(order.as_deref()))?))
            }
            _ => unreachable!("tasks are made of the subject"),
        }
    }

    /// For each pixel, in the order of channels, rows and columns, its position in the network's
    /// input, where that has another order.
    fn order(&self) -> Option<Vec<usize>> {
        let [channels, height, width] = self.header.shape.map(|size| size as usize);
        self.channels_last.then(|| {
            let positions = (0..channels)
                .flat_map(|c| (0..height * width).map(move |pixel| pixel * channels + c));
            positions.collect()
        })
    }

    fn input(&self, task: Task) -> Result<Option<Input>> {
        match (&self.subject, task) {
            (Subject::Images { data, .. }, Task::Image(idx)) => {
                let image = data.image(idx)?;
                Ok(Some(data.input(idx, &image)))
            }
            _ => Ok(None),
        }
    }

    fn verification(&self, task: Task) -> &Verification {
        match (&self.subject, task) {
            (Subject::Images { verification, .. }, _) => verification,
            (Subject::Files(files), Task::File(position)) => &files[position].1,
            (Subject::Files(files), Task::Image(_)) => &files[0].1,
        }
    }

    fn verified<'a>(
        &'a self,
        task: Task,
        input: Option<&'a Input>,
        result: &'a VerificationResult,
    ) -> Event<'a> {
        Event::Verified {
            verification: self.verification(task),
            input,
            result,
        }
    }
}

/// Puts results that come as they are done in the order of their tasks.
struct InOrder<T> {
    /// The place of each task.
    places: BTreeMap<Task, usize>,
    /// Those whose turn has not come, by their places.
    waiting: BTreeMap<usize, (Task, T)>,
    /// The place whose turn it is.
    turn: usize,
}

impl<T> InOrder<T> {
    fn new(tasks: &[Task]) -> Self {
        Self {
            places: tasks.iter().copied().zip(0..).collect(),
            waiting: BTreeMap::new(),
            turn: 0,
        }
    }

    fn add(&mut self, task: Task, result: T) {
        if let Some(&place) = self.places.get(&task) {
            self.waiting.insert(place, (task, result));
        }
    }

    /// The next in order, if it is there.
    fn next(&mut self) -> Option<(Task, T)> {
        let next = self.waiting.remove(&self.turn)?;
        self.turn += 1;
        Some(next)
    }

    /// All that are left, in order.
    fn rest(self) -> impl Iterator<Item = (Task, T)> {
        self.waiting.into_values()
    }
}

/// The ledger of a run, and where its results belong.
struct Record {
    ledger: Ledger,
    /// One for all images, or one a file.
    verifications: Vec<VerificationId>,
}

impl Record {
    fn open(path: &std::path::Path, job: &VerifyJob<'_>) -> Result<Self> {
        let ledger = Ledger::resume_verification(path, &job.header)?;
        let network = ledger.add_network(job.network.identity())?;
        if let Some(held) = job.network.held() {
            held.note(&ledger, network)?;
        }
        // What is to come is recorded before any of it is known.
        let verifications: Vec<(&Verification, Option<Vec<u32>>)> = match &job.subject {
            Subject::Images {
                verification,
                inputs,
                ..
            } => {
                let mut inputs = inputs.clone();
                inputs.sort_unstable();
                inputs.dedup();
                vec![(&**verification, Some(inputs))]
            }
            Subject::Files(files) => files.iter().map(|(_, one)| (one, None)).collect(),
        };
        let begin = |(verification, inputs): &(&Verification, Option<Vec<u32>>)| {
            let shard = job.config.run.shard;
            ledger.begin_verification(network, verification, inputs.as_deref(), shard)
        };
        let verifications = verifications.iter().map(begin);
        Ok(Self {
            verifications: verifications.collect::<Result<_, _>>()?,
            ledger,
        })
    }

    fn of(&self, task: Task) -> VerificationId {
        match task {
            Task::Image(_) => self.verifications[0],
            Task::File(position) => self.verifications[position],
        }
    }

    /// The results of these tasks that the ledger has.
    fn known(&self, tasks: &[Task]) -> Result<Vec<(Task, VerificationResult)>> {
        let mut known = Vec::new();
        let wanted: BTreeSet<u32> = tasks
            .iter()
            .filter_map(|task| match task {
                Task::Image(idx) => Some(*idx),
                Task::File(_) => None,
            })
            .collect();
        if wanted.is_empty() {
            for &task in tasks {
                let results = self.ledger.results(self.of(task))?;
                known.extend(results.into_iter().map(|result| (task, result)));
            }
        } else {
            let results = self.ledger.results(self.verifications[0])?.into_iter();
            let results = results.filter_map(|result| Some((Task::Image(result.idx?), result)));
            known.extend(
                results
                    .filter(|(task, _)| matches!(task, Task::Image(idx) if wanted.contains(idx))),
            );
        }
        Ok(known)
    }

    fn keep(&self, task: Task, input: Option<&Input>, result: &VerificationResult) -> Result<()> {
        if let Some(input) = input {
            self.ledger.add_input(input)?;
        }
        self.ledger.put_result(self.of(task), result)?;
        Ok(())
    }
}
