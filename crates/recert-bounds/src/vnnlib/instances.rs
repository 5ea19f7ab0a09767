//! Lists of verification problems, `instances.csv`: a network, a property file and a timeout a
//! line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file;
use crate::error::{Error, ErrorKind, Result};

/// A verification problem of an `instances.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The network's file; a `.gz` of it where only that is there (see [`read_bytes`](super::read_bytes)).
    pub network: PathBuf,
    /// The property file, likewise.
    pub property: PathBuf,
    /// How long the problem may take.
    pub timeout: Duration,
}

/// The longest timeout that a line may state: a year.
const LONGEST: f64 = 365.0 * 86400.0;

/// Reads an `instances.csv`, as VNN-COMP's benchmarks have one: lines of
/// `network.onnx,property.vnnlib,timeout in seconds`, without a header, with paths relative to
/// the file's folder. A file that is there as `.gz` alone is found as that.
///
/// # Errors
///
/// [`ErrorKind::Io`] where the list cannot be read; [`ErrorKind::Syntax`], with the line, where a
/// line has other than three fields, a file that is not there, or no timeout.
pub fn instances(path: impl AsRef<Path>) -> Result<Vec<Instance>> {
    let path = path.as_ref();
    let text = file::text(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|error| error.at(path.display()))
}

fn parse(text: &str, folder: &Path) -> Result<Vec<Instance>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut instances = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let instance =
            instance(line, folder).map_err(|e| e.at(format_args!("line {}", number + 1)));
        instances.push(instance?);
    }
    if instances.is_empty() {
        return Err(Error::new(ErrorKind::Syntax, "lists no instance"));
    }
    Ok(instances)
}

fn instance(line: &str, folder: &Path) -> Result<Instance> {
    let error = |message: String| Error::new(ErrorKind::Syntax, message);
    let fields: Vec<&str> = line
        .split(',')
        .map(|field| field.trim().trim_matches('"'))
        .collect();
    let &[network, property, timeout] = fields.as_slice() else {
        return Err(error(format!(
            "has {} fields, not the three `network.onnx,property.vnnlib,seconds`",
            fields.len()
        )));
    };
    let seconds: f64 = timeout.parse().unwrap_or(f64::NAN);
    if !(seconds > 0.0 && seconds <= LONGEST) {
        let timeout = super::tokens::shortened(timeout);
        return Err(error(format!(
            "`{timeout}` is no timeout: a positive number of seconds, at most a year"
        )));
    }
    let find = |name: &str| {
        let plain = folder.join(name);
        let mut compressed = plain.clone().into_os_string();
        compressed.push(".gz");
        [plain, PathBuf::from(compressed)]
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| {
                let name = super::tokens::shortened(name);
                error(format!(
                    "there is no file `{name}` beside the list, nor `{name}.gz`"
                ))
            })
    };
    Ok(Instance {
        network: find(network)?,
        property: find(property)?,
        timeout: Duration::from_secs_f64(seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_found_beside_the_list_compressed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.onnx", "p.vnnlib.gz"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let list = folder.path().join("instances.csv");
        std::fs::write(
            &list,
            "./a.onnx, p.vnnlib, 2.5\r\n\n\"a.onnx\",p.vnnlib.gz,60\n",
        )
        .unwrap();
        let found = instances(&list).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].network.ends_with("a.onnx"));
        assert_eq!(found[0].property, folder.path().join("p.vnnlib.gz"));
        assert_eq!(found[0].timeout, Duration::from_millis(2500));
        assert_eq!(found[1].timeout, Duration::from_mins(1));

        for (text, message) in [
            ("a.onnx,p.vnnlib\n", "line 1: has 2 fields"),
            ("\na.onnx,p.vnnlib,soon\n", "line 2: `soon` is no timeout"),
            ("a.onnx,p.vnnlib,-1\n", "line 1: `-1` is no timeout"),
            ("a.onnx,p.vnnlib,inf\n", "line 1: `inf` is no timeout"),
            ("b.onnx,p.vnnlib,1\n", "line 1: there is no file `b.onnx`"),
            ("", "lists no instance"),
        ] {
            std::fs::write(&list, text).unwrap();
            let error = instances(&list).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert!(error.contains("instances.csv"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a,.\"0-9e\r\n]{0,40}") {
            let _ = parse(&text, Path::new("nowhere"));
        }
    }
}
