//! Rows of answers: reading them from the two tables, writing them, and merging them.
//!
//! Answers on consecutive samples are rows of the table `answers`, answers on any other
//! samples are rows of `chosen`. Which of the two tables holds a sample makes no difference
//! outside this module.

use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, Row, params};

use super::{Ledger, Series, unsigned};
use crate::codes::{self, Codes, MAX_SAMPLES};
use crate::{Error, ErrorKind, numbers};

/// Once an input is concluded, its rows are merged into segments of up to this many
/// samples: few rows for an input, each small enough to decode at once.
pub(super) const SEGMENT: usize = 1 << 16;

/// Answers on ascending samples, decoded.
pub(super) struct Piece {
    pub(super) samples: Vec<u32>,
    pub(super) codes: Codes,
    pub(super) micros: u64,
}

/// The key of a row and the range of its samples: all that is kept in memory of a row that
/// is not being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    first: u64,
    /// Its last sample.
    last: u64,
    chosen: bool,
    margins: bool,
}

impl Entry {
    /// Whether its samples have margins.
    pub(super) fn has_margins(&self) -> bool {
        self.margins
    }
}

/// A row of either table as it is stored.
pub(super) struct Stored {
    pub(super) samples: u64,
    pub(super) micros: u64,
    numbers: StoredNumbers,
    classes: Vec<u8>,
    margins: Option<Vec<u8>>,
}

/// The sample numbers of a row, as they are stored.
struct StoredNumbers {
    first: u64,
    /// The last sample and the coded numbers, for a row of `chosen`.
    chosen: Option<(u64, Vec<u8>)>,
}

impl Ledger {
    /// The rows of a series with any sample in `range` and fewer than `below`
    /// samples in all, by their first sample.
    pub(super) fn index(
        &self,
        series: Series,
        range: RangeInclusive<u32>,
        below: usize,
    ) -> Result<Vec<Entry>, Error> {
        self.rows(
            "SELECT first, first + copies - 1 AS last, 0 AS chosen,
                    margins IS NOT NULL AS margins
             FROM answers WHERE network = ?1 AND idx = ?2 AND stream = ?3
             AND first <= ?5 AND first + copies > ?4 AND copies < ?6
             UNION ALL
             SELECT first, last, 1 AS chosen, margins IS NOT NULL AS margins
             FROM chosen WHERE network = ?1 AND idx = ?2 AND stream = ?3
             AND first <= ?5 AND last >= ?4 AND copies < ?6
             ORDER BY first",
            params![
                series.network.0,
                series.idx,
                series.stream.0,
                range.start(),
                range.end(),
                i64::try_from(below).unwrap_or(i64::MAX),
            ],
            |row| {
                Ok(Entry {
                    first: unsigned(row, "first")?,
                    last: unsigned(row, "last")?,
                    chosen: row.get("chosen")?,
                    margins: row.get("margins")?,
                })
            },
        )
    }

    /// The row at `entry` of a series.
    pub(super) fn stored(&self, series: Series, entry: Entry) -> Result<Stored, Error> {
        let sql = if entry.chosen {
            "SELECT first, last, copies, numbers, classes, margins, micros FROM chosen
             WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND first = ?4"
        } else {
            "SELECT first, NULL AS last, copies, NULL AS numbers, classes, margins, micros
             FROM answers WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND first = ?4"
        };
        let read = || {
            self.connection.prepare_cached(sql)?.query_row(
                params![
                    series.network.0,
                    series.idx,
                    series.stream.0,
                    entry.first as i64
                ],
                |row| {
                    Ok(Stored {
                        samples: unsigned(row, "copies")?,
                        micros: unsigned(row, "micros")?,
                        numbers: stored_numbers(row)?,
                        classes: row.get("classes")?,
                        margins: row.get("margins")?,
                    })
                },
            )
        };
        read().map_err(|e| self.sql(e))
    }

    /// The rows at `entries`, decoded and joined; `class` is the class that their margins
    /// were coded with.
    pub(super) fn piece(
        &self,
        series: Series,
        entries: &[Entry],
        class: u16,
    ) -> Result<Piece, Error> {
        let mut pieces = Vec::with_capacity(entries.len());
        for &entry in entries {
            let stored = self.stored(series, entry)?;
            let samples = self.samples(series, &stored)?;
            pieces.push(self.decoded(series, &stored, samples, class)?);
        }
        match pieces.len() {
            1 => Ok(pieces.remove(0)),
            _ => self.gathered(series, &pieces),
        }
    }

    /// The samples of every row of a series, as ranges without gaps.
    pub(super) fn runs(&self, series: Series) -> Result<Vec<Range<u64>>, Error> {
        let rows = self.rows(
            "SELECT first, NULL AS last, copies, NULL AS numbers FROM answers
             WHERE network = ?1 AND idx = ?2 AND stream = ?3
             UNION ALL
             SELECT first, last, copies, numbers FROM chosen
             WHERE network = ?1 AND idx = ?2 AND stream = ?3",
            params![series.network.0, series.idx, series.stream.0],
            |row| Ok((stored_numbers(row)?, unsigned(row, "copies")?)),
        )?;
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (numbers, samples) in rows {
            if numbers.chosen.is_none() {
                runs.push(numbers.first..numbers.first.saturating_add(samples));
                continue;
            }
            for sample in self.numbers(series, &numbers, samples)? {
                let sample = u64::from(sample);
                match runs.last_mut() {
                    Some(last) if last.end == sample => last.end += 1,
                    _ => runs.push(sample..sample + 1),
                }
            }
        }
        Ok(runs)
    }

    /// The numbers of a stored row's samples.
    pub(super) fn samples(&self, series: Series, stored: &Stored) -> Result<Vec<u32>, Error> {
        self.numbers(series, &stored.numbers, stored.samples)
    }

    fn numbers(
        &self,
        series: Series,
        stored: &StoredNumbers,
        samples: u64,
    ) -> Result<Vec<u32>, Error> {
        let decoded = match &stored.chosen {
            Some((last, blob)) => {
                numbers::decode(blob, stored.first, samples).and_then(|numbers| {
                    match numbers.last() {
                        Some(&end) if u64::from(end) == *last => Ok(numbers),
                        _ => Err(format!("does not end with sample {last}")),
                    }
                })
            }
            None => consecutive(stored.first, samples),
        };
        decoded.map_err(|problem| self.damaged(series, stored.first, "sample numbers", &problem))
    }

    /// Decodes a stored row of `series` whose samples are known already; `class` is the
    /// class that its margins were coded with.
    pub(super) fn decoded(
        &self,
        series: Series,
        stored: &Stored,
        samples: Vec<u32>,
        class: u16,
    ) -> Result<Piece, Error> {
        let margins = stored.margins.as_deref();
        let codes = decode(&stored.classes, margins, stored.samples, class)
            .map_err(|problem| self.damaged(series, stored.numbers.first, "answers", &problem))?;
        Ok(Piece {
            samples,
            codes,
            micros: stored.micros,
        })
    }

    /// The classes of a stored row, without its margins.
    pub(super) fn classes(&self, series: Series, stored: &Stored) -> Result<Vec<u16>, Error> {
        codes::decode(&stored.classes, stored.samples, 1, |_| 0)
            .map_err(|problem| self.damaged(series, stored.numbers.first, "answers", &problem))
    }

    fn damaged(&self, series: Series, first: u64, content: &str, problem: &str) -> Error {
        let message = format!(
            "is damaged: the {content} of input {} from sample {first} of network {} (stream {}): the \
             blob {problem}",
            series.idx, series.network.0, series.stream.0
        );
        Error::new(ErrorKind::Corrupt, &self.path, message)
    }

    /// Joins pieces into one with ascending samples. A sample that several pieces have is
    /// kept once; margins are kept if all pieces have them.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if two pieces disagree about a sample.
    pub(super) fn gathered(&self, series: Series, pieces: &[Piece]) -> Result<Piece, Error> {
        let micros = pieces.iter().map(|piece| piece.micros).sum();
        let with_margins = pieces.iter().all(|piece| piece.codes.margins.is_some());
        let mut entries = Vec::with_capacity(pieces.iter().map(|p| p.samples.len()).sum());
        for piece in pieces {
            let margin = |i: usize| piece.codes.margins.as_ref().map_or(0, |list| list[i]);
            let classes = piece.codes.classes.iter().enumerate();
            let answers = classes.map(|(i, &class)| (class, margin(i)));
            entries.extend(piece.samples.iter().copied().zip(answers));
        }
        // Mostly runs that are sorted already, which a stable sort only merges.
        entries.sort_by_key(|&(sample, _)| sample);
        let conflicting =
            |pair: &&[(u32, (u16, u8))]| pair[0].0 == pair[1].0 && pair[0].1.0 != pair[1].1.0;
        if let Some(pair) = entries.windows(2).find(conflicting) {
            let (sample, classes) = (pair[0].0, [pair[0].1.0, pair[1].1.0]);
            return Err(self.two_answers(series, sample, classes));
        }
        entries.dedup_by_key(|entry| entry.0);
        Ok(Piece {
            samples: entries.iter().map(|entry| entry.0).collect(),
            codes: Codes {
                classes: entries.iter().map(|entry| entry.1.0).collect(),
                margins: with_margins.then(|| entries.iter().map(|entry| entry.1.1).collect()),
            },
            micros,
        })
    }

    /// The error of a ledger that holds two answers to one sample.
    pub(super) fn two_answers(&self, series: Series, sample: u32, classes: [u16; 2]) -> Error {
        let message = format!(
            "is damaged: it has both class {} and class {} for sample {sample} of input {} from \
             network {} (stream {})",
            classes[0], classes[1], series.idx, series.network.0, series.stream.0
        );
        Error::new(ErrorKind::Corrupt, &self.path, message)
    }

    /// Merges the small rows of a series into segments, a few rows at a time, within the
    /// transaction that is open. Rows with margins are not merged with rows without, so that
    /// no margins are lost.
    pub(super) fn merge(&self, series: Series, class: u16) -> Result<(), Error> {
        let small = self.index(series, 0..=u32::MAX, SEGMENT)?;
        let (with, without): (Vec<_>, Vec<_>) = small.into_iter().partition(|row| row.margins);
        for rows in [with, without].into_iter().filter(|rows| rows.len() > 1) {
            let mut open: Option<Piece> = None;
            let mut rest = rows.as_slice();
            while !rest.is_empty() {
                let (group, others) = rest.split_at(group_len(rest));
                rest = others;
                let new = self.piece(series, group, class)?;
                let removed = group.iter().try_for_each(|&row| self.remove(series, row));
                removed.map_err(|e| self.sql(e))?;
                let mut piece = match open.take() {
                    Some(mut piece) => {
                        piece.extend(new);
                        piece
                    }
                    None => new,
                };
                let full = piece.samples.len() / SEGMENT * SEGMENT;
                if full > 0 {
                    let more = piece.split_off(full);
                    let write = insert(&self.connection, series, &piece, class);
                    write.map_err(|e| self.sql(e))?;
                    piece = more;
                }
                open = Some(piece).filter(|piece| !piece.samples.is_empty());
            }
            if let Some(piece) = open {
                let write = insert(&self.connection, series, &piece, class);
                write.map_err(|e| self.sql(e))?;
            }
        }
        Ok(())
    }

    fn remove(&self, series: Series, entry: Entry) -> rusqlite::Result<()> {
        let table = if entry.chosen { "chosen" } else { "answers" };
        let sql = format!(
            "DELETE FROM {table} WHERE network = ?1 AND idx = ?2 AND stream = ?3 AND first = ?4"
        );
        let key = params![
            series.network.0,
            series.idx,
            series.stream.0,
            entry.first as i64
        ];
        self.connection.prepare_cached(&sql)?.execute(key)?;
        Ok(())
    }
}

/// How many of the first entries have ranges of samples that may overlap: all samples of
/// the entries after them are larger.
pub(super) fn group_len(entries: &[Entry]) -> usize {
    let Some(mut last) = entries.first().map(|entry| entry.last) else {
        return 0;
    };
    let inside = |entry: &&Entry| {
        let inside = entry.first <= last;
        last = last.max(entry.last);
        inside
    };
    1 + entries[1..].iter().take_while(inside).count()
}

impl Piece {
    /// Appends a piece whose samples are larger than these, with its margins if both pieces
    /// have margins.
    fn extend(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.codes.classes.extend(other.codes.classes);
        if let (Some(margins), Some(others)) = (&mut self.codes.margins, other.codes.margins) {
            margins.extend(others);
        }
        self.micros += other.micros;
    }

    /// Keeps the first `kept` samples and returns the others, the time in proportion.
    pub(super) fn split_off(&mut self, kept: usize) -> Self {
        let micros = share(self.micros, kept, self.samples.len());
        let rest = Self {
            samples: self.samples.split_off(kept),
            codes: Codes {
                classes: self.codes.classes.split_off(kept),
                margins: self.codes.margins.as_mut().map(|list| list.split_off(kept)),
            },
            micros: self.micros - micros,
        };
        self.micros = micros;
        rest
    }
}

/// Writes a piece as one row for each segment of it.
pub(super) fn insert(
    connection: &Connection,
    series: Series,
    piece: &Piece,
    class: u16,
) -> rusqlite::Result<()> {
    let total = piece.samples.len();
    for start in (0..total).step_by(SEGMENT) {
        let range = start..total.min(start + SEGMENT);
        let samples = &piece.samples[range.clone()];
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        let (classes, margins) = encode(&piece.codes, range.clone(), class);
        // The parts add up to the whole.
        let until = |end| share(piece.micros, end, total);
        let micros = until(range.end) - until(range.start);
        let head = params![
            series.network.0,
            series.idx,
            series.stream.0,
            first,
            samples.len() as i64,
            classes,
            margins,
            micros as i64,
        ];
        if (last - first) as usize == samples.len() - 1 {
            connection
                .prepare_cached(
                    "INSERT INTO answers
                     (network, idx, stream, first, copies, classes, margins, micros)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(head)?;
        } else {
            let numbers = numbers::encode(samples);
            let whole: Vec<&dyn rusqlite::ToSql> = head
                .iter()
                .copied()
                .chain([&last as &dyn rusqlite::ToSql, &numbers])
                .collect();
            connection
                .prepare_cached(
                    "INSERT INTO chosen
                     (network, idx, stream, first, copies, classes, margins, micros, last, numbers)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(whole.as_slice())?;
        }
    }
    Ok(())
}

/// The share of `micros` that `part` of `whole` samples took.
pub(super) fn share(micros: u64, part: usize, whole: usize) -> u64 {
    (u128::from(micros) * part as u128 / whole.max(1) as u128) as u64
}

fn stored_numbers(row: &Row<'_>) -> rusqlite::Result<StoredNumbers> {
    let numbers: Option<Vec<u8>> = row.get("numbers")?;
    let chosen = match numbers {
        Some(numbers) => Some((unsigned(row, "last")?, numbers)),
        None => None,
    };
    Ok(StoredNumbers {
        first: unsigned(row, "first")?,
        chosen,
    })
}

/// The numbers of `samples` samples from `first` on, or what is wrong with them.
pub(super) fn consecutive(first: u64, samples: u64) -> Result<Vec<u32>, String> {
    if samples > MAX_SAMPLES {
        return Err(format!("claims {samples} samples"));
    }
    let end = first
        .checked_add(samples)
        .filter(|end| *end <= 1 << u32::BITS)
        .ok_or("is of samples with numbers too large")?;
    Ok((first..end).map(|sample| sample as u32).collect())
}

/// Whether `samples` are strictly ascending.
pub(super) fn ascending(samples: &[u32]) -> bool {
    samples.windows(2).all(|pair| pair[0] < pair[1])
}

fn encode(codes: &Codes, range: Range<usize>, class: u16) -> (Vec<u8>, Option<Vec<u8>>) {
    let symbols = &codes.classes[range.clone()];
    let classes = codes::encode(symbols, 1, |_| 0);
    let margins = codes.margins.as_ref().map(|margins| {
        let buckets: Vec<u16> = margins[range].iter().map(|&m| m.into()).collect();
        codes::encode(&buckets, 2, |i| usize::from(symbols[i] == class))
    });
    (classes, margins)
}

pub(super) fn decode(
    classes: &[u8],
    margins: Option<&[u8]>,
    samples: u64,
    class: u16,
) -> Result<Codes, String> {
    let classes = codes::decode(classes, samples, 1, |_| 0)?;
    let margins = margins
        .map(|blob| {
            let symbols = codes::decode(blob, samples, 2, |i| usize::from(classes[i] == class))?;
            symbols
                .into_iter()
                .map(|m| u8::try_from(m).ok().filter(|&m| m < codes::MARGIN_BUCKETS))
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| "has a margin out of range".to_owned())
        })
        .transpose()?;
    Ok(Codes { classes, margins })
}
