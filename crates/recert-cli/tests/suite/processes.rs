//! Several processes on one ledger: one writes, the others are refused, and who reads sees what
//! was committed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::common::{Place, Said, certify_demo, command, fails, held, ok, with};
use crate::merge::{certified, merge};

fn start(words: &[String]) -> Child {
    command(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

#[test]
fn of_several_that_begin_at_once_one_writes_and_the_others_are_refused() {
    let place = Place::new();
    let calm = place.text("calm.recert");
    let certify = |ledger: &str| with(&certify_demo(400, 20, 3), &["--ledger", ledger]);
    ok(&certify(&calm));
    for round in 0..4 {
        let name = format!("run-{round}.recert");
        let words = certify(&place.text(&name));
        let children: Vec<Child> = (0..4).map(|_| start(&words)).collect();
        let mut finished = 0;
        for child in children {
            let said: Said = child.wait_with_output().expect("it ends").into();

            if said.code == Some(0) {
                // The one that wrote, or one that began when that had ended.
                finished += 1;
            } else {
                fails(4, &[&name, "another process is writing", "wait"]).check_said(&words, &said);
            }
        }
        assert!(finished > 0, "somebody writes");
        assert_eq!(held(&place.path(&name)), held(calm.as_ref()));
        ok(&with(&[], &["check", &place.text(&name), "--strict"]));
    }
}

#[test]
fn readers_see_what_was_committed_while_a_process_writes() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let words = with(&certify_demo(1500, 50, 4), &["--ledger", &ledger]);
    let mut writer = start(&words);
    let mut rows = BufReader::new(writer.stdout.take().expect("stdout is piped")).lines();
    // The names of the columns, and the first row.
    for _ in 0..2 {
        rows.next().expect("a line").expect("stdout is UTF-8");
    }
    let seen = held(&place.path("run.recert"));
    assert!(!seen.networks[0].certificates.is_empty());
    ok(&with(&[], &["report", &ledger, "--brief"]));
    ok(&with(&[], &["check", &ledger]));
    let copy = place.text("copy.recert");
    ok(&with(&[], &["snapshot", &ledger, &copy]));
    assert!(!held(copy.as_ref()).networks[0].certificates.is_empty());
    let rest = rows.map_while(Result::ok).count();
    assert_eq!(rest, 3);
    assert!(writer.wait().expect("it ends").success());
    let ended = held(&place.path("run.recert"));
    assert_eq!(ended.networks[0].certificates.len(), 4);
    for certificate in &seen.networks[0].certificates {
        assert!(ended.networks[0].certificates.contains(certificate));
    }
}

#[test]
fn of_several_that_merge_into_one_file_each_makes_it_whole_or_is_refused() {
    let place = Place::new();
    let ledgers = certified(&place, 2);
    ok(&merge(&place.text("calm.recert"), &ledgers));
    let words = merge(&place.text("run.recert"), &ledgers);
    for _ in 0..3 {
        let children: Vec<Child> = (0..4).map(|_| start(&words)).collect();
        for child in children {
            let said: Said = child.wait_with_output().expect("it ends").into();

            if said.code != Some(0) {
                fails(4, &["run.recert", "another process is writing"]).check_said(&words, &said);
            }
        }
        assert_eq!(
            held(&place.path("run.recert")),
            held(&place.path("calm.recert"))
        );
        std::fs::remove_file(place.path("run.recert")).unwrap();
    }
}
