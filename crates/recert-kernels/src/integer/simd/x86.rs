//! The vectors of x86-64. No instruction that saturates sums takes part: where
//! there is no VNNI, bytes are widened to 16 bits before they are multiplied.
#![expect(clippy::inline_always, reason = "a call would cost more than its body")]

use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32, _mm256_adds_epi16, _mm256_and_si256,
    _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_cvtps_epi32,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_epu8, _mm256_min_epu8, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_permutevar8x32_epi32, _mm256_round_ps, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi32, _mm256_slli_epi16, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi32, _mm512_adds_epi16, _mm512_and_si512,
    _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_dpbusd_epi32,
    _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_madd_epi16, _mm512_mask_storeu_epi32,
    _mm512_max_epu8, _mm512_min_epu8, _mm512_packs_epi32, _mm512_packus_epi16,
    _mm512_permutexvar_epi32, _mm512_roundscale_ps, _mm512_set1_epi8, _mm512_set1_epi16,
    _mm512_set1_epi32, _mm512_setr_epi32, _mm512_slli_epi16, _mm512_srai_epi16, _mm512_srli_epi16,
    _mm512_storeu_si512,
};

use super::{Ints, Round};
use crate::simd::{Avx2, Avx512};

/// The mode of rounding of `roundscale` and `round`: halves to even.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// [`crate::simd::Isa::Avx512Vnni`].
pub(crate) struct Vnni;

/// What is the same with and without VNNI.
macro_rules! common {
    () => {
        type F = Avx512;
        type I = __m512i;
        type B = __m512i;

        #[inline(always)]
        unsafe fn load(from: *const i32) -> __m512i {
            // SAFETY: the caller vouches for instruction set and pointers,
            // here and below.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn widen(from: *const u8) -> __m512i {
            unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn float(v: __m512i) -> __m512 {
            unsafe { _mm512_cvtepi32_ps(v) }
        }
        #[inline(always)]
        unsafe fn whole(v: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<NEAREST>(v) }
        }
        #[inline(always)]
        unsafe fn narrow([a, b, c, d]: [__m512; 4], round: Round) -> __m512i {
            unsafe {
                let zero = _mm512_set1_epi16(round.zero.into());
                let [a, b, c, d] = [
                    _mm512_cvtps_epi32(a),
                    _mm512_cvtps_epi32(b),
                    _mm512_cvtps_epi32(c),
                    _mm512_cvtps_epi32(d),
                ];
                let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero);
                let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
                // Four channels of each pixel in turn, in every quarter.
                let mixed = _mm512_packus_epi16(ab, cd);
                let mixed = _mm512_max_epu8(mixed, _mm512_set1_epi8(round.low.cast_signed()));
                let mixed = _mm512_min_epu8(mixed, _mm512_set1_epi8(round.high.cast_signed()));
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                _mm512_permutexvar_epi32(order, mixed)
            }
        }
        #[inline(always)]
        unsafe fn store(to: *mut u8, bytes: __m512i, pixels: usize) {
            unsafe {
                if pixels == 4 {
                    _mm512_storeu_si512(to.cast(), bytes);
                } else {
                    let mask = (1_u16 << (4 * pixels)) - 1;
                    _mm512_mask_storeu_epi32(to.cast(), mask, bytes);
                }
            }
        }
    };
}

impl Ints for Vnni {
    common!();
    type X = __m512i;
    type W = __m512i;

    #[inline(always)]
    unsafe fn quad(from: *const u8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }
    #[inline(always)]
    unsafe fn multiply(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above. The upper halves of `x` are 0.
        unsafe { _mm512_dpwssd_epi32(sum, x, w) }
    }
}

impl Ints for Avx512 {
    common!();
    /// Even bytes and odd ones, each in 16 bits.
    type X = [__m512i; 2];
    type W = [__m512i; 2];

    #[inline(always)]
    unsafe fn quad(from: *const u8) -> Self::X {
        // SAFETY: as above.
        unsafe {
            let x = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
            let even = _mm512_and_si512(x, _mm512_set1_epi16(255));
            [even, _mm512_srli_epi16::<8>(x)]
        }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::W {
        // SAFETY: as above.
        unsafe {
            let w = _mm512_loadu_si512(from.cast());
            let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(w));
            [even, _mm512_srai_epi16::<8>(w)]
        }
    }
    #[inline(always)]
    unsafe fn dot(sum: __m512i, x: Self::X, w: Self::W) -> __m512i {
        // SAFETY: as above. Two products of a byte and a signed byte fit in
        // 32 bits.
        unsafe {
            let even = _mm512_madd_epi16(x[0], w[0]);
            let odd = _mm512_madd_epi16(x[1], w[1]);
            _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
        }
    }
    #[inline(always)]
    unsafe fn multiply(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above. The upper halves of `x` are 0.
        unsafe { _mm512_add_epi32(sum, _mm512_madd_epi16(x, w)) }
    }
}

/// Applies a function of eight lanes to both halves. Closures would not do:
/// they are compiled without the instruction set.
macro_rules! halves {
    ($f:expr, $($v:ident),+) => {
        [$f($($v[0]),+), $f($($v[1]),+)]
    };
}

impl Ints for Avx2 {
    type F = Self;
    type I = [__m256i; 2];
    /// Even bytes and odd ones, each in 16 bits.
    type X = [__m256i; 2];
    /// Of both halves of the lanes, likewise.
    type W = [[__m256i; 2]; 2];
    type B = [__m256i; 2];

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self::I {
        // SAFETY: as above.
        unsafe {
            [
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(8).cast()),
            ]
        }
    }
    #[inline(always)]
    unsafe fn quad(from: *const u8) -> Self::X {
        // SAFETY: as above.
        unsafe {
            let x = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            let even = _mm256_and_si256(x, _mm256_set1_epi16(255));
            [even, _mm256_srli_epi16::<8>(x)]
        }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self::W {
        // SAFETY: as above.
        unsafe {
            let (w, v) = (
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(32).cast()),
            );
            let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w));
            let later = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(v));
            [
                [even, _mm256_srai_epi16::<8>(w)],
                [later, _mm256_srai_epi16::<8>(v)],
            ]
        }
    }
    #[inline(always)]
    unsafe fn dot(sum: Self::I, x: Self::X, w: Self::W) -> Self::I {
        // SAFETY: as above. Two products of a byte and a signed byte fit in
        // 32 bits.
        unsafe {
            let even = [
                _mm256_madd_epi16(x[0], w[0][0]),
                _mm256_madd_epi16(x[0], w[1][0]),
            ];
            let odd = [
                _mm256_madd_epi16(x[1], w[0][1]),
                _mm256_madd_epi16(x[1], w[1][1]),
            ];
            let both = halves!(_mm256_add_epi32, even, odd);
            halves!(_mm256_add_epi32, sum, both)
        }
    }
    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self::I {
        // SAFETY: as above.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            let upper = std::arch::x86_64::_mm_srli_si128::<8>(bytes);
            [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(upper)]
        }
    }
    #[inline(always)]
    unsafe fn multiply(sum: Self::I, x: Self::I, w: Self::I) -> Self::I {
        // SAFETY: as above. The upper halves of `x` are 0.
        unsafe {
            let products = halves!(_mm256_madd_epi16, x, w);
            halves!(_mm256_add_epi32, sum, products)
        }
    }
    #[inline(always)]
    unsafe fn float(v: Self::I) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { halves!(_mm256_cvtepi32_ps, v) }
    }
    #[inline(always)]
    unsafe fn whole(v: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { halves!(_mm256_round_ps::<NEAREST>, v) }
    }
    #[inline(always)]
    unsafe fn narrow([a, b, c, d]: [[__m256; 2]; 4], round: Round) -> Self::B {
        // SAFETY: as above.
        unsafe {
            let zero = _mm256_set1_epi16(round.zero.into());
            let low = _mm256_set1_epi8(round.low.cast_signed());
            let high = _mm256_set1_epi8(round.high.cast_signed());
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let mut wide = [[zero; 2]; 2];
            for (pair, v) in wide.iter_mut().zip([[a, b], [c, d]]) {
                for (pixel, v) in pair.iter_mut().zip(v) {
                    let [v, w] = halves!(_mm256_cvtps_epi32, v);
                    *pixel = _mm256_adds_epi16(_mm256_packs_epi32(v, w), zero);
                }
            }
            let mut bytes = [zero; 2];
            for (bytes, [a, b]) in bytes.iter_mut().zip(wide) {
                let mixed = _mm256_max_epu8(_mm256_packus_epi16(a, b), low);
                *bytes = _mm256_permutevar8x32_epi32(_mm256_min_epu8(mixed, high), order);
            }
            bytes
        }
    }
    #[inline(always)]
    unsafe fn store(to: *mut u8, bytes: Self::B, pixels: usize) {
        // SAFETY: as above.
        unsafe {
            for (pair, bytes) in bytes.into_iter().enumerate() {
                let to = to.add(pair * 32);
                match pixels.saturating_sub(pair * 2) {
                    0 => {}
                    1 => _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes)),
                    _ => _mm256_storeu_si256(to.cast(), bytes),
                }
            }
        }
    }
}
