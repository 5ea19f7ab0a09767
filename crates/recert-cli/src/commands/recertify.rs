//! `recert recertify`.

mod plan;

use std::path::Path;

use anyhow::{Context, Result};
use recert::engine::{ImageShape, Preprocess};
use recert::ledger::{self, Certificate, Header, Input, Ledger, NetworkId, Task};
use recert::net::Model;
use recert::noise::Law;
use recert::num::{Alpha, MAX_ALPHA, Radius, format_down};
use recert::smooth::bound::{Loss, Paired, Zeta};
use recert::smooth::budget::{Goal, Levels};
use recert::smooth::{
    Auto, Irs, Method as Rule, Observer, Outcome, Recertify as Prefix, Run, Threads,
    finished_inputs, recertify, recertify_auto, recertify_until,
};

use plan::Plan;

use super::Runner;
use crate::args::{Method, NetworkArgs, Recertify};
use crate::config::{self, Data, Loaded, usage};
use crate::exit::{Code, Failure};

/// The largest `--among`, which `recert check` knows too: each candidate has its
/// share of alpha.
const MOST_CANDIDATES: u32 = 100_000;

pub(crate) fn run(args: &Recertify) -> Result<()> {
    let among = match args.among {
        Some(among) if !(1..=MOST_CANDIDATES).contains(&among) => {
            return usage(format!(
                "--among must be from 1 to {MOST_CANDIDATES}, but is {among}"
            ));
        }
        Some(among) if (among as usize) < args.model.len() => {
            return usage(format!(
                "--among is {among}, but --model names {} candidates",
                args.model.len()
            ));
        }
        Some(among) => among,
        None => args.model.len() as u32,
    };
    if among > 1 && !(args.method.iter().all(|&method| method == Method::Auto)) {
        return usage("several candidates, or --among, are for --method auto alone");
    }
    if args.model.len() > 1 && args.run.log.is_some() {
        return usage("--log holds the rows of one network: leave it out, or name one --model");
    }
    if args.plan && !args.method.contains(&Method::Auto) {
        return usage("--plan is for --method auto: add it");
    }
    // Nothing is written before everything that can be wrong has been looked at.
    let ledger = Ledger::open_read_only(&args.ledger)?;
    let header = ledger.header().clone();
    let asked = Asked::check(args, &ledger, among)?;
    let data = Data::reopen(&header.data, args.data.as_deref(), &args.data_args)?;
    if let Some(missing) = (asked.inputs.iter()).find(|&&idx| idx as usize >= data.set.len()) {
        let message = format!(
            "ledger {} is of other data: it has input {missing}, but the data given has only {} \
             inputs (see --data)",
            args.ledger.display(),
            data.set.len(),
        );
        return Err(Failure::new(Code::Ledger, message).into());
    }
    data.check_labels(&asked.inputs, header.network.classes as usize)?;
    // One network that cannot be loaded is found before any of them is run.
    let loaded = (args.model.iter())
        .map(|model| open_like(model, &args.network, &header.network, data.shape()))
        .collect::<Result<Vec<_>>>()?;
    if args.plan {
        let plan = |loaded: &Loaded| Plan::new(args, &ledger, &asked, &loaded.identity());
        let plans = loaded.iter().map(plan).collect::<Result<Vec<_>>>()?;
        return plan::print(&plans, args.json);
    }
    ledger.close()?;
    recertify_all(args, &asked, &data, &loaded)?;
    remark(args, &asked)
}

/// Says what the rows do not: where a target was missed, and where a network has
/// certificates for several goals, each of which holds by itself.
fn remark(args: &Recertify, asked: &Asked) -> Result<()> {
    let ledger = Ledger::open_read_only(&args.ledger)?;
    let over_sigma = |radius: f64| radius / ledger.header().sigma;
    let target =
        (args.target_acr).map(|radius| ledger::Goal::MeanRadiusOverSigma(over_sigma(radius)));
    for (id, network) in ledger.networks()? {
        let mut goals = Vec::new();
        // Of the certificates by the target.
        let (mut sum, mut inputs) = (0.0, 0);
        for certificate in ledger.certificates(id)? {
            if certificate.claim.method() != "auto" {
                continue;
            }
            let goal = certificate.claim.parameters.goal();
            if goal.is_some() && goal == target {
                sum += certificate.class.map_or(0.0, |_| certificate.radius);
                inputs += 1;
            }
            if !goals.contains(&goal) {
                goals.push(goal);
            }
        }
        if let Some(wanted) = args.target_acr
            && inputs == asked.inputs.len()
            && sum < wanted * inputs as f64
        {
            eprintln!(
                "recert: {}: the mean radius of {inputs} inputs is {}, below the {wanted} that was \
                 aimed at: --target-acr goes by what is expected",
                network.file,
                format_down(sum / inputs as f64, 3),
            );
        }
        if goals.len() > 1 {
            eprintln!(
                "recert: {} has certificates by auto for {} budgets or targets: each holds by \
                 itself, the best of them chosen by its radius does not (SOUNDNESS.md, section 6)",
                network.file,
                goals.len(),
            );
        }
    }
    Ok(())
}

/// Recertifies networks, all of them in one pass.
fn recertify_all(args: &Recertify, asked: &Asked, data: &Data, loaded: &[Loaded]) -> Result<()> {
    let runner = Runner::new(loaded, &args.run, asked.rows)?;
    let ledger = Ledger::open(&args.ledger)?;
    let networks = (loaded.iter())
        .map(|loaded| ledger.add_network(&loaded.identity()))
        .collect::<Result<Vec<_>, _>>()?;
    let (inputs, file) = (asked.inputs.len(), args.ledger.display());
    let what = match networks.len() {
        1 => format!("{inputs} inputs of {file}"),
        several => format!("{inputs} inputs of {file} for {several} networks"),
    };
    let what = ("recertified", what);
    let batch = runner.batch;
    runner.drive(ledger, what, &networks, |ledger, workers, progress| {
        let mut distinct: Vec<(NetworkId, _)> = Vec::new();
        for (&network, classifiers) in networks.iter().zip(workers) {
            // A network that is named twice answers once.
            if distinct.iter().all(|(known, _)| *known != network) {
                distinct.push((network, classifiers));
            }
        }
        let workers = &mut Threads::new(distinct, batch)?;
        let inputs = &asked.inputs;
        let mut run = Run {
            ledger,
            inputs: &data.set,
            workers,
            observer: progress,
        };
        let last = asked.goals.len().saturating_sub(1);
        if !asked.methods.is_empty() {
            let what = Prefix {
                samples: asked.samples.clone(),
                alpha: asked.alpha,
                methods: asked.methods.clone(),
            };
            let outcome = recertify(&mut run, inputs, &what)?;
            if outcome == Outcome::Stopped {
                return Ok(outcome);
            }
        }
        let auto = |goal: Goal| Auto {
            alpha: asked.alpha,
            among: asked.among,
            goal,
            sides: args.sides.sides(),
        };
        if let Some(radius) = asked.until {
            let what = auto(Goal::Each(UNTIL_PILOT));
            return recertify_until(&mut run, inputs, &what, radius);
        }
        for (i, &goal) in asked.goals.iter().enumerate() {
            let what = auto(goal);
            let mut run = Run {
                ledger: run.ledger,
                inputs: run.inputs,
                workers: run.workers,
                observer: &mut Muted(run.observer, i < last),
            };
            let outcome = recertify_auto(&mut run, inputs, &what)?;
            if outcome == Outcome::Stopped {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    })
}

/// The samples an input that `--until-radius` sizes its pilot by: twenty each.
const UNTIL_PILOT: u64 = 400;

/// Progress without rows, while another budget is to come.
struct Muted<'a>(&'a mut dyn Observer, bool);

impl Observer for Muted<'_> {
    fn start(&mut self, evaluations: u64, done: u64) {
        self.0.start(evaluations, done);
    }

    fn evaluated(&mut self, evaluations: u64) {
        self.0.evaluated(evaluations);
    }

    fn concluded(&mut self, network: NetworkId, input: &Input, certificates: &[Certificate]) {
        if !self.1 {
            self.0.concluded(network, input, certificates);
        }
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

/// What the flags ask for, checked against the ledger.
struct Asked {
    inputs: Vec<u32>,
    alpha: Alpha,
    among: u32,
    /// For the methods on the first samples.
    methods: Vec<Rule>,
    samples: Vec<u64>,
    /// For `auto`, ascending.
    goals: Vec<Goal>,
    /// For `auto`, instead of goals.
    until: Option<Radius>,
    /// The method whose certificates make the rows.
    rows: &'static str,
}

impl Asked {
    fn check(args: &Recertify, ledger: &Ledger, among: u32) -> Result<Self> {
        let header = ledger.header();
        usable(args, header)?;
        if !(0.0..=1.0).contains(&args.gamma) {
            return usage(format!(
                "--gamma must be from 0 to 1, but is {}",
                args.gamma
            ));
        }
        let mut inputs = finished_inputs(ledger)?;
        if inputs.is_empty() {
            return usage(format!(
                "{} has no finished input yet, one with all n = {} samples (those that stopped at a \
                 radius have fewer): let `recert certify` finish one",
                args.ledger.display(),
                header.n,
            ));
        }
        if args.limit == Some(0) {
            return usage("--limit must be at least 1");
        }
        inputs.truncate(args.limit.unwrap_or(usize::MAX));
        let auto = args.method.contains(&Method::Auto);
        let methods = methods(args);
        let whole = (args.alpha).unwrap_or((2.0 * header.alpha).min(MAX_ALPHA));
        for method in &methods {
            config::alpha(whole, &method.weights())?;
        }
        if auto {
            check_alpha(whole, among)?;
        }
        let alpha = Alpha::new(whole)?;
        let until = args.until_radius;
        let until = until
            .map(|r| config::radius("--until-radius", r))
            .transpose()?;
        let samples = shares("--n-p", &args.n_p, header.n)?;
        let goals = if auto {
            goals(args, header, inputs.len() as u64)?
        } else if args.budget.is_empty() && args.target_acr.is_none() && until.is_none() {
            Vec::new()
        } else {
            return usage(
                "--budget, --target-acr and --until-radius are for --method auto: add it, or use \
                 --n-p",
            );
        };
        if auto {
            Levels::new(alpha, among)?;
        }
        let rows = if auto {
            "auto"
        } else {
            methods.first().map_or("auto", |method| method.name())
        };
        Ok(Self {
            inputs,
            alpha,
            among,
            methods,
            samples,
            goals,
            until,
            rows,
        })
    }
}

/// Fails where the ledger is none to recertify from.
fn usable(args: &Recertify, header: &Header) -> Result<()> {
    // Unknown noise could not be regenerated; nothing is written to the ledger.
    if let Err(error) = Law::of_generator(&header.generator) {
        let message = format!("ledger {}: {error}", args.ledger.display());
        return Err(Failure::new(Code::Ledger, message).into());
    }
    if header.task != Task::Certify {
        return usage(format!(
            "{} holds predictions: recertifying starts from a ledger of `recert certify`",
            args.ledger.display()
        ));
    }
    Ok(())
}

/// The methods on the first samples, in the order in which a row is made by.
fn methods(args: &Recertify) -> Vec<Rule> {
    let all = [
        (Method::Irs, Rule::Irs(Irs { gamma: args.gamma })),
        (Method::Paired, Rule::Pairs(&Paired)),
        (Method::Loss, Rule::Pairs(&Loss)),
        (Method::Zeta, Rule::Pairs(&Zeta)),
        (Method::Direct, Rule::Direct(args.sides.sides())),
    ];
    let asked = |(name, _): &(Method, Rule)| args.method.contains(name);
    all.into_iter()
        .filter(asked)
        .map(|(_, rule)| rule)
        .collect()
}

/// Counts or percentages of n, ascending; 10 % if none are given.
fn shares(flag: &str, texts: &[String], n: u64) -> Result<Vec<u64>> {
    let default = ["10%".to_owned()];
    let texts = if texts.is_empty() { &default } else { texts };
    let mut samples = texts
        .iter()
        .map(|text| config::share_of(flag, text, n))
        .collect::<Result<Vec<_>>>()?;
    samples.sort_unstable();
    samples.dedup();
    Ok(samples)
}

/// What `auto` is to reach, cheapest first.
fn goals(args: &Recertify, header: &Header, inputs: u64) -> Result<Vec<Goal>> {
    if let Some(radius) = args.target_acr {
        if !(radius.is_finite() && radius > 0.0) {
            return usage(format!("--target-acr must be above 0, but is {radius}"));
        }
        return Ok(vec![Goal::MeanRadius(radius / header.sigma)]);
    }
    if args.budget.is_empty() {
        let each = shares("--n-p", &args.n_p, header.n)?;
        return Ok((each.iter())
            .map(|each| Goal::Budget(each * inputs))
            .collect());
    }
    let mut totals = (args.budget.iter())
        .map(|text| config::share_of("--budget", text, header.n * inputs))
        .collect::<Result<Vec<_>>>()?;
    totals.sort_unstable();
    totals.dedup();
    Ok(totals.into_iter().map(Goal::Budget).collect())
}

/// Fails where a share of alpha that `auto` needs is out of the bounds' range.
pub(super) fn check_alpha(alpha: f64, among: u32) -> Result<()> {
    // All of a candidate's share bounds something, or each half of what is of it
    // for f and for h.
    config::alpha(alpha, &[1.0].repeat(among as usize))?;
    config::alpha(alpha, &[1.0, 1.0, 9.0, 9.0].repeat(among as usize))?;
    Ok(())
}

/// Loads a modified network, with what was not given taken from the ledger's
/// network: it wants the same engine, precision, device, normalisation and, where it has an output
/// of that name, output. Fails if it is not of the same classes.
pub(super) fn open_like(
    model: &Path,
    args: &NetworkArgs,
    base: &recert::ledger::Network,
    image: ImageShape,
) -> Result<Loaded> {
    let mut network = args.like(base);
    if network.mean.is_empty() && network.std.is_empty() && network.scale.is_none() {
        let Preprocess { mean, std, scale } = base.preprocess.parse()?;
        (network.mean, network.std, network.scale) = (mean, std, scale);
    }
    if network.output.is_none() {
        let model = Model::read(model)?;
        let has_it = model.signature_with_output(Some(&base.output)).is_ok();
        network.output = has_it.then(|| base.output.clone());
    }
    let loaded = Loaded::open(model, &network, image).with_context(|| {
        format!(
            "loading {} like {}, which was answered by {} {}, {} (see --engine)",
            model.display(),
            base.file,
            base.engine,
            base.engine_version,
            base.precision,
        )
    })?;
    if loaded.network.classes() == base.classes as usize {
        return Ok(loaded);
    }
    let message = format!(
        "{} has {} classes, but {} has {}: only networks of the same classes can be recertified",
        model.display(),
        loaded.network.classes(),
        base.file,
        base.classes,
    );
    Err(Failure::new(Code::Input, message).into())
}
