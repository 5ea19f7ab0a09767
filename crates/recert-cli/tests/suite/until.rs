//! `--until-radius`: every input stops as soon as it may, and what it stops
//! with holds.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::common::recount::recount;
use crate::common::{
    Held, Place, asset, certify_demo, evaluations, fails, held, ok, rows, with, words,
};
use recert::ledger::Certificate;
use rusqlite::Connection;
use serde_json::Value;

const N: u64 = 600;
const N0: u64 = 50;
const INPUTS: u64 = 9;

/// `certify` of nine demo images, some easy and some hard.
fn certify(ledger: &str, more: &[&str]) -> Vec<String> {
    let demo = certify_demo(N as u32, N0 as u32, INPUTS as u32);
    let demo = with(&demo, &["--every", "7", "--ledger", ledger]);
    with(&demo, more)
}

/// Writes a ledger of the demo network under `name`; it is made once.
fn base(place: &Place, name: &str) -> String {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let place = Place::new();
        let ledger = place.text("base.recert");
        ok(&certify(&ledger, &[]));
        std::fs::read(ledger).unwrap()
    });
    std::fs::write(place.path(name), bytes).unwrap();
    place.text(name)
}

fn pruned(place: &Place) -> String {
    let network = place.text("pruned.onnx");
    let model = asset("shapes.onnx");
    let words = ["approximate", &model, "--prune", "10%", "--out", &network];
    ok(&with(&[], &words));
    network
}

fn recertify(ledger: &str, network: &str, flags: &[&str]) -> Vec<String> {
    with(
        &with(&[], &["recertify", ledger, "--model", network]),
        flags,
    )
}

/// The certificates of a network that are of a method, by their input.
fn of<'a>(held: &'a Held, network: usize, method: &str) -> BTreeMap<u32, &'a Certificate> {
    let all = held.networks[network].certificates.iter();
    let all = all.filter(|c| c.claim.method() == method);
    all.map(|c| (c.idx, c)).collect()
}

fn count(certificate: &Certificate, name: &str) -> u64 {
    let counts: Value = serde_json::from_str(&certificate.evidence.to_json()).unwrap();
    counts[name].as_u64().unwrap()
}

#[test]
fn certifying_stops_at_the_radius_or_without_hope() {
    let place = Place::new();
    let from_scratch = base(&place, "whole.recert");
    let from_scratch = held(from_scratch.as_ref());
    let whole = of(&from_scratch, 0, "certify");
    for radius in [0.1, 0.3, 0.5] {
        let name = format!("{radius}.recert");
        let ledger = place.text(&name);
        let text = radius.to_string();
        let words = certify(&ledger, &["--until-radius", &text]);
        let said = ok(&words);
        let made = evaluations(&said);
        assert!(made < INPUTS * (N + N0) * 2 / 3, "{made} for {radius}");
        let kept = held(&place.path(&name));
        let certificates = of(&kept, 0, "until");
        assert_eq!(certificates.len() as u64, INPUTS);
        assert_eq!(
            certificates.values().map(|c| c.evaluations).sum::<u64>(),
            made
        );
        let (mut reached, mut given_up) = (0, 0);
        for (idx, certificate) in &certificates {
            assert_eq!(certificate.bound.as_deref(), Some("mixture"));
            let samples = count(certificate, "n");
            assert_eq!(kept.networks[0].answered_of(*idx), samples);
            let share = count(certificate, "k") as f64 / samples as f64;
            let needed = recert::num::normal_cdf_lower(radius / 0.5).unwrap().get();
            if certificate.radius >= radius {
                reached += 1;
            } else if samples < N {
                given_up += 1;
                // Nor do all samples reach it.
                assert!(share < needed, "{certificate:?}");
                assert!(whole[idx].radius < radius + 0.1, "{certificate:?}");
            }
            // The looks share the samples of a run from scratch.
            let key = (*idx, recert::noise::Stream::Certify.tag());
            let (few, all) = (
                &kept.networks[0].classes[&key],
                &from_scratch.networks[0].classes[&key],
            );
            assert_eq!(few[..], all[..few.len()]);
        }
        assert!(reached > 0, "{radius}");
        assert!(given_up > 0 || radius < 0.2, "{radius}");
        let radii = rows(&said.stdout);
        assert_eq!(radii.len() as u64, INPUTS);
        for row in radii {
            let radius = certificates[&row.idx].radius;
            assert!(row.radius <= radius && radius - row.radius < 1e-5);
        }
        assert_eq!(recount(&place.path(&name))["mixture"], INPUTS);
        assert_eq!(evaluations(&ok(&words)), 0);
        assert_eq!(held(&place.path(&name)), kept);

        // Going on to all samples gives what certifying from scratch gives.
        if radius == 0.3 {
            let said = ok(&certify(&ledger, &[]));
            assert_eq!(evaluations(&said) + made, INPUTS * (N + N0));
            let all = held(&place.path(&name));
            assert_eq!(of(&all, 0, "certify"), whole);
            assert_eq!(of(&all, 0, "until"), certificates);
        }
    }
}

#[test]
fn certificates_that_stopped_do_not_depend_on_batch_or_threads() {
    let place = Place::new();
    let pruned = pruned(&place);
    let mut first = None;
    for (i, (threads, batch)) in [("1", "64"), ("2", "7")].iter().enumerate() {
        let how = [
            "--until-radius",
            "0.25",
            "--threads",
            threads,
            "--batch",
            batch,
        ];
        let (scratch, again) = (format!("scratch-{i}.recert"), format!("again-{i}.recert"));
        ok(&certify(&place.text(&scratch), &how));
        base(&place, &again);
        ok(&recertify(&place.text(&again), &pruned, &how));
        let this = [scratch, again].map(|name| held(&place.path(&name)));
        match &first {
            None => first = Some(this),
            Some(first) => assert!(*first == this, "{threads} threads, batch {batch}"),
        }
    }
}

/// Without it, the inputs that ran to n would be all that there are to recertify, although their
/// late samples selected them.
#[test]
fn the_run_that_stopped_inputs_is_not_forgotten() {
    let place = Place::new();
    let ledger = place.text("until.recert");
    ok(&certify(&ledger, &["--until-radius", "0.3"]));
    for network in ["", "--network shapes.onnx"] {
        let forget = words(&format!("forget {ledger} --run until {network}"));
        fails(4, &["decided how many samples the inputs have"]).check(&forget);
    }
    let again = recertify(&ledger, &pruned(&place), &["--method", "direct"]);
    ok(&again);
    let recertified = held(&place.path("until.recert"));
    assert_eq!(of(&recertified, 1, "direct").len() as u64, INPUTS);
}

#[test]
fn inputs_that_stopped_are_rows_like_all_others() {
    let place = Place::new();
    let pruned = pruned(&place);
    // A radius that every input reaches soon.
    let ledger = place.text("few.recert");
    let easy = words("--every 7 --offset 56 --until-radius 0.001");
    let one = [certify_demo(N as u32, N0 as u32, 1), easy].concat();
    ok(&with(&one, &["--ledger", &ledger]));
    let remark = "the original stopped on 1 of 1 inputs";
    for (more, says) in [
        (&["--budget", "20%"][..], "from new samples"),
        (&["--until-radius", "0.1"], "from new samples"),
        (&["--method", "irs"], "; irs abstains on them"),
        (&["--method", "paired"], "; paired abstains on them"),
    ] {
        let said = ok(&recertify(&ledger, &pruned, more));
        assert!(said.stderr.contains(remark), "{}", said.stderr);
        assert!(said.stderr.contains(says), "{}", said.stderr);
        assert_eq!(rows(&said.stdout).len(), 1, "{more:?}");
    }
    ok(&recertify(&ledger, &pruned, &["--plan"]));
    let kept = held(&place.path("few.recert"));
    assert!(of(&kept, 1, "auto").values().all(|c| c.radius > 0.0));
    for method in ["irs", "paired"] {
        let abstention = of(&kept, 1, method).into_values().next().unwrap();
        assert_eq!((abstention.class, abstention.evaluations), (None, 0));
    }
    recount(&place.path("few.recert"));
    ok(&with(&[], &["check", &ledger]));
    // An abstention says what f had answered, and that is derived.
    let changed = place.text("changed.recert");
    std::fs::copy(&ledger, &changed).unwrap();
    let connection = Connection::open(place.path("changed.recert")).unwrap();
    let more = "UPDATE certificate SET counts = replace(counts, '\"k\":', '\"k\":1')
                WHERE bound = 'none'";
    assert_eq!(connection.execute(more, []).unwrap(), 2);
    connection.close().unwrap();
    let said = fails(7, &["do not hold"]).check(&with(&[], &["check", &changed]));
    assert_eq!(said.stdout.matches("counts.k: stored 1").count(), 2);

    // Some inputs certified whole, the others until they reach it.
    let ledger = place.text("some.recert");
    let demo = certify_demo(N as u32, N0 as u32, 3);
    ok(&with(&demo, &["--every", "7", "--ledger", &ledger]));
    ok(&certify(&ledger, &["--until-radius", "0.1"]));
    let kept = held(&place.path("some.recert"));
    assert_eq!(of(&kept, 0, "until").len() as u64, INPUTS);
    let all: Vec<u32> = kept.inputs.iter().map(|input| input.idx).collect();
    let said = ok(&recertify(&ledger, &pruned, &["--budget", "10%"]));
    let rows: Vec<u32> = rows(&said.stdout).iter().map(|row| row.idx).collect();
    assert_eq!(rows, all);
    let stopped = format!("the original stopped on {} of {INPUTS} inputs", INPUTS - 3);
    assert!(said.stderr.contains(&stopped), "{}", said.stderr);
    let kept = held(&place.path("some.recert"));
    assert_eq!(of(&kept, 1, "auto").into_keys().collect::<Vec<_>>(), all);
    recount(&place.path("some.recert"));
    ok(&with(&[], &["check", &ledger]));

    // A report tells both kinds apart.
    let report = ok(&with(&[], &["report", &ledger])).stdout;
    for name in ["until", "auto"] {
        assert!(report.contains(name), "{report}");
    }
}

#[test]
fn recertifying_stops_at_the_radius_or_without_hope() {
    let place = Place::new();
    let pruned = pruned(&place);
    let ledger = base(&place, "whole.recert");
    let whole = evaluations(&ok(&recertify(&ledger, &pruned, &["--budget", "100%"])));
    let mut bounds = BTreeMap::new();
    for radius in [0.1, 0.25, 0.4] {
        let ledger = base(&place, "run.recert");
        let text = radius.to_string();
        let words = recertify(&ledger, &pruned, &["--until-radius", &text]);
        let said = ok(&words);
        let made = evaluations(&said);
        assert!(made < whole / 2, "{made} of {whole}");
        let kept = held(&place.path("run.recert"));
        let certificates = of(&kept, 1, "auto");
        assert_eq!(certificates.len() as u64, INPUTS);
        assert_eq!(
            certificates.values().map(|c| c.evaluations).sum::<u64>(),
            made
        );
        let reached = certificates.values().filter(|c| c.radius >= radius).count();
        assert!(reached > 1, "{radius}: {certificates:?}");
        for (idx, certificate) in &certificates {
            assert_eq!(kept.networks[1].answered_of(*idx), certificate.evaluations);
            assert!(certificate.claim.parameters.to_json().contains("\"until\""));
        }
        for (bound, certificates) in recount(&place.path("run.recert")) {
            *bounds.entry(bound).or_insert(0) += certificates;
        }
        assert_eq!(rows(&said.stdout).len() as u64, INPUTS);
        assert_eq!(evaluations(&ok(&words)), 0);
        assert_eq!(held(&place.path("run.recert")), kept);
    }
    // Bounds that hold at one number of samples only are not among them.
    let anytime = ["loss-mixture", "mixture", "none", "cells"];
    for bound in bounds.keys() {
        assert!(anytime.contains(&bound.as_str()), "{bounds:?}");
    }
    assert!(bounds.len() >= 3, "{bounds:?}");
}

#[test]
fn wrong_radii_are_named_and_leave_nothing_behind() {
    let place = Place::new();
    let ledger = place.text("none.recert");
    for radius in ["0", "-1", "nan", "inf", "x", ""] {
        let words = certify(&ledger, &["--until-radius", radius]);
        fails(2, &["--until-radius"]).check(&words);
    }
    let words = certify(&ledger, &["--until-radius", "0.5", "--one-sided"]);
    fails(2, &["--until-radius", "--one-sided"]).check(&words);
    assert!(!place.path("none.recert").exists());
    // More than all samples together can certify.
    let said = ok(&certify(&ledger, &["--until-radius", "9"]));
    let text = "radius 9 is out of reach";
    assert!(said.stderr.contains(text), "{}", said.stderr);
}
