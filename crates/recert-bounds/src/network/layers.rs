//! Lowering of layers: fully connected, convolution, normalization, pooling, means.

use recert_graph::{Node, Op, Reduction, Window as GraphWindow};

use super::lower::Lowering;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::relax::MaxPool;
use crate::rounding::TINY;
use crate::step::{Affine, Conv, Dense, Depthwise, Id, Kind, Linear, Window};

impl Lowering<'_> {
    pub(super) fn layer(&mut self, node: &Node) -> Result<Id> {
        // Parameters of normalizations are no weights.
        if !matches!(node.op, Op::BatchNormalization { .. }) {
            self.note_computed(node, &[1, 2]);
        }
        match &node.op {
            Op::Gemm {
                alpha,
                beta,
                trans_a,
                trans_b,
            } => {
                if *trans_a {
                    return Err(Error::unsupported("with transA"));
                }
                let (shape, weights) = self.needed(node, 1)?;
                let &[rows, columns] = &shape[..] else {
                    return Err(Error::unsupported("weights that are no matrix"));
                };
                if *alpha != 1.0 || *beta != 1.0 {
                    self.derived.get_or_insert_with(|| node.name.clone());
                }
                // Products of two float32 are exact in f64.
                let alpha = f64::from(*alpha);
                let weights = weights.into_iter().map(|w| w * alpha).collect();
                let weights = if *trans_b {
                    weights
                } else {
                    transposed(weights, rows, columns)
                };
                let outputs = if *trans_b { rows } else { columns };
                let bias = match self.constant(node, 2)? {
                    Some((_, bias)) => {
                        let bias = bias.into_iter().map(|b| b * f64::from(*beta));
                        spread(bias.collect(), outputs)?
                    }
                    None if node.input(2).is_some() => {
                        return Err(Error::unsupported("a bias that is no constant"));
                    }
                    None => vec![0.0; outputs],
                };
                self.dense(node, weights, bias)
            }
            Op::MatMul => {
                let (shape, weights) = self.needed(node, 1)?;
                let &[rows, columns] = &shape[..] else {
                    return Err(Error::unsupported("weights that are no matrix"));
                };
                let weights = transposed(weights, rows, columns);
                self.dense(node, weights, vec![0.0; columns])
            }
            Op::Conv { window, group } => self.conv(node, window, *group),
            _ => self.batch_normalization(node),
        }
    }

    /// Notes a node that takes, at one of these positions, a constant which the file does not hold but
    /// computes.
    pub(super) fn note_computed(&mut self, node: &Node, positions: &[usize]) {
        let mut inputs = positions
            .iter()
            .filter_map(|&position| node.input(position));
        if inputs.any(|id| self.graph.value(id).computed) {
            self.derived.get_or_insert_with(|| node.name.clone());
        }
    }

    /// A product with a matrix along the last axis.
    fn dense(&mut self, node: &Node, weights: Vec<f64>, bias: Vec<f64>) -> Result<Id> {
        let input = self.input(node, 0)?;
        let made = self.made(node)?;
        let outputs = bias.len();
        let inputs = weights.len().checked_div(outputs).unwrap_or(0);
        let positions = made.len().checked_div(outputs).unwrap_or(0);
        let flat = self.in_file_order(input);
        if inputs == 0 || positions == 0 || self.layouts[flat].len() != inputs * positions {
            return Err(Error::unsupported("shapes that do not fit"));
        }
        if positions == 1 {
            let dense = Dense {
                weights,
                bias,
                inputs,
            };
            let flat_made = Layout::flat(outputs);
            let product = self.linear(flat, flat_made, Linear::Dense(dense));
            return Ok(self.viewed_from_file(product, made));
        }
        // Several positions side by side: a convolution with a kernel of 1.
        let layout = |channels| Layout {
            height: positions,
            width: 1,
            channels,
        };
        let stacked = self.viewed(flat, layout(inputs));
        let window = Window {
            input: layout(inputs),
            output: layout(outputs),
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            before: [0, 0],
        };
        let conv = Conv {
            window,
            groups: 1,
            weights,
            bias: bias.repeat(positions),
        };
        let product = self.linear(stacked, layout(outputs), Linear::Conv(conv));
        let flat = self.viewed(product, Layout::flat(made.len()));
        Ok(self.viewed_from_file(flat, made))
    }

    /// A vector in the file's order as a tensor of some shape.
    pub(super) fn viewed_from_file(&mut self, flat: Id, layout: Layout) -> Id {
        let sources = (0..layout.len()).map(|i| layout.file(i) as u32).collect();
        self.rearranged(&[flat], layout, sources, None)
    }

    /// Where windows of two spatial axes lie.
    fn window(&self, node: &Node, window: &GraphWindow, channels: usize) -> Result<Window> {
        let input = self.layouts[self.input(node, 0)?];
        let [height, width] = pair(&window.output)?;
        Ok(Window {
            input,
            output: Layout {
                height,
                width,
                channels,
            },
            kernel: pair(&window.kernel)?,
            strides: pair(&window.strides)?,
            dilations: pair(&window.dilations)?,
            before: pair(&window.before)?,
        })
    }

    fn conv(&mut self, node: &Node, window: &GraphWindow, groups: usize) -> Result<Id> {
        let input = self.input(node, 0)?;
        let made = self.made(node)?;
        let (weights_shape, weights) = self.needed(node, 1)?;
        let window = self.window(node, window, made.channels)?;
        let bias = match self.constant(node, 2)? {
            Some((_, bias)) => bias,
            None if node.input(2).is_some() => {
                return Err(Error::unsupported("a bias that is no constant"));
            }
            None => vec![0.0; made.channels],
        };
        let taps = window.taps();
        let from = window.input.channels / groups.max(1);
        let fits = window.output == made
            && weights_shape.first() == Some(&made.channels)
            && weights.len() == made.channels * taps * from
            && bias.len() == made.channels;
        if !fits {
            return Err(Error::unsupported("shapes that do not fit"));
        }
        let bias = bias.repeat(made.height * made.width);
        // [m, c, taps] in the file.
        if from == 1 && made.channels == groups {
            let weights = transposed(weights, groups, taps);
            let depthwise = Depthwise {
                window,
                weights,
                bias,
                of_file: true,
            };
            return Ok(self.linear(input, made, Linear::Depthwise(depthwise)));
        }
        let kernels = weights.chunks_exact(from * taps);
        let weights = kernels.flat_map(|kernel| transposed(kernel.to_vec(), from, taps));
        let conv = Conv {
            window,
            groups,
            weights: weights.collect(),
            bias,
        };
        Ok(self.linear(input, made, Linear::Conv(conv)))
    }

    fn batch_normalization(&mut self, node: &Node) -> Result<Id> {
        let Op::BatchNormalization { epsilon } = node.op else {
            return Err(Error::unsupported("the operator has no relaxation here"));
        };
        let input = self.input(node, 0)?;
        let layout = self.made(node)?;
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|i| self.needed(node, i));
        let [scale, shift, mean, variance] = [scale?.1, shift?.1, mean?.1, variance?.1];
        let shape = self.input_shape(node, 0);
        let channels = shape.get(1).copied().unwrap_or(1);
        let parts = [&scale, &shift, &mean, &variance];
        if parts.iter().any(|part| part.len() != channels) {
            return Err(Error::unsupported("statistics that are not one a channel"));
        }
        let constants = (0..channels).map(|c| {
            // A sum, a square root and a quotient: three roundings, of which the first counts half.
            let factor = scale[c] / (variance[c] + f64::from(epsilon)).sqrt();
            let factor_error = factor.abs() * 4.0 * f64::EPSILON + TINY;
            let product = mean[c] * factor;
            let shift = shift[c] - product;
            let rounded = (product.abs() + shift.abs()) * f64::EPSILON;
            let shift_error = (mean[c].abs() * factor_error + rounded) * 1.01 + TINY;
            [factor, shift, factor_error, shift_error]
        });
        let constants: Vec<[f64; 4]> = constants.collect();
        if constants.iter().flatten().any(|number| !number.is_finite()) {
            return Err(Error::unsupported("a variance that is not positive"));
        }
        // Elements of a channel lie together in the file.
        let plane = layout.len() / channels;
        let part = |part: usize| {
            let of = |i: usize| constants[layout.file(i) / plane][part];
            (0..layout.len()).map(of).collect()
        };
        let affine = Affine {
            layout,
            factor: part(0),
            shift: part(1),
            factor_error: part(2),
            shift_error: part(3),
        };
        Ok(self.linear(input, layout, Linear::Affine(affine)))
    }

    pub(super) fn pooled(&mut self, node: &Node) -> Result<Id> {
        let input = self.input(node, 0)?;
        let layout = self.made(node)?;
        let from = self.layouts[input];
        let whole = Window {
            input: from,
            output: layout,
            kernel: [from.height, from.width],
            strides: [1, 1],
            dilations: [1, 1],
            before: [0, 0],
        };
        match &node.op {
            Op::AveragePool {
                window,
                count_padding,
            } => {
                let spatial = window;
                let window = self.window(node, spatial, from.channels)?;
                let counts = counts(&window, &spatial.after, *count_padding);
                Ok(self.averaged(input, window, &counts))
            }
            Op::GlobalAveragePool => {
                let count = from.height * from.width;
                Ok(self.averaged(input, whole, &[count]))
            }
            Op::MaxPool { window, .. } => {
                let window = self.window(node, window, from.channels)?;
                self.max_pool(input, &window)
            }
            Op::GlobalMaxPool => self.max_pool(input, &whole),
            Op::Reduce {
                reduction: reduction @ (Reduction::Mean | Reduction::Sum),
                axes,
                ..
            } => {
                let from_shape = self.input_shape(node, 0);
                let count: usize = axes.iter().map(|&axis| from_shape[axis]).product();
                let divisor = if *reduction == Reduction::Mean {
                    count
                } else {
                    1
                };
                // The reduced axes become positions of an image, the others its channels.
                let order = (0..from_shape.len()).filter(|axis| axes.contains(axis));
                let kept = (0..from_shape.len()).filter(|axis| !axes.contains(axis));
                let order: Vec<usize> = order.chain(kept).collect();
                let flat = self.transposed(input, &from_shape, &order, Layout::flat(from.len()));
                let channels = layout.len();
                let stacked = Layout {
                    height: count,
                    width: 1,
                    channels,
                };
                let stacked = self.viewed(flat, stacked);
                let window = Window {
                    input: self.layouts[stacked],
                    output: Layout::flat(channels),
                    kernel: [count, 1],
                    strides: [1, 1],
                    dilations: [1, 1],
                    before: [0, 0],
                };
                let reduced = self.averaged(stacked, window, &[divisor]);
                Ok(self.viewed_from_file(reduced, layout))
            }
            _ => Err(Error::unsupported("the reduction has no relaxation here")),
        }
    }

    /// Sums over windows, divided by a number for each position.
    fn averaged(&mut self, input: Id, window: Window, counts: &[usize]) -> Id {
        let layout = window.output;
        let sum = Depthwise {
            weights: vec![1.0; window.taps() * layout.channels],
            bias: vec![0.0; layout.len()],
            of_file: false,
            window,
        };
        let sum = self.linear(input, layout, Linear::Depthwise(sum));
        if counts.iter().all(|&count| count == 1) {
            return sum;
        }
        // One number for all positions, or one each.
        let of = |i: usize| counts[(i / layout.channels).min(counts.len() - 1)] as f64;
        let factor: Vec<f64> = (0..layout.len()).map(|i| 1.0 / of(i)).collect();
        let error = |i: usize| {
            if (of(i) as usize).is_power_of_two() {
                0.0
            } else {
                factor[i] * f64::EPSILON
            }
        };
        let affine = Affine {
            layout,
            shift: vec![0.0; layout.len()],
            factor_error: (0..layout.len()).map(error).collect(),
            shift_error: vec![0.0; layout.len()],
            factor,
        };
        self.linear(sum, layout, Linear::Affine(affine))
    }

    fn max_pool(&mut self, input: Id, window: &Window) -> Result<Id> {
        let (from, layout) = (window.input, window.output);
        let mut starts = vec![0];
        let mut elements = Vec::new();
        for y in 0..layout.height {
            for x in 0..layout.width {
                let mut positions = Vec::new();
                window.taps_at(y, x, |_, position| positions.push(position));
                if positions.is_empty() {
                    return Err(Error::unsupported(
                        "a window that holds nothing but padding",
                    ));
                }
                for channel in 0..layout.channels {
                    let places = positions.iter();
                    elements.extend(places.map(|p| (p * from.channels + channel) as u32));
                    starts.push(elements.len());
                }
            }
        }
        let pool = MaxPool {
            window: Some(window.clone()),
            input: from,
            output: layout,
            starts,
            elements,
        };
        Ok(self.step(vec![input], layout, Kind::MaxPool(pool)))
    }
}

/// The numbers of two spatial axes.
fn pair(values: &[usize]) -> Result<[usize; 2]> {
    values
        .try_into()
        .map_err(|_| Error::unsupported("windows that do not have two spatial axes"))
}

/// How many elements each window of an average pooling counts.
fn counts(window: &Window, after: &[usize], count_padding: bool) -> Vec<usize> {
    let along = |axis: usize, out: usize| {
        let extent = [window.input.height, window.input.width][axis] as isize;
        let allowed = if count_padding {
            -(window.before[axis] as isize)..extent + after[axis] as isize
        } else {
            0..extent
        };
        let taps = 0..window.kernel[axis];
        let counted = taps.filter(|&tap| allowed.contains(&window.source(axis, out as isize, tap)));
        counted.count().max(1)
    };
    let positions =
        (0..window.output.height).flat_map(|y| (0..window.output.width).map(move |x| (y, x)));
    positions.map(|(y, x)| along(0, y) * along(1, x)).collect()
}

/// A row-major matrix of `rows` by `columns`, transposed.
fn transposed(matrix: Vec<f64>, rows: usize, columns: usize) -> Vec<f64> {
    if rows == 1 || columns == 1 {
        return matrix;
    }
    let mut result = Vec::with_capacity(matrix.len());
    for column in 0..columns {
        result.extend((0..rows).map(|row| matrix[row * columns + column]));
    }
    result
}

/// A bias of one number or as many as there are outputs.
fn spread(bias: Vec<f64>, outputs: usize) -> Result<Vec<f64>> {
    match bias.len() {
        1 => Ok(vec![bias[0]; outputs]),
        count if count == outputs => Ok(bias),
        count => Err(Error::unsupported(format!(
            "a bias of {count} numbers for {outputs} outputs"
        ))),
    }
}
