//! The files of a training: the network's, its checkpoint beside it, and the lock on both.

use std::path::{Path, PathBuf};

use recert_ledger::Lock;

use super::config::TrainConfig;
use crate::{Error, Field, Result, output};

/// The most links that are followed: as many as systems follow.
const MOST_LINKS: usize = 40;

/// The file that a training into `out` writes its checkpoints to. Where `out` is a link, it is beside the file that the
/// link leads to.
pub fn train_checkpoint(out: &Path) -> PathBuf {
    checkpoint_of(&resolved(out))
}

/// The checkpoint beside a file that is no link.
pub(super) fn checkpoint_of(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".checkpoint");
    place.with_file_name(name)
}

/// The file that a path leads to, which need not be there. Links among its folders stay: files beside it are beside it
/// by either way.
pub(super) fn resolved(out: &Path) -> PathBuf {
    let mut place = out.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&place) else {
            break;
        };
        place = match place.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    place
}

/// Fails where no network can be written, or where it would take the place of what is needed.
pub(super) fn check(place: &Path, config: &TrainConfig, data: &str) -> Result<()> {
    if place.exists() && !place.is_file() {
        return Err(Error::output(place.display(), "it is no file"));
    }
    output::check_folder(place)?;
    let data_path = output::data_path(data);
    let inputs = [
        (config.model.as_deref(), "the network it begins with"),
        (data_path.as_deref(), "the data"),
    ];
    let inputs: Vec<(&Path, &str)> = (inputs.into_iter())
        .filter_map(|(path, role)| Some((path?, role)))
        .collect();
    output::check_network_place(place, &inputs)
}

/// Takes the lock of a network's file.
pub(super) fn lock(place: &Path) -> Result<Lock> {
    Lock::take(place).map_err(|error| {
        let busy = error.kind() == recert_ledger::ErrorKind::InUse;
        let words = error.to_string();
        // What follows is about ledgers.
        let begin = format!("ledger {}: ", error.path().display());
        let words = words.strip_prefix(&begin).unwrap_or(&words);
        let words = words.split("; ").next().unwrap_or(words);
        let advice = if busy {
            "or name another file"
        } else {
            "name a file in a folder that may be written to, on a local disk"
        };
        let message = format!("the network's file {}: {words}; {advice}", place.display());
        Error::new(Error::from(error).kind(), message).about(Field::Out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_busy_file_is_called_a_network() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("net.onnx");
        let held = lock(&place).unwrap();
        let error = lock(&place).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::Ledger, Some(Field::Out))
        );
        let words = error.to_string();
        let expected = format!(
            "the network's file {}: another process is writing to it: wait for it, or stop it; or name \
             another file",
            place.display()
        );
        assert_eq!(words, expected);
        drop(held);
        let nowhere = folder.path().join("nowhere/net.onnx");
        let words = lock(&nowhere).unwrap_err().to_string();
        assert!(words.contains("cannot be opened for writing"), "{words}");
        assert!(
            words.contains("; name a file in a folder") && !words.contains("ledger"),
            "{words}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_one_file_and_one_checkpoint() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("nets")).unwrap();
        // What they lead to is not there yet.
        symlink("nets/net.onnx", path("link.onnx")).unwrap();
        symlink(path("link.onnx"), path("again.onnx")).unwrap();
        let place = path("nets/net.onnx");
        for name in ["nets/net.onnx", "link.onnx", "again.onnx"] {
            assert_eq!(resolved(&path(name)), place, "{name}");
            let checkpoint = path("nets/net.onnx.checkpoint");
            assert_eq!(train_checkpoint(&path(name)), checkpoint, "{name}");
        }
        // A link to itself ends somewhere.
        symlink("loop.onnx", path("loop.onnx")).unwrap();
        assert_eq!(resolved(&path("loop.onnx")), path("loop.onnx"));
    }
}
