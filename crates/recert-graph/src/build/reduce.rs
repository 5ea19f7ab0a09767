//! What goes along axes: reductions, the largest element, softmax, sums.

use super::source::{Reading, Source};
use crate::element::ElementType;
use crate::error::Result;
use crate::op::{Op, Reduction};
use crate::shape::{Extent, Shape};

impl Source<'_> {
    /// The shape of the input with these axes made one.
    fn without(&self, axes: &[usize], keep_dims: bool) -> Result<Shape> {
        let size = |(axis, &extent): (usize, &Extent)| match (axes.contains(&axis), keep_dims) {
            (true, true) => Some(Extent::Fixed(1)),
            (true, false) => None,
            (false, _) => Some(extent),
        };
        Ok(self.shape(0)?.iter().enumerate().filter_map(size).collect())
    }

    pub(super) fn reduce(&self, reduction: Reduction) -> Result<Reading> {
        let rank = self.shape(0)?.rank();
        let list = self.list("axes", 1)?.unwrap_or_default();
        if list.is_empty() && self.flag("noop_with_empty_axes", false)? {
            return self.like_first(Op::Identity, 1);
        }
        let mut axes = self.axes(&list, rank)?;
        if axes.is_empty() {
            axes = (0..rank).collect();
        }
        axes.sort_unstable();
        let keep_dims = self.flag("keepdims", true)?;
        let shape = self.without(&axes, keep_dims)?;
        let op = Op::Reduce {
            reduction,
            axes,
            keep_dims,
        };
        Reading::node(op, 1, self.element(0)?, shape)
    }

    pub(super) fn arg_extreme(&self, min: bool) -> Result<Reading> {
        let axis = self.axis(0, self.shape(0)?.rank())?;
        let keep_dims = self.flag("keepdims", true)?;
        let shape = self.without(&[axis], keep_dims)?;
        let op = Op::ArgExtreme {
            min,
            axis,
            keep_dims,
            last: self.flag("select_last_index", false)?,
        };
        Reading::node(op, 1, ElementType::Int64, shape)
    }

    /// Before opset 13 all axes from the given one on are one.
    pub(super) fn softmax(&self) -> Result<Reading> {
        let rank = self.shape(0)?.rank();
        let axes = if self.opset >= 13 {
            let axis = self.axis(-1, rank)?;
            axis..axis + 1
        } else {
            self.axis(1, rank)?..rank
        };
        let op = match self.op_type() {
            "Softmax" => Op::Softmax(axes),
            "LogSoftmax" => Op::LogSoftmax(axes),
            _ => Op::Hardmax(axes),
        };
        self.like_first(op, 1)
    }

    pub(super) fn cum_sum(&self) -> Result<Reading> {
        let axis = self
            .number(1)?
            .ok_or_else(|| self.refuse("it lacks input 1"))?;
        let op = Op::CumSum {
            axis: self.wrapped(axis as i64, self.shape(0)?.rank())?,
            exclusive: self.flag("exclusive", false)?,
            reverse: self.flag("reverse", false)?,
        };
        self.like_first(op, 1)
    }
}
