//! `recert approximate`.

use recert::job::{ApproximateConfig, Numbers, Selected, approximate};
use recert::net::{HalfFormat, PruneScope};

use crate::args::Approximate;
use crate::exit::Result;
use crate::terminal::{self, print};

pub(crate) fn run(args: &Approximate) -> Result<()> {
    let made = approximate(&config(args))?;
    if args.json {
        print(&format!("{}\n", made.to_json()))?;
    } else {
        print(&made.to_string())?;
    }
    terminal::say!(
        "wrote {} ({} bytes)",
        made.file.display(),
        made.model.size()
    );
    Ok(())
}

fn config(args: &Approximate) -> ApproximateConfig {
    let scope = if args.prune_globally {
        PruneScope::Global
    } else {
        PruneScope::PerLayer
    };
    let numbers = if args.int8 {
        Some(Numbers::Int8 {
            bits: args.weight_bits,
            network: args.network.config(),
        })
    } else if args.fp16 {
        Some(Numbers::Half(HalfFormat::Float16))
    } else {
        args.bf16.then_some(Numbers::Half(HalfFormat::BFloat16))
    };
    let layers = if !args.layers.is_empty() {
        Selected::Only(args.layers.clone())
    } else if args.all_but.is_empty() {
        Selected::All
    } else {
        Selected::AllBut(args.all_but.clone())
    };
    ApproximateConfig {
        model: args.model.clone(),
        out: args.out.clone(),
        prune: args.prune.map(|share| (share, scope)),
        numbers,
        layers,
        calibration: args.calibrate.config(args.sigma, args.data_args.config()),
    }
}
