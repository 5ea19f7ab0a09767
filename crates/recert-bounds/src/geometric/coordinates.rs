//! Where an output pixel's value comes from, over a cell of parameters: enclosures of the affine
//! map from output to source pixels and of its derivatives.
//!
//! Every composition of spatial steps is an affine map `(x, y) -> (a x + b y + c, d x + e y + f)`
//! whose six coefficients depend on the parameters alone, so they are enclosed once a cell, and
//! a pixel costs a few multiplications. Sources are in units of columns and rows (`column = x +
//! (width - 1)/2`, `row = (height - 1)/2 - y`).

use recert_num::degrees;

use super::transformation::{Kind, Transformation};
use crate::interval::Interval;

/// `a`, `b` and `c` of `a x + b y + c`.
type Row = [Interval; 3];

/// The source of a pixel: column and row.
pub(crate) type Source = [Interval; 2];

/// The affine map from pixel centres to source columns and rows, enclosed over a box of
/// parameters, with its derivative by each parameter.
pub(crate) struct Map {
    value: [Row; 2],
    derivative: Vec<[Row; 2]>,
    offset: [f64; 2],
}

impl Map {
    /// Encloses the map of `transformation` for images of `width` by `height` pixels, over the
    /// box of one interval for each step.
    pub(crate) fn over(
        transformation: &Transformation,
        cell: &[Interval],
        width: usize,
        height: usize,
    ) -> Self {
        let one = Interval::ONE;
        let zero = Interval::ZERO;
        let mut value = [[one, zero, zero], [zero, one, zero]];
        let mut derivative = vec![[[zero; 3]; 2]; cell.len()];
        // The source is found by the inverse steps, last to first.
        for (index, (step, &t)) in transformation.steps().iter().zip(cell).enumerate().rev() {
            if !step.kind.is_spatial() {
                continue;
            }
            let inverse = Inverse::of(step.kind, t);
            for earlier in &mut derivative {
                *earlier = inverse.after(earlier, false);
            }
            value = inverse.after(&value, true);
            derivative[index] = by_parameter(step.kind, t, &value);
        }
        let offset = [half(width), half(height)];
        flip(&mut value);
        value[0][2] = value[0][2] + Interval::point(offset[0]);
        value[1][2] = value[1][2] + Interval::point(offset[1]);
        derivative.iter_mut().for_each(flip);
        Self {
            value,
            derivative,
            offset,
        }
    }

    /// The source of the pixel in `column` and `row`.
    pub(crate) fn source(&self, column: usize, row: usize) -> Source {
        let (x, y) = self.centre(column, row);
        self.value.map(|line| along(&line, x, y))
    }

    /// The derivative of the source by parameter `index`.
    pub(crate) fn derivative(&self, index: usize, column: usize, row: usize) -> Source {
        let (x, y) = self.centre(column, row);
        self.derivative[index].map(|line| along(&line, x, y))
    }

    /// Half-integers, which are exact.
    fn centre(&self, column: usize, row: usize) -> (f64, f64) {
        (column as f64 - self.offset[0], self.offset[1] - row as f64)
    }
}

/// The sources of pixels by interval arithmetic on their coordinates step by step, as CGT encloses
/// them (Yang et al., ICLR 2023, section 4), but rounded outward.
pub(crate) struct StepByStep {
    /// The inverse steps, last to first.
    steps: Vec<Inverse>,
    middle: [f64; 2],
}

impl StepByStep {
    /// Over the box of one interval for each step of `transformation`.
    pub(crate) fn over(
        transformation: &Transformation,
        cell: &[Interval],
        [width, height]: [usize; 2],
    ) -> Self {
        let steps = transformation.steps().iter().zip(cell).rev();
        Self {
            steps: steps.map(|(step, &t)| Inverse::of(step.kind, t)).collect(),
            middle: [half(width), half(height)],
        }
    }

    /// The source of the pixel in `column` and `row`.
    pub(crate) fn source(&self, column: usize, row: usize) -> Source {
        let zero = Interval::ZERO;
        let mut x = Interval::point(column as f64 - self.middle[0]);
        let mut y = Interval::point(self.middle[1] - row as f64);
        for step in &self.steps {
            // A translation moves the coordinate itself here, which is the first entry.
            [[x, ..], [y, ..]] = step.after(&[[x, zero, zero], [y, zero, zero]], false);
            match step.kind {
                Kind::TranslateX => x = x - step.t,
                Kind::TranslateY => y = y - step.t,
                _ => {}
            }
        }
        [
            x + Interval::point(self.middle[0]),
            Interval::point(self.middle[1]) - y,
        ]
    }
}

fn half(extent: usize) -> f64 {
    (extent as f64 - 1.0) / 2.0
}

/// Rows count downwards.
fn flip(map: &mut [Row; 2]) {
    map[1] = map[1].map(|entry| -entry);
}

fn along(line: &Row, x: f64, y: f64) -> Interval {
    line[0].times(x) + line[1].times(y) + line[2]
}

/// The inverse of a step over an interval of its parameter.
struct Inverse {
    kind: Kind,
    t: Interval,
    /// Sine and cosine of a rotation's angle.
    turn: [Interval; 2],
}

impl Inverse {
    fn of(kind: Kind, t: Interval) -> Self {
        let turn = match kind {
            Kind::Rotate => [sine(t), cosine(t)],
            _ => [Interval::ZERO; 2],
        };
        Self { kind, t, turn }
    }

    /// Puts the inverse after `map`: its linear part, and where `moves`, its translation.
    fn after(&self, map: &[Row; 2], moves: bool) -> [Row; 2] {
        let ([x, y], t) = (map, self.t);
        let combine = |f: &dyn Fn(Interval, Interval) -> Interval| -> Row {
            [f(x[0], y[0]), f(x[1], y[1]), f(x[2], y[2])]
        };
        match self.kind {
            Kind::Rotate => {
                let [sine, cosine] = self.turn;
                [
                    combine(&|x, y| x * cosine + y * sine),
                    combine(&|x, y| y * cosine - x * sine),
                ]
            }
            Kind::TranslateX if moves => [[x[0], x[1], x[2] - t], *y],
            Kind::TranslateY if moves => [*x, [y[0], y[1], y[2] - t]],
            Kind::Scale => [
                combine(&|x, _| x.over_positive(t)),
                combine(&|_, y| y.over_positive(t)),
            ],
            Kind::Shear => [combine(&|x, y| x - y * t), *y],
            Kind::TranslateX | Kind::TranslateY | Kind::Contrast | Kind::Brightness => *map,
        }
    }
}

/// The derivative of a step's own result by its parameter.
fn by_parameter(kind: Kind, t: Interval, result: &[Row; 2]) -> [Row; 2] {
    let [x, y] = result;
    let zero = [Interval::ZERO; 3];
    let minus_one = Interval::point(-1.0);
    match kind {
        // d/dt (x cos t + y sin t) is the second coordinate, in radians.
        Kind::Rotate => [
            y.map(|entry| entry * RADIAN),
            x.map(|entry| -(entry * RADIAN)),
        ],
        Kind::TranslateX => [[Interval::ZERO, Interval::ZERO, minus_one], zero],
        Kind::TranslateY => [zero, [Interval::ZERO, Interval::ZERO, minus_one]],
        Kind::Scale => result.map(|line| line.map(|entry| -entry.over_positive(t))),
        // The second coordinate is the same before and after.
        Kind::Shear => [y.map(|entry| -entry), zero],
        Kind::Contrast | Kind::Brightness => [zero; 2],
    }
}

/// The radians of a degree.
const RADIAN: Interval = Interval::new(degrees::RADIANS.0, degrees::RADIANS.1);

/// The sine over an interval of degrees within `[-360, 360]`: the ends, and 1 or -1 where a
/// turning point lies between.
fn sine(t: Interval) -> Interval {
    turning(t, degrees::sin, 90.0)
}

/// The cosine likewise.
fn cosine(t: Interval) -> Interval {
    turning(t, degrees::cos, 0.0)
}

fn turning(t: Interval, function: fn(f64) -> (f64, f64), peak: f64) -> Interval {
    let (low, high) = (function(t.low), function(t.high));
    let mut range = Interval::new(low.0.min(high.0), low.1.max(high.1));
    for half_turn in -3..=3 {
        // Whole numbers of degrees: the comparison is exact.
        let turn = peak + 180.0 * f64::from(half_turn);
        if t.low <= turn && turn <= t.high {
            let value = if half_turn % 2 == 0 { 1.0 } else { -1.0 };
            range = range.hull(Interval::point(value));
        }
    }
    range
}
