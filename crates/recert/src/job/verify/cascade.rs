//! One verdict: the engine's answer, what another network's bounds prove, the attack, and bounds
//! one after the other.

use std::sync::atomic::Ordering;
use std::time::Instant;

use recert_bounds::attack::Attack;
use recert_bounds::{
    self as bounds, Ascent, Bounds, Known, Leaf, Options, Outcome, Property, Region, Reuse, Search,
    Slopes,
};
use recert_engine::{Answers, Class, Classifier, ImageShape};
use recert_ledger::{Verdict, VerificationResult};

use super::config::{VerifyConfig, VerifyMethod};
use super::from::{Hints, Start};
use super::proof::{self, Part};
use super::{Perturbation, around};
use crate::Result;

/// What a worker has at hand.
pub(super) struct Prover<'a> {
    pub(super) config: &'a VerifyConfig,
    /// The network as a function of pixels.
    pub(super) network: &'a bounds::Network,
    /// The engine's instance of it.
    pub(super) classifier: &'a mut dyn Classifier,
    /// What a bounding pass may take.
    pub(super) options: Options,
    /// What another network's verification found, if that is begun from.
    pub(super) start: Option<&'a Start>,
}

/// A property on a region: one part of what is to be verified.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// Contains everything that the specification allows: for proofs.
    pub(super) outer: Region,
    /// Contains nothing else: for counterexamples.
    pub(super) inner: Region,
    pub(super) property: Property,
}

/// What bounds begin from.
struct Begin<'a> {
    /// Bounds of values that hold already, so that no others are computed.
    bounds: Option<Bounds>,
    /// Slopes to begin from.
    slopes: &'a Slopes,
    /// The parts that branch and bound begins with.
    leaves: &'a [Vec<Leaf>],
    /// Whether the attack comes behind CROWN, not before all bounds.
    attack_late: bool,
}

/// What became of one query.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) by: &'static str,
    pub(super) margin: Option<f64>,
    pub(super) branches: u64,
    pub(super) proof: Option<Vec<u8>>,
    pub(super) counterexample: Option<Vec<f32>>,
}

impl Prover<'_> {
    /// The verdict on an image, which is to have its label or, without one, the class that the
    /// engine answers.
    pub(super) fn image(
        &mut self,
        (idx, label): (u32, Option<u32>),
        pixels: &[f32],
        (perturbation, shape): (&Perturbation, ImageShape),
    ) -> Result<VerificationResult> {
        let begun = Instant::now();
        let answers = self.classifier.classify(pixels)?;
        let answer = answers.class(0);
        // A label is a class of the network: that was checked before.
        let class = label.map(|label| label as Class).or(answer);
        let mut result = VerificationResult {
            idx: Some(idx),
            verdict: Verdict::Unknown,
            class,
            answer,
            margin: None,
            decided_by: "answer".to_owned(),
            branches: 0,
            proof: None,
            counterexample: None,
            micros: 0,
        };
        match class {
            Some(class) if answer == Some(class) => {
                let image: Vec<f64> = pixels.iter().map(|&pixel| pixel.into()).collect();
                let property = Property::label(self.network.outputs(), class.into())?;
                let decided = match perturbation {
                    Perturbation::Near(norm, epsilon) => {
                        let [outer, inner] = around(*norm, epsilon, &image)?;
                        let query = Query {
                            outer,
                            inner,
                            property,
                        };
                        let hints = match self.start {
                            Some(start) => {
                                let wanted = (class, &query.property);
                                let region = (&query.outer, &image[..]);
                                start.hints(idx, wanted, region, self.network)?
                            }
                            None => None,
                        };
                        let proved = self.start.is_some_and(|start| start.proved(idx, class));
                        self.decide(&[query], (hints.as_ref(), proved), begun)?
                    }
                    Perturbation::Transformed(transformation) => {
                        let image = (image.as_slice(), shape);
                        self.transformed(image, &property, transformation, begun)?
                    }
                };
                decided.write_to(&mut result);
            }
            // The image itself is not answered so.
            Some(_) => result.verdict = Verdict::Falsified,
            None => {}
        }
        result.micros = micros(begun);
        Ok(result)
    }

    /// The verdict on a specification that holds where each of these queries does.
    pub(super) fn file(&mut self, queries: &[Query]) -> Result<VerificationResult> {
        let begun = Instant::now();
        let mut result = VerificationResult {
            idx: None,
            verdict: Verdict::Unknown,
            class: None,
            answer: None,
            margin: None,
            decided_by: String::new(),
            branches: 0,
            proof: None,
            counterexample: None,
            micros: 0,
        };
        self.decide(queries, (None, false), begun)?
            .write_to(&mut result);
        result.micros = micros(begun);
        Ok(result)
    }

    /// Decides queries of which all have to hold. The proof is that of a single one: of several
    /// the whole would be large, and each is cheap. They are expected to hold where another network
    /// was `proved` to keep the class.
    fn decide(
        &mut self,
        queries: &[Query],
        (hints, proved): (Option<&Hints<'_>>, bool),
        begun: Instant,
    ) -> Result<Decided> {
        let deadline = self.config.timeout.map(|timeout| begun + timeout);
        let mut whole = Decided {
            verdict: Verdict::Verified,
            by: "answer",
            margin: Some(f64::INFINITY),
            branches: 0,
            proof: None,
            counterexample: None,
        };
        for query in queries {
            let mut one = self.one(query, (hints, proved), deadline)?;
            one.branches += whole.branches;
            match one.verdict {
                Verdict::Falsified => return Ok(one),
                Verdict::Unknown => whole.verdict = Verdict::Unknown,
                Verdict::Verified => {}
            }
            whole.branches = one.branches;
            whole.margin = whole.margin.zip(one.margin).map(|(a, b)| a.min(b));
            whole.by = later(whole.by, one.by);
            if queries.len() == 1 {
                whole.proof = one.proof;
            }
        }
        Ok(whole)
    }

    fn one(
        &mut self,
        query: &Query,
        (hints, proved): (Option<&Hints<'_>>, bool),
        deadline: Option<Instant>,
    ) -> Result<Decided> {
        let mut open = Decided {
            verdict: Verdict::Unknown,
            by: "answer",
            margin: None,
            branches: 0,
            proof: None,
            counterexample: None,
        };
        let default = Slopes::default();
        let mut begin = Begin {
            bounds: None,
            slopes: hints.map_or(&default, |hints| &hints.slopes),
            leaves: hints.map_or(&[], |hints| &hints.leaves),
            // Where a proof is expected, the attack is in vain as a rule, and takes longer than CROWN
            // of a small network.
            attack_late: proved,
        };
        let mut margins = vec![f64::NEG_INFINITY; query.property.rows().len()];
        if let Some(hints) = hints {
            begin.bounds = self.transfer(query, hints, &mut margins, &mut open)?;
            if open.verdict == Verdict::Verified {
                return Ok(open);
            }
        }
        if self.config.runs(VerifyMethod::Attack) {
            open.by = VerifyMethod::Attack.name();
            if !begin.attack_late && self.falsifies(query, deadline, &mut open)? {
                return Ok(open);
            }
        }
        self.bound(query, begin, &mut margins, deadline, &mut open)?;
        Ok(open)
    }

    /// Whether the attack finds a counterexample, which is the verdict then.
    fn falsifies(
        &mut self,
        query: &Query,
        deadline: Option<Instant>,
        found: &mut Decided,
    ) -> Result<bool> {
        let point = self.attack(query, deadline)?;
        let falsified = point.is_some();
        if falsified {
            found.by = VerifyMethod::Attack.name();
            found.verdict = Verdict::Falsified;
            found.margin = None;
            found.counterexample = point;
        }
        Ok(falsified)
    }

    /// Bounds the rows of a query by another network's bounds and the difference from it, if its
    /// bounds are known; the bounds of values that hold then.
    fn transfer(
        &self,
        query: &Query,
        hints: &Hints<'_>,
        margins: &mut [f64],
        found: &mut Decided,
    ) -> Result<Option<Bounds>> {
        let Some((original, bounds, lower)) = &hints.known else {
            return Ok(None);
        };
        let (network, property) = (self.network, &query.property);
        let known = Known {
            network: original,
            bounds,
            lower,
            slopes: &hints.slopes,
        };
        let most = Reuse::Layers;
        let result = bounds::transfer(known, network, &query.outer, property, most, self.options)?;
        hints.rows.fetch_add(result.rows as u64, Ordering::Relaxed);
        let by = match result.by {
            Reuse::Margins => "transfer-margins",
            Reuse::Values => "transfer-values",
            _ => "transfer-layers",
        };
        if found.improve(by, property, margins, &result.lower) {
            let whole = Part {
                splits: &[],
                rows: (0..margins.len()).map(|row| (row, row)).collect(),
                slopes: &hints.slopes,
            };
            found.proof = proof::encoded(network, &result.bounds, margins, &[whole], &[]);
        }
        Ok(Some(result.bounds))
    }

    /// Bounds the rows of a query, by one method after the other, until they prove it.
    fn bound(
        &mut self,
        query: &Query,
        begin: Begin<'_>,
        margins: &mut [f64],
        deadline: Option<Instant>,
        found: &mut Decided,
    ) -> Result<()> {
        let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let config = self.config;
        let (network, region, property) = (self.network, &query.outer, &query.property);
        let rows = property.rows();
        let options = self.options;
        let default = Slopes::default();
        // Transferred bounds are CROWN's, and tighter than intervals.
        let transferred = begin.bounds.is_some();
        if config.runs(VerifyMethod::Ibp) && !transferred && !late() {
            let bounds = bounds::interval(network, region)?;
            let lower = bounds::lower_interval(network, region, &bounds, &rows, options)?;
            if found.improve(VerifyMethod::Ibp.name(), property, margins, &lower) {
                return Ok(());
            }
        }
        let linear = [
            VerifyMethod::Crown,
            VerifyMethod::AlphaCrown,
            VerifyMethod::BranchAndBound,
        ];
        if !linear.into_iter().any(|method| config.runs(method)) || late() {
            return Ok(());
        }
        let bounds = match begin.bounds {
            Some(bounds) => bounds,
            None => bounds::crown(network, region, options)?,
        };
        if config.runs(VerifyMethod::Crown) && !transferred {
            let lower = bounds::lower(network, region, &bounds, &rows, &default, options)?;
            if found.improve(VerifyMethod::Crown.name(), property, margins, &lower) {
                let whole = Part {
                    splits: &[],
                    rows: Vec::new(),
                    slopes: &default,
                };
                found.proof = proof::encoded(network, &bounds, &lower, &[whole], &[]);
                return Ok(());
            }
        }
        if begin.attack_late
            && config.runs(VerifyMethod::Attack)
            && self.falsifies(query, deadline, found)?
        {
            return Ok(());
        }
        if !(config.runs(VerifyMethod::AlphaCrown) || config.branches()) || late() {
            return Ok(());
        }
        let ascent = Ascent {
            steps: config.slope_steps as usize,
            deadline,
            ..Ascent::default()
        };
        let start = begin.slopes;
        let best = bounds::optimized(network, region, &bounds, &rows, start, ascent, options)?;
        if config.runs(VerifyMethod::AlphaCrown)
            && found.improve(
                VerifyMethod::AlphaCrown.name(),
                property,
                margins,
                &best.bounds,
            )
        {
            let whole = Part {
                splits: &[],
                rows: (0..rows.len()).map(|row| (row, row)).collect(),
                slopes: &best.slopes,
            };
            found.proof = proof::encoded(network, &bounds, &best.bounds, &[whole], &[]);
            return Ok(());
        }
        if config.branches() && !late() {
            let root = (&bounds, &best.slopes, &best.bounds[..]);
            self.branch(query, root, begin.leaves, ascent, found)?;
        }
        Ok(())
    }

    /// Decides by branch and bound, from these bounds, slopes and margins on.
    fn branch(
        &mut self,
        query: &Query,
        (crown, slopes, margins): (&Bounds, &Slopes, &[f64]),
        leaves: &[Vec<Leaf>],
        ascent: Ascent,
        found: &mut Decided,
    ) -> Result<()> {
        found.by = VerifyMethod::BranchAndBound.name();
        let (network, region, options) = (self.network, &query.outer, self.options);
        // Tighter bounds of all neurons pay in every part, for a quarter of the time at most.
        let now = Instant::now();
        let quarter = |end: Instant| now + end.saturating_duration_since(now) / 4;
        let first = Ascent {
            deadline: ascent.deadline.map(quarter),
            ..ascent
        };
        let tightened = bounds::tightened(network, region, crown, first, options)?;
        let bounds = &tightened.bounds;
        let search = Search {
            nodes: usize::MAX,
            deadline: ascent.deadline,
            root: ascent,
            ..Search::default()
        };
        let property = &query.property;
        let search = |leaves: &[Vec<Leaf>]| {
            bounds::branch_and_bound_from(
                network, region, bounds, property, slopes, leaves, search, options,
            )
        };
        // Parts that do not fit this network are no start.
        let outcome = match search(leaves) {
            Err(error) if error.kind() == bounds::ErrorKind::Argument && !leaves.is_empty() => {
                search(&[])?
            }
            outcome => outcome?,
        };
        match outcome {
            Outcome::Verified { leaves, nodes } => {
                found.branches = nodes as u64;
                found.verdict = Verdict::Verified;
                let all = || leaves.iter().flatten();
                found.margin = Some(all().map(|leaf| leaf.bound).fold(f64::INFINITY, f64::min));
                let parts: Vec<Part<'_>> = all()
                    .map(|leaf| Part {
                        splits: &leaf.splits,
                        rows: vec![(leaf.row, 0)],
                        slopes: &leaf.slopes,
                    })
                    .collect();
                found.proof = proof::encoded(network, bounds, margins, &parts, &tightened.neurons);
            }
            Outcome::Candidate { point, nodes } => {
                found.branches = nodes as u64;
                let point = in_floats(&point, &query.inner);
                let inside: Vec<f64> = point.iter().map(|&x| x.into()).collect();
                if query.inner.contains(&inside)
                    && let Some(point) = self.answers_against(&point, property)?
                {
                    found.verdict = Verdict::Falsified;
                    found.margin = None;
                    found.counterexample = Some(point);
                }
            }
            Outcome::Unknown { bound, nodes } => {
                found.branches = nodes as u64;
                if bound <= 0.0 && found.margin.is_none_or(|margin| bound > margin) {
                    found.margin = Some(bound);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A point of the region that the engine answers against the property.
    fn attack(&mut self, query: &Query, deadline: Option<Instant>) -> Result<Option<Vec<f32>>> {
        let attack = Attack {
            steps: self.config.attack_steps as usize,
            restarts: self.config.attack_starts as usize,
            seed: self.config.attack_seed,
            deadline,
        };
        let found = attack.search(self.network, &query.inner, &query.property)?;
        let Some(found) = found.filter(|found| found.inside) else {
            return Ok(None);
        };
        self.answers_against(&found.input, &query.property)
    }

    /// The point, if the engine answers it against the property.
    pub(super) fn answers_against(
        &mut self,
        point: &[f32],
        property: &Property,
    ) -> Result<Option<Vec<f32>>> {
        let answers = self.classifier.classify(point)?;
        let against = match (property.class(), &answers) {
            (Some(class), answers) => answers.class(0).is_some_and(|c| usize::from(c) != class),
            (None, Answers::Logits { values, .. }) => {
                let outputs: Vec<f64> = values.iter().map(|&value| value.into()).collect();
                outputs.iter().all(|output| output.is_finite()) && property.violated(&outputs)
            }
            (None, Answers::Classes(_)) => false,
        };
        Ok(against.then(|| point.to_vec()))
    }
}

impl Decided {
    /// Takes lower bounds of the rows into account, and whether they prove the property.
    fn improve(
        &mut self,
        by: &'static str,
        property: &Property,
        margins: &mut [f64],
        lower: &[f64],
    ) -> bool {
        self.by = by;
        for (margin, &lower) in margins.iter_mut().zip(lower) {
            // What is no number improves nothing.
            if lower > *margin {
                *margin = lower;
            }
        }
        // Of conjunctions one row each is enough; a label's are of one row.
        let least = worst(property, margins);
        self.margin = Some(least);
        if property.verified(margins) {
            self.verdict = Verdict::Verified;
            return true;
        }
        false
    }

    fn write_to(self, result: &mut VerificationResult) {
        result.verdict = self.verdict;
        self.by.clone_into(&mut result.decided_by);
        result.margin = self.margin;
        result.branches = self.branches;
        result.proof = self.proof.filter(|_| self.verdict != Verdict::Unknown);
        result.counterexample = self.counterexample;
    }
}

/// Over the conjunctions of the unsafe set, the least of their largest row.
fn worst(property: &Property, margins: &[f64]) -> f64 {
    let mut margins = margins.iter();
    let conjunctions = property.unsafe_set().iter();
    let largest = conjunctions.map(|conjunction| {
        let rows = margins.by_ref().take(conjunction.len());
        rows.copied().fold(f64::NEG_INFINITY, f64::max)
    });
    largest.fold(f64::INFINITY, f64::min)
}

/// The nearest float32 of each element that lies in the region's box, where there is one.
fn in_floats(point: &[f64], region: &Region) -> Vec<f32> {
    let (lower, upper) = region.bounding_box();
    let nearest = |(&x, (&lower, &upper)): (&f64, (&f64, &f64))| {
        let nearest = x.clamp(lower, upper) as f32;
        if f64::from(nearest) < lower {
            nearest.next_up()
        } else if f64::from(nearest) > upper {
            nearest.next_down()
        } else {
            nearest
        }
    };
    let bounds = lower.iter().zip(upper);
    point.iter().zip(bounds).map(nearest).collect()
}

/// Of two methods the one that is tried later.
fn later(a: &'static str, b: &'static str) -> &'static str {
    let order = [
        "answer",
        "transfer-margins",
        "transfer-values",
        "transfer-layers",
        "attack",
        "ibp",
        "crown",
        "alpha-crown",
        "branch-and-bound",
    ];
    let place = |name| order.iter().position(|known| *known == name);
    if place(b) > place(a) { b } else { a }
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
