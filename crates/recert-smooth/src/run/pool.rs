//! Worker threads: each owns a classifier and evaluates jobs one by one.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Instant;

use recert_engine::{Answers, Classifier};
use recert_ledger::{Codes, INVALID, Selection};
use recert_noise::Stream;

use super::copies::Copies;
use super::noise::{Noise, Pixels};
use crate::margin::{edges, margin_code};
use crate::{Error, ErrorKind};

/// What all jobs of a run have in common.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) noise: Noise,
    pub(super) batch: usize,
}

/// Copies of one input to evaluate.
#[derive(Debug)]
pub(super) struct Job {
    /// What was asked for, by its place.
    pub(super) request: usize,
    pub(super) idx: u32,
    pub(super) stream: Stream,
    pub(super) image: Pixels,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Draw this many selection copies.
    Select { copies: u32, margins: bool },
    /// Answer these copies, coding the margin of the class by the edges.
    Answer {
        copies: Copies,
        margins: Option<(u16, Arc<[f32]>)>,
    },
}

/// A finished job.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) request: usize,
    pub(super) result: Result<Output, Error>,
}

#[derive(Debug)]
pub(super) enum Output {
    Selection(Selection),
    Answers {
        copies: Vec<u32>,
        codes: Codes,
        micros: u64,
    },
}

/// The ends of the queues to and from the workers.
pub(super) struct Pool {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

impl Pool {
    /// Starts one thread a classifier; they end when the pool is dropped.
    pub(super) fn start<'scope, 'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        classifiers: &'env mut [Box<dyn Classifier>],
        setting: &Setting,
    ) -> Self {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let (results, done) = channel();
        for classifier in classifiers {
            let queue = Arc::clone(&queue);
            let results = results.clone();
            let setting = setting.clone();
            scope.spawn(move || {
                let mut worker = Worker {
                    classifier: classifier.as_mut(),
                    setting,
                    noisy: Vec::new(),
                    panicked: None,
                };
                loop {
                    // The lock is held while waiting: one idle worker waits on
                    // the queue, the others on the lock.
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    let request = job.request;
                    let result = worker.guarded(&job);
                    if results.send(Done { request, result }).is_err() {
                        break;
                    }
                }
            });
        }
        Self { jobs, done }
    }

    pub(super) fn submit(&self, job: Job) {
        // Workers end only when this sender is gone.
        self.jobs.send(job).expect("the workers are running");
    }

    pub(super) fn next(&self) -> Done {
        self.done.recv().expect("the workers are running")
    }
}

struct Worker<'a> {
    classifier: &'a mut dyn Classifier,
    setting: Setting,
    noisy: Vec<f32>,
    /// What the classifier panicked with, if it did.
    panicked: Option<String>,
}

impl Worker<'_> {
    /// As [`Self::evaluate`], with a panic of the classifier made an error, so
    /// that a job lost with its thread is never waited for. What a classifier
    /// answers after a panic is not to be trusted, so it is not asked again.
    fn guarded(&mut self, job: &Job) -> Result<Output, Error> {
        if self.panicked.is_none() {
            match catch_unwind(AssertUnwindSafe(|| self.evaluate(job))) {
                Ok(result) => return result,
                Err(payload) => self.panicked = Some(words(payload.as_ref())),
            }
        }
        let words = self.panicked.as_deref().unwrap_or_default();
        Err(Error::new(
            ErrorKind::Engine,
            format!(
                "the classifier panicked on input {}, a fault of the engine: {words}",
                job.idx
            ),
        ))
    }

    fn evaluate(&mut self, job: &Job) -> Result<Output, Error> {
        let start = Instant::now();
        let micros = || start.elapsed().as_micros() as u64;
        match &job.work {
            Work::Select { copies, margins } => {
                let answers = self.run(job, Stream::Selection, Copies::first(*copies))?;
                let mut selection = select(&answers, *margins);
                selection.micros = micros();
                Ok(Output::Selection(selection))
            }
            Work::Answer { copies, margins } => {
                let answers = self.run(job, job.stream, copies.clone())?;
                Ok(Output::Answers {
                    copies: copies.numbers(),
                    codes: encode(&answers, margins.as_ref()),
                    micros: micros(),
                })
            }
        }
    }

    /// The answers on `copies` of the job's input, batch by batch.
    fn run(
        &mut self,
        job: &Job,
        stream: Stream,
        mut copies: Copies,
    ) -> Result<Vec<Answers>, Error> {
        let Setting { noise, batch, .. } = &self.setting;
        let pixels = job.image.len();
        let mut answers = Vec::new();
        while !copies.is_empty() {
            let piece = copies.take(*batch as u64);
            self.noisy.resize(piece.len() as usize * pixels, 0.0);
            let mut rest = self.noisy.as_mut_slice();
            for range in piece.ranges() {
                let (rows, others) = rest.split_at_mut(range.len() * pixels);
                noise.add_batch(stream, job.idx, range, &job.image, rows);
                rest = others;
            }
            answers.push(self.classifier.classify(&self.noisy)?);
        }
        Ok(answers)
    }
}

/// Counts the selection copies: the class answered most often, ties to the
/// lower index, and the margin buckets' edges.
fn select(answers: &[Answers], margins: bool) -> Selection {
    let mut counts = BTreeMap::new();
    let (mut copies, mut invalid) = (0, 0);
    for batch in answers {
        for i in 0..batch.len() {
            copies += 1;
            match batch.class(i) {
                Some(class) => *counts.entry(class).or_insert(0) += 1,
                None => invalid += 1,
            }
        }
    }
    // `max_by_key` keeps the last of equals, so the order is reversed.
    let class = counts
        .iter()
        .rev()
        .max_by_key(|(_, count)| **count)
        .map_or(0, |(class, _)| *class);
    let margins: Vec<f32> = answers
        .iter()
        .filter(|_| margins)
        .flat_map(|batch| (0..batch.len()).filter_map(|i| batch.margin(i, class)))
        .collect();
    Selection {
        copies,
        counts,
        invalid,
        class,
        edges: edges(&margins),
        micros: 0,
    }
}

/// The text that a panic came with, if it is one.
fn words(payload: &(dyn Any + Send)) -> String {
    let owned = payload.downcast_ref::<String>().cloned();
    owned
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        })
        .unwrap_or_else(|| "no reason given".to_owned())
}

fn encode(answers: &[Answers], margins: Option<&(u16, Arc<[f32]>)>) -> Codes {
    let mut codes = Codes {
        classes: Vec::new(),
        margins: margins.map(|_| Vec::new()),
    };
    for batch in answers {
        for i in 0..batch.len() {
            codes.classes.push(batch.class(i).unwrap_or(INVALID));
            if let (Some(list), Some((class, edges))) = (&mut codes.margins, margins) {
                list.push(batch.margin(i, *class).map_or(0, |m| margin_code(edges, m)));
            }
        }
    }
    codes
}
