//! Reading f's ledger: what decisions about an input depend on, and the samples that a design
//! takes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use recert_ledger::{Block, Codes, Header, INVALID, Ledger, NetworkId, Series};
use recert_noise::Stream;

use super::Auto;
use crate::budget::{
    CELLS, Design, Levels, OWN, Picked, Picker, Pilot, Rates, Study, Subject, cell_of, count_cells,
    early,
};
use crate::recertify::{first_answered, stopped_inputs};
use crate::run::{ChooseSamples, Wanted, level, series};
use crate::{Error, Sides, bound, certify};

/// An input that f has been certified on.
#[derive(Debug, Clone, Copy)]
pub(super) struct CertifiedInput {
    pub(super) idx: u32,
    pub(super) class: u16,
    /// f's selection samples with the class, and the largest number with any other class.
    pub(super) selected: (u64, u64),
    /// The largest count of an answer other than the class, [`INVALID`] included, among f's
    /// late samples.
    pub(super) runner_up: u64,
}

/// A design for an input with a given class, which determines the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) class: u16,
    pub(super) design: Design,
}

impl Pick {
    /// The samples, found from f's codes in the ledger; no more of these are read than needed.
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

    /// The design's samples, wanted of a network.
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

impl CertifiedInput {
    /// Reads an input from the ledger: the input, its subject without a pilot, and whether the
    /// ledger has its margins. `stopped` are those on which f stopped.
    pub(super) fn read(
        ledger: &Ledger,
        idx: u32,
        stopped: &BTreeSet<u32>,
    ) -> Result<(Self, Subject, bool), Error> {
        let n = ledger.header().n;
        let selection = ledger
            .selection(ledger.base(), idx)?
            .ok_or_else(|| not_certified(idx))?;
        let class = selection.class;
        let against = bound::runner_up(&selection.counts, class).map_or(0, |(_, votes)| votes);
        let selected = (certify::count(&selection.counts, class), against);
        let mut votes = selection.counts;
        votes.insert(INVALID, selection.invalid);
        if stopped.contains(&idx) {
            let subject = stopped_subject(ledger, idx, class, &votes)?;
            let input = Self {
                idx,
                class,
                selected,
                runner_up: 0,
            };
            return Ok((input, subject, true));
        }
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
            stopped: false,
            held: n - early(n),
            cells,
            pilot: 0,
            piloted: [0; CELLS],
        };
        late.remove(&class);
        let input = Self {
            idx,
            class,
            selected,
            runner_up: late.into_values().max().unwrap_or(0),
        };
        Ok((input, subject, margins))
    }

    /// Adds a pilot of this many samples to the subject.
    pub(super) fn with_pilot(
        self,
        ledger: &Ledger,
        mut subject: Subject,
        pilot: u64,
    ) -> Result<Subject, Error> {
        subject.pilot = pilot;
        if pilot == 0 {
            return Ok(subject);
        }
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

/// The subject of an input on which f stopped: f's answers tell how many fresh samples are
/// worth their cost, and nothing else.
fn stopped_subject(
    ledger: &Ledger,
    idx: u32,
    class: u16,
    votes: &BTreeMap<u16, u64>,
) -> Result<Subject, Error> {
    let n = ledger.header().n;
    let held = first_answered(ledger, certified(ledger, idx))?;
    let answered = ledger.answer_counts(certified(ledger, idx), held)?.0;
    Ok(Subject {
        votes: votes.values().sum(),
        favour: certify::count(votes, class),
        rival: bound::runner_up(votes, class).map_or(0, |(_, votes)| votes),
        n: n - early(n),
        k: certify::count(&answered, class),
        stopped: true,
        held,
        cells: [0; CELLS],
        pilot: 0,
        piloted: [0; CELLS],
    })
}

impl Auto {
    /// Everything that decisions about `inputs` depend on before any pilot is evaluated. All of
    /// `inputs` must be [finished](crate::finished_inputs) or
    /// [stopped](crate::stopped_inputs) in the ledger.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.recert");
    /// use recert_num::Alpha;
    /// use recert_smooth::budget::{Goal, Rates};
    /// use recert_smooth::{Auto, Run, Sides, Silent, Threads};
    ///
    /// # let mut ledger = Ledger::create(&path, &header())?;
    /// # let mut f = Threads::new([(ledger.base(), brighter_than(0.5))], 32)?;
    /// # let mut run = Run {
    /// #     ledger: &mut ledger,
    /// #     inputs: &Pixels,
    /// #     workers: &mut f,
    /// #     observer: &mut Silent,
    /// # };
    /// # let _ = recert_smooth::certify(&mut run, &[0, 4, 9], Sides::Two)?;
    /// // The ledger has inputs 0, 4 and 9, certified.
    /// let auto = Auto {
    ///     alpha: Alpha::new(0.002)?,
    ///     among: 1,
    ///     goal: Goal::Budget(300),
    ///     sides: Sides::Two,
    /// };
    /// let study = auto.study(&ledger, &[0, 4, 9])?;
    /// let forecast = study.forecast(&Rates::default())?;
    /// assert!(forecast.evaluations <= 300);
    /// assert!(forecast.radius > 0.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A parameter error if an input is not certified in the ledger, or if alpha is too small
    /// for this many candidates.
    pub fn study(&self, ledger: &Ledger, inputs: &[u32]) -> Result<Study, Error> {
        let stopped = stopped_inputs(ledger)?;
        let read = |&idx: &u32| CertifiedInput::read(ledger, idx, &stopped);
        let read = (inputs.iter().map(read)).collect::<Result<Vec<_>, _>>()?;
        let votes: Vec<_> = read.iter().map(|(_, s, _)| s.ballot()).collect();
        let subjects = (read.iter().zip(self.goal.pilots(&votes)))
            .map(|((input, subject, _), pilot)| input.with_pilot(ledger, *subject, pilot));
        Ok(Study {
            subjects: subjects.collect::<Result<_, _>>()?,
            both_sides: self.sides == Sides::Two,
            margins: read.iter().all(|(_, _, margins)| *margins),
            levels: self.levels(ledger.header())?,
            goal: self.goal,
        })
    }

    /// The shares of alpha for a ledger with this header.
    pub(super) fn levels(&self, header: &Header) -> Result<Levels, Error> {
        // A design may use fresh samples in addition to f's.
        Levels::new(level(header, self.alpha, 2 * header.n)?, self.among)
    }

    /// The rates observed for `network` on all samples of `inputs` that it has answered so far,
    /// and the number of these samples that f answered with the class; `None` if there are
    /// none. They serve forecasts; designs use only rates from other inputs.
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

/// The class that f's selection samples selected on an input.
pub(super) fn selected(ledger: &Ledger, idx: u32) -> Result<u16, Error> {
    let selection = ledger.selection(ledger.base(), idx)?;
    Ok(selection.ok_or_else(|| not_certified(idx))?.class)
}

fn not_certified(idx: u32) -> Error {
    Error::parameter(format!("input {idx} is not certified in the ledger"))
}

/// For each sample that f answered with the class: its cell, and whether h answered
/// otherwise.
pub(super) fn pairs(f: &Codes, class: u16, h: &[u16]) -> Pilot {
    // Without margins every sample counts as one of a large margin.
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

/// The series of f's codes on an input.
fn certified(ledger: &Ledger, idx: u32) -> Series {
    series(ledger.base(), idx, Stream::Certify)
}
