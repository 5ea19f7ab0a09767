//! The engines: one file each, and the list of them.

mod direct;
mod onnxruntime;
mod rten;

pub use direct::{Direct, embedded};
pub use onnxruntime::OnnxRuntime;
pub use rten::Rten;

use crate::{Error, ErrorKind, Runtime};

/// The names of all engines this build knows, the embedded default first.
pub const NAMES: [&str; 3] = [Rten::NAME, Direct::NAME, OnnxRuntime::NAME];

/// The engine of the name given.
///
/// # Errors
/// [`ErrorKind::EngineMissing`] for an unknown name or an engine whose library
/// is not found; the message says how to get it.
pub fn by_name(name: &str) -> Result<Box<dyn Runtime>, Error> {
    match name {
        Rten::NAME => Ok(Box::new(Rten)),
        Direct::NAME => Ok(Box::new(Direct)),
        OnnxRuntime::NAME => Ok(Box::new(OnnxRuntime::find()?)),
        _ => Err(Error::new(
            ErrorKind::EngineMissing,
            format!(
                "unknown engine '{name}': choose one of {}",
                NAMES.join(", ")
            ),
        )),
    }
}
