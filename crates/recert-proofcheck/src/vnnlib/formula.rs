//! Declarations and assertions: conjunctions and disjunctions of linear constraints, each on one
//! input or on outputs.

use std::collections::{BTreeMap, BTreeSet};

use recert_num::directed::{div_down, div_up};

use super::Constraint;
use super::decimal::Decimal;
use super::text::{Node, nodes};

#[derive(Debug)]
pub(super) enum Formula {
    And(Vec<Formula>),
    Or(Vec<Formula>),
    Atom(Atom),
}

#[derive(Debug)]
pub(super) enum Atom {
    Input(usize, Bound),
    Outputs(Constraint),
    Always,
    Never,
}

/// A bound of one input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) is_upper: bool,
    /// No tighter than the file's.
    pub(super) outward: f64,
    pub(super) nearest: f64,
}

/// An input or an output, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Variable {
    Input(usize),
    Output(usize),
}

/// A linear expression.
#[derive(Debug, Clone)]
struct Linear {
    constant: Decimal,
    terms: BTreeMap<Variable, Decimal>,
}

/// The numbers of inputs and outputs, and the assertions.
pub(super) fn file(text: &str) -> Result<([usize; 2], Vec<Formula>), String> {
    let mut declared = BTreeSet::new();
    let mut assertions = Vec::new();
    for command in nodes(text)? {
        let Node::List(parts) = command else {
            return Err("a word is outside of parentheses".into());
        };
        match &parts[..] {
            [
                Node::Word("declare-const"),
                Node::Word(name),
                Node::Word("Real"),
            ] => {
                declared.insert(variable(name)?);
            }
            [
                Node::Word("declare-fun"),
                Node::Word(name),
                Node::List(none),
                Node::Word("Real"),
            ] if none.is_empty() => {
                declared.insert(variable(name)?);
            }
            [Node::Word("assert"), formula] => assertions.push(read(formula)?),
            [
                Node::Word(
                    "set-logic" | "set-info" | "set-option" | "check-sat" | "get-model" | "exit",
                ),
                ..,
            ] => {}
            _ => return Err("a command is none of VNN-LIB 1.0".into()),
        }
    }
    let inputs = declared.iter().filter(|v| matches!(v, Variable::Input(_)));
    let inputs = inputs.count();
    let outputs = declared.len() - inputs;
    let expected = (0..inputs).map(Variable::Input);
    let expected = expected.chain((0..outputs).map(Variable::Output));
    if inputs == 0 || outputs == 0 || !declared.iter().copied().eq(expected) {
        return Err("its inputs or outputs are not numbered from 0 on".into());
    }
    for formula in &assertions {
        within(formula, [inputs, outputs])?;
    }
    Ok(([inputs, outputs], assertions))
}

/// Fails where a formula has variables that are not declared.
fn within(formula: &Formula, [inputs, outputs]: [usize; 2]) -> Result<(), String> {
    let fits = match formula {
        Formula::And(parts) | Formula::Or(parts) => {
            let mut parts = parts.iter();
            return parts.try_for_each(|part| within(part, [inputs, outputs]));
        }
        Formula::Atom(Atom::Input(index, _)) => *index < inputs,
        Formula::Atom(Atom::Outputs(row)) => row.factors.iter().all(|(i, _)| *i < outputs),
        Formula::Atom(_) => true,
    };
    fits.then_some(())
        .ok_or_else(|| "a variable is not declared".into())
}

fn variable(name: &str) -> Result<Variable, String> {
    let index = |digits: &str| {
        let index: Option<usize> = digits.parse().ok();
        index.filter(|index| index.to_string() == digits)
    };
    let found = match name.split_once('_') {
        Some(("X", digits)) => index(digits).map(Variable::Input),
        Some(("Y", digits)) => index(digits).map(Variable::Output),
        _ => None,
    };
    found.ok_or_else(|| "a name is no variable, X_0, .. or Y_0, ..".into())
}

fn read(node: &Node<'_>) -> Result<Formula, String> {
    let Node::List(parts) = node else {
        return Err("a word is no formula".into());
    };
    match &parts[..] {
        [Node::Word("and"), parts @ ..] => {
            let parts = parts.iter().map(read);
            Ok(Formula::And(parts.collect::<Result<_, _>>()?))
        }
        [Node::Word("or"), parts @ ..] => {
            let parts = parts.iter().map(read);
            Ok(Formula::Or(parts.collect::<Result<_, _>>()?))
        }
        [Node::Word(relation @ ("<=" | ">=" | "=")), left, right] => {
            let difference = linear(left)?.plus(&linear(right)?.times(Decimal::ONE.negated())?)?;
            let at_most = |linear: &Linear| atom(linear).map(Formula::Atom);
            Ok(match *relation {
                "<=" => at_most(&difference)?,
                ">=" => at_most(&difference.times(Decimal::ONE.negated())?)?,
                _ => {
                    let other = difference.times(Decimal::ONE.negated())?;
                    Formula::And(vec![at_most(&difference)?, at_most(&other)?])
                }
            })
        }
        _ => Err("a formula is none of `and`, `or`, `<=`, `>=` and `=`".into()),
    }
}

/// The constraint that an expression is at most 0.
fn atom(linear: &Linear) -> Result<Atom, String> {
    let constant = linear.constant;
    let terms: Vec<(Variable, Decimal)> = (linear.terms.iter())
        .filter(|(_, factor)| !factor.is_zero())
        .map(|(&variable, &factor)| (variable, factor))
        .collect();
    match terms[..] {
        [] if constant.is_zero() || constant.is_negative() => Ok(Atom::Always),
        [] => Ok(Atom::Never),
        [(Variable::Input(index), factor)] => Ok(Atom::Input(index, bound(factor, constant)?)),
        _ => {
            let outputs = terms.iter().map(|&(variable, factor)| match variable {
                Variable::Output(index) => Some((index, factor)),
                Variable::Input(_) => None,
            });
            let outputs: Option<Vec<_>> = outputs.collect();
            let outputs =
                outputs.ok_or("a constraint relates an input to other inputs or to outputs")?;
            row(&outputs, constant.negated()).map(Atom::Outputs)
        }
    }
}

/// The bound of x by `factor x + constant <= 0`.
fn bound(factor: Decimal, constant: Decimal) -> Result<Bound, String> {
    let is_upper = !factor.is_negative();
    // x <= -constant / factor, or x >= constant / -factor.
    let (number, size) = if is_upper {
        (constant.negated(), factor)
    } else {
        (constant, factor.negated())
    };
    let ends = if size == Decimal::ONE {
        number.around()
    } else {
        let ([low, high], [least, most]) = (number.around(), size.around());
        // The divisor is above 0.
        let down = div_down(low, if low >= 0.0 { most } else { least });
        let up = div_up(high, if high >= 0.0 { least } else { most });
        [down, up]
    };
    let outward = ends[usize::from(is_upper)];
    let nearest = if size == Decimal::ONE {
        number.nearest()
    } else {
        number.nearest() / size.nearest()
    };
    if outward.is_finite() && nearest.is_finite() {
        Ok(Bound {
            is_upper,
            outward,
            nearest,
        })
    } else {
        Err("a bound of an input is too large".into())
    }
}

/// `factors . y <= bound`. Factors have to be exact: outputs are of any size.
fn row(factors: &[(usize, Decimal)], bound: Decimal) -> Result<Constraint, String> {
    let all = |value: &dyn Fn(Decimal) -> Option<f64>| {
        let factors = factors.iter().map(|&(i, factor)| Some((i, value(factor)?)));
        factors.collect::<Option<Vec<_>>>()
    };
    let exponent = factors.iter().map(|(_, factor)| factor.exponent()).min();
    let exponent = exponent.unwrap_or(0);
    let found = match all(&Decimal::exact) {
        Some(factors) => Some((factors, bound)),
        None => all(&|factor| factor.whole(exponent)).zip(bound.shifted(exponent)),
    };
    let found = found.map(|(factors, bound)| Constraint {
        factors,
        bound: bound.around()[1],
    });
    found
        .filter(|row| row.bound.is_finite())
        .ok_or_else(|| "the factors of a constraint have too many digits".into())
}

fn linear(node: &Node<'_>) -> Result<Linear, String> {
    let parts = match node {
        Node::Word(word) => {
            return match Decimal::parse(word) {
                Some(constant) => Ok(Linear {
                    constant,
                    terms: BTreeMap::new(),
                }),
                None => Ok(Linear {
                    constant: Decimal::ZERO,
                    terms: BTreeMap::from([(variable(word)?, Decimal::ONE)]),
                }),
            };
        }
        Node::List(parts) => parts,
    };
    let (Some(Node::Word(operator)), Some(first)) = (parts.first(), parts.get(1)) else {
        return Err("an expression has no operator or no operand".into());
    };
    let mut result = linear(first)?;
    let minus = Decimal::ONE.negated();
    if *operator == "-" && parts.len() == 2 {
        return result.times(minus);
    }
    for next in &parts[2..] {
        let next = linear(next)?;
        result = match *operator {
            "+" => result.plus(&next)?,
            "-" => result.plus(&next.times(minus)?)?,
            "*" if result.terms.is_empty() => next.times(result.constant)?,
            "*" if next.terms.is_empty() => result.times(next.constant)?,
            "*" => return Err("a product of two variables is not linear".into()),
            _ => return Err("an operator is none of `+`, `-` and `*`".into()),
        };
    }
    match *operator {
        "+" | "-" | "*" => Ok(result),
        _ => Err("an operator is none of `+`, `-` and `*`".into()),
    }
}

impl Linear {
    fn plus(&self, other: &Self) -> Result<Self, String> {
        let mut sum = self.clone();
        sum.constant = sum.constant.plus(other.constant).ok_or_else(too_long)?;
        for (&variable, &factor) in &other.terms {
            let before = sum.terms.entry(variable).or_insert(Decimal::ZERO);
            *before = before.plus(factor).ok_or_else(too_long)?;
        }
        Ok(sum)
    }

    fn times(&self, by: Decimal) -> Result<Self, String> {
        let times = |factor: Decimal| factor.times(by).ok_or_else(too_long);
        let terms = self.terms.iter();
        let terms = terms.map(|(&variable, &factor)| Ok((variable, times(factor)?)));
        Ok(Self {
            constant: times(self.constant)?,
            terms: terms.collect::<Result<_, String>>()?,
        })
    }
}

fn too_long() -> String {
    "the numbers of a constraint have too many digits".into()
}
