//! Proof features: what proofs of robustness rest on, for one network or two side by side.
//!
//! An [`Explanation`] is a plain struct that the caller fills. From it come
//!
//! - [`FeatureMetrics`] and [`VersusMetrics`]: how many features proofs keep, and how alike those
//!   of two networks are;
//! - [`table`]: a table for a terminal;
//! - [`json`]: a versioned JSON document, with every input;
//! - [`html`](html()): one self-contained page, with pictures.
//!
//! A feature is the interval of a neuron of the penultimate layer. Its picture is the gradient of the
//! middle of that interval with respect to the image.
//!
//! | file | concern |
//! |---|---|
//! | `features/metrics` | the figures |
//! | `features/table`, `features/json` | for a terminal; for programs |
//! | `features/page`, `features/card` | the page; one input on it |
//! | `features/picture` | pixels and gradients as PNG files in the page |

mod card;
mod json;
mod metrics;
mod page;
mod picture;
mod table;

use serde::Serialize;

use crate::error::Error;
use crate::text::printable;

pub use json::{SCHEMA, json};
pub use metrics::{FeatureMetrics, Kept, VersusMetrics};
pub use page::html;
pub use picture::Picture;
pub use table::table;

/// What the proofs of one network, or of two on the same inputs, rest on.
///
/// ```
/// use recert_report::features::{self, Counts, ExplainedInput, ExplainedNetwork, Explanation};
/// use recert_report::features::{InputProof, KeptFeature};
///
/// let kept = KeptFeature { neuron: 3, interval: [0.5, 1.0], weight: 2.0, priority: 2.0, picture: None };
/// let proof = InputProof {
///     answer: Some(7),
///     margin: Some(0.25),
///     counts: Some(Counts { features: 40, random: 20, weight: 6 }),
///     kept: vec![kept],
/// };
/// let input = ExplainedInput { label: Some(7), class: Some(7), proofs: vec![proof], ..Default::default() };
/// let network = ExplainedNetwork { network: "net.onnx".to_owned(), ..Default::default() };
/// let explanation = Explanation {
///     networks: vec![network],
///     inputs: vec![input],
///     ..Explanation::default()
/// };
/// assert!(features::table(&explanation, 100)?.contains("net.onnx"));
/// # Ok::<(), recert_report::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// What it is about, in a few words.
    pub title: String,
    /// By what it was made, in words.
    pub generated: String,
    /// What is to hold, in a few words: `linf 0.1`.
    pub specification: String,
    /// The same in full, of every input.
    pub statement: String,
    /// What bounded neurons and margins: `ibp`, `crown` or `alpha-crown`.
    pub method: String,
    /// Which inputs.
    pub data: String,
    /// The seed of the random order.
    pub seed: u32,
    /// The network that is explained and, where there is one, the one that it is compared with.
    pub networks: Vec<ExplainedNetwork>,
    /// The inputs, in order.
    pub inputs: Vec<ExplainedInput>,
}

/// A network that is explained.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExplainedNetwork {
    /// Its name, such as its file name.
    pub network: String,
    /// SHA-256 of its file in hexadecimal.
    pub network_sha256: String,
    /// What answered the inputs.
    pub engine: String,
    /// Normalisation outside the graph.
    pub preprocessing: String,
    /// The number of neurons in its penultimate layer.
    pub neurons: u64,
}

/// What the proofs about one input rest on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExplainedInput {
    /// Its position in the data.
    pub idx: u32,
    /// Its label, where it has one.
    pub label: Option<u32>,
    /// The class that is to be proved: the label or, without one, the first network's answer.
    pub class: Option<u32>,
    /// The image itself, in [0, 1], where it is to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Picture>,
    /// One a network.
    pub proofs: Vec<InputProof>,
    /// How alike the two networks' proofs are, where both have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Compared>,
    /// Where one network alone has a proof: the neurons whose intervals are wider in the other,
    /// the largest loss first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grown: Vec<Grown>,
}

/// One network's proof about an input, or that it has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InputProof {
    /// The engine's class of the input.
    pub answer: Option<u32>,
    /// A lower bound on the smallest margin; `None` where the input is answered wrongly, and where
    /// there is no finite bound.
    pub margin: Option<f64>,
    /// The number of features, where there is a proof.
    pub counts: Option<Counts>,
    /// The features that are kept, the largest priority first.
    pub kept: Vec<KeptFeature>,
}

/// How many features a proof has, and how many other orders of pruning keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Features with a priority above 0.
    pub features: u64,
    /// Features kept by pruning in random order.
    pub random: u64,
    /// Features kept by pruning in the order of the last layer's weights alone.
    pub weight: u64,
}

/// A feature that a proof keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct KeptFeature {
    /// Its position in the penultimate layer.
    pub neuron: u32,
    /// Lower and upper bound of its value, rounded outward.
    pub interval: [f64; 2],
    /// The largest factor by which it enters a margin, in magnitude.
    pub weight: f64,
    /// `weight` times the larger magnitude of the interval's ends.
    pub priority: f64,
    /// The gradient of the middle of its interval, where it is to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
}

/// How alike the proofs of two networks about one input are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Compared {
    /// Neurons that both keep.
    pub shared: Vec<u32>,
    /// `shared` over all that either keeps.
    pub overlap: f64,
    /// Spearman's rank correlation of the priorities of all neurons.
    pub rank_correlation: Option<f64>,
    /// Cosine similarity of the two pictures of each shared neuron.
    pub cosines: Vec<Option<f64>>,
    /// For each feature that the first network keeps, in its order, the one of the second's with
    /// the most similar picture.
    pub closest: Vec<Option<Closest>>,
}

/// The feature with the most similar picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Closest {
    /// Its neuron, in the second network.
    pub neuron: u32,
    /// The cosine similarity of the pictures.
    pub cosine: f64,
}

/// A neuron whose interval is wider in the network without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Grown {
    /// Its position in the penultimate layer.
    pub neuron: u32,
    /// Its interval in the network with a proof, and in the one without.
    pub intervals: [[f64; 2]; 2],
    /// The most that the growth can take off a margin: the growth of the width times the neuron's
    /// weight.
    pub loss: f64,
}

impl InputProof {
    /// Whether there is a proof.
    pub fn is_proved(&self) -> bool {
        self.counts.is_some()
    }
}

impl ExplainedInput {
    /// The position of the network without a proof, where the other one has one.
    pub fn lost(&self) -> Option<usize> {
        match self.proofs.as_slice() {
            [first, second] if first.is_proved() != second.is_proved() => {
                Some(usize::from(first.is_proved()))
            }
            _ => None,
        }
    }

    /// Whether this network, by its position, answers the input as its class.
    pub fn is_right(&self, network: usize) -> bool {
        let answer = self.proofs.get(network).and_then(|proof| proof.answer);
        answer.is_some() && answer == self.class
    }
}

impl Explanation {
    /// Leaves out all images and pictures, which are most of a document's bytes.
    pub fn drop_pictures(&mut self) {
        for input in &mut self.inputs {
            input.image = None;
            let kept = input.proofs.iter_mut().flat_map(|proof| &mut proof.kept);
            kept.for_each(|kept| kept.picture = None);
        }
    }

    /// Checks that there are one or two networks with a proof, or none, of every input, and that
    /// numbers are finite.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Value`](crate::ErrorKind::Value), naming the input.
    pub fn check(&self) -> Result<(), Error> {
        if !(1..=2).contains(&self.networks.len()) {
            let message = format!(
                "{} networks, where one or two are explained",
                self.networks.len()
            );
            return Err(Error::value(message));
        }
        for input in &self.inputs {
            let wrong = |what: &str| Err(Error::value(format!("input {}: {what}", input.idx)));
            if input.proofs.len() != self.networks.len() {
                return wrong("there is not one proof a network");
            }
            for proof in &input.proofs {
                let numbers = proof.kept.iter().flat_map(|kept| {
                    let [lower, upper] = kept.interval;
                    [lower, upper, kept.weight, kept.priority]
                });
                if numbers
                    .chain(proof.margin)
                    .any(|number| !number.is_finite())
                {
                    return wrong("a margin, interval, weight or priority is not finite");
                }
                if !proof.kept.is_empty() && proof.counts.is_none() {
                    return wrong("features are kept without a proof");
                }
                let pictures = proof.kept.iter().filter_map(|kept| kept.picture.as_ref());
                if pictures.chain(&input.image).any(|picture| !picture.fits()) {
                    return wrong("a picture has not as many values as its extents state");
                }
            }
            let grown = input
                .grown
                .iter()
                .flat_map(|grown| grown.intervals.concat());
            if grown
                .chain(input.grown.iter().map(|g| g.loss))
                .any(|number| !number.is_finite())
            {
                return wrong("an interval that grew is not finite");
            }
        }
        Ok(())
    }

    /// The same with texts that may be shown anywhere.
    fn printable(&self) -> Self {
        let safe = |text: &String| printable(text).into_owned();
        let network = |one: &ExplainedNetwork| ExplainedNetwork {
            network: safe(&one.network),
            network_sha256: safe(&one.network_sha256),
            engine: safe(&one.engine),
            preprocessing: safe(&one.preprocessing),
            neurons: one.neurons,
        };
        Self {
            title: safe(&self.title),
            generated: safe(&self.generated),
            specification: safe(&self.specification),
            statement: safe(&self.statement),
            method: safe(&self.method),
            data: safe(&self.data),
            networks: self.networks.iter().map(network).collect(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
