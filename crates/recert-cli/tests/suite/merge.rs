//! `--shard` and `recert merge`, as a person uses them. `crates/recert/tests/shards.rs` has which
//! divisions give the whole run.

use std::process::Stdio;
use std::time::Duration;

use crate::common::{
    Place, asset, certify_demo, command, evaluations, fails, held, ok, rows, run, with, words,
};

pub(crate) const INPUTS: u32 = 7;

/// Certifies shards of the demo into `1.recert`, `2.recert`, ..
pub(crate) fn certified(place: &Place, of: u32) -> Vec<String> {
    let ledgers: Vec<String> = (1..=of)
        .map(|i| place.text(&format!("{i}.recert")))
        .collect();
    for (i, ledger) in (1..).zip(&ledgers) {
        let shard = format!("{i}/{of}");
        let more = ["--ledger", ledger, "--shard", &shard];
        ok(&with(&certify_demo(300, 10, INPUTS), &more));
    }
    ledgers
}

pub(crate) fn merge(out: &str, ledgers: &[String]) -> Vec<String> {
    let ledgers: Vec<&str> = ledgers.iter().map(String::as_str).collect();
    with(&with(&[], &["merge", out]), &ledgers)
}

#[test]
fn shards_are_certified_merged_recertified_and_merged_again() {
    let place = Place::new();
    let (whole, out) = (place.text("whole.recert"), place.text("run.recert"));
    let calm = ok(&with(&certify_demo(300, 10, INPUTS), &["--ledger", &whole]));
    let all = rows(&calm.stdout);
    let ledgers = certified(&place, 3);
    // The rows of a shard are those of its inputs, and its last words say what to do.
    let second = run(&with(
        &certify_demo(300, 10, INPUTS),
        &["--ledger", &ledgers[1], "--shard", "2/3"],
    ));
    let every_third: Vec<_> = all.iter().skip(1).step_by(3).cloned().collect();
    assert_eq!(rows(&second.stdout), every_third);
    assert_eq!(evaluations(&second), 0);
    let next = format!(
        "next: when the 2 other shards are done: recert merge RUN.recert {}",
        ledgers[1]
    );
    assert!(second.stderr.contains(&next), "{}", second.stderr);

    let missing = "certify of shapes.onnx: shards 1/3 and 3/3 are missing: 5 of 7 inputs";
    fails(3, &[missing, "--partial"]).check(&merge(&out, &ledgers[1..2]));
    assert!(!place.path("run.recert").exists());
    let partial = ok(&with(&merge(&out, &ledgers[1..2]), &["--partial"]));
    assert!(partial.stderr.contains(missing), "{}", partial.stderr);
    let said = ok(&merge(&out, &ledgers));
    let words_of_it =
        format!("{out}: 7 inputs, 7 certificates; merged of 4 ledgers, checked and sealed\n");
    assert_eq!(said.stdout, words_of_it);
    assert_eq!(
        held(&place.path("run.recert")),
        held(&place.path("whole.recert"))
    );
    let again = ok(&merge(&out, &ledgers));
    assert!(
        again.stdout.contains("had all of it already"),
        "{}",
        again.stdout
    );

    // A recertification, of which a shard can be planned, stopped and continued like any other.
    let pruned = place.text("p.onnx");
    let shapes = asset("shapes.onnx");
    ok(&with(
        &[],
        &["approximate", &shapes, "--prune", "20%", "--out", &pruned],
    ));
    let recertify = |ledger: &str, more: &[&str]| {
        let how = ["recertify", ledger, "--model", &pruned, "--budget", "25%"];
        with(&with(&[], &how), more)
    };
    ok(&recertify(&whole, &[]));
    let own = ["a", "b"].map(|name| place.text(&format!("{name}.recert")));
    for (shard, own) in ["1/2", "2/2"].iter().zip(&own) {
        ok(&recertify(&out, &["--shard", shard, "--into", own]));
        ok(&recertify(&out, &["--shard", shard, "--into", own]));
    }
    fails(3, &["auto of p.onnx: shard 2/2 is missing: 3 of 7 inputs"])
        .check(&merge(&out, &own[..1]));
    // The name of a new file was forgotten: no shard becomes the merged ledger by that.
    for parts in [&own[..], &ledgers[..]] {
        let before = std::fs::read(&parts[0]).unwrap();
        fails(3, &["is the ledger of shard 1/", "name a new file first"])
            .check(&merge(&parts[0], &parts[1..]));
        assert_eq!(std::fs::read(&parts[0]).unwrap(), before);
    }
    ok(&merge(&out, &own));
    assert_eq!(
        held(&place.path("run.recert")),
        held(&place.path("whole.recert"))
    );
    let rerun = [
        "--strict", "--rerun", "50", "--seed", "3", "--model", &shapes, "--model", &pruned,
    ];
    let checked = ok(&with(&with(&[], &["check", &out]), &rerun));
    assert!(
        checked.stdout.contains("all checks passed"),
        "{}",
        checked.stdout
    );
    let report = |ledger: &str| ok(&with(&[], &["report", ledger, "--csv"])).stdout;
    let columns = |text: &str| {
        text.lines()
            .map(|line| line.split(',').count())
            .collect::<Vec<_>>()
    };
    assert_eq!(columns(&report(&out)), columns(&report(&whole)));
    let brief = ok(&with(&[], &["report", &out, "--brief"])).stdout;
    assert!(
        brief.contains("p.onnx") && !brief.contains("unfinished"),
        "{brief}"
    );
    // A part states that it is one.
    let part = ok(&with(&[], &["check", &ledgers[0]]));
    assert!(part.stdout.contains("a shard of it"), "{}", part.stdout);
    fails(7, &[]).check(&with(&[], &["check", &ledgers[0], "--strict"]));
}

#[test]
fn what_a_shard_cannot_be_is_refused_by_the_flag() {
    let place = Place::new();
    let ledger = place.text("x.recert");
    let certify = with(&certify_demo(300, 10, 3), &["--ledger", &ledger]);
    for (shard, part) in [
        ("0/4", "no shard"),
        ("5/4", "no shard"),
        ("3", "as in 3/16"),
    ] {
        fails(2, &["--shard", part]).check(&with(&certify, &["--shard", shard]));
    }
    fails(2, &["shard 4/4 has no input", "over 3", "--shard"])
        .check(&with(&certify, &["--shard", "4/4"]));
    let fresh = with(&certify, &["--shard", "1/2", "--seed", "fresh"]);
    fails(2, &["every shard needs the same --seed"]).check(&fresh);
    let shapes = asset("shapes.onnx");
    let faster = place.text("p.onnx");
    let prune = ["approximate", &shapes, "--prune", "20%", "--out", &faster];
    ok(&with(&[], &prune));
    let via = ["--shard", "1/2", "--via", &faster];
    fails(2, &["certify the faster version in shards", "--shard"]).check(&with(&certify, &via));
    let explain = words(&format!(
        "explain --model {shapes} --data {} --eps 1/2550 --limit 2 --shard 1/2",
        asset("shapes-test.npz")
    ));
    assert_eq!(run(&explain).code, Some(2));
    assert!(!place.path("x.recert").exists());
    // A copy that is none of this ledger.
    let ledgers = certified(&place, 2);
    let other = [
        "recertify",
        &ledgers[0],
        "--model",
        &shapes,
        "--into",
        &ledgers[1],
    ];
    fails(4, &["2.recert has other inputs than", "--into"]).check(&with(&[], &other));
    // Nothing is left of a shard that could not begin, which would be merged as one that has nothing to do.
    let into = place.text("z.recert");
    let missing = place.text("none.onnx");
    let never = [
        "recertify",
        &ledgers[0],
        "--model",
        &missing,
        "--into",
        &into,
    ];
    fails(3, &["none.onnx"]).check(&with(&[], &never));
    assert!(!place.path("z.recert").exists());
    fails(3, &["there is no such file"]).check(&merge(&place.text("y.recert"), &[ledger]));
    fails(2, &["LEDGER"]).check(&with(&[], &["merge", &ledgers[0]]));
}

#[test]
fn a_merge_that_is_killed_leaves_what_was_there_and_can_be_made_again() {
    let place = Place::new();
    let whole = place.text("whole.recert");
    ok(&with(&certify_demo(300, 10, INPUTS), &["--ledger", &whole]));
    let expected = held(&place.path("whole.recert"));
    let ledgers = certified(&place, 2);
    let half = place.text("half.recert");
    ok(&with(&merge(&half, &ledgers[..1]), &["--partial"]));
    let before = held(&place.path("half.recert"));
    for existing in [false, true] {
        let (name, out) = ("run.recert", place.text("run.recert"));
        for millis in [0, 2, 5, 10, 15, 20, 30, 45, 70, 100, 150] {
            if existing && !place.path(name).exists() {
                std::fs::copy(&half, place.path(name)).unwrap();
            }
            let mut child = command(&merge(&out, &ledgers))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary starts");
            std::thread::sleep(Duration::from_millis(millis));
            let _ = child.kill();
            child.wait().expect("the process ends");
            if !place.path(name).exists() {
                assert!(!existing, "what was there is gone after {millis} ms");
                continue;
            }
            let found = held(&place.path(name));
            assert!(
                found == expected || existing && found == before,
                "after {millis} ms"
            );
            if found == expected {
                std::fs::remove_file(place.path(name)).unwrap();
            }
        }
        ok(&merge(&out, &ledgers));
        assert_eq!(held(&place.path(name)), expected);
        ok(&with(&[], &["check", &out, "--strict"]));
        let left = std::fs::read_dir(place.path("")).unwrap();
        let left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = left
            .filter(|file| file.starts_with("run.recert.merge"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        std::fs::remove_file(place.path(name)).unwrap();
    }
}

#[test]
fn a_ledger_that_is_written_to_is_merged_as_it_is_but_not_replaced() {
    let place = Place::new();
    let ledgers = certified(&place, 2);
    let writer = recert::ledger::Ledger::open(&place.path("1.recert")).unwrap();
    // As a part it is read; as the one to be made it is in use.
    ok(&merge(&place.text("run.recert"), &ledgers));
    let into_it = with(&merge(&ledgers[0], &ledgers[1..]), &["--partial"]);
    fails(4, &["1.recert", "another process is writing"]).check(&into_it);
    writer.close().unwrap();
    ok(&into_it);
}
