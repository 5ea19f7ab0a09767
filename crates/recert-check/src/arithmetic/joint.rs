//! The joint bound at a recorded witness, by a route of the checker's own.
//!
//! Cells `s` have chances `t_s` of an event, `x_s` events in `m_s` trials, and a
//! Beta law `(a_s, b_s)` fixed beforehand. With `M` the average of the likelihood
//! under these laws, `M / L(t)` is a non-negative martingale at the true `t`, so
//! `L(t) > alpha M` with probability at least `1 - alpha`, at all times at once
//! (Ville). For every `eta > 0` such a `t` has
//!
//! ```text
//! sum w_s t_s < U = (sum_s max_u (ln L_s(u) + eta w_s u) - ln M - ln alpha) / eta.
//! ```
//!
//! The prover multiplies `M` out, ratio by ratio, in `f64` rounded down, and
//! bounds each maximum by a tangent in `f64` rounded outward. Here `M` comes from
//! gamma functions, and everything in double-doubles with a ball of error, so
//! that the bound is known to some 25 digits. What the prover states must not
//! exceed the checker's own `f64` bound: it has rounded outward by more than the
//! checker's whole error.

use super::ball::Ball;
use super::dd::Dd;
use super::gamma::ln_rising;
use super::{Proved, ROUNDING};

/// A group of trials with one chance of the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) weight: f64,
    pub(crate) trials: u64,
    pub(crate) events: u64,
    /// The law's weights of the event and of its contrary.
    pub(crate) prior: [f64; 2],
}

/// The lower bound of `sum w_s (1 - t_s)` that the witness `eta` proves: `sum w_s -
/// U` rounded down, at least 0.
///
/// # Errors
/// If a number is out of the range that the bound is proved for: a description of that range.
pub(crate) fn lower_bound(cells: &[Cell], alpha: f64, eta: f64) -> Result<Proved, String> {
    // The bound holds for any of them; these are the ranges of the arithmetic.
    if !(1e-30..=1e40).contains(&eta) {
        return Err(format!("a witness in [1e-30, 1e40], not {eta}"));
    }
    if !(alpha > 1e-60 && alpha < 1.0) {
        return Err(format!("a failure probability in (1e-60, 1), not {alpha}"));
    }
    let (mut sum, mut whole) = (Ball::ZERO, Ball::ZERO);
    let ln_alpha = Ball::new(alpha).ln();
    // Each trial is a factor of the prover's product, with an error of its own.
    let mut size = ln_alpha.size();
    for cell in cells {
        check(cell)?;
        let slope = Dd::product(eta, cell.weight);
        let average = ln_average(cell);
        let (most, terms) = largest(cell.events, cell.trials - cell.events, slope);
        size += cell.trials as f64 + average.size() + terms;
        sum = sum.plus(most).minus(average);
        whole = whole.plus(Ball::new(cell.weight));
    }
    sum = sum.minus(ln_alpha);
    let bound = whole.minus(sum.over(Dd::new(eta)));
    Ok(Proved {
        bound: bound.lower().max(0.0),
        slack: ROUNDING * (size / eta + whole.size()),
    })
}

fn check(cell: &Cell) -> Result<(), String> {
    let fits = |x: f64| (1e-9..=1e9).contains(&x);
    if !cell.prior.into_iter().all(fits) {
        return Err(format!("a prior in [1e-9, 1e9], not {:?}", cell.prior));
    }
    if !(0.0..=1.0).contains(&cell.weight) {
        return Err(format!("a weight in [0, 1], not {}", cell.weight));
    }
    if cell.events > cell.trials || cell.trials > 1 << 40 {
        let (events, trials) = (cell.events, cell.trials);
        return Err(format!("possible counts, not {events} of {trials} samples"));
    }
    Ok(())
}

/// `ln` of `B(a + x, b + m - x) / B(a, b)`: the rising factorials `(a)_x
/// (b)_(m-x) / (a+b)_m`.
fn ln_average(cell: &Cell) -> Ball {
    let [a, b] = cell.prior;
    let (x, m) = (cell.events, cell.trials);
    ln_rising(Dd::new(a), x)
        .plus(ln_rising(Dd::new(b), m - x))
        .minus(ln_rising(Dd::sum(a, b), m))
}

/// The largest value over `[0, 1]` of `g(t) = x ln t + y ln(1 - t) + slope t`, as a
/// ball whose upper end is above it; and the size of what the prover's rounding is
/// a share of: the terms, and the tangent at a `t` rounded to an `f64`, which is `t
/// |g''(t)|` times that rounding too steep.
///
/// `g` is concave, so with slope `d` at `t` it is at most `g(t) + max(d (1 - t), -d
/// t)`; at a root of `d` to 30 digits the second term is below the error.
fn largest(x: u64, y: u64, slope: Dd) -> (Ball, f64) {
    let (events, others) = (Dd::new(x as f64), Dd::new(y as f64));
    let (t, rest) = peak(x as f64, y as f64, slope);
    let mut value = Ball::exact(slope).times(t);
    let mut steep = Ball::exact(slope);
    let (mut size, mut bend) = (value.size(), slope.hi);
    let mut add = |term: Ball| {
        size += term.size();
        value = value.plus(term);
    };
    if x > 0 {
        add(Ball::exact(events).times(t.ln()));
        let slope = Ball::exact(events).times(t.inverse());
        steep = steep.plus(slope);
        bend += slope.size();
    }
    if y > 0 {
        add(Ball::exact(others).times(rest.ln()));
        let slope = Ball::exact(others).times(rest.inverse());
        steep = steep.minus(slope);
        bend += slope.times(rest.inverse()).times(t).size();
    }
    let rising = steep.max(Ball::ZERO).times(rest);
    let falling = Ball::ZERO.minus(steep).max(Ball::ZERO).times(t);
    (value.plus(rising.max(falling)), size + bend)
}

/// About where `g` is largest, and what remains to 1. The smaller of the two is
/// the one that is solved for, so that neither loses digits.
///
/// `g' = 0` is `slope t^2 - (slope - m) t - x = 0` for `t`, and `slope v^2 - (slope +
/// m) v + y = 0` for `v = 1 - t`. The root of either, in the form that does not
/// cancel, is then improved by one step of Newton's.
fn peak(x: f64, y: f64, slope: Dd) -> (Ball, Ball) {
    let (s, m) = (slope.hi, x + y);
    let one = Ball::new(1.0);
    let lead = s - m;
    let root = (lead * lead + 4.0 * s * x).sqrt();
    let t = if lead < 0.0 {
        2.0 * x / (root - lead)
    } else if s > 0.0 {
        (lead + root) / (2.0 * s)
    } else {
        1.0
    };
    if t <= 0.5 {
        let t = Ball::exact(improved(t, x, y, slope));
        return (t, one.minus(t));
    }
    if y == 0.0 {
        return (one, Ball::ZERO);
    }
    let sum = s + m;
    let v = 2.0 * y / (sum + (sum * sum - 4.0 * s * y).max(0.0).sqrt());
    let v = Ball::exact(improved(v, y, x, slope.negated()));
    (one.minus(v), v)
}

/// `t` after a step of Newton's for `x/t - y/(1-t) + slope = 0`; for `v` the same
/// with `x` and `y` exchanged and the slope negated.
fn improved(t: f64, x: f64, y: f64, slope: Dd) -> Dd {
    if x == 0.0 && t <= 0.0 || t >= 1.0 {
        return Dd::new(t.clamp(0.0, 1.0));
    }
    let rest = Dd::sum(1.0, -t);
    let (t, zero) = (Dd::new(t), Dd::ZERO);
    let term = |count: f64, at: Dd| {
        if count > 0.0 {
            Dd::new(count).over(at)
        } else {
            zero
        }
    };
    let value = term(x, t).minus(term(y, rest)).plus(slope);
    let bend = term(x, t).over(t).plus(term(y, rest).over(rest));
    let next = t.plus(value.over(bend));
    if bend.hi > 0.0 && next.hi > 0.0 && next.hi < 1.0 {
        next
    } else {
        t
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(weight: f64, trials: u64, events: u64, a: f64, b: f64) -> Cell {
        Cell {
            weight,
            trials,
            events,
            prior: [a, b],
        }
    }

    #[test]
    fn against_high_precision() {
        // mpmath at 50 digits: the maxima by root finding, M by beta functions.
        let cases: [(&[Cell], f64, f64, f64); 6] = [
            (
                &[
                    cell(0.71, 700, 1, 0.5, 250.0),
                    cell(0.09, 300, 150, 12.5, 12.5),
                ],
                0.0018,
                1200.0,
                0.727_039_369_532_909,
            ),
            (
                &[cell(1.0, 10_000, 1000, 10.5, 90.5)],
                0.001,
                12_000.0,
                0.787_470_607_293_884_4,
            ),
            // Less than nothing is known: the bound is 0.
            (
                &[cell(0.8, 0, 0, 0.5, 5000.0), cell(0.1, 40, 40, 1.0, 3.0)],
                0.0018,
                3000.0,
                0.0,
            ),
            (
                &[cell(0.95, 1000, 0, 0.5, 5000.0)],
                0.00045,
                2500.0,
                0.742_880_003_826_536_4,
            ),
            (
                &[cell(1.0, 100_000, 37, 0.5, 1e6)],
                0.001,
                125_000.0,
                0.975_526_178_530_735_3,
            ),
            (
                &[cell(0.3, 5, 5, 1.0, 1.0), cell(0.69, 800, 0, 0.5, 1e7)],
                0.0018,
                4000.0,
                0.445_646_904_188_226_4,
            ),
        ];
        for (cells, alpha, eta, value) in cases {
            let got = lower_bound(cells, alpha, eta).unwrap().bound;
            // The value is rounded to nearest, the bound down.
            assert!(
                got == value || got == value.next_down(),
                "{cells:?} {got:?} {value:?}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let good = cell(0.5, 10, 2, 1.0, 1.0);
        assert!(lower_bound(&[good], 0.01, 20.0).is_ok());
        for eta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(lower_bound(&[good], 0.01, eta).is_err(), "{eta}");
        }
        for alpha in [0.0, 1.0, f64::NAN] {
            assert!(lower_bound(&[good], alpha, 20.0).is_err(), "{alpha}");
        }
        for bad in [
            cell(0.5, 1, 2, 1.0, 1.0),
            cell(-0.5, 2, 1, 1.0, 1.0),
            cell(0.5, 2, 1, 0.0, 1.0),
            cell(0.5, 2, 1, 1.0, f64::NAN),
        ] {
            assert!(lower_bound(&[bad], 0.01, 20.0).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// The maximum is above every value and hardly above the largest.
        #[test]
        fn the_maximum_is_one(
            x in 0_u64..2000, y in 0_u64..200_000, slope in -20.0_f64..12.0, at in 0.0_f64..1.0,
        ) {
            let slope = Dd::new(slope.exp2());
            let (found, _) = largest(x, y, slope);
            prop_assert!(found.upper() - found.lower() <= 1e-15 * (1.0 + found.upper().abs()));
            let g = |t: f64| {
                let mut value = slope.hi * t;
                value += if x > 0 { x as f64 * t.ln() } else { 0.0 };
                value + if y > 0 { y as f64 * (-t).ln_1p() } else { 0.0 }
            };
            let slack = 1e-9 * (1.0 + found.upper().abs());
            prop_assert!(g(at) <= found.upper() + slack);
            let (t, _) = peak(x as f64, y as f64, slope);
            let value = g(t.lower().clamp(0.0, 1.0));
            prop_assert!(value >= found.lower() - slack, "{} {}", value, found.lower());
        }

        /// What the prover states is never above the checker's bound, and below it
        /// by no more than the slack that is allowed for.
        #[test]
        fn the_prover_s_bound_is_just_below(
            trials in prop::array::uniform2(0_u64..20_000),
            part in prop::array::uniform2(0.0_f64..=1.0),
            weights in prop::array::uniform2(0.0_f64..0.5),
            prior in prop::array::uniform4(-9.0_f64..20.0),
            alpha in -9.0_f64..-0.4,
            rare in any::<bool>(),
        ) {
            let alpha = 10_f64.powf(alpha);
            let cells = [0, 1].map(|i| {
                let share = if rare { part[i].powi(8) } else { part[i] };
                let events = (trials[i] as f64 * share) as u64;
                let [a, b] = [prior[2 * i].exp2(), prior[2 * i + 1].exp2()];
                cell(weights[i], trials[i], events, a, b)
            });
            let theirs = cells.map(|cell| recert_smooth::bound::JointCell {
                weight: cell.weight,
                trials: cell.trials,
                events: cell.events,
                prior: recert_smooth::bound::Beta::new(cell.prior[0], cell.prior[1]).unwrap(),
            });
            let level = recert_num::Alpha::new(alpha).unwrap();
            let joint = recert_smooth::bound::joint_upper(&theirs, level).unwrap();
            let whole = recert_num::directed::add_down(weights[0], weights[1]);
            let stated = recert_num::directed::sub_down(whole, joint.bound).max(0.0);
            let own = lower_bound(&cells, alpha, joint.witness).unwrap();
            prop_assert!(own.covers(stated), "{:?} {:?}", stated, own);
            // Where there is a radius, the slack is next to nothing.
            prop_assert!(stated < 0.5 || own.slack < 1e-10, "{:?} {:?}", stated, own);
        }
    }
}
