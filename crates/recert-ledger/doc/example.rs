// A small run for the examples in this crate's documentation: the network f of 10
// classes, certified from 4 selection and 100 estimation samples an input.

use std::path::Path;

use recert_ledger::{
    Certificate, Claim, Codes, Distance, Effort, Engine, Error, Evidence, Header, Images, Input, Ledger,
    Network, Parameters, ScratchParameters, Selection, Series, Sides, Specification, Stream, Task, Verdict,
    Verification, VerificationResult,
};

fn network(file: &str) -> Network {
    Network {
        // A hash of the file's bytes; here of nothing.
        sha256: [file.len() as u8; 32],
        file: file.into(),
        bytes: 4096,
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

fn header() -> Header {
    Header {
        task: Task::Certify,
        sigma: 0.25,
        n0: 4,
        n: 100,
        alpha: 0.001,
        generator: "a generator of noise".into(),
        seed: 1,
        network: network("f.onnx"),
        data: "a data set".into(),
        shape: [3, 32, 32],
    }
}

fn input(idx: u32) -> Input {
    Input {
        idx,
        sha256: [0; 32],
        label: Some(3),
        name: None,
    }
}

/// What the selection samples gave: class 3.
fn selection() -> Selection {
    Selection {
        samples: 4,
        counts: [(3, 3), (5, 1)].into(),
        invalid: 0,
        class: 3,
        edges: None,
        micros: 80,
    }
}

/// `count` answers: class 3, but 5 for every tenth.
fn answers(count: u16) -> Codes {
    let class = |i| if i % 10 == 9 { 5 } else { 3 };
    Codes {
        classes: (0..count).map(class).collect(),
        margins: None,
    }
}

/// A ledger with input 0 selected, and where its estimation samples belong.
fn example(folder: &Path) -> Result<(Ledger, Series), Error> {
    let ledger = Ledger::create(&folder.join("run.recert"), &header())?;
    ledger.add_input(&input(0))?;
    ledger.put_selection(ledger.base(), 0, &selection())?;
    let series = Series {
        network: ledger.base(),
        idx: 0,
        stream: Stream(1),
    };
    Ok((ledger, series))
}

/// An abstention, one-sided, from `k` of 100 samples.
fn abstention(k: u64) -> Certificate {
    let parameters = Parameters::Certify(ScratchParameters {
        class_of: None,
        sides: Some(Sides::One),
        rule: None,
    });
    Certificate {
        idx: 0,
        claim: Claim::new(parameters, 100, 0.001, Images::Real).into(),
        class: None,
        radius: 0.0,
        p_lower: Some(0.4),
        bound: Some("direct".into()),
        evidence: Evidence::OneSided {
            class: 3,
            k,
            n: 100,
            invalid: 0,
        },
        evaluations: 104,
        micros: 2080,
    }
}

/// Images within 2/255 of the input in every pixel, by bounds.
fn verification() -> Verification {
    let distance = Distance {
        eps: "2/255".into(),
        radius: 2.0 / 255.0,
        weights: None,
    };
    let effort = Effort {
        attack_steps: 0,
        attack_starts: 0,
        attack_seed: 0,
        cells: None,
        slope_steps: 0,
        complete: false,
        timeout: None,
        from: None,
    };
    Verification::new(Specification::Linf(distance), "crown", effort)
}

/// A proof of class 3 around input `idx`.
fn verified(idx: u32) -> VerificationResult {
    VerificationResult {
        idx: Some(idx),
        verdict: Verdict::Verified,
        class: Some(3),
        answer: Some(3),
        margin: Some(0.25),
        decided_by: "crown".into(),
        branches: 0,
        proof: None,
        counterexample: None,
        micros: 1500,
    }
}
