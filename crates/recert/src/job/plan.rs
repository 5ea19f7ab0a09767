//! What may be expected of a recertification, before anything is run.

mod shown;

use recert_ledger::Ledger;
use recert_num::Alpha;
use recert_report::speed_up::{ByBaseline, Point, Ratio};
use recert_smooth::ROUNDS;
use recert_smooth::baseline::FromScratch;
use recert_smooth::budget::Goal as AutoGoal;

use super::collect::UNTIL_PILOT;
use super::data::Data;
use super::network::Network;
use super::recertify::{Goal, Method, Recertification};
use crate::reporting::{baselines, by_baseline};
use crate::{Error, Field, Result};

/// Shares of n that are looked at where no budget is given.
const SHARES: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// What may be expected of recertifying one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The network's file.
    pub network: String,
    /// Samples that it has answered already, which the forecast rests on; with
    /// none, on the rates of an int8 version.
    pub answered: Option<u64>,
    /// The number of inputs.
    pub inputs: u64,
    /// Estimation samples per input that the original was certified from.
    pub n: u64,
    /// The budgets looked at, ascending.
    pub budgets: Vec<Expected>,
    /// What stopping each input at a radius is planned to take, where that was asked for.
    pub until: Option<ExpectedUntil>,
}

/// What stopping each input at a radius is planned to take.
///
/// The plan is an expectation. An input is evaluated in rounds, up to
/// [`ROUNDS`](recert_smooth::ROUNDS) times its plan, and ends when its answers decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedUntil {
    /// The radius, in units of pixels in [0, 1].
    pub radius: f64,
    /// Evaluations planned over all inputs.
    pub evaluations: u64,
    /// The inputs that are expected to reach the radius; the others get a pilot at most.
    pub promising: u64,
    /// How many times its plan an input that is evaluated takes at least, before its answers
    /// can certify it, and at most.
    pub range: [f64; 2],
}

/// What a number of evaluations is expected to give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Evaluations over all inputs.
    pub evaluations: u64,
    /// Average certified radius by `auto`, whatever the labels, in units of pixels in
    /// [0, 1].
    pub auto: f64,
    /// The same of as many evaluations from scratch, by each baseline.
    pub from_scratch: ByBaseline<f64>,
    /// Evaluations from scratch that are expected to give as much as `auto`, over those of
    /// `auto`: a bound of that where more than [`Forecast::MOST`] times n would be needed, and
    /// nothing where `auto` promises no radius.
    pub speed_up: ByBaseline<Option<Ratio>>,
}

impl Forecast {
    /// How many times n is looked at for what certifying from scratch would take.
    pub const MOST: u64 = recert_smooth::baseline::MOST;
}

impl Expected {
    /// Whether certifying from scratch promises at least as much, with f's class and as many
    /// samples of every input.
    pub fn better_from_scratch(&self) -> bool {
        self.from_scratch.from_scratch >= self.auto
    }
}

impl Recertification {
    /// What may be expected of each of `networks`; nothing is run or written.
    ///
    /// # Errors
    /// If data or networks do not fit the ledger, and if [`Method::Auto`] is none of the
    /// methods.
    ///
    /// ```
    /// use recert::job::{Recertification, RecertifyConfig};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let ledger = certified(folder.path())?;
    /// // From a ledger with the certificates of two inputs:
    /// let recertification = Recertification::open(&ledger, &RecertifyConfig::default(), 1)?;
    /// let forecasts = recertification.forecasts(&dots()?, &[brighter_than(1.01)?])?;
    /// for expected in &forecasts[0].budgets {
    ///     println!("{}: {}", expected.evaluations, expected.auto);
    /// }
    /// assert!(forecasts[0].budgets.iter().any(|expected| !expected.better_from_scratch()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn forecasts(&self, data: &Data, networks: &[Network]) -> Result<Vec<Forecast>> {
        if !self.config.methods.contains(&Method::Auto) {
            let message = "only the method auto has a forecast: add it";
            return Err(Error::parameter(Field::Method, message));
        }
        self.check(data, &networks.iter().collect::<Vec<_>>())?;
        let ledger = Ledger::open_read_only(&self.ledger)?;
        let forecasts = networks.iter();
        let forecasts = forecasts.map(|network| self.forecast(&ledger, network));
        forecasts.collect()
    }

    fn forecast(&self, ledger: &Ledger, network: &Network) -> Result<Forecast> {
        let header = &self.header;
        let known = ledger.networks()?.into_iter();
        let known = known.into_iter().find(|(_, n)| n == network.identity());
        let auto = |goal| self.asked.auto(goal);
        let seen = match known {
            Some((id, _)) => auto(AutoGoal::Budget(0)).observed(ledger, id, &self.inputs)?,
            None => None,
        };
        let answered = seen.as_ref().map(|(_, pairs)| *pairs);
        let rates = seen.map_or_else(Default::default, |(rates, _)| rates);
        let inputs = self.inputs.len() as u64;
        let none = self.config.goal == Goal::Budget(Vec::new()) && self.config.n_p.is_empty();
        let goals = if none {
            let each = |share: f64| ((share * header.n as f64) as u64).max(1);
            let goals = SHARES.iter();
            let mut goals: Vec<_> = goals
                .map(|&share| AutoGoal::Budget(each(share) * inputs))
                .collect();
            goals.dedup();
            goals
        } else {
            self.asked.goals.clone()
        };
        let alpha = Alpha::new(self.asked.alpha.get() / f64::from(self.asked.among))?;
        let mut scratch = FromScratch::read(ledger, &self.inputs, alpha)?;
        let curves = baselines(&mut scratch, &vec![true; self.inputs.len()], header.sigma)?;
        let until = match self.asked.until {
            Some(radius) => {
                let study = auto(AutoGoal::Each(UNTIL_PILOT)).study(ledger, &self.inputs)?;
                let planned = study.forecast_until(&rates, radius.get() / header.sigma)?;
                Some(ExpectedUntil {
                    radius: radius.get(),
                    evaluations: planned.evaluations,
                    promising: planned.promising,
                    range: [ROUNDS[0], ROUNDS[ROUNDS.len() - 1]],
                })
            }
            None => None,
        };
        let mut budgets = Vec::new();
        for goal in goals {
            let study = auto(goal).study(ledger, &self.inputs)?;
            let forecast = study.forecast(&rates)?;
            // From scratch is compared at what was given, not at what was used.
            let evaluations = match goal {
                AutoGoal::Budget(total) => total,
                _ => forecast.evaluations,
            };
            let auto = forecast.radius * header.sigma;
            budgets.push(Expected {
                evaluations,
                auto,
                from_scratch: by_baseline(|baseline| {
                    Ok(scratch.expected(baseline, evaluations)? * header.sigma)
                })?,
                speed_up: curves.ratios(Point {
                    cost: evaluations as f64,
                    quality: auto,
                }),
            });
        }
        Ok(Forecast {
            network: network.identity().file.clone(),
            answered,
            inputs,
            n: header.n,
            budgets,
            until,
        })
    }
}
