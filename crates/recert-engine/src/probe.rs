//! What is tried on a network when it is loaded: that it runs, how many
//! classes it has, and that it is a function of one image at all.

use recert_net::Model;

use crate::network::Plan;
use crate::{Class, Error, ErrorKind, Output, Preprocess, Session};

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

/// By how much an image's scores may depend on the rest of the batch, as a
/// part of the largest score. Rounding does so by 1e-6, in networks with
/// quantized activations by some percent; a network that mixes the images of
/// a batch, by as much as the scores themselves.
const COMPANY_TOLERANCE: f32 = 0.1;

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

impl Plan {
    /// The number of classes, from a few runs on a black and a striped image;
    /// for a network that answers with classes, the largest number supported.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the same image gets two answers, or
    /// another answer in company.
    pub(crate) fn probe(
        &self,
        session: &mut dyn Session,
        preprocess: &Preprocess,
    ) -> Result<usize, Error> {
        let black = vec![0.0; self.image.len()];
        let stripes: Vec<f32> = (0..self.image.len())
            .map(|i| (i % 5) as f32 / 4.0)
            .collect();
        let batch = self.fixed_batch.unwrap_or(1);
        let mut run = |images: &[f32], batch: usize| {
            let mut input = Vec::new();
            self.fill(images, batch, preprocess, &mut input);
            let output = session.run(&input, &self.shape(batch))?.pop();
            output.ok_or_else(|| self.answered("nothing"))
        };
        let first = run(&stripes, batch)?;
        let classes = self.count_classes(&first, batch)?;
        let again = run(&stripes, batch)?;
        if !close(&first, &again, 0.0) {
            return Err(self.no_function(
                "the same image gets two answers: only deterministic networks can be certified",
            ));
        }
        if self.fixed_batch.is_none() {
            let together = run(&[black.as_slice(), &stripes].concat(), 2).map_err(|source| {
                let message = format!(
                    "{source} (with two images, where one is fine, although the file leaves the \
                     batch open: export the network with a batch of 1)"
                );
                Error::new(source.kind(), message).because(source)
            })?;
            let apart = join(run(&black, 1)?, first);
            if !close(&apart, &together, COMPANY_TOLERANCE) {
                return Err(self.no_function(
                    "an image's answer depends on the other images in the batch: \
                     export the network with a batch of 1",
                ));
            }
        }
        Ok(classes)
    }

    fn count_classes(&self, output: &Output, batch: usize) -> Result<usize, Error> {
        match output {
            Output::Integer { values, .. } if !self.logits && values.len() == batch => {
                Ok(usize::from(Class::MAX))
            }
            Output::Float { shape, values } if self.logits && shape.first() == Some(&batch) => {
                let classes = values.len() / batch;
                if (2..=usize::from(Class::MAX)).contains(&classes) {
                    return Ok(classes);
                }
                Err(self.answered(&format!(
                    "{classes} logits an image: a classifier has 2 to {} classes",
                    Class::MAX
                )))
            }
            Output::Integer { .. } if self.logits => {
                Err(self.answered("an integer tensor where logits were expected"))
            }
            Output::Float { shape, .. } | Output::Integer { shape, .. } => {
                Err(self.answered(&format!("shape {shape:?} for a batch of {batch}")))
            }
        }
    }

    fn no_function(&self, why: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{}: {why}", self.name))
    }
}

/// The outputs of two runs as one; of different kinds, the first of them.
fn join(mut first: Output, second: Output) -> Output {
    match (&mut first, second) {
        (Output::Float { values, .. }, Output::Float { values: more, .. }) => values.extend(more),
        (Output::Integer { values, .. }, Output::Integer { values: more, .. }) => {
            values.extend(more);
        }
        _ => {}
    }
    first
}

/// Whether two outputs agree within `tolerance` of the largest finite value,
/// and in which values are not finite; integers, whether they are the same.
fn close(a: &Output, b: &Output, tolerance: f32) -> bool {
    match (a, b) {
        (Output::Float { values: a, .. }, Output::Float { values: b, .. }) => {
            let finite = a.iter().filter(|value| value.is_finite());
            let scale = finite.fold(0.0, |scale: f32, value| scale.max(value.abs()));
            let close = |(a, b): (&f32, &f32)| {
                if a.is_finite() && b.is_finite() {
                    (a - b).abs() <= tolerance * scale
                } else {
                    a.is_finite() == b.is_finite()
                }
            };
            a.len() == b.len() && a.iter().zip(b).all(close)
        }
        (Output::Integer { values: a, .. }, Output::Integer { values: b, .. }) => a == b,
        _ => false,
    }
}
