//! How the elements of a value lie in memory: images with their channels last.

/// The extents of a value. An image `[1, c, h, w]` of the file lies in memory as `[h, w, c]`; any
/// other tensor is a vector in the file's order, one position with `c` channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Layout {
    /// Of a tensor of this shape, its batch of one included.
    pub(crate) fn of(shape: &[usize]) -> Self {
        match *shape {
            [1, channels, height, width] => Self {
                height,
                width,
                channels,
            },
            _ => Self::flat(shape.iter().product()),
        }
    }

    /// A vector.
    pub(crate) fn flat(channels: usize) -> Self {
        Self {
            height: 1,
            width: 1,
            channels,
        }
    }

    pub(crate) fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Where the element at `position` of the file's order lies.
    pub(crate) fn inner(self, position: usize) -> usize {
        let plane = self.height * self.width;
        position % plane * self.channels + position / plane
    }

    /// Which element of the file's order lies at `index`.
    pub(crate) fn file(self, index: usize) -> usize {
        let plane = self.height * self.width;
        index % self.channels * plane + index / self.channels
    }

    /// Whether memory order is the file's.
    pub(crate) fn is_file_order(self) -> bool {
        self.channels == 1 || self.height * self.width == 1
    }

    /// Elements in the file's order, put in memory order.
    pub(crate) fn in_memory(self, values: &[f64]) -> Vec<f64> {
        (0..self.len()).map(|i| values[self.file(i)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_with_their_channels_last() {
        let layout = Layout::of(&[1, 2, 2, 3]);
        let file: Vec<f64> = (0..12).map(f64::from).collect();
        let inner = layout.in_memory(&file);
        assert_eq!(inner[..4], [0.0, 6.0, 1.0, 7.0]);
        for i in 0..12 {
            assert_eq!(layout.inner(layout.file(i)), i);
        }
        assert!(Layout::of(&[3, 2]).is_file_order() && !layout.is_file_order());
    }
}
