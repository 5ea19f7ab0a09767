//! `recert samples` end to end: how many samples an error or a radius takes.
//!
//! The numbers come from scipy 1.17.1's beta and binomial distributions by this script,
//! which knows nothing of recert. It asserts that each is at least a relative 1e-9 away
//! from being another one, far more than scipy's own errors.
//!
//! ```python
//! from math import floor
//! import numpy as np
//! from scipy.stats import beta, binom, norm
//!
//! def width(p, n, a):
//!     k = floor(p * n + 0.5)
//!     high = 1 if k == n else beta.isf(a, k + 1, n - k)
//!     return high - (0 if k == 0 else beta.ppf(a, k, n - k + 1))
//!
//! def by_width(p, e, a):
//!     few, enough = 1, 1 << 24
//!     while enough - few > 1:
//!         n = (few + enough) // 2
//!         few, enough = (few, n) if width(p, n, a) <= e else (n, enough)
//!     assert width(p, enough, a) < e * (1 - 1e-9)
//!     assert width(p, enough - 1, a) > e * (1 + 1e-9)
//!     return enough
//!
//! def by_radius(p, r, sigma, a):  # tries every number from 1 on
//!     n = np.arange(1, 200_000)
//!     tail = binom.sf(np.floor(p * n) - 1, n, norm.cdf(r / sigma))
//!     first = np.argmax(tail <= a)
//!     assert tail[first] <= a and np.all(np.abs(tail[: first + 1] / a - 1) > 1e-9)
//!     return int(n[first])
//!
//! def by_samples(n, p, sigma, a):
//!     k = floor(p * n)
//!     bound = beta.ppf(a, k, n - k + 1)
//!     return bound, sigma * norm.ppf(bound)
//! ```

use crate::common::{self, Place, fails, ok, words};
use serde_json::Value;

fn json(line: &str) -> Value {
    let said = ok(&words(&format!("samples --json {line}")));
    let value: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(value["schema"], "recert-samples/2");
    assert!(
        value["meaning"]
            .as_str()
            .is_some_and(|text| text.len() > 50)
    );
    value
}

/// The cells of the rows of a table that begin with a number.
fn cells(stdout: &str) -> Vec<Vec<String>> {
    let lines = stdout.lines().filter(|line| {
        let line = line.trim_start();
        line.starts_with(|c: char| c.is_ascii_digit())
    });
    // Words within a cell stand one space apart, cells at least two.
    lines
        .map(|line| {
            let cells = line.split("  ").map(str::trim);
            cells
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

#[test]
fn the_default_is_figure_two() {
    // `by_width(p, 0.005, 0.01)`; Ugare et al. report about 216,900 at p = 1/2 and
    // 41,500 at p = 0.05, which mirrors 0.95.
    let expected = "\
Samples for a Clopper-Pearson interval no wider than the error, alpha 0.01 on either side
───────────────────
p       error 0.5\u{a0}%
═══════════════════
0.5         216,873
0.55        214,708
0.6         208,214
0.65        197,390
0.7         182,237
0.75        162,754
0.8         138,942
0.85        110,801
0.9          78,331
0.95         41,537
0.99          9,002
0.995         4,784
0.999         1,649
───────────────────
Samples with which a two-sided Clopper-Pearson interval, its failure probability alpha on either
side, is no wider than the error, when a fraction p of the samples (rounded to the nearest count,
halves up) are successes: the number given has this property and one sample less does not.
p and 1 - p need the same number, but for that rounding. Figure 2 of Ugare et al., Incremental
randomized smoothing certification, ICLR 2024.
";
    let said = ok(&words("samples"));
    assert_eq!(said.stdout, expected);
    assert_eq!(said.stderr, "");
}

#[test]
fn several_errors_at_another_alpha() {
    // `by_width(p, e, 0.001)`.
    let value = json("--p 0.5,0.9 --p 0.02 --error 2%,0.1 --alpha 0.001");
    assert_eq!(value["question"], "width");
    assert_eq!(value["alpha"], 0.001);
    assert_eq!(value["errors"], serde_json::json!([0.02, 0.1]));
    let expected = serde_json::json!([
        {"p": 0.5, "samples": [23969, 970]},
        {"p": 0.9, "samples": [8697, 362]},
        {"p": 0.02, "samples": [1997, 108]},
    ]);
    assert_eq!(value["rows"], expected);
    let said = ok(&words("samples --p 0.05,0.3"));
    let expected = [["0.05", "41,537"], ["0.3", "182,237"]];
    assert_eq!(cells(&said.stdout), expected);
}

#[test]
fn samples_for_radii() {
    // `by_radius(p, r, 0.25, 0.001)`, and in the last column `0.25 * norm.ppf(p)`:
    // 0.7725580..., 0.5815869..., 0.4112134... At p = 1 it is ln(alpha)/ln(Phi(r/sigma))
    // rounded up.
    let said = ok(&words(
        "samples --radius 0.25,0.5 --sigma 0.25 --p 1,0.999,0.99,0.95,0.4",
    ));
    assert!(said.stdout.contains("at sigma 0.25, alpha 0.001"));
    let expected = [
        ["1", "40", "301", "no limit"],
        ["0.999", "54", "402", "0.7725"],
        ["0.99", "54", "1,181", "0.5815"],
        ["0.95", "98", "not reachable", "0.4112"],
        ["0.4", "not reachable", "not reachable", "–"],
    ];
    assert_eq!(cells(&said.stdout), expected);
    for line in said.stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn samples_for_radii_as_json() {
    // `by_radius(p, r, 0.25, 0.01)`. With every sample of the class, 8 sigmas take about
    // ln(100) / 6e-16 samples, which is above 2^40.
    let value = json("--radius 0.5 --radius 2 --sigma 0.25 --alpha 0.01 --p 1,0.99,0.5");
    assert_eq!(value["question"], "radius");
    assert_eq!(
        (&value["sigma"], &value["alpha"]),
        (&0.25.into(), &0.01.into())
    );
    assert_eq!(value["radii"], serde_json::json!([0.5, 2.0]));
    let need =
        |samples: Value, outcome: &str| serde_json::json!({"samples": samples, "outcome": outcome});
    let rows = value["rows"].as_array().expect("rows");
    let expected = [
        (
            1.0,
            [need(201.into(), "found"), need(Value::Null, "too_many")],
        ),
        (
            0.99,
            [
                need(699.into(), "found"),
                need(Value::Null, "not_reachable"),
            ],
        ),
        (
            0.5,
            [
                need(Value::Null, "not_reachable"),
                need(Value::Null, "not_reachable"),
            ],
        ),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (p, needs)) in rows.iter().zip(expected) {
        assert_eq!(row["p"], p);
        assert_eq!(row["needs"], Value::from(needs.to_vec()));
    }
    assert_eq!(rows[0]["limit"], Value::Null);
    assert_eq!(rows[2]["limit"], 0.0);
    // mpmath: Phi^-1 of the double 0.99 is 2.32634787404084076...
    let limit = rows[1]["limit"].as_f64().expect("a limit");
    let exact = 0.25 * 2.326_347_874_040_841;
    assert!(limit <= exact && limit > exact * (1.0 - 1e-11), "{limit}");
}

#[test]
fn radii_of_numbers_of_samples() {
    // `by_samples(n, p, 0.5, 0.001)`.
    let flags = "--n 20,10000,100000 --sigma 0.5 --p 0.99,0.6";
    let said = ok(&words(&format!("samples {flags}")));
    let expected = [
        ["20", "0.2736", "0.1559", "abstains"],
        ["10,000", "1.5992", "1.1062", "0.1070"],
        ["100,000", "1.9057", "1.1449", "0.1204"],
    ];
    assert_eq!(cells(&said.stdout), expected);
    let value = json(flags);
    assert_eq!(value["question"], "samples");
    assert_eq!(value["fractions"], serde_json::json!([1.0, 0.99, 0.6]));
    assert_eq!(value["rows"][0]["results"][2]["radius"], Value::Null);
    let row = &value["rows"][1];
    assert_eq!(row["samples"], 10_000);
    let exact = [
        (0.999_309_463_002_589_9, 1.599_288_757_369_169_2),
        (0.986_531_159_323_806_2, 1.106_209_832_551_094_7),
        (0.584_747_670_352_246_3, 0.107_027_184_486_445_24),
    ];
    for (place, (bound, radius)) in exact.into_iter().enumerate() {
        let found = |key: &str| row["results"][place][key].as_f64().expect("a number");
        for (found, exact) in [(found("p_lower"), bound), (found("radius"), radius)] {
            // scipy's last digits are its own.
            assert!((found / exact - 1.0_f64).abs() < 1e-10, "{found} {exact}");
        }
    }
}

#[test]
fn what_a_radius_takes_certifies_it_and_one_copy_less_does_not() {
    // The 1,181 and 402 samples of above, asked the other way round.
    for (samples, p) in [(1181, 0.99), (402, 0.999), (301, 1.0)] {
        let flags = format!("--n {samples},{} --sigma 0.25 --p {p}", samples - 1);
        let value = json(&flags);
        let column = usize::from(p < 1.0);
        let radius = |row: usize| value["rows"][row]["results"][column]["radius"].as_f64();
        assert!(radius(0).is_some_and(|radius| radius >= 0.5), "{value}");
        assert!(radius(1).is_some_and(|radius| radius < 0.5), "{value}");
    }
}

#[test]
fn the_plot_is_a_file_of_its_own() {
    let place = Place::new();
    let path = place.path("figure 2.svg");
    let mut command = words("samples --error 0.5%,1% --svg");
    command.push(common::text(&path));
    let said = ok(&command);
    assert!(said.stderr.contains("figure 2.svg"), "{}", said.stderr);
    assert!(said.stdout.contains("216,873"));
    let svg = std::fs::read_to_string(&path).expect("the plot");
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("prefers-color-scheme: dark"));
    // No other file is referred to, and nothing runs.
    for word in ["<script", "href", "url(", "<image"] {
        assert!(!svg.contains(word), "{word}");
    }
    assert_eq!(svg.matches("class=\"line\"").count(), 2);
    assert_eq!(svg.matches("class=\"dot\"").count(), 26);
    assert!(svg.contains("p = 0.5, error 0.5\u{a0}%: n = 216,873<"));
    assert!(svg.contains("p = 0.95, error 0.5\u{a0}%: n = 41,537<"));
    // The lines are drawn from numbers of their own: they mirror about the middle.
    let line = svg
        .split("<path class=\"line\" d=\"M")
        .nth(1)
        .expect("a line");
    let line = line.split('"').next().expect("its end");
    let heights: Vec<f64> = line
        .split('L')
        .map(|point| {
            point
                .split(' ')
                .nth(1)
                .expect("y")
                .parse()
                .expect("a number")
        })
        .collect();
    assert_eq!(heights.len(), 205);
    for (left, right) in heights.iter().zip(heights.iter().rev()) {
        assert!((left - right).abs() < 0.2, "{left} {right}");
    }
}

#[test]
fn wrong_flags_are_named() {
    let cases: [(&str, &[&str]); 26] = [
        ("--p 0", &["--p", "above 0"]),
        ("--p 1.5", &["--p", "at most 1", "1.5"]),
        ("--p -0.5", &["--p", "-0.5"]),
        ("--p NaN", &["--p", "NaN"]),
        ("--p half", &["--p", "half"]),
        ("--p 1", &["--p", "below 1"]),
        ("--error 0", &["--error", "between 0 and 1"]),
        ("--error 100%", &["--error", "100%"]),
        ("--error -1%", &["--error", "-1%"]),
        ("--error small", &["--error", "small"]),
        ("--error 1e-9", &["--error", "larger"]),
        ("--alpha 0", &["--alpha"]),
        ("--alpha 0.6", &["--alpha", "0.5"]),
        ("--alpha NaN", &["--alpha"]),
        ("--sigma 0.5", &["--sigma", "--radius", "--n"]),
        ("--radius 0.5", &["--sigma", "missing"]),
        ("--n 100", &["--sigma", "missing"]),
        ("--radius 0 --sigma 1", &["--radius", "above 0"]),
        ("--radius -1 --sigma 1", &["--radius", "-1"]),
        ("--radius inf --sigma 1", &["--radius", "inf"]),
        ("--radius 1 --sigma 0", &["--sigma", "above 0"]),
        ("--n 0 --sigma 1", &["--n", "from 1 to"]),
        ("--n 5000000000 --sigma 1", &["--n", "4294967295"]),
        (
            "--radius 1 --n 5 --sigma 1",
            &["--radius", "--n", "one of them"],
        ),
        (
            "--radius 1 --sigma 1 --error 1%",
            &["--error", "--radius", "leave out"],
        ),
        (
            "--n 5 --sigma 1 --svg x.svg",
            &["--svg", "--n", "leave out"],
        ),
    ];
    for (flags, says) in cases {
        let words = words(&format!("samples {flags}"));
        let said = fails(2, says).check(&words);
        assert_eq!(said.stdout, "", "{flags}");
    }
    let place = Place::new();
    let mut command = words("samples --svg");
    command.push(place.text("no such folder/plot.svg"));
    fails(6, &["plot.svg"]).check(&command);
}

#[test]
fn close_calls_still_give_an_answer() {
    // Phi(1) = 0.841344746...: a share next to it reaches the radius or does not, and
    // which of them is no matter of printed digits.
    let said = ok(&words("samples --radius 1 --sigma 1 --p 0.842,0.8413"));
    let cells = cells(&said.stdout);
    // z^2 p (1 - p) / (p - Phi(1))^2 with z = 3.0902 is 2.96 million.
    let samples: u64 = cells[0][1].replace(',', "").parse().expect("a count");
    assert!((2_900_000..3_020_000).contains(&samples), "{samples}");
    assert_eq!(&cells[0][2], "1.0027");
    assert_eq!(cells[1][1..], ["not reachable", "0.9998"]);
}

#[test]
fn the_help_says_what_the_numbers_are() {
    let said = ok(&words("samples --help"));
    for part in [
        "Clopper-Pearson interval",
        "alpha on either side",
        "Figure 2",
        "floor(p n)",
        "[default: 0.5%]",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let all = ok(&words("--help"));
    assert!(all.stdout.contains("  samples "), "{}", all.stdout);
}
