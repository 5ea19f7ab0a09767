//! An explanation as a JSON document with a versioned schema.

use serde::Serialize;

use super::{Explanation, FeatureMetrics, VersusMetrics};
use crate::error::Error;

/// The schema that [`json`] writes.
pub const SCHEMA: &str = "recert-explain/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    metrics: Vec<FeatureMetrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versus: Option<VersusMetrics>,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

/// Writes the explanation as indented JSON, schema `recert-explain/1`: the fields of [`Explanation`]
/// with all inputs, `metrics` ([`FeatureMetrics`], one a network) and, of two networks, `versus`
/// ([`VersusMetrics`]). Images and pictures are there as far as the explanation has them;
/// [`Explanation::drop_pictures`] leaves them out.
///
/// Numbers are written with as many digits as bring back the same double. Fields may be added
/// under the same version; nothing is renamed, removed or given another meaning.
///
/// # Errors
///
/// If the explanation does not pass [`Explanation::check`].
pub fn json(explanation: &Explanation) -> Result<String, Error> {
    explanation.check()?;
    let networks = 0..explanation.networks.len();
    let document = Document {
        schema: SCHEMA,
        metrics: networks
            .map(|network| FeatureMetrics::new(explanation, network))
            .collect(),
        versus: VersusMetrics::new(explanation),
        explanation,
    };
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .map_err(|e| Error::format("cannot write the explanation as JSON").with_source(e))
}
