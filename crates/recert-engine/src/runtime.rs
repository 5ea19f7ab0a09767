//! What an inference engine has to offer: the one trait to implement.

use recert_graph::Model;

use crate::{EngineIdentity, Error};

/// One output of one run.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A float output: its shape and its values, row-major.
    Float {
        /// The output's dimensions, batch first.
        shape: Vec<usize>,
        /// Its values.
        values: Vec<f32>,
    },
    /// An integer output (a network that ends in `ArgMax`).
    Integer {
        /// The output's dimensions, batch first.
        shape: Vec<usize>,
        /// Its values.
        values: Vec<i64>,
    },
}

/// An inference engine: loads ONNX models.
pub trait Runtime: Send + Sync {
    /// Name, version and arithmetic with which `model` is computed.
    fn identity(&self, model: &Model) -> EngineIdentity;

    /// Runs `model` for inputs of these shapes where a crash of the engine ends nothing else:
    /// [`Network::load`](crate::Network::load) calls this before it loads the network. Nothing is
    /// done by engines that cannot crash, or where no other process was given
    /// ([`EngineOptions::apart`](crate::EngineOptions::apart)).
    ///
    /// # Errors
    /// [`ErrorKind::Crash`](crate::ErrorKind::Crash) where it ended in one. What else fails there
    /// fails when the network is loaded.
    fn first_runs(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
        shapes: &[Vec<usize>],
    ) -> Result<(), Error> {
        let _ = (model, input, outputs, shapes);
        Ok(())
    }

    /// Loads `model`, refusing by name every operator that this engine lacks
    /// or is known to compute wrongly: a wrong result is an error, never an
    /// answer.
    ///
    /// `input` and `outputs` are the names of the graph's image input and of
    /// the outputs to read (one for a classifier; calibration reads many).
    fn load(&self, model: &Model, input: &str, outputs: &[&str])
    -> Result<Box<dyn Session>, Error>;
}

/// A loaded model, one worker's instance, computing on one thread (or on a
/// device that the engine was opened for).
pub trait Session: Send {
    /// Runs the network on `input`, of dimensions `shape` (batch first), and
    /// returns the outputs in the order in which they were named.
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error>;

    /// A further instance for another worker; weights may be shared.
    fn fork(&self) -> Result<Box<dyn Session>, Error>;

    /// `networks`, all of which this session's engine loaded, so arranged that
    /// layers which they have in common are computed once; `None` where there
    /// are none worth it, or the engine does not do that. Every answer is, bit
    /// for bit, that of the network alone, whatever the others were asked.
    fn share(&self, networks: &[Subgraph<'_>]) -> Result<Option<Box<dyn Shared>>, Error> {
        let _ = networks;
        Ok(None)
    }
}

/// What of a network is computed, as for [`Runtime::load`]: from its image input to some of
/// its outputs.
#[derive(Debug, Clone, Copy)]
pub struct Subgraph<'a> {
    /// The network.
    pub model: &'a Model,
    /// The name of its image input.
    pub input: &'a str,
    /// The names of the outputs to read.
    pub outputs: &'a [&'a str],
}

/// Networks whose common first layers are computed once.
pub trait Shared: Send + Sync {
    /// How many layers with weights these are.
    fn layers(&self) -> usize;

    /// The fraction of all networks' multiply-adds that is in these layers, from 0 to 1.
    fn shared_fraction(&self) -> f64;

    /// A session of every network, in order, for one worker.
    fn sessions(&self) -> Result<Vec<Box<dyn Session>>, Error>;
}
