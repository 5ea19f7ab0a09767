//! What plans of `auto` promise against what runs by them give, over budgets and numbers of
//! inputs.
//!
//! `cargo run --release -p recert-smooth --example budgets > bench/budgets/results.tsv`
//!
//! The networks are linear with ten classes on images of sixteen pixels, so that a whole run
//! takes milliseconds. The modified networks are the original with its weights moved at random
//! by three amounts: as far as fp16, int8 and pruning by a fifth move ResNet-20 (column `loss`:
//! how often h leaves f's class, over how often f does not answer it). 96 inputs are divided
//! into groups of each size, and each group is recertified by itself: the plan for it is read
//! first, then it is run. Columns: the mean over all groups of the radius promised with the rates
//! of a typical int8 network (`--plan` before anything has run), promised with the rates of this
//! network, and got; the share of groups that certified nothing; and the mean and the least
//! share of the budget spent. Radii are in units of sigma, the mean over all inputs of a group.

use std::error::Error;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use recert_engine::{Answers, Classifier};
use recert_ledger::{Engine, Header, Input, Ledger, Network, NetworkId, Task};
use recert_num::Alpha;
use recert_smooth::budget::{Goal, Rates};
use recert_smooth::{Auto, Inputs, Run, Sides, Silent, Threads, certify, recertify_auto};

const PIXELS: usize = 16;
const CLASSES: usize = 10;
const SIGMA: f64 = 0.5;
const N: u64 = 10_000;
const N0: u64 = 100;
const ALPHA: f64 = 0.002;
const ALL: u32 = 96;
const SIZES: [u32; 7] = [1, 2, 4, 8, 16, 48, 96];
const BUDGETS: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// By how much the weights of the modified networks are moved.
const MOVED: [(&str, f32); 3] = [("fp16", 0.002), ("int8", 0.05), ("prune20", 0.2)];

/// A linear network.
#[derive(Clone)]
struct Linear {
    weights: Vec<f32>,
}

impl Linear {
    fn random(rng: &mut StdRng) -> Self {
        let normal = |_| -> f32 { StandardNormal.sample(&mut *rng) };
        Self {
            weights: (0..PIXELS * CLASSES).map(normal).collect(),
        }
    }

    /// The same with every weight moved at random.
    fn moved(&self, by: f32, rng: &mut StdRng) -> Self {
        let other = Self::random(rng);
        let pairs = self.weights.iter().zip(&other.weights);
        Self {
            weights: pairs.map(|(weight, other)| weight + by * other).collect(),
        }
    }

    fn workers(&self) -> Vec<Box<dyn Classifier>> {
        (0..2)
            .map(|_| Box::new(self.clone()) as Box<dyn Classifier>)
            .collect()
    }
}

impl Classifier for Linear {
    fn classes(&self) -> usize {
        CLASSES
    }

    fn image_len(&self) -> usize {
        PIXELS
    }

    fn classify(&mut self, images: &[f32]) -> Result<Answers, recert_engine::Error> {
        let mut values = Vec::with_capacity(images.len() / PIXELS * CLASSES);
        for image in images.chunks_exact(PIXELS) {
            for weights in self.weights.chunks_exact(PIXELS) {
                values.push(weights.iter().zip(image).map(|(w, x)| w * x).sum());
            }
        }
        Ok(Answers::Logits {
            classes: CLASSES,
            values,
        })
    }
}

/// Images near the middle of a class, by distances that make it rare to certain.
struct Images(Vec<Vec<f32>>);

impl Images {
    fn new(network: &Linear, rng: &mut StdRng) -> Self {
        let image = |i: u32| {
            let class = i as usize % CLASSES;
            let weights = &network.weights[class * PIXELS..][..PIXELS];
            let norm = weights.iter().map(|w| w * w).sum::<f32>().sqrt();
            let distance = rng.random_range(0.3..2.2);
            weights.iter().map(|w| distance * w / norm).collect()
        };
        Self((0..ALL).map(image).collect())
    }
}

impl Inputs for Images {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), recert_smooth::Error> {
        let input = Input {
            idx,
            sha256: [idx as u8; 32],
            label: None,
            name: None,
        };
        Ok((input, self.0[idx as usize].clone()))
    }
}

fn network(number: u8) -> Network {
    Network {
        sha256: [number; 32],
        file: format!("linear {number}"),
        bytes: 0,
        engine: Engine {
            name: "linear".into(),
            version: "1".into(),
            arithmetic: "float32".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "logits".into(),
        classes: CLASSES as u32,
        note: None,
    }
}

fn header() -> Header {
    Header {
        task: Task::Certify,
        sigma: SIGMA,
        n0: N0,
        n: N,
        alpha: ALPHA / 2.0,
        generator: recert_noise::GENERATOR.into(),
        seed: 0,
        network: network(0),
        data: "made up".into(),
        shape: [1, 4, 4],
    }
}

fn auto(inputs: usize, share: f64) -> Result<Auto, Box<dyn Error>> {
    Ok(Auto {
        alpha: Alpha::new(ALPHA)?,
        among: 1,
        goal: Goal::Budget((share * N as f64) as u64 * inputs as u64),
        sides: Sides::Two,
    })
}

/// What a group of inputs got.
struct Got {
    inputs: Vec<u32>,
    radius: f64,
    certified: bool,
    spent: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = StdRng::seed_from_u64(7);
    let f = Linear::random(&mut rng);
    let images = Images::new(&f, &mut rng);
    let folder = tempfile::tempdir()?;
    let mut ledger = Ledger::create(&folder.path().join("run.recert"), &header())?;
    let inputs: Vec<u32> = (0..ALL).collect();
    let base = ledger.base();
    let mut workers = Threads::new([(base, f.workers())], 64)?;
    let mut run = Run {
        ledger: &mut ledger,
        inputs: &images,
        workers: &mut workers,
        observer: &mut Silent,
    };
    let _ = certify(&mut run, &inputs, Sides::Two)?;
    println!(
        "network\tloss\tinputs\tbudget\tpromised_int8\tpromised\tgot\tnothing\tspent\tleast_spent"
    );
    for (number, (name, by)) in (1..).zip(MOVED) {
        let h = f.moved(by, &mut rng);
        let id = ledger.add_network(&network(number))?;
        let mut workers = Threads::new([(id, h.workers())], 64)?;
        let mut cases = Vec::new();
        for size in SIZES {
            for share in BUDGETS {
                let mut groups = Vec::new();
                for group in inputs.chunks(size as usize) {
                    let mut run = Run {
                        ledger: &mut ledger,
                        inputs: &images,
                        workers: &mut workers,
                        observer: &mut Silent,
                    };
                    groups.push(recertified(&mut run, id, group, share)?);
                }
                cases.push((size, share, groups));
            }
        }
        // By now h has answered so much that its rates are known.
        let observed = auto(1, 0.5)?.observed(&ledger, id, &inputs)?;
        let known = observed.map(|(rates, _)| rates).unwrap_or_default();
        for (size, share, groups) in cases {
            let mut sums = [0.0; 2];
            for group in &groups {
                let auto = auto(group.inputs.len(), share)?;
                let study = auto.study(&ledger, &group.inputs)?;
                sums[0] += study.forecast(&Rates::default())?.radius;
                sums[1] += study.forecast(&known)?.radius;
            }
            let count = groups.len() as f64;
            let mean = |of: fn(&Got) -> f64| groups.iter().map(of).sum::<f64>() / count;
            println!(
                "{name}\t{:.4}\t{size}\t{share}\t{:.3}\t{:.3}\t{:.3}\t{:.2}\t{:.3}\t{:.3}",
                known.loss,
                sums[0] / count,
                sums[1] / count,
                mean(|got| got.radius),
                mean(|got| f64::from(u8::from(!got.certified))),
                mean(|got| got.spent),
                groups.iter().map(|got| got.spent).fold(1.0, f64::min),
            );
        }
    }
    Ok(())
}

/// Recertifies a group by itself.
fn recertified(
    run: &mut Run<'_>,
    network: NetworkId,
    group: &[u32],
    share: f64,
) -> Result<Got, Box<dyn Error>> {
    let auto = auto(group.len(), share)?;
    let _ = recertify_auto(run, group, &auto)?;
    let Goal::Budget(total) = auto.goal else {
        unreachable!("the goal is a budget");
    };
    let goal = recert_ledger::Goal::Budget(total);
    let certificates = run.ledger.certificates(network)?.into_iter();
    let certificates: Vec<_> = certificates
        .filter(|c| c.claim.parameters.goal() == Some(goal) && group.contains(&c.idx))
        .filter(|c| {
            c.claim
                .parameters
                .to_json()
                .contains(&format!("\"inputs\":{},", group.len()))
        })
        .collect();
    assert_eq!(certificates.len(), group.len());
    let radii = certificates.iter().map(|c| c.radius / SIGMA).sum::<f64>();
    let spent: u64 = certificates.iter().map(|c| c.evaluations).sum();
    Ok(Got {
        inputs: group.to_vec(),
        radius: radii / group.len() as f64,
        certified: certificates.iter().any(|c| c.class.is_some()),
        spent: spent as f64 / total as f64,
    })
}
