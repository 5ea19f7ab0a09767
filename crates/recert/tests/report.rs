//! What a report makes of a ledger beside its certificates: how far a run is, how long it took,
//! through what it was certified, and in which order runs stand; and what a job remarks on.

use std::path::Path;

use recert::engine::ImageShape;
use recert::job::{
    self, Amount, CertifyConfig, Data, Event, Events, Goal, Job, Network, Outcome, Recertification,
    RecertifyConfig, Remark, RunConfig,
};
use recert::report::{Goal as Reported, Report, json, table};

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 2,
};

/// Ten inputs, bright or dark, each with its label.
fn data() -> Data {
    let pixels: Vec<f32> = (0..10)
        .flat_map(|i| if i % 2 == 0 { [0.1, 0.2] } else { [0.8, 0.9] })
        .collect();
    let labels = (0..10).map(|i| i % 2).collect();
    Data::from_pixels("ten dots", IMAGE, &pixels, Some(labels)).unwrap()
}

fn brighter_than(limit: f32) -> Network {
    let name = format!("brighter than {limit}");
    let bright = move |pixels: &[f32]| Some(u16::from(pixels[0] + pixels[1] > limit));
    Network::from_fn(&name, 2, IMAGE, bright).unwrap()
}

const RUN: RunConfig = RunConfig {
    threads: Some(1),
    batch: Some(32),
    shard: None,
};

fn config() -> CertifyConfig {
    CertifyConfig {
        n: 1000,
        n0: 20,
        run: RUN,
        ..CertifyConfig::new(0.25)
    }
}

/// Stops after so many rows.
struct StopsAfter(usize);

impl Events for StopsAfter {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Concluded { row: Some(_), .. } = event {
            self.0 = self.0.saturating_sub(1);
        }
    }

    fn stop(&self) -> bool {
        self.0 == 0
    }
}

/// Runs a job, and returns its remarks.
fn run(job: Job<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let outcome = job.run(&mut |event: Event<'_>| {
        if let Event::Remark(remark) = event {
            remarks.push(remark);
        }
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    remarks
}

fn certify(ledger: &Path) {
    let (data, network) = (data(), brighter_than(1.0));
    run(job::certify(ledger, &config(), &data, &network).unwrap());
}

fn recertify(ledger: &Path, network: Network, goal: Goal) -> Vec<Remark> {
    let config = RecertifyConfig {
        goal,
        run: RUN,
        ..RecertifyConfig::default()
    };
    let recertification = Recertification::open(ledger, &config, 1).unwrap();
    let (data, networks) = (data(), [network]);
    run(recertification.job(&data, &networks).unwrap())
}

fn report(ledger: &Path) -> Report {
    job::report(&[ledger.to_owned()], "Dots").unwrap().report
}

fn text(report: &Report) -> String {
    let mut options = table::Options::default();
    options.width = 200;
    let text = table::render(report, &options).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_unfinished_run_is_marked_and_compared_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("dots.recert");
    let (data, network) = (data(), brighter_than(1.0));
    let job = job::certify(&ledger, &config(), &data, &network).unwrap();
    let outcome = job.run(&mut StopsAfter(4)).unwrap();
    assert_eq!(outcome, Outcome::Stopped);

    let stopped = report(&ledger);
    let done = stopped.runs[0].rows.len();
    assert!((4..10).contains(&done), "{done}");
    assert_eq!(stopped.runs[0].unfinished(), Some(10));
    let shown = text(&stopped);
    for part in [
        format!("unfinished: {done} of 10 inputs"),
        format!("Run 1 is unfinished: {done} of 10 inputs are concluded"),
        format!("({done} inputs of 10, unfinished)"),
    ] {
        assert!(shown.contains(&part), "{part}: {shown}");
    }

    // Recertified from what there is: that run is whole.
    let goal = || Goal::Budget(vec![Amount::Percent(20.0)]);
    recertify(&ledger, brighter_than(1.01), goal());
    assert_eq!(report(&ledger).runs[1].unfinished(), None);

    // The same command goes on, and nothing is unfinished afterwards.
    certify(&ledger);
    let whole = report(&ledger);
    assert_eq!(whole.runs[0].rows.len(), 10);
    assert!(!text(&whole).contains("unfinished:"));

    // A recertification that is stopped has no speed-up.
    let config = RecertifyConfig {
        goal: Goal::Budget(vec![Amount::Percent(30.0)]),
        run: RUN,
        ..RecertifyConfig::default()
    };
    let recertification = Recertification::open(&ledger, &config, 1).unwrap();
    let networks = [brighter_than(1.02)];
    let job = recertification.job(&data, &networks).unwrap();
    assert_eq!(job.run(&mut StopsAfter(3)).unwrap(), Outcome::Stopped);
    let stopped = report(&ledger);
    let last = stopped.runs.len() - 1;
    let run = &stopped.runs[last];
    assert_eq!(run.unfinished(), Some(10), "{} rows", run.rows.len());
    let document = json::to_string(&stopped, None).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(document["runs"][last]["metrics"]["speed_up"].is_null());
    assert!(document["runs"][last - 1]["metrics"]["speed_up"].is_object());
}

#[test]
fn a_run_through_a_faster_network_counts_what_that_cost() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("via.recert");
    let (data, network, faster) = (data(), brighter_than(1.0), brighter_than(1.01));
    let budget = Amount::Percent(20.0);
    let job = job::certify_via(&ledger, &config(), budget, &data, &faster, &network).unwrap();
    run(job);
    let through = report(&ledger);
    let seconds: f64 = through.runs[0].rows.iter().map(|row| row.seconds).sum();
    let counted = through.runs[1].through_seconds.unwrap();
    assert!(
        (counted - seconds).abs() < 1e-5 && seconds > 0.0,
        "{counted} {seconds}"
    );
    let shown = text(&through);
    let note = "Run 2 was certified through a faster network";
    assert!(shown.contains(note), "{shown}");
    // From scratch pays for ten selection samples an input, and there is nothing to plan by.
    let baselines = through.runs[1].baselines.as_ref().unwrap();
    assert!(baselines.from_scratch[0].cost >= 100.0 && baselines.planned.is_empty());

    // The same two runs by hand: the original was wanted for itself.
    let by_hand = folder.path().join("hand.recert");
    let first = job::certify(&by_hand, &config(), &data, &faster).unwrap();
    run(first);
    recertify(&by_hand, network, Goal::Budget(vec![budget]));
    let by_hand = report(&by_hand);
    assert_eq!(by_hand.runs[1].through_seconds, None);
    assert!(!text(&by_hand).contains("through a faster"));
}

#[test]
fn runs_stand_in_the_order_of_their_budgets_and_with_the_time_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("dots.recert");
    certify(&ledger);
    // As text, 1000 comes before 500.
    let amounts = [
        Amount::Percent(10.0),
        Amount::Percent(5.0),
        Amount::Count(20),
    ];
    recertify(&ledger, brighter_than(1.01), Goal::Budget(amounts.to_vec()));
    let report = report(&ledger);
    let goals: Vec<_> = report.runs[1..].iter().map(|run| run.goal).collect();
    assert_eq!(
        goals,
        [20, 500, 1000].map(|budget| Some(Reported::Budget(budget)))
    );
    for run in &report.runs {
        let wall = run.wall_seconds.expect("the journal has it");
        assert!((0.0..600.0).contains(&wall));
    }
    assert!(text(&report).contains("wall time"));
}

#[test]
fn a_recertification_ends_with_what_it_started_from() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("dots.recert");
    certify(&ledger);
    let goal = Goal::Budget(vec![Amount::Percent(20.0)]);
    let remarks = recertify(&ledger, brighter_than(1.01), goal);
    let compared = remarks.iter().find_map(|remark| match remark {
        Remark::WithOriginal(compared) => Some(compared),
        _ => None,
    });
    let compared = compared.expect("it is remarked on");
    assert_eq!(
        (compared.original.alpha, compared.modified.alpha),
        (0.001, 0.002)
    );
    assert_eq!(compared.original.evaluations, 10 * 1020);
    assert!(compared.modified.evaluations <= 2000);
    assert!(compared.original.radius > compared.modified.radius);
    assert!(compared.modified.radius > 0.1 && compared.labelled);
    assert!(compared.speed_up.is_some());
    // The report gives the same.
    let metrics: Vec<_> = (report(&ledger).runs.iter())
        .map(recert::report::Metrics::new)
        .collect();
    assert_eq!(metrics[0].acr, Some(compared.original.radius));
    assert_eq!(metrics[1].acr, Some(compared.modified.radius));
}

#[test]
fn a_target_is_reported_beside_what_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("dots.recert");
    certify(&ledger);
    recertify(&ledger, brighter_than(1.01), Goal::AverageRadius(0.2));
    let shown = text(&report(&ledger));
    for part in ["any class", "ACR counts the right class alone"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_modified_network_far_below_the_original_is_seen_before_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("classes.recert");
    // Sixty inputs of ten classes, which a pixel states.
    let pixels: Vec<f32> = (0..60_u8)
        .flat_map(|i| [f32::from(i % 10) / 10.0 + 0.05, 0.0])
        .collect();
    let labels = (0..60).map(|i| i % 10).collect();
    let data = Data::from_pixels("digits", IMAGE, &pixels, Some(labels)).unwrap();
    let class = |pixel: f32| ((pixel * 10.0).floor().clamp(0.0, 9.0)) as u16;
    let original = Network::from_fn("digits", 10, IMAGE, move |p| Some(class(p[0]))).unwrap();
    // As if its images were normalised otherwise: it is right of two classes in ten.
    let modified = Network::from_fn("digits of dark", 10, IMAGE, move |p| {
        Some(class(p[0]).min(1))
    })
    .unwrap();
    let config = CertifyConfig {
        n: 100,
        n0: 20,
        run: RUN,
        ..CertifyConfig::new(0.001)
    };
    run(job::certify(&ledger, &config, &data, &original).unwrap());
    let config = RecertifyConfig {
        run: RUN,
        ..RecertifyConfig::default()
    };
    let recertification = Recertification::open(&ledger, &config, 1).unwrap();
    let networks = [modified, original];
    let looks = |networks: &[Network]| {
        let mut job = recertification.job(&data, networks).unwrap();
        let look = job.first_look().unwrap().remove(0);
        (look.original.clone().unwrap().noisy, look.remark())
    };
    let (right, remark) = looks(&networks[..1]);
    assert!(right > 58.0, "{right}");
    let said = remark.expect("it is remarked on").to_string();
    assert!(
        said.contains("digits of dark classifies 12 of 60") && said.contains("digits classifies"),
        "{said}"
    );
    assert_eq!(looks(&networks[1..]).1, None);
}
