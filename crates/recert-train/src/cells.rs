//! Images under geometric transformations, at random parameters and over random cells of them
//! (CGT: Yang, Laurel, Misailovic, Singh, *Provable defense against geometric transformations*,
//! ICLR 2023). Weights of interpolation are those that `recert-bounds` encloses; sums over them
//! are in float32 here and prove nothing.

use std::fmt;
use std::str::FromStr;

use recert_bounds::geometric::{Cell, Extents, Interpolation, Kind, Layout, Transformation};

use crate::bounds::{self, Interval};
use crate::error::{Error, Result};
use crate::evaluation::{Scores, positive, right};
use crate::examples::Examples;
use crate::network::Network;
use crate::pass::{Pass, loaded};
use crate::random::{Purpose, generator};
use crate::tensor::{Matrix, Precision};

/// How a pixel is bounded from intervals of its interpolation weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PixelBounds {
    /// `interval`: the sums of lower and of upper weights times values, as CGT.
    #[default]
    Interval,
    /// `knapsack`: the range over all weights in their intervals that sum to 1.
    Knapsack,
}

impl PixelBounds {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Knapsack => "knapsack",
        }
    }
}

impl FromStr for PixelBounds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Interval, Self::Knapsack];
        let found = all.into_iter().find(|bounds| bounds.name() == text);
        found.ok_or_else(|| {
            let text = format!("'{text}' is none of interval, knapsack");
            Error::setting("pixels", text)
        })
    }
}

/// What geometric training is for: a transformation, and the cells that its steps bound.
///
/// ```
/// use recert_train::{Cells, PixelBounds};
///
/// let cells = Cells {
///     transformation: "rotate=-30..30".parse()?,
///     widths: vec![0.5],
///     pixels: PixelBounds::Knapsack,
///     per_batch: 1,
/// };
/// assert_eq!(cells.to_string(), "rotate=-30..30, cells of 0.5, knapsack");
/// # Ok::<(), recert_bounds::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// What is done to images, each parameter in its interval.
    pub transformation: Transformation,
    /// The width of a cell along each parameter, in its unit, once the ramp is over.
    pub widths: Vec<f64>,
    /// How pixels are bounded over a cell.
    pub pixels: PixelBounds,
    /// How many cells a batch is divided among. CGT draws one for all images of a batch.
    pub per_batch: usize,
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<String> = self.widths.iter().map(f64::to_string).collect();
        let (transformation, pixels) = (&self.transformation, self.pixels.name());
        write!(
            f,
            "{transformation}, cells of {}, {pixels}",
            widths.join(" x ")
        )?;
        match self.per_batch {
            1 => Ok(()),
            several => write!(f, ", {several} a batch"),
        }
    }
}

/// Transformed images of a batch, and the boxes of the images over their cells.
pub(crate) struct Transformed {
    /// The images at one value of the parameters within each cell.
    pub(crate) points: Vec<f32>,
    /// The least and the largest value of every pixel over the cells.
    pub(crate) ends: [Vec<f32>; 2],
}

impl Cells {
    pub(crate) fn check(&self) -> Result<()> {
        let steps = self.transformation.steps();
        if self.widths.len() != steps.len() {
            let text = format!(
                "{} widths are given, and '{}' has {} parameters: give one for each",
                self.widths.len(),
                self.transformation,
                steps.len()
            );
            return Err(Error::setting("cell-width", text));
        }
        if let Some(width) =
            (self.widths.iter()).find(|width| !(0.0..f64::INFINITY).contains(*width))
        {
            let text = format!("{width} is no width: give numbers of at least 0");
            return Err(Error::setting("cell-width", text));
        }
        let mut pairs = steps.iter().zip(&self.widths);
        if pairs.all(|(step, &width)| width == 0.0 || step.low == step.high) {
            let text = "cells without width are points: give a width above 0 along a parameter \
                        that is in an interval";
            return Err(Error::setting("cell-width", text));
        }
        if self.per_batch == 0 {
            return Err(Error::setting("batch-cells", "at least one is needed"));
        }
        Ok(())
    }

    /// Transforms the images of a batch, each group of them at parameters of its own, and bounds
    /// them over cells of `share` of the full widths around these parameters, moved into the
    /// transformation's box.
    pub(crate) fn drawn(
        &self,
        share: f64,
        image: [usize; 3],
        pixels: &[f32],
        generator: &mut fastrand::Rng,
    ) -> Result<Transformed> {
        let columns: usize = image.iter().product();
        let group = (pixels.len() / columns).div_ceil(self.per_batch);
        let mut made = Transformed {
            points: Vec::with_capacity(pixels.len()),
            ends: [0; 2].map(|_| Vec::with_capacity(pixels.len())),
        };
        for images in pixels.chunks(group * columns) {
            let (point, cell) = self.place(share, generator);
            let stencil = |cell: &Cell| Stencil::over(&self.transformation, image, cell);
            let (at, over) = (stencil(&point)?, stencil(&cell)?);
            for image in images.chunks(columns) {
                at.interpolate(image, &mut made.points);
                over.bound(self.pixels, image, &mut made.ends);
            }
        }
        Ok(made)
    }

    /// Random parameters, and the cell around them.
    fn place(&self, share: f64, generator: &mut fastrand::Rng) -> (Cell, Cell) {
        let empty = || Cell {
            lower: Vec::new(),
            upper: Vec::new(),
        };
        let (mut point, mut cell) = (empty(), empty());
        for (step, width) in self.transformation.steps().iter().zip(&self.widths) {
            let extent = step.high - step.low;
            let parameter = (step.low + extent * generator.f64()).min(step.high);
            let width = (width * share).min(extent);
            // Not `clamp`, whose ends might cross by rounding.
            let start = (parameter - width / 2.0)
                .min(step.high - width)
                .max(step.low);
            point.lower.push(parameter);
            cell.lower.push(start);
            cell.upper.push((start + width).min(step.high));
        }
        point.upper.clone_from(&point.lower);
        (point, cell)
    }
}

/// What makes every pixel over a cell, in float32.
struct Stencil {
    pixels: Vec<Pixel>,
    /// Pixels of the image that have weight.
    entries: Vec<Entry>,
    /// Contrasts and brightnesses, each with the ends of its parameter.
    changes: Vec<(Kind, [f32; 2])>,
}

/// A pixel of the transformed image.
#[derive(Clone, Copy)]
struct Pixel {
    /// Where its entries end; they begin where those of the pixel before end.
    end: usize,
    /// By how much the weight of the zeros outside may exceed the least.
    outside: f32,
    /// What is left of 1 when all have their least weights.
    rest: f32,
}

/// A pixel of the image, and the least and the largest weight that it has.
#[derive(Clone, Copy)]
struct Entry {
    source: u32,
    low: f32,
    high: f32,
}

/// A value and by how much its weight may exceed the least.
type Item = (f32, f32);

impl Stencil {
    fn over(
        transformation: &Transformation,
        [channels, height, width]: [usize; 3],
        cell: &Cell,
    ) -> Result<Self> {
        let extents = Extents {
            channels,
            height,
            width,
            layout: Layout::ChannelsFirst,
        };
        let weights = Interpolation::over(transformation, &extents, cell)
            .map_err(|error| Error::setting("cell-width", error.to_string()))?;
        let (mut pixels, mut entries) = (Vec::with_capacity(height * width), Vec::new());
        for pixel in weights.pixels() {
            let pairs = pixel.sources.iter().zip(pixel.weights);
            entries.extend(pairs.map(|(&source, &[low, high])| Entry {
                source: source as u32,
                low: low as f32,
                high: high as f32,
            }));
            let [low, high] = pixel.outside;
            let given: f64 = pixel.weights.iter().map(|[low, _]| low).sum();
            pixels.push(Pixel {
                end: entries.len(),
                outside: (high - low) as f32,
                rest: (1.0 - given - low).max(0.0) as f32,
            });
        }
        let ends = cell.lower.iter().zip(&cell.upper);
        let changes = transformation.steps().iter().zip(ends);
        let changes = changes.filter(|(step, _)| !step.kind.is_spatial());
        Ok(Self {
            pixels,
            entries,
            changes: changes
                .map(|(step, (&low, &high))| (step.kind, [low as f32, high as f32]))
                .collect(),
        })
    }

    /// Calls `visit` for every pixel of every channel, with the channel's values and the pixel's
    /// entries.
    fn each(&self, image: &[f32], mut visit: impl FnMut(&[f32], &[Entry], Pixel)) {
        for plane in image.chunks(self.pixels.len()) {
            let mut start = 0;
            for &pixel in &self.pixels {
                visit(plane, &self.entries[start..pixel.end], pixel);
                start = pixel.end;
            }
        }
    }

    /// The values at the cell's middle; exact, but for rounding, where the cell is a point.
    fn interpolate(&self, image: &[f32], to: &mut Vec<f32>) {
        self.each(image, |plane, entries, _| {
            let terms = entries.iter();
            let sum: f32 = terms
                .map(|entry| 0.5 * (entry.low + entry.high) * plane[entry.source as usize])
                .sum();
            let middle = |[low, high]: [f32; 2]| 0.5 * (low + high);
            let changes = self
                .changes
                .iter()
                .map(|(kind, ends)| (kind, middle(*ends)));
            to.push(changes.fold(sum.clamp(0.0, 1.0), |value, (&kind, by)| {
                changed(kind, value, by)
            }));
        });
    }

    /// The ends of every pixel over the cell.
    fn bound(&self, how: PixelBounds, image: &[f32], [low, high]: &mut [Vec<f32>; 2]) {
        let mut items = Vec::new();
        self.each(image, |plane, entries, pixel| {
            let ends = match how {
                PixelBounds::Interval => sums(plane, entries),
                PixelBounds::Knapsack => knapsack(plane, entries, pixel, &mut items),
            };
            let ends = ends.map(|end| end.clamp(0.0, 1.0));
            let ends = self
                .changes
                .iter()
                .fold(ends, |[a, b], &(kind, [least, most])| {
                    [changed(kind, a, least), changed(kind, b, most)]
                });
            low.push(ends[0]);
            high.push(ends[1]);
        });
    }
}

/// A value in [0, 1] after a contrast or a brightness, which both rise with value and parameter.
fn changed(kind: Kind, value: f32, by: f32) -> f32 {
    match kind {
        Kind::Contrast => (value * by).clamp(0.0, 1.0),
        Kind::Brightness => (value + by).clamp(0.0, 1.0),
        _ => value,
    }
}

/// The sums of lower and of upper weights times values.
fn sums(plane: &[f32], entries: &[Entry]) -> [f32; 2] {
    entries.iter().fold([0.0; 2], |[low, high], entry| {
        let value = plane[entry.source as usize];
        [low + entry.low * value, high + entry.high * value]
    })
}

/// The range over weights that sum to 1: the lower weights are given, and the rest of the mass
/// goes to the smallest values first, or to the largest. The zeros outside are a value, too.
fn knapsack(plane: &[f32], entries: &[Entry], pixel: Pixel, items: &mut Vec<Item>) -> [f32; 2] {
    items.clear();
    let mut given = 0.0;
    for entry in entries {
        let value = plane[entry.source as usize];
        given += entry.low * value;
        items.push((value, entry.high - entry.low));
    }
    if items.iter().all(|&(value, _)| value == 0.0) {
        return [0.0; 2];
    }
    items.push((0.0, pixel.outside));
    items.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let filled = |items: &mut dyn Iterator<Item = &Item>| {
        let (mut sum, mut rest) = (given, pixel.rest);
        for &(value, most) in items {
            let more = most.min(rest);
            sum += more * value;
            rest -= more;
        }
        sum
    };
    let (low, high) = (filled(&mut items.iter()), filled(&mut items.iter().rev()));
    [low, high.max(low)]
}

/// How many cells validation draws for each batch.
const DRAWN: usize = 8;

/// Images at a time in validation.
const BATCH: usize = 128;

/// Measures a network on clean images, on images transformed at random parameters, and on cells of
/// full width around them: of each image eight, the same for all networks of a seed.
/// [`Scores::adversarial`] is the share answered with their labels at each of these parameters (an
/// attack by random search), [`Scores::certified`] the share bounded over each of these cells. They
/// are samples: not all parameters are looked at, and no bound is rounded outward.
///
/// # Errors
///
/// [`crate::ErrorKind::Data`] where images or classes are not the network's,
/// [`crate::ErrorKind::Setting`] where the cells are none.
pub fn evaluated_on_cells(
    network: &Network,
    examples: &Examples,
    positions: &[usize],
    cells: &Cells,
    seed: u64,
) -> Result<Scores> {
    crate::training::check_fits(network, examples)?;
    crate::evaluation::check_positions(examples, positions)?;
    cells.check()?;
    let pass = Pass::evaluating(network, loaded(network, Precision::Single));
    let columns = examples.columns();
    let read = |pixels: &[f32]| Matrix::new(columns, pixels, Precision::Single);
    let mut counts = [0_usize; 3];
    for (number, chunk) in positions.chunks(BATCH).enumerate() {
        let mut random = generator(seed, Purpose::Cells, u64::MAX, number as u64);
        let pixels = chunk.iter().flat_map(|&at| examples.pixels(at)).copied();
        let pixels: Vec<f32> = pixels.collect();
        let labels: Vec<usize> = chunk.iter().map(|&at| examples.label(at)).collect();
        let rows = bounds::rows(&labels, network.classes(), Precision::Single);
        let clean = right(&pass.logits(&read(&pixels)), &labels);
        let mut holds = [clean.clone(), clean.clone(), clean];
        for _ in 0..DRAWN {
            let Transformed { points, ends } =
                cells.drawn(1.0, network.image, &pixels, &mut random)?;
            let [low, high] = ends.each_ref().map(|ends| read(ends));
            let found = bounds::intervals(&pass, &Interval::between(&low, &high), 1.0);
            let margins = bounds::ibp_margins(&pass, &found, &rows);
            let answers = right(&pass.logits(&read(&points)), &labels);
            let bounded = positive(&margins);
            for (at, (answer, bounded)) in answers.into_iter().zip(bounded).enumerate() {
                holds[1][at] &= answer;
                holds[2][at] &= answer && bounded;
            }
        }
        for (count, holds) in counts.iter_mut().zip(&holds) {
            *count += holds.iter().filter(|&&holds| holds).count();
        }
    }
    let [clean, adversarial, certified] = counts.map(|count| count as f64 / positions.len() as f64);
    Ok(Scores {
        clean,
        noisy: None,
        adversarial: Some(adversarial),
        certified: Some(certified),
    })
}

#[cfg(test)]
mod tests;
