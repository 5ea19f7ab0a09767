//! One step of training.

use recert_noise::{NoiseKey, Stream};

use super::record::StepRecord;
use super::{Progress, Training};
use crate::attack::Attack;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::{positive, right};
use crate::method::{Batch, Loss, Method, Moment, Prepared, loss, prepared};
use crate::network::Network;
use crate::optimizer::{Average, add_l1, clipping, norm};
use crate::pass::{Pass, loaded};
use crate::pool;
use crate::random::{Purpose, generator};
use crate::tensor::{Matrix, Precision};

/// The share of a batch in the averaged statistics of batch normalizations, as in PyTorch.
const MOMENTUM: f32 = 0.1;

/// Sums over the steps of an epoch.
#[derive(Debug, Default)]
pub(super) struct Tally {
    steps: usize,
    loss: f64,
    /// How many of how many points were right, and images certified.
    points: [usize; 2],
    certified: [usize; 2],
    pub(super) gradient: f64,
    pub(super) eps: f64,
    pub(super) ramp: f64,
}

impl Tally {
    fn add(&mut self, value: f64, loss: &Loss, labels: &[usize]) {
        let add = |sums: &mut [usize; 2], which: Vec<bool>| {
            sums[0] += which.iter().filter(|&&holds| holds).count();
            sums[1] += which.len();
        };
        self.steps += 1;
        self.loss += value;
        if let Some(points) = &loss.points {
            let times = points.rows() / labels.len();
            let labels = labels
                .iter()
                .flat_map(|&label| std::iter::repeat_n(label, times));
            add(&mut self.points, right(points, &labels.collect::<Vec<_>>()));
        }
        if let Some(margins) = &loss.margins {
            add(&mut self.certified, positive(margins));
        }
    }

    pub(super) fn progress(&self, epoch: usize, step: usize, steps: usize) -> Progress {
        let share = |[some, all]: [usize; 2]| (all > 0).then(|| some as f64 / all as f64);
        Progress {
            epoch,
            step,
            steps,
            loss: self.loss / self.steps.max(1) as f64,
            points: share(self.points),
            certified: share(self.certified),
        }
    }
}

/// A step's images and labels, and how far the schedule is.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) pixels: Vec<f32>,
    /// The least and the largest pixels over cells, where the method is for them.
    pub(super) ends: Option<[Vec<f32>; 2]>,
    pub(super) labels: Vec<usize>,
    pub(super) moment: Moment,
    pub(super) method: Method,
    pub(super) random: fastrand::Rng,
}

impl Drawn {
    /// The loss, and the gradients of all weights.
    pub(super) fn descended(
        &self,
        pass: Pass<'_>,
        clean: Option<&Matrix>,
        found: &Prepared,
    ) -> (Loss, Vec<Vec<f32>>) {
        let loss = loss(
            &self.method,
            &self.moment,
            &self.labels,
            &pass,
            clean,
            found,
        );
        let mut derivatives = loss.total.derivatives();
        let gradients = (pass.parameters.iter())
            .map(|matrix| match derivatives.take(matrix) {
                Some(gradient) => gradient.into_values(),
                None => vec![0.0; matrix.rows() * matrix.columns()],
            })
            .collect();
        drop(derivatives);
        let parameters = pass.parameters.into_iter().map(Matrix::into_values);
        parameters.for_each(pool::keep);
        (loss, gradients)
    }
}

/// What a pass forward and backward gives.
pub(super) struct Descent {
    pub(super) loss: Loss,
    /// What the loss was taken of.
    pub(super) found: Prepared,
    /// Of each batch normalization the batch's means and variances.
    statistics: Vec<Vec<f32>>,
    /// Of all weights.
    pub(super) gradients: Vec<Vec<f32>>,
}

/// What is called with every step that is recorded.
pub(super) type Record<'r> = Option<&'r mut dyn FnMut(&StepRecord)>;

impl Training<'_> {
    /// Trains on the examples at these positions, `share` of the epoch being done.
    pub(super) fn step(
        &mut self,
        [epoch, step]: [usize; 2],
        share: f64,
        positions: &[usize],
        tally: &mut Tally,
        record: Record<'_>,
    ) -> Result<()> {
        let drawn = self.drawn([epoch, step], share, positions)?;
        let (moment, labels) = (drawn.moment, &drawn.labels);
        let descent = self.descent(epoch, positions, &drawn);
        if let Some(record) = record {
            record(&self.recorded(epoch, positions, &drawn, &descent));
        }
        let Descent {
            loss,
            statistics,
            mut gradients,
            ..
        } = descent;
        let value = loss.total.doubles()[0];
        if self.settings.l1 > 0.0 {
            let weights = self.network.parameters.iter().zip(&mut gradients);
            for ((values, gradient), weighted) in weights.zip(self.network.weighted()) {
                if weighted {
                    add_l1(self.settings.l1, values, gradient);
                }
            }
        }
        let size = norm(&gradients);
        for (what, number) in [("loss", value), ("gradient's norm", size)] {
            if !number.is_finite() {
                let text = format!(
                    "the {what} is {number} in epoch {epoch}, step {step}; begin again with a \
                     lower learning rate or a longer ramp"
                );
                return Err(Error::new(ErrorKind::Diverged, text));
            }
        }
        let scale = clipping(size, self.settings.clip);
        let rate = self.settings.schedule.rate(epoch);
        let parameters = &mut self.network.parameters;
        self.adam.step(rate, parameters, &gradients, scale);
        gradients.into_iter().for_each(pool::keep);
        for (averaged, batch) in self.network.statistics.iter_mut().zip(statistics) {
            for (averaged, batch) in averaged.iter_mut().zip(batch) {
                *averaged += MOMENTUM * (batch - *averaged);
            }
        }
        tally.add(value, &loss, labels);
        tally.gradient = tally.gradient.max(size);
        tally.eps = moment.eps;
        tally.ramp = self.settings.schedule.ramp(epoch as f64 + share);
        Ok(())
    }

    /// The images, varied and transformed, and the state of the schedule.
    pub(super) fn drawn(
        &self,
        [epoch, step]: [usize; 2],
        share: f64,
        positions: &[usize],
    ) -> Result<Drawn> {
        let settings = &self.settings;
        let mut random = generator(settings.seed, Purpose::Attack, epoch as u64, step as u64);
        let mut pixels = Vec::with_capacity(positions.len() * self.examples.columns());
        for &at in positions {
            let image = self.examples.pixels(at);
            (settings.augmentation).copy(self.network.image, image, &mut random, &mut pixels);
        }
        let done = epoch as f64 + share;
        let ramp = settings.schedule.ramp(done);
        let mut ends = None;
        if let Some(cells) = &settings.cells {
            let (epoch, step) = (epoch as u64, step as u64);
            let mut random = generator(settings.seed, Purpose::Cells, epoch, step);
            let made = cells.drawn(ramp, self.network.image, &pixels, &mut random)?;
            (pixels, ends) = (made.points, Some(made.ends));
        }
        let (eps, regularizer) = (settings.eps, settings.regularizer);
        let moment = Moment {
            shrink: settings.relu_shrink,
            ..(settings.schedule).moment(&settings.method, eps, regularizer, done)
        };
        // A box of radius 0 is a point, and every method on boxes is training on points.
        let method = match settings.method {
            Method::SmoothAdv { .. } => settings.method,
            Method::GaussianIbp { sigma, .. } if ramp == 0.0 => Method::Gaussian { sigma },
            method if method.ramps() && ramp == 0.0 => Method::Standard,
            method if epoch < settings.schedule.ramp_end => method.while_ramping(),
            method => method,
        };
        Ok(Drawn {
            pixels,
            ends,
            labels: positions
                .iter()
                .map(|&at| self.examples.label(at))
                .collect(),
            moment,
            method,
            random,
        })
    }

    /// The network as the step's loss sees it, and what came of the clean images where it needs
    /// them: logits, and of each batch normalization means and variances.
    pub(super) fn seen(
        &self,
        drawn: &Drawn,
        precision: Precision,
    ) -> (Pass<'_>, Option<Matrix>, Vec<Vec<f32>>) {
        let parameters = loaded(&self.network, precision);
        let parameters: Vec<Matrix> = parameters.iter().map(Matrix::tracked).collect();
        let clean = drawn.method == Method::Standard || drawn.moment.clean > 0.0;
        if self.network.has_batch_norm() || clean {
            let images = Matrix::new(self.examples.columns(), &drawn.pixels, precision);
            let trained = Pass::training(&self.network, parameters, &images);
            return (trained.pass, Some(trained.logits), trained.statistics);
        }
        let pass = Pass::evaluating(&self.network, parameters);
        (pass, None, Vec::new())
    }

    /// The loss, what batch normalizations met, and the gradients of all weights.
    fn descent(&self, epoch: usize, positions: &[usize], drawn: &Drawn) -> Descent {
        let (pass, clean, statistics) = self.seen(drawn, Precision::Single);
        let attack = &self.settings.attack;
        let found = self.found(epoch, positions, drawn, attack, &pass);
        let (loss, gradients) = drawn.descended(pass, clean.as_ref(), &found);
        Descent {
            loss,
            found,
            statistics,
            gradients,
        }
    }

    /// What the loss is taken of.
    pub(super) fn found(
        &self,
        epoch: usize,
        positions: &[usize],
        drawn: &Drawn,
        attack: &Attack,
        pass: &Pass<'_>,
    ) -> Prepared {
        let noise = |sample: usize| self.noise(epoch, sample, positions);
        let batch = Batch {
            pixels: &drawn.pixels,
            labels: &drawn.labels,
            columns: self.examples.columns(),
            ends: drawn.ends.as_ref(),
        };
        let mut random = drawn.random.clone();
        let Drawn { moment, method, .. } = drawn;
        prepared(method, moment, attack, batch, pass, &noise, &mut random)
    }

    /// The means over an epoch's batches of what a network's batch normalizations meet, as for
    /// averaged weights (Izmailov et al., UAI 2018).
    pub(super) fn met(
        &self,
        network: &Network,
        epoch: usize,
        batches: &[&[usize]],
    ) -> Result<Vec<Vec<f32>>> {
        let mut average = Average::default();
        for (step, positions) in batches.iter().enumerate() {
            let pixels = self.drawn([epoch, step], 0.0, positions)?.pixels;
            let images = Matrix::new(self.examples.columns(), &pixels, Precision::Single);
            let parameters = loaded(network, Precision::Single);
            let trained = Pass::training(network, parameters, &images);
            average.add(trained.statistics.iter());
        }
        Ok(average.values)
    }

    /// Normal noise for each of the images: one sample of an epoch.
    pub(super) fn noise(&self, epoch: usize, sample: usize, positions: &[usize]) -> Vec<f32> {
        let key = NoiseKey::new(self.settings.seed);
        let samples = match self.settings.method {
            Method::SmoothAdv { samples, .. } => samples,
            _ => 1,
        };
        let number = (epoch * samples + sample) as u32;
        let columns = self.examples.columns();
        let mut noise = vec![0.0; positions.len() * columns];
        for (&at, noise) in positions.iter().zip(noise.chunks_mut(columns)) {
            key.fill(Stream::Train, at as u32, number, noise);
        }
        noise
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use recert_graph::testing::noise;

    use super::*;
    use crate::examples::Examples;
    use crate::network::{Architecture, Initialization, Normalization};
    use crate::schedule::Schedule;
    use crate::settings::Settings;

    const IMAGE: [usize; 3] = [1, 6, 6];

    /// Images of which the third with the label is bright.
    fn examples() -> Examples {
        let pixels = (0..60_usize).flat_map(|image| {
            let dots = noise(image as u32, 36).into_iter().enumerate();
            dots.map(move |(at, dot)| {
                let bright = at / 12 == image % 3;
                (if bright { 0.75 } else { 0.25 }) + 0.15 * dot
            })
        });
        let labels = (0..60).map(|image| image % 3).collect();
        Examples::new(IMAGE, pixels.collect(), labels, 3).unwrap()
    }

    #[test]
    fn a_training_that_diverges_is_an_error() {
        let examples = examples();
        let layers: Architecture = "fc-8-8".parse().unwrap();
        let layers = layers.layers(IMAGE, 3).unwrap();
        let normalization = Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        };
        let begun = Network::new(IMAGE, layers, normalization, Initialization::He, 11).unwrap();
        let settings = Settings {
            clip: f64::INFINITY,
            batch: 16,
            schedule: Schedule {
                epochs: 50,
                ramp_end: 0,
                ..Schedule::default()
            },
            validation: 12,
            seed: 5,
            ..Settings::new(Method::Standard)
        };
        let mut training = Training::new(begun, &examples, settings).unwrap();
        // Settings allow no such rate.
        training.settings.schedule.learning_rate = 1e30;
        let error = loop {
            match training.epoch(|_| ControlFlow::Continue(())) {
                Ok(_) => assert!(!training.is_done(), "it did not diverge"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Diverged);
        assert!(error.to_string().contains("epoch "), "{error}");
    }
}
