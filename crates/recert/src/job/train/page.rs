//! What was trained and how it went: the record in the network's file, and a page in Markdown.

use std::fmt::Write as _;

use recert_graph::Model;
use recert_train::{Scores, Settings, Training};
use serde_json::{Value, json};

use super::config::TrainConfig;

fn scores_json(scores: Scores) -> Value {
    json!({
        "clean": scores.clean, "noisy": scores.noisy, "adversarial": scores.adversarial,
        "certified_in_fast_arithmetic": scores.certified,
    })
}

/// What adversarial and bounded images of the scores are about.
pub(super) fn scored(settings: &Settings) -> String {
    match &settings.cells {
        Some(cells) => cells.transformation.to_string(),
        None => settings.validation_eps.to_string(),
    }
}

/// The record in the file's metadata, as JSON.
pub(super) fn record(
    config: &TrainConfig,
    training: &Training<'_>,
    test: Option<Scores>,
) -> String {
    let settings = training.settings();
    let [trained, kept] = training.split();
    json!({
        "schema": "recert-training/1",
        "version": env!("CARGO_PKG_VERSION"),
        "config": config,
        "method": settings.method.to_string(),
        "device": training.device(),
        "images": trained.len(),
        "validation_images": kept.len(),
        "split_seed": settings.split_seed,
        "scores_eps": settings.validation_eps,
        "epoch_kept": training.best().epoch,
        "validation": training.best().scores.map(scores_json),
        "test": test.map(scores_json),
    })
    .to_string()
}

/// A share in per cent, rounded down as bounds are printed.
fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 1e4).floor() / 100.0)
}

fn optional(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}

/// The page: what was trained, scores, and every epoch.
pub(super) fn page(
    config: &TrainConfig,
    training: &Training<'_>,
    test: Option<Scores>,
    model: &Model,
) -> String {
    let settings = training.settings();
    let [trained, kept] = training.split();
    let best = training.best();
    let method = &settings.method;
    let mut page = format!("# Training of {}\n\n", model.name());
    let seconds: f64 = training.epochs().iter().map(|epoch| epoch.seconds).sum();
    let aim = match &settings.cells {
        Some(cells) => Some(("transformation", cells.to_string())),
        None => method.has_eps().then(|| {
            let (eps, scored) = (settings.eps, settings.validation_eps);
            ("eps", format!("{eps} (scores at {scored})"))
        }),
    };
    let mut lines = vec![
        ("network", format!("SHA-256 `{}`", model.sha256_hex())),
        ("method", method.to_string()),
    ];
    lines.extend(aim);
    lines.extend([
        (
            "images",
            format!(
                "{} trained on, {} for validation",
                trained.len(),
                kept.len()
            ),
        ),
        ("device", training.device().to_owned()),
        (
            "epochs",
            format!("{}, {seconds:.0} s in all", training.epochs().len()),
        ),
        ("epoch kept", best.epoch.to_string()),
    ]);
    page.push_str("| | |\n|---|---|\n");
    for (name, value) in lines {
        // Writing to a string cannot fail.
        writeln!(page, "| {name} | {value} |").ok();
    }
    let rows = [("validation", best.scores), ("test", test)];
    if rows.iter().any(|(_, scores)| scores.is_some()) {
        page.push_str(
            "\n## Scores of the network that was kept\n\n\
             Bounds of this table are in fast arithmetic and prove nothing: `recert verify` \
             does.\n\n\
             | images | clean | noisy | adversarial | bounded |\n|---|---|---|---|---|\n",
        );
        for (name, scores) in rows {
            let Some(scores) = scores else { continue };
            writeln!(
                page,
                "| {name} | {} | {} | {} | {} |",
                percent(scores.clean),
                optional(scores.noisy),
                optional(scores.adversarial),
                optional(scores.certified)
            )
            .ok();
        }
    }
    page.push_str(&epochs(training));
    page.push_str("\n## Configuration\n\n```toml\n");
    page.push_str(&toml::to_string(config).unwrap_or_default());
    page.push_str("```\n");
    page
}

/// Every epoch, with the columns that the method has values for.
fn epochs(training: &Training<'_>) -> String {
    let method = &training.settings().method;
    let (ramps, has_eps) = (method.ramps(), method.has_eps());
    let mut heads = vec!["epoch"];
    heads.extend(ramps.then_some("ramp"));
    heads.extend(has_eps.then_some("eps"));
    heads.extend([
        "learning rate",
        "loss",
        "points right",
        "bounded",
        "validation clean",
        "validation bounded",
        "seconds",
    ]);
    let mut text = "\n## Epochs\n\n".to_owned();
    writeln!(text, "| {} |", heads.join(" | ")).ok();
    writeln!(text, "|{}", "---|".repeat(heads.len())).ok();
    for epoch in training.epochs() {
        let validation = epoch.validation;
        let mut cells = vec![epoch.number.to_string()];
        cells.extend(ramps.then(|| percent(epoch.ramp)));
        cells.extend(has_eps.then(|| format!("{:.4}", epoch.eps)));
        cells.extend([
            format!("{:.1e}", epoch.rate),
            format!("{:.4}", epoch.loss),
            optional(epoch.points),
            optional(epoch.certified),
            optional(validation.map(|scores| scores.clean)),
            optional(validation.and_then(|scores| scores.certified)),
            format!("{:.1}", epoch.seconds),
        ]);
        writeln!(text, "| {} |", cells.join(" | ")).ok();
    }
    text
}
