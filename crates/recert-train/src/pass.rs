//! Networks on batches: images forward, with batch normalizations by a batch's statistics or by
//! the averaged ones.

use crate::network::{EPSILON, Layer, Network};
use crate::tensor::{Matrix, Precision};

/// A network as a function of its weights, which may be tracked, with every batch normalization
/// fixed to a factor and a term of each channel.
pub(crate) struct Pass<'n> {
    pub(crate) network: &'n Network,
    /// As [`Network::parameters`].
    pub(crate) parameters: Vec<Matrix>,
    /// Of each batch normalization, factors and terms, `[1, channels]`.
    pub(crate) affines: Vec<[Matrix; 2]>,
    /// The mean taken off each channel of the input, and what it is then multiplied by.
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
        let affines = pass.batch_norms().map(|[scale, shift]| {
            let pair = statistics.next().expect("statistics of every layer");
            let read = |values: &[f32]| Matrix::new(values.len(), values, precision);
            affine([scale, shift], [&read(&pair[0]), &read(&pair[1])])
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
        let mut statistics = Vec::new();
        let mut x = pass.normalized(images);
        let mut parameters = pass.parameters.chunks(2);
        for layer in &network.layers {
            let Layer::BatchNorm { channels, plane } = *layer else {
                let pair = layer.shapes().and_then(|_| parameters.next());
                x = applied(layer, pair.map(|pair| [&pair[0], &pair[1]]), &x);
                continue;
            };
            let pair = parameters.next().expect("weights of every layer");
            let mean = x.mean_channels(channels);
            let centred = x.shift_channels(&mean.scale(-1.0));
            let variance = centred.mul(&centred).mean_channels(channels);
            let made = affine([&pair[0], &pair[1]], [&mean, &variance]);
            x = x.scale_channels(&made[0]).shift_channels(&made[1]);
            let count = (images.rows() * plane) as f32;
            let unbiased = count / (count - 1.0).max(1.0);
            let variance = variance.values().into_iter().map(|v| v * unbiased);
            statistics.extend([mean.values(), variance.collect()]);
            pass.affines.push(made);
        }
        Trained {
            pass,
            logits: x,
            statistics,
        }
    }

    fn begun(network: &'n Network, parameters: Vec<Matrix>) -> Self {
        let precision = parameters[0].precision();
        let channels = network.image[0];
        let read = |values: &[f32]| Matrix::new(channels, values, precision);
        let mean = read(&network.normalization.mean).scale(-1.0);
        let factor = read(&vec![1.0; channels]).div(&read(&network.normalization.std));
        Self {
            network,
            parameters,
            affines: Vec::new(),
            front: [mean, factor],
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

    /// Scales and shifts of all batch normalizations.
    fn batch_norms(&self) -> impl Iterator<Item = [&Matrix; 2]> {
        let weighted = (self.network.layers.iter()).filter(|layer| layer.shapes().is_some());
        let pairs = weighted.zip(self.parameters.chunks(2));
        pairs.filter_map(|(layer, pair)| match layer {
            Layer::BatchNorm { .. } => Some([&pair[0], &pair[1]]),
            _ => None,
        })
    }

    /// The layers, each with its weights.
    pub(crate) fn layers(&self) -> Vec<Loaded<'_>> {
        let mut parameters = self.parameters.chunks(2);
        let mut affines = self.affines.iter();
        let layers = self.network.layers.iter().map(|layer| {
            let own = layer.shapes().and_then(|_| parameters.next());
            let pair = match layer {
                Layer::BatchNorm { .. } => affines.next().map(|pair| &pair[..]),
                _ => own,
            };
            (layer, pair.map(|pair| [&pair[0], &pair[1]]))
        });
        layers.collect()
    }

    /// Pixels in [0, 1] as the first layer takes them.
    pub(crate) fn normalized(&self, images: &Matrix) -> Matrix {
        let [mean, factor] = &self.front;
        images.shift_channels(mean).scale_channels(factor)
    }

    /// Distances of pixels as the first layer takes them.
    pub(crate) fn normalized_radius(&self, radius: &Matrix) -> Matrix {
        radius.scale_channels(&self.front[1])
    }

    /// The logits of images, pixels in [0, 1].
    pub(crate) fn logits(&self, images: &Matrix) -> Matrix {
        let start = self.normalized(images);
        let layers = self.layers().into_iter();
        layers.fold(start, |x, (layer, pair)| applied(layer, pair, &x))
    }
}

/// What a layer makes of values.
pub(crate) fn applied(layer: &Layer, pair: Option<[&Matrix; 2]>, x: &Matrix) -> Matrix {
    match (layer, pair) {
        (Layer::Linear { .. }, Some([weights, bias])) => x.product_transposed(weights).add(bias),
        (Layer::Convolution(window), Some([weights, bias])) => {
            x.convolve(weights, *window).shift_channels(bias)
        }
        (Layer::BatchNorm { .. }, Some([factors, terms])) => {
            x.scale_channels(factors).shift_channels(terms)
        }
        (Layer::Relu { .. }, _) => x.relu(),
        (layer, None) => unreachable!("{layer:?} without weights"),
    }
}

/// A batch normalization as a factor and a term of each channel.
fn affine([scale, shift]: [&Matrix; 2], [mean, variance]: [&Matrix; 2]) -> [Matrix; 2] {
    let factor = scale.div(&variance.shift(f64::from(EPSILON)).sqrt());
    let term = shift.sub(&mean.mul(&factor));
    [factor, term]
}
