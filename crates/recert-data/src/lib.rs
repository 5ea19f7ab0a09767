//! Images and labels from CIFAR, SVHN, IDX, image folders, Tiny-ImageNet, Parquet, npy, npz and csv.
//!
//! This crate turns files into images of `f32` pixels in [0, 1] and into
//! labels, and it does nothing else: it knows no network, no noise and no SQL.
//! What an image is, byte by byte, is part of what a certificate states, so every
//! conversion here is exact and documented: byte `b` becomes `b as f32 / 255.0`
//! as in torchvision's `ToTensor`, and [`Image::sha256`] fingerprints the result.
//!
//! | data | prefix | labels |
//! |---|---|---|
//! | CIFAR-10 and CIFAR-100, pickles of torchvision | `cifar10`, `cifar100` | `labels`, `fine_labels` |
//! | CIFAR-10 and CIFAR-100, binary records | `cifar10-bin`, `cifar100-bin` | the byte before the pixels |
//! | SVHN, MAT files of version 5 | `svhn`, `mat` | `y`, where 10 is the digit 0 |
//! | Tiny-ImageNet | `tiny-imagenet` | `val_annotations.txt`, numbered by a list of classes, else `wnids.txt`, else in order |
//! | MNIST, Fashion-MNIST, KMNIST, EMNIST: IDX, plain or gzip | `idx` | the file beside, as it is; EMNIST's images stay transposed |
//! | PNG, JPEG, WebP, BMP files | `folder`, `grey` (one channel) | the folder of a class; one folder alone is no class |
//! | npy and npz, of bytes or floats, in any order of axes | `npy`, `npz` | numbers, one-hot rows, names |
//! | Parquet of image files or lists of pixels, as Hugging Face's sets | `parquet` | the column `label` |
//! | csv of pixels | `csv` | the first column |
//!
//! Labels may also be a file of their own ([`Options::labels`]). No label is guessed: names
//! need a list of classes ([`Options::classes`]), and what else leaves labels open is an error
//! or a set without labels. A file that is something else (an archive, HDF5, Arrow, a
//! pointer of Git LFS) is refused with its name and the line that converts it.
//!
//! ```
//! use recert_data::{DataSpec, Dataset, Format, Options};
//!
//! let spec: DataSpec = "tests/golden/svhn.mat".parse()?;
//! let data = Dataset::open(&spec, &Options::default())?;
//! assert_eq!((data.format(), data.len()), (Format::Svhn, 3));
//! // Stored as 10.
//! assert_eq!(data.class_name(1), Some("0"));
//!
//! // Greyscale, for a network of one channel.
//! let spec: DataSpec = "grey:tests/golden/colour.bmp".parse()?;
//! let data = Dataset::open(&spec, &Options::default())?;
//! assert_eq!(data.shape().to_string(), "1x17x20");
//! # Ok::<(), recert_data::Error>(())
//! ```
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
mod csv_pixels;
mod dataset;
mod decode;
mod detect;
mod error;
mod files;
mod folder;
mod foreign;
mod idx;
mod label_table;
mod labels;
mod mat;
mod npy;
mod npy_header;
mod npz;
mod parquet;
mod pickle;
mod pixels;
mod prepare;
mod resize;
mod rgb;
mod spec;
mod strided;
mod subset;
mod svhn;
mod tiny_imagenet;

pub use dataset::Dataset;
pub use error::{Error, ErrorKind, Result};
pub use pixels::{Grid, Image, Shape};
pub use spec::{DataSpec, Format, Options, Split};
pub use subset::Subset;
