//! Curves, ratios and what is compared with what, by hand.

use super::*;
use crate::model::{Method, Row};

fn curve(points: &[(f64, f64)]) -> Curve {
    Curve::new(
        points
            .iter()
            .map(|&(cost, quality)| Point { cost, quality }),
    )
}

#[test]
fn runs_that_stop_at_a_radius_are_no_baseline() {
    let run = |method, evaluations| Run {
        method,
        rows: vec![Row {
            label: Some(1),
            class: Some(1),
            radius: 0.5,
            evaluations,
            ..Row::default()
        }],
        ..Run::default()
    };
    let irs = Method::Recertify {
        name: "irs".to_owned(),
        original: None,
        gamma: None,
    };
    let until = Method::Certify {
        sides: None,
        until: Some(0.5),
    };
    let runs = vec![run(until, 2_000), run(irs, 1_000)];
    let metrics: Vec<_> = runs.iter().map(Metrics::new).collect();
    let mut report = Report {
        runs,
        ..Report::default()
    };
    assert_eq!(speed_ups(&report, &metrics), [None, None]);
    report.runs[0].method = Method::default();
    assert!(speed_ups(&report, &metrics)[1].is_some());
}

#[test]
fn selection_samples_are_not_charged_and_nothing_is_compared_with_nothing() {
    let run = |method: &Method, n0, (radius, evaluations)| Run {
        method: method.clone(),
        n0,
        rows: vec![Row {
            label: Some(1),
            class: (radius > 0.0).then_some(1),
            radius,
            evaluations,
            ..Row::default()
        }],
        ..Run::default()
    };
    let auto = Method::Recertify {
        name: "auto".to_owned(),
        original: None,
        gamma: None,
    };
    let from_scratch = Method::default();
    let runs = vec![
        run(&from_scratch, 100, (0.5, 500)),
        run(&auto, 0, (0.5, 200)),
        run(&auto, 0, (0.0, 200)),
    ];
    let mut report = Report {
        runs,
        ..Report::default()
    };
    let metrics: Vec<_> = report.runs.iter().map(Metrics::new).collect();
    let found = speed_ups(&report, &metrics);
    let evaluations = found[1].unwrap().evaluations;
    assert_eq!(evaluations, Some(Ratio::Exactly(400.0 / 200.0)));
    assert_eq!(found[2], None, "no radius");
    // Without a run from scratch there is what is expected, in evaluations alone.
    let points = |cost| vec![Point { cost, quality: 0.5 }];
    report.runs[1].baselines = Some(ByBaseline {
        from_scratch: points(300.0),
        planned: points(200.0),
        paper: points(400.0),
    });
    report.runs[0].network = "another".to_owned();
    let found = speed_ups(&report, &metrics)[1].unwrap();
    let exactly = |ratio| Some(Ratio::Exactly(ratio));
    let expected = ByBaseline {
        from_scratch: exactly(1.5),
        planned: exactly(1.0),
        paper: exactly(2.0),
    };
    assert_eq!((found.expected, found.evaluations), (expected, None));
    report.runs[1].goal = Some(Goal::UntilRadius(0.25));
    assert_eq!(speed_ups(&report, &metrics)[1], None, "stops at a radius");
}

#[test]
fn unfinished_runs_and_what_a_faster_network_cost() {
    let run = |method: Method, evaluations| Run {
        method,
        rows: vec![Row {
            label: Some(1),
            class: Some(1),
            radius: 0.5,
            evaluations,
            seconds: 2.0,
            ..Row::default()
        }],
        ..Run::default()
    };
    let auto = Method::Recertify {
        name: "auto".to_owned(),
        original: None,
        gamma: None,
    };
    let mut report = Report {
        runs: vec![run(Method::default(), 800), run(auto, 200)],
        ..Report::default()
    };
    let points = |cost| vec![Point { cost, quality: 0.5 }];
    report.runs[1].baselines = Some(ByBaseline {
        from_scratch: points(400.0),
        planned: Vec::new(),
        paper: points(600.0),
    });
    let found = |report: &Report| {
        let metrics: Vec<_> = report.runs.iter().map(Metrics::new).collect();
        speed_ups(report, &metrics)[1]
    };
    let whole = found(&report).unwrap();
    assert_eq!(whole.evaluations, Some(Ratio::Exactly(4.0)));
    assert_eq!(whole.expected.from_scratch, Some(Ratio::Exactly(2.0)));

    // 400 evaluations at 10 ms each, over 2 s of the network and 6 s of the faster one.
    report.runs[1].through_seconds = Some(6.0);
    let through = found(&report).unwrap();
    assert_eq!(through.expected.from_scratch, Some(Ratio::Exactly(0.5)));
    assert_eq!(through.expected.planned, None);
    assert_eq!(through.expected.paper, Some(Ratio::Exactly(0.75)));
    assert_eq!((through.evaluations, through.time), (None, None));
    report.runs[1].through_seconds = None;

    // One of two inputs is done: no figure on either side.
    report.runs[0].planned_inputs = Some(2);
    assert_eq!(found(&report).unwrap().evaluations, None);
    report.runs[0].planned_inputs = Some(1);
    report.runs[1].planned_inputs = Some(2);
    assert_eq!(found(&report), None);
}

#[test]
fn a_curve_keeps_only_what_is_better() {
    let made = curve(&[
        (300.0, 0.4),
        (100.0, 0.2),
        (100.0, 0.1),
        (200.0, 0.2),
        (400.0, 0.3),
        (f64::NAN, 0.9),
        (500.0, f64::INFINITY),
    ]);
    assert_eq!(made, curve(&[(100.0, 0.2), (300.0, 0.4)]));
}

#[test]
fn cost_is_interpolated_and_never_extrapolated() {
    let made = curve(&[(100.0, 0.25), (300.0, 0.5), (900.0, 1.0)]);
    for (quality, expected) in [
        (0.25, CostAt::Reached(100.0)),
        (0.375, CostAt::Reached(200.0)),
        (0.5, CostAt::Reached(300.0)),
        (0.75, CostAt::Reached(600.0)),
        (1.0, CostAt::Reached(900.0)),
        (1.25, CostAt::Beyond(900.0)),
        (0.125, CostAt::Below(100.0)),
    ] {
        assert_eq!(made.cost_at(quality), Some(expected), "{quality}");
    }
    assert_eq!(Curve::default().cost_at(0.5), None);
    assert_eq!(
        curve(&[(7.0, 0.5)]).cost_at(0.5),
        Some(CostAt::Reached(7.0))
    );
}

#[test]
fn ratios_at_a_point_by_hand() {
    let scratch = curve(&[(100.0, 0.25), (300.0, 0.5)]);
    let at = |cost, quality| ratio_at(&scratch, Point { cost, quality });
    assert_eq!(at(50.0, 0.375), Some(Ratio::Exactly(4.0)));
    assert_eq!(at(50.0, 0.75), Some(Ratio::AtLeast(6.0)));
    assert_eq!(at(50.0, 0.125), Some(Ratio::AtMost(2.0)));
    assert_eq!(at(0.0, 0.375), None);
    assert_eq!(at(50.0, f64::NAN), None);
    let nothing = Point {
        cost: 1.0,
        quality: 1.0,
    };
    assert_eq!(ratio_at(&Curve::default(), nothing), None);
    assert_eq!(Ratio::Exactly(2.419).text(), "2.42");
    assert_eq!(Ratio::AtLeast(6.0).text(), "≥ 6.00");
    assert_eq!(Ratio::AtMost(0.831).text(), "≤ 0.84");
}

#[test]
fn average_ratio_by_hand() {
    // Over qualities 0.5 to 1: from scratch the cost runs from 300 to 900,
    // recertified from 100 to 200. Mean costs 600 and 150.
    let scratch = curve(&[(100.0, 0.25), (300.0, 0.5), (900.0, 1.0)]);
    let recertified = curve(&[(100.0, 0.5), (300.0, 1.5)]);
    assert_eq!(average_ratio(&scratch, &recertified), Some(600.0 / 150.0));
    assert_eq!(average_ratio(&scratch, &scratch), Some(1.0));
    // Nothing shared, one quality shared, single points, no points, no cost.
    assert_eq!(
        average_ratio(&scratch, &curve(&[(1.0, 2.0), (2.0, 3.0)])),
        None
    );
    assert_eq!(
        average_ratio(&scratch, &curve(&[(1.0, 1.0), (2.0, 3.0)])),
        None
    );
    assert_eq!(average_ratio(&scratch, &curve(&[(1.0, 0.5)])), None);
    assert_eq!(average_ratio(&scratch, &Curve::default()), None);
    assert_eq!(average_ratio(&scratch, &curve(&[(0.0, 0.5)])), None);
}
