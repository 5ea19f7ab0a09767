//! Sixteen int32 at a time, and what makes them of bytes and bytes of them.
//!
//! As in [`crate::simd`], all instruction sets give the same bits.
#![expect(
    unsafe_code,
    reason = "vector registers are reached through unsafe intrinsics"
)]

use super::end::Round;
use crate::simd::{LANES, Portable, Simd};

/// Operations on [`LANES`] int32.
///
/// # Safety
///
/// Every function may be called only where the processor has the instruction
/// set, and only with pointers to as many readable (writable) values as it
/// says. Pointers need no alignment. No sum may leave int32.
pub(crate) trait Ints {
    /// Float32 of as many lanes.
    type F: Simd;
    /// The vector.
    type I: Copy;
    /// Four `u8`, the same ones for every lane.
    type X: Copy;
    /// Four `i8` a lane.
    type W: Copy;
    /// Sixteen `u8` of each of four pixels.
    type B: Copy;

    /// [`LANES`] int32.
    unsafe fn load(from: *const i32) -> Self::I;
    /// Of 4 bytes.
    unsafe fn quad(from: *const u8) -> Self::X;
    /// Of 4 times [`LANES`] weights, a lane's side by side.
    unsafe fn weights(from: *const i8) -> Self::W;
    /// The sum, and the four products of every lane.
    unsafe fn dot(sum: Self::I, x: Self::X, w: Self::W) -> Self::I;
    /// Of [`LANES`] bytes.
    unsafe fn widen(from: *const u8) -> Self::I;
    /// The sum and the product, of `x` from 0 to 255 and `w` of 16 bits.
    unsafe fn multiply(sum: Self::I, x: Self::I, w: Self::I) -> Self::I;
    /// To the nearest float32, halves to even.
    unsafe fn float(v: Self::I) -> <Self::F as Simd>::V;
    /// To the nearest integer, halves to even.
    unsafe fn whole(v: <Self::F as Simd>::V) -> <Self::F as Simd>::V;
    /// To the nearest integer, halves to even, plus the zero point, in bounds.
    /// No value may be beyond 2^30.
    unsafe fn narrow(v: [<Self::F as Simd>::V; 4], round: Round) -> Self::B;
    /// Writes the bytes of the first 1 to 4 pixels side by side.
    unsafe fn store(to: *mut u8, bytes: Self::B, pixels: usize);
}

#[expect(clippy::inline_always, reason = "a call would cost more than its body")]
impl Ints for Portable {
    type F = Self;
    type I = [i32; LANES];
    type X = [u8; 4];
    type W = [[i8; 4]; LANES];
    type B = [[u8; LANES]; 4];

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self::I {
        // SAFETY: the caller vouches for the pointer, here and below.
        unsafe { from.cast::<Self::I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> Self::X {
        // SAFETY: as above.
        unsafe { from.cast::<Self::X>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::W {
        // SAFETY: as above.
        unsafe { from.cast::<Self::W>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn dot(sum: Self::I, x: Self::X, w: Self::W) -> Self::I {
        std::array::from_fn(|lane| {
            let products = x
                .iter()
                .zip(w[lane])
                .map(|(&x, w)| i32::from(x) * i32::from(w));
            sum[lane] + products.sum::<i32>()
        })
    }
    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self::I {
        // SAFETY: as above.
        let bytes = unsafe { from.cast::<[u8; LANES]>().read_unaligned() };
        bytes.map(i32::from)
    }
    #[inline(always)]
    unsafe fn multiply(sum: Self::I, x: Self::I, w: Self::I) -> Self::I {
        std::array::from_fn(|lane| sum[lane] + x[lane] * w[lane])
    }
    #[inline(always)]
    unsafe fn float(v: Self::I) -> [f32; LANES] {
        v.map(|v| v as f32)
    }
    #[inline(always)]
    unsafe fn whole(v: [f32; LANES]) -> [f32; LANES] {
        v.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn narrow(v: [[f32; LANES]; 4], round: Round) -> Self::B {
        v.map(|v| {
            v.map(|v| {
                let value = v.round_ties_even() as i32 + i32::from(round.zero);
                // Not `clamp`: the upper bound wins where it is the smaller one.
                (value.clamp(0, 255) as u8).max(round.low).min(round.high)
            })
        })
    }
    #[inline(always)]
    unsafe fn store(to: *mut u8, bytes: Self::B, pixels: usize) {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, pixels * LANES) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Vnni;

/// Defines a function that calls a generic one, `fn generic<N: Ints>(..)`, as
/// [`crate::simd::compiled`] does with floats.
macro_rules! integers {
    ($(#[$meta:meta])* $vis:vis fn $name:ident = $generic:ident($($arg:ident: $type:ty),* $(,)?)) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "vectors need their instruction set")]
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
            unsafe fn vnni($($arg: $type),*) {
                // SAFETY: this runs only where there is all that.
                unsafe { $generic::<$crate::integer::simd::Vnni>($($arg),*) }
            }
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
                    $crate::simd::Isa::Avx512Vnni => vnni($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx2 => avx2($($arg),*),
                    _ => $generic::<$crate::simd::Portable>($($arg),*),
                }
            }
        }
    };
}
pub(crate) use integers;
