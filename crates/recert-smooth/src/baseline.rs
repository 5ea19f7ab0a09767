//! What recertifying is compared with: certifying h from scratch, by the strongest designs that
//! somebody who has f's ledger can choose.
//!
//! That ledger has f's class, so h needs no selection samples; and it has f's counts, from
//! which the sides of each input's certificate, and the number of its samples, can be chosen
//! before h is evaluated. [`Baseline`] names the designs. [`FromScratch`] computes what each
//! costs and is expected to give, for a network that answers as often with each class as f did.
//! Plans, reports and benchmarks all compare with these.

mod expected;

use std::collections::HashMap;

use recert_ledger::{INVALID, Ledger};
use recert_noise::Stream;
use recert_num::Alpha;

use crate::bound::{self, Shares};
use crate::budget::{self, Curve, Design, Point};
use crate::certify::count;
use crate::recertify::first_answered;
use crate::run::{level, series};
use crate::{Error, Sides};
use expected::{Outcomes, outcomes};

/// The selection samples to charge for where no network has chosen the class yet: about as few
/// as still select it. They serve nothing else, and each is an evaluation less for the bound.
pub const SELECTION: u64 = 10;

/// A way to certify h from scratch, decided before h is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Baseline {
    /// As many samples of every input, all of them for the bound of f's class. The sides of an
    /// input's certificate are those that f's counts promise more of.
    FromScratch,
    /// The same, with the samples planned over the inputs by f's counts, as `auto` plans its
    /// own.
    Planned,
    /// What Ugare et al. (IRS, ICLR 2024) compare with: 100 selection samples and as many
    /// estimation samples of every input, one-sided.
    Paper,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FromScratch, Self::Planned, Self::Paper];

    /// The selection samples of each input.
    ///
    /// ```
    /// use recert_smooth::baseline::Baseline;
    ///
    /// assert_eq!(Baseline::FromScratch.selection(), 0);
    /// assert_eq!(Baseline::Paper.selection(), 100);
    /// ```
    #[must_use]
    pub fn selection(self) -> u64 {
        match self {
            Self::Paper => 100,
            Self::FromScratch | Self::Planned => 0,
        }
    }
}

/// f's counts of an input, as far as certifying h from scratch depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// f's estimation samples, at least 1.
    pub n: u64,
    /// Those that f answered with the class.
    pub k: u64,
    /// The largest number of them with another answer (an invalid one counts as an answer).
    pub runner_up: u64,
    /// Selection samples for the class.
    pub votes: u64,
    /// The largest number of selection samples for another class.
    pub against: u64,
}

impl Known {
    /// Reads the counts of the input at position `idx`. Where f stopped
    /// ([`stopped_inputs`](crate::stopped_inputs)), they are what the samples that it has (the
    /// selection samples where it has no others) suggest of all.
    ///
    /// # Errors
    /// If the input is not certified in the ledger, or the ledger cannot be read.
    pub fn read(ledger: &Ledger, idx: u32) -> Result<Self, Error> {
        let selection = ledger.selection(ledger.base(), idx)?.ok_or_else(|| {
            Error::parameter(format!("input {idx} is not certified in the ledger"))
        })?;
        let f = series(ledger.base(), idx, Stream::Certify);
        let n = ledger.header().n;
        let held = first_answered(ledger, f)?.min(n);
        let (held, answers) = if held == 0 {
            let mut answers = selection.counts.clone();
            answers.insert(INVALID, selection.invalid);
            (selection.samples, answers)
        } else {
            (held, ledger.answer_counts(f, held)?.0)
        };
        let class = selection.class;
        let largest = |counts| bound::runner_up(counts, class).map_or(0, |(_, count)| count);
        let (mut k, mut runner_up) = (count(&answers, class), largest(&answers));
        if held < n {
            let of_all = |count: f64| (count / (held as f64 + 1.0) * n as f64) as u64;
            k = of_all(k as f64 + 0.5);
            runner_up = of_all(runner_up as f64).min(n - k);
        }
        Ok(Self {
            n,
            k,
            runner_up,
            votes: count(&selection.counts, class),
            against: largest(&selection.counts),
        })
    }

    /// The probability of another answer than the class.
    fn other(&self) -> f64 {
        ((self.n - self.k) as f64 + 0.5) / (self.n as f64 + 1.0)
    }

    /// The runner-up's part of the answers other than the class.
    fn part(&self) -> f64 {
        match self.n - self.k {
            0 => 1.0,
            others => self.runner_up as f64 / others as f64,
        }
    }
}

/// Certifying inputs from scratch: costs, and the radii to expect.
///
/// ```
/// use recert_num::Alpha;
/// use recert_smooth::Sides;
/// use recert_smooth::baseline::{Baseline, FromScratch, Known};
///
/// // f answered all samples of one input with the class, and 60 % of those of the other.
/// let sure = Known { n: 1000, k: 1000, runner_up: 0, votes: 100, against: 0 };
/// let unsure = Known { k: 600, runner_up: 100, votes: 60, against: 10, ..sure };
/// let mut scratch = FromScratch::new(vec![sure, unsure], Alpha::new(0.001)?, Sides::Two)?;
///
/// // A plan spends where it gains more.
/// assert_eq!(scratch.samples(Baseline::FromScratch, 100)?, [50, 50]);
/// let planned = scratch.samples(Baseline::Planned, 100)?;
/// assert!(planned[0] > planned[1]);
/// // Selection samples are paid for.
/// assert_eq!(scratch.samples(Baseline::Paper, 300)?, [50, 50]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FromScratch {
    inputs: Vec<Known>,
    alpha: Alpha,
    sides: Sides,
    /// Radii by what they depend on.
    radii: HashMap<Counted, f64>,
    /// For each input, the points that plans choose from; made when the first plan is.
    curves: Vec<Curve>,
}

/// What a radius, in units of sigma, depends on beside alpha: the samples, those with another
/// answer than the class, and for a two-sided one those of the runner-up, and the shares.
type Counted = (u64, u64, Option<(u64, [u64; 2])>);

/// How many times f's samples are looked at for what h would take from scratch.
pub const MOST: u64 = 4;

impl FromScratch {
    /// Certifying these inputs with failure probability `alpha` each. With [`Sides::One`] no
    /// certificate is two-sided, for comparison with recertifications that are not either.
    ///
    /// # Errors
    /// If f has no sample of an input, or has counts above their number; if a share of alpha
    /// underflows.
    pub fn new(inputs: Vec<Known>, alpha: Alpha, sides: Sides) -> Result<Self, Error> {
        for known in &inputs {
            let fits = known.k.checked_add(known.runner_up);
            if known.n == 0 || fits.is_none_or(|sum| sum > known.n) {
                return Err(Error::parameter(format!(
                    "{} samples of the class and {} of another are not counts of {}",
                    known.k, known.runner_up, known.n
                )));
            }
            Shares::from_votes(known.votes, known.against, alpha)?;
        }
        Ok(Self {
            inputs,
            alpha,
            sides,
            radii: HashMap::new(),
            curves: Vec::new(),
        })
    }

    /// The inputs at positions `inputs` of a ledger, with failure probability `alpha` each, from
    /// which the charge for the ledger's noise is taken.
    ///
    /// # Errors
    /// As for [`Known::read`] and [`FromScratch::new`].
    pub fn read(ledger: &Ledger, inputs: &[u32], alpha: Alpha) -> Result<Self, Error> {
        let header = ledger.header();
        let known: Result<_, Error> = inputs.iter().map(|&idx| Known::read(ledger, idx)).collect();
        Self::new(known?, level(header, alpha, header.n)?, Sides::Two)
    }

    /// How many estimation samples each input gets if `evaluations` are spent on all of them,
    /// selection samples included; what does not divide is not spent.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn samples(&mut self, baseline: Baseline, evaluations: u64) -> Result<Vec<u64>, Error> {
        let inputs = self.inputs.len();
        if baseline != Baseline::Planned {
            let each = evaluations / inputs.max(1) as u64;
            return Ok(vec![each.saturating_sub(baseline.selection()); inputs]);
        }
        self.make_curves()?;
        let plan = budget::allocate(&self.curves, evaluations);
        Ok(plan.designs.into_iter().map(Design::cost).collect())
    }

    /// The mean radius over all inputs, in units of sigma, that `evaluations` are expected to
    /// give. Every certificate counts, whether or not its class is the label.
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn expected(&mut self, baseline: Baseline, evaluations: u64) -> Result<f64, Error> {
        let all = vec![true; self.inputs.len()];
        let samples = self.samples(baseline, evaluations)?;
        self.mean(baseline, &samples, &all)
    }

    /// Evaluations over all inputs, ascending, with the mean radius, in units of sigma, that
    /// they are expected to give, from nothing up to [`MOST`] times f's samples. The radius of
    /// an input counts where `counted` holds, such as where its class is the label.
    ///
    /// ```
    /// # use recert_num::Alpha;
    /// # use recert_smooth::Sides;
    /// # use recert_smooth::baseline::{Baseline, FromScratch, Known};
    /// let sure = Known { n: 1000, k: 1000, runner_up: 0, votes: 100, against: 0 };
    /// let mut scratch = FromScratch::new(vec![sure; 2], Alpha::new(0.001)?, Sides::Two)?;
    /// let curve = scratch.curve(Baseline::Paper, &[true, false])?;
    /// let (evaluations, radius) = *curve.last().unwrap();
    /// assert_eq!(evaluations, 2 * (4_000 + 100));
    /// assert!(radius > 1.3 && radius < 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Of a Clopper-Pearson bound.
    pub fn curve(
        &mut self,
        baseline: Baseline,
        counted: &[bool],
    ) -> Result<Vec<(u64, f64)>, Error> {
        let inputs = self.inputs.len() as u64;
        let mut points = Vec::new();
        for each in numbers(self.most()) {
            let offered = inputs * (each + baseline.selection());
            let samples = self.samples(baseline, offered)?;
            let spent = samples.iter().sum::<u64>() + inputs * baseline.selection();
            points.push((spent, self.mean(baseline, &samples, counted)?));
        }
        Ok(points)
    }

    /// The most samples of an input that are looked at.
    fn most(&self) -> u64 {
        let n = self.inputs.iter().map(|known| known.n).max().unwrap_or(0);
        n.saturating_mul(MOST)
    }

    fn mean(
        &mut self,
        baseline: Baseline,
        samples: &[u64],
        counted: &[bool],
    ) -> Result<f64, Error> {
        let mut sum = 0.0;
        for (input, (&m, &counts)) in samples.iter().zip(counted).enumerate() {
            if counts && m > 0 {
                sum += self.radius(baseline, input, m)?;
            }
        }
        Ok(sum / self.inputs.len().max(1) as f64)
    }

    /// The radius of an input to expect from `m` samples.
    fn radius(&mut self, baseline: Baseline, input: usize, m: u64) -> Result<f64, Error> {
        let known = self.inputs[input];
        let outcomes = outcomes(m, known.other());
        let one_sided = self.over(&outcomes, |other| (m, other, None))?;
        if baseline == Baseline::Paper || self.sides == Sides::One {
            return Ok(one_sided);
        }
        let shares = Shares::from_votes(known.votes, known.against, self.alpha)?;
        let shares = [shares.class, shares.ratio].map(|share| share.get().to_bits());
        let two_sided = self.over(&outcomes, |other| {
            let runner_up = (other as f64 * known.part()).round() as u64;
            (m, other, Some((runner_up, shares)))
        })?;
        Ok(one_sided.max(two_sided))
    }

    /// The mean radius over the outcomes.
    fn over(
        &mut self,
        outcomes: &Outcomes,
        counted: impl Fn(u64) -> Counted,
    ) -> Result<f64, Error> {
        let mut sum = 0.0;
        for &(other, weight) in outcomes {
            let key = counted(other);
            let known = self.radii.get(&key).copied();
            let radius = known.map_or_else(|| expected::radius(key, self.alpha), Ok)?;
            self.radii.insert(key, radius);
            sum += weight * radius;
        }
        Ok(sum)
    }

    fn make_curves(&mut self) -> Result<(), Error> {
        if self.curves.len() == self.inputs.len() {
            return Ok(());
        }
        let mut curves = Vec::new();
        for input in 0..self.inputs.len() {
            let mut points = Vec::new();
            for cost in numbers(self.inputs[input].n.saturating_mul(MOST)) {
                points.push(Point {
                    cost,
                    radius: self.radius(Baseline::Planned, input, cost)?,
                    design: Design::Fresh { samples: cost },
                    tilt: 0.0,
                });
            }
            curves.push(Curve::new(points));
        }
        self.curves = curves;
        Ok(())
    }
}

/// The numbers of samples looked at, up to `largest`: 1, 2, 3, 4, then each about a sixth
/// larger than the one before.
fn numbers(largest: u64) -> impl Iterator<Item = u64> {
    let steps = (0..).map(|i| (5.0 * 1.18_f64.powi(i)).round() as u64);
    (1..5)
        .chain(steps)
        .take_while(move |&number| number < largest)
        .chain((largest > 0).then_some(largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use recert_num::normal_quantile_lower;

    fn sure(n: u64) -> Known {
        Known {
            n,
            k: n,
            runner_up: 0,
            votes: 100,
            against: 0,
        }
    }

    fn scratch(inputs: Vec<Known>, alpha: f64, sides: Sides) -> FromScratch {
        FromScratch::new(inputs, Alpha::new(alpha).unwrap(), sides).unwrap()
    }

    #[test]
    fn a_known_ledger_by_hand() {
        // f answered all of 1,000 samples with the class: another answer is expected with
        // probability 0.5/1001. Ten of ten samples certify the tenth root of alpha, nine of ten
        // nothing. The second bound of a two-sided certificate gets a sixteenth of alpha, and
        // the tenth root of that is below one half: it brings nothing.
        let all_ten = (1.0 - 0.5 / 1001.0_f64).powi(10);
        let by_hand = all_ten * normal_quantile_lower(0.002_f64.powf(0.1)).unwrap();
        let mut ledger = scratch(vec![sure(1000); 3], 0.002, Sides::Two);
        for (baseline, evaluations) in [
            (Baseline::FromScratch, 30),
            (Baseline::FromScratch, 32),
            (Baseline::Paper, 330),
        ] {
            let found = ledger.expected(baseline, evaluations).unwrap();
            assert!(
                (found - by_hand).abs() < 1e-7,
                "{baseline:?}: {found} {by_hand}"
            );
        }
        // 300 evaluations are the paper's selection samples, and no more.
        assert_eq!(ledger.expected(Baseline::Paper, 300).unwrap(), 0.0);

        // Three of four: another answer is expected with probability 1.5/5, and two of two
        // samples certify the square root of alpha.
        let contested = Known {
            k: 3,
            runner_up: 1,
            ..sure(4)
        };
        let mut ledger = scratch(vec![contested], 0.2, Sides::One);
        let found = ledger.expected(Baseline::FromScratch, 2).unwrap();
        assert_eq!(found, 0.0, "the square root of 0.2 is below one half");
        let mut ledger = scratch(vec![contested], 0.3, Sides::One);
        let by_hand = 0.7 * 0.7 * normal_quantile_lower(0.3_f64.sqrt()).unwrap();
        let found = ledger.expected(Baseline::FromScratch, 2).unwrap();
        assert!((found - by_hand).abs() < 1e-7, "{found} {by_hand}");
    }

    #[test]
    fn both_sides_count_where_they_promise_more() {
        // 40 % for the class and no other above 10 %.
        let known = Known {
            n: 10_000,
            k: 4_000,
            runner_up: 1_000,
            votes: 40,
            against: 10,
        };
        let radius = |sides| {
            let mut ledger = scratch(vec![known], 0.002, sides);
            ledger.expected(Baseline::FromScratch, 1_000).unwrap()
        };
        assert_eq!(radius(Sides::One), 0.0);
        assert!(radius(Sides::Two) > 0.25);
    }

    #[test]
    fn plans_keep_their_budget_and_are_worth_more() {
        let inputs = (0..12).map(|i| Known {
            n: 1_000,
            k: 1_000 - 70 * i,
            runner_up: 30 * i,
            votes: 100 - 7 * i,
            against: 3 * i,
        });
        let mut ledger = scratch(inputs.collect(), 0.002, Sides::Two);
        for budget in [0, 11, 100, 1_000, 10_000] {
            let planned = ledger.samples(Baseline::Planned, budget).unwrap();
            assert!(planned.iter().sum::<u64>() <= budget, "{planned:?}");
            let expected =
                |ledger: &mut FromScratch, baseline| ledger.expected(baseline, budget).unwrap();
            let [uniform, planned] = [Baseline::FromScratch, Baseline::Planned]
                .map(|baseline| expected(&mut ledger, baseline));
            assert!(planned >= uniform, "{budget}: {planned} {uniform}");
        }
        for baseline in Baseline::ALL {
            let curve = ledger.curve(baseline, &[true; 12]).unwrap();
            assert!(curve.is_sorted(), "{baseline:?}: {curve:?}");
            assert!(curve[0].1 < 1e-3, "{baseline:?}: {curve:?}");
        }
    }

    #[test]
    fn impossible_counts_are_refused() {
        let alpha = Alpha::new(0.001).unwrap();
        for known in [
            Known { n: 0, ..sure(0) },
            Known { k: 11, ..sure(10) },
            Known {
                runner_up: 1,
                ..sure(10)
            },
        ] {
            assert!(FromScratch::new(vec![known], alpha, Sides::Two).is_err());
        }
        let mut none = FromScratch::new(Vec::new(), alpha, Sides::Two).unwrap();
        assert_eq!(none.expected(Baseline::Planned, 9).unwrap(), 0.0);
    }
}
