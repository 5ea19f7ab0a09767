//! Bounds of every pixel of a transformed image over a cell of parameters: boxes, and functions
//! that are linear in the parameters.
//!
//! **Linear bounds.** A cell is cut into pieces. On a piece with centre `c` and radii `r`, the
//! pixel `v` is a Lipschitz function of the parameters, differentiable but for the kinks where
//! its source crosses into another square of pixels or a value is cut; so for every `p` in it,
//! `v(p) = v(c) + sum D_i (p_i - c_i)` for some `D` between the least and the largest derivatives
//! on the piece (the mean value theorem along the line from `c`, where the derivative exists
//! almost everywhere and is that of one of the squares that the source meets). Given any slopes
//! `g`, `v(p) - sum g_i (p_i - m_i)` is therefore at least `v(c) - sum g_i (c_i - m_i) - sum
//! max |D_i - g_i| r_i` on the piece, `m` being the centre of the cell; the least of these over all
//! pieces is the offset of a lower line with the slopes `g`. No choice of slopes can make it
//! wrong, so they are chosen by plain arithmetic: among candidates (least squares through the
//! centres, the derivatives on each piece, zero), the one with the highest line at the cell's
//! centre, which is where a line has its mean over the cell. Upper lines likewise.

use recert_num::directed::{add_up, mul_up};

use super::cell::Cell;
use super::coordinates::{Map, Source, StepByStep};
use super::image::{Extents, Plane, Scratch};
use super::lines::{Lines, half_widths};
use super::transformation::{Kind, MAX_STEPS, Transformation};
use super::weights::Weights;
use crate::error::Result;
use crate::interval::Interval;
use crate::region::{Linear, Region};

/// How the box of a pixel is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelBox {
    /// Interval arithmetic on coordinates and weights, and their sum: CGT's method, rounded
    /// outward.
    Sum,
    /// The same weights, which are known to sum to 1.
    Knapsack,
    /// The extremes of the interpolation over the rectangle of sources, which are exact, and of
    /// the mean value form, on each of a few pieces of the cell.
    Vertices,
}

/// An image and what is done to it.
pub struct Transformed<'a> {
    transformation: &'a Transformation,
    extents: Extents,
    planes: Vec<Plane>,
}

/// The most pieces of a cell.
const MAX_PIECES: usize = 16;

/// How far the source of a pixel moves over a piece, in pixels, at most, where pieces suffice.
const PIECE: f64 = 0.15;

/// A part of a cell, with the map from pixels to sources over it.
pub(crate) struct Piece {
    parameters: Vec<Interval>,
    pub(crate) centre: Vec<f64>,
    pub(crate) radius: Vec<f64>,
    over: Map,
    at_centre: Map,
}

/// Where a pixel comes from, over one piece.
#[derive(Clone, Copy)]
struct Located {
    over: Source,
    centre: Source,
    derivative: [Source; MAX_STEPS],
}

/// A pixel over one piece: its value at the centre, its range, and its derivative by each
/// parameter.
#[derive(Clone, Copy)]
pub(crate) struct Jet {
    pub(crate) centre: Interval,
    pub(crate) range: Interval,
    pub(crate) derivative: [Interval; MAX_STEPS],
}

impl<'a> Transformed<'a> {
    /// The image `values`, in the layout of `extents`, each value in `[0, 1]`.
    pub fn new(
        transformation: &'a Transformation,
        extents: &Extents,
        values: &[f64],
    ) -> Result<Self> {
        extents.check(values)?;
        let channels = 0..extents.channels;
        Ok(Self {
            transformation,
            extents: *extents,
            planes: channels
                .map(|channel| Plane::new(extents, values, channel))
                .collect(),
        })
    }

    /// The least and the largest value of every pixel over a cell, rounded outward, in the
    /// layout of the image.
    pub fn pixels(&self, cell: &Cell, method: PixelBox) -> Result<[Vec<f64>; 2]> {
        cell.check(self.transformation)?;
        if method == PixelBox::Vertices {
            let pieces = self.pieces(cell);
            let mut bounds = self.empty();
            self.each_pixel(&pieces, |index, jets| {
                let range = hull(&pieces, jets);
                (bounds[0][index], bounds[1][index]) = (range.low, range.high);
            });
            return Ok(bounds);
        }
        let parameters = cell.intervals();
        let size = [self.extents.width, self.extents.height];
        let sources = StepByStep::over(self.transformation, &parameters, size);
        let mut bounds = self.empty();
        for row in 0..self.extents.height {
            for column in 0..self.extents.width {
                let source = sources.source(column, row);
                for (channel, plane) in self.planes.iter().enumerate() {
                    let mut weights = Weights::new(plane, source);
                    let mut range = match method {
                        PixelBox::Sum => weights.sum(),
                        _ => weights.knapsack(),
                    };
                    for (step, &t) in self.transformation.steps().iter().zip(&parameters) {
                        range = match step.kind {
                            Kind::Contrast => (range * t).cut(0.0, 1.0),
                            Kind::Brightness => (range + t).cut(0.0, 1.0),
                            _ => range,
                        };
                    }
                    let index = self.extents.index(channel, row, column);
                    (bounds[0][index], bounds[1][index]) = (range.low, range.high);
                }
            }
        }
        Ok(bounds)
    }

    /// The region of all transformed images over a cell: between functions that are linear in
    /// the parameters, and in the box of [`PixelBox::Vertices`].
    ///
    /// The parameters of the region are `t_i` in `[-1, 1]`, which stand for `m_i + h_i t_i` with
    /// the centre `m` of the cell and half-widths `h`.
    pub fn region(&self, cell: &Cell) -> Result<Region> {
        cell.check(self.transformation)?;
        let parameters = cell.lower.len();
        let middle = cell.centre();
        let half = half_widths(&middle, &cell.lower, &cell.upper);
        let pieces = self.pieces(cell);
        let size = self.planes.len() * self.extents.height * self.extents.width;
        let empty = || Linear {
            offset: vec![0.0; size],
            slope: vec![0.0; size * parameters],
        };
        let (mut lower, mut upper) = (empty(), empty());
        let mut pixels = self.empty();
        let lines = Lines::new(&pieces, &middle, &half);
        self.each_pixel(&pieces, |index, jets| {
            let range = hull(&pieces, jets);
            (pixels[0][index], pixels[1][index]) = (range.low, range.high);
            if range.low == range.high {
                lower.offset[index] = range.low;
                upper.offset[index] = range.high;
                return;
            }
            let [(below, low), (above, high)] = lines.choose(jets);
            let slopes = index * parameters..(index + 1) * parameters;
            lower.slope[slopes.clone()].copy_from_slice(&below[..parameters]);
            upper.slope[slopes].copy_from_slice(&above[..parameters]);
            (lower.offset[index], upper.offset[index]) = (low, high);
        });
        Ok(Region::Parametric {
            parameters: [vec![-1.0; parameters], vec![1.0; parameters]],
            lower,
            upper,
            pixels,
        })
    }

    /// How far the source of any pixel moves over a cell by each parameter, in pixels, at most;
    /// 0 for parameters of steps on values.
    pub fn movement(&self, cell: &Cell) -> Vec<f64> {
        let (width, height) = (self.extents.width, self.extents.height);
        let map = Map::over(self.transformation, &cell.intervals(), width, height);
        let widths = cell.widths();
        // The derivative is affine in the pixel's place: a corner moves most.
        let corners = [
            (0, 0),
            (width - 1, 0),
            (0, height - 1),
            (width - 1, height - 1),
        ];
        widths
            .iter()
            .enumerate()
            .map(|(index, width)| {
                corners
                    .iter()
                    .flat_map(|&(column, row)| map.derivative(index, column, row))
                    .map(|derivative| derivative.magnitude() * width)
                    .fold(0.0, f64::max)
            })
            .collect()
    }

    fn empty(&self) -> [Vec<f64>; 2] {
        let size = self.planes.len() * self.extents.height * self.extents.width;
        [vec![0.0; size], vec![0.0; size]]
    }

    /// Cuts a cell into pieces so small that sources move little over one.
    fn pieces(&self, cell: &Cell) -> Vec<Piece> {
        let movement = self.movement(cell);
        let mut parts: Vec<usize> = movement
            .iter()
            .map(|moved| (moved / PIECE).ceil().clamp(1.0, MAX_PIECES as f64) as usize)
            .collect();
        while parts.iter().product::<usize>() > MAX_PIECES {
            let most = parts.iter_mut().max().expect("a cell has parameters");
            *most -= 1;
        }
        cell.grid(&parts)
            .into_iter()
            .map(|part| self.piece(&part))
            .collect()
    }

    fn piece(&self, part: &Cell) -> Piece {
        let (width, height) = (self.extents.width, self.extents.height);
        let parameters = part.intervals();
        let centre = part.centre();
        let radius = half_widths(&centre, &part.lower, &part.upper);
        let point: Vec<_> = centre.iter().map(|&c| Interval::point(c)).collect();
        Piece {
            over: Map::over(self.transformation, &parameters, width, height),
            at_centre: Map::over(self.transformation, &point, width, height),
            parameters,
            centre,
            radius,
        }
    }

    /// Calls `visit` with the place of every value in the layout, and the value over each piece.
    fn each_pixel(&self, pieces: &[Piece], mut visit: impl FnMut(usize, &[Jet])) {
        let mut scratch = Scratch::default();
        let mut located = Vec::with_capacity(pieces.len());
        let mut jets = Vec::with_capacity(pieces.len());
        for row in 0..self.extents.height {
            for column in 0..self.extents.width {
                located.clear();
                located.extend(pieces.iter().map(|piece| piece.locate(column, row)));
                for (channel, plane) in self.planes.iter().enumerate() {
                    jets.clear();
                    for (piece, located) in pieces.iter().zip(&located) {
                        let jet = Jet::spatial(plane, located, piece.centre.len(), &mut scratch);
                        jets.push(jet.changed(self.transformation, piece));
                    }
                    visit(self.extents.index(channel, row, column), &jets);
                }
            }
        }
    }
}

impl Piece {
    fn locate(&self, column: usize, row: usize) -> Located {
        let mut derivative = [[Interval::ZERO; 2]; MAX_STEPS];
        let centre = self.at_centre.source(column, row);
        let mut around = centre;
        for (index, &radius) in self.radius.iter().enumerate() {
            let by = self.over.derivative(index, column, row);
            derivative[index] = by;
            for (range, by) in around.iter_mut().zip(by) {
                *range = range.widened(mul_up(by.magnitude(), radius));
            }
        }
        let plain = self.over.source(column, row);
        Located {
            over: [
                around[0].intersection(plain[0]),
                around[1].intersection(plain[1]),
            ],
            centre,
            derivative,
        }
    }
}

impl Jet {
    /// The interpolated value.
    fn spatial(plane: &Plane, located: &Located, parameters: usize, scratch: &mut Scratch) -> Self {
        let mut derivative = [Interval::ZERO; MAX_STEPS];
        if plane.is_zero(located.over) {
            return Self {
                centre: Interval::ZERO,
                range: Interval::ZERO,
                derivative,
            };
        }
        let slopes = plane.slopes(located.over, scratch);
        for (value, source) in derivative
            .iter_mut()
            .zip(&located.derivative)
            .take(parameters)
        {
            *value = slopes[0] * source[0] + slopes[1] * source[1];
        }
        Self {
            centre: plane.range(located.centre, scratch),
            range: plane.range(located.over, scratch),
            derivative,
        }
    }

    /// The value after the steps on values.
    fn changed(mut self, transformation: &Transformation, piece: &Piece) -> Self {
        for (index, step) in transformation.steps().iter().enumerate() {
            let (t, centre) = (
                piece.parameters[index],
                Interval::point(piece.centre[index]),
            );
            match step.kind {
                Kind::Contrast => {
                    for derivative in &mut self.derivative {
                        *derivative = *derivative * t;
                    }
                    self.derivative[index] = self.range;
                    self.range = self.range * t;
                    self.centre = self.centre * centre;
                }
                Kind::Brightness => {
                    self.derivative[index] = Interval::ONE;
                    self.range = self.range + t;
                    self.centre = self.centre + centre;
                }
                _ => continue,
            }
            self.cut();
        }
        self
    }

    /// Cuts the value to `[0, 1]`: beyond, the derivative is 0, and where both may be, between.
    fn cut(&mut self) {
        let inside = self.range.low >= 0.0 && self.range.high <= 1.0;
        let beyond = self.range.high <= 0.0 || self.range.low >= 1.0;
        if !inside {
            for derivative in &mut self.derivative {
                *derivative = if beyond {
                    Interval::ZERO
                } else {
                    derivative.hull(Interval::ZERO)
                };
            }
        }
        self.range = self.range.cut(0.0, 1.0);
        self.centre = self.centre.cut(0.0, 1.0);
    }
}

/// The range of a pixel over all pieces: on each, what the rectangle of sources and the mean
/// value both allow.
fn hull(pieces: &[Piece], jets: &[Jet]) -> Interval {
    let empty = Interval::new(f64::INFINITY, f64::NEG_INFINITY);
    let range = pieces.iter().zip(jets).fold(empty, |hull, (piece, jet)| {
        let around = piece
            .radius
            .iter()
            .zip(&jet.derivative)
            .fold(0.0, |sum, (&radius, by)| {
                add_up(sum, mul_up(by.magnitude(), radius))
            });
        hull.hull(jet.centre.widened(around).intersection(jet.range))
    });
    range.cut(0.0, 1.0)
}
