//! The result of reading a format: images, and the labels and names that the files have.

use std::sync::Arc;

use crate::error::Result;
use crate::labels::RawLabels;
use crate::pixels::{Image, Shape};

/// Images by number, all of one shape.
pub(crate) trait Images: Send + Sync {
    fn len(&self) -> usize;

    fn shape(&self) -> Shape;

    /// The image of an index below the length.
    fn image(&self, index: usize) -> Result<Image>;
}

/// The contents of a file or folder.
pub(crate) struct Contents {
    pub(crate) images: Box<dyn Images>,
    /// Labels as the file has them, one per image.
    pub(crate) labels: Option<RawLabels>,
    /// Names of the classes in the order of those labels.
    pub(crate) class_names: Option<Vec<String>>,
    /// Names of the images.
    pub(crate) names: Option<Arc<[String]>>,
}

impl Contents {
    /// Images without labels and names.
    pub(crate) fn new(images: impl Images + 'static) -> Self {
        Self {
            images: Box::new(images),
            labels: None,
            class_names: None,
            names: None,
        }
    }
}
