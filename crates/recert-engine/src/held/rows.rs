//! The answers to the samples of a comparison: scores, or classes.

use recert_graph::Tensor;

use crate::Class;

/// The answers to all samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rows {
    /// The scores of each sample.
    Scores(Vec<Vec<f64>>),
    Classes(Vec<Option<Class>>),
}

impl Rows {
    pub(super) fn class(&self, sample: usize) -> Option<Class> {
        match self {
            Self::Classes(classes) => classes[sample],
            Self::Scores(rows) => {
                let row = &rows[sample];
                if !row.iter().all(|score| score.is_finite()) {
                    return None;
                }
                let mut best = 0;
                for (class, score) in row.iter().enumerate() {
                    if *score > row[best] {
                        best = class;
                    }
                }
                Class::try_from(best).ok()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Scores(rows) => rows.len(),
            Self::Classes(classes) => classes.len(),
        }
    }

    /// The largest difference of a finite score, sample by sample; infinite where one
    /// side's scores are finite and the other's are not.
    pub(super) fn differences(&self, other: &Self) -> Vec<f64> {
        let (Self::Scores(a), Self::Scores(b)) = (self, other) else {
            return vec![0.0; self.len()];
        };
        let difference = |(a, b): (&f64, &f64)| {
            if a.is_finite() && b.is_finite() {
                (a - b).abs()
            } else if a.is_finite() == b.is_finite() {
                0.0
            } else {
                f64::INFINITY
            }
        };
        let most = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            if a.len() != b.len() {
                return f64::INFINITY;
            }
            a.iter().zip(b).map(difference).fold(0.0, f64::max)
        };
        a.iter().zip(b).map(most).collect()
    }

    pub(super) fn largest(&self) -> f64 {
        let Self::Scores(rows) = self else { return 0.0 };
        let finite = rows.iter().flatten().filter(|score| score.is_finite());
        finite.fold(0.0, |most, score| most.max(score.abs()))
    }
}

/// The answers to two batches, one after the other.
pub(super) fn joined(rows: Rows, more: Rows) -> Rows {
    match (rows, more) {
        (Rows::Scores(mut rows), Rows::Scores(more)) => {
            rows.extend(more);
            Rows::Scores(rows)
        }
        (Rows::Classes(mut rows), Rows::Classes(more)) => {
            rows.extend(more);
            Rows::Classes(rows)
        }
        (rows, _) => rows,
    }
}

/// The answers in an output of the interpreter for a batch, but for what pads the batch.
pub(super) fn rows(output: &Tensor, batch: usize, count: usize) -> Option<Rows> {
    if output.shape().first() != Some(&batch) || batch == 0 {
        return None;
    }
    if let Some(values) = output.to_f32() {
        let classes = (values.len() / batch).max(1);
        let rows = values.chunks_exact(classes).take(count);
        let rows = rows.map(|row| row.iter().map(|&score| f64::from(score)).collect());
        return Some(Rows::Scores(rows.collect()));
    }
    let values = output.to_i64().filter(|values| values.len() == batch)?;
    let class = |&value: &i64| Class::try_from(value).ok().filter(|&c| c != Class::MAX);
    Some(Rows::Classes(values[..count].iter().map(class).collect()))
}
