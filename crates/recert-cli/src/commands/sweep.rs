//! `recert sweep`: a family of networks, trained and scored.

use recert::job::{Event, SweepConfig, SweepEvent, SweepEvents, TrainEvents, sweep};
use recert::report::sweep::Sweep;

use super::train::Progress;
use crate::args;
use crate::exit::{Code, Failure, Result};
use crate::terminal::{self, print};

pub(crate) fn run(args: &args::Sweep) -> Result<()> {
    let config = SweepConfig::from_file(&args.file)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(cores);
    let job = sweep(config, &args.out, args.test_front, threads)?;
    let [json, page, plot] =
        ["sweep.json", "sweep.md", "sweep.svg"].map(|name| args.out.join(name));
    for file in [&json, &page, &plot] {
        terminal::check_place("--out", file, &[(&args.file, "the settings")])?;
    }
    terminal::watch_for_stop()?;
    let mut shown = Shown {
        quiet: args.quiet,
        training: Progress::new(args.quiet),
    };
    let swept = job.run(&mut shown);
    shown.training.clear();
    let Some(swept) = swept? else {
        let message = format!(
            "interrupted; {} holds what is done: the same command resumes",
            args.out.display()
        );
        return Err(Failure::new(Code::Interrupted, message));
    };
    let document = swept.json()?;
    if args.json {
        print(&document)?;
    } else {
        print(&swept.table()?)?;
    }
    let files = [
        (&json, document),
        (&page, swept.markdown("sweep.svg")?),
        (&plot, swept.svg()?),
    ];
    for (file, text) in files {
        if args.quiet {
            recert::output::write(file, text.as_bytes())?;
        } else {
            terminal::write(file, &text)?;
        }
    }
    all_trained(&swept)
}

/// Fails where points do, once all else is done and written.
fn all_trained(swept: &Sweep) -> Result<()> {
    let failed: Vec<&str> = (swept.failed.iter())
        .map(|point| point.name.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of {} networks could not be trained: {}; the results have why, and the same command tries them again",
        failed.len(),
        failed.len() + swept.points.len(),
        failed.join(", ")
    );
    Err(Failure::new(Code::Other, message))
}

/// Shows how far a sweep is.
struct Shown {
    quiet: bool,
    training: Progress,
}

impl SweepEvents for Shown {
    fn event(&mut self, event: SweepEvent<'_>) {
        if self.quiet {
            return;
        }
        match event {
            SweepEvent::Point {
                name,
                number,
                points,
                trained,
            } => {
                let before = if trained { ", trained before" } else { "" };
                terminal::remark(&format!("{} of {points}: {name}{before}", number + 1));
            }
            SweepEvent::Warning(text) => terminal::remark(text),
            SweepEvent::Train(event) => self.training.event(event),
            SweepEvent::Failed { name, error } => {
                self.training.clear();
                terminal::remark(&format!("{name}: could not be trained: {error}"));
            }
            SweepEvent::Score(event) => {
                self.training.clear();
                if let Event::Remark(remark) = event {
                    terminal::remark(&remark.to_string());
                }
            }
            SweepEvent::Scored {
                name,
                accuracy,
                test,
            } => {
                let images = if test { "test" } else { "validation" };
                terminal::remark(&format!(
                    "{name}: of {} {images} images {} right, {} certified, {} undecided",
                    accuracy.images, accuracy.natural, accuracy.certified, accuracy.undecided
                ));
            }
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        terminal::stopped()
    }
}
