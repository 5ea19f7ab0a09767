//! A read-only view of the graph, for whoever computes it by himself.

use crate::constant;
use crate::error::Result;
use crate::graph::{Index, attribute, standard_op};
use crate::model::{Model, node_name};
use crate::proto::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};
use crate::tensor::{self, ElementType};

/// The main graph of a network: its nodes in an order in which they can be
/// computed, and the tensors that are known beforehand.
pub struct View<'a> {
    graph: &'a GraphProto,
    index: Index,
}

impl Model {
    /// The main graph, checked: every tensor has one origin, and every node
    /// comes after those that it takes tensors from.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Graph`](crate::ErrorKind::Graph) for an invalid graph.
    pub fn view(&self) -> Result<View<'_>> {
        let graph = self.graph();
        let index = Index::of(graph).map_err(|error| error.at(self.name()))?;
        Ok(View { graph, index })
    }
}

impl<'a> View<'a> {
    /// The nodes, in file order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = Node<'a>> + use<'a> {
        let nodes = self.graph.node.iter().enumerate();
        nodes.map(|(position, proto)| Node { position, proto })
    }

    /// The shape and the values, row-major and as float32, of a tensor of
    /// floats that is stored or made of stored ones by `Identity`, `Cast`,
    /// `Transpose`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze` and
    /// `DequantizeLinear`. Exact for float16 and bfloat16, to nearest for
    /// float64. `None` where it is not known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tensor`](crate::ErrorKind::Tensor) where stored data is damaged.
    pub fn floats(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let constant = constant::value(self.graph, &self.index, name)?;
        Ok(constant.map(|constant| (constant.shape, constant.values)))
    }

    /// The shape and the values, row-major, of a stored tensor of integers of
    /// 8, 32 or 64 bits. `None` where it is not one.
    ///
    /// # Errors
    ///
    /// As [`View::floats`].
    pub fn integers(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<i64>)>> {
        let Some(stored) = self.stored(name) else {
            return Ok(None);
        };
        let values = tensor::integers(stored)?;
        let shape = tensor::shape(stored)?;
        Ok(values.map(|values| (shape, values)))
    }

    /// The type of a stored tensor's elements; `None` if it is not stored.
    pub fn element(&self, name: &str) -> Option<ElementType> {
        let stored = self.stored(name)?;
        Some(ElementType::from_onnx(stored.data_type()))
    }

    fn stored(&self, name: &str) -> Option<&TensorProto> {
        let source = constant::stored(self.graph, &self.index, name)?;
        Some(source.tensor(self.graph))
    }
}

/// One operator of the main graph.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    position: usize,
    proto: &'a NodeProto,
}

impl<'a> Node<'a> {
    /// The node's name, or `#` and its position where the file gives none.
    pub fn name(&self) -> String {
        node_name(self.proto, self.position)
    }

    /// The operator as the file names it, whatever its domain.
    pub fn op_type(&self) -> &'a str {
        self.proto.op_type()
    }

    /// The operator if it is one of ONNX's own, else the empty string.
    pub fn standard_op(&self) -> &'a str {
        standard_op(self.proto)
    }

    /// The tensors taken; the empty name is one left out.
    pub fn inputs(&self) -> &'a [String] {
        &self.proto.input
    }

    /// The tensor taken at `position`, if one is given.
    pub fn input(&self, position: usize) -> Option<&'a str> {
        crate::graph::input(self.proto, position)
    }

    /// The tensors made; the empty name is one left out.
    pub fn outputs(&self) -> &'a [String] {
        &self.proto.output
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        attribute(self.proto, name)
    }

    /// An attribute that is an integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// An attribute that is a number.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.f
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name)
            .map(|attribute| attribute.ints.as_slice())
    }

    /// An attribute that is a list of numbers.
    pub fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name)
            .map(|attribute| attribute.floats.as_slice())
    }

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_deref()?).ok()
    }

    /// An attribute that is a tensor of one number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tensor`](crate::ErrorKind::Tensor) where its data is damaged.
    pub fn number(&self, name: &str) -> Result<Option<Number>> {
        let Some(stored) = self.attribute(name).and_then(|a| a.t.as_ref()) else {
            return Ok(None);
        };
        if let Some([value]) = tensor::floats(stored)?.as_deref() {
            return Ok(Some(Number::Float(*value)));
        }
        let integers = tensor::integers(stored)?;
        Ok(match integers.as_deref() {
            Some([value]) => Some(Number::Integer(*value)),
            _ => None,
        })
    }
}

/// A number of one of two kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A float, as float32.
    Float(f32),
    /// An integer.
    Integer(i64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::int;
    use crate::tensor;
    use crate::testing::{Net, ints};

    #[test]
    fn nodes_and_known_tensors_are_seen() {
        let model = Net::new(13)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
            .tensor(tensor::from_i64("n", &[2], &[0, -1]))
            .node_with("Transpose", &["w"], "t", vec![ints("perm", &[1, 0])])
            .node_with("Gemm", &["x", "t", ""], "y", vec![int("transB", 1)])
            .model();
        let view = model.view().unwrap();
        let nodes: Vec<_> = view.nodes().collect();
        assert_eq!(nodes.len(), 2);
        assert_eq!(
            (nodes[0].ints("perm"), nodes[0].int("perm")),
            (Some([1, 0].as_slice()), None)
        );
        let gemm = nodes[1];
        assert_eq!((gemm.op_type(), gemm.standard_op()), ("Gemm", "Gemm"));
        assert_eq!(
            (gemm.input(1), gemm.input(2), gemm.input(3)),
            (Some("t"), None, None)
        );
        assert_eq!((gemm.int("transB"), gemm.float("alpha")), (Some(1), None));
        assert_eq!(gemm.outputs(), ["y"]);
        let transposed = vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        assert_eq!(view.floats("t").unwrap(), Some((vec![3, 2], transposed)));
        assert_eq!(view.floats("x").unwrap(), None);
        assert_eq!(view.integers("n").unwrap(), Some((vec![2], vec![0, -1])));
        assert_eq!(view.integers("w").unwrap(), None);
        assert_eq!(view.element("n"), Some(ElementType::Int64));
        assert_eq!(view.element("t"), None);
    }
}
