//! Results of transformations, verified again: every cell of parameters is bounded by code of the
//! checker's own, and the image of a counterexample is made again.

use recert_engine::Classifier;
use recert_ledger::{Verdict, VerificationResult};
use recert_proofcheck::{
    MOST_TERMS, NotComputed, Original, Property, Transformation, recompute_cells,
};

use super::results::{Answered, Bounded, Found, Verifier, class, differs, open};
use crate::Result;

/// How far a pixel of a counterexample may be from the transformed image's: both are rounded to
/// float32, and computed in f64 by formulas of their own.
const PIXEL: f64 = 1e-6;

impl Verifier<'_> {
    /// Verifies the result of a transformation again.
    pub(super) fn transform(
        &self,
        steps: &str,
        result: &VerificationResult,
        engine: &mut dyn Classifier,
    ) -> Result<Found> {
        let (Some(data), Some(idx)) = (self.data, result.idx) else {
            return Ok(open("the result is of no input"));
        };
        let image = super::rerun::image(data, self.ledger, idx)?;
        match self.answered(engine, &image.pixels, result.answer)? {
            Answered::So => {}
            Answered::Otherwise(now) => return Ok(differs("answer", class(result.answer), now)),
            Answered::NearTie => return Ok(open("the input is a near tie by this engine")),
        }
        if let Some(found) = self.unlabelled(data, &image, idx, result)? {
            return Ok(found);
        }
        let shape = self.ledger.header().shape.map(|size| size as usize);
        let transformation = Transformation::parse(steps);
        let original = transformation
            .as_ref()
            .and_then(|transformation| Original::new(transformation, &image.pixels, shape));
        let Some(original) = original else {
            return Ok(open(
                "the transformation or the input is none that is computed here",
            ));
        };
        match result.verdict {
            Verdict::Unknown => Ok(Found::Unknown),
            Verdict::Falsified => self.transformed_otherwise(&original, result, engine),
            Verdict::Verified => Ok(self.cells(&original, result)),
        }
    }

    fn cells(&self, original: &Original<'_>, result: &VerificationResult) -> Found {
        let network = match self.of_classes.get_or_init(|| self.bounded(true)) {
            Err(why) => return open(format!("its bounds are not computed here: {why}")),
            Ok(Bounded { network, .. }) => network,
        };
        let property = result.class.and_then(|class| {
            let class = class.into();
            Property::class(network.outputs(), class)
        });
        let Some(property) = property else {
            return differs("class", class(result.class), "a class of the network");
        };
        let proof = match result.decoded_transform_proof() {
            Ok(Some(proof)) => proof,
            Ok(None) => return differs("proof", "NULL", "cells of parameters"),
            Err(why) => return differs("proof", why, "a proof that decodes"),
        };
        match recompute_cells(network, original, &property, &proof.cells, MOST_TERMS) {
            Ok(found) => match found.refuted {
                Some((cell, margin, seen)) => differs(
                    "proof",
                    format!("a margin of {margin} over cell {cell}"),
                    format!("{seen} at parameters in it"),
                ),
                None => Found::Cells {
                    proved: found.proved,
                    open: found.open,
                },
            },
            Err(NotComputed::Wrong(fault)) => differs("proof", fault, "one that fits"),
            Err(NotComputed::TooLarge) => open("it takes too long to bound again"),
            Err(NotComputed::Unsupported(why)) => open(why.to_string()),
        }
    }

    /// Whether the counterexample is what the transformation makes, and answered otherwise.
    fn transformed_otherwise(
        &self,
        original: &Original<'_>,
        result: &VerificationResult,
        engine: &mut dyn Classifier,
    ) -> Result<Found> {
        let Some(point) = &result.counterexample else {
            // The answer on the input, which was asked for again, is the counterexample.
            return Ok(if result.class.is_some() && result.answer != result.class {
                Found::Refuted
            } else {
                differs("verdict", "falsified", "nothing that falsifies it")
            });
        };
        let proof = match result.decoded_transform_proof() {
            Ok(proof) => proof,
            Err(why) => return Ok(differs("proof", why, "a proof that decodes")),
        };
        // That they lie in the ranges is derived with the rows.
        let parameters = proof.and_then(|proof| proof.parameters);
        let parameters = parameters.filter(|found| found.len() == original.parameters());
        let Some(parameters) = parameters else {
            return Ok(differs(
                "proof",
                "no parameters",
                "those of the counterexample",
            ));
        };
        let made = original.at(&parameters);
        let same = made.len() == point.len()
            && made
                .iter()
                .zip(point)
                .all(|(a, &b)| (a - f64::from(b)).abs() <= PIXEL);
        if !same {
            let derived = "the image that its parameters make";
            return Ok(differs("counterexample", "another image", derived));
        }
        self.falsified_by(point, result, engine, "an image that is answered otherwise")
    }
}
