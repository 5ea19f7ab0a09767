//! Spending a budget over the inputs where it gains most.
//!
//! Each input's expected radius, as a function of its evaluations, is replaced by its least
//! concave majorant. The steps of all inputs are then taken in the order of their slopes, the
//! steepest first, which maximizes the sum of the majorants. A budget that is too small for the
//! next of these steps is spent on lesser ones: on the points that it affords, and at last on a
//! part of the way to the next.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::{Curve, Design, Point};

/// A design for each input, with its expected outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// The design of each input.
    pub designs: Vec<Design>,
    /// The point of each input's curve that its design is, or lies after; `None` without samples.
    pub points: Vec<Option<Point>>,
    /// The sum of the expected radii, in units of sigma.
    pub radius: f64,
    /// The sum of the evaluations.
    pub evaluations: u64,
    /// The slope of the first step that was not taken, in units of sigma an evaluation: what
    /// another evaluation would gain. 0 if every step was taken.
    pub price: f64,
}

impl Allocation {
    /// No samples on any of `inputs` inputs.
    fn nothing(inputs: usize) -> Self {
        Self {
            designs: vec![Design::Nothing; inputs],
            points: vec![None; inputs],
            radius: 0.0,
            evaluations: 0,
            price: 0.0,
        }
    }

    /// The allocation of these points.
    pub(super) fn of(points: Vec<Option<Point>>) -> Self {
        let mut allocation = Self::nothing(points.len());
        for (input, point) in points.into_iter().enumerate() {
            if let Some(point) = point {
                allocation.set(input, point);
            }
        }
        allocation
    }

    /// The evaluations on an input, and its expected radius.
    fn at(&self, input: usize) -> (u64, f64) {
        self.points[input].map_or((0, 0.0), |point| (point.cost, point.radius))
    }

    /// Gives an input another design.
    fn set(&mut self, input: usize, point: Point) {
        let (cost, radius) = self.at(input);
        self.evaluations = self.evaluations - cost + point.cost;
        self.radius += point.radius - radius;
        self.designs[input] = point.design;
        self.points[input] = Some(point);
    }
}

/// Spends at most `budget` evaluations; less only where no more can be gained.
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
///
/// // What is left goes a part of the way to the next point.
/// let allocation = allocate(&curves, 40);
/// let pairs = [Design::Loss { pairs: 40 }, Design::Nothing];
/// assert_eq!((allocation.designs, allocation.evaluations), (pairs.to_vec(), 40));
/// ```
pub fn allocate(curves: &[Curve], budget: u64) -> Allocation {
    let mut allocation = take(curves, |evaluations, _| evaluations <= budget);
    spend_on_points(curves, budget, &mut allocation);
    spend_toward_points(curves, budget, &mut allocation);
    allocation
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
    let mut steps = Vec::new();
    for (input, curve) in curves.iter().enumerate() {
        let (mut cost, mut radius) = (0, 0.0);
        for to in curve.hull() {
            let slope = (to.radius - radius) / (to.cost - cost) as f64;
            steps.push(Step { slope, input, to });
            (cost, radius) = (to.cost, to.radius);
        }
    }
    // The sort is stable, so steps with equal slopes keep the order of their inputs. The steps
    // of one input stay in order, as their slopes decrease.
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut allocation = Allocation::nothing(curves.len());
    // Once a step of an input does not fit, the input gets no later step, since that would
    // start where the omitted one ends.
    let mut closed = vec![false; curves.len()];
    for Step { slope, input, to } in steps {
        let (cost, radius) = allocation.at(input);
        let (evaluations, radius) = (
            allocation.evaluations + to.cost - cost,
            allocation.radius + to.radius - radius,
        );
        if closed[input] || !fits(evaluations, radius) {
            closed[input] = true;
            if allocation.price == 0.0 {
                allocation.price = slope;
            }
            continue;
        }
        allocation.set(input, to);
    }
    allocation
}

/// A change of an input's design.
#[derive(Debug, Clone, Copy)]
struct Step {
    slope: f64,
    input: usize,
    to: Point,
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Step {
    /// By slope, and by the order of the inputs where that is the same.
    fn cmp(&self, other: &Self) -> Ordering {
        let slope = self.slope.total_cmp(&other.slope);
        slope.then(other.input.cmp(&self.input))
    }
}

/// Spends what is left of the budget on points of the curves that it affords, the steepest
/// first, until it affords none.
fn spend_on_points(curves: &[Curve], budget: u64, allocation: &mut Allocation) {
    let steepest = |allocation: &Allocation, input: usize| {
        let (cost, radius) = allocation.at(input);
        let left = budget.saturating_sub(allocation.evaluations);
        let points = curves[input].points().iter();
        let affordable =
            points.filter(|to| to.radius > radius && to.cost > cost && to.cost - cost <= left);
        let step = |to: &Point| Step {
            slope: (to.radius - radius) / (to.cost - cost) as f64,
            input,
            to: *to,
        };
        affordable.map(step).max()
    };
    let inputs = 0..curves.len();
    let mut steps: BinaryHeap<Step> = inputs.filter_map(|i| steepest(allocation, i)).collect();
    while let Some(Step { input, to, .. }) = steps.pop() {
        // Another input may have taken what this step needs.
        let cost = allocation.at(input).0;
        if allocation.evaluations + to.cost - cost <= budget {
            allocation.set(input, to);
        }
        steps.extend(steepest(allocation, input));
    }
}

/// Spends what is left of the budget on parts of the way to the next points, the steepest
/// first. Inputs without a design get none: nothing is promised below their first point.
fn spend_toward_points(curves: &[Curve], budget: u64, allocation: &mut Allocation) {
    let next = |(input, curve): (usize, &Curve)| {
        let from = allocation.points[input]?;
        let to = curve.after(&from)?;
        let slope = (to.radius - from.radius) / (to.cost - from.cost) as f64;
        Some(Step { slope, input, to })
    };
    let mut steps: Vec<Step> = curves.iter().enumerate().filter_map(next).collect();
    steps.sort_by(|a, b| b.cmp(a));
    for Step { input, to, .. } in steps {
        let left = budget.saturating_sub(allocation.evaluations);
        let Some(from) = allocation.points[input].filter(|_| left > 0) else {
            continue;
        };
        let extra = left.min(to.cost - from.cost);
        allocation.set(input, from.toward(&to, extra));
    }
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
        // 5 more buy no point of the third input's, but half of the way to the first's next.
        let spent = allocate(&curves, 45);
        let costs: Vec<u64> = spent.designs.iter().map(|d| d.cost()).collect();
        assert_eq!((costs, spent.evaluations), (vec![30, 15, 0], 45));
        assert_eq!(allocate(&curves, 1000).price, 0.0);
        let reached = allocate_to_reach(&curves, 4.9);
        assert_eq!((reached.evaluations, reached.radius), (40, 5.0));
        assert_eq!(allocate_to_reach(&curves, 1.5).evaluations, 10);
    }

    #[test]
    fn a_budget_below_the_first_corner_buys_the_best_point_that_it_affords() {
        // The corner is at 400: the cheaper points lie below the chord.
        let curves = [curve(&[(90, 0.05), (180, 0.15), (400, 1.0)])];
        let of = |budget| {
            let spent = allocate(&curves, budget);
            (spent.designs[0].cost(), spent.evaluations)
        };
        assert_eq!(of(89), (0, 0));
        assert_eq!(of(179), (179, 179));
        assert_eq!(of(190), (190, 190));
        assert_eq!(of(400), (400, 400));
        assert_eq!(of(1000), (400, 400));
        // More is never expected to give less.
        let radii: Vec<f64> = (0..500).map(|b| allocate(&curves, b).radius).collect();
        assert!(radii.is_sorted(), "{radii:?}");
    }

    #[test]
    fn nothing_is_left_that_could_be_spent() {
        let steep = |scale: u64, top: f64| {
            curve(&[
                (30 * scale, 0.1 * top),
                (60 * scale, 0.3 * top),
                (100 * scale, top),
            ])
        };
        let curves: Vec<Curve> = (1..8).map(|i| steep(i, 1.0 / i as f64 + 0.2)).collect();
        for budget in (30..2_900).step_by(37) {
            let spent = allocate(&curves, budget);
            let costs: u64 = spent.designs.iter().map(|d| d.cost()).sum();
            assert_eq!(costs, spent.evaluations, "{budget}");
            // But for what a design without a point cannot take.
            let full = 2_800.min(budget);
            assert!(spent.evaluations <= full, "{budget}");
            let missing = spent.points.iter().position(Option::is_none);
            let least = missing.map_or(0, |i| 30 * (i as u64 + 1));
            assert!(
                full - spent.evaluations < least.max(1),
                "{budget}: {spent:?}"
            );
        }
    }
}
