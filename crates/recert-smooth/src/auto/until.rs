//! Recertifying each input until a given radius is reached.
//!
//! The samples planned for the radius are evaluated in rounds. After each round, bounds that
//! hold after all rounds at once decide whether the input is done.

use std::collections::BTreeMap;

use recert_ledger::{self as ledger, Evidence, NetworkId};
use recert_num::Radius;

use super::Auto;
use super::part::Part;
use crate::budget::{CELLS, Choice, Design};
use crate::run::collect_chosen;
use crate::until::AcrossRounds;
use crate::{Error, Outcome, Run};

/// The number of samples of an input evaluated after each round of a run that stops at a
/// radius, as a multiple of the number planned.
pub const ROUNDS: [f64; 8] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0];

impl Auto {
    /// As [`Auto::goal`], for the goal of a radius for each input.
    pub(super) fn until(radius: Radius) -> (u64, ledger::Goal) {
        (0, ledger::Goal::Until(radius.get()))
    }
}

impl Part<'_> {
    /// Recertifies each input until its radius is at least `radius`, or until that seems out
    /// of reach.
    pub(super) fn in_rounds(&self, run: &mut Run<'_>, radius: Radius) -> Result<Outcome, Error> {
        let target = radius.get() / run.ledger.header().sigma;
        // The plan for each input and network that is not done yet.
        let mut left: BTreeMap<(usize, NetworkId), Choice> = BTreeMap::new();
        for (i, input) in self.inputs.iter().enumerate() {
            let choices = input.choices.iter();
            left.extend(choices.map(|&(network, choice)| ((i, network), choice)));
        }
        let last = ROUNDS[ROUNDS.len() - 1];
        let mut observer = AcrossRounds {
            most: left.values().map(|c| c.scaled(last).design.cost()).sum(),
            observer: run.observer,
            started: false,
        };
        let mut run = Run {
            ledger: run.ledger,
            inputs: run.inputs,
            workers: run.workers,
            observer: &mut observer,
        };
        for round in ROUNDS {
            let wanted: Vec<_> = (left.iter())
                .map(|(&(i, network), choice)| self.inputs[i].wanted(network, choice.scaled(round)))
                .collect();
            if wanted.is_empty() {
                break;
            }
            let outcome = collect_chosen(&mut run, &wanted, &mut |ledger, network, idx| {
                let i = self.index[&idx];
                let input = &self.inputs[i];
                let planned = left[&(i, network)];
                let choice = planned.scaled(round);
                let certificate = self.conclude(ledger, network, i, choice, true)?;
                let samples = |choice| {
                    let picked = input.pick(choice).samples(ledger, idx)?;
                    Ok::<_, Error>(picked.samples.len())
                };
                let exhausted = samples(planned.scaled(round * 1.5))? == samples(choice)?;
                let stop = certificate.radius >= radius.get()
                    || round == last
                    || choice.design == Design::Nothing
                    || exhausted
                    || round >= 1.0 && hopeless(&certificate.evidence, target);
                if !stop {
                    return Ok(Vec::new());
                }
                left.remove(&(i, network));
                Ok(vec![certificate])
            })?;
            if outcome == Outcome::Stopped {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    }
}

/// Whether the observed frequencies themselves, without any allowance for chance, fall short
/// of the radius (in units of sigma).
fn hopeless(evidence: &Evidence, target: f64) -> bool {
    let share = |part: u64, whole: u64| {
        if whole > 0 {
            part as f64 / whole as f64
        } else {
            0.0
        }
    };
    let p = match evidence {
        Evidence::FreshMixture { k, n, .. } => share(*k, *n),
        Evidence::LossMixture {
            k, n, pairs, other, ..
        } => share(*k, *n) * (1.0 - share(*other, *pairs)),
        Evidence::Cells(cells) => {
            let won = |i: usize| cells.samples[i] as f64 * share(cells.own[i], cells.pairs[i]);
            let sum: f64 = (0..CELLS).map(won).sum();
            if cells.n > 0 {
                sum / cells.n as f64
            } else {
                0.0
            }
        }
        _ => 0.0,
    };
    // Compared with a lower bound of Phi(target).
    recert_num::normal_cdf_lower(target.min(37.0)).is_ok_and(|needed| p < needed.get())
}
