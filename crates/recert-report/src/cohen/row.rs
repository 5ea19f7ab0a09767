//! One line of a log, and how it is written.

use crate::model::Row;
use recert_num::format_down;

/// The first line of every log.
pub const HEADER: &str = "idx\tlabel\tpredict\tradius\tcorrect\ttime";

/// One line of a log.
///
/// ```
/// use recert_report::cohen::LogRow;
///
/// let row = LogRow { idx: 0, label: Some(3), predict: Some(3), radius: 0.25, seconds: 1.5 };
/// assert!(row.is_correct());
/// ```
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
    /// The values of a log line. It has no number of evaluations, so that is 0.
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
