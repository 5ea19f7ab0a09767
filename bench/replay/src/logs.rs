//! Laws for the inputs of a published log, borrowed from recorded ones.
//!
//! A log says how often f answers its class, by the radius it prints, and
//! nothing of margins or of h. So each of its inputs takes everything else from
//! the recorded input with the nearest `P(f = c)` (in log odds): the shares of
//! the codes among samples answered with c and among the others, and h's chances
//! given the code.

use std::path::Path;

use recert_num::normal_cdf_lower;

use crate::counts::{BUCKETS, CODES, Error};
use crate::draw::Stream;
use crate::law::Law;

/// `P(f = c)` and whether c is the label, for every 20th row of a log; `None`
/// if the file is not there.
pub fn read(path: &Path, sigma: f64) -> Result<Option<Vec<(f64, bool)>>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path)?;
    let below_half = Stream::new(&[sigma.to_bits()]);
    let mut inputs = Vec::new();
    for row in text.lines().skip(1) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [idx, _, predict, radius, correct, _] = fields[..] else {
            return Err(format!("{}: not a row of a log: {row}", path.display()).into());
        };
        let idx: u64 = idx.parse()?;
        if !idx.is_multiple_of(20) {
            continue;
        }
        if predict == "-1" {
            // An abstention tells no more than that it is hardly above one half.
            inputs.push((0.25 + 0.25 * below_half.at(idx), false));
            continue;
        }
        // No radius at n = 100,000 and alpha 0.001 is above 3.8115 sigma.
        let quantile = (radius.parse::<f64>()? / sigma).min(3.8115);
        inputs.push((normal_cdf_lower(quantile)?.get(), correct == "1"));
    }
    Ok(Some(inputs))
}

/// The laws of a log's inputs.
pub fn borrow(inputs: &[(f64, bool)], recorded: &[Law]) -> Vec<Law> {
    let odds = |p: f64| {
        let p = p.clamp(5e-5, 1.0 - 5e-5);
        (p / (1.0 - p)).ln()
    };
    let one = |&(p, correct): &(f64, bool)| {
        let far = |law: &&Law| (odds(law.f()) - odds(p)).abs();
        let nearest = recorded.iter().min_by(|a, b| far(a).total_cmp(&far(b)))?;
        let mut law = nearest.clone();
        law.correct = correct;
        let f = nearest.f();
        for code in 0..CODES {
            let (whole, wanted) = if code < BUCKETS {
                (f, p)
            } else {
                (1.0 - f, 1.0 - p)
            };
            // A recorded input without other answers lends none: they are
            // taken to be the least decided.
            law.code[code] = if whole > 1e-9 {
                law.code[code] / whole * wanted
            } else {
                wanted * f64::from(u8::from(code % BUCKETS == 0))
            };
        }
        Some(law)
    };
    inputs.iter().filter_map(one).collect()
}
