//! Prints millions of normals a second, by code path, operation and threads.
//!
//! `cargo run --release -p recert-noise --example noise_rate`

use std::hint::black_box;
use std::time::{Duration, Instant};

use recert_noise::{CodePath, GENERATOR, NoiseKey, Stream};

/// One CIFAR-10 image.
const LEN: usize = 3 * 32 * 32;
/// How long each figure is measured.
const SPAN: Duration = Duration::from_millis(500);

/// Millions of normals a second of `work`, which makes one copy of `LEN` elements.
fn rate(mut work: impl FnMut(u32)) -> f64 {
    let (start, mut copies) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        for _ in 0..100 {
            work(copies);
            copies += 1;
        }
    }
    f64::from(copies) * LEN as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// The rate of standard normals alone.
fn fill_rate(key: NoiseKey, input: u32) -> f64 {
    let mut out = vec![0.0_f32; LEN];
    rate(|copy| key.fill(Stream::Certify, input, copy, black_box(&mut out)))
}

/// The rate of noisy copies of an image.
fn add_rate(key: NoiseKey, input: u32) -> f64 {
    let (image, mut out) = (vec![0.5_f32; LEN], vec![0.0_f32; LEN]);
    rate(|copy| {
        key.add(
            Stream::Certify,
            input,
            copy,
            0.25,
            &image,
            black_box(&mut out),
        );
    })
}

/// The sum of the rates of so many threads at once.
fn together(threads: u32, measure: fn(NoiseKey, u32) -> f64, key: NoiseKey) -> f64 {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|input| scope.spawn(move || measure(key, input)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker panicked"))
            .sum()
    })
}

fn main() {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let thread_counts = if all > 1 { vec![1, all] } else { vec![1] };
    println!("{GENERATOR}; millions of normals a second, copies of {LEN} elements");
    println!("{:<10} {:>7} {:>8} {:>8}", "path", "threads", "fill", "add");
    for path in CodePath::ALL {
        let Some(key) = NoiseKey::new(1).on(path) else {
            println!("{path:<10} not on this machine");
            continue;
        };
        for &threads in &thread_counts {
            let fill = together(threads, fill_rate, key);
            let add = together(threads, add_rate, key);
            println!("{path:<10} {threads:>7} {fill:>8.0} {add:>8.0}");
        }
    }
}
