//! Spending a budget over the inputs where it gains most.
//!
//! Each input's expected radius, as a function of its evaluations, is replaced by its least
//! concave majorant. The steps of all inputs are then taken in the order of their slopes, the
//! steepest first, which maximizes the sum of the majorants.

use super::{Curve, Design};

/// A design for each input, with its expected outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// The design of each input.
    pub designs: Vec<Design>,
    /// The sum of the expected radii, in units of sigma.
    pub radius: f64,
    /// The sum of the evaluations.
    pub evaluations: u64,
    /// The slope of the first step that was not taken, in units of sigma an evaluation: what
    /// another evaluation would gain. 0 if every step was taken.
    pub price: f64,
}

/// Spends at most `budget` evaluations.
///
/// ```
/// use recert_smooth::budget::{Curve, Design, Point, allocate};
///
/// let point = |cost, radius| Point {
///     cost,
///     radius,
///     design: Design::Loss { pairs: cost },
///     tilt: 0.0,
/// };
/// let curves = [
///     Curve::new([point(10, 0.5), point(100, 0.6)]),
///     Curve::new([point(50, 0.4)]),
/// ];
/// let allocation = allocate(&curves, 60);
/// let pairs = [10, 50].map(|pairs| Design::Loss { pairs });
/// assert_eq!((allocation.designs, allocation.evaluations), (pairs.to_vec(), 60));
/// ```
pub fn allocate(curves: &[Curve], budget: u64) -> Allocation {
    take(curves, |evaluations, _| evaluations <= budget)
}

/// Spends until the expected radii sum to `radius` (in units of sigma), or until no more can
/// be gained.
///
/// ```
/// use recert_smooth::budget::{Curve, Design, Point, allocate_to_reach};
///
/// let point = |cost, radius| Point {
///     cost,
///     radius,
///     design: Design::Loss { pairs: cost },
///     tilt: 0.0,
/// };
/// let curves = [Curve::new([point(10, 0.5), point(100, 0.6)])];
/// assert_eq!(allocate_to_reach(&curves, 0.5).evaluations, 10);
/// assert_eq!(allocate_to_reach(&curves, 9.0).evaluations, 100);
/// ```
pub fn allocate_to_reach(curves: &[Curve], radius: f64) -> Allocation {
    let mut reached = 0.0;
    take(curves, |_, after| {
        let short = reached < radius;
        if short {
            reached = after;
        }
        short
    })
}

/// Takes the steps of all inputs that `fits` allows, steepest first. `fits` gets the
/// evaluations and the radius that there would be after the step.
fn take(curves: &[Curve], mut fits: impl FnMut(u64, f64) -> bool) -> Allocation {
    struct Step {
        slope: f64,
        input: usize,
        cost: u64,
        gain: f64,
        design: Design,
    }
    let mut steps = Vec::new();
    for (input, curve) in curves.iter().enumerate() {
        let (mut cost, mut radius) = (0, 0.0);
        for point in curve.hull() {
            let step = Step {
                slope: (point.radius - radius) / (point.cost - cost) as f64,
                input,
                cost: point.cost - cost,
                gain: point.radius - radius,
                design: point.design,
            };
            (cost, radius) = (point.cost, point.radius);
            steps.push(step);
        }
    }
    // The sort is stable, so steps with equal slopes keep the order of their inputs. The steps
    // of one input stay in order, as their slopes decrease.
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut allocation = Allocation {
        designs: vec![Design::Nothing; curves.len()],
        radius: 0.0,
        evaluations: 0,
        price: 0.0,
    };
    // Once a step of an input does not fit, the input gets no later step, since that would
    // start where the omitted one ends.
    let mut closed = vec![false; curves.len()];
    for step in steps {
        let (evaluations, radius) = (
            allocation.evaluations + step.cost,
            allocation.radius + step.gain,
        );
        if closed[step.input] || !fits(evaluations, radius) {
            closed[step.input] = true;
            if allocation.price == 0.0 {
                allocation.price = step.slope;
            }
            continue;
        }
        (allocation.evaluations, allocation.radius) = (evaluations, radius);
        allocation.designs[step.input] = step.design;
    }
    allocation
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    fn curve(points: &[(u64, f64)]) -> Curve {
        Curve::new(points.iter().map(|&(cost, radius)| Point {
            cost,
            radius,
            design: Design::Fresh { samples: cost },
            tilt: 0.0,
        }))
    }

    #[test]
    fn the_steepest_steps_come_first() {
        // The middle point of the first lies under the chord.
        let curves = [
            curve(&[(10, 1.0), (20, 1.1), (30, 3.0)]),
            curve(&[(10, 2.0), (40, 2.6)]),
            curve(&[]),
        ];
        let spent = allocate(&curves, 40);
        let costs: Vec<u64> = spent.designs.iter().map(|d| d.cost()).collect();
        assert_eq!(costs, [30, 10, 0]);
        assert_eq!((spent.evaluations, spent.radius), (40, 5.0));
        assert!((spent.price - 0.02).abs() < 1e-12);
        assert_eq!(allocate(&curves, 9).evaluations, 0);
        assert_eq!(allocate(&curves, 1000).price, 0.0);
        let reached = allocate_to_reach(&curves, 4.9);
        assert_eq!((reached.evaluations, reached.radius), (40, 5.0));
        assert_eq!(allocate_to_reach(&curves, 1.5).evaluations, 10);
    }
}
