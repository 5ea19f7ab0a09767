//! Published logs, read and compared with an independent calculation.

use std::path::{Path, PathBuf};

use recert_report::{Metrics, Row, Run, certified_accuracy, cohen};

fn shared_logs() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/logs");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

struct Expected {
    file: &'static str,
    inputs: u64,
    abstained: u64,
    /// Exact decimal ACR and mean radius, from rational arithmetic in Python.
    acr: f64,
    average_radius: f64,
    seconds: f64,
    /// Inputs certified for their label at radii 0, 0.25, .. 1.5, then 2, 2.5, 3.
    counts: [u64; 10],
}

const RADII: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0];

/// Computed with Python's `fractions` from the text of the logs.
const EXPECTED: [Expected; 4] = [
    Expected {
        file: "salman_cifar10_resnet110_cohen_sigma0.25.tsv",
        inputs: 10_000,
        abstained: 795,
        acr: 0.424_024_317_4,
        average_radius: 0.457_336_125_1,
        seconds: 150_059.415_253,
        counts: [7665, 6116, 4225, 2506, 0, 0, 0, 0, 0, 0],
    },
    Expected {
        file: "salman_cifar10_resnet110_cohen_sigma0.50.tsv",
        inputs: 10_000,
        abstained: 1523,
        acr: 0.525_053_184_4,
        average_radius: 0.585_571_657_17,
        seconds: 144_676.662_114,
        counts: [6568, 5491, 4279, 3245, 2197, 1412, 826, 0, 0, 0],
    },
    Expected {
        file: "salman_cifar10_resnet110_cohen_sigma1.00.tsv",
        inputs: 10_000,
        abstained: 2955,
        acr: 0.510_514_520_7,
        average_radius: 0.635_796_798_2,
        seconds: 140_640.186_764,
        counts: [4715, 4094, 3377, 2768, 2213, 1722, 1328, 663, 268, 95],
    },
    Expected {
        file: "salman_imagenet_resnet50_sigma0.50.tsv",
        inputs: 500,
        abstained: 77,
        acr: 0.742_312_8,
        average_radius: 0.902_330_4,
        seconds: 68_576.697_035,
        counts: [295, 269, 240, 217, 195, 172, 137, 0, 0, 0],
    },
];

#[test]
fn published_logs_give_the_figures_of_an_independent_calculation() {
    let Some(folder) = shared_logs() else { return };
    for expected in EXPECTED {
        let rows = cohen::read(&folder.join(expected.file)).unwrap();
        let run = Run {
            rows: rows.iter().map(Row::from).collect(),
            ..Run::default()
        };
        let metrics = Metrics::new(&run);
        assert_eq!(metrics.inputs, expected.inputs, "{}", expected.file);
        assert_eq!(metrics.abstained, expected.abstained, "{}", expected.file);
        // Each radius is a decimal read as the nearest double, at most 2^-52
        // (for radii below 4) away from it, so the means are that close too.
        let close = |mean: Option<f64>, exact: f64| (mean.unwrap() - exact).abs() <= 1e-15;
        assert!(close(metrics.acr, expected.acr), "{:?}", metrics.acr);
        assert!(close(metrics.average_radius, expected.average_radius));
        assert!((metrics.seconds - expected.seconds).abs() < 1e-5);
        let counts = RADII.map(|radius| certified_accuracy(&run, radius).unwrap().count);
        assert_eq!(counts, expected.counts, "{}", expected.file);
    }
}

#[test]
fn a_log_with_a_header_alone_is_empty() {
    let Some(folder) = shared_logs() else { return };
    assert!(
        cohen::read(&folder.join("header_only.tsv"))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn every_published_log_survives_being_written_again() {
    let Some(folder) = shared_logs() else { return };
    let out = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tsv") {
            continue;
        }
        let rows = cohen::read(&path).unwrap();
        let sample = out.path().join(path.file_name().unwrap());
        let mut log = cohen::CohenLog::open_with_digits(&sample, 12).unwrap();
        for row in &rows {
            assert!(log.append(row).unwrap());
        }
        drop(log);
        let again = cohen::read(&sample).unwrap();
        assert_eq!(again.len(), rows.len());
        for (row, back) in rows.iter().zip(&again) {
            assert_eq!(
                (row.idx, row.label, row.predict),
                (back.idx, back.label, back.predict)
            );
            assert!(back.radius <= row.radius && row.radius - back.radius < 1.1e-12);
            assert!((row.seconds - back.seconds).abs() < 1e-9);
        }
    }
}

#[test]
fn errors_name_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.tsv");
    std::fs::write(
        &path,
        format!("{}\n0\t1\t1\tbig\t1\t0:00:01\n", cohen::HEADER),
    )
    .unwrap();
    let message = cohen::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("bad.tsv: line 2: radius should be"),
        "{message}"
    );
    let error = cohen::read(&folder.path().join("none.tsv")).unwrap_err();
    assert_eq!(error.kind(), recert_report::ErrorKind::Io);
    assert!(
        error.to_string().ends_with("none.tsv: cannot open the log"),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
}
