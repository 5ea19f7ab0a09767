//! The source of a run's inputs.

use recert_ledger::Input;

use crate::Error;

/// A set of inputs, each known by its position.
pub trait Inputs {
    /// The input at position `idx`: its record, and its pixels as flat
    /// `[channels, height, width]` values in `[0, 1]`.
    ///
    /// # Errors
    /// If there is no such input, or it cannot be read.
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error>;
}

impl Inputs for recert_data::Dataset {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let image = self.image(idx)?;
        let input = Input {
            idx,
            sha256: image.sha256(),
            label: self.label(idx),
            name: self.name(idx),
        };
        Ok((input, image.pixels))
    }
}
