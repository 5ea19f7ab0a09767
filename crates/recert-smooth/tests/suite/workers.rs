//! Workers that share no memory with the coordinator: requests and replies are bytes,
//! answered in another order; what is lost, sent twice or misshapen ends the run as an
//! error, and what is in the ledger then is right.

use std::path::Path;

use crate::numbers::{self, Nearest, Numbers, held, network};
use recert_engine::{Answers, Classifier};
use recert_ledger::{Header, Ledger, NetworkId, Task};
use recert_num::Alpha;
use recert_smooth::run::{
    Action, Answerer, Assignment, Failure, Instance, NoiseParameters, Output, Reply, Request,
    Samples, Worker,
};
use recert_smooth::{
    Error, ErrorKind, Inputs, Irs, Method, Outcome, Recertify, Sides, Silent, Threads, Workers,
    certify, recertify,
};

const INPUTS: [u32; 4] = [0, 1, 2, 4];

/// A ledger of network 0 with two modified networks.
fn ledger(path: &Path) -> (Ledger, [NetworkId; 2]) {
    let header = Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: 20,
        n: 700,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed: 3,
        network: network(0),
        data: "numbers".into(),
        shape: [1, 1, 2],
    };
    let ledger = Ledger::resume(path, &header).unwrap();
    let modified = [1, 2].map(|byte| ledger.add_network(&network(byte)).unwrap());
    (ledger, modified)
}

/// What goes wrong, and with which reply.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Lost(usize),
    Twice(usize),
    OneSampleLess(usize),
    /// The reply to a request that had another seed.
    OtherRequest(usize),
    /// Answers of this class, in the first reply.
    Class(u16),
    /// Counts whose sum is the right one only modulo 2^64.
    Overflow(usize),
}

type FaultAt = fn(usize) -> Fault;

/// A worker elsewhere: it is sent bytes, and sends bytes back.
struct Elsewhere {
    networks: Vec<NetworkId>,
    worker: Worker,
    /// Data of its own.
    data: Numbers,
    requests: Vec<Vec<u8>>,
    replies: usize,
    fault: Option<Fault>,
    again: Option<Vec<u8>>,
}

impl Elsewhere {
    fn new(networks: &[NetworkId], which: &[u8], fault: Option<Fault>) -> Self {
        let classifiers = which.iter().map(|&which| Box::new(Nearest(which)) as _);
        Self {
            networks: networks.to_vec(),
            worker: Worker::new(classifiers.collect(), 9).unwrap(),
            data: Numbers(0.25),
            requests: Vec::new(),
            replies: 0,
            fault,
            again: None,
        }
    }

    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let mut request: Request = serde_json::from_slice(request).unwrap();
        if self.fault == Some(Fault::OtherRequest(self.replies)) {
            request.noise.seed += 1;
        }
        let (input, pixels) = self.data.input(request.input).unwrap();
        let reply = if input.sha256 == request.sha256 {
            self.worker.evaluate(&request, &pixels)
        } else {
            let message = format!("input {} is another image here", request.input);
            request.failed(&Failure::new(ErrorKind::Data, message))
        };
        serde_json::to_vec(&reply).unwrap()
    }
}

impl Workers for Elsewhere {
    fn networks(&self) -> &[NetworkId] {
        &self.networks
    }

    fn in_flight(&self) -> usize {
        // It changes its mind.
        1 + self.replies % 7
    }

    fn submit(&mut self, request: Request, _: &std::sync::Arc<[f32]>) -> Result<(), Error> {
        self.requests.push(serde_json::to_vec(&request).unwrap());
        Ok(())
    }

    fn next(&mut self) -> Result<Reply, Error> {
        let bytes = if let Some(again) = self.again.take() {
            again
        } else {
            // The last ones first, now and then the first.
            let last = self.requests.len() - 1;
            let at = if self.replies % 3 == 1 { 0 } else { last };
            let request = self.requests.remove(at);
            self.replies += 1;
            if self.fault == Some(Fault::Lost(self.replies)) {
                return Err(Failure::new(ErrorKind::Workers, "machine 7 is gone").into());
            }
            self.answer(&request)
        };
        if self.fault == Some(Fault::Twice(self.replies)) {
            self.fault = None;
            self.again = Some(bytes.clone());
        }
        let mut reply: Reply = serde_json::from_slice(&bytes).unwrap();
        if self.fault == Some(Fault::OneSampleLess(self.replies)) {
            match &mut reply.results[0] {
                Ok(Output::Answered { classes, .. }) => classes.truncate(classes.len() - 1),
                Ok(Output::Selected { invalid, .. }) => *invalid += 1,
                Err(failure) => panic!("{failure:?}"),
            }
        }
        match (&self.fault, &mut reply.results[0]) {
            (Some(Fault::Class(class)), Ok(Output::Selected { counts, .. })) => {
                *counts = [(*class, counts.values().sum())].into();
            }
            (Some(Fault::Class(class)), Ok(Output::Answered { classes, .. })) => {
                classes.fill(*class);
            }
            (Some(Fault::Overflow(at)), Ok(Output::Selected { counts, .. }))
                if *at == self.replies =>
            {
                let samples: u64 = counts.values().sum();
                *counts = [(0, u64::MAX), (1, samples + 1)].into();
            }
            _ => {}
        }
        Ok(reply)
    }
}

fn methods() -> Recertify {
    Recertify {
        samples: vec![40, 300],
        alpha: Alpha::new(0.02).unwrap(),
        methods: vec![Method::Irs(Irs { gamma: 0.99 }), Method::Direct(Sides::Two)],
    }
}

/// Starts workers of these networks.
type Start<'a> = dyn FnMut(&[NetworkId], &[u8]) -> Box<dyn Workers> + 'a;

/// Certifies network 0 and recertifies both others.
fn whole(
    (ledger, modified): (&mut Ledger, [NetworkId; 2]),
    workers: &mut Start<'_>,
) -> Result<Outcome, Error> {
    let (data, mut silent) = (Numbers(0.25), Silent);
    let mut base = workers(&[ledger.base()], &[0]);
    let mut run = numbers::run(ledger, &data, base.as_mut(), &mut silent);
    let outcome = certify(&mut run, &INPUTS, Sides::Two)?;
    assert_eq!(outcome, Outcome::Finished);
    let mut both = workers(&modified, &[1, 2]);
    let mut run = numbers::run(ledger, &data, both.as_mut(), &mut silent);
    recertify(&mut run, &INPUTS, &methods())
}

fn threads(networks: &[NetworkId], which: &[u8]) -> Box<dyn Workers> {
    let own = which.iter().map(|&which| {
        let instance = || Box::new(Nearest(which)) as Box<dyn Classifier>;
        vec![instance(), instance()]
    });
    Box::new(Threads::new(networks.iter().copied().zip(own), 16).unwrap())
}

/// A network that makes its noise itself: it is sent bytes, and has the images of its own.
struct Apart(Worker);

impl Answerer for Apart {
    fn image_len(&self) -> usize {
        2
    }
    fn answer(&mut self, request: &Request, _: &[f32], batch: usize) -> Result<Output, Failure> {
        assert_eq!(batch, 16);
        let mut request: Request =
            serde_json::from_slice(&serde_json::to_vec(request).unwrap()).unwrap();
        assert_eq!(request.assignments.len(), 1);
        request.assignments[0].network = 0;
        let (_, pixels) = Numbers(0.25).input(request.input).unwrap();
        self.0.evaluate(&request, &pixels).results.remove(0)
    }
}

/// Threads in which every other network makes its noise itself, from this one on.
fn apart(networks: &[NetworkId], which: &[u8], first: usize) -> Box<dyn Workers> {
    let own = which.iter().enumerate().map(|(i, &which)| {
        let nearest = || Box::new(Nearest(which)) as Box<dyn Classifier>;
        let instance = || {
            if i % 2 == first {
                Instance::Answerer(Box::new(Apart(Worker::new(vec![nearest()], 9).unwrap())))
            } else {
                Instance::Classifier(nearest())
            }
        };
        vec![instance(), instance()]
    });
    Box::new(Threads::new(networks.iter().copied().zip(own), 16).unwrap())
}

#[test]
fn the_ledger_does_not_depend_on_who_evaluates() {
    let folder = tempfile::tempdir().unwrap();
    let (mut here, modified) = ledger(&folder.path().join("here.recert"));
    let outcome = whole((&mut here, modified), &mut threads);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let expected = held(&here);
    assert!(
        expected
            .values()
            .flatten()
            .all(|held| !held.certificates().is_empty())
    );

    let (mut there, modified) = ledger(&folder.path().join("there.recert"));
    let outcome = whole((&mut there, modified), &mut |networks, which| {
        Box::new(Elsewhere::new(networks, which, None))
    });
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(held(&there), expected);

    for first in [0, 1] {
        let name = format!("apart{first}.recert");
        let (mut mixed, modified) = ledger(&folder.path().join(name));
        let outcome = whole((&mut mixed, modified), &mut |networks, which| {
            apart(networks, which, first)
        });
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!(held(&mixed), expected);
    }

    let cases: [(FaultAt, &str); 4] = [
        (Fault::Lost, "machine 7 is gone"),
        (Fault::Twice, "no such request is in flight"),
        (Fault::OneSampleLess, "cannot be used"),
        (Fault::OtherRequest, "reply to another request"),
    ];
    for (fault, part) in cases {
        for reply in [1, 2, 9, 20] {
            let name = format!("{reply}{}.recert", part.len());
            let (mut faulty, modified) = ledger(&folder.path().join(name));
            let error = whole((&mut faulty, modified), &mut |networks, which| {
                Box::new(Elsewhere::new(networks, which, Some(fault(reply))))
            });
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Workers, "{error}");
            assert!(error.to_string().contains(part), "{part}: {error}");
            // Others go on from there.
            let outcome = whole((&mut faulty, modified), &mut threads);
            assert_eq!(outcome.unwrap(), Outcome::Finished);
            assert_eq!(held(&faulty), expected, "{part} {reply}");
        }
    }
}

#[test]
fn late_replies_and_other_data_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, _) = ledger(&folder.path().join("run.recert"));
    let (data, mut silent) = (Numbers(0.25), Silent);
    let mut workers = Elsewhere::new(&[ledger.base()], &[0], Some(Fault::Lost(4)));
    let mut certify = |workers: &mut Elsewhere| {
        let mut run = numbers::run(&mut ledger, &data, workers, &mut silent);
        certify(&mut run, &INPUTS, Sides::Two)
    };
    certify(&mut workers).unwrap_err();
    assert!(!workers.requests.is_empty());
    // What the same workers had in flight comes in the next run.
    workers.fault = None;
    let error = certify(&mut workers).unwrap_err();
    assert!(
        error.to_string().contains("no such request is in flight"),
        "{error}"
    );
    workers.requests.clear();
    let outcome = certify(&mut workers);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(held(&ledger).len(), INPUTS.len());
}

#[test]
fn classes_that_no_network_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let cases = [
        (Fault::Class(4), "class that the network does not have"),
        (Fault::Class(60_000), "class that the network does not have"),
        // The code of an invalid answer is no class to select.
        (
            Fault::Class(u16::MAX),
            "class that the network does not have",
        ),
        (Fault::Overflow(1), "count every selection sample once"),
    ];
    for (i, (fault, part)) in cases.into_iter().enumerate() {
        let (mut ledger, _) = ledger(&file(&format!("{i}.recert")));
        let (data, mut silent) = (Numbers(0.25), Silent);
        let mut workers = Elsewhere::new(&[ledger.base()], &[0], Some(fault));
        let mut run = numbers::run(&mut ledger, &data, &mut workers, &mut silent);
        let error = certify(&mut run, &INPUTS, Sides::Two).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Workers, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(ledger.certificates(ledger.base()).unwrap().is_empty());
    }
    // Once the class is selected, on answers.
    let (mut ledger, modified) = ledger(&file("answers.recert"));
    assert_eq!(
        whole((&mut ledger, modified), &mut threads).unwrap(),
        Outcome::Finished
    );
    let network = ledger.add_network(&network(3)).unwrap();
    let (data, mut silent) = (Numbers(0.25), Silent);
    let mut workers = Elsewhere::new(&[network], &[3], Some(Fault::Class(4)));
    let mut run = numbers::run(&mut ledger, &data, &mut workers, &mut silent);
    let irs = Recertify {
        methods: vec![Method::Irs(Irs { gamma: 0.99 })],
        ..methods()
    };
    let error = recertify(&mut run, &INPUTS, &irs).unwrap_err();
    assert!(error.to_string().contains("answer of a class"), "{error}");
}

/// Misbehaves.
#[derive(Clone, Copy)]
enum Odd {
    /// Answers with this class, of four.
    Class(u16),
    /// Answers with logits of no classes.
    NoClasses,
    /// Answers with a class too many.
    OneMore,
    /// Panics outside `classify`.
    Panics,
}

impl Classifier for Odd {
    fn classes(&self) -> usize {
        4
    }
    fn image_len(&self) -> usize {
        if matches!(self, Self::Panics) {
            panic!("the shape is lost");
        }
        2
    }
    fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
        let count = images.len() / 2;
        Ok(match self {
            Self::Class(class) => Answers::Classes(vec![Some(*class); count]),
            Self::NoClasses | Self::Panics => Answers::Logits {
                classes: 0,
                values: vec![0.5; 4 * count],
            },
            Self::OneMore => Answers::Classes(vec![Some(0); count + 1]),
        })
    }
}

/// Two threads with such a classifier each.
fn odd(network: NetworkId, odd: Odd) -> Threads {
    numbers::threads(network, vec![Box::new(odd), Box::new(odd)], 16)
}

#[test]
fn a_class_out_of_range_is_an_invalid_answer() {
    for class in [4, 60_000, u16::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, _) = ledger(&folder.path().join("run.recert"));
        let (data, mut silent) = (Numbers(0.25), Silent);
        let mut workers = odd(ledger.base(), Odd::Class(class));
        let mut run = numbers::run(&mut ledger, &data, &mut workers, &mut silent);
        let outcome = certify(&mut run, &INPUTS, Sides::Two).unwrap();
        assert_eq!(outcome, Outcome::Finished);
        let selection = ledger.selection(ledger.base(), 1).unwrap().unwrap();
        assert_eq!((selection.counts.len(), selection.invalid), (0, 20));
        for certificate in ledger.certificates(ledger.base()).unwrap() {
            assert_eq!((certificate.class, certificate.radius), (None, 0.0));
        }
    }
}

#[test]
fn no_misbehaving_classifier_hangs_a_run() {
    let cases = [
        (Odd::NoClasses, ErrorKind::Engine, "not one for each"),
        (Odd::OneMore, ErrorKind::Engine, "not one for each"),
        (Odd::Panics, ErrorKind::Workers, "the shape is lost"),
    ];
    for (misbehaving, kind, part) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, _) = ledger(&folder.path().join("run.recert"));
        let (data, mut silent) = (Numbers(0.25), Silent);
        let mut workers = odd(ledger.base(), misbehaving);
        // The threads go on to answer, if only that they cannot.
        for _ in 0..2 {
            let mut run = numbers::run(&mut ledger, &data, &mut workers, &mut silent);
            let error = certify(&mut run, &INPUTS, Sides::Two).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[test]
fn a_worker_refuses_requests_that_it_cannot_answer() {
    let mut worker = Worker::new(vec![Box::new(Nearest(0))], 16).unwrap();
    let assignment = |network: usize, samples: &[u32]| Assignment {
        network,
        samples: Samples::from_ascending(samples),
        action: Action::Answer { margins: None },
    };
    let mut refusal = |assignments: Vec<Assignment>, pixels: &[f32]| {
        let request = Request {
            id: 1,
            noise: NoiseParameters {
                generator: recert_noise::GENERATOR.into(),
                seed: 7,
                sigma: 2.0,
            },
            stream: recert_noise::Stream::Certify,
            input: 3,
            sha256: [0; 32],
            assignments,
        };
        let reply = worker.evaluate(&request, pixels);
        assert_eq!((reply.id, reply.request), (1, request.digest()));
        let results = reply.results.into_iter();
        results
            .filter_map(Result::err)
            .map(|failure| failure.message)
            .collect::<Vec<_>>()
    };
    let image = [0.0, 0.5];
    assert!(refusal(vec![assignment(0, &[1, 4])], &image).is_empty());
    let twice = refusal(vec![assignment(0, &[1, 4]), assignment(0, &[2])], &image);
    assert_eq!(twice.len(), 2);
    assert!(
        twice[0].contains("two assignments for network 0"),
        "{twice:?}"
    );
    let unknown = refusal(vec![assignment(1, &[1])], &image);
    assert!(unknown[0].contains("does not have"), "{unknown:?}");
    let small = refusal(vec![assignment(0, &[1])], &image[..1]);
    assert!(small[0].contains("has 1 values"), "{small:?}");
}

#[test]
fn a_digest_covers_the_number_and_what_is_asked() {
    let request = |id, seed| Request {
        id,
        noise: NoiseParameters {
            generator: recert_noise::GENERATOR.into(),
            seed,
            sigma: 2.0,
        },
        stream: recert_noise::Stream::Certify,
        input: 3,
        sha256: [0; 32],
        assignments: Vec::new(),
    };
    assert_eq!(request(1, 7).digest(), request(1, 7).digest());
    assert_ne!(request(1, 7).digest(), request(2, 7).digest());
    assert_ne!(request(1, 7).digest(), request(1, 8).digest());
}
