//! A recertification beside what it started from: the original's certificates on the same
//! inputs, and what certifying from scratch is expected to take.

use std::fmt;

use recert_ledger::{Claim, Ledger, NetworkId};
use recert_num::format_down;
use recert_report::speed_up::{Ratio, speed_ups};
use recert_report::{Metrics, Report};

use crate::{Result, reporting};

/// A modified network's certificates by one method, and the original's of the same inputs.
///
/// Displays as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The modified network.
    pub modified: Side,
    /// The original network.
    pub original: Side,
    /// Whether every input has a label, so that the radii of right classes alone count.
    pub labelled: bool,
    /// The number of inputs.
    pub inputs: u64,
    /// What certifying the modified network from scratch, at its alpha, is expected to take for
    /// its average radius, over what recertifying it took
    /// ([`recert_report::speed_up`]).
    pub speed_up: Option<Ratio>,
    /// Whether the modified network was certified through the original, a faster version: the
    /// speed-up is then in worker time, the original's counted.
    pub through: bool,
    /// How many of the modified network's evaluations were in the ledger before this run: at
    /// least so many, and so many where the run made no other certificates of the network.
    pub reused: u64,
}

/// One of two networks that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Its file.
    pub network: String,
    /// Average certified radius, or average radius of inputs without labels, in units of pixels
    /// in [0, 1], rounded down.
    pub radius: f64,
    /// Failure probability of each certificate.
    pub alpha: f64,
    /// Evaluations that the certificates rest on, over these inputs, whichever run made them.
    pub evaluations: u64,
}

impl Compared {
    /// The certificates of `network` by the claim for which `is_row` holds, beside the
    /// original's; `None` where there are no such certificates, or none of the original on one
    /// of their inputs.
    ///
    /// Of the network's evaluations, `new` were made by the run that ends.
    pub(super) fn new(
        ledger: &Ledger,
        network: NetworkId,
        is_row: &dyn Fn(&Claim) -> bool,
        new: u64,
    ) -> Result<Option<Self>> {
        let Some(runs) = reporting::with_original(ledger, network, is_row)? else {
            return Ok(None);
        };
        let report = Report {
            runs: runs.into(),
            ..Report::default()
        };
        let metrics: Vec<Metrics> = report.runs.iter().map(Metrics::new).collect();
        let side = |run: usize| {
            Some(Side {
                network: report.runs[run].network.clone(),
                radius: metrics[run].quality()?,
                alpha: report.runs[run].alpha,
                evaluations: metrics[run].evaluations,
            })
        };
        let (Some(original), Some(modified)) = (side(0), side(1)) else {
            return Ok(None);
        };
        let speed_up = speed_ups(&report, &metrics).pop().flatten();
        Ok(Some(Self {
            reused: modified.evaluations.saturating_sub(new),
            modified,
            original,
            labelled: metrics[1].labelled,
            inputs: metrics[1].inputs,
            speed_up: speed_up.and_then(|found| found.expected.from_scratch),
            through: report.runs[1].through_seconds.is_some(),
        }))
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Side| {
            format!(
                "{} at alpha {} from {} evaluations",
                format_down(side.radius, 3),
                side.alpha,
                side.evaluations
            )
        };
        let reused = match self.reused {
            0 => String::new(),
            reused => format!(" ({reused} of them reused from earlier runs)"),
        };
        let quality = if self.labelled {
            "average certified radius"
        } else {
            "average radius, whatever the labels,"
        };
        write!(
            f,
            "{}: {quality} {}{reused}; {}, on the same inputs: {}",
            self.modified.network,
            side(&self.modified),
            self.original.network,
            side(&self.original)
        )?;
        let Some(ratio) = self.speed_up else {
            return Ok(());
        };
        write!(
            f,
            ". From scratch, {} is expected to take {} times as {} for its radius at its alpha",
            self.modified.network,
            ratio.text(),
            if self.through {
                "long (worker time, the faster network's counted)"
            } else {
                "many evaluations"
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_radii_stand_with_their_alphas_and_costs() {
        let side = |network: &str, radius, alpha, evaluations| Side {
            network: network.to_owned(),
            radius,
            alpha,
            evaluations,
        };
        let mut compared = Compared {
            modified: side("int8.onnx", 0.3129, 0.002, 500),
            original: side("net.onnx", 0.3504, 0.001, 10_100),
            labelled: true,
            inputs: 1,
            speed_up: Some(Ratio::Exactly(2.414)),
            through: false,
            reused: 0,
        };
        assert_eq!(
            compared.to_string(),
            "int8.onnx: average certified radius 0.312 at alpha 0.002 from 500 evaluations; \
             net.onnx, on the same inputs: 0.350 at alpha 0.001 from 10100 evaluations. From \
             scratch, int8.onnx is expected to take 2.41 times as many evaluations for its radius \
             at its alpha"
        );
        compared.through = true;
        let said = compared.to_string();
        assert!(said.contains("2.41 times as long (worker time"), "{said}");
        compared.reused = 480;
        let said = compared.to_string();
        let part = "from 500 evaluations (480 of them reused from earlier runs); net.onnx, on";
        assert!(said.contains(part), "{said}");
        compared.speed_up = None;
        compared.labelled = false;
        let said = compared.to_string();
        assert!(
            said.contains("radius, whatever the labels, 0.312"),
            "{said}"
        );
        assert!(!said.contains("From scratch"), "{said}");
    }
}
