//! Calling other projects' code where it first meets a network: a panic becomes an error,
//! and deep recursion has room.

use std::any::Any;
use std::thread;

use crate::{Error, ErrorKind, Setting};

/// The name of the threads that first run a network.
const GUARDED_THREAD: &str = "first inference";

/// Whether a panic on a thread of this name becomes an error, so that whoever prints panics
/// may leave it out: one on which a network is first run, or one of rten's own.
///
/// ```
/// assert!(!recert_engine::returns_panics(Some("main")));
/// ```
pub fn returns_panics(thread: Option<&str>) -> bool {
    thread.is_some_and(|name| name == GUARDED_THREAD || name.starts_with("rten-"))
}

/// The stack of such a thread, in bytes. Networks of 100,000 layers in a row are released by
/// some engines with a call inside a call for each.
const STACK: usize = 256 << 20;

/// Calls `first` on a thread of its own.
///
/// # Errors
/// Those of `first`; [`ErrorKind::Unsupported`] for a panic of it, with `network` and
/// `engine`.
pub(crate) fn guarded<T: Send>(
    network: &str,
    engine: &str,
    first: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let result = thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name(GUARDED_THREAD.to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, first);
        thread.map(thread::ScopedJoinHandle::join)
    });
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let message = format!(
                "{network}: {engine} stopped with a fault of its own when it first met the network \
                 ({}): choose another engine",
                text(panic.as_ref())
            );
            Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Engine))
        }
        Err(error) => {
            let message = format!("{network}: no thread could be started to run it: {error}");
            Err(Error::new(ErrorKind::Run, message).because(error))
        }
    }
}

/// What a panic says, on one line.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no message");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_network_and_engine() {
        let refused = guarded::<()>("net.onnx", "quick 1.0", || panic!("index {}\n of 2", 3));
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for part in ["net.onnx", "quick 1.0", "index 3 of 2"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(guarded("net.onnx", "quick", || Ok(3)).unwrap(), 3);
    }
}
