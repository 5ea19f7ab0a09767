//! `recert approximate`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use recert::CalibrationNoise;
use recert::data::Subset;
use recert::net::{self, Changes, HalfFormat, Model, PruneScope, RangeMethod};
use serde_json::json;

use crate::args::{Approximate, SubsetArgs};
use crate::config::{self, Data, usage};

pub(crate) fn run(args: &Approximate) -> Result<()> {
    let mut model = Model::read(&args.model)?;
    let mut kinds = Vec::new();
    let mut steps = Vec::new();
    if let Some(share) = &args.prune {
        let fraction = config::fraction("--prune", share)?;
        let scope = if args.prune_globally {
            PruneScope::Global
        } else {
            PruneScope::PerLayer
        };
        let (pruned, changes) = net::prune(&model, fraction, scope)?;
        kinds.push(format!("prune{}", (fraction * 100.0 * 1e6).round() / 1e6));
        steps.push(changes);
        model = pruned;
    }
    let half = if args.fp16 {
        Some(("fp16", HalfFormat::Float16))
    } else {
        args.bf16.then_some(("bf16", HalfFormat::BFloat16))
    };
    if let Some((kind, format)) = half {
        let (rounded, changes) = net::half(&model, format)?;
        kinds.push(kind.into());
        steps.push(changes);
        model = rounded;
    }
    if args.int8 {
        let (quantized, changes) = int8(&model, args)?;
        kinds.push("int8".into());
        steps.push(changes);
        model = quantized;
    }
    if steps.is_empty() {
        return usage("nothing to do: give --fp16, --bf16, --int8 or --prune SHARE");
    }
    let out = args.out.clone().unwrap_or_else(|| beside(&args.model, &kinds.join(".")));
    model.write(&out)?;
    if args.json {
        println!("{}", to_json(&out, &model, &steps));
    } else {
        for changes in &steps {
            print!("{changes}");
        }
    }
    eprintln!("wrote {} ({} bytes)", out.display(), model.size());
    Ok(())
}

fn int8(model: &Model, args: &Approximate) -> Result<(Model, Changes)> {
    let Some(spec) = &args.calibration else {
        return usage("--int8 needs --calibration: images to observe activations on");
    };
    let data = Data::open(spec, &args.data_args)?;
    // Spread over the whole set, which may be sorted by class.
    let every = (data.set.len() as u32).div_ceil(args.calibration_limit.max(1)).max(1);
    let subset = SubsetArgs {
        every,
        offset: 0,
        limit: Some(args.calibration_limit),
    };
    let images: Subset = Subset::new(data.set.len(), subset.every, subset.limit)?;
    let method = args.percentile.map_or(RangeMethod::MinMax, RangeMethod::Percentile);
    let noise = match args.sigma {
        Some(sigma) => Some(CalibrationNoise {
            sigma: recert::smooth::noise_sigma(config::sigma(sigma)?)?,
            seed: 0,
        }),
        None => None,
    };
    let runtime = config::runtime(args.network.engine.as_deref())?;
    let options = config::options(&args.network)?;
    let calibration =
        recert::calibrate(model, runtime.as_ref(), &options, &data.set, images, noise, method)
            .map_err(|error| anyhow!(error))?;
    Ok(net::quantize_int8(model, &calibration)?)
}

/// `net.onnx` becomes `net.KIND.onnx`.
fn beside(model: &Path, kind: &str) -> PathBuf {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    model.with_file_name(format!("{stem}.{kind}.onnx"))
}

fn to_json(out: &Path, model: &Model, steps: &[Changes]) -> serde_json::Value {
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
            "folded_batchnorms": c.folded_batchnorms,
            "bytes_before": c.size_before, "bytes_after": c.size_after,
            "notes": c.notes, "layers": layers,
        })
    };
    json!({
        "schema": "recert-approximation/1",
        "file": out, "sha256": model.sha256_hex(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}
