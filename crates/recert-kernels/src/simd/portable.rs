//! Arrays of sixteen, and whatever the compiler makes of them. Without fused
//! multiply-add in hardware they are very slow.

use super::{
    ByteLanes, FloatKernel, Floats, IntKernel, Ints, LANES, Lanes, QuadLanes, Round, TileSize,
    Vectors,
};

/// The token of what every processor has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn each(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Vectors for Portable {
    type V = Lanes;

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; LANES]
    }
    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn pick(self, a: Lanes, b: Lanes, yes: Lanes, no: Lanes) -> Lanes {
        std::array::from_fn(|lane| {
            if a[lane] < b[lane] {
                yes[lane]
            } else {
                no[lane]
            }
        })
    }
    #[inline(always)]
    fn power_of_two(self, v: Lanes) -> Lanes {
        v.map(|v| f32::from_bits((v.to_bits() << 23).wrapping_add(0x3f80_0000)))
    }
    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }
    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        each(a, b, |a, b| if a < b { a } else { b })
    }
}

impl Floats for Portable {
    const TILE: TileSize = TileSize([4, 0]);

    #[inline(always)]
    fn load(self, from: &Lanes) -> Lanes {
        *from
    }
    #[inline(always)]
    fn lanes(self, v: Lanes) -> Lanes {
        v
    }
    #[inline(always)]
    fn run_floats(self, kernel: impl FloatKernel) {
        kernel.run(self);
    }
}

impl Ints for Portable {
    type F = Self;
    type I = [i32; LANES];
    type X = [u8; 4];
    type W = QuadLanes;
    type B = [ByteLanes; 4];
    const TILE: TileSize = TileSize([4, 0]);

    #[inline(always)]
    fn floats(self) -> Self {
        self
    }
    #[inline(always)]
    fn load(self, from: &Self::I) -> Self::I {
        *from
    }
    #[inline(always)]
    fn quad(self, from: [u8; 4]) -> Self::X {
        from
    }
    #[inline(always)]
    fn weights(self, from: &QuadLanes) -> Self::W {
        *from
    }
    #[inline(always)]
    fn dot(self, sum: Self::I, x: Self::X, w: Self::W) -> Self::I {
        std::array::from_fn(|lane| {
            let weights = w[4 * lane..].iter().map(|w| i32::from(w.cast_signed()));
            let products = x.iter().zip(weights).map(|(&x, w)| i32::from(x) * w);
            sum[lane] + products.sum::<i32>()
        })
    }
    #[inline(always)]
    fn widen(self, from: &ByteLanes) -> Self::I {
        from.map(i32::from)
    }
    #[inline(always)]
    fn multiply(self, sum: Self::I, x: Self::I, w: Self::I) -> Self::I {
        std::array::from_fn(|lane| sum[lane] + x[lane] * w[lane])
    }
    #[inline(always)]
    fn float(self, v: Self::I) -> Lanes {
        v.map(|v| v as f32)
    }
    #[inline(always)]
    fn whole(self, v: Lanes) -> Lanes {
        v.map(f32::round_ties_even)
    }
    #[inline(always)]
    fn narrow(self, v: [Lanes; 4], round: Round) -> Self::B {
        v.map(|v| {
            v.map(|v| {
                let value = v.round_ties_even() as i32 + i32::from(round.zero);
                // Not `clamp`: the upper bound wins where it is the smaller one.
                (value.clamp(0, 255) as u8).max(round.low).min(round.high)
            })
        })
    }
    #[inline(always)]
    fn pixels(self, bytes: Self::B) -> [ByteLanes; 4] {
        bytes
    }
    #[inline(always)]
    fn run_ints(self, kernel: impl IntKernel) {
        kernel.run(self);
    }
}
