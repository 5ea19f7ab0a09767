//! Entries of a network file's free-form metadata.

use recert_graph::proto::onnx::StringStringEntryProto;

use crate::{Model, Result};

/// The network with an entry of its metadata added, or replaced where there is one of this
/// key. The function that it computes is the same; its fingerprint, that of the file, is not.
///
/// ```
/// use recert_net::{Model, with_metadata};
///
/// # fn main() -> recert_net::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/residual.onnx");
/// let network = Model::read(path)?;
/// let noted = with_metadata(&network, "reviewed", "yes")?;
/// assert_eq!(noted.metadata("reviewed"), Some("yes"));
/// assert_ne!(noted.sha256(), network.sha256());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the network cannot be encoded again.
pub fn with_metadata(model: &Model, key: &str, value: &str) -> Result<Model> {
    let mut proto = model.proto_to_rewrite()?;
    proto.metadata_props.retain(|entry| entry.key() != key);
    proto.metadata_props.push(StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    });
    Model::from_proto(model.name().to_owned(), proto)
}
