//! Reading inner tensors of a network, as calibration needs.

use recert_graph::Model;

use crate::network::Plan;
use crate::{Error, ErrorKind, ImageShape, NetworkOptions, Output, Preprocess, Runtime, Session};

/// A network whose named tensors (graph outputs all of them) are read out.
pub struct Tap {
    session: Box<dyn Session>,
    preprocess: Preprocess,
    plan: Plan,
    names: Vec<String>,
    input: Vec<f32>,
}

impl Tap {
    /// Loads `model` into `runtime` to read the graph outputs `names`.
    pub fn load(
        model: &Model,
        runtime: &dyn Runtime,
        image: ImageShape,
        options: &NetworkOptions,
        names: &[String],
    ) -> Result<Self, Error> {
        let (plan, signature) = Plan::of(model, image, options)?;
        let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Self {
            session: runtime.load(model, &signature.input.name, &outputs)?,
            preprocess: options.preprocess.clone(),
            plan,
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
        let batch = self.plan.fixed_batch.unwrap_or(1);
        self.plan.fill(
            &image.repeat(batch),
            batch,
            &self.preprocess,
            &mut self.input,
        );
        let outputs = self.session.run(&self.input, &self.plan.shape(batch))?;
        for (name, output) in self.names.iter().zip(&outputs) {
            let Output::Float { values, .. } = output else {
                let message = format!("{}: tensor '{name}' holds integers", self.plan.name);
                return Err(Error::new(ErrorKind::Run, message).into());
            };
            visit(name, values)?;
        }
        Ok(())
    }
}
