//! Changes of resolution: `Upsample`, and `Resize` in all its forms.

use recert_graph::stored;

use super::layers::MOST;
use crate::sketch::{Sketch, Style, float, float_list, int, text};

/// A change of resolution.
#[expect(clippy::too_many_lines, reason = "a list of what files may state")]
pub fn any(sketch: &mut Sketch<'_>) -> bool {
    let [channels, height, width] = sketch.now.dims[..] else {
        return false;
    };
    let mut factors =
        sketch
            .draw
            .pick(&[[2.0, 2.0], [2.0, 2.0], [1.5, 1.5], [0.5, 0.5], [3.0, 3.0]]);
    if sketch.draw.percent(10) {
        factors[1] = 1.0;
    }
    let size = |extent: usize, factor: f32| (extent as f32 * factor).floor() as usize;
    let made = vec![channels, size(height, factors[0]), size(width, factors[1])];
    if made.contains(&0) || made.iter().product::<usize>() > MOST {
        return false;
    }
    let scales = [1.0, 1.0, factors[0], factors[1]];
    let mode = sketch.draw.pick(&["nearest", "nearest", "linear", "cubic"]);
    if sketch.opset < 11 {
        if factors[0] < 1.0 && sketch.opset < 10 || mode == "cubic" {
            return false;
        }
        let mode = text("mode", mode);
        if sketch.opset < 9 {
            let attributes = vec![mode, float_list("scales", &scales)];
            sketch.then("Upsample", &[], attributes, made);
        } else {
            let op = if sketch.opset < 10 {
                "Upsample"
            } else {
                "Resize"
            };
            let scales = sketch.floats(&[4], &scales);
            sketch.then(op, &[&scales], vec![mode], made);
        }
        return true;
    }
    let coordinates = match sketch.style {
        Style::Torch | Style::Dynamo if mode == "nearest" => "asymmetric",
        Style::Torch | Style::Dynamo => {
            sketch
                .draw
                .pick(&["pytorch_half_pixel", "align_corners", "half_pixel"])
        }
        _ => sketch.draw.pick(&[
            "half_pixel",
            "asymmetric",
            "align_corners",
            "half_pixel_symmetric",
        ]),
    };
    let coordinates = if coordinates == "half_pixel_symmetric" && sketch.opset < 19 {
        "half_pixel"
    } else {
        coordinates
    };
    let mut attributes = vec![text("mode", mode)];
    if coordinates != "half_pixel" || !sketch.omits() {
        attributes.push(text("coordinate_transformation_mode", coordinates));
    }
    if mode == "nearest" {
        let nearest = match sketch.style {
            Style::Torch | Style::Dynamo => "floor",
            _ => sketch
                .draw
                .pick(&["round_prefer_floor", "floor", "round_prefer_ceil", "ceil"]),
        };
        if nearest != "round_prefer_floor" || !sketch.omits() {
            attributes.push(text("nearest_mode", nearest));
        }
    }
    if mode == "cubic" {
        attributes.push(float("cubic_coeff_a", -0.75));
        if sketch.draw.percent(10) {
            attributes.push(int("exclude_outside", 1));
        }
    }
    if mode != "nearest" && sketch.opset >= 18 && sketch.draw.percent(8) {
        attributes.push(int("antialias", 1));
    }
    let roi = if sketch.draw.percent(50) {
        String::new()
    } else {
        sketch.floats(&[0], &[])
    };
    if sketch.batch > 0 && sketch.draw.percent(40) {
        let list = [sketch.batch]
            .into_iter()
            .chain(made.iter().map(|&extent| extent as i64))
            .collect::<Vec<_>>();
        let sizes = sketch.list(&list);
        let scales = if sketch.opset < 13 && sketch.draw.percent(60) {
            sketch.initializer(stored::from_f32("", &[0], &[]))
        } else {
            String::new()
        };
        sketch.then("Resize", &[&roi, &scales, &sizes], attributes, made);
        return true;
    }
    let scales = sketch.floats(&[4], &scales);
    sketch.then("Resize", &[&roi, &scales], attributes, made);
    true
}
