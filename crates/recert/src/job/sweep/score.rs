//! How a network of a sweep is scored: verified by bounds, or certified under noise.

use std::path::Path;

use recert_ledger::Verdict;
use recert_report::sweep::Accuracy;
use recert_smooth::Outcome;

use super::config::{Bounds, Certificate, Noise, SweepScore};
use super::{SweepEvent, SweepEvents};
use crate::job::{
    CertifyConfig, Data, DataConfig, Event, Events, Network, NetworkConfig, Norm, Remark,
    RunConfig, Sampled, SubsetConfig, VerifyConfig, certify, verify,
};
use crate::{Error, ErrorKind, Result};

/// A network, and the images that it is scored on.
pub(super) struct Scored<'s> {
    pub(super) score: &'s SweepScore,
    pub(super) network: &'s Path,
    pub(super) ledger: &'s Path,
    pub(super) data: &'s Data,
    pub(super) subset: SubsetConfig,
    /// The seed of the noise.
    pub(super) seed: u64,
    pub(super) threads: usize,
}

impl Scored<'_> {
    /// What the network reaches; `None` where it was stopped.
    pub(super) fn run(&self, events: &mut impl SweepEvents) -> Result<Option<Accuracy>> {
        let run = RunConfig {
            threads: Some(self.threads),
            ..RunConfig::default()
        };
        // An engine of recert itself: the same answers wherever the sweep goes on.
        let engine = NetworkConfig {
            engine: Some("direct".to_owned()),
            ..NetworkConfig::default()
        };
        let open = |distance: f64| {
            let samples = Sampled::new(self.data, distance);
            Network::open_for(self.ledger, self.network, &engine, samples)
        };
        let mut counts = Counts {
            events,
            radius: 0.0,
            found: Accuracy {
                images: 0,
                natural: 0,
                certified: 0,
                undecided: 0,
            },
            unlabelled: None,
        };
        let outcome = match &self.score.certificate {
            Certificate::Bounds(Bounds {
                eps,
                timeout,
                complete,
            }) => {
                let config = VerifyConfig {
                    timeout: *timeout,
                    complete: *complete,
                    subset: self.subset,
                    run,
                    ..VerifyConfig::default()
                };
                let network = open(eps.up().min(1.0))?;
                let specification = (Norm::Linf, eps);
                let job = verify(
                    Some(self.ledger),
                    &config,
                    specification,
                    self.data,
                    &network,
                )?;
                job.run(&mut counts)?
            }
            Certificate::Noise(Noise {
                sigma,
                radius,
                n,
                n0,
                alpha,
            }) => {
                let config = CertifyConfig {
                    n: *n,
                    n0: *n0,
                    alpha: *alpha,
                    seed: self.seed,
                    subset: self.subset,
                    run,
                    ..CertifyConfig::new(*sigma)
                };
                counts.radius = *radius;
                let network = open(*sigma)?;
                certify(self.ledger, &config, self.data, &network)?.run(&mut counts)?
            }
        };
        if let Some(idx) = counts.unlabelled {
            let record = DataConfig::from_record(self.data.record());
            let name = record.map_or_else(String::new, |record| record.data);
            let message =
                format!("{name}: image {idx} has no label to score with: give images with labels");
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok((outcome == Outcome::Finished).then_some(counts.found))
    }
}

/// Counts results, and passes events on.
struct Counts<'e, E> {
    events: &'e mut E,
    /// The radius that counts as certified under noise.
    radius: f64,
    found: Accuracy,
    unlabelled: Option<u32>,
}

impl<E: SweepEvents> Events for Counts<'_, E> {
    fn event(&mut self, event: Event<'_>) {
        let found = &mut self.found;
        let (input, [natural, certified, undecided]) = match &event {
            Event::Verified {
                input: Some(input),
                result,
                ..
            } => {
                let natural = result.answer.map(u32::from) == input.label;
                let verdict = result.verdict;
                let certified = natural && verdict == Verdict::Verified;
                (input, [natural, certified, verdict == Verdict::Unknown])
            }
            Event::Concluded {
                input,
                row: Some(certificate),
                ..
            } => {
                let class = certificate.class.map(u32::from);
                let natural = class.is_some() && class == input.label;
                let certified = natural && certificate.radius >= self.radius;
                (input, [natural, certified, class.is_none()])
            }
            // The networks of a sweep are certified on the same noise on purpose.
            Event::Remark(Remark::SeedUsed { .. }) => return,
            _ => return self.events.event(SweepEvent::Score(event)),
        };
        if input.label.is_none() {
            self.unlabelled.get_or_insert(input.idx);
        }
        found.images += 1;
        found.natural += u64::from(natural);
        found.certified += u64::from(certified);
        found.undecided += u64::from(undecided);
        self.events.event(SweepEvent::Score(event));
    }

    fn stop(&self) -> bool {
        self.events.stop()
    }
}
