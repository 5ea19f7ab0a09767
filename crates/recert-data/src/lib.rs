//! Images and labels from CIFAR-10, IDX, image folders, npy and npz.
//!
//! This crate turns files into images of `f32` pixels in [0, 1] and into
//! labels, and it does nothing else: it knows no network, no noise and no SQL.
//! What an image is, byte by byte, is part of what a certificate states, so every
//! conversion here is exact and documented: byte `b` becomes `b as f32 / 255.0`
//! as in torchvision's `ToTensor`, and [`Image::sha256`] fingerprints the result.
//!
//! Files may be hostile. Sizes that they state are compared with the
//! bytes that are there before anything is allocated, the pickle reader builds
//! no object and calls nothing, and every defect is an [`Error`] that names the
//! file and the position in it.
//!
//! ```
//! use recert_data::{DataSpec, Dataset, Options, Subset};
//!
//! // Every hundredth image of the test set of the project's demonstration.
//! let spec: DataSpec = "../../assets/demo/shapes-test.npz".parse()?;
//! let data = Dataset::open(&spec, &Options::default())?;
//! for i in Subset::new(data.len(), 100, None)? {
//!     let image = data.image(i)?;
//!     assert_eq!(image.pixels.len(), 3 * 32 * 32);
//!     println!("image {i} has the label {:?}", data.label(i));
//! }
//! # Ok::<(), recert_data::Error>(())
//! ```
#![forbid(unsafe_code)]

mod cifar;
mod cifar_binary;
mod cifar_python;
mod contents;
mod dataset;
mod decode;
mod detect;
mod error;
mod files;
mod folder;
mod idx;
mod labels;
mod npy;
mod npy_header;
mod npz;
mod pickle;
mod pixels;
mod resize;
mod rgb;
mod spec;
mod strided;
mod subset;

pub use dataset::Dataset;
pub use error::{Error, ErrorKind, Result};
pub use pixels::{Grid, Image, Shape};
pub use spec::{DataSpec, Format, Options, Split};
pub use subset::Subset;
