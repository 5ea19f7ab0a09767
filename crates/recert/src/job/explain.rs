//! Explaining proofs by bounds: which neurons of the penultimate layer each rests on, and how that
//! compares with another network's.
//!
//! | file | concern |
//! |---|---|
//! | `config` | by what to bound, and what to keep |
//! | `input` | the proofs about one input, and what they have in common |
//! | `run` | the workers, and the whole |

mod config;
mod input;
mod run;

use recert_bounds::features::Penultimate;
use recert_bounds::{self as bounds};

use super::data::Data;
use super::network::Network;
use super::remark::Remark;
use super::verify::{Epsilon, Norm, bounded};
use crate::{Error, ErrorKind, Field, Result};

pub use config::{ExplainConfig, ExplainMethod};

/// An explanation in which everything that can be wrong has been checked. Its maker is [`explain`].
pub struct ExplainJob<'a> {
    config: ExplainConfig,
    data: &'a Data,
    inputs: Vec<u32>,
    norm: Norm,
    epsilon: Epsilon,
    /// The network, and the one that it is compared with.
    sides: Vec<Side<'a>>,
    remarks: Vec<Remark>,
}

/// A network that is explained.
struct Side<'a> {
    network: &'a Network,
    /// The same as a function of pixels, cut before its last fully connected layer.
    cut: Penultimate,
}

/// A job that finds, for inputs of `data`, what the proofs rest on that `network` gives every image
/// with pixels in [0, 1] at a distance of at most `epsilon` the class of the input; with `versus`, also
/// what those of another network of the same inputs, classes and penultimate layer do.
///
/// Proof features are those of Banerjee, Singh and Singh (ICLR 2024): see
/// [`recert_bounds::features`]. Inputs that an engine answers otherwise than their class have no proof.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the field that is out of range;
/// [`ErrorKind::Engine`] for an operator that no bounds are known for, and for a network that does not
/// end in a fully connected layer behind an activation; whatever looking at networks and data fails with.
///
/// ```
/// use recert::job::{Data, DataConfig, ExplainConfig, Network, NetworkConfig, Norm, explain};
/// use recert::report::features;
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// let data = format!("npz:{demo}/shapes-test.npz");
/// let data = Data::open(&DataConfig { data, options: Default::default() })?;
/// let config = NetworkConfig { engine: Some("direct".into()), ..Default::default() };
/// let network = Network::open(format!("{demo}/shapes.onnx").as_ref(), &config, data.shape())?;
/// let mut config = ExplainConfig::default();
/// config.subset.limit = Some(2);
/// let job = explain(&config, (Norm::Linf, &"1/25500".parse()?), &data, &network, None)?;
/// let explanation = job.run(&mut |_: recert::job::Event<'_>| {})?.expect("nobody stopped it");
/// assert_eq!(explanation.inputs.len(), 2);
/// println!("{}", features::table(&explanation, 100)?);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn explain<'a>(
    config: &ExplainConfig,
    (norm, epsilon): (Norm, &Epsilon),
    data: &'a Data,
    network: &'a Network,
    versus: Option<&'a Network>,
) -> Result<ExplainJob<'a>> {
    config.validate()?;
    if config.run.shard.is_some() {
        let message = "explanations are kept in no ledger that could be merged: choose the inputs of \
                       each process";
        return Err(Error::parameter(Field::Shard, message));
    }
    let inputs = data.select(config.subset)?;
    let mut sides: Vec<Side<'a>> = Vec::new();
    let mut remarks = Vec::new();
    for network in [Some(network), versus].into_iter().flatten() {
        network.check_image(data.shape())?;
        data.check_labels(&inputs, network.classes())?;
        sides.push(Side::new(network, data)?);
        remarks.extend(network.engine_remarks());
    }
    if let [first, second] = sides.as_slice() {
        first.check_alike(second)?;
    }
    Ok(ExplainJob {
        config: config.clone(),
        data,
        inputs,
        norm,
        epsilon: epsilon.clone(),
        sides,
        remarks,
    })
}

impl<'a> Side<'a> {
    fn new(network: &'a Network, data: &Data) -> Result<Self> {
        let (bounded, _) = bounded(network, data.shape(), bounds::Network::for_labels)?;
        let file = &network.identity().file;
        let cut = Penultimate::of(&bounded).map_err(|error| error.at(file))?;
        if cut.hidden().activations().is_empty() {
            let message = format!(
                "{file}: no activation comes before its last fully connected layer: proof features are \
                 the hidden neurons that such a layer takes, so explain a network that has some"
            );
            return Err(Error::new(ErrorKind::Engine, message));
        }
        Ok(Self { network, cut })
    }

    /// Fails if the two cannot be compared.
    fn check_alike(&self, other: &Self) -> Result<()> {
        let files = [self, other].map(|side| &side.network.identity().file);
        let sizes = [
            ("classes", [self, other].map(|side| side.network.classes())),
            (
                "neurons in the penultimate layer",
                [self, other].map(|side| side.cut.neurons()),
            ),
        ];
        let differs = sizes.into_iter().find(|(_, [a, b])| a != b);
        let Some((what, [a, b])) = differs else {
            return Ok(());
        };
        let message = format!(
            "{} has {a} {what}, and {} has {b}: neurons are compared by position, so name a version of \
             the same network",
            files[0], files[1],
        );
        Err(Error::parameter(Field::Versus, message))
    }
}
