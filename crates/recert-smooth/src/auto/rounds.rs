//! The second round of an input's pairs, from h's answers on the first in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::{FirstRoundEvidence, INVALID, Ledger, NetworkId};

use super::conclude::Recertified;
use super::part::Part;
use crate::bound::Cell;
use crate::budget::{ByCell, CELLS, Choice, Design, Rounds, Tilts, cell_of};
use crate::run::{Wanted, collect_chosen, series};
use crate::until::AcrossRounds;
use crate::{Error, Outcome, Run};

/// The first round with its answers, and what follows from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct TwoRounds {
    rounds: Rounds,
    /// The pairs of each cell in the first round that h answered with the class.
    own: ByCell<u64>,
    /// Both rounds together.
    pub(super) design: Design,
    /// The tilts of the second.
    pub(super) tilts: Tilts,
}

impl TwoRounds {
    /// The first round's counts and tilts.
    pub(super) fn cells(&self) -> [Cell; CELLS] {
        let plan = &self.rounds.plan;
        std::array::from_fn(|s| Cell {
            samples: plan.samples[s],
            pairs: self.rounds.first[s],
            own: self.own[s],
            tilt: plan.tilts.cells[s],
        })
    }

    pub(super) fn evidence(&self) -> FirstRoundEvidence {
        let plan = &self.rounds.plan;
        FirstRoundEvidence {
            expected: plan.expected,
            own: self.own,
            pairs: self.rounds.first,
            planned: plan.pairs,
            tilts: plan.tilts.cells,
            multiples: plan.tilts.multiples,
            step: plan.tilts.step,
        }
    }
}

impl Recertified<'_> {
    /// The two rounds of a choice, from h's answers on the first, all of which are in the ledger;
    /// `None` for a design that is evaluated at once.
    pub(super) fn answered(
        &self,
        ledger: &Ledger,
        choice: &Choice,
    ) -> Result<Option<TwoRounds>, Error> {
        let Some(rounds) = choice.rounds(&self.subject, self.study.levels.whole) else {
            return Ok(None);
        };
        let input = self.input;
        let picked = input.pick(rounds.design()).samples(ledger, input.idx)?;
        let h_series = series(self.network, input.idx, picked.stream);
        let (answers, _) = ledger.answers_at(h_series, &picked.samples)?;
        let mut own = [0; CELLS];
        for (sample, &answer) in answers.iter().enumerate() {
            let of_class = answer == input.class && answer != INVALID;
            if let Some(cell) = cell_of(&picked.f, input.class, sample).filter(|_| of_class) {
                own[cell] += 1;
            }
        }
        let rest = rounds.rest(&own);
        Ok(Some(TwoRounds {
            rounds,
            own,
            design: rounds.whole(&rest),
            tilts: Tilts {
                codes: choice.tilts.codes,
                cells: rest.tilts.cells,
                step: rest.tilts.step,
                multiples: rest.tilts.multiples,
            },
        }))
    }
}

impl Part<'_> {
    /// Recertifies each input by its design: what has one round, and the first of what has two, in
    /// one pass, and the second rounds in another. What has a certificate by this claim keeps it: an
    /// earlier version may have made it, in one round.
    pub(super) fn in_designs(&self, run: &mut Run<'_>) -> Result<Outcome, Error> {
        let whole = self.study.levels.whole;
        let (mut first, mut second) = (Vec::new(), BTreeMap::new());
        let concluded = self.concluded(run.ledger)?;
        let mut most = 0;
        for (i, input) in self.inputs.iter().enumerate() {
            for &(network, choice) in &input.choices {
                let rounds = choice.rounds(&input.subject, whole);
                if rounds.is_some() && concluded.contains(&(network, input.certified.idx)) {
                    continue;
                }
                most += choice.design.cost();
                let design = rounds.map_or(choice.design, |rounds| rounds.design());
                if rounds.is_some() {
                    second.insert((i, network), None);
                }
                first.push(
                    input
                        .certified
                        .pick(design)
                        .wanted(network, input.certified.idx),
                );
            }
        }
        let mut observer = AcrossRounds {
            most,
            observer: run.observer,
            started: false,
        };
        let mut run = Run {
            ledger: run.ledger,
            inputs: run.inputs,
            workers: run.workers,
            observer: &mut observer,
        };
        let outcome = collect_chosen(&mut run, &first, &mut |ledger, network, idx| {
            let (i, choice) = self.choice(network, idx);
            if let Some(design) = second.get_mut(&(i, network)) {
                let answered = self.recertified(network, i).answered(ledger, &choice)?;
                *design = answered.map(|answered| answered.design);
                return Ok(Vec::new());
            }
            Ok(vec![self.conclude(ledger, network, i, choice, false)?])
        })?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
        let rest: Vec<Wanted<_>> = (second.into_iter())
            .filter_map(|((i, network), design)| {
                let input = &self.inputs[i].certified;
                Some(input.pick(design?).wanted(network, input.idx))
            })
            .collect();
        if rest.is_empty() {
            return Ok(outcome);
        }
        collect_chosen(&mut run, &rest, &mut |ledger, network, idx| {
            let (i, choice) = self.choice(network, idx);
            Ok(vec![self.conclude(ledger, network, i, choice, false)?])
        })
    }

    /// The networks and positions that have a certificate by this claim.
    fn concluded(&self, ledger: &Ledger) -> Result<BTreeSet<(NetworkId, u32)>, Error> {
        let choices = self.inputs.iter().flat_map(|input| &input.choices);
        let networks: BTreeSet<NetworkId> = choices.map(|&(network, _)| network).collect();
        let mut concluded = BTreeSet::new();
        for network in networks {
            let certificates = ledger.certificates(network)?.into_iter();
            let own = certificates.filter(|certificate| *certificate.claim == self.claim);
            concluded.extend(own.map(|certificate| (network, certificate.idx)));
        }
        Ok(concluded)
    }

    /// The index of the input at position `idx`, and its design for a network.
    fn choice(&self, network: NetworkId, idx: u32) -> (usize, Choice) {
        let i = self.index[&idx];
        let choice = (self.inputs[i].choices.iter()).find(|(id, _)| *id == network);
        let (_, choice) = choice.expect("only the plan's networks have wanted samples");
        (i, *choice)
    }
}
