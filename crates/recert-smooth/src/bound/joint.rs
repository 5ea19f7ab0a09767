//! An anytime-valid bound of a weighted sum of probabilities, one for each cell, by the
//! likelihood ratio of a mixture.
//!
//! Cells `s` have unknown probabilities `theta_s` of an event; `x_s` events
//! were seen in `m_s` trials. With a Beta law for each cell, fixed before these
//! trials, let `M` be the average of the likelihood `L(theta)` of all the
//! trials under the product of these laws. `M / L(theta)` at the true `theta`
//! is a non-negative martingale that starts at 1, in whatever order the trials
//! come and however the next cell is chosen, so by Ville's inequality
//!
//! ```text
//! L(theta) > alpha M
//! ```
//!
//! holds at all times at once with probability at least `1 - alpha`. The bound
//! is the largest `sum w_s theta_s` over the `theta` that satisfy it. For any
//! `eta > 0` such a `theta` has
//!
//! ```text
//! eta sum w_s theta_s <= sum_s max_t (ln L_s(t) + eta w_s t) - ln L(theta)
//!                     <  sum_s max_t (ln L_s(t) + eta w_s t) - ln M - ln alpha,
//! ```
//!
//! so each `eta` gives a valid bound, and the search for a good one need not be trusted: [`joint_upper`]
//! looks for the best `eta`, the *witness*, and [`joint_upper_at`] evaluates the
//! right-hand side with outward rounding. (Wasserman, Ramdas, Balakrishnan,
//! "Universal inference", PNAS 2020; the mixture goes back to Robbins 1970.)
//!
//! A separate bound for every cell would pay `ln(1/alpha) w_s/m_s` for each
//! cell in which nothing was seen; here that price is paid once.

use recert_num::Alpha;
use recert_num::directed::{add_down, add_up, div_up, ln_down, mul_up, sub_up};

use super::mixture::{Beta, largest_up, peak};
use crate::Error;

/// A group of samples with one unknown probability of the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The cell's weight in the sum, at least 0.
    pub weight: f64,
    /// The number of trials, m.
    pub trials: u64,
    /// The number of events among the trials, x.
    pub events: u64,
    /// The Beta law, fixed before the trials.
    pub prior: Beta,
}

/// An upper bound of `sum w_s theta_s` and the multiplier it was found with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Joint {
    /// The bound, rounded up; at most the sum of the weights, rounded up.
    pub bound: f64,
    /// The multiplier eta, to check the bound with.
    pub witness: f64,
}

/// The upper bound of the weighted sum of the cells' probabilities; valid at
/// any stopping time with failure probability `alpha`.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Beta, JointCell, joint_upper, joint_upper_at};
///
/// let cell = JointCell {
///     weight: 1.0,
///     trials: 100,
///     events: 0,
///     prior: Beta::new(0.5, 50.0)?,
/// };
/// let alpha = Alpha::new(0.001)?;
/// let joint = joint_upper(&[cell], alpha)?;
/// assert!(joint.bound < 0.2);
/// assert_eq!(joint_upper_at(&[cell], alpha, joint.witness)?, joint.bound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If there is no cell, a weight is negative or not finite, or a cell has more
/// events than trials.
pub fn joint_upper(cells: &[Cell], alpha: Alpha) -> Result<Joint, Error> {
    check(cells)?;
    let threshold = threshold_down(cells, alpha);
    let eta = witness(cells, threshold);
    Ok(Joint {
        bound: evaluate(cells, threshold, eta),
        witness: eta,
    })
}

/// The same bound at a given witness: the right-hand side of the module's
/// inequality divided by eta, rounded up.
///
/// # Errors
/// As for [`joint_upper`], and if `eta` is not positive and finite.
pub fn joint_upper_at(cells: &[Cell], alpha: Alpha, eta: f64) -> Result<f64, Error> {
    check(cells)?;
    if !(eta.is_finite() && eta > 0.0) {
        return Err(Error::parameter(format!(
            "the witness of a joint bound must be positive, but is {eta}"
        )));
    }
    Ok(evaluate(cells, threshold_down(cells, alpha), eta))
}

fn check(cells: &[Cell]) -> Result<(), Error> {
    let bad = cells
        .iter()
        .any(|cell| !(cell.weight.is_finite() && cell.weight >= 0.0) || cell.events > cell.trials);
    if bad || cells.is_empty() {
        return Err(Error::parameter(
            "the cells of a joint bound need weights of at least 0 and no more events than trials",
        ));
    }
    Ok(())
}

/// `ln M + ln alpha`, rounded down.
fn threshold_down(cells: &[Cell], alpha: Alpha) -> f64 {
    cells.iter().fold(ln_down(alpha.get()), |sum, cell| {
        add_down(sum, cell.prior.ln_average_down(cell.events, cell.trials))
    })
}

fn evaluate(cells: &[Cell], threshold: f64, eta: f64) -> f64 {
    let (mut largest, mut whole) = (0.0, 0.0);
    for cell in cells {
        // A steeper slope only raises the largest value, as t >= 0.
        let slope = mul_up(eta, cell.weight);
        largest = add_up(largest, largest_up(cell.events, cell.trials, slope));
        whole = add_up(whole, cell.weight);
    }
    div_up(sub_up(largest, threshold), eta).clamp(0.0, whole)
}

/// Approximately the best multiplier. The bound is least where the likelihood at the peaks
/// equals the threshold; the likelihood at the peaks decreases as eta grows.
fn witness(cells: &[Cell], threshold: f64) -> f64 {
    let likelihood = |eta: f64| -> f64 {
        let each = cells.iter().map(|cell| {
            let (x, m) = (cell.events as f64, cell.trials as f64);
            let t = peak(x, m, eta * cell.weight);
            let seen = if x > 0.0 { x * t.ln() } else { 0.0 };
            let unseen = if m > x { (m - x) * (-t).ln_1p() } else { 0.0 };
            seen + unseen
        });
        each.sum()
    };
    let (mut low, mut high) = (-40.0_f64, 80.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if likelihood(middle.exp()) >= threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(weight: f64, trials: u64, events: u64, a: f64, b: f64) -> Cell {
        let prior = Beta::new(a, b).unwrap();
        Cell {
            weight,
            trials,
            events,
            prior,
        }
    }

    /// The largest weighted sum over a fine grid of the confidence set.
    fn by_grid(cells: [Cell; 2], alpha: f64) -> f64 {
        let threshold = threshold_down(&cells, Alpha::new(alpha).unwrap());
        let ln_likelihood = |c: Cell, t: f64| {
            let (x, m) = (c.events as f64, c.trials as f64);
            let seen = if x > 0.0 { x * t.ln() } else { 0.0 };
            seen + if m > x { (m - x) * (-t).ln_1p() } else { 0.0 }
        };
        let steps = 4000;
        let values = |c: Cell| -> Vec<f64> {
            let at = |i| ln_likelihood(c, f64::from(i) / f64::from(steps));
            (0..=steps).map(at).collect()
        };
        let (first, second) = (values(cells[0]), values(cells[1]));
        let mut best = 0.0_f64;
        for (i, a) in first.iter().enumerate() {
            for (j, b) in second.iter().enumerate() {
                if a + b > threshold {
                    let sum = cells[0].weight * i as f64 + cells[1].weight * j as f64;
                    best = best.max(sum / f64::from(steps));
                }
            }
        }
        best
    }

    #[test]
    fn the_bound_is_the_largest_sum_of_the_confidence_set() {
        for cells in [
            [cell(0.7, 200, 0, 0.5, 200.0), cell(0.1, 60, 31, 12.0, 13.0)],
            [cell(0.9, 90, 2, 0.5, 50.0), cell(0.05, 10, 1, 1.0, 3.0)],
            [cell(0.3, 5, 5, 1.0, 1.0), cell(0.2, 8, 0, 1.0, 1.0)],
        ] {
            let alpha = Alpha::new(0.0018).unwrap();
            let joint = joint_upper(&cells, alpha).unwrap();
            let grid = by_grid(cells, alpha.get());
            assert!(joint.bound >= grid, "{} {grid}", joint.bound);
            assert!(joint.bound - grid < 5e-4, "{} {grid}", joint.bound);
            let again = joint_upper_at(&cells, alpha, joint.witness).unwrap();
            assert_eq!(again, joint.bound);
            // Any other witness is valid and no better.
            for factor in [0.5, 0.9, 1.1, 2.0] {
                let other = joint_upper_at(&cells, alpha, joint.witness * factor).unwrap();
                assert!(other >= joint.bound - 1e-9);
            }
        }
    }

    #[test]
    fn one_cell_without_events_is_near_its_exact_bound() {
        // (1 - t)^m > alpha B(a, b + m)/B(a, b): with a prior that expected no
        // event, hardly more than the exact 1 - alpha^(1/m).
        let alpha = Alpha::new(0.0018).unwrap();
        let cells = [cell(1.0, 1000, 0, 0.5, 5000.0)];
        let bound = joint_upper(&cells, alpha).unwrap().bound;
        let exact = 1.0 - 0.0018_f64.powf(1e-3);
        assert!(bound > exact && bound < 1.03 * exact, "{bound} {exact}");
    }

    #[test]
    fn nonsense_is_refused() {
        let alpha = Alpha::new(0.01).unwrap();
        assert!(joint_upper(&[], alpha).is_err());
        assert!(joint_upper(&[cell(1.0, 2, 3, 1.0, 1.0)], alpha).is_err());
        assert!(joint_upper(&[cell(-1.0, 2, 1, 1.0, 1.0)], alpha).is_err());
        assert!(joint_upper_at(&[cell(1.0, 2, 1, 1.0, 1.0)], alpha, 0.0).is_err());
        assert!(Beta::new(0.0, 1.0).is_err() && Beta::new(1.0, f64::NAN).is_err());
        // Nothing tried: nothing known.
        assert_eq!(
            joint_upper(&[cell(0.5, 0, 0, 1.0, 1.0)], alpha)
                .unwrap()
                .bound,
            0.5
        );
    }
}
