//! Certified training: networks trained through the bounds that verify them.
//!
//! A [`Training`] takes a [`Network`] of layers, [`Examples`] and [`Settings`], whose [`Method`] is
//! the loss: training on clean, noisy or adversarial images, by interval bounds (IBP),
//! CROWN-IBP, SABR, MTL-IBP, CC-IBP, Exp-IBP, TAPS or STAPS, or by intervals over [`Cells`] of a
//! geometric transformation. Bounds are those of `recert-bounds`, which the
//! tests of this crate hold them to, for a batch at a time, in float32 and with derivatives. They
//! prove nothing: nothing is rounded outward here. The network is written as an ONNX file, which
//! `recert-bounds` then proves its margins of.
//!
//! This crate deliberately knows no engine, data format, ledger, statistics or command line. Tensors with
//! derivatives are burn's, in the module `tensor` alone; convolutions and relaxations are operations of
//! this crate's own.
//!
//! # Reproducibility
//!
//! The weights after an epoch are a function of network, examples and settings: every random
//! number is one of the seed, the epoch and the step, and no sum depends on the number of
//! threads. So a training that is resumed from a checkpoint ends in the same bits. On a
//! processor with other vector instructions the last bits of products may differ.
//!
//! # Devices
//!
//! With the feature `gpu`, [`Settings::device`] may be [`Device::Gpu`]: passes forward and backward are
//! then computed by burn's operations there. The algorithms know nothing of it. Before it trains, a
//! device must compute every layer of the run as the processor does ([`Training::test_device`]).
//!
//! # Adding a method
//!
//! A variant of [`Method`]; what it needs of a batch in `method::prepared`; its loss in
//! `method::loss`. The test of gradients goes through all methods; `bench/train` compares losses and
//! gradients with PyTorch's, which needs the method in the example `steps` and in `peer.py`.
//!
//! # Adding a layer
//!
//! A variant of [`Layer`]; what it makes of values in `pass::applied`, of intervals in
//! `bounds::Interval::through` and of rows in `bounds::Linear::back`; its nodes in `network::export` and
//! `network::import`. A network of the module `testing` that has it takes it through the tests of
//! bounds and gradients.
#![forbid(unsafe_code)]

mod attack;
mod bounds;
mod cells;
mod convolution;
mod device;
mod error;
mod evaluation;
mod examples;
mod fused;
mod method;
mod network;
mod optimizer;
mod pass;
mod pool;
mod product;
mod random;
mod regularizer;
mod schedule;
mod self_test;
mod settings;
mod tensor;
#[cfg(test)]
mod testing;
mod threads;
mod training;
mod window;

pub use attack::Attack;
pub use cells::{Cells, PixelBounds, evaluated_on_cells};
pub use device::Device;
pub use error::{Error, ErrorKind, Result};
pub use evaluation::{Measures, Scores, evaluated};
pub use examples::{Augmentation, Examples};
pub use method::{Latent, Method};
pub use network::{Architecture, Initialization, Layer, Network, Normalization, Subsample};
pub use schedule::Schedule;
pub use self_test::DeviceReport;
pub use settings::Settings;
pub use threads::with_threads;
pub use training::{Best, Epoch, Progress, StepRecord, Training};
pub use window::Window;
