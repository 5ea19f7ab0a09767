//! The trait a classifier answers through, and the runtimes behind it.
//!
//! Two levels, each with one job:
//!
//! - [`Runtime`] is what an inference engine implements, one file per engine
//!   under `engines/`: take an ONNX model, run float32 batches through it.
//! - [`Classifier`] is what certification asks: how does the network answer
//!   these noisy images? [`Network`] turns any runtime's session into one: it
//!   normalises, changes the layout, cuts batches to a fixed batch dimension,
//!   and marks every answer with a NaN or infinite logit as invalid, as it
//!   does the answer to an image with a NaN or infinite value, whatever the
//!   engine makes of it.
//!
//! This crate knows no noise, no statistics, no ledger and no data format.
//! `docs/adding-an-engine.md` walks through a new engine.

mod answers;
mod apart;
mod classifier;
pub mod engines;
mod error;
mod feed;
mod guard;
mod held;
mod identity;
mod layout;
mod network;
mod options;
mod pixels;
mod preprocess;
mod probe;
mod rounding;
mod runtime;
mod sharing;
mod tap;
mod worker;

pub use answers::{Answers, Class};
pub use apart::Apart;
pub use classifier::{Classifier, FnClassifier};
pub use error::{Error, ErrorKind, Setting};
pub use feed::{ImageShape, MAX_MEMORY, NetworkOptions};
pub use guard::returns_panics;
pub use held::{Comparison, Held, Samples, Trial};
pub use identity::processor;
pub use identity::{Arithmetic, EngineIdentity, Floats};
pub use network::Network;
pub use options::{EngineOptions, Precision};
pub use pixels::{PixelGraph, pixel_graph};
pub use preprocess::Preprocess;
pub use rounding::rounding;
pub use runtime::{Output, Runtime, Session, Shared, Subgraph};
pub use sharing::Sharing;
pub use tap::Tap;

/// The version of the reference interpreter.
pub const REFERENCE_VERSION: &str = engines::reference::VERSION;
