//! How far answers are apart: by disturbed rounding, and by an engine.

use super::Held;
use super::rows::Rows;

/// How far disturbed rounding reaches.
pub(super) struct Reach {
    /// The largest of each over the runs.
    pub(super) spread: Spread,
    pub(super) peak: f64,
    /// The most samples that a run answers with another class.
    pub(super) others: usize,
    /// Whether disturbed runs answer a sample with another class.
    pub(super) undecided: Vec<bool>,
}

/// How differences are spread over samples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spread {
    /// The root of the mean square.
    pub(super) mean: f64,
    /// The lower quartile, the median and the upper quartile.
    pub(super) quartiles: [f64; 3],
}

impl Spread {
    pub(super) fn of(differences: &[f64]) -> Self {
        let mut sorted = differences.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |quarter: usize| sorted.get(quarter * sorted.len() / 4).copied();
        let squares: f64 = differences.iter().map(|value| value * value).sum();
        Self {
            mean: (squares / differences.len().max(1) as f64).sqrt(),
            quartiles: [1, 2, 3].map(|quarter| at(quarter).unwrap_or(0.0)),
        }
    }

    pub(super) fn max(self, other: Self) -> Self {
        let quartiles: [f64; 3] =
            std::array::from_fn(|i| self.quartiles[i].max(other.quartiles[i]));
        Self {
            mean: self.mean.max(other.mean),
            quartiles,
        }
    }
}

impl Reach {
    pub(super) fn of(exact: &Rows, runs: &[Rows]) -> Self {
        let mut reach = Self {
            spread: Spread::default(),
            peak: 0.0,
            others: 0,
            undecided: vec![false; exact.len()],
        };
        for run in runs {
            let differences = exact.differences(run);
            reach.spread = Spread::of(&differences).max(reach.spread);
            reach.peak = differences.into_iter().fold(reach.peak, f64::max);
            let mut others = 0;
            for (i, undecided) in reach.undecided.iter_mut().enumerate() {
                let other = run.class(i) != exact.class(i);
                *undecided |= other;
                others += usize::from(other);
            }
            reach.others = reach.others.max(others);
        }
        reach
    }
}

/// What an engine does wrong, in words.
pub(super) fn unlike(
    exact: &Rows,
    answers: &Rows,
    others: &[usize],
    held: &Held,
    [median, median_allowed]: [f64; 2],
) -> String {
    let differences = exact.differences(answers);
    let classes = format!(
        "of {} samples, {} are answered with another class than by the reference interpreter",
        held.samples,
        others.len()
    );
    let (Rows::Scores(exact), Rows::Scores(answers)) = (exact, answers) else {
        return classes;
    };
    let worst = (0..differences.len()).max_by(|&a, &b| differences[a].total_cmp(&differences[b]));
    let Some(worst) = worst else { return classes };
    let class = (exact[worst].iter().zip(&answers[worst]))
        .map(|(a, b)| (a - b).abs())
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(class, _)| class);
    let score = |rows: &[Vec<f64>]| rows[worst].get(class).copied().unwrap_or(f64::NAN);
    format!(
        "{classes}; a score of {:.5} is {:.5}; scores differ by {:.1e} at the most and {median:.1e} \
         at the median, where rounding explains {:.1e} and {median_allowed:.1e}",
        score(exact),
        score(answers),
        held.difference,
        held.allowed,
    )
}
