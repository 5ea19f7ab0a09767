use recert_bounds::geometric::{PixelBox, Transformed as Proved, apply};
use recert_graph::testing::noise;

use super::*;

/// By how much sums in float32 may differ from the proved ones.
const CLOSE: f64 = 2e-6;

const IMAGE: [usize; 3] = [2, 9, 7];

/// Transformations with the widths of their cells: one that does not move, many pixels a cell,
/// sources outside the image, changes of value.
const CASES: [(&str, &[f64]); 6] = [
    ("rotate=-30..30", &[2.0]),
    ("rotate=10..10,translate-x=-1..1", &[0.5, 0.0]),
    ("translate-x=-3..3,translate-y=-9..9", &[0.25, 2.5]),
    (
        "scale=0.8..1.2,rotate=-45..45,contrast=0.5..1.5,brightness=-0.3..0.3",
        &[0.05, 1.5, 0.2, 0.1],
    ),
    ("shear=-0.3..0.3,contrast=0.2..3", &[0.05, 5.0]),
    ("brightness=-0.5..0.5", &[0.2]),
];

fn cells((transformation, widths): (&str, &[f64]), pixels: PixelBounds) -> Cells {
    Cells {
        transformation: transformation.parse().unwrap(),
        widths: widths.to_vec(),
        pixels,
        per_batch: 1,
    }
}

/// Images with flat parts, as digits have.
fn images(count: usize) -> Vec<f32> {
    let dots = noise(3, count * IMAGE.iter().product::<usize>());
    dots.iter().map(|dot| (1.5 * dot).clamp(0.0, 1.0)).collect()
}

fn close(fast: &[f32], proved: &[f64]) -> bool {
    let mut pairs = fast.iter().zip(proved);
    fast.len() == proved.len() && pairs.all(|(a, b)| (f64::from(*a) - b).abs() <= CLOSE)
}

#[test]
fn pixels_are_those_that_recert_bounds_proves() {
    let [channels, height, width] = IMAGE;
    let layout = Layout::ChannelsFirst;
    let extents = Extents {
        channels,
        height,
        width,
        layout,
    };
    let pixels = images(3);
    let wide: Vec<f64> = pixels.iter().map(|&pixel| pixel.into()).collect();
    for case in CASES {
        for (bounds, proved) in [
            (PixelBounds::Interval, PixelBox::Sum),
            (PixelBounds::Knapsack, PixelBox::Knapsack),
        ] {
            let cells = cells(case, bounds);
            for (seed, share) in [(1, 1.0), (2, 0.4), (3, 0.0)] {
                let drawn = |random: &mut fastrand::Rng| cells.drawn(share, IMAGE, &pixels, random);
                let made = drawn(&mut fastrand::Rng::with_seed(seed)).unwrap();
                // The same generator gives the same place again.
                let (point, cell) = cells.place(share, &mut fastrand::Rng::with_seed(seed));
                let columns = channels * height * width;
                for (number, image) in wide.chunks(columns).enumerate() {
                    let range = number * columns..(number + 1) * columns;
                    let transformed = Proved::new(&cells.transformation, &extents, image).unwrap();
                    let [low, high] = transformed.pixels(&cell, proved).unwrap();
                    let label = format!("{cells}, {share}");
                    assert!(close(&made.ends[0][range.clone()], &low), "{label}");
                    assert!(close(&made.ends[1][range.clone()], &high), "{label}");
                    let at = apply(&cells.transformation, &extents, image, &point.lower);
                    assert!(close(&made.points[range], &at.unwrap()), "{label}");
                }
            }
        }
    }
}

#[test]
fn knapsacks_lie_within_intervals_and_around_the_points() {
    let pixels = images(4);
    for case in CASES {
        let made = [PixelBounds::Interval, PixelBounds::Knapsack].map(|bounds| {
            let mut random = fastrand::Rng::with_seed(5);
            cells(case, bounds)
                .drawn(1.0, IMAGE, &pixels, &mut random)
                .unwrap()
        });
        let [[wide_low, wide_high], [low, high]] = made.each_ref().map(|made| &made.ends);
        let slack = CLOSE as f32;
        for (at, point) in made[1].points.iter().enumerate() {
            let ordered = [wide_low[at], low[at], *point, high[at], wide_high[at]];
            let rises = ordered.windows(2).all(|pair| pair[0] <= pair[1] + slack);
            assert!(rises && low[at] <= high[at], "{case:?}: {ordered:?}");
        }
        let width = |low: &[f32], high: &[f32]| -> f32 {
            high.iter().zip(low).map(|(high, low)| high - low).sum()
        };
        // Cells that are points, or change values alone, have nothing to gain.
        let moves = case.0.contains("rotate=-") || case.0.contains("translate-y");
        let share = width(low, high) / width(wide_low, wide_high);
        assert!(share < 0.99 || !moves, "{case:?}: {share}");
    }
}

#[test]
fn cells_lie_in_the_box_have_their_width_and_hold_the_parameters() {
    let mut random = fastrand::Rng::with_seed(7);
    for case in CASES {
        let cells = cells(case, PixelBounds::Interval);
        let steps = cells.transformation.steps();
        let mut reached = vec![[f64::INFINITY, f64::NEG_INFINITY]; steps.len()];
        for _ in 0..400 {
            let (point, cell) = cells.place(0.5, &mut random);
            for (at, step) in steps.iter().enumerate() {
                let (low, high, t) = (cell.lower[at], cell.upper[at], point.lower[at]);
                assert!(step.low <= low && low <= t && t <= high && high <= step.high);
                let width = (0.5 * cells.widths[at]).min(step.high - step.low);
                assert!((high - low - width).abs() < 1e-9);
                reached[at] = [reached[at][0].min(t), reached[at][1].max(t)];
            }
        }
        for (reached, step) in reached.iter().zip(steps) {
            let extent = step.high - step.low;
            assert!(reached[0] <= step.low + 0.05 * extent);
            assert!(reached[1] >= step.high - 0.05 * extent);
        }
    }
}

#[test]
fn a_batch_is_divided_among_its_cells() {
    let columns = IMAGE.iter().product();
    let same = images(1).repeat(5);
    let distinct = |per_batch| {
        let cells = Cells {
            per_batch,
            ..cells(CASES[0], PixelBounds::Interval)
        };
        let mut random = fastrand::Rng::with_seed(1);
        let made = cells.drawn(1.0, IMAGE, &same, &mut random).unwrap();
        assert_eq!(made.points.len(), same.len());
        assert!(made.ends.iter().all(|ends| ends.len() == same.len()));
        let mut seen: Vec<&[f32]> = made.points.chunks(columns).collect();
        seen.dedup();
        seen.len()
    };
    assert_eq!([1, 2, 5, 100].map(distinct), [1, 2, 5, 5]);
}

#[test]
fn cells_that_are_none_are_refused() {
    let with = |widths: &[f64], per_batch| Cells {
        per_batch,
        ..cells(("rotate=-1..1,scale=1..2", widths), PixelBounds::Interval)
    };
    let field = |cells: Cells| cells.check().unwrap_err().field();
    let point = Cells {
        transformation: "rotate=5".parse().unwrap(),
        ..with(&[1.0], 1)
    };
    assert_eq!(field(point), Some("cell-width"));
    let wrong: [&[f64]; 5] = [&[], &[1.0], &[0.0, 0.0], &[-1.0, 1.0], &[1.0, f64::NAN]];
    for widths in wrong {
        assert_eq!(field(with(widths, 1)), Some("cell-width"), "{widths:?}");
    }
    assert_eq!(field(with(&[1.0, 0.0], 0)), Some("batch-cells"));
    with(&[1.0, 0.0], 1).check().unwrap();
    assert_eq!(
        "sum".parse::<PixelBounds>().unwrap_err().field(),
        Some("pixels")
    );
}
