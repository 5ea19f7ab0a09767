//! What the program says of likely mistakes and of places, before and after it runs.

use crate::common::{Place, asset, certify_demo, fails, ok, run, with};

fn certified(place: &Place, name: &str) -> String {
    let ledger = place.text(name);
    ok(&with(&certify_demo(200, 20, 20), &["--ledger", &ledger]));
    ledger
}

fn approximated(place: &Place, flags: &[&str]) -> String {
    let network = place.text("modified.onnx");
    let words = ["approximate", &asset("shapes.onnx"), "--out", &network];
    ok(&with(&with(&[], &words), flags));
    network
}

#[test]
fn alpha_is_a_probability() {
    let place = Place::new();
    let ledger = place.text("run.recert");
    let words = with(&certify_demo(30, 5, 2), &["--ledger", &ledger]);
    let says = ["--alpha", "not a percentage", "write 0.001 for 0.1%"];
    fails(2, &says).check(&with(&words, &["--alpha", "0.1%"]));
    fails(2, &["a number between 0 and 1"]).check(&with(&words, &["--alpha", "one"]));
    fails(2, &["not a percentage"]).check(&with(&[], &["samples", "--alpha", "1%"]));
    ok(&with(&words, &["--alpha", "0.01"]));
    let words = with(
        &[],
        &["recertify", &ledger, "--model", &asset("shapes.onnx")],
    );
    fails(2, &["write 0.002 for 0.2%"]).check(&with(&words, &["--alpha", "0.2%"]));
}

#[test]
fn samples_that_can_certify_nothing_are_warned_of() {
    let place = Place::new();
    let certify = |n: u32, name: &str| {
        let words = with(&certify_demo(n, 5, 2), &["--ledger", &place.text(name)]);
        ok(&words).stderr
    };
    let said = certify(2, "few.recert");
    let warning = "n = 2 estimation samples certify nothing at alpha = 0.001, even if all are \
                   answered alike: that takes n = 11 or more (see --n)";
    assert!(said.contains(warning), "{said}");
    let said = certify(11, "enough.recert");
    assert!(!said.contains("certify nothing"), "{said}");
}

#[test]
fn a_ledger_that_cannot_be_written_is_found_before_the_network_is_read() {
    let place = Place::new();
    let absent = place.text("absent.onnx");
    let certify = |ledger: &str| {
        let model = asset("shapes.onnx");
        let words = certify_demo(30, 5, 2).into_iter();
        let words: Vec<String> = words
            .map(|word| if word == model { absent.clone() } else { word })
            .collect();
        with(&words, &["--ledger", ledger])
    };
    let nowhere = place.text("nowhere/run.recert");
    fails(3, &["nowhere", "there is no folder", "make it"]).check(&certify(&nowhere));
    fails(3, &["is not a file but a folder"]).check(&certify(&place.text("")));
    // Nobody may make files there, whoever runs this.
    if cfg!(target_os = "linux") {
        fails(3, &["/proc/run.recert", "cannot be opened for writing"])
            .check(&certify("/proc/run.recert"));
    }
    // With a good place it is the network that is missing, and nothing was left there.
    let good = place.text("run.recert");
    fails(3, &["absent.onnx"]).check(&certify(&good));
    let left = std::fs::read_dir(place.path("")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_cut_ledger_says_where_the_rest_may_be() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let whole = std::fs::read(&ledger).unwrap();
    let cut = place.text("cut.recert");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let says = [
        "cut.recert",
        "damaged",
        "recert snapshot",
        "-wal",
        "earlier copy",
    ];
    for words in [
        with(&[], &["report", &cut]),
        with(&certify_demo(200, 20, 20), &["--ledger", &cut]),
    ] {
        fails(3, &says).check(&words);
    }
}

#[test]
fn another_normalisation_than_the_ledgers_is_named() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let network = approximated(&place, &["--prune", "10%"]);
    let words = with(
        &[],
        &["recertify", &ledger, "--model", &network, "--budget", "5%"],
    );
    let said = ok(&words).stderr;
    assert!(!said.contains("normalised otherwise"), "{said}");
    let said = ok(&with(&words, &["--mean", "0.01"])).stderr;
    for part in [
        "modified.onnx is normalised otherwise",
        "mean=0.01",
        "shapes.onnx in the ledger (none)",
        "(see --mean)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_summary_stands_beside_the_originals() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let network = approximated(&place, &["--prune", "10%"]);
    let words = with(&[], &["recertify", &ledger, "--model", &network]);
    let said = ok(&with(&words, &["--budget", "20%"])).stderr;
    for part in [
        "modified.onnx: average certified radius 0.",
        " at alpha 0.002 from ",
        "; shapes.onnx, on the same inputs: 0.",
        " at alpha 0.001 from 4400 evaluations",
        "From scratch, modified.onnx is expected to take ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A smaller budget has its samples among those: what it took, and what its certificates rest
    // on, are two figures that agree.
    let second = ok(&with(&words, &["--budget", "10%"])).stderr;
    let number = |after: &str, before: &str| -> u64 {
        let (_, rest) = second
            .split_once(after)
            .unwrap_or_else(|| panic!("{after}: {second}"));
        let (number, _) = rest
            .split_once(before)
            .unwrap_or_else(|| panic!("{before}: {second}"));
        let number = number.rsplit(' ').next().unwrap();
        number
            .parse()
            .unwrap_or_else(|_| panic!("{number}: {second}"))
    };
    let new = number("", " new evaluation");
    let all = number(" at alpha 0.002 from ", " evaluations");
    let reused = number(" evaluations (", " of them reused from earlier runs)");
    assert!(reused > 0 && all == new + reused, "{second}");
    assert!(
        !said.contains("new evaluation") && !said.contains("reused"),
        "{said}"
    );
    // A target is of radii of any class, and is named beside the other average.
    let said = ok(&with(&words, &["--target-acr", "0.2"])).stderr;
    for part in [
        "average radius of any class 0.",
        "of which 0.2 was the target; average certified radius 0.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn quantized_networks_are_named_so_and_calibration_on_the_inputs_is_seen() {
    let place = Place::new();
    let test = asset("shapes-test.npz");
    let int8 = |calibration: &str, name: &str| {
        let network = place.text(name);
        let words = [
            "approximate",
            &asset("shapes.onnx"),
            "--int8",
            "--calibration",
            calibration,
            "--out",
            &network,
        ];
        ok(&with(&[], &words));
        network
    };
    let (on_test, apart) = (
        int8(&test, "test.int8.onnx"),
        int8(&asset("shapes-calibration.npz"), "apart.int8.onnx"),
    );
    let certify = |model: &str, name: &str| {
        let words = [
            "certify", "--model", model, "--data", &test, "--sigma", "0.5", "--n", "50", "--limit",
            "6", "--ledger",
        ];
        ok(&with(&with(&[], &words), &[&place.text(name)])).stderr
    };
    let warning =
        "test.int8.onnx was quantized by the ranges of its activations on 6 of the 6 inputs";
    let said = certify(&on_test, "test.recert");
    assert!(said.contains(warning), "{said}");
    assert!(
        said.contains("float32 (its quantized layers: 8 bits"),
        "{said}"
    );
    assert_eq!(said.matches("was quantized by").count(), 1, "{said}");
    let said = certify(&apart, "apart.recert");
    assert!(!said.contains("was quantized by"), "{said}");

    // Of a ledger that has the inputs it is known before anything runs.
    let ledger = certified(&place, "run.recert");
    let words = with(&[], &["recertify", &ledger, "--model", &on_test]);
    let said = ok(&with(&words, &["--budget", "5%"])).stderr;
    let (warned, summary) = (
        said.find("on 20 of the 20 inputs"),
        said.find(" recertified, "),
    );
    assert!(warned.is_some() && warned < summary, "{said}");
    let report = ok(&with(&[], &["report", &ledger, "--csv"])).stdout;
    assert!(
        report.contains("\"test.int8.onnx, quantized layers in 8 bits where the engine has them\""),
        "{report}"
    );
}

#[test]
fn a_radius_to_stop_at_has_a_plan() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let network = approximated(&place, &["--bf16"]);
    let words = with(&[], &["recertify", &ledger, "--model", &network, "--plan"]);
    let before = std::fs::read(&ledger).unwrap();
    let said = ok(&with(&words, &["--until-radius", "0.25"]));
    for part in [
        "stopping each of 20 inputs at radius 0.25",
        "evaluations planned, for",
        "after 0.5 to 6 times its plan",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let planned = |radius: &str| {
        let said = ok(&with(&words, &["--until-radius", radius, "--json"])).stdout;
        let document: serde_json::Value = serde_json::from_str(&said).unwrap();
        let until = document["networks"][0]["until"].clone();
        (
            until["evaluations"].as_u64().unwrap(),
            until["promising"].as_u64().unwrap(),
        )
    };
    let (near, far) = (planned("0.1"), planned("0.4"));
    assert!(0 < near.0 && near.1 >= far.1, "{near:?} {far:?}");
    // None is out of the question before its pilot.
    let never = planned("9");
    assert!(never.0 < near.0 && never.1 == 0, "{never:?}");
    let csv = ok(&with(&words, &["--until-radius", "0.25", "--csv"])).stdout;
    assert!(csv.starts_with("network,inputs,n,until_radius,"), "{csv}");
    assert!(std::fs::read(&ledger).unwrap() == before, "nothing was run");

    // What is planned is what is evaluated, within what the plan says of itself.
    let words = with(&[], &["recertify", &ledger, "--model", &network]);
    let said = ok(&with(&words, &["--until-radius", "0.25"]));
    let evaluated: u64 = said
        .stderr
        .lines()
        .find_map(|line| {
            let (before, _) = line.split_once(" evaluations in ")?;
            before.rsplit(' ').next()?.parse().ok()
        })
        .expect("a summary");
    let planned = planned("0.25").0;
    assert!(
        evaluated * 2 >= planned && evaluated <= 6 * planned,
        "{evaluated} of {planned}"
    );
}

#[test]
fn json_has_the_radii_asked_for_and_numbers() {
    let place = Place::new();
    let ledger = certified(&place, "run.recert");
    let words = ["report", &ledger, "--json", "--radii", "0,0.3"];
    let said = ok(&with(&[], &words)).stdout;
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["metrics"]["radii"], serde_json::json!([0.0, 0.3]));
    assert_eq!(run["parameters"]["seed"].as_u64(), Some(0));
    assert!(run["wall_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(run["planned_inputs"], 20);
}

/// A bitmap of 3 x 8 x 8 in one colour.
fn bitmap(grey: u8) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    let pixels = 8 * 8 * 3_u32;
    for number in [54 + pixels, 0, 54, 40, 8, 8] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    for number in [0, pixels, 2835, 2835, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(std::iter::repeat_n(grey, pixels as usize));
    bytes
}

#[test]
fn how_folders_number_classes_is_stated() {
    let place = Place::new();
    let model = asset("made/plain.onnx");
    for (folder, grey) in [("apple", 10), ("bear", 200)] {
        std::fs::create_dir_all(place.path(&format!("images/{folder}"))).unwrap();
        let file = place.path(&format!("images/{folder}/one.bmp"));
        std::fs::write(file, bitmap(grey)).unwrap();
    }
    let images = place.text("images");
    let certify = |name: &str, flags: &[&str]| {
        let words = [
            "certify", "--model", &model, "--data", &images, "--sigma", "0.5", "--n", "30",
            "--ledger",
        ];
        let words = with(&with(&[], &words), &[&place.text(name)]);
        let said = run(&with(&words, flags));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stderr
    };
    let said = certify("guessed.recert", &[]);
    for part in [
        "labels are the positions of the 2 folders in the order of their names",
        "0 is 'apple', 1 is 'bear'",
        "these are likely not its numbers",
        "(see --classes)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let list = place.path("classes.txt");
    std::fs::write(&list, "apple\nbear\ncat\ndog\n").unwrap();
    let said = certify("listed.recert", &["--classes", list.to_str().unwrap()]);
    assert!(!said.contains("in the order of their names"), "{said}");
}
