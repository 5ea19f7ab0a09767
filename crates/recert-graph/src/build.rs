//! From a file to a [`Graph`].

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::model::Model;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// How a [`Graph`] is read from a [`Model`].
#[derive(Debug, Clone)]
pub struct Builder<'a> {
    model: &'a Model,
    outputs: Option<Vec<String>>,
    bound: HashMap<String, Tensor>,
    shapes: HashMap<String, Shape>,
}

impl<'a> Builder<'a> {
    /// The whole network as the file states it.
    pub fn new(model: &'a Model) -> Self {
        Self {
            model,
            outputs: None,
            bound: HashMap::new(),
            shapes: HashMap::new(),
        }
    }

    /// Only what these tensors need, in place of the file's outputs. Nodes
    /// that none of them needs are not looked at.
    #[must_use]
    pub fn outputs(mut self, names: &[&str]) -> Self {
        self.outputs = Some(names.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// An input that always has this value: a constant, and no input of the
    /// graph. What operators need to know beforehand (shapes, axes) may come
    /// from it.
    #[must_use]
    pub fn bind(mut self, input: &str, value: Tensor) -> Self {
        self.bound.insert(input.to_owned(), value);
        self
    }

    /// The shape of an input, in place of the one that the file states.
    #[must_use]
    pub fn input_shape(mut self, input: &str, shape: Shape) -> Self {
        self.shapes.insert(input.to_owned(), shape);
        self
    }

    /// Reads the graph.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Graph`] where the file breaks a rule of ONNX, with the
    /// node's name; [`ErrorKind::Unsupported`] for an operator or a use of one
    /// that is not among those of [`crate::Op`], or whose sizes are not known;
    /// [`ErrorKind::Tensor`] where stored data is damaged.
    pub fn build(self) -> Result<Graph> {
        let _ = (self.model, self.outputs, self.bound, self.shapes);
        Err(Error::new(ErrorKind::Unsupported, "not written yet"))
    }
}
