//! Which layers of a certified network bear being changed: each is changed alone, and compared with the original on
//! samples that no certificate rests on.

use std::path::{Path, PathBuf};

use recert_ledger::Ledger;
use recert_report::layers::{ChangedLayer, LayerReport};

use super::approximate::CalibrationConfig;
use super::data::{Data, DataOptions};
use super::event::{Event, Events};
use super::network::{Computation, Network, NetworkConfig};
use super::search::{
    Change, Estimator, Format, Maker, Measure, Original, Recipe, Samples, SearchConfig,
};
use crate::{Error, Field, Result, output};

/// The most networks that answer in one pass: each has an instance for every worker.
pub(super) const TOGETHER: usize = 8;

/// The changes that are tried, of every layer.
#[derive(Debug, Clone)]
pub struct SensitivityConfig {
    /// The ledger of the certified network.
    pub ledger: PathBuf,
    /// The network's file.
    pub model: PathBuf,
    /// How to run it and its versions; what is left open is as in the ledger.
    pub network: NetworkConfig,
    /// What a layer becomes.
    pub changes: Vec<Change>,
    /// Other files that are compared with the network, each as a whole.
    pub versions: Vec<PathBuf>,
    /// Engines and precisions that these files are computed by, or the network's own where there are none; as the
    /// ledger's where none is given.
    pub computations: Vec<Computation>,
    /// The images to observe activations on, which integers need.
    pub calibration: Option<CalibrationConfig>,
    /// Which samples are looked at.
    pub search: SearchConfig,
    /// The ledger of the search, which is made or gone on with.
    pub samples_ledger: PathBuf,
}

/// What happens while layers are looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SensitivityEvent<'a> {
    /// The networks to compare are known.
    Started {
        /// How many there are.
        networks: usize,
        /// The inputs that they are compared on.
        inputs: usize,
    },
    /// A pass over the inputs goes on.
    Pass(Event<'a>),
    /// So many networks are done.
    Done {
        /// How many.
        networks: usize,
    },
}

/// Watches a job, and may stop it. Any `FnMut(SensitivityEvent<'_>)` is one that never does.
pub trait SensitivityEvents {
    /// Something happened.
    fn event(&mut self, event: SensitivityEvent<'_>);

    /// Whether to stop; the same job again goes on from there.
    fn stop(&self) -> bool {
        false
    }
}

impl<F: FnMut(SensitivityEvent<'_>)> SensitivityEvents for F {
    fn event(&mut self, event: SensitivityEvent<'_>) {
        self(event);
    }
}

/// Passes on the events of a pass.
struct Passes<'a, E>(&'a mut E);

impl<E: SensitivityEvents> Events for Passes<'_, E> {
    fn event(&mut self, event: Event<'_>) {
        self.0.event(SensitivityEvent::Pass(event));
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

/// What is shown as the layer of a version that is another file, or computed otherwise.
const WHOLE: &str = "whole network";

/// A layer that becomes something, or another version as a whole.
struct Version {
    layer: String,
    weights: u64,
    change: String,
    network: Network,
}

/// Changes each layer of a certified network alone and measures how often the result disagrees with it, and what the
/// average radius is expected to lose; `None` where it was stopped, and the same call again goes on from there.
///
/// The samples are those of a ledger of its own, with a seed of its own, so that networks that are chosen by
/// what is seen here may be recertified from `config.ledger` as networks named in advance.
///
/// # Errors
/// [`ErrorKind::Input`](crate::ErrorKind::Input) for another network than the ledger's;
/// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field that is out of range.
///
/// ```no_run
/// use recert::job::{SensitivityConfig, SensitivityEvent, sensitivity};
///
/// # fn main() -> Result<(), recert::Error> {
/// let config = SensitivityConfig::new("run.recert", "net.onnx", ["bf16".parse()?]);
/// let data = config.data(None, &Default::default())?;
/// let report = sensitivity(&config, &data, &mut |_: SensitivityEvent<'_>| ())?;
/// println!("{}", report.expect("nothing stopped it").table());
/// # Ok(())
/// # }
/// ```
pub fn sensitivity(
    config: &SensitivityConfig,
    data: &Data,
    events: &mut impl SensitivityEvents,
) -> Result<Option<LayerReport>> {
    if config.changes.is_empty() && config.versions.is_empty() && config.computations.is_empty() {
        let message = "name what to compare with the network: a change of its layers, such as int8, other files, or engines";
        return Err(Error::parameter(Field::Change, message));
    }
    if output::same(&config.samples_ledger, &config.ledger) {
        let message = format!(
            "{} is the ledger of the certified network, and a search needs one of its own",
            config.samples_ledger.display()
        );
        return Err(Error::parameter(Field::Search, message));
    }
    let original = Original::open(&config.ledger, &config.model, &config.network, data)?;
    let samples = Samples::new(&original, data, &config.search, &config.samples_ledger)?;
    let calibration = calibrated(&original, &config.changes, config.calibration.as_ref())?;
    let maker = Maker::new(&original.model, calibration)?;
    let (mut versions, unchanged) = versions(&original, &maker, &config.changes, (data, &samples))?;
    versions.extend(whole(config, &original, data, maker.weights()?)?);
    if versions.is_empty() {
        let message = format!(
            "no layer of {} can become any of these: {}",
            config.model.display(),
            unchanged.join(", ")
        );
        return Err(Error::parameter(Field::Change, message));
    }
    events.event(SensitivityEvent::Started {
        networks: versions.len(),
        inputs: samples.inputs(),
    });
    if !samples.run_original(&mut Passes(events))? {
        return Ok(None);
    }
    let estimator = super::search::estimator(&original, Measure::Radius)?;
    let mut layers = Vec::new();
    let mut original_radius = 0.0;
    // Networks that begin with the same layers compute these once: neighbours share most.
    for together in versions.chunks(TOGETHER) {
        let networks: Vec<&Network> = together.iter().map(|version| &version.network).collect();
        let seen = samples.run(&networks, config.search.samples, &mut Passes(events))?;
        let Some(seen) = seen else {
            return Ok(None);
        };
        for (version, pairs) in together.iter().zip(seen) {
            original_radius = estimator.original(&pairs)?;
            layers.push(ChangedLayer {
                layer: version.layer.clone(),
                change: version.change.clone(),
                weights: version.weights,
                pairs: pairs.iter().map(|input| input.pairs).sum(),
                disagreement: Estimator::disagreement(&pairs)?,
                radius_lost: estimator.loss(&pairs)?.interval(),
            });
        }
        events.event(SensitivityEvent::Done {
            networks: layers.len(),
        });
    }
    Ok(Some(LayerReport {
        network: original.header.network.file.clone(),
        sigma: original.header.sigma,
        inputs: samples.inputs() as u64,
        samples: config.search.samples,
        original_radius,
        layers,
        unchanged,
    }))
}

impl SensitivityConfig {
    /// With the default samples, in a ledger beside the certified one, without calibration.
    pub fn new(
        ledger: impl Into<PathBuf>,
        model: impl Into<PathBuf>,
        changes: impl Into<Vec<Change>>,
    ) -> Self {
        let ledger = ledger.into();
        Self {
            samples_ledger: beside(&ledger),
            ledger,
            model: model.into(),
            network: NetworkConfig::default(),
            changes: changes.into(),
            versions: Vec::new(),
            computations: Vec::new(),
            calibration: None,
            search: SearchConfig::default(),
        }
    }

    /// Standard deviation of the ledger's noise, in units of pixels in [0, 1].
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn sigma(&self) -> Result<f64> {
        Ok(Ledger::open_read_only(&self.ledger)?.header().sigma)
    }

    /// The data that the ledger was made with: at the path that it records, or at `data`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if it is not there or cannot be read.
    pub fn data(&self, data: Option<&str>, options: &DataOptions) -> Result<Data> {
        Original::data(&self.ledger, data, options)
    }
}

/// `run.recert` becomes `run.search.recert`.
fn beside(ledger: &Path) -> PathBuf {
    ledger.with_extension("search.recert")
}

/// The ranges of activations, if any change needs them.
pub(super) fn calibrated(
    original: &Original,
    changes: &[Change],
    calibration: Option<&CalibrationConfig>,
) -> Result<Option<recert_net::Calibration>> {
    let is_int = |change: &Change| matches!(change.format(), Some(Format::Int(_)));
    if !changes.iter().any(is_int) {
        return Ok(None);
    }
    let Some(calibration) = calibration else {
        let message = "integers need images to observe activations on";
        return Err(Error::parameter(Field::Calibration, message));
    };
    let images = calibration.images()?;
    images.observe(&original.model, &original.config).map(Some)
}

/// Other files, and other ways to compute them.
fn whole(
    config: &SensitivityConfig,
    original: &Original,
    data: &Data,
    weights: u64,
) -> Result<Vec<Version>> {
    if config.versions.is_empty() && config.computations.is_empty() {
        return Ok(Vec::new());
    }
    let own = std::slice::from_ref(&config.model);
    let files = if config.versions.is_empty() {
        own
    } else {
        &config.versions
    };
    let computed: Vec<(Option<&Computation>, NetworkConfig)> = match &config.computations[..] {
        [] => vec![(None, config.network.clone())],
        given => given
            .iter()
            .map(|one| (Some(one), one.of(&config.network)))
            .collect(),
    };
    let mut versions = Vec::new();
    for file in files {
        for (computation, config) in &computed {
            let network = original.file(file, config, data)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let change = match computation {
                None => name.into_owned(),
                Some(computation) if files == own => computation.to_string(),
                Some(computation) => format!("{name} by {computation}"),
            };
            if *network.identity() == original.header.network {
                let message = format!("{change} is the certified network, computed as it was");
                return Err(Error::parameter(Field::As, message));
            }
            versions.push(Version {
                layer: WHOLE.to_owned(),
                weights,
                change,
                network,
            });
        }
    }
    Ok(versions)
}

/// Every layer with every change, and those of which no weight would be another.
fn versions(
    original: &Original,
    maker: &Maker,
    changes: &[Change],
    (data, samples): (&Data, &Samples<'_>),
) -> Result<(Vec<Version>, Vec<String>)> {
    let (mut versions, mut unchanged) = (Vec::new(), Vec::new());
    let file = &original.header.network.file;
    for (layer, weights) in maker.layers()? {
        for &change in changes {
            let name = format!("{file} with {change} in {layer}");
            let Some((model, _)) = maker.make(&Recipe::one(&layer, change), &name)? else {
                unchanged.push(format!("{layer} ({change})"));
                continue;
            };
            versions.push(Version {
                layer: layer.clone(),
                weights,
                change: change.to_string(),
                network: original.version(model, data, samples)?,
            });
        }
    }
    Ok((versions, unchanged))
}
