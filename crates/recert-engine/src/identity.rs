//! Which program computes a network, and how: the engine's part of the identity of a
//! network in a ledger.

use std::fmt;

use crate::options::CPU;
use crate::{EngineOptions, Precision};

/// Which program computes, and how: part of a ledger's identity, because the
/// same file computed otherwise is, strictly, another function.
///
/// Displays as `rten 0.27.0, float32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineIdentity {
    /// The engine's name, such as `rten`.
    pub name: String,
    /// The version of the code that computes.
    pub version: String,
    /// How it computes.
    pub arithmetic: Arithmetic,
    /// Whether an image's answer is bit for bit the same whatever the batch
    /// it is in. Where not, counts may differ between batch sizes (the noise
    /// never does), and the ledger records it.
    pub batch_invariant: bool,
}

impl fmt::Display for EngineIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            version,
            arithmetic,
            ..
        } = self;
        write!(f, "{name} {version}, {arithmetic}")
    }
}

/// The processor, as far as engines choose their code by it.
///
/// ```
/// assert!(recert_engine::processor().starts_with(std::env::consts::ARCH));
/// ```
pub fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let has = features.into_iter().filter(|(_, has)| *has);
    let words = std::iter::once(std::env::consts::ARCH).chain(has.map(|(name, _)| name));
    words.collect::<Vec<_>>().join(" ")
}

/// How an engine computes: all that decides its answers beside its version.
///
/// Ledgers keep it as the text that it displays as; [`From`] reads that back,
/// whatever it is.
///
/// ```
/// use recert_engine::{Arithmetic, Floats, Precision};
///
/// let recorded = "bf16, on GPU.1, 1 stream";
/// let arithmetic = Arithmetic::from(recorded);
/// assert_eq!(arithmetic.floats, Floats::In(Precision::Bf16));
/// assert_eq!(arithmetic.device.as_deref(), Some("GPU.1"));
/// assert_eq!(arithmetic.settings, ["1 stream"]);
/// assert!(arithmetic.deterministic && !arithmetic.on_cpu());
/// assert_eq!(arithmetic.to_string(), recorded);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arithmetic {
    /// What floating-point operators compute in.
    pub floats: Floats,
    /// What of the network is computed otherwise, in words.
    pub exceptions: Vec<String>,
    /// The device, where it is recorded; otherwise it is the processor.
    pub device: Option<String>,
    /// How the device is used, in words: streams, threads.
    pub settings: Vec<String>,
    /// Whether the same batch, run again, gets bit for bit the same answers.
    pub deterministic: bool,
}

/// What floating-point operators are computed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Floats {
    /// The precision chosen, of an engine that offers several.
    In(Precision),
    /// Float32, of an engine that offers nothing else.
    Float32,
    /// Each operator in the type that the file has.
    AsInModel,
    /// What a ledger holds that this version does not know.
    Unknown(String),
}

const FLOAT32: &str = "float32";
const AS_IN_MODEL: &str = "as in the model";
const ON: &str = "on ";
const NOT_DETERMINISTIC: &str = "the same answer in every run not promised";

impl Arithmetic {
    /// Float32 on the processor, with nothing to be chosen.
    pub(crate) fn float32() -> Self {
        Self {
            floats: Floats::Float32,
            exceptions: Vec::new(),
            device: None,
            settings: Vec::new(),
            deterministic: true,
        }
    }

    /// The options with which an engine computes in this way again.
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            precision: self.precision(),
            device: self.device.clone().filter(|device| device != CPU),
            apart: None,
        }
    }

    /// The precision, where it was chosen.
    pub fn precision(&self) -> Option<Precision> {
        match self.floats {
            Floats::In(precision) => Some(precision),
            _ => None,
        }
    }

    /// Whether the device is the processor.
    pub fn on_cpu(&self) -> bool {
        let device = self.device.as_deref();
        device.is_none_or(|device| device.eq_ignore_ascii_case(CPU))
    }
}

impl fmt::Display for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In(precision) => precision.name(),
            Self::Float32 => FLOAT32,
            Self::AsInModel => AS_IN_MODEL,
            Self::Unknown(text) => text,
        })
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.floats.fmt(f)?;
        self.exceptions
            .iter()
            .try_for_each(|e| write!(f, ", {e}"))?;
        if let Some(device) = &self.device {
            write!(f, ", {ON}{device}")?;
        }
        self.settings.iter().try_for_each(|s| write!(f, ", {s}"))?;
        if self.deterministic {
            return Ok(());
        }
        write!(f, ", {NOT_DETERMINISTIC}")
    }
}

/// Reads the text of a ledger: the parts up to the device are exceptions, those
/// behind it settings.
impl From<&str> for Arithmetic {
    fn from(text: &str) -> Self {
        let (text, deterministic) = match text.strip_suffix(NOT_DETERMINISTIC) {
            Some(rest) if rest.ends_with(", ") => (&rest[..rest.len() - 2], false),
            _ => (text, true),
        };
        let mut parts = text.split(", ");
        let first = parts.next().unwrap_or_default();
        let floats = match (first, first.parse()) {
            (_, Ok(precision)) => Floats::In(precision),
            (FLOAT32, _) => Floats::Float32,
            (AS_IN_MODEL, _) => Floats::AsInModel,
            _ => Floats::Unknown(first.to_owned()),
        };
        let mut arithmetic = Self {
            floats,
            deterministic,
            ..Self::float32()
        };
        for part in parts {
            match part.strip_prefix(ON) {
                Some(device) if arithmetic.device.is_none() => {
                    arithmetic.device = Some(device.to_owned());
                }
                _ if arithmetic.device.is_none() => arithmetic.exceptions.push(part.to_owned()),
                _ => arithmetic.settings.push(part.to_owned()),
            }
        }
        arithmetic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ledgers_hold_is_read_back() {
        let options = |precision, device: Option<&str>| EngineOptions {
            precision,
            device: device.map(str::to_owned),
            apart: None,
        };
        for (text, expected) in [
            ("float32", options(None, None)),
            ("f32, on CPU, 1 stream", options(Some(Precision::F32), None)),
            ("bf16, on CPU", options(Some(Precision::Bf16), None)),
            (
                "f16, on GPU.1, 1 stream",
                options(Some(Precision::F16), Some("GPU.1")),
            ),
            ("as in the model, on CUDA:1", options(None, Some("CUDA:1"))),
            ("", options(None, None)),
        ] {
            let arithmetic = Arithmetic::from(text);
            assert_eq!(arithmetic.options(), expected, "{text}");
            assert_eq!(arithmetic.to_string(), text);
        }
        let arithmetic = Arithmetic::from(
            "as in the model, precise 8-bit products, no Fusion, on CUDA:0, no TensorFloat-32, the \
             same answer in every run not promised",
        );
        let expected = Arithmetic {
            floats: Floats::AsInModel,
            exceptions: vec!["precise 8-bit products".into(), "no Fusion".into()],
            device: Some("CUDA:0".into()),
            settings: vec!["no TensorFloat-32".into()],
            deterministic: false,
        };
        assert_eq!(arithmetic, expected);
    }

    #[test]
    fn any_text_is_written_as_it_was_read() {
        let parts = [
            "float32",
            "f16",
            "on CPU",
            "on GPU, x",
            "on ",
            "1 stream",
            "",
            NOT_DETERMINISTIC,
        ];
        for a in parts {
            for b in parts {
                for c in parts {
                    for text in [a.to_owned(), [a, b].join(", "), [a, b, c].join(", ")] {
                        assert_eq!(Arithmetic::from(text.as_str()).to_string(), text);
                    }
                }
            }
        }
    }
}
