//! Recertifying h where f's codes say it pays: `--method auto`.
//!
//! A pilot says how often h leaves f's class; that on one half of the inputs makes,
//! with f's codes, the plan for the other ([`crate::plan`]). Then h runs on the samples
//! chosen, and each input is concluded by the bound of its design. `SOUNDNESS.md`,
//! section 4, has the statement and its proof.
//!
//! Several networks share both passes: all pilots are one, and all designs are one,
//! in which a sample that several of them chose is made once. Each one's plan rests on
//! its own pilot alone, so it is what it would be without the others.

mod conclude;
mod until;

pub use until::recertify_until;

use std::borrow::Cow;
use std::collections::BTreeMap;

use recert_ledger::{Block, Codes, INVALID, Ledger, NetworkId, Series};
use recert_noise::Stream;
use recert_num::Alpha;

use crate::plan::{
    CELLS, Choice, Design, Goal, Levels, OWN, Picked, Picker, Pilot, Rates, Study, Subject,
    cell_of, count_cells, early,
};
use crate::run::{Chosen, Numbers, Request, Voter, collect_chosen, level};
use crate::{Error, Observer, Outcome, Sides, Source, bound, certify};

use conclude::Of;

/// What to recertify, and with how much.
#[derive(Debug, Clone, Copy)]
pub struct Auto {
    /// Total failure probability of each certificate.
    pub alpha: Alpha,
    /// How many candidates h is one of, if the choice among them may look at
    /// their results; 1 for a network named in advance.
    pub among: u32,
    /// How much to spend.
    pub goal: Goal,
    /// Whether to bound the runner-up too, where that may certify more.
    pub sides: Sides,
    /// Images in one call of the classifier.
    pub batch: usize,
}

/// An input that f has been certified on.
#[derive(Debug, Clone, Copy)]
struct Known {
    idx: u32,
    class: u16,
    /// How often f answered otherwise on the late samples, by the most frequent of
    /// these answers, [`INVALID`] being one.
    runner_up: u64,
}

/// The samples of a design of an input.
#[derive(Debug, Clone, Copy)]
struct Pick {
    class: u16,
    design: Design,
}

impl Pick {
    /// The samples, from f's codes in the ledger, read as far as is needed.
    fn samples(self, ledger: &Ledger, idx: u32) -> Result<Picked, Error> {
        let mut picker = Picker::new(self.design, self.class, ledger.header().n);
        for block in ledger.blocks(certified(ledger, idx), picker.range())? {
            let block = block?;
            picker.see(block.first, &block.codes);
            if picker.is_done() {
                break;
            }
        }
        Ok(picker.finish())
    }
}

impl Numbers for Pick {
    fn numbers(&self, ledger: &Ledger, idx: u32) -> Result<Cow<'_, [u32]>, Error> {
        Ok(Cow::Owned(self.samples(ledger, idx)?.samples))
    }
}

impl Known {
    fn pick(self, design: Design) -> Pick {
        Pick {
            class: self.class,
            design,
        }
    }

    fn request(self, network: NetworkId, design: Design) -> Request<Pick> {
        Request {
            network,
            idx: self.idx,
            stream: design.stream(),
            samples: self.pick(design),
        }
    }
}

impl Auto {
    /// The plan for `inputs`, all finished in the ledger, before any pilot.
    pub fn study(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Study, Error> {
        Ok(self.known(ledger, inputs)?.0)
    }

    /// The rates at which `network` left f's class on all samples of `inputs` that it has
    /// answered so far, and how many they were; `None` if there are none. For
    /// forecasts: decisions take rates from other inputs only.
    pub fn observed(
        &self,
        ledger: &Ledger,
        network: NetworkId,
        inputs: &[u32],
    ) -> Result<Option<(Rates, u64)>, Error> {
        let (study, all) = self.known(ledger, inputs)?;
        let mut pilots = Vec::new();
        for known in &all {
            let at = series(network, known.idx, Stream::Certify);
            let mut runs = ledger.answered(at)?.into_iter().peekable();
            let (mut samples, mut f) = (Vec::new(), Codes::default());
            for block in ledger.blocks(certified(ledger, known.idx), 0..ledger.header().n)? {
                let Block { first, codes, .. } = block?;
                for i in 0..codes.classes.len() {
                    let sample = first + i as u64;
                    while runs.next_if(|run| run.end <= sample).is_some() {}
                    if runs.peek().is_some_and(|run| run.start <= sample) {
                        samples.push(sample as u32);
                        f.push(&codes, i);
                    }
                }
                if runs.peek().is_none() {
                    break;
                }
            }
            let (h, _) = ledger.answers_at(at, &samples)?;
            pilots.push(pairs(&f, known.class, &h));
        }
        let pairs = pilots.iter().map(|pilot| pilot.len() as u64).sum();
        Ok((pairs > 0).then(|| (study.rates_of_all(&pilots), pairs)))
    }

    fn known(&self, ledger: &Ledger, inputs: &[u32]) -> Result<(Study, Vec<Known>), Error> {
        let n = ledger.header().n;
        let mut subjects = Vec::new();
        let mut known = Vec::new();
        let mut margins = true;
        for &idx in inputs {
            let selection = ledger.selection(ledger.base(), idx)?.ok_or_else(|| {
                Error::parameter(format!("input {idx} is not certified in the ledger"))
            })?;
            let class = selection.class;
            let mut votes = selection.counts;
            votes.insert(INVALID, selection.invalid);
            let (mut late, mut cells) = (BTreeMap::new(), [0; CELLS]);
            for block in ledger.blocks(certified(ledger, idx), 0..n)? {
                let Block { first, codes, .. } = block?;
                let is_early = early(n).saturating_sub(first) as usize;
                let (before, after) = codes.classes.split_at(is_early.min(codes.classes.len()));
                tally(&mut votes, before);
                tally(&mut late, after);
                count_cells(&codes, class, before.len(), &mut cells);
                margins &= codes.margins.is_some();
            }
            subjects.push(Subject {
                votes: votes.values().sum(),
                favour: certify::count(&votes, class),
                rival: bound::runner_up(&votes, class).map_or(0, |(_, votes)| votes),
                n: n - early(n),
                k: certify::count(&late, class),
                cells,
                pilot: 0,
                piloted: [0; CELLS],
            });
            late.remove(&class);
            known.push(Known {
                idx,
                class,
                runner_up: late.into_values().max().unwrap_or(0),
            });
        }
        let votes: Vec<(u64, u64)> = subjects.iter().map(|s| (s.favour, s.votes)).collect();
        let pilots = self.goal.pilots(&votes);
        for ((subject, known), pilot) in subjects.iter_mut().zip(&known).zip(pilots) {
            subject.pilot = pilot;
            let picked = known.pick(Design::Loss { pairs: pilot });
            let picked = picked.samples(ledger, known.idx)?;
            count_cells(&picked.f, known.class, 0, &mut subject.piloted);
        }
        let study = Study {
            subjects,
            both_sides: self.sides == Sides::Two,
            margins,
            // Fresh samples may come on top of the cached ones.
            levels: Levels::new(level(ledger.header(), self.alpha, 2 * n)?, self.among)?,
            goal: self.goal,
        };
        Ok((study, known))
    }

    fn chosen<'a>(&self, requests: &'a [Request<Pick>]) -> Chosen<'a, Pick> {
        Chosen {
            requests,
            batch: self.batch,
        }
    }

    /// Evaluates the pilot samples, in one pass: for each voter the rates for either
    /// half of the inputs; `None` if the observer stopped it.
    fn learn(
        &self,
        ledger: &mut Ledger,
        source: &dyn Source,
        (study, known): (&Study, &[Known]),
        voters: &mut [Voter<'_>],
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<[Rates; 2]>>, Error> {
        let networks: Vec<_> = voters.iter().map(|voter| voter.network).collect();
        let pilot = |subject: &Subject| Design::Loss {
            pairs: subject.pilot,
        };
        let requests: Vec<_> = (known.iter().zip(&study.subjects))
            .flat_map(|(known, subject)| {
                let of = |&network| known.request(network, pilot(subject));
                networks.iter().map(of)
            })
            .collect();
        let outcome = collect_chosen(
            ledger,
            source,
            &self.chosen(&requests),
            voters,
            observer,
            &mut |_, _, _| Ok(Vec::new()),
        )?;
        if outcome == Outcome::Stopped {
            return Ok(None);
        }
        let seen = |network: NetworkId| {
            let pilots = known.iter().zip(&study.subjects).map(|(known, subject)| {
                let picked = known.pick(pilot(subject)).samples(ledger, known.idx)?;
                let at = series(network, known.idx, picked.stream);
                let (h, _) = ledger.answers_at(at, &picked.samples)?;
                Ok(pairs(&picked.f, known.class, &h))
            });
            pilots.collect::<Result<Vec<Pilot>, Error>>()
        };
        let rates = (networks.iter()).map(|&network| Ok(study.rates(&seen(network)?)));
        rates.collect::<Result<Vec<_>, Error>>().map(Some)
    }
}

/// Recertifies each of `voters` on `inputs`, all of them finished in the ledger; the
/// same call again goes on where it was stopped. What is concluded about one of them
/// does not depend on the others, but for the share of alpha that [`Auto::among`]
/// leaves it.
pub fn recertify_auto(
    ledger: &mut Ledger,
    source: &dyn Source,
    inputs: &[u32],
    what: &Auto,
    voters: &mut [Voter<'_>],
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let (study, known) = what.known(ledger, inputs)?;
    let learned = what.learn(ledger, source, (&study, &known), voters, observer)?;
    let Some(rates) = learned else {
        return Ok(Outcome::Stopped);
    };
    let choices = (voters.iter().zip(rates))
        .map(|(voter, rates)| Ok((voter.network, study.choose(rates)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let requests: Vec<_> = (known.iter().enumerate())
        .flat_map(|(i, known)| {
            let of = move |(network, choices): &(NetworkId, Vec<Choice>)| {
                known.request(*network, choices[i].design)
            };
            choices.iter().map(of)
        })
        .collect();
    let claim = what.claim(ledger, (&study, &known), what.goal(known.len() as u64));
    let places = places(&known);
    let choices: BTreeMap<_, _> = choices.into_iter().collect();
    collect_chosen(
        ledger,
        source,
        &what.chosen(&requests),
        voters,
        observer,
        &mut |ledger, network, idx| {
            let i = places[&idx];
            let of = Of {
                study: &study,
                claim: &claim,
                network,
                known: known[i],
                subject: study.subjects[i],
            };
            Ok(vec![of.conclude(ledger, choices[&network][i], false)?])
        },
    )
}

/// Where each input is among those known.
fn places(known: &[Known]) -> BTreeMap<u32, usize> {
    let each = known.iter().enumerate();
    each.map(|(i, known)| (known.idx, i)).collect()
}

/// Of the samples that f answered with c: the cell of each, and whether h left it.
fn pairs(f: &Codes, class: u16, h: &[u16]) -> Pilot {
    // Without margins every sample counts as decided.
    let cell = |sample: usize| cell_of(f, class, sample).unwrap_or(OWN - 1);
    (h.iter().enumerate())
        .filter(|&(sample, _)| f.classes[sample] == class)
        .map(|(sample, &answer)| (cell(sample), answer != class))
        .collect()
}

/// Counts each answer.
fn tally<'a>(counts: &mut BTreeMap<u16, u64>, answers: impl IntoIterator<Item = &'a u16>) {
    for &answer in answers {
        *counts.entry(answer).or_insert(0) += 1;
    }
}

/// Where f's codes of an input are.
fn certified(ledger: &Ledger, idx: u32) -> Series {
    series(ledger.base(), idx, Stream::Certify)
}

fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: recert_ledger::Stream(stream.tag()),
    }
}
