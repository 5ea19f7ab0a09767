//! `recert sensitivity`: layers, each changed alone.

use recert::job::{
    DataOptions, Event, SensitivityConfig, SensitivityEvent, SensitivityEvents, sensitivity,
};

use crate::args::Sensitivity;
use crate::exit::{Failure, Result};
use crate::terminal::{self, count, print};

pub(crate) fn run(args: &Sensitivity) -> Result<()> {
    let mut config = SensitivityConfig::new(&args.ledger, &args.model, args.change.clone());
    config.versions.clone_from(&args.versions);
    config.computations.clone_from(&args.computations);
    config.network = args.network.config();
    config.search = args.search_args.config();
    if let Some(search) = &args.search {
        config.samples_ledger.clone_from(search);
    }
    let inputs = [
        (args.ledger.as_path(), "the ledger"),
        (args.model.as_path(), "the network"),
        (config.samples_ledger.as_path(), "the ledger of the search"),
    ];
    if let Some(svg) = &args.svg {
        terminal::check_place("--svg", svg, &inputs)?;
    }
    // How to read data is said of the images of the calibration; the ledger records it of its own.
    let data = config.data(args.data.as_deref(), &DataOptions::default())?;
    let sigma = config.sigma()?;
    config.calibration = args
        .calibration
        .config(Some(sigma), args.data_args.config());
    terminal::watch_for_stop()?;
    let mut shown = Shown {
        quiet: args.search_args.quiet,
        networks: 0,
    };
    let Some(report) = sensitivity(&config, &data, &mut shown)? else {
        return Err(Failure::interrupted());
    };
    if args.json {
        print(&report.json()?)?;
    } else {
        print(&report.table())?;
    }
    let Some(svg) = &args.svg else {
        return Ok(());
    };
    let drawn = report.svg()?;
    if args.search_args.quiet {
        return Ok(recert::output::write(svg, drawn.as_bytes())?);
    }
    terminal::write(svg, &drawn)
}

/// Shows how far it is.
struct Shown {
    quiet: bool,
    networks: usize,
}

impl SensitivityEvents for Shown {
    fn event(&mut self, event: SensitivityEvent<'_>) {
        match event {
            SensitivityEvent::Started { networks, inputs } => {
                self.networks = networks;
                if !self.quiet {
                    let networks = count(networks as u64, "network");
                    let inputs = count(inputs as u64, "input");
                    terminal::remark(&format!("{networks} on {inputs}"));
                }
            }
            SensitivityEvent::Done { networks } if !self.quiet => {
                terminal::remark(&format!("{networks} of {} networks", self.networks));
            }
            SensitivityEvent::Pass(Event::Remark(remark)) if !self.quiet => {
                terminal::remark(&remark.to_string());
            }
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        terminal::stopped()
    }
}
