//! Choosing the size of a batch by a short measurement.

use std::time::{Duration, Instant};

use recert_engine::Classifier;

use super::worker::answer;
use crate::Error;

/// The number of images in one call of a classifier, where nothing has been measured.
pub const BATCH: usize = 32;

/// The sizes to choose from, ascending.
const CANDIDATES: [usize; 4] = [8, 32, 64, 128];

/// A batch has no more float32 values than this, unless it has the smallest candidate size.
const MOST_VALUES: usize = 1 << 21;

/// Time to spend on each candidate, and on all of them.
const EACH: Duration = Duration::from_millis(40);
const ALL: Duration = Duration::from_millis(300);

/// Another candidate replaces [`BATCH`] only if it is faster by more than this factor, which
/// other load on the machine would hardly explain.
const MARGIN: f64 = 1.05;

/// Measures for a third of a second at which size of a batch (8, 32, 64 or 128)
/// `classifiers`, one of each network, take least time for an image. Where [`BATCH`] is nearly
/// as fast, it returns that.
///
/// Use it only for engines whose answers do not depend on the batch, since the result differs
/// from run to run.
///
/// ```
/// use recert_engine::FnClassifier;
///
/// let mut dark = FnClassifier::new(2, 1, |image: &[f32]| Some(u16::from(image[0] < 0.5)));
/// let batch = recert_smooth::run::measured_batch(&mut [&mut dark])?;
/// assert!([8, 32, 64, 128].contains(&batch));
/// # Ok::<(), recert_smooth::Error>(())
/// ```
///
/// # Errors
/// The failure of a classifier.
pub fn measured_batch(classifiers: &mut [&mut dyn Classifier]) -> Result<usize, Error> {
    measured_within(ALL, classifiers)
}

fn measured_within(all: Duration, classifiers: &mut [&mut dyn Classifier]) -> Result<usize, Error> {
    let start = Instant::now();
    let mut found: Vec<(usize, f64)> = Vec::new();
    for batch in CANDIDATES {
        let values = |c: &&mut dyn Classifier| batch.saturating_mul(c.image_len());
        let large = classifiers.iter().map(values).any(|v| v > MOST_VALUES);
        let left = all.saturating_sub(start.elapsed());
        // One call to allocate buffers, and at least one that is measured.
        let expected = found.last().map_or(0.0, |(_, s)| 2.0 * s * batch as f64);
        if batch > CANDIDATES[0] && (large || expected > left.as_secs_f64()) {
            break;
        }
        let mut seconds = 0.0;
        for classifier in &mut *classifiers {
            seconds += least_seconds(*classifier, batch)?;
        }
        found.push((batch, seconds));
    }
    let usual = found.iter().find(|(batch, _)| *batch == BATCH);
    let best = found.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    Ok(match (usual, best) {
        (Some(usual), Some(best)) if best.1 * MARGIN > usual.1 => usual.0,
        (_, Some(best)) => best.0,
        _ => BATCH,
    })
}

/// The least time, in seconds for an image, that a classifier takes in batches of
/// [`BATCH`] images; of 8 where its images are large.
///
/// ```
/// use recert_engine::FnClassifier;
///
/// let mut dark = FnClassifier::new(2, 1, |image: &[f32]| Some(u16::from(image[0] < 0.5)));
/// assert!(recert_smooth::run::seconds_an_image(&mut dark)? < 0.1);
/// # Ok::<(), recert_smooth::Error>(())
/// ```
///
/// # Errors
/// The failure of the classifier.
pub fn seconds_an_image(classifier: &mut dyn Classifier) -> Result<f64, Error> {
    let large = BATCH.saturating_mul(classifier.image_len()) > MOST_VALUES;
    least_seconds(classifier, if large { CANDIDATES[0] } else { BATCH })
}

/// The least time, in seconds for an image, that a classifier takes in batches of this size.
fn least_seconds(classifier: &mut dyn Classifier, batch: usize) -> Result<f64, Error> {
    let images = vec![0.5; batch * classifier.image_len()];
    answer(classifier, &images)?;
    let start = Instant::now();
    let mut least = f64::INFINITY;
    while least.is_infinite() || start.elapsed() < EACH {
        let call = Instant::now();
        answer(classifier, &images)?;
        least = least.min(call.elapsed().as_secs_f64() / batch as f64);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use recert_engine::Answers;

    use super::*;

    /// Takes so long for a call, and for each image; notes the batches.
    struct Slow {
        call: Duration,
        image: Duration,
        values: usize,
        seen: Vec<usize>,
    }

    impl Slow {
        fn new(call: u64, image: u64, values: usize) -> Self {
            Self {
                call: Duration::from_micros(call),
                image: Duration::from_micros(image),
                values,
                seen: Vec::new(),
            }
        }
    }

    impl Classifier for Slow {
        fn classes(&self) -> usize {
            2
        }
        fn image_len(&self) -> usize {
            self.values
        }
        fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
            let batch = images.len() / self.values;
            self.seen.push(batch);
            let until = Instant::now() + self.call + self.image * batch as u32;
            while Instant::now() < until {}
            Ok(Answers::Classes(vec![Some(0); batch]))
        }
    }

    #[test]
    fn calls_that_cost_ask_for_large_batches_and_slow_images_for_small_ones() {
        let long = Duration::from_mins(10);
        let mut dear = Slow::new(2_000, 1, 3);
        assert_eq!(measured_within(long, &mut [&mut dear]).unwrap(), 128);
        // Two calls of 32 of these are more than the time there is.
        let mut slow = Slow::new(0, 20_000, 3);
        assert_eq!(measured_batch(&mut [&mut slow]).unwrap(), 8);
        assert_eq!(slow.seen, [8, 8]);
        // And these are too large.
        let mut large = Slow::new(2_000, 1, MOST_VALUES / 40);
        assert_eq!(measured_within(long, &mut [&mut large]).unwrap(), 32);
        assert_eq!(large.seen.iter().max(), Some(&32));
    }

    #[test]
    fn a_failure_is_returned() {
        struct Broken;
        impl Classifier for Broken {
            fn classes(&self) -> usize {
                2
            }
            fn image_len(&self) -> usize {
                3
            }
            fn classify(&mut self, _: &[f32]) -> Result<Answers, recert_engine::Error> {
                panic!("the floor gave way")
            }
        }
        let error = measured_batch(&mut [&mut Broken]).unwrap_err();
        assert!(error.to_string().contains("the floor gave way"), "{error}");
    }
}
