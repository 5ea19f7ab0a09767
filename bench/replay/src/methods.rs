//! The methods compared: certified radii and evaluations of all inputs.

use std::collections::HashMap;

use recert_num::{Alpha, LowerBound, Radius, Sigma};
use recert_smooth::baseline::{Baseline, FromScratch, Known};
use recert_smooth::bound::{self, Pairs, Tally};
use recert_smooth::budget::{self, CELLS, Design, Goal, Levels, Pilot, Study};
use recert_smooth::{Irs, Sides};

use crate::counts::Error;
use crate::law::Law;
use crate::samples::{Samples, Seen};

/// Total failure probability of a recertification.
const ALPHA: f64 = 0.002;

/// Where the published method certifies h directly.
const GAMMA: f64 = 0.99;

/// What a method spent on, and certified for, all inputs together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Evaluations of h.
    pub evaluations: f64,
    /// Sum of the radii whose class is the label's.
    pub radius: f64,
}

/// The inputs of one replicate.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Noise.
    pub sigma: Sigma,
    /// Their laws.
    pub laws: &'a [Law],
    /// Their samples.
    pub samples: &'a [Samples],
}

/// Radii from scratch, each worked out once.
#[derive(Debug, Default)]
pub struct Memory(HashMap<(u64, u64), f64>);

impl Inputs<'_> {
    fn sum(&self, radii: impl Iterator<Item = f64>, evaluations: u64) -> Spent {
        let correct = radii.zip(self.laws).filter(|(_, law)| law.correct);
        Spent {
            evaluations: evaluations as f64,
            radius: correct.map(|(radius, _)| radius).sum(),
        }
    }

    fn radius(&self, p: LowerBound) -> Result<f64, Error> {
        Ok(Radius::one_sided(self.sigma, p)?.map_or(0.0, Radius::get))
    }

    /// h on the first samples of every input.
    pub fn seen(&self, numbers: &[u64]) -> Vec<Vec<Seen>> {
        let each = self.samples.iter().zip(self.laws);
        each.map(|(samples, law)| samples.first(law, numbers))
            .collect()
    }

    /// From scratch: h's own counts of f's class, and what the baseline pays to select it.
    pub fn scratch(
        &self,
        baseline: Baseline,
        seen: &[Seen],
        memory: &mut Memory,
    ) -> Result<Spent, Error> {
        let mut radii = Vec::new();
        for seen in seen {
            radii.push(self.own_radius(seen.own, seen.pairs, memory)?);
        }
        let evaluations = seen.iter().map(|seen| seen.pairs + baseline.selection());
        Ok(self.sum(radii.into_iter(), evaluations.sum()))
    }

    /// From scratch on the samples that f's counts plan, at each of the budgets.
    pub fn planned(&self, budgets: &[u64], memory: &mut Memory) -> Result<Vec<Spent>, Error> {
        let known = |samples: &Samples| Known {
            n: samples.n(),
            k: samples.k,
            // Nothing is recorded of classes other than c: certificates are one-sided.
            runner_up: 0,
            votes: 1,
            against: 0,
        };
        let known = self.samples.iter().map(known).collect();
        let mut scratch = FromScratch::new(known, Alpha::new(ALPHA)?, Sides::One)?;
        let mut spent = Vec::new();
        for &budget in budgets {
            let numbers = scratch.samples(Baseline::Planned, budget)?;
            let mut radii = Vec::new();
            for ((samples, law), &number) in self.samples.iter().zip(self.laws).zip(&numbers) {
                let design = Design::Fresh { samples: number };
                let own = samples.run(law, design, 0).own[0];
                radii.push(match number {
                    0 => 0.0,
                    _ => self.own_radius(own, number, memory)?,
                });
            }
            spent.push(self.sum(radii.into_iter(), numbers.iter().sum()));
        }
        Ok(spent)
    }

    /// The radius from h's own counts.
    fn own_radius(&self, own: u64, samples: u64, memory: &mut Memory) -> Result<f64, Error> {
        let key = (own, samples);
        if let Some(&radius) = memory.0.get(&key) {
            return Ok(radius);
        }
        let radius = self.radius(bound::direct(own, samples, Alpha::new(ALPHA)?)?)?;
        memory.0.insert(key, radius);
        Ok(radius)
    }

    /// The published method: zeta below gamma, h's own counts from there on,
    /// each at half or all of the same total; nothing else is tried.
    pub fn published(&self, seen: &[Seen]) -> Result<Spent, Error> {
        let (half, whole) = (Alpha::new(ALPHA / 2.0)?, Alpha::new(ALPHA)?);
        let mut radii = Vec::new();
        for (samples, seen) in self.samples.iter().zip(seen) {
            let (k, n) = (samples.k, samples.n());
            let p_f = bound::direct(k, n, half)?;
            let p = if p_f.get() < GAMMA {
                bound::zeta(k, n, half, &pairs(*seen), half)?.0
            } else {
                bound::direct(seen.own, seen.pairs, whole)?
            };
            radii.push(self.radius(p)?);
        }
        let evaluations = seen.iter().map(|seen| seen.pairs).sum();
        Ok(self.sum(radii.into_iter(), evaluations))
    }

    /// The same with one statement over both branches, as `recert` does it.
    pub fn irs(&self, seen: &[Seen]) -> Result<Spent, Error> {
        let irs = Irs { gamma: GAMMA };
        let mut radii = Vec::new();
        for (samples, seen) in self.samples.iter().zip(seen) {
            let (k, n) = (samples.k, samples.n());
            let (conclusion, _) =
                irs.conclude(0, k, n, &pairs(*seen), Alpha::new(ALPHA)?, self.sigma)?;
            radii.push(self.radius(conclusion.p_lower)?);
        }
        let evaluations = seen.iter().map(|seen| seen.pairs).sum();
        Ok(self.sum(radii.into_iter(), evaluations))
    }

    /// `auto`: a pilot, a plan, and the bound of each input's design, in two rounds where
    /// `rounds` allows it.
    pub fn auto(&self, budget: u64, rounds: bool) -> Result<Spent, Error> {
        let goal = Goal::Budget(budget);
        let votes: Vec<(u64, u64)> = (self.samples.iter())
            .map(|samples| (samples.subject.favour, samples.subject.votes))
            .collect();
        let pilots = goal.pilots(&votes);
        let each = self.samples.iter().zip(&pilots);
        let study = Study {
            subjects: each
                .map(|(samples, &pilot)| samples.subject(pilot))
                .collect(),
            margins: true,
            both_sides: false,
            levels: Levels::new(Alpha::new(ALPHA)?, 1)?,
            goal,
        };
        let seen: Vec<Pilot> = (self.samples.iter().zip(self.laws).zip(&pilots))
            .map(|((samples, law), &pairs)| samples.pilot(law, pairs))
            .collect();
        let choices = study.choose(study.rates(&seen))?;
        let Levels { f, h, whole } = study.levels;
        let (mut radii, mut evaluations) = (Vec::new(), 0);
        for (i, choice) in choices.iter().enumerate() {
            let (samples, subject) = (&self.samples[i], study.subjects[i]);
            let run = |design| samples.run(&self.laws[i], design, pilots[i]);
            let (mut design, mut tilts) = (choice.design, choice.tilts);
            let mut first = [bound::Cell::default(); CELLS];
            let rounds = choice.rounds(&subject, whole).filter(|_| rounds);
            if let Some(rounds) = rounds {
                let own = run(rounds.design()).own;
                let rest = rounds.rest(&own);
                first = std::array::from_fn(|cell| bound::Cell {
                    samples: subject.cells[cell],
                    pairs: rounds.first[cell],
                    own: own[cell],
                    tilt: tilts.cells[cell],
                });
                design = rounds.whole(&rest);
                tilts.cells = rest.tilts.cells;
                tilts.step = rest.tilts.step;
                tilts.multiples = rest.tilts.multiples;
            }
            let answered = run(design);
            evaluations += answered.pairs.iter().sum::<u64>() + answered.beside;
            let (pairs, own) = (answered.pairs[0], answered.own[0]);
            let p = match design {
                Design::Nothing | Design::FreshBoth { .. } | Design::Both { .. } => {
                    LowerBound::ZERO
                }
                Design::Fresh { .. } => bound::direct(own, pairs, whole)?,
                Design::Loss { .. } => {
                    let other = pairs - own;
                    bound::coded_loss(subject.k, subject.n, f, Tally { pairs, other }, h)?
                }
                Design::Cells { .. } => {
                    let cells: [bound::Cell; CELLS] = std::array::from_fn(|cell| bound::Cell {
                        samples: subject.cells[cell],
                        pairs: answered.pairs[cell] - first[cell].pairs,
                        own: answered.own[cell] - first[cell].own,
                        tilt: tilts.cells[cell],
                    });
                    let lattice = Some(bound::Lattice {
                        step: tilts.step,
                        multiples: &tilts.multiples,
                    });
                    let first = if rounds.is_some() { &first[..] } else { &[] };
                    bound::tail_after(subject.n, tilts.codes, first, &cells, lattice, whole)?
                        .p_lower
                }
            };
            radii.push(self.radius(p)?);
        }
        Ok(self.sum(radii.into_iter(), evaluations))
    }

    /// What no method without assumptions can beat: h never answers otherwise
    /// than f, the plan knows it, and the bound is the distribution-free one,
    /// `pA a^(1/m)`, or h's own on fresh samples where that is better. To be
    /// compared with certifying f itself from scratch.
    pub fn limit(&self, budgets: &[u64]) -> Result<Vec<Spent>, Error> {
        let levels = Levels::new(Alpha::new(ALPHA)?, 1)?;
        let mut memory = HashMap::new();
        let curves: Vec<budget::Curve> = (self.samples.iter())
            .map(|samples| limit_curve(samples, levels, &mut memory))
            .collect::<Result<_, Error>>()?;
        let mut spent = Vec::new();
        for &budget in budgets {
            let plan = budget::allocate(&curves, budget);
            let mut radii = Vec::new();
            for (i, &design) in plan.designs.iter().enumerate() {
                let point = curves[i].points().iter().find(|p| p.design == design);
                radii.push(match (design, point) {
                    (Design::Fresh { samples }, _) => {
                        let own = self.samples[i].run(&self.laws[i], design, 0).own[0];
                        self.radius(bound::direct(own, samples, levels.whole)?)?
                    }
                    (_, Some(point)) => point.radius * self.sigma.get(),
                    (_, None) => 0.0,
                });
            }
            spent.push(self.sum(radii.into_iter(), plan.evaluations));
        }
        Ok(spent)
    }
}

fn pairs(seen: Seen) -> Pairs {
    Pairs {
        m: seen.pairs,
        disagreements: seen.differ,
        own: seen.own,
        lost: 0,
        gained: 0,
        invalid: 0,
    }
}

fn limit_curve(
    samples: &Samples,
    levels: Levels,
    memory: &mut HashMap<(u64, u64), f64>,
) -> Result<budget::Curve, Error> {
    let one = Sigma::new(1.0)?;
    let radius = |p: LowerBound| -> Result<f64, Error> {
        Ok(Radius::one_sided(one, p)?.map_or(0.0, Radius::get))
    };
    let (k, n) = (samples.k, samples.n());
    let p_f = bound::direct(k, n, levels.f)?;
    let mut points = Vec::new();
    let costs = (0..).map(|i| (8.0 * 1.1_f64.powi(i)) as u64);
    for m in costs.take_while(|&m| m <= n) {
        let unseen = -levels.h.get().ln() / m as f64;
        let p = p_f.times(LowerBound::new((-unseen).exp())?);
        points.push(budget::Point {
            cost: m,
            radius: radius(p)?,
            design: Design::Loss { pairs: m },
            tilt: 0.0,
        });
        // The expected radius of h's own counts, between whole counts.
        let other = (n - k) as f64 / n as f64 * m as f64;
        let mut at = |other: u64| -> Result<f64, Error> {
            let key = (other.min(m), m);
            if let Some(&known) = memory.get(&key) {
                return Ok(known);
            }
            let found = radius(bound::direct(m - key.0, m, levels.whole)?)?;
            memory.insert(key, found);
            Ok(found)
        };
        let (below, part) = (other.floor(), other.fract());
        let expected = at(below as u64)? * (1.0 - part) + at(below as u64 + 1)? * part;
        points.push(budget::Point {
            cost: m,
            radius: expected,
            design: Design::Fresh { samples: m },
            tilt: 0.0,
        });
    }
    Ok(budget::Curve::new(points))
}
