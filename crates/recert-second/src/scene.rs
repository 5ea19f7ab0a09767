//! What the second round can be expected to prove.

use recert_num::directed::ln_down;

use crate::{ByCell, CELLS, Plan, Rest, Tilts, WEIGHTS};

/// `ln(1 + x)`, the same on every processor.
pub(crate) fn ln_1p(x: f64) -> f64 {
    ln_down(1.0 + x)
}

/// What is known of an input after the first round.
pub(crate) struct Scene<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) first: &'a ByCell<u64>,
    /// The probability that h answers the class in each cell: the expected one, corrected by the
    /// first answers.
    pub(crate) own: ByCell<f64>,
    /// What the pairs of the second round have to pull in each cell, for the exponent to be least
    /// at `own`.
    pub(crate) pull: ByCell<f64>,
}

/// The shares of alpha of which the Clopper-Pearson bound of a spread fails with one.
const SIDES: f64 = 640.0;

impl<'a> Scene<'a> {
    pub(crate) fn new(plan: &'a Plan, first: &'a ByCell<u64>, own: &ByCell<u64>) -> Self {
        let own = std::array::from_fn(|s| {
            let weight = WEIGHTS[s % WEIGHTS.len()];
            let seen = weight * plan.expected[s] + own[s] as f64;
            (seen / (weight + first[s] as f64)).clamp(1e-6, 1.0 - 1e-6)
        });
        Self {
            plan,
            first,
            own,
            pull: std::array::from_fn(|s| {
                plan.samples[s] as f64 * slope(plan.tilt, own[s])
                    - first[s] as f64 * slope(plan.tilts.cells[s], own[s])
            }),
        }
    }

    /// About `rest` pairs, spread anew: `n_s kappa theta/(1 + kappa theta)` and in addition a
    /// number in proportion to `n_s sqrt(theta (1 - theta))` in each cell, in both rounds together.
    pub(crate) fn spread(&self, rest: u64) -> Option<ByCell<u64>> {
        let (plan, own) = (self.plan, &self.own);
        let least = |s: usize| plan.samples[s] as f64 * slope(plan.tilt, own[s]) * own[s];
        let spread = |s: usize| plan.samples[s] as f64 * (own[s] * (1.0 - own[s])).sqrt();
        let total = rest + self.first.iter().sum::<u64>();
        // Cells that have all of their samples, or no more than the first round's.
        let mut settled: ByCell<Option<u64>> = [None; CELLS];
        let mut wanted = [0.0; CELLS];
        for _ in 0..CELLS {
            let (mut left, mut width) = (total as f64, 0.0);
            for (s, settled) in settled.iter().enumerate() {
                left -= settled.map_or_else(|| least(s), |pairs| pairs as f64);
                width += if settled.is_none() { spread(s) } else { 0.0 };
            }
            if left <= 0.0 || width <= 0.0 {
                return None;
            }
            let mut changed = false;
            for s in 0..CELLS {
                if settled[s].is_some() {
                    continue;
                }
                wanted[s] = least(s) + left / width * spread(s);
                let (low, high) = (self.first[s], plan.samples[s]);
                if wanted[s] >= high as f64 || wanted[s] <= low as f64 {
                    settled[s] = Some(if wanted[s] >= high as f64 { high } else { low });
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let pairs = std::array::from_fn(|s| settled[s].unwrap_or(wanted[s] as u64) - self.first[s]);
        self.summing(pairs, rest)
    }

    /// The pairs, but for a few `rest` in all: the cell with most of them makes up for rounding.
    pub(crate) fn summing(&self, mut pairs: ByCell<u64>, rest: u64) -> Option<ByCell<u64>> {
        let most = (0..CELLS).max_by_key(|&s| (pairs[s], CELLS - s))?;
        let others = pairs.iter().sum::<u64>() - pairs[most];
        pairs[most] = rest.checked_sub(others)?;
        (pairs[most] <= self.plan.samples[most] - self.first[most]).then_some(pairs)
    }

    /// The tilts at which the exponent is least at `own`, or large ones where there are too few
    /// pairs.
    pub(crate) fn best_tilts(&self, pairs: &ByCell<u64>) -> ByCell<f64> {
        std::array::from_fn(|s| {
            let pull = self.pull[s] / (pairs[s] as f64).max(1.0);
            (pull / (1.0 - pull * self.own[s]).max(1e-3))
                .min(1e9)
                .max(self.plan.tilt)
        })
    }

    /// These pairs at their best tilts.
    pub(crate) fn free(&self, pairs: ByCell<u64>) -> Rest {
        let cells = self.best_tilts(&pairs);
        Rest {
            pairs,
            tilts: Tilts {
                cells,
                ..Tilts::default()
            },
        }
    }

    /// What `n ln(1 + kappa p)` is expected to exceed, but for a constant.
    pub(crate) fn value(&self, rest: &Rest) -> f64 {
        let cells: f64 = (0..CELLS).map(|s| self.least(s, rest)).sum();
        cells + self.gain(rest)
    }

    /// The least value of a cell's part of the exponent over `t` in `[0, 1]`, but for a constant.
    fn least(&self, s: usize, rest: &Rest) -> f64 {
        let (plan, first, m) = (self.plan, self.first[s] as f64, rest.pairs[s] as f64);
        if first + m == 0.0 {
            return 0.0;
        }
        let (before, kappa) = (plan.tilts.cells[s], rest.tilts.cells[s]);
        let samples = plan.samples[s] as f64;
        let rises =
            |t: f64| samples * slope(plan.tilt, t) > first * slope(before, t) + m * slope(kappa, t);
        // It falls, then rises.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..30 {
            let middle = 0.5 * (low + high);
            if rises(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        samples * ln_1p(plan.tilt * low) - first * ln_1p(before * low) - m * ln_1p(kappa * low)
            + m * self.own[s] * ln_1p(kappa)
    }

    /// What the overshoot of the second round gains; 0 without a lattice.
    fn gain(&self, rest: &Rest) -> f64 {
        let tilts = &rest.tilts;
        if tilts.step == 0.0 {
            return 0.0;
        }
        let (mut wide, mut fourth, mut single) = (0.0, 0.0, 0.0);
        let deviations = 0.9 * (2.0 * ln_down(SIDES / self.plan.alpha)).sqrt();
        for s in 0..CELLS {
            if tilts.multiples[s] == 0 || rest.pairs[s] == 0 {
                continue;
            }
            // The Clopper-Pearson bound of the rarer answer, by Wilson and Hilferty.
            let (m, own) = (rest.pairs[s] as f64, self.own[s]);
            let rare = m * own.min(1.0 - own);
            let cubic = (1.0 - 1.0 / (9.0 * rare) - deviations / (3.0 * rare.sqrt())).max(0.0);
            let rare = rare * cubic * cubic * cubic / m;
            let t = if own > 0.5 { 1.0 - rare } else { rare };
            let squared = f64::from(tilts.multiples[s]) * f64::from(tilts.multiples[s]);
            let variance = variance(m, t, tilts.cells[s]);
            wide += squared * variance;
            fourth += squared * squared * variance;
            if tilts.multiples[s] == 1 {
                single += variance;
            }
        }
        let span = (14.0 / single).min(2.5);
        let mut far = 1.0 + single * span / 2.0 / 64.0;
        for _ in 0..6 {
            far *= far;
        }
        let wide = (wide - fourth * span / 12.0).max(1e-3);
        let peak = 1.0 / (2.0 * std::f64::consts::PI * wide).sqrt() + 1.0 / far;
        -ln_down((peak * (1.0 + tilts.step) / tilts.step).min(1.0))
    }
}

/// The derivative of `ln(1 + kappa t)`.
pub(crate) fn slope(kappa: f64, t: f64) -> f64 {
    kappa / (1.0 + kappa * t)
}

/// The variance of `m` answers under the law of the second round.
pub(crate) fn variance(m: f64, t: f64, kappa: f64) -> f64 {
    let whole = 1.0 + kappa * t;
    m * (1.0 + kappa) * t * (1.0 - t) / (whole * whole)
}
