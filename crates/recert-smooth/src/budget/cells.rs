//! The cells of f's codes, and the bound over cells that some pairs can be expected to give.
//!
//! A cell is whether f answered c, and its margin bucket: see [`cell`]. The bound over cells
//! ([`crate::bound::cells`]) to expect from some pairs follows from the probability of c in
//! each cell, as the rates predict it. The tilts are those that would be best if the
//! prediction were exact.

use recert_ledger::{Codes, INVALID};
use serde::{Deserialize, Serialize};

use super::Rates;

/// The number of cells: five for samples that f answered with c, by the margin buckets 0, 1,
/// 2, 3 and higher, then five for samples that it answered otherwise.
pub const CELLS: usize = 2 * OWN;

/// The largest `ln(1 + kappa)` that is considered. Many pairs with few losses would call for
/// a value near the number of pairs over n; the codes then no longer matter, and fresh samples
/// are as good.
const STEEPEST: f64 = 0.08;

/// The number of cells for samples that f answered with c.
pub(crate) const OWN: usize = 5;

/// A number for each cell.
pub type ByCell<T> = [T; CELLS];

/// The cell of a sample that f answered with `answer`, in margin bucket `bucket`, where the
/// class is `class`; `None` for an invalid answer.
///
/// ```
/// use recert_smooth::budget::cell;
///
/// assert_eq!(cell(3, 0, 3), Some(0));
/// assert_eq!(cell(3, 7, 3), Some(4), "buckets 4 to 7 share a cell");
/// assert_eq!(cell(5, 1, 3), Some(6));
/// assert_eq!(cell(recert_ledger::INVALID, 0, 3), None);
/// ```
#[must_use]
pub fn cell(answer: u16, bucket: u8, class: u16) -> Option<usize> {
    let bucket = usize::from(bucket).min(OWN - 1);
    let first = if answer == class { 0 } else { OWN };
    (answer != INVALID).then_some(first + bucket)
}

/// The cell of sample number `sample` of these codes; `None` where there are no margins.
pub(crate) fn cell_of(f: &Codes, class: u16, sample: usize) -> Option<usize> {
    let margins = f.margins.as_ref()?;
    cell(f.classes[sample], margins[sample], class)
}

/// Counts the samples in each cell, from sample number `from` of these codes on.
pub(crate) fn count_cells(f: &Codes, class: u16, from: usize, counts: &mut ByCell<u64>) {
    for sample in from..f.classes.len() {
        if let Some(cell) = cell_of(f, class, sample) {
            counts[cell] += 1;
        }
    }
}

/// The tilts of a bound over cells: `kappa` and the `kappa_s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tilts {
    /// `kappa`, for f's codes. It is fixed before any late code is looked at.
    pub codes: f64,
    /// `kappa_s`, for h's answers in each cell.
    pub cells: ByCell<f64>,
    /// The step of the lattice of [`crate::bound::tail()`]; 0 without one.
    pub step: f64,
    /// The multiple of this step for each cell, 0 outside of the lattice.
    pub multiples: ByCell<u8>,
}

/// What to expect of an input by f's codes and the rates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    /// The number of late samples.
    pub(super) n: f64,
    /// The number of late samples in each cell.
    pub(super) samples: ByCell<f64>,
    /// The probability that h answers c, in each cell.
    pub(super) own: ByCell<f64>,
}

/// Pairs in each cell, and the lower confidence bound to expect from them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prospect {
    pub(crate) pairs: ByCell<u64>,
    pub(crate) p_lower: f64,
    /// The tilt of f's codes that the bound was computed with.
    pub(crate) tilt: f64,
}

impl Outlook {
    /// `q` is `P(f != c)`.
    pub(crate) fn new(n: u64, samples: ByCell<u64>, rates: &Rates, q: f64) -> Self {
        Self {
            n: n as f64,
            samples: samples.map(|count| count as f64),
            own: rates.own(q),
        }
    }

    /// The tilts for these pairs.
    pub(crate) fn tilts(&self, tilt: f64, pairs: ByCell<u64>) -> Tilts {
        let rate = tilt.ln_1p();
        let tilt_of = |cell: usize| {
            let u = rate * self.samples[cell] / (pairs[cell] as f64).max(1.0);
            tilt_at(u, self.own[cell]).clamp(1e-9, 1e9)
        };
        Tilts {
            codes: tilt,
            cells: std::array::from_fn(tilt_of),
            ..Tilts::default()
        }
    }

    /// The best spread of about `cost` pairs over the cells at a given tilt; `None` if there
    /// are too few for this tilt.
    ///
    /// With `u = lambda w/m` (`lambda = n ln(1 + kappa)`, `w = n_s/n`), a cell takes
    /// `m g(u)` from the exponent, `g` about `theta (1 - theta) u^2/2` but infinite at
    /// `u = 1/theta`. The `m` that is best where an evaluation has a price is about
    /// `lambda w theta + nu w sqrt(theta (1 - theta))`, with one `nu` for all.
    fn spread(&self, cost: f64, lambda: f64) -> Option<ByCell<u64>> {
        let least = |s: usize| lambda * self.samples[s] / self.n * self.own[s];
        let spread =
            |s: usize| self.samples[s] / self.n * (self.own[s] * (1.0 - self.own[s])).sqrt();
        let mut full = [false; CELLS];
        let mut pairs = [0.0; CELLS];
        // Where a cell has too few samples, the other cells get its remaining pairs.
        for _ in 0..3 {
            let (mut left, mut width) = (cost, 0.0);
            for (s, &full) in full.iter().enumerate() {
                left -= if full { self.samples[s] } else { least(s) };
                width += if full { 0.0 } else { spread(s) };
            }
            if left <= 0.0 || width <= 0.0 {
                break;
            }
            for s in 0..CELLS {
                let wanted = least(s) + left / width * spread(s);
                full[s] = full[s] || wanted >= self.samples[s];
                pairs[s] = if full[s] { self.samples[s] } else { wanted };
            }
        }
        let enough = (0..CELLS).all(|s| pairs[s] * 0.999 >= least(s));
        enough.then(|| pairs.map(|m| m.round() as u64))
    }

    /// The bound to expect from these pairs.
    fn expect(&self, pairs: ByCell<u64>, tilt: f64, alpha: f64) -> Option<Prospect> {
        let rate = tilt.ln_1p();
        let mut known = alpha.ln();
        for (s, m) in pairs.into_iter().enumerate() {
            let m = m as f64;
            if m > 0.0 {
                let (u, own) = (rate * self.samples[s] / m, self.own[s]);
                if u * own >= 0.9999 {
                    return None;
                }
                let taken = -((1.0 - own) * (-own * u).ln_1p() + own * ((1.0 - own) * u).ln_1p());
                known += rate * self.samples[s] * own - m * taken;
            }
        }
        Some(Prospect {
            pairs,
            p_lower: ((known / self.n).exp_m1() / tilt).clamp(0.0, 1.0),
            tilt,
        })
    }

    /// The best use of about `cost` pairs, at a given tilt or at the best one, for
    /// [`crate::bound::tail()`] or for [`crate::bound::cells()`].
    pub(crate) fn prospect(
        &self,
        cost: u64,
        tilt: Option<f64>,
        alpha: f64,
        tail: bool,
    ) -> Option<Prospect> {
        let expected_at = |lambda: f64, tilt: f64| {
            let pairs = self.spread(cost as f64, lambda)?;
            if tail {
                return self.expect_tail(pairs, tilt, alpha);
            }
            self.expect(pairs, tilt, alpha)
        };
        if let Some(tilt) = tilt {
            return expected_at(self.n * tilt.ln_1p(), tilt);
        }
        let mass: f64 = (0..CELLS).map(|s| self.samples[s] * self.own[s]).sum();
        let mut high = (0.97 * cost as f64 * self.n / mass.max(1.0))
            .min(STEEPEST * self.n)
            .ln();
        let mut low = high - 6.0;
        let value = |x: f64| {
            let lambda = x.exp();
            let found = expected_at(lambda, (lambda / self.n).exp_m1());
            (found.map_or(-1.0, |p| p.p_lower), found)
        };
        // Golden-section search over the logarithm of lambda.
        let part = 0.618_033_988_749_895;
        let (mut a, mut b) = (high - part * (high - low), low + part * (high - low));
        let (mut value_a, mut value_b) = (value(a), value(b));
        for _ in 0..11 {
            if value_a.0 > value_b.0 {
                (high, b, value_b) = (b, a, value_a);
                a = high - part * (high - low);
                value_a = value(a);
            } else {
                (low, a, value_a) = (a, b, value_b);
                b = low + part * (high - low);
                value_b = value(b);
            }
        }
        if value_a.0 > value_b.0 {
            value_a.1
        } else {
            value_b.1
        }
    }
}

/// The tilt for which the exponent is least at `theta = own`: `u/(1 - own u)`.
fn tilt_at(u: f64, own: f64) -> f64 {
    u / (1.0 - own * u).max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound;
    use recert_num::Alpha;

    #[test]
    fn cells_are_found_by_answer_and_bucket() {
        let found = [(3, 0), (3, 4), (3, 7), (5, 0), (5, 3), (5, 4), (INVALID, 0)]
            .map(|(answer, bucket)| cell(answer, bucket, 3));
        assert_eq!(found[..6], [0, 4, 4, 5, 8, 9].map(Some));
        assert_eq!(found[6], None);
    }

    #[test]
    fn prospects_are_the_bounds_at_the_expected_counts() {
        let rates = Rates::default();
        let samples = [
            3_000, 3_100, 6_000, 9_000, 57_000, 2_600, 2_000, 3_000, 4_000, 8_000,
        ];
        let outlook = Outlook::new(100_000, samples, &rates, 0.2);
        let alpha = Alpha::new(0.001).unwrap();
        let mut before = 0.0;
        for cost in [500, 2_000, 8_000, 32_000] {
            let best = outlook.prospect(cost, None, alpha.get(), false).unwrap();
            let spent: u64 = best.pairs.iter().sum();
            assert!(spent.abs_diff(cost) <= 5, "{spent} {cost}");
            let tilts = outlook.tilts(best.tilt, best.pairs);
            let cells: Vec<_> = (0..CELLS)
                .map(|s| bound::Cell {
                    samples: samples[s],
                    pairs: best.pairs[s],
                    own: (best.pairs[s] as f64 * outlook.own[s]).round() as u64,
                    tilt: tilts.cells[s],
                })
                .collect();
            let bound = bound::cells(100_000, best.tilt, &cells, alpha)
                .unwrap()
                .get();
            assert!((bound - best.p_lower).abs() < 2e-3, "{bound} {best:?}");
            assert!(best.p_lower > before);
            before = best.p_lower;
            // Other tilts are worse.
            for factor in [0.5, 2.0] {
                let other = outlook.prospect(cost, Some(best.tilt * factor), alpha.get(), false);
                assert!(other.is_none_or(|other| other.p_lower < best.p_lower));
            }
        }
    }
}
