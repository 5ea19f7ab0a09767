//! Bounds of batches in fast arithmetic, with derivatives: the relaxations that `recert-bounds`
//! proves with, whose tests these are held to. Nothing here is rounded outward: what is proved
//! is proved by `recert-bounds` afterwards.

use crate::network::Layer;
use crate::pass::{Pass, applied};
use crate::tensor::{Mask, Matrix, Precision};

/// Neurons whose intervals are narrower than this have an upper line of slope 1, which is sound
/// and has bounded derivatives, where the chord's grow without bound.
const NARROW: f64 = 1e-6;

/// A box around each example's values: centres and radii, `[n, elements]`.
#[derive(Debug, Clone)]
pub(crate) struct Interval {
    pub(crate) centre: Matrix,
    pub(crate) radius: Matrix,
}

/// Intervals of a network's values.
pub(crate) struct Intervals {
    /// Of the first layer's input.
    pub(crate) input: Interval,
    /// Before each ReLU.
    pub(crate) neurons: Vec<Interval>,
    /// What the last layer takes.
    pub(crate) penultimate: Interval,
}

impl Interval {
    /// From lower and upper ends.
    pub(crate) fn between(lower: &Matrix, upper: &Matrix) -> Self {
        Self {
            centre: upper.add(lower).scale(0.5),
            radius: upper.sub(lower).scale(0.5),
        }
    }

    /// The lower and the upper ends.
    pub(crate) fn ends(&self) -> [Matrix; 2] {
        [self.centre.sub(&self.radius), self.centre.add(&self.radius)]
    }

    /// What a layer makes of it.
    fn through(&self, layer: &Layer, pair: Option<[&Matrix; 2]>) -> Self {
        let radius = match (layer, pair) {
            (Layer::Linear { .. }, Some([weights, _])) => {
                self.radius.product_transposed(&weights.abs())
            }
            (Layer::Convolution(window), Some([weights, _])) => {
                self.radius.convolve(&weights.abs(), *window)
            }
            (Layer::BatchNorm { .. }, Some([factors, _])) => {
                self.radius.scale_channels(&factors.abs())
            }
            _ => {
                let [lower, upper] = self.ends();
                return Self::between(&lower.relu(), &upper.relu());
            }
        };
        Self {
            centre: applied(layer, pair, &self.centre),
            radius,
        }
    }
}

/// Interval bounds (IBP) of all values for a box of pixels, up to the last layer.
pub(crate) fn intervals(pass: &Pass<'_>, pixels: &Interval) -> Intervals {
    let input = Interval {
        centre: pass.normalized(&pixels.centre),
        radius: pass.normalized_radius(&pixels.radius),
    };
    let layers = pass.layers();
    let mut neurons = Vec::new();
    let mut at = input.clone();
    for (layer, pair) in &layers[..layers.len() - 1] {
        if matches!(layer, Layer::Relu { .. }) {
            neurons.push(at.clone());
        }
        at = at.through(layer, *pair);
    }
    Intervals {
        input,
        neurons,
        penultimate: at,
    }
}

/// The rows `y_label - y_other` of every example, `[n (classes - 1), classes]`, the others in
/// order.
pub(crate) fn rows(labels: &[usize], classes: usize, precision: Precision) -> Matrix {
    let mut elements = Vec::with_capacity(labels.len() * (classes - 1) * classes);
    for &label in labels {
        for other in (0..classes).filter(|&other| other != label) {
            elements.extend((0..classes).map(|class| {
                f32::from(u8::from(class == label)) - f32::from(u8::from(class == other))
            }));
        }
    }
    Matrix::new(classes, &elements, precision)
}

/// Rows of coefficients of a value, and the constants beside them, `[n m, 1]`.
struct Linear {
    coefficients: Matrix,
    constants: Matrix,
}

impl Linear {
    /// Rows of the outputs, merged into the last layer.
    fn merged(pass: &Pass<'_>, rows: &Matrix) -> Self {
        let [weights, bias] = last(pass);
        Self {
            coefficients: rows.product(weights),
            constants: rows.product_transposed(bias),
        }
    }

    /// Lower bounds on a box of the value, `[n, m]`.
    fn lowest(&self, on: &Interval) -> Matrix {
        let times = self.coefficients.rows() / on.centre.rows();
        let middle = self.coefficients.mul(&on.centre.repeated(times));
        let spread = self.coefficients.abs().mul(&on.radius.repeated(times));
        let lowest = middle.sub(&spread).sum_rows().add(&self.constants);
        lowest.reshaped(times)
    }

    /// Carried back through a layer, to rows of what it takes.
    fn back(&self, layer: &Layer, pair: Option<[&Matrix; 2]>, neurons: Option<&Interval>) -> Self {
        let rows = &self.coefficients;
        match (layer, pair, neurons) {
            (Layer::Linear { .. }, Some([weights, bias]), _) => Self {
                coefficients: rows.product(weights),
                constants: self.constants.add(&rows.product_transposed(bias)),
            },
            (Layer::Convolution(window), Some([weights, bias]), _) => {
                let sums = rows.sum_planes(window.output()[0]);
                Self {
                    coefficients: rows.convolve_transposed(weights, *window),
                    constants: self.constants.add(&sums.product_transposed(bias)),
                }
            }
            (Layer::BatchNorm { channels, .. }, Some([factors, terms]), _) => {
                let sums = rows.sum_planes(*channels);
                Self {
                    coefficients: rows.scale_channels(factors),
                    constants: self.constants.add(&sums.product_transposed(terms)),
                }
            }
            (Layer::Relu { .. }, _, Some(neurons)) => self.relaxed(&Lines::of(neurons)),
            (layer, ..) => unreachable!("{layer:?} without what it needs"),
        }
    }

    /// Carried back through ReLUs: positive coefficients take the line below, negative ones that
    /// above.
    fn relaxed(&self, lines: &Lines) -> Self {
        let times = self.coefficients.rows() / lines.below.rows();
        let negative = self.coefficients.scale(-1.0).relu();
        let below = self.coefficients.mul(&lines.below.repeated(times));
        let excess = negative.mul(&lines.above.sub(&lines.below).repeated(times));
        let offsets = negative.mul(&lines.offset.repeated(times)).sum_rows();
        Self {
            coefficients: below.sub(&excess),
            constants: self.constants.sub(&offsets),
        }
    }
}

/// The lines around a ReLU on its interval: the slope of that below, which goes through the
/// origin and is a constant, the slope of that above, and its offset.
struct Lines {
    below: Matrix,
    above: Matrix,
    offset: Matrix,
}

impl Lines {
    fn of(neurons: &Interval) -> Self {
        let precision = neurons.centre.precision();
        let [lower, upper] = neurons.ends();
        let width = neurons.radius.scale(2.0);
        let depth = lower.scale(-1.0);
        let unstable = upper.exceeds(0.0).and(&depth.exceeds(0.0));
        let narrow: Mask = unstable.and(&width.exceeds(NARROW).not());
        let stable = unstable.not();
        // The slope is 1 where the interval reaches further up than down, which is so of an
        // active neuron, and 0 of an inactive one.
        let below = upper.above(&depth).numbers(precision);
        let over = upper.filled(&stable, 0.0).filled(&narrow, 1.0);
        let under = width.filled(&stable, 1.0).filled(&narrow, 1.0);
        let chord = over.div(&under);
        Self {
            above: chord.add(&below.filled(&unstable, 0.0)),
            offset: chord.mul(&depth),
            below,
        }
    }
}

fn last<'p>(pass: &'p Pass<'_>) -> [&'p Matrix; 2] {
    let count = pass.parameters.len();
    [&pass.parameters[count - 2], &pass.parameters[count - 1]]
}

/// Lower bounds of the margins `[n, classes - 1]` by intervals, the rows merged into the last
/// layer (elision).
pub(crate) fn ibp_margins(pass: &Pass<'_>, intervals: &Intervals, rows: &Matrix) -> Matrix {
    Linear::merged(pass, rows).lowest(&intervals.penultimate)
}

/// Lower bounds of the margins by CROWN, with the neurons' bounds from intervals (CROWN-IBP).
pub(crate) fn crown_margins(pass: &Pass<'_>, intervals: &Intervals, rows: &Matrix) -> Matrix {
    let mut linear = Linear::merged(pass, rows);
    let layers = pass.layers();
    let mut neurons = intervals.neurons.iter().rev();
    for (layer, pair) in layers[..layers.len() - 1].iter().rev() {
        let own = matches!(layer, Layer::Relu { .. })
            .then(|| neurons.next())
            .flatten();
        linear = linear.back(layer, *pair, own);
    }
    linear.lowest(&intervals.input)
}

#[cfg(test)]
mod tests;
