//! A graph of residual blocks as a list: its nodes in the order of [`crate::Layer`]s, with the forks
//! and sums of its blocks among them.
//!
//! A sum's fork is the last value that all ways from the input to the sum go through: its immediate
//! dominator (Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm", 2001; one pass, as
//! there are no loops). Between them are two branches, which are lists in the same way.

use std::collections::{HashMap, HashSet};

use recert_graph::{Binary, Graph, Node, Op, ValueId, Variadic};

use super::refused;
use crate::error::{Error, Result};

/// How deep blocks may lie within blocks.
const DEPTH: usize = 16;

/// A part of the list.
pub(super) enum Item<'g> {
    /// A node, and the one value that it takes besides constants.
    Node(&'g Node, ValueId),
    /// A block begins, with this value.
    Fork(ValueId),
    /// What the block's other branch made, and the value that its shortcut begins with.
    Shortcut(ValueId, ValueId),
    /// A block ends, with this sum.
    Add(ValueId),
}

/// How a value is made: by a node, from one value or as the sum of two.
struct Made<'g> {
    node: &'g Node,
    from: From,
    /// The last value that all ways to this one go through.
    through: ValueId,
    /// How many such values there are one after the other.
    depth: usize,
}

#[derive(Clone, Copy)]
enum From {
    One(ValueId),
    Sum([ValueId; 2]),
}

struct Orderer<'g> {
    made: HashMap<ValueId, Made<'g>>,
    taken: HashSet<ValueId>,
    items: Vec<Item<'g>>,
}

/// The nodes of a graph from its input to its output.
pub(super) fn ordered(graph: &Graph) -> Result<Vec<Item<'_>>> {
    let input = graph.inputs()[0];
    let mut orderer = Orderer {
        made: HashMap::new(),
        taken: HashSet::new(),
        items: Vec::new(),
    };
    for node in graph.nodes() {
        orderer.read(graph, input, node)?;
    }
    let &[output] = graph.outputs() else {
        return Err(Error::network("the network has more than one output"));
    };
    if output != input && !orderer.made.contains_key(&output) {
        return Err(Error::network("the output does not depend on the input"));
    }
    orderer.follow(input, output, DEPTH)?;
    Ok(orderer.items)
}

impl<'g> Orderer<'g> {
    fn read(&mut self, graph: &Graph, input: ValueId, node: &'g Node) -> Result<()> {
        if ["QuantizeLinear", "DequantizeLinear"].contains(&node.op.name()) {
            let text = "the network is quantized, and cannot be trained: begin with the one that it was \
                        made from";
            return Err(Error::network(text));
        }
        let taken = node.inputs.iter().flatten().copied();
        let variable: Vec<ValueId> = taken.filter(|&id| graph.constant(id).is_none()).collect();
        let known = |id: &ValueId| *id == input || self.made.contains_key(id);
        if !variable.iter().all(known) || node.outputs.iter().flatten().count() > 1 {
            return Err(refused(node, "it makes more than one value"));
        }
        let (from, through) = match variable[..] {
            [one] => (From::One(one), one),
            [a, b] if is_sum(node) => {
                let shapes = [a, b, node.output()].map(|id| &graph.value(id).shape);
                if shapes[0] != shapes[2] || shapes[1] != shapes[2] {
                    return Err(refused(node, "what it adds is of different shapes"));
                }
                (From::Sum([a, b]), self.common(a, b))
            }
            [] => return Err(refused(node, "it does not depend on the image")),
            _ => {
                let why = "it takes more than one value that depends on the image";
                return Err(refused(node, why));
            }
        };
        let depth = self.depth(through) + 1;
        let made = Made {
            node,
            from,
            through,
            depth,
        };
        self.made.insert(node.output(), made);
        Ok(())
    }

    fn depth(&self, value: ValueId) -> usize {
        self.made.get(&value).map_or(0, |made| made.depth)
    }

    /// The last value that all ways to both of these go through.
    fn common(&self, mut a: ValueId, mut b: ValueId) -> ValueId {
        while a != b {
            let later = if self.depth(a) >= self.depth(b) {
                &mut a
            } else {
                &mut b
            };
            *later = self.made[later].through;
        }
        a
    }

    /// Lists what makes `end` of `start`.
    fn follow(&mut self, start: ValueId, end: ValueId, depth: usize) -> Result<()> {
        let mut values = Vec::new();
        let mut at = end;
        while at != start {
            values.push(at);
            at = self.made[&at].through;
        }
        for value in values.into_iter().rev() {
            let Made {
                node,
                from,
                through,
                ..
            } = self.made[&value];
            if !self.taken.insert(value) {
                let why = "what it makes goes into sums that are not one within the other";
                return Err(refused(node, why));
            }
            let [mut body, mut shortcut] = match from {
                From::One(taken) => {
                    self.items.push(Item::Node(node, taken));
                    continue;
                }
                From::Sum(branches) => branches,
            };
            if depth == 0 {
                return Err(refused(node, "it ends a block within too many others"));
            }
            if body == through {
                std::mem::swap(&mut body, &mut shortcut);
            }
            self.items.push(Item::Fork(through));
            self.follow(through, body, depth - 1)?;
            if shortcut != through {
                self.items.push(Item::Shortcut(body, through));
                self.follow(through, shortcut, depth - 1)?;
            }
            self.items.push(Item::Add(value));
        }
        Ok(())
    }
}

fn is_sum(node: &Node) -> bool {
    matches!(
        node.op,
        Op::Binary(Binary::Add) | Op::Variadic(Variadic::Sum)
    )
}
