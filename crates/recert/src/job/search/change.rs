//! What the weights of a layer become, in words: `int8`, `prune10%`, `prune10%+bf16`.

use std::fmt;
use std::str::FromStr;

use super::super::config::Fraction;
use crate::{Error, ErrorKind, Result};

/// The numbers that the weights of a layer are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// IEEE 754 binary16.
    Float16,
    /// bfloat16.
    BFloat16,
    /// Integers of so many bits, 2 to 8, with activations of 8.
    Int(u8),
}

impl Format {
    /// The bits of a weight.
    pub fn bits(self) -> u32 {
        match self {
            Self::Float16 | Self::BFloat16 => 16,
            Self::Int(bits) => u32::from(bits),
        }
    }
}

/// What the weights of a layer become: pruned, of another format, or both, pruned first.
///
/// ```
/// use recert::job::{Change, Format};
///
/// let change: Change = "prune10%+int4".parse()?;
/// assert_eq!(change.format(), Some(Format::Int(4)));
/// assert_eq!(change.pruned(), Some(0.1));
/// assert_eq!(change.to_string(), "prune10%+int4");
/// assert!("int1".parse::<Change>().is_err());
/// # Ok::<(), recert::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// The share of the weights to set to zero, in millionths.
    pruned: Option<u32>,
    format: Option<Format>,
}

/// The millionths of a whole.
const WHOLE: f64 = 1e6;

impl Change {
    /// Another format, and nothing else.
    pub fn to(format: Format) -> Self {
        Self {
            pruned: None,
            format: Some(format),
        }
    }

    /// The share of the weights to set to zero, smallest first; in (0, 1).
    pub fn pruned(self) -> Option<f64> {
        self.pruned.map(|share| f64::from(share) / WHOLE)
    }

    /// The format, if it becomes another one than float32.
    pub fn format(self) -> Option<Format> {
        self.format
    }

    /// What is left of it where only a part was done.
    pub(super) fn done(self, pruned: bool, formatted: bool) -> Option<Self> {
        let done = Self {
            pruned: self.pruned.filter(|_| pruned),
            format: self.format.filter(|_| formatted),
        };
        (done.pruned.is_some() || done.format.is_some()).then_some(done)
    }

    /// The bits of a weight, those that became zero included.
    pub fn bits(self) -> u32 {
        self.format.map_or(32, Format::bits)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(share) = self.pruned {
            write!(f, "prune{}%", f64::from(share) / WHOLE * 100.0)?;
        }
        if self.pruned.is_some() && self.format.is_some() {
            f.write_str("+")?;
        }
        match self.format {
            None => Ok(()),
            Some(Format::Float16) => f.write_str("fp16"),
            Some(Format::BFloat16) => f.write_str("bf16"),
            Some(Format::Int(bits)) => write!(f, "int{bits}"),
        }
    }
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let message = format!(
                "'{text}' is no change of a layer: it is fp16, bf16, int2 to int8, a share to prune, such as \
                 prune10%, or both, as prune10%+int8"
            );
            Error::new(ErrorKind::Parameter, message)
        };
        let mut change = Self {
            pruned: None,
            format: None,
        };
        for part in text.trim().split('+') {
            let is_first = change.format.is_none();
            if let Some(share) = part.strip_prefix("prune") {
                let share: Fraction = share.parse().map_err(|_| refuse())?;
                let share = (share.get() * WHOLE).round() as u32;
                if share == 0 || share >= WHOLE as u32 || change.pruned.is_some() || !is_first {
                    return Err(refuse());
                }
                change.pruned = Some(share);
                continue;
            }
            let format = match part {
                "fp16" => Format::Float16,
                "bf16" => Format::BFloat16,
                _ => {
                    let bits = part.strip_prefix("int").and_then(|bits| bits.parse().ok());
                    Format::Int(
                        bits.filter(|bits| (2..=8).contains(bits))
                            .ok_or_else(refuse)?,
                    )
                }
            };
            if !is_first {
                return Err(refuse());
            }
            change.format = Some(format);
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_and_others_refused() {
        for words in [
            "fp16",
            "bf16",
            "int2",
            "int8",
            "prune0.5%",
            "prune10%",
            "prune33.3333%+fp16",
        ] {
            let change: Change = words.parse().unwrap();
            assert_eq!(change.to_string(), words);
        }
        assert_eq!(
            "prune0.1".parse::<Change>().unwrap().to_string(),
            "prune10%"
        );
        for wrong in [
            "",
            "int",
            "int9",
            "int1",
            "fp32",
            "prune",
            "prune0",
            "prune100%",
            "int8+prune10%",
            "int8+fp16",
            "prune10%+prune20%",
            "prune10%+",
        ] {
            let error = wrong.parse::<Change>().unwrap_err().to_string();
            assert!(
                error.contains("is no change of a layer"),
                "{wrong}: {error}"
            );
        }
    }
}
