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
    let mut page = format!("# Training of {}\n\n", model.name());
    let seconds: f64 = training.epochs().iter().map(|epoch| epoch.seconds).sum();
    let lines = [
        ("network", format!("SHA-256 `{}`", model.sha256_hex())),
        ("method", settings.method.to_string()),
        match &settings.cells {
            Some(cells) => ("transformation", cells.to_string()),
            None => (
                "eps",
                format!("{} (scores at {})", settings.eps, settings.validation_eps),
            ),
        },
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
    ];
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
    page.push_str(
        "\n## Epochs\n\n\
         | epoch | ramp | eps | learning rate | loss | points right | bounded | validation clean | \
         validation bounded | seconds |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for epoch in training.epochs() {
        let validation = epoch.validation;
        writeln!(
            page,
            "| {} | {} | {:.4} | {:.1e} | {:.4} | {} | {} | {} | {} | {:.1} |",
            epoch.number,
            percent(epoch.ramp),
            epoch.eps,
            epoch.rate,
            epoch.loss,
            optional(epoch.points),
            optional(epoch.certified),
            optional(validation.map(|scores| scores.clean)),
            optional(validation.and_then(|scores| scores.certified)),
            epoch.seconds
        )
        .ok();
    }
    page.push_str("\n## Configuration\n\n```toml\n");
    page.push_str(&toml::to_string(config).unwrap_or_default());
    page.push_str("```\n");
    page
}
