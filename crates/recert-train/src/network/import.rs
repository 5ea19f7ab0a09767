//! Networks from ONNX: the layers and weights of a file, to be trained further.

mod order;

use recert_graph::{
    AxisSlice, Binary, Builder, Graph, Model, Node, Op, PadMode, Reduction, Unary, ValueId,
};

use super::{EPSILON, Layer, Network, Normalization, Subsample, check_layers, check_normalization};
use crate::error::{Error, ErrorKind, Result};
use crate::window::Window;
use order::{Item, ordered};

impl Network {
    /// The layers and weights of an ONNX file that takes images `[channels, height, width]`:
    /// perhaps a normalization by channels, then convolutions, fully connected layers, batch
    /// normalizations, ReLUs and means of channels one after the other, and residual blocks of these
    /// that are added, the shortcut perhaps by a slice of pixels and padding of channels.
    ///
    /// Where the file normalizes nothing, `normalization` is in front of it: that of the pixels
    /// which the file is used with. Where both do, the file's comes second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`] where the file is no image classifier or has another structure, with
    /// the node's name; as [`Network::new`].
    pub fn from_model(
        model: &Model,
        image: [usize; 3],
        normalization: Normalization,
    ) -> Result<Self> {
        check_normalization(image[0], &normalization)?;
        let read = |error: recert_graph::Error| {
            Error::new(ErrorKind::Network, error.to_string()).with_source(error)
        };
        let signature = model.signature().map_err(read)?;
        let output = signature.output.name.as_str();
        let graph = Builder::new(model)
            .outputs(&[output])
            .build()
            .map_err(read)?;
        let mut reader = Reader {
            graph: &graph,
            mean: normalization.mean.iter().map(|&x| x.into()).collect(),
            std: normalization.std.iter().map(|&x| x.into()).collect(),
            network: Network {
                image,
                layers: Vec::new(),
                normalization,
                parameters: Vec::new(),
                statistics: Vec::new(),
            },
        };
        reader.input()?;
        reader.nodes()?;
        let mut network = reader.network;
        network.normalization = Normalization {
            mean: reader.mean.iter().map(|&x| x as f32).collect(),
            std: reader.std.iter().map(|&x| x as f32).collect(),
        };
        check_normalization(image[0], &network.normalization)?;
        check_layers(image, &network.layers)?;
        let mut numbers = network
            .parameters
            .iter()
            .chain(&network.statistics)
            .flatten();
        if !numbers.all(|number| number.is_finite()) {
            return Err(Error::network("a weight of the file is not finite"));
        }
        Ok(network)
    }
}

struct Reader<'a> {
    graph: &'a Graph,
    mean: Vec<f64>,
    std: Vec<f64>,
    network: Network,
}

fn refused(node: &Node, why: &str) -> Error {
    Error::network(format!(
        "node '{}' ({}): {why}; what is trained is a chain of convolutions, fully connected \
         layers, batch normalizations and ReLUs, and residual blocks of them",
        node.name,
        node.op.name()
    ))
}

impl Reader<'_> {
    fn input(&self) -> Result<()> {
        let &[input] = self.graph.inputs() else {
            return Err(Error::network("the network has more than one input"));
        };
        let shape = self.graph.value(input).shape.at(1);
        let count: usize = self.network.image.iter().product();
        let fits = match shape[..] {
            [1, channels, height, width] => [channels, height, width] == self.network.image,
            [1, elements] => elements == count,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(Error::network(format!(
            "the network takes {shape:?}, which are not images of {:?} (channels, height, width)",
            self.network.image
        )))
    }

    /// Reads the layers from the input to the output.
    fn nodes(&mut self) -> Result<()> {
        for item in ordered(self.graph)? {
            let layer = match item {
                Item::Node(node, taken) => {
                    self.node(node, taken)?;
                    continue;
                }
                Item::Fork(value) => Layer::Fork {
                    elements: self.elements(value),
                },
                Item::Shortcut(body, fork) => Layer::Shortcut {
                    body: self.elements(body),
                    fork: self.elements(fork),
                },
                Item::Add(value) => Layer::Add {
                    elements: self.elements(value),
                },
            };
            self.network.layers.push(layer);
        }
        Ok(())
    }

    /// The number of elements of a value for one image.
    fn elements(&self, value: ValueId) -> usize {
        self.graph.value(value).shape.at(1).iter().product()
    }

    /// Channels, height and width of a value.
    fn planes(&self, node: &Node, value: ValueId) -> Result<[usize; 3]> {
        match self.graph.value(value).shape.at(1)[..] {
            [1, channels, height, width] => Ok([channels, height, width]),
            _ => Err(refused(node, "it does not take images")),
        }
    }

    fn constant(&self, node: &Node, position: usize) -> Result<Vec<f32>> {
        let found = (node.input(position)).and_then(|id| self.graph.constant(id)?.to_f32());
        found.ok_or_else(|| refused(node, "its weights are not constants of float32"))
    }

    /// The input at a position, or zeros where it is left out.
    fn bias(&self, node: &Node, position: usize, outputs: usize) -> Result<Vec<f32>> {
        if node.input(position).is_none() {
            return Ok(vec![0.0; outputs]);
        }
        let bias = self.constant(node, position)?;
        match bias.len() {
            1 => Ok(vec![bias[0]; outputs]),
            length if length == outputs => Ok(bias),
            _ => Err(refused(node, "its bias has another length than its output")),
        }
    }

    fn push(&mut self, layer: Layer, weights: Vec<f32>, bias: Vec<f32>) {
        self.network.layers.push(layer);
        self.network.parameters.extend([weights, bias]);
    }

    fn node(&mut self, node: &Node, at: ValueId) -> Result<()> {
        let neurons = self.elements(at);
        match &node.op {
            Op::Identity => Ok(()),
            Op::Reshape => {
                // Two images stay two; where a file takes one alone, it stays one.
                let images = |id: ValueId| self.graph.value(id).shape.at(2).first().copied();
                if images(node.output()) == images(at) {
                    return Ok(());
                }
                Err(refused(node, "it mixes the images of a batch"))
            }
            Op::Unary(Unary::Relu) => {
                self.network.layers.push(Layer::Relu { neurons });
                Ok(())
            }
            Op::Conv { window, group: 1 } if window.dilations.iter().all(|&step| step == 1) => {
                let input = self.graph.value(at).shape.at(1);
                let weights = self.constant(node, 1)?;
                let ([1, c, h, w], [height, width]) = (&input[..], &window.kernel[..]) else {
                    return Err(refused(node, "it is not a convolution of images"));
                };
                let outputs = weights.len() / (c * height * width);
                let padding = [&window.before[..], &window.after[..]].concat();
                let made = Window::new(
                    [*c, *h, *w],
                    outputs,
                    [*height, *width],
                    [window.strides[0], window.strides[1]],
                    [padding[0], padding[1], padding[2], padding[3]],
                )?;
                if made.output()[1..] != window.output[..] {
                    return Err(refused(node, "its output is larger than its windows"));
                }
                let bias = self.bias(node, 2, outputs)?;
                self.push(Layer::Convolution(made), weights, bias);
                Ok(())
            }
            Op::Gemm {
                alpha: 1.0,
                beta: 1.0,
                trans_a: false,
                trans_b,
            } if node.input(0) == Some(at) => self.linear(node, neurons, *trans_b),
            Op::MatMul if node.input(0) == Some(at) => self.linear(node, neurons, false),
            Op::BatchNormalization { epsilon } => self.batch_norm(node, neurons, *epsilon),
            Op::Binary(op) => self.constants(node, *op, at),
            Op::GlobalAveragePool => self.mean(node, at),
            Op::Reduce {
                reduction: Reduction::Mean,
                axes,
                ..
            } if axes[..] == [2, 3] => self.mean(node, at),
            Op::Slice(parts) => self.slice(node, parts, at),
            Op::Pad {
                mode: PadMode::Constant(0.0),
                pads,
            } => self.pad(node, pads, at),
            _ => Err(refused(node, "it is none of the layers that are trained")),
        }
    }

    fn mean(&mut self, node: &Node, at: ValueId) -> Result<()> {
        let [channels, height, width] = self.planes(node, at)?;
        let plane = height * width;
        self.network.layers.push(Layer::Mean { channels, plane });
        Ok(())
    }

    /// Steps along rows and columns, from the first pixel to the last.
    fn slice(&mut self, node: &Node, parts: &[AxisSlice], at: ValueId) -> Result<()> {
        let input = self.planes(node, at)?;
        let mut stride = [1; 2];
        for part in parts {
            let extent = self.graph.value(at).shape.at(1)[part.axis];
            let whole = part.start == 0 && part.step > 0;
            let step = part.step.unsigned_abs();
            match part.axis {
                2 | 3 if whole && part.count == extent.div_ceil(step) => {
                    // A longer step takes the first alone, too.
                    stride[part.axis - 2] = step.min(extent.max(1));
                }
                _ if whole && (part.step, part.count) == (1, extent) => {}
                _ => return Err(refused(node, "it takes other than every n-th pixel")),
            }
        }
        let zeros = [0; 2];
        self.subsample(Subsample {
            input,
            stride,
            zeros,
        });
        Ok(())
    }

    /// Channels of zeros.
    fn pad(&mut self, node: &Node, pads: &[[i64; 2]], at: ValueId) -> Result<()> {
        let input = self.planes(node, at)?;
        let &[batch, channels, rows, columns] = pads else {
            return Err(refused(node, "it does not take images"));
        };
        let zeros = channels.map(usize::try_from);
        let (&[Ok(before), Ok(after)], true) = (&zeros, [batch, rows, columns] == [[0, 0]; 3])
        else {
            return Err(refused(node, "it pads other than channels"));
        };
        self.subsample(Subsample {
            input,
            stride: [1; 2],
            zeros: [before, after],
        });
        Ok(())
    }

    /// Adds a layer, as a part of the one before where that is of its kind.
    fn subsample(&mut self, next: Subsample) {
        if let Some(Layer::Subsample(last)) = self.network.layers.last_mut() {
            for axis in 0..2 {
                // Every n-th of every m-th pixel.
                last.stride[axis] *= next.stride[axis];
                last.zeros[axis] += next.zeros[axis];
            }
            return;
        }
        self.network.layers.push(Layer::Subsample(next));
    }

    fn linear(&mut self, node: &Node, inputs: usize, transposed: bool) -> Result<()> {
        let mut weights = self.constant(node, 1)?;
        let outputs = weights.len() / inputs;
        if outputs * inputs != weights.len() {
            return Err(refused(node, "its weights do not fit its input"));
        }
        if !transposed {
            let at = |position| weights[position % inputs * outputs + position / inputs];
            weights = (0..weights.len()).map(at).collect();
        }
        let bias = self.bias(node, 2, outputs)?;
        self.push(Layer::Linear { inputs, outputs }, weights, bias);
        Ok(())
    }

    fn batch_norm(&mut self, node: &Node, extent: usize, epsilon: f32) -> Result<()> {
        let [scale, shift, mean, mut variance] =
            [1, 2, 3, 4].map(|position| self.constant(node, position));
        let (scale, shift) = (scale?, shift?);
        // The same sum with this crate's epsilon.
        let difference = f64::from(epsilon) - f64::from(EPSILON);
        for variance in variance.as_mut().into_iter().flatten() {
            *variance = (f64::from(*variance) + difference) as f32;
            if *variance < 0.0 {
                return Err(refused(
                    node,
                    "a variance is too small for an epsilon of 1e-5",
                ));
            }
        }
        let channels = scale.len();
        let plane = extent / channels;
        self.network.statistics.extend([mean?, variance?]);
        self.push(Layer::BatchNorm { channels, plane }, scale, shift);
        Ok(())
    }

    /// A constant added to or multiplied by each channel: a part of the normalization in front,
    /// or a bias.
    fn constants(&mut self, node: &Node, op: Binary, at: ValueId) -> Result<()> {
        let first = node.input(0) == Some(at);
        let id = node.input(usize::from(first)).filter(|&id| id != at);
        let id = id.ok_or_else(|| refused(node, "it takes no constant"))?;
        let values = self.constant(node, usize::from(first))?;
        let shape = self.graph.value(id).shape.at(1);
        if let Some(Layer::Linear { outputs, .. }) = self.network.layers.last()
            && (op, values.len()) == (Binary::Add, *outputs)
        {
            let bias = self.network.parameters.last_mut().expect("a layer's bias");
            for (bias, value) in bias.iter_mut().zip(values) {
                *bias += value;
            }
            return Ok(());
        }
        if !self.network.layers.is_empty() {
            return Err(refused(node, "it is not in front of all layers"));
        }
        let numbers = by_channel(self.network.image, &shape, &values)
            .ok_or_else(|| refused(node, "its constant differs within a channel"))?;
        for ((mean, std), number) in self.mean.iter_mut().zip(&mut self.std).zip(numbers) {
            match op {
                Binary::Sub if first => *mean += number * *std,
                Binary::Add => *mean -= number * *std,
                // (x - mean) / std times a number scales both.
                Binary::Mul => *std /= number,
                Binary::Div if first => *std *= number,
                _ => return Err(refused(node, "it is no normalization by channels")),
            }
        }
        Ok(())
    }
}

/// The numbers of a constant that is broadcast to images, one a channel; `None` where it differs
/// within a channel or does not fit.
fn by_channel(
    [channels, height, width]: [usize; 3],
    shape: &[usize],
    values: &[f32],
) -> Option<Vec<f64>> {
    let plane = height * width;
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let per_channel = shape.len() >= 3 && shape[shape.len() - 2..] == [1, 1];
    if values.len() == 1 {
        return Some(vec![f64::from(values[0]); channels]);
    }
    if values.len() == channels && per_channel {
        return Some(wide(values));
    }
    if values.len() != channels * plane || shape.len() < 2 {
        return None;
    }
    let mut planes = values.chunks(plane);
    let same = planes.all(|plane| plane.iter().all(|value| value == &plane[0]));
    let firsts: Vec<f32> = values.iter().copied().step_by(plane).collect();
    same.then(|| wide(&firsts))
}
