//! Spending a total over the inputs where it gains most.
//!
//! The expected radius of each input, against its evaluations, is replaced by
//! its least concave majorant; the steps of all inputs are then taken from the
//! steepest on, which is the optimum of the sum of the majorants.

use super::{Curve, Design};

/// What each input gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// One design an input.
    pub designs: Vec<Design>,
    /// The sum of the expected radii, in units of sigma.
    pub radius: f64,
    /// The sum of the evaluations.
    pub evaluations: u64,
    /// The gain of the last step taken, in units of sigma an evaluation; 0 if
    /// every step was taken.
    pub price: f64,
}

/// Spends at most `budget` evaluations.
pub fn allocate(curves: &[Curve], budget: u64) -> Allocation {
    take(curves, |evaluations, _| evaluations <= budget)
}

/// Spends until the expected radii sum to `radius` (in units of sigma), or
/// nothing more can be gained.
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

/// Takes the steps of all inputs, steepest first, that `fits` allows: it is
/// given the evaluations and the radius as they would be after the step.
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
    // Stable: inputs with equal slopes keep their order, and an input's own
    // steps are in order already, as its slopes fall.
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut allocation = Allocation {
        designs: vec![Design::Nothing; curves.len()],
        radius: 0.0,
        evaluations: 0,
        price: 0.0,
    };
    // An input whose step did not fit takes no later one: its next step starts
    // where this one would have ended.
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
