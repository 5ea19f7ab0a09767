//! Several networks that begin with the same layers: these computed once.

use recert_graph::Model;

use crate::feed::Feed;
use crate::worker::Worker;
use crate::{Classifier, Error, ErrorKind, Network, Preprocess, Shared, Subgraph};

impl Network {
    /// Arranges networks that begin with the same layers so that a worker
    /// computes these layers once for an image that it asks several of them
    /// about. Each comes with the model that it was loaded from. `None` where
    /// they have too little in common, take their images in different ways, or
    /// are not all of one engine that can do it.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] for a model that the network was not loaded from,
    /// and the engine's errors.
    ///
    /// # Examples
    /// ```
    /// use recert_engine::{ImageShape, Network, NetworkOptions, engines};
    /// use recert_graph::Model;
    ///
    /// let model = Model::read("tests/golden/made/plain.onnx")?;
    /// let engine = engines::by_name("direct")?;
    /// let image = ImageShape { channels: 3, height: 8, width: 8 };
    /// let load = || Network::load(&model, engine.as_ref(), image, &NetworkOptions::default());
    /// let (one, other) = (load()?, load()?);
    /// let sharing = Network::sharing(&[(&one, &model), (&other, &model)])?;
    /// let sharing = sharing.expect("they are the same network");
    /// assert_eq!(sharing.shared_fraction(), 1.0);
    ///
    /// // The second network is asked about the same image, and computes nothing.
    /// let mut worker = sharing.worker()?;
    /// let pixels = vec![0.5; image.len()];
    /// assert_eq!(worker[0].classify(&pixels)?, worker[1].classify(&pixels)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sharing(networks: &[(&Self, &Model)]) -> Result<Option<Sharing>, Error> {
        let &[(first, _), _, ..] = networks else {
            return Ok(None);
        };
        for (network, model) in networks {
            if network.sha256 != model.sha256() {
                let message = format!(
                    "{} is not the file that {} was loaded from",
                    model.name(),
                    network.feed.name,
                );
                return Err(Error::new(ErrorKind::Model, message));
            }
        }
        let alike = |(other, _): &(&Self, &Model)| {
            other.identity == first.identity
                && other.preprocess == first.preprocess
                && other.feed.feeds_like(&first.feed)
        };
        if !networks.iter().all(alike) {
            return Ok(None);
        }
        let plain = networks.iter().map(|(network, model)| {
            // As it was loaded.
            network.feed.plain(model, &[network.output()])
        });
        let plain = plain.collect::<Result<Vec<_>, _>>()?;
        let outputs: Vec<Vec<&str>> = (plain.iter())
            .map(|plain| plain.outputs.iter().map(String::as_str).collect())
            .collect();
        let subgraphs: Vec<_> = (plain.iter().zip(&outputs))
            .map(|(plain, outputs)| Subgraph {
                model: &plain.model,
                input: &plain.input,
                outputs,
            })
            .collect();
        let shared = first.session().share(&subgraphs)?;
        let feed =
            |(network, _): &(&Self, &Model)| (network.preprocess.clone(), network.feed.clone());
        Ok(shared.map(|shared| Sharing {
            shared,
            feeds: networks.iter().map(feed).collect(),
        }))
    }
}

/// Networks whose common first layers a worker computes once, however many of
/// them it asks about an image.
pub struct Sharing {
    shared: Box<dyn Shared>,
    feeds: Vec<(Preprocess, Feed)>,
}

impl Sharing {
    /// How many layers with weights they have in common.
    pub fn layers(&self) -> usize {
        self.shared.layers()
    }

    /// The fraction of all networks' multiply-adds that is in these layers, from 0
    /// to 1.
    pub fn shared_fraction(&self) -> f64 {
        self.shared.shared_fraction()
    }

    /// One worker's instances, of every network in order. They compute on the
    /// one thread that asks them, and answer what those of [`Network::worker`]
    /// do, bit for bit.
    pub fn worker(&self) -> Result<Vec<Box<dyn Classifier>>, Error> {
        let sessions = self.shared.sessions()?;
        Ok((sessions.into_iter().zip(&self.feeds))
            .map(|(session, (preprocess, feed))| Worker::boxed(session, preprocess, feed))
            .collect())
    }
}
