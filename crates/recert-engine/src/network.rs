//! A network loaded into an engine, tried, and identified.

use std::sync::{Mutex, MutexGuard, PoisonError};

use recert_graph::Model;

use crate::feed::{Feed, MAX_MEMORY};
use crate::guard::guarded;
use crate::options::quantizes;
use crate::worker::Worker;
use crate::{
    Classifier, EngineIdentity, Error, ErrorKind, ImageShape, NetworkOptions, Preprocess, Runtime,
    Session, probe,
};

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
    most_batch: usize,
    /// The model's fingerprint.
    pub(crate) sha256: [u8; 32],
}

impl Network {
    /// Loads `model` into `runtime` for images of shape `image`, and runs it on
    /// a few images to see that it works, how many classes it has, and that it
    /// is a function of a single image: the same image must get the same
    /// answer, alone or in company.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for what is no classifier of images, [`ErrorKind::Shape`](crate::ErrorKind::Shape) and
    /// [`ErrorKind::Preprocess`](crate::ErrorKind::Preprocess) where the data does not fit it, [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)
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
        let output = signature.output.name.as_str();
        let most_memory = options.max_memory.unwrap_or(MAX_MEMORY);
        let memory = feed.memory(model, &[output], options)?;
        let most_batch = usize::try_from(most_memory / memory.max(1)).unwrap_or(usize::MAX);
        let identity = runtime.identity(model);
        let load = |feed: &mut Feed| {
            guarded(model.name(), &identity.to_string(), || {
                let plain = feed.plain(model, &[output])?;
                let outputs: Vec<&str> = plain.outputs.iter().map(String::as_str).collect();
                let shapes = feed.first_shapes(most_batch);
                runtime.first_runs(&plain.model, &plain.input, &outputs, &shapes)?;
                let mut session = runtime.load(&plain.model, &plain.input, &outputs)?;
                let tolerance = probe::tolerance(&identity, quantizes(model));
                feed.classes = feed.probe(session.as_mut(), &options.preprocess, tolerance)?;
                if !identity.batch_invariant {
                    feed.check_batch_independence(&plain, &options.preprocess)?;
                }
                Ok(session)
            })
        };
        let session = load(&mut feed).or_else(|error: Error| {
            // Where operators are not known to fit every batch, a batch of 1 may do.
            let may_help = matches!(error.kind(), ErrorKind::Run | ErrorKind::Unsupported)
                && feed.fixed_batch.is_none()
                && !feed.fits_every_batch(model, &[output]);
            if !may_help {
                return Err(error);
            }
            feed.fixed_batch = Some(1);
            load(&mut feed).map_err(|_| error)
        })?;
        Ok(Self {
            session: Mutex::new(session),
            identity,
            preprocess: options.preprocess.clone(),
            output: signature.output.name.clone(),
            feed,
            most_batch,
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

    /// How many images may be computed at a time, at least 1: as many as there is memory
    /// for.
    pub fn most_batch(&self) -> usize {
        self.most_batch.max(1)
    }

    /// The batch size, where the network takes only one: as its input states, or, where
    /// that leaves it open and what is inside fits no other, 1.
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
