//! Numbers of samples: what is printed is rounded soundly, and wrong numbers are refused.

use recert_report::ErrorKind;
use recert_report::samples::{
    Attained, ByRadius, BySamples, ByWidth, Need, RadiusRow, SamplesRow, WidthRow,
};

fn by_width() -> ByWidth {
    let row = |p, samples: [u64; 2]| WidthRow {
        p,
        samples: samples.to_vec(),
    };
    ByWidth {
        alpha: 0.01,
        errors: vec![0.005, 0.07],
        rows: vec![row(0.5, [216_873, 1_130]), row(0.95, [41_537, 241])],
    }
}

fn by_radius() -> ByRadius {
    let row = |p, limit, needs: [Need; 2]| RadiusRow {
        p,
        limit,
        needs: needs.to_vec(),
    };
    ByRadius {
        sigma: 0.25,
        alpha: 0.001,
        radii: vec![0.5, 2.0],
        rows: vec![
            row(
                0.99,
                Some(0.581_599_9),
                [Need::Samples(1181), Need::NotReachable],
            ),
            row(1.0, None, [Need::Samples(301), Need::TooMany]),
            row(0.5, Some(0.0), [Need::NotReachable; 2]),
        ],
    }
}

fn by_samples() -> BySamples {
    let result = |p_lower, radius| Attained { p_lower, radius };
    BySamples {
        sigma: 0.5,
        alpha: 0.001,
        fractions: vec![1.0, 0.6],
        rows: vec![SamplesRow {
            samples: 10_000,
            results: vec![result(0.999, Some(1.599_299_9)), result(0.4, None)],
        }],
    }
}

#[test]
fn tables() {
    insta::assert_snapshot!(
        [
            by_width().table().unwrap(),
            by_radius().table().unwrap(),
            by_samples().table().unwrap(),
        ]
        .join("\n")
    );
}

#[test]
fn documents() {
    insta::assert_snapshot!(
        [
            by_width().json().unwrap(),
            by_radius().json().unwrap(),
            by_samples().json().unwrap(),
        ]
        .join("\n")
    );
}

#[test]
fn numbers_stay_whole_however_many_columns_there_are() {
    let mut wide = by_width();
    wide.errors = (1..=12).map(|k| f64::from(k) / 1000.0).collect();
    wide.rows
        .iter_mut()
        .for_each(|row| row.samples = vec![1_234_567; 12]);
    let text = wide.table().unwrap();
    assert_eq!(text.matches("1,234,567").count(), 24, "{text}");
}

#[test]
fn wrong_numbers_are_refused() {
    let refused = |result: Result<String, recert_report::Error>, word: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().contains(word), "{error}");
    };
    for bad in [0.0, 1.0, f64::NAN] {
        let with = |change: &dyn Fn(&mut ByWidth)| {
            let mut all = by_width();
            change(&mut all);
            all
        };
        refused(with(&|all| all.alpha = bad).table(), "alpha");
        refused(with(&|all| all.errors[1] = bad).json(), "error");
        refused(with(&|all| all.rows[0].p = bad).svg(&[]), "fraction");
    }
    let mut short = by_width();
    short.rows[1].samples.pop();
    refused(short.table(), "1 entries");
    refused(by_width().svg(&short.rows), "2 columns");
    let mut falling = by_width().rows;
    falling.reverse();
    refused(by_width().svg(&falling), "increasing");

    for bad in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let mut all = by_radius();
        all.sigma = bad;
        refused(all.table(), "sigma");
        let mut all = by_radius();
        all.radii[0] = bad;
        refused(all.json(), "radius");
        let mut all = by_samples();
        all.fractions[0] = bad;
        refused(all.table(), "fraction");
    }
    let mut all = by_radius();
    all.rows[0].needs.clear();
    refused(all.table(), "0.99");
    let mut all = by_samples();
    all.rows[0].results[0].radius = Some(f64::NAN);
    refused(all.json(), "radius");
    all.rows[0].results.pop();
    refused(all.json(), "10000");
}
