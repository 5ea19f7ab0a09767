//! A worker: it evaluates requests, one at a time, with one instance of every network.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use recert_engine::{Answers, Classifier};
use recert_ledger::{Codes, INVALID, Selection};

use super::instance::{Answerer, Instance};
use super::noise::{Noise, NoiseParameters};
use super::request::{Action, Assignment, Failure, MarginEdges, Output, Reply, Request};
use super::samples::Samples;
use super::selection::select;
use crate::margin::margin_code;
use crate::{Error, ErrorKind};

/// Evaluates requests with one instance of every network. A thread of this process uses
/// it, and so does a process or a machine elsewhere that is sent requests.
pub struct Worker {
    networks: Vec<Network>,
    batch: usize,
    /// The noise of the last request, whose tables may take milliseconds to make.
    noise: Option<(NoiseParameters, Noise)>,
    noisy: Vec<f32>,
    /// The message of a panic outside the classifiers, if there has been one.
    panicked: Option<String>,
}

/// A worker's instance of a network.
enum Network {
    Classifying(Classifying),
    Answering(Box<dyn Answerer>),
}

/// A classifier that is given noisy samples.
struct Classifying {
    classifier: Box<dyn Classifier>,
    /// Noisy samples that wait until they fill a batch.
    rows: Vec<f32>,
    /// The message of the classifier's panic, if it has panicked.
    panicked: Option<String>,
}

impl From<Instance> for Network {
    fn from(instance: Instance) -> Self {
        match instance {
            Instance::Classifier(classifier) => Self::Classifying(Classifying {
                classifier,
                rows: Vec::new(),
                panicked: None,
            }),
            Instance::Answerer(answerer) => Self::Answering(answerer),
        }
    }
}

impl Network {
    fn image_len(&self) -> usize {
        match self {
            Self::Classifying(network) => network.classifier.image_len(),
            Self::Answering(answerer) => answerer.image_len(),
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("networks", &self.networks.len())
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with one classifier of every network, in the order of
    /// [`Workers::networks`](super::Workers::networks), and the number of images in one call
    /// of a classifier.
    ///
    /// # Errors
    /// A parameter error if the batch is 0.
    pub fn new(classifiers: Vec<Box<dyn Classifier>>, batch: usize) -> Result<Self, Error> {
        Self::with(classifiers.into_iter().map(Instance::from).collect(), batch)
    }

    /// The same with instances of which some may make their noise themselves.
    ///
    /// # Errors
    /// Those of [`Worker::new`].
    pub fn with(instances: Vec<Instance>, batch: usize) -> Result<Self, Error> {
        if batch == 0 {
            return Err(Error::parameter("the batch must be at least 1 image"));
        }
        Ok(Self {
            networks: instances.into_iter().map(Network::from).collect(),
            batch,
            noise: None,
            noisy: Vec::new(),
            panicked: None,
        })
    }

    /// Evaluates a request on its input's pixels, flat `[channels, height, width]`
    /// values in `[0, 1]`. Failures are part of the reply, and so are panics: were one to end
    /// the thread, the request would never be answered. A worker that has panicked outside its
    /// classifiers may be in any state, and reports that failure from then on.
    ///
    /// ```
    /// use recert_engine::FnClassifier;
    /// use recert_smooth::run::{Action, Assignment, NoiseParameters, Output, Request, Samples};
    /// use recert_smooth::run::Worker;
    ///
    /// let bright = FnClassifier::new(2, 1, |image: &[f32]| Some(u16::from(image[0] > 0.5)));
    /// let mut worker = Worker::new(vec![Box::new(bright)], 32)?;
    /// let request = Request {
    ///     id: 1,
    ///     noise: NoiseParameters {
    ///         generator: recert_noise::GENERATOR.into(),
    ///         seed: 7,
    ///         sigma: 0.01,
    ///     },
    ///     stream: recert_noise::Stream::Certify,
    ///     input: 3,
    ///     sha256: [0; 32],
    ///     assignments: vec![Assignment {
    ///         network: 0,
    ///         samples: Samples::first(3),
    ///         action: Action::Answer { margins: None },
    ///     }],
    /// };
    /// let reply = worker.evaluate(&request, &[0.9]);
    /// let Ok(Output::Answered { classes, .. }) = &reply.results[0] else {
    ///     panic!("{reply:?}");
    /// };
    /// assert_eq!(classes, &[1, 1, 1]);
    /// # Ok::<(), recert_smooth::Error>(())
    /// ```
    pub fn evaluate(&mut self, request: &Request, pixels: &[f32]) -> Reply {
        let start = Instant::now();
        if self.panicked.is_none() {
            let results = AssertUnwindSafe(|| self.run(request, pixels));
            match catch_unwind(results) {
                Ok(Ok(results)) => {
                    return request.reply(start.elapsed().as_micros() as u64, results);
                }
                Ok(Err(error)) => return request.failed(&error.into()),
                Err(payload) => self.panicked = Some(panic_message(payload.as_ref())),
            }
        }
        let panic = self.panicked.as_deref().unwrap_or_default();
        let message = format!("a worker panicked, which is a bug: {panic}");
        request.failed(&Failure::new(ErrorKind::Workers, message))
    }

    /// Checks a request, has those networks answer that make their noise themselves, and then
    /// all others.
    fn run(
        &mut self,
        request: &Request,
        pixels: &[f32],
    ) -> Result<Vec<Result<Output, Failure>>, Error> {
        self.check(request, pixels)?;
        let mut results: Vec<_> = (request.assignments.iter())
            .map(|assignment| match &mut self.networks[assignment.network] {
                Network::Answering(answerer) => {
                    let alone = request.of(assignment);
                    Some(answerer.answer(&alone, pixels, self.batch))
                }
                Network::Classifying(_) => None,
            })
            .collect();
        if results.iter().any(Option::is_none) {
            for (position, track) in self.classified(request, pixels)? {
                results[position] = Some(track.finish());
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Fails if a request is not for this worker's networks, or for another image.
    fn check(&self, request: &Request, pixels: &[f32]) -> Result<(), Error> {
        let mut assigned = BTreeSet::new();
        for &Assignment { network, .. } in &request.assignments {
            let id = request.id;
            let Some(instance) = self.networks.get(network) else {
                return Err(Error::parameter(format!(
                    "request {id} is for network {network}, which this worker does not have"
                )));
            };
            // The samples of both assignments would wait in the same rows.
            if !assigned.insert(network) {
                return Err(Error::parameter(format!(
                    "request {id} has two assignments for network {network}"
                )));
            }
            let (len, expected) = (pixels.len(), instance.image_len());
            if len != expected {
                let message = format!(
                    "input {} has {len} values, but network {network} takes {expected}",
                    request.input
                );
                return Err(Error::new(ErrorKind::Data, message));
            }
        }
        Ok(())
    }

    /// Makes the noise of the samples that classifiers are assigned, batch by batch, and returns
    /// each classifier's progress with the position of its assignment. A network that needs all
    /// samples of a batch classifies the batch as it is; one that needs some of them gathers
    /// these until it has a full batch of its own.
    fn classified(
        &mut self,
        request: &Request,
        pixels: &[f32],
    ) -> Result<Vec<(usize, Track)>, Error> {
        let noise = match self.noise.take() {
            Some((parameters, noise)) if parameters == request.noise => noise,
            _ => Noise::new(&request.noise)?,
        };
        let image = noise.prepare(request.input, pixels)?;
        let len = pixels.len();
        let full = self.batch.saturating_mul(len);
        let mut networks: Vec<_> = (self.networks.iter_mut())
            .map(|network| match network {
                Network::Classifying(network) => Some(network),
                Network::Answering(_) => None,
            })
            .collect();
        let mut tracks = Vec::new();
        for (position, assignment) in request.assignments.iter().enumerate() {
            if let Some(network) = networks[assignment.network].take() {
                tracks.push((position, network, Track::new(assignment)));
            }
        }
        let mut samples = Samples::union(tracks.iter().map(|(.., track)| &track.left));
        while !samples.is_empty() {
            let piece = samples.take(self.batch as u64);
            let start = Instant::now();
            self.noisy.resize(piece.len() as usize * len, 0.0);
            noise.add(
                request.stream,
                request.input,
                &piece,
                &image,
                &mut self.noisy,
            );
            let time = start.elapsed();
            let parts: Vec<Samples> = (tracks.iter_mut())
                .map(|(.., track)| track.left.take_below(piece.end()))
                .collect();
            let all = parts.iter().map(Samples::len).sum::<u64>().max(1);
            for ((_, network, track), part) in tracks.iter_mut().zip(&parts) {
                track.time += time.mul_f64(part.len() as f64 / all as f64);
                if network.rows.is_empty() && *part == piece {
                    track.classify(network, request.input, &self.noisy);
                    continue;
                }
                for positions in piece.positions(part) {
                    let values = positions.start * len..positions.end * len;
                    network.rows.extend_from_slice(&self.noisy[values]);
                }
                if network.rows.len() >= full {
                    track.classify_rows(network, request.input, full);
                }
            }
        }
        for (_, network, track) in &mut tracks {
            let waiting = network.rows.len();
            if waiting > 0 {
                track.classify_rows(network, request.input, waiting);
            }
        }
        self.noise = Some((request.noise.clone(), noise));
        let tracks = tracks.into_iter();
        Ok(tracks
            .map(|(position, _, track)| (position, track))
            .collect())
    }
}

/// The progress of a network on its assignment.
struct Track {
    left: Samples,
    kept: Kept,
    /// The time of its answers, and its part of the time of the noise.
    time: Duration,
    failure: Option<Failure>,
}

/// The part of the answers that is kept.
enum Kept {
    /// Whole answers, since the selected class follows from all of them; and whether margin
    /// edges are wanted too.
    Whole(Vec<Answers>, bool),
    /// Their codes, and how margins are coded.
    Codes(Codes, Option<MarginEdges>),
}

impl Track {
    fn new(assignment: &Assignment) -> Self {
        let kept = match &assignment.action {
            Action::Select { margins } => Kept::Whole(Vec::new(), *margins),
            Action::Answer { margins } => {
                let room = assignment.samples.len() as usize;
                let codes = Codes {
                    classes: Vec::with_capacity(room),
                    margins: margins.as_ref().map(|_| Vec::with_capacity(room)),
                };
                Kept::Codes(codes, margins.clone())
            }
        };
        Self {
            left: assignment.samples.clone(),
            kept,
            time: Duration::ZERO,
            failure: None,
        }
    }

    /// Classifies the first `values` numbers of the waiting rows.
    fn classify_rows(&mut self, network: &mut Classifying, idx: u32, values: usize) {
        let mut rows = std::mem::take(&mut network.rows);
        self.classify(network, idx, &rows[..values]);
        rows.drain(..values);
        network.rows = rows;
    }

    /// Classifies images of input `idx`, unless there has been a failure. A panic of the
    /// classifier becomes a failure: were it to end the thread, the request would never be
    /// answered. A classifier that has panicked may be in any state and is not called again.
    fn classify(&mut self, network: &mut Classifying, idx: u32, images: &[f32]) {
        if self.failure.is_some() {
            return;
        }
        let start = Instant::now();
        if network.panicked.is_none() {
            match caught(network.classifier.as_mut(), images) {
                Ok(Ok(answers)) => match &mut self.kept {
                    Kept::Whole(all, _) => all.push(answers),
                    Kept::Codes(codes, margins) => encode(codes, &answers, margins.as_ref()),
                },
                Ok(Err(error)) => self.failure = Some(error.into()),
                Err(message) => network.panicked = Some(message),
            }
        }
        if let Some(message) = &network.panicked {
            self.failure = Some(panic_error(&format!(" on input {idx}"), message).into());
        }
        self.time += start.elapsed();
    }

    /// The network's result.
    fn finish(self) -> Result<Output, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let micros = self.time.as_micros() as u64;
        Ok(match self.kept {
            Kept::Whole(answers, margins) => {
                let Selection {
                    counts,
                    invalid,
                    edges,
                    ..
                } = select(&answers, margins);
                Output::Selected {
                    counts,
                    invalid,
                    edges,
                    micros,
                }
            }
            Kept::Codes(Codes { classes, margins }, _) => Output::Answered {
                classes,
                margins,
                micros,
            },
        })
    }
}

/// Classifies images; a panic of the classifier becomes an error.
pub(super) fn answer(classifier: &mut dyn Classifier, images: &[f32]) -> Result<Answers, Error> {
    match caught(classifier, images) {
        Ok(answers) => answers,
        Err(message) => Err(panic_error("", &message)),
    }
}

/// Classifies images; a panic of the classifier becomes `Err` with its message.
fn caught(
    classifier: &mut dyn Classifier,
    images: &[f32],
) -> Result<Result<Answers, Error>, String> {
    let answer = AssertUnwindSafe(|| {
        let answers = classifier.classify(images)?;
        let count = images.len() / classifier.image_len();
        fitting(answers, count, classifier.classes())
    });
    catch_unwind(answer).map_err(|payload| panic_message(payload.as_ref()))
}

/// The answers to `images` images of a classifier of `classes` classes. A class that the
/// classifier does not have becomes an invalid answer; an error if the answers are not one for
/// each image.
fn fitting(mut answers: Answers, images: usize, classes: usize) -> Result<Answers, Error> {
    let fits = match &mut answers {
        Answers::Logits {
            classes: found,
            values,
        } => *found > 0 && *found == classes && images.checked_mul(classes) == Some(values.len()),
        Answers::Classes(list) => {
            for answer in &mut *list {
                *answer = answer.filter(|&class| usize::from(class) < classes && class != INVALID);
            }
            list.len() == images
        }
    };
    if fits {
        return Ok(answers);
    }
    let message = format!(
        "the classifier's answers are not one for each of {images} images and {classes} classes, \
         which is a bug of the engine"
    );
    Err(Error::new(ErrorKind::Engine, message))
}

fn panic_error(context: &str, panic: &str) -> Error {
    let message =
        format!("the classifier panicked{context}, which is a bug of the engine: {panic}");
    Error::new(ErrorKind::Engine, message)
}

/// The message of a panic, if its payload is text.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let owned = payload.downcast_ref::<String>().cloned();
    owned
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        })
        .unwrap_or_else(|| "no reason given".to_owned())
}

/// Appends the codes of a batch of answers.
fn encode(codes: &mut Codes, batch: &Answers, margins: Option<&MarginEdges>) {
    for i in 0..batch.len() {
        codes.classes.push(batch.class(i).unwrap_or(INVALID));
        if let (Some(list), Some(MarginEdges { class, edges })) = (&mut codes.margins, margins) {
            list.push(batch.margin(i, *class).map_or(0, |m| margin_code(edges, m)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use recert_noise::{NoiseKey, Stream};

    use super::*;

    /// Notes how many images each call has, and the first value of each.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<Vec<f32>>>>);

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
            self.0.lock().unwrap().push(firsts);
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
        let calls = [(); 3].map(|()| Calls::default());
        let classifiers = calls
            .iter()
            .map(|c| Box::new(c.clone()) as Box<dyn Classifier>);
        let mut worker = Worker::new(classifiers.collect(), 16).unwrap();
        let assignment = |(network, list): (usize, &&Vec<u32>)| Assignment {
            network,
            samples: Samples::from_ascending(list),
            action: Action::Answer { margins: None },
        };
        let request = Request {
            id: 5,
            noise: NoiseParameters {
                generator: recert_noise::GENERATOR.into(),
                seed: 3,
                sigma: sigma.into(),
            },
            stream: Stream::Fresh,
            input: 7,
            sha256: [0; 32],
            assignments: lists.iter().enumerate().map(assignment).collect(),
        };
        assert_eq!(request.samples(), Samples::first(100));
        let reply = worker.evaluate(&request, &image);
        assert_eq!(reply.id, 5);
        for (result, list) in reply.results.into_iter().zip(lists) {
            let Ok(Output::Answered { classes, .. }) = result else {
                panic!("a network did not answer: {result:?}");
            };
            let expected = list.iter().map(|&sample| u16::from(first(sample) > 0.5));
            assert_eq!(classes, expected.collect::<Vec<_>>());
        }
        for (calls, list) in calls.iter().zip(lists) {
            let firsts: Vec<f32> = list.iter().map(|&sample| first(sample)).collect();
            let expected: Vec<&[f32]> = firsts.chunks(16).collect();
            assert_eq!(*calls.0.lock().unwrap(), expected);
        }
    }
}
