//! Counter-based noise: every sample a pure function of (seed, stream, input, sample).
//!
//! A smoothing certificate counts how a network answers on noisy samples of an
//! input, and a recertification shows a changed network *the same* samples
//! again. So the noise is never stored: [`NoiseKey`] makes sample number `sample`
//! of input number `input` from these numbers alone, whatever the batch size,
//! the thread, the order, the machine, or where a run was interrupted.
//!
//! ```
//! use recert_noise::{NoiseKey, Stream};
//!
//! let key = NoiseKey::new(42);
//! let image = [0.5_f32; 3 * 32 * 32];
//! let mut noisy = [0.0_f32; 3 * 32 * 32];
//! key.add(Stream::Certify, 7, 99_999, 0.25, &image, &mut noisy);
//!
//! // A shorter request is a prefix of a longer one.
//! let mut start = [0.0_f32; 10];
//! key.add(Stream::Certify, 7, 99_999, 0.25, &image[..10], &mut start);
//! assert_eq!(start, noisy[..10]);
//! ```
//!
//! There are two [laws](Law): Gaussian noise in float32, described here, and
//! normal noise rounded to whole grey levels, for 8-bit images ([`integer`]),
//! whose certificates need no proviso on floating-point rounding.
//!
//! # Definition of the stream
//!
//! [`GENERATOR`] names what follows; a change of any bit of it is a new name.
//!
//! 1. *Words.* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
//!    numbers: as easy as 1, 2, 3", SC 2011) with key (low half of the seed,
//!    high half) and counter (block, sample, input, stream tag) gives four 32-bit
//!    words `w[0..4]` a block.
//! 2. *Normals.* Each of the word pairs `(w[0], w[1])` and `(w[2], w[3])`
//!    becomes two normals by the transform of Box and Muller (1958), with a
//!    40-bit uniform for the radius and a 24-bit one for the angle. The module
//!    `gaussian` defines it and states its error.
//! 3. *Layout.* Element `j` lies in tile `t = j / 64`. With `r = j % 64` it
//!    comes from block `16 t + r % 16`, from word pair `r / 32`, and is the
//!    cosine side if `(r / 16) % 2` is 0, else the sine side. Blocks of a tile
//!    thus fill vector registers of up to 16 lanes without any shuffle.
//!
//! The block number has 32 bits, so a sample has at most [`MAX_LEN`] = 2^34
//! elements, and counters never repeat for different (stream, input, sample).
//!
//! # Bit-identity
//!
//! The transform uses only operations that IEEE 754 defines exactly (addition,
//! multiplication, fused multiply-add, square root, conversion from integers),
//! in one fixed order, on numbers that are never subnormal, so a
//! flush-to-zero mode set by another library changes nothing. The code is
//! compiled several times, for AVX-512, for AVX2 with FMA and portably (on
//! aarch64 that is NEON); all give the same bits, and tests compare them. On
//! x86-64 the portable path serves machines without AVX2 and calls the C
//! library's exact `fmaf`: slow, but the same bits.
//!
//! # Law
//!
//! The law is standard normal up to rounding: pairs that are independent of one
//! another, every coordinate within 2e-7 of the normal law in Kolmogorov
//! distance, symmetric about 0, with tails up to 7.53 sigma. Certificates are
//! for N(0, sigma^2) up to this rounding. `SOUNDNESS.md`, section 10,
//! has the figures and what they mean for a certificate.
//!
//! # Why not an existing crate
//!
//! Measured on one core of an AMD EPYC (Zen 4), rustc 1.95, default release
//! build, millions of normals a CPU-second: `rand_philox` 0.2.1, which has the
//! right generator, with the ziggurat `StandardNormal` of `rand_distr` 0.6.0
//! makes 77, and its uniform words alone come at 637; Xoshiro256++ with the
//! same ziggurat makes 414 but is not counter-based; `ChaCha8` 166. This crate
//! makes 1,330 with AVX-512 and 880 with AVX2, 17 and 11 times the first, and
//! about the same where the image is added. A ziggurat takes a
//! varying number of words a normal, which defeats vectors and makes element
//! `j` depend on all before it. `examples/noise_rate.rs` prints the figures of
//! the machine it runs on.

mod error;
mod gaussian;
pub mod integer;
mod kernel;
mod key;
mod law;
mod philox;
mod stream;

pub use error::{Error, ErrorKind};
pub use gaussian::{MAX_ABS, MAX_RELATIVE_ERROR};
pub use integer::{GENERATOR_INTEGER, IntegerNoise};
pub use kernel::CodePath;
pub use key::{MAX_LEN, NoiseKey};
pub use law::Law;
pub use stream::Stream;

/// The name of the exact stream of Gaussian noise, for ledgers.
///
/// Two runs with equal generator names, seeds, streams, inputs and samples saw
/// the same noise, bit by bit. The parts: generator, transform with its bits
/// for radius and angle, elements a tile, version.
pub const GENERATOR: &str = "philox4x32-10/box-muller-40-24/tile64/v1";
