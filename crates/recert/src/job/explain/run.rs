//! Running an explanation: workers that take an input each, and the whole in the inputs' order.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use recert_bounds::Options;
use recert_engine::Classifier;
use recert_ledger::hex;
use recert_report::features::{ExplainedInput, ExplainedNetwork, Explanation};

use super::ExplainJob;
use crate::job::data::DataConfig;
use crate::job::event::{Event, Events};
use crate::{Error, ErrorKind, Result};

/// How often a run looks whether it is to stop.
const WATCH: Duration = Duration::from_millis(200);

/// What a worker found, of the input at a position.
type Found = (usize, Result<ExplainedInput>);

impl ExplainJob<'_> {
    /// Runs the job and reports each input to `events` as it is done; `None` where these stopped it.
    ///
    /// # Errors
    /// Whatever reading inputs, running the networks and computing bounds fails with.
    pub fn run(self, events: &mut dyn Events) -> Result<Option<Explanation>> {
        for remark in &self.remarks {
            events.event(Event::Remark(remark.clone()));
        }
        events.event(Event::ExplainStarted {
            inputs: self.inputs.len(),
        });
        let mut explained: Vec<Option<ExplainedInput>> = vec![None; self.inputs.len()];
        self.explain(events, &mut explained)?;
        let inputs: Option<Vec<ExplainedInput>> = explained.into_iter().collect();
        Ok(inputs.map(|inputs| self.explanation(inputs)))
    }

    fn explain(
        &self,
        events: &mut dyn Events,
        explained: &mut [Option<ExplainedInput>],
    ) -> Result<()> {
        let threads = self
            .config
            .run
            .threads
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        let workers = threads.min(self.inputs.len());
        let options = Options {
            memory: usize::try_from(self.config.memory).unwrap_or(usize::MAX) / workers,
            threads: threads / workers,
        };
        let mut classifiers = Vec::with_capacity(workers);
        for _ in 0..workers {
            let of_worker = self.sides.iter().map(|side| side.network.worker());
            classifiers.push(of_worker.collect::<Result<Vec<_>>>()?);
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for classifiers in classifiers {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                let work = move || self.work(classifiers, options, (next, stop), &sender);
                let worker = thread::Builder::new().name("explain".to_owned());
                if let Err(why) = worker.spawn_scoped(scope, work) {
                    stop.store(true, Ordering::Relaxed);
                    let message = format!("a worker could not be started: {why}");
                    return Err(Error::new(ErrorKind::Workers, message));
                }
            }
            drop(sender);
            let mut failure = None;
            loop {
                if events.stop() {
                    stop.store(true, Ordering::Relaxed);
                }
                match results.recv_timeout(WATCH) {
                    Ok((position, Ok(input))) => {
                        events.event(Event::Explained { input: &input });
                        explained[position] = Some(input);
                    }
                    Ok((_, Err(error))) => {
                        stop.store(true, Ordering::Relaxed);
                        failure.get_or_insert(error);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            failure.map_or(Ok(()), Err)
        })
    }

    /// One worker: takes inputs until there are none, or the run stops.
    fn work(
        &self,
        mut classifiers: Vec<Box<dyn Classifier>>,
        options: Options,
        (next, stop): (&AtomicUsize, &AtomicBool),
        results: &Sender<Found>,
    ) {
        while !stop.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(&idx) = self.inputs.get(position) else {
                return;
            };
            let pictured = position < self.config.pictures as usize;
            let found = self.input((idx, pictured), &mut classifiers, options);
            if results.send((position, found)).is_err() {
                return;
            }
        }
    }

    fn explanation(&self, inputs: Vec<ExplainedInput>) -> Explanation {
        let specification = self.norm.specification(&self.epsilon, None);
        let record = self.data.record();
        let files: Vec<&str> = (self.sides.iter())
            .map(|side| side.network.identity().file.as_str())
            .collect();
        let networks = self.sides.iter().map(|side| {
            let identity = side.network.identity();
            ExplainedNetwork {
                network: identity.file.clone(),
                network_sha256: hex(&identity.sha256),
                engine: identity.engine.to_string(),
                preprocessing: identity.preprocess.clone(),
                neurons: side.cut.neurons() as u64,
            }
        });
        Explanation {
            title: format!("Proof features of {}", files.join(" and ")),
            generated: format!("made by recert {}", env!("CARGO_PKG_VERSION")),
            specification: specification.to_string(),
            statement: specification.statement(),
            method: self.config.method.name().to_owned(),
            data: DataConfig::from_record(record)
                .map_or_else(|| record.to_owned(), |record| record.data),
            seed: self.config.seed,
            networks: networks.collect(),
            inputs,
        }
    }
}
