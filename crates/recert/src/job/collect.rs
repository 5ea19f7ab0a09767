//! The passes of a job: the one place that calls what collects and concludes.

use recert_engine::{self as engine, Classifier};
use recert_ledger::{Certificate, Input, Ledger, NetworkId};
use recert_num::{Alpha, Radius};
use recert_smooth::plan::Goal;
use recert_smooth::{self as smooth, Auto, Method, Observer, Outcome, Recertify, Sides, Voter};

use super::data::Data;
use super::event::{Event, Events};

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

/// The samples an input that a radius to reach sizes its pilot by: twenty each.
const UNTIL_PILOT: u64 = 400;

impl Asked {
    pub(super) fn auto(&self, goal: Goal, batch: usize) -> Auto {
        Auto {
            alpha: self.alpha,
            among: self.among,
            goal,
            sides: self.sides,
            batch,
        }
    }
}

/// A pass that is about to run.
pub(super) struct Collection<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) data: &'a Data,
    pub(super) inputs: &'a [u32],
    /// The networks, by their positions.
    pub(super) networks: &'a [NetworkId],
    /// Each network's classifiers, one a worker.
    pub(super) workers: &'a mut [Vec<Box<dyn Classifier>>],
    pub(super) batch: usize,
    /// The method whose certificate stands for an input, if there are rows.
    pub(super) rows: Option<&'static str>,
}

impl Work {
    pub(super) fn run(
        &self,
        pass: Collection<'_>,
        events: &mut dyn Events,
    ) -> Result<Outcome, smooth::Error> {
        let Collection {
            ledger,
            data,
            inputs,
            networks,
            workers,
            batch,
            rows,
        } = pass;
        let mut watch = Watch {
            events,
            networks,
            rows,
        };
        match self {
            Self::Certify(sides) => {
                let workers = &mut workers[0];
                smooth::certify(ledger, data, inputs, *sides, batch, workers, &mut watch)
            }
            Self::Until(radius) => {
                let workers = &mut workers[0];
                smooth::certify_until(ledger, data, inputs, *radius, batch, workers, &mut watch)
            }
            Self::Predict => {
                smooth::predict(ledger, data, inputs, batch, &mut workers[0], &mut watch)
            }
            Self::Recertify(asked) => {
                let mut voters: Vec<Voter<'_>> = Vec::new();
                for (&network, classifiers) in networks.iter().zip(workers) {
                    // A network that is named twice answers once.
                    if voters.iter().all(|voter| voter.network != network) {
                        voters.push(Voter {
                            network,
                            classifiers,
                        });
                    }
                }
                recertify(asked, ledger, data, inputs, batch, &mut voters, &mut watch)
            }
        }
    }
}

fn recertify(
    asked: &Asked,
    ledger: &mut Ledger,
    data: &Data,
    inputs: &[u32],
    batch: usize,
    voters: &mut [Voter<'_>],
    watch: &mut Watch<'_>,
) -> Result<Outcome, smooth::Error> {
    if !asked.methods.is_empty() {
        let prefix = Recertify {
            samples: asked.samples.clone(),
            alpha: asked.alpha,
            methods: asked.methods.clone(),
            batch,
        };
        let outcome = smooth::recertify(ledger, data, inputs, &prefix, voters, watch)?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    if let Some(radius) = asked.until {
        let auto = asked.auto(Goal::Each(UNTIL_PILOT), batch);
        return smooth::recertify_until(ledger, data, inputs, &auto, radius, voters, watch);
    }
    let rows = watch.rows;
    let last = asked.goals.len().saturating_sub(1);
    for (i, &goal) in asked.goals.iter().enumerate() {
        // The largest budget makes the rows.
        watch.rows = rows.filter(|_| i == last);
        let auto = asked.auto(goal, batch);
        let outcome = smooth::recertify_auto(ledger, data, inputs, &auto, voters, watch)?;
        if outcome == Outcome::Stopped {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Finished)
}

impl smooth::Source for Data {
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
            .filter(|c| Some(c.claim.method.as_str()) == self.rows)
            .max_by_key(|c| c.claim.samples);
        self.events.event(Event::Concluded {
            networks: &positions,
            input,
            certificates,
            row,
            invalid: row.map_or(0, invalid),
        });
    }

    fn stop(&self) -> bool {
        self.events.stop()
    }
}

/// Samples of a certificate with a NaN or infinite logit.
fn invalid(certificate: &Certificate) -> u64 {
    let counts: serde_json::Value = serde_json::from_str(&certificate.counts).unwrap_or_default();
    counts["invalid"].as_u64().unwrap_or(0)
}
