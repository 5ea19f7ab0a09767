//! A network read from an ONNX file: its bytes, fingerprint and operators.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::{fmt, fs};

use prost::Message;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::external::{self, Folders};
use crate::file::write_whole;
use crate::proto::onnx::{GraphProto, ModelProto, NodeProto};
use crate::proto::{MAX_BYTES, wire};
use crate::signature::{Input, Signature};
use crate::stored;
use crate::tensor::Tensor;
use crate::{foreign, functions, signature, sorted};

/// A network as read from an ONNX file, immutable.
///
/// Reading checks that the file is a whole ONNX network and that every stored
/// tensor holds the data its shape asks for; it does not check operators, so
/// a network of unknown operators reads fine and fails in the engine.
///
/// # Fingerprint
///
/// [`Model::sha256`] is always the SHA-256 of [`Model::bytes`]. These are the
/// file's bytes exactly as read, so `sha256sum network.onnx` prints the same.
/// The one exception is a network whose tensor data lies in other files: its
/// bytes are the network encoded anew with the data inside (as [`Model::write`]
/// writes it), so that the fingerprint covers the data too.
///
/// # What is read
///
/// Everything else that this crate tells of a network ([`Model::graph_proto`],
/// [`Model::operators`], [`crate::Graph`]) is told of it with its local functions put in
/// place of their calls, and its nodes in an order in which they can be computed: by
/// ONNX's definitions the same network. [`Model::plain`] writes it as engines read it.
#[derive(Clone)]
pub struct Model {
    name: String,
    bytes: Bytes,
    sha256: [u8; 32],
    proto: ModelProto,
    /// Whether `proto` is the network of `bytes` written in another way.
    arranged: bool,
    unknown: Option<String>,
}

impl Model {
    /// Reads a network from a file, and its external tensor data from files in
    /// the same folder; where the path is a symbolic link, also in the folder of the file
    /// that it leads to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`], [`ErrorKind::NotOnnx`], [`ErrorKind::Tensor`] or
    /// [`ErrorKind::ExternalData`], with the file's name.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        let file = external::led_to(path).unwrap_or_else(|| path.to_owned());
        let bytes = read_bytes(&file).map_err(|error| error.at(path.display()))?;
        let folders = Folders::of(path);
        Self::decode(name, bytes, Some(&folders)).map_err(|error| error.at(path.display()))
    }

    /// Reads a network from the bytes of a file called `name`.
    ///
    /// # Errors
    ///
    /// As [`Model::read`]; a network with external tensor data is refused.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self> {
        let name = name.into();
        Self::decode(name.clone(), bytes, None).map_err(|error| error.at(name))
    }

    fn decode(name: String, bytes: Vec<u8>, folders: Option<&Folders>) -> Result<Self> {
        check_size(bytes.len() as u64)?;
        let bytes = Bytes::from(bytes);
        let (mut proto, unknown) = decoded(&bytes).map_err(|error| {
            let known = foreign::recognised(&bytes);
            known.map_or(error, |what| not_onnx(&what))
        })?;
        if external::read_in(&mut proto, folders)? {
            if let Some(field) = unknown {
                return Err(lossy(
                    &field,
                    "its tensor data cannot be read in from other files",
                ));
            }
            return Self::from_proto(name, proto)?.arrange();
        }
        let model = Model {
            name,
            sha256: Sha256::digest(&bytes).into(),
            bytes,
            proto,
            arranged: false,
            unknown,
        };
        model.arrange()
    }

    /// Puts functions in place of their calls, and nodes in order.
    fn arrange(mut self) -> Result<Self> {
        let inlined = functions::inline(&mut self.proto)?;
        let sorted = self.proto.graph.as_mut().is_some_and(sorted::sort);
        self.arranged = inlined || sorted;
        Ok(self)
    }

    /// Encodes a network that a rewrite made.
    pub fn from_proto(name: String, proto: ModelProto) -> Result<Self> {
        check_size(proto.encoded_len() as u64)?;
        let bytes = Bytes::from(proto.encode_to_vec());
        Ok(Model {
            name,
            sha256: Sha256::digest(&bytes).into(),
            bytes,
            proto,
            arranged: false,
            unknown: None,
        })
    }

    /// The file's name without its folder, as given or read.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network as one self-contained ONNX file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A copy of [`Model::bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// The length of [`Model::bytes`].
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The SHA-256 of [`Model::bytes`].
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The fingerprint in hexadecimal, as `sha256sum` prints it.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }

    /// Writes the network to a file: whole or not at all. An existing file is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] with the file's name.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write_whole(path, &self.bytes).map_err(|error| {
            let text = format!("{}: cannot be written: {error}", path.display());
            Error::new(ErrorKind::Io, text).with_source(error)
        })
    }

    /// Whether the network as read is written otherwise than in its bytes.
    pub(crate) fn is_arranged(&self) -> bool {
        self.arranged
    }

    /// The image input.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Signature`] where there is not one input of images.
    pub fn input(&self) -> Result<Input> {
        signature::input(self.graph_proto()).map_err(|error| error.at(&self.name))
    }

    /// The image input and the class output, the output chosen by the rule of
    /// [`Signature`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Signature`] where the network is no image classifier,
    /// [`ErrorKind::Outputs`] where one of several outputs has to be named.
    pub fn signature(&self) -> Result<Signature> {
        self.signature_with_output(None)
    }

    /// As [`Model::signature`], with the output named where `output` is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Signature`] where the network is no image classifier or
    /// has no such output.
    pub fn signature_with_output(&self, output: Option<&str>) -> Result<Signature> {
        Signature::of(self.graph_proto(), output).map_err(|error| error.at(&self.name))
    }

    /// Every operator in file order, those of subgraphs and local functions
    /// included, so that an engine can refuse a network by an operator's name.
    pub fn operators(&self) -> impl Iterator<Item = Operator> + '_ {
        let mut list = Vec::new();
        collect(&self.graph_proto().node, &mut list);
        for function in &self.proto.functions {
            collect(&function.node, &mut list);
        }
        list.into_iter()
    }

    /// The version of the standard operator set (domain `""` or `ai.onnx`), if
    /// the network imports it.
    pub fn opset(&self) -> Option<i64> {
        self.opsets()
            .find(|(domain, _)| is_standard(domain))
            .map(|(_, version)| version)
    }

    /// All imported operator sets: domain and version.
    pub fn opsets(&self) -> impl Iterator<Item = (&str, i64)> {
        self.proto
            .opset_import
            .iter()
            .map(|set| (set.domain(), set.version()))
    }

    /// An entry of the file's free-form metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto
            .metadata_props
            .iter()
            .find(|entry| entry.key() == key)
            .map(super::proto::onnx::StringStringEntryProto::value)
    }

    /// The initializer of that name, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tensor`] where its data is damaged,
    /// [`ErrorKind::Unsupported`] for an element type without a [`Tensor`].
    pub fn initializer(&self, name: &str) -> Result<Option<Tensor>> {
        let mut stored = self.graph_proto().initializer.iter();
        let found = stored.find(|tensor| tensor.name() == name);
        found.map(stored::typed).transpose()
    }

    /// The file's main graph as it is stored.
    pub fn graph_proto(&self) -> &GraphProto {
        self.proto
            .graph
            .as_ref()
            .expect("reading has checked that there is a graph")
    }

    /// A copy to rewrite.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where encoding it again would lose content.
    pub fn proto_to_rewrite(&self) -> Result<ModelProto> {
        match &self.unknown {
            Some(field) => Err(lossy(field, "a rewrite would lose it").at(&self.name)),
            None => Ok(self.proto.clone()),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("size", &self.size())
            .field("sha256", &self.sha256_hex())
            .finish_non_exhaustive()
    }
}

/// One operator of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Operator {
    /// The node's name, or `#` and its position among its neighbours where the
    /// file gives none.
    pub name: String,
    /// The operator, for example `Conv`.
    pub op_type: String,
    /// The operator set, empty for ONNX's own.
    pub domain: String,
}

/// Whether a domain is that of ONNX's own operators.
pub fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// What to call a node in messages and reports.
pub fn node_name(node: &NodeProto, index: usize) -> String {
    match node.name() {
        "" => format!("#{index}"),
        name => name.to_owned(),
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn collect(nodes: &[NodeProto], into: &mut Vec<Operator>) {
    for (index, node) in nodes.iter().enumerate() {
        into.push(Operator {
            name: node_name(node, index),
            op_type: node.op_type().to_owned(),
            domain: if is_standard(node.domain()) {
                String::new()
            } else {
                node.domain().to_owned()
            },
        });
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                collect(&graph.node, into);
            }
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("cannot be read: {error}")).with_source(error)
    };
    // Opening a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::Io, foreign::folder(path)));
    }
    if !metadata.is_file() {
        let text = "cannot be read: it is a pipe or device where a file is needed";
        return Err(Error::new(ErrorKind::Io, text));
    }
    check_size(metadata.len())?;
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // The limit holds for growing files too, whose length is not known beforehand.
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// The network and the first field that the schema does not know.
fn decoded(bytes: &Bytes) -> Result<(ModelProto, Option<String>)> {
    let unknown = wire::survey(bytes)?.unknown;
    let proto = ModelProto::decode(bytes.clone()).map_err(|error| {
        not_onnx("it is damaged or no network at all; fetch or export the file again")
            .with_source(error)
    })?;
    check_header(&proto)?;
    Ok((proto, unknown))
}

fn check_size(size: u64) -> Result<()> {
    if size > MAX_BYTES {
        return Err(not_onnx(&format!(
            "it takes {size} bytes, and ONNX files end at 2 GiB"
        )));
    }
    Ok(())
}

fn check_header(proto: &ModelProto) -> Result<()> {
    match &proto.graph {
        _ if proto.ir_version() <= 0 => Err(not_onnx("it states no version of the format")),
        None => Err(not_onnx("it holds no graph")),
        Some(graph) if graph.node.is_empty() => Err(not_onnx("its graph has no operators")),
        Some(graph) if graph.output.is_empty() => Err(not_onnx("its graph has no outputs")),
        Some(_) => Ok(()),
    }
}

fn not_onnx(why: &str) -> Error {
    Error::new(ErrorKind::NotOnnx, format!("not an ONNX network: {why}"))
}

fn lossy(field: &str, consequence: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the file holds {field}, which this version of ONNX does not know: {consequence}"),
    )
}

#[cfg(test)]
mod tests {
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
        let entry = |name: &str, op: &str, domain: &str| {
            (name.to_owned(), op.to_owned(), domain.to_owned())
        };
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
}
