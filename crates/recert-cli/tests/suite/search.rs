//! `sensitivity` and `tune`: layers and versions of a certified network, looked at on samples of their own.

use std::path::Path;
use std::sync::OnceLock;

use crate::common::{Place, asset, certify_demo, command, fails, held, ok, with, words};
use recert::net::{Model, weights};
use serde_json::Value;

/// A ledger of the demo network on 12 images under `name`; it is made once.
fn certified(place: &Place, name: &str) -> String {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let place = Place::new();
        let ledger = place.text("base.recert");
        let demo = with(
            &certify_demo(400, 50, 12),
            &["--every", "5", "--ledger", &ledger],
        );
        ok(&demo);
        std::fs::read(ledger).unwrap()
    });
    std::fs::write(place.path(name), bytes).unwrap();
    place.text(name)
}

fn sensitivity(ledger: &str, more: &str) -> Vec<String> {
    let model = asset("shapes.onnx");
    let all = format!("sensitivity {ledger} --model {model} --quiet {more}");
    words(&all)
}

fn layers() -> Vec<String> {
    let model = Model::read(asset("shapes.onnx")).unwrap();
    weights(&model)
        .unwrap()
        .into_iter()
        .map(|w| w.layer)
        .collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_layer_has_its_disagreement_and_fewer_bits_have_more() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let before = std::fs::read(&ledger).unwrap();
    let svg = place.text("layers.svg");
    let calibration = asset("shapes-calibration.npz");
    let asked = sensitivity(
        &ledger,
        &format!("--change int8,int3 --samples 60 --calibration {calibration} --json --svg {svg}"),
    );
    let said = ok(&asked);
    let found = json(&said.stdout);
    assert_eq!(found["schema"], "recert-sensitivity/1");
    assert_eq!(found["inputs"], 12);
    let rows = found["layers"].as_array().unwrap();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["layer"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = layers();
    let each: Vec<&str> = expected
        .iter()
        .flat_map(|name| [name.as_str(); 2])
        .collect();
    assert_eq!(names, each);
    let rate = |row: &Value| row["disagreement"]["estimate"].as_f64().unwrap();
    for row in rows {
        let within = |name: &str| {
            let [low, estimate, high] =
                ["lower", "estimate", "upper"].map(|end| row[name][end].as_f64().unwrap());
            low <= estimate && estimate <= high
        };
        assert_eq!(row["pairs"], 12 * 60);
        assert!(within("disagreement") && within("radius_lost"), "{row}");
    }
    let of = |change: &str| -> f64 {
        rows.iter()
            .filter(|row| row["change"] == change)
            .map(rate)
            .sum()
    };
    assert!(
        of("int3") > of("int8") && of("int3") > 0.02,
        "{} {}",
        of("int3"),
        of("int8")
    );
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    // The certified network's ledger is as it was; the search's has another seed and passes its check.
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    let search = place.text("run.search.recert");
    // Nothing is wrong with it; its certificates are of networks that may be chosen, which a check says.
    let checked = ok(&words(&format!("check {search}")));
    assert!(
        checked.stdout.contains("states no choice"),
        "{}",
        checked.stdout
    );
    let seeds = [&ledger, &search].map(|path| {
        let opened = recert::ledger::Ledger::open_read_only(Path::new(path)).unwrap();
        opened.header().seed
    });
    assert_ne!(seeds[0], seeds[1]);
    // Again: the same, and nothing is computed.
    let answers = held(Path::new(&search));
    assert_eq!(json(&ok(&asked).stdout), found);
    assert_eq!(held(Path::new(&search)), answers);
    // As a table, the layer that loses most first.
    let table = ok(&asked
        .iter()
        .filter(|word| *word != "--json")
        .cloned()
        .collect::<Vec<_>>());
    assert!(table.stdout.contains("radius lost"), "{}", table.stdout);
}

#[test]
fn other_files_and_engines_are_compared_as_wholes_and_recertified_in_one_command() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let half = place.text("half.onnx");
    ok(&words(&format!(
        "approximate {} --bf16 --out {half}",
        asset("shapes.onnx")
    )));
    let base = recert::ledger::Ledger::open_read_only(Path::new(&ledger)).unwrap();
    let other = if base.header().network.engine.name == "rten" {
        "direct"
    } else {
        "rten"
    };
    let said = ok(&sensitivity(
        &ledger,
        &format!("--as {other},{other}/f32 --samples 50 --json"),
    ));
    let found = json(&said.stdout);
    let rows = found["layers"].as_array().unwrap();
    let of = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (of(&rows[0], "layer"), of(&rows[0], "change")),
        ("whole network".into(), other.into())
    );
    // Another engine in float32 hardly disagrees.
    assert!(rows[0]["disagreement"]["estimate"].as_f64().unwrap() < 0.01);
    let files = format!("--versions {half} --samples 50 --change prune50% --json");
    let found = json(&ok(&sensitivity(&ledger, &files)).stdout);
    let rows = found["layers"].as_array().unwrap();
    assert_eq!(rows.len(), layers().len() + 1);
    assert_eq!(of(rows.last().unwrap(), "change"), "half.onnx");
    // Both engines of the file, in one pass, corrected for the choice between them.
    let said = ok(&words(&format!(
        "recertify {ledger} --model {half} --as direct,rten --budget 30%"
    )));
    for engine in ["direct", "rten"] {
        assert!(
            said.stdout.contains(&format!("half.onnx by {engine}")),
            "{}",
            said.stdout
        );
    }
    let held = held(Path::new(&ledger));
    assert_eq!(held.networks.len(), 3);
    assert!(held.networks[1..].iter().all(|n| {
        n.certificates
            .iter()
            .all(|c| c.claim.parameters.among() == 2)
    }));
    let model = asset("shapes.onnx");
    let same = format!(
        "sensitivity {ledger} --model {model} --as {}",
        base.header().network.engine.name
    );
    fails(2, &["--as", "computed as it was"]).check(&words(&same));
    fails(2, &["--as", "half/"]).check(&words(&format!(
        "recertify {ledger} --model {half} --as half/"
    )));
}

#[test]
fn a_search_is_refused_what_it_cannot_look_at() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let other = place.text("other.onnx");
    ok(&words(&format!(
        "approximate {} --bf16 --out {other}",
        asset("shapes.onnx")
    )));
    let cases = [
        ("--change int8", fails(2, &["--calibration"])),
        ("--change int9", fails(2, &["int9", "--change"])),
        ("--change bf16 --samples 0", fails(2, &["--samples"])),
        ("--change bf16 --inputs 0", fails(2, &["--inputs"])),
        ("", fails(2, &["--change"])),
    ];
    for (flags, failure) in cases {
        failure.check(&sensitivity(&ledger, flags));
    }
    let wrong = words(&format!(
        "sensitivity {ledger} --model {other} --change bf16"
    ));
    fails(3, &["other.onnx", "shapes.onnx", "SHA-256"]).check(&wrong);
    // Its own ledger is no place for a search.
    let own = sensitivity(&ledger, &format!("--change bf16 --search {ledger}"));
    fails(2, &["--search", "of its own"]).check(&own);
    assert!(!place.path("run.search.recert").exists());
    // Nor is another ledger of its noise: a copy, or one of fewer samples.
    let copy = place.text("copy.recert");
    std::fs::copy(&ledger, &copy).unwrap();
    let seed = format!("--change bf16 --samples 400 --search {copy}");
    fails(2, &["copy.recert", "seed", "--search"]).check(&sensitivity(&ledger, &seed));
    let fewer = place.text("fewer.recert");
    let demo = certify_demo(50, 50, 12);
    ok(&with(&demo, &["--every", "5", "--ledger", &fewer]));
    let seed = format!("--change bf16 --samples 50 --search {fewer}");
    fails(2, &["fewer.recert", "seed"]).check(&sensitivity(&ledger, &seed));
    // Pairs of other inputs are not taken for those of these.
    ok(&sensitivity(
        &ledger,
        "--change prune50% --samples 20 --inputs 4",
    ));
    let said = ok(&sensitivity(
        &ledger,
        "--change prune50% --samples 20 --inputs 3 --json",
    ));
    let found = json(&said.stdout);
    assert!(
        found["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["pairs"] == 3 * 20)
    );
}

fn tune(place: &Place, ledger: &str, space: &str, more: &str) -> Vec<String> {
    let file = place.text("space.toml");
    std::fs::write(&file, space).unwrap();
    let (model, out) = (asset("shapes.onnx"), place.text("tuned"));
    let calibration = asset("shapes-calibration.npz");
    words(&format!(
        "tune {ledger} --model {model} --space {file} --calibration {calibration} --out {out} --samples 80 --quiet \
         {more}"
    ))
}

const SPACE: &str = "changes = ['int8', 'int4', 'prune30%+int4']\ncandidates = 12\nchosen = 3\n\
                     least-radius = '60%'\n";

#[test]
fn a_search_certifies_what_it_chooses_and_goes_on_after_a_kill() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let before = std::fs::read(&ledger).unwrap();
    let asked = tune(&place, &ledger, SPACE, "--budget 50% --json");
    // Killed somewhere, and again somewhere later.
    for seconds in [2, 4] {
        let mut child = command(&asked)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_secs(seconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let found = json(&ok(&asked).stdout);
    assert_eq!(found["schema"], "recert-tune/1");
    let networks = found["networks"].as_array().unwrap();
    assert!((6..=12).contains(&networks.len()), "{}", networks.len());
    let costs: Vec<f64> = networks
        .iter()
        .map(|n| n["cost"].as_f64().unwrap())
        .collect();
    assert!(costs.is_sorted() && costs[0] < 0.2 * found["original"][1].as_f64().unwrap());
    let chosen: Vec<&Value> = networks
        .iter()
        .filter(|n| !n["certified"].is_null())
        .collect();
    assert!((1..=3).contains(&chosen.len()), "{found}");
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    let tuned = place.text("tuned/tuned.recert");
    ok(&words(&format!("check --strict {tuned}")));
    // What is reported is what the ledger's certificates say, of files that are there.
    let held = held(Path::new(&tuned));
    for network in &chosen {
        let certified = &network["certified"];
        let file = Path::new(certified["file"].as_str().unwrap());
        assert!(Model::read(file).is_ok());
        let name = file.file_name().unwrap().to_str().unwrap();
        let of = held
            .networks
            .iter()
            .find(|n| n.file == name)
            .expect("it is in the ledger");
        let certificates: Vec<_> = of.certificates.iter().collect();
        assert_eq!(certificates.len(), 12);
        let radii = certificates
            .iter()
            .map(|c| c.class.map_or(0.0, |_| c.radius));
        let mean = radii.sum::<f64>() / 12.0;
        let value = certified["value"].as_f64().unwrap();
        assert!((mean - value).abs() < 1e-12, "{mean} {value}");
        let least = found["constraint"].as_f64().unwrap();
        assert_eq!(certified["meets"].as_bool().unwrap(), value >= least);
        assert!(
            certificates
                .iter()
                .all(|c| c.claim.parameters.among() as usize == chosen.len())
        );
    }
    for file in ["tune.md", "tune.svg", "tune.json"] {
        assert!(place.path("tuned").join(file).is_file(), "{file}");
    }
    // Again: the same answer, from what is there.
    assert_eq!(json(&ok(&asked).stdout), found);
    // Another choice in the same folder is none that was named in advance, and nothing of the first one is lost.
    let files = std::fs::read(place.path("tuned/1.onnx")).unwrap();
    let other = SPACE
        .replace("chosen = 3", "chosen = 1")
        .replace("'60%'", "'99%'");
    let other = tune(&place, &ledger, &other, "--budget 50%");
    let said = crate::common::run(&other);
    let refused = said.code == Some(4) && said.stderr.contains("another search");
    assert!(refused, "{:?} {}", said.code, said.stderr);
    assert_eq!(std::fs::read(place.path("tuned/1.onnx")).unwrap(), files);
    assert!(json(&std::fs::read_to_string(place.path("tuned/tune.json")).unwrap()) == found);
}

#[test]
fn networks_from_elsewhere_are_looked_at_and_other_ledgers_refused() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    std::fs::create_dir(place.path("made")).unwrap();
    for flags in ["--bf16", "--prune 50%"] {
        ok(&words(&format!(
            "approximate {} {flags} --out {}",
            asset("shapes.onnx"),
            place.text("made")
        )));
    }
    let space = "networks = ['made']\nat-radius = 0.3\nleast-certified = '1%'\ncost = 'latency'\n";
    let said = ok(&tune(&place, &ledger, space, "--budget 50%"));
    for name in ["shapes.bf16", "shapes.prune50"] {
        assert!(said.stdout.contains(name), "{}", said.stdout);
    }
    assert!(
        said.stdout.contains("share certified at radius 0.3"),
        "{}",
        said.stdout
    );
    // A ledger in which another network has run: no choice among several can be stated.
    let half = place.text("made/shapes.bf16.onnx");
    ok(&words(&format!(
        "recertify {ledger} --model {half} --budget 20% --quiet"
    )));
    std::fs::remove_dir_all(place.path("tuned")).unwrap();
    let asked = tune(&place, &ledger, space, "");
    fails(4, &["shapes.bf16.onnx", "fresh seed", "chosen = 1"]).check(&with(&asked, &[]));
    let space = format!("{space}chosen = 1\n");
    ok(&tune(&place, &ledger, &space, "--budget 50%"));
}

#[test]
fn mistakes_in_a_search_space_are_named() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let cases = [
        ("changes = ['int1']", "int1"),
        ("changes = ['int8']\nkeep = ['nowhere']", "nowhere"),
        ("changes = ['int8']\nspeed = 1", "speed"),
        ("networks = ['none.onnx']", "none.onnx"),
        ("networks = []", "changes ="),
        ("changes = [", "space.toml"),
    ];
    for (space, says) in cases {
        let said = crate::common::run(&tune(&place, &ledger, space, ""));
        assert!(matches!(said.code, Some(2 | 3)), "{space}: {}", said.stderr);
        assert!(said.stderr.contains(says), "{space}: {}", said.stderr);
    }
}
