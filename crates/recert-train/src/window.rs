//! The geometry of a convolution.

use crate::error::{Error, Result};

/// The geometry of a convolution in two dimensions, without groups or dilation.
///
/// Images are rows of `channels * height * width` elements, in that order; outputs are rows of
/// `outputs * output_height * output_width` elements; weights are a matrix of one row an output
/// channel, `channels * kernel[0] * kernel[1]` elements each.
///
/// ```
/// use recert_train::Window;
///
/// let window = Window::new([1, 28, 28], 16, [4, 4], [2, 2], [1, 1, 1, 1])?;
/// assert_eq!(window.output(), [16, 14, 14]);
/// # Ok::<(), recert_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
}

impl Window {
    /// A convolution of images `[channels, height, width]` into `outputs` channels; `padding` is
    /// above, left, below, right, as in ONNX.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Network`] where an extent is 0 or the kernel does not fit the padded
    /// image.
    pub fn new(
        input: [usize; 3],
        outputs: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
    ) -> Result<Self> {
        let mut output = [outputs, 0, 0];
        for axis in 0..2 {
            let padded = input[1 + axis] + padding[axis] + padding[2 + axis];
            if input.contains(&0) || outputs == 0 || kernel[axis] == 0 || stride[axis] == 0 {
                return Err(Error::network("a convolution has an extent of 0"));
            }
            if kernel[axis] > padded {
                return Err(Error::network(format!(
                    "a kernel of {kernel:?} does not fit images of {input:?} padded by {padding:?}"
                )));
            }
            output[1 + axis] = (padded - kernel[axis]) / stride[axis] + 1;
        }
        Ok(Self {
            input,
            output,
            kernel,
            stride,
            padding,
        })
    }

    /// Channels, height and width of the input.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Channels, height and width of the output.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    /// Height and width of the kernel.
    pub fn kernel(&self) -> [usize; 2] {
        self.kernel
    }

    /// Steps down and to the right.
    pub fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// Zeros above, left, below and right.
    pub fn padding(&self) -> [usize; 4] {
        self.padding
    }

    /// Elements of an image.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of an output.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements of a row of the weights.
    pub fn patch(&self) -> usize {
        self.input[0] * self.kernel[0] * self.kernel[1]
    }

    /// Positions of the kernel: elements of a plane of the output.
    pub fn positions(&self) -> usize {
        self.output[1] * self.output[2]
    }
}
