//! `recert verify`: rows, ledgers, logs, JSON, files, and what is refused.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::{Place, asset, certify_demo, command, fails, ok, with, words};
use recert::ledger::{Ledger, Task, Verdict};

/// `verify` of the demo network on the demo images.
fn verify_demo(inputs: u32, more: &str) -> Vec<String> {
    words(&format!(
        "verify --model {} --data {} --limit {inputs} {more}",
        asset("shapes.onnx"),
        asset("shapes-test.npz"),
    ))
}

/// The columns of each row but the time, by the first.
fn rows(stdout: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = stdout.lines();
    assert_eq!(
        lines.next(),
        Some("input\tlabel\tanswer\tverdict\tmargin\tby\ttime")
    );
    let row = |line: &str| {
        let mut columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        assert_eq!(columns.len(), 7, "{line:?}");
        columns.pop();
        (columns.remove(0), columns)
    };
    lines.map(row).collect()
}

#[test]
fn verdicts_are_kept_resumed_checked_and_reported() {
    let place = Place::new();
    let ledger = place.text("bounds.recert");
    let words = verify_demo(6, "--norm linf --eps 1/2550 --method ibp");
    let alone = ok(&words);
    let calm = rows(&alone.stdout);
    assert_eq!(calm.len(), 6);
    for row in calm.values() {
        let (answer, verdict, margin) = (&row[1], row[2].as_str(), &row[3]);
        let positive = margin.parse::<f64>().is_ok_and(|margin| margin > 0.0);
        assert_eq!(verdict == "verified", positive, "{row:?}");
        assert_eq!(verdict == "falsified", *answer != row[0], "{row:?}");
    }
    assert!(alone.stderr.contains("6 inputs of"), "{}", alone.stderr);
    assert!(
        alone.stderr.contains("at linf 1/2550 by ibp: "),
        "{}",
        alone.stderr
    );

    // With a ledger, ended after two rows, and resumed on other threads.
    let kept = with(&words, &["--ledger", &ledger, "--threads", "1"]);
    let mut child = command(&kept)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let seen: Vec<String> = stdout.lines().take(3).map(Result::unwrap).collect();
    // A process that is done already cannot be killed, and need not be.
    let _ = child.kill();
    child.wait().unwrap();
    let resumed = ok(&with(&words, &["--ledger", &ledger, "--threads", "3"]));
    assert_eq!(rows(&resumed.stdout), calm);
    for row in &seen[1..] {
        assert!(resumed.stdout.contains(row), "{row} is kept, with its time");
    }
    let again = ok(&with(&words, &["--ledger", &ledger]));
    assert_eq!(rows(&again.stdout), calm);

    let checked = ok(&crate::common::words(&format!("check {ledger} --strict"))).stdout;
    assert!(checked.contains("linf 1/2550 by ibp: "), "{checked}");
    assert!(checked.contains("all checks passed"), "{checked}");
    let model = asset("shapes.onnx");
    let again = format!("check {ledger} --strict --rerun 6 --seed 1 --model {model}");
    let again = ok(&crate::common::words(&again)).stdout;
    assert!(
        again.contains("verified again: 6 of 6 results: "),
        "{again}"
    );
    assert!(again.contains("; 0 differences"), "{again}");
    assert!(again.contains("all checks passed"), "{again}");
    let reported = ok(&crate::common::words(&format!("report {ledger}"))).stdout;
    assert!(
        reported.contains("Verified by deterministic bounds"),
        "{reported}"
    );
    assert!(reported.contains("linf 1/2550"), "{reported}");
    let page = place.text("report.html");
    ok(&crate::common::words(&format!(
        "report {ledger} --html {page}"
    )));
    assert!(
        std::fs::read_to_string(&page)
            .unwrap()
            .contains("linf 1/2550")
    );
}

#[test]
fn rows_are_in_the_order_of_the_inputs() {
    let place = Place::new();
    let ledger = place.text("bounds.recert");
    let order = |said: &str| -> Vec<String> {
        let rows = said.lines().skip(1);
        rows.map(|row| row.split('\t').next().unwrap().to_owned())
            .collect()
    };
    let bounds = "--eps 1/2550 --method ibp --ledger";
    // The last ones are in the ledger already, and would be there first.
    let last = verify_demo(2, &format!("--offset 4 {bounds} {ledger}"));
    assert_eq!(order(&ok(&last).stdout), ["4", "5"]);
    let all = verify_demo(6, &format!("--threads 3 {bounds} {ledger}"));
    let expected = ["0", "1", "2", "3", "4", "5"];
    assert_eq!(order(&ok(&all).stdout), expected);
    assert_eq!(order(&ok(&all).stdout), expected);
}

#[test]
fn one_ledger_holds_smoothing_and_bounds() {
    let place = Place::new();
    let ledger = place.text("both.recert");
    let bounds = with(
        &verify_demo(2, "--eps 1/25500 --method ibp"),
        &["--ledger", &ledger],
    );
    ok(&bounds);
    let samples = with(&certify_demo(60, 10, 2), &["--ledger", &ledger]);
    ok(&samples);
    ok(&bounds);
    ok(&samples);
    let opened = Ledger::open_read_only(&place.path("both.recert")).unwrap();
    assert_eq!(opened.header().task, Task::Certify);
    assert_eq!(opened.verifications().unwrap().len(), 1);
    assert_eq!(opened.certificates(opened.base()).unwrap().len(), 2);
    drop(opened);
    let checked = ok(&words(&format!("check {ledger}"))).stdout;
    assert!(checked.contains("all checks passed"), "{checked}");
    let reported = ok(&words(&format!("report {ledger}"))).stdout;
    for part in ["from scratch", "linf 1/25500", "sigma"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    // Before that there were no samples to recertify from.
    let alone = place.text("alone.recert");
    ok(&with(
        &verify_demo(1, "--eps 1/25500 --method ibp"),
        &["--ledger", &alone],
    ));
    let model = asset("shapes.onnx");
    fails(2, &["verifications by bounds"])
        .check(&words(&format!("recertify {alone} --model {model}")));
}

/// The ledger is begun by bounds of a network that is removed in the end, on more inputs than are
/// smoothed: nothing of it is wrong or missing then.
#[test]
fn inputs_and_networks_of_verifications_alone_are_not_missed() {
    let place = Place::new();
    let (ledger, pruned) = (place.text("both.recert"), place.text("p20.onnx"));
    let model = asset("shapes.onnx");
    ok(&words(&format!(
        "approximate {model} --prune 20% --out {pruned}"
    )));
    let verify = format!(
        "verify --model {pruned} --data {} --limit 5 --eps 1/25500 --method ibp --ledger {ledger}",
        asset("shapes-test.npz"),
    );
    ok(&words(&verify));
    ok(&with(&certify_demo(60, 10, 2), &["--ledger", &ledger]));
    let strict = words(&format!("check {ledger} --strict"));
    let checked = ok(&strict).stdout;
    assert!(checked.contains("all checks passed"), "{checked}");
    ok(&words(&format!("forget {ledger} --network p20.onnx")));
    let checked = ok(&strict).stdout;
    assert!(checked.contains("all checks passed"), "{checked}");
    assert!(
        checked.contains("note: removed, as the journal records"),
        "{checked}"
    );
}

#[test]
fn counterexamples_are_written_and_lie_near_their_images() {
    let place = Place::new();
    let (folder, ledger) = (place.text("found"), place.text("bounds.recert"));
    let words = verify_demo(8, "--eps 8/255 --method attack");
    let flags = ["--counterexamples", &folder, "--ledger", &ledger];
    let said = ok(&with(&words, &flags));
    let found = rows(&said.stdout);
    let attacked: Vec<&String> = found
        .iter()
        .filter(|(_, row)| row[2] == "falsified" && row[4] == "attack")
        .map(|(idx, _)| idx)
        .collect();
    assert!(!attacked.is_empty(), "{}", said.stdout);
    let opened = Ledger::open_read_only(&place.path("bounds.recert")).unwrap();
    let (id, _, _) = opened.verifications().unwrap().remove(0);
    for result in opened.results(id).unwrap() {
        let idx = result.idx.unwrap();
        let file = place.path("found").join(format!("{idx}.npy"));
        assert_eq!(file.exists(), result.counterexample.is_some());
        assert_eq!(
            result.counterexample.is_some(),
            attacked.contains(&&idx.to_string())
        );
        let Some(pixels) = result.counterexample else {
            continue;
        };
        assert_eq!(result.verdict, Verdict::Falsified);
        let bytes = std::fs::read(&file).unwrap();
        let head = String::from_utf8_lossy(&bytes[..128]);
        assert!(head.contains("'shape': (1, 3, 32, 32,)"), "{head}");
        let values = bytes[128..].chunks_exact(4);
        let values = values.map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        assert!(values.eq(pixels.iter().copied()));
        // They are data that the same command takes, and the network answers otherwise.
        let model = asset("shapes.onnx");
        let text = crate::common::text(&file);
        let line = format!("verify --model {model} --data {text} --eps 0 --method ibp --quiet");
        let answered = rows(&ok(&crate::common::words(&line)).stdout);
        assert_ne!(answered["0"][1], found[&idx.to_string()][0]);
    }
}

#[test]
fn json_is_an_object_a_line_and_logs_are_continued() {
    let place = Place::new();
    let log = place.text("run.tsv");
    let words = verify_demo(3, "--eps 1/25500 --method ibp");
    let said = ok(&with(&words, &["--json", "--log", &log, "--quiet"]));
    assert_eq!(said.stderr, "");
    let objects = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<serde_json::Value> = objects.collect();
    assert_eq!(objects.len(), 5);
    assert_eq!(objects[0]["schema"], "recert-verify/1");
    assert_eq!(objects[0]["specification"], "linf 1/25500");
    // Images that are answered as their labels are bounded.
    let bounded = objects[1..4]
        .iter()
        .filter(|object| object["answer"] == object["label"]);
    for object in bounded.clone() {
        assert_eq!(object["by"], "ibp");
        assert!(object["margin"].is_f64(), "{object}");
    }
    assert!(bounded.count() > 0, "{objects:?}");
    assert_eq!(objects[4]["summary"]["inputs"], 3);
    let first = std::fs::read_to_string(&log).unwrap();
    assert_eq!(rows(&first).len(), 3);
    // Cut short, as by a process that was killed, and continued.
    std::fs::write(&log, &first[..first.len() - 5]).unwrap();
    ok(&with(&words, &["--log", &log]));
    assert_eq!(rows(&std::fs::read_to_string(&log).unwrap()), rows(&first));
    // Another file is left alone.
    std::fs::write(&log, "something else\n").unwrap();
    fails(2, &["is no log of `recert verify`"]).check(&with(&words, &["--log", &log]));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "something else\n");
}

#[test]
fn what_cannot_be_verified_is_refused_before_anything_runs() {
    let place = Place::new();
    for (more, code, part) in [
        ("--eps 2/0", 2, "is no distance"),
        ("--eps -0.1", 2, "is no distance"),
        ("--eps 0.1 --complete", 2, "--timeout"),
        ("--eps 0.1 --complete --timeout 5x", 2, "as in 60s"),
        (
            "--eps 0.1 --method ibp --complete --timeout 5s",
            2,
            "--method",
        ),
        ("--eps 0.1 --memory 0", 2, "--memory"),
        ("--eps 0.1 --norm l1", 2, "linf"),
        ("--eps 0.1 --vnnlib x.vnnlib", 2, "cannot be used"),
        ("--eps 0.1 --transform rotate=-1..1", 2, "cannot be used"),
        ("--norm l2 --transform rotate=-1..1", 2, "cannot be used"),
        ("--transform rotate=1..-1", 2, "it must rise"),
        (
            "--transform turn=-1..1",
            2,
            "there is no transformation 'turn'",
        ),
        (
            "--transform rotate=-1..1 --method alpha-crown",
            2,
            "--method",
        ),
        ("--transform rotate=-1..1 --cells 0", 2, "--cells"),
        ("", 2, "--eps"),
    ] {
        let ledger = place.text("none.recert");
        fails(code, &[part]).check(&with(&verify_demo(1, more), &["--ledger", &ledger]));
        assert!(!place.path("none.recert").exists());
    }
}

#[test]
fn vnnlib_files_are_verified_one_by_one_and_in_folders() {
    let place = Place::new();
    let model = asset("shapes.onnx");
    // A box of one point around grey: whatever class that is, some property holds and its
    // opposite does not.
    let inputs: Vec<String> = (0..3072)
        .map(|i| {
            format!(
                "(declare-const X_{i} Real)\n(assert (<= X_{i} 0.5))\n(assert (>= X_{i} 0.5))\n"
            )
        })
        .collect();
    let inputs = inputs.concat();
    let outputs: Vec<String> = (0..10)
        .map(|i| format!("(declare-const Y_{i} Real)\n"))
        .collect();
    let outputs = outputs.concat();
    let others = |class: usize, sign: &str| -> String {
        let others = (0..10).filter(|other| *other != class);
        let parts = others.map(|other| format!("(and ({sign} Y_{class} Y_{other}))"));
        parts.collect::<Vec<_>>().join(" ")
    };
    let mut verdicts = BTreeMap::new();
    let mut list = String::new();
    for class in 0..10 {
        let name = format!("class_{class}.vnnlib");
        let text = format!("{inputs}{outputs}(assert (or {}))\n", others(class, "<="));
        std::fs::write(place.path(&name), text).unwrap();
        list.extend(["shapes.onnx,", name.as_str(), ",20\n"]);
    }
    std::fs::copy(&model, place.path("shapes.onnx")).unwrap();
    std::fs::write(place.path("instances.csv"), list).unwrap();
    let ledger = place.text("files.recert");
    let folder = place.text("");
    let line = format!("verify --vnnlib {folder} --ledger {ledger}");
    let said = ok(&words(&line));
    for (name, row) in rows(&said.stdout) {
        verdicts.insert(name, row[2].clone());
    }
    // The class of the grey image is verified, and all others are falsified.
    let count = |verdict: &str| verdicts.values().filter(|v| *v == verdict).count();
    assert_eq!(
        (count("verified"), count("falsified")),
        (1, 9),
        "{verdicts:?}"
    );
    // One by one the same.
    for (name, verdict) in &verdicts {
        let file = place.text(name);
        let line = format!("verify --model {model} --vnnlib {file} --quiet");
        let alone = rows(&ok(&words(&line)).stdout);
        assert_eq!(alone[name][2], *verdict);
    }
    // And by the ledger.
    let again = ok(&words(&line));
    assert_eq!(rows(&again.stdout).len(), 10);
    let checked = ok(&words(&format!("check {ledger} --strict"))).stdout;
    assert!(
        checked.contains("vnnlib class_0.vnnlib by cascade"),
        "{checked}"
    );
    // A file of another network is refused.
    std::fs::write(
        place.path("other.vnnlib"),
        "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (<= X_0 1))\n(assert (>= X_0 \
         0))\n(assert (<= Y_0 0))\n",
    )
    .unwrap();
    let file = place.text("other.vnnlib");
    fails(3, &["1 inputs and 1 outputs"])
        .check(&words(&format!("verify --model {model} --vnnlib {file}")));
}

#[test]
fn transformations_are_verified_kept_and_checked() {
    let place = Place::new();
    let ledger = place.text("turned.recert");
    let folder = place.text("found");
    let flags = [
        "--ledger",
        &ledger,
        "--counterexamples",
        &folder,
        "--json",
        "--quiet",
    ];
    let slight = with(
        &verify_demo(
            4,
            "--transform brightness=-0.001..0.001,contrast=0.999..1.001",
        ),
        &flags,
    );
    let large = with(
        &verify_demo(4, "--transform brightness=-0.9..0.9 --method attack"),
        &flags,
    );
    for (words, verdict) in [(slight, "verified"), (large, "falsified")] {
        let said = ok(&words);
        let objects = said.stdout.lines();
        let objects = objects.map(|line| serde_json::from_str(line).unwrap());
        let objects: Vec<serde_json::Value> = objects.collect();
        let decided: Vec<_> = objects[1..5]
            .iter()
            .filter(|object| object["verdict"] == verdict && object["by"] != "answer")
            .collect();
        assert!(!decided.is_empty(), "{verdict}: {objects:?}");
        for object in decided {
            if verdict == "verified" {
                assert!(object["cells"].as_u64().is_some_and(|n| n > 0), "{object}");
                assert!(
                    object["margin"].as_f64().is_some_and(|m| m > 0.0),
                    "{object}"
                );
                continue;
            }
            let parameters = object["parameters"].as_array().unwrap();
            let t = parameters[0].as_f64().unwrap();
            assert!(parameters.len() == 1 && t.abs() <= 0.9, "{object}");
            // The image that was written is the transformed one, and is answered otherwise.
            let (model, idx) = (asset("shapes.onnx"), &object["input"]);
            let file = crate::common::text(&place.path("found").join(format!("{idx}.npy")));
            let line = format!("verify --model {model} --data {file} --eps 0 --method ibp --quiet");
            let answered = rows(&ok(&crate::common::words(&line)).stdout);
            assert_ne!(answered["0"][1], object["class"].to_string());
        }
        // Again, from the ledger: all but the summary, which has the time.
        let again = ok(&words).stdout;
        let kept = |text: &str| text.lines().take(5).map(str::to_owned).collect::<Vec<_>>();
        let (mut first, mut second) = (kept(&said.stdout), kept(&again));
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
    }
    let checked = ok(&crate::common::words(&format!("check {ledger} --strict"))).stdout;
    for part in [
        "transform brightness=-0.001..0.001,contrast=0.999..1.001 by cascade",
        "all checks passed",
    ] {
        assert!(checked.contains(part), "{part}: {checked}");
    }
    let reported = ok(&crate::common::words(&format!("report {ledger}"))).stdout;
    assert!(reported.contains("transform brightness"), "{reported}");
}

#[test]
fn a_modified_network_is_verified_from_the_originals_ledger() {
    let place = Place::new();
    let (ledger, modified) = (place.text("bounds.recert"), place.text("shapes.bf16.onnx"));
    let original = asset("shapes.onnx");
    let mut line = format!("approximate {original} --bf16 --out {modified}");
    ok(&crate::common::words(&line));
    let begun = verify_demo(3, "--eps 1/25500 --method crown");
    let originals = rows(&ok(&with(&begun, &["--ledger", &ledger])).stdout);
    line = format!("verify --from {ledger} --model {modified}");
    let transferred = with(&crate::common::words(&line), &["--original", &original]);
    let said = ok(&transferred);
    let found = rows(&said.stdout);
    assert_eq!(found.len(), originals.len());
    let verified = |row: &&Vec<String>| row[2] == "verified";
    let by_transfer = found.values().filter(|row| row[4].starts_with("transfer-"));
    assert!(
        by_transfer.clone().filter(verified).count() > 0,
        "{}",
        said.stdout
    );
    let cost = "decided by a transfer of bounds";
    assert!(said.stderr.contains(cost), "{}", said.stderr);
    // Resumed, nothing is left to do.
    assert_eq!(rows(&ok(&transferred).stdout), found);
    // Without the original's file, and at once with JSON.
    let said = ok(&with(&crate::common::words(&line), &["--json", "--quiet"]));
    let last = said.stdout.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["summary"]["from"]["inputs"], 3);
    assert_eq!(last["summary"]["from"]["transferred"], 0);
    let checked = ok(&crate::common::words(&format!("check {ledger} --strict"))).stdout;
    assert!(checked.contains("by transfer: "), "{checked}");
    let condition = "if the bounds that this ledger records of the network with SHA-256";
    assert!(checked.contains(condition), "{checked}");
    for (more, code, part) in [
        (
            format!("--original {modified}"),
            4,
            "is not the network that was verified",
        ),
        ("--eps 7/255".to_owned(), 2, "holds no such verification"),
        ("--method crown".to_owned(), 2, "cannot be used"),
        (format!("--ledger {ledger}"), 2, "cannot be used"),
        ("--transform rotate=-1..1".to_owned(), 2, "cannot be used"),
    ] {
        fails(code, &[part]).check(&crate::common::words(&format!("{line} {more}")));
    }
}

#[test]
fn a_family_is_verified_and_named_in_every_statement() {
    let place = Place::new();
    let ledger = place.text("family.recert");
    let words = verify_demo(2, "--eps 1/25500 --method ibp --weights-within 1e-7");
    let said = ok(&with(&words, &["--ledger", &ledger, "--json"]));
    let first = said.stdout.lines().next().unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    let family = "every network whose weights are within 0.0000001 of those of the network";
    assert!(
        first["statement"].as_str().unwrap().contains(family),
        "{first}"
    );
    let checked = ok(&crate::common::words(&format!("check {ledger} --strict"))).stdout;
    assert!(
        checked.contains("weights within 0.0000001 by ibp"),
        "{checked}"
    );
    assert!(checked.contains(family), "{checked}");
    let reported = ok(&crate::common::words(&format!("report {ledger}"))).stdout;
    // Its lines are broken where they are full.
    let unbroken: Vec<_> = reported.split_whitespace().collect();
    assert!(unbroken.join(" ").contains(family), "{reported}");
    let wrong = verify_demo(2, "--eps 1/25500 --weights-within int4");
    fails(2, &["is no step of weights"]).check(&wrong);
}
