//! The values that a pickle builds, in an arena where they refer to each other by number.

/// Index of a value in the arena.
pub(super) type Id = usize;

#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A string of bytes or of text; Python 2 does not distinguish them.
    Str(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// A numpy type: its code, such as `u1`.
    Dtype(&'a [u8]),
    /// A numpy array, `None` until its state arrives.
    Array(Option<Array<'a>>),
}

/// The names that a pickle may mention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    Reconstruct,
    NdArray,
    Dtype,
}

/// A numpy array as its pickle describes it.
#[derive(Debug, Clone)]
pub(crate) struct Array<'a> {
    pub(crate) dims: Vec<u64>,
    /// The type of the elements, such as `u1`.
    pub(crate) element: &'a [u8],
    /// Whether the first index varies fastest.
    pub(crate) fortran: bool,
    /// The elements; their number is not checked against the dimensions.
    pub(crate) bytes: &'a [u8],
}
