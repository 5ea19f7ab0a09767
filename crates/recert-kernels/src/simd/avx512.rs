//! AVX-512, with and without VNNI. No instruction that saturates sums takes
//! part: without VNNI, bytes are widened to 16 bits before they are multiplied.

use std::arch::x86_64::{
    __m512, __m512i, _CMP_LT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm512_add_epi32,
    _mm512_add_ps, _mm512_adds_epi16, _mm512_and_si512, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps,
    _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_dpbusd_epi32,
    _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_madd_epi16, _mm512_mask_blend_ps, _mm512_max_epu8,
    _mm512_max_ps, _mm512_min_epu8, _mm512_min_ps, _mm512_mul_ps, _mm512_packs_epi32,
    _mm512_packus_epi16, _mm512_permutexvar_epi32, _mm512_roundscale_ps, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32, _mm512_slli_epi16,
    _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srli_epi16, _mm512_sub_ps,
};

use bytemuck::must_cast;

use super::token::{Avx512, Vnni, entry, features, instructions};
use super::{
    ByteLanes, FloatKernel, Floats, IntKernel, Ints, LANES, Lanes, QuadLanes, Round, TileSize,
    Vectors,
};

/// The mode of rounding of `roundscale`: halves to even.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

impl Vectors for Avx512 {
    type V = __m512;

    features!(
        Avx512,
        instructions! {
            fn splat(value: f32) -> __m512 { _mm512_set1_ps(value) }
            fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
            fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
            fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
            fn div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
            fn pick(a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
                _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes)
            }
            fn power_of_two(v: __m512) -> __m512 {
                let shifted = _mm512_slli_epi32::<23>(must_cast(v));
                must_cast(_mm512_add_epi32(shifted, _mm512_set1_epi32(0x3f80_0000)))
            }
            fn fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
            fn max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
            fn min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        }
    );
}

impl Floats for Avx512 {
    const TILE: TileSize = TileSize([16, 12]);

    features!(
        Avx512,
        instructions! {
            fn load(from: &Lanes) -> __m512 { must_cast(*from) }
            fn lanes(v: __m512) -> Lanes { must_cast(v) }
        }
    );
    features!(Avx512, entry! { Avx512, run_floats, FloatKernel });
}

/// What is the same with and without VNNI.
macro_rules! common {
    ($token:ident) => {
        type F = Avx512;
        type I = __m512i;
        type B = __m512i;

        features!($token, instructions! {
            fn load(from: &[i32; LANES]) -> __m512i { must_cast(*from) }
            fn widen(from: &ByteLanes) -> __m512i { _mm512_cvtepu8_epi32(must_cast(*from)) }
            fn float(v: __m512i) -> __m512 { _mm512_cvtepi32_ps(v) }
            fn whole(v: __m512) -> __m512 { _mm512_roundscale_ps::<NEAREST>(v) }
            fn narrow(v: [__m512; 4], round: Round) -> __m512i {
                let zero = _mm512_set1_epi16(round.zero.into());
                let [a, b, c, d] = [
                    _mm512_cvtps_epi32(v[0]),
                    _mm512_cvtps_epi32(v[1]),
                    _mm512_cvtps_epi32(v[2]),
                    _mm512_cvtps_epi32(v[3]),
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
            fn pixels(bytes: __m512i) -> [ByteLanes; 4] { must_cast(bytes) }
        });
        features!($token, entry! { $token, run_ints, IntKernel });
    };
}

impl Ints for Vnni {
    common!(Vnni);
    type X = __m512i;
    type W = __m512i;
    const TILE: TileSize = TileSize([16, 12]);

    #[inline(always)]
    fn floats(self) -> Avx512 {
        self.into()
    }

    features!(
        Vnni,
        instructions! {
            fn quad(from: [u8; 4]) -> __m512i { _mm512_set1_epi32(i32::from_ne_bytes(from)) }
            fn weights(from: &QuadLanes) -> __m512i { must_cast(*from) }
            fn dot(sum: __m512i, x: __m512i, w: __m512i) -> __m512i { _mm512_dpbusd_epi32(sum, x, w) }
            fn multiply(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
                // The upper halves of `x` are 0.
                _mm512_dpwssd_epi32(sum, x, w)
            }
        }
    );
}

impl Ints for Avx512 {
    common!(Avx512);
    /// Even bytes and odd ones, each in 16 bits.
    type X = [__m512i; 2];
    type W = [__m512i; 2];
    const TILE: TileSize = TileSize([12, 0]);

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }

    features!(
        Avx512,
        instructions! {
            fn quad(from: [u8; 4]) -> [__m512i; 2] {
                let x = _mm512_set1_epi32(i32::from_ne_bytes(from));
                let even = _mm512_and_si512(x, _mm512_set1_epi16(255));
                [even, _mm512_srli_epi16::<8>(x)]
            }
            fn weights(from: &QuadLanes) -> [__m512i; 2] {
                let w = must_cast(*from);
                let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(w));
                [even, _mm512_srai_epi16::<8>(w)]
            }
            fn dot(sum: __m512i, x: [__m512i; 2], w: [__m512i; 2]) -> __m512i {
                // Two products of a byte and a signed byte fit in 32 bits.
                let even = _mm512_madd_epi16(x[0], w[0]);
                let odd = _mm512_madd_epi16(x[1], w[1]);
                _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
            }
            fn multiply(sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
                // The upper halves of `x` are 0.
                _mm512_add_epi32(sum, _mm512_madd_epi16(x, w))
            }
        }
    );
}
