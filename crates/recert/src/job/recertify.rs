//! Recertifying modified networks from the ledger of the original.
//!
//! A fifth of it is documentation: the configuration has a field for everything that a person may ask for,
//! and is checked where it is defined.

use std::path::{Path, PathBuf};

use recert_ledger::{self as ledger_format, Header, Ledger, NetworkId, Task};
use recert_num::{MAX_ALPHA, Sigma};
use recert_smooth::bound::{Loss, Paired, Zeta};
use recert_smooth::budget::{Goal as AutoGoal, Levels};
use recert_smooth::{Irs, Method as Rule, Sides, finished_inputs, stopped_inputs};

use super::candidates;
use super::collect::{Asked, Work};
use super::compared::Compared;
use super::config::{self, Amount, RunConfig};
use super::data::{Data, DataOptions};
use super::held::Sampled;
use super::merge::copy_for_shard;
use super::network::{Network, NetworkConfig};
use super::remark::Remark;
use super::scratch::out_of_reach;
use super::session::{Job, Session};
use crate::{Error, ErrorKind, Field, Result, statements};

/// The most candidates, which `recert-check` knows too: each has its share of
/// alpha.
const MOST_CANDIDATES: u32 = 100_000;

/// The threshold of [`Method::Irs`] where none is given, that of the paper's CIFAR-10 runs.
const GAMMA: f64 = 0.99;

/// A way to recertify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Samples chosen by the original's codes, spent where they gain most.
    Auto,
    /// Incremental randomized smoothing certification, sound over both branches.
    Irs,
    /// The original's bound plus what is gained less what is lost, on the first samples.
    Paired,
    /// The original's bound less what is lost, on the first samples.
    Loss,
    /// The original's bound less the disagreement, on the first samples.
    Zeta,
    /// From scratch on the first samples, to stand beside the others.
    Direct,
}

/// What [`Method::Auto`] is to reach.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// The most for these evaluations over all inputs, one after the other: counts,
    /// or percentages of n on average. If there are none, the samples of the
    /// other methods are spent.
    Budget(Vec<Amount>),
    /// This average certified radius, in units of pixels in [0, 1], for as few
    /// evaluations as may be expected.
    AverageRadius(f64),
    /// This radius for every input, in units of pixels in [0, 1]; an input stops
    /// when it has it.
    Radius(f64),
}

/// How to recertify modified networks.
#[derive(Debug, Clone, PartialEq)]
pub struct RecertifyConfig {
    /// The methods, in any order.
    pub methods: Vec<Method>,
    /// What [`Method::Auto`] is to reach.
    pub goal: Goal,
    /// Samples of a modified network per input for the other methods, counts or
    /// percentages of n; 10 % if there are none.
    pub n_p: Vec<Amount>,
    /// How many candidates the network may be chosen among by its results; by
    /// default as many as there are networks. All of them have to be named to the ledger
    /// before any of them runs, as those of one job are.
    pub among: Option<u32>,
    /// For [`Method::Irs`]: from this lower bound of the original's probability
    /// on, the modified network's own counts come first; 0.99 by default.
    pub gamma: Option<f64>,
    /// Whether to bound the runner-up's probability too.
    pub sides: Sides,
    /// Failure probability of each new certificate; by default twice the
    /// ledger's, 0.5 at most.
    pub alpha: Option<f64>,
    /// Take at most this many of the ledger's inputs.
    pub limit: Option<usize>,
    /// How to go about it.
    pub run: RunConfig,
}

impl Default for RecertifyConfig {
    /// By [`Method::Auto`], with 10 % of n.
    fn default() -> Self {
        Self {
            methods: vec![Method::Auto],
            goal: Goal::Budget(Vec::new()),
            n_p: Vec::new(),
            among: None,
            gamma: None,
            sides: Sides::Two,
            alpha: None,
            limit: None,
            run: RunConfig::default(),
        }
    }
}

impl RecertifyConfig {
    /// Fails where a parameter is out of range, or is of a method that is not asked for.
    fn check_used(&self) -> Result<()> {
        let refuse = |field, message: &str| Err(Error::parameter(field, message));
        let asks_for = |methods: &[Method]| self.methods.iter().any(|m| methods.contains(m));
        match self.gamma {
            Some(gamma) if !(0.0..=1.0).contains(&gamma) => {
                let message = format!("gamma must be from 0 to 1, but is {gamma}");
                return refuse(Field::Gamma, &message);
            }
            Some(_) if !asks_for(&[Method::Irs]) => {
                return refuse(
                    Field::Gamma,
                    "only the method irs has a gamma: leave it out",
                );
            }
            _ => {}
        }
        if self.sides == Sides::One && !asks_for(&[Method::Auto, Method::Direct]) {
            let message = "only auto and direct bound the runner-up, and can leave that: the other \
                           methods are one-sided as they are";
            return refuse(Field::OneSided, message);
        }
        let has_goal = self.goal != Goal::Budget(Vec::new());
        let prefix = self.methods.iter().any(|method| *method != Method::Auto);
        if !self.n_p.is_empty() && has_goal && !prefix {
            let message = "auto takes its goal from the budget, target or radius that is given, so \
                           that samples per input are for other methods: leave them out";
            return refuse(Field::NP, message);
        }
        Ok(())
    }
}

/// A ledger that networks are to be recertified from, and how.
///
/// ```
/// use recert::job::{Recertification, RecertifyConfig};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let ledger = certified(folder.path())?;
/// // The ledger has the certificates of two inputs under `brighter_than(1.0)`, from
/// // 2,000 samples each.
/// let data = dots()?;
///
/// // The modified network, with a tenth of the samples.
/// let networks = [brighter_than(1.01)?];
/// let recertification = Recertification::open(&ledger, &RecertifyConfig::default(), 1)?;
/// let mut evaluations = 0;
/// recertification.job(&data, &networks)?.run(&mut |event: Event<'_>| {
///     if let Event::Evaluated { evaluations: more } = event {
///         evaluations += more;
///     }
/// })?;
/// assert!((1..=400).contains(&evaluations));
/// # Ok(())
/// # }
/// ```
pub struct Recertification {
    pub(super) ledger: PathBuf,
    pub(super) header: Header,
    pub(super) config: RecertifyConfig,
    pub(super) inputs: Vec<u32>,
    /// How many of them the original stopped on.
    stopped: usize,
    pub(super) asked: Asked,
}

impl Recertification {
    /// Reads the ledger of the original network and checks that `networks`
    /// modified ones can be recertified from it as `config` says. Nothing is
    /// written.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`], naming the field of `config` that is out of
    /// range or does not fit the ledger; whatever reading the ledger fails with.
    pub fn open(ledger: &Path, config: &RecertifyConfig, networks: usize) -> Result<Self> {
        let among = candidates(config, networks)?;
        let opened = Ledger::open_read_only(ledger)?;
        let header = opened.header().clone();
        if header.task != Task::Certify {
            let holds = match header.task {
                Task::Predict => "predictions",
                _ => "verifications by bounds and no samples",
            };
            let message = format!(
                "{} holds {holds}: recertifying starts from a ledger of certificates by smoothing",
                ledger.display()
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        config::law(&opened)?;
        config.check_used()?;
        // Inputs on which the original's answers decided how many samples there are: those that
        // ran to n are selected by their answers, so all of them are rows, or none.
        let mut stopped = stopped_inputs(&opened)?;
        let mut inputs = finished_inputs(&opened)?;
        inputs.extend(&stopped);
        inputs.sort_unstable();
        if inputs.is_empty() {
            let message = format!(
                "{} has no finished input yet, one with all n = {} samples: finish certifying one",
                ledger.display(),
                header.n,
            );
            return Err(Error::new(ErrorKind::Parameter, message));
        }
        if config.limit == Some(0) {
            return Err(Error::parameter(
                Field::Limit,
                "the limit must be at least 1",
            ));
        }
        inputs.truncate(config.limit.unwrap_or(usize::MAX));
        stopped.retain(|idx| inputs.binary_search(idx).is_ok());
        let asked = asked(config, &header, inputs.len() as u64, among)?;
        Ok(Self {
            ledger: ledger.to_owned(),
            header,
            config: config.clone(),
            inputs,
            stopped: stopped.len(),
            asked,
        })
    }

    /// The same recertification in a ledger of its own, as that of a shard is: `copy` becomes a copy
    /// of the original's ledger, once it is known that nothing is wrong with data and networks. Where
    /// `copy` is there, a run into it is continued: it has to be of the same run and the same
    /// inputs.
    ///
    /// # Errors
    /// As for [`job`](Self::job); [`ErrorKind::Ledger`] if `copy` is another ledger's, and whatever
    /// reading and writing fail with.
    ///
    /// ```
    /// use recert::job::{Recertification, RecertifyConfig};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let ledger = certified(folder.path())?;
    /// let own = folder.path().join("shard-3.recert");
    /// let (data, networks) = (dots()?, [brighter_than(1.1)?]);
    /// let shard = Recertification::open(&ledger, &RecertifyConfig::default(), 1)?;
    /// let shard = shard.into_copy(&own, &data, &networks)?;
    /// shard.job(&data, &networks)?.run(&mut |_: Event<'_>| ())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_copy(self, copy: &Path, data: &Data, networks: &[Network]) -> Result<Self> {
        drop(self.job(data, networks)?);
        copy_for_shard(&self.ledger, copy)?;
        Self::open(copy, &self.config, networks.len())
    }

    /// The data that the ledger was made with: at the path that it records, or at `data`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if it is not there or cannot be read.
    pub fn data(&self, data: Option<&str>, options: &DataOptions) -> Result<Data> {
        Data::reopen(&self.header.data, data, options)
    }

    /// The modified network at `path`, loaded as the original was as far as
    /// `config` leaves it open.
    ///
    /// # Errors
    /// As for [`Network::open_like`].
    pub fn network(&self, path: &Path, config: &NetworkConfig, data: &Data) -> Result<Network> {
        let mut samples = Sampled::new(data, self.header.sigma);
        if let Ok(ledger) = Ledger::open_read_only(&self.ledger) {
            samples = samples.remembering(&ledger);
        }
        Network::open_like(path, config, &self.header.network, samples)
    }

    /// The job that recertifies `networks`, in one pass.
    ///
    /// # Errors
    /// If data or networks do not fit the ledger, or cannot be run;
    /// [`ErrorKind::Parameter`] if two classifiers have one name, and if the networks are
    /// candidates of which one was first named to the ledger after another had run.
    pub fn job<'a>(&self, data: &'a Data, networks: &'a [Network]) -> Result<Job<'a>> {
        self.session(data, networks.iter().collect()).map(Job::new)
    }

    pub(super) fn session<'a>(
        &self,
        data: &'a Data,
        networks: Vec<&'a Network>,
    ) -> Result<Session<'a>> {
        self.check(data, &networks)?;
        let among = self.asked.among;
        let ledger = Ledger::open_read_only(&self.ledger)?;
        candidates::check(&ledger, &networks, among)?;
        let rows = if self.config.methods.contains(&Method::Auto) {
            "auto"
        } else {
            let first = self.asked.methods.first();
            first.map_or("auto", |method| method.name())
        };
        let mut remarks: Vec<_> = networks.iter().flat_map(|n| n.engine_remarks()).collect();
        if self.stopped > 0 {
            remarks.push(Remark::StoppedInputs {
                stopped: self.stopped,
                inputs: self.inputs.len(),
                abstaining: (self.asked.methods.iter())
                    .filter(|method| !matches!(method, Rule::Direct(_)))
                    .map(|method| method.name())
                    .collect(),
            });
        }
        remarks.extend(self.remarks(&networks)?);
        remarks.extend(candidates::remarks(&ledger, &networks, among)?);
        let subject = (networks, self.inputs.clone());
        let work = (Work::Recertify(self.asked.clone()), Some(rows));
        let noise = (self.header.sigma, self.header.seed);
        let run = self.config.run;
        let mut session = Session::new(&self.ledger, data, subject, work, noise, run, remarks)?;
        let goal = match self.config.goal {
            Goal::AverageRadius(radius) => Some(radius),
            _ => None,
        };
        let budget = match self.asked.goals.last() {
            Some(AutoGoal::Budget(budget)) => Some(*budget),
            _ => None,
        };
        let inputs = self.inputs.len();
        let (asked, until) = (self.asked.clone(), self.asked.until);
        session.afterwards = Some(Box::new(move |ledger, networks, new| {
            let mut remarks = Vec::new();
            let aim = match (asked.goals.last(), until) {
                (_, Some(radius)) => Some(ledger_format::Goal::Until(radius.get())),
                (Some(&AutoGoal::Budget(budget)), _) => Some(ledger_format::Goal::Budget(budget)),
                (Some(&AutoGoal::MeanRadius(radius)), _) => {
                    Some(ledger_format::Goal::MeanRadiusOverSigma(radius))
                }
                (Some(&AutoGoal::Each(each)), _) => Some(ledger_format::Goal::Each(each)),
                (None, None) => None,
            };
            let is_row = |claim: &ledger_format::Claim| {
                let auto = rows == "auto";
                claim.method() == rows
                    && claim.alpha == asked.alpha.get()
                    && claim.parameters.among() == asked.among
                    && (auto || asked.samples.last() == Some(&claim.samples))
                    && (!auto || claim.parameters.goal() == aim)
            };
            for (i, &network) in networks.iter().enumerate() {
                if networks[..i].contains(&network) || network == ledger.base() {
                    continue;
                }
                let compared = Compared::new(ledger, network, &is_row, new[i])?;
                remarks.extend(compared.map(|compared| Remark::WithOriginal(Box::new(compared))));
            }
            remarks.extend(remarks_on(ledger, networks, inputs, (goal, budget))?);
            Ok(remarks)
        }));
        Ok(session)
    }

    /// What the parameters and networks are likely to be mistakes in.
    fn remarks(&self, networks: &[&Network]) -> Result<Vec<Remark>> {
        let inputs = self.inputs.len() as u64;
        let mut remarks = Vec::new();
        let unchanged = networks
            .iter()
            .filter(|n| *n.identity() == self.header.network);
        remarks.extend(unchanged.map(|network| Remark::Unchanged {
            network: network.identity().file.clone(),
        }));
        let original = &self.header.network;
        let otherwise = networks
            .iter()
            .filter(|network| network.identity().preprocess != original.preprocess);
        remarks.extend(otherwise.map(|network| Remark::OtherPreprocessing {
            network: network.identity().file.clone(),
            given: network.identity().preprocess.clone(),
            original: original.file.clone(),
            recorded: original.preprocess.clone(),
        }));
        remarks.extend(self.asked.goals.iter().filter_map(|goal| match *goal {
            AutoGoal::Budget(evaluations) if evaluations < inputs => Some(Remark::SmallBudget {
                evaluations,
                inputs,
            }),
            _ => None,
        }));
        if let Some(radius) = self.asked.until {
            let sigma = Sigma::new(self.header.sigma)?;
            // All of alpha is more than any bound by this method has.
            remarks.extend(out_of_reach(
                sigma,
                self.header.n,
                self.asked.alpha,
                radius,
            )?);
        }
        Ok(remarks)
    }

    /// Checks all that the ledger can say of data and networks.
    pub(super) fn check(&self, data: &Data, networks: &[&Network]) -> Result<()> {
        candidates(&self.config, networks.len())?;
        let missing = (self.inputs.iter()).find(|&&idx| idx as usize >= data.len());
        if let Some(missing) = missing {
            let message = format!(
                "ledger {} is of other data: it has input {missing}, but the data given has only \
                 {} inputs",
                self.ledger.display(),
                data.len(),
            );
            return Err(Error::new(ErrorKind::Ledger, message).about(Field::Data));
        }
        data.check_labels(&self.inputs, self.header.network.classes as usize)?;
        for network in networks {
            network.check_image(data.shape())?;
            network.check_classes(&self.header.network)?;
        }
        let namesake = (networks.iter().enumerate()).find(|(i, network)| {
            networks[..*i]
                .iter()
                .any(|first| first.is_namesake(network))
        });
        if let Some((_, network)) = namesake {
            let message = format!(
                "two networks are named '{}', and a ledger cannot tell their answers apart: name \
                 them differently, or give one of them",
                network.identity().file
            );
            return Err(Error::parameter(Field::Model, message));
        }
        Ok(())
    }
}

/// How many candidates there are, each of which has its share of alpha.
fn candidates(config: &RecertifyConfig, networks: usize) -> Result<u32> {
    let refuse = |message: String| Err(Error::parameter(Field::Among, message));
    let among = match config.among {
        Some(among) if !(1..=MOST_CANDIDATES).contains(&among) => {
            return refuse(format!(
                "the number of candidates must be from 1 to {MOST_CANDIDATES}, but is {among}"
            ));
        }
        Some(among) if (among as usize) < networks => {
            return refuse(format!(
                "{networks} candidates are given, more than the {among} that one is chosen among"
            ));
        }
        Some(among) => among,
        None => networks as u32,
    };
    if among > 1 && config.methods.iter().any(|&m| m != Method::Auto) {
        return refuse("only the method auto takes several candidates: recertify each network by itself, or by auto".to_owned());
    }
    Ok(among)
}

fn asked(config: &RecertifyConfig, header: &Header, inputs: u64, among: u32) -> Result<Asked> {
    let auto = config.methods.contains(&Method::Auto);
    let methods = rules(config);
    let whole = (config.alpha).unwrap_or((2.0 * header.alpha).min(MAX_ALPHA));
    for method in &methods {
        config::alpha(whole, &method.weights())?;
    }
    if auto {
        check_alpha(whole, among)?;
    }
    let alpha = config::alpha(whole, &[1.0])?;
    let samples = amounts(Field::NP, &config.n_p, header.n)?;
    let (goals, until) = match &config.goal {
        Goal::Radius(radius) => (
            Vec::new(),
            Some(config::radius(Field::UntilRadius, *radius)?),
        ),
        goal if auto => (goals(goal, &samples, header, inputs)?, None),
        _ => (Vec::new(), None),
    };
    if !auto && config.goal != Goal::Budget(Vec::new()) {
        let (goal, field) = match config.goal {
            Goal::Budget(_) => ("a budget", Field::Budget),
            Goal::AverageRadius(_) => ("a target", Field::TargetAcr),
            Goal::Radius(_) => ("a radius to reach", Field::UntilRadius),
        };
        let message = format!(
            "only the method auto takes {goal}: add it, or give the samples of the other methods (n_p)"
        );
        return Err(Error::parameter(field, message));
    }
    if auto {
        Levels::new(alpha, among)?;
    }
    Ok(Asked {
        alpha,
        among,
        sides: config.sides,
        methods,
        samples,
        goals,
        until,
    })
}

/// The methods on the first samples, in the order in which a row is made by.
fn rules(config: &RecertifyConfig) -> Vec<Rule> {
    let all = [
        (
            Method::Irs,
            Rule::Irs(Irs {
                gamma: config.gamma.unwrap_or(GAMMA),
            }),
        ),
        (Method::Paired, Rule::Pairs(&Paired)),
        (Method::Loss, Rule::Pairs(&Loss)),
        (Method::Zeta, Rule::Pairs(&Zeta)),
        (Method::Direct, Rule::Direct(config.sides)),
    ];
    let asked = |(name, _): &(Method, Rule)| config.methods.contains(name);
    let asked = all.into_iter().filter(asked);
    asked.map(|(_, rule)| rule).collect()
}

/// Counts of samples, ascending; 10 % of n if none are given.
fn amounts(field: Field, amounts: &[Amount], n: u64) -> Result<Vec<u64>> {
    let default = [Amount::Percent(10.0)];
    let amounts = if amounts.is_empty() {
        &default
    } else {
        amounts
    };
    let counts = amounts.iter().map(|amount| amount.of(field, n));
    let mut counts = counts.collect::<Result<Vec<_>>>()?;
    counts.sort_unstable();
    counts.dedup();
    Ok(counts)
}

/// What `auto` is to reach, cheapest first.
fn goals(goal: &Goal, samples: &[u64], header: &Header, inputs: u64) -> Result<Vec<AutoGoal>> {
    let totals = match goal {
        Goal::AverageRadius(radius) => {
            let radius = config::radius(Field::TargetAcr, *radius)?.get();
            return Ok(vec![AutoGoal::MeanRadius(radius / header.sigma)]);
        }
        Goal::Budget(budget) if !budget.is_empty() => {
            amounts(Field::Budget, budget, header.n * inputs)?
        }
        _ => samples.iter().map(|each| each * inputs).collect(),
    };
    Ok(totals.into_iter().map(AutoGoal::Budget).collect())
}

/// Fails where a share of alpha that `auto` needs is out of the bounds' range.
pub(super) fn check_alpha(alpha: f64, among: u32) -> Result<()> {
    // All of a candidate's share bounds something, or each half of what is of it
    // for f and for h.
    config::alpha(alpha, &[1.0].repeat(among as usize))?;
    config::alpha(alpha, &[1.0, 1.0, 9.0, 9.0].repeat(among as usize))?;
    Ok(())
}

/// What is unspent of a budget is remarked on from one part in so many.
const UNSPENT: u64 = 20;

/// What the rows of `networks` do not say: where a target of `auto` was missed, where a budget
/// was not spent, and where there are several statements, each of which holds by itself.
fn remarks_on(
    ledger: &Ledger,
    networks: &[NetworkId],
    all: usize,
    (target, budget): (Option<f64>, Option<u64>),
) -> Result<Vec<Remark>> {
    let sigma = ledger.header().sigma;
    let aimed_at = target.map(|radius| ledger_format::Goal::MeanRadiusOverSigma(radius / sigma));
    let spends = budget.map(ledger_format::Goal::Budget);
    let mut remarks = Vec::new();
    let known = ledger.networks()?.into_iter();
    for (id, network) in known.filter(|(id, _)| networks.contains(id)) {
        // Of the certificates by the target.
        let (mut sum, mut inputs) = (0.0, 0);
        // Of those by the budget: evaluations and inputs.
        let mut spent = (0, 0);
        for certificate in ledger.certificates(id)? {
            if certificate.claim.method() != "auto" {
                continue;
            }
            let goal = certificate.claim.parameters.goal();
            if goal.is_some() && goal == aimed_at {
                sum += certificate.class.map_or(0.0, |_| certificate.radius);
                inputs += 1;
            }
            if goal.is_some() && goal == spends {
                spent = (spent.0 + certificate.evaluations, spent.1 + 1);
            }
        }
        if let Some(target) = target
            && inputs == all
            && sum < target * inputs as f64
        {
            remarks.push(Remark::TargetMissed {
                network: network.file.clone(),
                inputs,
                mean: sum / inputs as f64,
                target,
            });
        }
        if let Some(budget) = budget
            && spent.1 == all
            && spent.0 < budget - budget / UNSPENT
        {
            remarks.push(Remark::Unspent {
                network: network.file.clone(),
                budget,
                spent: spent.0,
            });
        }
    }
    remarks.extend(statements::several(ledger, Some(networks))?);
    Ok(remarks)
}
