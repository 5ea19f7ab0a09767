//! The ranges of activations, collected from values that the caller observed.

use std::collections::BTreeMap;
use std::fmt;

use recert_graph::{Error, ErrorKind, Result};

/// How a range follows from the observed values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum RangeMethod {
    /// From the least to the greatest value.
    #[default]
    MinMax,
    /// The middle part of the values that holds this percentage of them (above
    /// 50, up to 100), half of the rest cut off at either end, to within
    /// 1/2048 of the greatest magnitude. Zero stays inside.
    Percentile(f64),
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeMethod::MinMax => f.write_str("the least and greatest calibration values"),
            RangeMethod::Percentile(part) => {
                write!(f, "the middle {part} % of the calibration values")
            }
        }
    }
}

/// The observed ranges of the calibration points.
///
/// The result does not depend on the order of observations or on how the
/// values were split into batches.
#[derive(Debug, Clone)]
pub struct Calibration {
    method: RangeMethod,
    observed: BTreeMap<String, Observed>,
}

#[derive(Debug, Clone)]
struct Observed {
    low: f32,
    high: f32,
    histogram: Option<Histogram>,
}

impl Calibration {
    /// No observations yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Argument`] for a percentile outside (50, 100].
    pub fn new(method: RangeMethod) -> Result<Self> {
        match method {
            RangeMethod::Percentile(part) if !(part > 50.0 && part <= 100.0) => Err(Error::new(
                ErrorKind::Argument,
                format!("the calibration percentile must be above 50 and at most 100, not {part}"),
            )),
            _ => Ok(Calibration {
                method,
                observed: BTreeMap::new(),
            }),
        }
    }

    /// How ranges follow from values.
    pub fn method(&self) -> RangeMethod {
        self.method
    }

    /// Takes in values of a point, of any number of inputs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Calibration`] for a value that is not finite; nothing of
    /// the slice is taken in then.
    pub fn observe(&mut self, point: &str, values: &[f32]) -> Result<()> {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let text = format!("tensor `{point}` takes the value {value} on a calibration input");
            return Err(Error::new(ErrorKind::Calibration, text));
        }
        if values.is_empty() {
            return Ok(());
        }
        if !self.observed.contains_key(point) {
            let histogram = matches!(self.method, RangeMethod::Percentile(_)).then(Histogram::new);
            self.observed.insert(
                point.to_owned(),
                Observed {
                    low: f32::MAX,
                    high: f32::MIN,
                    histogram,
                },
            );
        }
        if let Some(observed) = self.observed.get_mut(point) {
            for value in values {
                observed.low = observed.low.min(*value);
                observed.high = observed.high.max(*value);
            }
            if let Some(histogram) = &mut observed.histogram {
                histogram.add(values, observed.low.abs().max(observed.high.abs()));
            }
        }
        Ok(())
    }

    /// The range of a point, 0 inside or at an end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Calibration`] where no value of it was observed.
    pub fn range(&self, point: &str) -> Result<(f32, f32)> {
        let observed = self.observed.get(point).ok_or_else(|| {
            let text = format!(
                "no values of tensor `{point}` were observed; run the instrumented network first"
            );
            Error::new(ErrorKind::Calibration, text)
        })?;
        let (low, high) = match (&observed.histogram, self.method) {
            (Some(histogram), RangeMethod::Percentile(part)) => {
                let (low, high) = histogram.middle(part / 100.0);
                (low.max(observed.low), high.min(observed.high))
            }
            _ => (observed.low, observed.high),
        };
        Ok((low.min(0.0), high.max(0.0)))
    }
}

/// Bins on either side of zero.
const BINS: usize = 2048;

/// Counts in bins of equal width over `[-reach, reach)`, where `reach` is the
/// least power of two above every magnitude seen. When it grows, neighbouring
/// bins merge exactly, so the counts depend on the values alone.
#[derive(Debug, Clone)]
struct Histogram {
    /// `reach` is two to this power.
    exponent: i32,
    counts: Vec<u64>,
}

impl Histogram {
    fn new() -> Self {
        Histogram {
            exponent: -126,
            counts: vec![0; 2 * BINS],
        }
    }

    fn add(&mut self, values: &[f32], magnitude: f32) {
        while f64::from(magnitude) >= self.reach() {
            self.double();
        }
        let width = self.reach() / BINS as f64;
        for value in values {
            let bin = (f64::from(*value) / width).floor() as i64 + BINS as i64;
            self.counts[bin.clamp(0, 2 * BINS as i64 - 1) as usize] += 1;
        }
    }

    fn reach(&self) -> f64 {
        f64::from(self.exponent).exp2()
    }

    fn double(&mut self) {
        let mut merged = vec![0; 2 * BINS];
        for (bin, pair) in self.counts.chunks(2).enumerate() {
            merged[BINS / 2 + bin] = pair.iter().sum();
        }
        self.counts = merged;
        self.exponent += 1;
    }

    /// The outer edges of the bins that hold the middle `part` of the values.
    fn middle(&self, part: f64) -> (f32, f32) {
        let total: u64 = self.counts.iter().sum();
        let cut = total as f64 * (1.0 - part) / 2.0;
        let edge = |bin: usize| ((bin as f64 - BINS as f64) * self.reach() / BINS as f64) as f32;
        let mut below = 0;
        let first = self.counts.iter().position(|count| {
            below += count;
            below as f64 > cut
        });
        let mut above = 0;
        let last = self.counts.iter().rposition(|count| {
            above += count;
            above as f64 > cut
        });
        (
            edge(first.unwrap_or(0)),
            edge(last.map_or(2 * BINS, |bin| bin + 1)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_is_always_inside() {
        // (values, range)
        let table: &[(&[f32], (f32, f32))] = &[
            (&[1.0, 2.0], (0.0, 2.0)),
            (&[-3.0, -1.0], (-3.0, 0.0)),
            (&[-1.0, 4.0], (-1.0, 4.0)),
        ];
        for (values, range) in table {
            let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
            calibration.observe("t", values).unwrap();
            assert_eq!(calibration.range("t").unwrap(), *range);
        }
    }

    #[test]
    fn a_percentile_cuts_the_tails() {
        // 0.5 % at either end of 0 .. 1000 is cut off.
        let values: Vec<f32> = (0..=1000).map(|v| v as f32 - 500.0).collect();
        let mut calibration = Calibration::new(RangeMethod::Percentile(99.0)).unwrap();
        calibration.observe("t", &values).unwrap();
        let (low, high) = calibration.range("t").unwrap();
        // A bin is 512 / 2048 wide.
        assert!(
            (-495.25..=-494.75).contains(&low) && (494.75..=495.25).contains(&high),
            "{low} {high}"
        );
        let mut all = Calibration::new(RangeMethod::Percentile(100.0)).unwrap();
        all.observe("t", &values).unwrap();
        assert_eq!(all.range("t").unwrap(), (-500.0, 500.0));
    }

    #[test]
    fn refusals() {
        for part in [50.0, 0.0, 100.1, f64::NAN] {
            let error = Calibration::new(RangeMethod::Percentile(part)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument);
        }
        let mut calibration = Calibration::new(RangeMethod::MinMax).unwrap();
        for value in [f32::NAN, f32::INFINITY] {
            let error = calibration.observe("t", &[0.0, value]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Calibration);
        }
        calibration.observe("t", &[]).unwrap();
        assert_eq!(
            calibration.range("t").unwrap_err().kind(),
            ErrorKind::Calibration
        );
    }

    proptest! {
        #[test]
        fn order_and_batches_do_not_matter(
            values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, 1..60),
            cut in 0_usize..60,
        ) {
            let observe = |parts: &[&[f32]]| {
                let mut calibration = Calibration::new(RangeMethod::Percentile(90.0)).unwrap();
                for part in parts {
                    calibration.observe("t", part).unwrap();
                }
                calibration.range("t").unwrap()
            };
            let cut = cut.min(values.len());
            let whole = observe(&[&values]);
            prop_assert_eq!(observe(&[&values[cut..], &values[..cut]]), whole);
            let greatest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            prop_assert!(whole.0 >= -greatest && whole.0 <= 0.0 && whole.1 <= greatest && whole.1 >= 0.0);
        }
    }
}
