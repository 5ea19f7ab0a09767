//! From h's answers on the samples of a design to the certificate and its claim.

use std::collections::BTreeMap;

use recert_ledger::{
    self as ledger, CellEvidence, Certificate, Claim, Codes, Evidence, INVALID, InputsHash,
    LatticeEvidence, Ledger, NetworkId, Parameters,
};
use recert_noise::Stream;
use recert_num::{LowerBound, Sigma, UpperBound};
use sha2::{Digest, Sha256};

use super::Auto;
use super::rounds::TwoRounds;
use super::subjects::{CertifiedInput, tally};
use crate::bound::{self, Answered, Beta, Conclusion, Lattice, Shares, Tally};
use crate::budget::{CELLS, Choice, Design, Goal, Levels, Study, Subject, Tilts, cell_of, early};
use crate::run::series;
use crate::{Error, Sides, certify};

impl Auto {
    /// The claim of the certificates: `samples` samples an input on average, and the goal. The
    /// list of inputs is part of the claim, since each input's design depends on the others.
    pub(super) fn claim(
        &self,
        ledger: &Ledger,
        (study, inputs): (&Study, &[u32]),
        (samples, goal): (u64, ledger::Goal),
    ) -> Claim {
        let mut hash = Sha256::new();
        for idx in inputs {
            hash.update(idx.to_le_bytes());
        }
        let fresh_both = self.sides == Sides::Two && !matches!(goal, ledger::Goal::Until(_));
        let parameters = Parameters::Auto {
            alpha_f: study.levels.f.get(),
            alpha_h: study.levels.h.get(),
            alpha_whole: study.levels.whole.get(),
            among: self.among,
            early: early(ledger.header().n),
            goal,
            inputs: inputs.len() as u64,
            inputs_sha256: Some(InputsHash(hash.finalize().into())),
            rule: fresh_both.then_some(Shares::RULE),
            sides: self.sides,
        };
        certify::claim(ledger.header(), parameters, samples, self.alpha)
    }

    /// The average number of samples for an input, and the goal, as the claim records them.
    pub(super) fn goal(&self, inputs: u64) -> (u64, ledger::Goal) {
        match self.goal {
            Goal::Budget(total) => (total / inputs.max(1), ledger::Goal::Budget(total)),
            Goal::Each(samples) => (samples, ledger::Goal::Each(samples)),
            Goal::MeanRadius(radius) => (0, ledger::Goal::MeanRadiusOverSigma(radius)),
        }
    }
}

/// An input to be recertified: everything that its certificate depends on beside h's answers
/// and the design.
pub(super) struct Recertified<'a> {
    pub(super) study: &'a Study,
    pub(super) claim: &'a Claim,
    /// h's number in the ledger.
    pub(super) network: NetworkId,
    pub(super) input: CertifiedInput,
    pub(super) subject: Subject,
}

/// The bounds that h's answers on the samples of a design prove.
struct Found {
    p_lower: LowerBound,
    /// The bound of every other class, for a two-sided certificate.
    p_upper: Option<UpperBound>,
    name: &'static str,
    evidence: Evidence,
}

impl Recertified<'_> {
    /// The certificate of the input from h's answers on the samples of its design, all of
    /// which are in the ledger. `anytime` selects anytime-valid bounds; it must be set if the
    /// number of samples depended on h's answers on this input.
    pub(super) fn conclude(
        &self,
        ledger: &Ledger,
        choice: Choice,
        anytime: bool,
    ) -> Result<Certificate, Error> {
        let input = self.input;
        let sigma = Sigma::new(ledger.header().sigma)?;
        let rounds = if anytime {
            None
        } else {
            self.answered(ledger, &choice)?
        };
        let choice = rounds.map_or(choice, |rounds| Choice {
            design: rounds.design,
            tilts: rounds.tilts,
            ..choice
        });
        let picked = input.pick(choice.design).samples(ledger, input.idx)?;
        let h_series = series(self.network, input.idx, picked.stream);
        let (answers, mut micros) = ledger.answers_at(h_series, &picked.samples)?;
        let found = self.bound(choice, rounds.as_ref(), (&picked.f, &answers), anytime)?;
        let conclusion = match found.p_upper {
            Some(p_upper) => {
                let bounds = (found.p_lower, p_upper);
                Conclusion::two_sided(input.class, bounds, sigma, found.name)?
            }
            None => Conclusion::one_sided(input.class, found.p_lower, sigma, found.name)?,
        };
        // The pilot's evaluations count as spent, whether or not the design contains them.
        let pilot = input.pick(Design::Loss {
            pairs: self.subject.pilot,
        });
        let piloted = pilot.samples(ledger, input.idx)?.samples;
        let in_design = |sample: &u32| {
            picked.stream == Stream::Certify && picked.samples.binary_search(sample).is_ok()
        };
        let extra: Vec<u32> = piloted
            .into_iter()
            .filter(|sample| !in_design(sample))
            .collect();
        let pilot_series = series(self.network, input.idx, Stream::Certify);
        micros += ledger.answers_at(pilot_series, &extra)?.1;
        Ok(certify::certificate(
            input.idx,
            self.claim.clone(),
            &conclusion,
            found.evidence,
            (answers.len() + extra.len()) as u64,
            micros,
        ))
    }

    /// The bound of a design from f's codes and h's answers on its samples, with its evidence.
    fn bound(
        &self,
        choice: Choice,
        rounds: Option<&TwoRounds>,
        (f_codes, answers): (&Codes, &[u16]),
        anytime: bool,
    ) -> Result<Found, Error> {
        let levels = self.study.levels;
        let Levels { f, h, whole } = levels;
        let Subject { n, k, .. } = self.subject;
        let class = self.input.class;
        let pilot = self.pilot();
        let pairs = answers.len() as u64;
        let other = pairs - count(answers, class);
        let invalid = count(answers, INVALID);
        let own = pairs - other;
        // The anytime-valid bound with its prior and its witness.
        let mixture = || {
            let (found, prior) = one_cell(levels, self.subject, choice, (pairs, other))?;
            Ok::<_, Error>((found.p_lower, [prior.a(), prior.b()], found.witness))
        };
        let mut p_upper = None;
        let (p_lower, name, evidence) = match choice.design {
            Design::Nothing => (LowerBound::ZERO, "none", self.nothing()),
            Design::Fresh { .. } if anytime => {
                let (p_lower, prior, witness) = mixture()?;
                let evidence = Evidence::FreshMixture {
                    class,
                    k: own,
                    n: pairs,
                    invalid,
                    pilot,
                    prior,
                    witness,
                };
                (p_lower, "mixture", evidence)
            }
            Design::Fresh { .. } => {
                let evidence = Evidence::Fresh {
                    class,
                    k: own,
                    n: pairs,
                    invalid,
                    pilot,
                };
                (bound::direct(own, pairs, whole)?, "fresh", evidence)
            }
            Design::FreshBoth { .. } | Design::Both { .. } if anytime => {
                return Err(Error::parameter(
                    "there is no bound of a two-sided design that holds after every round",
                ));
            }
            Design::FreshBoth { .. } => {
                let (found, evidence) = self.fresh_both(answers)?;
                p_upper = Some(found.p_upper);
                (found.p_lower, "fresh-two-sided", evidence)
            }
            Design::Loss { .. } if anytime => {
                let (p_lower, prior, witness) = mixture()?;
                let evidence = Evidence::LossMixture {
                    class,
                    k,
                    n,
                    pairs,
                    other,
                    invalid,
                    pilot,
                    prior,
                    witness,
                };
                (p_lower, "loss-mixture", evidence)
            }
            Design::Loss { .. } => {
                let evidence = Evidence::Loss {
                    class,
                    k,
                    n,
                    pairs,
                    other,
                    invalid,
                    pilot,
                };
                let p_lower = bound::coded_loss(k, n, f, Tally { pairs, other }, h)?;
                (p_lower, "loss", evidence)
            }
            Design::Both { .. } => {
                let (found, evidence) = self.both(f_codes, answers)?;
                p_upper = Some(found.p_upper);
                (found.p_lower, "both", evidence)
            }
            Design::Cells { .. } => {
                let (p_lower, evidence) =
                    self.cells(choice, rounds, (f_codes, answers), anytime)?;
                if anytime {
                    (p_lower, "cells", Evidence::Cells(evidence.into()))
                } else {
                    (p_lower, "tail", Evidence::Tail(evidence.into()))
                }
            }
        };
        Ok(Found {
            p_lower,
            p_upper,
            name,
            evidence,
        })
    }

    /// The evidence where nothing but the pilot was evaluated.
    fn nothing(&self) -> Evidence {
        let Subject { n, k, stopped, .. } = self.subject;
        // On an input on which f stopped, its counts are evidence of nothing.
        let (k, n) = if stopped { (0, 0) } else { (k, n) };
        Evidence::Nothing {
            class: self.input.class,
            k,
            n,
            pilot: self.pilot(),
        }
    }

    /// How many pilot samples there were.
    fn pilot(&self) -> u64 {
        self.subject.pilot.min(self.subject.k)
    }

    /// The two-sided bound from h's answers alone, with its evidence. Alpha is split by f's selection samples, as for
    /// a certificate from scratch.
    fn fresh_both(&self, answers: &[u16]) -> Result<(bound::TwoSided, Evidence), Error> {
        let class = self.input.class;
        let (votes, against) = self.input.selected;
        let shares = Shares::from_votes(votes, against, self.study.levels.whole)?;
        let mut answered = BTreeMap::new();
        tally(&mut answered, answers);
        let runner_up = bound::runner_up(&answered, class);
        let (k, n) = (certify::count(&answered, class), answers.len() as u64);
        let k_runner_up = runner_up.map_or(0, |(_, count)| count);
        let found = bound::two_sided(k, k_runner_up, n, shares)?;
        let evidence = Evidence::FreshBoth {
            class,
            k,
            n,
            invalid: certify::count(&answered, INVALID),
            pilot: self.pilot(),
            runner_up: runner_up.map(|(class, _)| class),
            k_runner_up,
            alpha_class: shares.class.get(),
            alpha_ratio: shares.ratio.get(),
            ratio_lower: found.ratio_lower.get(),
            p_upper: found.p_upper.get(),
        };
        Ok((found, evidence))
    }

    /// The two-sided bound from pairs, with its evidence.
    fn both(&self, f_codes: &Codes, answers: &[u16]) -> Result<(bound::Both, Evidence), Error> {
        let Levels { f, h, .. } = self.study.levels;
        let Subject { n, k, .. } = self.subject;
        let (class, runner_up) = (self.input.class, self.input.runner_up);
        let moved = moved(&f_codes.classes, class, answers);
        let found = bound::both(Answered { n, k, runner_up }, f, moved, h)?;
        let evidence = Evidence::Both {
            class,
            k,
            n,
            runner_up,
            pairs: moved.pairs,
            lost: moved.lost,
            arrived: moved.arrived,
            p_upper: found.p_upper.get(),
            invalid: count(answers, INVALID),
            pilot: self.pilot(),
        };
        Ok((found, evidence))
    }

    /// The bound over cells, with its evidence: that by Markov's inequality if it has to hold
    /// after every round, else that by the tail.
    fn cells(
        &self,
        choice: Choice,
        rounds: Option<&TwoRounds>,
        (f_codes, answers): (&Codes, &[u16]),
        anytime: bool,
    ) -> Result<(LowerBound, CellEvidence), Error> {
        let (class, n) = (self.input.class, self.subject.n);
        let mut cells: [bound::Cell; CELLS] = std::array::from_fn(|cell| bound::Cell {
            samples: self.subject.cells[cell],
            tilt: choice.tilts.cells[cell],
            ..bound::Cell::default()
        });
        for (sample, &answer) in answers.iter().enumerate() {
            if let Some(cell) = cell_of(f_codes, class, sample) {
                cells[cell].pairs += 1;
                cells[cell].own += u64::from(answer == class);
            }
        }
        let whole = self.study.levels.whole;
        let Tilts {
            codes: tilt,
            step,
            multiples,
            ..
        } = choice.tilts;
        let (p_lower, span) = if anytime {
            (bound::cells(n, tilt, &cells, whole)?, 0.0)
        } else {
            let lattice = Lattice {
                step,
                multiples: &multiples,
            };
            let first = rounds.map(TwoRounds::cells);
            let mut second = cells;
            for (cell, first) in second.iter_mut().zip(first.iter().flatten()) {
                cell.pairs -= first.pairs;
                cell.own -= first.own;
            }
            let first = first.as_ref().map_or(&[][..], |first| first);
            let found = bound::tail_after(n, tilt, first, &second, Some(lattice), whole)?;
            (found.p_lower, found.span)
        };
        let lattice = (span > 0.0).then_some(LatticeEvidence {
            multiples,
            span,
            step,
        });
        let evidence = CellEvidence {
            class,
            n,
            samples: cells.map(|cell| cell.samples),
            pairs: cells.map(|cell| cell.pairs),
            own: cells.map(|cell| cell.own),
            tilts: cells.map(|cell| cell.tilt),
            tilt,
            invalid: count(answers, INVALID),
            pilot: self.pilot(),
            lattice,
            first: rounds.map(TwoRounds::evidence),
        };
        Ok((p_lower, evidence))
    }
}

/// How often an answer was given.
fn count(answers: &[u16], answer: u16) -> u64 {
    answers.iter().filter(|&&other| other == answer).count() as u64
}

/// Counts where h's answers differ from f's: the class lost, and the largest gain of any
/// other answer.
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

/// The anytime-valid bound of a design with a single cell, and its prior.
fn one_cell(
    levels: Levels,
    subject: Subject,
    choice: Choice,
    (pairs, other): (u64, u64),
) -> Result<(bound::Anytime, Beta), Error> {
    let prior = subject.prior(choice.design, &choice.rates)?;
    let found = match choice.design {
        Design::Loss { .. } => {
            let tally = Tally { pairs, other };
            bound::anytime_loss((subject.k, subject.n), levels.f, tally, prior, levels.h)?
        }
        _ => bound::anytime(pairs - other, pairs, prior, levels.whole)?,
    };
    Ok((found, prior))
}
