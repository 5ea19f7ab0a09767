//! A network's first runs in an engine, in a process of their own: what ends that process, such as
//! a violated memory access or an `abort` in the engine's library, ends no other.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use recert_graph::Model;
use serde::{Deserialize, Serialize};

use crate::guard::guarded;
use crate::probe;
use crate::{EngineIdentity, EngineOptions, Error, ErrorKind, Runtime, Session, Setting, engines};

/// How long the first runs may take, loading included.
const LIMIT: Duration = Duration::from_mins(5);

/// How much longer the process lives by itself, should nobody be left to end it.
const GRACE: Duration = Duration::from_secs(10);

/// How often it is looked whether the process ended, at most.
const LOOK: Duration = Duration::from_millis(20);

/// How to start a process that calls [`Apart::serve`]: engines that are libraries of others run
/// every network there first, for a few images ([`EngineOptions::apart`]).
///
/// A process costs its own start, loading the engine's library, and loading the network once more.
///
/// ```no_run
/// use recert_engine::{Apart, EngineOptions, engines};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // This very program, which began so:
/// if std::env::args().nth(1).as_deref() == Some("first-runs") {
///     return Ok(Apart::serve(&mut std::io::stdin())?);
/// }
/// let apart = Apart::new(std::env::current_exe()?, ["first-runs"]);
/// let options = EngineOptions { apart: Some(apart), ..EngineOptions::default() };
/// let engine = engines::open("openvino", &options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart(Arc<Start>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    program: PathBuf,
    arguments: Vec<OsString>,
    limit: Duration,
}

/// What the process is to do; the network's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    engine: String,
    precision: Option<String>,
    device: Option<String>,
    network: String,
    input: String,
    outputs: Vec<String>,
    /// The shapes of inputs to run, one after the other.
    shapes: Vec<Vec<usize>>,
    /// The length of the network's file, in bytes.
    bytes: usize,
    /// After how many seconds the process ends by itself.
    seconds: u64,
}

impl Apart {
    /// Starts `program` with `arguments`.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self(Arc::new(Start {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limit: LIMIT,
        }))
    }

    /// The same with another limit than 300 seconds on the time that the first runs of a network
    /// may take, loading included.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let start = Start {
            limit,
            ..(*self.0).clone()
        };
        Self(Arc::new(start))
    }

    /// What the process does: reads from `request` what to run, and runs it. It is to end then,
    /// with exit code 0 if this returned no error.
    ///
    /// That the engine refuses the network is no error: whoever asked meets the same refusal.
    ///
    /// # Errors
    /// [`ErrorKind::Run`] for what is no request, or a part of one.
    pub fn serve(request: &mut dyn Read) -> Result<(), Error> {
        serve(request, |request| {
            let options = request.options()?;
            engines::open(&request.engine, &options)
        })
    }

    /// Runs a network in such a process.
    ///
    /// # Errors
    /// [`ErrorKind::Crash`] where the process does not end by itself and in time;
    /// [`ErrorKind::Run`] where it cannot be started.
    fn run(&self, request: &Request, engine: &EngineIdentity, model: &Model) -> Result<(), Error> {
        let Start {
            program,
            arguments,
            limit,
        } = &*self.0;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C is for whoever waits for it, and would look like a fault of the engine.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let failed = |why: io::Error| {
            let message = format!(
                "{}: no process could be started to try {} on it: {}: {why}",
                request.network,
                engine.name,
                program.display(),
            );
            Error::new(ErrorKind::Run, message).because(why)
        };
        let mut child = command.spawn().map_err(failed)?;
        let mut stdin = child.stdin.take();
        let ended = thread::scope(|scope| {
            scope.spawn(move || {
                // A process that ended early reads no more, and a part of a request is none: how
                // the process ended is what counts.
                if let (Some(stdin), Ok(line)) = (&mut stdin, serde_json::to_vec(request)) {
                    let _ = stdin
                        .write_all(&line)
                        .and_then(|()| stdin.write_all(b"\n"))
                        .and_then(|()| stdin.write_all(model.bytes()));
                }
            });
            wait(&mut child, *limit)
        });
        let why = match ended.map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => format!("crashed on this network ({})", how(status)),
            None => format!(
                "did not answer its first images within {} s",
                limit.as_secs_f64()
            ),
        };
        let message = format!(
            "{}: {} {} {why}: choose another engine",
            request.network, engine.name, engine.version
        );
        Err(Error::new(ErrorKind::Crash, message).about(Setting::Engine))
    }
}

/// Waits for a process to end, and ends it at the limit.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (2 * pause).min(LOOK);
    }
}

/// How a process ended.
fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.to_string()
}

impl Request {
    fn options(&self) -> Result<EngineOptions, Error> {
        let precision = self.precision.as_deref().map(str::parse).transpose()?;
        Ok(EngineOptions {
            precision,
            device: self.device.clone(),
            apart: None,
        })
    }
}

fn serve(
    request: &mut dyn Read,
    open: impl FnOnce(&Request) -> Result<Box<dyn Runtime>, Error> + Send,
) -> Result<(), Error> {
    let unread = |why: String| {
        Error::new(
            ErrorKind::Run,
            format!("what was read is no request for first runs: {why}"),
        )
    };
    let mut reader = BufReader::new(request);
    let mut line = Vec::new();
    (reader.read_until(b'\n', &mut line)).map_err(|why| unread(why.to_string()))?;
    let request: Request = serde_json::from_slice(&line).map_err(|why| unread(why.to_string()))?;
    let mut bytes = Vec::new();
    (reader.read_to_end(&mut bytes)).map_err(|why| unread(why.to_string()))?;
    if bytes.len() != request.bytes {
        return Err(unread(format!(
            "{} bytes of a network of {}",
            bytes.len(),
            request.bytes
        )));
    }
    let seconds = Duration::from_secs(request.seconds);
    thread::spawn(move || {
        thread::sleep(seconds);
        std::process::abort();
    });
    // Whoever asked meets every error by itself, and every panic.
    let _ = guarded(&request.network, &request.engine, || {
        let model = Model::from_bytes(request.network.as_str(), bytes)
            .map_err(|why| Error::new(ErrorKind::Model, why.to_string()))?;
        let engine = open(&request)?;
        let outputs: Vec<&str> = request.outputs.iter().map(String::as_str).collect();
        let mut session = engine.load(&model, &request.input, &outputs)?;
        for shape in &request.shapes {
            session.run(&probe::batch(shape), shape)?;
        }
        Ok(())
    });
    Ok(())
}

/// An engine that runs every network in a process of its own first.
pub(crate) struct FirstApart {
    pub(crate) engine: Box<dyn Runtime>,
    pub(crate) name: &'static str,
    pub(crate) options: EngineOptions,
    pub(crate) apart: Apart,
}

impl Runtime for FirstApart {
    fn identity(&self, model: &Model) -> EngineIdentity {
        self.engine.identity(model)
    }

    fn first_runs(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
        shapes: &[Vec<usize>],
    ) -> Result<(), Error> {
        let request = Request {
            engine: self.name.to_owned(),
            precision: self
                .options
                .precision
                .map(|precision| precision.to_string()),
            device: self.options.device.clone(),
            network: model.name().to_owned(),
            input: input.to_owned(),
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
            shapes: shapes.to_vec(),
            bytes: model.bytes().len(),
            seconds: (self.apart.0.limit + GRACE).as_secs(),
        };
        self.apart.run(&request, &self.identity(model), model)
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        self.engine.load(model, input, outputs)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Mutex;

    use recert_graph::testing::Net;

    use super::*;
    use crate::Output;
    use crate::engines::Direct;

    fn model() -> Model {
        let net = Net::new(13)
            .input("x", &[-1, 1, 2, 2])
            .output("y", &[-1, 4])
            .node("Flatten", &["x"], "y");
        net.model()
    }

    /// An engine that keeps the shapes of its inputs.
    #[derive(Clone, Default)]
    struct Runs(Arc<Mutex<Vec<Vec<usize>>>>);

    impl Runtime for Runs {
        fn identity(&self, model: &Model) -> EngineIdentity {
            Direct.identity(model)
        }

        fn load(&self, _: &Model, _: &str, _: &[&str]) -> Result<Box<dyn Session>, Error> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Session for Runs {
        fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
            assert_eq!(input.len(), shape.iter().product::<usize>());
            self.0.lock().unwrap().push(shape.to_vec());
            Ok(Vec::new())
        }

        fn fork(&self) -> Result<Box<dyn Session>, Error> {
            Ok(Box::new(self.clone()))
        }
    }

    /// The first runs of a network where a shell does `script` in the place of this program.
    fn first_runs(program: &str, script: &str, limit: Duration) -> Result<(), Error> {
        let engine = FirstApart {
            engine: Box::new(Direct),
            name: "direct",
            options: EngineOptions::default(),
            apart: Apart::new(program, ["-c", script]).within(limit),
        };
        engine.first_runs(&model(), "x", &["y"], &[vec![1, 1, 2, 2]])
    }

    #[test]
    fn however_a_process_ends_the_engine_is_named() {
        let long = Duration::from_mins(1);
        first_runs("sh", "cat > /dev/null", long).unwrap();
        // It need not read what it is sent.
        first_runs("sh", "exit 0", long).unwrap();
        let short = Duration::from_millis(50);
        for (script, limit, words) in [
            ("kill -SEGV $$", long, "crashed on this network (signal 11)"),
            ("cat > /dev/null; kill -ABRT $$", long, "(signal 6)"),
            ("exit 3", long, "crashed on this network (exit status: 3)"),
            ("exec sleep 60", short, "its first images within 0.05 s"),
        ] {
            let error = first_runs("sh", script, limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Crash, "{script}: {error}");
            assert_eq!(error.setting(), Some(Setting::Engine));
            for part in [words, "direct", "choose another engine"] {
                assert!(error.to_string().contains(part), "{script}: {error}");
            }
        }
        let error = first_runs("/nowhere/recert", "", long).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Run, "{error}");
        assert!(error.to_string().contains("/nowhere/recert"), "{error}");
    }

    #[test]
    fn a_request_is_read_whole_and_run() {
        let model = model();
        let request = Request {
            engine: "direct".to_owned(),
            precision: None,
            device: None,
            network: "net.onnx".to_owned(),
            input: "x".to_owned(),
            outputs: vec!["y".to_owned()],
            shapes: vec![vec![1, 1, 2, 2], vec![3, 1, 2, 2]],
            bytes: model.bytes().len(),
            seconds: 600,
        };
        let mut sent = serde_json::to_vec(&request).unwrap();
        sent.push(b'\n');
        sent.extend(model.bytes());
        let runs = Runs::default();
        let asked = runs.clone();
        serve(&mut &*sent, move |_| Ok(Box::new(asked))).unwrap();
        assert_eq!(*runs.0.lock().unwrap(), request.shapes);
        // That an engine refuses a network, and that it panics, is met by whoever asked.
        let refuse = |_: &Request| Err(Error::new(ErrorKind::Unsupported, "never"));
        serve(&mut &*sent, refuse).unwrap();
        serve(&mut &*sent, |_| panic!("a fault of the engine")).unwrap();
        for part in [&sent[..sent.len() - 1], &sent[..20], b"", b"{}\n"] {
            let error = Apart::serve(&mut &*part).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Run, "{error}");
        }
    }
}
