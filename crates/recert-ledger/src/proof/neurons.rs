//! The slopes by which single neurons were bounded, and their coded form.
//!
//! A search that tightens bounds of neurons chooses slopes for each of them. A slope is a byte:
//! how far it is on the way from the least that the function allows (0) to the largest (255). Only
//! those that are not the usual ones are kept, in runs, so that a blob is never much smaller than
//! what is read from it.

use super::{ProofLayer, byte, number, split};
use crate::codes::{put, take};

/// The slopes by which one bound of one neuron follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeuronSlopes {
    /// The position of its layer in [`super::Proof::layers`].
    pub layer: u32,
    /// The neuron in the layer.
    pub neuron: u32,
    /// Whether it is the upper bound, or the lower one.
    pub upper: bool,
    /// Runs of slopes of the neurons of the layers before that are stored with both bounds, in
    /// order. Between runs slopes are the [usual](NeuronSlopes::usual) ones.
    pub runs: Vec<SlopeRun>,
}

/// Slopes of consecutive neurons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlopeRun {
    /// The first of them.
    pub first: u32,
    /// How far each slope is on the way from the least to the largest, of 255 steps.
    pub slopes: Vec<u8>,
}

/// As many usual slopes in a row end a run: its head takes as many bytes.
const GAP: usize = 3;

impl NeuronSlopes {
    /// The usual slopes of the neurons with both bounds of some layers: the largest where the
    /// upper bound is farther from 0 than the lower one, else the least.
    pub fn usual(layers: &[ProofLayer]) -> Vec<u8> {
        let bounds = layers.iter().flat_map(|layer| &layer.bounds);
        let crossing = bounds.filter(|bounds| bounds.state() == 2);
        crossing
            .map(|bounds| {
                if bounds.upper > -bounds.lower {
                    u8::MAX
                } else {
                    0
                }
            })
            .collect()
    }

    /// The slopes of one bound, of which the usual ones are left out.
    ///
    /// ```
    /// use recert_ledger::NeuronSlopes;
    ///
    /// let usual = [0, 255, 0, 0, 0, 0, 0];
    /// let slopes = NeuronSlopes::new((1, 7, true), &[0, 128, 0, 0, 0, 0, 9], &usual);
    /// assert_eq!(slopes.runs.len(), 2);
    /// assert_eq!(slopes.all(&usual), Some(vec![0, 128, 0, 0, 0, 0, 9]));
    /// ```
    pub fn new((layer, neuron, upper): (u32, u32, bool), slopes: &[u8], usual: &[u8]) -> Self {
        let mut runs: Vec<SlopeRun> = Vec::new();
        let differ = slopes.iter().zip(usual).enumerate();
        for (place, (&slope, _)) in differ.filter(|(_, (slope, usual))| slope != usual) {
            match runs.last_mut() {
                Some(run) if place - run.first as usize - run.slopes.len() <= GAP => {
                    let end = run.first as usize + run.slopes.len();
                    run.slopes.extend(&slopes[end..=place]);
                }
                _ => runs.push(SlopeRun {
                    first: place as u32,
                    slopes: vec![slope],
                }),
            }
        }
        Self {
            layer,
            neuron,
            upper,
            runs,
        }
    }

    /// All slopes, where these are the usual ones; `None` where a run goes beyond them.
    pub fn all(&self, usual: &[u8]) -> Option<Vec<u8>> {
        let mut all = usual.to_vec();
        for run in &self.runs {
            let first = run.first as usize;
            let end = first.checked_add(run.slopes.len())?;
            all.get_mut(first..end)?.copy_from_slice(&run.slopes);
        }
        Some(all)
    }
}

pub(super) fn write(blob: &mut Vec<u8>, neurons: &[NeuronSlopes]) {
    put(blob, neurons.len() as u64);
    for one in neurons {
        put(blob, one.layer.into());
        put(blob, one.neuron.into());
        blob.push(one.upper.into());
        put(blob, one.runs.len() as u64);
        for run in &one.runs {
            put(blob, run.first.into());
            put(blob, run.slopes.len() as u64);
            blob.extend(&run.slopes);
        }
    }
}

pub(super) fn read(rest: &mut &[u8]) -> Result<Vec<NeuronSlopes>, String> {
    let neurons = (0..take(rest)?).map(|_| {
        let (layer, neuron) = (number(rest)?, number(rest)?);
        let upper = match byte(rest)? {
            0 => false,
            1 => true,
            side => return Err(format!("has slopes of bound {side} of a neuron")),
        };
        let runs = (0..take(rest)?).map(|_| {
            let first = number(rest)?;
            let count = usize::try_from(take(rest)?).map_err(|_| "is cut off")?;
            let slopes = split(rest, count)?.to_vec();
            Ok(SlopeRun { first, slopes })
        });
        let runs = runs.collect::<Result<_, String>>()?;
        Ok(NeuronSlopes {
            layer,
            neuron,
            upper,
            runs,
        })
    });
    neurons.collect()
}
