//! The end of a backward pass: the least value of a linear function on a region.

mod ball;

use recert_num::directed::{add_down, sub_down};

use self::ball::Cut;
use crate::region::{Linear, Region, least};
use crate::relaxation::size;
use crate::rounding::{INFLATE, TINY, abs_dot, dot, gamma, signed_dot};

/// A region with what is charged for rounding, a unit of coefficient.
#[derive(Debug, Clone)]
pub(crate) struct Ground<'r> {
    pub(crate) region: &'r Region,
    slack: Vec<f64>,
    /// Above all that underflow takes from a row.
    floor: f64,
}

/// A linear function that was carried to the input: `coefficients x + constant`, less the charge
/// for what was rounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried<'a> {
    pub(crate) coefficients: &'a [f64],
    pub(crate) constant: f64,
    pub(crate) charge: f64,
}

impl<'r> Ground<'r> {
    pub(crate) fn new(region: &'r Region) -> Self {
        let (lower, upper) = region.bounding_box();
        let terms = gamma(lower.len() + 16);
        let mut slack = size(lower, upper);
        match region {
            Region::Box { .. } => {}
            Region::Ball { centre, .. } => {
                // The centre need not lie in the box.
                for (slack, centre) in slack.iter_mut().zip(centre) {
                    *slack = slack.max(centre.abs());
                }
            }
            Region::Parametric {
                parameters,
                lower,
                upper,
                ..
            } => {
                let most = size(&parameters[0], &parameters[1]);
                for (i, slack) in slack.iter_mut().enumerate() {
                    for Linear { offset, slope } in [lower, upper] {
                        let slopes = &slope[i * most.len()..(i + 1) * most.len()];
                        let reach = offset[i].abs() + abs_dot(slopes, &most);
                        *slack = slack.max(reach * INFLATE);
                    }
                }
            }
        }
        let floor = TINY * 16.0 * slack.len() as f64 * (1.0 + slack.iter().sum::<f64>());
        for slack in &mut slack {
            *slack = *slack * terms * INFLATE + TINY;
        }
        Self {
            region,
            slack,
            floor,
        }
    }

    /// The ball and its box, where the region is one.
    fn cut(&self) -> Option<Cut<'r>> {
        match self.region {
            Region::Ball {
                centre,
                radius,
                lower,
                upper,
            } => Some(Cut {
                centre,
                radius: *radius,
                lower,
                upper,
            }),
            _ => None,
        }
    }

    /// A lower bound of the function on the region, minus infinity where anything is not finite.
    pub(crate) fn least(&self, carried: Carried<'_>) -> f64 {
        let a = carried.coefficients;
        let charge = (carried.charge + abs_dot(a, &self.slack) + self.floor) * INFLATE * INFLATE;
        let (lower, upper) = self.region.bounding_box();
        let in_box = signed_dot(a, lower, upper);
        let of_region = match self.region {
            Region::Box { .. } => in_box,
            Region::Ball { .. } => match self.cut().and_then(|cut| Some((cut, cut.multiplier(a)?)))
            {
                Some((cut, multiplier)) => in_box.max(cut.least(a, multiplier)),
                None => in_box,
            },
            Region::Parametric {
                parameters,
                lower,
                upper,
                ..
            } => {
                let (offset, slope) = in_parameters(a, lower, upper, parameters[0].len());
                in_box.max(least(offset, &slope, parameters))
            }
        };
        let bound = sub_down(add_down(carried.constant, of_region), charge);
        // NaN in the coefficients must not be lost to `max`.
        let known = bound.is_finite() && in_box.is_finite() && of_region.is_finite();
        if known { bound } else { f64::NEG_INFINITY }
    }

    /// About where the least value lies, for a search that starts from it.
    pub(crate) fn minimizer(&self, a: &[f64]) -> Vec<f64> {
        let (lower, upper) = self.region.bounding_box();
        let corner = |a: f64, l: f64, u: f64| if a >= 0.0 { l } else { u };
        match self.region {
            Region::Ball { .. } => {
                if let Some((cut, multiplier)) =
                    self.cut().and_then(|cut| Some((cut, cut.multiplier(a)?)))
                {
                    return cut.minimizer(a, multiplier);
                }
            }
            Region::Parametric {
                parameters,
                lower: below,
                upper: above,
                ..
            } => {
                let (offset, slope) = in_parameters(a, below, above, parameters[0].len());
                if least(offset, &slope, parameters) >= signed_dot(a, lower, upper) {
                    let corners = slope.iter().zip(parameters[0].iter().zip(&parameters[1]));
                    let t: Vec<f64> = corners.map(|(&s, (&l, &u))| corner(s, l, u)).collect();
                    let point = a.iter().enumerate().map(|(i, &a)| {
                        let Linear { offset, slope } = if a >= 0.0 { below } else { above };
                        offset[i] + dot(&slope[i * t.len()..(i + 1) * t.len()], &t)
                    });
                    return point.collect();
                }
            }
            Region::Box { .. } => {}
        }
        let corners = a.iter().zip(lower.iter().zip(upper));
        corners.map(|(&a, (&l, &u))| corner(a, l, u)).collect()
    }
}

/// A function of the input as one of the parameters below it, `(offset, slope)`.
pub(crate) fn in_parameters(
    a: &[f64],
    lower: &Linear,
    upper: &Linear,
    parameters: usize,
) -> (f64, Vec<f64>) {
    let mut offset = 0.0;
    let mut slope = vec![0.0; parameters];
    for (i, &a) in a.iter().enumerate() {
        let linear = if a >= 0.0 { lower } else { upper };
        offset += a * linear.offset[i];
        let slopes = &linear.slope[i * parameters..(i + 1) * parameters];
        for (slope, s) in slope.iter_mut().zip(slopes) {
            *slope += a * s;
        }
    }
    (offset, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(coefficients: &[f64]) -> Carried<'_> {
        Carried {
            coefficients,
            constant: 1.0,
            charge: 0.0,
        }
    }

    #[test]
    fn least_values_are_below_and_close() {
        let a = [3.0, -4.0];
        let square = Region::Box {
            lower: vec![-1.0; 2],
            upper: vec![1.0; 2],
        };
        let ball = Region::Ball {
            centre: vec![0.0; 2],
            radius: 1.0,
            lower: vec![-1.0; 2],
            upper: vec![1.0; 2],
        };
        // Both elements are the parameter itself.
        let diagonal = Region::Parametric {
            parameters: [vec![-1.0], vec![1.0]],
            lower: Linear {
                offset: vec![0.0; 2],
                slope: vec![1.0; 2],
            },
            upper: Linear {
                offset: vec![0.0; 2],
                slope: vec![1.0; 2],
            },
            pixels: [vec![-1.0; 2], vec![1.0; 2]],
        };
        for (region, want) in [(square, -6.0), (ball, -4.0), (diagonal, 0.0)] {
            let ground = Ground::new(&region);
            let least = ground.least(carried(&a));
            assert!(least <= want && least > want - 1e-12, "{region:?}: {least}");
            let x = ground.minimizer(&a);
            assert!((dot(&a, &x) + 1.0 - want).abs() < 1e-12);
            assert_eq!(ground.least(carried(&[f64::NAN, 0.0])), f64::NEG_INFINITY);
            assert_eq!(
                ground.least(carried(&[f64::INFINITY, 0.0])),
                f64::NEG_INFINITY
            );
        }
    }
}
