//! Convolutions' and poolings' windows: padding, rounding, extents.

use super::source::Source;
use crate::error::Result;
use crate::op::Window;

/// Larger kernels, strides and paddings are none of a network of images, and
/// sums of them fit.
const MOST: i64 = 1 << 20;

impl Source<'_> {
    /// Numbers that are at least `least`, one a spatial axis.
    fn spatial(&self, name: &str, axes: usize, least: i64) -> Result<Option<Vec<usize>>> {
        let Some(list) = self.ints(name)? else {
            return Ok(None);
        };
        self.checked(name, list, axes, least).map(Some)
    }

    fn checked(&self, name: &str, list: &[i64], count: usize, least: i64) -> Result<Vec<usize>> {
        if list.len() != count {
            let why = format!("its {name} {list:?} are not {count} numbers");
            return Err(self.refuse(why));
        }
        if let Some(size) = list.iter().find(|size| !(least..=MOST).contains(size)) {
            let why = format!("its {name} {list:?} are not supported here");
            return Err(if *size > MOST {
                self.too_large(why)
            } else {
                self.refuse(why)
            });
        }
        Ok(list.iter().map(|&size| size as usize).collect())
    }

    /// The spatial extents of the input at `position`, which has a batch and
    /// channels before them.
    pub(super) fn spatial_extents(&self, position: usize) -> Result<Vec<usize>> {
        let shape = self.shape(position)?;
        let extents = shape.get(2..).filter(|extents| !extents.is_empty());
        let fixed: Option<Vec<usize>> =
            extents.and_then(|extents| extents.iter().map(|extent| extent.fixed()).collect());
        fixed.ok_or_else(|| {
            self.refuse(format!(
                "its input of shape {shape} has no axes beside the batch and the channels"
            ))
        })
    }

    /// The attribute `kernel_shape`.
    pub(super) fn kernel(&self, axes: usize) -> Result<Option<Vec<usize>>> {
        self.spatial("kernel_shape", axes, 1)
    }

    /// The window of this kernel on an input of these spatial extents.
    pub(super) fn window(&self, kernel: &[usize], size: &[usize]) -> Result<Window> {
        let axes = size.len();
        let kernel: Vec<i64> = kernel.iter().map(|&k| k as i64).collect();
        let kernel = self.checked("kernel", &kernel, axes, 1)?;
        let ones = || vec![1; axes];
        let strides = self.spatial("strides", axes, 1)?.unwrap_or_else(ones);
        let dilations = self.spatial("dilations", axes, 1)?.unwrap_or_else(ones);
        let reach: Vec<usize> = (0..axes)
            .map(|axis| (kernel[axis] - 1) * dilations[axis] + 1)
            .collect();
        let auto = self.text("auto_pad", "NOTSET")?;
        let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
        match (auto, self.ints("pads")?) {
            ("NOTSET" | "", Some(pads)) => {
                let pads = self.checked("pads", pads, 2 * axes, 0)?;
                before.copy_from_slice(&pads[..axes]);
                after.copy_from_slice(&pads[axes..]);
            }
            ("NOTSET" | "" | "VALID", None) => {}
            ("SAME_UPPER" | "SAME_LOWER", _) => {
                for axis in 0..axes {
                    let wanted = size[axis].div_ceil(strides[axis]).max(1);
                    let padded = (wanted - 1) * strides[axis] + reach[axis];
                    let padding = padded.saturating_sub(size[axis]);
                    let (small, large) = (padding / 2, padding.div_ceil(2));
                    (before[axis], after[axis]) = match auto {
                        "SAME_UPPER" => (small, large),
                        _ => (large, small),
                    };
                }
            }
            (auto, pads) => {
                let why = format!("its padding {auto} {pads:?} is not supported here");
                return Err(self.refuse(why));
            }
        }
        let up = self.flag("ceil_mode", false)?;
        let mut output = vec![0; axes];
        for axis in 0..axes {
            let padded = before[axis] + size[axis] + after[axis];
            let Some(steps) = padded.checked_sub(reach[axis]) else {
                return Err(self.refuse("its kernel is larger than its input"));
            };
            output[axis] = if up {
                let count = steps.div_ceil(strides[axis]) + 1;
                // The last window has to begin inside the input or the padding
                // before it.
                let outside = (count - 1) * strides[axis] >= before[axis] + size[axis];
                count - usize::from(outside)
            } else {
                steps / strides[axis] + 1
            };
        }
        Ok(Window {
            kernel,
            strides,
            dilations,
            before,
            after,
            output,
        })
    }

    /// The window of a transposed convolution on an input of these extents,
    /// and what is added at the end of its output.
    pub(super) fn transposed_window(
        &self,
        kernel: Vec<usize>,
        size: &[usize],
    ) -> Result<(Window, Vec<usize>)> {
        let axes = size.len();
        let ones = || vec![1; axes];
        let strides = self.spatial("strides", axes, 1)?.unwrap_or_else(ones);
        let dilations = self.spatial("dilations", axes, 1)?.unwrap_or_else(ones);
        let added = self.spatial("output_padding", axes, 0)?;
        let added = added.unwrap_or_else(|| vec![0; axes]);
        // What there is before anything is cut off.
        let full: Vec<usize> = (0..axes)
            .map(|axis| {
                let reach = (kernel[axis] - 1) * dilations[axis] + 1;
                size[axis].saturating_sub(1) * strides[axis] + reach + added[axis]
            })
            .collect();
        let auto = self.text("auto_pad", "NOTSET")?;
        let wanted = match self.ints("output_shape")? {
            Some(list) => {
                let start = list.len().saturating_sub(axes);
                Some(self.checked("output_shape", &list[start..], axes, 1)?)
            }
            None if auto.starts_with("SAME") => {
                Some((0..axes).map(|axis| size[axis] * strides[axis]).collect())
            }
            None => None,
        };
        let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
        match (wanted, self.ints("pads")?) {
            (Some(wanted), _) => {
                for axis in 0..axes {
                    let Some(total) = full[axis].checked_sub(wanted[axis]) else {
                        return Err(self.refuse("its output is larger than its windows reach"));
                    };
                    let (small, large) = (total / 2, total.div_ceil(2));
                    (before[axis], after[axis]) = match auto {
                        "SAME_UPPER" => (small, large),
                        _ => (large, small),
                    };
                }
            }
            (None, Some(pads)) if auto == "NOTSET" => {
                let pads = self.checked("pads", pads, 2 * axes, 0)?;
                before.copy_from_slice(&pads[..axes]);
                after.copy_from_slice(&pads[axes..]);
            }
            (None, _) => {}
        }
        let output: Option<Vec<usize>> = (0..axes)
            .map(|axis| full[axis].checked_sub(before[axis] + after[axis]))
            .collect();
        let output = output.ok_or_else(|| self.refuse("it cuts more off than there is"))?;
        let window = Window {
            kernel,
            strides,
            dilations,
            before,
            after,
            output,
        };
        Ok((window, added))
    }
}
