//! Layers of quantized networks in 8-bit integers.
//!
//! A quantized tensor is held as `u8`: an int8 is shifted by 128, and so is
//! its zero point, which changes nothing that it stands for. Weights are int8.
//! Products are summed in int32, which no sum can leave: [`ByteFilter`]
//! refuses weights with which one could. So sums are exact, in any order and by any
//! instruction. What follows is the same few operations of IEEE 754 on
//! float32 everywhere: conversion, fused multiply-add, rounding half to even.

mod add;
mod conv;
mod convert;
mod depthwise;
mod end;
mod filter;
mod gemm;
mod layout;
mod pool;
mod tile;

pub(crate) use add::Sum;
pub(crate) use conv::{Dense, Target, Tensors};
pub(crate) use convert::{FromBytes, Map, Source, ToBytes};
pub(crate) use depthwise::ByteDepthwise;
pub(crate) use end::{End, Epilogue, Joint, Round};
pub(crate) use filter::ByteFilter;
pub(crate) use gemm::ByteGemm;
pub(crate) use layout::{Bytes, Grid, bytes, bytes_mut};
pub(crate) use pool::{ByteMax, ByteMeans};

#[cfg(test)]
mod tests;
