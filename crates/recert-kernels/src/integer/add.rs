//! The sum of two quantized tensors, on a grid of its own.
#![expect(unsafe_code, reason = "it works with pointers")]

use super::end::{Joint, write};
use super::layout::Bytes;
use super::simd::{Ints, integers};
use crate::simd::{Isa, LANES, Simd};

/// `a + b`, each dequantized, quantized.
pub(crate) struct Sum {
    pub(crate) joint: Joint,
    /// What stands for 0 in the first one.
    pub(crate) zero: u8,
    pub(crate) a: Bytes,
    pub(crate) b: Bytes,
    pub(crate) output: Bytes,
    pub(crate) isa: Isa,
}

impl Sum {
    /// Computes one image.
    pub(crate) fn run(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        assert!(self.output.fits(&self.a) && self.output.fits(&self.b));
        assert_eq!(self.output.lanes, LANES);
        assert!(a.len() >= self.a.size() && b.len() >= self.b.size());
        assert!(output.len() >= self.output.size());
        run(self.isa, self, a, b, output);
    }
}

integers! { fn run = generic(op: &Sum, a: &[u8], b: &[u8], output: &mut [u8]) }

/// # Safety
/// That of [`Ints`], and the slices must hold their tensors.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn generic<N: Ints>(op: &Sum, a: &[u8], b: &[u8], output: &mut [u8]) {
    let to = &op.output;
    for block in 0..to.blocks() {
        for y in 0..to.height {
            let mut x = 0;
            while x < to.width {
                // SAFETY: the caller vouches for the instruction set and the
                // slices; the pixels lie in their rows.
                unsafe {
                    if x + 4 <= to.width {
                        pixels::<N, 4>(op, [block, y, x], a, b, output);
                        x += 4;
                    } else {
                        pixels::<N, 1>(op, [block, y, x], a, b, output);
                        x += 1;
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`generic`], and `P` pixels from the one given must lie in the row.
#[expect(
    clippy::inline_always,
    reason = "it is compiled once an instruction set"
)]
#[inline(always)]
unsafe fn pixels<N: Ints, const P: usize>(
    op: &Sum,
    [block, y, x]: [usize; 3],
    a: &[u8],
    b: &[u8],
    output: &mut [u8],
) {
    let joint = &op.joint;
    // SAFETY: the caller vouches for all of it.
    unsafe {
        let a = a.as_ptr().add(op.a.at(block, y, x));
        let b = b.as_ptr().add(op.b.at(block, y, x));
        let zero = N::F::splat(-f32::from(op.zero));
        let one = N::F::splat(joint.factors[0]);
        let other = N::F::splat(joint.factors[1]);
        let mut numbers = [N::F::splat(joint.offset); P];
        for (p, number) in numbers.iter_mut().enumerate() {
            let own = N::F::add(N::float(N::widen(a.add(p * LANES))), zero);
            let second = N::float(N::widen(b.add(p * LANES)));
            *number = N::F::fma(own, one, N::F::fma(second, other, *number));
        }
        let to = output.as_mut_ptr().add(op.output.at(block, y, x));
        write::<N, P>(&numbers, joint.round, to);
    }
}
