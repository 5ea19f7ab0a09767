//! Properties: what a network's outputs must satisfy on every input of a region.

use crate::error::{Error, Result};

/// A constraint `coefficients . y <= bound` on the outputs `y`.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    /// The outputs that matter, by position, with their factors.
    pub coefficients: Vec<(usize, f64)>,
    /// The right-hand side.
    pub bound: f64,
}

/// What must hold of a network's outputs, by what must never happen: the *unsafe set* is a
/// disjunction of conjunctions of linear constraints (as in VNN-LIB).
///
/// The property is proved when in every conjunction some constraint is proved violated:
/// `coefficients . y - bound > 0` on the whole region. That is what [`Property::rows`] and
/// [`Property::verified`] are for: bound every row from below, then ask.
///
/// ```
/// use recert_bounds::Property;
///
/// // Class 1 of 3 must have the largest output.
/// let property = Property::label(3, 1)?;
/// assert!(property.violated(&[0.5, 0.4, 0.0]));
/// assert!(!property.violated(&[0.5, 0.6, 0.0]));
///
/// // Two rows, y1 - y0 and y1 - y2. Both have to be positive.
/// let rows = property.rows();
/// assert_eq!(rows.coefficients, [-1.0, 1.0, 0.0, 0.0, 1.0, -1.0]);
/// assert!(property.verified(&[0.1, 0.2]));
/// assert!(!property.verified(&[0.1, 0.0]) && !property.verified(&[0.1, f64::NAN]));
/// # Ok::<(), recert_bounds::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    outputs: usize,
    unsafe_set: Vec<Vec<Constraint>>,
    label: Option<usize>,
}

/// Linear functions `coefficients y + constants` of a network's outputs, to be bounded from
/// below.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The number of outputs `y`.
    pub outputs: usize,
    /// Row-major, a row a function and a column an output.
    pub coefficients: Vec<f64>,
    /// What is added, one number a row.
    pub constants: Vec<f64>,
}

impl Constraint {
    /// `coefficients . y - bound`, computed in f64: at most 0 where the constraint holds.
    pub fn excess(&self, outputs: &[f64]) -> f64 {
        let terms = self.coefficients.iter();
        terms.map(|&(i, a)| a * outputs[i]).sum::<f64>() - self.bound
    }
}

impl Property {
    /// Class `label` has a larger output than every other of `classes` classes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where there is no such class.
    pub fn label(classes: usize, label: usize) -> Result<Self> {
        if label >= classes {
            return Err(Error::argument(format!(
                "label {label} is none of the network's {classes} classes"
            )));
        }
        let others = (0..classes).filter(|&other| other != label);
        let unsafe_set = others.map(|other| {
            let mut coefficients = vec![(label, 1.0), (other, -1.0)];
            coefficients.sort_by_key(|&(output, _)| output);
            vec![Constraint {
                coefficients,
                bound: 0.0,
            }]
        });
        Ok(Self {
            outputs: classes,
            unsafe_set: unsafe_set.collect(),
            label: Some(label),
        })
    }

    /// The property of never being in this disjunction of conjunctions. An empty disjunction
    /// always holds; an empty conjunction can never be proved avoided.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Argument`] where a constraint names an output that there is not, or a
    /// number is not finite.
    pub fn avoiding(outputs: usize, unsafe_set: Vec<Vec<Constraint>>) -> Result<Self> {
        for constraint in unsafe_set.iter().flatten() {
            for &(output, factor) in &constraint.coefficients {
                if output >= outputs {
                    return Err(Error::argument(format!(
                        "a constraint on output {output} of a network with {outputs} outputs"
                    )));
                }
                if !factor.is_finite() {
                    return Err(Error::argument(format!(
                        "a constraint with the factor {factor} on output {output}"
                    )));
                }
            }
            if !constraint.bound.is_finite() {
                return Err(Error::argument(format!(
                    "a constraint with the bound {}",
                    constraint.bound
                )));
            }
        }
        Ok(Self {
            outputs,
            unsafe_set,
            label: None,
        })
    }

    /// The number of outputs of the networks that it is about.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The class that must win, where that is the property.
    pub fn class(&self) -> Option<usize> {
        self.label
    }

    /// The unsafe set: any of these conjunctions.
    pub fn unsafe_set(&self) -> &[Vec<Constraint>] {
        &self.unsafe_set
    }

    /// `coefficients . y - bound` of all constraints, in the order of
    /// [`Property::unsafe_set`]: a row is violated wherever it is positive.
    pub fn rows(&self) -> Rows {
        let constraints = self.unsafe_set.iter().flatten();
        let mut rows = Rows {
            outputs: self.outputs,
            coefficients: Vec::new(),
            constants: Vec::new(),
        };
        for constraint in constraints {
            let mut row = vec![0.0; self.outputs];
            for &(output, factor) in &constraint.coefficients {
                row[output] += factor;
            }
            rows.coefficients.extend(row);
            rows.constants.push(-constraint.bound);
        }
        rows
    }

    /// Whether lower bounds of all [`Property::rows`] prove the property. NaN proves nothing.
    pub fn verified(&self, lower: &[f64]) -> bool {
        let mut lower = lower.iter();
        self.unsafe_set.iter().all(|conjunction| {
            // All are taken, so that the next conjunction begins where this one ends.
            let proved = conjunction.iter().filter(|_| lower.next() > Some(&0.0));
            proved.count() > 0
        })
    }

    /// Whether these outputs are in the unsafe set, computed in f64.
    pub fn violated(&self, outputs: &[f64]) -> bool {
        self.worst(outputs) <= 0.0
    }

    /// The constraint that [`Property::worst`] is the excess of: making it smaller leads towards the
    /// unsafe set. `None` where that is empty.
    ///
    /// ```
    /// use recert_bounds::Property;
    ///
    /// let property = Property::label(3, 1)?;
    /// let constraint = property.worst_constraint(&[0.5, 0.9, 0.7]).expect("there are other classes");
    /// assert_eq!(constraint.coefficients, [(1, 1.0), (2, -1.0)]);
    /// # Ok::<(), recert_bounds::Error>(())
    /// ```
    pub fn worst_constraint(&self, outputs: &[f64]) -> Option<&Constraint> {
        let excess = |constraint: &Constraint| constraint.excess(outputs);
        let most = |all: &'_ Vec<Constraint>| -> Option<usize> {
            (0..all.len()).max_by(|&a, &b| excess(&all[a]).total_cmp(&excess(&all[b])))
        };
        let worst = self
            .unsafe_set
            .iter()
            .filter_map(|all| Some(&all[most(all)?]));
        worst.min_by(|a, b| excess(a).total_cmp(&excess(b)))
    }

    /// How far these outputs are from the unsafe set: over the conjunctions, the least of their
    /// most violated constraint's excess `coefficients . y - bound`. At most 0 inside the
    /// set, and infinite where that is empty. For a label, the smallest margin. NaN where an
    /// output that matters is NaN: such outputs are neither safe nor a counterexample.
    pub fn worst(&self, outputs: &[f64]) -> f64 {
        // `f64::max` and `f64::min` would drop a NaN.
        let pick = |a: f64, b: f64, second: bool| if second || b.is_nan() { b } else { a };
        let conjunctions = self.unsafe_set.iter().map(|all| {
            let excesses = all.iter().map(|constraint| constraint.excess(outputs));
            excesses.fold(f64::NEG_INFINITY, |a, b| pick(a, b, b > a))
        });
        conjunctions.fold(f64::INFINITY, |a, b| pick(a, b, b < a))
    }
}

impl Rows {
    /// The number of functions.
    pub fn len(&self) -> usize {
        self.constants.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.constants.is_empty()
    }

    /// The functions at these positions.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Self {
        let row = |&p: &usize| &self.coefficients[p * self.outputs..(p + 1) * self.outputs];
        Self {
            outputs: self.outputs,
            coefficients: positions.iter().flat_map(row).copied().collect(),
            constants: positions.iter().map(|&p| self.constants[p]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn at_most(output: usize, bound: f64) -> Constraint {
        Constraint {
            coefficients: vec![(output, 1.0)],
            bound,
        }
    }

    #[test]
    fn one_violated_constraint_a_conjunction_proves() {
        // Unsafe: y0 <= 1 and y1 <= 2, or y1 <= 0.
        let unsafe_set = vec![
            vec![at_most(0, 1.0), at_most(1, 2.0)],
            vec![at_most(1, 0.0)],
        ];
        let property = Property::avoiding(2, unsafe_set).unwrap();
        let rows = property.rows();
        assert_eq!(rows.constants, [-1.0, -2.0, 0.0]);
        assert!(property.verified(&[1.0, -1.0, 1.0]));
        assert!(property.verified(&[-1.0, 1.0, 1.0]));
        assert!(!property.verified(&[1.0, 1.0, 0.0]));
        assert!(!property.verified(&[-1.0, -1.0, 1.0]));
        assert!(!property.verified(&[f64::NAN, f64::NAN, 1.0]));
        assert!(property.violated(&[1.0, 2.0]) && property.violated(&[9.0, -1.0]));
        assert!(!property.violated(&[1.0, 2.5]));
        assert!(property.worst(&[f64::NAN, 9.0]).is_nan());
        assert!(!property.violated(&[9.0, f64::NAN]));
        assert_eq!(rows.select(&[2]).coefficients, [0.0, 1.0]);
    }

    #[test]
    fn edges() {
        assert!(Property::avoiding(1, vec![]).unwrap().verified(&[]));
        assert!(!Property::avoiding(1, vec![vec![]]).unwrap().verified(&[]));
        let beyond = Property::avoiding(1, vec![vec![at_most(1, 0.0)]]);
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Argument);
        let infinite = Property::avoiding(2, vec![vec![at_most(1, f64::INFINITY)]]);
        assert_eq!(infinite.unwrap_err().kind(), ErrorKind::Argument);
        assert!(Property::label(2, 2).is_err());
    }
}
