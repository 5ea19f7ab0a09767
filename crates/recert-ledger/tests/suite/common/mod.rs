//! What the tests' ledgers are of.

use recert_ledger::{Codes, Engine, Header, INVALID, Input, Network, Selection, Task};

/// A network of its own for each `byte`.
pub(crate) fn network(byte: u8) -> Network {
    Network {
        sha256: [byte; 32],
        file: "net.onnx".into(),
        bytes: 1234,
        engine: Engine {
            name: "rten".into(),
            version: "0.27.0".into(),
            arithmetic: "float32".into(),
        },
        batch_invariant: true,
        preprocess: "none".into(),
        output: "logits".into(),
        classes: 10,
        note: None,
    }
}

pub(crate) fn header() -> Header {
    Header {
        task: Task::Certify,
        sigma: 0.1 + 0.2,
        n0: 100,
        n: 3000,
        alpha: 0.001,
        generator: "test/v1".into(),
        seed: u64::MAX,
        network: network(7),
        data: "made here".into(),
        shape: [3, 32, 32],
    }
}

pub(crate) fn input(idx: u32) -> Input {
    Input {
        idx,
        sha256: [idx as u8; 32],
        label: (idx != 20).then_some(3),
        name: None,
    }
}

/// Of class 3.
pub(crate) fn selection() -> Selection {
    Selection {
        samples: 100,
        counts: [(3, 97), (2, 2)].into(),
        invalid: 1,
        class: 3,
        edges: Some(vec![0.25, 0.5]),
        micros: 11,
    }
}

/// Class 3 mostly, 2 and invalid now and then; all margins.
pub(crate) fn codes(first: u64, count: u64) -> Codes {
    let class = |i: u64| match i % 50 {
        0 => INVALID,
        1..5 => 2,
        _ => 3,
    };
    Codes {
        classes: (first..first + count).map(class).collect(),
        margins: Some((first..first + count).map(|i| (i % 8) as u8).collect()),
    }
}
