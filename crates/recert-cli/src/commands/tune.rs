//! `recert tune`: a search among versions of a certified network.

use recert::job::{DataOptions, Event, Space, TuneConfig, TuneEvent, TuneEvents, tune};

use crate::args::Tune;
use crate::exit::{Code, Failure, Result};
use crate::terminal::{self, count, print};

pub(crate) fn run(args: &Tune) -> Result<()> {
    let space = Space::from_file(&args.space)?;
    let mut config = TuneConfig::new(&args.ledger, &args.model, space, &args.out);
    config.network = args.network.config();
    config.search = args.search_args.config();
    config.budget = args.budget;
    let [json, page, plot] = ["tune.json", "tune.md", "tune.svg"].map(|name| args.out.join(name));
    let inputs = [
        (args.ledger.as_path(), "the ledger"),
        (args.model.as_path(), "the network"),
        (args.space.as_path(), "the search space"),
    ];
    for file in [&json, &page, &plot] {
        terminal::check_place("--out", file, &inputs)?;
    }
    let data = config.data(args.data.as_deref(), &DataOptions::default())?;
    let sigma = config.sigma()?;
    config.calibration = args
        .calibration
        .config(Some(sigma), args.data_args.config());
    terminal::watch_for_stop()?;
    let quiet = args.search_args.quiet;
    let tuned = tune(&config, &data, &mut Shown { quiet })?;
    let Some(tuned) = tuned else {
        let message = format!(
            "interrupted; {} holds what is done: the same command resumes",
            args.out.display()
        );
        return Err(Failure::new(Code::Interrupted, message));
    };
    let document = tuned.json()?;
    if args.json {
        print(&document)?;
    } else {
        print(&tuned.table())?;
    }
    for (file, text) in [
        (&json, document),
        (&page, tuned.markdown("tune.svg")),
        (&plot, tuned.svg()?),
    ] {
        if quiet {
            recert::output::write(file, text.as_bytes())?;
        } else {
            terminal::write(file, &text)?;
        }
    }
    Ok(())
}

/// Shows how far it is.
struct Shown {
    quiet: bool,
}

impl TuneEvents for Shown {
    fn event(&mut self, event: TuneEvent<'_>) {
        if self.quiet {
            return;
        }
        let networks = |number: usize| count(number as u64, "network");
        match event {
            TuneEvent::Layers { networks: number } => {
                terminal::remark(&format!("each layer by itself: {}", networks(number)));
            }
            TuneEvent::Proposed { networks: number } => {
                terminal::remark(&format!("looking at {}", networks(number)));
            }
            TuneEvent::Round {
                samples,
                networks: number,
            } => {
                let samples = count(samples, "sample");
                let networks = networks(number);
                terminal::remark(&format!("{networks} on {samples} of each input"));
            }
            TuneEvent::Chosen { files } => {
                let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
                terminal::remark(&format!("certifying {}", files.join(", ")));
            }
            TuneEvent::Pass(Event::Remark(remark)) => terminal::remark(&remark.to_string()),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        terminal::stopped()
    }
}
