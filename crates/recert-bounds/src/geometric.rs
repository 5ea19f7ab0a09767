//! Geometric transformations of an image with their parameters in intervals, bounds of the
//! transformed pixels, and certificates for every parameter.
//!
//! A [`Transformation`] composes rotation, translation, scaling and shear with changes of
//! contrast and brightness. [`apply`] is its meaning at one value of the parameters;
//! [`Transformed`] bounds the pixels over a [`Cell`] of them. [`Interpolation`] is what the cell
//! alone decides, for whoever bounds many images over it.
//!
//! Sources: the semantics and the interval method are those of CGT (Yang, Laurel, Misailovic,
//! Singh, *Provable defense against geometric transformations*, ICLR 2023); bounds that are
//! linear in the parameters are an idea of DeepG (Balunovic et al., *Certifying geometric
//! robustness of neural networks*, NeurIPS 2019), which finds them by linear programs and
//! Lipschitz optimization. `SOUNDNESS.md`, "Geometric certificates", has the statement and the proofs.

mod bounder;
mod cell;
mod coordinates;
mod image;
mod interpolation;
mod lines;
mod pixels;
mod search;
#[cfg(test)]
mod tests;
mod transformation;
mod verify;
mod weights;

pub use bounder::Method;
pub use cell::Cell;
pub use image::{Extents, Layout, MAX_PIXELS, apply};
pub use interpolation::{Interpolation, PixelWeights};
pub use pixels::{PixelBox, Transformed};
pub use transformation::{Kind, MAX_STEPS, Step, Transformation};
pub use verify::{Options, Outcome, Proved, Verdict, Work, verify};
