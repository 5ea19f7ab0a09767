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

/// What the file states of its own arithmetic, as approximating writes it.
fn note(model: &Model) -> Option<String> {
    let parts: Vec<_> = ["recert.approximation", "recert.arithmetic"]
        .iter()
        .filter_map(|key| model.metadata(key))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
