//! Numbers of each channel and the planes of images.

use rayon::prelude::*;

use super::summed;
use crate::convolution::Scalar;
use crate::pool;
use crate::product::vectorized;

/// Into how many groups of consecutive rows sums over rows are made, however many threads there are.
const GROUPS: usize = 16;

/// Rows of `columns` elements, each channel times its factor plus its term.
pub(super) fn affine<E: Scalar>(x: &[E], factors: &[E], terms: &[E], columns: usize) -> Vec<E> {
    let plane = columns / factors.len();
    let mut y = pool::room(x.len());
    let rows = y.par_chunks_mut(columns).zip(x.par_chunks(columns));
    rows.for_each(|(y, x)| {
        vectorized(
            #[inline(always)]
            || {
                let numbers = factors.iter().zip(terms);
                for ((y, x), (&factor, &term)) in
                    y.chunks_mut(plane).zip(x.chunks(plane)).zip(numbers)
                {
                    y.iter_mut()
                        .zip(x)
                        .for_each(|(y, &x)| *y = x * factor + term);
                }
            },
        );
    });
    y
}

pub(super) fn affine_back<E: Scalar>(
    x: &[E],
    factors: &[E],
    columns: usize,
    g: &[E],
    [by_x, by_factors, by_terms]: [bool; 3],
) -> [Option<Vec<E>>; 3] {
    let channels = factors.len();
    let zeros = vec![E::zero(); channels];
    [
        by_x.then(|| affine(g, factors, &zeros, columns)),
        by_factors.then(|| sums_of(g, x, columns, channels, |g, x| g * x)),
        by_terms.then(|| sums(g, columns, channels)),
    ]
}

/// The sum of each channel over all rows.
pub(super) fn sums<E: Scalar>(g: &[E], columns: usize, channels: usize) -> Vec<E> {
    sums_of(g, g, columns, channels, |g, _| g)
}

/// The sum of a term of each channel over all rows.
fn sums_of<E: Scalar>(
    a: &[E],
    b: &[E],
    columns: usize,
    channels: usize,
    term: impl Fn(E, E) -> E + Sync,
) -> Vec<E> {
    let plane = columns / channels;
    let group = (a.len() / columns).div_ceil(GROUPS).max(1) * columns;
    let groups = a.par_chunks(group).zip(b.par_chunks(group));
    let partial: Vec<Vec<E>> = groups
        .map(|(a, b)| {
            let mut sums = vec![E::zero(); channels];
            vectorized(
                #[inline(always)]
                || {
                    for (a, b) in a.chunks(columns).zip(b.chunks(columns)) {
                        if plane == 1 {
                            let pairs = a.iter().zip(b);
                            let sums = sums.iter_mut().zip(pairs);
                            sums.for_each(|(sum, (&a, &b))| *sum += term(a, b));
                            continue;
                        }
                        let planes = a.chunks(plane).zip(b.chunks(plane));
                        for (sum, (a, b)) in sums.iter_mut().zip(planes) {
                            *sum += summed(a, b, &term);
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let mut total = vec![E::zero(); channels];
    for sums in partial {
        total
            .iter_mut()
            .zip(sums)
            .for_each(|(total, sum)| *total += sum);
    }
    total
}

/// The sum of each row's elements, each times the term of its channel.
pub(super) fn terms<E: Scalar>(a: &[E], terms: &[E], columns: usize) -> Vec<E> {
    let plane = columns / terms.len();
    let rows = a.par_chunks(columns).map(|a| {
        vectorized(
            #[inline(always)]
            || {
                let mut sum = E::zero();
                for (a, &term) in a.chunks(plane).zip(terms) {
                    sum += summed(a, a, |a, _| a) * term;
                }
                sum
            },
        )
    });
    rows.collect()
}

pub(super) fn terms_back<E: Scalar>(a: &[E], terms: &[E], columns: usize, g: &[E]) -> [Vec<E>; 2] {
    let plane = columns / terms.len();
    let mut by_a = pool::room(a.len());
    let rows = by_a.par_chunks_mut(columns).zip(g);
    rows.for_each(|(by_a, &g)| {
        for (by_a, &term) in by_a.chunks_mut(plane).zip(terms) {
            by_a.fill(g * term);
        }
    });
    let group = g.len().div_ceil(GROUPS).max(1);
    let partial: Vec<Vec<E>> = (a.par_chunks(group * columns))
        .zip(g.par_chunks(group))
        .map(|(a, g)| {
            let mut sums = vec![E::zero(); terms.len()];
            vectorized(
                #[inline(always)]
                || {
                    for (a, &g) in a.chunks(columns).zip(g) {
                        for (sum, a) in sums.iter_mut().zip(a.chunks(plane)) {
                            *sum += summed(a, a, |a, _| a) * g;
                        }
                    }
                },
            );
            sums
        })
        .collect();
    let mut by_terms = vec![E::zero(); terms.len()];
    for sums in partial {
        by_terms
            .iter_mut()
            .zip(sums)
            .for_each(|(total, sum)| *total += sum);
    }
    [by_a, by_terms]
}
