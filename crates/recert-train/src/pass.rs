//! Networks on batches: images forward, with batch normalizations by a batch's statistics or by
//! the averaged ones.

use crate::network::{EPSILON, Layer, Network, Subsample};
use crate::tensor::{Matrix, Precision};
use crate::window::Window;

/// A network as a function of its weights, which may be tracked, with every batch normalization
/// fixed to a factor and a term of each channel.
pub(crate) struct Pass<'n> {
    pub(crate) network: &'n Network,
    /// As [`Network::parameters`].
    pub(crate) parameters: Vec<Matrix>,
    /// Of each batch normalization, factors and terms, `[1, channels]`.
    pub(crate) affines: Vec<[Matrix; 2]>,
    /// What each channel of the input is multiplied by, and what is then added.
    front: [Matrix; 2],
}

/// A pass whose batch normalizations are those of a batch, and what came of that batch.
pub(crate) struct Trained<'n> {
    pub(crate) pass: Pass<'n>,
    /// The logits of the batch.
    pub(crate) logits: Matrix,
    /// Of each batch normalization the batch's means and (unbiased) variances.
    pub(crate) statistics: Vec<Vec<f32>>,
}

/// A layer with its weights and bias, or with a batch normalization's factors and terms.
pub(crate) type Loaded<'p> = (&'p Layer, Option<[&'p Matrix; 2]>);

/// Values that residual blocks add.
pub(crate) trait Joined: Clone {
    /// The sum.
    fn joined(&self, other: &Self) -> Self;
}

impl Joined for Matrix {
    fn joined(&self, other: &Self) -> Self {
        self.add(other)
    }
}

/// Follows layers from what the first takes to what the last makes, by `step` for every layer that
/// is not the frame of a residual block.
pub(crate) fn forward<'l, P, T: Joined>(
    layers: impl Iterator<Item = (&'l Layer, P)>,
    start: T,
    mut step: impl FnMut(&'l Layer, P, &T) -> T,
) -> T {
    let mut kept: Vec<T> = Vec::new();
    layers.fold(start, |at, (layer, own)| match layer {
        Layer::Fork { .. } => {
            kept.push(at.clone());
            at
        }
        Layer::Shortcut { .. } => std::mem::replace(kept.last_mut().expect("a fork"), at),
        Layer::Add { .. } => at.joined(&kept.pop().expect("a fork")),
        _ => step(layer, own, &at),
    })
}

/// Follows layers back, from a row of coefficients of what the last makes to one of what the first
/// takes: where the way forward adds, both branches have the row, and where it forks, their rows
/// are added.
pub(crate) fn back<'l, P, T: Joined>(
    layers: impl DoubleEndedIterator<Item = (&'l Layer, P)>,
    start: T,
    mut step: impl FnMut(&'l Layer, P, &T) -> T,
) -> T {
    let mut kept: Vec<T> = Vec::new();
    layers.rev().fold(start, |at, (layer, own)| match layer {
        Layer::Add { .. } => {
            kept.push(at.clone());
            at
        }
        Layer::Shortcut { .. } => std::mem::replace(kept.last_mut().expect("a sum"), at),
        Layer::Fork { .. } => at.joined(&kept.pop().expect("a sum")),
        _ => step(layer, own, &at),
    })
}

/// The weights as matrices.
pub(crate) fn loaded(network: &Network, precision: Precision) -> Vec<Matrix> {
    let shapes = network.shapes();
    (network.parameters.iter().zip(shapes))
        .map(|(values, [_, columns])| Matrix::new(columns, values, precision))
        .collect()
}

impl<'n> Pass<'n> {
    /// With the averaged statistics.
    pub(crate) fn evaluating(network: &'n Network, parameters: Vec<Matrix>) -> Self {
        let mut pass = Self::begun(network, parameters);
        let precision = pass.front[0].precision();
        let mut statistics = network.statistics.chunks(2);
        let norms = pass.own().filter_map(|(layer, pair)| match layer {
            Layer::BatchNorm { .. } => pair,
            _ => None,
        });
        let affines = norms.map(|own| {
            let pair = statistics.next().expect("statistics of every layer");
            let read = |values: &[f32]| Matrix::new(values.len(), values, precision);
            affine(own, [&read(&pair[0]), &read(&pair[1])])
        });
        pass.affines = affines.collect();
        pass
    }

    /// With the statistics of `images`, pixels in [0, 1].
    pub(crate) fn training(
        network: &'n Network,
        parameters: Vec<Matrix>,
        images: &Matrix,
    ) -> Trained<'n> {
        let mut pass = Self::begun(network, parameters);
        let (mut statistics, mut affines) = (Vec::new(), Vec::new());
        let start = pass.normalized(images);
        let logits = forward(merged(pass.own()), start, |layer, (pair, relu), x| {
            let Layer::BatchNorm { channels, plane } = *layer else {
                return applied(layer, pair, relu, x);
            };
            let pair = pair.expect("weights of every batch normalization");
            let mean = x.mean_channels(channels);
            let centred = x.shift_channels(&mean.scale(-1.0));
            let variance = centred.mul(&centred).mean_channels(channels);
            let made = affine(pair, [&mean, &variance]);
            let count = (images.rows() * plane) as f32;
            let unbiased = count / (count - 1.0).max(1.0);
            let variance = variance.values().into_iter().map(|v| v * unbiased);
            statistics.extend([mean.values(), variance.collect()]);
            let x = x.affine_channels(&made[0], &made[1]);
            affines.push(made);
            x
        });
        pass.affines = affines;
        Trained {
            pass,
            logits,
            statistics,
        }
    }

    fn begun(network: &'n Network, parameters: Vec<Matrix>) -> Self {
        let precision = parameters[0].precision();
        let channels = network.image[0];
        let read = |values: &[f32]| Matrix::new(channels, values, precision);
        let factor = read(&vec![1.0; channels]).div(&read(&network.normalization.std));
        let term = read(&network.normalization.mean).mul(&factor).scale(-1.0);
        Self {
            network,
            parameters,
            affines: Vec::new(),
            front: [factor, term],
        }
    }

    /// The same function with constant weights.
    pub(crate) fn constant(&self) -> Self {
        Self {
            network: self.network,
            parameters: self.parameters.iter().map(Matrix::constant).collect(),
            affines: (self.affines.iter())
                .map(|pair| [pair[0].constant(), pair[1].constant()])
                .collect(),
            front: self.front.clone(),
        }
    }

    /// The layers, each with its own weights: a batch normalization with its scales and shifts.
    fn own(&self) -> impl Iterator<Item = Loaded<'_>> {
        let mut parameters = self.parameters.chunks(2);
        self.network.layers.iter().map(move |layer| {
            let pair = layer.shapes().and_then(|_| parameters.next());
            (layer, pair.map(|pair| [&pair[0], &pair[1]]))
        })
    }

    /// The layers, each with its weights.
    pub(crate) fn layers(&self) -> Vec<Loaded<'_>> {
        let mut affines = self.affines.iter();
        let layers = self.own().map(|(layer, own)| match layer {
            Layer::BatchNorm { .. } => {
                let pair = affines
                    .next()
                    .expect("an affine of every batch normalization");
                (layer, Some([&pair[0], &pair[1]]))
            }
            _ => (layer, own),
        });
        layers.collect()
    }

    /// Pixels in [0, 1] as the first layer takes them.
    pub(crate) fn normalized(&self, images: &Matrix) -> Matrix {
        let [factor, term] = &self.front;
        images.affine_channels(factor, term)
    }

    /// Distances of pixels as the first layer takes them.
    pub(crate) fn normalized_radius(&self, radius: &Matrix) -> Matrix {
        radius.scale_channels(&self.front[0])
    }

    /// The logits of images, pixels in [0, 1].
    pub(crate) fn logits(&self, images: &Matrix) -> Matrix {
        let start = self.normalized(images);
        through(self.layers().into_iter(), start)
    }
}

/// What layers make of values.
pub(crate) fn through<'l>(layers: impl Iterator<Item = Loaded<'l>>, values: Matrix) -> Matrix {
    forward(merged(layers), values, |layer, (pair, relu), x| {
        applied(layer, pair, relu, x)
    })
}

/// The layers with each ReLU merged into the convolution or the fully connected layer before it, as `true`.
fn merged<'l, P>(
    layers: impl Iterator<Item = (&'l Layer, P)>,
) -> impl Iterator<Item = (&'l Layer, (P, bool))> {
    let mut layers = layers.peekable();
    std::iter::from_fn(move || {
        let (layer, own) = layers.next()?;
        let takes = matches!(layer, Layer::Convolution(_) | Layer::Linear { .. });
        let is_relu = |next: &(&Layer, P)| matches!(next.0, Layer::Relu { .. });
        let relu = takes && layers.next_if(is_relu).is_some();
        Some((layer, (own, relu)))
    })
}

/// What a layer makes of values, with the ReLU behind it where it is merged.
pub(crate) fn applied(layer: &Layer, pair: Option<[&Matrix; 2]>, relu: bool, x: &Matrix) -> Matrix {
    match (layer, pair) {
        (Layer::Linear { .. }, Some([weights, bias])) => x.linear(weights, bias, relu),
        (Layer::Convolution(window), Some([weights, bias])) => {
            x.convolve_biased(weights, bias, *window, relu)
        }
        (Layer::BatchNorm { .. }, Some([factors, terms])) => x.affine_channels(factors, terms),
        (Layer::Relu { .. }, _) => x.relu(),
        (Layer::Mean { channels, plane }, _) => x.sum_planes(*channels).scale(1.0 / *plane as f64),
        (Layer::Subsample(subsample), _) => {
            let (window, weights) = chosen(subsample, x);
            x.convolve(&weights, window)
        }
        (layer, _) => unreachable!("{layer:?} has no weights or makes no value"),
    }
}

/// The convolution that a [`Layer::Subsample`] is, in the precision of a value.
pub(crate) fn chosen(subsample: &Subsample, like: &Matrix) -> (Window, Matrix) {
    let made = subsample.convolution();
    let (window, weights) = made.expect("the network's layers were checked");
    let weights = Matrix::new(window.patch(), &weights, like.precision());
    (window, weights)
}

/// A batch normalization as a factor and a term of each channel.
fn affine([scale, shift]: [&Matrix; 2], [mean, variance]: [&Matrix; 2]) -> [Matrix; 2] {
    let factor = scale.div(&variance.shift(f64::from(EPSILON)).sqrt());
    let term = shift.sub(&mean.mul(&factor));
    [factor, term]
}
