//! The rule that plans a second round of pairs on an input from the answers on the first.
//!
//! Of the pairs that are planned in each cell of an input a part comes first. What h answered on
//! these says more of the input than other inputs did, and the rest of its pairs, as many
//! evaluations as were planned, follows it: the rest is as planned, or spread and tilted anew,
//! whichever is expected to prove more.
//!
//! A certificate is valid whatever the rule is, as long as the rest is a function of the first
//! answers and of what was fixed before them (`SOUNDNESS.md`, section 4). [`Plan::rest`] is one, by
//! its arguments. Prover and checker call it, so that a rest which was chosen otherwise is found;
//! how good a rest it gives is not a question of soundness. To agree on every processor it uses the
//! operations that IEEE 754 rounds correctly, and [`recert_num::directed`]'s functions alone.

mod lattice;
mod scene;

use scene::Scene;

/// The number of cells of f's codes: five for samples that f answered with the class, by margin
/// bucket (0, 1, 2, 3, higher), then five for those that it answered otherwise.
pub const CELLS: usize = 10;

/// A number for each cell.
pub type ByCell<T> = [T; CELLS];

/// The tilts of some pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tilts {
    /// The tilt of each cell, from 1e-12 to 1e12.
    pub cells: ByCell<f64>,
    /// The step of the lattice; 0 without one.
    pub step: f64,
    /// For each cell the power of `1 + step` that 1 and its tilt are; 0 outside of the lattice.
    pub multiples: ByCell<u8>,
}

/// What is fixed of an input's pairs before h answers any of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// f's samples.
    pub n: u64,
    /// How many of them are in each cell.
    pub samples: ByCell<u64>,
    /// The failure probability of the bound.
    pub alpha: f64,
    /// The tilt of f's codes.
    pub tilt: f64,
    /// The probability with which h is expected to answer the class in each cell.
    pub expected: ByCell<f64>,
    /// The pairs of each cell, in both rounds together.
    pub pairs: ByCell<u64>,
    /// Their tilts, in the first round and, where the rest is as planned, in the second.
    pub tilts: Tilts,
}

/// The second round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rest {
    /// The pairs of each cell beside those of the first round.
    pub pairs: ByCell<u64>,
    /// Their tilts.
    pub tilts: Tilts,
}

/// The first round has one in this many of each cell's pairs, and
const SHARE: u64 = 10;

/// at least so many of them.
const LEAST: u64 = 20;

/// There is one round where the second would have less than half of the pairs, or where fewer of
/// the first's answers than this are expected to be against f's: they would teach too little for
/// what the bound in two rounds gives up.
const TELLING: f64 = 1.0;

/// How much more a rest spread anew has to promise than the planned one, in the exponent: what it is
/// best for was estimated.
const MARGIN: f64 = 0.05;

/// How many pairs the expected rates count as, by margin bucket.
const WEIGHTS: [f64; CELLS / 2] = [8.0, 8.0, 12.0, 20.0, 60.0];

impl Plan {
    /// The pairs of the first round, or `None` where there is one round alone. `known` are the
    /// pairs of each cell that h has answered before.
    pub fn first(&self, known: &ByCell<u64>) -> Option<ByCell<u64>> {
        let first: ByCell<u64> = std::array::from_fn(|s| {
            let least = self.pairs[s].div_ceil(SHARE).max(LEAST).max(known[s]);
            least.min(self.pairs[s])
        });
        let sum = |pairs: &ByCell<u64>| pairs.iter().fold(0_u64, |sum, m| sum.saturating_add(*m));
        let against = |s: usize| self.expected[s].min(1.0 - self.expected[s]);
        let telling: f64 = (0..CELLS).map(|s| first[s] as f64 * against(s)).sum();
        let apart = sum(&first) <= sum(&self.pairs) / 2 && sum(&first) > 0;
        (apart && telling >= TELLING).then_some(first)
    }

    /// The second round, where h answered `own[s]` of the first round's `first[s]` pairs of each
    /// cell with the class: the best by expected value of the planned rest and one spread anew,
    /// with and without a lattice.
    pub fn rest(&self, first: &ByCell<u64>, own: &ByCell<u64>) -> Rest {
        let scene = Scene::new(self, first, own);
        let planned = Rest {
            pairs: std::array::from_fn(|s| self.pairs[s].saturating_sub(first[s])),
            tilts: self.tilts,
        };
        let mut best = (scene.value(&planned) + MARGIN, planned);
        let spread = scene.spread(planned.pairs.iter().sum());
        let anew = spread.map(|pairs| (scene.free(pairs), scene.laid(&pairs)));
        for rest in anew
            .into_iter()
            .flat_map(|(free, laid)| [free].into_iter().chain(laid))
        {
            let value = scene.value(&rest);
            if value > best.0 {
                best = (value, rest);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 samples of which h is expected to lose few.
    fn plan() -> Plan {
        Plan {
            n: 96_875,
            samples: [
                3_000, 3_100, 6_000, 9_000, 57_000, 2_600, 2_000, 3_000, 4_000, 7_000,
            ],
            alpha: 0.002,
            tilt: 0.02,
            expected: [0.8, 0.9, 0.95, 0.98, 0.999, 0.2, 0.1, 0.05, 0.02, 0.001],
            pairs: [900, 800, 1_000, 1_200, 3_000, 700, 400, 400, 300, 300],
            tilts: Tilts {
                cells: [0.1, 0.1, 0.15, 0.2, 0.6, 0.1, 0.1, 0.15, 0.3, 0.5],
                step: 0.1,
                multiples: [1, 1, 0, 0, 0, 1, 1, 0, 0, 0],
            },
        }
    }

    /// The counts of the first round if h answers as expected in each cell.
    fn expected(plan: &Plan, first: &ByCell<u64>) -> ByCell<u64> {
        std::array::from_fn(|s| (first[s] as f64 * plan.expected[s]).round() as u64)
    }

    #[test]
    fn the_first_round_is_a_tenth_and_has_what_is_known() {
        let plan = plan();
        let mut known = [0; CELLS];
        known[4] = 350;
        known[9] = 400;
        let first = plan.first(&known).unwrap();
        assert_eq!(first, [90, 80, 100, 120, 350, 70, 40, 40, 30, 300]);
        // Most of the pairs are known already.
        known[4] = 3_000;
        known[2] = 1_000;
        assert_eq!(plan.first(&known), None);
        // h is expected to answer as f does.
        let expected = std::array::from_fn(|s| if s < 5 { 1.0 - 1e-6 } else { 1e-6 });
        assert_eq!(Plan { expected, ..plan }.first(&[0; CELLS]), None);
        let few = Plan {
            pairs: [3; CELLS],
            ..plan
        };
        assert_eq!(few.first(&[0; CELLS]), None);
    }

    #[test]
    fn the_rest_costs_what_was_planned_and_follows_the_answers() {
        let plan = plan();
        let first = plan.first(&[0; CELLS]).unwrap();
        let own = expected(&plan, &first);
        let before = plan.rest(&first, &own);
        // Far more is lost in the widest cell than was expected.
        let mut lost = own;
        lost[4] -= 40;
        let after = plan.rest(&first, &lost);
        assert!(after.pairs[4] > 2 * before.pairs[4], "{before:?} {after:?}");
        for rest in [before, after] {
            let costs: u64 = rest.pairs.iter().chain(&first).sum();
            assert_eq!(costs, plan.pairs.iter().sum::<u64>());
            let tilts = rest.tilts.cells.iter();
            assert!(tilts.clone().all(|tilt| (plan.tilt..=1e12).contains(tilt)));
            let room = (0..CELLS).all(|s| first[s] + rest.pairs[s] <= plan.samples[s]);
            assert!(room, "{rest:?}");
            let laid = rest.tilts.multiples != [0; CELLS];
            assert_eq!(laid, rest.tilts.step > 0.0);
        }
    }

    #[test]
    fn a_plan_that_suits_is_kept() {
        // One cell, at the best tilt for its pairs: nothing can be spread otherwise.
        let only = |number: u64| std::array::from_fn(|s| if s == 0 { number } else { 0 });
        let (samples, pairs, own, tilt) = (90_000.0, 5_000.0, 0.9, 0.02);
        let pull: f64 = samples * tilt / (1.0 + tilt * own) / pairs;
        let step = pull / (1.0 - pull * own);
        let plan = Plan {
            samples: only(90_000),
            expected: [own; CELLS],
            pairs: only(5_000),
            tilts: Tilts {
                cells: [step; CELLS],
                step,
                multiples: only(1).map(|multiple| multiple as u8),
            },
            ..plan()
        };
        let kept = Rest {
            pairs: only(4_500),
            tilts: plan.tilts,
        };
        assert_eq!(plan.rest(&only(500), &only(450)), kept);
        assert_ne!(plan.rest(&only(500), &only(300)), kept);
    }

    /// Ledgers hold what follows from the rule: another rule needs a name of its own in them.
    #[test]
    fn the_rule_is_what_ledgers_were_made_by() {
        let plan = plan();
        let first = plan.first(&[0; CELLS]).unwrap();
        let own = expected(&plan, &first);
        let mut lost = own;
        lost[4] -= 40;
        let mut gained = own;
        gained[6] += 20;
        let made = [own, lost, gained].map(|own| {
            let rest = plan.rest(&first, &own);
            let tilts = rest.tilts.cells.map(f64::to_bits);
            let folded = tilts
                .iter()
                .fold(0, |sum: u64, bits| sum.rotate_left(7) ^ bits);
            (
                rest.pairs,
                rest.tilts.multiples,
                rest.tilts.step.to_bits(),
                folded,
            )
        });
        let known = [
            (
                [943, 1_001, 1_004, 1_031, 1_449, 808, 643, 470, 616, 135],
                [1, 1, 2, 3, 22, 1, 1, 2, 2, 12],
                4_588_229_586_176_658_720,
                17_708_218_002_011_365_256,
            ),
            (
                [301, 323, 344, 375, 6_008, 239, 188, 129, 168, 25],
                [1, 1, 2, 3, 1, 1, 1, 2, 2, 10],
                4_596_216_514_764_887_368,
                4_385_969_867_892_756_668,
            ),
            (
                [946, 1_005, 1_008, 1_035, 1_425, 811, 658, 472, 619, 121],
                [1, 1, 2, 3, 22, 1, 1, 2, 2, 13],
                4_588_224_074_252_419_584,
                1_905_973_402_002_083_334,
            ),
        ];
        assert_eq!(made, known);
    }

    #[test]
    fn a_tilt_above_all_bounds_is_no_panic() {
        let plan = Plan {
            tilt: 1.02e9,
            expected: [1e-300; CELLS],
            pairs: plan().samples.map(|samples| samples - 1),
            ..plan()
        };
        let first = plan.first(&[0; CELLS]).unwrap_or([20; CELLS]);
        for own in [[0; CELLS], first] {
            let rest = plan.rest(&first, &own);
            assert!(rest.tilts.cells.iter().all(|tilt| !tilt.is_nan()));
        }
    }

    #[test]
    fn nothing_makes_the_rule_fail() {
        let extremes = [0, 1, u64::from(u32::MAX), 1 << 40];
        for pairs in extremes {
            for tilt in [1e-12, 1e-3, 1e12] {
                for expected in [1e-300, 0.5, 1.0 - 1e-16] {
                    let plan = Plan {
                        samples: [pairs; CELLS],
                        tilt,
                        expected: [expected; CELLS],
                        pairs: [pairs; CELLS],
                        ..plan()
                    };
                    let first = plan.first(&[0; CELLS]).unwrap_or([pairs / 2; CELLS]);
                    for own in [[0; CELLS], first] {
                        let rest = plan.rest(&first, &own);
                        let fits = (0..CELLS).all(|s| rest.pairs[s] <= pairs);
                        assert!(fits && rest.tilts.cells.iter().all(|tilt| !tilt.is_nan()));
                    }
                }
            }
        }
    }
}
