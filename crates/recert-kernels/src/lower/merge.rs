//! Several operations made one, where that changes the number of passes over
//! memory or, in attention and normalization, is how they are computed here.
//!
//! What is merged depends on the network alone.

mod attention;
mod normalize;

use super::views::View;
use crate::ir::{Graph, Node, Op, Value, ValueId};
use crate::linear::Linear;
use crate::pointwise::{Arith, Operand, Step};
use crate::product::Stack;

/// `graph`, with fewer operations.
pub(super) fn merge(graph: Graph) -> Graph {
    let mut uses = vec![0; graph.values.len()];
    let inputs = graph.nodes.iter().flat_map(|node| &node.inputs);
    for &value in inputs.chain(graph.outputs.iter().map(|output| &output.value)) {
        uses[value] += 1;
    }
    let mut merge = Merge {
        makers: vec![None; graph.values.len()],
        values: graph.values,
        uses,
        nodes: Vec::new(),
    };
    for node in graph.nodes {
        merge.node(node);
    }
    let uses = merge.uses;
    merge.nodes.retain(|node| uses[node.output] > 0);
    Graph {
        values: merge.values,
        nodes: merge.nodes,
        ..graph
    }
}

struct Merge {
    values: Vec<Value>,
    /// How often each value is taken, as an output of the network included.
    uses: Vec<usize>,
    nodes: Vec<Node>,
    /// The place of the node that makes each value.
    makers: Vec<Option<usize>>,
}

impl Merge {
    fn node(&mut self, node: Node) {
        let merged = match &node.op {
            Op::Pointwise(steps) => self.chain(&node, steps),
            Op::Pair(arith) => {
                let arith = *arith;
                self.standardized(&node, arith)
                    .or_else(|| self.own(&node, arith))
                    .or_else(|| self.residual(&node, arith))
            }
            Op::Transpose(order) => self.written(&node, order).or_else(|| self.pixels(&node)),
            Op::Product(_) => self.attention(&node),
            _ => None,
        };
        let Some(merged) = merged else {
            return self.push(node);
        };
        self.replace(&node, merged);
        // What a pair was of may be taken by nothing else now: a layer, whose end it can be.
        if matches!(node.op, Op::Pair(_))
            && let Some(made) = self
                .nodes
                .pop_if(|made| matches!(made.op, Op::Pointwise(_)))
        {
            self.node(made);
        }
    }

    fn push(&mut self, node: Node) {
        self.makers[node.output] = Some(self.nodes.len());
        self.nodes.push(node);
    }

    /// Puts `merged` in the place of `node`; what nothing takes any more is as
    /// good as gone.
    fn replace(&mut self, node: &Node, merged: Node) {
        for &input in &merged.inputs {
            self.uses[input] += 1;
        }
        let mut dropped = node.inputs.clone();
        while let Some(value) = dropped.pop() {
            self.uses[value] -= 1;
            if self.uses[value] == 0
                && let Some(place) = self.makers[value]
            {
                dropped.extend(&self.nodes[place].inputs);
            }
        }
        self.push(merged);
    }

    /// A new value that one operation takes.
    fn value(&mut self, dims: Vec<usize>) -> ValueId {
        self.values.push(Value {
            dims,
            integers: false,
            bytes: None,
        });
        self.uses.push(0);
        self.makers.push(None);
        self.values.len() - 1
    }

    fn dims(&self, value: ValueId) -> &[usize] {
        &self.values[value].dims
    }

    fn maker(&self, value: ValueId) -> Option<&Node> {
        self.makers[value].map(|place| &self.nodes[place])
    }

    /// The node that makes a value, if only one operation takes that.
    fn maker_of_once(&self, value: ValueId) -> Option<&Node> {
        self.maker(value).filter(|_| self.uses[value] == 1)
    }

    fn view(&self, value: ValueId) -> View {
        View::new(&self.values, |value| self.maker(value), value)
    }

    /// Functions of what a linear layer, a normalization or other functions
    /// make.
    fn chain(&mut self, node: &Node, steps: &[Step]) -> Option<Node> {
        let input = node.inputs[0];
        let place = self.makers[input].filter(|_| self.uses[input] == 1)?;
        let own = steps.iter().any(|step| matches!(step, Step::Own { .. }));
        let before = &mut self.nodes[place];
        let op = match &mut before.op {
            Op::LayerNorm {
                scale,
                shift,
                epsilon,
            } => normalize::scaled([&scale[..], &shift[..]], *epsilon, steps)?,
            Op::Pointwise(first) if !own => Op::Pointwise([&first[..], steps].concat()),
            Op::Linear {
                weights,
                bias,
                steps: first,
            } if before.inputs.len() == 1 && Linear::takes(steps) && (!own || first.is_empty()) => {
                let mut rest = steps;
                // Where sums begin, unless they begin with something already.
                if let [
                    Step::With(Arith::Add, Operand::Columns(values))
                    | Step::From(Arith::Add, Operand::Columns(values)),
                    others @ ..,
                ] = steps
                    && first.is_empty()
                    && bias.iter().all(|&bias| bias == 0.0)
                    && !own
                {
                    bias.copy_from_slice(values);
                    rest = others;
                }
                // Nothing else takes what it made.
                Op::Linear {
                    weights: std::mem::take(weights),
                    bias: std::mem::take(bias),
                    steps: [&first[..], rest].concat(),
                }
            }
            _ => return None,
        };
        Some(Node {
            op,
            inputs: before.inputs.clone(),
            output: node.output,
        })
    }

    /// The value that a value is a chain of functions of, if nothing else
    /// takes it, and the chain.
    fn root(&self, value: ValueId) -> (ValueId, &[Step]) {
        match self.maker_of_once(value) {
            Some(Node {
                op: Op::Pointwise(steps),
                inputs,
                ..
            }) => (inputs[0], steps),
            _ => (value, &[]),
        }
    }

    /// A pair of functions of one number.
    fn own(&self, node: &Node, arith: Arith) -> Option<Node> {
        let &[a, b] = &node.inputs[..] else {
            return None;
        };
        let simple = |steps: &[Step]| !steps.iter().any(|step| matches!(step, Step::Own { .. }));
        for a in [self.root(a), (a, &[][..])] {
            for b in [self.root(b), (b, &[][..])] {
                if a.0 != b.0 {
                    continue;
                }
                let (main, steps, first) = if simple(a.1) {
                    (b.1, a.1, true)
                } else if simple(b.1) {
                    (a.1, b.1, false)
                } else {
                    continue;
                };
                let own = Step::Own {
                    arith,
                    steps: steps.to_vec(),
                    first,
                };
                return Some(Node {
                    op: Op::Pointwise([main, &[own]].concat()),
                    inputs: vec![a.0],
                    output: node.output,
                });
            }
        }
        None
    }

    /// A sum as the end of a linear layer.
    fn residual(&mut self, node: &Node, arith: Arith) -> Option<Node> {
        let &[a, b] = &node.inputs[..] else {
            return None;
        };
        if arith != Arith::Add || self.dims(a) != self.dims(b) || a == b {
            return None;
        }
        let layer = |value: ValueId, other| {
            let place = self.makers[value].filter(|_| self.uses[value] == 1)?;
            let layer = &self.nodes[place];
            let alone = matches!(layer.op, Op::Linear { .. }) && layer.inputs.len() == 1;
            alone.then_some((place, other))
        };
        // The later one, of two.
        let (place, other) = [layer(a, b), layer(b, a)].into_iter().flatten().max()?;
        let layer = &mut self.nodes[place];
        // Nothing else takes what it made.
        let op = std::mem::replace(&mut layer.op, Op::View);
        Some(Node {
            op,
            inputs: vec![layer.inputs[0], other],
            output: node.output,
        })
    }

    /// A transposition of products, which are written so.
    fn written(&self, node: &Node, order: &[usize]) -> Option<Node> {
        let before = self.maker_of_once(node.inputs[0])?;
        let dims = self.dims(before.output);
        let turned = |output: &Stack, sizes| {
            let whole = contiguous(output, sizes);
            whole.then(|| View::written(node.output, dims, order).stack(output, sizes))
        };
        let mut op = before.op.clone();
        match &mut op {
            Op::Product(product) => {
                let [rows, _, columns] = product.sizes;
                product.output = turned(&product.output, [rows, columns])?;
            }
            Op::Attention(attention) => {
                let [queries, _, _, width] = attention.sizes;
                attention.output = turned(&attention.output, [queries, width])?;
            }
            _ => return None,
        }
        Some(Node {
            op,
            inputs: before.inputs.clone(),
            output: node.output,
        })
    }

    /// Planes of pixels to pixels of channels: the transposition of an image
    /// whose rows were joined is one of the image.
    fn pixels(&mut self, node: &Node) -> Option<Node> {
        let before = self.maker_of_once(node.inputs[0])?;
        let image = *before.inputs.first()?;
        let &[channels, height, width] = self.dims(image) else {
            return None;
        };
        let joined = matches!(before.op, Op::View)
            && *self.dims(node.inputs[0]) == [channels, height * width];
        if !joined || !matches!(&node.op, Op::Transpose(order) if order[..] == [1, 0]) {
            return None;
        }
        let pixels = self.value(vec![height, width, channels]);
        self.uses[image] += 1;
        self.push(Node {
            op: Op::Transpose(vec![1, 2, 0]),
            inputs: vec![image],
            output: pixels,
        });
        Some(Node {
            op: Op::View,
            inputs: vec![pixels],
            output: node.output,
        })
    }
}

/// Whether the matrices lie one after the other, row-major.
fn contiguous(stack: &Stack, [rows, columns]: [usize; 2]) -> bool {
    let firsts = (0..).step_by(rows * columns);
    stack.strides == [columns, 1]
        && stack
            .firsts
            .iter()
            .copied()
            .eq(firsts.take(stack.firsts.len()))
}

#[cfg(test)]
mod tests {
    use recert_graph::Model;

    use crate::ir::Op;
    use crate::lower::lower;
    use crate::pointwise::Step;

    /// GELU was exported as five operations, two of which take what the layer makes.
    #[test]
    fn a_gelu_of_five_operations_is_the_end_of_its_layer() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transformers");
        let model = Model::read(format!("{folder}/vit_script17.onnx")).unwrap();
        let signature = model.signature().unwrap();
        let graph = lower(
            &model,
            &signature.input.name,
            &[signature.output.name.as_str()],
        );
        let graph = graph.unwrap();
        let ends = graph.nodes.iter().filter(|node| match &node.op {
            Op::Linear { steps, .. } => steps.iter().any(|step| matches!(step, Step::Own { .. })),
            _ => false,
        });
        assert_eq!(ends.count(), 1);
        // The other pass over memory adds the positions' embedding.
        let nodes = graph.nodes.iter();
        let passes = nodes.filter(|node| matches!(node.op, Op::Pointwise(_) | Op::Pair(_)));
        assert_eq!(passes.count(), 1);
    }
}
