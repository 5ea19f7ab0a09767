//! Rates: how often h leaves f's class, learned from other inputs.

use serde::{Deserialize, Serialize};

use super::cells::{ByCell, OWN};

/// A rough model of how h differs from f, with parameters that inputs share.
///
/// With `q = P(f != c)` on an input, `r = P(h != c | f = c)` is about `loss * q`, because both
/// networks err near the same boundary, and q measures how near to it an input's samples lie.
/// How the losses are distributed over the margin buckets depends on r, but hardly on how h
/// was made. In each bucket, h turns other answers of f to c about as often as it loses c.
/// (Measured on ResNet-20 under noise 0.25 to 1.0: `loss` is 0.002 for fp16, 0.05 to 0.08
/// for int8 and 10 % pruning, 0.1 to 0.35 for 20 %, much the same for q from 0.005 to 0.4.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The probability that h leaves c where f answered c, divided by q.
    pub loss: f64,
    /// The factor by which h leaves c more often in each bucket than networks with this `loss`
    /// usually do.
    pub more: [f64; OWN],
}

impl Default for Rates {
    /// The rates of a typical int8 network, for use where nothing is known of h.
    fn default() -> Self {
        Self {
            loss: 0.06,
            more: [1.0; OWN],
        }
    }
}

/// The outcome of one input's pilot: for each pilot sample its cell (one of those where f
/// answered c), and whether h answered otherwise.
pub type Pilot = Vec<(usize, bool)>;

/// The probability that h leaves c in each bucket (0, 1, 2, 3, higher), if it does so with
/// probability `r` over all. Fitted by eye to 150 groups of inputs of nine modified networks
/// (`bench/replay/data`).
fn shape(r: f64) -> [f64; OWN] {
    let rising =
        |limit: f64, scale: f64, power: f64| limit * (1.0 - (-(r / scale).powf(power)).exp());
    [
        rising(0.42, 0.018, 1.0),
        rising(0.38, 0.04, 1.5).max(0.02 * r),
        rising(0.25, 0.05, 2.0).max(0.02 * r),
        rising(0.1, 0.06, 3.0).max(0.02 * r),
        (0.0025 * (r / 0.065).powi(3)).max(0.005 * r),
    ]
}

impl Rates {
    /// Learns rates from pilots, each with its input's q. The default rates count as half an
    /// event, and as two events in each bucket.
    pub(crate) fn learn<'a>(pilots: impl Iterator<Item = (f64, &'a Pilot)> + Clone) -> Self {
        let default = Self::default();
        let (mut lost, mut exposure) = (0.5, 0.5 / default.loss);
        for (q, pilot) in pilots.clone() {
            lost += pilot.iter().filter(|(_, lost)| *lost).count() as f64;
            exposure += q * pilot.len() as f64;
        }
        let loss = (lost / exposure).clamp(1e-4, 2.0);
        let rates = Self { loss, ..default };
        let (mut seen, mut expected) = ([2.0; OWN], [2.0; OWN]);
        for (q, pilot) in pilots {
            let shape = shape(rates.lost(q));
            for &(cell, lost) in pilot {
                seen[cell] += f64::from(u8::from(lost));
                expected[cell] += shape[cell];
            }
        }
        Self {
            more: std::array::from_fn(|cell| seen[cell] / expected[cell]),
            ..rates
        }
    }

    /// `P(h != c | f = c)` for an input with `P(f != c) = q`.
    pub(crate) fn lost(&self, q: f64) -> f64 {
        (self.loss * q).min(0.5)
    }

    /// `P(h = c)` in each cell, for an input with `P(f != c) = q`.
    pub(crate) fn own(&self, q: f64) -> ByCell<f64> {
        let shape = shape(self.lost(q));
        let moved = |bucket: usize| (shape[bucket] * self.more[bucket]).clamp(1e-6, 0.5);
        std::array::from_fn(|cell| {
            if cell < OWN {
                1.0 - moved(cell)
            } else {
                moved(cell - OWN)
            }
        })
    }

    /// How many of `n` samples to expect in each cell, from q alone: by the quantiles of the
    /// buckets, and by how often f answers otherwise in each (fitted like [`shape`]).
    pub(crate) fn samples(q: f64, n: u64) -> ByCell<u64> {
        const WIDTHS: [f64; OWN] = [0.05, 0.05, 0.1, 0.15, 0.65];
        const SCALES: [(f64, f64); OWN - 1] = [(0.033, 1.0), (0.1, 1.3), (0.16, 1.4), (0.24, 1.5)];
        let mut other = [0.0; OWN];
        for (other, (scale, power)) in other.iter_mut().zip(SCALES) {
            *other = 0.5 * (1.0 - (-(q / scale).powf(power)).exp());
        }
        let sum: f64 = (0..OWN).map(|b| WIDTHS[b] * other[b]).sum();
        for other in &mut other {
            *other *= (q / sum.max(1e-300)).min(1.0);
        }
        other[OWN - 1] = ((q - sum) / WIDTHS[OWN - 1]).clamp(0.0, 1.0);
        std::array::from_fn(|cell| {
            let share = match cell.checked_sub(OWN) {
                Some(bucket) => WIDTHS[bucket] * other[bucket],
                None => WIDTHS[cell] * (1.0 - other[cell]),
            };
            (share * n as f64) as u64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_leaves_the_default_and_much_seen_replaces_it() {
        assert_eq!(Rates::learn([].into_iter()), Rates::default());
        // A tenth of q over all, all of it in bucket 1.
        let pilot: Pilot = (0..100_000)
            .map(|i| (if i % 5 == 0 { 1 } else { 4 }, i % 50 == 0))
            .collect();
        let rates = Rates::learn([(0.2, &pilot)].into_iter());
        assert!((rates.loss - 0.1).abs() < 0.002, "{rates:?}");
        let own = rates.own(0.2);
        assert!((own[1] - 0.9).abs() < 0.002, "{own:?}");
        assert!(own[4] > 0.9999, "{own:?}");
        assert!((own[6] - 0.1).abs() < 0.002, "{own:?}");
    }

    #[test]
    fn expected_samples_add_up() {
        for q in [0.001, 0.02, 0.1, 0.3, 0.5] {
            let samples = Rates::samples(q, 1_000_000);
            let own: u64 = samples[..OWN].iter().sum();
            assert!((own as f64 / 1e6 - (1.0 - q)).abs() < 1e-4, "{q} {own}");
            assert!(samples.iter().sum::<u64>() <= 1_000_000);
        }
    }
}
