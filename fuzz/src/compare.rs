//! An engine's answers against the reference's.
//!
//! What rounding may do is tried: the reference is run again with every rounding moved at
//! random ([`recert_graph::testing::perturbed`]), and an engine's difference is measured in
//! the largest that this makes. Where nothing in a network jumps, every image has its own
//! measure; where something does (a quantization, a comparison), a rounding error flips a
//! number once in a while, so that the sums over all images are compared, and a difference
//! on a single image is none.

use std::fmt;

use anyhow::Result;
use recert_graph::Model;

use crate::engines::{self, Refusal};
use crate::images::images;
use crate::reference::{Answer, Reference};

/// By how many roundings results are moved where nothing jumps, and where something does:
/// engines sum in float32, some by Winograd's transforms, and approximate functions.
const ROUNDINGS: [f64; 2] = [8.0, 64.0];
/// How often.
const TRIALS: u64 = 4;
/// Differences that are so many times what rounding does are not rounding's.
pub const FACTOR: [f64; 2] = [12.0, 4.0];
/// Images that have to differ where something jumps.
const IMAGES_THAT_DIFFER: usize = 3;

/// What became of a network in an engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The answers are the reference's, up to rounding.
    Agrees(Difference),
    /// The engine does not take the network.
    Refused(String),
    /// It takes it, and answers otherwise.
    Differs(Difference),
    /// It panicked.
    Panicked(String),
    /// The process died, or took too long.
    Died(String),
}

impl Outcome {
    /// The first word of its text.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Agrees(_) => "agrees",
            Self::Refused(_) => "refused",
            Self::Differs(_) => "differs",
            Self::Panicked(_) => "panicked",
            Self::Died(_) => "died",
        }
    }

    /// Whether an engine may do that.
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Agrees(_) | Self::Refused(_))
    }

    /// Reads what [`Outcome`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once('\t')?;
        Some(match word {
            "agrees" => Self::Agrees(Difference::parse(rest)?),
            "differs" => Self::Differs(Difference::parse(rest)?),
            "refused" => Self::Refused(rest.to_owned()),
            "panicked" => Self::Panicked(rest.to_owned()),
            "died" => Self::Died(rest.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Agrees(difference) | Self::Differs(difference) => {
                write!(f, "{word}\t{difference}")
            }
            Self::Refused(why) | Self::Panicked(why) | Self::Died(why) => {
                let line = why.replace(['\n', '\t', '\r'], " ");
                let short: String = line.chars().take(300).collect();
                write!(f, "{word}\t{short}")
            }
        }
    }
}

/// How far an engine's answers are from the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Difference {
    /// In what rounding does: see [`FACTOR`].
    pub ratio: f64,
    /// The largest of any score, as a part of the largest score's magnitude.
    pub largest: f64,
    /// Images with another class.
    pub classes: usize,
    /// Images with another answer than rounding explains.
    pub images: usize,
}

impl Difference {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('\t');
        let mut next = || fields.next();
        Some(Self {
            ratio: next()?.parse().ok()?,
            largest: next()?.parse().ok()?,
            classes: next()?.parse().ok()?,
            images: next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3}\t{:.3e}\t{}\t{}",
            self.ratio, self.largest, self.classes, self.images
        )
    }
}

/// A network and its right answers.
pub struct Case {
    /// The network.
    pub model: Model,
    /// As its file states it.
    pub reference: Reference,
    images: Vec<Vec<f32>>,
    answers: Vec<Answer>,
    /// How far rounding moves each of them.
    moved: Vec<f64>,
}

impl Case {
    /// The right answers for a network.
    ///
    /// # Errors
    /// Where the reference interpreter does not take it.
    pub fn new(model: Model) -> Result<Self> {
        let reference = Reference::new(&model)?;
        let images = images(reference.image_len);
        let answers = images.iter().map(|image| reference.answer(image));
        let answers: Vec<Answer> = answers.collect::<Result<_>>()?;
        let roundings = ROUNDINGS[usize::from(reference.jumps)];
        let mut moved = Vec::new();
        for (image, answer) in images.iter().zip(&answers) {
            let mut most = 0.0_f64;
            for seed in 0..TRIALS {
                let other = reference.perturbed(image, roundings, seed + 1)?;
                most = most.max(distance(answer, &other, reference.classes));
            }
            moved.push(most);
        }
        Ok(Self {
            model,
            reference,
            images,
            answers,
            moved,
        })
    }

    /// Runs the network in an engine.
    pub fn outcome(&self, engine: &str) -> Outcome {
        let run = || engines::answers(engine, &self.model, &self.images);
        let run = std::panic::AssertUnwindSafe(run);
        match std::panic::catch_unwind(run) {
            Ok(Ok(runs)) => self.judge(&runs),
            Ok(Err(Refusal(why))) => Outcome::Refused(why),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Outcome::Panicked(text.unwrap_or("without a text").to_owned())
            }
        }
    }

    /// Holds answers against the right ones: those to all images, perhaps several times.
    fn judge(&self, runs: &[Vec<Answer>]) -> Outcome {
        let mut worst = Difference::default();
        let mut differs = false;
        for run in runs {
            let (difference, wrong) = self.measure(run);
            if difference.ratio >= worst.ratio {
                worst = difference;
            }
            differs |= wrong;
        }
        if differs {
            Outcome::Differs(worst)
        } else {
            Outcome::Agrees(worst)
        }
    }

    fn measure(&self, run: &[Answer]) -> (Difference, bool) {
        let jumps = self.reference.jumps || self.reference.classes;
        let factor = FACTOR[usize::from(jumps)];
        let mut made = Difference::default();
        let most = self.moved.iter().copied().filter(|v| v.is_finite());
        let most = most.fold(0.0, f64::max);
        let (mut sum, mut allowed) = (0.0, 0.0);
        let sizes = self.answers.iter().flatten().copied();
        let size = sizes
            .filter(|v| v.is_finite())
            .fold(0.0, |a: f64, b| a.max(b.abs()));
        for ((right, answer), &moved) in self.answers.iter().zip(run).zip(&self.moved) {
            let apart = distance(right, answer, self.reference.classes);
            // Rounding alone decides whether this answer is finite.
            if moved.is_infinite() {
                continue;
            }
            let finite = right.iter().copied().filter(|value| value.is_finite());
            let largest = finite.fold(0.0, |a: f64, b| a.max(b.abs()));
            let floor = largest.max(0.01 * size) * (-22_f64).exp2();
            let measure = moved.max(0.05 * most) + floor;
            sum += apart;
            allowed += moved + floor;
            made.images += usize::from(apart > factor * measure);
            if !jumps {
                made.ratio = made.ratio.max(apart / measure);
            }
            made.largest = made.largest.max(apart / largest.max(1e-30));
            made.classes += usize::from(class(right) != class(answer) && apart > factor * measure);
        }
        if jumps {
            made.ratio = sum / allowed.max(1e-300);
        }
        let wrong = if jumps {
            made.ratio > factor && made.images >= IMAGES_THAT_DIFFER
        } else {
            made.ratio > factor
        };
        (made, wrong)
    }
}

/// The largest difference of two answers; infinite where one is invalid, 0 where both are.
fn distance(a: &[f64], b: &[f64], classes: bool) -> f64 {
    let invalid = |answer: &[f64]| answer.iter().any(|value| !value.is_finite());
    match (invalid(a), invalid(b)) {
        (true, true) => 0.0,
        (false, false) if a.len() == b.len() => {
            let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            let most = differences.fold(0.0, f64::max);
            if classes { most.min(1.0) } else { most }
        }
        _ => f64::INFINITY,
    }
}

/// The position of the largest score.
fn class(answer: &[f64]) -> Option<usize> {
    let scores = answer.iter().enumerate();
    let best = scores.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_as_they_are_written() {
        let difference = Difference {
            ratio: 17.25,
            largest: 0.5,
            classes: 3,
            images: 10,
        };
        for outcome in [
            Outcome::Agrees(Difference::default()),
            Outcome::Differs(difference),
            Outcome::Refused("node 'x': no".to_owned()),
            Outcome::Panicked("index".to_owned()),
            Outcome::Died("signal 6".to_owned()),
        ] {
            assert_eq!(Outcome::parse(&outcome.to_string()), Some(outcome));
        }
    }

    #[test]
    fn an_invalid_answer_differs_from_a_valid_one_only() {
        assert_eq!(distance(&[1.0, 2.0], &[1.5, 2.0], false), 0.5);
        assert_eq!(
            distance(&[f64::NAN, 2.0], &[1.5, f64::INFINITY], false),
            0.0
        );
        assert_eq!(
            distance(&[f64::NAN, 2.0], &[1.5, 2.0], false),
            f64::INFINITY
        );
        assert_eq!(distance(&[4.0], &[1.0], true), 1.0);
    }
}
