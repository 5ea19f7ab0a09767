//! What a person should know of a job, and no row shows.

use std::fmt;

use recert_ledger::Engine;
use recert_num::{format_down, format_up};
use recert_smooth::baseline::SELECTION;

use super::FirstLook;
use super::compared::Compared;
use super::place::NetworkDrive;
use crate::Field;

/// Something that a person should know, and that no row shows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// The engine that was chosen because none was named.
    EngineChosen {
        /// The network's file.
        network: String,
        /// The engine, and how it computes.
        engine: Engine,
        /// Whether the file has layers that are quantized to 8 bits.
        quantized: bool,
    },
    /// An engine that was passed over because it computes the network wrongly.
    EngineRefused {
        /// The engine, by name.
        engine: String,
        /// The network, and what the engine does.
        why: String,
    },
    /// An engine was not compared with the reference interpreter, or keeps some
    /// numbers in more bits than the file states.
    EngineCompared {
        /// The network's file.
        network: String,
        /// The engine, and how it computes.
        engine: Engine,
        /// What comparing them found.
        found: String,
    },
    /// The output that was taken of several because it alone holds scores or classes.
    OutputChosen {
        /// The network's file.
        network: String,
        /// The output's name.
        output: String,
        /// The number of classes.
        classes: u32,
    },
    /// Normalisation was given for a network that seems to normalize its images itself.
    NormalizedTwice {
        /// The network's file.
        network: String,
        /// What was given.
        given: String,
        /// The first operation of the file on the image.
        first: String,
    },
    /// Layers that networks have in common are computed once.
    LayersShared {
        /// How many networks share them.
        networks: usize,
        /// How many layers with weights these are.
        layers: usize,
        /// The fraction of all networks' multiply-adds that is in them, from 0 to 1.
        shared_fraction: f64,
    },
    /// An engine's answers may depend on the batch.
    BatchDependent {
        /// The engine.
        engine: Engine,
    },
    /// An engine may answer otherwise when it is run again.
    NotDeterministic {
        /// The engine.
        engine: Engine,
    },
    /// No input can be certified at the radius asked for.
    RadiusOutOfReach {
        /// The radius asked for, in units of pixels in [0, 1].
        radius: f64,
        /// Estimation samples per input.
        n: u64,
        /// A radius above what n samples can certify, in the same units.
        most: f64,
    },
    /// What certifying through a faster network costs.
    Via {
        /// How many times as fast it is.
        speed: f64,
        /// How many evaluations of the network itself take as long as one input.
        evaluations: u64,
        /// Estimation samples per input of the network itself that are likely to
        /// certify more in the same time, if any are.
        better: Option<u64>,
    },
    /// An average certified radius that was aimed at was not reached.
    TargetMissed {
        /// The network's file.
        network: String,
        /// The number of inputs.
        inputs: usize,
        /// Their mean certified radius, in units of pixels in [0, 1].
        mean: f64,
        /// The mean radius aimed at, in the same units.
        target: f64,
    },
    /// A network classifies about as many labelled inputs rightly as guessing would.
    NearChance {
        /// What it classified.
        look: FirstLook,
        /// Whether that is so under noise alone.
        noisy_only: bool,
    },
    /// A standard deviation that is large for pixels in [0, 1].
    LargeSigma {
        /// The standard deviation, in units of pixels in [0, 1].
        sigma: f64,
    },
    /// A budget of fewer evaluations than there are inputs.
    SmallBudget {
        /// Evaluations over all inputs.
        evaluations: u64,
        /// The number of inputs.
        inputs: u64,
    },
    /// A modified network is the ledger's own, computed in the same way.
    Unchanged {
        /// The network's file.
        network: String,
    },
    /// Inputs on which the original network stopped by its answers (`until_radius`).
    StoppedInputs {
        /// Their number.
        stopped: usize,
        /// The number of inputs that are recertified.
        inputs: usize,
        /// The methods asked for that abstain on them, by name.
        abstaining: Vec<&'static str>,
    },
    /// A budget was not spent, because nothing that it would buy promises more.
    Unspent {
        /// The network's file.
        network: String,
        /// Evaluations that there were for it.
        budget: u64,
        /// Those that were spent.
        spent: u64,
    },
    /// A network has several sets of certificates.
    SeveralClaims {
        /// The network's file.
        network: String,
        /// How many there are of each input.
        claims: usize,
        /// What they differ in, in words; empty if it is the list of inputs alone.
        differ_in: String,
    },
    /// A modified network classifies far fewer labelled inputs rightly than the original does.
    BelowOriginal {
        /// What both classify.
        look: FirstLook,
    },
    /// A modified network is normalised otherwise than the original, outside the graph.
    OtherPreprocessing {
        /// The network's file.
        network: String,
        /// Its normalisation.
        given: String,
        /// The original's file.
        original: String,
        /// The original's normalisation, which the ledger records.
        recorded: String,
    },
    /// So few samples that nothing can be certified.
    TooFewSamples {
        /// Estimation samples per input.
        n: u64,
        /// The least number with which a class that has all of them is certified.
        least: u64,
        /// Failure probability of a certificate.
        alpha: f64,
    },
    /// How the classes of an image folder were numbered, where no list of classes was given.
    ClassesByName {
        /// The folders in the order of their names: the first and the last.
        ends: [String; 2],
        /// How many there are.
        folders: usize,
        /// How many classes the network has.
        classes: u32,
    },
    /// A network was quantized by ranges observed on images that are certified.
    CalibratedOnInputs {
        /// The network's file.
        network: String,
        /// How many of the inputs it was calibrated on.
        shared: usize,
        /// The number of inputs.
        inputs: usize,
    },
    /// The ledger is on a network drive.
    NetworkDrive(NetworkDrive),
    /// A modified network's certificates beside the original's.
    WithOriginal(Box<Compared>),
    /// Modified networks were recertified one by one.
    OneByOne {
        /// The number of modified networks with certificates.
        networks: u32,
    },
    /// A network was given several times among candidates.
    GivenAgain {
        /// The network's file.
        network: String,
        /// How many candidates there are, among which alpha is divided.
        among: u32,
    },
    /// A network is new to a ledger in which results of other modified networks are known.
    ResultsKnown {
        /// The network's file.
        network: String,
        /// The number of other modified networks with certificates.
        others: usize,
    },
    /// A ledger beside the new one has certificates of another network from the same noise.
    SeedUsed {
        /// That ledger's file.
        ledger: String,
        /// The file of its network.
        network: String,
        /// The seed of both.
        seed: u64,
    },
}

/// How quantized layers are computed, in words.
pub(crate) const QUANTIZED: &str = "8 bits where the engine has them";

impl Remark {
    /// The parameter that it is about.
    pub fn field(&self) -> Option<Field> {
        Some(match self {
            Self::EngineChosen { .. }
            | Self::EngineRefused { .. }
            | Self::EngineCompared { .. }
            | Self::LayersShared { .. }
            | Self::NotDeterministic { .. }
            | Self::StoppedInputs { .. }
            | Self::SeveralClaims { .. }
            | Self::CalibratedOnInputs { .. }
            | Self::NetworkDrive(_)
            | Self::WithOriginal(_)
            | Self::OneByOne { .. }
            | Self::ResultsKnown { .. } => return None,
            Self::NearChance {
                noisy_only: false, ..
            }
            | Self::BelowOriginal { .. }
            | Self::NormalizedTwice { .. }
            | Self::OtherPreprocessing { .. } => Field::Mean,
            Self::TooFewSamples { .. } => Field::N,
            Self::ClassesByName { .. } => Field::Classes,
            Self::NearChance { .. } | Self::LargeSigma { .. } => Field::Sigma,
            Self::Unchanged { .. } | Self::GivenAgain { .. } => Field::Model,
            Self::SeedUsed { .. } => Field::Seed,
            Self::OutputChosen { .. } => Field::Output,
            Self::SmallBudget { .. } | Self::Unspent { .. } => Field::Budget,
            Self::BatchDependent { .. } => Field::Batch,
            Self::RadiusOutOfReach { .. } => Field::UntilRadius,
            Self::Via { .. } => Field::Via,
            Self::TargetMissed { .. } => Field::TargetAcr,
        })
    }
}

impl fmt::Display for Remark {
    #[expect(
        clippy::too_many_lines,
        reason = "an arm for each remark, and nothing else"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EngineChosen {
                network,
                engine,
                quantized,
            } => {
                write!(f, "{network} is computed by {engine}")?;
                if *quantized {
                    write!(f, " (its quantized layers: {QUANTIZED})")?;
                }
                Ok(())
            }
            Self::EngineRefused { engine, why } => {
                write!(f, "{engine} is passed over: {why}")
            }
            Self::EngineCompared {
                network,
                engine,
                found,
            } => write!(f, "{network} by {engine}: {found}"),
            Self::NormalizedTwice {
                network,
                given,
                first,
            } => write!(
                f,
                "{network} may normalize its images itself, as the first that it does with them is {first} with \
                 constants: {given} comes in front of that; leave it out if so"
            ),
            Self::OutputChosen {
                network,
                output,
                classes,
            } => match classes {
                // Of class numbers nobody knows how many there are.
                65_535 => write!(f, "{network}: its output '{output}' holds the class"),
                classes => write!(
                    f,
                    "{network}: its output '{output}' holds the scores of {classes} classes"
                ),
            },
            Self::LayersShared {
                networks,
                layers,
                shared_fraction,
            } => write!(
                f,
                "{networks} networks share their first {layers} layers ({:.0} % of the \
                 multiply-adds): these are computed once",
                (100.0 * shared_fraction).floor(),
            ),
            Self::BatchDependent { engine } => write!(
                f,
                "{}'s arithmetic may depend on the batch an image is in: counts can differ in a \
                 few samples between sizes of the batch (the noise never does)",
                engine.name,
            ),
            Self::NotDeterministic { engine } => write!(
                f,
                "{} may answer a sample otherwise when it is run again ({}): a resumed run can \
                 differ in a few samples",
                engine.name, engine.arithmetic,
            ),
            Self::RadiusOutOfReach { radius, n, most } => write!(
                f,
                "radius {radius} is out of reach: n = {n} samples of one class certify less than {}, so \
                 each input stops as soon as its samples show that",
                format_up(*most, 3),
            ),
            Self::Via {
                speed,
                evaluations,
                better,
            } => {
                write!(
                    f,
                    "the faster network is {speed:.1} times as fast: an input takes as long as \
                     {evaluations} evaluations of the network itself"
                )?;
                let Some(better) = better else { return Ok(()) };
                write!(
                    f,
                    "; n = {better} samples of the network itself, from scratch with n0 = {SELECTION}, \
                     are likely to certify more in the same time"
                )
            }
            Self::TargetMissed {
                network,
                inputs,
                mean,
                target,
            } => write!(
                f,
                "{network}: the average radius of {inputs} inputs, of any class, is {}, below the \
                 {target} that was aimed at: a budget is chosen by what it is expected to give",
                format_down(*mean, 3),
            ),
            Self::NearChance { look, noisy_only } => {
                let FirstLook {
                    network,
                    inputs,
                    classes,
                    clean,
                    noisy,
                    sigma,
                    ..
                } = look;
                if *noisy_only {
                    write!(
                        f,
                        "under noise of sigma {sigma}, {network} classifies {noisy} of {inputs} inputs \
                         as their labels, about as many as guessing among {classes} classes would: \
                         few inputs will be certified. Is sigma in units of pixels in [0, 1], and was \
                         the network trained under such noise?"
                    )
                } else {
                    write!(
                        f,
                        "{network} classifies {clean} of {inputs} inputs as their labels without \
                         noise, about as many as guessing among {classes} classes would: does it \
                         need normalisation (mean, standard deviation, scale), or are the labels \
                         numbered otherwise?"
                    )
                }
            }
            Self::LargeSigma { sigma } => write!(
                f,
                "sigma is {sigma} in units of pixels in [0, 1]: one given for pixels up to 255 has to \
                 be divided by 255"
            ),
            Self::SmallBudget {
                evaluations,
                inputs,
            } => write!(
                f,
                "the budget is {evaluations} evaluations for all {inputs} inputs together, fewer than \
                 one each: {evaluations}% would be that percentage of n per input"
            ),
            Self::Unchanged { network } => write!(
                f,
                "{network} is the network that the ledger certifies, computed in the same way: its \
                 own certificates are there already"
            ),
            Self::StoppedInputs {
                stopped,
                inputs,
                abstaining,
            } => {
                write!(
                    f,
                    "the original stopped on {stopped} of {inputs} inputs when its answers had decided: \
                     how many these are depends on them, so they prove nothing of another network. \
                     auto recertifies these inputs from new samples"
                )?;
                if abstaining.is_empty() {
                    return Ok(());
                }
                write!(
                    f,
                    "; {} abstain{} on them",
                    abstaining.join(", "),
                    if abstaining.len() == 1 { "s" } else { "" }
                )
            }
            Self::Unspent {
                network,
                budget,
                spent,
            } => write!(
                f,
                "{network}: {spent} of {budget} evaluations were spent: no design that the rest \
                 would buy promises more"
            ),
            Self::SeveralClaims {
                network,
                claims,
                differ_in,
            } => {
                write!(f, "{network} has {claims} sets of certificates")?;
                if !differ_in.is_empty() {
                    write!(f, " ({differ_in})")?;
                }
                write!(
                    f,
                    ": each of the {claims} certificates of an input holds by itself; taking the one \
                     with the largest radius does not (SOUNDNESS.md, section 6)"
                )
            }
            Self::BelowOriginal { look } => {
                let FirstLook {
                    network,
                    inputs,
                    noisy,
                    sigma,
                    ..
                } = look;
                write!(
                    f,
                    "under noise of sigma {sigma}, {network} classifies {noisy} of {inputs} inputs as \
                     their labels, less than half as many above guessing as the original"
                )?;
                let Some(original) = &look.original else {
                    return Ok(());
                };
                let [given, recorded] = &original.preprocessing;
                let name = &original.network;
                write!(
                    f,
                    ": {name} classifies {:.0}. Is it normalised as it was trained (outside of the \
                     file, {network}: {given}; {name} in the ledger: {recorded})?",
                    original.noisy
                )
            }
            Self::OtherPreprocessing {
                network,
                given,
                original,
                recorded,
            } => write!(
                f,
                "{network} is normalised otherwise (outside of the file: {given}) than {original} in the \
                 ledger ({recorded}): right only where its file holds the difference"
            ),
            Self::TooFewSamples { n, least, alpha } => write!(
                f,
                "n = {n} estimation samples certify nothing at alpha = {alpha}, even if all are \
                 answered alike: that takes n = {least} or more"
            ),
            Self::ClassesByName {
                ends: [first, last],
                folders,
                classes,
            } => {
                write!(
                    f,
                    "labels are the positions of the {folders} folders in the order of their names, as \
                     torchvision's ImageFolder numbers them: 0 is '{first}', {} is '{last}'",
                    folders - 1
                )?;
                if *folders == *classes as usize {
                    return f.write_str(
                        ". Of a network that numbers its classes otherwise, list their names in its \
                         order",
                    );
                }
                write!(
                    f,
                    ". The network has {classes} classes, so that these are likely not its numbers: \
                     list the names of all of its classes in its order"
                )
            }
            Self::CalibratedOnInputs {
                network,
                shared,
                inputs,
            } => write!(
                f,
                "{network} was quantized by the ranges of its activations on {shared} of the {inputs} \
                 inputs that are certified: the certificates hold, but how well the network does on \
                 these inputs says less of others. Calibrate on images of the training set"
            ),
            Self::NetworkDrive(drive) => drive.fmt(f),
            Self::WithOriginal(compared) => compared.fmt(f),
            Self::OneByOne { networks } => write!(
                f,
                "{networks} modified networks have certificates that are not corrected for a choice \
                 among all of them: each holds if its network was not made or chosen by results on \
                 these samples; taking the network with the best results does not (SOUNDNESS.md, \
                 section 6): name all candidates in one command"
            ),
            Self::GivenAgain { network, among } => write!(
                f,
                "{network} is given more than once: each time counts as a candidate, so that alpha is \
                 divided by {among}. Given once, it certifies more"
            ),
            Self::ResultsKnown { network, others } => write!(
                f,
                "{network} is new to a ledger in which {others} other modified network{} certificates: \
                 if it was made or chosen after looking at them, its own do not hold (SOUNDNESS.md, \
                 section 6). Then certify the original with a fresh seed into another ledger, and \
                 recertify from that",
                if *others == 1 { " has" } else { "s have" }
            ),
            Self::SeedUsed {
                ledger,
                network,
                seed,
            } => write!(
                f,
                "{ledger} has certificates of {network} from the same noise, that of seed {seed}: if the \
                 network certified now was made or chosen after looking at them, its own do not hold \
                 (SOUNDNESS.md, section 6). Then certify it with a fresh seed"
            ),
        }
    }
}
