//! What recertifying costs and what error it allows itself, as the ledger and
//! the program state it.

use crate::common::{self, Place, asset, certify_demo, evaluations, held, ok, with};
use recert::ledger::{Certificate, Ledger};
use recert::noise::Stream;
use recert::num::{
    Alpha, LowerBound, Sigma, UpperBound, clopper_pearson_lower, clopper_pearson_upper,
};
use recert::smooth::bound::Conclusion;
use serde_json::Value;

const N: u64 = 400;
const N0: u64 = 30;
const INPUTS: u64 = 4;

fn ledger(place: &Place, name: &str) -> String {
    let ledger = place.text(name);
    let words = certify_demo(N as u32, N0 as u32, INPUTS as u32);
    let said = ok(&with(&words, &["--ledger", &ledger]));
    assert_eq!(evaluations(&said), INPUTS * (N + N0));
    let network = place.text("shapes.prune20.onnx");
    if !place.path("shapes.prune20.onnx").exists() {
        let model = asset("shapes.onnx");
        ok(&with(
            &[],
            &["approximate", &model, "--prune", "20%", "--out", &network],
        ));
    }
    ledger
}

fn recertify(place: &Place, ledger: &str, flags: &[&str]) -> u64 {
    let network = place.text("shapes.prune20.onnx");
    let mut words = with(&[], &["recertify", ledger, "--model", &network]);
    if !flags.contains(&"--method") {
        words.extend(["--method".into(), "irs".into()]);
    }
    evaluations(&ok(&with(&words, flags)))
}

/// The certificates of the modified network.
fn certificates(place: &Place, name: &str) -> Vec<Certificate> {
    held(&place.path(name)).networks.remove(1).certificates
}

#[test]
fn samples_that_were_answered_are_not_evaluated_again() {
    let place = Place::new();
    let path = ledger(&place, "run.recert");
    std::fs::copy(&path, place.path("fresh.recert")).unwrap();

    // 2 % of 400 samples, then the difference to 10 %.
    assert_eq!(recertify(&place, &path, &["--n-p", "2%"]), INPUTS * 8);
    let few = certificates(&place, "run.recert");
    assert_eq!(few.len() as u64, INPUTS);
    assert_eq!(
        recertify(&place, &path, &["--n-p", "10%"]),
        INPUTS * (40 - 8)
    );
    assert_eq!(recertify(&place, &path, &["--n-p", "2%"]), 0);
    let both = certificates(&place, "run.recert");
    assert_eq!(both.len() as u64, 2 * INPUTS);
    for certificate in &few {
        assert!(both.contains(certificate), "{certificate:?}");
    }
    // Another alpha or gamma is another claim, and costs nothing either.
    assert_eq!(
        recertify(
            &place,
            &path,
            &["--n-p", "10%", "--alpha", "0.01", "--gamma", "0.5"]
        ),
        0
    );
    assert_eq!(certificates(&place, "run.recert").len() as u64, 3 * INPUTS);
    // From scratch on the same samples, of the class that is known, costs nothing.
    assert_eq!(
        recertify(&place, &path, &["--n-p", "10%", "--method", "direct"]),
        0
    );
    assert_eq!(
        recertify(
            &place,
            &path,
            &["--n-p", "10%,2%", "--method", "direct,irs"]
        ),
        0
    );

    // At once, all comes out the same.
    let fresh = place.text("fresh.recert");
    let at_once = ["--n-p", "8,40", "--method", "irs,direct"];
    assert_eq!(recertify(&place, &fresh, &at_once), INPUTS * 40);
    let all = certificates(&place, "run.recert");
    for certificate in certificates(&place, "fresh.recert") {
        assert!(all.contains(&certificate), "{certificate:?}");
    }
}

#[test]
fn rows_of_several_methods_name_the_one_that_they_show() {
    let place = Place::new();
    let path = ledger(&place, "run.recert");
    let network = place.text("shapes.prune20.onnx");
    let words = with(
        &[],
        &["recertify", &path, "--model", &network, "--n-p", "10%,5%"],
    );
    let said = ok(&with(&words, &["--method", "direct,irs"]));
    let named = "recert: rows by irs from 40 samples per input";
    assert!(
        said.stderr.lines().any(|line| line == named),
        "{}",
        said.stderr
    );
    let said = ok(&with(&words, &["--method", "direct,auto"]));
    let named = format!("recert: rows by auto with budget {}", INPUTS * 40);
    assert!(
        said.stderr.lines().any(|line| line == named),
        "{}",
        said.stderr
    );
    // One method with one number of samples needs no name.
    let words = [
        "recertify",
        &path,
        "--model",
        &network,
        "--n-p",
        "10%",
        "--method",
        "irs",
    ];
    let said = ok(&with(&[], &words));
    assert!(!said.stderr.contains("rows"), "{}", said.stderr);
}

#[test]
fn evaluations_are_those_made() {
    let place = Place::new();
    let path = ledger(&place, "run.recert");
    recertify(
        &place,
        &path,
        &["--n-p", "10%,25%", "--method", "irs,direct"],
    );
    let kept = held(&place.path("run.recert"));
    for certificate in &kept.networks[0].certificates {
        assert_eq!(certificate.evaluations, N + N0);
    }
    let h = &kept.networks[1];
    for certificate in &h.certificates {
        let answered = h.classes[&(certificate.idx, Stream::Certify.tag())].len() as u64;
        assert_eq!(answered, 100);
        assert_eq!(certificate.evaluations, certificate.claim.samples);
        assert!(certificate.claim.samples <= answered);
    }
}

/// What the answers of a network's own samples allow, with the parts of alpha
/// that the certificate states.
fn from_scratch(
    certificate: &Certificate,
    answers: &[u16],
    class: u16,
    sigma: Sigma,
) -> Conclusion {
    let claim = &certificate.claim;
    let parameters: Value = serde_json::from_str(&claim.parameters.to_json()).unwrap();
    let counts: Value = serde_json::from_str(&certificate.evidence.to_json()).unwrap();
    let count = |class: u16| answers.iter().filter(|&&c| c == class).count() as u64;
    let (k, n) = (count(class), claim.samples);
    assert_eq!(
        (counts["k"].as_u64(), counts["n"].as_u64()),
        (Some(k), Some(n))
    );
    if parameters["sides"] == 1 {
        assert_eq!(certificate.bound.as_deref(), Some("direct"));
        let alpha = Alpha::new(claim.alpha).unwrap();
        let p = clopper_pearson_lower(k, n, alpha).unwrap();
        return Conclusion::one_sided(class, p, sigma, "direct").unwrap();
    }
    assert_eq!(certificate.bound.as_deref(), Some("two-sided"));
    let number = |name: &str| counts[name].as_f64().unwrap();
    let [alpha_class, alpha_ratio] = ["alpha_class", "alpha_ratio"].map(number);
    // The sum itself is rounded by less than this.
    assert!(alpha_class + alpha_ratio <= claim.alpha * (1.0 + 1e-15));
    let other = (0..=u16::MAX).filter(|&c| c != class).map(count);
    let other = other.max().unwrap();
    assert_eq!(counts["k_runner_up"].as_u64(), Some(other));
    let p = clopper_pearson_lower(k, n, Alpha::new(alpha_class).unwrap()).unwrap();
    let ratio = if k == 0 {
        0.0
    } else {
        let ratio = clopper_pearson_lower(k, k + other, Alpha::new(alpha_ratio).unwrap());
        ratio.unwrap().get()
    };
    let most = if ratio > 0.5 {
        (1.0 - p.get()).min(p.get() * (1.0 - ratio) / ratio)
    } else {
        1.0 - p.get()
    };
    // The bound is rounded up by a few units in the last place.
    let next = number("p_upper");
    assert!(
        (most * (1.0 - 1e-15)..=most + 1e-15).contains(&next),
        "{next} {most}"
    );
    let next = UpperBound::new(next).unwrap();
    Conclusion::two_sided(class, (p, next), sigma, "two-sided").unwrap()
}

/// Every certificate in a ledger is what its own counts allow, worked out
/// again from the codes, and the parts of alpha that it states sum to no more
/// than the alpha it states.
#[test]
fn certificates_follow_from_counts_and_the_shares_of_alpha_sum_to_it() {
    let place = Place::new();
    let path = ledger(&place, "run.recert");
    for more in [
        &[][..],
        &["--gamma", "0"],
        &["--gamma", "1"],
        &["--alpha", "0.3"],
        &["--one-sided"],
    ] {
        let methods = ["--n-p", "1,10,100%", "--method", "irs,direct"];
        recertify(&place, &path, &[&methods, more].concat());
    }
    let ledger = Ledger::open_read_only(&place.path("run.recert")).unwrap();
    let networks = ledger.networks().unwrap();
    let (f, h) = (networks[0].0, networks[1].0);
    let sigma = Sigma::new(0.5).unwrap();
    let share = |value: &Value| Alpha::new(value.as_f64().unwrap()).unwrap();
    let class_of = |network, idx| ledger.selection(network, idx).unwrap().unwrap().class;
    let classes = |network, idx, samples| {
        let series = common::series(network, idx, Stream::Certify);
        ledger.answers(series, samples).unwrap().0.classes
    };
    let count = |of: &[u16], class| of.iter().filter(|&&c| c == class).count() as u64;
    let mut seen = std::collections::BTreeSet::new();
    let mut seen_sides = std::collections::BTreeSet::new();
    for (network, certificate) in [f, h].into_iter().flat_map(|id| {
        ledger
            .certificates(id)
            .unwrap()
            .into_iter()
            .map(move |c| (id, c))
    }) {
        let (claim, idx) = (&certificate.claim, certificate.idx);
        let parameters: Value = serde_json::from_str(&claim.parameters.to_json()).unwrap();
        let own = classes(network, idx, claim.samples);
        let (conclusion, class) = if claim.method() == "irs" {
            let class = class_of(f, idx);
            let parts =
                ["alpha_f", "alpha_zeta", "alpha_direct"].map(|key| share(&parameters[key]));
            let sum: f64 = parts.iter().map(|part| part.get()).sum();
            // The sum itself is rounded by less than this.
            assert!(
                sum <= claim.alpha * (1.0 + 1e-15),
                "{sum} of {}",
                claim.alpha
            );
            let theirs = classes(f, idx, N);
            let p_f = clopper_pearson_lower(count(&theirs, class), N, parts[0]).unwrap();
            let apart = own.iter().zip(&theirs).filter(|(a, b)| a != b).count() as u64;
            let zeta = clopper_pearson_upper(apart, claim.samples, parts[1]).unwrap();
            let by_zeta = p_f.minus(zeta);
            let by_own =
                clopper_pearson_lower(count(&own, class), claim.samples, parts[2]).unwrap();
            let gamma = parameters["gamma"].as_f64().unwrap();
            let certifies = |p: LowerBound| p.get() > 0.5;
            let (first, second, names) = if p_f.get() < gamma {
                (by_zeta, by_own, ["zeta", "direct"])
            } else {
                (by_own, by_zeta, ["direct", "zeta"])
            };
            let other = !certifies(first) && certifies(second);
            let name = names[usize::from(other)];
            assert_eq!(certificate.bound.as_deref(), Some(name));
            seen.insert((
                name,
                p_f.get() < gamma,
                certifies(first) || certifies(second),
            ));
            let p_lower = if other { second } else { first };
            (
                Conclusion::one_sided(class, p_lower, sigma, name).unwrap(),
                class,
            )
        } else {
            // The class is the one that f's selection samples chose.
            let class = class_of(f, idx);
            seen_sides.insert((claim.method().to_owned(), parameters["sides"].as_u64()));
            (from_scratch(&certificate, &own, class, sigma), class)
        };
        assert_eq!(
            certificate.p_lower,
            Some(conclusion.p_lower.get()),
            "{certificate:?}"
        );
        assert_eq!(conclusion.is_certified(), certificate.class.is_some());
        assert_eq!(
            certificate.class,
            conclusion.is_certified().then_some(class)
        );
        if let recert::smooth::bound::Verdict::Certified { radius, .. } = conclusion.verdict {
            assert_eq!(certificate.radius, radius.get());
        }
        assert!(
            claim.statement.as_str().contains(&claim.alpha.to_string()),
            "{}",
            claim.statement.as_str()
        );
    }
    assert!(seen.len() >= 4, "only few branches were taken: {seen:?}");
    let sides = [("certify", 2), ("direct", 1), ("direct", 2)];
    let sides = sides.map(|(method, sides)| (method.to_owned(), Some(sides)));
    assert_eq!(seen_sides, sides.into());
}

/// Both conclusions can be drawn from one run; the second costs nothing, and a
/// report keeps them apart.
#[test]
fn one_sided_and_two_sided_certificates_share_their_samples() {
    let place = Place::new();
    let path = ledger(&place, "run.recert");
    let certify = |more: &[&str]| {
        let words = certify_demo(N as u32, N0 as u32, INPUTS as u32);
        ok(&with(&with(&words, &["--ledger", &path]), more))
    };
    let two_sided = common::rows(&certify(&[]).stdout);
    let said = certify(&["--one-sided"]);
    assert_eq!(evaluations(&said), 0);
    let one_sided = common::rows(&said.stdout);
    assert_eq!(evaluations(&certify(&[])), 0);
    assert_eq!(two_sided.len() as u64, INPUTS);
    assert_ne!(two_sided, one_sided);

    let kept = held(&place.path("run.recert")).networks.remove(0);
    let of = |sides: &str| {
        let wanted = |c: &&Certificate| c.claim.parameters.to_json().contains(sides);
        kept.certificates.iter().filter(wanted).count() as u64
    };
    assert_eq!((of("\"sides\":1"), of("\"sides\":2")), (INPUTS, INPUTS));

    let report = ok(&with(&[], &["report", &path, "--json"])).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let methods: Vec<_> = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            (
                run["method"]["kind"].clone(),
                run["method"]["sides"].clone(),
            )
        })
        .collect();
    assert_eq!(
        methods,
        [2, 1].map(|sides| ("certify".into(), sides.into()))
    );
    let table = ok(&with(&[], &["report", &path])).stdout;
    for name in ["from scratch, one-sided", "from scratch, two-sided"] {
        assert!(table.contains(name), "{name} is missing in:\n{table}");
    }
}

/// Alpha is refused where a part of it would be out of the bounds' range, and
/// taken where none is.
#[test]
fn alpha_is_checked_for_the_certificate_asked_for() {
    let place = Place::new();
    for (alpha, one_sided, taken) in [
        ("1e-39", true, true),
        ("1e-39", false, false),
        ("0.53", false, true),
        ("0.53", true, false),
        ("0.54", false, false),
    ] {
        let path = place.text(&format!("{alpha}-{one_sided}.recert"));
        let words = certify_demo(20, 5, 1);
        let words = with(&words, &["--ledger", &path, "--alpha", alpha]);
        let words = with(&words, if one_sided { &["--one-sided"][..] } else { &[] });
        let said = common::run(&words);
        assert_eq!(
            said.code,
            Some(if taken { 0 } else { 2 }),
            "{words:?} {said:?}"
        );
    }
}
