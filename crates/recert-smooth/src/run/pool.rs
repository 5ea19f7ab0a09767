//! Worker threads: each owns a classifier of every network, and evaluates jobs
//! one by one.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use recert_engine::{Answers, Classifier};
use recert_ledger::{Codes, INVALID, Selection};
use recert_noise::Stream;

use super::collect::Voter;
use super::noise::{Noise, Pixels};
use super::samples::Samples;
use crate::margin::{edges, margin_code};
use crate::{Error, ErrorKind};

/// What all jobs of a run have in common.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) noise: Noise,
    pub(super) batch: usize,
}

/// Samples of one input to evaluate.
#[derive(Debug)]
pub(super) struct Job {
    /// What was asked for, by its place.
    pub(super) request: usize,
    pub(super) idx: u32,
    pub(super) stream: Stream,
    pub(super) image: Pixels,
    /// The samples: every one of them is asked of some network.
    pub(super) samples: Samples,
    /// What each network is to do with them; no network twice.
    pub(super) shares: Vec<Share>,
}

/// What one network is to do with the samples of a job.
#[derive(Debug)]
pub(super) struct Share {
    /// The network, by its place.
    pub(super) voter: usize,
    /// Those of the samples that it lacks.
    pub(super) samples: Samples,
    pub(super) task: Task,
}

#[derive(Debug)]
pub(super) enum Task {
    /// Choose a class by the samples, which are selection samples.
    Select { margins: bool },
    /// Answer the samples, coding the margin of the class by the edges.
    Answer { margins: Option<(u16, Arc<[f32]>)> },
}

/// A finished job.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) request: usize,
    /// Samples made, and the time that they and the answers took.
    pub(super) samples: u64,
    pub(super) micros: u64,
    /// What each network did, by its place, in the order of the shares.
    pub(super) results: Vec<(usize, Result<Output, Error>)>,
}

#[derive(Debug)]
pub(super) enum Output {
    Selection(Selection),
    Answers {
        samples: Vec<u32>,
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
    /// Starts one thread for each classifier of a voter; they end when the
    /// pool is dropped.
    pub(super) fn start<'scope, 'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        voters: &'env mut [Voter<'_>],
        setting: &Setting,
    ) -> Self {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let (results, done) = channel();
        let mut instances: Vec<_> = (voters.iter_mut())
            .map(|voter| voter.classifiers.iter_mut())
            .collect();
        // The first instance of every network to the first worker, and so on.
        while let Some(voices) = (instances.iter_mut())
            .map(|of_voter| of_voter.next().map(|own| Voice::new(own.as_mut())))
            .collect::<Option<Vec<_>>>()
            .filter(|voices| !voices.is_empty())
        {
            let queue = Arc::clone(&queue);
            let results = results.clone();
            let mut worker = Worker {
                voices,
                setting: setting.clone(),
                noisy: Vec::new(),
            };
            scope.spawn(move || {
                loop {
                    // The lock is held while waiting: one idle worker waits on
                    // the queue, the others on the lock.
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    if results.send(worker.done(&job)).is_err() {
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

/// A worker's instance of a network.
struct Voice<'a> {
    classifier: &'a mut dyn Classifier,
    /// Noisy samples that wait until they fill a batch.
    rows: Vec<f32>,
    /// What the classifier panicked with, if it did.
    panicked: Option<String>,
}

impl<'a> Voice<'a> {
    fn new(classifier: &'a mut dyn Classifier) -> Self {
        Self {
            classifier,
            rows: Vec::new(),
            panicked: None,
        }
    }
}

/// What a network has done of its share.
struct Track {
    left: Samples,
    kept: Kept,
    /// The time of its answers, and its part of the time of the noise.
    time: Duration,
    failure: Option<Error>,
}

/// What is kept of the answers.
enum Kept {
    /// All there is, for as long as nobody knows which class they select; whether
    /// for margins too.
    Whole(Vec<Answers>, bool),
    /// Their codes; the class whose margins are coded, by these edges.
    Codes(Codes, Option<(u16, Arc<[f32]>)>),
}

impl Track {
    fn new(share: &Share) -> Self {
        let kept = match &share.task {
            Task::Select { margins } => Kept::Whole(Vec::new(), *margins),
            Task::Answer { margins } => {
                let room = share.samples.len() as usize;
                let codes = Codes {
                    classes: Vec::with_capacity(room),
                    margins: margins.as_ref().map(|_| Vec::with_capacity(room)),
                };
                Kept::Codes(codes, margins.clone())
            }
        };
        Self {
            left: share.samples.clone(),
            kept,
            time: Duration::ZERO,
            failure: None,
        }
    }

    /// Answers images of input `idx`; none any more after a failure. A panic of
    /// the classifier is made an error, so that a job lost with its thread is
    /// never waited for. What a classifier answers after a panic is not to be
    /// trusted, so it is not asked again.
    fn classify(
        &mut self,
        classifier: &mut dyn Classifier,
        panicked: &mut Option<String>,
        (idx, images): (u32, &[f32]),
    ) {
        if self.failure.is_some() {
            return;
        }
        let start = Instant::now();
        if panicked.is_none() {
            match caught(classifier, images) {
                Ok(Ok(answers)) => match &mut self.kept {
                    Kept::Whole(all, _) => all.push(answers),
                    Kept::Codes(codes, margins) => encode(codes, &answers, margins.as_ref()),
                },
                Ok(Err(error)) => self.failure = Some(error.into()),
                Err(words) => *panicked = Some(words),
            }
        }
        if let Some(words) = panicked {
            self.failure = Some(fault(&format!(" on input {idx}"), words));
        }
        self.time += start.elapsed();
    }
}

struct Worker<'a> {
    voices: Vec<Voice<'a>>,
    setting: Setting,
    noisy: Vec<f32>,
}

impl Worker<'_> {
    fn done(&mut self, job: &Job) -> Done {
        let start = Instant::now();
        let tracks = self.run(job);
        let micros = start.elapsed().as_micros() as u64;
        let results = (job.shares.iter().zip(tracks))
            .map(|(share, track)| (share.voter, track.finish(share)))
            .collect();
        Done {
            request: job.request,
            samples: job.samples.len(),
            micros,
            results,
        }
    }

    /// The answers on the samples of the job, batch by batch: what each network
    /// did of its share. A network that needs a whole batch of the noise gets
    /// it as it is; one that needs some of it collects these until they are a
    /// batch of its own.
    fn run(&mut self, job: &Job) -> Vec<Track> {
        let Setting { noise, batch } = &self.setting;
        let pixels = job.image.len();
        let full = batch.saturating_mul(pixels);
        let mut tracks: Vec<Track> = job.shares.iter().map(Track::new).collect();
        let mut samples = job.samples.clone();
        while !samples.is_empty() {
            let piece = samples.take(*batch as u64);
            let start = Instant::now();
            self.noisy.resize(piece.len() as usize * pixels, 0.0);
            let mut rest = self.noisy.as_mut_slice();
            for range in piece.ranges() {
                let (rows, others) = rest.split_at_mut(range.len() * pixels);
                noise.add_batch(job.stream, job.idx, range, &job.image, rows);
                rest = others;
            }
            let time = start.elapsed();
            let owns: Vec<Samples> = (tracks.iter_mut())
                .map(|track| track.left.take_below(piece.end()))
                .collect();
            let all = owns.iter().map(Samples::len).sum::<u64>().max(1);
            for ((share, track), own) in job.shares.iter().zip(&mut tracks).zip(&owns) {
                track.time += time.mul_f64(own.len() as f64 / all as f64);
                let Voice {
                    classifier,
                    rows,
                    panicked,
                } = &mut self.voices[share.voter];
                if rows.is_empty() && *own == piece {
                    track.classify(*classifier, panicked, (job.idx, &self.noisy));
                    continue;
                }
                for place in piece.places(own) {
                    let place = place.start * pixels..place.end * pixels;
                    rows.extend_from_slice(&self.noisy[place]);
                }
                if rows.len() >= full {
                    let images = (job.idx, &rows[..full]);
                    track.classify(*classifier, panicked, images);
                    rows.drain(..full);
                }
            }
        }
        for (share, track) in job.shares.iter().zip(&mut tracks) {
            let voice = &mut self.voices[share.voter];
            if !voice.rows.is_empty() {
                let images = (job.idx, voice.rows.as_slice());
                track.classify(voice.classifier, &mut voice.panicked, images);
                voice.rows.clear();
            }
        }
        tracks
    }
}

impl Track {
    /// What comes of the answers.
    fn finish(self, share: &Share) -> Result<Output, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let micros = self.time.as_micros() as u64;
        Ok(match self.kept {
            Kept::Whole(answers, margins) => Output::Selection(Selection {
                micros,
                ..select(&answers, margins)
            }),
            Kept::Codes(codes, _) => Output::Answers {
                samples: share.samples.numbers(),
                codes,
                micros,
            },
        })
    }
}

/// What `answers` on the selection samples select: the class answered most often,
/// ties to the lower index, and with `margins` the edges of the margin buckets.
pub fn select(answers: &[Answers], margins: bool) -> Selection {
    let mut counts = BTreeMap::new();
    let (mut samples, mut invalid) = (0, 0);
    for batch in answers {
        for i in 0..batch.len() {
            samples += 1;
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
        samples,
        counts,
        invalid,
        class,
        edges: edges(&margins),
        micros: 0,
    }
}

/// What a classifier answers; a panic is made an error.
pub(super) fn answer(classifier: &mut dyn Classifier, images: &[f32]) -> Result<Answers, Error> {
    match caught(classifier, images) {
        Ok(answers) => Ok(answers?),
        Err(words) => Err(fault("", &words)),
    }
}

/// What a classifier answers, or what it panicked with.
fn caught(
    classifier: &mut dyn Classifier,
    images: &[f32],
) -> Result<Result<Answers, recert_engine::Error>, String> {
    let answer = AssertUnwindSafe(|| classifier.classify(images));
    catch_unwind(answer).map_err(|payload| words(payload.as_ref()))
}

fn fault(place: &str, words: &str) -> Error {
    let message = format!("the classifier panicked{place}, a fault of the engine: {words}");
    Error::new(ErrorKind::Engine, message)
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

/// Adds the codes of a batch of answers.
fn encode(codes: &mut Codes, batch: &Answers, margins: Option<&(u16, Arc<[f32]>)>) {
    for i in 0..batch.len() {
        codes.classes.push(batch.class(i).unwrap_or(INVALID));
        if let (Some(list), Some((class, edges))) = (&mut codes.margins, margins) {
            list.push(batch.margin(i, *class).map_or(0, |m| margin_code(edges, m)));
        }
    }
}

#[cfg(test)]
mod tests {
    use recert_noise::NoiseKey;

    use super::*;

    /// Notes how many images each call has, and the first value of each.
    struct Calls(Vec<Vec<f32>>);

    impl Classifier for Calls {
        fn classes(&self) -> usize {
            2
        }
        fn image_len(&self) -> usize {
            3
        }
        fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
            let firsts: Vec<f32> = images.chunks_exact(3).map(|image| image[0]).collect();
            let answers = firsts.iter().map(|&first| Some(u16::from(first > 0.5)));
            let answers = Answers::Classes(answers.collect());
            self.0.push(firsts);
            Ok(answers)
        }
    }

    #[test]
    fn each_network_gets_its_samples_in_full_batches() {
        let (key, image, sigma) = (NoiseKey::new(3), [0.5_f32, 0.1, 0.9], 0.25);
        let first = |sample: u32| {
            let mut noisy = [0.0; 3];
            key.add(Stream::Fresh, 7, sample, sigma, &image, &mut noisy);
            noisy[0]
        };
        let all: Vec<u32> = (0..100).collect();
        let even: Vec<u32> = (0..100).step_by(2).collect();
        let late: Vec<u32> = (90..100).collect();
        let lists = [&all, &even, &late];
        let mut calls = [Calls(vec![]), Calls(vec![]), Calls(vec![])];
        let mut worker = Worker {
            voices: calls
                .iter_mut()
                .map(|c| Voice::new(c as &mut dyn Classifier))
                .collect(),
            setting: Setting {
                noise: Noise::Gaussian { key, sigma },
                batch: 16,
            },
            noisy: Vec::new(),
        };
        let share = |(voter, list): (usize, &&Vec<u32>)| Share {
            voter,
            samples: Samples::chosen(list),
            task: Task::Answer { margins: None },
        };
        let done = worker.done(&Job {
            request: 0,
            idx: 7,
            stream: Stream::Fresh,
            image: Pixels::Float(image.to_vec().into()),
            samples: Samples::first(100),
            shares: lists.iter().enumerate().map(share).collect(),
        });
        assert_eq!(done.samples, 100);
        for ((voter, result), list) in done.results.into_iter().zip(lists) {
            let Ok(Output::Answers { samples, codes, .. }) = result else {
                panic!("network {voter} did not answer: {result:?}");
            };
            assert_eq!(&samples, list);
            let expected = list.iter().map(|&sample| u16::from(first(sample) > 0.5));
            assert_eq!(codes.classes, expected.collect::<Vec<_>>());
        }
        for (Calls(calls), list) in calls.iter().zip(lists) {
            let firsts: Vec<f32> = list.iter().map(|&sample| first(sample)).collect();
            let expected: Vec<&[f32]> = firsts.chunks(16).collect();
            assert_eq!(calls, &expected);
        }
    }
}
