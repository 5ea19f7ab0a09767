//! What a check leaves unchecked, and why.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something that a check does not show. Serialized, it is the sentence that it displays as.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Unchecked {
    /// Fields that cannot be derived, in a ledger without a seal.
    Unsealed {
        /// The version of its schema.
        schema: i64,
    },
    /// Inputs that have no certificate by a claim.
    Unconcluded {
        /// The number of inputs without a certificate.
        missing: u64,
        /// The number of inputs of the ledger.
        inputs: u64,
        /// The claim's method.
        method: String,
        /// The number of samples that the claim states.
        samples: u64,
        /// The network's number in the ledger.
        network: i64,
        /// The claim's failure probability.
        alpha: f64,
    },
    /// Inputs that a run was begun for, as the journal records, and that have no certificate by
    /// its method.
    Unfinished {
        /// The network's number in the ledger.
        network: i64,
        /// The method.
        method: String,
        /// The number of inputs that the run was begun for.
        planned: u64,
        /// The number of inputs with a certificate.
        concluded: u64,
    },
    /// Inputs that a verification was begun for, as the journal records, and that have no result.
    Unverified {
        /// The network's number in the ledger.
        network: i64,
        /// The verification.
        verification: String,
        /// The number of inputs that it was begun for.
        planned: u64,
        /// The number of these without a result.
        missing: u64,
    },
    /// Whether results of a verification were removed, of which the journal does not record what
    /// they were when they were made.
    ResultsUnrecorded {
        /// The verification.
        verification: String,
        /// The entry of the journal that records them, made later; `None` if none does.
        since: Option<u64>,
    },
    /// Inputs that a claim names and that the ledger does not have.
    InputsGone {
        /// The number of inputs of the ledger.
        there: u64,
        /// The number of inputs that the claim names.
        named: u64,
        /// The claim's method.
        method: String,
        /// The network's number in the ledger.
        network: i64,
    },
    /// When networks were named and what was removed, in a ledger without a journal.
    NoJournal {
        /// The version of its schema.
        schema: i64,
    },
    /// What happened before the ledger had a journal.
    Upgraded {
        /// The version of its schema then.
        schema: i64,
    },
    /// That the header is the one that the ledger was begun with.
    HeaderUnrecorded {
        /// The entry of the journal that has the header, made later; `None` if none has it.
        since: Option<u64>,
    },
    /// Which inputs an entry of the journal was of, where it has their number alone.
    UnlistedInputs {
        /// The entry.
        entry: String,
        /// The number of inputs.
        inputs: u64,
        /// The claim.
        claim: String,
    },
    /// The network of an entry of the journal.
    LostNetwork {
        /// The entry's number.
        entry: u64,
    },
    /// That an engine computes a network as the file says, where it could not be compared with
    /// the reference interpreter.
    NotCompared {
        /// The engine.
        engine: String,
        /// Why it was not compared.
        why: String,
    },
    /// Something that was removed, as the journal records.
    Forgotten {
        /// The network, by hash and engine.
        network: String,
        /// Whether the network itself was removed.
        whole: bool,
        /// Whether a run of the original network was removed that decided how many samples each
        /// input has.
        stopped: bool,
        /// Among how many candidates a claim removed stated a choice, at most; 1 for none.
        among: u64,
        /// The statements of the claims removed.
        claims: Vec<String>,
        /// The number of answers removed.
        answers: u64,
        /// The number of inputs whose selection samples were removed.
        selections: u64,
    },
    /// That there were as many candidates as a claim states, all named before any of them ran.
    Candidates {
        /// The claim.
        claim: String,
        /// The number of candidates that it states.
        among: u64,
        /// The number of networks that the journal shows to be such; 0 if it began later.
        named: u64,
    },
    /// That a network is not one of several candidates, although it was named with others.
    NamedTogether {
        /// The claim, which states no choice.
        claim: String,
        /// The number of other networks named with it.
        others: u64,
    },
    /// That the best of several certificates of one network holds.
    SeveralClaims {
        /// The network's file.
        network: String,
        /// The number of its claims.
        claims: u64,
    },
    /// That the best of several networks, recertified one by one, holds.
    OneByOne {
        /// The number of networks.
        networks: u64,
    },
    /// That what defines a run was fixed before answers were looked at.
    Choices,
    /// That priors, tilts and samples were chosen before the answers were seen.
    Priors,
    /// That bounds by which results are verified are bounds, and that counterexamples lie near
    /// their inputs and are answered as they are said to be.
    Bounds,
    /// The same of results that were not verified again.
    OtherBounds {
        /// The number of results verified again.
        again: u64,
        /// The number of results in the ledger.
        results: u64,
    },
    /// What results verified again would have to show, and could not here.
    ResultsNotCompared {
        /// The network's file.
        network: String,
        /// The number of results.
        results: u64,
        /// Why they were not compared.
        why: String,
    },
    /// Which of two results on an input is right, where both may be.
    Contradiction {
        /// The two, as a sentence.
        what: String,
    },
    /// That the answers are the networks', if none was run again.
    Answers,
    /// That the answers not run again are the networks'.
    OtherAnswers {
        /// The number of samples run again.
        rerun: u64,
        /// The number of answers in the ledger.
        answers: u64,
    },
    /// The reason for differences in a rerun, if answers may depend on the batch.
    BatchDependent,
    /// The reason for differences in a rerun, if the ledger records an arithmetic that rounds
    /// more coarsely than the one that ran the samples again.
    OtherArithmetic {
        /// The model's file, by the ledger.
        file: String,
        /// The engine that the ledger records.
        recorded: String,
        /// The engine that ran the samples again.
        now: String,
    },
    /// The answers of a network whose model file was not given.
    NoModel {
        /// The model's file, by the ledger.
        file: String,
    },
}

impl Unchecked {
    /// Whether something is missing that a complete check of a complete ledger has: a seal,
    /// certificates, inputs, a journal with the header and the inputs of every claim, the proof
    /// of a choice among candidates, a candidate or a run that stopped inputs that was removed, or,
    /// where samples were run again, a network.
    pub fn is_missing(&self) -> bool {
        if let Self::Forgotten { among, stopped, .. } = self {
            return *among > 1 || *stopped;
        }
        matches!(
            self,
            Self::Unsealed { .. }
                | Self::Unconcluded { .. }
                | Self::Unfinished { .. }
                | Self::Unverified { .. }
                | Self::ResultsUnrecorded { .. }
                | Self::InputsGone { .. }
                | Self::NoJournal { .. }
                | Self::Upgraded { .. }
                | Self::HeaderUnrecorded { .. }
                | Self::UnlistedInputs { .. }
                | Self::LostNetwork { .. }
                | Self::NotCompared { .. }
                | Self::Candidates { .. }
                | Self::NamedTogether { .. }
                | Self::NoModel { .. }
                | Self::ResultsNotCompared { .. }
        )
    }

    /// Displays what claims and comparisons leave open.
    fn fmt_recorded(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputsGone {
                there,
                named,
                method,
                network,
            } => write!(
                f,
                "the claim of {method} of network {network} names {named} inputs, of which at most \
                 {there} are here: this is a shard of a plan, or inputs were removed"
            ),
            Self::NotCompared { engine, why } => write!(
                f,
                "that {engine} computes the network as its file says: {why}"
            ),
            Self::Candidates {
                claim,
                among,
                named: 0,
            } => write!(
                f,
                "{claim}: that the {among} candidates were fixed before any of them ran: the network \
                 was named before the ledger had a journal"
            ),
            Self::Candidates {
                claim,
                among,
                named,
            } => write!(
                f,
                "{claim}: that there were {among} candidates, fixed before any of them ran: the \
                 journal names {named}"
            ),
            Self::NamedTogether { claim, others } => write!(
                f,
                "{claim}: it states no choice, but the network was named together with {others} more: \
                 if it was chosen among them by their results, only a claim that states the choice \
                 holds"
            ),
            Self::SeveralClaims { network, claims } => write!(
                f,
                "{network} has {claims} sets of certificates (methods, numbers of samples, alphas, \
                 sides or goals): each holds by itself; the best of them, chosen by its results, need \
                 not (SOUNDNESS.md, section 6)"
            ),
            Self::OneByOne { networks } => write!(
                f,
                "{networks} modified networks have certificates that are not corrected for a choice \
                 among all of them: each holds if its network was not made or chosen by results on \
                 these samples; the best of them, chosen by its results, need not (SOUNDNESS.md, \
                 section 6)"
            ),
            journal => journal.fmt_journal(f),
        }
    }

    /// Displays what the journal leaves open, and what it records as removed.
    fn fmt_journal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal { schema } => write!(
                f,
                "when each network was named, and whether a network, a claim or an input was \
                 removed: ledgers of schema {schema} have no journal, so it cannot be proved that \
                 candidates were fixed before any of them ran"
            ),
            Self::Upgraded { schema } => write!(
                f,
                "what happened before this ledger had a journal (it was of schema {schema}): when \
                 the networks of that time were named, and whether anything was removed"
            ),
            Self::HeaderUnrecorded { since: None } => f.write_str(
                "that sigma, n0, n, alpha, noise, seed and the network are those that this ledger \
                 was begun with: the journal does not record them, as the first journals did not \
                 (the next command that writes to the ledger records what is there then)",
            ),
            Self::HeaderUnrecorded { since: Some(entry) } => write!(
                f,
                "that sigma, n0, n, alpha, noise, seed and the network are those that this ledger \
                 was begun with: the journal records them from entry {entry} on"
            ),
            Self::UnlistedInputs {
                entry,
                inputs,
                claim,
            } => write!(
                f,
                "{claim}: whether the {inputs} inputs of {entry} are still here: that entry has \
                 their number and hash alone"
            ),
            Self::ResultsUnrecorded {
                verification,
                since,
            } => {
                write!(
                    f,
                    "{verification}: whether results were removed or changed since they were made: "
                )?;
                match since {
                    None => f.write_str(
                        "the journal does not record them, as earlier versions did not (the next \
                         command that writes to the ledger records what is there then)",
                    ),
                    Some(entry) => write!(f, "the journal records them from entry {entry} on"),
                }
            }
            Self::Unverified {
                verification,
                planned,
                missing,
                ..
            } => write!(
                f,
                "{verification}: {missing} of the {planned} inputs or files that it was begun for have \
                 no result: the run was stopped (the same command goes on), this is a shard of it \
                 (`recert merge` unites them), or results were removed"
            ),
            Self::LostNetwork { entry } => write!(
                f,
                "the network of journal entry {entry} is no longer here, and no entry states that it \
                 was removed"
            ),
            Self::Forgotten {
                network,
                whole,
                stopped,
                among,
                claims,
                answers,
                selections,
            } => {
                let what = if *whole { "network" } else { "part of network" };
                write!(
                    f,
                    "removed, as the journal records: {what} {network} with {answers} answers, the \
                     selection samples of {selections} inputs and {} claims",
                    claims.len()
                )?;
                for claim in claims {
                    write!(f, " ({claim})")?;
                }
                f.write_str("; whoever removed it may have looked at its results")?;
                if *stopped {
                    f.write_str(
                        ". It decided how many samples each input has: of the inputs that have all of \
                         them, certificates by other methods may be false more often than alpha says \
                         (SOUNDNESS.md, section 5)",
                    )?;
                }
                if *among > 1 {
                    write!(
                        f,
                        ". It was one of {among} candidates, among which those that remain still are"
                    )?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether it is a limit of every check, whatever the ledger holds.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::Priors
                | Self::Bounds
                | Self::OtherBounds { .. }
                | Self::Choices
                | Self::Answers
                | Self::OtherAnswers { .. }
                | Self::BatchDependent
        )
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsealed { schema: ..2 } => f.write_str(
                "changes of fields that cannot be derived (names, labels, times, hashes): the \
                 ledger has no seal, as ledgers of schema 1 never have",
            ),
            Self::Unsealed { .. } => f.write_str(
                "changes of fields that cannot be derived (names, labels, times, hashes): the \
                 ledger has no seal, since a run is writing to it or ended without closing it (the \
                 same command again seals it)",
            ),
            Self::Unconcluded {
                missing,
                inputs,
                method,
                samples,
                network,
                alpha,
            } => write!(
                f,
                "{missing} of {inputs} inputs have no certificate by {method} from {samples} \
                 samples of network {network} at alpha {alpha}: the run did not include them, or \
                 is not finished"
            ),
            Self::Unfinished {
                network,
                method,
                planned,
                concluded,
            } => write!(
                f,
                "{} of the {planned} inputs that {method} of network {network} was begun for have no \
                 certificate: the run was stopped (the same command goes on), this is a shard of it \
                 (`recert merge` unites them), or certificates were removed",
                planned - concluded
            ),
            Self::Choices => f.write_str(
                "that sigma, n, n0, alpha, the noise and its seed, the methods, the networks and the \
                 inputs were fixed before any answer on these samples was looked at: whoever made \
                 this ledger may have chosen them, or this ledger among several, by the results",
            ),
            Self::Priors => f.write_str(
                "that the tuning parameters of the bounds, and the samples of auto, were chosen \
                 before the answers that they are applied to were seen; of two rounds, the plan, \
                 before the first",
            ),
            Self::Bounds => f.write_str(
                "that margins are below the network's and that counterexamples lie near their \
                 inputs and are answered otherwise: running the network again would show it",
            ),
            Self::OtherBounds { again, results } => write!(
                f,
                "that the margins and counterexamples of results not drawn are the network's \
                 ({again} of {results} were drawn)"
            ),
            Self::ResultsNotCompared {
                network,
                results,
                why,
            } => write!(f, "{results} of the results of {network} drawn, not compared: {why}"),
            Self::Contradiction { what } => {
                write!(f, "which of two results is right: {what}")
            }
            Self::Answers => f.write_str(
                "that answers, margins and selections are what the recorded networks answer on \
                 the recorded inputs and noise; running the networks again would show it",
            ),
            Self::OtherAnswers { rerun, answers } => write!(
                f,
                "that the answers and margins not run again are what the recorded networks answer \
                 on the recorded noise ({rerun} of {answers} were run again)"
            ),
            Self::BatchDependent => f.write_str(
                "whether the answers that differ come from another network or other noise: the \
                 engine's answers may depend on the batch that an image is in, so a few may differ \
                 where two classes are nearly tied",
            ),
            Self::OtherArithmetic {
                file,
                recorded,
                now,
            } => write!(
                f,
                "{file} is recorded as computed by {recorded}, which rounds more coarsely than {now}, \
                 by which it was run again: answers may differ for that reason, or because the record \
                 is not true. The tolerance is that of {now}; running it again by the engine recorded \
                 decides"
            ),
            Self::NoModel { file } => {
                write!(f, "the answers of {file}, whose model file was not given")
            }
            recorded => recorded.fmt_recorded(f),
        }
    }
}

impl Serialize for Unchecked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
