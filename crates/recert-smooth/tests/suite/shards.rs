//! A recertification by a plan that is data: the parts have the certificates, answers
//! and claims of the whole, and what the plan was not made for is refused.

use std::path::Path;

use crate::numbers::{self, Held, Nearest, held, network};
use recert_engine::Classifier;
use recert_ledger::{Header, Input, Ledger, NetworkId, Task};
use recert_num::{Alpha, Radius};
use recert_smooth::budget::Goal;
use recert_smooth::{
    Auto, Error, ErrorKind, Inputs, Outcome, PilotAnswers, PilotPlan, RecertificationPlan, Run,
    Sides, Silent, Threads, certify, recertify_auto, recertify_until,
};

/// Images of two pixels, between two classes the nearer to the border the odder.
struct Between;

impl Inputs for Between {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![0.0, 0.17 * idx as f32]))
    }
}

// So many that they have pilots.
const INPUTS: [u32; 13] = [0, 1, 2, 3, 5, 7, 8, 9, 12, 13, 14, 15, 16];
const SHARDS: [&[u32]; 2] = [&[3, 0, 8, 12, 14], &[1, 2, 5, 7, 9, 13, 15, 16]];

fn threads(networks: &[(NetworkId, u8)]) -> Threads {
    let own = networks.iter().map(|&(network, which)| {
        let instance = || Box::new(Nearest(which)) as Box<dyn Classifier>;
        (network, vec![instance(), instance()])
    });
    Threads::new(own, 16).unwrap()
}

/// A ledger with these inputs certified, and its modified networks.
fn certified(path: &Path, inputs: &[u32], seed: u64) -> (Ledger, [(NetworkId, u8); 2]) {
    let header = Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: 30,
        n: 900,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed,
        network: network(0),
        data: "between".into(),
        shape: [1, 1, 2],
    };
    let mut ledger = Ledger::resume(path, &header).unwrap();
    let (mut f, mut silent) = (threads(&[(ledger.base(), 0)]), Silent);
    let mut run = numbers::run(&mut ledger, &Between, &mut f, &mut silent);
    let outcome = certify(&mut run, inputs, Sides::Two);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let modified = [1, 2].map(|which| (ledger.add_network(&network(which)).unwrap(), which));
    (ledger, modified)
}

fn with<T>(
    ledger: &mut Ledger,
    networks: &[(NetworkId, u8)],
    work: impl FnOnce(&mut Run<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (mut workers, mut silent) = (threads(networks), Silent);
    work(&mut numbers::run(
        ledger,
        &Between,
        &mut workers,
        &mut silent,
    ))
}

fn auto(goal: Goal) -> Auto {
    Auto {
        alpha: Alpha::new(0.02).unwrap(),
        among: 2,
        goal,
        sides: Sides::Two,
    }
}

/// To another machine and back.
fn sent<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn shards_with_the_plan_are_the_whole_run() {
    let goals = [
        (Goal::Budget(2500), None),
        (Goal::Budget(400), None),
        (Goal::Each(300), None),
        (Goal::MeanRadius(0.4), None),
        (Goal::Each(400), Some(Radius::new(0.15).unwrap())),
    ];
    let mut designs = std::collections::BTreeSet::new();
    for (goal, until) in goals {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let auto = auto(goal);
        let (mut whole, networks) = certified(&file("whole.recert"), &INPUTS, 5);
        let pilot = PilotPlan::new(&whole, &INPUTS, &auto, until).unwrap();
        let outcome = with(&mut whole, &networks, |run| match until {
            Some(radius) => recertify_until(run, &INPUTS, &auto, radius),
            None => recertify_auto(run, &INPUTS, &auto),
        });
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        let expected = held(&whole);

        // Every shard has a ledger with its own inputs and no others.
        let mut shards = [0, 1].map(|i| certified(&file(&format!("{i}.recert")), SHARDS[i], 5));
        let pilot = sent(&pilot);
        let mut answers: Vec<PilotAnswers> = Vec::new();
        for ((ledger, networks), inputs) in shards.iter_mut().zip(SHARDS) {
            // One network after the other, in another order than the whole run's.
            for i in [1, 0] {
                let own = with(ledger, &networks[i..=i], |run| pilot.evaluate(run, inputs));
                answers.push(sent(&own.unwrap().unwrap()));
            }
        }
        let all = answers
            .into_iter()
            .reduce(|a, b| a.merged(b).unwrap())
            .unwrap();
        let follows_from = pilot.sha256();
        let plan: RecertificationPlan = sent(&pilot.finish(&all).unwrap());
        assert_eq!(plan.follows_from(), follows_from);
        let mut found = std::collections::BTreeMap::<u32, Vec<Held>>::new();
        for ((ledger, networks), inputs) in shards.iter_mut().zip(SHARDS) {
            let outcome = with(ledger, networks, |run| plan.recertify(run, inputs));
            assert_eq!(outcome.unwrap(), Outcome::Finished);
            found.extend(held(ledger));
        }
        assert_eq!(found, expected, "{goal:?} {until:?}");
        for held in expected.values().flat_map(|all| &all[1..]) {
            assert_eq!(held.certificates().len(), 1);
            designs.insert(held.certificates()[0].bound.clone());
        }
    }
    assert!(designs.len() > 3, "too few designs to tell: {designs:?}");
}

#[test]
fn what_the_plan_was_not_made_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let auto = auto(Goal::Budget(2500));
    let (mut ledger, networks) = certified(&file("run.recert"), &INPUTS, 5);
    let refused = |result: Result<(), Error>, part: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(error.to_string().contains(part), "{part}: {error}");
    };
    let pilot = PilotPlan::new(&ledger, &INPUTS[..7], &auto, None).unwrap();
    let other = PilotPlan::new(&ledger, &INPUTS[..6], &auto, None).unwrap();
    let mut evaluate = |pilot: &PilotPlan, inputs: &[u32]| {
        let answers = with(&mut ledger, &networks, |run| pilot.evaluate(run, inputs));
        answers.map(|answers| answers.expect("nothing stops it"))
    };
    let part = evaluate(&pilot, &INPUTS[..3]).unwrap();
    refused(
        pilot.clone().finish(&part).map(drop),
        "on input 3 are missing",
    );
    refused(
        evaluate(&pilot, &INPUTS).map(drop),
        "input 9 is not one of the plan",
    );
    refused(other.finish(&part).map(drop), "another plan");
    let whole = with(&mut ledger, &networks, |run| {
        pilot.evaluate(run, &INPUTS[..7])
    });
    let plan = pilot.finish(&whole.unwrap().unwrap()).unwrap();
    let recertify = |ledger: &mut Ledger, networks: &[(NetworkId, u8)], inputs: &[u32]| {
        with(ledger, networks, |run| plan.recertify(run, inputs)).map(drop)
    };
    refused(
        recertify(&mut ledger, &networks, &[12]),
        "input 12 is not one of the plan",
    );
    let third = (ledger.add_network(&network(3)).unwrap(), 3);
    refused(
        recertify(&mut ledger, &[third], &[0]),
        "is not one of the plan's",
    );
    let (mut seed, networks_there) = certified(&file("seed.recert"), &INPUTS, 6);
    refused(
        recertify(&mut seed, &networks_there, &[0]),
        "was not made for ledger",
    );
    recertify(&mut ledger, &networks, &[0]).unwrap();
}

/// Changes a plan in transit; the plan is JSON.
type Forge = fn(&mut serde_json::Value);

/// Changes of every field that a plan's execution uses, and what the refusal names.
fn forgeries() -> [(Forge, &'static str); 16] {
    [
        (
            |plan| {
                let half = serde_json::json!({"f": 0.5, "h": 0.5, "whole": 0.5});
                plan["pilot"]["study"]["levels"] = half;
            },
            "shares of alpha",
        ),
        (
            |plan| plan["pilot"]["auto"]["among"] = 1.into(),
            "shares of alpha",
        ),
        (
            |plan| plan["pilot"]["auto"]["alpha"] = 0.2.into(),
            "shares of alpha",
        ),
        (|plan| plan["pilot"]["sigma"] = 0.25.into(), "sigma"),
        (|plan| plan["pilot"]["auto"]["sides"] = 1.into(), "sides"),
        (
            |plan| plan["pilot"]["study"]["both_sides"] = false.into(),
            "sides",
        ),
        (
            |plan| plan["pilot"]["study"]["goal"] = serde_json::json!({"Each": 900}),
            "the goal",
        ),
        (
            |plan| plan["pilot"]["study"]["subjects"][1]["pilot"] = 3.into(),
            "numbers of pilot samples",
        ),
        (
            |plan| plan["pilot"]["study"]["subjects"][8]["k"] = 1_000_000.into(),
            "impossible",
        ),
        (
            |plan| plan["pilot"]["inputs"][1] = plan["pilot"]["inputs"][0].clone(),
            "twice",
        ),
        (
            |plan| {
                for pilot in plan["networks"][0]["pilots"].as_array_mut().unwrap() {
                    for answer in pilot.as_array_mut().unwrap() {
                        answer[1] = true.into();
                    }
                }
            },
            "rates",
        ),
        (
            |plan| plan["networks"][0]["pilots"][0] = serde_json::json!([[7, false]]),
            "each pilot sample",
        ),
        (
            |plan| plan["networks"][0]["rates"][0]["loss"] = 0.001.into(),
            "rates",
        ),
        (
            |plan| {
                let pairs = serde_json::json!({"Both": {"pairs": 60}});
                plan["networks"][0]["choices"][3]["design"] = pairs;
            },
            "design of input 3",
        ),
        (
            |plan| plan["networks"][1]["choices"][8]["rates"]["loss"] = 0.001.into(),
            "design of input 12",
        ),
        (
            |plan| drop(plan["networks"][0]["choices"].as_array_mut().unwrap().pop()),
            "one design for each input",
        ),
    ]
}

#[test]
fn a_forged_plan_is_refused() {
    let auto = auto(Goal::Each(300));
    let each = forgeries();
    let until: [(Forge, &str); 1] = [(
        |plan| {
            let pairs = serde_json::json!({"Both": {"pairs": 60}});
            plan["networks"][0]["choices"][3]["design"] = pairs;
        },
        "two-sided design",
    )];
    let cases = [
        (None, &each[..]),
        (Some(Radius::new(0.15).unwrap()), &until),
    ];
    for (until, forged) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, networks) = certified(&folder.path().join("run.recert"), &INPUTS, 5);
        let pilot = PilotPlan::new(&ledger, &INPUTS, &auto, until).unwrap();
        let answers = with(&mut ledger, &networks, |run| pilot.evaluate(run, &INPUTS));
        let plan = pilot.finish(&answers.unwrap().unwrap()).unwrap();
        let mut recertify = |forge: Forge| {
            let mut value = serde_json::to_value(&plan).unwrap();
            forge(&mut value);
            let plan: RecertificationPlan = serde_json::from_value(value).unwrap();
            with(&mut ledger, &networks, |run| plan.recertify(run, &INPUTS))
        };
        for (forge, part) in forged {
            let error = recertify(*forge).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Parameter, "{error}");
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        assert_eq!(recertify(|_| ()).unwrap(), Outcome::Finished);
    }
}

#[test]
fn no_input_decides_about_itself_by_being_named_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = certified(&folder.path().join("run.recert"), &INPUTS, 5);
    let plan = PilotPlan::new(&ledger, &[3, 3], &auto(Goal::Each(300)), None);
    assert!(plan.unwrap_err().to_string().contains("twice"));
}
