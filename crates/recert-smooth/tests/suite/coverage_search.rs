//! Networks that are chosen among many by what a search sees of them are certified from samples that it did not see
//! (`SOUNDNESS.md`, section 15): whichever of them is then taken, its certificate is false with probability alpha at
//! most, however many the search looked at. From the search's own samples it is false far more often.
//!
//! 40 linear networks, each of which looks at one coordinate of the noise, have the same probability of the class. A
//! search takes the five that do best; of these the one with the best certificate is taken.

use recert_noise::{NoiseKey, Stream};
use recert_num::{Alpha, normal_cdf_lower};
use recert_smooth::bound;

/// Networks of one coordinate each.
const NETWORKS: usize = 40;
const CHOSEN: usize = 5;
const SAMPLES: u32 = 200;
const ALPHA: f64 = 0.05;
/// A network answers the class where its coordinate of the noise is above the negative of this, in units of sigma.
const THRESHOLD: f32 = 0.5;
const SERIES: u64 = 400;

/// How often each network answers the class under noise of a seed.
fn counts(seed: u64) -> Vec<u64> {
    let key = NoiseKey::new(seed);
    let image = [0.0; NETWORKS];
    let (mut noisy, mut counts) = (vec![0.0; NETWORKS], vec![0; NETWORKS]);
    for sample in 0..SAMPLES {
        key.add(Stream::Certify, 0, sample, 1.0, &image, &mut noisy);
        for (count, noise) in counts.iter_mut().zip(&noisy) {
            *count += u64::from(*noise > -THRESHOLD);
        }
    }
    counts
}

#[test]
fn certificates_of_networks_that_a_search_chose_hold() {
    let truth = normal_cdf_lower(f64::from(THRESHOLD)).unwrap().get();
    let lower = |k: u64, alpha: f64| {
        let alpha = Alpha::new(alpha).unwrap();
        bound::direct(k, u64::from(SAMPLES), alpha).unwrap().get()
    };
    let (mut apart, mut on_the_same) = (0_u64, 0_u64);
    for series in 0..SERIES {
        // The ledger has one seed, the search another.
        let (searched, certified) = (counts(2 * series), counts(2 * series + 1));
        let mut order: Vec<usize> = (0..NETWORKS).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(searched[i]));
        let best = order[..CHOSEN]
            .iter()
            .map(|&i| lower(certified[i], ALPHA / CHOSEN as f64));
        apart += u64::from(best.fold(0.0, f64::max) > truth);
        let best = order[..CHOSEN]
            .iter()
            .map(|&i| lower(searched[i], ALPHA / CHOSEN as f64));
        on_the_same += u64::from(best.fold(0.0, f64::max) > truth);
    }
    eprintln!("false of {SERIES}: {apart} from samples apart, {on_the_same} from the search's own");
    // At most 20 on average; more than 38 with probability 1e-4.
    assert!(apart <= 38, "{apart}");
    // The correction for five that were chosen by these very samples is none for the 40 behind them.
    assert!(
        on_the_same as f64 > 3.0 * ALPHA * SERIES as f64,
        "{on_the_same}"
    );
}
