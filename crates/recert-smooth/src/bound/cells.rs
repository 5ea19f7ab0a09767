//! One bound of `P(h = c)` from f's codes on all samples and h's answers on some
//! of each code, by a product of exponential martingales.
//!
//! Every sample that f has answered has a code, its *cell*, which is a function of that sample
//! alone. Cell `s` has `n_s` of the `n` samples and probability `pi_s`; h answers c
//! in it with probability `theta_s`, and did so on `x_s` of the `m_s` samples of the
//! cell that it ran on. Tilts are positive numbers: `kappa`, fixed before any of
//! the codes is looked at; `kappa_s` and `kappa_0`, fixed before h's answers on
//! them. With `a = ln(1 + kappa)`, and the true `theta`, each of
//!
//! ```text
//! prod_i exp(a theta_{C_i}) / (sum_s pi_s exp(a theta_s))^n        over the codes,
//! (1 + kappa_s)^x_s / (1 + kappa_s theta_s)^m_s                    given the codes
//! ```
//!
//! has mean 1, the latter given the codes, so their product reaches
//! `1/alpha` with probability at most `alpha` (Markov; Ville where h's answers are
//! looked at as they come). As `exp(a t) <= 1 + kappa t` on `[0, 1]`, and
//! `sum pi_s theta_s <= P(h = c) = p`, otherwise
//!
//! ```text
//! n ln(1 + kappa p)
//!     > sum_s min_t (a n_s t + x_s ln(1 + kappa_s) - m_s ln(1 + kappa_s t)) - ln(1/alpha),
//! ```
//!
//! where nothing but `p` is unknown: the largest `p` that violates it is the
//! bound. Each minimum is that of a convex function with one explicit peak. The
//! uncertainties of f's part and of h's part add up as variances do, not as
//! widths, and a further cell costs nothing by itself.

use recert_num::directed::{
    add_down, add_up, div_down, div_up, ln_down, ln_up, mul_down, mul_up, sub_down, sub_up,
};
use recert_num::{Alpha, LowerBound};

use crate::Error;

/// Counts of one cell, and its tilt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cell {
    /// f's samples in the cell, `n_s`.
    pub samples: u64,
    /// Samples of the cell that h ran on, `m_s`.
    pub pairs: u64,
    /// Samples of the cell that h answered with c, `x_s`.
    pub own: u64,
    /// `kappa_s`; ignored where `pairs` is 0.
    pub tilt: f64,
}

/// A lower bound of `P(h = c)`, valid with failure probability `alpha` for the
/// codes and the answers together.
///
/// `tilt` is `kappa`, of f's `n` codes. It must not depend on the codes; how many
/// samples of each cell h runs on, and the tilts of the cells, may.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Cell, cells};
///
/// // One cell with all of f's 1,000 samples; h answered all of 400 with the class.
/// let cell = Cell {
///     samples: 1000,
///     pairs: 400,
///     own: 400,
///     tilt: 9.0,
/// };
/// let p = cells(1000, 0.2, &[cell], Alpha::new(0.002)?)?;
/// assert!(p.get() > 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a cell has more pairs than samples or more answers than pairs, or a tilt is
/// not between 1e-12 and 1e12.
pub fn cells(n: u64, tilt: f64, cells: &[Cell], alpha: Alpha) -> Result<LowerBound, Error> {
    check(n, tilt, cells)?;
    let rate = ln_down(add_down(1.0, tilt));
    let known = (cells.iter()).fold(ln_down(alpha.get()), |sum, cell| {
        add_down(sum, least_down(cell, rate))
    });
    largest(n, tilt, known)
}

/// The largest `p` found for which `n ln(1 + tilt p) <= known`, or 0.
pub(super) fn largest(n: u64, tilt: f64, known: f64) -> Result<LowerBound, Error> {
    // The left-hand side increases with p.
    let violated = |p: f64| mul_up(n as f64, ln_up(add_up(1.0, mul_up(tilt, p)))) <= known;
    let (mut low, mut high) = (0.0, 1.0);
    if !violated(low) {
        return Ok(LowerBound::ZERO);
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if violated(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(LowerBound::new(low)?)
}

/// Whether a number is a possible tilt.
pub(super) fn tilted(tilt: f64) -> bool {
    (1e-12..=1e12).contains(&tilt)
}

fn check(n: u64, tilt: f64, cells: &[Cell]) -> Result<(), Error> {
    let fits = cells.iter().all(|cell| {
        cell.own <= cell.pairs
            && cell.pairs <= cell.samples
            && (cell.pairs == 0 || tilted(cell.tilt))
    });
    let cached: u64 = cells.iter().map(|cell| cell.samples).sum();
    if fits && tilted(tilt) && cached <= n {
        return Ok(());
    }
    Err(Error::parameter(
        "the cells of a bound need tilts between 1e-12 and 1e12, no more pairs than samples and \
         no more answers than pairs",
    ))
}

/// The least value over `t` in `[0, 1]` of `rate samples t + own ln(1 + tilt) -
/// pairs ln(1 + tilt t)`, rounded down.
///
/// The function is convex, so it lies above its tangent at any `t`: with value
/// `v` and slope `d` there, it is at least `v + min(d (1 - t), -d t)`. At a `t`
/// next to the least value the second term is a rounding error.
fn least_down(cell: &Cell, rate: f64) -> f64 {
    if cell.pairs == 0 {
        return 0.0;
    }
    let (samples, pairs) = (cell.samples as f64, cell.pairs as f64);
    let (rise_down, rise_up) = (mul_down(rate, samples), mul_up(rate, samples));
    let t = (pairs / rise_down - 1.0 / cell.tilt).clamp(0.0, 1.0);
    let won = mul_down(cell.own as f64, ln_down(add_down(1.0, cell.tilt)));
    let whole_up = add_up(1.0, mul_up(cell.tilt, t));
    let whole_down = add_down(1.0, mul_down(cell.tilt, t));
    let value = sub_down(
        add_down(mul_down(rise_down, t), won),
        mul_up(pairs, ln_up(whole_up)),
    );
    let slope_down = sub_down(rise_down, div_up(mul_up(pairs, cell.tilt), whole_down));
    let slope_up = sub_up(rise_up, div_down(mul_down(pairs, cell.tilt), whole_up));
    let to_one = mul_up((-slope_down).max(0.0), sub_up(1.0, t));
    let to_zero = mul_up(slope_up.max(0.0), t);
    sub_down(value, to_one.max(to_zero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use recert_num::clopper_pearson_lower;

    fn cell(samples: u64, pairs: u64, own: u64, tilt: f64) -> Cell {
        Cell {
            samples,
            pairs,
            own,
            tilt,
        }
    }

    /// The constraint's left side less its right one, for one p, by a grid.
    fn excess(n: u64, tilt: f64, cells: &[Cell], alpha: f64, p: f64) -> f64 {
        let least = |cell: &Cell| {
            let value = |t: f64| {
                tilt.ln_1p() * cell.samples as f64 * t + cell.own as f64 * cell.tilt.ln_1p()
                    - cell.pairs as f64 * (cell.tilt * t).ln_1p()
            };
            let steps = 20_000;
            (0..=steps)
                .map(|i| value(f64::from(i) / f64::from(steps)))
                .fold(f64::INFINITY, f64::min)
        };
        let known: f64 = cells.iter().map(least).sum();
        n as f64 * (tilt * p).ln_1p() - known - alpha.ln()
    }

    #[test]
    fn the_bound_is_where_the_constraint_holds_with_equality() {
        let alpha = Alpha::new(0.002).unwrap();
        let scenes: [(u64, f64, Vec<Cell>); 3] = [
            (
                10_000,
                0.05,
                vec![cell(7_000, 500, 499, 2.0), cell(1_000, 300, 170, 0.3)],
            ),
            (
                100_000,
                0.02,
                vec![
                    cell(71_000, 3_000, 2_990, 0.9),
                    cell(9_000, 1_500, 1_200, 0.12),
                    cell(4_000, 900, 220, 0.1),
                    cell(10_000, 0, 0, 0.0),
                ],
            ),
            (1_000, 0.2, vec![cell(1_000, 400, 400, 9.0)]),
        ];
        for (n, tilt, cells_of) in scenes {
            let p = cells(n, tilt, &cells_of, alpha).unwrap().get();
            let off = excess(n, tilt, &cells_of, alpha.get(), p);
            let slope = n as f64 * tilt / (1.0 + tilt * p);
            assert!(p > 0.5 && off <= 1e-9 && off > -1e-6 * slope, "{p} {off}");
        }
    }

    #[test]
    fn a_cell_that_h_never_leaves_attains_the_distribution_free_limit() {
        // With rate samples = pairs the bound is about 1 - ln(1/alpha)/m.
        let (alpha, m) = (0.001_f64, 500);
        let n = 1_000_000;
        let tilt = m as f64 / n as f64;
        let bound = cells(n, tilt, &[cell(n, m, m, 1e9)], Alpha::new(alpha).unwrap());
        let limit = 1.0 - alpha.powf(1.0 / m as f64);
        let gap = 1.0 - bound.unwrap().get();
        assert!(gap > limit * 0.99 && gap < limit * 1.02, "{gap} {limit}");
    }

    #[test]
    fn uncertainties_add_up_as_variances() {
        // f: 80,000 of 100,000; h: 5,000 pairs whose spread is a fifth of f's.
        let alpha = Alpha::new(0.001).unwrap();
        let scene = [
            cell(78_000, 3_000, 2_999, 0.7),
            cell(4_000, 2_000, 1_400, 0.06),
        ];
        let truth = 0.78 * 2_999.0 / 3_000.0 + 0.04 * 0.7;
        let spread = (truth * (1.0 - truth) / 1e5
            + 0.78_f64.powi(2) * 3.3e-4 / 3_000.0
            + 0.04_f64.powi(2) * 0.21 / 2_000.0)
            .sqrt();
        let tilt = (-2.0 * alpha.get().ln()).sqrt() / spread / 1e5;
        let tilts = scene.map(|c| {
            let u = tilt.ln_1p() * c.samples as f64 / c.pairs as f64;
            let own = c.own as f64 / c.pairs as f64;
            Cell {
                tilt: u / (1.0 - own * u),
                ..c
            }
        });
        let width = truth - cells(100_000, tilt, &tilts, alpha).unwrap().get();
        assert!(
            width < 4.0 * spread && width > 3.0 * spread,
            "{width} {spread}"
        );
        // Two bounds of their own are wider.
        let half = Alpha::new(0.0005).unwrap();
        let f = 0.8068 - clopper_pearson_lower(80_680, 100_000, half).unwrap().get();
        assert!(f > 0.8 * width);
    }

    #[test]
    fn nonsense_is_refused() {
        let alpha = Alpha::new(0.01).unwrap();
        let bound = |tilt, of: Cell| cells(100, tilt, &[of], alpha);
        assert!(bound(0.1, cell(50, 20, 10, 0.5)).is_ok());
        for bad in [
            cell(50, 20, 21, 0.5),
            cell(50, 51, 20, 0.5),
            cell(101, 20, 20, 0.5),
            cell(50, 20, 20, 0.0),
            cell(50, 20, 20, f64::NAN),
        ] {
            assert!(bound(0.1, bad).is_err(), "{bad:?}");
        }
        assert!(bound(0.0, cell(50, 20, 10, 0.5)).is_err());
        assert_eq!(bound(0.1, cell(50, 0, 0, 0.0)).unwrap().get(), 0.0);
    }
}
