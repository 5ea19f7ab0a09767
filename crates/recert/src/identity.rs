//! A loaded network as the ledger identifies it.

use recert_engine::Network;
use recert_graph::Model;
use recert_ledger as ledger;

/// Everything that decides what function `network`, loaded from `model`,
/// computes: file, engine, arithmetic, preprocessing, output.
pub fn identity(model: &Model, network: &Network) -> ledger::Network {
    let engine = network.engine();
    ledger::Network {
        sha256: model.sha256(),
        file: model.name().to_owned(),
        bytes: model.size() as u64,
        engine: ledger::Engine {
            name: engine.name.clone(),
            version: engine.version.clone(),
            arithmetic: engine.arithmetic.to_string(),
        },
        batch_invariant: engine.batch_invariant,
        preprocess: network.preprocess().to_string(),
        output: network.output().to_owned(),
        classes: network.classes() as u32,
        note: note(model),
    }
}

/// Operators of networks whose layers are quantized to 8 bits.
const QUANTIZED: [&str; 6] = [
    "ConvInteger",
    "DequantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
];

/// What the note of a network begins with that was quantized, by recert or otherwise.
const NOTE: &str = "quantized: ";

/// Whether the note of a network states that it has quantized layers.
pub(crate) fn is_quantized(network: &ledger::Network) -> bool {
    let note = network.note.as_deref();
    note.is_some_and(|note| note.contains(NOTE))
}

/// What the file states of its own arithmetic, as approximating writes it, or of other origin
/// by its operators.
fn note(model: &Model) -> Option<String> {
    let parts: Vec<_> = ["recert.approximation", "recert.arithmetic"]
        .iter()
        .filter_map(|key| model.metadata(key))
        .collect();
    if !parts.is_empty() {
        return Some(parts.join("; "));
    }
    let mut operators = model.operators();
    let quantized = operators.any(|operator| QUANTIZED.contains(&operator.op_type.as_str()));
    quantized
        .then(|| format!("{NOTE}layers in 8 bits where the engine has them, the rest in float32"))
}
