//! Certificates of `auto` from answers made by hand.

use serde_json::Value as Json;

use super::*;
use crate::answers::Answers;
use crate::free::FreeParameters;
use crate::noise::Law;
use crate::tables::{Run, Tables};

const SHARES: Shares = Shares {
    f: 2e-4,
    h: 1.8e-3,
    whole: 2e-3,
};

/// f on 640 samples, 20 of them early: every fourth 5, sample 21 invalid, the others
/// 3; margins 0 to 7 in turn. h answers 3 on the first `answered` samples, but 5 on
/// every eighth.
fn derived(bound: &str, answered: u32, votes: u64, stored: &Json) -> Result<Derived, Wrong> {
    let three_or_five = |sample: u32| if sample.is_multiple_of(8) { 5 } else { 3 };
    derived_as(
        bound,
        (answered, votes),
        stored,
        (&three_or_five, [true; 2]),
    )
}

/// As [`derived`], with other answers of h, and with the two-sided bounds that are allowed.
fn derived_as(
    bound: &str,
    (answered, votes): (u32, u64),
    stored: &Json,
    (h, two): (&dyn Fn(u32) -> u16, [bool; 2]),
) -> Result<Derived, Wrong> {
    let run = Run {
        predict: false,
        sigma: 0.5,
        n0: 100,
        n: 640,
        alpha: 0.002,
        law: Law::Gaussian,
        dims: 3072,
        base: 1,
    };
    let selection = Selection {
        samples: 100,
        counts: [(3, votes), (5, 100 - votes)].into(),
        class: 3,
        edges: true,
        micros: 0,
    };
    let tables = Tables {
        run: None,
        networks: BTreeMap::new(),
        names: BTreeMap::new(),
        inputs: [(7, String::new())].into(),
        dims: None,
        without_noise: false,
        verified: std::collections::BTreeSet::new(),
        verified_inputs: std::collections::BTreeSet::new(),
        selections: [((1, 7), selection)].into(),
    };
    let f = |sample: u32| match sample {
        21 => INVALID,
        _ if sample.is_multiple_of(4) => 5,
        _ => 3,
    };
    let of_f = Series {
        samples: (0..640).collect(),
        classes: (0..640).map(f).collect(),
        margins: Some((0..640).map(|sample| (sample % 8) as u8).collect()),
        micros: 0,
    };
    let of_h = Series {
        samples: (0..answered).collect(),
        classes: (0..answered).map(h).collect(),
        ..Series::default()
    };
    let fresh = of_h.clone();
    let series = [
        ((1, CERTIFY), of_f),
        ((2, CERTIFY), of_h),
        ((2, FRESH), fresh),
    ];
    let answers = Answers {
        idx: 7,
        by_stream: series.into(),
    };
    let context = Context {
        run: &run,
        tables: &tables,
        answers: &answers,
        network: 2,
        samples: 0,
        free: FreeParameters::read(&stored.to_string()),
        bound: format!("\"{bound}\""),
        p_lower: None,
        stops: false,
        abstains: false,
    };
    derive(&context, SHARES, false, two)
}

#[test]
fn early_samples_are_votes_and_nothing_else() {
    let found = derived("loss", 99, 60, &json!({"pairs": 30, "pilot": 5})).unwrap();
    // Samples 20 to 639: a fourth are 5, one is invalid.
    assert_eq!(found.counts["n"], 620);
    assert_eq!(found.counts["k"], 464);
    assert_eq!(found.counts["pairs"], 30);
    assert_eq!(found.counts["other"], 0);
    assert_eq!(
        (found.counts["pilot"].as_u64(), found.evaluations),
        (Some(5), 30)
    );
    let none = derived("none", 99, 60, &json!({"pilot": 5})).unwrap();
    assert_eq!(
        (none.counts["k"].as_u64(), none.evaluations),
        (Some(464), 5)
    );
    let fresh = derived("fresh", 99, 60, &json!({"n": 80, "pilot": 5})).unwrap();
    assert_eq!(
        (fresh.counts["k"].as_u64(), fresh.evaluations),
        (Some(70), 85)
    );
    let expected = clopper_pearson_lower(70, 80, Alpha::new(2e-3).unwrap());
    assert!(matches!(fresh.p_lower, Bound::Exactly(p) if p == expected.unwrap().get()));
}

#[test]
fn the_runner_up_of_fresh_samples_is_bounded_at_a_share_of_the_whole() {
    let stored = json!({"n": 80, "pilot": 5});
    let fresh = derived("fresh-two-sided", 99, 60, &stored).unwrap();
    // Of 60 votes to 40, one eighth of alpha is for the class.
    let whole = Alpha::new(2e-3).unwrap();
    let shares = whole.split(&[1.0, 7.0]).unwrap();
    let counts = &fresh.counts;
    for (name, share) in ["alpha_class", "alpha_ratio"].into_iter().zip(&shares) {
        assert_eq!(counts[name], share.get(), "{name}");
    }
    for (name, count) in [("k", 70), ("n", 80), ("runner_up", 5), ("k_runner_up", 10)] {
        assert_eq!(counts[name], count, "{name}");
    }
    assert_eq!(fresh.evaluations, 85);
    let p = clopper_pearson_lower(70, 80, shares[0]).unwrap().get();
    let t = clopper_pearson_lower(70, 80, shares[1]).unwrap().get();
    let q = counts["p_upper"].as_f64().unwrap();
    assert!((q - (1.0 - p).min(p * (1.0 - t) / t)).abs() < 1e-12);
    assert!(matches!(fresh.p_lower, Bound::Exactly(found) if found == p));
    assert!(fresh.class == Some(3) && fresh.radius > 0.0);
    // Not where the claim has no such bounds.
    let answers = |sample: u32| if sample.is_multiple_of(8) { 5_u16 } else { 3 };
    let older = (&answers as &dyn Fn(u32) -> u16, [true, false]);
    let refused = derived_as("fresh-two-sided", (99, 60), &stored, older);
    assert_eq!(refused.err().unwrap().0, "bound");
}

/// Invalid answers, more frequent than any other class's.
#[test]
fn an_invalid_answer_may_be_the_runner_up_of_fresh_samples() {
    let answers = |sample: u32| match sample % 8 {
        0 | 1 => INVALID,
        2 => 5,
        _ => 3,
    };
    let stored = json!({"n": 80, "pilot": 5});
    let fresh = derived_as("fresh-two-sided", (99, 60), &stored, (&answers, [true; 2])).unwrap();
    for (name, count) in [("k", 50), ("invalid", 20), ("k_runner_up", 20)] {
        assert_eq!(fresh.counts[name], count, "{name}");
    }
}

#[test]
fn invalid_answers_are_another_answer_to_both() {
    let found = derived("both", 99, 60, &json!({"pairs": 12, "pilot": 10})).unwrap();
    // Samples 20 to 31: h leaves 3 on none of f's and is 3 where f is 5 on 20 and 28.
    for (name, count) in [("k", 464), ("runner_up", 155), ("lost", 0), ("arrived", 0)] {
        assert_eq!(found.counts[name], count, "{name}");
    }
    // Of the pilot's 22, 23, 25, 26, 27, 29, 30, 31, 33, 34 the last two are beside.
    assert_eq!(found.evaluations, 14);
}

#[test]
fn cells_are_counted_on_late_samples() {
    let tilts = [0.5; 10];
    let stored =
        |pairs: [u64; 10]| json!({"pairs": pairs, "tilts": tilts, "tilt": 0.1, "pilot": 0});
    let pairs = [0, 4, 0, 9, 2, 3, 0, 0, 0, 1];
    let found = derived("cells", 99, 60, &stored(pairs)).unwrap();
    // f answers 5 where margins are 0 or 4; sample 21, of margin 5, is in no cell.
    let samples = [0, 77, 77, 77, 233, 77, 0, 0, 0, 78];
    assert_eq!(found.counts["copies"], json!(samples));
    assert_eq!(found.counts["n"], 620);
    assert_eq!(found.counts["pairs"], json!(pairs));
    assert_eq!(found.counts["own"], json!([0, 4, 0, 9, 2, 0, 0, 0, 0, 1]));
    assert_eq!(found.evaluations, 19);
    // No more of a cell than it has, and than h has answered.
    let found = derived("cells", 640, 60, &stored([90, 90, 0, 0, 0, 0, 0, 0, 0, 0])).unwrap();
    assert_eq!(
        found.counts["pairs"],
        json!([0, 77, 0, 0, 0, 0, 0, 0, 0, 0])
    );
    assert!(derived("cells", 99, 60, &stored([0, 30, 0, 0, 0, 0, 0, 0, 0, 0])).is_err());
}

#[test]
fn a_pilot_is_what_h_has_answered() {
    let pilot = |answered, votes, pilot: u64| {
        let found = derived("none", answered, votes, &json!({ "pilot": pilot }));
        found.map(|found| (found.counts["pilot"].as_u64().unwrap(), found.evaluations))
    };
    // Samples 22, 23, 25 .. of class 3.
    assert_eq!(pilot(99, 60, 20).unwrap(), (20, 20));
    assert_eq!(pilot(26, 60, 20).unwrap(), (3, 3));
    assert_eq!(pilot(0, 60, 1).unwrap(), (0, 0));
    assert!(pilot(99, 60, 51).is_err());
    // Early samples are 15 votes of 20: with 45 of 100 it is one half.
    assert_eq!(pilot(99, 46, 20).unwrap(), (20, 20));
    assert_eq!(pilot(99, 45, 20).unwrap(), (0, 0));
    assert!(derived("none", 99, 60, &json!({})).is_err());
}

#[test]
fn old_and_unknown_bounds_are_refused() {
    for bound in ["strata", "mixture", "joint", ""] {
        let wrong = derived(bound, 99, 60, &json!({"pilot": 0})).unwrap_err();
        assert_eq!(wrong.0, "bound", "{bound}");
    }
}

/// A first round of 20 or 24 samples in each cell, of twice to ten times as many.
fn two_rounds(expected: f64) -> Json {
    json!({
        "tilt": 0.3, "pilot": 0, "pairs": ([0; 10]), "tilts": ([1.0; 10]),
        "lattice": {"multiples": ([0; 10]), "span": 0.5, "step": 0.5},
        "first": {
            "expected": ([expected; 10]), "pairs": [0, 20, 20, 20, 24, 20, 0, 0, 0, 20],
            "planned": [0, 40, 40, 77, 233, 77, 0, 0, 0, 60], "tilts": ([0.5; 10]),
            "multiples": [0, 1, 1, 1, 1, 1, 0, 0, 0, 1], "step": 0.5,
        },
    })
}

#[test]
fn a_second_round_is_what_the_first_made_it() {
    let found = derived("tail", 640, 60, &two_rounds(0.9)).unwrap();
    // h answers 3 but on every eighth sample, which are those of cell 5.
    let own = json!([0, 20, 20, 20, 24, 0, 0, 0, 0, 20]);
    assert_eq!(found.counts["first"]["own"], own);
    assert_eq!(found.evaluations, 40 + 40 + 77 + 233 + 77 + 60);
    let pairs: Vec<u64> = serde_json::from_value(found.counts["pairs"].clone()).unwrap();
    assert!(pairs[5] >= 20 && pairs[4] >= 24, "{pairs:?}");
    // What is recorded of it otherwise is not what is derived.
    let mut forged = two_rounds(0.9);
    forged["pairs"] = json!([0, 40, 40, 77, 233, 77, 0, 0, 0, 60]);
    forged["tilts"] = json!(([2.0; 10]));
    let again = derived("tail", 640, 60, &forged).unwrap();
    assert_eq!(again.counts, found.counts);
    // It depends on the answers: with another cell's share of c, another rest.
    let other = derived("tail", 640, 60, &two_rounds(0.5)).unwrap();
    assert_ne!(other.counts["tilts"], found.counts["tilts"]);
}

#[test]
fn a_first_round_out_of_range_is_refused() {
    let mut missing = two_rounds(0.9);
    missing["first"] = json!({});
    assert_eq!(derived("tail", 640, 60, &missing).unwrap_err().0, "counts");
    for (name, value) in [
        ("pairs", json!([0, 41, 20, 20, 24, 20, 0, 0, 0, 20])),
        ("planned", json!([0, 78, 40, 77, 233, 77, 0, 0, 0, 60])),
        ("planned", json!(([u64::MAX; 10]))),
        ("expected", json!(([1.0; 10]))),
        ("tilts", json!(([1e300; 10]))),
        ("multiples", json!([65, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("step", json!(0.0)),
        ("step", json!(-0.5)),
        ("own", json!(null)),
    ] {
        let mut stored = two_rounds(0.9);
        stored["first"][name] = value;
        let wrong = derived("tail", 640, 60, &stored);
        // The answers are counted, whatever is recorded of them.
        assert_eq!(wrong.is_err(), name != "own", "{name}");
    }
}
