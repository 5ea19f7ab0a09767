//! Bounds of batches in fast arithmetic, with derivatives: the relaxations that `recert-bounds`
//! proves with, whose tests these are held to. Nothing here is rounded outward: what is proved
//! is proved by `recert-bounds` afterwards.

use crate::network::Layer;
use crate::pass::{self, Joined, Pass, applied};
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

    /// What ReLUs make of it. Upper ends of unstable ones are multiplied by `shrink` (Mueller et al.,
    /// ICLR 2023), after which, unless it is 1, these are no bounds.
    pub(crate) fn rectified(&self, shrink: f64) -> Self {
        let [lower, upper] = self.ends();
        let mut above = upper.relu();
        if shrink != 1.0 {
            let unstable = upper.exceeds(0.0).and(&lower.scale(-1.0).exceeds(0.0));
            let stable = unstable.not().numbers(above.precision());
            above = above.mul(&stable.scale(1.0 - shrink).shift(shrink));
        }
        Self::between(&lower.relu(), &above)
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
            (Layer::Relu { .. }, _) => return self.rectified(1.0),
            // Linear, with weights of 0 and above.
            _ => applied(layer, pair, &self.radius),
        };
        Self {
            centre: applied(layer, pair, &self.centre),
            radius,
        }
    }
}

impl Joined for Interval {
    fn joined(&self, other: &Self) -> Self {
        Self {
            centre: self.centre.add(&other.centre),
            radius: self.radius.add(&other.radius),
        }
    }
}

/// Interval bounds (IBP) of all values for a box of pixels, up to the last layer; `shrink` as in
/// [`Interval::rectified`].
pub(crate) fn intervals(pass: &Pass<'_>, pixels: &Interval, shrink: f64) -> Intervals {
    let input = Interval {
        centre: pass.normalized(&pixels.centre),
        radius: pass.normalized_radius(&pixels.radius),
    };
    let layers = pass.layers();
    let mut neurons = Vec::new();
    let before_last = layers[..layers.len() - 1].iter().copied();
    let penultimate = pass::forward(before_last, input.clone(), |layer, pair, at: &Interval| {
        if matches!(layer, Layer::Relu { .. }) {
            neurons.push(at.clone());
            return at.rectified(shrink);
        }
        at.through(layer, pair)
    });
    Intervals {
        input,
        neurons,
        penultimate,
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

    /// Rows of what a layer takes from rows of what it makes, and what is added to the constants.
    fn back(
        rows: &Matrix,
        layer: &Layer,
        pair: Option<[&Matrix; 2]>,
        neurons: Option<&Interval>,
    ) -> (Matrix, Option<Matrix>) {
        match (layer, pair, neurons) {
            (Layer::Linear { .. }, Some([weights, bias]), _) => {
                (rows.product(weights), Some(rows.product_transposed(bias)))
            }
            (Layer::Convolution(window), Some([weights, bias]), _) => {
                let sums = rows.sum_planes(window.output()[0]);
                let made = rows.convolve_transposed(weights, *window);
                (made, Some(sums.product_transposed(bias)))
            }
            (Layer::BatchNorm { channels, .. }, Some([factors, terms]), _) => {
                let sums = rows.sum_planes(*channels);
                let made = rows.scale_channels(factors);
                (made, Some(sums.product_transposed(terms)))
            }
            (Layer::Relu { .. }, _, Some(neurons)) => Lines::of(neurons).back(rows),
            (Layer::Mean { plane, .. }, ..) => {
                (rows.spread(*plane).scale(1.0 / *plane as f64), None)
            }
            (Layer::Subsample(subsample), ..) => {
                let (window, weights) = pass::chosen(subsample, rows);
                (rows.convolve_transposed(&weights, window), None)
            }
            (layer, ..) => unreachable!("{layer:?} without what it needs"),
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

    /// Rows carried back through the ReLUs: positive coefficients take the line below, negative ones
    /// that above.
    fn back(&self, rows: &Matrix) -> (Matrix, Option<Matrix>) {
        let times = rows.rows() / self.below.rows();
        let negative = rows.scale(-1.0).relu();
        let below = rows.mul(&self.below.repeated(times));
        let excess = negative.mul(&self.above.sub(&self.below).repeated(times));
        let offsets = negative.mul(&self.offset.repeated(times)).sum_rows();
        (below.sub(&excess), Some(offsets.scale(-1.0)))
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

/// The label's lower bound less each other class's upper bound `[n, classes - 1]`, by intervals:
/// the margins of the worst logits, the last layer not merged (CGT).
pub(crate) fn worst_margins(pass: &Pass<'_>, intervals: &Intervals, rows: &Matrix) -> Matrix {
    let layers = pass.layers();
    let (layer, pair) = layers[layers.len() - 1];
    let logits = intervals.penultimate.through(layer, pair);
    let linear = Linear {
        coefficients: rows.clone(),
        constants: rows.sum_rows(),
    };
    linear.lowest(&logits)
}

/// Lower bounds of the margins by CROWN, with the neurons' bounds from intervals (CROWN-IBP).
pub(crate) fn crown_margins(pass: &Pass<'_>, intervals: &Intervals, rows: &Matrix) -> Matrix {
    let Linear {
        coefficients,
        mut constants,
    } = Linear::merged(pass, rows);
    let layers = pass.layers();
    let mut neurons = intervals.neurons.iter().rev();
    let before_last = layers[..layers.len() - 1].iter().copied();
    let coefficients = pass::back(before_last, coefficients, |layer, pair, rows: &Matrix| {
        let own = matches!(layer, Layer::Relu { .. })
            .then(|| neurons.next())
            .flatten();
        let (rows, term) = Linear::back(rows, layer, pair, own);
        if let Some(term) = term {
            constants = constants.add(&term);
        }
        rows
    });
    let linear = Linear {
        coefficients,
        constants,
    };
    linear.lowest(&intervals.input)
}

#[cfg(test)]
mod tests;
