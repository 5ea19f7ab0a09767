//! The values of a column in a row group: pages, compressed or not, plain or by a dictionary.

use std::io::Read;

use super::footer::{Chunk, Column, Kind};
use super::thrift::Reader;

/// The most bytes that a column of a row group may grow to.
const MOST_BYTES: usize = 2 << 30;

/// The values of a column in some rows, with what is left out and repeated on the way.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// How much of the way to each value is there; a value is, where all is.
    pub(super) defined: Vec<u8>,
    /// At which depth each value continues a list; 0 begins a row.
    pub(super) repeated: Vec<u8>,
    pub(super) cells: Cells,
}

/// The values that are there.
#[derive(Debug, Default)]
pub(super) enum Cells {
    #[default]
    None,
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// Bytes, and from where to where each value goes in them.
    Bytes(Vec<u8>, Vec<(usize, usize)>),
}

impl Cells {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int32 | Kind::Int64 => Self::Integers(Vec::new()),
            Kind::Float | Kind::Double => Self::Floats(Vec::new()),
            Kind::Bytes => Self::Bytes(Vec::new(), Vec::new()),
            Kind::Other => Self::None,
        }
    }

    /// Appends `count` values that are stored one after the other.
    fn extend(&mut self, kind: Kind, bytes: &[u8], count: usize) -> Option<()> {
        let size = match kind {
            Kind::Int32 | Kind::Float => 4,
            Kind::Int64 | Kind::Double => 8,
            _ => 0,
        };
        let fixed = || Some(bytes.get(..count.checked_mul(size)?)?.chunks_exact(size));
        match (self, kind) {
            (Self::Integers(all), Kind::Int32) => {
                all.extend(
                    fixed()?.map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
                );
            }
            (Self::Integers(all), _) => all.extend(fixed()?.map(|b| i64::from_le_bytes(eight(b)))),
            (Self::Floats(all), Kind::Float) => {
                all.extend(
                    fixed()?.map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
                );
            }
            (Self::Floats(all), _) => all.extend(fixed()?.map(|b| f64::from_le_bytes(eight(b)))),
            (Self::Bytes(all, cells), _) => {
                let mut reader = Reader(bytes);
                for _ in 0..count {
                    let length = reader.take(4)?;
                    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                    let begin = all.len();
                    all.extend_from_slice(reader.take(length as usize)?);
                    cells.push((begin, all.len()));
                }
            }
            (Self::None, _) => return None,
        }
        Some(())
    }

    /// Appends the values of `dictionary` at these places.
    fn extend_from(&mut self, dictionary: &Self, places: &[u32]) -> Option<()> {
        let at = |place: &u32| *place as usize;
        match (self, dictionary) {
            (Self::Integers(all), Self::Integers(values)) => {
                for place in places {
                    all.push(*values.get(at(place))?);
                }
            }
            (Self::Floats(all), Self::Floats(values)) => {
                for place in places {
                    all.push(*values.get(at(place))?);
                }
            }
            // Values that occur often are kept once.
            (Self::Bytes(_, cells), Self::Bytes(_, values)) => {
                for place in places {
                    cells.push(*values.get(at(place))?);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads a dictionary, whose bytes, where it is of such, are kept with these.
    fn dictionary(&mut self, kind: Kind, bytes: &[u8], count: usize) -> Option<Self> {
        let mut dictionary = Self::new(kind);
        if let (Self::Bytes(all, _), Self::Bytes(shared, _)) = (&mut *self, &mut dictionary) {
            std::mem::swap(all, shared);
        }
        dictionary.extend(kind, bytes, count)?;
        if let (Self::Bytes(all, _), Self::Bytes(shared, _)) = (self, &mut dictionary) {
            std::mem::swap(all, shared);
        }
        Some(dictionary)
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Integers(all) => all.len(),
            Self::Floats(all) => all.len(),
            Self::Bytes(_, cells) => cells.len(),
        }
    }
}

fn eight(b: &[u8]) -> [u8; 8] {
    [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]
}

/// A page as its header states it.
#[derive(Debug, Default)]
struct Page {
    kind: i64,
    uncompressed: usize,
    compressed: usize,
    values: usize,
    encoding: i64,
    /// The lengths of what is repeated and defined, which pages of version 2 state.
    levels: Option<(usize, usize)>,
    is_plain: bool,
}

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_2: i64 = 3;

/// The values of `column` in its part `chunk`, whose bytes are `bytes`.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn values(bytes: &[u8], chunk: &Chunk, column: &Column) -> Result<Values, String> {
    let damaged = || "its pages are damaged; copy or download the file again".to_owned();
    let mut values = Values {
        cells: Cells::new(column.kind),
        ..Values::default()
    };
    let mut dictionary = Cells::new(column.kind);
    let mut reader = Reader(bytes);
    let mut room = MOST_BYTES;
    while (values.defined.len() as u64) < chunk.values {
        let page = page(&mut reader).ok_or_else(damaged)?;
        let stored = reader.take(page.compressed).ok_or_else(damaged)?;
        room = room.checked_sub(page.uncompressed).ok_or_else(|| {
            format!("it takes more than {MOST_BYTES} bytes in a row group; write smaller ones")
        })?;
        // Levels of version 2 are never compressed.
        let levels = page
            .levels
            .map_or(0, |(repeated, defined)| repeated.saturating_add(defined));
        let (levels, stored) = stored.split_at_checked(levels).ok_or_else(damaged)?;
        let size = page
            .uncompressed
            .checked_sub(levels.len())
            .ok_or_else(damaged)?;
        let content = if page.is_plain {
            stored.to_vec()
        } else {
            decompressed(chunk.codec, stored, size)?
        };
        match page.kind {
            DICTIONARY => {
                let read = values.cells.dictionary(column.kind, &content, page.values);
                dictionary = read.ok_or_else(damaged)?;
            }
            DATA | DATA_2 => {
                let left = chunk.values - values.defined.len() as u64;
                if page.values as u64 > left {
                    return Err(damaged());
                }
                add(&mut values, &dictionary, &page, levels, &content, column)?;
            }
            // An index.
            _ => {}
        }
    }
    Ok(values)
}

/// Adds the values of a page.
fn add(
    values: &mut Values,
    dictionary: &Cells,
    page: &Page,
    levels: &[u8],
    content: &[u8],
    column: &Column,
) -> Result<(), String> {
    let damaged = || "a page is damaged; copy or download the file again".to_owned();
    let mut content = Reader(content);
    let mut stated = |depth: u8| {
        if depth == 0 {
            return Some(&[][..]);
        }
        let length = content.take(4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        content.take(length as usize)
    };
    let depths = if let Some((repeated, _)) = page.levels {
        levels.split_at_checked(repeated).ok_or_else(damaged)?
    } else {
        let repeated = stated(column.repeated).ok_or_else(damaged)?;
        (repeated, stated(column.optional).ok_or_else(damaged)?)
    };
    let level = |bytes: &[u8], depth: u8| {
        if depth == 0 {
            return Some(vec![0; page.values]);
        }
        let width = 8 - depth.leading_zeros();
        let levels = runs(bytes, width, page.values)?;
        let levels = levels.into_iter().map(|level| u8::try_from(level).ok());
        levels.collect::<Option<Vec<_>>>()
    };
    values
        .repeated
        .extend(level(depths.0, column.repeated).ok_or_else(damaged)?);
    let defined = level(depths.1, column.optional).ok_or_else(damaged)?;
    let there = whole(&defined, column.optional);
    values.defined.extend(defined);
    let before = values.cells.len();
    match page.encoding {
        0 => values
            .cells
            .extend(column.kind, content.0, there)
            .ok_or_else(damaged)?,
        // By a dictionary, under its old and its new name.
        2 | 8 if there == 0 => {}
        2 | 8 => {
            let width = content.take(1).ok_or_else(damaged)?[0];
            let places = runs(content.0, width.into(), there).ok_or_else(damaged)?;
            values
                .cells
                .extend_from(dictionary, &places)
                .ok_or_else(damaged)?;
        }
        other => {
            let name = match other {
                3 => "RLE",
                5 => "DELTA_BINARY_PACKED",
                6 => "DELTA_LENGTH_BYTE_ARRAY",
                7 => "DELTA_BYTE_ARRAY",
                9 => "BYTE_STREAM_SPLIT",
                _ => "unknown",
            };
            return Err(format!(
                "its encoding {name} is not read; write it again with {REWRITE}"
            ));
        }
    }
    if values.cells.len() - before == there {
        Ok(())
    } else {
        Err(damaged())
    }
}

/// How many of these levels are `all` of the way, where values are.
pub(super) fn whole(defined: &[u8], all: u8) -> usize {
    let whole = defined.iter().map(|&level| usize::from(level == all));
    whole.sum()
}

/// The line that writes a file as it is read here.
const REWRITE: &str = "`pyarrow.parquet.write_table(pyarrow.parquet.read_table(\"x.parquet\"), \
                       \"y.parquet\")`";

/// The header of the next page.
fn page(reader: &mut Reader<'_>) -> Option<Page> {
    let mut page = Page::default();
    reader.fields(|reader, field, _| {
        match field {
            1 => page.kind = reader.integer()?,
            2 => page.uncompressed = reader.size()?,
            3 => page.compressed = reader.size()?,
            5 | 7 => reader.fields(|reader, field, _| {
                match field {
                    1 => page.values = reader.size()?,
                    2 => page.encoding = reader.integer()?,
                    _ => return Some(false),
                }
                Some(true)
            })?,
            8 => {
                let mut lengths = (0, 0);
                reader.fields(|reader, field, kind| {
                    match field {
                        1 => page.values = reader.size()?,
                        4 => page.encoding = reader.integer()?,
                        5 => lengths.1 = reader.size()?,
                        6 => lengths.0 = reader.size()?,
                        7 => page.is_plain = kind != super::thrift::TRUE,
                        _ => return Some(false),
                    }
                    Some(true)
                })?;
                page.levels = Some(lengths);
            }
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some(page)
}

/// `count` numbers of `width` bits: runs of one number, and groups of eight packed ones.
fn runs(bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
    if width > 32 {
        return None;
    }
    let mut reader = Reader(bytes);
    let mut all = Vec::new();
    while all.len() < count {
        let header = reader.varint()?;
        let left = count - all.len();
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let mut value = [0; 4];
            let stored = reader.take(width.div_ceil(8) as usize)?;
            value[..stored.len()].copy_from_slice(stored);
            // A run of nothing would be read forever.
            let length = length.min(left);
            (length > 0).then_some(())?;
            all.resize(all.len() + length, u32::from_le_bytes(value));
        } else {
            let packed = reader.take(length.checked_mul(width as usize)?)?;
            let there = length.checked_mul(8)?.min(left);
            (there > 0).then_some(())?;
            all.extend((0..there).map(|i| bits(packed, i * width as usize, width)));
        }
    }
    Some(all)
}

/// `width` bits of `bytes` from bit `begin` on, the lowest first.
fn bits(bytes: &[u8], begin: usize, width: u32) -> u32 {
    let mut value = 0_u64;
    let first = begin / 8;
    for (i, &byte) in bytes[first..].iter().take(5).enumerate() {
        value |= u64::from(byte) << (8 * i);
    }
    let mask = (1_u64 << width) - 1;
    ((value >> (begin % 8)) & mask) as u32
}

/// The content of a page, which is stated to have `size` bytes.
fn decompressed(codec: i64, bytes: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let damaged = || "compressed data is damaged; copy or download the file again".to_owned();
    let name = match codec {
        0 => return Ok(bytes.to_vec()),
        1 => return snappy(bytes, size).ok_or_else(damaged),
        2 => {
            let decoder = flate2::read::MultiGzDecoder::new(bytes);
            let mut content = Vec::new();
            let read = decoder.take(size as u64 + 1).read_to_end(&mut content);
            return (read.is_ok() && content.len() == size)
                .then_some(content)
                .ok_or_else(damaged);
        }
        3 => "LZO",
        4 => "Brotli",
        5 | 7 => "LZ4",
        6 => "Zstandard",
        _ => "a method that is not known",
    };
    Err(format!(
        "it is compressed by {name}, which is not read; write it again with {REWRITE}"
    ))
}

/// Decompresses a block of Snappy's, as `format_description.txt` of google/snappy defines it:
/// the length, then literals and copies of what has been written.
fn snappy(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut reader = Reader(bytes);
    if usize::try_from(reader.varint()?).ok()? != size {
        return None;
    }
    // Grows with what arrives: a copy of 3 bytes makes 64 at the most.
    let mut all: Vec<u8> = Vec::new();
    while !reader.0.is_empty() {
        let tag = reader.take(1)?[0];
        let mut number = |count: usize| {
            let stored = reader.take(count)?;
            let shifted = stored.iter().enumerate();
            Some(shifted.fold(0_usize, |sum, (i, &b)| sum | usize::from(b) << (8 * i)))
        };
        let high = usize::from(tag >> 2);
        let (length, back) = match tag & 3 {
            0 => {
                let length = if high < 60 { high } else { number(high - 59)? };
                let length = length.checked_add(1)?;
                all.extend_from_slice(reader.take(length)?);
                continue;
            }
            1 => (4 + (high & 7), usize::from(tag >> 5) << 8 | number(1)?),
            2 => (1 + high, number(2)?),
            _ => (1 + high, number(4)?),
        };
        let from = all.len().checked_sub(back).filter(|_| back > 0)?;
        // What is copied may be what is being written.
        for i in from..from + length {
            all.push(all[i]);
        }
    }
    (all.len() == size).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_numbers_follow_each_other() {
        // 5 times 3; then 0 to 7 in three bits, an example of Parquet's own documentation.
        let bytes = [0x0a, 0x03, 0x03, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        let wanted: Vec<u32> = [3; 5].into_iter().chain(0..8).collect();
        assert_eq!(runs(&bytes, 3, 13), Some(wanted));
        assert_eq!(runs(&bytes, 3, 14), None);
        assert_eq!(runs(&bytes[..4], 3, 13), None);
        assert_eq!(runs(&[0x00, 0x01], 1, 3), None, "a run of nothing");
        assert_eq!(runs(&[0x01], 1, 3), None, "no groups");
        assert_eq!(runs(&[0x06], 0, 3), Some(vec![0; 3]));
        assert_eq!(runs(&[0xff; 20], 33, 3), None);
    }

    #[test]
    fn snappy_copies_what_it_writes() {
        // "ab", then 6 bytes from 2 back.
        let bytes = [8, 1 << 2, b'a', b'b', (6 - 4) << 2 | 1, 2];
        assert_eq!(snappy(&bytes, 8).unwrap(), b"abababab");
        assert_eq!(snappy(&bytes, 9), None);
        for length in 0..bytes.len() {
            assert_eq!(snappy(&bytes[..length], 8), None);
        }
        // From before the beginning, and from nowhere.
        assert_eq!(snappy(&[8, 1 << 2, b'a', b'b', 2 << 2 | 1, 3], 8), None);
        assert_eq!(snappy(&[8, 1 << 2, b'a', b'b', 2 << 2 | 1, 0], 8), None);
        // A long literal, whose length is in two bytes.
        let mut long = vec![0xac, 0x02, 61 << 2, 0x2b, 0x01];
        long.extend([7; 300]);
        assert_eq!(snappy(&long, 300).unwrap(), [7; 300]);
    }
}
