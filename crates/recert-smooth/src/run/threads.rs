//! Workers as threads of this process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use recert_ledger::NetworkId;

use super::instance::Instance;
use super::worker::Worker;
use super::{Reply, Request, Workers};
use crate::{Error, ErrorKind};

/// Requests in flight for each thread: one that it evaluates, and one that waits.
const IN_FLIGHT: usize = 2;

/// Threads that evaluate requests; each owns one instance of every network. The threads
/// end when this value is dropped.
#[derive(Debug)]
pub struct Threads {
    networks: Vec<NetworkId>,
    /// `None` once the threads shall end.
    queue: Option<Sender<Work>>,
    replies: Receiver<Reply>,
    handles: Vec<JoinHandle<()>>,
}

/// A request and its input's pixels.
type Work = (Request, Arc<[f32]>);

impl Threads {
    /// Starts as many threads as there are instances of each network: classifiers, or
    /// [answerers](super::Answerer). Networks are given by their numbers in the ledger; `batch` is
    /// the number of images in one call of a network.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/doc_setup.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.recert");
    /// use recert_smooth::run::{Threads, Workers};
    ///
    /// let ledger = Ledger::create(&path, &header())?;
    /// let classifiers = brighter_than(0.5);
    /// assert_eq!(classifiers.len(), 2);
    /// let threads = Threads::new([(ledger.base(), classifiers)], 32)?;
    /// assert_eq!(threads.in_flight(), 4, "two requests a thread");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A parameter error if there are no instances, if the networks have different numbers
    /// of them, if a network is named twice, or if the batch is 0.
    pub fn new<I: Into<Instance>>(
        networks: impl IntoIterator<Item = (NetworkId, Vec<I>)>,
        batch: usize,
    ) -> Result<Self, Error> {
        let (networks, instances): (Vec<_>, Vec<_>) = networks.into_iter().unzip();
        let count = instances.first().map_or(0, Vec::len);
        if instances.iter().any(|list| list.len() != count) {
            return Err(Error::parameter(
                "every network needs the same number of instances, one for each worker",
            ));
        }
        if count == 0 {
            return Err(Error::parameter("at least one worker is needed"));
        }
        super::distinct(&networks)?;
        let (queue, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let (results, replies) = channel();
        // The first worker gets the first instance of every network, and so on.
        let mut instances: Vec<_> = instances.into_iter().map(Vec::into_iter).collect();
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            let one_each = instances.iter_mut().filter_map(Iterator::next);
            let worker = Worker::with(one_each.map(I::into).collect(), batch)?;
            handles.push(start(worker, Arc::clone(&waiting), results.clone())?);
        }
        Ok(Self {
            networks,
            queue: Some(queue),
            replies,
            handles,
        })
    }
}

fn start(
    mut worker: Worker,
    waiting: Arc<Mutex<Receiver<Work>>>,
    replies: Sender<Reply>,
) -> Result<JoinHandle<()>, Error> {
    let work = move || {
        loop {
            // The lock is held while waiting: one idle worker waits on the queue, the
            // others on the lock.
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
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
        IN_FLIGHT * self.handles.len()
    }

    fn submit(&mut self, request: Request, pixels: &Arc<[f32]>) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        let work = (request, Arc::clone(pixels));
        queue.send(work).map_err(|_| gone())
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
        self.queue = None;
        for thread in self.handles.drain(..) {
            // A thread that panicked has printed the panic already.
            let _ = thread.join();
        }
    }
}
