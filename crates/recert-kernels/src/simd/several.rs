//! Several vectors in one: a function of numbers, which is a long chain of operations, is computed
//! of all of them at the same time, so that one need not wait for the other.

use super::Vectors;

/// The vectors of an instruction set, `N` at a time: every value is computed as in one of them.
#[derive(Clone, Copy)]
pub(crate) struct Several<S, const N: usize>(pub(crate) S);

/// Applies a method to each of the vectors. A loop, not `array::from_fn`: a closure need not be
/// compiled for the instruction set.
macro_rules! each {
    ($($name:ident($first:ident $(, $arg:ident)*);)*) => {
        $(
            #[inline(always)]
            fn $name(self, $first: Self::V $(, $arg: Self::V)*) -> Self::V {
                let mut made = $first;
                for i in 0..N {
                    made[i] = self.0.$name($first[i] $(, $arg[i])*);
                }
                made
            }
        )*
    };
}

impl<S: Vectors, const N: usize> Vectors for Several<S, N> {
    type V = [S::V; N];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [self.0.splat(value); N]
    }

    each! {
        add(a, b);
        sub(a, b);
        mul(a, b);
        div(a, b);
        fma(a, b, c);
        max(a, b);
        min(a, b);
        pick(a, b, yes, no);
        power_of_two(v);
    }
}
