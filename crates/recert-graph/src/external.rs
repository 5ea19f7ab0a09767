//! Tensor data that lies in files beside the network: found, checked, read in.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::proto::MAX_BYTES;
use crate::proto::onnx::tensor_proto::DataLocation;
use crate::proto::onnx::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    TensorProto,
};
use crate::stored;

/// Calls `f` on every stored tensor: initializers, attributes, subgraphs,
/// functions, training graphs.
pub(crate) fn for_each_tensor(
    model: &mut ModelProto,
    f: &mut dyn FnMut(&mut TensorProto) -> Result<()>,
) -> Result<()> {
    if let Some(graph) = &mut model.graph {
        in_graph(graph, f)?;
    }
    for training in &mut model.training_info {
        for graph in [&mut training.initialization, &mut training.algorithm]
            .into_iter()
            .flatten()
        {
            in_graph(graph, f)?;
        }
    }
    for FunctionProto {
        node,
        attribute_proto,
        ..
    } in &mut model.functions
    {
        node.iter_mut().try_for_each(|node| in_node(node, f))?;
        attribute_proto
            .iter_mut()
            .try_for_each(|attribute| in_attribute(attribute, f))?;
    }
    Ok(())
}

type Visit<'a> = &'a mut dyn FnMut(&mut TensorProto) -> Result<()>;

fn in_graph(graph: &mut GraphProto, f: Visit<'_>) -> Result<()> {
    graph.initializer.iter_mut().try_for_each(&mut *f)?;
    graph
        .sparse_initializer
        .iter_mut()
        .try_for_each(|sparse| in_sparse(sparse, f))?;
    graph.node.iter_mut().try_for_each(|node| in_node(node, f))
}

fn in_sparse(sparse: &mut SparseTensorProto, f: Visit<'_>) -> Result<()> {
    [&mut sparse.values, &mut sparse.indices]
        .into_iter()
        .flatten()
        .try_for_each(f)
}

fn in_node(node: &mut NodeProto, f: Visit<'_>) -> Result<()> {
    node.attribute
        .iter_mut()
        .try_for_each(|attribute| in_attribute(attribute, f))
}

fn in_attribute(attribute: &mut AttributeProto, f: Visit<'_>) -> Result<()> {
    attribute.t.iter_mut().try_for_each(&mut *f)?;
    attribute.tensors.iter_mut().try_for_each(&mut *f)?;
    attribute
        .sparse_tensor
        .iter_mut()
        .try_for_each(|sparse| in_sparse(sparse, f))?;
    attribute
        .sparse_tensors
        .iter_mut()
        .try_for_each(|sparse| in_sparse(sparse, f))?;
    attribute
        .g
        .iter_mut()
        .try_for_each(|graph| in_graph(graph, f))?;
    attribute
        .graphs
        .iter_mut()
        .try_for_each(|graph| in_graph(graph, f))
}

/// Reads external tensor data into the network, from files inside `folder`;
/// checks every other tensor's length. Returns whether any data was external.
///
/// # Errors
///
/// [`ErrorKind::ExternalData`] where the data's file is missing, outside the
/// folder or too short, or where there is no folder to look in.
pub(crate) fn read_in(model: &mut ModelProto, folder: Option<&Path>) -> Result<bool> {
    let mut any = false;
    let mut total = 0_u64;
    for_each_tensor(model, &mut |stored| {
        stored::check(stored)?;
        if stored::is_external(stored) {
            any = true;
            total += stored::raw_length(stored)? as u64;
            if total > MAX_BYTES {
                return Err(refuse(
                    stored,
                    "brings the network above 2 GiB, which ONNX files cannot hold",
                ));
            }
            read_tensor(stored, folder)?;
        }
        Ok(())
    })?;
    Ok(any)
}

fn refuse(tensor: &TensorProto, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::ExternalData,
        format!("data of tensor `{}` {why}", tensor.name()),
    )
}

fn read_tensor(stored: &mut TensorProto, folder: Option<&Path>) -> Result<()> {
    let folder = folder.ok_or_else(|| {
        refuse(
            stored,
            "lies in another file; read the network from its path, not from bytes",
        )
    })?;
    let entry = |key: &str| {
        stored
            .external_data
            .iter()
            .find(|e| e.key() == key)
            .map(super::proto::onnx::StringStringEntryProto::value)
    };
    let number = |key: &str| {
        entry(key)
            .map(str::parse::<u64>)
            .transpose()
            .map_err(|error| refuse(stored, format!("has a bad {key}")).with_source(error))
    };
    let location = entry("location").ok_or_else(|| refuse(stored, "names no file"))?;
    let path = inside(folder, location).ok_or_else(|| {
        refuse(
            stored,
            format!("lies outside the network's folder, in `{location}`"),
        )
    })?;
    let offset = number("offset")?.unwrap_or(0);
    let wanted = stored::raw_length(stored)?;
    if number("length")?.is_some_and(|length| length != wanted as u64) {
        return Err(refuse(
            stored,
            format!("must be {wanted} bytes for its shape {:?}", stored.dims),
        ));
    }
    let failed = |error| {
        let text = format!("cannot be read from `{location}`; it must lie beside the network");
        refuse(stored, text).with_source(error)
    };
    let mut file = File::open(&path).map_err(failed)?;
    let held = file.metadata().map_err(failed)?.len();
    if offset
        .checked_add(wanted as u64)
        .is_none_or(|end| end > held)
    {
        return Err(refuse(
            stored,
            format!("ends after the end of `{location}`"),
        ));
    }
    let mut bytes = vec![0; wanted];
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(failed)?;
    stored.raw_data = Some(bytes.into());
    stored.external_data.clear();
    stored.data_location = Some(DataLocation::Default.into());
    Ok(())
}

/// The file at `location` if that names a file inside `folder`, symbolic links
/// resolved. A missing file passes, so that opening it reports what is missing.
fn inside(folder: &Path, location: &str) -> Option<PathBuf> {
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || location.is_empty() {
        return None;
    }
    let path = folder.join(relative);
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(resolved)) => resolved.starts_with(folder).then_some(resolved),
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::Model;
    use crate::proto::onnx::StringStringEntryProto;
    use crate::testing::Net;

    /// A layer whose four weights are stated to lie at `location`.
    fn net(location: &str, offset: &str) -> Vec<u8> {
        let mut net = Net::new(13)
            .input("x", &[1, 2])
            .output("y", &[1, 2])
            .floats("w", &[2, 2], &[0.0; 4])
            .node("MatMul", &["x", "w"], "y");
        let stored = &mut net.graph().initializer[0];
        stored.raw_data = None;
        stored.data_location = Some(DataLocation::External.into());
        stored.external_data = [("location", location), ("offset", offset), ("length", "16")]
            .map(|(key, value)| StringStringEntryProto {
                key: Some(key.into()),
                value: Some(value.into()),
            })
            .to_vec();
        net.bytes()
    }

    fn weights(model: &Model) -> Vec<f32> {
        let stored = &model.graph_proto().initializer[0];
        stored::floats(stored).unwrap().unwrap()
    }

    #[test]
    fn data_beside_the_network_is_read_in_and_fingerprinted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        let data = |values: [f32; 4]| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            fs::write(folder.path().join("net.data"), [vec![0; 8], bytes].concat()).unwrap();
        };
        fs::write(&path, net("net.data", "8")).unwrap();
        data([1.0, 2.0, 3.0, 4.0]);
        let model = Model::read(&path).unwrap();
        assert_eq!(weights(&model), [1.0, 2.0, 3.0, 4.0]);
        // What is written stands alone and has the same fingerprint.
        let alone = folder.path().join("alone.onnx");
        model.write(&alone).unwrap();
        fs::remove_file(folder.path().join("net.data")).unwrap();
        let reread = Model::read(&alone).unwrap();
        assert_eq!(
            (reread.sha256(), weights(&reread)),
            (model.sha256(), weights(&model))
        );
        data([1.0, 2.0, 3.0, 5.0]);
        assert_ne!(Model::read(&path).unwrap().sha256(), model.sha256());
    }

    #[test]
    fn data_that_may_not_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join("secret"), [0; 64]).unwrap();
        fs::write(inner.join("short"), [0; 20]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("link")).unwrap();
        let absolute = folder.path().join("secret").display().to_string();
        let table = [
            ("missing", "0"),
            ("../secret", "0"),
            ("a/../../secret", "0"),
            (absolute.as_str(), "0"),
            ("short", "8"),
            ("short", "18446744073709551615"),
            ("short", "-1"),
            ("", "0"),
            ("link", "0"),
        ];
        for (location, offset) in table {
            let path = inner.join("net.onnx");
            fs::write(&path, net(location, offset)).unwrap();
            let error = Model::read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ExternalData, "{location}: {error}");
            assert!(error.to_string().contains("`w`"), "{error}");
        }
        let error = Model::from_bytes("net.onnx", net("short", "0")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ExternalData);
    }
}
