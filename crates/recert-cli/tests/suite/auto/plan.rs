//! `recertify --plan` and `--target-acr`: what is expected before anything is run.

use serde_json::Value;

use super::{WHOLE, answered, approximate, base, int8, mean_radius, recertify};
use crate::common::{Place, certify_demo, evaluations, held, ok, with};

fn plan(ledger: &str, network: &str, flags: &[&str]) -> Vec<Value> {
    let flags = [&["--plan", "--json"], flags].concat();
    let said = ok(&recertify(ledger, network, &flags));
    assert!(!said.stderr.contains("evaluations"), "{}", said.stderr);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(plan["schema"], "recert-plan/2");
    let networks = plan["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 1);
    assert!(networks[0]["basis"].is_string(), "{plan}");
    networks[0]["budgets"].as_array().unwrap().clone()
}

fn numbers(lines: &[Value], name: &str) -> Vec<f64> {
    lines
        .iter()
        .map(|line| line[name].as_f64().unwrap())
        .collect()
}

#[test]
fn a_plan_runs_nothing_and_says_what_a_run_gives() {
    let place = Place::new();
    let ledger = base(&place, "run.recert");
    let int8 = int8(&place);
    let before = std::fs::read(&ledger).unwrap();
    let lines = plan(&ledger, &int8, &[]);
    assert!(lines.len() >= 5, "{lines:?}");
    for name in ["evaluations", "auto"] {
        let all = numbers(&lines, name);
        assert!(all.is_sorted_by(|a, b| a < b), "{name}: {all:?}");
    }
    for baseline in ["from_scratch", "planned", "paper"] {
        let each = lines.iter();
        let scratch: Vec<_> = each
            .map(|line| line["from_scratch"][baseline].as_f64().unwrap())
            .collect();
        assert!(scratch.is_sorted(), "{baseline}: {scratch:?}");
    }
    for line in &lines {
        let [own, planned, paper] =
            ["from_scratch", "planned", "paper"].map(|name| line["from_scratch"][name].as_f64());
        // A plan spends samples better, and selection samples are worth nothing.
        assert!(planned >= own && own >= paper, "{line}");
        let ratio = |name: &str| line["speed_up"][name]["ratio"].as_f64().unwrap();
        assert!(ratio("paper") > ratio("from_scratch"), "{line}");
        assert!(ratio("from_scratch") >= ratio("planned"), "{line}");
    }
    // Samples of a network that answers as the original does are worth more than samples from
    // scratch where there are few. With only 600 samples of the original there is not much to
    // reuse, so that from scratch catches up.
    let better = |line: &Value| line["certify_from_scratch"].as_bool().unwrap();
    assert!(!better(&lines[0]) && better(lines.last().unwrap()));
    assert!(lines.is_sorted_by_key(better), "{lines:?}");

    let table = ok(&recertify(&ledger, &int8, &["--plan"])).stdout;
    for part in [
        "int8.onnx",
        "evaluations",
        "scratch",
        "planned",
        "12 inputs",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(table.lines().count(), lines.len() + 11, "{table}");

    let budgets = ["--budget", "5%,10%,30%"];
    let lines = plan(&ledger, &int8, &budgets);
    assert!(std::fs::read(&ledger).unwrap() == before);
    assert_eq!(numbers(&lines, "evaluations"), [360.0, 720.0, 2160.0]);
    let expected = numbers(&lines, "auto");
    for (budget, expected) in ["5%", "10%", "30%"].iter().zip(expected) {
        base(&place, "run.recert");
        let said = ok(&recertify(&ledger, &int8, &["--budget", budget]));
        let got = mean_radius(&said);
        assert!(
            (got / expected - 1.0).abs() < 0.2,
            "{budget}: {got} {expected}"
        );
    }
    // The same again, with the samples of that run to go by.
    let after = held(&place.path("run.recert"));
    let lines = plan(&ledger, &int8, &budgets);
    assert_eq!(held(&place.path("run.recert")), after);
    assert!(numbers(&lines, "auto").is_sorted_by(|a, b| a < b));

    // For a radius to reach, a larger one costs more.
    let cost = |radius: &str| {
        let lines = plan(&ledger, &int8, &["--target-acr", radius]);
        (lines.len(), lines[0]["evaluations"].as_u64().unwrap())
    };
    let (low, high) = (cost("0.1"), cost("0.3"));
    assert!(low.0 == 1 && high.0 == 1 && 0 < low.1 && low.1 < high.1);

    // Several networks stand in one document.
    let bf16 = approximate(&place, "bf16", &["--bf16"]);
    let words = recertify(&ledger, &int8, &["--model", &bf16, "--plan"]);
    let said = ok(&with(&words, &["--json", "--budget", "5%"]));
    let both: Value = serde_json::from_str(&said.stdout).unwrap();
    let files = both["networks"].as_array().unwrap().iter();
    let files: Vec<_> = files
        .map(|plan| plan["network"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["int8.onnx", "bf16.onnx"]);
    assert_eq!(held(&place.path("run.recert")), after);
}

#[test]
fn a_plan_advises_against_recertifying_where_it_promises_nothing() {
    let place = Place::new();
    let ledger = place.text("tiny.recert");
    let words = with(&certify_demo(6, 10, 3), &["--every", "7"]);
    ok(&with(&words, &["--ledger", &ledger]));
    let bf16 = approximate(&place, "bf16", &["--bf16"]);
    let table = ok(&recertify(&ledger, &bf16, &["--plan"])).stdout;
    let advice = "Recertifying promises nothing here: certify from scratch instead";
    assert!(table.contains(advice), "{table}");
    let lines = plan(&ledger, &bf16, &[]);
    assert!(
        lines
            .iter()
            .all(|line| line["evaluations"].as_u64() >= Some(3))
    );
    assert!(numbers(&lines, "auto").iter().all(|&radius| radius == 0.0));

    let ledger = base(&place, "base.recert");
    let table = ok(&recertify(&ledger, &bf16, &["--plan"])).stdout;
    assert!(!table.contains(advice), "{table}");
    let advice = "Where from scratch is no worse, certify from scratch instead.";
    assert!(table.contains(advice), "{table}");
}

#[test]
fn a_mean_radius_is_reached_with_as_little_as_it_takes() {
    let place = Place::new();
    let int8 = int8(&place);
    let mut spent = 0;
    for target in [0.1, 0.2, 0.3] {
        let ledger = base(&place, "run.recert");
        let target_text = target.to_string();
        let said = ok(&recertify(&ledger, &int8, &["--target-acr", &target_text]));
        let reached = mean_radius(&said);
        assert!(
            (reached / target - 1.0).abs() < 0.15,
            "{reached} of {target}"
        );
        let made = evaluations(&said);
        assert!(made > spent, "{made} {spent}");
        spent = made;
        assert_eq!(answered(&place, "run.recert"), made);
        assert_eq!(
            evaluations(&ok(&recertify(
                &ledger,
                &int8,
                &["--target-acr", &target_text]
            ))),
            0
        );
    }
    let ledger = base(&place, "run.recert");
    let said = ok(&recertify(&ledger, &int8, &["--budget", "100%"]));
    assert!(mean_radius(&said) > 0.3 * 1.15);
    assert!(spent < evaluations(&said));
    // More than can be had takes what there is, and no more than that.
    let most = ok(&recertify(&ledger, &int8, &["--target-acr", "9"]));
    assert!(mean_radius(&most) < 1.0);
    let missed = "below the 9 that was aimed at";
    assert!(most.stderr.contains(missed), "{}", most.stderr);
    assert!(answered(&place, "run.recert") <= 2 * WHOLE);
}
