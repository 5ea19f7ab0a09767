//! Projected gradient descent (Madry et al., ICLR 2018) on batches.

use crate::tensor::{Matrix, Precision};

/// How adversarial images are searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attack {
    /// Steps of each search. A training takes at least one; without any, images stay as they are.
    pub steps: usize,
    /// The length of a step, in units of the radius that is searched.
    pub step: f64,
    /// Searches, each from another random point, of which the worst point is taken; at least 1.
    pub restarts: usize,
    /// The radius that is searched, in units of eps.
    pub radius: f64,
}

impl Default for Attack {
    /// 8 steps of a quarter of the radius, once, within eps.
    fn default() -> Self {
        Self {
            steps: 8,
            step: 0.25,
            restarts: 1,
            radius: 1.0,
        }
    }
}

/// Where an attack searches, in pixels; always within [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ball {
    /// Every pixel within a distance.
    Linf(f64),
    /// All pixels together within a Euclidean distance.
    L2(f64),
}

impl Ball {
    fn radius(self) -> f64 {
        match self {
            Self::Linf(radius) | Self::L2(radius) => radius,
        }
    }

    /// A random point around an image.
    fn start(self, image: &[f32], generator: &mut fastrand::Rng) -> Vec<f32> {
        let mut offset: Vec<f32> = image.iter().map(|_| 2.0 * generator.f32() - 1.0).collect();
        let scale = match self {
            Self::Linf(radius) => radius as f32,
            Self::L2(radius) => generator.f32() * radius as f32 / norm(&offset).max(1e-12),
        };
        for (offset, pixel) in offset.iter_mut().zip(image) {
            *offset = *offset * scale + pixel;
        }
        self.project(image, &mut offset);
        offset
    }

    /// Moves a point by a step of this length up the gradient.
    fn step(self, length: f32, gradient: &[f32], point: &mut [f32]) {
        let scale = match self {
            Self::Linf(_) => 0.0,
            Self::L2(_) => length / norm(gradient).max(1e-12),
        };
        for (pixel, &slope) in point.iter_mut().zip(gradient) {
            *pixel += match self {
                Self::Linf(_) if slope > 0.0 => length,
                Self::Linf(_) if slope < 0.0 => -length,
                Self::Linf(_) => 0.0,
                Self::L2(_) => scale * slope,
            };
        }
    }

    /// Moves a point back into the ball around an image, and into [0, 1].
    fn project(self, image: &[f32], point: &mut [f32]) {
        let factor = match self {
            Self::Linf(_) => 1.0,
            Self::L2(radius) => {
                let offset: Vec<f32> = point.iter().zip(image).map(|(a, b)| a - b).collect();
                (radius as f32 / norm(&offset).max(1e-12)).min(1.0)
            }
        };
        for (pixel, &centre) in point.iter_mut().zip(image) {
            let offset = match self {
                Self::Linf(radius) => (*pixel - centre).clamp(-radius as f32, radius as f32),
                Self::L2(_) => (*pixel - centre) * factor,
            };
            *pixel = (centre + offset).clamp(0.0, 1.0);
        }
    }
}

fn norm(vector: &[f32]) -> f32 {
    let squares = vector.iter().map(|&x| f64::from(x) * f64::from(x));
    squares.sum::<f64>().sqrt() as f32
}

/// The random points that a search begins with.
pub(crate) fn begun(
    images: &[f32],
    columns: usize,
    ball: Ball,
    generator: &mut fastrand::Rng,
) -> Vec<f32> {
    let rows = images.chunks(columns);
    rows.flat_map(|image| ball.start(image, generator))
        .collect()
}

/// The points that an attack finds around `images` (rows of `columns` pixels): those with the
/// largest of `losses`, a number a row, that its searches ended at.
pub(crate) fn attacked(
    images: &[f32],
    columns: usize,
    ball: Ball,
    attack: &Attack,
    generator: &mut fastrand::Rng,
    losses: impl Fn(&Matrix) -> Matrix,
) -> Vec<f32> {
    if attack.steps == 0 || ball.radius() <= 0.0 {
        return images.to_vec();
    }
    let length = (attack.step * ball.radius()) as f32;
    let read = |points: &[f32]| Matrix::new(columns, points, Precision::Single);
    let mut best: Option<(Vec<f32>, Vec<f32>)> = None;
    for _ in 0..attack.restarts.max(1) {
        let mut points = begun(images, columns, ball, generator);
        for _ in 0..attack.steps {
            let leaf = read(&points).tracked();
            let derivatives = losses(&leaf).derivatives();
            let Some(gradient) = derivatives.by(&leaf) else {
                break;
            };
            let gradient = gradient.values();
            let rows = points.chunks_mut(columns).zip(gradient.chunks(columns));
            for ((point, gradient), image) in rows.zip(images.chunks(columns)) {
                ball.step(length, gradient, point);
                ball.project(image, point);
            }
        }
        if attack.restarts <= 1 {
            return points;
        }
        let reached = losses(&read(&points)).values();
        best = Some(match best {
            None => (points, reached),
            Some((mut found, mut most)) => {
                for (row, &loss) in reached.iter().enumerate() {
                    if loss > most[row] {
                        most[row] = loss;
                        let range = row * columns..(row + 1) * columns;
                        found[range.clone()].copy_from_slice(&points[range]);
                    }
                }
                (found, most)
            }
        });
    }
    best.map_or_else(|| images.to_vec(), |(points, _)| points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, generator};

    /// A loss that grows along the first pixel and falls along the second.
    fn slanted(points: &Matrix) -> Matrix {
        let weights = Matrix::new(2, &[1.0, -1.0], Precision::Single);
        points.product_transposed(&weights)
    }

    #[test]
    fn attacks_reach_the_corner_of_the_ball_and_stay_in_it_and_in_the_image() {
        let images = [0.5, 0.5, 0.95, 0.02];
        for restarts in [1, 3] {
            let attack = Attack {
                restarts,
                ..Attack::default()
            };
            let random = || generator(1, Purpose::Attack, 0, 0);
            let box_ = Ball::Linf(0.1);
            let found = attacked(&images, 2, box_, &attack, &mut random(), slanted);
            for (found, expected) in found.iter().zip([0.6, 0.4, 1.0, 0.0]) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
            let ball = Ball::L2(0.1);
            // On a sphere a step is shortened by what leaves it, so that it takes more of them.
            let longer = Attack {
                steps: 50,
                ..attack
            };
            let found = attacked(&images, 2, ball, &longer, &mut random(), slanted);
            let side = 0.1 / 2.0_f32.sqrt();
            assert!((found[0] - 0.5 - side).abs() < 1e-4, "{found:?}");
            assert!((found[1] - 0.5 + side).abs() < 1e-4, "{found:?}");
        }
        let none = Attack {
            steps: 0,
            ..Attack::default()
        };
        let mut random = generator(1, Purpose::Attack, 0, 0);
        let kept = attacked(&images, 2, Ball::Linf(0.1), &none, &mut random, slanted);
        assert_eq!(kept, images);
    }
}
