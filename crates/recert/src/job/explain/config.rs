//! How to explain, as plain values.

use recert_bounds::features::Method;

use crate::job::config::{RunConfig, SubsetConfig};
use crate::{Error, Field, Result};

/// What bounds neurons and margins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExplainMethod {
    /// Interval bound propagation.
    Ibp,
    /// CROWN, intersected with interval bounds.
    Crown,
    /// CROWN with slopes that are optimised for each margin.
    AlphaCrown,
}

impl ExplainMethod {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ibp => "ibp",
            Self::Crown => "crown",
            Self::AlphaCrown => "alpha-crown",
        }
    }
}

/// How to explain a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainConfig {
    /// What bounds neurons and margins.
    pub method: ExplainMethod,
    /// Steps by which slopes are improved, with [`ExplainMethod::AlphaCrown`].
    pub slope_steps: u32,
    /// Seed of the random order, a baseline.
    pub seed: u32,
    /// Of how many inputs, from the first on, images and pictures are kept: what a page shows.
    pub pictures: u32,
    /// The most bytes for coefficients at a time, of all threads together. No bound depends on
    /// it.
    pub memory: u64,
    /// Which inputs.
    pub subset: SubsetConfig,
    /// How to go about it.
    pub run: RunConfig,
}

impl Default for ExplainConfig {
    /// CROWN without pictures, in 1 GiB.
    fn default() -> Self {
        Self {
            method: ExplainMethod::Crown,
            slope_steps: 20,
            seed: 0,
            pictures: 0,
            memory: 1 << 30,
            subset: SubsetConfig::default(),
            run: RunConfig::default(),
        }
    }
}

impl ExplainConfig {
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
        self.run.validate()
    }

    /// The method as bounds have it.
    pub(super) fn bounded_by(&self) -> Method {
        match self.method {
            ExplainMethod::Ibp => Method::Interval,
            ExplainMethod::Crown => Method::Crown,
            ExplainMethod::AlphaCrown => Method::AlphaCrown {
                steps: self.slope_steps as usize,
            },
        }
    }
}
