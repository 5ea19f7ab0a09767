//! Recertifying some of a plan's inputs.

use recert_ledger::{Ledger, NetworkId};

use super::Auto;
use super::part::{Part, PartInput};
use super::plan::{RecertificationPlan, network_sha256};
use super::subjects::CertifiedInput;
use crate::recertify::stopped_inputs;
use crate::{Error, Outcome, Run};

impl RecertificationPlan {
    /// Recertifies each of the workers' networks on some of the plan's inputs, which must be
    /// [finished](crate::finished_inputs) or [stopped](crate::stopped_inputs) in the ledger. After a stop the same call
    /// continues.
    ///
    /// # Errors
    /// A parameter error if the ledger, an input, f's answers on an input or a network differs
    /// from the plan's, or if something in the plan differs from what follows from the rest of
    /// it: it was changed, or made by another version of this crate. The failure of a
    /// classifier or of the workers.
    pub fn recertify(&self, run: &mut Run<'_>, inputs: &[u32]) -> Result<Outcome, Error> {
        self.pilot.check(run.ledger)?;
        for network in &self.networks {
            network.check(&self.pilot)?;
        }
        self.execute(run, inputs)
    }

    /// As [`Self::recertify`], by a plan whose designs this process has decided itself.
    pub(super) fn execute(&self, run: &mut Run<'_>, inputs: &[u32]) -> Result<Outcome, Error> {
        let part = self.part(run.ledger, run.workers.networks(), inputs)?;
        if let Some(radius) = self.pilot.until {
            return part.in_rounds(run, radius);
        }
        part.in_designs(run)
    }

    /// These inputs of the plan. Fails unless f's answers in the ledger are those that the
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
            match found {
                Some(plan) => planned.push((network, &plan.choices)),
                None => {
                    return Err(Error::parameter(
                        "a network of the workers is not one of the plan's",
                    ));
                }
            }
        }
        let stopped = stopped_inputs(ledger)?;
        let input = |(&idx, &i): (&u32, &usize)| {
            let (certified, subject, margins) = CertifiedInput::read(ledger, idx, &stopped)?;
            let subject = certified.with_pilot(ledger, subject, study.subjects[i].pilot)?;
            if subject != study.subjects[i] || study.margins && !margins {
                return Err(Error::parameter(format!(
                    "f's answers on input {idx} differ from those that the plan was made from"
                )));
            }
            let choices = planned
                .iter()
                .map(|(network, choices)| (*network, choices[i]));
            Ok(PartInput {
                certified,
                subject,
                choices: choices.collect(),
            })
        };
        let all = self.pilot.indices();
        let goal = match self.pilot.until {
            Some(radius) => Auto::until(radius),
            None => auto.goal(all.len() as u64),
        };
        let index = inputs.iter().enumerate();
        Ok(Part {
            study,
            claim: auto.claim(ledger, (study, &all), goal),
            inputs: (inputs.iter().zip(&positions).map(input)).collect::<Result<_, _>>()?,
            index: index.map(|(i, &idx)| (idx, i)).collect(),
        })
    }
}
