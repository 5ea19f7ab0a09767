//! Lowering of layers: products, convolution, normalization, means, sums, largest elements.

use recert_graph::{Node, Op, Window};
use recert_num::directed::{add_down, add_up, mul_down, mul_up};

use super::lower::{Constant, Lowering, MOST, Result, no};
use super::moves::{broadcast, each_index, place, strides};
use super::{Linear, Step, Terms};

/// What a window takes at one position.
struct Taken {
    /// The tap, and the position of the input.
    taps: Vec<(u32, u32)>,
    /// How many taps there are with the padding, but not beyond it.
    padded: usize,
}

/// What a window takes at each position of the output, in order.
fn positions(window: &Window, extents: &[usize]) -> Result<Vec<Taken>> {
    let rank = extents.len();
    let parts = [
        &window.kernel,
        &window.strides,
        &window.dilations,
        &window.before,
    ];
    if parts.iter().any(|part| part.len() != rank) || window.output.len() != rank {
        return no("a window of another number of axes");
    }
    let count =
        (window.kernel.iter().chain(&window.output)).try_fold(1_usize, |n, &m| n.checked_mul(m));
    if count.is_none_or(|count| count > MOST) {
        return no("windows that are too large");
    }
    let along = strides(extents);
    let mut all = Vec::new();
    each_index(&window.output, |at| {
        let mut taken = Taken {
            taps: Vec::new(),
            padded: 0,
        };
        let mut number = 0;
        each_index(&window.kernel, |tap| {
            let (mut inside, mut padded, mut from) = (true, true, 0);
            for axis in 0..rank {
                let offset = at[axis] * window.strides[axis] + tap[axis] * window.dilations[axis];
                let end = window.before[axis] + extents[axis];
                inside &= (window.before[axis]..end).contains(&offset);
                padded &= offset < end + window.after.get(axis).copied().unwrap_or(0);
                if inside {
                    from += (offset - window.before[axis]) * along[axis];
                }
            }
            if inside {
                taken.taps.push((number, from as u32));
            }
            taken.padded += usize::from(padded);
            number += 1;
        });
        all.push(taken);
    });
    Ok(all)
}

/// A bias that is exact.
fn exactly(bias: &[f64]) -> Vec<[f64; 2]> {
    bias.iter().map(|&b| [b, b]).collect()
}

impl Lowering<'_> {
    /// A constant bias; `None` where there is none.
    fn bias(&self, node: &Node) -> Result<Option<Constant>> {
        let bias = self.constant(node, 2)?;
        if bias.is_none() && node.input(2).is_some() {
            return no("a bias that is no constant");
        }
        Ok(bias)
    }

    /// `Gemm`, and `MatMul` by a constant.
    pub(super) fn product(&mut self, node: &Node) -> Result<usize> {
        let input = self.input(node, 0)?;
        let matrix = self.needed(node, 1)?;
        let &[rows, columns] = &matrix.shape[..] else {
            return no("weights that are no matrix");
        };
        let (alpha, beta, transposed) = match node.op {
            Op::Gemm { trans_a: true, .. } => return no("with transA"),
            Op::Gemm {
                alpha,
                beta,
                trans_b,
                ..
            } => (f64::from(alpha), f64::from(beta), trans_b),
            _ => (1.0, 1.0, false),
        };
        let (outputs, inputs) = if transposed {
            (rows, columns)
        } else {
            (columns, rows)
        };
        let mut weights = matrix.values;
        if !transposed {
            let of = |o: usize| (0..inputs).map(move |i| i * columns + o);
            weights = (0..outputs).flat_map(of).map(|at| weights[at]).collect();
        }
        for weight in &mut weights {
            *weight *= alpha;
        }
        let length = self.length(node.output())?;
        let fits = inputs > 0
            && outputs > 0
            && length.is_multiple_of(outputs)
            && self.lengths[input].checked_mul(outputs) == length.checked_mul(inputs);
        if !fits {
            return no("shapes that do not fit");
        }
        let bias = match self.bias(node)? {
            None => Vec::new(),
            Some(bias) => {
                let values = match bias.values.len() {
                    1 => vec![bias.values[0]; outputs],
                    count if count == outputs => bias.values,
                    _ => return no("a bias that is not one an output"),
                };
                let ends = values.iter().map(|&b| [mul_down(b, beta), mul_up(b, beta)]);
                ends.collect::<Vec<_>>().repeat(length / outputs)
            }
        };
        let linear = Linear {
            inputs: vec![input],
            terms: Terms::Dense {
                weights,
                columns: inputs,
            },
            bias,
            // Of float32 the product with alpha is exact; of float64 it need not be.
            relative: if alpha == 1.0 { 0.0 } else { f64::EPSILON },
            fan: outputs,
            width: inputs,
        };
        Ok(self.push(Step::Linear(linear), length))
    }

    pub(super) fn conv(&mut self, node: &Node, window: &Window, groups: usize) -> Result<usize> {
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let kernel = self.needed(node, 1)?;
        let length = self.length(node.output())?;
        let (Some(extents), Some(&outputs)) = (shape.get(2..), kernel.shape.first()) else {
            return no("shapes that do not fit");
        };
        let taken = positions(window, extents)?;
        let taps: usize = window.kernel.iter().product();
        let plane: usize = extents.iter().product();
        let channels = kernel.shape.get(1).copied().unwrap_or(0);
        let fits = groups > 0
            && outputs.is_multiple_of(groups)
            && shape[0] == 1
            && shape[1] == channels * groups
            && kernel.values.len() == outputs * channels * taps
            && length == outputs * taken.len()
            && taps > 0;
        if !fits {
            return no("shapes that do not fit");
        }
        let bias = match self.bias(node)? {
            None => Vec::new(),
            Some(bias) if bias.values.len() == outputs => {
                let each = exactly(&bias.values).into_iter();
                each.flat_map(|b| std::iter::repeat_n(b, taken.len()))
                    .collect()
            }
            Some(_) => return no("a bias that is not one an output"),
        };
        let linear = Linear {
            inputs: vec![input],
            bias,
            relative: 0.0,
            // A tap brings an element to one position of an output at most.
            fan: outputs / groups * taps,
            width: channels * taps,
            terms: Terms::Conv {
                weights: kernel.values,
                positions: taken.into_iter().map(|taken| taken.taps).collect(),
                taps,
                channels,
                outputs_of_group: outputs / groups,
                plane,
            },
        };
        Ok(self.push(Step::Linear(linear), length))
    }

    pub(super) fn normalization(&mut self, node: &Node, epsilon: f32) -> Result<usize> {
        let input = self.input(node, 0)?;
        let parts = [1, 2, 3, 4].map(|position| self.needed(node, position));
        let [scale, shift, mean, variance] = parts;
        let parts = [scale?.values, shift?.values, mean?.values, variance?.values];
        let channels = self.input_shape(node, 0).get(1).copied().unwrap_or(1);
        if parts.iter().any(|part| part.len() != channels) {
            return no("statistics that are not one a channel");
        }
        let [scale, shift, mean, variance] = parts;
        let length = self.lengths[input];
        let plane = length / channels;
        // A sum, a root and a quotient round by less than two epsilons together.
        let relative = 4.0 * f64::EPSILON;
        let (mut outputs, mut bias) = (Vec::with_capacity(length), Vec::with_capacity(length));
        for channel in 0..channels {
            let factor = scale[channel] / (variance[channel] + f64::from(epsilon)).sqrt();
            if !(factor.is_normal() || factor == 0.0 && scale[channel] == 0.0) {
                return no("a variance that is not positive, or a factor that is no number");
            }
            let near = [1.0 - relative, 1.0 + relative].map(|part| mean[channel] * factor * part);
            let low = near[0].min(near[1]).next_down().next_down();
            let high = near[0].max(near[1]).next_up().next_up();
            let ends = [
                add_down(shift[channel], -high),
                add_up(shift[channel], -low),
            ];
            for element in channel * plane..(channel + 1) * plane {
                outputs.push(vec![(0, element as u32, factor)]);
                bias.push(ends);
            }
        }
        self.listed(vec![input], outputs, bias, relative)
    }

    pub(super) fn average(
        &mut self,
        node: &Node,
        window: &Window,
        count_padding: bool,
    ) -> Result<usize> {
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let taken = positions(window, shape.get(2..).unwrap_or_default())?;
        let plane: usize = shape[2..].iter().product();
        let mut outputs = Vec::new();
        for channel in 0..shape[1] {
            for taken in &taken {
                let count = if count_padding {
                    taken.padded
                } else {
                    taken.taps.len()
                };
                let weight = 1.0 / count.max(1) as f64;
                let term = |&(_, from): &(u32, u32)| (0, (channel * plane) as u32 + from, weight);
                outputs.push(taken.taps.iter().map(term).collect());
            }
        }
        self.listed(vec![input], outputs, Vec::new(), f64::EPSILON)
    }

    /// Sums or means over axes.
    pub(super) fn reduce(&mut self, node: &Node, axes: &[usize], mean: bool) -> Result<usize> {
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let kept: Vec<usize> = (shape.iter().enumerate())
            .map(|(axis, &extent)| if axes.contains(&axis) { 1 } else { extent })
            .collect();
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let weight = if mean { 1.0 / count.max(1) as f64 } else { 1.0 };
        let along = strides(&kept);
        let mut outputs = vec![Vec::new(); self.length(node.output())?];
        let mut element = 0;
        each_index(&shape, |index| {
            let index = index
                .iter()
                .zip(&kept)
                .map(|(&i, &extent)| i.min(extent - 1));
            outputs[place(index, &along)].push((0, element, weight));
            element += 1;
        });
        let relative = if mean { f64::EPSILON } else { 0.0 };
        self.listed(vec![input], outputs, Vec::new(), relative)
    }

    pub(super) fn max_pool(&mut self, node: &Node, window: &Window) -> Result<usize> {
        let input = self.input(node, 0)?;
        let shape = self.input_shape(node, 0);
        let taken = positions(window, shape.get(2..).unwrap_or_default())?;
        let plane: usize = shape[2..].iter().product();
        if taken.iter().any(|taken| taken.taps.is_empty()) {
            return no("a window of nothing but padding");
        }
        let elements: usize = taken.iter().map(|taken| taken.taps.len()).sum();
        if elements.saturating_mul(shape[1]) > MOST {
            return no("windows that are too large");
        }
        let windows: Vec<Vec<u32>> = (0..shape[1])
            .flat_map(|channel| {
                let start = (channel * plane) as u32;
                let of = move |taken: &Taken| taken.taps.iter().map(|&(_, i)| start + i).collect();
                taken.iter().map(of)
            })
            .collect();
        let length = windows.len();
        Ok(self.push(Step::Max { input, windows }, length))
    }

    /// Sums of values and constants, broadcast; all but the first times `sign`.
    pub(super) fn sum(&mut self, node: &Node, sign: f64) -> Result<usize> {
        let to = self.shape(node.output());
        let length = self.length(node.output())?;
        let mut inputs = Vec::new();
        let mut outputs = vec![Vec::new(); length];
        let mut bias: Vec<[f64; 2]> = Vec::new();
        for position in 0..node.inputs.len() {
            let sign = if position == 0 { 1.0 } else { sign };
            if let Some(constant) = self.constant(node, position)? {
                let from = broadcast(&constant.shape, &to)?;
                bias.resize(length, [0.0; 2]);
                for (ends, from) in bias.iter_mut().zip(from) {
                    let value = sign * constant.values[from];
                    *ends = [add_down(ends[0], value), add_up(ends[1], value)];
                }
                continue;
            }
            let from = broadcast(&self.input_shape(node, position), &to)?;
            let number = inputs.len() as u32;
            inputs.push(self.input(node, position)?);
            for (terms, from) in outputs.iter_mut().zip(from) {
                terms.push((number, from as u32, sign));
            }
        }
        self.listed(inputs, outputs, bias, 0.0)
    }

    /// Products with constants, and quotients by them.
    pub(super) fn scale(&mut self, node: &Node, divides: bool) -> Result<usize> {
        let to = self.shape(node.output());
        self.length(node.output())?;
        let constant_first = !divides && self.constant(node, 0)?.is_some();
        let (value, constant) = if constant_first { (1, 0) } else { (0, 1) };
        let input = self.input(node, value)?;
        let constant = self.needed(node, constant)?;
        let from = broadcast(&self.input_shape(node, value), &to)?;
        let by = broadcast(&constant.shape, &to)?;
        let weight = |by: usize| {
            let number = constant.values[by];
            if divides { 1.0 / number } else { number }
        };
        let outputs = from.into_iter().zip(by);
        let outputs = outputs.map(|(from, by)| vec![(0, from as u32, weight(by))]);
        let outputs: Vec<Vec<(u32, u32, f64)>> = outputs.collect();
        let usable = |&(_, _, weight): &(u32, u32, f64)| {
            if divides {
                weight.is_normal()
            } else {
                weight.is_finite()
            }
        };
        if !outputs.iter().flatten().all(usable) {
            return no("a factor that is no number, or too small or large");
        }
        let relative = if divides { f64::EPSILON } else { 0.0 };
        self.listed(vec![input], outputs, Vec::new(), relative)
    }
}
