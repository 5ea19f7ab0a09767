//! A reader of pickles for exactly what CIFAR-10's batches hold; it runs nothing.
//!
//! A pickle is a program for a small stack machine, and Python executes what it
//! names. This reader keeps the stack and the memo, builds dictionaries, lists,
//! tuples, numbers, strings and numpy arrays of plain types, and refuses every
//! other instruction and every other name, with its offset. It covers protocol
//! 2 as Python 2 wrote it for the published files, and protocols 3 and 4 as
//! Python 3 writes the same dictionary.
//!
//! Values live in an arena and refer to each other by number, so a pickle that
//! nests deeply or contains itself costs no recursion. The number of
//! instructions is limited, and with it the memory; strings are borrowed.

mod machine;
mod value;

use crate::error::Result;
pub(crate) use value::Array;
use value::{Id, Node};

/// A parsed pickle.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads the value of a pickle.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (nodes, root) = machine::run(bytes)?;
        Ok(Self { nodes, root })
    }

    /// The value of a key of the dictionary that the pickle is.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<Id> {
        let Node::Dict(entries) = &self.nodes[self.root] else {
            return None;
        };
        // Of two equal keys the later one counts, as in Python.
        let mut entries = entries.iter().rev();
        let is_key = |id: Id| matches!(self.nodes[id], Node::Str(text) if text == key);
        entries.find(|(k, _)| is_key(*k)).map(|(_, value)| *value)
    }

    /// A numpy array.
    pub(crate) fn array(&self, id: Id) -> Option<Array<'a>> {
        match &self.nodes[id] {
            Node::Array(array) => array.clone(),
            _ => None,
        }
    }

    /// A list of whole numbers.
    pub(crate) fn integers(&self, id: Id) -> Option<Vec<i64>> {
        self.list(id)?
            .iter()
            .map(|&item| match self.nodes[item] {
                Node::Int(value) => Some(value),
                _ => None,
            })
            .collect()
    }

    /// A list of strings of valid UTF-8.
    pub(crate) fn strings(&self, id: Id) -> Option<Vec<String>> {
        self.list(id)?
            .iter()
            .map(|&item| match self.nodes[item] {
                Node::Str(text) => Some(std::str::from_utf8(text).ok()?.to_owned()),
                _ => None,
            })
            .collect()
    }

    fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) => Some(items),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::machine::MOST_INSTRUCTIONS;
    use super::*;
    use crate::error::{Error, ErrorKind};
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> Error {
        Pickle::parse(bytes).unwrap_err()
    }

    #[test]
    fn values_of_every_kind_are_read() {
        // {'n': [0, 255, 65535, -1, -2, 128, 0], 's': ['a', 'a', 'b']}, by hand.
        let pickle = b"\x80\x02}q\x00(U\x01nq\x01](K\x00M\xff\x00M\xff\xffJ\xff\xff\xff\xff\
            \x8a\x01\xfe\x8a\x02\x80\x00\x8a\x00eX\x01\x00\x00\x00s]\x94(B\x01\x00\x00\x00a\
            r\x09\x00\x00\x00j\x09\x00\x00\x00e\x8c\x01bau.";
        let pickle = Pickle::parse(pickle).unwrap();
        let numbers = pickle.integers(pickle.entry(b"n").unwrap()).unwrap();
        assert_eq!(numbers, [0, 255, 65_535, -1, -2, 128, 0]);
        let strings = pickle.strings(pickle.entry(b"s").unwrap()).unwrap();
        assert_eq!(strings, ["a", "a", "b"]);
        assert!(pickle.entry(b"x").is_none());
        assert!(pickle.integers(pickle.entry(b"s").unwrap()).is_none());
    }

    #[test]
    fn nothing_is_called_and_the_place_is_named() {
        let attack = error(b"\x80\x02cos\nsystem\n(S'true'\ntR.");
        assert_eq!(attack.kind(), ErrorKind::Unsupported);
        assert!(
            attack.to_string().contains("'os.system' at byte 2"),
            "{attack}"
        );
        let table = [
            (&b"\x80\x02ios\nsystem\n."[..], "0x69 (INST) at byte 2"),
            (b"\x80\x02)\x81.", "0x81 (NEWOBJ) at byte 3"),
            (b"\x80\x02G", "0x47 (BINFLOAT) at byte 2"),
            (b"\x80\x02\xff", "0xff (not an opcode) at byte 2"),
        ];
        for (bytes, expected) in table {
            let error = error(bytes);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn damaged_programs_are_refused() {
        let table: [(&[u8], ErrorKind); 15] = [
            (b"", ErrorKind::Length),
            (b"\x80", ErrorKind::Length),
            (b"\x80\x02T\xff\xff\xff\xffabc", ErrorKind::Length),
            (
                b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc",
                ErrorKind::Length,
            ),
            (b"\x80\x07.", ErrorKind::Corrupt),
            (b"\x80\x02.", ErrorKind::Corrupt),
            (b"\x80\x02N(.", ErrorKind::Corrupt),
            (b"\x80\x02e", ErrorKind::Corrupt),
            (b"\x80\x02NNa", ErrorKind::Corrupt),
            (b"\x80\x02}(Nu", ErrorKind::Corrupt),
            (b"\x80\x02h\x01", ErrorKind::Corrupt),
            (b"\x80\x02\x86", ErrorKind::Corrupt),
            (b"\x80\x02NNR", ErrorKind::Corrupt),
            (b"\x80\x02NNb", ErrorKind::Corrupt),
            (b"\x80\x02cnumpy", ErrorKind::Corrupt),
        ];
        for (bytes, kind) in table {
            let error = error(bytes);
            assert_eq!(error.kind(), kind, "{bytes:?}: {error}");
        }
    }

    #[test]
    fn endless_and_deep_programs_end() {
        let endless = vec![b'N'; MOST_INSTRUCTIONS + 10];
        assert_eq!(error(&endless).kind(), ErrorKind::Corrupt);
        // A tuple in a tuple, many times, and a list that holds itself.
        let deep = [&b"N"[..], &vec![0x85; 1_000_000], b"."].concat();
        assert!(Pickle::parse(&deep).is_ok());
        let recursive = Pickle::parse(b"]q\x00h\x00a.").unwrap();
        assert!(recursive.integers(recursive.root).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::parse(&bytes);
        }

        #[test]
        fn no_program_makes_it_panic(program in prop::collection::vec(instruction(), 0..60)) {
            let mut bytes = program.concat();
            bytes.push(b'.');
            if let Ok(pickle) = Pickle::parse(&bytes) {
                let value = pickle.entry(b"a").unwrap_or(pickle.root);
                let _ = (pickle.array(value), pickle.integers(value), pickle.strings(value));
            }
        }
    }

    /// Instructions that the machine knows, so that programs get far.
    fn instruction() -> impl Strategy<Value = Vec<u8>> {
        let fixed = prop::sample::select(vec![
            &b"("[..],
            b"N",
            b"\x88",
            b"]",
            b"}",
            b")",
            b"a",
            b"e",
            b"s",
            b"u",
            b"t",
            b"\x85",
            b"\x86",
            b"\x87",
            b"R",
            b"b",
            b"\x94",
            b"U\x01a",
            b"U\x02u1",
            b"K\x01",
            b"cnumpy\nndarray\n",
            b"cnumpy\ndtype\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"\x93",
            b"X\x05\x00\x00\x00numpy",
            b"U\x05dtype",
        ]);
        prop_oneof![
            8 => fixed.prop_map(<[u8]>::to_vec),
            1 => (prop::sample::select(vec![b'q', b'h', b'K', b'U']), 0_u8..4)
                .prop_map(|(opcode, argument)| vec![opcode, argument]),
        ]
    }
}
