//! Functions of several values of one plain tensor, or of two tensors of
//! different shapes. They are seldom used, and not made for speed.

use crate::pointwise::Arith;
use crate::pool::larger;
use crate::rearrange::{offsets, strides};

/// What is made of the values along some axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Max,
}

/// A reduction of a plain tensor.
pub(crate) struct Reduce {
    kind: Reduction,
    /// Where the first value of each output is.
    first: Vec<usize>,
    /// How far from there the others are.
    others: Vec<usize>,
}

impl Reduce {
    /// A reduction of a tensor of shape `dims` along `axes`.
    pub(crate) fn new(kind: Reduction, dims: &[usize], axes: &[usize]) -> Self {
        let all = strides(dims);
        let part = |inside: bool| {
            let axes = (0..dims.len()).filter(|axis| axes.contains(axis) == inside);
            let axes: Vec<usize> = axes.collect();
            let dims: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
            let strides: Vec<isize> = axes.iter().map(|&axis| all[axis] as isize).collect();
            offsets(&dims, &strides, 0)
        };
        Self {
            kind,
            first: part(false),
            others: part(true),
        }
    }

    /// Computes one image, in row-major order.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        for (to, first) in output.iter_mut().zip(&self.first) {
            let values = self.others.iter().map(|other| input[first + other]);
            *to = match self.kind {
                Reduction::Sum => values.fold(0.0, |sum, value| sum + value),
                Reduction::Mean => {
                    values.fold(0.0, |sum, value| sum + value) / self.others.len() as f32
                }
                Reduction::Max => values.fold(f32::NEG_INFINITY, larger),
            };
        }
    }
}

/// `exp(x) / sum exp(x)` along the middle axis of `[outer, length, inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Softmax {
    pub(crate) outer: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

impl Softmax {
    /// Computes one image.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32]) {
        for outer in 0..self.outer {
            for inner in 0..self.inner {
                let offsets =
                    (0..self.length).map(|i| (outer * self.length + i) * self.inner + inner);
                let largest = offsets
                    .clone()
                    .fold(f32::NEG_INFINITY, |m, p| larger(m, input[p]));
                let mut sum = 0.0;
                for place in offsets.clone() {
                    output[place] = libm::expf(input[place] - largest);
                    sum += output[place];
                }
                for place in offsets {
                    output[place] /= sum;
                }
            }
        }
    }
}

/// `a op b` of tensors that are stretched along axes of extent 1.
pub(crate) struct Broadcast {
    arith: Arith,
    a: Vec<usize>,
    b: Vec<usize>,
}

impl Broadcast {
    /// The shape that comes of two of the same rank, if they fit.
    pub(crate) fn shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
        let fit = |(&a, &b): (&usize, &usize)| (a == b || a == 1 || b == 1).then_some(a.max(b));
        (a.len() == b.len()).then(|| a.iter().zip(b).map(fit).collect())?
    }

    /// Of tensors of shapes `a` and `b`, to one of shape `output`.
    pub(crate) fn new(arith: Arith, a: &[usize], b: &[usize], output: &[usize]) -> Self {
        let stretch = |dims: &[usize]| {
            let axes = strides(dims);
            let axes = axes.iter().zip(dims);
            let axes: Vec<isize> = axes
                .map(|(&s, &d)| if d == 1 { 0 } else { s as isize })
                .collect();
            offsets(output, &axes, 0)
        };
        Self {
            arith,
            a: stretch(a),
            b: stretch(b),
        }
    }

    /// Computes one image.
    pub(crate) fn run(&self, a: &[f32], b: &[f32], output: &mut [f32]) {
        for (to, (&pa, &pb)) in output.iter_mut().zip(self.a.iter().zip(&self.b)) {
            *to = self.arith.of(a[pa], b[pb]);
        }
    }
}

/// Rounds to 256 values, whose range is that of the tensor and zero, as
/// ONNX's `DynamicQuantizeLinear` and `DequantizeLinear` one after the other.
pub(crate) fn fake_quantize(input: &[f32], output: &mut [f32]) {
    let low = input.iter().fold(0.0, |low: f32, &v| low.min(v));
    let high = input.iter().fold(0.0, |high: f32, &v| high.max(v));
    let scale = (high - low) / 255.0;
    let zero = (-low / scale).clamp(0.0, 255.0).round_ties_even();
    for (to, &value) in output.iter_mut().zip(input) {
        let quantum = (value / scale).round_ties_even() + zero;
        // An image of zeros has no scale, and stays what it is.
        *to = if scale == 0.0 && !value.is_nan() {
            0.0
        } else {
            (quantum.clamp(0.0, 255.0) - zero) * scale
        };
    }
}

/// The position of the largest of each run of `length` values, whose stride is `inner`,
/// of equal ones the first (or the last); -1 where one is NaN.
pub(crate) fn arg_max(
    input: &[f32],
    Softmax {
        outer,
        length,
        inner,
    }: Softmax,
    last: bool,
    output: &mut Vec<i64>,
) {
    for outer in 0..outer {
        for place in 0..inner {
            let value = |i: usize| input[(outer * length + i) * inner + place];
            if (0..length).any(|i| value(i).is_nan()) {
                output.push(-1);
                continue;
            }
            let best = (1..length).fold(0, |best, i| {
                if value(i) > value(best) || (last && value(i) == value(best)) {
                    i
                } else {
                    best
                }
            });
            output.push(best as i64);
        }
    }
}
