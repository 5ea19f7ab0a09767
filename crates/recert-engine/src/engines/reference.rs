//! The reference interpreter of `recert-graph` as an engine: what the other engines are held
//! to, and what samples are run again with where no engine is to be trusted.

use std::sync::Arc;

use recert_graph::{
    Builder, Coordinates, Data, Extent, Graph, Interpreter, Limits, Model, Op, Shape, Tensor,
};

use super::{Device, EngineEntry, Found, NEVER, Rten};
use crate::options::CPU;
use crate::{
    Arithmetic, EngineIdentity, EngineOptions, Error, ErrorKind, Floats, Output, Precision,
    Runtime, Session, Setting,
};

/// The version of the interpreter's arithmetic, which changes with any of its answers.
pub(crate) const VERSION: &str = "1";

pub(super) const ENTRY: EngineEntry = EngineEntry {
    name: "reference",
    title: "the reference interpreter",
    install: None,
    // It is hundreds of times slower than the others.
    rank: |_| NEVER,
    needs_comparison: false,
    open: |options| Ok(Box::new(Reference::new(options)?)),
    find: || Ok(Reference::found()),
};

/// ONNX's definitions in plain loops ([`Interpreter`]): every operator in the types that the
/// file has, computed in float64 and rounded once, at its end.
///
/// It is never chosen for a network, since it is hundreds of times slower than the other
/// engines. An image gets bit for bit the same answer in every batch and on every processor.
/// Operators that it lacks are refused by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Reference {
    /// The interpreter, which computes as the file states, on the processor.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another precision,
    /// [`ErrorKind::EngineMissing`] for another device.
    pub fn new(options: &EngineOptions) -> Result<Self, Error> {
        if !options.on_cpu() {
            let message = format!(
                "device {}: the reference interpreter computes on the processor alone: choose the \
                 engine openvino or onnxruntime, or no device",
                options.device()
            );
            return Err(Error::new(ErrorKind::EngineMissing, message).about(Setting::Device));
        }
        let precision = options.float();
        if precision != Precision::F32 {
            let message = format!(
                "precision {precision}: the reference interpreter computes in the precision that \
                 the file has: choose the engine openvino, or make a version of the network in \
                 that precision"
            );
            return Err(Error::new(ErrorKind::Unsupported, message).about(Setting::Precision));
        }
        Ok(Self)
    }

    /// What is built in.
    fn found() -> Found {
        Found {
            version: VERSION.into(),
            path: None,
            devices: vec![Device {
                name: CPU.into(),
                description: None,
                precisions: vec![Precision::F32, Precision::Int8],
            }],
        }
    }
}

impl Runtime for Reference {
    fn identity(&self, _: &Model) -> EngineIdentity {
        EngineIdentity {
            name: ENTRY.name.into(),
            version: VERSION.into(),
            arithmetic: Arithmetic {
                floats: Floats::AsInModel,
                exceptions: vec!["each operator in float64 and rounded once".into()],
                device: None,
                settings: Vec::new(),
                deterministic: true,
            },
            batch_invariant: true,
        }
    }

    fn load(
        &self,
        model: &Model,
        input: &str,
        outputs: &[&str],
    ) -> Result<Box<dyn Session>, Error> {
        let unread = |source: recert_graph::Error| {
            Error::new(ErrorKind::Model, source.to_string()).because(source)
        };
        let dims = model.input().map_err(unread)?.dims;
        let mut session = ReferenceSession {
            network: Arc::new(Network {
                model: model.clone(),
                input: input.to_owned(),
                outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
                batch: dims.first().and_then(recert_graph::Dim::fixed),
            }),
            built: None,
        };
        // Where the file leaves the size of the images open, the first of them states it.
        let sizes: Option<Vec<_>> = dims.iter().skip(1).map(recert_graph::Dim::fixed).collect();
        if let Some(sizes) = sizes {
            session.build(&sizes)?;
        }
        Ok(Box::new(session))
    }
}

/// A network as it is read.
struct Network {
    model: Model,
    input: String,
    outputs: Vec<String>,
    /// The batch, where the file fixes it.
    batch: Option<usize>,
}

impl Network {
    /// The error for a network that the interpreter does not take, with the engines that could;
    /// `source` names the file, and the node with its operator.
    fn refused(&self, source: recert_graph::Error) -> Error {
        let advice = match source.kind() {
            recert_graph::ErrorKind::Unsupported if self.rten_takes_it() => {
                ": the reference interpreter lacks that: choose the engine rten, which takes the \
                 network"
            }
            recert_graph::ErrorKind::Unsupported => {
                ": the reference interpreter lacks that, and so does rten: choose the engine \
                 onnxruntime or openvino"
            }
            _ => return Error::new(ErrorKind::Model, source.to_string()).because(source),
        };
        Error::new(ErrorKind::Unsupported, format!("{source}{advice}")).because(source)
    }

    /// Whether the other engine that is always there loads the network.
    fn rten_takes_it(&self) -> bool {
        let outputs: Vec<_> = self.outputs.iter().map(String::as_str).collect();
        let load = || Rten.load(&self.model, &self.input, &outputs).is_ok();
        // It is known to panic over some networks.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(load)).unwrap_or(false)
    }
}

struct ReferenceSession {
    network: Arc<Network>,
    /// The graph, and the dimensions after the batch that it is for.
    built: Option<(Vec<usize>, Arc<Graph>)>,
}

impl ReferenceSession {
    /// The graph for images of these dimensions after the batch.
    fn build(&mut self, dims: &[usize]) -> Result<Arc<Graph>, Error> {
        if let Some((built, graph)) = &self.built
            && built == dims
        {
            return Ok(Arc::clone(graph));
        }
        let network = &self.network;
        let outputs: Vec<_> = network.outputs.iter().map(String::as_str).collect();
        let batch = network.batch.map_or(Extent::Batch(1), Extent::Fixed);
        let extents = dims.iter().map(|&size| Extent::Fixed(size));
        let shape = Shape::new(std::iter::once(batch).chain(extents).collect());
        let graph = Builder::new(&network.model)
            .outputs(&outputs)
            .input_shape(&network.input, shape)
            .build()
            .map_err(|source| network.refused(source))?;
        check_definitions(&graph, network.model.name())?;
        // The sizes of all values are checked before any is computed.
        Interpreter::new(&graph, Limits::default())
            .map_err(|source| network.refused(source.at(network.model.name())))?;
        let graph = Arc::new(graph);
        self.built = Some((dims.to_vec(), Arc::clone(&graph)));
        Ok(graph)
    }
}

/// Refuses what ONNX defines in two ways, so that nothing can be held to it: `Resize` with
/// `align_corners` by a factor that makes no whole number of elements. ONNX's text divides
/// by the whole number of elements made, as `PyTorch` does, its test cases by the input's length
/// times the factor.
fn check_definitions(graph: &Graph, network: &str) -> Result<(), Error> {
    for node in graph.nodes() {
        let Op::Resize(rule) = &node.op else { continue };
        let Some(input) = node.input(0) else { continue };
        let extents = graph.value(input).shape.iter().zip(&rule.scales);
        let mut made = extents.filter_map(|(extent, scale)| Some(extent.fixed()? as f64 * scale));
        // Factors are rounded to float32.
        let no_whole = |size: f64| (size - size.round()).abs() > 1e-6 * size;
        if rule.coordinates == Coordinates::AlignCorners && made.any(no_whole) {
            let message = format!(
                "{network}: node '{}' (Resize): ONNX's text and its test cases disagree on \
                 align_corners with a factor that makes no whole number of elements: export it \
                 with sizes in place of scales",
                node.name
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// How many images of a graph the limits leave room for at a time; 1 at least.
fn at_a_time(graph: &Graph, limits: Limits) -> usize {
    let mut fixed = 0_usize;
    let mut each = 0_usize;
    for value in graph.values() {
        match value.shape.count() {
            Some(Extent::Fixed(size)) => fixed = fixed.saturating_add(size),
            Some(Extent::Batch(factor)) => each = each.saturating_add(factor),
            None => return 1,
        }
    }
    (limits.elements.saturating_sub(fixed) / each.max(1)).max(1)
}

impl Session for ReferenceSession {
    fn run(&mut self, input: &[f32], shape: &[usize]) -> Result<Vec<Output>, Error> {
        let graph = self.build(&shape[1..])?;
        let name = self.network.model.name();
        let failed = |source: recert_graph::Error| {
            Error::new(ErrorKind::Run, format!("{name}: {source}")).because(source)
        };
        let limits = Limits::default();
        let interpreter = Interpreter::new(&graph, limits).map_err(failed)?;
        // No operator computes on images together unless the network does, so that a batch
        // that is too large is computed in pieces.
        let piece = match self.network.batch {
            Some(_) => shape[0],
            None => at_a_time(&graph, limits).min(shape[0].max(1)),
        };
        let length: usize = shape[1..].iter().product();
        let mut all: Vec<Output> = Vec::new();
        for images in input.chunks((piece * length).max(1)) {
            let mut dims = shape.to_vec();
            dims[0] = images.len() / length.max(1);
            let images = Tensor::new(dims, Data::Float32(images.to_vec())).map_err(failed)?;
            let outputs = interpreter.run(&[images]).map_err(failed)?;
            let outputs = outputs.iter().zip(&self.network.outputs);
            let outputs = outputs.map(|(tensor, output)| taken(tensor, name, output));
            let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
            if all.is_empty() {
                all = outputs;
            } else {
                let pairs = all.iter_mut().zip(outputs);
                pairs.for_each(|(all, more)| append(all, more));
            }
        }
        Ok(all)
    }

    fn fork(&self) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(Self {
            network: Arc::clone(&self.network),
            built: self.built.clone(),
        }))
    }
}

/// An output in this crate's terms.
fn taken(tensor: &Tensor, network: &str, output: &str) -> Result<Output, Error> {
    let shape = tensor.shape().to_vec();
    if let Some(values) = tensor.to_f32() {
        return Ok(Output::Float { shape, values });
    }
    if let Some(values) = tensor.to_i64() {
        return Ok(Output::Integer { shape, values });
    }
    let message = format!(
        "{network}: its output '{output}' is of {}, which is neither scores nor a class",
        tensor.element()
    );
    Err(Error::new(ErrorKind::Run, message))
}

/// Appends the output of further images.
fn append(all: &mut Output, more: Output) {
    match (all, more) {
        (
            Output::Float { shape, values },
            Output::Float {
                shape: dims,
                values: more,
            },
        ) => {
            shape[0] += dims[0];
            values.extend(more);
        }
        (
            Output::Integer { shape, values },
            Output::Integer {
                shape: dims,
                values: more,
            },
        ) => {
            shape[0] += dims[0];
            values.extend(more);
        }
        _ => unreachable!("an output is of one type"),
    }
}

#[cfg(test)]
mod tests {
    use recert_graph::proto::onnx::{AttributeProto, NodeProto};

    use super::*;

    fn made(name: &str) -> Model {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/made");
        Model::read(format!("{folder}/{name}.onnx")).unwrap()
    }

    #[test]
    fn a_batch_beyond_the_limits_is_computed_in_pieces() {
        let model = made("plain");
        let signature = model.signature().unwrap();
        let outputs = [signature.output.name.as_str()];
        let graph = Builder::new(&model).outputs(&outputs).build().unwrap();
        let sizes = graph.values().iter().filter_map(|v| v.shape.count());
        let (mut fixed, mut each) = (0, 0);
        for size in sizes {
            match size {
                Extent::Fixed(size) => fixed += size,
                Extent::Batch(factor) => each += factor,
            }
        }
        for (room, images) in [(3 * each, 3), (4 * each - 1, 3), (0, 1)] {
            let limits = Limits {
                elements: fixed + room,
            };
            assert_eq!(at_a_time(&graph, limits), images, "{room}");
        }
    }

    /// The hand-made network with an operator between the image and the rest.
    fn behind(operator: &str, attributes: Vec<AttributeProto>) -> Model {
        let plain = made("plain");
        let image = plain.input().unwrap().name;
        let mut proto = plain.proto_to_rewrite().unwrap();
        let graph = proto.graph.as_mut().unwrap();
        let inputs = graph.node.iter_mut().flat_map(|node| &mut node.input);
        for input in inputs.filter(|input| **input == image) {
            input.push_str("_seen");
        }
        let node = NodeProto {
            name: Some("first".to_owned()),
            op_type: Some(operator.to_owned()),
            output: vec![format!("{image}_seen")],
            input: vec![image],
            attribute: attributes,
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        Model::from_proto("net.onnx".to_owned(), proto).unwrap()
    }

    #[test]
    fn what_it_lacks_is_named_with_the_engines_that_could() {
        let equation = AttributeProto {
            name: Some("equation".to_owned()),
            s: Some(b"nchw->nchw".to_vec().into()),
            r#type: Some(3),
            ..AttributeProto::default()
        };
        for (model, operator, engine) in [
            (behind("Einsum", vec![equation]), "Einsum", "engine rten"),
            (
                behind("Frobnicate", vec![]),
                "Frobnicate",
                "engine onnxruntime",
            ),
        ] {
            let input = model.input().unwrap().name;
            let output = model.signature().unwrap().output.name;
            let error = Reference.load(&model, &input, &[&output]).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            let words = error.to_string();
            for part in ["net.onnx", "'first'", operator, engine] {
                assert!(words.contains(part), "{part}: {words}");
            }
        }
    }

    #[test]
    fn outputs_of_pieces_are_those_of_the_whole() {
        let one = |values: &[f32]| Output::Float {
            shape: vec![values.len() / 2, 2],
            values: values.to_vec(),
        };
        let mut all = one(&[1.0, 2.0]);
        append(&mut all, one(&[3.0, 4.0, 5.0, 6.0]));
        assert_eq!(all, one(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    }
}
