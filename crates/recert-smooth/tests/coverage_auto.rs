//! Scratch.
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use recert_num::Alpha;
use recert_smooth::bound::{self, StrataCodes, Tally};
use recert_smooth::plan::*;

fn pmf(n: u64, p: f64) -> Vec<f64> {
    let mut v = vec![(1.0 - p).powi(n as i32)];
    for k in 1..=n {
        let last = v[k as usize - 1];
        v.push(last * (n - k + 1) as f64 / k as f64 * p / (1.0 - p));
    }
    v
}

fn wrong(design: Design, n: u64, other: u64, levels: Levels, truth: f64) -> bool {
    let p = match design {
        Design::Fresh { copies } => bound::direct(copies - other, copies, levels.h).unwrap(),
        Design::Loss { pairs } => {
            bound::coded_loss(n, n, levels.f, Tally { pairs, other }, levels.h).unwrap()
        }
        _ => return false,
    };
    p.get() > truth && p.get() > 0.5
}

/// Failure probability, exactly, where h leaves c with `theta`.
fn failure(designs: &[Design], p: u64, n: u64, levels: Levels, theta: f64) -> f64 {
    let truth = 1.0 - theta;
    let mut sum = 0.0;
    for (l, w) in pmf(p, theta).into_iter().enumerate() {
        let design = designs[l.min(designs.len() - 1)];
        let (m, seen) = match design {
            Design::Fresh { copies } => (copies, 0),
            Design::Loss { pairs } if pairs >= p => (pairs - p, l as u64),
            _ => continue,
        };
        for (x, v) in pmf(m, theta).into_iter().enumerate().take(60) {
            if wrong(design, n, x as u64 + seen, levels, truth) {
                sum += w * v
            } else {
                break;
            }
        }
    }
    sum
}

#[test]
fn leak() {
    let mut rng = StdRng::seed_from_u64(std::env::var("SEED").map_or(1, |s| s.parse().unwrap()));
    let t = std::time::Instant::now();
    let (mut found, mut tried, mut best) = (0, 0, 0.0);
    let p = 20;
    let n = 100_000;
    while t.elapsed().as_secs() < 300 {
        let alpha = [0.002, 0.05][rng.random_range(0..2)];
        let levels = Levels::new(Alpha::new(alpha).unwrap(), 1).unwrap();
        let n0: u64 = [1, 2, 5, 10, 20, 30, 50, 100][rng.random_range(0..8)];
        let half = rng.random_range(1..8usize);
        // (undecided, always lost)
        let kinds: Vec<(bool, bool)> = (0..2 * half)
            .map(|_| {
                (
                    rng.random_range(0..2) == 0,
                    rng.random_range(0..half + 2) == 0,
                )
            })
            .collect();
        let subject = |u: bool| Subject {
            n0,
            k0: n0,
            rival: 0,
            k: n,
            codes: StrataCodes {
                n,
                decided: if u { 0 } else { n },
                undecided: if u { n } else { 0 },
            },
        };
        let subjects: Vec<Subject> = kinds.iter().map(|k| subject(k.0)).collect();
        let s = subjects[0];
        let base = Study {
            subjects,
            margins: true,
            both_sides: false,
            levels,
            goal: Goal::MeanRadius(1.0),
        };
        let pilots = |l: u64| -> Vec<Pilot> {
            (0..2 * half)
                .map(|i| {
                    (0..p)
                        .map(|j| (!kinds[i].0, if i == 0 { j < l } else { kinds[i].1 }))
                        .collect()
                })
                .collect()
        };
        let curve = |s: Subject, r: Rates| {
            [Coding::Answered, Coding::Decided]
                .map(|c| Curve::expected(s.by_selection(), c, r, levels).unwrap())
        };
        let r0 = base.rates(&pilots(0))[0];
        let c0 = curve(s, r0);
        let u0 = Curve::union(&c0);
        let u1: Vec<Curve> = (0..3)
            .map(|l| Curve::union(&curve(s, base.rates(&pilots(l))[1])))
            .collect();
        let codings = |b: f64| -> Vec<bool> {
            u1.iter()
                .map(|u1| {
                    let curves: Vec<Curve> = (0..2 * half)
                        .map(|i| if i % 2 == 0 { u0.clone() } else { u1.clone() })
                        .collect();
                    let price = allocate_to_reach(&curves, b * 2.0 * half as f64).price;
                    let net = |c: &Curve| {
                        c.at_price(price)
                            .map_or(0.0, |p| p.radius - price * p.cost as f64)
                    };
                    net(&c0[1]) > net(&c0[0])
                })
                .collect()
        };
        for _ in 0..60 {
            tried += 1;
            let b: f64 = rng.random_range(0.05..2.2);
            let codings = codings(b);
            if !codings.iter().any(|c| c != &codings[0]) {
                continue;
            }
            found += 1;
            let study = Study {
                goal: Goal::MeanRadius(b),
                ..base.clone()
            };
            let designs: Vec<Design> = (0..=4)
                .map(|l| study.choose(study.rates(&pilots(l))).unwrap()[0].design)
                .collect();
            if designs.iter().all(|d| d == &designs[0]) {
                continue;
            }
            let mut top = (0.0, 0.0);
            for i in 0..300 {
                let theta = 0.4 * 0.975f64.powi(i);
                let f = failure(&designs, p, n, levels, theta);
                if f > top.0 {
                    top = (f, theta);
                }
            }
            println!(
                "flip ratio {:.3} alpha {alpha} theta {:.5} n0 {n0} b {b} {kinds:?} {designs:?}",
                top.0 / alpha,
                top.1
            );
            best = f64::max(best, top.0 / alpha);
            break;
        }
    }
    println!("{found} of {tried} best {best}");
}
