//! Adam, gradient clipping, L1 regularisation and averaging of weights, on plain vectors.

use rayon::prelude::*;

use crate::product::vectorized;

/// Elements of a task, and of a partial sum, however many threads there are.
const TASK: usize = 1 << 14;

/// Adam's state (Kingma and Ba, ICLR 2015), with PyTorch's constants: decay .9 and .999, and 1e-8
/// added to the root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adam {
    pub(crate) steps: u64,
    pub(crate) means: Vec<Vec<f32>>,
    pub(crate) squares: Vec<Vec<f32>>,
}

const DECAY: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

impl Adam {
    pub(crate) fn new(parameters: &[Vec<f32>]) -> Self {
        let zeros = || parameters.iter().map(|values| vec![0.0; values.len()]);
        Self {
            steps: 0,
            means: zeros().collect(),
            squares: zeros().collect(),
        }
    }

    /// Moves parameters by a step down their gradients, each times `scale`.
    pub(crate) fn step(
        &mut self,
        rate: f64,
        parameters: &mut [Vec<f32>],
        gradients: &[Vec<f32>],
        scale: f32,
    ) {
        self.steps += 1;
        let correction = DECAY.map(|decay| 1.0 - decay.powf(self.steps as f64));
        let factor = (rate / correction[0]) as f32;
        let root = (1.0 / correction[1].sqrt()) as f32;
        let [first, second] = DECAY.map(|decay| decay as f32);
        let state = self.means.iter_mut().zip(&mut self.squares);
        for ((values, gradient), (means, squares)) in
            parameters.iter_mut().zip(gradients).zip(state)
        {
            let state = means.par_chunks_mut(TASK).zip(squares.par_chunks_mut(TASK));
            (values.par_chunks_mut(TASK).zip(gradient.par_chunks(TASK)))
                .zip(state)
                .for_each(|((values, gradient), (means, squares))| {
                    vectorized(
                        #[inline(always)]
                        || {
                            let state = means.iter_mut().zip(squares.iter_mut());
                            let values = values.iter_mut().zip(gradient);
                            for ((value, &slope), (mean, square)) in values.zip(state) {
                                let slope = slope * scale;
                                *mean = first * *mean + (1.0 - first) * slope;
                                *square = second * *square + (1.0 - second) * slope * slope;
                                *value -= factor * *mean / (square.sqrt() * root + EPSILON as f32);
                            }
                        },
                    );
                });
        }
    }
}

/// The Euclidean norm of all gradients together, in float64.
pub(crate) fn norm(gradients: &[Vec<f32>]) -> f64 {
    let of_task = |task: &[f32]| {
        vectorized(
            #[inline(always)]
            || {
                let mut sums = [0.0; 8];
                let (vectors, rest) = task.as_chunks::<8>();
                for vector in vectors.iter().map(|x| &x[..]).chain([rest]) {
                    for (sum, &x) in sums.iter_mut().zip(vector) {
                        *sum += f64::from(x) * f64::from(x);
                    }
                }
                sums.into_iter().sum::<f64>()
            },
        )
    };
    let tasks = gradients
        .par_iter()
        .flat_map(|gradient| gradient.par_chunks(TASK));
    let squares: Vec<f64> = tasks.map(of_task).collect();
    squares.into_iter().sum::<f64>().sqrt()
}

/// What gradients of that norm are multiplied by, so that it is at most `most`.
pub(crate) fn clipping(norm: f64, most: f64) -> f32 {
    if norm > most {
        // As in PyTorch.
        (most / (norm + 1e-6)) as f32
    } else {
        1.0
    }
}

/// Adds the gradient of `weight` times the sum of magnitudes.
pub(crate) fn add_l1(weight: f64, values: &[f32], gradient: &mut [f32]) {
    for (slope, &value) in gradient.iter_mut().zip(values) {
        if value != 0.0 {
            *slope += (weight as f32).copysign(value);
        }
    }
}

/// The running mean of weights over epochs (Izmailov et al., UAI 2018).
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Average {
    pub(crate) count: u64,
    pub(crate) values: Vec<Vec<f32>>,
}

impl Average {
    pub(crate) fn add<'v>(&mut self, values: impl Iterator<Item = &'v Vec<f32>>) {
        self.count += 1;
        if self.count == 1 {
            self.values = values.cloned().collect();
            return;
        }
        let share = 1.0 / self.count as f32;
        for (means, values) in self.values.iter_mut().zip(values) {
            for (mean, value) in means.iter_mut().zip(values) {
                *mean += (value - *mean) * share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_is_its_definition() {
        // Worked out by hand: the first step is the rate times the sign, but for 1e-8.
        let mut values = vec![vec![1.0, -2.0, 0.5]];
        let mut adam = Adam::new(&values);
        adam.step(0.1, &mut values, &[vec![3.0, -0.01, 0.0]], 1.0);
        for (value, expected) in values[0].iter().zip([0.9, -1.9, 0.5]) {
            assert!((value - expected).abs() < 1e-6);
        }
        // Second step of the first: m = .9 * .3 + .1 = .37, v = .999 * .009 + .001 = .009991;
        // 0.37 / 0.19 over sqrt(.009991 / .001999) is 0.8710567.
        adam.step(0.1, &mut values, &[vec![0.5, 0.0, 0.0]], 2.0);
        assert!((values[0][0] - (0.9 - 0.087_105_67)).abs() < 1e-5);
    }

    #[test]
    fn clipping_and_averaging() {
        assert_eq!(norm(&[vec![3.0], vec![4.0]]), 5.0);
        assert_eq!(clipping(5.0, 10.0), 1.0);
        assert!((5.0 * clipping(5.0, 1.0) - 1.0).abs() < 1e-6);
        let mut gradient = vec![0.0; 3];
        add_l1(0.5, &[2.0, 0.0, -1.0], &mut gradient);
        assert_eq!(gradient, [0.5, 0.0, -0.5]);
        let mut average = Average::default();
        for value in [1.0, 2.0, 6.0] {
            average.add([vec![value]].iter());
        }
        assert!((average.values[0][0] - 3.0).abs() < 1e-6);
    }
}
