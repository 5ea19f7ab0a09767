//! Answers: recording them and reading them back.

use std::collections::BTreeMap;
use std::ops::Range;

use super::rows::{Piece, ascending, consecutive, insert, share};
use super::{Ledger, Series, unsigned};
use crate::codes::{Codes, INVALID};
use crate::records::NetworkId;
use crate::{Error, ErrorKind};

/// How much room a network's answers take in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBytes {
    /// Answers in the ledger, over all inputs and streams. Each is one evaluation; those
    /// of selection samples are not among them.
    pub samples: u64,
    /// Bytes of the numbers of the samples that are not consecutive.
    pub numbers: u64,
    /// Bytes of the classes.
    pub classes: u64,
    /// Bytes of the margins.
    pub margins: u64,
}

/// New answers of one series, to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct NewAnswers<'a> {
    /// The series that they belong to.
    pub series: Series,
    /// The samples answered, strictly ascending.
    pub samples: &'a [u32],
    /// One answer for each of them.
    pub answers: &'a Codes,
    /// The class whose margins are coded; needed only where there are margins.
    pub class: u16,
    /// The time that they took, in microseconds of one worker.
    pub micros: u64,
}

impl Ledger {
    /// Records the answers on the samples from `first` on: one transaction.
    ///
    /// `class` is the class whose margins are coded (f's selected class);
    /// needed only where `answers` has margins.
    ///
    /// # Errors
    /// As [`Ledger::put_chosen`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(50), 3, 1000)?;
    /// ledger.put_answers(series, 50, &answers(50), 3, 1000)?;
    /// assert_eq!(ledger.answered(series)?, [0..100]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_answers(
        &self,
        series: Series,
        first: u64,
        answers: &Codes,
        class: u16,
        micros: u64,
    ) -> Result<(), Error> {
        let samples = consecutive(first, answers.classes.len() as u64)
            .map_err(|problem| self.malformed(&format!("the list of answers {problem}")))?;
        self.put_chosen(series, &samples, answers, class, micros)
    }

    /// Records the answers on the samples with the ascending numbers `samples`:
    /// one transaction. An answer that is held already is not recorded twice.
    ///
    /// `class` is the class whose margins are coded (the selected one); needed
    /// only where `answers` has margins.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if any of the samples has been answered otherwise
    /// before; nothing is recorded then. [`ErrorKind::Malformed`] if the samples
    /// are not strictly ascending, or not as many as the answers.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_chosen(series, &[2, 3, 90], &answers(3), 3, 60)?;
    /// assert_eq!(ledger.answered(series)?, [2..4, 90..91]);
    /// // The same sample, answered otherwise.
    /// let other = Codes { classes: vec![7], margins: None };
    /// let error = ledger.put_chosen(series, &[90], &other, 3, 20).unwrap_err();
    /// assert_eq!(error.kind(), recert_ledger::ErrorKind::Conflict);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_chosen(
        &self,
        series: Series,
        samples: &[u32],
        answers: &Codes,
        class: u16,
        micros: u64,
    ) -> Result<(), Error> {
        self.put_series(&[NewAnswers {
            series,
            samples,
            answers,
            class,
            micros,
        }])
    }

    /// Records answers of several series, each named once, in one transaction.
    ///
    /// # Errors
    /// As [`Ledger::put_chosen`], and [`ErrorKind::Malformed`] if a series is
    /// named twice; nothing is recorded then, in any series.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// use recert_ledger::NewAnswers;
    ///
    /// let h = ledger.add_network(&network("pruned.onnx"))?;
    /// let codes = answers(3);
    /// let samples = &[0, 1, 2];
    /// let f = NewAnswers { series, samples, answers: &codes, class: 3, micros: 60 };
    /// let h = NewAnswers { series: Series { network: h, ..series }, ..f };
    /// ledger.put_series(&[f, h])?;
    /// assert_eq!(ledger.answered_count(h.series)?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_series(&self, all: &[NewAnswers<'_>]) -> Result<(), Error> {
        if all.is_empty() {
            return Ok(());
        }
        let repeated = |i: usize| all[..i].iter().any(|new| new.series == all[i].series);
        if (0..all.len()).any(repeated) {
            return Err(self.malformed("a series is named twice"));
        }
        let pieces = (all.iter())
            .map(|new| self.new_piece(new))
            .collect::<Result<Vec<_>, _>>()?;
        let write = || {
            let transaction = self.connection.unchecked_transaction()?;
            for (new, piece) in all.iter().zip(&pieces) {
                insert(&transaction, new.series, piece, new.class)?;
            }
            transaction.commit()
        };
        write().map_err(|e| self.sql(e))
    }

    /// Those of the answers that the ledger does not have yet.
    fn new_piece(&self, new: &NewAnswers<'_>) -> Result<Piece, Error> {
        let &NewAnswers {
            series,
            samples,
            answers,
            micros,
            ..
        } = new;
        let lengths = [
            Some(answers.classes.len()),
            answers.margins.as_ref().map(Vec::len),
        ];
        if lengths.into_iter().flatten().any(|l| l != samples.len()) {
            return Err(self.malformed("there is not exactly one answer for each sample"));
        }
        let recorded = self.classes_at(series, samples)?;
        for (i, recorded) in recorded.iter().enumerate() {
            match recorded {
                Some(recorded) if *recorded != answers.classes[i] => {
                    return Err(self.conflict(series, samples[i], *recorded, answers.classes[i]));
                }
                _ => {}
            }
        }
        let new = || (0..samples.len()).filter(|&i| recorded[i].is_none());
        Ok(Piece {
            samples: new().map(|i| samples[i]).collect(),
            codes: Codes {
                classes: new().map(|i| answers.classes[i]).collect(),
                margins: answers
                    .margins
                    .as_ref()
                    .map(|margins| new().map(|i| margins[i]).collect()),
            },
            micros: share(micros, new().count(), samples.len()),
        })
    }

    /// The ranges of samples answered so far, ascending and merged.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(50), 3, 1000)?;
    /// ledger.put_chosen(series, &[50, 70], &answers(2), 3, 40)?;
    /// assert_eq!(ledger.answered(series)?, [0..51, 70..71]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answered(&self, series: Series) -> Result<Vec<Range<u64>>, Error> {
        let mut runs = self.runs(series)?;
        runs.sort_by_key(|run| run.start);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for run in runs {
            match ranges.last_mut() {
                Some(last) if last.end >= run.start => last.end = last.end.max(run.end),
                _ => ranges.push(run),
            }
        }
        Ok(ranges)
    }

    /// The answers on samples `0..samples`, and the time they took in
    /// microseconds of one worker (in proportion where a stored piece reaches
    /// beyond `samples`). Margins only if all of these samples have them.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if any of them has not been answered yet.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// let (codes, micros) = ledger.answers(series, 50)?;
    /// assert_eq!((codes.count(3), codes.count(5), micros), (45, 5, 1000));
    /// # Ok(())
    /// # }
    /// ```
    pub fn answers(&self, series: Series, samples: u64) -> Result<(Codes, u64), Error> {
        self.answers_in(series, 0..samples)
    }

    /// The answers on `samples`, as by [`Ledger::answers`].
    ///
    /// # Errors
    /// As [`Ledger::answers`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// let (codes, _) = ledger.answers_in(series, 8..11)?;
    /// assert_eq!(codes.classes, [3, 5, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answers_in(&self, series: Series, samples: Range<u64>) -> Result<(Codes, u64), Error> {
        let (mut all, mut micros) = (Codes::default(), 0);
        for block in self.blocks(series, samples)? {
            let block = block?;
            all.classes.extend(block.codes.classes);
            if let Some(margins) = block.codes.margins {
                all.margins.get_or_insert_default().extend(margins);
            }
            micros += block.micros;
        }
        Ok((all, micros))
    }

    /// How often each answer, [`INVALID`] included, was given on samples `0..samples`, and
    /// the time that they took, as by [`Ledger::answers`].
    ///
    /// # Errors
    /// As [`Ledger::answers`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// let (counts, micros) = ledger.answer_counts(series, 100)?;
    /// assert_eq!((counts, micros), ([(3, 90), (5, 10)].into(), 2000));
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer_counts(
        &self,
        series: Series,
        samples: u64,
    ) -> Result<(BTreeMap<u16, u64>, u64), Error> {
        let (mut counts, mut micros) = (BTreeMap::new(), 0);
        for block in self.blocks(series, 0..samples)? {
            let block = block?;
            for class in block.codes.classes {
                *counts.entry(class).or_insert(0) += 1;
            }
            micros += block.micros;
        }
        Ok((counts, micros))
    }

    /// The class answered on each of `samples`: [`INVALID`] for an invalid answer, `None`
    /// for a sample not answered yet. `samples` must be strictly ascending.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if `samples` is not strictly ascending.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// assert_eq!(ledger.classes_at(series, &[9, 100])?, [Some(5), None]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn classes_at(&self, series: Series, samples: &[u32]) -> Result<Vec<Option<u16>>, Error> {
        Ok(self.find(series, samples)?.0)
    }

    /// The class answered on each of `samples`, [`INVALID`] for an invalid
    /// answer, and the time that these took in microseconds of one worker (in
    /// proportion where they were stored with others). `samples` must be
    /// strictly ascending.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if any of them has not been answered yet,
    /// [`ErrorKind::Malformed`] if they are not ascending.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// assert_eq!(ledger.answers_at(series, &[8, 9])?, (vec![3, 5], 40));
    /// assert!(ledger.answers_at(series, &[9, 100]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn answers_at(&self, series: Series, samples: &[u32]) -> Result<(Vec<u16>, u64), Error> {
        let (classes, micros) = self.find(series, samples)?;
        let held = classes.iter().flatten().count();
        if held < samples.len() {
            return Err(self.missing(series, held as u64, samples.len() as u64));
        }
        Ok((classes.into_iter().flatten().collect(), micros))
    }

    /// How many samples of a series have been answered.
    pub fn answered_count(&self, series: Series) -> Result<u64, Error> {
        let ranges = self.answered(series)?;
        Ok(ranges.iter().map(|range| range.end - range.start).sum())
    }

    /// How many answers of a network the ledger holds, and how many bytes they take.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// let stored = ledger.stored_bytes(ledger.base())?;
    /// assert_eq!((stored.samples, stored.margins), (100, 0));
    /// assert!(stored.classes < 50);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stored_bytes(&self, network: NetworkId) -> Result<StoredBytes, Error> {
        let sums = self.rows(
            "SELECT coalesce(sum(copies), 0) AS copies,
                    coalesce(sum(length(numbers)), 0) AS numbers,
                    coalesce(sum(length(classes)), 0) AS classes,
                    coalesce(sum(length(margins)), 0) AS margins
             FROM (SELECT copies, NULL AS numbers, classes, margins FROM answers
                   WHERE network = ?1
                   UNION ALL
                   SELECT copies, numbers, classes, margins FROM chosen WHERE network = ?1)",
            [network.0],
            |row| {
                Ok(StoredBytes {
                    samples: unsigned(row, "copies")?,
                    numbers: unsigned(row, "numbers")?,
                    classes: unsigned(row, "classes")?,
                    margins: unsigned(row, "margins")?,
                })
            },
        )?;
        Ok(sums[0])
    }

    /// The class whose margins are coded, which is the selected one.
    pub(super) fn margin_class(&self, series: Series) -> Result<u16, Error> {
        let selection = self.selection(series.network, series.idx)?;
        Ok(selection.map_or(0, |selection| selection.class))
    }

    /// The class on each of `samples`, and the time that the answers found took.
    fn find(&self, series: Series, samples: &[u32]) -> Result<(Vec<Option<u16>>, u64), Error> {
        if !ascending(samples) {
            return Err(self.malformed("the list of samples is not strictly ascending"));
        }
        let mut found = vec![None; samples.len()];
        let mut time = 0;
        let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else {
            return Ok((found, time));
        };
        for entry in self.index(series, first..=last, usize::MAX)? {
            let stored = self.stored(series, entry)?;
            let held = self.samples(series, &stored)?;
            let shared = common_positions(samples, &held);
            if shared.is_empty() {
                continue;
            }
            let classes = self.classes(series, &stored)?;
            time += share(stored.micros, shared.len(), held.len());
            for (asked, stored) in shared {
                let class = classes[stored];
                match found[asked].replace(class) {
                    Some(other) if other != class => {
                        return Err(self.two_answers(series, samples[asked], [other, class]));
                    }
                    _ => {}
                }
            }
        }
        Ok((found, time))
    }

    fn malformed(&self, problem: &str) -> Error {
        let message = format!("cannot record or return answers: {problem}");
        Error::new(ErrorKind::Malformed, &self.path, message)
    }

    pub(super) fn missing(&self, series: Series, held: u64, wanted: u64) -> Error {
        let message = format!(
            "has only {held} of {wanted} samples of input {}",
            series.idx
        );
        Error::new(ErrorKind::Missing, &self.path, message)
    }

    fn conflict(&self, series: Series, sample: u32, recorded: u16, new: u16) -> Error {
        let file = self
            .networks()
            .ok()
            .and_then(|all| all.into_iter().find(|(id, _)| *id == series.network))
            .map_or_else(String::new, |(_, network)| format!(" ({})", network.file));
        let words = |class| match class {
            INVALID => "no valid class".to_owned(),
            class => format!("class {class}"),
        };
        let message = format!(
            "network {}{file} now answers sample {sample} of input {} (stream {}) with {}, but the \
             ledger has {}: its answers cannot be reproduced; use another ledger for it, and an \
             engine whose answers do not depend on the batch",
            series.network.0,
            series.idx,
            series.stream.0,
            words(new),
            words(recorded),
        );
        Error::new(ErrorKind::Conflict, &self.path, message)
    }
}

/// The numbers that two ascending lists have in common, each as its position in the first
/// list and its position in the second.
fn common_positions(asked: &[u32], held: &[u32]) -> Vec<(usize, usize)> {
    let (Some(&from), Some(&to)) = (held.first(), held.last()) else {
        return Vec::new();
    };
    let start = asked.partition_point(|&sample| sample < from);
    let end = asked.partition_point(|&sample| sample <= to);
    let mut position = 0;
    let mut pairs = Vec::new();
    for (i, &sample) in asked[start..end].iter().enumerate() {
        position += held[position..].partition_point(|&number| number < sample);
        if held.get(position) == Some(&sample) {
            pairs.push((start + i, position));
        }
    }
    pairs
}
