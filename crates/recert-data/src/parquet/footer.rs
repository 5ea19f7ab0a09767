//! What a Parquet file states of itself at its end: its columns, and where the parts of each
//! begin.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::thrift::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::files;

/// What a file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// The longest statement that is read; that of 100,000 parts has some 20 MB.
const LONGEST: u64 = 64 << 20;

/// The most rows of a file, whose labels are held in memory.
const MOST_ROWS: u64 = 1 << 26;

/// The most values of a column in a row group: in lists, there are many in a row.
const MOST_VALUES: u64 = 1 << 27;

/// The type of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int32,
    Int64,
    Float,
    Double,
    Bytes,
    /// One that no image and no label has.
    Other,
}

/// A column of values: its names from the outside in, its type, and how often it may be left
/// out (`optional`) and repeated (`repeated`) on the way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    pub(super) optional: u8,
    pub(super) repeated: u8,
}

impl Column {
    pub(super) fn name(&self) -> String {
        self.path.join(".")
    }
}

/// A column's part in a row group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk {
    pub(super) codec: i64,
    pub(super) values: u64,
    pub(super) begin: u64,
    pub(super) length: u64,
}

/// Rows that are stored together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) rows: u64,
    /// One for each column.
    pub(super) chunks: Vec<Chunk>,
}

/// What a file states.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Footer {
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<Group>,
}

/// Reads it.
pub(super) fn read(path: &Path) -> Result<Footer> {
    let (mut file, length) = files::open(path)?;
    let damaged = |what: &str| {
        let message = format!("{what}; copy or download the file again");
        Error::new(ErrorKind::Corrupt, message).with_path(path)
    };
    let mut end = [0; 8];
    let mut read_at = |at: u64, buffer: &mut [u8]| {
        let seek = file.seek(SeekFrom::Start(at));
        seek.and_then(|_| file.read_exact(buffer))
            .map_err(|e| Error::io(e, path))
    };
    let Some(before) = length.checked_sub(12) else {
        return Err(damaged("ends before it states its columns"));
    };
    read_at(length - 8, &mut end)?;
    if &end[4..] != MAGIC {
        return Err(damaged("does not end as a Parquet file"));
    }
    let stated = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if stated > before.min(LONGEST) {
        let message = format!("states its columns in {stated} bytes, of {length}");
        return Err(damaged(&message));
    }
    let mut bytes = vec![0; stated as usize];
    read_at(length - 8 - stated, &mut bytes)?;
    let footer = footer(Reader(&bytes));
    let footer = footer.ok_or_else(|| damaged("states its columns in a form that is damaged"))?;
    footer.check(length).map_err(|why| damaged(&why))?;
    Ok(footer)
}

impl Footer {
    /// What is stated fits together, and into a file of `length` bytes.
    fn check(&self, length: u64) -> Result<(), String> {
        let mut rows = 0_u64;
        for (number, group) in self.groups.iter().enumerate() {
            rows = rows.saturating_add(group.rows);
            if group.chunks.len() != self.columns.len() {
                return Err(format!(
                    "row group {number} has {} columns, and the file {}",
                    group.chunks.len(),
                    self.columns.len()
                ));
            }
            for (chunk, column) in group.chunks.iter().zip(&self.columns) {
                let end = chunk.begin.checked_add(chunk.length);
                if end.is_none_or(|end| end > length) {
                    return Err(format!(
                        "column '{}' of row group {number} lies behind the end of the file",
                        column.name()
                    ));
                }
                if column.repeated == 0 && chunk.values != group.rows {
                    return Err(format!(
                        "column '{}' of row group {number} has {} values for {} rows",
                        column.name(),
                        chunk.values,
                        group.rows
                    ));
                }
                if chunk.values > MOST_VALUES {
                    return Err(format!(
                        "column '{}' of row group {number} has {} values, and at most \
                         {MOST_VALUES} are read at a time",
                        column.name(),
                        chunk.values
                    ));
                }
            }
        }
        if rows > MOST_ROWS {
            return Err(format!("has {rows} rows, and at most {MOST_ROWS} are read"));
        }
        Ok(())
    }
}

/// An element of the schema, as it is written.
#[derive(Default)]
struct Element {
    kind: Option<i64>,
    repetition: i64,
    name: String,
    children: usize,
}

fn footer(mut reader: Reader<'_>) -> Option<Footer> {
    let (mut elements, mut groups) = (Vec::new(), Vec::new());
    reader.fields(|reader, field, _| {
        match field {
            2 => elements = reader.list(element)?,
            4 => groups = reader.list(group)?,
            _ => return Some(false),
        }
        Some(true)
    })?;
    let mut elements = elements.into_iter();
    let root = elements.next()?;
    let mut columns = Vec::new();
    let mut path = Vec::new();
    for _ in 0..root.children {
        leaves(&mut elements, &mut path, (0, 0), &mut columns)?;
    }
    Some(Footer { columns, groups })
}

/// The columns of the next element and of those inside it.
fn leaves(
    elements: &mut impl Iterator<Item = Element>,
    path: &mut Vec<String>,
    (optional, repeated): (u8, u8),
    columns: &mut Vec<Column>,
) -> Option<()> {
    let element = elements.next()?;
    if path.len() > 16 {
        return None;
    }
    // Required, optional, repeated.
    let optional = optional + u8::from(element.repetition != 0);
    let repeated = repeated + u8::from(element.repetition == 2);
    path.push(element.name);
    if element.children > 0 {
        for _ in 0..element.children {
            leaves(elements, path, (optional, repeated), columns)?;
        }
    } else {
        columns.push(Column {
            path: path.clone(),
            kind: match element.kind {
                Some(1) => Kind::Int32,
                Some(2) => Kind::Int64,
                Some(4) => Kind::Float,
                Some(5) => Kind::Double,
                Some(6) => Kind::Bytes,
                _ => Kind::Other,
            },
            optional,
            repeated,
        });
    }
    path.pop();
    Some(())
}

fn element(reader: &mut Reader<'_>) -> Option<Element> {
    let mut element = Element::default();
    reader.fields(|reader, field, _| {
        match field {
            1 => element.kind = Some(reader.integer()?),
            3 => element.repetition = reader.integer()?,
            4 => element.name = reader.text()?,
            5 => element.children = reader.size()?,
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some(element)
}

fn group(reader: &mut Reader<'_>) -> Option<Group> {
    let (mut chunks, mut rows) = (Vec::new(), None);
    reader.fields(|reader, field, _| {
        match field {
            1 => chunks = reader.list(chunk)?,
            3 => rows = Some(reader.size()? as u64),
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some(Group {
        rows: rows?,
        chunks,
    })
}

fn chunk(reader: &mut Reader<'_>) -> Option<Chunk> {
    let (mut codec, mut values, mut length) = (None, None, None);
    let (mut data, mut dictionary) = (None, None);
    reader.fields(|reader, field, _| {
        if field != 3 {
            return Some(false);
        }
        reader.fields(|reader, field, _| {
            match field {
                4 => codec = Some(reader.integer()?),
                5 => values = Some(reader.size()? as u64),
                7 => length = Some(reader.size()? as u64),
                9 => data = Some(reader.size()? as u64),
                11 => dictionary = Some(reader.size()? as u64),
                _ => return Some(false),
            }
            Some(true)
        })?;
        Some(true)
    })?;
    let data = data?;
    Some(Chunk {
        codec: codec?,
        values: values?,
        // Some writers state a dictionary at 0 where there is none.
        begin: dictionary.filter(|&at| at > 0 && at < data).unwrap_or(data),
        length: length?,
    })
}
