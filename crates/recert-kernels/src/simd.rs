//! Sixteen float32 at a time, in whatever registers the processor has.
//!
//! All instruction sets compute every lane by the same IEEE operations in the
//! same order, so that their results are the same bits. A lane never meets
//! another one: there is no horizontal operation here, on purpose.
#![expect(
    unsafe_code,
    reason = "vector registers are reached through unsafe intrinsics"
)]

/// The instruction set that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// x86-64 with AVX-512F, BW and VNNI: one register of sixteen, and products
    /// of four bytes summed by one instruction.
    Avx512Vnni,
    /// x86-64 with AVX-512F and BW: one register of sixteen.
    Avx512,
    /// x86-64 with AVX2 and FMA: two registers of eight.
    Avx2,
    /// Arrays of sixteen and whatever the compiler makes of them. Without
    /// fused multiply-add in hardware it is very slow.
    Portable,
}

impl Isa {
    /// The best that this processor has.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// All that this processor has, the best first.
    pub fn available() -> impl Iterator<Item = Self> {
        let all = [Self::Avx512Vnni, Self::Avx512, Self::Avx2, Self::Portable];
        all.into_iter().filter(|isa| isa.is_available())
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_available() && std::arch::is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512Vnni | Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }
}

/// Lanes of a vector, and channels of a block.
pub(crate) const LANES: usize = 16;

/// Operations on [`LANES`] float32.
///
/// # Safety
///
/// Every function may be called only where the processor has the instruction
/// set; `load` and `store` only with a pointer to [`LANES`] readable (writable)
/// float32. Pointers need no alignment.
pub(crate) trait Simd {
    /// The vector.
    type V: Copy;

    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a > b ? a : b`: where either is NaN, `b`.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`: where either is NaN, `b`.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
}

/// [`Isa::Portable`].
pub(crate) struct Portable;

#[expect(clippy::inline_always, reason = "a call would cost more than its body")]
#[inline(always)]
fn each(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

#[expect(clippy::inline_always, reason = "a call would cost more than its body")]
impl Simd for Portable {
    type V = [f32; LANES];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for LANES readable values.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for LANES writable values.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        each(a, b, |a, b| if a < b { a } else { b })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The vectors of x86-64. The intrinsics are those whose names say it.
    #![expect(clippy::inline_always, reason = "a call would cost more than its body")]

    use std::arch::x86_64::{
        __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
        _mm256_min_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    use super::Simd;

    /// [`super::Isa::Avx512`].
    pub(crate) struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            // SAFETY: the caller vouches for the instruction set and the pointer.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            // SAFETY: the caller vouches for the instruction set and the pointer.
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::V {
            // SAFETY: the caller vouches for the instruction set, here and below.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_min_ps(a, b) }
        }
    }

    /// [`super::Isa::Avx2`].
    pub(crate) struct Avx2;

    /// Applies a function of eight lanes to both halves.
    macro_rules! halves {
        ($f:ident, $($v:ident),+) => {
            // SAFETY: the caller vouches for the instruction set.
            unsafe { [$f($($v[0]),+), $f($($v[1]),+)] }
        };
    }

    impl Simd for Avx2 {
        type V = [__m256; 2];

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            // SAFETY: the caller vouches for the instruction set and the pointer.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            // SAFETY: the caller vouches for the instruction set and the pointer.
            unsafe {
                _mm256_storeu_ps(to, v[0]);
                _mm256_storeu_ps(to.add(8), v[1]);
            }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self::V {
            // SAFETY: the caller vouches for the instruction set.
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_add_ps, a, b)
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            halves!(_mm256_fmadd_ps, a, b, c)
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_max_ps, a, b)
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            halves!(_mm256_min_ps, a, b)
        }
    }
}

/// Defines a function that calls a generic one, `fn generic<S: Simd>(..)`,
/// with the vectors of an instruction set, compiled for it. The instruction
/// set must be one that the processor has.
macro_rules! compiled {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $generic:ident($($arg:ident: $type:ty),* $(,)?)) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "vectors need their instruction set")]
        #[allow(unused_unsafe, reason = "some of the generic functions are safe")]
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw")]
            unsafe fn avx512($($arg: $type),*) {
                // SAFETY: this runs only where there are AVX-512F and BW.
                unsafe { $generic::<$crate::simd::Avx512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($arg: $type),*) {
                // SAFETY: this runs only where there are AVX2 and FMA.
                unsafe { $generic::<$crate::simd::Avx2>($($arg),*) }
            }
            debug_assert!(isa.is_available());
            // SAFETY: a program is compiled only for an instruction set that
            // the processor has.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx512Vnni | $crate::simd::Isa::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx2 => avx2($($arg),*),
                    _ => $generic::<$crate::simd::Portable>($($arg),*),
                }
            }
        }
    };
}
pub(crate) use compiled;
