//! What becomes of an exact sum: the number it stands for, on the grid of the
//! tensor that it goes to.
#![expect(unsafe_code, reason = "it works with pointers")]

use super::layout::Grid;
use super::simd::Ints;
use crate::simd::{LANES, Simd};
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
        let factor = |of: Grid| f64::from(of.scale) / f64::from(grid.scale);
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

/// Writes `P` pixels of one block of channels, `[pixel][16]`, bytes or
/// float32.
///
/// # Safety
/// That of [`Ints`]; `output` and, for a sum with a residual, `residual` must
/// hold as many pixels, `factor` and `offset` [`LANES`] values.
#[expect(clippy::inline_always, reason = "it runs in the innermost loops")]
#[inline(always)]
pub(super) unsafe fn finish<N: Ints, const P: usize>(
    end: &End,
    sums: [N::I; P],
    factor: *const f32,
    offset: *const f32,
    output: *mut u8,
    residual: *const u8,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        let (factor, offset) = (N::F::load(factor), N::F::load(offset));
        let mut numbers = [offset; P];
        for (number, &sum) in numbers.iter_mut().zip(&sums) {
            *number = N::F::fma(N::float(sum), factor, offset);
        }
        match end {
            End::Floats(clamp) => {
                #[expect(clippy::cast_ptr_alignment, reason = "stores need none")]
                let output = output.cast::<f32>();
                for (p, &number) in numbers.iter().enumerate() {
                    let to = output.add(p * LANES);
                    N::F::store(to, clamp.apply::<N::F>(number));
                }
            }
            End::Bytes(round) => write::<N, P>(&numbers, *round, output),
            End::Sum(round, joint) => {
                let bounds = round.centred();
                let one = N::F::splat(joint.factors[0]);
                let other = N::F::splat(joint.factors[1]);
                let rest = N::F::splat(joint.offset);
                for (p, number) in numbers.iter_mut().enumerate() {
                    let own = N::whole(bounds.apply::<N::F>(*number));
                    let second = N::float(N::widen(residual.add(p * LANES)));
                    *number = N::F::fma(own, one, N::F::fma(second, other, rest));
                }
                write::<N, P>(&numbers, joint.round, output);
            }
        }
    }
}

/// Writes the bytes of `P` pixels of numbers, `[pixel][16]`.
///
/// # Safety
/// That of [`Ints`]; `output` must hold as many.
#[expect(clippy::inline_always, reason = "it runs in the innermost loops")]
#[inline(always)]
pub(super) unsafe fn write<N: Ints, const P: usize>(
    numbers: &[<N::F as Simd>::V; P],
    round: Round,
    output: *mut u8,
) {
    let last = P - 1;
    for first in (0..P).step_by(4) {
        // No closure: it would be compiled without the instruction set.
        let four = [
            numbers[first],
            numbers[(first + 1).min(last)],
            numbers[(first + 2).min(last)],
            numbers[(first + 3).min(last)],
        ];
        // SAFETY: the caller vouches for all of it.
        unsafe {
            let bytes = N::narrow(four, round);
            N::store(output.add(first * LANES), bytes, (P - first).min(4));
        }
    }
}
