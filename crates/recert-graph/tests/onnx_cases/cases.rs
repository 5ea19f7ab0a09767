//! Where the cases are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::Case;

/// Prints the package's version and the folder of its stored cases.
const LOCATE: &str = "
import os, onnx
print(onnx.__version__)
print(os.path.join(os.path.dirname(onnx.__file__), 'backend', 'test', 'data'))
";

/// The first version whose cases hold: some of those stored by earlier ones,
/// such as the saturation of `QLinearMatMul`, ONNX has corrected since.
const LEAST: [u32; 2] = [1, 23];

/// Writes the cases of single operators to the folder given. The package does
/// not store them, but makes them when it is asked to.
const GENERATE: &str = "
import argparse, sys
import onnx.backend.test.case.model as model, onnx.backend.test.case.node as node
from onnx.backend.test import cmd_tools
model.collect_testcases = lambda: node.collect_testcases(None)
cmd_tools.generate_data(argparse.Namespace(output=sys.argv[1]))
";

/// All cases, or why there are none.
pub(crate) fn find() -> Result<Vec<Case>, String> {
    if let Some(folder) = std::env::var_os("RECERT_ONNX_TESTS") {
        return Ok(list(Path::new(&folder), ""));
    }
    let located = python(&["-c", LOCATE])
        .map_err(|why| format!("Python's onnx is not installed (pip install onnx): {why}"))?;
    let mut lines = located.lines();
    let (Some(version), Some(data)) = (lines.next(), lines.next()) else {
        return Err(format!("Python's onnx cannot be found in `{located}`"));
    };
    let numbers: Vec<u32> = version.split('.').flat_map(str::parse).collect();
    if numbers[..] < LEAST[..] {
        let [major, minor] = LEAST;
        return Err(format!(
            "Python's onnx is of version {version}, whose cases have errors (pip install \
             'onnx>={major}.{minor}')"
        ));
    }
    let data = Path::new(data);
    let mut cases = list(&generated(version)?, "node");
    for kind in ["simple", "pytorch-operator", "pytorch-converted"] {
        cases.extend(list(&data.join(kind), kind));
    }
    Ok(cases)
}

/// The folder of generated cases, which is made only once for a version.
fn generated(version: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("onnx-{version}"));
    if !folder.is_dir() {
        // Under another name first, so that what is there is always whole.
        let part = folder.with_extension(format!("part-{}", std::process::id()));
        let target = part.display().to_string();
        python(&["-W", "ignore", "-c", GENERATE, &target])
            .map_err(|why| format!("onnx {version} could not write its cases: {why}"))?;
        std::fs::rename(&part, &folder).map_err(|error| error.to_string())?;
    }
    Ok(folder.join("node"))
}

/// What the active Python environment's, or the first Python on the path, prints.
fn python(arguments: &[&str]) -> Result<String, String> {
    let active = std::env::var_os("VIRTUAL_ENV");
    let program = active.map_or_else(
        || OsString::from("python3"),
        |folder| Path::new(&folder).join("bin").join("python").into(),
    );
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(errors.lines().last().unwrap_or("it failed").to_owned())
}

fn list(folder: &Path, kind: &str) -> Vec<Case> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("model.onnx").is_file())
        .map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let name = if kind.is_empty() {
                name.into_owned()
            } else {
                format!("{kind}/{name}")
            };
            Case { name, folder }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}
