//! What comparing an engine with the reference interpreter found.

use std::fmt;

/// What comparing an engine with the reference interpreter found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Comparison {
    /// Both answered the same samples, and rounding explains all differences.
    Held(Held),
    /// The two could not be compared.
    NotCompared {
        /// Why not, in words.
        why: String,
    },
}

/// By how much an engine and the reference interpreter differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The number of samples that both answered.
    pub samples: usize,
    /// The samples for which the class differs: near ties.
    pub other_class: usize,
    /// The largest difference of a score. 0 where the network answers with classes alone.
    pub difference: f64,
    /// The largest difference that rounding explains, in the same units.
    pub allowed: f64,
    /// The largest score by the interpreter, in the same units.
    pub largest: f64,
    /// Whether it is explained only if the engine keeps the file's 16-bit numbers in more
    /// bits.
    pub wider: bool,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            samples,
            other_class,
            difference,
            allowed,
            largest,
            wider,
        } = self;
        write!(
            f,
            "{samples} samples agree with the reference interpreter: largest difference \
             {difference:.1e} of scores up to {largest:.3}, {allowed:.1e} allowed"
        )?;
        if *other_class > 0 {
            write!(f, ", another class on {other_class} near ties")?;
        }
        if *wider {
            f.write_str("; 16-bit numbers of the file are kept in more bits")?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(held) => held.fmt(f),
            Self::NotCompared { why } => {
                write!(f, "not compared with the reference interpreter: {why}")
            }
        }
    }
}
