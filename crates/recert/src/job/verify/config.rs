//! What to verify, as plain values.

use std::time::Duration;

use recert_bounds::Within;
use recert_ledger::{Distance, Effort, Specification};

use super::Epsilon;
use crate::job::config::{RunConfig, SubsetConfig};
use crate::{Error, Field, Result};

/// The most seconds that one input may take: a year.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The distance that images are near one another by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// The largest difference in any pixel.
    Linf,
    /// The Euclidean distance.
    L2,
}

/// The most cells that [`VerifyConfig::cells`] may allow: what a ledger keeps of each is small,
/// but not nothing.
const MOST_CELLS: usize = 100_000;

/// How many samples of a transformation's parameters are looked at before anything is bounded,
/// and how many further ones downhill from the worst of them.
pub(super) const SAMPLES: usize = 16;

/// How a verdict is looked for. Every method asks the engine first how it answers the input
/// itself.
///
/// Of a transformation the cascade bounds each cell of its parameters by forward bounds that are
/// linear in them, then by CROWN; the attack samples parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyMethod {
    /// One after the other until one decides: the attack, interval bounds, CROWN,
    /// alpha-CROWN, and branch and bound where completeness is asked for.
    Cascade,
    /// Projected gradient descent, which proves nothing.
    Attack,
    /// Interval bound propagation.
    Ibp,
    /// CROWN, intersected with interval bounds.
    Crown,
    /// CROWN with slopes that are optimised for each margin.
    AlphaCrown,
    /// Branch and bound over neurons.
    BranchAndBound,
}

impl VerifyMethod {
    /// The name, also in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cascade => "cascade",
            Self::Attack => "attack",
            Self::Ibp => "ibp",
            Self::Crown => "crown",
            Self::AlphaCrown => "alpha-crown",
            Self::BranchAndBound => "branch-and-bound",
        }
    }
}

/// How to verify a network.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyConfig {
    /// How a verdict is looked for.
    pub method: VerifyMethod,
    /// With [`VerifyMethod::Cascade`]: branch and bound in the end.
    pub complete: bool,
    /// How long one input, or VNN-LIB file, may take. Nothing further is begun after that.
    pub timeout: Option<Duration>,
    /// Gradient steps of the attack from each start.
    pub attack_steps: u32,
    /// Starts of the attack.
    pub attack_starts: u32,
    /// Seed of the attack.
    pub attack_seed: u64,
    /// Steps by which slopes are improved.
    pub slope_steps: u32,
    /// The family of networks that is verified: all whose weights are within this step of the
    /// file's. With none it is the network alone. Counterexamples are of the file's network.
    pub weights_within: Option<Within>,
    /// The most bytes for coefficients at a time, of all threads together. No bound depends on
    /// it.
    pub memory: u64,
    /// The most cells of parameters that are bounded for one input, 1 to 100,000; for
    /// transformations alone.
    pub cells: usize,
    /// Which inputs.
    pub subset: SubsetConfig,
    /// How to go about it.
    pub run: RunConfig,
}

impl Default for VerifyConfig {
    /// The cascade without branch and bound, in 1 GiB.
    fn default() -> Self {
        Self {
            method: VerifyMethod::Cascade,
            complete: false,
            timeout: None,
            attack_steps: 40,
            attack_starts: 3,
            attack_seed: 0,
            slope_steps: 20,
            weights_within: None,
            memory: 1 << 30,
            cells: 10_000,
            subset: SubsetConfig::default(),
            run: RunConfig::default(),
        }
    }
}

impl VerifyConfig {
    /// Checks all that can be checked without network and data.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](crate::ErrorKind::Parameter), naming the field that is out of
    /// range.
    pub fn validate(&self) -> Result<()> {
        if self.memory == 0 {
            let message = "there must be some memory for bounds";
            return Err(Error::parameter(Field::Memory, message));
        }
        if !(1..=MOST_CELLS).contains(&self.cells) {
            let message = format!("there are 1 to {MOST_CELLS} cells, not {}", self.cells);
            return Err(Error::parameter(Field::Cells, message));
        }
        if self.complete && self.method != VerifyMethod::Cascade {
            let message = format!(
                "only the cascade ends in branch and bound, not {}: leave out one of the two",
                self.method.name()
            );
            return Err(Error::parameter(Field::Method, message));
        }
        if self
            .timeout
            .is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST)
        {
            let message = "an input must have some time, and at most a year";
            return Err(Error::parameter(Field::Timeout, message));
        }
        if self.branches() && self.timeout.is_none() {
            let message = "branch and bound may go on for years: set a time for each input";
            return Err(Error::parameter(Field::Timeout, message));
        }
        self.run.validate()
    }

    /// Checks, too, that the method is one for transformations.
    pub(super) fn validate_transform(&self) -> Result<()> {
        self.validate()?;
        if self.weights_within.is_some() {
            let message = "a transformation is verified for the network of the file alone, not for \
                           a family: leave out one of the two";
            return Err(Error::parameter(Field::WeightsWithin, message));
        }
        if self.branches() || self.method == VerifyMethod::AlphaCrown {
            let field = if self.complete {
                Field::Complete
            } else {
                Field::Method
            };
            let message = "a transformation is verified by cutting its parameters into cells: by \
                           cascade, attack, ibp or crown, and without branch and bound over neurons";
            return Err(Error::parameter(field, message));
        }
        Ok(())
    }

    /// Whether branch and bound may be begun.
    pub(super) fn branches(&self) -> bool {
        self.complete || self.method == VerifyMethod::BranchAndBound
    }

    /// Whether this part of the cascade is to run.
    pub(super) fn runs(&self, part: VerifyMethod) -> bool {
        match self.method {
            VerifyMethod::Cascade => part != VerifyMethod::BranchAndBound || self.complete,
            one => one == part,
        }
    }

    /// What a ledger keeps of it: only what the method uses, so that the same results are found
    /// again.
    pub(super) fn effort(&self) -> Effort {
        let attacks = self.runs(VerifyMethod::Attack);
        let improves = self.runs(VerifyMethod::AlphaCrown) || self.branches();
        Effort {
            attack_steps: if attacks { self.attack_steps } else { 0 },
            attack_starts: if attacks { self.attack_starts } else { 0 },
            attack_seed: if attacks { self.attack_seed } else { 0 },
            cells: None,
            slope_steps: if improves { self.slope_steps } else { 0 },
            complete: self.branches(),
            timeout: self.timeout.map(|timeout| timeout.as_secs_f64()),
            from: None,
        }
    }

    /// The same of a transformation.
    pub(super) fn transform_effort(&self) -> Effort {
        let samples = if self.runs(VerifyMethod::Attack) {
            SAMPLES as u32
        } else {
            0
        };
        let bounds = self.method != VerifyMethod::Attack;
        Effort {
            attack_steps: samples,
            attack_starts: samples,
            attack_seed: 0,
            cells: bounds.then_some(self.cells as u64),
            slope_steps: 0,
            ..self.effort()
        }
    }
}

impl Norm {
    pub(in crate::job) fn specification(
        self,
        epsilon: &Epsilon,
        weights: Option<Within>,
    ) -> Specification {
        let distance = Distance {
            eps: epsilon.to_string(),
            radius: epsilon.up(),
            weights: weights.map(|step| step.to_string()),
        };
        match self {
            Self::Linf => Specification::Linf(distance),
            Self::L2 => Specification::L2(distance),
        }
    }
}
