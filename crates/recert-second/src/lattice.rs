//! The second round on a lattice: its tilts are powers of one number, and its pairs those for
//! which these tilts are best.

use recert_num::directed::exp_down;

use crate::scene::{Scene, ln_1p, slope, variance};
use crate::{ByCell, CELLS, Rest, Tilts};

/// The largest power.
const LARGEST: f64 = 64.0;

/// The most by which a tilt may differ from a power of the step, relative to it.
const OFF: f64 = 0.08;

/// Cells with less than this share of the variance do not decide about the step.
const SMALL: f64 = 0.04;

impl Scene<'_> {
    /// About these pairs on each of some lattices.
    pub(crate) fn laid(&self, pairs: &ByCell<u64>) -> Vec<Rest> {
        let rates = self.best_tilts(pairs).map(ln_1p);
        let steps = self.steps(pairs, &rates);
        let each = steps.into_iter().filter_map(|step| {
            let moved = self.moved(pairs, &rates, step)?;
            Some(Rest {
                pairs: moved,
                tilts: self.near(&moved, step)?,
            })
        });
        each.collect()
    }

    /// The variance from each cell in units of the exponent, for tilts `exp(rates) - 1`.
    fn variances(&self, pairs: &ByCell<u64>, tilts: &ByCell<f64>) -> ByCell<f64> {
        std::array::from_fn(|s| {
            let rate = ln_1p(tilts[s]);
            variance(pairs[s] as f64, self.own[s], tilts[s]) * rate * rate
        })
    }

    /// Candidates for `ln(1 + step)`: the rates of the cells that most of the variance is from,
    /// and their halves.
    fn steps(&self, pairs: &ByCell<u64>, rates: &ByCell<f64>) -> Vec<f64> {
        let variances = self.variances(pairs, &self.best_tilts(pairs));
        let enough = SMALL * variances.iter().sum::<f64>();
        let mut order: Vec<usize> = (0..CELLS).filter(|&s| variances[s] > enough).collect();
        order.sort_by(|&a, &b| variances[b].total_cmp(&variances[a]));
        let least = order.iter().map(|&s| rates[s]).fold(1.0, f64::min);
        let first = order.iter().take(2);
        let mut steps: Vec<f64> = first.flat_map(|&s| [rates[s], rates[s] / 2.0]).collect();
        steps.extend([least, ln_1p(self.plan.tilt)]);
        steps
    }

    /// As many pairs, for which each cell's best tilt is on the lattice where one is near.
    fn moved(
        &self,
        pairs: &ByCell<u64>,
        rates: &ByCell<f64>,
        mut step: f64,
    ) -> Option<ByCell<u64>> {
        let rest: u64 = pairs.iter().sum();
        let mut moved = *pairs;
        for _ in 0..4 {
            let (mut laid, mut free) = (0.0, 0.0);
            for s in 0..CELLS {
                moved[s] = pairs[s];
                let multiple = (rates[s] / step).round();
                if pairs[s] > 0 && (1.0..=LARGEST).contains(&multiple) {
                    let kappa = exp_down(multiple * step) - 1.0;
                    let best = self.pull[s] / slope(kappa, self.own[s]);
                    let room = (self.plan.samples[s] - self.first[s]) as f64;
                    if kappa >= self.plan.tilt && (1.0..=room).contains(&best) {
                        moved[s] = best.round() as u64;
                        laid += moved[s] as f64;
                        continue;
                    }
                }
                free += moved[s] as f64;
            }
            if laid <= 0.0 || free >= rest as f64 {
                return None;
            }
            let next = step * laid / (rest as f64 - free);
            if (next / step - 1.0).abs() < 0.003 {
                break;
            }
            step = next.max(ln_1p(self.plan.tilt));
        }
        self.summing(moved, rest)
    }

    /// The best tilts, where they are near a power of the step that power.
    fn near(&self, pairs: &ByCell<u64>, step: f64) -> Option<Tilts> {
        let best = self.best_tilts(pairs);
        let (rates, variances) = (best.map(ln_1p), self.variances(pairs, &best));
        let multiple = |s: usize, step: f64| {
            let multiple = (rates[s] / step).round();
            let fits = pairs[s] > 0
                && (1.0..=LARGEST).contains(&multiple)
                && (rates[s] / (multiple * step) - 1.0).abs() < OFF;
            if fits { multiple as u8 } else { 0 }
        };
        // The step that fits best on average.
        let (mut sum, mut weights) = (0.0, 0.0);
        for s in 0..CELLS {
            let multiple = multiple(s, step);
            if multiple > 0 {
                let weight = variances[s] + 1e-12;
                sum += weight * rates[s] / f64::from(multiple);
                weights += weight;
            }
        }
        let rate = (sum / weights).max(ln_1p(self.plan.tilt) * (1.0 + 1e-12));
        if !rate.is_finite() {
            return None;
        }
        let step = exp_down(rate) - 1.0;
        let multiples: ByCell<u8> = std::array::from_fn(|s| multiple(s, rate));
        let power = |multiple: u8| (0..multiple).fold(1.0, |power, _| power * (1.0 + step)) - 1.0;
        let cells = std::array::from_fn(|s| match multiples[s] {
            0 => best[s],
            1 => step,
            more => power(more),
        });
        let fits = step >= self.plan.tilt
            && multiples != [0; CELLS]
            && cells.iter().all(|kappa| *kappa <= 1e12);
        fits.then_some(Tilts {
            cells,
            step,
            multiples,
        })
    }
}
