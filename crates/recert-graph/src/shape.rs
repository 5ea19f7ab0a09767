//! Shapes with a batch of any size.

use std::fmt;
use std::ops::Deref;

/// One extent of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// A number.
    Fixed(usize),
    /// This many times the size of the batch, which the file leaves open;
    /// `Batch(1)` is the batch itself. Never 0.
    Batch(usize),
}

impl Extent {
    /// The number, if it does not depend on the batch.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(size),
            Self::Batch(_) => None,
        }
    }

    /// The number for a batch of this size.
    pub fn at(self, batch: usize) -> usize {
        match self {
            Self::Fixed(size) => size,
            Self::Batch(factor) => factor * batch,
        }
    }

    /// The product, where it is an extent: sizes that fit, and no square of
    /// the batch.
    pub fn times(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => Self::Fixed(a.checked_mul(b)?),
            (Self::Fixed(0), _) | (_, Self::Fixed(0)) => Self::Fixed(0),
            (Self::Fixed(a), Self::Batch(b)) | (Self::Batch(a), Self::Fixed(b)) => {
                Self::Batch(a.checked_mul(b)?)
            }
            (Self::Batch(_), Self::Batch(_)) => return None,
        })
    }
}

impl From<usize> for Extent {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Batch(1) => f.write_str("batch"),
            Self::Batch(factor) => write!(f, "{factor} batch"),
        }
    }
}

/// A tensor's extents, outermost first. At most one depends on the batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<Extent>);

impl Shape {
    /// A shape of these extents.
    pub fn new(extents: Vec<Extent>) -> Self {
        Self(extents)
    }

    /// A shape that does not depend on the batch.
    pub fn of(sizes: &[usize]) -> Self {
        sizes.iter().copied().map(Extent::Fixed).collect()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// All extents, if none depends on the batch.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|extent| extent.fixed()).collect()
    }

    /// All extents for a batch of this size.
    pub fn at(&self, batch: usize) -> Vec<usize> {
        self.0.iter().map(|extent| extent.at(batch)).collect()
    }

    /// The number of elements, as an extent; `None` where it does not fit.
    pub fn count(&self) -> Option<Extent> {
        self.0
            .iter()
            .try_fold(Extent::Fixed(1), |count, &extent| count.times(extent))
    }

    /// The shape that ONNX broadcasts two shapes to, if they fit.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let padded = |shape: &Self, axis: usize| match (axis + shape.rank()).checked_sub(rank) {
            Some(axis) => shape[axis],
            None => Extent::Fixed(1),
        };
        (0..rank)
            .map(|axis| match (padded(self, axis), padded(other, axis)) {
                (a, b) if a == b => Some(a),
                (Extent::Fixed(1), b) => Some(b),
                (a, Extent::Fixed(1)) => Some(a),
                _ => None,
            })
            .collect()
    }
}

impl Deref for Shape {
    type Target = [Extent];

    fn deref(&self) -> &[Extent] {
        &self.0
    }
}

impl FromIterator<Extent> for Shape {
    fn from_iter<I: IntoIterator<Item = Extent>>(extents: I) -> Self {
        Self(extents.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<String> = self.0.iter().map(Extent::to_string).collect();
        write!(f, "[{}]", extents.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_keeps_the_batch() {
        let batch = Shape::new(vec![Extent::Batch(1), Extent::Fixed(3), Extent::Fixed(1)]);
        let wide = batch.broadcast(&Shape::of(&[3, 5])).unwrap();
        assert_eq!(wide.to_string(), "[batch, 3, 5]");
        assert_eq!(wide.at(2), [2, 3, 5]);
        assert_eq!(wide.fixed(), None);
        assert_eq!(wide.count(), Some(Extent::Batch(15)));
        assert_eq!(batch.broadcast(&Shape::of(&[2, 3, 1])), None);
        assert_eq!(batch.broadcast(&Shape::of(&[4, 1])), None);
        assert_eq!(Shape::of(&[usize::MAX, 2]).count(), None);
    }
}
