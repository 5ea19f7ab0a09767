//! What a training is computed on.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::tensor;

/// What a training is computed on. Random numbers, Adam and weights are the processor's in any case;
/// passes forward and backward are the device's.
///
/// ```
/// use recert_train::Device;
///
/// assert_eq!("gpu".parse::<Device>()?, Device::Gpu);
/// assert_eq!("tpu".parse::<Device>().unwrap_err().field(), Some("device"));
/// assert_eq!(Device::Cpu.description()?, "cpu");
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor, with the operations of this crate.
    #[default]
    Cpu,
    /// The graphics processor that the system names first, through Vulkan, Metal or Direct3D: in
    /// builds with the feature `gpu`.
    Gpu,
}

impl Device {
    /// The device's name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    /// The very device, with its driver: what a checkpoint is compared by. A graphics processor is
    /// opened for it.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Setting`] where this build or this machine has no such device.
    pub fn description(self) -> Result<String> {
        match self {
            Self::Cpu => Ok(self.name().to_owned()),
            Self::Gpu => tensor::opened().map_err(|why| Error::setting("device", why)),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ => {
                let text = format!("'{text}' is none of cpu, gpu");
                Err(Error::setting("device", text))
            }
        }
    }
}
