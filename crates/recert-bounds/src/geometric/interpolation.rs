//! How pixels of the transformed image are made from those of the image over a cell, whatever the
//! image.

use super::cell::Cell;
use super::coordinates::StepByStep;
use super::image::Extents;
use super::transformation::Transformation;
use super::weights::each_weight;
use crate::error::{Error, Result};

/// The most weights of one cell, over all pixels: a few hundred megabytes.
const MAX_WEIGHTS: usize = 1 << 24;

/// The weights with which the spatial steps of a transformation interpolate, enclosed over a cell
/// of parameters: the grid that CGT shares among all images (Yang et al., ICLR 2023, section 4),
/// but rounded outward. [`PixelBox::Sum`](super::PixelBox::Sum) and
/// [`PixelBox::Knapsack`](super::PixelBox::Knapsack) are bounds from these weights.
///
/// ```
/// use recert_bounds::geometric::{Cell, Extents, Interpolation, Layout, Transformation};
/// let extents = Extents { channels: 1, height: 1, width: 3, layout: Layout::ChannelsFirst };
/// let shift: Transformation = "translate-x=0..1".parse()?;
/// let cell = Cell { lower: vec![0.25], upper: vec![0.5] };
/// let weights = Interpolation::over(&shift, &extents, &cell)?;
/// let last = weights.pixels().last().unwrap();
/// assert_eq!(last.sources, [1, 2]);
/// assert!(last.weights[1][0] <= 0.5 && 0.75 <= last.weights[1][1]);
/// # Ok::<(), recert_bounds::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Interpolation {
    /// Where each pixel's entries end.
    ends: Vec<usize>,
    sources: Vec<usize>,
    weights: Vec<[f64; 2]>,
    outside: Vec<[f64; 2]>,
}

/// The weights of one pixel of the transformed image. The exact ones, that of the zeros outside
/// included, sum to 1.
#[derive(Clone, Copy, Debug)]
pub struct PixelWeights<'i> {
    /// The pixels of the image that may have weight: row times width plus column.
    pub sources: &'i [usize],
    /// The least and the largest weight of each, in [0, 1].
    pub weights: &'i [[f64; 2]],
    /// Those of all zeros around the image together.
    pub outside: [f64; 2],
}

impl Interpolation {
    /// Encloses the weights over a cell, for images of these extents.
    ///
    /// # Errors
    /// For a cell that is not in the transformation's domain, extents that are no image's, or a
    /// cell so wide that there are more than 2^24 weights.
    pub fn over(transformation: &Transformation, extents: &Extents, cell: &Cell) -> Result<Self> {
        extents.values()?;
        cell.check(transformation)?;
        let (parameters, size) = (cell.intervals(), [extents.width, extents.height]);
        let sources = StepByStep::over(transformation, &parameters, size);
        let mut made = Self::default();
        for row in 0..extents.height {
            for column in 0..extents.width {
                let source = sources.source(column, row);
                let outside = each_weight(size, source, |column, row, weight| {
                    if weight.high > 0.0 && made.sources.len() <= MAX_WEIGHTS {
                        made.sources.push(row * extents.width + column);
                        made.weights.push([weight.low, weight.high]);
                    }
                });
                made.outside.push([outside.low, outside.high]);
                made.ends.push(made.sources.len());
                if made.sources.len() > MAX_WEIGHTS {
                    return Err(Error::argument(format!(
                        "the pixels' sources move over more than {MAX_WEIGHTS} pixels in all \
                         within one cell of '{transformation}': make cells narrower"
                    )));
                }
            }
        }
        Ok(made)
    }

    /// The pixels of the transformed image, row by row.
    pub fn pixels(&self) -> impl Iterator<Item = PixelWeights<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends).zip(&self.outside);
        ranges.map(|((start, &end), &outside)| PixelWeights {
            sources: &self.sources[start..end],
            weights: &self.weights[start..end],
            outside,
        })
    }
}
