//! A second round of pairs: what it had to be by the answers on the first.
//!
//! The bound in two rounds holds if the second follows from the first's answers and from what was
//! fixed before them, by whatever rule. The rule itself is `recert-second`'s, which prover and
//! checker call: a second implementation could show no more than that both are the same function.

use recert_second::{ByCell, CELLS, Plan, Tilts};
use serde_json::{Value as Json, json};

use crate::arithmetic::Coded;
use crate::derived::{Wrong, recorded};
use crate::free::FirstRound;

/// The first round, as recorded and in its range.
pub(super) struct First {
    pub(super) pairs: ByCell<u64>,
    plan: Plan,
}

/// The pairs of each cell, of all rounds, and the tilts of the last one.
pub(super) struct Design {
    /// The cells of the first round; empty where there was one.
    pub(super) first: Vec<Coded>,
    pub(super) pairs: ByCell<u64>,
    pub(super) tilts: ByCell<f64>,
    /// The step and the powers of the cells that are on a lattice.
    pub(super) lattice: Option<(f64, ByCell<u64>)>,
}

impl First {
    /// Reads the first round on an input with these samples.
    pub(super) fn read(
        free: &FirstRound,
        (n, samples): (u64, ByCell<u64>),
        (tilt, alpha): (f64, f64),
    ) -> Result<Self, Wrong> {
        let expected = recorded(free.expected, "first.expected, 10 numbers above 0")?;
        let pairs = recorded(free.pairs, "first.pairs, 10 counts")?;
        let planned = recorded(free.planned, "first.planned, 10 counts")?;
        let tilts = recorded(free.tilts, "first.tilts, 10 numbers above 0")?;
        let multiples = recorded(free.multiples, "first.multiples, 10 counts")?;
        let step = recorded(free.step, "first.step, a number")?;
        let fits = (0..CELLS).all(|s| {
            pairs[s] <= planned[s]
                && planned[s] <= samples[s]
                && expected[s] < 1.0
                && (1e-12..=1e12).contains(&tilts[s])
                && multiples[s] <= 64
        });
        let laid = multiples.iter().any(|&multiple| multiple > 0);
        if !fits || !(0.0..=1e12).contains(&step) || laid != (step > 0.0) {
            let form = "first, a part of the planned samples, with probabilities below 1, tilts in \
                        [1e-12, 1e12], and multiples up to 64 where there is a step";
            return Err(("counts", form.to_owned()));
        }
        let plan = Plan {
            n,
            samples,
            alpha,
            tilt,
            expected,
            pairs: planned,
            tilts: Tilts {
                cells: tilts,
                step,
                multiples: multiples.map(|multiple| multiple as u8),
            },
        };
        // The pairs of the pilot may raise what the plan makes of its own.
        if plan.first(&pairs) != Some(pairs) {
            let form =
                "first.pairs, of each cell at least the share that a first round has of planned";
            return Err(("counts", form.to_owned()));
        }
        Ok(Self { pairs, plan })
    }

    /// The first round as the counts hold it, where h answered `own` with the class.
    pub(super) fn counts(&self, own: &ByCell<u64>) -> Json {
        let plan = &self.plan;
        json!({
            "expected": plan.expected, "own": own, "pairs": self.pairs, "planned": plan.pairs,
            "tilts": plan.tilts.cells, "multiples": plan.tilts.multiples, "step": plan.tilts.step,
        })
    }
}

impl Design {
    /// Both rounds, where h answered `own` of the first with the class.
    pub(super) fn after(first: &First, own: &ByCell<u64>) -> Self {
        let (plan, pairs) = (&first.plan, &first.pairs);
        let rest = plan.rest(pairs, own);
        let cell = |s: usize| Coded {
            samples: plan.samples[s],
            pairs: pairs[s],
            own: own[s],
            tilt: plan.tilts.cells[s],
        };
        let multiples = rest.tilts.multiples.map(u64::from);
        Self {
            first: (0..CELLS).map(cell).collect(),
            pairs: std::array::from_fn(|s| pairs[s] + rest.pairs[s]),
            tilts: rest.tilts.cells,
            lattice: (rest.tilts.step > 0.0).then_some((rest.tilts.step, multiples)),
        }
    }
}
