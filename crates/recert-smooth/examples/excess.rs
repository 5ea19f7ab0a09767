//! How far bounds of `P(h = c)` from pairs stay from the truth, where f's part is
//! known: the upper bound of `P(f = c, h != c) - P(f != c, h = c)` above its true
//! value, median of 2,001 draws, by number of pairs; and what one bound costs.
//!
//! `cargo run --release -p recert-smooth --example excess`
//!
//! The rates are those of ResNet-20 at sigma 0.5 against its int8 version, on an
//! input with `P(f = c) = 0.8`: f and h disagree on 3.1 % of all samples, 1.26 %
//! leave c and 1.13 % become c, most of them among the samples that f was least
//! decided on. The pairs of the bound over cells are spread for rates that are
//! true, twice as high, and half as high. alpha is 0.002.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};
use recert_num::{Alpha, clopper_pearson_lower, clopper_pearson_upper};
use recert_smooth::bound::{Cell, cells};

const ALPHA: f64 = 0.002;
const OWN: f64 = 0.8;
const DISAGREE: f64 = 0.031;
const LOSS: f64 = 0.0126;
const GAIN: f64 = 0.0113;

/// The samples by margin bucket, least decided first; those of them that f answered
/// with c; and how much of all disagreement is there.
const BUCKETS: [(f64, f64, f64); 5] = [
    (0.05, 0.025, 0.588),
    (0.05, 0.025, 0.252),
    (0.10, 0.050, 0.126),
    (0.15, 0.120, 0.024),
    (0.65, 0.580, 0.010),
];

/// Cached samples: so many that f's part is known.
const CACHED: u64 = 1_000_000_000;
const DRAWS: usize = 2_001;

fn main() -> Result<(), Box<dyn Error>> {
    println!("pairs\tzeta\tpaired\tcells\trates twice\trates half\tus_a_bound");
    for pairs in [1_000, 2_000, 5_000, 20_000] {
        let mut rng = StdRng::seed_from_u64(pairs);
        let mut medians = vec![zeta(pairs, &mut rng)?, paired(pairs, &mut rng)?];
        let mut micros = 0.0;
        for believed in [1.0, 2.0, 0.5] {
            let plan = Plan::new(pairs, believed);
            let started = Instant::now();
            medians.push(plan.excess(&mut rng)?);
            if believed == 1.0 {
                micros = started.elapsed().as_secs_f64() * 1e6 / DRAWS as f64;
            }
        }
        let medians: Vec<String> = medians.iter().map(|m| format!("{m:.4}")).collect();
        println!("{pairs}\t{}\t{micros:.1}", medians.join("\t"));
    }
    Ok(())
}

/// `P(f = c)` less what all disagreement takes.
fn zeta(pairs: u64, rng: &mut StdRng) -> Result<f64, Box<dyn Error>> {
    let drawn = Binomial::new(pairs, DISAGREE)?;
    median(|| {
        let bound = clopper_pearson_upper(drawn.sample(rng), pairs, Alpha::new(ALPHA)?)?;
        Ok(bound.get() - (LOSS - GAIN))
    })
}

/// Losses and gains by a Clopper-Pearson bound each, half of alpha for each.
fn paired(pairs: u64, rng: &mut StdRng) -> Result<f64, Box<dyn Error>> {
    let half = Alpha::new(ALPHA / 2.0)?;
    let lost = Binomial::new(pairs, LOSS)?;
    median(|| {
        let lost = lost.sample(rng);
        let gained = Binomial::new(pairs - lost, GAIN / (1.0 - LOSS))?.sample(rng);
        let loss = clopper_pearson_upper(lost, pairs, half)?.get();
        let gain = clopper_pearson_lower(gained, pairs, half)?.get();
        Ok(loss - gain - (LOSS - GAIN))
    })
}

fn median(mut draw: impl FnMut() -> Result<f64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut all: Vec<f64> = (0..DRAWS).map(|_| draw()).collect::<Result<_, _>>()?;
    all.sort_by(f64::total_cmp);
    Ok(all[DRAWS / 2])
}

/// The ten cells of f's codes: shares of the samples, and chances that h answers c,
/// where it moves `times` as often as it does.
fn laws(times: f64) -> [(f64, f64); 10] {
    let mut laws = [(0.0, 0.0); 10];
    for (bucket, (width, own, share)) in BUCKETS.into_iter().enumerate() {
        let moved = |all: f64, weight: f64| (times * all * share / weight).min(0.5);
        laws[bucket] = (own, 1.0 - moved(LOSS, own));
        laws[bucket + 5] = (width - own, moved(GAIN, width - own));
    }
    laws
}

/// Pairs and tilts of a bound over cells.
struct Plan {
    tilt: f64,
    pairs: [u64; 10],
    tilts: [f64; 10],
}

impl Plan {
    /// The best for rates `believed` times the true ones: the tilt `lambda` per unit
    /// of share, over a grid, and for each the spread of pairs
    /// `lambda w theta + nu w sqrt(theta (1 - theta))`.
    fn new(pairs: u64, believed: f64) -> Self {
        let laws = laws(believed);
        let all = pairs as f64;
        let mut best = (f64::MIN, Self::at(all / 2.0, all, &laws));
        for step in 1..200 {
            let lambda = all * 0.97 * f64::from(step) / 200.0;
            let plan = Self::at(lambda, all, &laws);
            let mut known = ALPHA.ln();
            for (s, (weight, own)) in laws.into_iter().enumerate() {
                let m = plan.pairs[s] as f64;
                let u = lambda * weight / m;
                let taken = -((1.0 - own) * (-own * u).ln_1p() + own * ((1.0 - own) * u).ln_1p());
                known += lambda * weight * own - m * taken;
            }
            let value = known / lambda;
            if value > best.0 {
                best = (value, plan);
            }
        }
        best.1
    }

    fn at(lambda: f64, all: f64, laws: &[(f64, f64); 10]) -> Self {
        let least = |(weight, own): (f64, f64)| lambda * weight * own;
        let width = |(weight, own): (f64, f64)| weight * (own * (1.0 - own)).sqrt();
        let left = all - laws.iter().map(|&law| least(law)).sum::<f64>();
        let widths = laws.iter().map(|&law| width(law)).sum::<f64>();
        let pairs = laws.map(|law| least(law) + left / widths * width(law));
        let tilt = |s: usize| {
            let u = lambda * laws[s].0 / pairs[s];
            (u / (1.0 - laws[s].1 * u)).clamp(1e-9, 1e9)
        };
        Self {
            tilt: (lambda / CACHED as f64).exp_m1(),
            pairs: pairs.map(|m| m.round() as u64),
            tilts: std::array::from_fn(tilt),
        }
    }

    fn excess(&self, rng: &mut StdRng) -> Result<f64, Box<dyn Error>> {
        let truth = laws(1.0);
        let drawn: Vec<Binomial> = (0..10)
            .map(|s| Binomial::new(self.pairs[s], truth[s].1))
            .collect::<Result<_, _>>()?;
        median(|| {
            let answered: [Cell; 10] = std::array::from_fn(|s| Cell {
                samples: (truth[s].0 * CACHED as f64) as u64,
                pairs: self.pairs[s],
                own: drawn[s].sample(rng),
                tilt: self.tilts[s],
            });
            let bound = cells(CACHED, self.tilt, black_box(&answered), Alpha::new(ALPHA)?)?;
            Ok(OWN - (LOSS - GAIN) - bound.get())
        })
    }
}
