//! Reading a series in the order of its samples, one block at a time.

use std::ops::Range;

use super::rows::{Entry, group_len};
use super::{Ledger, Series};
use crate::Error;
use crate::codes::Codes;

/// Answers on consecutive samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first sample.
    pub first: u64,
    /// The answers on it and the next ones.
    pub codes: Codes,
    /// The time that they took, in microseconds of one worker (in proportion
    /// where they are a part of a stored piece).
    pub micros: u64,
}

/// An iterator over the answers on a range of samples, in order and without gaps; made by
/// [`Ledger::blocks`].
#[derive(Debug)]
pub struct Blocks<'a> {
    ledger: &'a Ledger,
    series: Series,
    /// The rows not read yet.
    index: std::vec::IntoIter<Entry>,
    /// Samples not returned yet, and all samples that were asked for.
    left: Range<u64>,
    asked: Range<u64>,
    margins: bool,
    class: u16,
}

impl Ledger {
    /// The answers on `samples`, block by block. Only one stored piece is in memory at a
    /// time, however many samples there are. The blocks have margins if all of `samples`
    /// have them.
    ///
    /// The iterator ends with an error of kind [`crate::ErrorKind::Missing`] where
    /// a sample has not been answered yet.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/example.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (ledger, series) = example(folder.path())?;
    /// ledger.put_answers(series, 0, &answers(100), 3, 2000)?;
    /// let mut first_other = None;
    /// for block in ledger.blocks(series, 0..100)? {
    ///     let block = block?;
    ///     let position = block.codes.classes.iter().position(|&class| class != 3);
    ///     if let Some(i) = position {
    ///         first_other = Some(block.first + i as u64);
    ///         break; // and nothing further is read
    ///     }
    /// }
    /// assert_eq!(first_other, Some(9));
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocks(&self, series: Series, samples: Range<u64>) -> Result<Blocks<'_>, Error> {
        let fit = |sample: u64| u32::try_from(sample).unwrap_or(u32::MAX);
        let index = match samples.end.checked_sub(1) {
            Some(last) if !samples.is_empty() => {
                self.index(series, fit(samples.start)..=fit(last), usize::MAX)?
            }
            _ => Vec::new(),
        };
        Ok(Blocks {
            ledger: self,
            series,
            margins: index.iter().all(Entry::has_margins),
            index: index.into_iter(),
            left: samples.clone(),
            asked: samples,
            class: self.margin_class(series)?,
        })
    }
}

impl Blocks<'_> {
    /// The next block; `None` where the next sample is missing.
    fn read(&mut self) -> Result<Option<Block>, Error> {
        let rows = self.index.as_slice();
        let (group, _) = rows.split_at(group_len(rows));
        if group.is_empty() {
            return Ok(None);
        }
        let mut piece = self.ledger.piece(self.series, group, self.class)?;
        let rows = group.len();
        self.index.nth(rows - 1);
        let below = |end: u64| move |&sample: &u32| u64::from(sample) < end;
        piece.split_off(piece.samples.partition_point(below(self.left.end)));
        let mut piece = piece.split_off(piece.samples.partition_point(below(self.left.start)));
        let gap = (piece.samples.iter().zip(self.left.start..))
            .any(|(&sample, expected)| u64::from(sample) != expected);
        if gap {
            return Ok(None);
        }
        if !self.margins {
            piece.codes.margins = None;
        }
        let first = self.left.start;
        self.left.start += piece.samples.len() as u64;
        Ok(Some(Block {
            first,
            codes: piece.codes,
            micros: piece.micros,
        }))
    }

    /// The error that reports how many of the samples are missing.
    fn missing(&self) -> Error {
        let Range { start, end } = self.asked;
        let inside = |run: &Range<u64>| run.end.min(end).saturating_sub(run.start.max(start));
        match self.ledger.answered(self.series) {
            Ok(runs) => {
                let held: u64 = runs.iter().map(inside).sum();
                self.ledger.missing(self.series, held, end - start)
            }
            Err(error) => error,
        }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let block = match self.read() {
            Ok(Some(block)) => return Some(Ok(block)),
            Ok(None) => self.missing(),
            Err(error) => error,
        };
        self.left.start = self.left.end;
        Some(Err(block))
    }
}
