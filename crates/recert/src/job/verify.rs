//! Verifying by bounds: whether every image near an input has its class, by a deterministic
//! proof, or an image that has not.
//!
//! | file | concern |
//! |---|---|
//! | `epsilon` | a distance as it is written |
//! | `config` | what to verify, and how hard to try |
//! | `cascade` | the verdict on one input |
//! | `proof` | what of it makes checking cheap |
//! | `from` | what another network's verification saves |
//! | `transform` | the verdict on one input under a transformation |
//! | `files` | VNN-LIB files |
//! | `run` | the workers, and the ledger |

mod cascade;
mod config;
mod epsilon;
mod files;
mod from;
mod proof;
mod run;
mod transform;

use std::path::{Path, PathBuf};

use recert_bounds::geometric::Transformation;
use recert_bounds::{self as bounds, Region};
use recert_engine::{ImageShape, NetworkOptions, pixel_graph};
use recert_graph::Graph;
use recert_ledger::{Header, Specification, Verification};
use recert_num::directed::{add_down, sub_up};

use super::data::Data;
use super::network::Network;
use super::remark::Remark;
use crate::{Error, ErrorKind, Field, Result};

pub use config::{Norm, VerifyConfig, VerifyMethod};
pub use epsilon::Epsilon;
pub use files::{VnnlibFile, images_of_network};
pub use from::Reverification;

/// A verification in which everything that can be wrong has been checked, and nothing has been
/// written yet. Its makers are [`verify`], [`verify_transformed`] and
/// [`verify_files`].
pub struct VerifyJob<'a> {
    ledger: Option<PathBuf>,
    config: VerifyConfig,
    network: &'a Network,
    /// The same as a function of pixels, for bounds.
    bounds: bounds::Network,
    /// Whether the network's own input takes the channels of each pixel together.
    channels_last: bool,
    subject: Subject<'a>,
    header: Header,
    remarks: Vec<Remark>,
    /// What another network's verification found.
    start: Option<from::Start>,
}

/// What is verified.
enum Subject<'a> {
    /// What may become of images.
    Images {
        data: &'a Data,
        inputs: Vec<u32>,
        perturbation: Perturbation,
        verification: Box<Verification>,
    },
    /// VNN-LIB files, each a verification of its own.
    Files(Vec<(VnnlibFile, Verification)>),
}

/// What may become of an image, with its class to stay.
#[derive(Debug, Clone)]
enum Perturbation {
    /// Any image near it.
    Near(Norm, Epsilon),
    /// Whatever a transformation makes of it.
    Transformed(Transformation),
}

/// A job that verifies, for inputs of `data`, that `network` gives every image with pixels in
/// [0, 1] at a distance of at most `epsilon` the class of the input; with
/// [`VerifyConfig::weights_within`], that every network of a family does. With a path, results go to
/// a ledger, which the job makes or resumes; a smoothing run's ledger takes them too.
///
/// Bounds are of the network on real numbers with its file's weights, normalisation included;
/// counterexamples are answered by the engine.
///
/// # Errors
/// [`ErrorKind::Parameter`], naming the field of `config` that is out of range;
/// [`ErrorKind::Engine`] for an operator that no bounds are known for; whatever looking at
/// network and data fails with.
///
/// ```
/// use recert::job::{Data, DataConfig, Event, Network, NetworkConfig, Norm, VerifyConfig, verify};
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// let data = format!("npz:{demo}/shapes-test.npz");
/// let data = Data::open(&DataConfig { data, options: Default::default() })?;
/// let config = NetworkConfig { engine: Some("direct".into()), ..Default::default() };
/// let network = Network::open(format!("{demo}/shapes.onnx").as_ref(), &config, data.shape())?;
/// let mut config = VerifyConfig::default();
/// config.subset.limit = Some(2);
/// let job = verify(None, &config, (Norm::Linf, &"1/2550".parse()?), &data, &network)?;
/// let mut verdicts = Vec::new();
/// job.run(&mut |event: Event<'_>| {
///     if let Event::Verified { result, .. } = event {
///         verdicts.push(result.verdict);
///     }
/// })?;
/// assert_eq!(verdicts.len(), 2);
/// # Ok::<(), recert::Error>(())
/// ```
pub fn verify<'a>(
    ledger: Option<&Path>,
    config: &VerifyConfig,
    (norm, epsilon): (Norm, &Epsilon),
    data: &'a Data,
    network: &'a Network,
) -> Result<VerifyJob<'a>> {
    config.validate()?;
    let verification = Verification::new(
        norm.specification(epsilon, config.weights_within),
        config.method.name(),
        config.effort(),
    );
    let perturbation = Perturbation::Near(norm, epsilon.clone());
    of_images(ledger, config, (perturbation, verification), data, network)
}

/// A job that verifies, for inputs of `data`, that `network` gives every image that
/// `transformation` makes of the input, at every value of its parameters, the class of the
/// input. Pixels are in [0, 1] and lie as the data says: normalisation comes after the
/// transformation. With a path, results go to a ledger, as for [`verify`].
///
/// The parameters are cut into cells, until each is proved, a counterexample is found, or
/// [`VerifyConfig::cells`] or the timeout ends it. The network is as for [`verify`]; a
/// counterexample is the transformed image in float32, which the engine answers.
///
/// # Errors
/// As for [`verify`], and [`ErrorKind::Parameter`] for a method that does not cut parameters.
///
/// ```
/// use recert::job::{
///     Data, DataConfig, Event, Network, NetworkConfig, VerifyConfig, verify_transformed,
/// };
///
/// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
/// let data = format!("npz:{demo}/shapes-test.npz");
/// let data = Data::open(&DataConfig { data, options: Default::default() })?;
/// let config = NetworkConfig { engine: Some("direct".into()), ..Default::default() };
/// let network = Network::open(format!("{demo}/shapes.onnx").as_ref(), &config, data.shape())?;
/// let mut config = VerifyConfig::default();
/// config.subset.limit = Some(2);
/// let darker = "brightness=-0.001..0".parse()?;
/// let job = verify_transformed(None, &config, &darker, &data, &network)?;
/// let mut cells = 0;
/// job.run(&mut |event: Event<'_>| {
///     if let Event::Verified { result, .. } = event {
///         let proof = result.decoded_transform_proof().expect("it was just made");
///         cells += proof.map_or(0, |proof| proof.cells.len());
///     }
/// })?;
/// # Ok::<(), recert::Error>(())
/// ```
pub fn verify_transformed<'a>(
    ledger: Option<&Path>,
    config: &VerifyConfig,
    transformation: &Transformation,
    data: &'a Data,
    network: &'a Network,
) -> Result<VerifyJob<'a>> {
    config.validate_transform()?;
    let steps = transformation.to_string();
    let verification = Verification::new(
        Specification::Transform { steps },
        config.method.name(),
        config.transform_effort(),
    );
    let perturbation = Perturbation::Transformed(transformation.clone());
    of_images(ledger, config, (perturbation, verification), data, network)
}

fn of_images<'a>(
    ledger: Option<&Path>,
    config: &VerifyConfig,
    (perturbation, verification): (Perturbation, Verification),
    data: &'a Data,
    network: &'a Network,
) -> Result<VerifyJob<'a>> {
    let inputs = data.select(config.subset)?;
    network.check_image(data.shape())?;
    data.check_labels(&inputs, network.classes())?;
    let (bounds, channels_last) = bounded(network, data.shape(), bounds::Network::for_labels)?;
    let bounds = match config.weights_within {
        Some(step) => family(&bounds, step).map_err(|why| {
            let why = why.at(&network.identity().file);
            Error::from(why).about(Field::WeightsWithin)
        })?,
        None => bounds,
    };
    Ok(VerifyJob {
        ledger: ledger.map(Path::to_owned),
        config: config.clone(),
        network,
        bounds,
        channels_last,
        subject: Subject::Images {
            data,
            inputs,
            perturbation,
            verification: Box::new(verification),
        },
        header: header(network, data.record(), data.shape()),
        remarks: network.engine_remarks(),
        start: None,
    })
}

/// A job that verifies VNN-LIB files, with `network` loaded for the
/// [images that it takes](images_of_network). Its inputs are the network's own, so that there is
/// no normalisation.
///
/// # Errors
/// As for [`verify`]; [`ErrorKind::Input`] for a file that is of networks with other inputs or
/// outputs.
pub fn verify_files<'a>(
    ledger: Option<&Path>,
    config: &VerifyConfig,
    files: Vec<VnnlibFile>,
    network: &'a Network,
    image: ImageShape,
) -> Result<VerifyJob<'a>> {
    config.validate()?;
    if config.weights_within.is_some() {
        let message = "only neighbourhoods of images are verified for a family of networks, and no \
                       VNN-LIB file";
        return Err(Error::parameter(Field::WeightsWithin, message));
    }
    if network.identity().preprocess != "none" {
        let message = "the inputs of a VNN-LIB file are the network's own: no normalisation comes \
                       before";
        return Err(Error::parameter(Field::Mean, message));
    }
    network.check_image(image)?;
    let (bounds, channels_last) = bounded(network, image, bounds::Network::new)?;
    let mut named = Vec::new();
    for file in files {
        file.check(&bounds)?;
        let config = file.config(config);
        config.validate()?;
        let method = config.method.name();
        let verification = Verification::new(file.specification(), method, config.effort());
        named.push((file, verification));
    }
    Ok(VerifyJob {
        ledger: ledger.map(Path::to_owned),
        config: config.clone(),
        network,
        bounds,
        channels_last,
        subject: Subject::Files(named),
        header: header(network, "", image),
        remarks: network.engine_remarks(),
        start: None,
    })
}

fn header(network: &Network, data: &str, image: ImageShape) -> Header {
    let shape = [image.channels, image.height, image.width].map(|size| size as u32);
    Header::without_noise(network.identity().clone(), data, shape)
}

/// The network as a function of pixels, for bounds; and whether its own input takes the channels
/// of each pixel together.
pub(super) fn bounded(
    network: &Network,
    image: ImageShape,
    lower: impl Fn(&Graph) -> bounds::Result<bounds::Network>,
) -> Result<(bounds::Network, bool)> {
    let identity = network.identity();
    let Some((loaded, model)) = network.loaded() else {
        let message = format!(
            "{}: bounds need a network's operators: name an ONNX file, not a function",
            identity.file
        );
        return Err(Error::parameter(Field::Model, message));
    };
    let options = NetworkOptions {
        output: Some(loaded.output().to_owned()),
        preprocess: loaded.preprocess().clone(),
        // That was checked when it was loaded.
        max_memory: Some(u64::MAX),
    };
    let pixels = pixel_graph(model, image, &options)?;
    let bounded = lower(&pixels.graph).map_err(|error| error.at(&identity.file))?;
    if bounded.outputs() != network.classes() {
        let message = format!(
            "{}: {} classes are read, but the output has {} values: bounds need one a class",
            identity.file,
            network.classes(),
            bounded.outputs()
        );
        return Err(Error::new(ErrorKind::Input, message));
    }
    Ok((bounded, pixels.channels_last))
}

/// All networks with weights within a step of a network's.
fn family(network: &bounds::Network, step: bounds::Within) -> bounds::Result<bounds::Network> {
    network.within(match step {
        // The nearest double to the number that is stated may be below it.
        bounds::Within::Absolute(radius) if radius > 0.0 => {
            bounds::Within::Absolute(radius.next_up())
        }
        step => step,
    })
}

/// The region around an image that contains all that is at the distance, and one that contains
/// nothing else; both within [0, 1].
pub(super) fn around(norm: Norm, epsilon: &Epsilon, image: &[f64]) -> Result<[Region; 2]> {
    let (down, up) = (epsilon.down(), epsilon.up());
    Ok(match norm {
        Norm::Linf => {
            let lower = image.iter().map(|&x| sub_up(x, down).clamp(0.0, x));
            let upper = image.iter().map(|&x| add_down(x, down).clamp(x, 1.0));
            let inner = Region::Box {
                lower: lower.collect(),
                upper: upper.collect(),
            };
            [Region::linf(image, up)?, inner]
        }
        Norm::L2 => [Region::l2(image, up)?, Region::l2(image, down)?],
    })
}
