//! The verdict on one image: cells of parameters are bounded, and cut where a bound fails.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::bounder::{Bounded, Bounder, Method};
use super::cell::Cell;
use super::image::Extents;
use super::pixels::Transformed;
use super::search::{Sample, Sampler};
use super::transformation::Transformation;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::property::{Property, Rows};

/// What is tried, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Tried on each cell in this order, until one proves it.
    pub methods: Vec<Method>,
    /// The number of cells along each parameter to begin with; `None` for as many as move no
    /// pixel by more than [`Options::movement`].
    pub grid: Option<Vec<usize>>,
    /// See [`Options::grid`], in pixels.
    pub movement: f64,
    /// Whether cells that fail are cut. Without that, one that fails ends the image.
    pub adaptive: bool,
    /// Cells narrower than this share of the whole along each parameter are not cut.
    pub finest: f64,
    /// The most cells that are bounded.
    pub cells: usize,
    /// The most time, checked between cells.
    pub timeout: Option<Duration>,
    /// Samples that are looked at before any bound, and steps downhill after the last.
    pub samples: usize,
    /// Memory and threads of a pass of CROWN.
    pub bounding: crate::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            methods: vec![Method::Forward, Method::Crown],
            grid: None,
            movement: 1.0,
            adaptive: true,
            finest: 1.0 / 4096.0,
            cells: 10_000,
            timeout: None,
            samples: 16,
            bounding: crate::Options::default(),
        }
    }
}

/// What is known of one image.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The network, as a function on real numbers, answers the label at every parameter.
    Verified,
    /// At these parameters the network answers another class, evaluated in f64: to be
    /// evaluated again by whatever runs the network.
    Falsified {
        /// One number for each step of the transformation.
        parameters: Vec<f64>,
        /// The class that it answers.
        answer: usize,
    },
    /// Neither was found.
    Unknown,
}

/// How often each kind of work was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Passes of interval bound propagation, one a cell.
    pub interval: usize,
    /// Passes of forward linear bounds.
    pub forward: usize,
    /// Passes of CROWN.
    pub crown: usize,
    /// Evaluations of the network at single parameters.
    pub evaluations: usize,
}

impl Work {
    /// Bounding passes of all kinds.
    pub fn passes(&self) -> usize {
        self.interval + self.forward + self.crown
    }
}

/// A cell on which the label was proved.
#[derive(Clone, Debug, PartialEq)]
pub struct Proved {
    /// The parameters.
    pub cell: Cell,
    /// By what.
    pub method: Method,
    /// A lower bound of the smallest margin over the cell; positive.
    pub margin: f64,
}

/// The verdict on an image, and what it rests on.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether the label holds everywhere.
    pub verdict: Verdict,
    /// The cells that were proved. Where the verdict is [`Verdict::Verified`], they cover the
    /// transformation's whole box.
    pub proved: Vec<Proved>,
    /// What it took.
    pub work: Work,
}

/// Cells to be bounded, the one with the smallest margin at its parent's centre first, and of
/// equals the oldest.
#[derive(Default)]
struct Cells {
    heap: BinaryHeap<Open>,
    added: usize,
}

struct Open {
    cell: Cell,
    margin: f64,
    number: usize,
}

impl Cells {
    fn add(&mut self, cells: Vec<Cell>, margin: f64) {
        for cell in cells {
            let number = self.added;
            self.heap.push(Open {
                cell,
                margin,
                number,
            });
            self.added += 1;
        }
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        let margins = other.margin.total_cmp(&self.margin);
        margins.then(other.number.cmp(&self.number))
    }
}

/// The search on one image.
struct Run<'a> {
    options: &'a Options,
    whole: &'a Cell,
    started: Instant,
    sampler: Sampler<'a>,
    bounder: Bounder<'a>,
    open: Cells,
    proved: Vec<Proved>,
}

impl Run<'_> {
    /// Bounds cells, and cuts those that fail, until all are proved (true), a wrong answer is
    /// found, or a budget or a limit ends the search.
    fn explore(&mut self) -> Result<bool> {
        let options = self.options;
        let mut budget = options.cells;
        while self.sampler.wrong().is_none() {
            let Some(Open { cell, .. }) = self.open.heap.pop() else {
                return Ok(true);
            };
            let mut limits = options.timeout.iter();
            if budget == 0 || limits.any(|limit| self.started.elapsed() >= *limit) {
                return Ok(false);
            }
            budget -= 1;
            let bounded = self.bounder.bound(&cell, &options.methods)?;
            let (method, margin) = (bounded.method, bounded.margin);
            if margin > 0.0 {
                self.proved.push(Proved {
                    cell,
                    method,
                    margin,
                });
                continue;
            }
            let centre = self.sampler.at(&cell.centre())?;
            if !options.adaptive {
                return Ok(false);
            }
            let Some(index) = self.cut_along(&cell, &bounded, &centre)? else {
                return Ok(false);
            };
            let parts = cell.cut(index, parts_needed(centre.margin, margin));
            self.open.add(parts, centre.margin);
        }
        Ok(false)
    }

    /// The parameter to cut along: of those along which the cell may still be cut, the one that
    /// changes the margin most over it.
    fn cut_along(&self, cell: &Cell, bounded: &Bounded, centre: &Sample) -> Result<Option<usize>> {
        let (widths, all) = (cell.widths(), self.whole.widths());
        let wide: Vec<usize> = (0..widths.len())
            .filter(|&index| widths[index] > self.options.finest * all[index])
            .collect();
        if wide.len() < 2 {
            return Ok(wide.first().copied());
        }
        let influence = self
            .bounder
            .influence(cell, bounded, centre, &self.sampler)?;
        Ok(wide
            .into_iter()
            .max_by(|&a, &b| influence[a].total_cmp(&influence[b])))
    }
}

/// Verifies that a network answers `label` for an image under every parameter of a
/// transformation.
///
/// `image` is in `[0, 1]`, in the network's input order, which `extents` describes; whatever
/// normalisation follows is part of the network. The verdict does not depend on the time that
/// anything takes, but for [`Options::timeout`].
///
/// # Errors
/// Where the image, the extents, the label or the grid do not fit the network and the
/// transformation.
pub fn verify(
    network: &Network,
    extents: &Extents,
    image: &[f64],
    label: usize,
    transformation: &Transformation,
    options: &Options,
) -> Result<Outcome> {
    let rows = checked(network, extents, label, transformation, options)?;
    let started = Instant::now();
    let transformed = Transformed::new(transformation, extents, image)?;
    let whole = Cell::whole(transformation);
    let mut sampler = Sampler {
        network,
        extents,
        image,
        label,
        transformation,
        evaluations: 0,
        worst: None,
    };
    sampler.spread(&whole, options.samples)?;
    let parts = (options.grid.clone()).unwrap_or_else(|| initial(&transformed, &whole, options));
    let bounder = Bounder {
        network,
        transformed: &transformed,
        rows: &rows,
        label,
        bounding: options.bounding,
        work: Work::default(),
    };
    let mut run = Run {
        options,
        whole: &whole,
        started,
        sampler,
        bounder,
        open: Cells::default(),
        proved: Vec::new(),
    };
    run.open.add(whole.grid(&parts), 0.0);
    let finished = run.explore()?;
    let Run {
        mut sampler,
        bounder,
        proved,
        ..
    } = run;
    if !finished && sampler.wrong().is_none() {
        sampler.refine(&whole, options.samples)?;
    }
    let verdict = match sampler.wrong() {
        Some(sample) => Verdict::Falsified {
            parameters: sample.parameters.clone(),
            answer: sample.answer,
        },
        None if finished => Verdict::Verified,
        None => Verdict::Unknown,
    };
    let work = Work {
        evaluations: sampler.evaluations,
        ..bounder.work
    };
    Ok(Outcome {
        verdict,
        proved,
        work,
    })
}

/// The rows of the label's property, if everything fits.
fn checked(
    network: &Network,
    extents: &Extents,
    label: usize,
    transformation: &Transformation,
    options: &Options,
) -> Result<Rows> {
    let values = extents.values()?;
    if values != network.inputs() {
        return Err(Error::argument(format!(
            "images of {} channels, {} rows and {} columns are {values} values, the network takes {}",
            extents.channels,
            extents.height,
            extents.width,
            network.inputs()
        )));
    }
    if let Some(grid) = &options.grid {
        let cells = grid
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n));
        let fits = cells.is_some_and(|cells| cells > 0 && cells <= options.cells);
        if grid.len() != transformation.parameters() || !fits {
            return Err(Error::argument(format!(
                "the grid {grid:?} must have a positive number for each of the {} parameters, with a \
                 product of at most {} cells",
                transformation.parameters(),
                options.cells
            )));
        }
    }
    if options.methods.is_empty() {
        return Err(Error::argument("no method to bound cells with"));
    }
    Ok(Property::label(network.outputs(), label)?.rows())
}

/// As many cells along each parameter as keep every pixel's source within the movement, at most
/// the budget of cells altogether.
fn initial(transformed: &Transformed<'_>, whole: &Cell, options: &Options) -> Vec<usize> {
    let limit = options.cells.clamp(1, 4096);
    let movement = transformed.movement(whole);
    let mut parts: Vec<usize> = movement
        .iter()
        .map(|moved| (moved / options.movement).ceil().clamp(1.0, limit as f64) as usize)
        .collect();
    while parts.iter().product::<usize>() > limit {
        let most = parts
            .iter_mut()
            .max()
            .expect("a transformation has parameters");
        *most = most.div_ceil(2);
    }
    parts
}

/// Into how many parts a cell is cut whose bound fell short: what the bound loses against the
/// margin at the centre is taken to shrink with the width, and a little faster.
fn parts_needed(centre: f64, bound: f64) -> usize {
    let factor = ((centre - bound) / centre).powf(0.75);
    if factor.is_finite() {
        factor.ceil().clamp(2.0, 4.0) as usize
    } else {
        2
    }
}

#[cfg(test)]
mod tests;
