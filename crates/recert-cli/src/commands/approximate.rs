//! `recert approximate`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use recert::CalibrationNoise;
use recert::data::Subset;
use recert::net::{self, Changes, HalfFormat, LayerChange, Model, PruneScope, RangeMethod};
use serde_json::json;

use crate::args::{Approximate, SubsetArgs};
use crate::config::{self, Data, usage};
use crate::exit::{Failure, typed};
use crate::output;
use crate::progress::print;

pub(crate) fn run(args: &Approximate) -> Result<()> {
    if let Some(out) = &args.out {
        check_place(out, args)?;
    }
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
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| beside(&args.model, &kinds.join(".")));
    check_place(&out, args)?;
    model
        .write(&out)
        .map_err(|why| Failure::output("the network", why))?;
    if args.json {
        print(&format!("{}\n", to_json(&out, &model, &steps)))?;
    } else {
        for changes in &steps {
            print(&format!("{changes}{}", largest_error(changes)))?;
        }
    }
    eprintln!("wrote {} ({} bytes)", out.display(), model.size());
    Ok(())
}

/// The file is put in its place by renaming, which would replace a device, and
/// it must not replace what it is made from: ledgers are bound to the network.
fn check_place(out: &Path, args: &Approximate) -> Result<()> {
    if out.exists() && !out.is_file() {
        return Err(Failure::output(out.display(), "it is no file").into());
    }
    let data = args.calibration.as_deref().and_then(output::data_path);
    let (labels, classes) = (&args.data_args.labels, &args.data_args.classes);
    let inputs = [
        (Some(&args.model), "the network itself"),
        (data.as_ref(), "the calibration data"),
        (labels.as_ref(), "the file of labels"),
        (classes.as_ref(), "the list of classes"),
    ];
    let inputs: Vec<_> = (inputs.into_iter())
        .filter_map(|(path, what)| Some((path?.as_path(), what)))
        .collect();
    output::check_place("--out", out, &inputs)
}

/// The share of weights changed and the largest error, as a line.
fn largest_error(changes: &Changes) -> String {
    let percent = |count: usize| 100.0 * count as f64 / (changes.weights() as f64).max(1.0);
    let Some(layer) = largest(changes) else {
        return String::new();
    };
    format!(
        "{:.2} % of the weights changed, {:.2} % became zero; largest error of a weight {:.3e}, in {}\n",
        percent(changes.changed()),
        percent(changes.zeroed()),
        layer.max_abs_error,
        layer.layer,
    )
}

fn int8(model: &Model, args: &Approximate) -> Result<(Model, Changes)> {
    let Some(spec) = &args.calibration else {
        return usage("--int8 needs --calibration: images to observe activations on");
    };
    if args.calibration_limit == 0 {
        return usage("--calibration-limit must be at least 1");
    }
    let data = Data::open(spec, &args.data_args)?;
    // Spread over the whole set, which may be sorted by class.
    let every = (data.set.len() as u32)
        .div_ceil(args.calibration_limit)
        .max(1);
    let subset = SubsetArgs {
        every,
        offset: 0,
        limit: Some(args.calibration_limit),
    };
    let images: Subset = Subset::new(data.set.len(), subset.every, subset.limit)?;
    let method = args
        .percentile
        .map_or(RangeMethod::MinMax, RangeMethod::Percentile);
    let noise = match args.sigma {
        Some(sigma) => Some(CalibrationNoise {
            sigma: recert::smooth::noise_sigma(config::sigma(sigma)?)?,
            seed: 0,
        }),
        None => None,
    };
    let runtime = config::runtime(model, &args.network)?;
    let options = config::options(&args.network)?;
    let calibration = recert::calibrate(
        model,
        runtime.as_ref(),
        &options,
        &data.set,
        images,
        noise,
        method,
    )
    .map_err(typed)?;
    Ok(net::quantize_int8(model, &calibration)?)
}

/// The layer with the largest error of a weight.
fn largest(changes: &Changes) -> Option<&LayerChange> {
    let layers = changes.layers.iter();
    layers.max_by(|a, b| a.max_abs_error.total_cmp(&b.max_abs_error))
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
            "max_abs_error": largest(c).map(|layer| layer.max_abs_error),
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
