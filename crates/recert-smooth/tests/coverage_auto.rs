//! Scratch.
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use recert_num::Alpha;
use recert_smooth::bound::StrataCodes;
use recert_smooth::plan::*;

#[test]
fn leak() {
    let mut rng = StdRng::seed_from_u64(7);
    let levels = Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap();
    let t = std::time::Instant::now();
    let mut calls = 0;
    let mut found = 0;
    for _ in 0..3000 {
        let n = [1000, 10_000, 100_000][rng.random_range(0..3)];
        let subject = |rng: &mut StdRng| {
            let q: f64 = 10f64.powf(-rng.random_range(0.3..5.0));
            let u: f64 = 10f64.powf(-rng.random_range(0.5..5.0));
            let k = ((1.0 - q) * n as f64) as u64;
            let und = ((u * n as f64) as u64).min(k);
            Subject {
                n0: 100,
                k0: rng.random_range(55..=100),
                k,
                codes: StrataCodes {
                    n,
                    decided: k - und / 2,
                    undecided: und,
                },
            }
        };
        let subjects = vec![subject(&mut rng), subject(&mut rng)];
        let goal = if rng.random_range(0..2) == 0 {
            Goal::MeanRadius(rng.random_range(0.05..2.5))
        } else {
            Goal::Budget(10f64.powf(rng.random_range(1.5..4.0)) as u64)
        };
        let study = Study {
            subjects,
            margins: true,
            levels,
            goal,
        };
        let p = study.pilot(0);
        let designs: Vec<_> = (0..=p.min(12))
            .map(|l| {
                let pilots: Vec<Pilot> = vec![
                    (0..p).map(|i| (true, i < l)).collect(),
                    (0..study.pilot(1)).map(|_| (true, false)).collect(),
                ];
                calls += 1;
                study.choose(study.rates(&pilots)).unwrap()[0].design
            })
            .collect();
        if designs.iter().any(|d| d != &designs[0]) {
            found += 1;
            if found < 40 {
                println!(
                    "{goal:?} pilot {p} {:?} {:?}\n   {designs:?}",
                    study.subjects[0], study.subjects[1]
                );
            }
        }
    }
    println!("{found} of 3000; {:?} a call", t.elapsed() / calls);
}
