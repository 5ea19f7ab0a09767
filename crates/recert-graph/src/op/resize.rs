//! Changes of resolution.

/// A change of resolution; the output's shape has the new extents.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize {
    /// How elements are interpolated.
    pub mode: ResizeMode,
    /// Where an element of the output lies in the input.
    pub coordinates: Coordinates,
    /// The factor of each axis, as the file gives it or as the sizes make it.
    pub scales: Vec<f64>,
    /// The region of interest, start and end of each axis in [0, 1], with
    /// [`Coordinates::CropAndResize`].
    pub region: Vec<[f64; 2]>,
    /// What lies outside the region.
    pub extrapolation: f32,
    /// Whether weights outside the input are left out and the others scaled.
    pub exclude_outside: bool,
    /// Whether the filter is stretched where the output is smaller.
    pub antialias: bool,
}

/// How [`Resize`] interpolates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResizeMode {
    /// The nearest element.
    Nearest(Nearest),
    /// Linear along every axis.
    Linear,
    /// Cubic along every axis.
    Cubic {
        /// The coefficient a.
        a: f32,
    },
}

/// Which element is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nearest {
    /// The nearest, half down.
    RoundPreferFloor,
    /// The nearest, half up.
    RoundPreferCeil,
    /// The one before.
    Floor,
    /// The one after.
    Ceil,
}

/// Where an element of the output of [`Resize`] lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// `(x + 1/2) / scale - 1/2`.
    HalfPixel,
    /// The same, symmetrical where the output's extent is rounded.
    HalfPixelSymmetric,
    /// The same, 0 where the output has one element.
    PytorchHalfPixel,
    /// Corners onto corners.
    AlignCorners,
    /// `x / scale`.
    Asymmetric,
    /// In the region of interest.
    CropAndResize,
}
