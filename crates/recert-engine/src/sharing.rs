//! Several networks that begin with the same layers: these computed once.

use recert_graph::Model;

use crate::network::{Plan, Worker};
use crate::{Classifier, Error, ErrorKind, Network, Preprocess, Shared, Source};

impl Network {
    /// Arranges networks that begin with the same layers so that a worker
    /// computes these layers once for an image that it asks several of them
    /// about. Each comes with the model that it was loaded from. `None` where
    /// they have too little in common, take their images in different ways, or
    /// are not all of one engine that can do it.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] for a model that the network was not loaded from,
    /// and what the engine says of them.
    pub fn sharing(networks: &[(&Self, &Model)]) -> Result<Option<Sharing>, Error> {
        let &[(first, _), _, ..] = networks else {
            return Ok(None);
        };
        for (network, model) in networks {
            if network.sha256 != model.sha256() {
                let message = format!(
                    "{} is not the file that {} was loaded from",
                    model.name(),
                    network.plan.name,
                );
                return Err(Error::new(ErrorKind::Model, message));
            }
        }
        let alike = |(other, _): &(&Self, &Model)| {
            other.identity == first.identity
                && other.preprocess == first.preprocess
                && other.plan.takes_as(&first.plan)
        };
        if !networks.iter().all(alike) {
            return Ok(None);
        }
        let inputs = networks.iter().map(|(network, model)| {
            let signature = model.signature_with_output(Some(network.output()));
            signature.map(|signature| signature.input.name.clone())
        });
        let inputs = inputs
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::new(ErrorKind::Model, source.to_string()).because(source))?;
        let outputs = networks.iter().map(|(network, _)| [network.output()]);
        let outputs: Vec<_> = outputs.collect();
        let sources: Vec<_> = (networks.iter().zip(&inputs).zip(&outputs))
            .map(|(((_, model), input), outputs)| Source {
                model,
                input,
                outputs,
            })
            .collect();
        let shared = first.session().share(&sources)?;
        let how =
            |(network, _): &(&Self, &Model)| (network.preprocess.clone(), network.plan.clone());
        Ok(shared.map(|shared| Sharing {
            shared,
            networks: networks.iter().map(how).collect(),
        }))
    }
}

/// Networks whose common first layers a worker computes once, however many of
/// them it asks about an image.
pub struct Sharing {
    shared: Box<dyn Shared>,
    networks: Vec<(Preprocess, Plan)>,
}

impl Sharing {
    /// How many layers with weights they have in common.
    pub fn layers(&self) -> usize {
        self.shared.layers()
    }

    /// Which part of all networks' multiply-adds is in these layers, from 0 to
    /// 1.
    pub fn part(&self) -> f64 {
        self.shared.part()
    }

    /// One worker's instances, of every network in order. They compute on the
    /// one thread that asks them, and answer what those of [`Network::worker`]
    /// do, bit for bit.
    pub fn worker(&self) -> Result<Vec<Box<dyn Classifier>>, Error> {
        let sessions = self.shared.sessions()?;
        Ok((sessions.into_iter().zip(&self.networks))
            .map(|(session, (preprocess, plan))| Worker::boxed(session, preprocess, plan))
            .collect())
    }
}
