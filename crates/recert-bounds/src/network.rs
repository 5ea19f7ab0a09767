//! Networks as bounds are propagated through them: a list of steps in f64, for one image.

mod elementwise;
mod layers;
mod layout;
mod lower;

use recert_graph::Graph;

use crate::block::Block;
use crate::buffers::Buffers;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::relax::Nonlinearity;
use crate::step::{Affine, Id, Kind, Linear, Part, Step};

/// A network as a function on real numbers, one image to a vector of outputs, with the file's
/// weights.
///
/// It is read from a [`Graph`] with a batch of one. Weights of any float type are widened to
/// f64 without loss; conversions between float types inside the file are taken as no change. What
/// nodes compute of constants alone are weights as the graph has them, computed in the nodes' type.
/// Where a constant is not exact in f64 (a quotient, a square root), its error is known and
/// charged. `Dropout` does nothing.
///
/// ```
/// use recert_bounds::Network;
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let graph = Builder::new(&Model::read(path)?).build()?;
/// let network = Network::new(&graph)?;
/// let image = vec![0.5; network.inputs()];
/// assert_eq!(network.evaluate(&image).len(), network.outputs());
/// for activation in network.activations() {
///     println!("{}: {} x {}", activation.node, activation.neurons, activation.function);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) input_shape: Vec<usize>,
    /// The layouts of all values; value 0 is the input, in the file's order.
    pub(crate) layouts: Vec<Layout>,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: Id,
    activations: Vec<Activation>,
    /// For each step, the number of the activation that it is.
    pub(crate) numbers: Vec<Option<usize>>,
    /// The step that makes each value.
    pub(crate) producers: Vec<Option<usize>>,
    /// The first node whose weights here are not the file's, but computed from these, where there is
    /// one: by `alpha` or `beta` of a `Gemm`, or by nodes of constants.
    pub(crate) derived: Option<String>,
}

/// A non-linear step of a network.
///
/// Its neurons are numbered as the elements of its input, an image `[c, h, w]` with the channels
/// last: neuron `(y w + x) c + channel`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activation {
    /// The name of the node in the file.
    pub node: String,
    /// ONNX's name of the operator.
    pub function: &'static str,
    /// The number of elements of its input.
    pub neurons: usize,
    /// Height, width and channels of its input; a vector has height and width 1.
    pub shape: [usize; 3],
    /// The value that it is applied to, as [`crate::Bounds`] numbers values.
    pub input: usize,
    /// The value that it makes.
    pub output: usize,
}

impl Network {
    /// The network of a graph with one input and one output.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for an operator, or a use of one, that has no
    /// relaxation, with the node's name.
    pub fn new(graph: &Graph) -> Result<Self> {
        lower::lowered(graph, false)
    }

    /// As [`Network::new`], without a `Softmax` or `LogSoftmax` over the classes at the end.
    ///
    /// These keep the order of the outputs, so that what is proved of the largest output of
    /// one network holds for the other. Bounds of single outputs do not carry over.
    ///
    /// # Errors
    ///
    /// As [`Network::new`].
    pub fn for_labels(graph: &Graph) -> Result<Self> {
        lower::lowered(graph, true)
    }

    /// From lowered parts.
    pub(crate) fn assembled(
        input_shape: Vec<usize>,
        layouts: Vec<Layout>,
        steps: Vec<Step>,
        output: Id,
    ) -> Self {
        let mut network = Self {
            input_shape,
            layouts,
            steps,
            output,
            activations: Vec::new(),
            numbers: Vec::new(),
            producers: Vec::new(),
            derived: None,
        };
        network.index();
        network
    }

    /// Numbers activations, and finds what makes each value.
    fn index(&mut self) {
        self.producers = vec![None; self.layouts.len()];
        self.numbers = Vec::new();
        self.activations = Vec::new();
        for (position, step) in self.steps.iter().enumerate() {
            self.producers[step.output] = Some(position);
            let function = match &step.kind {
                Kind::Elementwise(function) => function.name(),
                Kind::MaxPool(_) => "MaxPool",
                _ => {
                    self.numbers.push(None);
                    continue;
                }
            };
            self.numbers.push(Some(self.activations.len()));
            let layout = self.layouts[step.inputs[0]];
            self.activations.push(Activation {
                node: step.name.clone(),
                function,
                neurons: layout.len(),
                shape: [layout.height, layout.width, layout.channels],
                input: step.inputs[0],
                output: step.output,
            });
        }
    }

    /// The same network on inputs `factor x + shift`, one of each an input element, as
    /// normalization outside the file is: `error` bounds what each factor and each shift differ
    /// from those meant.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where lengths are not the input's or numbers not finite.
    pub fn with_input_affine(
        mut self,
        [factor, shift]: [Vec<f64>; 2],
        [factor_error, shift_error]: [Vec<f64>; 2],
    ) -> Result<Self> {
        for values in [&factor, &shift, &factor_error, &shift_error] {
            if values.len() != self.inputs() || values.iter().any(|value| !value.is_finite()) {
                return Err(Error::argument(format!(
                    "factors and shifts must be {} finite numbers",
                    self.inputs()
                )));
            }
        }
        let layout = self.layouts[0];
        let made = self.layouts.len();
        self.layouts.push(layout);
        for step in &mut self.steps {
            for input in step.inputs.iter_mut().filter(|input| **input == 0) {
                *input = made;
            }
        }
        if self.output == 0 {
            self.output = made;
        }
        let affine = Affine {
            layout,
            factor,
            shift,
            factor_error,
            shift_error,
        };
        self.steps.insert(
            0,
            Step {
                name: "input".to_owned(),
                inputs: vec![0],
                output: made,
                kind: Kind::Linear(Linear::Affine(affine)),
            },
        );
        self.index();
        Ok(self)
    }

    /// The same network on inputs normalized as `scale (x - mean) / std`, each of `mean` and
    /// `std` none, one for all channels, or one a channel.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where the numbers do not fit the channels, or `std` is not
    /// positive.
    pub fn normalized(self, mean: &[f32], std: &[f32], scale: Option<f32>) -> Result<Self> {
        let channels = match self.input_shape[..] {
            [_, channels, _, _] => channels,
            _ => 1,
        };
        let plane = self.inputs() / channels.max(1);
        let of_channel = |name: &str, values: &[f32], default: f32| -> Result<Vec<f64>> {
            let values = match values.len() {
                0 => vec![default; channels],
                1 => vec![values[0]; channels],
                count if count == channels => values.to_vec(),
                count => {
                    return Err(Error::argument(format!(
                        "{count} numbers of {name} for {channels} channels"
                    )));
                }
            };
            Ok(values.into_iter().map(f64::from).collect())
        };
        let mean = of_channel("mean", mean, 0.0)?;
        let std = of_channel("std", std, 1.0)?;
        let scale = f64::from(scale.unwrap_or(1.0));
        let mut parts: [Vec<f64>; 4] = Default::default();
        for (mean, std) in mean.into_iter().zip(std) {
            if std.is_nan() || std <= 0.0 {
                return Err(Error::argument(format!("std must be positive, not {std}")));
            }
            // The quotient rounds once, and so does the shift, a product.
            let factor = scale / std;
            let shift = -(mean * factor);
            let exact = factor * std == scale && std.log2().fract() == 0.0;
            let factor_error = if exact {
                0.0
            } else {
                factor.abs() * f64::EPSILON
            };
            let shift_error = if mean == 0.0 {
                0.0
            } else {
                (mean.abs() * factor_error + shift.abs() * f64::EPSILON) * 1.01
            };
            let numbers = [factor, shift, factor_error, shift_error];
            for (part, number) in parts.iter_mut().zip(numbers) {
                part.extend(std::iter::repeat_n(number, plane));
            }
        }
        let [factor, shift, factor_error, shift_error] = parts;
        self.with_input_affine([factor, shift], [factor_error, shift_error])
    }

    /// The network followed by a ReLU on its outputs, which some published files leave out.
    #[must_use]
    pub fn then_relu(mut self) -> Self {
        let made = self.layouts.len();
        self.layouts.push(self.layouts[self.output]);
        self.steps.push(Step {
            name: "output".to_owned(),
            inputs: vec![self.output],
            output: made,
            kind: Kind::Elementwise(Nonlinearity::Relu),
        });
        self.output = made;
        self.index();
        self
    }

    /// The shape of the input, with its batch of one.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// The number of input elements.
    pub fn inputs(&self) -> usize {
        self.layouts[0].len()
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.layouts[self.output].len()
    }

    /// The value that the network's output is, as [`crate::Bounds`] numbers values.
    pub fn output_value(&self) -> usize {
        self.output
    }

    /// The number of values that [`crate::Bounds`] has bounds of: the input and what every
    /// step makes.
    pub fn values(&self) -> usize {
        self.layouts.len()
    }

    /// Every non-linear step, in the order in which they are computed.
    pub fn activations(&self) -> &[Activation] {
        &self.activations
    }

    /// The outputs for one image, in f64 and rounded to nearest: no bound of anything.
    ///
    /// # Panics
    ///
    /// If the image does not have as many elements as the input.
    pub fn evaluate(&self, x: &[f64]) -> Vec<f64> {
        let mut values = self.evaluate_all(x);
        values.swap_remove(self.output)
    }

    /// Every value for one image, by number, in memory order.
    pub(crate) fn evaluate_all(&self, x: &[f64]) -> Vec<Vec<f64>> {
        assert_eq!(x.len(), self.inputs(), "the number of input elements");
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); self.layouts.len()];
        values[0] = x.to_vec();
        for step in &self.steps {
            let x = &values[step.inputs[0]];
            values[step.output] = match &step.kind {
                Kind::Linear(linear) => linear.forward(x, Part::Whole),
                Kind::Sum(factors) => {
                    let mut sum = vec![0.0; self.layouts[step.output].len()];
                    for (&input, factor) in step.inputs.iter().zip(factors) {
                        for (sum, x) in sum.iter_mut().zip(&values[input]) {
                            *sum += factor * x;
                        }
                    }
                    sum
                }
                Kind::Rearrange(rearrange) => {
                    let inputs = step.inputs.iter().map(|&id| &values[id][..]);
                    rearrange.forward(&inputs.collect::<Vec<_>>(), true)
                }
                Kind::Elementwise(function) => x.iter().map(|&x| function.value(x)).collect(),
                Kind::MaxPool(pool) => pool.forward(x),
            };
        }
        values
    }

    /// The gradient of `cotangent . f` at an image, in f64; at kinks one of those there are.
    ///
    /// # Panics
    ///
    /// If lengths are not those of input and output.
    pub fn gradient(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        assert_eq!(cotangent.len(), self.outputs(), "one factor an output");
        let values = self.evaluate_all(x);
        let buffers = &mut Buffers::default();
        let mut states: Vec<Option<Block>> = vec![None; self.layouts.len()];
        let layout = self.layouts[self.output];
        states[self.output] = Some(Block::dense(layout, cotangent.to_vec()));
        for step in self.steps.iter().rev() {
            let Some(mut block) = states[step.output].take() else {
                continue;
            };
            let x = &values[step.inputs[0]];
            let made = match &step.kind {
                Kind::Linear(linear) => vec![linear.backward(block, buffers)],
                Kind::Sum(factors) => {
                    let scaled = factors.iter().map(|factor| {
                        let mut block = block.clone();
                        block.data.iter_mut().for_each(|a| *a *= factor);
                        block
                    });
                    scaled.collect()
                }
                Kind::Rearrange(rearrange) => rearrange.backward(block, buffers),
                Kind::Elementwise(function) => {
                    for (a, &x) in block.data.iter_mut().zip(x) {
                        *a *= function.derivative(x);
                    }
                    vec![block]
                }
                Kind::MaxPool(pool) => {
                    let mut data = vec![0.0; pool.input.len()];
                    for (winner, a) in pool.winners(x).into_iter().zip(&block.data) {
                        data[winner as usize] += a;
                    }
                    vec![Block::dense(pool.input, data)]
                }
            };
            for (&input, block) in step.inputs.iter().zip(made) {
                let block = block.into_dense(self.layouts[input], buffers);
                let layout = self.layouts[input];
                states[input] = Some(match states[input].take() {
                    Some(other) => other.plus(block, layout, buffers),
                    None => block,
                });
            }
        }
        match states[0].take() {
            Some(block) => block.data,
            None => vec![0.0; self.inputs()],
        }
    }
}
