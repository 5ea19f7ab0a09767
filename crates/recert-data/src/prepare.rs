//! What becomes of a decoded image before it is an image of a set: scaled, cropped, in one
//! channel or three.

use crate::error::{Error, ErrorKind, Result};
use crate::pixels::{Image, Shape};
use crate::resize;
use crate::rgb::Rgb;
use crate::spec::Options;

/// How the images of a set are prepared.
pub(crate) struct Prepare {
    resize: Option<u32>,
    crop: Option<usize>,
    /// Whether images get one channel.
    grey: bool,
}

impl Prepare {
    /// As `options` say; `grey` makes one channel.
    pub(crate) fn new(options: &Options, grey: bool) -> Result<Self> {
        Ok(Self {
            resize: options.resize,
            crop: options.crop.map(resize::check_crop).transpose()?,
            grey,
        })
    }

    /// The shape of all images, by width and height of the first where these decide it.
    pub(crate) fn shape(&self, first: impl FnOnce() -> Result<(usize, usize)>) -> Result<Shape> {
        let (width, height) = match self.crop {
            Some(size) => (size, size),
            None => self.resized(first()?)?,
        };
        Ok(Shape {
            channels: if self.grey { 1 } else { 3 },
            height,
            width,
        })
    }

    /// Width and height after scaling.
    fn resized(&self, (width, height): (usize, usize)) -> Result<(usize, usize)> {
        match self.resize {
            Some(size) => resize::resized(width, height, size),
            None => Ok((width, height)),
        }
    }

    /// Scales and crops a decoded image; all of a set come out in one shape.
    pub(crate) fn image(&self, mut image: Rgb, shape: Shape) -> Result<Image> {
        if self.grey {
            image = image.to_grey();
        }
        let (width, height) = self.resized((image.width, image.height))?;
        image = resize::resize(image, width, height);
        if let Some(size) = self.crop {
            image = resize::center_crop(&image, size);
        }
        if (image.width, image.height) != (shape.width, shape.height) {
            let message = format!(
                "the image has {} by {} pixels and the first one of the set {} by {}; \
                 give a crop so that all have one shape",
                image.width, image.height, shape.width, shape.height
            );
            return Err(Error::new(ErrorKind::Shape, message));
        }
        Ok(if self.grey {
            image.to_grey_image()
        } else {
            image.to_image()
        })
    }
}
