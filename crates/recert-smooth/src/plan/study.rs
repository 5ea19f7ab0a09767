//! From what is known of every input to one design each.
//!
//! Inputs are taken in two halves by their place in the list. Rates for one half
//! come from pairs on the other, so that no input's design or prior depends on
//! h's answers on that input. Each half spends its part of the budget by itself.

use recert_num::Alpha;

use super::rates::Seen;
use super::{Allocation, Coding, Curve, Design, Levels, Rates, Subject};
use super::{allocate, allocate_to_reach, choose_at_price};
use crate::Error;

/// How much to spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this many evaluations of h over all inputs, where they gain most.
    Budget(u64),
    /// At most this many on each input.
    Each(u64),
    /// As few as lead to this mean radius over all inputs, in units of sigma;
    /// certificates count whether or not the class is the label's.
    MeanRadius(f64),
}

/// All that a plan is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The inputs, in their order.
    pub subjects: Vec<Subject>,
    /// Whether f's margins are known, so that strata can be told apart.
    pub margins: bool,
    /// The shares of alpha.
    pub levels: Levels,
    /// How much to spend.
    pub goal: Goal,
}

/// What one input gets, and the rates that this was decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The copies to evaluate.
    pub design: Design,
    /// Rates from the other half of the inputs.
    pub rates: Rates,
}

/// The radius to expect, against what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Evaluations of h over all inputs.
    pub evaluations: u64,
    /// Mean radius over all inputs, in units of sigma.
    pub radius: f64,
}

/// h's answers on the pilot copies of one input: whether f was decided there,
/// and whether h answered otherwise.
pub type Pilot = Vec<(bool, bool)>;

/// The share of the budget that goes to the pilot.
const PILOT: f64 = 0.05;

impl Study {
    /// Which half an input belongs to.
    fn half(input: usize) -> usize {
        input % 2
    }

    /// How many pilot copies an input gets: the first that f answered with c.
    /// Nothing where the selection copies promise no certificate.
    pub fn pilot(&self, input: usize) -> u64 {
        let promising = |s: &Subject| 2 * s.k0 > s.n0;
        if !promising(&self.subjects[input]) {
            return 0;
        }
        let inputs = self.subjects.iter().filter(|s| promising(s)).count();
        let each = match self.goal {
            Goal::Budget(total) => PILOT * total as f64 / inputs as f64,
            Goal::Each(copies) => PILOT * copies as f64,
            Goal::MeanRadius(_) => 20.0,
        };
        // A budget too small for a pilot is spent on pairs that count.
        (each as u64).min(50)
    }

    /// The rates for each half, from the pilot of the other.
    pub fn rates(&self, pilots: &[Pilot]) -> [Rates; 2] {
        let mut seen = [Seen::default(); 2];
        for (input, pilot) in pilots.iter().enumerate() {
            for &(decided, lost) in pilot {
                seen[1 - Self::half(input)].add(self.subjects[input].q0(), decided, lost);
            }
        }
        seen.map(|seen| seen.rates())
    }

    /// For every input the cheapest design that is expected to reach `radius`, in
    /// units of sigma; nothing where none is.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn choose_until(&self, rates: [Rates; 2], radius: f64) -> Result<Vec<Choice>, Error> {
        let reaching = |subject: Subject, coding: Coding, rates: Rates| {
            let curve = Curve::expected(subject, coding, rates, self.levels)?;
            Ok::<_, Error>(curve.reaching(radius))
        };
        let each = self.subjects.iter().enumerate().map(|(i, &subject)| {
            let rates = rates[Self::half(i)];
            let cost = |coding: Coding| {
                let point = reaching(subject.by_selection(), coding, rates)?;
                Ok::<_, Error>(point.map_or(u64::MAX, |p| p.cost))
            };
            let strata = self.margins && cost(Coding::Decided)? < cost(Coding::Answered)?;
            let coding = if strata {
                Coding::Decided
            } else {
                Coding::Answered
            };
            let point = reaching(subject, coding, rates)?;
            Ok(Choice {
                design: point.map_or(Design::Nothing, |p| p.design),
                rates,
            })
        });
        each.collect()
    }

    /// The rates from pairs on all inputs, for forecasts.
    pub fn rates_of_all(&self, pilots: &[Pilot]) -> Rates {
        let mut seen = Seen::default();
        for (subject, pilot) in self.subjects.iter().zip(pilots) {
            for &(decided, lost) in pilot {
                seen.add(subject.q0(), decided, lost);
            }
        }
        seen.rates()
    }

    /// A design for every input.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn choose(&self, rates: [Rates; 2]) -> Result<Vec<Choice>, Error> {
        let codings = self.codings(rates)?;
        let mut choices: Vec<Choice> = (0..self.subjects.len())
            .map(|input| Choice {
                design: Design::Nothing,
                rates: rates[Self::half(input)],
            })
            .collect();
        for half in 0..2 {
            let inputs: Vec<usize> = (half..self.subjects.len()).step_by(2).collect();
            let curves = inputs
                .iter()
                .map(|&i| {
                    let curve =
                        Curve::expected(self.subjects[i], codings[i], rates[half], self.levels)?;
                    Ok(self.less_the_pilot(curve, self.pilot(i)))
                })
                .collect::<Result<Vec<Curve>, Error>>()?;
            let designs = match self.goal {
                Goal::Each(copies) => (inputs.iter().zip(&curves))
                    .map(|(&i, curve)| {
                        let left = copies.saturating_sub(self.pilot(i));
                        curve.within(left).map_or(Design::Nothing, |p| p.design)
                    })
                    .collect(),
                Goal::Budget(total) => {
                    let pilots: u64 = (0..self.subjects.len()).map(|i| self.pilot(i)).sum();
                    let left = total.saturating_sub(pilots) as f64;
                    let part = inputs.len() as f64 / self.subjects.len() as f64;
                    allocate(&curves, (left * part) as u64).designs
                }
                Goal::MeanRadius(radius) => {
                    allocate_to_reach(&curves, radius * inputs.len() as f64).designs
                }
            };
            for (&input, design) in inputs.iter().zip(designs) {
                choices[input].design = design;
            }
        }
        Ok(choices)
    }

    /// What may be expected of other goals, if `rates` were true.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn forecast(&self, rates: Rates) -> Result<Forecast, Error> {
        let curves = self.curves(rates)?;
        let spent = self.spend(&curves);
        Ok(Forecast {
            evaluations: spent.evaluations,
            radius: spent.radius / self.subjects.len().max(1) as f64,
        })
    }

    /// The mean radius, in units of sigma, that certifying h from scratch with
    /// `cost` evaluations an input may be expected to give.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn from_scratch(&self, cost: u64, n0: u64, alpha: Alpha) -> Result<f64, Error> {
        let mut sum = 0.0;
        for &subject in &self.subjects {
            sum += Curve::from_scratch(subject, cost, n0, alpha)?;
        }
        Ok(sum / self.subjects.len().max(1) as f64)
    }

    /// Which codes each input's decisions look at: whichever promises more at
    /// the price of an evaluation, by the selection copies alone.
    fn codings(&self, rates: [Rates; 2]) -> Result<Vec<Coding>, Error> {
        let expected = |coding: Coding| {
            let each = self.subjects.iter().enumerate().map(|(i, subject)| {
                Curve::expected(
                    subject.by_selection(),
                    coding,
                    rates[Self::half(i)],
                    self.levels,
                )
            });
            each.collect::<Result<Vec<Curve>, Error>>()
        };
        if !self.margins {
            return Ok(vec![Coding::Answered; self.subjects.len()]);
        }
        let (answered, decided) = (expected(Coding::Answered)?, expected(Coding::Decided)?);
        let union: Vec<Curve> = (answered.iter().zip(&decided))
            .map(|(a, b)| Curve::new(a.points().iter().chain(b.points()).copied()))
            .collect();
        let price = self.spend(&union).price;
        let worth = |curve: &Curve| match self.goal {
            Goal::Each(copies) => curve.within(copies).map_or(0.0, |p| p.radius),
            _ => choose_at_price(curve, price),
        };
        Ok((answered.iter().zip(&decided))
            .map(|(a, b)| {
                if worth(b) > worth(a) {
                    Coding::Decided
                } else {
                    Coding::Answered
                }
            })
            .collect())
    }

    /// The better of both codings for every input, for forecasts.
    fn curves(&self, rates: Rates) -> Result<Vec<Curve>, Error> {
        let each = self.subjects.iter().map(|&subject| {
            let answered = Curve::expected(subject, Coding::Answered, rates, self.levels)?;
            if !self.margins {
                return Ok(answered);
            }
            let decided = Curve::expected(subject, Coding::Decided, rates, self.levels)?;
            Ok(Curve::new(
                answered.points().iter().chain(decided.points()).copied(),
            ))
        });
        each.collect()
    }

    fn spend(&self, curves: &[Curve]) -> Allocation {
        match self.goal {
            Goal::Budget(total) => allocate(curves, total),
            Goal::MeanRadius(radius) => allocate_to_reach(curves, radius * curves.len() as f64),
            Goal::Each(copies) => {
                let points: Vec<_> = curves.iter().map(|curve| curve.within(copies)).collect();
                Allocation {
                    designs: (points.iter())
                        .map(|p| p.map_or(Design::Nothing, |p| p.design))
                        .collect(),
                    radius: points.iter().flatten().map(|p| p.radius).sum(),
                    evaluations: points.iter().flatten().map(|p| p.cost).sum(),
                    price: 0.0,
                }
            }
        }
    }

    /// The curve with the pilot's copies, which are paid for, taken off the
    /// cost of designs that contain them: all of them for pairs on which f
    /// answered c; half, which is fewer than there are, for strata.
    fn less_the_pilot(&self, curve: Curve, pilot: u64) -> Curve {
        let points = curve.points().iter().map(|&point| {
            let paid = match point.design {
                Design::Loss { .. } => pilot,
                Design::Strata { .. } => pilot / 2,
                Design::Nothing | Design::Fresh { .. } => 0,
            };
            let mut point = point;
            point.cost = point.cost.saturating_sub(paid).max(1);
            point
        });
        Curve::new(points)
    }
}
