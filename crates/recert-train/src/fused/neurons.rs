//! Sums over the neurons of a layer and a batch, of which Shi et al.'s regularisers are made.

use rayon::prelude::*;

use super::summed;
use crate::convolution::Scalar;
use crate::pool;
use crate::product::vectorized;

/// Elements of a partial sum, however many threads there are.
const TASK: usize = 1 << 14;

/// How many sums there are: of radii; of the centres of active neurons, and the negative of that
/// of inactive ones; of the squared distances of active ones' centres from the mean centre, and of
/// inactive ones'.
pub(super) const SUMS: usize = 5;

/// The sum of a term of all pairs.
fn total<E: Scalar>(centre: &[E], radius: &[E], term: impl Fn(E, E) -> E + Sync) -> E {
    let tasks = centre.par_chunks(TASK).zip(radius.par_chunks(TASK));
    let partial: Vec<E> = tasks
        .map(|(centre, radius)| {
            vectorized(
                #[inline(always)]
                || summed(centre, radius, &term),
            )
        })
        .collect();
    partial.into_iter().fold(E::zero(), |sum, part| sum + part)
}

/// Whether a neuron is active, and whether it is inactive, as numbers.
#[inline(always)]
fn sides<E: Scalar>(centre: E, radius: E) -> [E; 2] {
    let one = |holds| if holds { E::one() } else { E::zero() };
    [one(centre > radius), one(centre + radius < E::zero())]
}

fn mean<E: Scalar>(centre: &[E]) -> E {
    total(centre, centre, |c, _| c) / E::from_double(centre.len() as f64)
}

pub(super) fn sums<E: Scalar>(centre: &[E], radius: &[E]) -> Vec<E> {
    let mean = mean(centre);
    let squared = |side: usize| {
        move |c: E, r: E| {
            let distance = c - mean;
            sides(c, r)[side] * distance * distance
        }
    };
    let sums: [E; SUMS] = [
        total(centre, radius, |_, r| r),
        total(centre, radius, |c, r| c * sides(c, r)[0]),
        E::zero() - total(centre, radius, |c, r| c * sides(c, r)[1]),
        total(centre, radius, squared(0)),
        total(centre, radius, squared(1)),
    ];
    sums.to_vec()
}

pub(super) fn sums_back<E: Scalar>(centre: &[E], radius: &[E], g: &[E]) -> [Vec<E>; 2] {
    let count = E::from_double(centre.len() as f64);
    let two = E::from_double(2.0);
    let mean = mean(centre);
    // Of the mean, of which the distances are taken.
    let moved = [0, 1].map(|side| {
        let sum = total(centre, radius, |c, r| (c - mean) * sides(c, r)[side]);
        two * sum / count
    });
    let shared = g[3] * moved[0] + g[4] * moved[1];
    let mut by_centre = pool::room(centre.len());
    (by_centre.par_chunks_mut(TASK))
        .zip(centre.par_chunks(TASK).zip(radius.par_chunks(TASK)))
        .for_each(|(by_centre, (centre, radius))| {
            vectorized(
                #[inline(always)]
                || {
                    let neurons = centre.iter().zip(radius);
                    for (by_centre, (&c, &r)) in by_centre.iter_mut().zip(neurons) {
                        let [active, inactive] = sides(c, r);
                        let distance = two * (c - mean);
                        *by_centre = active * (g[1] + g[3] * distance)
                            - inactive * (g[2] - g[4] * distance)
                            - shared;
                    }
                },
            );
        });
    let mut by_radius = pool::room(centre.len());
    by_radius.fill(g[0]);
    [by_centre, by_radius]
}
