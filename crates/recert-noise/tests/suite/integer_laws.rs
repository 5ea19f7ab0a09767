//! Integer noise is the rounded normal law and independent where it has to be: fixed seeds.
//!
//! Every single check fails with probability about 1e-6 if the noise has its
//! law and the seed is drawn at random; there are fewer than 100 checks, so the
//! whole file has a false-alarm rate of about 1e-4. The seeds are fixed and were
//! not chosen by the results. That the law's thresholds are exact is tested
//! elsewhere (`integer_golden.rs`); here the probabilities come from a series.

use recert_noise::{IntegerNoise, Stream};

/// Two-sided standard normal quantile at 1e-6.
const Z_LIMIT: f64 = 4.8917;
/// Elements of one sample.
const LEN: usize = 3072;

fn noise(seed: u64, sigma: f64) -> IntegerNoise {
    IntegerNoise::new(seed, sigma).expect("a sigma in range")
}

/// `samples` samples of `LEN` elements each, one after the other.
fn draw(noise: &IntegerNoise, stream: Stream, input: u32, first: u32, samples: u32) -> Vec<i32> {
    let mut out = vec![0; samples as usize * LEN];
    for (sample, row) in (first..).zip(out.chunks_exact_mut(LEN)) {
        noise.fill(stream, input, sample, row);
    }
    out
}

/// Phi by its series (Marsaglia, "Evaluating the normal distribution", 2004).
fn phi(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        k += 2.0;
        term *= x * x / k;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// P(E <= j).
fn cdf(j: i32, sigma: f64) -> f64 {
    phi((f64::from(j) + 0.5) / (255.0 * sigma))
}

/// Fails unless a chi-square statistic is below its quantile at 1 - 1e-6
/// (Wilson and Hilferty's, 1931; within 1 % for 7 degrees of freedom and more).
fn check_chi_square(name: &str, counts: &[u64], expected: &[f64]) {
    assert!(
        expected.iter().all(|&e| e >= 20.0),
        "{name}: cells too small"
    );
    let pairs = counts.iter().zip(expected);
    let statistic: f64 = pairs.map(|(&n, e)| (n as f64 - e).powi(2) / e).sum();
    let freedom = counts.len() as f64 - 1.0;
    let step = 2.0 / (9.0 * freedom);
    let limit = freedom * (1.0 - step + 4.7534 * step.sqrt()).powi(3);
    eprintln!("{name}: chi-square {statistic:.1} of {freedom}, limit {limit:.1}");
    assert!(statistic <= limit, "{name}: {statistic} > {limit}");
}

/// Every value by itself, as far out as 20 are expected of it.
#[test]
fn every_value_has_its_probability() {
    for (seed, sigma) in [
        (201, 1.0 / 1024.0),
        (202, 0.12),
        (203, 0.25),
        (204, 0.5),
        (205, 1.0),
    ] {
        let e = draw(&noise(seed, sigma), Stream::Certify, 0, 0, 1024);
        let n = e.len() as f64;
        let share = |j: i32| n * (cdf(j, sigma) - cdf(j - 1, sigma));
        // A cell each for -last to last, the outermost two with all beyond.
        let last = (0..10_000)
            .take_while(|&j| n * cdf(-j, sigma) >= 20.0 && share(j) >= 20.0)
            .last()
            .expect("0 is likely");
        let mut counts = vec![0; 2 * last as usize + 1];
        for &e in &e {
            counts[(e.clamp(-last, last) + last) as usize] += 1;
        }
        let mut expected: Vec<f64> = (-last..=last).map(share).collect();
        expected[0] = n * cdf(-last, sigma);
        expected[2 * last as usize] = n * cdf(-last, sigma);
        check_chi_square(&format!("sigma {sigma}"), &counts, &expected);
    }
}

#[test]
fn first_four_moments() {
    let sigma = 0.25;
    let e = draw(&noise(206, sigma), Stream::Certify, 0, 0, 2048);
    // Moments of the discrete law, from its probabilities.
    let reach = (9.0 * 255.0 * sigma) as i32;
    let moment = |k: i32| -> f64 {
        (-reach..=reach)
            .map(|j| (cdf(j, sigma) - cdf(j - 1, sigma)) * f64::from(j).powi(k))
            .sum()
    };
    let n = e.len() as f64;
    for k in 1..=4 {
        let (mean, square) = (moment(k), moment(2 * k));
        let sum: f64 = e.iter().map(|&e| f64::from(e).powi(k) - mean).sum();
        let statistic = sum / (n * (square - mean * mean)).sqrt();
        eprintln!("moment {k}: {statistic:+.3}");
        assert!(statistic.abs() <= Z_LIMIT, "moment {k}: {statistic}");
    }
}

/// Numbers of draws beyond 3, 4 and 5 sigma; the limits enclose all but 1e-6
/// of the Poisson law of that mean.
#[test]
fn tails_to_five_sigma() {
    let sigma = 0.5;
    let (noise, mut row) = (noise(207, sigma), [0; 1 << 12]);
    let limits = [3.0, 4.0, 5.0].map(|z| (z * 255.0 * sigma) as i32);
    let mut counts = [0_u32; 3];
    for sample in 0..1 << 12 {
        noise.fill(Stream::Certify, 9, sample, &mut row);
        for e in row {
            for (count, limit) in counts.iter_mut().zip(limits) {
                *count += u32::from(e.abs() > limit);
            }
        }
    }
    for (count, limit) in counts.into_iter().zip(limits) {
        let mean = f64::from(1 << 24) * 2.0 * cdf(-limit - 1, sigma);
        // The square root of a Poisson number has a deviation of nearly 1/2;
        // the term of 2 is for small means.
        let statistic = 2.0 * (f64::from(count).sqrt() - mean.sqrt());
        eprintln!("beyond {limit}: {count}, mean {mean:.2}");
        assert!(
            statistic.abs() <= Z_LIMIT + 2.0 / mean.sqrt(),
            "{count} {mean}"
        );
    }
}

/// Chi-square of the 8 x 8 table of two values against independence and the law.
fn check_table(name: &str, sigma: f64, pairs: impl Iterator<Item = (i32, i32)>) {
    let s = 255.0 * sigma;
    let edges = [-1.15, -0.67, -0.32, 0.0, 0.32, 0.67, 1.15].map(|z| (z * s) as i32);
    let cell = |e: i32| edges.iter().filter(|&&edge| e > edge).count();
    let mut counts = [0; 64];
    for (a, b) in pairs {
        counts[8 * cell(a) + cell(b)] += 1;
    }
    let below = edges.map(|edge| cdf(edge, sigma));
    let share = |cell: usize| {
        let upper = below.get(cell).copied().unwrap_or(1.0);
        upper - if cell == 0 { 0.0 } else { below[cell - 1] }
    };
    let n = counts.iter().sum::<u64>() as f64;
    let expected: Vec<f64> = (0..64).map(|k| n * share(k / 8) * share(k % 8)).collect();
    check_chi_square(name, &counts, &expected);
}

#[test]
fn pairs_are_independent() {
    for (seed, sigma) in [(208, 0.12), (209, 1.0)] {
        let key = noise(seed, sigma);
        let e = draw(&key, Stream::Certify, 1, 0, 400);
        let tiles = || e.chunks_exact(64);
        for (first, second) in [(0, 16), (0, 32), (0, 48), (16, 32), (16, 48), (32, 48)] {
            check_table(
                &format!("words {} and {} of a block", first / 16, second / 16),
                sigma,
                tiles().flat_map(|tile| (0..16).map(move |k| (tile[first + k], tile[second + k]))),
            );
        }
        check_table(
            "neighbours",
            sigma,
            e.chunks_exact(2).map(|two| (two[0], two[1])),
        );
        let planes = e.chunks_exact(2048);
        check_table(
            "colour planes",
            sigma,
            planes.flat_map(|two| (0..1024).map(|k| (two[k], two[1024 + k]))),
        );
        let other_seed = noise(seed + (1 << 32), sigma);
        for (name, other) in [
            ("streams", draw(&key, Stream::Selection, 1, 0, 400)),
            ("inputs", draw(&key, Stream::Certify, 2, 0, 400)),
            ("samples", draw(&key, Stream::Certify, 1, 400, 400)),
            ("high samples", draw(&key, Stream::Certify, 1, 1 << 31, 400)),
            ("seeds", draw(&other_seed, Stream::Certify, 1, 0, 400)),
        ] {
            check_table(name, sigma, e.iter().copied().zip(other.iter().copied()));
        }
    }
}

/// Sums of whole samples, which any weak dependence within a sample would widen.
#[test]
fn whole_samples_have_the_right_sums() {
    let (sigma, samples) = (0.25, 2048);
    let e = draw(&noise(210, sigma), Stream::Certify, 4, 0, samples);
    // The variance of the rounded law is that of the normal one and 1/12 (but
    // for a term below exp(-2 pi^2 s^2)).
    let variance = LEN as f64 * ((255.0 * sigma).powi(2) + 1.0 / 12.0);
    let (mut sum, mut square) = (0.0, 0.0);
    for row in e.chunks_exact(LEN) {
        let total = row.iter().map(|&e| f64::from(e)).sum::<f64>() / variance.sqrt();
        sum += total;
        square += total * total - 1.0;
    }
    let n = f64::from(samples);
    for (name, statistic) in [
        ("mean", sum / n.sqrt()),
        ("variance", square / (2.0 * n).sqrt()),
    ] {
        eprintln!("sums, {name}: {statistic:+.3}");
        assert!(statistic.abs() <= Z_LIMIT, "{name}: {statistic}");
    }
}
