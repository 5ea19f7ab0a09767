//! Steps as they were computed, for comparisons with other programs.

use super::Training;
use super::step::{Descent, Drawn};
use crate::attack::begun;
use crate::method::{Method, ball, loss};
use crate::tensor::{Matrix, Precision};

/// What a step was computed from and what came of it, before its gradients were cut.
///
/// It is for comparisons of losses and gradients with other programs, and not part of the
/// interface that is kept stable.
#[doc(hidden)]
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepRecord {
    /// The method of this step; before the ramp it may be training on clean images.
    pub method: &'static str,
    /// The eps of this step, CROWN-IBP's beta, and the weights of the loss on clean images and of
    /// the regularisers.
    pub moment: [f64; 4],
    /// The images, `[n, channels, height, width]`, varied.
    pub pixels: Vec<f32>,
    /// Their labels.
    pub labels: Vec<usize>,
    /// Where each search of an attack begins, `[restarts, n, channels, height, width]`.
    pub starts: Vec<f32>,
    /// Normal noise, `[samples, n, channels, height, width]`.
    pub noise: Vec<f32>,
    /// Adversarial or noisy images that the loss is taken at.
    pub points: Vec<f32>,
    /// Centres and radii of the boxes that are bounded.
    pub region: [Vec<f32>; 2],
    /// What TAPS attacked; empty for other methods.
    pub latent: LatentRecord,
    /// Weights and biases, layer after layer, before the step.
    pub weights: Vec<Vec<f32>>,
    /// The loss.
    pub loss: f64,
    /// Its gradients by the weights.
    pub gradients: Vec<Vec<f32>>,
    /// The loss and its gradients computed in float64 from the same numbers.
    pub doubles: (f64, Vec<Vec<f64>>),
}

/// The search of latent boxes (TAPS, STAPS), of a batch that is searched at once.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LatentRecord {
    /// Where each search begins, in shares of the box's width, `[restarts, n, classes - 1, elements]`.
    pub starts: Vec<f32>,
    /// The points that were found, `[n, classes - 1, elements]`.
    pub points: Vec<f32>,
    /// The lower and the upper ends of the boxes, `[n, elements]`.
    pub ends: [Vec<f32>; 2],
    /// By how much the points move with these, as the points.
    pub slopes: [Vec<f32>; 2],
}

impl Training<'_> {
    /// What a step was computed from, and what came of it.
    pub(super) fn recorded(
        &self,
        epoch: usize,
        positions: &[usize],
        drawn: &Drawn,
        descent: &Descent,
    ) -> StepRecord {
        let Drawn {
            pixels,
            labels,
            moment,
            method,
            random,
            // The box is among what was found.
            ends: _,
        } = drawn;
        let found = &descent.found;
        let attack = &self.settings.attack;
        let mut random = random.clone();
        let ball = ball(method, moment, attack);
        // TAPS searches from no pixels.
        let searches = method.attacks() && !matches!(method, Method::Taps { .. });
        let restarts = if searches { attack.restarts } else { 0 };
        let columns = self.examples.columns();
        let starts = (0..restarts).flat_map(|_| begun(pixels, columns, ball, &mut random));
        let starts: Vec<f32> = starts.collect();
        let latent = found.latent.as_ref().map(|points| {
            let both = |pair: &[Matrix; 2]| [pair[0].values(), pair[1].values()];
            let values = points.values.values();
            let count = attack.restarts.max(1) * values.len();
            LatentRecord {
                starts: (0..count).map(|_| random.f32()).collect(),
                points: values,
                ends: both(&points.ends),
                slopes: both(&points.slopes),
            }
        });
        let samples = match method {
            Method::SmoothAdv { samples, .. } => *samples,
            _ => usize::from(method.sigma().is_some()),
        };
        let noise = (0..samples).flat_map(|sample| self.noise(epoch, sample, positions));
        let values = |matrix: &Matrix| matrix.values();
        let region = found.region.as_ref();
        let (pass, clean, _) = self.seen(drawn, Precision::Double);
        let found_in_double = found.doubled();
        let doubles = loss(
            method,
            moment,
            labels,
            &pass,
            clean.as_ref(),
            &found_in_double,
        );
        let derivatives = doubles.total.derivatives();
        let gradients = pass.parameters.iter().map(|matrix| {
            let gradient = derivatives.by(matrix).map(|gradient| gradient.doubles());
            gradient.unwrap_or_else(|| vec![0.0; matrix.rows() * matrix.columns()])
        });
        StepRecord {
            method: method.name(),
            moment: [moment.eps, moment.beta, moment.clean, moment.regularizer],
            pixels: pixels.clone(),
            labels: labels.clone(),
            starts,
            noise: noise.collect(),
            points: found.points.as_ref().map(values).unwrap_or_default(),
            region: [
                region
                    .map(|region| region.centre.values())
                    .unwrap_or_default(),
                region
                    .map(|region| region.radius.values())
                    .unwrap_or_default(),
            ],
            latent: latent.unwrap_or_default(),
            weights: self.network.parameters.clone(),
            loss: descent.loss.total.doubles()[0],
            gradients: descent.gradients.clone(),
            doubles: (doubles.total.doubles()[0], gradients.collect()),
        }
    }
}
