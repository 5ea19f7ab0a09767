//! VNN-LIB files: what is to be verified, with the network's own inputs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use recert_bounds::{self as bounds, Region, vnnlib};
use recert_engine::ImageShape;
use recert_graph::{InputLayout, Model};
use recert_ledger::{FileHash, Specification};
use sha2::{Digest, Sha256};

use super::cascade::Query;
use super::config::VerifyConfig;
use crate::{Error, ErrorKind, Result};

/// A VNN-LIB file: boxes of inputs, and what must hold of the outputs on them.
#[derive(Debug, Clone)]
pub struct VnnlibFile {
    name: String,
    path: PathBuf,
    sha256: [u8; 32],
    timeout: Option<Duration>,
    queries: Vec<vnnlib::Query>,
}

impl VnnlibFile {
    /// Reads a file, plain or in gzip. `timeout` is how long it may take where the
    /// configuration states nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Input`], naming the file and the line.
    pub fn read(path: &Path, timeout: Option<Duration>) -> Result<Self> {
        let bytes = vnnlib::read_bytes(path)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::new(
                ErrorKind::Input,
                format!("{}: is no text in UTF-8", path.display()),
            )
        })?;
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        Ok(Self {
            name,
            sha256: Sha256::digest(&text).into(),
            queries: vnnlib::parse(&text).map_err(|error| error.at(path.display()))?,
            path: path.to_owned(),
            timeout,
        })
    }

    /// The files of a folder with their networks, as its `instances.csv` lists them.
    ///
    /// # Errors
    /// [`ErrorKind::Input`], naming the file at fault.
    pub fn of_folder(folder: &Path) -> Result<Vec<(PathBuf, Self)>> {
        let list = ["instances.csv", "instances.csv.gz"].map(|name| folder.join(name));
        let Some(list) = list.iter().find(|list| list.is_file()) else {
            let message = format!(
                "{}: has no instances.csv, which lists networks, VNN-LIB files and times",
                folder.display()
            );
            return Err(Error::new(ErrorKind::Input, message));
        };
        let instances = vnnlib::instances(list)?;
        let read = |instance: vnnlib::Instance| {
            let file = Self::read(&instance.property, Some(instance.timeout))?;
            Ok((instance.network, file))
        };
        instances.into_iter().map(read).collect()
    }

    /// The file's name without its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn specification(&self) -> Specification {
        Specification::Vnnlib {
            file: self.name.clone(),
            sha256: FileHash(self.sha256),
        }
    }

    /// The configuration with the file's own time where there is none.
    pub(super) fn config(&self, config: &VerifyConfig) -> VerifyConfig {
        VerifyConfig {
            timeout: config.timeout.or(self.timeout),
            ..config.clone()
        }
    }

    /// Fails if the file is of other networks than this one.
    pub(super) fn check(&self, network: &bounds::Network) -> Result<()> {
        for query in &self.queries {
            let (inputs, outputs) = (query.region.len(), query.property.outputs());
            // A file may leave out outputs after the last one that it constrains.
            if inputs == network.inputs() && outputs == network.outputs() {
                continue;
            }
            let message = format!(
                "{}: is of a network with {inputs} inputs and {outputs} outputs, where this one \
                 has {} and {}",
                self.path.display(),
                network.inputs(),
                network.outputs()
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok(())
    }

    /// The queries on pixels: of a network that takes the channels of a pixel together, the
    /// values are put into the order of channels, rows, columns.
    pub(super) fn queries(&self, order: Option<&[usize]>) -> Vec<Query> {
        let queries = self.queries.iter().map(|query| {
            let (lower, upper) = query.region.bounding_box();
            let pick = |values: &[f64]| match order {
                Some(order) => order.iter().map(|&position| values[position]).collect(),
                None => values.to_vec(),
            };
            let region = Region::Box {
                lower: pick(lower),
                upper: pick(upper),
            };
            Query {
                inner: region.clone(),
                outer: region,
                property: query.property.clone(),
            }
        });
        queries.collect()
    }
}

/// The images that the network in the file at `path` takes, where it states their shape; a
/// network of flat inputs takes images of one row.
///
/// # Errors
/// [`ErrorKind::Input`] for what is no network, or leaves the shape open.
pub fn images_of_network(path: &Path) -> Result<ImageShape> {
    let model = Model::read(path)?;
    let input = model.input()?;
    let (channels, height, width) = match input.layout {
        InputLayout::Nchw { c, h, w } | InputLayout::Nhwc { h, w, c } => (Some(c), h, w),
        InputLayout::Flat { d } => (Some(1), Some(1), d),
        _ => (None, None, None),
    };
    let shape = channels.zip(height).zip(width);
    let shape = shape.map(|((channels, height), width)| ImageShape {
        channels,
        height,
        width,
    });
    shape.ok_or_else(|| {
        let message = format!(
            "{}: its input '{}' leaves its shape open, which VNN-LIB files do not state either: \
             export it with the shape of its inputs",
            path.display(),
            input.name
        );
        Error::new(ErrorKind::Input, message)
    })
}
