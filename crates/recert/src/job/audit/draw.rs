//! Drawing the answers of a network that are run again: each of them with the same
//! probability.

use fastrand::Rng;
use recert_ledger::{self as ledger, Ledger, NetworkId, Series};
use recert_noise::Stream;

use crate::Result;

/// Samples of one series that are run again.
pub(super) struct Drawn {
    pub(super) series: Series,
    pub(super) stream: Stream,
    /// Their numbers, ascending.
    pub(super) samples: Vec<u32>,
}

/// Draws `count` of all answers that the ledger has of a network, without replacement: every
/// set of that many answers is equally likely, whatever inputs and streams they belong to.
/// Returns how many answers there are too.
///
/// Answers on selection samples are not among them: the ledger keeps only their counts.
///
/// One pass over all answers, each of which is taken with probability (what is left to draw)
/// / (answers left); Knuth, *The Art of Computer Programming*, volume 2, section 3.4.2,
/// algorithm S.
pub(super) fn draw(
    ledger: &Ledger,
    network: NetworkId,
    count: u64,
    random: &mut Rng,
) -> Result<(u64, Vec<Drawn>)> {
    let mut held = Vec::new();
    for input in ledger.inputs()? {
        for stream in Stream::ALL {
            let series = series(network, input.idx, stream);
            held.push((series, stream, ledger.answered(series)?));
        }
    }
    let ranges = held.iter().flat_map(|(.., ranges)| ranges);
    let answers: u64 = ranges.map(|range| range.end - range.start).sum();
    let (mut wanted, mut left) = (count.min(answers), answers);
    let mut drawn = Vec::new();
    for (series, stream, ranges) in held {
        let mut samples = Vec::new();
        for sample in ranges.into_iter().flatten() {
            if wanted > 0 && random.u64(..left) < wanted {
                samples.push(sample as u32);
                wanted -= 1;
            }
            left -= 1;
        }
        if !samples.is_empty() {
            drawn.push(Drawn {
                series,
                stream,
                samples,
            });
        }
    }
    Ok((answers, drawn))
}

/// The least share of `answers` such that one as large, answered otherwise than the network
/// does, is found by `samples` of them with a probability of at least 99 %: by one that is
/// `1 - (1 - q)^samples` or more.
pub(super) fn found_share(samples: u64, answers: u64) -> f64 {
    if samples == 0 {
        return 1.0;
    }
    if samples >= answers {
        return 1.0 / answers as f64;
    }
    -f64::exp_m1(f64::ln(0.01) / samples as f64)
}

/// The series of a network's answers on an input.
pub(super) fn series(network: NetworkId, idx: u32, stream: Stream) -> Series {
    Series {
        network,
        idx,
        stream: ledger::Stream(stream.tag()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_found_is_the_one_that_samples_rarely_miss() {
        for samples in [1, 10, 1000, 123_456] {
            let q = found_share(samples, 1 << 40);
            let missed = (1.0 - q).powi(samples as i32);
            assert!((missed - 0.01).abs() < 1e-9, "{samples}: {missed}");
        }
        assert_eq!(found_share(0, 9), 1.0);
        assert_eq!(found_share(20, 20), 0.05);
    }
}
