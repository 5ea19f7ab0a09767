//! Integer noise: the normal law rounded to grey levels, for 8-bit images.
//!
//! Pixel k/255 of a noisy sample becomes (k + E)/255 with E = round(255 sigma Z), Z
//! standard normal: P(E = j) = Phi((j + 1/2)/s) - Phi((j - 1/2)/s), s = 255 sigma.
//! Since k is whole, k + round(s Z) = round(k + s Z): a classifier of integer
//! samples is a classifier of exactly Gaussian ones that rounds them first, and the
//! certificates of Gaussian smoothing hold for it, without any proviso on
//! rounding, at every 8-bit image within the radius. `SOUNDNESS.md`, section 11,
//! has the statement, its proof and its source (Voracek and Hein, "Sound
//! randomized smoothing in floating-point arithmetics", ICLR 2023).
//!
//! # Definition of the stream
//!
//! [`GENERATOR_INTEGER`] names what follows; a change of any bit of it is a new name.
//!
//! 1. *Words.* The blocks of four words are those of Gaussian noise
//!    (crate documentation, 1): Philox4x32-10 with the seed as key and counter
//!    (block, sample, input, stream tag).
//! 2. *Layout.* With t = j / 64 and r = j % 64, element j comes from word r / 16
//!    of block 16 t + r % 16.
//! 3. *Law.* The word's leading bit is the sign (1 is minus). Its other 31 bits,
//!    followed by 96 further ones, are V, and |E| is the number of i >= 0 with
//!    V < q(i) = floor(2^128 Phi(-(i + 1/2)/s)), i as long as (i + 1/2)/s <= 11.6.
//! 4. *Further bits.* They are the first three words of the block with the same
//!    counter but for the stream tag, which is `tag + 2^24 (r / 16 + 1)`. They
//!    matter where the 31 bits equal those of a threshold, once in 2^31 draws a
//!    threshold, and are made only there.
//! 5. *Pixels.* (k + E)/255 is the float32 quotient of the two whole numbers,
//!    rounded to nearest. Nothing is clipped.
//!
//! The bits are the same on all machines and code paths: everything up to the
//! one division is arithmetic on integers.
//!
//! # Error of the law
//!
//! [`COORDINATE_ERROR`] = 2^-100 bounds the total variation distance of a coordinate's
//! law (with uniform words) from that of round(s Z); [`charge`] is what a
//! certificate pays for it.

mod fixed;
mod kernel;
mod table;

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::kernel::{CodePath, SampleId, Supported, TILE};
use crate::key::check_len;
use crate::stream::Stream;
use kernel::{Add, Fill};
use table::Table;

/// The name of the exact stream of integer noise, for ledgers.
///
/// The parts: generator, law with the bits of a threshold, elements a tile,
/// version. As with [`crate::GENERATOR`], equal names and numbers mean equal
/// noise, bit by bit.
pub const GENERATOR_INTEGER: &str = "philox4x32-10/rounded-normal-128/tile64/v1";

/// The least sigma that integer noise is made for, in units of pixels in [0, 1].
pub const MIN_SIGMA: f64 = 1.0 / 1024.0;

/// The largest sigma that integer noise is made for, in units of pixels in [0, 1].
pub const MAX_SIGMA: f64 = 16.0;

/// Bound of the total variation distance between a coordinate's law and that of
/// round(255 sigma Z), for uniform words: 2^-100, at every sigma.
///
/// Take V's bits as the leading bits of a uniform real number U in [0, 1), and
/// |round(s Z)| as the number of i with U < 2 Phi(-(i + 1/2)/s). The two differ
/// only if U lies between a threshold q(i)/2^127 and the exact one, at most 2^-126
/// apart (see `table.rs`), or beyond the end of the table: with at most 47,329
/// thresholds, at most 47,329 * 2^-126 + 2 Phi(-11.6) < 2^-110 + 4.13e-31 < 2^-100 =
/// 7.88..e-31. The sign is exact.
pub const COORDINATE_ERROR: f64 = 1.0 / (1_u128 << 100) as f64;

/// Grey level of a pixel of 1.
const LEVELS: f32 = 255.0;

/// A seed and a sigma, ready to make the integer noise of any sample of any input.
///
/// Cloning is cheap: clones share the table of the law, which takes some
/// milliseconds to make (in proportion to sigma).
///
/// ```
/// use recert_noise::{IntegerNoise, Stream};
///
/// let noise = IntegerNoise::new(42, 0.25)?;
/// let image = [0, 128, 255];
/// let mut noisy = [0.0_f32; 3];
/// noise.add(Stream::Certify, 7, 99_999, &image, &mut noisy);
///
/// let mut e = [0; 3];
/// noise.fill(Stream::Certify, 7, 99_999, &mut e);
/// assert_eq!(noisy[1], (128 + e[1]) as f32 / 255.0);
/// # Ok::<(), recert_noise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct IntegerNoise {
    seed: u64,
    path: Supported,
    table: Arc<Table>,
}

impl IntegerNoise {
    /// Noise of standard deviation `sigma` (before rounding), in units of pixels
    /// in [0, 1], on the fastest code path of this machine.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Sigma`] outside [`MIN_SIGMA`] to [`MAX_SIGMA`].
    pub fn new(seed: u64, sigma: f64) -> Result<Self, Error> {
        check_sigma(sigma)?;
        Ok(Self {
            seed,
            path: Supported::best(),
            table: Arc::new(Table::new(sigma)),
        })
    }

    /// The same noise made on a given code path, or `None` if this machine lacks it.
    ///
    /// All paths make the same bits; this is for measuring and for tests.
    #[must_use]
    pub fn on(self, path: CodePath) -> Option<Self> {
        let path = Supported::new(path)?;
        Some(Self { path, ..self })
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The standard deviation before rounding, in units of pixels in [0, 1].
    #[must_use]
    pub fn sigma(&self) -> f64 {
        self.table.sigma()
    }

    /// The code path in use.
    #[must_use]
    pub fn path(&self) -> CodePath {
        self.path.path()
    }

    /// The thresholds q(0) > q(1) > .. of the law: P(|E| > i) = q(i)/2^127 exactly, for
    /// uniform words, and q(i) is within 2 of 2^128 Phi(-(i + 1/2)/(255 sigma)).
    #[must_use]
    pub fn thresholds(&self) -> &[u128] {
        self.table.thresholds()
    }

    /// Writes the noise of one sample in grey levels, elements 0 up to `out.len()`.
    ///
    /// # Panics
    ///
    /// If `out` has more than [`crate::MAX_LEN`] elements.
    pub fn fill(&self, stream: Stream, input: u32, sample: u32, out: &mut [i32]) {
        check_len(out.len());
        let id = self.id(stream, input, sample);
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        self.path.run(Fill {
            id: &id,
            table: &self.table,
            first: 0,
            out: tiles,
        });
        if !rest.is_empty() {
            let mut last = [[0; TILE]];
            self.path.run(Fill {
                id: &id,
                table: &self.table,
                first: tiles.len(),
                out: &mut last,
            });
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }

    /// Writes one noisy sample of an 8-bit image: (level + E)/255, rounded once to float32.
    ///
    /// `E` is what [`IntegerNoise::fill`] gives. The sample is a function of the
    /// whole numbers level + E alone, and nothing is clipped to 0..=255.
    ///
    /// # Panics
    ///
    /// If `image` and `out` differ in length or have more than [`crate::MAX_LEN`] elements.
    pub fn add(&self, stream: Stream, input: u32, sample: u32, image: &[u8], out: &mut [f32]) {
        assert_eq!(
            image.len(),
            out.len(),
            "the image and its noisy sample must be equally long"
        );
        check_len(out.len());
        let id = self.id(stream, input, sample);
        let (image_tiles, image_rest) = image.as_chunks::<TILE>();
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        self.path.run(Add {
            id: &id,
            table: &self.table,
            first: 0,
            image: image_tiles,
            out: tiles,
        });
        if !rest.is_empty() {
            let mut start = [[0; TILE]];
            start[0][..rest.len()].copy_from_slice(image_rest);
            let mut last = [[0.0; TILE]];
            self.path.run(Add {
                id: &id,
                table: &self.table,
                first: tiles.len(),
                image: &start,
                out: &mut last,
            });
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }

    /// Writes the noisy samples `samples` of one 8-bit image, one after the other.
    ///
    /// The shape of `out` is `[samples.len(), image.len()]`; row i is what
    /// [`IntegerNoise::add`] gives for sample `samples.start + i`. A range that ends
    /// before it starts is empty.
    ///
    /// # Panics
    ///
    /// If `out` does not have that shape or `image` has more than
    /// [`crate::MAX_LEN`] elements.
    pub fn add_batch(
        &self,
        stream: Stream,
        input: u32,
        samples: Range<u32>,
        image: &[u8],
        out: &mut [f32],
    ) {
        assert_eq!(
            samples.len().checked_mul(image.len()),
            Some(out.len()),
            "the batch must have one row of the image's length a sample"
        );
        if image.is_empty() {
            return;
        }
        for (sample, row) in samples.zip(out.chunks_exact_mut(image.len())) {
            self.add(stream, input, sample, image, row);
        }
    }

    /// The key and the counter of Philox for this sample.
    fn id(&self, stream: Stream, input: u32, sample: u32) -> SampleId {
        SampleId {
            key: [self.seed as u32, (self.seed >> 32) as u32],
            stream: stream.tag(),
            input,
            sample,
        }
    }
}

/// Fails with [`ErrorKind::Sigma`] outside [`MIN_SIGMA`] to [`MAX_SIGMA`].
pub(crate) fn check_sigma(sigma: f64) -> Result<(), Error> {
    if (MIN_SIGMA..=MAX_SIGMA).contains(&sigma) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Sigma,
        format!("integer noise takes a sigma from {MIN_SIGMA} to {MAX_SIGMA}, not {sigma}"),
    ))
}

/// The grey levels k of pixels that are, bit by bit, `k as f32 / 255.0`; `None`
/// if one is not.
///
/// ```
/// # use recert_noise::integer::levels;
/// assert_eq!(levels(&[0.0, 51.0 / 255.0, 1.0]), Some(vec![0, 51, 255]));
/// assert_eq!(levels(&[0.2, 0.5]), None);
/// ```
#[must_use]
pub fn levels(pixels: &[f32]) -> Option<Vec<u8>> {
    pixels
        .iter()
        .map(|pixel| {
            // Out of range and NaN saturate to a level that they are not equal to.
            let level = (pixel * LEVELS).round() as u8;
            let exact = f32::from(level) / LEVELS;
            (exact.to_bits() == pixel.to_bits()).then_some(level)
        })
        .collect()
}

/// Upper bound of the total variation distance between the sampled law of
/// `samples` samples of `dims` coordinates and that of exact integer noise:
/// `samples dims` [`COORDINATE_ERROR`], rounded up.
///
/// A statement that fails with probability at most a under exact noise fails with
/// at most a + charge under this crate's (with uniform words).
///
/// ```
/// # use recert_noise::integer::charge;
/// // 100,000 samples of a 224 x 224 colour image.
/// assert!(charge(100_000, 150_528) < 1.2e-20);
/// ```
#[must_use]
pub fn charge(samples: u64, dims: u64) -> f64 {
    // A product of 64-bit numbers fits 128 bits. Its conversion rounds to
    // nearest, so that the next number up is above it, and scaling by a power of
    // 2 is exact.
    let coordinates = u128::from(samples) * u128::from(dims);
    if coordinates == 0 {
        return 0.0;
    }
    (coordinates as f64).next_up() * COORDINATE_ERROR
}

/// A failure probability that leaves room for the [`charge`]: `alpha - charge`,
/// rounded down.
///
/// A bound computed at it under exact noise fails with probability at most
/// `alpha` under this crate's.
///
/// # Errors
///
/// [`ErrorKind::Charge`] unless the charge is below alpha/2.
pub fn charged_alpha(alpha: f64, samples: u64, dims: u64) -> Result<f64, Error> {
    let charge = charge(samples, dims);
    if charge < alpha / 2.0 {
        return Ok((alpha - charge).next_down());
    }
    Err(Error::new(
        ErrorKind::Charge,
        format!(
            "a failure probability of {alpha} is too small for integer noise: the sampler's own \
             error over {samples} samples of {dims} pixels may reach {charge:e}; take a larger alpha"
        ),
    ))
}

#[cfg(test)]
mod tests;
