//! The question certification asks: what does the network answer?

use crate::{Answers, Class, Error};

/// A base classifier f: R^d -> classes, one worker's instance of it.
///
/// Images are flat `[count, channels * height * width]` float32 in the units
/// of the data (`[0, 1]` plus noise), before any normalisation, which is the
/// classifier's own business. The same image must get the same answer
/// whatever else is in the batch for counts not to depend on the batch size;
/// see [`EngineIdentity::batch_invariant`](crate::EngineIdentity).
pub trait Classifier: Send {
    /// The number of classes.
    fn classes(&self) -> usize;

    /// Values per image, `channels * height * width`.
    fn image_len(&self) -> usize;

    /// Answers `images`, whose length is a multiple of [`Self::image_len`].
    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error>;
}

/// A classifier made of a function, for tests, simulations and classifiers
/// that are no neural network: image in, class (or `None`) out.
///
/// # Examples
/// ```
/// use recert_engine::{Answers, Classifier, FnClassifier};
///
/// // Class 1 for images of two pixels that are bright on average, else class 0.
/// let bright = |image: &[f32]| Some(u16::from(image[0] + image[1] > 1.0));
/// let mut classifier = FnClassifier::new(2, 2, bright);
/// let answers = classifier.classify(&[0.9, 0.8, 0.1, 0.2])?;
/// assert_eq!(answers, Answers::Classes(vec![Some(1), Some(0)]));
/// # Ok::<(), recert_engine::Error>(())
/// ```
pub struct FnClassifier<F> {
    classes: usize,
    image_len: usize,
    function: F,
}

impl<F: FnMut(&[f32]) -> Option<Class> + Send> FnClassifier<F> {
    /// A classifier of images of `image_len` values into `classes` classes.
    pub fn new(classes: usize, image_len: usize, function: F) -> Self {
        Self {
            classes,
            image_len,
            function,
        }
    }
}

impl<F: FnMut(&[f32]) -> Option<Class> + Send> Classifier for FnClassifier<F> {
    fn classes(&self) -> usize {
        self.classes
    }

    fn image_len(&self) -> usize {
        self.image_len
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let classes = self.classes;
        Ok(Answers::Classes(
            images
                .chunks_exact(self.image_len)
                .map(|image| (self.function)(image).filter(|&c| usize::from(c) < classes))
                .collect(),
        ))
    }
}
