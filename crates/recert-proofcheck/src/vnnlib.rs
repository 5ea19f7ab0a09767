//! VNN-LIB files as the checker reads them: boxes of inputs, and the outputs that must not occur
//! there.
//!
//! A file declares inputs `X_0`, `X_1`, .. and outputs `Y_0`, `Y_1`, .., and asserts what a
//! violation looks like. It holds where no input satisfies all assertions. Every alternative of the
//! assertions is a box of inputs with a conjunction of linear constraints on the outputs; those of
//! one box make a [`Query`]. Numbers are exact decimals; a bound that is no double is moved outward,
//! so that boxes and what must not occur only grow. Factors of outputs have to be doubles, or become
//! whole numbers by a power of ten.

mod decimal;
mod formula;
mod text;

use std::collections::{BTreeMap, HashMap};

use formula::{Atom, Formula};

use crate::Region;

/// `sum of factor * output <= bound`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constraint {
    /// Outputs with their factors, ascending.
    pub(crate) factors: Vec<(usize, f64)>,
    /// Rounded up, where it is no double.
    pub(crate) bound: f64,
}

/// Conjunctions of constraints, none of which may hold for any input of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub(crate) outputs: usize,
    pub(crate) unsafe_set: Vec<Vec<Constraint>>,
}

/// A box of inputs, and what must not occur there.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The inputs.
    pub region: Region,
    /// What must not occur.
    pub property: Property,
}

impl Property {
    /// That one class has a larger output than every other: a constraint for each of these, in
    /// their order. `None` where there is no such class.
    pub fn class(outputs: usize, class: usize) -> Option<Self> {
        if class >= outputs {
            return None;
        }
        let others = (0..outputs).filter(|&other| other != class);
        let unsafe_set = others.map(|other| {
            let mut factors = vec![(class, 1.0), (other, -1.0)];
            factors.sort_by_key(|&(output, _)| output);
            vec![Constraint {
                factors,
                bound: 0.0,
            }]
        });
        Some(Self {
            outputs,
            unsafe_set: unsafe_set.collect(),
        })
    }

    /// The number of constraints, of all conjunctions together.
    pub(crate) fn rows(&self) -> usize {
        self.unsafe_set.iter().map(Vec::len).sum()
    }

    /// The constraints, conjunction by conjunction.
    pub(crate) fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.unsafe_set.iter().flatten()
    }

    /// How far outputs are from what must not occur, in f64: the least over the conjunctions of
    /// their largest excess. At most 0 where it occurs; NaN where an output is.
    ///
    /// ```
    /// use recert_proofcheck::read_vnnlib;
    ///
    /// let text = "(declare-const X_0 Real) (declare-const Y_0 Real)
    ///     (assert (>= X_0 0)) (assert (<= X_0 1)) (assert (<= Y_0 0.5))";
    /// let queries = read_vnnlib(text)?;
    /// assert_eq!(queries[0].property.excess(&[0.75]), 0.25);
    /// # Ok::<(), String>(())
    /// ```
    pub fn excess(&self, outputs: &[f64]) -> f64 {
        if outputs.iter().any(|output| output.is_nan()) {
            return f64::NAN;
        }
        let excess = |constraint: &Constraint| {
            let terms = constraint.factors.iter().map(|&(i, a)| a * outputs[i]);
            terms.sum::<f64>() - constraint.bound
        };
        let largest =
            |all: &Vec<Constraint>| all.iter().map(excess).fold(f64::NEG_INFINITY, f64::max);
        self.unsafe_set
            .iter()
            .map(largest)
            .fold(f64::INFINITY, f64::min)
    }
}

impl Query {
    /// The numbers of inputs and outputs.
    pub fn sizes(&self) -> [usize; 2] {
        [self.region.len(), self.property.outputs]
    }

    /// The same with the inputs in another order: input i is the one that was at `order[i]`.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        Self {
            region: self.region.reordered(order),
            property: self.property.clone(),
        }
    }
}

/// The most constraints, and the most bounds of inputs, of all alternatives together.
const MOST: usize = 1 << 22;

/// One alternative of the assertions.
#[derive(Debug, Clone, Default)]
struct Alternative<'a> {
    inputs: Vec<(usize, &'a formula::Bound)>,
    rows: Vec<&'a Constraint>,
}

/// Bounds of one input: outward, and to nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ends {
    outward: [f64; 2],
    nearest: [f64; 2],
}

/// Reads the text of a file.
///
/// # Errors
/// What is not read here, in words.
///
/// ```
/// use recert_proofcheck::read_vnnlib;
///
/// let text = "(declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
///     (assert (and (>= X_0 0.1) (<= X_0 0.75)))
///     (assert (or (<= Y_0 Y_1) (>= Y_1 3)))";
/// assert_eq!(read_vnnlib(text)?.len(), 1);
/// assert!(read_vnnlib("(assert (< X_0 1))").is_err());
/// # Ok::<(), String>(())
/// ```
pub fn read_vnnlib(text: &str) -> Result<Vec<Query>, String> {
    let ([inputs, outputs], assertions) = formula::file(text)?;
    // What holds in every alternative comes first.
    let mut base = Alternative::default();
    let mut alternatives = vec![Alternative::default()];
    let mut pending: Vec<&Formula> = assertions.iter().rev().collect();
    while let Some(formula) = pending.pop() {
        match formula {
            Formula::And(parts) => pending.extend(parts.iter().rev()),
            Formula::Or(_) => alternatives = product(&alternatives, &expanded(formula)?)?,
            Formula::Atom(Atom::Never) => alternatives.clear(),
            Formula::Atom(Atom::Always) => {}
            Formula::Atom(Atom::Input(index, bound)) => base.inputs.push((*index, bound)),
            Formula::Atom(Atom::Outputs(row)) => base.rows.push(row),
        }
    }
    let open = Ends {
        outward: [f64::NEG_INFINITY, f64::INFINITY],
        nearest: [f64::NEG_INFINITY, f64::INFINITY],
    };
    let mut whole = vec![open; inputs];
    for (index, bound) in &base.inputs {
        whole[*index].tighten(bound);
    }
    let mut found: Vec<(Vec<Ends>, Vec<Vec<Constraint>>)> = Vec::new();
    let mut places: HashMap<Vec<(usize, [u64; 2])>, usize> = HashMap::new();
    for alternative in &alternatives {
        let mut changed: BTreeMap<usize, Ends> = BTreeMap::new();
        for (index, bound) in &alternative.inputs {
            changed
                .entry(*index)
                .or_insert(whole[*index])
                .tighten(bound);
        }
        if changed.values().chain(&whole).any(Ends::is_empty) {
            continue;
        }
        changed.retain(|&index, ends| *ends != whole[index]);
        let key = changed
            .iter()
            .map(|(&i, ends)| (i, ends.outward.map(f64::to_bits)));
        let place = *places.entry(key.collect()).or_insert(found.len());
        if place == found.len() {
            if (found.len() + 1).saturating_mul(inputs) > MOST {
                return Err("it has too many boxes of inputs".into());
            }
            let mut ends = whole.clone();
            for (index, changed) in changed {
                ends[index] = changed;
            }
            found.push((ends, Vec::new()));
        }
        let rows = base.rows.iter().chain(&alternative.rows);
        let conjunction: Vec<Constraint> = rows.map(|row| (*row).clone()).collect();
        if conjunction.is_empty() {
            return Err("an alternative asserts nothing about the outputs".into());
        }
        found[place].1.push(conjunction);
    }
    if found.is_empty() {
        return Err("no input satisfies its assertions".into());
    }
    let queries = found.into_iter().map(|(ends, unsafe_set)| {
        if let Some(index) = ends.iter().position(|ends| !ends.is_finite()) {
            return Err(format!("X_{index} has no lower or no upper bound"));
        }
        let outward = ends.iter().map(|ends| ends.outward);
        let nearest = ends.iter().map(|ends| ends.nearest);
        Ok(Query {
            region: Region::cuboid(&outward.collect::<Vec<_>>(), nearest.collect()),
            property: Property {
                outputs,
                unsafe_set,
            },
        })
    });
    queries.collect()
}

impl Ends {
    fn tighten(&mut self, bound: &formula::Bound) {
        if bound.is_upper {
            self.outward[1] = self.outward[1].min(bound.outward);
            self.nearest[1] = self.nearest[1].min(bound.nearest);
        } else {
            self.outward[0] = self.outward[0].max(bound.outward);
            self.nearest[0] = self.nearest[0].max(bound.nearest);
        }
    }

    fn is_empty(&self) -> bool {
        self.outward[0] > self.outward[1]
    }

    fn is_finite(&self) -> bool {
        self.outward
            .iter()
            .chain(&self.nearest)
            .all(|end| end.is_finite())
    }
}

/// The alternatives of a formula, whose depth its reader bounds.
fn expanded(formula: &Formula) -> Result<Vec<Alternative<'_>>, String> {
    match formula {
        Formula::Atom(Atom::Never) => Ok(Vec::new()),
        Formula::Atom(Atom::Always) => Ok(vec![Alternative::default()]),
        Formula::Atom(Atom::Input(index, bound)) => Ok(vec![Alternative {
            inputs: vec![(*index, bound)],
            rows: Vec::new(),
        }]),
        Formula::Atom(Atom::Outputs(row)) => Ok(vec![Alternative {
            inputs: Vec::new(),
            rows: vec![row],
        }]),
        Formula::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expanded(part)?);
            }
            Ok(all)
        }
        Formula::And(parts) => {
            let mut all = vec![Alternative::default()];
            for part in parts {
                // Bounds of inputs come by the thousand, and need no copies.
                match part {
                    Formula::Atom(Atom::Input(index, bound)) => {
                        let each = all.iter_mut();
                        each.for_each(|one: &mut Alternative<'_>| one.inputs.push((*index, bound)));
                    }
                    _ => all = product(&all, &expanded(part)?)?,
                }
            }
            Ok(all)
        }
    }
}

fn product<'a>(
    left: &[Alternative<'a>],
    right: &[Alternative<'a>],
) -> Result<Vec<Alternative<'a>>, String> {
    let size = |all: &[Alternative<'_>]| -> usize {
        all.iter()
            .map(|one| 1 + one.inputs.len() + one.rows.len())
            .sum()
    };
    let here = size(left).saturating_mul(right.len());
    let there = size(right).saturating_mul(left.len());
    if here.saturating_add(there) > MOST {
        return Err("its alternatives multiply to too many constraints".into());
    }
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
    let both = pairs.map(|(a, b)| Alternative {
        inputs: a.inputs.iter().chain(&b.inputs).copied().collect(),
        rows: a.rows.iter().chain(&b.rows).copied().collect(),
    });
    Ok(both.collect())
}
