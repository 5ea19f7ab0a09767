//! Answers: writing, reading and merging the coded classes and margins.

use std::ops::Range;

use rusqlite::{Connection, params};

use super::{Ledger, Series, unsigned};
use crate::codes::{self, Codes};
use crate::records::NetworkId;
use crate::{Error, ErrorKind};

/// Chunks are merged into segments of up to this many copies once an input is
/// done; a multiple of any sensible chunk, small enough to decode at once.
const SEGMENT: u64 = 1 << 16;

/// The answers on adjacent copies, decoded.
pub(super) struct Piece {
    pub(super) first: u64,
    pub(super) copies: u64,
    pub(super) codes: Codes,
    pub(super) micros: u64,
}

/// A row of answers as it is stored.
struct Stored {
    first: u64,
    copies: u64,
    classes: Vec<u8>,
    margins: Option<Vec<u8>>,
    micros: u64,
}

impl Ledger {
    /// Records the answers on the copies from `first` on: one transaction.
    ///
    /// `class` is the class whose margins are coded (f's selected class);
    /// needed only where `answers` has margins.
    pub fn put_answers(
        &self,
        series: Series,
        first: u64,
        answers: &Codes,
        class: u16,
        micros: u64,
    ) -> Result<(), Error> {
        insert_answers(&self.connection, series, first, answers, class, micros)
            .map_err(|e| self.sql(e))
    }

    /// The ranges of copies answered so far, ascending and merged.
    pub fn answered(&self, series: Series) -> Result<Vec<Range<u64>>, Error> {
        let pieces = self.rows(
            "SELECT first, copies FROM answers
             WHERE network = ?1 AND idx = ?2 AND stream = ?3 ORDER BY first",
            params![series.network.0, series.idx, series.stream.0],
            |row| Ok((unsigned(row, "first")?, unsigned(row, "copies")?)),
        )?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (first, copies) in pieces {
            match ranges.last_mut() {
                Some(last) if last.end == first => last.end += copies,
                _ => ranges.push(first..first + copies),
            }
        }
        Ok(ranges)
    }

    /// The answers on copies `0..copies`, and the time they took in
    /// microseconds of one worker (in proportion where a stored piece reaches
    /// beyond `copies`).
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if any of them has not been answered yet.
    pub fn answers(&self, series: Series, copies: u64) -> Result<(Codes, u64), Error> {
        let class = self.margin_class(series)?;
        let mut all = Codes::default();
        let mut time = 0;
        for stored in self.stored(series, "first < ?4", copies)? {
            // What lies beyond a gap is of no use and need not be intact.
            if stored.first != all.classes.len() as u64 {
                break;
            }
            let mut piece = self.decoded(series, &stored, class)?;
            let used = piece.copies.min(copies - piece.first);
            piece.codes.classes.truncate(used as usize);
            if let Some(margins) = &mut piece.codes.margins {
                margins.truncate(used as usize);
            }
            time += (u128::from(piece.micros) * u128::from(used) / u128::from(piece.copies.max(1)))
                as u64;
            all.extend(piece.codes);
        }
        if (all.classes.len() as u64) < copies {
            let message = format!(
                "has only {} of {copies} copies of input {}",
                all.classes.len(),
                series.idx
            );
            return Err(Error::new(ErrorKind::Missing, &self.path, message));
        }
        Ok((all, time))
    }

    /// Bytes stored for the classes and for the margins of a network's
    /// answers, and the number of copies they are of.
    pub fn stored_bytes(&self, network: NetworkId) -> Result<(u64, u64, u64), Error> {
        let sums = self.rows(
            "SELECT coalesce(sum(length(classes)), 0) AS classes,
                    coalesce(sum(length(margins)), 0) AS margins,
                    coalesce(sum(copies), 0) AS copies
             FROM answers WHERE network = ?1",
            [network.0],
            |row| {
                Ok((
                    unsigned(row, "classes")?,
                    unsigned(row, "margins")?,
                    unsigned(row, "copies")?,
                ))
            },
        )?;
        Ok(sums[0])
    }

    /// The class whose margins are coded: the selected one.
    pub(super) fn margin_class(&self, series: Series) -> Result<u16, Error> {
        let selection = self.selection(series.network, series.idx)?;
        Ok(selection.map_or(0, |selection| selection.class))
    }

    /// The groups of adjacent pieces worth merging, each as one piece.
    pub(super) fn segments(&self, series: Series, class: u16) -> Result<Vec<Piece>, Error> {
        let mut segments: Vec<Piece> = Vec::new();
        let mut merged = Vec::new();
        for stored in self.stored(series, "copies < ?4", SEGMENT)? {
            let piece = self.decoded(series, &stored, class)?;
            match segments.last_mut() {
                Some(last)
                    if last.first + last.copies == piece.first
                        && last.copies + piece.copies <= SEGMENT =>
                {
                    last.copies += piece.copies;
                    last.micros += piece.micros;
                    last.codes.extend(piece.codes);
                    *merged.last_mut().expect("one flag a segment") = true;
                }
                _ => {
                    segments.push(piece);
                    merged.push(false);
                }
            }
        }
        let mut flags = merged.into_iter();
        segments.retain(|_| flags.next().unwrap_or(false));
        Ok(segments)
    }

    /// The stored rows of a series that meet `condition`, a comparison of one
    /// column with `bound` (`?4`), in order of their first copy.
    fn stored(&self, series: Series, condition: &str, bound: u64) -> Result<Vec<Stored>, Error> {
        self.rows(
            &format!(
                "SELECT first, copies, classes, margins, micros FROM answers
                 WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND {condition} ORDER BY first"
            ),
            params![series.network.0, series.idx, series.stream.0, bound as i64],
            |row| {
                Ok(Stored {
                    first: unsigned(row, "first")?,
                    copies: unsigned(row, "copies")?,
                    classes: row.get("classes")?,
                    margins: row.get("margins")?,
                    micros: unsigned(row, "micros")?,
                })
            },
        )
    }

    /// A stored row of `series`, decoded; `class` is the one its margins were
    /// coded with.
    fn decoded(&self, series: Series, stored: &Stored, class: u16) -> Result<Piece, Error> {
        let margins = stored.margins.as_deref();
        let codes = decode(&stored.classes, margins, stored.copies, class).map_err(|what| {
            let message = format!(
                "is damaged: the answers of input {} from copy {}: the blob {what}",
                series.idx, stored.first
            );
            Error::new(ErrorKind::Corrupt, &self.path, message)
        })?;
        Ok(Piece {
            first: stored.first,
            copies: stored.copies,
            codes,
            micros: stored.micros,
        })
    }
}

/// Writes the answers on the copies from `first` on as one row.
pub(super) fn insert_answers(
    connection: &Connection,
    series: Series,
    first: u64,
    answers: &Codes,
    class: u16,
    micros: u64,
) -> rusqlite::Result<()> {
    let (classes, margins) = encode(answers, class);
    connection
        .prepare_cached("INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            series.network.0,
            series.idx,
            series.stream.0,
            first as i64,
            answers.classes.len() as i64,
            classes,
            margins,
            micros as i64,
        ])?;
    Ok(())
}

fn encode(answers: &Codes, class: u16) -> (Vec<u8>, Option<Vec<u8>>) {
    let classes = codes::encode(&answers.classes, 1, |_| 0);
    let margins = answers.margins.as_ref().map(|margins| {
        let symbols: Vec<u16> = margins.iter().map(|&m| m.into()).collect();
        codes::encode(&symbols, 2, |i| usize::from(answers.classes[i] == class))
    });
    (classes, margins)
}

fn decode(
    classes: &[u8],
    margins: Option<&[u8]>,
    copies: u64,
    class: u16,
) -> Result<Codes, String> {
    let classes = codes::decode(classes, copies, 1, |_| 0)?;
    let margins = margins
        .map(|blob| {
            let symbols = codes::decode(blob, copies, 2, |i| usize::from(classes[i] == class))?;
            symbols
                .into_iter()
                .map(|m| u8::try_from(m).ok().filter(|&m| m < codes::MARGIN_BUCKETS))
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| "has a margin out of range".to_owned())
        })
        .transpose()?;
    Ok(Codes { classes, margins })
}
