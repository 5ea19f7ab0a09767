//! Recertifying from a ledger whose inputs stopped when a radius was decided: every input is a
//! row, and over all rows certificates are false no more often than alpha allows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use recert::engine::ImageShape;
use recert::job::{
    self, CertifyConfig, Data, Event, Goal, Method, Network, Recertification, RecertifyConfig,
    Remark, RunConfig,
};
use recert::ledger::{Evidence, Ledger};

const IMAGE: ImageShape = ImageShape {
    channels: 1,
    height: 2,
    width: 2,
};

const INPUTS: usize = 300;
const ALPHA: f64 = 0.05;
/// The radius at which f stops, and the true one of every input, just within it.
const UNTIL: f64 = 0.2;
const TRUE: f64 = 0.195;

/// Images at this distance from where the class changes.
fn data() -> Data {
    let grey = 0.5 + TRUE as f32 / 2.0;
    Data::from_pixels("greys", IMAGE, &vec![grey; 4 * INPUTS], None).unwrap()
}

/// The same function under any name.
fn network(name: &str) -> Network {
    let bright = |image: &[f32]| Some(u16::from(image.iter().sum::<f32>() > 2.0));
    Network::from_fn(name, 2, IMAGE, bright).unwrap()
}

fn certify(ledger: &Path, until_radius: Option<f64>) {
    let config = CertifyConfig {
        n: 1000,
        n0: 30,
        alpha: ALPHA,
        until_radius,
        run: RunConfig {
            threads: Some(2),
            batch: Some(32),
            shard: None,
        },
        ..CertifyConfig::new(0.25)
    };
    let (data, network) = (data(), network("f"));
    let job = job::certify(ledger, &config, &data, &network).unwrap();
    let _ = job.run(&mut |_: Event<'_>| ()).unwrap();
}

fn recertify(ledger: &Path, name: &str, config: &RecertifyConfig) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let recertification = Recertification::open(ledger, config, 1).unwrap();
    let (data, networks) = (data(), [network(name)]);
    let job = recertification.job(&data, &networks).unwrap();
    let _ = job
        .run(&mut |event: Event<'_>| {
            if let Event::Remark(remark) = event {
                remarks.push(remark);
            }
        })
        .unwrap();
    remarks
}

/// Of each method, the certificates of the network: of how many inputs, and how many certify
/// something, and something false.
fn outcome(ledger: &Path, name: &str) -> BTreeMap<String, (usize, usize, usize)> {
    let ledger = Ledger::open_read_only(ledger).unwrap();
    let networks = ledger.networks().unwrap();
    let id = networks.iter().find(|(_, n)| n.file == name).unwrap().0;
    let mut inputs: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut outcome: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for certificate in ledger.certificates(id).unwrap() {
        let claim = &certificate.claim;
        let method = format!("{} {:?}", claim.method(), claim.parameters.goal());
        assert!(
            inputs
                .entry(method.clone())
                .or_default()
                .insert(certificate.idx)
        );
        let (rows, certified, wrong) = outcome.entry(method).or_default();
        *rows += 1;
        *certified += usize::from(certificate.class.is_some());
        let holds = certificate.class == Some(1) && certificate.radius <= TRUE + 1e-6;
        *wrong += usize::from(certificate.class.is_some() && !holds);
    }
    outcome
}

fn assert_checks(ledger: &Path) {
    let checked = job::check(&[ledger.to_owned()], None).unwrap();
    let report = &checked[0].result.as_ref().unwrap().report;
    let first: Vec<_> = report.violations.iter().take(3).collect();
    assert!(report.is_clean(), "{first:?}");
}

fn config(methods: &[Method], goal: Goal) -> RecertifyConfig {
    RecertifyConfig {
        methods: methods.to_vec(),
        n_p: if methods == [Method::Auto] {
            Vec::new()
        } else {
            vec!["50%".parse().unwrap()]
        },
        goal,
        ..RecertifyConfig::default()
    }
}

const PAIRS: [Method; 4] = [Method::Irs, Method::Zeta, Method::Loss, Method::Paired];

#[test]
fn no_input_is_missing_and_few_certificates_are_false() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("until");
    certify(&ledger, Some(UNTIL));
    let counts = |ledger: &Path| -> Vec<u64> {
        let ledger = Ledger::open_read_only(ledger).unwrap();
        let certificates = ledger.certificates(ledger.base()).unwrap();
        certificates.iter().map(|c| c.evaluations - 30).collect()
    };
    let ran_to_n = counts(&ledger).iter().filter(|&&n| n == 1000).count();
    assert!(
        (INPUTS / 20..INPUTS).contains(&ran_to_n),
        "{ran_to_n} ran to n"
    );

    // Every method, alone and with others.
    let all = [&PAIRS[..], &[Method::Auto, Method::Direct]].concat();
    let budget = || Goal::Budget(vec!["50%".parse().unwrap()]);
    let remarks = recertify(&ledger, "h", &config(&all, budget()));
    let stopped = remarks.iter().find_map(|remark| match remark {
        Remark::StoppedInputs {
            stopped,
            inputs,
            abstaining,
        } => Some((*stopped, *inputs, abstaining.clone())),
        _ => None,
    });
    let names = ["irs", "paired", "loss", "zeta"];
    let (stopped, inputs, abstaining) = stopped.unwrap();
    assert_eq!((stopped, inputs), (INPUTS, INPUTS));
    assert_eq!(abstaining, names);
    recertify(&ledger, "alone", &config(&PAIRS, Goal::Budget(Vec::new())));
    recertify(&ledger, "auto", &config(&[Method::Auto], Goal::Radius(0.1)));
    // Twice the ledger's, by default.
    let alpha = 2.0 * ALPHA;
    let deviation = (alpha * (1.0 - alpha) / INPUTS as f64).sqrt();
    for (name, methods) in [("h", 6), ("alone", 4), ("auto", 1)] {
        let outcome = outcome(&ledger, name);
        assert_eq!(outcome.len(), methods, "{outcome:?}");
        for (method, (rows, certified, wrong)) in outcome {
            assert_eq!(rows, INPUTS, "{name} {method}");
            let abstains = names.iter().any(|name| method.starts_with(name));
            assert_eq!(certified == 0, abstains, "{name} {method}: {certified}");
            // Four standard deviations: more happen in 1 of 30,000 such tests.
            let rate = wrong as f64 / INPUTS as f64;
            assert!(rate <= alpha + 4.0 * deviation, "{name} {method}: {rate}");
        }
    }
    assert_checks(&ledger);
    let held = Ledger::open_read_only(&ledger).unwrap();
    let id = held
        .networks()
        .unwrap()
        .into_iter()
        .find(|(_, n)| n.file == "alone");
    for certificate in held.certificates(id.unwrap().0).unwrap() {
        let Evidence::Stopped { k, n, .. } = certificate.evidence else {
            panic!("{certificate:?}");
        };
        assert!(k <= n && n <= 1000 && certificate.evaluations == 0);
    }
    drop(held);

    // From n samples of every input, fixed beforehand, all methods certify again, and what was
    // concluded before still checks.
    certify(&ledger, None);
    let remarks = recertify(&ledger, "later", &config(&all, budget()));
    let of_stopped = |remark: &&Remark| matches!(remark, Remark::StoppedInputs { .. });
    assert_eq!(remarks.iter().find(of_stopped), None);
    for (method, (rows, certified, wrong)) in outcome(&ledger, "later") {
        assert_eq!(rows, INPUTS, "{method}");
        assert!(certified > INPUTS / 2, "{method}: {certified}");
        let rate = wrong as f64 / INPUTS as f64;
        assert!(rate <= alpha + 4.0 * deviation, "{method}: {rate}");
    }
    assert_checks(&ledger);
}
