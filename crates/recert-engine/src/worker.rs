//! One worker's instance of a network: a session, and how it is fed.

use crate::feed::Feed;
use crate::{Answers, Classifier, Error, Preprocess, Session};

/// One worker's instance of a network.
pub(crate) struct Worker {
    session: Box<dyn Session>,
    preprocess: Preprocess,
    feed: Feed,
    input: Vec<f32>,
}

impl Worker {
    /// The instance that asks `session`.
    pub(crate) fn boxed(
        session: Box<dyn Session>,
        preprocess: &Preprocess,
        feed: &Feed,
    ) -> Box<dyn Classifier> {
        Box::new(Self {
            session,
            preprocess: preprocess.clone(),
            feed: feed.clone(),
            input: Vec::new(),
        })
    }
}

impl Classifier for Worker {
    fn classes(&self) -> usize {
        self.feed.classes
    }

    fn image_len(&self) -> usize {
        self.feed.image.len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let length = self.image_len();
        let count = images.len() / length;
        let piece = self.feed.fixed_batch.unwrap_or(count.max(1));
        let mut all: Option<Answers> = None;
        for images in images.chunks(piece * length) {
            let count = images.len() / length;
            let batch = self.feed.fixed_batch.unwrap_or(count);
            self.feed
                .fill(images, batch, &self.preprocess, &mut self.input);
            let mut outputs = self.session.run(&self.input, &self.feed.shape(batch))?;
            let output = outputs.pop().expect("one output was asked for");
            let mut answers = self.feed.answers(output, batch, count)?;
            for (i, image) in images.chunks_exact(length).enumerate() {
                if !image.iter().all(|pixel| pixel.is_finite()) {
                    answers.invalidate(i);
                }
            }
            match &mut all {
                Some(all) => all.extend(answers),
                None => all = Some(answers),
            }
        }
        Ok(all.unwrap_or(Answers::Classes(Vec::new())))
    }
}
