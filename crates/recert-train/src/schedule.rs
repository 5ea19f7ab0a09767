//! How eps, weights of the loss and the learning rate change over training.

use crate::error::{Error, Result};
use crate::method::{Method, Moment};

/// A schedule in epochs, as in the literature.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The number of epochs.
    pub epochs: usize,
    /// The epoch before which eps is 0 and the loss that of clean images.
    pub ramp_start: usize,
    /// The epoch from which on eps has its full value.
    pub ramp_end: usize,
    /// The learning rate of Adam.
    pub learning_rate: f64,
    /// The epochs from which on the learning rate is multiplied by `decay` once more.
    pub milestones: Vec<usize>,
    /// By how much the learning rate falls at a milestone.
    pub decay: f64,
    /// The weight of the loss on clean images at the ramp's start and from its end on, for
    /// methods that bound.
    pub clean: [f64; 2],
}

impl Default for Schedule {
    /// CTBench's for MNIST: 70 epochs, ramp over the first 20, Adam at 5e-4, a fifth at epochs 50
    /// and 60, no loss on clean images.
    fn default() -> Self {
        Self {
            epochs: 70,
            ramp_start: 0,
            ramp_end: 20,
            learning_rate: 5e-4,
            milestones: vec![50, 60],
            decay: 0.2,
            clean: [0.0, 0.0],
        }
    }
}

/// The share of the ramp that grows with the fourth power.
const MIDDLE: f64 = 0.25;

impl Schedule {
    /// Checks that numbers are in their ranges.
    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=100_000).contains(&self.epochs) {
            return Err(Error::setting("epochs", "not from 1 to 100000"));
        }
        if self.ramp_start > self.ramp_end {
            return Err(Error::setting("ramp-end", "the ramp ends before it starts"));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(Error::setting("learning-rate", "not above 0"));
        }
        if !(self.decay > 0.0 && self.decay <= 1.0) {
            return Err(Error::setting("decay", "not in (0, 1]"));
        }
        if !self.clean.iter().all(|weight| (0.0..=1.0).contains(weight)) {
            return Err(Error::setting("clean-weight", "not in [0, 1]"));
        }
        Ok(())
    }

    /// How much of eps there is after `done` epochs, of which the last may be a part: 0 before
    /// the ramp, 1 after it. The first quarter of the ramp is `a t^4`, the rest linear with the
    /// same slope where they meet (Xu et al., 2020, and all since).
    ///
    /// ```
    /// use recert_train::Schedule;
    ///
    /// let schedule = Schedule { ramp_start: 1, ramp_end: 9, ..Schedule::default() };
    /// assert_eq!([0.5, 1.0, 9.0, 20.0].map(|done| schedule.ramp(done)), [0.0, 0.0, 1.0, 1.0]);
    /// assert!((schedule.ramp(3.0) - 1.0 / 13.0).abs() < 1e-12);
    /// ```
    pub fn ramp(&self, done: f64) -> f64 {
        let (start, end) = (self.ramp_start as f64, self.ramp_end as f64);
        if done >= end {
            return 1.0;
        }
        let t = ((done - start) / (end - start)).max(0.0);
        // a m^4 + 4 a m^3 (1 - m) = 1.
        let cube = MIDDLE.powi(3);
        let a = 1.0 / (4.0 * cube - 3.0 * cube * MIDDLE);
        if t <= MIDDLE {
            a * t.powi(4)
        } else {
            a * cube * MIDDLE + 4.0 * a * cube * (t - MIDDLE)
        }
    }

    /// The learning rate in an epoch, counted from 0.
    pub fn rate(&self, epoch: usize) -> f64 {
        let passed = self.milestones.iter().filter(|&&at| epoch >= at).count();
        self.learning_rate * self.decay.powi(passed as i32)
    }

    /// The state after `done` epochs.
    pub(crate) fn moment(&self, method: &Method, eps: f64, regularizer: f64, done: f64) -> Moment {
        let share = if method.ramps() { self.ramp(done) } else { 1.0 };
        let ramping = done < self.ramp_end as f64;
        let [first, last] = self.clean;
        let bounds = method.bounds();
        Moment {
            eps: eps * share,
            beta: 1.0 - share,
            clean: if bounds {
                first + (last - first) * share
            } else {
                0.0
            },
            regularizer: if bounds && ramping {
                regularizer * (1.0 - share)
            } else {
                0.0
            },
            shrink: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_is_smooth_where_its_parts_meet() {
        let schedule = Schedule {
            ramp_start: 2,
            ramp_end: 10,
            ..Schedule::default()
        };
        let slope = |at: f64| (schedule.ramp(at + 1e-6) - schedule.ramp(at - 1e-6)) / 2e-6;
        assert!((slope(4.0 - 1e-5) - slope(4.0 + 1e-5)).abs() < 1e-5);
        assert!((schedule.ramp(10.0 - 1e-9) - 1.0).abs() < 1e-8);
        let steps: Vec<f64> = (0..120)
            .map(|i| schedule.ramp(f64::from(i) / 10.0))
            .collect();
        assert!(steps.is_sorted());
        // Without a ramp, eps is there at once.
        let none = Schedule {
            ramp_end: 0,
            ..Schedule::default()
        };
        assert_eq!(none.ramp(0.0), 1.0);
    }

    #[test]
    fn weights_and_rates_follow_the_schedule() {
        let schedule = Schedule {
            clean: [1.0, 0.5],
            ..Schedule::default()
        };
        let at = |method, done| schedule.moment(&method, 0.1, 0.5, done);
        let start = Moment {
            eps: 0.0,
            beta: 1.0,
            clean: 1.0,
            regularizer: 0.5,
            shrink: 1.0,
        };
        assert_eq!(at(Method::CrownIbp, 0.0), start);
        let end = Moment {
            eps: 0.1,
            beta: 0.0,
            clean: 0.5,
            regularizer: 0.0,
            shrink: 1.0,
        };
        assert_eq!(at(Method::Ibp, 20.0), end);
        assert_eq!(at(Method::Pgd, 0.0).regularizer, 0.0);
        let rates = [0, 49, 50, 60].map(|epoch| schedule.rate(epoch));
        for (rate, expected) in rates.into_iter().zip([5e-4, 5e-4, 1e-4, 2e-5]) {
            assert!((rate - expected).abs() < 1e-18);
        }
    }
}
