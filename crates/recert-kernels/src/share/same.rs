//! Whether two operations are the same: in everything, and in every number bit
//! for bit. What is not known here is taken to differ.

use crate::conv::Filter;
use crate::integer::{ByteFilter, End, Epilogue, Grid, Joint};
use crate::ir::{Op, Value};
use crate::pointwise::{Operand, Step, Unary};
use crate::product::{Attention, Score};
use crate::tile::Clamp;

/// Whether two tensors are of one shape and held in one way.
pub(super) fn same_value(a: &Value, b: &Value) -> bool {
    let Value {
        dims,
        integers,
        bytes,
    } = a;
    (dims, integers, bytes) == (&b.dims, &b.integers, &b.bytes)
}

/// Whether two operations give the same bits on the same inputs, because they
/// are the same. Numbers are compared by their bits: 0 and -0 differ, and a
/// NaN is only the same NaN.
pub(super) fn same(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (
            Op::Conv {
                filter,
                window,
                clamp,
            },
            Op::Conv {
                filter: other,
                window: other_window,
                clamp: other_clamp,
            },
        ) => window == other_window && clamps(*clamp, *other_clamp) && filters(filter, other),
        (
            Op::Gemm {
                weights,
                bias,
                clamp,
            },
            Op::Gemm {
                weights: other_weights,
                bias: other_bias,
                clamp: other_clamp,
            },
        ) => {
            clamps(*clamp, *other_clamp)
                && floats(bias, other_bias)
                && floats(weights, other_weights)
        }
        (
            Op::Pool { kind, window },
            Op::Pool {
                kind: other_kind,
                window: other_window,
            },
        ) => (kind, window) == (other_kind, other_window),
        (Op::Means, Op::Means) | (Op::View, Op::View) => true,
        (Op::Pointwise(a), Op::Pointwise(b)) => chains(a, b),
        (Op::Pair(a), Op::Pair(b)) => a == b,
        (Op::Transpose(a), Op::Transpose(b)) => a == b,
        (
            Op::Cut { cuts, fill },
            Op::Cut {
                cuts: other_cuts,
                fill: other_fill,
            },
        ) => cuts == other_cuts && one(*fill, *other_fill),
        (Op::Concat(a), Op::Concat(b)) => a == b,
        (Op::Reduce(a, axes), Op::Reduce(b, other_axes)) => a == b && axes == other_axes,
        (Op::Softmax(a), Op::Softmax(b)) => a == b,
        (Op::ToBytes(a), Op::ToBytes(b))
        | (Op::FromBytes(a), Op::FromBytes(b))
        | (Op::ByteMeans(a), Op::ByteMeans(b)) => grids(*a, *b),
        (
            Op::ByteConv {
                filter,
                window,
                epilogue,
            },
            Op::ByteConv {
                filter: other,
                window: other_window,
                epilogue: other_epilogue,
            },
        ) => {
            window == other_window
                && epilogues(epilogue, other_epilogue)
                && byte_filters(filter, other)
        }
        (
            Op::ByteGemm { filter, epilogue },
            Op::ByteGemm {
                filter: other,
                epilogue: other_epilogue,
            },
        ) => epilogues(epilogue, other_epilogue) && byte_filters(filter, other),
        (Op::ByteSum(a, zero), Op::ByteSum(b, other_zero)) => zero == other_zero && joints(a, b),
        (Op::ByteMax(a), Op::ByteMax(b)) => a == b,
        (Op::ByteCut(a), Op::ByteCut(b)) => a == b,
        (Op::ByteMap(a), Op::ByteMap(b)) => a == b,
        _ => same_tokens(a, b),
    }
}

/// As [`same`], of what transformers are made of.
fn same_tokens(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (
            Op::Linear {
                weights,
                bias,
                steps: own,
            },
            Op::Linear {
                weights: other_weights,
                bias: other_bias,
                steps: other,
            },
        ) => chains(own, other) && floats(bias, other_bias) && floats(weights, other_weights),
        (
            Op::LayerNorm {
                scale,
                shift,
                epsilon,
            },
            Op::LayerNorm {
                scale: other_scale,
                shift: other_shift,
                epsilon: other_epsilon,
            },
        ) => {
            one(*epsilon, *other_epsilon)
                && floats(scale, other_scale)
                && floats(shift, other_shift)
        }
        (Op::Product(a), Op::Product(b)) => a == b,
        (Op::Attention(a), Op::Attention(b)) => attentions(a, b),
        (Op::Constant(a), Op::Constant(b)) => floats(a, b),
        (Op::Take(axis, a), Op::Take(other, b)) => axis == other && a == b,
        _ => false,
    }
}

fn one(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits()
}

/// Whether these are the same numbers, bit for bit.
pub(super) fn floats(a: &[f32], b: &[f32]) -> bool {
    /// Compared without a look in between, many at once.
    const RUN: usize = 256;
    let differ = |a: &[f32], b: &[f32]| {
        let bits = a.iter().zip(b).map(|(a, b)| a.to_bits() ^ b.to_bits());
        bits.fold(0, |all, bits| all | bits) != 0
    };
    a.len() == b.len() && !a.chunks(RUN).zip(b.chunks(RUN)).any(|(a, b)| differ(a, b))
}

fn clamps(a: Clamp, b: Clamp) -> bool {
    let Clamp { low, high } = a;
    one(low, b.low) && one(high, b.high)
}

fn filters(a: &Filter, b: &Filter) -> bool {
    let Filter {
        outputs,
        inputs,
        groups,
        weights,
        bias,
    } = a;
    (outputs, inputs, groups) == (&b.outputs, &b.inputs, &b.groups)
        && floats(bias, &b.bias)
        && floats(weights, &b.weights)
}

fn chains(a: &[Step], b: &[Step]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| steps(a, b))
}

fn attentions(a: &Attention, b: &Attention) -> bool {
    let Attention {
        queries,
        keys,
        values,
        output,
        sizes,
        factors,
        scores,
    } = a;
    let score = |(a, b): (&Score, &Score)| match (a, b) {
        (Score::With(a, c), Score::With(b, d)) => a == b && one(*c, *d),
        (Score::Add(a), Score::Add(b)) => floats(a, b),
        _ => false,
    };
    let bits = |factors: &[Option<f32>; 2]| factors.map(|factor| factor.map(f32::to_bits));
    (queries, keys, values, output) == (&b.queries, &b.keys, &b.values, &b.output)
        && *sizes == b.sizes
        && bits(factors) == bits(&b.factors)
        && scores.len() == b.scores.len()
        && scores.iter().zip(&b.scores).all(score)
}

fn steps(a: &Step, b: &Step) -> bool {
    match (a, b) {
        (
            Step::Own {
                arith,
                steps,
                first,
            },
            Step::Own {
                arith: other_arith,
                steps: other,
                first: other_first,
            },
        ) => (arith, first) == (other_arith, other_first) && chains(steps, other),
        (Step::Clamp(a), Step::Clamp(b)) => clamps(*a, *b),
        (Step::Unary(a), Step::Unary(b)) => unary(*a, *b),
        (Step::With(a, operand), Step::With(b, other))
        | (Step::From(a, operand), Step::From(b, other)) => a == b && operands(operand, other),
        _ => false,
    }
}

fn unary(a: Unary, b: Unary) -> bool {
    match (a, b) {
        (Unary::HardSigmoid(a, c), Unary::HardSigmoid(b, d)) => one(a, b) && one(c, d),
        (Unary::LeakyRelu(a), Unary::LeakyRelu(b)) => one(a, b),
        // The others have no numbers.
        _ => a == b,
    }
}

fn operands(a: &Operand, b: &Operand) -> bool {
    match (a, b) {
        (Operand::One(a), Operand::One(b)) => one(*a, *b),
        (Operand::Channels(a), Operand::Channels(b))
        | (Operand::Columns(a), Operand::Columns(b))
        | (Operand::All(a), Operand::All(b)) => floats(a, b),
        _ => false,
    }
}

fn grids(a: Grid, b: Grid) -> bool {
    let Grid {
        scale,
        zero,
        signed,
    } = a;
    one(scale, b.scale) && (zero, signed) == (b.zero, b.signed)
}

fn joints(a: &Joint, b: &Joint) -> bool {
    let Joint {
        factors,
        offset,
        round,
    } = a;
    floats(factors, &b.factors) && one(*offset, b.offset) && *round == b.round
}

fn epilogues(a: &Epilogue, b: &Epilogue) -> bool {
    let Epilogue {
        factor,
        offset,
        end,
    } = a;
    let ends = match (end, &b.end) {
        (End::Floats(a), End::Floats(b)) => clamps(*a, *b),
        (End::Bytes(a), End::Bytes(b)) => a == b,
        (End::Sum(a, joint), End::Sum(b, other)) => a == b && joints(joint, other),
        _ => false,
    };
    ends && floats(factor, &b.factor) && floats(offset, &b.offset)
}

fn byte_filters(a: &ByteFilter, b: &ByteFilter) -> bool {
    // Integers alone.
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_their_bits() {
        let nan = f32::from_bits(0x7fc0_0001);
        assert!(floats(&[0.0, nan, 1.5], &[0.0, nan, 1.5]));
        assert!(!floats(&[0.0], &[-0.0]));
        assert!(!floats(&[nan], &[f32::NAN]));
        assert!(!floats(&[1.0], &[1.0, 2.0]));
        let long = vec![1.0_f32; 1000];
        for place in [0, 255, 256, 999] {
            let mut other = long.clone();
            other[place] = f32::from_bits(1.0_f32.to_bits() + 1);
            assert!(!floats(&long, &other), "{place}");
        }
    }

    #[test]
    fn constants_count_as_weights_do() {
        let step = |value| Op::Pointwise(vec![Step::Unary(Unary::LeakyRelu(value))]);
        assert!(same(&step(0.0), &step(0.0)));
        assert!(!same(&step(0.0), &step(-0.0)));
        let relu = |low| Op::Pointwise(vec![Step::Clamp(Clamp { low, ..Clamp::RELU })]);
        assert!(same(&relu(0.0), &relu(0.0)));
        assert!(!same(&relu(0.0), &relu(-0.0)));
        assert!(!same(&relu(0.0), &step(0.0)));
        let grid = |scale, zero| {
            Op::ToBytes(Grid {
                scale,
                zero,
                signed: true,
            })
        };
        assert!(same(&grid(0.5, 7), &grid(0.5, 7)));
        assert!(!same(&grid(0.5, 7), &grid(0.25, 7)));
        assert!(!same(&grid(0.5, 7), &grid(0.5, 8)));
    }
}
