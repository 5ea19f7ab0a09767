//! What a file is that is no ONNX network, by its first bytes, and the line of Python that
//! makes an ONNX network of it.
//!
//! Files are recognised by what they hold; their names are not looked at. A file is looked
//! at here only after it turned out to be no ONNX network.

use std::path::Path;

/// A kind of file that people take for an ONNX network.
struct Kind {
    /// What it is, with its article.
    name: &'static str,
    /// What to do.
    advice: &'static str,
    is_it: fn(&[u8]) -> bool,
}

/// How far into a file words are searched for, from both of its ends.
const SEARCHED: usize = 1 << 16;

const EXPORT: &str = "build the network in Python, load these weights into it, and export it: \
    `torch.onnx.export(model.eval(), torch.rand(1, 3, 32, 32), \"net.onnx\", \
    input_names=[\"image\"], dynamic_axes={\"image\": {0: \"batch\"}})`, with the size of your images";

/// All kinds; the first that fits is the one.
const KINDS: &[Kind] = &[
    Kind {
        name: "a pointer of Git LFS, which stands for the file",
        advice: "fetch the file itself: `git lfs pull`",
        is_it: |bytes| bytes.starts_with(b"version https://git-lfs.github.com/spec/"),
    },
    Kind {
        name: "a TorchScript program",
        advice: "load it in Python and export it: `torch.onnx.export(torch.jit.load(\"net.pt\"), \
            torch.rand(1, 3, 32, 32), \"net.onnx\")`, with the size of your images",
        is_it: |bytes| zip_with(bytes, "/constants.pkl") && zip_with(bytes, "/code/"),
    },
    Kind {
        name: "a program of torch.export",
        advice: "load it in Python and export it: \
            `torch.onnx.export(torch.export.load(\"net.pt2\"), (), \"net.onnx\", dynamo=True)`",
        is_it: |bytes| {
            zip_with(bytes, "archive_format") || zip_with(bytes, "serialized_exported_program")
        },
    },
    Kind {
        name: "a PyTorch checkpoint",
        advice: EXPORT,
        is_it: |bytes| zip_with(bytes, "/data.pkl"),
    },
    Kind {
        name: "a Keras network",
        advice: KERAS,
        is_it: |bytes| zip_with(bytes, "model.weights.h5"),
    },
    Kind {
        name: "arrays of NumPy",
        advice: "arrays are data, and the network is another file: give the ONNX network here",
        is_it: |bytes| bytes.starts_with(b"\x93NUMPY") || zip_with(bytes, ".npy"),
    },
    Kind {
        name: "an archive",
        advice: "unpack it, and give the ONNX network in it",
        is_it: |bytes| {
            let magic: [&[u8]; 6] = [
                b"PK\x03\x04",
                b"\x1f\x8b",
                b"BZh",
                b"\xfd7zXZ\0",
                b"\x28\xb5\x2f\xfd",
                b"7z\xbc\xaf\x27\x1c",
            ];
            magic.iter().any(|magic| bytes.starts_with(magic))
                || bytes.get(257..262) == Some(b"ustar")
        },
    },
    Kind {
        name: "a PyTorch checkpoint in the format before version 1.6",
        advice: EXPORT,
        is_it: |bytes| {
            is_pickle(bytes)
                && (holds(bytes, b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
                    || holds(bytes, b"torch"))
        },
    },
    Kind {
        name: "a model of scikit-learn, pickled",
        advice: "convert it in Python: `skl2onnx.to_onnx(model, X[:1].astype(\"float32\"), \
            options={\"zipmap\": False})`, and write its `SerializeToString()` to a file",
        is_it: |bytes| is_pickle(bytes) && holds(bytes, b"sklearn"),
    },
    Kind {
        name: "a Python object, pickled",
        advice: "load it in the program that wrote it, and export the network as ONNX there",
        is_it: is_pickle,
    },
    Kind {
        name: "a Keras network in HDF5",
        advice: KERAS,
        is_it: |bytes| is_hdf5(bytes) && (holds(bytes, b"model_config") || holds(bytes, b"keras")),
    },
    Kind {
        name: "an HDF5 file",
        advice: "it holds arrays: where they are a network's weights, load them into the network \
            in Python, and export it as ONNX",
        is_it: is_hdf5,
    },
    Kind {
        name: "a TensorFlow Lite network",
        advice: "convert it in Python: \
            `tf2onnx.convert.from_tflite(\"net.tflite\", output_path=\"net.onnx\")`",
        is_it: |bytes| bytes.get(4..8) == Some(b"TFL3"),
    },
    Kind {
        name: "a network in ONNX Runtime's own format",
        advice: "give the ONNX file that it was made from",
        is_it: |bytes| bytes.get(4..8) == Some(b"ORTM"),
    },
    Kind {
        name: "a file of weights (safetensors)",
        advice: "it holds no network, only its weights: build the network in Python, load them \
            (`model.load_state_dict(safetensors.torch.load_file(\"net.safetensors\"))`), and export \
            it: `torch.onnx.export(model.eval(), torch.rand(1, 3, 32, 32), \"net.onnx\")`",
        is_it: |bytes| bytes.get(8) == Some(&b'{') && holds(bytes, b"\"data_offsets\""),
    },
    Kind {
        name: "a file of weights (GGUF)",
        advice: "it holds a language model's weights; recert certifies image classifiers in ONNX",
        is_it: |bytes| bytes.starts_with(b"GGUF"),
    },
    Kind {
        name: "an engine of TensorRT",
        advice: "give the ONNX file that it was built from",
        is_it: |bytes| bytes.starts_with(b"ftrt") || bytes.starts_with(b"ptrt"),
    },
    Kind {
        name: "a network in OpenVINO's own format",
        advice: "give the ONNX file that it was converted from",
        is_it: |bytes| is_text_of(bytes, "<?xml") && holds(bytes, b"<layers"),
    },
    Kind {
        name: "an ONNX network as text",
        advice: "write it as a binary file in Python: \
            `onnx.save(onnx.parser.parse_model(open(\"net.txt\").read()), \"net.onnx\")`",
        is_it: |bytes| is_text_of(bytes, "<") && holds(bytes, b"opset_import"),
    },
    Kind {
        name: "an ONNX network as text of protobuf",
        advice: "write it as a binary file in Python: \
            `onnx.save(onnx.load(\"net.textproto\", format=\"textproto\"), \"net.onnx\")`",
        is_it: |bytes| is_text_of(bytes, "ir_version") || is_text_of(bytes, "graph {"),
    },
    Kind {
        name: "an ONNX network as JSON",
        advice: "write it as a binary file in Python: \
            `onnx.save(onnx.load(\"net.json\", format=\"json\"), \"net.onnx\")`",
        is_it: |bytes| is_text_of(bytes, "{") && holds(bytes, b"\"irVersion\""),
    },
    Kind {
        name: "a web page",
        advice: "what was downloaded is not the file: take the link to the file itself (on GitHub \
            \"raw\", on Hugging Face \"resolve\" in place of \"blob\")",
        is_it: |bytes| {
            let start = bytes.get(..32.min(bytes.len())).unwrap_or_default();
            let start = String::from_utf8_lossy(start).to_ascii_lowercase();
            let start = start.trim_start();
            start.starts_with("<!doctype html") || start.starts_with("<html")
        },
    },
    Kind {
        name: "a JSON file",
        advice: "it holds settings, not the network: give the ONNX file",
        is_it: |bytes| is_text_of(bytes, "{"),
    },
    Kind {
        name: "a Parquet file",
        advice: "it holds data, and the network is another file: give the ONNX network here",
        is_it: |bytes| bytes.starts_with(b"PAR1"),
    },
    Kind {
        name: "a file of MATLAB",
        advice: "it holds arrays: export the network with `exportONNXNetwork(net, 'net.onnx')` in MATLAB",
        is_it: |bytes| {
            bytes.starts_with(b"MATLAB 5.0 MAT-file") || bytes.starts_with(b"MATLAB 7.3")
        },
    },
    Kind {
        name: "an image",
        advice: "it is data, and the network is another file: give the ONNX network here",
        is_it: |bytes| {
            bytes.starts_with(b"\x89PNG\r\n\x1a\n")
                || bytes.starts_with(b"\xff\xd8\xff")
                || bytes.starts_with(b"GIF8")
                || (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"))
        },
    },
    Kind {
        name: "a Core ML network",
        advice: "export the network as ONNX from the framework that it was trained in",
        is_it: |bytes| {
            bytes.first() == Some(&8)
                && (holds(bytes, b"coremltools") || holds(bytes, b"com.apple."))
        },
    },
    Kind {
        name: "a SavedModel of TensorFlow",
        advice: "convert its folder in Python: \
            `tf2onnx.convert.from_keras(tf.keras.models.load_model(\"FOLDER\"), output_path=\"net.onnx\")`",
        is_it: |bytes| holds(bytes, b"saved_model_main_op") || holds(bytes, b"serving_default"),
    },
    Kind {
        name: "a graph of TensorFlow",
        advice: "convert it in Python: `tf2onnx.convert.from_graph_def(graph, \
            input_names=[\"input:0\"], output_names=[\"logits:0\"], output_path=\"net.onnx\")`",
        is_it: |bytes| {
            bytes.first() == Some(&10) && (holds(bytes, b"Placeholder") || holds(bytes, b"Const"))
        },
    },
];

const KERAS: &str = "convert it in Python: `tf2onnx.convert.from_keras(\
    tf.keras.models.load_model(\"net.keras\"), output_path=\"net.onnx\")`";

/// What the bytes are, as "it is ..: do ..", if that is known.
pub(crate) fn recognised(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("it is empty: fetch or export it again".to_owned());
    }
    if let Some(target) = link(bytes) {
        return Some(format!(
            "it is a symbolic link stored as text, to '{target}', which is not there: give that \
             file, or copy the folder with its links"
        ));
    }
    let kind = KINDS.iter().find(|kind| (kind.is_it)(bytes))?;
    Some(format!("it is {}: {}", kind.name, kind.advice))
}

/// What a folder is that was given in place of a file.
pub(crate) fn folder(path: &Path) -> String {
    let holds = |name: &str| path.join(name).exists();
    let advice = if holds("saved_model.pb") {
        "a SavedModel of TensorFlow: convert it in Python: `tf2onnx.convert.from_keras(\
         tf.keras.models.load_model(\"FOLDER\"), output_path=\"net.onnx\")`"
            .to_owned()
    } else if holds("Data/com.apple.CoreML") {
        "a Core ML network: export the network as ONNX from the framework that it was trained in"
            .to_owned()
    } else if let Some(name) = ["onnx/model.onnx", "model.onnx"]
        .iter()
        .find(|name| holds(name))
    {
        format!(
            "a folder: give the file in it, '{}'",
            path.join(name).display()
        )
    } else {
        "a folder where a file is needed".to_owned()
    };
    format!("cannot be read: it is {advice}")
}

/// The place that a symbolic link leads to where it was stored as text, as programs do that
/// copy a folder to a place without links.
pub(crate) fn link(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(1024))?)
        .ok()?
        .trim();
    let whole = bytes.len() <= 1024 && !text.is_empty();
    let is_path = text.starts_with("../") || text.starts_with("./");
    (whole && is_path && !text.contains(char::is_whitespace)).then_some(text)
}

fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// Pickles of protocol 2 and later begin with it, and end with a full stop.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// Whether the file is a zip archive that names a file with `part` in its path.
fn zip_with(bytes: &[u8], part: &str) -> bool {
    bytes.starts_with(b"PK\x03\x04") && holds(bytes, part.as_bytes())
}

/// Whether the file is text that begins so, but for white space.
fn is_text_of(bytes: &[u8], start: &str) -> bool {
    let bytes = bytes.trim_ascii_start();
    bytes.starts_with(start.as_bytes()) && !bytes[..bytes.len().min(SEARCHED)].contains(&0)
}

/// Whether the word is near one of the file's ends.
fn holds(bytes: &[u8], word: &[u8]) -> bool {
    let cut = bytes.len().min(SEARCHED);
    let in_part = |part: &[u8]| part.windows(word.len()).any(|window| window == word);
    in_part(&bytes[..cut]) || in_part(&bytes[bytes.len() - cut..])
}

#[cfg(test)]
mod tests {

    use crate::{ErrorKind, Model};

    /// A local header of a zip archive for a file of that name.
    fn zip(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            bytes.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend([0, 0]);
            bytes.extend(name.as_bytes());
        }
        bytes
    }

    #[test]
    fn files_are_named_and_the_line_that_exports_them_given() {
        let saved_model = b"\x08\x01\x12\x40\x0a\x10__saved_model_init_op serving_default";
        let table: Vec<(&str, Vec<u8>, &str, &str)> = vec![
            ("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:1".to_vec(), "Git LFS", "git lfs pull"),
            ("script", zip(&["net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"]), "TorchScript", "torch.jit.load"),
            ("pt2", zip(&["net/archive_format", "net/models/model.json"]), "torch.export", "dynamo=True"),
            ("pth", zip(&["archive/data.pkl", "archive/data/0"]), "PyTorch checkpoint", "torch.onnx.export"),
            ("old pth", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec(), "PyTorch checkpoint", "torch.onnx.export"),
            ("skl", b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x0csklearn.svm".to_vec(), "scikit-learn", "skl2onnx"),
            ("pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.".to_vec(), "pickled", "export"),
            ("keras", zip(&["metadata.json", "config.json", "model.weights.h5"]), "Keras", "from_keras"),
            ("h5", b"\x89HDF\r\n\x1a\n....keras_version".to_vec(), "Keras", "from_keras"),
            ("hdf5", b"\x89HDF\r\n\x1a\n....".to_vec(), "HDF5", "weights"),
            ("npz", zip(&["images.npy"]), "NumPy", "data"),
            ("npy", b"\x93NUMPY\x01\0".to_vec(), "NumPy", "data"),
            ("zip", zip(&["readme.txt"]), "archive", "unpack"),
            ("gz", b"\x1f\x8b\x08\0".to_vec(), "archive", "unpack"),
            ("tflite", b"\x1c\0\0\0TFL3".to_vec(), "TensorFlow Lite", "from_tflite"),
            ("ort", b"\x1c\0\0\0ORTM".to_vec(), "ONNX Runtime", "made from"),
            ("safetensors", b"\x50\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}".to_vec(), "safetensors", "load_state_dict"),
            ("xml", b"<?xml version=\"1.0\"?><net><layers>".to_vec(), "OpenVINO", "converted from"),
            ("text", b"<ir_version: 7, opset_import: [\"\" : 13]> g (float[N] x) => (float[N] y) {}".to_vec(), "as text", "parse_model"),
            ("textproto", b"ir_version: 8\ngraph {\n".to_vec(), "text of protobuf", "textproto"),
            ("json", b"{ \"irVersion\": \"8\" }".to_vec(), "as JSON", "format=\"json\""),
            ("config", b"{ \"architectures\": [] }".to_vec(), "JSON", "ONNX file"),
            ("html", b"\n<!DOCTYPE html><html>".to_vec(), "web page", "raw"),
            ("parquet", b"PAR1....PAR1".to_vec(), "Parquet", "data"),
            ("mat", b"MATLAB 5.0 MAT-file, Platform".to_vec(), "MATLAB", "exportONNXNetwork"),
            ("png", b"\x89PNG\r\n\x1a\n".to_vec(), "image", "data"),
            ("mlmodel", b"\x08\x04\x12\x40com.github.apple.coremltools.version".to_vec(), "Core ML", "export"),
            ("saved model", saved_model.to_vec(), "SavedModel", "from_keras"),
            ("graph", b"\x0a\x20\x0a\x05input\x12\x0bPlaceholder".to_vec(), "graph of TensorFlow", "from_graph_def"),
            ("link", b"../../../blobs/1111".to_vec(), "'../../../blobs/1111'", "links"),
            ("empty", Vec::new(), "empty", "again"),
        ];
        for (name, bytes, what, advice) in table {
            let error = Model::from_bytes(name, bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotOnnx, "{name}: {error}");
            let text = error.to_string();
            assert!(
                text.contains(what) && text.contains(advice),
                "{name}: {text}"
            );
            assert!(
                text.starts_with(&format!("{name}: not an ONNX network")),
                "{text}"
            );
        }
        // What nobody knows is still refused.
        let error = Model::from_bytes("odd", b"\xff\xfe\xfd".to_vec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotOnnx);
    }

    #[test]
    fn folders_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = || Model::read(folder.path()).unwrap_err().to_string();
        assert!(refusal().contains("a folder where a file is needed"));
        std::fs::create_dir(folder.path().join("onnx")).unwrap();
        std::fs::write(folder.path().join("onnx/model.onnx"), "").unwrap();
        assert!(refusal().contains("onnx/model.onnx'"));
        std::fs::write(folder.path().join("saved_model.pb"), "").unwrap();
        assert!(refusal().contains("SavedModel"));
    }
}
