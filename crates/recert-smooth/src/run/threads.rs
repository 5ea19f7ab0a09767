//! Workers that are threads of this process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use recert_engine::Classifier;
use recert_ledger::NetworkId;

use super::worker::Worker;
use super::{Reply, Request, Workers};
use crate::{Error, ErrorKind};

/// Requests in flight for each thread: one that it evaluates, and one that waits.
const IN_FLIGHT: usize = 2;

/// Threads that own classifiers: each thread one of every network. They end when this
/// is dropped.
#[derive(Debug)]
pub struct Threads {
    networks: Vec<NetworkId>,
    requests: Option<Sender<(Request, Arc<[f32]>)>>,
    replies: Receiver<Reply>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts threads for these networks, by their numbers in the ledger: as many as
    /// each of them has classifiers. `batch` is the number of images in one call of a
    /// classifier.
    ///
    /// ```
    /// use recert_engine::{Classifier, FnClassifier};
    /// # use recert_ledger::{Header, Ledger, Network, Task};
    /// use recert_smooth::run::{Threads, Workers};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let network = Network {
    /// #     sha256: [1; 32],
    /// #     file: "bright".into(),
    /// #     bytes: 0,
    /// #     engine: "closure".into(),
    /// #     engine_version: "1".into(),
    /// #     precision: "exact".into(),
    /// #     batch_invariant: true,
    /// #     preprocess: "none".into(),
    /// #     output: "class".into(),
    /// #     classes: 2,
    /// #     note: None,
    /// # };
    /// # let header = Header {
    /// #     task: Task::Certify,
    /// #     sigma: 0.25,
    /// #     n0: 10,
    /// #     n: 100,
    /// #     alpha: 0.001,
    /// #     generator: recert_noise::GENERATOR.into(),
    /// #     seed: 0,
    /// #     network,
    /// #     data: "made up".into(),
    /// #     shape: [1, 1, 1],
    /// # };
    /// let ledger = Ledger::create(&folder.path().join("run.recert"), &header)?;
    /// let classifier = || -> Box<dyn Classifier> {
    ///     Box::new(FnClassifier::new(2, 1, |image: &[f32]| Some(u16::from(image[0] > 0.5))))
    /// };
    /// let classifiers = vec![classifier(), classifier()];
    /// let threads = Threads::new([(ledger.base(), classifiers)], 32)?;
    /// assert_eq!(threads.in_flight(), 4, "two requests a thread");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A parameter error if there are no classifiers, not as many of each network, the
    /// same network twice, or the batch is 0.
    pub fn new(
        networks: impl IntoIterator<Item = (NetworkId, Vec<Box<dyn Classifier>>)>,
        batch: usize,
    ) -> Result<Self, Error> {
        let (networks, classifiers): (Vec<_>, Vec<_>) = networks.into_iter().unzip();
        let count = classifiers.first().map_or(0, Vec::len);
        if classifiers.iter().any(|own| own.len() != count) {
            return Err(Error::parameter(
                "every network needs as many classifiers as there are workers",
            ));
        }
        if count == 0 {
            return Err(Error::parameter("at least one worker is needed"));
        }
        super::distinct(&networks)?;
        let (requests, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let (results, replies) = channel();
        // The first classifier of every network to the first worker, and so on.
        let mut classifiers: Vec<_> = classifiers.into_iter().map(Vec::into_iter).collect();
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let own = classifiers.iter_mut().filter_map(Iterator::next).collect();
            let worker = Worker::new(own, batch)?;
            threads.push(start(worker, Arc::clone(&queue), results.clone())?);
        }
        Ok(Self {
            networks,
            requests: Some(requests),
            replies,
            threads,
        })
    }
}

fn start(
    mut worker: Worker,
    queue: Arc<Mutex<Receiver<(Request, Arc<[f32]>)>>>,
    replies: Sender<Reply>,
) -> Result<JoinHandle<()>, Error> {
    let work = move || {
        loop {
            // The lock is held while waiting: one idle worker waits on the queue, the
            // others on the lock.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((request, pixels)) = next else { break };
            if replies.send(worker.evaluate(&request, &pixels)).is_err() {
                break;
            }
        }
    };
    let thread = std::thread::Builder::new().name("recert worker".into());
    thread.spawn(work).map_err(|error| {
        let message = format!("a worker thread could not be started: {error}");
        Error::new(ErrorKind::Workers, message)
    })
}

impl Workers for Threads {
    fn networks(&self) -> &[NetworkId] {
        &self.networks
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT * self.threads.len()
    }

    fn submit(&mut self, request: Request, pixels: &Arc<[f32]>) -> Result<(), Error> {
        let sent = (self.requests.as_ref()).map(|queue| queue.send((request, Arc::clone(pixels))));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(gone()),
        }
    }

    fn next(&mut self) -> Result<Reply, Error> {
        self.replies.recv().map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Workers, "every worker thread has ended")
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            // It ended by a panic of its own, which it has printed.
            let _ = thread.join();
        }
    }
}
