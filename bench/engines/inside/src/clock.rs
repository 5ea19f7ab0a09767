//! A classifier with a clock around every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use recert::engine::{Answers, Classifier, Error};

/// Nanoseconds that a classifier has computed.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// The time so far in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// A classifier that adds the time of every call to its clock.
pub(crate) struct Clocked {
    inner: Box<dyn Classifier>,
    clock: Arc<Clock>,
}

impl Clocked {
    /// The classifier with a clock, and the clock.
    pub(crate) fn new(inner: Box<dyn Classifier>) -> (Self, Arc<Clock>) {
        let clock = Arc::new(Clock::default());
        let clocked = Self {
            inner,
            clock: Arc::clone(&clock),
        };
        (clocked, clock)
    }
}

impl Classifier for Clocked {
    fn classes(&self) -> usize {
        self.inner.classes()
    }

    fn image_len(&self) -> usize {
        self.inner.image_len()
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, Error> {
        let start = Instant::now();
        let answers = self.inner.classify(images);
        let nanos = start.elapsed().as_nanos() as u64;
        self.clock.0.fetch_add(nanos, Ordering::Relaxed);
        answers
    }
}
