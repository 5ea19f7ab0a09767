//! The one reading of ONNX: files, and a typed graph of their operators.
//!
//! This crate deliberately knows no engine, no kernel, no noise and no data
//! format, and it rewrites no file. It reads in two steps:
//!
//! - [`Model`] is a network as read from a file, with the SHA-256 of its
//!   bytes, its image input and class output ([`Signature`]) and the names of
//!   its operators, whichever these are.
//! - [`Graph`] is what the network computes: an [`Op`] a node with its
//!   attributes checked and completed, element types and shapes of all values
//!   with a batch of any size, and what depends on constants alone computed.
//!
//! [`Interpreter`] computes a graph by ONNX's definitions, in plain loops: what
//! engines are held to. Engines are lowered from a [`Graph`], and bounds are
//! propagated through it: [`forwards`] and [`backwards`] go through the nodes with
//! a state for every value, whatever that is.
//!
//! ```
//! use recert_graph::{Builder, Model, Op};
//!
//! # fn main() -> recert_graph::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
//! let model = Model::read(path)?;
//! let graph = Builder::new(&model).build()?.fold();
//! for node in graph.nodes() {
//!     if let Op::Conv { window, .. } = &node.op {
//!         let made = &graph.value(node.output()).shape;
//!         println!("{}: {:?} windows, {made}", node.name, window.output);
//!     }
//! }
//! # assert!(!graph.nodes().iter().any(|node| matches!(node.op, Op::BatchNormalization { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # Adding an operator
//!
//! A variant of [`Op`] with its attributes; a line in `build/operators.rs`;
//! and a function in `build/` that checks the attributes and infers types and
//! shapes; its attributes in `build/attributes.rs`; and an entry of the table in
//! `reference/evaluate.rs`, which ONNX's own test cases then hold to its definition. What else computes with graphs
//! refuses it by name until it is added there too.
#![forbid(unsafe_code)]

mod build;
mod element;
mod error;
mod external;
mod file;
mod fold;
mod foreign;
mod functions;
mod graph;
pub mod index;
mod model;
mod modern;
mod op;
mod plain;
pub mod proto;
mod reference;
mod shape;
mod signature;
mod sorted;
pub mod stored;
mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod walk;
mod work;

pub use build::{Builder, computed_constant};
pub use element::ElementType;
pub use error::{Error, ErrorKind, Result};
pub use file::write_whole;
pub use fold::{Normalization, channels_of_weights};
pub use graph::{Graph, Node, Value, ValueId};
pub use model::{Model, Operator};
pub use op::{
    AxisSlice, Binary, Compare, Coordinates, Granularity, Nearest, Op, PadMode, Reduction, Resize,
    ResizeMode, Unary, Variadic, Window,
};
pub use plain::Plain;
pub use reference::{Direction, Disturbance, Interpreter, Limits};
pub use shape::{Extent, Shape};
pub use signature::{
    Dim, Input, InputLayout, Output, OutputKind, Signature, tensor_type, true_inputs,
};
pub use tensor::{Data, Tensor};
pub use walk::{Keep, States, backwards, forwards};
