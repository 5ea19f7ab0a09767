//! The regularisers of Shi et al. (NeurIPS 2021), which keep intervals from growing from layer
//! to layer and ReLUs from all being inactive while eps is ramped up.

use crate::bounds::Intervals;
use crate::tensor::Matrix;

/// Below which share of what is wanted the regularisers act.
const TOLERANCE: f64 = 0.5;

/// `(sum over layers of tightness + balance) / layers`, `[1, 1]`. Tightness is
/// `relu(tau - r0 / r) / tau` with r the mean radius before a layer of ReLUs and r0 that of the
/// input. Balance is `(relu(tau - min(s, 1/s)) + relu(tau - min(v, 1/v))) / tau`, where s is the
/// ratio of the centres' sums over active neurons and over inactive ones, and v that of their
/// squared distances from the mean centre.
pub(crate) fn term(intervals: &Intervals) -> Matrix {
    let input = intervals.input.radius.mean();
    let layers = &intervals.neurons;
    let mut total = input.scale(0.0);
    for neurons in layers {
        let count = (neurons.centre.rows() * neurons.centre.columns()) as f64;
        let [radius, active, inactive, above, below] = neurons.centre.neuron_sums(&neurons.radius);
        let tightness = short(&input.div(&radius.scale(1.0 / count).shift(1e-12)));
        total = total.add(&tightness);
        for ratio in balances([[active, inactive], [above, below]])
            .into_iter()
            .flatten()
        {
            total = total.add(&short(&ratio));
        }
    }
    total.scale(1.0 / (layers.len().max(1) as f64 * TOLERANCE))
}

/// `relu(tau - x)`.
fn short(x: &Matrix) -> Matrix {
    x.scale(-1.0).shift(TOLERANCE).relu()
}

/// The ratios s and v, or their inverses where they are above 1; none where no neuron of the batch
/// is active, or none inactive.
fn balances(pairs: [[Matrix; 2]; 2]) -> Option<[Matrix; 2]> {
    let mut ratios = Vec::new();
    for [a, b] in pairs {
        let [x, y] = [&a, &b].map(|sum| sum.doubles()[0]);
        if !(x > 0.0 && y > 0.0) {
            return None;
        }
        ratios.push(if x > y { b.div(&a) } else { a.div(&b) });
    }
    ratios.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Interval;

    fn interval(centre: &[f64], radius: &[f64]) -> Interval {
        let [centre, radius] = [centre, radius].map(|x| Matrix::double(2, x));
        Interval { centre, radius }
    }

    fn value(neurons: Vec<Interval>) -> f64 {
        let penultimate = interval(&[0.0; 2], &[0.0; 2]);
        term(&Intervals {
            input: interval(&[0.5, 0.5], &[0.1, 0.3]),
            neurons,
            penultimate,
        })
        .doubles()[0]
    }

    #[test]
    fn the_term_is_its_definition() {
        // Radii grow from .2 on average to .5: .5 - .4 is short. Active are 3 and 1, whose sum is
        // 4, inactive is -1: 1/4 is short by 1/4. The mean is 1, the squares of the distances are 4
        // and 0, and 4 for the inactive one: a ratio of 1 is not short. The one at 1 is unstable.
        let centre = [3.0, 1.0, -1.0, 1.0];
        let first = interval(&centre, &[0.2, 0.1, 0.1, 1.6]);
        assert!((value(vec![first.clone()]) - (0.1 + 0.25) / 0.5).abs() < 1e-9);
        // Without an inactive neuron there is no balance, and without growth no tightness: the
        // mean over both layers is half of that.
        let second = interval(&[2.0, 1.0, 1.0, 1.0], &[0.2; 4]);
        assert_eq!(value(vec![second.clone()]), 0.0);
        let both = value(vec![first, second]);
        assert!((both - (0.1 + 0.25) / 1.0).abs() < 1e-9, "{both}");
    }
}
