//! Prints millions of noise values a second, by code path, operation and threads.
//!
//! `cargo run --release -p recert-noise --example noise_rate`

use std::hint::black_box;
use std::time::{Duration, Instant};

use recert_noise::{CodePath, GENERATOR, GENERATOR_INTEGER, IntegerNoise, NoiseKey, Stream};

/// One CIFAR-10 image.
const LEN: usize = 3 * 32 * 32;
/// How long each figure is measured.
const SPAN: Duration = Duration::from_millis(500);
/// Sigmas of the integer noise.
const SIGMAS: [f64; 4] = [0.12, 0.25, 0.5, 1.0];

/// Millions of normals a second of `work`, which makes one sample of `LEN` elements.
fn rate(mut work: impl FnMut(u32)) -> f64 {
    let (start, mut samples) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        for _ in 0..100 {
            work(samples);
            samples += 1;
        }
    }
    f64::from(samples) * LEN as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// The rate of standard normals alone.
fn fill_rate(key: NoiseKey, input: u32) -> f64 {
    let mut out = vec![0.0_f32; LEN];
    rate(|sample| key.fill(Stream::Certify, input, sample, black_box(&mut out)))
}

/// The rate of noisy samples of an image.
fn add_rate(key: NoiseKey, input: u32) -> f64 {
    let (image, mut out) = (vec![0.5_f32; LEN], vec![0.0_f32; LEN]);
    rate(|sample| {
        key.add(
            Stream::Certify,
            input,
            sample,
            0.25,
            &image,
            black_box(&mut out),
        );
    })
}

/// The rate of noisy samples of an 8-bit image under integer noise.
fn integer_rate(noise: &IntegerNoise, input: u32) -> f64 {
    let (image, mut out) = (vec![128; LEN], vec![0.0_f32; LEN]);
    rate(|sample| noise.add(Stream::Certify, input, sample, &image, black_box(&mut out)))
}

/// The sum of the rates of so many threads at once.
fn together(threads: u32, measure: impl Fn(u32) -> f64 + Sync) -> f64 {
    std::thread::scope(|scope| {
        let measure = &measure;
        let workers: Vec<_> = (0..threads)
            .map(|input| scope.spawn(move || measure(input)))
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
    println!("fill, add: {GENERATOR}; by sigma: {GENERATOR_INTEGER}");
    println!("millions of coordinates a second, samples of {LEN} elements");
    print!("{:<10} {:>7} {:>8} {:>8}", "path", "threads", "fill", "add");
    println!("{}", SIGMAS.map(|sigma| format!(" {sigma:>8}")).concat());
    for path in CodePath::ALL {
        let Some(key) = NoiseKey::new(1).on(path) else {
            println!("{path:<10} not on this machine");
            continue;
        };
        for &threads in &thread_counts {
            let fill = together(threads, |input| fill_rate(key, input));
            let add = together(threads, |input| add_rate(key, input));
            print!("{path:<10} {threads:>7} {fill:>8.0} {add:>8.0}");
            for sigma in SIGMAS {
                let noise = IntegerNoise::new(1, sigma).expect("a sigma in range");
                let noise = noise.on(path).expect("the key is on it");
                let integer = together(threads, |input| integer_rate(&noise, input));
                print!(" {integer:>8.0}");
            }
            println!();
        }
    }
}
