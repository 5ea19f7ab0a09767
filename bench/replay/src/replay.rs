//! Which data, networks, sizes and budgets are replayed, and on which threads.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use recert_num::Sigma;
use recert_smooth::baseline::Baseline;

use crate::counts::{Counts, Error};
use crate::law::{Law, laws};
use crate::logs;
use crate::methods::{Inputs, Memory, Spent};
use crate::samples::Samples;

/// f's samples and the shares of them, in thousandths, that the methods take which run h on as
/// many samples of every input.
const SIZES: [(u64, [u64; 10]); 2] = [
    (10_000, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    (100_000, [50, 100, 150, 200, 250, 300, 350, 400, 450, 500]),
];

/// From scratch the shares are these parts, in hundredths, of the largest. They are dense where
/// a chord between two would overstate what a radius costs.
const FROM_SCRATCH: [u64; 19] = [
    10, 11, 12, 13, 14, 16, 18, 20, 23, 26, 30, 35, 40, 50, 60, 70, 80, 90, 100,
];

/// Budgets of `auto`, and of from scratch with a plan, as parts of the largest `n_p`: from all of it down, each by a
/// factor below the last.
const BUDGETS: i32 = 12;
const FACTOR: f64 = 1.5;

/// The noise levels and the files of each.
const SIGMAS: [(f64, &str, &str); 3] = [
    (
        0.25,
        "sigma0.25.tsv",
        "salman_cifar10_resnet110_cohen_sigma0.25.tsv",
    ),
    (
        0.5,
        "sigma0.50.tsv",
        "salman_cifar10_resnet110_cohen_sigma0.50.tsv",
    ),
    (
        1.0,
        "sigma1.00.tsv",
        "salman_cifar10_resnet110_cohen_sigma1.00.tsv",
    ),
];

/// Replicates of a log, whose inputs are five times as many.
const FEW: u64 = 1;

/// The name of the base network where it is compared with itself.
pub const BASE: &str = "f";

/// One cell of the tables: a set of inputs with one h at one n.
struct Cell {
    data: &'static str,
    n: u64,
    shares: [u64; 10],
    sigma: f64,
    h: String,
    laws: Vec<Law>,
    replicates: u64,
}

/// One row: a method at a budget, as a part of n, in one replicate.
struct Row {
    method: &'static str,
    budget: f64,
    replicate: u64,
    spent: Spent,
}

/// Replays everything, or `only` the data of one name (`DATA` or `DATA/H`), and writes one row a method, budget and
/// replicate; where `rounds`, those of `auto` in one round and in two, and of from scratch, alone.
pub fn run(
    root: &Path,
    out: &Path,
    (replicates, only): (u64, &str),
    threads: usize,
    rounds: bool,
) -> Result<(), Error> {
    let mut cells = cells(root, replicates)?;
    let (data, h) = only.split_once('/').unwrap_or((only, ""));
    cells.retain(|cell| {
        (data.is_empty() || cell.data == data)
            && (h.is_empty() || cell.h == h || cell.h == BASE)
            && !(rounds && cell.h == BASE)
    });
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<String>>> = Mutex::new(vec![None; cells.len()]);
    let work = || -> Result<(), String> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell) = cells.get(at) else {
                return Ok(());
            };
            let rows = cell.replay(rounds).map_err(|error| error.to_string())?;
            eprintln!("{} n={} sigma={} {}", cell.data, cell.n, cell.sigma, cell.h);
            if let Ok(mut found) = found.lock() {
                found[at] = Some(cell.text(&rows));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    let mut text = String::from("data\tn\tsigma\th\tmethod\tbudget\treplicate\tevaluations\tacr\n");
    let found = found.into_inner().map_err(|_| "a thread panicked")?;
    text.extend(found.into_iter().flatten());
    std::fs::write(out, text)?;
    Ok(())
}

fn cells(root: &Path, replicates: u64) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    for (sigma, table, log) in SIGMAS {
        let counts = Counts::from_text(&std::fs::read_to_string(root.join("data").join(table))?)?;
        let log = root.join("../../../shared/logs").join(log);
        let log_inputs = logs::read(&log, sigma)?;
        if log_inputs.is_none() {
            eprintln!("skipped: {} is not there", log.display());
        }
        for (n, shares) in SIZES {
            let mut add = |data: &'static str, h: &str, laws: Vec<Law>, replicates: u64| {
                cells.push(Cell {
                    data,
                    n,
                    shares,
                    sigma,
                    h: h.to_owned(),
                    laws,
                    replicates,
                });
            };
            for network in 0..counts.networks.len() {
                let recorded = laws(&counts, network);
                let name = counts.networks[network].0.clone();
                if network == 0 {
                    add("ledger", BASE, itself(&recorded), replicates);
                    if let Some(inputs) = &log_inputs {
                        add("log", BASE, itself(&logs::borrow(inputs, &recorded)), FEW);
                    }
                }
                if let Some(inputs) = &log_inputs {
                    add("log", &name, logs::borrow(inputs, &recorded), FEW);
                }
                add("ledger", &name, recorded, replicates);
            }
        }
    }
    Ok(cells)
}

/// The laws where h is f.
fn itself(laws: &[Law]) -> Vec<Law> {
    let mut laws = laws.to_vec();
    for law in &mut laws {
        law.differ.fill(0.0);
        for (code, own) in law.own.iter_mut().enumerate() {
            *own = f64::from(u8::from(code < crate::counts::BUCKETS));
        }
    }
    laws
}

impl Cell {
    fn replay(&self, rounds: bool) -> Result<Vec<Row>, Error> {
        let numbers: Vec<u64> = self
            .shares
            .iter()
            .map(|share| self.n * share / 1000)
            .collect();
        let largest = numbers[numbers.len() - 1] as f64;
        let budgets: Vec<u64> = (0..BUDGETS)
            .map(|i| (largest * FACTOR.powi(-i) * self.laws.len() as f64) as u64)
            .rev()
            .collect();
        let share = |budget: u64| budget as f64 / (self.n as f64 * self.laws.len() as f64);
        let mut rows = Vec::new();
        let mut memory = Memory::default();
        for replicate in 0..self.replicates {
            let mut put = |method, budget, spent| {
                rows.push(Row {
                    method,
                    budget,
                    replicate,
                    spent,
                });
            };
            let samples: Vec<Samples> = (self.laws.iter().enumerate())
                .map(|(i, law)| {
                    let key = [self.n, self.sigma.to_bits(), replicate, i as u64];
                    Samples::draw(law, self.n, &key)
                })
                .collect();
            let inputs = Inputs {
                sigma: Sigma::new(self.sigma)?,
                laws: &self.laws,
                samples: &samples,
            };
            let own: Vec<u64> = (FROM_SCRATCH.iter())
                .map(|part| largest as u64 * part / 100)
                .collect();
            let seen = inputs.seen(&own);
            let baselines = [
                ("scratch", Baseline::FromScratch),
                ("paper", Baseline::Paper),
            ];
            for (at, &number) in own.iter().enumerate() {
                let seen: Vec<_> = seen.iter().map(|seen| seen[at]).collect();
                let budget = number as f64 / self.n as f64;
                for &(name, baseline) in &baselines[..if rounds { 1 } else { 2 }] {
                    let spent = inputs.scratch(baseline, &seen, &mut memory)?;
                    put(name, budget, spent);
                }
            }
            if rounds {
                for &budget in &budgets {
                    put("one round", share(budget), inputs.auto(budget, false)?);
                    put("auto", share(budget), inputs.auto(budget, true)?);
                }
                continue;
            }
            for (&budget, spent) in budgets.iter().zip(inputs.planned(&budgets, &mut memory)?) {
                put("planned", share(budget), spent);
            }
            if self.h != BASE {
                let seen = inputs.seen(&numbers);
                for (at, &number) in numbers.iter().enumerate() {
                    let seen: Vec<_> = seen.iter().map(|seen| seen[at]).collect();
                    let budget = number as f64 / self.n as f64;
                    put("published", budget, inputs.published(&seen)?);
                    put("irs", budget, inputs.irs(&seen)?);
                }
            }
            if self.h == BASE {
                for (&budget, spent) in budgets.iter().zip(inputs.limit(&budgets)?) {
                    put("limit", share(budget), spent);
                }
            } else {
                for &budget in &budgets {
                    put("auto", share(budget), inputs.auto(budget, true)?);
                }
            }
        }
        Ok(rows)
    }

    fn text(&self, rows: &[Row]) -> String {
        let mut text = String::new();
        let inputs = self.laws.len() as f64;
        for row in rows {
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}\t{}\t{:.5}\t{}\t{:.1}\t{:.6}",
                self.data,
                self.n,
                self.sigma,
                self.h,
                row.method,
                row.budget,
                row.replicate,
                row.spent.evaluations / inputs,
                row.spent.radius / inputs,
            );
        }
        text
    }
}
