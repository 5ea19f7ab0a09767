//! Reading logs, strictly: any deviation from the format is an error with its line.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::row::{HEADER, LogRow};
use crate::error::Error;

/// No line of a log is nearly this long. A file with a longer one is something
/// else, and is not read into memory.
pub(super) const LONGEST_LINE: u64 = 1024;

/// Reads a whole log.
///
/// A log with a header and no row is valid and empty. Errors name the file and
/// the line (the header is line 1): a missing header, a wrong number of
/// columns, a number out of its domain, an abstention with a radius, a
/// `correct` that contradicts label and predict, an input that comes twice, or
/// a last line cut short.
///
/// ```no_run
/// let rows = recert_report::cohen::read("run.tsv".as_ref())?;
/// println!("{} inputs", rows.len());
/// # Ok::<(), recert_report::Error>(())
/// ```
pub fn read(path: &Path) -> Result<Vec<LogRow>, Error> {
    let file = File::open(path).map_err(|e| Error::io("cannot open the log", path, e))?;
    parse(BufReader::new(file)).map_err(|error| error.with_path(path))
}

/// Reads a whole log from any reader; see [`read`]. The errors name no file.
///
/// ```
/// use recert_report::cohen::{HEADER, parse};
///
/// let log = format!("{HEADER}\n20\t7\t-1\t0.0\t0\t0:00:14.101748\n");
/// let rows = parse(log.as_bytes())?;
/// assert_eq!((rows[0].idx, rows[0].label, rows[0].predict), (20, Some(7), None));
/// # Ok::<(), recert_report::Error>(())
/// ```
pub fn parse(reader: impl BufRead) -> Result<Vec<LogRow>, Error> {
    let mut lines = Lines::new(reader);
    match lines.next_line()? {
        Some(line) if line == HEADER => {}
        Some(_) => return Err(wrong_header().with_line(1)),
        None => {
            return Err(Error::format(
                "the log is empty; it should start with a header",
            ));
        }
    }
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    while let Some(line) = lines.next_line()? {
        let row =
            parse_line(line).map_err(|problem| Error::format(problem).with_line(lines.number))?;
        if !seen.insert(row.idx) {
            let problem = format!("input {} is in the log twice; keep one line", row.idx);
            return Err(Error::format(problem).with_line(lines.number));
        }
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn wrong_header() -> Error {
    let columns = HEADER.replace('\t', " ");
    Error::format(format!(
        "this is no certification log: the first line should be the tab-separated names {columns}"
    ))
}

/// Lines of bounded length, without their ends; the buffer is used again.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            number: 0,
        }
    }

    fn next_line(&mut self) -> Result<Option<&str>, Error> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = (&mut self.reader).take(LONGEST_LINE);
        let length = limited.read_until(b'\n', &mut self.buffer).map_err(|e| {
            Error::new(crate::ErrorKind::Io, "cannot read the log")
                .with_line(self.number)
                .with_source(e)
        })?;
        if length == 0 {
            return Ok(None);
        }
        if length as u64 == LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            let problem = format!("the line is longer than {LONGEST_LINE} bytes; this is no log");
            return Err(Error::format(problem).with_line(self.number));
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|e| {
            Error::format("the line is not text")
                .with_line(self.number)
                .with_source(e)
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(Some(text.strip_suffix('\r').unwrap_or(text)))
    }
}

/// Reads one line without its end. The error text names what is wrong with it.
pub(super) fn parse_line(line: &str) -> Result<LogRow, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [idx, label, predict, radius, correct, time] = columns[..] else {
        return Err(format!(
            "the line has {} tab-separated columns instead of 6; it may be cut short",
            columns.len()
        ));
    };
    let row = LogRow {
        idx: idx
            .parse()
            .map_err(|_| format!("idx should be a number from 0 on, not {idx:?}"))?,
        label: class("label", label)?,
        predict: class("predict", predict)?,
        radius: number("radius", radius)?,
        seconds: seconds(time)
            .ok_or_else(|| format!("time should look like 0:00:14.172309, not {time:?}"))?,
    };
    if row.predict.is_none() && row.radius != 0.0 {
        return Err(format!("an abstention has radius 0.0, not {radius}"));
    }
    let stated = match correct {
        "0" => false,
        "1" => true,
        _ => return Err(format!("correct should be 0 or 1, not {correct:?}")),
    };
    if stated != row.is_correct() {
        return Err(format!(
            "correct is {correct}, which contradicts label {label} and predict {predict}"
        ));
    }
    Ok(row)
}

fn class(name: &str, text: &str) -> Result<Option<u32>, String> {
    if text == "-1" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| format!("{name} should be a class number or -1, not {text:?}"))
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        _ => Err(format!("{name} should be a number from 0 on, not {text:?}")),
    }
}

/// Seconds of `H:MM:SS`, `H:MM:SS.ffffff` or `2 days, H:MM:SS.ffffff`.
fn seconds(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => {
            let days = days.strip_suffix(" days").or(days.strip_suffix(" day"))?;
            (whole(days)?, clock)
        }
        None => (0, text),
    };
    let mut parts = clock.split(':');
    let (hours, minutes, rest) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (secs, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    if minutes.len() != 2 || secs.len() != 2 || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(fraction.len() as u32);
    let (minutes, secs) = (whole(minutes)?, whole(secs)?);
    if minutes > 59 || secs > 59 {
        return None;
    }
    let total = (days * 24 + whole(hours)?) * 3600 + minutes * 60 + secs;
    Some(total as f64 + whole(fraction)? as f64 / scale as f64)
}

/// A whole number of at most nine digits, without a sign.
fn whole(text: &str) -> Option<u64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(lines: &[&str]) -> String {
        let mut text = format!("{HEADER}\n");
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    #[test]
    fn reads_what_the_field_writes() {
        let text = log(&[
            "0\t3\t3\t0.377\t1\t0:00:14.172309",
            "100\t473\t700\t0.0654\t0\t0:02:17",
            "200\t1\t-1\t0.0000\t0\t1 day, 2:00:00.5\r",
            "300\t-1\t-1\t0.0\t0\t0:00:00.000000",
        ]);
        let rows = parse(text.as_bytes()).unwrap();
        let row = |idx, label, predict, radius, seconds| LogRow {
            idx,
            label,
            predict,
            radius,
            seconds,
        };
        let expected = [
            row(0, Some(3), Some(3), 0.377, 14.172_309),
            row(100, Some(473), Some(700), 0.0654, 137.0),
            row(200, Some(1), None, 0.0, 93_600.5),
            row(300, None, None, 0.0, 0.0),
        ];
        assert_eq!(rows, expected);
        // The end of the last line may be missing as long as the line is whole.
        assert_eq!(parse(text.trim_end().as_bytes()).unwrap(), expected);
        assert!(parse(HEADER.as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let good = "0\t3\t3\t0.377\t1\t0:00:14.172309";
        for (bad, expected) in [
            ("1\t3\t3\t0.377\t1", "5 tab-separated columns"),
            ("", "1 tab-separated columns"),
            ("x\t3\t3\t0.377\t1\t0:00:14", "idx should"),
            ("4294967296\t3\t3\t0.377\t1\t0:00:14", "idx should"),
            ("1\t-2\t3\t0.377\t0\t0:00:14", "label should"),
            ("1\t3\t3.0\t0.377\t0\t0:00:14", "predict should"),
            ("1\t3\t3\t-0.1\t1\t0:00:14", "radius should"),
            ("1\t3\t3\tNaN\t1\t0:00:14", "radius should"),
            ("1\t3\t3\tinf\t1\t0:00:14", "radius should"),
            ("1\t3\t-1\t0.2\t0\t0:00:14", "an abstention has radius"),
            ("1\t3\t4\t0.2\t1\t0:00:14", "contradicts"),
            ("1\t-1\t-1\t0.0\t1\t0:00:14", "contradicts"),
            ("1\t3\t3\t0.2\t2\t0:00:14", "correct should"),
            ("1\t3\t3\t0.2\t1\t14.2", "time should"),
            ("1\t3\t3\t0.2\t1\t0:61:00", "time should"),
            ("1\t3\t3\t0.2\t1\t0:0:14", "time should"),
            ("1\t3\t3\t0.2\t1\t99999999999:00:14", "time should"),
            ("0\t3\t3\t0.2\t1\t0:00:14", "input 0 is in the log twice"),
        ] {
            let error = parse(log(&[good, bad]).as_bytes()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.line(), Some(3), "{text}");
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
        for text in ["", "idx,label\n", "0\t3\t3\t0.377\t1\t0:00:14.172309\n"] {
            let message = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(
                message.contains("header") || message.contains("first line"),
                "{message}"
            );
        }
        let long = log(&[&"9".repeat(5000)]);
        assert!(
            parse(long.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("longer than")
        );
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut text = format!("{HEADER}\n").into_bytes();
            text.extend(bytes);
            let _ = parse(text.as_slice());
        }

        #[test]
        fn what_is_written_is_read_back(
            idx in any::<u32>(),
            label in prop::option::of(0_u32..20),
            predict in prop::option::of(0_u32..20),
            millionths in 0_u64..5_000_000,
            micros in 0_u64..200_000_000_000,
        ) {
            let row = LogRow {
                idx,
                label,
                predict,
                radius: if predict.is_some() { millionths as f64 / 1e6 } else { 0.0 },
                seconds: micros as f64 / 1e6,
            };
            let back = parse_line(&row.to_line(6)).unwrap();
            prop_assert_eq!((back.idx, back.label, back.predict), (idx, label, predict));
            prop_assert!(back.radius <= row.radius && row.radius - back.radius < 1.001e-6);
            prop_assert!((back.seconds - row.seconds).abs() < 1e-6);
        }
    }
}
