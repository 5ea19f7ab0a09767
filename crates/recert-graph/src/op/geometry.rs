//! Where windows, parts of axes and paddings lie.

/// Where the windows of a convolution or a pooling lie: one number of each
/// for every axis after the batch's and the channels'. `auto_pad` and
/// `ceil_mode` are resolved into `before`, `after` and `output`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window {
    /// The kernel's extents.
    pub kernel: Vec<usize>,
    /// From one window to the next.
    pub strides: Vec<usize>,
    /// From one tap of the kernel to the next.
    pub dilations: Vec<usize>,
    /// The padding before.
    pub before: Vec<usize>,
    /// The padding after. The last window may reach beyond it, where the file
    /// rounds up.
    pub after: Vec<usize>,
    /// How many windows there are.
    pub output: Vec<usize>,
}

/// The part of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AxisSlice {
    /// Which axis.
    pub axis: usize,
    /// The first position taken.
    pub start: usize,
    /// How many are taken.
    pub count: usize,
    /// From one to the next; never 0.
    pub step: isize,
}

/// What padding holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// This number.
    Constant(f64),
    /// The element at the border.
    Edge,
    /// The elements mirrored at the border, which is not repeated.
    Reflect,
    /// The elements from the other side.
    Wrap,
}
