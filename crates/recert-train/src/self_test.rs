//! What a device must show before it trains: every layer's values and derivatives, at the sizes of the
//! run, compared with the processor's.
//!
//! Devices are known to lose terms of long sums without a word (derivatives of convolutions' weights
//! on a software Vulkan driver, from some number of pixels on), which no loss shows. So each [`Probe`] is
//! computed on both, from the same numbers, in two ways:
//!
//! - *In whole numbers*, where an operation is sums of products: operands and the derivatives by
//!   results are 1 and -1 (radii 1 and 2). Every product and sum is then a whole number, far below
//!   2^24, that float32 has exactly: sums of all lengths are those of a layer's inputs, at most some
//!   hundred thousand, but for those over images and positions, whose terms have random signs and
//!   which therefore stay at the root of their number. So the order of a sum changes nothing, and
//!   *no difference* is allowed: a single lost term shows.
//! - *In fractions*, at random from [-1, 1] with 20 bits, and some zeros: a result may differ by
//!   [`TOLERANCE`] of the largest of its kind. In sums of terms of random signs, float32 in any order
//!   stays below: adding n numbers one after the other errs by about `0.3 sqrt(n) 2^-24` of the largest
//!   sum, for a million terms 1.8e-5, and the functions of a graphics processor by a few units in
//!   the last place. Products in TF32, bfloat16 or float16 err by 3e-4 and more, and are refused: what
//!   is trained is float32. Sums and differences of two such operands are exact, so that no kink
//!   is decided by a rounding.

use std::fmt;

use crate::bounds::{Interval, Linear};
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::network::{Layer, Network};
use crate::pass::applied;
use crate::tensor::{Matrix, Precision, on};

/// By how much fractions may differ, in units of the largest of their kind: see the module.
const TOLERANCE: f64 = 1.0 / 32_768.0;

/// By how much derivatives of a whole loss may differ, in units of the largest of a layer. Where a
/// neuron is within rounding of its kink, its derivative is one side's on one device and the other's on
/// the other, for each image that it is so of: this finds what is wrong, and the probes what is lost.
pub(crate) const LOSS_TOLERANCE: f64 = 1.0 / 128.0;

/// What a device that passed showed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeviceReport {
    /// The device, as [`Device::description`].
    pub device: String,
    /// How many operations at how many sizes were compared.
    pub probes: usize,
    /// The largest difference of a result or derivative computed in fractions, in units of the
    /// largest of its kind; in whole numbers there was none.
    pub worst: f64,
}

/// What a matrix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Numbers of both signs.
    Values,
    /// Numbers above 0.
    Radii,
}

/// What a probe takes: a name for messages, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Operand {
    name: &'static str,
    shape: [usize; 2],
    holds: Holds,
}

/// What is computed of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What it makes of values.
    Values,
    /// What it makes of intervals.
    Intervals,
    /// Rows of what it takes, from rows of what it makes.
    Rows,
    /// Rows merged into the last layer, of margins.
    Margins,
    /// The least of rows on a box of what it takes.
    Lowest,
    /// The sums of the regularisers.
    Sums,
}

/// One operation at one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Probe {
    layer: Layer,
    position: usize,
    step: Step,
    examples: usize,
    /// Rows an example, where there are rows.
    rows: usize,
}

/// Sizes that a training computes at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    /// Examples whose values are computed.
    pub(crate) values: Vec<usize>,
    /// Examples whose intervals are.
    pub(crate) intervals: Vec<usize>,
    /// Examples whose rows of coefficients are carried back.
    pub(crate) rows: Vec<usize>,
    /// Points that the layers from a first one on are attacked at.
    pub(crate) attacked: Option<(usize, Vec<usize>)>,
}

/// Results, then derivatives by each operand.
pub(crate) type Computed = Vec<Vec<f32>>;

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            Step::Values => "values",
            Step::Intervals => "intervals",
            Step::Rows => "rows of coefficients",
            Step::Margins => "rows of margins",
            Step::Lowest => "lower bounds",
            Step::Sums => "the regularisers' sums",
        };
        let Self {
            layer,
            position,
            examples,
            rows,
            ..
        } = self;
        write!(
            f,
            "{what} of layer {position}, {layer:?}, for {examples} examples"
        )?;
        match self.step {
            Step::Rows | Step::Margins | Step::Lowest => write!(f, " of {rows} rows"),
            _ => Ok(()),
        }
    }
}

impl Probe {
    /// All probes of a network, each size of each kind of layer once.
    pub(crate) fn all(network: &Network, sizes: &Sizes) -> Vec<Self> {
        let mut probes: Vec<Self> = Vec::new();
        let last = network.layers.len() - 1;
        let rows = network.classes() - 1;
        let layers = network.layers.iter().enumerate();
        for (position, &layer) in layers {
            let framing = matches!(
                layer,
                Layer::Fork { .. } | Layer::Add { .. } | Layer::Shortcut { .. }
            );
            let mut add = |step: Step, counts: &[usize]| {
                for &examples in counts.iter().filter(|_| !framing) {
                    let probe = Self {
                        layer,
                        position,
                        step,
                        examples,
                        rows,
                    };
                    let known = probes
                        .iter()
                        .any(|other| Self { position, ..*other } == probe);
                    if !known && examples > 0 {
                        probes.push(probe);
                    }
                }
            };
            add(Step::Values, &sizes.values);
            if let Some((first, counts)) = &sizes.attacked
                && position >= *first
            {
                add(Step::Values, counts);
            }
            if position == last {
                add(Step::Intervals, &sizes.intervals);
                add(Step::Margins, &sizes.intervals);
                add(Step::Lowest, &sizes.intervals);
                continue;
            }
            add(Step::Intervals, &sizes.intervals);
            if matches!(layer, Layer::Relu { .. }) {
                add(Step::Sums, &sizes.intervals);
            }
            add(Step::Rows, &sizes.rows);
            if position == 0 {
                add(Step::Lowest, &sizes.rows);
            }
        }
        probes
    }

    /// Whether all that is computed of whole numbers is whole numbers.
    fn is_exact(&self) -> bool {
        match self.step {
            Step::Sums => false,
            Step::Rows => !matches!(self.layer, Layer::Relu { .. } | Layer::Mean { .. }),
            _ => !matches!(self.layer, Layer::Mean { .. }),
        }
    }

    fn operands(&self) -> Vec<Operand> {
        let operand = |name, shape, holds| Operand { name, shape, holds };
        let (inputs, outputs) = (self.layer.inputs(), self.layer.outputs());
        let all = self.examples * self.rows;
        let values = |name, columns| operand(name, [self.examples, columns], Holds::Values);
        let radii = |columns| operand("the radii", [self.examples, columns], Holds::Radii);
        let mut operands = match self.step {
            Step::Values => vec![values("the inputs", inputs)],
            Step::Intervals | Step::Sums => vec![values("the centres", inputs), radii(inputs)],
            Step::Rows | Step::Margins => {
                vec![operand("the rows", [all, outputs], Holds::Values)]
            }
            Step::Lowest => vec![operand("the rows", [all, inputs], Holds::Values)],
        };
        match (self.step, self.layer, self.layer.shapes()) {
            (Step::Lowest, ..) | (Step::Rows, Layer::Relu { .. }, _) => {
                operands.extend([values("the centres", inputs), radii(inputs)]);
            }
            (Step::Sums, ..) | (_, _, None) => {}
            (_, _, Some([weights, bias])) => operands.extend([
                operand("the weights", weights, Holds::Values),
                operand("the biases", bias, Holds::Values),
            ]),
        }
        operands
    }

    /// The results.
    fn made(&self, operands: &[Matrix]) -> Vec<Matrix> {
        let layer = &self.layer;
        let own = |from: usize| operands.get(from).zip(operands.get(from + 1));
        let pair = |from: usize| own(from).map(|(weights, bias)| [weights, bias]);
        let interval = |from: usize| {
            own(from).map(|(centre, radius)| Interval {
                centre: centre.clone(),
                radius: radius.clone(),
            })
        };
        let first = &operands[0];
        let box_at = |from| interval(from).expect("centres and radii are among the operands");
        match self.step {
            Step::Values => vec![applied(layer, pair(1), false, first)],
            Step::Intervals => {
                let Interval { centre, radius } = box_at(0).through(layer, pair(2));
                vec![centre, radius]
            }
            Step::Rows => {
                let neurons = interval(1).filter(|_| matches!(layer, Layer::Relu { .. }));
                let (made, term) = Linear::back(first, layer, pair(1), neurons.as_ref());
                [made].into_iter().chain(term).collect()
            }
            Step::Margins => {
                let [weights, bias] = pair(1).expect("the last layer has weights");
                vec![first.product(weights), first.product_transposed(bias)]
            }
            Step::Lowest => {
                let Interval { centre, radius } = box_at(1);
                vec![first.lowest(&centre, &radius)]
            }
            Step::Sums => {
                let Interval { centre, radius } = box_at(0);
                centre.neuron_sums(&radius).to_vec()
            }
        }
    }

    /// The results on the current device, and the derivatives by all operands of their sum, each element
    /// times a number of its own.
    pub(crate) fn computed(&self, numbers: &mut Numbers) -> Computed {
        let operands: Vec<Matrix> = (self.operands().iter())
            .map(|operand| {
                let [rows, columns] = operand.shape;
                let values = numbers.drawn(rows * columns, operand.holds);
                Matrix::new(columns, &values, Precision::Single).tracked()
            })
            .collect();
        let made = self.made(&operands);
        let weighted = made.iter().map(|made| {
            let values = numbers.drawn(made.rows() * made.columns(), Holds::Values);
            let weights = Matrix::new(made.columns(), &values, Precision::Single);
            made.mul(&weights).sum()
        });
        let total = weighted.reduce(|sum, other| sum.add(&other));
        let derivatives = total.expect("every step makes something").derivatives();
        let mut computed: Computed = made.iter().map(Matrix::values).collect();
        computed.extend(operands.iter().map(|operand| {
            let found = derivatives.by(operand);
            found.map_or_else(Vec::new, |found| found.values())
        }));
        computed
    }

    /// What the numbers of [`Probe::computed`] are, in order.
    fn names(&self, count: usize) -> Vec<String> {
        let operands = self.operands();
        let results = (0..count - operands.len()).map(|number| format!("result {number}"));
        let derivatives = operands.iter();
        let derivatives = derivatives.map(|operand| format!("the derivatives by {}", operand.name));
        results.chain(derivatives).collect()
    }
}

/// Random numbers for a probe, the same for every device: the first ones of a matrix do not depend on how
/// many it has.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    seed: u64,
    matrices: u64,
    whole: bool,
}

impl Numbers {
    fn of(probe: usize, whole: bool) -> Self {
        Self {
            seed: probe as u64,
            matrices: 0,
            whole,
        }
    }

    fn drawn(&mut self, count: usize, holds: Holds) -> Vec<f32> {
        /// One in so many fractions is 0: at a kink.
        const ZEROS: u32 = 61;
        /// 2^-20.
        const STEP: f32 = 1.0 / 1_048_576.0;
        let seed = self.seed << 32 | self.matrices << 1 | u64::from(self.whole);
        self.matrices += 1;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut number = || match (self.whole, holds) {
            (true, Holds::Values) => random.i32(0..2) as f32 * 2.0 - 1.0,
            (true, Holds::Radii) => random.i32(1..3) as f32,
            (false, Holds::Values) if random.u32(..ZEROS) == 0 => 0.0,
            (false, Holds::Values) => random.i32(-1_048_576..=1_048_576) as f32 * STEP,
            (false, Holds::Radii) => random.i32(262_144..=1_048_576) as f32 * STEP,
        };
        (0..count).map(|_| number()).collect()
    }
}

/// Computes a probe somewhere.
pub(crate) type Compute<'c> = &'c dyn Fn(&Probe, Numbers) -> Result<Computed>;

/// Computes probes on a device.
pub(crate) fn computed_on(device: Device) -> impl Fn(&Probe, Numbers) -> Result<Computed> {
    move |probe, mut numbers| {
        on(device, || probe.computed(&mut numbers)).map_err(|why| {
            let text = format!("the device fails at {probe}: {why}");
            Error::new(ErrorKind::Device, text)
        })
    }
}

/// Compares what a device computes with the processor's, probe by probe; the largest difference.
///
/// # Errors
///
/// [`ErrorKind::Device`] with the operation, its sizes and the worst difference.
pub(crate) fn compared(probes: &[Probe], device: &str, compute: Compute<'_>) -> Result<f64> {
    let mut worst = 0.0_f64;
    for (number, probe) in probes.iter().enumerate() {
        for whole in [true, false] {
            if whole && !probe.is_exact() {
                continue;
            }
            let numbers = Numbers::of(number, whole);
            let expected = computed_on(Device::Cpu)(probe, numbers.clone())?;
            let found = compute(probe, numbers)?;
            let names = probe.names(expected.len());
            for ((name, expected), found) in names.iter().zip(&expected).zip(&found) {
                let allowed = if whole { 0.0 } else { TOLERANCE };
                let what = format!("{name} in {probe}");
                let difference = difference(device, &what, expected, found, [allowed, 0.0])?;
                worst = worst.max(difference);
            }
        }
    }
    Ok(worst)
}

/// The largest magnitude.
pub(crate) fn largest(numbers: &[f32]) -> f64 {
    let largest = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    largest.into()
}

/// The largest difference, in units of the largest that is expected, or of `least` where that is more.
///
/// # Errors
///
/// [`ErrorKind::Device`] where it is larger than allowed.
pub(crate) fn difference(
    device: &str,
    what: &str,
    expected: &[f32],
    found: &[f32],
    [allowed, least]: [f64; 2],
) -> Result<f64> {
    let unit = largest(expected).max(least).max(f32::MIN_POSITIVE.into());
    let apart = |(a, b): (&f32, &f32)| {
        let apart = (f64::from(*a) - f64::from(*b)).abs() / unit;
        // What is no number differs from everything.
        if apart.is_nan() { f64::INFINITY } else { apart }
    };
    let mut worst = (0.0, 0);
    let mut wrong = 0;
    for (position, pair) in expected.iter().zip(found).enumerate() {
        let apart = apart(pair);
        wrong += usize::from(apart > allowed);
        if apart > worst.0 {
            worst = (apart, position);
        }
    }
    let (worst, position) = worst;
    if expected.len() == found.len() && wrong == 0 {
        return Ok(worst);
    }
    let text = if expected.len() == found.len() {
        format!(
            "{device} computes wrongly and may not train: {what}: element {position} is {} where the \
             processor has {}, a difference of {worst:.1e} of the largest, and {wrong} of {} elements \
             differ by more than the {allowed:.1e} that rounding explains; train on the cpu, or \
             with a smaller batch",
            found[position],
            expected[position],
            expected.len()
        )
    } else {
        format!(
            "{device} computes wrongly and may not train: {what}: {} elements where the processor has \
             {}; train on the cpu",
            found.len(),
            expected.len()
        )
    };
    Err(Error::new(ErrorKind::Device, text))
}

#[cfg(test)]
pub(crate) mod tests;
