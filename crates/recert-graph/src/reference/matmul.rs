//! Matrix products.

use std::ops::{Add, Mul};

use super::array::{Array, broadcast, broadcast_offsets};
use super::{Result, wrong};

/// `MatMul`, as numpy defines it: stacks of matrices broadcast, and a vector is
/// a row on the left and a column on the right.
pub(super) fn matmul<T>(a: &Array<T>, b: &Array<T>) -> Result<Array<T>>
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    let misfit = || {
        wrong(format!(
            "matrices of shapes {:?} and {:?} cannot be multiplied",
            a.shape, b.shape
        ))
    };
    if a.shape.is_empty() || b.shape.is_empty() {
        return Err(misfit());
    }
    let (a_stack, [rows, depth]) = match a.shape[..] {
        [depth] => (&[][..], [1, depth]),
        [ref stack @ .., rows, depth] => (stack, [rows, depth]),
        [] => return Err(misfit()),
    };
    let (b_stack, [b_depth, columns]) = match b.shape[..] {
        [depth] => (&[][..], [depth, 1]),
        [ref stack @ .., depth, columns] => (stack, [depth, columns]),
        [] => return Err(misfit()),
    };
    if depth != b_depth {
        return Err(misfit());
    }
    let stack = broadcast(a_stack, b_stack)?;
    let mut shape = stack.clone();
    shape.extend((a.shape.len() > 1).then_some(rows));
    shape.extend((b.shape.len() > 1).then_some(columns));
    let mut y = vec![T::default(); shape.iter().product()];
    let lefts = broadcast_offsets(a_stack, &stack)?;
    let rights = broadcast_offsets(b_stack, &stack)?;
    for (matrix, (left, right)) in lefts.into_iter().zip(rights).enumerate() {
        let b = &b.data[right * depth * columns..][..depth * columns];
        for row in 0..rows {
            let a = &a.data[(left * rows + row) * depth..][..depth];
            let y = &mut y[(matrix * rows + row) * columns..][..columns];
            for (inner, &factor) in a.iter().enumerate() {
                let b = &b[inner * columns..][..columns];
                for (sum, &value) in y.iter_mut().zip(b) {
                    *sum = *sum + factor * value;
                }
            }
        }
    }
    Ok(Array::new(shape, y))
}

/// The matrix with rows and columns exchanged.
pub(super) fn transposed<T: Copy>(matrix: &Array<T>) -> Result<Array<T>> {
    let [rows, columns] = matrix.shape[..] else {
        return Err(wrong(format!("shape {:?} is no matrix's", matrix.shape)));
    };
    let order = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
    let data = order.map(|offset| matrix.data[offset]).collect();
    Ok(Array::new(vec![columns, rows], data))
}
