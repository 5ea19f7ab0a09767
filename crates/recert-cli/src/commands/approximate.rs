//! `recert approximate`.

use recert::job::{ApproximateConfig, Approximation, Int8Config, Numbers, approximate};
use recert::net::{Changes, HalfFormat, LayerChange, PruneScope};
use serde_json::json;

use crate::args::Approximate;
use crate::exit::Result;
use crate::terminal::{self, print};

pub(crate) fn run(args: &Approximate) -> Result<()> {
    let made = approximate(&config(args))?;
    if args.json {
        print(&format!("{}\n", to_json(&made)))?;
    } else {
        for changes in &made.steps {
            print(&format!("{changes}{}", largest_error(changes)))?;
        }
    }
    terminal::say!(
        "wrote {} ({} bytes)",
        made.file.display(),
        made.model.size()
    );
    Ok(())
}

fn config(args: &Approximate) -> ApproximateConfig {
    let scope = if args.prune_globally {
        PruneScope::Global
    } else {
        PruneScope::PerLayer
    };
    let numbers = if args.int8 {
        Some(Numbers::Int8(Int8Config {
            limit: args.calibration_limit,
            sigma: args.sigma,
            percentile: args.percentile,
            network: args.network.config(),
        }))
    } else if args.fp16 {
        Some(Numbers::Half(HalfFormat::Float16))
    } else {
        args.bf16.then_some(Numbers::Half(HalfFormat::BFloat16))
    };
    ApproximateConfig {
        model: args.model.clone(),
        out: args.out.clone(),
        prune: args.prune.map(|share| (share, scope)),
        numbers,
        calibration: args.calibration.clone(),
        options: args.data_args.config(),
    }
}

/// The share of weights changed and the largest error, as a line.
fn largest_error(changes: &Changes) -> String {
    let percent = |count: usize| 100.0 * count as f64 / (changes.weights() as f64).max(1.0);
    let Some(layer) = largest(changes) else {
        return String::new();
    };
    format!(
        "{:.2} % of the weights changed, {:.2} % became zero; largest error of a weight {:.1e}, in layer `{}`\n",
        percent(changes.changed()),
        percent(changes.zeroed()),
        layer.max_abs_error,
        layer.layer,
    )
}

/// The layer with the largest error of a weight.
fn largest(changes: &Changes) -> Option<&LayerChange> {
    let layers = changes.layers.iter();
    layers.max_by(|a, b| a.max_abs_error.total_cmp(&b.max_abs_error))
}

fn to_json(made: &Approximation) -> serde_json::Value {
    let step = |c: &Changes| {
        let layers: Vec<_> = c
            .layers
            .iter()
            .map(|l| {
                json!({
                    "layer": l.layer, "op": l.op, "tensor": l.tensor, "weights": l.weights,
                    "changed": l.changed, "zeroed": l.zeroed,
                    "max_abs_error": l.max_abs_error, "max_rel_error": l.max_rel_error,
                })
            })
            .collect();
        json!({
            "approximation": c.approximation, "arithmetic": c.arithmetic,
            "weights": c.weights(), "changed": c.changed(), "zeroed": c.zeroed(),
            "max_abs_error": largest(c).map(|layer| layer.max_abs_error),
            "folded_batchnorms": c.folded_batchnorms,
            "bytes_before": c.size_before, "bytes_after": c.size_after,
            "notes": c.notes, "layers": layers,
        })
    };
    json!({
        "schema": "recert-approximation/1",
        "file": made.file, "sha256": made.model.sha256_hex(),
        "steps": made.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
