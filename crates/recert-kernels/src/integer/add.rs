//! The sum of two quantized tensors, on a grid of its own.

use super::end::{Joint, write};
use super::layout::Bytes;
use crate::simd::{IntKernel, Ints, Isa, LANES, Vectors};

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
        self.isa.run_ints(Addition {
            op: self,
            a,
            b,
            output,
        });
    }
}

/// One image's tensors.
struct Addition<'a> {
    op: &'a Sum,
    a: &'a [u8],
    b: &'a [u8],
    output: &'a mut [u8],
}

impl IntKernel for Addition<'_> {
    #[inline(always)]
    fn run<N: Ints>(mut self, ints: N) {
        let to = self.op.output;
        for block in 0..to.blocks() {
            for y in 0..to.height {
                let mut x = 0;
                while x < to.width {
                    if x + 4 <= to.width {
                        self.pixels::<N, 4>(ints, [block, y, x]);
                        x += 4;
                    } else {
                        self.pixels::<N, 1>(ints, [block, y, x]);
                        x += 1;
                    }
                }
            }
        }
    }
}

impl Addition<'_> {
    /// Computes `P` pixels of a row.
    #[inline(always)]
    fn pixels<N: Ints, const P: usize>(&mut self, ints: N, [block, y, x]: [usize; 3]) {
        let floats = ints.floats();
        let Sum { joint, zero, .. } = self.op;
        let a = &self.a[self.op.a.offset(block, y, x)..].as_chunks().0[..P];
        let b = &self.b[self.op.b.offset(block, y, x)..].as_chunks().0[..P];
        let zero = floats.splat(-f32::from(*zero));
        let one = floats.splat(joint.factors[0]);
        let other = floats.splat(joint.factors[1]);
        let mut numbers = [floats.splat(joint.offset); P];
        for (number, (a, b)) in numbers.iter_mut().zip(a.iter().zip(b)) {
            let first = floats.add(ints.float(ints.widen(a)), zero);
            let second = ints.float(ints.widen(b));
            *number = floats.fma(first, one, floats.fma(second, other, *number));
        }
        let output = &mut self.output[self.op.output.offset(block, y, x)..];
        write(ints, &numbers, joint.round, output.as_chunks_mut().0);
    }
}
