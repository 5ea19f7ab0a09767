//! Where the batch is in a tensor, and which of an image's axes each axis is.
//!
//! Exporters move the batch (`[3, batch, heads, tokens, width]` in attention)
//! and merge it with other axes (`[batch windows, tokens, width]`). An image's
//! part of such a tensor is what the batch's position selects: the axis of the
//! batch left out, or with the extent that the batch was merged with, behind
//! it.

use recert_graph::{Extent, Node as Source};

use super::{Lowering, MIXES, refuse};
use crate::error::Result;

/// The axis that the batch is in, and its extent in one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) axis: usize,
    pub(super) factor: usize,
    /// How much of the factor comes before the batch: in `[tokens batch,
    /// width]` the tokens. The rest comes behind it.
    pub(super) before: usize,
}

/// The batch at the first axis, and nothing else there.
const FIRST: Place = Place {
    axis: 0,
    factor: 1,
    before: 1,
};

/// A tensor's shape in one image with all of ONNX's axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) dims: Vec<usize>,
    /// `None` where a file is for one image, and none of the axes is the batch.
    pub(super) place: Option<Place>,
}

impl Full {
    /// The shape as the graph of one image has it: without the batch's axis,
    /// unless something else is merged with it.
    pub(super) fn dims_of_one(&self) -> Vec<usize> {
        let mut dims = self.dims.clone();
        if let Some(Place {
            axis, factor: 1, ..
        }) = self.place
        {
            dims.remove(axis);
        }
        dims
    }

    /// The axis of an image's tensor that an axis is; `None` for the batch's.
    pub(super) fn axis(&self, axis: usize) -> Option<usize> {
        match self.place {
            Some(place) if place.axis == axis => None,
            Some(Place {
                axis: batch,
                factor: 1,
                ..
            }) if batch < axis => Some(axis - 1),
            _ => Some(axis),
        }
    }

    /// The same values in the same order as a tensor of shape `other`: how much
    /// of the batch's axis there comes before the batch. `None` where images do
    /// not stay apart.
    fn reshaped(&self, other: &Self) -> Option<usize> {
        let outer = |full: &Self, place: Place| full.dims[..place.axis].iter().product::<usize>();
        let (Some(from), Some(to)) = (self.place, other.place) else {
            // One image alone.
            return Some(1);
        };
        let (all, rest) = (outer(self, from) * from.before, outer(other, to).max(1));
        let before = all / rest;
        let fits = before > 0 && before * rest == all && to.factor.is_multiple_of(before);
        fits.then_some(before)
    }
}

impl Lowering<'_> {
    /// A value's shape in one image; `None` where it mixes images.
    pub(super) fn full(&self, id: recert_graph::ValueId) -> Option<Full> {
        let shape = &self.source.value(id).shape;
        let place = match self.batch {
            Extent::Batch(_) => {
                let found = shape
                    .iter()
                    .enumerate()
                    .find_map(|(axis, extent)| match extent {
                        Extent::Batch(factor) => Some((axis, *factor)),
                        Extent::Fixed(_) => None,
                    });
                let (axis, factor) = found?;
                let before = self.befores.get(&id).copied().unwrap_or(1);
                Some(Place {
                    axis,
                    factor,
                    before,
                })
            }
            batch if shape.first() == Some(&batch) => Some(FIRST),
            Extent::Fixed(1) => None,
            Extent::Fixed(_) => return None,
        };
        let extents = shape.iter().enumerate();
        let dims = extents.map(|(axis, extent)| match place {
            Some(place) if place.axis == axis => Some(place.factor),
            _ => extent.fixed(),
        });
        Some(Full {
            dims: dims.collect::<Option<_>>()?,
            place,
        })
    }

    /// Notes where in its axis the batch is in what a node makes: where it is
    /// in what it takes, or, of a reshape, where that puts it.
    pub(super) fn note_places(&mut self, node: &Source) -> Result<()> {
        let inputs = node.inputs.iter().flatten();
        let places = inputs.filter_map(|&id| self.full(id)?.place);
        let mut befores = places
            .filter(|place| place.factor > 1)
            .map(|place| place.before);
        let mut before = befores.next();
        if befores.any(|other| Some(other) != before) {
            return Err(refuse(node, MIXES));
        }
        if let (recert_graph::Op::Reshape, Some(id)) = (&node.op, node.input(0)) {
            let (from, to) = (self.full(id), self.full(node.output()));
            let (from, to) = from.zip(to).ok_or_else(|| refuse(node, MIXES))?;
            before = Some(from.reshaped(&to).ok_or_else(|| refuse(node, MIXES))?);
        }
        let before = before.filter(|&before| before > 1);
        for &output in node.outputs.iter().flatten() {
            self.befores.extend(before.map(|before| (output, before)));
        }
        Ok(())
    }

    /// The shape in one image of the node's input at `position`.
    pub(super) fn input_full(&self, node: &Source, position: usize) -> Result<Full> {
        let full = node.input(position).and_then(|id| self.full(id));
        full.ok_or_else(|| refuse(node, MIXES))
    }

    /// The axis of an image's tensor that `axis` of the input at `position` is;
    /// refuses the batch's own.
    pub(super) fn axis_of(&self, node: &Source, position: usize, axis: usize) -> Result<usize> {
        let axis = self.input_full(node, position)?.axis(axis);
        axis.ok_or_else(|| refuse(node, MIXES))
    }

    /// Whether a tensor's first axis is the batch, and nothing else.
    pub(super) fn is_first(&self, id: recert_graph::ValueId) -> bool {
        self.full(id).is_some_and(|full| full.place == Some(FIRST))
    }

    /// Refuses a tensor whose first axis is not the batch alone.
    pub(super) fn check_first(&self, node: &Source, id: recert_graph::ValueId) -> Result<()> {
        if self.is_first(id) {
            Ok(())
        } else {
            Err(refuse(node, "its first axis is not the batch"))
        }
    }
}
