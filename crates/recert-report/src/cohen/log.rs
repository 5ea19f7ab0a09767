//! Writing a log line by line, and continuing one that was interrupted.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::read::{parse, parse_line, wrong_header};
use super::row::{HEADER, LogRow};
use crate::error::{Error, ErrorKind};

/// A log being written. Every line is written whole as soon as it is appended, so
/// a log can be followed while it grows and loses nothing when the process ends.
///
/// Opening an existing log continues it: no second header is written, a last line
/// that was cut short is removed, and inputs that are in it are not written again.
/// While it is open the file is locked against a second writer, on file
/// systems that can.
///
/// ```
/// use recert_report::cohen::{CohenLog, LogRow};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("run.tsv");
/// let row = LogRow { idx: 0, label: Some(3), predict: Some(3), radius: 0.25, seconds: 1.5 };
/// let mut log = CohenLog::open(&path)?;
/// assert!(log.append(&row)?);
/// drop(log);
///
/// // After an interruption: the input is there already.
/// let mut log = CohenLog::open(&path)?;
/// assert!(log.contains(0));
/// assert!(!log.append(&row)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CohenLog {
    path: PathBuf,
    file: File,
    end: u64,
    digits: usize,
    rows: HashMap<u32, LogRow>,
    repaired: bool,
}

impl CohenLog {
    /// Decimals of the radius where the caller names no other number.
    pub const DIGITS: usize = 6;

    /// Opens the log at `path`, or makes it. Radii are written with
    /// [`CohenLog::DIGITS`] decimals.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with_digits(path, Self::DIGITS)
    }

    /// Opens the log at `path`, or makes it; radii are written with `digits`
    /// decimals, rounded down.
    ///
    /// A file that is not a log is left untouched; the error
    /// ([`ErrorKind::Format`]) names the line. A log that another process has
    /// open is [`ErrorKind::Locked`].
    pub fn open_with_digits(path: &Path, digits: usize) -> Result<Self, Error> {
        let failed = |e| Error::io("cannot open the log for writing", path, e);
        // A log is read and continued; opening a pipe would wait for a reader.
        if path.exists() && !path.is_file() {
            let problem = "cannot open the log for writing: it is a folder, a pipe or a device";
            return Err(Error::new(ErrorKind::Format, problem).with_path(path));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        // A file system without locks is no reason not to write.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let problem = "another process is writing this log; wait for it or name another file";
            return Err(Error::new(ErrorKind::Locked, problem).with_path(path));
        }
        let size = file.metadata().map_err(failed)?.len();
        let old = examine(&mut file, size).map_err(|error| error.with_path(path))?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            end: old.end,
            digits,
            rows: old.rows,
            repaired: old.end != size,
        };
        if log.repaired {
            log.file.set_len(log.end).map_err(|e| log.failed(e))?;
        }
        if log.end == 0 {
            log.write_line(HEADER)?;
        } else if old.needs_newline {
            log.write("\n")?;
            log.repaired = true;
        }
        Ok(log)
    }

    /// Writes a row, unless the log has its input already; returns whether it did.
    ///
    /// A log that has the input with another label, class or radius is
    /// [`ErrorKind::Conflict`], since it comes from other parameters. A row with
    /// a radius or time that is negative or not finite, or an abstention with a
    /// radius, is [`ErrorKind::Value`].
    pub fn append(&mut self, row: &LogRow) -> Result<bool, Error> {
        let line = row.to_line(self.digits);
        let finite = row.radius.is_finite() && row.seconds.is_finite();
        if !finite || row.radius < 0.0 || row.seconds < 0.0 {
            let problem = format!(
                "input {}: radius {} and time {} must be numbers from 0 on",
                row.idx, row.radius, row.seconds
            );
            return Err(Error::value(problem).with_path(&self.path));
        }
        if row.predict.is_none() && row.radius != 0.0 {
            let problem = format!("input {}: an abstention has radius 0", row.idx);
            return Err(Error::value(problem).with_path(&self.path));
        }
        let row =
            parse_line(&line).map_err(|problem| Error::value(problem).with_path(&self.path))?;
        if let Some(old) = self.rows.get(&row.idx) {
            let same = (old.label, old.predict) == (row.label, row.predict);
            if same && old.radius == row.radius {
                return Ok(false);
            }
            let problem = format!(
                "the log has another result for input {}: {:?} instead of {line:?}; \
                 it comes from other parameters, so name another file",
                row.idx,
                old.to_line(self.digits),
            );
            return Err(Error::new(ErrorKind::Conflict, problem).with_path(&self.path));
        }
        self.write_line(&line)?;
        self.rows.insert(row.idx, row);
        Ok(true)
    }

    /// Whether the log has a line for this input.
    pub fn contains(&self, idx: u32) -> bool {
        self.rows.contains_key(&idx)
    }

    /// How many inputs the log has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the log has no input yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether opening removed a last line that was cut short, or ended one.
    pub fn was_repaired(&self) -> bool {
        self.repaired
    }

    /// Waits until everything is on the disk itself.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| self.failed(e))
    }

    fn write_line(&mut self, line: &str) -> Result<(), Error> {
        self.write(&format!("{line}\n"))
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                self.end += text.len() as u64;
                Ok(())
            }
            Err(e) => {
                // Half a line must not stay in front of later ones. Should this
                // fail too, the next line overwrites it, or opening repairs it.
                let _ = self.file.set_len(self.end);
                Err(self.failed(e))
            }
        }
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::io("cannot write the log", &self.path, error)
    }
}

/// The contents of a file when it was opened.
struct Old {
    rows: HashMap<u32, LogRow>,
    /// Where its whole lines end.
    end: u64,
    /// Whether the last of them lacks its line end.
    needs_newline: bool,
}

fn examine(file: &mut File, size: u64) -> Result<Old, Error> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(HEADER.len() as u64 + 2).read_to_end(&mut start))
        .map_err(|e| Error::new(ErrorKind::Io, "cannot read the log").with_source(e))?;
    let mut old = Old {
        rows: HashMap::new(),
        end: 0,
        needs_newline: false,
    };
    if HEADER.as_bytes().starts_with(&start) && start.len() < HEADER.len() {
        // Empty, or cut short within the header.
        return Ok(old);
    }
    let whole_header = start.strip_prefix(HEADER.as_bytes()).is_some_and(|rest| {
        matches!(rest, b"" | b"\r") || rest.first() == Some(&b'\n') || rest == b"\r\n"
    });
    if !whole_header {
        return Err(wrong_header().with_line(1));
    }
    let tail = last_line(file, size)
        .map_err(|e| Error::new(ErrorKind::Io, "cannot read the log").with_source(e))?;
    let whole = size - tail.len() as u64;
    if whole == 0 {
        // The header alone, without its line end.
        old.end = HEADER.len() as u64;
        old.needs_newline = true;
        return Ok(old);
    }
    let kept = std::str::from_utf8(&tail)
        .ok()
        .filter(|line| has_whole_time(line) && parse_line(line).is_ok());
    old.needs_newline = kept.is_some();
    old.end = if kept.is_some() { size } else { whole };
    file.seek(SeekFrom::Start(0))
        .map_err(|e| Error::new(ErrorKind::Io, "cannot read the log").with_source(e))?;
    let reader = std::io::BufReader::new(&*file).take(old.end);
    old.rows = parse(reader)?
        .into_iter()
        .map(|row| (row.idx, row))
        .collect();
    Ok(old)
}

/// Whether the last column has all six decimals, so that nothing of a line
/// without an end can be missing.
fn has_whole_time(line: &str) -> bool {
    line.rsplit_once('.')
        .is_some_and(|(_, micros)| micros.len() == 6)
}

/// What follows the last line end. The header check came first, so a file that
/// is not a log is not read here; a line of a log is short.
fn last_line(file: &mut File, size: u64) -> std::io::Result<Vec<u8>> {
    let mut window = 4096.min(size);
    loop {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(size - window))?;
        file.take(window).read_to_end(&mut bytes)?;
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => return Ok(bytes.split_off(end + 1)),
            None if window == size => return Ok(bytes),
            // A tail of zero bytes, which some file systems leave after a power
            // cut, can be longer than any line.
            None => window = (window * 2).min(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn row(idx: u32) -> LogRow {
        LogRow {
            idx,
            label: Some(3),
            predict: Some(3),
            radius: 0.25,
            seconds: 1.5,
        }
    }

    const LINE_0: &str = "0\t3\t3\t0.250000\t1\t0:00:01.500000\n";
    const LINE_20: &str = "20\t3\t3\t0.250000\t1\t0:00:01.500000\n";

    #[test]
    fn lines_are_there_as_soon_as_they_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let mut log = CohenLog::open(&path).unwrap();
        let content = || fs::read_to_string(&path).unwrap();
        assert_eq!(content(), format!("{HEADER}\n"));
        assert!(log.append(&row(0)).unwrap());
        assert_eq!(content(), format!("{HEADER}\n{LINE_0}"));
        assert!(log.append(&row(20)).unwrap());
        assert_eq!(content(), format!("{HEADER}\n{LINE_0}{LINE_20}"));
        assert!(log.contains(20) && !log.contains(1));
        assert_eq!(log.len(), 2);
        log.sync().unwrap();
    }

    #[test]
    fn cutting_at_any_byte_and_going_on_gives_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let whole = format!("{HEADER}\n{LINE_0}{LINE_20}");
        for cut in 0..=whole.len() {
            let path = folder.path().join(format!("{cut}.tsv"));
            fs::write(&path, &whole[..cut]).unwrap();
            let mut log = CohenLog::open(&path).unwrap();
            let with_line_end = cut == 0 || whole.as_bytes()[cut - 1] == b'\n';
            assert_eq!(log.was_repaired(), !with_line_end, "cut at {cut}");
            let before = log.len();
            let added = [0, 20].map(|idx| u8::from(log.append(&row(idx)).unwrap()));
            assert_eq!(before + usize::from(added[0] + added[1]), 2);
            drop(log);
            assert_eq!(fs::read_to_string(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_tail_of_zero_bytes_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let mut bytes = format!("{HEADER}\n{LINE_0}").into_bytes();
        bytes.resize(20_000, 0);
        fs::write(&path, bytes).unwrap();
        let mut log = CohenLog::open(&path).unwrap();
        assert!(log.was_repaired() && log.contains(0));
        log.append(&row(20)).unwrap();
        let expected = format!("{HEADER}\n{LINE_0}{LINE_20}");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn another_result_for_an_input_is_a_conflict() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let mut log = CohenLog::open(&path).unwrap();
        log.append(&row(0)).unwrap();
        // Another time, and a radius that prints the same, are no conflict.
        let later = LogRow {
            seconds: 9.0,
            radius: 0.250_000_4,
            ..row(0)
        };
        assert!(!log.append(&later).unwrap());
        let other = LogRow {
            radius: 0.3,
            ..row(0)
        };
        let error = log.append(&other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("input 0"), "{error}");
        assert_eq!(log.len(), 1);
    }

    #[test]
    fn numbers_that_are_no_results_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let mut log = CohenLog::open(&path).unwrap();
        for bad in [
            LogRow {
                radius: f64::NAN,
                ..row(0)
            },
            LogRow {
                radius: -0.5,
                ..row(0)
            },
            LogRow {
                seconds: f64::INFINITY,
                ..row(0)
            },
            LogRow {
                predict: None,
                ..row(0)
            },
        ] {
            assert_eq!(log.append(&bad).unwrap_err().kind(), ErrorKind::Value);
        }
        assert!(log.is_empty());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}\n"));
    }

    #[test]
    fn a_file_that_is_no_log_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in [
            "my notes",
            "idx,label\n1,2\n",
            &format!("{HEADER}\textra\n"),
        ] {
            fs::write(&path, text).unwrap();
            let error = CohenLog::open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format);
            assert_eq!(
                (error.path(), error.line()),
                (Some(path.as_path()), Some(1))
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_second_writer_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.tsv");
        let _first = CohenLog::open(&path).unwrap();
        let error = CohenLog::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
    }
}
