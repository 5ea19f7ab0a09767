//! How much work a graph is, and how much memory: known from its shapes alone.

use crate::graph::{Graph, Node, ValueId};
use crate::op::Op;
use crate::shape::Extent;

/// Operations for an element of an operator that multiplies and adds nothing.
const EACH: u64 = 8;

impl Graph {
    /// The multiply-adds of a batch of `batch` images, and eight operations for each element
    /// that any other operator makes or takes, which is about what [`crate::Interpreter`]
    /// takes for it; the largest number where they are more.
    ///
    /// ```
    /// use recert_graph::{Builder, Model};
    ///
    /// # fn main() -> recert_graph::Result<()> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
    /// let graph = Builder::new(&Model::read(path)?).build()?;
    /// assert!(graph.operations(2) > graph.operations(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn operations(&self, batch: usize) -> u64 {
        let nodes = self.nodes.iter();
        nodes.fold(0, |sum, node| {
            u64::saturating_add(sum, self.operations_of(node, batch))
        })
    }

    fn operations_of(&self, node: &Node, batch: usize) -> u64 {
        let made = node.outputs.iter().flatten();
        let made = made.map(|&id| self.elements(id, batch)).max().unwrap_or(0);
        let size = |position: usize| {
            let id = node.input(position);
            id.map_or(0, |id| self.elements(id, batch))
        };
        // Elements of the weights for each element that is made (or taken, if transposed).
        let each = |weights: usize, axis: usize| {
            let shape = node.input(weights).map(|id| self.value(id).shape.at(batch));
            let channels = shape
                .and_then(|shape| shape.get(axis).copied())
                .unwrap_or(1);
            size(weights) / (channels as u64).max(1)
        };
        let depth = |position: usize, axis: usize| {
            let shape = node
                .input(position)
                .map(|id| self.value(id).shape.at(batch));
            let extent = shape.and_then(|shape| {
                let axis = shape.len().checked_sub(axis)?;
                shape.get(axis).copied()
            });
            extent.unwrap_or(1) as u64
        };
        match &node.op {
            Op::Conv { .. } | Op::ConvInteger { .. } => made.saturating_mul(each(1, 0)),
            Op::QLinearConv { .. } => made.saturating_mul(each(3, 0)),
            Op::ConvTranspose { .. } => size(0).saturating_mul(each(1, 0)),
            Op::Gemm { trans_a, .. } => made.saturating_mul(depth(0, if *trans_a { 2 } else { 1 })),
            Op::MatMul | Op::MatMulInteger | Op::QLinearMatMul => made.saturating_mul(depth(0, 1)),
            Op::MaxPool { window, .. }
            | Op::AveragePool { window, .. }
            | Op::LpPool { window, .. } => {
                let kernel = window.kernel.iter().map(|&extent| extent as u64);
                kernel.fold(made, u64::saturating_mul)
            }
            _ => made.max(size(0)).saturating_mul(EACH),
        }
    }

    /// The number of elements of a value.
    fn elements(&self, id: ValueId, batch: usize) -> u64 {
        match self.value(id).shape.count() {
            Some(Extent::Fixed(count)) => count as u64,
            Some(Extent::Batch(factor)) => (factor as u64).saturating_mul(batch as u64),
            None => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Builder;
    use crate::testing::Net;

    #[test]
    fn multiply_adds_are_counted_as_a_paper_would() {
        let net = Net::new(13)
            .input("x", &[-1, 3, 8, 8])
            .output("y", &[-1, 10])
            .noise("w", &[4, 3, 3, 3])
            .noise("f", &[4, 10])
            .node("Conv", &["x", "w"], "c")
            .node("GlobalAveragePool", &["c"], "p")
            .node("Flatten", &["p"], "v")
            .node("Gemm", &["v", "f"], "y");
        let graph = Builder::new(&net.model()).build().unwrap();
        // 4 channels of 6 x 6 windows of 27, the mean of those, a copy, and 10 sums of 4.
        let one = 4 * 36 * 27 + 8 * (4 * 36 + 4) + 10 * 4;
        assert_eq!(graph.operations(1), one);
        assert_eq!(graph.operations(5), 5 * one);
    }
}
