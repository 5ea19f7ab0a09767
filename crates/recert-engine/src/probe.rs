//! What is tried on a network when it is loaded: that it runs, how many
//! classes it has, and that it is a function of one image at all.

use recert_graph::Plain;

use crate::engines::{Direct, Rten};
use crate::feed::Feed;
use crate::guard::guarded;
use crate::held::AT_ONCE;
use crate::{
    Arithmetic, Class, EngineIdentity, Error, ErrorKind, Output, Precision, Preprocess, Runtime,
    Session,
};

/// By how much an image's scores may depend on the rest of the batch where the
/// engine does not promise that they do not, as a part of what the scores of an
/// image differ by. Rounding does so by 1e-6 in float32, by 1e-3 where a network
/// has 16-bit values in it, and by some percent where activations are rounded to fewer
/// bits; a network that mixes the images of a batch, by as much as the scores.
const FLOAT_TOLERANCE: f32 = 0.01;
const COARSE_TOLERANCE: f32 = 0.1;

/// What the same image's answers may differ by, in an engine's arithmetic.
pub(crate) fn tolerance(engine: &EngineIdentity, quantized: bool) -> f32 {
    if engine.batch_invariant {
        0.0
    } else if quantized || is_coarse(&engine.arithmetic) {
        COARSE_TOLERANCE
    } else {
        FLOAT_TOLERANCE
    }
}

/// Whether floating-point operators compute in fewer bits than float32.
fn is_coarse(arithmetic: &Arithmetic) -> bool {
    let precision = arithmetic.precision();
    precision.is_some_and(|precision| matches!(precision, Precision::Bf16 | Precision::F16))
}

impl Feed {
    /// The number of classes, from a few runs on three unlike images; for a network
    /// that answers with classes, the largest number supported.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the same batch gets two answers, or an image
    /// another one (by more than `tolerance`) at another place or in other company.
    pub(crate) fn probe(
        &self,
        session: &mut dyn Session,
        preprocess: &Preprocess,
        tolerance: f32,
    ) -> Result<usize, Error> {
        let images = images(self.image.len());
        let mut run = |batch: &[usize]| {
            let mut input = Vec::new();
            let pixels = batch.iter().map(|&i| images[i].as_slice());
            let pixels = pixels.collect::<Vec<_>>().concat();
            self.fill(&pixels, batch.len(), preprocess, &mut input);
            let output = session.run(&input, &self.shape(batch.len()))?.pop();
            output.ok_or_else(|| self.answered("nothing"))
        };
        let size = self.fixed_batch.unwrap_or(1);
        let from = |first: usize| (0..size).map(move |i| (first + i) % IMAGES).collect();
        let batches: [Vec<usize>; IMAGES] = std::array::from_fn(from);
        let first = run(&batches[0])?;
        let classes = self.count_classes(&first, size)?;
        if !close(&first, &run(&batches[0])?, 0.0) {
            return Err(self.not_a_function(
                "the same image gets two answers: only deterministic networks can be certified",
            ));
        }
        // One image after another, and where they may be given together, this too.
        let mut answered = Answered::new(tolerance);
        let mut same = answered.add(&batches[0], &first);
        for batch in &batches[1..] {
            same &= answered.add(batch, &run(batch)?);
        }
        if self.fixed_batch.is_none() {
            let all = [2, 0, 1];
            let together = run(&all).map_err(|source| {
                let message = format!(
                    "{source} (with {IMAGES} images, where one is fine, although the file leaves \
                     the batch open: export the network with a batch of 1)"
                );
                Error::new(source.kind(), message).because(source)
            })?;
            same &= answered.add(&all, &together);
        }
        if !same {
            return Err(self.not_a_function(
                "an image's answer depends on the other images in the batch: \
                 export the network with a batch of 1",
            ));
        }
        Ok(classes)
    }

    /// The shapes of the first batches of a network: those of [`Feed::probe`], and one of as many
    /// images as it is then compared on at a time.
    pub(crate) fn first_shapes(&self, most_batch: usize) -> Vec<Vec<usize>> {
        let sizes = match self.fixed_batch {
            Some(size) => vec![size],
            None => vec![1, IMAGES, AT_ONCE.clamp(1, most_batch.max(1))],
        };
        sizes.into_iter().map(|size| self.shape(size)).collect()
    }

    /// Checks that no image's answer depends on the others in a batch, by an engine
    /// whose own rounding does not depend on the batch by a bit: the property is one of
    /// the network, whatever engine computes it. [`Direct`] takes no networks without it;
    /// [`Rten`] tries it. Where neither takes the network, [`Feed::probe`] has to do.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] as by [`Feed::probe`].
    pub(crate) fn check_batch_independence(
        &self,
        plain: &Plain<'_>,
        preprocess: &Preprocess,
    ) -> Result<(), Error> {
        let outputs: Vec<&str> = plain.outputs.iter().map(String::as_str).collect();
        let load = |engine: &dyn Runtime| engine.load(&plain.model, &plain.input, &outputs);
        if load(&Direct).is_ok() {
            return Ok(());
        }
        // That rten does not take it, or panics, says nothing of the network.
        let tried = guarded(&self.name, "rten", || {
            let Ok(mut session) = load(&Rten) else {
                return Ok(Ok(0));
            };
            Ok(self.probe(session.as_mut(), preprocess, 0.0))
        });
        match tried {
            Ok(Err(error)) if error.kind() == ErrorKind::Unsupported => Err(error),
            _ => Ok(()),
        }
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

    fn not_a_function(&self, why: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{}: {why}", self.name))
    }
}

/// Images that a network is tried on.
const IMAGES: usize = 3;

/// A black image, a striped one, and one of noise such as samples have, also beyond
/// what is black and white.
fn images(len: usize) -> [Vec<f32>; IMAGES] {
    let noise = |i: usize| {
        let mixed = (i as u32).wrapping_add(1).wrapping_mul(0x9e37_79b9);
        (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) as f32 / u32::MAX as f32 * 3.0 - 1.0
    };
    [
        vec![0.0; len],
        (0..len).map(|i| (i % 5) as f32 / 4.0).collect(),
        (0..len).map(noise).collect(),
    ]
}

/// The same images, as many as the first extent of `shape` says, one after the other again.
pub(crate) fn batch(shape: &[usize]) -> Vec<f32> {
    let [size, image @ ..] = shape else {
        return Vec::new();
    };
    let images = images(image.iter().product());
    images
        .iter()
        .cycle()
        .take(*size)
        .flatten()
        .copied()
        .collect()
}

/// What each image was answered when it was first asked about.
struct Answered {
    tolerance: f32,
    known: [Option<Output>; IMAGES],
}

impl Answered {
    fn new(tolerance: f32) -> Self {
        Self {
            tolerance,
            known: [const { None }; IMAGES],
        }
    }

    /// Whether the images of `batch` were answered as before, where they were.
    fn add(&mut self, batch: &[usize], output: &Output) -> bool {
        let mut same = true;
        for (place, &image) in batch.iter().enumerate() {
            let answer = one(output, place, batch.len());
            match &self.known[image] {
                Some(known) => same &= close(known, &answer, self.tolerance),
                None => self.known[image] = Some(answer),
            }
        }
        same
    }
}

/// The answer at one place of a batch.
fn one(output: &Output, place: usize, batch: usize) -> Output {
    fn part<T: Copy>(values: &[T], place: usize, batch: usize) -> Vec<T> {
        let each = values.len() / batch;
        values[place * each..(place + 1) * each].to_vec()
    }
    match output {
        Output::Float { values, .. } => Output::Float {
            shape: Vec::new(),
            values: part(values, place, batch),
        },
        Output::Integer { values, .. } => Output::Integer {
            shape: Vec::new(),
            values: part(values, place, batch),
        },
    }
}

/// Whether two outputs agree within `tolerance` of what the finite values of the
/// first differ by, and in which values are not finite; integers, whether they are
/// the same.
fn close(a: &Output, b: &Output, tolerance: f32) -> bool {
    match (a, b) {
        (Output::Float { values: a, .. }, Output::Float { values: b, .. }) => {
            let finite = a.iter().filter(|value| value.is_finite());
            let (least, most) = finite.fold((f32::MAX, f32::MIN), |(least, most), value| {
                (least.min(*value), most.max(*value))
            });
            // Equal scores, too, may differ by rounding where any may.
            let rounding = 1e-3 * tolerance * most.abs().max(least.abs());
            let allowed = (tolerance * (most - least).max(0.0)).max(rounding);
            let close = |(a, b): (&f32, &f32)| {
                if a.is_finite() && b.is_finite() {
                    (a - b).abs() <= allowed
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
