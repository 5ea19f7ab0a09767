//! From raw rows to the tables of README.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use recert_report::speed_up::{Curve, Point, average_ratio};

use crate::counts::Error;
use crate::replay::BASE;

/// By budget (in the order of the rows): evaluations and ACR of each replicate.
type Points = Vec<(String, Vec<Point>)>;

/// By data, n, sigma, h and method.
type Rows = BTreeMap<(String, u64, String, String, String), Points>;

/// A speed-up and its standard error over replicates.
#[derive(Debug, Clone, Copy)]
struct Speed {
    ratio: f64,
    error: f64,
}

const NETWORKS: [&str; 6] = ["fp16", "bf16", "int8", "prune5", "prune10", "prune20"];

/// One table for every data set and n.
pub fn tables(results: &str) -> Result<String, Error> {
    let rows = read(results)?;
    let mut text = String::new();
    for data in ["ledger", "log"] {
        for n in [10_000, 100_000] {
            if !rows.keys().any(|key| key.0 == data && key.1 == n) {
                continue;
            }
            let _ = writeln!(text, "\n### {data}, n = {n}\n");
            text += "| sigma | h | zeta as published | irs | auto | planned | auto over planned | limit | share of the limit | the paper's baseline: published | auto |\n";
            text += "|---|---|---|---|---|---|---|---|---|---|---|\n";
            for sigma in ["0.25", "0.5", "1"] {
                for h in NETWORKS {
                    if let Some(line) = line(&rows, data, n, sigma, h) {
                        text += &line;
                    }
                }
            }
        }
    }
    Ok(text)
}

fn line(rows: &Rows, data: &str, n: u64, sigma: &str, h: &str) -> Option<String> {
    let over = |baseline: &str, h: &str, method: &str| {
        let key = |method: &str| (data.into(), n, sigma.into(), h.into(), method.into());
        speed_up(rows.get(&key(baseline))?, rows.get(&key(method))?)
    };
    let speed = |h: &str, method: &str| over("scratch", h, method);
    let shown = |speed: Option<Speed>| {
        speed.map_or("-".to_owned(), |s| {
            format!("{:.2} ± {:.2}", s.ratio, s.error)
        })
    };
    let auto = speed(h, "auto")?;
    let limit = speed(BASE, "limit");
    Some(format!(
        "| {sigma} | {h} | {} | {} | **{}** | {} | {} | {} | {} | {} | {} |\n",
        shown(speed(h, "published")),
        shown(speed(h, "irs")),
        shown(Some(auto)),
        shown(speed(h, "planned")),
        shown(over("planned", h, "auto")),
        limit.map_or("-".into(), |l| format!("{:.2}", l.ratio)),
        limit.map_or("-".into(), |l| format!(
            "{:.0} %",
            100.0 * auto.ratio / l.ratio
        )),
        shown(over("paper", h, "published")),
        shown(over("paper", h, "auto")),
    ))
}

/// What a second round of pairs gains: `auto` over from scratch in one round and in two, and the
/// ratio of these less 1.
pub fn gains(results: &str) -> Result<String, Error> {
    let rows = read(results)?;
    let mut text = String::from("| data | n | sigma | h | one round | two | gain |\n");
    text += "|---|---|---|---|---|---|---|\n";
    for (data, n, sigma, h, method) in rows.keys().filter(|key| key.4 == "auto") {
        let points = |method: &str| {
            let key = (
                data.clone(),
                *n,
                sigma.clone(),
                h.clone(),
                method.to_owned(),
            );
            rows.get(&key)
        };
        let (Some(scratch), Some(one), Some(two)) =
            (points("scratch"), points("one round"), points(method))
        else {
            continue;
        };
        let gain = jackknife(two, |keep| {
            let over = |points| average_ratio(&curve(scratch, keep), &curve(points, keep));
            Some(over(two)? / over(one)? - 1.0)
        });
        let (Some(one), Some(two), Some(gain)) =
            (speed_up(scratch, one), speed_up(scratch, two), gain)
        else {
            continue;
        };
        let _ = writeln!(
            text,
            "| {data} | {n} | {sigma} | {h} | {:.2} ± {:.2} | {:.2} | {:+.1} % ± {:.1} |",
            one.ratio,
            one.error,
            two.ratio,
            100.0 * gain.ratio,
            100.0 * gain.error,
        );
    }
    Ok(text)
}

/// The ratio of areas of the curves of mean points; its standard error by the
/// jackknife over replicates.
fn speed_up(scratch: &Points, other: &Points) -> Option<Speed> {
    jackknife(scratch, |keep| {
        average_ratio(&curve(scratch, keep), &curve(other, keep))
    })
}

/// The curve of the mean points over all replicates but one.
fn curve(points: &Points, left_out: Option<usize>) -> Curve {
    Curve::new(points.iter().map(|(_, each)| {
        let kept = || {
            let kept = each.iter().enumerate();
            kept.filter(move |(i, _)| Some(*i) != left_out)
                .map(|(_, p)| p)
        };
        let count = kept().count() as f64;
        Point {
            cost: kept().map(|p| p.cost).sum::<f64>() / count,
            quality: kept().map(|p| p.quality).sum::<f64>() / count,
        }
    }))
}

/// A figure from all replicates, and its standard error from all but each.
fn jackknife(points: &Points, figure: impl Fn(Option<usize>) -> Option<f64>) -> Option<Speed> {
    let replicates = points.first()?.1.len();
    let ratio = figure(None)?;
    let mut error = 0.0;
    if replicates > 1 {
        let each: Vec<f64> = (0..replicates).filter_map(|i| figure(Some(i))).collect();
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        let squares: f64 = each.iter().map(|x| (x - mean) * (x - mean)).sum();
        error = (squares * (replicates - 1) as f64 / replicates as f64).sqrt();
    }
    Some(Speed { ratio, error })
}

fn read(results: &str) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    for line in results.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [data, n, sigma, h, method, budget, _, evaluations, acr] = fields[..] else {
            return Err(format!("not a row of results: {line}").into());
        };
        let key = (
            data.into(),
            n.parse()?,
            sigma.into(),
            h.into(),
            method.into(),
        );
        let points = rows.entry(key).or_default();
        let point = Point {
            cost: evaluations.parse()?,
            quality: acr.parse()?,
        };
        match points.iter_mut().find(|(at, _)| at == budget) {
            Some((_, each)) => each.push(point),
            None => points.push((budget.to_owned(), vec![point])),
        }
    }
    Ok(rows)
}
