//! Where a quantized network can be computed in integers, and where not.
//!
//! Quantized tensors are held as bytes where an operation takes them that
//! computes with bytes. A convolution of dequantized bytes waits for what
//! comes after it: if that is a quantization, it makes bytes, else floats.
//! Everything else computes with the floats that the bytes stand for.

mod pending;

use std::collections::{HashMap, HashSet};

use crate::conv::Filter;
use crate::integer::{ByteFilter, ByteMeans, Dense, End, Grid, Joint, Round};
use crate::ir::{Graph, Node, Op, Value, ValueId};
use crate::pointwise::{Arith, Operand, Step, Unary};
use crate::pool::PoolKind;
use crate::tile::Clamp;
use pending::{Addition, Convolution, Function};

/// What a value is, where it is not computed as floats.
#[derive(Debug, Clone)]
enum Standing {
    /// What these bytes stand for.
    Bytes(Held),
    /// Not computed yet.
    Conv(Box<Convolution>),
    Add(Addition),
    Function(Function),
}

/// Bytes that stand for a value.
#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: ValueId,
    grid: Grid,
    /// Whether nothing else takes the bytes.
    once: bool,
}

/// `graph`, quantized tensors held as bytes where that is of use.
pub(super) fn integers(graph: Graph) -> Graph {
    let quantized = |node: &Node| matches!(node.op, Op::Quantize(_) | Op::Dequantize(_));
    if !graph.nodes.iter().any(quantized) {
        return graph;
    }
    let mut uses = vec![0; graph.values.len()];
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    for &value in inputs.chain(graph.outputs.iter().map(|output| &output.value)) {
        uses[value] += 1;
    }
    let mut rewrite = Rewrite {
        wanted: wanted(&graph),
        values: graph.values,
        uses,
        nodes: Vec::new(),
        standing: HashMap::new(),
        made: HashSet::new(),
    };
    for node in graph.nodes {
        rewrite.node(node);
    }
    for output in &graph.outputs {
        rewrite.floats(output.value);
    }
    Graph {
        values: rewrite.values,
        nodes: rewrite.nodes,
        ..graph
    }
}

/// The quantized values that some operation takes as bytes.
fn wanted(graph: &Graph) -> HashSet<ValueId> {
    let (mut wanted, mut rows) = (HashSet::new(), HashSet::new());
    // The quantized value behind each dequantized one.
    let mut quantized = HashMap::new();
    for node in &graph.nodes {
        match &node.op {
            Op::Dequantize(grid) => {
                quantized.insert(node.output, (node.inputs[0], *grid));
            }
            Op::Conv { filter, .. } => {
                if let Some(&(value, grid)) = quantized.get(&node.inputs[0])
                    && takes(filter)
                    && ByteFilter::new(filter, grid.zero).is_some()
                {
                    wanted.insert(value);
                }
            }
            Op::Gemm { weights, bias, .. } => {
                if let Some(&(value, grid)) = quantized.get(&node.inputs[0])
                    && ByteFilter::new(&linear(weights, bias), grid.zero).is_some()
                {
                    rows.insert(value);
                }
            }
            Op::Pair(Arith::Add) | Op::Means | Op::Cut { .. } => {
                wanted.extend(
                    node.inputs
                        .iter()
                        .filter_map(|v| quantized.get(v))
                        .map(|(value, _)| *value),
                );
            }
            Op::Pool {
                kind: PoolKind::Max,
                ..
            } => {
                let first = node.inputs[0];
                wanted.insert(quantized.get(&first).map_or(first, |(value, _)| *value));
            }
            _ => {}
        }
    }
    wanted.retain(|&value| graph.values[value].dims.len() == 3);
    wanted.extend(rows);
    wanted
}

/// A linear layer as a convolution of a single pixel.
fn linear(weights: &[f32], bias: &[f32]) -> Filter {
    let (outputs, inputs) = (bias.len(), weights.len() / bias.len());
    let transposed = (0..outputs).flat_map(|o| (0..inputs).map(move |i| i * outputs + o));
    Filter {
        outputs,
        inputs,
        groups: 1,
        weights: transposed.map(|position| weights[position]).collect(),
        bias: bias.to_vec(),
    }
}

/// Whether there is a kernel for the filter's groups.
fn takes(filter: &Filter) -> bool {
    let depthwise = filter.inputs == 1 && filter.outputs == filter.groups;
    depthwise || Dense::takes(filter.groups, filter.inputs, filter.outputs)
}

struct Rewrite {
    values: Vec<Value>,
    /// How often each value is taken, as an output of the network included.
    uses: Vec<usize>,
    wanted: HashSet<ValueId>,
    nodes: Vec<Node>,
    standing: HashMap<ValueId, Standing>,
    /// Values that stand for something and were made floats all the same.
    made: HashSet<ValueId>,
}

impl Rewrite {
    fn node(&mut self, mut node: Node) {
        let output = node.output;
        let Some(&first) = node.inputs.first() else {
            self.nodes.push(node);
            return;
        };
        match &mut node.op {
            Op::Quantize(grid) => {
                let grid = *grid;
                return self.quantize(grid, first, output);
            }
            Op::Dequantize(grid) => {
                let grid = *grid;
                return self.dequantize(grid, first, output);
            }
            Op::Conv { .. } if node.inputs.len() == 1 => {
                if let Some(held) = self.held(first)
                    && let Some(conv) = Convolution::new(&node.op, held)
                {
                    self.standing.insert(output, Standing::Conv(Box::new(conv)));
                    return;
                }
            }
            Op::Gemm { .. } => {
                // Alone, so that no kernel needs borders around its single pixel.
                if let Some(Standing::Bytes(held)) = self.standing.get(&first)
                    && held.once
                    && let Some(conv) = Convolution::new(&node.op, *held)
                {
                    self.standing.insert(output, Standing::Conv(Box::new(conv)));
                    return;
                }
            }
            Op::Pair(Arith::Add) => {
                let second = node.inputs[1];
                if let (Some(a), Some(b)) = (self.held(first), self.held(second))
                    && self.values[first].dims == self.values[second].dims
                    && first != second
                {
                    let addition = Addition::new([first, second], [a, b], output);
                    self.standing.insert(output, Standing::Add(addition));
                    return;
                }
            }
            Op::Pointwise(steps) => {
                if !self.function(first, steps, output) {
                    self.floats(first);
                    let steps = std::mem::take(steps);
                    self.pointwise(steps, first, output);
                }
                return;
            }
            Op::Means => {
                if let Some(held) = self.held(first)
                    && self.values[first].dims[1..].iter().product::<usize>() <= ByteMeans::MOST
                {
                    node.op = Op::ByteMeans(held.grid);
                    node.inputs = vec![held.bytes];
                    self.nodes.push(node);
                    return;
                }
            }
            Op::Pool {
                kind: PoolKind::Max,
                window,
            } => {
                let op = Op::ByteMax(*window);
                if self.moved(first, output, op) {
                    return;
                }
            }
            Op::Cut { cuts, fill } if *fill == 0.0 && !self.values[first].integers => {
                let op = Op::ByteCut(cuts.clone());
                if self.moved(first, output, op) {
                    return;
                }
            }
            _ => {}
        }
        for &input in &node.inputs {
            self.floats(input);
        }
        self.nodes.push(node);
    }

    /// The bytes that stand for a value of three axes.
    fn held(&self, value: ValueId) -> Option<Held> {
        match self.standing.get(&value) {
            Some(Standing::Bytes(held)) if self.values[value].dims.len() == 3 => Some(*held),
            _ => None,
        }
    }

    /// Adds what makes bytes of other bytes, of the same grid.
    fn moved(&mut self, from: ValueId, to: ValueId, op: Op) -> bool {
        let Some(held) = self.held(from) else {
            return false;
        };
        let bytes = self.bytes(op, vec![held.bytes], to, held.grid);
        let once = self.uses[to] == 1;
        self.standing.insert(
            to,
            Standing::Bytes(Held {
                bytes,
                once,
                ..held
            }),
        );
        true
    }

    /// Adds what makes bytes, of the shape of another value.
    fn bytes(&mut self, op: Op, inputs: Vec<ValueId>, like: ValueId, grid: Grid) -> ValueId {
        let output = self.values.len();
        self.values.push(Value {
            dims: self.values[like].dims.clone(),
            integers: true,
            bytes: Some(grid.zero),
        });
        self.nodes.push(Node { op, inputs, output });
        output
    }

    fn push(&mut self, op: Op, inputs: Vec<ValueId>, output: ValueId) {
        self.nodes.push(Node { op, inputs, output });
    }

    fn quantize(&mut self, grid: Grid, input: ValueId, output: ValueId) {
        let once = self.uses[output] == 1;
        let alone = self.uses[input] == 1;
        let found = match self.standing.get(&input).cloned() {
            // Numbers on the grid stay what they are.
            Some(Standing::Bytes(held)) if held.grid == grid => {
                Some((held.bytes, once && alone && held.once))
            }
            Some(Standing::Bytes(held)) => {
                let steps = Vec::new();
                let function = Function { input: held, steps };
                Some((self.mapped(&function, grid, input), once))
            }
            Some(Standing::Conv(conv))
                if alone && conv.may_make_bytes(&self.values[input].dims) =>
            {
                self.convolution(&conv, grid, input).map(|b| (b, once))
            }
            Some(Standing::Add(addition)) if alone => {
                self.addition(&addition, grid).map(|b| (b, once))
            }
            Some(Standing::Function(function)) if alone => {
                Some((self.mapped(&function, grid, input), once))
            }
            _ => None,
        };
        let found = found.or_else(|| {
            self.floats(input);
            let wanted = self.wanted.contains(&output);
            wanted.then(|| {
                (
                    self.bytes(Op::ToBytes(grid), vec![input], input, grid),
                    once,
                )
            })
        });
        if let Some((bytes, once)) = found {
            let held = Held { bytes, grid, once };
            self.standing.insert(output, Standing::Bytes(held));
            return;
        }
        let integer = |byte: u8| f32::from(byte) - if grid.signed { 128.0 } else { 0.0 };
        let steps = vec![
            Step::With(Arith::Div, Operand::One(grid.scale)),
            Step::Unary(Unary::Round),
            Step::With(Arith::Add, Operand::One(integer(grid.zero))),
            Step::Clamp(Clamp {
                low: integer(0),
                high: integer(255),
            }),
        ];
        self.pointwise(steps, input, output);
    }

    fn dequantize(&mut self, grid: Grid, input: ValueId, output: ValueId) {
        let integer = |grid: Grid| i32::from(grid.zero) - if grid.signed { 128 } else { 0 };
        if let Some(Standing::Bytes(held)) = self.standing.get(&input).cloned()
            && integer(held.grid) == integer(grid)
        {
            let grid = Grid {
                scale: grid.scale,
                ..held.grid
            };
            let once = held.once && self.uses[output] == 1;
            let held = Held { grid, once, ..held };
            self.standing.insert(output, Standing::Bytes(held));
            return;
        }
        self.floats(input);
        let steps = vec![
            Step::With(Arith::Sub, Operand::One(integer(grid) as f32)),
            Step::With(Arith::Mul, Operand::One(grid.scale)),
        ];
        self.pointwise(steps, input, output);
    }

    /// Adds functions, to those that make the value if nothing else takes it.
    fn pointwise(&mut self, steps: Vec<Step>, input: ValueId, output: ValueId) {
        if self.uses[input] == 1
            && let Some(node) = self.nodes.iter_mut().rfind(|node| node.output == input)
            && let Op::Pointwise(first) = &mut node.op
        {
            first.extend(steps);
            node.output = output;
            return;
        }
        self.push(Op::Pointwise(steps), vec![input], output);
    }

    /// Lets functions wait, or be bounds of a sum that waits. Returns whether
    /// they do.
    fn function(&mut self, input: ValueId, steps: &[Step], output: ValueId) -> bool {
        let alone = self.uses[input] == 1;
        let standing = match self.standing.get(&input) {
            Some(_) if self.values[input].integers => None,
            Some(Standing::Bytes(held)) => Function::new(*held, steps).map(Standing::Function),
            Some(Standing::Add(addition)) if alone => addition.with(steps).map(Standing::Add),
            Some(Standing::Function(function)) if alone => {
                function.with(steps).map(Standing::Function)
            }
            _ => None,
        };
        let waits = standing.is_some();
        self.standing
            .extend(standing.map(|standing| (output, standing)));
        waits
    }

    /// Makes a value floats, where it is not yet.
    fn floats(&mut self, value: ValueId) {
        let Some(standing) = self.standing.get(&value).cloned() else {
            return;
        };
        if !self.made.insert(value) {
            return;
        }
        match standing {
            Standing::Bytes(held) => {
                let integers = self.values[value].integers;
                let grid = if integers {
                    held.grid.integers()
                } else {
                    held.grid
                };
                self.push(Op::FromBytes(grid), vec![held.bytes], value);
            }
            Standing::Conv(conv) => match conv.to_floats() {
                Some(op) => self.push(op, vec![conv.input.bytes], value),
                None => self.float_conv(*conv, value),
            },
            Standing::Add(addition) => {
                let [a, b] = addition.terms;
                self.floats(a);
                self.floats(b);
                self.push(Op::Pair(Arith::Add), vec![a, b], addition.sum);
                if value != addition.sum {
                    let steps = vec![Step::Clamp(addition.clamp)];
                    self.push(Op::Pointwise(steps), vec![addition.sum], value);
                }
            }
            Standing::Function(function) => {
                let Held { bytes, grid, .. } = function.input;
                let floats = self.values.len();
                self.values.push(Value {
                    bytes: None,
                    integers: false,
                    dims: self.values[value].dims.clone(),
                });
                self.push(Op::FromBytes(grid), vec![bytes], floats);
                self.push(Op::Pointwise(function.steps), vec![floats], value);
            }
        }
    }

    /// A convolution of floats after all, whose numbers are no integers' kind.
    fn float_conv(&mut self, conv: Convolution, output: ValueId) {
        let input = self.values.len();
        self.values.push(Value {
            bytes: None,
            integers: false,
            dims: self.values[conv.input.bytes].dims.clone(),
        });
        self.push(
            Op::FromBytes(conv.input.grid),
            vec![conv.input.bytes],
            input,
        );
        self.push(conv.floats, vec![input], output);
    }

    /// A convolution that makes bytes.
    fn convolution(&mut self, conv: &Convolution, grid: Grid, output: ValueId) -> Option<ValueId> {
        let end = End::Bytes(Round::new(grid, conv.clamp)?);
        let op = conv.to(end, f64::from(grid.scale))?;
        Some(self.bytes(op, vec![conv.input.bytes], output, grid))
    }

    /// A function of bytes, by a table of all of them.
    fn mapped(&mut self, function: &Function, grid: Grid, like: ValueId) -> ValueId {
        let op = Op::ByteMap(Box::new(function.table(grid)));
        self.bytes(op, vec![function.input.bytes], like, grid)
    }

    /// A sum, as the end of the convolution that makes one of its terms where
    /// nothing else takes that term.
    fn addition(&mut self, addition: &Addition, grid: Grid) -> Option<ValueId> {
        let [a, b] = addition.held;
        let maker = |held: Held| {
            let position = self
                .nodes
                .iter()
                .rposition(|node| node.output == held.bytes)?;
            let node = &self.nodes[position];
            let ends = matches!(&node.op, Op::ByteConv { epilogue, .. } if matches!(epilogue.end, End::Bytes(_)));
            (held.once && ends).then_some(position)
        };
        let found = [maker(a).map(|p| (p, a, b)), maker(b).map(|p| (p, b, a))];
        // The later one, of two.
        if let Some((position, term, other)) = found.into_iter().flatten().max_by_key(|f| f.0) {
            let joint = Joint::new(term.grid, other.grid, addition.clamp, grid)?;
            // Last of all, it comes after what makes the residual.
            let mut node = self.nodes.remove(position);
            if let Op::ByteConv { epilogue, .. } = &mut node.op
                && let End::Bytes(round) = epilogue.end
            {
                epilogue.end = End::Sum(round, joint);
            }
            node.inputs.push(other.bytes);
            self.values[term.bytes].bytes = Some(grid.zero);
            self.nodes.push(node);
            return Some(term.bytes);
        }
        let joint = Joint::new(a.grid, b.grid, addition.clamp, grid)?;
        let op = Op::ByteSum(joint, a.grid.zero);
        Some(self.bytes(op, vec![a.bytes, b.bytes], addition.sum, grid))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use recert_graph::Model;

    use super::*;
    use crate::lower::lower;

    /// The graph of a network, of its answer.
    fn graph(path: &Path) -> Graph {
        let model = Model::read(path).unwrap();
        let signature = model.signature().unwrap();
        lower(&model, &signature.input.name, &[&signature.output.name]).unwrap()
    }

    fn count(graph: &Graph, kind: fn(&Op) -> bool) -> usize {
        graph.nodes.iter().filter(|node| kind(&node.op)).count()
    }

    /// How many convolutions compute with bytes, and whether none is left that
    /// does not and no tensor goes to bytes but the image and means.
    fn convolutions(graph: &Graph) -> (usize, bool) {
        let floats = count(graph, |op| matches!(op, Op::Conv { .. }));
        let made = count(graph, |op| matches!(op, Op::ToBytes(_)));
        let means = count(graph, |op| matches!(op, Op::ByteGemm { .. }));
        let bytes = count(graph, |op| matches!(op, Op::ByteConv { .. }));
        (bytes, floats == 0 && made == 1 + means)
    }

    #[test]
    fn quantized_layers_compute_with_bytes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = root.join("tests/golden");
        let signed = graph(&made.join("quantized_signed.onnx"));
        assert_eq!(convolutions(&signed), (5, true));
        // The sum is the end of a convolution.
        assert_eq!(count(&signed, |op| matches!(op, Op::ByteSum(..))), 0);
        assert_eq!(count(&signed, |op| matches!(op, Op::ByteMap(_))), 1);
        let unsigned = graph(&made.join("quantized_unsigned.onnx"));
        assert_eq!(convolutions(&unsigned).0, 7);
    }

    #[test]
    #[ignore = "needs ../shared: cargo test -p recert-kernels --lib -- --ignored real_networks"]
    fn quantized_layers_of_real_networks_compute_with_bytes() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models");
        for (name, wanted) in [
            ("cifar10/resnet8_qdq", 9),
            ("imagenet/mobilenet_v1_0.25_224_quant_qdq", 27),
        ] {
            let graph = graph(&shared.join(format!("{name}.onnx")));
            assert_eq!(convolutions(&graph), (wanted, true), "{name}");
            let linear = count(&graph, |op| matches!(op, Op::ByteGemm { .. }));
            assert_eq!(linear, 1, "{name}");
        }
    }
}
