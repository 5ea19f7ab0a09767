//! Whether a result is the one that is stored.

use recert_graph::{Data, ElementType, Tensor};

/// How far a float may be from the stored one, in units of its type's last
/// place at the greatest magnitude in the tensor. ONNX's own runner allows a
/// relative 1e-3; stored values were computed in float32 by numpy, and are not
/// correctly rounded themselves.
const UNITS: f64 = 4.0;

/// Cases whose stored values are rounded to this many digits after the point.
const ROUNDED: [(&str, i32); 1] = [("test_averagepool_2d_ceil_last_window_starts_on_pad", 4)];

/// Compares type, shape and elements: integers exactly, floats within
/// [`UNITS`], NaN and infinities exactly.
pub(crate) fn compare(case: &str, output: &Tensor, expected: &Tensor) -> Result<(), String> {
    let (element, stored) = (output.element(), expected.element());
    if element != stored || output.shape() != expected.shape() {
        return Err(format!(
            "{element} of shape {:?}, where {stored} of shape {:?} is stored",
            output.shape(),
            expected.shape()
        ));
    }
    let unit = match element {
        ElementType::Float64 => 2f64.powi(-52),
        ElementType::Float32 => 2f64.powi(-23),
        ElementType::Float16 => 2f64.powi(-10),
        ElementType::BFloat16 => 2f64.powi(-7),
        _ if output == expected => return Ok(()),
        _ => return Err(format!("{output:?}, where {expected:?} is stored")),
    };
    let (output, expected) = (floats(output), floats(expected));
    let finite = expected.iter().filter(|v| v.is_finite());
    let greatest = finite.fold(0.0_f64, |greatest, v| greatest.max(v.abs()));
    let rounded = ROUNDED.iter().find(|(name, _)| case.ends_with(name));
    let bound = match rounded {
        Some((_, digits)) => 10f64.powi(-digits),
        None => UNITS * unit * greatest,
    };
    for (place, (&value, &stored)) in output.iter().zip(&expected).enumerate() {
        let same = value == stored || (value.is_nan() && stored.is_nan());
        // No number is within a bound of NaN.
        let near = (value - stored).abs() <= bound;
        if !same && !near {
            let units = (value - stored).abs() / (unit * greatest);
            return Err(format!(
                "{value} at {place}, where {stored} is stored, {units:.1} units away"
            ));
        }
    }
    Ok(())
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    if let Data::Float64(values) = tensor.data() {
        return values.clone();
    }
    let values = tensor.to_f32().unwrap_or_default();
    values.into_iter().map(f64::from).collect()
}
