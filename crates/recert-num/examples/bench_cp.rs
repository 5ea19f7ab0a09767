//! Prints how long a pair of Clopper-Pearson bounds takes, for typical counts.
//!
//! Run with `cargo run --release -p recert-num --example bench_cp`. Each figure is the
//! smallest mean over many short batches, so that other load on the machine matters
//! little.

use std::hint::black_box;
use std::time::Instant;

use recert_num::{Alpha, Error, clopper_pearson_lower, clopper_pearson_upper};

/// Pairs in one batch.
const BATCH: u32 = 100;

fn main() -> Result<(), Error> {
    println!(
        "{:>12} {:>12} {:>8} {:>12}",
        "n", "k", "alpha", "us per pair"
    );
    for n in [100_u64, 1_000, 10_000, 100_000, 100_000_000] {
        for k in [
            0,
            1,
            n / 100,
            n / 10,
            n / 2,
            n - n / 10,
            n - n / 100,
            n - 1,
            n,
        ] {
            for text in ["0.5", "0.001", "1e-12"] {
                let alpha = Alpha::new(text.parse().expect("a number"))?;
                let mut best = f64::INFINITY;
                for _ in 0..100 {
                    let start = Instant::now();
                    for _ in 0..BATCH {
                        black_box(clopper_pearson_lower(black_box(k), n, alpha)?);
                        black_box(clopper_pearson_upper(black_box(k), n, alpha)?);
                    }
                    best = best.min(start.elapsed().as_secs_f64());
                }
                let micros = best * 1e6 / f64::from(BATCH);
                println!("{n:>12} {k:>12} {text:>8} {micros:>12.3}");
            }
        }
    }
    Ok(())
}
