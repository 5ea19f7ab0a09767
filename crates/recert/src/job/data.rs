//! The inputs of a job, from files or from memory, and how a ledger finds them again.

use std::path::PathBuf;

use recert_data::{DataSpec, Dataset, Format, Grid, Image, Options, Shape, Split, Subset};
use recert_engine::ImageShape;
use recert_ledger::Input;
use serde::{Deserialize, Serialize};

use super::SubsetConfig;
use super::remark::Remark;
use crate::{Error, ErrorKind, Field, Result};

/// How to read a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataOptions {
    /// Read the training half of a data set that has both.
    pub train: bool,
    /// Labels for data that has none: an npy, IDX or text file.
    pub labels: Option<PathBuf>,
    /// For image folders and for labels that are names: a file of the names of the classes,
    /// one per line, which number them.
    pub classes: Option<PathBuf>,
    /// Added to every label.
    pub label_offset: Option<i64>,
    /// For image folders: scale the shorter side to this many pixels.
    pub resize: Option<u32>,
    /// For image folders: cut the central square of this side.
    pub crop: Option<u32>,
}

/// Which data set, and how to read it: what a ledger records of its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataConfig {
    /// A path, or `FORMAT:PATH`.
    pub data: String,
    /// How to read it.
    #[serde(flatten)]
    pub options: DataOptions,
}

impl DataConfig {
    /// The text that a ledger keeps, with sorted keys.
    fn record(&self) -> String {
        serde_json::to_value(self).map_or_else(
            |_| self.data.clone(),
            |mut value| {
                // Also where another crate enables `preserve_order` of serde_json.
                value.sort_all_objects();
                value.to_string()
            },
        )
    }

    /// What a ledger records of data that was read from files; `None` for the name
    /// of images that were in memory.
    pub(crate) fn from_record(record: &str) -> Option<Self> {
        serde_json::from_str(record).ok()
    }
}

/// An opened set of inputs. It may be shared by threads and by jobs.
#[derive(Debug)]
pub struct Data {
    images: Images,
    record: String,
}

#[derive(Debug)]
enum Images {
    Files(Box<Dataset>),
    Memory {
        images: Vec<Image>,
        labels: Option<Vec<u32>>,
    },
}

impl Data {
    /// Opens a data set.
    ///
    /// # Errors
    /// [`ErrorKind::Input`], naming the file.
    ///
    /// ```
    /// use recert::job::{Data, DataConfig};
    ///
    /// # let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo");
    /// let data = Data::open(&DataConfig {
    ///     data: format!("npz:{demo}/shapes-test.npz"),
    ///     options: Default::default(),
    /// })?;
    /// assert_eq!((data.len(), data.shape().channels), (500, 3));
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn open(config: &DataConfig) -> Result<Self> {
        let spec: DataSpec = config.data.parse()?;
        let given = &config.options;
        let options = Options {
            split: if given.train {
                Split::Train
            } else {
                Split::Test
            },
            resize: given.resize,
            crop: given.crop,
            label_offset: given.label_offset.unwrap_or(0),
            labels: given.labels.clone(),
            classes: given.classes.clone(),
        };
        Ok(Self {
            images: Images::Files(Box::new(Dataset::open(&spec, &options)?)),
            record: config.record(),
        })
    }

    /// The data that a ledger records, at `data` and read by `options` as far as
    /// these are given.
    pub(super) fn reopen(record: &str, data: Option<&str>, options: &DataOptions) -> Result<Self> {
        let (known, recorded) = DataConfig::from_record(record)
            .map_or_else(Default::default, |record| {
                (Some(record.data), record.options)
            });
        let Some(data) = data.map(str::to_owned).or(known) else {
            let message = "the ledger records no file or folder of its data: name the data";
            return Err(Error::parameter(Field::Data, message));
        };
        let given = options.clone();
        let options = DataOptions {
            train: given.train || recorded.train,
            labels: given.labels.or(recorded.labels),
            classes: given.classes.or(recorded.classes),
            label_offset: given.label_offset.or(recorded.label_offset),
            resize: given.resize.or(recorded.resize),
            crop: given.crop.or(recorded.crop),
        };
        let config = DataConfig { data, options };
        Self::open(&config).map_err(|error| {
            let error = error.during(format!("the data of the ledger ({})", config.data));
            error.about(Field::Data)
        })
    }

    /// Images of one shape in memory: pixels in [0, 1], image by image, channel
    /// by channel, row by row. A ledger records `name` and the images' hashes.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] if there is no image, a pixel is not in [0, 1], or
    /// the numbers of pixels or labels do not fit.
    ///
    /// ```
    /// use recert::engine::ImageShape;
    /// use recert::job::Data;
    ///
    /// let shape = ImageShape { channels: 1, height: 1, width: 2 };
    /// let data = Data::from_pixels("two dots", shape, &[0.0, 0.5, 0.5, 1.0], Some(vec![1, 0]))?;
    /// assert_eq!(data.len(), 2);
    /// # Ok::<(), recert::Error>(())
    /// ```
    pub fn from_pixels(
        name: &str,
        shape: ImageShape,
        pixels: &[f32],
        labels: Option<Vec<u32>>,
    ) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Input, message));
        let count = pixels.len().checked_div(shape.len()).unwrap_or(0);
        if count == 0 || count * shape.len() != pixels.len() {
            return refuse(format!(
                "{} pixels are no images of {shape} (channels x height x width)",
                pixels.len()
            ));
        }
        if u32::try_from(count).is_err() {
            return refuse(format!(
                "{count} images are too many; their numbers have 32 bits"
            ));
        }
        if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != count) {
            return refuse(format!("{count} images have {} labels", labels.len()));
        }
        let dims = Shape {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
        };
        let images = pixels.chunks_exact(shape.len());
        let images = images.map(|pixels| Image::from_pixels(dims, pixels.to_vec()));
        Ok(Self {
            images: Images::Memory {
                images: images.collect::<Result<_, _>>()?,
                labels,
            },
            record: name.to_owned(),
        })
    }

    /// Number of inputs, at least 1.
    pub fn len(&self) -> usize {
        match &self.images {
            Images::Files(set) => set.len(),
            Images::Memory { images, .. } => images.len(),
        }
    }

    /// Always false: a set without inputs is an error at its opening.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of every input.
    pub fn shape(&self) -> ImageShape {
        let shape = match &self.images {
            Images::Files(set) => set.shape(),
            Images::Memory { images, .. } => images[0].shape,
        };
        ImageShape {
            channels: shape.channels,
            height: shape.height,
            width: shape.width,
        }
    }

    /// What a ledger records of them.
    pub fn record(&self) -> &str {
        &self.record
    }

    /// The image at position `idx`.
    pub(super) fn image(&self, idx: u32) -> Result<Image> {
        match &self.images {
            Images::Files(set) => Ok(set.image(idx)?),
            Images::Memory { images, .. } => images.get(idx as usize).cloned().ok_or_else(|| {
                let message = format!("there is no image {idx}; there are {}", images.len());
                Error::new(ErrorKind::Input, message)
            }),
        }
    }

    /// The record of an image, which is the one at position `idx`.
    pub(super) fn input(&self, idx: u32, image: &Image) -> Input {
        Input {
            idx,
            sha256: image.sha256(),
            label: self.label(idx),
            name: match &self.images {
                Images::Files(set) => set.name(idx),
                Images::Memory { .. } => None,
            },
        }
    }

    pub(super) fn label(&self, idx: u32) -> Option<u32> {
        match &self.images {
            Images::Files(set) => set.label(idx),
            Images::Memory { labels, .. } => labels.as_ref()?.get(idx as usize).copied(),
        }
    }

    /// The data set, where it is read from files.
    pub(super) fn files(&self) -> Option<&Dataset> {
        match &self.images {
            Images::Files(set) => Some(set),
            Images::Memory { .. } => None,
        }
    }

    /// How the classes of an image folder were numbered, if its labels are the positions of
    /// its folders because no list of classes was given.
    pub(super) fn numbered_by_name(&self, classes: u32) -> Option<Remark> {
        let set = self.files()?;
        let folder = matches!(set.format(), Format::ImageFolder | Format::GreyFolder);
        let record = DataConfig::from_record(&self.record)?;
        if !folder || record.options.classes.is_some() || record.options.labels.is_some() {
            return None;
        }
        let names = set.class_names()?;
        let (first, last) = (names.first()?, names.last()?);
        Some(Remark::ClassesByName {
            ends: [first.clone(), last.clone()],
            folders: names.len(),
            classes,
        })
    }

    /// The positions that are selected, of which there is at least one.
    pub(super) fn select(&self, config: SubsetConfig) -> Result<Vec<u32>> {
        let SubsetConfig {
            every,
            offset,
            limit,
        } = config;
        if limit == Some(0) {
            return Err(Error::parameter(
                Field::Limit,
                "the limit must be at least 1",
            ));
        }
        let subset = Subset::new(self.len(), every, limit)
            .map_err(|e| Error::parameter(Field::Every, e.to_string()))?;
        let inputs: Vec<u32> = subset.starting_at(offset).collect();
        if inputs.is_empty() {
            let message = format!(
                "the offset {offset} is past the last of the {} inputs",
                self.len()
            );
            return Err(Error::parameter(Field::Offset, message));
        }
        Ok(inputs)
    }

    /// Fails if a label of `inputs` is no class of a network of `classes`.
    pub(super) fn check_labels(&self, inputs: &[u32], classes: usize) -> Result<()> {
        let wrong = inputs.iter().find_map(|&idx| {
            let label = self.label(idx)?;
            (label as usize >= classes).then_some((idx, label))
        });
        let Some((idx, label)) = wrong else {
            return Ok(());
        };
        let message = format!(
            "input {idx} has label {label}, but the network has {classes} classes (0 to {}): shift \
             the labels, or list the folders that are its classes",
            classes - 1
        );
        Err(Error::parameter(Field::LabelOffset, message))
    }

    /// Fails if an input is not one that integer noise can be added to. A run
    /// checks every input; one is looked at here, before there is a ledger.
    pub(super) fn check_8_bit(&self, idx: u32) -> Result<()> {
        if self.image(idx)?.grid == Grid::EightBit {
            return Ok(());
        }
        let message = format!("input {idx} is not 8-bit: integer noise needs pixels k/255");
        Err(Error::new(ErrorKind::Input, message))
    }
}
