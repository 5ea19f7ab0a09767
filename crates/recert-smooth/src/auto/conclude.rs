//! What h's answers on the samples of a design prove, and what is claimed of it.

use std::collections::BTreeMap;

use recert_ledger::{Certificate, Claim, Codes, INVALID, Ledger, NetworkId, hex};
use recert_noise::Stream;
use recert_num::{LowerBound, Sigma, UpperBound};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Auto;

use super::subjects::{Known, tally};
use super::until::one_cell;
use crate::bound::{self, Answered, Conclusion, Tally};
use crate::budget::{CELLS, Choice, Design, Goal, Levels, Study, Subject, cell_of, early};
use crate::run::series;
use crate::{Error, Sides, certify};

impl Auto {
    /// What the certificates claim: `samples` an input, and what they were to reach.
    /// The inputs are part of it, as what each of them gets depends on the others.
    pub(super) fn claim(
        &self,
        ledger: &Ledger,
        (study, known): (&Study, &[u32]),
        (samples, goal): (u64, serde_json::Value),
    ) -> Claim {
        let mut inputs = Sha256::new();
        for idx in known {
            inputs.update(idx.to_le_bytes());
        }
        let parameters = json!({
            "alpha_f": study.levels.f.get(), "alpha_h": study.levels.h.get(),
            "alpha_whole": study.levels.whole.get(), "among": self.among, "early": early(ledger.header().n),
            "goal": goal, "inputs": known.len(), "inputs_sha256": hex(&inputs.finalize()),
            "sides": if self.sides == Sides::Two { 2 } else { 1 },
        });
        let what = ("auto", samples, self.alpha);
        certify::claim(ledger.header(), what, &parameters, self.among)
    }

    /// The goal, and the samples an input that it makes on average, for the claim.
    pub(super) fn goal(&self, inputs: u64) -> (u64, serde_json::Value) {
        match self.goal {
            Goal::Budget(total) => (total / inputs.max(1), json!({"budget": total})),
            Goal::Each(samples) => (samples, json!({"each": samples})),
            Goal::MeanRadius(radius) => (0, json!({"mean_radius_over_sigma": radius})),
        }
    }
}

/// An input under h: what its certificate rests on beside h's answers.
pub(super) struct Recertified<'a> {
    pub(super) study: &'a Study,
    pub(super) claim: &'a Claim,
    /// h's number in the ledger.
    pub(super) network: NetworkId,
    pub(super) known: Known,
    pub(super) subject: Subject,
}

/// What h's answers on the samples of a design prove.
struct Found {
    p_lower: LowerBound,
    /// For a certificate of both sides.
    p_upper: Option<UpperBound>,
    name: &'static str,
    counts: serde_json::Value,
}

impl Recertified<'_> {
    /// The certificate of one input from h's answers on the samples of its
    /// design, which are all in the ledger; by bounds that hold at any time if
    /// how many they are was decided by h's answers on it.
    pub(super) fn conclude(
        &self,
        ledger: &Ledger,
        choice: Choice,
        anytime: bool,
    ) -> Result<Certificate, Error> {
        let known = self.known;
        let sigma = Sigma::new(ledger.header().sigma)?;
        let picked = known.pick(choice.design).samples(ledger, known.idx)?;
        let at = series(self.network, known.idx, picked.stream);
        let (answers, mut micros) = ledger.answers_at(at, &picked.samples)?;
        let found = self.bound(choice, &picked.f, &answers, anytime)?;
        let conclusion = match found.p_upper {
            Some(p_upper) => {
                let bounds = (found.p_lower, p_upper);
                Conclusion::two_sided(known.class, bounds, sigma, found.name)?
            }
            None => Conclusion::one_sided(known.class, found.p_lower, sigma, found.name)?,
        };
        // The pilot is paid for, whether or not its samples count.
        let pilot = known.pick(Design::Loss {
            pairs: self.subject.pilot,
        });
        let piloted = pilot.samples(ledger, known.idx)?.samples;
        let counts = |sample: &u32| {
            picked.stream == Stream::Certify && picked.samples.binary_search(sample).is_ok()
        };
        let extra: Vec<u32> = piloted
            .into_iter()
            .filter(|sample| !counts(sample))
            .collect();
        let pilot_at = series(self.network, known.idx, Stream::Certify);
        micros += ledger.answers_at(pilot_at, &extra)?.1;
        Ok(certify::certificate(
            known.idx,
            self.claim.clone(),
            &conclusion,
            &found.counts,
            (answers.len() + extra.len()) as u64,
            micros,
        ))
    }

    /// The bound of a design from f's codes and h's answers on its samples.
    fn bound(
        &self,
        choice: Choice,
        f_on: &Codes,
        answers: &[u16],
        anytime: bool,
    ) -> Result<Found, Error> {
        let Levels { f, h, whole } = self.study.levels;
        let Subject { n, k, .. } = self.subject;
        let class = self.known.class;
        let pairs = answers.len() as u64;
        let other = answers.iter().filter(|&&a| a != class).count() as u64;
        let mut p_upper = None;
        let (p_lower, name, mut counts) = match choice.design {
            Design::Nothing => (LowerBound::ZERO, "none", json!({"k": k, "n": n})),
            Design::Fresh { .. } => {
                let counts = json!({"k": pairs - other, "n": pairs});
                if anytime {
                    self.mixture(choice, (pairs, other), counts, "mixture")?
                } else {
                    (bound::direct(pairs - other, pairs, whole)?, "fresh", counts)
                }
            }
            Design::Loss { .. } => {
                let counts = json!({"k": k, "n": n, "pairs": pairs, "other": other});
                if anytime {
                    self.mixture(choice, (pairs, other), counts, "loss-mixture")?
                } else {
                    let found = bound::coded_loss(k, n, f, Tally { pairs, other }, h)?;
                    (found, "loss", counts)
                }
            }
            Design::Both { .. } => {
                let moved = moved(&f_on.classes, class, answers);
                let runner_up = self.known.runner_up;
                let found = bound::both(Answered { n, k, runner_up }, f, moved, h)?;
                p_upper = Some(found.p_upper);
                let counts = json!({
                    "k": k, "n": n, "runner_up": runner_up, "pairs": pairs,
                    "lost": moved.lost, "arrived": moved.arrived,
                    "p_upper": found.p_upper.get(),
                });
                (found.p_lower, "both", counts)
            }
            Design::Cells { .. } => {
                let mut cells: [bound::Cell; CELLS] = std::array::from_fn(|cell| bound::Cell {
                    samples: self.subject.cells[cell],
                    tilt: choice.tilts.cells[cell],
                    ..bound::Cell::default()
                });
                for (sample, &answer) in answers.iter().enumerate() {
                    if let Some(cell) = cell_of(f_on, class, sample) {
                        cells[cell].pairs += 1;
                        cells[cell].own += u64::from(answer == class);
                    }
                }
                let tilt = choice.tilts.codes;
                let counts = json!({
                    "n": n, "copies": cells.map(|c| c.samples), "pairs": cells.map(|c| c.pairs),
                    "own": cells.map(|c| c.own), "tilts": cells.map(|c| c.tilt), "tilt": tilt,
                });
                (bound::cells(n, tilt, &cells, whole)?, "cells", counts)
            }
        };
        counts["class"] = json!(class);
        counts["pilot"] = json!(self.subject.pilot.min(k));
        if choice.design != Design::Nothing {
            counts["invalid"] = json!(answers.iter().filter(|&&a| a == INVALID).count());
        }
        Ok(Found {
            p_lower,
            p_upper,
            name,
            counts,
        })
    }

    /// A bound of one cell that holds at any time, its prior and witness added to
    /// the counts.
    fn mixture(
        &self,
        choice: Choice,
        tally: (u64, u64),
        mut counts: serde_json::Value,
        name: &'static str,
    ) -> Result<(LowerBound, &'static str, serde_json::Value), Error> {
        let (found, prior) = one_cell(self.study.levels, self.subject, choice, tally)?;
        counts["prior"] = json!([prior.a(), prior.b()]);
        counts["witness"] = json!(found.witness);
        Ok((found.p_lower, name, counts))
    }
}

/// How h's answers on some samples differ from f's, as far as the class and any one
/// other answer go.
fn moved(f: &[u16], class: u16, h: &[u16]) -> bound::Moved {
    let pairs = || f.iter().zip(h);
    let mut arrived = BTreeMap::new();
    let other = pairs().filter(|&(f, h)| f != h && *h != class);
    tally(&mut arrived, other.map(|(_, h)| h));
    bound::Moved {
        pairs: h.len() as u64,
        lost: pairs().filter(|&(&f, &h)| f == class && h != class).count() as u64,
        arrived: arrived.into_values().max().unwrap_or(0),
    }
}
