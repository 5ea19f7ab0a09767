//! Checking a plan before anything is done by it. Everything in a plan that can be computed
//! again is computed again and compared, since a plan may come from another process; what
//! remains trusted is h's answers on the pilot samples.

use std::collections::BTreeSet;

use recert_ledger::{Header, Ledger, hex};

use super::plan::{NetworkPlan, PilotPlan, header_sha256};
use crate::budget::{Design, OWN, Subject, early};
use crate::{Error, Sides};

impl PilotPlan {
    /// Fails unless the plan was made for a ledger with this header, and its settings, shares
    /// of alpha and numbers of samples follow from one another and from the header.
    pub(super) fn check(&self, ledger: &Ledger) -> Result<(), Error> {
        let (header, auto, study) = (ledger.header(), &self.auto, &self.study);
        if self.header != header_sha256(header) {
            return Err(Error::parameter(format!(
                "the plan was not made for ledger {}: its network, noise, numbers of samples or \
                 alpha differ",
                ledger.path().display()
            )));
        }
        let inconsistent = |problem: &str| {
            let message = format!("the plan contradicts itself or the ledger's header: {problem}");
            Err(Error::parameter(message))
        };
        if study.subjects.len() != self.inputs.len() {
            return inconsistent("it does not have one subject for each input");
        }
        let distinct: BTreeSet<u32> = self.indices().into_iter().collect();
        if distinct.len() != self.inputs.len() {
            return Err(Error::parameter("an input is in the plan twice"));
        }
        if self.sigma.to_bits() != header.sigma.to_bits() {
            return inconsistent("sigma differs from the header's");
        }
        if study.goal != auto.goal {
            return inconsistent("the goal of its study differs from that of its settings");
        }
        if study.both_sides != (auto.sides == Sides::Two) {
            return inconsistent("the sides of its study differ from those of its settings");
        }
        if study.levels != auto.levels(header)? {
            return inconsistent(
                "its shares of alpha differ from those that alpha and the number of candidates \
                 give",
            );
        }
        if !study
            .subjects
            .iter()
            .all(|subject| possible(subject, header))
        {
            return inconsistent("f's counts on an input are impossible");
        }
        let votes: Vec<_> = (study.subjects.iter())
            .map(|subject| subject.ballot())
            .collect();
        let pilots = study.subjects.iter().map(|subject| subject.pilot);
        if !pilots.eq(auto.goal.pilots(&votes)) {
            return inconsistent("its numbers of pilot samples differ from those that votes give");
        }
        Ok(())
    }
}

/// Whether f can have these counts on an input of a ledger with this header.
fn possible(subject: &Subject, header: &Header) -> bool {
    let early = early(header.n);
    let (votes, held) = if subject.stopped {
        (header.n0, subject.held.min(header.n))
    } else {
        (header.n0 + early, subject.n)
    };
    subject.votes == votes
        && subject.held == held
        && subject.n == header.n - early
        && subject.favour <= subject.votes
        && subject.rival <= subject.votes - subject.favour
        && subject.k <= subject.held
        && subject.cells.iter().all(|&samples| samples <= subject.n)
        && subject.piloted.iter().all(|&samples| samples <= subject.n)
}

impl NetworkPlan {
    /// Fails unless the rates and designs are those that the pilots give.
    pub(super) fn check(&self, plan: &PilotPlan) -> Result<(), Error> {
        let differs = |problem: &str| {
            let network = hex(&self.network);
            Err(Error::parameter(format!(
                "the plan of network {network} cannot be used: {problem}"
            )))
        };
        let both = |design| matches!(design, Design::Both { .. } | Design::FreshBoth { .. });
        if plan.until.is_some() && self.choices.iter().any(|choice| both(choice.design)) {
            return differs(
                "it has a two-sided design, for which no bound holds after every round",
            );
        }
        let subjects = &plan.study.subjects;
        let fits = self.pilots.len() == subjects.len()
            && (self.pilots.iter().zip(subjects)).all(|(pilot, subject)| {
                pilot.len() as u64 == subject.pilot.min(subject.k)
                    && pilot.iter().all(|&(cell, _)| cell < OWN)
            });
        if !fits {
            return differs("it does not have one answer for each pilot sample of each input");
        }
        let (rates, choices) = plan.decide(&self.pilots)?;
        if rates != self.rates {
            return differs("its rates differ from those that its pilots give");
        }
        let indices = plan.indices();
        let wrong = (choices.iter().zip(&self.choices)).position(|(found, given)| found != given);
        match wrong {
            Some(i) => differs(&format!(
                "its design of input {} differs from the one that its pilots give",
                indices[i]
            )),
            None if choices.len() != self.choices.len() => {
                differs("it does not have one design for each input")
            }
            None => Ok(()),
        }
    }
}
