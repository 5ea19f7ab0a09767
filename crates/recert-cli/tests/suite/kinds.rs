//! Networks as people have them: which output is read, and what to do with a file that is
//! no ONNX network.

use std::path::Path;

use crate::common::{Place, asset, fails, ok, rows, small_data, with};

fn certify(place: &Place, model: &str, more: &[&str]) -> Vec<String> {
    let ledger = place.text("run.recert");
    let words = [
        "certify", "--model", model, "--sigma", "0.1", "--n", "40", "--n0", "5", "--ledger",
        &ledger,
    ];
    [with(&with(&[], &words), more), small_data(place)].concat()
}

/// The output that the ledger's networks were read at.
fn outputs(ledger: &Path) -> Vec<String> {
    let ledger = recert::ledger::Ledger::open_read_only(ledger).unwrap();
    let networks = ledger.networks().unwrap();
    networks
        .into_iter()
        .map(|(_, network)| network.output)
        .collect()
}

#[test]
fn one_of_several_outputs_has_to_be_named_once() {
    let place = Place::new();
    let model = asset("made/two_outputs.onnx");
    let unnamed = certify(&place, &model, &[]);
    let words = [
        "`first` (float32 [N, 4])",
        "`second` (float32 [N, 4])",
        "--output",
    ];
    fails(3, &words).check(&unnamed);
    assert!(!place.path("run.recert").exists());
    ok(&certify(&place, &model, &["--output", "second"]));
    // The ledger knows it from then on.
    ok(&unnamed);
    let ledger = place.text("run.recert");
    let pruned = place.text("pruned.onnx");
    ok(&with(
        &[],
        &["approximate", &model, "--prune", "20%", "--out", &pruned],
    ));
    ok(&with(
        &[],
        &["recertify", &ledger, "--model", &pruned, "--n-p", "50%"],
    ));
    assert_eq!(outputs(ledger.as_ref()), ["second", "second"]);
}

#[test]
fn scores_beside_labels_are_taken_and_named() {
    let place = Place::new();
    for kind in ["label_then_scores", "text_label_then_scores"] {
        let model = asset(&format!("kinds/{kind}.onnx"));
        let said = ok(&certify(&place, &model, &[]));
        let remark = format!("{kind}.onnx: its output 'logits' holds the scores of 4 classes");
        assert!(said.stderr.contains(&remark), "{}", said.stderr);
        assert!(!rows(&said.stdout).is_empty());
        std::fs::remove_file(place.path("run.recert")).unwrap();
    }
}

#[test]
fn files_of_other_formats_are_named_with_the_line_that_exports_them() {
    let place = Place::new();
    let files: [(&str, &[u8], &str); 4] = [
        (
            "net.pth",
            b"PK\x03\x04\0\0\0\0archive/data.pkl",
            "`torch.onnx.export(",
        ),
        (
            "net.h5",
            b"\x89HDF\r\n\x1a\nmodel_config",
            "`tf2onnx.convert.from_keras(",
        ),
        (
            "net.tflite",
            b"\x1c\0\0\0TFL3",
            "`tf2onnx.convert.from_tflite(",
        ),
        (
            "net.onnx",
            b"version https://git-lfs.github.com/spec/v1\n",
            "`git lfs pull`",
        ),
    ];
    for (name, bytes, line) in files {
        std::fs::write(place.path(name), bytes).unwrap();
        fails(3, &[name, "not an ONNX network", line]).check(&certify(
            &place,
            &place.text(name),
            &[],
        ));
    }
}
