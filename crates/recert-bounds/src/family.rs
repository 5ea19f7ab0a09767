//! Families of networks: all whose weights differ from a network's by at most a step each.
//!
//! A certificate of a family holds for each of its members at once: for every rounding of the
//! weights to a coarser format, whichever rounding that is, as long as each weight stays within
//! the step. It says nothing about networks whose activations are quantized too: these compute
//! another function between the layers, and no choice of weights makes up for that.
//!
//! A layer of a member computes `W' x + b'` with `|W' - W| <= D` and `|b' - b| <= d`, elementwise.
//! For `|x| <= s` that differs from `W x + b` by at most `D s + d`, which is charged where the
//! rounding of the layer is charged already: in a forward pass it widens the layer's output, and in
//! a backward pass with coefficients `A` it costs `|A| (D s + d)`. The weights of different
//! layers, and of different rows, vary independently.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::step::{Kind, Linear, Spread};

/// The step that each weight of a family's members may be away from the network's.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Within {
    /// Half a step of symmetric int8 quantization, a scale for each output channel: the largest
    /// magnitude of a weight of the channel divided by 127. Biases stay as they are.
    Int8,
    /// The same with one scale for the whole layer.
    Int8Layer,
    /// Half a unit in the last place of bfloat16, 8 significant bits, at each weight and bias.
    Bf16,
    /// Half a unit in the last place of IEEE binary16, 11 significant bits, at each weight and
    /// bias.
    Fp16,
    /// This much, at each weight and bias.
    Absolute(f64),
}

/// What of a step of int8 is added for the rounding of scales and products to float32: more than
/// 127 times three units of roundoff of float32.
const FLOAT32_SHARE: f64 = 1.0 / 16384.0;

impl Within {
    /// The radius of each weight, given the layer's weights and the output channel of each.
    fn weight_radii(
        self,
        weights: &[f64],
        channels: usize,
        channel: &dyn Fn(usize) -> usize,
    ) -> Vec<f64> {
        let steps: Vec<f64> = match self {
            Self::Int8 => {
                let mut largest = vec![0.0_f64; channels];
                for (i, w) in weights.iter().enumerate() {
                    let largest = &mut largest[channel(i)];
                    *largest = largest.max(w.abs());
                }
                largest.into_iter().map(|w| w / 127.0).collect()
            }
            Self::Int8Layer => {
                let largest = weights.iter().fold(0.0_f64, |m, w| m.max(w.abs()));
                vec![largest / 127.0; channels]
            }
            _ => return weights.iter().map(|&w| self.float_radius(w)).collect(),
        };
        let radius = |i: usize| steps[channel(i)] * (0.5 + FLOAT32_SHARE);
        (0..weights.len()).map(radius).collect()
    }

    /// The radius of a weight or bias in a float format.
    fn float_radius(self, w: f64) -> f64 {
        match self {
            Self::Int8 | Self::Int8Layer => 0.0,
            Self::Bf16 => half_unit(w, 8, -126),
            Self::Fp16 => half_unit(w, 11, -14),
            Self::Absolute(radius) => radius,
        }
    }

    /// Weights or biases rounded to nearest on the step's grid.
    fn nearest(self, values: &[f64], radii: &[f64]) -> Vec<f64> {
        let round = |(&w, &radius): (&f64, &f64)| {
            if radius == 0.0 {
                return w;
            }
            let step = match self {
                Self::Int8 | Self::Int8Layer => radius / (0.5 + FLOAT32_SHARE),
                _ => 2.0 * radius,
            };
            (w / step).round_ties_even() * step
        };
        values.iter().zip(radii).map(round).collect()
    }
}

/// Half a unit in the last place of a format with this many significant bits, at `w`.
fn half_unit(w: f64, significant: i32, least_exponent: i32) -> f64 {
    if w == 0.0 {
        return 0.0;
    }
    let exponent = ((w.abs().to_bits() >> 52) as i32 - 1023).max(least_exponent);
    2.0_f64.powi(exponent - significant)
}

impl FromStr for Within {
    type Err = Error;

    /// `int8`, `int8-layer`, `bf16`, `fp16` or a number that is not negative.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "int8" => Ok(Self::Int8),
            "int8-layer" => Ok(Self::Int8Layer),
            "bf16" => Ok(Self::Bf16),
            "fp16" | "f16" => Ok(Self::Fp16),
            _ => match text.parse::<f64>() {
                Ok(radius) if radius >= 0.0 && radius.is_finite() => Ok(Self::Absolute(radius)),
                _ => Err(Error::new(
                    crate::ErrorKind::Syntax,
                    format!(
                        "`{text}` is no step of weights: int8, int8-layer, bf16, fp16, or a number \
                         that is not negative"
                    ),
                )),
            },
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int8 => f.write_str("int8"),
            Self::Int8Layer => f.write_str("int8-layer"),
            Self::Bf16 => f.write_str("bf16"),
            Self::Fp16 => f.write_str("fp16"),
            Self::Absolute(radius) => write!(f, "{radius}"),
        }
    }
}

impl Network {
    /// The family of all networks whose weights are within a step of this one's.
    ///
    /// Bounds of the result hold for each member. [`Network::evaluate`] and
    /// [`Network::gradient`] are those of this network. Weights and biases of `Conv`, `Gemm` and
    /// `MatMul` vary, and constants that a node of its own adds, as these may be biases; other
    /// constants of arithmetic and those of normalizations do not, as rewrites to 16 bits leave
    /// them.
    ///
    /// ```
    /// use recert_bounds::{Network, Region, Within, interval};
    /// use recert_graph::{Builder, Model};
    ///
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
    /// let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
    /// let family = network.within(Within::Bf16)?;
    /// let region = Region::linf(&vec![0.5; network.inputs()], 0.01)?;
    /// let of_one = interval(&network, &region)?;
    /// let of_all = interval(&family, &region)?;
    /// assert!(of_all.outputs(&family).0[0] < of_one.outputs(&network).0[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] where weights are not the file's but computed from these, by
    /// `alpha` or `beta` of a `Gemm` or by nodes of constants alone, and where the network is a family
    /// already.
    pub fn within(&self, within: Within) -> Result<Self> {
        self.with_layers(|linear| {
            let radius = radius(&linear, within);
            Linear::Spread(Box::new(Spread {
                centre: linear,
                radius,
            }))
        })
    }

    /// The member of [`Network::within`] whose weights are rounded to nearest, ties to even.
    ///
    /// # Errors
    ///
    /// As [`Network::within`].
    pub fn rounded(&self, within: Within) -> Result<Self> {
        self.with_layers(|mut linear| {
            let mut radius = radius(&linear, within);
            if let (Some(values), Some(radii)) = (linear.weights_mut(), radius.weights_mut()) {
                *values = within.nearest(values, radii);
            }
            if let Some(bias) = linear.bias_mut() {
                *bias = within.nearest(bias, radius.bias());
            }
            linear
        })
    }

    fn with_layers(&self, change: impl Fn(Linear) -> Linear) -> Result<Self> {
        if let Some(node) = &self.derived {
            return Err(Error::unsupported(format!(
                "node `{node}` has weights that are not the file's, but computed from these (by alpha \
                 or beta of a Gemm, or by nodes of constants alone): write a file that holds the \
                 weights themselves"
            )));
        }
        let mut network = self.clone();
        for step in &mut network.steps {
            if let Kind::Linear(linear) = &mut step.kind {
                if matches!(linear, Linear::Spread(_)) {
                    return Err(Error::unsupported("the network is a family already"));
                }
                if linear.bias_mut().is_some() {
                    *linear = change(linear.clone());
                }
            }
        }
        Ok(network)
    }
}

/// A layer of the radii of a layer's weights and biases.
fn radius(linear: &Linear, within: Within) -> Linear {
    let mut radius = linear.clone();
    if let Some(weights) = radius.weights_mut() {
        *weights = within.weight_radii(weights, linear.bias().len(), &|i| linear.channel(i));
    }
    if let Some(bias) = radius.bias_mut() {
        for bias in bias {
            *bias = within.float_radius(*bias);
        }
    }
    if let Linear::Affine(affine) = &mut radius {
        for zeros in [
            &mut affine.factor,
            &mut affine.factor_error,
            &mut affine.shift_error,
        ] {
            zeros.fill(0.0);
        }
    }
    radius
}

impl Linear {
    /// The weights that the file has for a layer; none for sums and normalizations.
    fn weights_mut(&mut self) -> Option<&mut Vec<f64>> {
        match self {
            Self::Dense(dense) => Some(&mut dense.weights),
            Self::Conv(conv) => Some(&mut conv.weights),
            Self::Depthwise(depthwise) if depthwise.of_file => Some(&mut depthwise.weights),
            _ => None,
        }
    }

    /// The biases, also those that are added by a node of their own.
    fn bias_mut(&mut self) -> Option<&mut Vec<f64>> {
        match self {
            Self::Dense(dense) => Some(&mut dense.bias),
            Self::Conv(conv) => Some(&mut conv.bias),
            Self::Depthwise(depthwise) if depthwise.of_file => Some(&mut depthwise.bias),
            Self::Affine(affine) => {
                let adds = affine.factor.iter().all(|factor| *factor == 1.0)
                    && affine.factor_error.iter().all(|error| *error == 0.0);
                adds.then_some(&mut affine.shift)
            }
            _ => None,
        }
    }

    /// The output channel of a weight, by its position.
    fn channel(&self, weight: usize) -> usize {
        match self {
            Self::Dense(dense) => weight / dense.inputs,
            Self::Conv(conv) => {
                let columns = conv.weights.len() / conv.window.output.channels;
                weight / columns
            }
            Self::Depthwise(depthwise) => weight % depthwise.window.output.channels,
            _ => 0,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
