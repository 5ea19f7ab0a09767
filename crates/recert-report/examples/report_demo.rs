//! Writes a demonstration report from synthetic data, and one from published
//! logs: `cargo run -p recert-report --example report_demo -- OUT_FOLDER [LOG ..]`.
//!
//! The synthetic inputs have made-up class probabilities; nothing was certified.
//! The page says so in its title and notes. Use it to look at the layout.

use std::collections::BTreeMap;
use std::path::Path;

use recert_report::{Method, Report, Row, Run, cohen, html, json, table};

const SIGMA: f64 = 0.5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    write(folder, "synthetic", &synthetic())?;
    let logs: Vec<String> = arguments.collect();
    if !logs.is_empty() {
        write(folder, "logs", &from_logs(&logs)?)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let page = folder.join(format!("{name}.html"));
    std::fs::write(&page, html::render(report, &html::Options::default())?)?;
    std::fs::write(
        folder.join(format!("{name}.json")),
        json::to_string(report, None)?,
    )?;
    println!("{}", table::render(report, &table::Options::default())?);
    eprintln!("wrote {}", page.display());
    Ok(())
}

fn synthetic() -> Report {
    let mut base = run(None, 10_000, 0.0, 1.0);
    base.arithmetic = None;
    let mut runs = vec![base];
    runs.extend([200, 500, 1_000, 2_000, 5_000, 10_000].map(|n| run(None, n, 0.0, 0.99)));
    for (name, extra) in [("irs", 0.02), ("paired", 0.004)] {
        let method = |gamma| Method::Recertify {
            name: name.to_owned(),
            original: Some(0),
            gamma,
        };
        let gamma = (name == "irs").then_some(0.99);
        runs.extend([200, 500, 1_000].map(|n| run(Some(method(gamma)), n, extra, 0.99)));
    }
    Report {
        title: "Demonstration: synthetic data, nothing was certified".to_owned(),
        generated: "made by the example report_demo".to_owned(),
        runs,
        verifications: Vec::new(),
        notes: vec![
            "All inputs of this page are synthetic: made-up class probabilities with a normal \
             approximation of the bounds. It shows the layout and nothing else."
                .to_owned(),
        ],
    }
}

/// A run over synthetic inputs; `loss` is how far disagreement lowers the bound,
/// and `quality` scales the class probabilities.
fn run(method: Option<Method>, n: u64, loss: f64, quality: f64) -> Run {
    let recertified = method.is_some();
    let rows = (0..250_u32).map(|index| {
        let p = probability(index) * quality;
        let spread = 3.1 * (p * (1.0 - p) / n as f64).sqrt() + 3.5 / n as f64;
        let zeta = loss + if recertified { 7.0 / n as f64 } else { 0.0 };
        let spread = if recertified {
            spread * 0.2 + zeta
        } else {
            spread
        };
        let lower = (p - spread).max(0.0);
        let class = (lower > 0.5).then_some(index % 10);
        Row {
            idx: index * 40,
            label: Some(if index % 11 == 3 { 10 } else { index % 10 }),
            class,
            radius: if class.is_some() {
                SIGMA * quantile(lower)
            } else {
                0.0
            },
            p_lower: Some(lower),
            evaluations: n + if recertified { 0 } else { 100 },
            seconds: n as f64 * 3.1e-4,
            zeta: recertified.then_some(zeta),
            disagreement_rate: recertified.then_some(loss * 0.6),
            bound: (recertified && class.is_some())
                .then(|| if p > 0.97 { "direct" } else { "zeta" }.to_owned()),
            invalid: 0,
        }
    });
    Run {
        network: "synthetic_network.onnx".to_owned(),
        network_sha256: "0".repeat(64),
        engine: "none (synthetic)".to_owned(),
        arithmetic: Some("int8 weights and activations".to_owned()),
        data: "synthetic".to_owned(),
        sigma: SIGMA,
        method: method.unwrap_or_default(),
        n,
        n0: 100,
        alpha: 0.001,
        statement: if recertified {
            "For each input named in advance, the probability over the noise that its radius is \
             too large is at most 0.001, over all bounds and decisions together."
        } else {
            "For each input named in advance, the probability over the noise that its radius is \
             too large is at most 0.001."
        }
        .to_owned(),
        parameters: BTreeMap::from([("seed".to_owned(), "20260101".to_owned())]),
        rows: rows.collect(),
        ..Run::default()
    }
}

/// A made-up probability of the class: many near 1, some small.
fn probability(index: u32) -> f64 {
    let u = (f64::from(index) * 0.618_033_988_749_894_9).fract();
    1.0 - 0.9 * u.powf(2.2)
}

/// The normal quantile above 1/2 to about four digits (Abramowitz and Stegun
/// 26.2.23): enough to look at, and not fit for a certificate.
fn quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).max(1e-12).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).max(0.0)
}

/// Published logs hold no lower bounds and no number of evaluations; the
/// latter is what their authors state (100 + 100,000 samples per input).
fn from_logs(paths: &[String]) -> Result<Report, Box<dyn std::error::Error>> {
    let mut runs = Vec::new();
    for path in paths {
        let path = Path::new(path);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let sigma = name
            .rsplit_once("sigma")
            .and_then(|(_, sigma)| sigma.parse().ok());
        let mut rows: Vec<Row> = cohen::read(path)?.iter().map(Row::from).collect();
        for row in &mut rows {
            row.evaluations = 100_100;
        }
        runs.push(Run {
            network: name.into_owned(),
            engine: "PyTorch (published log)".to_owned(),
            data: "the inputs of the log".to_owned(),
            sigma: sigma.ok_or("the file name should end in sigma and a number")?,
            n: 100_000,
            n0: 100,
            alpha: 0.001,
            statement: "As published: each radius is too large with probability at most 0.001, \
                        up to the rounding of the log to three digits."
                .to_owned(),
            rows,
            ..Run::default()
        });
    }
    Ok(Report {
        title: "Published certification logs".to_owned(),
        generated: "made by the example report_demo".to_owned(),
        runs,
        verifications: Vec::new(),
        notes: Vec::new(),
    })
}
