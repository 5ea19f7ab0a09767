//! Reading inner tensors of a network, as calibration needs.

use recert_graph::Model;

use crate::feed::Feed;
use crate::guard::guarded;
use crate::{Error, ErrorKind, ImageShape, NetworkOptions, Output, Preprocess, Runtime, Session};

/// A network whose named tensors (graph outputs all of them) are read out.
pub struct Tap {
    session: Box<dyn Session>,
    preprocess: Preprocess,
    feed: Feed,
    names: Vec<String>,
    input: Vec<f32>,
}

impl Tap {
    /// Loads `model` into `runtime` to read the graph outputs `names`.
    ///
    /// # Examples
    /// ```
    /// use recert_engine::{Error, ImageShape, NetworkOptions, Tap, engines};
    /// use recert_graph::Model;
    ///
    /// let model = Model::read("tests/golden/made/two_outputs.onnx")?;
    /// let engine = engines::by_name("direct")?;
    /// let image = ImageShape { channels: 3, height: 8, width: 8 };
    /// let names = ["first".to_owned(), "second".to_owned()];
    /// let options = NetworkOptions {
    ///     output: Some("first".to_owned()),
    ///     ..NetworkOptions::default()
    /// };
    /// let mut tap = Tap::load(&model, engine.as_ref(), image, &options, &names)?;
    /// let mut largest = Vec::new();
    /// tap.visit(&vec![0.5; image.len()], |name, values| {
    ///     largest.push((name.to_owned(), values.iter().copied().fold(f32::MIN, f32::max)));
    ///     Ok::<(), Error>(())
    /// })?;
    /// assert_eq!(largest.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(
        model: &Model,
        runtime: &dyn Runtime,
        image: ImageShape,
        options: &NetworkOptions,
        names: &[String],
    ) -> Result<Self, Error> {
        let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let feed = Feed::to_read(model, image, options, &outputs)?;
        feed.memory(model, &outputs, options)?;
        let plain = feed.plain(model, &outputs)?;
        let outputs: Vec<&str> = plain.outputs.iter().map(String::as_str).collect();
        let engine = runtime.identity(model).to_string();
        let session = guarded(model.name(), &engine, || {
            runtime.load(&plain.model, &plain.input, &outputs)
        })?;
        Ok(Self {
            session,
            preprocess: options.preprocess.clone(),
            feed,
            names: names.to_vec(),
            input: Vec::new(),
        })
    }

    /// Runs the network on one image (flat, channels first, in the units of
    /// the data) and hands each tensor's values to `visit`, with its name. In
    /// a network of a fixed batch the image fills the whole batch.
    pub fn visit<E: From<Error>>(
        &mut self,
        image: &[f32],
        mut visit: impl FnMut(&str, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let batch = self.feed.fixed_batch.unwrap_or(1);
        self.feed.fill(
            &image.repeat(batch),
            batch,
            &self.preprocess,
            &mut self.input,
        );
        let outputs = self.session.run(&self.input, &self.feed.shape(batch))?;
        for (name, output) in self.names.iter().zip(&outputs) {
            let Output::Float { values, .. } = output else {
                let message = format!("{}: tensor '{name}' holds integers", self.feed.name);
                return Err(Error::new(ErrorKind::Run, message).into());
            };
            visit(name, values)?;
        }
        Ok(())
    }
}
