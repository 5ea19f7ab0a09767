//! Transformations of real images, end to end.

use std::path::Path;

use recert_testing::{shared, test};

use crate::common::{ok, text, words};

test!(rotated_digits, needs shared);
/// CGT's network for rotations by up to 30 degrees. Of images 0, 250 and 500 it keeps the label
/// at every angle, and image 50, a six, is none any more when it is turned by up to half a turn
/// (`crates/recert-bounds/tests/suite/geometric.rs`).
fn rotated_digits(shared: &Path) {
    let model = text(&shared.join("models/mnist/cgt_rotate30.onnx"));
    let data = text(&shared.join("data/mnist"));
    let run = |more: &str| {
        let line = format!("verify --model {model} --data {data} --json --quiet {more}");
        let said = ok(&words(&line)).stdout;
        let objects = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let objects: Vec<serde_json::Value> = objects.collect();
        objects[1..objects.len() - 1].to_vec()
    };
    let turned = run("--transform rotate=-30..30 --every 250 --limit 3");
    assert_eq!(turned.len(), 3);
    for object in turned {
        assert_eq!(object["verdict"], "verified", "{object}");
        let by = object["by"].as_str().unwrap();
        assert!(["forward", "crown"].contains(&by), "{object}");
        let cells = object["cells"].as_u64().unwrap();
        assert!((10..240).contains(&cells), "{object}");
    }
    let half = run("--transform rotate=0..180 --offset 50 --limit 1");
    assert_eq!(half[0]["verdict"], "falsified", "{}", half[0]);
    assert_eq!(half[0]["by"], "attack");
    let angle = half[0]["parameters"][0].as_f64().unwrap();
    assert!(angle > 30.0 && angle <= 180.0, "{}", half[0]);
}
