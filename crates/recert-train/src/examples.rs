//! Images and labels to train with.

use crate::error::{Error, ErrorKind, Result};

/// Images of pixels in [0, 1] with their labels.
///
/// ```
/// use recert_train::Examples;
///
/// let examples = Examples::new([1, 2, 2], vec![0.0, 0.5, 1.0, 0.25], vec![1], 2)?;
/// assert_eq!(examples.len(), 1);
/// assert_eq!(examples.missing(), [0]);
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Examples {
    image: [usize; 3],
    pixels: Vec<f32>,
    labels: Vec<usize>,
    classes: usize,
}

impl Examples {
    /// Images `[channels, height, width]` one after the other, and a label below `classes` each.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] where there are no images, where lengths do not agree, where a pixel
    /// is not in [0, 1] or a label is none of the classes, with the image's number.
    pub fn new(
        image: [usize; 3],
        pixels: Vec<f32>,
        labels: Vec<usize>,
        classes: usize,
    ) -> Result<Self> {
        let refused = |text: String| Err(Error::new(ErrorKind::Data, text));
        let columns: usize = image.iter().product();
        if labels.is_empty() || columns == 0 {
            return refused("there are no images to train on".to_owned());
        }
        if pixels.len() != labels.len() * columns {
            return refused(format!(
                "{} pixels are not {} images of {image:?}",
                pixels.len(),
                labels.len()
            ));
        }
        if let Some(at) = pixels.iter().position(|x| !(0.0..=1.0).contains(x)) {
            return refused(format!(
                "image {} has a pixel of {}, outside [0, 1]",
                at / columns,
                pixels[at]
            ));
        }
        if let Some(at) = labels.iter().position(|&label| label >= classes) {
            return refused(format!(
                "image {at} has the label {}, and the network's classes are 0 to {}",
                labels[at],
                classes.saturating_sub(1)
            ));
        }
        Ok(Self {
            image,
            pixels,
            labels,
            classes,
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: there is at least one image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height and width.
    pub fn image(&self) -> [usize; 3] {
        self.image
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The classes that no image is of.
    pub fn missing(&self) -> Vec<usize> {
        let mut found = vec![false; self.classes];
        self.labels.iter().for_each(|&label| found[label] = true);
        (0..self.classes).filter(|&class| !found[class]).collect()
    }

    pub(crate) fn columns(&self) -> usize {
        self.image.iter().product()
    }

    pub(crate) fn label(&self, position: usize) -> usize {
        self.labels[position]
    }

    pub(crate) fn pixels(&self, position: usize) -> &[f32] {
        let columns = self.columns();
        &self.pixels[position * columns..(position + 1) * columns]
    }

    /// All pixels and labels as bytes.
    pub(crate) fn fingerprint(&self) -> impl Iterator<Item = u8> + '_ {
        let pixels = self.pixels.iter().flat_map(|pixel| pixel.to_le_bytes());
        let labels = self.labels.iter().flat_map(|label| label.to_le_bytes());
        pixels.chain(labels)
    }
}

/// How training images are varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augmentation {
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// By how many pixels at most images are moved in either direction, with 0 where nothing
    /// was.
    pub shift: usize,
}

impl Augmentation {
    /// Writes an image, varied at random, to `to`.
    pub(crate) fn copy(
        self,
        [channels, height, width]: [usize; 3],
        from: &[f32],
        generator: &mut fastrand::Rng,
        to: &mut Vec<f32>,
    ) {
        if self == Self::default() {
            to.extend_from_slice(from);
            return;
        }
        let flipped = self.flip && generator.bool();
        let span = self.shift as isize;
        let [down, right] = [0, 1].map(|_| generator.isize(-span..=span));
        for channel in 0..channels {
            for row in 0..height {
                for column in 0..width {
                    let across = if flipped { width - 1 - column } else { column };
                    let source = row
                        .checked_add_signed(-down)
                        .zip(across.checked_add_signed(-right));
                    to.push(match source {
                        Some((row, column)) if row < height && column < width => {
                            from[(channel * height + row) * width + column]
                        }
                        _ => 0.0,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_trained_on_is_refused_with_its_number() {
        let image = [1, 1, 2];
        let error = |pixels: &[f32], labels: &[usize]| {
            let made = Examples::new(image, pixels.to_vec(), labels.to_vec(), 3);
            let error = made.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            error.to_string()
        };
        assert!(error(&[], &[]).contains("no images"));
        assert!(error(&[0.0; 3], &[0]).contains("3 pixels"));
        assert!(error(&[0.0, 0.0, 0.5, f32::NAN], &[0, 1]).contains("image 1"));
        assert!(error(&[0.0, 255.0], &[0]).contains("255"));
        assert!(error(&[0.0; 4], &[0, 3]).contains("image 1 has the label 3"));
        let examples = Examples::new(image, vec![0.0; 4], vec![2, 2], 3).unwrap();
        assert_eq!(examples.missing(), [0, 1]);
    }

    #[test]
    fn images_are_moved_and_mirrored_and_not_changed_otherwise() {
        let image = [2, 3, 4];
        let from: Vec<f32> = (1..=24).map(|x| x as f32 / 24.0).collect();
        let mut generator = fastrand::Rng::with_seed(1);
        let (mut whole, mut mirrored) = (0, 0);
        let reversed: Vec<f32> = (from.chunks(4))
            .flat_map(|row| row.iter().rev().copied())
            .collect();
        for _ in 0..200 {
            let mut to = Vec::new();
            let flip = Augmentation {
                flip: true,
                shift: 1,
            };
            flip.copy(image, &from, &mut generator, &mut to);
            assert!(to.iter().all(|x| *x == 0.0 || from.contains(x)));
            let zeros = to.iter().filter(|&&x| x == 0.0).count();
            // Moved along no axis, one, or both.
            assert!([0, 6, 8, 12].contains(&zeros), "{zeros}");
            whole += usize::from(to == from);
            mirrored += usize::from(to == reversed);
        }
        assert!(whole > 0 && mirrored > 0);
        let mut to = Vec::new();
        Augmentation::default().copy(image, &from, &mut generator, &mut to);
        assert_eq!(to, from);
    }
}
