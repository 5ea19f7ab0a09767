//! `recert demo`: the whole job on images and a network that ship with recert.

use std::path::Path;

use crate::args::{Args, Demo};
use crate::exit::{Code, Failure, Result};
use crate::terminal;

/// Drawn and trained by `assets/demo/train.py`; `demo/` links to them, so that packaging copies them.
const FILES: [(&str, &[u8]); 3] = [
    ("shapes.onnx", include_bytes!("../../demo/shapes.onnx")),
    (
        "shapes-test.npz",
        include_bytes!("../../demo/shapes-test.npz"),
    ),
    (
        "shapes-calibration.npz",
        include_bytes!("../../demo/shapes-calibration.npz"),
    ),
];

/// The commands, as a person would type them; `{}` is the folder.
const COMMANDS: [&str; 6] = [
    "certify --model {}/shapes.onnx --data {}/shapes-test.npz --sigma 0.5 --n 2000 --every 2 \
     --ledger {}/shapes.recert --log {}/shapes.tsv",
    "approximate {}/shapes.onnx --int8 --calibration {}/shapes-calibration.npz --sigma 0.5 \
     --out {}",
    "approximate {}/shapes.onnx --bf16 --out {}",
    "approximate {}/shapes.onnx --prune 10% --out {}",
    "recertify {}/shapes.recert --model {}/shapes.int8.onnx --model {}/shapes.bf16.onnx \
     --model {}/shapes.prune10.onnx --budget 5%",
    "report {}/shapes.recert --html {}/report.html --brief",
];

pub(crate) fn run(args: &Demo) -> Result<()> {
    let folder = &args.out;
    std::fs::create_dir_all(folder)
        .map_err(|why| Failure::output(format!("to the folder {}", folder.display()), why))?;
    for (name, bytes) in FILES {
        write(&folder.join(name), bytes)?;
    }
    for command in COMMANDS {
        let mut words: Vec<String> = std::iter::once("recert")
            .chain(command.split_whitespace())
            .map(|word| word.replace("{}", &folder.display().to_string()))
            .collect();
        if let (true, Some(threads)) = (command.contains("certify"), args.threads) {
            words.extend(["--threads".into(), threads.to_string()]);
        }
        terminal::say!("\n$ {}", words.join(" "));
        let args = Args::read(&words);
        let mut args = args.map_err(|why| Failure::new(Code::Other, why.to_string()))?;
        args.show_summaries_only();
        super::run(&args)?;
    }
    terminal::say!(
        "\nOpen {} in a browser.",
        folder.join("report.html").display()
    );
    Ok(())
}

/// Writes a file unless it is there already as it should be.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).map_err(|why| Failure::output(path.display(), why))
}
