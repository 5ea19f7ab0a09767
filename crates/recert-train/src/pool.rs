//! Buffers that a step hands to the next: memory fresh from the system is cleared page by page, which would take a
//! tenth of a step. They are kept as long as something [`Uses`] them, and nothing depends on what is in them.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::convolution::Scalar;

/// Shorter buffers are the allocator's.
const SHORTEST: usize = 1 << 12;

/// How many buffers are kept. A step takes the same lengths as the last one, so that those of other steps and
/// batches are the oldest, and make room.
const KEPT: usize = 128;

/// Kept buffers of one type, the oldest first.
pub(crate) struct Pool<E>(Mutex<Vec<Vec<E>>>);

impl<E> Pool<E> {
    /// One that keeps nothing yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The buffers. A panic elsewhere leaves them whole.
    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<E>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many use the buffers.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// Buffers are kept until the last of these is dropped.
pub(crate) struct Uses(());

impl Uses {
    pub(crate) fn begin() -> Self {
        USERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if USERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            f32::pool().buffers().clear();
            f64::pool().buffers().clear();
        }
    }
}

/// A buffer of this length, to be overwritten: its elements are whatever they were last.
pub(crate) fn room<E: Scalar>(count: usize) -> Vec<E> {
    if count >= SHORTEST {
        let mut buffers = E::pool().buffers();
        if let Some(found) = buffers.iter().rposition(|buffer| buffer.len() == count) {
            return buffers.remove(found);
        }
    }
    vec![E::zero(); count]
}

/// A buffer of zeros.
pub(crate) fn zeros<E: Scalar>(count: usize) -> Vec<E> {
    let mut buffer = room(count);
    buffer.fill(E::zero());
    buffer
}

/// A buffer that is kept as soon as it is dropped.
pub(crate) struct Scratch<E: Scalar>(Vec<E>);

impl<E: Scalar> Scratch<E> {
    /// As [`room`].
    pub(crate) fn room(count: usize) -> Self {
        Self(room(count))
    }

    /// As [`zeros`].
    pub(crate) fn zeros(count: usize) -> Self {
        Self(zeros(count))
    }
}

impl<E: Scalar> Deref for Scratch<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.0
    }
}

impl<E: Scalar> DerefMut for Scratch<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.0
    }
}

impl<E: Scalar> Drop for Scratch<E> {
    fn drop(&mut self) {
        keep(std::mem::take(&mut self.0));
    }
}

/// A copy.
pub(crate) fn copied<E: Scalar>(elements: &[E]) -> Vec<E> {
    let mut buffer = room(elements.len());
    buffer.copy_from_slice(elements);
    buffer
}

/// Keeps a buffer for whoever wants one of its length.
pub(crate) fn keep<E: Scalar>(buffer: Vec<E>) {
    if buffer.len() < SHORTEST || USERS.load(Ordering::SeqCst) == 0 {
        return;
    }
    let mut buffers = E::pool().buffers();
    if buffers.len() == KEPT {
        buffers.remove(0);
    }
    buffers.push(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_buffer_is_the_next_of_its_length() {
        // A length that no other test takes, as they share the buffers.
        let count = SHORTEST + 12_345;
        let uses = Uses::begin();
        let buffer = vec![7.0_f32; count];
        let address = buffer.as_ptr();
        keep(buffer);
        let other = room::<f32>(count + 1);
        assert_ne!(other.as_ptr(), address);
        let again = room::<f32>(count);
        assert_eq!((again.as_ptr(), again.len()), (address, count));
        keep(again);
        assert!(zeros::<f32>(count).iter().all(|&x| x == 0.0));
        keep(vec![1.0_f32; 3]);
        assert!(room::<f32>(3).iter().all(|&x| x == 0.0));
        drop(uses);
    }
}
