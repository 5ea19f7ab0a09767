//! Deciding on which samples h runs, before any of them is evaluated.
//!
//! No certificate depends on these decisions being good. Certificates do depend on *what
//! the decisions look at* (`SOUNDNESS.md`, section 4). For input i that is: the selection
//! samples; f's codes (at first only those of the early samples, on which h never runs); and
//! how often h disagreed with f on *other* inputs. It is never an answer of h on input i, and
//! never a label.
//!
//! - `rates`: how often h is likely to leave the class c, learned from other inputs;
//! - `cells`: the cells of f's codes, and what pairs in them are worth;
//! - [`Subject`]: the counts of an input that decisions depend on;
//! - `radius`: the radius to expect from a number of samples;
//! - `curve`: the expected radius of an input as a function of the evaluations spent on it,
//!   for each [`Design`];
//! - `allocate`: spending a budget where the next evaluation gains most;
//! - `pick`: the samples that a design takes;
//! - [`Study`]: all of this together, which gives each input its [`Design`].

mod allocate;
mod cells;
mod curve;
mod pick;
mod radius;
mod rates;
mod rounds;
mod study;
mod subject;
mod tail;

use serde::{Deserialize, Serialize};

pub use allocate::{Allocation, allocate, allocate_to_reach};
pub use cells::{ByCell, CELLS, Tilts, cell};
pub(crate) use cells::{OWN, Outlook, cell_of, count_cells};
pub use curve::{Curve, Point};
pub(crate) use pick::{Picked, Picker};
pub(crate) use radius::quantile;
pub use rates::{Pilot, Rates};
pub use rounds::Rounds;
pub use study::{Choice, Forecast, Goal, Study};
pub use subject::{Levels, Subject, early};

/// Which samples of an input h runs on, and thereby which bound is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Design {
    /// No samples: no certificate is expected that is worth its cost.
    Nothing,
    /// Fresh samples, which f has not answered. The bound uses h's answers alone.
    Fresh {
        /// The number of samples.
        samples: u64,
    },
    /// Fresh samples, for a two-sided certificate from h's answers alone.
    FreshBoth {
        /// The number of samples.
        samples: u64,
    },
    /// The first late samples, whatever f answered, for a two-sided certificate.
    Both {
        /// The number of samples.
        pairs: u64,
    },
    /// The first late samples that f answered with c.
    Loss {
        /// The number of samples.
        pairs: u64,
    },
    /// The first late samples of each cell.
    Cells {
        /// The number of samples of each cell.
        pairs: ByCell<u64>,
    },
}

/// The kind of design that an input gets. It is fixed before f's code on any late sample is
/// looked at. The number of samples may then depend on the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// [`Design::Both`]; its number of samples too is fixed before any code is looked at.
    Both,
    /// [`Design::Fresh`].
    Fresh,
    /// [`Design::FreshBoth`].
    FreshBoth,
    /// [`Design::Loss`]: decisions look only at whether f answered c.
    Loss,
    /// [`Design::Cells`], for the bound [`tail`](crate::bound::tail()).
    Tail,
    /// [`Design::Cells`], for the bound [`cells`](crate::bound::cells()), which holds after every
    /// round.
    Cells,
}

impl Design {
    /// The number of evaluations of h.
    pub fn cost(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Fresh { samples } | Self::FreshBoth { samples } => samples,
            Self::Both { pairs } | Self::Loss { pairs } => pairs,
            Self::Cells { pairs } => pairs.iter().sum(),
        }
    }

    /// The design with its numbers of samples multiplied by `factor`, rounded up.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |count: u64| (count as f64 * factor).ceil() as u64;
        match self {
            Self::Nothing => Self::Nothing,
            Self::Fresh { samples } => Self::Fresh {
                samples: scale(samples),
            },
            Self::FreshBoth { samples } => Self::FreshBoth {
                samples: scale(samples),
            },
            Self::Both { pairs } => Self::Both {
                pairs: scale(pairs),
            },
            Self::Loss { pairs } => Self::Loss {
                pairs: scale(pairs),
            },
            Self::Cells { pairs } => Self::Cells {
                pairs: pairs.map(scale),
            },
        }
    }
}
