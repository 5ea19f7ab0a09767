//! Kernels against plainer formulations of the same definitions: on arrays that
//! are really padded, and by indices that are really computed.

use proptest::prelude::*;

use super::super::array::{Array, for_each_index, strides};
use super::super::{conv, pool, rearrange};
use crate::{AxisSlice, Data, PadMode, Tensor, Window};

/// Small integers, on which sums in any order are exact.
fn numbers(shape: &[usize], seed: u64) -> Array<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 59) as f64 - 16.0
    };
    let count = shape.iter().product();
    Array::new(shape.to_vec(), (0..count).map(|_| next()).collect())
}

fn element(array: &Array<f64>, index: &[usize]) -> f64 {
    let steps = strides(&array.shape).into_iter().zip(index);
    array.data[steps.map(|(stride, i)| stride * i).sum::<usize>()]
}

fn tensor(array: &Array<f64>) -> Tensor {
    Tensor::new(array.shape.clone(), Data::Float64(array.data.clone())).unwrap()
}

/// The window of two axes with these paddings, over inputs of this size.
fn window(input: [usize; 2], axes: [[usize; 5]; 2], ceil: bool) -> Option<Window> {
    let mut window = Window {
        kernel: Vec::new(),
        strides: Vec::new(),
        dilations: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        output: Vec::new(),
    };
    for (input, [kernel, stride, dilation, before, after]) in input.into_iter().zip(axes) {
        let room = (input + before + after).checked_sub((kernel - 1) * dilation + 1)?;
        let mut output = if ceil {
            room.div_ceil(stride)
        } else {
            room / stride
        } + 1;
        // A window that begins in the padding after the input is dropped.
        if ceil && (output - 1) * stride >= input + before {
            output -= 1;
        }
        window.kernel.push(kernel);
        window.strides.push(stride);
        window.dilations.push(dilation);
        window.before.push(before);
        window.after.push(after);
        window.output.push(output);
    }
    Some(window)
}

/// One axis of a window: kernel, stride, dilation, padding before and after.
fn axis() -> impl Strategy<Value = [usize; 5]> {
    (1..4_usize, 1..4_usize, 1..3_usize, 0..3_usize, 0..3_usize).prop_map(
        |(kernel, stride, dilation, before, after)| {
            let most = kernel - 1;
            [kernel, stride, dilation, before.min(most), after.min(most)]
        },
    )
}

/// What an element of the window lies on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Input(f64),
    Padding,
    Beyond,
}

/// What is under one element of the window at an output index.
fn under(window: &Window, x: &Array<f64>, index: &[usize], tap: &[usize]) -> Place {
    let mut place = index.to_vec();
    let mut inside = true;
    for axis in 0..2 {
        let padded = index[2 + axis] * window.strides[axis] + tap[axis] * window.dilations[axis];
        let extent = x.shape[2 + axis];
        if padded >= window.before[axis] + extent + window.after[axis] {
            return Place::Beyond;
        }
        inside &= (window.before[axis]..window.before[axis] + extent).contains(&padded);
        place[2 + axis] = padded.wrapping_sub(window.before[axis]);
    }
    if inside {
        Place::Input(element(x, &place))
    } else {
        Place::Padding
    }
}

proptest! {
    #[test]
    fn broadcasting_repeats_what_has_extent_one(
        shape in prop::collection::vec(1..4_usize, 0..4),
        ones in prop::collection::vec(any::<bool>(), 8),
        cut in 0..4_usize,
    ) {
        let squeezed = |flags: &[bool]| -> Vec<usize> {
            let extents = shape.iter().zip(flags);
            extents.map(|(&extent, &one)| if one { 1 } else { extent }).collect()
        };
        let (a, b) = (numbers(&squeezed(&ones[..4]), 1), numbers(&squeezed(&ones[4..]), 2));
        let cut = cut.min(shape.len());
        // Leading axes of extent 1 may be left out.
        let leading = b.shape[..cut].iter().take_while(|&&extent| extent == 1).count();
        let b = Array::new(b.shape[leading..].to_vec(), b.data);
        let sums = a.zip(&b, |a, b| a - b).unwrap();
        for_each_index(&sums.shape, |index| {
            let of = |array: &Array<f64>| {
                let index = &index[index.len() - array.shape.len()..];
                let index = index.iter().zip(&array.shape);
                element(array, &index.map(|(i, extent)| i % extent).collect::<Vec<_>>())
            };
            assert_eq!(element(&sums, index), of(&a) - of(&b));
        });
    }

    #[test]
    fn slices_step_through_their_axes(
        extents in [1..6_usize, 1..6_usize, 1..6_usize],
        starts in [0..6_usize, 0..6_usize],
        steps in [1..4_isize, -3..0_isize],
    ) {
        let x = numbers(&extents, 3);
        let parts: Vec<AxisSlice> = [0, 2]
            .into_iter()
            .zip(starts.into_iter().zip(steps))
            .map(|(axis, (start, step))| {
                let start = start % extents[axis];
                let left = if step > 0 { extents[axis] - start } else { start + 1 };
                let count = left.div_ceil(step.unsigned_abs());
                AxisSlice { axis, start, count, step }
            })
            .collect();
        let y = rearrange::slice(&tensor(&x), &parts).unwrap();
        let mut expected = Vec::new();
        let along = |part: &AxisSlice| -> Vec<usize> {
            (0..part.count as isize)
                .map(|i| (part.start as isize + i * part.step) as usize)
                .collect()
        };
        for &i in &along(&parts[0]) {
            for j in 0..extents[1] {
                expected.extend(along(&parts[1]).iter().map(|&k| element(&x, &[i, j, k])));
            }
        }
        prop_assert_eq!(y.data(), &Data::Float64(expected));
    }

    #[test]
    fn padding_is_that_of_one_axis_after_the_other(
        extents in [2..5_usize, 2..5_usize],
        pads in [[-1..5_i64, -1..5_i64], [-1..5_i64, -1..5_i64]],
        mode in 0..4_usize,
    ) {
        let mode = [PadMode::Constant(7.0), PadMode::Edge, PadMode::Reflect, PadMode::Wrap][mode];
        let x = numbers(&extents, 4);
        let fill = tensor(&Array::scalar(7.0));
        prop_assume!((0..2).all(|axis| extents[axis] as i64 + pads[axis][0] + pads[axis][1] >= 0));
        let y = rearrange::pad(&tensor(&x), &pads, mode, &fill).unwrap();
        // An endless line of copies, each mirrored for `Reflect`.
        let line = |values: &[f64], [before, after]: [i64; 2]| -> Vec<f64> {
            let size = values.len() as i64;
            let mut cycle = values.to_vec();
            if mode == PadMode::Reflect {
                cycle.extend(values[1..values.len() - 1].iter().rev());
            }
            let value = |place: i64| match mode {
                _ if (0..size).contains(&place) => values[place as usize],
                PadMode::Constant(value) => value,
                PadMode::Edge if place < 0 => values[0],
                PadMode::Edge => values[values.len() - 1],
                _ => cycle[place.rem_euclid(cycle.len() as i64) as usize],
            };
            (-before..size + after).map(value).collect()
        };
        let rows: Vec<Vec<f64>> = x.data.chunks(extents[1]).map(|row| line(row, pads[1])).collect();
        let columns = (0..rows[0].len()).map(|j| {
            let column: Vec<f64> = rows.iter().map(|row| row[j]).collect();
            line(&column, pads[0])
        });
        let columns: Vec<Vec<f64>> = columns.collect();
        let height = columns.first().map_or(0, Vec::len);
        let expected = (0..height).flat_map(|i| columns.iter().map(move |column| column[i]));
        prop_assert_eq!(y.data(), &Data::Float64(expected.collect()));
    }

    #[test]
    fn pooling_is_that_of_the_padded_input(
        input in [1..7_usize, 1..7_usize],
        axes in [axis(), axis()],
        ceil in any::<bool>(),
        count_padding in any::<bool>(),
    ) {
        let Some(window) = window(input, axes, ceil) else { return Ok(()) };
        let x = numbers(&[1, 2, input[0], input[1]], 5);
        let (greatest, indices) = pool::max_pool(&x, &window, false);
        let mean = pool::average_pool(&x, &window, count_padding);
        for_each_index(&mean.shape, |index| {
            let (mut values, mut padding) = (Vec::new(), 0);
            for_each_index(&window.kernel, |tap| match under(&window, &x, index, tap) {
                Place::Input(value) => values.push(value),
                Place::Padding => padding += 1,
                Place::Beyond => {}
            });
            if values.is_empty() {
                return;
            }
            let top = values.iter().copied().fold(f64::MIN, f64::max);
            assert_eq!(element(&greatest, index), top);
            let count = values.len() + if count_padding { padding } else { 0 };
            assert_eq!(element(&mean, index), values.iter().sum::<f64>() / count as f64);
        });
        for (value, index) in greatest.data.iter().zip(&indices.data) {
            if value.is_finite() {
                prop_assert_eq!(*value, x.data[*index as usize]);
            }
        }
    }

    #[test]
    fn convolution_is_that_of_the_padded_input(
        input in [1..6_usize, 1..6_usize],
        axes in [axis(), axis()],
        groups in 1..3_usize,
    ) {
        let Some(window) = window(input, axes, false) else { return Ok(()) };
        let x = numbers(&[2, 2 * groups, input[0], input[1]], 6);
        let w = numbers(&[groups, 2, window.kernel[0], window.kernel[1]], 7);
        let bias = numbers(&[groups], 8);
        let y = conv::conv(&x, &w, Some(&bias), &window, groups).unwrap();
        for_each_index(&y.shape, |index| {
            let mut sum = bias.data[index[1]];
            for_each_index(&w.shape[1..], |tap| {
                // There is one output a group, so that the output numbers it.
                let from = [index[0], index[1] * 2 + tap[0], index[2], index[3]];
                if let Place::Input(value) = under(&window, &x, &from, &tap[1..]) {
                    sum += value * element(&w, &[index[1], tap[0], tap[1], tap[2]]);
                }
            });
            assert_eq!(element(&y, index), sum);
        });
    }

    /// `<conv(x), y> = <x, conv_transpose(y)>` for all x and y.
    #[test]
    fn transposed_convolution_is_the_adjoint(
        input in [1..6_usize, 1..6_usize],
        axes in [axis(), axis()],
        groups in 1..3_usize,
    ) {
        let Some(window) = window(input, axes, false) else { return Ok(()) };
        let x = numbers(&[1, 2 * groups, input[0], input[1]], 9);
        let w = numbers(&[3 * groups, 2, window.kernel[0], window.kernel[1]], 10);
        let there = conv::conv(&x, &w, None, &window, groups).unwrap();
        let y = numbers(&there.shape, 11);
        let transposed = Window { output: input.to_vec(), ..window };
        let back = conv::conv_transpose(&y, &w, None, &transposed, groups).unwrap();
        let product = |a: &Array<f64>, b: &Array<f64>| -> f64 {
            assert_eq!(a.shape, b.shape);
            a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
        };
        prop_assert_eq!(product(&there, &y), product(&x, &back));
    }
}
