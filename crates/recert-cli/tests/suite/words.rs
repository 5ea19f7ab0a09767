//! What a person reads while a command runs: a first look at the accuracy, warnings of what
//! are likely mistakes, the summary, and nothing where nothing is wanted.

use crate::common::{Place, asset, certify_demo, fails, ok, rows, with, words};

/// A ledger of the demo network on 20 inputs, and what was said.
fn certified(place: &Place, name: &str) -> (String, String) {
    let ledger = place.text(name);
    let said = ok(&with(&certify_demo(200, 20, 20), &["--ledger", &ledger]));
    assert_eq!(rows(&said.stdout).len(), 20);
    (ledger, said.stderr)
}

fn pruned(place: &Place) -> String {
    let network = place.text("pruned.onnx");
    let words = [
        "approximate",
        &asset("shapes.onnx"),
        "--prune",
        "10%",
        "--out",
        &network,
    ];
    ok(&with(&[], &words));
    network
}

#[test]
fn a_run_begins_with_a_first_look_and_ends_with_a_summary() {
    let place = Place::new();
    let (ledger, said) = certified(&place, "run.recert");
    let first = " of 20 inputs as their labels, and ";
    assert!(said.contains(first), "{said}");
    assert!(!said.contains("guessing"), "{said}");
    let summary = "average certified radius 0.";
    for part in [
        summary,
        "certified accuracy ",
        " at radius 0, ",
        " at radius 0.5, ",
        " at radius 1\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let next = format!("next: recert recertify {ledger} --model MODIFIED.onnx");
    assert!(said.contains(&next), "{said}");
    let words = with(&[], &["recertify", &ledger, "--model", &pruned(&place)]);
    let said = ok(&with(&words, &["--budget", "20%"])).stderr;
    assert!(said.contains(summary), "{said}");
    assert!(
        said.contains(&format!("next: recert report {ledger}")),
        "{said}"
    );
}

#[test]
fn quiet_is_quiet() {
    let place = Place::new();
    let words = certify_demo(100, 10, 5).into_iter();
    let words: Vec<String> = words
        .map(|word| if word == "0.5" { "9".to_owned() } else { word })
        .collect();
    let words = with(&words, &["--quiet"]);
    let said = ok(&with(&words, &["--ledger", &place.text("run.recert")]));
    assert_eq!(said.stderr, "");
    assert_eq!(rows(&said.stdout).len(), 5);
}

#[test]
fn likely_mistakes_are_warned_of() {
    let place = Place::new();
    let certify = |name: &str, flags: &[&str]| {
        let words = with(&certify_demo(30, 5, 20), &["--ledger", &place.text(name)]);
        ok(&with(&words, flags)).stderr
    };
    // Another normalisation than it was trained with, and a sigma for pixels up to 255.
    let said = certify("mean.recert", &["--mean", "5"]);
    assert!(said.contains("does it need normalisation"), "{said}");
    assert!(said.contains("(see --mean)"), "{said}");
    let words = with(
        &[],
        &[
            "certify",
            "--model",
            &asset("shapes.onnx"),
            "--data",
            &asset("shapes-test.npz"),
            "--sigma",
            "128",
            "--n",
            "30",
            "--limit",
            "20",
            "--ledger",
            &place.text("sigma.recert"),
        ],
    );
    let said = ok(&words).stderr;
    assert!(said.contains("divided by 255"), "{said}");
    assert!(said.contains("under noise of sigma 128"), "{said}");
    assert!(said.contains("trained under such noise"), "{said}");

    let (ledger, _) = certified(&place, "run.recert");
    let recertify = |model: &str, flags: &[&str]| {
        let words = with(&[], &["recertify", &ledger, "--model", model]);
        ok(&with(&words, flags)).stderr
    };
    let network = pruned(&place);
    let said = recertify(&network, &["--budget", "5"]);
    assert!(
        said.contains("5 evaluations for all 20 inputs together"),
        "{said}"
    );
    assert!(said.contains("5% would be"), "{said}");
    let said = recertify(&network, &["--until-radius", "3"]);
    assert!(said.contains("radius 3 is out of reach"), "{said}");
    let said = recertify(&asset("shapes.onnx"), &["--budget", "10%"]);
    assert!(
        said.contains("is the network that the ledger certifies"),
        "{said}"
    );
}

#[test]
fn a_distance_for_pixels_up_to_255_is_pointed_out() {
    let (model, data) = (asset("shapes.onnx"), asset("shapes-test.npz"));
    for command in ["verify", "explain"] {
        let said = |flags: &str| {
            let line = format!("{command} --model {model} --data {data} --limit 1 {flags}");
            ok(&words(&line)).stderr
        };
        let wrong = said("--eps 8");
        assert!(wrong.contains("as in 8/255 (see --eps)"), "{wrong}");
        for right in [
            "--eps 8/255",
            "--eps 1",
            "--eps 8 --norm l2",
            "--eps 8 --quiet",
        ] {
            let said = said(right);
            assert!(!said.contains("divided by 255"), "{right}: {said}");
        }
    }
}

#[test]
fn a_ledger_of_smoothing_alone_is_no_beginning_of_a_verification() {
    let place = Place::new();
    let (ledger, _) = certified(&place, "run.recert");
    let line = format!("verify --from {ledger} --model {}", asset("shapes.onnx"));
    fails(
        2,
        &["holds no verification", "verify the original into it first"],
    )
    .check(&words(&line));
}

#[test]
fn a_flag_that_would_be_ignored_is_refused() {
    let place = Place::new();
    let (ledger, _) = certified(&place, "run.recert");
    let network = pruned(&place);
    let recertify = with(&[], &["recertify", &ledger, "--model", &network]);
    for (flags, says) in [
        (["--n-p", "5%", "--budget", "5%"], "(see --n-p)"),
        (["--gamma", "0.9", "--method", "auto"], "(see --gamma)"),
        (["--method", "irs", "--n-p", "5%"], "(see --one-sided)"),
    ] {
        let mut words = with(&recertify, &flags);
        if says.contains("one-sided") {
            words.push("--one-sided".to_owned());
        }
        fails(2, &[says]).check(&words);
    }
    // Each is taken where a method uses it.
    for flags in [
        ["--n-p", "5%", "--budget", "5%", "--method", "auto,irs"],
        ["--gamma", "0.9", "--method", "irs", "--n-p", "5%"],
    ] {
        ok(&with(&recertify, &flags));
    }
}

#[test]
fn whole_numbers_may_be_in_scientific_notation() {
    let place = Place::new();
    let certify = |n: &str, name: &str| {
        let words = with(&certify_demo(7, 5, 2), &["--ledger", &place.text(name)]);
        let words: Vec<String> = words
            .into_iter()
            .map(|word| if word == "7" { n.to_owned() } else { word })
            .collect();
        words
    };
    let plain = ok(&certify("200", "plain.recert"));
    let scientific = ok(&certify("2e2", "scientific.recert"));
    assert_eq!(rows(&plain.stdout), rows(&scientific.stdout));
    for wrong in ["2.5", "1e-1", "-5", "1e30", "x"] {
        fails(2, &["--n", "whole number"]).check(&certify(wrong, "wrong.recert"));
    }
}

#[test]
fn candidates_rows_name_their_network() {
    let place = Place::new();
    let (ledger, _) = certified(&place, "run.recert");
    let (a, b) = (pruned(&place), asset("shapes.onnx"));
    let words = [
        "recertify",
        &ledger,
        "--model",
        &a,
        "--model",
        &b,
        "--budget",
        "5%",
    ];
    let said = ok(&with(&[], &words));
    let mut lines = said.stdout.lines();
    assert!(lines.next().unwrap().ends_with("\ttime\tnetwork"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 40);
    for network in [&a, &b] {
        let end = format!("\t{network}");
        assert_eq!(lines.iter().filter(|line| line.ends_with(&end)).count(), 20);
        let summary = format!("{network}: average certified radius");
        assert!(said.stderr.contains(&summary), "{}", said.stderr);
    }
}

#[test]
fn an_approximation_goes_where_it_is_told_to() {
    let place = Place::new();
    let model = place.text("shapes.onnx");
    std::fs::copy(asset("shapes.onnx"), &model).unwrap();
    let words = with(&[], &["approximate", &model, "--bf16"]);
    fails(2, &["--out"]).check(&words);
    assert!(!place.path("shapes.bf16.onnx").exists());
    std::fs::create_dir(place.path("made")).unwrap();
    ok(&with(&words, &["--out", &place.text("made")]));
    assert!(place.path("made/shapes.bf16.onnx").is_file());
}

#[test]
fn every_help_is_by_subject_and_shells_and_manuals_know_every_command() {
    let place = Place::new();
    let help = |words: &[&str]| ok(&with(&with(&[], words), &["--help"])).stdout;
    for command in ["certify", "recertify", "approximate"] {
        let help = help(&[command]);
        for heading in ["\nOptions:", "\nData:", "\nNetwork:", "\nExample"] {
            assert!(help.contains(heading), "{command}: {heading}");
        }
    }
    assert!(help(&["certify"]).contains("\nThrough a faster version:"));
    assert!(help(&["check"]).contains("\nRunning samples again:"));

    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ok(&with(&[], &["completions", shell])).stdout;
        for word in ["recertify", "until-radius", "approximate"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let folder = place.text("man");
    ok(&with(&[], &["man", &folder]));
    for page in [
        "recert",
        "recert-certify",
        "recert-recertify",
        "recert-check",
    ] {
        let page = std::fs::read_to_string(format!("{folder}/{page}.1")).unwrap();
        assert!(page.contains(".TH"));
    }
    let page = std::fs::read_to_string(format!("{folder}/recert-certify.1")).unwrap();
    assert!(page.contains("until\\-radius"), "{page}");
}

/// The cells of a line of comma-separated values, without their quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

#[test]
fn a_report_may_be_a_line_per_run_or_comma_separated() {
    let place = Place::new();
    let (ledger, _) = certified(&place, "run.recert");
    let words = with(&[], &["recertify", &ledger, "--model", &pruned(&place)]);
    ok(&with(&words, &["--method", "auto,irs", "--n-p", "20%"]));

    let report = with(&[], &["report", &ledger]);
    let brief = ok(&with(&report, &["--brief"])).stdout;
    let all = ok(&report).stdout;
    let runs = |text: &str| text.lines().filter(|line| line.contains(".onnx")).count();
    assert_eq!(runs(&brief), 3, "{brief}");
    assert!(
        brief.lines().count() < 20 && all.lines().count() > 40,
        "{brief}"
    );

    let csv = ok(&with(&report, &["--csv", "--radii", "0,0.5"])).stdout;
    let lines: Vec<Vec<String>> = csv.lines().map(cells).collect();
    assert_eq!(lines.len(), 4, "{csv}");
    let column = |name: &str| lines[0].iter().position(|head| *head == name).unwrap();
    assert_eq!(lines[1][column("evaluations")], "4400");
    assert_eq!(lines[1][column("inputs")], "20");
    assert_eq!(lines[1][column("certified_at_0.5")], "0.5");
    for line in &lines[1..] {
        assert_eq!(line.len(), lines[0].len());
        let radius: f64 = line[column("average_certified_radius")].parse().unwrap();
        assert!(radius > 0.0);
    }

    let plan = with(&words, &["--plan", "--csv"]);
    let plan = ok(&plan).stdout;
    assert!(
        plan.starts_with("network,inputs,n,evaluations,auto,"),
        "{plan}"
    );
    assert!(plan.lines().count() > 3, "{plan}");
}

#[cfg(not(feature = "train"))]
#[test]
fn what_this_program_is_built_without_says_how_to_build_it() {
    for line in [
        "train --method ibp --eps 0.1",
        "sweep sweep.toml --out x",
        "train --help",
    ] {
        fails(2, &["--features train", "docs/training.md"]).check(&words(line));
    }
}
