//! A first look at a network's accuracy, before anything is certified: a wrong
//! normalisation or a sigma in the wrong unit shows here, and not after hours.

use std::time::{Duration, Instant};

use recert_engine::Classifier;
use recert_ledger::Ledger;
use recert_noise::{NoiseKey, Stream};
use recert_num::{Alpha, clopper_pearson_lower};

use super::data::Data;
use super::remark::Remark;
use crate::Result;
use crate::output::count;

/// How many inputs are looked at.
const INPUTS: usize = 64;

/// With fewer, chance explains too much.
const FEWEST: u64 = 16;

/// No further input is looked at after so long.
const LONGEST: Duration = Duration::from_secs(3);

/// How many labelled inputs a network classifies rightly, with and without noise.
///
/// One noisy sample an input, from a noise stream that no certificate rests on
/// ([`Stream::Calibration`]): what is seen here changes no statement.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstLook {
    /// The network's file.
    pub network: String,
    /// Its number of classes.
    pub classes: u32,
    /// The labelled inputs looked at.
    pub inputs: u64,
    /// Those that the network classifies as their labels.
    pub clean: u64,
    /// The same, with noise added.
    pub noisy: u64,
    /// The standard deviation of that noise, in units of pixels in [0, 1].
    pub sigma: f64,
    /// What the original network does on the same inputs, of a modified one.
    pub original: Option<OriginalLook>,
}

/// How many of the inputs of a [`FirstLook`] the original network classifies rightly.
#[derive(Debug, Clone, PartialEq)]
pub struct OriginalLook {
    /// The network's file.
    pub network: String,
    /// Normalisation outside of the files: the modified network's, and the original's.
    pub preprocessing: [String; 2],
    /// The expected number of inputs that it classifies as their labels with one sample of
    /// noise, by its selection samples in the ledger.
    pub noisy: f64,
}

impl FirstLook {
    /// Looks at up to 64 of `inputs`, spread over them, on one instance of the
    /// network; `None` if none of these is labelled. The original network's answers are those
    /// of its ledger, where there is one.
    pub(super) fn new(
        identity: &recert_ledger::Network,
        classifier: &mut dyn Classifier,
        (data, inputs): (&Data, &[u32]),
        (sigma, seed): (f64, u64),
        ledger: Option<&Ledger>,
    ) -> Result<Option<Self>> {
        let mut look = Self {
            network: identity.file.clone(),
            classes: identity.classes,
            inputs: 0,
            clean: 0,
            noisy: 0,
            sigma,
            original: None,
        };
        // Inputs that the original has selection samples of, and its right answers in all.
        let mut known = (0, 0.0);
        let started = Instant::now();
        let key = NoiseKey::new(seed);
        let step = inputs.len().div_ceil(INPUTS).max(1);
        for &idx in inputs.iter().step_by(step) {
            let Some(label) = data.label(idx) else {
                continue;
            };
            let image = data.image(idx)?;
            let clean = image.pixels;
            let mut noisy = clean.clone();
            // Rounding sigma to float32 changes nothing that could be seen here.
            key.add(
                Stream::Calibration,
                idx,
                0,
                sigma as f32,
                &clean,
                &mut noisy,
            );
            let mut is_right = |pixels: &[f32]| -> Result<u64> {
                let answer = classifier.classify(pixels)?.class(0);
                Ok(u64::from(answer.map(u32::from) == Some(label)))
            };
            look.clean += is_right(&clean)?;
            look.noisy += is_right(&noisy)?;
            look.inputs += 1;
            if let Some(ledger) = ledger
                && let Some(selection) = ledger.selection(ledger.base(), idx)?
            {
                let right = u16::try_from(label).ok();
                let right = right
                    .and_then(|class| selection.counts.get(&class))
                    .copied();
                known.0 += 1;
                known.1 += right.unwrap_or(0) as f64 / selection.samples.max(1) as f64;
            }
            if started.elapsed() > LONGEST {
                break;
            }
        }
        if let Some(ledger) = ledger.filter(|_| known.0 == look.inputs) {
            let original = &ledger.header().network;
            look.original = Some(OriginalLook {
                network: original.file.clone(),
                preprocessing: [&identity.preprocess, &original.preprocess].map(Clone::clone),
                noisy: known.1,
            });
        }
        Ok((look.inputs > 0).then_some(look))
    }

    /// Whether guessing would classify as many rightly, at a confidence of 95 %; of
    /// fewer than 16 inputs that is never claimed.
    fn is_chance(&self, right: u64) -> bool {
        let alpha = Alpha::new(0.05).expect("it is a probability");
        let chance = 1.0 / f64::from(self.classes);
        let lower = clopper_pearson_lower(right, self.inputs, alpha);
        self.inputs >= FEWEST && lower.is_ok_and(|lower| lower.get() <= chance)
    }

    /// Whether less than half of what the original has above guessing is left, at a confidence
    /// of 99 %; of fewer than 16 inputs that is never claimed.
    fn is_far_below(&self, original: &OriginalLook) -> bool {
        let alpha = Alpha::new(0.01).expect("it is a probability");
        let chance = 1.0 / f64::from(self.classes);
        let above = original.noisy / self.inputs as f64 - chance;
        let half = chance + above / 2.0;
        let wrong = clopper_pearson_lower(self.inputs - self.noisy, self.inputs, alpha);
        let most = wrong.map(|wrong| 1.0 - wrong.get());
        self.inputs >= FEWEST && above > 0.0 && most.is_ok_and(|most| most < half)
    }

    /// What is wrong, if the accuracy is near chance, or far below the original's.
    pub fn remark(&self) -> Option<Remark> {
        if self.is_chance(self.noisy) {
            return Some(Remark::NearChance {
                look: self.clone(),
                noisy_only: !self.is_chance(self.clean),
            });
        }
        let below = self.original.as_ref().is_some_and(|o| self.is_far_below(o));
        below.then(|| Remark::BelowOriginal { look: self.clone() })
    }
}

impl std::fmt::Display for FirstLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            network,
            inputs,
            clean,
            noisy,
            sigma,
            ..
        } = self;
        write!(
            f,
            "{network} classifies {clean} of {} as their labels, and {noisy} under noise of sigma \
             {sigma}",
            count(*inputs, "input")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recert_engine::{FnClassifier, ImageShape};

    fn identity() -> recert_ledger::Network {
        let image = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let network = crate::job::Network::from_fn("dots.onnx", 2, image, |_| Some(0));
        network.unwrap().identity().clone()
    }

    /// Sixteen grey dots, labelled by their halves; the network's threshold is `at`.
    fn look(inputs: u16, at: f32, sigma: f64) -> FirstLook {
        let image = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let pixels: Vec<f32> = (0..inputs)
            .map(|i| f32::from(i) / f32::from(inputs))
            .collect();
        let labels = pixels.iter().map(|p| u32::from(*p >= 0.5)).collect();
        let data = Data::from_pixels("dots", image, &pixels, Some(labels)).unwrap();
        let all: Vec<u32> = (0..u32::from(inputs)).collect();
        let mut network = FnClassifier::new(2, 1, move |p: &[f32]| Some(u16::from(p[0] >= at)));
        let subject = (&data, all.as_slice());
        FirstLook::new(&identity(), &mut network, subject, (sigma, 0), None)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_network_that_guesses_is_remarked_on() {
        let right = look(32, 0.5, 1e-6);
        assert_eq!((right.clean, right.noisy, right.inputs), (32, 32, 32));
        assert_eq!(right.remark(), None);

        // Everything is class 1: half of the inputs are.
        let constant = look(32, -100.0, 1e-6);
        assert_eq!(constant.clean, 16);
        let said = constant.remark().unwrap();
        assert!(said.to_string().contains("normalisation"), "{said}");
        assert_eq!(said.field(), Some(crate::Field::Mean));

        let lost = look(64, 0.5, 1e6);
        let said = lost.remark().unwrap();
        assert_eq!(said.field(), Some(crate::Field::Sigma));
        assert!(said.to_string().contains("1000000"), "{said}");
    }

    #[test]
    fn few_inputs_show_nothing() {
        assert_eq!(look(15, -100.0, 1e6).remark(), None);
        // At most 64 are looked at.
        assert_eq!(look(1000, 0.5, 0.1).inputs, 63);
    }

    #[test]
    fn inputs_without_labels_are_not_looked_at() {
        let image = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let data = Data::from_pixels("dots", image, &[0.5], None).unwrap();
        let mut network = FnClassifier::new(2, 1, |_: &[f32]| Some(0));
        let subject = (&data, [0].as_slice());
        let look = FirstLook::new(&identity(), &mut network, subject, (0.1, 0), None).unwrap();
        assert_eq!(look, None);
    }

    #[test]
    fn a_network_far_below_the_original_is_remarked_on() {
        let below = |noisy: u64, original: f64| {
            let look = FirstLook {
                network: "h.onnx".to_owned(),
                classes: 10,
                inputs: 64,
                clean: noisy,
                noisy,
                sigma: 0.5,
                original: Some(OriginalLook {
                    network: "f.onnx".to_owned(),
                    preprocessing: ["mean 0.5", "none"].map(str::to_owned),
                    noisy: original,
                }),
            };
            look.remark()
        };
        // Above guessing, which would be 6.4, and yet far below.
        let said = below(15, 54.7).unwrap();
        assert_eq!(said.field(), Some(crate::Field::Mean));
        let said = said.to_string();
        for part in [
            "h.onnx classifies 15 of 64",
            "f.onnx classifies 55",
            "h.onnx: mean 0.5",
            "in the ledger: none",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(below(50, 54.7), None);
        // The original guesses too: that is another remark.
        assert!(matches!(below(6, 6.0), Some(Remark::NearChance { .. })));
    }
}
