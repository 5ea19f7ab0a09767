//! Weights as integers: found again in the floats that stand for them.
//!
//! Networks hold quantized weights as integers that are dequantized, or as the
//! float32 that came of it. Both are read as float32. Each output channel's
//! weights are integers times one number, and are read off from the ratios to
//! the largest one. Where they are on no such grid to within a few roundings
//! of float32, the layer is none of integers.

use crate::conv::Filter;

/// The largest weight looked for, an asymmetric 8-bit one's: 255 less a zero
/// point of 0.
const LARGEST: i32 = 255;

/// How far a weight may be off its grid, as a part of itself: two roundings,
/// of the weight and of the number that the grid is read off from.
const TOLERANCE: f64 = 2.4e-7;

/// The numbers of a convolution in integers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ByteFilter {
    pub(crate) outputs: usize,
    /// Input channels a group.
    pub(crate) inputs: usize,
    pub(crate) groups: usize,
    /// `[outputs, inputs, rows, columns]`, from -255 to 255.
    pub(crate) weights: Vec<i16>,
    /// The sum that the zero point of the input makes, to be taken away: one
    /// an output channel.
    pub(crate) start: Vec<i32>,
}

impl ByteFilter {
    /// The filter and each channel's step, for inputs whose zero point is
    /// `zero`; `None` where weights are on no grid, or a sum could leave int32.
    pub(crate) fn new(filter: &Filter, zero: u8) -> Option<(Self, Vec<f64>)> {
        let row = filter.weights.len() / filter.outputs;
        let mut steps = Vec::with_capacity(filter.outputs);
        let mut weights = Vec::with_capacity(filter.weights.len());
        let mut start = Vec::with_capacity(filter.outputs);
        for values in filter.weights.chunks_exact(row) {
            let step = step(values)?;
            steps.push(step);
            let integers = values
                .iter()
                .map(|&w| (f64::from(w) / step).round_ties_even() as i16);
            let first = weights.len();
            weights.extend(integers);
            let of_output = &weights[first..];
            let sum: i64 = of_output.iter().map(|&w| i64::from(w)).sum();
            let size: i64 = of_output.iter().map(|&w| i64::from(w).abs()).sum();
            // The start, and products of either sign in any order.
            if 2 * 255 * size > i64::from(i32::MAX) {
                return None;
            }
            start.push(i32::try_from(-i64::from(zero) * sum).ok()?);
        }
        let filter = Self {
            outputs: filter.outputs,
            inputs: filter.inputs,
            groups: filter.groups,
            weights,
            start,
        };
        Some((filter, steps))
    }

    /// The largest size of each channel's sum, less what the zero point makes.
    pub(crate) fn most(&self) -> Vec<i64> {
        let row = self.weights.len() / self.outputs;
        let size = |row: &[i16]| 255 * row.iter().map(|&w| i64::from(w).abs()).sum::<i64>();
        self.weights.chunks_exact(row).map(size).collect()
    }

    /// Whether it is one input channel an output channel.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.outputs == self.groups
    }
}

/// The largest number of which all values are multiples by integers up to
/// [`LARGEST`].
fn step(values: &[f32]) -> Option<f64> {
    let largest = values
        .iter()
        .fold(0.0_f64, |most, &v| most.max(f64::from(v).abs()));
    if largest == 0.0 {
        return Some(1.0);
    }
    if !(largest.is_finite() && largest >= f64::from(f32::MIN_POSITIVE) * f64::from(LARGEST)) {
        return None;
    }
    (1..=LARGEST)
        .map(|count| largest / f64::from(count))
        .find(|step| {
            values.iter().all(|&value| {
                let value = f64::from(value);
                let nearest = (value / step).round_ties_even() * step;
                (value - nearest).abs() <= TOLERANCE * value.abs()
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(weights: Vec<f32>) -> Filter {
        Filter {
            outputs: 1,
            inputs: weights.len(),
            groups: 1,
            weights,
            bias: vec![0.0],
        }
    }

    #[test]
    fn integers_are_found_again_whatever_their_step() {
        for seed in 1..400_u32 {
            let step = f32::from_bits(0x3800_0000 + seed * 0x0001_2345);
            let integers: Vec<i16> = (0..40)
                .map(|i| ((seed * 7919 + i * i * 104_729) % 255) as i16 - 127)
                .chain([0, 127, 126])
                .collect();
            let weights: Vec<f32> = integers.iter().map(|&q| f32::from(q) * step).collect();
            let (found, steps) = ByteFilter::new(&filter(weights.clone()), 3).unwrap();
            assert_eq!(found.weights, integers);
            for (q, w) in integers.iter().zip(&weights) {
                let error = (f64::from(*q) * steps[0] - f64::from(*w)).abs();
                assert!(error <= TOLERANCE * f64::from(w.abs()));
            }
            let sum: i32 = integers.iter().map(|&q| i32::from(q)).sum();
            assert_eq!(found.start, [-3 * sum]);
        }
    }

    #[test]
    fn what_is_on_no_grid_is_none_of_integers() {
        assert!(ByteFilter::new(&filter(vec![0.1, 0.7312, -0.333_33, 0.911]), 0).is_none());
        assert!(ByteFilter::new(&filter(vec![1.0, f32::NAN]), 0).is_none());
        assert!(ByteFilter::new(&filter(vec![1.0, f32::INFINITY]), 0).is_none());
        assert!(ByteFilter::new(&filter(vec![256.0, 1.0]), 0).is_none());
        // Sums that would leave int32.
        let long = |count| filter([1.0, 127.0].repeat(count));
        assert!(ByteFilter::new(&long(20_000), 0).is_some());
        assert!(ByteFilter::new(&long(40_000), 0).is_none());
    }

    #[test]
    fn zeros_are_zeros() {
        let (found, _) = ByteFilter::new(&filter(vec![0.0, -0.0]), 200).unwrap();
        assert_eq!((found.weights, found.start), (vec![0, 0], vec![0]));
    }
}
