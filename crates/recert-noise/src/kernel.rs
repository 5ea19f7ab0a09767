//! The inner loops, compiled once for each set of vector instructions, and their choice.

#![expect(
    clippy::inline_always,
    reason = "the loops must be compiled with the target features of their caller"
)]
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calling code compiled for instructions that were found at run time"
    )
)]

use crate::gaussian::pair;
use crate::philox::philox4x32_10;

/// Blocks of a tile, and vector lanes of the widest path.
pub(crate) const LANES: usize = 16;
/// Elements of a tile: four normals a block.
pub(crate) const TILE: usize = 4 * LANES;
/// A run of elements that is always made as a whole.
pub(crate) type Tile = [f32; TILE];

/// Identifies a sample's noise: the key and the counter of Philox without the block number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleId {
    /// Low and high half of the seed.
    pub(crate) key: [u32; 2],
    /// The stream's tag.
    pub(crate) stream: u32,
    /// Number of the input in its data set.
    pub(crate) input: u32,
    /// Number of the sample.
    pub(crate) sample: u32,
}

/// One of the compiled forms of the generator; all give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodePath {
    /// For any processor, with the build's own target features: NEON on
    /// aarch64; on x86-64 exact but slow unless the build enables FMA.
    Portable,
    /// AVX2 and FMA, 8 lanes.
    Avx2,
    /// AVX-512 F, DQ, VL and BW, 16 lanes.
    Avx512,
}

impl CodePath {
    /// All paths, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine can run the path.
    #[must_use]
    pub fn is_available(self) -> bool {
        Supported::new(self).is_some()
    }

    /// A short name, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2+fma",
            Self::Avx512 => "avx512",
        }
    }
}

impl std::fmt::Display for CodePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A path whose instructions this machine has; `new` is the only constructor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supported(CodePath);

impl Supported {
    /// The path, if this machine has its instructions.
    pub(crate) fn new(path: CodePath) -> Option<Self> {
        let found = match path {
            CodePath::Portable => true,
            #[cfg(target_arch = "x86_64")]
            CodePath::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            CodePath::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            CodePath::Avx2 | CodePath::Avx512 => false,
        };
        found.then_some(Self(path))
    }

    /// The fastest path of this machine.
    pub(crate) fn best() -> Self {
        CodePath::ALL
            .into_iter()
            .rev()
            .find_map(Self::new)
            .unwrap_or(Self(CodePath::Portable))
    }

    /// The path itself.
    pub(crate) fn path(self) -> CodePath {
        self.0
    }

    /// Runs an inner loop, compiled for the path's instructions.
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            // SAFETY: `self` exists only if `new` found every feature that the
            // function was compiled for.
            #[cfg(target_arch = "x86_64")]
            CodePath::Avx512 => unsafe { x86::avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            CodePath::Avx2 => unsafe { x86::avx2(kernel) },
            _ => kernel.run(),
        }
    }
}

/// An inner loop. `run` must be inlined, since otherwise it is not compiled for the
/// instructions of the path.
pub(crate) trait Kernel {
    fn run(self);
}

/// Writes the sample's normals from tile number `first` on into `out`.
pub(crate) struct Fill<'a> {
    pub(crate) id: &'a SampleId,
    pub(crate) first: usize,
    pub(crate) out: &'a mut [Tile],
}

/// Writes image + sigma * normal, rounded once, from tile number `first` on;
/// `image` and `out` are equally long.
pub(crate) struct Add<'a> {
    pub(crate) id: &'a SampleId,
    pub(crate) first: usize,
    pub(crate) sigma: f32,
    pub(crate) image: &'a [Tile],
    pub(crate) out: &'a mut [Tile],
}

/// The four normals of one block, in the order of the tile's quarters.
#[inline(always)]
fn block(id: &SampleId, number: u32) -> [f32; 4] {
    let words = philox4x32_10([number, id.sample, id.input, id.stream], id.key);
    let (a, b) = pair(words[0], words[1]);
    let (c, d) = pair(words[2], words[3]);
    [a, b, c, d]
}

impl Kernel for Fill<'_> {
    #[inline(always)]
    fn run(self) {
        for (tile, z) in self.out.iter_mut().enumerate() {
            for lane in 0..LANES {
                let number = ((self.first + tile) * LANES + lane) as u32;
                let [a, b, c, d] = block(self.id, number);
                z[lane] = a;
                z[LANES + lane] = b;
                z[2 * LANES + lane] = c;
                z[3 * LANES + lane] = d;
            }
        }
    }
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run(self) {
        let sigma = self.sigma;
        for (tile, (x, y)) in self.image.iter().zip(self.out).enumerate() {
            for lane in 0..LANES {
                let number = ((self.first + tile) * LANES + lane) as u32;
                let [a, b, c, d] = block(self.id, number);
                y[lane] = sigma.mul_add(a, x[lane]);
                y[LANES + lane] = sigma.mul_add(b, x[LANES + lane]);
                y[2 * LANES + lane] = sigma.mul_add(c, x[2 * LANES + lane]);
                y[3 * LANES + lane] = sigma.mul_add(d, x[3 * LANES + lane]);
            }
        }
    }
}

/// Kernels for the vector units of x86-64.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Kernel;

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    pub(super) fn avx512(kernel: impl Kernel) {
        kernel.run();
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(kernel: impl Kernel) {
        kernel.run();
    }
}
