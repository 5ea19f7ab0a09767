//! The noise alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use recert::noise::{NoiseKey, Stream};
use serde_json::json;

const SPAN: Duration = Duration::from_millis(400);
/// Values of a CIFAR-10 image.
const LEN: usize = 3 * 32 * 32;
/// Samples in one call, as many as `recert certify` has in a batch by default.
const BATCH: u32 = 32;

/// Seconds that one thread takes for a noisy sample of an image of `len` values.
pub(crate) fn seconds_a_copy(len: usize) -> f64 {
    let (image, mut out) = (vec![0.5; len], vec![0.0; BATCH as usize * len]);
    let key = NoiseKey::new(1);
    let (start, mut samples) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        let range = samples..samples + BATCH;
        key.add_batch(Stream::Fresh, 0, range, 0.5, &image, black_box(&mut out));
        samples += BATCH;
    }
    start.elapsed().as_secs_f64() / f64::from(samples)
}

/// Normals a second, scaled and added to CIFAR-10 images, on one and two threads.
pub(crate) fn rates() -> serde_json::Value {
    let on = |threads: u32| -> f64 {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| LEN as f64 / seconds_a_copy(LEN)))
                .collect();
            (all.into_iter())
                .map(|one| one.join().expect("the noise does not panic"))
                .sum()
        })
    };
    json!({ "1": on(1), "2": on(2) })
}
