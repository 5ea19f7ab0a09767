//! A run that is killed or interrupted goes on where it was, and ends as one
//! that was left alone. Nothing here depends on how fast the machine is: a
//! moment that comes too late finds a finished run, which must resume as well.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::common::{self, Held, Place, Said, asset, certify_demo, command, held, ok, run, with};
use recert::ledger::Ledger;

/// When to end a run.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many milliseconds after its start.
    Millis(u64),
    /// After so many lines on stdout, the header being the first.
    Lines(usize),
}

/// Starts a command, waits for the moment, and ends the process by `end`.
/// Returns the lines it printed before, and what it said after.
fn end_at(words: &[String], moment: Moment, end: impl FnOnce(&mut Child)) -> (Vec<String>, Said) {
    let mut child = command(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut lines = Vec::new();
    match moment {
        Moment::Millis(millis) => std::thread::sleep(Duration::from_millis(millis)),
        Moment::Lines(count) => {
            for line in stdout.by_ref().lines().take(count) {
                lines.push(line.expect("stdout is UTF-8"));
            }
        }
    }
    end(&mut child);
    let rest = stdout.lines().map_while(Result::ok).collect::<Vec<_>>();
    let mut said: Said = child.wait_with_output().expect("the process ends").into();
    said.stdout = rest.join("\n");
    (lines, said)
}

fn kill(child: &mut Child) {
    // A process that is done already cannot be killed, and need not be.
    let _ = child.kill();
}

/// The positions in rows, after the header.
pub(crate) fn finished(lines: &[String]) -> Vec<u32> {
    let rows = lines.iter().skip(1);
    rows.map(|row| {
        row.split('\t')
            .next()
            .expect("a column")
            .parse()
            .expect("an index")
    })
    .collect()
}

/// Every sample that is answered, by network, input and stream.
fn answered(place: &Place, name: &str) -> BTreeMap<(String, u32, u32), u64> {
    let mut all = BTreeMap::new();
    for network in held(&place.path(name)).networks {
        for ((idx, stream), samples) in network.answered {
            all.insert((network.file.clone(), idx, stream), samples.len() as u64);
        }
    }
    all
}

/// Checks that each row on stdout has its certificate in the ledger.
#[track_caller]
pub(crate) fn rows_are_kept(held: &Held, lines: &[String], when: &dyn Debug) {
    // The rows are of the networks that came last.
    let networks = &held.networks[1.min(held.networks.len() - 1)..];
    let of = networks.iter().flat_map(|network| &network.certificates);
    let certificates: Vec<u32> = of.map(|certificate| certificate.idx).collect();
    for idx in finished(lines) {
        assert!(certificates.contains(&idx), "row {idx} after {when:?}");
    }
}

/// Whether `path` holds a ledger yet: a process may be killed before it does.
fn is_born(place: &Place, name: &str) -> bool {
    place.path(name).exists() && Ledger::open_read_only(&place.path(name)).is_ok()
}

/// Kills `words` at each of the moments in turn, checking that nothing that
/// was there is lost, and lets it finish.
fn killed_often(place: &Place, name: &str, words: &[String], moments: &[Moment]) -> Held {
    for &moment in moments {
        let before = if is_born(place, name) {
            answered(place, name)
        } else {
            BTreeMap::new()
        };
        let (lines, _) = end_at(words, moment, kill);
        if !is_born(place, name) {
            continue;
        }
        let after = answered(place, name);
        for (key, samples) in &before {
            assert!(after[key] >= *samples, "{key:?} after {moment:?}");
        }
        rows_are_kept(&held(&place.path(name)), &lines, &moment);
    }
    ok(words);
    held(&place.path(name))
}

#[test]
fn certify_ends_the_same_however_often_it_is_killed() {
    let place = Place::new();
    let words = certify_demo(900, 50, 3);
    let ledger = place.text("calm.recert");
    let log = place.text("calm.tsv");
    let calm = ok(&with(&words, &["--ledger", &ledger, "--log", &log]));
    let calm_held = held(&place.path("calm.recert"));
    assert_eq!(calm_held.inputs.len(), 3);
    assert!(calm_held.networks[0].margins.values().all(Option::is_some));

    let ledger = place.text("killed.recert");
    let log = place.text("killed.tsv");
    let words = with(&words, &["--ledger", &ledger, "--log", &log]);
    let moments = [
        Moment::Millis(0),
        Moment::Millis(40),
        Moment::Lines(1),
        Moment::Millis(300),
        Moment::Lines(2),
        Moment::Millis(600),
        Moment::Lines(3),
    ];
    assert_eq!(
        killed_often(&place, "killed.recert", &words, &moments),
        calm_held
    );
    let again = ok(&words);
    assert_eq!(common::rows(&again.stdout), common::rows(&calm.stdout));
    assert_eq!(common::evaluations(&again), 0);

    // The log has every input once, in order, as the rows do.
    let log = std::fs::read_to_string(place.path("killed.tsv")).unwrap();
    assert_eq!(common::rows(&log), common::rows(&calm.stdout));

    // One file is left.
    for suffix in ["-wal", "-shm", ".lock"] {
        assert!(
            !place.path(&format!("killed.recert{suffix}")).exists(),
            "{suffix}"
        );
    }
}

#[test]
fn recertify_ends_the_same_however_often_it_is_killed() {
    let place = Place::new();
    let base = place.text("base.recert");
    ok(&with(&certify_demo(700, 30, 3), &["--ledger", &base]));
    let network = place.text("bf16.onnx");
    let model = asset("shapes.onnx");
    ok(&with(
        &[],
        &["approximate", &model, "--bf16", "--out", &network],
    ));
    let recertify = |ledger: &str| {
        let place = place.text(ledger);
        with(
            &[],
            &[
                "recertify",
                &place,
                "--model",
                &network,
                "--n-p",
                "10%,80%",
                "--method",
                "irs,direct",
            ],
        )
    };
    for sample in ["calm.recert", "killed.recert"] {
        std::fs::copy(place.path("base.recert"), place.path(sample)).unwrap();
    }
    let calm = ok(&recertify("calm.recert"));
    let moments = [
        Moment::Millis(0),
        Moment::Lines(1),
        Moment::Millis(200),
        Moment::Lines(2),
        Moment::Millis(500),
    ];
    let words = recertify("killed.recert");
    let killed = killed_often(&place, "killed.recert", &words, &moments);
    assert_eq!(killed, held(&place.path("calm.recert")));
    assert_eq!(killed.networks.len(), 2);
    // Two methods, two counts of samples, three inputs.
    assert_eq!(killed.networks[1].certificates.len(), 12);
    let again = ok(&words);
    assert_eq!(common::rows(&again.stdout), common::rows(&calm.stdout));
}

/// Writes a pruned version of the demo network.
pub(crate) fn pruned(place: &Place) -> String {
    let network = place.text("pruned.onnx");
    let model = asset("shapes.onnx");
    let words = ["approximate", &model, "--prune", "20%", "--out", &network];
    ok(&with(&[], &words));
    network
}

/// A run of `auto`, or until a radius, is killed at any moment of its pilot, of
/// what follows, or between its rounds or budgets.
#[test]
fn chosen_samples_end_the_same_however_often_it_is_killed() {
    let place = Place::new();
    let base = place.text("base.recert");
    ok(&with(&certify_demo(400, 30, 5), &["--ledger", &base]));
    let network = pruned(&place);
    let moments = [
        Moment::Millis(0),
        Moment::Lines(1),
        Moment::Millis(150),
        Moment::Lines(2),
        Moment::Millis(300),
        Moment::Lines(4),
    ];
    for what in [
        ["--budget", "4%,40%"],
        ["--until-radius", "0.2"],
        ["--target-acr", "0.2"],
    ] {
        let recertify = |name: &str| {
            std::fs::copy(&base, place.path(name)).unwrap();
            let ledger = place.text(name);
            let words = with(&[], &["recertify", &ledger, "--model", &network]);
            with(&words, &what)
        };
        ok(&recertify("calm.recert"));
        let words = recertify("killed.recert");
        let killed = killed_often(&place, "killed.recert", &words, &moments);
        assert_eq!(killed, held(&place.path("calm.recert")), "{what:?}");
        assert_eq!(common::evaluations(&ok(&words)), 0);
    }
}

/// Several networks in one pass, killed at any moment, end as they do when nothing
/// stops them.
#[test]
fn several_networks_end_the_same_however_often_they_are_killed() {
    let place = Place::new();
    let base = place.text("base.recert");
    ok(&with(&certify_demo(400, 30, 5), &["--ledger", &base]));
    let pruned = pruned(&place);
    let bf16 = place.text("bf16.onnx");
    let words = ["approximate", &asset("shapes.onnx"), "--bf16"];
    ok(&with(&with(&[], &words), &["--out", &bf16]));
    let recertify = |name: &str, networks: &[&str]| {
        let ledger = place.text(name);
        let words = ["recertify", &ledger, "--among", "2", "--budget", "4%,30%"];
        let models = networks.iter().flat_map(|&network| ["--model", network]);
        with(&with(&[], &words), &models.collect::<Vec<_>>())
    };
    for name in ["calm.recert", "killed.recert"] {
        std::fs::copy(&base, place.path(name)).unwrap();
    }
    ok(&recertify("calm.recert", &[&pruned, &bf16]));
    let moments = [
        Moment::Millis(0),
        Moment::Lines(1),
        Moment::Millis(150),
        Moment::Lines(2),
        Moment::Millis(300),
        Moment::Lines(4),
    ];
    let words = recertify("killed.recert", &[&pruned, &bf16]);
    let killed = killed_often(&place, "killed.recert", &words, &moments);
    assert_eq!(killed, held(&place.path("calm.recert")));
    assert_eq!(common::evaluations(&ok(&words)), 0);
}

#[test]
fn certify_until_a_radius_ends_the_same_however_often_it_is_killed() {
    let place = Place::new();
    let words = with(&certify_demo(900, 50, 4), &["--until-radius", "0.3"]);
    let calm = place.text("calm.recert");
    ok(&with(&words, &["--ledger", &calm]));
    let moments = [
        Moment::Millis(0),
        Moment::Lines(1),
        Moment::Millis(100),
        Moment::Lines(2),
        Moment::Millis(300),
    ];
    let ledger = place.text("killed.recert");
    let words = with(&words, &["--ledger", &ledger]);
    let killed = killed_often(&place, "killed.recert", &words, &moments);
    assert_eq!(killed, held(&place.path("calm.recert")));
    assert_eq!(common::evaluations(&ok(&words)), 0);
}

#[cfg(unix)]
fn interrupt(child: &mut Child) {
    let pid = child.id().to_string();
    let done = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(done.is_ok_and(|status| status.success()), "kill -INT works");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_the_same_command_resumes() {
    let place = Place::new();
    // Long enough not to be done when the signal comes after the first line.
    let words = certify_demo(1500, 50, 4);
    let calm = place.text("calm.recert");
    ok(&with(&words, &["--ledger", &calm]));
    let ledger = place.text("stopped.recert");
    let words = with(&words, &["--ledger", &ledger]);
    for lines in [1, 2] {
        let (printed, said) = end_at(&words, Moment::Lines(lines), interrupt);
        assert_eq!(said.code, Some(130), "{}", said.stderr);
        for part in ["stopping", "the same command resumes"] {
            assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
        }
        assert!(!said.stderr.contains(" of 4 inputs of "), "{}", said.stderr);
        // What was finished is kept, and one file holds it all.
        assert!(!place.path("stopped.recert-wal").exists());
        let kept = answered(&place, "stopped.recert");
        for idx in finished(&printed) {
            let whole = kept
                .iter()
                .any(|((_, i, _), samples)| *i == idx && *samples == 1500);
            assert!(whole, "input {idx} in {kept:?}");
        }
    }
    let said = run(&words);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(
        held(&place.path("stopped.recert")),
        held(&place.path("calm.recert"))
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_recertification_resumes_with_what_it_has() {
    let place = Place::new();
    let base = place.text("base.recert");
    ok(&with(&certify_demo(900, 50, 3), &["--ledger", &base]));
    let network = pruned(&place);
    for what in [["--budget", "90%"], ["--until-radius", "0.5"]] {
        let recertify = |name: &str| {
            std::fs::copy(&base, place.path(name)).unwrap();
            let ledger = place.text(name);
            let words = with(&[], &["recertify", &ledger, "--model", &network]);
            with(&words, &what)
        };
        let calm = common::evaluations(&ok(&recertify("calm.recert")));
        let words = recertify("stopped.recert");
        // After the names of the columns, before most of what is to be done.
        let (_, said) = end_at(&words, Moment::Lines(1), interrupt);
        if said.code != Some(0) {
            assert_eq!(said.code, Some(130), "{}", said.stderr);
            assert!(said.stderr.contains("the same command resumes"));
        }
        assert!(!place.path("stopped.recert-wal").exists());
        let kept: u64 = answered(&place, "stopped.recert").values().sum();
        let said = ok(&words);
        assert_eq!(
            common::evaluations(&said) + kept,
            calm + 3 * 900,
            "{what:?}"
        );
        assert_eq!(
            held(&place.path("stopped.recert")),
            held(&place.path("calm.recert"))
        );
    }
}
