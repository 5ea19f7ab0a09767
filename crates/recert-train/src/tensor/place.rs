//! Where matrices are computed: burn's devices, of which one is the current one of a thread.
//!
//! The algorithms of this crate know no device. What makes matrices runs within [`on`], as what runs on
//! some threads does within a thread pool; matrices then meet on one device, as each is made from others
//! or from numbers on the current one.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "gpu")]
use std::sync::OnceLock;

use burn::tensor::Device as Place;

use crate::device::Device;

thread_local! {
    static CURRENT: Cell<Device> = const { Cell::new(Device::Cpu) };
    #[cfg(test)]
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// What is done on leaving a scope, also by a panic.
struct Restored<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy> Drop for Restored<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Runs something whose matrices in float32 are a device's.
///
/// # Errors
///
/// What a device other than the processor failed with: it is lost, or has too little memory. burn panics
/// then, so what was being changed must be given up.
pub(crate) fn on<R>(device: Device, work: impl FnOnce() -> R) -> std::result::Result<R, String> {
    let _restored = Restored(&CURRENT, CURRENT.replace(device));
    match device {
        Device::Cpu => Ok(work()),
        Device::Gpu => {
            opened()?;
            catch_unwind(AssertUnwindSafe(work)).map_err(|payload| said(&*payload))
        }
    }
}

/// The message of a panic.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("it does not say why").to_owned()
}

/// The processor, where alone there is float64.
pub(super) fn processor() -> Place {
    Place::flex().autodiff()
}

/// The current device.
pub(super) fn current() -> Place {
    match CURRENT.get() {
        Device::Cpu => processor(),
        Device::Gpu => gpu(),
    }
}

/// Whether a tensor is where the operations of this crate run.
#[cfg(any(test, feature = "gpu"))]
pub(super) fn has_own_operations(place: &Place) -> bool {
    #[cfg(test)]
    if COMPOSED.get() {
        return false;
    }
    *place == Place::flex()
}

/// Runs something with the operations that other devices use, on the processor.
#[cfg(test)]
pub(crate) fn composed<R>(work: impl FnOnce() -> R) -> R {
    let _restored = Restored(&COMPOSED, COMPOSED.replace(true));
    work()
}

/// Opens the graphics processor, once, and describes it.
#[cfg(feature = "gpu")]
pub(crate) fn opened() -> std::result::Result<String, String> {
    opened_once()
        .as_ref()
        .map(|(_, description)| description.clone())
        .map_err(Clone::clone)
}

#[cfg(feature = "gpu")]
fn opened_once() -> &'static std::result::Result<(Place, String), String> {
    static OPENED: OnceLock<std::result::Result<(Place, String), String>> = OnceLock::new();
    OPENED.get_or_init(|| {
        let opened = Place::wgpu_options().init_with_setup();
        let (place, setup) = opened.map_err(|error| {
            format!(
                "no graphics processor can be opened ({error}); install its driver for Vulkan, \
                 Metal or Direct3D, or train on the cpu"
            )
        })?;
        let about = setup.adapter.get_info();
        let parts = [
            about.name,
            format!("{:?}", about.backend),
            about.driver,
            about.driver_info,
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Ok((place.autodiff(), format!("gpu {}", parts.join(", "))))
    })
}

#[cfg(feature = "gpu")]
fn gpu() -> Place {
    match opened_once() {
        Ok((place, _)) => place.clone(),
        Err(why) => unreachable!("a device that was opened before: {why}"),
    }
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn opened() -> std::result::Result<String, String> {
    Err(
        "this build trains on the processor alone; build recert with its feature train-gpu, or \
         train on the cpu"
            .to_owned(),
    )
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Place {
    unreachable!("a device that this build lacks was opened")
}
