//! What becomes of an exact sum: the number it stands for, on the grid of the
//! tensor that it goes to.

use super::layout::Grid;
use crate::simd::{ByteLanes, Floats, Ints, Lanes, Vectors};
use crate::tile::Clamp;

/// No number that is rounded may be beyond this, where conversion to int32
/// would no longer be the same everywhere.
const MOST: f64 = 1e9;

/// From a number in units of a grid, counted from its zero, to a byte:
/// rounded, the zero point added, in bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) zero: u8,
    /// The bounds of an activation before the rounding, as bytes.
    pub(crate) low: u8,
    pub(crate) high: u8,
}

impl Round {
    /// To `grid`, after `clamp`: rounding is monotonic, so that it may come
    /// before the bounds, rounded themselves. `None` for bounds of NaN.
    pub(crate) fn new(grid: Grid, clamp: Clamp) -> Option<Self> {
        if clamp.low.is_nan() || clamp.high.is_nan() {
            return None;
        }
        Some(Self {
            zero: grid.zero,
            low: grid.byte(clamp.low),
            high: grid.byte(clamp.high),
        })
    }

    /// The bounds, counted from the zero point.
    fn centred(self) -> Clamp {
        let bound = |byte: u8| f32::from(byte) - f32::from(self.zero);
        Clamp {
            low: bound(self.low),
            high: bound(self.high),
        }
    }
}

/// A sum of two quantized tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Joint {
    /// What a step of either tensor is in steps of the result.
    pub(crate) factors: [f32; 2],
    /// What the second one's zero point makes, in the same.
    pub(crate) offset: f32,
    pub(crate) round: Round,
}

impl Joint {
    /// `a + b`, then `clamp`, on `grid`. `None` where numbers are too large.
    pub(crate) fn new(a: Grid, b: Grid, clamp: Clamp, grid: Grid) -> Option<Self> {
        let factor = |term: Grid| f64::from(term.scale) / f64::from(grid.scale);
        let factors = [factor(a), factor(b)];
        let small = factors.iter().all(|f| (0.0..MOST / 600.0).contains(f));
        small.then_some(())?;
        Some(Self {
            factors: factors.map(|f| f as f32),
            offset: (-f64::from(b.zero) * factors[1]) as f32,
            round: Round::new(grid, clamp)?,
        })
    }
}

/// Where a sum goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// To float32, in bounds.
    Floats(Clamp),
    /// To a byte.
    Bytes(Round),
    /// To a byte, to which a residual's is added, to another byte.
    Sum(Round, Joint),
}

/// A number for each output channel: `factor * sum + offset`, in units of the
/// grid it goes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Epilogue {
    pub(crate) factor: Vec<f32>,
    pub(crate) offset: Vec<f32>,
    pub(crate) end: End,
}

impl Epilogue {
    /// For sums whose unit is `units` of a channel and whose size is at most
    /// `most`, a bias, and the step of the grid; `None` where a number could
    /// be too large or be lost among those that are not normal.
    pub(crate) fn new(
        units: &[f64],
        most: &[i64],
        bias: &[f32],
        step: f64,
        end: End,
    ) -> Option<Self> {
        let mut epilogue = Self {
            factor: Vec::with_capacity(units.len()),
            offset: Vec::with_capacity(units.len()),
            end,
        };
        for ((unit, &most), &bias) in units.iter().zip(most).zip(bias) {
            let (factor, offset) = (unit / step, f64::from(bias) / step);
            let largest = (factor * most as f64).abs() + offset.abs();
            let bounded = largest < MOST || matches!(end, End::Floats(_));
            // Not so for NaN either.
            if !(bounded && largest < f64::from(f32::MAX) && factor >= f64::from(f32::MIN_POSITIVE))
            {
                return None;
            }
            epilogue.factor.push(factor as f32);
            epilogue.offset.push(offset as f32);
        }
        Some(epilogue)
    }
}

/// Writes `P` pixels of one block of channels to the start of `output`, bytes
/// or float32: the numbers that sums stand for by their factors and offsets.
/// `residual` is there for a sum with one.
#[inline(always)]
pub(super) fn finish<N: Ints, const P: usize>(
    ints: N,
    end: &End,
    sums: [N::I; P],
    [factor, offset]: [&Lanes; 2],
    output: &mut [u8],
    residual: Option<&[u8]>,
) {
    let floats = ints.floats();
    let (factor, offset) = (floats.load(factor), floats.load(offset));
    let mut numbers = [offset; P];
    for (number, &sum) in numbers.iter_mut().zip(&sums) {
        *number = floats.fma(ints.float(sum), factor, offset);
    }
    match end {
        End::Floats(clamp) => {
            let output = output.as_chunks_mut::<{ size_of::<Lanes>() }>().0;
            for (output, &number) in output[..P].iter_mut().zip(&numbers) {
                *output = bytemuck::must_cast(floats.lanes(clamp.apply(floats, number)));
            }
        }
        End::Bytes(round) => write(ints, &numbers, *round, output.as_chunks_mut().0),
        End::Sum(round, joint) => {
            let bounds = round.centred();
            let one = floats.splat(joint.factors[0]);
            let other = floats.splat(joint.factors[1]);
            let rest = floats.splat(joint.offset);
            let residual = residual.expect("a sum of two tensors has a residual");
            let residual = &residual.as_chunks().0[..P];
            for (number, residual) in numbers.iter_mut().zip(residual) {
                let first = ints.whole(bounds.apply(floats, *number));
                let second = ints.float(ints.widen(residual));
                *number = floats.fma(first, one, floats.fma(second, other, rest));
            }
            write(ints, &numbers, joint.round, output.as_chunks_mut().0);
        }
    }
}

/// Writes the bytes of `P` pixels of numbers to the start of `output`.
#[inline(always)]
pub(super) fn write<N: Ints, const P: usize>(
    ints: N,
    numbers: &[<N::F as Vectors>::V; P],
    round: Round,
    output: &mut [ByteLanes],
) {
    let output = &mut output[..P];
    let last = P - 1;
    for first in (0..P).step_by(4) {
        let four = [
            numbers[first],
            numbers[(first + 1).min(last)],
            numbers[(first + 2).min(last)],
            numbers[(first + 3).min(last)],
        ];
        let pixels = ints.pixels(ints.narrow(four, round));
        match output[first..].first_chunk_mut() {
            Some(four) => *four = pixels,
            None => output[first..].copy_from_slice(&pixels[..P - first]),
        }
    }
}
