//! Recertifying a part of a plan's inputs.

use std::collections::BTreeMap;

use recert_ledger::{Certificate, Claim, Ledger, NetworkId};

use super::Auto;
use super::conclude::Recertified;
use super::plan::{RecertificationPlan, network_sha256};
use super::subjects::{Known, Pick};
use crate::budget::{Choice, Study, Subject};
use crate::run::{Wanted, collect_chosen};
use crate::{Error, Outcome, Run};

/// Some inputs of a plan, and networks of a ledger that has them.
pub(super) struct Part<'a> {
    study: &'a Study,
    /// What is claimed of every certificate; it names all inputs of the plan, as what
    /// each of them gets depends on the others.
    claim: Claim,
    pub(super) inputs: Vec<PartInput>,
    /// Where each input is among these, by its position in the data.
    pub(super) place: BTreeMap<u32, usize>,
}

/// An input, and what each network gets of it.
pub(super) struct PartInput {
    known: Known,
    subject: Subject,
    pub(super) choices: Vec<(NetworkId, Choice)>,
}

impl RecertificationPlan {
    /// Recertifies each of the workers' networks on some of the plan's inputs, all of
    /// them finished in the ledger; the same call again goes on where it was stopped.
    ///
    /// # Errors
    /// A parameter error if the ledger, an input, f's answers on it or a network is not
    /// the plan's. The failure of a classifier or of the workers.
    pub fn recertify(&self, run: &mut Run<'_>, inputs: &[u32]) -> Result<Outcome, Error> {
        let part = self.part(run.ledger, run.workers.networks(), inputs)?;
        if let Some(radius) = self.pilot.until {
            return part.in_rounds(run, radius);
        }
        let wanted: Vec<_> = (part.inputs.iter())
            .flat_map(|input| {
                let wanted = |&(network, choice)| input.wanted(network, choice);
                input.choices.iter().map(wanted)
            })
            .collect();
        collect_chosen(run, &wanted, &mut |ledger, network, idx| {
            let input = &part.inputs[part.place[&idx]];
            let choice = (input.choices.iter()).find(|(id, _)| *id == network);
            let (_, choice) = choice.expect("only the part's networks are asked");
            Ok(vec![part.conclude(ledger, network, input, *choice, false)?])
        })
    }

    /// These inputs, compared with the ledger: f's answers there must be those that the
    /// plan was made from.
    fn part(
        &self,
        ledger: &Ledger,
        networks: &[NetworkId],
        inputs: &[u32],
    ) -> Result<Part<'_>, Error> {
        let (auto, study) = (&self.pilot.auto, &self.pilot.study);
        let positions = self.pilot.positions(ledger, inputs)?;
        let mut planned = Vec::new();
        for &network in networks {
            let sha256 = network_sha256(ledger, network)?;
            let found = self.networks.iter().find(|plan| plan.network == sha256);
            match found.filter(|plan| plan.choices.len() == study.subjects.len()) {
                Some(plan) => planned.push((network, &plan.choices)),
                None => return Err(Error::parameter("a network is not one of the plan")),
            }
        }
        let input = |(&idx, &i): (&u32, &usize)| {
            let (known, subject, _) = Known::read(ledger, idx)?;
            let subject = known.with_pilot(ledger, subject, study.subjects[i].pilot)?;
            if subject != study.subjects[i] {
                return Err(Error::parameter(format!(
                    "the ledger's answers on input {idx} are not those that the plan was made from"
                )));
            }
            let choices = planned
                .iter()
                .map(|(network, choices)| (*network, choices[i]));
            Ok(PartInput {
                known,
                subject,
                choices: choices.collect(),
            })
        };
        let all = self.pilot.indices();
        let goal = match self.pilot.until {
            Some(radius) => Auto::until(radius),
            None => auto.goal(all.len() as u64),
        };
        let place = inputs.iter().enumerate();
        Ok(Part {
            study,
            claim: auto.claim(ledger, (study, &all), goal),
            inputs: (inputs.iter().zip(&positions).map(input)).collect::<Result<_, _>>()?,
            place: place.map(|(place, &idx)| (idx, place)).collect(),
        })
    }
}

impl PartInput {
    pub(super) fn pick(&self, choice: Choice) -> Pick {
        self.known.pick(choice.design)
    }

    pub(super) fn wanted(&self, network: NetworkId, choice: Choice) -> Wanted<Pick> {
        self.pick(choice).wanted(network, self.known.idx)
    }
}

impl Part<'_> {
    /// The certificate of one input from a network's answers on the samples of its
    /// design; `anytime` as for [`Recertified::conclude`].
    pub(super) fn conclude(
        &self,
        ledger: &Ledger,
        network: NetworkId,
        input: &PartInput,
        choice: Choice,
        anytime: bool,
    ) -> Result<Certificate, Error> {
        let recertified = Recertified {
            study: self.study,
            claim: &self.claim,
            network,
            known: input.known,
            subject: input.subject,
        };
        recertified.conclude(ledger, choice, anytime)
    }
}
