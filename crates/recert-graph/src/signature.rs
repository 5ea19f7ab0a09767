//! What goes into a network and comes out: one image input, one class output.

use std::collections::HashSet;
use std::fmt;

use crate::element::ElementType;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::onnx::tensor_shape_proto::dimension;
use crate::proto::onnx::{GraphProto, ValueInfoProto, type_proto};

/// One extent of an input or output.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A name: any size, the same wherever the name stands.
    Symbolic(String),
    /// The file states nothing.
    Unknown,
}

impl Dim {
    /// The number, if it is one.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Dim::Fixed(size) => Some(*size),
            Dim::Symbolic(_) | Dim::Unknown => None,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Symbolic(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

/// How the network wants its images laid out. `n` is the batch; extents that
/// the file leaves open are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputLayout {
    /// `[n, c, h, w]`, `c` in {1, 3, 4}.
    Nchw {
        /// Channels.
        c: usize,
        /// Height in pixels.
        h: Option<usize>,
        /// Width in pixels.
        w: Option<usize>,
    },
    /// `[n, h, w, c]`, `c` in {1, 3, 4}.
    Nhwc {
        /// Height in pixels.
        h: Option<usize>,
        /// Width in pixels.
        w: Option<usize>,
        /// Channels.
        c: usize,
    },
    /// `[n, d]`, or with further extents that are all 1 (`[n, d, 1]`): the
    /// image's values in the order of channels, rows, columns.
    Flat {
        /// Values an image.
        d: Option<usize>,
    },
    /// Which extents are channels, rows and columns is not stated: the images show it, and
    /// the layers that take them. Also `[n, h, w]`, of images of one channel.
    Open,
    /// Not even how many extents there are is stated.
    Unstated,
}

/// The image input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Input {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its shape as the file states it, the batch first; empty where it states none.
    pub dims: Vec<Dim>,
    /// Where channels, rows and columns are.
    pub layout: InputLayout,
    /// The batch size, where the file allows only one.
    pub fixed_batch: Option<usize>,
}

/// What a class output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputKind {
    /// A number for each class, `[n, classes]` (further extents all 1): the
    /// class is the position of the largest.
    Scores {
        /// The number of classes, where the file states it.
        classes: Option<usize>,
    },
    /// The class itself as an integer, `[n]` (further extents all 1).
    Classes,
}

/// An output of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its shape, the batch first; `None` where the file does not state it.
    pub dims: Option<Vec<Dim>>,
    /// What it holds.
    pub kind: OutputKind,
}

/// The input and output of an image classifier.
///
/// The input is the only graph input that is not an initializer. Its layout
/// follows from its rank and from which extent is 1, 3 or 4, the possible
/// numbers of channels; where both the second and the last are, ONNX's own
/// order `[n, c, h, w]` is taken.
///
/// The output, unless named, is the only one; of several the only one of floats, if that
/// is of scores, where the others are labels; where none is of floats, the only one of
/// classes. Of others, such as an embedding beside scores, none is taken that is not named:
/// [`ErrorKind::Outputs`]. An output of unstated shape counts as scores if its elements are
/// floats, as classes if they are integers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signature {
    /// The image input.
    pub input: Input,
    /// The class output.
    pub output: Output,
}

fn bad(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Signature, why)
}

impl Signature {
    pub(crate) fn of(graph: &GraphProto, output: Option<&str>) -> Result<Self> {
        Ok(Signature {
            input: input(graph)?,
            output: choose_output(graph, output)?,
        })
    }
}

/// The graph's inputs that are not initializers.
pub fn true_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let sparse = graph
        .sparse_initializer
        .iter()
        .filter_map(|s| s.values.as_ref());
    let known: HashSet<&str> = graph
        .initializer
        .iter()
        .chain(sparse)
        .map(super::proto::onnx::TensorProto::name)
        .collect();
    graph
        .input
        .iter()
        .filter(|info| !known.contains(info.name()))
        .collect()
}

/// Element type and shape of a dense tensor; `None` for other types.
pub fn tensor_type(info: &ValueInfoProto) -> Option<(ElementType, Option<Vec<Dim>>)> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.as_ref()?.value else {
        return None;
    };
    let dims = tensor.shape.as_ref().map(|shape| {
        let dim = |dim: &crate::proto::onnx::tensor_shape_proto::Dimension| match &dim.value {
            // Writers put 0 or -1 where they mean "any".
            Some(dimension::Value::DimValue(size)) => match usize::try_from(*size) {
                Ok(0) | Err(_) => Dim::Unknown,
                Ok(size) => Dim::Fixed(size),
            },
            Some(dimension::Value::DimParam(name)) if !name.is_empty() => {
                Dim::Symbolic(name.clone())
            }
            _ => Dim::Unknown,
        };
        shape.dim.iter().map(dim).collect()
    });
    Some((ElementType::from_onnx(tensor.elem_type()), dims))
}

fn show(dims: &[Dim]) -> String {
    let dims: Vec<String> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", dims.join(", "))
}

fn names<'a>(infos: impl IntoIterator<Item = &'a ValueInfoProto>) -> String {
    let names: Vec<String> = infos
        .into_iter()
        .map(|info| format!("`{}`", info.name()))
        .collect();
    names.join(", ")
}

pub(crate) fn input(graph: &GraphProto) -> Result<Input> {
    let inputs = true_inputs(graph);
    let [info] = inputs[..] else {
        let found = match inputs.len() {
            0 => "it has none".to_owned(),
            n => format!("it has {n}: {}", names(inputs.iter().copied())),
        };
        return Err(bad(format!(
            "a classifier must have exactly one image input, but {found}"
        )));
    };
    let name = info.name().to_owned();
    let (element, dims) =
        tensor_type(info).ok_or_else(|| bad(format!("input `{name}` is not a tensor")))?;
    let Some(dims) = dims else {
        return Ok(Input {
            name,
            element,
            dims: Vec::new(),
            layout: InputLayout::Unstated,
            fixed_batch: None,
        });
    };
    let layout = layout(&dims).ok_or_else(|| {
        bad(format!(
            "input `{name}` of shape {} is no batch of images: [n, c, h, w] or [n, h, w, c] with \
             1, 3 or 4 channels, [n, h, w] or [n, d] is wanted",
            show(&dims)
        ))
    })?;
    let fixed_batch = dims[0].fixed();
    Ok(Input {
        name,
        element,
        dims,
        layout,
        fixed_batch,
    })
}

fn layout(dims: &[Dim]) -> Option<InputLayout> {
    let sizes: Vec<Option<usize>> = dims.iter().map(Dim::fixed).collect();
    let (_, image) = sizes.split_first()?;
    // An image with at most one extent other than 1 is a flat list of values,
    // whatever the rank: [n, d], [n, d, 1], [n, 1, 1, d].
    let long: Vec<Option<usize>> = image
        .iter()
        .copied()
        .filter(|size| *size != Some(1))
        .collect();
    match (image.len(), &long[..]) {
        (0, _) => return None,
        (_, []) => return Some(InputLayout::Flat { d: Some(1) }),
        (_, &[d]) => return Some(InputLayout::Flat { d }),
        (2, _) => return Some(InputLayout::Open),
        _ => {}
    }
    let [first, second, third] = image[..] else {
        return None;
    };
    let channels = |size: Option<usize>| size.filter(|c| matches!(c, 1 | 3 | 4));
    match (channels(first), channels(third)) {
        (Some(c), _) => Some(InputLayout::Nchw {
            c,
            h: second,
            w: third,
        }),
        (None, Some(c)) => Some(InputLayout::Nhwc {
            h: first,
            w: second,
            c,
        }),
        (None, None) if first.is_none() || third.is_none() => Some(InputLayout::Open),
        (None, None) => None,
    }
}

fn choose_output(graph: &GraphProto, wanted: Option<&str>) -> Result<Output> {
    if let Some(wanted) = wanted {
        let info = graph
            .output
            .iter()
            .find(|info| info.name() == wanted)
            .ok_or_else(|| {
                bad(format!(
                    "there is no output `{wanted}`; the outputs are {}",
                    names(&graph.output)
                ))
            })?;
        return output(info);
    }
    if let [only] = &graph.output[..] {
        return output(only);
    }
    let is_float =
        |info: &&ValueInfoProto| tensor_type(info).is_some_and(|(element, _)| element.is_float());
    let floats: Vec<&ValueInfoProto> = graph.output.iter().filter(is_float).collect();
    let found = match &floats[..] {
        [] => graph
            .output
            .iter()
            .filter_map(|info| output(info).ok())
            .collect(),
        [only] => output(only).ok().into_iter().collect(),
        _ => Vec::new(),
    };
    if let Ok([only]) = <[Output; 1]>::try_from(found) {
        return Ok(only);
    }
    let list = graph.output.iter().map(described).collect::<Vec<_>>();
    Err(Error::new(
        ErrorKind::Outputs,
        format!(
            "it has {} outputs, and which one holds the scores of the classes is for you to name: \
             {}",
            list.len(),
            list.join(", ")
        ),
    ))
}

/// An output in words: its name, type and shape.
fn described(info: &ValueInfoProto) -> String {
    let what = match tensor_type(info) {
        None => "no tensor (of a scikit-learn model, export it with `zipmap` off)".to_owned(),
        Some((element, None)) => format!("{element} of unstated shape"),
        Some((element, Some(dims))) => format!("{element} {}", show(&dims)),
    };
    format!("`{}` ({what})", info.name())
}

fn output(info: &ValueInfoProto) -> Result<Output> {
    let name = info.name().to_owned();
    let (element, dims) =
        tensor_type(info).ok_or_else(|| bad(format!("output `{name}` is not a tensor")))?;
    let ones = |dims: &[Dim]| dims.iter().all(|dim| *dim == Dim::Fixed(1));
    let kind = match dims.as_deref() {
        None if element.is_float() => Some(OutputKind::Scores { classes: None }),
        None if element.is_integer() => Some(OutputKind::Classes),
        Some([_, classes, rest @ ..]) if element.is_float() && ones(rest) => {
            Some(OutputKind::Scores {
                classes: classes.fixed(),
            })
        }
        Some([_, rest @ ..]) if element.is_integer() && ones(rest) => Some(OutputKind::Classes),
        _ => None,
    };
    let kind = kind.ok_or_else(|| {
        let shape = dims.as_deref().map_or_else(|| "unstated".to_owned(), show);
        bad(format!(
            "output `{name}` of {element} and shape {shape} holds neither scores [n, classes] nor \
             classes [n]; name the right output"
        ))
    })?;
    Ok(Output {
        name,
        element,
        dims,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::proto::onnx::tensor_proto::DataType;
    use crate::testing::Net;

    /// A network of that input, as `x`, and two outputs.
    fn with_input(dims: &[i64]) -> Model {
        Net::new(13)
            .input("x", dims)
            .output("y", &[-1, 10])
            .node("Identity", &["x"], "y")
            .model()
    }

    #[test]
    fn layouts() {
        use InputLayout as L;
        let table: &[(&[i64], L, Option<usize>)] = &[
            (
                &[-1, 3, 32, 32],
                L::Nchw {
                    c: 3,
                    h: Some(32),
                    w: Some(32),
                },
                None,
            ),
            (
                &[1, 1, 28, 28],
                L::Nchw {
                    c: 1,
                    h: Some(28),
                    w: Some(28),
                },
                Some(1),
            ),
            (
                &[-1, 3, -1, -1],
                L::Nchw {
                    c: 3,
                    h: None,
                    w: None,
                },
                None,
            ),
            (
                &[8, 32, 32, 3],
                L::Nhwc {
                    h: Some(32),
                    w: Some(32),
                    c: 3,
                },
                Some(8),
            ),
            (
                &[-1, 0, 0, 3],
                L::Nhwc {
                    h: None,
                    w: None,
                    c: 3,
                },
                None,
            ),
            (
                &[-1, 3, 4, 4],
                L::Nchw {
                    c: 3,
                    h: Some(4),
                    w: Some(4),
                },
                None,
            ),
            (&[-1, 784], L::Flat { d: Some(784) }, None),
            (&[1, -1], L::Flat { d: None }, Some(1)),
            (&[1, 784, 1], L::Flat { d: Some(784) }, Some(1)),
            (&[1, 1, 1, 784], L::Flat { d: Some(784) }, Some(1)),
            (&[-1, 1, 1, -1], L::Flat { d: None }, None),
            (&[-1, -1, -1, -1], L::Open, None),
            (&[-1, -1, 32, 32], L::Open, None),
            (&[1, 28, 28], L::Open, Some(1)),
        ];
        for (dims, layout, batch) in table {
            let input = with_input(dims).signature().unwrap().input;
            assert_eq!(
                (input.layout, input.fixed_batch),
                (*layout, *batch),
                "{dims:?}"
            );
            assert_eq!(input.dims.len(), dims.len());
        }
        for dims in [&[784][..], &[-1, 16, 32, 32], &[1, 3, 8, 8, 8]] {
            let error = with_input(dims).signature().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Signature, "{dims:?}");
            assert!(error.to_string().contains("`x`"), "{error}");
        }
    }

    #[test]
    fn an_input_without_a_shape_is_left_to_the_images() {
        let mut net = Net::new(13)
            .input("x", &[-1, 2])
            .output("y", &[-1, 2])
            .node("Identity", &["x"], "y");
        let kind = net.graph().input[0].r#type.as_mut().unwrap();
        if let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value {
            tensor.shape = None;
        }
        let input = net.model().input().unwrap();
        assert_eq!((input.layout, input.dims.len()), (InputLayout::Unstated, 0));
    }

    #[test]
    fn exactly_one_true_input() {
        let net = || {
            Net::new(13)
                .output("y", &[-1, 2])
                .floats("w", &[2, 2], &[1.0; 4])
        };
        // An initializer listed as an input, as format version 3 asks for.
        let listed =
            net()
                .input("x", &[-1, 2])
                .input("w", &[2, 2])
                .node("MatMul", &["x", "w"], "y");
        assert_eq!(listed.model().signature().unwrap().input.name, "x");
        let two = net()
            .input("x", &[-1, 2])
            .input("z", &[-1, 2])
            .node("Add", &["x", "z"], "y");
        let error = two.model().signature().unwrap_err();
        assert!(error.to_string().contains("`x`, `z`"), "{error}");
        let none = net().node("Identity", &["w"], "y");
        assert_eq!(
            none.model().signature().unwrap_err().kind(),
            ErrorKind::Signature
        );
    }

    #[test]
    fn outputs_are_chosen_by_the_rule_or_by_name() {
        let scores = |classes| OutputKind::Scores { classes };
        let net = || {
            Net::new(13)
                .input("x", &[-1, 4])
                .node("Identity", &["x"], "a")
                .node("Identity", &["x"], "b")
        };
        let table = [
            (net().output("a", &[-1, 10]), "a", scores(Some(10))),
            (net().output("a", &[-1, -1]), "a", scores(None)),
            (
                net().output("a", &[-1, 1000, 1, 1]),
                "a",
                scores(Some(1000)),
            ),
            (
                net().typed_output("a", DataType::Int64, &[-1]),
                "a",
                OutputKind::Classes,
            ),
            (
                net().typed_output("a", DataType::Int64, &[-1, 1]),
                "a",
                OutputKind::Classes,
            ),
            (
                net()
                    .typed_output("a", DataType::Int64, &[-1])
                    .output("b", &[-1, 7]),
                "b",
                scores(Some(7)),
            ),
            (
                net()
                    .output("a", &[-1, 7])
                    .typed_output("b", DataType::String, &[-1]),
                "a",
                scores(Some(7)),
            ),
            (
                net()
                    .typed_output("a", DataType::String, &[-1])
                    .typed_output("b", DataType::Int64, &[-1]),
                "b",
                OutputKind::Classes,
            ),
        ];
        for (net, name, kind) in table {
            let output = net.model().signature().unwrap().output;
            assert_eq!((output.name.as_str(), output.kind), (name, kind));
        }
        // Which of them are scores nobody can know.
        for net in [
            net().output("a", &[-1, 10]).output("b", &[-1, 7]),
            net().output("a", &[-1, 16, 8, 8]).output("b", &[-1, 7]),
            net()
                .typed_output("a", DataType::Int64, &[-1])
                .typed_output("b", DataType::Int64, &[-1]),
        ] {
            let error = net.model().signature().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Outputs, "{error}");
            let text = error.to_string();
            assert!(text.contains("`a` (") && text.contains("`b` ("), "{text}");
        }
        let both = net().output("a", &[-1, 10]).output("b", &[-1, 7]).model();
        let output = both.signature_with_output(Some("b")).unwrap().output;
        assert_eq!((output.name.as_str(), output.kind), ("b", scores(Some(7))));
        let error = both.signature_with_output(Some("c")).unwrap_err();
        assert!(error.to_string().contains("`a`, `b`"), "{error}");
        let features = net().output("a", &[-1, 16, 8, 8]).model();
        assert!(
            features
                .signature()
                .unwrap_err()
                .to_string()
                .contains("[N, 16, 8, 8]")
        );
    }
}
