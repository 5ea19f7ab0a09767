//! `recert engines`: what is installed.

use std::fmt::Write as _;

use recert::engine::Error;
use recert::engine::engines::{self, Device, ENGINES, EngineEntry, Found};
use serde_json::{Value, json};

use crate::args::Engines;
use crate::exit::Result;
use crate::terminal::print;

/// An engine of this build, and what of it is installed.
type Survey = (&'static EngineEntry, Result<Found, Error>);

pub(crate) fn run(args: &Engines) -> Result<()> {
    let survey: Vec<Survey> = ENGINES.iter().map(|e| (e, e.find())).collect();
    let is_here = |name| (survey.iter()).any(|(e, found)| e.name == name && found.is_ok());
    // In the order in which `auto` tries them.
    let order = |quantized| {
        let names = engines::fastest_first(quantized)
            .into_iter()
            .map(|e| e.name);
        names.filter(|name| is_here(*name)).collect::<Vec<_>>()
    };
    let (auto, quantized) = (order(false), order(true));
    if args.json {
        let document = json!({
            "schema": "recert-engines/1",
            "auto": auto,
            "auto_quantized": quantized,
            "engines": survey.iter().map(as_json).collect::<Vec<_>>(),
        });
        return print(&format!("{document:#}\n"));
    }
    print(&as_text(&survey, &auto, &quantized))
}

fn as_json((engine, found): &Survey) -> Value {
    let found = found.as_ref();
    let devices = found.map_or(Vec::new(), |found| {
        let device = |d: &Device| {
            json!({
                "name": d.name,
                "description": d.description,
                "precisions": d.precisions.iter().map(|p| p.name()).collect::<Vec<_>>(),
            })
        };
        found.devices.iter().map(device).collect()
    });
    json!({
        "name": engine.name,
        "found": found.is_ok(),
        "automatic": engine.is_automatic(),
        "version": found.ok().map(|found| &found.version),
        "library": found.ok().and_then(|found| found.path.as_ref()),
        "devices": devices,
        "install": engine.install,
        "why_not": found.err().map(ToString::to_string),
    })
}

fn as_text(survey: &[Survey], auto: &[&str], quantized: &[&str]) -> String {
    let columns = ["engine", "version", "device", "precisions", "library"];
    let mut rows = vec![columns.map(str::to_owned)];
    for (engine, found) in survey {
        if let Ok(found) = found {
            rows.extend(lines_of(engine.name, found));
        }
    }
    let widths: [usize; 5] = std::array::from_fn(|i| {
        rows.iter()
            .map(|row| row[i].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    let _ = writeln!(
        text,
        "\n--engine auto: {}, the first that supports the network",
        auto.join(", ")
    );
    if quantized != auto {
        let _ = writeln!(
            text,
            "for a network that computes in 8 bits: {}",
            quantized.join(", ")
        );
    }
    for (engine, _) in survey {
        if !engine.is_automatic() {
            let _ = writeln!(
                text,
                "never chosen by auto: {} ({})",
                engine.name, engine.title
            );
        }
    }
    for (engine, found) in survey {
        if let (Err(why), Some(install)) = (found, engine.install) {
            let _ = writeln!(
                text,
                "\n{} is not installed: {install}\n  {why}",
                engine.name
            );
        }
    }
    text
}

/// One line per device; what is the same as above stays blank.
fn lines_of(name: &str, found: &Found) -> Vec<[String; 5]> {
    let library = (found.path.as_ref()).map_or("built in".to_owned(), |p| p.display().to_string());
    let line = |(i, device): (usize, &Device)| {
        let names: Vec<_> = device.precisions.iter().map(|p| p.name()).collect();
        let first = |text: &str| {
            if i == 0 {
                text.to_owned()
            } else {
                String::new()
            }
        };
        [
            first(name),
            first(&found.version),
            device.name.clone(),
            names.join(", "),
            first(&library),
        ]
    };
    found.devices.iter().enumerate().map(line).collect()
}
