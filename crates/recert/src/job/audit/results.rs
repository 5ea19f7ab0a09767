//! The auditor's results: are verdicts by bounds those of the network?
//!
//! A verified result is bounded again from its proof, by code that shares none with the prover
//! (`recert-proofcheck`). A counterexample has to lie where the specification says, and the
//! network has to answer it otherwise. Both are of the network's file, found by its SHA-256, and
//! of the input that the ledger has a hash of.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;
use recert_check::Unchecked;
use recert_data::Image;
use recert_engine::{Arithmetic, Classifier, ImageShape, NetworkOptions, pixel_graph, rounding};
use recert_ledger::{
    INVALID, KnownUse, Ledger, NetworkId, Specification, Verdict, Verification, VerificationResult,
};
use recert_proofcheck::{
    self as proofcheck, Distance, MOST_TERMS, Membership, NotComputed, Property, Recomputed,
    Region, Tighter, slack,
};
use serde::Serialize;

use super::compare::{Code, apart, gap, scores};
use super::specifications::Specifications;
use crate::Result;
use crate::job::data::Data;
use crate::job::network::Network;

/// What came of verifying results by bounds again.
#[derive(Debug, Default, Serialize)]
pub struct ResultsAgain {
    /// Results that the ledger has.
    pub results: u64,
    /// How many of them were drawn.
    pub drawn: u64,
    /// Verified results that are proved again.
    pub proved: u64,
    /// Of these, those of which a smaller margin is proved than the ledger states. Their slopes
    /// for neurons are not in the proof.
    pub by_less: u64,
    /// Falsified results whose counterexample lies near the input and is answered otherwise, or
    /// whose input is.
    pub refuted: u64,
    /// Cells of transformations' parameters that are bounded again, and how many of these are
    /// proved.
    pub cells: u64,
    /// See [`Self::cells`].
    pub cells_proved: u64,
    /// Unknown results, which state nothing but the answer on the input.
    pub unknown: u64,
    /// What does not hold.
    pub differences: Vec<ResultDifference>,
    /// What could not be compared: how many, by the network's file and the reason.
    #[serde(skip)]
    not_compared: BTreeMap<(String, String), u64>,
}

/// A field of a result that is not what is derived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResultDifference {
    /// The network's file.
    pub network: String,
    /// The specification and the method.
    pub verification: String,
    /// The input's position in the data; `None` of a file.
    pub idx: Option<u32>,
    /// The field.
    pub field: &'static str,
    /// What the ledger has.
    pub stored: String,
    /// What is derived.
    pub derived: String,
}

impl fmt::Display for ResultDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            network,
            verification,
            field,
            stored,
            derived,
            ..
        } = self;
        match self.idx {
            Some(idx) => write!(f, "{network}, {verification}, input {idx}")?,
            None => write!(f, "{network}, {verification}")?,
        }
        write!(f, ": {field}: stored {stored}, derived {derived}")
    }
}

impl ResultsAgain {
    /// What was left open, for the report.
    pub(super) fn unchecked(&self) -> impl Iterator<Item = Unchecked> {
        let open = self.not_compared.iter();
        let open = open.map(|((network, why), &results)| Unchecked::ResultsNotCompared {
            network: network.clone(),
            results,
            why: why.clone(),
        });
        let others = Unchecked::OtherBounds {
            again: self.drawn,
            results: self.results,
        };
        open.chain([others])
    }

    /// Counts the results of networks that were not given.
    pub(super) fn without_model(&mut self, ledger: &Ledger, id: NetworkId) -> Result<()> {
        self.results += all(ledger, id)?.len() as u64;
        Ok(())
    }
}

/// All results of a network.
fn all(ledger: &Ledger, id: NetworkId) -> Result<Vec<(Verification, VerificationResult)>> {
    let mut all = Vec::new();
    for (number, network, verification) in ledger.verifications()? {
        if network == id {
            let results = ledger.results(number)?.into_iter();
            all.extend(results.map(|result| (verification.clone(), result)));
        }
    }
    Ok(all)
}

/// A network as a function of pixels.
pub(super) struct Bounded {
    pub(super) network: proofcheck::Network,
    pub(super) channels_last: bool,
}

/// The same, or why its bounds are not computed here; made when it is needed.
pub(super) type Lowered = OnceCell<std::result::Result<Bounded, String>>;

/// The network that results are of.
pub(super) struct Verifier<'a> {
    pub(super) ledger: &'a Ledger,
    /// `None` where no result is of an input.
    pub(super) data: Option<&'a Data>,
    pub(super) network: &'a Network,
    pub(super) file: String,
    /// Whether the ledger's answers have to be this network's to the bit.
    pub(super) exact: bool,
    /// The VNN-LIB files that were given.
    pub(super) specifications: &'a Specifications,
    /// The network for bounds of its classes, and of its outputs as they are.
    pub(super) of_classes: Lowered,
    pub(super) of_outputs: Lowered,
}

/// Makes the region near an image; `None` for what is no image.
type Near = fn(&[f32], Distance) -> Option<Region>;

/// What became of one result.
pub(super) enum Found {
    Proved {
        by_less: bool,
    },
    Refuted,
    Unknown,
    /// Cells of a transformation's parameters: how many are proved, and how many are not.
    Cells {
        proved: u64,
        open: u64,
    },
    Differs {
        field: &'static str,
        stored: String,
        derived: String,
    },
    NotCompared(String),
}

pub(super) fn differs(
    field: &'static str,
    stored: impl fmt::Display,
    derived: impl fmt::Display,
) -> Found {
    Found::Differs {
        field,
        stored: stored.to_string(),
        derived: derived.to_string(),
    }
}

pub(super) fn open(why: impl Into<String>) -> Found {
    Found::NotCompared(why.into())
}

impl Verifier<'_> {
    /// Verifies so many results of a network again, drawn at random; all where there are fewer.
    pub(super) fn again(
        &self,
        id: NetworkId,
        most: u64,
        random: &mut Rng,
        again: &mut ResultsAgain,
    ) -> Result<()> {
        let all = all(self.ledger, id)?;
        again.results += all.len() as u64;
        if all.is_empty() {
            return Ok(());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut engine = self.network.worker()?;
        for (verification, result) in random.choose_multiple(all, most) {
            again.drawn += 1;
            match self.one(&verification, &result, engine.as_mut())? {
                Found::Proved { by_less } => {
                    again.proved += 1;
                    again.by_less += u64::from(by_less);
                }
                Found::Refuted => again.refuted += 1,
                Found::Unknown => again.unknown += 1,
                Found::Cells { proved, open } => {
                    again.cells += proved + open;
                    again.cells_proved += proved;
                    if open == 0 {
                        again.proved += 1;
                    } else {
                        let key = (self.file.clone(), OPEN_CELLS.to_owned());
                        *again.not_compared.entry(key).or_default() += 1;
                    }
                }
                Found::Differs {
                    field,
                    stored,
                    derived,
                } => again.differences.push(ResultDifference {
                    network: self.file.clone(),
                    verification: format!(
                        "{} by {}",
                        verification.specification, verification.method
                    ),
                    idx: result.idx,
                    field,
                    stored,
                    derived,
                }),
                Found::NotCompared(why) => {
                    *again
                        .not_compared
                        .entry((self.file.clone(), why))
                        .or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// The network as a function of pixels; why not, where its bounds are not computed here. With
    /// it, whether its own input takes the channels of each pixel together.
    pub(super) fn bounded(&self, for_classes: bool) -> std::result::Result<Bounded, String> {
        let Some((loaded, model)) = self.network.loaded() else {
            return Err("the network is no file".into());
        };
        let options = NetworkOptions {
            output: Some(loaded.output().to_owned()),
            preprocess: loaded.preprocess().clone(),
            // That was checked when it was loaded.
            max_memory: Some(u64::MAX),
        };
        let shape = self.ledger.header().shape.map(|size| size as usize);
        let [channels, height, width] = shape;
        let image = ImageShape {
            channels,
            height,
            width,
        };
        let pixels = pixel_graph(model, image, &options).map_err(|error| error.to_string())?;
        let network = if for_classes {
            proofcheck::Network::new(&pixels.graph)
        } else {
            proofcheck::Network::of_outputs(&pixels.graph)
        };
        Ok(Bounded {
            network: network.map_err(|error| error.to_string())?,
            channels_last: pixels.channels_last,
        })
    }

    fn one(
        &self,
        verification: &Verification,
        result: &VerificationResult,
        engine: &mut dyn Classifier,
    ) -> Result<Found> {
        let (norm, distance) = match &verification.specification {
            Specification::Linf(distance) => (Region::linf as Near, distance),
            Specification::L2(distance) => (Region::l2 as Near, distance),
            Specification::Vnnlib { sha256, .. } => return self.file(sha256, result, engine),
            Specification::Transform { steps } => return self.transform(steps, result, engine),
            Specification::Foreign { .. } => {
                return Ok(open("the specification's region is not computed here"));
            }
        };
        // The file's network alone is bounded here, which proves nothing about the others.
        if distance.weights.is_some() {
            return Ok(open("a family of networks is not bounded here"));
        }
        let (Some(data), Some(idx)) = (self.data, result.idx) else {
            return Ok(open("the result is of no input"));
        };
        let image = super::rerun::image(data, self.ledger, idx)?;
        let region =
            Distance::parse(&distance.eps).and_then(|distance| norm(&image.pixels, distance));
        let Some(region) = region else {
            return Ok(open(
                "the distance or the input is none that is computed here",
            ));
        };
        // First the input itself: who changes the answer or the class is found by it.
        match self.answered(engine, &image.pixels, result.answer)? {
            Answered::So => {}
            Answered::Otherwise(now) => return Ok(differs("answer", class(result.answer), now)),
            Answered::NearTie => return Ok(open("the input is a near tie by this engine")),
        }
        if let Some(found) = self.unlabelled(data, &image, idx, result)? {
            return Ok(found);
        }
        Ok(match result.verdict {
            Verdict::Unknown => Found::Unknown,
            Verdict::Falsified => self.falsified(engine, result, &region)?,
            Verdict::Verified => match self.of_classes.get_or_init(|| self.bounded(true)) {
                Err(why) => open(format!("its bounds are not computed here: {why}")),
                Ok(Bounded { network, .. }) => {
                    let Some(class) = result.class else {
                        return Ok(differs("verdict", "verified", "a class"));
                    };
                    let Some(property) = Property::class(network.outputs(), class.into()) else {
                        return Ok(differs("class", class, "a class of the network"));
                    };
                    let query = proofcheck::Query { region, property };
                    let assumes = assumes(verification);
                    verified(network, std::slice::from_ref(&query), result, assumes)
                }
            },
        })
    }

    /// What is wrong with, or left open of, the class of a result. It is the answer on the input, or
    /// the label that the ledger has or the data given states.
    pub(super) fn unlabelled(
        &self,
        data: &Data,
        image: &Image,
        idx: u32,
        result: &VerificationResult,
    ) -> Result<Option<Found>> {
        if result.class == result.answer {
            return Ok(None);
        }
        let recorded = self.ledger.input(idx)?.and_then(|input| input.label);
        let labels = [recorded, data.input(idx, image).label];
        let mut labels = labels.into_iter().flatten();
        let is_class = |label: u32| result.class.map(u32::from) == Some(label);
        Ok(match labels.next() {
            None => Some(open(
                "the class is not the answer, and no label of the input is known: check it with data that have labels",
            )),
            Some(first) if !is_class(first) && !labels.any(is_class) => {
                let derived = format!("label {first}, or the answer {}", class(result.answer));
                Some(differs("class", class(result.class), derived))
            }
            Some(_) => None,
        })
    }

    /// Whether the counterexample is one.
    fn falsified(
        &self,
        engine: &mut dyn Classifier,
        result: &VerificationResult,
        region: &Region,
    ) -> Result<Found> {
        let Some(point) = &result.counterexample else {
            // The answer on the input, which was asked for again, is the counterexample.
            return Ok(if result.class.is_some() && result.answer != result.class {
                Found::Refuted
            } else {
                differs("verdict", "falsified", "nothing that falsifies it")
            });
        };
        match region.holds(point) {
            Membership::Inside => {}
            Membership::Outside => {
                let derived = "a point within the distance, with pixels in [0, 1]";
                return Ok(differs("counterexample", "a point outside", derived));
            }
            Membership::Undecided => {
                return Ok(open(
                    "the counterexample is so near the border that rounding hides it",
                ));
            }
        }
        self.falsified_by(point, result, engine, "a point that is answered otherwise")
    }

    /// Whether an engine answers a counterexample with another class than the result's; `stored` says
    /// what the ledger has there.
    pub(super) fn falsified_by(
        &self,
        point: &[f32],
        result: &VerificationResult,
        engine: &mut dyn Classifier,
        stored: &str,
    ) -> Result<Found> {
        let answers = engine.classify(point)?;
        let found = answers.class(0);
        if found.is_some() && found != result.class {
            return Ok(Found::Refuted);
        }
        let near = scores(&answers, 0).is_some_and(|scores| gap(scores) <= self.tolerance(scores));
        if near && !self.exact {
            return Ok(open("the counterexample is a near tie by this engine"));
        }
        Ok(differs(
            "counterexample",
            stored,
            format!("class {}", class(found)),
        ))
    }

    /// By how much the difference of two scores may move by rounding.
    pub(super) fn tolerance(&self, scores: &[f32]) -> f32 {
        let engine = &self.network.identity().engine;
        let arithmetic = Arithmetic::from(engine.arithmetic.as_str());
        let part =
            (self.network.loaded()).map_or(0.0, |(_, model)| rounding(model, &[&arithmetic]));
        2.0 * part
            * scores
                .iter()
                .fold(0.0, |most: f32, score| most.max(score.abs()))
    }

    /// How an image is answered, beside what a ledger has.
    pub(super) fn answered(
        &self,
        engine: &mut dyn Classifier,
        pixels: &[f32],
        stored: Option<u16>,
    ) -> Result<Answered> {
        let answers = engine.classify(pixels)?;
        let found = answers.class(0);
        if found == stored {
            return Ok(Answered::So);
        }
        let code = Code {
            class: stored.unwrap_or(INVALID),
            bucket: None,
        };
        let near = scores(&answers, 0).is_some_and(|scores| {
            apart(scores, code, None).is_some_and(|apart| apart <= self.tolerance(scores))
        });
        Ok(if near && !self.exact {
            Answered::NearTie
        } else {
            Answered::Otherwise(class(found))
        })
    }
}

pub(super) enum Answered {
    So,
    NearTie,
    Otherwise(String),
}

/// Why a verified transformation is not proved again.
const OPEN_CELLS: &str = "cells of parameters are not proved by the bounds derived here, which are \
                          weaker than those that proved them may be";

pub(super) fn class(class: Option<u16>) -> String {
    class.map_or_else(|| "none".to_owned(), |class| class.to_string())
}

/// Whether a verification states what it does on the condition that bounds of another network
/// hold. Its bounds need not follow from the network alone.
fn assumes(verification: &Verification) -> bool {
    let from = verification.effort.from.as_ref();
    from.is_some_and(|from| from.bounds == KnownUse::Assumed)
}

/// Whether a verified result is one: its margins, derived again from its proof, of all queries.
pub(super) fn verified(
    network: &proofcheck::Network,
    queries: &[proofcheck::Query],
    result: &VerificationResult,
    assumes: bool,
) -> Found {
    let Some(margin) = result.margin else {
        return differs("verdict", "verified", "a margin");
    };
    let proof = match result.decoded_proof() {
        Ok(proof) => proof,
        Err(why) => return differs("proof", why, "a proof that decodes"),
    };
    let mut all = Recomputed {
        margin: f64::INFINITY,
        seen: f64::INFINITY,
        tighter: None,
        refuted: None,
    };
    let most = MOST_TERMS / queries.len().max(1) as u64;
    for proofcheck::Query { region, property } in queries {
        let found = proofcheck::recompute_property(network, region, property, proof.as_ref(), most);
        match found {
            Ok(found) => {
                all.margin = all.margin.min(found.margin);
                all.seen = all.seen.min(found.seen);
                all.tighter = all.tighter.or(found.tighter);
                all.refuted = all.refuted.or(found.refuted);
            }
            Err(NotComputed::Wrong(fault)) => return differs("proof", fault, "one that fits"),
            Err(NotComputed::TooLarge) => return open("it takes too long to bound again"),
            Err(NotComputed::Unsupported(why)) => return open(why.to_string()),
        }
    }
    let Recomputed {
        margin: derived,
        seen,
        tighter,
        refuted,
    } = all;
    let neuron = |tighter: &Tighter| {
        let Tighter {
            layer,
            neuron,
            claimed: [lower, upper],
            ..
        } = tighter;
        format!("neuron {neuron} of layer {layer} in [{lower}, {upper}]")
    };
    if let Some(refuted) = refuted {
        let value = refuted.derived[0];
        return differs(
            "proof",
            neuron(&refuted),
            format!("{value} at a point of the region"),
        );
    }
    if margin > seen + slack(seen) {
        return differs(
            "margin",
            margin,
            format!("at most {seen}, at a point of the region"),
        );
    }
    // Where all that is free is in the proof, everything has to come out as it is stored.
    let complete = match result.decided_by.as_str() {
        "ibp" | "crown" => true,
        "alpha-crown" => proof.is_some(),
        // Of a search, if it kept the slopes by which it bounded neurons.
        "branch-and-bound" => proof.is_some_and(|proof| !proof.neurons.is_empty()),
        _ => false,
    };
    let complete = complete && network.is_piecewise() && !assumes;
    if let Some(tighter) = tighter.filter(|_| complete) {
        let [lower, upper] = tighter.derived;
        return differs("proof", neuron(&tighter), format!("[{lower}, {upper}]"));
    }
    let less = margin > derived + slack(derived);
    if less && complete {
        return differs("margin", margin, derived);
    }
    if derived > 0.0 {
        return Found::Proved { by_less: less };
    }
    open(
        "the bounds derived here do not prove it: the slopes by which its neurons were bounded are \
         not in the proof",
    )
}
