//! A small report by hand: certify at three budgets, recertify at two.

use std::collections::BTreeMap;

use recert_report::speed_up::{ByBaseline, Point};
use recert_report::{Method, Report, Row, Run};

/// Four inputs; radii are chosen so that every mean is exact in binary.
pub(crate) fn small() -> Report {
    let certify = |n: u64, radii: [f64; 4]| Run {
        network: "resnet20.onnx".to_owned(),
        network_sha256: "a".repeat(64),
        engine: "rten 0.27.0, float32".to_owned(),
        data: "CIFAR-10 test, every 2500th".to_owned(),
        sigma: 0.5,
        n,
        n0: 100,
        alpha: 0.001,
        statement: "Each radius holds with probability at least 0.999 over the noise.".to_owned(),
        parameters: BTreeMap::from([("seed".to_owned(), "42".to_owned())]),
        rows: rows(n + 100, radii),
        ..Run::default()
    };
    let recertify = |n: u64, radii: [f64; 4]| {
        let mut run = certify(n, radii);
        run.arithmetic = Some("weights rounded to bfloat16, arithmetic float32".to_owned());
        run.method = Method::Recertify {
            name: "paired".to_owned(),
            original: Some(2),
            gamma: None,
        };
        let points = |costs: [f64; 3]| -> Vec<Point> {
            let each = costs.into_iter().zip([0.0, 0.25, 0.5]);
            each.map(|(cost, quality)| Point { cost, quality })
                .collect()
        };
        run.baselines = Some(ByBaseline {
            from_scratch: points([0.0, 12_000.0, 36_000.0]),
            planned: points([0.0, 6_000.0, 30_000.0]),
            paper: points([400.0, 12_400.0, 36_400.0]),
        });
        run.n0 = 0;
        for row in &mut run.rows {
            row.evaluations = n;
            row.zeta = Some(0.03125);
            row.disagreement_rate = Some(0.015_625);
            row.bound = row.class.map(|_| "paired".to_owned());
        }
        run
    };
    // The same bfloat16 network from scratch, to compare with.
    let from_scratch = |n: u64, radii: [f64; 4]| {
        let mut run = certify(n, radii);
        run.arithmetic = Some("weights rounded to bfloat16, arithmetic float32".to_owned());
        run
    };
    Report {
        title: "A small report".to_owned(),
        generated: "2026-01-01 by hand".to_owned(),
        runs: vec![
            certify(10_000, [1.0, 0.75, 0.5, 0.0]),
            from_scratch(1_000, [0.5, 0.25, 0.5, 0.0]),
            from_scratch(10_000, [1.0, 0.75, 0.5, 0.0]),
            recertify(500, [0.5, 0.5, 0.5, 0.0]),
            recertify(1_000, [1.0, 0.5, 0.5, 0.0]),
        ],
        verifications: Vec::new(),
        notes: vec!["Made up, for tests.".to_owned()],
    }
}

/// The small report with every text of it made by `text` from a number of its own.
pub(crate) fn with_texts(text: impl Fn(u32) -> String) -> Report {
    let mut report = small();
    report.title = text(1);
    report.generated = text(2);
    report.notes = vec![text(3)];
    for run in &mut report.runs {
        run.network = text(4);
        run.network_sha256 = text(5);
        run.engine = text(6);
        run.arithmetic = run.arithmetic.as_ref().map(|_| text(7));
        run.data = text(8);
        run.statement = text(9);
        run.parameters = [(text(10), text(11))].into();
        if let Method::Recertify { name, .. } = &mut run.method {
            *name = text(12);
        }
        for row in &mut run.rows {
            row.bound = row.class.map(|_| text(13));
        }
    }
    report
}

/// Right, right, wrong, abstained.
fn rows(evaluations: u64, radii: [f64; 4]) -> Vec<Row> {
    let classes = [Some(3), Some(8), Some(1), None];
    let labels = [3, 8, 6, 6];
    (0_u32..)
        .zip(radii)
        .zip(classes)
        .zip(labels)
        .map(|(((index, radius), class), label)| Row {
            idx: index * 2500,
            label: Some(label),
            class,
            radius,
            p_lower: Some(if class.is_some() { 0.875 } else { 0.375 }),
            evaluations,
            seconds: evaluations as f64 / 1024.0,
            ..Row::default()
        })
        .collect()
}
