//! Model-local functions, put in place of the nodes that call them.
//!
//! ONNX defines a call of a function as its body with the call's inputs, outputs and
//! attributes in place of the formal ones (ONNX IR, "Model-local functions"), so that
//! the network without functions is the same network. Exporters write one a module
//! (`export_modules_as_functions`, the dynamo exporter); few engines read them.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{is_standard, node_name};
use crate::proto::onnx::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
};

/// More nodes than any network has; a file of a few hundred bytes can ask for more by
/// functions that call one another twice.
const MOST_NODES: usize = 1 << 18;

/// Functions nested deeper are none that an exporter writes.
const MOST_DEPTH: usize = 64;

/// Domain, name and overload of a function.
type Key<'a> = (&'a str, &'a str, &'a str);

fn key<'a>(domain: &'a str, name: &'a str, overload: &'a str) -> Key<'a> {
    let domain = if is_standard(domain) { "" } else { domain };
    (domain, name, overload)
}

/// Replaces the calls of all functions whose operators are of the network's own operator
/// sets; calls of others stay. Returns whether anything changed.
///
/// # Errors
///
/// [`ErrorKind::Graph`] for functions that call themselves, that make more nodes than any
/// network has, or that are called with more inputs or outputs than they have.
pub(crate) fn inline(model: &mut ModelProto) -> Result<bool> {
    if model.functions.is_empty() {
        return Ok(false);
    }
    let functions = std::mem::take(&mut model.functions);
    let mut sets = operator_sets(&model.opset_import);
    let mut known = HashMap::new();
    for function in &functions {
        let fits = function.opset_import.iter().all(|set| {
            let stated = sets.get(plain_domain(set.domain()));
            stated.is_none_or(|&version| version == set.version())
        });
        if !fits || is_standard(function.domain()) {
            continue;
        }
        for set in &function.opset_import {
            sets.insert(plain_domain(set.domain()).to_owned(), set.version());
        }
        let name = key(function.domain(), function.name(), function.overload());
        if known.insert(name, function).is_some() {
            let why = format!("there are two functions called '{}'", function.name());
            return Err(Error::new(ErrorKind::Graph, why));
        }
    }
    let mut inlining = Inlining {
        functions: &known,
        calls: 0,
        nodes: 0,
    };
    if let Some(graph) = &mut model.graph {
        inlining.graph(graph, 0)?;
    }
    let changed = inlining.calls > 0;
    // What could not be inlined stays, with what it calls.
    let mut called = HashSet::new();
    if let Some(graph) = &model.graph {
        operators_of(&graph.node, &mut called);
    }
    let left = |function: &FunctionProto| {
        let name = key(function.domain(), function.name(), function.overload());
        !changed || !known.contains_key(&name)
    };
    let kept: Vec<FunctionProto> = functions.iter().filter(|f| left(f)).cloned().collect();
    // One that stays may call one that is known.
    model.functions = if kept.is_empty() {
        kept
    } else {
        functions.clone()
    };
    if changed {
        for function in &model.functions {
            operators_of(&function.node, &mut called);
        }
        let domains: HashSet<&str> = called.iter().map(|(domain, _)| domain.as_str()).collect();
        let mut imports: Vec<OperatorSetIdProto> = model.opset_import.clone();
        for (domain, &version) in &sets {
            if !imports
                .iter()
                .any(|set| plain_domain(set.domain()) == domain)
            {
                imports.push(OperatorSetIdProto {
                    domain: Some(domain.clone()),
                    version: Some(version),
                });
            }
        }
        imports.retain(|set| is_standard(set.domain()) || domains.contains(set.domain()));
        imports.sort_by(|a, b| a.domain().cmp(b.domain()));
        model.opset_import = imports;
    }
    Ok(changed)
}

fn plain_domain(domain: &str) -> &str {
    if is_standard(domain) { "" } else { domain }
}

fn operator_sets(imports: &[OperatorSetIdProto]) -> HashMap<String, i64> {
    let set = |set: &OperatorSetIdProto| (plain_domain(set.domain()).to_owned(), set.version());
    imports.iter().map(set).collect()
}

/// The domains and names of all operators, those of subgraphs included.
fn operators_of(nodes: &[NodeProto], into: &mut HashSet<(String, String)>) {
    for node in nodes {
        into.insert((node.domain().to_owned(), node.op_type().to_owned()));
        for graph in subgraphs(node) {
            operators_of(&graph.node, into);
        }
    }
}

/// The graphs among a node's attributes.
pub(crate) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

struct Inlining<'a> {
    functions: &'a HashMap<Key<'a>, &'a FunctionProto>,
    /// How many calls were replaced, which also numbers them.
    calls: usize,
    /// How many nodes there are because of that.
    nodes: usize,
}

impl Inlining<'_> {
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<()> {
        let nodes = std::mem::take(&mut graph.node);
        for (position, node) in nodes.into_iter().enumerate() {
            self.node(node, position, depth, &mut graph.node)?;
        }
        Ok(())
    }

    /// Adds a node, or the body of the function that it calls.
    fn node(
        &mut self,
        mut node: NodeProto,
        position: usize,
        depth: usize,
        into: &mut Vec<NodeProto>,
    ) -> Result<()> {
        let name = key(node.domain(), node.op_type(), node.overload());
        let Some(function) = self.functions.get(&name) else {
            for attribute in &mut node.attribute {
                for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                    self.graph(graph, depth)?;
                }
            }
            into.push(node);
            return Ok(());
        };
        let refuse = |why: &str| {
            let call = node_name(&node, position);
            let why = format!(
                "node '{call}' calls the function '{}': {why}",
                node.op_type()
            );
            Error::new(ErrorKind::Graph, why)
        };
        if depth >= MOST_DEPTH {
            return Err(refuse("it calls itself, or others without end"));
        }
        self.nodes += function.node.len() + 1;
        if self.nodes > MOST_NODES {
            return Err(refuse(
                "all functions together are more nodes than a network has",
            ));
        }
        if node.input.len() > function.input.len() || node.output.len() > function.output.len() {
            return Err(refuse(
                "it has fewer inputs or outputs than it is called with",
            ));
        }
        self.calls += 1;
        let call = Call::new(&node, function, self.calls);
        let title = node_name(&node, position);
        for (position, inner) in function.node.iter().enumerate() {
            let mut inner = inner.clone();
            inner.name = Some(format!("{title}/{}", node_name(&inner, position)));
            call.place(&mut inner);
            self.node(inner, position, depth + 1, into)?;
        }
        // An output that is an input as it is.
        for (formal, actual) in function.output.iter().zip(&node.output) {
            if function.input.contains(formal) && !actual.is_empty() {
                into.push(NodeProto {
                    op_type: Some("Identity".to_owned()),
                    name: Some(format!("{title}/{formal}")),
                    input: vec![call.name(formal)],
                    output: vec![actual.clone()],
                    ..NodeProto::default()
                });
            }
        }
        Ok(())
    }
}

/// What a call puts in place of a function's formal names and attributes.
struct Call<'a> {
    names: HashMap<&'a str, &'a str>,
    attributes: HashMap<&'a str, &'a AttributeProto>,
    prefix: String,
}

impl<'a> Call<'a> {
    fn new(node: &'a NodeProto, function: &'a FunctionProto, number: usize) -> Self {
        let mut names = HashMap::new();
        let outputs = function.output.iter().zip(&node.output);
        names.extend(
            outputs
                .filter(|(_, actual)| !actual.is_empty())
                .map(|(formal, actual)| (formal.as_str(), actual.as_str())),
        );
        // Inputs that the call leaves out are left out in the body, too.
        for (position, formal) in function.input.iter().enumerate() {
            let actual = node.input.get(position).map_or("", String::as_str);
            names.insert(formal.as_str(), actual);
        }
        let defaults = function.attribute_proto.iter();
        let given = node.attribute.iter();
        Self {
            names,
            attributes: defaults.chain(given).map(|a| (a.name(), a)).collect(),
            prefix: format!("call {number}: "),
        }
    }

    /// The tensor that `inner` stands for.
    fn name(&self, inner: &str) -> String {
        match self.names.get(inner) {
            Some(&actual) => actual.to_owned(),
            None if inner.is_empty() => String::new(),
            None => format!("{}{inner}", self.prefix),
        }
    }

    fn place(&self, node: &mut NodeProto) {
        for name in node.input.iter_mut().chain(&mut node.output) {
            *name = self.name(name);
        }
        node.attribute.retain_mut(|attribute| {
            if !attribute.ref_attr_name().is_empty() {
                // One that is not given has the operator's own default.
                let Some(&given) = self.attributes.get(attribute.ref_attr_name()) else {
                    return false;
                };
                let name = attribute.name.take();
                *attribute = given.clone();
                attribute.name = name;
                return true;
            }
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.place_graph(graph);
            }
            true
        });
    }

    fn place_graph(&self, graph: &mut GraphProto) {
        let infos = graph.input.iter_mut().chain(&mut graph.output);
        for info in infos.chain(&mut graph.value_info) {
            info.name = Some(self.name(info.name()));
        }
        let sparse = graph.sparse_initializer.iter_mut();
        let sparse = sparse.filter_map(|tensor| tensor.values.as_mut());
        for tensor in graph.initializer.iter_mut().chain(sparse) {
            tensor.name = Some(self.name(tensor.name()));
        }
        for node in &mut graph.node {
            self.place(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::proto::onnx::attribute_proto::AttributeType;
    use crate::testing::Net;
    use crate::{Builder, Interpreter, Limits, Tensor};

    fn node(domain: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            domain: Some(domain.to_owned()),
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.iter().map(|&name| name.to_owned()).collect(),
            ..NodeProto::default()
        }
    }

    fn function(
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        nodes: Vec<NodeProto>,
    ) -> FunctionProto {
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("local".to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.iter().map(|&name| name.to_owned()).collect(),
            node: nodes,
            opset_import: vec![OperatorSetIdProto {
                domain: None,
                version: Some(13),
            }],
            ..FunctionProto::default()
        }
    }

    /// An attribute `alpha`, a number or the function's own attribute `slope`.
    fn alpha(value: Option<f32>) -> AttributeProto {
        AttributeProto {
            name: Some(if value.is_some() { "slope" } else { "alpha" }.to_owned()),
            r#type: Some(AttributeType::Float.into()),
            f: value,
            ref_attr_name: value.is_none().then(|| "slope".to_owned()),
            ..AttributeProto::default()
        }
    }

    fn net(functions: Vec<FunctionProto>, calls: Vec<NodeProto>) -> Net {
        let mut net = Net::new(13).input("x", &[1, 3]).output("y", &[1, 3]);
        net.graph().node = calls;
        net.0.functions = functions;
        net.0.opset_import.push(OperatorSetIdProto {
            domain: Some("local".to_owned()),
            version: Some(1),
        });
        net
    }

    fn run(model: &Model, x: [f32; 3]) -> Vec<f32> {
        let graph = Builder::new(model).build().unwrap();
        let input = Tensor::new(vec![1, 3], crate::Data::Float32(x.to_vec())).unwrap();
        let interpreter = Interpreter::new(&graph, Limits::default()).unwrap();
        let outputs = interpreter.run(&[input]).unwrap();
        outputs[0].to_f32().unwrap()
    }

    /// `leaky(x) = LeakyRelu(x)`, `twice(x) = leaky(x) + x, x`.
    fn nested() -> Net {
        let mut leaky = node("", "LeakyRelu", &["a"], &["b"]);
        leaky.attribute.push(alpha(None));
        let mut inner = function("leaky", &["a"], &["b"], vec![leaky]);
        inner.attribute.push("slope".to_owned());
        let mut call = node("local", "leaky", &["a"], &["t"]);
        call.attribute.push(alpha(Some(0.5)));
        let body = vec![call, node("", "Add", &["t", "a"], &["b"])];
        let outer = function("twice", &["a"], &["b", "a"], body);
        let calls = vec![
            node("local", "twice", &["x"], &["t", "u"]),
            node("local", "twice", &["t"], &["v", ""]),
            node("", "Add", &["u", "v"], &["y"]),
        ];
        net(vec![inner, outer], calls)
    }

    #[test]
    fn calls_are_replaced_by_bodies() {
        let net = nested();
        let model = net.model();
        let types: Vec<String> = model.operators().map(|o| o.op_type).collect();
        assert_eq!(
            types,
            ["LeakyRelu", "Add", "Identity", "LeakyRelu", "Add", "Add"]
        );
        assert!(model.opsets().eq([("", 13)]));
        // By hand: twice(1) = 2, twice(2) = 4; twice(-1) = -1.5, twice(-1.5) = -2.25.
        assert_eq!(run(&model, [1.0, -1.0, 0.0]), [5.0, -3.25, 0.0]);
        // The fingerprint is the file's.
        assert_eq!(model.bytes(), net.bytes());
        // Without the attribute the operator's own default holds.
        let mut net = nested();
        net.0.functions[1].node[0].attribute.clear();
        let slope = run(&net.model(), [-1.0, 0.0, 0.0]);
        assert!((slope[0] + 2.0201).abs() < 1e-6, "{slope:?}");
    }

    #[test]
    fn functions_without_end_are_refused_by_name() {
        let itself = function(
            "f",
            &["a"],
            &["b"],
            vec![node("local", "f", &["a"], &["b"])],
        );
        let calls = || vec![node("local", "f", &["x"], &["y"])];
        let error = Model::from_bytes("n", net(vec![itself], calls()).bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Graph);
        assert!(error.to_string().contains("'f'"), "{error}");
        // 2^40 nodes, in a kilobyte.
        let level = |i: usize| {
            let (name, next) = (format!("f{i}"), format!("f{}", i + 1));
            let body = vec![
                node("local", &next, &["a"], &["t"]),
                node("local", &next, &["t"], &["b"]),
            ];
            function(&name, &["a"], &["b"], body)
        };
        let calls = vec![node("local", "f0", &["x"], &["y"])];
        let error = Model::from_bytes("n", net((0..40).map(level).collect(), calls).bytes());
        let error = error.unwrap_err();
        assert!(error.to_string().contains("more nodes"), "{error}");
    }

    #[test]
    fn a_function_of_another_operator_set_is_left_alone() {
        let mut net = nested();
        for function in &mut net.0.functions {
            function.opset_import[0].version = Some(9);
        }
        let model = net.model();
        assert!(
            model
                .operators()
                .any(|operator| operator.op_type == "twice")
        );
        let error = Builder::new(&model).build().unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
