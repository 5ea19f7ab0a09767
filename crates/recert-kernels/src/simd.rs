//! Sixteen numbers at a time, in whatever registers the processor has.
//!
//! An instruction set is a [token](token): a value that can only be made where
//! the processor has the instructions. Every operation below takes one, so
//! that nothing compiled for an instruction set can be reached without it, and
//! kernels are safe code.
//!
//! All instruction sets compute every lane by the same operations in the same
//! order, so that their results are the same bits. A lane never meets another
//! one: there is no horizontal operation here, on purpose.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod several;
mod taps;
#[cfg(target_arch = "x86_64")]
mod token;

use crate::integer::Round;
use portable::Portable;
#[cfg(target_arch = "x86_64")]
use token::{Avx2, Avx512, Vnni};

pub(crate) use several::Several;
pub(crate) use taps::{Reach, Taps};

/// Lanes of a vector, and channels of a block.
pub(crate) const LANES: usize = 16;

/// The float32 of a vector, in memory.
pub(crate) type Lanes = [f32; LANES];

/// The bytes of a pixel of one block of channels.
pub(crate) type ByteLanes = [u8; LANES];

/// Four `i8` for every lane, as bytes.
pub(crate) type QuadLanes = [u8; 4 * LANES];

/// An instruction set that this processor has.
///
/// There is no way to make one but to find it, so that whatever takes an `Isa`
/// can use its instructions.
///
/// ```
/// use recert_kernels::Isa;
///
/// let best = Isa::best();
/// assert!(Isa::available().any(|isa| isa.name() == best.name()));
/// assert!(Isa::available().any(|isa| isa.name() == "portable"));
/// ```
#[derive(Clone, Copy)]
pub struct Isa(Set);

#[derive(Clone, Copy)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Portable(Portable),
}

impl Isa {
    /// The fastest one that this processor has.
    pub fn best() -> Self {
        let portable = Self(Set::Portable(Portable));
        Self::available().next().unwrap_or(portable)
    }

    /// All that this processor has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let found = [
            Vnni::new().map(Set::Vnni),
            Avx512::new().map(Set::Avx512),
            Avx2::new().map(Set::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let found = [None::<Set>; 0];
        let portable = std::iter::once(Set::Portable(Portable));
        found.into_iter().flatten().chain(portable).map(Self)
    }

    /// Its name, for logs.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(_) => "avx512+vnni",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2+fma",
            Set::Portable(_) => "portable",
        }
    }

    /// Runs a kernel of floats, compiled for this instruction set.
    pub(crate) fn run_floats(self, kernel: impl FloatKernel) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(vnni) => vnni.floats().run_floats(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(avx512) => avx512.run_floats(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(avx2) => avx2.run_floats(kernel),
            Set::Portable(portable) => portable.run_floats(kernel),
        }
    }

    /// Runs a kernel of integers, compiled for this instruction set.
    pub(crate) fn run_ints(self, kernel: impl IntKernel) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(vnni) => vnni.run_ints(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(avx512) => avx512.run_ints(kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(avx2) => avx2.run_ints(kernel),
            Set::Portable(portable) => portable.run_ints(kernel),
        }
    }

    /// [`Floats::TILE`].
    pub(crate) fn float_tile(self) -> TileSize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(_) | Set::Avx512(_) => <Avx512 as Floats>::TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => <Avx2 as Floats>::TILE,
            Set::Portable(_) => <Portable as Floats>::TILE,
        }
    }

    /// [`Ints::TILE`].
    pub(crate) fn int_tile(self) -> TileSize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(_) => Vnni::TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => <Avx512 as Ints>::TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => <Avx2 as Ints>::TILE,
            Set::Portable(_) => <Portable as Ints>::TILE,
        }
    }
}

impl std::fmt::Debug for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The most pixels whose sums fit into the registers beside one block of
/// outputs, and beside two; 0 where two blocks do not pay.
#[derive(Clone, Copy)]
pub(crate) struct TileSize(pub(crate) [usize; 2]);

impl TileSize {
    /// How many blocks of outputs a tile takes of so many.
    pub(crate) fn blocks(self, blocks: usize) -> usize {
        if self.0[1] > 0 && blocks.is_multiple_of(2) {
            2
        } else {
            1
        }
    }

    /// The most blocks of outputs of a tile.
    pub(crate) const fn most_blocks(self) -> usize {
        if self.0[1] > 0 { 2 } else { 1 }
    }

    /// The most pixels of a tile of so many blocks of outputs.
    pub(crate) const fn pixels(self, blocks: usize) -> usize {
        self.0[blocks - 1]
    }
}

/// What is computed with [`Floats`], compiled once for each instruction set.
/// `run` must be inlined, to be compiled for the instruction set at all.
pub(crate) trait FloatKernel {
    fn run<S: Floats>(self, simd: S);
}

/// What is computed with [`Ints`], likewise.
pub(crate) trait IntKernel {
    fn run<N: Ints>(self, ints: N);
}

/// One image's work for an operation `op`: the arguments of most kernels.
pub(crate) struct Call<'a, Op, In, Out = In> {
    pub(crate) op: &'a Op,
    pub(crate) input: &'a [In],
    pub(crate) residual: Option<&'a [In]>,
    pub(crate) output: &'a mut [Out],
}

/// Operations on float32 in vectors, value by value.
pub(crate) trait Vectors: Copy {
    /// The vector.
    type V: Copy;

    fn splat(self, value: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a > b ? a : b`: where either is NaN, `b`.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`: where either is NaN, `b`.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? yes : no`: where either is NaN, `no`.
    fn pick(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// 2 to the power of the integer that the last bits of the number hold: of
    /// `n + 1.5 2^23`, where `n` is from -126 to 127, 2^n.
    fn power_of_two(self, v: Self::V) -> Self::V;
}

/// [`Vectors`] of [`LANES`] float32. The implementor is the token of an
/// instruction set.
pub(crate) trait Floats: Vectors {
    const TILE: TileSize;

    fn load(self, from: &Lanes) -> Self::V;
    fn lanes(self, v: Self::V) -> Lanes;
    /// Runs a kernel in a function that is compiled for the instruction set.
    fn run_floats(self, kernel: impl FloatKernel);
}

/// Operations on [`LANES`] int32, and what makes them of bytes and bytes of
/// them. No sum may leave int32. The implementor is the token of an
/// instruction set.
pub(crate) trait Ints: Copy {
    /// Float32 of as many lanes.
    type F: Floats;
    /// The vector.
    type I: Copy;
    /// Four `u8`, the same ones for every lane.
    type X: Copy;
    /// Four `i8` a lane.
    type W: Copy;
    /// Sixteen `u8` of each of four pixels.
    type B: Copy;
    const TILE: TileSize;

    /// The token for the floats.
    fn floats(self) -> Self::F;
    fn load(self, from: &[i32; LANES]) -> Self::I;
    fn quad(self, from: [u8; 4]) -> Self::X;
    fn weights(self, from: &QuadLanes) -> Self::W;
    /// The sum, and the four products of every lane.
    fn dot(self, sum: Self::I, x: Self::X, w: Self::W) -> Self::I;
    fn widen(self, from: &ByteLanes) -> Self::I;
    /// The sum and the product, of `x` from 0 to 255 and `w` of 16 bits.
    fn multiply(self, sum: Self::I, x: Self::I, w: Self::I) -> Self::I;
    /// To the nearest float32, halves to even.
    fn float(self, v: Self::I) -> <Self::F as Vectors>::V;
    /// To the nearest integer, halves to even.
    fn whole(self, v: <Self::F as Vectors>::V) -> <Self::F as Vectors>::V;
    /// To the nearest integer, halves to even, plus the zero point, in bounds.
    /// No value may be beyond 2^30.
    fn narrow(self, v: [<Self::F as Vectors>::V; 4], round: Round) -> Self::B;
    fn pixels(self, bytes: Self::B) -> [ByteLanes; 4];
    /// Runs a kernel in a function that is compiled for the instruction set.
    fn run_ints(self, kernel: impl IntKernel);
}
