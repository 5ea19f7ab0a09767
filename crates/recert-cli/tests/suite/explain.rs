//! `recert explain`: the table, the files, and what is refused.

use serde_json::Value;

use crate::common::{Place, asset, fails, ok, with, words};

/// `explain` of the demo network on the demo images.
fn explain_demo(more: &str) -> Vec<String> {
    words(&format!(
        "explain --model {} --data {} --limit 4 --eps 1/25500 {more}",
        asset("shapes.onnx"),
        asset("shapes-test.npz"),
    ))
}

#[test]
fn the_table_the_document_and_the_page_agree() {
    let place = Place::new();
    let (json, page) = (place.text("features.json"), place.text("features.html"));
    let files = ["--json", &json, "--html", &page, "--pictures", "2"];
    let ran = ok(&with(&explain_demo("--method crown"), &files));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(document["schema"], "recert-explain/1");
    assert_eq!(document["specification"], "linf 1/25500");
    assert_eq!(document["inputs"].as_array().unwrap().len(), 4);
    let proved = document["metrics"][0]["proved"].as_u64().unwrap();
    assert!(proved > 0, "{document}");
    assert!(
        ran.stdout.contains(&format!("{proved} of 4")),
        "{}",
        ran.stdout
    );
    for order in ["priority", "weight only", "random"] {
        assert!(ran.stdout.contains(order), "{}", ran.stdout);
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("data:image/png;base64,"));
    let cards = page.matches("<article").count();
    assert!((1..=2).contains(&cards), "{cards}");
    // The numbers of the pictures, of the inputs that have them on the page: as many as pixels.
    let inputs = document["inputs"].as_array().unwrap();
    let shown = inputs.iter().filter(|input| input.get("image").is_some());
    assert_eq!(shown.count(), 2);
    let features = inputs.iter().flat_map(|input| {
        let kept = input["proofs"][0]["kept"].as_array().unwrap();
        kept.iter().map(move |kept| (input, kept))
    });
    let mut drawn = 0;
    for (input, kept) in features {
        let Some(picture) = kept.get("picture") else {
            continue;
        };
        assert_eq!(picture["shape"], input["image"]["shape"]);
        let values = picture["values"].as_array().unwrap();
        assert_eq!(
            values.len(),
            input["image"]["values"].as_array().unwrap().len()
        );
        assert!(values.iter().any(|value| value.as_f64() != Some(0.0)));
        drawn += 1;
    }
    assert!(drawn > 0, "{document}");
    // Without being asked for they are left out; the rest is the same with other threads.
    let again = place.text("again.json");
    let files = ["--json", &again, "--html", &place.text("again.html")];
    ok(&with(&explain_demo("--threads 1"), &files));
    let mut pictured: Value = document.clone();
    for input in pictured["inputs"].as_array_mut().unwrap() {
        input.as_object_mut().unwrap().remove("image");
        for kept in input["proofs"][0]["kept"].as_array_mut().unwrap() {
            kept.as_object_mut().unwrap().remove("picture");
        }
    }
    let again: Value = serde_json::from_str(&std::fs::read_to_string(&again).unwrap()).unwrap();
    assert_eq!(again, pictured);
}

#[test]
fn two_versions_stand_side_by_side() {
    let place = Place::new();
    let version = place.text("shapes.bf16.onnx");
    ok(&words(&format!(
        "approximate {} --bf16 --out {version}",
        asset("shapes.onnx")
    )));
    let page = place.text("both.html");
    let ran = ok(&with(
        &explain_demo(""),
        &["--versus", &version, "--html", &page],
    ));
    for shown in [
        "shapes.bf16.onnx",
        "overlap of the kept sets",
        "inputs that both prove",
    ] {
        assert!(ran.stdout.contains(shown), "{shown}: {}", ran.stdout);
    }
    assert!(
        std::fs::read_to_string(&page)
            .unwrap()
            .contains("Side by side")
    );
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let place = Place::new();
    let model = asset("shapes.onnx");
    let file = place.text("one");
    for (more, part) in [
        (format!("--html {model}"), "the network"),
        (format!("--html {file} --json {file}"), "same file"),
        ("--memory 0".to_owned(), "--memory"),
        ("--method attack".to_owned(), "alpha-crown"),
    ] {
        fails(2, &[part]).check(&explain_demo(&more));
    }
    assert!(!place.path("one").exists());
}
