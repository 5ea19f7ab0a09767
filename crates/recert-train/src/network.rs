//! Networks as lists of layers, and their weights.
//!
//! Residual blocks are in the list, too: [`Layer::Fork`] keeps a value, [`Layer::Add`] adds it, and
//! [`Layer::Shortcut`] between them lets both branches have layers. Weights stay a list in the order
//! of the layers, and what follows the layers (`pass::forward`, `pass::back`) a loop.

mod architecture;
mod export;
mod import;

use recert_noise::{NoiseKey, Stream};

use crate::error::{Error, ErrorKind, Result};
use crate::pass::{Pass, loaded};
use crate::tensor::{Matrix, Precision};
use crate::window::Window;

pub use architecture::Architecture;

/// The number of the image whose noise initial weights are drawn from: no data set has so many.
const INITIAL: u32 = u32::MAX;

/// What is added to variances, as in PyTorch.
pub(crate) const EPSILON: f32 = 1e-5;

/// The most channels that a [`Subsample`] makes.
const MOST_CHANNELS: usize = 1 << 16;

/// A layer of a network. Of these, a residual block is what lies between a [`Layer::Fork`] and its
/// [`Layer::Add`]:
///
/// ```
/// use recert_train::{Initialization, Layer, Network, Normalization};
///
/// // relu(W x) + V x, and then two classes.
/// let linear = |inputs, outputs| Layer::Linear { inputs, outputs };
/// let layers = vec![
///     Layer::Fork { elements: 4 },
///     linear(4, 5),
///     Layer::Relu { neurons: 5 },
///     Layer::Shortcut { body: 5, fork: 4 },
///     linear(4, 5),
///     Layer::Add { elements: 5 },
///     linear(5, 2),
/// ];
/// let normalization = Normalization { mean: vec![0.5], std: vec![0.5] };
/// let network = Network::new([1, 2, 2], layers, normalization, Initialization::He, 1)?;
/// assert_eq!(network.logits(&[0.25; 4])?.len(), 2);
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// `W x + b`: weights `[outputs, inputs]`, bias `[outputs]`.
    Linear {
        /// The number of inputs.
        inputs: usize,
        /// The number of outputs.
        outputs: usize,
    },
    /// A convolution with a bias of every output channel.
    Convolution(Window),
    /// Normalization of every channel by its mean and variance over a batch, then a scale and a
    /// shift.
    BatchNorm {
        /// The number of channels.
        channels: usize,
        /// The number of elements of a channel; 1 after a linear layer.
        plane: usize,
    },
    /// `max(x, 0)`.
    Relu {
        /// The number of elements.
        neurons: usize,
    },
    /// The mean of every channel (global average pooling).
    Mean {
        /// The number of channels.
        channels: usize,
        /// The number of elements of a channel.
        plane: usize,
    },
    /// Some pixels of each channel, with channels of zeros before and after: the shortcut without
    /// weights, type A of He et al. (CVPR 2016).
    Subsample(Subsample),
    /// A residual block begins: the value before it is kept for the [`Layer::Add`] that ends the
    /// block. Blocks may be within blocks.
    Fork {
        /// The number of elements.
        elements: usize,
    },
    /// The shortcut of a block begins, where it has layers of its own: it goes on from the value
    /// kept at the fork, and the value before it is kept in its place.
    Shortcut {
        /// The number of elements that the block's other layers make.
        body: usize,
        /// The number of elements at the fork.
        fork: usize,
    },
    /// A residual block ends: the value that was kept is added.
    Add {
        /// The number of elements.
        elements: usize,
    },
}

/// Pixels of images at the steps of `stride`, and channels of zeros around theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsample {
    /// Channels, height and width of what is taken.
    pub input: [usize; 3],
    /// Steps down and to the right, from the first pixel on.
    pub stride: [usize; 2],
    /// Channels of zeros before and after the input's.
    pub zeros: [usize; 2],
}

impl Subsample {
    /// Channels, height and width of what is made.
    pub fn output(&self) -> [usize; 3] {
        let [channels, height, width] = self.input;
        let [down, right] = self.stride.map(|step| step.max(1));
        let [before, after] = self.zeros;
        [
            channels.saturating_add(before).saturating_add(after),
            height.div_ceil(down),
            width.div_ceil(right),
        ]
    }

    /// The same as a convolution by ones and zeros, `[channels made, channels taken]`.
    pub(crate) fn convolution(&self) -> Result<(Window, Vec<f32>)> {
        let ([channels, ..], [made, ..]) = (self.input, self.output());
        let window = Window::new(self.input, made, [1; 2], self.stride, [0; 4])?;
        if made > MOST_CHANNELS {
            return Err(Error::network(format!("{made} channels are too many")));
        }
        let mut weights = vec![0.0; made * channels];
        for channel in 0..channels {
            weights[(self.zeros[0] + channel) * channels + channel] = 1.0;
        }
        Ok((window, weights))
    }
}

impl Layer {
    /// Elements taken.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Linear { inputs, .. } => *inputs,
            Self::Convolution(window) => window.inputs(),
            Self::BatchNorm { channels, plane } | Self::Mean { channels, plane } => {
                channels * plane
            }
            Self::Relu { neurons } => *neurons,
            Self::Subsample(subsample) => subsample.input.iter().product(),
            Self::Fork { elements } | Self::Add { elements } => *elements,
            Self::Shortcut { body, .. } => *body,
        }
    }

    /// Elements made.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Linear { outputs, .. } => *outputs,
            Self::Convolution(window) => window.outputs(),
            Self::Mean { channels, .. } => *channels,
            Self::Subsample(subsample) => subsample.output().iter().product(),
            Self::Shortcut { fork, .. } => *fork,
            _ => self.inputs(),
        }
    }

    /// Rows and columns of the weights (a batch normalization's scales) and of the bias (its
    /// shifts), where there are any.
    pub(crate) fn shapes(&self) -> Option<[[usize; 2]; 2]> {
        Some(match *self {
            Self::Linear { inputs, outputs } => [[outputs, inputs], [1, outputs]],
            Self::Convolution(window) => {
                let channels = window.output()[0];
                [[channels, window.patch()], [1, channels]]
            }
            Self::BatchNorm { channels, .. } => [[1, channels]; 2],
            _ => return None,
        })
    }

    /// Whether the layer is linear and has weights of every input.
    pub(crate) fn is_weighted(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Convolution(_))
    }
}

/// How images are normalized before the first layer: `(x - mean) / std` of every channel, in units
/// of pixels in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// The means, one a channel.
    pub mean: Vec<f32>,
    /// The standard deviations, one a channel, all above 0; see [`Normalization::check`].
    pub std: Vec<f32>,
}

/// The largest mean, to either side, and the least standard deviation, in units of pixels in [0, 1].
const MOST_MEAN: f32 = 1e4;
const LEAST_STD: f32 = 1e-6;

impl Normalization {
    /// Checks that all numbers are in their ranges, whatever the channels: means are at most 10,000 in size, deviations
    /// at least 1e-6, and all are finite.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Setting`] with the field and the number.
    ///
    /// ```
    /// use recert_train::Normalization;
    ///
    /// let wrong = Normalization { mean: vec![0.1307], std: vec![0.0] };
    /// let error = wrong.check().unwrap_err();
    /// assert_eq!(error.field(), Some("std"));
    /// assert_eq!(error.to_string(), "0 is no finite number of at least 1e-6");
    /// ```
    pub fn check(&self) -> Result<()> {
        let means = -MOST_MEAN..=MOST_MEAN;
        if let Some(mean) = (self.mean.iter()).find(|mean| !means.contains(*mean)) {
            let text = format!("{mean} is not from -{MOST_MEAN} to {MOST_MEAN}");
            return Err(Error::setting("mean", text));
        }
        let usable = |std: &f32| std.is_finite() && *std >= LEAST_STD;
        if let Some(std) = (self.std.iter()).find(|&std| !usable(std)) {
            let text = format!("{std} is no finite number of at least {LEAST_STD:e}");
            return Err(Error::setting("std", text));
        }
        Ok(())
    }
}

/// How weights begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initialization {
    /// Normal with variance `2 / fan_in` (He et al., ICCV 2015).
    He,
    /// Normal with variance `2 pi / fan_in^2` in all but the last layer, so that intervals
    /// neither grow nor shrink from layer to layer (Shi et al., NeurIPS 2021).
    Interval,
}

/// A network under training: layers one after the other, with residual blocks among them, their
/// weights in float32, and the normalization of its input. It takes pixels in [0, 1].
///
/// ```
/// use recert_train::{Architecture, Initialization, Network, Normalization};
///
/// let normalization = Normalization { mean: vec![0.1307], std: vec![0.3081] };
/// let layers = Architecture::Cnn3.layers([1, 28, 28], 10)?;
/// let network = Network::new([1, 28, 28], layers, normalization, Initialization::He, 42)?;
/// assert_eq!(network.classes(), 10);
/// println!("{} weights", network.size());
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub(crate) image: [usize; 3],
    pub(crate) layers: Vec<Layer>,
    pub(crate) normalization: Normalization,
    /// Of each layer with any, in order: weights, then bias.
    pub(crate) parameters: Vec<Vec<f32>>,
    /// Of each batch normalization: means, then variances, as averaged over batches.
    pub(crate) statistics: Vec<Vec<f32>>,
}

impl Network {
    /// A network of images `[channels, height, width]` with random weights, a function of `seed`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Network`] where layers do not fit one another or the images, or where
    /// the last is not [`Layer::Linear`]; [`crate::ErrorKind::Setting`] where there are not as
    /// many means and standard deviations as channels, or where one is out of range.
    pub fn new(
        image: [usize; 3],
        layers: Vec<Layer>,
        normalization: Normalization,
        initialization: Initialization,
        seed: u64,
    ) -> Result<Self> {
        check_layers(image, &layers)?;
        check_normalization(image[0], &normalization)?;
        let key = NoiseKey::new(seed);
        let last = layers.len() - 1;
        let mut parameters = Vec::new();
        let mut statistics = Vec::new();
        for (position, layer) in layers.iter().enumerate() {
            let Some([[rows, columns], [_, outputs]]) = layer.shapes() else {
                continue;
            };
            let mut weights = vec![1.0; rows * columns];
            if layer.is_weighted() {
                let fan_in = columns as f64;
                let variance = match initialization {
                    Initialization::Interval if position < last => {
                        2.0 * std::f64::consts::PI / (fan_in * fan_in)
                    }
                    _ => 2.0 / fan_in,
                };
                key.fill(Stream::Train, INITIAL, position as u32, &mut weights);
                let deviation = variance.sqrt() as f32;
                for weight in &mut weights {
                    *weight *= deviation;
                }
            } else {
                statistics.extend([vec![0.0; outputs], vec![1.0; outputs]]);
            }
            parameters.extend([weights, vec![0.0; outputs]]);
        }
        Ok(Self {
            image,
            layers,
            normalization,
            parameters,
            statistics,
        })
    }

    /// Channels, height and width of images.
    pub fn image(&self) -> [usize; 3] {
        self.image
    }

    /// What is done to pixels before the first layer.
    pub fn normalization(&self) -> &Normalization {
        &self.normalization
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// The number of weights, biases included.
    pub fn size(&self) -> usize {
        self.parameters.iter().map(Vec::len).sum()
    }

    /// The logits of images, pixels in [0, 1], one after the other, with the averaged statistics.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Data`] where these are no whole number of images.
    ///
    /// ```
    /// use recert_train::{Initialization, Layer, Network, Normalization};
    ///
    /// let normalization = Normalization { mean: vec![0.5], std: vec![0.5] };
    /// let layers = vec![Layer::Linear { inputs: 4, outputs: 2 }];
    /// let network = Network::new([1, 2, 2], layers, normalization, Initialization::He, 1)?;
    /// assert_eq!(network.logits(&[0.5; 12])?.len(), 3 * 2);
    /// # Ok::<(), recert_train::Error>(())
    /// ```
    pub fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        let columns = self.image.iter().product();
        if pixels.is_empty() || !pixels.len().is_multiple_of(columns) {
            let text = format!("{} pixels are no images of {:?}", pixels.len(), self.image);
            return Err(Error::new(ErrorKind::Data, text));
        }
        let pass = Pass::evaluating(self, loaded(self, Precision::Single));
        Ok(pass
            .logits(&Matrix::new(columns, pixels, Precision::Single))
            .values())
    }

    /// The number of neurons: elements before all ReLUs.
    pub fn neurons(&self) -> usize {
        let neurons = self.layers.iter().map(|layer| match layer {
            Layer::Relu { neurons } => *neurons,
            _ => 0,
        });
        neurons.sum()
    }

    /// The weights and biases, layer after layer: first the weights, row by row, then the bias.
    pub fn parameters(&self) -> &[Vec<f32>] {
        &self.parameters
    }

    /// Of each batch normalization the means and then the variances by which it normalizes
    /// outside of training.
    pub fn statistics(&self) -> &[Vec<f32>] {
        &self.statistics
    }

    /// Whether there is a batch normalization.
    pub fn has_batch_norm(&self) -> bool {
        !self.statistics.is_empty()
    }

    /// Rows and columns of each of [`Network::parameters`].
    pub(crate) fn shapes(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        self.layers.iter().filter_map(Layer::shapes).flatten()
    }

    /// Whether each of [`Network::parameters`] is the weights of a linear layer or convolution.
    pub(crate) fn weighted(&self) -> impl Iterator<Item = bool> + '_ {
        let layers = (self.layers.iter()).filter(|layer| layer.shapes().is_some());
        layers.flat_map(|layer| [layer.is_weighted(), false])
    }
}

fn check_layers(image: [usize; 3], layers: &[Layer]) -> Result<()> {
    let mut extent: usize = image.iter().product();
    // What is kept at the forks that are open, and whether their shortcuts have begun.
    let mut kept: Vec<(usize, bool)> = Vec::new();
    for (position, layer) in layers.iter().enumerate() {
        if layer.inputs() != extent || extent == 0 {
            return Err(Error::network(format!(
                "layer {position}, {layer:?}, takes {} elements, and the one before makes {extent}",
                layer.inputs()
            )));
        }
        let refused = |why: &str| {
            let text = format!("layer {position}, {layer:?}: {why}");
            Err(Error::network(text))
        };
        match *layer {
            Layer::Subsample(subsample) => drop(subsample.convolution()?),
            Layer::Fork { elements } => kept.push((elements, false)),
            Layer::Shortcut { body, fork } => match kept.last_mut() {
                Some(open) if *open == (fork, false) => *open = (body, true),
                _ => return refused("it is in no block of which this many elements are kept"),
            },
            Layer::Add { elements } => match kept.pop() {
                Some((other, _)) if other == elements => {}
                _ => return refused("it ends no block of which this many elements are kept"),
            },
            _ => {}
        }
        extent = layer.outputs();
    }
    if !kept.is_empty() {
        return Err(Error::network("a residual block does not end"));
    }
    match layers.last() {
        Some(Layer::Linear { outputs, .. }) if *outputs >= 2 => Ok(()),
        _ => Err(Error::network(
            "the last layer is not fully connected with two classes or more",
        )),
    }
}

fn check_normalization(channels: usize, normalization: &Normalization) -> Result<()> {
    let Normalization { mean, std } = normalization;
    for (field, numbers) in [("mean", mean), ("std", std)] {
        if numbers.len() != channels {
            return Err(Error::setting(
                field,
                format!(
                    "{} numbers for images of {channels} channels",
                    numbers.len()
                ),
            ));
        }
    }
    normalization.check()
}
