//! Normalisation outside the graph: `scale * (x - mean) / std`, per channel.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Setting};

/// What is done to an image in `[0, 1]` units (plus noise) before the network
/// sees it: per channel `scale * (x - mean) / std`, in float32.
///
/// Noise is always added before, so that radii are in the units of the data.
/// It is part of a network's identity: the same file under another
/// normalisation is another function.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preprocess {
    /// Subtracted: none, one for all channels, or one a channel.
    pub mean: Vec<f32>,
    /// Divided by: none, one for all channels, or one a channel.
    pub std: Vec<f32>,
    /// Multiplied by, last.
    pub scale: Option<f32>,
}

impl Preprocess {
    /// Values for `mean` and `std` are one for all channels, one a channel,
    /// or none; in the units of the data (`[0, 1]`).
    ///
    /// # Errors
    /// [`ErrorKind::Preprocess`] for a value that is not finite, a `std` that is not
    /// positive, a `scale` of 0.
    ///
    /// # Examples
    /// ```
    /// use recert_engine::Preprocess;
    ///
    /// let imagenet = Preprocess::new(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225], None)?;
    /// // Ledgers record it as text, which is read back.
    /// let text = imagenet.to_string();
    /// assert_eq!(text, "mean=0.485,0.456,0.406 std=0.229,0.224,0.225");
    /// assert_eq!(text.parse::<Preprocess>()?, imagenet);
    /// # Ok::<(), recert_engine::Error>(())
    /// ```
    pub fn new(mean: &[f32], std: &[f32], scale: Option<f32>) -> Result<Self, Error> {
        let bad = |setting, why: String| Err(Error::new(ErrorKind::Preprocess, why).about(setting));
        if let Some(value) = mean.iter().find(|v| !v.is_finite()) {
            return bad(Setting::Mean, format!("mean must be finite, got {value}"));
        }
        if let Some(value) = std.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
            return bad(
                Setting::Std,
                format!("std must be positive and finite, got {value}"),
            );
        }
        if let Some(value) = scale.filter(|v| !(v.is_finite() && *v != 0.0)) {
            return bad(
                Setting::Scale,
                format!("scale must be finite and not 0, got {value}"),
            );
        }
        Ok(Self {
            mean: mean.to_vec(),
            std: std.to_vec(),
            scale,
        })
    }

    /// Whether images pass unchanged.
    pub fn is_identity(&self) -> bool {
        self.mean.is_empty() && self.std.is_empty() && self.scale.is_none()
    }

    /// Checks that the values given fit images of `channels` channels.
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        let given = [
            (Setting::Mean, "mean", &self.mean),
            (Setting::Std, "std", &self.std),
        ];
        for (setting, name, values) in given {
            if values.len() > 1 && values.len() != channels {
                return Err(Error::new(
                    ErrorKind::Preprocess,
                    format!(
                        "{name} has {} values but the images have {channels} channel{}: give 1 or {channels}",
                        values.len(),
                        if channels == 1 { "" } else { "s" },
                    ),
                )
                .about(setting));
            }
        }
        Ok(())
    }

    /// Applies itself in place to one channel's values.
    pub(crate) fn apply(&self, channel: usize, values: &mut [f32]) {
        if self.is_identity() {
            return;
        }
        let value = |list: &[f32], neutral: f32| match list {
            [] => neutral,
            [one] => *one,
            many => many[channel],
        };
        let (mean, std) = (value(&self.mean, 0.0), value(&self.std, 1.0));
        let scale = self.scale.unwrap_or(1.0);
        for value in values {
            *value = (*value - mean) / std * scale;
        }
    }
}

/// The canonical text of the preprocessing, as the ledger records it.
impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_identity() {
            return f.write_str("none");
        }
        let list = |values: &[f32]| {
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            texts.join(",")
        };
        let mut parts = Vec::new();
        if !self.mean.is_empty() {
            parts.push(format!("mean={}", list(&self.mean)));
        }
        if !self.std.is_empty() {
            parts.push(format!("std={}", list(&self.std)));
        }
        if let Some(scale) = self.scale {
            parts.push(format!("scale={scale}"));
        }
        f.write_str(&parts.join(" "))
    }
}

impl FromStr for Preprocess {
    type Err = Error;

    /// The inverse of [`Display`](fmt::Display).
    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || {
            let message = format!("'{text}' is no preprocessing (such as mean=0.5 std=0.25)");
            Error::new(ErrorKind::Preprocess, message)
        };
        let list = |values: &str| -> Result<Vec<f32>, Error> {
            values
                .split(',')
                .map(|v| v.parse().map_err(|_| malformed()))
                .collect()
        };
        let (mut mean, mut std, mut scale) = (Vec::new(), Vec::new(), None);
        for part in text.split_whitespace().filter(|&part| part != "none") {
            match part.split_once('=') {
                Some(("mean", values)) => mean = list(values)?,
                Some(("std", values)) => std = list(values)?,
                Some(("scale", value)) => scale = Some(value.parse().map_err(|_| malformed())?),
                _ => return Err(malformed()),
            }
        }
        Self::new(&mean, &std, scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_mean_std_scale_per_channel() {
        let p = Preprocess::new(&[0.5, 0.25], &[0.5], Some(2.0)).unwrap();
        let mut values = [1.0, 0.0];
        p.apply(0, &mut values);
        assert_eq!(values, [2.0, -2.0]);
        let mut values = [1.0];
        p.apply(1, &mut values);
        assert_eq!(values, [3.0]);
        assert_eq!(p.to_string(), "mean=0.5,0.25 std=0.5 scale=2");
        assert_eq!(p.to_string().parse::<Preprocess>().unwrap(), p);
        assert_eq!("none".parse::<Preprocess>().unwrap(), Preprocess::default());
        assert!("std=0".parse::<Preprocess>().is_err());
    }

    #[test]
    fn bad_values_are_named() {
        for (mean, std, scale, word) in [
            (vec![f32::NAN], vec![], None, "mean"),
            (vec![], vec![0.0], None, "std"),
            (vec![], vec![], Some(0.0), "scale"),
        ] {
            let error = Preprocess::new(&mean, &std, scale).unwrap_err();
            assert!(error.to_string().starts_with(word), "{error}");
        }
        let p = Preprocess::new(&[0.1, 0.2], &[], None).unwrap();
        assert!(p.check(3).unwrap_err().to_string().contains("give 1 or 3"));
    }
}
