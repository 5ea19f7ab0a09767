//! Some of a plan's inputs, in a ledger that has them.

use std::collections::BTreeMap;

use recert_ledger::{Certificate, Claim, Ledger, NetworkId};

use super::conclude::Recertified;
use super::subjects::{CertifiedInput, Pick};
use crate::Error;
use crate::budget::{Choice, Study, Subject};
use crate::run::Wanted;

/// Some inputs of a plan, with the networks of a ledger that has these inputs.
pub(super) struct Part<'a> {
    pub(super) study: &'a Study,
    /// The claim of every certificate. It names all inputs of the plan, since each input's
    /// design depends on the others.
    pub(super) claim: Claim,
    pub(super) inputs: Vec<PartInput>,
    /// The index of each input in `inputs`, by the input's position in the data.
    pub(super) index: BTreeMap<u32, usize>,
}

/// An input, and the design of each network on it.
pub(super) struct PartInput {
    pub(super) certified: CertifiedInput,
    pub(super) subject: Subject,
    pub(super) choices: Vec<(NetworkId, Choice)>,
}

impl PartInput {
    pub(super) fn pick(&self, choice: Choice) -> Pick {
        self.certified.pick(choice.design)
    }

    pub(super) fn wanted(&self, network: NetworkId, choice: Choice) -> Wanted<Pick> {
        self.pick(choice).wanted(network, self.certified.idx)
    }
}

impl Part<'_> {
    /// The certificate of input `i` from a network's answers on the samples of its design;
    /// see [`Recertified::conclude`] for `anytime`.
    pub(super) fn conclude(
        &self,
        ledger: &Ledger,
        network: NetworkId,
        i: usize,
        choice: Choice,
        anytime: bool,
    ) -> Result<Certificate, Error> {
        self.recertified(network, i)
            .conclude(ledger, choice, anytime)
    }

    /// Input `i`, to be recertified for a network.
    pub(super) fn recertified(&self, network: NetworkId, i: usize) -> Recertified<'_> {
        let input = &self.inputs[i];
        Recertified {
            study: self.study,
            claim: &self.claim,
            network,
            input: input.certified,
            subject: input.subject,
        }
    }
}
