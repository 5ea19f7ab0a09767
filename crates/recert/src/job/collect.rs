//! The passes of a job: the one place that calls what collects and concludes.

use recert_engine as engine;
use recert_ledger::{Certificate, Input, Ledger, NetworkId};
use recert_num::{Alpha, Radius};
use recert_smooth::budget::Goal;
use recert_smooth::run::Instance;
use recert_smooth::{
    self as smooth, Auto, Method, Observer, Outcome, Recertify, Run, Sides, Threads,
};

use super::data::Data;
use super::event::{Event, Events, Rows};

/// Evaluations and certificates of one pass.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Certificates from scratch.
    Certify(Sides),
    /// The same, each input until it has this radius.
    Until(Radius),
    /// Predictions.
    Predict,
    /// Certificates of modified networks.
    Recertify(Asked),
}

/// What a recertification is to give, checked against its ledger.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) alpha: Alpha,
    pub(super) among: u32,
    pub(super) sides: Sides,
    /// Methods on the first samples.
    pub(super) methods: Vec<Method>,
    /// The samples that these rest on.
    pub(super) samples: Vec<u64>,
    /// For `auto`, ascending.
    pub(super) goals: Vec<Goal>,
    /// For `auto`, instead of goals.
    pub(super) until: Option<Radius>,
}

/// The samples per input that a radius to reach sizes its pilot by: twenty each.
pub(super) const UNTIL_PILOT: u64 = 400;

impl Asked {
    pub(super) fn auto(&self, goal: Goal) -> Auto {
        Auto {
            alpha: self.alpha,
            among: self.among,
            goal,
            sides: self.sides,
        }
    }
}

/// A pass that is about to run.
pub(super) struct Collection<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) data: &'a Data,
    /// All inputs of the run, and those that this process is to do.
    pub(super) inputs: (&'a [u32], &'a [u32]),
    /// The networks, by their positions.
    pub(super) networks: &'a [NetworkId],
    /// Each network's instances, one per worker.
    pub(super) instances: Vec<Vec<Instance>>,
    pub(super) batch: usize,
    /// The method whose certificate stands for an input, if there are rows.
    pub(super) rows: Option<&'static str>,
}

impl Work {
    /// The names of the methods that it concludes by, with commas between.
    pub(super) fn methods(&self) -> String {
        match self {
            Self::Certify(_) => "certify".to_owned(),
            Self::Until(_) => "until".to_owned(),
            Self::Predict => "predict".to_owned(),
            Self::Recertify(asked) => {
                let auto = !asked.goals.is_empty() || asked.until.is_some();
                let names = asked.methods.iter().map(|method| method.name());
                let names: Vec<&str> = names.chain(auto.then_some("auto")).collect();
                names.join(",")
            }
        }
    }

    /// What rows made by `method` show.
    pub(super) fn rows(&self, method: &'static str) -> Rows {
        let mut rows = Rows {
            method,
            samples: None,
            budget: None,
            target: None,
            among: 1,
        };
        if let Self::Recertify(asked) = self {
            // With several budgets or counts of samples, the row is that of the largest.
            match asked.goals.last() {
                Some(&Goal::Budget(total)) if method == "auto" => rows.budget = Some(total),
                Some(&Goal::MeanRadius(radius)) if method == "auto" => rows.target = Some(radius),
                _ if method == "auto" => {}
                _ => rows.samples = asked.samples.last().copied(),
            }
            rows.among = asked.methods.len() * asked.samples.len()
                + asked.goals.len()
                + usize::from(asked.until.is_some());
        }
        rows
    }

    pub(super) fn run(
        &self,
        pass: Collection<'_>,
        events: &mut dyn Events,
    ) -> Result<Outcome, smooth::Error> {
        // A network that is named twice answers once.
        let mut distinct: Vec<(NetworkId, Vec<Instance>)> = Vec::new();
        for (&network, instances) in pass.networks.iter().zip(pass.instances) {
            if distinct.iter().all(|(known, _)| *known != network) {
                distinct.push((network, instances));
            }
        }
        let mut watch = Watch {
            events,
            networks: pass.networks,
            rows: pass.rows,
        };
        let mut run = Run {
            ledger: pass.ledger,
            inputs: pass.data,
            workers: &mut Threads::new(distinct, pass.batch)?,
            observer: &mut watch,
        };
        match self {
            Self::Certify(sides) => smooth::certify(&mut run, pass.inputs.1, *sides),
            Self::Until(radius) => smooth::certify_until(&mut run, pass.inputs.1, *radius),
            Self::Predict => smooth::predict(&mut run, pass.inputs.1),
            Self::Recertify(asked) => recertify(asked, &mut run, pass.inputs),
        }
    }
}

fn recertify(
    asked: &Asked,
    run: &mut Run<'_>,
    inputs: (&[u32], &[u32]),
) -> Result<Outcome, smooth::Error> {
    if !asked.methods.is_empty() {
        let prefix = Recertify {
            samples: asked.samples.clone(),
            alpha: asked.alpha,
            methods: asked.methods.clone(),
        };
        let outcome = smooth::recertify(run, inputs.1, &prefix)?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    if let Some(radius) = asked.until {
        let auto = asked.auto(Goal::Each(UNTIL_PILOT));
        return smooth::recertify_part(run, inputs, &auto, Some(radius));
    }
    let Some((last, others)) = asked.goals.split_last() else {
        return Ok(Outcome::Finished);
    };
    for &goal in others {
        // The largest budget makes the rows.
        let mut run = Run {
            ledger: run.ledger,
            inputs: run.inputs,
            workers: run.workers,
            observer: &mut WithoutRows(run.observer),
        };
        let outcome = smooth::recertify_part(&mut run, inputs, &asked.auto(goal), None)?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    smooth::recertify_part(run, inputs, &asked.auto(*last), None)
}

impl smooth::Inputs for Data {
    fn input(&self, idx: u32) -> Result<(Input, Vec<f32>), smooth::Error> {
        let image = match self.files() {
            Some(set) => set.image(idx)?,
            None => self.image(idx).map_err(|error| {
                engine::Error::external(engine::ErrorKind::Shape, error.to_string(), None)
            })?,
        };
        Ok((self.input(idx, &image), image.pixels))
    }
}

/// Makes events of what a pass reports.
struct Watch<'a> {
    events: &'a mut dyn Events,
    networks: &'a [NetworkId],
    rows: Option<&'static str>,
}

impl Observer for Watch<'_> {
    fn start(&mut self, evaluations: u64, done: u64) {
        self.events.event(Event::Started { evaluations, done });
    }

    fn evaluated(&mut self, evaluations: u64) {
        self.events.event(Event::Evaluated { evaluations });
    }

    fn concluded(&mut self, network: NetworkId, input: &Input, certificates: &[Certificate]) {
        let positions = (0..self.networks.len()).filter(|&i| self.networks[i] == network);
        let positions: Vec<usize> = positions.collect();
        // With several counts of samples, the row is that of the largest.
        let row = (certificates.iter())
            .filter(|c| Some(c.claim.method()) == self.rows)
            .max_by_key(|c| c.claim.samples);
        self.events.event(Event::Concluded {
            networks: &positions,
            input,
            certificates,
            row,
            invalid: row.map_or(0, |c| c.evidence.invalid()),
        });
    }

    fn stop(&self) -> bool {
        self.events.stop()
    }
}

/// Passes on everything but certificates, while another budget is to come.
struct WithoutRows<'a>(&'a mut dyn Observer);

impl Observer for WithoutRows<'_> {
    fn start(&mut self, evaluations: u64, done: u64) {
        self.0.start(evaluations, done);
    }

    fn evaluated(&mut self, evaluations: u64) {
        self.0.evaluated(evaluations);
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}
