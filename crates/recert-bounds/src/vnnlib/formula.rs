//! Assertions as formulas: conjunctions and disjunctions of linear constraints, one variable of
//! the input or any of the outputs in each.

use std::collections::BTreeMap;

use recert_num::directed::{div_down, div_up};

use super::decimal::Decimal;
use super::declarations::{Declarations, Variable};
use super::tokens::{Token, Tokens, shortened};
use crate::error::Result;

/// How deep parentheses may be nested. VNN-COMP's files need six.
const DEEPEST: usize = 64;

/// What an assertion states.
#[derive(Debug, Clone)]
pub(super) enum Formula {
    And(Vec<Formula>),
    Or(Vec<Formula>),
    Atom(Atom),
}

/// One linear constraint.
#[derive(Debug, Clone)]
pub(super) enum Atom {
    /// A bound of one input, no tighter than the file's.
    Input { index: usize, bound: InputBound },
    /// `coefficients . y <= bound`, implied by the file's constraint.
    Outputs(Row),
    /// A constraint without variables, which is true or false.
    Constant(bool),
}

/// A bound of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum InputBound {
    Lower(f64),
    Upper(f64),
}

/// `sum of coefficient * y_index <= bound`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) coefficients: Vec<(usize, f64)>,
    pub(super) bound: f64,
}

/// A linear expression.
#[derive(Debug, Default)]
struct Linear {
    constant: Option<Decimal>,
    terms: BTreeMap<Variable, Decimal>,
}

/// Reads one formula.
pub(super) fn read(tokens: &mut Tokens<'_>, declared: &Declarations) -> Result<Formula> {
    Reader { tokens, declared }.formula(0)
}

struct Reader<'r, 't> {
    tokens: &'r mut Tokens<'t>,
    declared: &'r Declarations,
}

impl Reader<'_, '_> {
    fn formula(&mut self, depth: usize) -> Result<Formula> {
        self.check_depth(depth)?;
        self.tokens.expect(Token::Open)?;
        let operator = self.tokens.word("`and`, `or`, `<=` or `>=`")?;
        match operator {
            "and" | "or" => {
                let mut parts = Vec::new();
                while self.tokens.peek() != Some(Token::Close) {
                    parts.push(self.formula(depth + 1)?);
                }
                self.tokens.expect(Token::Close)?;
                Ok(if operator == "and" {
                    Formula::And(parts)
                } else {
                    Formula::Or(parts)
                })
            }
            "<=" | ">=" | "=" => {
                let left = self.linear(depth + 1)?;
                let right = self.linear(depth + 1)?;
                self.tokens.expect(Token::Close)?;
                match operator {
                    "<=" => self.at_most_zero(&left, &right),
                    ">=" => self.at_most_zero(&right, &left),
                    _ => Ok(Formula::And(vec![
                        self.at_most_zero(&left, &right)?,
                        self.at_most_zero(&right, &left)?,
                    ])),
                }
            }
            "<" | ">" => Err(self.tokens.error(format_args!(
                "VNN-LIB 1.0 has no strict `{operator}`; write `{operator}=`"
            ))),
            other => Err(self.tokens.error(format_args!(
                "`{}` is no operator of formulas; those read are `and`, `or`, `<=`, `>=` and `=`",
                shortened(other)
            ))),
        }
    }

    /// The constraint `left - right <= 0`.
    fn at_most_zero(&self, left: &Linear, right: &Linear) -> Result<Formula> {
        let difference = self.sum(left, &self.scaled(right, Decimal::ONE.negate())?)?;
        let constant = difference.constant.unwrap_or(Decimal::ZERO);
        let terms: Vec<_> = difference
            .terms
            .into_iter()
            .filter(|(_, coefficient)| !coefficient.is_zero())
            .collect();
        let inputs = terms
            .iter()
            .filter(|(variable, _)| matches!(variable, Variable::Input(_)))
            .count();
        let atom = match terms.as_slice() {
            [] => Atom::Constant(constant.is_zero() || constant.is_negative()),
            [(Variable::Input(index), coefficient)] => Atom::Input {
                index: *index,
                bound: self.input_bound(*coefficient, constant)?,
            },
            _ if inputs == 0 => Atom::Outputs(self.row(&terms, constant)?),
            _ => {
                return Err(self.tokens.error(
                    "a constraint relates several inputs, or inputs and outputs; those read bound \
                     one input, or are linear in the outputs",
                ));
            }
        };
        Ok(Formula::Atom(atom))
    }

    /// The bound of `x` that `coefficient * x + constant <= 0` implies.
    fn input_bound(&self, coefficient: Decimal, constant: Decimal) -> Result<InputBound> {
        let upper = !coefficient.is_negative();
        let magnitude = if upper {
            coefficient
        } else {
            coefficient.negate()
        };
        // x <= -constant / magnitude, or x >= constant / magnitude.
        let numerator = if upper { constant.negate() } else { constant };
        let [down, up] = match magnitude.power_of_ten() {
            Some(exponent) => match numerator.shifted(exponent) {
                Some(quotient) => quotient.enclose(),
                None => return Err(self.too_long()),
            },
            None => quotient(numerator.enclose(), magnitude.enclose()),
        };
        Ok(if upper {
            InputBound::Upper(up)
        } else {
            InputBound::Lower(down)
        })
    }

    /// The row of `terms + constant <= 0`. Coefficients have to be exact: over outputs of any
    /// size, no rounding of them is on the safe side. Where they are no `f64`s as they stand,
    /// the row is multiplied by a power of ten that makes them integers.
    fn row(&self, terms: &[(Variable, Decimal)], constant: Decimal) -> Result<Row> {
        let bound = constant.negate();
        let as_they_stand = |coefficient: Decimal| {
            let [down, up] = coefficient.enclose();
            (down == up).then_some(down)
        };
        let place = |variable: Variable| match variable {
            Variable::Input(index) | Variable::Output(index) => index,
        };
        let with = |value: &dyn Fn(Decimal) -> Option<f64>| {
            terms
                .iter()
                .map(|&(variable, coefficient)| Some((place(variable), value(coefficient)?)))
                .collect::<Option<Vec<_>>>()
        };
        if let Some(coefficients) = with(&as_they_stand) {
            let bound = bound.enclose()[1];
            return Ok(Row {
                coefficients,
                bound,
            });
        }
        let exponents = terms.iter().map(|(_, coefficient)| coefficient.exponent());
        let exponent = exponents.min().unwrap_or(0);
        let coefficients = with(&|coefficient| coefficient.exact_units(exponent));
        match (coefficients, bound.shifted(exponent)) {
            (Some(coefficients), Some(bound)) => Ok(Row {
                coefficients,
                bound: bound.enclose()[1],
            }),
            _ => Err(self.too_long()),
        }
    }

    fn linear(&mut self, depth: usize) -> Result<Linear> {
        self.check_depth(depth)?;
        match self.tokens.next() {
            Some(Token::Word(word)) => self.leaf(word),
            Some(Token::Open) => {
                let operator = self.tokens.word("`+`, `-` or `*`")?;
                let mut result: Option<Linear> = None;
                let mut count = 0;
                while self.tokens.peek() != Some(Token::Close) {
                    let next = self.linear(depth + 1)?;
                    count += 1;
                    result = Some(match result {
                        None => next,
                        Some(before) => self.combine(operator, &before, &next)?,
                    });
                }
                self.tokens.expect(Token::Close)?;
                let Some(result) = result else {
                    let message = format!("`{}` has no operand", shortened(operator));
                    return Err(self.tokens.error(message));
                };
                match (operator, count) {
                    ("-", 1) => self.scaled(&result, Decimal::ONE.negate()),
                    ("+" | "-" | "*", _) => Ok(result),
                    _ => Err(self.no_such_operator(operator)),
                }
            }
            other => Err(self.tokens.unexpected(other, "a number, a variable or `(`")),
        }
    }

    fn combine(&self, operator: &str, left: &Linear, right: &Linear) -> Result<Linear> {
        match operator {
            "+" => self.sum(left, right),
            "-" => self.sum(left, &self.scaled(right, Decimal::ONE.negate())?),
            "*" if left.terms.is_empty() => {
                self.scaled(right, left.constant.unwrap_or(Decimal::ZERO))
            }
            "*" if right.terms.is_empty() => {
                self.scaled(left, right.constant.unwrap_or(Decimal::ZERO))
            }
            "*" => Err(self
                .tokens
                .error("a product of two variables is not linear")),
            _ => Err(self.no_such_operator(operator)),
        }
    }

    fn leaf(&self, word: &str) -> Result<Linear> {
        let mut result = Linear::default();
        if let Some(number) = Decimal::parse(word) {
            result.constant = Some(number);
        } else if let Some(variable) = self.declared.find(word) {
            result.terms.insert(variable, Decimal::ONE);
        } else if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
            return Err(self.tokens.error(format_args!(
                "`{}` is no decimal number of at most 38 digits",
                shortened(word)
            )));
        } else {
            let name = shortened(word);
            return Err(self.tokens.error(format_args!(
                "`{name}` is not declared; declare it above: (declare-const {name} Real)"
            )));
        }
        Ok(result)
    }

    fn sum(&self, left: &Linear, right: &Linear) -> Result<Linear> {
        let add = |a: Decimal, b: Decimal| a.add(b).ok_or_else(|| self.too_long());
        let zero = Decimal::ZERO;
        let mut sum = Linear {
            constant: Some(add(
                left.constant.unwrap_or(zero),
                right.constant.unwrap_or(zero),
            )?),
            terms: left.terms.clone(),
        };
        for (&variable, &coefficient) in &right.terms {
            let entry = sum.terms.entry(variable).or_insert(zero);
            *entry = add(*entry, coefficient)?;
        }
        Ok(sum)
    }

    fn scaled(&self, linear: &Linear, factor: Decimal) -> Result<Linear> {
        let multiply = |a: Decimal| a.multiply(factor).ok_or_else(|| self.too_long());
        Ok(Linear {
            constant: linear.constant.map(multiply).transpose()?,
            terms: linear
                .terms
                .iter()
                .map(|(&variable, &coefficient)| Ok((variable, multiply(coefficient)?)))
                .collect::<Result<_>>()?,
        })
    }

    fn check_depth(&self, depth: usize) -> Result<()> {
        if depth < DEEPEST {
            return Ok(());
        }
        let message = format!("parentheses are nested deeper than {DEEPEST}");
        Err(self.tokens.error(message))
    }

    fn too_long(&self) -> crate::Error {
        self.tokens.error(
            "the numbers of this constraint have more digits together than can be held exactly, 38 \
             (16 in coefficients of outputs); write shorter ones",
        )
    }

    fn no_such_operator(&self, operator: &str) -> crate::Error {
        self.tokens.error(format_args!(
            "`{}` is no operator of terms; those read are `+`, `-` and `*`",
            shortened(operator)
        ))
    }
}

/// Enclosure of the quotients of two intervals, of which the second is positive.
fn quotient(numerator: [f64; 2], denominator: [f64; 2]) -> [f64; 2] {
    let down = usize::from(numerator[0] >= 0.0);
    let up = usize::from(numerator[1] < 0.0);
    [
        div_down(numerator[0], denominator[down]),
        div_up(numerator[1], denominator[up]),
    ]
}
