//! The bounds of `recert-num` and `recert-smooth` on arrays.

use std::collections::BTreeMap;

use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use recert::num::{self, Alpha, LowerBound, Radius, Sigma, UpperBound};
use recert::smooth::bound::{
    self as counted, Answered, Beta, Cell, JointCell, Moved, Pairs, Shares, Tally,
};
use recert::{Error, Result};

use crate::errors::{raise, refuse};

/// The values of a bound from counts and reals, each as many as it takes.
type Compute = fn(&[u64], &[f64]) -> Result<Vec<f64>>;

/// A bound by its name: how many counts and reals it takes, how many values it has.
struct Entry(&'static str, usize, usize, usize, Compute);

/// Any of these errors as the one of `recert`.
fn of<T, E: Into<Error>>(result: Result<T, E>) -> Result<T> {
    result.map_err(Into::into)
}

fn alpha(value: f64) -> Result<Alpha> {
    of(Alpha::new(value))
}

/// The radius, or 0 where there is to be none: to abstain.
fn radius(found: Result<Option<Radius>, num::Error>) -> Result<Vec<f64>> {
    Ok(vec![of(found)?.map_or(0.0, Radius::get)])
}

fn lower(found: Result<LowerBound, num::Error>) -> Result<Vec<f64>> {
    Ok(vec![of(found)?.get()])
}

fn upper(found: Result<UpperBound, num::Error>) -> Result<Vec<f64>> {
    Ok(vec![of(found)?.get()])
}

fn pairs(m: u64, disagreements: u64, lost: u64, gained: u64) -> Pairs {
    Pairs {
        m,
        disagreements,
        lost,
        gained,
        ..Pairs::default()
    }
}

/// All bounds that take numbers alone.
const ENTRIES: &[Entry] = &[
    Entry("clopper_pearson_lower", 2, 1, 1, |c, r| {
        lower(num::clopper_pearson_lower(c[0], c[1], alpha(r[0])?))
    }),
    Entry("clopper_pearson_upper", 2, 1, 1, |c, r| {
        upper(num::clopper_pearson_upper(c[0], c[1], alpha(r[0])?))
    }),
    Entry("binomial_tail_lower", 2, 1, 1, |c, r| {
        lower(num::binomial_tail_lower(c[0], c[1], r[0]))
    }),
    Entry("binomial_tail_upper", 2, 1, 1, |c, r| {
        upper(num::binomial_tail_upper(c[0], c[1], r[0]))
    }),
    Entry("fair_coin_p_value_upper", 2, 0, 1, |c, _| {
        upper(num::fair_coin_p_value_upper(c[0], c[1]))
    }),
    Entry("normal_cdf_lower", 0, 1, 1, |_, r| {
        lower(num::normal_cdf_lower(r[0]))
    }),
    Entry("normal_cdf_upper", 0, 1, 1, |_, r| {
        upper(num::normal_cdf_upper(r[0]))
    }),
    Entry("normal_tail_lower", 0, 1, 1, |_, r| {
        lower(num::normal_tail_lower(r[0]))
    }),
    Entry("normal_tail_upper", 0, 1, 1, |_, r| {
        upper(num::normal_tail_upper(r[0]))
    }),
    Entry("normal_quantile_lower", 0, 1, 1, |_, r| {
        Ok(vec![of(num::normal_quantile_lower(r[0]))?])
    }),
    Entry("normal_quantile_upper", 0, 1, 1, |_, r| {
        Ok(vec![of(num::normal_quantile_upper(r[0]))?])
    }),
    Entry("radius", 0, 2, 1, |_, r| {
        radius(Radius::one_sided(
            of(Sigma::new(r[1]))?,
            of(LowerBound::new(r[0]))?,
        ))
    }),
    Entry("radius_two_sided", 0, 3, 1, |_, r| {
        let (p_lower, p_upper) = (of(LowerBound::new(r[0]))?, of(UpperBound::new(r[1]))?);
        radius(Radius::two_sided(of(Sigma::new(r[2]))?, p_lower, p_upper))
    }),
    Entry("shares", 2, 1, 2, |c, r| {
        let shares = of(Shares::from_votes(c[0], c[1], alpha(r[0])?))?;
        Ok(vec![shares.class.get(), shares.ratio.get()])
    }),
    Entry("two_sided", 3, 2, 3, |c, r| {
        let shares = Shares {
            class: alpha(r[0])?,
            ratio: alpha(r[1])?,
        };
        let found = of(counted::two_sided(c[0], c[1], c[2], shares))?;
        let (ratio, class) = (found.ratio_lower.get(), found.p_lower.get());
        Ok(vec![class, found.p_upper.get(), ratio])
    }),
    Entry("zeta", 4, 2, 2, |c, r| {
        let pairs = pairs(c[3], c[2], 0, 0);
        let found = of(counted::zeta(
            c[0],
            c[1],
            alpha(r[0])?,
            &pairs,
            alpha(r[1])?,
        ))?;
        Ok(vec![found.0.get(), found.1.get()])
    }),
    Entry("loss", 4, 2, 1, |c, r| {
        let pairs = pairs(c[3], 0, c[2], 0);
        let found = counted::loss(c[0], c[1], alpha(r[0])?, &pairs, alpha(r[1])?);
        Ok(vec![of(found)?.get()])
    }),
    Entry("paired", 5, 3, 1, |c, r| {
        let pairs = pairs(c[4], 0, c[2], c[3]);
        let [f, lost, gained] = [alpha(r[0])?, alpha(r[1])?, alpha(r[2])?];
        Ok(vec![
            of(counted::paired(c[0], c[1], f, &pairs, lost, gained))?.get(),
        ])
    }),
    Entry("coded_loss", 4, 2, 1, |c, r| {
        let tally = Tally {
            other: c[2],
            pairs: c[3],
        };
        let found = counted::coded_loss(c[0], c[1], alpha(r[0])?, tally, alpha(r[1])?);
        Ok(vec![of(found)?.get()])
    }),
    Entry("both", 6, 2, 2, |c, r| {
        let f = Answered {
            k: c[0],
            runner_up: c[1],
            n: c[2],
        };
        let h = Moved {
            lost: c[3],
            arrived: c[4],
            pairs: c[5],
        };
        let found = of(counted::both(f, alpha(r[0])?, h, alpha(r[1])?))?;
        Ok(vec![found.p_lower.get(), found.p_upper.get()])
    }),
    Entry("anytime", 2, 3, 1, |c, r| {
        let prior = of(Beta::new(r[0], r[1]))?;
        let found = of(counted::anytime(c[0], c[1], prior, alpha(r[2])?))?;
        Ok(vec![found.p_lower.get()])
    }),
    Entry("anytime_loss", 4, 4, 1, |c, r| {
        let tally = Tally {
            other: c[2],
            pairs: c[3],
        };
        let (prior, f) = (of(Beta::new(r[0], r[1]))?, (c[0], c[1]));
        let found = counted::anytime_loss(f, alpha(r[2])?, tally, prior, alpha(r[3])?);
        Ok(vec![of(found)?.p_lower.get()])
    }),
];

/// The bound `name` of each column of counts and reals: an array of as many rows as it has values.
#[pyfunction]
pub(crate) fn bound<'py>(
    py: Python<'py>,
    name: &str,
    counts: PyReadonlyArray2<'py, u64>,
    reals: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let entry = ENTRIES.iter().find(|entry| entry.0 == name);
    let message = format!("there is no bound {name}");
    let &Entry(_, takes, and, values, of) = entry.ok_or_else(|| refuse("name", &message))?;
    let columns = reals.shape()[1];
    let in_order = counts.is_c_contiguous() && reals.is_c_contiguous();
    let fits = in_order && counts.shape() == [takes, columns] && reals.shape()[0] == and;
    if !fits {
        let message = format!("{name} takes {takes} counts and {and} reals");
        return Err(refuse("counts", &message));
    }
    let (counts, reals) = (counts.as_slice()?, reals.as_slice()?);
    let found = py.detach(|| -> Result<Vec<f64>> {
        let mut found = vec![0.0; values * columns];
        let (mut c, mut r) = (vec![0; takes], vec![0.0; and]);
        for column in 0..columns {
            (c.iter_mut().enumerate()).for_each(|(i, c)| *c = counts[i * columns + column]);
            (r.iter_mut().enumerate()).for_each(|(i, r)| *r = reals[i * columns + column]);
            for (i, value) in of(&c, &r)?.into_iter().enumerate() {
                found[i * columns + column] = value;
            }
        }
        Ok(found)
    });
    found
        .map_err(raise)?
        .into_pyarray(py)
        .reshape([values, columns])
}

/// The lower bound of `P(h = c)` from f's codes and h's answers, cell by cell: samples, pairs, own
/// answers and tilt of each.
#[pyfunction]
pub(crate) fn cells(
    n: u64,
    tilt: f64,
    of_cells: Vec<(u64, u64, u64, f64)>,
    alpha: f64,
) -> PyResult<f64> {
    let of_cells: Vec<_> = (of_cells.into_iter())
        .map(|(samples, pairs, own, tilt)| Cell {
            samples,
            pairs,
            own,
            tilt,
        })
        .collect();
    let alpha = Alpha::new(alpha).map_err(raise)?;
    let found = counted::cells(n, tilt, &of_cells, alpha).map_err(raise)?;
    Ok(found.get())
}

/// The upper bound of a weighted sum of probabilities, and its witness: weight, trials, events and
/// the two parameters of the prior of each cell.
#[pyfunction]
pub(crate) fn joint_upper(
    of_cells: Vec<(f64, u64, u64, f64, f64)>,
    alpha: f64,
) -> PyResult<(f64, f64)> {
    let of_cells: Vec<_> = (of_cells.into_iter())
        .map(|(weight, trials, events, a, b)| {
            let prior = Beta::new(a, b)?;
            Ok(JointCell {
                weight,
                trials,
                events,
                prior,
            })
        })
        .collect::<Result<_, recert::smooth::Error>>()
        .map_err(raise)?;
    let alpha = Alpha::new(alpha).map_err(raise)?;
    let found = counted::joint_upper(&of_cells, alpha).map_err(raise)?;
    Ok((found.bound, found.witness))
}

/// The class of counts, and whether it is decided at `alpha`.
#[pyfunction]
pub(crate) fn prediction(counts: BTreeMap<u16, u64>, alpha: f64) -> PyResult<(u16, bool)> {
    let alpha = Alpha::new(alpha).map_err(raise)?;
    let found = counted::prediction(&counts, alpha).map_err(raise)?;
    Ok((found.class, found.decided))
}
