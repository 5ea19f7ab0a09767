//! Runs on chosen samples: the answers are those that any run gives on these
//! samples, whatever the batch, the workers and the interruptions, and no sample
//! is evaluated twice.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::numbers::{self, Numbers, network, threads};
use recert_engine::{Classifier, FnClassifier};
use recert_ledger::{
    Certificate, Claim, Evidence, Header, INVALID, Images, Input, Ledger, NetworkId, Parameters,
    Series, Task,
};
use recert_noise::{NoiseKey, Stream};
use recert_smooth::run::{Collect, Wanted, collect, collect_chosen};
use recert_smooth::{Error, ErrorKind, Observer, Outcome, Silent, Threads};

const SEED: u64 = 77;
const SIGMA: f32 = 0.5;
const NUMBERS: Numbers = Numbers(0.25);

/// Opens or makes a ledger; the second network in it is the one that answers.
fn ledger(path: &Path) -> (Ledger, NetworkId) {
    let header = Header {
        task: Task::Certify,
        sigma: f64::from(SIGMA),
        n0: 7,
        n: 1000,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed: SEED,
        network: network(1),
        data: "numbers".into(),
        shape: [1, 1, 2],
    };
    let ledger = Ledger::resume(path, &header).unwrap();
    let h = ledger.add_network(&network(2)).unwrap();
    (ledger, h)
}

fn rule(image: &[f32]) -> Option<u16> {
    match image[1] {
        x if x < -0.9 => None,
        x if x < 0.0 => Some(2),
        _ => Some(u16::from(image[0].fract().abs() < 0.3)),
    }
}

/// What [`rule`] answers on a sample, straight from the noise.
fn class(stream: Stream, idx: u32, sample: u32) -> u16 {
    let mut noisy = [0.0; 2];
    NoiseKey::new(SEED).add(stream, idx, sample, SIGMA, &NUMBERS.image(idx), &mut noisy);
    rule(&noisy).unwrap_or(INVALID)
}

/// The noisy images that were evaluated, by their bits.
type Seen = Arc<Mutex<Vec<[u32; 2]>>>;

fn classifiers(workers: usize, seen: &Seen) -> Vec<Box<dyn Classifier>> {
    let one = || -> Box<dyn Classifier> {
        let seen = Arc::clone(seen);
        Box::new(FnClassifier::new(4, 2, move |image: &[f32]| {
            let bits = [image[0].to_bits(), image[1].to_bits()];
            seen.lock().unwrap().push(bits);
            rule(image)
        }))
    };
    (0..workers).map(|_| one()).collect()
}

/// The second network of a ledger.
fn second(ledger: &Ledger) -> NetworkId {
    ledger.networks().unwrap()[1].0
}

/// How many were evaluated; none of them twice.
fn evaluated(seen: &Seen) -> usize {
    let seen = seen.lock().unwrap();
    let different: HashSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "a sample was evaluated twice");
    seen.len()
}

/// Runs of neighbours and scattered samples, by a rule without any period.
fn scattered(below: u32, salt: u32) -> Vec<u32> {
    let chosen =
        |sample: &u32| (sample ^ salt).wrapping_mul(2_654_435_761) >> 30 < 1 + (sample >> 7) % 3;
    (0..below).filter(chosen).collect()
}

fn requests(network: NetworkId) -> Vec<Wanted> {
    let of = |idx, stream, samples| Wanted {
        network,
        idx,
        stream,
        samples,
    };
    vec![
        of(5, Stream::Certify, scattered(900, 3)),
        of(2, Stream::Certify, vec![0, 999, u32::MAX - 1]),
        of(2, Stream::Fresh, (0..200).collect()),
        of(9, Stream::Fresh, vec![]),
        of(5, Stream::Fresh, (0..70).collect()),
        of(3, Stream::Certify, scattered(2000, 8)),
    ]
}

fn total(requests: &[Wanted]) -> u64 {
    requests.iter().map(|r| r.samples.len() as u64).sum()
}

fn check(ledger: &Ledger, network: NetworkId, requests: &[Wanted]) {
    let own = requests.iter().filter(|request| request.network == network);
    for Wanted {
        idx,
        stream,
        samples,
        ..
    } in own
    {
        let series = Series {
            network,
            idx: *idx,
            stream: recert_ledger::Stream(stream.tag()),
        };
        let (classes, _) = ledger.answers_at(series, samples).unwrap();
        let expected: Vec<u16> = samples.iter().map(|&c| class(*stream, *idx, c)).collect();
        assert_eq!(classes, expected, "input {idx}");
        assert_eq!(ledger.answered_count(series).unwrap(), samples.len() as u64);
    }
}

fn run(
    ledger: &mut Ledger,
    (requests, batch): (&[Wanted], usize),
    (workers, seen): (usize, &Seen),
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let mut workers = Threads::new([(second(ledger), classifiers(workers, seen))], batch)?;
    let mut run = numbers::run(ledger, &NUMBERS, &mut workers, observer);
    collect_chosen(&mut run, requests, &mut |_, _, _| Ok(Vec::new()))
}

#[test]
fn answers_do_not_depend_on_batch_or_workers() {
    let folder = tempfile::tempdir().unwrap();
    for (batch, workers) in [(1, 1), (3, 2), (7, 3), (64, 1), (5000, 2)] {
        let path = folder.path().join(format!("{batch}.recert"));
        let (mut ledger, network) = ledger(&path);
        let requests = requests(network);
        let chosen = (&requests[..], batch);
        let seen = Seen::default();
        let outcome = run(&mut ledger, chosen, (workers, &seen), &mut Silent);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(evaluated(&seen) as u64, total(&requests));
        check(&ledger, network, &requests);
        // Once more, there is nothing to do.
        let outcome = run(&mut ledger, chosen, (workers, &seen), &mut Silent);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(evaluated(&seen) as u64, total(&requests));
    }
}

/// Stops after so many replies; notes what it is called with.
#[derive(Default)]
struct Stops {
    after: usize,
    replies: usize,
    start: (u64, u64),
    evaluated: u64,
    concluded: Vec<(u32, usize)>,
}

impl Observer for Stops {
    fn start(&mut self, evaluations: u64, done: u64) {
        self.start = (evaluations, done);
    }
    fn evaluated(&mut self, evaluations: u64) {
        self.replies += 1;
        self.evaluated += evaluations;
    }
    fn concluded(&mut self, _: NetworkId, input: &Input, certificates: &[Certificate]) {
        self.concluded.push((input.idx, certificates.len()));
    }
    fn stop(&self) -> bool {
        self.replies >= self.after
    }
}

#[test]
fn a_run_stopped_at_any_moment_goes_on_from_there() {
    for (every, workers) in [(1, 1), (1, 3), (2, 1), (3, 2), (5, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.recert");
        let seen = Seen::default();
        let (mut done, mut stops) = (0, 0);
        loop {
            let (mut ledger, network) = ledger(&path);
            let requests = requests(network);
            let mut observer = Stops {
                after: every,
                ..Stops::default()
            };
            // Another batch each time.
            let chosen = (&requests[..], 1 + 10 * stops);
            let outcome = run(&mut ledger, chosen, (workers, &seen), &mut observer).unwrap();
            assert_eq!(observer.start, (total(&requests), done));
            done += observer.evaluated;
            assert_eq!(evaluated(&seen) as u64, done, "what was evaluated is kept");
            if outcome == Outcome::Finished {
                assert_eq!(observer.concluded, [(2, 0), (9, 0), (5, 0), (3, 0)]);
                check(&ledger, network, &requests);
                assert_eq!(done, total(&requests));
                break;
            }
            stops += 1;
            // Dropped, not closed: as a killed process would leave it.
        }
        assert!(stops >= 2, "{stops} stops every {every} replies");
    }
}

#[test]
fn first_and_chosen_samples_make_use_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, network) = ledger(&path);
    let seen = Seen::default();
    let prefix = |ledger: &mut Ledger, samples: u64| {
        let first = Collect {
            stream: Stream::Certify,
            samples,
            selection: 0,
            margins: false,
        };
        let mut workers = threads(second(ledger), classifiers(2, &seen), 9);
        let mut observer = Stops {
            after: usize::MAX,
            ..Stops::default()
        };
        let mut run = numbers::run(ledger, &NUMBERS, &mut workers, &mut observer);
        let outcome = collect(&mut run, &[1, 6], &first, &mut |_, _, _| Ok(Vec::new()));
        (outcome.unwrap(), observer.start, observer.evaluated)
    };
    let end = prefix(&mut ledger, 300);
    assert_eq!(end, (Outcome::Finished, (600, 0), 600));

    let samples = scattered(1000, 21);
    let beyond = samples.iter().filter(|&&sample| sample >= 300).count();
    let requests = [1, 6].map(|idx| Wanted {
        network,
        idx,
        stream: Stream::Certify,
        samples: samples.clone(),
    });
    let chosen = (&requests[..], 4);
    let mut observer = Stops {
        after: usize::MAX,
        ..Stops::default()
    };
    let outcome = run(&mut ledger, chosen, (2, &seen), &mut observer);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let new = 2 * beyond as u64;
    assert_eq!(observer.start, (total(&requests), total(&requests) - new));
    assert_eq!(observer.evaluated, new);
    assert_eq!(evaluated(&seen), 600 + 2 * beyond);

    // The gaps between them are all that is left of the first 1000.
    let end = prefix(&mut ledger, 1000);
    let held = 600 + new;
    assert_eq!(end, (Outcome::Finished, (2000, held), 2000 - held));
    assert_eq!(evaluated(&seen), 2000);
    let whole = [1, 6].map(|idx| Wanted {
        network,
        idx,
        stream: Stream::Certify,
        samples: (0..1000).collect(),
    });
    check(&ledger, network, &whole);
    for idx in [1, 6] {
        let series = Series {
            network,
            idx,
            stream: recert_ledger::Stream(Stream::Certify.tag()),
        };
        assert_eq!(ledger.answered(series).unwrap(), vec![0..1000]);
        let (codes, _) = ledger.answers(series, 1000).unwrap();
        assert_eq!(
            codes.classes,
            ledger.answers_at(series, &whole[0].samples).unwrap().0
        );
    }
}

#[test]
fn an_input_is_concluded_once_and_after_its_last_request() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, network) = ledger(&folder.path().join("run.recert"));
    let requests = requests(network);
    let claim = Claim::new(Parameters::Predict {}, 1, 0.5, Images::Real);
    let claim = Arc::new(claim);
    let mut order = Vec::new();
    let mut conclude = |ledger: &Ledger, _: NetworkId, idx: u32| {
        order.push(idx);
        // All that was asked for of this input is there.
        for request in requests.iter().filter(|request| request.idx == idx) {
            let series = Series {
                network,
                idx,
                stream: recert_ledger::Stream(request.stream.tag()),
            };
            ledger.answers_at(series, &request.samples)?;
        }
        let certificate = Certificate {
            idx,
            claim: Arc::clone(&claim),
            class: None,
            radius: 0.0,
            p_lower: None,
            bound: None,
            evidence: Evidence::Prediction {
                class: 0,
                k1: 0,
                k2: 0,
                n: 1,
                invalid: 0,
            },
            evaluations: 1,
            micros: 0,
        };
        Ok(if idx == 9 { vec![] } else { vec![certificate] })
    };
    let mut observer = Stops {
        after: usize::MAX,
        ..Stops::default()
    };
    let mut workers = threads(network, classifiers(3, &Seen::default()), 16);
    let mut run = numbers::run(&mut ledger, &NUMBERS, &mut workers, &mut observer);
    let outcome = collect_chosen(&mut run, &requests, &mut conclude);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(order, [2, 9, 5, 3]);
    assert_eq!(observer.concluded, [(2, 1), (9, 0), (5, 1), (3, 1)]);
    let certificates = ledger.certificates(network).unwrap();
    let of: Vec<u32> = certificates.iter().map(|c| c.idx).collect();
    assert_eq!(of, [2, 3, 5]);
}

#[test]
fn nothing_asked_for_is_nothing_done() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, _) = ledger(&folder.path().join("run.recert"));
    let chosen = (&[][..], 1);
    let outcome = run(&mut ledger, chosen, (1, &Seen::default()), &mut Silent);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
}

#[test]
fn malformed_requests_are_refused_before_anything_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, network) = ledger(&folder.path().join("run.recert"));
    let good = requests(network);
    let with = |request: Wanted| good.iter().cloned().chain([request]).collect::<Vec<_>>();
    let of = |idx, samples: &[u32]| Wanted {
        network,
        idx,
        stream: Stream::Certify,
        samples: samples.to_vec(),
    };
    let cases = [
        (with(of(8, &[1, 1])), 4, 1, "input 8"),
        (with(of(8, &[2, 1])), 4, 1, "input 8"),
        (with(of(8, &[u32::MAX])), 4, 1, "input 8"),
        (with(of(3, &[5000])), 4, 1, "input 3 is asked for twice"),
        (good.clone(), 0, 1, "batch"),
        (good.clone(), 4, 0, "worker"),
    ];
    for (requests, batch, workers, part) in cases {
        let chosen = (&requests[..], batch);
        let seen = Seen::default();
        let error = run(&mut ledger, chosen, (workers, &seen), &mut Silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(error.to_string().contains(part), "{part}: {error}");
        assert_eq!(evaluated(&seen), 0);
    }
    let first = Collect {
        stream: Stream::Certify,
        samples: 1 << 32,
        selection: 0,
        margins: false,
    };
    let (mut f, mut silent) = (
        threads(network, classifiers(1, &Seen::default()), 1),
        Silent,
    );
    let mut run = numbers::run(&mut ledger, &NUMBERS, &mut f, &mut silent);
    let error = collect(&mut run, &[0], &first, &mut |_, _, _| Ok(Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parameter);
    assert!(error.to_string().contains("4294967296 samples"), "{error}");
}
