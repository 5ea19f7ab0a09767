//! TAPS (Mao, Mueller, Fischer and Vechev: "Connecting certified and adversarial training", NeurIPS
//! 2023): bounds up to a layer, and from there an attack on each margin within the box.
//!
//! A bound of the last layers, too, is far below what any point of the box reaches, and an attack
//! from the pixels on is far above what can be bounded. The attack within the box is between them.
//! Its points have no derivative by the box; what takes its place is the connector: near an end of
//! the box, a point moves with that end.

use std::fmt;

use crate::attack::Attack;
use crate::bounds::{Interval, Intervals};
use crate::network::{Layer, Network};
use crate::pass::{Pass, through};
use crate::tensor::{Matrix, Precision};

/// Which layers TAPS attacks, and what its gradient is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latent {
    /// How many of the last layers of ReLUs are attacked in place of bounded: at least one, and
    /// fewer than there are. No residual block may be open where they begin.
    pub relus: usize,
    /// By how much the gradient of the loss on attacked margins is multiplied, beside that of the
    /// loss on bounds, in (0, 1000]. Its paper weighs the two gradients by alpha and 1 - alpha, in this ratio.
    pub weight: f64,
    /// The connector's c, in [0.001, 0.5]: within this share of the box's width from an end, a point
    /// moves with it, fully at the end and not at all at that distance.
    pub connector: f64,
}

impl Default for Latent {
    /// One layer of ReLUs, a weight of 5 and a connector of .5, as the paper recommends.
    fn default() -> Self {
        Self {
            relus: 1,
            weight: 5.0,
            connector: 0.5,
        }
    }
}

impl fmt::Display for Latent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            relus,
            weight,
            connector,
        } = self;
        write!(
            f,
            "{relus} ReLUs attacked, weight {weight}, connector {connector}"
        )
    }
}

/// Elements of points that are searched at a time: 64 MiB in float32.
const CHUNK: usize = 1 << 24;

/// Boxes narrower than this are connected as this one would be.
const NARROW: f32 = 1e-5;

/// Where a network is cut in two: behind ReLUs that are in no residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The first layer that is attacked.
    pub(crate) layer: usize,
    /// The number of the ReLUs before it.
    relu: usize,
    /// How many layers of ReLUs are attacked.
    pub(crate) relus: usize,
}

impl Cut {
    /// All cuts of a network that leave ReLUs on both sides, the last first.
    pub(crate) fn all(network: &Network) -> Vec<Self> {
        let layers = network.layers.iter().enumerate().rev();
        let mut cuts: Vec<Self> = Vec::new();
        let (mut open, mut relus) = (0, 0);
        for (position, layer) in layers {
            match layer {
                Layer::Add { .. } => open += 1,
                Layer::Fork { .. } => open -= 1,
                Layer::Relu { .. } => {
                    if open == 0 && relus > 0 {
                        cuts.push(Self {
                            layer: position + 1,
                            relu: 0,
                            relus,
                        });
                    }
                    relus += 1;
                }
                _ => {}
            }
        }
        for cut in &mut cuts {
            cut.relu = relus - cut.relus - 1;
        }
        cuts
    }

    /// The cut before so many layers of ReLUs, where there is one.
    pub(crate) fn before(network: &Network, relus: usize) -> Option<Self> {
        let mut cuts = Self::all(network).into_iter();
        cuts.find(|cut| cut.relus == relus)
    }

    /// The box here.
    pub(crate) fn of(self, intervals: &Intervals, shrink: f64) -> Interval {
        intervals.neurons[self.relu].rectified(shrink)
    }

    /// The logits of values here.
    pub(crate) fn logits(self, pass: &Pass<'_>, values: &Matrix) -> Matrix {
        let layers = pass.layers().split_off(self.layer);
        through(layers.into_iter(), values.clone())
    }
}

/// Points of the box at a cut, one a margin, and how they move with the box: constants.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    pub(crate) cut: Cut,
    /// `[n (classes - 1), elements]`.
    pub(crate) values: Matrix,
    /// The box's lower and upper ends, `[n, elements]`.
    pub(crate) ends: [Matrix; 2],
    /// By how much points move with the lower and the upper ends, as the points.
    pub(crate) slopes: [Matrix; 2],
}

impl Points {
    /// The same, with other matrices of the same numbers.
    pub(crate) fn each(&self, made: fn(&Matrix) -> Matrix) -> Self {
        let both = |pair: &[Matrix; 2]| [made(&pair[0]), made(&pair[1])];
        Self {
            cut: self.cut,
            values: made(&self.values),
            ends: both(&self.ends),
            slopes: both(&self.slopes),
        }
    }

    /// Searches the box of constants for the points of the least margins: `rows` are those of
    /// [`crate::bounds::rows`].
    pub(crate) fn found(
        latent: &Latent,
        cut: Cut,
        pass: &Pass<'_>,
        reached: &Interval,
        rows: &Matrix,
        attack: &Attack,
        generator: &mut fastrand::Rng,
    ) -> Self {
        let (images, columns) = (reached.centre.rows(), reached.centre.columns());
        let margins = rows.rows() / images;
        let ends = reached.ends().map(|end| end.values());
        let rows = rows.values();
        let classes = rows.len() / (images * margins);
        let chunk = (CHUNK / (margins * columns)).max(1);
        let mut values = Vec::with_capacity(images * margins * columns);
        for first in (0..images).step_by(chunk) {
            let range = |width: usize| first * width..(first + chunk).min(images) * width;
            let [low, high] = [0, 1].map(|end| &ends[end][range(columns)]);
            let rows = &rows[range(margins * classes)];
            let rows = Matrix::new(classes, rows, Precision::Single);
            let search = Search {
                ends: [low, high],
                columns,
                margins,
            };
            let measured = |points: &Matrix| cut.logits(pass, points).mul(&rows).sum_rows();
            values.extend(search.run(attack, generator, measured));
        }
        let slopes = connected(latent.connector as f32, &ends, columns, margins, &values);
        let read = |values: &[f32]| Matrix::new(columns, values, Precision::Single);
        Self {
            cut,
            values: read(&values),
            ends: ends.map(|end| read(&end)),
            slopes: slopes.map(|slopes| read(&slopes)),
        }
    }

    /// The margins that the points reach, `[n, classes - 1]`, as a function of all weights: points
    /// move with the box of these intervals.
    pub(crate) fn margins(
        &self,
        pass: &Pass<'_>,
        intervals: &Intervals,
        shrink: f64,
        rows: &Matrix,
    ) -> Matrix {
        let images = intervals.input.centre.rows();
        let margins = rows.rows() / images;
        let ends = self.cut.of(intervals, shrink).ends();
        let mut points = self.values.clone();
        for (slopes, (end, start)) in self.slopes.iter().zip(ends.iter().zip(&self.ends)) {
            points = points.add(&slopes.mul(&end.sub(start).repeated(margins)));
        }
        let logits = self.cut.logits(pass, &points);
        logits.mul(rows).sum_rows().reshaped(margins)
    }
}

/// A search of boxes for the least of a function.
struct Search<'b> {
    /// The boxes' ends, rows of `columns`.
    ends: [&'b [f32]; 2],
    columns: usize,
    /// Points a box.
    margins: usize,
}

impl Search<'_> {
    /// The best points of all steps of all searches, each from random ones: steps of the sign of the
    /// gradient, `max(.2, 2 / steps)` of the width long, and a fifth of that after .7 of 10 steps or
    /// more, as in the authors' code.
    fn run(
        &self,
        attack: &Attack,
        generator: &mut fastrand::Rng,
        measured: impl Fn(&Matrix) -> Matrix,
    ) -> Vec<f32> {
        let steps = attack.steps;
        let shorter: &[f64] = match steps {
            0..10 => &[],
            10..=50 => &[0.7],
            51..=80 => &[0.4, 0.7],
            _ => &[0.3, 0.6, 0.8],
        };
        let shorter = |step: usize| {
            let mut parts = shorter.iter();
            parts.any(|part| step == (steps as f64 * part) as usize)
        };
        let count = self.ends[0].len() / self.columns * self.margins;
        let mut least = vec![f32::INFINITY; count];
        let mut found = vec![0.0; count * self.columns];
        self.moved(&mut found, |_, low, _| low);
        for _ in 0..attack.restarts.max(1) {
            let mut length = (2.0 / steps.max(1) as f32).max(0.2);
            let mut points = found.clone();
            self.moved(&mut points, |_, low, high| {
                low + (high - low) * generator.f32()
            });
            for step in 0..=steps {
                let leaf = Matrix::new(self.columns, &points, Precision::Single).tracked();
                let margins = measured(&leaf);
                for (row, margin) in margins.values().into_iter().enumerate() {
                    if margin < least[row] {
                        least[row] = margin;
                        let range = row * self.columns..(row + 1) * self.columns;
                        found[range.clone()].copy_from_slice(&points[range]);
                    }
                }
                let derivatives = (step < steps).then(|| margins.derivatives());
                let Some(gradient) = derivatives.and_then(|found| found.by(&leaf)) else {
                    break;
                };
                let mut slopes = gradient.values().into_iter();
                self.moved(&mut points, |point, low, high| {
                    let step = match slopes.next() {
                        Some(slope) if slope > 0.0 => -length,
                        Some(slope) if slope < 0.0 => length,
                        _ => 0.0,
                    };
                    (point + step * (high - low)).max(low).min(high)
                });
                if shorter(step + 1) {
                    length *= 0.2;
                }
            }
        }
        found
    }

    /// Moves every coordinate, given the ends of its box.
    fn moved(&self, points: &mut [f32], mut to: impl FnMut(f32, f32, f32) -> f32) {
        let [low, high] = self.ends.map(|end| end.chunks(self.columns));
        let groups = points.chunks_mut(self.columns * self.margins);
        for (group, (low, high)) in groups.zip(low.zip(high)) {
            for point in group.chunks_mut(self.columns) {
                for (x, (&low, &high)) in point.iter_mut().zip(low.iter().zip(high)) {
                    *x = to(*x, low, high);
                }
            }
        }
    }
}

/// The rectified linear connector: with `s = c (high - low)`, a point at a distance d from an end
/// moves by `1 - d / s` of what the end moves, and not at all beyond s. In boxes that are points it
/// moves by half with each.
pub(super) fn connected(
    share: f32,
    ends: &[Vec<f32>; 2],
    columns: usize,
    margins: usize,
    points: &[f32],
) -> [Vec<f32>; 2] {
    let slope = |inside: f32, width: f32| {
        if inside >= 0.0 {
            inside.max(0.5 * NARROW) / width.max(NARROW)
        } else {
            0.0
        }
    };
    let [mut lower, mut upper] = [0, 1].map(|_| Vec::with_capacity(points.len()));
    for (row, point) in points.chunks(columns).enumerate() {
        let range = row / margins * columns..(row / margins + 1) * columns;
        let [low, high] = [0, 1].map(|end| &ends[end][range.clone()]);
        for (&x, (&low, &high)) in point.iter().zip(low.iter().zip(high)) {
            let width = share * (high - low);
            lower.push(slope(low + width - x, width));
            upper.push(slope(x - (high - width), width));
        }
    }
    [lower, upper]
}

/// A loss whose gradient is multiplied by `weight`.
pub(crate) fn emphasized(loss: &Matrix, weight: f64) -> Matrix {
    let rest = loss.constant().scale(weight - 1.0);
    loss.scale(weight).sub(&rest)
}
