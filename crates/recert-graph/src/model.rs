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
mod tests;
