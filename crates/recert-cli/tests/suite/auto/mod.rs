//! `recertify` where the codes say it pays: what it spends, what it reuses, how
//! little it depends on how it is run, and what its certificates rest on.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::common::recount::recount;
use crate::common::{
    self, Place, Said, asset, certify_demo, evaluations, held, ok, rows, run, with,
};
use recert::ledger::Certificate;
use serde_json::Value;

mod plan;
mod via;

const N: u64 = 600;
const N0: u64 = 50;
const INPUTS: u64 = 12;
const WHOLE: u64 = N * INPUTS;

/// `certify` of twelve demo images, without the ledger.
fn certify() -> Vec<String> {
    let words = certify_demo(N as u32, N0 as u32, INPUTS as u32);
    with(&words, &["--every", "7"])
}

/// Writes a ledger of the demo network under `name`; it is made once.
fn base(place: &Place, name: &str) -> String {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let place = Place::new();
        let ledger = place.text("base.recert");
        ok(&with(&certify(), &["--ledger", &ledger]));
        std::fs::read(ledger).unwrap()
    });
    std::fs::write(place.path(name), bytes).unwrap();
    place.text(name)
}

/// Writes the int8 version of the demo network; it is made once.
fn int8(place: &Place) -> String {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let place = Place::new();
        let calibration = asset("shapes-calibration.npz");
        let how = ["--int8", "--calibration", &calibration, "--sigma", "0.5"];
        std::fs::read(approximate(&place, "int8", &how)).unwrap()
    });
    std::fs::write(place.path("int8.onnx"), bytes).unwrap();
    place.text("int8.onnx")
}

/// Writes a version of the demo network.
fn approximate(place: &Place, name: &str, how: &[&str]) -> String {
    let network = place.text(&format!("{name}.onnx"));
    let words = ["approximate", &asset("shapes.onnx"), "--out", &network];
    ok(&with(&with(&[], &words), how));
    network
}

fn recertify(ledger: &str, network: &str, flags: &[&str]) -> Vec<String> {
    with(
        &with(&[], &["recertify", ledger, "--model", network]),
        flags,
    )
}

/// The certificates of the network recertified, by claim and input.
fn certificates(place: &Place, name: &str) -> BTreeMap<(String, u32), Certificate> {
    let held = held(&place.path(name));
    let all = held.networks[1..].iter();
    let all = all.flat_map(|network| network.certificates.iter().map(move |c| (network, c)));
    let all = all.map(|(network, c)| {
        let claim = (&network.file, &c.claim.statement, &c.claim.parameters);
        ((format!("{claim:?} {}", c.claim.samples), c.idx), c.clone())
    });
    all.collect()
}

/// The samples that the network recertified has answered.
fn answered(place: &Place, name: &str) -> u64 {
    let held = held(&place.path(name));
    let inputs = held.inputs.iter();
    inputs
        .map(|input| held.networks[1].answered_of(input.idx))
        .sum()
}

fn mean_radius(said: &Said) -> f64 {
    let rows = rows(&said.stdout);
    rows.iter().map(|row| row.radius).sum::<f64>() / rows.len() as f64
}

#[test]
fn a_budget_is_kept_and_paid_for_once() {
    let place = Place::new();
    let int8 = int8(&place);
    for (budget, most) in [
        ("1%", WHOLE / 100),
        ("5%", WHOLE / 20),
        ("500", 500),
        ("30%", 3 * WHOLE / 10),
    ] {
        let ledger = base(&place, "run.recert");
        let words = recertify(&ledger, &int8, &["--budget", budget]);
        let said = ok(&words);
        let made = evaluations(&said);
        assert!(made <= most, "{made} of {most}");
        // What is worth nothing is left out, but not most of it.
        assert!(made > most / 2, "{made} of {most}");
        let kept = held(&place.path("run.recert"));
        let all = &kept.networks[1].certificates;
        assert_eq!(all.len() as u64, INPUTS);
        assert_eq!(all.iter().map(|c| c.evaluations).sum::<u64>(), made);
        for certificate in all {
            assert_eq!(certificate.claim.method(), "auto");
            assert_eq!(certificate.claim.samples, most / INPUTS);
            assert_eq!(certificate.claim.alpha, 0.002);
            let answered = kept.networks[1].answered_of(certificate.idx);
            assert_eq!(certificate.evaluations, answered, "{certificate:?}");
        }
        let again = ok(&words);
        assert_eq!(evaluations(&again), 0);
        assert_eq!(rows(&again.stdout), rows(&said.stdout));
        assert_eq!(held(&place.path("run.recert")), kept);
    }
}

#[test]
fn budgets_share_their_samples_and_do_not_depend_on_each_other() {
    let place = Place::new();
    let int8 = int8(&place);
    let spend = |name: &str, budget: &str| {
        let said = ok(&recertify(&place.text(name), &int8, &["--budget", budget]));
        evaluations(&said)
    };
    base(&place, "apart.recert");
    let little = spend("apart.recert", "2%");
    let first = certificates(&place, "apart.recert");
    let more = spend("apart.recert", "15%");
    assert!(little > 0 && more > 0);
    let apart = certificates(&place, "apart.recert");
    assert_eq!(apart.len() as u64, 2 * INPUTS);
    assert!(first.iter().all(|(key, c)| apart.get(key) == Some(c)));
    assert_eq!(answered(&place, "apart.recert"), little + more);
    // The samples of the smaller budget are among what the larger one stands on.
    let spent: u64 = apart.values().map(|c| c.evaluations).sum();
    assert!(little + more < spent, "{little} + {more}, {spent}");
    base(&place, "alone.recert");
    assert!(spend("alone.recert", "15%") > more);

    for (name, budgets) in [
        ("together.recert", &["15%,2%"][..]),
        ("reversed.recert", &["15%", "2%"]),
    ] {
        base(&place, name);
        let made: u64 = budgets.iter().map(|budget| spend(name, budget)).sum();
        let said = ok(&recertify(&place.text(name), &int8, &["--budget", "2%"]));
        let said = said.stderr;
        assert!(
            said.contains("each of the 2 certificates of an input holds by itself"),
            "{said}"
        );
        assert_eq!(made, little + more, "{name}");
        assert_eq!(certificates(&place, name), apart, "{name}");
    }

    // By n_p, which means the same an input.
    base(&place, "n_p.recert");
    ok(&recertify(
        &place.text("n_p.recert"),
        &int8,
        &["--n-p", "2%,15%"],
    ));
    assert_eq!(certificates(&place, "n_p.recert"), apart);

    // Both sides or one: claims of their own.
    let said = ok(&recertify(
        &place.text("apart.recert"),
        &int8,
        &["--budget", "15%", "--one-sided"],
    ));
    assert!(evaluations(&said) < more);
    let both = certificates(&place, "apart.recert");
    assert!(apart.iter().all(|(key, c)| both.get(key) == Some(c)));
}

#[test]
fn other_inputs_make_another_claim() {
    let place = Place::new();
    let int8 = int8(&place);
    base(&place, "run.recert");
    let ledger = place.text("run.recert");
    for limit in ["5", "12"] {
        ok(&recertify(
            &ledger,
            &int8,
            &["--budget", "300", "--limit", limit],
        ));
    }
    // The five of the first list are still there beside the twelve of the second.
    assert_eq!(certificates(&place, "run.recert").len(), 5 + 12);
    ok(&with(&[], &["check", &ledger]));
}

#[test]
fn certificates_do_not_depend_on_batch_or_threads() {
    let place = Place::new();
    let pruned = approximate(&place, "pruned", &["--prune", "20%"]);
    let mut first = None;
    for (threads, batch) in [("1", "64"), ("2", "64"), ("1", "7"), ("2", "1")] {
        let ledger = base(&place, "run.recert");
        let how = ["--budget", "1%,6%", "--threads", threads, "--batch", batch];
        let said = ok(&recertify(&ledger, &pruned, &how));
        let this = (held(&place.path("run.recert")), rows(&said.stdout));
        match &first {
            None => first = Some(this),
            Some(first) => assert!(*first == this, "{threads} threads, batch {batch}"),
        }
    }
}

/// The lines of a plan, as JSON.

#[test]
fn candidates_share_the_error_and_say_so() {
    let place = Place::new();
    let int8 = int8(&place);
    let pruned = approximate(&place, "pruned", &["--prune", "20%"]);
    let pair = base(&place, "pair.recert");
    let said = ok(&recertify(
        &pair,
        &int8,
        &["--model", &pruned, "--budget", "5%"],
    ));
    assert_eq!(said.stdout.lines().count() as u64, 2 * INPUTS + 1);
    let all = certificates(&place, "pair.recert");
    assert_eq!(all.len() as u64, 2 * INPUTS);
    for certificate in all.values() {
        let claim = &certificate.claim;
        let parameters: Value = serde_json::from_str(&claim.parameters.to_json()).unwrap();
        let number = |name: &str| parameters[name].as_f64().unwrap();
        assert_eq!(number("among"), 2.0);
        let whole = 2.0 * (number("alpha_f") + number("alpha_h"));
        // The sum itself is rounded by less than this.
        assert!(whole <= claim.alpha * (1.0 + 1e-15), "{whole}");
        assert!(whole > 0.999 * claim.alpha, "{whole}");
        assert!(
            claim.statement.as_str().contains("chosen among 2"),
            "{}",
            claim.statement.as_str()
        );
    }
    // One after the other, each said to be one of two: the second may have been made from the
    // results of the first.
    base(&place, "apart.recert");
    let ledger = place.text("apart.recert");
    let flags = ["--among", "2", "--budget", "5%"];
    ok(&recertify(&ledger, &int8, &flags));
    common::fails(
        2,
        &[
            "--model",
            "first named",
            "had been run on these samples",
            "fresh seed",
        ],
    )
    .check(&recertify(&ledger, &pruned, &flags));
    let first = certificates(&place, "apart.recert");
    assert!(first.iter().all(|(key, c)| all.get(key) == Some(c)));

    // Named in advance, the same samples prove more, in a claim of its own.
    let ledger = base(&place, "alone.recert");
    ok(&recertify(&ledger, &int8, &["--budget", "5%"]));
    let alone = certificates(&place, "alone.recert");
    assert!(alone.keys().all(|key| !all.contains_key(key)));
    let radii = |all: &BTreeMap<(String, u32), Certificate>| {
        let of = all
            .iter()
            .filter(|((claim, _), _)| claim.contains("int8.onnx"));
        of.map(|(_, c)| c.radius).sum::<f64>()
    };
    assert!(radii(&alone) > radii(&all));
    let said = ok(&with(&[], &["report", &pair])).stdout;
    assert!(said.contains("chosen among 2"), "{said}");
}

#[test]
fn certificates_follow_from_the_answers_in_the_ledger() {
    let place = Place::new();
    let ledger = base(&place, "run.recert");
    let int8 = int8(&place);
    let much = approximate(&place, "pruned", &["--prune", "40%"]);
    // Before any other modified network has run.
    ok(&recertify(
        &ledger,
        &int8,
        &["--among", "3", "--alpha", "0.05"],
    ));
    for network in [&int8, &much] {
        ok(&recertify(&ledger, network, &["--budget", "1%,5%,40%"]));
        ok(&recertify(
            &ledger,
            network,
            &["--budget", "10%", "--one-sided"],
        ));
    }
    ok(&recertify(&ledger, &int8, &["--target-acr", "0.3"]));
    let bounds = recount(&place.path("run.recert"));
    for bound in ["none", "fresh", "fresh-two-sided", "loss", "tail"] {
        assert!(bounds.contains_key(bound), "{bound} is not in {bounds:?}");
    }
    let all: u64 = bounds.values().sum();
    assert_eq!(all, (2 * 4 + 2) * INPUTS, "{bounds:?}");
}

#[test]
fn wrong_flags_are_named_and_leave_nothing_behind() {
    let place = Place::new();
    let ledger = base(&place, "run.recert");
    let model = asset("shapes.onnx");
    let before = std::fs::read(&ledger).unwrap();
    let over = (WHOLE + 1).to_string();
    let bad: [(&str, &[&str]); 6] = [
        (
            "--budget",
            &["0", "0%", "101%", &over, "x", "-1", "nan%", "5%,0", ""],
        ),
        ("--target-acr", &["-1", "0", "nan", "inf", "x"]),
        ("--until-radius", &["0", "-1", "nan", "inf", "x"]),
        ("--among", &["0", "-1", "x", "4294967295", "4294967296"]),
        ("--n-p", &["0", "601"]),
        ("--alpha", &["0", "0.9", "1", "1e-39", "nan"]),
    ];
    for (flag, values) in bad {
        for value in values {
            let words = recertify(&ledger, &model, &[flag, value]);
            common::fails(2, &[flag]).check(&words);
        }
    }
    let with_model = ["--model", &model];
    let together: [(&[&str], &[&str]); 10] = [
        (
            &["--among", "1", with_model[0], with_model[1]],
            &["--among", "2 candidates"],
        ),
        (
            &["--method", "irs", "--budget", "5%"],
            &["--budget", "the method auto"],
        ),
        (
            &["--method", "irs", "--target-acr", "1"],
            &["--target-acr", "the method auto"],
        ),
        (
            &["--method", "irs", "--until-radius", "1"],
            &["--until-radius", "the method auto"],
        ),
        (
            &["--method", "irs", "--among", "2"],
            &["--among", "the method auto"],
        ),
        (
            &["--method", "irs", "--plan"],
            &["forecast", "the method auto"],
        ),
        (&["--json"], &["--plan"]),
        (
            &["--budget", "5%", "--target-acr", "1"],
            &["--budget", "--target-acr"],
        ),
        (
            &["--budget", "5%", "--until-radius", "1"],
            &["--budget", "--until-radius"],
        ),
        (&["--method", "automatic"], &["--method", "auto"]),
    ];
    for (flags, says) in together {
        common::fails(2, says).check(&recertify(&ledger, &model, flags));
    }
    common::fails(2, &["--model"]).check(&with(&[], &["recertify", &ledger, "--plan"]));
    common::fails(2, &["LEDGER"]).check(&with(&[], &["recertify", "--plan"]));
    // No more than there are inputs to spend on.
    let words = recertify(&ledger, &model, &["--limit", "2", "--budget", "1201"]);
    common::fails(2, &["--budget"]).check(&words);
    // A network of other classes, or of other images.
    let plain = asset("made/plain.onnx");
    common::fails(3, &["plain.onnx"]).check(&recertify(&ledger, &plain, &["--plan"]));
    let words = recertify(&ledger, &model, &["--label-offset", "7"]);
    common::fails(2, &["label 1", "--label-offset"]).check(&words);
    // Not even the seal is taken away.
    assert!(std::fs::read(&ledger).unwrap() == before);
}

#[test]
fn the_first_method_asked_for_need_not_be_the_only_one() {
    let place = Place::new();
    let ledger = base(&place, "run.recert");
    let bf16 = approximate(&place, "bf16", &["--bf16"]);
    let said = run(&recertify(
        &ledger,
        &bf16,
        &["--method", "irs,auto,direct", "--n-p", "5%"],
    ));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let report = ok(&with(&[], &["report", &ledger, "--json"])).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let runs = report["runs"].as_array().unwrap();
    let name = |run: &Value| match run["method"]["name"].as_str() {
        Some(name) => name.to_owned(),
        None => run["method"]["kind"].as_str().unwrap().to_owned(),
    };
    let names: Vec<_> = runs.iter().map(name).collect();
    assert_eq!(names, ["certify", "certify", "irs", "auto"]);
    for run in runs {
        let rows = run["rows"].as_array().unwrap();
        let evaluations = rows.iter().map(|row| row["evaluations"].as_u64().unwrap());
        let mean = evaluations.sum::<u64>() / INPUTS;
        let (n, n0) = (run["n"].as_u64().unwrap(), run["n0"].as_u64().unwrap());
        let original = run["network"] == "shapes.onnx";
        assert_eq!(n0, if original { N0 } else { 0 }, "{}", name(run));
        assert_eq!(n + n0, mean, "{}", name(run));
    }
}
