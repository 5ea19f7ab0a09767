//! The lines of an activation as one row uses them: its own slopes, and exact lines where a split
//! is known.

use std::borrow::Cow;

use crate::relax::{Lines, Nonlinearity};
use crate::slopes::Slopes;
use crate::split::Constrained;

/// The lines of all elements for the row at hand; those that all rows share are not copied.
pub(crate) struct RowLines<'a> {
    lines: &'a Lines,
    activation: usize,
    /// The slopes allowed below, where they are free.
    range: Option<[f64; 2]>,
    slopes: &'a Slopes,
    splits: Option<&'a [Vec<Constrained>]>,
    pub(crate) below: Cow<'a, [f64]>,
    pub(crate) below_offset: Cow<'a, [f64]>,
    pub(crate) above: Cow<'a, [f64]>,
    pub(crate) above_offset: Cow<'a, [f64]>,
    /// The elements that are not as in `lines`.
    changed: Vec<usize>,
    row: Option<usize>,
}

impl<'a> RowLines<'a> {
    pub(crate) fn new(
        lines: &'a Lines,
        function: &Nonlinearity,
        activation: usize,
        slopes: &'a Slopes,
        splits: Option<&'a [Vec<Constrained>]>,
    ) -> Self {
        Self {
            lines,
            activation,
            range: function.free_slopes(),
            slopes,
            splits,
            below: Cow::Borrowed(&lines.lower_slope),
            below_offset: Cow::Borrowed(&lines.lower_offset),
            above: Cow::Borrowed(&lines.upper_slope),
            above_offset: Cow::Borrowed(&lines.upper_offset),
            changed: Vec::new(),
            row: None,
        }
    }

    /// What is charged for rounding, a unit of coefficient.
    pub(crate) fn slack(&self) -> &'a [f64] {
        &self.lines.slack
    }

    /// The splits of a row on this activation.
    pub(crate) fn splits(&self, row: usize) -> impl Iterator<Item = &'a Constrained> + use<'a> {
        let activation = self.activation;
        let splits = self.splits.and_then(|splits| splits.get(row));
        let splits = splits.map_or(&[][..], Vec::as_slice).iter();
        splits.filter(move |constrained| constrained.split.activation == activation)
    }

    /// Makes the lines those of a row, counted from the first of all rows.
    pub(crate) fn turn_to(&mut self, row: usize) {
        if self.row == Some(row) {
            return;
        }
        let Some([least, most]) = self.range else {
            return;
        };
        let shared = !self.slopes.differ(self.activation) && self.splits.is_none();
        if shared && self.row.is_some() {
            return;
        }
        self.row = Some(row);
        for neuron in self.changed.drain(..) {
            self.below.to_mut()[neuron] = self.lines.lower_slope[neuron];
            self.below_offset.to_mut()[neuron] = self.lines.lower_offset[neuron];
            self.above.to_mut()[neuron] = self.lines.upper_slope[neuron];
            self.above_offset.to_mut()[neuron] = self.lines.upper_offset[neuron];
        }
        if let Some((neurons, slopes)) = self.slopes.of(self.activation, row) {
            for (&neuron, &slope) in neurons.iter().zip(slopes) {
                // Stable neurons keep their exact line.
                if self.lines.lower_slope[neuron] != self.lines.upper_slope[neuron] {
                    self.below.to_mut()[neuron] = slope.clamp(least, most);
                    self.below_offset.to_mut()[neuron] = 0.0;
                    self.changed.push(neuron);
                }
            }
        }
        for constrained in self.splits(row) {
            let neuron = constrained.split.neuron;
            if self.lines.lower_slope[neuron] == self.lines.upper_slope[neuron] {
                continue;
            }
            let slope = if constrained.split.positive {
                most
            } else {
                least
            };
            self.below.to_mut()[neuron] = slope;
            self.above.to_mut()[neuron] = slope;
            self.below_offset.to_mut()[neuron] = 0.0;
            self.above_offset.to_mut()[neuron] = 0.0;
            self.changed.push(neuron);
        }
    }
}
