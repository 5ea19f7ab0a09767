//! Bounds of a whole network: by intervals, and by linear relaxation (CROWN).
//!
//! Intervals: Gowal et al., *On the effectiveness of interval bound propagation for training
//! verifiably robust models*, 2018. CROWN: Zhang, Weng, Chen, Hsieh, Daniel, *Efficient neural
//! network robustness certification with general activation functions*, NeurIPS 2018, with
//! intermediate bounds by CROWN itself, of the neurons that intervals leave unstable.

use crate::backward::{Pass, Start, Stop};
use crate::bounds::Bounds;
use crate::buffers::Buffers;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::network::Network;
use crate::options::Options;
use crate::property::Rows;
use crate::region::Region;
use crate::relax::Nonlinearity;
use crate::relaxation::Relaxation;
use crate::slopes::Slopes;
use crate::step::{Kind, Linear};

/// Interval bounds of every value.
///
/// ```
/// use recert_bounds::{Network, Region, interval};
/// use recert_graph::{Builder, Model};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../recert-net/tests/golden/residual.onnx");
/// let network = Network::new(&Builder::new(&Model::read(path)?).build()?)?;
/// let image = vec![0.5; network.inputs()];
/// let bounds = interval(&network, &Region::linf(&image, 0.01)?)?;
/// let (lower, upper) = bounds.outputs(&network);
/// for (i, y) in network.evaluate(&image).into_iter().enumerate() {
///     assert!(lower[i] <= y && y <= upper[i]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`crate::ErrorKind::Argument`] where the region is not one of the network's inputs.
pub fn interval(network: &Network, region: &Region) -> Result<Bounds> {
    let mut relaxation = Relaxation::begun(network, region)?;
    for position in 0..network.steps.len() {
        relaxation.push(position);
    }
    Ok(relaxation.bounds)
}

/// Bounds of every value, where those before activations are by CROWN: interval bounds first,
/// then, activation by activation, linear bounds of the neurons that are not stable yet,
/// intersected with the intervals. Of a ReLU's neuron that its upper bound shows to be off, the lower
/// bound may be that of the interval.
///
/// # Errors
///
/// As [`interval`]; [`crate::ErrorKind::Memory`] where a single row of coefficients does not fit the
/// memory allowed.
pub fn crown(network: &Network, region: &Region, options: Options) -> Result<Bounds> {
    Ok(crown_counted(network, region, options)?.0)
}

/// As [`crown`], but that the linear bounds of neurons that are not stable replace the intervals,
/// even where these are tighter: the bounds that other verifiers, and what was published with them,
/// are based on. They hold, but prove less.
///
/// # Errors
///
/// As [`crown`].
pub fn crown_without_intersection(
    network: &Network,
    region: &Region,
    options: Options,
) -> Result<Bounds> {
    let (relaxation, _) = crown_relaxation(network, region, None, false, options)?;
    Ok(relaxation.bounds)
}

/// As [`crown`], with the number of rows that were carried backwards, over all layers: what the
/// bounds cost, independent of the machine.
///
/// # Errors
///
/// As [`crown`].
pub fn crown_counted(
    network: &Network,
    region: &Region,
    options: Options,
) -> Result<(Bounds, usize)> {
    let (relaxation, rows) = crown_relaxation(network, region, None, true, options)?;
    Ok((relaxation.bounds, rows))
}

/// As [`crown`], with the relaxation that belongs to the bounds, and the number of rows that were
/// carried backwards. Bounds of values that are known already, and hold, are intersected with.
pub(crate) fn crown_relaxation<'n>(
    network: &'n Network,
    region: &Region,
    known: Option<&Bounds>,
    intersect: bool,
    options: Options,
) -> Result<(Relaxation<'n>, usize)> {
    let mut rows = 0;
    let mut relaxation = Relaxation::begun(network, region)?;
    let ground = Ground::new(region);
    let slopes = Slopes::default();
    let mut buffers = Buffers::default();
    // Which values' intervals no linear pass could tighten.
    let mut exact = vec![Exact::No; network.values()];
    if let Region::Box { .. } = region {
        exact[0] = Exact::Box;
    }
    for (position, step) in network.steps.iter().enumerate() {
        let value = step.inputs[0];
        let unstable = if exact[value] == Exact::No {
            unstable(&relaxation, &step.kind, value)
        } else {
            Vec::new()
        };
        if !unstable.is_empty() {
            let pass = Pass {
                relaxation: &relaxation,
                ground: &ground,
                slopes: &slopes,
                splits: None,
                stop: Stop::Input,
            };
            let mut lower = relaxation.bounds.lower[value].clone();
            let mut upper = relaxation.bounds.upper[value].clone();
            let mut carry = |units: &[(usize, f64)], lower: &mut [f64], upper: &mut [f64]| {
                rows += units.len();
                let start = Start::Units(units);
                let found = pass.bounds_within(value, start, options, &mut buffers)?;
                for (&(neuron, sign), bound) in units.iter().zip(found) {
                    if sign > 0.0 {
                        lower[neuron] = bound;
                    } else {
                        upper[neuron] = -bound;
                    }
                }
                Ok::<(), Error>(())
            };
            // Of a neuron that is off, it does not matter how far: where one is off more likely than on,
            // its lower bound is computed only if the upper bound asks for it.
            let (doubtful, others): (Vec<usize>, Vec<usize>) = (unstable.into_iter())
                .partition(|&i| is_relu(&step.kind) && lower[i] + upper[i] < 0.0);
            let mut units: Vec<(usize, f64)> = doubtful.iter().map(|&i| (i, -1.0)).collect();
            units.extend(others.iter().flat_map(|&i| [(i, 1.0), (i, -1.0)]));
            carry(&units, &mut lower, &mut upper)?;
            let off = |i: usize| upper[i] <= 0.0;
            let again = doubtful.iter().filter(|&&i| !off(i));
            units = again.map(|&i| (i, 1.0)).collect();
            carry(&units, &mut lower, &mut upper)?;
            if intersect {
                relaxation.tighten(value, &lower, &upper);
            } else {
                relaxation.bounds.lower[value] = lower;
                relaxation.bounds.upper[value] = upper;
            }
        }
        relaxation.push(position);
        if let Some(known) = known {
            relaxation.tighten(
                step.output,
                &known.lower[step.output],
                &known.upper[step.output],
            );
        }
        exact[step.output] = match (&step.kind, exact[value]) {
            (Kind::Linear(Linear::Affine(_)), exact) => exact,
            (Kind::Linear(_), Exact::Box) => Exact::Bounds,
            (Kind::Rearrange(rearrange), exact)
                if rearrange.repeats <= 1 && step.inputs.len() == 1 =>
            {
                exact
            }
            _ => Exact::No,
        };
    }
    Ok((relaxation, rows))
}

fn is_relu(kind: &Kind) -> bool {
    matches!(kind, Kind::Elementwise(Nonlinearity::Relu))
}

/// What is known of a value's intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exact {
    /// The value can be anywhere in the box that they are.
    Box,
    /// Each is the range of an element, but not all combinations occur.
    Bounds,
    /// They may be wider than the ranges.
    No,
}

/// The neurons whose tighter bounds would change an activation's relaxation.
pub(crate) fn unstable(relaxation: &Relaxation<'_>, kind: &Kind, value: usize) -> Vec<usize> {
    let (lower, upper) = (
        &relaxation.bounds.lower[value],
        &relaxation.bounds.upper[value],
    );
    match kind {
        Kind::Elementwise(function) => {
            let intervals = lower.iter().zip(upper).enumerate();
            let unstable = intervals.filter(|(_, (l, u))| !function.is_stable(**l, **u));
            unstable.map(|(i, _)| i).collect()
        }
        Kind::MaxPool(pool) => pool.undecided(lower, upper),
        _ => Vec::new(),
    }
}

/// Lower bounds of functions of the outputs on the region, by CROWN: given bounds of the values,
/// carried back to the input in one pass.
///
/// The bounds of values are taken for true: whatever they were computed by, they must hold on
/// the region. A row whose bound cannot be computed (NaN, overflow) has minus infinity.
///
/// # Errors
///
/// As [`crown`]; [`crate::ErrorKind::Argument`] where rows or bounds are not of this network.
pub fn lower(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    rows: &Rows,
    slopes: &Slopes,
    options: Options,
) -> Result<Vec<f64>> {
    passed(network, region, bounds, rows, slopes, Stop::Input, options)
}

/// Lower bounds of functions of the outputs by intervals alone, with the rows merged into the
/// linear steps after the last activations (*elision*): never below the differences of the
/// outputs' intervals but for rounding.
///
/// # Errors
///
/// As [`lower`].
pub fn lower_interval(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    rows: &Rows,
    options: Options,
) -> Result<Vec<f64>> {
    let slopes = Slopes::default();
    passed(
        network,
        region,
        bounds,
        rows,
        &slopes,
        Stop::Activations,
        options,
    )
}

fn passed(
    network: &Network,
    region: &Region,
    bounds: &Bounds,
    rows: &Rows,
    slopes: &Slopes,
    stop: Stop,
    options: Options,
) -> Result<Vec<f64>> {
    check_rows(network, rows)?;
    slopes.check(network)?;
    let relaxation = Relaxation::of_bounds(network, region, bounds)?;
    let ground = Ground::new(region);
    let pass = Pass {
        relaxation: &relaxation,
        ground: &ground,
        slopes,
        splits: None,
        stop,
    };
    pass.bounds(network.output, Start::Rows(rows), options)
}

/// Checks that rows are of the network's outputs.
pub(crate) fn check_rows(network: &Network, rows: &Rows) -> Result<()> {
    let fits =
        rows.outputs == network.outputs() && rows.coefficients.len() == rows.len() * rows.outputs;
    if !fits {
        return Err(Error::argument(format!(
            "rows of {} outputs, where the network has {}",
            rows.outputs,
            network.outputs()
        )));
    }
    Ok(())
}
