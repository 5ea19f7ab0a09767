//! `recert explain`: what proofs by bounds rest on.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recert::job::{
    self, Data, DataConfig, Event, Events, ExplainConfig, Network, RunConfig, Sampled,
};
use recert::output;
use recert::report::{features, table};

use crate::args::Explain;
use crate::exit::{Code, Failure, Result, usage, with_flag};
use crate::terminal::{self, print};

/// How many inputs the page shows with pictures, where that is not given.
const PICTURES: u32 = 50;

pub(crate) fn run(args: &Explain) -> Result<()> {
    check_places(args)?;
    let config = ExplainConfig {
        method: args.method,
        seed: args.seed,
        pictures: match (args.pictures, &args.html) {
            (Some(pictures), _) => pictures,
            (None, Some(_)) => PICTURES,
            (None, None) => 0,
        },
        memory: args.memory,
        subset: args.subset.config(),
        run: RunConfig {
            threads: args.threads,
            ..RunConfig::default()
        },
        ..ExplainConfig::default()
    };
    config.validate()?;
    if !args.quiet {
        terminal::warn_of_distance(args.norm, &args.eps);
    }
    let data = Data::open(&DataConfig {
        data: args.data.clone(),
        options: args.data_args.config(),
    })?;
    let load = |model: &Path| {
        let samples = Sampled::new(&data, args.eps.up().min(1.0));
        Network::open(model, &args.network.config(), samples)
    };
    let network = load(&args.model)?;
    let versus = args.versus.as_deref().map(load).transpose()?;
    let specification = (args.norm, &args.eps);
    let job = job::explain(&config, specification, &data, &network, versus.as_ref())?;
    let mut progress = Progress::new(args.quiet);
    terminal::watch_for_stop()?;
    let explanation = job.run(&mut progress);
    progress.bar.finish_and_clear();
    let Some(mut explanation) = explanation? else {
        let message = "interrupted; nothing is written";
        return Err(Failure::new(Code::Interrupted, message));
    };
    print(&features::table(
        &explanation,
        table::Options::default().width,
    )?)?;
    if let Some(path) = &args.html {
        write(args, path, &features::html(&explanation)?)?;
    }
    if let Some(path) = &args.json {
        if args.pictures.is_none() {
            explanation.drop_pictures();
        }
        write(args, path, &features::json(&explanation)?)?;
    }
    Ok(())
}

/// Fails if a file to write is one that is read, or both are one.
fn check_places(args: &Explain) -> Result<()> {
    let mut inputs = vec![(args.model.as_path(), "the network")];
    inputs.extend(
        args.versus
            .as_deref()
            .map(|versus| (versus, "the network to compare with")),
    );
    for (flag, file) in [("--json", &args.json), ("--html", &args.html)] {
        if let Some(file) = file {
            terminal::check_place(flag, file, &inputs)?;
        }
    }
    if args.json.is_some() && args.json == args.html {
        return usage("--json and --html are the same file");
    }
    Ok(())
}

fn write(args: &Explain, path: &Path, text: &str) -> Result<()> {
    if args.quiet {
        return Ok(output::write(path, text.as_bytes())?);
    }
    terminal::write(path, text)
}

/// Shows how far a run is.
struct Progress {
    quiet: bool,
    bar: ProgressBar,
    proved: [usize; 2],
}

impl Progress {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bar: ProgressBar::hidden(),
            proved: [0; 2],
        }
    }
}

impl Events for Progress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Remark(remark) if !self.quiet => {
                terminal::remark(&with_flag(&remark, remark.field()));
            }
            Event::ExplainStarted { inputs } if !self.quiet && std::io::stderr().is_terminal() => {
                let style = "{bar:32} {percent:>3}%  {human_pos} of {human_len}  {msg}";
                let style = ProgressStyle::with_template(style).expect("the template is constant");
                let target = ProgressDrawTarget::stderr();
                self.bar =
                    ProgressBar::with_draw_target(Some(inputs as u64), target).with_style(style);
                self.bar.enable_steady_tick(Duration::from_millis(500));
            }
            Event::Explained { input } => {
                for (proved, proof) in self.proved.iter_mut().zip(&input.proofs) {
                    *proved += usize::from(proof.is_proved());
                }
                self.bar.inc(1);
                let proved = self.proved[..input.proofs.len()]
                    .iter()
                    .map(usize::to_string);
                let proved = proved.collect::<Vec<_>>().join(" and ");
                self.bar.set_message(format!("{proved} proved"));
            }
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        terminal::stopped()
    }
}
