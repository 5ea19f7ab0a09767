//! Ranges of all values of transformed images, forward: every element as a function linear in the
//! parameters, and how far it may be from that.
//!
//! An element is `c + g . q + e` with `|e| <= r`, for parameters `|q_i| <= h_i`. Layers rewrite these
//! forms; what rounds is charged to r. A curve between lines of one slope keeps the form, another
//! one becomes a constant in its range.

use recert_num::directed::{add_up, mul_up, sub_down, sub_up};

use crate::curve::Curve;
use crate::network::{Linear, Network, Step};
use crate::ranges::Ranges;
use crate::region::Region;
use crate::row::{OutOfWork, TINY, Work, gamma};
use crate::transform::Lines;

/// The forms of a value's elements.
#[derive(Debug, Clone)]
struct Forms {
    centre: Vec<f64>,
    /// By the parameter, then the element.
    slopes: Vec<Vec<f64>>,
    radius: Vec<f64>,
}

impl Forms {
    fn zeros(parameters: usize, length: usize) -> Self {
        Self {
            centre: vec![0.0; length],
            slopes: vec![vec![0.0; length]; parameters],
            radius: vec![0.0; length],
        }
    }

    /// How far an element is from its centre by the parameters, rounded up.
    fn spread(&self, element: usize, half: &[f64]) -> f64 {
        let slopes = self.slopes.iter().zip(half);
        slopes.fold(0.0, |sum, (slopes, &half)| {
            add_up(sum, mul_up(slopes[element].abs(), half))
        })
    }

    fn range(&self, element: usize, half: &[f64]) -> [f64; 2] {
        let around = add_up(self.spread(element, half), self.radius[element]);
        let centre = self.centre[element];
        [sub_down(centre, around), add_up(centre, around)]
    }

    /// The element as a constant in a range.
    fn set_constant(&mut self, element: usize, [low, high]: [f64; 2]) {
        let centre = low.midpoint(high);
        self.centre[element] = centre;
        self.radius[element] = sub_up(centre, low).max(sub_up(high, centre));
    }
}

/// Ranges of all values on a region of transformed images.
pub(crate) fn ranges(
    network: &Network,
    region: &Region,
    lines: &Lines,
    work: &mut Work,
) -> Result<Ranges, OutOfWork> {
    let half = &lines.half;
    let mut forms = vec![pixels(region, lines)];
    let mut ranges = Ranges {
        lower: vec![region.lower.clone()],
        upper: vec![region.upper.clone()],
    };
    for step in &network.steps {
        let (mut lower, mut upper) = ranges.through(step);
        let made = match step {
            Step::Linear(linear) => through(linear, &forms, &ranges, lower.len(), half, work)?,
            Step::Curve { input, curve } => {
                let ends = (&ranges.lower[*input][..], &ranges.upper[*input][..]);
                bent(*curve, &forms[*input], ends, half)
            }
            Step::Max { .. } => {
                let mut made = Forms::zeros(half.len(), lower.len());
                for (element, (&l, &u)) in lower.iter().zip(&upper).enumerate() {
                    made.set_constant(element, [l, u]);
                }
                made
            }
        };
        for (element, (l, u)) in lower.iter_mut().zip(&mut upper).enumerate() {
            let [low, high] = made.range(element, half);
            // A NaN says nothing.
            *l = l.max(low);
            *u = u.min(high);
        }
        forms.push(made);
        ranges.lower.push(lower);
        ranges.upper.push(upper);
    }
    Ok(ranges)
}

/// Pixels between their lines: in the middle of both, and as far as the lines go from there.
fn pixels(region: &Region, lines: &Lines) -> Forms {
    let (count, length) = (lines.parameters(), region.lower.len());
    let mut forms = Forms::zeros(count, length);
    let [below, above] = &lines.offsets;
    for pixel in 0..length {
        let centre = below[pixel].midpoint(above[pixel]);
        let mut to_below = sub_up(centre, below[pixel]);
        let mut to_above = sub_up(above[pixel], centre);
        for (index, &half) in lines.half.iter().enumerate() {
            let [low, high] = [0, 1].map(|side| lines.slopes[side][pixel * count + index]);
            let slope = low.midpoint(high);
            forms.slopes[index][pixel] = slope;
            let apart = |line: f64| mul_up(sub_up(slope, line).max(sub_up(line, slope)), half);
            to_below = add_up(to_below, apart(low));
            to_above = add_up(to_above, apart(high));
        }
        forms.centre[pixel] = centre;
        forms.radius[pixel] = to_below.max(to_above).max(0.0);
    }
    forms
}

fn through(
    linear: &Linear,
    forms: &[Forms],
    ranges: &Ranges,
    length: usize,
    half: &[f64],
    work: &mut Work,
) -> Result<Forms, OutOfWork> {
    let mut made = Forms::zeros(half.len(), length);
    // Sums of as many products as an output has, of weights that may be a little off.
    let part = gamma(linear.width) + linear.relative;
    for output in 0..length {
        let (mut centre, mut radius, mut size) = (0.0, 0.0, 0.0);
        let mut slopes = [0.0; crate::transform::MOST_STEPS];
        let terms = linear.each(output, |input, element, weight| {
            let value = linear.inputs[input];
            let form = &forms[value];
            centre += weight * form.centre[element];
            radius += weight.abs() * form.radius[element];
            for (sum, of) in slopes.iter_mut().zip(&form.slopes) {
                *sum += weight * of[element];
            }
            let spread = form.spread(element, half) + form.radius[element];
            let largest = ranges.size(value, element).max(form.centre[element].abs());
            size += weight.abs() * (largest + 2.0 * spread);
        });
        work.take(terms * (half.len() + 3) + 1)?;
        let [low, high] = linear.bias.get(output).copied().unwrap_or_default();
        let bias = low.midpoint(high);
        made.centre[output] = centre + bias;
        // The last sum rounds by half an epsilon of itself.
        let rounded = mul_up((centre + bias).abs(), f64::EPSILON);
        let of_bias = sub_up(high, bias).max(sub_up(bias, low));
        let charge = add_up(mul_up(size, 2.0 * part), TINY);
        let charge = add_up(charge, add_up(rounded, of_bias));
        made.radius[output] = add_up(mul_up(radius, 1.0 + part), charge);
        for (into, slope) in made.slopes.iter_mut().zip(slopes) {
            into[output] = slope;
        }
    }
    Ok(made)
}

fn bent(curve: Curve, forms: &Forms, (lower, upper): (&[f64], &[f64]), half: &[f64]) -> Forms {
    let mut made = Forms::zeros(half.len(), forms.centre.len());
    for element in 0..forms.centre.len() {
        let (l, u) = (lower[element], upper[element]);
        let above = curve.above(l, u);
        let below = curve.below(l, u, Some(above.slope));
        let slope = above.slope;
        let gap = sub_up(above.offset, below.offset);
        let [low, high] = curve.range(l, u);
        // Lines of one slope keep the form, with the gap between them; a constant loses it.
        if !(slope == below.slope && gap <= sub_up(high, low)) {
            made.set_constant(element, [low, high]);
            continue;
        }
        let middle = below.offset.midpoint(above.offset);
        let centre = slope * forms.centre[element] + middle;
        made.centre[element] = centre;
        let mut radius = mul_up(slope.abs(), forms.radius[element]);
        // The product and the sum round by half an epsilon each, and so does each slope.
        let size = add_up(
            mul_up(slope.abs(), forms.centre[element].abs()),
            middle.abs(),
        );
        radius = add_up(radius, mul_up(size, 2.0 * f64::EPSILON));
        for (index, &half) in half.iter().enumerate() {
            let product = slope * forms.slopes[index][element];
            made.slopes[index][element] = product;
            let rounded = mul_up(add_up(product.abs(), TINY), f64::EPSILON);
            radius = add_up(radius, mul_up(rounded, half));
        }
        let to_lines = sub_up(above.offset, middle).max(sub_up(middle, below.offset));
        made.radius[element] = add_up(add_up(radius, to_lines.max(0.0)), TINY);
    }
    made
}
