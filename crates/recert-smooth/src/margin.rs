//! Margin buckets: a coarse code of f's margin on each sample.
//!
//! A modified network disagrees with f mostly where f's margin is small. The ledger therefore
//! records, beside f's class, the bucket of the selected class's absolute margin. The
//! bucket edges come from the selection samples alone, so that the code of any other sample is
//! a function of that sample only, as conditioning on the codes requires (`SOUNDNESS.md`,
//! section 4).

use recert_ledger::MARGIN_BUCKETS;

/// The quantiles of the selection samples' absolute margins that separate the
/// buckets. They are finer for small margins, where modified networks disagree.
const QUANTILES: [f64; MARGIN_BUCKETS as usize - 1] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8];

/// Bucket edges from the margins of the selection samples (signed, in logit
/// units): order statistics of their absolute values, ascending. `None` if
/// there is no margin at all.
///
/// ```
/// let margins: Vec<f32> = (0..100).map(|i| i as f32).collect();
/// let edges = recert_smooth::edges(&margins).expect("there are margins");
/// assert_eq!(edges, [5.0, 10.0, 20.0, 35.0, 50.0, 65.0, 80.0]);
/// ```
pub fn edges(margins: &[f32]) -> Option<Vec<f32>> {
    let mut sizes: Vec<f32> = margins.iter().map(|m| m.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let last = sizes.len().checked_sub(1)?;
    let quantile = |&q: &f64| sizes[((q * sizes.len() as f64) as usize).min(last)];
    Some(QUANTILES.iter().map(quantile).collect())
}

/// The bucket of a signed margin: how many edges its absolute value reaches.
///
/// ```
/// let edges = [5.0, 10.0, 20.0, 35.0, 50.0, 65.0, 80.0];
/// assert_eq!(recert_smooth::margin_code(&edges, -12.5), 2);
/// ```
pub fn margin_code(edges: &[f32], margin: f32) -> u8 {
    edges.partition_point(|&edge| edge <= margin.abs()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_quantiles_of_the_absolute_margin() {
        let margins: Vec<f32> = (0..100)
            .map(|i| if i % 2 == 0 { i as f32 } else { -(i as f32) })
            .collect();
        let edges = edges(&margins).unwrap();
        assert_eq!(edges, [5.0, 10.0, 20.0, 35.0, 50.0, 65.0, 80.0]);
        let cases = [
            (0.0, 0),
            (-4.9, 0),
            (5.0, 1),
            (-10.0, 2),
            (79.0, 6),
            (-1e9, 7),
        ];
        for (margin, code) in cases {
            assert_eq!(margin_code(&edges, margin), code, "{margin}");
        }
    }

    #[test]
    fn few_margins_still_make_edges() {
        assert_eq!(edges(&[]), None);
        let one = edges(&[-3.0]).unwrap();
        assert_eq!(one, [3.0; 7]);
        assert_eq!(margin_code(&one, 2.9), 0);
        assert_eq!(margin_code(&one, 3.0), 7);
    }
}
