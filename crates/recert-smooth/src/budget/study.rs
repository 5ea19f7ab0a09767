//! The study of all inputs: it decides the design of each.
//!
//! Inputs are split into two halves by their position in the list. The rates for one half come
//! from the pilots on the other, so that no input's design or prior depends on h's answers
//! on that input. Each half spends its share of the budget by itself. Where there are few
//! inputs, pilots would teach nothing that is worth their cost: there are none, the rates are
//! the default ones, and as no decision depends on h at all, all inputs are one group.

use serde::{Deserialize, Serialize};

use super::{Allocation, Curve, Design, Family, Levels, Pilot, Point, Rates, Subject, Tilts};
use super::{allocate, allocate_to_reach};
use crate::Error;

/// How many evaluations to spend, or what to spend them for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Goal {
    /// At most this many evaluations of h over all inputs, spent where they gain most.
    Budget(u64),
    /// At most this many evaluations of h on each input.
    Each(u64),
    /// As few evaluations as are expected to give this mean radius over all inputs, in units
    /// of sigma. Every certificate counts, whether or not its class is the label.
    MeanRadius(f64),
}

/// The share of the budget that goes to the pilot.
const PILOT: f64 = 0.05;

/// The least number of promising inputs for which there is a pilot. The pilots of fewer see
/// no loss, most often, and the rates stay the default ones (`bench/budgets`).
const PILOTED: usize = 10;

impl Goal {
    /// The number of pilot samples of each input, from the number of votes for its class and
    /// the number of all its votes. An input gets none unless more than half of its votes are
    /// for the class, and none gets any where fewer than ten are such.
    ///
    /// ```
    /// use recert_smooth::budget::Goal;
    ///
    /// let mut votes = vec![(90, 100); 10];
    /// votes.push((40, 100));
    /// let pilots = Goal::Budget(10_000).pilots(&votes);
    /// assert_eq!((pilots[0], pilots[10]), (50, 0));
    /// assert_eq!(Goal::Budget(10_000).pilots(&votes[2..]), [0; 9]);
    /// ```
    #[must_use]
    pub fn pilots(self, votes: &[(u64, u64)]) -> Vec<u64> {
        let promising = |&(favour, votes): &(u64, u64)| 2 * favour > votes;
        let inputs = votes.iter().filter(|votes| promising(votes)).count();
        let each = match self {
            _ if inputs < PILOTED => 0.0,
            Self::Budget(total) => PILOT * total as f64 / inputs.max(1) as f64,
            Self::Each(samples) => PILOT * samples as f64,
            Self::MeanRadius(_) => 20.0,
        };
        // Rounded down: a budget that is too small for a pilot is spent on the designs.
        let each = (each as u64).min(50);
        let pilot = |votes| if promising(votes) { each } else { 0 };
        votes.iter().map(pilot).collect()
    }
}

/// All that decisions depend on before h is evaluated: the inputs, the shares of alpha, and
/// the goal. Made from a ledger by [`Auto::study`](crate::Auto::study).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The inputs, in their order.
    pub subjects: Vec<Subject>,
    /// Whether the ledger has f's margins, which designs of cells need.
    pub margins: bool,
    /// Whether two-sided designs are allowed.
    pub both_sides: bool,
    /// The shares of alpha.
    pub levels: Levels,
    /// How many evaluations to spend, or what for.
    pub goal: Goal,
}

/// The design of one input, with the rates that it was decided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The samples to evaluate.
    pub design: Design,
    /// Rates from the other half of the inputs.
    pub rates: Rates,
    /// The tilts for [`Design::Cells`].
    pub tilts: Tilts,
}

impl Choice {
    /// The evaluations of h on the input `subject` by the design, its pilot included, whose
    /// samples serve designs of pairs too.
    pub(crate) fn evaluations(&self, subject: &Subject) -> u64 {
        match self.design {
            Design::Loss { pairs } => pairs.max(subject.pilot),
            Design::Cells { pairs } => (0..pairs.len())
                .map(|cell| pairs[cell].max(subject.piloted[cell]))
                .sum(),
            design => design.cost() + subject.pilot,
        }
    }

    /// The choice with its numbers of samples multiplied by `factor`, rounded up.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            design: self.design.scaled(factor),
            ..self
        }
    }
}

/// What the designs of inputs that stop at a radius are planned to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntilForecast {
    /// Evaluations of h planned over all inputs, pilots included. A run evaluates an input's
    /// designs in rounds ([`ROUNDS`](crate::ROUNDS)) and ends it when its answers decide.
    pub evaluations: u64,
    /// The inputs for which some design is expected to reach the radius; the others get a pilot at
    /// most.
    pub promising: u64,
}

/// What is decided for an input before the code of any late sample is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Settled {
    /// The family, and the tilt of f's codes if the family is [`Family::Cells`].
    Family(Family, f64),
    /// The design itself, with its expected radius.
    Point(Point),
}

/// The expected outcome of a goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Evaluations of h over all inputs.
    pub evaluations: u64,
    /// Mean radius over all inputs, in units of sigma.
    pub radius: f64,
}

/// The tilt used, as a fraction of the best one expected. A tilt above the best one may need
/// more pairs than there are; one slightly below costs little.
const FLATTER: f64 = 0.97;

impl Study {
    /// Which half an input belongs to.
    fn half(input: usize) -> usize {
        input % 2
    }

    /// The rates for each half of the inputs, learned from the pilots on the other half.
    pub fn rates(&self, pilots: &[Pilot]) -> [Rates; 2] {
        [0, 1].map(|half| {
            let each = self.subjects.iter().zip(pilots).enumerate();
            let other = each.filter(|(i, _)| Self::half(*i) != half);
            Rates::learn(other.map(|(_, (subject, pilot))| (subject.q(), pilot)))
        })
    }

    /// The rates learned from the pilots on all inputs. They serve forecasts, not designs.
    pub fn rates_of_all(&self, pilots: &[Pilot]) -> Rates {
        let each = self.subjects.iter().zip(pilots);
        Rates::learn(each.map(|(subject, pilot)| (subject.q(), pilot)))
    }

    /// The choice of a design for input `i`.
    fn choice(
        &self,
        i: usize,
        rates: Rates,
        design: Design,
        (family, tilt): (Family, f64),
    ) -> Choice {
        let outlook = || self.subjects[i].outlook(&rates);
        let tilts = match design {
            Design::Cells { pairs } if family == Family::Tail => {
                outlook().tail_tilts(tilt, pairs, self.levels.whole.get())
            }
            Design::Cells { pairs } => outlook().tilts(tilt, pairs),
            _ => Tilts::default(),
        };
        Choice {
            design,
            rates,
            tilts,
        }
    }

    /// The cheapest design of every input that is expected to reach `radius` (in units of
    /// sigma); [`Design::Nothing`] where none is.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn choose_until(&self, rates: [Rates; 2], radius: f64) -> Result<Vec<Choice>, Error> {
        let families = self.families(true);
        let each = self.subjects.iter().enumerate().map(|(i, &subject)| {
            let rates = rates[Self::half(i)];
            let by_votes = subject.by_votes();
            let mut cheapest: Option<(Family, Point)> = None;
            for &family in &families {
                let curve = Curve::expected(by_votes, family, &rates, self.levels, None)?;
                if let Some(point) = curve.reaching(radius)
                    && cheapest.is_none_or(|(_, best)| point.cost < best.cost)
                {
                    cheapest = Some((family, point));
                }
            }
            // If the votes promise no certificate, the codes still may.
            let (family, tilt) = cheapest.map_or((Family::Fresh, 0.0), |(f, p)| (f, p.tilt));
            let curve = Curve::expected(subject, family, &rates, self.levels, Some(tilt))?;
            let point = curve.reaching(radius);
            let design = point.map_or(Design::Nothing, |p| p.design);
            Ok(self.choice(i, rates, design, (family, tilt)))
        });
        each.collect()
    }

    /// What the designs that `rates` give for `radius` (in units of sigma) are planned to take.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    ///
    /// ```
    /// # use recert_num::Alpha;
    /// use recert_smooth::budget::{Goal, Levels, Rates, Study, Subject};
    ///
    /// // An input that f answers with the class on 9,900 of 10,000 samples.
    /// let subject = Subject {
    ///     votes: 100,
    ///     favour: 99,
    ///     rival: 1,
    ///     n: 10_000,
    ///     k: 9_900,
    ///     stopped: false,
    ///     held: 10_000,
    ///     cells: [50, 50, 100, 200, 9_500, 20, 20, 20, 20, 20],
    ///     pilot: 0,
    ///     piloted: [0; 10],
    /// };
    /// let study = Study {
    ///     subjects: vec![subject],
    ///     margins: true,
    ///     both_sides: true,
    ///     levels: Levels::new(Alpha::new(0.002)?, 1)?,
    ///     goal: Goal::Each(400),
    /// };
    /// let planned = |radius| study.forecast_until(&Rates::default(), radius);
    /// assert_eq!(planned(1.0)?.promising, 1);
    /// assert!(planned(0.5)?.evaluations < planned(1.5)?.evaluations);
    /// assert_eq!((planned(9.0)?.promising, planned(9.0)?.evaluations), (0, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forecast_until(&self, rates: &Rates, radius: f64) -> Result<UntilForecast, Error> {
        let choices = self.choose_until([*rates; 2], radius)?;
        let each = choices.iter().zip(&self.subjects);
        Ok(UntilForecast {
            evaluations: each
                .map(|(choice, subject)| choice.evaluations(subject))
                .sum(),
            promising: (choices.iter())
                .filter(|choice| choice.design != Design::Nothing)
                .count() as u64,
        })
    }

    /// The design of every input.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn choose(&self, rates: [Rates; 2]) -> Result<Vec<Choice>, Error> {
        Ok(self.decide(rates)?.0)
    }

    /// The inputs that are decided about together, with their rates: the two halves, or all
    /// where neither has a pilot.
    fn groups(&self, rates: [Rates; 2]) -> Vec<(Vec<usize>, Rates)> {
        let inputs = 0..self.subjects.len();
        if self.is_piloted() || rates[0] != rates[1] {
            let half = |half: usize| (inputs.clone().skip(half).step_by(2).collect(), rates[half]);
            return vec![half(0), half(1)];
        }
        vec![(inputs.collect(), rates[0])]
    }

    /// Whether any input has pilot samples.
    fn is_piloted(&self) -> bool {
        self.subjects.iter().any(|subject| subject.pilot > 0)
    }

    /// The design of every input, and what to expect of them.
    fn decide(&self, rates: [Rates; 2]) -> Result<(Vec<Choice>, Forecast), Error> {
        let nothing = |i: usize| {
            self.choice(
                i,
                rates[Self::half(i)],
                Design::Nothing,
                (Family::Fresh, 0.0),
            )
        };
        let mut choices: Vec<Choice> = (0..self.subjects.len()).map(nothing).collect();
        let (mut evaluations, mut radius) = (0, 0.0);
        for (all, rates) in self.groups(rates) {
            let (mut inputs, mut curves) = (Vec::new(), Vec::new());
            let (mut spent, mut expected) = (0, 0.0);
            for (&i, settled) in all.iter().zip(self.settle(&all, &rates)?) {
                match settled {
                    Settled::Family(family, tilt) => {
                        let (subject, levels) = (self.subjects[i], self.levels);
                        let curve = Curve::expected(subject, family, &rates, levels, Some(tilt));
                        curves.push(curve?);
                        inputs.push((i, (family, tilt)));
                    }
                    Settled::Point(point) => {
                        choices[i] = self.choice(i, rates, point.design, (Family::Both, 0.0));
                        spent += point.cost;
                        expected += point.radius;
                    }
                }
            }
            let allocation = match self.goal {
                Goal::Each(_) => {
                    let best = inputs.iter().zip(&curves);
                    Allocation::of(best.map(|(&(i, _), c)| c.within(self.left(i))).collect())
                }
                Goal::Budget(_) => allocate(&curves, self.part(&all).saturating_sub(spent)),
                Goal::MeanRadius(radius) => {
                    allocate_to_reach(&curves, radius * all.len() as f64 - expected)
                }
            };
            evaluations += spent + allocation.evaluations;
            radius += expected + allocation.radius;
            for ((i, settled), design) in inputs.into_iter().zip(allocation.designs) {
                choices[i] = self.choice(i, rates, design, settled);
            }
        }
        let pilots: u64 = self.subjects.iter().map(|subject| subject.pilot).sum();
        let forecast = Forecast {
            evaluations: evaluations + pilots,
            radius: radius / self.subjects.len().max(1) as f64,
        };
        Ok((choices, forecast))
    }

    /// The evaluations that `inputs` may take in addition to their pilots, if the goal is a
    /// budget.
    fn part(&self, inputs: &[usize]) -> u64 {
        let Goal::Budget(total) = self.goal else {
            return u64::MAX;
        };
        let share = inputs.len() as f64 / self.subjects.len().max(1) as f64;
        let pilots: u64 = inputs.iter().map(|&i| self.subjects[i].pilot).sum();
        ((total as f64 * share) as u64).saturating_sub(pilots)
    }

    /// The evaluations that input `i` may take in addition to its pilot, if the goal limits
    /// each input.
    fn left(&self, i: usize) -> u64 {
        match self.goal {
            Goal::Each(samples) => samples.saturating_sub(self.subjects[i].pilot),
            _ => u64::MAX,
        }
    }

    /// The expected evaluations and mean radius of the designs that `rates` give, if they are
    /// right; see [`Auto::study`](crate::Auto::study) for an example.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn forecast(&self, rates: &Rates) -> Result<Forecast, Error> {
        Ok(self.decide([*rates; 2])?.1)
    }

    /// Decides the family of each of `inputs`, which are one group, by the votes alone: the one
    /// that the goal buys, or else the one that promises most at the price of an evaluation. Both
    /// come from this group: the price of the other half depends on h's answers on this one.
    fn settle(&self, inputs: &[usize], rates: &Rates) -> Result<Vec<Settled>, Error> {
        let families = self.families(false);
        let curves = self.curves(inputs, rates, Subject::by_votes)?;
        let united: Vec<Curve> = curves.iter().map(|curves| Curve::union(curves)).collect();
        let bought = self.spend(inputs, &united);
        let price = bought.price;
        // What the goal buys is taken; what it does not buy is settled by the price.
        let buys = !matches!(self.goal, Goal::Each(_));
        // Two-sided designs of pairs are not made smaller later: others may take what is not spent.
        let mut room = self.part(inputs).saturating_sub(bought.evaluations);
        let mut settled = Vec::new();
        for (&i, (curves, bought)) in inputs.iter().zip(curves.iter().zip(bought.points)) {
            if let Some(point) = bought.filter(|_| buys) {
                let of_family = |curve: &Curve| curve.points().iter().any(|p| p.is_like(&point));
                let family = curves.iter().position(of_family);
                settled.push(match family.map_or(Family::Fresh, |i| families[i]) {
                    Family::Both => Settled::Point(point),
                    family => Settled::Family(family, FLATTER * point.tilt),
                });
                continue;
            }
            let mut choice = Settled::Family(Family::Fresh, 0.0);
            let (mut most, mut spent) = (0.0, 0);
            for (&family, curve) in families.iter().zip(curves) {
                let best = match self.goal {
                    Goal::Each(_) => curve.within(self.left(i)),
                    _ => curve.at_price(price),
                };
                let Some(point) = best else { continue };
                let worth = match self.goal {
                    Goal::Each(_) => point.radius,
                    _ => point.radius - price * point.cost as f64,
                };
                let both = family == Family::Both;
                if worth > most && (!both || point.cost <= room) {
                    most = worth;
                    (choice, spent) = if both {
                        (Settled::Point(point), point.cost)
                    } else {
                        (Settled::Family(family, FLATTER * point.tilt), 0)
                    };
                }
            }
            room -= spent;
            settled.push(choice);
        }
        Ok(settled)
    }

    /// The families to choose among. There is no anytime-valid bound for two-sided designs.
    fn families(&self, anytime: bool) -> Vec<Family> {
        let mut families = vec![Family::Loss, Family::Fresh];
        if self.margins {
            families.push(if anytime { Family::Cells } else { Family::Tail });
        }
        if self.both_sides && !anytime {
            families.extend([Family::FreshBoth, Family::Both]);
        }
        families
    }

    /// The curves of every family for each of `inputs`, whose subjects are first mapped by
    /// `seen`.
    fn curves(
        &self,
        inputs: &[usize],
        rates: &Rates,
        seen: impl Fn(Subject) -> Subject,
    ) -> Result<Vec<Vec<Curve>>, Error> {
        let each = inputs.iter().map(|&i| {
            let subject = seen(self.subjects[i]);
            let curve = |family| Curve::expected(subject, family, rates, self.levels, None);
            self.families(false).into_iter().map(curve).collect()
        });
        each.collect()
    }

    /// Spends the share of the goal that belongs to `inputs` on their curves.
    fn spend(&self, inputs: &[usize], curves: &[Curve]) -> Allocation {
        match self.goal {
            Goal::Budget(_) => allocate(curves, self.part(inputs)),
            Goal::MeanRadius(radius) => allocate_to_reach(curves, radius * curves.len() as f64),
            Goal::Each(_) => {
                let best = |(&i, curve): (&usize, &Curve)| curve.within(self.left(i));
                Allocation::of(inputs.iter().zip(curves).map(best).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recert_num::Alpha;

    fn study(goal: Goal) -> Study {
        let subjects = (0..24_u64).map(|i| {
            let n = 9_700;
            let mut subject = Subject {
                votes: 100,
                favour: 40 + 5 * (i % 12),
                rival: 30 - 2 * (i % 12),
                n,
                k: 0,
                stopped: false,
                held: n,
                cells: Rates::samples(0.6 - 0.05 * (i % 12) as f64, n),
                pilot: 0,
                piloted: [0; 10],
            };
            subject.k = subject.cells[..5].iter().sum();
            subject
        });
        let subjects: Vec<Subject> = subjects.collect();
        Study {
            subjects: with_pilots(subjects, goal),
            margins: true,
            both_sides: true,
            levels: Levels::new(Alpha::new(0.002).unwrap(), 1).unwrap(),
            goal,
        }
    }

    fn with_pilots(mut subjects: Vec<Subject>, goal: Goal) -> Vec<Subject> {
        let votes: Vec<(u64, u64)> = subjects.iter().map(|s| (s.favour, s.votes)).collect();
        for (subject, pilot) in subjects.iter_mut().zip(goal.pilots(&votes)) {
            subject.pilot = pilot;
            subject.piloted[4] = pilot;
        }
        subjects
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
                        .map(|j| (j % 5, i.is_multiple_of(2) && j < lost))
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
            let each = choices.iter().zip(&study.subjects);
            let spent: u64 = each
                .map(|(choice, subject)| choice.evaluations(subject))
                .sum();
            assert!(spent <= total && spent > total * 9 / 10, "{total}: {spent}");
        }
    }
}
