//! Claims as the checker has them: a method with its shares of alpha.

pub(crate) mod asked;
mod due;
pub(crate) mod read;

use std::cell::Cell;
use std::collections::BTreeMap;

/// One in so many of f's samples is early: looked at before anything is decided,
/// and never run on.
const EARLY: u64 = 32;

/// What certificates claim, made again.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) network: i64,
    pub(crate) method_name: String,
    pub(crate) samples: u64,
    pub(crate) alpha: f64,
    pub(crate) method: Method,
    /// Inputs that there may be certificates for, where the claim states it.
    pub(crate) most: Option<u64>,
    /// Certificates seen.
    pub(crate) certificates: Cell<u64>,
}

/// A method with its shares of alpha.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// From scratch on the network's own samples, at what is left of alpha.
    Scratch { level: f64, two_sided: bool },
    /// The smoothed classifier's class.
    Predict { level: f64 },
    /// From the first samples of f and h, by pairs.
    Pairs { kind: Pairs, shares: Vec<f64> },
    /// On samples that f's codes choose.
    Auto {
        shares: Shares,
        /// Whether the number of samples may depend on what h answered.
        anytime: bool,
        /// Whether certificates from both sides are asked for.
        both: bool,
    },
    /// From scratch, stopped freely.
    Until { level: f64 },
}

/// What `auto` makes of alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// For a statement about f's codes.
    pub(crate) f: f64,
    /// For one about h beside it.
    pub(crate) h: f64,
    /// For a single statement.
    pub(crate) whole: f64,
}

/// Which bound from pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pairs {
    /// Two bounds that hold at once, in an order that gamma decides.
    Irs { gamma: f64 },
    /// f's probability less the disagreement.
    Zeta,
    /// f's probability less what h loses.
    Loss,
    /// The same and what h gains.
    Paired,
}

impl Pairs {
    /// The shares by name, and the weights that alpha is divided by.
    pub(crate) fn shares(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Irs { .. } => &[("alpha_f", 2.0), ("alpha_zeta", 9.0), ("alpha_direct", 9.0)],
            Self::Zeta => &[("alpha_f", 1.0), ("alpha_zeta", 9.0)],
            Self::Loss => &[("alpha_f", 1.0), ("alpha_loss", 9.0)],
            Self::Paired => &[("alpha_f", 2.0), ("alpha_loss", 9.0), ("alpha_gain", 9.0)],
        }
    }
}

/// The claims by number, but for those that are not what they should be.
pub(crate) type Claims = BTreeMap<i64, Claim>;

impl Claim {
    /// Whether its bounds start from laws that the checker takes as recorded.
    pub(crate) fn has_priors(&self) -> bool {
        matches!(self.method, Method::Auto { .. })
    }

    /// Counts a certificate; whether there are now more than there may be.
    pub(crate) fn count(&self) -> bool {
        let count = self.certificates.get() + 1;
        self.certificates.set(count);
        self.most == Some(count - 1)
    }
}

/// How many of `n` samples of f are early.
pub(crate) fn early(n: u64) -> u64 {
    n / EARLY
}
