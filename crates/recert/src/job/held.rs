//! What engines are compared on with the reference interpreter, and what a ledger keeps of it.

use std::path::Path;

use recert_engine::{self as engine, Comparison, ImageShape, NetworkOptions, Trial};
use recert_ledger::{self as ledger, JournalEntry, JournalEvent, Ledger};
use recert_net::Model;
use recert_noise::{NoiseKey, Stream};

use super::classifier::is_file;
use super::data::Data;
use crate::Result;

/// What a network is loaded for: images of a shape, or samples of data. Some of them are
/// what its engine is compared on with the reference interpreter.
///
/// ```
/// use recert::engine::ImageShape;
/// use recert::job::{Data, Sampled};
///
/// let shape = ImageShape { channels: 1, height: 1, width: 2 };
/// let data = Data::from_pixels("two dots", shape, &[0.0, 0.5, 0.5, 1.0], None)?;
/// // Images of the data, with Gaussian noise of standard deviation 0.25.
/// let samples = Sampled::new(&data, 0.25);
/// assert_eq!(samples.shape(), shape);
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sampled<'a> {
    shape: ImageShape,
    data: Option<(&'a Data, f64)>,
    known: Known,
}

/// Which networks need not be compared.
#[derive(Debug, Clone)]
enum Known {
    These(Vec<ledger::Network>),
    All,
}

impl From<ImageShape> for Sampled<'_> {
    fn from(shape: ImageShape) -> Self {
        Self {
            shape,
            data: None,
            known: Known::These(Vec::new()),
        }
    }
}

impl<'a> Sampled<'a> {
    /// Samples of images of `data` under Gaussian noise of standard deviation `sigma`, in
    /// units of pixels in [0, 1]. The noise is that of the calibration stream of a seed of its own,
    /// and independent of all that a certificate rests on.
    pub fn new(data: &'a Data, sigma: f64) -> Self {
        Self {
            data: Some((data, sigma)),
            ..Self::from(data.shape())
        }
    }

    /// The same, where networks that the journal of `ledger` records as compared, on a
    /// processor like this one, are not compared again.
    #[must_use]
    pub fn remembering(mut self, ledger: &Ledger) -> Self {
        if let Known::These(known) = &mut self.known {
            known.extend(compared(ledger));
        }
        self
    }

    /// The same for networks that are not to be compared.
    #[must_use]
    pub(super) fn trusted(mut self) -> Self {
        self.known = Known::All;
        self
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    pub(super) fn remembers(&self, network: &ledger::Network) -> bool {
        match &self.known {
            Known::All => true,
            Known::These(known) => known.contains(network),
        }
    }

    /// The network in the reference interpreter, with samples to compare on.
    pub(super) fn trial(&self, model: &Model, options: &NetworkOptions) -> Result<Trial> {
        let mut samples = |most: usize| Ok(self.samples(most));
        Ok(Trial::new(model, self.shape, options, &mut samples)?)
    }

    /// At most `most` samples, of images from the whole data set.
    fn samples(&self, most: usize) -> Vec<f32> {
        let Some((data, sigma)) = self.data else {
            return Vec::new();
        };
        let images = data.len().min(most);
        let key = NoiseKey::new(SEED);
        let mut samples = Vec::new();
        for number in 0..most {
            let idx = (number % images * data.len() / images) as u32;
            // A run finds out whether an image that it needs cannot be read.
            let Ok(image) = data.image(idx) else { continue };
            let mut noisy = vec![0.0; self.shape.len()];
            if image.pixels.len() == noisy.len() {
                let sample = (number / images) as u32;
                let stream = Stream::Calibration;
                key.add(stream, idx, sample, sigma as f32, &image.pixels, &mut noisy);
                samples.extend(noisy);
            }
        }
        samples
    }
}

/// The seed of the samples that engines are compared on.
const SEED: u64 = 0x636f_6d70_6172_6564;

/// The networks of `ledger` that were compared on a processor like this one.
fn compared(ledger: &Ledger) -> Vec<ledger::Network> {
    let (Ok(journal), Ok(networks)) = (ledger.journal(), ledger.networks()) else {
        return Vec::new();
    };
    let here = on_this_processor();
    let is_compared = |id: ledger::NetworkId| {
        journal.iter().any(|entry: &JournalEntry| {
            let JournalEvent::Held { details, .. } = &entry.event else {
                return false;
            };
            entry.network == Some(id) && details.ends_with(&here)
        })
    };
    let compared = networks.into_iter().filter(|(id, _)| is_compared(*id));
    compared.map(|(_, network)| network).collect()
}

fn on_this_processor() -> String {
    format!("; on {}", engine::processor())
}

/// A comparison as the ledger's journal keeps it.
#[derive(Debug, Clone)]
pub(super) struct HeldEngine(JournalEvent);

impl HeldEngine {
    pub(super) fn new(engine: &ledger::Engine, comparison: &Comparison) -> Self {
        let (images, largest_difference, tolerance) = match comparison {
            Comparison::Held(held) => (held.samples as u64, held.difference, held.allowed),
            _ => (0, 0.0, 0.0),
        };
        Self(JournalEvent::Held {
            engine: engine.to_string(),
            reference: format!("reference interpreter {}", engine::REFERENCE_VERSION),
            images,
            largest_difference,
            tolerance,
            details: format!("{comparison}{}", on_this_processor()),
        })
    }

    /// Adds it to the journal of `ledger`.
    pub(super) fn note(&self, ledger: &Ledger, network: ledger::NetworkId) -> Result<()> {
        ledger.note(Some(network), &self.0)?;
        Ok(())
    }
}

/// What comparing engines with the reference interpreter found, one line a network, as the
/// ledger at `ledger` records it: the last comparison of each.
///
/// # Errors
/// If the ledger cannot be read.
pub fn comparisons(ledger: &Path) -> Result<Vec<String>> {
    let ledger = Ledger::open_read_only(ledger)?;
    let found = compared_in(&ledger)?.into_iter().map(|(network, found)| {
        let none = "no comparison with the reference interpreter is recorded";
        format!("{network}: {}", found.as_deref().unwrap_or(none))
    });
    Ok(found.collect())
}

/// The networks of a ledger that engines compute, in words, and what comparing each found.
pub(crate) fn compared_in(
    ledger: &Ledger,
) -> Result<Vec<(String, Option<String>)>, recert_ledger::Error> {
    let journal = ledger.journal()?;
    let mut networks = ledger.networks()?;
    networks.retain(|(_, network)| is_file(network));
    let found = networks.into_iter().map(|(id, network)| {
        let last = journal.iter().rev().find_map(|entry| match &entry.event {
            JournalEvent::Held { details, .. } if entry.network == Some(id) => Some(details),
            _ => None,
        });
        (
            format!("{} by {}", network.file, network.engine),
            last.cloned(),
        )
    });
    Ok(found.collect())
}
