//! A classifier that reads off from rounding where it is: it breaks certificates
//! of Gaussian noise in float32, and can do nothing under integer noise.
//!
//! The attack is that of Voracek and Hein, "Sound randomized smoothing in
//! floating-point arithmetics" (ICLR 2023), made for this project's noise: the
//! float32 sum of a pixel x and noise t cannot be every float. Where t nearly
//! cancels x, the sum is an exact multiple of a grid that x and t set, far
//! coarser than the floats there; another pixel has another grid. A classifier
//! that asks of every pixel "is there a t with x + t rounded to this?" answers yes
//! at x always, and at an image one grey level away hardly ever. (`SOUNDNESS.md`,
//! sections 10 and 11.)

use crate::numbers::{run, threads};
use recert_engine::{Classifier, FnClassifier};
use recert_ledger::{Certificate, Engine, Header, Input, Ledger, Network, Series, Stream, Task};
use recert_noise::{GENERATOR, GENERATOR_INTEGER, IntegerNoise, Law, NoiseKey};
use recert_num::{
    Alpha, clopper_pearson_lower, clopper_pearson_upper, normal_cdf_lower, normal_quantile_lower,
    normal_quantile_upper,
};
use recert_smooth::{Error, Inputs, Outcome, Sides, Silent};

/// Pixels of an image.
const DIMS: usize = 1024;
/// Samples an input.
const SAMPLES: u64 = 2000;
/// Failure probability of a certificate.
const ALPHA: f64 = 0.001;
/// The grey level of input 0; it lies above 1/2 in [0, 1], the next below it.
const LEVEL: u8 = 128;

/// Input i has level 128 - i everywhere: inputs 0 and 1 lie 32/255 apart.
struct Flat;

impl Inputs for Flat {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![pixel(LEVEL - idx as u8); DIMS]))
    }
}

fn pixel(level: u8) -> f32 {
    f32::from(level) / 255.0
}

/// L2 distance of inputs 0 and i.
fn distance(i: u32) -> f64 {
    f64::from(i) * (DIMS as f64).sqrt() / 255.0
}

fn header(generator: &str, sigma: f64) -> Header {
    Header {
        task: Task::Certify,
        sigma,
        n0: 50,
        n: SAMPLES,
        alpha: ALPHA,
        generator: generator.into(),
        seed: 77,
        network: Network {
            sha256: [1; 32],
            file: "adversary".into(),
            bytes: 1,
            engine: Engine {
                name: "made up".into(),
                version: "1".into(),
                arithmetic: "float32".into(),
            },
            batch_invariant: true,
            preprocess: "none".into(),
            output: "class".into(),
            classes: 2,
            note: None,
        },
        data: "flat images".into(),
        shape: [1, 32, 32],
    }
}

/// Whether some noise t in float32 makes `a` of the pixel `x`: x + t rounds to a.
///
/// If one does, a - x rounded or one of its neighbours does.
fn reachable(x: f32, a: f32) -> bool {
    let t = (f64::from(a) - f64::from(x)) as f32;
    [t, t.next_down(), t.next_up()].iter().any(|&t| x + t == a)
}

/// Answers 0 where every pixel may be a noisy one of input 0, else 1.
fn reads_rounding() -> Box<dyn Classifier> {
    let x = pixel(LEVEL);
    Box::new(FnClassifier::new(2, DIMS, move |image: &[f32]| {
        Some(u16::from(!image.iter().all(|&a| reachable(x, a))))
    }))
}

/// Answers 0 where the sum of the grey levels is above that of a flat image.
fn half_space(level: f64) -> Box<dyn Classifier> {
    Box::new(FnClassifier::new(2, DIMS, move |image: &[f32]| {
        let sum: f64 = image.iter().map(|&a| f64::from(a)).sum();
        Some(u16::from(255.0 * sum <= level * DIMS as f64))
    }))
}

/// Answers by the parity of the float's bits: as wild a function as there is.
fn parity() -> Box<dyn Classifier> {
    Box::new(FnClassifier::new(2, DIMS, |image: &[f32]| {
        let bits = image[..3].iter().map(|a| a.to_bits().count_ones());
        Some((bits.sum::<u32>() % 2) as u16)
    }))
}

/// Certifies these inputs; their certificates and counts of class 0.
fn certified(
    generator: &str,
    sigma: f64,
    inputs: &[u32],
    f: Box<dyn Classifier>,
) -> Vec<(Certificate, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let mut ledger = Ledger::create(&path, &header(generator, sigma)).unwrap();
    let (mut workers, mut silent) = (threads(ledger.base(), vec![f], 64), Silent);
    let mut run = run(&mut ledger, &Flat, &mut workers, &mut silent);
    let outcome = recert_smooth::certify(&mut run, inputs, Sides::One);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let certificates = ledger.certificates(ledger.base()).unwrap();
    assert_eq!(certificates.len(), inputs.len());
    certificates
        .into_iter()
        .map(|certificate| {
            let series = Series {
                network: ledger.base(),
                idx: certificate.idx,
                stream: Stream(recert_noise::Stream::Certify.tag()),
            };
            let (codes, _) = ledger.answers(series, SAMPLES).unwrap();
            (certificate, codes.count(0))
        })
        .collect()
}

/// Lower bound of the probability that the certified class of input 0, counted
/// `k` times there, has at distance `delta` (Cohen et al. 2019, Theorem 1).
fn demanded(k: u64, sigma: f64, delta: f64) -> f64 {
    let p = clopper_pearson_lower(k, SAMPLES, Alpha::new(ALPHA).unwrap()).unwrap();
    let z = normal_quantile_lower(p.get()).unwrap();
    normal_cdf_lower(z - delta / sigma - 1e-12).unwrap().get()
}

/// What was counted allows at most this probability (wrong once in 10^9).
fn allowed(k: u64) -> f64 {
    let alpha = Alpha::new(1e-9).unwrap();
    clopper_pearson_upper(k, SAMPLES, alpha).unwrap().get()
}

/// Under float32 noise the classifier is certified to answer 0 around input 0 and 1
/// around input 1, each within a ball that holds the other. Both cannot be true:
/// these are wrong certificates, and no chance of 0.001 made them.
#[test]
fn float_noise_certifies_two_answers_within_one_ball() {
    for sigma in [0.25, 0.5] {
        let rows = certified(GENERATOR, sigma, &[0, 1], reads_rounding());
        let [(here, at_x), (there, at_neighbour)] = &rows[..] else {
            panic!("two inputs");
        };
        eprintln!(
            "sigma {sigma}: class 0 on {at_x} samples of {SAMPLES} at x, radius {}; on {at_neighbour} \
             at distance {:.3}, where at least {:.4} is certified",
            here.radius,
            distance(1),
            demanded(*at_x, sigma, distance(1)),
        );
        assert_eq!((here.class, there.class), (Some(0), Some(1)));
        assert!(here.radius > 2.5 * sigma && there.radius > 2.0 * sigma);
        assert!(distance(1) < here.radius.min(there.radius));
        // On every single sample, not nearly always.
        assert_eq!(*at_x, SAMPLES);
        // What the certificate says of the neighbour is far from what happens.
        assert!(demanded(*at_x, sigma, distance(1)) > 0.98);
        assert!(allowed(*at_neighbour) < 0.05);
    }
}

/// The single pixel behind it: at the neighbour, some noisy values are none of x.
#[test]
fn a_noisy_float_says_which_pixels_it_cannot_be() {
    let sigma = 0.5;
    let (x, neighbour) = (pixel(LEVEL), pixel(LEVEL - 1));
    let (key, stream) = (NoiseKey::new(5), recert_noise::Stream::Certify);
    let mut noisy = vec![0.0; 1 << 16];
    let mut share_of = |pixel: f32| {
        let image = vec![pixel; noisy.len()];
        key.add(stream, 0, 0, sigma, &image, &mut noisy);
        let reachable = noisy.iter().filter(|&&a| reachable(x, a)).count();
        reachable as f64 / noisy.len() as f64
    };
    assert_eq!(share_of(x), 1.0);
    let share = share_of(neighbour);
    eprintln!(
        "{:.1} % of the neighbour's noisy pixels may be x",
        100.0 * share
    );
    assert!(share < 0.95, "{share}");
}

/// The same classifiers, and others, under integer noise: at every neighbour the
/// class certified keeps the probability that the theorem demands.
#[test]
fn integer_noise_leaves_nothing_to_read_off() {
    let neighbours = [0, 1, 2, 5];
    for sigma in [0.25, 0.5] {
        let adversaries = [
            ("rounding", reads_rounding()),
            ("half-space above", half_space(120.5)),
            ("half-space below", half_space(140.5)),
            ("parity", parity()),
        ];
        for (name, f) in adversaries {
            let rows = certified(GENERATOR_INTEGER, sigma, &neighbours, f);
            let (here, zeros) = &rows[0];
            let Some(class) = here.class else {
                assert_eq!(name, "parity", "{here:?}");
                continue;
            };
            let of_class = |zeros: u64| if class == 0 { zeros } else { SAMPLES - zeros };
            for (i, (there, zeros_there)) in neighbours.into_iter().zip(&rows) {
                let (k, delta) = (of_class(*zeros_there), distance(i));
                let least = demanded(of_class(*zeros), sigma, delta);
                eprintln!("{name}, sigma {sigma}, distance {delta:.3}: {k}, p >= {least:.4}");
                assert!(allowed(k) >= least, "{name}: {k} {least}");
                if delta <= here.radius {
                    assert!(there.class.is_none_or(|c| c == class), "{name}: {there:?}");
                }
            }
        }
    }
}

/// A noisy pixel says the whole number that it stands for, and nothing else:
/// the same number from another pixel is the same float.
#[test]
fn a_noisy_pixel_is_a_function_of_one_whole_number() {
    for sigma in [0.12, 0.25, 0.5, 1.0] {
        let noise = IntegerNoise::new(9, sigma).unwrap();
        let mut noisy = vec![0.0; 1 << 14];
        for level in [0, 1, 127, 128, 255] {
            let stream = recert_noise::Stream::Certify;
            noise.add(
                stream,
                level.into(),
                3,
                &vec![level; noisy.len()],
                &mut noisy,
            );
            for &a in &noisy {
                let whole = (f64::from(a) * 255.0).round();
                assert_eq!(a.to_bits(), (whole as f32 / 255.0).to_bits());
            }
        }
    }
}

/// The strongest classifier that the theorem knows, a half-space, exactly: from
/// the law's thresholds alone, Phi^-1 of its probability moves by the distance
/// over sigma, grey level by grey level. The theorem is tight under integer
/// noise, and not exceeded.
#[test]
fn a_half_space_loses_exactly_what_the_theorem_says() {
    for sigma in [0.12, 0.25, 0.5, 1.0] {
        let noise = IntegerNoise::new(0, sigma).unwrap();
        let q = noise.thresholds();
        // P(E <= -1 - j) = P(E > j) = q(j) / 2^128.
        let below = |edge: i32| {
            let tail = |j: i32| q[j as usize] as f64 / 2.0_f64.powi(128);
            if edge < 0 {
                tail(-1 - edge)
            } else {
                1.0 - tail(edge)
            }
        };
        let reach = (4.0 * 255.0 * sigma) as i32;
        let shift = 7;
        for edge in -reach..reach - shift {
            // At level k the answer is that k + E <= threshold, edge = threshold - k.
            let [at_x, at_neighbour] = [edge + shift, edge].map(below);
            let low = normal_quantile_lower(at_x).unwrap();
            let high = normal_quantile_upper(at_neighbour).unwrap();
            let moved = (low - high) * sigma;
            let delta = f64::from(shift) / 255.0;
            // What the conversions to f64 and Phi^-1 lose at 4 sigma.
            assert!((moved - delta).abs() < 1e-10, "{sigma} {edge}: {moved}");
        }
    }
}

/// What the sampler's own error costs here.
#[test]
fn the_charge_is_negligible() {
    let dims = DIMS as u64;
    assert_eq!(Law::Gaussian.charged_alpha(ALPHA, SAMPLES, dims), Ok(ALPHA));
    let charged = Law::Integer.charged_alpha(ALPHA, SAMPLES, dims).unwrap();
    assert!(charged < ALPHA && ALPHA - charged < 1e-18);
}
