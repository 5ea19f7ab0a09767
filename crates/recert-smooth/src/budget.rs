//! Deciding where h's evaluations go, before any of them is made.
//!
//! Nothing here has to be right for a certificate to hold. What has to hold is
//! *what the decisions look at* (`SOUNDNESS.md`, section 4): on input i they see
//! the selection samples, f's codes (at first those of the early samples alone, on
//! which h never runs), and how often h disagreed with f on *other*
//! inputs; never an answer of h on input i, never a label.
//!
//! - `rates`: how often h is likely to leave c, from the other inputs;
//! - `cells`: the cells that f's codes make, and what pairs in them are worth;
//! - `curve`: the radius expected of an input against the evaluations spent on
//!   it, for each [`Design`];
//! - `allocate`: a total spent where the next evaluation gains most;
//! - `pick`: the samples that a design takes;
//! - [`Study`]: all of it together, one [`Design`] an input.

mod allocate;
mod cells;
mod curve;
mod pick;
mod rates;
mod study;

use serde::{Deserialize, Serialize};

pub use allocate::{Allocation, allocate, allocate_to_reach};
pub use cells::{ByCell, CELLS, Tilts, cell};
pub(crate) use cells::{OWN, Outlook, cell_of, count_cells};
pub use curve::{Curve, Levels, Point, Subject, early};
pub(crate) use pick::{Picked, Picker};
pub use rates::{Pilot, Rates};
pub use study::{Choice, Forecast, Goal, Study};

/// Which samples of an input h runs on, and with it which bound is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Design {
    /// None: f's codes promise no certificate worth its price.
    Nothing,
    /// Fresh samples, that f never saw: h by itself.
    Fresh {
        /// How many.
        samples: u64,
    },
    /// The first late samples, whatever f answered: for a certificate of both sides.
    Both {
        /// How many.
        pairs: u64,
    },
    /// The first late samples that f answered with c.
    Loss {
        /// How many.
        pairs: u64,
    },
    /// The first late samples of each cell.
    Cells {
        /// How many.
        pairs: ByCell<u64>,
    },
}

/// Which kind of design an input gets. Fixed before f's code on any late sample is
/// looked at; how many samples of which code, is decided by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// [`Design::Both`]; even its number of samples is fixed before.
    Both,
    /// [`Design::Fresh`].
    Fresh,
    /// [`Design::Loss`]: decisions look at whether f answered c, and no further.
    Loss,
    /// [`Design::Cells`].
    Cells,
}

impl Design {
    /// Evaluations of h.
    pub fn cost(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Fresh { samples } => samples,
            Self::Both { pairs } | Self::Loss { pairs } => pairs,
            Self::Cells { pairs } => pairs.iter().sum(),
        }
    }

    /// The same samples and more, or fewer, of each code.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |count: u64| (count as f64 * factor).ceil() as u64;
        match self {
            Self::Nothing => Self::Nothing,
            Self::Fresh { samples } => Self::Fresh {
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
