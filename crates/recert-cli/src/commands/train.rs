//! `recert train`: from images and settings to a network.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{TrainConfig, TrainEvent, TrainEvents, Trained, train, train_checkpoint};
use recert::train::{Epoch, Scores};

use crate::args::Train;
use crate::exit::{Code, Failure, Result, usage};
use crate::terminal::{self, count, print};

pub(crate) fn run(args: &Train) -> Result<()> {
    let flags = args.config();
    let config = match &args.file {
        Some(file) => TrainConfig::from_file(file)?.under(flags),
        None => flags,
    };
    if let Some(page) = &args.page {
        let mut inputs = vec![(args.out.as_path(), "the network")];
        inputs.extend(args.file.as_deref().map(|file| (file, "the settings")));
        terminal::check_place("--page", page, &inputs)?;
        if *page == args.out {
            return usage("--page and --out are the same file");
        }
        recert::output::check_folder(page)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let job = train(config, &args.out, args.threads.unwrap_or(cores))?;
    let mut progress = Progress::new(args.quiet);
    terminal::watch_for_stop()?;
    let trained = job.run(&mut progress);
    progress.clear();
    let Some(trained) = trained? else {
        let checkpoint = train_checkpoint(&args.out);
        let message = if checkpoint.exists() {
            format!(
                "interrupted; {} holds the epochs that are done: the same command resumes",
                checkpoint.display()
            )
        } else {
            "interrupted before an epoch was done: nothing was written".to_owned()
        };
        return Err(Failure::new(Code::Interrupted, message));
    };
    print(&summary(&trained))?;
    if let Some(page) = &args.page {
        write(args, page, &trained.page)?;
    }
    if !args.quiet {
        terminal::say!(
            "wrote {} ({} bytes)",
            trained.file.display(),
            trained.model.size()
        );
    }
    Ok(())
}

fn write(args: &Train, path: &Path, text: &str) -> Result<()> {
    if args.quiet {
        return Ok(recert::output::write(path, text.as_bytes())?);
    }
    terminal::write(path, text)
}

/// A share in per cent, rounded down.
fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 1e4).floor() / 100.0)
}

/// Shares by their names, those that there are, with commas between them.
fn shares(parts: &[(&str, Option<f64>)]) -> String {
    let known = parts
        .iter()
        .filter_map(|(name, share)| Some((name, (*share)?)));
    let known = known.map(|(name, share)| format!("{name} {}", percent(share)));
    known.collect::<Vec<_>>().join(", ")
}

/// What was reached on some images.
fn scores(found: Scores) -> String {
    shares(&[
        ("clean", Some(found.clean)),
        ("under noise", found.noisy),
        ("adversarial", found.adversarial),
        ("bounded", found.certified),
    ])
}

/// What is printed at the end.
fn summary(trained: &Trained) -> String {
    let mut text = format!(
        "{}; the network is that of epoch {}\n",
        count(trained.epochs.len() as u64, "epoch"),
        trained.best.epoch
    );
    let rows = [("validation", trained.best.scores), ("test", trained.test)];
    for (name, found) in rows {
        let Some(found) = found else { continue };
        let near = found.adversarial.is_some() || found.certified.is_some();
        let about = near.then(|| format!(" at {}", trained.scored));
        let lines = [
            &text,
            name,
            ": ",
            &scores(found),
            &about.unwrap_or_default(),
            "\n",
        ];
        text = lines.concat();
    }
    text
}

/// Shows how far a training is.
pub(super) struct Progress {
    quiet: bool,
    bar: ProgressBar,
    /// Whether something grows over a ramp.
    ramps: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bar: ProgressBar::hidden(),
            ramps: false,
        }
    }

    /// Takes the bar off the terminal.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// A line about an epoch.
    fn epoch(&self, epoch: &Epoch) {
        let mut parts = vec![format!("loss {:.4}", epoch.loss)];
        let trained = [("points", epoch.points), ("bounded", epoch.certified)];
        parts.extend(Some(shares(&trained)).filter(|text| !text.is_empty()));
        let validation = epoch
            .validation
            .map(|found| format!("validation {}", scores(found)));
        parts.extend(validation);
        if epoch.eps > 0.0 {
            parts.push(format!("eps {:.4}", epoch.eps));
        }
        if self.ramps {
            parts.push(format!("ramp {}", percent(epoch.ramp)));
        }
        parts.push(format!("{:.1} s", epoch.seconds));
        let line = format!("epoch {}: {}", epoch.number, parts.join(", "));
        self.bar.suspend(|| terminal::remark(&line));
    }
}

impl TrainEvents for Progress {
    fn event(&mut self, event: TrainEvent<'_>) {
        if self.quiet {
            return;
        }
        match event {
            TrainEvent::Started {
                method,
                images: [trained, kept],
                classes,
                weights,
                epochs,
                done,
            } => {
                self.ramps = method.ramps();
                let before = match done {
                    0 => String::new(),
                    _ => format!("; {done} of {epochs} epochs were done before"),
                };
                let line = format!(
                    "{method}: {}, {kept} for validation, {classes} classes, {}{before}",
                    count(trained as u64, "image"),
                    count(weights as u64, "weight")
                );
                terminal::remark(&line);
                if std::io::stderr().is_terminal() {
                    let style = "{bar:32} {percent:>3}%  {msg}";
                    let style =
                        ProgressStyle::with_template(style).expect("the template is constant");
                    let target = ProgressDrawTarget::stderr();
                    self.bar = ProgressBar::with_draw_target(Some(1000 * epochs as u64), target)
                        .with_style(style);
                }
            }
            TrainEvent::Warning(text) | TrainEvent::Unused(text) => terminal::remark(text),
            TrainEvent::Tested(report) => terminal::remark(&format!(
                "{} computes as the processor does: {} operations at the sizes of this training, \
                 exactly in whole numbers, in fractions to {:.0e} of the largest",
                report.device, report.probes, report.worst
            )),
            TrainEvent::Step { progress, left } => {
                let done = progress.epoch as f64 + progress.step as f64 / progress.steps as f64;
                self.bar.set_position((1000.0 * done) as u64);
                let left = HumanDuration(Duration::from_secs(left.as_secs()));
                let message = format!("loss {:.4}, {left} left", progress.loss);
                self.bar.set_message(message);
            }
            TrainEvent::Epoch(epoch) => self.epoch(epoch),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        terminal::stopped()
    }
}
