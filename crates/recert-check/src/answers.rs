//! Answers: decoding every blob, and collecting each network's answers on an input.

use std::collections::BTreeMap;

use recert_ledger::raw::{Row, Table, decode_answers, decode_samples};
use recert_ledger::{Error, INVALID, Ledger};

use crate::fields::Fields;
use crate::journal::Totals;
use crate::report::Report;
use crate::tables::Tables;

/// The number that ledgers give the noise stream of estimation samples.
pub(crate) const CERTIFY: u32 = 1;
/// The number of the stream of fresh samples, which f has not answered.
pub(crate) const FRESH: u32 = 2;
/// The number of the stream of samples for prediction.
pub(crate) const PREDICT: u32 = 4;

/// A network's answers on samples of one stream of one input, by sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// The numbers of the samples, ascending.
    pub(crate) samples: Vec<u32>,
    /// The class of each, [`INVALID`] for an invalid answer.
    pub(crate) classes: Vec<u16>,
    /// The margin bucket of each, if all of them have one.
    pub(crate) margins: Option<Vec<u8>>,
    /// The time that all of them took.
    pub(crate) micros: u64,
}

impl Series {
    /// The classes of the samples `0..count`; `None` if any of them is missing.
    pub(crate) fn first(&self, count: u64) -> Option<&[u16]> {
        let count = usize::try_from(count).ok()?;
        let last = count.checked_sub(1)?;
        // The numbers are ascending and distinct, so if the last is in its place, all are.
        (*self.samples.get(last)? as usize == last).then(|| &self.classes[..count])
    }

    /// The classes of some ascending samples; `None` if any of them is missing.
    pub(crate) fn on(&self, samples: &[u32]) -> Option<Vec<u16>> {
        let position = |sample: &u32| self.samples.binary_search(sample).ok();
        let positions = samples.iter().map(position);
        positions.map(|i| i.map(|i| self.classes[i])).collect()
    }
}

/// Answers on one input, by network and stream.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) idx: u32,
    pub(crate) by_stream: BTreeMap<(i64, u32), Series>,
}

impl Answers {
    /// A network's answers on a stream, if there are any.
    pub(crate) fn series(&self, network: i64, stream: u32) -> Option<&Series> {
        self.by_stream.get(&(network, stream))
    }
}

/// A decoded row.
struct Piece {
    samples: Vec<u32>,
    classes: Vec<u16>,
    margins: Option<Vec<u8>>,
    micros: u64,
}

/// Decodes all answers on an input.
pub(crate) fn decode_input(
    ledger: &Ledger,
    tables: &Tables,
    idx: u32,
    report: &mut Report,
) -> Result<Answers, Error> {
    let mut answers = Answers {
        idx,
        by_stream: BTreeMap::new(),
    };
    for &network in tables.networks.keys() {
        let mut pieces: BTreeMap<u32, Vec<Piece>> = BTreeMap::new();
        for table in [Table::Answers, Table::Chosen] {
            for row in ledger.raw_answers(table, network, idx)? {
                if let Some((stream, piece)) = decode(&row, tables, (network, idx), report) {
                    report.answers += piece.samples.len() as u64;
                    pieces.entry(stream).or_default().push(piece);
                }
            }
        }
        for (stream, pieces) in pieces {
            let key = (network, stream);
            if let Some(series) = gather(pieces, key, idx, report) {
                answers.by_stream.insert(key, series);
            }
        }
    }
    Ok(answers)
}

/// Adds the answers on an input to the ledger's totals, and reports estimation samples
/// beyond those that the run states: n was smaller when they were drawn, or is now.
pub(crate) fn add_up(answers: &Answers, tables: &Tables, totals: &mut Totals, report: &mut Report) {
    for (&(network, stream), series) in &answers.by_stream {
        *totals.answers.entry(network).or_default() += series.samples.len() as u64;
        let Some(&last) = series.samples.last() else {
            continue;
        };
        if stream == FRESH {
            totals.fresh = totals.fresh.max(u64::from(last) + 1);
        }
        let n = tables.run.as_ref().map(|run| run.n);
        if let Some(n) = n.filter(|&n| stream != FRESH && u64::from(last) >= n) {
            let row = format!("network {network}, idx {}, stream {stream}", answers.idx);
            let stored = format!("an answer on sample {last}");
            let form = format!("answers on samples below n = {n}");
            report.violation("answers", &row, "first", stored, form);
        }
    }
}

/// Decodes a row; `None` if it is invalid, which is then in the report.
fn decode(
    row: &Row,
    tables: &Tables,
    (network, idx): (i64, u32),
    report: &mut Report,
) -> Option<(u32, Piece)> {
    let mut fields = Fields::new(row, report);
    let stream = fields.integer("stream", 0..=u64::from(u32::MAX))? as u32;
    if ![CERTIFY, FRESH, PREDICT].contains(&stream) {
        let streams = "1 (certify), 2 (fresh) or 4 (predict)";
        fields.wrong("stream", stream, streams);
    }
    let first = fields.integer("first", 0..=u64::from(u32::MAX))?;
    let count = fields.integer("copies", 1..=1 << 24)?;
    let micros = fields.integer("micros", 0..=i64::MAX as u64)?;
    let classes = fields.blob("classes")?;
    let margins = fields.blob_or_null("margins").ok()?;
    let chosen = row.table() == Table::Chosen;
    let numbers = if chosen {
        Some(fields.blob("numbers")?)
    } else {
        None
    };
    let samples = match decode_samples(numbers, first, count) {
        Ok(samples) => samples,
        Err(problem) => {
            let field = if chosen { "numbers" } else { "copies" };
            fields.wrong(field, format!("a blob that {problem}"), "sample numbers");
            return None;
        }
    };
    if chosen {
        let last = samples.last().map_or(0, |&last| u64::from(last));
        fields.integer("last", last..=last)?;
    }
    let selected = tables.selections.get(&(network, idx));
    if margins.is_some() && !selected.is_some_and(|selection| selection.edges) {
        let derived = "nothing, since the selection has no margin edges";
        fields.wrong("margins", "margins", derived);
    }
    let class = selected.map_or(0, |selection| selection.class);
    let codes = match decode_answers(classes, margins, count, class) {
        Ok(codes) => codes,
        Err(problem) => {
            // If the classes can be decoded by themselves, the blob of margins is at fault.
            let valid_classes = decode_answers(classes, None, count, class).is_ok();
            let field = if valid_classes { "margins" } else { "classes" };
            fields.wrong(field, format!("a blob that {problem}"), "answers");
            return None;
        }
    };
    let classes = tables.networks.get(&network).map_or(0, |n| n.classes);
    let largest = codes
        .classes
        .iter()
        .filter(|&&class| class != INVALID)
        .max();
    if let Some(&class) = largest.filter(|&&class| u64::from(class) >= classes) {
        let derived = format!("classes below {classes}");
        fields.wrong("classes", format!("an answer {class}"), derived);
        return None;
    }
    let piece = Piece {
        samples,
        classes: codes.classes,
        margins: codes.margins,
        micros,
    };
    Some((stream, piece))
}

/// Joins the rows of a series; `None` if two of them have the same sample, which is then in
/// the report.
fn gather(
    pieces: Vec<Piece>,
    (network, stream): (i64, u32),
    idx: u32,
    report: &mut Report,
) -> Option<Series> {
    let with_margins = pieces.iter().all(|piece| piece.margins.is_some());
    let mut all: Vec<(u32, u16, u8)> = Vec::new();
    let mut micros = 0_u64;
    for piece in pieces {
        micros = micros.saturating_add(piece.micros);
        for (i, (&sample, &class)) in piece.samples.iter().zip(&piece.classes).enumerate() {
            let margin = piece.margins.as_ref().map_or(0, |margins| margins[i]);
            all.push((sample, class, margin));
        }
    }
    all.sort_by_key(|entry| entry.0);
    if let Some(pair) = all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let row = format!("network {network}, idx {idx}, stream {stream}");
        let stored = format!("sample {} in two rows", pair[0].0);
        report.violation("answers", &row, "first", stored, "every sample in one row");
        return None;
    }
    Some(Series {
        samples: all.iter().map(|entry| entry.0).collect(),
        classes: all.iter().map(|entry| entry.1).collect(),
        margins: with_margins.then(|| all.iter().map(|entry| entry.2).collect()),
        micros,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_choices() {
        let series = Series {
            samples: vec![0, 1, 2, 5],
            classes: vec![7, 8, 9, 1],
            ..Series::default()
        };
        assert_eq!(series.first(3), Some(&[7, 8, 9][..]));
        assert_eq!(series.first(4), None);
        assert_eq!(series.first(0), None);
        assert_eq!(series.on(&[1, 5]), Some(vec![8, 1]));
        assert_eq!(series.on(&[1, 4]), None);
        assert_eq!(series.on(&[]), Some(vec![]));
    }
}
