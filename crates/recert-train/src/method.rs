//! Methods of training, and what they need of a batch.

mod latent;

use std::fmt;

use crate::attack::{Attack, Ball, attacked};
use crate::bounds::{self, Interval, Intervals};
use crate::pass::Pass;
use crate::tensor::{Matrix, Precision};

pub use latent::Latent;
pub(crate) use latent::{Cut, Points};

/// A method of training: what loss is descended. With CE the cross-entropy, `m` lower bounds of
/// the margins, and `CE(m)` that of the logits `[0, -m]` against the first class:
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// CE on clean images.
    Standard,
    /// CE on images with Gaussian noise, new in every epoch (Cohen et al., ICML 2019).
    Gaussian {
        /// The standard deviation, in units of pixels in [0, 1].
        sigma: f64,
    },
    /// `CE(noisy) + weight sum over other classes of relu(margin - (noisy logit of the label less
    /// theirs))`: Gaussian noise, and the hinge of Weston and Watkins (ESANN 1999) on the same noisy
    /// images.
    GaussianHinge {
        /// The standard deviation, in units of pixels in [0, 1].
        sigma: f64,
        /// From which margin on a class adds nothing, in units of logits.
        margin: f64,
        /// The weight of the hinge.
        weight: f64,
    },
    /// `(1 - alpha) CE(noisy) + alpha CE(m)`, m by intervals on the box of radius eps around the
    /// noisy image, which is not cut to [0, 1]: MTL-IBP with noise in the attack's place.
    GaussianIbp {
        /// The standard deviation, in units of pixels in [0, 1].
        sigma: f64,
        /// The weight of the bounds, in [0, 1].
        alpha: f64,
    },
    /// CE on adversarial images (Madry et al., ICLR 2018).
    Pgd,
    /// CE on noisy images that are adversarial, within an L2 ball of radius eps, to the mean answer
    /// on noise (Salman et al., NeurIPS 2019).
    SmoothAdv {
        /// The standard deviation, in units of pixels in [0, 1].
        sigma: f64,
        /// Samples of noise an image.
        samples: usize,
    },
    /// `CE(m)` with m by intervals (Gowal et al., 2018).
    Ibp,
    /// `CE(m)` with `m = beta crown + (1 - beta) ibp`, beta from 1 to 0 over the ramp (Zhang et
    /// al., ICLR 2020).
    CrownIbp,
    /// `CE(m)` by intervals on the share `tau` of the box, around an adversarial image (Mueller et
    /// al., ICLR 2023).
    Sabr {
        /// The share of the box's width that is bounded, in (0, 1].
        tau: f64,
    },
    /// `alpha CE(m) + (1 - alpha) CE(adversarial)` (De Palma et al., ICLR 2024).
    MtlIbp {
        /// The weight of the bounds, in [0, 1].
        alpha: f64,
    },
    /// `CE(alpha m + (1 - alpha) margins of the adversarial)` (De Palma et al., ICLR 2024).
    CcIbp {
        /// The weight of the bounds, in [0, 1].
        alpha: f64,
    },
    /// `CE(m)^alpha CE(adversarial)^(1 - alpha)` (De Palma et al., ICLR 2024).
    ExpIbp {
        /// The exponent of the bounds, in [0, 1].
        alpha: f64,
    },
    /// `CE(m) CE(a)` with m by intervals, and a the least margins that an attack on the last layers
    /// finds within the intervals of what these take (Mao et al., NeurIPS 2023). As IBP during the
    /// ramp.
    Taps {
        /// What is attacked, and the gradient.
        latent: Latent,
    },
    /// TAPS on SABR's box, and SABR during the ramp (Mao et al., NeurIPS 2023).
    Staps {
        /// The share of the box's width that is bounded, in (0, 1].
        tau: f64,
        /// What is attacked, and the gradient.
        latent: Latent,
    },
    /// `kappa CE(transformed) + (1 - kappa) CE(worst logits)`, by intervals over a random cell of
    /// a transformation's parameters, where kappa is the weight of clean images, which are the
    /// transformed ones here (CGT: Yang et al., ICLR 2023). See [`crate::Settings::cells`].
    Geometric,
}

impl Method {
    /// The method's name in configurations and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Gaussian { .. } => "gaussian",
            Self::GaussianHinge { .. } => "gaussian-hinge",
            Self::GaussianIbp { .. } => "gaussian-ibp",
            Self::Pgd => "pgd",
            Self::SmoothAdv { .. } => "smoothadv",
            Self::Ibp => "ibp",
            Self::CrownIbp => "crown-ibp",
            Self::Sabr { .. } => "sabr",
            Self::MtlIbp { .. } => "mtl-ibp",
            Self::CcIbp { .. } => "cc-ibp",
            Self::ExpIbp { .. } => "exp-ibp",
            Self::Taps { .. } => "taps",
            Self::Staps { .. } => "staps",
            Self::Geometric => "geometric",
        }
    }

    /// Whether the method bounds margins over a box.
    pub fn bounds(&self) -> bool {
        !matches!(
            self,
            Self::Standard
                | Self::Gaussian { .. }
                | Self::GaussianHinge { .. }
                | Self::Pgd
                | Self::SmoothAdv { .. }
        )
    }

    /// Whether the method is given an eps.
    pub fn has_eps(&self) -> bool {
        !matches!(
            self,
            Self::Standard | Self::Gaussian { .. } | Self::GaussianHinge { .. } | Self::Geometric
        )
    }

    /// The standard deviation of the noise that images get, where they get any.
    pub fn sigma(&self) -> Option<f64> {
        match *self {
            Self::Gaussian { sigma }
            | Self::GaussianHinge { sigma, .. }
            | Self::GaussianIbp { sigma, .. }
            | Self::SmoothAdv { sigma, .. } => Some(sigma),
            _ => None,
        }
    }

    /// Whether something grows over the ramp: eps, or the cells of a transformation.
    pub fn ramps(&self) -> bool {
        self.has_eps() || *self == Self::Geometric
    }

    /// Whether the method attacks.
    pub fn attacks(&self) -> bool {
        !matches!(
            self,
            Self::Standard
                | Self::Gaussian { .. }
                | Self::GaussianHinge { .. }
                | Self::GaussianIbp { .. }
                | Self::Ibp
                | Self::CrownIbp
                | Self::Geometric
        )
    }

    /// What TAPS attacks, where the method is that or STAPS.
    pub fn latent(&self) -> Option<&Latent> {
        match self {
            Self::Taps { latent } | Self::Staps { latent, .. } => Some(latent),
            _ => None,
        }
    }

    /// The method while eps is ramped up.
    pub(crate) fn while_ramping(self) -> Self {
        match self {
            Self::Taps { .. } => Self::Ibp,
            Self::Staps { tau, .. } => Self::Sabr { tau },
            other => other,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Gaussian { sigma } => write!(f, " (sigma {sigma})"),
            Self::GaussianHinge {
                sigma,
                margin,
                weight,
            } => {
                write!(f, " (sigma {sigma}, margin {margin}, weight {weight})")
            }
            Self::GaussianIbp { sigma, alpha } => {
                write!(f, " (sigma {sigma}, alpha {alpha})")
            }
            Self::SmoothAdv { sigma, samples } => {
                write!(f, " (sigma {sigma}, {samples} samples)")
            }
            Self::Sabr { tau } => write!(f, " (tau {tau})"),
            Self::MtlIbp { alpha } | Self::CcIbp { alpha } | Self::ExpIbp { alpha } => {
                write!(f, " (alpha {alpha})")
            }
            Self::Taps { latent } => write!(f, " ({latent})"),
            Self::Staps { tau, latent } => write!(f, " (tau {tau}, {latent})"),
            _ => Ok(()),
        }
    }
}

/// The state of the schedule at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moment {
    /// The eps of this step.
    pub(crate) eps: f64,
    /// CROWN-IBP's beta.
    pub(crate) beta: f64,
    /// The weight of the loss on clean images.
    pub(crate) clean: f64,
    /// The weight of Shi et al.'s regularisers.
    pub(crate) regularizer: f64,
    /// What upper ends of unstable ReLUs are multiplied by.
    pub(crate) shrink: f64,
}

/// Images and labels, pixels in [0, 1], rows of `columns`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'b> {
    pub(crate) pixels: &'b [f32],
    pub(crate) labels: &'b [usize],
    pub(crate) columns: usize,
    /// The least and the largest pixels over each image's cell, where there are cells.
    pub(crate) ends: Option<&'b [Vec<f32>; 2]>,
}

/// What a step's loss is taken of, besides the clean images: constants, found before any
/// derivative.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared {
    /// Adversarial or noisy images, a whole number of them an image.
    pub(crate) points: Option<Matrix>,
    /// The box that is bounded.
    pub(crate) region: Option<Interval>,
    /// Where the last layers are attacked.
    pub(crate) latent: Option<Points>,
}

/// Normal noise for every pixel of a batch; number k of each image.
pub(crate) type Noise<'n> = &'n dyn Fn(usize) -> Vec<f32>;

impl Prepared {
    /// The same numbers in float64.
    pub(crate) fn doubled(&self) -> Self {
        self.each(Matrix::doubled)
    }

    /// The same numbers on the current device.
    pub(crate) fn moved(&self) -> Self {
        self.each(Matrix::moved)
    }

    fn each(&self, made: fn(&Matrix) -> Matrix) -> Self {
        Self {
            points: self.points.as_ref().map(made),
            region: self.region.as_ref().map(|region| Interval {
                centre: made(&region.centre),
                radius: made(&region.radius),
            }),
            latent: self.latent.as_ref().map(|points| points.each(made)),
        }
    }
}

/// Where a method's attack searches.
pub(crate) fn ball(method: &Method, moment: &Moment, attack: &Attack) -> Ball {
    let radius = moment.eps * attack.radius;
    match method {
        Method::SmoothAdv { .. } => Ball::L2(radius),
        _ => Ball::Linf(radius),
    }
}

/// Adversarial and noisy images and boxes of a batch.
pub(crate) fn prepared(
    method: &Method,
    moment: &Moment,
    attack: &Attack,
    batch: Batch<'_>,
    pass: &Pass<'_>,
    noise: Noise<'_>,
    generator: &mut fastrand::Rng,
) -> Prepared {
    let Batch {
        pixels,
        labels,
        columns,
        ends,
    } = batch;
    let precision = Precision::Single;
    let classes = pass.network.classes();
    let pass = pass.constant();
    let ball = ball(method, moment, attack);
    let on_images = |generator: &mut fastrand::Rng| {
        let hot = hot(labels, classes, precision);
        let losses = |points: &Matrix| cross_entropies(&pass.logits(points), &hot);
        attacked(pixels, columns, ball, attack, generator, losses)
    };
    let read = |points: &[f32]| Matrix::new(columns, points, precision);
    let region = || Some(region(pixels, pixels, moment.eps, 1.0, columns));
    let small = |generator: &mut fastrand::Rng, tau: f64| {
        let found = on_images(generator);
        self::region(pixels, &found, moment.eps, tau, columns)
    };
    match *method {
        Method::Standard => Prepared::default(),
        Method::Gaussian { sigma }
        | Method::GaussianHinge { sigma, .. }
        | Method::GaussianIbp { sigma, .. } => {
            let noisy = read(pixels).add(&read(&noise(0)).scale(sigma));
            let region = method
                .bounds()
                .then(|| Interval::between(&noisy.shift(-moment.eps), &noisy.shift(moment.eps)));
            Prepared {
                points: Some(noisy),
                region,
                ..Prepared::default()
            }
        }
        Method::SmoothAdv { sigma, samples } => {
            let noise = read(&interleaved(noise, samples, columns)).scale(sigma);
            let hot = hot(labels, classes, precision).repeated(samples);
            let losses = |points: &Matrix| {
                let logits = pass.logits(&points.repeated(samples).add(&noise));
                let chosen = logits.log_softmax().exp().mul(&hot).sum_rows();
                // The sum keeps the logarithm finite where all samples miss the label by far.
                let chosen = chosen.reshaped(samples).sum_rows().shift(1e-30);
                chosen.log().scale(-1.0)
            };
            let found = attacked(pixels, columns, ball, attack, generator, losses);
            Prepared {
                points: Some(read(&found).repeated(samples).add(&noise)),
                ..Prepared::default()
            }
        }
        Method::Pgd => Prepared {
            points: Some(read(&on_images(generator))),
            ..Prepared::default()
        },
        Method::Ibp | Method::CrownIbp => Prepared {
            region: region(),
            ..Prepared::default()
        },
        Method::Sabr { tau } => Prepared {
            region: Some(small(generator, tau)),
            ..Prepared::default()
        },
        Method::Taps { latent } | Method::Staps { latent, .. } => {
            let region = match *method {
                Method::Staps { tau, .. } => Some(small(generator, tau)),
                _ => region(),
            };
            let search = |region: &Interval| {
                let cut = Cut::before(pass.network, latent.relus)?;
                let rows = bounds::rows(labels, classes, precision);
                let intervals = bounds::intervals(&pass, region, moment.shrink);
                let reached = cut.of(&intervals, moment.shrink);
                let (pass, random) = (&pass, &mut *generator);
                Some(Points::found(
                    &latent, cut, pass, &reached, &rows, attack, random,
                ))
            };
            Prepared {
                latent: region.as_ref().and_then(search),
                region,
                points: None,
            }
        }
        Method::MtlIbp { .. } | Method::CcIbp { .. } | Method::ExpIbp { .. } => Prepared {
            points: Some(read(&on_images(generator))),
            region: region(),
            latent: None,
        },
        Method::Geometric => Prepared {
            region: ends.map(|[low, high]| Interval::between(&read(low), &read(high))),
            ..Prepared::default()
        },
    }
}

/// Samples of noise, that of number k for image i as row `i samples + k`.
fn interleaved(noise: Noise<'_>, samples: usize, columns: usize) -> Vec<f32> {
    let per_sample: Vec<Vec<f32>> = (0..samples).map(noise).collect();
    let images = per_sample.first().map_or(0, |noise| noise.len() / columns);
    let rows = (0..images).flat_map(|image| {
        let range = image * columns..(image + 1) * columns;
        per_sample
            .iter()
            .flat_map(move |noise| noise[range.clone()].iter().copied())
    });
    rows.collect()
}

/// The share `tau` of the box within `eps` of the pixels and in [0, 1], around points that are moved so that it
/// lies within that box. At the edge of [0, 1] the whole box is narrower, and so is its share.
fn region(pixels: &[f32], points: &[f32], eps: f64, tau: f64, columns: usize) -> Interval {
    let (eps, tau) = (eps as f32, tau as f32);
    let pairs = pixels.iter().zip(points);
    let ends = pairs.map(|(&pixel, &point)| {
        let (low, high) = ((pixel - eps).max(0.0), (pixel + eps).min(1.0));
        if tau >= 1.0 {
            return (low, high);
        }
        let width = (high - low) * tau;
        let least = (point - width / 2.0).min(high - width).max(low);
        (least, (least + width).min(high))
    });
    let (low, high): (Vec<f32>, Vec<f32>) = ends.unzip();
    let read = |ends: &[f32]| Matrix::new(columns, ends, Precision::Single);
    Interval::between(&read(&low), &read(&high))
}

/// 1 at every row's label and 0 elsewhere.
pub(crate) fn hot(labels: &[usize], classes: usize, precision: Precision) -> Matrix {
    let mut elements = vec![0.0; labels.len() * classes];
    for (row, &label) in labels.iter().enumerate() {
        elements[row * classes + label] = 1.0;
    }
    Matrix::new(classes, &elements, precision)
}

/// The cross-entropy of every row, `[n, 1]`.
pub(crate) fn cross_entropies(logits: &Matrix, hot: &Matrix) -> Matrix {
    logits.log_softmax().mul(hot).sum_rows().scale(-1.0)
}

/// The mean of `CE(m)`.
fn margin_loss(margins: &Matrix) -> Matrix {
    let logits = margins.scale(-1.0).after_zeros();
    let first = vec![0; logits.rows()];
    let hot = hot(&first, logits.columns(), logits.precision());
    cross_entropies(&logits, &hot).mean()
}

/// By how much each row's logit of its label is above each other one, `[n, classes - 1]`.
fn reached_margins(logits: &Matrix, labels: &[usize]) -> Matrix {
    let others = logits.columns() - 1;
    let rows = bounds::rows(labels, logits.columns(), logits.precision());
    let margins = rows.mul(&logits.repeated(others)).sum_rows();
    margins.reshaped(others)
}

/// A step's loss, and what to report of it.
#[derive(Debug)]
pub(crate) struct Loss {
    /// What is descended, `[1, 1]`.
    pub(crate) total: Matrix,
    /// The logits of the adversarial or noisy images.
    pub(crate) points: Option<Matrix>,
    /// The margins' lower bounds.
    pub(crate) margins: Option<Matrix>,
}

/// The loss of a method, given the logits of the clean images where they were computed.
pub(crate) fn loss(
    method: &Method,
    moment: &Moment,
    labels: &[usize],
    pass: &Pass<'_>,
    clean: Option<&Matrix>,
    prepared: &Prepared,
) -> Loss {
    let classes = pass.network.classes();
    let precision = pass.parameters[0].precision();
    let points = prepared.points.as_ref().map(|points| pass.logits(points));
    let on_points = |logits: &Matrix| {
        let times = logits.rows() / labels.len();
        let hot = hot(labels, classes, precision).repeated(times);
        cross_entropies(logits, &hot).mean()
    };
    let clean_loss = clean.map(on_points);
    let mut intervals: Option<Intervals> = None;
    let mut margins = None;
    if let Some(region) = &prepared.region {
        let rows = bounds::rows(labels, classes, precision);
        let found = bounds::intervals(pass, region, moment.shrink);
        let bound = match method {
            Method::Geometric => bounds::worst_margins,
            _ => bounds::ibp_margins,
        };
        let mut lower = bound(pass, &found, &rows);
        if *method == Method::CrownIbp && moment.beta > 0.0 {
            let crown = bounds::crown_margins(pass, &found, &rows).scale(moment.beta);
            lower = lower.scale(1.0 - moment.beta).add(&crown);
        }
        margins = Some(lower);
        intervals = Some(found);
    }
    let robust = match (*method, &points, &margins) {
        (Method::CcIbp { alpha }, Some(points), Some(margins)) => {
            let reached = reached_margins(points, labels);
            let mixed = margins.scale(alpha).add(&reached.scale(1.0 - alpha));
            Some(margin_loss(&mixed))
        }
        (Method::GaussianHinge { margin, weight, .. }, Some(points), _) => {
            let missing = reached_margins(points, labels).scale(-1.0).shift(margin);
            let hinge = missing.relu().sum_rows().mean().scale(weight);
            Some(on_points(points).add(&hinge))
        }
        (
            Method::MtlIbp { alpha } | Method::GaussianIbp { alpha, .. },
            Some(points),
            Some(margins),
        ) => {
            let adversarial = on_points(points).scale(1.0 - alpha);
            Some(margin_loss(margins).scale(alpha).add(&adversarial))
        }
        (Method::ExpIbp { alpha }, Some(points), Some(margins)) => {
            // The sum keeps the logarithm finite where a loss rounds to 0.
            let log = |loss: Matrix| loss.shift(1e-12).log();
            let adversarial = log(on_points(points)).scale(1.0 - alpha);
            let bounded = log(margin_loss(margins)).scale(alpha);
            Some(bounded.add(&adversarial).exp())
        }
        (Method::Taps { latent } | Method::Staps { latent, .. }, _, Some(margins)) => {
            let rows = bounds::rows(labels, classes, precision);
            let found = prepared.latent.as_ref().zip(intervals.as_ref());
            let (points, intervals) = found.expect("the network can be cut there");
            let attacked = margin_loss(&points.margins(pass, intervals, moment.shrink, &rows));
            let attacked = latent::emphasized(&attacked, latent.weight);
            Some(attacked.mul(&margin_loss(margins)))
        }
        (_, _, Some(margins)) => Some(margin_loss(margins)),
        (_, Some(points), None) => Some(on_points(points)),
        (_, None, None) => None,
    };
    let mut total = match (robust, clean_loss) {
        (Some(robust), Some(clean)) if moment.clean > 0.0 => {
            let clean = clean.scale(moment.clean);
            robust.scale(1.0 - moment.clean).add(&clean)
        }
        (Some(robust), _) => robust,
        (None, Some(clean)) => clean,
        (None, None) => unreachable!("a method without images"),
    };
    if let Some(intervals) = &intervals
        && moment.regularizer > 0.0
    {
        let term = crate::regularizer::term(intervals).scale(moment.regularizer);
        total = total.add(&term);
    }
    Loss {
        total,
        points,
        margins,
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
