//! A recertification as data: the decisions that involve all inputs, by which any part of
//! the inputs can be recertified.

use std::collections::BTreeMap;

use recert_ledger::{Header, Ledger, Network, NetworkId, hex};
use recert_num::Radius;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Auto;
use super::subjects::{Pick, pairs, selected};
use crate::budget::{Choice, Design, Pilot, Rates, Study};
use crate::run::{collect_chosen, series};
use crate::{Error, Outcome, Run};

/// The first step of a recertification by `auto`: the pilot samples of every input, and
/// everything that the later decisions depend on beside h's answers on them.
///
/// The plan is made from a ledger that has all inputs. The pilot samples of some of the
/// inputs can be evaluated into that ledger, or into another ledger with an equal header that
/// has these inputs.
///
/// A plan may come from another process. Before it is used, everything in it that follows from
/// its settings and the ledger is computed again and compared: the shares of alpha, the goal
/// and sides of the study, and the numbers of pilot samples; and before an input is
/// recertified, f's counts on it. f's counts on inputs that the ledger does not have are
/// believed; they influence which samples are taken, and no statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PilotPlan {
    /// SHA-256 of the parts of the ledger's header that decide f's answers, and of alpha.
    #[serde(with = "crate::serial::sha256")]
    pub(super) header: [u8; 32],
    pub(super) sigma: f64,
    pub(super) auto: Auto,
    /// The radius to reach on each input, instead of the goal.
    #[serde(with = "crate::serial::radius")]
    pub(super) until: Option<Radius>,
    pub(super) inputs: Vec<PlannedInput>,
    pub(super) study: Study,
}

/// An input of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedInput {
    idx: u32,
    #[serde(with = "crate::serial::sha256")]
    sha256: [u8; 32],
}

/// The answers of some networks on the pilot samples of some inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PilotAnswers {
    /// SHA-256 of the [`PilotPlan`].
    #[serde(with = "crate::serial::sha256")]
    plan: [u8; 32],
    networks: Vec<NetworkPilots>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NetworkPilots {
    /// SHA-256 of the network's identity.
    #[serde(with = "crate::serial::sha256")]
    network: [u8; 32],
    /// By the input's position in the data.
    pilots: BTreeMap<u32, Pilot>,
}

/// The design of every input for every network, decided from all pilots together.
///
/// Any part of the inputs can be recertified by the plan, with any ledger of an equal header
/// that has these inputs. The answers, certificates and claims are then the same as in a run
/// on all inputs.
///
/// Nothing that the plan decides is believed: [`recertify`](Self::recertify) checks the
/// [`PilotPlan`] in it, decides the rates and designs again from the pilots, and refuses a plan
/// whose own differ in any bit. What remains trusted is the pilots alone, that they are h's
/// answers on the pilot samples. An input's design depends only on those on the other half of
/// the inputs, so that no answer of h on the input itself can be among what decided about it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.recert");
/// use recert_num::Alpha;
/// use recert_smooth::budget::Goal;
/// use recert_smooth::{
///     Auto, Outcome, PilotPlan, RecertificationPlan, Run, Sides, Silent, Threads,
/// };
///
/// # let mut ledger = Ledger::create(&path, &header())?;
/// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
/// # let mut run = Run {
/// #     ledger: &mut ledger,
/// #     inputs: &Pixels,
/// #     workers: &mut f,
/// #     observer: &mut Silent,
/// # };
/// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
/// // In the process with the ledger of all inputs:
/// let auto = Auto {
///     alpha: Alpha::new(0.002)?,
///     among: 1,
///     goal: Goal::Budget(300),
///     sides: Sides::Two,
/// };
/// let pilot = PilotPlan::new(&ledger, &[0, 4, 9], &auto, None)?;
/// let network = ledger.add_network(&network("dimmer"))?;
/// let mut h = Threads::new([(network, brighter_than(0.48))], 32)?;
/// let mut run = Run {
///     ledger: &mut ledger,
///     inputs: &Pixels,
///     workers: &mut h,
///     observer: &mut Silent,
/// };
/// // In a process with some of the inputs:
/// let some = pilot.evaluate(&mut run, &[0, 9])?.expect("nothing stops it");
/// // In a process with the other inputs:
/// let others = pilot.evaluate(&mut run, &[4])?.expect("nothing stops it");
/// // In one process, from the answers on all pilot samples:
/// let plan = pilot.finish(&some.merged(others)?)?;
/// let text = serde_json::to_string(&plan)?;
/// // In each process with some of the inputs:
/// let plan: RecertificationPlan = serde_json::from_str(&text)?;
/// assert_eq!(plan.recertify(&mut run, &[0, 9])?, Outcome::Finished);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecertificationPlan {
    pub(super) pilot: PilotPlan,
    pub(super) networks: Vec<NetworkPlan>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NetworkPlan {
    /// SHA-256 of the network's identity.
    #[serde(with = "crate::serial::sha256")]
    pub(super) network: [u8; 32],
    /// The outcome of each input's pilot.
    pub(super) pilots: Vec<Pilot>,
    /// The rates for either half of the inputs, learned from the other half.
    pub(super) rates: [Rates; 2],
    /// The design of each input.
    pub(super) choices: Vec<Choice>,
}

impl PilotPlan {
    /// Plans the pilot for `inputs`, which must be [finished](crate::finished_inputs) or
    /// [stopped](crate::stopped_inputs) in the ledger. If a radius `until` is given, the designs will be made to reach it on each
    /// input, instead of the goal.
    ///
    /// # Errors
    /// A parameter error if an input is not certified in the ledger or is named twice, or alpha
    /// is too small for so many candidates.
    pub fn new(
        ledger: &Ledger,
        inputs: &[u32],
        auto: &Auto,
        until: Option<Radius>,
    ) -> Result<Self, Error> {
        let study = auto.study(ledger, inputs)?;
        let hashes = hashes(ledger)?;
        let input = |&idx: &u32| {
            let sha256 = hashes.get(&idx).copied();
            sha256.map(|sha256| PlannedInput { idx, sha256 })
        };
        let planned = inputs.iter().map(input).collect::<Option<_>>();
        let plan = Self {
            header: header_sha256(ledger.header()),
            sigma: ledger.header().sigma,
            auto: *auto,
            until,
            inputs: planned.ok_or_else(|| Error::parameter("an input is not in the ledger"))?,
            study,
        };
        plan.check(ledger)?;
        Ok(plan)
    }

    /// SHA-256 of the plan and of everything that it follows from: the ledger's header, the
    /// inputs, the goal, alpha, the number of candidates, and those counts of f's answers that
    /// decisions depend on.
    pub fn sha256(&self) -> [u8; 32] {
        let text = serde_json::to_vec(self).expect("all of it is numbers and text");
        Sha256::digest(text).into()
    }

    /// Evaluates the pilot samples of some of the inputs, for all of the workers' networks in
    /// one pass. Returns `None` if the observer stopped the run; the same call again continues
    /// it.
    ///
    /// # Errors
    /// A parameter error if the ledger or an input is not the plan's. The failure of a
    /// classifier or of the workers.
    pub fn evaluate(
        &self,
        run: &mut Run<'_>,
        inputs: &[u32],
    ) -> Result<Option<PilotAnswers>, Error> {
        let networks = run.workers.networks().to_vec();
        let positions = self.positions(run.ledger, inputs)?;
        let pick = |(&idx, &i): (&u32, &usize)| {
            let pairs = self.study.subjects[i].pilot;
            let class = selected(run.ledger, idx)?;
            let design = Design::Loss { pairs };
            Ok((idx, Pick { class, design }))
        };
        let picks = (inputs.iter().zip(&positions).map(pick)).collect::<Result<Vec<_>, Error>>()?;
        let wanted: Vec<_> = (picks.iter())
            .flat_map(|&(idx, pick)| networks.iter().map(move |&n| pick.wanted(n, idx)))
            .collect();
        if collect_chosen(run, &wanted, &mut |_, _, _| Ok(Vec::new()))? == Outcome::Stopped {
            return Ok(None);
        }
        let ledger = &*run.ledger;
        let pilot = |network| {
            move |&(idx, pick): &(u32, Pick)| {
                let picked = pick.samples(ledger, idx)?;
                let h_series = series(network, idx, picked.stream);
                let (h, _) = ledger.answers_at(h_series, &picked.samples)?;
                Ok((idx, pairs(&picked.f, pick.class, &h)))
            }
        };
        let pilots = |network: NetworkId| {
            Ok(NetworkPilots {
                network: network_sha256(ledger, network)?,
                pilots: (picks.iter().map(pilot(network))).collect::<Result<_, Error>>()?,
            })
        };
        Ok(Some(PilotAnswers {
            plan: self.sha256(),
            networks: (networks.into_iter().map(pilots)).collect::<Result<_, Error>>()?,
        }))
    }

    /// Decides the design of every input for every network, from the answers on all inputs'
    /// pilot samples.
    ///
    /// # Errors
    /// A parameter error if the answers belong to another plan, or if those on an input are
    /// missing.
    pub fn finish(self, answers: &PilotAnswers) -> Result<RecertificationPlan, Error> {
        if answers.plan != self.sha256() {
            return Err(Error::parameter("the pilot answers belong to another plan"));
        }
        let networks = (answers.networks.iter())
            .map(|NetworkPilots { network, pilots }| {
                let pilot = |input: &PlannedInput| {
                    pilots.get(&input.idx).cloned().ok_or_else(|| {
                        let (idx, network) = (input.idx, hex(network));
                        Error::parameter(format!(
                            "the pilot answers of network {network} on input {idx} are missing"
                        ))
                    })
                };
                let pilots = (self.inputs.iter().map(pilot)).collect::<Result<Vec<_>, _>>()?;
                let (rates, choices) = self.decide(&pilots)?;
                Ok(NetworkPlan {
                    network: *network,
                    pilots,
                    rates,
                    choices,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(RecertificationPlan {
            pilot: self,
            networks,
        })
    }

    /// The rates of either half of the inputs, and the design of every input, from the pilots
    /// of one network.
    pub(super) fn decide(&self, pilots: &[Pilot]) -> Result<([Rates; 2], Vec<Choice>), Error> {
        let rates = self.study.rates(pilots);
        let choices = match self.until {
            Some(radius) => self.study.choose_until(rates, radius.get() / self.sigma)?,
            None => self.study.choose(rates)?,
        };
        Ok((rates, choices))
    }

    /// The positions in the data of all inputs of the plan.
    pub(super) fn indices(&self) -> Vec<u32> {
        self.inputs.iter().map(|input| input.idx).collect()
    }

    /// The index in the plan of each of these inputs; an error if the ledger or an input is
    /// not the plan's, or if the plan contradicts itself.
    pub(super) fn positions(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Vec<usize>, Error> {
        self.check(ledger)?;
        let planned = self.inputs.iter().enumerate();
        let planned: BTreeMap<u32, usize> = planned.map(|(i, input)| (input.idx, i)).collect();
        let hashes = hashes(ledger)?;
        let position = |idx: &u32| {
            let i = planned
                .get(idx)
                .copied()
                .ok_or_else(|| Error::parameter(format!("input {idx} is not one of the plan's")))?;
            match hashes.get(idx) {
                Some(sha256) if *sha256 == self.inputs[i].sha256 => Ok(i),
                Some(_) => Err(Error::parameter(format!(
                    "input {idx} is another image than the one that the plan was made for"
                ))),
                None => Err(Error::parameter(format!(
                    "input {idx} is not in the ledger"
                ))),
            }
        };
        inputs.iter().map(position).collect()
    }
}

impl PilotAnswers {
    /// Merges these answers with those on other inputs or of other networks.
    ///
    /// # Errors
    /// A parameter error if they belong to different plans, or differ on the same pilot
    /// samples.
    pub fn merged(mut self, other: Self) -> Result<Self, Error> {
        if self.plan != other.plan {
            return Err(Error::parameter(
                "pilot answers that belong to different plans cannot be merged",
            ));
        }
        for NetworkPilots { network, pilots } in other.networks {
            let same = self.networks.iter_mut().find(|n| n.network == network);
            let Some(same) = same else {
                self.networks.push(NetworkPilots { network, pilots });
                continue;
            };
            for (idx, pilot) in pilots {
                if *same.pilots.entry(idx).or_insert_with(|| pilot.clone()) != pilot {
                    let network = hex(&network);
                    return Err(Error::parameter(format!(
                        "network {network} has two different pilot answers on input {idx}"
                    )));
                }
            }
        }
        Ok(self)
    }
}

impl RecertificationPlan {
    /// The [`PilotPlan::sha256`] of the pilot plan that this plan was made from.
    pub fn follows_from(&self) -> [u8; 32] {
        self.pilot.sha256()
    }
}

/// The hashes of the ledger's inputs, by position.
fn hashes(ledger: &Ledger) -> Result<BTreeMap<u32, [u8; 32]>, Error> {
    let inputs = ledger.inputs()?.into_iter();
    Ok(inputs.map(|input| (input.idx, input.sha256)).collect())
}

/// What identifies a network: the hash of its file, and everything else that decides which
/// function it computes.
fn identity(network: &Network) -> serde_json::Value {
    json!([
        hex(&network.sha256),
        network.engine.name,
        network.engine.version,
        network.engine.arithmetic,
        network.preprocess,
        network.output,
        network.classes,
    ])
}

fn sha256(value: &serde_json::Value) -> [u8; 32] {
    Sha256::digest(value.to_string()).into()
}

/// SHA-256 of the identity of a network of the ledger.
pub(super) fn network_sha256(ledger: &Ledger, network: NetworkId) -> Result<[u8; 32], Error> {
    let networks = ledger.networks()?;
    let found = networks.iter().find(|(id, _)| *id == network);
    let (_, found) = found.ok_or_else(|| Error::parameter("a network is not in the ledger"))?;
    Ok(sha256(&identity(found)))
}

/// SHA-256 of everything in a header that decides f's answers, and of alpha.
pub(super) fn header_sha256(header: &Header) -> [u8; 32] {
    sha256(&json!([
        header.task,
        header.sigma,
        header.n0,
        header.n,
        header.alpha,
        header.generator,
        header.seed,
        header.shape,
        identity(&header.network),
    ]))
}
