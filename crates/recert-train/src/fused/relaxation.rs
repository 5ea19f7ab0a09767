//! ReLUs on intervals, and rows of coefficients carried back through the lines around them.

use rayon::prelude::*;

use super::summed;
use crate::convolution::Scalar;
use crate::pool;
use crate::product::vectorized;

/// Neurons whose intervals are narrower than this have an upper line of slope 1, which is sound
/// and has bounded derivatives, where the chord's grow without bound.
pub(crate) const NARROW: f64 = 1e-6;

/// Elements of a task.
const TASK: usize = 1 << 14;

fn number<E: Scalar>(x: f64) -> E {
    E::from_double(x)
}

#[inline(always)]
fn positive<E: Scalar>(x: E) -> E {
    if x > E::zero() { x } else { E::zero() }
}

/// The centre, or the radius, of ReLUs' values on intervals.
pub(super) fn relu<E: Scalar, const CENTRE: bool>(centre: &[E], radius: &[E]) -> Vec<E> {
    let half = number::<E>(0.5);
    let mut made = pool::room(centre.len());
    (made.par_chunks_mut(TASK))
        .zip(centre.par_chunks(TASK).zip(radius.par_chunks(TASK)))
        .for_each(|(made, (centre, radius))| {
            vectorized(
                #[inline(always)]
                || {
                    for (made, (&c, &r)) in made.iter_mut().zip(centre.iter().zip(radius)) {
                        let (upper, lower) = (positive(c + r), positive(c - r));
                        *made = half * if CENTRE { upper + lower } else { upper - lower };
                    }
                },
            );
        });
    made
}

pub(super) fn relu_back<E: Scalar, const CENTRE: bool>(
    centre: &[E],
    radius: &[E],
    g: &[E],
) -> [Vec<E>; 2] {
    let half = number::<E>(0.5);
    let mut by_centre = pool::room(centre.len());
    let mut by_radius = pool::room(centre.len());
    (by_centre.par_chunks_mut(TASK))
        .zip(by_radius.par_chunks_mut(TASK))
        .zip(centre.par_chunks(TASK).zip(radius.par_chunks(TASK)))
        .zip(g.par_chunks(TASK))
        .for_each(|(((by_centre, by_radius), (centre, radius)), g)| {
            vectorized(
                #[inline(always)]
                || {
                    let made = by_centre.iter_mut().zip(by_radius.iter_mut());
                    let given = centre.iter().zip(radius).zip(g);
                    for ((by_centre, by_radius), ((&c, &r), &g)) in made.zip(given) {
                        let g = half * g;
                        let upper = if c + r > E::zero() { g } else { E::zero() };
                        let lower = if c - r > E::zero() { g } else { E::zero() };
                        let lower = if CENTRE { lower } else { E::zero() - lower };
                        *by_centre = upper + lower;
                        *by_radius = upper - lower;
                    }
                },
            );
        });
    [by_centre, by_radius]
}

/// The lines around a ReLU on its interval: the slope of that below, which goes through the
/// origin and is a constant, the slope of that above, and its offset.
#[derive(Debug, Clone, Copy)]
struct Line<E> {
    below: E,
    above: E,
    offset: E,
    /// The derivatives of `above` and of `offset`, by centre and radius each.
    slopes: [[E; 2]; 2],
}

impl<E: Scalar> Line<E> {
    #[inline(always)]
    fn of(centre: E, radius: E) -> Self {
        let (zero, one) = (E::zero(), E::one());
        let (lower, upper, width) = (centre - radius, centre + radius, radius + radius);
        let unstable = upper > zero && lower < zero;
        let wide = unstable && width > number(NARROW);
        // The slope is 1 where the interval reaches further up than down, which is so of an
        // active neuron, and 0 of an inactive one.
        let below = if upper > zero - lower { one } else { zero };
        let inverse = if wide { one / width } else { zero };
        let chord = if wide { upper * inverse } else { one };
        let above = if unstable { chord } else { below };
        let chord = if unstable { chord } else { zero };
        // Of the chord by centre and radius.
        let by = [inverse, zero - (centre + centre) * inverse * inverse];
        Self {
            below,
            above,
            offset: zero - chord * lower,
            slopes: [
                by,
                [zero - lower * by[0] - chord, zero - lower * by[1] + chord],
            ],
        }
    }
}

/// Lines of all neurons of an example, as vectors.
struct Lines<E> {
    below: Vec<E>,
    above: Vec<E>,
    offset: Vec<E>,
}

impl<E: Scalar> Lines<E> {
    fn room(count: usize) -> Self {
        let zeros = || vec![E::zero(); count];
        Self {
            below: zeros(),
            above: zeros(),
            offset: zeros(),
        }
    }

    #[inline(always)]
    fn fill(&mut self, centre: &[E], radius: &[E]) {
        let slots = self
            .below
            .iter_mut()
            .zip(&mut self.above)
            .zip(&mut self.offset);
        for (((below, above), offset), (&c, &r)) in slots.zip(centre.iter().zip(radius)) {
            let line = Line::of(c, r);
            (*below, *above, *offset) = (line.below, line.above, line.offset);
        }
    }
}

/// Derivatives by the slope above, or by the offset, as those by centre and radius.
#[inline(always)]
fn to_neurons<E: Scalar>(
    which: usize,
    sums: &[E],
    [centre, radius]: [&[E]; 2],
    [by_centre, by_radius]: [&mut [E]; 2],
) {
    let made = by_centre.iter_mut().zip(by_radius).zip(sums);
    for (((by_centre, by_radius), &sum), (&c, &r)) in made.zip(centre.iter().zip(radius)) {
        let slopes = Line::of(c, r).slopes[which];
        *by_centre = sum * slopes[0];
        *by_radius = sum * slopes[1];
    }
}

/// Rows carried back through ReLUs.
pub(super) fn relaxed<E: Scalar>(a: &[E], centre: &[E], radius: &[E], columns: usize) -> Vec<E> {
    let mut made = pool::room(a.len());
    let per_example = a.len() / centre.len() * columns;
    (made.par_chunks_mut(per_example))
        .zip(a.par_chunks(per_example))
        .zip(centre.par_chunks(columns).zip(radius.par_chunks(columns)))
        .for_each_init(
            || Lines::room(columns),
            |lines, ((made, a), (centre, radius))| {
                vectorized(
                    #[inline(always)]
                    || {
                        lines.fill(centre, radius);
                        for (made, a) in made.chunks_mut(columns).zip(a.chunks(columns)) {
                            let pairs = made
                                .iter_mut()
                                .zip(a)
                                .zip(lines.below.iter().zip(&lines.above));
                            for ((made, &a), (&below, &above)) in pairs {
                                *made = a * if a < E::zero() { above } else { below };
                            }
                        }
                    },
                );
            },
        );
    made
}

pub(super) fn relaxed_back<E: Scalar>(
    a: &[E],
    centre: &[E],
    radius: &[E],
    columns: usize,
    g: &[E],
) -> [Vec<E>; 3] {
    let per_example = a.len() / centre.len() * columns;
    back(
        a,
        centre,
        radius,
        columns,
        0,
        |example, a, lines, by_a, sums| {
            let g = g[example * per_example..][..per_example].chunks(columns);
            let rows = by_a.chunks_mut(columns).zip(a.chunks(columns)).zip(g);
            for ((by_a, a), g) in rows {
                let lines = lines.below.iter().zip(&lines.above);
                let elements = by_a.iter_mut().zip(sums.iter_mut()).zip(a.iter().zip(g));
                for (((by_a, sum), (&a, &g)), (&below, &above)) in elements.zip(lines) {
                    let negative = a < E::zero();
                    *by_a = g * if negative { above } else { below };
                    *sum += if negative { g * a } else { E::zero() };
                }
            }
        },
    )
}

/// What the lines above ReLUs add to rows.
pub(super) fn offsets<E: Scalar>(a: &[E], centre: &[E], radius: &[E], columns: usize) -> Vec<E> {
    let times = a.len() / centre.len();
    let mut made = vec![E::zero(); a.len() / columns];
    (made.par_chunks_mut(times))
        .zip(a.par_chunks(times * columns))
        .zip(centre.par_chunks(columns).zip(radius.par_chunks(columns)))
        .for_each_init(
            || Lines::room(columns),
            |lines, ((made, a), (centre, radius))| {
                vectorized(
                    #[inline(always)]
                    || {
                        lines.fill(centre, radius);
                        for (made, a) in made.iter_mut().zip(a.chunks(columns)) {
                            *made = summed(a, &lines.offset, |a, offset| {
                                offset * if a < E::zero() { a } else { E::zero() }
                            });
                        }
                    },
                );
            },
        );
    made
}

pub(super) fn offsets_back<E: Scalar>(
    a: &[E],
    centre: &[E],
    radius: &[E],
    columns: usize,
    g: &[E],
) -> [Vec<E>; 3] {
    let times = a.len() / centre.len();
    back(
        a,
        centre,
        radius,
        columns,
        1,
        |example, a, lines, by_a, sums| {
            let g = &g[example * times..][..times];
            for ((by_a, a), &g) in by_a.chunks_mut(columns).zip(a.chunks(columns)).zip(g) {
                let elements = by_a.iter_mut().zip(sums.iter_mut()).zip(a);
                for (((by_a, sum), &a), &offset) in elements.zip(&lines.offset) {
                    let negative = a < E::zero();
                    *by_a = if negative { g * offset } else { E::zero() };
                    *sum += if negative { g * a } else { E::zero() };
                }
            }
        },
    )
}

/// Derivatives by rows and by neurons' centres and radii; `each` writes those by an example's rows, and
/// adds those by the slopes above (`which` 0) or the offsets (1).
fn back<E: Scalar>(
    a: &[E],
    centre: &[E],
    radius: &[E],
    columns: usize,
    which: usize,
    each: impl Fn(usize, &[E], &Lines<E>, &mut [E], &mut [E]) + Sync,
) -> [Vec<E>; 3] {
    let per_example = a.len() / centre.len() * columns;
    let mut by_a = pool::room(a.len());
    let mut by_centre = pool::room(centre.len());
    let mut by_radius = pool::room(centre.len());
    let room = || (Lines::room(columns), vec![E::zero(); columns]);
    (by_a.par_chunks_mut(per_example))
        .zip(
            by_centre
                .par_chunks_mut(columns)
                .zip(by_radius.par_chunks_mut(columns)),
        )
        .zip(a.par_chunks(per_example))
        .zip(centre.par_chunks(columns).zip(radius.par_chunks(columns)))
        .enumerate()
        .for_each_init(
            room,
            |(lines, sums), (example, (((by_a, by), a), neurons))| {
                vectorized(
                    #[inline(always)]
                    || {
                        lines.fill(neurons.0, neurons.1);
                        sums.fill(E::zero());
                        each(example, a, lines, by_a, sums);
                        to_neurons(which, sums, [neurons.0, neurons.1], [by.0, by.1]);
                    },
                );
            },
        );
    [by_a, by_centre, by_radius]
}

/// The least of each row's values on a box.
pub(super) fn lowest<E: Scalar>(a: &[E], centre: &[E], radius: &[E], columns: usize) -> Vec<E> {
    let times = a.len() / centre.len();
    let mut made = vec![E::zero(); a.len() / columns];
    (made.par_chunks_mut(times))
        .zip(a.par_chunks(times * columns))
        .zip(centre.par_chunks(columns).zip(radius.par_chunks(columns)))
        .for_each(|((made, a), (centre, radius))| {
            vectorized(
                #[inline(always)]
                || {
                    for (made, a) in made.iter_mut().zip(a.chunks(columns)) {
                        let middle = summed(a, centre, |a, c| a * c);
                        *made = middle - summed(a, radius, |a, r| magnitude(a) * r);
                    }
                },
            );
        });
    made
}

#[inline(always)]
fn magnitude<E: Scalar>(x: E) -> E {
    if x < E::zero() { E::zero() - x } else { x }
}

pub(super) fn lowest_back<E: Scalar>(
    a: &[E],
    centre: &[E],
    radius: &[E],
    columns: usize,
    g: &[E],
    by_box: bool,
) -> [Option<Vec<E>>; 3] {
    let times = a.len() / centre.len();
    let mut by_a = pool::room(a.len());
    (by_a.par_chunks_mut(times * columns))
        .zip(a.par_chunks(times * columns).zip(g.par_chunks(times)))
        .zip(centre.par_chunks(columns).zip(radius.par_chunks(columns)))
        .for_each(|((by_a, (a, g)), (centre, radius))| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = by_a.chunks_mut(columns).zip(a.chunks(columns)).zip(g);
                    for ((by_a, a), &g) in rows {
                        let elements = by_a.iter_mut().zip(a).zip(centre.iter().zip(radius));
                        for ((by_a, &a), (&c, &r)) in elements {
                            // The derivative of a magnitude at 0 is 0.
                            let down = if a > E::zero() { r } else { E::zero() };
                            let up = if a < E::zero() { r } else { E::zero() };
                            *by_a = g * (c - down + up);
                        }
                    }
                },
            );
        });
    if !by_box {
        return [Some(by_a), None, None];
    }
    let mut by_centre = pool::zeros(centre.len());
    let mut by_radius = pool::zeros(centre.len());
    (by_centre.par_chunks_mut(columns))
        .zip(by_radius.par_chunks_mut(columns))
        .zip(a.par_chunks(times * columns).zip(g.par_chunks(times)))
        .for_each(|((by_centre, by_radius), (a, g))| {
            vectorized(
                #[inline(always)]
                || {
                    for (a, &g) in a.chunks(columns).zip(g) {
                        let elements = by_centre.iter_mut().zip(by_radius.iter_mut()).zip(a);
                        for ((by_centre, by_radius), &a) in elements {
                            *by_centre += g * a;
                            *by_radius += E::zero() - g * magnitude(a);
                        }
                    }
                },
            );
        });
    [Some(by_a), Some(by_centre), Some(by_radius)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_neurons_are_bounded_soundly_with_bounded_derivatives() {
        // Centre and radius so that the interval is narrower than `NARROW` around 0, or a point.
        for (centre, radius) in [(1e-8, 1e-7), (0.0, 0.0)] {
            let line = Line::<f64>::of(centre, radius);
            for x in [-9e-8_f64, 0.0, 1.1e-7] {
                let x = x.clamp(centre - radius, centre + radius);
                assert!(line.above * x + line.offset >= x.max(0.0));
            }
            let slopes = line.slopes.concat();
            assert!(slopes.iter().all(|slope| slope.abs() <= 1.0), "{slopes:?}");
        }
    }

    #[test]
    fn lines_are_chords_and_their_slopes_finite_differences() {
        const STEP: f64 = 1e-6;
        for (centre, radius) in [
            (0.2, 0.5),
            (-0.3, 0.7),
            (0.1, 0.1001),
            (0.6, 0.2),
            (-0.6, 0.2),
        ] {
            let line = Line::<f64>::of(centre, radius);
            for x in [centre - radius, centre + radius] {
                let unstable = centre - radius < 0.0 && centre + radius > 0.0;
                let above = line.above * x + line.offset;
                assert!(
                    (above - x.max(0.0)).abs() < 1e-12 || !unstable,
                    "{centre} {radius}"
                );
                assert!(line.below * x <= x.max(0.0));
            }
            let made = |c: f64, r: f64| {
                let line = Line::<f64>::of(c, r);
                [line.above, line.offset]
            };
            let by_centre = [made(centre + STEP, radius), made(centre - STEP, radius)];
            let by_radius = [made(centre, radius + STEP), made(centre, radius - STEP)];
            for which in 0..2 {
                for (by, [up, down]) in [by_centre, by_radius].into_iter().enumerate() {
                    let difference = (up[which] - down[which]) / (2.0 * STEP);
                    let slope = line.slopes[which][by];
                    assert!((difference - slope).abs() < 1e-4 * slope.abs().max(1.0));
                }
            }
        }
    }
}
