//! Tensor data that lies in files beside the network: found, checked, read in.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::foreign;
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

/// Where a network's external data may lie.
pub(crate) struct Folders {
    /// The folder of the path by which the network was given.
    given: PathBuf,
    /// The folder of the file that this path leads to, where it is a symbolic link: the
    /// cache of Hugging Face keeps a link a file, beside links for its data.
    target: Option<PathBuf>,
}

impl Folders {
    pub(crate) fn of(path: &Path) -> Self {
        let target = led_to(path);
        Self {
            given: match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                _ => PathBuf::from("."),
            },
            target: target.and_then(|target| target.parent().map(Path::to_owned)),
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.given).chain(&self.target)
    }
}

/// A symbolic link that was stored as text is no longer than any path is.
const LONGEST_LINK: u64 = 1024;

/// The file that a path leads to, symbolic links resolved. Where it is a link that was
/// stored as text, as programs do that copy a folder to a place without links, the file that
/// this leads to, if there is one.
pub(crate) fn led_to(path: &Path) -> Option<PathBuf> {
    let resolved = path.canonicalize().ok()?;
    let metadata = resolved.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LONGEST_LINK {
        return Some(resolved);
    }
    let bytes = std::fs::read(&resolved).ok()?;
    let target = foreign::link(&bytes).and_then(|target| {
        let target = resolved.parent()?.join(target).canonicalize().ok()?;
        target.is_file().then_some(target)
    });
    Some(target.unwrap_or(resolved))
}

/// Reads external tensor data into the network, from files inside `folders`;
/// checks every other tensor's length. Returns whether any data was external.
///
/// # Errors
///
/// [`ErrorKind::ExternalData`] where the data's file is missing, outside the
/// folders or too short, or where there is no folder to look in.
pub(crate) fn read_in(model: &mut ModelProto, folders: Option<&Folders>) -> Result<bool> {
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
            read_tensor(stored, folders)?;
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

fn read_tensor(stored: &mut TensorProto, folders: Option<&Folders>) -> Result<()> {
    let folders = folders.ok_or_else(|| {
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
    let path = inside(folders, location).ok_or_else(|| {
        refuse(
            stored,
            format!(
                "lies outside the network's folder, in `{location}`: move it beside the network"
            ),
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
    // Opening a pipe would wait for a writer.
    if !path.metadata().map_err(failed)?.is_file() {
        let why = format!("cannot be read from `{location}`, which is no file");
        return Err(refuse(stored, why));
    }
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

/// The file at `location` if that names a file inside one of the folders, symbolic links
/// resolved. A missing file passes, so that opening it reports what is missing.
fn inside(folders: &Folders, location: &str) -> Option<PathBuf> {
    let relative = Path::new(location);
    let plain = relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || location.is_empty() {
        return None;
    }
    let mut found = folders.all().map(|folder| led_to(&folder.join(relative)));
    let Some(resolved) = found.find_map(|found| found) else {
        return Some(folders.given.join(relative));
    };
    let mut allowed = folders
        .all()
        .filter_map(|folder| folder.canonicalize().ok());
    allowed
        .any(|folder| resolved.starts_with(folder))
        .then_some(resolved)
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

    /// As the cache of Hugging Face lays files out: `snapshots` has links to `blobs`.
    #[cfg(unix)]
    #[test]
    fn links_lead_to_data_beside_what_they_lead_to() {
        use std::os::unix::fs::symlink;
        let cache = tempfile::tempdir().unwrap();
        let [blobs, snapshot, elsewhere] =
            ["blobs", "snapshots/abc/onnx", "elsewhere"].map(|name| {
                let folder = cache.path().join(name);
                fs::create_dir_all(&folder).unwrap();
                folder
            });
        let data: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        fs::write(blobs.join("1111"), net("model.onnx_data", "0")).unwrap();
        fs::write(blobs.join("2222"), &data).unwrap();
        let (path, link) = (
            snapshot.join("model.onnx"),
            snapshot.join("model.onnx_data"),
        );
        symlink("../../../blobs/1111", &path).unwrap();
        symlink("../../../blobs/2222", &link).unwrap();
        assert_eq!(weights(&Model::read(&path).unwrap()), [1.0, 2.0, 3.0, 4.0]);
        // The links stored as text.
        for file in [&path, &link] {
            let target = fs::read_link(file).unwrap();
            fs::remove_file(file).unwrap();
            fs::write(file, target.to_str().unwrap()).unwrap();
        }
        let model = Model::read(&path).unwrap();
        assert_eq!(
            (model.name(), weights(&model)),
            ("model.onnx", vec![1.0, 2.0, 3.0, 4.0])
        );
        // Data under its own name beside what a link leads to.
        fs::remove_file(&link).unwrap();
        fs::write(blobs.join("model.onnx_data"), &data).unwrap();
        assert_eq!(weights(&Model::read(&path).unwrap()), [1.0, 2.0, 3.0, 4.0]);
        // Nothing outside the two folders.
        fs::write(elsewhere.join("2222"), &data).unwrap();
        let target = "../../../elsewhere/2222";
        let refused = || {
            let error = Model::read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ExternalData, "{error}");
            assert!(error.to_string().contains("outside"), "{error}");
            fs::remove_file(&link).unwrap();
        };
        symlink(target, &link).unwrap();
        refused();
        fs::write(&link, target).unwrap();
        refused();
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
