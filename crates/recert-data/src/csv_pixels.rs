//! Images as text: a row of comma-separated pixels each, the label first, as in the MNIST and
//! Fashion-MNIST files of Kaggle.
//!
//! A first row that is not all numbers is a header, and a header whose first field is a word
//! for labels says that there are labels. Without a header the number of columns does: a
//! square of pixels, or one more. Pixels are whole numbers from 0 to 255, or, if one of them
//! has a decimal point, numbers in [0, 1].

use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};

use crate::contents::Contents;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::strided::{Element, Strided};

/// The longest text that is read, after decompression; 70,000 images of MNIST have 130 MB.
const LONGEST: u64 = 4 << 30;

/// The fewest columns that count as pixels where a file is recognised.
pub(crate) const FEWEST: usize = 16;

/// Whether the beginning of a file, cut anywhere, is that of rows of pixels: of its first two
/// lines one has only numbers, and many.
pub(crate) fn is_pixels(begin: &[u8]) -> bool {
    let mut lines = begin.split(|&b| b == b'\n').take(2);
    let numbers = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|&b| b == b',').collect();
        // The last field may be cut.
        let whole = &fields[..fields.len() - 1];
        whole.len() >= FEWEST
            && whole
                .iter()
                .all(|field| number(field.trim_ascii()).is_some())
    };
    let header = |line: &[u8]| line.split(|&b| b == b',').count() > FEWEST;
    let Some(first) = lines.next() else {
        return false;
    };
    numbers(first) || (header(first) && lines.next().is_some_and(numbers))
}

fn number(field: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Opens a file of pixels, plain or in gzip.
pub(crate) fn open(path: &Path) -> Result<Contents> {
    let (reader, _) = files::open_maybe_gzip(path)?;
    read(files::limited(reader, LONGEST), path).map_err(|e| e.with_path(path))
}

/// What the rows read so far hold.
struct Rows {
    labelled: bool,
    columns: usize,
    labels: Vec<i64>,
    pixels: Vec<f32>,
    /// Whether a pixel has a decimal point or an exponent.
    fractions: bool,
    largest: f32,
}

fn read(reader: impl Read, path: &Path) -> Result<Contents> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(reader);
    let mut record = ByteRecord::new();
    let mut rows: Option<Rows> = None;
    let mut header_labelled = None;
    let mut first = true;
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|e| {
            Error::new(ErrorKind::Corrupt, "cannot be read as a table").with_source(e)
        })?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if std::mem::take(&mut first) && record.iter().any(|field| number(field).is_none()) {
            let begin = record.get(0).unwrap_or_default();
            let word = String::from_utf8_lossy(begin);
            let word = word.trim_start_matches('\u{feff}').to_ascii_lowercase();
            header_labelled = Some(matches!(&*word, "label" | "class" | "target" | "y"));
            continue;
        }
        let rows = match &mut rows {
            Some(rows) => rows,
            none => none.insert(Rows::new(record.len(), header_labelled)?),
        };
        rows.push(&record, line)?;
    }
    match rows {
        Some(rows) => rows.finish(path),
        None => Err(Error::new(ErrorKind::Empty, "holds no image")),
    }
}

/// The side of a square of pixels.
fn square(pixels: usize) -> Option<usize> {
    let side = pixels.isqrt();
    (side > 0 && side * side == pixels).then_some(side)
}

impl Rows {
    fn new(columns: usize, header_labelled: Option<bool>) -> Result<Self> {
        let labelled = match header_labelled {
            Some(labelled) => labelled,
            None => match (square(columns), square(columns - 1)) {
                (None, Some(_)) => true,
                (Some(_), None) => false,
                _ => {
                    let message = format!(
                        "{columns} columns leave open whether the first is the label; begin the \
                         file with a header (label,pixel0,.. or pixel0,..)"
                    );
                    return Err(Error::new(ErrorKind::Shape, message));
                }
            },
        };
        if columns <= usize::from(labelled) {
            return Err(Error::new(ErrorKind::Shape, "has no column of pixels"));
        }
        Ok(Self {
            labelled,
            columns,
            labels: Vec::new(),
            pixels: Vec::new(),
            fractions: false,
            largest: 0.0,
        })
    }

    fn push(&mut self, record: &ByteRecord, line: u64) -> Result<()> {
        if record.len() != self.columns {
            let message = format!(
                "line {line} has {} columns, and the first row {}; copy or download the file again",
                record.len(),
                self.columns
            );
            return Err(Error::new(ErrorKind::Length, message));
        }
        let bad = |kind, column: usize, what: &str| {
            let field = record.get(column).unwrap_or_default().escape_ascii();
            let message = format!(
                "line {line}, column {}: '{field:.40}' is not {what}",
                column + 1
            );
            Error::new(kind, message)
        };
        if self.labelled {
            let label = record.get(0).and_then(number);
            let label = label.filter(|label| label.fract() == 0.0 && label.abs() < 1e15);
            let label = label.ok_or_else(|| bad(ErrorKind::Label, 0, "the number of a class"))?;
            self.labels.push(label as i64);
        }
        for (column, field) in record.iter().enumerate().skip(usize::from(self.labelled)) {
            let value = number(field).filter(|value| (0.0..=255.0).contains(value));
            let value = value.ok_or_else(|| bad(ErrorKind::Value, column, "a pixel, 0 to 255"))?;
            self.fractions |= field.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
            let value = value as f32;
            self.largest = self.largest.max(value);
            self.pixels.push(value);
        }
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<Contents> {
        let width = self.columns - usize::from(self.labelled);
        let len = self.pixels.len() / width;
        let mut dims = vec![len as u64];
        match square(width) {
            Some(side) => dims.extend([side as u64; 2]),
            None => dims.push(width as u64),
        }
        let whole =
            !self.fractions || (self.largest > 1.0 && self.pixels.iter().all(|p| p.fract() == 0.0));
        if whole && self.largest == 1.0 {
            let message = "all pixels are 0 or 1, which leaves open whether they are bytes; write \
                           white as 255 or as 1.0";
            return Err(Error::new(ErrorKind::Value, message));
        }
        let (element, bytes) = if whole {
            (
                Element::U8,
                self.pixels.iter().map(|&pixel| pixel as u8).collect(),
            )
        } else {
            let bytes = self
                .pixels
                .iter()
                .flat_map(|pixel| pixel.to_le_bytes())
                .collect();
            (Element::F32 { big_endian: false }, bytes)
        };
        let mut contents =
            Contents::new(Strided::from_array(path, &dims, false, element, bytes, 0)?);
        if self.labelled {
            contents.labels = Some(self.labels.into());
        }
        Ok(contents)
    }
}
