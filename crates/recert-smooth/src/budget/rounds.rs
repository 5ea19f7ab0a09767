//! The two rounds of an input's pairs: what of a design comes first, and what the answers on it
//! make of the rest.
//!
//! The rest is a function of h's first answers on the input, of f's codes, and of the choice that
//! was made before either round: [`recert_second`] has the rule.

use recert_num::Alpha;
use recert_second::{Plan, Rest};

use super::{ByCell, Choice, Design, Subject};

/// A design of cells in two rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounds {
    /// What was fixed before the first round.
    pub plan: Plan,
    /// The pairs of each cell in the first round.
    pub first: ByCell<u64>,
}

impl Choice {
    /// The two rounds of the design on the input `subject`, whose bound by the tail fails with
    /// probability at most `alpha`; `None` for a design that is evaluated at once.
    #[must_use]
    pub fn rounds(&self, subject: &Subject, alpha: Alpha) -> Option<Rounds> {
        let Design::Cells { pairs } = self.design else {
            return None;
        };
        let tilts = self.tilts;
        let laid = tilts.multiples.iter().any(|&multiple| multiple > 0);
        let plan = Plan {
            n: subject.n,
            samples: subject.cells,
            alpha: alpha.get(),
            tilt: tilts.codes,
            expected: subject.outlook(&self.rates).own,
            pairs,
            tilts: recert_second::Tilts {
                cells: tilts.cells,
                step: if laid { tilts.step } else { 0.0 },
                multiples: tilts.multiples,
            },
        };
        let first = plan.first(&subject.piloted)?;
        Some(Rounds { plan, first })
    }
}

impl Rounds {
    /// The first round.
    #[must_use]
    pub fn design(&self) -> Design {
        Design::Cells { pairs: self.first }
    }

    /// The second round, where h answered `own` of the first round's pairs with the class.
    #[must_use]
    pub fn rest(&self, own: &ByCell<u64>) -> Rest {
        self.plan.rest(&self.first, own)
    }

    /// Both rounds together, where the second is `rest`.
    #[must_use]
    pub fn whole(&self, rest: &Rest) -> Design {
        Design::Cells {
            pairs: std::array::from_fn(|s| self.first[s] + rest.pairs[s]),
        }
    }
}
