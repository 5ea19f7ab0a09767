//! The field's log format: one tab-separated line an input [Cohen et al. 2019].
//!
//! ```text
//! idx  label  predict  radius    correct  time
//! 0    3      3        0.377123  1        0:00:14.172309
//! 20   7      -1       0.0       0        0:00:14.101748
//! ```
//!
//! - `predict` is -1 for an abstention, which has radius 0.0 and correct 0.
//! - `radius` is written rounded DOWN, with six decimals unless told otherwise.
//!   Published logs round to nearest, and so hold radii above what their own
//!   counts allow.
//! - `correct` is 1 where the certified class is the label.
//! - `time` is `H:MM:SS.ffffff`; hours run past 24. Python prints
//!   `1 day, 2:03:04` then, which is read as well.
//! - An input without a label has label -1 and correct 0: an abstention on it
//!   has label and predict alike, and still is not correct. Accuracies computed
//!   by other tools from the `correct` column of such a log are 0.
//!
//! The format has no place for the sigma, the number of samples, the failure
//! probability or the lower bound; keep them elsewhere.

mod log;
mod read;

pub use log::CohenLog;
pub use read::{parse, read};

use recert_num::format_down;

use crate::model::Row;

/// The first line of every log.
pub const HEADER: &str = "idx\tlabel\tpredict\tradius\tcorrect\ttime";

/// One line of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LogRow {
    /// Position of the input in the whole data set.
    pub idx: u32,
    /// The true class; `None` is written as -1.
    pub label: Option<u32>,
    /// The certified class; `None`, an abstention, is written as -1.
    pub predict: Option<u32>,
    /// Certified L2 radius, finite and from 0 on; 0 for an abstention.
    pub radius: f64,
    /// Wall-clock seconds, finite and from 0 on; written with six decimals.
    pub seconds: f64,
}

impl LogRow {
    /// Whether the certified class is the known true class.
    pub fn is_correct(&self) -> bool {
        self.predict.is_some() && self.predict == self.label
    }

    /// The line without its end, the radius with `digits` decimals rounded down.
    ///
    /// ```
    /// use recert_report::cohen::LogRow;
    /// let row = LogRow { idx: 40, label: Some(4), predict: None, radius: 0.0, seconds: 75.5 };
    /// assert_eq!(row.to_line(6), "40\t4\t-1\t0.0\t0\t0:01:15.500000");
    /// ```
    pub fn to_line(&self, digits: usize) -> String {
        let class = |class: Option<u32>| class.map_or_else(|| "-1".to_owned(), |c| c.to_string());
        let radius = if self.predict.is_some() {
            format_down(self.radius, digits)
        } else {
            "0.0".to_owned()
        };
        format!(
            "{}\t{}\t{}\t{radius}\t{}\t{}",
            self.idx,
            class(self.label),
            class(self.predict),
            u8::from(self.is_correct()),
            time(self.seconds),
        )
    }
}

impl From<&Row> for LogRow {
    fn from(row: &Row) -> Self {
        Self {
            idx: row.idx,
            label: row.label,
            predict: row.class,
            radius: row.radius,
            seconds: row.seconds,
        }
    }
}

impl From<&LogRow> for Row {
    /// What a log line says; the number of evaluations is not in it and is 0.
    fn from(row: &LogRow) -> Self {
        Self {
            idx: row.idx,
            label: row.label,
            class: row.predict,
            radius: row.radius,
            seconds: row.seconds,
            ..Self::default()
        }
    }
}

fn time(seconds: f64) -> String {
    let micros = (seconds * 1e6).round() as u64;
    let (whole, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}.{micros:06}", whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_the_format() {
        let row = |label, predict, radius| LogRow {
            idx: 20,
            label,
            predict,
            radius,
            seconds: 3_723.000_001_4,
        };
        let time = "1:02:03.000001";
        for (row, digits, line) in [
            (
                row(Some(3), Some(3), 0.377_999_9),
                6,
                "20\t3\t3\t0.377999\t1\t",
            ),
            (
                row(Some(3), Some(3), 0.377_999_9),
                3,
                "20\t3\t3\t0.377\t1\t",
            ),
            (row(Some(3), Some(4), 0.0), 3, "20\t3\t4\t0.000\t0\t"),
            (row(Some(3), None, 0.0), 6, "20\t3\t-1\t0.0\t0\t"),
            (row(None, Some(4), 1.5), 6, "20\t-1\t4\t1.500000\t0\t"),
            (row(None, None, 0.0), 6, "20\t-1\t-1\t0.0\t0\t"),
        ] {
            assert_eq!(row.to_line(digits), format!("{line}{time}"));
        }
    }

    #[test]
    fn times_run_past_a_day() {
        assert_eq!(time(0.0), "0:00:00.000000");
        assert_eq!(time(59.999_999_9), "0:01:00.000000");
        assert_eq!(time(90_000.25), "25:00:00.250000");
    }
}
