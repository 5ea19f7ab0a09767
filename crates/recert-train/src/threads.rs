//! How many threads compute.

use crate::error::{Error, Result};

/// Runs something with this many threads for what this crate computes within; no result depends on
/// their number.
///
/// # Errors
///
/// [`crate::ErrorKind::Setting`] where there are none, or the system gives none.
///
/// ```
/// assert_eq!(recert_train::with_threads(2, || 1 + 1)?, 2);
/// # Ok::<(), recert_train::Error>(())
/// ```
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R> {
    if threads == 0 {
        return Err(Error::setting("threads", "at least one is needed"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| {
        Error::setting("threads", "the system starts no threads").with_source(error)
    })?;
    Ok(pool.install(work))
}
