//! Searching among versions of a certified network for one that costs less and keeps its certificates.
//!
//! | file | concern |
//! |---|---|
//! | `config` | what is looked among, and what is to be found |
//! | `looking` | a search that goes on: networks, costs, pairs, certificates |
//! | `propose` | which networks to look at, from what each layer bears |
//! | `race` | which of them are looked at further |
//!
//! Networks are looked at on samples of a ledger of its own. Those that are chosen are certified from the certified
//! network's samples, which no decision saw, all named together before any of them runs there: what is
//! reported of them is a statement about networks named in advance, and a choice among them.

mod config;
mod looking;
mod propose;
mod race;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use recert_ledger::Ledger;
use recert_num::MAX_ALPHA;
use recert_report::tuned::{Seen, Tuned};

use super::data::{Data, DataOptions};
use super::event::{Event, Events};
use super::network::Network;
use super::search::{Loss, Maker, Measure, Original, Recipe, Samples, estimator};
use super::sensitivity::calibrated;
use crate::{Error, ErrorKind, Field, Result};

use looking::Search;

pub use config::{Constraint, Cost, Proposals, Space, TuneConfig};

/// The most bytes of networks that stay loaded between rounds.
const KEPT: usize = 1 << 30;

/// What happens in a search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TuneEvent<'a> {
    /// Each layer is looked at by itself.
    Layers {
        /// How many networks that makes.
        networks: usize,
    },
    /// The networks to look at are known.
    Proposed {
        /// How many there are.
        networks: usize,
    },
    /// A round begins.
    Round {
        /// Samples of each input.
        samples: u64,
        /// The networks that are still looked at.
        networks: usize,
    },
    /// These networks are certified.
    Chosen {
        /// Their files.
        files: &'a [PathBuf],
    },
    /// A pass over the inputs goes on.
    Pass(Event<'a>),
}

/// Watches a search, and may stop it. Any `FnMut(TuneEvent<'_>)` is one that never does.
pub trait TuneEvents {
    /// Something happened.
    fn event(&mut self, event: TuneEvent<'_>);

    /// Whether to stop; the same search again goes on from there.
    fn stop(&self) -> bool {
        false
    }
}

impl<F: FnMut(TuneEvent<'_>)> TuneEvents for F {
    fn event(&mut self, event: TuneEvent<'_>) {
        self(event);
    }
}

/// Passes on the events of a pass.
struct Passes<'a, E>(&'a mut E);

impl<E: TuneEvents> Events for Passes<'_, E> {
    fn event(&mut self, event: Event<'_>) {
        self.0.event(TuneEvent::Pass(event));
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

/// A layer of the certified network.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    name: String,
    weights: u64,
    /// Multiply-adds of an image.
    operations: u64,
}

/// A network that is looked at.
struct Candidate {
    name: String,
    source: Source,
    /// What each layer became, where that is known.
    layers: BTreeMap<String, String>,
    sha256: [u8; 32],
    bytes: usize,
    cost: f64,
    network: Option<Network>,
    /// Samples of each input that it was compared on.
    samples: u64,
    loss: Option<Loss>,
    stopped: bool,
}

/// Where a network comes from.
enum Source {
    Recipe(Recipe),
    File(PathBuf),
}

/// Runs a search, and returns all that it looked at, cheapest first, with the certificates of the networks that it chose;
/// `None` where it was stopped, and the same search again goes on from there.
///
/// # Errors
/// [`ErrorKind::Input`] for another network than the ledger's and for files that cannot be read;
/// [`ErrorKind::Parameter`], naming the field that is out of range; [`ErrorKind::Ledger`] where the
/// ledger has answers of other networks, among which those that are chosen could not be counted.
///
/// ```no_run
/// use recert::job::{Space, TuneConfig, TuneEvent, tune};
///
/// # fn main() -> Result<(), recert::Error> {
/// let space = Space::from_toml("changes = ['bf16', 'prune20%']\nleast-radius = '99%'")?;
/// let config = TuneConfig::new("run.recert", "net.onnx", space, "tuned");
/// let data = config.data(None, &Default::default())?;
/// let tuned = tune(&config, &data, &mut |_: TuneEvent<'_>| ())?.expect("nothing stopped it");
/// println!("{}", tuned.table());
/// # Ok(())
/// # }
/// ```
pub fn tune(
    config: &TuneConfig,
    data: &Data,
    events: &mut impl TuneEvents,
) -> Result<Option<Tuned>> {
    if config.folder.exists() && !config.folder.is_dir() {
        return Err(Error::output(config.folder.display(), "it is no folder").about(Field::Out));
    }
    let original = Original::open(&config.ledger, &config.model, &config.network, data)?;
    check_alone(config)?;
    let budget = config.budget.of(
        Field::Budget,
        original.header.n * original.certified.len() as u64,
    )?;
    let calibration = calibrated(
        &original,
        &config.space.changes,
        config.calibration.as_ref(),
    )?;
    fs::create_dir_all(&config.folder)
        .map_err(|why| Error::output(config.folder.display(), why))?;
    let samples = Samples::new(
        &original,
        data,
        &config.search,
        &config.folder.join("search.recert"),
    )?;
    let measure = match config.space.constraint {
        Some(Constraint::ShareAt { radius, .. }) => Measure::ShareAt(radius),
        _ => Measure::Radius,
    };
    let mut search = Search {
        estimator: estimator(&original, measure)?,
        maker: Maker::new(&original.model, calibration)?,
        layers: Vec::new(),
        config,
        data,
        original: &original,
        samples,
        measure,
    };
    search.layers = search.layers()?;
    if !search.samples.run_original(&mut Passes(events))? {
        return Ok(None);
    }
    let Some((mut candidates, unchanged)) = search.candidates(events)? else {
        return Ok(None);
    };
    events.event(TuneEvent::Proposed {
        networks: candidates.len(),
    });
    let Some(original_pairs) = search.race(&mut candidates, events)? else {
        return Ok(None);
    };
    let chosen = race::choose(
        &candidates
            .iter()
            .map(Candidate::standing)
            .collect::<Vec<_>>(),
        search.allowed(&original_pairs, budget)?,
        config.space.chosen,
    );
    let Some(mut certified) = search.certify(&mut candidates, &chosen, budget, events)? else {
        return Ok(None);
    };
    let searched = search.samples.evaluations()?;
    let all = (original.header.n0 + original.header.n) * original.certified.len() as u64;
    let mut networks: Vec<Seen> = Vec::new();
    for (position, candidate) in candidates.into_iter().enumerate() {
        networks.push(Seen {
            layers: candidate.layers,
            name: candidate.name,
            cost: candidate.cost,
            samples: candidate.samples,
            lost: candidate
                .loss
                .expect("every candidate was looked at")
                .interval(),
            stopped: candidate.stopped,
            certified: certified.remove(&position),
        });
    }
    networks.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    Ok(Some(Tuned {
        network: original.header.network.file.clone(),
        cost: config.space.cost.words().to_owned(),
        measure: search.words(),
        constraint: search.least(),
        original: (search.value(&original.radii()), search.original_cost()?),
        inputs: search.samples.inputs() as u64,
        sigma: original.header.sigma,
        original_alpha: original.header.alpha,
        n: original.header.n,
        alpha: (2.0 * original.header.alpha).min(MAX_ALPHA),
        budget,
        certified_inputs: original.certified.len() as u64,
        from_scratch: all * networks.len() as u64,
        certified: networks
            .iter()
            .filter_map(|n| Some(n.certified.as_ref()?.evaluations))
            .sum(),
        searched,
        networks,
        unchanged,
    }))
}

/// Fails where networks that are chosen could not be named together before any other ran.
fn check_alone(config: &TuneConfig) -> Result<()> {
    if config.space.chosen == 1 || config.folder.join(TUNED).exists() {
        return Ok(());
    }
    let ledger = Ledger::open_read_only(&config.ledger)?;
    for (id, network) in ledger.networks()? {
        if id != ledger.base() && ledger.stored_bytes(id)?.samples > 0 {
            let message = format!(
                "{} has answers of {} already, so that no networks can be named together now before any of them ran: \
                 certify the original again with a fresh seed into another ledger and search from that, or set chosen = 1",
                config.ledger.display(),
                network.file,
            );
            return Err(Error::new(ErrorKind::Ledger, message));
        }
    }
    Ok(())
}

/// The ledger of the networks that are chosen, in the search's folder.
const TUNED: &str = "tuned.recert";

/// What latencies were measured, in the search's folder: a search that goes on must not measure others.
const LATENCIES: &str = "latencies.json";

impl TuneConfig {
    /// With the default samples and half of n for certificates, without calibration.
    pub fn new(
        ledger: impl Into<PathBuf>,
        model: impl Into<PathBuf>,
        space: Space,
        folder: impl Into<PathBuf>,
    ) -> Self {
        Self {
            ledger: ledger.into(),
            model: model.into(),
            network: super::NetworkConfig::default(),
            space,
            calibration: None,
            search: super::SearchConfig::default(),
            budget: super::Amount::Percent(50.0),
            folder: folder.into(),
        }
    }

    /// The data that the ledger was made with: at the path that it records, or at `data`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if it is not there or cannot be read.
    pub fn data(&self, data: Option<&str>, options: &DataOptions) -> Result<Data> {
        Original::data(&self.ledger, data, options)
    }

    /// Standard deviation of the ledger's noise, in units of pixels in [0, 1].
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn sigma(&self) -> Result<f64> {
        Ok(Ledger::open_read_only(&self.ledger)?.header().sigma)
    }
}

impl Cost {
    fn words(self) -> &'static str {
        match self {
            Self::Size => "bytes, each weight at its bits",
            Self::Operations => "multiply-adds of an image times bits of the weight",
            Self::Latency => "seconds an image, measured",
        }
    }
}

impl Candidate {
    /// What it costs and is expected to lose.
    fn standing(&self) -> race::Standing<'_> {
        race::Standing {
            cost: self.cost,
            loss: self.loss.as_ref().expect("every candidate was looked at"),
            stopped: self.stopped,
        }
    }
}
