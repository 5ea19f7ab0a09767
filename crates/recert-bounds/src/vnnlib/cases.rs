//! From assertions to cases: boxes of inputs, each with the outputs that must not occur there.

use std::collections::{BTreeMap, HashMap};

use super::formula::{Atom, Formula, InputBound, Row};
use super::tokens::Tokens;
use crate::error::Result;
use crate::property::Constraint;

/// A box of inputs, and the conjunctions of output constraints that are unsafe in it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) lower: Vec<f64>,
    pub(super) upper: Vec<f64>,
    pub(super) unsafe_set: Vec<Vec<Constraint>>,
}

/// The most constraints that all cases may hold together, after disjunctions are multiplied.
const MOST_CONSTRAINTS: usize = 1 << 22;

/// The most bounds of inputs that all cases may hold together: 512 MiB.
const MOST_BOUNDS: usize = 1 << 26;

/// The constraints of one alternative.
#[derive(Debug, Clone, Default)]
struct Alternative<'a> {
    inputs: Vec<(usize, InputBound)>,
    rows: Vec<&'a Row>,
}

impl Alternative<'_> {
    fn len(&self) -> usize {
        // An alternative without constraints is one nevertheless.
        1 + self.inputs.len() + self.rows.len()
    }
}

/// The cases of a conjunction of assertions.
pub(super) fn of(assertions: &[Formula], inputs: usize, tokens: &Tokens<'_>) -> Result<Vec<Case>> {
    // What holds in every case is kept apart, so that disjunctions multiply as little as they can.
    let mut base = Alternative::default();
    let mut alternatives = vec![Alternative::default()];
    let mut pending: Vec<&Formula> = assertions.iter().rev().collect();
    while let Some(formula) = pending.pop() {
        match formula {
            Formula::And(parts) => pending.extend(parts.iter().rev()),
            Formula::Atom(Atom::Input { index, bound }) => base.inputs.push((*index, *bound)),
            Formula::Atom(Atom::Outputs(row)) => base.rows.push(row),
            Formula::Atom(Atom::Constant(true)) => {}
            Formula::Atom(Atom::Constant(false)) => alternatives.clear(),
            Formula::Or(_) => {
                let more = expanded(formula, tokens)?;
                alternatives = product(&alternatives, &more, tokens)?;
            }
        }
    }
    let (lower, upper) = base_box(&base, inputs, tokens)?;
    let mut cases: Vec<Case> = Vec::new();
    let mut positions: HashMap<Vec<(usize, [u64; 2])>, usize> = HashMap::new();
    let mut constraints = 0_usize;
    for alternative in &alternatives {
        let mut changed: BTreeMap<usize, [f64; 2]> = BTreeMap::new();
        for &(index, bound) in &alternative.inputs {
            let bounds = changed.entry(index).or_insert([lower[index], upper[index]]);
            tighten(bounds, bound);
        }
        if changed.values().any(|[l, u]| l > u) {
            continue;
        }
        if base.rows.is_empty() && alternative.rows.is_empty() {
            return Err(tokens.error(
                "an alternative asserts nothing about the outputs, so that every input would \
                 violate the property",
            ));
        }
        changed.retain(|&index, bounds| *bounds != [lower[index], upper[index]]);
        let key = changed
            .iter()
            .map(|(&i, bounds)| (i, bounds.map(f64::to_bits)));
        let position = *positions.entry(key.collect()).or_insert(cases.len());
        if position == cases.len() {
            if (cases.len() + 1).saturating_mul(2 * inputs) > MOST_BOUNDS {
                return Err(tokens.error("has too many different boxes of inputs to be held"));
            }
            let mut case = Case {
                lower: lower.clone(),
                upper: upper.clone(),
                unsafe_set: Vec::new(),
            };
            for (index, [l, u]) in changed {
                case.lower[index] = l;
                case.upper[index] = u;
            }
            cases.push(case);
        }
        let rows = base.rows.iter().chain(&alternative.rows);
        let conjunction: Vec<_> = rows.map(|row| constraint(row)).collect();
        constraints += conjunction.len();
        if constraints > MOST_CONSTRAINTS {
            return Err(too_many(tokens));
        }
        cases[position].unsafe_set.push(conjunction);
    }
    if cases.is_empty() {
        return Err(
            tokens.error("no input satisfies its assertions, so that there is nothing to verify")
        );
    }
    Ok(cases)
}

/// The bounds of inputs that hold in all cases, infinite where only the alternatives bound them, as
/// in VNN-COMP's files of several boxes.
fn base_box(
    base: &Alternative<'_>,
    inputs: usize,
    tokens: &Tokens<'_>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut bounds = vec![[f64::NEG_INFINITY, f64::INFINITY]; inputs];
    for &(index, bound) in &base.inputs {
        tighten(&mut bounds[index], bound);
    }
    match bounds.iter().position(|[l, u]| l > u) {
        Some(index) => {
            let [lower, upper] = bounds[index];
            Err(tokens.error(format_args!(
                "X_{index} has the lower bound {lower} above its upper bound {upper}"
            )))
        }
        None => Ok(bounds.into_iter().map(|[l, u]| (l, u)).unzip()),
    }
}

fn tighten([lower, upper]: &mut [f64; 2], bound: InputBound) {
    match bound {
        InputBound::Lower(x) => *lower = lower.max(x),
        InputBound::Upper(x) => *upper = upper.min(x),
    }
}

fn constraint(row: &Row) -> Constraint {
    Constraint {
        coefficients: row.coefficients.clone(),
        bound: row.bound,
    }
}

/// The alternatives of a formula. Formulas are nested no deeper than the reader allows.
fn expanded<'a>(formula: &'a Formula, tokens: &Tokens<'_>) -> Result<Vec<Alternative<'a>>> {
    let one = |inputs, rows| Ok(vec![Alternative { inputs, rows }]);
    match formula {
        Formula::Atom(Atom::Input { index, bound }) => one(vec![(*index, *bound)], vec![]),
        Formula::Atom(Atom::Outputs(row)) => one(vec![], vec![row]),
        Formula::Atom(Atom::Constant(true)) => one(vec![], vec![]),
        Formula::Atom(Atom::Constant(false)) => Ok(vec![]),
        Formula::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expanded(part, tokens)?);
            }
            Ok(all)
        }
        Formula::And(parts) => {
            let mut all = vec![Alternative::default()];
            for part in parts {
                match part {
                    // The common case: no copies.
                    Formula::Atom(Atom::Input { index, bound }) => {
                        for alternative in &mut all {
                            alternative.inputs.push((*index, *bound));
                        }
                    }
                    Formula::Atom(Atom::Outputs(row)) => {
                        for alternative in &mut all {
                            alternative.rows.push(row);
                        }
                    }
                    _ => all = product(&all, &expanded(part, tokens)?, tokens)?,
                }
            }
            Ok(all)
        }
    }
}

fn product<'a>(
    left: &[Alternative<'a>],
    right: &[Alternative<'a>],
    tokens: &Tokens<'_>,
) -> Result<Vec<Alternative<'a>>> {
    let sum = |all: &[Alternative<'_>]| all.iter().map(Alternative::len).sum::<usize>();
    let here = sum(left).saturating_mul(right.len());
    let there = sum(right).saturating_mul(left.len());
    if here.saturating_add(there) > MOST_CONSTRAINTS {
        return Err(too_many(tokens));
    }
    let mut all = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            let mut both = a.clone();
            both.inputs.extend(&b.inputs);
            both.rows.extend(&b.rows);
            all.push(both);
        }
    }
    Ok(all)
}

fn too_many(tokens: &Tokens<'_>) -> crate::Error {
    tokens.error(format_args!(
        "its disjunctions multiply to more than {MOST_CONSTRAINTS} constraints; split the file"
    ))
}
