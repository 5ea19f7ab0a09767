//! By how much the scores of an image may differ between two engines that compute a network
//! rightly.

use recert_graph::Model;

use crate::options::quantizes;
use crate::{Arithmetic, Floats, Precision};

/// Float32: another order of summation. Measured on all shared networks, at most 1.1e-5.
pub(crate) const FLOAT: f32 = 2e-5;
/// Activations rounded to 8 bits: a value near the middle of two quanta may go to the other
/// one, and so may the scores themselves.
const QUANTIZED: f32 = 0.025;
/// Factors rounded to bfloat16; to float16, which has three more bits, an eighth of it.
const BF16: f32 = 0.05;

/// The largest difference of a score between two engines that compute `model` rightly, each
/// in its arithmetic, as a part of the network's largest score. The suite of the engines
/// (`tests/suite/engines.rs`) holds each of them to reference scores by the same figures.
///
/// When a network is loaded, more is known: the same samples in the interpreter, with rounding
/// disturbed, show how far rounding reaches in that network (`held.rs`, which has the first of
/// these figures in common). Whoever compares answers in a ledger with those of another engine
/// has neither the scores behind the former nor, for large networks, the time for the
/// interpreter, and needs a figure that holds for all.
///
/// 2e-5 in float32; 0.025 where the network computes in 8 bits; 0.05 in bfloat16; 0.00625 in
/// float16. The largest that applies.
///
/// ```
/// use recert_engine::{Arithmetic, rounding};
/// use recert_graph::Model;
///
/// let model = Model::read("tests/golden/made/plain.onnx")?;
/// let [f32, bf16] = ["float32", "bf16, on CPU"].map(Arithmetic::from);
/// assert_eq!(rounding(&model, &[&f32, &f32]), 2e-5);
/// assert_eq!(rounding(&model, &[&f32, &bf16]), 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn rounding(model: &Model, arithmetics: &[&Arithmetic]) -> f32 {
    let of_precision = |arithmetic: &&Arithmetic| match arithmetic.precision() {
        Some(Precision::Bf16) => BF16,
        Some(Precision::F16) => BF16 / 8.0,
        _ => FLOAT,
    };
    let by_file = if quantizes(model) { QUANTIZED } else { FLOAT };
    arithmetics.iter().map(of_precision).fold(by_file, f32::max)
}

/// What PyTorch is set to for products of float32, as its part of an [`Arithmetic`] says it: TF32
/// has the significand of float16, and `medium` may be bfloat16.
const PRODUCTS: [(&str, f32); 3] = [
    ("TF32 in cuDNN on", BF16 / 8.0),
    ("float32 products high", BF16 / 8.0),
    ("float32 products medium", BF16),
];

impl Arithmetic {
    /// As [`rounding`], of a network of which there is no file: by what it says of itself, in the
    /// words of this crate or of PyTorch. `None` where that is not known.
    ///
    /// ```
    /// use recert_engine::Arithmetic;
    ///
    /// let rounding = |text: &str| Arithmetic::from(text).rounding();
    /// assert_eq!(rounding("float32, on cpu, float32 products highest"), Some(2e-5));
    /// assert_eq!(rounding("float32, on cuda X, float32 products high"), Some(0.00625));
    /// assert_eq!(rounding("bfloat16 and float32, on cuda X"), Some(0.05));
    /// assert_eq!(rounding("float32, parts in 8 bits, on cpu"), Some(0.025));
    /// assert_eq!(rounding("as in the model"), None);
    /// ```
    #[must_use]
    pub fn rounding(&self) -> Option<f32> {
        let by_type = match &self.floats {
            Floats::In(Precision::F32) | Floats::Float32 => FLOAT,
            Floats::In(Precision::Bf16) => BF16,
            Floats::In(Precision::F16) => BF16 / 8.0,
            Floats::In(Precision::Int8) => QUANTIZED,
            Floats::AsInModel => return None,
            Floats::Unknown(types) => {
                let of_type = types.split(" and ").map(|one| match one {
                    "bfloat16" => Some(BF16),
                    "float16" => Some(BF16 / 8.0),
                    "float32" | "float64" => Some(FLOAT),
                    _ => None,
                });
                of_type
                    .collect::<Option<Vec<_>>>()?
                    .into_iter()
                    .fold(FLOAT, f32::max)
            }
        };
        let products = PRODUCTS
            .iter()
            .filter(|(set, _)| self.settings.iter().any(|s| s == set));
        let by_products = products.map(|&(_, rounding)| rounding);
        let quantized = self.exceptions.iter().any(|part| part == IN_8_BITS);
        let by_parts = quantized.then_some(QUANTIZED);
        Some(by_products.chain(by_parts).fold(by_type, f32::max))
    }
}

/// How a network of which there is no file says that parts of it are quantized.
const IN_8_BITS: &str = "parts in 8 bits";
