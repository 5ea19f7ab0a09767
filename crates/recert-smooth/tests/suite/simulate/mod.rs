//! Inputs whose law is known, and what a recertification would claim of them:
//! codes, pilots, plans, answers and bounds as in a real run, without networks.
//!
//! One long file: its parts are the steps of one replicate, which a fixed seed draws in
//! their order, and hand each other their private fields.

use std::collections::{BTreeMap, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution};
use recert_ledger::Codes;
use recert_noise::Stream;
use recert_num::{Alpha, normal_cdf_lower};
use recert_smooth::bound::{self, Tally};
use recert_smooth::budget::{
    ByCell, CELLS, Choice, Design, Goal, Levels, Pilot, Rates, Study, Subject, Tilts, early,
};

/// The class certified.
pub(crate) const C: u16 = 0;

/// Margin buckets below this one are called undecided here.
pub(crate) const UNDECIDED: u8 = 2;

/// Samples of one fine code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// f's class.
    pub(crate) f: u16,
    /// Its margin's bucket.
    pub(crate) bucket: u8,
    /// Probability.
    pub(crate) mass: f64,
    /// `P(h = c)` here; every other answer, invalid ones too, is not for c.
    pub(crate) keeps: f64,
}

/// The law of an input's samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Law(pub(crate) Vec<Cell>);

impl Law {
    /// Masses of the fine codes: c decided narrowly, c decided by far, c
    /// undecided, another class undecided, another class decided; and h's
    /// chances of c there.
    pub(crate) fn new(masses: [f64; 5], keeps: [f64; 5]) -> Self {
        let codes = [(C, 3), (C, 7), (C, 0), (1, 1), (1, 6)];
        let cells = (0..5).map(|i| Cell {
            f: codes[i].0,
            bucket: codes[i].1,
            mass: masses[i],
            keeps: keeps[i],
        });
        Self(cells.filter(|cell| cell.mass > 0.0).collect())
    }

    /// `P(h = c)`.
    pub(crate) fn truth(&self) -> f64 {
        self.0.iter().map(|cell| cell.mass * cell.keeps).sum()
    }

    fn pick(&self, rng: &mut StdRng) -> usize {
        let mut left: f64 = rng.random();
        for (i, cell) in self.0.iter().enumerate() {
            left -= cell.mass;
            if left < 0.0 {
                return i;
            }
        }
        self.0.len() - 1
    }
}

/// What decides about the samples, and how they are concluded from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// The plan for a goal.
    Plan(Goal),
    /// One design for every input, with these tilts if it is one of cells.
    Fixed(Design, Tilts),
    /// Rounds until a radius in units of sigma; wrong if the bound is after any
    /// round, wherever it stops.
    Until(f64),
    /// What must not be: the first design where h kept c on all of the input's own
    /// pilot but one at most, else the second.
    ByOwnPilot([Design; 2]),
}

/// One simulation: inputs of one study, of which the first is made to be hard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) alpha: f64,
    /// Candidates that the best certificate is picked from.
    pub(crate) among: u32,
    pub(crate) n0: u64,
    pub(crate) n: u64,
    pub(crate) rule: Rule,
    pub(crate) laws: Vec<Law>,
    /// Rates to plan with in place of the pilots'.
    pub(crate) rates: Option<[Rates; 2]>,
}

/// How the certificates of one input came out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Score {
    pub(crate) all: u64,
    /// Bounds above the truth.
    pub(crate) wrong: u64,
    /// Those of them that are certificates: above one half.
    pub(crate) certified: u64,
    /// What was chosen, how often.
    pub(crate) designs: BTreeMap<&'static str, u64>,
}

impl Score {
    pub(crate) fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.wrong += other.wrong;
        self.certified += other.certified;
        for (name, count) in &other.designs {
            *self.designs.entry(name).or_default() += count;
        }
    }

    fn count(&mut self, (p_lower, wrong): (f64, bool), design: Design) {
        self.all += 1;
        self.wrong += u64::from(wrong);
        self.certified += u64::from(wrong && p_lower > 0.5);
        let name = match design {
            Design::Nothing => "nothing",
            Design::Fresh { .. } => "fresh",
            Design::FreshBoth { .. } => "fresh, two-sided",
            Design::Both { .. } => "both",
            Design::Loss { .. } => "loss",
            Design::Cells { .. } => "cells",
        };
        *self.designs.entry(name).or_default() += 1;
    }
}

/// The samples of a design: how many of each fine code that the pilot has not
/// answered, and which of the pilot's it contains.
#[derive(Debug, Clone)]
struct Chosen {
    fresh: u64,
    outside: Vec<u64>,
    inside: Vec<usize>,
}

/// An input with its samples coded.
struct Input<'a> {
    law: &'a Law,
    subject: Subject,
    codes: Codes,
    cells: Vec<u8>,
    /// The pilot's samples, ascending.
    pilot: Vec<u32>,
    chosen: HashMap<Design, Chosen>,
}

impl<'a> Input<'a> {
    fn draw(law: &'a Law, (n0, n): (u64, u64), rng: &mut StdRng) -> Self {
        let for_c = |i: usize| law.0[i].f == C;
        let k0 = (0..n0).filter(|_| for_c(law.pick(rng))).count() as u64;
        let cells: Vec<u8> = (0..n).map(|_| law.pick(rng) as u8).collect();
        let cell = |&i: &u8| law.0[usize::from(i)];
        let codes = Codes {
            classes: cells.iter().map(|i| cell(i).f).collect(),
            margins: Some(cells.iter().map(|i| cell(i).bucket).collect()),
        };
        let own = |cells: &[u8]| cells.iter().filter(|i| cell(i).f == C).count() as u64;
        let (first, late) = cells.split_at(early(n) as usize);
        let mut by_cell = [0; CELLS];
        for i in late {
            by_cell[coded(cell(i))] += 1;
        }
        let votes = n0 + early(n);
        let favour = k0 + own(first);
        let subject = Subject {
            votes,
            favour,
            rival: votes - favour,
            n: late.len() as u64,
            k: own(late),
            stopped: false,
            held: late.len() as u64,
            cells: by_cell,
            pilot: 0,
            piloted: [0; CELLS],
        };
        Self {
            law,
            subject,
            codes,
            cells,
            pilot: Vec::new(),
            chosen: HashMap::new(),
        }
    }

    /// The cell that decisions know a fine code by.
    fn coded(&self, fine: usize) -> usize {
        coded(self.law.0[fine])
    }

    fn set_pilot(&mut self, pairs: u64) {
        self.pilot = Design::Loss { pairs }.samples(&self.codes, C).1;
        self.subject.pilot = self.pilot.len() as u64;
        self.subject.piloted = [0; CELLS];
        for &sample in &self.pilot {
            self.subject.piloted[coded(self.law.0[usize::from(self.cells[sample as usize])])] += 1;
        }
        self.chosen.clear();
    }

    fn cell(&self, sample: u32) -> usize {
        usize::from(self.cells[sample as usize])
    }

    /// h's answers on the pilot: the cell, and whether h left c.
    fn answer_pilot(&self, rng: &mut StdRng) -> Pilot {
        let each = self.pilot.iter().map(|&sample| {
            let cell = self.cell(sample);
            let lost = rng.random::<f64>() >= self.law.0[cell].keeps;
            (self.coded(cell), lost)
        });
        each.collect()
    }

    fn chosen(&mut self, design: Design) -> &Chosen {
        if !self.chosen.contains_key(&design) {
            let (stream, samples) = design.samples(&self.codes, C);
            let mut chosen = Chosen {
                fresh: 0,
                outside: vec![0; self.law.0.len()],
                inside: Vec::new(),
            };
            for sample in samples {
                match self.pilot.binary_search(&sample) {
                    _ if stream == Stream::Fresh => chosen.fresh += 1,
                    Ok(i) => chosen.inside.push(i),
                    Err(_) => chosen.outside[self.cell(sample)] += 1,
                }
            }
            self.chosen.insert(design, chosen);
        }
        &self.chosen[&design]
    }
}

fn coded(fine: Cell) -> usize {
    recert_smooth::budget::cell(fine.f, fine.bucket, C).expect("a valid answer")
}

/// h's answers outside of the pilot, so far: samples and those not of c.
#[derive(Debug, Clone, Default)]
struct Answered {
    fresh: (u64, u64),
    outside: Vec<(u64, u64)>,
}

impl Answered {
    /// Answers what `input`'s `design` asks for beyond what is answered.
    /// Returns the tallies by cell; those of fresh samples are in the first.
    fn extend(
        &mut self,
        input: &mut Input<'_>,
        design: Design,
        pilot: &Pilot,
        rng: &mut StdRng,
    ) -> ByCell<Tally> {
        let Chosen {
            fresh,
            outside,
            inside,
        } = input.chosen(design).clone();
        let mut draw = |(samples, other): &mut (u64, u64), wanted: u64, keeps: f64| {
            if wanted > *samples {
                *other += Binomial::new(wanted - *samples, (1.0 - keeps).clamp(0.0, 1.0))
                    .expect("a probability")
                    .sample(rng);
                *samples = wanted;
            }
        };
        let mut tallies = [Tally::default(); CELLS];
        let mut tally = |cell: usize, (pairs, other): (u64, u64)| {
            tallies[cell].pairs += pairs;
            tallies[cell].other += other;
        };
        draw(&mut self.fresh, fresh, input.law.truth());
        tally(0, self.fresh);
        self.outside.resize(outside.len(), (0, 0));
        for (cell, wanted) in outside.into_iter().enumerate() {
            draw(&mut self.outside[cell], wanted, input.law.0[cell].keeps);
            tally(input.coded(cell), self.outside[cell]);
        }
        for i in inside {
            let (cell, lost) = pilot[i];
            tally(cell, (1, u64::from(lost)));
        }
        tallies
    }
}

/// The bounds of certificates, as the driver draws them, each drawn once: by
/// whether it holds at any time, and everything else that it is a function of.
struct Bounds {
    levels: Levels,
    known: HashMap<(bool, Design, Vec<u64>), f64>,
}

impl Bounds {
    fn of(&mut self, s: Subject, choice: Choice, tallies: ByCell<Tally>, anytime: bool) -> f64 {
        let tilts = choice.tilts;
        let mut key = vec![
            s.k,
            s.favour,
            choice.rates.loss.to_bits(),
            tilts.codes.to_bits(),
        ];
        key.extend(tallies.iter().flat_map(|tally| [tally.pairs, tally.other]));
        if matches!(choice.design, Design::Cells { .. }) {
            key.extend(s.cells);
            key.extend(tilts.cells.map(f64::to_bits));
            key.push(tilts.step.to_bits());
            key.extend(tilts.multiples.map(u64::from));
        }
        let levels = self.levels;
        *(self.known.entry((anytime, choice.design, key)))
            .or_insert_with(|| conclude(levels, s, choice, tallies, anytime))
    }
}

/// The lower bound of `P(h = c)` that the driver draws.
fn conclude(
    levels: Levels,
    s: Subject,
    choice: Choice,
    tallies: ByCell<Tally>,
    anytime: bool,
) -> f64 {
    let Levels { f, h, whole } = levels;
    let all = Tally {
        pairs: tallies.iter().map(|tally| tally.pairs).sum(),
        other: tallies.iter().map(|tally| tally.other).sum(),
    };
    let own = all.pairs - all.other;
    let prior = s.prior(choice.design, &choice.rates).unwrap();
    let bound = match choice.design {
        Design::Nothing | Design::FreshBoth { .. } | Design::Both { .. } => return 0.0,
        Design::Fresh { .. } if anytime => {
            bound::anytime(own, all.pairs, prior, whole).map(|found| found.p_lower)
        }
        Design::Loss { .. } if anytime => {
            bound::anytime_loss((s.k, s.n), f, all, prior, h).map(|found| found.p_lower)
        }
        Design::Fresh { .. } => bound::direct(own, all.pairs, whole),
        Design::Loss { .. } => bound::coded_loss(s.k, s.n, f, all, h),
        Design::Cells { .. } => {
            let cells: ByCell<bound::Cell> = std::array::from_fn(|cell| bound::Cell {
                samples: s.cells[cell],
                pairs: tallies[cell].pairs,
                own: tallies[cell].pairs - tallies[cell].other,
                tilt: choice.tilts.cells[cell],
            });
            if anytime {
                bound::cells(s.n, choice.tilts.codes, &cells, whole)
            } else {
                let lattice = bound::Lattice {
                    step: choice.tilts.step,
                    multiples: &choice.tilts.multiples,
                };
                bound::tail(s.n, choice.tilts.codes, &cells, Some(lattice), whole)
                    .map(|found| found.p_lower)
            }
        }
    };
    bound.unwrap().get()
}

/// The numbers of pilot samples that inputs get as a part of ten times as many, which have
/// pilots where few have none.
pub(crate) fn pilots_among_many(goal: Goal, votes: &[(u64, u64)]) -> Vec<u64> {
    let goal = match goal {
        Goal::Budget(total) => Goal::Budget(10 * total),
        goal => goal,
    };
    let mut pilots = goal.pilots(&votes.repeat(10));
    pilots.truncate(votes.len());
    pilots
}

/// What is planned for the inputs, by the rates it is planned with.
struct Planned<'a> {
    scene: &'a Scene,
    study: Study,
    known: HashMap<Vec<u64>, Vec<Choice>>,
}

impl<'a> Planned<'a> {
    /// Sets the inputs' pilots too.
    fn new(scene: &'a Scene, inputs: &mut [Input<'_>], levels: Levels) -> Self {
        let goal = match scene.rule {
            Rule::Plan(goal) => goal,
            Rule::Fixed(..) => Goal::Each(0),
            Rule::ByOwnPilot(_) => Goal::MeanRadius(0.0),
            Rule::Until(radius) => Goal::MeanRadius(radius),
        };
        let votes = inputs.iter().map(|i| (i.subject.favour, i.subject.votes));
        let pilots = pilots_among_many(goal, &votes.collect::<Vec<_>>());
        for (input, pilot) in inputs.iter_mut().zip(pilots) {
            input.set_pilot(pilot);
        }
        let study = Study {
            subjects: inputs.iter().map(|input| input.subject).collect(),
            margins: true,
            both_sides: false,
            levels,
            goal,
        };
        Self {
            scene,
            study,
            known: HashMap::new(),
        }
    }

    fn choices(&mut self, pilots: &[Pilot]) -> &[Choice] {
        let rates = self.scene.rates.unwrap_or_else(|| self.study.rates(pilots));
        let each = rates
            .iter()
            .flat_map(|r| r.more.into_iter().chain([r.loss]));
        let key = each.map(f64::to_bits).collect();
        let (study, rule) = (&self.study, self.scene.rule);
        let fixed = |design, tilts| {
            let choice = Choice {
                design,
                rates: rates[0],
                tilts,
            };
            vec![choice; study.subjects.len()]
        };
        self.known.entry(key).or_insert_with(|| match rule {
            Rule::Plan(_) => study.choose(rates).unwrap(),
            Rule::Until(radius) => study.choose_until(rates, radius).unwrap(),
            Rule::Fixed(design, tilts) => fixed(design, tilts),
            Rule::ByOwnPilot([design, _]) => fixed(design, Tilts::default()),
        })
    }
}

/// How often h answers the other samples anew after one pilot and plan, which take
/// most of the time.
pub(crate) const AGAIN: u64 = 10;

/// How much of what is planned has been evaluated after each round.
const ROUNDS: [f64; 8] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0];

impl Scene {
    /// The shares of alpha.
    pub(crate) fn levels(&self) -> Levels {
        Levels::new(Alpha::new(self.alpha).unwrap(), self.among).unwrap()
    }

    /// Whether designs depend on pilots, or contain their samples.
    pub(crate) fn is_planned(&self) -> bool {
        !matches!(self.rule, Rule::Fixed(..))
    }

    /// Whether a design may be one of cells.
    pub(crate) fn may_be_cells(&self) -> bool {
        match self.rule {
            Rule::Fixed(design, _) => matches!(design, Design::Cells { .. }),
            Rule::ByOwnPilot(_) => false,
            Rule::Plan(_) | Rule::Until(_) => true,
        }
    }

    /// Simulates `blocks` times one set of codes and on each of these `repeats`
    /// times h's answers; one score an input.
    pub(crate) fn run(&self, seed: u64, blocks: u64, repeats: u64) -> Vec<Score> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut scores = vec![Score::default(); self.laws.len()];
        let mut bounds = Bounds {
            levels: self.levels(),
            known: HashMap::new(),
        };
        for _ in 0..blocks {
            let draw = |law| Input::draw(law, (self.n0, self.n), &mut rng);
            let mut inputs: Vec<Input<'_>> = self.laws.iter().map(draw).collect();
            let mut planned = Planned::new(self, &mut inputs, bounds.levels);
            for _ in 0..repeats.div_ceil(AGAIN) {
                let candidates: Vec<(Vec<Pilot>, Vec<Choice>)> = (0..self.among)
                    .map(|_| {
                        let pilots: Vec<Pilot> = inputs
                            .iter()
                            .map(|input| input.answer_pilot(&mut rng))
                            .collect();
                        let choices = planned.choices(&pilots).to_vec();
                        (pilots, choices)
                    })
                    .collect();
                for _ in 0..AGAIN.min(repeats) {
                    // The best certificate of any candidate.
                    let mut best = vec![((0.0, false), Design::Nothing); inputs.len()];
                    for (pilots, choices) in &candidates {
                        for (i, input) in inputs.iter_mut().enumerate() {
                            let found =
                                self.certify(input, choices[i], &pilots[i], &mut bounds, &mut rng);
                            if found.0 >= best[i].0.0 {
                                best[i] = (found, choices[i].design);
                            }
                        }
                    }
                    for (score, (found, design)) in scores.iter_mut().zip(best) {
                        score.count(found, design);
                    }
                }
            }
        }
        scores
    }

    /// The bound of one input's certificate, and whether it is wrong.
    fn certify(
        &self,
        input: &mut Input<'_>,
        choice: Choice,
        pilot: &Pilot,
        bounds: &mut Bounds,
        rng: &mut StdRng,
    ) -> (f64, bool) {
        let truth = input.law.truth();
        let mut answered = Answered::default();
        let mut choice = choice;
        if let Rule::ByOwnPilot([_, second]) = self.rule
            && pilot.iter().filter(|(_, lost)| *lost).count() > 1
        {
            choice.design = second;
        }
        let Rule::Until(radius) = self.rule else {
            let tallies = answered.extend(input, choice.design, pilot, rng);
            let p = bounds.of(input.subject, choice, tallies, false);
            return (p, p > truth);
        };
        // The worst of all rounds up to the one that it stops at: no rule of
        // stopping earlier can be wrong more often.
        let needed = normal_cdf_lower(radius).unwrap().get();
        let mut worst = 0.0_f64;
        for round in ROUNDS {
            let now = Choice {
                design: choice.design.scaled(round),
                ..choice
            };
            let tallies = answered.extend(input, now.design, pilot, rng);
            let p = bounds.of(input.subject, now, tallies, true);
            worst = worst.max(p);
            if p >= needed || choice.design == Design::Nothing {
                break;
            }
        }
        (worst, worst > truth)
    }

    /// The design that the first input gets most often, and its codes then.
    fn usual(&self) -> (Choice, Subject) {
        let mut rng = StdRng::seed_from_u64(1);
        let levels = self.levels();
        let mut seen: Vec<(Choice, u64, Subject)> = Vec::new();
        for _ in 0..3 {
            let draw = |law| Input::draw(law, (self.n0, self.n), &mut rng);
            let mut inputs: Vec<Input<'_>> = self.laws.iter().map(draw).collect();
            let mut planned = Planned::new(self, &mut inputs, levels);
            for _ in 0..2 {
                let pilots: Vec<Pilot> = inputs
                    .iter()
                    .map(|input| input.answer_pilot(&mut rng))
                    .collect();
                let choice = planned.choices(&pilots)[0];
                match seen
                    .iter_mut()
                    .find(|known| known.0.design == choice.design)
                {
                    Some(known) => known.1 += 1,
                    None => seen.push((choice, 1, inputs[0].subject)),
                }
            }
        }
        let most = seen.into_iter().max_by_key(|known| known.1);
        let (choice, _, subject) = most.expect("a design");
        (choice, subject)
    }

    /// The design that the first input gets most often.
    pub(crate) fn usual_design(&self) -> Design {
        self.usual().0.design
    }

    /// Makes the first input hard: where `loses` says how h's losses share out
    /// over its cells, they are scaled so that the truth is just below the bound
    /// that its usual design gives with `others` answers not of c.
    #[must_use]
    pub(crate) fn hardened(mut self, loses: impl Fn(Cell) -> f64, others: u64) -> Self {
        let shape = self.laws[0].clone();
        let scaled = |factor: f64| {
            let cells = shape.0.iter().map(|&cell| Cell {
                keeps: cell.keeps * (1.0 - (factor * loses(cell)).clamp(0.0, 1.0)),
                ..cell
            });
            Law(cells.collect())
        };
        // The design may change with the losses, as pilots do: twice round.
        for _ in 0..2 {
            let (choice, subject) = self.usual();
            let mut tallies = [Tally::default(); CELLS];
            match choice.design {
                // h loses where the shape says, beside what it does not win anyway.
                Design::Cells { pairs } => {
                    let mut left = others;
                    for (cell, tally) in tallies.iter_mut().enumerate() {
                        let pairs = pairs[cell].min(subject.cells[cell]);
                        let here = || shape.0.iter().filter(|fine| coded(**fine) == cell);
                        let keeps = here().map(|fine| fine.keeps).next().unwrap_or(0.0);
                        let lost = if here().any(|fine| loses(*fine) > 0.0) {
                            left.min(pairs)
                        } else {
                            0
                        };
                        left -= lost;
                        let other = ((1.0 - keeps) * pairs as f64) as u64 + lost;
                        *tally = Tally {
                            pairs,
                            other: other.min(pairs),
                        };
                    }
                }
                design => {
                    tallies[0] = Tally {
                        pairs: design.cost(),
                        other: others.min(design.cost()),
                    };
                }
            }
            let anytime = matches!(self.rule, Rule::Until(_));
            let bound = conclude(self.levels(), subject, choice, tallies, anytime);
            let (mut low, mut high) = (0.0_f64, 1.0_f64);
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                if scaled(middle).truth() >= bound * (1.0 - 1e-9) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            self.laws[0] = scaled(high);
        }
        self
    }
}
