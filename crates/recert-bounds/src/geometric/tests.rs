//! The transformation against SciPy and against its definition; bounds against samples.

use proptest::prelude::*;

use super::*;
use crate::Region;

fn extents(height: usize, width: usize) -> Extents {
    Extents {
        channels: 1,
        height,
        width,
        layout: Layout::ChannelsFirst,
    }
}

/// `tests/golden/transformations` has 1,000 images that SciPy transformed.
#[test]
fn transforms_as_scipy_does() {
    let golden = include_str!("../../tests/golden/transformations/transformations.tsv");
    let mut cases = 0;
    for line in golden.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [height, width] = [0, 1].map(|field: usize| fields[field].parse().unwrap());
        let transformation: Transformation = fields[2].parse().unwrap();
        let image: Vec<f64> = (0..height * width)
            .map(|k| f64::from((37 * k as u32 + 11) % 101) / 100.0)
            .collect();
        let parameters = Cell::whole(&transformation).lower;
        let result = apply(
            &transformation,
            &extents(height, width),
            &image,
            &parameters,
        )
        .unwrap();
        for (field, [a, b]) in [(3, [37, 101]), (4, [53, 89])] {
            let weights = (0..result.len()).map(|k| (a * k % b) as f64);
            let sum: f64 = result.iter().zip(weights.clone()).map(|(v, w)| v * w).sum();
            let expected: f64 = fields[field].parse().unwrap();
            let tolerance = 1e-9 * weights.sum::<f64>();
            assert!((sum - expected).abs() <= tolerance, "{line}: {sum}");
        }
        cases += 1;
    }
    assert_eq!(cases, 1000);
}

/// Weights that a cell of the whole box would need for every pair of pixels.
#[test]
fn cells_with_too_many_weights_are_refused() {
    let transformation: Transformation = "translate-x=-90..90,translate-y=-90..90".parse().unwrap();
    let over =
        |extent, cell: &Cell| Interpolation::over(&transformation, &extents(extent, extent), cell);
    let whole = Cell::whole(&transformation);
    assert_eq!(over(20, &whole).unwrap().pixels().count(), 400);
    let refused = over(90, &whole).unwrap_err().to_string();
    assert!(refused.contains("make cells narrower"), "{refused}");
}

/// The definition, written without any of the code under test: the source by the inverse steps
/// last to first, then a sum over all pixels.
fn by_definition(steps: &[(Kind, f64)], values: &[f64], height: usize, width: usize) -> Vec<f64> {
    let centre = |extent: usize| (extent as f64 - 1.0) / 2.0;
    let mut result = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let (mut x, mut y) = (column as f64 - centre(width), centre(height) - row as f64);
            for &(kind, t) in steps.iter().rev() {
                let (sine, cosine) = t.to_radians().sin_cos();
                (x, y) = match kind {
                    Kind::Rotate => (x * cosine + y * sine, y * cosine - x * sine),
                    Kind::TranslateX => (x - t, y),
                    Kind::TranslateY => (x, y - t),
                    Kind::Scale => (x / t, y / t),
                    Kind::Shear => (x - t * y, y),
                    Kind::Contrast | Kind::Brightness => (x, y),
                };
            }
            let mut value = 0.0;
            for (index, pixel) in values.iter().enumerate() {
                let p = (index % width) as f64 - centre(width);
                let q = centre(height) - (index / width) as f64;
                value += pixel * (1.0 - (x - p).abs()).max(0.0) * (1.0 - (y - q).abs()).max(0.0);
            }
            for &(kind, t) in steps {
                match kind {
                    Kind::Contrast => value = (t * value).clamp(0.0, 1.0),
                    Kind::Brightness => value = (value + t).clamp(0.0, 1.0),
                    _ => {}
                }
            }
            result.push(value);
        }
    }
    result
}

/// Compositions, with parameters at the middle of cells of these widths.
fn transformations() -> impl Strategy<Value = Transformation> {
    let step = |kind, middle: f64, reach: f64, width: f64| {
        (-1.0..1.0_f64, 0.0..1.0_f64).prop_map(move |(at, size)| {
            let low = middle + reach * at;
            Step {
                kind,
                low,
                high: low + width * size,
            }
        })
    };
    let rotate = || step(Kind::Rotate, 0.0, 180.0, 8.0);
    let shift = || step(Kind::TranslateX, 0.0, 2.0, 0.6);
    let lift = || step(Kind::TranslateY, 0.0, 2.0, 0.6);
    let scale = || step(Kind::Scale, 1.0, 0.4, 0.1);
    let shear = || step(Kind::Shear, 0.0, 0.5, 0.1);
    let contrast = || step(Kind::Contrast, 1.0, 0.5, 0.2);
    let brightness = || step(Kind::Brightness, 0.0, 0.4, 0.2);
    prop_oneof![
        rotate().prop_map(|a| vec![a]),
        shift().prop_map(|a| vec![a]),
        (scale(), rotate()).prop_map(|(a, b)| vec![a, b]),
        (rotate(), lift(), shear()).prop_map(|(a, b, c)| vec![a, b, c]),
        (shear(), contrast()).prop_map(|(a, b)| vec![a, b]),
        (scale(), rotate(), contrast(), brightness()).prop_map(|(a, b, c, d)| vec![a, b, c, d]),
        (brightness(), contrast()).prop_map(|(a, b)| vec![a, b]),
    ]
    .prop_map(|steps| Transformation::new(steps).unwrap())
}

/// A few flat pixels among random ones, so that values are cut and rows are constant.
fn pixels(count: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0_f64], count)
}

/// The error of the definition in plain f64, for 30 pixels and coordinates below 10.
const PLAIN: f64 = 1e-12;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Sampled parameters: the definition lies in every box and between the lines, and boxes are
    /// nested (with several spatial steps, coordinates are enclosed in two ways, neither of
    /// which is always the tighter).
    #[test]
    fn bounds_hold_at_sampled_parameters(
        transformation in transformations(),
        image in pixels(30),
        samples in prop::collection::vec(prop::collection::vec(0.0..=1.0_f64, 4), 12),
    ) {
        let (height, width) = (5, 6);
        let extents = extents(height, width);
        let cell = Cell::whole(&transformation);
        let transformed = Transformed::new(&transformation, &extents, &image).unwrap();
        let [sum, knapsack, vertices] = [PixelBox::Sum, PixelBox::Knapsack, PixelBox::Vertices]
            .map(|method| transformed.pixels(&cell, method).unwrap());
        let region = transformed.region(&cell).unwrap();
        region.check(30).unwrap();
        let Region::Parametric { lower, upper, pixels, .. } = &region else {
            panic!("a parametric region");
        };
        prop_assert_eq!(pixels, &vertices);
        let spatial = transformation.steps().iter().filter(|step| step.kind.is_spatial());
        let tighter = if spatial.count() < 2 { &vertices } else { &knapsack };
        for pixel in 0..30 {
            for (inner, outer) in [(&knapsack, &sum), (tighter, &knapsack)] {
                prop_assert!(inner[0][pixel] >= outer[0][pixel] - PLAIN);
                prop_assert!(inner[1][pixel] <= outer[1][pixel] + PLAIN);
            }
        }
        let parameters = transformation.parameters();
        let corner = |end: f64| vec![end; 4];
        for sample in samples.iter().chain(&[corner(0.0), corner(1.0), corner(0.5)]) {
            let point: Vec<f64> = (0..parameters)
                .map(|i| {
                    let (low, high) = (cell.lower[i], cell.upper[i]);
                    (low + (high - low) * sample[i]).clamp(low, high)
                })
                .collect();
            let steps: Vec<_> = transformation
                .steps()
                .iter()
                .zip(&point)
                .map(|(step, &t)| (step.kind, t))
                .collect();
            let exact = by_definition(&steps, &image, height, width);
            let applied = apply(&transformation, &extents, &image, &point).unwrap();
            let t: Vec<f64> = (0..parameters)
                .map(|i| {
                    let half = (cell.upper[i] - cell.lower[i]) / 2.0;
                    if half > 0.0 { (point[i] - cell.centre()[i]) / half } else { 0.0 }
                })
                .collect();
            for pixel in 0..30 {
                let value = exact[pixel];
                prop_assert!((applied[pixel] - value).abs() <= PLAIN);
                for [low, high] in [&sum, &knapsack, &vertices] {
                    prop_assert!(low[pixel] <= value + PLAIN && value - PLAIN <= high[pixel]);
                }
                let along = |line: &crate::Linear| {
                    let slopes = &line.slope[pixel * parameters..(pixel + 1) * parameters];
                    line.offset[pixel] + slopes.iter().zip(&t).map(|(s, t)| s * t).sum::<f64>()
                };
                prop_assert!(along(lower) <= value + PLAIN, "{} > {value}", along(lower));
                prop_assert!(along(upper) >= value - PLAIN, "{} < {value}", along(upper));
            }
        }
    }
}

/// The lines of a small cell are several times closer to each other than the box is wide: that
/// is what they are for.
#[test]
fn lines_are_closer_than_boxes() {
    let image: Vec<f64> = (0..196)
        .map(|k| f64::from((k / 14) as u8) * f64::from((k % 14) as u8) / 169.0)
        .collect();
    let transformation: Transformation = "rotate=9..11".parse().unwrap();
    let extents = extents(14, 14);
    let transformed = Transformed::new(&transformation, &extents, &image).unwrap();
    let region = transformed.region(&Cell::whole(&transformation)).unwrap();
    let Region::Parametric {
        lower,
        upper,
        pixels,
        ..
    } = &region
    else {
        panic!("a parametric region");
    };
    let mean = |low: &[f64], high: &[f64]| {
        low.iter()
            .zip(high)
            .map(|(low, high)| high - low)
            .sum::<f64>()
            / 196.0
    };
    // At the centre of the cell, which is the mean over it.
    let (between, wide) = (
        mean(&lower.offset, &upper.offset),
        mean(&pixels[0], &pixels[1]),
    );
    assert!(
        between > 0.0 && 4.0 * between < wide,
        "{between} and {wide}"
    );
}

/// Channels are transformed alike, in either layout.
#[test]
fn channels_and_layouts_agree() {
    let transformation: Transformation = "rotate=5..6,contrast=0.9..1.1".parse().unwrap();
    let planes: Vec<f64> = (0..2 * 4 * 3)
        .map(|k| f64::from(k * 29 % 23) / 23.0)
        .collect();
    let last: Vec<f64> = (0..12).flat_map(|k| [planes[k], planes[12 + k]]).collect();
    let first = Extents {
        channels: 2,
        ..extents(4, 3)
    };
    let interleaved = Extents {
        layout: Layout::ChannelsLast,
        ..first
    };
    let cell = Cell::whole(&transformation);
    let bounds = |extents: &Extents, values: &[f64]| {
        let transformed = Transformed::new(&transformation, extents, values).unwrap();
        transformed.pixels(&cell, PixelBox::Vertices).unwrap()
    };
    let [both, mixed] = [bounds(&first, &planes), bounds(&interleaved, &last)];
    let one = bounds(&extents(4, 3), &planes[12..]);
    for k in 0..12 {
        assert_eq!(both[0][12 + k], one[0][k]);
        assert_eq!(mixed[0][2 * k + 1], one[0][k]);
        assert_eq!(mixed[1][2 * k], both[1][k]);
    }
}

#[test]
fn refuses_cells_and_parameters_that_do_not_fit() {
    let transformation: Transformation = "scale=0.9..1.1".parse().unwrap();
    let image = [0.5; 4];
    let extents = extents(2, 2);
    let transformed = Transformed::new(&transformation, &extents, &image).unwrap();
    for (lower, upper) in [
        (vec![0.0], vec![1.0]),
        (vec![1.1], vec![0.9]),
        (vec![f64::NAN], vec![1.0]),
        (vec![1.0, 1.0], vec![1.0, 1.0]),
    ] {
        let cell = Cell { lower, upper };
        assert!(transformed.region(&cell).is_err(), "{cell:?}");
        assert!(
            transformed.pixels(&cell, PixelBox::Sum).is_err(),
            "{cell:?}"
        );
    }
    assert!(apply(&transformation, &extents, &image, &[]).is_err());
    assert!(apply(&transformation, &extents, &image[..3], &[1.0]).is_err());
}
