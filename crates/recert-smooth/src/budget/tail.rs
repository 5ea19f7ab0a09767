//! The bound by the tail ([`crate::bound::tail()`]) that some pairs can be expected to give: its
//! tilts, and the lattice that they lie on.
//!
//! The tilts that are best for given pairs are rarely multiples of each other. So the pairs are
//! chosen for a lattice: for a step, each cell's best multiple is rounded, and the cell gets the
//! pairs for which the rounded one is best.

use super::cells::{ByCell, CELLS, Outlook, Prospect, Tilts};
use crate::bound::LARGEST_MULTIPLE;

/// The share of alpha that the product keeps where there is a lattice, and the number of shares
/// that the rest is divided into, as in [`crate::bound::tail()`].
const PRODUCT: f64 = 31.0 / 32.0;
const SIDES: f64 = 640.0;

/// The most by which a tilt may differ from a multiple of the step, relative to it.
const OFF: f64 = 0.08;

/// Cells with less than this share of the variance of h's part do not decide about the step.
const SMALL: f64 = 0.04;

impl Outlook {
    /// The expectation for about these pairs, which are moved to a lattice if that pays.
    pub(super) fn expect_tail(
        &self,
        pairs: ByCell<u64>,
        tilt: f64,
        alpha: f64,
    ) -> Option<Prospect> {
        // A cell without pairs is only left out of the bound.
        let enough = |s: usize| pairs[s] == 0 || pairs[s] as f64 * 0.999 >= self.least(tilt, s);
        if !(0..CELLS).all(enough) {
            return None;
        }
        let rates = self.best_tilts(tilt, pairs).map(f64::ln_1p);
        let mut best = self.prospect_of(pairs, &self.free(tilt, pairs), alpha);
        for step in self.steps(tilt, pairs, &rates) {
            let Some(moved) = self.moved(tilt, pairs, &rates, step) else {
                continue;
            };
            let Some(tilts) = self.laid(tilt, moved, step) else {
                continue;
            };
            let found = self.prospect_of(moved, &tilts, alpha);
            if found.p_lower > best.p_lower {
                best = found;
            }
        }
        Some(best)
    }

    /// The tilts for these pairs, on a lattice if that pays.
    pub(crate) fn tail_tilts(&self, tilt: f64, pairs: ByCell<u64>, alpha: f64) -> Tilts {
        let (found, mut best) = (self.best_tilts(tilt, pairs), self.free(tilt, pairs));
        let mut most = self.known(pairs, &best, alpha);
        for step in self.steps(tilt, pairs, &found.map(f64::ln_1p)) {
            if let Some(tilts) = self.laid(tilt, pairs, step) {
                let known = self.known(pairs, &tilts, alpha);
                if known > most {
                    (best, most) = (tilts, known);
                }
            }
        }
        best
    }

    /// The number of pairs that a cell needs more than, at this tilt of the codes.
    fn least(&self, tilt: f64, s: usize) -> f64 {
        self.samples[s] * tilt * self.own[s] / (1.0 + tilt * self.own[s])
    }

    /// The tilts at which the exponent is least at the expected `theta`, or large ones where there
    /// are too few pairs.
    fn best_tilts(&self, tilt: f64, pairs: ByCell<u64>) -> ByCell<f64> {
        std::array::from_fn(|s| {
            let own = self.own[s];
            let pull = self.samples[s] * tilt / ((pairs[s] as f64).max(1.0) * (1.0 + tilt * own));
            (pull / (1.0 - pull * own).max(1e-3)).clamp(tilt, 1e9)
        })
    }

    /// The best tilts, without a lattice.
    fn free(&self, tilt: f64, pairs: ByCell<u64>) -> Tilts {
        Tilts {
            codes: tilt,
            cells: self.best_tilts(tilt, pairs),
            ..Tilts::default()
        }
    }

    /// The variance of h's part from each cell, for tilts `exp(rates) - 1`.
    fn variances(&self, pairs: ByCell<u64>, rates: &ByCell<f64>) -> ByCell<f64> {
        std::array::from_fn(|s| {
            spread(pairs[s] as f64, self.own[s], rates[s].exp_m1()) * rates[s] * rates[s]
        })
    }

    /// Candidates for `ln(1 + step)`: the rates of the cells that most of the variance is from,
    /// and their halves.
    fn steps(
        &self,
        tilt: f64,
        pairs: ByCell<u64>,
        rates: &ByCell<f64>,
    ) -> impl Iterator<Item = f64> + use<> {
        let variances = self.variances(pairs, rates);
        let enough = SMALL * variances.iter().sum::<f64>();
        let mut order: Vec<usize> = (0..CELLS).filter(|&s| variances[s] > enough).collect();
        order.sort_by(|&a, &b| variances[b].total_cmp(&variances[a]));
        let least = order
            .iter()
            .map(|&s| rates[s])
            .fold(f64::INFINITY, f64::min);
        let first = order.iter().take(2).map(|&s| rates[s]);
        let mut steps: Vec<f64> = first.flat_map(|rate| [rate, rate / 2.0]).collect();
        steps.extend([least, tilt.ln_1p()]);
        steps.retain(|step| step.is_finite() && *step > 0.0);
        steps.into_iter()
    }

    /// The pairs for which each cell's best tilt is on the lattice, where one is near; about as
    /// many in all.
    fn moved(
        &self,
        tilt: f64,
        pairs: ByCell<u64>,
        rates: &ByCell<f64>,
        step: f64,
    ) -> Option<ByCell<u64>> {
        let wanted: f64 = pairs.iter().sum::<u64>() as f64;
        let mut step = step;
        let mut moved = pairs;
        for _ in 0..3 {
            let (mut laid, mut free) = (0.0, 0.0);
            for s in 0..CELLS {
                moved[s] = pairs[s];
                let multiple = (rates[s] / step).round();
                if pairs[s] > 0 && (1.0..=f64::from(LARGEST_MULTIPLE)).contains(&multiple) {
                    let (own, kappa) = (self.own[s], (multiple * step).exp_m1());
                    let pull = kappa / (1.0 + kappa * own);
                    let best = self.samples[s] * tilt / (pull * (1.0 + tilt * own));
                    if kappa >= tilt && best <= self.samples[s] + 0.5 && best >= 1.0 {
                        moved[s] = best.round() as u64;
                        laid += moved[s] as f64;
                        continue;
                    }
                }
                free += moved[s] as f64;
            }
            if laid <= 0.0 || free >= wanted {
                return None;
            }
            let next = step * laid / (wanted - free);
            if (next / step - 1.0).abs() < 0.003 {
                break;
            }
            step = next.max(tilt.ln_1p());
        }
        Some(moved)
    }

    /// The best tilts, where they are near a multiple of `step` that multiple.
    fn laid(&self, tilt: f64, pairs: ByCell<u64>, step: f64) -> Option<Tilts> {
        let best = self.best_tilts(tilt, pairs);
        let rates = best.map(f64::ln_1p);
        let variances = self.variances(pairs, &rates);
        let multiple = |s: usize, step: f64| {
            let multiple = (rates[s] / step).round();
            let fits = pairs[s] > 0
                && (1.0..=f64::from(LARGEST_MULTIPLE)).contains(&multiple)
                && (rates[s] / (multiple * step) - 1.0).abs() < OFF;
            if fits { multiple } else { 0.0 }
        };
        // The step that fits best on average.
        let (mut sum, mut weights) = (0.0, 0.0);
        for s in 0..CELLS {
            let multiple = multiple(s, step);
            if multiple > 0.0 {
                let weight = variances[s] + 1e-12;
                sum += weight * rates[s] / multiple;
                weights += weight;
            }
        }
        let step = (sum / weights).max(tilt.ln_1p() * (1.0 + 1e-12));
        if !step.is_finite() {
            return None;
        }
        let multiples = std::array::from_fn(|s| multiple(s, step) as u8);
        Some(Tilts {
            codes: tilt,
            cells: std::array::from_fn(|s| match multiples[s] {
                0 => best[s],
                multiple => (f64::from(multiple) * step).exp_m1(),
            }),
            step: step.exp_m1(),
            multiples,
        })
    }

    /// The bound to expect from these pairs and tilts.
    fn prospect_of(&self, pairs: ByCell<u64>, tilts: &Tilts, alpha: f64) -> Prospect {
        let known = self.known(pairs, tilts, alpha);
        Prospect {
            pairs,
            p_lower: ((known / self.n).exp_m1() / tilts.codes).clamp(0.0, 1.0),
            tilt: tilts.codes,
        }
    }

    /// What `n ln(1 + kappa p)` exceeds, at the expected counts.
    fn known(&self, pairs: ByCell<u64>, tilts: &Tilts, alpha: f64) -> f64 {
        let codes = tilts.codes;
        let mut known = alpha.ln();
        let (mut wide, mut fourth, mut single) = (0.0, 0.0, 0.0);
        let deviations = 0.9 * (2.0 * (SIDES / alpha).ln()).sqrt();
        for (s, &m) in pairs.iter().enumerate().filter(|(_, m)| **m > 0) {
            let (n, m, own) = (self.samples[s], m as f64, self.own[s]);
            let kappa = tilts.cells[s];
            let t = (m * kappa - n * codes) / (codes * kappa * (n - m));
            let t = if t.is_nan() { 1.0 } else { t.clamp(0.0, 1.0) };
            known += n * (codes * t).ln_1p() + m * own * kappa.ln_1p() - m * (kappa * t).ln_1p();
            if tilts.multiples[s] > 0 {
                let rare = m * own.min(1.0 - own);
                let cubic = 1.0 - 1.0 / (9.0 * rare) - deviations / (3.0 * rare.sqrt());
                let rare = rare * cubic.max(0.0).powi(3) / m;
                let t = if own > 0.5 { 1.0 - rare } else { rare };
                let squared = f64::from(tilts.multiples[s]).powi(2);
                let variance = spread(m, t, kappa);
                wide += squared * variance;
                fourth += squared * squared * variance;
                single += if tilts.multiples[s] == 1 {
                    variance
                } else {
                    0.0
                };
            }
        }
        if tilts.step == 0.0 {
            return known;
        }
        let span = (14.0 / single).min(2.5);
        let wide = wide - fourth * span / 12.0;
        let far = (1.0 + single * span / 2.0 / 64.0).powi(-64);
        let peak = 1.0 / (2.0 * std::f64::consts::PI * wide.max(1e-3)).sqrt() + far;
        known + PRODUCT.ln() - (peak * (1.0 + tilts.step) / tilts.step).min(1.0).ln()
    }
}

/// `V_s` of `m` pairs.
fn spread(m: f64, t: f64, kappa: f64) -> f64 {
    m * (1.0 + kappa) * t * (1.0 - t) / (1.0 + kappa * t).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::{self, Cell, Lattice};
    use crate::budget::Rates;
    use recert_num::Alpha;

    const SAMPLES: ByCell<u64> = [
        3_000, 3_100, 6_000, 9_000, 57_000, 2_600, 2_000, 3_000, 4_000, 8_000,
    ];

    /// The bound at the counts that are expected if `own` is true.
    fn reached(outlook: &Outlook, left: ByCell<u64>, tilts: &Tilts, alpha: Alpha) -> f64 {
        let cells: Vec<Cell> = (0..CELLS)
            .map(|s| Cell {
                samples: SAMPLES[s],
                pairs: left[s],
                own: (left[s] as f64 * outlook.own[s]).round() as u64,
                tilt: tilts.cells[s],
            })
            .collect();
        let lattice = Lattice {
            step: tilts.step,
            multiples: &tilts.multiples,
        };
        let found = bound::tail(100_000, tilts.codes, &cells, Some(lattice), alpha);
        found.unwrap().p_lower.get()
    }

    fn outlook(loss: f64) -> Outlook {
        let rates = Rates {
            loss,
            ..Rates::default()
        };
        Outlook::new(100_000, SAMPLES, &rates, 0.2)
    }

    #[test]
    fn prospects_are_the_bounds_at_the_expected_counts() {
        let alpha = Alpha::new(0.002).unwrap();
        let mut before = 0.0;
        for cost in [500, 2_000, 8_000, 32_000] {
            let outlook = outlook(0.25);
            let best = outlook.prospect(cost, None, alpha.get(), true).unwrap();
            let left = best.pairs;
            let tilts = outlook.tail_tilts(best.tilt, left, alpha.get());
            let found = reached(&outlook, left, &tilts, alpha);
            // Whole counts are off by up to a half.
            let off = (0.15 / (cost as f64).sqrt()).max(2e-3);
            assert!((found - best.p_lower).abs() < off, "{found} {best:?}");
            assert!(best.p_lower > before, "{best:?}");
            before = best.p_lower;
            let spent: u64 = best.pairs.iter().sum();
            assert!(spent.abs_diff(cost) <= 20 + cost / 12, "{spent} {cost}");
        }
    }
}
