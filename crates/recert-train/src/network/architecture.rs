//! The architectures of the literature.

use std::fmt;
use std::str::FromStr;

use super::{Layer, Subsample};
use crate::error::{Error, Result};
use crate::window::Window;

/// An architecture by its name in the literature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Fully connected layers of these widths, each with a ReLU after it: `fc-200-100`.
    FullyConnected(Vec<usize>),
    /// `cnn3`: two convolutions 4x4 of stride 2 with 16 and 32 channels, 100 neurons, classes.
    Cnn3,
    /// `cnn5`: four convolutions 3x3 of strides 1, 2, 1, 2 with 32, 32, 64, 64 channels, 512
    /// neurons, classes.
    Cnn5,
    /// `cnn7`, `cnn7-bn`: five convolutions 3x3 of 64, 64, 128 (stride 2), 128, 128 channels, 512
    /// neurons, classes (Gowal et al., Shi et al.); with batch normalization after every layer but
    /// the last where asked for.
    Cnn7 {
        /// Whether there is batch normalization.
        batch_norm: bool,
    },
    /// `cgt-mnist`: two convolutions 4x4 of stride 2 with 32 and 64 channels, 200 neurons, classes
    /// (Yang et al., ICLR 2023).
    CgtMnist,
    /// `resnet20`, `resnet20-b`, and its like of `6 blocks + 2` layers: a convolution 3x3 of 16
    /// channels, three stages of residual blocks with two convolutions 3x3 each, of 16, 32 and 64
    /// channels, the second and third stage from stride 2, the mean of every channel, classes; batch
    /// normalization after every convolution (He et al., CVPR 2016, for CIFAR-10).
    ResNet {
        /// Blocks a stage.
        blocks: usize,
        /// Whether shortcuts between stages are convolutions 1x1 (type B) in place of every second
        /// pixel and channels of zeros (type A).
        projection: bool,
    },
}

/// The output channels, extent and stride of a convolution.
type Convolution = (usize, usize, usize);

impl Architecture {
    /// The layers for images `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Network`] where images are too small for the convolutions.
    pub fn layers(&self, image: [usize; 3], classes: usize) -> Result<Vec<Layer>> {
        let cnn5: &[Convolution] = &[(32, 3, 1), (32, 3, 2), (64, 3, 1), (64, 3, 2)];
        let cnn7: &[Convolution] = &[
            (64, 3, 1),
            (64, 3, 1),
            (128, 3, 2),
            (128, 3, 1),
            (128, 3, 1),
        ];
        let (convolutions, widths, batch_norm): (&[Convolution], &[usize], bool) = match self {
            Self::ResNet { blocks, projection } => {
                return residual(image, classes, *blocks, *projection);
            }
            Self::FullyConnected(widths) => (&[], widths, false),
            Self::Cnn3 => (&[(16, 4, 2), (32, 4, 2)], &[100], false),
            Self::Cnn5 => (cnn5, &[512], false),
            Self::Cnn7 { batch_norm } => (cnn7, &[512], *batch_norm),
            Self::CgtMnist => (&[(32, 4, 2), (64, 4, 2)], &[200], false),
        };
        let mut layers = Vec::new();
        let mut shape = image;
        let normalized = |layers: &mut Vec<Layer>, channels, plane| {
            if batch_norm {
                layers.push(Layer::BatchNorm { channels, plane });
            }
            let neurons = channels * plane;
            layers.push(Layer::Relu { neurons });
        };
        for &(channels, kernel, stride) in convolutions {
            let window = Window::new(shape, channels, [kernel; 2], [stride; 2], [1; 4])?;
            layers.push(Layer::Convolution(window));
            shape = window.output();
            normalized(&mut layers, channels, window.positions());
        }
        let mut inputs = shape.iter().product();
        for &outputs in widths {
            layers.push(Layer::Linear { inputs, outputs });
            normalized(&mut layers, outputs, 1);
            inputs = outputs;
        }
        let outputs = classes;
        layers.push(Layer::Linear { inputs, outputs });
        Ok(layers)
    }
}

/// The layers of a residual network.
fn residual(
    image: [usize; 3],
    classes: usize,
    blocks: usize,
    projection: bool,
) -> Result<Vec<Layer>> {
    /// A convolution that keeps the extent, but for the stride, and its batch normalization.
    fn convolved(
        layers: &mut Vec<Layer>,
        shape: [usize; 3],
        (channels, kernel, stride): Convolution,
    ) -> Result<[usize; 3]> {
        let padding = [kernel / 2; 4];
        let window = Window::new(shape, channels, [kernel; 2], [stride; 2], padding)?;
        let plane = window.positions();
        layers.push(Layer::Convolution(window));
        layers.push(Layer::BatchNorm { channels, plane });
        Ok(window.output())
    }
    let relu = |shape: [usize; 3]| Layer::Relu {
        neurons: shape.iter().product(),
    };
    let mut layers = Vec::new();
    let mut shape = convolved(&mut layers, image, (16, 3, 1))?;
    layers.push(relu(shape));
    for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
        for block in 0..blocks {
            let start = shape;
            let elements = start.iter().product();
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            layers.push(Layer::Fork { elements });
            shape = convolved(&mut layers, start, (channels, 3, stride))?;
            layers.push(relu(shape));
            shape = convolved(&mut layers, shape, (channels, 3, 1))?;
            let body = shape.iter().product();
            if stride > 1 {
                layers.push(Layer::Shortcut {
                    body,
                    fork: elements,
                });
                if projection {
                    convolved(&mut layers, start, (channels, 1, stride))?;
                } else {
                    layers.push(Layer::Subsample(Subsample {
                        input: start,
                        stride: [stride; 2],
                        zeros: [(channels - start[0]) / 2; 2],
                    }));
                }
            }
            layers.push(Layer::Add { elements: body });
            layers.push(relu(shape));
        }
    }
    let [channels, height, width] = shape;
    let plane = height * width;
    layers.push(Layer::Mean { channels, plane });
    let (inputs, outputs) = (channels, classes);
    layers.push(Layer::Linear { inputs, outputs });
    Ok(layers)
}

impl FromStr for Architecture {
    type Err = Error;

    /// Reads a name, in capitals or not.
    fn from_str(given: &str) -> Result<Self> {
        let unknown = || {
            Error::setting(
                "architecture",
                format!(
                    "no architecture is called '{given}'; there are fc-WIDTH-.., cnn3, cnn5, cnn7, \
                     cnn7-bn, cgt-mnist, and resnetDEPTH and resnetDEPTH-b for a DEPTH of 8, 14, \
                     20, .. 1202"
                ),
            )
        };
        let text = given.to_ascii_lowercase();
        Ok(match &*text {
            "cnn3" => Self::Cnn3,
            "cnn5" => Self::Cnn5,
            "cnn7" => Self::Cnn7 { batch_norm: false },
            "cnn7-bn" => Self::Cnn7 { batch_norm: true },
            "cgt-mnist" => Self::CgtMnist,
            _ if text.starts_with("resnet") => {
                let depth = text.trim_start_matches("resnet");
                let (depth, projection) = match depth.strip_suffix("-b") {
                    Some(depth) => (depth, true),
                    None => (depth, false),
                };
                let layers = depth.parse::<usize>().map_err(|_| unknown())?;
                let blocks = layers.saturating_sub(2) / 6;
                if !(1..=200).contains(&blocks) || layers != 6 * blocks + 2 {
                    return Err(unknown());
                }
                Self::ResNet { blocks, projection }
            }
            _ => {
                let widths = text.strip_prefix("fc-").ok_or_else(unknown)?.split('-');
                let widths = widths.map(|width| match width.parse() {
                    Ok(width) if (1..=1 << 16).contains(&width) => Ok(width),
                    _ => Err(unknown()),
                });
                Self::FullyConnected(widths.collect::<Result<_>>()?)
            }
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FullyConnected(widths) => {
                f.write_str("fc")?;
                return widths.iter().try_for_each(|width| write!(f, "-{width}"));
            }
            Self::ResNet { blocks, projection } => {
                let end = if *projection { "-b" } else { "" };
                return write!(f, "resnet{}{end}", 6 * blocks + 2);
            }
            Self::Cnn3 => "cnn3",
            Self::Cnn5 => "cnn5",
            Self::Cnn7 { batch_norm: false } => "cnn7",
            Self::Cnn7 { batch_norm: true } => "cnn7-bn",
            Self::CgtMnist => "cgt-mnist",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_layers_fit() {
        let names = [
            "fc-200-100",
            "cnn3",
            "cnn5",
            "cnn7",
            "cnn7-bn",
            "cgt-mnist",
            "resnet8",
            "resnet20",
            "resnet20-b",
            "resnet1202",
        ];
        for name in names {
            let architecture: Architecture = name.parse().unwrap();
            assert_eq!(architecture.to_string(), name);
            for image in [[1, 28, 28], [3, 32, 32]] {
                let layers = architecture.layers(image, 10).unwrap();
                super::super::check_layers(image, &layers).unwrap();
            }
        }
        for name in [
            "",
            "fc-",
            "fc-0",
            "fc-12-x",
            "cnn4",
            "resnet",
            "resnet2",
            "resnet21",
            "resnet-b",
            "resnet20-c",
            "resnet1208",
        ] {
            let error = name.parse::<Architecture>().unwrap_err();
            assert_eq!(error.field(), Some("architecture"), "{name}");
        }
        assert!(Architecture::Cnn3.layers([1, 1, 1], 10).is_err());
        for (name, written) in [
            ("CNN7-BN", "cnn7-bn"),
            ("FC-20", "fc-20"),
            ("ResNet20-B", "resnet20-b"),
        ] {
            assert_eq!(name.parse::<Architecture>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn resnet20_has_the_published_numbers_of_layers_and_weights() {
        let count = |name: &str| {
            let architecture: Architecture = name.parse().unwrap();
            let layers = architecture.layers([3, 32, 32], 10).unwrap();
            let weights = layers.iter().filter(|layer| layer.is_weighted()).count();
            // Of weights as the literature counts them: convolutions have no bias.
            let sizes = layers.iter().filter_map(|layer| {
                let [[rows, columns], [_, bias]] = layer.shapes()?;
                let bias = if matches!(layer, Layer::Convolution(_)) {
                    0
                } else {
                    bias
                };
                Some(rows * columns + bias)
            });
            (weights, sizes.sum::<usize>())
        };
        // .27 million (He et al., table 6); 269,722 by PyTorch's count of this very network.
        assert_eq!(count("resnet20"), (20, 269_722));
        // Two convolutions 1x1 with their normalizations: 512 + 64 and 2048 + 128 more.
        assert_eq!(count("resnet20-b"), (22, 269_722 + 576 + 2_176));
        assert_eq!(count("resnet110"), (110, 1_727_962));
    }

    #[test]
    fn cgt_mnist_is_their_network() {
        // Yang et al.: conv 4x4 stride 2 (32), conv 4x4 stride 2 (64), 200, 10.
        let layers = Architecture::CgtMnist.layers([1, 28, 28], 10).unwrap();
        let made: Vec<usize> = layers.iter().map(Layer::outputs).collect();
        assert_eq!(
            made,
            [
                32 * 14 * 14,
                32 * 14 * 14,
                64 * 7 * 7,
                64 * 7 * 7,
                200,
                200,
                10
            ]
        );
    }
}
