//! Property files: VNN-LIB 1.0, as the Verification of Neural Networks Competition uses it.
//!
//! A file declares inputs `X_0`, `X_1`, .. (flat, in the network's own order: `[c, h, w]` for an
//! image) and outputs `Y_0`, `Y_1`, .., and asserts what a *violation* looks like: bounds of
//! every input, and linear constraints on the outputs, with `and`, `or`, `<=`, `>=`, `=`, and
//! terms of `+`, `-` and `*` by constants. The property holds where no input satisfies all
//! assertions. An `or` over inputs makes several boxes, each a [`Query`] of its own; the
//! property holds where every query is verified.
//!
//! Decimal numbers are read exactly. A bound that is no `f64` is rounded so that the box, and
//! the set of unsafe outputs, only grow: what is verified of the query holds for the file. (A
//! counterexample is one for the file where it satisfies the file's own bounds; it may miss
//! them by one unit in the last place of an `f64`.) Factors of outputs have to be
//! `f64`s or become integers by a power of ten, because no rounding of them is on the safe side.
//!
//! ```
//! use recert_bounds::vnnlib;
//!
//! let text = "
//!     (declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
//!     (assert (and (>= X_0 0.1) (<= X_0 0.75)))
//!     (assert (or (<= Y_0 Y_1) (>= Y_1 3)))
//! ";
//! let queries = vnnlib::parse(text)?;
//! assert_eq!(queries.len(), 1);
//! let (lower, upper) = queries[0].region.bounding_box();
//! assert!(lower[0] <= 0.1 && upper[0] == 0.75);
//! // Unsafe: y0 - y1 <= 0, or -y1 <= -3.
//! assert!(queries[0].property.violated(&[0.0, 1.0]));
//! assert!(!queries[0].property.violated(&[2.0, 1.0]));
//! # Ok::<(), recert_bounds::Error>(())
//! ```
//!
//! Source: Demarchi, Guidotti, Pulina and Tacchella, "Supporting standardization of neural networks
//! verification with VNN-LIB and `CoCoNet`", `FoMLAS` 2023, and the competition's rules.

mod cases;
mod decimal;
mod declarations;
mod file;
mod formula;
mod instances;
mod tokens;

use std::path::Path;

pub use file::read_bytes;
pub use instances::{Instance, instances};

use self::declarations::Declarations;
use self::tokens::{Token, Tokens, shortened};
use crate::error::{Error, Result};
use crate::property::Property;
use crate::region::Region;

/// A box of inputs, and what must hold of the outputs there.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// The box; no smaller than the file's.
    pub region: Region,
    /// What must hold; nothing weaker than the file's.
    pub property: Property,
}

/// Reads a property file, plain or in gzip.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be read; otherwise as [`parse`], with
/// the file's name before the line.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Query>> {
    let path = path.as_ref();
    let text = file::text(path)?;
    parse(&text).map_err(|error| error.at(path.display()))
}

/// Reads the text of a property file.
///
/// # Errors
///
/// [`ErrorKind::Syntax`](crate::ErrorKind::Syntax), with the line, where the text is no VNN-LIB
/// 1.0, relates inputs to each other or to outputs, leaves an input without a bound, or
/// has more alternatives than can be held.
pub fn parse(text: &str) -> Result<Vec<Query>> {
    let mut tokens = Tokens::new(text);
    let mut declared = Declarations::default();
    let mut assertions = Vec::new();
    while let Some(token) = tokens.next() {
        if token != Token::Open {
            return Err(tokens.unexpected(Some(token), "`(`"));
        }
        match tokens.word("a command")? {
            "declare-const" => {
                let name = tokens.word("a variable's name")?;
                declared.add(&tokens, name)?;
                real(&mut tokens)?;
            }
            "declare-fun" => {
                let name = tokens.word("a variable's name")?;
                declared.add(&tokens, name)?;
                tokens.expect(Token::Open)?;
                tokens.expect(Token::Close)?;
                real(&mut tokens)?;
            }
            "assert" => {
                assertions.push(formula::read(&mut tokens, &declared)?);
                tokens.expect(Token::Close)?;
            }
            // SMT-LIB's, which change nothing.
            "set-logic" | "set-info" | "set-option" | "check-sat" | "get-model" | "exit" => {
                while !matches!(tokens.peek(), Some(Token::Close) | None) {
                    tokens.next();
                }
                tokens.expect(Token::Close)?;
            }
            "vnnlib-version" | "declare-network" => {
                return Err(tokens.error(
                    "is VNN-LIB 2; version 1.0 is read, which most benchmarks offer beside it",
                ));
            }
            other => {
                return Err(tokens.error(format_args!(
                    "`{}` is no command of VNN-LIB 1.0",
                    shortened(other)
                )));
            }
        }
    }
    queries(&assertions, &declared, &tokens)
}

fn real(tokens: &mut Tokens<'_>) -> Result<()> {
    match tokens.word("`Real`")? {
        "Real" => tokens.expect(Token::Close),
        other => Err(tokens.unexpected(Some(Token::Word(other)), "`Real`")),
    }
}

fn queries(
    assertions: &[formula::Formula],
    declared: &Declarations,
    tokens: &Tokens<'_>,
) -> Result<Vec<Query>> {
    let [inputs, outputs] = declared.counts(tokens)?;
    let cases = cases::of(assertions, inputs, tokens)?;
    let query = |case: cases::Case| {
        for (bounds, name) in [(&case.lower, "lower"), (&case.upper, "upper")] {
            if let Some(index) = bounds.iter().position(|bound| !bound.is_finite()) {
                return Err(tokens.error(format_args!("X_{index} has no finite {name} bound")));
            }
        }
        Ok(Query {
            region: Region::Box {
                lower: case.lower,
                upper: case.upper,
            },
            property: Property::avoiding(outputs, case.unsafe_set)
                .map_err(|error: Error| tokens.error(error))?,
        })
    };
    cases.into_iter().map(query).collect()
}

#[cfg(test)]
mod tests;
