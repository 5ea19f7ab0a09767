//! Ranges and lines of pixels against the transformed images of the prover's definition.

use proptest::prelude::*;
use recert_bounds::geometric::{Extents, Layout, Transformation as Definition, apply};

use super::*;

const SHAPE: [usize; 3] = [2, 4, 5];

const EXTENTS: Extents = Extents {
    channels: 2,
    height: 4,
    width: 5,
    layout: Layout::ChannelsFirst,
};

/// Steps, with the least value and the width of each parameter.
fn steps() -> impl Strategy<Value = (String, Vec<[f64; 2]>)> {
    let one = |name: &'static str, low: std::ops::Range<f64>, most: f64| {
        (Just(name), low, 0.0..most).prop_map(|(name, low, width)| (name, [low, low + width]))
    };
    let moving = prop_oneof![
        one("rotate", -200.0..200.0, 10.0),
        one("translate-x", -3.0..3.0, 0.6),
        one("translate-y", -3.0..3.0, 0.6),
        one("scale", 0.5..1.5, 0.3),
        one("shear", -0.5..0.5, 0.2),
    ];
    let changing = prop_oneof![
        one("contrast", 0.2..1.6, 0.3),
        one("brightness", -0.5..0.3, 0.2),
    ];
    let moving = prop::collection::vec(moving, 1..4);
    let changing = prop::collection::vec(changing, 0..3);
    (moving, changing).prop_map(|(moving, changing)| {
        let all = moving.into_iter().chain(changing);
        let texts = all
            .clone()
            .map(|(name, [low, high])| format!("{name}={low}..{high}"));
        let text = texts.collect::<Vec<_>>().join(",");
        (text, all.map(|(_, ends)| ends).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn ranges_and_lines_enclose_every_image(
        (text, ends) in steps(),
        pixels in prop::collection::vec(0.0..=1.0_f32, 40),
        points in prop::collection::vec(prop::collection::vec(0.0..=1.0_f64, 6), 8),
    ) {
        let definition: Definition = text.parse().unwrap();
        let transformation = Transformation::parse(&text).unwrap();
        let original = Original::new(&transformation, &pixels, SHAPE).unwrap();
        let region = original.region(&ends).unwrap();
        let lines = region.lines.as_ref().unwrap();
        let (lower, upper) = region.ends();
        let values: Vec<f64> = pixels.iter().map(|&pixel| pixel.into()).collect();
        for (number, point) in points.iter().enumerate() {
            // The first ones are corners.
            let share = |s: f64| if number < 2 { s.round() } else { s };
            let at: Vec<f64> = ends.iter().zip(point)
                .map(|([low, high], &s)| (low + (high - low) * share(s)).clamp(*low, *high))
                .collect();
            let image = apply(&definition, &EXTENTS, &values, &at).unwrap();
            let again = original.at(&at);
            let middle = lines.middle();
            for (pixel, &value) in image.iter().enumerate() {
                // Both are rounded to nearest, which is all that is allowed for.
                prop_assert!((again[pixel] - value).abs() < 1e-9, "{} {}", again[pixel], value);
                prop_assert!(lower[pixel] <= value + 1e-12 && value - 1e-12 <= upper[pixel]);
                let count = ends.len();
                for side in 0..2 {
                    let slopes = &lines.slopes[side][pixel * count..(pixel + 1) * count];
                    let moved = slopes.iter().zip(at.iter().zip(&middle));
                    let line = moved.fold(lines.offsets[side][pixel], |sum, (slope, (p, m))| {
                        sum + slope * (p - m)
                    });
                    let beyond = if side == 0 { line - value } else { value - line };
                    prop_assert!(beyond <= 1e-11, "side {side} of pixel {pixel}: {beyond}");
                }
            }
            // A row is no less than its bound.
            let row: Vec<f64> = (0..image.len())
                .map(|i| f64::from((i * 7 % 5) as u8) - 2.0)
                .collect();
            let exact: f64 = row.iter().zip(&image).map(|(a, x)| a * x).sum();
            prop_assert!(region.least(&row) <= exact + 1e-9);
        }
    }
}

#[test]
fn lines_are_narrow_where_little_moves() {
    let transformation = Transformation::parse("rotate=10..10.5").unwrap();
    let pixels: Vec<f32> = (0..40).map(|i| (i * 7 % 13) as f32 / 12.0).collect();
    let original = Original::new(&transformation, &pixels, SHAPE).unwrap();
    let region = original.region(&[[10.0, 10.5]]).unwrap();
    let lines = region.lines.as_ref().unwrap();
    let (lower, upper) = region.ends();
    let width: f64 = lower.iter().zip(upper).map(|(l, u)| u - l).sum();
    let gaps = lines.offsets[0].iter().zip(&lines.offsets[1]);
    let gap: f64 = gaps.map(|(below, above)| above - below).sum();
    // Half a degree moves a corner by 0.03 pixels.
    assert!(width < 40.0 * 0.05, "{width}");
    assert!(gap < width / 4.0, "{gap} {width}");
}

#[test]
fn what_is_no_transformation_or_image_is_none() {
    for text in [
        "",
        "rotate",
        "rotate=5..1",
        "rotate=-400..0",
        "scale=0..1",
        "turn=1..2",
        "brightness=0..0.1,shear=0..1",
        "rotate=nan..1",
    ] {
        assert!(Transformation::parse(text).is_none(), "{text}");
    }
    let transformation = Transformation::parse("rotate=0..1").unwrap();
    let original = |pixels: &[f32], shape| Original::new(&transformation, pixels, shape).is_some();
    assert!(original(&[0.5, 1.0], [1, 1, 2]));
    assert!(!original(&[0.5, 1.0], [1, 1, 3]) && !original(&[], [1, 0, 0]));
    assert!(!original(&[0.5, 1.5], [1, 1, 2]) && !original(&[0.5, f32::NAN], [1, 1, 2]));
    let one = Original::new(&transformation, &[0.5], [1, 1, 1]).unwrap();
    assert!(one.region(&[[0.0, 1.0], [0.0, 1.0]]).is_none() && one.region(&[[1.0, 0.0]]).is_none());
}
