//! Figures by hand, and what the page and the document show.

use super::*;
use crate::metrics::Share;

fn picture(values: &[f32]) -> Picture {
    Picture {
        shape: [1, 1, values.len()],
        values: values.to_vec(),
    }
}

fn kept(neuron: u32, upper: f64) -> KeptFeature {
    KeptFeature {
        neuron,
        interval: [0.0, upper],
        weight: 2.0,
        priority: 2.0 * upper,
        picture: Some(picture(&[0.5, -0.25])),
    }
}

fn proof(answer: u32, margin: f64, neurons: &[u32]) -> InputProof {
    InputProof {
        answer: Some(answer),
        margin: Some(margin),
        counts: Some(Counts {
            features: 40,
            random: 30,
            weight: 8,
        }),
        kept: neurons.iter().map(|&neuron| kept(neuron, 1.0)).collect(),
    }
}

fn none(answer: u32, margin: Option<f64>) -> InputProof {
    InputProof {
        answer: Some(answer),
        margin,
        ..InputProof::default()
    }
}

fn input(idx: u32, proofs: Vec<InputProof>) -> ExplainedInput {
    ExplainedInput {
        idx,
        label: Some(7),
        class: Some(7),
        image: Some(picture(&[0.0, 1.0])),
        proofs,
        ..ExplainedInput::default()
    }
}

/// Three inputs: proved for both, for the first alone, and answered wrongly by both.
fn two() -> Explanation {
    let network = |name: &str| ExplainedNetwork {
        network: name.to_owned(),
        neurons: 100,
        ..ExplainedNetwork::default()
    };
    let mut inputs = vec![
        input(
            0,
            vec![proof(7, 0.5, &[3, 4, 5]), proof(7, 0.25, &[4, 5, 6, 9])],
        ),
        input(1, vec![proof(7, 0.5, &[3]), none(7, Some(-0.25))]),
        input(2, vec![none(1, None), none(2, None)]),
    ];
    inputs[0].comparison = Some(Compared {
        shared: vec![4, 5],
        overlap: 0.4,
        rank_correlation: Some(0.75),
        cosines: vec![Some(1.0), Some(0.5)],
        closest: vec![
            Some(Closest {
                neuron: 9,
                cosine: -0.5,
            }),
            None,
            None,
        ],
    });
    inputs[1].grown = vec![Grown {
        neuron: 3,
        intervals: [[0.0, 1.0], [0.0, 2.5]],
        loss: 3.0,
    }];
    Explanation {
        title: "Features <of> proofs".to_owned(),
        specification: "linf 0.1".to_owned(),
        statement: "every image near the input has its class".to_owned(),
        method: "crown".to_owned(),
        networks: vec![network("f.onnx"), network("h<b>.onnx")],
        inputs,
        ..Explanation::default()
    }
}

#[test]
fn figures_are_those_counted_by_hand() {
    let explanation = two();
    let [f, h] = [0, 1].map(|network| FeatureMetrics::new(&explanation, network));
    assert_eq!((f.inputs, f.right, f.proved), (3, 2, 2));
    assert_eq!((h.inputs, h.right, h.proved), (3, 2, 1));
    let kept = f.priority.unwrap();
    assert_eq!((kept.mean, kept.median), (2.0, 2.0));
    assert_eq!(kept.at_most_5, Share { count: 2, total: 2 });
    assert_eq!(f.weight.unwrap().at_most_5.count, 0);
    assert_eq!(f.weight.unwrap().at_most_10.count, 2);
    assert_eq!(f.random.unwrap().at_most_10.count, 0);
    let versus = VersusMetrics::new(&explanation).unwrap();
    let counts = [
        versus.both,
        versus.first_only,
        versus.second_only,
        versus.neither,
    ];
    assert_eq!(counts, [1, 1, 0, 1]);
    assert_eq!(versus.surviving, Share { count: 2, total: 3 });
    assert_eq!(
        (versus.overlap, versus.rank_correlation),
        (Some(0.4), Some(0.75))
    );
    assert_eq!(
        (versus.cosine, versus.closest_cosine),
        (Some(0.75), Some(-0.5))
    );
}

#[test]
fn one_network_has_nothing_to_be_compared_with() {
    let mut explanation = two();
    explanation.networks.pop();
    assert!(explanation.check().is_err());
    for input in &mut explanation.inputs {
        input.proofs.pop();
        input.comparison = None;
        input.grown.clear();
    }
    assert_eq!(VersusMetrics::new(&explanation), None);
    let text = table(&explanation, 100).unwrap();
    assert!(
        text.contains("2 of 3") && !text.contains("h<b>.onnx"),
        "{text}"
    );
    assert!(!html(&explanation).unwrap().contains("Side by side"));
}

#[test]
fn names_of_usual_length_stay_on_a_line() {
    let mut explanation = two();
    let name = "cnn_crown_ibp.pruned10.onnx";
    name.clone_into(&mut explanation.networks[1].network);
    let text = table(&explanation, 100).unwrap();
    let row = text.lines().find(|line| line.contains("1 of 3"));
    assert!(row.is_some_and(|row| row.starts_with(name)), "{text}");
}

#[test]
fn text_page_and_document_show_the_same() {
    let explanation = two();
    let text = table(&explanation, 100).unwrap();
    for shown in [
        "f.onnx", "2 of 3", "1 of 3", "2 of 3", "0.750", "1.000", "2.500",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let page = html(&explanation).unwrap();
    for shown in [
        "Features &lt;of&gt; proofs",
        "h&lt;b&gt;.onnx",
        "not proved",
        "not kept",
        "closest 9, \u{2212}0.50",
        "cosine 1.00",
        "\u{b1}0.500",
        "1.00 \u{2192} 2.50",
        "img-src data:",
        "data:image/png;base64,",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // A network without a proof has no row of empty boxes.
    assert!(!page.contains("no proof"));
    // Input 2 has no proof, so that there is nothing to show of it.
    assert_eq!(page.matches("<article").count(), 2);
    let document: serde_json::Value = serde_json::from_str(&json(&explanation).unwrap()).unwrap();
    assert_eq!(document["schema"], "recert-explain/1");
    assert_eq!(document["versus"]["overlap"], 0.4);
    assert_eq!(document["metrics"][0]["priority"]["mean"], 2.0);
    assert_eq!(document["inputs"][0]["proofs"][0]["kept"][0]["neuron"], 3);
    assert!(document["inputs"][0]["image"].is_object());
    let mut explanation = explanation;
    explanation.drop_pictures();
    let document: serde_json::Value = serde_json::from_str(&json(&explanation).unwrap()).unwrap();
    assert!(document["inputs"][0].get("image").is_none());
    assert!(
        document["inputs"][0]["proofs"][0]["kept"][0]
            .get("picture")
            .is_none()
    );
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let changes: [fn(&mut ExplainedInput); 5] = [
        |input| input.proofs[0].margin = Some(f64::NAN),
        |input| input.proofs[0].kept[0].interval[1] = f64::INFINITY,
        |input| input.proofs[0].counts = None,
        |input| input.image = Some(picture(&[])),
        |input| drop(input.proofs.pop()),
    ];
    for change in changes {
        let mut explanation = two();
        change(&mut explanation.inputs[0]);
        assert!(explanation.check().is_err());
        assert!(html(&explanation).is_err());
    }
}
