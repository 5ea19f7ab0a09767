//! Axes: from values to positions, and the values of ticks.

use crate::text;

/// An axis from a low to a high value, linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    kind: Label,
}

/// How tick labels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// As a plain number.
    Plain,
    /// A fraction as per cent.
    Percent,
    /// A count: 500, 20k, 1M.
    Count,
}

/// One tick.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Scale {
    /// A linear axis from 0 to a round number from `high` on, which about `most`
    /// ticks divide.
    pub(super) fn from_zero(high: f64, most: usize, kind: Label) -> Self {
        let high = if high.is_finite() && high > 0.0 {
            high
        } else {
            1.0
        };
        Self::linear(0.0, rounded_up(high, step(high, most)), kind)
    }

    /// A linear axis over round numbers around non-negative values, which need
    /// not reach down to 0.
    pub(super) fn around(low: f64, high: f64, kind: Label) -> Self {
        // Values that hardly differ should look so.
        let range = (high - low).max(high / 10.0);
        if !(range.is_finite() && range > 0.0) {
            return Self::from_zero(high, 5, kind);
        }
        let step = step(range, 5);
        let low = ((low - range * 0.06) / step).floor().max(0.0) * step;
        Self::linear(low, rounded_up(high + range * 0.06, step), kind)
    }

    /// A linear axis from `low` to `high`, exactly; `low` below `high`.
    pub(super) fn linear(low: f64, high: f64, kind: Label) -> Self {
        Self {
            low,
            high,
            logarithmic: false,
            kind,
        }
    }

    /// A logarithmic axis that holds the positive `low` and `high` with some
    /// room beside them.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let room = (high / low).powf(0.06).max(1.3);
        Self {
            low: low / room,
            high: high * room,
            logarithmic: true,
            kind: Label::Count,
        }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// The position of a value, 0 at the low end and 1 at the high end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let f = |x: f64| if self.logarithmic { x.ln() } else { x };
        (f(value) - f(self.low)) / (f(self.high) - f(self.low))
    }

    /// The value at a position; the inverse of [`Scale::position`] on a linear axis.
    pub(super) fn value(&self, position: f64) -> f64 {
        self.low + position * (self.high - self.low)
    }

    /// Ticks at round values, at most about `most` of them.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let values = if self.logarithmic {
            self.log_values(most)
        } else {
            let step = step(self.high - self.low, most);
            let first = (self.low / step - 1e-9).ceil() as i64;
            let last = (self.high / step + 1e-9).floor() as i64;
            (first..=last).map(|k| k as f64 * step).collect()
        };
        let tick = |value| Tick {
            value,
            label: self.label(value),
        };
        values.into_iter().map(tick).collect()
    }

    fn log_values(&self, most: usize) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let values = |digits: &[f64], every: usize| -> Vec<f64> {
            decades
                .clone()
                .step_by(every)
                .flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)))
                .filter(|value| (self.low..=self.high).contains(value))
                .collect()
        };
        let fine = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]];
        fine.iter()
            .map(|digits| values(digits, 1))
            .chain((2..8).map(|every| values(&[1.0], every)))
            .find(|values| values.len() <= most)
            .unwrap_or_default()
    }

    fn label(&self, value: f64) -> String {
        // Multiples of a step carry rounding errors that nobody wants to read.
        let tidy = |x: f64| text::short((x * 1e6).round() / 1e6);
        match self.kind {
            Label::Percent => format!("{}\u{202f}%", tidy(value * 100.0)),
            Label::Count if value >= 1e9 => format!("{}G", tidy(value / 1e9)),
            Label::Count if value >= 1e6 => format!("{}M", tidy(value / 1e6)),
            Label::Count if value >= 1e3 => format!("{}k", tidy(value / 1e3)),
            Label::Plain | Label::Count => tidy(value),
        }
    }
}

/// The least multiple of `step` that is not below `x`, but for rounding.
fn rounded_up(x: f64, step: f64) -> f64 {
    (x / step - 1e-9).ceil() * step
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that makes at most `most`
/// ticks in `range`.
fn step(range: f64, most: usize) -> f64 {
    let least = range / most as f64;
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, most: usize) -> Vec<String> {
        scale
            .ticks(most)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_are_round() {
        let plain = |high| Scale::from_zero(high, 6, Label::Plain);
        assert_eq!(
            labels(plain(0.953), 5),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            labels(plain(3.81), 9),
            ["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"]
        );
        assert_eq!(labels(plain(f64::NAN), 2), ["0", "0.5", "1"]);
        let around = |low, high| labels(Scale::around(low, high, Label::Plain), 6);
        assert_eq!(
            around(0.281, 0.449),
            ["0.25", "0.3", "0.35", "0.4", "0.45", "0.5"]
        );
        assert_eq!(
            around(0.01, 0.449),
            ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]
        );
        assert_eq!(around(0.0, 0.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        let share = Scale::linear(0.0, 1.0, Label::Percent);
        let percents = ["0", "20", "40", "60", "80", "100"].map(|p| format!("{p}\u{202f}%"));
        assert_eq!(labels(share, 6), percents);
    }

    #[test]
    fn logarithmic_ticks_stay_few() {
        let labels = |low, high, most| labels(Scale::logarithmic(low, high), most);
        assert_eq!(labels(1_000.0, 10_000.0, 5), ["1k", "2k", "5k", "10k"]);
        assert_eq!(
            labels(1e3, 1e8, 7),
            ["1k", "10k", "100k", "1M", "10M", "100M"]
        );
        assert!(labels(1.0, 1e18, 5).len() <= 5);
        assert_eq!(labels(1e6, 1e6, 5), ["1M"]);
    }

    #[test]
    fn positions_run_from_zero_to_one() {
        let scale = Scale::linear(1.0, 3.0, Label::Plain);
        assert_eq!(
            (
                scale.position(1.0),
                scale.position(2.0),
                scale.position(3.0)
            ),
            (0.0, 0.5, 1.0)
        );
        assert_eq!(scale.value(0.5), 2.0);
        let scale = Scale::logarithmic(1.0, 100.0);
        assert!((scale.position(10.0) - 0.5).abs() < 1e-12);
    }
}
