//! AVX2 and FMA: every vector is two registers. No instruction that saturates
//! sums takes part: bytes are widened to 16 bits before they are multiplied.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_LT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _mm_srli_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_adds_epi16, _mm256_and_si256,
    _mm256_blendv_ps, _mm256_cmp_ps, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_cvtps_epi32,
    _mm256_div_ps, _mm256_fmadd_ps, _mm256_madd_epi16, _mm256_max_epu8, _mm256_max_ps,
    _mm256_min_epu8, _mm256_min_ps, _mm256_mul_ps, _mm256_packs_epi32, _mm256_packus_epi16,
    _mm256_permutevar8x32_epi32, _mm256_round_ps, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_slli_epi16, _mm256_slli_epi32,
    _mm256_srai_epi16, _mm256_srli_epi16, _mm256_sub_ps,
};

use bytemuck::must_cast;

use super::token::{Avx2, entry, features, instructions};
use super::{
    ByteLanes, FloatKernel, Floats, IntKernel, Ints, LANES, Lanes, QuadLanes, Round, TileSize,
    Vectors,
};

/// The mode of rounding of `round`: halves to even.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Two registers of floats, and of integers.
type F = [__m256; 2];
type I = [__m256i; 2];

/// Applies a function of eight lanes to both halves.
macro_rules! halves {
    ($f:expr, $($v:ident),+) => {
        [$f($($v[0]),+), $f($($v[1]),+)]
    };
}

impl Vectors for Avx2 {
    type V = F;

    features!(
        Avx2,
        instructions! {
            fn splat(value: f32) -> F { [_mm256_set1_ps(value); 2] }
            fn add(a: F, b: F) -> F { halves!(_mm256_add_ps, a, b) }
            fn sub(a: F, b: F) -> F { halves!(_mm256_sub_ps, a, b) }
            fn mul(a: F, b: F) -> F { halves!(_mm256_mul_ps, a, b) }
            fn div(a: F, b: F) -> F { halves!(_mm256_div_ps, a, b) }
            fn pick(a: F, b: F, yes: F, no: F) -> F {
                let less = halves!(_mm256_cmp_ps::<_CMP_LT_OQ>, a, b);
                halves!(_mm256_blendv_ps, no, yes, less)
            }
            fn power_of_two(v: F) -> F {
                let bits: I = must_cast(v);
                let shifted = halves!(_mm256_slli_epi32::<23>, bits);
                let one = [_mm256_set1_epi32(0x3f80_0000); 2];
                must_cast(halves!(_mm256_add_epi32, shifted, one))
            }
            fn fma(a: F, b: F, c: F) -> F { halves!(_mm256_fmadd_ps, a, b, c) }
            fn max(a: F, b: F) -> F { halves!(_mm256_max_ps, a, b) }
            fn min(a: F, b: F) -> F { halves!(_mm256_min_ps, a, b) }
        }
    );
}

impl Floats for Avx2 {
    const TILE: TileSize = TileSize([6, 0]);

    features!(
        Avx2,
        instructions! {
            fn load(from: &Lanes) -> F { must_cast(*from) }
            fn lanes(v: F) -> Lanes { must_cast(v) }
        }
    );
    features!(Avx2, entry! { Avx2, run_floats, FloatKernel });
}

impl Ints for Avx2 {
    type F = Self;
    type I = I;
    /// Even bytes and odd ones, each in 16 bits.
    type X = I;
    /// Of both halves of the lanes, likewise.
    type W = [I; 2];
    type B = I;
    const TILE: TileSize = TileSize([4, 0]);

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }

    features!(
        Avx2,
        instructions! {
            fn load(from: &[i32; LANES]) -> I { must_cast(*from) }
            fn quad(from: [u8; 4]) -> I {
                let x = _mm256_set1_epi32(i32::from_ne_bytes(from));
                let even = _mm256_and_si256(x, _mm256_set1_epi16(255));
                [even, _mm256_srli_epi16::<8>(x)]
            }
            fn weights(from: &QuadLanes) -> [I; 2] {
                let [w, v]: I = must_cast(*from);
                let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w));
                let later = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(v));
                [
                    [even, _mm256_srai_epi16::<8>(w)],
                    [later, _mm256_srai_epi16::<8>(v)],
                ]
            }
            fn dot(sum: I, x: I, w: [I; 2]) -> I {
                // Two products of a byte and a signed byte fit in 32 bits.
                let even = [_mm256_madd_epi16(x[0], w[0][0]), _mm256_madd_epi16(x[0], w[1][0])];
                let odd = [_mm256_madd_epi16(x[1], w[0][1]), _mm256_madd_epi16(x[1], w[1][1])];
                let both = halves!(_mm256_add_epi32, even, odd);
                halves!(_mm256_add_epi32, sum, both)
            }
            fn widen(from: &ByteLanes) -> I {
                let bytes: __m128i = must_cast(*from);
                let upper = _mm_srli_si128::<8>(bytes);
                [_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(upper)]
            }
            fn multiply(sum: I, x: I, w: I) -> I {
                // The upper halves of `x` are 0.
                let products = halves!(_mm256_madd_epi16, x, w);
                halves!(_mm256_add_epi32, sum, products)
            }
            fn float(v: I) -> F { halves!(_mm256_cvtepi32_ps, v) }
            fn whole(v: F) -> F { halves!(_mm256_round_ps::<NEAREST>, v) }
            fn narrow(v: [F; 4], round: Round) -> I {
                let zero = _mm256_set1_epi16(round.zero.into());
                let low = _mm256_set1_epi8(round.low.cast_signed());
                let high = _mm256_set1_epi8(round.high.cast_signed());
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let [a, b, c, d] = v;
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
            fn pixels(bytes: I) -> [ByteLanes; 4] { must_cast(bytes) }
        }
    );
    features!(Avx2, entry! { Avx2, run_ints, IntKernel });
}
