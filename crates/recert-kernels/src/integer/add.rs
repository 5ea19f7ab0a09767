//! The sum of two quantized tensors, on a grid of its own.
#![expect(unsafe_code, reason = "it works with pointers")]

use super::end::Joint;
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
    let Sum {
        joint, output: to, ..
    } = op;
    for block in 0..to.blocks() {
        for y in 0..to.height {
            for x in (0..to.width).step_by(4) {
                let count = (to.width - x).min(4);
                // SAFETY: the caller vouches for the instruction set and the
                // slices; the pixels lie in their rows.
                unsafe {
                    let a = a.as_ptr().add(op.a.at(block, y, x));
                    let b = b.as_ptr().add(op.b.at(block, y, x));
                    let zero = N::F::splat(-f32::from(op.zero));
                    let factors = joint.factors.map(|factor| N::F::splat(factor));
                    let offset = N::F::splat(joint.offset);
                    let four = [0, 1, 2, 3].map(|p| {
                        let p = p.min(count - 1) * LANES;
                        let a = N::F::add(N::float(N::widen(a.add(p))), zero);
                        let b = N::float(N::widen(b.add(p)));
                        N::F::fma(a, factors[0], N::F::fma(b, factors[1], offset))
                    });
                    let bytes = N::narrow(four, &joint.round);
                    N::store(output.as_mut_ptr().add(to.at(block, y, x)), bytes, count);
                }
            }
        }
    }
}
