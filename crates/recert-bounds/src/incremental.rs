//! Recertification of a changed network from what is known of the network it was made from.
//!
//! Bounds of f on a region and bounds of the difference `h - f` there, which take one forward
//! pass, give bounds of h in three ways, each dearer and tighter than the one before:
//!
//! 1. *Margins*: f's lower bounds of the property's rows, less what the rows can lose by the
//!    difference. No backward pass. Where only the last layer changed, this looks at that layer
//!    alone.
//! 2. *Values*: f's bounds of the values before each activation, widened by the difference, are
//!    such bounds of h; one backward pass for the rows follows.
//! 3. *Layers*: backward passes for the neurons that the widened bounds leave unstable, and for
//!    the rows: CROWN on h, of fewer neurons than from scratch.
//!
//! What is returned holds of h alone, as if nothing were known of f, as long as what is known
//! of f is true.
//!
//! Sources: reuse of a proof for networks that approximate each other goes back to Ugare, Singh and
//! Misailovic, "Proof transfer for fast certification of multiple approximate neural networks",
//! OOPSLA 2022 (FANC); bounds of differences to [ReluDiff](https://doi.org/10.1145/3377811.3380337).

mod difference;
mod recorded;

use self::difference::{Difference, difference, of_rows};
use crate::bounds::Bounds;
use crate::crown::{check_rows, crown_relaxation, lower};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::options::Options;
use crate::property::Property;
use crate::region::Region;
use crate::relaxation::Relaxation;
use crate::slopes::Slopes;

pub use self::recorded::recorded;

/// What an earlier verification found out about a network on a region.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The network.
    pub network: &'a Network,
    /// Bounds of its values on the region, as [`crate::crown`] returns.
    pub bounds: &'a Bounds,
    /// Lower bounds of the property's rows on the region, as [`crate::lower`] returns.
    pub lower: &'a [f64],
    /// The slopes that these were found with; they are tried first for the changed network.
    pub slopes: &'a Slopes,
}

impl Network {
    /// Checks that another network has the same layers but for their numbers, as [`transfer`] needs.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Argument`] with the first node that differs.
    pub fn check_same_layers(&self, other: &Self) -> Result<()> {
        difference::comparable(self, other)
    }
}

/// What of the known bounds was enough, or was tried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reuse {
    /// The bounds of the rows, less the difference: no backward pass.
    Margins,
    /// The bounds of values, widened by the difference: one backward pass.
    Values,
    /// Only the stable neurons: backward passes for all others.
    Layers,
}

/// Bounds of a changed network, from what was known of another.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transferred {
    /// Lower bounds of the property's rows.
    pub lower: Vec<f64>,
    /// Bounds of the changed network's values. After [`Reuse::Margins`] they are the widened
    /// ones too, so that the next change can start from them.
    pub bounds: Bounds,
    /// What they come from.
    pub by: Reuse,
    /// How many rows were carried backwards, over all layers: what the transfer cost.
    pub rows: usize,
}

/// Recertifies a changed network: tries to prove the property by ever more work, up to `most`, and
/// returns the first that proves it, or the last.
///
/// ```
/// use recert_bounds::{Known, Network, Options, Property, Region, Reuse, Slopes, Within};
/// use recert_bounds::{crown, lower, transfer};
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
/// let region = Region::linf(&vec![0.5; network.inputs()], 1e-4)?;
/// let outputs = network.evaluate(&vec![0.5; network.inputs()]);
/// let class = (0..outputs.len()).max_by(|&i, &j| outputs[i].total_cmp(&outputs[j]));
/// let property = Property::label(outputs.len(), class.unwrap())?;
///
/// let (slopes, options) = (Slopes::default(), Options::default());
/// let bounds = crown(&network, &region, options)?;
/// let lower = lower(&network, &region, &bounds, &property.rows(), &slopes, options)?;
/// assert!(property.verified(&lower));
///
/// let known = Known { network: &network, bounds: &bounds, lower: &lower, slopes: &slopes };
/// let changed = network.rounded(Within::Bf16)?;
/// let result = transfer(known, &changed, &region, &property, Reuse::Layers, options)?;
/// assert!(property.verified(&result.lower));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the networks do not have the same layers, with the first
/// node that differs, or what is known does not fit network and property; otherwise as
/// [`crate::crown`].
pub fn transfer(
    known: Known<'_>,
    changed: &Network,
    region: &Region,
    property: &Property,
    most: Reuse,
    options: Options,
) -> Result<Transferred> {
    region.check(known.network.inputs())?;
    known.bounds.check(known.network)?;
    let rows = property.rows();
    check_rows(known.network, &rows)?;
    if known.lower.len() != rows.len() {
        return Err(Error::argument(format!(
            "{} known bounds for a property of {} rows",
            known.lower.len(),
            rows.len()
        )));
    }
    let found = difference(known.network, changed, known.bounds)?;
    let mut result = Transferred {
        lower: vec![f64::NEG_INFINITY; rows.len()],
        bounds: widened(known.bounds, found.as_ref(), changed),
        by: Reuse::Margins,
        rows: 0,
    };
    if let Some(found) = &found {
        let lost = of_rows(known.network, changed, known.bounds, found, &rows);
        result.lower = add_lower(known.lower, &lost);
    }
    if most == Reuse::Margins || property.verified(&result.lower) {
        return Ok(result);
    }
    result.bounds = intersected(changed, region, &result.bounds)?;
    if found.is_some() {
        result.by = Reuse::Values;
        result.rows += rows.len();
        let again = lower(
            changed,
            region,
            &result.bounds,
            &rows,
            known.slopes,
            options,
        )?;
        keep_larger(&mut result.lower, &again);
        if most == Reuse::Values || property.verified(&result.lower) {
            return Ok(result);
        }
    }
    result.by = Reuse::Layers;
    let (relaxation, carried) =
        crown_relaxation(changed, region, Some(&result.bounds), true, options)?;
    result.bounds = relaxation.bounds;
    result.rows += carried + rows.len();
    let again = lower(
        changed,
        region,
        &result.bounds,
        &rows,
        known.slopes,
        options,
    )?;
    keep_larger(&mut result.lower, &again);
    Ok(result)
}

/// Bounds of the changed network's values: known ones with the difference added, infinite where
/// nothing is known of that.
fn widened(known: &Bounds, found: Option<&Difference>, changed: &Network) -> Bounds {
    let Some(found) = found else {
        let infinite = |sign: f64| {
            let layouts = changed.layouts.iter();
            layouts
                .map(|layout| vec![sign * f64::INFINITY; layout.len()])
                .collect()
        };
        return Bounds {
            lower: infinite(-1.0),
            upper: infinite(1.0),
        };
    };
    let negated = |values: &[f64]| values.iter().map(|value| -value).collect::<Vec<_>>();
    let lower = known.lower.iter().zip(&found.lower);
    let upper = known.upper.iter().zip(&found.upper);
    Bounds {
        lower: lower.map(|(a, b)| add_lower(a, b)).collect(),
        upper: upper
            .map(|(a, b)| negated(&add_lower(&negated(a), &negated(b))))
            .collect(),
    }
}

/// Bounds of a network's values that hold, intersected with its intervals.
fn intersected(network: &Network, region: &Region, bounds: &Bounds) -> Result<Bounds> {
    let mut relaxation = Relaxation::begun(network, region)?;
    for (position, step) in network.steps.iter().enumerate() {
        relaxation.push(position);
        let made = step.output;
        relaxation.tighten(made, &bounds.lower[made], &bounds.upper[made]);
    }
    Ok(relaxation.bounds)
}

/// Sums of lower bounds, rounded down; minus infinity where one is no number.
fn add_lower(a: &[f64], b: &[f64]) -> Vec<f64> {
    let pairs = a.iter().zip(b);
    let sums = pairs.map(|(&a, &b)| recert_num::directed::add_down(a, b));
    sums.map(|sum| if sum.is_nan() { f64::NEG_INFINITY } else { sum })
        .collect()
}

fn keep_larger(lower: &mut [f64], again: &[f64]) {
    for (lower, again) in lower.iter_mut().zip(again) {
        if *again > *lower {
            *lower = *again;
        }
    }
}

#[cfg(test)]
mod tests;
