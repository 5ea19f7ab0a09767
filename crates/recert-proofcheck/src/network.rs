//! A network as a list of steps on vectors: linear ones, curves, and largest elements.

mod layers;
mod lower;
mod moves;

use std::fmt;

use recert_graph::Graph;

use crate::curve::Curve;

/// A network as a function on real numbers, of the pixels of one image.
///
/// ```
/// use recert_graph::{Builder, Model};
/// use recert_proofcheck::Network;
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let graph = Builder::new(&Model::read(path)?).build()?;
/// let network = Network::new(&graph)?;
/// assert!(network.inputs() > network.outputs());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network {
    /// The number of elements of each value. Value 0 is the input; step i makes value i + 1.
    pub(crate) lengths: Vec<usize>,
    pub(crate) steps: Vec<Step>,
    /// The value that the output is.
    pub(crate) output: usize,
    /// The steps that are curves with a kink, in order, with the shape of their argument: the
    /// layers of a proof.
    pub(crate) kinked: Vec<(usize, [usize; 2])>,
}

/// Something that is not computed here: an operator, a use of one, or a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub(crate) String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Linear(Linear),
    /// A curve of every element of a value.
    Curve {
        input: usize,
        curve: Curve,
    },
    /// The largest of some elements of a value, for each output.
    Max {
        input: usize,
        windows: Vec<Vec<u32>>,
    },
}

/// `y = W x + b`, of one or several values x.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) inputs: Vec<usize>,
    pub(crate) terms: Terms,
    /// Bounds of b, one for each output; empty for 0.
    pub(crate) bias: Vec<[f64; 2]>,
    /// By how much each weight may differ from the exact one, as a part of it.
    pub(crate) relative: f64,
    /// In how many terms an element of an input is, at most.
    pub(crate) fan: usize,
    /// How many terms an output has, at most.
    pub(crate) width: usize,
}

/// The products of which outputs are sums.
#[derive(Debug, Clone)]
pub(crate) enum Terms {
    /// Output `p * outputs + o` is the product of row o of the matrix with part p of the input.
    Dense { weights: Vec<f64>, columns: usize },
    /// Output `m * positions + p`, with the taps of each position as (tap, position of the input).
    Conv {
        /// `[m, channels, taps]`.
        weights: Vec<f64>,
        positions: Vec<Vec<(u32, u32)>>,
        taps: usize,
        /// Channels of the input that an output takes, and how many outputs share them.
        channels: usize,
        outputs_of_group: usize,
        /// Elements of a channel of the input.
        plane: usize,
    },
    /// Each output's terms: the input, its element, the weight.
    Listed {
        starts: Vec<usize>,
        terms: Vec<(u32, u32, f64)>,
    },
}

impl Linear {
    /// The number of outputs, where the first input has so many elements.
    pub(crate) fn outputs(&self, elements: usize) -> usize {
        match &self.terms {
            Terms::Dense { weights, columns } => weights.len() / columns * (elements / columns),
            Terms::Conv {
                weights,
                positions,
                taps,
                channels,
                ..
            } => weights.len() / (taps * channels) * positions.len(),
            Terms::Listed { starts, .. } => starts.len() - 1,
        }
    }

    /// Calls `take` with the input, the element and the weight of each term of an output, and
    /// returns how many there are.
    pub(crate) fn each(&self, output: usize, mut take: impl FnMut(usize, usize, f64)) -> usize {
        match &self.terms {
            Terms::Dense { weights, columns } => {
                let outputs = weights.len() / columns;
                let (part, row) = (output / outputs, output % outputs);
                let row = &weights[row * columns..(row + 1) * columns];
                for (i, &weight) in row.iter().enumerate() {
                    take(0, part * columns + i, weight);
                }
                *columns
            }
            Terms::Conv {
                weights,
                positions,
                taps,
                channels,
                outputs_of_group,
                plane,
            } => {
                let (m, position) = (output / positions.len(), output % positions.len());
                let first = m / outputs_of_group * channels;
                let kernel = &weights[m * channels * taps..(m + 1) * channels * taps];
                for (channel, kernel) in kernel.chunks_exact(*taps).enumerate() {
                    let start = (first + channel) * plane;
                    for &(tap, from) in &positions[position] {
                        take(0, start + from as usize, kernel[tap as usize]);
                    }
                }
                positions[position].len() * channels
            }
            Terms::Listed { starts, terms } => {
                let terms = &terms[starts[output]..starts[output + 1]];
                for &(input, element, weight) in terms {
                    take(input as usize, element as usize, weight);
                }
                terms.len()
            }
        }
    }
}

impl Network {
    /// The network of a graph with one input and one output. A softmax over the classes at the
    /// end is left out: it keeps the order of the classes.
    ///
    /// # Errors
    /// [`Unsupported`], naming the node, for what is not computed here.
    pub fn new(graph: &Graph) -> Result<Self, Unsupported> {
        lower::lowered(graph, true)
    }

    /// The same with the outputs as they are: a softmax at the end is not left out, and not
    /// computed here.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn of_outputs(graph: &Graph) -> Result<Self, Unsupported> {
        lower::lowered(graph, false)
    }

    /// The number of elements of the input.
    pub fn inputs(&self) -> usize {
        self.lengths[0]
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.lengths[self.output]
    }

    /// Whether all curves have a kink at 0, so that a proof says everything about how bounds came
    /// about. Other curves have other lines here than elsewhere, so that bounds differ.
    pub fn is_piecewise(&self) -> bool {
        let kinked = |step: &Step| match step {
            Step::Linear(_) => true,
            Step::Curve { curve, .. } => curve.has_kink(),
            Step::Max { .. } => false,
        };
        self.steps.iter().all(kinked)
    }

    /// The slope that is so far, of 255 steps, on the way from the least to the largest that the
    /// curve of a step with a kink allows below.
    pub(crate) fn slope(&self, step: usize, part: u8) -> f64 {
        match &self.steps[step] {
            Step::Curve { curve, .. } => curve.slope(part),
            _ => f64::NAN,
        }
    }

    /// All values for one image, in f64 and rounded to nearest: no bound of anything.
    pub(crate) fn evaluate(&self, image: &[f64]) -> Vec<Vec<f64>> {
        let mut values = vec![image.to_vec()];
        for (position, step) in self.steps.iter().enumerate() {
            let made = match step {
                Step::Linear(linear) => {
                    let output = |o: usize| {
                        let bias = linear
                            .bias
                            .get(o)
                            .map_or(0.0, |[low, high]| low.midpoint(*high));
                        let mut sum = bias;
                        linear.each(o, |input, i, weight| {
                            sum += weight * values[linear.inputs[input]][i];
                        });
                        sum
                    };
                    (0..self.lengths[position + 1]).map(output).collect()
                }
                Step::Curve { input, curve } => {
                    values[*input].iter().map(|&x| curve.value(x)).collect()
                }
                Step::Max { input, windows } => {
                    let of = |window: &Vec<u32>| {
                        let elements = window.iter().map(|&i| values[*input][i as usize]);
                        elements.fold(f64::NEG_INFINITY, f64::max)
                    };
                    windows.iter().map(of).collect()
                }
            };
            values.push(made);
        }
        values
    }
}

/// Where a proof's neuron lies in the file's order: a proof numbers an image's with the channels
/// last.
pub(crate) fn element_of_neuron([channels, plane]: [usize; 2], neuron: usize) -> usize {
    neuron % channels * plane + neuron / channels
}
