//! Holding an engine to the reference interpreter of `recert-graph` when a network is
//! loaded: both answer the same few samples, and a difference that rounding cannot explain
//! refuses the engine.
//!
//! How far rounding reaches differs from network to network. Where the scores agree within
//! [`EXACT`] of the largest, nothing more is asked. Where not, the interpreter runs again
//! with its rounding disturbed ([`Disturbance`]), by some ten times as much as engines
//! differ, and an engine may be off by a few times as much as these runs are: over all
//! samples together, and on each one. A quantized value next to a tie may so go either
//! way, and all that follows from it; an engine that leaves a quantization out is off on every value, which
//! moves scores by many times as much. An engine that does not promise the same answer in every
//! batch and at every time is asked twice.
//!
//! `SOUNDNESS.md` states what this shows and what it does not.

mod found;
mod reach;
mod rows;

use std::thread;

use recert_graph::{
    Builder, Data, Direction, Disturbance, ElementType, Graph, Interpreter, Limits, Model, Op,
    Tensor,
};

use crate::feed::Feed;
use crate::rounding;
use crate::{
    Answers, EngineIdentity, Error, ErrorKind, ImageShape, Network, NetworkOptions, Precision,
    Preprocess, Setting,
};

use reach::{Reach, Spread, unlike};
use rows::{Rows, joined, rows};

pub use found::{Comparison, Held};

/// A difference that no network makes anything of, as a part of the largest score: float32
/// engines were measured to differ by 1e-6.
const EXACT: f64 = rounding::FLOAT as f64;

/// How many times as far as disturbed rounding an engine may be off: in the mean square and
/// in the quartiles over the samples, and on a single one. A value that goes to the next
/// step moves few samples, and these by much: it is in the mean square and not in the
/// quartiles, and what is wrong everywhere is in these.
const MEAN_FACTOR: f64 = 4.0;
const PEAK_FACTOR: f64 = 6.0;

/// The share of 16-bit numbers that go to the next in a disturbed run, where the engine may
/// keep more bits of them: as far off, in the mean square, as values that are not rounded.
const UNROUNDED: f64 = 0.25;

/// The operations that the interpreter may spend on one run over all samples, a second or
/// less; and for a single sample, above which a network is not compared.
const OPERATIONS: u64 = 400_000_000;
const MOST_OPERATIONS: u64 = 15_000_000_000;

/// The most samples.
const SAMPLES: usize = 64;

/// Samples that are given to the interpreter at a time, and to engines.
pub(crate) const AT_ONCE: usize = 8;

/// The same where an engine is asked a second time: as many as a run gives it.
const AT_ONCE_AGAIN: usize = 32;

/// Gives samples to compare on, up to the number that is asked for: one after the other, in
/// the units of the data, before normalisation, channels first.
pub type Samples<'a> = &'a mut dyn FnMut(usize) -> Result<Vec<f32>, Error>;

/// A network in the reference interpreter, which the engines that may compute it are held
/// to, one after the other.
pub struct Trial {
    name: String,
    feed: Feed,
    preprocess: Preprocess,
    computed: Result<Computed, String>,
}

/// What the interpreter computes: all of it when it is first asked for.
struct Computed {
    graph: Graph,
    quantizes: bool,
    /// Whether operators compute float16 or bfloat16.
    halves: bool,
    /// The operations of one sample.
    operations: u64,
    images: Vec<f32>,
    exact: Option<Rows>,
    disturbed: Vec<(Level, Vec<Rows>)>,
}

/// By how much rounding is disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    relative: f64,
    neighbours: f64,
}

impl Trial {
    /// The network `model`, for images of shape `image`, to be compared on `samples` and on
    /// some plain images.
    ///
    /// # Errors
    /// Those of [`Network::load`] for what is no classifier of such images, and what
    /// `samples` fails with. That the interpreter cannot compute it is none:
    /// [`Trial::hold`] states it.
    ///
    /// # Examples
    /// ```
    /// use recert_engine::{Comparison, ImageShape, Network, NetworkOptions, Trial, engines};
    /// use recert_graph::Model;
    ///
    /// let model = Model::read("tests/golden/made/plain.onnx")?;
    /// let image = ImageShape { channels: 3, height: 8, width: 8 };
    /// let options = NetworkOptions::default();
    /// let mut noisy = |most: usize| Ok(vec![0.25; image.len() * most.min(2)]);
    /// let mut trial = Trial::new(&model, image, &options, &mut noisy)?;
    ///
    /// let engine = engines::by_name("direct")?;
    /// let network = Network::load(&model, engine.as_ref(), image, &options)?;
    /// let Comparison::Held(held) = trial.hold(&network)? else {
    ///     panic!("the interpreter computes it");
    /// };
    /// assert!(held.samples > 2 && held.difference < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        model: &Model,
        image: ImageShape,
        options: &NetworkOptions,
        samples: Samples<'_>,
    ) -> Result<Self, Error> {
        let (mut feed, signature) = Feed::new(model, image, options)?;
        let output = signature.output.name.as_str();
        let mut graph = graph(model, output, &feed);
        if graph.is_err() && feed.fixed_batch.is_none() {
            // What fits no batch of any size is given to engines image by image.
            feed.fixed_batch = Some(1);
            graph = graph.or_else(|why| self::graph(model, output, &feed).map_err(|_| why));
        }
        let mut computed = graph.and_then(Computed::new);
        if let Ok(computed) = &mut computed {
            let most = computed.samples(feed.fixed_batch);
            let given = samples(if most < 2 * PLAIN { most } else { most - PLAIN })?;
            if given.len() % image.len() != 0 {
                let message = format!("{} values are no images of {image}", given.len());
                return Err(Error::new(ErrorKind::Shape, message));
            }
            let plain = most.saturating_sub(given.len() / image.len()).min(PLAIN);
            computed.images = given;
            let plain = (0..plain).flat_map(|kind| plain_image(kind, image.len()));
            computed.images.extend(plain);
        }
        Ok(Self {
            name: model.name().to_owned(),
            feed,
            preprocess: options.preprocess.clone(),
            computed,
        })
    }

    /// Whether the interpreter can be asked: it computes all of the network's operators, in
    /// reasonable time.
    pub fn compares(&self) -> bool {
        self.computed.is_ok()
    }

    /// Compares what `network`, which was loaded from the same model with the same options,
    /// answers with what the interpreter does.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where they differ by more than rounding explains;
    /// [`ErrorKind::Run`] where the engine fails.
    pub fn hold(&mut self, network: &Network) -> Result<Comparison, Error> {
        let computed = match &mut self.computed {
            Ok(computed) => computed,
            Err(why) => {
                let why = why.clone();
                return Ok(Comparison::NotCompared { why });
            }
        };
        let run = Run {
            feed: &self.feed,
            preprocess: &self.preprocess,
        };
        match computed.compare_all(run, network)? {
            Ok(held) => Ok(Comparison::Held(held)),
            Err(Unlike::Interpreter(why)) => {
                // It would fail on the next engine's behalf, too.
                self.computed = Err(why.clone());
                Ok(Comparison::NotCompared { why })
            }
            Err(Unlike::Engine(why)) => {
                let message = format!(
                    "{}: {} computes it otherwise than ONNX defines: {why}: choose another engine",
                    self.name,
                    network.engine(),
                );
                Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Engine))
            }
        }
    }
}

/// The network as engines read it, for the interpreter; or why it does not take it.
fn graph(model: &Model, output: &str, feed: &Feed) -> Result<Graph, String> {
    let plain = feed.plain(model, &[output]);
    let plain = plain.map_err(|error| error.to_string())?;
    let outputs: Vec<&str> = plain.outputs.iter().map(String::as_str).collect();
    let graph = Builder::new(&plain.model)
        .outputs(&outputs)
        .input_shape(&plain.input, feed.input_shape())
        .build()
        .map_err(|error| error.to_string())?;
    Interpreter::new(&graph, Limits::default()).map_err(|error| error.to_string())?;
    Ok(graph)
}

/// The answers of an engine in a new session, to so many samples at a time.
fn answers(network: &Network, images: &[f32], at_once: usize) -> Result<Rows, Error> {
    let mut worker = network.worker()?;
    let length = network.image().len();
    let mut rows: Option<Rows> = None;
    for images in images.chunks(at_once.min(network.most_batch()) * length) {
        let answers = worker.classify(images)?;
        let more = match answers {
            Answers::Logits { classes, values } => Rows::Scores(
                (values.chunks_exact(classes))
                    .map(|row| row.iter().map(|&score| f64::from(score)).collect())
                    .collect(),
            ),
            Answers::Classes(classes) => Rows::Classes(classes),
        };
        rows = Some(match rows {
            Some(rows) => joined(rows, more),
            None => more,
        });
    }
    Ok(rows.unwrap_or(Rows::Classes(Vec::new())))
}

/// Why two answers were found unlike.
enum Unlike {
    /// The interpreter failed.
    Interpreter(String),
    /// The engine is wrong.
    Engine(String),
}

/// How samples are handed to the interpreter.
#[derive(Clone, Copy)]
struct Run<'a> {
    feed: &'a Feed,
    preprocess: &'a Preprocess,
}

impl Computed {
    fn new(graph: Graph) -> Result<Self, String> {
        let batch = graph.inputs().iter().find_map(|&id| {
            let first = graph.value(id).shape.first()?;
            first.fixed()
        });
        let operations = graph.operations(1) / batch.unwrap_or(1).max(1) as u64;
        let all = operations.saturating_mul(batch.unwrap_or(1) as u64);
        if all > MOST_OPERATIONS {
            return Err(format!(
                "it takes {all} operations, which would last too long (at most \
                 {MOST_OPERATIONS} are computed)"
            ));
        }
        let quantizes = |op: &Op| {
            matches!(
                op,
                Op::QuantizeLinear(_)
                    | Op::DynamicQuantizeLinear
                    | Op::QLinearConv { .. }
                    | Op::QLinearMatMul
            )
        };
        let half =
            |element: ElementType| matches!(element, ElementType::Float16 | ElementType::BFloat16);
        let made = graph
            .nodes()
            .iter()
            .flat_map(|node| &node.outputs)
            .flatten();
        Ok(Self {
            quantizes: graph.nodes().iter().any(|node| quantizes(&node.op)),
            halves: made.map(|&id| graph.value(id).element).any(half),
            operations,
            graph,
            images: Vec::new(),
            exact: None,
            disturbed: Vec::new(),
        })
    }

    /// How many samples there is time for.
    fn samples(&self, fixed_batch: Option<usize>) -> usize {
        let most = OPERATIONS / self.operations.max(1);
        let most = (most as usize).clamp(1, SAMPLES);
        most.max(fixed_batch.unwrap_or(1).min(SAMPLES))
    }

    fn exact(&mut self, run: Run<'_>) -> Result<Rows, Unlike> {
        if self.exact.is_none() {
            self.exact = Some(self.run(run, None)?);
        }
        Ok(self.exact.clone().expect("it has just been computed"))
    }

    /// The answers of runs with rounding disturbed at this level.
    fn disturbed(&mut self, run: Run<'_>, level: Level) -> Result<Vec<Rows>, Unlike> {
        if let Some((_, rows)) = self.disturbed.iter().find(|(known, _)| *known == level) {
            return Ok(rows.clone());
        }
        let directions = if self.quantizes {
            vec![Direction::Either, Direction::Up, Direction::Down]
        } else {
            vec![Direction::Either; 2]
        };
        // A single sample of a large network takes seconds.
        let runs = if self.operations > OPERATIONS {
            1
        } else {
            directions.len()
        };
        let rows: Result<Vec<_>, _> = (directions.into_iter().take(runs).zip(1..))
            .map(|(direction, seed)| {
                let disturbance = Disturbance {
                    relative: level.relative,
                    steps: STEPS,
                    neighbours: level.neighbours,
                    direction,
                    seed,
                };
                self.run(run, Some(disturbance))
            })
            .collect();
        let rows = rows?;
        self.disturbed.push((level, rows.clone()));
        Ok(rows)
    }

    /// The interpreter's answers to all samples, on as many threads as there are.
    fn run(&self, run: Run<'_>, disturbance: Option<Disturbance>) -> Result<Rows, Unlike> {
        let length = run.feed.image.len();
        let batch = run.feed.fixed_batch.unwrap_or(AT_ONCE);
        let batches: Vec<&[f32]> = self.images.chunks(batch * length).collect();
        let threads = thread::available_parallelism().map_or(1, Into::into);
        let share = batches.len().div_ceil(threads).max(1);
        let results: Vec<Result<Rows, String>> = thread::scope(|scope| {
            let started: Vec<_> = (batches.chunks(share).enumerate())
                .map(|(part, batches)| {
                    scope.spawn(move || self.run_batches(run, batches, disturbance, part))
                })
                .collect();
            (started.into_iter())
                .map(|thread| {
                    let failed = |_| Err("the reference interpreter panicked".to_owned());
                    thread.join().unwrap_or_else(failed)
                })
                .collect()
        });
        let mut all: Option<Rows> = None;
        for rows in results {
            let rows = rows.map_err(Unlike::Interpreter)?;
            all = Some(match all {
                Some(all) => joined(all, rows),
                None => rows,
            });
        }
        Ok(all.unwrap_or(Rows::Classes(Vec::new())))
    }

    fn run_batches(
        &self,
        run: Run<'_>,
        batches: &[&[f32]],
        disturbance: Option<Disturbance>,
        part: usize,
    ) -> Result<Rows, String> {
        let interpreter = Interpreter::new(&self.graph, Limits::default());
        let interpreter = interpreter.map_err(|error| error.to_string())?;
        let mut all: Option<Rows> = None;
        for (number, images) in batches.iter().enumerate() {
            let count = images.len() / run.feed.image.len();
            let batch = run.feed.fixed_batch.unwrap_or(count);
            let mut input = Vec::new();
            run.feed.fill(images, batch, run.preprocess, &mut input);
            let input = Tensor::new(run.feed.shape(batch), Data::Float32(input));
            let input = input.map_err(|error| error.to_string())?;
            let outputs = match disturbance {
                None => interpreter.run(&[input]),
                Some(mut disturbance) => {
                    // No two samples are disturbed alike.
                    disturbance.seed += ((part << 16) + number) as u64 * 16;
                    interpreter.run_disturbed(&[input], &disturbance)
                }
            };
            let outputs = outputs.map_err(|error| error.to_string())?;
            let output = outputs.first().ok_or("it has no output")?;
            let rows = rows(output, batch, count)
                .ok_or_else(|| format!("its output has shape {:?}", output.shape()))?;
            all = Some(match all {
                Some(all) => joined(all, rows),
                None => rows,
            });
        }
        Ok(all.unwrap_or(Rows::Classes(Vec::new())))
    }

    /// Compares all that `network` answers. An engine that may answer otherwise in another
    /// batch, or at another time, is asked twice: in a session of its own each, and in batches
    /// of different sizes, for which engines have different code. Where one of them reads
    /// memory that it has not written, two sessions are not likely to agree.
    ///
    /// # Errors
    /// [`ErrorKind::Run`] where the engine fails.
    fn compare_all(
        &mut self,
        run: Run<'_>,
        network: &Network,
    ) -> Result<Result<Held, Unlike>, Error> {
        let engine = network.engine();
        let is_steady = engine.batch_invariant && engine.arithmetic.deterministic;
        let again = (!is_steady).then_some(AT_ONCE_AGAIN);
        let mut worst: Option<Held> = None;
        for at_once in std::iter::once(AT_ONCE).chain(again) {
            let answers = answers(network, &self.images, at_once)?;
            match self.compare(run, &answers, engine) {
                Ok(held) => {
                    let most = worst
                        .take()
                        .filter(|most| most.difference > held.difference);
                    worst = Some(most.unwrap_or(held));
                }
                unlike => return Ok(unlike),
            }
        }
        Ok(worst.ok_or_else(|| Unlike::Interpreter("there is no sample".to_owned())))
    }

    fn compare(
        &mut self,
        run: Run<'_>,
        answers: &Rows,
        engine: &EngineIdentity,
    ) -> Result<Held, Unlike> {
        let exact = self.exact(run)?;
        let samples = exact.len();
        let classes = |answers: &Rows| {
            let other = |&i: &usize| answers.class(i) != exact.class(i);
            (0..samples.min(answers.len()))
                .filter(other)
                .collect::<Vec<_>>()
        };
        let differences = exact.differences(answers);
        let largest = exact.largest();
        let peak = differences.iter().copied().fold(0.0, f64::max);
        let others = classes(answers);
        let mut held = Held {
            samples,
            other_class: others.len(),
            difference: peak,
            allowed: run.feed.score_rounding().max(EXACT) * largest,
            largest,
            wider: false,
        };
        let has_scores = matches!(exact, Rows::Scores(_));
        if matches!(answers, Rows::Scores(_)) != has_scores || answers.len() != samples {
            return Err(Unlike::Engine("it answers in another form".to_owned()));
        }
        if peak <= held.allowed && (has_scores || others.is_empty()) {
            return Ok(held);
        }
        let (relative, coarse) = match engine.arithmetic.precision() {
            Some(Precision::Bf16) => (BF16, true),
            Some(Precision::F16) => (F16, true),
            _ => (F32, false),
        };
        let level = Level {
            relative,
            neighbours: if coarse { UNROUNDED } else { STEPS },
        };
        let reach = Reach::of(&exact, &self.disturbed(run, level)?);
        held.allowed += PEAK_FACTOR * reach.peak;
        let spread = Spread::of(&differences);
        let explained = |reach: &Reach, floor: f64| {
            let quartiles = spread.quartiles.iter().zip(&reach.spread.quartiles);
            spread.mean <= MEAN_FACTOR * reach.spread.mean + floor
                && quartiles
                    .clone()
                    .all(|(found, reach)| *found <= MEAN_FACTOR * reach + floor)
                && peak <= PEAK_FACTOR * reach.peak + floor
                && others.len() <= 3 * reach.others + (samples / 16).max(2)
                // Classes without scores: a tie is where disturbed runs differ, too.
                && (has_scores || others.iter().all(|&i| reach.undecided[i]))
        };
        let floor = run.feed.score_rounding().max(EXACT) * largest;
        if explained(&reach, floor) {
            return Ok(held);
        }
        if self.halves && others.is_empty() && !coarse {
            let level = Level {
                relative,
                neighbours: UNROUNDED,
            };
            let wider = Reach::of(&exact, &self.disturbed(run, level)?);
            if explained(&wider, floor) {
                held.allowed = PEAK_FACTOR * wider.peak + floor;
                held.wider = true;
                return Ok(held);
            }
        }
        let medians = [
            spread.quartiles[1],
            MEAN_FACTOR * reach.spread.quartiles[1] + floor,
        ];
        Err(Unlike::Engine(unlike(
            &exact, answers, &others, &held, medians,
        )))
    }
}

/// By how much values quantized to steps are moved before they are rounded, in steps: one
/// in 2000 of them goes to the next.
const STEPS: f64 = 1e-3;

/// By how much what an operator computes is moved, relatively: 16 units in the last place
/// of float32, and 1 of bfloat16 and of float16, to which both factors are rounded.
const F32: f64 = 16.0 / (1 << 24) as f64;
const BF16: f64 = 1.0 / (1 << 8) as f64;
const F16: f64 = 1.0 / (1 << 11) as f64;

/// How many plain images there are.
const PLAIN: usize = 4;

/// A black image, a white one, uniform noise between them, and noise from -1 to 2.
fn plain_image(kind: usize, len: usize) -> Vec<f32> {
    let mut state = kind as u64 + 1;
    let mut uniform = || {
        state =
            (state.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    match kind {
        0 => vec![0.0; len],
        1 => vec![1.0; len],
        2 => (0..len).map(|_| uniform()).collect(),
        _ => (0..len).map(|_| 3.0 * uniform() - 1.0).collect(),
    }
}
