//! The variables that a property file declares: `X_0`, `X_1`, .. for the inputs, `Y_0`, `Y_1`, ..
//! for the outputs.

use std::collections::HashSet;

use super::tokens::{Tokens, shortened};
use crate::error::Result;

/// An input or output, by its position in the network's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Variable {
    Input(usize),
    Output(usize),
}

/// The variables declared so far.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    declared: HashSet<Variable>,
}

impl Declarations {
    /// Adds a variable by its name.
    pub(super) fn add(&mut self, tokens: &Tokens<'_>, name: &str) -> Result<()> {
        let Some(variable) = variable(name) else {
            return Err(tokens.error(format_args!(
                "`{}` is no variable of VNN-LIB 1.0; inputs are X_0, X_1, .. and outputs Y_0, Y_1, ..",
                shortened(name)
            )));
        };
        if self.declared.insert(variable) {
            Ok(())
        } else {
            let name = shortened(name);
            Err(tokens.error(format_args!("`{name}` is declared twice")))
        }
    }

    /// The variable of this name, if it is declared.
    pub(super) fn find(&self, name: &str) -> Option<Variable> {
        variable(name).filter(|variable| self.declared.contains(variable))
    }

    /// The numbers of inputs and outputs, where each are numbered without a gap.
    pub(super) fn counts(&self, tokens: &Tokens<'_>) -> Result<[usize; 2]> {
        let mut counts = [0; 2];
        for variable in &self.declared {
            match variable {
                Variable::Input(_) => counts[0] += 1,
                Variable::Output(_) => counts[1] += 1,
            }
        }
        let letters = [('X', true), ('Y', false)];
        for ((letter, is_input), count) in letters.into_iter().zip(counts) {
            if count == 0 {
                return Err(tokens.error(format_args!("declares no variable {letter}_0")));
            }
            let make = |index| {
                if is_input {
                    Variable::Input(index)
                } else {
                    Variable::Output(index)
                }
            };
            // As many as there are, below that number and without one of them: a gap.
            if let Some(gap) = (0..count).find(|&index| !self.declared.contains(&make(index))) {
                return Err(tokens.error(format_args!(
                    "{letter}_{gap} is not declared, and {letter}s beyond it are"
                )));
            }
        }
        Ok(counts)
    }
}

fn variable(name: &str) -> Option<Variable> {
    let (letter, number) = name.split_once('_')?;
    let canonical = number == "0" || !number.starts_with(['0', '+', '-']);
    let index = number.parse().ok().filter(|_| canonical)?;
    match letter {
        "X" => Some(Variable::Input(index)),
        "Y" => Some(Variable::Output(index)),
        _ => None,
    }
}
