//! What networks are made of: a file for each family of operators.
//!
//! A function here appends nodes to a [`Sketch`](crate::sketch::Sketch) and returns whether
//! it did: it does not where the current value has no shape for it, or the opset lacks it.

pub mod arithmetic;
pub mod attention;
pub mod computed;
pub mod layers;
pub mod layout;
pub mod linear;
pub mod normalize;
pub mod reduce;
pub mod resize;
pub mod typed;
pub mod unary;
pub mod windows;
