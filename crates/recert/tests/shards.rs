//! Runs in shards: however a run is divided, in whatever order its ledgers are merged and however
//! often it is continued in between, the result is row by row that of one run; and what does not
//! belong together is refused.
//!
//! One long file: every test divides one of the same few small runs, and compares by the same function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recert::engine::ImageShape;
use recert::job::{
    self, CertifyConfig, Data, DataConfig, DataOptions, Event, Goal, Merged, Method, Network,
    NetworkConfig, Norm, Outcome, PredictConfig, Recertification, RecertifyConfig, Shard,
    VerifyConfig, VerifyMethod,
};
use recert::ledger::{JournalEvent, Ledger};
use recert::{ErrorKind, Field};

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 1,
    width: 2,
};

const INPUTS: usize = 17;

/// Images at many distances from where the class changes.
fn data() -> Data {
    grey_data(0.11)
}

fn grey_data(step: f32) -> Data {
    let pixels = (0..INPUTS).flat_map(|i| [0.25, step + i as f32 / 25.0]);
    let labels = (0..INPUTS).map(|i| u32::from(i > 8)).collect();
    Data::from_pixels("greys", IMAGE, &pixels.collect::<Vec<f32>>(), Some(labels)).unwrap()
}

/// Whether an image is bright, with margins.
fn network(name: &str, limit: f32) -> Network {
    let bright = move |image: &[f32]| Some(u16::from(image[0] + image[1] > limit));
    Network::from_fn(name, 2, IMAGE, bright).unwrap()
}

fn f() -> Network {
    network("f", 0.75)
}

/// A folder for ledgers.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The files whose names begin so.
    fn named(&self, begin: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        let files = files.map(|file| file.unwrap());
        let files = files.filter(|file| file.file_name().to_string_lossy().starts_with(begin));
        files.map(|file| file.path()).collect()
    }

    /// Merges ledgers of this place.
    fn merge(&self, out: &str, parts: &[&str]) -> recert::Result<Merged> {
        let parts: Vec<PathBuf> = parts.iter().map(|name| self.path(name)).collect();
        job::merge(&self.path(out), &parts, false)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "runs take a shard or none")]
fn shard(number: u32, of: u32) -> Option<Shard> {
    Some(Shard::new(number, of).unwrap())
}

fn config(shard: Option<Shard>) -> CertifyConfig {
    let mut config = CertifyConfig {
        n: 640,
        n0: 20,
        ..CertifyConfig::new(0.25)
    };
    config.run.threads = Some(1);
    config.run.batch = Some(64);
    config.run.shard = shard;
    config
}

fn certify(ledger: &Path, shard: Option<Shard>) {
    certify_as(ledger, &config(shard), &data(), &f());
}

fn certify_as(ledger: &Path, config: &CertifyConfig, data: &Data, network: &Network) {
    let job = job::certify(ledger, config, data, network).unwrap();
    assert_eq!(job.run(&mut |_: Event<'_>| ()).unwrap(), Outcome::Finished);
}

fn predict(ledger: &Path, shard: Option<Shard>) {
    let mut config = PredictConfig {
        n: 90,
        ..PredictConfig::new(0.25)
    };
    config.run.threads = Some(1);
    config.run.shard = shard;
    let (data, network) = (data(), f());
    let job = job::predict(ledger, &config, &data, &network).unwrap();
    assert_eq!(job.run(&mut |_: Event<'_>| ()).unwrap(), Outcome::Finished);
}

/// How to recertify, and which networks.
#[derive(Clone)]
struct Again {
    config: RecertifyConfig,
    networks: Vec<(&'static str, f32)>,
}

impl Again {
    fn new(networks: &[(&'static str, f32)], config: RecertifyConfig) -> Self {
        Self {
            config,
            networks: networks.to_vec(),
        }
    }

    /// Recertifies from `ledger`, into `own` if that is another one.
    fn run(&self, ledger: &Path, own: &Path, shard: Option<Shard>) {
        let mut config = self.config.clone();
        config.run.threads = Some(1);
        config.run.batch = Some(64);
        config.run.shard = shard;
        let networks = self.networks.iter();
        let networks: Vec<Network> = networks
            .map(|(name, limit)| network(name, *limit))
            .collect();
        let data = data();
        let mut recertification = Recertification::open(ledger, &config, networks.len()).unwrap();
        if own != ledger {
            recertification = recertification.into_copy(own, &data, &networks).unwrap();
        }
        let job = recertification.job(&data, &networks).unwrap();
        assert_eq!(job.run(&mut |_: Event<'_>| ()).unwrap(), Outcome::Finished);
    }
}

/// Everything in a ledger but times, numbers that the file gives to rows, and the journal.
fn held(path: &Path) -> BTreeMap<String, String> {
    let ledger = Ledger::open_read_only(path).unwrap();
    let mut all = BTreeMap::new();
    let header = recert::ledger::Header {
        data: String::new(),
        ..ledger.header().clone()
    };
    all.insert("header".to_owned(), format!("{header:?}"));
    let inputs = ledger.inputs().unwrap();
    for input in &inputs {
        all.insert(format!("input {}", input.idx), format!("{input:?}"));
    }
    for (id, network) in ledger.networks().unwrap() {
        let file = &network.file;
        all.insert(format!("network {file}"), format!("{network:?}"));
        for input in &inputs {
            let mut selection = ledger.selection(id, input.idx).unwrap();
            if let Some(selection) = &mut selection {
                selection.micros = 0;
            }
            all.insert(
                format!("selection {file} {}", input.idx),
                format!("{selection:?}"),
            );
            for stream in 0..4 {
                let series = recert::ledger::Series {
                    network: id,
                    idx: input.idx,
                    stream: recert::ledger::Stream(stream),
                };
                let ranges = ledger.answered(series).unwrap();
                let codes = ranges.iter().map(|range| {
                    (
                        range.clone(),
                        ledger.answers_in(series, range.clone()).unwrap().0,
                    )
                });
                let codes: Vec<_> = codes.collect();
                all.insert(
                    format!("answers {file} {} {stream}", input.idx),
                    format!("{codes:?}"),
                );
            }
        }
        for mut certificate in ledger.certificates(id).unwrap() {
            certificate.micros = 0;
            let claim = &certificate.claim;
            let key = format!("certificate {file} {claim:?} {}", certificate.idx);
            all.insert(key, format!("{certificate:?}"));
        }
    }
    for (id, network, verification) in ledger.verifications().unwrap() {
        for mut result in ledger.results(id).unwrap() {
            result.micros = 0;
            let key = format!("result {network:?} {verification:?} {:?}", result.idx);
            all.insert(key, format!("{result:?}"));
        }
    }
    all
}

/// The rows of answers as they are stored, but for their times and the networks' numbers.
fn rows(path: &Path) -> Vec<String> {
    use recert::ledger::raw::Table;
    let ledger = Ledger::open_read_only(path).unwrap();
    let files: BTreeMap<String, String> = (ledger.raw_rows(Table::Network).unwrap().iter())
        .map(|row| (row.get("id").to_string(), row.get("file").to_string()))
        .collect();
    let mut all = Vec::new();
    for (table, columns) in [
        (
            Table::Answers,
            &["idx", "stream", "first", "copies", "classes", "margins"][..],
        ),
        (
            Table::Chosen,
            &[
                "idx", "stream", "first", "last", "copies", "numbers", "classes",
            ],
        ),
    ] {
        for row in ledger.raw_rows(table).unwrap() {
            let values: Vec<_> = columns
                .iter()
                .map(|column| format!("{:?}", row.get(column)))
                .collect();
            all.push(format!(
                "{table:?} {} {values:?}",
                files[&row.get("network").to_string()]
            ));
        }
    }
    all.sort();
    all
}

/// Passes the check with nothing missing, and has all that the whole run has.
#[track_caller]
fn is_the_whole(merged: &Path, whole: &Path) {
    let (found, expected) = (held(merged), held(whole));
    for (key, value) in &expected {
        assert_eq!(found.get(key), Some(value), "{key}");
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(rows(merged), rows(whole));
    let report = recert_check::check(merged).unwrap();
    assert!(report.is_clean(), "{:#?}", report.violations);
    // A closure is compared with no reference, in one run as in several.
    let missing: Vec<String> = report.missing().map(ToString::to_string).collect();
    let reference = recert_check::check(whole).unwrap();
    let of_whole: Vec<String> = reference.missing().map(ToString::to_string).collect();
    assert_eq!(missing, of_whole);
}

/// Runs all shards of something, each into a ledger of its own.
fn shards(place: &Place, of: u32, name: &str, run: &dyn Fn(&Path, Option<Shard>)) -> Vec<String> {
    let file = |number: u32| format!("{name}-{number}-of-{of}.recert");
    // The last one first: nothing depends on it.
    for number in (1..=of).rev() {
        run(&place.path(&file(number)), shard(number, of));
    }
    (1..=of).map(file).collect()
}

#[test]
fn a_run_from_scratch_in_shards_is_the_whole_run() {
    type Run = fn(&Path, Option<Shard>);
    let until: Run = |ledger, shard| {
        let config = CertifyConfig {
            until_radius: Some(0.2),
            ..config(shard)
        };
        certify_as(ledger, &config, &data(), &f());
    };
    let subset: Run = |ledger, shard| {
        let mut config = config(shard);
        (
            config.subset.every,
            config.subset.offset,
            config.subset.limit,
        ) = (2, 1, Some(7));
        certify_as(ledger, &config, &data(), &f());
    };
    let runs: [(&str, Run, &[u32]); 4] = [
        ("certify", certify, &[1, 2, 3, 16]),
        ("predict", predict, &[2, 16]),
        ("until", until, &[3]),
        ("subset", subset, &[3]),
    ];
    for (name, run, divisions) in runs {
        let place = Place::new();
        let whole = place.path("whole.recert");
        run(&whole, None);
        for &of in divisions {
            let parts = shards(&place, of, name, &run);
            let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            for round in 0..2 {
                let out = format!("{name}-{of}-{round}.recert");
                let merged = place.merge(&out, &parts).unwrap();
                assert!(merged.lacking.is_empty());
                is_the_whole(&place.path(&out), &whole);
                parts.reverse();
            }
        }
    }
}

/// A shard that is left out is missing, whatever was certified in the ledger afterwards.
#[test]
fn other_inputs_do_not_stand_for_a_shard_that_is_left_out() {
    let place = Place::new();
    let ledger = place.path("a.recert");
    certify(&ledger, shard(1, 3));
    let mut few = config(None);
    few.subset.limit = Some(1);
    certify_as(&ledger, &few, &data(), &f());
    let report = recert_check::check(&ledger).unwrap();
    assert!(report.is_clean(), "{:#?}", report.violations);
    let missing: Vec<String> = report.missing().map(ToString::to_string).collect();
    assert!(
        missing.iter().any(|words| words.contains("11 of the 17")),
        "{missing:?}"
    );
}

#[test]
fn merging_in_steps_and_merging_again_changes_nothing() {
    let place = Place::new();
    certify(&place.path("whole.recert"), None);
    let parts = shards(&place, 5, "part", &certify);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // Some together, then with others; and one of them twice.
    let partial = |out: &str, parts: &[&str]| {
        let parts: Vec<PathBuf> = parts.iter().map(|name| place.path(name)).collect();
        job::merge(&place.path(out), &parts, true).unwrap()
    };
    let merged = partial("a.recert", &parts[1..3]);
    let missing = "certify of f: shards 1/5, 4/5 and 5/5 are missing: 10 of 17 inputs";
    assert_eq!(merged.lacking, [missing]);
    partial("b.recert", &[parts[4], parts[2], parts[0]]);
    place
        .merge("all.recert", &["b.recert", "a.recert", parts[3]])
        .unwrap();
    is_the_whole(&place.path("all.recert"), &place.path("whole.recert"));
    // Of merged ledgers that have no shard in common.
    partial("c.recert", &parts[..2]);
    partial("d.recert", &parts[2..4]);
    place
        .merge("e.recert", &["c.recert", "d.recert", parts[4]])
        .unwrap();
    is_the_whole(&place.path("e.recert"), &place.path("whole.recert"));
    // Into a ledger that is there, until it has all.
    partial("grown.recert", &parts[..1]);
    partial("grown.recert", &parts[3..]);
    place.merge("grown.recert", &parts[1..3]).unwrap();
    is_the_whole(&place.path("grown.recert"), &place.path("whole.recert"));
    let before = std::fs::read(place.path("grown.recert")).unwrap();
    let again = place.merge("grown.recert", &parts).unwrap();
    assert!(!again.totals.changed);
    let journal = |bytes: &[u8]| bytes.len();
    assert_eq!(
        journal(&std::fs::read(place.path("grown.recert")).unwrap()),
        journal(&before)
    );
    // The time of every run counts once, however often its ledger is merged.
    let ended = |name: &str| {
        let journal = Ledger::open_read_only(&place.path(name))
            .unwrap()
            .journal()
            .unwrap();
        let ended = journal
            .iter()
            .filter(|entry| matches!(entry.event, JournalEvent::Ended { .. }));
        ended.count()
    };
    assert_eq!([ended("all.recert"), ended("grown.recert")], [5, 5]);
}

/// Stops once three inputs are concluded, which it counts.
struct Stop<'a>(&'a mut usize);

impl job::Events for Stop<'_> {
    fn event(&mut self, event: Event<'_>) {
        *self.0 += usize::from(matches!(event, Event::Concluded { .. }));
    }
    fn stop(&self) -> bool {
        *self.0 >= 3
    }
}

#[test]
fn a_shard_is_continued_by_any_other_division() {
    let place = Place::new();
    certify(&place.path("whole.recert"), None);
    let path = |name: &str| place.path(name);
    // Three of sixteen, then all.
    certify(&path("a.recert"), shard(3, 16));
    certify(&path("a.recert"), None);
    is_the_whole(&path("a.recert"), &path("whole.recert"));
    // A shard that stops, and is continued in another division; one of four; and what is left.
    let mut rows = 0;
    let (data, network) = (data(), f());
    let job = job::certify(&path("b.recert"), &config(shard(1, 2)), &data, &network).unwrap();
    let outcome = job.run(&mut Stop(&mut rows)).unwrap();
    assert_eq!(outcome, Outcome::Stopped);
    let error = place.merge("m.recert", &["b.recert"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("shard 2/2 is missing, shard 1/2 lacks"),
        "{error}"
    );
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Input, Some(Field::Partial))
    );
    assert!(!path("m.recert").exists());
    certify(&path("b.recert"), shard(1, 3));
    certify(&path("c.recert"), shard(2, 4));
    certify(&path("d.recert"), shard(2, 2));
    let partial = job::merge(
        &path("m.recert"),
        &[path("b.recert"), path("d.recert")],
        true,
    )
    .unwrap();
    assert!(!partial.lacking.is_empty());
    certify(&path("m.recert"), None);
    place.merge("m.recert", &["c.recert"]).unwrap();
    is_the_whole(&path("m.recert"), &path("whole.recert"));
}

#[test]
fn a_recertification_in_shards_is_the_whole_one() {
    let place = Place::new();
    let parts = shards(&place, 3, "f", &certify);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.merge("f.recert", &parts).unwrap();
    let base = place.path("f.recert");
    let auto = |goal| RecertifyConfig {
        goal,
        ..RecertifyConfig::default()
    };
    let budget = |text: &str| Goal::Budget(vec![text.parse().unwrap()]);
    let one = [("h", 0.76)];
    let two = [("h", 0.76), ("g", 0.72)];
    let cases = [
        (
            "budget",
            Again::new(&one, auto(budget("20%"))),
            &[1, 2, 16][..],
        ),
        ("two", Again::new(&two, auto(budget("15%"))), &[3]),
        (
            "target",
            Again::new(&one, auto(Goal::AverageRadius(0.1))),
            &[2],
        ),
        ("until", Again::new(&one, auto(Goal::Radius(0.1))), &[3]),
        (
            "methods",
            Again::new(
                &one,
                RecertifyConfig {
                    methods: vec![Method::Irs, Method::Direct, Method::Auto],
                    n_p: vec!["10%".parse().unwrap(), "25%".parse().unwrap()],
                    ..RecertifyConfig::default()
                },
            ),
            &[4],
        ),
    ];
    for (name, again, divisions) in cases {
        let whole = place.path(&format!("{name}.recert"));
        again.run(&base, &whole, None);
        for &of in divisions {
            let run = |own: &Path, shard: Option<Shard>| again.run(&base, own, shard);
            let parts = shards(&place, of, name, &run);
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let out = format!("{name}-{of}.recert");
            // In two steps, the last ones first; and into the original's ledger or a new one.
            let last: Vec<PathBuf> = parts[1..].iter().map(|name| place.path(name)).collect();
            if !last.is_empty() {
                job::merge(&place.path(&out), &last, true).unwrap();
            }
            place.merge(&out, &parts[..1]).unwrap();
            is_the_whole(&place.path(&out), &whole);
            std::fs::copy(&base, place.path("into.recert")).unwrap();
            place.merge("into.recert", &parts).unwrap();
            is_the_whole(&place.path("into.recert"), &whole);
            std::fs::remove_file(place.path("into.recert")).unwrap();
        }
    }
    // Another network afterwards, in shards, from the merged ledger: that comes after the first.
    let second = Again::new(&[("late", 0.74)], auto(budget("10%")));
    let base = place.path("budget-2.recert");
    let whole = place.path("late.recert");
    second.run(&base, &whole, None);
    let parts = shards(&place, 2, "late", &|own, shard| {
        second.run(&base, own, shard);
    });
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.merge("late-merged.recert", &parts).unwrap();
    is_the_whole(&place.path("late-merged.recert"), &whole);
}

#[test]
fn certify_and_a_method_without_a_plan_share_a_ledger_in_each_shard() {
    let place = Place::new();
    let again = Again::new(
        &[("h", 0.76)],
        RecertifyConfig {
            methods: vec![Method::Irs],
            n_p: vec!["20%".parse().unwrap()],
            ..RecertifyConfig::default()
        },
    );
    let whole = place.path("whole.recert");
    certify(&whole, None);
    again.run(&whole, &whole, None);
    // Each certifies its shard and recertifies what it has; nothing depends on other inputs.
    let both = |own: &Path, shard: Option<Shard>| {
        certify(own, shard);
        again.run(own, own, None);
    };
    let parts = shards(&place, 3, "both", &both);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.merge("merged.recert", &parts).unwrap();
    is_the_whole(&place.path("merged.recert"), &whole);
}

/// Ledgers that overlap: whichever answers are kept, the times of certificates are those of them.
#[test]
fn ledgers_that_have_the_same_answers_are_merged_with_one_time() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    certify(&path("f.recert"), None);
    let by = |method, n_p: &str| {
        let config = RecertifyConfig {
            methods: vec![method],
            n_p: vec![n_p.parse().unwrap()],
            ..RecertifyConfig::default()
        };
        Again::new(&[("h", 0.76)], config)
    };
    // The same samples, another method; more samples; and others than those.
    let runs = [
        ("irs.recert", by(Method::Irs, "10%")),
        ("direct.recert", by(Method::Direct, "10%")),
        ("loss.recert", by(Method::Loss, "20%")),
        ("auto.recert", by(Method::Auto, "12%")),
    ];
    for (name, again) in &runs {
        again.run(&path("f.recert"), &path(name), None);
        again.run(&path("f.recert"), &path("whole.recert"), None);
    }
    // Certified once more, by another process.
    certify(&path("g.recert"), None);
    let names: Vec<&str> = runs.iter().map(|(name, _)| *name).collect();
    let mut all = [&names[..], &["g.recert"]].concat();
    for round in 0..2 {
        let out = format!("{round}.recert");
        place.merge(&out, &all).unwrap();
        assert_eq!(held(&path(&out)), held(&path("whole.recert")));
        all.reverse();
        for name in &all {
            place.merge("grown.recert", &[name]).unwrap();
        }
        assert_eq!(held(&path("grown.recert")), held(&path("whole.recert")));
        std::fs::remove_file(path("grown.recert")).unwrap();
    }
}

/// Verifies some of the demo's images.
fn verify(ledger: &Path, shard: Option<Shard>, norm: Norm, (data, network): (&Data, &Network)) {
    let mut config = VerifyConfig::default();
    (config.subset.limit, config.run.threads, config.run.shard) = (Some(4), Some(1), shard);
    config.method = VerifyMethod::Crown;
    let eps = match norm {
        Norm::Linf => "1/2550",
        Norm::L2 => "1/100",
    };
    let near = (norm, &eps.parse().unwrap());
    let job = job::verify(Some(ledger), &config, near, data, network).unwrap();
    assert_eq!(job.run(&mut |_: Event<'_>| ()).unwrap(), Outcome::Finished);
}

#[test]
fn a_verification_in_shards_is_the_whole_one() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
    let data = Data::open(&DataConfig {
        data: format!("npz:{demo}/shapes-test.npz"),
        options: DataOptions::default(),
    })
    .unwrap();
    let engine = NetworkConfig {
        engine: Some("direct".into()),
        ..NetworkConfig::default()
    };
    let file = format!("{demo}/shapes.onnx");
    let network = Network::open(file.as_ref(), &engine, data.shape()).unwrap();
    for (name, norm) in [("linf", Norm::Linf), ("l2", Norm::L2)] {
        let run = |own: &Path, shard: Option<Shard>| verify(own, shard, norm, (&data, &network));
        run(&path("whole.recert"), None);
        let parts = shards(&place, 3, name, &run);
        let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        parts.rotate_left(1);
        let error = place
            .merge("none.recert", &parts[1..])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("shard 2/3 is missing: 1 of 4 inputs"),
            "{error}"
        );
        // Both verifications in one ledger, as in the whole one.
        place.merge("merged.recert", &parts).unwrap();
        is_the_whole(&path("merged.recert"), &path("whole.recert"));
    }
}

#[test]
fn what_does_not_belong_together_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    certify(&path("1.recert"), shard(1, 2));
    let half = shard(2, 2);
    certify(&path("2.recert"), half);
    let with = |name: &str, change: &dyn Fn(&mut CertifyConfig)| {
        let mut config = config(half);
        change(&mut config);
        certify_as(&path(name), &config, &data(), &f());
    };
    with("sigma.recert", &|config| config.sigma = 0.3);
    with("n.recert", &|config| config.n = 650);
    with("alpha.recert", &|config| config.alpha = 0.01);
    with("seed.recert", &|config| config.seed = 7);
    certify_as(
        &path("network.recert"),
        &config(half),
        &data(),
        &network("other", 0.75),
    );
    // The same position, another image.
    certify_as(&path("data.recert"), &config(None), &grey_data(0.12), &f());
    predict(&path("predict.recert"), half);
    // The same name, another function: what a network that changed in between answers.
    certify_as(
        &path("answers.recert"),
        &config(None),
        &data(),
        &network("f", 0.7),
    );
    std::fs::copy(path("2.recert"), path("removed.recert")).unwrap();
    job::forget(&path("removed.recert"), None, Some("certify")).unwrap();
    std::fs::write(path("none.recert"), "no ledger").unwrap();
    for (part, kind, words) in [
        (
            "sigma.recert",
            ErrorKind::Ledger,
            &["sigma: 0.25 in", "0.3 here"][..],
        ),
        ("n.recert", ErrorKind::Ledger, &["n: 640 in", "650 here"]),
        (
            "alpha.recert",
            ErrorKind::Ledger,
            &["alpha: 0.001 in", "0.01 here"],
        ),
        (
            "seed.recert",
            ErrorKind::Ledger,
            &["the seed: 0 in", "7 here"],
        ),
        (
            "network.recert",
            ErrorKind::Ledger,
            &["different runs", "SHA-256"],
        ),
        (
            "data.recert",
            ErrorKind::Ledger,
            &["belongs to other data", "input 0"],
        ),
        ("predict.recert", ErrorKind::Ledger, &["task: certify in"]),
        (
            "answers.recert",
            ErrorKind::Input,
            &[
                "contradicts",
                "input",
                "there",
                "here",
                "runs the networks again",
            ],
        ),
        (
            "removed.recert",
            ErrorKind::Ledger,
            &["removed from one of them alone"],
        ),
        ("none.recert", ErrorKind::Input, &["is not a recert ledger"]),
        (
            "missing.recert",
            ErrorKind::Input,
            &["there is no such file"],
        ),
    ] {
        let error = place.merge("out.recert", &["1.recert", part]).unwrap_err();
        let said = error.to_string();
        for word in words {
            assert!(said.contains(word), "{part}: {said}");
        }
        assert!(said.contains(part) || part == "answers.recert", "{said}");
        assert_eq!(error.kind(), kind, "{said}");
        assert!(place.named("out").is_empty(), "{part} leaves a file");
    }
    // A ledger that is there stays as it is.
    std::fs::copy(path("1.recert"), path("out.recert")).unwrap();
    let before = std::fs::read(path("out.recert")).unwrap();
    for part in ["seed.recert", "answers.recert"] {
        place.merge("out.recert", &[part]).unwrap_err();
        assert_eq!(std::fs::read(path("out.recert")).unwrap(), before);
    }
}

/// A shard without inputs, and a plan that is made of all inputs.
#[test]
fn what_shards_cannot_be_is_refused() {
    let place = Place::new();
    let ledger = place.path("x.recert");
    let (data, f) = (data(), f());
    let error = job::certify(&ledger, &config(shard(18, 20)), &data, &f)
        .err()
        .unwrap();
    assert_eq!(error.field(), Some(Field::Shard));
    assert!(
        error
            .to_string()
            .contains("has no input: the run is over 17"),
        "{error}"
    );
    let slow = network("slow", 0.75);
    let budget = "5%".parse().unwrap();
    let error = job::certify_via(&ledger, &config(shard(2, 2)), budget, &data, &f, &slow);
    assert_eq!(error.err().unwrap().field(), Some(Field::Shard));
}

#[test]
fn a_ledger_that_does_not_pass_the_check_is_not_merged() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    for number in [1, 2] {
        certify(&path(&format!("{number}.recert")), shard(number, 2));
    }
    // A radius, sealed again, and an input that is gone: the merged ledger alone would not show it.
    for change in [
        "UPDATE certificate SET radius = radius * 1.5 WHERE radius > 0",
        "DELETE FROM certificate WHERE idx = 3; DELETE FROM answers WHERE idx = 3;
         DELETE FROM selection WHERE idx = 3; DELETE FROM input WHERE idx = 3",
    ] {
        std::fs::copy(path("2.recert"), path("changed.recert")).unwrap();
        let connection = rusqlite::Connection::open(path("changed.recert")).unwrap();
        connection.execute_batch("DELETE FROM seal").unwrap();
        connection.execute_batch(change).unwrap();
        connection.close().unwrap();
        // Opening and closing seals it.
        Ledger::open(&path("changed.recert"))
            .unwrap()
            .close()
            .unwrap();
        let error = place
            .merge("out.recert", &["1.recert", "changed.recert"])
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("changed.recert: nothing was merged"),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(!path("out.recert").exists());
    }
}

#[test]
fn candidates_have_to_be_named_alike_in_every_shard() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    certify(&path("f.recert"), None);
    let base = path("f.recert");
    let auto = || RecertifyConfig {
        goal: Goal::Budget(vec!["15%".parse().unwrap()]),
        ..RecertifyConfig::default()
    };
    let both = Again::new(&[("h", 0.76), ("g", 0.72)], auto());
    let alone = Again::new(&[("h", 0.76)], auto());
    let late = Again::new(&[("g", 0.72)], auto());
    both.run(&base, &path("1.recert"), shard(1, 2));
    // In the other shard g comes after h ran: it may have been made from its results.
    alone.run(&base, &path("2.recert"), shard(2, 2));
    late.run(&base, &path("2.recert"), shard(2, 2));
    for order in [["1.recert", "2.recert"], ["2.recert", "1.recert"]] {
        let parts = order.map(path);
        let error = job::merge(&path("out.recert"), &parts, true).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("h ran here before g was named") && said.contains("2.recert"),
            "{said}"
        );
        assert_eq!(error.kind(), ErrorKind::Ledger);
    }
    // Runs one by one are no choice: they go together, and the later one stays the later one.
    alone.run(&base, &path("h.recert"), None);
    late.run(&base, &path("g.recert"), None);
    place
        .merge("one-by-one.recert", &["h.recert", "g.recert"])
        .unwrap();
    let report = recert_check::check(&path("one-by-one.recert")).unwrap();
    assert!(report.is_clean(), "{:#?}", report.violations);
    let recertification = Recertification::open(&path("one-by-one.recert"), &auto(), 2).unwrap();
    let networks = [network("h", 0.76), network("g", 0.72)];
    let data = data();
    let error = recertification.job(&data, &networks).err().unwrap();
    assert_eq!(error.field(), Some(Field::Model), "{error}");
}
