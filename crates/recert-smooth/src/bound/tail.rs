//! The bound over cells with the tail of h's part in place of Markov's inequality.
//!
//! Notation as in [`cells`](super::cells()). For the true `theta`, each of
//!
//! ```text
//! E1 = prod_i (1 + kappa theta_{C_i}) / (1 + kappa sum_s pi_s theta_s)^n    over the codes,
//! E2 = prod_s (1 + kappa_s)^x_s / (1 + kappa_s theta_s)^m_s                 given the codes
//! ```
//!
//! has mean 1. Markov's inequality bounds `P(E1 E2 >= K | codes)` by `E1/K`, which ignores by how
//! much the product exceeds `K` where it does. In some cells, those of the *lattice*,
//! `1 + kappa_s = (1 + step)^j_s` with whole `j_s`, so that given the codes and the answers in
//! other cells, `ln E2` has values on a grid of spacing `ln(1 + step)`. Under the law with density
//! `E2`, no value is more probable than
//!
//! ```text
//! B = 1/pi int_0^pi exp(-sum_s V_s (1 - cos(j_s u))) du,
//! V_s = m_s (1 + kappa_s) theta_s (1 - theta_s)/(1 + kappa_s theta_s)^2,
//! ```
//!
//! (the integral of the absolute value of the characteristic function), and summing over the grid,
//! `P(E1 E2 >= K | codes) <= E1/K min(1, B (1 + step)/step)`. `SOUNDNESS.md`, section 4, has the
//! proof. `V_s` is bounded from below through Clopper-Pearson bounds of `theta_s`, for which a
//! 32nd of alpha is set aside.

use std::f64::consts::PI;

use recert_num::directed::{
    add_down, add_up, div_down, div_up, ln_down, ln_up, mul_down, mul_up, sub_down, sub_up,
};
use recert_num::{Alpha, LowerBound, clopper_pearson_lower, clopper_pearson_upper};

use super::Cell;
use super::cells::{largest, tilted};
use crate::Error;

/// The cells whose tilts are powers of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lattice<'a> {
    /// `step`, above 0.
    pub step: f64,
    /// `j_s` for each cell: `1 + kappa_s = (1 + step)^j_s`, whatever the cell's own tilt; 0 for
    /// a cell with a tilt of its own.
    pub multiples: &'a [u8],
}

/// A bound, and where it was evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// The lower bound of `P(h = c)`.
    pub p_lower: LowerBound,
    /// The point at which the integral `B` is split; 0 without a lattice. Every positive number
    /// gives a valid bound.
    pub span: f64,
}

/// The largest `j_s`.
pub const LARGEST_MULTIPLE: u8 = 64;

/// A lower bound of `P(h = c)`, valid with failure probability `alpha` for the codes and the
/// answers together, if their number does not depend on the answers.
///
/// `tilt` is `kappa`, of f's `n` codes. It must not depend on the codes; how many samples of each
/// cell h runs on, the tilts of the cells and the lattice may, but not on h's answers. A tilt of a
/// cell with pairs is at least `tilt`.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Cell, Lattice, cells, tail};
///
/// // h answered 600 of 1,000 samples of f's 10,000 with c; it never leaves c in the others.
/// let decided = Cell { samples: 8000, pairs: 2000, own: 2000, tilt: 0.42 };
/// let undecided = Cell { samples: 1500, pairs: 1000, own: 600, tilt: 0.13 };
/// let lattice = Lattice { step: 0.13, multiples: &[0, 1] };
/// let alpha = Alpha::new(0.002)?;
/// let found = tail(10_000, 0.08, &[decided, undecided], Some(lattice), alpha)?;
/// let markov = cells(10_000, 0.08, &[decided, undecided], alpha)?;
/// assert!(found.p_lower > markov);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If counts are impossible, a tilt is not between 1e-12 and 1e12 or a cell's is below `tilt`, or
/// the lattice does not fit the cells.
pub fn tail(
    n: u64,
    tilt: f64,
    cells: &[Cell],
    lattice: Option<Lattice<'_>>,
    alpha: Alpha,
) -> Result<Tail, Error> {
    tail_after(n, tilt, &[], cells, lattice, alpha)
}

/// As [`tail`], where h's answers on pairs of a first round, in `first`, decided how many pairs of
/// each cell are in a second one, in `cells`, with which tilts and which lattice: all of these may
/// depend on the first answers, and on none of the second ones. The pairs of the first round and
/// their tilts are fixed before its answers.
///
/// With `E2'` and `E2''` the products of the two rounds, `E2''` has mean 1 given the codes and the
/// first answers, so that `E1 E2' E2''` has mean 1, and the overshoot is that of the second round
/// given the first. The share of alpha that a lattice needs is set aside without one too.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::bound::{Cell, tail, tail_after};
///
/// // Planned for few losses; 12 of the first 100 pairs are lost, and more pairs follow.
/// let cell = |pairs, own, tilt| Cell { samples: 9000, pairs, own, tilt };
/// let alpha = Alpha::new(0.002)?;
/// let both = tail_after(10_000, 0.05, &[cell(100, 88, 2.0)], &[cell(900, 790, 0.9)], None, alpha)?;
/// let first = tail(10_000, 0.05, &[cell(100, 88, 2.0)], None, alpha)?;
/// assert!(both.p_lower > first.p_lower);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`tail`]; and if the first round is of other cells, or the rounds together have more pairs
/// than samples.
pub fn tail_after(
    n: u64,
    tilt: f64,
    first: &[Cell],
    cells: &[Cell],
    lattice: Option<Lattice<'_>>,
    alpha: Alpha,
) -> Result<Tail, Error> {
    let lattice = lattice.filter(|lattice| lattice.multiples.iter().any(|&j| j > 0));
    let resolved = resolved(n, tilt, first, cells, lattice)?;
    let shares = Shares::new(alpha)?;
    let Some(Lattice { step, .. }) = lattice else {
        // Where the first answers decide whether there is a lattice, both cases set the same aside.
        let product = if first.is_empty() {
            alpha.get()
        } else {
            shares.product
        };
        let p_lower = bound(n, tilt, &resolved, 0.0, product)?;
        return Ok(Tail { p_lower, span: 0.0 });
    };
    let spreads = spreads(&resolved, shares.side)?;
    // The first term of the bound of B falls with a smaller span, the second with a larger one.
    let spans = (0..40).map(|i| 1.6 * 0.9_f64.powi(i));
    let tried = spans.map(|span| (gain_down(&spreads, step, span), span));
    let (gain, span) = tried.fold(
        (0.0, 1.0),
        |best, next| if next.0 > best.0 { next } else { best },
    );
    let p_lower = bound(n, tilt, &resolved, gain, shares.product)?;
    Ok(Tail { p_lower, span })
}

/// The shares of alpha: for the product, and for each side of each `theta_s`.
#[derive(Debug, Clone, Copy)]
struct Shares {
    product: f64,
    side: Alpha,
}

/// The most cells that there may be.
const MOST: usize = 10;

impl Shares {
    /// 31/32 for the product; the rest is shared equally by both sides of ten cells.
    fn new(alpha: Alpha) -> Result<Self, Error> {
        Ok(Self {
            product: mul_down(alpha.get(), 31.0 / 32.0),
            side: Alpha::new(div_down(alpha.get(), 32.0 * 2.0 * MOST as f64))?,
        })
    }
}

/// Pairs of a cell with one tilt: what encloses the tilt, and the logarithm of 1 and it.
#[derive(Debug, Clone, Copy)]
struct Group {
    pairs: u64,
    own: u64,
    tilt_down: f64,
    tilt_up: f64,
    /// `ln(1 + kappa_s)`, rounded down.
    rate_down: f64,
}

impl Group {
    /// The pairs of a cell, the tilt of which is its own or that of the lattice's `multiple`.
    fn new(cell: &Cell, multiple: u8, step: f64) -> Self {
        let (tilt_down, tilt_up, rate_down) = match multiple {
            0 => (cell.tilt, cell.tilt, ln_down(add_down(1.0, cell.tilt))),
            1 => (step, step, ln_down(add_down(1.0, step))),
            _ => {
                let (mut down, mut up) = (1.0, 1.0);
                for _ in 0..multiple {
                    down = mul_down(down, add_down(1.0, step));
                    up = mul_up(up, add_up(1.0, step));
                }
                let rate = mul_down(f64::from(multiple), ln_down(add_down(1.0, step)));
                (sub_down(down, 1.0), sub_up(up, 1.0), rate)
            }
        };
        Self {
            pairs: cell.pairs,
            own: cell.own,
            tilt_down,
            tilt_up,
            rate_down,
        }
    }

    /// Whether the tilt is possible beside `tilt`. Written so that NaN is not.
    fn fits(&self, tilt: f64) -> bool {
        tilted(self.tilt_down) && tilted(self.tilt_up) && self.tilt_down >= tilt
    }

    /// Bounds of the derivative of `pairs ln(1 + kappa_s t)` by `z = ln(1 + tilt t)`, which
    /// increases with `kappa_s`; `codes` enclose `1 + tilt t`.
    fn fall(&self, tilt: f64, t: f64, codes: (f64, f64)) -> (f64, f64) {
        let up = div_up(
            mul_up(self.tilt_up, codes.1),
            mul_down(tilt, add_down(1.0, mul_down(self.tilt_up, t))),
        );
        let down = div_down(
            mul_down(self.tilt_down, codes.0),
            mul_up(tilt, add_up(1.0, mul_up(self.tilt_down, t))),
        );
        let pairs = self.pairs as f64;
        (mul_down(pairs, down), mul_up(pairs, up))
    }
}

/// A cell with pairs.
#[derive(Debug, Clone)]
struct Resolved {
    samples: f64,
    /// Of the last group.
    multiple: u8,
    /// Those of the two rounds that have pairs in the cell; that of the second is the last.
    groups: Vec<Group>,
}

impl Resolved {
    /// The pairs on the lattice.
    fn laid(&self) -> Option<&Group> {
        self.groups.last().filter(|_| self.multiple > 0)
    }
}

/// The cells that have pairs, checked.
fn resolved(
    n: u64,
    tilt: f64,
    first: &[Cell],
    cells: &[Cell],
    lattice: Option<Lattice<'_>>,
) -> Result<Vec<Resolved>, Error> {
    let before = |s: usize| first.get(s).copied().unwrap_or_default();
    let fits = (cells.iter().enumerate()).all(|(s, cell)| {
        let before = before(s);
        cell.own <= cell.pairs
            && before.own <= before.pairs
            && before.pairs <= cell.samples
            && cell.pairs <= cell.samples - before.pairs
            && (first.is_empty() || before.samples == cell.samples)
    });
    let known = cells
        .iter()
        .map(|cell| cell.samples)
        .fold(0, u64::saturating_add);
    let (step, multiples) =
        lattice.map_or((0.0, &[][..]), |lattice| (lattice.step, lattice.multiples));
    let laid = lattice.is_none_or(|lattice| {
        tilted(lattice.step)
            && multiples.len() == cells.len()
            && multiples.iter().all(|&j| j <= LARGEST_MULTIPLE)
    });
    let rounds = first.is_empty() || first.len() == cells.len();
    if !fits || !tilted(tilt) || known > n || n > 1 << 40 || !laid || !rounds || cells.len() > MOST
    {
        return Err(nonsense());
    }
    let mut found = Vec::new();
    for (s, cell) in cells.iter().enumerate() {
        let multiple = multiples.get(s).copied().unwrap_or(0);
        let both = [
            Group::new(&before(s), 0, 0.0),
            Group::new(cell, multiple, step),
        ];
        let groups: Vec<Group> = both.into_iter().filter(|group| group.pairs > 0).collect();
        if !groups.iter().all(|group| group.fits(tilt)) {
            return Err(nonsense());
        }
        if !groups.is_empty() {
            found.push(Resolved {
                samples: cell.samples as f64,
                multiple: if cell.pairs > 0 { multiple } else { 0 },
                groups,
            });
        }
    }
    Ok(found)
}

fn nonsense() -> Error {
    Error::parameter(
        "the cells of a bound need tilts between 1e-12 and 1e12 and not below that of the codes, \
         at most ten cells, multiples up to 64, no more pairs than samples and no more answers \
         than pairs",
    )
}

/// The bound if `gain` is added to the logarithm of alpha for the overshoot.
fn bound(
    n: u64,
    tilt: f64,
    cells: &[Resolved],
    gain: f64,
    alpha: f64,
) -> Result<LowerBound, Error> {
    let known = add_down(ln_down(alpha), gain);
    let known = (cells.iter()).fold(known, |sum, cell| add_down(sum, least_down(cell, tilt)));
    largest(n, tilt, known)
}

/// The least value over `t` in `[0, 1]` of `samples ln(1 + tilt t)` and, for each group,
/// `own ln(1 + kappa_s) - pairs ln(1 + kappa_s t)`, rounded down.
///
/// As `kappa_s >= tilt`, the function is convex in `z = ln(1 + tilt t)`, so that it lies above
/// its tangent at any `z`.
fn least_down(cell: &Resolved, tilt: f64) -> f64 {
    let samples = cell.samples;
    let t = lowest(cell, tilt);
    let codes = (
        add_down(1.0, mul_down(tilt, t)),
        add_up(1.0, mul_up(tilt, t)),
    );
    let (z_down, z_up) = (ln_down(codes.0), ln_up(codes.1));
    let mut value = mul_down(samples, z_down);
    let (mut slope_down, mut slope_up) = (samples, samples);
    for group in &cell.groups {
        let won = mul_down(group.own as f64, group.rate_down);
        let lost = mul_up(
            group.pairs as f64,
            ln_up(add_up(1.0, mul_up(group.tilt_up, t))),
        );
        value = sub_down(add_down(value, won), lost);
        let (fall_down, fall_up) = group.fall(tilt, t, codes);
        slope_down = sub_down(slope_down, fall_up);
        slope_up = sub_up(slope_up, fall_down);
    }
    let end = ln_up(add_up(1.0, tilt));
    let to_end = mul_up((-slope_down).max(0.0), sub_up(end, z_down).max(0.0));
    let to_zero = mul_up(slope_up.max(0.0), z_up);
    sub_down(value, to_end.max(to_zero))
}

/// About where the function of [`least_down`] is least; anywhere else its bound is valid too.
fn lowest(cell: &Resolved, tilt: f64) -> f64 {
    if let [group] = cell.groups[..] {
        let (pairs, kappa) = (group.pairs as f64, group.tilt_up);
        let least = (pairs * kappa - cell.samples * tilt) / (tilt * kappa * (cell.samples - pairs));
        return if least.is_nan() {
            1.0
        } else {
            least.clamp(0.0, 1.0)
        };
    }
    let slope = |kappa: f64, t: f64| kappa / (1.0 + kappa * t);
    let falls = |t: f64| {
        let fall = |group: &Group| group.pairs as f64 * slope(group.tilt_up, t);
        cell.groups.iter().map(fall).sum::<f64>() > cell.samples * slope(tilt, t)
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if falls(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    // Next to an end the tangent at the end is as good.
    if low == 0.0 { 0.0 } else { high }
}

/// For each cell of the lattice, `j_s` and a lower bound of `V_s`; all hold together but with
/// probability at most two times `side` for each.
fn spreads(cells: &[Resolved], side: Alpha) -> Result<Vec<(f64, f64)>, Error> {
    let mut found = Vec::new();
    for (multiple, group) in cells.iter().filter_map(|c| Some((c.multiple, c.laid()?))) {
        let low = clopper_pearson_lower(group.own, group.pairs, side)?.get();
        let high = clopper_pearson_upper(group.own, group.pairs, side)?.get();
        // V_s is least at one of the ends.
        let spread = [low, high].map(|t| {
            let apart = mul_down(t, sub_down(1.0, t).max(0.0));
            let whole = add_up(1.0, mul_up(group.tilt_up, t));
            let above = mul_down(apart, add_down(1.0, group.tilt_down));
            mul_down(group.pairs as f64, div_down(above, mul_up(whole, whole)))
        });
        found.push((f64::from(multiple), spread[0].min(spread[1])));
    }
    Ok(found)
}

/// `-ln min(1, B (1 + step)/step)`, rounded down, where `B` is at most
///
/// ```text
/// 1/sqrt(2 pi W) + (1 + x/64)^-64,
/// W = sum_s V_s max(0, j_s^2 - j_s^4 span^2/12),  x = (span^2/2 - span^4/24) sum_{j_s = 1} V_s,
/// ```
///
/// as `1 - cos y >= y^2/2 - y^4/24`, and as `1 - cos u` increases on `[span, pi]`.
fn gain_down(spreads: &[(f64, f64)], step: f64, span: f64) -> f64 {
    let square = mul_up(span, span);
    let (mut wide, mut single) = (0.0, 0.0);
    for &(multiple, spread) in spreads {
        let squared = multiple * multiple;
        let lost = div_up(mul_up(squared * squared, square), 12.0);
        let rest = sub_down(squared, lost).max(0.0);
        wide = add_down(wide, mul_down(spread, rest));
        if multiple == 1.0 {
            single = add_down(single, spread);
        }
    }
    if wide <= 0.0 {
        return 0.0;
    }
    let square_down = mul_down(span, span);
    let away = mul_down(square_down / 2.0, sub_down(1.0, div_up(square, 12.0)));
    let mut far = add_down(1.0, mul_down(away.max(0.0), single) / 64.0);
    for _ in 0..6 {
        far = mul_down(far, far);
    }
    let near = mul_down(mul_down(2.0, PI), wide).sqrt().next_down();
    let most = add_up(div_up(1.0, near), div_up(1.0, far));
    let sum = div_up(mul_up(most, add_up(1.0, step)), step);
    if sum.is_finite() {
        (-ln_up(sum)).max(0.0)
    } else {
        0.0
    }
}
