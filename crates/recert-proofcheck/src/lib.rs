//! Bounds of verified results computed again from their proofs, by code of its own.
//!
//! A result by bounds states a margin, and its proof holds what makes the margin cheap to
//! check: bounds of neurons, slopes, splits, multipliers. [`recompute`] believes none of it. It
//! bounds every neuron again, layer by layer, from the network and the region alone, takes
//! slopes and multipliers as free parameters with which any bound holds, sees to it that the
//! splits leave nothing out, and bounds the margins from that. [`Region`] decides whether a
//! counterexample lies where it must.
//!
//! It shares no code with what makes proofs (`recert-bounds`) but the reading of networks
//! (`recert-graph`), the proofs' format (`recert-ledger`) and directed rounding (`recert-num`).
//! It is written to be read, not to be fast: one row at a time, in f64, every rounding charged
//! where it happens (`SOUNDNESS.md`, "Deterministic bounds", "Checked again").
//!
//! | file | concern |
//! |---|---|
//! | `distance` | a distance as it is written, exactly |
//! | `region` | where inputs are, and whether a point is among them |
//! | `network`, `network/` | a graph as linear steps and curves |
//! | `curve` | the range of a curve, and lines below and above it |
//! | `row` | the lower bound of one linear function of a value |
//! | `ranges` | bounds of all values |
//! | `vnnlib`, `vnnlib/` | what VNN-LIB files state |
//! | `transform`, `transform/` | pixels of transformed images, over a cell of parameters |
//! | `forward` | ranges of all values as functions of these parameters |
//! | `cells` | the margins of a transformation's cells |
//! | `recompute` | the margins of a result, and what its proof claims |
#![forbid(unsafe_code)]

mod cells;
mod curve;
mod distance;
mod forward;
mod network;
mod ranges;
mod recompute;
mod region;
mod row;
mod transform;
mod vnnlib;

pub use cells::{Cells, recompute_cells};
pub use distance::Distance;
pub use network::{Network, Unsupported};
pub use recompute::{
    MOST_TERMS, NotComputed, Recomputed, Tighter, recompute, recompute_property, slack,
};
pub use region::{Membership, Region};
pub use transform::{Original, Transformation};
pub use vnnlib::{Property, Query, read_vnnlib};
