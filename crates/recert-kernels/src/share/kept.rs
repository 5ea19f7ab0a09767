//! The last images that a worker's networks were asked about, and what the
//! layers that these have in common made of them.

use super::same::floats;
use crate::error::Result;
use crate::program::{Executor, Output};

/// So many images are kept a worker, in so many bytes, or one batch if that is
/// more. Networks that need different samples of an input are asked about them in
/// different batches, with other batches between. Neither decides a result.
pub(super) const KEPT: usize = 256;
const KEPT_BYTES: usize = 16 << 20;

/// What the common layers made of the last images.
pub(super) struct Kept {
    layers: Executor,
    /// Values an image, and values handed on of it.
    image: usize,
    inner: usize,
    /// The images, what was made of each, and its [`mark`].
    images: Vec<f32>,
    values: Vec<f32>,
    marks: Vec<u64>,
    /// How many images are kept at most, and which is the next to go.
    most: usize,
    oldest: usize,
    /// What was made of the images asked for.
    asked: Vec<f32>,
    /// Which of these are new, and they themselves.
    new: Vec<usize>,
    gathered: Vec<f32>,
}

/// Something that two images rarely have in common: it spares comparing them.
fn mark(image: &[f32]) -> u64 {
    let bits = |pixel: usize| u64::from(image.get(pixel).map_or(0, |value| value.to_bits()));
    bits(0) << 32 | bits(image.len() / 2)
}

impl Kept {
    /// Nothing yet, of the layers that `layers` computes: of one output, of
    /// `inner` values an image.
    pub(super) fn new(layers: Executor, inner: usize) -> Self {
        Self {
            image: layers.program().image_len(),
            layers,
            inner,
            images: Vec::new(),
            values: Vec::new(),
            marks: Vec::new(),
            most: 0,
            oldest: 0,
            asked: Vec::new(),
            new: Vec::new(),
            gathered: Vec::new(),
        }
    }

    /// Nothing yet, of the same layers.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.layers.program().executor(), self.inner)
    }

    /// What the layers make of `images`: taken from what is kept where that is
    /// of the very same bits, else computed, and kept.
    ///
    /// # Errors
    ///
    /// As [`Executor::run`].
    pub(super) fn compute(&mut self, images: &[f32]) -> Result<&[f32]> {
        let (length, inner) = (self.image.max(1), self.inner);
        let count = self.layers.program().count(images)?;
        let room = size_of::<f32>() * (length + inner);
        let most = KEPT.min(KEPT_BYTES / room).max(count);
        if most > self.most {
            self.most = most;
            let kept = self.marks.len();
            self.images.reserve_exact((most - kept) * length);
            self.values.reserve_exact((most - kept) * inner);
        }
        self.asked.resize(count * inner, 0.0);
        self.new.clear();
        for (i, image) in images.chunks_exact(length).enumerate() {
            let to = &mut self.asked[i * inner..(i + 1) * inner];
            let mark = mark(image);
            let kept = (self.marks.iter().enumerate()).find(|&(slot, &kept)| {
                kept == mark && floats(&self.images[slot * length..(slot + 1) * length], image)
            });
            match kept {
                Some((slot, _)) => {
                    to.copy_from_slice(&self.values[slot * inner..(slot + 1) * inner]);
                }
                None => self.new.push(i),
            }
        }
        if self.new.is_empty() {
            return Ok(&self.asked);
        }
        let image = |i: usize| &images[i * length..(i + 1) * length];
        let gathered = if self.new.len() == count {
            images
        } else {
            self.gathered.clear();
            for &i in &self.new {
                self.gathered.extend_from_slice(image(i));
            }
            &self.gathered
        };
        let outputs = self.layers.run(gathered)?;
        let Some(Output::Floats { values, .. }) = outputs.first() else {
            unreachable!("the layers end in floats");
        };
        for (n, &i) in self.new.iter().enumerate() {
            let values = &values[n * inner..(n + 1) * inner];
            self.asked[i * inner..(i + 1) * inner].copy_from_slice(values);
            let (image, mark) = (image(i), mark(image(i)));
            if self.marks.len() < self.most {
                self.images.extend_from_slice(image);
                self.values.extend_from_slice(values);
                self.marks.push(mark);
            } else {
                let slot = self.oldest;
                self.images[slot * length..(slot + 1) * length].copy_from_slice(image);
                self.values[slot * inner..(slot + 1) * inner].copy_from_slice(values);
                self.marks[slot] = mark;
                self.oldest = (slot + 1) % self.most;
            }
        }
        Ok(&self.asked)
    }

    /// How many images are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }
}
