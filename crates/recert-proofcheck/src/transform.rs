//! Images under a transformation: bounds of every pixel over a cell of its parameters, by code of
//! the checker's own.
//!
//! What a transformation is, `SOUNDNESS.md`, section 13, defines. Pixels are bounded with interval
//! arithmetic and derivatives carried along with it (forward differentiation), not by the formulas
//! of the prover; the argument for lines is the same mean value theorem.

mod interval;
mod lines;
mod plane;
mod source;
#[cfg(test)]
mod tests;

use interval::Interval;
use lines::Piece;
use plane::Plane;
use source::{Dual, Trigonometry};

pub(crate) use lines::Lines;

use crate::Region;

/// The most steps of a transformation.
pub(crate) const MOST_STEPS: usize = 8;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rotate,
    TranslateX,
    TranslateY,
    Scale,
    Shear,
    Contrast,
    Brightness,
}

/// Steps in the order in which they are applied, those that move pixels first.
///
/// ```
/// use recert_proofcheck::Transformation;
///
/// let steps = Transformation::parse("rotate=-30..30,contrast=0.5").expect("steps");
/// assert_eq!(steps.parameters(), 2);
/// assert!(Transformation::parse("contrast=0.5,rotate=-30..30").is_none());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Transformation {
    pub(crate) steps: Vec<Kind>,
}

/// An image in [0, 1] whose transformations are bounded.
pub struct Original<'a> {
    transformation: &'a Transformation,
    planes: Vec<Plane>,
    height: usize,
    width: usize,
}

/// How far the source of a pixel moves over a piece of a cell, in pixels, where pieces suffice.
const PIECE: f64 = 0.15;

/// The most pieces of a cell.
const MOST_PIECES: usize = 16;

impl Transformation {
    /// The steps of a transformation as a ledger writes them, `name=low..high` or `name=value`
    /// with commas between; `None` for anything that is not computed here.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = |step: &str| {
            let (name, interval) = step.split_once('=')?;
            let (low, high) = interval.split_once("..").unwrap_or((interval, interval));
            let [low, high]: [f64; 2] = [low.parse().ok()?, high.parse().ok()?];
            let (kind, least, most) = match name {
                "rotate" => (Kind::Rotate, -360.0, 360.0),
                "translate-x" => (Kind::TranslateX, -1e4, 1e4),
                "translate-y" => (Kind::TranslateY, -1e4, 1e4),
                "scale" => (Kind::Scale, 0.01, 100.0),
                "shear" => (Kind::Shear, -100.0, 100.0),
                "contrast" => (Kind::Contrast, 0.0, 100.0),
                "brightness" => (Kind::Brightness, -1.0, 1.0),
                _ => return None,
            };
            (least <= low && low <= high && high <= most).then_some(kind)
        };
        let steps: Option<Vec<Kind>> = text.split(',').map(kind).collect();
        let steps = steps.filter(|steps| steps.len() <= MOST_STEPS)?;
        let moves = steps.iter().map(|kind| kind.moves());
        // An image is interpolated once, and then changed in value.
        moves.is_sorted_by(|a, b| a >= b).then_some(Self { steps })
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.steps.len()
    }
}

impl Kind {
    pub(crate) fn moves(self) -> bool {
        !matches!(self, Self::Contrast | Self::Brightness)
    }
}

impl<'a> Original<'a> {
    /// An image, in the order of channels, rows and columns; `None` where the shape is another, or
    /// a pixel is not in [0, 1].
    pub fn new(
        transformation: &'a Transformation,
        pixels: &[f32],
        [channels, height, width]: [usize; 3],
    ) -> Option<Self> {
        let size = channels.checked_mul(height)?.checked_mul(width)?;
        let inside = pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel));
        if size == 0 || pixels.len() != size || !inside {
            return None;
        }
        let planes = pixels.chunks(height * width);
        Some(Self {
            transformation,
            planes: planes
                .map(|plane| Plane::new(plane, height, width))
                .collect(),
            height,
            width,
        })
    }

    /// The number of parameters of the transformation.
    pub fn parameters(&self) -> usize {
        self.transformation.parameters()
    }

    /// The number of its values.
    pub(crate) fn len(&self) -> usize {
        self.planes.len() * self.height * self.width
    }

    /// The image at some parameters, one for each step, in f64 and rounded to nearest: no bound of
    /// anything.
    pub fn at(&self, parameters: &[f64]) -> Vec<f64> {
        let ends: Vec<[f64; 2]> = parameters.iter().map(|&p| [p, p]).collect();
        let point = Piece::new(&ends);
        let mut pixels = vec![0.0; self.planes.len() * self.height * self.width];
        self.each_pixel(std::slice::from_ref(&point), |index, values| {
            pixels[index] = values[0].centre.middle();
        });
        pixels
    }

    /// All images over a cell of parameters, given by the least and the largest value of each;
    /// `None` where there is none.
    pub(crate) fn region(&self, ends: &[[f64; 2]]) -> Option<Region> {
        let fits = ends.len() == self.transformation.parameters()
            && ends.iter().all(|[low, high]| low <= high);
        if !fits {
            return None;
        }
        let pieces = self.pieces(ends);
        let size = self.planes.len() * self.height * self.width;
        let mut lines = Lines::new(ends, size);
        let mut pixels = vec![[0.0; 2]; size];
        self.each_pixel(&pieces, |index, values| {
            pixels[index] = lines.set(index, &pieces, values);
        });
        let middle = lines.middle();
        Some(Region::transformed(pixels, lines, self.at(&middle)))
    }

    /// The cell cut into pieces over which sources move little.
    fn pieces(&self, ends: &[[f64; 2]]) -> Vec<Piece> {
        let whole = Piece::new(ends);
        let map = Trigonometry::over(self.transformation, &whole.ends);
        let mut movement = vec![0.0_f64; ends.len()];
        // The source is an affine function of the pixel's place: a corner moves most.
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let at = [column * (self.width - 1), row * (self.height - 1)];
            let source = Dual::source(&map, &whole.ends, at, [self.width, self.height]);
            for (index, most) in movement.iter_mut().enumerate() {
                let by = source.iter().map(|dual| dual.by[index].magnitude());
                let by = by.fold(0.0, f64::max);
                *most = most.max(by * (ends[index][1] - ends[index][0]));
            }
        }
        let parts = |moved: &f64| (moved / PIECE).ceil().clamp(1.0, MOST_PIECES as f64) as usize;
        let mut parts: Vec<usize> = movement.iter().map(parts).collect();
        while parts.iter().product::<usize>() > MOST_PIECES {
            match parts.iter_mut().max() {
                Some(most) => *most -= 1,
                None => break,
            }
        }
        // Every part of one parameter with every part of the others.
        let mut pieces: Vec<Vec<[f64; 2]>> = vec![Vec::new()];
        for (&[low, high], &count) in ends.iter().zip(&parts) {
            let cut = |i: usize| match i {
                0 => low,
                i if i == count => high,
                i => low + (high - low) * (i as f64 / count as f64),
            };
            pieces = pieces
                .iter()
                .flat_map(|piece| {
                    (0..count).map(move |i| [&piece[..], &[[cut(i), cut(i + 1)]]].concat())
                })
                .collect();
        }
        pieces.iter().map(|ends| Piece::new(ends)).collect()
    }

    /// Calls `visit` with the place of every value, and the value over each piece.
    fn each_pixel(&self, pieces: &[Piece], mut visit: impl FnMut(usize, &[Value])) {
        let size = [self.width, self.height];
        let maps: Vec<[Trigonometry; 2]> = (pieces.iter())
            .map(|piece| {
                [&piece.ends, &piece.centre]
                    .map(|ends| Trigonometry::over(self.transformation, ends))
            })
            .collect();
        let mut values = Vec::with_capacity(pieces.len());
        for row in 0..self.height {
            for column in 0..self.width {
                let sources: Vec<[[Dual; 2]; 2]> = (pieces.iter().zip(&maps))
                    .map(|(piece, [over, at_centre])| {
                        let over = Dual::source(over, &piece.ends, [column, row], size);
                        let centre = Dual::source(at_centre, &piece.centre, [column, row], size);
                        [Dual::within(&over, &centre, &piece.radius), centre]
                    })
                    .collect();
                for (channel, plane) in self.planes.iter().enumerate() {
                    values.clear();
                    for (piece, [over, centre]) in pieces.iter().zip(&sources) {
                        let mut value = Value::interpolated(plane, over, centre);
                        value.change(self.transformation, piece);
                        values.push(value);
                    }
                    visit((channel * self.height + row) * self.width + column, &values);
                }
            }
        }
    }
}

/// A pixel over a piece: its range, its value at the centre, and its derivatives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) range: Interval,
    pub(crate) centre: Interval,
    pub(crate) by: [Interval; MOST_STEPS],
}

impl Value {
    fn interpolated(plane: &Plane, over: &[Dual; 2], centre: &[Dual; 2]) -> Self {
        let (range, [across, down]) = plane.bounds(over.map(|dual| dual.value));
        let (at_centre, _) = plane.bounds(centre.map(|dual| dual.value));
        let mut by = [Interval::ZERO; MOST_STEPS];
        for (index, by) in by.iter_mut().enumerate() {
            *by = across * over[0].by[index] + down * over[1].by[index];
        }
        Self {
            range,
            centre: at_centre.meet(range),
            by,
        }
    }

    /// The value after the steps that change it.
    fn change(&mut self, transformation: &Transformation, piece: &Piece) {
        for (index, kind) in transformation.steps.iter().enumerate() {
            let (over, centre) = (piece.ends[index], piece.centre[index]);
            match kind {
                Kind::Contrast => {
                    for by in &mut self.by {
                        *by = *by * over;
                    }
                    self.by[index] = self.range;
                    self.range = self.range * over;
                    self.centre = self.centre * centre;
                }
                Kind::Brightness => {
                    self.by[index] = Interval::point(1.0);
                    self.range = self.range + over;
                    self.centre = self.centre + centre;
                }
                _ => continue,
            }
            // Cut to [0, 1]: where a value is beyond, it does not change.
            let Interval { low, high } = self.range;
            if low < 0.0 || high > 1.0 {
                for by in &mut self.by {
                    *by = by.hull(Interval::ZERO);
                }
            }
            self.range = self.range.cut();
            self.centre = self.centre.cut();
        }
    }
}
