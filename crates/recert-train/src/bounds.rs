//! Bounds of batches in fast arithmetic, with derivatives: the relaxations that `recert-bounds`
//! proves with, whose tests these are held to. Nothing here is rounded outward: what is proved
//! is proved by `recert-bounds` afterwards.

use crate::network::Layer;
use crate::pass::{self, Joined, Pass, applied};
use crate::tensor::{Matrix, Precision};

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
        if shrink == 1.0 {
            let [centre, radius] = self.centre.relu_on(&self.radius);
            return Self { centre, radius };
        }
        let [lower, upper] = self.ends();
        let ends = lower.values().into_iter().zip(upper.values());
        let unstable: Vec<f32> = ends
            .map(|(lower, upper)| f32::from(u8::from(lower < 0.0 && 0.0 < upper)))
            .collect();
        let unstable = Matrix::new(upper.columns(), &unstable, upper.precision());
        let above = upper.relu().mul(&unstable.scale(shrink - 1.0).shift(1.0));
        Self::between(&lower.relu(), &above)
    }

    /// What a layer makes of it.
    pub(crate) fn through(&self, layer: &Layer, pair: Option<[&Matrix; 2]>) -> Self {
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
            _ => applied(layer, pair, false, &self.radius),
        };
        Self {
            centre: applied(layer, pair, false, &self.centre),
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
pub(crate) struct Linear {
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
        let lowest = self.coefficients.lowest(&on.centre, &on.radius);
        lowest.add(&self.constants).reshaped(times)
    }

    /// Rows of what a layer takes from rows of what it makes, and what is added to the constants.
    pub(crate) fn back(
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
                let made = rows.convolve_transposed(weights, *window);
                (made, Some(rows.product_channels(bias)))
            }
            (Layer::BatchNorm { .. }, Some([factors, terms]), _) => {
                let made = rows.scale_channels(factors);
                (made, Some(rows.product_channels(terms)))
            }
            (Layer::Relu { .. }, _, Some(Interval { centre, radius })) => {
                let [made, offsets] = rows.relaxed(centre, radius);
                (made, Some(offsets))
            }
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
