//! The stack machine that a pickle is a program for, without anything that could act.

use std::collections::HashMap;

use super::value::{Array, Global, Id, Node};
use crate::error::{Error, ErrorKind, Result};

/// More instructions than any batch needs; one of 10,000 images has some 55,000.
pub(super) const MOST_INSTRUCTIONS: usize = 2_000_000;

/// Executes a pickle to its end: all values, and which of them is the result.
pub(super) fn run(bytes: &[u8]) -> Result<(Vec<Node<'_>>, Id)> {
    let mut machine = Machine {
        bytes,
        position: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MOST_INSTRUCTIONS {
        if let Some(root) = machine.step()? {
            return Ok((machine.nodes, root));
        }
    }
    Err(machine.corrupt("the pickle has too many instructions"))
}

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack that are marked.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; `Some` is the value of the pickle at its end.
    fn step(&mut self) -> Result<Option<Id>> {
        let begin = self.position;
        let opcode = self.take(1)?[0];
        match opcode {
            0x80 => {
                let protocol = self.take(1)?[0];
                if protocol > 5 {
                    self.position = begin;
                    return Err(self.corrupt(&format!("protocol {protocol} is not known")));
                }
            }
            // A frame announces the length of what follows, for buffering only.
            0x95 => {
                self.take(8)?;
            }
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),

            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => {
                let value = self.integer(opcode)?;
                self.push(Node::Int(value));
            }

            // Strings of bytes and of text, with lengths of 1, 4 and 8 bytes.
            b'U' | b'C' | 0x8c => self.string(1)?,
            b'T' | b'B' | b'X' => self.string(4)?,
            0x8d | 0x8e => self.string(8)?,

            b']' => self.push(Node::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b')' => self.push(Node::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Node::Tuple(items));
            }

            b'q' => self.memorise(1)?,
            b'r' => self.memorise(4)?,
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u64, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,

            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(module, name, begin)?;
            }
            0x93 => {
                let items = self.pop_many(2)?;
                let (Node::Str(module), Node::Str(name)) =
                    (&self.nodes[items[0]], &self.nodes[items[1]])
                else {
                    return Err(self.corrupt("the name of a global is not a string"));
                };
                let (module, name) = (*module, *name);
                self.global(module, name, begin)?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            _ => {
                let message = format!(
                    "the pickle uses opcode {opcode:#04x} ({}) at byte {begin}, \
                     which is not needed for numbers and plain arrays and is not executed",
                    opcode_name(opcode)
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        Ok(None)
    }

    fn corrupt(&self, problem: &str) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{problem}, at byte {}", self.position),
        )
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let left = self.bytes.len() - self.position;
        if count > left {
            let message = format!(
                "the pickle ends too early: expected {count} bytes at byte {}, found {left}",
                self.position
            );
            return Err(Error::new(ErrorKind::Length, message));
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    /// An unsigned little-endian number of up to 8 bytes.
    fn number(&mut self, size: usize) -> Result<u64> {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(self.take(size)?);
        Ok(u64::from_le_bytes(wide))
    }

    fn integer(&mut self, opcode: u8) -> Result<i64> {
        Ok(match opcode {
            b'K' => self.number(1)? as i64,
            b'M' => self.number(2)? as i64,
            b'J' => i64::from(self.number(4)? as u32 as i32),
            // A number of any length, in two's complement.
            _ => {
                let size = self.number(1)? as usize;
                let bytes = self.take(size)?;
                if size > 8 {
                    return Err(self.corrupt("a whole number does not fit 64 bits"));
                }
                let negative = bytes.last().is_some_and(|&top| top >= 0x80);
                let mut wide = [if negative { 0xff } else { 0 }; 8];
                wide[..size].copy_from_slice(bytes);
                i64::from_le_bytes(wide)
            }
        })
    }

    fn string(&mut self, size_of_length: usize) -> Result<()> {
        let length = self.number(size_of_length)?;
        let text = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        self.push(Node::Str(text));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&b| b == b'\n') else {
            return Err(self.corrupt("a name does not end"));
        };
        self.position += length + 1;
        Ok(&rest[..length])
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// The lowest height that may be popped to: values below a mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.corrupt("the pickle takes more from its stack than is there")),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        if self.stack.len() - self.floor() < count {
            return Err(self.corrupt("the pickle takes more from its stack than is there"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height)),
            None => Err(self.corrupt("the pickle looks for a mark that is not there")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        match &mut self.nodes[list] {
            Node::List(all) => {
                all.extend(items);
                Ok(())
            }
            _ => Err(self.corrupt("the pickle appends to what is not a list")),
        }
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let dict = self.top()?;
        let pairs = items.chunks_exact(2);
        match &mut self.nodes[dict] {
            Node::Dict(all) if pairs.remainder().is_empty() => {
                all.extend(pairs.map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(self.corrupt("the pickle sets items of what is not a dictionary")),
        }
    }

    fn memorise(&mut self, size: usize) -> Result<()> {
        let key = self.number(size)?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, size: usize) -> Result<()> {
        let key = self.number(size)?;
        match self.memo.get(&key) {
            Some(&id) => {
                self.stack.push(id);
                Ok(())
            }
            None => Err(self.corrupt("the pickle recalls what it has not memorised")),
        }
    }

    fn global(&mut self, module: &[u8], name: &[u8], begin: usize) -> Result<()> {
        let global = match (module, name) {
            // Numpy 2 renamed its core.
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => {
                Global::Reconstruct
            }
            (b"numpy", b"ndarray") => Global::NdArray,
            (b"numpy", b"dtype") => Global::Dtype,
            _ => {
                let message = format!(
                    "the pickle names '{}.{}' at byte {begin}, which is not a part of a numpy \
                     array and is not executed; write the batch with pickle protocol 3 or 4, or as npz",
                    module.escape_ascii(),
                    name.escape_ascii()
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        self.push(Node::Global(global));
        Ok(())
    }

    /// Applies a global to a tuple of arguments: makes an array or a type, still empty.
    fn reduce(&mut self) -> Result<()> {
        let items = self.pop_many(2)?;
        let node = match (&self.nodes[items[0]], &self.nodes[items[1]]) {
            (Node::Global(Global::Reconstruct), Node::Tuple(arguments)) => {
                let is_array = arguments.first().is_some_and(|&class| {
                    matches!(self.nodes[class], Node::Global(Global::NdArray))
                });
                is_array.then_some(Node::Array(None))
            }
            (Node::Global(Global::Dtype), Node::Tuple(arguments)) => {
                arguments.first().and_then(|&code| match self.nodes[code] {
                    Node::Str(code) => Some(Node::Dtype(code)),
                    _ => None,
                })
            }
            _ => None,
        };
        match node {
            Some(node) => {
                self.push(node);
                Ok(())
            }
            None => Err(self.corrupt("the pickle calls what is not a numpy array or type")),
        }
    }

    /// Gives an array or a type its state.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.top()?;
        let array = match (&self.nodes[target], &self.nodes[state]) {
            // The state of a type is its byte order; elements of one byte, the
            // only ones in use, have none.
            (Node::Dtype(_), Node::Tuple(_)) => return Ok(()),
            (Node::Array(_), Node::Tuple(state)) => self.array_state(state),
            _ => None,
        };
        match array {
            Some(array) => {
                self.nodes[target] = Node::Array(Some(array));
                Ok(())
            }
            None => Err(self.corrupt("the pickle gives a numpy array an unknown state")),
        }
    }

    /// Reads (version, dimensions, type, whether Fortran order, bytes).
    fn array_state(&self, state: &[Id]) -> Option<Array<'a>> {
        let &[version, dims, element, fortran, bytes] = state else {
            return None;
        };
        let node = |id: Id| &self.nodes[id];
        let (Node::Int(1), Node::Tuple(dims)) = (node(version), node(dims)) else {
            return None;
        };
        let dims = dims
            .iter()
            .map(|&dim| match node(dim) {
                Node::Int(dim) => u64::try_from(*dim).ok(),
                _ => None,
            })
            .collect::<Option<_>>()?;
        match (node(element), node(fortran), node(bytes)) {
            (Node::Dtype(element), Node::Bool(fortran), Node::Str(bytes)) => Some(Array {
                dims,
                element,
                fortran: *fortran,
                bytes,
            }),
            _ => None,
        }
    }
}

/// The name, as of Python's `pickletools`, of an opcode that is not executed.
fn opcode_name(opcode: u8) -> &'static str {
    match opcode {
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'F' => "FLOAT",
        b'G' => "BINFLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'P' => "PERSID",
        b'Q' => "BINPERSID",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'd' => "DICT",
        b'g' => "GET",
        b'i' => "INST",
        b'l' => "LIST",
        b'o' => "OBJ",
        b'p' => "PUT",
        0x81 => "NEWOBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x8b => "LONG4",
        0x8f => "EMPTY_SET",
        0x90 => "ADDITEMS",
        0x91 => "FROZENSET",
        0x92 => "NEWOBJ_EX",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => "not an opcode",
    }
}
