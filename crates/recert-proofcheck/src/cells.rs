//! Cells of a transformation's parameters, each bounded again.

use crate::forward;
use crate::network::Network;
use crate::ranges::Ranges;
use crate::recompute::{NotComputed, margins, slack};
use crate::row::{Free, Work};
use crate::transform::Original;
use crate::vnnlib::Property;
use recert_ledger::{Proof, ProvedCell};

/// What is derived of the cells of one result.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// How many of them are proved.
    pub proved: u64,
    /// How many are not, by the bounds that are derived here.
    pub open: u64,
    /// The least margin that is derived; minus infinity where a cell is not bounded at all.
    pub margin: f64,
    /// The first cell whose margin is above one at parameters in it: its number, its margin and the
    /// margin there.
    pub refuted: Option<(usize, f64, f64)>,
}

/// The most parameters of which all corners of a cell are looked at.
const MOST_CORNERS: usize = 4;

/// Bounds the smallest margin over each cell of parameters, with the usual slopes and nothing that
/// a proof claims. `most` is the number of products that it may take in all.
///
/// Pixels are bounded by ranges and by lines in the parameters, values forward as functions of the
/// parameters, and where that does not prove a cell, neurons backward, one by one.
///
/// # Errors
/// [`NotComputed::Wrong`] for cells that are none of the transformation, or a network of other
/// images; [`NotComputed::TooLarge`].
pub fn recompute_cells(
    network: &Network,
    original: &Original<'_>,
    property: &Property,
    cells: &[ProvedCell],
    most: u64,
) -> Result<Cells, NotComputed> {
    let sizes = [original.len(), property.outputs];
    if sizes != [network.inputs(), network.outputs()] {
        return Err(NotComputed::Wrong("is of another network".into()));
    }
    let mut work = Work(most / 2);
    // What bounding neurons one by one may take, of each cell.
    let share = most / 2 / cells.len().max(1) as u64;
    let mut all = Cells {
        proved: 0,
        open: 0,
        margin: f64::INFINITY,
        refuted: None,
    };
    let nothing = Proof::default();
    for (number, cell) in cells.iter().enumerate() {
        let Some(region) = original.region(&cell.ends) else {
            return Err(NotComputed::Wrong("has a cell of other parameters".into()));
        };
        let Some(lines) = &region.lines else {
            return Err(NotComputed::Wrong("has a cell without lines".into()));
        };
        let ranges = forward::ranges(network, &region, lines, &mut work)?;
        let found = margins(network, &region, property, &nothing, &ranges, &mut work)?;
        let mut margin = found.margin;
        if margin <= 0.0 {
            let mut work = Work(share);
            let bounded = Ranges::on(network, &region, &[Free::default()], &mut work);
            let found = bounded.and_then(|bounded| {
                let both = bounded.meet(&ranges);
                margins(network, &region, property, &nothing, &both, &mut work)
            });
            // Where that is too much, the cell stays as it is.
            margin = found.map_or(margin, |found| margin.max(found.margin));
        }
        if margin > 0.0 {
            all.proved += 1;
        } else {
            all.open += 1;
        }
        all.margin = all.margin.min(margin);
        if all.refuted.is_none() {
            let seen = points(&cell.ends).map(|parameters| {
                let values = network.evaluate(&original.at(&parameters));
                property.excess(&values[network.output])
            });
            let seen = seen.fold(f64::INFINITY, f64::min);
            if cell.margin > seen + slack(seen) {
                all.refuted = Some((number, cell.margin, seen));
            }
        }
    }
    Ok(all)
}

/// The middle of a cell, and its corners where there are not many parameters.
fn points(ends: &[[f64; 2]]) -> impl Iterator<Item = Vec<f64>> {
    let corners = if ends.len() <= MOST_CORNERS {
        1_usize << ends.len()
    } else {
        0
    };
    let corner = |number: usize| {
        let sides = ends.iter().enumerate();
        sides.map(move |(i, ends)| ends[number >> i & 1]).collect()
    };
    let middle = ends.iter().map(|[low, high]| low.midpoint(*high)).collect();
    std::iter::once(middle).chain((0..corners).map(corner))
}
