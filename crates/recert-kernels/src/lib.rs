//! Inference for image classifiers in float32 and in 8-bit integers, with the
//! same bits on every processor.
//!
//! This crate computes the convolutional networks and the transformers that
//! classify images, one thread a worker, faster than a general engine and with a promise that none
//! makes: **an image's outputs are the same bits whatever the batch, the
//! processor and the number of workers.** It knows neither the other engines
//! nor what the answers are for.
//!
//! - [`Program`] is a network made ready: constants folded, normalisation
//!   folded into weights, activations and residuals fused into the layers
//!   before them, weights packed, buffers planned. What it cannot compute it
//!   refuses by node and operator, which depends on the network alone.
//! - [`Executor`] runs it. Nothing is allocated but the outputs.
//! - [`Shared`] is several networks that begin with the same layers, such as
//!   those fine-tuned from one: its [`SharedExecutor`]s compute these layers
//!   once for an image, to the same bits as ever.
//!
//! # How
//!
//! Tensors lie in blocks of 16 channels, `[block][row][column][16]`, on every
//! processor: one register of AVX-512, two of AVX2, an array elsewhere. A
//! convolution holds a few pixels by one or two blocks of outputs in
//! registers, and adds up input by input, each a broadcast and a fused
//! multiply-add. Quantized tensors lie likewise, in bytes; there, four inputs
//! are a broadcast and one instruction of VNNI, or a few others. A few images
//! go through the network at a time, layer by layer, so that weights and
//! activations stay in the second-level cache.
//!
//! Kernels are safe code, written once over the vectors of any instruction set.
//! The instruction set is a token that only its detection makes ([`Isa`]), and
//! kernels read and write slices. What is unsafe is in two places: the call of
//! code compiled for a token's features (`simd/token.rs`), and the reads of the
//! innermost loops, whose bounds are checked once a tile (`simd/taps.rs`).
//!
//! # Why the bits are the same
//!
//! Every output of a layer is a sum that begins with the bias and takes one
//! fused multiply-add a weight, in an order that is a function of the layer's
//! shape: input blocks, in each rows and columns of the kernel, in each of
//! these channels. Tiles, passes and groups of images only decide when a sum
//! goes on, and it goes on from the very float32 that it was left at. Lanes
//! meet in one place alone: the sums of `LayerNormalization` and of attention's
//! weights are taken in sixteen lanes on every processor, and these added up in
//! one order. Fused multiply-adds, the other operations of IEEE 754 and the
//! functions of `libm` are exact in the same way everywhere; so are the
//! polynomials for `Erf`, `Gelu` and attention's exponentials, whose errors are
//! at most 2^-22 of the value (of `|x|` for `Gelu` of a negative number), which
//! the tests demand against float64. Rows of the
//! kernel that lie in the padding are left out, columns there are multiplied by
//! zero, everywhere alike. The bits of a NaN are not promised, but that it is
//! one is.
//!
//! Quantized layers add up integers, which is exact in any order: weights with
//! which a sum could leave int32 are left to float32, and no instruction
//! that saturates sums is used. What becomes of a sum, its
//! conversion to float32, one fused multiply-add, rounding half to even and
//! bounds, and as much again where a residual is added, is the same everywhere.
//!
//! [`ARITHMETIC`] names this order; it belongs to the identity of what was
//! computed.
//!
//! # Accuracy
//!
//! A sum of n products errs by at most n 2^-24 / (1 - n 2^-24) of the sum of
//! magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002,
//! eq. 3.5), which the tests demand against float64. No transform-domain
//! algorithm is used. Folding a normalisation into weights rounds each weight
//! once more.
//!
//! Quantized layers are those of ONNX's `DequantizeLinear`, layer,
//! `QuantizeLinear` over the real numbers, every quantization of the network
//! included, but for a few roundings of float32 (of weights, scales, the sum
//! and what it becomes): a number becomes the byte that it should unless it is
//! closer to the middle of two than 2^-21 of the magnitudes that it is the sum
//! of. A tensor that is held as bytes has no NaN: one that is quantized becomes
//! the least number of its grid.
//!
//! # What is computed
//!
//! Per image, the batch being the first axis throughout:
//!
//! | operators | limits |
//! |---|---|
//! | `Conv` | two-dimensional; any groups (those that are neither one, nor depthwise, nor of whole blocks are slow), strides, dilations, padding |
//! | `Gemm`, `MatMul` | of a vector, or of every row along the last axis, by a constant matrix; `MatMul` of two tensors, either constant, in stacks of any shape. A product, `Softmax` and a product are attention and computed as one: with factors of queries, keys and scores, constants added to scores, and whatever transpositions, reshapes and slices bring queries, keys and values there |
//! | `LayerNormalization` | also as `ReduceMean`, `Sub`, `Pow`, `Sqrt`, `Div` |
//! | `BatchNormalization`, `Dropout` | not in training mode |
//! | `MaxPool`, `AveragePool`, `GlobalAveragePool`, `GlobalMaxPool` | two-dimensional |
//! | `ReduceMean`, `ReduceSum`, `ReduceMax`, `Softmax` | not along the batch |
//! | `Add`, `Sub`, `Mul`, `Div`, `Sum` | |
//! | `Pow` | of exponents 1, 2, 3, 0.5, -0.5 and -1 |
//! | `Relu`, `Clip`, `LeakyRelu`, `HardSigmoid`, `HardSwish`, `Sigmoid`, `Tanh`, `Erf`, `Gelu`, `Exp`, `Log`, `Sqrt`, `Abs`, `Neg`, `Reciprocal`, `Floor`, `Ceil`, `Round` | |
//! | `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Transpose`, `Slice`, `Split`, `Gather`, `Pad`, `Concat`, `Identity` | images stay apart, but the batch may be at any axis or merged with others; padding by constants, gathering at known positions |
//! | `Expand`, `ConstantOfShape` | of constants |
//! | `QuantizeLinear`, `DequantizeLinear` | int8 and uint8. Computed in integers: `Conv` of weights that are 8-bit integers times a number a channel, stored as such or as float32 (in groups of one channel or of whole blocks), `Gemm` and `MatMul` likewise, `Relu` and `Clip` behind it, `Add` of two quantized tensors, `MaxPool`, `Slice`, `Pad` with zeros, global means, any function of one number between two quantizations, where a tensor has one scale. Everything else is computed as the numbers that they stand for |
//! | `DynamicQuantizeLinear` | as the numbers that they stand for |
//! | `Cast` | between float32, int32 and int64 |
//! | `ArgMax` | as an output |
//! | whatever `recert_graph` computes of constants | folded there |
//!
//! ```
//! use std::sync::Arc;
//! use recert_kernels::{Output, Program};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/groups.onnx");
//! let model = recert_graph::Model::read(path)?;
//! let signature = model.signature()?;
//! let output = signature.output.name.as_str();
//! let program = Arc::new(Program::compile(&model, &signature.input.name, &[output])?);
//! let images = vec![0.5; 2 * program.image_len()];
//! let outputs = program.executor().run(&images)?;
//! let Output::Floats { shape, values } = &outputs[0] else { unreachable!() };
//! assert_eq!(shape, &[2, 7]);
//! assert_eq!(values[..7], values[7..]);
//! # Ok(())
//! # }
//! ```

#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled for the instruction set of the function that it is inlined into"
)]

mod across;
mod conv;
mod depthwise;
mod error;
mod gemm;
mod grouped;
mod integer;
mod ir;
mod linear;
mod lower;
mod maths;
mod memory;
mod normalize;
mod pointwise;
mod pool;
mod product;
mod program;
mod rearrange;
mod rows;
mod schedule;
mod share;
mod simd;
mod tile;

pub use error::{Error, ErrorKind, Result};
pub use program::{Executor, Output, Program};
pub use share::{Member, Shared, SharedExecutor};
pub use simd::Isa;

/// The revision of the arithmetic. It changes whenever some bit of some
/// network's outputs may change, and with nothing else, but for one exception:
/// since version 0.2.0 constants that a file computes through `Exp`, `Log`, `Sigmoid`,
/// `Tanh`, `HardSigmoid` or `HardSwish` are rounded correctly.
pub const ARITHMETIC: &str = "2";

#[cfg(test)]
mod tests;
