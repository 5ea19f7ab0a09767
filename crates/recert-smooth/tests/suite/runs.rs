//! Whole runs of made-up classifiers through the library: certificates are
//! what the ledger's own answers allow, and a classifier that fails or panics
//! ends a run as an error, with everything before it kept.

use std::collections::BTreeMap;
use std::path::Path;

use crate::numbers::{self, Numbers, network, threads};
use proptest::prelude::*;
use recert_engine::{Classifier, FnClassifier};
use recert_ledger::{Certificate, Header, INVALID, Input, Ledger, Series, Stream, Task};
use recert_num::{
    Alpha, LowerBound, Radius, Sigma, UpperBound, clopper_pearson_lower, clopper_pearson_upper,
};
use recert_smooth::bound::{Conclusion, Verdict};
use recert_smooth::{
    Error, ErrorKind, Inputs, Irs, Method, Outcome, Recertify, Sides, Silent, Workers, certify,
};
use serde_json::{Value, json};

fn header(n: u64, seed: u64) -> Header {
    Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: 7,
        n,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed,
        network: network(1),
        data: "numbers".into(),
        shape: [1, 1, 2],
    }
}

/// Answers by where the second pixel lies: class 0 below the first limit, 1
/// below the second, 2 below the third, then no valid answer.
fn by_limits(limits: [f32; 3]) -> Box<dyn Classifier> {
    Box::new(FnClassifier::new(4, 2, move |image: &[f32]| {
        let class = limits.iter().position(|&limit| image[1] < limit)?;
        Some(class as u16)
    }))
}

fn run(ledger: &mut Ledger, f: Box<dyn Classifier>, inputs: &[u32]) -> Result<Outcome, Error> {
    let mut workers = threads(ledger.base(), vec![f], 5);
    certified(
        ledger,
        &Numbers(0.5),
        &mut workers,
        (inputs, Sides::default()),
    )
}

fn certified(
    ledger: &mut Ledger,
    data: &dyn Inputs,
    workers: &mut dyn Workers,
    (inputs, sides): (&[u32], Sides),
) -> Result<Outcome, Error> {
    let mut silent = Silent;
    certify(
        &mut numbers::run(ledger, data, workers, &mut silent),
        inputs,
        sides,
    )
}

fn series(ledger: &Ledger, which: usize, idx: u32) -> Series {
    Series {
        network: ledger.networks().unwrap()[which].0,
        idx,
        stream: Stream(recert_noise::Stream::Certify.tag()),
    }
}

/// Recomputes every certificate of a ledger from its answers alone.
fn check_certificates(ledger: &Ledger, gamma: f64) {
    let n = ledger.header().n;
    let networks = ledger.networks().unwrap();
    for (which, (network, _)) in networks.iter().enumerate() {
        for certificate in ledger.certificates(*network).unwrap() {
            let (idx, claim) = (certificate.idx, &certificate.claim);
            // The class is f's, whose selection samples are not paid for again.
            let chosen_by = networks[0].0;
            let paid = if which == 0 { ledger.header().n0 } else { 0 };
            assert_eq!(certificate.evaluations, claim.samples + paid);
            let class = ledger.selection(chosen_by, idx).unwrap().unwrap().class;
            let answers = |which, samples| {
                ledger
                    .answers(series(ledger, which, idx), samples)
                    .unwrap()
                    .0
                    .classes
            };
            let count = |of: &[u16]| of.iter().filter(|&&c| c == class).count() as u64;
            let m = claim.samples;
            let own = answers(which, m);
            let whole = Alpha::new(claim.alpha).unwrap();
            let p = if claim.method() == "irs" {
                let shares = whole.split(&Irs::SHARES).unwrap();
                let theirs = answers(0, n);
                let differ = |(a, b): &(&u16, &u16)| a != b || **a == INVALID;
                let apart = own.iter().zip(&theirs).filter(differ).count() as u64;
                let p_f = clopper_pearson_lower(count(&theirs), n, shares[0]).unwrap();
                let zeta = clopper_pearson_upper(apart, m, shares[1]).unwrap();
                let by_own = clopper_pearson_lower(count(&own), m, shares[2]).unwrap();
                let (first, second) = if p_f.get() < gamma {
                    (p_f.minus(zeta), by_own)
                } else {
                    (by_own, p_f.minus(zeta))
                };
                if first.get() <= 0.5 && second.get() > 0.5 {
                    second
                } else {
                    first
                }
            } else if claim.parameters.to_json().contains("\"sides\":2") {
                let votes = ledger.selection(chosen_by, idx).unwrap().unwrap().counts;
                check_two_sided(&certificate, &own, &votes, class);
                continue;
            } else {
                assert_eq!(certificate.bound.as_deref(), Some("direct"));
                clopper_pearson_lower(count(&own), m, whole).unwrap()
            };
            assert_eq!(certificate.p_lower, Some(p.get()), "{certificate:?}");
            let sigma = Sigma::new(ledger.header().sigma).unwrap();
            match Conclusion::one_sided(class, p, sigma, "").unwrap().verdict {
                Verdict::Certified { class, radius } => {
                    assert_eq!(certificate.class, Some(class));
                    assert_eq!(certificate.radius, radius.get());
                    assert!(p.get() > 0.5);
                }
                Verdict::Abstained => {
                    assert_eq!((certificate.class, certificate.radius), (None, 0.0));
                }
            }
        }
    }
}

/// Recomputes a two-sided certificate from the answers and the selection's
/// votes; its record holds all that it rests on.
fn check_two_sided(
    certificate: &Certificate,
    answers: &[u16],
    votes: &BTreeMap<u16, u64>,
    class: u16,
) {
    let claim = &certificate.claim;
    let mut parameters = json!({"sides": 2, "rule": "votes-1"});
    if claim.method() == "direct" {
        parameters["class_of"] = json!("f");
    }
    assert_eq!(claim.parameters.to_json(), parameters.to_string());
    let count = |of: u16| answers.iter().filter(|&&c| c == of).count() as u64;
    // The networks here have four classes.
    let others = (0..4).chain([INVALID]).filter(|&c| c != class);
    let other = others.map(count).max().unwrap();
    let votes_of = |c: u16| votes.get(&c).copied().unwrap_or(0);
    let against = (0..4).filter(|&c| c != class).map(votes_of).max().unwrap();
    let weights = match (votes_of(class), against) {
        (_, 0) => [15.0, 1.0],
        (own, next) if own >= 3 * next => [1.0, 1.0],
        _ => [1.0, 7.0],
    };
    let shares = Alpha::new(claim.alpha).unwrap().split(&weights).unwrap();
    let (k, n) = (count(class), claim.samples);
    let p = clopper_pearson_lower(k, n, shares[0]).unwrap().get();
    let ratio = if k + other == 0 {
        0.0
    } else {
        clopper_pearson_lower(k, k + other, shares[1])
            .unwrap()
            .get()
    };
    let counts: Value = serde_json::from_str(&certificate.evidence.to_json()).unwrap();
    let number = |name: &str| counts[name].as_f64().unwrap();
    for (name, exact) in [
        ("class", f64::from(class)),
        ("k", k as f64),
        ("n", n as f64),
        ("invalid", count(INVALID) as f64),
        ("k_runner_up", other as f64),
        ("alpha_class", shares[0].get()),
        ("alpha_ratio", shares[1].get()),
        ("ratio_lower", ratio),
    ] {
        assert_eq!(number(name), exact, "{name} of {certificate:?}");
    }
    match counts["runner_up"].as_u64() {
        Some(class) => assert_eq!(count(class as u16), other),
        None => assert_eq!(other, 0),
    }
    assert_eq!(certificate.p_lower, Some(p), "{certificate:?}");
    assert_eq!(certificate.bound.as_deref(), Some("two-sided"));
    let most = if ratio > 0.5 {
        (1.0 - p).min(p * (1.0 - ratio) / ratio)
    } else {
        1.0 - p
    };
    // Rounded up, by no more than a few units in the last place.
    let next = number("p_upper");
    assert!(
        next >= most * (1.0 - 1e-15) && next <= most + 1e-15,
        "{certificate:?}"
    );
    let bounds = (LowerBound::new(p).unwrap(), UpperBound::new(next).unwrap());
    let radius = Radius::two_sided(Sigma::new(0.5).unwrap(), bounds.0, bounds.1).unwrap();
    assert_eq!(certificate.radius, radius.map_or(0.0, Radius::get));
    assert_eq!(certificate.class, radius.map(|_| class));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn certificates_are_what_the_answers_allow(
        limits in prop::array::uniform3(-0.5_f32..2.0),
        shift in prop::array::uniform3(-0.2_f32..0.2),
        n in 1_u64..200,
        part in 0.0_f64..1.0,
        gamma in 0.0_f64..=1.0,
        seed in any::<u64>(),
        sides in prop::sample::select(&[Sides::One, Sides::Two][..]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(&folder.path().join("run.recert"), &header(n, seed)).unwrap();
        prop_assert_eq!(run(&mut ledger, by_limits(limits), &[0, 3]).unwrap(), Outcome::Finished);
        // The other conclusion from the same samples evaluates nothing.
        let idle: Box<dyn Classifier> = Box::new(FnClassifier::new(4, 2, |_: &[f32]| {
            unreachable!("all samples are in the ledger")
        }));
        let mut idle = threads(ledger.base(), vec![idle], 5);
        let other = certified(&mut ledger, &Numbers(0.5), &mut idle, (&[0, 3], Sides::One));
        prop_assert_eq!(other.unwrap(), Outcome::Finished);
        prop_assert_eq!(ledger.certificates(ledger.base()).unwrap().len(), 4);
        let mut shifted = limits;
        for (limit, shift) in shifted.iter_mut().zip(shift) {
            *limit += shift;
        }
        let m = ((n as f64 * part) as u64).max(1);
        let plan = Recertify {
            samples: if m < n { vec![m, n] } else { vec![n] },
            alpha: Alpha::new(0.02).unwrap(),
            methods: vec![Method::Irs(Irs { gamma }), Method::Direct(sides)],
        };
        let network = ledger.add_network(&network(2)).unwrap();
        let (mut h, mut silent) = (threads(network, vec![by_limits(shifted)], 3), Silent);
        let mut run = numbers::run(&mut ledger, &Numbers(0.5), &mut h, &mut silent);
        let outcome = recert_smooth::recertify(&mut run, &[0, 3], &plan);
        prop_assert_eq!(outcome.unwrap(), Outcome::Finished);
        check_certificates(&ledger, gamma);
    }
}

fn resume(path: &Path) -> Ledger {
    Ledger::resume(path, &header(900, 5)).unwrap()
}

#[test]
fn a_panic_in_a_classifier_is_an_error_and_what_was_done_is_kept() {
    for workers in [1, 2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.recert");
        let mut ledger = resume(&path);
        // The first input goes well; the second is a trap.
        let trap = || -> Box<dyn Classifier> {
            Box::new(FnClassifier::new(4, 2, |image: &[f32]| {
                assert!(image[0] < 4.5, "the trap");
                Some(1)
            }))
        };
        let mut workers = threads(ledger.base(), (0..workers).map(|_| trap()).collect(), 5);
        let mut ledger_of = |ledger: &mut Ledger, inputs: &[u32]| {
            certified(
                ledger,
                &Numbers(0.5),
                &mut workers,
                (inputs, Sides::default()),
            )
        };
        assert_eq!(ledger_of(&mut ledger, &[1]).unwrap(), Outcome::Finished);
        let error = ledger_of(&mut ledger, &[1, 9]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Engine);
        for part in ["panicked on input 9", "the trap"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        ledger.close().unwrap();
        let mut ledger = resume(&path);
        assert_eq!(
            ledger.answered(series(&ledger, 0, 1)).unwrap(),
            vec![0..900]
        );
        assert_eq!(ledger.certificates(ledger.base()).unwrap().len(), 1);
        // A classifier that works goes on from there.
        let outcome = run(&mut ledger, by_limits([0.0, 1.0, 9.0]), &[1, 9]);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(ledger.certificates(ledger.base()).unwrap().len(), 2);
    }
}

/// Inputs of which number 2 has changed.
struct Changed;

impl Inputs for Changed {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let (mut input, pixels) = Numbers(0.5).input(idx)?;
        if idx == 2 {
            input.sha256 = [200; 32];
        }
        Ok((input, pixels))
    }
}

#[test]
fn other_data_is_noticed_before_anything_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = resume(&folder.path().join("run.recert"));
    let inputs = |ledger: &Ledger| ledger.inputs().unwrap().len();
    assert_eq!(
        run(&mut ledger, by_limits([0.0, 1.0, 2.0]), &[2]).unwrap(),
        Outcome::Finished
    );
    // Asked for an input that the ledger does not have.
    let certify = |ledger: &mut Ledger, data: &dyn Inputs, batch| {
        let mut f = threads(ledger.base(), vec![by_limits([0.0, 1.0, 2.0])], batch);
        certified(ledger, data, &mut f, (&[7], Sides::default()))
    };
    let error = certify(&mut ledger, &Changed, 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ledger);
    assert!(error.to_string().contains("other data: input 2"), "{error}");
    assert_eq!(inputs(&ledger), 1);
    let outcome = certify(&mut ledger, &Numbers(0.5), usize::MAX);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(inputs(&ledger), 2);
}
