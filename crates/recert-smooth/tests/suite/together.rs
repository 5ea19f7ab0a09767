//! Several networks in one pass: each answers what it answers alone, a sample is
//! made once for all that lack it, and the failure of one of them is its own.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::numbers::{self, Numbers, held, network, series, threads};
use proptest::prelude::*;
use recert_engine::{Classifier, FnClassifier};
use recert_ledger::{Certificate, Header, INVALID, Input, Ledger, NetworkId, Task};
use recert_noise::{NoiseKey, Stream};
use recert_num::Alpha;
use recert_smooth::bound::{Loss, Paired, Zeta};
use recert_smooth::run::{Collect, Wanted, collect, collect_chosen};
use recert_smooth::{
    Error, ErrorKind, Irs, Method, Observer, Outcome, Recertify, Sides, Silent, Threads, certify,
    recertify,
};

const SEED: u64 = 5;
const SIGMA: f32 = 0.5;
const NUMBERS: Numbers = Numbers(0.25);

/// A ledger of network 0 with the candidates 1, 2 and 3.
fn ledger(path: &Path) -> (Ledger, [NetworkId; 3]) {
    let header = Header {
        task: Task::Certify,
        sigma: f64::from(SIGMA),
        n0: 11,
        n: 400,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed: SEED,
        network: network(0),
        data: "numbers".into(),
        shape: [1, 1, 2],
    };
    let ledger = Ledger::resume(path, &header).unwrap();
    let candidates = [1, 2, 3].map(|byte| ledger.add_network(&network(byte)).unwrap());
    (ledger, candidates)
}

/// What network `which` answers: each has limits of its own.
fn rule(which: usize, image: &[f32]) -> Option<u16> {
    match image[1] + 0.1 * which as f32 {
        x if x < -0.8 => None,
        x if x < 0.0 => Some(2),
        x if x < 1.0 => Some(1),
        _ => Some(3),
    }
}

/// The noisy images that each network was asked about, by their bits.
type Seen = Arc<Mutex<[Vec<[u32; 2]>; 4]>>;

fn classifiers(which: usize, workers: usize, seen: &Seen) -> Vec<Box<dyn Classifier>> {
    let one = || -> Box<dyn Classifier> {
        let seen = Arc::clone(seen);
        Box::new(FnClassifier::new(4, 2, move |image: &[f32]| {
            let bits = [image[0].to_bits(), image[1].to_bits()];
            seen.lock().unwrap()[which].push(bits);
            rule(which, image)
        }))
    };
    (0..workers).map(|_| one()).collect()
}

/// How many each candidate was asked about; none of them twice.
fn asked(seen: &Seen) -> [usize; 3] {
    let seen = seen.lock().unwrap();
    [1, 2, 3].map(|which| {
        let different: HashSet<_> = seen[which].iter().collect();
        assert_eq!(
            different.len(),
            seen[which].len(),
            "a sample was asked twice"
        );
        seen[which].len()
    })
}

/// Which samples of which streams the three networks are asked for.
type Wishes = Vec<(u32, Stream, [Option<Vec<u32>>; 3])>;

fn requests(wishes: &Wishes, networks: [NetworkId; 3]) -> Vec<Wanted> {
    let mut all = Vec::new();
    for (idx, stream, of_each) in wishes {
        for (network, samples) in networks.into_iter().zip(of_each) {
            all.extend(samples.clone().map(|samples| Wanted {
                network,
                idx: *idx,
                stream: *stream,
                samples,
            }));
        }
    }
    all
}

fn check(ledger: &Ledger, networks: [NetworkId; 3], requests: &[Wanted]) {
    for request in requests {
        let series = series(request.network, request.idx, request.stream);
        let which = 1 + networks.iter().position(|n| *n == request.network).unwrap();
        let answer = |&sample: &u32| {
            let mut noisy = [0.0; 2];
            let (key, image) = (NoiseKey::new(SEED), NUMBERS.image(request.idx));
            key.add(
                request.stream,
                request.idx,
                sample,
                SIGMA,
                &image,
                &mut noisy,
            );
            rule(which, &noisy).unwrap_or(INVALID)
        };
        let expected: Vec<u16> = request.samples.iter().map(answer).collect();
        let (classes, _) = ledger.answers_at(series, &request.samples).unwrap();
        assert_eq!(classes, expected, "{request:?}");
        let held = ledger.answered_count(series).unwrap();
        assert_eq!(held, request.samples.len() as u64);
    }
}

/// Stops after so many replies; notes what it is called with.
#[derive(Default)]
struct Notes {
    after: Option<usize>,
    replies: usize,
    evaluated: u64,
    concluded: Vec<(NetworkId, u32)>,
}

impl Observer for Notes {
    fn evaluated(&mut self, evaluations: u64) {
        self.replies += 1;
        self.evaluated += evaluations;
    }
    fn concluded(&mut self, network: NetworkId, input: &Input, _: &[Certificate]) {
        self.concluded.push((network, input.idx));
    }
    fn stop(&self) -> bool {
        self.after.is_some_and(|after| self.replies >= after)
    }
}

/// Draws what the requests ask for, with the three candidates in one pass.
fn draw(
    (ledger, networks): (&mut Ledger, [NetworkId; 3]),
    requests: &[Wanted],
    (batch, workers, seen): (usize, usize, &Seen),
    observer: &mut dyn Observer,
) -> Result<Outcome, Error> {
    let own = [1, 2, 3].map(|which| classifiers(which, workers, seen));
    let mut workers = Threads::new(networks.into_iter().zip(own), batch)?;
    let mut run = numbers::run(ledger, &NUMBERS, &mut workers, observer);
    collect_chosen(&mut run, requests, &mut |_, _, _| Ok(Vec::new()))
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let samples = prop::collection::btree_set(0_u32..300, 0..150);
    let samples = samples.prop_map(|set| set.into_iter().collect::<Vec<_>>());
    // Half of the time all want the same.
    let each = prop_oneof![
        samples
            .clone()
            .prop_map(|same| [Some(same.clone()), Some(same.clone()), Some(same)]),
        prop::array::uniform3(prop::option::of(samples)),
    ];
    let streams = vec![Stream::Certify, Stream::Fresh];
    prop::collection::btree_map((0_u32..5, prop::sample::select(streams)), each, 0..7).prop_map(
        |map| {
            let all = map.into_iter();
            all.map(|((idx, stream), each)| (idx, stream, each))
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_answers_what_it_lacks_however_often_it_is_stopped(
        wishes in wishes(),
        batch in 1_usize..90,
        workers in 1_usize..4,
        every in 1_usize..6,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.recert");
        let seen = Seen::default();
        let mut done = 0;
        let concluded = loop {
            let (mut ledger, networks) = ledger(&path);
            let requests = requests(&wishes, networks);
            let mut notes = Notes { after: Some(every), ..Notes::default() };
            let how = (batch, workers, &seen);
            let outcome = draw((&mut ledger, networks), &requests, how, &mut notes).unwrap();
            done += notes.evaluated;
            if outcome == Outcome::Finished {
                check(&ledger, networks, &requests);
                let total = |network| {
                    let own = requests.iter().filter(|r| r.network == network);
                    own.map(|r| r.samples.len()).sum::<usize>()
                };
                prop_assert_eq!(asked(&seen), networks.map(total));
                prop_assert_eq!(done as usize, networks.map(total).into_iter().sum::<usize>());
                break notes.concluded;
            }
            // Dropped, not closed: as a killed process would leave it.
        };
        // Once for each network that is asked about an input, in their order.
        let (_, networks) = ledger(&path);
        for network in networks {
            let own = |&(of, idx): &(NetworkId, u32)| (of == network).then_some(idx);
            let order: Vec<u32> = concluded.iter().filter_map(own).collect();
            let expected: Vec<u32> = requests(&wishes, networks)
                .into_iter()
                .filter_map(|r| own(&(r.network, r.idx)))
                .collect::<std::collections::BTreeSet<u32>>()
                .into_iter()
                .collect();
            prop_assert_eq!(order, expected);
        }
    }
}

#[test]
fn certificates_are_those_of_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = [0, 1, 2, 4];
    let seen = Seen::default();
    let base = |name: &str| {
        let (mut ledger, networks) = ledger(&folder.path().join(name));
        let mut f = threads(ledger.base(), classifiers(0, 2, &seen), 16);
        let mut silent = Silent;
        let mut run = numbers::run(&mut ledger, &NUMBERS, &mut f, &mut silent);
        let outcome = certify(&mut run, &inputs, Sides::default());
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        (ledger, networks)
    };
    let settings = Recertify {
        samples: vec![30, 150],
        alpha: Alpha::new(0.02).unwrap(),
        methods: vec![
            Method::Irs(Irs { gamma: 0.99 }),
            Method::Pairs(&Zeta),
            Method::Pairs(&Loss),
            Method::Pairs(&Paired),
            Method::Direct(Sides::Two),
        ],
    };
    let mut silent = Silent;
    let (mut apart, networks) = base("apart.recert");
    for (which, network) in (1..).zip(networks) {
        let mut h = threads(network, classifiers(which, 2, &seen), 13);
        let mut run = numbers::run(&mut apart, &NUMBERS, &mut h, &mut silent);
        let outcome = recertify(&mut run, &inputs, &settings);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
    }
    let expected = held(&apart);
    for held in expected.values().flat_map(|all| &all[1..]) {
        assert_eq!(held.certificates().len(), 2 * 5);
    }
    for workers in [1, 3] {
        let (mut together, networks) = base(&format!("together{workers}.recert"));
        // One of them has answered some samples, and one input's, before.
        let mut h = threads(networks[1], classifiers(2, 1, &seen), 7);
        let some = Collect {
            stream: Stream::Certify,
            samples: 40,
            selection: 0,
            margins: false,
        };
        let mut run = numbers::run(&mut together, &NUMBERS, &mut h, &mut silent);
        let outcome = collect(&mut run, &[1], &some, &mut |_, _, _| Ok(Vec::new()));
        assert_eq!(outcome.unwrap(), Outcome::Finished);

        let own = [1, 2, 3].map(|which| classifiers(which, workers, &seen));
        let mut all = Threads::new(networks.into_iter().zip(own), 13).unwrap();
        let mut run = numbers::run(&mut together, &NUMBERS, &mut all, &mut silent);
        let outcome = recertify(&mut run, &inputs, &settings);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(held(&together), expected, "{workers} workers");
    }
}

/// A classifier that may panic on input 9.
struct Trap {
    panics: bool,
}

impl Classifier for Trap {
    fn classes(&self) -> usize {
        4
    }
    fn image_len(&self) -> usize {
        2
    }
    fn classify(&mut self, images: &[f32]) -> Result<recert_engine::Answers, recert_engine::Error> {
        let trapped = images.chunks_exact(2).any(|image| image[0] > 5.0);
        assert!(!(trapped && self.panics), "the trap");
        let mut inner = FnClassifier::new(4, 2, |image: &[f32]| rule(2, image));
        inner.classify(images)
    }
}

#[test]
fn a_network_that_panics_is_named_and_the_others_answers_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.recert");
    let (mut ledger, networks) = ledger(&path);
    let all: Vec<u32> = (0..200).collect();
    let wishes: Wishes = [0, 9]
        .map(|idx| {
            let each = [(); 3].map(|()| Some(all.clone()));
            (idx, Stream::Certify, each)
        })
        .into();
    let requests = requests(&wishes, networks);
    let seen = Seen::default();
    let run = |ledger: &mut Ledger, panics| {
        let mut own = [1, 2, 3].map(|which| classifiers(which, 1, &seen));
        own[1] = vec![Box::new(Trap { panics })];
        let mut workers = Threads::new(networks.into_iter().zip(own), 16).unwrap();
        let mut silent = Silent;
        let mut run = numbers::run(ledger, &NUMBERS, &mut workers, &mut silent);
        collect_chosen(&mut run, &requests, &mut |_, _, _| Ok(Vec::new()))
    };
    let error = run(&mut ledger, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Engine);
    for part in ["2.onnx: ", "panicked on input 9", "the trap"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let count = |ledger: &Ledger, which: usize, idx| {
        let at = series(networks[which], idx, Stream::Certify);
        ledger.answered_count(at).unwrap()
    };
    for which in 0..3 {
        assert_eq!(count(&ledger, which, 0), 200);
    }
    assert_eq!(count(&ledger, 1, 9), 0);
    let kept = [0, 2].map(|which| count(&ledger, which, 9));
    assert!(kept.iter().all(|&kept| kept > 0), "{kept:?}");
    // With a network that works it goes on from there, and asks nothing twice.
    assert_eq!(run(&mut ledger, false).unwrap(), Outcome::Finished);
    check(&ledger, networks, &requests);
    let [first, _, third] = asked(&seen);
    assert_eq!((first, third), (400, 400));
}

#[test]
fn networks_that_cannot_answer_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, networks) = ledger(&folder.path().join("run.recert"));
    let seen = Seen::default();
    let mut run = |of: &[(usize, usize)], asked: usize| {
        let own = (of.iter())
            .map(|&(which, workers)| (networks[which], classifiers(which + 1, workers, &seen)));
        let requests = [Wanted {
            network: networks[asked],
            idx: 3,
            stream: Stream::Certify,
            samples: vec![1, 5],
        }];
        let outcome = Threads::new(own, 4).and_then(|mut workers| {
            let mut silent = Silent;
            let mut run = numbers::run(&mut ledger, &NUMBERS, &mut workers, &mut silent);
            collect_chosen(&mut run, &requests, &mut |_, _, _| Ok(Vec::new()))
        });
        outcome.map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Parameter);
            error.to_string()
        })
    };
    for (of, asked, part) in [
        (&[(0, 2), (1, 1)][..], 0, "the same number of instances"),
        (&[(0, 1), (2, 1), (0, 1)], 0, "twice"),
        (&[(0, 1), (1, 1)], 2, "do not have"),
        (&[], 0, "at least one worker"),
    ] {
        let error = run(of, asked).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
    // A network that nothing is asked of is no hindrance.
    assert_eq!(run(&[(0, 1), (1, 1)], 1).unwrap(), Outcome::Finished);
    assert_eq!(asked(&seen), [0, 2, 0]);
}
