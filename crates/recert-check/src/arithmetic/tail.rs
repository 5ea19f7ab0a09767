//! The bound by the tail, by a route of the checker's own.
//!
//! With the notation of [`cells`](super::cells) and `1 + kappa_s = (1 + step)^j_s` in the cells of
//! the lattice, except with probability `alpha`
//!
//! ```text
//! n ln(1 + kappa p) > sum_s min_t h_s(t) + ln(31/32 alpha) - ln min(1, B (1 + step)/step),
//! h_s(t) = n_s ln(1 + kappa t) + x_s ln(1 + kappa_s) - m_s ln(1 + kappa_s t),   t in [0, 1],
//! B = 1/sqrt(2 pi W) + (1 + y/64)^-64,
//! W = sum_s V_s max(0, j_s^2 - j_s^4 span^2/12),  y = (span^2/2)(1 - span^2/12) sum_{j_s=1} V_s,
//! ```
//!
//! with `V_s` the least value of `m_s (1 + kappa_s) t (1 - t)/(1 + kappa_s t)^2` at the two
//! Clopper-Pearson bounds at `alpha/640` of `x_s` of `m_s` (`SOUNDNESS.md`, section 4). Without a
//! lattice, alpha is not reduced and `B` does not occur.
//!
//! The prover takes each minimum from a tangent in `f64` rounded outward. Here it is computed in
//! closed form. For `kappa_s >= kappa`, `h_s` falls, then rises, and it turns where
//!
//! ```text
//! 1 + kappa t = n_s (kappa_s - kappa)/(kappa_s (n_s - m_s)),
//! 1 + kappa_s t = m_s (kappa_s - kappa)/(kappa (n_s - m_s)).
//! ```
//!
//! Where there were two rounds, alpha is reduced in either case, `x_s`, `m_s`, the lattice and `V_s`
//! are those of the second, and `h_s` has the term of the first in addition,
//! `x'_s ln(1 + kappa'_s) - m'_s ln(1 + kappa'_s t)`. It still falls, then rises. Where its slope is at
//! most 0 at `low` and at least 0 at `high`, its least value is at least
//! `h_s(low) + h_s'(low) (high - low)`: it is convex in `ln(1 + kappa t)`, which is concave in `t`.

use recert_num::directed::div_down;
use recert_num::{Alpha, clopper_pearson_lower, clopper_pearson_upper};

use super::ball::Ball;
use super::cells::{check, largest};
use super::dd::Dd;
use super::{Coded, Proved, ROUNDING};

/// The cells whose tilts are powers of one number, and where the integral is split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lattice<'a> {
    pub(crate) step: f64,
    pub(crate) multiples: &'a [u64],
    pub(crate) span: f64,
}

/// The largest `j_s`.
const LARGEST_MULTIPLE: u64 = 64;

/// The largest lower bound of `p` that these cells prove with failure probability `alpha`; at
/// least 0. `first` are the cells of a first round, where there was one.
///
/// # Errors
/// If a number is out of the range that the bound is proved for: a description of that range.
pub(crate) fn tail_bound(
    n: u64,
    tilt: f64,
    first: &[Coded],
    cells: &[Coded],
    lattice: Option<Lattice<'_>>,
    alpha: f64,
) -> Result<Proved, String> {
    check(n, tilt, cells, alpha)?;
    if !first.is_empty() {
        check(n, tilt, first, alpha)?;
        let mut both = first.iter().zip(cells);
        let fits =
            |(a, b): (&Coded, &Coded)| a.samples == b.samples && b.pairs <= a.samples - a.pairs;
        if first.len() != cells.len() || !both.all(fits) {
            return Err("two rounds with no more pairs than samples".to_owned());
        }
    }
    if let Some(Lattice {
        step,
        multiples,
        span,
    }) = lattice
    {
        let fits = multiples.len() == cells.len()
            && cells.len() <= 10
            && multiples.iter().all(|&j| j <= LARGEST_MULTIPLE)
            && (1e-12..=1e12).contains(&step)
            && span > 0.0
            && span <= 3.0;
        if !fits {
            return Err("a lattice of ten multiples up to 64, with a span in (0, 3]".to_owned());
        }
    }
    let one = Ball::new(1.0);
    let mut known = Ball::new(alpha).ln();
    let per_sample = 1.0 + tilt.ln_1p();
    let mut size = known.size() + n as f64 * per_sample;
    let mut spreads = Vec::new();
    let step = lattice.map_or(0.0, |lattice| lattice.step);
    for (s, cell) in cells.iter().enumerate() {
        let multiple = lattice.map_or(0, |lattice| lattice.multiples[s]);
        let before = first.get(s).map(|first| (first, 0));
        let mut groups = Vec::new();
        for (group, multiple) in before.into_iter().chain([(cell, multiple)]) {
            if group.pairs == 0 {
                continue;
            }
            let (kappa, above) = tilt_of(group, multiple, step, tilt);
            if !above {
                return Err("tilts of cells not below that of the codes".to_owned());
            }
            let won = kappa.plus(one).ln();
            let rounded = (1 + multiple) as f64 * (1.0 + won.size());
            size += 2.0 * group.pairs as f64 * rounded;
            groups.push((group, kappa, won));
            if multiple > 0 {
                spreads.push((multiple as f64, spread(group, kappa, alpha)?));
            }
        }
        match groups[..] {
            [] => continue,
            [(group, kappa, won)] => known = known.plus(least(group, tilt, kappa, won)),
            _ => known = known.plus(least_of(&groups, tilt)),
        }
        size += cell.samples as f64 * per_sample;
    }
    if lattice.is_some() || !first.is_empty() {
        known = known.plus(Ball::new(31.0 / 32.0).ln());
    }
    if let Some(Lattice { step, span, .. }) = lattice {
        known = known.plus(gain(&spreads, step, span));
    }
    let samples = Ball::new(n as f64);
    let violated = |p: f64| {
        let moved = Ball::exact(Dd::product(tilt, p)).plus(one);
        samples.times(moved.ln()).minus(known).upper() <= 0.0
    };
    let bound = if violated(0.0) {
        largest(violated)
    } else {
        0.0
    };
    let turn = (1.0 + tilt * bound) / (n as f64 * tilt);
    Ok(Proved {
        bound,
        slack: ROUNDING * (size * turn + 1.0),
    })
}

/// `kappa_s`, and whether it is certainly at least `tilt`.
fn tilt_of(cell: &Coded, multiple: u64, step: f64, tilt: f64) -> (Ball, bool) {
    match multiple {
        0 => (Ball::new(cell.tilt), cell.tilt >= tilt),
        1 => (Ball::new(step), step >= tilt),
        _ => {
            let whole = Ball::exact(Dd::sum(1.0, step));
            let power = (1..multiple).fold(whole, |power, _| power.times(whole));
            let kappa = power.minus(Ball::new(1.0));
            (kappa, kappa.lower() >= tilt)
        }
    }
}

/// A ball whose lower end is not above the least value of `h` on `[0, 1]`; `won` is `ln(1 +
/// kappa_s)`.
fn least(cell: &Coded, tilt: f64, kappa: Ball, won: Ball) -> Ball {
    let count = |count: u64| Ball::new(count as f64);
    let (samples, pairs) = (count(cell.samples), count(cell.pairs));
    let one = Ball::new(1.0);
    let codes = Ball::exact(Dd::sum(1.0, tilt));
    let gained = won.times(count(cell.own));
    let (rise, fall) = (samples.times(Ball::new(tilt)), pairs.times(kappa));
    let at_one = || {
        gained
            .plus(samples.times(codes.ln()))
            .minus(pairs.times(won))
    };
    // With as many pairs as samples, h falls everywhere.
    if cell.pairs == cell.samples {
        return at_one();
    }
    // The sign of the slope at 0 and at 1.
    if fall.minus(rise).upper() <= 0.0 {
        return gained;
    }
    if rise.times(kappa.plus(one)).minus(fall.times(codes)).upper() <= 0.0 {
        return at_one();
    }
    // Where it is open which it is, h is continued beyond [0, 1], where this is its least value.
    let left = count(cell.samples - cell.pairs);
    let apart = kappa.minus(Ball::new(tilt));
    if apart.lower() <= 0.0 {
        // Equal tilts and fewer pairs than samples: the slope at 0 is positive.
        return gained;
    }
    let by_codes = samples.times(apart).times(kappa.times(left).inverse());
    let by_pairs = pairs
        .times(apart)
        .times(Ball::new(tilt).times(left).inverse());
    gained
        .plus(samples.times(by_codes.ln()))
        .minus(pairs.times(by_pairs.ln()))
}

/// A ball whose lower end is not above the least value of `h` on `[0, 1]`, with the pairs of
/// several rounds, each with its `kappa_s` and `ln(1 + kappa_s)`.
fn least_of(groups: &[(&Coded, Ball, Ball)], tilt: f64) -> Ball {
    let count = |count: u64| Ball::new(count as f64);
    let (one, codes) = (Ball::new(1.0), Ball::new(tilt));
    let samples = groups
        .first()
        .map_or(Ball::ZERO, |group| count(group.0.samples));
    let whole = |kappa: Ball, t: f64| kappa.times(Ball::new(t)).plus(one);
    let slope = |t: f64| {
        let rise = samples.times(codes).times(whole(codes, t).inverse());
        groups.iter().fold(rise, |slope, &(cell, kappa, _)| {
            slope.minus(
                count(cell.pairs)
                    .times(kappa)
                    .times(whole(kappa, t).inverse()),
            )
        })
    };
    let value = |t: f64| {
        let codes = samples.times(whole(codes, t).ln());
        groups.iter().fold(codes, |value, &(cell, kappa, won)| {
            let lost = count(cell.pairs).times(whole(kappa, t).ln());
            value.plus(won.times(count(cell.own))).minus(lost)
        })
    };
    if slope(0.0).lower() >= 0.0 {
        return value(0.0);
    }
    if slope(1.0).upper() <= 0.0 {
        return value(1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        let falls = slope(middle);
        if falls.upper() <= 0.0 {
            low = middle;
        } else if falls.lower() >= 0.0 {
            high = middle;
        } else {
            // The tangent here, at most `ln(1 + kappa)` away in `ln(1 + kappa t)`.
            let most = falls.upper().max(-falls.lower());
            return value(middle).plus(Ball::around_zero(2.0 * most * (1.0 + tilt)));
        }
    }
    let down = Ball::new(slope(low).lower().min(0.0));
    value(low).plus(down.times(Ball::exact(Dd::sum(high, -low))))
}

/// A lower bound of `V_s`, but with probability at most `alpha/320`.
fn spread(cell: &Coded, kappa: Ball, alpha: f64) -> Result<f64, String> {
    let told = |why: recert_num::Error| why.to_string();
    let side = Alpha::new(div_down(alpha, 640.0)).map_err(told)?;
    let low = clopper_pearson_lower(cell.own, cell.pairs, side).map_err(told)?;
    let high = clopper_pearson_upper(cell.own, cell.pairs, side).map_err(told)?;
    let one = Ball::new(1.0);
    let value = |t: f64| {
        let t = Ball::new(t);
        let whole = kappa.times(t).plus(one).inverse();
        let apart = t.times(one.minus(t)).times(kappa.plus(one));
        let value = apart
            .times(whole)
            .times(whole)
            .times(Ball::new(cell.pairs as f64));
        value.lower().max(0.0)
    };
    Ok(value(low.get()).min(value(high.get())))
}

/// `-ln min(1, B (1 + step)/step)`.
fn gain(spreads: &[(f64, f64)], step: f64, span: f64) -> Ball {
    let square = Ball::exact(Dd::product(span, span));
    let one = Ball::new(1.0);
    let twelfth = square.over(Dd::new(12.0));
    let (mut wide, mut single) = (Ball::ZERO, Ball::ZERO);
    for &(multiple, spread) in spreads {
        let squared = multiple * multiple;
        let lost = twelfth.times(Ball::new(squared * squared));
        let rest = Ball::new(squared).minus(lost).max(Ball::ZERO);
        wide = wide.plus(rest.times(Ball::new(spread)));
        if multiple == 1.0 {
            single = single.plus(Ball::new(spread));
        }
    }
    if wide.lower() <= 1e-6 {
        return Ball::ZERO;
    }
    let away = square
        .over(Dd::new(128.0))
        .times(one.minus(twelfth))
        .times(single);
    let far = (0..6).fold(away.plus(one), |far, _| far.times(far));
    let circle = Ball::exact(TWO_PI).plus(Ball::around_zero(1e-32));
    let near = wide.times(circle).sqrt();
    let sum = near.inverse().plus(far.inverse());
    let sum = sum
        .times(Ball::exact(Dd::sum(1.0, step)))
        .over(Dd::new(step));
    Ball::ZERO.minus(sum.ln()).max(Ball::ZERO)
}

/// `2 pi`, to within `6e-33`.
const TWO_PI: Dd = Dd {
    hi: 2.0 * std::f64::consts::PI,
    lo: 2.449_293_598_294_706_4e-16,
};

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
    fn nonsense_is_refused() {
        let cells = [cell(50, 20, 10, 0.5)];
        let bound = |tilt, lattice| tail_bound(100, tilt, &[], &cells, lattice, 0.01);
        let lattice = |step, multiples, span| {
            Some(Lattice {
                step,
                multiples,
                span,
            })
        };
        assert!(bound(0.1, None).is_ok() && bound(0.1, lattice(0.3, &[2], 0.5)).is_ok());
        for (tilt, lattice) in [
            (0.6, None),
            (0.6, lattice(0.5, &[1], 0.5)),
            (0.1, lattice(0.0, &[1], 0.5)),
            (0.1, lattice(0.3, &[1], 0.0)),
            (0.1, lattice(0.3, &[1], 3.2)),
            (0.1, lattice(0.3, &[65], 0.5)),
            (0.1, lattice(0.3, &[1, 1], 0.5)),
            (0.1, lattice(f64::NAN, &[1], 0.5)),
        ] {
            assert!(bound(tilt, lattice).is_err(), "{tilt} {lattice:?}");
        }
    }

    proptest! {
        /// What the prover states is never above the checker's bound, and below it by no more
        /// than the slack that is allowed for.
        #[test]
        fn the_prover_s_bound_is_just_below(
            n in 100_u64..300_000,
            tilt in -10.0_f64..-1.0,
            shares in prop::collection::vec(
                (0.0_f64..=1.0, 0.01_f64..=1.0, 0.0_f64..=1.0, 0_u8..5), 1..11,
            ),
            first in prop::collection::vec((0.0_f64..0.5, 0.0_f64..=1.0, 0.0_f64..9.0), 10),
            rounds in 1..3,
            step in 0.0_f64..6.0,
            alpha in -9.0_f64..-0.4,
        ) {
            let (alpha, tilt) = (10_f64.powf(alpha), tilt.exp2());
            let step = tilt * step.exp2();
            let mut left = n;
            let mut cells = Vec::new();
            for &(samples, pairs, own, multiple) in &shares {
                let samples = (left as f64 * samples) as u64;
                left -= samples;
                let pairs = (samples as f64 * pairs) as u64;
                let own = (pairs as f64 * own) as u64;
                let tilt = step * f64::from(multiple + 1);
                cells.push(cell(samples, pairs, own, tilt));
            }
            let multiples: Vec<u8> = shares.iter().map(|share| share.3).collect();
            // A part of the pairs comes first, at tilts of its own.
            let mut before = Vec::new();
            for (cell, &(part, own, tilts)) in cells.iter_mut().zip(&first) {
                let pairs = (cell.pairs as f64 * part) as u64;
                cell.pairs -= pairs;
                cell.own = cell.own.min(cell.pairs);
                let own = (pairs as f64 * own) as u64;
                before.push(self::cell(cell.samples, pairs, own, tilt * tilts.exp2()));
            }
            if rounds == 1 {
                before.clear();
            }
            let theirs = |cells: &[Coded]| -> Vec<_> {
                let cell = |cell: &Coded| recert_smooth::bound::Cell {
                    samples: cell.samples,
                    pairs: cell.pairs,
                    own: cell.own,
                    tilt: cell.tilt,
                };
                cells.iter().map(cell).collect()
            };
            let level = recert_num::Alpha::new(alpha).unwrap();
            let lattice = recert_smooth::bound::Lattice { step, multiples: &multiples };
            let stated = recert_smooth::bound::tail_after(
                n, tilt, &theirs(&before), &theirs(&cells), Some(lattice), level,
            ).unwrap();
            let multiples: Vec<u64> = multiples.into_iter().map(u64::from).collect();
            let lattice = (stated.span > 0.0).then_some(Lattice {
                step,
                multiples: &multiples,
                span: stated.span,
            });
            let own = tail_bound(n, tilt, &before, &cells, lattice, alpha).unwrap();
            let p = stated.p_lower.get();
            prop_assert!(own.covers(p), "{:?} {:?}", stated, own);
            prop_assert!(p < 0.5 || own.slack < 1e-8, "{:?} {:?}", stated, own);
        }
    }
}
