//! Cells: boxes of parameters, cut so that no parameter is lost between two of them.

use crate::error::{Error, Result};

use super::transformation::Transformation;
use crate::interval::Interval;

/// A closed box of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The least value of each parameter.
    pub lower: Vec<f64>,
    /// The largest value of each.
    pub upper: Vec<f64>,
}

impl Cell {
    /// All parameters of a transformation.
    pub fn whole(transformation: &Transformation) -> Self {
        let (lower, upper) = transformation
            .steps()
            .iter()
            .map(|s| (s.low, s.high))
            .unzip();
        Self { lower, upper }
    }

    /// Cuts the box into `parts` along parameter `index`. Neighbours share the number at which
    /// they are cut, and the first and last keep the box's own ends, so every parameter of the
    /// box is in a part. Parts that would be empty because the numbers are too dense are left
    /// out; a box of width zero is its own only part.
    ///
    /// ```
    /// use recert_bounds::geometric::Cell;
    /// let cell = Cell { lower: vec![-30.0], upper: vec![30.0] };
    /// let parts = cell.cut(0, 3);
    /// assert_eq!(parts[1], Cell { lower: vec![-10.0], upper: vec![10.0] });
    /// ```
    ///
    /// # Panics
    /// Where `index` is no parameter or `parts` is 0.
    pub fn cut(&self, index: usize, parts: usize) -> Vec<Self> {
        assert!(parts > 0, "a cell is cut into at least one part");
        let (low, high) = (self.lower[index], self.upper[index]);
        let at = |part: usize| {
            if part == parts {
                high
            } else {
                (low + (high - low) * (part as f64 / parts as f64)).clamp(low, high)
            }
        };
        let mut cells = Vec::with_capacity(parts);
        let mut start = low;
        for part in 1..=parts {
            let end = at(part).max(start);
            if end > start || (part == parts && cells.is_empty()) {
                let mut cell = self.clone();
                (cell.lower[index], cell.upper[index]) = (start, end);
                cells.push(cell);
            }
            start = end;
        }
        cells
    }

    /// Cuts along every parameter, into as many parts as `parts` says for each.
    ///
    /// # Panics
    /// Where `parts` has not one positive number for each parameter.
    pub fn grid(&self, parts: &[usize]) -> Vec<Self> {
        assert_eq!(
            parts.len(),
            self.lower.len(),
            "one number of parts a parameter"
        );
        let mut cells = vec![self.clone()];
        for (index, &parts) in parts.iter().enumerate() {
            cells = cells
                .iter()
                .flat_map(|cell| cell.cut(index, parts))
                .collect();
        }
        cells
    }

    /// A point in the middle, to nearest.
    pub fn centre(&self) -> Vec<f64> {
        self.intervals()
            .iter()
            .map(|range| range.middle())
            .collect()
    }

    /// The widths, to nearest.
    pub fn widths(&self) -> Vec<f64> {
        self.lower
            .iter()
            .zip(&self.upper)
            .map(|(low, high)| high - low)
            .collect()
    }

    pub(crate) fn intervals(&self) -> Vec<Interval> {
        let ends = self.lower.iter().zip(&self.upper);
        ends.map(|(&low, &high)| Interval::new(low, high)).collect()
    }

    /// Refuses a cell that is not inside the domains of the transformation's steps.
    pub(crate) fn check(&self, transformation: &Transformation) -> Result<()> {
        transformation.check(&self.lower)?;
        transformation.check(&self.upper)?;
        match self
            .lower
            .iter()
            .zip(&self.upper)
            .position(|(low, high)| low > high)
        {
            None => Ok(()),
            Some(index) => Err(Error::argument(format!(
                "parameter {index} of a cell has its lower end {} above its upper end {}",
                self.lower[index], self.upper[index]
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_leave_no_gap(low in -400.0..400.0_f64, width in 0.0..1e3_f64, parts in 1_usize..300) {
            let cell = Cell { lower: vec![1.0, low], upper: vec![2.0, low + width] };
            let cells = cell.cut(1, parts);
            prop_assert_eq!(cells[0].lower[1].to_bits(), low.to_bits());
            prop_assert_eq!(cells.last().unwrap().upper[1].to_bits(), (low + width).to_bits());
            for pair in cells.windows(2) {
                prop_assert_eq!(pair[0].upper[1].to_bits(), pair[1].lower[1].to_bits());
                prop_assert!(pair[0].lower[1] < pair[0].upper[1]);
                prop_assert_eq!((pair[0].lower[0], pair[0].upper[0]), (1.0, 2.0));
            }
        }
    }

    #[test]
    fn dense_numbers_and_points() {
        let tight = Cell {
            lower: vec![1.0],
            upper: vec![1.0_f64.next_up()],
        };
        assert_eq!(tight.cut(0, 10), std::slice::from_ref(&tight));
        let point = Cell {
            lower: vec![1.0],
            upper: vec![1.0],
        };
        assert_eq!(point.cut(0, 4), std::slice::from_ref(&point));
        let square = Cell {
            lower: vec![0.0, 0.0],
            upper: vec![1.0, 1.0],
        };
        let cells = square.grid(&[2, 3]);
        assert_eq!(cells.len(), 6);
        let area: f64 = cells
            .iter()
            .map(|cell| cell.widths().iter().product::<f64>())
            .sum();
        assert!((area - 1.0).abs() < 1e-12);
    }
}
