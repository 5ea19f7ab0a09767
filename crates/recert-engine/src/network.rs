//! A loaded network as a classifier of images: layout, normalisation, batches.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use recert_graph::{ElementType, InputLayout, Model, OutputKind, Signature};

use crate::options::quantizes;
use crate::probe;
use crate::{
    Answers, Class, Classifier, EngineIdentity, Error, ErrorKind, Output, Preprocess, Runtime,
    Session, Setting,
};

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
    /// Values an image.
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

/// A network loaded into an engine for images of one shape.
///
/// Everything that decides which function is computed is in
/// [`Network::engine`], [`Network::preprocess`] and the model's own bytes.
pub struct Network {
    session: Mutex<Box<dyn Session>>,
    pub(crate) identity: EngineIdentity,
    pub(crate) preprocess: Preprocess,
    output: String,
    pub(crate) feed: Feed,
    /// The model's fingerprint.
    pub(crate) sha256: [u8; 32],
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
    classes: usize,
    pub(crate) logits: bool,
}

impl Network {
    /// Loads `model` into `runtime` for images of shape `image`, and runs it on
    /// a few images to see that it works, how many classes it has, and that it
    /// is a function of a single image: the same image must get the same
    /// answer, alone or in company.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] for what is no classifier of images, [`ErrorKind::Shape`] and
    /// [`ErrorKind::Preprocess`] where the data does not fit it, [`ErrorKind::Unsupported`]
    /// for what the engine lacks or computes wrongly, and for a network that is random or
    /// mixes the images of a batch.
    ///
    /// # Examples
    /// ```
    /// use recert_engine::{ImageShape, Network, NetworkOptions, engines};
    /// use recert_graph::Model;
    ///
    /// let model = Model::read("tests/golden/made/plain.onnx")?;
    /// let engine = engines::by_name("direct")?;
    /// let image = ImageShape { channels: 3, height: 8, width: 8 };
    /// let network = Network::load(&model, engine.as_ref(), image, &NetworkOptions::default())?;
    /// assert_eq!(network.classes(), 4);
    /// assert_eq!(network.engine().name, "direct");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(
        model: &Model,
        runtime: &dyn Runtime,
        image: ImageShape,
        options: &NetworkOptions,
    ) -> Result<Self, Error> {
        let (mut feed, signature) = Feed::new(model, image, options)?;
        let mut session = runtime.load(model, &signature.input.name, &[&signature.output.name])?;
        let identity = runtime.identity(model);
        let tolerance = probe::tolerance(&identity, quantizes(model));
        feed.classes = feed.probe(session.as_mut(), &options.preprocess, tolerance)?;
        if !identity.batch_invariant {
            feed.check_batch_independence(model, &signature, &options.preprocess)?;
        }
        Ok(Self {
            session: Mutex::new(session),
            identity,
            preprocess: options.preprocess.clone(),
            output: signature.output.name.clone(),
            feed,
            sha256: model.sha256(),
        })
    }

    /// Name, version and arithmetic of the engine that computes.
    pub fn engine(&self) -> &EngineIdentity {
        &self.identity
    }

    /// Normalisation outside the graph.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The name of the graph output that is read.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The number of classes; for a network that answers with class numbers,
    /// whose number of classes is unknown, the largest number supported.
    pub fn classes(&self) -> usize {
        self.feed.classes
    }

    /// The shape of the images it was loaded for.
    pub fn image(&self) -> ImageShape {
        self.feed.image
    }

    /// The batch size, where the network takes only one.
    pub fn fixed_batch(&self) -> Option<usize> {
        self.feed.fixed_batch
    }

    /// One worker's instance, computing on one thread.
    ///
    /// # Examples
    /// ```
    /// # use recert_engine::{ImageShape, Network, NetworkOptions, engines};
    /// # use recert_graph::Model;
    /// # let model = Model::read("tests/golden/made/plain.onnx")?;
    /// # let engine = engines::by_name("direct")?;
    /// # let image = ImageShape { channels: 3, height: 8, width: 8 };
    /// # let network = Network::load(&model, engine.as_ref(), image, &NetworkOptions::default())?;
    /// let mut worker = network.worker()?;
    /// // Two images, one after the other; each is [channels, height, width].
    /// let images = vec![0.5; 2 * worker.image_len()];
    /// let answers = worker.classify(&images)?;
    /// assert_eq!(answers.len(), 2);
    /// assert_eq!(answers.class(0), answers.class(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn worker(&self) -> Result<Box<dyn Classifier>, Error> {
        let session = self.session().fork()?;
        Ok(Worker::boxed(session, &self.preprocess, &self.feed))
    }

    pub(crate) fn session(&self) -> MutexGuard<'_, Box<dyn Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
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
             give the data this network was trained on (the images of a folder can be cropped to another size)"
        );
        return Err(Error::new(ErrorKind::Shape, message).about(Setting::ImageSize));
    }
    Ok((dims, nhwc))
}

fn show(size: Option<usize>) -> String {
    size.map_or_else(|| "any".to_owned(), |size| size.to_string())
}

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
            fixed_batch: probe::batch(model, input.fixed_batch)?,
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
    fn answers(&self, output: Output, batch: usize, count: usize) -> Result<Answers, Error> {
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

/// One worker's instance of a network.
pub(crate) struct Worker {
    session: Box<dyn Session>,
    preprocess: Preprocess,
    feed: Feed,
    input: Vec<f32>,
}

impl Worker {
    /// The instance that asks `session`.
    pub(crate) fn boxed(
        session: Box<dyn Session>,
        preprocess: &Preprocess,
        feed: &Feed,
    ) -> Box<dyn Classifier> {
        Box::new(Self {
            session,
            preprocess: preprocess.clone(),
            feed: feed.clone(),
            input: Vec::new(),
        })
    }
}

impl Classifier for Worker {
    fn classes(&self) -> usize {
        self.feed.classes
    }

    fn image_len(&self) -> usize {
        self.feed.image.len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let length = self.image_len();
        let count = images.len() / length;
        let piece = self.feed.fixed_batch.unwrap_or(count.max(1));
        let mut all: Option<Answers> = None;
        for images in images.chunks(piece * length) {
            let count = images.len() / length;
            let batch = self.feed.fixed_batch.unwrap_or(count);
            self.feed
                .fill(images, batch, &self.preprocess, &mut self.input);
            let mut outputs = self.session.run(&self.input, &self.feed.shape(batch))?;
            let output = outputs.pop().expect("one output was asked for");
            let mut answers = self.feed.answers(output, batch, count)?;
            for (i, image) in images.chunks_exact(length).enumerate() {
                if !image.iter().all(|pixel| pixel.is_finite()) {
                    answers.invalidate(i);
                }
            }
            match &mut all {
                Some(all) => all.extend(answers),
                None => all = Some(answers),
            }
        }
        Ok(all.unwrap_or(Answers::Classes(Vec::new())))
    }
}
