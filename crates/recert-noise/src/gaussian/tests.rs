//! The transform against its definition in float64, over all angles and a sieve of radii.
//!
//! The largest relative errors found by the exhaustive tests (all 2^32 leading
//! words, each with one low byte, and all 2^24 angles), in units of 2^-24:
//! radius 3.0274, cosine and sine 2.0512.

use super::{MAX_ABS, MAX_RELATIVE_ERROR, direction, pair, radius};
use crate::philox::philox4x32_10;

/// One unit in which errors are counted.
const UNIT: f64 = 1.0 / 16_777_216.0;
/// Limits of the two factors; with the product's rounding they make `MAX_RELATIVE_ERROR`.
const RADIUS_LIMIT: f64 = 4.0 * UNIT;
const DIRECTION_LIMIT: f64 = 2.5 * UNIT;

/// sqrt(-2 ln U) by the definition. U has 41 significant bits: it is exact.
fn exact_radius(w0: u32, w1: u32) -> f64 {
    let cell = (u64::from(w0) << 8) | u64::from(w1 & 0xFF);
    let uniform = (cell as f64 + 0.5) / (1_u64 << 40) as f64;
    (-2.0 * uniform.ln()).sqrt()
}

/// (cos 2 pi T, sin 2 pi T) by the definition.
fn exact_direction(w1: u32) -> (f64, f64) {
    let turn = (f64::from(w1 >> 8) + 0.5) / f64::from(1 << 24);
    let (sine, cosine) = (turn * std::f64::consts::TAU).sin_cos();
    (cosine, sine)
}

/// |value - exact| / |exact|.
fn relative(value: f32, exact: f64) -> f64 {
    ((f64::from(value) - exact) / exact).abs()
}

/// The largest relative error of the radius over these leading words.
fn worst_radius(words: impl Iterator<Item = u32>) -> f64 {
    words
        .map(|w0| {
            // Some low byte; it takes all values as the word runs.
            let w1 = (w0.wrapping_mul(0x9E37_79B9) >> 24) & 0xFF;
            relative(radius(w0, w1), exact_radius(w0, w1))
        })
        .fold(0.0, f64::max)
}

/// The largest relative error of cosine and sine over these words.
fn worst_direction(words: impl Iterator<Item = u32>) -> f64 {
    words
        .map(|w1| {
            let (x, y) = direction(w1);
            let (exact_x, exact_y) = exact_direction(w1);
            relative(x, exact_x).max(relative(y, exact_y))
        })
        .fold(0.0, f64::max)
}

#[test]
fn the_limits_of_the_factors_make_the_stated_bound() {
    let together = (1.0 + RADIUS_LIMIT) * (1.0 + DIRECTION_LIMIT) * (1.0 + UNIT) - 1.0;
    assert!(together <= MAX_RELATIVE_ERROR, "{}", together / UNIT);
}

#[test]
fn radius_is_within_its_limit() {
    let sieve = (0..=u32::MAX).step_by(1_999);
    // Where the code changes over: U at 0, 1/2, 1/sqrt 2 and 1.
    let edges = [0_u32, 1 << 31, 0xB504_F334, u32::MAX];
    let near = edges
        .into_iter()
        .flat_map(|edge| (-20_000..20_000).map(move |step| edge.wrapping_add_signed(step)));
    let worst = worst_radius(sieve.chain(near));
    eprintln!("radius: {:.3} units of 2^-24", worst / UNIT);
    assert!(worst <= RADIUS_LIMIT, "{}", worst / UNIT);
}

/// Where few leading bits are left the low byte matters: all of its values.
#[test]
fn radius_uses_the_low_byte() {
    for w0 in [0, 1, 2, 1000, u32::MAX - 1000, u32::MAX - 1, u32::MAX] {
        for w1 in 0..256 {
            let error = relative(radius(w0, w1), exact_radius(w0, w1));
            assert!(error <= RADIUS_LIMIT, "{w0} {w1}: {}", error / UNIT);
        }
    }
}

#[test]
fn direction_is_within_its_limit() {
    let sieve = (0..=u32::MAX).step_by(256 * 13);
    // Around the axes and around the diagonals, where the code changes over.
    let near = (0..8_u32).flat_map(|eighth| {
        (-2_000..2_000).map(move |step| (eighth << 29).wrapping_add_signed(256 * step))
    });
    let worst = worst_direction(sieve.chain(near));
    eprintln!("direction: {:.3} units of 2^-24", worst / UNIT);
    assert!(worst <= DIRECTION_LIMIT, "{}", worst / UNIT);
}

#[test]
fn normals_are_within_the_stated_bound() {
    let mut worst = 0.0_f64;
    for block in 0..300_000 {
        let words = philox4x32_10([block, 0, 0, 0], [1, 2]);
        for half in words.chunks_exact(2) {
            let (a, b) = pair(half[0], half[1]);
            let scale = exact_radius(half[0], half[1]);
            let (x, y) = exact_direction(half[1]);
            worst = worst
                .max(relative(a, scale * x))
                .max(relative(b, scale * y));
        }
    }
    eprintln!("normals: {:.3} units of 2^-24", worst / UNIT);
    assert!(worst <= MAX_RELATIVE_ERROR, "{}", worst / UNIT);
}

/// The angle's grid maps onto itself under the symmetries of the square, and
/// so do the floats, bit by bit: the law is exactly symmetric.
#[test]
fn the_law_is_exactly_symmetric() {
    for block in 0..2_000 {
        let [w0, w1, ..] = philox4x32_10([block, 0, 0, 0], [3, 4]);
        let (a, b) = pair(w0, w1);
        let half_turn = w1 ^ 0x8000_0000;
        assert_eq!(pair(w0, half_turn), (-a, -b));
        let mirrored = !w1 & 0xFFFF_FF00 | w1 & 0xFF;
        assert_eq!(pair(w0, mirrored), (a, -b));
        let swapped = mirrored.wrapping_add(0x4000_0000);
        assert_eq!(pair(w0, swapped), (b, a));
    }
}

/// The grid of angles alone, with an exact radius: its distance from the normal
/// law is largest where the grid's angle nearest to an axis shows, near 1e-7.
#[test]
fn the_grid_of_angles_is_near_the_normal_law() {
    let cells = 1_u32 << 22; // A quarter of the turn; the others mirror it.
    let squares: Vec<f64> = (0..cells)
        .map(|cell| {
            let quarter = (f64::from(cell) + 0.5) / f64::from(cells);
            (quarter * std::f64::consts::FRAC_PI_2).sin().powi(2)
        })
        .collect();
    let mut worst = 0.0_f64;
    for t in [1e-8, 7e-8, 1.08e-7, 1.4e-7, 1e-6, 1e-5, 1e-3_f64] {
        // P(0 < r cos <= t) = 1/2 mean(1 - exp(-t^2 / (2 cos^2))).
        let sum: f64 = squares
            .iter()
            .map(|square| -(-t * t / (2.0 * square)).exp_m1())
            .sum();
        let grid = sum / f64::from(cells) / 2.0;
        let series = t - t.powi(3) / 6.0 + t.powi(5) / 40.0;
        worst = worst.max((grid - series / std::f64::consts::TAU.sqrt()).abs());
    }
    eprintln!("grid of angles: {worst:.3e}");
    assert!(worst <= 2.1e-8, "{worst}");
}

#[test]
fn extremes_are_finite_and_normal_numbers() {
    let words = [0, 1, 0xFF, 0x100, 1 << 31, (1 << 31) - 1, !0xFF, u32::MAX];
    let axes = (0..8_u32).flat_map(|eighth| {
        [-256_i32, -1, 0, 1, 256].map(|step| (eighth << 29).wrapping_add_signed(step))
    });
    for w1 in axes.chain(words) {
        for w0 in words {
            let (a, b) = pair(w0, w1);
            for z in [a, b] {
                assert!(z.is_normal() && z.abs() <= MAX_ABS, "{w0:x} {w1:x}: {z}");
            }
        }
    }
    let largest = radius(0, 0);
    assert!(largest > 7.539 && largest <= MAX_ABS, "{largest}");
    // U = 1 - 2^-41 exactly.
    let smallest = f64::from(radius(u32::MAX, 0xFF));
    assert!((smallest / 2.0_f64.powi(-20) - 1.0).abs() < 1e-6);
}

/// All leading words, on all cores: `cargo test --release -- --ignored`.
#[test]
#[ignore = "minutes of computing"]
fn radius_is_within_its_limit_for_every_leading_word() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worst = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads as u32)
            .map(|k| scope.spawn(move || worst_radius((k..=u32::MAX).step_by(threads))))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker panicked"))
            .fold(0.0, f64::max)
    });
    eprintln!("radius, exhaustive: {:.4} units of 2^-24", worst / UNIT);
    assert!(worst <= RADIUS_LIMIT);
}

/// All angles.
#[test]
#[ignore = "seconds of computing"]
fn direction_is_within_its_limit_for_every_angle() {
    let worst = worst_direction((0..1 << 24).map(|turn| turn << 8));
    eprintln!("direction, exhaustive: {:.4} units of 2^-24", worst / UNIT);
    assert!(worst <= DIRECTION_LIMIT);
}
