//! What the ledger of f shows of each input: what decisions about it look at, and the
//! samples that a design of it takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use recert_ledger::{Block, Codes, INVALID, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::Auto;
use crate::budget::{
    CELLS, Design, Levels, OWN, Picked, Picker, Pilot, Rates, Study, Subject, cell_of, count_cells,
    early,
};
use crate::run::{ChooseSamples, Wanted, level, series};
use crate::{Error, Sides, bound, certify};

/// An input that f has been certified on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) idx: u32,
    pub(super) class: u16,
    /// How often f answered otherwise on the late samples, by the most frequent of
    /// these answers, [`INVALID`] being one.
    pub(super) runner_up: u64,
}

/// The samples of a design of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) class: u16,
    pub(super) design: Design,
}

impl Pick {
    /// The samples, from f's codes in the ledger, read as far as is needed.
    pub(super) fn samples(self, ledger: &Ledger, idx: u32) -> Result<Picked, Error> {
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

    /// The samples as those wanted of a network.
    pub(super) fn wanted(self, network: NetworkId, idx: u32) -> Wanted<Self> {
        Wanted {
            network,
            idx,
            stream: self.design.stream(),
            samples: self,
        }
    }
}

impl ChooseSamples for Pick {
    fn samples(&self, ledger: &Ledger, idx: u32) -> Result<Cow<'_, [u32]>, Error> {
        Ok(Cow::Owned(Pick::samples(*self, ledger, idx)?.samples))
    }
}

impl Known {
    /// An input as the ledger has it, what decisions about it look at but its pilot,
    /// and whether its margins are known.
    pub(super) fn read(ledger: &Ledger, idx: u32) -> Result<(Self, Subject, bool), Error> {
        let n = ledger.header().n;
        let selection = ledger
            .selection(ledger.base(), idx)?
            .ok_or_else(|| not_certified(idx))?;
        let class = selection.class;
        let mut votes = selection.counts;
        votes.insert(INVALID, selection.invalid);
        let (mut late, mut cells) = (BTreeMap::new(), [0; CELLS]);
        let mut margins = true;
        for block in ledger.blocks(certified(ledger, idx), 0..n)? {
            let Block { first, codes, .. } = block?;
            let is_early = early(n).saturating_sub(first) as usize;
            let (before, after) = codes.classes.split_at(is_early.min(codes.classes.len()));
            tally(&mut votes, before);
            tally(&mut late, after);
            count_cells(&codes, class, before.len(), &mut cells);
            margins &= codes.margins.is_some();
        }
        let subject = Subject {
            votes: votes.values().sum(),
            favour: certify::count(&votes, class),
            rival: bound::runner_up(&votes, class).map_or(0, |(_, votes)| votes),
            n: n - early(n),
            k: certify::count(&late, class),
            cells,
            pilot: 0,
            piloted: [0; CELLS],
        };
        late.remove(&class);
        let known = Self {
            idx,
            class,
            runner_up: late.into_values().max().unwrap_or(0),
        };
        Ok((known, subject, margins))
    }

    /// The subject with a pilot of so many samples.
    pub(super) fn with_pilot(
        self,
        ledger: &Ledger,
        mut subject: Subject,
        pilot: u64,
    ) -> Result<Subject, Error> {
        subject.pilot = pilot;
        let picked = self.pick(Design::Loss { pairs: pilot });
        let picked = picked.samples(ledger, self.idx)?;
        count_cells(&picked.f, self.class, 0, &mut subject.piloted);
        Ok(subject)
    }

    pub(super) fn pick(self, design: Design) -> Pick {
        Pick {
            class: self.class,
            design,
        }
    }
}

impl Auto {
    /// What decisions about `inputs`, all finished in the ledger, rest on before any
    /// pilot.
    pub fn study(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Study, Error> {
        let read = |&idx: &u32| Known::read(ledger, idx);
        let read = (inputs.iter().map(read)).collect::<Result<Vec<_>, _>>()?;
        let votes: Vec<_> = read.iter().map(|(_, s, _)| (s.favour, s.votes)).collect();
        let subjects = (read.iter().zip(self.goal.pilots(&votes)))
            .map(|((known, subject, _), pilot)| known.with_pilot(ledger, *subject, pilot));
        Ok(Study {
            subjects: subjects.collect::<Result<_, _>>()?,
            both_sides: self.sides == Sides::Two,
            margins: read.iter().all(|(_, _, margins)| *margins),
            // Fresh samples may come on top of the cached ones.
            levels: Levels::new(
                level(ledger.header(), self.alpha, 2 * ledger.header().n)?,
                self.among,
            )?,
            goal: self.goal,
        })
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
        let study = self.study(ledger, inputs)?;
        let mut pilots = Vec::new();
        for &idx in inputs {
            let h_series = series(network, idx, Stream::Certify);
            let mut runs = ledger.answered(h_series)?.into_iter().peekable();
            let (mut samples, mut f) = (Vec::new(), Codes::default());
            for block in ledger.blocks(certified(ledger, idx), 0..ledger.header().n)? {
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
            let (h, _) = ledger.answers_at(h_series, &samples)?;
            pilots.push(pairs(&f, selected(ledger, idx)?, &h));
        }
        let pairs = pilots.iter().map(|pilot| pilot.len() as u64).sum();
        Ok((pairs > 0).then(|| (study.rates_of_all(&pilots), pairs)))
    }
}

/// The class that f's selection samples selected.
pub(super) fn selected(ledger: &Ledger, idx: u32) -> Result<u16, Error> {
    let selection = ledger.selection(ledger.base(), idx)?;
    Ok(selection.ok_or_else(|| not_certified(idx))?.class)
}

fn not_certified(idx: u32) -> Error {
    Error::parameter(format!("input {idx} is not certified in the ledger"))
}

/// Of the samples that f answered with c: the cell of each, and whether h left it.
pub(super) fn pairs(f: &Codes, class: u16, h: &[u16]) -> Pilot {
    // Without margins every sample counts as decided.
    let cell = |sample: usize| cell_of(f, class, sample).unwrap_or(OWN - 1);
    (h.iter().enumerate())
        .filter(|&(sample, _)| f.classes[sample] == class)
        .map(|(sample, &answer)| (cell(sample), answer != class))
        .collect()
}

/// Counts each answer.
pub(super) fn tally<'a>(
    counts: &mut BTreeMap<u16, u64>,
    answers: impl IntoIterator<Item = &'a u16>,
) {
    for &answer in answers {
        *counts.entry(answer).or_insert(0) += 1;
    }
}

/// Where f's codes of an input are.
fn certified(ledger: &Ledger, idx: u32) -> Series {
    series(ledger.base(), idx, Stream::Certify)
}
