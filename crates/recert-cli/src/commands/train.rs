//! `recert train`: from images and settings to a network.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{TrainConfig, TrainEvent, TrainEvents, Trained, train, train_checkpoint};
use recert::train::{Epoch, Scores};

use crate::args::Train;
use crate::exit::{Code, Failure, Result, usage};
use crate::terminal::{self, print};

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
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let job = train(config, &args.out, args.threads.unwrap_or(cores))?;
    let mut progress = Progress::new(args.quiet);
    terminal::watch_for_stop()?;
    let trained = job.run(&mut progress);
    progress.bar.finish_and_clear();
    let Some(trained) = trained? else {
        let message = format!(
            "interrupted; {} holds the epochs that are done: the same command resumes",
            train_checkpoint(&args.out).display()
        );
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

fn scores(name: &str, scores: Scores, eps: f64) -> String {
    let mut line = format!("{name}: clean {}", percent(scores.clean));
    let parts = [
        ("under noise", scores.noisy),
        ("adversarial", scores.adversarial),
        ("bounded", scores.certified),
    ];
    for (name, share) in parts {
        if let Some(share) = share {
            line += &format!(", {name} {}", percent(share));
        }
    }
    if scores.adversarial.is_some() || scores.certified.is_some() {
        line += &format!(" at {eps}");
    }
    line + "\n"
}

/// What is printed at the end.
fn summary(trained: &Trained) -> String {
    let mut text = format!(
        "{} epochs, that of number {} kept\n",
        trained.epochs.len(),
        trained.best.epoch
    );
    let rows = [("validation", trained.best.scores), ("test", trained.test)];
    for (name, found) in rows {
        if let Some(found) = found {
            text += &scores(name, found, trained.eps);
        }
    }
    text
}

/// Shows how far a training is.
struct Progress {
    quiet: bool,
    bar: ProgressBar,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bar: ProgressBar::hidden(),
        }
    }

    /// A line about an epoch.
    fn epoch(&self, epoch: &Epoch) {
        let mut line = format!("epoch {}: loss {:.4}", epoch.number, epoch.loss);
        let mut share = |name: &str, share: Option<f64>| {
            if let Some(share) = share {
                line += &format!(", {name} {}", percent(share));
            }
        };
        share("points", epoch.points);
        share("bounded", epoch.certified);
        if let Some(found) = epoch.validation {
            share("validation clean", Some(found.clean));
            share("under noise", found.noisy);
            share("adversarial", found.adversarial);
            share("bounded", found.certified);
        }
        line += &format!(", eps {:.4}, {:.1} s", epoch.eps, epoch.seconds);
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
                weights,
                epochs,
                done,
            } => {
                let mut line =
                    format!("{method}: {trained} images, {kept} for validation, {weights} weights");
                if done > 0 {
                    line += &format!("; {done} of {epochs} epochs were done before");
                }
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
            TrainEvent::Warning(text) => terminal::remark(&text),
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
