//! What a certificate is computed from: counts, and what else its bound needs.

use serde::{Deserialize, Serialize};

use crate::json::{self, Foreign};

/// Cells of [`Evidence::Cells`]: the margin buckets 0, 1, 2, 3 and 4 to 7 of f's
/// samples of the class, then the same of its other valid ones.
pub const EVIDENCE_CELLS: usize = 10;

/// The counts that a certificate's bound is computed from, and whatever else was
/// free to be chosen: with the claim, all that is needed to compute it again.
///
/// f is the network certified from scratch, h a modified one, `class` the class
/// selected. `invalid` counts the samples with a NaN or infinite logit, of h where
/// there is one. The lower bound of the probability is the certificate's own
/// `p_lower`; levels (shares of alpha) that the claim's [`Parameters`] have are not
/// repeated here.
///
/// In a certificate of `auto`, n is the number of f's *late* samples, and `pilot`
/// how many samples the pilot had.
///
/// [`Parameters`]: crate::Parameters
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Evidence {
    /// `certify` and `direct` of one side, by bound `direct`: Clopper and Pearson at
    /// the whole level.
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
    /// `certify` and `direct` of two sides, by bound `two-sided`.
    TwoSided {
        /// The class selected.
        class: u16,
        /// Samples answered with it.
        k: u64,
        /// Samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// The answer given most often beside it, [`INVALID`](crate::INVALID) being
        /// one; `None` where there is no other.
        runner_up: Option<u16>,
        /// Samples with that answer.
        k_runner_up: u64,
        /// Level of the bound from `k` of `n`.
        alpha_class: f64,
        /// Level of the bound from `k` of `k + k_runner_up`.
        alpha_ratio: f64,
        /// That bound, from below.
        ratio_lower: f64,
        /// The probability of any other answer, from above.
        p_upper: f64,
    },
    /// `predict`: the largest two counts, by bound `binomial test`.
    Prediction {
        /// The class with most answers.
        class: u16,
        /// Samples answered with it.
        k1: u64,
        /// Samples answered with the next.
        k2: u64,
        /// Samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
    },
    /// `until`, by bound `mixture`, at the level `alpha_any`: stopped freely.
    Until {
        /// The class selected.
        class: u16,
        /// Samples answered with it.
        k: u64,
        /// Samples that it stopped after.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// The law of another answer that the mixture starts from: a Beta law's
        /// two numbers.
        prior: [f64; 2],
        /// Where its bound is attained.
        witness: f64,
    },
    /// `irs`, `zeta`, `loss` and `paired`: f and h on the same first samples, by a
    /// bound of that name, or for `irs` by `zeta` or `direct`.
    Pairs {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples that both answered.
        m: u64,
        /// Those with different answers, or an invalid one.
        disagreements: u64,
        /// Those that h answered with the class.
        own: u64,
        /// Those that f answered with the class and h did not.
        lost: u64,
        /// Those that h answered with the class and f did not.
        gained: u64,
        /// Those that h gave an invalid answer to.
        invalid: u64,
        /// The upper bound of the disagreement, at `alpha_zeta`; of `irs` alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zeta: Option<f64>,
    },
    /// `auto`, bound `none`: nothing was spent on the input.
    Nothing {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples of the pilot.
        pilot: u64,
    },
    /// `auto`, bound `fresh`: h by itself on samples that f never saw, by Clopper
    /// and Pearson at `alpha_whole`.
    Fresh {
        /// The class selected.
        class: u16,
        /// Fresh samples that h answered with it.
        k: u64,
        /// Fresh samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// Samples of the pilot.
        pilot: u64,
    },
    /// `auto`, bound `mixture`: the same, stopped freely.
    FreshMixture {
        /// The class selected.
        class: u16,
        /// Fresh samples that h answered with it.
        k: u64,
        /// Fresh samples.
        n: u64,
        /// Invalid answers.
        invalid: u64,
        /// Samples of the pilot.
        pilot: u64,
        /// As in [`Evidence::Until`].
        prior: [f64; 2],
        /// As in [`Evidence::Until`].
        witness: f64,
    },
    /// `auto`, bound `loss`: f's bound at `alpha_f`, h's loss at `alpha_h`.
    Loss {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples of the class that h ran on.
        pairs: u64,
        /// Those that it answered otherwise.
        other: u64,
        /// Those that it gave an invalid answer to.
        invalid: u64,
        /// Samples of the pilot.
        pilot: u64,
    },
    /// `auto`, bound `loss-mixture`: the same, stopped freely.
    LossMixture {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// Samples of the class that h ran on.
        pairs: u64,
        /// Those that it answered otherwise.
        other: u64,
        /// Those that it gave an invalid answer to.
        invalid: u64,
        /// Samples of the pilot.
        pilot: u64,
        /// As in [`Evidence::Until`].
        prior: [f64; 2],
        /// As in [`Evidence::Until`].
        witness: f64,
    },
    /// `auto`, bound `both`: the class from below and any other from above, at
    /// halves of `alpha_f` and `alpha_h`.
    Both {
        /// The class selected.
        class: u16,
        /// f's samples answered with it.
        k: u64,
        /// f's samples.
        n: u64,
        /// f's largest count of another answer.
        runner_up: u64,
        /// Samples that h ran on.
        pairs: u64,
        /// Those that f answered with the class and h did not.
        lost: u64,
        /// The largest count of another class among the samples that h answered
        /// with that class and f did not.
        arrived: u64,
        /// The probability of any other class, from above.
        p_upper: f64,
        /// Those that h gave an invalid answer to.
        invalid: u64,
        /// Samples of the pilot.
        pilot: u64,
    },
    /// `auto`, bound `cells`, at `alpha_whole`: one bound over all cells.
    Cells(Box<CellEvidence>),
    /// What a ledger holds that this version does not record.
    #[serde(skip)]
    Foreign(Foreign),
}

/// The evidence of [`Evidence::Cells`]; an array has a number for each cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellEvidence {
    /// The class selected.
    pub class: u16,
    /// f's samples.
    pub n: u64,
    /// Those of each cell.
    #[serde(rename = "copies")]
    pub samples: [u64; EVIDENCE_CELLS],
    /// Samples of each cell that h ran on.
    pub pairs: [u64; EVIDENCE_CELLS],
    /// Those of them that it answered with the class.
    pub own: [u64; EVIDENCE_CELLS],
    /// The tilt of each cell.
    pub tilts: [f64; EVIDENCE_CELLS],
    /// The tilt of f's codes.
    pub tilt: f64,
    /// Samples that h gave an invalid answer to.
    pub invalid: u64,
    /// Samples of the pilot.
    pub pilot: u64,
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

    /// Reads the counts of a certificate by a method and a bound; `row` names the
    /// row, for errors.
    pub(crate) fn read(method: &str, bound: Option<&str>, text: &str, row: &str) -> Self {
        let variant = variant(method, bound);
        json::read(variant, text, (row, "counts")).unwrap_or_else(Self::Foreign)
    }

    /// The evidence, if it is what this version records.
    ///
    /// # Errors
    /// Which row and which field is not.
    pub fn known(&self) -> Result<&Self, &Foreign> {
        match self {
            Self::Foreign(foreign) => Err(foreign),
            known => Ok(known),
        }
    }

    /// Samples that got an invalid answer; 0 where nothing is known of them.
    pub fn invalid(&self) -> u64 {
        match self {
            Self::OneSided { invalid, .. }
            | Self::TwoSided { invalid, .. }
            | Self::Prediction { invalid, .. }
            | Self::Until { invalid, .. }
            | Self::Pairs { invalid, .. }
            | Self::Fresh { invalid, .. }
            | Self::FreshMixture { invalid, .. }
            | Self::Loss { invalid, .. }
            | Self::LossMixture { invalid, .. }
            | Self::Both { invalid, .. } => *invalid,
            Self::Cells(cells) => cells.invalid,
            Self::Nothing { .. } => 0,
            Self::Foreign(foreign) => foreign.field("invalid").unwrap_or(0),
        }
    }

    /// The upper bound of the disagreement of f and h, where one was computed.
    pub fn zeta(&self) -> Option<f64> {
        match self {
            Self::Pairs { zeta, .. } => *zeta,
            Self::Foreign(foreign) => foreign.field("zeta"),
            _ => None,
        }
    }

    /// On how many samples f and h disagree, and of how many, where that was
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

/// The variant that certificates by a method and a bound have.
fn variant(method: &str, bound: Option<&str>) -> Option<&'static str> {
    Some(match (method, bound?) {
        ("certify" | "direct", "direct") => "OneSided",
        ("certify" | "direct", "two-sided") => "TwoSided",
        ("predict", "binomial test") => "Prediction",
        ("until", "mixture") => "Until",
        ("irs", "zeta" | "direct") | ("zeta", "zeta") | ("loss", "loss") | ("paired", "paired") => {
            "Pairs"
        }
        ("auto", "none") => "Nothing",
        ("auto", "fresh") => "Fresh",
        ("auto", "mixture") => "FreshMixture",
        ("auto", "loss") => "Loss",
        ("auto", "loss-mixture") => "LossMixture",
        ("auto", "both") => "Both",
        ("auto", "cells") => "Cells",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, bound: &str, text: &str) -> Evidence {
        Evidence::read(method, Some(bound), text, "certificate (claim 2, idx 7)")
    }

    /// Texts as ledgers hold them, written by hand from `docs/ledger.md`.
    #[test]
    fn what_ledgers_hold_is_read_and_written_byte_for_byte() {
        let ten = |what: &str| format!("[{}]", [what; 10].join(","));
        let cells = format!(
            r#"{{"class":3,"copies":{0},"invalid":0,"n":620,"own":{0},"pairs":{0},"pilot":5,"tilt":0.1,"tilts":{1}}}"#,
            ten("4"),
            ten("1.5"),
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
            ("auto", "none", r#"{"class":3,"k":4,"n":620,"pilot":0}"#),
            (
                "auto",
                "fresh",
                r#"{"class":3,"invalid":0,"k":4,"n":9,"pilot":0}"#,
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
        ] {
            let evidence = read(method, bound, text);
            assert!(evidence.known().is_ok(), "{method} {bound}: {evidence:?}");
            assert_eq!(evidence.to_json(), text, "{method} {bound}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_and_says_where_it_is() {
        for (bound, text, word) in [
            (
                "direct",
                r#"{"class":3,"n":9,"invalid":2}"#,
                "missing field `k`",
            ),
            (
                "direct",
                r#"{"class":3,"n":9,"invalid":2,"k":1,"x":0}"#,
                "unknown field `x`",
            ),
            (
                "direct",
                r#"{"class":3,"n":9,"invalid":2,"k":"1"}"#,
                "string \"1\"",
            ),
            ("strata", r#"{"invalid":2}"#, "no method and bound"),
        ] {
            let evidence = read("certify", bound, text);
            let why = evidence.known().unwrap_err().to_string();
            assert!(
                why.starts_with("certificate (claim 2, idx 7), counts: "),
                "{why}"
            );
            assert!(why.contains(word), "{why}");
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
