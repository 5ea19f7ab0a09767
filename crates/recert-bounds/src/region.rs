//! Regions: the sets of inputs that a bound has to hold for.

use recert_num::directed::{add_down, add_up, mul_down, mul_up, sub_down, sub_up};

use crate::error::{Error, Result};

/// A set of inputs of a network, each input a vector in the file's order (`[c, h, w]`
/// flattened, a batch of one).
///
/// All numbers are taken as they are, as exact reals: whoever makes a region of an image and a
/// radius rounds outward ([`Region::linf`], [`Region::l2`]).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Region {
    /// `lower <= x <= upper`, elementwise.
    Box {
        /// The least value of each element.
        lower: Vec<f64>,
        /// The largest value of each element.
        upper: Vec<f64>,
    },
    /// The closed L2 ball around `centre`, cut to a box.
    Ball {
        /// The centre.
        centre: Vec<f64>,
        /// The radius, in the units of the input; at least 0.
        radius: f64,
        /// The least value of each element, minus infinity excluded.
        lower: Vec<f64>,
        /// The largest value of each element.
        upper: Vec<f64>,
    },
    /// Inputs between two functions that are linear in a few parameters, which lie in a box:
    /// `lower(t) <= x <= upper(t)` for some `t`; and all of them in a box of their own.
    Parametric {
        /// The least and the largest value of each parameter.
        parameters: [Vec<f64>; 2],
        /// The lower function.
        lower: Linear,
        /// The upper function.
        upper: Linear,
        /// The least and the largest value of each input element.
        pixels: [Vec<f64>; 2],
    },
}

/// `offset + slope t`: a vector that is linear in the parameters `t`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One number an element.
    pub offset: Vec<f64>,
    /// Row-major, a row an element and a column a parameter.
    pub slope: Vec<f64>,
}

impl Region {
    /// The L-inf ball of radius `epsilon` around an image, cut to `[0, 1]`, rounded outward.
    ///
    /// ```
    /// use recert_bounds::Region;
    ///
    /// let region = Region::linf(&[0.0, 0.5, 1.0], 0.25)?;
    /// let (lower, upper) = region.bounding_box();
    /// assert_eq!(lower, [0.0, 0.25, 0.75]);
    /// assert_eq!(upper, [0.25, 0.75, 1.0]);
    /// # Ok::<(), recert_bounds::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where `epsilon` is negative or not finite, or a pixel is
    /// not in `[0, 1]`.
    pub fn linf(image: &[f64], epsilon: f64) -> Result<Self> {
        let [lower, upper] = cut_box(image, epsilon)?;
        Ok(Self::Box { lower, upper })
    }

    /// The L2 ball of radius `epsilon` around an image, cut to `[0, 1]`.
    ///
    /// # Errors
    ///
    /// As [`Region::linf`].
    pub fn l2(image: &[f64], epsilon: f64) -> Result<Self> {
        let [lower, upper] = cut_box(image, epsilon)?;
        Ok(Self::Ball {
            centre: image.to_vec(),
            radius: epsilon,
            lower,
            upper,
        })
    }

    /// The smallest stated box around the region: its least and largest values.
    pub fn bounding_box(&self) -> (&[f64], &[f64]) {
        match self {
            Self::Box { lower, upper } | Self::Ball { lower, upper, .. } => (lower, upper),
            Self::Parametric { pixels, .. } => (&pixels[0], &pixels[1]),
        }
    }

    /// The number of input elements.
    pub fn len(&self) -> usize {
        self.bounding_box().0.len()
    }

    /// Whether inputs have no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that the region is one of inputs of `inputs` elements: lengths agree, all numbers
    /// are finite, no lower bound is above its upper bound.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] with the element at fault.
    pub fn check(&self, inputs: usize) -> Result<()> {
        let (lower, upper) = self.bounding_box();
        checked_box("input", lower, upper, inputs)?;
        match self {
            Self::Box { .. } => Ok(()),
            Self::Ball { centre, radius, .. } => {
                checked_length("the centre of the ball", centre, inputs)?;
                if !(radius.is_finite() && *radius >= 0.0) {
                    return Err(Error::argument(format!(
                        "the radius of a ball must be finite and not negative, not {radius}"
                    )));
                }
                Ok(())
            }
            Self::Parametric {
                parameters,
                lower,
                upper,
                ..
            } => {
                let [least, largest] = parameters;
                checked_box("parameter", least, largest, least.len())?;
                for (name, linear) in [("lower", lower), ("upper", upper)] {
                    let name = format!("the {name} linear function");
                    checked_length(&name, &linear.offset, inputs)?;
                    checked_length(&name, &linear.slope, inputs.saturating_mul(least.len()))?;
                }
                Ok(())
            }
        }
    }

    /// Whether a point lies in the box of the region and, for a ball, surely inside it: a
    /// point for which the distance cannot be decided in f64 is none.
    pub fn contains(&self, x: &[f64]) -> bool {
        let (lower, upper) = self.bounding_box();
        let inside = x.len() == lower.len()
            && x.iter()
                .zip(lower.iter().zip(upper))
                .all(|(x, (l, u))| l <= x && x <= u);
        match self {
            Self::Ball { centre, radius, .. } => {
                let square = x.iter().zip(centre).fold(0.0, |sum, (x, c)| {
                    let far = sub_up(x.max(*c), x.min(*c));
                    add_up(sum, mul_up(far, far))
                });
                inside && square <= mul_down(*radius, *radius)
            }
            Self::Box { .. } => inside,
            // Whether some parameter fits is a linear program, which nothing here needs.
            Self::Parametric { .. } => false,
        }
    }

    /// A point of the region near `x`, if that can be told: for a box the nearest one, for a ball
    /// one towards its centre; for pixels linear in parameters none.
    pub(crate) fn point_near(&self, x: &[f64]) -> Option<Vec<f64>> {
        let (lower, upper) = self.bounding_box();
        let clamped = |x: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
            let ends = lower.iter().zip(upper);
            x.zip(ends).map(|(x, (&l, &u))| x.clamp(l, u)).collect()
        };
        let mut point = clamped(&mut x.iter().copied());
        if let Self::Ball { centre, radius, .. } = self {
            let differences = point.iter().zip(centre).map(|(x, c)| (x - c) * (x - c));
            let norm = differences.sum::<f64>().sqrt();
            if norm > radius * (1.0 - 1e-9) {
                let factor = radius / norm * (1.0 - 1e-9);
                let mut moved = point.iter().zip(centre).map(|(x, c)| c + (x - c) * factor);
                point = clamped(&mut moved);
            }
        }
        self.contains(&point).then_some(point)
    }
}

/// `[image - epsilon, image + epsilon]`, rounded outward and cut to `[0, 1]`.
fn cut_box(image: &[f64], epsilon: f64) -> Result<[Vec<f64>; 2]> {
    if !(epsilon.is_finite() && epsilon >= 0.0) {
        return Err(Error::argument(format!(
            "the radius must be finite and not negative, not {epsilon}"
        )));
    }
    if let Some(position) = image.iter().position(|x| !(0.0..=1.0).contains(x)) {
        return Err(Error::argument(format!(
            "pixel {position} is {}, not in [0, 1]",
            image[position]
        )));
    }
    let lower = image.iter().map(|&x| sub_down(x, epsilon).max(0.0));
    let upper = image.iter().map(|&x| add_up(x, epsilon).min(1.0));
    Ok([lower.collect(), upper.collect()])
}

fn checked_length(name: &str, values: &[f64], length: usize) -> Result<()> {
    if values.len() != length {
        return Err(Error::argument(format!(
            "{name} has {} numbers, where the network takes {length}",
            values.len()
        )));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(Error::argument(format!(
            "number {position} of {name} is {}",
            values[position]
        ))),
        None => Ok(()),
    }
}

fn checked_box(name: &str, lower: &[f64], upper: &[f64], length: usize) -> Result<()> {
    checked_length(&format!("the lower bound of the {name}s"), lower, length)?;
    checked_length(&format!("the upper bound of the {name}s"), upper, length)?;
    match lower.iter().zip(upper).position(|(l, u)| l > u) {
        Some(position) => Err(Error::argument(format!(
            "{name} {position} has the lower bound {} above its upper bound {}",
            lower[position], upper[position]
        ))),
        None => Ok(()),
    }
}

/// The least value of `offset + slope t` over a box of parameters, rounded down.
pub(crate) fn least(offset: f64, slope: &[f64], parameters: &[Vec<f64>; 2]) -> f64 {
    let corners = parameters[0].iter().zip(&parameters[1]);
    slope
        .iter()
        .zip(corners)
        .fold(offset, |sum, (&s, (&l, &u))| {
            add_down(sum, mul_down(s, if s >= 0.0 { l } else { u }))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn balls_are_cut_and_rounded_outward() {
        let region = Region::linf(&[0.1, 0.95], 0.1).unwrap();
        let (lower, upper) = region.bounding_box();
        assert_eq!(lower[0], 0.0);
        // 0.1 + 0.1 is exact; 0.95 - 0.1 is not, and 0.95 + 0.1 is cut.
        assert_eq!(upper, [0.2, 1.0]);
        assert!(lower[1] <= 0.95 - 0.1);
        region.check(2).unwrap();
        assert!(region.contains(&[0.0, 1.0]) && !region.contains(&[0.0, 1.1]));

        let ball = Region::l2(&[0.5, 0.5], 0.25).unwrap();
        ball.check(2).unwrap();
        assert!(ball.contains(&[0.75, 0.5]) && !ball.contains(&[0.7, 0.7]));
    }

    #[test]
    fn malformed_regions_are_refused() {
        let parametric = |pixels: [Vec<f64>; 2], slope: Vec<f64>| {
            let linear = Linear {
                offset: vec![0.0; 2],
                slope,
            };
            Region::Parametric {
                parameters: [vec![0.0], vec![1.0]],
                lower: linear.clone(),
                upper: linear,
                pixels,
            }
        };
        let unit = || [vec![0.0; 2], vec![1.0; 2]];
        assert!(parametric(unit(), vec![0.5; 2]).check(2).is_ok());
        let bad = [
            Region::linf(&[0.5], -1.0),
            Region::linf(&[0.5], f64::NAN),
            Region::linf(&[1.5], 0.1),
            Region::l2(&[f64::NAN], 0.1),
        ];
        for region in bad {
            assert_eq!(region.unwrap_err().kind(), ErrorKind::Argument);
        }
        let bad = [
            Region::Box {
                lower: vec![1.0, 0.0],
                upper: vec![0.0, 1.0],
            },
            Region::Box {
                lower: vec![0.0],
                upper: vec![1.0],
            },
            Region::Box {
                lower: vec![f64::NAN, 0.0],
                upper: vec![0.0, 1.0],
            },
            parametric(unit(), vec![0.5; 3]),
            parametric([vec![0.0; 2], vec![f64::INFINITY; 2]], vec![0.5; 2]),
        ];
        for region in bad {
            assert_eq!(region.check(2).unwrap_err().kind(), ErrorKind::Argument);
        }
    }

    #[test]
    fn linear_functions_have_their_least_value_at_a_corner() {
        let parameters = [vec![-1.0, 0.0], vec![1.0, 2.0]];
        assert_eq!(least(0.5, &[2.0, -1.0], &parameters), -3.5);
    }
}
