//! Designs over cells in two rounds: what a run records of them, and that it does not depend on
//! when the run was stopped.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::numbers::{self, Nearest, held, network};
use recert_engine::Classifier;
use recert_ledger::{Certificate, Evidence, Header, Input, Ledger, NetworkId, Task};
use recert_num::Alpha;
use recert_smooth::budget::Goal;
use recert_smooth::{
    Auto, Error, Inputs, Observer, Outcome, Sides, Silent, Threads, certify, recertify_auto,
};

/// Images of two pixels, at several distances from the border of two classes.
struct Between;

impl Inputs for Between {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, vec![0.0, 0.04 * idx as f32]))
    }
}

const INPUTS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 21, 22, 23, 24];

fn threads(network: NetworkId, which: u8) -> Threads {
    let instance = || Box::new(Nearest(which)) as Box<dyn Classifier>;
    Threads::new([(network, vec![instance(), instance()])], 64).unwrap()
}

/// A ledger with the inputs certified, and a modified network.
fn certified(path: &Path) -> (Ledger, NetworkId) {
    let header = Header {
        task: Task::Certify,
        sigma: 0.5,
        n0: 30,
        n: 6_000,
        alpha: 0.01,
        generator: recert_noise::GENERATOR.into(),
        seed: 5,
        network: network(0),
        data: "between".into(),
        shape: [1, 1, 2],
    };
    let mut ledger = Ledger::create(path, &header).unwrap();
    let (mut f, mut silent) = (threads(ledger.base(), 0), Silent);
    let mut run = numbers::run(&mut ledger, &Between, &mut f, &mut silent);
    let outcome = certify(&mut run, &INPUTS, Sides::One);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let modified = ledger.add_network(&network(2)).unwrap();
    (ledger, modified)
}

/// Stops a run after some evaluations.
struct After {
    most: u64,
    seen: AtomicU64,
}

impl Observer for After {
    fn start(&mut self, _: u64, _: u64) {}
    fn evaluated(&mut self, evaluations: u64) {
        self.seen.fetch_add(evaluations, Ordering::Relaxed);
    }
    fn concluded(&mut self, _: NetworkId, _: &Input, _: &[Certificate]) {}
    fn stop(&self) -> bool {
        self.seen.load(Ordering::Relaxed) >= self.most
    }
}

fn recertified(ledger: &mut Ledger, network: NetworkId, observer: &mut dyn Observer) -> Outcome {
    let auto = Auto {
        alpha: Alpha::new(0.02).unwrap(),
        among: 1,
        goal: Goal::Each(1_500),
        sides: Sides::One,
    };
    let mut h = threads(network, 2);
    let mut run = numbers::run(ledger, &Between, &mut h, observer);
    recertify_auto(&mut run, &INPUTS, &auto).unwrap()
}

#[test]
fn two_rounds_are_the_same_however_often_the_run_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, network) = certified(&folder.path().join("whole.recert"));
    let outcome = recertified(&mut whole, network, &mut Silent);
    assert_eq!(outcome, Outcome::Finished);

    let mut rounds = 0;
    for certificate in whole.certificates(network).unwrap() {
        let Evidence::Tail(cells) = &certificate.evidence else {
            continue;
        };
        let Some(first) = &cells.first else { continue };
        rounds += 1;
        let sum = |pairs: &[u64]| pairs.iter().sum::<u64>();
        assert!(sum(&first.pairs) <= sum(&first.planned) / 2);
        // The second round costs what was planned, and the pairs are no more than there are.
        assert_eq!(sum(&cells.pairs), sum(&first.planned));
        let each = (0..cells.pairs.len()).all(|s| {
            first.own[s] <= first.pairs[s]
                && first.pairs[s] <= cells.pairs[s]
                && cells.pairs[s] <= cells.samples[s]
        });
        assert!(each, "{certificate:?}");
    }
    assert!(rounds >= 3, "{rounds} inputs had two rounds");

    let (mut stopped, network) = certified(&folder.path().join("stopped.recert"));
    let mut stops = 0;
    loop {
        let mut after = After {
            most: 700,
            seen: AtomicU64::new(0),
        };
        if recertified(&mut stopped, network, &mut after) == Outcome::Finished {
            break;
        }
        stops += 1;
    }
    assert!(stops >= 3, "{stops}");
    assert_eq!(held(&stopped), held(&whole));
}
