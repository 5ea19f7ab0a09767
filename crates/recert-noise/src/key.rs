//! `NoiseKey`: the one way to get noise.

use std::ops::Range;

use crate::kernel::{Add, CodePath, Fill, SampleId, Supported, TILE};
use crate::stream::Stream;

/// The largest number of elements of one sample: 2^32 blocks of four.
pub const MAX_LEN: u64 = 1 << 34;

/// A seed, ready to make the noise of any sample of any input.
///
/// It is small, immutable and `Copy`: every thread may have its own.
#[derive(Clone, Copy, Debug)]
pub struct NoiseKey {
    seed: u64,
    path: Supported,
}

impl NoiseKey {
    /// A key for this seed, on the fastest code path of this machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            path: Supported::best(),
        }
    }

    /// The same key on a given code path, or `None` if this machine lacks it.
    ///
    /// All paths make the same bits; this is for measuring and for tests.
    #[must_use]
    pub fn on(self, path: CodePath) -> Option<Self> {
        Some(Self {
            path: Supported::new(path)?,
            ..self
        })
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The code path in use.
    #[must_use]
    pub fn path(&self) -> CodePath {
        self.path.path()
    }

    /// Writes the standard normals of one sample, elements 0 up to `out.len()`.
    ///
    /// # Panics
    ///
    /// If `out` has more than [`MAX_LEN`] elements.
    pub fn fill(&self, stream: Stream, input: u32, sample: u32, out: &mut [f32]) {
        check_len(out.len());
        let id = self.id(stream, input, sample);
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        self.path.run(Fill {
            id: &id,
            first: 0,
            out: tiles,
        });
        if !rest.is_empty() {
            let mut last = [[0.0; TILE]];
            self.path.run(Fill {
                id: &id,
                first: tiles.len(),
                out: &mut last,
            });
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }

    /// Writes one noisy sample of an image: `image + sigma * z`, rounded once to float32.
    ///
    /// `z` is what [`NoiseKey::fill`] gives, `sigma` and the image share their
    /// unit (pixels in [0, 1]), and nothing is clipped. The sum is a fused
    /// multiply-add, so `out[j] == sigma.mul_add(z[j], image[j])`.
    ///
    /// # Panics
    ///
    /// If `image` and `out` differ in length or have more than [`MAX_LEN`] elements.
    pub fn add(
        &self,
        stream: Stream,
        input: u32,
        sample: u32,
        sigma: f32,
        image: &[f32],
        out: &mut [f32],
    ) {
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
            first: 0,
            sigma,
            image: image_tiles,
            out: tiles,
        });
        if !rest.is_empty() {
            let mut start = [[0.0; TILE]];
            start[0][..rest.len()].copy_from_slice(image_rest);
            let mut last = [[0.0; TILE]];
            self.path.run(Add {
                id: &id,
                first: tiles.len(),
                sigma,
                image: &start,
                out: &mut last,
            });
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }

    /// Writes the noisy samples `samples` of one image, one after the other.
    ///
    /// The shape of `out` is `[samples.len(), image.len()]`; row i is what
    /// [`NoiseKey::add`] gives for sample `samples.start + i`. A range that ends
    /// before it starts is empty.
    ///
    /// ```
    /// use recert_noise::{NoiseKey, Stream};
    ///
    /// let (key, image) = (NoiseKey::new(1), [0.25_f32, 0.5, 0.75]);
    /// let mut batch = [0.0_f32; 2 * 3];
    /// key.add_batch(Stream::Fresh, 0, 10..12, 0.5, &image, &mut batch);
    ///
    /// let mut single = [0.0_f32; 3];
    /// key.add(Stream::Fresh, 0, 11, 0.5, &image, &mut single);
    /// assert_eq!(batch[3..], single);
    /// ```
    ///
    /// # Panics
    ///
    /// If `out` does not have that shape or `image` has more than [`MAX_LEN`] elements.
    pub fn add_batch(
        &self,
        stream: Stream,
        input: u32,
        samples: Range<u32>,
        sigma: f32,
        image: &[f32],
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
            self.add(stream, input, sample, sigma, image, row);
        }
    }

    /// What Philox is given for this sample.
    fn id(&self, stream: Stream, input: u32, sample: u32) -> SampleId {
        SampleId {
            key: [self.seed as u32, (self.seed >> 32) as u32],
            stream: stream.tag(),
            input,
            sample,
        }
    }
}

/// Panics where the 32-bit block number would wrap and noise would repeat.
pub(crate) fn check_len(len: usize) {
    assert!(
        len as u64 <= MAX_LEN,
        "a sample of {len} elements is longer than the 2^34 of the generator"
    );
}

#[cfg(test)]
mod tests {
    use super::NoiseKey;
    use crate::Stream;

    #[test]
    #[should_panic(expected = "equally long")]
    fn unequal_lengths_panic() {
        NoiseKey::new(0).add(Stream::Certify, 0, 0, 1.0, &[0.0; 3], &mut [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "one row")]
    fn a_batch_of_another_shape_panics() {
        NoiseKey::new(0).add_batch(Stream::Certify, 0, 0..2, 1.0, &[0.0; 3], &mut [0.0; 5]);
    }

    #[test]
    fn empty_requests_do_nothing() {
        let key = NoiseKey::new(0);
        key.fill(Stream::Certify, 0, 0, &mut []);
        key.add(Stream::Certify, 0, 0, 1.0, &[], &mut []);
        key.add_batch(Stream::Certify, 0, 5..5, 1.0, &[0.5; 3], &mut []);
        key.add_batch(Stream::Certify, 0, 0..9, 1.0, &[], &mut []);
    }
}
