//! Images and networks, as they are given.

use std::path::{Path, PathBuf};

use numpy::{PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::prelude::*;
use recert::engine::ImageShape;
use recert::job::{Data, DataConfig, Network};

use crate::callable::{Given, Raised};
use crate::errors::{raise, refuse};
use crate::options::Options;

/// Where images come from.
#[derive(FromPyObject)]
pub(crate) enum Images<'py> {
    /// A path, or `FORMAT:PATH`.
    Files(String),
    /// Pixels in [0, 1], `[images, channels, height, width]`, and labels.
    Arrays(
        PyReadonlyArray4<'py, f32>,
        Option<PyReadonlyArray1<'py, u32>>,
    ),
}

/// What a ledger knows images by that are in memory, beside their hashes.
const IN_MEMORY: &str = "images in memory";

impl Images<'_> {
    pub(crate) fn open(&self, py: Python<'_>, options: &Options<'_>) -> PyResult<Data> {
        match self {
            Self::Files(data) => {
                let config = DataConfig {
                    data: data.clone(),
                    options: options.data()?,
                };
                py.detach(|| Data::open(&config)).map_err(raise)
            }
            Self::Arrays(images, labels) => {
                let &[_, channels, height, width] = images.shape() else {
                    unreachable!("the array has four dimensions");
                };
                let shape = ImageShape {
                    channels,
                    height,
                    width,
                };
                if !images.is_c_contiguous() {
                    return Err(refuse("images", "pixels have to lie in the order of C"));
                }
                let labels = labels.as_ref().map(|labels| labels.to_vec());
                let labels = labels.transpose()?;
                let pixels = images.as_slice()?;
                py.detach(|| Data::from_pixels(IN_MEMORY, shape, pixels, labels))
                    .map_err(raise)
            }
        }
    }
}

/// A network as it is given.
#[derive(FromPyObject)]
pub(crate) enum Classify {
    /// An ONNX file.
    File(PathBuf),
    /// What answers from Python.
    #[pyo3(transparent)]
    Callable(Given),
}

impl Classify {
    /// The network, loaded by `open` where it is a file.
    pub(crate) fn network(
        self,
        py: Python<'_>,
        image: ImageShape,
        raised: &Raised,
        open: impl FnOnce(&Path) -> recert::Result<Network> + Send,
    ) -> PyResult<Network> {
        match self {
            Self::File(path) => py.detach(|| open(&path)).map_err(raise),
            Self::Callable(given) => given.network(image, raised),
        }
    }
}
