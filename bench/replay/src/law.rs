//! From counts to the laws that samples are drawn from.
//!
//! f's codes: the shares of its samples in the ledger. h's answers: for each code
//! a chance by a Beta law around what inputs as hard as this one have shown,
//! confronted with the input's own pairs. A group of codes has the mean
//! `A q^B` (`q` the chance that f does not answer c on the input; `B` by largest
//! Poisson likelihood from 0 to 2, `A` by the total, with half an event more),
//! and the Beta law's weight is the one, of a geometric grid, with the largest
//! beta-binomial likelihood. The chance is that law's mean given the input's own
//! pairs of the code.

use crate::counts::{BUCKETS, ByCode, CODES, Counts, Paired};

/// Codes that share a mean and a weight.
const GROUPS: [&[usize]; 9] = [
    &[0],
    &[1],
    &[2],
    &[3],
    &[4, 5, 6, 7],
    &[8],
    &[9],
    &[10],
    &[11, 12, 13, 14, 15],
];

/// What one input's samples follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// Whether the class selected is the label. Used for scoring alone.
    pub correct: bool,
    /// Chance of each code.
    pub code: [f64; CODES],
    /// Chance that h answers c, given the code.
    pub own: [f64; CODES],
    /// Chance that h answers otherwise than f, given the code.
    pub differ: [f64; CODES],
}

impl Law {
    /// `P(f = c)`.
    pub fn f(&self) -> f64 {
        self.code[..BUCKETS].iter().sum()
    }

    /// `P(h = c)`.
    pub fn h(&self) -> f64 {
        self.code.iter().zip(&self.own).map(|(p, t)| p * t).sum()
    }
}

/// The laws of all inputs for the network at place `network`.
pub fn laws(counts: &Counts, network: usize) -> Vec<Law> {
    let q: Vec<f64> = (counts.inputs.iter())
        .map(|input| {
            let n: u64 = input.samples.iter().sum();
            let k: u64 = input.samples[..BUCKETS].iter().sum();
            ((n - k) as f64 + 0.5) / (n as f64 + 1.0)
        })
        .collect();
    let paired = &counts.networks[network].1;
    // Where f answered c a difference is a loss; elsewhere h may go to c or to
    // a third class.
    let away = |p: &Paired| -> ByCode {
        std::array::from_fn(|code| {
            if code < BUCKETS {
                p.differ[code]
            } else {
                p.differ[code] - p.own[code]
            }
        })
    };
    let (away, gained): (Vec<ByCode>, Vec<ByCode>) =
        paired.iter().map(|p| (away(p), p.own)).unzip();
    let pairs: Vec<ByCode> = paired.iter().map(|p| p.pairs).collect();
    let away = shrink(&q, &pairs, &away);
    let gained = shrink(&q, &pairs, &gained);
    (counts.inputs.iter().enumerate())
        .map(|(i, input)| {
            let n: u64 = input.samples.iter().sum();
            let own = |code: usize| {
                if code < BUCKETS {
                    1.0 - away[i][code]
                } else {
                    gained[i][code]
                }
            };
            let differ = |code: usize| {
                let gained = if code < BUCKETS { 0.0 } else { gained[i][code] };
                (away[i][code] + gained).min(1.0)
            };
            Law {
                correct: input.correct,
                code: input.samples.map(|samples| samples as f64 / n as f64),
                own: std::array::from_fn(own),
                differ: std::array::from_fn(differ),
            }
        })
        .collect()
}

/// The chance of the event by input and code.
fn shrink(q: &[f64], pairs: &[ByCode], events: &[ByCode]) -> Vec<[f64; CODES]> {
    let mut chances = vec![[0.0; CODES]; q.len()];
    for group in GROUPS {
        let cells = || (0..q.len()).flat_map(|i| group.iter().map(move |&code| (i, code)));
        let seen: f64 = cells().map(|(i, code)| events[i][code] as f64).sum();
        // ln likelihood of A q^B, up to a constant.
        let fit = |power: f64| {
            let exposure: f64 = cells()
                .map(|(i, code)| pairs[i][code] as f64 * q[i].powf(power))
                .sum();
            let slope: f64 = cells()
                .map(|(i, code)| events[i][code] as f64 * q[i].ln())
                .sum();
            let scale = (seen + 0.5) / exposure.max(1.0);
            (
                seen * scale.ln() + power * slope - scale * exposure,
                power,
                scale,
            )
        };
        let powers = (0..=40).map(|i| f64::from(i) / 20.0);
        let best = powers.map(fit).max_by(|a, b| a.0.total_cmp(&b.0));
        let (_, power, scale) = best.unwrap_or((0.0, 0.0, 0.0));
        let mean = |i: usize| (scale * q[i].powf(power)).clamp(1e-9, 0.9);
        let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
        let likelihood = |weight: f64| -> f64 {
            cells()
                .map(|(i, code)| {
                    let (a, b) = (weight * mean(i), weight * (1.0 - mean(i)));
                    let (x, m) = (events[i][code] as f64, pairs[i][code] as f64);
                    ln_beta(a + x, b + m - x) - ln_beta(a, b)
                })
                .sum()
        };
        let weights = (0..=24).map(|i| 10_f64.powf(f64::from(i) / 4.0));
        let weight = weights
            .map(|weight| (likelihood(weight), weight))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(1.0, |(_, weight)| weight);
        for (i, code) in cells() {
            chances[i][code] =
                (weight * mean(i) + events[i][code] as f64) / (weight + pairs[i][code] as f64);
        }
    }
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_seen_is_believed_and_little_is_shrunk() {
        // Chance q/2 exactly, on every input but the last, which saw no pair.
        let q: Vec<f64> = (1..=20).map(|i| 0.02 * f64::from(i)).collect();
        let pairs: Vec<ByCode> = (0..20)
            .map(|i| [if i < 19 { 10_000 } else { 0 }; CODES])
            .collect();
        let events: Vec<ByCode> = (q.iter().zip(&pairs))
            .map(|(q, m)| m.map(|m| (m as f64 * q / 2.0).round() as u64))
            .collect();
        for (chances, q) in shrink(&q, &pairs, &events).iter().zip(&q) {
            for chance in chances {
                assert!((chance - q / 2.0).abs() < 0.02 * q, "{chance} {q}");
            }
        }
    }
}
