//! The flags of `recert sweep`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Ends the help of `sweep`.
const SWEEP: &str = "\
Example, sweep.toml:
  data = \"idx:mnist\"
  test = \"idx:mnist\"
  validation = 5000
  preset = \"mnist-0.1-mtl-ibp\"

  [sweep]
  alpha = [0.01, 0.1, 0.5]
  seed = [1, 2]

  [score]
  eps = 0.1
  timeout = 10
  images = 1000

  recert sweep sweep.toml --out mnist-sweep

Before the tables stand the settings that all trainings have in common, as in a file of `recert
train`. [sweep] has lists of values of others, of which every combination is trained; several
[[sweep]] are several such grids. [score] says what counts as certified: by bounds in L-inf (eps, as
0.1 or \"8/255\"; timeout, in seconds, and complete), or under noise in L2 (sigma, radius; n, n0 and alpha), on at
most `images` (1000) of the images that were kept for validation. docs/training.md has more.

The folder gets NAME.onnx and NAME.recert of every network, the validation images, and sweep.json,
sweep.md and sweep.svg. The same command again goes on where it was stopped or killed: a network
that is there is not trained again. Networks that cannot be trained are listed, the others are trained,
and the command ends with 1.";

#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = SWEEP)]
pub(crate) struct Sweep {
    /// The family of trainings, TOML
    #[arg(value_name = "CONFIG")]
    pub(crate) file: PathBuf,
    /// The folder for networks, ledgers and results
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Report the networks of the front on the test images, too, by which nothing is chosen
    #[arg(long, help_heading = "Output")]
    pub(crate) test_front: bool,
    /// Print JSON in place of the table; the folder has it in any case, as sweep.json
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Threads; no result depends on their number but where a time limit ends a search [default: all
    /// cores]
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub(crate) threads: Option<usize>,
    /// Print nothing on stderr but errors: no progress or warning
    #[arg(long, help_heading = "Running")]
    pub(crate) quiet: bool,
}
