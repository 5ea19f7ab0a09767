//! A job that is checked and loaded, and its run into a ledger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use recert_engine::{Classifier, Network as Loaded};
use recert_ledger::{Header, JournalEvent, Ledger, NetworkId, Positions, Shard};
use recert_smooth::Outcome;
use recert_smooth::run::{BATCH, measured_batch};

use super::collect::{Collection, Work};
use super::config::RunConfig;
use super::data::Data;
use super::event::{Event, Events, Pass, PassKind};
use super::first_look::FirstLook;
use super::network::Network;
use super::place::{NetworkDrive, check_ledger_place};
use super::remark::Remark;
use crate::{Error, Field, Result};

/// Standard deviations above are more likely in units of pixels up to 255.
const LARGE_SIGMA: f64 = 3.0;

/// A job in which everything that can be wrong has been checked, and nothing
/// has been written yet.
///
/// Its makers are [`certify`](super::certify), [`predict`](super::predict),
/// [`certify_via`](super::certify_via) and
/// [`Recertification::job`](super::Recertification::job).
pub struct Job<'a> {
    session: Session<'a>,
    /// What comes after, once the ledger has what the session gives.
    then: Option<Box<dyn FnOnce() -> Result<Session<'a>> + 'a>>,
}

impl<'a> Job<'a> {
    pub(super) fn new(session: Session<'a>) -> Self {
        Self {
            session,
            then: None,
        }
    }

    pub(super) fn and_then(mut self, next: impl FnOnce() -> Result<Session<'a>> + 'a) -> Self {
        self.then = Some(Box::new(next));
        self
    }

    /// Looks at the accuracy of each network on up to 64 labelled inputs, one sample
    /// each with and without noise, for three seconds at most; nothing if no input
    /// has a label. Certificates do not rest on what is seen. Of a job through a
    /// faster network, that is looked at.
    ///
    /// # Errors
    /// Whatever reading inputs and running networks fails with.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/dots.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let ledger = folder.path().join("dots.recert");
    /// let (data, network) = (dots()?, brighter_than(1.0)?);
    /// let mut job = certify(&ledger, &CertifyConfig::new(0.25), &data, &network)?;
    /// for look in job.first_look()? {
    ///     println!("{} of {} inputs", look.clean, look.inputs);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn first_look(&mut self) -> Result<Vec<FirstLook>> {
        self.session.first_look()
    }

    /// Runs the job, resuming where its ledger ends, and reports to `events`.
    /// The ledger is closed and sealed afterwards, whether the job finished,
    /// failed or was stopped: what was computed is kept, and the same job again
    /// goes on from there.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`](crate::ErrorKind::Ledger) if the ledger is of
    /// another run or in use; whatever reading inputs, running networks and
    /// writing the ledger fails with.
    pub fn run(self, events: &mut dyn Events) -> Result<Outcome> {
        let outcome = self.session.run(events)?;
        match self.then {
            Some(next) if outcome == Outcome::Finished => next()?.run(events),
            _ => Ok(outcome),
        }
    }
}

/// What there is to remark on a ledger's networks, of which those that were run
/// are given, with the evaluations of each that this run added, selection samples left out.
type Afterwards<'a> = Box<dyn FnOnce(&Ledger, &[NetworkId], &[u64]) -> Result<Vec<Remark>> + 'a>;

/// What a pass needs beside its ledger.
pub(super) struct Session<'a> {
    pub(super) data: &'a Data,
    /// All inputs of the run, and those that this process is to do.
    pub(super) inputs: Vec<u32>,
    part: Vec<u32>,
    shard: Option<Shard>,
    pub(super) work: Work,
    /// Sigma and seed.
    noise: (f64, u64),
    /// The run that the ledger is of; `None` for a ledger that has to be there.
    pub(super) header: Option<Header>,
    /// The method whose certificates make rows, if any do.
    pub(super) rows: Option<&'static str>,
    ledger: PathBuf,
    networks: Vec<&'a Network>,
    /// For each network, its classifiers: one per worker.
    workers: Vec<Vec<Box<dyn Classifier>>>,
    /// Images in one call of each.
    batch: usize,
    remarks: Vec<Remark>,
    /// Whether the network is certified through the ledger's own, a faster version of it.
    pub(super) through: bool,
    /// What to remark on once all is done.
    pub(super) afterwards: Option<Afterwards<'a>>,
}

impl<'a> Session<'a> {
    /// `remarks` come first when it runs.
    pub(super) fn new(
        ledger: &Path,
        data: &'a Data,
        (networks, inputs): (Vec<&'a Network>, Vec<u32>),
        (work, rows): (Work, Option<&'static str>),
        noise: (f64, u64),
        run: RunConfig,
        mut remarks: Vec<Remark>,
    ) -> Result<Self> {
        run.validate()?;
        let part = run.part(&inputs)?;
        check_ledger_place(ledger)?;
        remarks.extend(NetworkDrive::of(ledger).map(Remark::NetworkDrive));
        if noise.0 > LARGE_SIGMA {
            remarks.insert(0, Remark::LargeSigma { sigma: noise.0 });
        }
        // Every worker has an instance of every network, so one number fits all:
        // the least, as a device that computes by itself wants few.
        let usual = networks.iter().map(|network| network.usual_threads());
        let threads = run.threads.unwrap_or_else(|| usual.min().unwrap_or(1));
        let workers =
            (networks.iter()).map(|network| (0..threads).map(|_| network.worker()).collect());
        let mut workers: Vec<Vec<_>> = workers.collect::<Result<_>>()?;
        let most = networks.iter().map(|network| network.most_batch()).min();
        let most = most.unwrap_or(usize::MAX);
        let batch = match run.batch {
            Some(batch) if batch > most => {
                let message = format!(
                    "there is memory for {most} images at a time, not for {batch}: take fewer, or \
                     allow more memory"
                );
                return Err(Error::parameter(Field::Batch, message));
            }
            Some(batch) => batch,
            None if most < BATCH => most,
            None if networks.iter().all(|n| n.identity().batch_invariant) => {
                let firsts = workers.iter_mut().filter_map(|all| all.first_mut());
                let mut firsts: Vec<&mut dyn Classifier> =
                    firsts.map(|c| c.as_mut() as _).collect();
                measured_batch(&mut firsts)?
            }
            None => BATCH,
        };
        // What is measured above are whole networks: the same image again and
        // again would be kept by those that share layers.
        remarks.extend(share(&networks, &mut workers)?);
        if let Some(network) = networks.iter().find(|n| !n.identity().batch_invariant) {
            let engine = network.identity().engine.clone();
            remarks.push(Remark::BatchDependent { engine });
        }
        if let Some(network) = networks.iter().find(|network| !network.is_deterministic()) {
            let engine = network.identity().engine.clone();
            remarks.push(Remark::NotDeterministic { engine });
        }
        Ok(Self {
            data,
            inputs,
            part,
            shard: run.shard,
            work,
            noise,
            header: None,
            rows,
            ledger: ledger.to_owned(),
            networks,
            workers,
            batch,
            remarks,
            through: false,
            afterwards: None,
        })
    }

    /// The same with a further remark at the start.
    pub(super) fn remarking(mut self, remark: Remark) -> Self {
        self.remarks.push(remark);
        self
    }

    fn first_look(&mut self) -> Result<Vec<FirstLook>> {
        let subject = (self.data, self.part.as_slice());
        // The original is in the ledger where that has to be there.
        let original = match self.header {
            None => Some(Ledger::open_read_only(&self.ledger)?),
            Some(_) => None,
        };
        let mut looks = Vec::new();
        for (network, workers) in self.networks.iter().zip(&mut self.workers) {
            if let Some(worker) = workers.first_mut() {
                looks.extend(FirstLook::new(
                    network.identity(),
                    worker.as_mut(),
                    subject,
                    self.noise,
                    original.as_ref(),
                )?);
            }
        }
        Ok(looks)
    }

    /// Opens the ledger, last of all, and runs.
    pub(super) fn run(self, events: &mut dyn Events) -> Result<Outcome> {
        for remark in self.remarks {
            events.event(Event::Remark(remark));
        }
        let (mut ledger, kind) = match &self.header {
            Some(header) => (
                Ledger::resume(&self.ledger, header)?,
                PassKind::from(header.task),
            ),
            None => (Ledger::open(&self.ledger)?, PassKind::Recertify),
        };
        let networks = if self.header.is_some() {
            vec![ledger.base()]
        } else {
            // All at once, before any of them runs: the journal records that.
            let identities = self.networks.iter();
            let identities = identities.map(|network| network.identity().clone());
            ledger.name_networks(&identities.collect::<Vec<_>>())?
        };
        for (network, &id) in self.networks.iter().zip(&networks) {
            if let Some(held) = network.held() {
                held.note(&ledger, id)?;
            }
        }
        // A new ledger has its inputs only afterwards.
        let is_new = self.header.is_some();
        if !is_new {
            for remark in calibrated_on(&ledger, &self.networks, &self.part)? {
                events.event(Event::Remark(remark));
            }
        }
        let clock = Clock::start(
            &ledger,
            &networks,
            (self.work.methods(), self.through),
            (&self.inputs, self.shard),
        )?;
        events.event(Event::PassStarted(Pass {
            kind,
            inputs: self.part.len(),
            networks: networks.len(),
            sigma: self.noise.0,
            rows: self.rows.map(|method| self.work.rows(method)),
        }));
        let held = answers(&ledger, &networks)?;
        let instances = self.networks.iter().zip(self.workers);
        let instances = instances.map(|(network, classifiers)| {
            let classifiers = classifiers.into_iter();
            classifiers.map(|one| network.instance(one)).collect()
        });
        let pass = Collection {
            ledger: &mut ledger,
            data: self.data,
            inputs: (&self.inputs, &self.part),
            networks: &networks,
            instances: instances.collect(),
            batch: self.batch,
            rows: self.rows,
        };
        let mut counted = Counted {
            events,
            evaluations: 0,
        };
        let outcome = self.work.run(pass, &mut counted);
        let finished = matches!(outcome, Ok(Outcome::Finished));
        let evaluations = counted.evaluations;
        let clocked = clock.stop(&ledger, &networks, evaluations);
        events.event(Event::PassEnded { finished });
        let remarks = self.afterwards.filter(|_| finished);
        let remarks = remarks.map(|remarks| {
            let all = answers(&ledger, &networks)?;
            let new = all
                .iter()
                .zip(&held)
                .map(|(all, held)| all.saturating_sub(*held));
            remarks(&ledger, &networks, &new.collect::<Vec<_>>())
        });
        let calibrated =
            (finished && is_new).then(|| calibrated_on(&ledger, &self.networks, &self.part));
        // A failure to close comes last: what went wrong before explains it.
        let closed = ledger.close();
        let outcome = outcome?;
        clocked?;
        closed?;
        for remarks in [remarks, calibrated] {
            for remark in remarks.transpose()?.into_iter().flatten() {
                events.event(Event::Remark(remark));
            }
        }
        Ok(outcome)
    }
}

/// How many answers of each network a ledger has, those on selection samples left out.
fn answers(ledger: &Ledger, networks: &[NetworkId]) -> Result<Vec<u64>> {
    let stored = networks.iter().map(|&network| ledger.stored_bytes(network));
    Ok(stored
        .map(|stored| stored.map(|stored| stored.samples))
        .collect::<Result<_, _>>()?)
}

/// Measures how long a run takes, for the ledger's journal, which says before what was to come.
struct Clock {
    methods: String,
    shard: Option<Shard>,
    started: Instant,
}

impl Clock {
    /// Records that a run of `networks` begins, where the last one of a network was not the same.
    fn start(
        ledger: &Ledger,
        networks: &[NetworkId],
        (methods, through): (String, bool),
        (inputs, shard): (&[u32], Option<Shard>),
    ) -> Result<Self> {
        let begun = JournalEvent::Begun {
            methods: methods.clone(),
            planned: inputs.len() as u64,
            through,
            shard,
            positions: shard.map(|_| Positions::new(inputs)),
        };
        let journal = ledger.journal()?;
        for (i, &network) in networks.iter().enumerate() {
            let last = journal.iter().rev().find(|entry| {
                let begins = matches!(entry.event, JournalEvent::Begun { .. });
                begins && entry.network == Some(network)
            });
            if last.is_none_or(|last| last.event != begun) && !networks[..i].contains(&network) {
                ledger.note(Some(network), &begun)?;
            }
        }
        Ok(Self {
            methods,
            shard,
            started: Instant::now(),
        })
    }

    /// Records how long the run took, if there was anything to do.
    fn stop(self, ledger: &Ledger, networks: &[NetworkId], evaluations: u64) -> Result<()> {
        let milliseconds = self.started.elapsed().as_millis();
        let ended = JournalEvent::Ended {
            methods: self.methods,
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
            shard: self.shard,
        };
        for (i, &network) in networks.iter().enumerate() {
            if evaluations > 0 && !networks[..i].contains(&network) {
                ledger.note(Some(network), &ended)?;
            }
        }
        Ok(())
    }
}

/// Counts the evaluations of a pass.
struct Counted<'a> {
    events: &'a mut dyn Events,
    evaluations: u64,
}

impl Events for Counted<'_> {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Evaluated { evaluations } = event {
            self.evaluations += evaluations;
        }
        self.events.event(event);
    }

    fn stop(&self) -> bool {
        self.events.stop()
    }
}

/// Remarks on the networks that were calibrated on some of these inputs of the ledger, as far
/// as their files and the ledger say it.
fn calibrated_on(ledger: &Ledger, networks: &[&Network], inputs: &[u32]) -> Result<Vec<Remark>> {
    let lists: Vec<_> = (networks.iter())
        .map(|network| (network, network.calibrated_on()))
        .filter(|(_, list)| !list.is_empty())
        .collect();
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = ledger.inputs()?;
    let inputs: BTreeSet<u32> = inputs.iter().copied().collect();
    known.retain(|input| inputs.contains(&input.idx));
    let shared = lists.into_iter().filter_map(|(network, list)| {
        let shared = known.iter().filter(|input| list.contains(&input.sha256));
        let shared = shared.count();
        (shared > 0).then(|| Remark::CalibratedOnInputs {
            network: network.identity().file.clone(),
            shared,
            inputs: inputs.len(),
        })
    });
    Ok(shared.collect())
}

/// Where networks begin with the same layers and their engine can compute these
/// once for all of them, puts classifiers in place that do. The answers are the
/// same.
fn share(
    networks: &[&Network],
    workers: &mut [Vec<Box<dyn Classifier>>],
) -> Result<Option<Remark>> {
    // A network that is named twice answers once.
    let mut distinct: Vec<usize> = Vec::new();
    let function = |i: usize| {
        let identity = networks[i].identity();
        (identity.sha256, &identity.output)
    };
    for (i, network) in networks.iter().enumerate() {
        if network.loaded().is_some() && distinct.iter().all(|&j| function(j) != function(i)) {
            distinct.push(i);
        }
    }
    let loaded: Vec<_> = (distinct.iter())
        .filter_map(|&i| networks[i].loaded())
        .collect();
    let Some(sharing) = Loaded::sharing(&loaded)? else {
        return Ok(None);
    };
    for worker in 0..workers.first().map_or(0, Vec::len) {
        for (&i, classifier) in distinct.iter().zip(sharing.worker()?) {
            workers[i][worker] = classifier;
        }
    }
    Ok(Some(Remark::LayersShared {
        networks: loaded.len(),
        layers: sharing.layers(),
        shared_fraction: sharing.shared_fraction(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{CertifyConfig, Recertification, RecertifyConfig, certify};

    #[test]
    fn networks_on_different_devices_run_with_one_number_of_workers() {
        let image = recert_engine::ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let data = Data::from_pixels("one dot", image, &[0.9], None).unwrap();
        let network = |limit: f32| {
            let bright = move |pixels: &[f32]| Some(u16::from(pixels[0] > limit));
            Network::from_fn(&format!("above {limit}"), 2, image, bright).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("dot.recert");
        let config = CertifyConfig {
            n: 200,
            ..CertifyConfig::new(0.25)
        };
        let original = network(0.5);
        let job = certify(&ledger, &config, &data, &original).unwrap();
        let outcome = job.run(&mut |_: Event<'_>| ()).unwrap();
        assert_eq!(outcome, Outcome::Finished);

        let networks = [network(0.51), network(0.49).on_device("GPU")];
        let usual = networks.each_ref().map(Network::usual_threads);
        let recertification =
            Recertification::open(&ledger, &RecertifyConfig::default(), 2).unwrap();
        let both = networks.iter().collect();
        let session = recertification.session(&data, both).unwrap();
        let counts: Vec<_> = session.workers.iter().map(Vec::len).collect();
        let least = *usual.iter().min().unwrap();
        assert_eq!(counts, [least, least]);
        let outcome = Job::new(session).run(&mut |_: Event<'_>| ()).unwrap();
        assert_eq!(outcome, Outcome::Finished);
    }
}
