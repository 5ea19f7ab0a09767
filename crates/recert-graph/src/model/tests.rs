use super::*;
use crate::testing::Net;
use proptest::prelude::*;

fn small() -> Net {
    Net::new(13)
        .input("x", &[1, 2])
        .output("y", &[1, 2])
        .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("MatMul", &["x", "w"], "y")
}

#[test]
fn the_fingerprint_is_of_the_bytes_as_read() {
    // The SHA-256 of "abc" is the standard's own example.
    let digest: [u8; 32] = Sha256::digest(b"abc").into();
    assert!(hex(&digest).starts_with("ba7816bf8f01cfea"));
    let bytes = small().bytes();
    let model = Model::from_bytes("small.onnx", bytes.clone()).unwrap();
    assert_eq!(model.bytes(), bytes);
    assert_eq!(model.sha256_hex(), hex(&Sha256::digest(&bytes)));
    assert_eq!(
        (model.name(), model.size(), model.opset()),
        ("small.onnx", bytes.len(), Some(13))
    );
}

#[test]
fn writing_replaces_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    fs::write(&path, "old").unwrap();
    small().model().write(&path).unwrap();
    assert_eq!(Model::read(&path).unwrap().bytes(), small().bytes());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = small()
        .model()
        .write(folder.path().join("missing/net.onnx"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let error = Model::read(folder.path().join("other.onnx")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("other.onnx"), "{error}");
}

#[test]
fn what_is_no_network_is_refused() {
    let mut no_graph = small();
    no_graph.0.graph = None;
    let mut no_nodes = small();
    no_nodes.graph().node.clear();
    let mut no_version = small();
    no_version.0.ir_version = None;
    let table = [
        Vec::new(),
        b"<!DOCTYPE html><html>not found</html>".to_vec(),
        b"PK\x03\x04".to_vec(),
        no_graph.bytes(),
        no_nodes.bytes(),
        no_version.bytes(),
    ];
    for bytes in table {
        let error = Model::from_bytes("bad.onnx", bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotOnnx, "{error}");
        assert!(
            error
                .to_string()
                .starts_with("bad.onnx: not an ONNX network"),
            "{error}"
        );
    }
}

#[test]
fn a_length_beyond_the_file_allocates_nothing() {
    // Field 7 (the graph) of 2^62 bytes.
    let mut bytes = vec![0x08, 0x07, 0x3a];
    bytes.extend([0x80; 8]);
    bytes.push(0x40);
    assert_eq!(
        Model::from_bytes("bad", bytes).unwrap_err().kind(),
        ErrorKind::NotOnnx
    );
}

#[test]
fn a_million_empty_messages_are_refused() {
    // Two bytes each, but some three hundred once decoded.
    let graph = [0x0a, 0x00].repeat(1 << 21);
    let mut bytes = vec![0x08, 0x07, 0x3a];
    prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
    bytes.extend(graph);
    assert_eq!(
        Model::from_bytes("bad", bytes).unwrap_err().kind(),
        ErrorKind::NotOnnx
    );
}

#[test]
fn damaged_tensors_are_named() {
    // (shape, how many bytes of data)
    for (dims, bytes) in [
        (&[2, 2][..], 15),
        (&[-1, 4], 16),
        (&[1 << 40, 1 << 40], 16),
        (&[0, i64::MAX, 2], 0),
    ] {
        let mut net = small();
        let tensor = &mut net.graph().initializer[0];
        tensor.dims = dims.to_vec();
        tensor.raw_data = Some(vec![0; bytes].into());
        let error = Model::from_bytes("bad", net.bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tensor, "{error}");
        assert!(error.to_string().contains("`w`"), "{error}");
    }
    let mut net = small();
    net.graph().initializer[0].data_type = Some(99);
    assert_eq!(
        Model::from_bytes("bad", net.bytes()).unwrap_err().kind(),
        ErrorKind::Tensor
    );
}

#[test]
fn unknown_content_can_be_read_but_not_rewritten() {
    let mut bytes = small().bytes();
    // Field 1000 of the model, a number.
    bytes.extend([0xc0, 0x3e, 0x05]);
    let model = Model::from_bytes("new.onnx", bytes.clone()).unwrap();
    assert_eq!(model.bytes(), bytes);
    assert!(model.signature().is_ok());
    let error = model.proto_to_rewrite().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("field 1000 of ModelProto"),
        "{error}"
    );
}

#[test]
fn operators_are_listed_with_those_of_subgraphs() {
    let mut net = small();
    let mut branch = Net::new(13).node("Relu", &["x"], "r");
    branch.graph().node[0].name = None;
    let attribute = crate::proto::onnx::AttributeProto {
        name: Some("then_branch".to_owned()),
        g: branch.0.graph,
        ..Default::default()
    };
    net.graph().node[0].domain = Some("com.example".to_owned());
    let net = net.node_with("If", &["x"], "z", vec![attribute]);
    let model = net.model();
    let list: Vec<_> = model
        .operators()
        .map(|o| (o.name, o.op_type, o.domain))
        .collect();
    let entry =
        |name: &str, op: &str, domain: &str| (name.to_owned(), op.to_owned(), domain.to_owned());
    let expected = [
        entry("make_y", "MatMul", "com.example"),
        entry("make_z", "If", ""),
        entry("#0", "Relu", ""),
    ];
    assert_eq!(list, expected);
}

/// Calls everything that takes a network; none of it may panic.
fn exercise(bytes: Vec<u8>) {
    let Ok(model) = Model::from_bytes("fuzzed", bytes) else {
        return;
    };
    drop(model.signature());
    drop(crate::Builder::new(&model).build().map(crate::Graph::fold));
}

fn residual() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../recert-net/tests/golden/residual.onnx"
    );
    fs::read(path).unwrap()
}

#[test]
fn every_truncation_is_an_error_or_a_network() {
    let bytes = residual();
    (0..bytes.len()).for_each(|length| exercise(bytes[..length].to_vec()));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_networks_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = residual();
        for (position, value) in edits {
            let length = bytes.len();
            bytes[position.index(length)] = value;
        }
        exercise(bytes);
    }
}
