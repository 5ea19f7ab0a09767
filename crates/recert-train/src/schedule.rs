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

/// The largest learning rate: Adam moves every weight by about as much in a step.
const MOST_RATE: f64 = 10.0;

/// The share of the ramp that grows with the fourth power.
const MIDDLE: f64 = 0.25;

impl Schedule {
    /// Checks that numbers are in their ranges.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |field, text: String| Err(Error::setting(field, text));
        if !(1..=100_000).contains(&self.epochs) {
            let text = format!("{} is not from 1 to 100000", self.epochs);
            return refused("epochs", text);
        }
        let (start, end) = (self.ramp_start, self.ramp_end);
        if start > end {
            let text = format!("the ramp ends at epoch {end}, before it starts at epoch {start}");
            return refused("ramp-end", text);
        }
        let above = [
            ("learning-rate", self.learning_rate, MOST_RATE),
            ("decay", self.decay, 1.0),
        ];
        for (field, number, most) in above {
            if !(number > 0.0 && number <= most) {
                return refused(field, format!("{number} is not above 0 and at most {most}"));
            }
        }
        if let Some(weight) = (self.clean.iter()).find(|weight| !(0.0..=1.0).contains(*weight)) {
            return refused("clean-weight", format!("{weight} is not from 0 to 1"));
        }
        self.check_milestones()
    }

    /// Checks that milestones are epochs that come one after the other.
    fn check_milestones(&self) -> Result<()> {
        if self.milestones.first() == Some(&0) {
            let text = "0 is no epoch to fall at: name epochs from 1 on";
            return Err(Error::setting("milestones", text));
        }
        let mut pairs = self.milestones.iter().zip(self.milestones.iter().skip(1));
        if let Some((one, next)) = pairs.find(|(one, next)| one >= next) {
            let text = format!("{next} does not come after {one}: name epochs in ascending order");
            return Err(Error::setting("milestones", text));
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
    fn what_is_out_of_range_is_refused_with_its_value() {
        let refused = |schedule: Schedule| {
            let error = schedule.check().unwrap_err();
            format!("{}: {error}", error.field().unwrap())
        };
        let base = Schedule::default;
        let rate = |learning_rate| Schedule {
            learning_rate,
            ..base()
        };
        let words = "learning-rate: 11 is not above 0 and at most 10";
        assert_eq!(refused(rate(11.0)), words);
        assert!(refused(rate(f64::NAN)).starts_with("learning-rate: NaN "));
        let decay = Schedule {
            decay: 1.5,
            ..base()
        };
        assert_eq!(refused(decay), "decay: 1.5 is not above 0 and at most 1");
        let milestones = |milestones: &[usize]| Schedule {
            milestones: milestones.to_vec(),
            ..base()
        };
        assert!(refused(milestones(&[0, 3])).starts_with("milestones: 0 is no epoch"));
        let words = "milestones: 50 does not come after 60";
        assert!(refused(milestones(&[60, 50])).starts_with(words));
        assert!(refused(milestones(&[5, 5])).starts_with("milestones: 5 does not"));
        assert!(milestones(&[]).check().is_ok() && milestones(&[1, 2, 99]).check().is_ok());
        let clean = Schedule {
            clean: [0.0, 2.0],
            ..base()
        };
        assert_eq!(refused(clean), "clean-weight: 2 is not from 0 to 1");
        let ramp = Schedule {
            ramp_start: 30,
            ..base()
        };
        assert!(refused(ramp).contains("ends at epoch 20, before it starts at epoch 30"));
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
