//! Where a search may stand: the points of a region that float32 holds.

use crate::error::{Error, Result};
use crate::region::Region;

/// A region, seen through float32.
#[derive(Debug)]
pub(super) struct Place<'r> {
    region: &'r Region,
    /// The least and the largest float32 of each element, or the nearest one twice.
    least: Vec<f64>,
    largest: Vec<f64>,
    holds_floats: bool,
}

impl<'r> Place<'r> {
    pub(super) fn new(region: &'r Region) -> Result<Self> {
        if matches!(region, Region::Parametric { .. }) {
            return Err(Error::unsupported(
                "a region of transformed images is searched by its parameters, not by pixels",
            ));
        }
        let (lower, upper) = region.bounding_box();
        let mut place = Self {
            region,
            least: Vec::with_capacity(lower.len()),
            largest: Vec::with_capacity(lower.len()),
            holds_floats: true,
        };
        for (&lower, &upper) in lower.iter().zip(upper) {
            let (mut least, mut largest) = (float_up(lower), float_down(upper));
            if least > largest {
                place.holds_floats = false;
                least = f64::from((f64::midpoint(lower, upper)) as f32);
                largest = least;
            }
            place.least.push(least);
            place.largest.push(largest);
        }
        Ok(place)
    }

    /// Whether the region holds a float32 in every element.
    pub(super) fn holds_floats(&self) -> bool {
        self.holds_floats
    }

    /// The point nearest to the centre.
    pub(super) fn centre(&self) -> Vec<f64> {
        let mut x = match self.region {
            Region::Ball { centre, .. } => centre.clone(),
            region => {
                let (lower, upper) = region.bounding_box();
                let bounds = lower.iter().zip(upper);
                bounds.map(|(&l, &u)| f64::midpoint(l, u)).collect()
            }
        };
        self.settle(&mut x);
        x
    }

    /// A point drawn from the region: uniformly from a box, and from the ball in a uniform
    /// direction, at a uniform share of the radius.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<f64> {
        let mut x: Vec<f64>;
        match self.region {
            Region::Ball { centre, radius, .. } => {
                // Sums of uniform numbers are normal enough for a direction.
                let mut normal = || (0..4).map(|_| random.uniform() - 0.5).sum::<f64>();
                let direction: Vec<f64> = centre.iter().map(|_| normal()).collect();
                let length = norm(&direction).max(f64::MIN_POSITIVE);
                let scale = radius * random.uniform() / length;
                let points = centre.iter().zip(&direction);
                x = points.map(|(c, d)| c + scale * d).collect();
            }
            region => {
                let (lower, upper) = region.bounding_box();
                let bounds = lower.iter().zip(upper);
                x = bounds
                    .map(|(&l, &u)| l + random.uniform() * (u - l))
                    .collect();
            }
        }
        self.settle(&mut x);
        x
    }

    /// Moves against the direction, by a share of the region's half-width (a box, each element by
    /// the sign) or radius (a ball). Whether the point moved.
    pub(super) fn descend(&self, x: &mut [f64], direction: &[f64], share: f64) -> bool {
        let before = x.to_vec();
        if let Region::Ball { radius, .. } = self.region {
            let length = norm(direction);
            if !(length > 0.0 && length.is_finite()) {
                return false;
            }
            for (x, d) in x.iter_mut().zip(direction) {
                *x -= share * radius * d / length;
            }
        } else {
            let (lower, upper) = self.region.bounding_box();
            let bounds = lower.iter().zip(upper);
            for ((x, &d), (l, u)) in x.iter_mut().zip(direction).zip(bounds) {
                let half = 0.5 * (u - l);
                // The sign of 0 is 0 here, and that of NaN too.
                *x -= share * half * (f64::from(d > 0.0) - f64::from(d < 0.0));
            }
        }
        self.settle(x);
        *x != before[..]
    }

    /// Moves a point to a near one that float32 holds and that lies in the region.
    fn settle(&self, x: &mut [f64]) {
        self.round(x);
        let Region::Ball { centre, radius, .. } = self.region else {
            return;
        };
        // Towards the centre, by a little more each time, until rounding leaves it inside.
        let mut margin = 0.0;
        while !self.region.contains(x) && margin < 1.0 {
            let distance = norm_between(x, centre);
            let scale = (radius / distance).min(1.0) * (1.0 - margin);
            for (x, c) in x.iter_mut().zip(centre) {
                *x = c + scale * (*x - c);
            }
            self.round(x);
            margin = 2.0 * margin + 1e-7;
        }
    }

    fn round(&self, x: &mut [f64]) {
        let bounds = self.least.iter().zip(&self.largest);
        for (x, (&least, &largest)) in x.iter_mut().zip(bounds) {
            *x = f64::from(*x as f32).clamp(least, largest);
        }
    }
}

/// The least float32 that is at least `x`, as an `f64`.
fn float_up(x: f64) -> f64 {
    let nearest = x as f32;
    let up = if f64::from(nearest) < x {
        nearest.next_up()
    } else {
        nearest
    };
    f64::from(up)
}

fn float_down(x: f64) -> f64 {
    -float_up(-x)
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn norm_between(x: &[f64], y: &[f64]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y));
    squares.sum::<f64>().sqrt()
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): enough for starts that differ.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, restart: u64) -> Self {
        let mut random = Self(seed);
        Self(random.bits().wrapping_add(restart))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `[0, 1)`.
    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
