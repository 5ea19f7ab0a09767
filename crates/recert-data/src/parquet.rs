//! Parquet, as Hugging Face's data sets come: one row per image, of an image file or of lists
//! of pixels, and a label. A folder holds the parts (`test-00000-of-00001.parquet`) of a set.
//!
//! Written from the format's documentation (`parquet.thrift` and `Encodings.md` of
//! apache/parquet-format), and only for what such files use: pages of both versions, plain and by
//! dictionary, as they are or compressed by Snappy or gzip. Of image files one row group is held in memory, the last that
//! an image was asked of; lists of pixels are held as a whole.

mod footer;
mod pages;
mod thrift;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use footer::MAGIC;

use footer::{Chunk, Column, Footer, Kind};
use pages::{Cells, Values};

use crate::contents::{Contents, Images};
use crate::error::{Error, ErrorKind, Result};
use crate::labels::RawLabels;
use crate::pixels::{Image, Shape};
use crate::prepare::Prepare;
use crate::spec::{Options, Split};
use crate::strided::{Element, Strided};
use crate::{decode, files};

/// Names of the column of images, where several could hold them.
const IMAGES: [&str; 5] = ["image", "img", "images", "pixels", "x"];

/// Names of the column of labels, the first that there is.
const LABELS: [&str; 7] = [
    "label",
    "labels",
    "fine_label",
    "target",
    "class",
    "coarse_label",
    "y",
];

/// What the parts of a split begin with, in the order in which they are looked for.
const TEST: [&str; 3] = ["test", "validation", "val"];
const TRAIN: [&str; 1] = ["train"];

/// Opens a file, or the parts of a set in a folder.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Contents> {
    let files = if path.is_dir() {
        let folder = folder_of(path).unwrap_or_else(|| path.to_owned());
        parts_of(&folder, options.split)?
    } else {
        vec![path.to_owned()]
    };
    let parts: Vec<Part> = (files.into_iter().map(Part::open)).collect::<Result<_>>()?;
    let Some(first) = parts.first() else {
        return Err(Error::new(ErrorKind::Empty, "holds no Parquet file").with_path(path));
    };
    let image = first.image_column()?.clone();
    let label = first.label_column().filter(|_| options.labels.is_none());
    let label = label.cloned();
    let mut contents = if image.repeated == 0 {
        Contents::new(Files::new(&parts, &image, options)?)
    } else {
        if options.resize.is_some() || options.crop.is_some() {
            let message =
                "'resize' and 'crop' are for image files; these rows hold lists of pixels";
            return Err(Error::new(ErrorKind::Options, message).with_path(path));
        }
        Contents::new(lists(&parts, &image, path)?)
    };
    if let Some(label) = label {
        contents.labels = Some(labels(&parts, &label)?);
    }
    Ok(contents)
}

/// Whether a folder holds parts of a set.
pub(crate) fn holds_parts(path: &Path) -> bool {
    folder_of(path).is_some()
}

/// The folder of the parts: this, or the `data` in it.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.flatten().any(|entry| is_parquet(&entry.path()))
    };
    [path.to_owned(), path.join("data")].into_iter().find(holds)
}

fn is_parquet(path: &Path) -> bool {
    let end = path.extension();
    end.is_some_and(|end| end.eq_ignore_ascii_case("parquet")) && path.is_file()
}

/// The parts of a split in a folder, in order.
fn parts_of(folder: &Path, split: Split) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io(e, folder))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = paths.filter(|path| is_parquet(path)).collect();
    parts.sort_unstable();
    let (names, others): (&[&str], &[&str]) = match split {
        Split::Test => (&TEST, &TRAIN),
        Split::Train => (&TRAIN, &TEST),
    };
    for name in names {
        let of_split = parts.iter().filter(|path| begins_with(path, name));
        let of_split: Vec<PathBuf> = of_split.cloned().collect();
        if !of_split.is_empty() {
            check_complete(folder, &of_split)?;
            return Ok(of_split);
        }
    }
    if let [only] = &parts[..]
        && !others.iter().any(|name| begins_with(only, name))
    {
        return Ok(parts);
    }
    let message = format!(
        "holds no Parquet file that begins with one of {}; give the file itself",
        names.join(", ")
    );
    Err(Error::new(ErrorKind::Missing, message).with_path(folder))
}

/// Whether a file's name begins with that of a split.
fn begins_with(path: &Path, name: &str) -> bool {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let rest = file.strip_prefix(name);
    rest.is_some_and(|rest| rest.starts_with(['-', '.', '_']))
}

/// Fails where the files' names (`test-00000-of-00003.parquet`) say that a part is missing: all
/// images after it would have other positions than in the set.
fn check_complete(folder: &Path, parts: &[PathBuf]) -> Result<()> {
    let mut sets: BTreeMap<(String, u32), BTreeSet<u32>> = BTreeMap::new();
    for (start, number, of) in parts.iter().filter_map(|path| numbered(path)) {
        sets.entry((start, of)).or_default().insert(number);
    }
    for ((start, of), numbers) in sets {
        if let Some(missing) = (0..of).find(|number| !numbers.contains(number)) {
            let message = format!(
                "holds {} of the {of} parts of '{start}': that numbered {missing:05} (from 0) is \
                 missing; complete the folder, or give one file",
                numbers.len()
            );
            return Err(Error::new(ErrorKind::Missing, message).with_path(folder));
        }
    }
    Ok(())
}

/// What a part's name says: of what it is a part, its number from 0, and how many parts there are.
fn numbered(path: &Path) -> Option<(String, u32, u32)> {
    let stem = path.file_stem()?.to_string_lossy();
    let (before, after) = stem.split_once("-of-")?;
    let (start, number) = before.rsplit_once('-')?;
    // A hash may follow the number of parts.
    let of = after.split('-').next()?;
    Some((start.to_owned(), number.parse().ok()?, of.parse().ok()?))
}

/// A file.
struct Part {
    path: PathBuf,
    footer: Footer,
}

impl Part {
    fn open(path: PathBuf) -> Result<Self> {
        let footer = footer::read(&path)?;
        Ok(Self { path, footer })
    }

    /// The column that holds the images.
    fn image_column(&self) -> Result<&Column> {
        let is_pixels = |column: &&Column| {
            let number = [Kind::Int32, Kind::Int64, Kind::Float, Kind::Double];
            column.repeated > 0 && number.contains(&column.kind)
        };
        let is_file = |column: &&Column| {
            let is_bytes = column.path.len() == 2 && column.path[1] == "bytes";
            let is_named = column.path.len() == 1 && IMAGES.contains(&column.path[0].as_str());
            column.repeated == 0 && column.kind == Kind::Bytes && (is_bytes || is_named)
        };
        let columns = self.footer.columns.iter();
        let could: Vec<_> = columns.filter(|c| is_file(c) || is_pixels(c)).collect();
        let named = IMAGES.iter().find_map(|name| {
            let mut could = could.iter();
            could.find(|column| column.path[0].eq_ignore_ascii_case(name))
        });
        match (named, &could[..]) {
            (Some(column), _) | (None, [column]) => Ok(column),
            _ => {
                let names = self.footer.columns.iter().map(Column::name);
                let message = format!(
                    "no column is known to hold images, which is called {}, and holds files \
                     (`bytes`) or lists of numbers; there are {}",
                    IMAGES.join(", "),
                    names.collect::<Vec<_>>().join(", "),
                );
                Err(Error::new(ErrorKind::Missing, message).with_path(&self.path))
            }
        }
    }

    fn label_column(&self) -> Option<&Column> {
        LABELS.iter().find_map(|name| {
            let mut columns = self.footer.columns.iter();
            columns.find(|column| {
                let kinds = [Kind::Int32, Kind::Int64, Kind::Bytes];
                column.path.len() == 1
                    && column.repeated == 0
                    && column.path[0].eq_ignore_ascii_case(name)
                    && kinds.contains(&column.kind)
            })
        })
    }

    /// A column's parts, one a row group, with the number of its first row.
    fn chunks(&self, column: &Column) -> Result<Vec<(u64, Chunk)>> {
        let mut columns = self.footer.columns.iter();
        let Some(position) = columns.position(|other| other == column) else {
            let message = format!(
                "has no column '{}' of the type that it has in the first file of the set",
                column.name()
            );
            return Err(Error::new(ErrorKind::Missing, message).with_path(&self.path));
        };
        let mut row = 0;
        let groups = self.footer.groups.iter().map(|group| {
            let first = row;
            row += group.rows;
            (first, group.chunks[position])
        });
        Ok(groups.filter(|(_, chunk)| chunk.values > 0).collect())
    }

    fn at(&self, row: u64, column: &Column, why: impl std::fmt::Display) -> Error {
        let message = format!("row {row}, column '{}': {why}", column.name());
        Error::new(ErrorKind::Corrupt, message).with_path(&self.path)
    }
}

/// Reads the values of a column in a row group that begins with row `first`.
fn read(path: &Path, column: &Column, first: u64, chunk: &Chunk) -> Result<Values> {
    let (mut file, _) = files::open(path)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(chunk.begin))
        .and_then(|_| (&mut file).take(chunk.length).read_to_end(&mut bytes))
        .map_err(|e| Error::io(e, path))?;
    pages::values(&bytes, chunk, column).map_err(|why| {
        let message = format!(
            "column '{}' of the row group that begins at row {first}: {why}",
            column.name()
        );
        Error::new(ErrorKind::Corrupt, message).with_path(path)
    })
}

/// The labels of all rows.
fn labels(parts: &[Part], column: &Column) -> Result<RawLabels> {
    let mut numbers = Vec::new();
    let mut names = Vec::new();
    for part in parts {
        for (first, chunk) in part.chunks(column)? {
            let values = read(&part.path, column, first, &chunk)?;
            if let Some(row) = values.defined.iter().position(|&d| d != column.optional) {
                let why = "there is no label; give them apart, as labels";
                return Err(part.at(first + row as u64, column, why));
            }
            match values.cells {
                Cells::Integers(more) => numbers.extend(more),
                Cells::Bytes(bytes, cells) => {
                    for (row, (begin, end)) in (first..).zip(cells) {
                        let name = std::str::from_utf8(&bytes[begin..end]);
                        let name = name.map_err(|e| part.at(row, column, e))?;
                        names.push(name.to_owned());
                    }
                }
                _ => {}
            }
        }
    }
    Ok(if column.kind == Kind::Bytes {
        RawLabels::Names(names)
    } else {
        numbers.into()
    })
}

/// Images of lists of pixels.
fn lists(parts: &[Part], column: &Column, path: &Path) -> Result<Strided> {
    let is_whole = matches!(column.kind, Kind::Int32 | Kind::Int64);
    let mut dims: Option<Vec<u64>> = None;
    let mut rows = 0_u64;
    let mut bytes = Vec::new();
    for part in parts {
        for (first, chunk) in part.chunks(column)? {
            let values = read(&part.path, column, first, &chunk)?;
            let wanted = dims.get_or_insert_with(|| extents(&values, column));
            let pixels: u64 = wanted.iter().product();
            let mut row = 0;
            for (i, (&defined, &repeated)) in
                (values.defined.iter().zip(&values.repeated)).enumerate()
            {
                row = (i as u64).checked_div(pixels).unwrap_or(0);
                if defined != column.optional || u64::from(repeated) != depth(i as u64, wanted) {
                    let why = "it does not have the pixels that the first row has";
                    return Err(part.at(first + row, column, why));
                }
            }
            if pixels == 0 || !(values.defined.len() as u64).is_multiple_of(pixels) {
                return Err(part.at(first + row, column, "it ends inside an image"));
            }
            rows += values.defined.len() as u64 / pixels;
            match values.cells {
                Cells::Integers(all) => {
                    for (i, value) in all.into_iter().enumerate() {
                        let byte = u8::try_from(value).map_err(|_| {
                            let row = first + i as u64 / pixels;
                            part.at(row, column, format!("{value} is no pixel, 0 to 255"))
                        })?;
                        bytes.push(byte);
                    }
                }
                Cells::Floats(all) => bytes.extend(all.into_iter().flat_map(f64::to_le_bytes)),
                _ => {}
            }
        }
    }
    let mut dims = dims.unwrap_or_default();
    // A row of pixels is a square where it can be one, as in csv.
    if let [pixels] = dims[..]
        && pixels.isqrt().pow(2) == pixels
    {
        dims = vec![pixels.isqrt(); 2];
    }
    dims.insert(0, rows);
    let element = if is_whole {
        Element::U8
    } else {
        Element::F64 { big_endian: false }
    };
    Strided::from_array(path, &dims, false, element, bytes, 0)
}

/// The extents of the first row's lists, from the outermost in.
fn extents(values: &Values, column: &Column) -> Vec<u64> {
    let rest = values.repeated.iter().skip(1);
    let first = 1 + rest.take_while(|&&depth| depth > 0).count();
    let lists = |depth: u8| {
        let row = &values.repeated[..first.min(values.repeated.len())];
        row.iter().filter(|&&level| level <= depth).count() as u64
    };
    let extents = (1..=column.repeated).map(|depth| lists(depth) / lists(depth - 1).max(1));
    extents.collect()
}

/// At which depth value `i` continues a list in images of these extents.
fn depth(i: u64, dims: &[u64]) -> u64 {
    let mut inside = 1_u64;
    for (outer, &extent) in dims.iter().enumerate().rev() {
        inside = inside.saturating_mul(extent);
        if !i.is_multiple_of(inside) {
            return outer as u64 + 1;
        }
    }
    0
}

/// Images that are files in a column.
struct Files {
    column: Column,
    groups: Vec<FileGroup>,
    len: usize,
    prepare: Prepare,
    shape: Shape,
    /// The row group that was last asked, by number.
    last: Mutex<Option<(usize, Arc<Values>)>>,
}

/// A row group.
struct FileGroup {
    path: PathBuf,
    /// The number of its first image in the set, and of its first row in the file.
    image: usize,
    row: u64,
    chunk: Chunk,
}

impl Files {
    fn new(parts: &[Part], column: &Column, options: &Options) -> Result<Self> {
        let mut groups = Vec::new();
        let mut len = 0;
        for part in parts {
            for (row, chunk) in part.chunks(column)? {
                groups.push(FileGroup {
                    path: part.path.clone(),
                    image: len,
                    row,
                    chunk,
                });
                len += chunk.values as usize;
            }
        }
        let mut files = Self {
            column: column.clone(),
            groups,
            len,
            prepare: Prepare::new(options, false)?,
            shape: Shape {
                channels: 3,
                height: 0,
                width: 0,
            },
            last: Mutex::new(None),
        };
        if len > 0 {
            // As torchvision and Pillow have it, an image file of grey is of one channel.
            let (is_grey, size) = files.with(0, |bytes, path| {
                Ok((decode::is_grey(bytes, path)?, decode::size(bytes, path)?))
            })?;
            files.prepare = Prepare::new(options, is_grey)?;
            files.shape = files.prepare.shape(|| Ok(size))?;
        }
        Ok(files)
    }

    /// Passes on the bytes of an image's file, and what it is called in messages.
    fn with<T>(&self, index: usize, take: impl FnOnce(&[u8], &Path) -> Result<T>) -> Result<T> {
        let number = self.groups.partition_point(|group| group.image <= index) - 1;
        let group = &self.groups[number];
        let values = self.group(number)?;
        let within = index - group.image;
        let row = group.row + within as u64;
        let place = format!("row {row}, column '{}'", self.column.name());
        if values.defined.get(within) != Some(&self.column.optional) {
            let message = format!(
                "{place}: there are no bytes of an image; write the set again with its images in it \
                 (`datasets.Image(decode=False)` shows the paths)"
            );
            return Err(Error::new(ErrorKind::Corrupt, message).with_path(&group.path));
        }
        // Of those before it, some may be left out.
        let cell = pages::whole(&values.defined[..within], self.column.optional);
        let Cells::Bytes(bytes, cells) = &values.cells else {
            unreachable!("a column of bytes has bytes");
        };
        let (begin, end) = cells[cell];
        take(&bytes[begin..end], &group.path.join(place))
    }

    fn group(&self, number: usize) -> Result<Arc<Values>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, values)) = &*last
            && *kept == number
        {
            return Ok(Arc::clone(values));
        }
        // What is not needed any more makes room first.
        *last = None;
        let group = &self.groups[number];
        let values = Arc::new(read(&group.path, &self.column, group.row, &group.chunk)?);
        *last = Some((number, Arc::clone(&values)));
        Ok(values)
    }
}

impl Images for Files {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn image(&self, index: usize) -> Result<Image> {
        self.with(index, |bytes, path| {
            if self.shape.channels == 1 && !decode::is_grey(bytes, path)? {
                let message = "the image has colours, and the first one of the set is grey";
                return Err(Error::new(ErrorKind::Shape, message).with_path(path));
            }
            let image = decode::decode_bytes(bytes, path)?;
            let image = self.prepare.image(image, self.shape);
            image.map_err(|e| e.with_path(path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lists_are_told_by_their_depths() {
        let depths =
            |dims: &[u64], count: u64| (0..count).map(|i| depth(i, dims)).collect::<Vec<_>>();
        assert_eq!(depths(&[4], 6), [0, 1, 1, 1, 0, 1]);
        assert_eq!(depths(&[2, 3], 7), [0, 2, 2, 1, 2, 2, 0]);
        let column = Column {
            path: vec!["x".to_owned()],
            kind: Kind::Int32,
            optional: 0,
            repeated: 2,
        };
        let values = Values {
            repeated: vec![0, 2, 2, 1, 2, 2, 0, 2, 2],
            ..Values::default()
        };
        assert_eq!(extents(&values, &column), [2, 3]);
    }
}
