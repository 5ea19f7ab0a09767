//! From what is known of every input to one design each.
//!
//! Inputs are taken in two halves by their place in the list. Rates for one half
//! come from pairs on the other, so that no input's design or prior depends on
//! h's answers on that input. Each half spends its part of the budget by itself.

use recert_num::Alpha;

use super::rates::Seen;
use super::{Allocation, Coding, Curve, Design, Levels, Rates, Subject};
use super::{allocate, allocate_to_reach};
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
    /// Whether certificates of both sides are wanted.
    pub both_sides: bool,
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

/// What is fixed before any code is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Settled {
    /// Which codes decide.
    Coding(Coding),
    /// The design, and the radius expected of it.
    Point(super::Point),
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
        let mut choices: Vec<Choice> = (0..self.subjects.len())
            .map(|input| Choice {
                design: Design::Nothing,
                rates: rates[Self::half(input)],
            })
            .collect();
        let pilots: u64 = (0..self.subjects.len()).map(|i| self.pilot(i)).sum();
        for (half, &rates) in rates.iter().enumerate() {
            let all: Vec<usize> = (half..self.subjects.len()).step_by(2).collect();
            let part = all.len() as f64 / self.subjects.len() as f64;
            let (mut inputs, mut curves) = (Vec::new(), Vec::new());
            let (mut spent, mut expected) = (0, 0.0);
            for (&i, settled) in all.iter().zip(self.settle(&all, rates)?) {
                match settled {
                    Settled::Coding(coding) => {
                        let curve = Curve::expected(self.subjects[i], coding, rates, self.levels)?;
                        inputs.push(i);
                        curves.push(less_the_pilot(&curve, self.pilot(i)));
                    }
                    Settled::Point(point) => {
                        choices[i].design = point.design;
                        spent += point.cost;
                        expected += point.radius;
                    }
                }
            }
            let designs = match self.goal {
                Goal::Each(copies) => (inputs.iter().zip(&curves))
                    .map(|(&i, curve)| {
                        let left = copies.saturating_sub(self.pilot(i));
                        curve.within(left).map_or(Design::Nothing, |p| p.design)
                    })
                    .collect(),
                Goal::Budget(total) => {
                    let left = (total.saturating_sub(pilots) as f64 * part) as u64;
                    allocate(&curves, left.saturating_sub(spent)).designs
                }
                Goal::MeanRadius(radius) => {
                    allocate_to_reach(&curves, radius * all.len() as f64 - expected).designs
                }
            };
            for (input, design) in inputs.into_iter().zip(designs) {
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

    /// Settles by the selection copies alone what the decisions about each of
    /// `inputs`, one half, look at: whichever codes promise most at the price of
    /// an evaluation; or the design itself, where none do. The price is this
    /// half's own: that of the other half would know h's answers on this one.
    fn settle(&self, inputs: &[usize], rates: Rates) -> Result<Vec<Settled>, Error> {
        let codings = self.codings();
        let mut curves = Vec::new();
        for &i in inputs {
            let by_votes = self.subjects[i].by_selection();
            let expected = |&coding: &Coding| Curve::expected(by_votes, coding, rates, self.levels);
            let each = codings.iter().map(expected);
            curves.push(each.collect::<Result<Vec<_>, _>>()?);
        }
        let united: Vec<Curve> = curves.iter().map(|curves| Curve::union(curves)).collect();
        let price = self.spend(&united).price;
        let best = |curve: &Curve| match self.goal {
            Goal::Each(copies) => curve.within(copies),
            _ => curve.at_price(price),
        };
        let worth = |curve: &Curve| {
            let net = |p: super::Point| match self.goal {
                Goal::Each(_) => p.radius,
                _ => p.radius - price * p.cost as f64,
            };
            best(curve).map_or(0.0, net)
        };
        // What two-sided designs may take of a half's budget, which its other
        // inputs are to have a part of too.
        let mut room = match self.goal {
            Goal::Budget(total) => total / 4,
            _ => u64::MAX,
        };
        let mut settled = Vec::new();
        for curves in &curves {
            let mut coding = Coding::Answered;
            let mut most = 0.0;
            for (&each, curve) in codings.iter().zip(curves) {
                let fits = each != Coding::Votes || best(curve).is_some_and(|p| p.cost <= room);
                if fits && worth(curve) > most {
                    (coding, most) = (each, worth(curve));
                }
            }
            settled.push(match (coding, best(&curves[codings.len() - 1])) {
                (Coding::Votes, Some(point)) => {
                    room -= point.cost;
                    Settled::Point(point)
                }
                (coding, _) => Settled::Coding(coding),
            });
        }
        Ok(settled)
    }

    /// The codings to choose among; that by votes, if any, comes last.
    fn codings(&self) -> Vec<Coding> {
        let mut codings = vec![Coding::Answered];
        if self.margins {
            codings.push(Coding::Decided);
        }
        if self.both_sides {
            codings.push(Coding::Votes);
        }
        codings
    }

    /// The best of all codings for every input, for forecasts.
    fn curves(&self, rates: Rates) -> Result<Vec<Curve>, Error> {
        let each = self.subjects.iter().map(|&subject| {
            let expected = |coding| Curve::expected(subject, coding, rates, self.levels);
            let curves = self.codings().into_iter().map(expected);
            Ok(Curve::union(&curves.collect::<Result<Vec<_>, Error>>()?))
        });
        each.collect()
    }

    /// Spends on `curves`, of some or all inputs, their part of the goal.
    fn spend(&self, curves: &[Curve]) -> Allocation {
        match self.goal {
            Goal::Budget(total) => {
                let part = curves.len() as f64 / self.subjects.len().max(1) as f64;
                allocate(curves, (total as f64 * part) as u64)
            }
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
}

/// The curve with the pilot's copies, which are paid for, taken off the cost of
/// designs that contain them: pairs on which f answered c. Strata contain most
/// of them too, but how many only finer codes than theirs tell.
fn less_the_pilot(curve: &Curve, pilot: u64) -> Curve {
    let points = curve.points().iter().map(|&point| {
        let mut point = point;
        if matches!(point.design, Design::Loss { .. }) {
            point.cost = point.cost.saturating_sub(pilot).max(1);
        }
        point
    });
    Curve::new(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::StrataCodes;
    use recert_num::Alpha;

    fn study(goal: Goal) -> Study {
        let subjects = (0..24_u64).map(|i| Subject {
            n0: 100,
            k0: 40 + 5 * (i % 12),
            rival: 30 - 2 * (i % 12),
            k: 4_000 + 500 * (i % 12),
            codes: StrataCodes {
                n: 10_000,
                decided: 3_600 + 500 * (i % 12),
                undecided: 900,
            },
        });
        Study {
            subjects: subjects.collect(),
            margins: true,
            both_sides: true,
            levels: Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap(),
            goal,
        }
    }

    #[test]
    fn no_choice_looks_at_answers_on_its_own_half() {
        let goals = [
            Goal::Budget(20_000),
            Goal::Budget(100_000),
            Goal::Each(500),
            Goal::MeanRadius(0.7),
        ];
        for goal in goals {
            let study = study(goal);
            let pilots = |lost: usize| -> Vec<Pilot> {
                let of = |i: usize| {
                    (0..40)
                        .map(|j| (j % 3 > 0, i.is_multiple_of(2) && j < lost))
                        .collect()
                };
                (0..24).map(of).collect()
            };
            let choices = [0, 3, 20, 40].map(|lost| {
                let choices = study.choose(study.rates(&pilots(lost))).unwrap();
                choices.into_iter().step_by(2).collect::<Vec<_>>()
            });
            // What happened on the even inputs moves the odd ones only.
            for other in &choices[1..] {
                assert_eq!(other, &choices[0], "{goal:?}");
            }
        }
    }

    #[test]
    fn budgets_are_kept() {
        for total in [500, 5_000, 50_000] {
            let study = study(Goal::Budget(total));
            let choices = study.choose([Rates::default(); 2]).unwrap();
            let pilots: u64 = (0..24).map(|i| study.pilot(i)).sum();
            let spent: u64 = choices.iter().map(|c| c.design.cost()).sum();
            assert!(
                spent <= total && spent + pilots > total / 2,
                "{total}: {spent}"
            );
        }
    }
}
