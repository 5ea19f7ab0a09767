//! Evidence: the counts and chosen numbers that a certificate's bound is computed from.

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};

/// How many cells [`Evidence::Cells`] has: one for each of the margin buckets 0, 1, 2, 3
/// and 4 to 7 of the samples that f answers with the class, then the same five of its
/// other valid answers.
pub const EVIDENCE_CELLS: usize = 10;

/// The counts that a certificate's bound is computed from, with the priors, tilts and
/// witnesses that were chosen for it. Together with the claim it is all that is needed to
/// compute the bound again.
///
/// f is the original network, h the modified one, `class` the class selected. `invalid`
/// counts the samples with a NaN or infinite logit: h's where h takes part, else f's. The
/// lower confidence bound itself is the certificate's `p_lower`. Shares of alpha that
/// the claim's [`Parameters`] hold are not repeated here.
///
/// In a certificate by `auto`, n is the number of f's *late* samples, those after the first
/// n/32, and `pilot` is the number of pilot samples.
///
/// [`Parameters`]: crate::Parameters
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Evidence {
    /// One-sided `certify` and `direct`, by bound `direct`: Clopper-Pearson at all of
    /// alpha.
    OneSided {
        /// The class selected.
        class: u16,
        /// Samples answered with it.
        k: u64,
        /// Samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
    },
    /// Two-sided `certify` and `direct`, by bound `two-sided`.
    TwoSided {
        /// The class selected.
        class: u16,
        /// Samples answered with it.
        k: u64,
        /// Samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// The most frequent other answer, [`INVALID`](crate::INVALID) included; `None`
        /// where there is no other.
        runner_up: Option<u16>,
        /// Samples with that answer.
        k_runner_up: u64,
        /// Failure probability of the bound from `k` of `n`.
        alpha_class: f64,
        /// Failure probability of the bound from `k` of `k + k_runner_up`.
        alpha_ratio: f64,
        /// The lower confidence bound from `k` of `k + k_runner_up`.
        ratio_lower: f64,
        /// The upper confidence bound of any other answer's probability.
        p_upper: f64,
    },
    /// `predict`: the largest two counts, by bound `binomial test`.
    Prediction {
        /// The class with most answers.
        class: u16,
        /// Samples answered with it.
        k1: u64,
        /// Samples answered with the runner-up.
        k2: u64,
        /// Samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
    },
    /// `until`, by bound `mixture`, anytime-valid at `alpha_any`.
    Until {
        /// The class selected.
        class: u16,
        /// Samples answered with it.
        k: u64,
        /// Samples after which the run stopped.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// The two parameters of the Beta prior for the probability of an answer other
        /// than the class.
        prior: [f64; 2],
        /// The multiplier at which the joint bound was evaluated.
        witness: f64,
    },
    /// `irs`, `zeta`, `loss` and `paired`: the answers of f and h on the same first
    /// samples, by the bound of that name; for `irs` by bound `zeta` or `direct`.
    Pairs {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Pairs: samples that both answered.
        m: u64,
        /// Pairs with different answers, or an invalid answer.
        disagreements: u64,
        /// Pairs that h answered with the class.
        own: u64,
        /// Pairs that f answered with the class and h did not.
        lost: u64,
        /// Pairs that h answered with the class and f did not.
        gained: u64,
        /// Pairs that h gave an invalid answer to.
        invalid: u64,
        /// The upper confidence bound of the disagreement, at `alpha_zeta`; for `irs`
        /// alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zeta: Option<f64>,
    },
    /// `irs`, `zeta`, `loss` and `paired`, bound `none`: an abstention on an input on which f
    /// stopped by its answers (`until`), where these methods have no bound. Nothing was spent.
    Stopped {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
    },
    /// `auto`, bound `none`: nothing but the pilot was spent on the input. On an input on
    /// which f stopped by its answers, k and n are 0.
    Nothing {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Pilot samples.
        pilot: u64,
    },
    /// `auto`, bound `fresh`: Clopper-Pearson at `alpha_whole` from h's answers on samples
    /// that f has not answered.
    Fresh {
        /// The class selected.
        class: u16,
        /// Fresh samples that h answered with it.
        k: u64,
        /// Fresh samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
    },
    /// `auto`, bound `fresh-two-sided`: the bounds of [`Evidence::TwoSided`] from h's answers on samples that f has not
    /// answered. Both shares are of `alpha_whole`, by the votes among f's selection samples.
    FreshBoth {
        /// The class selected.
        class: u16,
        /// Fresh samples that h answered with it.
        k: u64,
        /// Fresh samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
        /// The most frequent other answer.
        runner_up: Option<u16>,
        /// Fresh samples that h answered with it.
        k_runner_up: u64,
        /// The share of alpha for the class.
        alpha_class: f64,
        /// The share for the ratio.
        alpha_ratio: f64,
        /// The lower bound of the class's share of the answers that are it or the runner-up.
        ratio_lower: f64,
        /// The upper bound of every other answer's probability.
        p_upper: f64,
    },
    /// `auto`, bound `mixture`: as `Fresh`, anytime-valid.
    FreshMixture {
        /// The class selected.
        class: u16,
        /// Fresh samples that h answered with it.
        k: u64,
        /// Fresh samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
        /// As in [`Evidence::Until`].
        prior: [f64; 2],
        /// As in [`Evidence::Until`].
        witness: f64,
    },
    /// `auto`, bound `loss`: f's probability at `alpha_f`, the loss at `alpha_h`.
    Loss {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples answered by f with the class that h ran on.
        pairs: u64,
        /// Pairs that h answered otherwise.
        other: u64,
        /// Pairs that h gave an invalid answer to.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
    },
    /// `auto`, bound `loss-mixture`: as `Loss`, anytime-valid.
    LossMixture {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples answered by f with the class that h ran on.
        pairs: u64,
        /// Pairs that h answered otherwise.
        other: u64,
        /// Pairs that h gave an invalid answer to.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
        /// As in [`Evidence::Until`].
        prior: [f64; 2],
        /// As in [`Evidence::Until`].
        witness: f64,
    },
    /// `auto`, bound `both`: a lower confidence bound of the class's probability and an
    /// upper one of any other class's, at halves of `alpha_f` and `alpha_h`.
    Both {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// f's largest count of an answer other than the class.
        runner_up: u64,
        /// Samples that h ran on.
        pairs: u64,
        /// Pairs that f answered with the class and h did not.
        lost: u64,
        /// The largest count, over the other answers, of pairs that h gave that answer
        /// and f did not.
        arrived: u64,
        /// The upper confidence bound of any other class's probability.
        p_upper: f64,
        /// Pairs that h gave an invalid answer to.
        invalid: u64,
        /// Pilot samples.
        pilot: u64,
    },
    /// `auto`, bound `cells`, at `alpha_whole`: one bound over all cells.
    Cells(Box<CellEvidence>),
    /// `auto`, bound `tail`, at `alpha_whole`: one bound over all cells, for numbers of samples
    /// that do not depend on the answers.
    Tail(Box<CellEvidence>),
    /// Counts in a form that this version does not record.
    #[serde(skip)]
    Foreign(Foreign),
}

/// The evidence of [`Evidence::Cells`] and [`Evidence::Tail`]; each array has one number for each
/// cell. Where there were two rounds of pairs, pairs and answers are of both, tilts and lattice of
/// the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellEvidence {
    /// The class selected.
    pub class: u16,
    /// f's samples.
    pub n: u64,
    /// How many of them are in each cell.
    #[serde(rename = "copies")]
    pub samples: [u64; EVIDENCE_CELLS],
    /// Samples of each cell that h ran on.
    pub pairs: [u64; EVIDENCE_CELLS],
    /// Samples of each cell that h answered with the class.
    pub own: [u64; EVIDENCE_CELLS],
    /// The tilt of each cell.
    pub tilts: [f64; EVIDENCE_CELLS],
    /// The tilt of f's codes.
    pub tilt: f64,
    /// Samples that h gave an invalid answer to.
    pub invalid: u64,
    /// Samples of the pilot.
    pub pilot: u64,
    /// The cells whose tilts are powers of one number; for [`Evidence::Tail`] alone, where there
    /// are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lattice: Option<LatticeEvidence>,
    /// The first round of pairs, whose answers decided about the second; for [`Evidence::Tail`]
    /// alone, where there were two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstRoundEvidence>,
}

/// The first round of [`Evidence::Tail`], and all else that the second one follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstRoundEvidence {
    /// The probability with which h was expected to answer the class in each cell.
    pub expected: [f64; EVIDENCE_CELLS],
    /// Samples of the first round that h answered with the class.
    pub own: [u64; EVIDENCE_CELLS],
    /// Samples of the first round.
    pub pairs: [u64; EVIDENCE_CELLS],
    /// The samples that were planned for both rounds.
    pub planned: [u64; EVIDENCE_CELLS],
    /// The tilts that were planned for both, and those of the first.
    pub tilts: [f64; EVIDENCE_CELLS],
    /// For each cell, the power of `1 + step` that 1 and its planned tilt are; 0 for a cell with a
    /// tilt of its own.
    pub multiples: [u8; EVIDENCE_CELLS],
    /// The step of the planned tilts; 0 where no multiple is above 0.
    pub step: f64,
}

/// The lattice of [`Evidence::Tail`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatticeEvidence {
    /// For each cell, the power of `1 + step` that 1 and its tilt are; 0 for a cell with a tilt of
    /// its own.
    pub multiples: [u8; EVIDENCE_CELLS],
    /// Where the integral is split.
    pub span: f64,
    /// The step.
    pub step: f64,
}

impl Evidence {
    /// The canonical JSON that ledgers keep.
    ///
    /// ```
    /// use recert_ledger::Evidence;
    ///
    /// let evidence = Evidence::OneSided { class: 3, k: 990, n: 1000, invalid: 0 };
    /// assert_eq!(evidence.to_json(), r#"{"class":3,"invalid":0,"k":990,"n":1000}"#);
    /// ```
    pub fn to_json(&self) -> String {
        match self {
            Self::Foreign(foreign) => foreign.text().to_owned(),
            known => json::write(known),
        }
    }

    /// Reads the stored counts of a certificate by this method and bound.
    pub(crate) fn read(method: &str, bound: Option<&str>, text: &str) -> Self {
        json::read(variant(method, bound), text).unwrap_or_else(Self::Foreign)
    }

    /// How many answers are invalid; 0 where that is not recorded.
    pub fn invalid(&self) -> u64 {
        match self {
            Self::OneSided { invalid, .. }
            | Self::TwoSided { invalid, .. }
            | Self::Prediction { invalid, .. }
            | Self::Until { invalid, .. }
            | Self::Pairs { invalid, .. }
            | Self::Fresh { invalid, .. }
            | Self::FreshBoth { invalid, .. }
            | Self::FreshMixture { invalid, .. }
            | Self::Loss { invalid, .. }
            | Self::LossMixture { invalid, .. }
            | Self::Both { invalid, .. } => *invalid,
            Self::Cells(cells) | Self::Tail(cells) => cells.invalid,
            Self::Nothing { .. } | Self::Stopped { .. } => 0,
            Self::Foreign(foreign) => foreign.field("invalid").unwrap_or(0),
        }
    }

    /// The upper confidence bound of the disagreement of f and h, where one was computed.
    pub fn zeta(&self) -> Option<f64> {
        match self {
            Self::Pairs { zeta, .. } => *zeta,
            Self::Foreign(foreign) => foreign.field("zeta"),
            _ => None,
        }
    }

    /// The number of disagreements of f and h and the number of pairs, where these were
    /// counted.
    pub fn disagreements(&self) -> Option<(u64, u64)> {
        match self {
            Self::Pairs {
                disagreements, m, ..
            } => Some((*disagreements, *m)),
            Self::Foreign(foreign) => foreign.field("disagreements").zip(foreign.field("m")),
            _ => None,
        }
    }
}

/// The variant of [`Evidence`] that belongs to a method and a bound.
fn variant(method: &str, bound: Option<&str>) -> Option<&'static str> {
    Some(match (method, bound?) {
        ("certify" | "direct", "direct") => "OneSided",
        ("certify" | "direct", "two-sided") => "TwoSided",
        ("predict", "binomial test") => "Prediction",
        ("until", "mixture") => "Until",
        ("irs", "zeta" | "direct") | ("zeta", "zeta") | ("loss", "loss") | ("paired", "paired") => {
            "Pairs"
        }
        ("irs" | "zeta" | "loss" | "paired", "none") => "Stopped",
        ("auto", "none") => "Nothing",
        ("auto", "fresh") => "Fresh",
        ("auto", "fresh-two-sided") => "FreshBoth",
        ("auto", "mixture") => "FreshMixture",
        ("auto", "loss") => "Loss",
        ("auto", "loss-mixture") => "LossMixture",
        ("auto", "both") => "Both",
        ("auto", "cells") => "Cells",
        ("auto", "tail") => "Tail",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, bound: &str, text: &str) -> Evidence {
        Evidence::read(method, Some(bound), text)
    }

    /// Texts as ledgers hold them, written by hand from `docs/ledger.md`.
    #[test]
    fn what_ledgers_hold_is_read_and_written_byte_for_byte() {
        let ten = |number: &str| format!("[{}]", [number; 10].join(","));
        let cells = format!(
            r#"{{"class":3,"copies":{0},"invalid":0,"n":620,"own":{0},"pairs":{0},"pilot":5,"tilt":0.1,"tilts":{1}}}"#,
            ten("4"),
            ten("1.5"),
        );
        let lattice = cells.replace(
            r#""n":620"#,
            r#""lattice":{"multiples":[1,0,2,0,0,0,0,0,0,0],"span":0.3,"step":0.25},"n":620"#,
        );
        let rounds = lattice.replace(
            r#""invalid":0"#,
            &format!(
                r#""first":{{"expected":{1},"multiples":{0},"own":{0},"pairs":{0},"planned":{0},"step":0.25,"tilts":{1}}},"invalid":0"#,
                ten("4"),
                ten("0.5"),
            ),
        );
        let pairs = r#"{"class":1,"disagreements":4,"gained":1,"invalid":0,"k":90,"lost":2,"m":50,"n":100,"own":45}"#;
        let irs = pairs.replace('}', r#","zeta":0.123456789012345678}"#);
        let irs = irs.replace("0.123456789012345678", "0.12345678901234568");
        for (method, bound, text) in [
            (
                "certify",
                "direct",
                r#"{"class":3,"invalid":0,"k":99,"n":100}"#,
            ),
            (
                "direct",
                "two-sided",
                r#"{"alpha_class":0.0005,"alpha_ratio":0.00005,"class":3,"invalid":0,"k":99,"k_runner_up":0,"n":100,"p_upper":0.1,"ratio_lower":0.9,"runner_up":null}"#,
            ),
            (
                "predict",
                "binomial test",
                r#"{"class":3,"invalid":1,"k1":90,"k2":9,"n":100}"#,
            ),
            (
                "until",
                "mixture",
                r#"{"class":3,"invalid":0,"k":99,"n":100,"prior":[0.5,10.5],"witness":1.0}"#,
            ),
            ("irs", "zeta", &irs),
            ("irs", "direct", &irs),
            ("zeta", "zeta", pairs),
            ("loss", "loss", pairs),
            ("paired", "paired", pairs),
            ("irs", "none", r#"{"class":3,"k":4,"n":36}"#),
            ("loss", "none", r#"{"class":3,"k":4,"n":36}"#),
            ("auto", "none", r#"{"class":3,"k":4,"n":620,"pilot":0}"#),
            (
                "auto",
                "fresh",
                r#"{"class":3,"invalid":0,"k":4,"n":9,"pilot":0}"#,
            ),
            (
                "auto",
                "fresh-two-sided",
                r#"{"alpha_class":0.0005,"alpha_ratio":0.00005,"class":3,"invalid":0,"k":7,"k_runner_up":2,"n":9,"p_upper":0.1,"pilot":0,"ratio_lower":0.9,"runner_up":4}"#,
            ),
            (
                "auto",
                "mixture",
                r#"{"class":3,"invalid":0,"k":4,"n":9,"pilot":0,"prior":[0.5,1.5],"witness":0.25}"#,
            ),
            (
                "auto",
                "loss",
                r#"{"class":3,"invalid":0,"k":4,"n":9,"other":1,"pairs":3,"pilot":0}"#,
            ),
            (
                "auto",
                "loss-mixture",
                r#"{"class":3,"invalid":0,"k":4,"n":9,"other":1,"pairs":3,"pilot":0,"prior":[0.5,1.5],"witness":0.25}"#,
            ),
            (
                "auto",
                "both",
                r#"{"arrived":0,"class":3,"invalid":0,"k":4,"lost":1,"n":9,"p_upper":0.5,"pairs":3,"pilot":0,"runner_up":2}"#,
            ),
            ("auto", "cells", &cells),
            ("auto", "tail", &cells),
            ("auto", "tail", &lattice),
            ("auto", "tail", &rounds),
        ] {
            let evidence = read(method, bound, text);
            assert!(
                !matches!(evidence, Evidence::Foreign(_)),
                "{method} {bound}: {evidence:?}"
            );
            assert_eq!(evidence.to_json(), text, "{method} {bound}");
        }
    }

    #[test]
    fn evidence_in_an_unknown_form_is_kept_as_it_is() {
        for (bound, text) in [
            ("direct", r#"{"class":3,"n":9,"invalid":2}"#),
            ("direct", r#"{"class":3,"n":9,"invalid":2,"k":1,"x":0}"#),
            ("direct", r#"{"class":3,"n":9,"invalid":2,"k":"1"}"#),
            ("strata", r#"{"invalid":2}"#),
        ] {
            let evidence = read("certify", bound, text);
            assert!(matches!(evidence, Evidence::Foreign(_)), "{evidence:?}");
            assert_eq!((evidence.to_json().as_str(), evidence.invalid()), (text, 2));
        }
        let evidence = read("old", "zeta", r#"{"disagreements":3,"m":9,"zeta":0.5}"#);
        assert_eq!(
            (evidence.disagreements(), evidence.zeta()),
            (Some((3, 9)), Some(0.5))
        );
        for text in ["", "no JSON", "[1]", "null"] {
            let evidence = read("certify", "direct", text);
            assert_eq!((evidence.to_json().as_str(), evidence.invalid()), (text, 0));
        }
    }
}
