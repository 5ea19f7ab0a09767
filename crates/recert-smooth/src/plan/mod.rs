//! Deciding where h's evaluations go, before any of them is made.
//!
//! Nothing here has to be right for a certificate to hold. What has to hold is
//! *what the decisions look at* (`SOUNDNESS.md`, section 4): on input i they see
//! the selection copies, f's codes, and how often h disagreed with f on *other*
//! inputs; never an answer of h on input i, never a label.
//!
//! - `rates`: how often h is likely to leave c, from the other inputs;
//! - `curve`: the radius expected of an input against the evaluations spent on
//!   it, for each [`Design`];
//! - `allocate`: a total spent where the next evaluation gains most;
//! - [`Study`]: all of it together, one [`Design`] an input.

mod allocate;
mod curve;
mod rates;
mod study;

pub use allocate::{Allocation, allocate, allocate_to_reach};
pub use curve::{Curve, Levels, Point, Subject};
pub use rates::Rates;
pub use study::{Choice, Forecast, Goal, Pilot, Study};

use recert_ledger::{Codes, INVALID};
use recert_noise::Stream;

use crate::bound::{CUT, StrataCodes};

/// Which copies of an input h runs on, and with it which bound is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Design {
    /// None: f's codes promise no certificate worth its price.
    Nothing,
    /// Fresh copies, that f never saw: h by itself.
    Fresh {
        /// How many.
        copies: u64,
    },
    /// The first copies, whatever f answered: for a certificate of both sides.
    Both {
        /// How many.
        pairs: u64,
    },
    /// The first copies that f answered with c.
    Loss {
        /// How many.
        pairs: u64,
    },
    /// The first copies that f decided for c, and the first undecided ones.
    Strata {
        /// How many decided copies.
        decided: u64,
        /// How many undecided copies.
        undecided: u64,
    },
}

/// Which of f's codes an input's decisions look at. Fixed before they are
/// looked at: a bound over strata must not be chosen by a finer code than its
/// strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// None: they look at the selection copies alone.
    Votes,
    /// Whether f answered c.
    Answered,
    /// Whether f decided for c, was undecided, or neither.
    Decided,
}

impl Design {
    /// Evaluations of h.
    pub fn cost(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Fresh { copies } => copies,
            Self::Both { pairs } | Self::Loss { pairs } => pairs,
            Self::Strata { decided, undecided } => decided + undecided,
        }
    }

    /// The same copies and more, or fewer, of each code.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |count: u64| (count as f64 * factor).ceil() as u64;
        match self {
            Self::Nothing => Self::Nothing,
            Self::Fresh { copies } => Self::Fresh {
                copies: scale(copies),
            },
            Self::Both { pairs } => Self::Both {
                pairs: scale(pairs),
            },
            Self::Loss { pairs } => Self::Loss {
                pairs: scale(pairs),
            },
            Self::Strata { decided, undecided } => Self::Strata {
                decided: scale(decided),
                undecided: scale(undecided),
            },
        }
    }

    /// The stream and the ascending numbers of the copies, from f's codes of
    /// class `class`; as many as there are, where the design asks for more, and
    /// no more fresh ones than there are cached.
    pub fn copies(self, f: &Codes, class: u16) -> (Stream, Vec<u32>) {
        let cached = 0..f.classes.len() as u32;
        let copies = match self {
            Self::Nothing => Vec::new(),
            Self::Fresh { copies } => {
                let copies = copies.min(u64::from(cached.end)) as u32;
                return (Stream::Fresh, (0..copies).collect());
            }
            Self::Both { pairs } => cached.take(pairs as usize).collect(),
            Self::Loss { pairs } => cached
                .filter(|&i| f.classes[i as usize] == class)
                .take(pairs as usize)
                .collect(),
            Self::Strata { decided, undecided } => {
                let mut left = [decided, undecided];
                cached
                    .filter(|&i| {
                        let stratum = match stratum(f, class, i as usize) {
                            Some(stratum) if left[stratum] > 0 => stratum,
                            _ => return false,
                        };
                        left[stratum] -= 1;
                        true
                    })
                    .collect()
            }
        };
        (Stream::Certify, copies)
    }
}

/// The stratum of a copy: 0 decided for c, 1 undecided, none otherwise.
pub(crate) fn stratum(f: &Codes, class: u16, copy: usize) -> Option<usize> {
    let undecided = f
        .margins
        .as_ref()
        .is_some_and(|margins| margins[copy] < CUT);
    if undecided {
        Some(1)
    } else {
        (f.classes[copy] == class && class != INVALID).then_some(0)
    }
}

/// How many copies of f are decided and undecided.
pub(crate) fn strata_codes(f: &Codes, class: u16) -> StrataCodes {
    let mut codes = StrataCodes {
        n: f.classes.len() as u64,
        ..StrataCodes::default()
    };
    for copy in 0..f.classes.len() {
        match stratum(f, class, copy) {
            Some(0) => codes.decided += 1,
            Some(_) => codes.undecided += 1,
            None => {}
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn designs_take_the_first_copies_of_their_codes() {
        let f = Codes {
            classes: vec![3, 3, 5, 3, INVALID, 3, 3],
            margins: Some(vec![7, 1, 0, 2, 0, 6, 1]),
        };
        let codes = strata_codes(&f, 3);
        assert_eq!((codes.n, codes.decided, codes.undecided), (7, 3, 4));
        let copies = |design: Design| design.copies(&f, 3).1;
        assert_eq!(copies(Design::Loss { pairs: 3 }), [0, 1, 3]);
        assert_eq!(copies(Design::Loss { pairs: 99 }), [0, 1, 3, 5, 6]);
        let strata = Design::Strata {
            decided: 2,
            undecided: 2,
        };
        assert_eq!(copies(strata), [0, 1, 2, 3]);
        assert_eq!(copies(Design::Fresh { copies: 2 }), [0, 1]);
        assert!(copies(Design::Nothing).is_empty());
    }
}
