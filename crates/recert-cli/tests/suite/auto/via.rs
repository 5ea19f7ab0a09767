//! `certify --via`: through a fast network.

use super::{answered, int8, recertify};
use crate::common::{self, Place, asset, certify_demo, held, ok, rows, with};

#[test]
fn through_a_fast_network_is_the_two_commands_by_hand() {
    let place = Place::new();
    let int8 = int8(&place);
    let model = asset("shapes.onnx");
    let run = |name: &str, network: &str, more: &[&str]| {
        let ledger = place.text(name);
        let mut words = with(&certify_demo(300, 30, 6), &["--ledger", &ledger]);
        let at = words.iter().position(|word| *word == model).unwrap();
        words[at] = network.to_owned();
        ok(&with(&words, more))
    };
    let log = place.text("via.tsv");
    let more = [
        "--via",
        &int8,
        "--alpha",
        "0.003",
        "--via-budget",
        "20%",
        "--log",
        &log,
    ];
    let via = run("via.recert", &model, &more);
    assert!(via.stderr.contains(" times as fast"), "{}", via.stderr);
    run("hand.recert", &int8, &["--alpha", "0.003"]);
    let hand = place.text("hand.recert");
    let by_hand = ok(&recertify(
        &hand,
        &model,
        &["--alpha", "0.003", "--budget", "20%"],
    ));
    assert_eq!(
        held(&place.path("via.recert")),
        held(&place.path("hand.recert"))
    );
    assert_eq!(rows(&via.stdout), rows(&by_hand.stdout));
    assert_eq!(
        rows(&std::fs::read_to_string(log).unwrap()),
        rows(&via.stdout)
    );
    let kept = held(&place.path("via.recert"));
    assert_eq!(kept.networks[0].file, "int8.onnx");
    assert_eq!(kept.networks[1].file, "shapes.onnx");
    assert!(
        kept.networks[1]
            .certificates
            .iter()
            .all(|c| c.claim.alpha == 0.003)
    );
    assert!(answered(&place, "via.recert") <= 300 * 6 / 5);

    // The default is 5 %, and the same again costs nothing.
    let more = ["--via", &int8, "--alpha", "0.003"];
    run("via.recert", &model, &more);
    let again = run("via.recert", &model, &more);
    let lines = again
        .stderr
        .lines()
        .filter(|line| line.contains(": 0 new evaluations"));
    assert_eq!(lines.count(), 2, "{}", again.stderr);
    ok(&recertify(
        &hand,
        &model,
        &["--alpha", "0.003", "--budget", "5%"],
    ));
    assert_eq!(
        held(&place.path("via.recert")),
        held(&place.path("hand.recert"))
    );
}

#[test]
fn wrong_flags_of_a_run_through_a_fast_network_come_before_it() {
    let place = Place::new();
    let ledger = place.text("none.recert");
    let int8 = int8(&place);
    let words = with(&certify_demo(100, 10, 2), &["--ledger", &ledger]);
    let plain = asset("made/plain.onnx");
    let absent = place.text("absent.onnx");
    let itself = asset("shapes.onnx");
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (&["--via-budget", "5%"], 2, &["--via"]),
        (&["--via", &int8, "--via-budget", "0"], 2, &["--via-budget"]),
        (
            &["--via", &int8, "--via-budget", "201"],
            2,
            &["--via-budget"],
        ),
        (
            &["--via", &int8, "--via-budget", "x%"],
            2,
            &["--via-budget"],
        ),
        (&["--via", &itself], 2, &["--via", "itself"]),
        (&["--via", &plain], 3, &["plain.onnx"]),
        (&["--via", &absent], 3, &["absent.onnx"]),
        (
            &["--via", &int8, "--until-radius", "1"],
            2,
            &["--via", "--until-radius"],
        ),
        (&["--via", &int8, "--alpha", "1e-39"], 2, &["--alpha"]),
    ];
    for (flags, code, says) in cases {
        common::fails(code, says).check(&with(&words, flags));
        assert!(!place.path("none.recert").exists(), "{flags:?}");
    }
    // The network itself is looked at before the fast one is run.
    let mut words = with(&words, &["--via", &int8]);
    let at = words.iter().position(|word| word == "--model").unwrap() + 1;
    for (model, says) in [(&plain, "plain.onnx"), (&absent, "absent.onnx")] {
        words[at].clone_from(model);
        common::fails(3, &[says]).check(&words);
        assert!(!place.path("none.recert").exists(), "{model}");
    }
}
