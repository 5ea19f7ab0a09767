//! `recert certify` and `recert predict`: from scratch, into a ledger.

use std::path::Path;

use anyhow::Result;
use recert::data::Grid;
use recert::engine::{EngineOptions, Precision};
use recert::ledger::{Header, Ledger, Task};
use recert::noise::Law;
use recert::num::{Alpha, Radius, Sigma, clopper_pearson_lower, format_up};
use recert::smooth::bound::Shares;
use recert::smooth::run::seconds_an_image;
use recert::smooth::{Run, Threads, certify_until};

use super::{Runner, recertify};
use crate::args::{
    Certify, Method, NetworkArgs, NoiseLaw, Predict, Recertify, ScratchArgs, SubjectArgs,
};
use crate::config::{self, Data, Loaded, usage};
use crate::exit::{Code, Failure};
use crate::progress::Progress;

pub(crate) fn certify(args: &Certify) -> Result<()> {
    let Some(fast) = &args.via else {
        return from_scratch(args, "certify");
    };
    let (through, network) = via(args, fast);
    check_via(args, &through, &network)?;
    from_scratch(&through, Progress::NO_ROWS)?;
    recertify::run(&Recertify {
        ledger: args.scratch.ledger.clone(),
        model: vec![args.subject.model.clone()],
        method: vec![Method::Auto],
        budget: vec![args.via_budget.clone()],
        target_acr: None,
        until_radius: None,
        plan: false,
        json: false,
        among: None,
        gamma: 0.99,
        n_p: Vec::new(),
        sides: args.sides,
        alpha: Some(args.subject.alpha),
        data: Some(args.subject.data.clone()),
        limit: None,
        data_args: args.scratch.data_args.clone(),
        network,
        run: args.scratch.run.clone(),
    })
}

/// How to certify the fast network, and how the network itself is computed.
fn via(args: &Certify, fast: &Path) -> (Certify, NetworkArgs) {
    let mut through = args.clone();
    fast.clone_into(&mut through.subject.model);
    through.scratch.run.log = None;
    let mut network = args.scratch.network.clone();
    let fast = &mut through.scratch.network;
    let flags = [
        (&mut fast.engine, &args.via_engine),
        (&mut fast.precision, &args.via_precision),
        (&mut fast.device, &args.via_device),
    ];
    let mut differ = false;
    for (flag, given) in flags {
        if given.is_some() {
            flag.clone_from(given);
            differ = true;
        }
    }
    if differ {
        // What is left open would be taken from the ledger, which says how the
        // fast one is computed.
        let defaults = EngineOptions::default();
        let precision = || Precision::F32.to_string();
        network.precision.get_or_insert_with(precision);
        let device = || defaults.device().to_owned();
        network.device.get_or_insert_with(device);
    }
    (through, network)
}

/// Finds before the fast network is run what recertifying would find wrong
/// after it.
fn check_via(args: &Certify, through: &Certify, network: &NetworkArgs) -> Result<()> {
    let ScratchArgs {
        subset, data_args, ..
    } = &args.scratch;
    let data = Data::open(&args.subject.data, data_args)?;
    let inputs = data.subset(subset)?.len() as u64;
    let samples = config::samples("--n", args.n)? * inputs;
    let pairs = config::share_of("--via-budget", &args.via_budget, samples)?;
    recertify::check_alpha(args.subject.alpha, 1)?;
    let fast = Loaded::open_for(
        &args.scratch.ledger,
        &through.subject.model,
        &through.scratch.network,
        data.shape(),
    )?;
    let slow = recertify::open_like(&args.subject.model, network, &fast.identity(), data.shape())?;
    if slow.identity() == fast.identity() {
        return usage(
            "--via is the network itself, computed in the same way: name a faster version of it, or \
             give --via-precision or --via-engine",
        );
    }
    let seconds = |loaded: &Loaded| -> Result<f64> {
        Ok(seconds_an_image(loaded.network.worker()?.as_mut())?)
    };
    let [once, each] = [seconds(&slow)?, seconds(&fast)?];
    eprintln!(
        "recert: {}",
        prospect(
            each / once,
            args.n + args.n0,
            args.n0,
            pairs.div_ceil(inputs)
        )
    );
    Ok(())
}

/// What is to be said before `samples` of the fast network and `pairs` of the
/// network itself are evaluated on every input, if the fast one takes `part` of
/// the other's time.
///
/// A pair is worth about two samples from scratch or more (`bench/resnet20`), so
/// that the way pays where the fast network takes less time than the pairs.
fn prospect(part: f64, samples: u64, n0: u64, pairs: u64) -> String {
    let fast = part * samples as f64;
    let instead = (fast + pairs as f64).floor();
    let said = format!(
        "the --via network is {:.1} times as fast: an input takes as long as {instead} evaluations \
         of the network itself",
        1.0 / part,
    );
    let samples = instead - n0 as f64;
    if fast <= pairs as f64 || samples < 1.0 {
        return said;
    }
    format!("{said}; --n {samples} without --via is likely to certify more in the same time")
}

/// Certifies from n samples of the network itself; certificates of the method
/// `rows` make the rows.
fn from_scratch(args: &Certify, rows: &'static str) -> Result<()> {
    let sides = args.sides.sides();
    let until = args.until_radius;
    let until = until
        .map(|r| config::radius("--until-radius", r))
        .transpose()?;
    let rows = if until.is_some() { "until" } else { rows };
    let scratch = Scratch {
        alpha: config::alpha(args.subject.alpha, Shares::most_uneven(sides))?.get(),
        n: config::samples("--n", args.n)?,
        n0: config::samples("--n0", args.n0)?,
        ..Scratch::open(&args.subject, &args.scratch)?
    };
    if let Some(radius) = until {
        scratch.note_out_of_reach(radius)?;
    }
    let (runner, ledger, what) = scratch.start(Task::Certify, rows)?;
    let batch = runner.batch;
    let what = ("certified", what);
    runner.drive(ledger, what, &[], |ledger, workers, progress| {
        let networks = workers.into_iter().map(|all| (ledger.base(), all));
        let workers = &mut Threads::new(networks, batch)?;
        let (inputs, observer) = (&scratch.data.set, progress);
        let mut run = Run {
            ledger,
            inputs,
            workers,
            observer,
        };
        if let Some(radius) = until {
            return certify_until(&mut run, &scratch.inputs, radius);
        }
        recert::smooth::certify(&mut run, &scratch.inputs, sides)
    })
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    let scratch = Scratch {
        // The test is two-sided: half for each side.
        alpha: config::alpha(args.subject.alpha, &[1.0, 1.0])?.get(),
        n: config::samples("--n", args.n)?,
        ..Scratch::open(&args.subject, &args.scratch)?
    };
    let (runner, ledger, what) = scratch.start(Task::Predict, "predict")?;
    let batch = runner.batch;
    let what = ("predicted", what);
    runner.drive(ledger, what, &[], |ledger, workers, progress| {
        let networks = workers.into_iter().map(|all| (ledger.base(), all));
        let workers = &mut Threads::new(networks, batch)?;
        let (inputs, observer) = (&scratch.data.set, progress);
        let mut run = Run {
            ledger,
            inputs,
            workers,
            observer,
        };
        recert::smooth::predict(&mut run, &scratch.inputs)
    })
}

/// A run from scratch, checked and loaded.
struct Scratch<'a> {
    subject: &'a SubjectArgs,
    args: &'a ScratchArgs,
    law: Law,
    sigma: f64,
    alpha: f64,
    n: u64,
    n0: u64,
    data: Data,
    inputs: Vec<u32>,
    loaded: Loaded,
}

impl<'a> Scratch<'a> {
    /// Everything but the numbers of samples and alpha, which differ by task.
    fn open(subject: &'a SubjectArgs, args: &'a ScratchArgs) -> Result<Self> {
        let law = match args.noise {
            NoiseLaw::Gaussian => Law::Gaussian,
            NoiseLaw::Integer => Law::Integer,
        };
        let sigma = config::sigma(subject.sigma)?.get();
        law.check_sigma(sigma)
            .or_else(|e| usage(format!("--sigma: {e}")))?;
        let data = Data::open(&subject.data, &args.data_args)?;
        let inputs = data.subset(&args.subset)?;
        let loaded = Loaded::open_for(&args.ledger, &subject.model, &args.network, data.shape())?;
        data.check_labels(&inputs, loaded.network.classes())?;
        if law == Law::Integer {
            check_8_bit(&data, inputs[0])?;
        }
        Ok(Self {
            subject,
            args,
            law,
            sigma,
            alpha: subject.alpha,
            n: 0,
            n0: 0,
            data,
            inputs,
            loaded,
        })
    }

    /// Says so where n samples cannot certify a radius even if all are answered alike.
    fn note_out_of_reach(&self, radius: Radius) -> Result<()> {
        let p_lower = clopper_pearson_lower(self.n, self.n, Alpha::new(self.alpha)?)?;
        let most = Radius::one_sided(Sigma::new(self.sigma)?, p_lower)?;
        let most = most.map_or(0.0, Radius::get);
        if radius.get() > most {
            eprintln!(
                "recert: --until-radius {} is out of reach: --n {} samples, all answered alike, certify \
                 less than {}; inputs will be given up as soon as that is seen",
                radius.get(),
                self.n,
                format_up(most, 3),
            );
        }
        Ok(())
    }

    /// Opens the ledger, last of all: a wrong flag leaves none behind.
    fn start(&self, task: Task, rows: &'static str) -> Result<(Runner<'_>, Ledger, String)> {
        let dims = self.data.shape().len() as u64;
        self.law
            .charged_alpha(self.alpha, self.n, dims)
            .or_else(|e| usage(format!("--alpha: {e}")))?;
        let runner = Runner::new(std::slice::from_ref(&self.loaded), &self.args.run, rows)?;
        let ledger = Ledger::resume(&self.args.ledger, &self.header(task))?;
        let what = format!("{} inputs of {}", self.inputs.len(), self.subject.data);
        Ok((runner, ledger, what))
    }

    fn header(&self, task: Task) -> Header {
        let shape = self.data.shape();
        Header {
            task,
            sigma: self.sigma,
            n0: self.n0,
            n: self.n,
            alpha: self.alpha,
            generator: self.law.generator().to_owned(),
            seed: self.args.seed,
            network: self.loaded.identity(),
            data: self.data.record.clone(),
            shape: [shape.channels, shape.height, shape.width].map(|size| size as u32),
        }
    }
}

/// Fails if an input is not one that integer noise can be added to. The run
/// checks every input; the first is looked at here, before there is a ledger.
fn check_8_bit(data: &Data, idx: u32) -> Result<()> {
    if data.set.image(idx)?.grid == Grid::EightBit {
        return Ok(());
    }
    let message = format!("input {idx} is not 8-bit: integer noise needs pixels k/255");
    Err(Failure::new(Code::Input, message).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_through_a_network_that_is_hardly_faster_is_advised_against() {
        // 10,100 samples at a third, and 500 pairs.
        let said = prospect(1.0 / 3.0, 10_100, 100, 500);
        assert!(said.contains("3.0 times as fast"), "{said}");
        assert!(said.contains("as long as 3866 evaluations"), "{said}");
        assert!(said.contains("--n 3766 without --via"), "{said}");
        // 404 and 500.
        let said = prospect(0.04, 10_100, 100, 500);
        assert!(
            said.ends_with("as long as 904 evaluations of the network itself"),
            "{said}"
        );
        // Nothing that --n could be.
        assert!(!prospect(0.5, 150, 100, 20).contains("without"));
    }
}
