//! How an engine is to compute: its precision and its device.

use std::fmt;
use std::str::FromStr;

use recert_graph::Model;

use crate::{Apart, EngineIdentity, Error, ErrorKind, Runtime, Session, Setting};

/// The arithmetic of a network's floating-point operators.
///
/// What the file itself quantizes (`QuantizeLinear` and its like) is computed
/// in 8 bits in every precision; a network of another precision is another
/// network, with another [`EngineIdentity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// IEEE single precision.
    F32,
    /// Products of bfloat16 numbers (8 bits of mantissa), summed in float32.
    Bf16,
    /// Products of IEEE half-precision numbers (11 bits of mantissa).
    F16,
    /// Quantized operators in 8 bits, as the file has them, everything else in
    /// [`Precision::F32`]. The same arithmetic as that, but a network without
    /// quantized operators is refused.
    Int8,
}

impl Precision {
    /// All of them, widest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::F16, Self::Int8];

    /// The name by which it is chosen, such as `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut all = Self::ALL.into_iter();
        all.find(|precision| precision.name() == text)
            .ok_or_else(|| {
                let message =
                    format!("'{text}' is no precision: choose one of f32, bf16, f16, int8");
                Error::new(ErrorKind::Unsupported, message)
            })
    }
}

/// How an engine is to compute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// The arithmetic; [`Precision::F32`] where none is given.
    pub precision: Option<Precision>,
    /// The device, by the engine's own name for it (`CPU`, `GPU`, `GPU.1`,
    /// `CUDA`, `CUDA:1`); the processor where none is given.
    pub device: Option<String>,
    /// Where engines that are other projects' libraries run a network first, so that a crash
    /// there refuses the engine; in this process where none is given, which a crash ends.
    pub apart: Option<Apart>,
}

/// The processor, by the name that all engines have for it.
pub(crate) const CPU: &str = "CPU";

impl EngineOptions {
    /// The arithmetic of floating-point operators.
    pub(crate) fn float(&self) -> Precision {
        match self.precision {
            None | Some(Precision::Int8) => Precision::F32,
            Some(precision) => precision,
        }
    }

    /// The device.
    pub fn device(&self) -> &str {
        self.device.as_deref().unwrap_or(CPU)
    }

    /// Whether the device is the processor.
    pub fn on_cpu(&self) -> bool {
        self.device().eq_ignore_ascii_case(CPU)
    }
}

/// Operators that compute on numbers of 8 bits, or make such.
const QUANTIZED: [&str; 7] = [
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
    "ConvInteger",
    "MatMulInteger",
];

/// Whether `model` has operators that compute in 8 bits. Weights that are
/// merely stored in 8 bits are none.
pub(crate) fn quantizes(model: &Model) -> bool {
    (model.operators()).any(|operator| QUANTIZED.contains(&operator.op_type.as_str()))
}

/// An engine that takes quantized networks alone.
pub(crate) struct Quantized(pub(crate) Box<dyn Runtime>);

impl Runtime for Quantized {
    fn identity(&self, model: &Model) -> EngineIdentity {
        self.0.identity(model)
    }

    fn first_runs(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
        shapes: &[Vec<usize>],
    ) -> Result<(), Error> {
        if quantizes(model) {
            return self.0.first_runs(model, input, outputs, shapes);
        }
        // It is refused when it is loaded.
        Ok(())
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        if quantizes(model) {
            return self.0.load(model, input, outputs);
        }
        let message = format!(
            "{}: precision int8 computes in 8 bits what the network quantizes, but it quantizes \
             nothing: make an int8 version of it, or choose another precision",
            model.name()
        );
        Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Precision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_chosen_by_their_names() {
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
        }
        let error = "fp8".parse::<Precision>().unwrap_err();
        assert!(error.to_string().contains("'fp8'") && error.to_string().contains("bf16"));
    }
}
