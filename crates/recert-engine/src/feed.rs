//! How images become the engine's input, and its output answers: layout, normalisation, batches.

use std::fmt;

use recert_graph::{ElementType, InputLayout, Model, OutputKind, Signature};

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
}

/// How images become the engine's input, and its output answers.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) name: String,
    pub(crate) image: ImageShape,
    nhwc: bool,
    /// Dimensions of the engine's input after the batch.
    dims: Vec<usize>,
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
        let signature = model
            .signature_with_output(options.output.as_deref())
            // Its text begins with the network's name.
            .map_err(|source| Error::new(ErrorKind::Model, source.to_string()).because(source))?;
        let input = &signature.input;
        if input.element != ElementType::Float32 {
            let message = format!(
                "{}: input '{}' holds {:?}: only float32 inputs are supported; export it with one",
                model.name(),
                input.name,
                input.element,
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
        let (dims, nhwc) = dims(model.name(), image, input.layout, input.dims.len())?;
        options.preprocess.check(image.channels)?;
        let logits = matches!(signature.output.kind, OutputKind::Scores { .. });
        let feed = Feed {
            name: model.name().to_owned(),
            image,
            nhwc,
            dims,
            fixed_batch: batch(model, input.fixed_batch)?,
            classes: 0,
            logits,
        };
        Ok((feed, signature))
    }

    /// Whether images are handed over in the same way as with `other`.
    pub(crate) fn feeds_like(&self, other: &Self) -> bool {
        (self.image, self.nhwc, &self.dims) == (other.image, other.nhwc, &other.dims)
    }

    pub(crate) fn answered(&self, answer: &str) -> Error {
        Error::new(
            ErrorKind::Run,
            format!("{}: the network answered with {answer}", self.name),
        )
    }

    pub(crate) fn shape(&self, batch: usize) -> Vec<usize> {
        std::iter::once(batch)
            .chain(self.dims.iter().copied())
            .collect()
    }

    /// Writes `images` (CHW), normalised and in the network's layout, to
    /// `input`, padded with black images to `batch`.
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
        if self.nhwc && self.image.channels > 1 {
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

/// The engine's input dimensions after the batch, and whether channels are last.
fn dims(
    name: &str,
    image: ImageShape,
    layout: InputLayout,
    rank: usize,
) -> Result<(Vec<usize>, bool), Error> {
    let ImageShape {
        channels,
        height,
        width,
    } = image;
    let fits = |wanted: Option<usize>, given: usize| wanted.is_none_or(|w| w == given);
    let (ok, wanted, dims, nhwc) = match layout {
        InputLayout::Nchw { c, h, w } => (
            c == channels && fits(h, height) && fits(w, width),
            format!("{c} x {} x {}", show(h), show(w)),
            vec![channels, height, width],
            false,
        ),
        InputLayout::Nhwc { h, w, c } => (
            c == channels && fits(h, height) && fits(w, width),
            format!("{c} x {} x {}", show(h), show(w)),
            vec![height, width, channels],
            true,
        ),
        InputLayout::Flat { d } => {
            let mut dims = vec![image.len()];
            dims.resize(rank.max(2) - 1, 1);
            (
                fits(d, image.len()),
                format!("{} values", show(d)),
                dims,
                false,
            )
        }
        _ => {
            let message = format!("{name}: its input layout {layout:?} is not supported");
            return Err(Error::new(ErrorKind::Shape, message));
        }
    };
    if !ok {
        let message = format!(
            "{name} takes images of {wanted} (channels x height x width), but the data's are {image}: \
             give the data this network was trained on"
        );
        return Err(Error::new(ErrorKind::Shape, message).about(Setting::ImageSize));
    }
    Ok((dims, nhwc))
}

fn show(size: Option<usize>) -> String {
    size.map_or_else(|| "any".to_owned(), |size| size.to_string())
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
