//! What of results is checked again with the network: classes that are no answers, and searches that
//! no proof states.

use std::path::Path;

use recert::check::Unchecked;
use recert::graph::proto::onnx::AttributeProto;
use recert::graph::proto::onnx::attribute_proto::AttributeType;
use recert::graph::testing::Net;
use recert::job::{
    self, Auditor, Data, Findings, Network, NetworkConfig, Norm, RerunConfig, Verdict,
    VerifyMethod, verify,
};
use recert::ledger::Ledger;

use super::{data, linear, method, open, results};

fn checked(ledger: &Path, network: Network, data: Data) -> Findings {
    let rerun = RerunConfig {
        samples: 100,
        seed: Some(1),
        ..RerunConfig::default()
    };
    let auditor = Auditor::new(rerun).unwrap();
    let auditor = auditor.with_network(network).with_data(data);
    let mut checked = job::check(&[ledger.to_owned()], Some(&auditor)).unwrap();
    checked.remove(0).result.unwrap()
}

/// What is wrong with a ledger, in words.
fn wrong(findings: &Findings) -> Vec<String> {
    let violations = findings.report.violations.iter().map(ToString::to_string);
    let results = findings.rerun.as_ref().unwrap().results.as_ref().unwrap();
    let differences = results.differences.iter().map(ToString::to_string);
    violations.chain(differences).collect()
}

/// `f(z) - f(z) + 1/10` against 0, of two neurons with the same z: no line shows that they are the
/// same, but splits do. A proof keeps no bounds of the neurons of `Abs`, and no slopes below 0.
#[test]
fn searches_that_no_proof_states_keep_none() {
    let alpha = AttributeProto {
        name: Some("alpha".to_owned()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(-0.25),
        ..AttributeProto::default()
    };
    for (op, attributes) in [("Abs", vec![]), ("LeakyRelu", vec![alpha])] {
        let folder = tempfile::tempdir().unwrap();
        let network = || {
            let net = Net::new(13)
                .input("x", &[-1, 2])
                .floats("w", &[2, 2], &[1.0, 1.0, 0.0, 0.0])
                .floats("b", &[2], &[-0.5, -0.5])
                .floats("v", &[2, 2], &[1.0, 0.0, -1.0, 0.0])
                .floats("c", &[2], &[0.1, 0.0])
                .node("Gemm", &["x", "w", "b"], "z")
                .node_with(op, &["z"], "a", attributes.clone())
                .node("Gemm", &["a", "v", "c"], "y")
                .output("y", &[-1, 2]);
            open(folder.path(), net, NetworkConfig::default())
        };
        let data = || data(&[0.55, 0.5], None);
        let ledger = folder.path().join("true.recert");
        let config = method(VerifyMethod::BranchAndBound);
        let specification = (Norm::Linf, &"0.4".parse().unwrap());
        let (inputs, searched) = (data(), network());
        let job = verify(Some(&ledger), &config, specification, &inputs, &searched).unwrap();
        let result = results(job).remove(0);
        assert_eq!(result.verdict, Verdict::Verified, "{op}");
        assert!(result.branches > 1 && result.proof.is_none(), "{op}");
        let findings = checked(&ledger, network(), data());
        assert_eq!(wrong(&findings), [""; 0], "{op}");
    }
}

/// A class that is not the answer has to be a label: else of every input it could be said that it is
/// answered wrongly.
#[test]
fn made_up_classes_are_found() {
    let folder = tempfile::tempdir().unwrap();
    // The answer is 0 for both inputs.
    let network = || {
        let weights = [1.0, 1.0, 0.0, 0.0, -1.0, -1.0];
        linear(folder.path(), &weights, NetworkConfig::default())
    };
    let inputs = |labels: Option<Vec<u32>>| data(&[0.5, 0.5, 0.75, 0.5], labels);
    let ledger = |name: &str, labels: Option<Vec<u32>>| {
        let ledger = folder.path().join(name);
        let config = method(VerifyMethod::Crown);
        let specification = (Norm::Linf, &"0.01".parse().unwrap());
        let (inputs, network) = (inputs(labels), network());
        results(verify(Some(&ledger), &config, specification, &inputs, &network).unwrap());
        ledger
    };
    // The label is known from the ledger, or from the data.
    let labelled = ledger("labelled", Some(vec![0, 2]));
    for labels in [Some(vec![0, 2]), None] {
        let findings = checked(&labelled, network(), inputs(labels));
        assert_eq!(wrong(&findings), [""; 0]);
    }
    let source = Ledger::open_read_only(&ledger("plain", None)).unwrap();
    let forged = folder.path().join("forged");
    let to = Ledger::resume_verification(&forged, source.header()).unwrap();
    let (number, _, verification) = source.verifications().unwrap().remove(0);
    let made = to.add_verification(to.base(), &verification).unwrap();
    for input in source.inputs().unwrap() {
        to.add_input(&input).unwrap();
    }
    for mut result in source.results(number).unwrap() {
        result.class = Some(2);
        result.verdict = Verdict::Falsified;
        "answer".clone_into(&mut result.decided_by);
        (result.margin, result.proof) = (None, None);
        to.put_result(made, &result).unwrap();
    }
    to.close().unwrap();
    let open = |findings: &Findings| {
        findings.report.unchecked.iter().any(|item| match item {
            Unchecked::ResultsNotCompared { results, why, .. } => {
                *results == 2 && why.contains("label")
            }
            _ => false,
        })
    };
    let findings = checked(&forged, network(), inputs(None));
    assert!(wrong(&findings).is_empty() && open(&findings));
    // The second input's label is the class that was made up.
    let findings = checked(&forged, network(), inputs(Some(vec![0, 2])));
    assert_eq!(wrong(&findings).len(), 1, "{:?}", wrong(&findings));
    assert!(wrong(&findings)[0].contains("class: stored 2") && !open(&findings));
}
