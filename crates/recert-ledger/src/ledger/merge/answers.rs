//! Uniting answers, series by series. Of a series that both ledgers have, one of the two is kept as it
//! is where it has all samples of the other.

use std::collections::HashMap;

use rusqlite::params;
use rusqlite::types::Value;

use super::super::rows::{Entry, Piece, insert, share};
use super::super::{Ledger, Series};
use super::rows::{ANSWERS, CHOSEN, REMEDY, Table, Two};
use crate::codes::Codes;
use crate::records::{NetworkId, Stream};
use crate::{Error, ErrorKind};

/// The times of answers that both ledgers have, of which the united one keeps its own.
///
/// A certificate that comes over states the time of the part's answers, and rests on the united ledger's
/// from then on.
#[derive(Default)]
pub(super) struct Times {
    /// By the network's number in the part and the input: for each series the time in the part and in
    /// the united ledger, and those with the selection samples.
    kept: HashMap<(i64, i64), Vec<BothTimes>>,
}

/// In the part, and in the united ledger.
type BothTimes = [(u64, u64); 2];

impl Times {
    /// Replaces the time of all of a series' answers, if `micros` is that.
    pub(super) fn restate(&self, network: i64, idx: i64, micros: &mut Value) {
        let Value::Integer(stated) = *micros else {
            return;
        };
        let series = self.kept.get(&(network, idx)).into_iter().flatten();
        let mut whole = series.flatten().filter(|(part, _)| *part as i64 == stated);
        if let Some((_, merged)) = whole.next() {
            *micros = Value::Integer(*merged as i64);
        }
    }
}

/// How the samples of a series are shared by the two ledgers.
enum Shared {
    /// The united ledger has all samples of the part, and more.
    Within,
    /// Both have the same.
    Equal,
    /// The part has all samples of the united ledger, and more.
    Without,
    /// Each has some of its own: these of the part are new.
    Crossed(Vec<Piece>),
}

impl Two<'_> {
    /// Adds the answers. Returns how many rows there were to add, and the times that differ.
    pub(super) fn answers(
        &self,
        networks: &HashMap<i64, NetworkId>,
        files: &HashMap<i64, String>,
    ) -> Result<(u64, Times), Error> {
        let all = self.part.rows(
            "SELECT network, idx, stream FROM answers UNION SELECT network, idx, stream FROM chosen
             ORDER BY 1, 2, 3",
            [],
            |row| {
                Ok(Series {
                    network: NetworkId(row.get(0)?),
                    idx: row.get(1)?,
                    stream: Stream(row.get(2)?),
                })
            },
        )?;
        let (mut added, mut times) = (0, Times::default());
        for series in all {
            let number = networks.get(&series.network.0);
            let own = Series {
                network: *number.ok_or_else(|| self.damaged(&ANSWERS))?,
                ..series
            };
            let new = stored(self.part, series, own.network)?;
            let old = stored(self.merged, own, own.network)?;
            let is_there = !old.is_empty();
            let shared = if old.is_empty() {
                Shared::Without
            } else if same(&old, &new) {
                Shared::Equal
            } else {
                let file = files.get(&series.network.0).map_or("", String::as_str);
                self.shared(series, own, file)?
            };
            match shared {
                Shared::Within => {}
                Shared::Equal => self.keep_time(&mut times, (series, &new), (own, &old))?,
                Shared::Without => {
                    if is_there {
                        self.remove(own)?;
                    }
                    for (table, row) in &new {
                        self.insert(table, row)?;
                        added += 1;
                    }
                    self.take_selection_time(series, own)?;
                }
                Shared::Crossed(pieces) => {
                    let class = self.merged.margin_class(own)?;
                    for piece in pieces {
                        let write = insert(&self.merged.connection, own, &piece, class);
                        write.map_err(|e| self.merged.sql(e))?;
                        added += 1;
                    }
                    // In the form that rows have once an input is concluded.
                    self.merged.merge(own, class)?;
                }
            }
        }
        Ok((added, times))
    }

    /// How a series that both have is shared, sample by sample.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if they have different answers to a sample.
    fn shared(&self, series: Series, own: Series, file: &str) -> Result<Shared, Error> {
        let class = self.merged.margin_class(own)?;
        let mut known: HashMap<u32, (u16, Option<u8>)> = HashMap::new();
        for piece in pieces(self.merged, own, class)? {
            let samples = piece.samples.iter().enumerate();
            known.extend(samples.map(|(i, &sample)| (sample, answer(&piece, i))));
        }
        let (mut crossed, mut both) = (Vec::new(), 0);
        for piece in pieces(self.part, series, class)? {
            let mut new = Vec::new();
            for (i, sample) in piece.samples.iter().enumerate() {
                match known.get(sample) {
                    None => new.push(i),
                    Some(there) => {
                        both += 1;
                        if let Some(what) = differ(*there, answer(&piece, i)) {
                            let message = format!(
                                "contradicts {}: {file} answers sample {sample} of input {} (stream {}) \
                                 with {what}; {REMEDY}",
                                self.others(),
                                series.idx,
                                series.stream.0,
                            );
                            return Err(Error::new(ErrorKind::Conflict, self.part.path(), message));
                        }
                    }
                }
            }
            if !new.is_empty() {
                crossed.push(chosen(&piece, &new));
            }
        }
        Ok(match (crossed.is_empty(), both == known.len()) {
            (true, true) => Shared::Equal,
            (true, false) => Shared::Within,
            (false, true) => Shared::Without,
            (false, false) => Shared::Crossed(crossed),
        })
    }

    /// Notes what a series took in both ledgers.
    fn keep_time(
        &self,
        times: &mut Times,
        (series, new): (Series, &[StoredRow]),
        (own, old): (Series, &[StoredRow]),
    ) -> Result<(), Error> {
        let selected = |ledger: &Ledger, series: Series| -> Result<u64, Error> {
            let selection = ledger.selection(series.network, series.idx)?;
            Ok(selection.map_or(0, |selection| selection.micros))
        };
        let (part, merged) = (micros(new), micros(old));
        let with_selection = (
            part + selected(self.part, series)?,
            merged + selected(self.merged, own)?,
        );
        let key = (series.network.0, i64::from(series.idx));
        let kept = times.kept.entry(key).or_default();
        kept.push([with_selection, (part, merged)]);
        Ok(())
    }

    /// Gives the selection samples of an input whose answers came over the part's time.
    fn take_selection_time(&self, series: Series, own: Series) -> Result<(), Error> {
        let Some(selection) = self.part.selection(series.network, series.idx)? else {
            return Ok(());
        };
        self.merged.execute(
            "UPDATE selection SET micros = ?3 WHERE network = ?1 AND idx = ?2",
            params![own.network.0, own.idx, selection.micros as i64],
        )
    }

    fn remove(&self, own: Series) -> Result<(), Error> {
        for table in [&ANSWERS, &CHOSEN] {
            let delete = format!(
                "DELETE FROM {} WHERE network = ?1 AND idx = ?2 AND stream = ?3",
                table.name
            );
            let key = params![own.network.0, own.idx, own.stream.0];
            self.merged.execute(&delete, key)?;
        }
        Ok(())
    }
}

/// A row of one of the two tables of answers.
type StoredRow = (&'static Table, Vec<Value>);

/// The rows of a series, with the network's number in the united ledger.
fn stored(ledger: &Ledger, series: Series, number: NetworkId) -> Result<Vec<StoredRow>, Error> {
    let mut rows = Vec::new();
    for table in [&ANSWERS, &CHOSEN] {
        let sql = format!(
            "SELECT {} FROM {} WHERE network = ?1 AND idx = ?2 AND stream = ?3 ORDER BY first",
            table.columns.join(", "),
            table.name
        );
        let key = params![series.network.0, series.idx, series.stream.0];
        let read = |row: &rusqlite::Row<'_>| {
            let mut values = (0..table.columns.len())
                .map(|i| row.get(i))
                .collect::<rusqlite::Result<Vec<Value>>>()?;
            values[0] = Value::Integer(number.0);
            Ok((table, values))
        };
        rows.extend(ledger.rows(&sql, key, read)?);
    }
    Ok(rows)
}

/// Whether rows are the same but for their times.
fn same(old: &[StoredRow], new: &[StoredRow]) -> bool {
    let but_time = |row: &[Value]| row.len() - 1;
    old.len() == new.len()
        && old.iter().zip(new).all(|((table, one), (other, two))| {
            table.name == other.name && one[..but_time(one)] == two[..but_time(two)]
        })
}

fn micros(rows: &[StoredRow]) -> u64 {
    let last = rows.iter().filter_map(|(_, row)| row.last());
    let micros = last.map(|value| match value {
        Value::Integer(micros) => micros.unsigned_abs(),
        _ => 0,
    });
    micros.sum()
}

/// The answers of a series, those with margins apart from those without.
fn pieces(ledger: &Ledger, series: Series, class: u16) -> Result<Vec<Piece>, Error> {
    let rows = ledger.index(series, 0..=u32::MAX, usize::MAX)?;
    let (with, without): (Vec<_>, Vec<_>) = rows.into_iter().partition(Entry::has_margins);
    let groups = [with, without].into_iter().filter(|rows| !rows.is_empty());
    groups
        .map(|rows| ledger.piece(series, &rows, class))
        .collect()
}

/// Some answers of a piece.
fn chosen(piece: &Piece, of: &[usize]) -> Piece {
    let codes = &piece.codes;
    let margins = codes.margins.as_ref();
    Piece {
        samples: of.iter().map(|&i| piece.samples[i]).collect(),
        codes: Codes {
            classes: of.iter().map(|&i| codes.classes[i]).collect(),
            margins: margins.map(|all| of.iter().map(|&i| all[i]).collect()),
        },
        micros: share(piece.micros, of.len(), piece.samples.len()),
    }
}

fn answer(piece: &Piece, i: usize) -> (u16, Option<u8>) {
    let margins = piece.codes.margins.as_ref();
    (piece.codes.classes[i], margins.map(|margins| margins[i]))
}

/// What two answers to one sample differ in, in words.
fn differ(there: (u16, Option<u8>), here: (u16, Option<u8>)) -> Option<String> {
    let class = |class| match class {
        crate::INVALID => "no valid class".to_owned(),
        class => format!("class {class}"),
    };
    if there.0 != here.0 {
        return Some(format!("{} there, {} here", class(there.0), class(here.0)));
    }
    let (one, other) = there.1.zip(here.1)?;
    (one != other).then(|| format!("a margin in bucket {one} there, {other} here"))
}
