//! The proofs about one input: their features, the pictures, and what two have in common.

use recert_bounds::features::{Growth, Order, Proof, compare, cosine, growth};
use recert_bounds::{Options, Property};
use recert_data::Image;
use recert_engine::{Class, Classifier};
use recert_report::features::{
    Closest, Compared, Counts, ExplainedInput, Grown, InputProof, KeptFeature, Picture,
};

use super::ExplainJob;
use crate::Result;
use crate::job::verify::around;

/// The most features of one proof whose pictures are kept.
const PICTURES: usize = 12;

/// The most grown intervals of one input that are kept.
const GROWN: usize = 10;

/// The least share of a margin's fall that an interval's growth must be able to cost: what costs less
/// does not explain it.
const SHARE: f64 = 1e-3;

/// What is known of one network's proof.
struct Found<'p> {
    proof: Proof<'p>,
    /// The kept neurons, the largest priority first; `None` without a proof.
    kept: Option<Vec<usize>>,
    /// The pictures of the first of them, as many as are needed.
    pictures: Vec<Vec<f64>>,
}

impl ExplainJob<'_> {
    /// Explains the input at this position of the data, with a classifier a network.
    pub(super) fn input(
        &self,
        (idx, pictured): (u32, bool),
        classifiers: &mut [Box<dyn Classifier>],
        options: Options,
    ) -> Result<ExplainedInput> {
        let image = self.data.image(idx)?;
        let label = self.data.label(idx);
        let mut answers = Vec::with_capacity(self.sides.len());
        for classifier in classifiers {
            answers.push(classifier.classify(&image.pixels)?.class(0));
        }
        // A label is a class of the network: that was checked before.
        let class = label.map(|label| label as Class).or(answers[0]);
        let pixels: Vec<f64> = image.pixels.iter().map(|&pixel| pixel.into()).collect();
        let [region, _] = around(self.norm, &self.epsilon, &pixels)?;
        let property = match class {
            Some(class) => Some(Property::label(
                self.sides[0].network.classes(),
                class.into(),
            )?),
            None => None,
        };
        let mut found: Vec<Option<Found<'_>>> = Vec::with_capacity(self.sides.len());
        for (side, answer) in self.sides.iter().zip(&answers) {
            let Some(property) = property.as_ref().filter(|_| *answer == class) else {
                found.push(None);
                continue;
            };
            let method = self.config.bounded_by();
            let proof = Proof::new(&side.cut, &region, property, method, options)?;
            let kept = proof.extract(Order::Priority)?;
            found.push(Some(Found {
                kept: kept.map(|kept| kept.into_iter().rev().collect()),
                pictures: Vec::new(),
                proof,
            }));
        }
        // Pictures are compared over all that is kept, and shown of the first.
        let compared = found.len() == 2
            && found
                .iter()
                .all(|one| one.as_ref().is_some_and(Found::proved));
        let most = if compared {
            usize::MAX
        } else if pictured {
            PICTURES
        } else {
            0
        };
        for one in found.iter_mut().flatten() {
            let kept = one.kept.as_deref().unwrap_or_default();
            one.pictures = one.proof.pictures(&kept[..kept.len().min(most)])?;
        }
        let mut explained = ExplainedInput {
            idx,
            label,
            class: class.map(u32::from),
            image: pictured.then(|| picture(&image, image.pixels.clone())),
            ..ExplainedInput::default()
        };
        for (one, answer) in found.iter().zip(&answers) {
            let mut proof = match one {
                Some(one) => one.explained(&image, pictured, self.random(idx))?,
                None => InputProof::default(),
            };
            proof.answer = answer.map(u32::from);
            explained.proofs.push(proof);
        }
        if let [Some(first), Some(second)] = found.as_slice() {
            match [first.proved(), second.proved()] {
                [true, true] => explained.comparison = Some(first.compared(second)?),
                [true, false] => explained.grown = first.grown(second)?,
                [false, true] => explained.grown = second.grown(first)?,
                [false, false] => {}
            }
        }
        Ok(explained)
    }

    /// The random order of an input, of its own.
    fn random(&self, idx: u32) -> Order {
        Order::Random(u64::from(self.config.seed) << 32 | u64::from(idx))
    }
}

impl Found<'_> {
    fn proved(&self) -> bool {
        self.kept.is_some()
    }

    fn kept(&self) -> &[usize] {
        self.kept.as_deref().unwrap_or_default()
    }

    fn explained(&self, image: &Image, pictured: bool, random: Order) -> Result<InputProof> {
        let proof = &self.proof;
        let margin = proof.lower().iter().copied().fold(f64::INFINITY, f64::min);
        let counts = if self.proved() {
            let count = |order| -> Result<u64> {
                // Where the whole is proved, every order keeps something that suffices, or all.
                let kept = proof.extract(order)?;
                Ok(kept.map_or(proof.order(order).len(), |kept| kept.len()) as u64)
            };
            Some(Counts {
                features: proof.order(Order::Priority).len() as u64,
                random: count(random)?,
                weight: count(Order::Weight)?,
            })
        } else {
            None
        };
        let kept = self.kept().iter().enumerate().map(|(position, &neuron)| {
            let feature = &proof.features()[neuron];
            let drawn = self
                .pictures
                .get(position)
                .filter(|_| pictured && position < PICTURES);
            KeptFeature {
                neuron: neuron as u32,
                interval: feature.interval,
                weight: feature.weight,
                priority: feature.priority,
                picture: drawn
                    .map(|values| picture(image, values.iter().map(|&v| v as f32).collect())),
            }
        });
        Ok(InputProof {
            answer: None,
            margin: Some(margin).filter(|margin| margin.is_finite()),
            counts,
            kept: kept.collect(),
        })
    }

    fn compared(&self, other: &Self) -> Result<Compared> {
        let comparison = compare(&self.proof, &other.proof, [self.kept(), other.kept()])?;
        let closest = self.pictures.iter().map(|picture| {
            let pictures = other.kept().iter().zip(&other.pictures);
            let similar = pictures.filter_map(|(&neuron, theirs)| {
                let cosine = cosine(picture, theirs)?;
                Some(Closest {
                    neuron: neuron as u32,
                    cosine,
                })
            });
            similar.max_by(|a, b| a.cosine.total_cmp(&b.cosine))
        });
        Ok(Compared {
            shared: comparison
                .shared
                .iter()
                .map(|&neuron| neuron as u32)
                .collect(),
            overlap: comparison.overlap,
            rank_correlation: comparison.rank_correlation,
            closest: closest.collect(),
            cosines: comparison.pictures,
        })
    }

    /// The neurons whose intervals are wider in the other network, which has no proof, as far as
    /// that explains it.
    fn grown(&self, other: &Self) -> Result<Vec<Grown>> {
        let (before, after) = (self.proof.features(), other.proof.features());
        let grown = growth(before, after)?
            .into_iter()
            .map(|Growth { neuron, loss, .. }| Grown {
                neuron: neuron as u32,
                intervals: [before[neuron].interval, after[neuron].interval],
                loss,
            });
        let least = |found: &Self| {
            found
                .proof
                .lower()
                .iter()
                .copied()
                .fold(f64::INFINITY, f64::min)
        };
        let fall = least(self) - least(other);
        let finite = |grown: &Grown| {
            grown.loss.is_finite()
                && grown.loss >= fall * SHARE
                && grown.intervals.concat().iter().all(|end| end.is_finite())
        };
        Ok(grown.filter(finite).take(GROWN).collect())
    }
}

/// Numbers in the order of an image's pixels.
fn picture(image: &Image, values: Vec<f32>) -> Picture {
    let shape = image.shape;
    Picture {
        shape: [shape.channels, shape.height, shape.width],
        values,
    }
}
