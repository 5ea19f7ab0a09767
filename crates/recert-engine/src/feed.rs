//! How images become the engine's input, and its output answers: layout, normalisation, batches.

use std::fmt;

use recert_graph::{Builder, ElementType, Model, OutputKind, Plain, Shape, Signature};

use crate::layout::{self, Layout};

use crate::{Answers, Class, Error, ErrorKind, Output, Preprocess, Setting};

/// The shape of an image: channels, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Channels.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl ImageShape {
    /// Values per image.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image has no values at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

/// How to read and feed a network.
#[derive(Debug, Clone, Default)]
pub struct NetworkOptions {
    /// The graph output to read, if not the obvious one.
    pub output: Option<String>,
    /// Normalisation outside the graph.
    pub preprocess: Preprocess,
    /// The most bytes that the tensors of one image may take together, weights not counted;
    /// [`MAX_MEMORY`] where none is given.
    pub max_memory: Option<u64>,
}

/// The bytes that the tensors of one image may take where nothing else is asked for: 4 GiB.
pub const MAX_MEMORY: u64 = 4 << 30;

/// How images become the engine's input, and its output answers.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) name: String,
    pub(crate) image: ImageShape,
    layout: Layout,
    /// What the network's input holds: samples are rounded to it.
    element: ElementType,
    /// What its output holds: scores are rounded to it.
    scores: ElementType,
    pub(crate) fixed_batch: Option<usize>,
    pub(crate) classes: usize,
    pub(crate) logits: bool,
}

/// Operators whose output is random: such a network is no function.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// The operator that takes its scale from all images of a batch together.
const ACROSS_BATCH: &str = "DynamicQuantizeLinear";

impl Feed {
    /// How to feed `model` with images of shape `image`; the class count is
    /// left open.
    pub(crate) fn new(
        model: &Model,
        image: ImageShape,
        options: &NetworkOptions,
    ) -> Result<(Self, Signature), Error> {
        let signature = model.signature_with_output(options.output.as_deref());
        let signature = signature.map_err(|source| in_model(model, source))?;
        let mut feed = Self::to_read(model, image, options, &[&signature.output.name])?;
        feed.scores = signature.output.element;
        feed.logits = matches!(signature.output.kind, OutputKind::Scores { .. });
        Ok((feed, signature))
    }

    /// The same to read the outputs `names`, whatever they hold.
    pub(crate) fn to_read(
        model: &Model,
        image: ImageShape,
        options: &NetworkOptions,
        names: &[&str],
    ) -> Result<Self, Error> {
        let input = model.input().map_err(|source| in_model(model, source))?;
        if !input.element.is_float() {
            let message = format!(
                "{}: input '{}' holds {}: noise is added to images in float32, so that only inputs \
                 of floats are supported (float32, float16, bfloat16, float64); export it with one",
                model.name(),
                input.name,
                input.element,
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
        options.preprocess.check(image.channels)?;
        let mut fixed_batch = batch(model, input.fixed_batch)?;
        let layout = layout::of(model, &input, names, image, fixed_batch)?;
        let fits = |batch| layout.fits(model, &input.name, names, batch);
        if fixed_batch.is_none() && !fits(None) && fits(Some(1)) {
            // The input leaves the batch open, and a batch of 1 is stated inside. Engines are
            // not asked: one of them ends the process.
            fixed_batch = Some(1);
        }
        Ok(Feed {
            name: model.name().to_owned(),
            image,
            layout,
            element: input.element,
            scores: ElementType::Float32,
            fixed_batch,
            classes: 0,
            logits: false,
        })
    }

    /// The network as engines read it, for these images and to read these outputs.
    pub(crate) fn plain<'a>(&self, model: &'a Model, outputs: &[&str]) -> Result<Plain<'a>, Error> {
        let plain = model.plain(&self.layout.shape(self.fixed_batch), outputs);
        plain.map_err(|source| in_model(model, source))
    }

    /// Whether the file's operators are known to fit together for batches of any size.
    pub(crate) fn fits_every_batch(&self, model: &Model, outputs: &[&str]) -> bool {
        let input = model.input();
        input.is_ok_and(|input| self.layout.fits(model, &input.name, outputs, None))
    }

    /// The shape of the engine's input for a batch of any size, or of the fixed one.
    pub(crate) fn input_shape(&self) -> Shape {
        self.layout.shape(self.fixed_batch)
    }

    /// Whether the network takes the channels of each pixel together.
    pub(crate) fn is_channels_last(&self) -> bool {
        self.layout.nhwc
    }

    /// By how much a score is rounded to what the output holds, relatively.
    pub(crate) fn score_rounding(&self) -> f64 {
        match self.scores {
            ElementType::Float16 => 1.0 / 1024.0,
            ElementType::BFloat16 => 1.0 / 128.0,
            _ => 0.0,
        }
    }

    /// The most bytes that the tensors of one image (or of the fixed batch) take at a time,
    /// as far as their sizes are known before anything is computed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where they are more than there may be.
    pub(crate) fn memory(
        &self,
        model: &Model,
        outputs: &[&str],
        options: &NetworkOptions,
    ) -> Result<u64, Error> {
        let most = options.max_memory.unwrap_or(MAX_MEMORY);
        let input = model.input().map_err(|source| in_model(model, source))?;
        let memory = |model: &Model, input: &str| {
            let builder = Builder::new(model).input_shape(input, self.input_shape());
            builder.memory(most).map_err(|source| {
                Error::new(ErrorKind::Unsupported, source.to_string()).about(Setting::MaxMemory)
            })
        };
        let stated = memory(model, &input.name)?;
        // Functions of the file hide what is in them until they are written out.
        match self.plain(model, outputs) {
            Ok(plain) => Ok(stated.max(memory(&plain.model, &plain.input)?)),
            Err(_) => Ok(stated),
        }
    }

    /// Whether images are handed over in the same way as with `other`.
    pub(crate) fn feeds_like(&self, other: &Self) -> bool {
        (self.image, &self.layout, self.element) == (other.image, &other.layout, other.element)
    }

    pub(crate) fn answered(&self, answer: &str) -> Error {
        Error::new(
            ErrorKind::Run,
            format!("{}: the network answered with {answer}", self.name),
        )
    }

    pub(crate) fn shape(&self, batch: usize) -> Vec<usize> {
        std::iter::once(batch)
            .chain(self.layout.dims.iter().copied())
            .collect()
    }

    /// Writes `images` (CHW), normalised, in the network's layout and rounded to the
    /// numbers that its input holds, to `input`, padded with black images to `batch`.
    pub(crate) fn fill(
        &self,
        images: &[f32],
        batch: usize,
        preprocess: &Preprocess,
        input: &mut Vec<f32>,
    ) {
        let plane = self.image.height * self.image.width;
        input.clear();
        input.extend_from_slice(images);
        input.resize(batch * self.image.len(), 0.0);
        for image in input.chunks_exact_mut(self.image.len()) {
            for (channel, values) in image.chunks_exact_mut(plane).enumerate() {
                preprocess.apply(channel, values);
            }
        }
        if self.layout.nhwc && self.image.channels > 1 {
            let mut hwc = vec![0.0; self.image.len()];
            for image in input.chunks_exact_mut(self.image.len()) {
                for (i, pixel) in hwc.chunks_exact_mut(self.image.channels).enumerate() {
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        *value = image[channel * plane + i];
                    }
                }
                image.copy_from_slice(&hwc);
            }
        }
        round_to(self.element, input);
    }

    /// The first `count` answers in the engine's output for a batch of `batch`.
    pub(crate) fn answers(
        &self,
        output: Output,
        batch: usize,
        count: usize,
    ) -> Result<Answers, Error> {
        match output {
            Output::Float {
                mut values,
                ref shape,
            } if self.logits
                && shape.first() == Some(&batch)
                && values.len() == batch * self.classes =>
            {
                values.truncate(count * self.classes);
                round_to(self.scores, &mut values);
                Ok(Answers::Logits {
                    classes: self.classes,
                    values,
                })
            }
            Output::Integer { values, .. } if !self.logits && values.len() == batch => {
                let class = |&v: &i64| Class::try_from(v).ok().filter(|&c| c != Class::MAX);
                Ok(Answers::Classes(
                    values[..count].iter().map(class).collect(),
                ))
            }
            Output::Float { shape, .. } | Output::Integer { shape, .. } => {
                Err(self.answered(&format!("shape {shape:?} for a batch of {batch}")))
            }
        }
    }
}

/// Rounds numbers to those of a narrower type.
fn round_to(element: ElementType, values: &mut [f32]) {
    if matches!(element, ElementType::Float16 | ElementType::BFloat16) {
        for value in values {
            *value = element.rounded(*value);
        }
    }
}

/// A failure to read a network; its text begins with the network's name.
fn in_model(model: &Model, source: recert_graph::Error) -> Error {
    use recert_graph::ErrorKind as K;
    let kind = match source.kind() {
        K::Unsupported | K::TooLarge => ErrorKind::Unsupported,
        _ => ErrorKind::Model,
    };
    let mut message = source.to_string();
    if !message.starts_with(model.name()) {
        message = format!("{}: {message}", model.name());
    }
    let error = Error::new(kind, message);
    match source.kind() {
        // What an engine is not given is not for the file to be blamed.
        K::Unsupported => error,
        K::Outputs => error.about(Setting::Output).because(source),
        _ => error.because(source),
    }
}

/// Refuses a network of random operators by name, and narrows the batch of one
/// whose operators work on a batch as a whole to single images: it is those
/// that certification asks about.
pub(crate) fn batch(model: &Model, fixed_batch: Option<usize>) -> Result<Option<usize>, Error> {
    let mut fixed_batch = fixed_batch;
    for operator in model.operators() {
        let refuse = |why: &str| {
            let message = format!(
                "{}: node '{}' ({}) {why}",
                model.name(),
                operator.name,
                operator.op_type,
            );
            Err(Error::new(ErrorKind::Unsupported, message))
        };
        if RANDOM.contains(&operator.op_type.as_str()) {
            return refuse("answers at random: only deterministic networks can be certified");
        }
        if operator.op_type == ACROSS_BATCH {
            if fixed_batch.is_some_and(|batch| batch != 1) {
                return refuse("mixes the images of a batch: export the network with a batch of 1");
            }
            fixed_batch = Some(1);
        }
    }
    Ok(fixed_batch)
}
