//! Images as products of convolutions read them, and rows that are parted and joined on the way.

use super::Scalar;
use crate::pool::Scratch;
use crate::product::LANES;
use crate::window::Window;

/// Positions that a product has at least where there are images enough: with fewer, whole vectors would leave much of
/// themselves unused, and blocks would begin and end too often.
const POSITIONS: usize = 200;

/// How images are spread, some side by side: for each channel and each of the `stride[0] * stride[1]` phases a plane of
/// `down * across` pixels, those that the stride goes to from its first one, padding included. `own` of the columns
/// are an image's. Row p of an output's plane begins at `p * across`, and has `across` positions, of which those
/// after an image's width mean nothing.
pub(super) struct Spread {
    window: Window,
    /// How many images there are side by side.
    pub(super) images: usize,
    down: usize,
    pub(super) across: usize,
    pub(super) own: usize,
    /// Where the pixels that each element of the kernel meets begin.
    pub(super) begins: Vec<usize>,
    /// The positions of an output, meaningless ones included, and a multiple of [`LANES`] that is
    /// not less.
    pub(super) positions: usize,
    pub(super) width: usize,
}

impl Spread {
    pub(super) fn of(window: &Window) -> Self {
        let [sy, sx] = window.stride();
        let [height, width] = window.kernel();
        let [_, down_out, across_out] = window.output();
        let (down, own) = (down_out + (height - 1) / sy, across_out + (width - 1) / sx);
        let images = POSITIONS.div_ceil(down_out * own);
        let across = images * own;
        let mut begins = Vec::with_capacity(window.patch());
        for channel in 0..window.input()[0] {
            for i in 0..height {
                for j in 0..width {
                    let plane = channel * sy * sx + i % sy * sx + j % sx;
                    begins.push((plane * down + i / sy) * across + j / sx);
                }
            }
        }
        let positions = down_out * across;
        Self {
            window: *window,
            images,
            down,
            across,
            own,
            begins,
            positions,
            width: positions.next_multiple_of(LANES),
        }
    }

    /// Room for the images, all of it 0, and for what a product reads behind them.
    pub(super) fn room<E: Scalar>(&self) -> Scratch<E> {
        let [sy, sx] = self.window.stride();
        let planes = self.window.input()[0] * sy * sx;
        Scratch::zeros(planes * self.down * self.across + self.across + self.width)
    }

    /// Where the positions that mean something are among those of an output, image by image.
    pub(super) fn meant(&self) -> Vec<usize> {
        let [_, down, across] = self.window.output();
        let mut meant = Vec::with_capacity(self.images * down * across);
        for image in 0..self.images {
            for row in 0..down {
                let begin = row * self.across + image * self.own;
                meant.extend(begin..begin + across);
            }
        }
        meant
    }

    /// Calls `each` for every row of every plane of the first image, in the order of the room, with where its first
    /// pixel is in the room and in the image, and how many there are, `stride[1]` apart in the image.
    #[inline(always)]
    fn for_rows(&self, mut each: impl FnMut(usize, usize, usize)) {
        let [channels, height, width] = self.window.input();
        let [sy, sx] = self.window.stride();
        let [top, left, ..] = self.window.padding();
        for plane in 0..channels * sy * sx {
            let (channel, below, right) = (plane / (sy * sx), plane / sx % sy, plane % sx);
            // The first column whose place behind the padding is of this phase.
            let first = (right + sx - left % sx) % sx;
            let across = (first + left) / sx;
            if first >= width || across >= self.own {
                continue;
            }
            let count = (width - first).div_ceil(sx).min(self.own - across);
            for down in 0..self.down {
                let row = (down * sy + below).wrapping_sub(top);
                if row < height {
                    let to = (plane * self.down + down) * self.across + across;
                    each(to, (channel * height + row) * width + first, count);
                }
            }
        }
    }

    /// Writes as many images as there are to their room; what padding is stays 0.
    #[inline(always)]
    pub(super) fn write<E: Scalar>(&self, images: &[E], room: &mut [E]) {
        let step = self.window.stride()[1];
        let count = images.len() / self.window.inputs();
        self.for_rows(
            #[inline(always)]
            |to, from, length| {
                for image in 0..count {
                    let (to, from) = (to + image * self.own, from + image * self.window.inputs());
                    for begin in (0..length).step_by(LANES) {
                        let (to, from, count) = (to + begin, from + begin * step, length - begin);
                        let room = &mut room[to..to + LANES];
                        match step {
                            1 if from + LANES <= images.len() => {
                                whole::<E, LANES, 1>(room, count, &images[from..from + LANES]);
                            }
                            2 if from + 2 * LANES <= images.len() => {
                                let images = &images[from..from + 2 * LANES];
                                whole::<E, { 2 * LANES }, 2>(room, count, images);
                            }
                            _ => {
                                let pixels = images[from..].iter().step_by(step);
                                let pixels = pixels.take(count.min(LANES));
                                room.iter_mut().zip(pixels).for_each(|(to, &x)| *to = x);
                            }
                        }
                    }
                }
            },
        );
    }

    /// Whether a kernel reaches every pixel, as it does but for strides that leave some at the end.
    pub(super) fn reaches_all(&self) -> bool {
        let [_, height, width] = self.window.input();
        let [sy, sx] = self.window.stride();
        let [top, left, ..] = self.window.padding();
        (height - 1 + top) / sy < self.down && (width - 1 + left) / sx < self.own
    }

    /// Reads as many images as there are from their room; pixels that no kernel reaches stay as they are.
    #[inline(always)]
    pub(super) fn read<E: Scalar>(&self, room: &[E], images: &mut [E]) {
        let step = self.window.stride()[1];
        for (number, image) in images.chunks_mut(self.window.inputs()).enumerate() {
            let room = &room[number * self.own..];
            if step == 2 && self.reaches_all() {
                self.interleaved(room, image);
                continue;
            }
            self.for_rows(
                #[inline(always)]
                |to, from, count| {
                    let row = &room[to..to + count];
                    if step == 1 {
                        image[from..from + count].copy_from_slice(row);
                    } else {
                        let pixels = image[from..].iter_mut().step_by(step);
                        pixels.zip(row).for_each(|(pixel, &x)| *pixel = x);
                    }
                },
            );
        }
    }

    /// Reads an image, every second pixel of a row from either of two planes.
    #[inline(always)]
    fn interleaved<E: Scalar>(&self, room: &[E], image: &mut [E]) {
        let [channels, height, width] = self.window.input();
        let [sy, _] = self.window.stride();
        let [top, left, ..] = self.window.padding();
        for row in 0..channels * height {
            let (channel, behind) = (row / height, row % height + top);
            let planes = (channel * sy + behind % sy) * 2;
            let begin = |column: usize| {
                let column = column + left;
                let plane = planes + column % 2;
                (plane * self.down + behind / sy) * self.across + column / 2
            };
            let [even, odd] = [begin(0), begin(1)];
            for column in (0..width).step_by(2 * LANES) {
                let (to, half) = (row * width + column, column / 2);
                let [even, odd] = [even + half, odd + half];
                if to + 2 * LANES <= image.len() && even.max(odd) + LANES <= room.len() {
                    // What is written behind the row's end is written again with the next row.
                    let halves =
                        [even, odd].map(|half| vector::<E, LANES>(&room[half..half + LANES]));
                    let pixels: [E; 2 * LANES] =
                        std::array::from_fn(|lane| halves[lane % 2][lane / 2]);
                    image[to..to + 2 * LANES].copy_from_slice(&pixels);
                } else {
                    let pixels = image[to..].iter_mut().take(width - column).enumerate();
                    for (at, pixel) in pixels {
                        *pixel = room[if at % 2 == 0 { even } else { odd } + at / 2];
                    }
                }
            }
        }
    }

    /// Writes the rows of a plane of an output, which begin `across` apart in `given`, one after the other, each element
    /// as `map` makes it.
    #[inline(always)]
    pub(super) fn joined<E: Scalar>(&self, given: &[E], made: &mut [E], map: impl Fn(E) -> E) {
        let [_, count, length] = self.window.output();
        for row in 0..count {
            for begin in (0..length).step_by(LANES) {
                let (from, to) = (row * self.across + begin, row * length + begin);
                // What is written behind the row's end is written again with the next row.
                if from + LANES <= given.len() && to + LANES <= made.len() {
                    let given: [E; LANES] = vector(&given[from..from + LANES]);
                    let row: [E; LANES] = std::array::from_fn(|lane| map(given[lane]));
                    made[to..to + LANES].copy_from_slice(&row);
                } else {
                    let end = LANES.min(length - begin);
                    let pairs = made[to..to + end].iter_mut().zip(&given[from..from + end]);
                    pairs.for_each(|(made, &x)| *made = map(x));
                }
            }
        }
    }

    /// Writes one channel's planes of outputs, `apart` from each other in `given`, to rows that begin `across` apart,
    /// with zeros at the positions that mean nothing.
    #[inline(always)]
    pub(super) fn parted<E: Scalar>(&self, given: &[E], apart: usize, made: &mut [E]) {
        let [_, count, length] = self.window.output();
        let images = given.len().div_ceil(apart);
        for row in 0..count {
            for image in 0..images {
                for begin in (0..length).step_by(LANES) {
                    let from = image * apart + row * length + begin;
                    let to = row * self.across + image * self.own + begin;
                    if from + LANES <= given.len() && to + LANES <= made.len() {
                        let given = &given[from..from + LANES];
                        let made = &mut made[to..to + LANES];
                        whole::<E, LANES, 1>(made, length - begin, given);
                    } else {
                        let end = LANES.min(length - begin);
                        made[to..to + end].copy_from_slice(&given[from..from + end]);
                    }
                }
            }
        }
    }
}

/// A copy of a vector's worth of elements: what is read whole before any of it is written is read and written in
/// vectors.
#[inline(always)]
fn vector<E: Scalar, const N: usize>(elements: &[E]) -> [E; N] {
    elements.try_into().expect("a vector's worth")
}

/// Writes a vector's worth of elements, those of `given` that are a `STEP` apart, of which those from `count` on are 0:
/// where rows are written in their order, what comes behind one is written after it.
#[inline(always)]
fn whole<E: Scalar, const N: usize, const STEP: usize>(made: &mut [E], count: usize, given: &[E]) {
    let given: [E; N] = vector(given);
    let row: [E; LANES] = std::array::from_fn(|lane| {
        let x = given[lane * STEP];
        if lane < count { x } else { E::zero() }
    });
    made.copy_from_slice(&row);
}
