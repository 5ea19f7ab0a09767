//! What is done to an image: a composition of steps, each with its parameter in an interval.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The most steps of one transformation.
pub const MAX_STEPS: usize = 8;

/// One kind of step. With pixel centres at `x = column - (width - 1)/2` and `y = (height - 1)/2 -
/// row` (to the right and upwards), a spatial step with parameter `t` gives the pixel at `(x, y)`
/// the value at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Counterclockwise by `t` degrees: the source is `(x cos t + y sin t, -x sin t + y cos t)`.
    Rotate,
    /// To the right by `t` pixels: the source is `(x - t, y)`.
    TranslateX,
    /// Upwards by `t` pixels: the source is `(x, y - t)`.
    TranslateY,
    /// Enlarged by the factor `t`: the source is `(x/t, y/t)`.
    Scale,
    /// Sheared along x by the factor `t`: the source is `(x - t y, y)`.
    Shear,
    /// Values are multiplied by `t`, then cut to `[0, 1]`.
    Contrast,
    /// `t` is added to values, which are then cut to `[0, 1]`.
    Brightness,
}

impl Kind {
    /// Every kind, with its name in text, and the range that its parameter may have.
    const ALL: [(Self, &'static str, f64, f64); 7] = [
        (Self::Rotate, "rotate", -360.0, 360.0),
        (Self::TranslateX, "translate-x", -1e4, 1e4),
        (Self::TranslateY, "translate-y", -1e4, 1e4),
        (Self::Scale, "scale", 0.01, 100.0),
        (Self::Shear, "shear", -100.0, 100.0),
        (Self::Contrast, "contrast", 0.0, 100.0),
        (Self::Brightness, "brightness", -1.0, 1.0),
    ];

    /// The name in text, such as `translate-x`.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The least and the largest parameter that is accepted: `(-360, 360)` degrees for a
    /// rotation, `(0.01, 100)` for a scale.
    pub fn domain(self) -> (f64, f64) {
        let (_, _, least, largest) = self.entry();
        (least, largest)
    }

    /// Whether it moves pixels; the others change values where they stand.
    pub fn is_spatial(self) -> bool {
        !matches!(self, Self::Contrast | Self::Brightness)
    }

    fn entry(self) -> (Self, &'static str, f64, f64) {
        Self::ALL
            .into_iter()
            .find(|entry| entry.0 == self)
            .expect("every kind is in the table")
    }
}

/// A step and the interval of its parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub kind: Kind,
    /// The least parameter, in the unit of the kind.
    pub low: f64,
    /// The largest parameter.
    pub high: f64,
}

/// Steps in the order in which they are applied to an image: spatial ones first, which are
/// composed before the image is interpolated once, then those on values.
///
/// In text, `name=low..high` for each step, or `name=value`, separated by commas. The box of
/// parameters is that of the `f64`s nearest to the decimals.
///
/// ```
/// use recert_bounds::geometric::Transformation;
/// let both: Transformation = "rotate=-30..30,scale=0.95..1.05".parse()?;
/// assert_eq!(both.steps().len(), 2);
/// assert_eq!(both.to_string(), "rotate=-30..30,scale=0.95..1.05");
/// assert!("contrast=0.9..1.1,rotate=-5..5".parse::<Transformation>().is_err());
/// # Ok::<(), recert_bounds::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Transformation {
    steps: Vec<Step>,
}

impl Transformation {
    /// Checks that there are one to [`MAX_STEPS`] steps, each with an interval inside its
    /// [domain](Kind::domain), and that no spatial step follows one on values.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(Error::argument(format!(
                "a transformation has 1 to {MAX_STEPS} steps, not {}",
                steps.len()
            )));
        }
        for step in &steps {
            let (least, largest) = step.kind.domain();
            let name = step.kind.name();
            if !(least <= step.low && step.low <= step.high && step.high <= largest) {
                return Err(Error::argument(format!(
                    "the parameter of '{name}' is from {} to {}: it must rise, within {least} to {largest}",
                    step.low, step.high
                )));
            }
        }
        let late = steps
            .windows(2)
            .find(|pair| !pair[0].kind.is_spatial() && pair[1].kind.is_spatial());
        if let Some(pair) = late {
            return Err(Error::argument(format!(
                "'{}' comes after '{}': state steps that move pixels before those on values, \
                 because an image is interpolated once and then changed in value",
                pair[1].kind.name(),
                pair[0].kind.name()
            )));
        }
        Ok(Self { steps })
    }

    /// The steps, first applied first; parameter `i` everywhere is that of step `i`.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of parameters, 1 to [`MAX_STEPS`].
    pub fn parameters(&self) -> usize {
        self.steps.len()
    }

    /// Refuses parameters that are not one finite number for each step, inside its domain.
    pub(crate) fn check(&self, parameters: &[f64]) -> Result<()> {
        if parameters.len() != self.steps.len() {
            return Err(Error::argument(format!(
                "'{self}' has {} parameters, {} are given",
                self.steps.len(),
                parameters.len()
            )));
        }
        for (step, &value) in self.steps.iter().zip(parameters) {
            let (least, largest) = step.kind.domain();
            if !(least <= value && value <= largest) {
                return Err(Error::argument(format!(
                    "parameter {value} of '{}' is not within {least} to {largest}",
                    step.kind.name()
                )));
            }
        }
        Ok(())
    }
}

impl FromStr for Transformation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(syntax(
                "the transformation is empty: state steps such as 'rotate=-30..30'",
            ));
        }
        text.split(',')
            .map(step)
            .collect::<Result<_>>()
            .and_then(Self::new)
    }
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Syntax, message)
}

/// Reads `name=low..high` or `name=value`.
fn step(text: &str) -> Result<Step> {
    let text = text.trim();
    let names = || Kind::ALL.map(|entry| entry.1).join(", ");
    let Some((name, interval)) = text.split_once('=') else {
        return Err(syntax(format!(
            "'{text}' is no step: write NAME=LOW..HIGH, where NAME is one of {}",
            names()
        )));
    };
    let name = name.trim();
    let Some(kind) = Kind::ALL
        .into_iter()
        .find(|entry| entry.1 == name)
        .map(|entry| entry.0)
    else {
        return Err(syntax(format!(
            "there is no transformation '{name}': it is one of {}",
            names()
        )));
    };
    let number = |part: &str| {
        part.trim()
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
            .ok_or_else(|| {
                syntax(format!(
                    "'{}' in '{text}' is no number: write {name}=LOW..HIGH",
                    part.trim()
                ))
            })
    };
    let (low, high) = match interval.split_once("..") {
        Some((low, high)) => (number(low)?, number(high)?),
        None => (number(interval)?, number(interval)?),
    };
    Ok(Step { kind, low, high })
}

impl fmt::Display for Transformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", step.kind.name(), step.low)?;
            if step.low < step.high {
                write!(f, "..{}", step.high)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "rotate=-30..30",
            "translate-x=-1.5..2,translate-y=0..0.25,shear=-0.02..0.02",
            "scale=0.95..1.05,rotate=-5..5,contrast=0.95..1.05,brightness=-0.01..0.01",
            "rotate=3",
        ] {
            let read: Transformation = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        let spaced: Transformation = " rotate = -1 .. 1 , scale=1 ".parse().unwrap();
        assert_eq!(spaced.to_string(), "rotate=-1..1,scale=1");
    }

    #[test]
    fn refusals_name_the_step_and_what_to_do() {
        for (text, want) in [
            ("", "the transformation is empty"),
            ("rotate", "write NAME=LOW..HIGH"),
            ("rotation=1..2", "it is one of rotate, translate-x"),
            ("rotate=a..2", "'a' in 'rotate=a..2' is no number"),
            ("rotate=nan", "'nan' in 'rotate=nan' is no number"),
            ("rotate=2..1", "it must rise"),
            ("scale=0..1", "within 0.01 to 100"),
            ("rotate=0..1e9", "within -360 to 360"),
            (
                "brightness=0..0.1,scale=1..2",
                "'scale' comes after 'brightness'",
            ),
            (
                "scale=1,scale=1,scale=1,scale=1,scale=1,scale=1,scale=1,scale=1,scale=1",
                "1 to 8 steps, not 9",
            ),
        ] {
            let error = text.parse::<Transformation>().unwrap_err().to_string();
            assert!(error.contains(want), "'{text}' gives '{error}'");
        }
    }
}
