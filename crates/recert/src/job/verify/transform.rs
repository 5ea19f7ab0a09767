//! The verdict on one input under a transformation: cells of parameters, or parameters at which
//! the engine answers otherwise.

use std::time::Instant;

use recert_bounds::Property;
use recert_bounds::geometric::{
    Extents, Layout, Method, Options, Outcome, PixelBox, Transformation, Verdict as Found, apply,
    verify,
};
use recert_engine::ImageShape;
use recert_ledger::{CellMethod, ProvedCell, TransformProof, Verdict};

use super::cascade::{Decided, Prover};
use super::config::{SAMPLES, VerifyConfig, VerifyMethod};
use crate::Result;

impl Prover<'_> {
    /// Decides whether an image has the property's class at every value of the parameters.
    ///
    /// The search evaluates the network in f64. Parameters at which it is wrong are a
    /// counterexample only if the engine answers the transformed image, each pixel rounded to
    /// float32, otherwise too.
    pub(super) fn transformed(
        &mut self,
        (image, shape): (&[f64], ImageShape),
        property: &Property,
        transformation: &Transformation,
        begun: Instant,
    ) -> Result<Decided> {
        let extents = Extents {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
            layout: Layout::ChannelsFirst,
        };
        let config = self.config;
        let tries = config.runs(VerifyMethod::Attack);
        let bounds = config.method != VerifyMethod::Attack;
        let options = Options {
            methods: methods(config),
            // Without bounds, parameters are sampled and nothing else.
            cells: if bounds { config.cells } else { 0 },
            timeout: (config.timeout).map(|timeout| timeout.saturating_sub(begun.elapsed())),
            samples: if tries { SAMPLES } else { 0 },
            bounding: self.options,
            ..Options::default()
        };
        // The class of a label's property is there.
        let class = property.class().unwrap_or_default();
        let network = self.network;
        let outcome = verify(network, &extents, image, class, transformation, &options)?;
        let last = match config.method {
            VerifyMethod::Cascade => VerifyMethod::Crown,
            method => method,
        };
        let mut decided = Decided {
            verdict: Verdict::Unknown,
            by: last.name(),
            margin: None,
            branches: outcome.work.passes() as u64,
            proof: None,
            counterexample: None,
        };
        match &outcome.verdict {
            Found::Verified => decided.verify(&outcome),
            Found::Falsified { parameters, .. } => {
                decided.by = VerifyMethod::Attack.name();
                let pixels = apply(transformation, &extents, image, parameters)?;
                let pixels: Vec<f32> = pixels.iter().map(|&pixel| pixel as f32).collect();
                decided.counterexample = self.answers_against(&pixels, property)?;
                if decided.counterexample.is_some() {
                    decided.verdict = Verdict::Falsified;
                    let proof = TransformProof {
                        parameters: Some(parameters.clone()),
                        cells: Vec::new(),
                    };
                    decided.proof = Some(proof.encode());
                }
            }
            Found::Unknown => {}
        }
        Ok(decided)
    }
}

impl Decided {
    fn verify(&mut self, outcome: &Outcome) {
        let cells = outcome.proved.iter().map(|proved| {
            let ends = proved.cell.lower.iter().zip(&proved.cell.upper);
            ProvedCell {
                ends: ends.map(|(&low, &high)| [low, high]).collect(),
                method: recorded(proved.method),
                margin: proved.margin,
            }
        });
        let cells: Vec<ProvedCell> = cells.collect();
        let least = cells.iter().map(|cell| cell.margin);
        self.margin = Some(least.fold(f64::INFINITY, f64::min));
        // What no cheaper method proves names the verdict.
        let latest = cells.iter().map(|cell| cell.method).max();
        self.by = latest.map_or(self.by, CellMethod::name);
        self.verdict = Verdict::Verified;
        let proof = TransformProof {
            parameters: None,
            cells,
        };
        self.proof = Some(proof.encode());
    }
}

/// What is tried on each cell.
fn methods(config: &VerifyConfig) -> Vec<Method> {
    match config.method {
        VerifyMethod::Ibp => vec![Method::Merged(PixelBox::Vertices)],
        VerifyMethod::Crown => vec![Method::Crown],
        _ => vec![Method::Forward, Method::Crown],
    }
}

fn recorded(method: Method) -> CellMethod {
    match method {
        Method::Intervals(_) | Method::Merged(_) => CellMethod::Ibp,
        Method::Forward => CellMethod::Forward,
        Method::Crown => CellMethod::Crown,
    }
}
