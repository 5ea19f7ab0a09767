//! The bound over cells, by a route of the checker's own.
//!
//! Each of `n` samples is in a cell, or in none. Cell `s` has `n_s` of them and
//! chance `theta_s` of the class, which it won on `x_s` of `m_s`. With tilts `kappa`
//! and `kappa_s` fixed beforehand, and `a = ln(1 + kappa)`, except with probability
//! `alpha`
//!
//! ```text
//! n ln(1 + kappa p) > K = sum_s min_t g_s(t) + ln alpha,
//! g_s(t) = a n_s t + x_s ln(1 + kappa_s) - m_s ln(1 + kappa_s t),   t in [0, 1],
//! ```
//!
//! for the true `p` (`SOUNDNESS.md`, section 4): a `p` that violates it is a lower
//! bound. The prover takes each minimum from a tangent in `f64` rounded outward,
//! near a `t` that it computes. Here the minimum is computed in closed form. `g_s` is convex, so where
//! `g_s'(0) >= 0` it is `g_s(0)`, where `g_s'(1) <= 0` it is `g_s(1)`, and else the one over
//! all `t > -1/kappa_s`, where `g_s'` vanishes at `1 + kappa_s t = kappa_s m_s/(a n_s)`:
//!
//! ```text
//! m_s - a n_s/kappa_s + x_s ln(1 + kappa_s) - m_s ln(kappa_s m_s/(a n_s)).
//! ```
//!
//! The last is never above the minimum, so that it may stand where a ball of error
//! leaves open which it is. `p` is the largest `f64` for which the violation is
//! certain, found by bisection over the bits of an `f64`.

use super::ball::Ball;
use super::dd::Dd;
use super::{Proved, ROUNDING};

/// A cell: its samples, and what was answered on some of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Coded {
    /// `n_s`.
    pub(crate) samples: u64,
    /// `m_s`.
    pub(crate) pairs: u64,
    /// `x_s`.
    pub(crate) own: u64,
    /// `kappa_s`.
    pub(crate) tilt: f64,
}

/// The largest lower bound of `p` that `n` samples in these cells prove with
/// failure probability `alpha`; at least 0.
///
/// # Errors
/// If a number is out of the range that the bound is proved for: a description of that range.
pub(crate) fn coded_bound(
    n: u64,
    tilt: f64,
    cells: &[Coded],
    alpha: f64,
) -> Result<Proved, String> {
    check(n, tilt, cells, alpha)?;
    let rate = Ball::exact(Dd::sum(1.0, tilt)).ln();
    let mut known = Ball::new(alpha).ln();
    // What the prover's rounding is a share of: the terms, and the 1 that is
    // added to a tilt.
    let per_sample = 1.0 + rate.size();
    let mut size = known.size() + n as f64 * per_sample;
    for cell in cells.iter().filter(|cell| cell.pairs > 0) {
        let won = Ball::exact(Dd::sum(1.0, cell.tilt)).ln();
        known = known.plus(least(cell, rate, won));
        size += cell.samples as f64 * per_sample + 2.0 * cell.pairs as f64 * (1.0 + won.size());
    }
    let (samples, one) = (Ball::new(n as f64), Ball::new(1.0));
    let violated = |p: f64| {
        let moved = Ball::exact(Dd::product(tilt, p)).plus(one);
        samples.times(moved.ln()).minus(known).upper() <= 0.0
    };
    let bound = if violated(0.0) {
        largest(violated)
    } else {
        0.0
    };
    // `p` moves with K by `(1 + kappa p)/(n kappa)`, and the prover's bisection
    // ends within 2^-60 of its own.
    let turn = (1.0 + tilt * bound) / (n as f64 * tilt);
    Ok(Proved {
        bound,
        slack: ROUNDING * (size * turn + 1.0),
    })
}

pub(super) fn check(n: u64, tilt: f64, cells: &[Coded], alpha: f64) -> Result<(), String> {
    if !(alpha > 1e-60 && alpha < 1.0) {
        return Err(format!("a failure probability in (1e-60, 1), not {alpha}"));
    }
    for tilt in cells.iter().map(|cell| cell.tilt).chain([tilt]) {
        if !(1e-12..=1e12).contains(&tilt) {
            return Err(format!("tilts in [1e-12, 1e12], not {tilt}"));
        }
    }
    let mut left = n.min(1 << 40);
    for &Coded {
        samples,
        pairs,
        own,
        ..
    } in cells
    {
        let rest = left.checked_sub(samples).filter(|_| pairs <= samples);
        left = (rest.filter(|_| own <= pairs)).ok_or_else(|| {
            format!(
                "possible counts, not {own} answers on {pairs} pairs in a cell of {samples} of \
                     {n} samples"
            )
        })?;
    }
    if n == 0 {
        return Err("at least 1 sample".to_owned());
    }
    Ok(())
}

/// A ball whose lower end is not above the least value of `g` on `[0, 1]`, and
/// next to it; `won` is `ln(1 + kappa_s)`, and there are pairs.
fn least(cell: &Coded, rate: Ball, won: Ball) -> Ball {
    let count = |count: u64| Ball::new(count as f64);
    let rise = rate.times(count(cell.samples));
    // Minus the slope's other part, at 0; at 1 it is divided by 1 + kappa.
    let fall = Ball::exact(Dd::product(cell.tilt, cell.pairs as f64));
    let whole = Ball::exact(Dd::sum(1.0, cell.tilt));
    let gained = won.times(count(cell.own));
    if fall.minus(rise).upper() <= 0.0 {
        return gained;
    }
    if rise.times(whole).minus(fall).upper() <= 0.0 {
        return rise.minus(won.times(count(cell.pairs - cell.own)));
    }
    let peak = fall.times(rise.inverse());
    count(cell.pairs)
        .minus(rise.over(Dd::new(cell.tilt)))
        .plus(gained)
        .minus(count(cell.pairs).times(peak.ln()))
}

/// The largest `f64` below 1 of which `holds` does, as it does of 0 and of all
/// smaller ones: the bits of such numbers ascend with them.
pub(super) fn largest(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0, 1.0_f64.to_bits());
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if holds(f64::from_bits(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::from_bits(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(samples: u64, pairs: u64, own: u64, tilt: f64) -> Coded {
        Coded {
            samples,
            pairs,
            own,
            tilt,
        }
    }

    #[test]
    fn against_high_precision() {
        // mpmath at 60 digits: the minima by bisection on the slope.
        let cases: [(u64, f64, &[Coded], f64, f64); 6] = [
            (
                100_000,
                0.02,
                &[
                    cell(71_000, 3_000, 2_990, 0.9),
                    cell(9_000, 1_500, 1_200, 0.12),
                    cell(4_000, 900, 220, 0.1),
                    cell(10_000, 0, 0, 1.0),
                ],
                0.001,
                0.777_473_068_144_130_2,
            ),
            (
                10_000,
                0.05,
                &[cell(7_000, 500, 499, 2.0), cell(1_000, 300, 170, 0.3)],
                0.002,
                0.709_809_354_897_588_7,
            ),
            (
                1_000,
                0.2,
                &[cell(1_000, 400, 400, 9.0)],
                0.01,
                0.972_432_504_109_161_8,
            ),
            // Minima at either end of [0, 1], and tilts far apart.
            (
                96_875,
                0.0012,
                &[
                    cell(60_000, 400, 400, 1e9),
                    cell(3_000, 50, 1, 1e-9),
                    cell(2_000, 100, 70, 0.05),
                ],
                0.0005,
                0.561_830_496_667_493_6,
            ),
            (
                500,
                0.3,
                &[cell(300, 20, 1, 0.01), cell(100, 100, 100, 1e6)],
                0.3,
                0.171_200_854_332_198_17,
            ),
            // Less than nothing is known: the bound is 0.
            (10_000, 0.05, &[cell(7_000, 500, 100, 2.0)], 0.002, 0.0),
        ];
        for (n, tilt, cells, alpha, value) in cases {
            let got = coded_bound(n, tilt, cells, alpha).unwrap().bound;
            // The value is rounded to nearest, the bound down.
            assert!(
                got == value || got == value.next_down(),
                "{cells:?} {got:?} {value:?}"
            );
        }
    }

    #[test]
    fn nothing_asked_is_nothing_known() {
        let none = coded_bound(100, 0.1, &[cell(60, 0, 0, 1.0)], 0.01).unwrap();
        assert!(none.bound == 0.0 && none.covers(0.0) && !none.covers(1e-12));
    }

    #[test]
    fn nonsense_is_refused() {
        let good = cell(50, 20, 10, 0.5);
        assert!(coded_bound(100, 0.1, &[good, good], 0.01).is_ok());
        assert!(coded_bound(99, 0.1, &[good, good], 0.01).is_err());
        assert!(coded_bound(0, 0.1, &[], 0.01).is_err());
        for tilt in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e-13, 1e13] {
            assert!(coded_bound(100, tilt, &[good], 0.01).is_err(), "{tilt}");
            let bad = Coded { tilt, ..good };
            assert!(coded_bound(100, 0.1, &[bad], 0.01).is_err(), "{tilt}");
        }
        for alpha in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(coded_bound(100, 0.1, &[good], alpha).is_err(), "{alpha}");
        }
        for bad in [
            cell(50, 20, 21, 0.5),
            cell(50, 51, 20, 0.5),
            cell(101, 20, 20, 0.5),
            cell(1 << 41, 20, 20, 0.5),
        ] {
            assert!(coded_bound(100, 0.1, &[bad], 0.01).is_err(), "{bad:?}");
        }
    }

    /// A cell by shares: samples of those left, pairs of these, answers of those; and how its
    /// tilt is off.
    type Shares = (f64, f64, f64, f64);

    proptest! {
        /// The closed form is the minimum: no value is below it, and the one at
        /// its place is not above.
        #[test]
        fn the_minimum_is_one(
            samples in 1_u64..200_000, part in 0.0_f64..=1.0, share in 0.0_f64..=1.0,
            tilt in -20.0_f64..20.0, rate in -14.0_f64..0.0, at in 0.0_f64..=1.0,
        ) {
            let pairs = ((samples as f64 * part.powi(3)) as u64).max(1);
            let cell = cell(samples, pairs, (pairs as f64 * share) as u64, tilt.exp2());
            let rate = rate.exp2();
            let won = Ball::exact(Dd::sum(1.0, cell.tilt)).ln();
            let found = least(&cell, Ball::new(rate), won);
            let (samples, pairs) = (cell.samples as f64, cell.pairs as f64);
            let g = |t: f64| {
                rate * samples * t + cell.own as f64 * cell.tilt.ln_1p()
                    - pairs * (cell.tilt * t).ln_1p()
            };
            let slack = 1e-9 * (1.0 + rate * samples + pairs * (1.0 + cell.tilt.ln_1p()));
            prop_assert!(found.lower() <= found.upper());
            prop_assert!(found.upper() - found.lower() <= 1e-6 * slack);
            prop_assert!(g(at) >= found.lower() - slack);
            let peak = (pairs / (rate * samples) - 1.0 / cell.tilt).clamp(0.0, 1.0);
            prop_assert!(g(peak) <= found.upper() + slack);
        }

        /// What the prover states is never above the checker's bound, and below it
        /// by no more than the slack that is allowed for.
        #[test]
        fn the_prover_s_bound_is_just_below(
            n in 1_u64..300_000,
            tilt in -14.0_f64..0.0,
            shares in prop::collection::vec(
                (0.0_f64..=1.0, 0.0_f64..=1.0, 0.0_f64..=1.0, -1.0_f64..=1.0), 1..11,
            ),
            lucky in any::<bool>(),
            near in any::<bool>(),
            alpha in -9.0_f64..-0.4,
        ) {
            let (alpha, tilt) = (10_f64.powf(alpha), tilt.exp2());
            let mut left = n;
            let of = |(samples, pairs, own, off): Shares| {
                let samples = (left as f64 * samples) as u64;
                left -= samples;
                let pairs = (samples as f64 * pairs) as u64;
                let own = if lucky { 1.0 - own.powi(8) } else { own };
                let own = (pairs as f64 * own) as u64;
                // Near the best tilt, as the prover's are, or anywhere.
                let u = tilt.ln_1p() * samples as f64 / (pairs as f64).max(1.0);
                let best = u / (1.0 - u * own as f64 / (pairs as f64).max(1.0)).max(1e-6);
                let at = if near { best * (1.0 + 0.3 * off) } else { (29.0 * off).exp2() };
                cell(samples, pairs, own, at.clamp(1e-9, 1e9))
            };
            let cells: Vec<Coded> = shares.into_iter().map(of).collect();
            let theirs = cells.iter().map(|cell| recert_smooth::bound::Cell {
                samples: cell.samples,
                pairs: cell.pairs,
                own: cell.own,
                tilt: cell.tilt,
            });
            let theirs: Vec<_> = theirs.collect();
            let level = recert_num::Alpha::new(alpha).unwrap();
            let stated = recert_smooth::bound::cells(n, tilt, &theirs, level).unwrap().get();
            let own = coded_bound(n, tilt, &cells, alpha).unwrap();
            prop_assert!(own.covers(stated), "{:?} {:?}", stated, own);
            // Where there is a radius, the slack is next to nothing.
            prop_assert!(stated < 0.5 || own.slack < 1e-8, "{:?} {:?}", stated, own);
        }
    }
}
