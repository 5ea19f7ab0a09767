//! What the terminal shows, as snapshots, and that it fits.

use crate::support;
use recert_report::table::{Options, render};
use recert_report::{Goal, Method, Report, Run};

#[test]
fn a_report_with_recertifications() {
    insta::assert_snapshot!(render(&support::small(), &Options::default()).unwrap());
}

#[test]
fn runs_of_one_method_are_told_apart() {
    let mut report = support::small();
    report.runs.remove(1);
    report.runs.truncate(4);
    let goals = [Goal::Budget(2_000), Goal::UntilRadius(0.25)];
    for (run, goal) in report.runs[2..].iter_mut().zip(goals) {
        run.method = Method::Recertify {
            name: "auto".to_owned(),
            original: Some(0),
            gamma: None,
        };
        run.goal = Some(goal);
        run.among = Some(3);
        run.alpha = 0.002;
    }
    let text = |report: &Report| {
        let mut options = Options::default();
        options.width = 200;
        render(report, &options).unwrap()
    };
    let all = text(&report);
    for shown in [
        "from scratch, alpha\u{a0}0.001",
        "recertified by auto from run\u{a0}1, budget 2,000 evaluations, alpha\u{a0}0.002",
        "recertified by auto, until radius 0.25, alpha\u{a0}0.002",
    ] {
        assert!(all.contains(shown), "{all} lacks {shown}");
    }
    assert!(
        !all.contains("3 candidates"),
        "they do not differ in it: {all}"
    );
    report.runs[2].among = Some(1);
    assert!(text(&report).contains("0.25, 3 candidates, alpha"));
    // What all runs share distinguishes none.
    for run in &mut report.runs {
        (run.goal, run.among, run.alpha) = (Some(Goal::PerInput(500)), None, 0.001);
    }
    let same = text(&report);
    assert!(
        !same.contains("per input,") && !same.contains("alpha\u{a0}"),
        "{same}"
    );
}

#[test]
fn inputs_without_labels_have_a_table_of_their_own() {
    let mut report = support::small();
    report.runs.truncate(2);
    report.runs[1]
        .rows
        .iter_mut()
        .for_each(|row| row.label = None);
    insta::assert_snapshot!(render(&report, &Options::default()).unwrap());
}

#[test]
fn long_names_wrap_and_everything_fits_100_columns() {
    let mut report = support::small();
    for run in &mut report.runs {
        run.network = "some/deep/folder/resnet110_finetuned_sigma1.00_prune20_int8.onnx".to_owned();
        run.arithmetic = None;
        run.statement = "A word and another one. ".repeat(20);
        for row in &mut run.rows {
            row.evaluations = 10_000_000;
            row.seconds = 123_456.0;
        }
    }
    let text = render(&report, &Options::default()).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line.trim_end(), line);
    }
}

#[test]
fn other_radii_can_be_asked_for() {
    let mut options = Options::default();
    options.radii = Some(vec![0.0, 0.375, 1.0]);
    let text = render(&support::small(), &options).unwrap();
    let head = text.lines().find(|line| line.contains("0.375")).unwrap();
    assert!(head.contains("0.000") && head.contains("1.000"));
}

#[test]
fn empty_reports_and_runs_are_reported_as_empty() {
    let text = render(&Report::default(), &Options::default()).unwrap();
    assert!(text.contains("There is no run to report."));
    let run = Run {
        network: "net".to_owned(),
        sigma: 0.5,
        alpha: 0.001,
        ..Run::default()
    };
    let report = Report {
        runs: vec![run],
        ..Report::default()
    };
    let text = render(&report, &Options::default()).unwrap();
    assert!(
        text.contains("(0 inputs)") && !text.contains("NaN"),
        "{text}"
    );
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    let hostile = |number| format!("\x1b]0;evil\x07\x1b[2J\u{202e}text{number}\r\n");
    let text = render(&support::with_texts(hostile), &Options::default()).unwrap();
    let reorders = ['\u{202e}', '\u{2066}'];
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' || reorders.contains(&c)));
    // Hash, engine and parameters are on the page alone.
    for number in [1, 2, 3, 4, 7, 8, 9, 12, 13] {
        assert!(text.contains(&format!("text{number}")), "{number}: {text}");
    }
}

#[test]
fn a_report_that_makes_no_sense_is_refused() {
    let mut report = support::small();
    report.runs[0].rows[0].radius = f64::NAN;
    assert!(render(&report, &Options::default()).is_err());
}
