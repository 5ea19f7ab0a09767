//! What a network reaches on images it was not trained on, in fast arithmetic.

use recert_noise::{NoiseKey, Stream};

use crate::attack::{Attack, Ball, attacked};
use crate::bounds::{self, Interval};
use crate::error::Result;
use crate::examples::Examples;
use crate::method::{cross_entropies, hot};
use crate::network::Network;
use crate::pass::{Pass, loaded};
use crate::random::{Purpose, generator};
use crate::tensor::{Matrix, Precision};

/// Shares of images, each in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scores {
    /// Answered with their labels.
    pub clean: f64,
    /// Answered with their labels under one draw of noise, where asked for.
    pub noisy: Option<f64>,
    /// Answered with their labels after an attack, where asked for.
    pub adversarial: Option<f64>,
    /// Bounded by intervals or CROWN-IBP so that no image of the box has another class, where
    /// asked for: in fast arithmetic, not a proof.
    pub certified: Option<f64>,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// The radius of attacks and bounds.
    pub eps: f64,
    /// The standard deviation of noise, for [`Scores::noisy`].
    pub sigma: Option<f64>,
    /// The attack, for [`Scores::adversarial`].
    pub attack: Option<Attack>,
    /// Whether to bound, for [`Scores::certified`].
    pub bounds: bool,
    /// What noise and attacks are drawn from.
    pub seed: u64,
}

/// Images at a time.
pub(crate) const BATCH: usize = 128;

/// Measures a network on the images at these positions.
///
/// ```
/// use recert_train::{
///     Architecture, Examples, Initialization, Measures, Network, Normalization, evaluated,
/// };
///
/// let normalization = Normalization { mean: vec![0.0], std: vec![1.0] };
/// let layers = Architecture::FullyConnected(vec![8]).layers([1, 2, 2], 2)?;
/// let network = Network::new([1, 2, 2], layers, normalization, Initialization::He, 1)?;
/// let examples = Examples::new([1, 2, 2], vec![0.5; 8], vec![0, 1], 2)?;
/// let measures = Measures { eps: 0.1, sigma: None, attack: None, bounds: true, seed: 0 };
/// let scores = evaluated(&network, &examples, &[0, 1], &measures)?;
/// assert_eq!(scores.clean, 0.5);
/// assert!(scores.certified.unwrap() <= scores.clean);
/// # Ok::<(), recert_train::Error>(())
/// ```
///
/// # Errors
///
/// [`crate::ErrorKind::Data`] where images or classes are not the network's, or where there are
/// no images.
pub fn evaluated(
    network: &Network,
    examples: &Examples,
    positions: &[usize],
    measures: &Measures,
) -> Result<Scores> {
    crate::training::check_fits(network, examples)?;
    check_positions(examples, positions)?;
    let pass = Pass::evaluating(network, loaded(network, Precision::Single));
    let mut counts = [0_usize; 4];
    for (number, chunk) in positions.chunks(BATCH).enumerate() {
        let found = on_batch(&pass, examples, chunk, measures, number as u64);
        for (count, found) in counts.iter_mut().zip(found) {
            *count += found;
        }
    }
    let share = |count: usize| count as f64 / positions.len() as f64;
    let [clean, noisy, adversarial, certified] = counts.map(share);
    Ok(Scores {
        clean,
        noisy: measures.sigma.map(|_| noisy),
        adversarial: measures.attack.map(|_| adversarial),
        certified: measures.bounds.then_some(certified),
    })
}

/// Checks that there are images at positions.
pub(crate) fn check_positions(examples: &Examples, positions: &[usize]) -> Result<()> {
    if positions.is_empty() || positions.iter().any(|&at| at >= examples.len()) {
        return Err(crate::error::Error::new(
            crate::error::ErrorKind::Data,
            "there are no images to evaluate on, or not as many as asked for",
        ));
    }
    Ok(())
}

fn on_batch(
    pass: &Pass<'_>,
    examples: &Examples,
    chunk: &[usize],
    measures: &Measures,
    number: u64,
) -> [usize; 4] {
    let columns = examples.columns();
    let pixels = chunk.iter().flat_map(|&at| examples.pixels(at)).copied();
    let pixels: Vec<f32> = pixels.collect();
    let labels: Vec<usize> = chunk.iter().map(|&at| examples.label(at)).collect();
    let read = |pixels: &[f32]| Matrix::new(columns, pixels, Precision::Single);
    let clean = right(&pass.logits(&read(&pixels)), &labels);
    let mut counts = [count(&clean), 0, 0, 0];
    if let Some(sigma) = measures.sigma {
        let key = NoiseKey::new(measures.seed);
        let mut noisy = Vec::with_capacity(pixels.len());
        for (&at, image) in chunk.iter().zip(pixels.chunks(columns)) {
            let mut noise = vec![0.0; columns];
            // Epochs are numbered from 0; none has this number.
            key.fill(Stream::Train, at as u32, u32::MAX, &mut noise);
            let pairs = noise.iter().zip(image);
            noisy.extend(pairs.map(|(noise, pixel)| pixel + noise * sigma as f32));
        }
        counts[1] = count(&right(&pass.logits(&read(&noisy)), &labels));
    }
    if let Some(attack) = &measures.attack {
        let hot = hot(&labels, examples.classes(), Precision::Single);
        let losses = |points: &Matrix| cross_entropies(&pass.logits(points), &hot);
        let mut random = generator(measures.seed, Purpose::Attack, u64::MAX, number);
        let ball = Ball::Linf(measures.eps);
        let found = attacked(&pixels, columns, ball, attack, &mut random, losses);
        let after = right(&pass.logits(&read(&found)), &labels);
        counts[2] = clean.iter().zip(&after).filter(|(a, b)| **a && **b).count();
    }
    if measures.bounds {
        counts[3] = certified(pass, &pixels, &labels, measures.eps, &clean);
    }
    counts
}

fn count(which: &[bool]) -> usize {
    which.iter().filter(|&&holds| holds).count()
}

/// Which rows have their label's logit above all others.
pub(crate) fn right(logits: &Matrix, labels: &[usize]) -> Vec<bool> {
    let values = logits.values();
    let rows = values.chunks(logits.columns()).zip(labels);
    rows.map(|(row, &label)| {
        let mut others = row.iter().enumerate().filter(|&(class, _)| class != label);
        others.all(|(_, other)| row[label] > *other)
    })
    .collect()
}

/// Which rows of margins are all above 0.
pub(crate) fn positive(margins: &Matrix) -> Vec<bool> {
    let values = margins.values();
    let rows = values.chunks(margins.columns());
    rows.map(|row| row.iter().all(|&margin| margin > 0.0))
        .collect()
}

/// How many images have all margins above 0, by intervals or else by CROWN-IBP.
fn certified(
    pass: &Pass<'_>,
    pixels: &[f32],
    labels: &[usize],
    eps: f64,
    candidates: &[bool],
) -> usize {
    let columns = pixels.len() / labels.len();
    let bounded = |which: &[bool], crown: bool| -> Vec<bool> {
        let chosen = || (0..labels.len()).filter(|&row| which[row]);
        if chosen().next().is_none() {
            return vec![false; labels.len()];
        }
        let ends = |sign: f32| {
            let rows = chosen().flat_map(|row| &pixels[row * columns..(row + 1) * columns]);
            let ends = rows.map(|pixel| (pixel + sign * eps as f32).clamp(0.0, 1.0));
            Matrix::new(columns, &ends.collect::<Vec<_>>(), Precision::Single)
        };
        let chosen_labels: Vec<usize> = chosen().map(|row| labels[row]).collect();
        let rows = bounds::rows(&chosen_labels, pass.network.classes(), Precision::Single);
        let intervals = bounds::intervals(pass, &Interval::between(&ends(-1.0), &ends(1.0)), 1.0);
        let margins = if crown {
            bounds::crown_margins(pass, &intervals, &rows)
        } else {
            bounds::ibp_margins(pass, &intervals, &rows)
        };
        let mut holds = vec![false; labels.len()];
        for (row, positive) in chosen().zip(positive(&margins)) {
            holds[row] = positive;
        }
        holds
    };
    let by_intervals = bounded(candidates, false);
    let open: Vec<bool> = (candidates.iter().zip(&by_intervals))
        .map(|(candidate, holds)| *candidate && !holds)
        .collect();
    count(&by_intervals) + count(&bounded(&open, true))
}
