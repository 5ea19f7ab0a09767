//! Recertifying h where f's codes say it pays: `--method auto`.
//!
//! A pilot on half of the inputs says how often h leaves f's class; the plan for
//! the other half follows from it and from f's codes ([`crate::plan`]). Then h
//! runs on the copies chosen, and each input is concluded by the bound of its
//! design. `SOUNDNESS.md`, section 4, has the statement and its proof.

mod until;

pub use until::recertify_until;

use std::collections::BTreeMap;

use recert_engine::Classifier;
use recert_ledger::{Certificate, Claim, Codes, INVALID, Ledger, NetworkId, Series};
use recert_noise::Stream;
use recert_num::{Alpha, LowerBound, Sigma};
use serde_json::json;

use crate::bound::{self, CUT, Conclusion, Tally};
use crate::certify;
use crate::plan::{
    Choice, Design, Goal, Levels, Pilot, Rates, Study, Subject, strata_codes, stratum,
};
use crate::run::{Chosen, Request, collect_chosen, level};
use crate::{Error, Observer, Outcome, Source};

/// What to recertify, and with how much.
#[derive(Debug, Clone, Copy)]
pub struct Auto {
    /// h's number in the ledger.
    pub network: NetworkId,
    /// Total failure probability of each certificate.
    pub alpha: Alpha,
    /// How many candidates h is one of, if the choice among them may look at
    /// their results; 1 for a network named in advance.
    pub among: u32,
    /// How much to spend.
    pub goal: Goal,
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// What the ledger says of an input before h runs on it.
struct Known {
    idx: u32,
    class: u16,
    f: Codes,
}

impl Auto {
    /// The plan for `inputs`, all finished in the ledger, before any pilot.
    pub fn study(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Study, Error> {
        Ok(self.known(ledger, inputs)?.0)
    }

    /// The rates at which h left f's class on all copies of `inputs` that it has
    /// answered so far, and how many they were; `None` if there are none. For
    /// forecasts: decisions take rates from other inputs only.
    pub fn observed(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Option<(Rates, u64)>, Error> {
        let (study, all) = self.known(ledger, inputs)?;
        let mut pilots = Vec::new();
        for known in &all {
            let at = series(self.network, known.idx, Stream::Certify);
            let mut copies: Vec<u32> = Vec::new();
            for run in ledger.answered(at)? {
                let answered = run.start as u32..run.end as u32;
                copies.extend(answered.filter(|&i| known.f.classes[i as usize] == known.class));
            }
            pilots.push(self.pairs(ledger, known, &copies)?);
        }
        let pairs = pilots.iter().map(|pilot| pilot.len() as u64).sum();
        Ok((pairs > 0).then(|| (study.rates_of_all(&pilots), pairs)))
    }

    fn known(&self, ledger: &Ledger, inputs: &[u32]) -> Result<(Study, Vec<Known>), Error> {
        let n = ledger.header().n;
        let mut subjects = Vec::new();
        let mut known = Vec::new();
        for &idx in inputs {
            let selection = ledger.selection(ledger.base(), idx)?.ok_or_else(|| {
                Error::parameter(format!("input {idx} is not certified in the ledger"))
            })?;
            let (f, _) = ledger.answers(series(ledger.base(), idx, Stream::Certify), n)?;
            let class = selection.class;
            subjects.push(Subject {
                n0: selection.copies,
                k0: selection.counts.get(&class).copied().unwrap_or(0),
                k: f.count(class),
                codes: strata_codes(&f, class),
            });
            known.push(Known { idx, class, f });
        }
        let study = Study {
            subjects,
            margins: known.iter().all(|known| known.f.margins.is_some()),
            // Fresh copies may come on top of the cached ones.
            levels: Levels::new(level(ledger.header(), self.alpha, 2 * n)?, self.among)?,
            goal: self.goal,
        };
        Ok((study, known))
    }

    fn chosen<'a>(&self, requests: &'a [Request]) -> Chosen<'a> {
        Chosen {
            network: self.network,
            requests,
            batch: self.batch,
        }
    }

    /// What the certificates claim: `copies` an input, and what they were to reach.
    fn claim(
        &self,
        ledger: &Ledger,
        study: &Study,
        (copies, goal): (u64, serde_json::Value),
    ) -> Claim {
        let parameters = json!({
            "alpha_f": study.levels.f.get(), "alpha_h": study.levels.h.get(),
            "among": self.among, "cut": CUT, "goal": goal, "inputs": study.subjects.len(),
        });
        let what = ("auto", copies, self.alpha);
        certify::claim(ledger.header(), what, &parameters, self.among)
    }

    /// The goal, and the copies an input that it makes on average, for the claim.
    fn goal(&self, inputs: u64) -> (u64, serde_json::Value) {
        match self.goal {
            Goal::Budget(total) => (total / inputs.max(1), json!({"budget": total})),
            Goal::Each(copies) => (copies, json!({"each": copies})),
            Goal::MeanRadius(radius) => (0, json!({"mean_radius_over_sigma": radius})),
        }
    }

    /// Evaluates the pilot copies: the rates for either half, and how many
    /// copies each input's pilot has; `None` if the observer stopped it.
    fn learn(
        &self,
        ledger: &mut Ledger,
        source: &dyn Source,
        (study, known): (&Study, &[Known]),
        classifiers: &mut [Box<dyn Classifier>],
        observer: &mut dyn Observer,
    ) -> Result<Option<([Rates; 2], Vec<u64>)>, Error> {
        let pilots: Vec<u64> = (0..known.len()).map(|i| study.pilot(i)).collect();
        let requests: Vec<Request> = (known.iter().zip(&pilots))
            .map(|(known, &pairs)| request(known, Design::Loss { pairs }))
            .collect();
        let outcome = collect_chosen(
            ledger,
            source,
            &self.chosen(&requests),
            classifiers,
            observer,
            &mut |_, _| Ok(Vec::new()),
        )?;
        if outcome == Outcome::Stopped {
            return Ok(None);
        }
        let seen = (known.iter().zip(&requests))
            .map(|(known, request)| self.pairs(ledger, known, &request.copies))
            .collect::<Result<Vec<Pilot>, Error>>()?;
        Ok(Some((study.rates(&seen), pilots)))
    }

    /// h's answers on copies that f answered with c.
    fn pairs(&self, ledger: &Ledger, known: &Known, copies: &[u32]) -> Result<Pilot, Error> {
        let at = series(self.network, known.idx, Stream::Certify);
        let (answers, _) = ledger.answers_at(at, copies)?;
        let decided = |copy: u32| stratum(&known.f, known.class, copy as usize) == Some(0);
        let each = copies.iter().zip(&answers);
        Ok(each
            .map(|(&copy, &answer)| (decided(copy), answer != known.class))
            .collect())
    }

    /// The certificate of one input from h's answers on the copies of its
    /// design, which are all in the ledger; by bounds that hold at any time if
    /// how many they are was decided by h's answers on it.
    fn conclude(
        &self,
        ledger: &Ledger,
        of: &Of<'_>,
        choice: Choice,
        anytime: bool,
    ) -> Result<Certificate, Error> {
        let &Of {
            study,
            known,
            subject,
            pilot,
            ..
        } = of;
        let sigma = Sigma::new(ledger.header().sigma)?;
        let Levels { f, h } = study.levels;
        let (class, n, k) = (known.class, subject.codes.n, subject.k);
        let (stream, copies) = choice.design.copies(&known.f, class);
        let at = series(self.network, known.idx, stream);
        let (answers, mut micros) = ledger.answers_at(at, &copies)?;
        let invalid = answers.iter().filter(|&&a| a == INVALID).count();
        let other = answers.iter().filter(|&&a| a != class).count() as u64;
        let pairs = copies.len() as u64;
        let (p_lower, name, counts) = match choice.design {
            Design::Nothing => (
                LowerBound::ZERO,
                "none",
                json!({"class": class, "k": k, "n": n}),
            ),
            Design::Fresh { .. } if anytime => {
                let (found, prior) = until::one_cell(study, subject, choice, (pairs, other))?;
                let counts = json!({
                    "class": class, "k": pairs - other, "n": pairs, "invalid": invalid,
                    "prior": [prior.a(), prior.b()], "witness": found.witness,
                });
                (found.p_lower, "mixture", counts)
            }
            Design::Loss { .. } if anytime => {
                let (found, prior) = until::one_cell(study, subject, choice, (pairs, other))?;
                let counts = json!({
                    "class": class, "k": k, "n": n, "pairs": pairs, "other": other,
                    "invalid": invalid,
                    "prior": [prior.a(), prior.b()], "witness": found.witness,
                });
                (found.p_lower, "loss-mixture", counts)
            }
            Design::Fresh { .. } => (
                bound::direct(pairs - other, pairs, h)?,
                "fresh",
                json!({"class": class, "k": pairs - other, "n": pairs, "invalid": invalid}),
            ),
            Design::Loss { .. } => (
                bound::coded_loss(k, n, f, Tally { pairs, other }, h)?,
                "loss",
                json!({"class": class, "k": k, "n": n, "pairs": pairs, "other": other,
                    "invalid": invalid}),
            ),
            Design::Strata { .. } => {
                let mut tallies = [Tally::default(); 2];
                for (&copy, &answer) in copies.iter().zip(&answers) {
                    if let Some(stratum) = stratum(&known.f, class, copy as usize) {
                        tallies[stratum].pairs += 1;
                        tallies[stratum].other += u64::from(answer != class);
                    }
                }
                let priors = subject.priors(choice.rates)?;
                let found = bound::strata(subject.codes, f, tallies, priors, h)?;
                let counts = json!({
                    "class": class, "n": n,
                    "decided": subject.codes.decided, "undecided": subject.codes.undecided,
                    "pairs": tallies.map(|t| t.pairs), "other": tallies.map(|t| t.other),
                    "invalid": invalid, "priors": priors.map(|p| [p.a(), p.b()]),
                    "witness": found.witness,
                });
                (found.p_lower, "strata", counts)
            }
        };
        let conclusion = Conclusion::one_sided(class, p_lower, sigma, name)?;
        // The pilot is paid for, whether or not its copies count.
        let (_, piloted) = Design::Loss { pairs: pilot }.copies(&known.f, class);
        let extra: Vec<u32> = (piloted.into_iter())
            .filter(|copy| stream != Stream::Certify || copies.binary_search(copy).is_err())
            .collect();
        micros += (ledger.answers_at(series(self.network, known.idx, Stream::Certify), &extra)?).1;
        let evaluations = pairs + extra.len() as u64;
        Ok(certify::certificate(
            known.idx,
            of.claim.clone(),
            &conclusion,
            &counts,
            evaluations,
            micros,
        ))
    }
}

/// Recertifies h on `inputs`, all of them finished in the ledger; the same call
/// again goes on where it was stopped.
pub fn recertify_auto(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    what: &Auto,
    classifiers: &mut [Box<dyn Classifier>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let (study, known) = what.known(ledger, inputs)?;
    let learned = what.learn(ledger, source, (&study, &known), classifiers, observer)?;
    let Some((rates, pilots)) = learned else {
        return Ok(Outcome::Stopped);
    };
    let choices = study.choose(rates)?;
    let requests: Vec<Request> = (known.iter().zip(&choices))
        .map(|(known, choice)| request(known, choice.design))
        .collect();
    let claim = what.claim(ledger, &study, what.goal(known.len() as u64));
    let place: BTreeMap<u32, usize> = known.iter().enumerate().map(|(i, k)| (k.idx, i)).collect();
    collect_chosen(
        ledger,
        source,
        &what.chosen(&requests),
        classifiers,
        observer,
        &mut |ledger, idx| {
            let i = place[&idx];
            let of = Of {
                study: &study,
                claim: &claim,
                known: &known[i],
                subject: study.subjects[i],
                pilot: pilots[i],
            };
            Ok(vec![what.conclude(ledger, &of, choices[i], false)?])
        },
    )
}

/// What an input's certificate rests on beside h's answers.
struct Of<'a> {
    study: &'a Study,
    claim: &'a Claim,
    known: &'a Known,
    subject: Subject,
    /// Copies of its pilot.
    pilot: u64,
}

fn request(known: &Known, design: Design) -> Request {
    let (stream, copies) = design.copies(&known.f, known.class);
    Request {
        idx: known.idx,
        stream,
        copies,
    }
}

fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: recert_ledger::Stream(stream.tag()),
    }
}
