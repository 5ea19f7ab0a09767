//! The innermost loops of products of matrices: a few rows by one or two blocks of columns, summed
//! in registers. As [`crate::tile`] with a kernel of one tap, to the same bits, with less to do
//! before and after a sum, which is short here.

use crate::simd::{FloatKernel, Floats, Lanes, Reach, Taps};

/// The most rows of a tile, and blocks of columns.
pub(crate) const MOST: [usize; 2] = [16, 2];

/// Rows of values by packed weights: every sum is the bias, then one fused multiply-add an input,
/// in order; then a residual.
pub(crate) struct Rows<'a> {
    /// From the first row's first value on.
    pub(crate) input: &'a [f32],
    /// From a row to the next one.
    pub(crate) stride: usize,
    /// How many rows, at most [`MOST`].
    pub(crate) count: usize,
    /// The values of a row.
    pub(crate) inputs: usize,
    /// `[input][block][16]`, of the set's blocks.
    pub(crate) weights: &'a [Lanes],
    /// Where sums begin, by block.
    pub(crate) bias: &'a [Lanes],
    /// How many blocks, at most [`MOST`].
    pub(crate) set: usize,
    /// Added to the sums, in the output's order.
    pub(crate) residual: Option<&'a [Lanes]>,
    /// From the first row's first block on.
    pub(crate) output: &'a mut [Lanes],
    /// From a row of the output to the next one, and from a block.
    pub(crate) steps: [usize; 2],
}

impl Rows<'_> {
    /// Computes the sums.
    #[inline(always)]
    pub(crate) fn run<S: Floats>(mut self, simd: S) {
        macro_rules! table {
            ($($p:literal)*) => {
                match (self.set, self.count) {
                    $((1, $p) => run::<S, $p, 1>(simd, &mut self),
                      (2, $p) => run::<S, $p, 2>(simd, &mut self),)*
                    (set, count) => unreachable!("no tile of {count} rows by {set} blocks"),
                }
            };
        }
        table!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    }
}

/// So many rows by so many blocks.
struct Sized<'r, 'a, const P: usize, const O: usize>(&'r mut Rows<'a>);

fn run<S: Floats, const P: usize, const O: usize>(simd: S, rows: &mut Rows<'_>) {
    // Known when this is compiled: no code is made for tiles that are too large.
    if const { P > S::TILE.pixels(O) } {
        unreachable!("a tile of {P} rows by {O} blocks is too large");
    }
    simd.run_floats(Sized::<P, O>(rows));
}

impl<const P: usize, const O: usize> FloatKernel for Sized<'_, '_, P, O> {
    #[inline(always)]
    fn run<S: Floats>(self, simd: S) {
        let Self(rows) = self;
        let reach = Reach {
            counts: [1; 3],
            strides: [0; 3],
            pixel: rows.stride,
            channels: rows.inputs,
        };
        let tap = Taps::<f32, P>::new(rows.input, reach).tap([0; 3], rows.inputs);
        let mut sums = [[simd.splat(0.0); O]; P];
        for (o, bias) in rows.bias[..O].iter().enumerate() {
            let bias = simd.load(bias);
            for sums in &mut sums {
                sums[o] = bias;
            }
        }
        let weights = &rows.weights.as_chunks::<O>().0[..rows.inputs];
        for (input, from) in weights.iter().enumerate() {
            let mut w = [simd.splat(0.0); O];
            for (w, from) in w.iter_mut().zip(from) {
                *w = simd.load(from);
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let x = simd.splat(*tap.get(input, p));
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = simd.fma(x, w, *sum);
                }
            }
        }
        let [down, along] = rows.steps;
        if let Some(residual) = rows.residual {
            for (p, sums) in sums.iter_mut().enumerate() {
                let residual = &residual[p * down..];
                for (o, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.add(*sum, simd.load(&residual[o * along]));
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let output = &mut rows.output[p * down..];
            for (o, sum) in sums.iter().enumerate() {
                output[o * along] = simd.lanes(*sum);
            }
        }
    }
}
