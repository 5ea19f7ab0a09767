//! Claims as the checker derives them: a method with its shares of alpha.

mod expected;
pub(crate) mod read;
pub(crate) mod requested;

use std::cell::RefCell;
use std::collections::BTreeMap;

/// One in this many of f's samples is early: decisions look at f's answer on it first, and h
/// never runs on it.
const EARLY: u64 = 32;

/// A claim, derived again.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) network: i64,
    pub(crate) method_name: String,
    pub(crate) samples: u64,
    pub(crate) alpha: f64,
    pub(crate) method: Method,
    /// The most certificates that there may be by this claim, where it states that.
    pub(crate) most: Option<u64>,
    /// The hash of the list of inputs, where the claim states one.
    pub(crate) inputs_sha256: Option<String>,
    /// The number of candidates that the network may be chosen among; 1 without a choice.
    pub(crate) among: u64,
    /// The stored parameters.
    pub(crate) parameters: String,
    /// The stored statement.
    pub(crate) statement: String,
    /// The inputs with a certificate by this claim that has been checked, ascending.
    pub(crate) concluded: RefCell<Vec<u32>>,
}

/// A method with its shares of alpha.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Method {
    /// From scratch on the network's own samples, with failure probability `level`.
    Scratch {
        level: f64,
        two_sided: bool,
        /// Whether the class, and the split of alpha, are from the selection samples of the
        /// ledger's own network.
        class_of_base: bool,
    },
    /// The smoothed classifier's class.
    Predict { level: f64 },
    /// From the first samples of f and h, by pairs.
    Pairs { kind: Pairs, shares: Vec<f64> },
    /// On samples that are chosen by f's codes.
    Auto {
        shares: Shares,
        /// Whether the number of samples may depend on what h answered.
        anytime: bool,
        /// Whether two-sided certificates are allowed.
        both: bool,
        /// Whether they are allowed from fresh samples too.
        fresh_both: bool,
    },
    /// From scratch, by an anytime-valid bound.
    Until { level: f64 },
}

/// The shares of alpha in `auto`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// For the event about f, in bounds with two events.
    pub(crate) f: f64,
    /// For the event about h, in bounds with two events.
    pub(crate) h: f64,
    /// For a bound with a single event, and for those from fresh samples alone.
    pub(crate) whole: f64,
}

/// Which bound from pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pairs {
    /// The bound by zeta and the one from h's own counts, which hold together; gamma decides
    /// which is tried first.
    Irs { gamma: f64 },
    /// f's bound less zeta.
    Zeta,
    /// f's bound less the loss.
    Loss,
    /// f's bound less the loss, plus the gain.
    Paired,
}

impl Pairs {
    /// The names of the shares of alpha, and their weights.
    pub(crate) fn shares(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Irs { .. } => &[("alpha_f", 2.0), ("alpha_zeta", 9.0), ("alpha_direct", 9.0)],
            Self::Zeta => &[("alpha_f", 1.0), ("alpha_zeta", 9.0)],
            Self::Loss => &[("alpha_f", 1.0), ("alpha_loss", 9.0)],
            Self::Paired => &[("alpha_f", 2.0), ("alpha_loss", 9.0), ("alpha_gain", 9.0)],
        }
    }
}

/// The valid claims, by number.
pub(crate) type Claims = BTreeMap<i64, Claim>;

impl Claim {
    /// Whether its bounds may use priors or tilts, which the checker takes as recorded.
    pub(crate) fn has_priors(&self) -> bool {
        matches!(self.method, Method::Auto { .. })
    }

    /// Whether by it the answers of `network` decide how many there are.
    pub(crate) fn stops(&self, network: i64) -> bool {
        self.network == network && matches!(self.method, Method::Until { .. })
    }

    /// Records a certificate of an input, and returns whether it is one too many.
    pub(crate) fn exceeds_most(&self, idx: u32) -> bool {
        let mut concluded = self.concluded.borrow_mut();
        concluded.push(idx);
        self.most == Some(concluded.len() as u64 - 1)
    }
}

/// How many of `n` samples of f are early.
pub(crate) fn early(n: u64) -> u64 {
    n / EARLY
}
